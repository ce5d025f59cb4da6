// Looking for calls in which something was said, and reading calls over HTTP.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { assertError, Desk } from "./lib/desk.mjs";

let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"], cat: ["--calls", "cat-*,cats"], dan: ["--calls", "none"], root: ["--role", "admin"] });
});
afterEach(() => desk.leave());
after(() => desk?.close());

const search = async (who, query, more = {}) => {
  const socket = await desk.connect(who);
  const answer = await socket.ask("call:search", { query, ...more });
  socket.disconnect();
  return answer;
};
const found = ({ calls }) => calls.map(({ call_id }) => call_id);

test("calls are found by what was said in them, with the lines, the latest first", async () => {
  const one = await desk.call("s1", { metadata: { title: "first" } });
  for (const text of ["My blue parrot is ill", "nothing", "the PARROT is blue, really"]) await one.say(text, { speaker: "agent" });
  const two = await desk.call("s2");
  await two.say("Un perroquet bleu, très cher");
  await two.say("a parrot");
  const { ok, calls } = await search("ann", "parrot");
  assert.equal(ok, true);
  assert.deepEqual(calls.map(({ call_id, lines }) => [call_id, lines.map(({ seq, text }) => [seq, text])]), [
    ["s2", [[2, "a parrot"]]], ["s1", [[3, "the PARROT is blue, really"], [1, "My blue parrot is ill"]]]]);
  assert.deepEqual([calls[1].metadata, calls[1].status, calls[1].lines[0].speaker], [{ title: "first" }, "active", "agent"]);
  assert.deepEqual(found(await search("ann", "blue parrot")), ["s1"]);
  assert.deepEqual(found(await search("ann", "TRÈS cher")), ["s2"], "case does not matter");
  assert.deepEqual(found(await search("ann", "tres cher")), ["s2"], "nor do accents");
  assert.deepEqual(found(await search("ann", "tre\u0300s cher")), ["s2"], "however they are written");
  for (const odd of ["\"", "a OR b", "parrot)", "text:parrot*", "NEAR(parrot blue)", "-", "(", "parrot\" OR \"x", "'; DROP TABLE calls"]) {
    assert.equal((await search("ann", odd)).ok, true, odd);
  }
  assert.deepEqual(found(await search("ann", "- \"parrot\" ...")), ["s2", "s1"]);
});

test("only final lines are found, as they are now", async () => {
  const feed = await desk.call("s3");
  await feed.say("zebra", { segment_id: "x", is_final: false });
  assert.deepEqual(found(await search("ann", "zebra")), []);
  await feed.say("giraffe", { segment_id: "x", is_final: true });
  assert.deepEqual(found(await search("ann", "giraffe")), ["s3"]);
  await feed.say("okapi", { segment_id: "x", is_final: true });
  assert.deepEqual(found(await search("ann", "giraffe")), []);
  assert.deepEqual(found(await search("ann", "okapi")), ["s3"]);
  assert.equal((await desk.request("root", "DELETE", "/api/v1/calls/s3")).status, 200);
  assert.deepEqual(found(await search("ann", "okapi")), []);
});

// The words of lines come into the index a moment later, by the lines' ids.
test("a line that changes before its words are indexed is found as it is; so are lines that have the ids of deleted ones", async () => {
  const feed = await desk.call("s4");
  await feed.say("tapir", { segment_id: "x", is_final: true });
  await feed.say("peccary", { segment_id: "x", is_final: true });
  assert.deepEqual([found(await search("ann", "tapir")), found(await search("ann", "peccary"))], [[], ["s4"]]);
  await (await desk.call("s5")).say("an agouti");
  assert.deepEqual(found(await search("ann", "agouti")), ["s5"]);
  assert.equal((await desk.request("root", "DELETE", "/api/v1/calls/s5")).status, 200);
  await (await desk.call("s6")).say("a paca");
  assert.deepEqual([found(await search("ann", "agouti")), found(await search("ann", "paca"))], [[], ["s6"]]);
  await (await desk.call("s7")).say("a capybara");
  assert.equal((await desk.request("root", "DELETE", "/api/v1/calls/s7")).status, 200);
  assert.deepEqual(found(await search("ann", "capybara")), [], "deleted before it was indexed");
});

test("what was acknowledged is found though the server was killed before it was indexed", async () => {
  const feed = await desk.call("s8");
  for (let i = 0; i < 50; i++) await feed.say(`a quagga ${i}`);
  desk.parley.child.kill("SIGKILL");
  await desk.parley.ended;
  await desk.parley.start();
  await until(async () => found(await search("ann", "quagga 49")).length, "the line");
  assert.deepEqual(found(await search("ann", "quagga 0")), ["s8"]);
});

test("nobody finds calls that are not theirs; a call's own agents find it", async () => {
  await (await desk.call("cat-1")).say("a walrus");
  await (await desk.call("dog-1")).say("a walrus");
  await (await desk.call("dog-2", { agents: ["dan"] })).say("a walrus");
  assert.deepEqual(found(await search("ann", "walrus")), ["dog-2", "dog-1", "cat-1"]);
  assert.deepEqual(found(await search("cat", "walrus")), ["cat-1"]);
  assert.deepEqual(found(await search("dan", "walrus")), ["dog-2"]);
  assertError(await search("ann", ""), 400, "/query");
  assertError(await search("ann", "x", { before: "x" }), 400, "/before");
});

test("pages have each call once, however its lines lie between those of others", async () => {
  const feeds = [];
  for (let i = 0; i < 9; i++) feeds.push(await desk.call(`p${i}`));
  for (let round = 0; round < 3; round++) for (const feed of feeds) await feed.say("a narwhal");
  const seen = [];
  for (let before; ;) {
    const answer = await search("ann", "narwhal", { limit: 2, ...(before ? { before } : {}) });
    assert.ok(answer.calls.length <= 2);
    seen.push(...found(answer));
    before = answer.next;
    if (!before) break;
  }
  assert.deepEqual(seen, ["p8", "p7", "p6", "p5", "p4", "p3", "p2", "p1", "p0"]);
});

test("a page that is full is the last if no other call comes behind it that the user may see", async () => {
  for (const id of ["secret-1", "cat-1", "cat-2"]) {
    const feed = await desk.call(id);
    for (const text of ["an okapi", "that okapi"]) await feed.say(text);
  }
  const full = await search("cat", "okapi", { limit: 2 });
  assert.deepEqual([found(full), full.next], [["cat-2", "cat-1"], undefined]);
  const first = await search("cat", "okapi", { limit: 1 });
  assert.deepEqual(found(first), ["cat-2"]);
  const second = await search("cat", "okapi", { limit: 1, before: first.next });
  assert.deepEqual([found(second), second.next], [["cat-1"], undefined]);
  const all = await search("ann", "okapi", { limit: 2 });
  assert.deepEqual(found(await search("ann", "okapi", { limit: 2, before: all.next })), ["secret-1"]);
});

test("calls are listed and read over HTTP, by whom they are open to", async () => {
  await (await desk.call("cats")).say("a lynx");
  const list = await desk.request("cat", "GET", "/api/v1/calls?limit=1");
  assert.deepEqual([list.status, list.body.calls.map(({ call_id }) => call_id)], [200, ["cats"]]);
  const { status, body } = await desk.request("cat", "GET", "/api/v1/calls/cats");
  assert.deepEqual([status, body.call.call_id, body.transcript.map(({ text }) => text)], [200, "cats", ["a lynx"]]);
  assert.equal((await desk.request("dan", "GET", "/api/v1/calls/cats")).status, 403);
  assert.equal((await desk.request("ann", "GET", "/api/v1/calls/no-such-call")).status, 404);
  for (const [who, code] of [[null, 401], ["feed", 403]]) assert.equal((await desk.request(who, "GET", "/api/v1/calls/cats")).status, code);
});
