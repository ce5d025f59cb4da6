// What must not be stored: it reaches neither a room nor the disk, whichever door it comes through.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const card = "4111 1111 1111 1111", iban = "DE89 3704 0044 0532 0130 00", email = "ann@mail.example.com", phone = "+49 171 1234567";
const secrets = [card, card.replaceAll(" ", ""), iban, email, phone];

const people = { feed: ["--role", "feed"], ann: ["--calls", "*"], sue: ["--role", "supervisor"] };
let desk;
before(async () => { desk = await Desk.open(people); });
afterEach(() => desk.leave());
after(() => desk?.close());

function assertClean(what, where) {
  for (const secret of secrets) assert.ok(!what.includes(secret), `${secret} in ${where}`);
}

/** Every byte of the data directory. */
const disk = () => readdirSync(desk.parley.data).map((name) => readFileSync(join(desk.parley.data, name), "latin1")).join("\n");

async function watch(id) {
  const ann = await desk.connect("ann");
  assert.equal((await ann.ask("call:subscribe", { call_id: id })).ok, true);
  return ann;
}

test("a line is sent and stored without them, interims and every door included", async () => {
  const feed = await desk.call("r1");
  const ann = await watch("r1");
  await feed.say(`card ${card}, iban ${iban}`, { segment_id: "s1", is_final: false });
  await feed.say(`card ${card}, iban ${iban}, mail ${email}, phone ${phone}, order 4711081512`, { segment_id: "s1", is_final: true, confidence: 0.5, start_ms: 10 });
  const one = await desk.request("feed", "POST", "/api/v1/calls/r1/transcription", { speaker: "customer", text: `mine is ${card}` });
  assert.equal(one.status, 200, JSON.stringify(one.body));
  const list = await desk.request("feed", "POST", "/api/v1/calls/r1/transcription", [{ speaker: "customer", text: `again ${card}` }, { speaker: "customer", text: "nothing" }]);
  assert.equal(list.body.stored, 2);
  const lines = `{"speaker":"customer","text":"and ${email}"}\n`;
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/r1/transcription", lines, { "content-type": "application/x-ndjson" })).body.stored, 1);
  await until(() => ann.seen("transcription:update").length === 6, "the lines");
  const texts = ann.seen("transcription:update").map(({ text }) => text);
  assert.equal(texts[1], "card [card], iban [iban], mail [email], phone [phone], order 4711081512");
  assert.deepEqual([ann.seen("transcription:update")[1].confidence, ann.seen("transcription:update")[1].start_ms], [0.5, 10]);
  assert.deepEqual(texts.slice(2), ["mine is [card]", "again [card]", "nothing", "and [email]"]);
  assertClean(JSON.stringify(ann.log), "what was sent");
  const late = await (await desk.connect("ann")).ask("call:subscribe", { call_id: "r1" });
  assertClean(JSON.stringify(late), "the snapshot");
  assertClean(disk(), "the data directory");
});

test("a number that grows in interim lines is hidden before it is whole", async () => {
  const feed = await desk.call("r2");
  const ann = await watch("r2");
  for (let n = 1; n <= card.length; n++) await feed.say(`it is ${card.slice(0, n)}`, { segment_id: "s", is_final: n === card.length });
  await until(() => ann.seen("transcription:update").some(({ is_final }) => is_final), "the line");
  for (const { text } of ann.seen("transcription:update")) assert.ok(!text.includes("4111 11"), text);
});

test("fields that the server does not know go on, unless something in the line must not", async () => {
  const feed = await desk.call("r3");
  const ann = await watch("r3");
  await feed.say("hello", { words: [{ word: "hello", at: 1732890000123 }] });
  await feed.say(`pay by ${card}`, { words: card.split(" ").map((word) => ({ word })), channel: 1 });
  await feed.say("hello", { raw: { transcript: `call ${phone}` } });
  await feed.say("hello", { digits: 4111111111111111 });
  await feed.say("hello", { [card]: 1 });
  await feed.say("hello", { start_ms: card, end_ms: 5 });
  await until(() => ann.seen("transcription:update").length === 6, "the lines");
  const [plain, text, field, number, key, time] = ann.seen("transcription:update");
  assert.deepEqual(plain.words, [{ word: "hello", at: 1732890000123 }]);
  for (const one of [text, field, number]) assert.deepEqual(Object.keys(one).filter((key) => ["words", "channel", "raw", "digits"].includes(key)), []);
  assert.equal(text.text, "pay by [card]");
  assert.deepEqual([key[card], time.start_ms, time.end_ms], [undefined, undefined, 5]);
});

test("what is said twice in an object is looked at twice, and numbers as they are written", async () => {
  const feed = await desk.call("r7");
  const says = async (...lines) => {
    const { body } = await desk.request("feed", "POST", "/api/v1/calls/r7/transcription", lines.join("\n"), { "content-type": "application/x-ndjson" });
    assert.equal(body.stored, lines.length, JSON.stringify(body));
  };
  await says(`{"speaker":"customer","text":"${card}","text":"one"}`, `{"speaker":"customer","text":"two","x":"${card}","x":1}`,
    `{"speaker":"customer","text":"three","x":{"a":["${card}"],"a":1}}`, `{"speaker":"customer","text":"four","\\u0074imestamp":"${card}","timestamp":"2026-11-29T12:00:00.000Z"}`,
    `{"speaker":"customer","text":"five","x":"\\u0034${card.slice(1)}"}`, '{"speaker":"customer","text":"six","x":[4111111111111111.0,4111111111111111e0]}');
  await feed.ask("call:end", { call_id: "r7" });
  const late = await (await desk.connect("ann")).ask("call:subscribe", { call_id: "r7" });
  assert.deepEqual(late.transcript.map(({ text, x }) => [text, x]), ["one", "two", "three", "four", "five", "six"].map((text) => [text, undefined]));
  for (const secret of ["4111111111111111.0", "\\u0034111"]) assert.ok(!disk().includes(secret), secret);
  assertClean(disk(), "the data directory");
});

test("a line that comes again is a duplicate, though other text was stored", async () => {
  const feed = await desk.call("r4");
  const said = () => feed.say(`card ${card}`, { segment_id: "s" });
  assert.equal((await said()).duplicate, undefined);
  assert.equal((await said()).duplicate, true);
});

test("what people write is looked through as well", async () => {
  const feed = await desk.call("r5");
  const [ann, sue] = [await watch("r5"), await desk.connect("sue")];
  await sue.ask("note:send", { call_id: "r5", text: `refund to ${iban}` });
  await ann.ask("agent:help", { call_id: "r5", reason: `customer is ${email}` });
  await until(() => ann.seen("call:note").length && sue.seen("call:help").length, "note and hand");
  await feed.ask("call:end", { call_id: "r5" });
  await ann.ask("call:wrapup", { call_id: "r5", outcome: `paid with ${card}`, notes: `by ${card}` });
  const late = await sue.ask("call:subscribe", { call_id: "r5" });
  assert.equal(late.notes[0].text, "refund to [iban]");
  assert.deepEqual([late.wrapups[0].outcome, late.wrapups[0].notes], ["paid with [card]", "by [card]"]);
  assert.equal(sue.seen("call:help")[0].agents[0].reason, "customer is [email]");
  assertClean(disk(), "the data directory");
});

// Milliseconds that each thread has run; the first is the loop's.
const timesOf = (pid) => readdirSync(`/proc/${pid}/task`).map(Number).sort((a, b) => a - b)
  .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]) / 1e6);

test("one long line is looked through on a thread, as lists are", async () => {
  const file = join(desk.parley.data, "many.txt");
  writeFileSync(file, `card: card\nphone: phone\n${Array.from({ length: 20 }, (_, i) => `p${i}: /(\\d+[- ]?){3}x${i}/`).join("\n")}\n`);
  const other = await Desk.open(people, "--redaction", file);
  try {
    const feed = await other.call("r8");
    const before = timesOf(other.parley.child.pid);
    for (let i = 0; i < 8; i++) await feed.say("1234 ".repeat(13000), { segment_id: `s${i}` });
    const spent = timesOf(other.parley.child.pid).map((ms, i) => ms - (before[i] ?? 0));
    const all = spent.reduce((sum, ms) => sum + ms, 0);
    assert.ok(spent[0] < all / 3, `the loop took ${spent[0].toFixed()} ms of ${all.toFixed()}`);
    other.leave();
  } finally { await other.close(); }
});

test("rules come from a file; off means off; a wrong file is refused at the start", async () => {
  const file = join(desk.parley.data, "rules.txt");
  writeFileSync(file, "# ours\norder: /\\bORD-\\d+\\b/\n");
  for (const [option, wanted] of [[file, `${card} [order]`], ["off", `${card} ORD-1234`]]) {
    const other = await Desk.open(people, "--redaction", option);
    try {
      const feed = await other.call("r6");
      await feed.say(`${card} ORD-1234`);
      const ann = await other.connect("ann");
      assert.deepEqual((await ann.ask("call:subscribe", { call_id: "r6" })).transcript.map(({ text }) => text), [wanted]);
      other.leave();
    } finally { await other.close(); }
  }
  writeFileSync(file, "card: card\nbad: kard\n");
  await assert.rejects(Desk.open({}, "--redaction", file), /redaction.*line 2: must be/s);
});
