// The events that load generators use, with stock clients: that they work, not how fast.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { isReference, start } from "./lib/server.mjs";
import { PATIENCE_MS, within } from "../support/wait.mjs";

const skip = isReference && "not in the reference";
let server;
before(async () => { if (!skip) server = await start("bench"); });
after(() => server?.stop());

async function connect(transports = ["websocket"]) {
  const client = io(server.http, { forceNew: true, reconnection: false, transports });
  await within("connect", new Promise((resolve, reject) => { client.once("connect", resolve); client.once("connect_error", reject); }));
  return client;
}

const call = (client, ...args) => client.timeout(PATIENCE_MS).emitWithAck(...args);

test("echo", { skip }, async () => {
  for (const transports of [["websocket"], ["polling"]]) {
    const client = await connect(transports);
    for (const value of [1, "ü", { a: [null] }, Buffer.from([1, 2])]) assert.deepEqual(await call(client, "echo", value), value);
    const answers = Array.from({ length: 200 }, (_, i) => call(client, "echo", i));
    assert.deepEqual(await Promise.all(answers), Array.from({ length: 200 }, (_, i) => i));
    client.disconnect();
  }
});

test("subscribers of a call, and only they, get its updates", { skip }, async () => {
  const [sender, one, other] = await Promise.all([connect(), connect(), connect(["polling"])]);
  const logs = [one, other, sender].map((client) => { const got = []; client.on("transcription:update", (...args) => got.push(args)); return got; });
  assert.deepEqual(await call(one, "call:subscribe", { call_id: "c-1" }), { ok: true });
  other.emit("call:subscribe", { call_id: "ü \"2\"" });
  const first = { call_id: "c-1", text: "hello", nested: { call_id: "no" }, seq: 1 };
  const second = { text: { call_id: "c-1" }, "call_\u0069d": "ü \"2\"" };
  await call(other, "echo", 1);
  sender.emit("transcription:update", first);
  sender.emit("transcription:update", second);
  for (const client of [sender, one, other]) await call(client, "echo", 1); // after it nothing is on its way
  assert.deepEqual(logs, [[[first]], [[second]], []]);
  for (const client of [sender, one, other]) client.disconnect();
});

test("the sender gets its own update when it subscribed", { skip }, async () => {
  const client = await connect();
  await call(client, "call:subscribe", { call_id: "own" });
  const got = new Promise((resolve) => client.once("transcription:update", resolve));
  client.emit("transcription:update", { call_id: "own", n: 1 });
  assert.deepEqual(await within("update", got), { call_id: "own", n: 1 });
  client.disconnect();
});

test("nonsense is ignored", { skip }, async () => {
  const client = await connect();
  for (const value of [undefined, null, 1, "x", [], {}, { call_id: null }, { call_id: 5 }, { call_id: "" }, Buffer.from([1]), { call_id: "x".repeat(5000) }]) {
    client.emit("call:subscribe", value);
    client.emit("transcription:update", value);
  }
  client.emit("call:subscribe");
  assert.equal(await call(client, "echo", "alive"), "alive");
  client.disconnect();
});

test("a burst to 50 subscribers arrives whole and in order", { skip }, async () => {
  const sender = await connect();
  const receivers = await Promise.all(Array.from({ length: 50 }, () => connect()));
  for (const receiver of receivers) await call(receiver, "call:subscribe", { call_id: "burst" });
  const logs = receivers.map((client) => { const got = []; client.on("transcription:update", ({ n }) => got.push(n)); return got; });
  for (let n = 0; n < 100; n++) sender.emit("transcription:update", { call_id: "burst", n });
  await call(sender, "echo", 1);
  for (const receiver of receivers) await call(receiver, "echo", 1);
  for (const got of logs) assert.deepEqual(got, Array.from({ length: 100 }, (_, n) => n));
  for (const client of [sender, ...receivers]) client.disconnect();
});
