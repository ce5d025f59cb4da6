// The stock socket.io-client against the profile app: over polling, over WebSocket and with the upgrade between.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { isReference, start } from "./lib/server.mjs";
import { request } from "./lib/wire.mjs";
import { PATIENCE_MS, until, withTimeEnough, within } from "../support/wait.mjs";

const NAME = "node-7";
let server;
before(async () => { server = await start("app", { name: NAME }); });
after(() => server.stop());

const TRANSPORTS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

const clients = [];
after(() => { for (const client of clients) client.disconnect(); });

function make(nsp = "/", options = {}) {
  const client = io(server.http + nsp, { forceNew: true, reconnection: false, ...options });
  clients.push(client);
  return client;
}

const event = (client, name, what = name) =>
  within(`event ${what}`, new Promise((resolve) => client.once(name, (...args) => resolve(args))));

async function connect(nsp, options) {
  const client = make(nsp, options);
  await within(`connect to ${nsp}`, new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("connect_error", reject);
  }));
  return client;
}

// What the server sent before now has come: the answer comes after it.
const arrived = (clients) => Promise.all(clients.map((client) => call(client, "rooms")));
const call = (client, ...args) => client.timeout(PATIENCE_MS).emitWithAck(...args);
const nobodyIn = (room, client, nsp = "/") =>
  until(async () => (await call(client, "op", { op: "fetchSockets", nsp, to: room })).length === 0, `nobody in ${room}`);

async function connectUpgraded(nsp) {
  const client = make(nsp, TRANSPORTS.upgrade);
  const upgraded = new Promise((resolve) => client.io.on("open", () => client.io.engine.once("upgrade", resolve)));
  await event(client, "connect");
  await within("upgrade", upgraded);
  assert.equal(client.io.engine.transport.name, "websocket");
  return client;
}

for (const [mode, options] of Object.entries(TRANSPORTS)) {
  describe(`over ${mode}`, () => {
    let client;
    before(async () => { client = mode === "upgrade" ? await connectUpgraded("/") : await connect("/", options); });
    after(() => client.disconnect());

    test("whoami", async () => {
      const me = await call(client, "whoami");
      assert.equal(me.id, client.id);
      assert.equal(me.nsp, "/");
      assert.equal(me.server, NAME);
      assert.deepEqual(me.auth, {});
      assert.equal(me.recovered, false);
      assert.equal(me.query.EIO, "4");
      assert.ok(["polling", "websocket"].includes(me.query.transport));
      assert.deepEqual(Object.keys(me), ["id", "nsp", "server", "auth", "query", "recovered"]);
    });

    test("the Socket.IO id is not the Engine.IO id", () => assert.notEqual(client.id, client.io.engine.id));

    const values = {
      "a string": ["hello"],
      "several arguments": [1, "2", { 3: [true, null, { a: 1.5 }] }],
      "no arguments": [],
      "null": [null],
      "multibyte text": ["Ä ä Ü ü ß てすと 🦔 \u2028 \0"],
      "an empty object and list": [{}, []],
      "text with quotes and backslashes": ["\"\\/\b\f\n\r\t", "{\"a\":[1,2]}", "],["],
      "binary": [Buffer.from([0, 1, 2, 255])],
      "nested binary": [{ a: Buffer.from("one"), b: [Buffer.from("two"), { c: Buffer.from("three") }] }, 7],
      "empty binary": [Buffer.alloc(0), "x"],
      "binary between": ["a", Buffer.from("b"), "c", Buffer.from("d")],
      "100 kB of binary": [Buffer.alloc(100000, 7)],
      "300 kB of text": ["x".repeat(300000)],
      "a list of 5000 numbers": [Array.from({ length: 5000 }, (_, i) => i)],
    };
    for (const [what, args] of Object.entries(values)) {
      test(`echo of ${what}`, { skip: isReference && !args.length && "the reference profile adds an undefined" }, async () => {
        const back = event(client, "echo-back");
        client.emit("echo", ...args);
        assert.deepEqual(await back, args);
      });
      test(`echo with ack of ${what}`, async () => {
        const answer = await within("ack", new Promise((resolve) => client.emit("echo", ...args, (...a) => resolve(a))));
        assert.deepEqual(answer, args);
      });
    }

    test("push sends events in order", async () => {
      const got = [];
      client.on("tick", (i) => got.push(i));
      client.emit("push", 500, "tick");
      await call(client, "rooms");
      client.off("tick");
      assert.deepEqual(got, Array.from({ length: 500 }, (_, i) => i));
    });

    test("push of nothing", async () => {
      client.emit("push", 0, "tick");
      await call(client, "rooms");
    });

    test("ask gets the client's answer", async () => {
      client.once("question", (payload, cb) => cb({ got: payload }));
      assert.deepEqual(await call(client, "ask", "question", { a: 1 }), { answer: { got: { a: 1 } } });
    });

    test("ask relays binary both ways", async () => {
      client.once("question", (payload, cb) => cb({ got: [payload.bytes] }));
      const bytes = Buffer.from([1, 2, 3]);
      assert.deepEqual(await call(client, "ask", "question", { bytes }), { answer: { got: [bytes] } });
    });

    test("ask of a client that answers nothing in the callback", async () => {
      client.once("question", (_, cb) => cb());
      const answer = await call(client, "ask", "question", 1);
      assert.equal(answer.answer ?? null, null);
      assert.ok(!("error" in answer));
    });

    test("ask times out after 2 s", async () => {
      const begin = Date.now();
      assert.deepEqual(await call(client, "ask", "nobody answers", null), { error: "timeout" });
      const took = Date.now() - begin;
      assert.ok(took >= 1990, `${took} ms`);
    });

    test("a late answer after the timeout is ignored", async () => {
      let late;
      client.once("question", (_, cb) => { late = cb; });
      assert.deepEqual(await call(client, "ask", "question", 1), { error: "timeout" });
      late("too late");
      assert.deepEqual(await call(client, "rooms"), [client.id]);
    });

    test("join, leave, rooms", async () => {
      assert.equal(await call(client, "join", "a"), "ok");
      assert.equal(await call(client, "join", "ü \"quoted\""), "ok");
      assert.equal(await call(client, "join", "a"), "ok");
      assert.deepEqual(await call(client, "rooms"), [client.id, "a", "ü \"quoted\""]);
      assert.equal(await call(client, "leave", "a"), "ok");
      assert.equal(await call(client, "leave", "never joined"), "ok");
      assert.deepEqual(await call(client, "rooms"), [client.id, "ü \"quoted\""]);
      assert.equal(await call(client, "leave", client.id), "ok");
      assert.deepEqual(await call(client, "rooms"), ["ü \"quoted\""]);
      assert.equal(await call(client, "leave", "ü \"quoted\""), "ok");
      assert.deepEqual(await call(client, "rooms"), []);
      assert.equal(await call(client, "join", client.id), "ok");
      assert.deepEqual(await call(client, "rooms"), [client.id]);
    });

    test("set-data merges keys", async () => {
      assert.equal(await call(client, "set-data", { a: 1, b: { c: 2 } }), "ok");
      assert.equal(await call(client, "set-data", { b: 3, d: null }), "ok");
      const [me] = await call(client, "op", { op: "fetchSockets", to: client.id });
      assert.deepEqual(me.data, { a: 1, b: 3, d: null });
    });

    test("an unknown event is ignored", async () => {
      client.emit("unknown", 1);
      await assert.rejects(client.timeout(200).emitWithAck("also unknown", 1), /timed out/);
      assert.deepEqual(await call(client, "rooms"), [client.id]);
    });
  });
}

describe("broadcast", () => {
  const received = (client) => { const got = []; client.onAny((...args) => got.push(args)); return got; };

  test("to everybody else", async () => {
    const all = await Promise.all(["/custom", "/custom", "/custom", "/"].map((nsp) => connect(nsp, TRANSPORTS.websocket)));
    const logs = all.map(received);
    assert.equal(await call(all[0], "broadcast", { ev: "hello", args: [1, { a: "ü" }] }), "ok");
    await arrived(all);
    assert.deepEqual(logs, [[], [["hello", 1, { a: "ü" }]], [["hello", 1, { a: "ü" }]], []]);
    for (const client of all) client.disconnect();
  });

  test("to rooms, except rooms, over both transports, with binary", async () => {
    const all = await Promise.all([0, 1, 2, 3].map((i) => connect("/custom", i % 2 ? TRANSPORTS.polling : TRANSPORTS.websocket)));
    const logs = all.map(received);
    for (const client of all) await call(client, "join", "room");
    await call(all[3], "join", "quiet");
    const bytes = Buffer.from("bytes");
    assert.equal(await call(all[0], "broadcast", { to: "room", except: "quiet", ev: "hello", args: [{ bytes }] }), "ok");
    assert.equal(await call(all[1], "broadcast", { to: [all[0].id, all[3].id], ev: "two" }), "ok");
    await arrived(all);
    assert.deepEqual(logs, [[["two"]], [["hello", { bytes }]], [["hello", { bytes }]], [["two"]]]);
    for (const client of all) client.disconnect();
  });

  test("without an ack", async () => {
    const [a, b] = await Promise.all([connect("/custom"), connect("/custom")]);
    const got = event(b, "plain");
    a.emit("broadcast", { ev: "plain" });
    assert.deepEqual(await got, []);
    for (const client of [a, b]) client.disconnect();
  });

  test("a left room and a disconnected socket get nothing", async () => {
    const [a, b, c] = await Promise.all([0, 1, 2].map(() => connect("/custom", TRANSPORTS.websocket)));
    for (const client of [b, c]) await call(client, "join", "leaving");
    const got = received(b);
    await call(b, "leave", "leaving");
    c.disconnect();
    await nobodyIn("leaving", a, "/custom");
    assert.equal(await call(a, "broadcast", { to: "leaving", ev: "x" }), "ok");
    assert.deepEqual(await call(b, "rooms"), [b.id]);
    assert.deepEqual(got, []);
    for (const client of [a, b]) client.disconnect();
  });
});

describe("op", () => {
  let a;
  let b;
  before(async () => {
    [a, b] = await Promise.all([connect("/custom", TRANSPORTS.websocket), connect("/custom", TRANSPORTS.polling)]);
    await call(b, "join", "op-room");
  });
  after(() => { a.disconnect(); b.disconnect(); });
  const op = (op) => call(a, "op", { nsp: "/custom", ...op });

  test("emit reaches everybody, the caller too", async () => {
    const both = Promise.all([event(a, "news"), event(b, "news")]);
    assert.equal(await op({ op: "emit", ev: "news", args: [1, Buffer.from([1])] }), "ok");
    assert.deepEqual(await both, [[1, Buffer.from([1])], [1, Buffer.from([1])]]);
  });

  test("emit to a room, local, except", async () => {
    const got = [];
    a.on("partial", (x) => got.push(["a", x]));
    b.on("partial", (x) => got.push(["b", x]));
    await op({ op: "emit", to: "op-room", ev: "partial", args: [1] });
    await op({ op: "emit", except: "op-room", local: true, ev: "partial", args: [2] });
    await op({ op: "emit", to: ["op-room", a.id], except: [a.id], ev: "partial", args: [3] });
    await op({ op: "emit", nsp: "/", ev: "partial", args: [4] });
    await arrived([a, b]);
    assert.deepEqual(got.sort((x, y) => x[1] - y[1]), [["b", 1], ["a", 2], ["b", 3]]);
  });

  test("emitWithAck gathers the answers", async () => {
    a.once("sum", (x, y, cb) => cb(x + y));
    b.once("sum", (x, y, cb) => cb({ bytes: Buffer.from([x, y]) }));
    const { err, responses } = await op({ op: "emitWithAck", ev: "sum", args: [1, 2], timeout: PATIENCE_MS });
    assert.equal(err, null);
    assert.equal(responses.length, 2);
    assert.ok(responses.includes(3));
    assert.deepEqual(responses.find((r) => r.bytes), { bytes: Buffer.from([1, 2]) });
  });

  test("emitWithAck gives the partial answers on timeout", async () => {
    await withTimeEnough([1000, 5000, PATIENCE_MS / 2], async (timeout) => {
      a.off("half").once("half", (cb) => cb("here", "second argument"));
      const begin = Date.now();
      const result = await op({ op: "emitWithAck", ev: "half", timeout });
      assert.ok(Date.now() - begin >= timeout - 10);
      assert.deepEqual(result, { err: "timeout", responses: ["here"] });
    });
  });

  test("emitWithAck of one that disconnects meanwhile ends", async () => {
    const c = await connect("/custom", TRANSPORTS.websocket);
    c.once("going", () => c.disconnect());
    const { responses } = await op({ op: "emitWithAck", to: c.id, ev: "going", timeout: 300 });
    assert.deepEqual(responses, []);
  });

  test("fetchSockets", async () => {
    await call(b, "set-data", { name: "b" });
    const sockets = await op({ op: "fetchSockets" });
    assert.deepEqual(sockets.map((s) => s.id).sort(), [a.id, b.id].sort());
    const other = sockets.find((s) => s.id === b.id);
    assert.deepEqual(Object.keys(other), ["id", "rooms", "data", "query", "time", "address"]);
    assert.deepEqual(other.rooms, [b.id, "op-room"]);
    assert.deepEqual(other.data, { name: "b" });
    assert.equal(other.query.transport, "polling");
    assert.equal(other.time, "string");
    assert.equal(other.address, "string");
    assert.deepEqual((await op({ op: "fetchSockets", to: "op-room" })).map((s) => s.id), [b.id]);
    assert.deepEqual(await op({ op: "fetchSockets", to: "nobody" }), []);
  });

  test("socketsJoin and socketsLeave", async () => {
    assert.equal(await op({ op: "socketsJoin", to: b.id, rooms: ["x", "y"] }), "ok");
    assert.deepEqual(await call(b, "rooms"), [b.id, "op-room", "x", "y"]);
    assert.equal(await op({ op: "socketsJoin", to: "op-room", rooms: "z" }), "ok");
    assert.equal(await op({ op: "socketsLeave", to: "x", rooms: ["x", "y", "none"] }), "ok");
    assert.deepEqual(await call(b, "rooms"), [b.id, "op-room", "z"]);
    assert.equal(await op({ op: "socketsLeave", rooms: "z" }), "ok");
    assert.deepEqual(await call(b, "rooms"), [b.id, "op-room"]);
    assert.deepEqual(await call(a, "rooms"), [a.id]);
  });

  test("disconnectSockets from the namespace", async () => {
    const victim = await connect("/custom", TRANSPORTS.websocket);
    const other = victim.io.socket("/");
    await event(other, "connect");
    const gone = event(victim, "disconnect");
    assert.equal(await op({ op: "disconnectSockets", to: victim.id, close: false }), "ok");
    assert.equal((await gone)[0], "io server disconnect");
    assert.deepEqual(await call(other, "rooms"), [other.id]);
    other.disconnect();
  });

  test("disconnectSockets with close", async () => {
    const victim = await connect("/custom", TRANSPORTS.websocket);
    const gone = event(victim, "disconnect");
    const closed = new Promise((resolve) => victim.io.engine.once("close", resolve));
    assert.equal(await op({ op: "disconnectSockets", to: victim.id, close: true }), "ok");
    assert.equal((await gone)[0], "io server disconnect");
    await within("the connection's close", closed);
  });

  test("server-side events of a single server", { skip: isReference && "its memory adapter never answers" }, async () => {
    assert.equal(await op({ op: "serverSideEmit", args: [1] }), "ok");
    assert.deepEqual(await op({ op: "serverSideReceived" }), []);
    assert.deepEqual(await op({ op: "serverSideEmitWithAck", args: [1] }), { err: null, responses: [] });
    assert.equal(await op({ op: "serverCount" }), 1);
  });

  test("an unknown op", async () => assert.deepEqual(await op({ op: "nonsense" }), { error: "unknown op" }));
});

describe("namespaces and auth", () => {
  test("auth and query arrive", async () => {
    const client = await connect("/", { auth: { user: "ü", n: [1] }, query: { a: "1 2", b: "x&y=ß" } });
    const me = await call(client, "whoami");
    assert.deepEqual(me.auth, { user: "ü", n: [1] });
    assert.equal(me.query.a, "1 2");
    assert.equal(me.query.b, "x&y=ß");
    client.disconnect();
  });

  test("/auth lets a token in", async () => {
    const client = await connect("/auth", { auth: { token: "abc" } });
    assert.equal((await call(client, "whoami")).nsp, "/auth");
    client.disconnect();
  });

  for (const auth of [undefined, {}, { token: "wrong" }, { token: ["abc"] }, { token: null }]) {
    test(`/auth refuses ${JSON.stringify(auth)}`, async () => {
      const client = make("/auth", { auth });
      const [error] = await event(client, "connect_error");
      assert.equal(error.message, "not authorized");
      assert.deepEqual(error.data, { code: 401 });
      assert.equal(client.connected, false);
      client.disconnect();
    });
  }

  test("an unknown namespace is refused", async () => {
    const client = make("/nowhere");
    const [error] = await event(client, "connect_error");
    assert.equal(error.message, "Invalid namespace");
    client.disconnect();
  });

  test("dynamic namespaces are apart from each other", async () => {
    const [a, b, c] = await Promise.all([connect("/dyn-1"), connect("/dyn-1"), connect("/dyn-2")]);
    assert.equal((await call(a, "whoami")).nsp, "/dyn-1");
    assert.equal((await call(c, "whoami")).nsp, "/dyn-2");
    const got = [];
    b.onAny((...args) => got.push(["b", ...args]));
    c.onAny((...args) => got.push(["c", ...args]));
    await call(a, "broadcast", { ev: "x" });
    await arrived([b, c]);
    assert.deepEqual(got, [["b", "x"]]);
    for (const client of [a, b, c]) client.disconnect();
  });

  test("several namespaces on one connection", async () => {
    const main = await connect("/");
    const custom = main.io.socket("/custom");
    const dyn = main.io.socket("/dyn-9");
    await Promise.all([event(custom, "connect"), event(dyn, "connect")]);
    assert.equal(new Set([main.id, custom.id, dyn.id]).size, 3);
    assert.equal((await call(custom, "whoami")).nsp, "/custom");
    custom.disconnect();
    assert.equal((await call(dyn, "whoami")).nsp, "/dyn-9");
    assert.equal((await call(main, "whoami")).nsp, "/");
    main.disconnect();
    dyn.disconnect();
  });
});

describe("ends and returns", () => {
  test("bye disconnects from the namespace", async () => {
    const client = await connect("/");
    const custom = client.io.socket("/custom");
    await event(custom, "connect");
    const gone = event(client, "disconnect");
    client.emit("bye", false);
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal((await call(custom, "whoami")).nsp, "/custom");
    custom.disconnect();
  });

  test("bye true closes the connection", async () => {
    const client = await connect("/");
    const custom = client.io.socket("/custom");
    await event(custom, "connect");
    const both = Promise.all([event(client, "disconnect"), event(custom, "disconnect")]);
    client.emit("bye", true);
    assert.equal((await both)[0][0], "io server disconnect");
  });

  for (const [mode, options] of Object.entries(TRANSPORTS)) {
    test(`drop-transport: the client reconnects over ${mode} with a new id`, async () => {
      const client = await connect("/", { ...options, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
      const before = client.id;
      await call(client, "join", "lost");
      const gone = event(client, "disconnect");
      client.emit("drop-transport");
      assert.equal((await gone)[0], "transport close");
      await event(client, "connect", "reconnect");
      assert.notEqual(client.id, before);
      assert.deepEqual(await call(client, "rooms"), [client.id]);
      client.disconnect();
    });
  }

  test("a client that disconnects leaves its rooms and can return", async () => {
    const client = await connect("/");
    const watcher = await connect("/");
    await call(client, "join", "transient");
    client.disconnect();
    await nobodyIn("transient", watcher);
    client.connect();
    await event(client, "connect");
    assert.deepEqual(await call(client, "rooms"), [client.id]);
    client.disconnect();
    watcher.disconnect();
  });

  test("events sent while disconnected are delivered after the reconnect, in order", async () => {
    const client = await connect("/", { reconnection: true, reconnectionDelay: 20 });
    client.emit("drop-transport");
    await event(client, "disconnect");
    const answers = Promise.all([1, 2, 3].map((i) => call(client, "echo", i)));
    assert.deepEqual(await answers, [1, 2, 3]);
    client.disconnect();
  });
});

describe("CORS", () => {
  const origin = "https://example.org:8443";
  const url = () => `${server.http}/socket.io/?EIO=4&transport=polling`;

  test("any origin is reflected, credentials are allowed", async () => {
    const { status, headers } = await request(url(), { headers: { origin } });
    assert.equal(status, 200);
    assert.equal(headers.get("access-control-allow-origin"), origin);
    assert.equal(headers.get("access-control-allow-credentials"), "true");
    assert.match(headers.get("vary"), /\bOrigin\b/);
  });

  test("the preflight is answered", async () => {
    const { status, headers, body } = await request(url(), {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-token" },
    });
    assert.equal(status, 204);
    assert.equal(body, "");
    assert.equal(headers.get("access-control-allow-origin"), origin);
    assert.equal(headers.get("access-control-allow-credentials"), "true");
    assert.equal(headers.get("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert.equal(headers.get("access-control-allow-headers"), "content-type,x-token");
  });

  test("errors and posts carry the headers too", async () => {
    const refused = await request(`${url()}&sid=zzz`, { headers: { origin } });
    assert.equal(refused.status, 400);
    assert.equal(refused.headers.get("access-control-allow-origin"), origin);
    const { sid } = JSON.parse((await request(url())).body.slice(1));
    const post = await request(`${url()}&sid=${sid}`, { method: "POST", body: "40", headers: { origin } });
    assert.equal(post.body, "ok");
    assert.equal(post.headers.get("access-control-allow-origin"), origin);
  });
});
