// The assistant's own tools: the object tree, the knowledge base, lessons, alarms; with a model that calls them, and
// with the embedded one.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParleyWith } = await import("../browser/server.mjs");

const PASSAGE = "The Indus Valley had brick towns with drains. ".repeat(20).trim();
const LESSON = `# India

## Indus Valley

${PASSAGE}

The towns were planned in a grid, with weights that were the same everywhere. ${"Seals show animals. ".repeat(30).trim()}

## Vedic age

Hymns were handed down by heart for centuries before anybody wrote them down.

# Opening hours

## The shop

The shop opens at nine and closes at six, except on Sundays.
`;

let model, parley, folder, script;
const clients = [];
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "parley-tools-"));
  await writeFile(join(folder, "lesson.md"), LESSON);
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParleyWith(join(folder, "lesson.md"), ...model.options, "--token-interval-ms", "1", "--tree-nodes-max", "6", "--reminders-max", "2");
});
after(async () => {
  await parley?.stop();
  model?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});
afterEach(() => { for (const client of clients.splice(0)) client.close(); });

async function connect(who, options) {
  const client = new ChatClient(parley.url, sign(keyOf(parley), { sub: who, role: "user", exp: now() + 3600 }), options);
  clients.push(client);
  await client.ready;
  return client;
}
/** A model that calls a tool, and says afterwards what that returned. */
const calling = (call, args) => (messages) => (messages.at(-1).role === "tool" ? [`result: ${messages.at(-1).content}`] : [{ call, args }]);
const use = async (client, id, call, args) => {
  script = calling(call, args);
  return client.say(id, `use ${call}`);
};
let count = 0;
const fresh = async (who) => {
  const client = await connect(who);
  await client.open();
  return client;
};

// ------------------------------------------------------------------- the tree

test("a tool changes the tree, and all tabs see it in order with the turn", async () => {
  const ann = await fresh("ann"), tab = await connect("ann");
  await tab.open({ chat_id: ann.chatId });
  const done = await use(ann, "m1", "add_node", { value: "Task 1", parent: "root" });
  assert.match(done.final_text, /Task 1/);
  const [update] = ann.of("tree.update");
  assert.deepEqual([update.version, update.delta.action, update.delta.path, update.delta.node.value, update.ref_id], [1, "add", "/root/children", "Task 1", "m1"]);
  assert.equal(update.patch, undefined, "only for who asks for it");
  const order = ann.log.filter(({ event }) => ["tool.start", "tree.update", "tool.end", "chat.done"].includes(event)).map(({ event }) => event);
  assert.deepEqual(order, ["tool.start", "tree.update", "tool.end", "chat.done"]);
  await tab.until("tree.update", { version: 1 });
  assert.deepEqual(tab.of("tree.update")[0].delta, update.delta);
  ann.checkOrder();
  const again = await (await connect("ann")).open({ chat_id: ann.chatId });
  assert.deepEqual([again.initial_tree.root.children[0].value, again.tree_version], ["Task 1", 1]);
});

test("nodes are renamed, moved, shown; what is not there fails for the model, not for the turn", async () => {
  const ann = await fresh("ann");
  await use(ann, "m1", "add_node", { value: "A" });
  await use(ann, "m2", "add_node", { value: "B" });
  await use(ann, "m3", "move_node", { node: "b", parent: "A" });
  await use(ann, "m4", "update_node", { node: "B", value: "C" });
  const shown = await use(ann, "m5", "show_tree", {});
  assert.match(shown.final_text, /- root\n {2}- A\n {4}- C\n/);
  const failed = await use(ann, "m6", "update_node", { node: "nothing", value: "x" });
  assert.match(failed.final_text, /no node "nothing"/);
  assert.deepEqual(ann.of("tool.end", { ref_id: "m6" }).map(({ ok }) => ok), [false]);
  assert.equal(ann.of("tree.update").at(-1).version, 4);
});

test("removing asks first; declined, nothing is removed", async () => {
  const ann = await fresh("ann");
  await use(ann, "m1", "add_node", { value: "Keep" });
  for (const [id, action] of [["m2", "decline"], ["m3", "accept"]]) {
    script = calling("remove_node", { node: "Keep" });
    await ann.must("chat.message", { id, content: "remove it" });
    const question = await ann.until("elicitation.start", { ref_id: id });
    assert.equal(question.mode, "approval");
    await ann.must("elicitation.submit", { reply_to: question.id, action });
    await ann.end(id);
  }
  assert.deepEqual(ann.of("tree.update").map(({ delta }) => [delta.action, delta.path]), [["add", "/root/children"], ["remove", "/root/children/node-2"]]);
});

test("a user's own change is applied if it fits; 409 with the version if not", async () => {
  const ann = await fresh("ann"), tab = await connect("ann");
  await tab.open({ chat_id: ann.chatId, want: ["patch"] });
  const added = await ann.must("tree.edit", { delta: { action: "add", path: "/root/children", node: { id: "n1", value: "One" } }, base_version: 0 });
  assert.equal(added.version, 1);
  const seen = await tab.until("tree.update", { version: 1 });
  assert.deepEqual(seen.patch, [{ op: "add", path: "/root/children/0", value: { id: "n1", value: "One", children: [] } }]);
  const late = await tab.fails(409, "tree.edit", { delta: { action: "update", path: "/root/children/n1", node: { value: "late" } }, base_version: 0 });
  assert.match(late.message, /version 1/);
  await tab.must("tree.edit", { delta: { action: "update", path: "/root/children/n1", node: { value: "in time" } } });
  await ann.fails(409, "tree.edit", { delta: { action: "remove", path: "/root/children/gone" } });
  await ann.fails(400, "tree.edit", { delta: { action: "remove", path: "/root" } });
  await ann.fails(413, "tree.edit", { delta: { action: "add", path: "/root/children", node: { children: [{}, {}, {}, {}, {}, {}] } } });
  const eve = await fresh("eve");
  await eve.fails(404, "tree.edit", { chat_id: ann.chatId, delta: { action: "remove", path: "/root/children/n1" } });
});

test("tabs that change the tree at the same time agree", async () => {
  const ann = await fresh("ann");
  const tabs = await Promise.all(Array.from({ length: 4 }, async () => { const tab = await connect("ann"); await tab.open({ chat_id: ann.chatId }); return tab; }));
  await Promise.all(tabs.flatMap((tab, i) => Array.from({ length: 5 }, (_, k) =>
    tab.ask("tree.edit", { delta: { action: k % 2 ? "update" : "add", path: k % 2 ? `/root/children/t${i}` : "/root/children", node: { ...(k % 2 ? {} : { id: `t${i}` }), value: `${i}.${k}` } } }))));
  const { tree_version: version } = await (await connect("ann")).open({ chat_id: ann.chatId });
  for (const tab of [ann, ...tabs]) {
    await tab.until("tree.update", { version });
    assert.deepEqual(tab.of("tree.update").map((update) => update.delta), ann.of("tree.update").map((update) => update.delta));
  }
});

// -------------------------------------------------------------- the knowledge

test("a search gives the model passages, and the user sources", async () => {
  const ann = await fresh("ann");
  const done = await use(ann, "m1", "search_knowledge", { query: "When does the shop open?" });
  assert.match(done.final_text, /opens at nine/);
  assert.equal(ann.of("chat.source")[0].title, "The shop");
  assert.match(ann.of("chat.source")[0].excerpt, /nine/);
  const [end] = ann.of("tool.end");
  assert.equal(end.result.documents[0].title, "The shop");
});

test("a lesson: passages in order, a question is answered in between, it goes on, it ends", async () => {
  const ann = await fresh("ann");
  const first = await use(ann, "m1", "teach", { topic: "india" });
  assert.match(first.final_text, /\*\*Indus Valley\*\*[^]*brick towns[^]*continue/);
  assert.deepEqual([first.is_complete, ann.of("tool.end").at(-1).result.mode, ann.of("tool.end").at(-1).result.topic], [false, "teaching", "India"]);
  const second = await use(ann, "m2", "continue_lesson", {});
  assert.match(second.final_text, /grid/);
  const asked = await use(ann, "m3", "search_knowledge", { query: "When does the shop open?" });
  assert.match(asked.final_text, /opens at nine[^]*Back to our topic[^]*Vedic age/);
  assert.equal(ann.of("tool.end").at(-1).result.mode, "answering");
  const over = await use(ann, "m4", "continue_lesson", {});
  assert.match(over.final_text, /That was all/);
  const none = await use(ann, "m5", "continue_lesson", {});
  assert.match(none.final_text, /no lesson is open/);
  const nothing = await use(ann, "m6", "teach", { topic: "zzz qqq" });
  assert.match(nothing.final_text, /nothing about this topic/);
});

test("a search beside what ends the lesson has its answer all the same", async () => {
  for (let i = 0; i < 8; i++) {
    const ann = await fresh("ann");
    await use(ann, "m1", "teach", { topic: "India" });
    for (let k = 2; k < 4; k++) await use(ann, `m${k}`, "continue_lesson", {});
    script = (messages) => (messages.at(-1).role === "tool" ? ["done"] : [{ call: "continue_lesson" }, { call: "search_knowledge", args: { query: "When does the shop open?" } }]);
    await ann.say("m9", "both");
    const search = ann.of("tool.end", { ref_id: "m9", tool: "search_knowledge" })[0];
    assert.equal(search.ok, true, search.text);
    assert.equal(search.result.documents[0].title, "The shop");
  }
});

test("what several searches of a turn find is one source", async () => {
  const ann = await fresh("ann");
  script = (messages) => (messages.at(-1).role === "tool" ? ["done"] : [0, 1, 2].map(() => ({ call: "search_knowledge", args: { query: "When does the shop open?" } })));
  await ann.say("m1", "x");
  const ids = ann.of("chat.source").map(({ doc_id }) => doc_id);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(ann.of("tool.end").length, 3);
  await ann.say("m2", "x"); // another answer has its own
  assert.equal(ann.of("chat.source", { ref_id: "m2" }).length, ids.length);
});

// ------------------------------------------------------------------- alarms

test("an alarm without a time asks for it by a form", async () => {
  const ann = await fresh("ann");
  script = calling("create_alarm", { text: "tea" });
  await ann.must("chat.message", { id: "m1", content: "create alarm" });
  const form = await ann.until("elicitation.start");
  assert.deepEqual([form.mode, form.values, form.schema.required], ["form", { text: "tea" }, ["time"]]);
  assert.equal(form.schema.properties.time.format, "date-time");
  await ann.must("elicitation.submit", { reply_to: form.id, content: { time: new Date(Date.now() + 3600e3).toISOString() } });
  assert.match((await ann.end("m1")).final_text, /Alarm set: "tea"/);
});

test("an alarm rings once in its chat, for all who watch, with a seq", async () => {
  const ann = await fresh("ann"), tab = await connect("ann");
  await tab.open({ chat_id: ann.chatId });
  const at = new Date(Date.now() + 1500);
  await use(ann, "m1", "create_alarm", { text: "tea", time: at.toISOString() });
  const due = await ann.until("reminder.due");
  assert.ok(Date.now() >= at.getTime(), "not before its time");
  assert.deepEqual([due.text, due.at], ["tea", at.toISOString()]);
  await tab.until("reminder.due", { seq: due.seq });
  ann.checkOrder();
  assert.equal(ann.of("reminder.due").length, 1);
});

test("an alarm needs a time in the future, and a chat has only so many", async () => {
  const ann = await fresh("ann");
  const late = await use(ann, "m1", "create_alarm", { time: "2020-01-01T00:00:00Z" });
  assert.match(late.final_text, /in the future/);
  const time = new Date(Date.now() + 3600e3).toISOString();
  for (const id of ["m2", "m3"]) assert.match((await use(ann, id, "create_alarm", { time })).final_text, /Alarm set/);
  assert.match((await use(ann, "m4", "create_alarm", { time })).final_text, /2 reminders already/);
});

test("an alarm that was due while the server was away rings when it is back", async () => {
  const ann = await fresh("ann");
  await use(ann, "m1", "create_alarm", { text: "later", time: new Date(Date.now() + 1000).toISOString() });
  const { chatId, log } = ann;
  await parley.restart();
  const back = await connect("ann");
  await back.open({ chat_id: chatId, since_seq: log.at(-1).seq });
  assert.equal((await back.until("reminder.due")).text, "later");
  assert.equal(back.of("reminder.due").length, 1);
});

// ---------------------------------------------------- without a model or network

test("tomorrow at nine is nine where the user is; a client says where, and the chat keeps it", async () => {
  const alone = await startParleyWith(join(folder, "lesson.md"), "--token-interval-ms", "1");
  const connect = async () => {
    const client = new ChatClient(alone.url, sign(keyOf(alone), { sub: "ann", role: "user", exp: now() + 3600 }));
    clients.push(client);
    return client.ready;
  };
  const said = async (client, id, more) => {
    const { final_text } = await client.say(id, "Remind me to call Bob on 2099-01-02 at 9:00", more);
    assert.match(final_text, /^Alarm set: "call Bob" on Friday, 2 January 2099, 09:00 \(A[a-z]+\/[A-Z]\w+\)\.$/i);
    return client.of("tool.start", { ref_id: id })[0].args.time;
  };
  try {
    const ann = await connect();
    assert.equal((await ann.open({ time_zone: "Mars/Olympus" })).time_zone, undefined); // nothing is known of it
    await ann.open({ time_zone: "Asia/Kolkata" });
    assert.equal((await ann.open({ chat_id: ann.chatId, time_zone: "Mars/Olympus" })).time_zone, "Asia/Kolkata");
    assert.equal(await said(ann, "m1"), "2099-01-02T09:00:00+05:30");
    assert.equal((await ann.fails(400, "chat.message", { id: "m2", content: "x", time_zone: "x".repeat(65) })).field, "/time_zone");
    const phone = await connect();
    await phone.open({ chat_id: ann.chatId });
    assert.equal(await said(phone, "m3"), "2099-01-02T09:00:00+05:30");
    assert.equal(await said(phone, "m4", { time_zone: "America/New_York" }), "2099-01-02T09:00:00-05:00"); // she has travelled
    assert.equal(await said(ann, "m5"), "2099-01-02T09:00:00-05:00");
    await alone.restart();
    const back = await connect();
    await back.open({ chat_id: ann.chatId });
    assert.equal(await said(back, "m6"), "2099-01-02T09:00:00-05:00");
  } finally {
    await alone.stop();
  }
});

test("the embedded model uses all of it", async () => {
  const alone = await startParleyWith(join(folder, "lesson.md"), "--token-interval-ms", "1");
  const ann = new ChatClient(alone.url, sign(keyOf(alone), { sub: "ann", role: "user", exp: now() + 3600 }));
  clients.push(ann);
  try {
    await ann.ready;
    await ann.open();
    await ann.say("m1", "Add a new node with value 'Task 1' under root");
    assert.deepEqual(ann.of("tree.update").map(({ delta }) => [delta.path, delta.node.value]), [["/root/children", "Task 1"]]);
    assert.match((await ann.say("m2", "When does the shop open?")).final_text, /opens at nine[^]*Source: The shop/);
    assert.match((await ann.say("m3", "Teach me about India")).final_text, /brick towns/);
    assert.match((await ann.say("m4", "continue")).final_text, /grid/);
    assert.match((await ann.say("m5", "When does the shop open?")).final_text, /nine[^]*Back to our topic[^]*Vedic age/);
    await ann.must("chat.message", { id: "m6", content: "Create alarm" });
    const form = await ann.until("elicitation.start", { ref_id: "m6" });
    assert.deepEqual(form.schema.required, ["time"]);
    await ann.must("elicitation.submit", { reply_to: form.id, content: { time: "2099-01-01T07:00:00Z" } });
    assert.match((await ann.end("m6")).final_text, /Alarm set/);
    assert.match((await ann.say("m7", "Remind me to call Bob tomorrow at 7:30")).final_text, /call Bob/i);
    assert.match(ann.of("tool.start", { ref_id: "m7" })[0].args.time, /T07:30/);
  } finally {
    await alone.stop();
  }
});
