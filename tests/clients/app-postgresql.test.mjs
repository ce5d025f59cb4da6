// `parley --store postgresql://… --cluster store`: two servers, one or two workers each, and nothing but PostgreSQL, which
// goes and comes.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { startPostgresql } from "./lib/postgresql.mjs";
import { PATIENCE_MS, until as untilTrue } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParley } = await import("../browser/server.mjs");

const open = new Set(), SECRET = "0123456789abcdef0123456789abcdef";
let postgresql, servers = [];

before(async () => { postgresql = await startPostgresql(); });
after(async () => { await postgresql?.stop(); });
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open.clear();
  for (const server of servers.toReversed()) await server.stop();
  servers = [];
});

const until = (condition, what) => untilTrue(condition, () => `${what}\n${servers.map(({ output }) => output.slice(-1500)).join("\n")}`);
const health = async (server) => (await fetch(`${server.url}/health`)).json();
const all = async (state) => (await Promise.all(servers.map(health))).every(({ cluster }) => cluster === state);
const metric = async (server, name) => [...(await (await fetch(`${server.url}/metrics`)).text()).matchAll(new RegExp(`^parley_${name}(?:{[^}]*})? (\\d+)$`, "gm"))]
  .reduce((sum, [, value]) => sum + Number(value), 0);

function connect(server, namespace, token) {
  const socket = io(server.url + namespace, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.add(socket);
  socket.log = [];
  socket.statuses = [];
  socket.onAny((event, data) => {
    if (event === "transcription:update") socket.log.push(data.text);
    if (event === "call:status") socket.statuses.push(data);
  });
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  return new Promise((resolve, reject) => socket.once("connect", () => resolve(socket)).once("connect_error", reject));
}

for (const workers of [1, 2]) {
  test(`an agent at one server hears a feed at the other, PostgreSQL goes and comes: ${workers} workers each`, async () => {
    const options = ["--store", postgresql.url, "--cluster", "store", "--workers", String(workers), "--cluster-reconnect-max-ms", "300", "--store-reconnect-max-ms", "300",
      "--jwt-secret", SECRET];
    for (let i = 0; i < 2; i++) servers.push(await startParley(...options));
    const token = (...claims) => servers[0].token("--jwt-secret", SECRET, ...claims);
    const [feed, alice] = [await token("--sub", "feed", "--role", "feed"), await token("--sub", "alice")];
    await until(() => all("ok"), "PostgreSQL");
    const from = await connect(servers[0], "/feed", feed), id = `call-${workers}`;
    assert.equal((await from.ask("call:start", { call_id: id })).ok, true);
    const agents = await Promise.all(Array.from({ length: 4 * workers }, (_, i) => connect(servers[i % 2], "/", alice)));
    for (const agent of agents) assert.equal((await agent.ask("call:subscribe", { call_id: id })).ok, true);
    const say = async (text) => assert.equal((await from.ask("transcription:update", { call_id: id, speaker: "agent", text })).ok, true);
    const lines = (first) => Array.from({ length: 20 }, (_, i) => `line ${first + i} ${i % 7 ? "" : "ü".repeat(9000)}`);
    const exchange = async (first) => {
      for (const agent of agents) agent.log.length = 0;
      for (const text of lines(first)) await say(text);
      await until(() => agents.every(({ log }) => log.length === 20), "all lines");
      for (const { log } of agents) assert.deepEqual(log, lines(first));
    };
    await exchange(0);
    assert.ok(await metric(servers[0], "cluster_attachments_sent_total") >= 3);
    assert.ok(await metric(servers[1], "cluster_attachments_read_total") >= 3);
    assert.equal(await metric(servers[1], "cluster_up"), workers);
    await postgresql.kill();
    await until(() => all("away"), "both know");
    for (const agent of agents) agent.statuses.length = 0;
    assert.equal((await health(servers[0])).status, "degraded");
    await postgresql.start();
    await until(() => all("ok"), "both are back");
    await until(async () => (await from.ask("transcription:update", { call_id: id, speaker: "agent", text: "back" })).ok, "the store is back");
    await until(() => agents.every(({ log }) => log.includes("back")), "a line at everybody");
    await exchange(100);
    // In a call in which nothing is said any more this is all that shows what was missed.
    await until(() => agents.every(({ statuses }) => statuses.some(({ call_id, seq }) => call_id === id && seq > 0)), "the number that the call has reached, at everybody");
  });
}

test("a cluster that cannot be is refused at the start", async () => {
  const { code, stderr } = await runParley("--cluster", "store", "--port", "0");
  assert.equal(code, 2);
  assert.match(stderr, /option cluster: 'store' needs a PostgreSQL/);
});
