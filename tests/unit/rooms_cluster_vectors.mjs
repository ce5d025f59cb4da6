// Writes rooms_cluster_vectors.inc and the fuzz corpus: what the sharded and the streams adapter of socket.io publish, recorded.
//   node rooms_cluster_vectors.mjs      (npm ci in tests/ first)
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import { Server } from "socket.io";
import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter } from "@socket.io/redis-streams-adapter";

const UID = "e30a0234e49a1f0d";
const published = [];
const client = {
  sSubscribe() {}, sUnsubscribe() {}, subscribe() {}, on() {}, connect: async () => {}, disconnect() {}, duplicate: () => client,
  sPublish: async (channel, payload) => { published.push({ channel, payload: Buffer.from(payload) }); },
  publish: async (channel, payload) => { published.push({ channel, payload: Buffer.from(payload) }); },
  xAdd: async (stream, _id, fields) => { published.push({ channel: stream, fields: { ...fields } }); return "1700000000000-0"; },
  xRead: () => new Promise(() => {}),
  sendCommand: async () => ["", "2"],
};

const octal = (bytes) => [...bytes].map((c) =>
  c >= 0x20 && c < 0x7f && !`"\\?`.includes(String.fromCharCode(c)) ? String.fromCharCode(c) : `\\${c.toString(8).padStart(3, "0")}`).join("");
const corpus = new URL("../fuzz/corpus/rooms_cluster_fuzz/", import.meta.url);
mkdirSync(corpus, { recursive: true });
const lines = [];

async function recordAll(kind, adapter) {
  const io = new Server(http.createServer(), { adapter });
  const nsp = io.of("/");
  nsp.adapter.uid = UID;
  const custom = io.of("/custom");
  custom.adapter.uid = UID;

  async function record(what, act) {
    published.length = 0;
    await act();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (published.length !== 1) throw new Error(`${what}: ${published.length} messages`);
    const { channel, payload, fields } = published[0];
    const bytes = payload ?? Buffer.from(fields.data);
    const id = /requestId(?:":"|\xb0)([0-9a-f]{16})/.exec(bytes.toString("latin1"))?.[1] ?? "";
    const type = fields?.type ?? "";
    writeFileSync(new URL(`${kind}-${what.replaceAll(" ", "-")}`, corpus), Buffer.concat([Buffer.from(type ? String.fromCharCode(type) : "\0"), bytes]));
    lines.push(`{"${kind}", "${what}", "${channel}", "${type}", "${id}", ${bytes.length}, "${octal(bytes)}"},`);
  }

  await record("emit", () => io.emit("hello"));
  await record("emit to a room", () => io.to("room1").emit("hello", 1));
  await record("emit to two rooms", () => io.to(["a", "b"]).except("c").emit("hello", 1, 1.5, "ü€", null, { a: [] }));
  await record("emit to an id", () => io.to("01234567890123456789").emit("hello"));
  await record("emit in a namespace", () => io.of("/custom").to("r").emit("hello"));
  await record("emit volatile", () => io.volatile.emit("hello"));
  await record("emit uncompressed", () => io.compress(false).emit("hello"));
  await record("emit binary", () => io.to("room1").emit("hello", Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0)] }));
  await record("emit with ack", () => { io.timeout(1000).emit("hello", 1, () => {}); });
  await record("emit binary with ack", () => { io.timeout(1000).to("r").emit("hello", Buffer.from([9]), () => {}); });
  await record("join", () => io.in("room1").socketsJoin(["a", "b"]));
  await record("leave", () => io.except("x\"y\n").socketsLeave("ä"));
  await record("disconnect", () => io.in("r").disconnectSockets(true));
  await record("disconnect gently", () => io.disconnectSockets());
  await record("fetch", () => { io.fetchSockets().catch(() => {}); });
  await record("fetch some", () => { io.in("r").except("s").fetchSockets().catch(() => {}); });
  await record("server side emit", () => { io.serverSideEmit("ev", 1, "x", { y: [null] }); });
  await record("server side emit binary", () => { io.serverSideEmit("ev", Buffer.from([7])); });
  await record("server side emit with ack", () => { io.serverSideEmit("ev", 1, () => {}); });

  const requestId = "00112233445566ff";
  const hear = (message) => nsp.adapter.onMessage({ uid: "abcdef0123456789", nsp: "/", ...message });
  const opts = { rooms: [], except: [], flags: {} };
  await record("answer to fetch", () => hear({ type: 7, data: { opts, requestId } }));
  nsp.adapter.publishResponse("x", { type: 8, data: { requestId, sockets: [] } });
  await record("answer to fetch with sockets", () => nsp.adapter.publishResponse("x", {
    type: 8, data: { requestId, sockets: [{ id: "a", handshake: { query: {} }, rooms: ["a", "r"], data: { n: 1 } }, { id: "b", handshake: {}, rooms: ["b"], data: {} }] },
  }));
  io.on("ask", (arg, callback) => callback(arg));
  await record("answer to a server side emit", () => hear({ type: 9, data: { requestId, packet: ["ask", { a: 1 }] } }));
  await record("binary answer to a server side emit", () => hear({ type: 9, data: { requestId, packet: ["ask", Buffer.from([5])] } }));
  await record("client count", () => hear({ type: 3, data: { requestId, packet: { type: 2, data: ["q"] }, opts: { ...opts, flags: { timeout: 10 } } } }));
  await record("ack", () => nsp.adapter.publishResponse("x", { type: 12, data: { requestId, packet: ["a", 1] } }));
  await record("binary ack", () => nsp.adapter.publishResponse("x", { type: 12, data: { requestId, packet: { b: Buffer.from([1]) } } }));
  io.close();
}

await recordAll("sharded", createShardedAdapter(client, client));
await recordAll("streams", createAdapter(client));
writeFileSync(new URL("rooms_cluster_vectors.inc", import.meta.url),
  `/* Written by rooms_cluster_vectors.mjs: the adapter, what it is, channel or stream, the field type, the request's id, the payload or field data. */\n${lines.join("\n")}\n`);
process.exit(0);
