// Redis by TLS, with a certificate for each side, and users with no more rights than an adapter needs.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { createClient } from "redis";
import { Authority } from "./lib/certificates.mjs";
import { Cluster } from "./lib/cluster.mjs";
import { startRedis } from "./lib/redis.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];
let authority, other, server, client, cluster;

before(() => {
  [authority, other] = [new Authority(), new Authority()];
  server = authority.issue("redis", "DNS:localhost", "IP:127.0.0.1");
  client = authority.issue("client");
});
after(() => { authority?.remove(); other?.remove(); });
afterEach(async () => { await cluster?.stop(); cluster = undefined; });

const test_ = (name, fn) => test(name, { timeout: 10 * PATIENCE_MS }, fn);
const heard = (socket, event) => socket.log.filter(([name]) => name === event).map(([, value]) => value);
const files = { get "redis-ca"() { return authority.ca; }, get "redis-cert"() { return client.cert; }, get "redis-key"() { return client.key; } };

async function start(adapter, names, options = { ...files }, redis = { tls: server }) {
  cluster = new Cluster(adapter, redis, options);
  cluster.redisClientOptions = redis.tls ? { socket: { tls: true, ca: readFileSync(authority.ca), cert: readFileSync(client.cert), key: readFileSync(client.key) } } : {};
  await cluster.start(names);
  return cluster.clients();
}

// Every operation that needs Redis, with a large message and many small ones.
async function exchange(clients, names) {
  const sockets = Object.values(clients);
  for (const socket of sockets) await socket.ask("join", "room");
  await cluster.subscribed(sockets.map(({ name }) => ({ name, nsp: "/", rooms: ["room"] })));
  const big = Buffer.alloc(3 << 20, 5);
  for (const from of names) {
    clients[from].emit("op", { op: "emit", to: "room", ev: from, args: [-1, big.subarray(0, 900000)] }, () => {});
    for (let i = 0; i < 300; i++) clients[from].emit("op", { op: "emit", to: "room", ev: from, args: [i] }, () => {});
    for (const socket of sockets) await until(() => heard(socket, from).length === 301, () => `${from} is heard at ${socket.name}: ${heard(socket, from).length}`);
    for (const socket of sockets) assert.deepEqual(heard(socket, from), Array.from({ length: 301 }, (_, i) => i - 1), `${from} at ${socket.name}`);
    assert.equal((await clients[from].op({ op: "fetchSockets", to: "room" })).length, names.length);
    const { err, responses } = await clients[from].op({ op: "serverSideEmitWithAck", args: [] });
    assert.deepEqual([err, responses.sort()], [null, names.filter((name) => name !== from).sort()]);
  }
}

for (const adapter of ["classic", "sharded", "streams"]) {
  test_(`what one node emits the others hear, by TLS: ${adapter}`, async () => {
    const names = [...PARLEYS, "node"];
    await exchange(await start(adapter, names), names);
  });
}

test_("Redis is killed and started again, by TLS", async () => {
  const clients = await start("classic", PARLEYS);
  for (const socket of Object.values(clients)) await socket.ask("join", "room");
  const { redis } = cluster;
  await redis.kill();
  await clients.parley1.op({ op: "emit", to: "room", ev: "alone" });
  await until(() => heard(clients.parley1, "alone").length === 1, "local delivery");
  cluster.redis = await startRedis({ port: redis.port, tls: server });
  await until(async () => {
    await clients.parley1.op({ op: "emit", to: "room", ev: "back" });
    return heard(clients.parley2, "back").length > 0;
  }, "events arrive again");
});

// What each says of it in its log.
async function isRefused(options, tls, reason) {
  const redis = await startRedis({ tls });
  try {
    cluster = new Cluster("classic", {}, options);
    cluster.redis = redis;
    await cluster.startNodes(["parley1"]);
    await until(() => reason.test(cluster.nodes.parley1.output()), () => `${reason}: ${cluster.nodes.parley1.output()}`);
  } finally {
    await cluster.stop();
    cluster = undefined;
  }
}

test_("a certificate of another authority is refused", () => isRefused({ ...files, "redis-ca": other.ca }, server, /: (unable to get local issuer certificate|self-signed certificate)/));
test_("without an authority of its own, the system's do not know the test's", () => isRefused({ "redis-cert": client.cert, "redis-key": client.key }, server, /: (unable to get local issuer certificate|self-signed certificate)/));
test_("a certificate of another name is refused", () => isRefused({ ...files }, authority.issue("elsewhere", "DNS:elsewhere", "IP:127.0.0.2"), /: IP address mismatch/));
test_("a Redis that wants a certificate gets none", () => isRefused({ "redis-ca": authority.ca }, server, /: .*(certificate required|alert)/));

// What docs/clustering.md says an adapter needs.
const rights = {
  classic: "allchannels resetkeys -@all +publish +subscribe +psubscribe +unsubscribe +punsubscribe +pubsub|numsub +pubsub|channels +ping +client|setname +role",
  sharded: "&socket.io* resetkeys -@all +spublish +ssubscribe +sunsubscribe +pubsub|shardnumsub +ping +client|setname +role",
  streams: "&socket.io* ~socket.io* ~sio:session:* -@all +publish +subscribe +unsubscribe +pubsub|numsub +xadd +xread +xrange +xinfo|stream +set +getdel +ping +client|setname +role",
};
for (const [adapter, rules] of Object.entries(rights)) {
  test_(`a user with no more rights than it needs: ${adapter}`, async () => {
    cluster = new Cluster(adapter);
    const redis = await startRedis();
    const admin = await createClient({ url: redis.url }).connect();
    await admin.sendCommand(["ACL", "SETUSER", "parley", "on", ">s3cret/?", ...rules.split(" ")]);
    await admin.sendCommand(["ACL", "SETUSER", "default", "off"]);
    cluster.redis = Object.assign(Object.create(redis), { url: redis.url.replace("//", "//parley:s3cret%2F%3F@") });
    cluster.redisClientOptions = { url: redis.url };
    await cluster.startNodes(PARLEYS);
    const clients = await cluster.clients();
    for (const socket of Object.values(clients)) await socket.ask("join", "room");
    const denied = async () => JSON.stringify(await admin.sendCommand(["ACL", "LOG"]));
    await until(async () => {
      await clients.parley1.op({ op: "emit", to: "room", ev: "hello" });
      assert.equal(await denied(), "[]");
      return heard(clients.parley2, "hello").length > 0;
    }, "it is heard");
    await until(async () => await clients.parley1.op({ op: "serverCount" }) === 2, "both are counted");
    assert.equal((await clients.parley1.op({ op: "fetchSockets", to: "room" })).length, 2);
    assert.equal(await denied(), "[]");
    await admin.close();
  });
}

// Redis has got certificates of another authority, and so has the node: at SIGHUP it reads them, and comes back.
test_("new certificates are read at SIGHUP", async () => {
  process.env.TEST_PARLEY ??= process.env.PARLEY;
  const { startParley } = await import("../browser/server.mjs");
  const folder = mkdtempSync(join(tmpdir(), "parley-redis-certificates-"));
  const paths = Object.fromEntries(["ca", "cert", "key"].map((name) => [name, join(folder, `${name}.pem`)]));
  const use = (from) => { for (const [name, path] of Object.entries(paths)) copyFileSync(from[name], path); };
  use(client);
  let redis = await startRedis({ tls: server });
  const parley = await startParley("--redis", redis.url, "--redis-tls-ca", paths.ca, "--redis-tls-cert", paths.cert, "--redis-tls-key", paths.key);
  try {
    const state = async () => (await (await fetch(`${parley.url}/health`)).json()).redis;
    await until(async () => (await state()) === "ok", () => parley.output);
    await redis.kill();
    redis = await startRedis({ port: redis.port, tls: other.issue("redis", "DNS:localhost", "IP:127.0.0.1") });
    await until(() => /certificate|self.signed/i.test(parley.output.slice(-4000)), () => parley.output);
    assert.equal(await state(), "away");
    use(other.issue("client"));
    parley.child.kill("SIGHUP");
    await until(() => parley.output.includes("redis: certificates reloaded"), () => parley.output);
    await until(async () => (await state()) === "ok", () => parley.output.slice(-4000));
    writeFileSync(paths.cert, "nothing");
    parley.child.kill("SIGHUP");
    await until(() => parley.output.includes("redis: cannot reload certificates"), () => parley.output);
    assert.equal(await state(), "ok");
  } finally {
    await parley.stop();
    await redis.stop();
    rmSync(folder, { recursive: true });
  }
});
