// The stock client of Socket.IO 2, on Engine.IO 3.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import io2 from "socket.io-client-v2";
import { io } from "socket.io-client";
import { start } from "./lib/server.mjs";
import { within } from "../support/wait.mjs";

let server, strict;
before(async () => {
  server = await start("app", { "allow-eio3": 1, "ping-interval": 300, "ping-timeout": 60000 });
  strict = await start("app");
});
after(() => Promise.all([server.stop(), strict.stop()]));

const event = (socket, name) => within(name, new Promise((resolve) => socket.once(name, (...args) => resolve(args))));
const ask = (socket, ...args) => within(args[0], new Promise((resolve) => socket.emit(...args, resolve)));

async function connected(path = "/", options = {}) {
  const socket = io2(server.http + path, { forceNew: true, ...options });
  await event(socket, "connect");
  return socket;
}

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  describe(`over ${transports}`, () => {
    let socket;
    before(async () => { socket = await connected("/?a=1", { transports }); });
    after(() => socket.close());

    test("knows its id and its query", async () => {
      const who = await ask(socket, "whoami");
      assert.equal(who.id, socket.id);
      assert.equal(who.query.a, "1");
      assert.deepEqual(who.auth, {});
      assert.deepEqual(await ask(socket, "rooms"), [socket.id]);
    });
    test("events and acks, text and binary", async () => {
      assert.deepEqual(await ask(socket, "echo", { a: "€ 🦔" }), { a: "€ 🦔" });
      assert.deepEqual(await ask(socket, "echo", Buffer.from([0, 1, 255])), Buffer.from([0, 1, 255]));
      const back = event(socket, "echo-back");
      socket.emit("echo", "x", { b: Buffer.from("bytes") }, "てすと");
      assert.deepEqual(await back, ["x", { b: Buffer.from("bytes") }, "てすと"]);
    });
    test("many, in order", async () => {
      const seen = [];
      socket.on("count", (i) => seen.push(i));
      socket.emit("push", 500, "count");
      await ask(socket, "echo", 1);
      assert.deepEqual(seen, Array.from({ length: 500 }, (_, i) => i));
    });
    test("an ack of the client's", async () => {
      socket.once("question", (payload, done) => done(payload + 1));
      assert.deepEqual(await ask(socket, "ask", "question", 41), { answer: 42 });
    });
    test("heartbeats keep it", async () => {
      for (let i = 0; i < 3; i++) await event(socket, "pong");
      assert.equal(await ask(socket, "echo", 1), 1);
    });
    test("other namespaces: id, query, refusals", async () => {
      const custom = await connected("/custom?token=abc&x=a%20b", { transports });
      const who = await ask(custom, "whoami");
      assert.equal(who.id, custom.id);
      assert.match(who.id, /^\/custom#/);
      assert.deepEqual(who.auth, { token: "abc", x: "a b" });
      const ready = event(custom, "hello");
      assert.equal(await ask(socket, "op", { op: "emit", nsp: "/custom", to: custom.id, ev: "hello", args: [1] }), "ok");
      assert.deepEqual(await ready, [1]);
      custom.close();
      const auth = await connected("/auth?token=abc", { transports });
      auth.close();
      const wrong = io2(`${server.http}/auth?token=no`, { forceNew: true, transports });
      assert.deepEqual((await event(wrong, "error"))[0], { code: 401 });
      wrong.close();
      const unknown = io2(`${server.http}/nowhere`, { forceNew: true, transports });
      assert.deepEqual((await event(unknown, "error"))[0], { message: "Invalid namespace" });
      unknown.close();
    });
  });
}

test("both versions hear one broadcast", async () => {
  const old = await connected();
  const now = io(server.http, { forceNew: true });
  await event(now, "connect");
  const heard = Promise.all([event(old, "news"), event(now, "news")]);
  await now.emitWithAck("op", { op: "emit", ev: "news", args: [1, "x"] });
  assert.deepEqual(await heard, [[1, "x"], [1, "x"]]);
  old.close();
  now.disconnect();
});

test("the server disconnects it", async () => {
  const socket = await connected("/", { reconnection: false });
  socket.emit("bye", false);
  assert.deepEqual(await event(socket, "disconnect"), ["io server disconnect"]);
});

test("without the option it is refused", async () => {
  const socket = io2(strict.http, { forceNew: true, reconnection: false, transports: ["polling"] });
  await event(socket, "connect_error");
  socket.close();
});
