// What a reader sees of a chat, from its log: no server, no React.
import { expect, test } from "vitest";
import { ChatModel } from "../src/chat-model.js";
import type { Answer, HistoryRow } from "../src/chat-types.js";
import { applyDelta, pathOf, type TreeNode } from "../src/tree.js";

const EMPTY = { root: { id: "root", value: "", children: [] } };
const ready = (more = {}) => ({ seq: 0, initial_tree: structuredClone(EMPTY), tree_version: 0, ...more });

/** A model that took these entries, numbered from seq + 1. */
function took(entries: Array<[string, object]>, model = begun()) {
  let { seq } = model;
  for (const [event, payload] of entries) model.apply(event, { ...payload, seq: ++seq });
  return model;
}

function begun(more = {}, rows: HistoryRow[] = []) {
  const model = new ChatModel();
  model.begin(ready(more), rows);
  return model;
}

const said = (id: string, content = id): [string, object] => ["chat.message", { id, content }];
const of = (ref_id: string, event: string, payload = {}): [string, object] => [event, { ref_id, ...payload }];
const token = (ref_id: string, content: string, more = {}) => of(ref_id, "chat.token", { content, ...more });
const answer = (model: ChatModel, ref: string) => model.items.find((item) => item.key === `answer ${ref}`) as Answer;
const textOf = (model: ChatModel, ref: string) => answer(model, ref).parts.map((part) => (part.kind === "text" ? part.text : `[${part.kind}]`)).join("");

test("text grows, and the end has its state", () => {
  const model = took([said("m1", "hello"), of("m1", "chat.thinking", { step: "Thinking" }), token("m1", "Hi "), token("m1", "there")]);
  expect(model.isRunning).toBe(true);
  took([of("m1", "chat.done", { final_text: "Hi there", is_complete: true })], model);
  expect(model.isRunning).toBe(false);
  expect(answer(model, "m1")).toMatchObject({ state: "done", thinking: [{ step: "Thinking" }], parts: [{ kind: "text", text: "Hi there" }] });
  expect(model.items.map(({ key }) => key)).toEqual(["message m1", "answer m1"]);
});

test("an entry that is known changes nothing, and one too far is a gap", () => {
  const model = took([said("m1"), token("m1", "a")]);
  expect(model.apply("chat.token", { ref_id: "m1", content: "a", seq: 2 })).toBe("nothing");
  expect(model.apply("chat.token", { ref_id: "m1", content: "c", seq: 4 })).toBe("gap");
  expect(model.apply("chat.token", { ref_id: "m1", content: "b", seq: 3 })).toBe("changed");
  expect(textOf(model, "m1")).toBe("ab");
});

test("text, tools and questions keep the order in which they came", () => {
  const model = took([
    said("m1"), token("m1", "Let me see. "), of("m1", "tool.start", { call_id: "c1", tool: "search", args: { query: "x" } }),
    of("m1", "tool.progress", { call_id: "c1", progress: 1, total: 2 }), of("m1", "tool.end", { call_id: "c1", ok: true, result: { n: 1 } }),
    of("m1", "elicitation.start", { id: "e1", mode: "form", message: "When?" }),
  ]);
  expect(textOf(model, "m1")).toBe("Let me see. [tool][form]");
  expect(model.pending.map(({ id }) => id)).toEqual(["e1"]);
  took([of("m1", "elicitation.end", { id: "e1", action: "accept" }), token("m1", "Done."), of("m1", "chat.done", { final_text: "Let me see. Done.", is_complete: true })], model);
  expect(textOf(model, "m1")).toBe("Let me see. [tool][form]Done.");
  expect(answer(model, "m1").parts[1]).toMatchObject({ call: { state: "done", progress: { progress: 1, total: 2 }, args: { query: "x" } } });
  expect(model.pending).toEqual([]);
});

test("another text at the end replaces what was streamed; a tool that did not end failed", () => {
  const model = took([said("m1"), of("m1", "tool.start", { call_id: "c1", tool: "t" }), token("m1", "wrong"), of("m1", "chat.done", { final_text: "right", is_complete: false, stopped: true })]);
  expect(answer(model, "m1")).toMatchObject({ state: "stopped", parts: [{ kind: "tool", call: { state: "failed" } }, { kind: "text", text: "right" }] });
});

test("another answer takes the place of the former; late entries of the former change nothing", () => {
  const model = took([said("m1"), token("m1", "one"), of("m1", "chat.done", { final_text: "one", is_complete: true }), token("m1", "two", { attempt: 2 }), token("m1", "!!!")]);
  expect(textOf(model, "m1")).toBe("two");
  expect(answer(model, "m1").attempt).toBe(2);
});

test("an edited message replaces what followed it", () => {
  const model = took([said("m1"), token("m1", "a"), said("m2"), token("m2", "b"), ["chat.message", { id: "m1", content: "better", attempt: 2 }]]);
  expect(model.items.map((item) => (item.kind === "message" ? item.content : item.key))).toEqual(["better"]);
});

test("a turn that failed says why", () => {
  const model = took([said("m1"), token("m1", "half"), of("m1", "error", { code: 503, message: "interrupted", final_text: "half" })]);
  expect(answer(model, "m1")).toMatchObject({ state: "failed", error: { code: 503, message: "interrupted" } });
  expect(textOf(model, "m1")).toBe("half");
});

test("who comes late gets the text so far, then the appends, and the open questions", () => {
  const model = begun({ seq: 7, running: { ref_id: "m1", text: "so far", thinking: ["Thinking"], tools: [{ call_id: "c1", tool: "t" }] }, pending: [{ id: "e1", mode: "form", message: "When?", ref_id: "m1" }] },
    [{ id: 1, type: "user", content: "hello", ref_id: "m1" }, { id: 2, type: "thinking", content: "Thinking", ref_id: "m1" }]);
  took([token("m1", ", and more")], model);
  expect(textOf(model, "m1")).toBe("so far[tool][form], and more");
  expect(answer(model, "m1").thinking).toEqual([{ step: "Thinking" }]);
  expect(model.pending).toHaveLength(1);
});

test("a history that is ahead of the log is not told twice", () => {
  // The turn began after session.init was answered and before chat.history was: it is in both.
  const rows: HistoryRow[] = [{ id: 1, type: "user", content: "hello", ref_id: "m1" }, { id: 2, type: "thinking", content: "Thinking", ref_id: "m1" }, { id: 3, type: "ai", content: "Hi there", ref_id: "m1" }];
  const model = begun({}, rows);
  expect(textOf(model, "m1")).toBe("Hi there");
  took([said("m1", "hello"), of("m1", "chat.thinking", { step: "Thinking" }), token("m1", "Hi "), token("m1", "there"), of("m1", "chat.done", { final_text: "Hi there", is_complete: true })], model);
  expect(textOf(model, "m1")).toBe("Hi there");
  expect(answer(model, "m1")).toMatchObject({ state: "done", thinking: [{ step: "Thinking" }] });
  expect(model.items).toHaveLength(2);
});

const row = (id: number, type: HistoryRow["type"], content: string, data?: object, ref_id = "m1"): HistoryRow => ({ id, type, content, ref_id, ...(data && { data }) });
/** As the server stores a turn: a question and how it was answered are two rows, a reminder has one of its own. */
const STORED = [
  row(1, "user", "Create alarm"), row(2, "thinking", "Analyzing"),
  row(3, "component", "When?", { id: "e1", mode: "form", message: "When?", schema: {} }), row(4, "component", "accept", { id: "e1", action: "accept", content: { time: "9" } }),
  row(5, "tool", "create_alarm", { call_id: "c1", title: "Set an alarm", args: { time: "9" }, ok: true, sources: [{ doc_id: "d1", title: "Alarms", excerpt: "…" }] }),
  row(6, "ai", "Set."), { ...row(7, "component", "Tea", { reminder: "r1", at: "2026-11-30T09:00:00Z" }, "r1") },
];

test("a stored turn reads as it was: its question, its tool, its sources, and the reminder after it", () => {
  const model = begun({}, STORED);
  expect(model.items.map(({ key }) => key)).toEqual(["message m1", "answer m1", "reminder r1"]);
  expect(answer(model, "m1")).toMatchObject({
    state: "done", sources: [{ doc_id: "d1", title: "Alarms" }],
    parts: [{ kind: "form", elicitation: { message: "When?", state: "accept" } }, { kind: "tool", call: { title: "Set an alarm", tool: "create_alarm", state: "done" } }, { kind: "text", text: "Set." }],
  });
  expect(model.items[2]).toMatchObject({ text: "Tea", at: "2026-11-30T09:00:00Z" });
  took([["reminder.due", { id: "r1", text: "Tea", at: "2026-11-30T09:00:00Z" }]], model);
  expect(model.items).toHaveLength(3);
});

test("it reads the same wherever a page of the history begins", () => {
  const whole = begun({}, STORED).items;
  for (let cut = 1; cut < STORED.length; cut++) {
    const model = begun({}, STORED.slice(cut));
    model.addOlder(STORED.slice(0, cut));
    expect(model.items, `page from row ${cut + 1}`).toEqual(whole);
  }
});

test("a question that nobody answered is not one that is open", () => {
  const model = begun({}, [...STORED.slice(0, 3), row(9, "error", "interrupted")]);
  expect(model.pending).toEqual([]);
  expect(answer(model, "m1").parts).toMatchObject([{ elicitation: { state: "cancel" } }]);
});

test("older messages stand before those that are known, without what was replaced", () => {
  const model = begun({}, [{ id: 9, type: "user", content: "new", ref_id: "m9" }]);
  model.addOlder([{ id: 1, type: "user", content: "old", ref_id: "m1" }, { id: 2, type: "ai", content: "no", ref_id: "m1", replaced: true }, { id: 3, type: "error", content: "failed", ref_id: "m1" }]);
  expect(model.items.map(({ key }) => key)).toEqual(["message m1", "answer m1", "message m9"]);
  expect(answer(model, "m1")).toMatchObject({ state: "failed", parts: [] });
  expect(model.oldest).toBe(1);
});

test("events wait while the chat is read", () => {
  const model = new ChatModel();
  model.hold();
  model.apply("chat.token", { ref_id: "m1", content: "old", seq: 3 });
  model.apply("chat.token", { ref_id: "m1", content: " new", seq: 4 });
  model.begin(ready({ seq: 3, running: { ref_id: "m1", text: "old" } }), []);
  expect(model.resume()).toBe("changed");
  expect(textOf(model, "m1")).toBe("old new");
});

const tree = (): TreeNode => ({ id: "root", value: "", children: [{ id: "a", value: "A", children: [{ id: "b", value: "B", children: [] }] }, { id: "c", value: "C", color: "red", children: [] }] });
const shape = (node: TreeNode): string => node.id + (node.children?.length ? `(${node.children.map(shape).join(" ")})` : "");

test("changes of the tree leave the rest as it was, and what does not fit is refused", () => {
  const before = tree();
  const after = (delta: Parameters<typeof applyDelta>[1]) => applyDelta(before, delta);
  expect(shape(after({ action: "add", path: "/root/children", node: { id: "n" } })!)).toBe("root(a(b) c n)");
  expect(shape(after({ action: "add", path: "/root/children/c", node: { id: "n" } })!)).toBe("root(a(b) n c)");
  expect(shape(after({ action: "add", path: "/root/children/a/children/0", node: { id: "n" } })!)).toBe("root(a(n b) c)");
  expect(shape(after({ action: "remove", path: "/root/children/a" })!)).toBe("root(c)");
  expect(shape(after({ action: "move", from: "/root/children/a/children/b", path: "/root/children/a" })!)).toBe("root(b a c)");
  expect(after({ action: "update", path: "/root/children/c", node: { value: "D", color: null } as never })!.children![1]).toEqual({ id: "c", value: "D", children: [] });
  expect(after({ action: "add", path: "/root/children", node: { id: "n" } })!.children![0]).toBe(before.children![0]);
  for (const path of ["/root/children/x", "/elsewhere", "/root/children"]) expect(after({ action: "remove", path })).toBeNull();
  expect(after({ action: "move", from: "/root/children/a", path: "/root/children/a/children" })).toBeNull();
  expect(shape(before)).toBe("root(a(b) c)");
  expect(pathOf(["a", "x/y"])).toBe("/root/children/a/children/x~1y");
});

test("a tree that the change does not fit is unfit, not forgotten", () => {
  const model = begun();
  expect(model.apply("tree.update", { delta: { action: "remove", path: "/root/children/x" }, version: 1, seq: 1 })).toBe("unfit");
  expect(model.seq).toBe(0);
  expect(model.apply("tree.update", { delta: { action: "add", path: "/root/children", node: { id: "x" } }, version: 1, seq: 1 })).toBe("changed");
  expect([model.treeVersion, model.tree!.children!.length]).toEqual([1, 1]);
});

test("a vote comes from the history and from another tab; that on a former answer says nothing about the latest", () => {
  const rows: HistoryRow[] = [{ id: 1, type: "user", content: "x", ref_id: "m1", attempt: 1 }, { id: 2, type: "ai", content: "a", ref_id: "m1", attempt: 2, helpful: false }];
  const model = begun({ seq: 5 }, rows);
  expect(answer(model, "m1").helpful).toBe(false);
  took([of("m1", "chat.feedback", { attempt: 2, helpful: true })], model);
  expect(answer(model, "m1").helpful).toBe(true);
  took([of("m1", "chat.feedback", { attempt: 1, helpful: false })], model);
  expect(answer(model, "m1").helpful).toBe(true);
  expect(textOf(model, "m1")).toBe("a");
});
