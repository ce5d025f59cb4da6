// The assistant over Socket.IO: one durable log per chat, whatever its clients do.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { gate, startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let model, parley, script;
const clients = [];
before(async () => {
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--token-interval-ms", "1");
});
after(async () => {
  await parley?.stop();
  model?.stop();
});
afterEach(() => { for (const client of clients.splice(0)) client.close(); });

const token = (sub, role = "user", more = {}) => sign(keyOf(parley), { sub, role, exp: now() + 3600, ...more });
async function connect(who, ...more) {
  const client = new ChatClient(parley.url, who && token(who, ...more));
  clients.push(client);
  return client.ready;
}
const echo = (messages) => ["You said: ", messages.at(-1).content];
const facts = (entries) => entries.map(({ event, seq, ...rest }) => [seq, event, rest.content ?? rest.step ?? rest.final_text ?? rest.message]);

test("a message begins a turn: its entries have a seq each, and it ends once", async () => {
  script = echo;
  const ann = await connect("ann");
  const opened = await ann.open();
  assert.deepEqual({ seq: opened.seq, pending: opened.pending, history: opened.history_count, owner: opened.is_owner }, { seq: 0, pending: [], history: 0, owner: true });
  assert.equal(ann.aside[0].event, "session.ready");
  assert.equal(ann.aside[0].chat_id, opened.chat_id);
  const answer = await ann.must("chat.message", { id: "m1", content: "Grüße" });
  assert.deepEqual([answer.ref_id, answer.seq], ["m1", 1]);
  const done = await ann.end("m1");
  assert.deepEqual([done.event, done.final_text, done.is_complete, done.stopped], ["chat.done", "You said: Grüße", true, undefined]);
  assert.equal(ann.text("m1"), "You said: Grüße");
  assert.deepEqual(ann.of("chat.message").map(({ id, content, from }) => [id, content, from]), [["m1", "Grüße", "ann"]]);
  ann.checkOrder();
  assert.equal(ann.log[0].seq, 1);
});

test("the model is shown what was said before, and the assistant's words", async () => {
  const seen = [];
  script = (messages) => { seen.push(messages); return ["yes"]; };
  const ann = await connect("ann");
  await ann.open();
  await ann.say("m1", "one");
  await ann.say("m2", "two");
  assert.equal(seen[0][0].role, "system");
  assert.match(seen[0][0].content, /^You are [^]*\n\nThe user's local time is \w+day \d{4}-\d\d-\d\dT\d\d:\d\d \(UTC[+-]\d\d:\d\d\)\.$/);
  await ann.say("m3", "three", { time_zone: "Asia/Kolkata" });
  const [, local] = /time is \w+ (\S+) \(UTC\+05:30, Asia\/Kolkata\)/.exec(seen[2][0].content);
  assert.ok(Math.abs(Date.now() - Date.parse(`${local}:00+05:30`)) < 180_000, local);
  assert.deepEqual(seen[1].slice(1).map(({ role, content }) => [role, content]), [["user", "one"], ["assistant", "yes"], ["user", "two"]]);
});

test("the same id twice is answered once", async () => {
  script = echo;
  const ann = await connect("ann");
  await ann.open();
  const [one, two] = await Promise.all([ann.must("chat.message", { id: "m1", content: "x" }), ann.must("chat.message", { id: "m1", content: "x" })]);
  assert.deepEqual([one.duplicate, two.duplicate], [undefined, true]);
  await ann.end("m1");
  await ann.say("m2", "x");
  const again = await ann.must("chat.message", { id: "m2", content: "x" });
  assert.deepEqual([again.state, again.since_seq], ["ended", ann.of("chat.message", { id: "m2" })[0].seq - 1]);
  assert.equal((await ann.must("chat.message", { id: "m1", content: "x" })).state, "ended");
  await ann.say("m2", "y");
  assert.equal(ann.of("chat.message").length, 2);
  assert.equal(ann.of("chat.done").length, 2);
});

test("while a turn runs another message is 409, or queued", async () => {
  const door = gate();
  script = (messages) => (messages.at(-1).content === "slow" ? ["a", { wait: door.promise }, "b"] : echo(messages));
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "slow" });
  await ann.until("chat.token", { ref_id: "m1" });
  await ann.fails(409, "chat.message", { id: "m2", content: "no" });
  assert.equal((await ann.must("chat.message", { id: "m3", content: "later", queue: true })).queued, true);
  assert.equal((await ann.must("chat.message", { id: "m4", content: "last", queue: true })).queued, true);
  door.open();
  await ann.end("m4");
  assert.deepEqual(ann.of("chat.done").map(({ ref_id, final_text }) => [ref_id, final_text]), [["m1", "ab"], ["m3", "You said: later"], ["m4", "You said: last"]]);
  ann.checkOrder();
});

test("since_seq gives exactly what is missing, then the live rest; without it nothing is replayed", async () => {
  const door = gate();
  script = () => (async function* () { for (let i = 0; i < 40; i++) { yield `${i} `; await new Promise(setImmediate); } yield { wait: door.promise }; yield "end"; })();
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await until(() => ann.text("m1").endsWith("39 "), "the first part");
  const last = ann.log.at(-1).seq;
  const tabs = [];
  for (const since_seq of [0, 1, 3, last - 1, last, last + 5, undefined]) {
    const tab = await connect("ann");
    const opened = await tab.open({ chat_id: ann.chatId, since_seq });
    assert.equal(opened.running.ref_id, "m1");
    assert.equal(opened.running.text, ann.text("m1"));
    assert.equal(opened.running.since_seq, ann.of("chat.message")[0].seq - 1);
    tabs.push([tab, since_seq === undefined ? last : Math.min(since_seq, last)]);
  }
  door.open();
  await ann.end("m1");
  for (const [tab, since] of tabs) {
    await tab.end("m1");
    assert.deepEqual(tab.log, ann.log.filter(({ seq }) => seq > since));
  }
});

test("a turn belongs to the chat: its tab is closed, the turn goes on, and another device reads all of it", async () => {
  const door = gate();
  script = () => ["before ", { wait: door.promise }, "after"];
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.until("chat.token", { ref_id: "m1" });
  ann.close();
  door.open();
  const phone = await connect("ann");
  await phone.open({ chat_id: ann.chatId, since_seq: 0 });
  assert.equal((await phone.end("m1")).final_text, "before after");
  phone.checkOrder();
});

test("signal.stop ends the turn within 100 ms, and the request to the model with it", async () => {
  script = () => ["some ", { wait: new Promise(() => {}) }];
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.until("chat.token", { ref_id: "m1" });
  const before = model.cancelled;
  assert.deepEqual((await ann.fails(404, "signal.stop", { chat_id: "unknown" })).code, 404);
  assert.equal((await ann.must("signal.stop", { ref_id: "other" })).stopped, false);
  assert.equal((await ann.must("signal.stop", {})).stopped, true);
  const done = await ann.end("m1");
  assert.deepEqual([done.event, done.final_text, done.stopped, done.is_complete], ["chat.done", "some ", true, false]);
  await until(() => model.cancelled > before, "the model's request to end");
  assert.equal((await ann.must("signal.stop", {})).stopped, false);
  script = echo;
  assert.equal((await ann.say("m2", "go on")).final_text, "You said: go on");
});

test("a queued message is stopped by its ref_id and is never answered", async () => {
  const door = gate();
  script = (messages) => (messages.at(-1).content === "slow" ? [{ wait: door.promise }, "a"] : echo(messages));
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "slow" });
  await ann.must("chat.message", { id: "m2", content: "queued", queue: true });
  assert.equal((await ann.must("signal.stop", { ref_id: "m2" })).stopped, true);
  assert.equal((await ann.end("m2")).stopped, true);
  door.open();
  await ann.end("m1");
  assert.equal((await ann.say("m3", "x")).final_text, "You said: x");
  assert.equal(ann.text("m2"), "");
});

test("failures of the model end the turn with their code, and keep what was said", async () => {
  const ann = await connect("ann");
  await ann.open();
  const door = gate();
  script = () => ["half", { wait: door.promise }, { cut: true }];
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.until("chat.token", { ref_id: "m1" });
  door.open();
  const cut = await ann.end("m1");
  assert.deepEqual([cut.event, cut.code, cut.final_text], ["error", 502, "half"]);
  script = () => [{ status: 401 }];
  const refused = await ann.say("m2", "x");
  assert.deepEqual([refused.event, refused.code], ["error", 502]);
  assert.doesNotMatch(refused.message, /key|401/i);
  script = echo;
  assert.equal((await ann.say("m3", "y")).final_text, "You said: y");
  ann.checkOrder();
});

test("a regenerated answer keeps its ref_id and has an attempt; the former one is no longer shown to the model", async () => {
  let count = 0;
  const seen = [];
  script = (messages) => { seen.push(messages.filter(({ role }) => role !== "system")); return [`answer ${++count}`]; };
  const ann = await connect("ann");
  await ann.open();
  await ann.say("m1", "question");
  const again = await ann.must("chat.regenerate", { ref_id: "m1" });
  assert.equal(again.attempt, 2);
  const done = await ann.end("m1", 2);
  assert.deepEqual([done.final_text, done.attempt, done.ref_id], ["answer 2", 2, "m1"]);
  assert.equal(seen[1].length, 1);
  await ann.say("m2", "next");
  assert.deepEqual(seen[2].map(({ content }) => content), ["question", "answer 2", "next"]);
  await ann.fails(404, "chat.regenerate", { ref_id: "unknown" });
});

test("an edited message replaces what followed it", async () => {
  const seen = [];
  script = (messages) => { seen.push(messages.filter(({ role }) => role !== "system").map(({ content }) => content)); return [`re ${messages.at(-1).content}`]; };
  const ann = await connect("ann");
  await ann.open();
  await ann.say("m1", "one");
  await ann.say("m2", "two");
  await ann.must("chat.edit", { id: "m1", content: "uno" });
  assert.equal((await ann.end("m1", 2)).final_text, "re uno");
  assert.deepEqual(seen.at(-1), ["uno"]);
  assert.deepEqual(ann.of("chat.message").at(-1), { event: "chat.message", ...ann.of("chat.message").at(-1), id: "m1", content: "uno", attempt: 2 });
  await ann.say("m3", "three");
  assert.deepEqual(seen.at(-1), ["uno", "re uno", "three"]);
});

test("an unknown chat is 404, and another user's looks the same to every event", async () => {
  script = echo;
  const ann = await connect("ann"), bob = await connect("bob");
  await ann.open();
  await ann.say("m1", "secret");
  for (const chat_id of [ann.chatId, "unknown"]) {
    const errors = [];
    for (const [event, data] of [["session.init", {}], ["chat.message", { id: "x", content: "x" }], ["signal.stop", {}], ["chat.regenerate", { ref_id: "m1" }],
      ["chat.edit", { id: "m1", content: "x" }], ["session.close", {}], ["elicitation.submit", { reply_to: "x", content: {} }]])
      errors.push(await bob.fails(404, event, { ...data, chat_id }));
    assert.deepEqual([...new Set(errors.map(({ message }) => message))], ["chat not found"], chat_id);
  }
  await ann.say("m2", "more");
  assert.deepEqual(bob.log, []);
});

test("a user of another tenant is another user", async () => {
  script = echo;
  const ann = await connect("ann", "user", { tenant: "a" }), other = await connect("ann", "user", { tenant: "b" }), none = await connect("ann");
  await ann.open();
  await other.fails(404, "session.init", { chat_id: ann.chatId });
  await none.fails(404, "session.init", { chat_id: ann.chatId });
});

test("without a token, on this machine, there is one guest", async () => {
  script = echo;
  const one = await connect(), two = await connect();
  await one.open();
  await one.say("m1", "x");
  await two.open({ chat_id: one.chatId, since_seq: 0 });
  await two.end("m1");
  assert.equal(one.of("chat.message")[0].from, "guest");
  const headers = { origin: "https://evil.example" };
  await assert.rejects(new ChatClient(parley.url, undefined, { extraHeaders: headers }).ready, { message: "token required" });
  await assert.rejects(new ChatClient(parley.url, undefined, { extraHeaders: { host: "evil.example" } }).ready, { message: "token required" });
});

test("a user's turns have a share of the process", async () => {
  const door = gate();
  script = () => [{ wait: door.promise }, "x"];
  const ann = await connect("ann"), bob = await connect("bob");
  const chats = [];
  for (let i = 0; i < 9; i++) chats.push((await ann.open()).chat_id);
  for (const chat_id of chats.slice(0, 8)) await ann.must("chat.message", { id: "m1", content: "x", chat_id });
  const error = await ann.fails(429, "chat.message", { id: "m1", content: "x", chat_id: chats[8] });
  assert.ok(error.retry_after_ms > 0);
  await bob.open();
  await bob.must("chat.message", { id: "m1", content: "x" });
  door.open();
  await bob.end("m1");
  await until(() => ann.of("chat.done").length === 8, "eight answers");
  await ann.say("m1", "x", { chat_id: chats[8] });
});

test("the events of a chat say which one it is: one socket watches several", async () => {
  script = echo;
  const ann = await connect("ann");
  const { chat_id: first } = await ann.open();
  const { chat_id: second } = await ann.open();
  await ann.must("chat.message", { id: "m1", content: "in the second" });
  await ann.must("chat.message", { id: "m1", content: "in the first", chat_id: first });
  await until(() => ann.of("chat.done").length === 2, "both");
  assert.equal(ann.of("chat.done", { chat_id: first })[0].final_text, "You said: in the first");
  assert.equal(ann.of("chat.done", { chat_id: second })[0].final_text, "You said: in the second");
});
