// The assistant through the clients of other protocols: AI SDK's chat and AG-UI's agent, and as server-sent events.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { HttpAgent } from "@ag-ui/client";
import { AbstractChat, DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { gate, startModel } from "../clients/lib/model.mjs";
import { keyOf, now, sign } from "../clients/lib/tokens.mjs";
import { until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let model, parley, script, count = 0;
before(async () => {
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--token-interval-ms", "1");
});
after(async () => {
  await parley?.stop();
  model?.stop();
});

const headers = (sub = "ann") => ({ authorization: `Bearer ${sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 })}` });
const echo = (messages) => ["You said: ", messages.at(-1).content];
const unique = (name) => `${name}-${++count}`;

/* ------------------------------------------------------------------ AI SDK */

// What @ai-sdk/react's useChat stands on, without a component.
class Chat extends AbstractChat {
  constructor(id, more = {}) {
    const held = { status: "ready", error: undefined, messages: more.messages ?? [] };
    const state = {
      get status() { return held.status; }, set status(value) { held.status = value; },
      get error() { return held.error; }, set error(value) { held.error = value; },
      get messages() { return held.messages; }, set messages(value) { held.messages = value; },
      pushMessage: (message) => { held.messages = [...held.messages, message]; },
      popMessage: () => { held.messages = held.messages.slice(0, -1); },
      replaceMessage: (index, message) => { held.messages = held.messages.map((one, i) => (i === index ? structuredClone(message) : one)); },
      snapshot: (value) => structuredClone(value),
    };
    const transport = new DefaultChatTransport({
      api: `${parley.url}/api/v1/chats/${id}/ui`, headers: headers(),
      prepareReconnectToStreamRequest: ({ api }) => ({ api: `${parley.url}/api/v1/chats/${id}/ui/stream`, headers: headers() }),
    });
    super({ id, transport, state, ...more });
  }
}
const textOf = (message) => message.parts.filter(({ type }) => type === "text").map(({ text }) => text).join("");

test("useChat: a message, its answer, and another answer to it", async () => {
  script = echo;
  const chat = new Chat(unique("ui"));
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "ready", String(chat.error));
  assert.deepEqual(chat.messages.map(({ role }) => role), ["user", "assistant"]);
  assert.equal(textOf(chat.messages[1]), "You said: Hello");
  assert.ok(chat.messages[1].parts.some(({ type }) => type === "data-thinking"));
  script = () => ["Another"];
  await chat.regenerate();
  assert.equal(chat.messages.length, 2);
  assert.equal(textOf(chat.messages[1]), "Another");
});

test("useChat: a stream that was left is resumed from its beginning, and nothing is resumed where nothing runs", async () => {
  const door = gate();
  script = () => ["before ", { wait: door.promise }, "after"];
  const id = unique("ui");
  const first = new Chat(id);
  const sent = first.sendMessage({ text: "x" });
  await until(() => first.messages[1] && textOf(first.messages[1]) === "before ", "the first words");
  const second = new Chat(id, { messages: [first.messages[0]] });
  const resumed = second.resumeStream();
  await until(() => second.messages[1] && textOf(second.messages[1]) === "before ", "what was said before");
  first.stop();
  await sent;
  door.open();
  await resumed;
  assert.equal(textOf(second.messages[1]), "before after");
  assert.equal(second.status, "ready", String(second.error));
  const response = await fetch(`${parley.url}/api/v1/chats/${id}/ui/stream`, { headers: headers() });
  assert.equal(response.status, 204);
});

test("useChat: a message id that was answered streams its answer again", async () => {
  script = echo;
  const id = unique("ui");
  const body = JSON.stringify({ id, trigger: "submit-message", messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "Hi" }] }] });
  const ask = async () => {
    const response = await fetch(`${parley.url}/api/v1/chats/${id}/ui`, { method: "POST", headers: headers(), body });
    assert.equal(response.headers.get("x-vercel-ai-ui-message-stream"), "v1");
    assert.match(response.headers.get("content-type"), /^text\/event-stream/);
    const text = await response.text();
    assert.ok(text.endsWith("data: [DONE]\n\n"));
    return text;
  };
  const first = await ask();
  assert.match(first, /text-delta/);
  assert.equal(await ask(), first);
});

test("useChat: a failure is an error of the chat", async () => {
  script = () => [{ status: 500 }];
  const chat = new Chat(unique("ui"));
  script = () => [{ status: 400 }];
  await chat.sendMessage({ text: "x" });
  assert.equal(chat.status, "error");
  const other = await fetch(`${parley.url}/api/v1/chats/x/ui`, { method: "POST", headers: headers(), body: "{}" });
  assert.equal(other.status, 400);
});

test("useChat: a tool that asks first, and goes on when it is approved", async () => {
  const steps = [{ call: "add_node", args: { value: "Task 1" } }, { call: "remove_node", args: { node: "Task 1" } }];
  script = (messages) => { const done = messages.filter(({ role }) => role === "tool").length; return done < steps.length ? [steps[done]] : ["It is gone."]; };
  const chat = new Chat(unique("ui"), { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
  await chat.sendMessage({ text: "Add it and remove it" });
  const asked = chat.messages[1].parts.find(({ state }) => state === "approval-requested");
  assert.equal(asked.toolName, "remove_node", JSON.stringify(chat.messages[1].parts));
  await chat.addToolApprovalResponse({ id: asked.approval.id, approved: true });
  await until(() => chat.messages.at(-1).parts.some(({ text }) => text === "It is gone."), () => JSON.stringify(chat.messages.at(-1).parts));
  assert.equal(chat.messages.length, 2);
  console.log(JSON.stringify(chat.messages[1].parts, null, 1));
  assert.equal(chat.messages[1].parts.find(({ toolName }) => toolName === "remove_node").state, "output-available");
  assert.equal(chat.messages[1].parts.filter(({ type }) => type === "data-tree").length, 2);
});

test("both: the user's time zone comes with the request", async () => {
  script = (messages) => [/time is \w+ \S+ \((UTC\S+),/.exec(messages[0].content)?.[1] ?? "none"];
  const chat = new Chat(unique("ui"));
  await chat.sendMessage({ text: "x" }, { body: { time_zone: "Asia/Kolkata" } });
  assert.equal(textOf(chat.messages[1]), "UTC+05:30");
  const one = agent();
  one.addMessage({ id: unique("m"), role: "user", content: "x" });
  await one.runAgent({ forwardedProps: { time_zone: "Asia/Kathmandu" } });
  assert.equal(one.messages.at(-1).content, "UTC+05:45");
});

const form = (messages) => (messages.at(-1).role === "tool" ? ["Done."] : [{ call: "create_alarm", args: {} }]);

/* ------------------------------------------------------------------- AG-UI */

const agent = (threadId = unique("agui")) => new HttpAgent({ url: `${parley.url}/api/v1/agui`, headers: headers(), threadId });

test("AG-UI: a run, held to the order of events by the official client", async () => {
  script = echo;
  const one = agent();
  const types = [];
  one.addMessage({ id: unique("m"), role: "user", content: "Hello" });
  await one.runAgent({}, { onEvent: ({ event }) => { types.push(event.type); } });
  assert.deepEqual([types[0], types[1], types.at(-1)], ["RUN_STARTED", "STATE_SNAPSHOT", "RUN_FINISHED"]);
  assert.equal(one.messages.at(-1).role, "assistant");
  assert.equal(one.messages.at(-1).content, "You said: Hello");
  assert.equal(one.state.tree.root.id, "root");
});

test("AG-UI: a form is an interrupt, and the next run goes on with its answer; the same answer again changes nothing", async () => {
  script = (messages) => (messages.at(-1).role === "tool" ? ["Done."] : ["Let me see.", ...form(messages)]);
  const one = agent();
  const ended = [];
  const listen = { onRunFinishedEvent: ({ event }) => { ended.push(event); } };
  one.addMessage({ id: unique("m"), role: "user", content: "Create alarm" });
  await one.runAgent({}, listen);
  assert.equal(ended[0].outcome.type, "interrupt");
  const [interrupt] = ended[0].outcome.interrupts;
  assert.equal(interrupt.reason, "input_required");
  assert.equal(interrupt.responseSchema.type, "object");
  const payload = Object.fromEntries(Object.entries(interrupt.responseSchema.properties).filter(([name]) => interrupt.responseSchema.required.includes(name)).map(([name, { format, type }]) => [name, format === "date-time" ? "2099-01-01T07:00:00Z" : type === "string" ? "2099-01-01 07:00" : 1]));
  const resume = [{ interruptId: interrupt.id, status: "resolved", payload }];
  await one.runAgent({ resume }, listen);
  assert.equal(ended[1].outcome.type, "success", JSON.stringify(ended[1]));
  assert.deepEqual(one.messages.map(({ role }) => role), ["user", "assistant", "assistant", "tool", "assistant"]);
  assert.deepEqual(one.messages.filter(({ content, role }) => content && role === "assistant").map(({ content }) => content), ["Let me see.", "Done."]);
  assert.equal(new Set(one.messages.map(({ id }) => id)).size, one.messages.length);
  const asked = model.requests.length, again = agent(one.threadId);
  await again.runAgent({ resume: [{ ...resume[0], payload: { time: "2100-01-01T00:00:00Z" } }] }, listen);
  assert.equal(ended[2].outcome.type, "success", JSON.stringify(ended[2]));
  assert.equal(again.messages.at(-1).content, "Done.");
  assert.equal(model.requests.length, asked, "nothing was done again");
  assert.ok(one.messages.some(({ id }) => id === again.messages.at(-1).id), "its messages have the ids that they had");
  const unknown = await fetch(`${parley.url}/api/v1/agui`, { method: "POST", headers: headers(), body: JSON.stringify({ threadId: one.threadId, runId: "r", messages: [], resume: [{ interruptId: "unknown", status: "resolved" }] }) });
  assert.equal(unknown.status, 409);
});

test("both: an answer that does not fit is an error in the stream, and the form stays open", async () => {
  script = form;
  const chat = new Chat(unique("ui"));
  await chat.sendMessage({ text: "Create alarm" });
  const [asked] = chat.messages[1].parts.filter(({ type }) => type === "data-elicitation");
  await chat.sendMessage(undefined, { body: { elicitation: { reply_to: asked.id, content: { time: 7 } } } });
  assert.equal(chat.status, "error");
  assert.match(chat.error.message, /time|text|string/);
  await chat.sendMessage(undefined, { body: { elicitation: { reply_to: asked.id, content: { time: "2099-01-01T07:00:00Z" } } } });
  assert.equal(chat.status, "ready", String(chat.error));
  assert.equal(textOf(chat.messages.at(-1)), "Done.");
  assert.deepEqual(chat.messages.at(-1).parts.filter(({ toolName }) => toolName).map(({ toolName, state }) => [toolName, state]), [["create_alarm", "output-available"]]);

  const one = agent(), ended = [], failed = [];
  const listen = { onRunFinishedEvent: ({ event }) => { ended.push(event); }, onRunErrorEvent: ({ event }) => { failed.push(event); } };
  one.addMessage({ id: unique("m"), role: "user", content: "Create alarm" });
  await one.runAgent({}, listen);
  const [interrupt] = ended[0].outcome.interrupts;
  await one.runAgent({ resume: [{ interruptId: interrupt.id, status: "resolved", payload: { time: 7 } }] }, listen).catch((error) => failed.push(error));
  assert.ok(failed.length > 0);
  assert.equal(failed[0].code, "400");
  await one.runAgent({ resume: [{ interruptId: interrupt.id, status: "resolved", payload: { time: "2099-01-01T07:00:00Z" } }] }, listen);
  assert.equal(one.messages.at(-1).content, "Done.");
});

/* ------------------------------------------------------------------ events */

test("text/event-stream: the turn's entries by their names, with their seq as id", async () => {
  script = echo;
  const id = unique("sse");
  await fetch(`${parley.url}/api/v1/chats/${id}/ui`, { method: "POST", headers: headers(), body: JSON.stringify({ messages: [{ id: "m0", role: "user", parts: [{ type: "text", text: "x" }] }] }) }).then((response) => response.text());
  const response = await fetch(`${parley.url}/api/v1/chats/${id}/messages`, { method: "POST", headers: { ...headers(), accept: "text/event-stream", "content-type": "application/json" }, body: JSON.stringify({ id: "m1", content: "Hi" }) });
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  const events = (await response.text()).trim().split("\n\n").map((block) => Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)])));
  for (const { data, id: seq } of events) assert.equal(JSON.parse(data).seq, Number(seq));
  assert.equal(events.at(-1).event, "chat.done");
  assert.equal(JSON.parse(events.at(-1).data).final_text, "You said: Hi");
  assert.equal(events.filter(({ event }) => event === "chat.token").map(({ data }) => JSON.parse(data).content).join(""), "You said: Hi");
  const plain = await fetch(`${parley.url}/api/v1/chats/${id}/messages`, { method: "POST", headers: { ...headers(), "content-type": "application/json" }, body: JSON.stringify({ id: "m2", content: "Ho" }) });
  assert.equal((await plain.json()).final_text, "You said: Ho");
});
