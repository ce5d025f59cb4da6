// What models and MCP servers should not send: each is a clear line in the log and an end of its own in the chat, and a
// chat beside it is answered meanwhile.
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

const MIB = 1 << 20;
const servers = [], clients = [];
let model, parley, script, folder, strangers = 0, callAnswer;

async function listen(handler) {
  const server = createServer(handler);
  servers.push(server);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

const tree = { $ref: "#/$defs/node" };
const nested = (depth) => (depth ? { type: "object", properties: { a: nested(depth - 1) } } : { type: "string" });
const tools = [
  { name: "answers", inputSchema: { type: "object", properties: {} } },
  { name: "recurses", description: "A tree", inputSchema: { type: "object", properties: { root: tree, name: { type: "string" } }, required: ["name"], $defs: { node: { type: "object", properties: { left: tree, right: tree, all: { type: "array", items: tree } } } } } },
  { name: "is-itself", inputSchema: { type: "object", properties: { a: { $ref: "#" }, b: { $dynamicRef: "#" } }, required: ["a"] } },
  { name: "goes-round", inputSchema: { type: "object", allOf: [{ $ref: "#/$defs/x" }], $defs: { x: { $ref: "#/$defs/y" }, y: { $ref: "#/$defs/x" } } } },
  { name: "too-deep", inputSchema: { type: "object", properties: { a: nested(40) } } },
  { name: "elsewhere", inputSchema: { type: "object", properties: { a: { $ref: "STRANGER/schema.json" } } } },
];

async function serveMcp(request, response) {
  let text = "";
  for await (const piece of request) text += piece;
  const { id, method, params } = text ? JSON.parse(text) : {};
  const json = (result) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  if (method === "server/discover") json({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } });
  else if (method === "tools/list") json({ tools, ttlMs: 600000 });
  else if (method === "tools/call") await callAnswer(response, id, params);
  else response.writeHead(405).end();
}

before(async () => {
  const stranger = await listen((request, response) => { strangers++; response.writeHead(200).end("{}"); });
  tools.at(-1).inputSchema.properties.a.$ref = `${stranger}/schema.json`;
  model = await startModel((messages, body) => (messages.at(-1).content === "beside" ? ["still here"] : script(messages, body, stranger)));
  folder = mkdtempSync(join(tmpdir(), "parley-bad-"));
  const file = join(folder, "mcp.json");
  writeFileSync(file, JSON.stringify({ servers: [{ id: "bad", url: `${await listen(serveMcp)}/mcp`, private: true, era: "2026" }] }));
  serveMcp.stranger = stranger;
  parley = await startParley(...model.options, "--mcp-file", file, "--models-retries", "0", "--models-start-timeout-ms", "3000", "--models-idle-timeout-ms", "3000",
    "--models-stream-max-bytes", String(4 * MIB), "--mcp-idle-timeout-ms", "3000", "--mcp-stream-max-bytes", String(16 * MIB), "--log-level", "warn");
});
after(async () => {
  await parley?.stop();
  model?.stop();
  for (const server of servers) { server.closeAllConnections(); server.close(); }
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => { for (const client of clients.splice(0)) client.close(); });

async function open(sub = "ann") {
  const client = new ChatClient(parley.url, sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 }));
  clients.push(client);
  await client.ready;
  await client.open();
  return client;
}

/** Says something that goes wrong; another chat is answered before, meanwhile and afterwards. Gives the end and what the log has of it. */
async function goesWrong() {
  const from = parley.output.length;
  const [ann, bob] = [await open("ann"), await open("bob")];
  await ann.must("chat.message", { id: "m1", content: "x" });
  for (let i = 0; i < 3; i++) assert.equal((await bob.say(`b${i}`, "beside")).final_text, "still here");
  const end = await ann.end("m1");
  ann.checkOrder();
  assert.equal((await ann.say("m2", "beside")).final_text, "still here");
  assert.equal(strangers, 0, "nobody else was asked");
  return { ann, end, log: () => parley.output.slice(from) };
}

const flood = (piece) => (async function* () { for (;;) { yield { raw: piece }; await new Promise(setImmediate); } })();
const long = "x".repeat(65536);
const models = {
  "arguments of a tool that are huge": [() => [{ call: "create_alarm", args: `{"text":"${"x".repeat(MIB)}"}` }], 502, /kind=too_large/],
  "arguments of a tool that never end": [() => (async function* () { yield { call: "create_alarm", args: '{"text":"' }; for (;;) { yield { raw: `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: long } }] } }] })}\n\n` }; await new Promise(setImmediate); } })(), 502, /kind=too_large/],
  "what is not JSON in its stream": [() => ["some ", { raw: 'data: {"choices":[{"index":0,"delta":{"content":"half\n\n' }], 502, /kind=broken/],
  "JSON that is nested without end": [() => ["some ", { raw: `data: ${"[".repeat(100000)}\n\n` }], 502, /kind=broken/],
  "silence": [() => [{ wait: new Promise(() => {}) }], 504, /kind=timeout/],
  "silence in the middle": [() => ["some ", { wait: new Promise(() => {}) }], 504, /kind=timeout/],
  "an answer of 1 GB": [() => (async function* () { for (let i = 0; i < 16384; i++) { yield long; await new Promise(setImmediate); } })(), 502, /kind=too_large/],
  "1 GB of comments": [() => flood(`: ${long}\n\n`), 502, /kind=too_large/],
  "one event of 1 GB": [() => flood(long), 502, /kind=(too_large|broken)/],
  "a redirect to another host": [(messages, body, stranger) => [{ status: 307, headers: { location: `${stranger}/v1/chat/completions` } }], 502, /kind=\w+.*30\d|30\d.*kind=/],
};
for (const [what, [steps, code, line]] of Object.entries(models))
  test(`a model sends ${what}`, async () => {
    script = steps;
    const { end, log } = await goesWrong();
    assert.deepEqual([end.event, end.code], ["error", code], JSON.stringify(end).slice(0, 500));
    await until(() => line.test(log()), () => `${line} in ${log()}`);
    await until(() => model.open === 0, "its connection to end");
  });

test("a model sends arguments of a tool that are not JSON: the model is told, and the turn goes on", async () => {
  script = (messages) => (messages.at(-1).role === "tool" ? [`told: ${messages.at(-1).content}`] : [{ call: "create_alarm", args: '{"text":"half' }]);
  const { end } = await goesWrong();
  assert.equal(end.event, "chat.done");
  assert.match(end.final_text, /^told: .*JSON/);
});

/* --------------------------------------------------------------------- MCP */

const calling = (name, args = {}) => (messages) => (messages.at(-1).role === "tool" ? [`told: ${messages.at(-1).content}`] : [{ call: `bad_${name}`, args }]);
async function listed() {
  await until(async () => {
    const bob = await open("bob");
    await bob.say("b", "beside");
    return model.requests.at(-1).tools?.some(({ function: { name } }) => name === "bad_answers");
  }, "the list of tools");
}
const endless = (head, piece) => async (response) => {
  response.writeHead(200, { "content-type": head });
  while (!response.destroyed) if (!response.write(piece)) await new Promise((resolve) => { response.once("drain", resolve); response.once("close", resolve); });
};
const calls = {
  "nothing": [async () => {}, /did not answer in time/],
  "a head, and then nothing": [async (response) => { response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders(); }, /did not answer in time/],
  "1 GB of JSON": [endless("application/json", long), /too large/],
  "1 GB of events": [endless("text/event-stream", `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${long}"}}\n\n`), /too large/],
  "1 GB of comments": [endless("text/event-stream", `: ${long}\n\n`), /too large/],
  "one event of 1 GB": [endless("text/event-stream", `data: ${long}\n`), /too large/],
  "what is not JSON": [async (response) => { response.writeHead(200, { "content-type": "application/json" }).end('{"jsonrpc":"2.0","id":'); }, /not JSON/],
  "JSON that is nested without end": [async (response, id) => { response.writeHead(200, { "content-type": "application/json" }).end(`{"jsonrpc":"2.0","id":${id},"result":${"[".repeat(100000)}`); }, /not JSON, or nested too deeply/],
  "a page of HTML": [async (response) => { response.writeHead(200, { "content-type": "text/html" }).end("<h1>Hello</h1>"); }, /not JSON|text\/html instead of JSON/],
  "a redirect to another host": [async (response) => { response.writeHead(307, { location: `${serveMcp.stranger}/mcp` }).end(); }, /redirects \(HTTP 307\)/],
};
for (const [what, [answer, line]] of Object.entries(calls))
  test(`an MCP server sends ${what}`, async () => {
    await listed();
    callAnswer = answer;
    script = calling("answers");
    const { ann, end, log } = await goesWrong();
    assert.equal(end.event, "chat.done");
    assert.match(end.final_text, line);
    assert.deepEqual(ann.of("tool.end").map(({ ok }) => ok), [false]);
    await until(() => /mcp call failed/.test(log()) && line.test(log()), () => `${line} in ${log()}`);
  });

test("schemas that recurse are shown to the model, and asked for and called like others; those that leave their document or are too deep are left out", async () => {
  await listed();
  const names = model.requests.at(-1).tools.map(({ function: { name } }) => name).filter((name) => name.startsWith("bad_"));
  assert.deepEqual(names, ["bad_answers", "bad_recurses", "bad_is-itself", "bad_goes-round"]);
  for (const name of ["too-deep", "elsewhere"]) assert.match(parley.output, new RegExp(`mcp tool left out.*${name}.*why=`));
  callAnswer = async (response, id, { arguments: args }) => { response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: JSON.stringify(args) }] } })); };
  const root = { left: { left: { right: {} } }, all: [{}, { left: {} }] };
  for (const [name, args] of [["recurses", { name: "a", root }], ["is-itself", { a: { a: { a: 1 } } }], ["goes-round", { a: 1 }]]) {
    script = calling(name, args);
    const { end } = await goesWrong();
    assert.equal(end.final_text, `told: ${JSON.stringify(args)}`, name);
  }
  script = calling("recurses", { root });
  const ann = await open();
  await ann.must("chat.message", { id: "m1", content: "x" });
  const asked = await ann.until("elicitation.start");
  assert.deepEqual(Object.keys(asked.schema.properties), ["name"]);
  await ann.must("elicitation.submit", { reply_to: asked.id, content: { name: "b" } });
  assert.match((await ann.end("m1")).final_text, /"name":"b"/);
  script = calling("is-itself", {}); // what is missing cannot be asked for
  const { end } = await goesWrong();
  assert.equal(end.event, "chat.done");
});
