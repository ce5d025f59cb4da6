// The streams by which the reader of models is tested. The official client of OpenAI reads them: where it takes a stream, both
// have read the same; where it does not, it is for a reason that stands here. And the server's chat gets each as an answer.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { ChatClient } from "./lib/chat.mjs";
import { fixtureNames, readLog, startUpstream } from "../models/upstream.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const upstream = await startUpstream();
const folder = await mkdtemp(join(tmpdir(), "parley-models-"));
const file = join(folder, "models.json");
let parley;
before(async () => {
  const provider = { id: "scripted", base_url: `${upstream.url}/asked?piece=11`, model: "m" };
  await writeFile(file, JSON.stringify({ providers: [provider] }));
  parley = await startParley("--models-file", file, "--models-retries", "0");
});
after(async () => {
  await parley?.stop();
  await upstream.stop();
  await rm(folder, { recursive: true });
});

const clientFor = (name, piece) =>
  new OpenAI({ apiKey: "k", baseURL: `${upstream.url}/${name}`, maxRetries: 0, defaultQuery: piece ? { piece } : undefined });

const read = (name, piece) =>
  clientFor(name, piece).chat.completions
    .stream({ model: "m", messages: [{ role: "user", content: "x" }], stream_options: { include_usage: true } })
    .finalChatCompletion();

// What the client does not take, or takes otherwise, though servers send it.
const OTHERWISE = {
  "calls-arguments": "empty arguments, or an object, become text that is not JSON",
  "calls-late-name": "a call without `function` in its first piece",
  "calls-none": "an answer that ends for calls and has none passes for one",
  "calls-one-broken": "arguments that are not JSON stay in the conversation",
  "calls-pieces-without-index": "calls need an index",
  "calls-same-id": "two calls of one id",
  "calls-same-index": "two calls of one index run together",
  "calls-same-index-without-id": "the same",
  "calls-sparse-index": "an index that leaves one out",
  "calls-without-id": "calls without a type",
  "calls-without-name": "a call of no tool passes for one",
  "empty-frames": "data without a value is taken for JSON",
  "function-call": "the field of before `tool_calls` stays as it is",
  gemini: "calls need an index",
  "length-in-call": "a call that was cut off passes for one",
  "mistral-parts": "content in parts",
  nul: "NUL stays in the text",
  "ollama-without-index": "calls need an index",
  "openai-refusal": "a refusal is a field of its own; here it is what the user reads",
  think: "thoughts stay in the text",
  "think-unclosed": "the same",
  "two-choices": "a second choice without a role",
  "whole-json": "an answer that is not a stream",
};

const calls = (message) => message.tool_calls ?? [];

// They have read what we have: false, or a failure where we read something, is for the list above.
async function agrees(name, piece) {
  const ours = await readLog(name);
  const theirs = await read(name, piece).catch((error) => ({ error }));
  if (ours.fault || theirs.error) return Boolean(ours.fault) === Boolean(theirs.error);
  const message = theirs.choices[0].message;
  return (message.content ?? "") === (ours.message.content ?? "")
    && JSON.stringify(calls(message).map((call) => [call.id, call.function]))
      === JSON.stringify(calls(ours.message).map((call) => [call.id, call.function]));
}

test("the official client reads the same, where it reads", async () => {
  const names = await fixtureNames();
  assert.ok(names.length > 50);
  for (const name of names) assert.equal(await agrees(name), !(name in OTHERWISE), `${name}: ${OTHERWISE[name] ?? "they agree"}`);
  for (const name of Object.keys(OTHERWISE)) assert.ok(names.includes(name), `${name} is a fixture`);
});

test("also in pieces of a few bytes", async () => {
  for (const name of ["openai-text", "openai-calls", "llamacpp", "azure", "openrouter", "ollama"])
    for (const piece of [1, 7]) assert.ok(await agrees(name, piece), `${name} in pieces of ${piece}`);
});

test("an error within a stream is one for the client too", async () => {
  for (const name of ["error-first", "error-quota", "llamacpp-error-data", "openrouter-error"])
    await assert.rejects(read(name), OpenAI.APIError, name);
});

const CODES = { busy: 503 }; // others: 502

test("each is an answer of the chat, or an error of its own, and the next one is not affected", async () => {
  const ann = await new ChatClient(parley.url).ready;
  await ann.open();
  for (const name of await fixtureNames()) {
    const ours = await readLog(name);
    const end = await ann.say(`m-${name}`, name);
    if (ours.fault) {
      assert.deepEqual([end.event, end.code], ["error", CODES[/^fault (\S+):/.exec(ours.fault)[1]] ?? 502], name);
      continue;
    }
    const called = ann.of("tool.start", { ref_id: `m-${name}` }).map(({ tool }) => tool);
    const first = ours.message.content ?? "";
    assert.equal(end.event, "chat.done", `${name}: ${JSON.stringify(end)}`);
    assert.ok(end.final_text.startsWith(first), `${name}: ${end.final_text}`);
    if (calls(ours.message).length) assert.ok(end.final_text.endsWith("Hi"), `${name}: ${end.final_text}; ${called}`);
    else assert.equal(end.final_text, first, name);
  }
  ann.close();
});
