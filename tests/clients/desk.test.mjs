// What agents and supervisors do around a call: private notes, raised hands, wrapping up, documents that were used.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { assertError, Desk } from "./lib/desk.mjs";

let desk;
before(async () => {
  desk = await Desk.open({
    feed: ["--role", "feed"],
    ann: ["--calls", "*"],
    ben: ["--calls", "*"],
    cat: ["--calls", "cats"],
    sue: ["--role", "supervisor"],
    tim: ["--role", "supervisor", "--calls", "other"],
    root: ["--role", "admin"],
  });
});
afterEach(() => desk.leave());
after(() => desk?.close());

const subscribe = async (who, call_id) => {
  const socket = await desk.connect(who);
  const snapshot = await socket.ask("call:subscribe", { call_id });
  assert.equal(snapshot.ok, true, JSON.stringify(snapshot));
  return Object.assign(socket, { snapshot });
};

test("a supervisor's note reaches the call's agents, is in the snapshot, and neither takes a seq nor reaches the feed", async () => {
  const feed = await desk.call("n1");
  const [ann, sue] = [await subscribe("ann", "n1"), await subscribe("sue", "n1")];
  assert.deepEqual(ann.snapshot.notes, []);
  const answer = await sue.ask("note:send", { call_id: "n1", text: "Offer the refund." });
  assert.equal(answer.ok, true, JSON.stringify(answer));
  await until(() => ann.seen("call:note").length && sue.seen("call:note").length, "the note");
  const [{ timestamp, ...note }] = ann.seen("call:note");
  assert.deepEqual(note, { call_id: "n1", id: answer.id, from: "sue", text: "Offer the refund." });
  assert.match(timestamp, /^\d{4}-.*Z$/);
  assert.equal((await feed.say("hello")).seq, 1);
  const late = await subscribe("ben", "n1");
  assert.deepEqual(late.snapshot.notes, [{ ...note, timestamp }]);
  assert.deepEqual(feed.seen("call:note"), []);
});

test("what people write is stored to its end, whatever is in it", async () => {
  await desk.call("nul");
  const [ann, sue] = [await desk.connect("ann"), await desk.connect("sue")];
  assert.equal((await sue.ask("note:send", { call_id: "nul", text: "before\u0000after" })).ok, true);
  assert.equal((await ann.ask("agent:help", { call_id: "nul", reason: "one\u0000two" })).ok, true);
  const late = await sue.ask("call:subscribe", { call_id: "nul" });
  assert.deepEqual([late.notes[0].text, late.help[0].reason], ["before after", "one two"]);
});

test("a note to one agent is that agent's and the supervisors' alone, live and in snapshots", async () => {
  await desk.call("n2");
  const [ann, ben, sue] = [await subscribe("ann", "n2"), await subscribe("ben", "n2"), await subscribe("sue", "n2")];
  const { id } = await sue.ask("note:send", { call_id: "n2", text: "only for ann", to: "ann" });
  const open = await sue.ask("note:send", { call_id: "n2", text: "for all" });
  await until(() => ben.seen("call:note").length === 1 && ann.seen("call:note").length === 2 && sue.seen("call:note").length === 2, "the notes");
  assert.deepEqual(ben.seen("call:note").map((note) => note.id), [open.id]);
  assert.deepEqual(ann.seen("call:note").map(({ id: one, to }) => [one, to]), [[id, "ann"], [open.id, undefined]]);
  const ids = async (who) => (await subscribe(who, "n2")).snapshot.notes.map((note) => note.id);
  assert.deepEqual(await ids("ben"), [open.id]);
  assert.deepEqual(await ids("ann"), [id, open.id]);
  assert.deepEqual(await ids("root"), [id, open.id]);
  // All at once: a reading that others share shows nobody what is another's.
  const all = await Promise.all(["ann", "ben", "ann", "ben", "sue"].map(ids));
  assert.deepEqual(all, [[id, open.id], [open.id], [id, open.id], [open.id], [id, open.id]]);
});

test("an agent's other token ends what came by the first: notes to one agent too", async () => {
  await desk.call("n3");
  const ann = await subscribe("ann", "n3");
  const sue = await subscribe("sue", "n3");
  assert.equal((await ann.ask("auth:refresh", { token: await desk.parley.token("--sub", "ann", "--calls", "nothing") })).ok, true);
  await until(() => ann.seen("error").some(({ call_id }) => call_id === "n3"), "the end of the right");
  await sue.ask("note:send", { call_id: "n3", text: "secret", to: "ann" });
  await until(() => sue.seen("call:note").length === 1, "the note");
  await ann.ask("call:list", {});
  assert.deepEqual(ann.seen("call:note"), []);
});

test("notes are refused to agents, to supervisors of other calls, for calls that do not exist, and with bad fields", async () => {
  await desk.call("n4");
  const [ann, sue, tim] = [await desk.connect("ann"), await desk.connect("sue"), await desk.connect("tim")];
  assertError(await ann.ask("note:send", { call_id: "n4", text: "x" }), 403, undefined);
  assertError(await tim.ask("note:send", { call_id: "n4", text: "x" }), 403, "/call_id");
  assertError(await sue.ask("note:send", { call_id: "n4-none", text: "x" }), 404, "/call_id");
  assertError(await sue.ask("note:send", { call_id: "n4", text: "" }), 400, "/text");
  assertError(await sue.ask("note:send", { call_id: "n4" }), 400, "/text");
  assertError(await sue.ask("note:send", { call_id: "n4", text: "x", to: "" }), 400, "/to");
});

test("a raised hand reaches every supervisor with the right to the call, subscribed or not, until it is lowered", async () => {
  await desk.call("h1");
  const [ann, ben, sue, tim, root] = [await desk.connect("ann"), await subscribe("ben", "h1"), await desk.connect("sue"), await desk.connect("tim"), await desk.connect("root")];
  assert.equal((await ann.ask("agent:help", { call_id: "h1", reason: "angry customer" })).ok, true);
  await until(() => sue.seen("call:help").length && root.seen("call:help").length, "the hand");
  const [{ agents: [{ since, ...hand }], ...rest }] = sue.seen("call:help");
  assert.deepEqual([rest, hand], [{ call_id: "h1" }, { agent_id: "ann", reason: "angry customer" }]);
  assert.match(since, /^\d{4}-.*Z$/);
  assert.deepEqual((await subscribe("sue", "h1")).snapshot.help, [{ ...hand, since }]);
  // Asked again: since when stays.
  await ann.ask("agent:help", { call_id: "h1", reason: "still" });
  await until(() => sue.seen("call:help").length === 2, "the other reason");
  assert.deepEqual(sue.seen("call:help")[1].agents, [{ agent_id: "ann", since, reason: "still" }]);
  assert.equal((await ann.ask("agent:help", { call_id: "h1", cancel: true })).ok, true);
  await until(() => sue.seen("call:help").length === 3, "the lowered hand");
  assert.deepEqual(sue.seen("call:help")[2], { call_id: "h1", agents: [] });
  assert.deepEqual([tim.seen("call:help"), ben.seen("call:help"), ann.seen("call:help")], [[], [], []]);
});

test("a supervisor who connects later finds raised hands in the list; the end of a call lowers them", async () => {
  const feed = await desk.call("h2");
  const ann = await desk.connect("ann");
  const sue = await desk.connect("sue");
  await ann.ask("agent:help", { call_id: "h2" });
  const list = await (await desk.connect("root")).ask("call:list", {});
  assert.equal(list.calls.find(({ call_id }) => call_id === "h2").help.length, 1);
  assert.equal((await ann.ask("call:list", {})).calls.find(({ call_id }) => call_id === "h2").help, undefined);
  await feed.ask("call:end", { call_id: "h2" });
  await until(() => sue.seen("call:help").some(({ call_id, agents }) => call_id === "h2" && !agents.length), "lowered by the end");
  assertError(await ann.ask("agent:help", { call_id: "h2" }), 409, "/call_id");
});

test("whose token says supervisor no longer hears no more hands", async () => {
  await desk.call("h3");
  const [ann, sue, root] = [await desk.connect("ann"), await desk.connect("sue"), await desk.connect("root")];
  assert.equal((await sue.ask("auth:refresh", { token: await desk.parley.token("--sub", "sue", "--calls", "*") })).ok, true);
  await ann.ask("agent:help", { call_id: "h3" });
  await until(() => root.seen("call:help").length === 1, "the hand");
  assert.equal((await sue.ask("call:list", {})).ok, true);
  assert.deepEqual(sue.seen("call:help"), []);
});

test("help is refused for calls that are not the agent's and calls that do not exist", async () => {
  await desk.call("h4");
  const [cat, ann] = [await desk.connect("cat"), await desk.connect("ann")];
  assertError(await cat.ask("agent:help", { call_id: "h4" }), 403, "/call_id");
  assertError(await ann.ask("agent:help", { call_id: "h4-none" }), 404, "/call_id");
});

test("an agent wraps up a call that has ended, once; a repeat replaces it", async () => {
  const feed = await desk.call("w1");
  const ann = await desk.connect("ann");
  const wrapUp = (more) => ann.ask("call:wrapup", { call_id: "w1", outcome: "solved", ...more });
  assertError(await wrapUp(), 409, "/call_id");
  await feed.ask("call:end", { call_id: "w1" });
  assert.equal((await wrapUp({ notes: "refund in five days" })).ok, true);
  assert.equal((await wrapUp({ outcome: "escalated" })).ok, true);
  const { wrapups: [{ timestamp, ...wrapup }], ...rest } = (await subscribe("ben", "w1")).snapshot;
  assert.deepEqual(wrapup, { agent_id: "ann", outcome: "escalated" });
  assert.match(timestamp, /Z$/);
  assert.equal(rest.call.status, "ended");
  assertError(await (await desk.connect("cat")).ask("call:wrapup", { call_id: "w1", outcome: "solved" }), 403, "/call_id");
  assertError(await ann.ask("call:wrapup", { call_id: "w1", outcome: "" }), 400, "/outcome");
});

test("supervisors who may see all calls are told how much goes on", async () => {
  const feed = await desk.call("st1");
  const [sue, tim, ann] = [await desk.connect("sue"), await desk.connect("tim"), await desk.connect("ann")];
  await desk.connect("ben");
  await until(() => sue.seen("call:stats").length, "the first numbers");
  const before = sue.seen("call:stats").at(-1).calls;
  await feed.ask("call:status", { call_id: "st1", status: "on_hold" });
  for (let i = 0; i < 120; i++) await feed.say(`line ${i}`, { speaker: "agent" });
  await until(() => sue.seen("call:stats").at(-1).lines_per_minute >= 120, "the lines");
  const { calls, agents } = sue.seen("call:stats").at(-1);
  assert.deepEqual([calls.on_hold - before.on_hold, calls.active - before.active, agents], [1, -1, 2]);
  assert.deepEqual([tim.seen("call:stats"), ann.seen("call:stats")], [[], []]);
});

test("documents that were opened or copied teach, less than a vote; a vote counts in their place", async () => {
  const feed = await desk.call("u1");
  const ann = await subscribe("ann", "u1");
  await feed.say("I got the wrong size, I want to return it");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  const doc_id = ann.seen("ai:suggestion")[0].documents[0].id;
  assert.equal((await ann.ask("doc:used", { call_id: "u1", doc_id, how: "opened" })).ok, true);
  assert.equal((await ann.ask("doc:used", { call_id: "u1", doc_id, how: "copied" })).ok, true);
  assertError(await ann.ask("doc:used", { call_id: "u1", doc_id, how: "eaten" }), 400, "/how");
  assertError(await ann.ask("doc:used", { call_id: "u1", doc_id: "none", how: "opened" }), 404, "/doc_id");
  assertError(await (await desk.connect("cat")).ask("doc:used", { call_id: "u1", doc_id, how: "opened" }), 403, "/call_id");
  const vote = await ann.ask("doc:feedback", { call_id: "u1", doc_id, helpful: true });
  assert.deepEqual([vote.helpful, vote.unhelpful], [1, 0], "use is no vote");
});

test("one's own votes are in the snapshot, the newest first, and nobody else's, also of readings that many share", async () => {
  await desk.call("v1");
  const [ann, ben] = [await subscribe("ann", "v1"), await subscribe("ben", "v1")];
  assert.deepEqual(ann.snapshot.votes, []);
  const vote = async (who, doc_id, helpful) => assert.equal((await who.ask("doc:feedback", { call_id: "v1", doc_id, helpful })).ok, true);
  const [first, second] = ["account-access.recover-password", "account-access.recover-username"];
  await vote(ann, first, true);
  await vote(ann, second, true);
  await vote(ann, second, false);
  await vote(ben, first, false);
  const votes = async (who) => (await subscribe(who, "v1")).snapshot.votes.map(({ doc_id, helpful, totals }) => [doc_id, helpful, totals]);
  const [ofAnn, ofBen] = [[[second, false, { helpful: 0, unhelpful: 1 }], [first, true, { helpful: 1, unhelpful: 1 }]], [[first, false, { helpful: 1, unhelpful: 1 }]]];
  const all = await Promise.all(["ann", "sue", "ben", "ann", "root", "ben"].map(votes));
  assert.deepEqual(all, [ofAnn, [], ofBen, ofAnn, [], ofBen]);
  const read = async (who) => (await desk.request(who, "GET", "/api/v1/calls/v1")).body.votes.map(({ doc_id }) => doc_id);
  assert.deepEqual([await read("ann"), await read("sue")], [[second, first], []]);
});

test("lists of calls, searches and the event of a new call say whose call it is", async () => {
  const watcher = await desk.connect("ben");
  await watcher.ask("call:list", {});
  const feed = await desk.call("a1", { agents: ["cat", "ann"] });
  await desk.call("a2");
  await feed.say("a word that nobody else says: quixotic");
  await until(() => watcher.seen("call:status").some(({ call_id }) => call_id === "a2"), "the events");
  assert.deepEqual(watcher.seen("call:status").find(({ call_id }) => call_id === "a1").agents, ["cat", "ann"]);
  const { calls } = await (await desk.connect("cat")).ask("call:list", {});
  assert.deepEqual(calls.map(({ call_id, agents }) => [call_id, agents]).filter(([id]) => id === "a1"), [["a1", ["cat", "ann"]]]);
  const found = await watcher.ask("call:search", { query: "quixotic" });
  assert.deepEqual(found.calls.map(({ call_id, agents }) => [call_id, agents]), [["a1", ["cat", "ann"]]]);
});

test("a page of calls is limited in bytes, whatever their metadata", async () => {
  const other = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"] }, "--call-list-bytes-max", "20000");
  try {
    for (let i = 0; i < 10; i++) await other.call(`large-${i}`, { metadata: { note: "x".repeat(5000) } });
    const pages = [];
    for (let before; !pages.length || before; before = pages.at(-1).next) pages.push((await other.request("ann", "GET", `/api/v1/calls${before ? `?before=${before}` : ""}`)).body);
    assert.deepEqual(pages.map(({ calls }) => calls.length), [4, 4, 2]);
    assert.deepEqual(pages.flatMap(({ calls }) => calls.map(({ call_id }) => call_id)), Array.from({ length: 10 }, (_, i) => `large-${9 - i}`));
    assert.match((await other.request(null, "GET", "/metrics")).body, /^parley_call_lists_cut_total 2$/m);
    other.leave();
  } finally { await other.close(); }
});
