// What a client has to ask for: thoughts, remarks for developers, and patches; and what all get without asking.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
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

const token = () => sign(keyOf(parley), { sub: "ann", role: "user", exp: now() + 3600 });
async function connect(options) {
  const client = new ChatClient(parley.url, token());
  open.push(client);
  await client.ready;
  await client.open(options);
  return client;
}
const aside = (client, event) => client.aside.filter((one) => one.event === event);

test("thoughts come to who asked for them, as they are thought, and to nobody else; they are not in the history", async () => {
  script = () => [{ reasoning: "Let me " }, { reasoning: "see." }, "It is 42."];
  const plain = await connect(), curious = await connect({ chat_id: plain.chatId, want: ["reasoning"] });
  await plain.say("m1", "x");
  await curious.end("m1");
  await until(() => aside(curious, "chat.reasoning").map(({ content }) => content).join("") === "Let me see.", () => JSON.stringify(curious.aside));
  assert.ok(aside(curious, "chat.reasoning").every(({ ref_id, chat_id }) => ref_id === "m1" && chat_id === plain.chatId));
  assert.deepEqual(aside(plain, "chat.reasoning"), []);
  assert.deepEqual(curious.log, plain.log.filter(({ seq }) => seq > 0));
  const { messages } = await plain.must("chat.history", {});
  assert.ok(!JSON.stringify(messages).includes("Let me see"));
  const late = await connect({ chat_id: plain.chatId, since_seq: 0, want: ["reasoning"] });
  await late.end("m1");
  assert.deepEqual(aside(late, "chat.reasoning"), []);
});

test("remarks for developers come to who asked for them", async () => {
  script = () => ["Hi"];
  const plain = await connect(), curious = await connect({ chat_id: plain.chatId, want: ["debug", "reasoning", "patch"] });
  const sockets = [];
  for (const data of [{ want: ["debug"] }, { debug: true }, {}]) {
    const socket = new Plain(parley.url, `/ws/session?token=${token()}`);
    open.push(socket);
    sockets.push(await socket.ready);
    socket.send({ type: "init_session", data, session_id: plain.chatId });
    await socket.untilType("session_ready");
  }
  await plain.say("m1", "x");
  const remark = await until(() => aside(curious, "debug")[0], () => JSON.stringify(curious.aside));
  assert.match(remark.message, /^LLM API latency: \d+ms$/);
  assert.match(remark.level, /^(debug|info|warning|error)$/);
  for (const socket of sockets.slice(0, 2)) {
    const { timestamp, ...rest } = await socket.untilType("debug");
    assert.deepEqual(rest, { type: "debug", data: { message: remark.message, level: "info", ...rest.data }, session_id: plain.chatId });
  }
  await sockets[2].until("the answer", ({ type, data }) => type === "assistant_response" && !data.chunk);
  assert.deepEqual(sockets[2].of("debug"), []);
  assert.deepEqual(aside(plain, "debug"), []);
});

test("what cannot be wanted is refused, and the chat stays open", async () => {
  const ann = await connect();
  for (const want of [["everything"], "debug", [1], [null]]) await ann.fails(400, "session.init", { chat_id: ann.chatId, want });
  script = () => ["Hi"];
  assert.equal((await ann.say("m1", "x")).final_text, "Hi");
});
