// What is stored of chats: history, list, export, deletion, intents and their states, the same over HTTP.
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
  parley = await startParley(...model.options, "--abandon-after-ms", "0", "--turn-lease-ms", "300", "--chats-per-user-max", "30");
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
async function http(method, path, who, body) {
  const response = await fetch(parley.url + path, { method, body: body && JSON.stringify(body), headers: { ...(who && { authorization: `Bearer ${token(who)}` }), ...(body && { "content-type": "application/json" }) } });
  const text = await response.text();
  return { status: response.status, type: response.headers.get("content-type"), text, json: text.startsWith("{") ? JSON.parse(text) : null };
}

test("every stored message has the four ids and the columns of the chat_history table", async () => {
  script = echo;
  const ann = await connect("ann");
  const opened = await ann.open();
  await ann.say("m1", "hello");
  const { messages, more } = await ann.must("chat.history", {});
  assert.equal(more, false);
  assert.deepEqual(messages.map(({ type, content }) => [type, content]), [["user", "hello"], ["thinking", "Analyzing your request..."], ["ai", "You said: hello"]]);
  for (const message of messages) {
    assert.equal(message.user_id, "ann");
    assert.equal(message.user_chat_id, ann.chatId);
    assert.equal(message.socket_connection_id, ann.socket.id);
    assert.equal(message.session_id, opened.session_id);
    assert.match(message.user_intent_id, /^intent_/);
    assert.match(message.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual([message.is_complete, message.abandoned, message.replaced, message.ref_id, message.attempt], [true, false, false, "m1", 1]);
  }
  await ann.say("m2", "again");
  const { messages: all } = await ann.must("chat.history", {});
  const next = all.at(-1);
  assert.notEqual(next.user_intent_id, messages[0].user_intent_id);
  assert.notEqual(next.session_id, messages[0].session_id);
});

test("history comes by pages, oldest first; before is a row's id, exclusive", async () => {
  script = echo;
  const ann = await connect("ann");
  await ann.open();
  for (let i = 0; i < 5; i++) await ann.say(`m${i}`, `text ${i}`);
  const { messages: whole } = await ann.must("chat.history", {});
  const pages = [];
  let before;
  for (;;) {
    const { messages, more } = await ann.must("chat.history", { before, limit: 4 });
    pages.unshift(...messages);
    if (!more) break;
    before = messages[0].id;
  }
  assert.deepEqual(pages, whole);
  assert.equal(whole.length, 15);
  assert.deepEqual((await http("GET", `/api/v1/chats/${ann.chatId}/messages?limit=4&before=${whole[4].id}`, "ann")).json.messages, whole.slice(0, 4));
});

test("what an answer replaces is marked in the history", async () => {
  script = echo;
  const ann = await connect("ann");
  await ann.open();
  await ann.say("m1", "one");
  await ann.must("chat.regenerate", { ref_id: "m1" });
  await ann.end("m1", 2);
  await ann.must("chat.edit", { id: "m1", content: "uno" });
  await ann.end("m1", 3);
  const { messages } = await ann.must("chat.history", {});
  assert.deepEqual(messages.filter(({ type }) => type !== "thinking").map(({ type, content, attempt, replaced }) => [type, content, attempt, replaced]),
    [["user", "one", 1, true], ["ai", "You said: one", 1, true], ["ai", "You said: one", 2, true], ["user", "uno", 3, false], ["ai", "You said: uno", 3, false]]);
});

test("an intent is completed by its answer, active after a stop, abandoned when the user leaves, resumed on return", async () => {
  script = () => ["a", { wait: new Promise(() => {}) }];
  const ann = await connect("ann");
  const { session_id: session } = await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.until("chat.token");
  await ann.must("signal.stop", {});
  await ann.end("m1");
  const state = async () => (await http("GET", "/api/v1/chats", "ann")).json.chats.find(({ chat_id }) => chat_id === ann.chatId).state;
  assert.equal(await state(), "active");
  ann.close();
  await until(async () => (await state()) === "abandoned", "the intent to be abandoned");
  const { messages } = (await http("GET", `/api/v1/chats/${ann.chatId}/messages`, "ann")).json;
  assert.ok(messages.every(({ abandoned, is_complete }) => abandoned && !is_complete));
  const back = await connect("ann");
  const opened = await back.open({ chat_id: ann.chatId });
  assert.equal(opened.session_id, session);
  assert.equal(opened.intent_id, messages[0].user_intent_id);
  assert.equal(await state(), "active");
  assert.ok((await back.must("chat.history", {})).messages.every(({ abandoned }) => !abandoned));
  script = echo;
  await back.say("m2", "go on");
  assert.equal(await state(), "completed");
  const { messages: all } = await back.must("chat.history", {});
  assert.deepEqual([...new Set(all.map(({ user_intent_id, is_complete }) => `${user_intent_id} ${is_complete}`))], [`${opened.intent_id} true`]);
});

test("session.close ends the session for all tabs, not the connection; the next message has another", async () => {
  script = echo;
  const ann = await connect("ann"), tab = await connect("ann");
  const { session_id } = await ann.open();
  await tab.open({ chat_id: ann.chatId });
  await ann.must("session.close", {});
  assert.deepEqual([(await tab.until("session.closed")).session_id, tab.of("session.closed")[0].reason], [session_id, "closed"]);
  await ann.say("m1", "x");
  const { messages } = await ann.must("chat.history", {});
  assert.notEqual(messages[0].session_id, session_id);
  ann.checkOrder();
});

test("chat.list has a user's own chats, the latest first, by pages", async () => {
  script = echo;
  const zoe = await connect("zoe"), bob = await connect("bob");
  const ids = [];
  for (let i = 0; i < 5; i++) {
    ids.push((await zoe.open()).chat_id);
    await zoe.say(`m${i}`, `title ${i}\nmore`); // an id of its own: what is waited for is this chat's end
  }
  await bob.open();
  const { chats } = await zoe.must("chat.list", {});
  assert.deepEqual(chats.map(({ chat_id }) => chat_id), ids.toReversed());
  assert.deepEqual(chats.map(({ title }) => title), [4, 3, 2, 1, 0].map((i) => `title ${i}`));
  const first = await zoe.must("chat.list", { limit: 3 });
  const second = await zoe.must("chat.list", { limit: 3, before: first.next });
  assert.deepEqual([...first.chats, ...second.chats], chats);
  assert.equal(second.next, undefined);
  await zoe.fails(400, "chat.list", { before: "x" });
  await zoe.fails(403, "chat.list", { all: true });
  const sue = await connect("sue", "supervisor", { chats: "*" });
  assert.ok((await sue.must("chat.list", { all: true, limit: 1000 })).chats.length >= 6);
});

test("a deleted chat is gone for all who watch it, its running turn with it", async () => {
  script = () => ["a", { wait: new Promise(() => {}) }];
  const ann = await connect("ann"), tab = await connect("ann"), bob = await connect("bob");
  await ann.open();
  await tab.open({ chat_id: ann.chatId });
  await ann.must("chat.message", { id: "m1", content: "x" });
  await tab.until("chat.token");
  const before = model.cancelled;
  await bob.fails(404, "chat.delete", { chat_id: ann.chatId });
  await ann.must("chat.delete", { chat_id: ann.chatId });
  await until(() => tab.aside.some(({ event, code, chat_id }) => event === "error" && code === 404 && chat_id === ann.chatId), "the tab's end");
  await until(() => model.cancelled > before, "the request to end");
  await ann.fails(404, "session.init", { chat_id: ann.chatId });
  assert.equal((await http("GET", `/api/v1/chats/${ann.chatId}/messages`, "ann")).status, 404);
});

test("chats per user are limited", async () => {
  const max = await connect("max");
  for (let i = 0; i < 30; i++) await max.open();
  await max.fails(429, "session.init", {});
});

test("feedback is stored for an answer of one's own, seen by all tabs, and there after a reload", async () => {
  script = echo;
  const ann = await connect("ann"), bob = await connect("bob"), phone = await connect("ann");
  const { chat_id } = await ann.open();
  await ann.say("m1", "x");
  await ann.say("m2", "x");
  await phone.open({ chat_id });
  const stored = async () => (await ann.must("chat.history", {})).messages.filter(({ helpful }) => helpful !== undefined).map(({ ref_id, attempt, type, helpful }) => [ref_id, attempt, type, helpful]);
  const votes = (client) => client.of("chat.feedback").map(({ ref_id, attempt, helpful }) => [ref_id, attempt, helpful]);
  assert.deepEqual(await stored(), []);
  assert.equal((await ann.must("chat.feedback", { ref_id: "m1", helpful: true })).helpful, true);
  assert.equal((await ann.must("chat.feedback", { ref_id: "m1", helpful: true })).helpful, true); // once more is no news
  assert.deepEqual(await stored(), [["m1", 1, "ai", true]]);
  assert.equal((await ann.must("chat.feedback", { ref_id: "m1", helpful: false })).helpful, false);
  await ann.must("chat.regenerate", { ref_id: "m2" });
  await ann.end("m2", 2);
  await ann.must("chat.feedback", { ref_id: "m2", helpful: true });
  assert.deepEqual(await stored(), [["m1", 1, "ai", false], ["m2", 2, "ai", true]]);
  await until(() => votes(phone).length === 3, "the votes");
  const late = await connect("ann");
  await late.open({ chat_id, since_seq: 0 });
  await until(() => votes(late).length === 3, "the replay");
  for (const client of [ann, phone, late]) assert.deepEqual(votes(client), [["m1", undefined, true], ["m1", undefined, false], ["m2", 2, true]]);
  late.checkOrder();
  await ann.fails(404, "chat.feedback", { ref_id: "m9", helpful: true });
  await bob.fails(404, "chat.feedback", { ref_id: "m1", helpful: true, chat_id: ann.chatId });
});

for (const root of ["/api/v1/chats", "/api/v1/chat/sessions"]) test(`over HTTP: a chat, a message with its answer, export, list, deletion; another's is 404: ${root}`, async () => {
  script = echo;
  const made = await http("POST", root, "ann", {});
  assert.equal(made.status, 200);
  const path = `${root}/${made.json.chat_id}`;
  const said = await http("POST", `${path}/messages`, "ann", { id: "m1", content: "hello" });
  assert.deepEqual([said.status, said.json.ok, said.json.final_text, said.json.is_complete, said.json.ref_id], [200, true, "You said: hello", true, "m1"]);
  assert.equal((await http("POST", `${path}/messages`, "ann", { id: "m1", content: "hello" })).json.duplicate, true);
  assert.equal((await http("POST", `${path}/messages`, "ann", { content: "without an id" })).json.final_text, "You said: without an id");
  const ann = await connect("ann");
  await ann.open({ chat_id: made.json.chat_id, since_seq: 0 });
  await until(() => ann.of("chat.done").length === 2, "the log");
  script = () => [{ status: 500 }];
  const failed = await http("POST", `${path}/messages`, "ann", { content: "x" });
  assert.ok(failed.status >= 500 && failed.json.ok === false, failed.text);
  assert.ok((await http("GET", root, "ann")).json.chats.some(({ chat_id }) => chat_id === made.json.chat_id));
  assert.equal((await http("GET", `${path}/messages`, "ann")).json.messages[0].content, "hello");
  const exported = await http("GET", `${path}/export`, "ann");
  assert.equal(exported.json.messages[0].content, "hello");
  const text = await http("GET", `${path}/export?format=text`, "ann");
  assert.match(text.type, /^text\/plain/);
  assert.match(text.text, /^\[\S+Z\] user: hello\n/);
  for (const [method, rest, body] of [["GET", "/messages"], ["GET", "/export"], ["DELETE", ""], ["POST", "/messages", { content: "x" }]])
    assert.equal((await http(method, path + rest, "bob", body)).status, 404, `${method} ${rest}`);
  assert.equal((await http("DELETE", path, "ann")).status, 200);
  assert.equal((await http("DELETE", path, "ann")).status, 404);
});

test("over HTTP a guest needs no token on this machine; a page of another site is refused", async () => {
  const own = await fetch(`${parley.url}/api/v1/chats`, { method: "POST", body: "{}" });
  assert.equal(own.status, 200);
  const other = await fetch(`${parley.url}/api/v1/chats`, { method: "POST", body: "{}", headers: { origin: "https://evil.example" } });
  assert.equal(other.status, 401);
});

test("a server that ends says so to its turns: interrupted, and the log has it after the restart", async () => {
  const door = gate();
  script = () => ["half", { wait: door.promise }, "rest"];
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.until("chat.token");
  await ann.must("chat.message", { id: "m2", content: "waits", queue: true });
  script = echo;
  await parley.restart();
  const back = await connect("ann");
  await back.open({ chat_id: ann.chatId, since_seq: 0 });
  const end = await back.end("m1");
  assert.deepEqual([end.event, end.code, end.final_text], ["error", 503, "half"]);
  assert.match(end.message, /interrupted/);
  assert.equal((await back.end("m2")).final_text, "You said: waits");
  back.checkOrder();
});
