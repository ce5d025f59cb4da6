import assert from "node:assert/strict";
import test from "node:test";
import { parseConversations, renameSpeakers } from "./conversation.mjs";

const sample = (turns, more = {}) => JSON.stringify([{ convo_id: 7, original: turns, ...more }]);

test("ABCD: turns become lines, actions are the system's", () => {
  const text = sample([["agent", "Hi!"], ["customer", " hello "], ["action", "Account found."], ["customer", "  "]],
    { scenario: { subflow: "return_size", personal: { customer_name: "crystal minh" } } });
  const [conversation] = parseConversations(text);
  assert.equal(conversation.id, "7");
  assert.equal(conversation.title, "return size");
  assert.equal(conversation.customer, "crystal minh");
  assert.deepEqual(conversation.lines, [
    { speaker: "agent", text: "Hi!" },
    { speaker: "customer", text: "hello" },
    { speaker: "system", text: "Account found." },
  ]);
});

test("ABCD: what is wrong is said, with its place", () => {
  assert.throws(() => parseConversations("{oops"), /neither WebVTT nor JSON/);
  assert.throws(() => parseConversations("[{}]"), /conversation 1 has no list "original"/);
  assert.throws(() => parseConversations(sample([["agent", "x"], ["agent", 3]])), /conversation 1, turn 2/);
  assert.throws(() => parseConversations(sample([])), /no line to play/);
});

const VTT = `\ufeffWEBVTT - a call\r
\r
NOTE nobody says this\r
\r
STYLE\r
::cue { color: red }\r
\r
intro\r
00:01.000 --> 00:02.500 align:start\r
<v.loud Ann>Good <i>morning</i> &amp; welcome</v>\r
\r
01:00:03.000 --> 01:00:07.000\r
<v Bob>Hello,\r
I am Bob.</v>\r
<v Ann>Hi Bob!\r
\r
00:04.000 --> 00:05.000\r
no voice &#8211; at all\r
`;

test("WebVTT: voices, timing, entities, several voices in a cue, the rest skipped", () => {
  const [{ id, lines }] = parseConversations(VTT, "calls/morning.vtt");
  assert.equal(id, "morning");
  assert.deepEqual(lines.map((line) => [line.speaker, line.text, line.startMs]), [
    ["Ann", "Good morning & welcome", 1000],
    ["customer", "no voice – at all", 4000],
    ["Bob", "Hello, I am Bob.", 3603000],
    ["Ann", "Hi Bob!", 3605783],
  ]);
  assert.equal(lines[3].endMs, 3607000);
});

test("WebVTT: a timing that is none is refused", () => {
  assert.throws(() => parseConversations("WEBVTT\n\n1:2 --> 3:4\nx\n"), /not a WebVTT timing/);
});

test("speakers are renamed without regard to case, roles are lower case", () => {
  const { lines } = renameSpeakers({ lines: ["Ann", "AGENT", "Zoe"].map((speaker) => ({ speaker, text: "x" })) }, { ann: "customer" });
  assert.deepEqual(lines.map((line) => line.speaker), ["customer", "agent", "Zoe"]);
});
