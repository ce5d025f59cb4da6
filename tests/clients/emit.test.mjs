// POST /api/v1/emit: services speak to rooms, users and sockets of every process; tokens, signatures, replays.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const key = Buffer.alloc(24, 7), secret = `whsec_${key.toString("base64")}`;
let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"], ben: ["--calls", "*"], sue: ["--role", "supervisor"], crm: ["--role", "service"], root: ["--role", "admin"] },
    "--workers", "2", "--emit-secret", secret);
});
after(async () => {
  for (const socket of desk?.open ?? []) socket.disconnect();
  await desk?.close();
});

const emit = (who, body) => desk.request(who, "POST", "/api/v1/emit", body);
const webSocket = { transports: ["websocket"] };

test("a room, a user and a socket get the event, in whichever process they are", async () => {
  await desk.call("e1");
  const anns = await Promise.all(Array.from({ length: 6 }, () => desk.connect("ann", "/", webSocket)));
  const ben = await desk.connect("ben", "/", webSocket);
  assert.equal((await ben.ask("call:subscribe", { call_id: "e1" })).ok, true);
  const all = [...anns, ben];
  assert.deepEqual((await emit("crm", { user: "ann", event: "crm:open", data: { id: 7, text: "ü" } })).body, { ok: true });
  await until(() => anns.every((ann) => ann.seen("crm:open").length === 1), "all of ann's sockets");
  assert.deepEqual([anns[0].seen("crm:open"), ben.seen("crm:open")], [[{ id: 7, text: "ü" }], []]);
  assert.equal((await emit("crm", { room: "call:e1", event: "crm:note", data: [1, "two"] })).status, 200);
  assert.equal((await emit("root", { session: anns[3].id, event: "crm:one" })).status, 200);
  await until(() => ben.seen("crm:note").length && anns[3].seen("crm:one").length, "the room and the socket");
  assert.deepEqual(ben.seen("crm:note"), [[1, "two"]]);
  assert.deepEqual(all.map((one) => one.seen("crm:one").length), [0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(anns.map((one) => one.seen("crm:note").length), [0, 0, 0, 0, 0, 0]);
});

test("others are refused, and what names no target, several, or a reserved event", async () => {
  const good = { user: "ann", event: "x" };
  for (const [who, status] of [[null, 401], ["ann", 403], ["sue", 403], ["feed", 403]]) assert.equal((await emit(who, good)).status, status);
  const wrong = [[{ event: "x" }, "/room"], [{ user: "a", room: "b", event: "x" }, "/room"], [{ user: "a" }, "/event"], [{ user: "a", event: "disconnect" }, "/event"], [{ user: 1, event: "x" }, "/user"]];
  for (const [body, field] of wrong) {
    const answer = await emit("crm", body);
    assert.deepEqual([answer.status, answer.body.error.field], [400, field], JSON.stringify(body));
  }
  assert.equal((await emit("crm", { ...good, namespace: "/nowhere" })).status, 404);
  for (const body of ["{", "[]", "7"]) assert.equal((await emit("crm", body)).status, 400, body);
});

const sign = (id, at, body, with_ = key) => `v1,${createHmac("sha256", with_).update(`${id}.${at}.${body}`).digest("base64")}`;
const post = (body, { id = `msg_${Math.random()}`, at = Math.floor(Date.now() / 1000), signature = sign(id, at, body), drop } = {}) => {
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": signature };
  delete headers[drop];
  return fetch(`${desk.parley.url}/api/v1/emit`, { method: "POST", headers, body });
};

test("a signed request is taken once, by whichever process", async () => {
  const ann = await desk.connect("ann", "/", webSocket);
  const body = JSON.stringify({ user: "ann", event: "signed", data: 1 });
  const id = "msg_1", at = Math.floor(Date.now() / 1000);
  assert.equal((await post(body, { id, at })).status, 200);
  for (let i = 0; i < 6; i++) assert.equal((await post(body, { id, at })).status, 409);
  assert.equal((await post(body, { signature: undefined })).status, 200);
  const other = "msg_2";
  assert.equal((await post(body, { id: other, at, signature: `v1,AAAA v1a,x ${sign(other, at, body)}` })).status, 200, "one of several fits");
  await until(() => ann.seen("signed").length === 3, "three events");
});

test("other keys, bodies, ids, times and missing fields are refused", async () => {
  const body = JSON.stringify({ user: "ann", event: "x" });
  const now = Math.floor(Date.now() / 1000);
  for (const bad of [
    { signature: sign("i", now, body, Buffer.alloc(24, 8)), id: "i", at: now },
    { signature: sign("i", now, `${body} `), id: "i", at: now },
    { signature: sign("j", now, body), id: "i", at: now },
    { signature: "v1,", id: "i", at: now }, { signature: "", id: "i", at: now },
    { at: now - 301 }, { at: now + 360 }, { at: "soon" },
    { drop: "webhook-id" }, { drop: "webhook-timestamp" }, { drop: "webhook-signature" },
  ]) assert.equal((await post(body, bad)).status, 401, JSON.stringify(bad));
});
