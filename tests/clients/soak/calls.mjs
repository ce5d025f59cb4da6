// The clients of scripts/soak-calls, in one process beside the server.
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as tcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";
import { sleep, until, within } from "../../support/wait.mjs";

const number = (fallback) => ({ type: "string", default: String(fallback) });
const { values } = parseArgs({ options: { seconds: number(600), agents: number(2000), calls: number(200), rate: number(1000), parley: { type: "string", default: "build/release/bin/parley" } } });
const [SECONDS, AGENTS, CALLS, RATE] = ["seconds", "agents", "calls", "rate"].map((name) => Number(values[name]));
const SECRET = "a secret of the soak test alone, long enough";
const FEEDS = 10, TICK_MS = 20, GROWTH = 1.1, GARBAGE_MS = 100;
const SEQUENCED = ["transcription:update", "ai:suggestion", "call:status", "call:alert", "call:summary"];

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function tokenOf(claims) {
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 86400, ...claims })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

const folder = mkdtempSync(join(tmpdir(), "parley-soak-"));
const off = ["max-handshakes-per-second", "max-handshakes-per-second-per-address", "max-sessions", "max-sessions-per-address", "max-connections", "max-connections-per-address", "feed-events-per-second", "feed-bytes-per-second", "address-events-per-second", "address-bytes-per-second"];
const limits = off.flatMap((name) => [`--${name}`, "0"]);
const server = spawn(values.parley, ["--port", "0", "--data", folder, "--jwt-secret", SECRET, ...limits], { stdio: ["ignore", "pipe", "pipe"] });
let output = "";
for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => (output += chunk));
const ended = new Promise((resolve) => server.on("exit", resolve));
const [, url, port] = await until(() => /listens on (http:.*:(\d+))\/$/m.exec(output), () => output);

const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) / 1024;
const cpu = () => { const at = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" "); return (Number(at[11]) + Number(at[12])) / 100; };
const wrong = { lost: 0, doubled: 0, misdelivered: 0, refused: 0 };
const delays = [];
const did = { returned: 0, stalled: 0, "lost rights": 0, garbage: 0, lines: 0, delivered: 0 };

const open = (namespace, token) => {
  const socket = io(url + namespace, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  return within("a connection", new Promise((resolve, reject) => socket.once("connect", () => resolve(socket)).once("connect_error", reject)));
};

class Agent {
  constructor(i) {
    this.call = `soak-${i % CALLS}`;
    this.user = `agent-${i}`;
    this.token = tokenOf({ sub: this.user, role: "agent", calls: [this.call] });
    this.other = tokenOf({ sub: this.user, role: "agent", calls: ["another"] });
    this.lines = new Set();
    this.seq = 0;
  }
  take(event, data, isLive) {
    if (data.call_id !== this.call || this.isBarred) { wrong.misdelivered++; return; }
    if (data.seq <= this.seq) { wrong.doubled++; return; }
    if (isLive && data.seq !== this.seq + 1) wrong.lost += data.seq - this.seq - 1;
    this.seq = data.seq;
    if (event !== "transcription:update") return;
    const [n, sent] = data.text.split(" ").map((word) => parseInt(word.slice(1), 36));
    if (this.lines.has(n)) wrong.doubled++;
    this.lines.add(n);
    did.delivered++;
    if (isLive && this.isSteady) delays.push(Date.now() - sent);
  }
  // The answer is looked at when it comes: lines that arrive in the same read are behind it.
  subscribe() {
    return new Promise((resolve, reject) => {
      this.socket.timeout(60000).emit("call:subscribe", { call_id: this.call, since_seq: this.seq }, (error, answer) => {
        if (error) { reject(error); return; }
        this.takeSnapshot(answer);
        resolve();
      });
    });
  }
  takeSnapshot(answer) {
    if (!answer.ok) { wrong.refused++; return; }
    const missed = [...answer.transcript.map((data) => ["transcription:update", data]), ...answer.suggestions.map((data) => ["ai:suggestion", data])];
    for (const [event, data] of missed.sort(([, a], [, b]) => a.seq - b.seq)) this.take(event, data, false);
    this.seq = Math.max(this.seq, answer.seq);
    this.isSteady = true;
  }
  async connect() {
    this.socket = await open("/", this.token);
    for (const event of SEQUENCED) this.socket.on(event, (data) => this.take(event, data, true));
    await this.subscribe();
  }
  async comeBack() {
    this.isSteady = false;
    this.socket.disconnect();
    await sleep(Math.random() * 2000);
    await this.connect();
    did.returned++;
  }
  async stall() {
    const raw = this.socket.io.engine.transport.ws._socket;
    this.isSteady = false;
    raw.pause();
    await sleep(1000 + Math.random() * 2000);
    raw.resume();
    did.stalled++;
  }
  async loseRights() {
    this.isSteady = false;
    if (!(await this.socket.timeout(60000).emitWithAck("auth:refresh", { token: this.other })).ok) wrong.refused++;
    this.isBarred = true;
    await sleep(1000);
    if ((await this.socket.timeout(60000).emitWithAck("call:subscribe", { call_id: this.call })).ok) wrong.misdelivered++;
    this.isBarred = false;
    await this.socket.timeout(60000).emitWithAck("auth:refresh", { token: this.token });
    await this.subscribe();
    did["lost rights"]++;
  }
}

const acked = Array.from({ length: CALLS }, () => 0);
const feeds = await Promise.all(Array.from({ length: FEEDS }, (_, i) => open("/feed", tokenOf({ sub: `feed-${i}`, role: "feed", calls: "*" }))));
for (let c = 0; c < CALLS; c++) await feeds[c % FEEDS].emitWithAck("call:start", { call_id: `soak-${c}` });
const agents = Array.from({ length: AGENTS }, (_, i) => new Agent(i));
for (let i = 0; i < AGENTS; i += 50) await Promise.all(agents.slice(i, i + 50).map((agent) => agent.connect()));
console.log(`${AGENTS} agents, ${CALLS} calls; the server has ${rss().toFixed(0)} MB`);

let isOver = false;
const begin = Date.now();
async function speak() {
  const sent = Array.from({ length: CALLS }, () => 0), pending = new Set();
  for (let total = 0; !isOver; await sleep(TICK_MS)) {
    for (const due = ((Date.now() - begin) / 1000) * RATE; total < due; total++) {
      const c = total % CALLS;
      const line = { call_id: `soak-${c}`, speaker: "agent", text: `n${(sent[c]++).toString(36)} t${Date.now().toString(36)} and what else is said in a line of usual length`, segment_id: `s${sent[c]}` };
      const done = feeds[c % FEEDS].timeout(60000).emitWithAck("transcription:update", line).then(({ ok }) => { if (ok) acked[c]++; else wrong.refused++; }).finally(() => pending.delete(done));
      pending.add(done);
    }
  }
  await Promise.all(pending);
}
const busy = new Set();
async function disturb() {
  while (!isOver) {
    await sleep(1000 / Math.max(1, AGENTS / 100));
    const agent = agents[Math.floor(Math.random() * AGENTS)];
    if (busy.has(agent)) continue;
    busy.add(agent);
    const what = [agent.comeBack, agent.stall, agent.loseRights][Math.floor(Math.random() * 3)];
    what.call(agent).catch((error) => { wrong.refused++; console.error(`${agent.user}: ${error.message}`); }).finally(() => busy.delete(agent));
  }
}
async function misbehave() {
  const texts = ["GET / HTTP/9\r\n\r\n", "\0\0\0", "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n9zz", "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\xff\xff\xff\xff"];
  for (let i = 0; !isOver; i++, await sleep(GARBAGE_MS)) {
    const socket = tcp(Number(port), "127.0.0.1", () => socket.write(texts[i % texts.length], "latin1"));
    socket.on("error", () => {});
    setTimeout(() => socket.destroy(), 500);
    did.garbage++;
  }
}
const running = [speak(), disturb(), misbehave()];
await sleep((SECONDS * 1000) / 4);
const [memory, time, delivered] = [rss(), cpu(), did.delivered];
await sleep((SECONDS * 3000) / 4);
const spent = (cpu() - time) / (SECONDS * 0.75);
const [rate, grown] = [(did.delivered - delivered) / (SECONDS * 0.75), rss()];
isOver = true;
await Promise.all(running);
await until(() => busy.size === 0, "all that is under way");
did.lines = acked.reduce((sum, count) => sum + count, 0);
const missing = () => agents.reduce((sum, agent) => sum + Math.max(0, acked[Number(agent.call.slice(5))] - agent.lines.size), 0);
await until(() => missing() === 0, () => `${missing()} lines at agents`, 30000).catch(() => { wrong.lost += missing(); });

delays.sort((a, b) => a - b);
const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))];
const metrics = await (await fetch(`${url}/metrics`)).text();
const metric = (name) => Number(new RegExp(`^parley_${name} (\\S+)$`, "m").exec(metrics)?.[1] ?? NaN);
const late = (le) => Number(new RegExp(`timer_lateness_seconds_bucket\\{le="${le}"\\} (\\d+)`).exec(metrics)?.[1] ?? NaN);
console.log(Object.entries(did).map(([name, count]) => `${name}: ${count}`).join(", "));
console.log(Object.entries(wrong).map(([name, count]) => `${name}: ${count}`).join(", "));
console.log(`feed to agent: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms, of ${delays.length} deliveries; ${rate.toFixed(0)} deliveries a second, ${(100 * spent).toFixed(0)} % of a core`);
console.log(`memory: ${memory.toFixed(0)} MB after a quarter, ${grown.toFixed(0)} MB at the end; timers late by more than 20 ms: ${late("[+]Inf") - late("0.02")} of ${late("[+]Inf")}; ` +
  `turns longer than 20 ms: ${metric("long_turns_total")} of ${metric("turns_total")}, the longest ${Math.round(metric("turn_max_seconds") * 1000)} ms`);
for (const socket of [...feeds, ...agents.map((agent) => agent.socket)]) socket.disconnect();
server.kill("SIGTERM");
const status = await within("the server's end", ended);
rmSync(folder, { recursive: true, force: true });
const failed = status !== 0 || grown > memory * GROWTH || Object.values(wrong).some((count) => count > 0);
console.log(failed ? "failed" : "passed");
process.exit(failed ? 1 : 0);
