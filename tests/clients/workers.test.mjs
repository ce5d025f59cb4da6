// `parley --workers 3` with stock clients: what one worker does reaches the others, and what befalls one worker is
// nobody else's trouble. Each test has a server of its own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { after, afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, sleep, until as untilTrue } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParley } = await import("../browser/server.mjs");

const WORKERS = 3;
const open = new Set();
let parley;

afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open.clear();
  for (const pid of workersOf(parley)) process.kill(pid, "SIGCONT");
  const ending = parley;
  parley = null;
  if (ending?.child.exitCode === null && ending.child.signalCode === null) await ending.stop();
});


/** A request that a worker had accepted when it was killed. */
function ignoreReset(error) {
  if ((error.cause ?? error).code !== "ECONNRESET") throw error; // fetch wraps it
}

const until = (condition, what) => untilTrue(async () => (async () => condition())().catch(ignoreReset), () => `${what}\n${parley?.output.slice(-3000)}`);

// A worker of a sanitised build looks for leaks after it has drained, which counts: on a busy machine for long.
async function start(...options) {
  parley = await startParley("--workers", String(WORKERS), "--drain-timeout-ms", String(PATIENCE_MS), ...options);
  parley.tokens = {
    feed: await parley.token("--sub", "feed", "--role", "feed"),
    alice: await parley.token("--sub", "alice", "--calls", "*"),
  };
  return parley;
}

/** The processes of the workers that run now. */
function workersOf(server) {
  if (!server?.child.pid) return [];
  try {
    return readFileSync(`/proc/${server.child.pid}/task/${server.child.pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** One request on a connection of its own, which the kernel gives to any worker. */
const requestOnce = (path) => new Promise((resolve, reject) => {
  const { Agent, get } = parley.url.startsWith("https") ? https : http;
  const agent = new Agent({ keepAlive: false });
  const sent = get(parley.url + path, { agent, timeout: PATIENCE_MS, rejectUnauthorized: false }, (response) => {
    let body = "";
    response.on("data", (chunk) => (body += chunk));
    response.on("end", () => resolve({ status: response.statusCode, body }));
  });
  sent.on("timeout", () => sent.destroy(new Error("timeout")));
  sent.on("error", reject);
});
// One that had been given to a worker which was killed is reset: then once more, to another.
const request = (path) => until(() => requestOnce(path), path);
const health = async () => JSON.parse((await request("/health")).body);
/** The same answer from n requests in a row, whichever workers they reach; what a busy worker has not told in time is told later. */
const untilAll = (n, attempt) => until(async () => {
  for (let i = 0; i < n; i++) if (!await attempt().then(() => true, (error) => { if (error.code !== "ERR_ASSERTION") throw error; })) return false;
  return true;
}, `${n} equal answers`);
/** Nobody was disconnected; requests that wait at a worker when it is taken off its port, because it stood still, are reset. */
function assertNoEnds(sockets) {
  if (!/worker unresponsive/.test(parley.output)) assert.deepEqual(sockets.filter(({ ends }) => ends).map(({ reasons }) => reasons), []);
}
const isWell = async () => (await health().catch(() => ({}))).workers_up === WORKERS;

/** All samples of /metrics of that name, by worker. */
async function metric(name) {
  const { body } = await request("/metrics");
  const found = {};
  for (const [, worker, value] of body.matchAll(new RegExp(`^parley_${name}\\{worker="(\\d+)"\\} (\\d+)$`, "gm"))) found[worker] = Number(value);
  return found;
}
const sum = (samples) => Object.values(samples).reduce((a, b) => a + b, 0);

const webSocket = { transports: ["websocket"] };

/** A socket with `ask(event, data)` for acks and `log`, everything it was sent. */
function connect(namespace, auth, options = {}) {
  const socket = io(parley.url + namespace, { auth, forceNew: true, reconnection: false, rejectUnauthorized: false, ...options });
  open.add(socket);
  socket.log = [];
  socket.ends = 0;
  socket.onAny((event, data) => socket.log.push([event, data]));
  socket.reasons = [];
  socket.on("disconnect", (reason) => { socket.ends++; socket.reasons.push(reason); });
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  socket.seen = (event) => socket.log.filter(([name]) => name === event).map(([, data]) => data);
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}
const feed = (options = webSocket) => connect("/feed", { token: parley.tokens.feed }, options);
const agent = (options = webSocket) => connect("/", { token: parley.tokens.alice }, options);

const line = (call_id, text, more = {}) => ({ call_id, speaker: "agent", text, ...more });

/** Agents until every worker has at least one. */
async function agentsEverywhere(options) {
  const agents = [];
  await until(async () => {
    agents.push(...await Promise.all(Array.from({ length: 6 }, () => agent(options))));
    const sessions = await metric("sessions");
    return Object.keys(sessions).length === WORKERS && Object.values(sessions).every((count) => count > 0);
  }, "sessions on every worker");
  return agents;
}

test("/health and /metrics speak for all workers, whichever is asked", async () => {
  await start();
  const agents = await agentsEverywhere();
  await untilAll(20, async () => {
    const { status, connections, sockets, workers, workers_up } = await health();
    assert.deepEqual({ status, connections, sockets, workers, workers_up },
      { status: "ok", connections: agents.length, sockets: agents.length, workers: WORKERS, workers_up: WORKERS });
  });
  await untilAll(10, async () => {
    const sessions = await metric("sessions");
    assert.deepEqual(Object.keys(sessions), ["0", "1", "2"]);
    assert.equal(sum(sessions), agents.length);
  });
  await untilAll(1, async () => assert.deepEqual(await metric("worker_up"), { 0: 1, 1: 1, 2: 1 }));
});

test("one worker has the metrics of several, without their labels", async () => {
  const families = (text) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name).filter((name) => !name.startsWith("parley_worker_"));
  const samples = (text, labels) => [...text.matchAll(/^(parley_[^{ ]+)(\{[^}]*\})? [\d.]+$/gm)].filter(([, name]) => !name.startsWith("parley_worker_")).length / labels;
  await start();
  const several = (await request("/metrics")).body;
  await parley.stop();
  parley = await startParley();
  const one = (await request("/metrics")).body;
  assert.deepEqual(families(several), families(one));
  assert.equal(samples(several, WORKERS), samples(one, 1));
  assert.ok(!one.includes("worker="));
  assert.ok(families(one).length > 50);
});

test("a worker that dies is started again and counted; the others' clients notice nothing", async () => {
  await start();
  const agents = await agentsEverywhere();
  const before = workersOf(parley);
  assert.equal(before.length, WORKERS);
  process.kill(before[1], "SIGKILL");
  await until(async () => sum(await metric("worker_restarts_total")) === 1, "a restart");
  await until(isWell, "all workers");
  const now = workersOf(parley);
  assert.equal(now.length, WORKERS);
  assert.equal(now.filter((pid) => before.includes(pid)).length, WORKERS - 1);
  const lost = agents.filter((socket) => socket.ends > 0);
  assert.ok(lost.length > 0 && lost.length < agents.length);
  await untilAll(10, async () => assert.equal((await health()).sockets, agents.length - lost.length));
  for (const socket of agents) if (!lost.includes(socket)) assert.equal((await socket.ask("call:list", {})).ok, true);
  assert.match(parley.output, /msg="worker exited" number=1 pid=\d+ signal=9/);
});

test("a worker that dies again and again is waited for longer and longer, and the port stays served", async () => {
  await start("--worker-restart-max-ms", "400");
  const deaths = [];
  for (let i = 0; i < 5; i++) {
    const [pid] = await until(() => workersOf(parley).length === WORKERS && workersOf(parley).slice(-1), "a worker");
    const began = Date.now();
    process.kill(pid, "SIGKILL");
    await until(() => !workersOf(parley).includes(pid), "its end");
    for (let k = 0; k < 5; k++) assert.equal((await request("/ready")).status, 200);
    await until(() => workersOf(parley).length === WORKERS, "all workers");
    deaths.push(Date.now() - began);
  }
  assert.ok(deaths[4] >= 350, `${deaths}`);
  await until(isWell, "all workers");
});

test("a worker that stands still holds up neither /health, nor new clients, nor the others; then it goes on", async () => {
  await start();
  const agents = await agentsEverywhere();
  const [pid] = workersOf(parley);
  process.kill(pid, "SIGSTOP");
  await until(() => /worker unresponsive/.test(parley.output), "the master's notice");
  await untilAll(10, async () => {
    const { status, workers_up } = await health();
    assert.deepEqual({ status, workers_up }, { status: "degraded", workers_up: WORKERS - 1 });
    assert.equal(sum(await metric("worker_up")), WORKERS - 1);
  });
  // Who waits for it waits 300 ms each time; on a busy machine others may take as long, but not each time.
  await until(async () => {
    const began = Date.now();
    await health();
    return Date.now() - began < 280;
  }, "an answer that does not wait for it");
  await Promise.all(Array.from({ length: 12 }, () => agent()));
  process.kill(pid, "SIGCONT");
  await until(isWell, "all workers");
  for (const socket of agents) assert.equal((await socket.ask("call:list", {})).ok, true);
  const before = await metric("sessions");
  await until(async () => {
    await agent();
    const now = await metric("sessions");
    return Object.keys(now).every((worker) => now[worker] > before[worker]);
  }, "new sessions on every worker");
});

test("a worker that stands still for worker_timeout_ms is ended and started again", async () => {
  await start("--worker-timeout-ms", "2500");
  const [pid] = workersOf(parley);
  process.kill(pid, "SIGSTOP");
  await until(() => !workersOf(parley).includes(pid), "its end");
  await until(isWell, "all workers");
  assert.equal(sum(await metric("worker_hangs_total")), 1);
  assert.equal(sum(await metric("worker_restarts_total")), 1);
});

/** The master has looked at its workers, and they are in these states. */
async function untilSeen(states) {
  const at = parley.output.length;
  await until(() => {
    parley.child.kill("SIGUSR1");
    const seen = [...parley.output.slice(at).matchAll(/msg="worker" number=\d+ pid=\d+ state=(\S+)/g)].slice(-WORKERS).map(([, state]) => state);
    return seen.length === WORKERS && states(seen);
  }, "what the master says of its workers");
}

test("if all workers stand still, new connections wait and are not refused", async () => {
  await start("--worker-timeout-ms", "0");
  const pids = workersOf(parley);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  await untilSeen((states) => states.every((state) => state === "silent"));
  const answer = requestOnce("/ready").catch((error) => error);
  await untilSeen(() => true);
  for (const pid of pids) process.kill(pid, "SIGCONT");
  assert.equal((await answer).status, 200);
  await until(isWell, "all workers");
});

test("no worker is ended because all processes stood still, as in a paused container", async () => {
  await start("--worker-timeout-ms", "5000");
  const pids = workersOf(parley);
  await until(isWell, "all workers");
  for (const pid of [parley.child.pid, ...pids]) process.kill(pid, "SIGSTOP");
  await sleep(5500); // longer than the time-out
  parley.child.kill("SIGCONT");
  await untilSeen(() => true);
  for (const pid of pids) process.kill(pid, "SIGCONT");
  await until(isWell, "all workers");
  assert.deepEqual(workersOf(parley), pids);
  assert.equal(sum(await metric("worker_hangs_total")), 0);
});

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`rooms reach over all workers, without sticky sessions: ${transports.join(" + ")}`, async () => {
    await start();
    const agents = await agentsEverywhere({ transports });
    const from = await feed({ transports });
    await from.ask("call:start", { call_id: "wide" });
    for (const socket of agents) assert.equal((await socket.ask("call:subscribe", { call_id: "wide" })).ok, true);
    if (transports.length === 2) await until(() => agents.every((socket) => socket.io.engine.transport.name === "websocket"), "upgrades");
    for (let i = 1; i <= 20; i++) {
      const answer = await from.ask("transcription:update", line("wide", `line ${i}`));
      assert.equal(answer.ok, true);
    }
    const texts = (socket) => socket.seen("transcription:update").map(({ text }) => text);
    await until(() => agents.every((socket) => texts(socket).length === 20), "all lines");
    const expected = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
    for (const socket of agents) assert.deepEqual(texts(socket), expected);
    assert.equal(sum(await metric("bus_dropped_total")), 0);
    assertNoEnds(agents);
    if (transports[0] === "polling") assert.ok(sum(await metric("http_handed_over_total")) > 0);
  });
}

test("a snapshot among lines that other workers take loses none and doubles none", async () => {
  await start();
  const count = 1200;
  const from = await feed();
  await from.ask("call:start", { call_id: "flow" });
  const watchers = await Promise.all(Array.from({ length: 18 }, () => agent()));
  const snapshots = [];
  let acked = 0;
  for (let i = 1; i <= count; i++) {
    from.emit("transcription:update", line("flow", `l${i}`), (answer) => { acked += answer.ok; });
    if (i % 60 === 30) {
      const watcher = watchers.pop();
      watcher?.emit("call:subscribe", { call_id: "flow" }, (answer) => {
        snapshots.push([watcher, answer, watcher.seen("transcription:update").length]);
      });
    }
    if (i % 10 === 0) await sleep(1);
  }
  await until(() => acked === count && snapshots.length === 18, "all acks");
  await from.ask("transcription:update", line("flow", "the last"));
  await until(() => snapshots.every(([watcher]) => watcher.seen("transcription:update").at(-1)?.text === "the last"), "all lines");
  const all = Array.from({ length: count + 1 }, (_, i) => i + 1);
  let among = 0;
  for (const [watcher, answer, early] of snapshots) {
    assert.equal(early, 0, "a line came before the snapshot");
    const heard = [...answer.transcript, ...watcher.seen("transcription:update")].map(({ seq }) => seq);
    assert.deepEqual(heard, all);
    among += answer.transcript.length > 0 && answer.transcript.length < count;
  }
  assert.ok(among > 5);
});

test("agents of all workers are seen watching, also after one worker died", async () => {
  await start();
  const id = "crowd";
  const names = Array.from({ length: 9 }, (_, i) => `agent-${i}`);
  const from = await feed();
  await from.ask("call:start", { call_id: id });
  const watchers = [];
  for (const name of names) {
    const token = await parley.token("--sub", name);
    const watcher = await connect("/", { token }, webSocket);
    assert.equal((await watcher.ask("call:subscribe", { call_id: id })).ok, true);
    watchers.push(watcher);
  }
  const last = (watcher) => watcher.seen("agent:presence").at(-1);
  const isSeen = (expected) => watchers.filter(({ ends }) => !ends).every((watcher) => JSON.stringify(last(watcher)?.agents) === JSON.stringify(expected));
  await until(() => isSeen(names), "everybody");
  watchers.pop().disconnect();
  await until(() => isSeen(names.slice(0, -1)), "one fewer");
  process.kill(workersOf(parley)[0], "SIGKILL");
  await until(() => {
    const left = names.filter((_, i) => watchers[i] && !watchers[i].ends);
    return left.length < watchers.length && (left.length === 0 || isSeen(left));
  }, "those of the dead worker gone");
});

test("feedback, suggestions and numbers are the same from all workers; nothing acknowledged is lost", async () => {
  await start();
  const id = "shared";
  const feeds = await Promise.all(Array.from({ length: 6 }, () => feed()));
  await feeds[0].ask("call:start", { call_id: id });
  const sue = await connect("/", { token: await parley.token("--sub", "sue", "--role", "supervisor") }, webSocket);
  await sue.ask("call:subscribe", { call_id: id });
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) =>
    feeds[i % feeds.length].ask("transcription:update", line(id, `I got the wrong size, I want to return it ${i}`, { segment_id: `s${i}`, speaker: "customer" }))));
  const seqs = answers.map(({ seq }) => seq);
  assert.equal(new Set(seqs).size, 300);
  await until(() => sue.seen("ai:suggestion").length > 0, "a suggestion");
  await until(() => sue.seen("transcription:update").length === 300, "all lines");
  const heard = [...sue.seen("transcription:update"), ...sue.seen("ai:suggestion")].map(({ seq }) => seq).sort((a, b) => a - b);
  assert.deepEqual(heard, Array.from({ length: heard.length }, (_, i) => i + 1), "numbers grow by one");
  const agents = await Promise.all(Array.from({ length: 6 }, () => agent()));
  const [{ documents: [{ id: docId }] }] = sue.seen("ai:suggestion");
  for (const helper of agents) assert.deepEqual(await helper.ask("doc:feedback", { call_id: id, doc_id: docId, helpful: true }), { ok: true, helpful: 1, unhelpful: 0 });
  await until(() => sue.seen("doc:feedback").length === 6, "feedback at the supervisor");
  const snapshots = await Promise.all(agents.map((helper) => helper.ask("call:subscribe", { call_id: id })));
  for (const { transcript } of snapshots) assert.deepEqual(new Set(transcript.map(({ seq }) => seq)), new Set(seqs));
});

test("the demo plays once, whatever the number of workers", async () => {
  await start("--demo", "--demo-line-ms", "20", "--demo-pause-ms", "100");
  const { token } = JSON.parse((await request("/demo/token")).body);
  const guest = await connect("/", { token }, webSocket);
  const calls = await until(async () => (await guest.ask("call:list", {})).calls.length > 1 && (await guest.ask("call:list", {})).calls, "calls");
  assert.ok(calls.filter(({ status }) => status === "active").length <= 1);
  const subs = await Promise.all(Array.from({ length: 9 }, async () => JSON.parse((await request("/demo/token")).body).token));
  assert.equal(new Set(subs.map((jwt) => JSON.parse(Buffer.from(jwt.split(".")[1], "base64url")).sub)).size, 9);
});

const folder = mkdtempSync(join(tmpdir(), "parley-workers-"));
after(() => rmSync(folder, { recursive: true }));

function certificate(name) {
  const file = join(folder, name);
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${file}.key`, "-out", `${file}.pem`, "-days", "2", "-subj", `/CN=${name}`], { stdio: "ignore" });
}

for (const transports of [["polling"], ["polling", "websocket"]]) {
  test(`rooms reach over all workers over TLS, which stays where it is; the certificate changes everywhere: ${transports.join(" + ")}`, async () => {
    certificate("one");
    certificate("two");
    const install = (name) => ["pem", "key"].forEach((end) => copyFileSync(join(folder, `${name}.${end}`), join(folder, `server.${end}`)));
    install("one");
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // of the server's own start
    try {
      await start("--tls-cert", join(folder, "server.pem"), "--tls-key", join(folder, "server.key"));
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
    const agents = await agentsEverywhere({ transports });
    const from = await feed({ transports });
    await from.ask("call:start", { call_id: "secret" });
    for (const socket of agents) assert.equal((await socket.ask("call:subscribe", { call_id: "secret" })).ok, true);
    if (transports.length === 2) await until(() => agents.every((socket) => socket.io.engine.transport.name === "websocket"), "upgrades");
    for (let i = 1; i <= 10; i++) await from.ask("transcription:update", line("secret", `line ${i}`));
    await until(() => agents.every((socket) => socket.seen("transcription:update").length === 10), "all lines");
    assert.ok(sum(await metric("http_handed_over_total")) > 0);
    const names = async () => new Set(await Promise.all(Array.from({ length: 24 }, () => new Promise((resolve, reject) => {
      const socket = tls.connect({ port: parley.port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on("error", reject);
    }))));
    assert.deepEqual(await names(), new Set(["one"]));
    const connected = (session) => new Promise((resolve, reject) => {
      const socket = tls.connect({ port: parley.port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.2", session }, () => {
        resolve({ resumed: socket.isSessionReused(), session: socket.getSession() });
        socket.destroy();
      });
      socket.on("error", reject);
    });
    const { session } = await connected();
    const again = await Promise.all(Array.from({ length: 24 }, () => connected(session)));
    assert.ok(again.every(({ resumed }) => resumed), "a worker does not resume a session of another one");
    install("two");
    parley.child.kill("SIGHUP");
    await until(async () => (await names()).size === 1 && (await names()).has("two"), "the new certificate at all workers");
    assertNoEnds(agents);
  });
}

/** Cuts the connection as a network would. */
function cut(socket) {
  socket.io.engine.transport.ws.terminate();
}

test("a client whose connection broke recovers at whatever worker it comes back", async () => {
  await start("--recovery");
  const id = "recovered";
  const from = await feed();
  await from.ask("call:start", { call_id: id });
  const agents = await Promise.all(Array.from({ length: 12 }, () => agent({ ...webSocket, reconnection: true, reconnectionDelay: 150, reconnectionDelayMax: 150 })));
  for (const socket of agents) {
    assert.equal((await socket.ask("call:subscribe", { call_id: id })).ok, true);
    socket.first = socket.id;
    socket.connects = 0;
    socket.on("connect", () => socket.connects++);
  }
  const count = 150;
  for (let i = 1; i <= count; i++) {
    assert.equal((await from.ask("transcription:update", line(id, `l${i}`))).ok, true);
    if (i % 30 === 15) for (const socket of agents) if (socket.connected) cut(socket);
  }
  await until(() => agents.every((socket) => socket.connected && socket.seen("transcription:update").length >= count), "all lines");
  for (const socket of agents) {
    assert.deepEqual(socket.seen("transcription:update").map(({ text }) => text), Array.from({ length: count }, (_, i) => `l${i + 1}`));
    assert.equal(socket.id, socket.first);
    assert.ok(socket.connects > 0 && socket.recovered);
  }
  assert.ok(sum(await metric("bus_sessions_taken_total")) > 0);
});

test("a client that is back elsewhere ends its old connection, which nobody knew to be broken", async () => {
  await start("--recovery");
  const old = await agent();
  await connect("/feed", { token: parley.tokens.feed }, webSocket).then((from) => from.ask("call:start", { call_id: "twice" }));
  await old.ask("call:subscribe", { call_id: "twice" });
  const first = old.id;
  for (let i = 0; i < 6; i++) {
    const former = [...open].at(-1).nsp === "/" ? [...open].at(-1) : old;
    const now = io(parley.url, { auth: { token: parley.tokens.alice }, forceNew: true, autoConnect: false, reconnection: false, ...webSocket });
    open.add(now);
    now._pid = former._pid;
    now._lastOffset = former._lastOffset;
    const connected = new Promise((resolve, reject) => { now.once("connect", resolve); now.once("connect_error", reject); });
    now.connect();
    await connected;
    assert.ok(now.recovered);
    assert.equal(now.id, first);
    await until(() => !former.connected, "the old connection's end");
  }
});

test("a client of a worker that died gets a new session, and what it missed by asking", async () => {
  await start("--recovery");
  const id = "crashed";
  const from = await feed();
  await from.ask("call:start", { call_id: id });
  const agents = await agentsEverywhere({ ...webSocket, reconnection: true, reconnectionDelay: 50 });
  for (const socket of agents) await socket.ask("call:subscribe", { call_id: id });
  const victim = Number(/worker="(\d)"/.exec((await request("/metrics")).body.match(/^parley_sessions\{worker="\d"\} [1-9]\d*$/m)[0])[1]);
  process.kill(workersOf(parley)[victim], "SIGKILL");
  await until(() => agents.some((socket) => socket.ends), "an end");
  await until(() => agents.every((socket) => socket.connected), "all again");
  const lost = agents.filter((socket) => socket.ends);
  for (const socket of lost) {
    assert.equal(socket.recovered, false);
    assert.equal((await socket.ask("call:subscribe", { call_id: id })).ok, true);
  }
  const another = from.connected ? from : await feed();
  await another.ask("transcription:update", line(id, "after"));
  await until(() => agents.every((socket) => socket.seen("transcription:update").at(-1)?.text === "after"), "the line at all");
});

test("SIGUSR1 makes all describe themselves; log lines say which worker speaks", async () => {
  await start();
  await agentsEverywhere();
  parley.child.kill("SIGUSR1");
  for (const worker of [0, 1, 2]) {
    const line = new RegExp(`msg="socket" worker=${worker} user=alice`);
    await until(() => line.test(parley.output), `a line of worker ${worker}`);
    assert.match(parley.output, new RegExp(`msg="worker" number=${worker} pid=\\d+ state=up`));
  }
});

test("SIGTERM ends all workers, also one that stands still, with status 0", async () => {
  await start();
  const agents = await agentsEverywhere();
  process.kill(workersOf(parley)[2], "SIGSTOP");
  await parley.stop();
  await until(() => agents.every((socket) => socket.ends === 1), "the sockets' ends");
});

test("SIGTERM to one worker ends it gently and another takes its place", async () => {
  await start();
  const before = workersOf(parley);
  process.kill(before[0], "SIGTERM");
  await until(() => workersOf(parley).length === WORKERS && !workersOf(parley).includes(before[0]), "a new worker");
  await until(isWell, "all workers");
  assert.match(parley.output, /msg="drained" worker=0/);
});

test("workers end when the master is killed", async () => {
  await start();
  const workers = workersOf(parley);
  parley.child.kill("SIGKILL");
  await parley.ended;
  await until(() => workers.every((pid) => {
    try { return process.kill(pid, 0) && readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "); } catch { return true; }
  }), "the workers' ends");
});

test("several workers do not hide that the port is another's, nor start without a store in files", async () => {
  await start();
  const second = await runParley("--workers", "2", "--port", String(parley.port), "--data", parley.data);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /cannot listen .* Address already in use/);
  const memory = await runParley("--workers", "2", "--port", "0", "--data", ":memory:");
  assert.equal(memory.code, 2);
  assert.match(memory.stderr, /option workers: invalid value '2' with data :memory:/);
  const refused = await runParley("--workers", "2", "--port", "0", "--data", parley.data, "--tls-cert", "/nothing", "--tls-key", "/nothing");
  assert.equal(refused.code, 2);
  assert.equal((await health()).workers_up, WORKERS);
});
