// WebVTT, SubRip and SBV as other programs write them. Each oddity has a small input; the meeting tools have a file.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { parseConversations } from "./conversation.mjs";
import { parseCues, subtitleFormat } from "./cues.mjs";
import { splitName } from "./markup.mjs";
import { parseSubtitles } from "./subtitles.mjs";
import { decodeText } from "./text.mjs";

const HEAD = "WEBVTT\n\n";
const spoken = (lines) => lines.map((line) => `${line.speaker}: ${line.text}`);

/** ["speaker: text", …] and the rows that were left out. */
function read(text, options) {
  const format = subtitleFormat(text);
  assert.ok(format, "recognised");
  const { lines, problems } = parseSubtitles(text, format, options);
  return { said: spoken(lines), times: lines.map((line) => [line.startMs, line.endMs]), odd: problems.map(({ row }) => row) };
}

const TWO_CUES = {
  "as the standard has it": `${HEAD}00:01.000 --> 00:02.000\n<v A>One\n\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "hours of one digit": `${HEAD}0:00:01.000 --> 0:00:02.000\n<v A>One\n\n0:00:03.000 --> 0:00:04.000\n<v B>Two\n`,
  "no blank row between the cues": `${HEAD}00:01.000 --> 00:02.000\n<v A>One\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "no blank row, but numbers": `WEBVTT\n1\n00:01.000 --> 00:02.000\n<v A>One\n2\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "no blank row, but UUIDs": `${HEAD}1f0a2b3c-4d5e-4f60-8123-456789abcdef/8-0\n00:01.000 --> 00:02.000\n<v A>One\n1f0a2b3c-4d5e-4f60-8123-456789abcdef/9-0\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "an arrow without blanks": `${HEAD}00:01.000-->00:02.000\n<v A>One\n\n00:03.000-->00:04.000\n<v B>Two\n`,
  "an arrow that a word processor made": `${HEAD}00:01.000 –> 00:02.000\n<v A>One\n\n00:03.000 → 00:04.000\n<v B>Two\n`,
  "tabs around the arrow": `${HEAD}00:01.000\t-->\t00:02.000\n<v A>One\n\n00:03.000\t-->\t00:04.000\n<v B>Two\n`,
  "a comma before the milliseconds": `${HEAD}00:00:01,000 --> 00:00:02,000\n<v A>One\n\n00:00:03,000 --> 00:00:04,000\n<v B>Two\n`,
  "no milliseconds": `${HEAD}00:01 --> 00:02\n<v A>One\n\n00:00:03 --> 00:00:04\n<v B>Two\n`,
  "fewer and more digits than milliseconds": `${HEAD}00:01.0 --> 00:02.00\n<v A>One\n\n00:03.0000000 --> 00:04.000000\n<v B>Two\n`,
  "ids, settings": `${HEAD}one and only\n00:01.000 --> 00:02.000 align:start position:10%,line-left\n<v A>One\n\n2\n00:03.000 --> 00:04.000 line:0\n<v B>Two\n`,
  "notes, styles, regions": `WEBVTT - title\nKind: captions\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\nNOTE a --> b\nno cue\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:fred\n\n00:01.000 --> 00:02.000\n<v A>One\n\nNOTE\nthis neither\n\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "voices with classes, closing tags, other tags": `${HEAD}00:01.000 --> 00:02.000\n<v.first.loud A><b>O</b><i.x>n</i><00:01.500><c.yellow>e</c></v>\n\n00:03.000 --> 00:04.000\n<V B><lang en>Two</lang></V>\n`,
  "blank rows around the text": `${HEAD}\n00:01.000 --> 00:02.000\n\n<v A>One\n\n\n\n00:03.000 --> 00:04.000\n \n<v B>Two\n \n\n`,
  "an id after a row of blanks": `${HEAD}00:01.000 --> 00:02.000\n<v A>One\n \ncue-2\n00:03.000 --> 00:04.000\n<v B>Two\n`,
  "no header": `00:01.000 --> 00:02.000\n<v A>One\n\n00:03.000 --> 00:04.000\n<v B>Two`,
  "no order": `${HEAD}00:03.000 --> 00:04.000\n<v B>Two\n\n00:01.000 --> 00:02.000\n<v A>One\n`,
  "SubRip": `1\n00:00:01,000 --> 00:00:02,000\n<v A>One\n\n2\n00:00:03,000 --> 00:00:04,000 X1:40 X2:600 Y1:20 Y2:50\n{\\an8}<font color="#fff"><v B>Two</font>\n`,
};
for (const [what, text] of Object.entries(TWO_CUES)) {
  test(`subtitles: ${what}`, () => {
    const wanted = { said: ["A: One", "B: Two"], times: [[1000, 2000], [3000, 4000]], odd: [] };
    for (const rowEnd of ["\n", "\r\n", "\r"]) {
      const rows = text.replaceAll("\n", rowEnd);
      assert.deepEqual(read(rows), wanted, JSON.stringify(rowEnd));
      assert.deepEqual(read(`\ufeff${rows}`), wanted, "with a byte order mark");
    }
  });
}

test("an odd cue costs that cue and is named by its row", () => {
  const good = "00:01.000 --> 00:02.000\n<v A>One\n";
  for (const odd of ["0:03.000 --> 0:04.000", "00:3.000 --> 00:4.000", "75:03.000 --> 75:04.000", "0:60:03.000 --> 0:60:04.000", "00:99.000 --> 00:99.500", "00:03.000 -->", "--> 00:03.000", "xx --> yy",
    "00:00:01:12 --> 00:00:02:00", "99999999999999999999:00:00.000 --> 00:00:01.000"]) {
    const text = `${HEAD}${good}\nid\n${odd}\n<v B>Lost\n\n00:05.000 --> 00:06.000\n<v A>Bye\n`;
    assert.deepEqual(read(text), { said: ["A: One", "A: Bye"], times: [[1000, 2000], [5000, 6000]], odd: [7] }, odd);
  }
  assert.deepEqual(read(`${HEAD}${good}7:7 --> 8:8\n<v B>Lost\n00:05.000 --> 00:06.000\n<v A>Bye\n`).said, ["A: One", "A: Bye"]);
});

test("an arrow in what is said is text", () => {
  assert.deepEqual(read(`${HEAD}00:01.000 --> 00:02.000\n<v A>Settings --> Account\n`).said, ["A: Settings --> Account"]);
  const srt = "1\n00:00:01,000 --> 00:00:02,000\nMenu\n\nSettings --> Account\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n";
  assert.deepEqual(read(srt).said, ["customer: Menu Settings --> Account", "customer: Bye"]);
});

test("cues without order are put in order before captions are joined and speakers carried on", () => {
  const cue = (from, text) => `00:0${from}.000 --> 00:0${from + 1}.000\n${text}\n\n`;
  assert.deepEqual(read(`${HEAD}${cue(3, "two\nthree")}${cue(2, "one\ntwo")}${cue(1, "Ann: one")}`, { speakerPrefix: true }).said,
    ["Ann: one", "Ann: two", "Ann: three"]);
});

test("SubRip without zeros in front, and minutes beyond an hour", () => {
  const srt = "1\n0:0:1,0 --> 0:0:2,5\nOne\n\n2\n0:7:3,000 --> 0:07:4,000\nTwo\n\n3\n75:10,000 --> 120:1,000\nThree\n";
  assert.deepEqual(read(srt), { said: ["customer: One", "customer: Two", "customer: Three"],
    times: [[1000, 2500], [423000, 424000], [4510000, 7201000]], odd: [] });
});

test("hours beyond 99, an end before the beginning", () => {
  assert.deepEqual(read(`${HEAD}100:00:01.000 --> 1234:00:00.000\nx\n\n2000:00:01.000 --> 00:00.000\ny\n`).times,
    [[360001000, 4442400000], [7200001000, 7200001000]]);
});

test("several voices share a cue; what follows </v> has none", () => {
  assert.deepEqual(read(`${HEAD}00:00.000 --> 00:04.000\nWell <v A>one</v>, <v B>two</v>. three\n- <v A>four\n`).said,
    ["customer: Well", "A: one,", "B: two", "customer: . three", "A: four"]);
  assert.deepEqual(read(`${HEAD}00:00.000 --> 00:04.000\n<v A>Hello</v>.\n`).said, ["A: Hello."]);
});

test("character references, and what only looks like a tag", () => {
  assert.deepEqual(read(`${HEAD}00:00.000 --> 00:01.000\n<v Tom &amp; &#x41;nn>1 &lt; 2 &hellip; I &lt;3 you, a < b, caf&eacute;&nbsp;&#8211; &unknown; &#xD83D;\n`).said,
    ["Tom & Ann: 1 < 2 … I <3 you, a < b, café – &unknown; \ufffd"]);
  assert.deepEqual(read("1\n00:00:00,000 --> 00:00:01,000\nmail <ann@acme.com> or <noise> <i>now</i>\n").said,
    ["customer: mail <ann@acme.com> or <noise> now"]);
  assert.deepEqual(read(`${HEAD}00:00.000 --> 00:01.000\nmail <ann@acme.com> a\0b\n`).said, ["customer: mail <ann@acme.com> a\ufffdb"]);
});

test("SubRip: text with an empty row in it stays together", () => {
  assert.deepEqual(read("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nand a half\n\n2\n00:00:03,000 --> 00:00:04,000\n42\n\n").said,
    ["customer: One and a half", "customer: 42"]);
});

test("rolling captions are joined, what is said twice stays", () => {
  const cue = (from, to, text) => `00:0${from}.000 --> 00:0${to}.000\n${text}\n\n`;
  const rolling = `${HEAD}${cue(1, 2, "<v A>one")}${cue(2, 3, "<v A>one\n<v A>two")}${cue(3, 4, "<v A>two\n<v A>three")}${cue(4, 5, "<v B>three\n<v B>four")}`;
  assert.deepEqual(read(rolling).said, ["A: one", "A: two", "A: three", "B: three four"]);
  assert.deepEqual(read(rolling, { join: false }).said, ["A: one", "A: one two", "A: two three", "B: three four"]);
  const growing = `${HEAD}${cue(1, 2, "I")}${cue(2, 3, "I lost")}${cue(3, 4, "I lost my\npassword")}${cue(4, 5, "I lost my\npassword today")}`;
  assert.deepEqual(read(growing).said, ["customer: I lost my", "customer: password today"]);
  assert.deepEqual(read(growing).times, [[1000, 3000], [3000, 5000]]);
  const twice = `${HEAD}${cue(1, 2, "<v A>Yes.")}${cue(2, 3, "<v A>Yes.")}${cue(3, 4, "<v B>Yes.")}${cue(5, 6, "<v A>Yes.\nI do.")}${cue(7, 8, "<v A>No.")}`;
  assert.deepEqual(read(twice).said, ["A: Yes.", "A: Yes.", "B: Yes.", "A: Yes. I do.", "A: No."]);
});

test("a file rolls as a whole, or not at all", () => {
  const cue = (fromMs, toMs, ...rows) => `00:${(fromMs / 1000).toFixed(3).padStart(6, "0")} --> 00:${(toMs / 1000).toFixed(3).padStart(6, "0")}\n${rows.join("\n")}\n\n`;
  const file = (...cues) => read(`${HEAD}${cues.join("")}`).said.map((line) => line.replace("customer: ", ""));
  const said = (from, count) => Array.from({ length: count }, (_, i) => cue((from + i) * 1000, (from + i + 1) * 1000, `line ${from + i}`));
  const once = [cue(0, 1000, "Yes."), cue(1000, 2000, "Yes.", "I do.")];
  assert.deepEqual(file(...once, ...said(2, 2)), ["Yes.", "Yes. I do.", "line 2", "line 3"], "one step of three");
  const twice = [...once, ...said(2, 9), cue(11000, 12000, "No."), cue(12000, 13000, "No.", "Never.")];
  assert.deepEqual(file(...twice).slice(-2), ["No.", "No. Never."], "two steps of twelve");
  const rolling = [cue(0, 1000, "a"), cue(1050, 2000, "a"), cue(2000, 3000, "a", "b"), cue(3000, 4000, "b", "c")];
  assert.deepEqual(file(...rolling), ["a", "b", "c"], "shown again without a pause");
  assert.deepEqual(file(...rolling, cue(4500, 5000, "c")), ["a", "b", "c", "c"], "said again after a pause");
});

const fixture = (name) => decodeText(readFileSync(new URL(`fixtures/${name}`, import.meta.url))).text;

test("Zoom: names in front of the text are speakers if asked for", () => {
  assert.deepEqual(read(fixture("zoom.vtt"), { speakerPrefix: true }).said, [
    "Ann Doe: Good morning, can you hear me?",
    "Dr. Ben O'Neill (he/him): Yes. Note: my camera is off.",
    "Dr. Ben O'Neill (he/him): It broke at 12:30 today.",
    "Dr. Ben O'Neill (he/him): 12:30 is when I called, see https://example.com/a:b",
    "Ann Doe: No problem.",
  ]);
  assert.equal(read(fixture("zoom.vtt")).said[0], "customer: Ann Doe: Good morning, can you hear me?");
});

test("Teams: UUIDs, voices with companies, empty cues", () => {
  assert.deepEqual(read(fixture("teams.vtt")), {
    said: ["Ann Doe (Example Ltd): Good morning everyone and welcome.", "Ben & Co: Hello.", "Ann Doe (Example Ltd): Hi Ben."],
    times: [[1109, 4880], [5000, 5462], [5462, 6000]],
    odd: [],
  });
});

test("Meet: the chat of a recording (SBV)", () => {
  assert.equal(subtitleFormat(fixture("meet.sbv")), "sbv");
  assert.deepEqual(read(fixture("meet.sbv"), { speakerPrefix: true }).said,
    ["Ann Doe: the link is https://example.com", "Ben: thanks see you at 12:30", "Ann Doe: bye"]);
});

test("YouTube: every row once", () => {
  assert.deepEqual(read(fixture("youtube.vtt")).said,
    ["customer: hello and welcome", "customer: to our shop", "customer: how can I help"]);
});

test("names in front of a text", () => {
  const named = (text) => splitName(text)?.name ?? null;
  for (const [text, name] of [["Ann Doe: hi", "Ann Doe"], [">> ANN: hi", "ANN"], ["- Ann: hi", "Ann"], ["[Ann]: hi", "Ann"],
    ["agent: hi", "agent"], ["Speaker 1: hi", "Speaker 1"], ["田中：はい", "田中"], ["Ann:", "Ann"]]) assert.equal(named(text), name, text);
  for (const text of ["Note: x", "12:30", "at 12:30: x", "https://x", "C:\\x", "Did I? Yes: x", "he said: x", `${"A".repeat(65)}: x`,
    ": x", "no name at all"]) assert.equal(named(text), null, text);
});

test("encodings: UTF-8, UTF-16 either way, Windows-1252", () => {
  const text = TWO_CUES["as the standard has it"].replace("One", "Größe “1”");
  const le = Buffer.from(`\ufeff${text}`, "utf16le");
  const windows = Buffer.from(text.replace("“", "\x93").replace("”", "\x94"), "latin1");
  const bytes = { "utf-8": Buffer.from(`\ufeff${text}`), "utf-16le": le, "utf-16be": Buffer.from(le).swap16(), "windows-1252": windows };
  const wide = Buffer.from(Uint32Array.from(["\ufeff", ...text, "😀"], (character) => character.codePointAt(0)).buffer);
  assert.deepEqual(decodeText(wide), { text: `${text}😀`, encoding: "utf-32le" });
  assert.deepEqual(decodeText(wide.subarray(4)), { text: `${text}😀`, encoding: "utf-32le" }, "without its mark");
  const reversed = Buffer.from(wide).swap32();
  assert.deepEqual(decodeText(reversed), { text: `${text}😀`, encoding: "utf-32be" });
  assert.deepEqual(decodeText(reversed.subarray(4)), { text: `${text}😀`, encoding: "utf-32be" }, "without its mark");
  assert.equal(decodeText(Buffer.from([65, 0, 0, 0, 0, 0xd8, 0, 0, 0, 0, 0x11, 0])).text, "A\ufffd\ufffd");
  for (const [encoding, content] of Object.entries(bytes)) assert.deepEqual(decodeText(content), { text, encoding });
  assert.deepEqual(decodeText(le.subarray(2)), { text, encoding: "utf-16le" }, "without its mark");
  assert.deepEqual(decodeText(Buffer.alloc(0)), { text: "", encoding: "utf-8" });
});

/** Numbers that are the same at each run: xorshift32. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const PIECES = ["WEBVTT", "\n", "\n\n", "\r", "\r\n", "\ufeff", " ", "-->", "00:00:01.000", "00:01,5", "0:00:01.000,0:00:02.000", "9".repeat(30),
  "00:01 --> 00:02\n", "00:02-->00:09\n", "<v ", "<v Ann>", "</v>", "<", ">", "<v.", "&", "&#", "&#x110000;", "&amp;", "&#xD800;", "\0", "NOTE", "STYLE",
  "Ann: ", "：", "-", ">>", "{\\an8}", "[br]", "→", "1", "\ud83d", "💬", "hello", "hello world", '{"text":"x"}', "[", "]", "{", "}", '"', "original", ","];

test("no input makes the reader throw anything but its own words, and every line is whole", () => {
  const random = generator(20261129);
  const samples = Object.values(TWO_CUES).concat(["zoom.vtt", "teams.vtt", "meet.sbv", "youtube.vtt"].map(fixture));
  for (let round = 0; round < 4000; round++) {
    let text = round % 2 ? samples[random(samples.length)] : "";
    for (let i = random(30); i > 0; i--) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + PIECES[random(PIECES.length)] + text.slice(at + random(8));
    }
    for (const format of ["vtt", "srt", "sbv"]) {
      const { cues } = parseCues(text, format);
      const { lines } = parseSubtitles(text, format, { speakerPrefix: round % 3 === 0, join: round % 5 > 0 });
      assert.ok(lines.length <= text.length && cues.length <= text.length);
      for (const line of lines) {
        assert.ok(line.text && line.text === line.text.trim() && line.speaker, JSON.stringify([text, line]));
        assert.ok(Number.isSafeInteger(line.startMs) && line.endMs >= line.startMs, JSON.stringify([text, line]));
      }
    }
    try {
      parseConversations(text, "x");
    } catch (error) {
      assert.ok(error.constructor === Error && /^(none of|not JSON|no line)/.test(error.message), `${JSON.stringify(text)}: ${error.stack}`);
    }
  }
});

test("time grows with the length of the input, not with its square", () => {
  const random = generator(7);
  const long = (piece) => piece.repeat(Math.ceil(100_000 / piece.length));
  const inputs = PIECES.flatMap((piece) => [long(piece), `${HEAD}00:01.000 --> 00:02.000\n${long(piece)}`])
    .concat(Array.from({ length: 60 }, () => {
      const some = long(PIECES[random(PIECES.length)] + PIECES[random(PIECES.length)] + PIECES[random(PIECES.length)]);
      return `${HEAD}00:01.000 --> 00:02.000\n${some}`;
    }));
  for (const input of inputs) {
    const before = process.cpuUsage();
    for (const format of ["vtt", "srt", "sbv"]) parseSubtitles(input, format, { speakerPrefix: true });
    try {
      parseConversations(input, "x");
    } catch {
      // what it says about it is tested above
    }
    const { user } = process.cpuUsage(before);
    assert.ok(user < 3_000_000, `${user} µs for ${JSON.stringify(input.slice(0, 80))}`);
  }
});
