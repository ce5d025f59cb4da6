// Who watches a call, over nodes: those of a node that is killed leave the list, whatever connects the nodes.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { startRedis } from "./lib/redis.mjs";
import { startPostgresql } from "./lib/postgresql.mjs";
import { PATIENCE_MS, until as untilTrue } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let redis, postgresql, servers = [], open = [];
before(async () => { redis = await startRedis(); postgresql = await startPostgresql(); });
after(async () => { await redis?.stop(); await postgresql?.stop(); });
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open = [];
  for (const server of servers.reverse()) await server.stop();
  servers = [];
});
const until = (condition, what) => untilTrue(condition, () => `${what}\n${servers.map(({ output }) => output.slice(-1500)).join("\n")}`);

async function connect(server, namespace, token) {
  const socket = io(server.url + namespace, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.push(socket);
  socket.lists = [];
  socket.on("agent:presence", ({ agents }) => socket.lists.push(agents.join(" ")));
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  await new Promise((resolve, reject) => { socket.once("connect", resolve); socket.once("connect_error", reject); });
  return socket;
}

const CARRIERS = {
  redis: () => ["--redis", redis.url],
  "redis-sharded": () => ["--redis", redis.url, "--adapter", "redis-sharded"],
  "redis-streams": () => ["--redis", redis.url, "--adapter", "redis-streams"],
  postgresql: () => ["--cluster", postgresql.url],
};
for (const [name, carrier] of Object.entries(CARRIERS)) {
  test(`the agents of a node that is killed leave the list: ${name}`, async () => {
    const beats = name === "postgresql" ? "cluster" : "redis";
    const options = [...carrier(), `--${beats}-heartbeat-interval-ms`, "200", `--${beats}-heartbeat-timeout-ms`, "3000"];
    servers.push(await startParley(...options));
    servers.push(await startParley(...options, "--data", servers[0].data));
    const [first, second] = servers;
    const feed = await connect(first, "/feed", await first.token("--role", "feed"));
    assert.equal((await feed.ask("call:start", { call_id: name })).ok, true);
    const ann = await connect(first, "/", await first.token("--sub", "ann")), bob = await connect(second, "/", await first.token("--sub", "bob"));
    for (const socket of [ann, bob]) await until(async () => (await socket.ask("call:subscribe", { call_id: name })).ok, "the subscription");
    await until(async () => {
      if (ann.lists.at(-1) === "ann bob") return true;
      // The nodes may not have found each other yet.
      await ann.ask("call:unsubscribe", { call_id: name });
      await ann.ask("call:subscribe", { call_id: name });
      await untilTrue(() => ann.lists.length > 0, "a list");
      return false;
    }, () => `both; ${ann.lists}`);
    second.child.kill("SIGKILL");
    await second.ended;
    ann.lists.length = 0;
    await until(() => ann.lists.at(-1) === "ann", () => `bob to leave; ${ann.lists}`);
    await second.start(); // so that it can be stopped
  });
}
