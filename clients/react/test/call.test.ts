// A call in a store: holes in `seq`, and events that come while it is asked.
import { expect, test } from "vitest";
import { Call, type CallLink } from "../src/call.js";

const line = (seq: number, text: string, more = {}) => ({ call_id: "c", speaker: "customer", text, timestamp: "2026-01-31T12:00:00.000Z", seq, ...more });
const snapshot = (transcript: unknown[], seq: number) => ({ ok: true, call: { call_id: "c", status: "active", duration: 1 }, transcript, suggestions: [], seq });

/** A server that answers when the test says. */
function make() {
  const asked: Array<{ data: any; answer: (ack: unknown) => void }> = [];
  let missed = 0;
  const link = {
    outbox: {} as never,
    isOnline: () => true,
    ask: (_event: string, data: unknown) => new Promise((answer) => asked.push({ data, answer })),
    onMissed: (count: number) => { missed += count; },
  } as unknown as CallLink;
  const call = new Call("c", link);
  const answer = async (ack: unknown) => {
    asked.shift()?.answer(ack);
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { call, asked, answer, missed: () => missed, texts: () => call.state.get().lines.map(({ text }) => text) };
}

test("a hole in seq brings what was missed, once", async () => {
  const { call, asked, answer, missed, texts } = make();
  void call.sync();
  await answer(snapshot([line(1, "one")], 1));
  call.apply("transcription:update", line(4, "four"));
  expect(texts()).toEqual(["one"]);
  expect(asked[0]?.data).toEqual({ call_id: "c", since_seq: 1 });
  call.apply("transcription:update", line(5, "five"));
  await answer(snapshot([line(2, "two"), line(3, "three"), line(4, "four")], 4));
  expect(texts()).toEqual(["one", "two", "three", "four", "five"]);
  expect(missed()).toBe(3);
  expect(asked).toHaveLength(0);
});

test("an answer in pages is asked for to its end", async () => {
  const { call, asked, answer, texts } = make();
  void call.sync();
  await answer(snapshot([line(1, "one")], 1));
  call.apply("call:status", { call_id: "c", status: "active", duration: 2, seq: 9 });
  await answer({ ...snapshot([line(2, "two")], 2), more: true });
  expect(asked[0]?.data).toEqual({ call_id: "c", since_seq: 2 });
  await answer(snapshot([line(3, "three")], 9));
  expect(texts()).toEqual(["one", "two", "three"]);
});

test("interims grow in their place, corrections replace, and the list is a new one each time", async () => {
  const { call, answer, texts } = make();
  void call.sync();
  await answer(snapshot([], 0));
  call.apply("transcription:update", line(1, "It is", { segment_id: "a", is_final: false }));
  const before = call.state.get().lines;
  call.apply("transcription:update", line(2, "later", { segment_id: "b" }));
  call.apply("transcription:update", line(3, "It is Ann", { segment_id: "a", is_final: true }));
  expect(texts()).toEqual(["It is Ann", "later"]);
  call.apply("transcription:update", line(4, "It is Anne", { segment_id: "a", is_final: true, replaces: 3 }));
  expect(texts()).toEqual(["It is Anne", "later"]);
  expect(call.state.get().lines[0]?.corrected).toBe(true);
  expect(before.map(({ text }) => text)).toEqual(["It is"]);
});

test("alerts and notes are kept, each once", async () => {
  const { call, answer } = make();
  void call.sync();
  await answer({ ...snapshot([], 0), notes: [{ id: "n1", call_id: "c", from: "sue", text: "hello" }] });
  call.apply("call:note", { id: "n1", call_id: "c", from: "sue", text: "hello" });
  call.apply("call:note", { id: "n2", call_id: "c", from: "sue", text: "again" });
  call.apply("call:alert", { call_id: "c", rule: "cancel", level: "warn", text: "wants to cancel", seq: 1 });
  expect(call.state.get().notes.map(({ id }) => id)).toEqual(["n1", "n2"]);
  expect(call.state.get().alerts.map(({ rule }) => rule)).toEqual(["cancel"]);
});
