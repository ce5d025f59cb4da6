// `parley --redis`: two servers and several workers, one store, rooms over a real redis-server; Redis goes and comes.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";
import { Proxy } from "./lib/proxy.mjs";
import { startRedis } from "./lib/redis.mjs";
import { PATIENCE_MS, until as untilTrue } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParley } = await import("../browser/server.mjs");

const open = new Set();
let redis;
let servers = [];
let tokens;

before(async () => { redis = await startRedis(); });
after(async () => { await redis?.stop(); });
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open.clear();
  for (const server of servers.toReversed()) await server.stop();
  servers = [];
});


const until = (condition, what) => untilTrue(condition, () => `${what}\n${servers.map(({ output }) => output.slice(-1500)).join("\n")}`);

const health = async (server) => (await fetch(`${server.url}/health`)).json();
const isConnected = async () => (await Promise.all(servers.map(health))).every(({ redis: state }) => state === "ok");

function connect(server, namespace, token, options = { transports: ["websocket"] }) {
  const socket = io(server.url + namespace, { auth: { token }, forceNew: true, reconnection: false, ...options });
  open.add(socket);
  socket.log = [];
  socket.onAny((event, data) => socket.log.push([event, data]));
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  socket.texts = () => socket.log.filter(([name]) => name === "transcription:update").map(([, { text }]) => text).filter((text) => text.startsWith("line "));
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

for (const adapter of ["redis", "redis-sharded", "redis-streams"]) {
  for (const workers of [1, 2]) {
    test(`an agent at one server hears a feed at the other: ${adapter}, ${workers} workers each`, async () => {
      const options = ["--redis", redis.url, "--adapter", adapter, "--workers", String(workers), "--redis-reconnect-max-ms", "300"];
      servers.push(await startParley(...options));
      servers.push(await startParley(...options, "--data", servers[0].data));
      tokens = { feed: await servers[0].token("--sub", "feed", "--role", "feed"), alice: await servers[0].token("--sub", "alice") };
      await until(isConnected, "Redis");
      const from = await connect(servers[0], "/feed", tokens.feed);
      const id = `call-${adapter}-${workers}`;
      await from.ask("call:start", { call_id: id });
      const agents = await Promise.all(Array.from({ length: 8 }, (_, i) => connect(servers[i % 2], "/", tokens.alice)));
      for (const agent of agents) assert.equal((await agent.ask("call:subscribe", { call_id: id })).ok, true);
      // Subscriptions may still be on their way.
      const isHeard = (agent) => agent.log.some(([event]) => event === "transcription:update");
      await until(async () => {
        await from.ask("transcription:update", { call_id: id, speaker: "agent", text: "is everybody there?" });
        return agents.every(isHeard);
      }, "a line at everybody");
      for (let i = 0; i < 20; i++) await from.ask("transcription:update", { call_id: id, speaker: "agent", text: `line ${i}` });
      await until(() => agents.every((agent) => agent.texts().length === 20), "all lines");
      const expected = Array.from({ length: 20 }, (_, i) => `line ${i}`);
      for (const agent of agents) assert.deepEqual(agent.texts(), expected);
    });
  }
}

// Redis reads its connections in an order of its own: what is published after the SUBSCRIBE has left may be read before it.
for (const adapter of ["redis", "redis-sharded"]) {
  test(`what another node says while Redis has not yet subscribed is in the snapshot: ${adapter}`, async () => {
    const options = ["--redis", redis.url, "--adapter", adapter];
    servers.push(await startParley(...options));
    servers.push(await startParley(...options, "--data", servers[0].data));
    await until(isConnected, "Redis");
    const from = await connect(servers[0], "/feed", await servers[0].token("--sub", "feed", "--role", "feed"));
    const say = (id, text) => from.ask("transcription:update", { call_id: id, speaker: "agent", text });
    const id = `late-${adapter}`;
    for (const call of [id, "other"]) assert.equal((await from.ask("call:start", { call_id: call })).ok, true);
    await say(id, "line 0");
    const alice = await connect(servers[1], "/", await servers[0].token("--sub", "alice"));
    redis.pause();
    try {
      await say("other", "the connection that publishes has something for Redis first");
      const subscribed = alice.ask("call:subscribe", { call_id: id });
      await Promise.race([subscribed, sleep(100)]); // what must not happen: that it is answered now
      await say(id, "line 1");
      redis.resume();
      const { transcript } = await subscribed;
      await say(id, "line 2");
      await until(() => alice.texts().includes("line 2"), "the line after it");
      assert.deepEqual([...transcript.map(({ text }) => text), ...alice.texts()], ["line 0", "line 1", "line 2"]);
    } finally {
      redis.resume();
    }
  });
}

// docs/clustering.md, "What nodes share, and what not".
test("a store at each server: a call is known where it was started, and a development key is each server's own", async () => {
  const options = ["--redis", redis.url, "--redis-reconnect-max-ms", "300"];
  for (let i = 0; i < 2; i++) servers.push(await startParley(...options));
  await until(isConnected, "Redis");
  const [first, second] = servers;
  await assert.rejects(connect(second, "/", await first.token("--sub", "alice")), ({ data }) => data.code === 401);
  const from = await connect(first, "/feed", await first.token("--sub", "feed", "--role", "feed"));
  await from.ask("call:start", { call_id: "apart" });
  const here = await connect(first, "/", await first.token("--sub", "alice"));
  const there = await connect(second, "/", await second.token("--sub", "alice"));
  assert.equal((await here.ask("call:subscribe", { call_id: "apart" })).ok, true);
  assert.equal((await there.ask("call:subscribe", { call_id: "apart" })).error.code, 404);
  assert.deepEqual((await there.ask("call:list", {})).calls, []);
});

test("without Redis the server serves its own, says so with status 200, and is whole again when Redis is back", async () => {
  servers.push(await startParley("--redis", redis.url, "--redis-reconnect-max-ms", "300", "--redis-liveness-ms", "500"));
  const [server] = servers;
  tokens = { feed: await server.token("--sub", "feed", "--role", "feed"), alice: await server.token("--sub", "alice") };
  await until(isConnected, "Redis");
  const { port } = redis;
  await redis.kill();
  await until(async () => (await health(server)).redis === "away", "the loss");
  const answer = await fetch(`${server.url}/health`);
  assert.equal(answer.status, 200);
  assert.equal((await answer.json()).status, "degraded");
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^parley_redis_up 0$/m);
  const from = await connect(server, "/feed", tokens.feed);
  await from.ask("call:start", { call_id: "alone" });
  const alice = await connect(server, "/", tokens.alice);
  assert.equal((await alice.ask("call:subscribe", { call_id: "alone" })).ok, true);
  await from.ask("transcription:update", { call_id: "alone", speaker: "agent", text: "line here" });
  await until(() => alice.texts().length === 1, "the line");
  redis = await startRedis({ port });
  await until(isConnected, "Redis again");
  assert.equal((await health(server)).status, "ok");
});

// A way to Redis that can be cut: what is published meanwhile is lost for who is behind it.
async function startCut(port) {
  const sockets = new Set();
  const cut = { isCut: false };
  const server = net.createServer((client) => {
    if (cut.isCut) { client.destroy(); return; }
    const upstream = net.connect({ port, host: "127.0.0.1" });
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => {}).on("close", () => { other.destroy(); sockets.delete(one); });
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cut.url = `redis://127.0.0.1:${server.address().port}`;
  cut.set = (isCut) => { cut.isCut = isCut; if (isCut) for (const one of sockets) one.destroy(); };
  cut.stop = () => { cut.set(true); server.close(); };
  return cut;
}

test("who watches a call in which nothing is said any more sees that lines were missed while Redis was away", async () => {
  const cut = await startCut(redis.port);
  try {
    servers.push(await startParley("--redis", redis.url));
    servers.push(await startParley("--redis", cut.url, "--redis-reconnect-max-ms", "200", "--data", servers[0].data));
    tokens = { feed: await servers[0].token("--sub", "feed", "--role", "feed"), alice: await servers[0].token("--sub", "alice") };
    await until(isConnected, "Redis");
    const from = await connect(servers[0], "/feed", tokens.feed), agent = await connect(servers[1], "/", tokens.alice);
    await from.ask("call:start", { call_id: "quiet" });
    assert.equal((await agent.ask("call:subscribe", { call_id: "quiet" })).ok, true);
    await until(async () => {
      await from.ask("transcription:update", { call_id: "quiet", speaker: "agent", text: "is everybody there?" });
      return agent.log.some(([event]) => event === "transcription:update");
    }, "a line");
    cut.set(true);
    await until(async () => (await health(servers[1])).redis !== "ok", "the outage");
    let seq;
    for (let i = 0; i < 3; i++) ({ seq } = await from.ask("transcription:update", { call_id: "quiet", speaker: "agent", text: `line ${i}` }));
    const before = agent.log.length;
    cut.set(false);
    await until(isConnected, "Redis again");
    const isStatus = ([event, data]) => event === "call:status" && data.call_id === "quiet";
    await until(() => agent.log.slice(before).some(isStatus), "the number that the call has reached");
    assert.equal(agent.log.slice(before).find(isStatus)[1].seq, seq);
    assert.equal(agent.log.slice(before).find(isStatus)[1].status, "active");
    assert.equal(agent.log.slice(before).find(isStatus)[1].reached, true, "it is not an entry: who lacks only the last one must see it as well");
  } finally {
    cut.stop();
  }
});

test("a URL that is none ends the start with a line that names the option", async () => {
  const data = await mkdtemp(join(tmpdir(), "parley-test-"));
  after(() => rm(data, { recursive: true, force: true }));
  for (const workers of ["1", "2"]) {
    const { code, stderr } = await runParley("--redis", "http://nothing", "--port", "0", "--data", data, "--workers", workers);
    assert.equal(code, 2);
    assert.match(stderr, /option redis: /);
  }
});

test("nothing needs to be sticky between two servers of two workers each, if they say so", async () => {
  const options = ["--redis", redis.url, "--workers", "2", "--redis-sessions", "--redis-sessions-key", "a secret"];
  servers.push(await startParley(...options));
  servers.push(await startParley(...options, "--data", servers[0].data));
  const token = await servers[0].token("--sub", "alice");
  await until(isConnected, "Redis");
  const proxy = await new Proxy(() => servers.map(({ port }) => port)).start();
  const polling = { transports: ["polling"] };
  const agents = await Promise.all(Array.from({ length: 8 }, (_, i) => connect(proxy, "/", token, i % 2 ? polling : {})));
  for (const agent of agents) assert.equal(agent.io.engine.id.length, 32);
  for (let i = 0; i < 10; i++) {
    const answers = await Promise.all(agents.map((agent) => agent.ask("call:list", {})));
    for (const { ok } of answers) assert.equal(ok, true);
  }
  const sum = async (name) => {
    const pages = await Promise.all(servers.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
    return pages.flatMap((page) => [...page.matchAll(new RegExp(`^parley_${name}(?:\\{[^}]*\\})? (\\d+)$`, "gm"))]).reduce((all, [, value]) => all + Number(value), 0);
  };
  assert.ok(await sum("tunnels_opened_total") >= 20);
  assert.ok(await sum("http_handed_over_total") >= 20);
  assert.equal(await sum("tunnels_given_back_total"), 0);
  for (const agent of agents) agent.disconnect();
  await until(async () => await sum("tunnels") === 0, "all are over");
  proxy.stop();
});
