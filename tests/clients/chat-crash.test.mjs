// The server, and a worker, are killed at random points of many turns while three tabs read: nothing of a log is lost or
// doubled, each turn ends exactly once, and what was acknowledged is there. CRASH_TURNS=200 for more; CRASH_SEED=n.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, afterEach, test } from "node:test";
import { sleep, until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const TURNS = Number(process.env.CRASH_TURNS ?? 16), CHATS = 4, TABS = 3;
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1000000);
let state = seed;
const random = (n) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor((state / 2147483648) * n); };

let model, parley;
after(() => model?.stop());
afterEach(async () => { await parley?.stop(); parley = undefined; model?.stop(); model = undefined; });

/** A tab that comes back whenever its connection breaks, and asks for what it lacks. */
class Tab {
  constructor(chatId) {
    this.chatId = chatId;
    this.log = [];
    this.connect();
  }

  get seq() {
    return this.log.at(-1)?.seq ?? 0;
  }

  async connect() {
    while (!this.isOver) {
      const client = new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 }));
      this.client = client;
      try {
        await client.ready;
        client.log = this.log;
        const gone = new Promise((resolve) => client.socket.once("disconnect", resolve));
        await client.open({ chat_id: this.chatId, since_seq: this.seq });
        await gone;
      } catch { /* it is starting */ }
      client.close();
      await sleep(5);
    }
  }

  close() {
    this.isOver = true;
    this.client.close();
  }
}

/** A free port that no connection gets by itself: while the server is down, one that tries to reach it could connect to itself, and keep its port. */
async function choosePort() {
  for (;;) {
    const port = 10000 + Math.floor(Math.random() * 20000);
    const server = createServer();
    const isFree = await new Promise((resolve) => { server.once("error", () => resolve(false)); server.listen(port, "127.0.0.1", () => resolve(true)); });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

const children = (pid) => readdirSync(`/proc/${pid}/task/${pid}`).includes("children") ? readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number) : [];

/** Says something until it is acknowledged, as a client with a queue of its own does. */
async function say(chatId, id, kills) {
  for (;;) {
    if (kills.failed) throw kills.failed;
    const client = new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 }));
    try {
      await client.ready;
      const answer = await client.socket.timeout(5000).emitWithAck("chat.message", { id, chat_id: chatId, content: `question ${id}`, queue: true });
      if (answer.ok) return answer;
      assert.ok([503, 429].includes(answer.error.code), `${id}: ${JSON.stringify(answer)}`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    } finally {
      client.close();
    }
    await sleep(10);
  }
}

async function run(kill, ...options) {
  model = await startModel(async function* () {
    for (let i = 0; i < 20; i++) { yield `${i} `; await sleep(random(30)); }
  });
  parley = await startParley(...model.options, "--token-interval-ms", "1", "--turn-lease-ms", "600", "--log-level", "warn", "--port", String(await choosePort()), ...options);
  const opener = await new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 })).ready;
  const chats = [];
  for (let i = 0; i < CHATS; i++) chats.push((await opener.open()).chat_id);
  opener.close();
  const tabs = chats.flatMap((chatId) => Array.from({ length: TABS }, () => new Tab(chatId)));
  const kills = { count: 0 };
  try {
    await check(kill, chats, tabs, kills);
  } finally {
    kills.isOver = true;
    for (const tab of tabs) tab.close();
  }
}

async function check(kill, chats, tabs, kills) {
  const asked = [];
  const seen = () => tabs.reduce((sum, { seq }) => sum + seq, 0);
  const killer = (async () => {
    while (!kills.isOver) {
      // Only what goes on can be interrupted: on a busy machine a server is otherwise killed before it says anything.
      const [before, more] = [seen(), 1 + random(kills.count ? 300 : 40)]; // the first in any case
      await until(() => kills.isOver || seen() >= before + more, "progress");
      await sleep(random(100));
      if (!kills.isOver) await kill(kills);
    }
  })().catch((error) => { kills.failed = error; });
  await Promise.all(chats.map(async (chatId, i) => {
    for (let n = 0; n < TURNS / CHATS; n++) {
      const id = `m${i}-${n}`;
      await say(chatId, id, kills);
      asked.push([chatId, id]);
    }
  }));
  const ends = (log, id) => log.filter(({ event, ref_id }) => (event === "chat.done" || event === "error") && ref_id === id);
  await until(() => asked.every(([chatId, id]) => tabs.every((tab) => tab.chatId !== chatId || ends(tab.log, id).length > 0)), () => `seed ${seed}: all ends: ${tabs.map(({ log }) => log.length)} ${parley.output.slice(-3000)}`);
  kills.isOver = true;
  await killer;
  if (kills.failed) throw kills.failed;
  const final = await new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 })).ready;
  const seqs = {};
  for (const chatId of chats) seqs[chatId] = (await final.open({ chat_id: chatId, since_seq: 0 })).seq;
  await until(() => chats.every((chatId) => final.log.filter(({ chat_id }) => chat_id === chatId).at(-1)?.seq === seqs[chatId]), "the whole logs");
  await until(() => tabs.every((tab) => tab.seq === seqs[tab.chatId]), "the tabs");
  let interrupted = 0;
  for (const tab of tabs) {
    assert.deepEqual(tab.log.map(({ seq }) => seq), Array.from({ length: seqs[tab.chatId] }, (_, i) => i + 1), `seed ${seed}: the numbers of ${tab.chatId}`);
    assert.deepEqual(tab.log, final.log.filter(({ chat_id }) => chat_id === tab.chatId), `seed ${seed}: the log of ${tab.chatId}`);
  }
  for (const [chatId, id] of asked) {
    const log = final.log.filter(({ chat_id }) => chat_id === chatId);
    assert.equal(log.filter((entry) => entry.event === "chat.message" && entry.id === id).length, 1, `seed ${seed}: ${id} was stored once`);
    assert.equal(ends(log, id).length, 1, `seed ${seed}: ${id} ends once`);
    const [end] = ends(log, id);
    const text = log.filter(({ event, ref_id }) => event === "chat.token" && ref_id === id).map(({ content }) => content).join("");
    assert.equal(end.final_text, text, `seed ${seed}: the text of ${id}`);
    if (end.event === "error") { assert.equal(end.code, 503); interrupted++; } else assert.equal(text, Array.from({ length: 20 }, (_, i) => `${i} `).join(""));
    assert.ok(log.indexOf(end) > log.findIndex((entry) => entry.event === "chat.message" && entry.id === id));
  }
  final.close();
  console.log(JSON.stringify({ seed, turns: asked.length, kills: kills.count, interrupted, entries: Object.values(seqs).reduce((sum, n) => sum + n, 0) }));
  assert.ok(kills.count > 0, "something was killed");
}

test("the server is killed and started again: each turn ends once, and every tab has the whole log", () => run(async (kills) => {
  parley.child.kill("SIGKILL");
  await parley.ended;
  kills.count++;
  await parley.start();
}));

test("workers are killed: each turn ends once, and every tab has the whole log", () => run(async (kills) => {
  const workers = children(parley.child.pid);
  if (!workers.length) return;
  process.kill(workers[random(workers.length)], "SIGKILL");
  kills.count++;
}, "--workers", "3"));
