import assert from "node:assert/strict";
import test from "node:test";
import { interimTexts, play, safeId, schedule } from "./player.mjs";

test("lines without time follow one another at the pace of speech", () => {
  const [a, b] = schedule([{ speaker: "agent", text: "x".repeat(20) }, { speaker: "customer", text: "no" }]);
  assert.deepEqual([a.startMs, a.endMs], [700, 2000]);
  assert.deepEqual([b.startMs, b.endMs], [2700, 3200]);
});

test("lines with a time keep it", () => {
  const [line] = schedule([{ speaker: "agent", text: "x", startMs: 5000, endMs: 6000 }]);
  assert.deepEqual([line.startMs, line.endMs], [5000, 6000]);
});

test("interim texts grow word by word up to, not including, the whole", () => {
  assert.deepEqual(interimTexts("I got it"), ["I", "I got"]);
  assert.deepEqual(interimTexts("Hello"), []);
});

test("ids are made of what the server takes", () => {
  assert.equal(safeId("call/7 ü!"), "call-7");
  assert.equal(safeId("ü"), "call");
});

/** Stands in for the connection: keeps what was sent. */
function recorder() {
  const sent = [];
  return {
    sent,
    request: async (event, data) => {
      sent.push([event, data]);
      return { ok: true };
    },
    socket: { volatile: { emit: (event, data) => sent.push([event, data]) } },
  };
}

const conversation = {
  id: "7", title: "t",
  lines: [{ speaker: "agent", text: "How are you" }, { speaker: "system", text: "Account pulled up" }],
};

test("a call: start, active, every line once with its segment, end", async () => {
  const connection = recorder();
  const { signal } = new AbortController();
  const result = await play(connection, { callId: "c1", conversation, speed: 1000, interim: true, signal });
  assert.deepEqual(result, { lines: 2, completed: true });
  assert.deepEqual(connection.sent.map(([event, data]) => [event, data.text ?? data.status, data.segment_id, data.is_final]), [
    ["call:start", undefined, undefined, undefined],
    ["call:status", "active", undefined, undefined],
    ["transcription:update", "How", "c1:1", false],
    ["transcription:update", "How are", "c1:1", false],
    ["transcription:update", "How are you", "c1:1", true],
    ["transcription:update", "Account pulled up", "c1:2", true],
    ["call:end", undefined, undefined, undefined],
  ]);
});

test("an interrupted call is ended, not left running", async () => {
  const connection = recorder();
  const interrupt = new AbortController();
  const onLine = () => interrupt.abort();
  const result = await play(connection, { callId: "c1", conversation, speed: 1000, interim: false, signal: interrupt.signal, onLine });
  assert.deepEqual(result, { lines: 1, completed: false });
  assert.equal(connection.sent.at(-1)[0], "call:end");
});
