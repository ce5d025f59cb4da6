// POST /api/v1/calls/{id}/transcription as a stream: lines are stored and sent while the body is still coming.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk, assertError } from "./lib/desk.mjs";
import { hasRead } from "./lib/wire.mjs";

let desk, ann;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"] }, "--event-max-bytes", "20000", "--text-max-bytes", "16000");
  ann = await desk.connect("ann", "/", { transports: ["websocket"] });
});
after(async () => {
  for (const socket of desk?.open ?? []) socket.disconnect();
  await desk?.close();
});

function open(call, { who = "feed", headers = {} } = {}) {
  const url = new URL(`/api/v1/calls/${call}/transcription`, desk.parley.url);
  const request = httpRequest(url, { method: "POST", headers: { "content-type": "application/x-ndjson", authorization: `Bearer ${desk.tokens[who]}`, ...headers } });
  request.answer = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) });
    });
  });
  request.answer.catch(() => {});
  return request;
}
const line = (text, more = {}) => `${JSON.stringify({ speaker: "agent", text, ...more })}\n`;
const heard = (call) => ann.seen("transcription:update").filter(({ call_id }) => call_id === call).map(({ text }) => text);
const watch = async (call) => {
  await desk.call(call);
  assert.equal((await ann.ask("call:subscribe", { call_id: call })).ok, true);
};

test("each line reaches who watches before the next is sent; the answer comes with the end", async () => {
  await watch("s1");
  const stream = open("s1");
  for (let i = 0; i < 5; i++) {
    stream.write(line(`line ${i}`));
    await until(() => heard("s1").length === i + 1, `line ${i}`);
  }
  const half = line("in two halves");
  stream.write(half.slice(0, 9));
  await hasRead(desk.parley);
  await ann.ask("call:list", {}); // what was sent before has come
  assert.equal(heard("s1").length, 5);
  stream.write(half.slice(9));
  await until(() => heard("s1").length === 6, "the line in halves");
  stream.end(`\n\r\n${line("without its line break").trimEnd()}`);
  const { status, body } = await stream.answer;
  assert.deepEqual([status, body], [200, { ok: true, call_id: "s1", stored: 7, duplicates: 0, seq: 7 }]);
  await until(() => heard("s1").length === 7, "the last");
  assert.deepEqual(heard("s1").slice(5), ["in two halves", "without its line break"]);
});

test("lines that fail are named by their number in the stream; repeats are counted; the others are stored", async () => {
  await watch("s2");
  const stream = open("s2");
  stream.write(line("one", { segment_id: "a" }));
  await until(() => heard("s2").length === 1, "the first");
  stream.write(`{"speaker":"agent"}\n${line("one", { segment_id: "a" })}`);
  stream.write("{oops\n");
  stream.write(line("two"));
  await until(() => heard("s2").length === 2, "the last");
  stream.end(line("x".repeat(17000)));
  const { status, body } = await stream.answer;
  assert.equal(status, 200);
  assert.deepEqual([body.ok, body.stored, body.duplicates, body.failed, body.errors.map(({ index, code }) => [index, code])], [false, 2, 1, 3, [[1, 400], [3, 400], [5, 413]]]);
  assert.equal(body.error.field.startsWith("/1"), true);
});

test("ten thousand lines at once are all stored, in order, in bounded memory", async () => {
  await watch("s3");
  const stream = open("s3");
  for (let i = 0; i < 10000; i++) stream.write(line(`line ${i} ${"·".repeat(50)}`));
  stream.end();
  const { body } = await stream.answer;
  assert.deepEqual(body, { ok: true, call_id: "s3", stored: 10000, duplicates: 0, seq: 10000 });
  await until(() => heard("s3").length === 10000, "all of them");
  assert.ok(heard("s3").every((text, i) => text.startsWith(`line ${i} `)));
});

test("who goes in the middle of a line loses that line alone", async () => {
  await watch("s4");
  const stream = open("s4");
  stream.write(`${line("whole")}${line("also whole")}{"speaker":"agent","text":"hal`);
  await until(() => heard("s4").length === 2, "both");
  stream.destroy();
  const again = open("s4");
  again.end(line("after"));
  assert.equal((await again.answer).body.seq, 3);
});

test("a stream that may not be, that is empty or whose line never ends is answered before its end", async () => {
  await watch("s5");
  const refused = open("s5", { who: "ann" });
  refused.write(line("x"));
  assertError((await refused.answer).body, 403);
  const unknown = open("s5", { headers: { authorization: "Bearer x" } });
  unknown.write(line("x"));
  assert.equal((await unknown.answer).status, 401);
  const empty = open("s5");
  empty.end("\n \n");
  assert.equal((await empty.answer).status, 400);
  const missing = open("nowhere");
  missing.end(line("x"));
  assert.equal((await missing.answer).status, 404);
  const endless = open("s5");
  endless.write(line("first"));
  endless.write("y".repeat(25000));
  const { status, headers, body } = await endless.answer;
  assert.deepEqual([status, headers.connection, body.stored, body.errors.map(({ index, code }) => [index, code])], [413, "close", 1, [[1, 413]]]);
});

test("a server that ends says so to its streams; what was acknowledged is there afterwards", async () => {
  await watch("s6");
  const stream = open("s6");
  stream.write(line("one"));
  await until(() => heard("s6").length === 1, "the first");
  await desk.parley.restart();
  const other = await desk.connect("ann", "/", { transports: ["websocket"] });
  assert.deepEqual((await other.ask("call:subscribe", { call_id: "s6" })).transcript.map(({ text }) => text), ["one"]);
  await assert.rejects(stream.answer);
});
