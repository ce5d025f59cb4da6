// A call at a server that answers as the test says.
import assert from "node:assert/strict";
import test from "node:test";
import { Interrupted, Refused } from "../lib/connection.mjs";
import { Call, CallTaken } from "./call.mjs";
import { play } from "./player.mjs";

/** Stands in for the connection: keeps what was sent; `answer` may return an acknowledgement or throw. */
function connectionOf(answer = () => undefined) {
  const sent = [];
  return {
    sent,
    names: () => sent.map(([event, data]) => [event, data.text ?? data.status ?? ""].filter(Boolean).join(" ")),
    request: async (event, data, { signal } = {}) => {
      if (signal?.aborted) throw new Interrupted();
      sent.push([event, data]);
      return { ok: true, resent: false, ...(await answer(event, data, signal)) };
    },
    socket: { connected: true, volatile: { emit: (event, data) => sent.push([event, data]) } },
  };
}

const no = (code, message = "no") => {
  throw new Refused("x", { code, message });
};

function callOf(connection, options = {}) {
  const reports = [];
  const ids = [...(options.ids ?? ["c1"])];
  const call = new Call(connection, { id: () => ids.shift() ?? null, report: (text) => reports.push(text), ...options });
  return { call, reports };
}

const lines = [{ speaker: "agent", text: "How are you" }, { speaker: "system", text: "Account pulled up", row: 7 }, { speaker: "customer", text: "Fine" }];
const fast = (more = {}) => ({ speed: 1e5, interim: false, signal: new AbortController().signal, ...more });
const ORDER = ["call:start", "call:status active", "transcription:update How are you", "transcription:update Account pulled up",
  "transcription:update Fine", "call:end"];

test("start, active, every line once with its segment, end", async () => {
  const connection = connectionOf();
  const { call } = callOf(connection);
  await play(call, lines.slice(0, 2), fast({ interim: true }));
  assert.deepEqual(connection.sent.map(([event, data]) => [event, data.text ?? data.status, data.segment_id, data.is_final]), [
    ["call:start", undefined, undefined, undefined],
    ["call:status", "active", undefined, undefined],
    ["transcription:update", "How", "line-1", false],
    ["transcription:update", "How are", "line-1", false],
    ["transcription:update", "How are you", "line-1", true],
    ["transcription:update", "Account pulled up", "line-2", true],
    ["call:end", undefined, undefined, undefined],
  ]);
  assert.ok(connection.sent.every(([, data]) => data.call_id === "c1"));
  assert.deepEqual([call.taken, call.refused, call.mayBeOpen], [2, [], false]);
});

test("a refused line is reported with its number, its row and the reason; the others are played", async () => {
  for (const code of [400, 403, 413, 503, 0]) {
    const connection = connectionOf((event, data) => data.speaker === "system" && no(code));
    const { call, reports } = callOf(connection);
    await play(call, lines, fast());
    assert.deepEqual(connection.names(), ORDER);
    assert.equal(call.taken, 2);
    assert.deepEqual(call.refused.map(({ number, row }) => [number, row]), [[2, 7]]);
    assert.match(reports[0], code ? new RegExp(`^line 2 \\(row 7\\) was not taken: no \\[${code}\\]$`) : /^line 2 \(row 7\) was not taken: no$/);
  }
});

test("a call that somebody else ended takes no more lines", async () => {
  const connection = connectionOf((event) => event === "transcription:update" && no(409, "the call has ended"));
  const { call } = callOf(connection);
  await play(call, lines, fast());
  assert.deepEqual(connection.names(), [...ORDER.slice(0, 3), "call:end"]);
  assert.match(call.over, /the call has ended \[409\]/);
  assert.equal(call.mayBeOpen, false);
});

test("a call that is gone is not ended either", async () => {
  const connection = connectionOf((event) => event === "transcription:update" && no(404));
  const { call } = callOf(connection);
  await play(call, lines, fast());
  assert.deepEqual(connection.names(), ORDER.slice(0, 3));
});

test("an id that is taken: the next one; without another the call is left alone", async () => {
  for (const taken of [(data) => data.call_id === "c1" && { duplicate: true }, (data) => data.call_id === "c1" && no(409, "ended")]) {
    const connection = connectionOf((event, data) => event === "call:start" && taken(data));
    await play(callOf(connection, { ids: ["c1", "c2"] }).call, lines, fast());
    assert.ok(connection.sent.slice(1).every(([, data]) => data.call_id === "c2"));

    const alone = connectionOf((event, data) => event === "call:start" && taken(data));
    await assert.rejects(play(callOf(alone).call, lines, fast()), CallTaken);
    assert.deepEqual(alone.names(), ["call:start"]);
  }
});

test("a call that is open is continued if asked for, and is ours if only the answer was lost", async () => {
  for (const [options, answer] of [[{ resume: true }, { duplicate: true }], [{}, { duplicate: true, resent: true }]]) {
    const connection = connectionOf(() => answer);
    const { call } = callOf(connection, options);
    await play(call, lines, fast());
    assert.deepEqual([connection.names(), call.taken], [ORDER, 3]);
  }
});

test("a segment that the call has from another sender is not taken silently", async () => {
  const connection = connectionOf((event, data) => ({ duplicate: data.speaker === "system" }));
  const { call } = callOf(connection);
  await play(call, lines, fast());
  assert.match(call.refused[0].reason, /another line of this segment/);
  const own = callOf(connectionOf((event) => ({ duplicate: event === "transcription:update" }))).call;
  await play(own, stream([{ speaker: "agent", text: "x", fields: { segment_id: "s1" } }]), fast());
  assert.deepEqual(own.refused, []);
});

test("what start is refused for is said, and nothing is ended that was not begun", async () => {
  const connection = connectionOf(() => no(403));
  await assert.rejects(play(callOf(connection).call, lines, fast()), { status: 403 });
  assert.deepEqual(connection.names(), ["call:start"]);
});

test("interrupted while the call is opened: it is ended if it is ours, and left alone if not", async () => {
  for (const duplicate of [false, true]) {
    const interrupt = new AbortController();
    const connection = connectionOf((event, data, signal) => {
      interrupt.abort();
      assert.equal(signal.aborted, false);
      return { duplicate };
    });
    const { call } = callOf(connection, { signal: interrupt.signal });
    await assert.rejects(play(call, lines, fast({ signal: interrupt.signal })), duplicate ? CallTaken : Interrupted);
    assert.deepEqual(connection.names(), duplicate ? ["call:start"] : ["call:start", "call:end"]);
  }
});

test("interrupted between lines: the call is ended", async () => {
  const interrupt = new AbortController();
  const connection = connectionOf();
  const { call } = callOf(connection, { signal: interrupt.signal });
  await assert.rejects(play(call, lines, fast({ signal: interrupt.signal, onLine: () => interrupt.abort() })), Interrupted);
  assert.deepEqual(connection.names(), [...ORDER.slice(0, 3), "call:end"]);
});

test("interrupted within a line: the words that were said become final, then the call is ended", async () => {
  const interrupt = new AbortController();
  const connection = connectionOf();
  const emit = connection.socket.volatile.emit;
  connection.socket.volatile.emit = (event, data) => {
    emit(event, data);
    if (data.text === "How are") interrupt.abort();
  };
  const { call } = callOf(connection, { signal: interrupt.signal });
  await assert.rejects(play(call, lines, fast({ interim: true, signal: interrupt.signal })), Interrupted);
  const [said, end] = connection.sent.slice(-2);
  assert.deepEqual([said[1].text, said[1].is_final, said[1].segment_id, end[0]], ["How are", true, "line-1", "call:end"]);
});

test("interrupted while the answer to a line is awaited: the whole line is sent again, then the call is ended", async () => {
  const interrupt = new AbortController();
  let asked = 0;
  const connection = connectionOf((event) => {
    if (event !== "transcription:update") return undefined;
    asked += 1;
    if (asked > 1) return { duplicate: true };
    interrupt.abort();
    throw new Interrupted();
  });
  const { call } = callOf(connection, { signal: interrupt.signal });
  await assert.rejects(play(call, lines, fast({ signal: interrupt.signal })), Interrupted);
  assert.deepEqual(connection.names(), [...ORDER.slice(0, 3), ORDER[2], "call:end"]);
  assert.deepEqual([call.taken, call.refused], [1, []]);
});

test("any failure ends the call; a call that cannot be ended is named", async () => {
  const connection = connectionOf((event, data) => {
    if (data.speaker === "system") throw new TypeError("oops");
  });
  await assert.rejects(play(callOf(connection).call, lines, fast()), TypeError);
  assert.equal(connection.names().at(-1), "call:end");

  const { call, reports } = callOf(connectionOf((event) => event === "call:end" && no(503, "the store is locked")));
  await play(call, lines, fast());
  assert.equal(call.mayBeOpen, true);
  assert.match(reports[0], /the call may still be open: x: the store is locked \[503\]/);
});

async function* stream(items) {
  yield* items;
}

test("a stream: lines as they come, interim ones too, the last words become final at the end of the input", async () => {
  const connection = connectionOf();
  const { call } = callOf(connection);
  await play(call, stream([
    { speaker: "customer", text: "I lo", isFinal: false },
    { speaker: "customer", text: "I lost it" },
    { speaker: "agent", text: "Whi", isFinal: false, fields: { segment_id: "a1" } },
    { speaker: "customer", text: "my", isFinal: false, fields: { segment_id: "b1" } },
    { speaker: "agent", text: "Which", isFinal: false, fields: { segment_id: "a1" } },
  ]), fast());
  assert.deepEqual(connection.sent.slice(2).map(([event, data]) => [event, data.text, data.segment_id, data.is_final].filter((x) => x !== undefined)), [
    ["transcription:update", "I lo", "line-1", false],
    ["transcription:update", "I lost it", "line-1", true],
    ["transcription:update", "Whi", "a1", false],
    ["transcription:update", "my", "b1", false],
    ["transcription:update", "Which", "a1", false],
    ["transcription:update", "Which", "a1", true],
    ["transcription:update", "my", "b1", true],
    ["call:end"],
  ]);
});

test("a stream: two speak at once, each has a line of their own", async () => {
  const connection = connectionOf();
  await play(callOf(connection).call, stream([
    { speaker: "customer", text: "I lo", isFinal: false },
    { speaker: "agent", text: "Hel", isFinal: false },
    { speaker: "agent", text: "Hello" },
    { speaker: "customer", text: "I lost it" },
    { speaker: "customer", text: "Yes" },
  ]), fast());
  assert.deepEqual(connection.sent.slice(2, -1).map(([, data]) => [data.text, data.segment_id]),
    [["I lo", "line-1"], ["Hel", "line-2"], ["Hello", "line-2"], ["I lost it", "line-1"], ["Yes", "line-3"]]);
});
