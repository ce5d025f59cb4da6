// Many stock clients that do at random what clients do, all at once; afterwards what the server knows is compared with
// what the clients know. Repeatable but for the network's timing: CHAOS_SEED=n.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { start } from "./lib/server.mjs";
import { sleep, within } from "./lib/wire.mjs";

const CLIENTS = 60;
const RUN_MS = 8000;
const CALL_MS = 8000;
const NAMESPACES = ["/", "/custom", "/dyn-1", "/dyn-2"];
const ROOMS = ["a", "b", "c", "d", "ü"];
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1000000);

let server;
before(async () => { server = await start("app"); });
after(() => server.stop());

// mulberry32
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

class Actor {
  constructor(n) {
    this.random = generator(seed * 1000 + n);
    this.n = n;
    this.epoch = 0; // of the connection: what was in flight when it broke tells nothing
    this.rooms = new Set();
    this.acked = 0;
    const transports = [["websocket"], ["polling"], ["polling", "websocket"]][n % 3];
    this.nsp = this.pick(NAMESPACES);
    this.socket = io(server.http + this.nsp, { forceNew: true, transports, reconnectionDelay: 10, reconnectionDelayMax: 50 });
    this.socket.on("connect", () => { this.epoch++; this.rooms.clear(); });
    this.socket.on("disconnect", (reason) => { this.epoch++; if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), 10); });
    this.socket.on("question", (payload, cb) => { if (this.random() < 0.8) cb(payload); });
  }

  pick(list) { return list[Math.floor(this.random() * list.length)]; }

  // The answer, or undefined if the connection broke meanwhile.
  async call(...args) {
    const { epoch } = this;
    const answer = this.socket.timeout(CALL_MS).emitWithAck(...args);
    for (;;) {
      const done = await Promise.race([answer.then((value) => ({ value }), (error) => ({ error })), sleep(50)]);
      if (done && "value" in done) { this.acked++; return this.epoch === epoch ? done.value : undefined; }
      if (this.epoch !== epoch) { answer.catch(() => {}); return undefined; }
      if (done) throw new Error(`client ${this.n}: no answer to ${JSON.stringify(args).slice(0, 200)}: ${done.error.message}`);
    }
  }

  async membership(verb) {
    const room = this.pick(ROOMS);
    const { epoch } = this;
    if (await this.call(verb, room) !== "ok") return;
    if (epoch === this.epoch) this.rooms[verb === "join" ? "add" : "delete"](room);
  }

  async step() {
    if (!this.socket.connected) return sleep(5);
    const r = this.random();
    const room = this.pick(ROOMS);
    const payload = r < 0.5 ? { text: "ü".repeat(Math.floor(this.random() * 2000)) } : { bytes: Buffer.alloc(Math.floor(this.random() * 5000), 1) };
    if (r < 0.3) return this.membership("join");
    if (r < 0.45) return this.membership("leave");
    if (r < 0.6) return this.call("broadcast", { to: room, ev: "news", args: [payload] });
    if (r < 0.7) return assert.deepEqual(await this.call("echo", payload) ?? payload, payload);
    if (r < 0.76) return this.call("ask", "question", payload);
    if (r < 0.82) return this.call("op", { op: "emitWithAck", nsp: this.nsp, to: room, ev: "question", args: [payload], timeout: 300 });
    if (r < 0.86) return this.call("op", { op: "fetchSockets", nsp: this.nsp, to: room });
    if (r < 0.9) return this.call("op", { op: "emit", nsp: this.nsp, except: room, ev: "news", args: [payload] });
    if (r < 0.92) return this.call("op", { op: "disconnectSockets", nsp: this.nsp, to: this.socket.id, close: r < 0.91 });
    if (r < 0.94) return void this.socket.emit("bye", r < 0.93);
    if (r < 0.96) return void this.socket.emit("drop-transport");
    if (r < 0.98) { this.socket.disconnect(); return void this.socket.connect(); }
    this.socket.io.engine?.close();
    return undefined;
  }
}

test(`chaos, CHAOS_SEED=${seed}`, async () => {
  const actors = Array.from({ length: CLIENTS }, (_, n) => new Actor(n));
  const end = Date.now() + RUN_MS;
  await Promise.all(actors.map(async (actor) => { while (Date.now() < end) await actor.step(); }));
  await within(10000, "everybody's return", (async () => { while (!actors.every((actor) => actor.socket.connected)) await sleep(10); })());
  await sleep(500);

  assert.ok(actors.reduce((sum, actor) => sum + actor.acked, 0) > 500, "hardly anything was answered");
  for (const actor of actors) {
    const expected = [actor.socket.id, ...actor.rooms].sort();
    assert.deepEqual([...await actor.call("rooms")].sort(), expected, `rooms of client ${actor.n}`);
  }
  for (const nsp of NAMESPACES) {
    const here = actors.filter((actor) => actor.nsp === nsp);
    if (!here.length) continue;
    const all = await here[0].call("op", { op: "fetchSockets", nsp });
    assert.deepEqual(all.map((socket) => socket.id).sort(), here.map((actor) => actor.socket.id).sort(), `sockets of ${nsp}`);
    for (const room of ROOMS) {
      const members = await here[0].call("op", { op: "fetchSockets", nsp, to: room });
      const expected = here.filter((actor) => actor.rooms.has(room)).map((actor) => actor.socket.id);
      assert.deepEqual(members.map((socket) => socket.id).sort(), expected.sort(), `members of ${nsp} ${room}`);
    }
  }
  for (const actor of actors) actor.socket.disconnect();
});
