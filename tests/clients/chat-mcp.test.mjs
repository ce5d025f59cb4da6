// Tools of an MCP server in a chat: called, asked about, and answered days later by another life of the server.
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

let model, parley, script, server, folder;
const clients = [], calls = [];
const form = { type: "object", properties: { day: { type: "string", format: "date" } }, required: ["day"] };
const tools = [
  { name: "lookup", title: "Look up", description: "Looks up an order", inputSchema: { type: "object", properties: { order: { type: "string" } }, required: ["order"] } },
  { name: "book", description: "Books a visit", inputSchema: { type: "object", properties: {} } },
  { name: "wipe", description: "Deletes everything", inputSchema: { type: "object", properties: {} }, annotations: { destructiveHint: true } },
];

/** A modern MCP server of three tools; `book` asks for a day. */
function answer({ method, params }) {
  if (method === "server/discover") return { supportedVersions: ["2026-07-28"], capabilities: { tools: {} } };
  if (method === "tools/list") return { tools, ttlMs: 60000, cacheScope: "public" };
  calls.push(params);
  if (params.name === "lookup") return { content: [{ type: "text", text: `order ${params.arguments.order} is on its way` }] };
  if (params.name === "wipe") return { content: [{ type: "text", text: "wiped" }] };
  const said = params.inputResponses?.when;
  if (!said) return { resultType: "input_required", inputRequests: { when: { method: "elicitation/create", params: { mode: "form", message: "Which day?", requestedSchema: form } } }, requestState: "sealed" };
  return { content: [{ type: "text", text: `${params.requestState} ${said.action} ${said.content?.day ?? "-"}` }] };
}

before(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const message = text ? JSON.parse(text) : {};
    if (!message.method || message.id === undefined) { response.writeHead(request.method === "POST" ? 202 : 405).end(); return; }
    const result = answer(message);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result: { resultType: "complete", ...result } }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  folder = mkdtempSync(join(tmpdir(), "parley-mcp-"));
  const file = join(folder, "mcp.json");
  writeFileSync(file, JSON.stringify({ servers: [{ id: "crm", url: `http://127.0.0.1:${server.address().port}/mcp`, private: true, era: "2026" }] }));
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--mcp-file", file);
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
/** Calls the tool once, then says what came out. */
const calling = (name, args) => (messages) => (messages.at(-1).role === "tool" ? [`result: ${messages.at(-1).content}`] : [{ call: name, args }]);

test("the model is shown the tools of MCP servers, and a call runs", async () => {
  script = calling("crm_lookup", { order: "4711" });
  const ann = await connect("ann");
  await ann.open();
  await until(async () => {
    await ann.say(`m${Math.random().toString(36).slice(2)}`, "where is it?");
    return model.requests.at(-1).tools?.some(({ function: { name } }) => name === "crm_lookup");
  }, "the list of tools");
  const done = await ann.say("last", "where is it?");
  assert.equal(done.final_text, "result: order 4711 is on its way");
  const [start] = ann.of("tool.start", { ref_id: "last" }), [end] = ann.of("tool.end", { ref_id: "last" });
  assert.deepEqual([start.tool, start.server, start.title, start.args], ["crm_lookup", "crm", "Look up", { order: "4711" }]);
  assert.deepEqual([end.ok, end.call_id, end.result.content[0].text], [true, start.call_id, "order 4711 is on its way"]);
});

test("what is missing is asked for by a form", async () => {
  script = calling("crm_lookup", {});
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  const asked = await ann.until("elicitation.start");
  assert.deepEqual([asked.mode, asked.source.name, Object.keys(asked.schema.properties)], ["form", "crm_lookup", ["order"]]);
  await ann.must("elicitation.submit", { reply_to: asked.id, content: { order: "1" } });
  assert.equal((await ann.end("m1")).final_text, "result: order 1 is on its way");
});

test("a tool that says it destroys asks first", async () => {
  script = calling("crm_wipe", {});
  const ann = await connect("ann");
  await ann.open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  const asked = await ann.until("elicitation.start");
  assert.equal(asked.mode, "approval");
  const before = calls.length;
  await ann.must("elicitation.submit", { reply_to: asked.id, action: "decline" });
  await ann.end("m1");
  assert.equal(calls.length, before);
});

for (const [what, submitted, said] of [["accept", { content: { day: "2026-12-24" } }, "sealed accept 2026-12-24"], ["decline", { action: "decline" }, "sealed decline -"], ["cancel", { action: "cancel" }, "sealed cancel -"]])
  test(`a server's own question reaches the user, and its answer the server, also after a restart: ${what}`, async () => {
    script = calling("crm_book", {});
    const ann = await connect("ann");
    await ann.open();
    await ann.must("chat.message", { id: "m1", content: "x" });
    const asked = await ann.until("elicitation.start");
    assert.deepEqual([asked.mode, asked.message, asked.source, asked.schema], ["form", "Which day?", { kind: "mcp", name: "crm_book" }, form]);
    await parley.restart();
    const phone = await connect("ann");
    const { pending } = await phone.open({ chat_id: ann.chatId, since_seq: 0 });
    assert.deepEqual(pending.map(({ id }) => id), [asked.id]);
    if (what === "accept") await phone.fails(400, "elicitation.submit", { reply_to: asked.id, content: { day: "soon" } });
    await phone.must("elicitation.submit", { reply_to: asked.id, ...submitted });
    assert.equal((await phone.end("m1")).final_text, `result: ${said}`);
    assert.equal(calls.at(-1).requestState, "sealed");
    phone.checkOrder();
  });
