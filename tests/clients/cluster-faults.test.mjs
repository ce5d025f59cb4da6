// Redis and nodes that fail, under the classic adapter: what is local goes on, nothing is delivered twice, and who is
// missing is not waited for longer than need be.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createClient } from "redis";
import { startRedis } from "./lib/redis.mjs";
import { Cluster } from "./lib/cluster.mjs";
import { PATIENCE_MS, until, withTimeEnough } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];
let cluster;
afterEach(() => cluster?.stop());

const heard = (client, event) => client.log.filter(([name]) => name === event).map(([, value]) => value);

async function inARoom(names, options) {
  cluster = await new Cluster("classic", {}, options).start(names);
  const clients = await cluster.clients();
  for (const client of Object.values(clients)) await client.ask("join", "room");
  return clients;
}

async function backTogether({ parley1, parley2 }) {
  let n = 0;
  await until(async () => {
    await parley1.op({ op: "emit", to: "room", ev: "back", args: [n++] });
    return heard(parley2, "back").length > 0;
  }, "events arrive again");
  await until(async () => await parley2.op({ op: "serverCount" }) === 2, "both are counted");
}

// That Redis has stopped is not noticed so soon; that it has ended is.
const know = () => until(() => PARLEYS.every((name) => /redis \S+ \S+: .*; next attempt/.test(cluster.nodes[name].output())), "both know");

for (const [what, fail, mend] of [
  ["killed and started again", async (redis) => { await redis.kill(); await know(); }, async (redis) => { cluster.redis = await startRedis({ port: redis.port }); }],
  ["stopped for a while", async (redis) => redis.pause(), async (redis) => redis.resume()],
]) {
  test(`Redis is ${what}`, { timeout: 10 * PATIENCE_MS }, async () => {
    const clients = await inARoom(PARLEYS, { "request-timeout": 2000 });
    const { parley1, parley2 } = clients;
    const { redis } = cluster;
    await parley1.op({ op: "emit", to: "room", ev: "before", args: [0] });
    await until(() => heard(parley2, "before").length === 1, "the first");
    await fail(redis);
    for (let i = 0; i < 20; i++) {
      assert.equal(await parley1.op({ op: "emit", to: "room", ev: "meanwhile", args: [i] }), "ok"); // waits for Redis: never
    }
    assert.deepEqual(heard(parley1, "meanwhile"), Array.from({ length: 20 }, (_, i) => i), "delivered where it was said");
    await parley1.op({ op: "socketsJoin", to: parley1.id, rooms: "joined meanwhile" });
    assert.ok((await parley1.ask("rooms")).includes("joined meanwhile"));
    const sockets = await parley1.op({ op: "fetchSockets" });
    assert.deepEqual(sockets.map(({ id }) => id), [parley1.id], "what is here");
    await mend(redis);
    await backTogether(clients);
    // What waited is sent once and in order. After a restart the others may not listen yet.
    const late = heard(parley2, "meanwhile");
    assert.deepEqual(late, [...new Set(late)].sort((a, b) => a - b));
    if (what === "stopped for a while") assert.ok(late.length > 0, "nothing was kept");
    await parley1.op({ op: "emit", to: "joined meanwhile", ev: "own", args: [1] });
    await parley2.op({ op: "emit", to: "joined meanwhile", ev: "own", args: [2] });
    await until(() => heard(parley1, "own").length === 2, "a room that began meanwhile is heard");
    assert.deepEqual(heard(parley1, "own"), [1, 2]);
    await until(async () => (await parley1.op({ op: "fetchSockets" })).length === 2, "the other is asked again");
  });
}

test("Redis is not there when the nodes start", { timeout: 10 * PATIENCE_MS }, async () => {
  const first = await startRedis();
  await first.stop();
  cluster = new Cluster("classic", { port: first.port });
  cluster.redis = { url: first.url, stop() {} };
  await cluster.startNodes(PARLEYS);
  const clients = await cluster.clients();
  for (const client of Object.values(clients)) await client.ask("join", "room");
  await clients.parley1.op({ op: "emit", to: "room", ev: "alone" });
  await until(() => heard(clients.parley1, "alone").length === 1, "local delivery");
  assert.equal(await clients.parley1.op({ op: "serverCount" }), 1);
  cluster.redis = await startRedis({ port: first.port });
  await backTogether(clients);
});

for (const type of ["normal", "pubsub"]) {
  test(`Redis closes the connections of one kind: ${type}`, { timeout: 10 * PATIENCE_MS }, async () => {
    const clients = await inARoom(PARLEYS);
    const killer = await createClient({ url: cluster.redis.url }).on("error", () => {}).connect();
    await killer.sendCommand(["CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"]);
    await killer.close();
    await backTogether(clients);
    for (const client of Object.values(clients)) {
      assert.equal((await client.op({ op: "fetchSockets" })).length, 2);
      assert.deepEqual(await client.op({ op: "serverSideEmitWithAck", args: [] }),
        { err: null, responses: [client.name === "parley1" ? "parley2" : "parley1"] });
    }
  });
}

test("a node that was killed is not waited for", { timeout: 10 * PATIENCE_MS }, async () => {
  const { parley1, node } = await inARoom([...PARLEYS, "node"], { "request-timeout": 10 * PATIENCE_MS });
  process.kill(cluster.nodes.parley2.pid, "SIGSTOP");
  const asked = parley1.op({ op: "fetchSockets" });
  const count = await parley1.op({ op: "serverCount" });
  assert.equal(count, 3, "Redis does not know that it hangs");
  process.kill(cluster.nodes.parley2.pid, "SIGKILL");
  delete cluster.nodes.parley2;
  assert.deepEqual((await asked).map(({ id }) => id).sort(), [parley1.id, node.id].sort());
  await until(async () => await parley1.op({ op: "serverCount" }) === 2, "it is gone");
  assert.equal((await node.op({ op: "fetchSockets" })).length, 2);
});

test("a node that hangs is missing from the answers, and hears what was said when it wakes up", { timeout: 10 * PATIENCE_MS }, async () => {
  const { parley1, parley2, node } = await inARoom([...PARLEYS, "node"], { "request-timeout": 2000 });
  process.kill(cluster.nodes.parley2.pid, "SIGSTOP");
  for (const one of [parley1, node]) one.on("question", (answer) => answer(one.name));
  await until(async () => { // on a busy machine the other one may be late, too
    const begin = Date.now();
    const ids = (await parley1.op({ op: "fetchSockets" })).map(({ id }) => id);
    assert.ok(Date.now() - begin > 1900, "the timeout of 2 s");
    assert.ok(ids.includes(parley1.id) && !ids.includes(parley2.id));
    return ids.includes(node.id);
  }, "the sockets of those that answer");
  assert.match(cluster.nodes.parley1.output(), /timed out; other servers that did not answer: 1 of 2: 1 of [\w-]{6}, [\w-]{6}/);
  await until(async () => {
    const { err, responses } = await parley1.op({ op: "serverSideEmitWithAck", args: [] });
    assert.equal(err, "timeout");
    assert.ok(!responses.includes("parley2"));
    return responses.includes("node");
  }, "an answer of the other server");
  await withTimeEnough([2000, 5000, PATIENCE_MS / 2], async (timeout) => {
    const { err, responses } = await parley1.op({ op: "emitWithAck", to: "room", ev: "question", timeout });
    assert.equal(err, "timeout");
    assert.deepEqual(responses.sort(), ["node", "parley1"]);
  });
  await parley1.op({ op: "emit", to: "room", ev: "wake up", args: [1] });
  process.kill(cluster.nodes.parley2.pid, "SIGCONT");
  await until(() => heard(parley2, "wake up").length === 1, "it hears again");
  await until(async () => (await parley1.op({ op: "fetchSockets" })).length === 3, "its sockets");
});
