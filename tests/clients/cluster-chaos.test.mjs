// A mixed cluster under random traffic, against a model of who is in which room: after each burst every client has heard
// exactly what the model says, once, and in each sender's order; questions are answered by exactly those they were for.
// The seed is in the name of each test: CHAOS_SEED chooses another, CHAOS_S how long.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Cluster } from "./lib/cluster.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const SEED = Number(process.env.CHAOS_SEED ?? 20260);
const SECONDS = Number(process.env.CHAOS_S ?? 6);
const NSPS = ["/", "/custom", "/dyn-1"];
const ROOMS = ["a", "b", "12345678901234567890", "x#y", "*?[a]\\", "é😀", "7", "long".repeat(60)];

// xorshift32: the same numbers everywhere.
function random(seed) {
  let x = (seed * 2654435761) >>> 0 || 1;
  return (n) => { x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0; return x % n; };
}

class Model {
  #ends = 0;
  #events = 0;
  sockets = [];

  constructor(cluster, seed) {
    this.cluster = cluster;
    this.rnd = random(seed);
  }

  pick(list) { return list[this.rnd(list.length)]; }
  some(count) { return Array.from({ length: count }, () => (this.rnd(5) ? this.pick(ROOMS) : this.pick(this.sockets).id)); }
  // As the application may write it: nothing, one name, a list.
  given(list) { return list.length === 0 ? undefined : list.length === 1 && this.rnd(2) ? list[0] : list; }
  who() { return { nsp: this.pick(NSPS), to: this.some(this.rnd(3)), except: this.some(this.rnd(2)) }; }
  fields({ nsp, to, except }) { return { nsp, to: this.given(to), except: this.given(except) }; }
  on(name) { return this.sockets.find((socket) => socket.name === name); }

  matches({ nsp, to, except }, but) {
    const within = (socket, names) => names.some((name) => name === socket.id || socket.rooms.has(name));
    return this.sockets.filter((socket) => socket.nsp === nsp && socket !== but
      && (to.length === 0 || within(socket, to)) && !within(socket, except));
  }

  async connect(name, nsp) {
    const socket = await this.cluster.connect(name, nsp, this.rnd(4) ? {} : { transports: ["polling"] });
    Object.assign(socket, { nsp, rooms: new Set() });
    socket.on("question", (answer) => answer(this.rnd(2) ? socket.id : Buffer.from(socket.id)));
    this.sockets.push(socket);
  }

  async replace() {
    const socket = this.pick(this.sockets);
    if (this.on(socket.name) === socket) return;
    this.sockets.splice(this.sockets.indexOf(socket), 1);
    const gone = new Promise((resolve) => socket.once("disconnect", resolve));
    if (this.rnd(2)) socket.disconnect();
    else await this.on(this.pick(this.cluster.names)).ask("op", { op: "disconnectSockets", nsp: socket.nsp, to: socket.id, close: !!this.rnd(2) });
    await gone;
    await this.settled();
    await this.connect(socket.name, socket.nsp);
  }

  // Whatever any node said before has arrived.
  async settled() {
    const end = `end-${++this.#ends}`;
    await Promise.all(this.cluster.names.flatMap((name) => NSPS.map((nsp) => this.on(name).ask("op", { op: "emit", nsp, ev: end }))));
    const ends = (socket) => socket.log.filter(([event]) => event === end).length;
    await until(() => this.sockets.every((socket) => ends(socket) >= this.cluster.names.length),
      () => `${end} at ${this.sockets.filter((socket) => ends(socket) < 3).map(({ name, nsp }) => name + nsp)}`);
  }

  async subscribed() {
    await this.cluster.subscribed(this.sockets);
    await this.settled();
  }

  async change() {
    const socket = this.pick(this.sockets), room = this.pick(ROOMS);
    const far = this.rnd(2), leaves = this.rnd(2);
    if (!far) {
      await socket.ask(leaves ? "leave" : "join", room);
      if (leaves) socket.rooms.delete(room); else socket.rooms.add(room);
      return;
    }
    const who = this.who();
    await this.subscribed();
    const matched = this.matches(who);
    await this.on(this.pick(this.cluster.names)).ask("op", { op: leaves ? "socketsLeave" : "socketsJoin", ...this.fields(who), rooms: this.given([room]) });
    await this.settled();
    for (const { rooms } of matched) if (leaves) rooms.delete(room); else rooms.add(room);
  }

  async burst() {
    const expected = new Map(this.sockets.map((socket) => [socket, {}]));
    for (const socket of this.sockets) socket.log.length = 0;
    const sent = Array.from({ length: 20 }, () => {
      const from = this.pick(this.sockets), who = this.who(), n = ++this.#events, broadcast = this.rnd(3) === 0;
      if (broadcast) who.nsp = from.nsp;
      for (const socket of this.matches(who, broadcast ? from : undefined)) (expected.get(socket)[from.id] ??= []).push(n);
      const { nsp, ...o } = { ...this.fields(who), ev: "event", args: [from.id, n, this.rnd(3) ? "text" : { b: Buffer.from([n & 255]) }] };
      return broadcast ? from.ask("broadcast", o) : from.ask("op", { op: "emit", nsp, ...o });
    });
    await Promise.all(sent);
    await this.settled();
    const heard = (socket) => socket.log.filter(([event]) => event === "event");
    // Over PostgreSQL, attachments pass through Node's server beside the rest.
    const isSorted = this.cluster.adapter === "postgresql";
    const count = (from) => Object.values(from).reduce((sum, list) => sum + list.length, 0);
    if (isSorted) await until(() => [...expected].every(([socket, from]) => heard(socket).length >= count(from)), "the attachments");
    for (const [socket, from] of expected) {
      const lists = {};
      for (const [, sender, n] of heard(socket)) (lists[sender] ??= []).push(n);
      for (const [sender, list] of Object.entries(lists))
        if (isSorted && [socket, this.sockets.find(({ id }) => id === sender)].some(({ name }) => name === "node")) list.sort((a, b) => a - b);
      assert.deepEqual(lists, from, `at ${socket.name}${socket.nsp}, in ${[...socket.rooms]}`);
    }
  }

  async questions() {
    const from = this.pick(this.sockets), who = this.who(), matched = this.matches(who);
    const [acks, fetched, servers] = await Promise.all([
      matched.length <= 10 ? from.ask("op", { op: "emitWithAck", ...this.fields(who), ev: "question", timeout: PATIENCE_MS }) : null,
      from.ask("op", { op: "fetchSockets", ...this.fields(who) }),
      from.ask("op", { op: "serverSideEmitWithAck", nsp: this.pick(["/", "/custom"]) }),
    ]);
    const what = `${from.name} asks ${JSON.stringify(who)}`;
    if (acks) assert.deepEqual([acks.err, acks.responses.map(String).sort()], [null, matched.map(({ id }) => id).sort()], what);
    assert.deepEqual(fetched.map(({ id, rooms }) => [id, rooms.sort()]).sort(), matched.map(({ id, rooms }) => [id, [id, ...rooms].sort()]).sort(), what);
    assert.deepEqual([servers.err, servers.responses.sort()], [null, this.cluster.names.filter((name) => name !== from.name).sort()], what);
  }
}

for (const adapter of ["classic", "sharded", "streams", "postgresql"]) {
  test(`random traffic is what the model says: ${adapter}, seed ${SEED}`, { timeout: 10 * PATIENCE_MS }, async () => {
    const cluster = new Cluster(adapter);
    after(() => cluster.stop());
    await cluster.start();
    const model = new Model(cluster, SEED);
    for (const name of cluster.names) for (const nsp of ["/", ...NSPS]) await model.connect(name, nsp);
    for (const name of cluster.names) for (const nsp of NSPS)
      await until(async () => await model.on(name).ask("op", { op: "serverCount", nsp }) === cluster.names.length, `all servers in ${nsp}`);
    const end = Date.now() + SECONDS * 1000;
    while (Date.now() < end) {
      for (let i = 0; i < 4; i++) await model.change();
      await model.subscribed();
      await model.burst();
      await model.questions();
      if (model.rnd(3) === 0) await model.replace();
    }
  });
}
