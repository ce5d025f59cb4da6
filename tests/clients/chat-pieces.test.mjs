// What answers say is stored together and moved into each chat's own log later (docs/decisions/0023): whoever reads meanwhile, or adds
// something at another worker, sees one log without a gap. PIECES_SEED=n repeats a run.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
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

async function connect(sub = "ann") {
  const client = new ChatClient(parley.url, sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 }));
  clients.push(client);
  return client.ready;
}
const words = (entries) => entries.filter(({ event }) => event === "chat.token").map(({ content }) => content).join("");

const READ = "import sqlite3, sys; print('\\n'.join(str(row[0]) for row in sqlite3.connect(sys.argv[1], timeout=60).execute(sys.argv[2])))";
/** The first column of a query, as text. */
function stored(sql) {
  const options = { encoding: "utf8", maxBuffer: 1 << 28 };
  if (!process.env.TEST_STORE) return execFileSync("python3", ["-c", READ, join(parley.data, "parley.db"), sql], options);
  return execFileSync("psql", [process.env.TEST_STORE, "-Atqc", `SET search_path = "${basename(parley.data).toLowerCase().replaceAll("-", "_")}"; ${sql}`], options);
}

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

test("what a deleted chat said is gone from the store when its deletion is answered, and others' words are not", async () => {
  const end = gate();
  model = await startModel((messages) => (async function* () {
    for (let i = 0; i < 40; i++) { yield `${messages.at(-1).content}-${i} `; await sleep(8); }
    yield { wait: end.promise };
    yield "end";
  })());
  parley = await startParley(...model.options, "--token-interval-ms", "10");
  const bob = await connect("bob"), tabs = [await connect(), await connect()], said = (word) => Array.from({ length: 40 }, (_, i) => `${word}-${i} `).join("");
  for (const [client, word] of [[tabs[0], "first"], [tabs[1], "second"], [bob, "bobs"]]) {
    await client.open();
    await client.must("chat.message", { id: "m", content: word });
  }
  // Their words are in the same rows, which bob's chat needs until more is said, and nothing is: the model waits.
  for (const [client, word] of [[tabs[0], "first"], [tabs[1], "second"], [bob, "bobs"]]) await until(() => client.text("m") === said(word), "all words");
  assert.match(stored("SELECT data FROM chat_pieces"), /first-39 [^]*second-39 |second-39 [^]*first-39 /);
  for (const [tab, word] of [[tabs[0], "first"], [tabs[1], "second"]]) {
    await tab.must("chat.delete", { chat_id: tab.chatId });
    assert.ok(!stored("SELECT data FROM chat_pieces").includes(word), "the rows of all");
    assert.ok(!stored("SELECT payload FROM chat_log").includes(word), "its own log");
  }
  const late = await connect("bob");
  const { running } = await late.open({ chat_id: bob.chatId });
  assert.equal(running.text, said("bobs"));
  end.open();
  assert.equal((await bob.end("m")).final_text, `${said("bobs")}end`);
  assert.equal((await late.end("m")).final_text, `${said("bobs")}end`);
  // Nobody says anything any more: what was said last is in a row that no chat needs.
  await bob.must("chat.delete", { chat_id: bob.chatId });
  assert.ok(!stored("SELECT data FROM chat_pieces").includes("bobs"));
  if (process.env.TEST_STORE) return;
  await parley.end();
  const file = readFileSync(join(parley.data, "parley.db"), "latin1");
  for (const word of ["first", "second", "bobs"]) assert.ok(!file.includes(`${word}-`), `${word} in the pages of the file`);
});

test("a chat that gets the number of a deleted one has none of its words", async () => {
  const end = gate();
  model = await startModel((messages) => (async function* () {
    for (let i = 0; i < 40; i++) { yield `${messages.at(-1).content}-${i} `; await sleep(8); }
    yield { wait: end.promise };
  })());
  parley = await startParley(...model.options, "--token-interval-ms", "10");
  const said = (word) => Array.from({ length: 40 }, (_, i) => `${word}-${i} `).join("");
  const say = async (client, word) => {
    await client.open();
    await client.must("chat.message", { id: "m", content: word });
    await until(() => client.text("m") === said(word), "all words");
  };
  const [ann, bob, cat] = [await connect("ann"), await connect("bob"), await connect("cat")];
  await say(cat, "cats"); // whose words keep the row of all
  await say(ann, "anns");
  await ann.must("chat.delete", { chat_id: ann.chatId });
  await say(bob, "bobs");
  const late = await connect("bob");
  assert.equal((await late.open({ chat_id: bob.chatId })).running.text, said("bobs"));
  end.open();
  assert.equal((await bob.end("m")).final_text, said("bobs"));
});

test("a turn whose chat is deleted at another worker writes nothing more of it", async () => {
  model = await startModel((messages) => (async function* () { for (let i = 0; ; i++) { yield `${messages.at(-1).content}-${i} `; await sleep(4); } })());
  parley = await startParley(...model.options, "--token-interval-ms", "5", "--workers", "2", "--turns-per-user-max", "100", "--user-jobs-max", "100");
  const tabs = [], names = Array.from({ length: 12 }, (_, i) => `w${i}x`);
  for (const name of names) {
    const tab = await connect();
    await tab.open();
    await tab.must("chat.message", { id: "m", content: name });
    tabs.push(tab);
  }
  for (const tab of tabs) await until(() => tab.text("m").length > 200, "words");
  // Half of these are connected to another worker than the chat's.
  const stays = tabs.pop(), kept = names.pop();
  for (const [i, tab] of tabs.entries()) await tabs[(i + 1) % tabs.length].must("chat.delete", { chat_id: tab.chatId });
  await until(() => model.open === 1, "the turns to end");
  const before = stays.text("m").length;
  await until(() => stays.text("m").length > before + 200, "words after the last of theirs");
  const pieces = stored("SELECT data FROM chat_pieces") + stored("SELECT payload FROM chat_log");
  assert.ok(pieces.includes(`${kept}-`));
  assert.deepEqual(names.filter((name) => pieces.includes(`${name}-`)), []);
});
