import assert from "node:assert/strict";
import test from "node:test";
import { interimTexts, safeId, schedule } from "./player.mjs";

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
  assert.ok(interimTexts("word ".repeat(14000)).length <= 200);
});

test("ids are made of what the server takes", () => {
  assert.equal(safeId("call/7 ü!"), "call-7");
  assert.equal(safeId("ü"), "call");
  assert.equal(safeId("x".repeat(500)).length, 60);
});
