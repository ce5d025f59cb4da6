// Three nodes on hosts of their own; one loses Redis without a word (its link is cut) and gets it back. Its clients must
// notice nothing but that the others are silent for a while, and nobody may ever get anything twice.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { insideNetns, BACK, Network } from "./lib/netns.mjs";
import { startRedis } from "./lib/redis.mjs";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS, until as untilTrue } from "../support/wait.mjs";

const NAMES = ["a", "b", "c"];
const ROOM = "call:1";

if (insideNetns(import.meta.url)) describe("a node is cut off from Redis", () => {
  let network, redis;
  const hosts = [], nodes = [], clients = [];

  before(async () => {
    network = new Network();
    redis = await startRedis({ host: BACK });
    for (const name of NAMES) {
      const host = await network.add();
      hosts.push(host);
      nodes.push(await start("cluster", { name, host: host.address, prefix: host.prefix, redis: redis.url, adapter: "classic" }));
      const client = io(nodes.at(-1).http, { transports: ["websocket"], forceNew: true });
      client.got = [];
      client.lost = 0;
      client.on("say", (what) => client.got.push(what));
      client.on("disconnect", () => client.lost++);
      await client.timeout(PATIENCE_MS).emitWithAck("join", ROOM);
      clients.push(client);
    }
    await until("three nodes", async () => (await op(0, { op: "serverCount" })) === 3);
  });

  after(async () => {
    for (const client of clients) client.close();
    for (const node of nodes) await node.stop();
    await redis?.stop();
    await network?.close();
  });

  const op = (i, request) => clients[i].timeout(PATIENCE_MS).emitWithAck("op", request);
  const say = (i, what) => op(i, { op: "emit", to: ROOM, ev: "say", args: [what] });

  const until = (what, holds) => untilTrue(holds, () => `${what}\n${nodes.map((node) => node.output()).join("\n")}`);

  const heard = (i, what) => until(`"${what}" at ${NAMES[i]}`, () => clients[i].got.includes(what));

  test("before, everybody hears everybody", async () => {
    for (let i = 0; i < 3; i++) await say(i, `hello from ${NAMES[i]}`);
    for (let i = 0; i < 3; i++) for (const name of NAMES) await heard(i, `hello from ${name}`);
  });

  test("cut off, it serves its own and the others each other, at once", async () => {
    network.cut(hosts[1]);
    await say(0, "a while b is away");
    await say(1, "b alone");
    await heard(1, "b alone");
    for (const i of [0, 2]) await heard(i, "a while b is away");
    assert.ok(!clients[0].got.includes("b alone"));
  });

  test("what it asks of all ends with what it knows itself", async () => {
    const sockets = await op(1, { op: "fetchSockets", to: ROOM });
    assert.deepEqual(sockets.map(({ id }) => id), [clients[1].id]);
    const { responses } = await op(1, { op: "emitWithAck", to: ROOM, ev: "ask", args: [], timeout: 300 });
    assert.deepEqual(responses, []);
  });

  test("what it says meanwhile is kept and arrives once, in order, when it is back", async () => {
    for (let n = 0; n < 100; n++) await say(1, `kept ${n}`);
    await until("b notices", () => /redis \S+ \S+: .*; next attempt/.test(nodes[1].output()));
    for (let n = 100; n < 200; n++) await say(1, `kept ${n}`);
    network.heal(hosts[1]);
    for (const i of [0, 2]) await heard(i, "kept 199");
    const kept = (i) => clients[i].got.filter((what) => what.startsWith("kept "));
    const all = Array.from({ length: 200 }, (_, n) => `kept ${n}`);
    assert.deepEqual(kept(1), all);
    for (const i of [0, 2]) {
      assert.deepEqual(kept(i), all.filter((what) => kept(i).includes(what)), "in order, nothing twice");
      assert.deepEqual(kept(i).slice(-100), all.slice(-100), "all that was said when it knew");
    }
  });

  test("afterwards everybody hears everybody, once", async () => {
    await until("b hears a", async () => {
      await say(0, "are you there?");
      return clients[1].got.includes("are you there?");
    });
    for (let i = 0; i < 3; i++) await say(i, `again from ${NAMES[i]}`);
    for (let i = 0; i < 3; i++) for (const name of NAMES) await heard(i, `again from ${name}`);
    for (let i = 0; i < 3; i++) await say(i, `the end from ${NAMES[i]}`);
    for (let i = 0; i < 3; i++) for (const name of NAMES) await heard(i, `the end from ${name}`);
    for (const { got } of clients)
      for (const name of NAMES) assert.equal(got.filter((what) => what === `again from ${name}`).length, 1);
    assert.deepEqual((await op(1, { op: "fetchSockets", to: ROOM })).length, 3);
    // Redis counts the connection that was cut until it hears of its end.
    await until("three nodes", async () => (await op(1, { op: "serverCount" })) === 3);
    for (const { lost } of clients) assert.equal(lost, 0, "a client lost its connection");
  });
});
