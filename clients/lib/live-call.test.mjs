import assert from "node:assert/strict";
import test from "node:test";
import { LiveCall, formatDuration } from "./live-call.mjs";

const said = (seq, text, more = {}) => ({ call_id: "c", speaker: "customer", text, seq, ...more });

/** A call that has its snapshot up to a seq. */
function subscribed(seq = 0) {
  const call = new LiveCall("c");
  call.subscribeRequest();
  call.merge({ ok: true, call: { call_id: "c", status: "active", duration: 10 }, transcript: [], suggestions: [], seq }, 0);
  return call;
}

test("asks for everything first and for what is missing afterwards", () => {
  const call = new LiveCall("c");
  assert.deepEqual(call.subscribeRequest(), { call_id: "c" });
  call.merge({ ok: true, call: { status: "active" }, transcript: [said(1, "a"), said(4, "b")], seq: 7 });
  assert.deepEqual(call.subscribeRequest(), { call_id: "c", since_seq: 7 });
});

test("an interim line is replaced by its segment's next one, a final one only by a correction", () => {
  const call = subscribed();
  call.apply("transcription:update", said(1, "I got", { segment_id: "s", is_final: false }));
  assert.equal(call.lines[0].final, false);
  const [change] = call.apply("transcription:update", said(2, "I got it", { segment_id: "s", is_final: true }));
  assert.equal(change.isNew, false);
  assert.deepEqual(call.apply("transcription:update", said(3, "late", { segment_id: "s", is_final: false })), []);
  assert.deepEqual(call.lines.map((line) => [line.text, line.final]), [["I got it", true]]);
  const [corrected] = call.apply("transcription:update", said(4, "I get it", { segment_id: "s", is_final: true, replaces: 2 }));
  assert.equal(corrected.corrected, true);
  assert.deepEqual(call.lines.map((line) => [line.text, line.order]), [["I get it", 1]]);
});

test("an event that it does not know counts, and is passed on", () => {
  const call = subscribed();
  const data = { call_id: "c", rule: "cancel", seq: 1 };
  assert.deepEqual(call.apply("call:alert", data), [{ kind: "other", event: "call:alert", data }]);
  assert.equal(call.seq, 1);
});

test("a server that knows less than it has sent begins anew", () => {
  const call = subscribed();
  call.apply("transcription:update", said(1, "old"));
  call.subscribeRequest();
  assert.deepEqual(call.merge({ ok: true, call: { status: "active" }, transcript: [], seq: 0 }), [{ kind: "restart", from: 1 }]);
  assert.deepEqual(call.subscribeRequest(), { call_id: "c" });
  call.merge({ ok: true, call: { status: "active" }, transcript: [said(1, "new")], seq: 1 });
  assert.deepEqual(call.lines.map((line) => line.text), ["new"]);
});

test("a line without is_final is final", () => {
  const call = subscribed();
  call.apply("transcription:update", said(1, "hello"));
  assert.equal(call.lines[0].final, true);
});

test("a repeated event changes nothing", () => {
  const call = subscribed();
  assert.equal(call.apply("transcription:update", said(1, "a")).length, 1);
  assert.deepEqual(call.apply("transcription:update", said(1, "a")), []);
  assert.equal(call.lines.length, 1);
});

test("a hole in seq is reported and nothing is taken past it", () => {
  const call = subscribed(4);
  assert.deepEqual(call.apply("transcription:update", said(7, "c")), [{ kind: "gap", from: 4, to: 7 }]);
  assert.equal(call.seq, 4);
  assert.equal(call.lines.length, 0);
});

test("events that arrive while the snapshot is on its way are applied after it, once", () => {
  const call = subscribed(4);
  call.subscribeRequest();
  call.apply("transcription:update", said(6, "six"));
  call.apply("transcription:update", said(7, "seven"));
  const changes = call.merge({ ok: true, call: {}, transcript: [said(5, "five"), said(6, "six")], seq: 6 });
  assert.deepEqual(call.lines.map((line) => line.text), ["five", "six", "seven"]);
  assert.equal(changes.filter((change) => change.kind === "line").length, 3);
  assert.equal(call.seq, 7);
});

test("lines keep the order in which they began", () => {
  const call = subscribed();
  call.apply("transcription:update", said(1, "long", { segment_id: "x", is_final: false }));
  call.apply("transcription:update", said(2, "short", { segment_id: "y" }));
  call.apply("transcription:update", said(3, "long one", { segment_id: "x", is_final: true }));
  assert.deepEqual(call.lines.map((line) => line.text), ["long one", "short"]);
});

test("presence has no seq and still counts", () => {
  const call = subscribed(3);
  const [change] = call.apply("agent:presence", { call_id: "c", agents: ["ann", { agent_id: "joe" }] });
  assert.deepEqual(change.agents, ["ann", "joe"]);
  assert.equal(call.seq, 3);
});

test("the number that a call has reached is not an entry: who has one less asks, who has it goes on", () => {
  const call = subscribed(3);
  assert.deepEqual(call.apply("call:status", { call_id: "c", status: "active", duration: 5, seq: 4, reached: true }), [{ kind: "gap", from: 3, to: 5 }]);
  assert.equal(call.seq, 3);
  assert.equal(call.apply("transcription:update", { call_id: "c", speaker: "agent", text: "late", is_final: true, seq: 4 })[0].kind, "line");
  assert.deepEqual(call.apply("call:status", { call_id: "c", status: "active", duration: 5, seq: 4, reached: true }), []);
});

test("the clock runs while the call does and stops with it", () => {
  const call = subscribed();
  assert.equal(call.durationSeconds(5000), 15);
  call.apply("call:status", { call_id: "c", status: "ended", duration: 17, seq: 1 }, 7000);
  assert.equal(call.durationSeconds(60000), 17);
  assert.equal(new LiveCall("x").durationSeconds(), null);
});

test("durations read well", () => {
  assert.equal(formatDuration(75.9), "1:15");
  assert.equal(formatDuration(3675), "1:01:15");
  assert.equal(formatDuration(0), "0:00");
});
