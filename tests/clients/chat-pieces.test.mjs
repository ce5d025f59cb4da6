// What answers say is stored together and moved into each chat's own log later (docs/decisions/0023): whoever reads meanwhile, or adds
// something at another worker, sees one log without a gap. PIECES_SEED=n repeats a run.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { sleep, until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { gate, startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const seed = Number(process.env.PIECES_SEED ?? Date.now() % 1000000);
let state = seed;
const random = (n) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor((state / 2147483648) * n); };

let parley, model;
const clients = [];
after(() => model?.stop());
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await parley?.stop();
  model?.stop();
});

async function connect() {
  const client = new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 }));
  clients.push(client);
  return client.ready;
}
const words = (entries) => entries.filter(({ event }) => event === "chat.token").map(({ content }) => content).join("");

/** Someone who comes while it goes on: with what it has until then, or with nothing but the snapshot. */
async function comeLate(chatId, seq) {
  const tab = await connect();
  const since = random(3) ? random(seq + 1) : undefined;
  tab.opened = await tab.open(since === undefined ? { chat_id: chatId } : { chat_id: chatId, since_seq: since });
  tab.since = since ?? tab.opened.seq;
  return tab;
}

/** The log of every tab is a part of the first one's, up to the end, and its snapshot says what was said until then. */
function compare(first, tab) {
  const where = `seed ${seed}, from ${tab.since}`;
  assert.deepEqual(tab.log.filter(({ seq }) => seq > tab.since), first.log.filter(({ seq }) => seq > tab.since), where);
  const { running, seq } = tab.opened;
  if (running) assert.equal(running.text, words(first.log.filter((entry) => entry.seq <= seq)), where);
}

for (const [name, options] of [["one process", []], ["two workers", ["--workers", "2"]]]) test(`${name}: tabs that come and go, and edits in between, see one log`, async () => {
  const opens = [gate(), gate(), gate()];
  model = await startModel((messages) => (async function* () {
    for (let i = 0; i < 250; i++) { yield `${i}\n`; await sleep(8); }
    yield { wait: opens[Number(messages.at(-1).content)].promise };
    yield "end";
  })());
  parley = await startParley(...model.options, "--token-interval-ms", "10", "--turns-per-user-max", "100", "--user-jobs-max", "100", ...options);
  const chats = [];
  for (let i = 0; i < 3; i++) {
    const first = await connect();
    first.opened = await first.open();
    first.since = 0;
    chats.push([first]);
    await first.must("chat.message", { id: `m${i}`, content: String(i) });
  }
  for (let i = 0; !chats.every(([first], n) => first.text(`m${n}`).includes("249\n")); i++) {
    const tabs = i < 3 ? chats[i] : chats[random(3)], chatId = tabs[0].chatId; // each has an edit, however slow the machine is
    // On a busy machine this goes on for minutes, and an address has only so many connections.
    if (i >= 3 && random(2) && tabs.length < 30) tabs.push(await comeLate(chatId, tabs[0].log.at(-1)?.seq ?? 0));
    else await tabs[random(tabs.length)].must("tree.edit", { chat_id: chatId, delta: { action: "add", path: "/root/children", node: { id: `n${i}`, value: String(i) } } });
    await sleep(random(150));
  }
  await sleep(1200); // nothing more is said: what was is in the log of nobody yet, and stays readable
  for (const tabs of chats) tabs.push(await comeLate(tabs[0].chatId, 20));
  for (const door of opens) door.open();
  for (const [i, tabs] of chats.entries()) {
    for (const tab of tabs) await tab.end(`m${i}`);
    const [first] = tabs, done = await first.end(`m${i}`);
    first.checkOrder();
    assert.equal(done.final_text, `${Array.from({ length: 250 }, (_, n) => `${n}\n`).join("")}end`);
    assert.equal(first.text(`m${i}`), done.final_text);
    tabs.push(await comeLate(first.chatId, 0));
    await until(() => tabs.at(-1).since === done.seq || tabs.at(-1).log.at(-1)?.seq === done.seq, "the whole log");
    for (const tab of tabs) compare(first, tab);
    assert.ok(first.of("tree.update").length > 0, "edits came in between");
  }
});

test("a turn that another process ends says no more, and the text until then is kept", async () => {
  model = await startModel(() => (async function* () { for (let i = 0; ; i++) { yield `${i} `; await sleep(8); } })());
  parley = await startParley(...model.options, "--token-interval-ms", "10", "--workers", "2");
  const tabs = [];
  for (let i = 0; i < 6; i++) tabs.push(await connect());
  for (let i = 0; i < 6; i++) {
    const [speaker, stopper] = [tabs[i], tabs[(i + 1) % 6]];
    await speaker.open();
    await stopper.open({ chat_id: speaker.chatId, since_seq: 0 });
    await speaker.must("chat.message", { id: `s${i}`, content: "x" });
    await until(() => speaker.text(`s${i}`).length > 100, "words");
    await stopper.must("signal.stop", { chat_id: speaker.chatId });
    const done = await speaker.end(`s${i}`);
    assert.equal(done.stopped, true);
    assert.equal(done.final_text, speaker.text(`s${i}`));
  }
});

test("what many answers say in one moment is one transaction", async () => {
  const end = gate(), ticks = [];
  model = await startModel(() => (async function* () {
    yield "go ";
    for (let ended = false; !ended;) {
      ended = await Promise.race([new Promise((resolve) => ticks.push(resolve)), end.promise.then(() => true)]);
      yield "word ";
    }
  })());
  parley = await startParley(...model.options, "--token-interval-ms", "50", "--turns-per-user-max", "100", "--user-jobs-max", "100");
  const commits = async () => Number(/^parley_store_commits_total (\d+)$/m.exec(await (await fetch(`${parley.url}/metrics`)).text())[1]);
  const tabs = await Promise.all(Array.from({ length: 40 }, connect));
  for (const tab of tabs) await tab.open();
  for (const tab of tabs) await tab.must("chat.message", { id: "m", content: "x" });
  for (const tab of tabs) await until(() => tab.text("m").includes("go "), "the first word");
  const ticking = setInterval(() => { for (const tick of ticks.splice(0)) tick(false); }, 15);
  const pieces = () => tabs.reduce((sum, tab) => sum + tab.of("chat.token").length, 0);
  await until(() => pieces() > 400, "the answers at their pace");
  const before = [pieces(), await commits()];
  await until(() => pieces() > before[0] + 2000, "many pieces");
  const after = [pieces(), await commits()];
  clearInterval(ticking);
  end.open();
  for (const tab of tabs) await tab.end("m");
  assert.ok((after[0] - before[0]) / (after[1] - before[1]) > 10, `${after[0] - before[0]} pieces in ${after[1] - before[1]} transactions`);
});
