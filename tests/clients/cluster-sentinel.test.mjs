// Which server is the master, Sentinels say: at the start, after a failover, and when some of them are gone.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Cluster } from "./lib/cluster.mjs";
import { startSentinels } from "./lib/sentinel.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];
let cluster, sentinels;
afterEach(async () => { await cluster?.stop(); await sentinels?.stop(); cluster = sentinels = undefined; });

const test_ = (name, fn) => test(name, { timeout: 10 * PATIENCE_MS }, fn);
const heard = (socket, event) => socket.log.filter(([name]) => name === event).map(([, value]) => value);
const is = (text) => new RegExp(text.replaceAll(".", "\\."));

async function start(adapter, options = {}) {
  sentinels = await startSentinels(options);
  cluster = new Cluster(adapter, {}, { "redis-sentinels": options.addresses?.(sentinels) ?? sentinels.addresses });
  cluster.redis = { url: sentinels.url, stop() {} };
  await cluster.startNodes(PARLEYS);
  const clients = await cluster.clients();
  for (const socket of Object.values(clients)) await socket.ask("join", "room");
  return clients;
}

let number = 0;
async function together({ parley1, parley2 }) {
  for (const [from, to] of [[parley1, parley2], [parley2, parley1]]) {
    const event = `hello-${++number}`;
    await until(async () => {
      await from.op({ op: "emit", to: "room", ev: event });
      return heard(to, event).length > 0;
    }, () => `${from.name} is heard\n${PARLEYS.map((name) => cluster.nodes[name].output()).join("\n")}`);
  }
  await until(async () => await parley1.op({ op: "serverCount" }) === 2 && await parley2.op({ op: "serverCount" }) === 2, "both are counted");
  assert.equal((await parley1.op({ op: "fetchSockets", to: "room" })).length, 2);
}

for (const adapter of ["classic", "sharded", "streams"]) {
  test_(`the master is found, and followed when it is killed: ${adapter}`, async () => {
    const clients = await start(adapter);
    await together(clients);
    const before = await sentinels.current();
    await sentinels.master.kill();
    for (let i = 0; i < 5; i++) assert.equal(await clients.parley1.op({ op: "emit", to: "room", ev: "meanwhile", args: [i] }), "ok");
    assert.deepEqual(heard(clients.parley1, "meanwhile"), [0, 1, 2, 3, 4]);
    await until(async () => await sentinels.current() !== before, "a failover");
    await together(clients);
    const late = heard(clients.parley2, "meanwhile");
    assert.deepEqual(late, [...new Set(late)].sort());
  });
}

// Its connections stay open, and what is published there reaches nobody.
test_("a master that is replaced while it lives is left", async () => {
  const clients = await start("classic");
  await together(clients);
  const before = await sentinels.current();
  assert.equal(String(await sentinels.ask(sentinels.sentinels[0].port, "SENTINEL", "FAILOVER", "calls")), "OK");
  await until(async () => await sentinels.current() !== before, "a failover");
  const { port } = sentinels.server(await sentinels.current());
  const count = async () => String(await sentinels.ask(port, "CLIENT", "LIST")).match(/name=parley-(pub|sub) /g)?.length;
  await until(async () => await count() === 4, "all four connections at the new master");
  await together(clients);
});

test_("a Sentinel that is gone is replaced by the next, and a failover is still noticed", async () => {
  const clients = await start("classic", { count: 5 });
  await together(clients);
  await sentinels.sentinels[0].kill();
  await sentinels.sentinels[1].kill();
  const [, , third] = sentinels.sentinels, before = await sentinels.current(third);
  await sentinels.master.kill();
  await until(async () => await sentinels.current(third) !== before, "a failover");
  await together(clients);
});

test_("an address that nobody listens at, and Sentinels that know no such master", async () => {
  const clients = await start("classic", { addresses: ({ addresses }) => `redis://127.0.0.1:1,${addresses}` });
  await together(clients);
  await cluster.stop();
  cluster = new Cluster("classic", {}, { "redis-sentinels": sentinels.addresses });
  cluster.redis = { url: "redis://nonsense", stop() {} };
  await cluster.startNodes(["parley1"]);
  await until(() => is("the Sentinels know no master named nonsense").test(cluster.nodes.parley1.output()), "the reason");
});
