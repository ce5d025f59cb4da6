// What one user may take is the same over one connection and over two hundred: whatever they all ask for at once, others
// are served in time, and memory is bounded.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { WebSocket } from "ws";
import { io } from "socket.io-client";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";

const SOCKETS = 200, LINES = 4000, ROUNDS = 20, PAUSE_MS = 10;
process.env.TEST_PARLEY ??= process.env.PARLEY;
const ASK_MS = 500, LINE_MS = 2000, GROWTH_MB = 250, EXPORTS = 60, EXPORTS_MB = 60;
// What is freed goes back at once, so that memory is what is held.
process.env.ASAN_OPTIONS = [process.env.ASAN_OPTIONS, "quarantine_size_mb=1"].filter(Boolean).join(":");

// What a server's threads have computed, in milliseconds.
const computedBy = (pid) => readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]) / 1e6, 0);

// In a thread of its own, so that it does not wait for the flood's own loop. A wait is measured by what the server
// computes for others meanwhile: how much of a second the machine gives it, and when, is not the server's to choose.
async function bystander() {
  const connect = async ({ url, token, nsp }) => {
    const socket = io(url + nsp, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
    await within("connect", new Promise((resolve, reject) => { socket.once("connect", resolve).once("connect_error", reject); }));
    return socket;
  };
  const { server, event, data } = workerData;
  const socket = await connect(server);
  const ask = async (what, about) => {
    const before = computedBy(server.pid);
    const answer = await socket.timeout(PATIENCE_MS).emitWithAck(what, about);
    assert.equal(answer.ok, true, JSON.stringify(answer));
    return computedBy(server.pid) - before;
  };
  if (event === "transcription:update") await ask("call:start", { call_id: "bystander" });
  parentPort.postMessage("ready");
  await new Promise((resolve) => { parentPort.once("message", resolve); });
  const waits = [];
  for (let i = 0; i < ROUNDS; i++) {
    waits.push(await ask(event, data));
    await sleep(PAUSE_MS);
  }
  socket.disconnect();
  parentPort.postMessage(Math.max(...waits));
}

class Bystander {
  constructor(server, event, data) {
    this.worker = new Worker(new URL(import.meta.url), { workerData: { server, event, data } });
    this.messages = [];
    this.worker.on("message", (message) => this.messages.push(message)).on("error", (error) => { this.error = error; });
  }

  next() {
    return until(() => { if (this.error) throw this.error; return this.messages.shift(); }, "a bystander");
  }

  begin() { this.worker.postMessage("begin"); }
}

const token = (parley, sub, more = {}) => sign(keyOf(parley), { sub, role: "agent", calls: "*", exp: now() + 3600, ...more });
const feedToken = (parley, sub) => token(parley, sub, { role: "feed" });

const megabytes = (parley, key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${parley.child.pid}/status`, "utf8"))[1]) / 1024;

async function post(parley, path, body) {
  const headers = { authorization: `Bearer ${feedToken(parley, "feed")}`, "content-type": "application/json" };
  const response = await fetch(parley.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(response.ok, `${response.status} ${await response.text()}`);
}

async function openSocket(parley, auth) {
  const ws = new WebSocket(`${parley.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
  ws.on("error", () => {});
  await within("connected", new Promise((resolve, reject) => {
    ws.on("message", (data) => {
      const head = data.toString("latin1", 0, 2);
      if (head[0] === "0") ws.send(`40${JSON.stringify({ token: auth })}`);
      if (head === "2") ws.send("3");
      if (head === "40") resolve();
      if (head === "43") ws.emit("answer");
    });
    ws.on("close", () => reject(new Error("closed")));
  }));
  return ws;
}

// What is sent on every socket, with `each` unanswered at any time.
const event = (name, data) => (i) => `42${i}${JSON.stringify([name, data(i)])}`;
const subscribe = event("call:subscribe", (i) => ({ call_id: "long", since_seq: i % LINES }));
const floods = {
  "call:subscribe from ever different lines": { say: () => subscribe, each: 10 },
  "call:subscribe, without reading the answers": { say: () => subscribe, each: 10, isDeaf: true },
  "call:subscribe, allowed by the call's own list": { say: () => subscribe, each: 10, more: { calls: [] } },
  "call:list": { say: () => event("call:list", () => ({})), each: 20 },
  "doc:feedback": { say: () => event("doc:feedback", (i) => ({ call_id: "long", doc_id: `d${i}`, helpful: true })), each: 20 },
  "auth:refresh": { say: (parley) => { const mine = token(parley, "eve"); return event("auth:refresh", () => ({ token: mine })); }, each: 20 },
};

async function openSockets(parley, sub, more) {
  return Promise.all(Array.from({ length: SOCKETS }, (_, i) => openSocket(parley, token(parley, sub(i), more))));
}

// As long as it lasts; a socket that does not read its answers sends no more than `each`.
function pour(sockets, say, each) {
  let count = 0, isOver = false;
  const once = (ws) => { if (!isOver) ws.send(say(count++)); };
  for (const ws of sockets) ws.on("answer", () => once(ws));
  for (let i = 0; i < each; i++) sockets.forEach(once);
  return () => { isOver = true; };
}

// POSTs over as many connections, as long as it lasts.
function pourPosts(parley, agent) {
  const lines = JSON.stringify(Array.from({ length: 100 }, (_, i) => ({ speaker: "agent", text: `line ${i}` })));
  const options = { method: "POST", agent, headers: { authorization: `Bearer ${feedToken(parley, "eve")}`, "content-type": "application/json" } };
  let isOver = false;
  const once = () => {
    if (isOver) return;
    http.request(`${parley.url}/api/v1/calls/poured/transcription`, options, (response) => response.resume().on("end", once)).on("error", () => {}).end(lines);
  };
  for (let i = 0; i < SOCKETS; i++) once();
  return () => { isOver = true; agent.destroy(); };
}

// Asks for exports, and reads no more than their beginning.
function askExports(parley) {
  const head = `GET /api/v1/calls/large/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token(parley, "eve")}\r\n\r\n`;
  return Promise.all(Array.from({ length: EXPORTS }, () => new Promise((resolve, reject) => {
    const socket = net.connect({ port: parley.port, host: "127.0.0.1" }, () => { socket.write(head); });
    socket.on("error", reject).once("data", (data) => {
      if (data.toString("latin1").startsWith("HTTP/1.1 200 ")) resolve(socket.pause());
      else reject(new Error(data.toString("latin1")));
    });
  })));
}

if (!isMainThread) {
  await bystander();
} else {
  const { startParley } = await import("../browser/server.mjs");
  let parley;
  let open = [];
  before(async () => {
    // Without the limits per second, which would end the flood.
    const free = ["socket", "feed", "user", "address"].flatMap((who) => [`--${who}-events-per-second`, "0", `--${who}-bytes-per-second`, "0"]);
    parley = await startParley("--log-level", "warn", ...free);
    await post(parley, "/api/v1/calls", { call_id: "long", agents: ["eve"] });
    await post(parley, "/api/v1/calls", { call_id: "poured" });
    for (let i = 0; i < LINES; i += 400) {
      await post(parley, "/api/v1/calls/long/transcription", Array.from({ length: 400 }, (_, k) => ({ speaker: "agent", text: `${i + k} ${"word ".repeat(50)}` })));
    }
  });
  afterEach(async () => {
    for (const ws of open) ws.terminate();
    open = [];
    await until(async () => (await (await fetch(`${parley.url}/health`)).json()).sockets === 0, "the flood's end", 10 * PATIENCE_MS);
  });
  after(() => parley?.stop());

  // What others see while `flood` is under way; it returns how it is ended.
  async function stands(flood, { event = "call:unsubscribe", data = { call_id: "none" }, most = GROWTH_MB } = {}) {
    const server = { url: parley.url, pid: parley.child.pid };
    const asks = new Bystander({ ...server, nsp: "/", token: token(parley, "ann") }, event, data);
    const lines = new Bystander({ ...server, nsp: "/feed", token: feedToken(parley, "other") }, "transcription:update", { call_id: "bystander", speaker: "agent", text: "a line" });
    for (const other of [asks, lines]) assert.equal(await other.next(), "ready");
    writeFileSync(`/proc/${parley.child.pid}/clear_refs`, "5"); // the peak begins anew
    const resident = megabytes(parley, "VmRSS");
    for (const other of [asks, lines]) other.begin();
    const end = await flood();
    const [ask, line] = [await asks.next(), await lines.next()];
    const grown = megabytes(parley, "VmHWM") - resident;
    end?.();
    const seen = `round trip ${ask.toFixed()} ms of computing, line ${line.toFixed()} ms, memory +${grown.toFixed()} MB`;
    console.log(`${seen}, the server ${computedBy(parley.child.pid).toFixed()} ms by now`);
    assert.ok(ask <= ASK_MS && line <= LINE_MS && grown <= most, seen);
  }

  describe(`${SOCKETS} connections of one user`, () => {
    for (const [what, { say, each, isDeaf, more }] of Object.entries(floods)) {
      test(what, async () => {
        open = await openSockets(parley, () => "eve", more);
        if (isDeaf) for (const ws of open) ws.pause();
        await stands(() => pour(open, say(parley), each));
      });
    }

    test(`${EXPORTS} exports that are not read`, async () => {
      let exports;
      // More of each than kernels hold of a connection.
      await post(parley, "/api/v1/calls", { call_id: "large" });
      for (let i = 0; i < 40; i++) await post(parley, "/api/v1/calls/large/transcription", Array.from({ length: 4 }, () => ({ speaker: "agent", text: "word ".repeat(12000) })));
      await stands(async () => { exports = await askExports(parley); }, { event: "call:list", data: {}, most: EXPORTS_MB });
      for (const socket of exports) socket.destroy();
    });

    test("POST", async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS });
      await stands(() => pourPosts(parley, agent));
    });
  });

  describe(`${SOCKETS} users`, () => {
    for (const what of ["call:subscribe from ever different lines", "call:list"]) {
      test(what, async () => {
        open = await openSockets(parley, (i) => `user ${i}`, { tenant: "acme" });
        const { say, each } = floods[what];
        await stands(() => pour(open, say(parley), each));
      });
    }
  });
}
