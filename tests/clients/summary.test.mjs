// What remains of a call: its summary and its export.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { parseSubtitles } from "../../clients/feed/subtitles.mjs";
import { Desk } from "./lib/desk.mjs";

let desk;
before(async () => { desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"], cat: ["--calls", "none"] }); });
afterEach(() => desk.leave());
after(() => desk?.close());

const texts = ({ sections }) => Object.fromEntries(sections.map(({ title, text }) => [title, text]));
const get = (who, id, format) => desk.request(who, "GET", `/api/v1/calls/${id}/export${format ? `?format=${format}` : ""}`);

test("a call that ends is summed up, in its log and its snapshot", async () => {
  const feed = await desk.call("s1");
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "s1" });
  await feed.say("I got the wrong size and want to return my jacket.");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  await feed.say("I've sent the return label. I will call you back tomorrow.", { speaker: "agent" });
  await feed.ask("call:end", { call_id: "s1" });
  await until(() => ann.seen("call:summary").length, "the summary");
  const [summary] = ann.seen("call:summary");
  assert.equal(summary.by, "local");
  const { Need, Done, Open } = texts(summary);
  assert.equal(Need, "I got the wrong size and want to return my jacket.", "no topic is certain");
  assert.deepEqual([Done, Open], ["I've sent the return label.", "I will call you back tomorrow."]);
  assert.ok(summary.seq > ann.seen("call:status").at(-1).seq);
  assert.deepEqual((await ann.ask("call:subscribe", { call_id: "s1" })).summary, summary);
});

test("the need names the topic that is certain", async () => {
  const feed = await desk.call("s8");
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "s8" });
  await feed.say("The promo code is invalid.");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  await feed.ask("call:end", { call_id: "s8" });
  await until(() => ann.seen("call:summary").length, "the summary");
  assert.equal(texts(ann.seen("call:summary")[0]).Need, "Promo Code Invalid\nThe promo code is invalid.");
});

test("a summary is made on request, for whoever may see the call", async () => {
  const feed = await desk.call("s2");
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "s2" });
  const ask = (who, id = "s2") => desk.request(who, "POST", `/api/v1/calls/${id}/summary`);
  assert.equal((await ask("ann")).status, 404, "nothing was said yet");
  await feed.say("My parcel has never arrived here.");
  const { status, body } = await ask("ann");
  assert.equal(status, 200, JSON.stringify(body));
  assert.match(texts(body.summary).Need, /never arrived/);
  await until(() => ann.seen("call:summary").length, "the event");
  assert.deepEqual(ann.seen("call:summary"), [body.summary]);
  for (const [who, code] of [[null, 401], ["feed", 403], ["cat", 403]]) assert.equal((await ask(who)).status, code);
  assert.equal((await ask("ann", "no-such-call")).status, 404);
});

test("a call is exported as WebVTT, SubRip, JSON and text", async () => {
  const feed = await desk.call("s3", { metadata: { queue: "x" } });
  await feed.say("Tom & <Jerry>\nare --> here", { start_ms: 1500, end_ms: 61250 });
  await feed.say("interim", { segment_id: "i", is_final: false });
  await feed.say("hello", { speaker: "agent", start_ms: 3661000, mark: { kept: true } });
  await feed.say("bye", { speaker: "agent", start_ms: 3662500 });
  const vtt = await get("ann", "s3", "vtt");
  assert.match(vtt.headers.get("content-type"), /^text\/vtt/);
  assert.equal(vtt.body, `WEBVTT

1
00:00:01.500 --> 00:01:01.250
<v customer>Tom &amp; &lt;Jerry&gt; are --&gt; here

2
01:01:01.000 --> 01:01:02.500
<v agent>hello

3
01:01:02.500 --> 01:01:04.500
<v agent>bye

`);
  assert.equal((await get("ann", "s3", "srt")).body.split("\n\n")[0], "1\n00:00:01,500 --> 00:01:01,250\ncustomer: Tom & <Jerry> are --> here");
  assert.equal((await get("ann", "s3", "text")).body, "[00:00:01.500] customer: Tom & <Jerry> are --> here\n[01:01:01.000] agent: hello\n[01:01:02.500] agent: bye\n");
  const { body } = await get("ann", "s3");
  assert.deepEqual([body.call.call_id, body.call.metadata, body.wrapups], ["s3", { queue: "x" }, []]);
  assert.deepEqual(body.transcript.map(({ text, mark }) => [text, mark]), [["Tom & <Jerry>\nare --> here", undefined], ["hello", { kept: true }], ["bye", undefined]]);
});

test("a long call is exported whole, though it is read in pieces", async () => {
  await desk.call("s7");
  const lines = Array.from({ length: 900 }, (_, i) => ({ speaker: "agent", text: `line ${i} ${"word ".repeat(i % 7 * 50)}`, start_ms: i * 1000 }));
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/s7/transcription", lines)).body.stored, lines.length);
  const { body } = await get("ann", "s7");
  assert.deepEqual(body.transcript.map(({ text, start_ms }) => ({ speaker: "agent", text, start_ms })), lines);
  const cues = (await get("ann", "s7", "vtt")).body.trim().split("\n\n").slice(1);
  const clock = (s) => `00:${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}.000`;
  assert.deepEqual(cues.map((cue) => cue.trimEnd()), lines.map(({ text }, i) => `${i + 1}\n${clock(i)} --> ${clock(i + (i < 899 ? 1 : 2))}\n<v agent>${text}`.trimEnd()));
});

test("lines without times stand where their timestamps are", async () => {
  const feed = await desk.call("s4");
  const { call: { started_at } } = (await desk.request("ann", "GET", "/api/v1/calls/s4")).body;
  const at = (seconds) => new Date(Date.parse(started_at) + seconds * 1000).toISOString();
  await feed.say("one", { timestamp: at(2) });
  await feed.say("two", { timestamp: at(5.5).replace("Z", "+00:00") });
  assert.match((await get("ann", "s4", "vtt")).body, /00:00:02\.000 --> 00:00:05\.500\n<v customer>one\n\n2\n00:00:05\.500 --> 00:00:07\.500/);
});

test("lines of a clock that is centuries off have times that the feed's reader takes", async () => {
  const feed = await desk.call("clocks");
  await feed.say("one", { start_ms: 1000, end_ms: 2000 });
  await feed.say("two", { timestamp: "9999-12-31T23:59:59.999Z" });
  await feed.say("three", { start_ms: 4000, end_ms: 999999999999999 });
  await feed.say("four", { start_ms: 999999999999998, end_ms: 999999999999999 });
  for (const format of ["vtt", "srt"]) {
    const { lines, problems } = parseSubtitles((await get("ann", "clocks", format)).body, format, { join: false, speakerPrefix: true });
    assert.deepEqual(problems, []);
    assert.deepEqual(lines.map(({ text }) => text), ["one", "three", "two", "four"]);
    for (const { startMs, endMs } of lines) assert.ok(endMs > startMs, `${startMs} to ${endMs}`);
  }
  assert.match((await get("ann", "clocks", "text")).body, /^\[999999:59:57\.999\] customer: two$/m);
});

test("an export is refused to others, for other formats, and above its limit", async () => {
  await desk.call("s5");
  for (const [who, code] of [[null, 401], ["feed", 403], ["cat", 403]]) assert.equal((await get(who, "s5", "vtt")).status, code);
  assert.equal((await get("ann", "s5", "doc")).body.error.field, "/format");
  assert.equal((await get("ann", "no-such-call", "vtt")).status, 404);
  const other = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"] }, "--export-bytes-max", "1024");
  try {
    const feed = await other.call("s6");
    for (let i = 0; i < 4; i++) await feed.say("x".repeat(500));
    assert.equal((await other.request("ann", "GET", "/api/v1/calls/s6/export?format=text")).status, 413);
    other.leave();
  } finally { await other.close(); }
});
