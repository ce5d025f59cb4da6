// Two servers on one store, over each Redis adapter: tabs at both have the same log, and a stop reaches the other server.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { sleep, until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { gate, startModel } from "./lib/model.mjs";
import { startRedis } from "./lib/redis.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let redis, model, script, servers = [], clients = [];
before(async () => {
  redis = await startRedis();
  model = await startModel((messages, body) => script(messages, body));
});
after(() => { redis?.stop(); model?.stop(); });
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0).reverse()) await server.stop();
});

async function connect(server, sub = "ann") {
  const client = new ChatClient(server.url, sign(keyOf(servers[0]), { sub, role: "user", exp: now() + 3600 }));
  clients.push(client);
  return client.ready;
}

for (const adapter of ["redis", "redis-sharded", "redis-streams"]) test(`two servers over ${adapter}`, async () => {
  const options = [...model.options, "--redis", redis.url, "--adapter", adapter, "--token-interval-ms", "1"];
  servers.push(await startParley(...options));
  servers.push(await startParley(...options, "--data", servers[0].data));
  await until(async () => (await Promise.all(servers.map(async ({ url }) => (await fetch(`${url}/health`)).json()))).every(({ redis: state }) => state === "ok"), "Redis");
  const door = gate();
  script = () => (async function* () { for (let i = 0; i < 60; i++) { yield `${i} `; await sleep(1); } yield { wait: door.promise }; yield "end"; })();
  const [one, two] = [await connect(servers[0]), await connect(servers[1])];
  await one.open();
  await two.open({ chat_id: one.chatId, since_seq: 0 });
  await one.must("chat.message", { id: "m1", content: "x" });
  await until(() => [one, two].every((tab) => tab.text("m1").endsWith("59 ")), "the first part at both");
  await two.fails(409, "chat.message", { id: "m2", content: "no" });
  door.open();
  for (const tab of [one, two]) await tab.end("m1");
  assert.deepEqual(two.log, one.log);
  one.checkOrder();
  script = () => ["some ", { wait: new Promise(() => {}) }];
  for (const [i, [speaker, stopper]] of [[one, two], [two, one]].entries()) {
    await speaker.must("chat.message", { id: `s${i}`, content: "x" });
    await stopper.until("chat.token", { ref_id: `s${i}` });
    assert.equal((await stopper.must("signal.stop", {})).stopped, true);
    for (const tab of [one, two]) assert.equal((await tab.end(`s${i}`)).stopped, true);
  }
  assert.deepEqual(two.log, one.log);
  await two.must("chat.delete", { chat_id: one.chatId });
  await until(() => one.aside.some(({ event, code }) => event === "error" && code === 404), "the end at the other server");
});
