// The stock socket.io-client against the profile its own tests need: every row of that table, and recovery.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { start } from "./lib/server.mjs";
import { until, within } from "../support/wait.mjs";

let server;
before(async () => { server = await start("sio-client"); });
after(() => server.stop());

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const BYTES = Buffer.from("asdfasdf");
const event = (socket, name) => within(name, new Promise((resolve) => socket.once(name, (...args) => resolve(args))));
const client = (path = "/", options = {}) => io(server.http + path, { forceNew: true, reconnectionDelay: 50, ...options });

async function connected(path, options) {
  const socket = client(path, options);
  await event(socket, "connect");
  return socket;
}

async function refused(path, options) {
  const socket = client(path, { reconnection: false, ...options });
  const [error] = await event(socket, "connect_error");
  socket.disconnect();
  return error;
}

// The server appends an offset to each event.
const withoutOffset = (args) => {
  assert.match(args.at(-1), /^[\w-]{8}\.\d+$/, "an offset");
  return args.slice(0, -1);
};

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  describe(`over ${transports}`, () => {
    let socket;
    before(async () => { socket = await connected("/", { transports }); });
    after(() => socket.disconnect());

    async function ask(name, args, answer) {
      const answered = event(socket, answer);
      socket.emit(name, ...args);
      return withoutOffset(await answered);
    }
    const rows = [
      ["hi", [], "hi", []],
      ["false", [], "false", [false]],
      ["doge", [], "doge", [BYTES]],
      ["getbin", [], "takebin", [BYTES]],
      ["buffa", [BYTES], "buffack", []],
      ["jsonbuff", [{ hello: "lol", message: BYTES, goodbye: "gotcha" }], "jsonbuff-ack", []],
      ["blob", [BYTES], "back", []],
      ["jsonblob", [{ hello: "lol", message: BYTES, goodbye: "gotcha" }], "jsonblob-ack", []],
    ];
    for (const [name, args, answer, expected] of rows)
      test(`${name} -> ${answer}`, async () => assert.deepEqual(await ask(name, args, answer), expected));

    test("echo and getId acknowledge", async () => {
      assert.equal(await socket.emitWithAck("echo", 123), 123);
      assert.equal(await socket.emitWithAck("getId"), socket.id);
    });
    test("ack: the server's own is answered", async () => {
      socket.once("ack", (done) => done(5, { test: true }));
      await ask("ack", [], "got it");
    });
    test("dates", async () => {
      assert.match(await socket.emitWithAck("getAckDate", { test: true }), ISO);
      assert.match((await ask("getDate", [], "takeDate"))[0], ISO);
      assert.match((await ask("getDateObj", [], "takeDateObj"))[0].date, ISO);
    });
    test("five texts in UTF-8", async () => {
      const texts = [];
      const all = new Promise((resolve) => socket.on("takeUtf8", (text) => texts.push(text) === 5 && resolve()));
      socket.emit("getUtf8");
      await within("takeUtf8", all);
      assert.deepEqual(texts, ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]);
    });
    test("series of binary events", async () => {
      socket.emit("abuff1", BYTES);
      await ask("abuff2", [BYTES], "abuff2-ack");
      socket.emit("blob1", BYTES);
      socket.emit("blob2", "second");
      await ask("blob3", [BYTES], "blob3-ack");
    });
    test("what it does not know is ignored", async () => {
      for (const name of ["unknown", "event", "my-event"]) socket.emit(name, 1, BYTES);
      await assert.rejects(socket.timeout(100).emitWithAck("unknown"));
      await ask("hi", [], "hi");
    });
    test("getHandshake", async () => {
      const handshake = await socket.emitWithAck("getHandshake");
      for (const key of ["query", "auth", "headers", "time", "address", "url", "issued", "secure", "xdomain"])
        assert.ok(key in handshake, key);
      assert.equal(handshake.query.EIO, "4");
    });
  });
}

describe("namespaces", () => {
  test("abuff2 without abuff1 is not answered", async () => {
    const socket = await connected();
    let answered = false;
    socket.on("abuff2-ack", () => { answered = true; });
    socket.emit("abuff2", BYTES);
    await socket.emitWithAck("echo", 1);
    assert.equal(answered, false);
    socket.disconnect();
  });
  test("/foo knows its id; others are there", async () => {
    const foo = await connected("/foo");
    assert.equal(await foo.emitWithAck("getId"), foo.id);
    foo.disconnect();
    for (const path of ["/timeout_socket", "/valid", "/asd"]) (await connected(path)).disconnect();
  });
  test("/abc says the handshake", async () => {
    const socket = client("/abc?key=%26%3D%3F%20a&b=c", { auth: { token: "x" } });
    const [handshake] = await event(socket, "handshake");
    assert.equal(handshake.query.key, "&=? a");
    assert.equal(handshake.query.b, "c");
    assert.deepEqual(handshake.auth, { token: "x" });
    socket.disconnect();
  });
  test("refusals", async () => {
    assert.equal((await refused("/", { query: { fail: "1" } })).message, "Auth failed (main namespace)");
    assert.equal((await refused("/no")).message, "Auth failed (custom namespace)");
    for (const path of ["/timeout", "/invalid", "/bar", "/room1"])
      assert.equal((await refused(path)).message, "Invalid namespace");
    (await connected("/", { query: { fail: "" } })).disconnect();
  });
});

test("every handshake takes 10 ms more", async () => {
  const begin = performance.now();
  await (await fetch(`${server.http}/socket.io/?EIO=4&transport=polling`)).text();
  assert.ok(performance.now() - begin >= 9);
});

describe("recovery", () => {
  const breakConnection = async (socket) => {
    const again = event(socket, "connect");
    socket.io.engine.close();
    await again;
  };
  for (const transports of [["polling"], ["websocket"]]) {
    test(`id kept over ${transports}, with and without an offset`, async () => {
      const socket = await connected("/", { transports });
      const { id } = socket;
      assert.equal(socket.recovered, false);
      await breakConnection(socket);
      assert.equal(socket.id, id);
      assert.equal(socket.recovered, true);
      socket.emit("hi");
      await event(socket, "hi");
      await breakConnection(socket);
      assert.equal(socket.id, id);
      assert.equal(socket.recovered, true);
      socket.disconnect();
    });
  }
  test("what was missed arrives once", async () => {
    const socket = await connected("/", { transports: ["websocket"] });
    const texts = [];
    socket.on("takeUtf8", (text) => texts.push(text));
    socket.emit("getUtf8");
    await socket.emitWithAck("echo", 1);
    assert.equal(texts.length, 5);
    // Asked for, but the connection is gone before the answer.
    const again = event(socket, "connect");
    const { ws } = socket.io.engine.transport;
    let lost = 0;
    ws.onmessage = () => lost++;
    socket.emit("getUtf8");
    await until(() => lost >= 5, "what is lost");
    ws.terminate();
    await again;
    assert.equal(socket.recovered, true);
    await socket.emitWithAck("echo", 1);
    assert.equal(texts.length, 10);
    socket.disconnect();
  });
  test("a namespace left on purpose is entered anew", async () => {
    const socket = await connected();
    const { id } = socket;
    socket.disconnect();
    socket.connect();
    await event(socket, "connect");
    assert.notEqual(socket.id, id);
    assert.equal(socket.recovered, false);
    socket.disconnect();
  });
});
