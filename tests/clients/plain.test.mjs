// The assistant over plain WebSockets: each dialect with the words of the design that it comes from.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { gate, startModel } from "./lib/model.mjs";
import { Plain } from "./lib/plain.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let model, parley, script;
const open = [];
before(async () => {
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--token-interval-ms", "1");
});
after(async () => {
  await parley?.stop();
  model?.stop();
});
afterEach(() => { for (const one of open.splice(0)) one.close(); });

const token = (sub, role = "user", more = {}) => sign(keyOf(parley), { sub, role, exp: now() + 3600, ...more });
const echo = (messages) => ["You said: ", messages.at(-1).content];

async function plain(path, who = "ann", options) {
  const one = new Plain(parley.url, who ? `${path}${path.includes("?") ? "&" : "?"}token=${token(who)}` : path, options);
  open.push(one);
  return one.ready;
}
async function chat(who = "ann") {
  const client = new ChatClient(parley.url, token(who));
  open.push(client);
  return client.ready;
}

/* ------------------------------------------------------------------- typed */

test("typed: a message, its tokens and its end", async () => {
  script = echo;
  const ann = await plain("/ws/room-1?dialect=typed");
  await ann.untilType("session.ready");
  ann.send({ type: "chat.message", content: "Book a meeting", id: "msg_123" });
  const done = await ann.untilType("chat.done");
  assert.equal(done.content.final_text, "You said: Book a meeting");
  assert.equal(done.ref_id, "msg_123");
  assert.equal(ann.of("chat.token").map(({ content, ref_id }) => { assert.equal(ref_id, "msg_123"); return content; }).join(""), "You said: Book a meeting");
  assert.deepEqual(ann.of("error"), []);
});

test("typed: the same path id is the same chat, on any connection; another user's is another", async () => {
  script = echo;
  const one = await plain("/ws/same?dialect=typed"), two = await plain("/ws/same?dialect=typed"), bob = await plain("/ws/same?dialect=typed", "bob");
  for (const each of [one, two, bob]) await each.untilType("session.ready");
  one.send({ type: "chat.message", content: "x", id: "m1" });
  for (const each of [one, two]) assert.equal((await each.untilType("chat.done")).content.final_text, "You said: x");
  bob.send({ type: "chat.message", content: "mine", id: "m1" });
  assert.equal((await bob.untilType("chat.done")).content.final_text, "You said: mine");
  assert.deepEqual(one.of("chat.message").map(({ content }) => content), ["x"]);
  assert.equal(one.of("chat.done").length, 1);
  const back = await plain("/ws/same?dialect=typed&since_seq=0");
  const again = await back.untilType("chat.done");
  assert.ok(again.seq > 1);
  assert.deepEqual(back.of("chat.message").map(({ content, seq }) => [content, seq]), [["x", 1]]);
});

test("what a path's query says is taken whole", async () => {
  script = echo;
  const odd = await plain("/ws/odd?dialect=teaching%00x"); // as if it were not there: the first message decides
  odd.send({ type: "chat.message", content: "x", id: "m1" });
  assert.equal((await odd.untilType("chat.done")).content.final_text, "You said: x");
  for (const since of ["x", "1x", "1%00", "+1", "%2B1", "-1", "1.5", "99999999999999999999", "9".repeat(40)]) {
    const back = await plain(`/ws/odd?dialect=typed&since_seq=${since}`);
    const { content } = await back.untilType("error");
    assert.deepEqual([since, content.code, content.field], [since, 400, "/since_seq"]);
  }
});

test("typed: signal.stop ends the turn", async () => {
  script = () => ["some ", { wait: new Promise(() => {}) }];
  const ann = await plain("/ws/stopped");
  ann.send({ type: "chat.message", content: "x", id: "m1" });
  await ann.untilType("chat.token");
  ann.send({ type: "signal.stop", content: {} });
  const done = await ann.untilType("chat.done");
  assert.deepEqual([done.content.final_text, done.content.stopped], ["some ", true]);
});

test("typed: the turn goes on without its connection, and the next one without a word is told of it", async () => {
  const door = gate();
  script = () => ["before ", { wait: door.promise }, "after"];
  const ann = await plain("/ws/dropped");
  ann.send({ type: "chat.message", content: "x", id: "m1" });
  await ann.untilType("chat.token");
  ann.close();
  const back = await plain("/ws/dropped");
  const ready = await back.untilType("session.ready");
  assert.equal(ready.content.running.text, "before ");
  door.open();
  assert.equal((await back.untilType("chat.done")).content.final_text, "before after");
});

test("typed: bad messages get an error, and the connection stays", async () => {
  script = echo;
  const ann = await plain("/ws/bad?dialect=typed");
  await ann.untilType("session.ready");
  const bad = [["{", 400], ["[]", 400], [{ type: "nonsense" }, 400], [{ type: "chat.message", id: "m0" }, 400], [{ type: "chat.message", content: "x".repeat(70000), id: "m0" }, 413],
    [{ type: "elicitation.submit", content: { slot: "2pm" }, reply_to: "evt_456" }, 404], [Buffer.from([1, 2]), 400]];
  for (const [message, code] of bad) {
    const from = ann.log.length;
    if (Buffer.isBuffer(message)) ann.socket.send(message); else ann.send(message);
    const error = await ann.untilType("error", from);
    assert.equal(error.content.code, code, JSON.stringify(error));
    assert.equal(typeof error.content.message, "string");
  }
  ann.send({ type: "chat.message", content: "still here", id: "m1" });
  await ann.untilType("chat.done");
});

/* -------------------------------------------------------------------- tree */

test("tree: a session, a prompt, its answer in chunks, ping, close", async () => {
  script = () => ["Node 'Task 1' added ", "successfully under root."];
  const ann = await plain("/ws/session");
  ann.send({ type: "init_session", data: {} });
  const ready = await ann.untilType("session_ready");
  assert.equal(typeof ready.data.session_id, "string");
  assert.equal(ready.data.initial_tree.root.id, "root");
  ann.send({ type: "user_prompt", data: { prompt: "Add a new node with value 'Task 1' under root" }, session_id: ready.data.session_id });
  const whole = await ann.until("the whole answer", ({ type, data }) => type === "assistant_response" && data.chunk === false);
  assert.equal(whole.data.text, "Node 'Task 1' added successfully under root.");
  const chunks = ann.of("assistant_response").filter(({ data }) => data.chunk);
  assert.equal(chunks.map(({ data }) => data.text).join(""), whole.data.text);
  assert.ok(ann.of("reasoning").every(({ data }) => Array.isArray(data.steps)));
  for (const message of ann.log) {
    assert.equal(message.session_id, ready.data.session_id);
    assert.ok(Date.parse(message.timestamp) > 0);
  }
  ann.send({ type: "ping" });
  await ann.untilType("pong");
  ann.send({ type: "user_prompt", data: {} });
  const error = await ann.untilType("error");
  assert.deepEqual([error.data.field, error.error], ["/data/prompt", { code: 400, message: "Invalid prompt format" }]);
  ann.send({ type: "close_session", data: {} });
  assert.deepEqual(await ann.closed, { code: 1000, reason: "" });
});

test("tree: a change of one connection reaches the others, /ws/tree too, which gets nothing else", async () => {
  script = echo;
  const ann = await plain("/ws/chat");
  ann.send({ type: "init_session", data: {} });
  const { data: { session_id } } = await ann.untilType("session_ready");
  const tree = await plain("/ws/tree"), tab = await plain("/ws/session");
  for (const one of [tree, tab]) {
    one.send({ type: "init_session", data: {}, session_id });
    assert.equal((await one.untilType("session_ready")).data.session_id, session_id);
  }
  const delta = { action: "add", path: "/root/children", node: { id: "node-1", value: "Task 1", children: [] } };
  tree.send({ type: "tree_edit", data: { delta } });
  for (const one of [ann, tree, tab]) {
    const update = await one.untilType("tree_update");
    assert.equal(update.data.delta.action, "add");
    assert.deepEqual({ ...update.data.delta.node }, delta.node);
  }
  ann.send({ type: "user_prompt", data: { prompt: "Hello" } });
  await tab.until("the answer", ({ type, data }) => type === "assistant_response" && !data.chunk);
  assert.equal(tab.of("user_prompt")[0].data.prompt, "Hello");
  assert.deepEqual(ann.of("user_prompt"), []);
  tree.send({ type: "user_prompt", data: { prompt: "x" } });
  assert.equal((await tree.untilType("error")).error.code, 400);
  assert.deepEqual([...new Set(tree.log.map(({ type }) => type))].sort(), ["error", "session_ready", "tree_update"]);
  tree.send({ type: "tree_edit", data: { delta: { action: "remove", path: "/root/children/nowhere" } } });
  await tree.until("a refused change", ({ error }) => error?.code === 404 || error?.code === 409 || error?.code === 400, tree.log.findIndex(({ type }) => type === "error") + 1);
});

test("tree: a client that comes back gets what was said", async () => {
  script = echo;
  const ann = await plain("/ws/session");
  ann.send({ type: "user_prompt", data: { prompt: "Hello" } });
  const { session_id } = await ann.until("the answer", ({ type, data }) => type === "assistant_response" && !data.chunk);
  ann.close();
  const back = await plain("/ws/chat");
  back.send({ type: "init_session", data: {}, session_id });
  const history = await back.untilType("chat_history");
  assert.deepEqual(history, { type: "chat_history", data: { messages: [{ role: "user", content: "Hello" }, { role: "assistant", content: "You said: Hello" }] }, session_id, timestamp: history.timestamp });
});

test("tree: a session that is not there is an error", async () => {
  const ann = await plain("/ws/session");
  ann.send({ type: "init_session", data: {}, session_id: "unknown" });
  assert.equal((await ann.untilType("error")).error.code, 404);
  ann.send({ type: "init_session", data: {} });
  await ann.untilType("session_ready");
});

/* ---------------------------------------------------------------- teaching */

test("teaching: a welcome, then one response to each message", async () => {
  script = echo;
  const ann = await plain("/ws/user123?dialect=teaching");
  const welcome = await ann.untilType("response");
  assert.match(welcome.response, /^Welcome/);
  ann.send({ type: "message", content: "teach me about India" });
  const answer = await ann.untilType("response", 1);
  assert.equal(answer.response, "You said: teach me about India");
  assert.deepEqual(Object.keys(answer).sort(), ["current_topic", "mode", "response", "timestamp", "type"]);
  assert.deepEqual(ann.log.length, 2);
});

test("teaching: by its first message, and each connection has a chat of its own", async () => {
  script = (messages) => [String(messages.filter(({ role }) => role === "user").length)];
  const one = await plain("/ws/user123"), two = await plain("/ws/user123");
  for (const each of [one, two]) {
    each.send({ type: "message", content: "one" });
    each.send({ type: "message", content: "two" });
    await until(() => each.of("response").length === 3, () => JSON.stringify(each.log));
    assert.match(each.log[0].response, /^Welcome/);
    assert.deepEqual(each.log.slice(1).map(({ response }) => response), ["1", "2"]);
  }
  one.send({ type: "message" });
  assert.equal((await one.untilType("error")).code, 400);
});

/* ------------------------------------------------------------------- zones */

test("the user's time zone is a message's, or the address's for clients whose messages have no place for it", async () => {
  script = (messages) => [/time is \w+ \S+ \(UTC(\S+?),? /.exec(`${messages[0].content} `.replace("\n", " "))?.[1] ?? "none"];
  const said = { "/ws/zone1?dialect=typed": [{ type: "chat.message", id: "m1", content: "x" }, (log) => log.find(({ type }) => type === "chat.done")?.content.final_text],
    "/ws/session?": [{ type: "user_prompt", data: { prompt: "x" } }, (log) => log.find(({ type, data }) => type === "assistant_response" && !data.chunk)?.data.text],
    "/ws/zone2?dialect=teaching": [{ type: "message", content: "x" }, (log) => log.filter(({ type }) => type === "response")[1]?.response],
    "/api/v1/chat/ws/chat?": [{ type: "message", message: "x" }, (log) => log.find(({ type }) => type === "response")?.message] };
  for (const [path, [message, answer]] of Object.entries(said)) {
    for (const [zone, more, offset] of [["Asia/Kolkata", {}, "+05:30"], ["Asia/Kolkata", { time_zone: "Asia/Kathmandu" }, "+05:45"], ["Nowhere/At_All", { time_zone: "Asia/Kathmandu" }, "+05:45"]]) {
      const one = await plain(`${path}&time_zone=${encodeURIComponent(zone)}`, `zone${path.length}${zone.length}${Object.keys(more).length}`);
      if (path.startsWith("/ws/session")) { one.send({ type: "init_session", data: {} }); await one.untilType("session_ready"); }
      one.send(message.data ? { ...message, data: { ...message.data, ...more } } : { ...message, ...more });
      assert.equal(await until(() => answer(one.log), () => `${path}: ${JSON.stringify(one.log)}`), offset, path);
    }
  }
});

/* ------------------------------------------------------------------ widget */

test("widget: connection, thinking, response with all ids; the chat survives its connection", async () => {
  script = echo;
  const ann = await plain("/api/v1/chat/ws/chat");
  const hello = await ann.untilType("connection");
  assert.equal(typeof hello.socket_connection_id, "string");
  ann.send({ type: "message", message: "Create alarm" });
  const response = await ann.untilType("response");
  assert.equal(response.message, "You said: Create alarm");
  assert.equal(response.is_complete, true);
  for (const message of ann.log.slice(ann.log.findIndex(({ step }) => step === "Processing your message...")))
    for (const id of ["user_chat_id", "session_id", "user_intent_id", "socket_connection_id"]) assert.equal(typeof message[id], "string", `${id}: ${JSON.stringify(message)}`);
  const steps = ann.of("thinking").map(({ step }) => step);
  assert.deepEqual(steps.slice(0, 3), ["Initializing session...", "Processing your message...", "Analyzing your request..."]);
  ann.close();
  const back = await plain("/ws/chat?dialect=widget");
  back.send({ type: "message", message: "Again", user_chat_id: response.user_chat_id });
  const second = await back.untilType("response");
  assert.equal(second.user_chat_id, response.user_chat_id);
  assert.notEqual(second.socket_connection_id, response.socket_connection_id);
});

test("widget: an unused chat id opens a chat of that id, another user's is an error", async () => {
  script = echo;
  const ann = await plain("/api/v1/chat/ws/chat"), bob = await plain("/api/v1/chat/ws/chat", "bob");
  ann.send({ type: "message", message: "x", user_chat_id: "chat_of_ann" });
  assert.equal((await ann.untilType("response")).user_chat_id, "chat_of_ann");
  bob.send({ type: "message", message: "x", user_chat_id: "chat_of_ann" });
  assert.equal((await bob.untilType("error")).code, 404);
  bob.send({ type: "message", message: "x", user_chat_id: "chat_of_bob" });
  assert.equal((await bob.untilType("response")).user_chat_id, "chat_of_bob");
});

test("widget: a form is a text and a component; what is said next fills it, and so does the component", async () => {
  script = (messages) => (messages.at(-1).role === "tool" ? ["Done."] : [{ call: "create_alarm", args: { text: "Tea" } }]);
  const ann = await plain("/api/v1/chat/ws/chat");
  for (const way of ["text", "component"]) {
    const from = ann.log.length;
    ann.send({ type: "message", message: "Create alarm" });
    const { props } = await ann.untilType("component", from);
    assert.deepEqual([props.mode, props.schema.required, props.values?.text], ["form", ["time"], "Tea"], JSON.stringify(props));
    assert.ok(ann.log.slice(from).some(({ type, is_complete }) => type === "response" && is_complete === false));
    const steps = ann.log.slice(from).filter(({ type }) => type === "thinking").map(({ step }) => step);
    for (const step of ["Intent recognized: create_alarm", "Generating follow-up question..."]) assert.ok(steps.includes(step), `${step}: ${steps}`);
    ann.send(way === "text" ? { type: "message", message: "2099-01-01T07:00:00Z" } : { type: "component", id: props.id, content: { time: "2099-01-01T07:00:00Z", text: "Tea" } });
    await ann.until("the answer", ({ type, message }) => type === "response" && message === "Done.", from);
    assert.ok(ann.log.slice(from).some(({ step }) => step === "Extracting additional parameters..."));
    assert.deepEqual(ann.of("error"), []);
  }
});

test("widget: a time is said as people say it, and what does not answer the form is the next message", async () => {
  script = (messages) => (messages.at(-1).role === "tool" ? [messages.at(-1).content] : [{ call: "create_alarm", args: { text: "Tea" } }]);
  const ann = await plain("/api/v1/chat/ws/chat?time_zone=Asia/Kolkata&");
  ann.send({ type: "message", message: "Create alarm" });
  const first = await ann.untilType("component");
  ann.send({ type: "message", message: "tomorrow at 7" });
  const set = await ann.until("the alarm", ({ type, is_complete }) => type === "response" && is_complete);
  assert.match(set.message, /^Alarm set/);
  const chat = await (await fetch(`${parley.url}/api/v1/chats/${set.user_chat_id}/messages`, { headers: { authorization: `Bearer ${token("ann")}` } })).json();
  const { data: { args } } = chat.messages.find(({ type }) => type === "tool");
  assert.match(args.time, /T07:00:00\+05:30$/);
  const steps = ann.of("thinking").map(({ step }) => step);
  assert.deepEqual(steps.filter((step, i) => steps.indexOf(step) !== i), ["Extracting parameters from your request..."].slice(1), "each step once");

  const from = ann.log.length;
  ann.send({ type: "message", message: "Create alarm" });
  const second = await ann.untilType("component", from);
  assert.notEqual(second.props.id, first.props.id);
  ann.send({ type: "message", message: "Create another alarm" });
  const third = await ann.until("another form", ({ type, props }) => type === "component" && props.id !== second.props.id, from);
  assert.deepEqual(ann.of("component_end").filter(({ id }) => id === second.props.id).map(({ action }) => action), ["cancel"]);
  assert.deepEqual(ann.of("error"), []);
  ann.send({ type: "message", message: "in two hours" });
  await ann.until("the other alarm", ({ type, is_complete, message }) => type === "response" && is_complete && /^Alarm set/.test(message), ann.log.indexOf(third));
});

/* ------------------------------------------------------------------ access */

test("a bad token closes with 1008 in every dialect, and so does one of a role that may not", async () => {
  for (const path of ["/ws/session", "/ws/chat", "/ws/tree", "/ws/x", "/api/v1/chat/ws/chat"]) {
    for (const bad of ["nonsense", token("ann", "feed"), sign(keyOf(parley), { sub: "ann", role: "user", exp: now() - 600 }), "x".repeat(9000)]) {
      const one = new Plain(parley.url, `${path}?token=${bad}`);
      open.push(one);
      if (bad.length > 8000) { await one.ready.then(() => one.closed).catch(() => {}); continue; }
      assert.equal((await one.closed).code, 1008, `${path} ${bad.slice(0, 20)}`);
      assert.deepEqual(one.log, []);
    }
  }
});

test("a guest needs no token on this machine, but no page of another site is one", async () => {
  script = echo;
  const guest = await plain("/ws/guest?dialect=typed", null);
  await guest.untilType("session.ready");
  const evil = new Plain(parley.url, "/ws/guest", { origin: "https://evil.example" });
  assert.equal((await evil.closed).code, 1008);
  const header = new Plain(parley.url, "/ws/guest?dialect=typed", { headers: { authorization: `Bearer ${token("ann")}` } });
  open.push(header);
  await header.untilType("session.ready");
});

test("other paths are no WebSockets, and these paths are nothing else", async () => {
  for (const path of ["/ws/a/b", "/ws/", "/ws/not%20an%20id"]) {
    const one = new Plain(parley.url, path);
    await assert.rejects(one.ready, /400|404/, path);
  }
  const response = await fetch(`${parley.url}/ws/session`);
  assert.equal(response.status, 426);
});

test("an expired token ends the connection with a word and 1008", async () => {
  const soon = sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 1 });
  const one = new Plain(parley.url, `/ws/expiring?dialect=typed&token=${soon}`);
  open.push(one);
  assert.equal((await one.closed).code, 1008);
  assert.equal(one.of("error").at(-1).content.code, 401);
});

test("an administrator's disconnection reaches plain WebSockets too", async () => {
  const ann = await plain("/ws/kicked?dialect=typed", "kicked"), bob = await plain("/ws/kicked?dialect=typed", "bob");
  for (const one of [ann, bob]) await one.untilType("session.ready");
  const response = await fetch(`${parley.url}/api/v1/users/kicked/disconnect`, { method: "POST", headers: { authorization: `Bearer ${token("root", "admin")}` } });
  assert.equal(response.status, 200);
  assert.equal((await ann.closed).code, 1008);
  assert.deepEqual(ann.of("error").map(({ content }) => content.code), [401]);
  bob.send({ type: "ping" });
  await bob.untilType("pong");
});

test("at the end of the server they are closed with 1001", async () => {
  const other = await startParley();
  const one = new Plain(other.url, "/ws/x?dialect=typed"), two = new Plain(other.url, "/ws/session");
  await Promise.all([one.untilType("session.ready"), two.ready]);
  await other.stop();
  for (const each of [one, two]) assert.equal((await each.closed).code, 1001);
});

test("one chat, all at once: a turn begun over Socket.IO is told in every dialect that may", async () => {
  script = () => ["one ", "two"];
  const io = await chat();
  await io.open();
  const tree = await plain("/ws/session"), widget = await plain("/api/v1/chat/ws/chat");
  tree.send({ type: "init_session", data: {}, session_id: io.chatId });
  await tree.untilType("session_ready");
  widget.send({ type: "message", message: "from the widget", user_chat_id: io.chatId });
  assert.equal((await widget.untilType("response")).message, "one two");
  const whole = await tree.until("the answer", ({ type, data }) => type === "assistant_response" && !data.chunk);
  assert.equal(whole.data.text, "one two");
  await until(() => io.of("chat.done").length === 1, "the end");
  io.checkOrder();
});
