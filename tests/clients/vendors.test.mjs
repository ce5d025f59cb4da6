// Speech vendors' messages over HTTP: who may send them, what becomes of them, Twilio's signature and its age.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const secret = "0123456789abcdef0123456789abcdef", outside = "https://parley.example";
let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], few: ["--role", "feed", "--calls", "mine"], ann: ["--calls", "*"] },
    "--public-url", outside, "--twilio-auth-token", secret);
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
  assert.deepEqual([text, segment_id, speaker, confidence], ["I want a refund & more + ü", "tw-inbound_track-2", "customer", 0.9]);
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
