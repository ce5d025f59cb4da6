// `parley import-documents` and `parley learn` as a person would run them: files and folders, what goes wrong with one of
// them, what is gone, what is learned.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, beforeEach, test } from "node:test";

const parley = process.env.PARLEY;
const folders = [];
let dir;

beforeEach(() => folders.push((dir = mkdtempSync(join(tmpdir(), "parley-import-")))));
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function write(name, content) {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), content);
}

/** Runs it in a folder below the test's own. */
const run = (args, cwd) => command("import-documents", args, cwd);
function command(name, args, cwd = ".") {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY") && name !== "PWD"));
  const ended = spawnSync(parley, [name, "--data", join(dir, "data"), ...args], { cwd: join(dir, cwd), env });
  return { status: ended.status, out: String(ended.stdout).trim().split("\n"), err: String(ended.stderr).trim().split("\n").filter(Boolean) };
}

test("a folder is read with all that is below it; one bad file is named and costs itself alone", () => {
  write("kb/a/index.md", "# Intro\n\none\n");
  write("kb/b/index.md", "# Intro\n\ntwo\n");
  write("kb/c.md", Buffer.from([0x52, 0xfc, 0x63, 0x6b]));
  write("kb/d.md", "# D\n\nfour\n");
  write("kb/picture.png", "no document");
  write("kb/.git/x.md", "hidden\n");
  const first = run(["kb"]);
  assert.equal(first.status, 1);
  assert.deepEqual(first.err, ["parley: kb/c.md: not UTF-8 (0xFC; save the file as UTF-8) at byte 1"]);
  assert.deepEqual(first.out, ["kb/a/index.md: 1 document", "kb/b/index.md: 1 document", "kb/d.md: 1 document"]);
});

test("files that are named: the others are imported although one is missing or of no known kind", () => {
  write("a.md", "# A\n\none\n");
  write("b.md", "# B\n\ntwo\n");
  write("c.pdf", "x");
  const { status, out, err } = run(["a.md", "missing.md", "c.pdf", "b.md"]);
  assert.equal(status, 1);
  assert.deepEqual(out, ["a.md: 1 document", "b.md: 1 document"]);
  assert.deepEqual(err, ["parley: cannot read 'missing.md': No such file or directory",
    "parley: c.pdf: unsupported type of document (supported: .json, .md, .markdown, .txt)"]);
  assert.equal(run(["a.md", "b.md"]).status, 0);
  assert.equal(run([]).status, 2);
});

test("a file is the same one however its path is written, and two files of one name are two", () => {
  write("a/index.md", "# Intro\n\n## Gone\n\nx\n\n## Stays\n\none\n");
  write("b/index.md", "# Intro\n\n## Gone\n\ny\n\n## Stays\n\ntwo\n");
  assert.deepEqual(run(["index.md"], "a").out, ["index.md: 2 documents"]);
  assert.deepEqual(run(["index.md"], "b").out, ["index.md: 2 documents"]); // and nothing of the other's is removed
  write("a/index.md", "# Intro\n\n## Stays\n\none\n");
  assert.deepEqual(run(["../b/.././a//index.md"], "b").out, ["../b/.././a//index.md: 1 document, 1 removed"]);
  assert.deepEqual(run(["b/index.md", join(dir, "b/index.md")]).out,
    ["b/index.md: 2 documents", `${join(dir, "b/index.md")}: already imported in this run`]);
});

test("'..' behind a link leads to where the link leads", () => {
  write("real/deep/x.md", "# X\n\none\n");
  write("real/y.md", "# Y\n\ntwo\n");
  write("y.md", "# Y\n\n## Other\n\nthree\n");
  symlinkSync("real/deep", join(dir, "link"));
  assert.deepEqual(run(["y.md"]).out, ["y.md: 1 document"]);
  assert.deepEqual(run(["link/../y.md"]).out, ["link/../y.md: 1 document"]); // real/y.md: nothing of y.md is removed
  assert.deepEqual(run(["real/y.md"]).out, ["real/y.md: 1 document"]);
});

test("a file that is gone from a folder goes with its documents; one that cannot be read stays", () => {
  write("kb/a.md", "# A\n\n## One\n\nx\n\n## Two\n\ny\n");
  write("kb/b.md", "# B\n\nb\n");
  write("kb2/c.md", "# C\n\nc\n");
  assert.equal(run(["kb", "kb2"]).status, 0);
  rmSync(join(dir, "kb/a.md"));
  rmSync(join(dir, "kb2/c.md"));
  write("kb/b.md", Buffer.from([0xff, 0x20]));
  const { status, out } = run(["kb"]);
  assert.equal(status, 1);
  assert.deepEqual(out, ["kb/a.md: no longer exists, 2 documents removed"]);
  assert.deepEqual(run(["kb2"]).out, ["kb2/c.md: no longer exists, 1 document removed"]);
});

test("a file that has been emptied loses its documents; one that never had any is named", () => {
  write("kb/a.md", "# A\n\n## One\n\nx\n\n## Two\n\ny\n");
  assert.equal(run(["kb"]).status, 0);
  write("kb/a.md", "");
  assert.deepEqual(run(["kb"]), { status: 0, out: ["kb/a.md: 0 documents, 2 removed"], err: [] });
  assert.deepEqual(run(["kb"]), { status: 0, out: ["kb/a.md: 0 documents"], err: [] });
  write("kb/b.md", "# Only a heading\n");
  const { status, err } = run(["kb"]);
  assert.equal(status, 1);
  assert.deepEqual(err, ["parley: kb/b.md: no text found"]);
});

test("a folder may link to itself, and a link to a file is that file", () => {
  write("kb/a.md", "# A\n\na\n");
  symlinkSync("../kb", join(dir, "kb/loop"));
  symlinkSync("a.md", join(dir, "kb/b.md"));
  symlinkSync("nowhere", join(dir, "kb/dangling"));
  const { status, out } = run(["kb"]);
  assert.equal(status, 0);
  assert.deepEqual(out, ["kb/a.md: 1 document", "kb/b.md: already imported in this run"]);
});

test("with --as a folder keeps its name wherever it lies", () => {
  write("one/a.md", "# A\n\na\n");
  write("one/b.md", "# B\n\nb\n");
  assert.equal(run(["--as", "handbook", "one"]).status, 0);
  rmSync(join(dir, "one/b.md"));
  renameSync(join(dir, "one"), join(dir, "two"));
  assert.deepEqual(run(["--as", "handbook", "two/"]).out, ["two/a.md: 1 document", "two/b.md: no longer exists, 1 document removed"]);
  assert.equal(run(["--as", "handbook", "two", "two"]).status, 2);
  assert.equal(run(["--as", "a/b", "two"]).status, 2);
});

const call = (document, ...texts) =>
  JSON.stringify({ document, lines: texts.flatMap((text) => [{ speaker: "customer", text }, { speaker: "agent", text: "I see" }]) }) + "\n";

test("past calls teach; a line that is none costs itself alone", () => {
  write("kb.md", "# Re-set Password\n\na\n\n# Refunds\n\nb\n\n# Twice\n\nc\n\n# Twice\n\nd\n");
  assert.equal(run(["kb.md"]).status, 0);
  write("calls.jsonl", call("kb.re-set-password", "my doohickey squeaks") + "{\n" + call("reset password!", "it squeaks") + call("TWICE", "x") +
    "\n" + call("nothing", "x") + "[]\n" + call("Refunds", "a squeak", "money"));
  const { status, out, err } = command("learn", ["calls.jsonl"]);
  assert.equal(status, 1);
  assert.equal(out[0], "3 calls learned");
  assert.match(out[1], /^one call in 3 left out in turn: the document is first for \d+ % .* of 3 calls$/);
  assert.deepEqual(err.map((line) => line.replace(/^parley: calls.jsonl: /, "").slice(0, 50)), [
    "line 2: string or '}' expected near end of file",
    "line 4: several documents have this title; name on",
    "line 6: the document does not exist",
    "line 7: not a call (expected: {\"document\": id or t",
  ]);
  assert.equal(command("learn", ["missing.jsonl"]).status, 1);
  assert.equal(command("learn", []).status, 2);
});

test("conversations are learned by their outcome, and WebVTT by the file beside it", () => {
  write("kb.json", JSON.stringify({
    "Product Defect": { description: "", subflows: { "Return Due to Size": { instructions: ["Ask."], actions: [] }, "Refund Status": { instructions: ["Look."], actions: [] } } },
    "Shipping Issue": { description: "", subflows: { "Shipping Status": { instructions: ["Track."], actions: [] } } },
  }));
  assert.equal(run(["kb.json"]).status, 0);
  const conversation = (flow, subflow, ...said) => ({ scenario: { flow, subflow }, original: said.map((text, i) => [i % 2 ? "agent" : "customer", text]) });
  write("past.json", JSON.stringify([
    conversation("product_defect", "return_size", "the jeans pinch", "which ones?", "the blue ones"),
    conversation("shipping_issue", "status", "where is my parcel"),
    conversation("product_defect", "status_7", "where is the money"),
    conversation("product_defect", "stain", "x"),
    { document: "Shipping Status", lines: [{ speaker: "customer", text: "it has not arrived" }] },
  ]));
  write("call.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Hello!\n\n00:02.000 --> 00:03.000\n<v Bob Lee>The <b>jeans</b>\npinch\n\n00:04.000 --> 00:05.000\nstill Bob\n");
  write("call.json", JSON.stringify({ document: "return due to size", customer: "bob lee" }));
  write("alone.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n");
  const { status, out, err } = command("learn", ["past.json", "call.vtt", "alone.vtt"]);
  assert.equal(status, 1);
  assert.equal(out[0], "5 calls learned");
  assert.deepEqual(err.map((line) => line.slice(0, 70)), [
    "parley: past.json: call 4: no document of this topic has such a title",
    "parley: alone.json: No such file or directory",
  ]);
});
