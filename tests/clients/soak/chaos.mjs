// The load of scripts/chaos and what must hold whatever breaks: see there. chaos-cluster.mjs has what is broken.
import { parseArgs } from "node:util";
import { io } from "socket.io-client";
import { sleep, until, within } from "../../support/wait.mjs";
import { Cluster, tokenOf } from "./chaos-cluster.mjs";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "60" }, seed: { type: "string", default: String(Date.now() % 1000000) },
  only: { type: "string", default: "kill,pause,cut,disk,clock" }, parley: { type: "string", default: "build/release/bin/parley" } } });
const MINUTES = Number(values.minutes), CALLS = 4, AGENTS = 2, CHATS = 3, LINE_MS = 60, SETTLE_MS = 120000;
const EVENTS = ["transcription:update", "ai:suggestion", "call:status", "call:alert", "call:summary"];

let state = Number(values.seed);
const some = (n) => { state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff; return Math.floor((state / 0x80000000) * n); };
const wrong = [], did = { lines: 0, "lines refused": 0, delivered: 0, gaps: 0, reconnects: 0, turns: 0, "turns that failed": 0 };
const complain = (what) => { if (wrong.length < 50) console.log(`VIOLATION ${what}`); wrong.push(what); };
let isOver = false;

// ------------------------------------------------------------------- calls

/** Posts lines of one call, each until it is acknowledged. */
class Feed {
  constructor(id, nodes) {
    Object.assign(this, { id, nodes, acked: new Map(), at: 0, token: tokenOf({ sub: `feed-${id}`, role: "feed", calls: "*" }) });
  }

  async post(path, body) {
    for (;; await sleep(100)) {
      const node = this.nodes[this.at % this.nodes.length];
      try {
        const response = await fetch(`${node.url}/api/v1/calls${path}`, { method: "POST", headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(8000) });
        const answer = await response.json();
        if (response.ok) return answer;
        did["lines refused"]++;
        if (![429, 500, 503, 507].includes(response.status)) complain(`${this.id}: ${path} was answered ${response.status} ${JSON.stringify(answer)}`);
        if (response.status === 500) complain(`${this.id}: ${path}: ${JSON.stringify(answer)}`);
      } catch { this.at++; /* nobody knows whether it arrived: it is sent again, to another */ }
    }
  }

  async run() {
    await this.post("", { call_id: this.id });
    for (let n = 0; !isOver; n++, await sleep(LINE_MS)) {
      const text = `line ${n} of ${this.id}`;
      const { seq } = await this.post(`/${this.id}/transcription`, { text, speaker: "customer", is_final: true, segment_id: `s${n}` });
      this.acked.set(text, seq);
      did.lines++;
    }
  }
}

/** Watches a call and comes back whenever its connection breaks; asks again at a gap. */
class Agent {
  constructor(id, node, number) {
    Object.assign(this, { id, node, name: `${id}-${number}`, lines: new Map(), seq: 0 });
    this.token = tokenOf({ sub: this.name, role: "agent", calls: [id] });
  }

  take(event, data, live) {
    if (data.call_id !== this.id) { complain(`${this.name} was sent ${event} of ${data.call_id}`); return; }
    // The number that the call has reached, after an outage: not an entry.
    if (live && data.reached) { if (data.seq > this.seq) this.wants = true; return; }
    if (live) {
      const said = `${new Date().toISOString()} ${event} ${JSON.stringify(data)}`, before = this.live.get(data.seq);
      if (before !== undefined) complain(`${this.name} was sent ${data.seq} twice on one connection: ${before}; ${said}; read at ${this.readAt}`);
      this.live.set(data.seq, said);
    }
    if (event === "transcription:update") {
      const before = this.lines.get(data.text);
      if (before !== undefined && before !== data.seq) complain(`${this.name}: "${data.text}" is ${before} and ${data.seq}`);
      if (before === undefined) did.delivered++;
      this.lines.set(data.text, data.seq);
    }
    if (!live) return;
    if (data.seq > this.seq + 1) { did.gaps++; this.wants = true; } else if (data.seq === this.seq + 1 && !this.wants) this.seq = data.seq;
  }

  /** Pages of what came after `seq`. */
  async read(socket) {
    this.readAt = new Date().toISOString();
    for (let more = true; more;) {
      const answer = await socket.timeout(8000).emitWithAck("call:subscribe", { call_id: this.id, since_seq: this.seq });
      if (!answer.ok) { if (answer.error.code === 404 || answer.error.code === 403) this.refused = answer.error; throw new Error(JSON.stringify(answer.error)); }
      const entries = [...answer.transcript.map((data) => ["transcription:update", data]), ...answer.suggestions.map((data) => ["ai:suggestion", data])];
      for (const [event, data] of entries) this.take(event, data, false);
      const last = Math.max(this.seq, ...entries.map(([, data]) => data.seq));
      more = answer.more === true && last > this.seq;
      this.seq = more ? last : Math.max(last, answer.seq);
    }
  }

  async run() {
    while (!this.isOver) {
      const socket = io(this.node.url, { auth: { token: this.token }, forceNew: true, reconnection: false, transports: ["websocket"], timeout: 5000 });
      this.live = new Map();
      for (const event of EVENTS) socket.on(event, (data) => this.take(event, data, true));
      try {
        await within("connect", new Promise((resolve, reject) => { socket.once("connect", resolve); socket.once("connect_error", reject); socket.once("disconnect", reject); }), 8000);
        await this.read(socket);
        while (socket.connected && !this.isOver) {
          if (this.wants) { this.wants = false; await this.read(socket); }
          await sleep(50);
        }
      } catch { /* it is down, or late */ }
      socket.disconnect();
      did.reconnects++;
      await sleep(200);
    }
  }
}

// ------------------------------------------------------------------- chats

/** A user who asks, waits for the end, and asks again, at one node or another. */
class Chat {
  constructor(number, nodes) {
    Object.assign(this, { name: `user-${number}`, nodes, at: number, acked: [], log: new Map() });
    this.token = tokenOf({ sub: this.name, role: "user" });
  }

  async connect() {
    const socket = io(`${this.nodes[this.at++ % this.nodes.length].url}/chat`, { auth: { token: this.token }, forceNew: true, reconnection: false, transports: ["websocket"], timeout: 5000 });
    socket.onAny((event, data) => this.take(event, data));
    await within("connect", new Promise((resolve, reject) => { socket.once("connect", resolve); socket.once("connect_error", reject); socket.once("disconnect", reject); }), 8000).catch((error) => { socket.disconnect(); throw error; });
    return socket;
  }

  take(event, data) {
    if (!data?.seq || !data.chat_id || ["session.ready", "chat.reasoning", "debug"].includes(event)) return;
    if (data.chat_id !== this.id) { if (this.id) complain(`${this.name} was sent ${event} of ${data.chat_id}`); return; }
    const text = JSON.stringify([event, data]), before = this.log.get(data.seq);
    if (before !== undefined && before !== text) complain(`${this.name}: entry ${data.seq} is ${before} and ${text}`);
    this.log.set(data.seq, text);
  }

  /** Up to which there is no hole. */
  get whole() { let seq = 0; while (this.log.has(seq + 1)) seq++; return seq; }

  async init(socket) {
    const answer = await socket.timeout(8000).emitWithAck("session.init", this.id ? { chat_id: this.id, since_seq: this.whole } : {});
    if (!answer.ok) throw new Error(JSON.stringify(answer.error));
    if (!this.id) this.log.clear();
    this.id = answer.chat_id;
    return answer;
  }

  /** Does something at a node, with a new connection until it works. */
  async insist(what) {
    for (;; await sleep(200)) {
      let socket;
      try {
        socket = await this.connect();
        await this.init(socket);
        return await what(socket);
      } catch { /* once more */ } finally { socket?.disconnect(); }
    }
  }

  entries() { return [...this.log.values()].map((text) => JSON.parse(text)); }
  ends(id) { return this.entries().filter(([event, data]) => (event === "chat.done" || event === "error") && data.ref_id === id); }

  async run() {
    for (let n = 0; !isOver; n++) {
      const id = `${this.name}-${n}`;
      await this.insist(async (socket) => {
        const answer = await socket.timeout(8000).emitWithAck("chat.message", { id, chat_id: this.id, content: `question ${n}`, queue: true });
        if (!answer.ok && ![429, 500, 503, 507].includes(answer.error.code)) complain(`${this.name}: chat.message was answered ${JSON.stringify(answer.error)}`);
        if (!answer.ok) throw new Error(answer.error.message);
      });
      this.acked.push(id);
      did.turns++;
      await this.insist((socket) => until(() => this.ends(id).length > 0 || !socket.connected, "the end", 10000).then(() => { if (this.ends(id).length === 0) throw new Error("gone"); }));
      if (this.ends(id)[0][0] === "error") did["turns that failed"]++;
    }
  }
}

// -------------------------------------------------------------------- faults

async function breakThings(cluster, end) {
  const kinds = cluster.faults(some), plan = Object.entries(kinds).filter(([kind]) => values.only.split(",").includes(kind)).flatMap(([, list]) => list), count = {};
  const begin = Date.now();
  while (Date.now() < end) {
    await sleep(500 + some(4000));
    // One, or two that overlap.
    const chosen = Array.from({ length: some(4) === 0 ? 2 : 1 }, () => plan[some(plan.length)]()).filter(([text], i, all) => i === 0 || text.split(/[ ,]/)[1] !== all[0][0].split(/[ ,]/)[1]);
    for (const [text] of chosen) { console.log(`${((Date.now() - begin) / 1000).toFixed(1).padStart(7)} s  ${text}`); const kind = text.replace(/ (?:for|by|,).*|, down.*/, "").replace(/\d+ of /, ""); count[kind] = (count[kind] ?? 0) + 1; }
    await Promise.all(chosen.map(([, run]) => run()));
    for (const node of cluster.nodes) {
      if (node.child.exitCode === null && node.child.signalCode === null) continue;
      // One whose database was away when it started ends with a line that says so; a service manager starts it again.
      node.deaths = node.deaths.filter((death) => !death.endsWith(": 1"));
      node.start();
    }
  }
  return count;
}

// -------------------------------------------------------------------- checks

/** The lines of a call, as a new agent at that node is given them. */
async function readCall(node, id) {
  const agent = new Agent(id, node, `check-${node.name}`);
  await until(async () => {
    const socket = io(node.url, { auth: { token: agent.token }, forceNew: true, reconnection: false, transports: ["websocket"] });
    agent.live = new Map();
    try {
      await new Promise((resolve, reject) => { socket.once("connect", resolve); socket.once("connect_error", reject); });
      await agent.read(socket);
      return true;
    } catch { return false; } finally { socket.disconnect(); }
  }, `call ${id} at ${node.name}`, SETTLE_MS);
  return agent.lines;
}

async function checkCalls(feeds, agents) {
  for (const feed of feeds) {
    const lists = await Promise.all([...new Set(feed.nodes)].map((node) => readCall(node, feed.id)));
    for (const [i, lines] of lists.entries()) {
      const where = `${feed.id} at ${[...new Set(feed.nodes)][i].name}`;
      for (const [text, seq] of feed.acked) if (lines.get(text) !== seq) complain(`${where}: "${text}" was acknowledged with ${seq} and is ${lines.get(text) ?? "lost"}`);
      const numbers = [...lines.values()];
      if (new Set(numbers).size !== numbers.length) complain(`${where}: two lines have one number`);
    }
  }
  for (const agent of agents) {
    const feed = feeds.find(({ id }) => id === agent.id), missing = () => [...feed.acked.keys()].filter((text) => !agent.lines.has(text));
    await until(() => missing().length === 0, "", SETTLE_MS).catch(() => complain(`${agent.name} never got ${missing().length} lines, the first "${missing()[0]}"${agent.refused ? `; ${JSON.stringify(agent.refused)}` : ""}`));
  }
}

async function checkChats(chats) {
  for (const chat of chats) {
    for (const node of new Set(chat.nodes)) {
      const reader = new Chat(0, [node]);
      Object.assign(reader, { token: chat.token, name: `${chat.name} at ${node.name}`, id: chat.id });
      await within(`the log of ${reader.name}`, reader.insist(async (socket) => { const { seq } = await socket.timeout(8000).emitWithAck("session.init", { chat_id: chat.id, since_seq: reader.whole }); await until(() => reader.whole >= seq, "all", 20000); }), SETTLE_MS)
        .catch(() => complain(`${reader.name}: the log has a hole behind ${reader.whole} of ${Math.max(...reader.log.keys())}`));
      for (const id of chat.acked) {
        const ends = reader.ends(id);
        if (ends.length !== 1) complain(`${reader.name}: ${id} has ${ends.length} ends: ${JSON.stringify(ends)}`);
      }
      for (const [seq, text] of chat.log) if (reader.log.get(seq) !== text) complain(`${reader.name}: entry ${seq} was ${text} and is ${reader.log.get(seq)}`);
    }
  }
}

// ---------------------------------------------------------------------- all

console.log(`chaos: seed ${values.seed}, ${MINUTES} minutes`);
const cluster = await Cluster.open(values.parley);
if (!cluster.hasClocks) console.log("chaos: clocks are not stepped: libfaketime is missing (Debian: faketime), or the server does not run with it");
const pair = [cluster.a, cluster.b], feeds = [], agents = [], chats = [];
for (let c = 0; c < CALLS; c++) {
  const nodes = c === CALLS - 1 ? [cluster.alone] : c % 2 ? [cluster.b, cluster.a] : pair;
  feeds.push(new Feed(`call-${c}`, nodes));
  for (let i = 0; i < AGENTS; i++) agents.push(new Agent(`call-${c}`, nodes[i % nodes.length], i));
}
for (let i = 0; i < CHATS; i++) chats.push(new Chat(i, i === CHATS - 1 ? [cluster.alone] : pair));
const posting = feeds.map((feed) => feed.run());
await until(() => feeds.every((feed) => feed.acked.size > 0), "a line of each call", SETTLE_MS);
const watching = agents.map((agent) => agent.run()), asking = chats.map((chat) => chat.run());
const count = await breakThings(cluster, Date.now() + MINUTES * 60000);
console.log("chaos: all is whole again; waiting for what is under way");
await cluster.wait();
isOver = true;
await within("the feeds and users", Promise.all([...posting, ...asking]), SETTLE_MS).catch((error) => complain(error.message));
await checkCalls(feeds, agents);
await checkChats(chats);
for (const agent of agents) agent.isOver = true;
await Promise.all(watching);
if (wrong.length > 0) for (const node of cluster.nodes) console.log(cluster.tail(node));
for (const what of await cluster.close()) complain(what);
console.log(Object.entries(count).map(([what, times]) => `${what}: ${times}`).join(", "));
console.log(Object.entries(did).map(([what, times]) => `${what}: ${times}`).join(", "));
console.log(`chaos: seed ${values.seed}: ${wrong.length === 0 ? "nothing lost, nothing doubled, nobody was sent what is another's, each turn ended once" : `${wrong.length} violations`}`);
process.exit(wrong.length === 0 ? 0 : 1);
