// What happens is counted once, under its own name: who watches over a server has nothing else to go by.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { assertError, Desk } from "./lib/desk.mjs";

let desk;
before(async () => {
  desk = await Desk.open({
    feed: ["--role", "feed"],
    ann: ["--calls", "*"],
    cat: ["--calls", "cats"],
    root: ["--role", "admin"],
  }, "--redaction", "default");
});
afterEach(() => desk.leave());
after(() => desk?.close());

async function counters() {
  const text = await (await fetch(`${desk.parley.url}/metrics`)).text();
  return new Map([...text.matchAll(/^parley_(\S+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]));
}

/** What `act` does adds that much to each. */
async function assertCounted(act, expected) {
  const earlier = await counters();
  await act();
  let grown;
  await until(async () => {
    const now = await counters();
    grown = Object.fromEntries(Object.keys(expected).map((name) => [name, now.get(name) - (earlier.get(name) ?? 0)]));
    return Object.entries(expected).every(([name, value]) => grown[name] >= value);
  }, () => `counted: ${JSON.stringify(grown)}, expected: ${JSON.stringify(expected)}`);
  assert.deepEqual(grown, expected);
}

test("lines, repetitions, and what was taken out of them", async () => {
  const feed = await desk.call("c1");
  await assertCounted(async () => {
    for (const [text, segment_id] of [["one", "s1"], ["two, to ann@acme.example", "s2"], ["one", "s1"]])
      assert.equal((await feed.say(text, { segment_id, is_final: true })).ok, true);
  }, { transcript_lines_total: 2, feed_duplicates_total: 1, redacted_lines_total: 1 });
});

test("what agents do, and what they may not", async () => {
  const feed = await desk.call("c2");
  const ann = await desk.connect("ann");
  assert.equal((await ann.ask("call:subscribe", { call_id: "c2" })).ok, true);
  await feed.say("I got the wrong size, I want to return it");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  const doc_id = ann.seen("ai:suggestion")[0].documents[0].id;
  const cat = await desk.connect("cat");
  await assertCounted(async () => {
    assert.equal((await ann.ask("doc:used", { call_id: "c2", doc_id, how: "opened" })).ok, true);
    assert.equal((await ann.ask("doc:feedback", { call_id: "c2", doc_id, helpful: true })).ok, true);
    assert.equal((await ann.ask("kb:search", { query: "refunds" })).ok, true);
    assertError(await cat.ask("call:subscribe", { call_id: "c2" }), 403, "/call_id");
    assertError(await cat.ask("call:subscribe", {}), 400, "/call_id");
  }, { document_uses_total: 1, feedback_total: 1, searches_total: 1, forbidden_total: 1, invalid_total: 1, events_received_total: 5 });
});

test("a call that an administrator deletes", async () => {
  await desk.call("c3");
  await assertCounted(async () => assert.equal((await desk.request("root", "DELETE", "/api/v1/calls/c3")).status, 200), { calls_deleted_total: 1 });
});

test("who comes, is refused, and goes", async () => {
  await assertCounted(async () => {
    (await desk.connect("ann", "/", { transports: ["websocket"] })).disconnect();
    await assert.rejects(desk.connect("nobody", "/feed", { transports: ["websocket"] }), ({ data }) => data.code === 401);
    desk.leave();
  }, { connects_total: 1, disconnects_total: 1, connects_refused_total: 1, auth_failures_total: 1, sessions_opened_total: 2 });
});

test("requests of Engine.IO that make no sense", async () => {
  const at = `${desk.parley.url}/socket.io/?EIO=4&transport=`;
  await assertCounted(async () => {
    assert.equal((await fetch(`${at}nonsense`)).status, 400);
    const { sid } = JSON.parse((await (await fetch(`${at}polling`)).text()).slice(1));
    assert.equal((await fetch(`${at}polling&sid=${sid}`, { method: "POST", body: "nonsense" })).status, 400);
  }, { handshakes_refused_total: 1, posts_refused_total: 1 });
});
