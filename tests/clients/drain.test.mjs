// A planned stop of a node with many clients: they go in waves, so that the other node is not run over; and nothing that
// was acknowledged is lost.
import assert from "node:assert/strict";
import net from "node:net";
import { afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";
import { frame, upgradeRequest } from "./lib/wire.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const CLIENTS = 2000, A_SECOND = 1000, WAVE_MS = 100;
const LIMITS = ["--max-handshakes-per-second", "0", "--max-handshakes-per-second-per-address", "0", "--max-sessions", "0", "--max-sessions-per-address", "0", "--max-connections-per-address", "0", "--auth-timeout-ms", "600000", "--connect-timeout-ms", "600000"];
const nodes = new Set(), sockets = new Set();

afterEach(async () => {
  for (const socket of sockets) socket.destroy?.() ?? socket.disconnect();
  sockets.clear();
  for (const node of nodes) await node.stop();
  nodes.clear();
});

async function start(...options) {
  const node = await startParley(...LIMITS, ...options);
  nodes.add(node);
  return node;
}

/** A session on a WebSocket; its end calls moved(). */
function join(node, moved) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(node.port, "127.0.0.1");
    sockets.add(socket);
    let text = "", isOpen = false;
    socket.on("connect", () => socket.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket")));
    socket.on("data", (chunk) => {
      if (isOpen) { // pings are not answered here: nobody waits that long; a close frame ends it
        if ((chunk[0] & 0x0f) === 8) socket.end(frame("", { opcode: 8 }));
        return;
      }
      text += chunk;
      if (!text.includes('0{"sid"')) return;
      isOpen = true;
      resolve(socket);
    });
    socket.on("error", reject);
    socket.on("close", () => { sockets.delete(socket); if (isOpen) moved?.(); else reject(new Error(`closed: ${text}`)); });
  });
}

async function fill(node, count, moved) {
  for (let i = 0; i < count; i += 100) await within("100 clients", Promise.all(Array.from({ length: Math.min(100, count - i) }, () => join(node, moved))));
}

for (const workers of [1, 2]) {
  test(`${CLIENTS} clients move to another node in waves, from ${workers} process(es)`, { timeout: 4 * PATIENCE_MS }, async (t) => {
    const from = await start("--drain-clients-per-second", String(A_SECOND), "--drain-timeout-ms", "30000", "--workers", String(workers), "--ping-interval-ms", "600000");
    const to = await start("--ping-interval-ms", "600000");
    const arrivals = [];
    let began = 0;
    await fill(from, CLIENTS, () => {
      const at = performance.now() - began;
      join(to).then(() => arrivals.push(at), (error) => arrivals.push(error));
    });
    began = performance.now();
    nodes.delete(from);
    const ended = from.stop();
    await until(() => arrivals.length === CLIENTS, () => `${arrivals.length} of ${CLIENTS}`, 2 * PATIENCE_MS);
    await ended;
    assert.deepEqual(arrivals.filter((at) => typeof at !== "number"), []);
    arrivals.sort((a, b) => a - b);
    const buckets = new Map();
    for (const at of arrivals) buckets.set(Math.floor(at / WAVE_MS), (buckets.get(Math.floor(at / WAVE_MS)) ?? 0) + 1);
    t.diagnostic(`${CLIENTS} clients in ${Math.round(arrivals.at(-1) - arrivals[0])} ms; at most ${Math.max(...buckets.values())} in ${WAVE_MS} ms`);
    // Never ahead of the waves, however late this process sees them; those of the end go together.
    const wave = A_SECOND * WAVE_MS / 1000;
    for (const [i, at] of arrivals.entries()) assert.ok(i < wave * (at / WAVE_MS + 2), `client ${i} came after ${Math.round(at)} ms`);
    assert.ok(arrivals.at(-1) > 0.8 * (CLIENTS / A_SECOND) * 1000, "they took their time");
  });
}

test("who comes back on a connection that is kept alive is sent elsewhere", async () => {
  const node = await start("--drain-clients-per-second", "10", "--drain-timeout-ms", "20000", "--ping-interval-ms", "600000");
  let gone = 0;
  await fill(node, 20, () => gone++);
  const socket = net.connect(node.port, "127.0.0.1");
  sockets.add(socket);
  let text = "";
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.on("data", (chunk) => (text += chunk));
  const ask = (path) => { text = ""; socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`); return until(() => text.includes("\r\n\r\n"), path); };
  await ask("/ready");
  assert.match(text, /^HTTP\/1\.1 200/);
  nodes.delete(node);
  const ended = node.stop();
  await until(() => gone > 0, "the first wave");
  assert.ok(gone < 20);
  await ask("/ready");
  assert.match(text, /^HTTP\/1\.1 503[^]*draining/);
  await ask("/socket.io/?EIO=4&transport=polling");
  assert.match(text, /^HTTP\/1\.1 503[^]*Connection: close/);
  await within("its end", closed);
  await ended;
});

test("if time is short, the waves are larger", { timeout: 4 * PATIENCE_MS }, async () => {
  const CROWD = 400; // one a wave would take ten times as long as there is
  const node = await start("--drain-clients-per-second", "1", "--drain-timeout-ms", "4000", "--ping-interval-ms", "600000");
  let gone = 0;
  await fill(node, CROWD, () => gone++);
  nodes.delete(node);
  const began = Date.now();
  await node.stop(); // with status 0
  const took = Date.now() - began;
  assert.ok(took < (CROWD * WAVE_MS) / 2, `${took} ms`);
  await until(() => gone === CROWD, () => `${gone} gone`);
});

test("nothing that was acknowledged while clients went is lost", { timeout: 4 * PATIENCE_MS }, async () => {
  const node = await start("--drain-clients-per-second", "100", "--drain-timeout-ms", "20000", "--ping-interval-ms", "600000");
  const token = await node.token("--sub", "feed", "--role", "feed");
  await fill(node, 200, () => {});
  const feed = io(`${node.url}/feed`, { auth: { token }, transports: ["websocket"], reconnection: false });
  sockets.add(feed);
  await within("the feed", new Promise((resolve, reject) => feed.once("connect", resolve).once("connect_error", reject)));
  const reasons = [];
  feed.on("disconnect", (reason) => reasons.push(reason));
  const acked = new Set();
  await feed.emitWithAck("call:start", { call_id: "c1" });
  const ended = node.end();
  for (let i = 0; feed.connected; i++) {
    feed.emit("transcription:update", { call_id: "c1", segment_id: `s${i}`, speaker: "customer", text: `line ${i}`, is_final: true }, (answer) => { if (answer.ok) acked.add(`line ${i}`); });
    await sleep(2);
  }
  await ended;
  assert.deepEqual(reasons, ["transport close"]); // after which clients come back by themselves
  assert.ok(acked.size > 0);
  await node.start();
  const agent = io(node.url, { auth: { token: await node.token("--sub", "ann", "--calls", "*") }, transports: ["websocket"], reconnection: false });
  sockets.add(agent);
  await within("the agent", new Promise((resolve, reject) => agent.once("connect", resolve).once("connect_error", reject)));
  const response = await fetch(`${node.url}/api/v1/calls/c1/export?format=json`, { headers: { Authorization: `Bearer ${await node.token("--sub", "ann", "--calls", "*")}` } });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  for (const line of acked) assert.ok(text.includes(`"${line}"`), line);
});
