// Borders of the assistant: answers of two devices in one moment, numbers beyond a log's end, pages at a history's ends, and somebody
// else's chat by every way in.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { Plain } from "./lib/plain.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const TIME = "2099-01-01T07:00:00Z", ROUNDS = 8;
let model, parley, script;
const open = [];
before(async () => {
  model = await startModel((messages) => script(messages));
  parley = await startParley(...model.options, "--workers", "2");
});
after(async () => {
  await parley?.stop();
  model?.stop();
});
afterEach(() => { for (const one of open.splice(0)) one.close(); });

const token = (sub) => sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 });
const echo = (messages) => ["You said: ", messages.at(-1).content];
const results = (messages) => messages.filter(({ role }) => role === "tool").map(({ content }) => content);
async function connect(sub = "ann") {
  const client = new ChatClient(parley.url, token(sub));
  open.push(client);
  return client.ready;
}
async function http(method, path, body, sub = "ann") {
  const response = await fetch(`${parley.url}${path}`, { method, headers: { authorization: `Bearer ${token(sub)}`, ...(body && { "content-type": "application/json" }) }, body: body && JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
}

/* Over sockets of both workers and HTTP. */
test("a form that two devices answer in the same moment is answered once: the other one gets 409, and the model one result", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const after = () => results(model.requests.at(-1)?.messages ?? []);
    script = (messages) => (messages.at(-1).role === "tool" ? [`results: ${after().join("; ")}`] : [{ call: "create_alarm", args: { text: `Tea ${round}` } }]);
    const [phone, desk] = [await connect(), await connect()];
    await phone.open();
    await desk.open({ chat_id: phone.chatId, since_seq: 0 });
    await phone.must("chat.message", { id: `m${round}`, content: "Create alarm" });
    const [form] = [await phone.until("elicitation.start")];
    await desk.until("elicitation.start");
    const answers = await Promise.all([
      phone.ask("elicitation.submit", { chat_id: phone.chatId, reply_to: form.id, content: { time: TIME, text: "phone" } }),
      desk.ask("elicitation.submit", { chat_id: phone.chatId, reply_to: form.id, content: { time: TIME, text: "desk" } }),
      desk.ask("elicitation.submit", { chat_id: phone.chatId, reply_to: form.id, action: "decline" }),
    ]);
    assert.equal(answers.filter(({ ok }) => ok).length, 1, JSON.stringify(answers));
    assert.ok(answers.every(({ ok, error }) => ok || error.code === 409), JSON.stringify(answers));
    await phone.end(`m${round}`);
    await desk.end(`m${round}`);
    for (const one of [phone, desk]) {
      assert.equal(one.of("elicitation.end").length, 1);
      one.checkOrder();
    }
    assert.deepEqual(phone.log, desk.log);
  }
});

test("a since_seq beyond the log's end gives nothing old, and what comes next; one that is no number is 400", async () => {
  script = echo;
  const ann = await connect();
  await ann.open();
  const { seq } = await ann.say("m1", "one");
  for (const since of [seq, seq + 1, seq + 1000, Number.MAX_SAFE_INTEGER]) {
    const tab = await connect();
    const opened = await tab.open({ chat_id: ann.chatId, since_seq: since });
    assert.equal(opened.seq, seq, `since ${since}`);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(tab.log, []);
  }
  const tabs = [];
  for (const since of [seq, seq + 1, seq + 1000]) {
    const tab = await connect();
    await tab.open({ chat_id: ann.chatId, since_seq: since });
    tabs.push(tab);
  }
  await ann.say("m2", "two");
  for (const tab of tabs) {
    await tab.end("m2");
    assert.deepEqual(tab.log, ann.log.filter((entry) => entry.seq > seq));
  }
  for (const since of [-1, 1.5, "1", null, {}, [], true, 1e300]) await tabs[0].fails(400, "session.init", { chat_id: ann.chatId, since_seq: since });
});

test("pages at the ends of a history: none before the first, all of one beyond it, one by one", async () => {
  script = echo;
  const ann = await connect();
  await ann.open();
  assert.deepEqual((await ann.must("chat.history", {})).messages, []);
  for (let i = 0; i < 3; i++) await ann.say(`m${i}`, `text ${i}`);
  const { messages: whole, more } = await ann.must("chat.history", {});
  assert.equal(more, false);
  const page = async (options) => { const { messages, more: has } = await ann.must("chat.history", options); return [messages.map(({ id }) => id), has]; };
  const ids = whole.map(({ id }) => id), n = ids.length;
  assert.deepEqual(await page({ limit: n }), [ids, false]);
  assert.deepEqual(await page({ limit: n - 1 }), [ids.slice(1), true]);
  assert.deepEqual(await page({ limit: n + 1 }), [ids, false]);
  assert.deepEqual(await page({ before: ids[0] }), [[], false]);
  assert.deepEqual(await page({ before: ids[1], limit: 1 }), [[ids[0]], false]);
  assert.deepEqual(await page({ before: ids[2], limit: 1 }), [[ids[1]], true]);
  for (const limit of [0, -1, 1.5, "1", null]) await ann.fails(400, "chat.history", { limit });
  const many = await connect("may");
  for (let i = 0; i < 3; i++) await many.open();
  const list = async (options) => { const { chats, next } = await many.must("chat.list", options); return [chats.length, next !== undefined]; };
  assert.deepEqual([await list({ limit: 2 }), await list({ limit: 3 }), await list({ limit: 4 })], [[2, true], [3, false], [3, false]]);
  const { next } = await many.must("chat.list", { limit: 2 });
  assert.deepEqual(await list({ limit: 1, before: next }), [1, false]);
  const path = `/api/v1/chats/${ann.chatId}/messages`;
  for (const query of ["limit=0", "limit=x", "limit=-1", "before=x", "limit=1%00"]) assert.equal((await http("GET", `${path}?${query}`)).status, 400, query);
});

test("somebody else's chat is one that is not there: each event, each route, each dialect; and nothing of it changes", async () => {
  script = (messages) => (messages.at(-1).content.startsWith("alarm") ? [{ call: "create_alarm", args: { text: "Tea" } }] : echo(messages));
  const ann = await connect(), bob = await connect("bob");
  await ann.open();
  await bob.open();
  const own = bob.chatId, chat_id = ann.chatId;
  await ann.say("m1", "secret of ann");
  await ann.must("chat.message", { id: "m2", content: "alarm" });
  const form = await ann.until("elicitation.start"), { messages } = await ann.must("chat.history", {});
  const row = messages.at(-1).id, before = (await http("GET", `/api/v1/chats/${chat_id}/export`)).text;
  assert.match(before, /secret of ann/);
  const events = [["session.init", {}], ["session.init", { since_seq: 0 }], ["session.close", {}], ["chat.message", { id: "x", content: "x" }], ["signal.stop", {}], ["chat.history", {}],
    ["chat.regenerate", { id: "m1" }], ["chat.edit", { id: "m1", content: "x" }], ["chat.delete", {}], ["chat.feedback", { message_id: row, rating: "up" }], ["chat.export", {}], ["chat.takeover", {}],
    ["elicitation.submit", { reply_to: form.id, action: "cancel" }], ["tree.edit", { delta: { action: "add", path: "/root/children", node: { id: "n", value: "x" } } }]];
  for (const [event, more] of events) {
    const [theirs, none] = [await bob.ask(event, { chat_id, ...more }), await bob.ask(event, { chat_id: "chat_that_is_not_there", ...more })].map((answer) => JSON.stringify(answer));
    assert.equal(theirs, none, event);
    assert.match(theirs, /"ok":false/, event);
  }
  const routes = [["GET", ""], ["DELETE", ""], ["GET", "/messages"], ["POST", "/messages", { content: "x" }], ["GET", "/export"], ["POST", `/elicitations/${form.id}`, { action: "cancel" }], ["POST", "/stop", {}],
    ["GET", "/sources/x"], ["GET", "/ui"]];
  for (const root of ["/api/v1/chats", "/api/v1/chat/sessions"])
    for (const [method, path, body] of routes) {
      const [theirs, none] = [await http(method, `${root}/${chat_id}${path}`, body, "bob"), await http(method, `${root}/chat_that_is_not_there${path}`, body, "bob")];
      assert.deepEqual(theirs, none, `${method} ${root}${path}`);
      assert.ok(theirs.status >= 400 || !/secret/.test(theirs.text), `${method} ${root}${path}: ${JSON.stringify(theirs)}`);
    }
  // These open a chat of an id that nobody has.
  const bridges = [[`/api/v1/chats/${chat_id}/ui`, { messages: [{ id: "u", role: "user", parts: [{ type: "text", text: "x" }] }] }], ["/api/v1/agui", { threadId: chat_id, runId: "r1", messages: [{ id: "u", role: "user", content: "x" }] }]];
  for (const [path, body] of bridges) {
    const { status, text } = await http("POST", path, body, "bob");
    assert.ok(status === 404 || /chat not found/.test(text), `${path}: ${status} ${text}`);
    assert.ok(!text.includes("secret"), path);
  }
  const dialects = [["/ws/session", { type: "init_session", data: {}, session_id: chat_id }], ["/ws/tree", { type: "init_session", data: {}, session_id: chat_id }], ["/api/v1/chat/ws/chat", { type: "message", message: "x", user_chat_id: chat_id }]];
  for (const [path, message] of dialects) {
    const one = new Plain(parley.url, `${path}?token=${token("bob")}`);
    open.push(one);
    await one.ready;
    one.send(message);
    const error = await one.untilType("error");
    assert.equal(error.code ?? error.error.code, 404, path);
    assert.ok(!JSON.stringify(one.log).includes("secret"), path);
  }
  assert.equal((await http("GET", `/api/v1/chats/${chat_id}/export`)).text, before);
  assert.deepEqual(bob.log, []);
  assert.equal((await bob.must("chat.list", {})).chats.some((chat) => chat.chat_id === chat_id), false);
  assert.ok(own);
  await ann.must("elicitation.submit", { reply_to: form.id, action: "cancel" });
  await until(() => ann.end("m2"), "the end");
});
