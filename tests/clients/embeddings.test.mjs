// Suggestions with an embeddings service: the local answer at once, a better one when the vector comes; what a service
// may do wrong costs that answer and nothing else. The service here gives words an axis; tests/suggest/play.mjs measures
// a real one.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParleyWith } = await import("../browser/server.mjs");

const AXES = ["parcel", "invoice", "password", "holiday"];
// What customers say without using a word of the document.
const SAME = { parcel: ["box", "courier"], invoice: ["bill"], password: ["locked out"], holiday: ["closed on monday"] };
const vectorOf = (text) => {
  const said = text.toLowerCase();
  const x = AXES.map((word) => (said.includes(word) || SAME[word].some((other) => said.includes(other)) ? 1 : 0));
  return [...x, 0.2];
};

// behave(request, response, texts) may answer in its own way: true.
async function startService(behave = () => false) {
  const service = { requests: [], texts: [], behave };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { input, model } = JSON.parse(body);
    service.requests.push({ url: request.url, key: request.headers.authorization, model, input });
    if (service.behave(request, response, input)) return;
    service.texts.push(...input);
    response.setHeader("content-type", "application/json");
    // In another order than asked for: the index says which is which.
    const data = input.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) })).reverse();
    response.end(JSON.stringify({ object: "list", data, model }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  service.url = `http://127.0.0.1:${server.address().port}`;
  service.stop = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return service;
}

const documents = "# Parcel is late\n\nAsk the carrier where the parcel is.\n\n# Invoice is wrong\n\nCorrect the invoice and send it again.\n\n"
  + "# Password forgotten\n\nSend a link for a new password.\n\n# Holiday hours\n\nWe are open on holidays from ten to two.\n";
const folder = await mkdtemp(join(tmpdir(), "parley-embeddings-"));
const file = join(folder, "help.md");
await writeFile(file, documents);
await writeFile(join(folder, "key"), "s3cret\n");

const open = [];
let parley;
let service;
afterEach(async () => {
  for (const socket of open.splice(0)) socket.disconnect();
  await parley?.stop();
  await service?.stop();
  parley = service = undefined;
});
after(() => rm(folder, { recursive: true }));

const start = async (url, ...options) => {
  parley = await startParleyWith(file, "--log-level", "warn", "--embeddings-url", url, "--embeddings-model", "m1", ...options);
};
const metric = async (name) => {
  const text = await (await fetch(`${parley.url}/metrics`)).text();
  return Number(new RegExp(`^parley_${name} (\\d+)`, "m").exec(text)[1]);
};

async function connect(namespace, ...claims) {
  const token = await parley.token(...claims);
  const socket = io(parley.url + namespace, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.push(socket);
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  socket.suggested = [];
  socket.on("ai:suggestion", (suggestion) => socket.suggested.push(suggestion.documents.map((document) => document.title)));
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
  return socket;
}

async function call(id) {
  const feed = await connect("/feed", "--sub", "feed", "--role", "feed");
  const agent = await connect("/", "--sub", "sue", "--role", "supervisor", "--calls", "*");
  await feed.ask("call:start", { call_id: id });
  await agent.ask("call:subscribe", { call_id: id });
  agent.says = (text) => feed.ask("transcription:update", { call_id: id, speaker: "customer", text });
  return agent;
}

const best = (agent) => agent.suggested.at(-1)?.[0];

test("documents get their vectors once, and a customer's words find what no word of theirs names", async () => {
  service = await startService();
  await start(`${service.url}/v1`, "--embeddings-key-file", join(folder, "key"));
  await until(async () => (await metric("embeddings_texts_total")) >= 8, "the documents' vectors");
  const { url, key, model } = service.requests[0];
  assert.deepEqual([url, key, model], ["/v1/embeddings", "Bearer s3cret", "m1"]);
  const agent = await call("c1");
  await agent.says("good morning the courier never came");
  await until(() => best(agent) === "Parcel is late", "the better suggestion");
  const asked = service.requests.length;
  await parley.restart();
  const again = await call("c2");
  await again.says("hello i am locked out");
  await until(() => best(again) === "Password forgotten", "a suggestion after the restart");
  assert.deepEqual(service.requests.slice(asked).flatMap((request) => request.input), ["hello i am locked out"],
    "the vectors come from the store");
});

test("what helped once is known by its vector the next time", async () => {
  service = await startService((request, response, [text]) => {
    if (!/gizmo|thingamajig/.test(text)) return false;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ data: [{ embedding: [0, 0, 0, 0, 1] }] }));
    return true;
  });
  await start(service.url);
  await until(async () => (await metric("embeddings_texts_total")) >= 8, "the documents' vectors");
  const agent = await call("c1");
  await agent.says("my gizmo squeaks");
  const answer = await agent.ask("doc:feedback", { call_id: "c1", doc_id: "help.holiday-hours", helpful: true });
  assert.equal(answer.ok, true);
  await until(async () => (await metric("embeddings_texts_total")) >= 9, "the learned call's vector");
  const next = await call("c2");
  await next.says("this thingamajig hums");
  await until(() => best(next) === "Holiday hours", "the document that helped");
});

for (const [name, behave] of Object.entries({
  "answers 500": (request, response) => { response.statusCode = 500; response.end("{}"); return true; },
  "answers what is not JSON": (request, response) => { response.end("<html>"); return true; },
  "answers too few": (request, response) => { response.end('{"data":[]}'); return true; },
  "answers an index out of range": (request, response, texts) => {
    response.end(JSON.stringify({ data: texts.map((text) => ({ index: texts.length, embedding: vectorOf(text) })) }));
    return true;
  },
  "answers no numbers": (request, response, texts) => {
    response.end(JSON.stringify({ data: texts.map((_, index) => ({ index, embedding: [] })) }));
    return true;
  },
  "answers without end": (request, response) => {
    const fill = () => { while (!response.destroyed && response.write("[".repeat(65536))); };
    response.on("drain", fill);
    fill();
    return true;
  },
  "hangs up": (request) => { request.socket.destroy(); return true; },
})) {
  test(`a service that ${name} costs nothing but its answer`, async () => {
    service = await startService();
    await start(service.url);
    await until(async () => (await metric("embeddings_texts_total")) >= 8, "the documents' vectors");
    service.behave = behave;
    const agent = await call("c1");
    await agent.says("my parcel is not here");
    await until(() => best(agent) === "Parcel is late", "the local suggestion");
    await until(async () => (await metric("embeddings_failures_total")) >= 1, "the failure");
    service.behave = () => false;
    await agent.says("and the invoice is wrong, the bill i mean the bill");
    await until(() => agent.suggested.at(-1).includes("Invoice is wrong"), "the next suggestion");
  });
}

test("a vector that does not come in time is not waited for, and a service that fails is left alone", async () => {
  service = await startService();
  await start(service.url, "--embeddings-timeout-ms", "50");
  await until(async () => (await metric("embeddings_texts_total")) >= 8, "the documents' vectors");
  service.behave = () => true; // never answers
  const agent = await call("c1");
  for (const text of ["my parcel is late", "the password too", "and an invoice"]) {
    const before = await metric("embeddings_late_total");
    await agent.says(text);
    await until(async () => (await metric("embeddings_late_total")) > before, "the time-out");
  }
  assert.equal(best(agent) !== undefined, true);
  const asked = service.requests.length;
  await agent.says("what are your holiday hours");
  await until(() => agent.suggested.at(-1).includes("Holiday hours"), "the local suggestion");
  assert.equal(service.requests.length, asked, "it is left alone");
});

test("a mistake in the options ends the start with its name", async () => {
  for (const [options, named] of [
    [["--embeddings-url", "ftp://127.0.0.1/"], "embeddings_url"],
    [["--embeddings-url", "http://127.0.0.1:1", "--embeddings-key-file", "/dev/null"], "embeddings_key_file"],
    [["--embeddings-url", "http://127.0.0.1:1", "--embeddings-timeout-ms", "0"], "embeddings_timeout_ms"],
  ]) {
    await assert.rejects(startParleyWith(file, ...options), new RegExp(named));
  }
});
