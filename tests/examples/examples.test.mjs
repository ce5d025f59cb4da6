// The programs of docs/examples with the stock client: `PARLEY_EXAMPLES=build/release/bin node --test …`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { until } from "../support/wait.mjs";

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function reachable(port) {
  await until(async () => {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise((done) => {
      socket.on("connect", () => done(true)).on("error", () => done(false));
    });
    socket.destroy();
    return open;
  }, `a listener on ${port}`);
}

// Starts an example for the tests of a block; `connect(path, options)` gives clients of it.
function example(name, ...words) {
  const state = { clients: [] };
  before(async () => {
    state.port = await freePort();
    state.process = spawn(`${process.env.PARLEY_EXAMPLES}/example_${name}`, [String(state.port), ...words], { stdio: "inherit" });
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

describe("own adapter", () => {
  const folder = mkdtempSync(join(tmpdir(), "parley-nodes-"));
  const nodes = [0, 1, 2].map(() => example("own_adapter", folder));
  after(() => rmSync(folder, { recursive: true }));

  // A client of each node, once all three know of each other; each records what is said to it.
  async function members(room) {
    const clients = nodes.map((node) => node.connect("/", { transports: ["websocket"] }));
    await Promise.all(clients.map((client) => event(client, "connect")));
    for (const client of clients) {
      await until(async () => await client.emitWithAck("nodes") === 3, "three nodes");
      client.heard = [];
      client.on("said", (...args) => client.heard.push(args));
      client.on("vote", (answer) => answer(client.id));
      assert.equal(await client.emitWithAck("join", room), true);
    }
    return clients;
  }
  const ids = (clients) => clients.map(({ id }) => id).sort();
  const inRoom = async (client, room) => (await client.emitWithAck("members", room)).map(({ id }) => id).sort();

  test("a broadcast reaches the members on all nodes, in order, with its attachments", async () => {
    const clients = await members("kitchen");
    const stranger = nodes[0].connect();
    stranger.on("said", () => assert.fail("said to who is not in the room"));
    await event(stranger, "connect");
    for (let i = 0; i < 20; i++) clients[i % 3 ? 0 : 1].emit("say", "kitchen", { i }, Buffer.from([i]));
    for (const client of clients) {
      await until(() => client.heard.length >= 20, () => `${client.heard.length} of 20 messages`);
      const from = (rest) => client.heard.filter(([{ i }]) => (i % 3 === 0) === rest).map(([{ i }, bytes]) => [i, bytes]);
      const sent = (rest) => Array.from({ length: 20 }, (_, i) => i).filter((i) => (i % 3 === 0) === rest).map((i) => [i, Buffer.from([i])]);
      assert.deepEqual([from(true), from(false)], [sent(true), sent(false)]);
    }
  });

  test("sockets of all nodes are moved, listed, made to leave, and dismissed", async () => {
    const clients = await members("hall");
    assert.deepEqual(await inRoom(clients[0], "hall"), ids(clients));
    await clients[1].emitWithAck("move", "hall", "garden");
    await until(async () => (await inRoom(clients[2], "garden")).length === 3, "all are in the garden");
    assert.deepEqual(await inRoom(clients[2], "garden"), ids(clients));
    await clients[2].emitWithAck("leave", "hall");
    await until(async () => (await inRoom(clients[0], "hall")).length === 0, "nobody is in the hall");
    const gone = clients.map((client) => event(client, "disconnect").then(([reason]) => reason));
    clients[0].emit("dismiss", "garden");
    assert.deepEqual(await Promise.all(gone), clients.map(() => "io server disconnect"));
  });

  test("all members vote, and the other nodes answer", async () => {
    const clients = await members("council");
    const ports = nodes.map(({ port }) => port);
    for (const [i, client] of clients.entries()) {
      assert.deepEqual((await client.emitWithAck("vote", "council")).sort(), ids(clients));
      assert.deepEqual((await client.emitWithAck("ports")).sort(), ports.filter((port) => port !== ports[i]).sort());
    }
  });

  test("a node that is killed is no longer waited for; one that ends says goodbye", async () => {
    const [first] = await members("last");
    const ended = (node) => once(node.process, "exit");
    nodes[2].process.kill("SIGKILL");
    await ended(nodes[2]);
    await until(async () => await first.emitWithAck("nodes") === 2, "two nodes");
    assert.deepEqual(await first.emitWithAck("ports"), [nodes[1].port]);
    nodes[1].process.kill();
    await ended(nodes[1]);
    assert.equal(await first.emitWithAck("nodes"), 1);
    assert.equal(readdirSync(folder).length, 2); // this node's, and that of the one that was killed
  });
});
