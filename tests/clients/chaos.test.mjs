// Many stock clients that do at random what clients do, all at once; afterwards what the server knows is compared with
// what the clients know. Repeatable but for the network's timing: CHAOS_SEED=n.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { io } from "socket.io-client";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";

const CLIENTS = 60;
const STEPS = 30; // of each client
const NAMESPACES = ["/", "/custom", "/dyn-1", "/dyn-2"];
const ROOMS = ["a", "b", "c", "d", "ü"];
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1000000);

let server;
before(async () => { server = await start("app", { "ping-interval": 600000, "ping-timeout": 600000 }); });
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
    this.steps = this.acked = 0;
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
    const answer = this.socket.timeout(PATIENCE_MS).emitWithAck(...args);
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
    this.steps++;
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

  // Until what this client said has been dealt with, whatever became of its connection by that.
  async settle() {
    do {
      while (!this.socket.connected) await sleep(5);
    } while (await this.call("echo", this.n) === undefined);
  }
}

// Ids of sockets by where the server has them, or the clients: namespace, or namespace and room.
const places = () => NAMESPACES.flatMap((nsp) => [[nsp], ...ROOMS.map((room) => [nsp, room])]);

function clientsView(actors) {
  return Object.fromEntries(places().map(([nsp, room]) => {
    const here = actors.filter((actor) => actor.nsp === nsp && (room === undefined || actor.rooms.has(room)));
    return [[nsp, room].join(" "), here.map((actor) => actor.socket.id).sort()];
  }));
}

async function serversView(observer) {
  const view = {};
  for (const [nsp, room] of places()) {
    const sockets = await observer.call("op", { op: "fetchSockets", nsp, ...(room === undefined ? {} : { to: room }) });
    view[[nsp, room].join(" ")] = sockets?.map((socket) => socket.id).sort();
  }
  return view;
}

// A client that leaves does not wait for the server to know: what it said last is still on its way, or in the server's
// queue. So the server is asked until it agrees; one that forgot to close a session never does.
async function agreement(actors) {
  let known, expected;
  await until(async () => {
    [known, expected] = [await serversView(actors[0]), clientsView(actors)];
    return isDeepStrictEqual(known, expected);
  }, () => `the server's view is ${JSON.stringify(known)}, the clients' ${JSON.stringify(expected)}`);
}

test(`chaos, CHAOS_SEED=${seed}`, async () => {
  const actors = Array.from({ length: CLIENTS }, (_, n) => new Actor(n));
  try {
    await Promise.all(actors.map(async (actor) => { while (actor.steps < STEPS) await actor.step(); }));
    await within("everybody's return", Promise.all(actors.map((actor) => actor.settle())));
    assert.ok(actors.reduce((sum, actor) => sum + actor.acked, 0) > 500, "hardly anything was answered");
    await agreement(actors);
    for (const actor of actors) {
      const expected = [actor.socket.id, ...actor.rooms].sort();
      assert.deepEqual([...await actor.call("rooms")].sort(), expected, `rooms of client ${actor.n}`);
    }
  } finally {
    for (const actor of actors) actor.socket.disconnect();
  }
});
