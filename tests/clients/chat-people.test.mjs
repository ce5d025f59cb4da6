// Several people and several processes: supervisors watch and take over, workers share a chat, a stop reaches any of them.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { sleep, until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { gate, startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let model, parley, script;
const clients = [];
before(async () => {
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--workers", "3", "--token-interval-ms", "1");
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

test("tabs at all workers get the same log, each entry once", async () => {
  const door = gate();
  script = () => (async function* () { for (let i = 0; i < 60; i++) { yield `${i} `; await new Promise(setImmediate); } yield { wait: door.promise }; yield "end"; })();
  const ann = await connect("ann");
  await ann.open();
  const tabs = await Promise.all(Array.from({ length: 9 }, () => connect("ann")));
  await Promise.all(tabs.map((tab) => tab.open({ chat_id: ann.chatId, since_seq: 0 })));
  await tabs[0].must("chat.message", { id: "m1", content: "x" });
  await until(() => tabs.every((tab) => tab.text("m1").endsWith("59 ")), "the first part everywhere");
  door.open();
  for (const tab of [ann, ...tabs]) await tab.end("m1");
  for (const tab of tabs) assert.deepEqual(tab.log, ann.log);
  ann.checkOrder();
});

test("tabs that come in the middle of a stream get what was, then what is, without a gap or a repeat", async () => {
  let pieces = 0;
  const enough = gate();
  script = () => (async function* () { for (let i = 0; i < 3000 && !enough.isOpen; i++) { yield `${i} `; pieces = i; await sleep(1); } yield "end"; })();
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  const tabs = [];
  for (let i = 0; i < 24; i++) {
    const before = pieces;
    await until(() => pieces > before + 3, "more of the stream");
    const tab = await connect("ann");
    const since = i % 2 ? 0 : Math.floor(ann.log.length / 2);
    await tab.open({ chat_id: ann.chatId, since_seq: since });
    tabs.push([tab, since]);
  }
  enough.isOpen = true;
  await ann.end("m1");
  for (const [tab, since] of tabs) {
    await tab.end("m1");
    assert.deepEqual(tab.log, ann.log.filter(({ seq }) => seq > since));
  }
  ann.checkOrder();
});

test("a stop from any worker ends the turn", async () => {
  const ann = await connect("ann");
  await ann.open();
  const tabs = await Promise.all(Array.from({ length: 6 }, () => connect("ann")));
  for (const [i, tab] of tabs.entries()) {
    script = () => ["some ", { wait: new Promise(() => {}) }];
    await tab.open({ chat_id: ann.chatId });
    await ann.must("chat.message", { id: `m${i}`, content: "x" });
    await ann.until("chat.token", { ref_id: `m${i}` });
    assert.equal((await tab.must("signal.stop", {})).stopped, true);
    assert.equal((await ann.end(`m${i}`)).stopped, true);
  }
  ann.checkOrder();
});

test("a supervisor with the right watches, and may not speak before chat.takeover", async () => {
  script = echo;
  const ann = await connect("ann");
  await ann.open();
  const sue = await connect("sue", "supervisor", { chats: [ann.chatId] }), sam = await connect("sam", "supervisor", { chats: ["another"] });
  const none = await connect("nora", "supervisor"), user = await connect("bob", "user", { chats: "*" }), foreign = await connect("tom", "supervisor", { chats: "*", tenant: "b" });
  for (const other of [sam, none, user, foreign]) await other.fails(404, "session.init", { chat_id: ann.chatId });
  assert.equal((await sue.open({ chat_id: ann.chatId, since_seq: 0 })).is_owner, false);
  await ann.say("m1", "hello");
  await sue.end("m1");
  assert.deepEqual(sue.log, ann.log);
  for (const [event, data] of [["chat.message", { id: "s1", content: "x" }], ["signal.stop", {}], ["chat.edit", { id: "m1", content: "x" }], ["chat.regenerate", { ref_id: "m1" }],
    ["chat.delete", { chat_id: ann.chatId }], ["session.close", {}], ["chat.feedback", { ref_id: "m1", helpful: true }]]) await sue.fails(403, event, data);
  assert.equal((await sue.must("chat.history", {})).messages.length, 3);
});

test("a supervisor takes over: what the user says is held, answered by a person, and handed back", async () => {
  script = () => ["assistant ", { wait: new Promise(() => {}) }];
  const ann = await connect("ann");
  await ann.open();
  const sue = await connect("sue", "supervisor", { chats: "*" }), sam = await connect("sam", "admin", { chats: "*" });
  await sue.open({ chat_id: ann.chatId });
  await sam.open({ chat_id: ann.chatId });
  await ann.must("chat.message", { id: "m1", content: "help" });
  await ann.until("chat.token");
  await sue.must("chat.takeover", { chat_id: ann.chatId });
  assert.equal((await ann.end("m1")).stopped, true);
  assert.deepEqual([(await ann.until("chat.takeover")).by, ann.of("chat.takeover")[0].release], ["sue", false]);
  await sam.fails(409, "chat.takeover", { chat_id: ann.chatId });
  await ann.must("chat.message", { id: "m2", content: "is anybody there?" });
  await ann.must("chat.message", { id: "m3", content: "hello?" });
  await sue.until("chat.message", { id: "m3" });
  await sue.must("chat.message", { id: "s1", content: "I am here" });
  const [held, last] = [await ann.end("m2"), await ann.end("m3")];
  assert.deepEqual([held.final_text, last.final_text, last.by], ["", "I am here", "sue"]);
  assert.deepEqual(ann.of("chat.message", { id: "s1" }).map(({ content, by }) => [content, by]), [["I am here", "sue"]]);
  await sue.must("chat.message", { id: "s1", content: "I am here" });
  await sue.must("chat.message", { id: "s2", content: "and more" });
  await ann.until("chat.message", { id: "s2" });
  assert.equal(ann.of("chat.message", { id: "s1" }).length, 1);
  await ann.must("chat.message", { id: "m4", content: "thanks" });
  script = (messages) => [`seen ${messages.filter(({ role }) => role === "assistant").at(-1).content}`];
  await sue.must("chat.takeover", { chat_id: ann.chatId, release: true });
  assert.equal((await ann.end("m4")).final_text, "seen I am here");
  assert.equal(ann.of("chat.takeover").at(-1).release, true);
  ann.checkOrder();
});

test("a right to watch that ends, ends the watching", async () => {
  script = echo;
  const ann = await connect("ann");
  await ann.open();
  const sue = await connect("sue", "supervisor", { chats: "*" });
  await sue.open({ chat_id: ann.chatId });
  await sue.must("auth:refresh", { token: token("sue", "supervisor", { chats: ["another"] }) });
  await until(() => sue.aside.some(({ event, code }) => event === "error" && code === 404), "the end");
  await ann.say("m1", "secret");
  assert.deepEqual(sue.log, []);
  await sue.fails(404, "chat.history", { chat_id: ann.chatId });
});
