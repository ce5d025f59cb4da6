// Who may be sent what of a call: hundreds of agents whose tokens widen, shrink and end, over workers and Redis; every
// delivery is held against a model. Repeatable but for the network's timing: RIGHTS_SEED=n.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { io } from "socket.io-client";
import { startRedis } from "./lib/redis.mjs";
import { Agent, generator, World } from "./lib/rights.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, until as untilTrue } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const seed = Number(process.env.RIGHTS_SEED ?? Date.now() % 1000000);
const AGENTS = 150, CALLS = 24, ROUNDS = 44, ACTS = 30, LATE_CALLS = 6;

let redis, servers = [], open = [];
before(async () => { redis = await startRedis(); });
after(() => redis?.stop());
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open = [];
  for (const server of servers.reverse()) await server.stop();
  servers = [];
});

const until = (condition, what) => untilTrue(condition, () =>
  `seed ${seed}: ${typeof what === "function" ? what() : what}\n${servers.map(({ output }) => output.slice(-1500)).join("\n")}`);

function connect(url, token) {
  const socket = io(url, { auth: { token }, forceNew: true, transports: ["websocket"] });
  open.push(socket);
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  return new Promise((resolve, reject) => { socket.once("connect", () => resolve(socket)); socket.once("connect_error", reject); });
}

const isConnected = async () => (await Promise.all(servers.map(async ({ url }) => (await fetch(`${url}/health`)).json()))).every(({ redis: state }) => state === "ok");

async function run(world, emitter) {
  const key = keyOf(servers[0]);
  const feedToken = sign(key, { sub: "feed", role: "feed", calls: "*", exp: now() + 3600 });
  const feeds = await Promise.all(Array.from({ length: 4 }, (_, i) => connect(`${servers[i % servers.length].url}/feed`, feedToken)));
  const feedOf = (id) => feeds[world.ids.indexOf(id) % feeds.length];
  const start = async (call) => {
    call.asked = true;
    assert.equal((await feedOf(call.id).ask("call:start", { call_id: call.id, agents: call.agents })).ok, true);
    call.started = true;
  };
  const late = world.ids.slice(-LATE_CALLS);
  await Promise.all(world.ids.filter((id) => !late.includes(id)).map((id) => start(world.calls.get(id))));
  const agents = Array.from({ length: AGENTS }, (_, i) => new Agent(world, servers[i % servers.length].url, i, i % 5 ? ["websocket"] : ["polling", "websocket"]));
  open.push(...agents);
  await Promise.all(agents.map(({ ready }) => ready));
  for (const agent of agents) agent.docId = world.docId;

  let unanswered = 0;
  const say = (id) => {
    unanswered++;
    feedOf(id).emit("transcription:update", { call_id: id, speaker: "agent", text: `secret of ${id}` }, (answer) => {
      unanswered--;
      if (answer.ok) world.calls.get(id).seq = Math.max(world.calls.get(id).seq, answer.seq);
      else world.fault(`a line was refused: ${JSON.stringify(answer)}`);
    });
  };
  for (let round = 0; round < ROUNDS && !world.faults.length; round++) {
    for (let i = 0; i < ACTS; i++) world.pick(agents).act();
    for (const id of world.ids) if (world.calls.get(id).started) say(id);
    if (late.length && round % 8 === 7) await start(world.calls.get(late.pop()));
    if (emitter && round % 3 === 0) {
      const agent = world.pick(agents), id = world.pick(world.ids);
      agent.wanted(id);
      if (agent.socket.id) emitter.in(agent.socket.id).socketsJoin([`call:${id}`, `supervisors:${id}`, "something-else"]);
    }
    await until(() => unanswered < 60 && agents.reduce((sum, { pending }) => sum + pending, 0) < 200, "answers");
  }
  const settled = () => !unanswered && agents.every((agent) => !agent.pending && !agent.isEnding && !agent.isCut && agent.socket.connected);
  await until(() => world.faults.length || settled(), () => `all answers: ${unanswered}, ${agents.filter((agent) => agent.pending || agent.isEnding || agent.isCut || !agent.socket.connected).map(({ sub, pending, isEnding, isCut }) => JSON.stringify({ sub, pending, isEnding, isCut }))}`);
  const behind = () => agents.flatMap((agent) => [...agent.rooms].filter(([id, { state, seq }]) => state === "in" && world.allows(agent.claims, id) && seq < world.calls.get(id).seq).map(([id, { seq }]) => `${agent.sub} ${id}: ${seq} of ${world.calls.get(id).seq}`));
  await until(() => world.faults.length || behind().length === 0, () => `all lines: ${behind().slice(0, 5)}`);
  await until(() => world.faults.length || agents.every((agent) => agent.wrongs().length === 0), () => `news of calls that were lost: ${agents.flatMap((agent) => agent.wrongs())}`);
  // Whoever may is in, whoever may not is out: nobody is let in or forgotten in the end.
  for (const agent of agents) for (const id of world.ids.slice(0, 8)) agent.subscribe(id);
  await until(() => world.faults.length || settled(), "the last answers");
}

/** The id of a document, as a suggestion names it. */
async function findDocument(key) {
  const { url } = servers[0];
  const sue = await connect(url, sign(key, { sub: "sue", role: "supervisor", calls: "*", exp: now() + 3600 }));
  const feed = await connect(`${url}/feed`, sign(key, { sub: "feed", role: "feed", calls: "*", exp: now() + 3600 }));
  await feed.ask("call:start", { call_id: "prelude" });
  assert.equal((await sue.ask("call:subscribe", { call_id: "prelude" })).ok, true);
  const suggestion = new Promise((resolve) => sue.once("ai:suggestion", resolve));
  await feed.ask("transcription:update", { call_id: "prelude", speaker: "customer", text: "I got the wrong size, I want to return it" });
  const { documents: [{ id }] } = await suggestion;
  return id;
}

async function check({ emitter, tellsLate } = {}) {
  const world = new World(generator(seed), keyOf(servers[0]), CALLS, AGENTS, tellsLate);
  world.docId = await findDocument(world.key);
  await run(world, emitter);
  const { delivered, refusals, cuts, left, votes } = world;
  console.log(JSON.stringify({ seed, delivered, refusals, cuts, left, votes }));
  assert.deepEqual(world.faults, [], `seed ${seed}`);
  assert.ok(delivered > 2000 && refusals > 100 && left > 20 && cuts > 20 && votes > 0, `seed ${seed}: too little happened`);
}

test("one process: nobody is sent anything without a right to it, nobody misses anything", async () => {
  servers.push(await startParley("--recovery"));
  await check();
});

test("three workers: nobody is sent anything without a right to it, nobody misses anything", async () => {
  servers.push(await startParley("--recovery", "--workers", "3"));
  await check();
});

for (const adapter of ["redis", "redis-streams"]) test(`two servers over ${adapter}: nobody is sent anything without a right to it, whatever another server wants`, async () => {
  const options = ["--redis", redis.url, "--adapter", adapter, ...(adapter === "redis-streams" ? ["--recovery"] : [])];
  servers.push(await startParley(...options));
  servers.push(await startParley(...options, "--data", servers[0].data));
  await until(isConnected, "Redis");
  const client = createClient({ url: redis.url });
  await client.connect();
  try {
    await check(adapter === "redis" ? { emitter: new Emitter(client) } : { tellsLate: true });
  } finally {
    client.destroy();
  }
});
