import assert from "node:assert/strict";
import test from "node:test";
import { parseConversations, renameSpeakers } from "./conversation.mjs";

const sample = (turns, more = {}) => JSON.stringify([{ convo_id: 7, original: turns, ...more }]);

test("ABCD: turns become lines, actions are the system's", () => {
  const text = sample([["agent", "Hi!"], ["customer", " hello "], ["action", "Account found."], ["customer", "  "]],
    { scenario: { subflow: "return_size", personal: { customer_name: "crystal minh" } } });
  const { conversations: [conversation] } = parseConversations(text);
  assert.equal(conversation.id, "7");
  assert.equal(conversation.title, "return size");
  assert.equal(conversation.customer, "crystal minh");
  assert.deepEqual(conversation.lines, [
    { speaker: "agent", text: "Hi!" },
    { speaker: "customer", text: "hello" },
    { speaker: "system", text: "Account found." },
  ]);
});

test("JSON: a bad turn costs that turn, a bad conversation that conversation", () => {
  const { conversations, problems } = parseConversations(JSON.stringify(
    [{ original: [["agent", "x"], ["agent", 3], null, ["agent", "y"]] }, {}, null, 5, { original: [["customer", "z"]] }]));
  assert.deepEqual(conversations.map(({ lines }) => lines.map(({ text }) => text)), [["x", "y"], ["z"]]);
  assert.deepEqual(problems.map(({ where }) => where),
    ["conversation 1, line 2", "conversation 1, line 3", "conversation 2", "conversation 3", "conversation 4"]);
});

test("what cannot be read is refused, with its place", () => {
  assert.throws(() => parseConversations("{oops"), /not JSON/);
  assert.throws(() => parseConversations("oops"), /none of JSON, WebVTT, SubRip and SBV/);
  assert.throws(() => parseConversations("[{}]"), /no line to play: conversation 1 has no list "original"/);
  assert.throws(() => parseConversations(sample([])), /no line to play/);
  assert.throws(() => parseConversations("WEBVTT\n\n1:2 --> 3:4\nx\n"), /no line to play: row 3 not the timing of a cue/);
});

test("JSON: a snapshot of Parley's, and one line per row", () => {
  const lines = [{ speaker: "agent", text: "Hi", start_ms: 5, end_ms: 9 }, { speaker: "agent", text: "H", is_final: false }, { text: "hm" }];
  const wanted = [{ speaker: "agent", text: "Hi", startMs: 5, endMs: 9 }, { speaker: "customer", text: "hm" }];
  const { conversations: [call] } = parseConversations(JSON.stringify({ call: { call_id: "c1" }, transcript: lines }));
  assert.deepEqual([call.id, call.lines], ["c1", wanted]);
  const { conversations: [rows], problems } = parseConversations(`${lines.map((line) => JSON.stringify(line)).join("\n")}\n{oops\n`, "a/b.ndjson");
  assert.deepEqual([rows.id, rows.lines.map(({ row, ...line }) => line)], ["b", wanted]);
  assert.deepEqual(problems.map(({ where }) => where), ["row 4"]);
});

test("JSON: the lines of one call as a list, and a single one", () => {
  const { conversations: [call], problems } = parseConversations('[{"speaker": "agent", "text": "Hi"}, {"text": 5}, {"text": "hm"}]', "a/b.json");
  assert.deepEqual([call.id, call.lines], ["b", [{ speaker: "agent", text: "Hi" }, { speaker: "customer", text: "hm" }]]);
  assert.deepEqual(problems, [{ where: "line 2", reason: 'is not {"speaker", "text"}' }]);
  for (const one of ['{"speaker": "agent", "text": "Hi"}\n', '{\n  "speaker": "agent",\n  "text": "Hi"\n}']) {
    assert.deepEqual(parseConversations(one, "c.ndjson").conversations.map(({ id, lines }) => [id, lines]), [["c", [{ speaker: "agent", text: "Hi" }]]]);
  }
});

test("the content decides, not the name", () => {
  const texts = ["WEBVTT\n\n00:01.000 --> 00:02.000\n<v agent>x", "1\n00:00:01,000 --> 00:00:02,000\n<v agent>x", '[{"original":[["agent","x"]]}]',
    "0:00:01.000,0:00:02.000\n<v agent>x", "[Music]\n\n00:00:01,000 --> 00:00:02,000\n<v agent>x"];
  for (const text of texts) {
    for (const name of ["x.vtt", "x.srt", "x.json", "x", undefined]) {
      const { conversations: [{ lines }] } = parseConversations(text, name);
      assert.deepEqual(lines.map((line) => [line.speaker, line.text]), [["agent", "x"]]);
    }
  }
  assert.equal(parseConversations(texts[0], "calls/morning.call.vtt").conversations[0].id, "morning.call");
});

test("speakers are renamed without regard to case, roles are lower case", () => {
  const { lines } = renameSpeakers({ lines: ["Ann", "AGENT", "Zoe"].map((speaker) => ({ speaker, text: "x" })) }, { ann: "customer" });
  assert.deepEqual(lines.map((line) => line.speaker), ["customer", "agent", "Zoe"]);
});
