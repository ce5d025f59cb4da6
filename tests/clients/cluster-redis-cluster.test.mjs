// A Redis Cluster of three masters and three replicas: sharded channels go where their slots are, and follow them.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Cluster } from "./lib/cluster.mjs";
import { startRedisCluster } from "./lib/redis-cluster.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];
let redis, cluster;
before(async () => { redis = await startRedisCluster(); }, { timeout: 5 * PATIENCE_MS });
after(async () => { await redis?.stop(); });
afterEach(async () => { await cluster?.stop(); cluster = undefined; });

const test_ = (name, fn) => test(name, { timeout: 10 * PATIENCE_MS }, fn);
const heard = (socket, event) => socket.log.filter(([name]) => name === event).map(([, value]) => value);

async function start(adapter, names = PARLEYS) {
  cluster = new Cluster(adapter, {}, { "redis-cluster": 1 });
  cluster.redis = { url: redis.addresses, stop() {} };
  await cluster.startNodes(names);
  return cluster.clients();
}

const rooms = Array.from({ length: 12 }, (_, i) => `room ${i}`);
const channel = (room) => `socket.io#/#${room}#`;

async function together(clients, what = "hello") {
  const sockets = Object.values(clients);
  for (const [i, room] of rooms.entries()) {
    const event = `${what} ${room}`;
    const from = sockets[i % sockets.length];
    await until(async () => {
      await from.op({ op: "emit", to: room, ev: event });
      return sockets.every((socket) => heard(socket, event).length > 0);
    }, () => `${event} of ${from.name}: ${sockets.map((socket) => heard(socket, event).length)}\n${sockets.map(({ name }) => cluster.nodes[name].output()).join("\n")}`);
  }
  for (const socket of sockets) {
    await until(async () => await socket.op({ op: "serverCount" }) === sockets.length, `all are counted at ${socket.name}`);
    assert.equal((await socket.op({ op: "fetchSockets", to: rooms[0] })).length, sockets.length);
    const { err, responses } = await socket.op({ op: "serverSideEmitWithAck", args: [] });
    assert.deepEqual([err, responses.sort()], [null, sockets.map(({ name }) => name).filter((name) => name !== socket.name).sort()]);
  }
}

for (const adapter of ["sharded", "classic"]) {
  test_(`rooms of all shards: ${adapter}`, async () => {
    const clients = await start(adapter, [...PARLEYS, "node"]);
    for (const socket of Object.values(clients)) await socket.ask("join", rooms);
    await together(clients);
    const slots = await Promise.all(rooms.map((room) => redis.slot(channel(room))));
    assert.equal(new Set(slots.map((slot) => Math.floor(slot / 5462))).size, 3, "the rooms are of all shards");
  });
}

// Between a slot's move and the new subscription nobody listens there, as with Node's adapter: what is said in that moment is missed.
test_("slots move while their rooms are spoken to", async () => {
  const clients = await start("sharded");
  const { parley1, parley2 } = clients;
  for (const socket of [parley1, parley2]) await socket.ask("join", rooms);
  await together(clients);
  let isOver = false, n = 0;
  const speak = (async () => {
    while (!isOver) {
      await Promise.all(rooms.map((room) => parley1.op({ op: "emit", to: room, ev: `moving ${room}`, args: [n] })));
      n++;
    }
  })();
  for (const room of rooms) {
    const slot = await redis.slot(channel(room)), from = redis.masters[Math.floor(slot / 5462)], to = redis.masters[(Math.floor(slot / 5462) + 1) % 3];
    const before = heard(parley2, `moving ${room}`).length;
    await redis.move(slot, from, to);
    await until(() => heard(parley2, `moving ${room}`).length > before + 3 && heard(parley2, `moving ${room}`).at(-1) >= n - 2, () => `${room} is heard again: ${heard(parley2, `moving ${room}`).at(-1)} of ${n}`);
  }
  isOver = true;
  await speak;
  for (const room of rooms) {
    const list = heard(parley2, `moving ${room}`);
    assert.deepEqual(list, [...new Set(list)].sort((a, b) => a - b), `once and in order: ${room}`);
    assert.deepEqual(heard(parley1, `moving ${room}`), Array.from({ length: n }, (_, i) => i), "here all of it");
  }
  await together(clients, "after");
  for (const room of rooms) { // back again
    const slot = await redis.slot(channel(room)), home = Math.floor(slot / 5462);
    await redis.move(slot, redis.masters[(home + 1) % 3], redis.masters[home]);
  }
  await together(clients, "home");
});

// Whoever speaks has no part in the room, and so was told nothing.
test_("what is said to a slot's former owner goes to the new one, in order", async () => {
  const { parley1, parley2 } = await start("sharded");
  await until(async () => await parley1.op({ op: "serverCount" }) === 2, "both are counted");
  await parley2.ask("join", rooms);
  for (const room of rooms.slice(0, 4)) {
    await until(async () => {
      await parley1.op({ op: "emit", to: room, ev: `before ${room}` });
      return heard(parley2, `before ${room}`).length > 0;
    }, "it is heard");
    const slot = await redis.slot(channel(room)), home = Math.floor(slot / 5462), [from, to] = [redis.masters[home], redis.masters[(home + 1) % 3]];
    const listeners = async (server) => Number((await redis.ask(server, "PUBSUB", "SHARDNUMSUB", channel(room)))[1]);
    await redis.move(slot, from, to);
    await until(async () => await listeners(to) === 1, "the listener is at the new owner");
    for (let i = 0; i < 10; i++) parley1.emit("op", { op: "emit", to: room, ev: `after ${room}`, args: [i] }, () => {});
    await until(() => heard(parley2, `after ${room}`).length === 10, () => `all of them: ${heard(parley2, `after ${room}`)}`);
    assert.deepEqual(heard(parley2, `after ${room}`), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await redis.move(slot, to, from);
  }
});

test_("a master is killed, and its replica takes over", async () => {
  const clients = await start("sharded");
  for (const socket of Object.values(clients)) await socket.ask("join", rooms);
  await together(clients);
  await redis.kill(redis.masters[0]); // which is also the one that both were given first
  await until(async () => String((await redis.ask(redis.replicas[0], "ROLE"))[0]) === "master", "a failover");
  await together(clients, "after");
});
