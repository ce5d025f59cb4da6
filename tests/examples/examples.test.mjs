// The programs of docs/examples with the stock client: `PARLEY_EXAMPLES=build/release/bin node --test …`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";

const TRIES = 1200;
const TRY_MS = 50;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function reachable(port) {
  for (let i = 0; i < TRIES; i++) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise((done) => {
      socket.on("connect", () => done(true)).on("error", () => done(false));
    });
    socket.destroy();
    if (open) return;
    await new Promise((done) => setTimeout(done, TRY_MS));
  }
  throw new Error(`nothing listens on ${port}`);
}

// Starts an example for the tests of a block; `connect(path, options)` gives clients of it.
function example(name) {
  const state = { clients: [] };
  before(async () => {
    state.port = await freePort();
    state.process = spawn(`${process.env.PARLEY_EXAMPLES}/example_${name}`, [String(state.port)], { stdio: "inherit" });
    await reachable(state.port);
  });
  after(() => {
    for (const client of state.clients) client.disconnect();
    state.process.kill();
  });
  state.connect = (path = "/", options = {}) => {
    const client = io(`http://127.0.0.1:${state.port}${path}`, { forceNew: true, reconnection: false, ...options });
    state.clients.push(client);
    return client;
  };
  return state;
}

const event = (client, name) => new Promise((done) => client.once(name, (...args) => done(args)));

describe("echo", () => {
  const server = example("echo");
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    test(`over ${transports.join(" then ")}`, async () => {
      const client = server.connect("/", { transports });
      await event(client, "connect");
      assert.deepEqual(await client.emitWithAck("message", { a: [1, "é"] }), { a: [1, "é"] });
      client.emit("message", 1, "two", Buffer.from([3, 4]));
      assert.deepEqual(await event(client, "message-back"), [1, "two", Buffer.from([3, 4])]);
      const size = 300_000; // over several frames of a transport's buffers
      assert.equal((await client.emitWithAck("message", Buffer.alloc(size))).length, size);
    });
  }
});

describe("chat room", () => {
  const server = example("chat_room");
  test("members see each other come, speak and go", async () => {
    const ada = server.connect("/", { auth: { name: "Ada" } });
    const bob = server.connect("/", { auth: { name: "Bob" } });
    assert.deepEqual(await ada.emitWithAck("join", "kitchen"), ["Ada"]);
    const joined = event(ada, "joined");
    assert.deepEqual((await bob.emitWithAck("join", "kitchen")).sort(), ["Ada", "Bob"]);
    assert.deepEqual(await joined, ["kitchen", "Bob"]);
    const said = event(ada, "said");
    bob.emit("say", "kitchen", { text: "hello" }, Buffer.from("x"));
    assert.deepEqual(await said, ["kitchen", "Bob", { text: "hello" }, Buffer.from("x")]);
    const left = event(ada, "left");
    bob.disconnect();
    assert.deepEqual(await left, ["kitchen", "Bob"]);
    assert.equal(await ada.emitWithAck("join", 5), null);
  });
});

describe("auth namespace", () => {
  const server = example("auth_namespace");
  test("the token opens the door", async () => {
    const client = server.connect("/secret", { auth: { token: "open-sesame" } });
    const { id, user } = await client.emitWithAck("whoami");
    assert.equal(user, "Ali");
    assert.equal(id, client.id);
  });
  test("without it there is an error and its data", async () => {
    const client = server.connect("/secret", { auth: { token: "guess" } });
    const [error] = await event(client, "connect_error");
    assert.equal(error.message, "not authorized");
    assert.deepEqual(error.data, { code: 401 });
    const open = server.connect("/");
    assert.equal((await open.emitWithAck("whoami")).user, null);
  });
  test("a client that leaves while it is looked up harms nobody", async () => {
    const client = server.connect("/secret", { auth: { token: "open-sesame" }, transports: ["websocket"] });
    await new Promise((done) => client.io.once("open", done));
    client.io.engine.close();
    const other = server.connect("/secret", { auth: { token: "open-sesame" } });
    assert.equal((await other.emitWithAck("whoami")).user, "Ali");
  });
});
