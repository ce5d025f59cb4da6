// The backend hook: events that the company's own service is told or asked (docs/hooks.md). The service here is a plain
// HTTP server that checks every signature; docs/examples/fastapi-backend is run by examples.fastapi.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk, assertError } from "./lib/desk.mjs";

const keyOf = (n) => Buffer.alloc(24, n), secretOf = (n) => `whsec_${keyOf(n).toString("base64")}`;
const people = { feed: ["--role", "feed"], other: ["--role", "feed"], ann: ["--calls", "*"], ben: ["--calls", "*"], sue: ["--role", "supervisor", "--calls", "*"], root: ["--role", "admin"] };
const webSocket = { transports: ["websocket"] };

// answer(request) → {status, headers, body} | undefined: none, and the connection stays open.
class Service {
  static async start(answer = () => ({ status: 204 })) {
    const service = new Service();
    service.answer = answer;
    service.requests = [];
    service.secrets = [keyOf(1)];
    service.server = createServer(async (request, response) => {
      let text = "";
      for await (const chunk of request) text += chunk;
      const at = Date.now();
      const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signatures } = request.headers;
      const own = service.secrets.map((key) => `v1,${createHmac("sha256", key).update(`${id}.${time}.${text}`).digest("base64")}`);
      const isSigned = own.every((one) => signatures.split(" ").includes(one)) && Math.abs(at / 1000 - time) < 60;
      const got = { ...JSON.parse(text), text, id, time: Number(time), signatures, at, isSigned, path: request.url };
      service.requests.push(got);
      const said = await service.answer(got, service.requests.length);
      if (!said) return;
      response.writeHead(said.status ?? 200, { "content-type": "application/json", ...said.headers });
      response.end(said.body === undefined ? "" : typeof said.body === "string" ? said.body : JSON.stringify(said.body));
    });
    await new Promise((resolve) => service.server.listen(0, "127.0.0.1", resolve));
    service.url = `http://127.0.0.1:${service.server.address().port}/hook`;
    return service;
  }
  /** The events of all batches that were taken, in their order. */
  get told() { return this.requests.filter(({ type, taken }) => type === "events" && taken !== false).flatMap(({ data }) => data); }
  names() { return this.told.map(({ event }) => event); }
  stop() { return new Promise((resolve) => { this.server.close(resolve); this.server.closeAllConnections(); }); }
}

let desk, service;
afterEach(async () => {
  for (const socket of desk?.open ?? []) socket.disconnect();
  await desk?.close();
  await service?.stop();
  assert.ok(!service || service.requests.every(({ isSigned }) => isSigned), "every request is signed");
  desk = service = undefined;
});

const open = async (answer, ...options) => {
  service = await Service.start(answer);
  desk = await Desk.open(people, "--hook-url", service.url, "--hook-secret", secretOf(1), "--hook-batch-ms", "20", ...options);
};
const metric = async (name) => {
  const text = await (await fetch(`${desk.parley.url}/metrics`)).text();
  return Number(new RegExp(`^parley_${name.replace(/[{}"]/g, "\\$&")} (\\d+)`, "m").exec(text)?.[1]);
};

test("what happens in a call is told in its order: who, what, when; what is redacted stays so; guesses are not told", async () => {
  await open(undefined, "--hook-events", "call:*,transcription:update,doc:feedback,note:send,agent:help");
  const feed = await desk.call("h1");
  const ann = await desk.connect("ann", "/", webSocket), sue = await desk.connect("sue", "/", webSocket);
  await feed.say("my card is", { segment_id: "s1", is_final: false });
  await feed.say("my card is 4111 1111 1111 1111", { segment_id: "s1" });
  await feed.say("my card is 4111 1111 1111 1111", { segment_id: "s1" });
  assert.equal((await ann.ask("agent:help", { call_id: "h1", reason: "card" })).ok, true);
  assert.equal((await sue.ask("note:send", { call_id: "h1", text: "card 4111 1111 1111 1111" })).ok, true);
  assert.equal((await feed.ask("call:end", { call_id: "h1" })).ok, true);
  assert.equal((await ann.ask("call:wrapup", { call_id: "h1", outcome: "done", notes: "4111 1111 1111 1111" })).ok, true);
  await until(() => service.names().includes("call:wrapup") && service.names().includes("call:summary"), () => `all of it, not ${service.names()}`);
  const line = service.told.find(({ event }) => event === "transcription:update");
  assert.deepEqual([line.call_id, line.from, line.data.speaker, line.data.is_final ?? true], ["h1", { user: "feed", role: "feed" }, "customer", true]);
  assert.deepEqual(service.names().filter((name) => name !== "call:summary"), ["call:start", "transcription:update", "agent:help", "note:send", "call:status", "call:wrapup"]);
  assert.ok(!service.requests.some(({ text }) => text.includes("4111 1111")), "no card number left the server");
  assert.equal(service.told.find(({ event }) => event === "call:status").data.status, "ended");
  assert.equal(service.told.find(({ event }) => event === "call:wrapup").from.user, "ann");
  assert.equal(new Set(service.told.map(({ id }) => id)).size, service.told.length, "each event has an id of its own");
  await until(async () => (await metric("hook_events_waiting")) === 0, "nothing waits");
  assert.equal(await metric("hook_events_sent_total"), service.told.length);
});

test("many events are one request, up to hook_batch_max", async () => {
  await open(undefined, "--hook-batch-ms", "100", "--hook-batch-max", "40");
  await desk.call("h2");
  const lines = Array.from({ length: 200 }, (_, i) => ({ speaker: "customer", text: `line ${i}` }));
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/h2/transcription", lines)).body.stored, 200);
  await until(() => service.told.length === 201, () => `201 events, not ${service.told.length}`);
  assert.ok(service.requests.length <= 8, `${service.requests.length} requests`);
  assert.ok(service.requests.every(({ data }) => data.length <= 40));
  assert.deepEqual(service.told.slice(1).map(({ data }) => data.seq), lines.map((_, i) => i + 1));
});

test("what clients send under unknown names is redacted before it is stored or leaves: strings, keys, numbers, at any depth", async () => {
  const card = "4111111111111111", iban = "DE89 3704 0044 0532 0130 00";
  const payload = { a: `card ${card}`, list: [{ iban, order: 4711081512, ok: true, none: null }], [card]: 1, n: Number(card), quoted: `\u0022${iban}\u0022` };
  const clean = { a: "card [card]", list: [{ iban: "[iban]", order: 4711081512, ok: true, none: null }], "[card]": 1, n: "[card]", quoted: '"[iban]"' };
  let isDown = true;
  await open(({ type }) => (type === "events" && isDown ? { status: 503 } : { body: {} }), "--hook-events", "crm:*,call:status", "--hook-asks", "order:*", "--hook-retry-min-ms", "20");
  const feed = await desk.call("h9");
  const ann = await desk.connect("ann", "/", webSocket);
  await ann.ask("call:subscribe", { call_id: "h9" });
  assert.deepEqual(await ann.ask("crm:opened", payload), { ok: true });
  assert.deepEqual(await ann.ask("order:find", payload), { ok: true });
  assert.equal((await feed.ask("call:status", { call_id: "h9", status: "on_hold", why: `to fetch ${card}` })).ok, true);
  assert.equal((await feed.ask("call:end", { call_id: "h9", reason: { mail: "ann@mail.example.com" } })).ok, true);
  await until(() => ann.seen("call:status").some(({ status }) => status === "ended"), "the end");
  for (const secret of [card, iban, "ann@mail"]) {
    for (const name of readdirSync(desk.parley.data)) assert.ok(!readFileSync(join(desk.parley.data, name), "latin1").includes(secret), `${secret} in ${name}`);
    assert.ok(!JSON.stringify(ann.log).includes(secret), `${secret} in the room`);
  }
  isDown = false;
  await until(() => service.names().filter((name) => name === "call:status").length >= 2 && service.told.some(({ data }) => data.status === "ended"), "the batch");
  assert.deepEqual(service.requests.find(({ type }) => type === "ask").data.data, clean);
  assert.deepEqual(service.told.find(({ event }) => event === "crm:opened").data, clean);
  assert.ok(service.requests.every(({ text }) => !text.includes(card) && !text.includes(iban)), "nothing of it left");
});

test("a client's event that is asked gets the service's answer; what it emits arrives; others get 404", async () => {
  await open(({ type, data }) => type === "events" ? {} : ({
    body: data.event === "order:find"
      ? { ack: { ok: true, order: data.data.order, for: data.from.user, call: data.call_id }, emit: [
        { user: "ben", event: "order:seen", data: { by: data.from.user } }, { session: data.session, event: "order:own" }, { room: "x" }, { user: "ben", event: "disconnect" }] }
      : data.event === "order:list" ? { ack: [1, "two"] } : {},
  }), "--hook-asks", "order:*,ping");
  const ann = await desk.connect("ann", "/", webSocket), ben = await desk.connect("ben", "/", webSocket), feed = await desk.connect("feed", "/feed");
  assert.deepEqual(await ann.ask("order:find", { order: "7ü", call_id: "c9" }), { ok: true, order: "7ü", for: "ann", call: "c9" });
  await until(() => ben.seen("order:seen").length && ann.seen("order:own"), "what the service emits");
  assert.deepEqual(ben.seen("order:seen"), [{ by: "ann" }]);
  assert.deepEqual(await ann.ask("order:list", {}), [1, "two"]);
  assert.deepEqual(await feed.ask("ping", { a: 1 }), { ok: true });
  const asked = service.requests.find(({ data }) => data.event === "ping");
  assert.deepEqual([asked.type, asked.data.namespace, asked.data.from.role, asked.data.data, asked.id], ["ask", "/feed", "feed", { a: 1 }, asked.data.id]);
  assertError(await ann.ask("other", {}), 404);
  assertError(await ann.ask("order:find", 7), 400);
  assert.deepEqual([await metric("hook_emits_total"), await metric("hook_emits_refused_total")], [2, 2]);
});

test("a client's event that is only told is acknowledged when it is stored, whatever the service does", async () => {
  await open(() => undefined, "--hook-events", "crm:*", "--hook-timeout-ms", "200");
  const ann = await desk.connect("ann", "/", webSocket);
  assert.deepEqual(await ann.ask("crm:opened", { page: 1, call_id: "c1" }), { ok: true });
  await until(() => service.requests.length > 0, "the request");
  const [told] = service.requests[0].data;
  assert.deepEqual([told.event, told.call_id, told.from, told.data], ["crm:opened", "c1", { user: "ann", role: "agent" }, { page: 1, call_id: "c1" }]);
  service.answer = () => ({ status: 200 });
  await until(async () => (await metric("hook_events_sent_total")) === 1, "it is taken");
});

test("the service's refusal, failure and silence are the client's 4xx, 502 and 504", async () => {
  const answers = { a: { status: 422, body: { message: "no such order" } }, b: { status: 409, body: { error: { message: "taken" } } }, c: { status: 500 }, d: { body: "x".repeat(3000) }, f: { status: 302, headers: { location: "http://127.0.0.1:1/" } } };
  await open(({ data }) => answers[data.event], "--hook-asks", "a,b,c,d,e,f", "--hook-ask-timeout-ms", "2000", "--hook-answer-bytes", "2000", "--hook-breaker-failures", "100");
  const ann = await desk.connect("ann", "/", webSocket);
  const refusal = await ann.ask("a", {});
  assertError(refusal, 422);
  assert.equal(refusal.error.message, "no such order");
  assert.deepEqual((await ann.ask("b", {})).error, { code: 409, message: "taken" });
  for (const [event, code] of [["c", 502], ["d", 502], ["e", 504], ["f", 502]]) assertError(await ann.ask(event, {}), code);
});

test("after failures in a row the service is left alone, and one request decides when it is asked again", async () => {
  await open(() => ({ status: 500 }), "--hook-asks", "q", "--hook-events", "", "--hook-breaker-failures", "3", "--hook-breaker-ms", "3000");
  const ann = await desk.connect("ann", "/", webSocket);
  for (let i = 0; i < 3; i++) assertError(await ann.ask("q", {}), 502);
  const open_ = await ann.ask("q", {});
  assertError(open_, 503);
  assert.ok(open_.error.retry_after_ms > 0 && open_.error.retry_after_ms <= 3000, JSON.stringify(open_));
  assert.deepEqual([service.requests.length, await metric("hook_breaker_open")], [3, 1]);
  let decide;
  service.answer = () => new Promise((resolve) => { decide = () => resolve({ body: { ack: "back" } }); });
  const waiting = [];
  await until(async () => { if (service.requests.length < 4) waiting.push(ann.ask("q", {})); return decide; }, "the probe");
  assertError(await ann.ask("q", {}), 503);
  assert.equal(service.requests.length, 4, "one request decides");
  decide();
  await until(async () => (await metric("hook_breaker_open")) === 0, "closed again");
  service.answer = () => ({ body: { ack: "fine" } });
  assert.equal(await ann.ask("q", {}), "fine");
  assert.equal((await Promise.all(waiting)).filter((one) => one === "back").length, 1);
});

test("one user's questions do not take the others' places", async () => {
  const held = [];
  await open(({ data }) => data.from.user === "ann" ? new Promise((resolve) => held.push(resolve)) : { body: { ack: "yes" } }, "--hook-asks", "q", "--hook-user-asks-max", "3", "--hook-asks-max", "4");
  const ann = await desk.connect("ann", "/", webSocket), ben = await desk.connect("ben", "/", webSocket);
  const asked = Array.from({ length: 5 }, () => ann.ask("q", {}));
  await until(() => held.length === 3, "three of ann's");
  for (const refused of await Promise.all(asked.slice(3))) assertError(refused, 503);
  assert.equal(await ben.ask("q", {}), "yes");
  held.forEach((answer) => answer({ body: { ack: "late" } }));
  assert.deepEqual(await Promise.all(asked.slice(0, 3)), ["late", "late", "late"]);
});

test("a batch is tried again with the same id and bytes, a new time and signature, also after a restart; nothing is lost, and calls go on meanwhile", async () => {
  await open((request) => { request.taken = false; return { status: 503 }; }, "--hook-retry-min-ms", "300", "--hook-breaker-ms", "100", "--hook-breaker-failures", "2");
  const feed = await desk.call("h8");
  for (let i = 0; i < 20; i++) assert.equal((await feed.say(`line ${i}`)).ok, true);
  await until(() => service.requests.length >= 4, "tries");
  const first = service.requests[0];
  await desk.parley.restart();
  const before = service.requests.length;
  await until(() => service.requests.length > before, "a try after the restart");
  desk.parley.child.kill("SIGKILL");
  await desk.parley.ended;
  await desk.parley.start();
  const killed = service.requests.length;
  await until(() => service.requests.length > killed, "a try after the kill");
  assert.ok(service.requests.every(({ id, text }) => id === first.id && text === first.text), "the same batch");
  assert.ok(service.requests.at(-1).time > first.time, "with a new time");
  const again = await desk.connect("feed", "/feed");
  assert.equal((await again.ask("transcription:update", { call_id: "h8", speaker: "agent", text: "meanwhile" })).ok, true);
  service.answer = () => ({ status: 200 });
  await until(() => service.told.length === 22, () => `all events, not ${service.told.length}`);
  assert.deepEqual(service.told.slice(1).map(({ data }) => data.text), [...Array.from({ length: 20 }, (_, i) => `line ${i}`), "meanwhile"]);
});

test("Retry-After is heeded", async () => {
  await open((request, n) => { if (n > 1) return {}; request.taken = false; return { status: 429, headers: { "retry-after": "2" } }; }, "--hook-retry-min-ms", "10");
  await desk.call("h9");
  await until(() => service.requests.length === 2, "the second try");
  assert.ok(service.requests[1].at - service.requests[0].at >= 1900, `${service.requests[1].at - service.requests[0].at} ms`);
});

test("an event that the service cannot take is found and dropped; the others are told", async () => {
  await open((request) => {
    const bad = request.data.find(({ data }) => /bad|worse/.test(data.text ?? ""));
    if (bad) request.taken = false;
    return { status: !bad ? 200 : bad.data.text === "bad" ? 422 : 500 };
  }, "--hook-batch-ms", "200", "--hook-retry-min-ms", "5", "--hook-retry-max-ms", "10", "--hook-refusals-max", "2", "--hook-breaker-failures", "1000");
  await desk.call("h10");
  const lines = Array.from({ length: 40 }, (_, i) => ({ speaker: "customer", text: i === 7 ? "bad" : i === 30 ? "worse" : `line ${i}` }));
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/h10/transcription", lines)).body.stored, 40);
  await until(() => service.told.length === 39, () => `the other 39, not ${service.told.length}`);
  await until(async () => (await metric('hook_events_dropped_total{limit="hook_refusals_max"}')) === 2, "two dropped");
  assert.deepEqual(service.told.slice(1).map(({ data }) => data.text), lines.map(({ text }) => text).filter((text) => text.startsWith("line")), "in their order");
});

test("an event that is too old is dropped, and counted", async () => {
  await open((request) => { request.taken = false; return { status: 503 }; }, "--hook-retry-total-s", "1", "--hook-retry-min-ms", "200", "--hook-retry-max-ms", "300", "--hook-breaker-ms", "10");
  await desk.call("h11");
  await until(async () => (await metric('hook_events_dropped_total{limit="hook_retry_total_s"}')) === 1, "it is dropped");
  await until(async () => (await metric("hook_events_waiting")) === 0, "the outbox is empty"); // once the store has deleted it
});

test("a flood of one feed fills its share of the outbox, not that of others, and is stored all the same", async () => {
  await open((request) => { request.taken = false; return { status: 503 }; }, "--hook-source-queue-max", "50", "--hook-queue-max", "80", "--hook-retry-min-ms", "100", "--hook-breaker-ms", "100");
  await desk.call("h12");
  const lines = Array.from({ length: 300 }, (_, i) => ({ speaker: "customer", text: `line ${i}` }));
  assert.equal((await desk.request("feed", "POST", "/api/v1/calls/h12/transcription", lines)).body.stored, 300);
  assert.equal((await desk.request("other", "POST", "/api/v1/calls", { call_id: "h13" })).status, 201);
  assert.equal(await metric('hook_events_dropped_total{limit="hook_source_queue_max"}'), 251);
  assert.equal((await desk.request("other", "POST", "/api/v1/calls/h13/transcription", lines)).body.stored, 300);
  assert.equal(await metric('hook_events_dropped_total{limit="hook_queue_max"}'), 271);
  service.answer = () => ({ status: 200 });
  await until(() => service.told.length === 80, () => `80 events, not ${service.told.length}`);
  assert.equal(service.told.filter(({ from }) => from.user === "other").length, 30);
});

test("what a deleted call still had to tell is not told", async () => {
  await open((request) => { request.taken = false; return { status: 503 }; }, "--hook-retry-min-ms", "100", "--hook-breaker-ms", "100", "--hook-batch-ms", "500");
  await desk.call("h14");
  await desk.call("h15");
  assert.equal((await desk.request("root", "DELETE", "/api/v1/calls/h14")).status, 200);
  service.answer = () => ({ status: 200 });
  await until(() => service.told.length, "the other call's");
  assert.deepEqual([...new Set(service.told.map(({ call_id }) => call_id))], ["h15"]);
});

test("with two secrets each request has a signature by each", async () => {
  service = await Service.start();
  service.secrets = [keyOf(1), keyOf(2)];
  desk = await Desk.open(people, "--hook-url", service.url, "--hook-secret", `${secretOf(1)},${secretOf(2)}`, "--hook-batch-ms", "20");
  await desk.call("h16");
  await until(() => service.told.length === 1, "the event");
  assert.equal(service.requests[0].signatures.split(" ").length, 2);
});

test("of several processes one posts, in the order of each call, whichever of them stored it", async () => {
  await open(undefined, "--workers", "3");
  await desk.call("h17");
  for (let i = 0; i < 60; i++)
    assert.equal((await desk.request("feed", "POST", "/api/v1/calls/h17/transcription", { speaker: "customer", text: `line ${i}` }, { connection: "close" })).status, 200);
  await until(() => service.told.length === 61, () => `61 events, not ${service.told.length}`);
  assert.deepEqual(service.told.slice(1).map(({ data }) => data.text), Array.from({ length: 60 }, (_, i) => `line ${i}`));
});

test("options that cannot be are refused at the start", async () => {
  const { runParley } = await import("../browser/server.mjs");
  const base = ["--data", ":memory:", "--port", "0", "--hook-url", "http://127.0.0.1:9/"];
  for (const [words, about] of [[[], /hook_secret/], [["--hook-secret", "abc"], /hook_secret/], [["--hook-secret", secretOf(1), "--hook-asks", "doc:feedback"], /hook_asks.*doc:feedback/], [["--hook-secret", secretOf(1), "--hook-events", "a*b"], /hook_events/]]) {
    const { code, stderr } = await runParley(...base, ...words);
    assert.notEqual(code, 0);
    assert.match(stderr, about);
  }
});
