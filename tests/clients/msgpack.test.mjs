// The stock socket.io-client with socket.io-msgpack-parser against the profile app with that parser.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import parser from "socket.io-msgpack-parser";
import { isReference, start } from "./lib/server.mjs";
import { PATIENCE_MS, within } from "../support/wait.mjs";

let server;
before(async () => { server = await start("app", { parser: "msgpack" }); });
after(() => server.stop());

const clients = [];
after(() => { for (const client of clients) client.disconnect(); });

function make(nsp = "/", options = {}) {
  const client = io(server.http + nsp, { forceNew: true, reconnection: false, parser, ...options });
  clients.push(client);
  return client;
}

const event = (client, name) =>
  within(`event ${name}`, new Promise((resolve) => client.once(name, (...args) => resolve(args))));

async function connect(nsp, options) {
  const client = make(nsp, options);
  await within(`connect to ${nsp}`, new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("connect_error", reject);
  }));
  return client;
}

const call = (client, ...args) => client.timeout(PATIENCE_MS).emitWithAck(...args);
// What the client of node reads as Buffer.
const bytes = (...list) => Buffer.from(list);

// Everything that comes over the connection after it is open.
function listen(client) {
  const kinds = new Set();
  client.io.engine.on("packet", ({ type, data }) => { if (type === "message") kinds.add(typeof data); });
  return kinds;
}

const TRANSPORTS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

for (const [mode, options] of Object.entries(TRANSPORTS)) {
  describe(`over ${mode}`, () => {
    let client;
    let kinds;
    before(async () => {
      client = make("/", options);
      const upgraded = mode === "upgrade" && new Promise((resolve) =>
        client.io.on("open", () => client.io.engine.once("upgrade", resolve)));
      client.io.on("open", () => { kinds = listen(client); });
      await event(client, "connect");
      if (upgraded) await within("upgrade", upgraded);
    });
    after(() => client.disconnect());

    test("every packet is one binary message", async () => {
      await call(client, "echo", bytes(1), [bytes(2)]);
      assert.deepEqual([...kinds], ["object"]);
    });

    test("echo of nested binary", async () => {
      const args = [{ a: [bytes(1, 2), { b: bytes() }], c: "x" }, bytes(0xff), 7];
      client.emit("echo", ...args);
      assert.deepEqual(await event(client, "echo-back"), args);
      assert.deepEqual(await call(client, "echo", ...args), args[0]);
    });

    test("values (not those that notepack spoils: beyond 64 bits)", async () => {
      const values = [0, -0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128,
        -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, 1 - 2 ** 53, 0.5, 0.1, 1e-7, 5e-324, 1 / 3, true, false,
        null, "", "é€😀", "\"\\/\b\f\n\r\t\u0000\u2028", "x".repeat(31), "x".repeat(32), "x".repeat(256),
        "x".repeat(70000), [], {}, [[[[]]]], Array.from({ length: 1000 }, (_, i) => i), { "": 1, "a\"b": { c: [] } },
        Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key ${i}`, i]))];
      for (const value of values) {
        const back = await call(client, "echo", value);
        assert.deepEqual(back, Object.is(value, -0) ? 0 : value);
      }
    });

    test("large and many attachments", async () => {
      const large = Buffer.alloc(300000, "ab");
      assert.deepEqual(await call(client, "echo", { large }), { large });
      const many = Array.from({ length: 500 }, (_, i) => bytes(i & 255));
      assert.deepEqual(await call(client, "echo", many), many);
    });

    test("what JavaScript has and JSON has not", async () => {
      const date = new Date(1500000000123);
      const got = await call(client, "echo", { date, none: undefined, list: [undefined, NaN], buffer: new Uint8Array([1, 2]).buffer });
      if (isReference) return;
      assert.deepEqual({ ...got, buffer: [...new Uint8Array(got.buffer)] },
        { date: date.toJSON(), list: [null, null], buffer: [1, 2] });
    });

    test("what looks like a placeholder", async () => {
      const odd = { _placeholder: true, num: 0 };
      assert.deepEqual(await call(client, "echo", odd), odd);
    });

    test("acks of the client", async () => {
      client.once("question", (payload, answer) => answer({ got: payload, more: bytes(9) }, "second"));
      const { answer } = await call(client, "ask", "question", { p: bytes(4, 5) });
      assert.deepEqual(answer, { got: { p: bytes(4, 5) }, more: bytes(9) });
    });

    test("300 events in order", async () => {
      const got = [];
      const done = new Promise((resolve) => client.on("n", (i) => { if (got.push(i) === 300) resolve(); }));
      client.emit("push", 300, "n");
      await within("300 events", done);
      assert.deepEqual(got, Array.from({ length: 300 }, (_, i) => i));
    });

    test("several namespaces over one connection", async () => {
      const other = client.io.socket("/custom");
      const dynamic = client.io.socket("/dyn-12");
      await Promise.all([event(other, "connect"), event(dynamic, "connect")]);
      assert.equal((await call(other, "whoami")).nsp, "/custom");
      assert.equal((await call(dynamic, "whoami")).nsp, "/dyn-12");
      assert.equal((await call(client, "whoami")).id, client.id);
      other.disconnect();
      dynamic.emit("bye");
      assert.deepEqual((await event(dynamic, "disconnect"))[0], "io server disconnect");
      assert.equal((await call(client, "whoami")).nsp, "/");
    });

    test("connect is refused", async () => {
      const auth = make("/auth", { ...options, auth: { token: "wrong" } });
      const [error] = await event(auth, "connect_error");
      assert.equal(error.message, "not authorized");
      assert.deepEqual(error.data, { code: 401 });
      const [unknown] = await event(make("/nowhere", options), "connect_error");
      assert.equal(unknown.message, "Invalid namespace");
    });

    test("auth", async () => {
      const auth = await connect("/auth", { ...options, auth: { token: "abc", "é": [1, 2.5, null] } });
      assert.deepEqual((await call(auth, "whoami")).auth, { token: "abc", "é": [1, 2.5, null] });
      auth.disconnect();
    });
  });
}

test("a broadcast with binary reaches a room, over both transports", async () => {
  const [from, a, b, outside] = await Promise.all(
    ["websocket", "polling", "websocket", "websocket"].map((name) => connect("/", { transports: [name] })));
  await Promise.all([call(a, "join", ["here"]), call(b, "join", ["here"])]);
  outside.on("news", () => assert.fail("it is not in the room"));
  const news = [event(a, "news"), event(b, "news")];
  await call(from, "broadcast", { to: ["here"], ev: "news", args: [{ x: bytes(1) }, "text"] });
  for (const args of await Promise.all(news)) assert.deepEqual(args, [{ x: bytes(1) }, "text"]);
  await call(outside, "whoami");
});

test("a client with the default parser is closed", async () => {
  const client = make("/", { parser: undefined, transports: ["websocket"] });
  client.on("connect", () => assert.fail("connected"));
  await within("close", new Promise((resolve) => client.io.once("close", resolve)));
});
