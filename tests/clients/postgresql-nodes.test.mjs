// Three nodes with a data directory each and one PostgreSQL, behind nginx that sends each connection and request to the
// next node. Feeds over every door, agents over both transports. PostgreSQL, then Redis are gone for a while.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";
import { freePort, startRedis } from "./lib/redis.mjs";
import { now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const SECRET = "a secret that all nodes have, of 32 bytes and more";
// TEST_AWAY_MS=30000: how long PostgreSQL, then Redis, is away.
const NODES = 3, AWAY_MS = Number(process.env.TEST_AWAY_MS ?? 2000);
const store = process.env.TEST_STORE;
assert.ok(store, "run it with tests/support/with-postgresql");

const folder = mkdtempSync(join(tmpdir(), "parley-nodes-"));
const token = (claims) => sign(SECRET, { exp: now() + 3600, ...claims });
const feedToken = token({ sub: "feed", role: "feed", calls: "*" });
let redis, proxy, url;
const nodes = [], agents = [];

// ---------------------------------------------------------------------- servers

async function startNginx() {
  const port = await freePort();
  writeFileSync(join(folder, "nginx.conf"), `
    pid nginx.pid; daemon off; error_log stderr crit; worker_processes 1; events { worker_connections 512; }
    http {
      access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
      map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
      upstream parley { ${nodes.map((node) => `server 127.0.0.1:${node.port} max_fails=0;`).join(" ")} }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://parley; proxy_http_version 1.1; proxy_next_upstream off;
          proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
          proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
          proxy_buffering off; proxy_read_timeout 60s;
        }
      }
    }`);
  const child = spawn("nginx", ["-p", folder, "-c", "nginx.conf", "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
  return { child, url: `http://127.0.0.1:${port}` };
}

// PostgreSQL with all its processes.
function killPostgres() {
  const pid = readFileSync(join(process.env.TEST_STORE_FOLDER, "data/postmaster.pid"), "utf8").split("\n")[0];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  for (const one of [pid, ...children]) try { process.kill(Number(one), "SIGKILL"); } catch { /* it is gone */ }
}

async function startPostgres() {
  const [program, ...args] = process.env.TEST_STORE_START.split(" ");
  await until(() => { try { execFileSync(program, args, { stdio: "ignore", cwd: "/" }); return true; } catch { return false; } }, "PostgreSQL");
}

const health = async (node) => (await fetch(`${node.url}/health`)).json();
const ready = async (node) => (await fetch(`${node.url}/ready`)).status;

before(async () => {
  redis = await startRedis();
  for (let i = 0; i < NODES; i++)
    nodes.push(await startParley("--store", store, "--jwt-secret", SECRET, "--redis", redis.url, "--redis-sessions", "--redis-sessions-key",
      "0123456789abcdef0123456789abcdef", "--redis-reconnect-max-ms", "300", "--redis-liveness-ms", "1000", "--store-reconnect-max-ms", "300",
      "--trusted-proxies", "127.0.0.1", "--max-events-per-second", "0"));
  proxy = await startNginx();
  url = proxy.url;
  await until(async () => (await Promise.all(nodes.map(health))).every(({ redis: state }) => state === "ok"), "Redis");
});

after(async () => {
  isOver = true;
  for (const { socket } of agents) socket.disconnect();
  for (const socket of Object.values(feeds)) socket.disconnect();
  proxy?.child.kill("SIGTERM"); // which ends its workers, too
  const ends = await Promise.allSettled(nodes.map((node) => node.stop()));
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
  for (const { reason } of ends) if (reason) throw reason;
});

// ----------------------------------------------------------------------- agents

// Watches a call as the documentation tells: a gap in seq is asked for again.
class Agent {
  lines = new Map(); // seq → text
  live = []; // seq, as they came
  others = []; // what was none of its business
  seq = 0; // up to here nothing is missing

  constructor(name, call, transport) {
    this.call = call;
    this.socket = io(url, { auth: { token: token({ sub: name, role: "agent", calls: [call] }) }, transports: [transport], forceNew: true,
      reconnectionDelayMax: 300 });
    this.socket.onAny((event, data) => { if (data.call_id && data.call_id !== call) this.others.push([event, data]); });
    this.socket.on("transcription:update", (line) => {
      if (line.call_id !== call) return;
      this.live.push(line.seq);
      this.take(line);
      if (line.seq > this.seq) this.subscribe();
    });
    this.socket.on("connect", () => this.subscribe());
  }

  take(line) {
    const had = this.lines.get(line.seq);
    assert.ok(had === undefined || had === line.text, `seq ${line.seq} was "${had}" and is "${line.text}"`);
    this.lines.set(line.seq, line.text);
    while (this.lines.has(this.seq + 1)) this.seq++;
  }

  // Asks for what is missing, and once more if that is wanted while it asks: what it is answered may be older.
  subscribe() {
    this.isWanted = true;
    this.asking ??= this.ask().finally(() => { this.asking = null; });
    return this.asking;
  }

  async ask() {
    while (this.isWanted && this.socket.connected) {
      this.isWanted = false;
      const answer = await this.socket.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id: this.call, since_seq: this.seq }).catch(() => null);
      if (answer?.ok) for (const line of answer.transcript) this.take(line);
      if (!answer?.ok || answer.more) this.isWanted = true;
      if (!answer?.ok) await sleep(100);
    }
  }

  hasAll(texts) {
    const found = new Set(this.lines.values());
    return [...texts].every((text) => found.has(text));
  }
}

// ------------------------------------------------------------------------ feeds

// A line until it is acknowledged. Returns its seq.
async function insist(send) {
  while (!isOver) {
    const answer = await send().catch(() => null);
    if (answer?.ok) return answer;
    if (answer) assert.equal(answer.error.code, 503, JSON.stringify(answer));
    if (answer) assert.ok(answer.error.retry_after_ms > 0);
    if (answer) refused++;
    await sleep(answer ? 50 : 20);
  }
  return {};
}
let refused = 0, isPaused = false, isOver = false; // so many answers of 503; lines enough; the tests are over

const post = async (path, body, type = "application/json") => (await fetch(url + path, { method: "POST", body, headers: { authorization: `Bearer ${feedToken}`, "content-type": type } })).json();

const doors = {
  http: (call, line) => insist(() => post(`/api/v1/calls/${call}/transcription`, JSON.stringify(line))),
  list: async (call, line) => {
    const lines = `${JSON.stringify(line)}\n${JSON.stringify({ ...line, segment_id: `${line.segment_id}_`, text: `${line.text}+` })}\n`;
    const answer = await insist(() => post(`/api/v1/calls/${call}/transcription`, lines, "application/x-ndjson"));
    if (answer.ok) assert.equal(answer.stored + answer.duplicates, 2, JSON.stringify(answer));
  },
};
for (const transport of ["polling", "websocket"]) doors[transport] = (call, line) => insist(() => feeds[transport].timeout(5000).emitWithAck("transcription:update", { call_id: call, ...line }));
const feeds = {};

// Sends lines through a door; notes what was acknowledged.
async function feed(door, call, acked) {
  for (let i = 0; !isPaused && !isOver; i++) {
    const line = { text: `${door} ${i}`, segment_id: `${door}-${i}`, speaker: "agent" };
    await doors[door](call, line);
    acked.add(line.text);
    if (door === "list") acked.add(`${line.text}+`);
    await sleep(15);
  }
}

// ------------------------------------------------------------------------- test

test("no line is lost, doubled or misdelivered, whatever node it reaches and whatever is away for a while", async () => {
  const calls = ["first", "second"], acked = Object.fromEntries(calls.map((call) => [call, new Set()]));
  for (const transport of ["polling", "websocket"])
    feeds[transport] = io(`${url}/feed`, { auth: { token: feedToken }, transports: [transport], forceNew: true, reconnectionDelayMax: 300 });
  // The same call through all nodes at once is one call.
  const started = await Promise.all([...calls, ...calls, ...calls].map((call) => insist(() => post("/api/v1/calls", JSON.stringify({ call_id: call })))));
  assert.equal(started.filter(({ duplicate }) => !duplicate).length, calls.length);
  for (const call of calls)
    for (const transport of ["polling", "websocket"])
      for (let i = 0; i < NODES; i++) agents.push(new Agent(`${call}-${transport}-${i}`, call, transport));
  await until(() => agents.every(({ socket }) => socket.connected), "the agents");

  const running = calls.flatMap((call) => Object.keys(doors).map((door) => feed(door, call, acked[call])));
  const everybodyHas = (count) => until(() => agents.every((agent) => agent.lines.size >= count), () => `${count} lines at everybody: ${agents.map((agent) => agent.lines.size)}`);
  await everybodyHas(40);

  killPostgres();
  await until(async () => (await Promise.all(nodes.map(ready))).every((status) => status === 503), "/ready to say that the store is away");
  assert.deepEqual((await Promise.all(nodes.map(health))).map(({ store: state }) => state), ["away", "away", "away"]);
  const before = refused;
  await until(() => refused > before, "a refusal");
  await sleep(AWAY_MS);
  await startPostgres();
  await until(async () => (await Promise.all(nodes.map(ready))).every((status) => status === 200), "/ready again");
  await everybodyHas(agents[0].lines.size + 40);

  await redis.kill();
  await sleep(AWAY_MS);
  const lines = Math.max(...agents.map((agent) => agent.lines.size));
  redis = await startRedis({ port: redis.port });
  await until(async () => (await Promise.all(nodes.map(health))).every(({ redis: state }) => state === "ok"), "Redis again");
  isPaused = true;
  await Promise.all(running);
  // A gap shows with the next line.
  for (const agent of agents) await until(() => agent.socket.connected, "the agent's connection");
  for (const call of calls) await doors.http(call, { text: "last", segment_id: "last", speaker: "agent" }), acked[call].add("last");
  for (const agent of agents) await agent.subscribe();
  const missing = (agent) => [...acked[agent.call]].filter((text) => !agent.hasAll([text]));
  await until(() => agents.every((agent) => agent.hasAll(acked[agent.call])), () => `every line at everybody: ${JSON.stringify(agents.map(missing))}`);

  assert.ok(lines > 40);
  for (const agent of agents) {
    assert.deepEqual(agent.others, [], "of another call");
    assert.equal(new Set(agent.lines.values()).size, agent.lines.size, "a line under two numbers");
    assert.equal(agent.seq, agent.lines.size, "a hole in seq");
    assert.equal(new Set(agent.live).size, agent.live.length, `sent twice: ${agent.live.filter((seq, i) => agent.live.indexOf(seq) !== i)}`);
    assert.deepEqual([...agent.lines].sort(([a], [b]) => a - b), [...agents.find(({ call }) => call === agent.call).lines].sort(([a], [b]) => a - b));
  }
});

test("status, list, and what feedback taught are the same at every node", async () => {
  const call = "third";
  const ask = (socket, event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  const connect = async (node, name = "ann") => {
    const socket = io(node.url, { auth: { token: token({ sub: name, role: "supervisor", calls: "*" }) }, transports: ["websocket"], forceNew: true });
    agents.push({ socket });
    await until(() => socket.connected, "a connection");
    return socket;
  };
  const at = await Promise.all(nodes.map((node) => connect(node)));
  assert.equal((await insist(() => post("/api/v1/calls", JSON.stringify({ call_id: call, metadata: { customer: "Zoë" } })))).ok, true);
  for (const socket of at) assert.ok((await ask(socket, "call:list", {})).calls.some(({ call_id: id, metadata }) => id === call && metadata.customer === "Zoë"));
  const document = await (await fetch(`${nodes[0].url}/api/v1/documents`, { method: "POST", headers: { authorization: `Bearer ${token({ sub: "sue", role: "supervisor", calls: "*" })}`, "content-type": "application/json" }, body: JSON.stringify({ title: "Returning shoes", text: "Shoes can be returned within thirty days with the receipt." }) })).json();
  assert.equal(document.ok, true, JSON.stringify(document));
  // Each node has an index of its own, which notices what another wrote.
  for (const socket of at) {
    const found = await ask(socket, "kb:search", { query: "returning shoes receipt" });
    assert.deepEqual(found.documents.map(({ id }) => id), [document.doc_id]);
  }
  await doors.http(call, { text: "I want to return my boots", segment_id: "1", speaker: "customer" });
  assert.equal((await ask(at[0], "doc:feedback", { call_id: call, doc_id: document.doc_id, helpful: true })).helpful, 1);
  assert.equal((await ask(at[1], "doc:feedback", { call_id: call, doc_id: document.doc_id, helpful: true })).helpful, 1); // the same user
  const other = await connect(nodes[2], "bob");
  assert.equal((await ask(other, "doc:feedback", { call_id: call, doc_id: document.doc_id, helpful: false })).unhelpful, 1);
  assert.equal((await insist(() => post(`/api/v1/calls/${call}/status`, JSON.stringify({ status: "ended" })))).ok, true);
  for (const socket of at) assert.equal((await ask(socket, "call:subscribe", { call_id: call })).call.status, "ended");
});
