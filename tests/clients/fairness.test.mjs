// Nobody starves others: shares of the queue of work, snapshots that many share, limits before authentication.
import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let parley;
let tokens;
const open = new Set();

before(async () => {
  parley = await startParley("--snapshot-lines-max", "40", "--log-level", "warn");
  tokens = {
    feed: await parley.token("--sub", "feed", "--role", "feed"),
    ann: await parley.token("--sub", "ann", "--calls", "*"),
    eve: await parley.token("--sub", "eve", "--calls", "eves"),
    sue: await parley.token("--sub", "sue", "--role", "supervisor"),
  };
});
afterEach(() => {
  for (const socket of open) socket.disconnect();
  open.clear();
});
after(() => parley?.stop());

function connect(namespace, auth) {
  const socket = io(parley.url + namespace, { auth, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.add(socket);
  socket.log = [];
  socket.onAny((event, data) => socket.log.push([event, data]));
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

// A socket that asks for something and reads nothing until it is told to.
async function openDeaf(url, token, packet) {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  ws.on("error", () => {});
  ws.answered = new Promise((resolve) => { ws.on("message", (data) => { if (data.toString("latin1", 0, 2) === "43") resolve(); }); });
  await within("connected", new Promise((resolve) => {
    ws.on("message", (data) => {
      if (data[0] === 0x30) ws.send(`40${JSON.stringify({ token })}`);
      if (data.toString("latin1", 0, 2) === "40") resolve();
    });
  }));
  ws.pause();
  ws.send(packet);
  return ws;
}

async function metric(name) {
  const text = await (await fetch(`${parley.url}/metrics`)).text();
  return Number(text.match(new RegExp(`^parley_${name} (\\d+)`, "m"))[1]);
}

// What `ask` says lies before the server all at once: it stands still until that has left this process.
async function allAtOnce(sockets, ask) {
  const isWritten = ({ io: { engine } }) => engine.writeBuffer.length === 0 && engine.transport.ws._socket.writableLength === 0;
  parley.child.kill("SIGSTOP");
  try {
    const asked = ask();
    await until(() => sockets.every(isWritten), "all is written");
    return asked;
  } finally {
    parley.child.kill("SIGCONT");
  }
}

async function callWithLines(id, count) {
  const from = await connect("/feed", { token: tokens.feed });
  await from.ask("call:start", { call_id: id });
  const answers = [];
  for (let i = 1; i <= count; i++)
    answers.push(from.ask("transcription:update", { call_id: id, speaker: "agent", text: `line ${i}` }));
  await Promise.all(answers);
  return from;
}

test("agents that come back together share one reading of the call, and miss nothing after it", async () => {
  const from = await callWithLines("herd", 30);
  const agents = await Promise.all(Array.from({ length: 60 }, () => connect("/", { token: tokens.ann })));
  const before = await metric("store_reads_total");
  const asked = await allAtOnce(agents, () => agents.map((agent) => agent.ask("call:subscribe", { call_id: "herd" })));
  const said = [];
  for (let i = 31; i <= 35; i++)
    said.push(from.ask("transcription:update", { call_id: "herd", speaker: "agent", text: `line ${i}` }));
  const snapshots = await Promise.all(asked);
  await Promise.all(said);
  assert.ok((await metric("store_reads_total")) - before < 40, "fewer readings than agents");
  await from.ask("transcription:update", { call_id: "herd", speaker: "agent", text: "the last" });
  for (const [i, agent] of agents.entries()) {
    const live = () => agent.log.filter(([event]) => event === "transcription:update").map(([, data]) => data.seq);
    await until(() => live().at(-1) === 36, () => `the last line: ${live()}`);
    const seqs = [...snapshots[i].transcript.map((line) => line.seq), ...live()];
    assert.deepEqual(seqs, Array.from({ length: 36 }, (_, k) => k + 1), `agent ${i}`);
  }
});

test("what follows since_seq comes in pages; a fresh snapshot has the latest lines", async () => {
  await callWithLines("paged", 100);
  const agent = await connect("/", { token: tokens.ann });
  const fresh = await agent.ask("call:subscribe", { call_id: "paged" });
  assert.deepEqual([fresh.transcript.length, fresh.transcript[0].seq, fresh.truncated, fresh.seq], [40, 61, true, 100]);
  const seen = [];
  let seq = 10;
  for (let page = 0; page < 5; page++) {
    const answer = await agent.ask("call:subscribe", { call_id: "paged", since_seq: seq });
    seen.push(...answer.transcript.map((line) => line.seq));
    seq = answer.seq;
    if (!answer.more) break;
    assert.equal(answer.transcript.length, 40);
  }
  assert.deepEqual(seen, Array.from({ length: 90 }, (_, k) => k + 11));
  assert.equal(seq, 100);
});

test("a flood of one agent is held back at its socket: a feed's lines are all taken meanwhile", async () => {
  const from = await callWithLines("calm", 1);
  const eve = await connect("/", { token: tokens.eve });
  let answered = 0;
  await allAtOnce([eve], () => { for (let i = 0; i < 3000; i++) eve.emit("call:list", {}, () => answered++); });
  for (let i = 0; i < 50; i++) {
    const answer = await from.ask("transcription:update", { call_id: "calm", speaker: "agent", text: `line ${i}` });
    assert.equal(answer.ok, true, JSON.stringify(answer));
  }
  await until(() => answered === 3000, () => `all of it is answered in the end: ${answered}`);
  assert.ok((await metric("work_delayed_total")) > 0);
  assert.equal(await metric("work_refused_total"), 0);
});

test("a socket without a token is heard up to auth_max_bytes, and goes on afterwards", async () => {
  const socket = await connect("/", {});
  const large = await socket.ask("agent:connect", { agent_id: "ann", auth_token: tokens.ann, more: "x".repeat(20000) });
  assert.equal(large.error.code, 413);
  const wide = await socket.ask("agent:connect", { agent_id: "ann", auth_token: tokens.ann, list: Array(9000).fill(1) });
  assert.equal(wide.error.code, 413);
  assert.equal((await socket.ask("agent:connect", { agent_id: "ann", auth_token: tokens.ann })).ok, true);
  assert.equal((await socket.ask("call:list", { more: "x".repeat(200000) })).error.code, 413);
  assert.equal((await socket.ask("call:list", {})).ok, true);
  await assert.rejects(connect("/", { token: tokens.ann, more: "x".repeat(20000) }), (error) => error.data.code === 413);
});

// The server's order shows in notes that one agent hears.
test("connections of one user share what a user may take, and take turns", async () => {
  const each = 200;
  await callWithLines("turns", 1);
  const watcher = await connect("/", { token: tokens.ann });
  assert.equal((await watcher.ask("call:subscribe", { call_id: "turns" })).ok, true);
  const loud = await Promise.all(Array.from({ length: 10 }, () => connect("/", { token: tokens.sue })));
  const quiet = await connect("/", { token: tokens.sue });
  const before = await metric("users_held_total");
  const note = (socket, text) => socket.ask("note:send", { call_id: "turns", text });
  const answers = await allAtOnce([...loud, quiet], () => [
    ...loud.flatMap((socket) => Array.from({ length: each }, () => note(socket, "loud"))), note(quiet, "quiet"),
  ]);
  for (const answer of await Promise.all(answers)) assert.equal(answer.ok, true, JSON.stringify(answer));
  const heard = () => watcher.log.filter(([event]) => event === "call:note").map(([, { text }]) => text);
  await until(() => heard().length === answers.length, () => `all notes: ${heard().length}`);
  const turn = heard().indexOf("quiet");
  assert.ok(turn >= 0 && turn < 8 * loud.length, `the quiet one waits for its turn, not for all: ${turn}`);
  assert.ok((await metric("users_held_total")) > before, "its sockets were not read meanwhile");
});

test("snapshots that a user does not take are bounded, others get theirs", async () => {
  const small = await startParley("--snapshot-memory-per-user-bytes", "400000", "--snapshot-bytes-max", "200000", "--snapshot-wait-ms", "600000",
    "--log-level", "warn");
  try {
    const token = (sub, ...more) => small.token("--sub", sub, ...more);
    const [feed, eve, ann] = await Promise.all([token("feed", "--role", "feed"), token("eve", "--calls", "*"), token("ann", "--calls", "*")]);
    const post = (path, body) => fetch(small.url + path, { method: "POST", headers: { authorization: `Bearer ${feed}` }, body: JSON.stringify(body) });
    await post("/api/v1/calls", { call_id: "long" });
    await post("/api/v1/calls/long/transcription", Array.from({ length: 40 }, (_, i) => ({ speaker: "agent", text: `${i} ${"x".repeat(20000)}` })));
    const url = `${small.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    const deaf = await Promise.all(Array.from({ length: 100 }, (_, i) => openDeaf(url, eve, `42${i}["call:subscribe",{"call_id":"long","since_seq":${i % 20}}]`)));
    const of = async (name) => Number((await (await fetch(`${small.url}/metrics`)).text()).match(new RegExp(`^parley_${name} (\\d+)`, "m"))[1]);
    await until(async () => (await of("snapshots_delayed_total")) > 0, "some wait for room");
    const socket = io(small.url, { auth: { token: ann }, forceNew: true, transports: ["websocket"] });
    open.add(socket);
    const answer = await socket.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id: "long" });
    assert.equal(answer.ok, true);
    assert.ok((await of("answer_bytes")) <= 400000 + 400000, "eve's share, and ann's");
    for (const ws of deaf) ws.resume();
    await Promise.all(deaf.map((ws) => within("its snapshot", ws.answered)));
    await until(async () => (await of("answer_bytes")) === 0, "all was sent");
    assert.equal(await of("snapshots_refused_total"), 0);
    for (const ws of deaf) ws.terminate();
  } finally {
    await small.stop();
  }
});

test("a snapshot that waits for too long is refused, and its user is served again", async () => {
  const small = await startParley("--snapshot-memory-per-user-bytes", "1024", "--snapshot-bytes-max", "200000", "--snapshot-wait-ms", "200",
    "--log-level", "warn");
  try {
    const [feed, eve] = await Promise.all([small.token("--sub", "feed", "--role", "feed"), small.token("--sub", "eve", "--calls", "*")]);
    const post = (path, body) => fetch(small.url + path, { method: "POST", headers: { authorization: `Bearer ${feed}` }, body: JSON.stringify(body) });
    await post("/api/v1/calls", { call_id: "long" });
    for (let i = 0; i < 20; i++) await post("/api/v1/calls/long/transcription", Array.from({ length: 10 }, () => ({ speaker: "agent", text: "x".repeat(60000) })));
    const url = `${small.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    const deaf = [];
    // Until the kernel takes no more of it, and what is left in the queue is charged.
    const charged = async () => Number((await (await fetch(`${small.url}/metrics`)).text()).match(/^parley_answer_bytes (\d+)/m)[1]);
    const ws = await openDeaf(url, eve, `42["none"]`);
    deaf.push(ws);
    for (let i = 0; i < 60; i++) ws.send(`42${i}["call:subscribe",{"call_id":"long","since_seq":${i}}]`);
    await until(async () => (await charged()) > 0, "what is not taken");
    const socket = io(small.url, { auth: { token: eve }, forceNew: true, transports: ["websocket"] });
    open.add(socket);
    const answer = await socket.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id: "long" });
    if (!answer.ok) assert.equal(answer.error.code, 503);
    for (const each of deaf) each.terminate();
    await until(async () => (await socket.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id: "long" })).ok, "its turn");
  } finally {
    await small.stop();
  }
});

test("who does not take an export gets no second one, others get theirs", async () => {
  const small = await startParley("--snapshot-memory-per-user-bytes", "1024", "--log-level", "warn");
  let unread;
  try {
    const [feed, eve, ann] = await Promise.all([small.token("--sub", "feed", "--role", "feed"), small.token("--sub", "eve", "--calls", "*"), small.token("--sub", "ann", "--calls", "*")]);
    const post = (path, body) => fetch(small.url + path, { method: "POST", headers: { authorization: `Bearer ${feed}` }, body: JSON.stringify(body) });
    await post("/api/v1/calls", { call_id: "long" });
    // More than the kernel holds of a connection.
    for (let i = 0; i < 20; i++) await post("/api/v1/calls/long/transcription", Array.from({ length: 10 }, () => ({ speaker: "agent", text: "x".repeat(60000) })));
    const path = "/api/v1/calls/long/export";
    unread = connectTcp({ port: small.port, host: "127.0.0.1" });
    unread.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${eve}\r\n\r\n`);
    const head = await within("its beginning", new Promise((resolve, reject) => unread.on("error", reject).once("data", (data) => { unread.pause(); resolve(data.toString("latin1", 0, 12)); })));
    assert.equal(head, "HTTP/1.1 200");
    const ask = async (token) => { const response = await fetch(small.url + path, { headers: { authorization: `Bearer ${token}` } }); await response.arrayBuffer(); return response.status; };
    assert.deepEqual([await ask(eve), await ask(ann)], [429, 200]);
    assert.match(await (await fetch(`${small.url}/metrics`)).text(), /^parley_exports_refused_total 1$/m);
    unread.destroy();
    await until(async () => (await ask(eve)) === 200, "its turn");
  } finally {
    unread?.destroy();
    await small.stop();
  }
});
