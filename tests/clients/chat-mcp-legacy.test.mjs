// Tools of an MCP server of the older era in a chat: what such a server asks waits in the process that called it, and
// ends with it; the turn does not.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const form = { type: "object", properties: { day: { type: "string" } }, required: ["day"] };
const tools = ["book", "rest"].map((name) => ({ name, description: "x", inputSchema: { type: "object", properties: {} } }));
const clients = [];
let model, parley, script, server, folder, waiting, answers;

/** `book` asks for a day and says it; `rest` never ends. */
async function serve(request, response) {
  let text = "";
  for await (const piece of request) text += piece;
  const message = text ? JSON.parse(text) : {};
  const json = (result) => response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s1" }).end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result }));
  if (request.method !== "POST") { response.writeHead(405).end(); return; }
  if (message.method === "initialize") json({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "old", version: "1" } });
  else if (message.method === "tools/list") json({ tools });
  else if (message.method === "tools/call") {
    const send = (what) => response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...what })}\n\n`);
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    if (message.params.name === "rest") return;
    waiting = (answer) => { send({ id: message.id, result: { content: [{ type: "text", text: `${answer.action} ${answer.content?.day ?? "-"}` }] } }); response.end(); };
    send({ id: 0, method: "elicitation/create", params: { message: "Which day?", requestedSchema: form } });
  } else {
    if (message.result?.action) { answers.push(message.result); waiting(message.result); }
    response.writeHead(202).end();
  }
}

before(async () => {
  server = createServer(serve);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  folder = mkdtempSync(join(tmpdir(), "parley-mcp-"));
  const file = join(folder, "mcp.json");
  writeFileSync(file, JSON.stringify({ servers: [{ id: "old", url: `http://127.0.0.1:${server.address().port}/mcp`, private: true, era: "2025" }] }));
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--mcp-file", file, "--turn-time-max-ms", "1500");
});
after(async () => {
  await parley?.stop();
  model?.stop();
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => { for (const client of clients.splice(0)) client.close(); });

async function connect(who) {
  const client = new ChatClient(parley.url, sign(keyOf(parley), { sub: who, role: "user", exp: now() + 3600 }));
  clients.push(client);
  return client.ready;
}

/** Calls the tools side by side, then says what came out. */
const calling = (...names) => (messages) => {
  const results = messages.filter(({ role }) => role === "tool").map(({ content }) => content);
  return results.length ? [`results: ${results.join("; ")}`] : names.map((name) => ({ call: name }));
};

async function ask(...names) {
  answers = [];
  script = calling(...names);
  const ann = await connect("ann");
  await until(async () => {
    await ann.open();
    script = () => ["-"];
    await ann.say("m0", "-");
    return model.requests.at(-1).tools?.some(({ function: { name } }) => name === "old_book");
  }, "the list of tools");
  script = calling(...names);
  await ann.must("chat.message", { id: "m1", content: "x" });
  return { ann, asked: await ann.until("elicitation.start", { ref_id: "m1" }) };
}

async function kill() {
  parley.child.kill("SIGKILL");
  await parley.ended;
  await parley.start();
}

test("its question is answered while it waits, however long the user takes", async () => {
  const { ann, asked } = await ask("old_book");
  assert.deepEqual([asked.mode, asked.message, asked.source], ["form", "Which day?", { kind: "mcp", name: "old_book" }]);
  const since = Date.now();
  await until(() => Date.now() - since > 2000, "longer than a turn may take"); // of which the user's time is not a part
  await ann.must("elicitation.submit", { reply_to: asked.id, content: { day: "Monday" } });
  assert.equal((await ann.end("m1")).final_text, "results: accept Monday");
  assert.deepEqual(answers, [{ action: "accept", content: { day: "Monday" } }]);
});

for (const [what, end] of [["is killed", kill], ["is restarted", () => parley.restart()]])
  test(`the server ${what}: the question is closed, the tool has failed, and the turn goes on`, async () => {
    const { ann, asked } = await ask("old_book");
    await end();
    const phone = await connect("ann");
    await phone.open({ chat_id: ann.chatId, since_seq: 0 });
    const done = await phone.end("m1");
    assert.equal(done.event, "chat.done");
    assert.match(done.final_text, /^results: The server stopped/);
    assert.deepEqual(phone.of("elicitation.end").map(({ id, action }) => [id, action]), [[asked.id, "cancel"]]);
    assert.deepEqual(phone.of("tool.end").map(({ ok }) => ok), [false]);
    assert.equal(phone.of("tool.start").length, 1);
    await phone.fails(409, "elicitation.submit", { reply_to: asked.id, content: { day: "Monday" } });
    phone.checkOrder();
  });

for (const [what, end] of [["is killed", kill], ["is restarted", () => parley.restart()]])
  test(`the server ${what} while one tool runs and a form of another waits: the form stays, the turn goes on with it`, async () => {
    const { ann, asked } = await ask("old_rest", "create_alarm");
    await ann.until("tool.start", { tool: "old_rest" });
    await end();
    const phone = await connect("ann");
    const { pending } = await phone.open({ chat_id: ann.chatId, since_seq: 0 });
    assert.deepEqual(pending.map(({ id }) => id), [asked.id]);
    assert.equal((await phone.until("tool.end", { tool: "old_rest" })).ok, false);
    await phone.must("elicitation.submit", { reply_to: asked.id, content: { time: "2099-01-01T00:00:00Z" } });
    const done = await phone.end("m1");
    assert.match(done.final_text, /^results: The server stopped.*; Alarm set/);
    assert.equal(phone.of("tool.start", { tool: "old_rest" }).length, 1);
    phone.checkOrder();
  });
