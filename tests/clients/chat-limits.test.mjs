// What ends an answer that would not end by itself: steps, equal calls, tokens, time; and the calls of one step, which
// run side by side. The model is scripted.
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

before(async () => { model = await startModel((messages, body) => script(messages, body)); });
after(() => model.stop());
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await parley.stop();
});

async function begin(...options) {
  parley = await startParley(...model.options, ...options);
  model.requests.length = 0;
  const ann = new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 }));
  clients.push(ann);
  await ann.ready;
  await ann.open();
  return ann;
}

const metric = async (name) => Number(new RegExp(`^parley_${name} (\\d+)$`, "m").exec(await (await fetch(`${parley.url}/metrics`)).text())?.[1]);
const search = (query, id) => ({ call: "search_knowledge", args: { query }, id });

test("a model that calls the same again and again has to answer", async () => {
  const ann = await begin("--turn-equal-calls-max", "2", "--turn-steps-max", "50");
  script = (messages, { tool_choice }) => (tool_choice === "none" ? ["enough"] : [search("refunds")]);
  const done = await ann.say("m1", "x");
  assert.deepEqual([done.event, done.final_text], ["chat.done", "enough"]);
  assert.equal(ann.of("tool.start").length, 2);
  assert.equal(model.requests.length, 3);
  assert.equal(await metric("chat_turn_limits_total"), 1);
});

test("the order of arguments makes no other call, and another call begins to count anew", async () => {
  const ann = await begin("--turn-equal-calls-max", "2", "--turn-steps-max", "50");
  const steps = [["a", "{\"query\":\"a\"}"], ["b", "{ \"query\" : \"b\" }"], ["b", "{\"query\":\"b\"}"]];
  script = (messages, { tool_choice }) => (tool_choice === "none" ? ["enough"] : [{ call: "search_knowledge", args: steps[model.requests.length - 1][1] }]);
  assert.equal((await ann.say("m1", "x")).final_text, "enough");
  assert.equal(ann.of("tool.start").length, 3);
});

test("a model that always wants another call may not in the last of its steps", async () => {
  const ann = await begin("--turn-steps-max", "4");
  script = (messages, { tool_choice }) => (tool_choice === "none" ? ["enough"] : [search(`q${messages.length}`)]);
  assert.equal((await ann.say("m1", "x")).final_text, "enough");
  assert.equal(model.requests.length, 4);
  assert.equal(ann.of("tool.start").length, 3);
  assert.equal(await metric("chat_turn_limits_total"), 1);
});

test("a model that calls although it may not has its text alone", async () => {
  const ann = await begin("--turn-steps-max", "2");
  script = () => ["so far", search(`q${model.requests.length}`)];
  const done = await ann.say("m1", "x");
  assert.deepEqual([done.event, done.final_text], ["chat.done", "so far\n\nso far"]);
  assert.equal(ann.of("tool.start").length, 1);
});

test("tokens of all steps of an answer are bounded", async () => {
  const ann = await begin("--turn-tokens-max", "1000");
  script = (messages) => (messages.at(-1).role === "tool" && messages.length > 5 ? ["never said"] : [search(`q${messages.length}`), { usage: [500, 50] }]);
  const end = await ann.say("m1", "x");
  assert.deepEqual([end.event, end.code, end.message], ["error", 502, "the turn needed too many tokens"]);
  assert.equal(model.requests.length, 2);
  assert.equal(await metric("chat_turn_limits_total"), 1);
  script = () => ["again", { usage: [500, 50] }];
  const done = await ann.say("m2", "x"); // each answer has its own
  assert.deepEqual([done.final_text, done.usage], ["again", { input_tokens: 500, output_tokens: 50 }]);
});

test("an answer that takes too long ends, and the request to the model with it", async () => {
  const ann = await begin("--turn-time-max-ms", "1000");
  script = () => ["hm", { wait: new Promise(() => {}) }];
  const before = model.cancelled, end = await ann.say("m1", "x");
  assert.deepEqual([end.event, end.code, end.final_text], ["error", 504, "hm"]);
  await until(() => model.cancelled === before + 1, "the request's end");
  assert.equal(await metric("chat_turn_limits_total"), 1);
});

test("the calls of a step run side by side, each with its own form, answered in any order; the model gets their results in its order", async () => {
  const ann = await begin();
  const open = gate();
  script = async function* (messages) {
    if (messages.at(-1).role === "tool") { yield "done"; return; }
    yield { call: "create_alarm", args: { text: "one" }, id: "first" };
    yield { call: "create_alarm", args: { text: "two" }, id: "second" };
    yield search("refunds", "third");
    await open.promise;
  };
  open.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  await until(() => ann.of("elicitation.start").length === 2 && ann.of("tool.end").length === 1, "two forms and what needs none");
  const [first, second] = ann.of("elicitation.start"), [found] = ann.of("tool.end");
  assert.deepEqual([first.values.text, second.values.text, found.tool], ["one", "two", "search_knowledge"]);
  assert.equal(new Set([first.call_id, second.call_id, found.call_id]).size, 3);
  await ann.must("elicitation.submit", { reply_to: second.id, content: { time: "2099-01-02T00:00:00Z" } });
  const ended = await ann.until("tool.end", { call_id: second.call_id });
  assert.equal(ended.result.text, "two");
  assert.equal(ann.of("chat.done").length, 0);
  await ann.must("elicitation.submit", { reply_to: first.id, action: "decline" });
  assert.equal((await ann.end("m1")).final_text, "done");
  const results = model.requests.at(-1).messages.filter(({ role }) => role === "tool");
  assert.deepEqual(results.map(({ tool_call_id }) => tool_call_id), ["first", "second", "third"]);
  assert.match(results[0].content, /declined/);
  assert.match(results[1].content, /two/);
  ann.checkOrder();
});

test("each refusal has a number", async () => {
  const ann = await begin("--queued-messages-max", "1", "--chats-per-user-max", "2", "--log-bytes-max", "1024", "--message-max-bytes", "1500", "--tree-max-bytes", "1024", "--reminders-max", "1", "--chat-export-bytes-max", "1024");
  const open = gate();
  script = () => [{ wait: open.promise }, "x".repeat(900)];
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.must("chat.message", { id: "m2", content: "x", queue: true });
  await ann.fails(429, "chat.message", { id: "m3", content: "x", queue: true });
  await ann.fails(413, "chat.message", { id: "m4", content: "x".repeat(1501) });
  open.open();
  await ann.end("m2");
  await ann.fails(413, "chat.message", { id: "m5", content: "x" });
  await ann.fails(413, "tree.edit", { delta: { action: "add", path: "/root/children", node: { value: "x".repeat(1500) } } });
  const authorization = `Bearer ${sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 })}`;
  assert.equal((await fetch(`${parley.url}/api/v1/chats/${ann.chatId}/export`, { headers: { authorization } })).status, 413);
  await ann.open();
  await ann.fails(429, "session.init", {});
  script = (messages) => (messages.at(-1).role === "tool" ? ["done"] : [1, 2].map((n) => ({ call: "create_alarm", args: { time: `2099-01-0${n}T00:00:00Z` } })));
  await ann.say("m6", "x");
  for (const [name, count] of [["chat_queue_refused", 1], ["chat_texts_refused", 1], ["chat_logs_full", 1], ["chat_exports_refused", 1], ["chats_refused", 1], ["chat_changes_refused", 2]])
    assert.equal(await metric(`${name}_total`), count, name);
});

test("a user has so many answers at a time, in all chats, and the next when one has ended", async () => {
  const ann = await begin("--turns-per-user-max", "2");
  const open = gate();
  script = () => [{ wait: open.promise }, "done"];
  await ann.must("chat.message", { id: "m1", content: "x" });
  await ann.open();
  await ann.must("chat.message", { id: "m2", content: "x" });
  await ann.open();
  const { retry_after_ms } = await ann.fails(429, "chat.message", { id: "m3", content: "x" });
  assert.ok(retry_after_ms > 0);
  assert.deepEqual([await metric("chat_turns_refused_total"), await metric("chat_turns_running")], [1, 2]);
  open.open();
  await ann.end("m1");
  await ann.end("m2");
  assert.equal((await ann.say("m3", "x")).event, "chat.done");
  await until(async () => (await metric("chat_turns_running")) === 0, "none runs");
});

test("a connection watches so many chats", async () => {
  const ann = await begin("--chats-watched-max", "2");
  const first = ann.chatId;
  await ann.open();
  await ann.fails(429, "session.init", {});
  await ann.open({ chat_id: first }); // it does already
  assert.deepEqual([await metric("chat_watchers_refused_total"), await metric("chats_watched")], [1, 2]);
});

test("what becomes of answers is counted", async () => {
  const ann = await begin();
  const names = ["messages", "entries", "sessions", "turns_done", "turns_stopped", "turns_failed", "tool_calls"];
  const counted = async () => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await metric(`chat_${name}_total`)])));
  const before = await counted();
  assert.equal(before.sessions, 1);
  script = (messages) => (messages.at(-1).role === "tool" ? ["done"] : [search("refunds"), search("returns", "b")]);
  assert.equal((await ann.say("m1", "x")).event, "chat.done");
  const open = gate();
  script = () => ["some", { wait: open.promise }];
  await ann.must("chat.message", { id: "m2", content: "x" });
  await ann.until("chat.token", { ref_id: "m2" });
  await ann.must("signal.stop", {});
  await ann.end("m2");
  open.open();
  script = () => [{ status: 400 }];
  assert.equal((await ann.say("m3", "x")).event, "error");
  assert.deepEqual(await counted(), { messages: 3, entries: ann.log.length, sessions: 1, turns_done: 1, turns_stopped: 1, turns_failed: 1, tool_calls: 2 });
  const authorization = `Bearer ${sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 })}`;
  assert.equal((await fetch(`${parley.url}/api/v1/chats/${ann.chatId}`, { method: "DELETE", headers: { authorization } })).status, 200);
  assert.equal(await metric("chats_deleted_total"), 1);
});

test("several calls of one step are one step, also when one of them cannot run", async () => {
  const ann = await begin("--turn-steps-max", "2");
  script = (messages) => (messages.at(-1).role === "tool" ? ["done"] : [search("a", "a"), { call: "no_such_tool", args: {}, id: "b" }, { call: "search_knowledge", args: "{\"query\":", id: "c" }]);
  assert.equal((await ann.say("m1", "x")).final_text, "done");
  const results = model.requests.at(-1).messages.filter(({ role }) => role === "tool").map(({ content }) => content);
  assert.equal(results.length, 3);
  assert.match(results[1], /there is no tool of that name/);
  assert.match(results[2], /JSON|argument/i);
});

const shown = () => model.requests.at(-1).messages.filter(({ role }) => role !== "system").map(({ content }) => content);
test("the model is shown so many earlier messages, the latest", async () => {
  script = (messages) => [`re ${messages.at(-1).content}`];
  const ann = await begin("--context-turns-max", "2");
  for (let i = 1; i <= 4; i++) await ann.say(`m${i}`, `text ${i}`);
  assert.deepEqual(shown(), ["text 2", "re text 2", "text 3", "re text 3", "text 4"]);
});

test("the model is shown so many bytes of them", async () => {
  script = () => ["re"];
  const ann = await begin("--context-bytes-max", "3000"), long = "x".repeat(1000);
  for (let i = 1; i <= 5; i++) await ann.say(`m${i}`, `${i} ${long}`);
  assert.deepEqual(shown().filter((content) => content !== "re").map((content) => content[0]), ["3", "4", "5"]);
});

for (const [option, value] of [["--replay-entries-max", "2"], ["--replay-bytes-max", "1024"]])
  test(`who comes back gets a long log in parts, and all of it: ${option}`, async () => {
    script = () => ["y".repeat(400)];
    const ann = await begin(option, value);
    for (let i = 0; i < 8; i++) await ann.say(`m${i}`, `text ${i}`);
    const before = await metric("store_reads_total");
    const back = new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 }));
    clients.push(back);
    await back.ready;
    const { seq } = await back.open({ chat_id: ann.chatId, since_seq: 0 });
    await until(() => back.log.at(-1)?.seq === seq, "the log");
    assert.deepEqual(back.log, ann.log);
    assert.ok(await metric("store_reads_total") - before >= 8, "it was read in parts");
  });

for (const [option, value] of [["--replay-entries-max", "2"], ["--replay-bytes-max", "1024"]])
  test(`what comes while somebody reads a log is kept for them up to a limit, and read again above: ${option}`, async () => {
    script = () => ["y".repeat(400)];
    const ann = await begin(option, value);
    for (let i = 0; i < 8; i++) await ann.say(`m${i}`, `text ${i}`);
    assert.equal(await metric("chat_replays_full_total"), 0);
    const stop = gate();
    script = () => (async function* () {
      for (let ended = false; !ended;) {
        yield "z".repeat(400);
        ended = await Promise.race([stop.promise.then(() => true), new Promise((resolve) => { setTimeout(resolve, 10); })]);
      }
    })();
    await ann.must("chat.message", { id: "long", content: "x" });
    const tabs = [];
    await until(async () => { // side by side, until an entry comes meanwhile that does not fit
      const more = Array.from({ length: 8 }, () => new ChatClient(parley.url, sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 })));
      clients.push(...more);
      tabs.push(...more);
      for (const tab of more) await tab.ready;
      await Promise.all(more.map((tab) => tab.open({ chat_id: ann.chatId, since_seq: 0 })));
      return await metric("chat_replays_full_total") > 0;
    }, "an entry that does not fit");
    stop.open();
    const { seq } = await ann.end("long");
    for (const tab of tabs) {
      await until(() => tab.log.at(-1)?.seq === seq, "the log");
      assert.deepEqual(tab.log, ann.log);
    }
  });

test("a session ends when nobody has said anything for so long; the next message has another", async () => {
  script = () => ["re"];
  const ann = await begin("--session-idle-s", "1");
  await ann.say("m1", "one");
  const { session_id } = await ann.until("session.closed", { reason: "idle" });
  await ann.say("m2", "two");
  assert.ok((await ann.must("chat.history", {})).messages.every((message) => message.session_id !== session_id));
});
