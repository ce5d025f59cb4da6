// Connection state recovery across nodes, on streams: a client whose connection broke comes back to another node, ours or
// Node's. Numbers are those of the edge cases in the inventory of the reference's behaviour.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, afterEach, before, test } from "node:test";
import { createClient } from "redis";
import { io } from "socket.io-client";
import { Cluster } from "./lib/cluster.mjs";
import { PATIENCE_MS, sleep, until } from "../support/wait.mjs";

// Whoever waited for an answer that does not come would wait longer than the tests do.
const cluster = new Cluster("streams", {}, { recovery: 1, "request-timeout": 10 * PATIENCE_MS });
let redis;
before(async () => {
  await cluster.start();
  redis = await createClient({ url: cluster.redis.url }).connect();
}, { timeout: 10 * PATIENCE_MS });
afterEach(() => cluster.drop());
after(async () => {
  await redis.close();
  await cluster.stop();
});

// Their node has noticed that they are gone, and has written down what they take up again.
const saved = (...sockets) => until(async () => await redis.exists(sockets.map(({ _pid }) => `sio:session:${_pid}`)) === sockets.length, "saved sessions");

// A way to one node after the other, as a load balancer is; cut() breaks what is connected, part() only for the client:
// the node's end stays open and hears nothing any more.
class Door {
  #sockets = new Set();
  #left = new Set();
  target = null;
  async open() {
    this.server = net.createServer((socket) => {
      if (!this.target) return socket.destroy();
      const other = net.connect(this.target.port, "127.0.0.1");
      for (const [one, to] of [[socket, other], [other, socket]]) {
        this.#sockets.add(one);
        one.on("error", () => {}).on("close", () => { this.#sockets.delete(one); if (!this.#left.has(to)) to.destroy(); });
        one.pipe(to, { end: false });
      }
      socket.other = other;
    }).listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return this;
  }
  get url() { return `http://127.0.0.1:${this.server.address().port}`; }
  cut() { this.target = null; for (const socket of this.#sockets) socket.destroy(); }
  part() {
    this.target = null;
    for (const socket of this.#sockets) if (socket.other) this.#left.add(socket.other);
    for (const socket of this.#sockets) if (socket.other) socket.destroy();
    for (const socket of this.#left) socket.unpipe().resume();
  }
  // How many of those that were left open a node has closed.
  get closed() { return [...this.#left].filter((socket) => socket.closed).length; }
  close() { this.cut(); for (const socket of this.#left) socket.destroy(); this.server.close(); }
}

async function client(door, node) {
  door.target = cluster.nodes[node];
  const socket = io(door.url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 30, reconnectionDelayMax: 60 });
  const log = [];
  socket.onAny((event, ...args) => log.push([event, ...args.map((arg) => Buffer.isBuffer(arg) ? `<${arg.toString("hex")}>` : arg)]));
  await once(socket, "connect");
  const ask = (...args) => socket.timeout(PATIENCE_MS).emitWithAck(...args);
  // Its last argument is the offset.
  const heard = (name) => log.filter(([event]) => event === name).map((entry) => entry.slice(0, -1));
  return { socket, ask, heard, log };
}

const emitFrom = async (name, clients, ev, args, rooms) => assert.equal(await clients[name].op({ op: "emit", ev, args, rooms }), "ok");

for (const [from, to] of [["parley1", "parley2"], ["parley1", "node"], ["node", "parley1"]]) {
  test(`${from} to ${to}: id, rooms and what was missed, once and before what comes after (62, 63)`, async () => {
    const door = await new Door().open();
    const others = await cluster.clients();
    const { socket, ask, heard } = await client(door, from);
    try {
      const id = socket.id;
      const room = cluster.room();
      await ask("join", room);
      await emitFrom(to, others, "tick", [0]);
      await until(() => heard("tick").length === 1, "the first");
      door.cut();
      await once(socket, "disconnect");
      let count = 0;
      for (const name of cluster.names) {
        await emitFrom(name, others, "tick", [++count]);
        await others[name].op({ op: "emit", ev: "tick", args: [++count, Buffer.from([7])], to: [room] });
        await others[name].op({ op: "emit", ev: "tick", args: ["not for it"], to: ["elsewhere"] });
      }
      await saved(socket);
      door.target = cluster.nodes[to];
      await once(socket, "connect");
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      await until(() => heard("tick").length >= count + 1, () => `${count} missed: ${JSON.stringify(heard("tick"))}`);
      await emitFrom(from, others, "tick", ["last"]);
      await until(() => heard("tick").some(([, what]) => what === "last"), "what comes after");
      const numbers = heard("tick").map(([, what]) => what);
      assert.equal(numbers.at(-1), "last");
      assert.deepEqual(numbers.slice(0, -1).sort((a, b) => a - b), [...Array(count + 1).keys()]);
      assert.ok((await ask("rooms")).includes(room));
    } finally { socket.close(); door.close(); }
  });
}

// A connection that breaks without a word to the node: until the ping timeout it counts as alive there.
for (const [from, to] of [["parley1", "parley2"], ["parley2", "parley1"]]) {
  test(`${from} to ${to}: the old connection, which counts as alive, is evicted (66)`, async () => {
    const door = await new Door().open();
    const others = await cluster.clients();
    const { socket, ask, heard } = await client(door, from);
    try {
      const id = socket.id;
      const room = cluster.room();
      await ask("join", room);
      await emitFrom(from, others, "tick", [0]);
      await until(() => heard("tick").length === 1, "the first");
      door.part();
      await once(socket, "disconnect");
      await emitFrom("node", others, "tick", [1]);
      door.target = cluster.nodes[to];
      await once(socket, "connect");
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      await until(() => door.closed === 1, "its old connection ends");
      await emitFrom(from, others, "tick", [2]);
      await until(() => heard("tick").some(([, what]) => what === 2), "what comes after");
      assert.deepEqual(heard("tick").map(([, what]) => what), [0, 1, 2]);
      assert.ok((await ask("rooms")).includes(room));
      for (const name of cluster.names) {
        const ids = (await others[name].op({ op: "fetchSockets", to: room })).map((one) => one.id);
        assert.deepEqual(ids, [id], `seen from ${name}`);
      }
    } finally { socket.close(); door.close(); }
  });
}

// Node's servers are not asked, and do not ask: then it is as with Node alone, and nobody waits for them.
for (const [from, to] of [["node", "parley1"], ["parley1", "node"]]) {
  test(`${from} to ${to}: a client whose old connection counts as alive begins anew, at once (66)`, async () => {
    const door = await new Door().open();
    const others = await cluster.clients();
    const { socket, heard } = await client(door, from);
    try {
      const id = socket.id;
      await emitFrom(from, others, "tick", [0]);
      await until(() => heard("tick").length === 1, "an offset");
      door.part();
      await once(socket, "disconnect");
      door.target = cluster.nodes[to];
      await once(socket, "connect");
      assert.equal(socket.recovered, false);
      assert.notEqual(socket.id, id);
      for (const name of cluster.names) {
        await emitFrom(name, others, "tick", [name]);
        await until(() => heard("tick").some(([, what]) => what === name), `${name} is heard`);
        assert.equal(await others[name].op({ op: "serverCount" }), cluster.names.length);
      }
    } finally { socket.close(); door.close(); }
  });
}

test("a client that has heard nothing yet is recovered (65)", async () => {
  const door = await new Door().open();
  const others = await cluster.clients();
  const { socket, heard } = await client(door, "parley1");
  try {
    const id = socket.id;
    door.cut();
    await once(socket, "disconnect");
    await emitFrom("node", others, "quiet", [1]);
    await saved(socket);
    door.target = cluster.nodes.parley2;
    await once(socket, "connect");
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await until(() => heard("quiet").length === 1, "what was missed");
  } finally { socket.close(); door.close(); }
});

test("with a wrong offset or pid a client begins anew (61)", async () => {
  for (const [key, value] of [["_lastOffset", "1-0"], ["_lastOffset", "nonsense"], ["_pid", "nobodynobodynobody12"]]) {
    const door = await new Door().open();
    const others = await cluster.clients();
    const { socket, heard } = await client(door, "parley1");
    try {
      const id = socket.id;
      await emitFrom("parley1", others, "one", []);
      await until(() => heard("one").length === 1, "an offset");
      door.cut();
      await once(socket, "disconnect");
      await saved(socket);
      socket[key] = value;
      door.target = cluster.nodes.parley2;
      await once(socket, "connect");
      assert.equal(socket.recovered, false);
      assert.notEqual(socket.id, id);
    } finally { socket.close(); door.close(); }
  }
});

test("many come back to another node while events go on: none is missed, none comes twice", async () => {
  const door = await new Door().open();
  const others = await cluster.clients();
  const clients = await Promise.all(Array.from({ length: 40 }, () => client(door, "parley1")));
  try {
    await emitFrom("parley2", others, "n", [0]);
    for (const { heard } of clients) await until(() => heard("n").length === 1, "the first");
    let at = 0, going = true;
    const emitting = (async () => {
      while (going) { await emitFrom(cluster.names[at % 3], others, "n", [++at]); await sleep(2); }
    })();
    for (const node of ["parley2", "parley1", "parley2"]) {
      const back = clients.map(({ socket }) => once(socket, "connect"));
      door.cut();
      await saved(...clients.map(({ socket }) => socket));
      door.target = cluster.nodes[node];
      await Promise.all(back);
    }
    going = false;
    await emitting;
    await emitFrom("parley1", others, "n", ["end"]);
    for (const { socket, heard } of clients) {
      await until(() => heard("n").some(([, what]) => what === "end"), "the end");
      assert.equal(socket.recovered, true);
      // What different nodes emit at once has the log's order, not this loop's.
      const numbers = heard("n").map(([, what]) => what);
      assert.equal(numbers.at(-1), "end");
      assert.deepEqual(numbers.slice(0, -1).sort((a, b) => a - b), [...Array(at + 1).keys()]);
    }
  } finally { for (const { socket } of clients) socket.close(); door.close(); }
});
