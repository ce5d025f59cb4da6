// Alert rules: from a file and over HTTP, what they fire on, who is told.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const people = { feed: ["--role", "feed"], ann: ["--calls", "*"], sue: ["--role", "supervisor"], tim: ["--role", "supervisor", "--calls", "other"], root: ["--role", "admin"] };
let desk;
before(async () => { desk = await Desk.open(people); });
afterEach(() => desk.leave());
after(() => desk?.close());

const write = async (rule) => {
  const { status, body } = await desk.request("root", "POST", "/api/v1/rules", rule);
  assert.equal(status, 200, JSON.stringify(body));
};
const forget = (name) => desk.request("root", "DELETE", `/api/v1/rules/${name}`);

async function watch(who, id) {
  const socket = await desk.connect(who);
  const snapshot = await socket.ask("call:subscribe", { call_id: id });
  return Object.assign(socket, { snapshot });
}

test("a phrase fires once in a call, in the customer's line, as an event of the call's log", async () => {
  await write({ name: "lawyer", level: "critical", phrase: "my  Lawyer", speaker: "customer" });
  const feed = await desk.call("a1");
  const [ann, sue, tim] = [await watch("ann", "a1"), await desk.connect("sue"), await desk.connect("tim")];
  assert.deepEqual(ann.snapshot.alerts, []);
  await feed.say("I am my lawyer", { speaker: "agent" });
  await feed.say("my lawyers", { segment_id: "s0" });
  const { seq } = await feed.say("I will call MY\nLAWYER, really", { segment_id: "s1" });
  await feed.say("my lawyer again");
  await until(() => ann.seen("call:alert").length && sue.seen("call:alert").length, "the alert");
  const [{ timestamp, ...alert }] = ann.seen("call:alert");
  assert.deepEqual(alert, { call_id: "a1", rule: "lawyer", level: "critical", segment_id: "s1", speaker: "customer", text: "I will call MY\nLAWYER, really", seq: seq + 1 });
  assert.match(timestamp, /Z$/);
  const late = await watch("ann", "a1");
  assert.deepEqual(late.snapshot.alerts, [{ ...alert, timestamp }]);
  assert.deepEqual((await late.ask("call:subscribe", { call_id: "a1", since_seq: alert.seq })).alerts, []);
  assert.deepEqual([ann.seen("call:alert").length, sue.seen("call:alert").length, tim.seen("call:alert")], [1, 1, []]);
  assert.deepEqual(feed.seen("call:alert"), []);
  await forget("lawyer");
});

test("a pattern may fire in every line; a message stands for the line; lists of lines fire as well", async () => {
  await write({ name: "order", level: "info", pattern: "\\bORD-\\d+", repeat: true, message: "an order number" });
  await desk.call("a2");
  const ann = await watch("ann", "a2");
  const lines = ["ord-1", "nothing", "ORD-2 and ORD-3"].map((text) => ({ speaker: "agent", text }));
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/a2/transcription", lines)).body.stored, 3);
  await until(() => ann.seen("call:alert").length === 2, "the alerts");
  assert.deepEqual(ann.seen("call:alert").map(({ text, level }) => [text, level]), [["an order number", "info"], ["an order number", "info"]]);
  const seqs = ["transcription:update", "call:alert"].flatMap((event) => ann.seen(event).map(({ seq }) => seq)).sort((a, b) => a - b);
  assert.deepEqual(seqs, [1, 2, 3, 4, 5], "no gap");
  await forget("order");
  await desk.request("feed", "POST", "/api/v1/calls/a2/transcription", { speaker: "agent", text: "ORD-4" });
  await until(() => ann.seen("transcription:update").length === 4, "the line");
  await ann.ask("call:list", {});
  assert.equal(ann.seen("call:alert").length, 2);
});

test("call:list has the latest alerts of live calls, for supervisors alone", async () => {
  await write({ name: "order", level: "info", pattern: "ORD-\\d+", repeat: true });
  const [feed, quiet] = [await desk.call("l1"), await desk.call("l2")];
  for (let i = 1; i <= 4; i++) await feed.say(`ORD-${i}`, { speaker: "customer" });
  await quiet.say("hello");
  const listed = async (who, id) => (await (await desk.connect(who)).ask("call:list", {})).calls.find((call) => call.call_id === id);
  const { alerts } = await listed("sue", "l1");
  const watched = (await watch("sue", "l1")).snapshot.alerts;
  assert.equal(watched.length, 4);
  assert.deepEqual(alerts, watched.slice(1));
  assert.deepEqual((await listed("sue", "l2")).alerts, []);
  assert.equal((await listed("ann", "l1")).alerts, undefined);
  await feed.ask("call:end", { call_id: "l1" });
  assert.equal((await listed("sue", "l1")).alerts, undefined);
  await forget("order");
});

test("what was not said in time fires, what was said does not", async () => {
  await write({ name: "greeting", phrase: "good morning", speaker: "agent", not_within_s: 1 });
  const [silent, polite] = [await desk.call("a3"), await desk.call("a4")];
  await polite.say("Good morning", { speaker: "agent" });
  await silent.say("good morning", { speaker: "customer" });
  const [one, other] = [await watch("ann", "a3"), await watch("ann", "a4")];
  await until(() => one.seen("call:alert").length || one.snapshot.alerts.length, "the alert");
  const [alert] = [...one.snapshot.alerts, ...one.seen("call:alert")];
  assert.deepEqual([alert.rule, alert.level, alert.text, alert.segment_id], ["greeting", "warning", "not said within 1 s", undefined]);
  assert.deepEqual(other.seen("call:alert"), []);
  await forget("greeting");
});

test("rules are listed by supervisors and written by administrators, and refused with the place of the mistake", async () => {
  await write({ name: "x", phrase: "x" });
  assert.deepEqual((await desk.request("sue", "GET", "/api/v1/rules")).body.rules, [{ name: "x", phrase: "x", source: "http" }]);
  for (const [who, status] of [[null, 401], ["feed", 403], ["ann", 403]]) assert.equal((await desk.request(who, "GET", "/api/v1/rules")).status, status);
  for (const who of ["sue", "ann", "feed"]) {
    assert.equal((await desk.request(who, "POST", "/api/v1/rules", { name: "y", phrase: "y" })).status, 403);
    assert.equal((await desk.request(who, "DELETE", "/api/v1/rules/x")).status, 403);
  }
  const wrong = [[{ name: "y" }, "/phrase"], [{ name: "y", phrase: "a", pattern: "b" }, "/phrase"], [{ name: "y", pattern: "(" }, "/pattern"], [{ phrase: "a" }, "/name"], [{ name: "y", phrase: "a", level: "odd" }, "/level"], [{ name: "y", phrase: "a", not_within_s: 0 }, "/not_within_s"]];
  for (const [rule, field] of wrong) {
    const { status, body } = await desk.request("root", "POST", "/api/v1/rules", rule);
    assert.deepEqual([status, body.error.field], [400, field], JSON.stringify(rule));
  }
  assert.equal((await forget("x")).status, 200);
  assert.equal((await forget("x")).status, 404);
});

test("a pattern that takes too long fires nothing and stops nobody", async () => {
  await write({ name: "slow", pattern: "^(a|aa)+$" });
  const feed = await desk.call("a5");
  assert.equal((await feed.say(`${"a".repeat(60)}!`)).ok, true); // unbounded, it would take years
  await until(async () => /^parley_alert_patterns_over_total [1-9]/m.test((await desk.request(null, "GET", "/metrics")).body), "the metric");
  await forget("slow");
});

test("rules of a file are read at the start and on SIGHUP; a wrong file changes nothing, or is refused at the start", async () => {
  const file = join(desk.parley.data, "rules.json");
  writeFileSync(file, JSON.stringify([{ name: "one", phrase: "walrus" }]));
  const other = await Desk.open(people, "--alert-rules", file);
  try {
    const rules = async () => (await other.request("sue", "GET", "/api/v1/rules")).body.rules.map(({ name, source }) => `${name} ${source}`);
    await until(async () => (await rules()).join() === "one file", "the rules of the file");
    assert.equal((await other.request("root", "DELETE", "/api/v1/rules/one")).status, 409);
    await other.request("root", "POST", "/api/v1/rules", { name: "mine", phrase: "seal" });
    writeFileSync(file, JSON.stringify([{ name: "two", phrase: "otter" }, { name: "mine", phrase: "other" }]));
    other.parley.child.kill("SIGHUP");
    await until(async () => (await rules()).join() === "mine http,two file", "the new rules");
    writeFileSync(file, "[{");
    other.parley.child.kill("SIGHUP");
    await until(() => /alert rules stay as they were/.test(other.parley.output), "the complaint");
    assert.deepEqual(await rules(), ["mine http", "two file"]);
    const feed = await other.call("a6");
    const ann = await other.connect("ann");
    await ann.ask("call:subscribe", { call_id: "a6" });
    await feed.say("an otter and a seal and a walrus");
    await until(() => ann.seen("call:alert").length === 2, "the alerts");
    assert.deepEqual(ann.seen("call:alert").map(({ rule }) => rule).sort(), ["mine", "two"]);
    other.leave();
  } finally { await other.close(); }
  for (const [text, complaint] of [["{}", /must be a list/], ['[{"name":"a"}]', /\/0\/phrase/], ['[{"name":"a","pattern":"("}]', /\/0\/pattern/]]) {
    writeFileSync(file, text);
    await assert.rejects(Desk.open({}, "--alert-rules", file), complaint);
  }
});
