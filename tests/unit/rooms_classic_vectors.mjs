// Writes rooms_classic_vectors.inc and the fuzz corpus: what @socket.io/redis-adapter and @socket.io/redis-emitter publish, recorded.
//   node rooms_classic_vectors.mjs      (npm ci in tests/ first)
import { writeFileSync } from "node:fs";
import http from "node:http";
import { Server } from "socket.io";
import { createAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";

const UID = "ai-1vA";
const published = [];
let servers = 2;
const client = {
  publish: (channel, payload) => { published.push({ channel, payload: Buffer.from(payload) }); },
  psubscribe() {}, subscribe() {}, on() {}, off() {}, listenerCount: () => 0,
  send_command: (_command, _args, done) => done(null, ["", servers]),
};
const io = new Server(http.createServer(), { adapter: createAdapter(client, client) });
const nsp = io.of("/");
nsp.adapter.uid = UID;
const custom = io.of("/custom");
custom.adapter.uid = UID;
const emitter = new Emitter(client);

const octal = (bytes) => [...bytes].map((c) =>
  c >= 0x20 && c < 0x7f && !`"\\?`.includes(String.fromCharCode(c)) ? String.fromCharCode(c) : `\\${c.toString(8).padStart(3, "0")}`).join("");
const corpus = new URL("../fuzz/corpus/rooms_classic_fuzz/", import.meta.url);
const lines = [];
async function record(name, act) {
  published.length = 0;
  await act();
  await new Promise((resolve) => setTimeout(resolve, 5));
  if (published.length !== 1) throw new Error(`${name}: ${published.length} messages`);
  const { channel, payload } = published[0];
  const id = /requestId(?:":"|\xa6)([\w-]{6})/.exec(payload.toString("latin1"))?.[1] ?? "";
  writeFileSync(new URL(name.replaceAll(" ", "-"), corpus), payload);
  lines.push(`{"${name}", "${channel}", "${id}", ${payload.length}, "${octal(payload)}"},`);
}

await record("emit", () => io.emit("hello"));
await record("emit to a room", () => io.to("room1").emit("hello"));
await record("emit to two rooms", () => io.to(["a", "b"]).except("c").emit("hello", 1, -5, 1.5, "ü€", null, true, [{ a: [] }]));
await record("emit in a namespace", () => custom.to("r").emit("hello"));
await record("emit volatile", () => io.volatile.emit("hello"));
await record("emit uncompressed", () => io.compress(false).emit("hello"));
await record("emit binary", () => io.to("room1").emit("hello", Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0)] }));
await record("emit with ack", () => io.to("r").timeout(1000).emit("hello", Buffer.from([9]), () => {}));
await record("join", () => io.in("room1").socketsJoin(["a", "b"]));
await record("leave", () => io.except("x\"y\n").socketsLeave("ä"));
await record("disconnect", () => io.in("r").disconnectSockets(true));
await record("disconnect gently", () => io.disconnectSockets());
await record("fetch", () => { io.fetchSockets().catch(() => {}); });
await record("fetch some", () => { io.in("r").except("s").fetchSockets().catch(() => {}); });
await record("server side emit", () => io.serverSideEmit("ev", 1, "x", { y: [null] }));
await record("server side emit with ack", () => io.serverSideEmit("ev", 1, () => {}));

// Answers, and requests that only other versions send: what the adapter makes of them is not of interest here.
const request = (fields) => nsp.adapter.onrequest("socket.io-request#/#", Buffer.from(JSON.stringify({ uid: "other1", requestId: "VwamCn", ...fields })));
nsp.on("ev", (...args) => args.pop()("node"));
nsp.on("none", (...args) => args.pop()());
await record("answer to sockets", () => request({ type: 0, rooms: [] }));
await record("answer to all rooms", () => request({ type: 1 }));
await record("answer to fetch", () => request({ type: 5, opts: { rooms: [], except: [] } }));
await record("answer to a server side event", () => request({ type: 6, data: ["ev", 1] }));
await record("answer of nothing", () => request({ type: 6, data: ["none"] }));
await record("client count", () => request({ type: 7, packet: { type: 2, data: ["q"] }, opts: { rooms: [], except: [], flags: {} } }));

await record("emitter", () => emitter.emit("hello", "world"));
await record("emitter to a room", () => emitter.of("chat").to("r").except("s").volatile.compress(false).emit("hello", Buffer.from([1]), new Date(5)));
await record("emitter joins", () => emitter.in("a").socketsJoin("x"));
await record("emitter leaves", () => emitter.socketsLeave(["x", "y"]));
await record("emitter disconnects", () => emitter.in("a").disconnectSockets(true));
await record("emitter to servers", () => emitter.serverSideEmit("ev", 1));

// An ack needs a socket: one that answers at once.
const socket = { id: "a", rooms: new Set(["a"]), acks: { set: (_id, ack) => setImmediate(ack, { got: Buffer.from([7]) }, "second") }, client: { writeToEngine() {} }, notifyOutgoingListeners() {} };
nsp.sockets.set("a", socket);
nsp.adapter.addAll("a", new Set(["a"]));
published.length = 0;
request({ type: 7, packet: { type: 2, data: ["q"] }, opts: { rooms: [], except: [], flags: {} } });
await new Promise((resolve) => setTimeout(resolve, 20));
const [, ack] = published;
await record("ack", () => client.publish(ack.channel, ack.payload));

writeFileSync(new URL("rooms_classic_vectors.inc", import.meta.url),
  `/* Written by rooms_classic_vectors.mjs: what it is, the channel, the request's id, the payload. */\n${lines.join("\n")}\n`);
process.exit(0);
