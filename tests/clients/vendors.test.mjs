// Speech vendors' messages over HTTP: who may send them, what becomes of them, signatures of Twilio, Vonage and Sinch and their age.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const secret = "0123456789abcdef0123456789abcdef", outside = "https://parley.example";
const vonageKey = "abcd1234", sinchKey = "669E367E-6BBA-48AB-AF15-266871C28135", sinchSecret = "BeIukql3pTKJ8RGL5zo0DA==";
let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], few: ["--role", "feed", "--calls", "mine"], ann: ["--calls", "*"] },
    "--public-url", outside, "--twilio-auth-token", secret, "--vonage-secrets", `other:x,${vonageKey}:${secret}`,
    "--sinch-secrets", `${sinchKey}:${sinchSecret}`);
});
afterEach(() => desk.leave());
after(() => desk?.close());

const send = (who, vendor, body, call = "v1") => desk.request(who, "POST", `/api/v1/feeds/${vendor}${call ? `?call_id=${call}` : ""}`, body);
const results = (transcript, is_final, start = 1) => ({ type: "Results", channel_index: [0, 1], start, duration: 1, is_final, channel: { alternatives: [{ transcript }] } });

async function watch(id) {
  const ann = await desk.connect("ann");
  assert.equal((await ann.ask("call:subscribe", { call_id: id })).ok, true);
  return ann;
}

test("a vendor's messages are lines of the call that the query names, one or many, once", async () => {
  await desk.call("v1");
  const ann = await watch("v1");
  assert.deepEqual((await send("feed", "deepgram", results("hello", false))).body, { ok: true, call_id: "v1", stored: 1, duplicates: 0, failed: 0 });
  const both = [results("hello there", true), results("again", true, 5), { type: "Metadata" }];
  assert.equal((await send("feed", "deepgram", both)).body.stored, 2);
  assert.equal((await send("feed", "deepgram", both)).body.duplicates, 2);
  await until(() => ann.seen("transcription:update").length === 3, "the lines");
  assert.deepEqual(ann.seen("transcription:update").map(({ text, segment_id, is_final, start_ms }) => [text, segment_id, is_final, start_ms]),
    [["hello", "dg-0-1000", false, 1000], ["hello there", "dg-0-1000", true, 1000], ["again", "dg-0-5000", true, 5000]]);
  assert.deepEqual((await send("feed", "deepgram", { type: "Metadata" })).body.stored, 0);
});

test("a vendor that names its calls needs no other name, begins and ends them", async () => {
  const connect = (EventType, more = {}) => ({ Version: "1.0.0", ContactId: "contact-1", EventType, ...more });
  const said = { Transcript: { Id: "t1", ParticipantRole: "CUSTOMER", Content: "Where is it?", BeginOffsetMillis: 0, EndOffsetMillis: 900 } };
  assert.deepEqual((await send("feed", "amazon-connect", connect("STARTED"), "")).body, { ok: true, call_id: "contact-1", stored: 0, duplicates: 0, failed: 0 });
  const ann = await watch("contact-1");
  assert.equal((await send("feed", "amazon-connect", connect("SEGMENTS", { Segments: [said] }), "")).body.stored, 1);
  assert.equal((await send("feed", "amazon-connect", connect("COMPLETED"), "")).status, 200);
  await until(() => ann.seen("call:status").some(({ status }) => status === "ended"), "the end");
  assert.equal(ann.seen("transcription:update")[0].text, "Where is it?");
  const two = [connect("SEGMENTS", { Segments: [said] }), { ...connect("SEGMENTS", { Segments: [said] }), ContactId: "contact-2" }];
  assert.equal((await send("feed", "amazon-connect", two, "")).body.error.field, "/call_id");
  assert.equal((await send("few", "amazon-connect", connect("STARTED"), "")).status, 403, "a token for other calls");
});

test("the query may say which channel the customer is on", async () => {
  await desk.call("v3");
  const ann = await watch("v3");
  const send3 = (query) => desk.request("feed", "POST", `/api/v1/feeds/deepgram?call_id=v3&customer=${query}`, results(`on ${query}`, true, 20 + Number(query)));
  assert.equal((await send3("1")).status, 200);
  assert.equal((await send3("0")).status, 200);
  await until(() => ann.seen("transcription:update").length === 2, "the lines");
  assert.deepEqual(ann.seen("transcription:update").map(({ speaker }) => speaker), ["agent", "customer"]);
  assert.equal((await send3("x".repeat(100))).body.error.field, "/customer");
  // Whoever may not feed the call changes nothing of what is remembered of it.
  assert.equal((await desk.request("few", "POST", "/api/v1/feeds/deepgram?call_id=v3&customer=1", { type: "Metadata" })).status, 403);
  assert.equal((await send("feed", "deepgram", results("as before", true, 40), "v3")).status, 200);
  await until(() => ann.seen("transcription:update").length === 3, "the third line");
  assert.equal(ann.seen("transcription:update")[2].speaker, "customer");
});

test("after a feed was cut off its lines are lines, not corrections of those before, and stand where the call was by then", async () => {
  await desk.call("v4");
  const ann = await watch("v4");
  const send4 = (text, query = "") => desk.request("feed", "POST", `/api/v1/feeds/whisper?call_id=v4${query}`, { segments: [{ id: 0, start: 0, end: 1, text }] });
  assert.equal((await send4("before")).body.stored, 1);
  assert.equal((await send4("afterwards", "&connection=2&offset_ms=18000")).body.stored, 1);
  assert.equal((await send4("afterwards", "&connection=2&offset_ms=18000")).body.duplicates, 1);
  await until(() => ann.seen("transcription:update").length === 2, "the lines");
  assert.deepEqual(ann.seen("transcription:update").map(({ text, start_ms, replaces }) => [text, start_ms, replaces]), [["before", 0, undefined], ["afterwards", 18000, undefined]]);
  for (const [query, field] of [["&connection=a b", "/connection"], ["&offset_ms=x", "/offset_ms"], ["&offset_ms=-1", "/offset_ms"], ["&offset_ms=86400001", "/offset_ms"]])
    assert.equal((await send4("x", query)).body.error.field, field, query);
});

test("messages are refused without a feed's token, for other calls, unknown vendors, no call and bad bodies", async () => {
  await desk.call("v2");
  for (const [who, status] of [[null, 401], ["ann", 403], ["few", 403]]) assert.equal((await send(who, "deepgram", results("x", true), "v2")).status, status);
  assert.equal((await send("feed", "nobody", {}, "v2")).status, 404);
  assert.equal((await send("feed", "deepgram", results("x", true), "")).body.error.field, "/call_id");
  assert.equal((await send("feed", "deepgram", results("x", true), "no-such-call")).status, 404);
  for (const body of ["{", "7", ""]) assert.equal((await send("feed", "deepgram", body, "v2")).status, 400, body);
});

const path = "/api/v1/feeds/twilio";
const sign = (form, url = outside + path) => createHmac("sha1", secret).update(url + Object.keys(form).sort().map((name) => name + form[name]).join("")).digest("base64");
const post = async (form, { signature = sign(form), query = "" } = {}) => {
  const response = await fetch(desk.parley.url + path + query, { method: "POST", headers: { "x-twilio-signature": signature }, body: new URLSearchParams(form) });
  return { status: response.status, body: await response.json() };
};
const event = (name, more = {}) => ({ TranscriptionEvent: `transcription-${name}`, CallSid: "CA-1", TranscriptionSid: "GT1", Timestamp: new Date().toISOString(), SequenceId: "1", ...more });
const content = (transcript, final, sequence) => event("content", { Track: "inbound_track", SequenceId: sequence, Final: String(final), TranscriptionData: JSON.stringify({ transcript, confidence: 0.9 }) });

test("Twilio's signed webhooks begin a call, fill it and end it", async () => {
  assert.equal((await post(event("started"))).status, 200);
  const ann = await watch("CA-1");
  assert.equal((await post(content("I want", false, "2"))).status, 200);
  assert.equal((await post(content("I want a refund & more + ü", true, "3"))).body.stored, 1);
  await until(() => ann.seen("transcription:update").length === 2, "the lines");
  const [, { text, segment_id, speaker, confidence }] = ann.seen("transcription:update");
  assert.deepEqual([text, segment_id, speaker, confidence], ["I want a refund & more + ü", "GT1.tw-inbound_track-2", "customer", 0.9]);
  assert.equal((await post(event("stopped"))).status, 200);
  await until(() => ann.seen("call:status").some(({ status }) => status === "ended"), "the end");
});

test("Twilio's webhooks are refused with another signature, another URL, changed fields, and when they are old", async () => {
  const form = event("started", { CallSid: "CA-2" });
  const good = sign(form);
  for (const signature of ["", "x", good.slice(0, -2), `${good}=`, sign(form, `http://parley.example${path}`)]) assert.equal((await post(form, { signature })).status, 403, signature);
  assert.equal((await post({ ...form, CallSid: "CA-3" }, { signature: good })).status, 403);
  assert.equal((await post(form, { signature: good, query: "?call_id=other" })).status, 403, "the query is signed, too");
  for (const Timestamp of [new Date(Date.now() - 301000).toISOString(), new Date(Date.now() + 301000).toISOString(), "yesterday"]) {
    const old = { ...form, Timestamp };
    assert.deepEqual([(await post(old)).status, (await post(old)).body.error.field], [403, "/Timestamp"]);
  }
  assert.equal((await post(form)).status, 200, "and with all in order it is taken");
  assert.equal((await send("feed", "twilio%20", {}, "v1")).status, 404);
});

test("a JSON webhook of Twilio's is signed by its URL, which has the body's hash", async () => {
  const body = JSON.stringify(event("started", { CallSid: "CA-4" }));
  const send4 = async (hash, sent = body) => {
    const query = `?bodySHA256=${hash}`;
    const signature = createHmac("sha1", secret).update(outside + path + query).digest("base64");
    return (await fetch(desk.parley.url + path + query, { method: "POST", headers: { "content-type": "application/json", "x-twilio-signature": signature }, body: sent })).status;
  };
  const hash = createHash("sha256").update(body).digest("hex");
  assert.equal(await send4(hash, body.replace("CA-4", "CA-5")), 403, "another body");
  assert.equal(await send4(""), 403, "without the hash");
  assert.equal(await send4(hash), 200);
});

// ------------------------------------------------------------------ Vonage

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function vonage(body, { key = secret, alg = "HS256", ...claims } = {}) {
  const payload_hash = createHash("sha256").update(body).digest("hex");
  const head = `${part({ alg, typ: "JWT" })}.${part({ iss: "Vonage", iat: Math.floor(Date.now() / 1000), jti: "j", api_key: vonageKey, payload_hash, ...claims })}`;
  return `Bearer ${head}.${createHmac("sha256", key).update(head).digest("base64url")}`;
}
const postSigned = async (vendor, body, headers, query = "") => {
  const response = await fetch(`${desk.parley.url}/api/v1/feeds/${vendor}${query}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });
  return { status: response.status, body: await response.json() };
};
const leg = (status, direction, more = {}) => JSON.stringify({ uuid: `leg-${direction}`, conversation_uuid: "CON-1", status, direction, timestamp: "2026-11-30T12:00:00.000Z", ...more });

test("Vonage's signed webhooks begin a call, fill it, and end it with the customer's leg", async () => {
  const send = async (body) => (await postSigned("vonage", body, { authorization: vonage(body) })).status;
  assert.equal(await send(leg("started", "inbound")), 200);
  const ann = await watch("CON-1");
  assert.equal(await send(leg("answered", "inbound")), 200);
  const spoken = leg(undefined, undefined, { speech: { results: [{ confidence: "0.94", text: "my \u{1F4E6} is late" }] } });
  assert.equal(await send(spoken), 200);
  assert.equal(await send(leg("completed", "outbound")), 200);
  await until(() => ann.seen("transcription:update").length === 1, "the line");
  assert.deepEqual([ann.seen("transcription:update")[0].text, ann.seen("transcription:update")[0].confidence], ["my \u{1F4E6} is late", 0.94]);
  assert.ok(!ann.seen("call:status").some(({ status }) => status === "ended"), "an agent's leg ends nothing");
  assert.equal(await send(leg("completed", "inbound")), 200);
  await until(() => ann.seen("call:status").some(({ status }) => status === "ended"), "the end");
});

test("Vonage's webhooks are refused with another secret, key, algorithm, body, and when they are old or early", async () => {
  const body = leg("started", "inbound", { conversation_uuid: "CON-2" }), now = Math.floor(Date.now() / 1000);
  const wrong = { none: "", bare: "Bearer", parts: "Bearer a.b", secret: vonage(body, { key: "x" }), unknown: vonage(body, { api_key: "nobody" }), another: vonage(body, { api_key: "other" }),
    algorithm: vonage(body, { alg: "none" }), body: vonage(`${body} `), hash: vonage(body, { payload_hash: undefined }), old: vonage(body, { iat: now - 301 }), early: vonage(body, { iat: now + 301 }),
    text: vonage(body, { iat: String(now) }), cut: vonage(body).slice(0, -1), token: `Bearer ${desk.tokens?.feed ?? "x"}` };
  for (const [what, authorization] of Object.entries(wrong)) assert.equal((await postSigned("vonage", body, { authorization })).status, 403, what);
  assert.equal((await postSigned("vonage", body, { authorization: vonage(body, { iat: now - 290 }) })).status, 200, "and with all in order it is taken");
  const bad = "{";
  assert.equal((await postSigned("vonage", bad, { authorization: vonage(bad) })).status, 400);
});

// ------------------------------------------------------------------- Sinch

function sinch(body, { at = new Date().toISOString(), path = "/api/v1/feeds/sinch", key = sinchSecret, id = sinchKey, scheme = "application", type = "application/json" } = {}) {
  const text = ["POST", createHash("md5").update(body).digest("base64"), type, `x-timestamp:${at}`, path].join("\n");
  return { authorization: `${scheme} ${id}:${createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64")}`, "x-timestamp": at };
}
const callback = (event, callid = "si-1") => JSON.stringify({ event, callid, version: 1 });

test("the test signs as Sinch's documentation does", () => {
  const body = '{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z","version":1}';
  assert.equal(sinch(body, { at: "2014-09-24T10:59:41Z", path: "/sinch/callback/ace" }).authorization, `application ${sinchKey}:Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=`);
});

test("Sinch's signed callbacks begin a call and end it", async () => {
  const send = async (body, options) => (await postSigned("sinch", body, sinch(body, options))).status;
  assert.equal(await send(callback("ice")), 200);
  const ann = await watch("si-1");
  assert.equal(await send(callback("ace"), { scheme: "service", at: new Date().toISOString().replace("Z", "2345Z") }), 200);
  assert.equal(await send(callback("notify")), 200);
  assert.equal(await send(callback("dice")), 200);
  await until(() => ann.seen("call:status").some(({ status }) => status === "ended"), "the end");
});

test("Sinch's callbacks are refused with another secret, key, path, type, body, time, and when they are old or early", async () => {
  const body = callback("ice", "si-2"), ago = (ms) => new Date(Date.now() - ms).toISOString();
  const good = sinch(body);
  const wrong = { none: {}, token: { authorization: "Bearer x" }, secret: sinch(body, { key: "AAAAAAAAAAAAAAAAAAAAAA==" }), key: sinch(body, { id: "x" }), path: sinch(body, { path: "/other" }),
    type: sinch(body, { type: "text/plain" }), body: sinch(`${body} `), time: { ...good, "x-timestamp": ago(1000) }, old: sinch(body, { at: ago(301000) }), early: sinch(body, { at: ago(-301000) }),
    never: sinch(body, { at: "yesterday" }), untimed: { authorization: good.authorization } };
  for (const [what, headers] of Object.entries(wrong)) assert.equal((await postSigned("sinch", body, headers)).status, 403, what);
  assert.equal((await postSigned("sinch", body, good)).status, 200, "and with all in order it is taken");
  assert.equal((await send("feed", "vonage%20", {}, "v1")).status, 404);
});

// Each request on a connection of its own, so that it reaches any of the workers.
test("at several workers what Twilio guesses becomes final in its place, whichever worker gets what", async () => {
  const several = await Desk.open({ ann: ["--calls", "*"] }, "--workers", "3", "--public-url", outside, "--twilio-auth-token", secret);
  try {
    const send = async (form) => {
      const headers = { "x-twilio-signature": sign(form), connection: "close" };
      const response = await fetch(several.parley.url + path, { method: "POST", headers, body: new URLSearchParams(form) });
      assert.equal(response.status, 200, await response.text());
    };
    await send(event("started", { CallSid: "CA-9" }));
    for (let i = 0; i < 20; i++) {
      await send({ ...content(`guess ${i}`, false, String(2 * i + 2)), CallSid: "CA-9" });
      await send({ ...content(`line ${i}`, true, String(2 * i + 3)), CallSid: "CA-9" });
    }
    const { transcript } = await (await several.connect("ann")).ask("call:subscribe", { call_id: "CA-9" });
    assert.deepEqual(transcript.map(({ text, is_final }) => [text, is_final]), Array.from({ length: 20 }, (_, i) => [`line ${i}`, true]));
  } finally {
    several.leave();
    await several.close();
  }
});
