import assert from "node:assert/strict";
import test from "node:test";
import { LiveCall } from "../lib/live-call.mjs";
import { View } from "./view.mjs";

function output(isTTY = false) {
  return { isTTY, columns: 40, text: "", write(chunk) { this.text += chunk; } };
}

const call = new LiveCall("c");
const line = (text, final = true) => ({ kind: "line", line: { key: "s", speaker: "customer", text, final } });

test("a final line is one row, without control characters of the speaker's", () => {
  const out = output();
  new View({ out }).show(call, line("hi \x1b[31mred\nrow"));
  assert.equal(out.text, "customer  hi  [31mred row\n");
});

test("interim text is left out of a file and rewritten in place on a terminal", () => {
  const file = output();
  new View({ out: file }).show(call, line("I", false));
  assert.equal(file.text, "");

  const terminal = output(true);
  const view = new View({ out: terminal });
  view.show(call, line("I got a very long line that does not fit into the terminal", false));
  view.show(call, line("I got it"));
  assert.match(terminal.text, /^\r\x1b\[K.*\r\x1b\[K.*I got it\n$/s);
});

test("suggestions are numbered, best first as they come", () => {
  const out = output();
  const documents = [{ id: "a", title: "Returns", excerpt: "…", relevance: 0.92 }, { id: "b", title: "Refunds", relevance: 0.4 }];
  new View({ out }).show(call, { kind: "suggestion", suggestion: { documents, summary: "wrong size" } });
  assert.match(out.text, /▸ wrong size\n {2}\[1\] {2}92% Returns\n {6}…\n {2}\[2\] {2}40% Refunds\n/);
});

test("with several calls every row names its own", () => {
  const out = output();
  new View({ out, showCallId: true }).show(call, line("hi"));
  assert.match(out.text, /^c customer/);
});
