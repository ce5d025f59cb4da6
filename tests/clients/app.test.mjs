// The application with the stock client: feeds, agents, snapshots, rights, restarts. Each test uses calls of its own.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { problemsWith } from "./lib/schemas.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, sleep, until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let parley;
let tokens;
const open = new Set();

before(async () => {
  parley = await startParley();
  tokens = {
    feed: await parley.token("--sub", "feed", "--role", "feed"),
    alice: await parley.token("--sub", "alice", "--calls", "*"),
    bob: await parley.token("--sub", "bob", "--calls", "bobs,bobs-*"),
    sue: await parley.token("--sub", "sue", "--role", "supervisor"),
  };
});
afterEach(() => {
  for (const socket of open) socket.disconnect();
  const wrong = [...open].flatMap(({ log }) => log).flatMap(([event, data]) => problemsWith(event, data));
  open.clear();
  assert.deepEqual(wrong, [], "what the server sent is as documented");
});
after(() => parley?.stop());


/** A socket with `ask(event, data)` for acks and `log`, everything it was sent. Rejects with the connect error. */
function connect(namespace, auth, { server = parley, ...options } = {}) {
  const socket = io(server.url + namespace, { auth, forceNew: true, reconnection: false, ...options });
  open.add(socket);
  socket.log = [];
  socket.onAny((event, data) => socket.log.push([event, data]));
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  socket.seen = (event) => socket.log.filter(([name]) => name === event).map(([, data]) => data);
  socket.gone = new Promise((resolve) => socket.once("disconnect", resolve));
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

const feed = () => connect("/feed", { token: tokens.feed });
const agent = (who, options) => connect("/", { token: tokens[who] }, options);
const webSocket = { transports: ["websocket"] };
const line = (callId, text, more = {}) => ({ call_id: callId, speaker: "customer", text, ...more });

function assertError(answer, code, field) {
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, code, JSON.stringify(answer));
  assert.equal(answer.error.field, field);
  assert.equal(typeof answer.error.message, "string");
}

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`a line reaches the agent at once, as it came, with seq and documents: ${transports.join(" + ")}`, async () => {
    const id = `live-${transports.join("-")}`;
    const from = await feed();
    assert.deepEqual(await from.ask("call:start", { call_id: id, metadata: { queue: 7 } }), { ok: true, call_id: id, seq: 0 });
    const alice = await agent("alice", { transports });
    const answer = await alice.ask("call:subscribe", { call_id: id });
    assert.equal(answer.ok, true);
    assert.deepEqual([answer.transcript, answer.suggestions, answer.seq], [[], [], 0]);
    assert.equal(answer.call.status, "active");
    assert.deepEqual(answer.call.metadata, { queue: 7 });
    const said = line(id, "I got the wrong size, I want to return it", { segment_id: "s1", is_final: true, odd: { n: 0.1 } });
    assert.equal((await from.ask("transcription:update", said)).seq, 1);
    await until(() => alice.seen("ai:suggestion").length === 1, "a suggestion");
    const [{ timestamp, ...heard }] = alice.seen("transcription:update");
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(heard, { ...said, seq: 1 });
    const [suggestion] = alice.seen("ai:suggestion");
    assert.equal(suggestion.seq, 2);
    assert.equal(suggestion.documents[0].id, "product-defect.return-due-to-size");
    assert.ok(suggestion.documents.length <= 5);
    for (const document of suggestion.documents) {
      assert.ok(document.relevance > 0 && document.relevance <= 1);
      assert.ok(document.title && document.excerpt);
    }
    assert.match(suggestion.summary, /wrong size/);
  });
}

test("an interim line is replaced until it is final; a repeat is accepted once", async () => {
  const from = await feed();
  const alice = await agent("alice");
  await from.ask("call:start", { call_id: "interim" });
  await alice.ask("call:subscribe", { call_id: "interim" });
  const seqs = [];
  for (const [text, is_final] of [["I", false], ["I want", false], ["I want it", true], ["I want it", true], ["I", false]]) {
    seqs.push((await from.ask("transcription:update", line("interim", text, { segment_id: "s", is_final }))).seq);
  }
  assert.deepEqual(seqs, [1, 2, 3, 3, 3]);
  await until(() => alice.seen("transcription:update").length === 3, "three updates");
  const late = await (await agent("alice")).ask("call:subscribe", { call_id: "interim" });
  assert.deepEqual(late.transcript.map(({ text, seq }) => [text, seq]), [["I want it", 3]]);
});

test("late and reconnecting agents get what they missed", async () => {
  const from = await feed();
  await from.ask("call:start", { call_id: "late" });
  for (let i = 1; i <= 5; i++) await from.ask("transcription:update", line("late", `l${i}`, { speaker: "agent" }));
  await from.ask("call:status", { call_id: "late", status: "on_hold" });
  const alice = await agent("alice");
  const all = await alice.ask("call:subscribe", { call_id: "late" });
  assert.deepEqual(all.transcript.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
  assert.deepEqual([all.seq, all.call.status], [6, "on_hold"]);
  const rest = await alice.ask("call:subscribe", { call_id: "late", since_seq: 3 });
  assert.deepEqual(rest.transcript.map(({ seq }) => seq), [4, 5]);
  assert.deepEqual((await alice.ask("call:subscribe", { call_id: "late", since_seq: 6 })).transcript, []);
});

test("a snapshot among flowing lines loses none and doubles none", async () => {
  const count = 2000;
  const from = await connect("/feed", { token: tokens.feed }, webSocket);
  await from.ask("call:start", { call_id: "flow" });
  const watchers = await Promise.all(Array.from({ length: 8 }, () => agent("alice", webSocket)));
  const snapshots = [];
  let acked = 0;
  for (let i = 1; i <= count; i++) {
    from.emit("transcription:update", line("flow", `l${i}`, { speaker: "agent" }), (answer) => { acked += answer.ok; });
    if (i % 200 === 100) {
      const watcher = watchers.pop();
      if (watcher) watcher.emit("call:subscribe", { call_id: "flow" }, (answer) => snapshots.push([watcher, answer]));
    }
    if (i % 50 === 0) await sleep(1);
  }
  await until(() => acked === count && snapshots.length === 8, "all acks");
  for (const [watcher, answer] of snapshots) {
    const first = answer.transcript.map(({ seq }) => seq);
    await until(() => first.length + watcher.seen("transcription:update").length >= count, "all lines");
    const seqs = [...first, ...watcher.seen("transcription:update").map(({ seq }) => seq)];
    assert.deepEqual(seqs, Array.from({ length: count }, (_, i) => i + 1));
  }
});

test("nothing of a call reaches a socket outside its room", async () => {
  const from = await feed();
  const [alice, bob, carl] = await Promise.all([agent("alice"), agent("bob"), agent("alice")]);
  await from.ask("call:start", { call_id: "secret" });
  await from.ask("call:start", { call_id: "bobs" });
  await alice.ask("call:subscribe", { call_id: "secret" });
  await bob.ask("call:subscribe", { call_id: "bobs" });
  await carl.ask("call:subscribe", { call_id: "secret" });
  assert.deepEqual(await carl.ask("call:unsubscribe", { call_id: "secret" }), { ok: true });
  carl.log.length = 0;
  assertError(await bob.ask("call:subscribe", { call_id: "secret" }), 403, "/call_id");
  assertError(await bob.ask("call:subscribe", { call_id: "there-is-none" }), 403, "/call_id");
  assertError(await alice.ask("call:subscribe", { call_id: "there-is-none" }), 404, "/call_id");
  assertError(await bob.ask("doc:feedback", { call_id: "secret", doc_id: "x", helpful: true }), 403, "/call_id");
  await from.ask("transcription:update", line("secret", "I forgot my password"));
  await from.ask("call:end", { call_id: "secret" });
  await until(() => alice.seen("call:status").length === 1, "the end");
  const [list] = await Promise.all([bob, carl].map((socket) => socket.ask("call:list", {}))); // after all that was sent
  assert.deepEqual(bob.log.filter(([event]) => event !== "agent:presence"), []);
  assert.deepEqual(carl.log, []);
  assert.deepEqual(list.calls.map(({ call_id }) => call_id), ["bobs"]);
  assertError(await from.ask("call:status", { call_id: "secret", status: "active" }), 409, "/call_id");
});

test("a call's own list of agents lets them in; a token may name calls by their beginning", async () => {
  const from = await feed();
  const bob = await agent("bob");
  await from.ask("call:start", { call_id: "shared", agents: ["bob"], metadata: { title: "Refund" } });
  await from.ask("call:start", { call_id: "bobs-1" });
  const { calls } = await bob.ask("call:list", {});
  assert.deepEqual(calls.find(({ call_id }) => call_id === "shared").metadata, { title: "Refund" });
  assert.equal((await bob.ask("call:subscribe", { call_id: "shared" })).ok, true);
  assert.equal((await bob.ask("call:subscribe", { call_id: "bobs-1" })).ok, true);
});

test("who watches a call is told when it changes", async () => {
  const from = await feed();
  await from.ask("call:start", { call_id: "watched" });
  const alice = await agent("alice");
  await alice.ask("call:subscribe", { call_id: "watched" });
  await until(() => alice.seen("agent:presence").length === 1, "herself");
  const sue = await agent("sue");
  await sue.ask("call:subscribe", { call_id: "watched" });
  await until(() => alice.seen("agent:presence").at(-1).agents.join() === "alice,sue", "both");
  await until(() => sue.seen("agent:presence").length === 1, "the newcomer is told, too");
  sue.disconnect();
  await until(() => alice.seen("agent:presence").at(-1).agents.join() === "alice", "one less");
});

test("feedback counts once per agent, document and call, and supervisors see it", async () => {
  const from = await feed();
  const [alice, sue] = await Promise.all([agent("alice"), agent("sue")]);
  await from.ask("call:start", { call_id: "rated" });
  await alice.ask("call:subscribe", { call_id: "rated" });
  await sue.ask("call:subscribe", { call_id: "rated" });
  const rate = (socket, helpful) => socket.ask("doc:feedback", { call_id: "rated", doc_id: "storewide-query.policy-faq", helpful });
  assert.deepEqual(await rate(alice, true), { ok: true, helpful: 1, unhelpful: 0 });
  assert.deepEqual(await rate(alice, true), { ok: true, helpful: 1, unhelpful: 0 });
  assert.deepEqual(await rate(alice, false), { ok: true, helpful: 0, unhelpful: 1 });
  assert.deepEqual(await rate(sue, true), { ok: true, helpful: 1, unhelpful: 1 });
  assertError(await alice.ask("doc:feedback", { call_id: "rated", doc_id: "none", helpful: true }), 404, "/doc_id");
  await until(() => sue.seen("doc:feedback").length === 4, "four votes");
  assert.equal(sue.seen("doc:feedback")[0].agent_id, "alice");
  assert.deepEqual(alice.seen("doc:feedback"), []);
});

test("connections without the right token are refused with a code", async () => {
  const expired = sign(keyOf(parley), { sub: "eve", role: "agent", exp: now() - 1 });
  const forged = `${tokens.alice.slice(0, -4)}AAAA`;
  const cases = [["/", { token: "x" }, 401], ["/", { token: 42 }, 401], ["/", { token: "" }, 401], ["/", { token: forged }, 401],
    ["/", { token: expired }, 401], ["/feed", {}, 401], ["/feed", { token: tokens.alice }, 403], ["/", { token: tokens.feed }, 403]];
  for (const [namespace, auth, code] of cases) {
    await assert.rejects(connect(namespace, auth), (error) => error.data?.code === code, JSON.stringify([namespace, auth, code]));
  }
});

test("without a token agent:connect comes first", async () => {
  const good = await connect("/", {});
  assert.deepEqual(await good.ask("agent:connect", { agent_id: "alice", auth_token: tokens.alice }), { ok: true, agent_id: "alice", role: "agent" });
  assert.equal((await good.ask("call:list", {})).ok, true);

  const hasty = await connect("/", {}, webSocket);
  assertError(await hasty.ask("call:list", {}), 401, undefined);
  assert.equal(await hasty.gone, "io server disconnect");
  assert.deepEqual(hasty.seen("error"), [], "at once, not when its time is over");

  const wrong = await connect("/", {}, webSocket);
  assertError(await wrong.ask("agent:connect", { agent_id: "bob", auth_token: tokens.alice }), 403, "/agent_id");
  assert.equal(wrong.connected, true);
  assertError(await wrong.ask("agent:connect", { agent_id: "bob", auth_token: "no" }), 401, undefined);
  assert.equal(await wrong.gone, "io server disconnect");
  assert.deepEqual(wrong.seen("error"), []);
  assertError(await good.ask("agent:connect", { agent_id: "bob", auth_token: tokens.bob }), 403, undefined);
});

test("who does not say who it is in time is disconnected, who said so stays", async () => {
  const strict = await startParley("--auth-timeout-ms", "500");
  try {
    const token = await strict.token("--sub", "ann");
    const said = await until(async () => {
      const socket = await connect("/", {}, { ...webSocket, server: strict });
      const answer = await socket.ask("agent:connect", { agent_id: "ann", auth_token: token }).catch(() => ({})); // it was late
      return answer.ok && socket;
    }, "one that is in time");
    const silent = await connect("/", {}, { server: strict });
    assert.equal(await silent.gone, "io server disconnect");
    assert.equal(silent.seen("error")[0].code, 401);
    assert.match(await (await fetch(`${strict.url}/metrics`)).text(), /^parley_auth_timeouts_total [1-9]/m);
    assert.equal((await said.ask("call:list", {})).ok, true);
  } finally {
    await strict.stop();
  }
});

test("a token that expires ends the connection, a new one in time keeps it", async () => {
  const longer = await parley.token("--sub", "eve");
  const token = sign(keyOf(parley), { sub: "eve", role: "agent", exp: now() + 6 });
  const [eve, ada] = await Promise.all([connect("/", { token }), connect("/", { token })]);
  assert.equal((await ada.ask("agent:connect", { agent_id: "eve", auth_token: longer })).ok, true);
  assert.equal(await eve.gone, "io server disconnect");
  assert.equal(eve.seen("error")[0].code, 401);
  assert.match(await (await fetch(`${parley.url}/metrics`)).text(), /^parley_auth_expired_total [1-9]/m);
  assert.equal(ada.connected, true);
});

test("payloads that do not fit are refused with a pointer, and the socket stays", async () => {
  const from = await feed();
  const cases = [["call:start", {}, "/call_id"], ["call:start", { call_id: "a b" }, "/call_id"], ["call:start", { call_id: "x".repeat(129) }, "/call_id"],
    ["call:start", "text", undefined], ["call:start", [], undefined], ["call:start", null, undefined],
    ["call:start", { call_id: "a", agents: ["ok", 5] }, "/agents/1"], ["transcription:update", { call_id: "a", speaker: "b" }, "/text"],
    ["transcription:update", line("a", "x", { timestamp: "noon" }), "/timestamp"], ["call:status", { call_id: "a", status: "odd" }, "/status"],
    ["call:start", { call_id: "a", metadata: Buffer.from("x") }, undefined]];
  for (const [event, payload, field] of cases) assertError(await from.ask(event, payload), 400, field);
  assertError(await from.timeout(PATIENCE_MS).emitWithAck("call:start", { call_id: "a" }, "more"), 400, undefined);
  from.emit("call:start", { call_id: 5 });
  await until(() => from.seen("error").length === 1, "an error event");
  assert.equal(from.seen("error")[0].event, "call:start");
  assert.equal(from.seen("error")[0].code, 400);
  assert.equal(from.connected, true);
});

test("the same over HTTP", async () => {
  const request = async (path, body, token) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${parley.url}/api/v1/calls${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    return [response.status, await response.json()];
  };
  const alice = await agent("alice");
  assert.equal((await request("", { call_id: "rest" }))[0], 401);
  assert.equal((await request("", { call_id: "rest" }, tokens.alice))[0], 403);
  assert.deepEqual(await request("", { call_id: "rest" }, tokens.feed), [201, { ok: true, call_id: "rest", seq: 0 }]);
  assert.equal((await request("", { call_id: "rest" }, tokens.feed))[1].duplicate, true);
  await alice.ask("call:subscribe", { call_id: "rest" });
  const two = [{ speaker: "agent", text: "a", segment_id: "1" }, { speaker: "agent", text: "b", segment_id: "2" }];
  assert.deepEqual(await request("/rest/transcription", two, tokens.feed), [200, { ok: true, call_id: "rest", stored: 2, duplicates: 0, seq: 2 }]);
  assert.deepEqual(await request("/rest/transcription", two, tokens.feed), [200, { ok: true, call_id: "rest", stored: 0, duplicates: 2, seq: 2 }]);
  const lines = ['{"speaker":"agent","text":"a","segment_id":"1"}', "", '{"speaker":"agent",', "  ", '{"speaker":"agent","text":"b","segment_id":"2"}'];
  const streamed = await fetch(`${parley.url}/api/v1/calls/rest/transcription`, { method: "POST", body: lines.join("\r\n"),
    headers: { "content-type": "application/x-ndjson", authorization: `Bearer ${tokens.feed}` } });
  const { duplicates, errors } = await streamed.json();
  assert.deepEqual([streamed.status, duplicates, errors.map(({ index, code }) => [index, code])], [200, 2, [[1, 400]]]);
  const missing = { code: 400, message: "is missing" };
  assert.deepEqual(await request("/rest/transcription", [two[0], { speaker: "agent" }], tokens.feed), [200, { ok: false, call_id: "rest",
    stored: 0, duplicates: 1, seq: 1, failed: 1, error: { ...missing, field: "/1/text" }, errors: [{ index: 1, ...missing, field: "/text" }] }]);
  const [status, refused] = await request("/rest/transcription", [{ text: "x" }], tokens.feed);
  assert.deepEqual([status, refused.stored, refused.error.field], [400, 0, "/0/speaker"]);
  assert.equal((await request("/rest/transcription", { speaker: "agent", text: "c", odd: 1 }, tokens.feed))[1].seq, 3);
  assert.equal((await request("/rest/transcription", { call_id: "other", speaker: "agent", text: "c" }, tokens.feed))[0], 400);
  assert.equal((await request("/rest/status", { status: "ended" }, tokens.feed))[1].seq, 4);
  const isOfCall = ({ call_id: id }) => id === "rest";
  await until(() => alice.seen("call:status").some(({ status: now }) => now === "ended"), "the status that was posted alone");
  const stored = (await alice.ask("call:subscribe", { call_id: "rest" })).transcript;
  assert.ok([...alice.seen("call:status"), ...alice.seen("transcription:update"), ...stored].every(isOfCall), "what is posted alone has its call");
  assert.equal((await request("/rest/nothing", {}, tokens.feed))[0], 404);
  assert.equal((await request("/none/status", { status: "ended" }, tokens.feed))[0], 404);
  for (const [path, method, allow] of [["", "PUT", "GET, HEAD, POST"], ["/rest/status", "GET", "POST"]]) {
    const wrong = await fetch(`${parley.url}/api/v1/calls${path}`, { method });
    assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, allow]);
    assertError(await wrong.json(), 405, undefined);
  }
  for (const path of ["/api", "/api/", "/api/v2/calls", "/api/v1/calls/", "/api/v1/calls/a%20b/status", "/api/v1/calls/rest/nothing"]) {
    const nothing = await fetch(parley.url + path);
    assert.deepEqual([path, nothing.status], [path, 404]);
    assertError(await nothing.json(), 404, undefined);
  }
  await until(() => alice.seen("call:status").length === 1, "the end");
  assert.deepEqual(alice.seen("transcription:update").map(({ text, seq, odd }) => [text, seq, odd]), [["a", 1, undefined], ["b", 2, undefined], ["c", 3, 1]]);
  assert.equal(typeof alice.seen("call:status")[0].duration, "number");
  for (const event of alice.log.map(([, data]) => data)) assert.equal(event.call_id, "rest");
  for (const one of (await alice.ask("call:subscribe", { call_id: "rest" })).transcript) assert.equal(one.call_id, "rest");
});

test("a query is read whole: a NUL ends neither a name nor a value, and a number is digits", async () => {
  for (const id of ["query-1", "query-2"]) {
    const made = await fetch(`${parley.url}/api/v1/calls`, { method: "POST", body: JSON.stringify({ call_id: id }),
      headers: { "content-type": "application/json", authorization: `Bearer ${tokens.feed}` } });
    assert.equal(made.status, 201);
  }
  const list = async (query) => {
    const response = await fetch(`${parley.url}/api/v1/calls?${query}`, { headers: { authorization: `Bearer ${tokens.alice}` } });
    return [response.status, await response.json()];
  };
  assert.equal((await list("limit=1"))[1].calls.length, 1);
  assert.equal((await list("l%69mit=%31"))[1].calls.length, 1);
  for (const name of ["limit%00", "limit%00x", "%00limit"]) assert.ok((await list(`${name}=1`))[1].calls.length > 1, name);
  for (const value of ["1%00", "1%00x", "%00", "+1", "%2B1", "1+", "1e0", "1.0", "0x1", "-", "", "99999999999999999999", "18446744073709551617"])
    assert.deepEqual([value, ...(await list(`limit=${value}`)).map((one) => one.error?.field ?? one)], [value, 400, "/limit"]);
  for (const before of ["~", "~+5", "~%2B5", "~5+", "~5%00", "~5x", "~-5", "~99999999999999999999"])
    assert.deepEqual([before, ...(await list(`before=${before}`)).map((one) => one.error?.field ?? one)], [before, 400, "/before"]);
});

test("a path answers to its methods, and to other origins as configured", async () => {
  const headers = { authorization: `Bearer ${tokens.feed}` };
  const url = `${parley.url}/api/v1/calls`;
  const asked = await fetch(url, { method: "OPTIONS" });
  assert.deepEqual([asked.status, asked.headers.get("allow"), await asked.text()], [204, "GET, HEAD, POST", ""]);
  const anonymous = await fetch(url, { method: "POST", body: "{}" });
  assert.deepEqual([anonymous.status, anonymous.headers.get("www-authenticate")], [401, "Bearer"]);
  const post = async (path, body) => (await fetch(url + path, { method: "POST", headers, body })).status;
  assert.equal(await post("", '{"call_id":"ends"}'), 201);
  assert.deepEqual([await post("/ends/end", "{}"), await post("/ends/transcription", '{"speaker":"a","text":"b","is_final":false,"segment_id":"1"}')], [200, 409]);
  assert.deepEqual([await post("/ends", "{}"), await post("/ends/", "{}"), await post("/en%64s/end", "{}")], [405, 404, 200]);
  const open = await startParley("--cors-origin", "https://desk.example");
  try {
    const origin = { origin: "https://desk.example" };
    const preflight = await fetch(`${open.url}/api/v1/calls`, { method: "OPTIONS",
      headers: { ...origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" } });
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-headers")], [204, "authorization"]);
    for (const path of ["/api/v1/calls", "/api/v1/nothing", "/health"])
      assert.equal((await fetch(open.url + path, { headers: origin })).headers.get("access-control-allow-origin"), "https://desk.example", path);
    // Before its body is read, so that a page of another origin hears why too.
    for (const path of ["/api/v1/calls", "/api/v1/calls/a/transcriptions", "/api/v1/nothing"]) {
      const large = await fetch(open.url + path, { method: "POST", headers: origin, body: "x".repeat(1100000) });
      const seen = [large.status, large.headers.get("access-control-allow-origin"), large.headers.get("x-content-type-options"), (await large.json()).error.code];
      assert.deepEqual(seen, [413, "https://desk.example", "nosniff", 413], path);
    }
  } finally {
    await open.stop();
  }
});

test("events that do not exist are refused, and a full queue says when to try again", async () => {
  const [from, alice] = await Promise.all([feed(), agent("alice")]);
  assertError(await from.ask("call:strat", { call_id: "a" }), 404, undefined);
  assertError(await alice.ask("call:start", { call_id: "a" }), 404, undefined);
  assertError(await alice.ask("__proto__", {}), 404, undefined);
  alice.emit("no:such", {});
  await until(() => alice.seen("error").length === 1, "an error event");
  assert.deepEqual([alice.seen("error")[0].code, alice.seen("error")[0].event], [404, "no:such"]);
  const busy = await startParley("--work-queue-max", "4");
  try {
    const headers = { authorization: `Bearer ${await busy.token("--sub", "feed", "--role", "feed")}` };
    const post = () => fetch(`${busy.url}/api/v1/calls`, { method: "POST", headers, body: '{"call_id":"a"}' });
    const refused = (await Promise.all(Array.from({ length: 100 }, post))).find(({ status }) => status === 503);
    assert.equal(refused?.headers.get("retry-after"), "1");
    assert.equal((await refused.json()).error.retry_after_ms, 1000);
  } finally {
    await busy.stop();
  }
});

test("who lists calls is told of new and changed ones that it may see, and of no others", async () => {
  const token = (sub, calls) => parley.token("--sub", sub, "--calls", calls);
  const from = await feed();
  const [alice, bob, carol, dave] = await Promise.all([agent("alice"), connect("/", { token: await token("ben", "listed,bens-*") }),
    connect("/", { token: await token("carol ~ *", "none") }), agent("alice")]);
  for (const socket of [alice, bob, carol]) assert.equal((await socket.ask("call:list", {})).ok, true);
  const told = (socket) => socket.seen("call:status").map(({ call_id, status, seq }) => `${call_id} ${status} ${seq}`);
  await from.ask("call:start", { call_id: "listed-not", agents: ["carol ~ *"], metadata: { odd: [1] }, status: "ringing" });
  await from.ask("call:start", { call_id: "bens-1" });
  await from.ask("call:start", { call_id: "listed" });
  await alice.ask("call:subscribe", { call_id: "bens-1" });
  await from.ask("call:end", { call_id: "bens-1" });
  await from.ask("call:status", { call_id: "listed-not", status: "active" });
  await until(() => told(alice).length === 5 && told(bob).length === 3 && told(carol).length === 2, "the news");
  assert.deepEqual(told(alice), ["listed-not ringing 0", "bens-1 active 0", "listed active 0", "bens-1 ended 1", "listed-not active 1"]);
  assert.deepEqual(told(bob), ["bens-1 active 0", "listed active 0", "bens-1 ended 1"]);
  assert.deepEqual(told(carol), ["listed-not ringing 0", "listed-not active 1"]);
  assert.deepEqual(told(dave), []);
  const [first] = carol.seen("call:status");
  assert.deepEqual([first.metadata, first.duration, typeof first.started_at], [{ odd: [1] }, 0, "string"]);

  assert.equal((await bob.ask("auth:refresh", { token: await token("ben", "listed") })).ok, true);
  await from.ask("call:start", { call_id: "bens-2" });
  await from.ask("call:end", { call_id: "listed" });
  await until(() => told(bob).length === 4, "the call that is left");
  assert.deepEqual(told(bob).at(-1), "listed ended 1");
  assert.equal(told(alice).length, 7);

  const ids = async (socket, query) => (await socket.ask("call:list", query)).calls.map(({ call_id }) => call_id);
  assert.deepEqual(await ids(bob, {}), ["listed"]);
  assert.deepEqual(await ids(carol, {}), ["listed-not"]);
  const page = await alice.ask("call:list", { limit: 2 });
  assert.deepEqual(page.calls.map(({ call_id }) => call_id), ["bens-2", "listed"]);
  assert.deepEqual(await ids(alice, { limit: 2, before: page.next }), ["bens-1", "listed-not"]);
  assert.deepEqual(await ids(alice, { limit: 1, before: "listed" }), ["bens-1"]);
  assert.deepEqual(await ids(alice, { limit: 2, status: "ended" }), ["listed", "bens-1"]);
  assert.equal((await bob.ask("call:list", { limit: 1 })).next, undefined, "nothing is behind the last one");
  assertError(await bob.ask("call:list", { before: "bens-2" }), 400, "/before");
  assertError(await bob.ask("call:list", { before: "~x" }), 400, "/before");
  assertError(await bob.ask("call:list", { limit: 0 }), 400, "/limit");
});

test("calls and documents are deleted by those who may, and whoever watches is told", async () => {
  const admin = await parley.token("--sub", "root", "--role", "admin");
  const remove = async (path, token) => {
    const response = await fetch(`${parley.url}/api/v1/${path}`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } });
    return [response.status, (await response.json()).ok];
  };
  const [from, alice] = await Promise.all([feed(), agent("alice")]);
  await from.ask("call:start", { call_id: "gone" });
  await from.ask("transcription:update", line("gone", "x"));
  await alice.ask("call:subscribe", { call_id: "gone" });
  for (const token of [tokens.feed, tokens.alice, tokens.sue]) assert.deepEqual(await remove("calls/gone", token), [403, false]);
  assert.deepEqual(await remove("calls/gone", admin), [200, true]);
  assert.deepEqual(await remove("calls/gone", admin), [404, false]);
  await until(() => alice.seen("error").length === 1, "the news");
  assert.deepEqual([alice.seen("error")[0].code, alice.seen("error")[0].call_id], [404, "gone"]);
  assertError(await alice.ask("call:subscribe", { call_id: "gone" }), 404, "/call_id");
  alice.log.length = 0;
  await from.ask("call:start", { call_id: "gone", agents: ["somebody"] });
  assert.equal((await from.ask("transcription:update", line("gone", "of another call"))).seq, 1);
  const other = await agent("alice");
  await other.ask("call:subscribe", { call_id: "gone" });
  await from.ask("transcription:update", line("gone", "more"));
  await until(() => other.seen("transcription:update").length === 1, "the other's line");
  assert.deepEqual(alice.seen("transcription:update"), [], "the room of the call that is gone is empty");

  const id = "storewide-query.policy-faq";
  assert.deepEqual(await remove(`documents/${id}`, tokens.alice), [403, false]);
  assert.deepEqual(await remove(`documents/${id}`, tokens.sue), [200, true]);
  assert.deepEqual(await remove(`documents/${id}`, admin), [404, false]);
  assert.deepEqual(await remove("documents/a%20b", admin), [404, false]);
  assertError(await alice.ask("doc:feedback", { call_id: "gone", doc_id: id, helpful: true }), 404, "/doc_id");
});

test("a call ends by itself when its feed is gone and nobody speaks of it", async () => {
  const own = await startParley("--call-idle-timeout-s", "1");
  const sockets = [];
  try {
    const token = await own.token("--sub", "feed", "--role", "feed");
    const open = async (namespace, auth) => {
      const socket = io(own.url + namespace, { auth, forceNew: true, reconnection: false });
      sockets.push(socket);
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
      return socket;
    };
    const [from, alice] = [await open("/feed", { token }), await open("/", { token: await own.token("--sub", "alice", "--calls", "*") })];
    const ended = [];
    alice.on("call:status", ({ call_id, status, reason, seq }) => ended.push([call_id, status, reason, seq].join()));
    await from.timeout(PATIENCE_MS).emitWithAck("call:start", { call_id: "kept" });
    const posted = await fetch(`${own.url}/api/v1/calls`, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: '{"call_id":"left"}' });
    assert.equal(posted.status, 201);
    for (const call_id of ["kept", "left"]) assert.equal((await alice.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id })).ok, true);
    await until(() => ended.length === 1, "the end of the call without a feed");
    assert.deepEqual(ended, ["left,ended,no feed,1"]);
    from.disconnect();
    await until(() => ended.length === 2, "the end of the other, whose feed is gone now");
    assert.equal(ended[1], "kept,ended,no feed,1");
  } finally {
    for (const socket of sockets) socket.disconnect();
    await own.stop();
  }
});

test("the same text is taken or refused alike through both doors", async () => {
  const headers = { "content-type": "application/json", authorization: `Bearer ${tokens.feed}` };
  const post = async (body) => (await fetch(`${parley.url}/api/v1/calls/doors/transcription`, { method: "POST", headers, body })).status;
  const from = await connect("/feed", { token: tokens.feed }, webSocket);
  await from.ask("call:start", { call_id: "doors" });
  const { engine } = from.io;
  const say = (json) => engine.write(`2/feed,7["transcription:update",${json}]`);
  const answer = (json) => new Promise((resolve) => {
    engine.once("message", (text) => resolve(text.includes('"ok":true') ? 200 : Number(/"code":(\d+)/.exec(text)?.[1])));
    engine.once("close", () => resolve("closed"));
    say(json);
  });
  const line = (more) => `{"call_id":"doors","speaker":"agent",${more}}`;
  const deep = (n) => line(`"text":"x","deep":${"[".repeat(n)}${"]".repeat(n)}`);
  for (const json of [line('"text":"x","n":1e400'), line('"text":"\\ud83d\\u0000"'), line('"text":1e400'), line('"text":"x","text":"y"'),
    line('"text":"x","speaker":"\\ud83d"'), deep(126), line('"text":5,"text":"x"'), line(`"text":"${"x".repeat(65536)}"`),
    line(`"text":"${"x".repeat(65537)}"`), line(`"text":"x","more":"${"y".repeat(131072)}"`), "[]", "7", "null"]) {
    assert.equal(await answer(json), await post(json), json.slice(0, 100));
  }
  assert.equal(await post(deep(127)), 413);
  assert.equal(await post(`[${deep(126)}]`), 200);
  assert.equal(await post(`[${deep(127)}]`), 413);
  assert.equal(await post(`[${deep(127)},${line('"text":"z"')}]`), 200, "it costs that line only");
  assert.equal(await post(`\ufeff${line('"text":"x"')}`), 400);
  say(deep(127));
  assert.ok(await from.gone, "too deep closes the connection, since no packet was read");
});

test("health, readiness and metrics answer", async () => {
  const health = await (await fetch(`${parley.url}/health`)).json();
  assert.equal(health.status, "ok");
  for (const field of ["uptime_s", "connections", "calls"]) assert.equal(typeof health[field], "number");
  assert.equal((await fetch(`${parley.url}/ready`)).status, 200);
  const metrics = await (await fetch(`${parley.url}/metrics`)).text();
  assert.match(metrics, /^parley_transcript_lines_total \d+$/m);
  assert.match(metrics, /^parley_parse_errors_total \d+$/m);
  assert.match(metrics, /^parley_timer_lateness_seconds_bucket\{le="0\.05"\} \d+$/m);
  assert.match(metrics, /^parley_timer_lateness_seconds_bucket\{le="\+Inf"\} [1-9]\d*$/m);
  assert.match(metrics, /^parley_timer_lateness_max_seconds \d+\.\d{6}$/m);
  assert.match(metrics, /^parley_http_parked \d+$/m);
  assert.match(metrics, / \d+\n$/, "the last line is whole");
  const families = [...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  for (const name of families) assert.match(metrics, new RegExp(`^${name}(_count)?[ {]`, "m"), `${name} has a sample`);
  assert.equal(new Set(families).size, families.length, "no family comes twice");
  assert.ok(["parley_redis_up", "parley_snapshots_total", "parley_sessions"].every((name) => families.includes(name)));
});

test("a restart goes on from the store, and retries across it are accepted once", async () => {
  const first = await feed();
  await first.ask("call:start", { call_id: "lasting" });
  for (let i = 1; i <= 3; i++) await first.ask("transcription:update", line("lasting", `l${i}`, { segment_id: `s${i}`, speaker: "agent" }));
  const alice = await agent("alice");
  await parley.restart();
  assert.ok(await alice.gone);
  const second = await feed();
  const again = await second.ask("transcription:update", line("lasting", "l3", { segment_id: "s3", speaker: "agent" }));
  assert.deepEqual([again.ok, again.duplicate, again.seq], [true, true, 3]);
  assert.equal((await second.ask("transcription:update", line("lasting", "l4", { segment_id: "s4", speaker: "agent" }))).seq, 4);
  const answer = await (await agent("alice")).ask("call:subscribe", { call_id: "lasting", since_seq: 2 });
  assert.deepEqual(answer.transcript.map(({ seq }) => seq), [3, 4]);
});

test("a process whose files may not grow any more answers 507 and goes on", async () => {
  const parleyItself = process.env.TEST_PARLEY, limited = join(parley.data, "limited");
  writeFileSync(limited, `#!/bin/sh\nulimit -f 4000\nexec '${parleyItself}' "$@"\n`, { mode: 0o700 });
  process.env.TEST_PARLEY = limited;
  const small = await startParley().finally(() => { process.env.TEST_PARLEY = parleyItself; });
  try {
    const headers = { authorization: `Bearer ${await small.token("--sub", "feed", "--role", "feed")}` };
    const post = async (path, body) => (await fetch(small.url + path, { method: "POST", headers, body: JSON.stringify(body) })).status;
    assert.equal(await post("/api/v1/calls", { call_id: "long" }), 201);
    const more = () => post("/api/v1/calls/long/transcription", { speaker: "agent", text: "w".repeat(60000) });
    let status = 201;
    for (let i = 0; i < 200 && status !== 507; i++) status = await more();
    assert.equal(status, 507);
    assert.equal(await more(), 507);
    assert.equal((await fetch(`${small.url}/health`)).status, 200);
  } finally {
    await small.stop();
  }
});
