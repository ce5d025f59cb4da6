// The Engine.IO v4 protocol on the wire, in the spirit of the protocol's own test suite
// (https://github.com/socketio/engine.io-protocol), against the profile eio-proto.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { start } from "./lib/server.mjs";
import { Polling, Raw, RS, Socket, openWebSocket, request } from "./lib/wire.mjs";
import { until, withTimeEnough, within } from "../support/wait.mjs";

const PING_INTERVAL_MS = 25000;
const PING_TIMEOUT_MS = 20000;

let server;
before(async () => { server = await start("eio-proto", { "ping-interval": PING_INTERVAL_MS, "ping-timeout": PING_TIMEOUT_MS }); });
after(() => server.stop());

const open = () => new Polling(server).open();
const handshake = (query, init) => request(`${server.http}/engine.io/${query}`, init);

function assertHandshake(value, upgrades) {
  assert.deepEqual(Object.keys(value).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
  assert.equal(typeof value.sid, "string");
  assert.ok(value.sid.length >= 20, `a short id: ${value.sid}`);
  assert.deepEqual(value.upgrades, upgrades);
  assert.equal(value.pingInterval, PING_INTERVAL_MS);
  assert.equal(value.pingTimeout, PING_TIMEOUT_MS);
  assert.equal(value.maxPayload, 1000000);
}

describe("handshake", () => {
  test("polling opens a session", async () => {
    const { status, body, headers } = await handshake("?EIO=4&transport=polling");
    assert.equal(status, 200);
    assert.equal(headers.get("content-type"), "text/plain; charset=UTF-8");
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("set-cookie"), null);
    assert.equal(headers.get("access-control-allow-origin"), null);
    assert.equal(body[0], "0");
    assertHandshake(JSON.parse(body.slice(1)), ["websocket"]);
  });

  test("websocket opens a session", async () => {
    const socket = await new Socket(`${server.ws}/engine.io/?EIO=4&transport=websocket`).open();
    const packet = await socket.next();
    assert.equal(packet[0], "0");
    assertHandshake(JSON.parse(packet.slice(1)), []);
    await socket.close();
  });

  test("the first of the subprotocols offered is taken", async () => {
    const socket = new Socket(`${server.ws}/engine.io/?EIO=4&transport=websocket`, {}, ["one", "two"]);
    await socket.open();
    assert.equal(socket.ws.protocol, "one");
    await socket.close();
  });

  test("ids differ", async () => {
    const sids = await Promise.all(Array.from({ length: 50 }, async () => (await open()).sid));
    assert.equal(new Set(sids).size, 50);
  });

  for (const query of ["?transport=polling", "?EIO=abc&transport=polling", "?EIO=&transport=polling", "?EIO=3&transport=polling"]) {
    test(`polling with an invalid EIO is refused: ${query}`, async () => {
      const { status, body, headers } = await handshake(query);
      assert.equal(status, 400);
      assert.equal(headers.get("content-type"), "application/json");
      assert.equal(body, '{"code":5,"message":"Unsupported protocol version"}');
    });
  }

  for (const query of ["?EIO=4", "?EIO=4&transport=abc", "?EIO=4&transport="]) {
    test(`an invalid transport is refused: ${query}`, async () => {
      const { status, body, headers } = await handshake(query);
      assert.equal(status, 400);
      assert.equal(headers.get("content-type"), "application/json");
      assert.equal(body, '{"code":0,"message":"Transport unknown"}');
    });
  }

  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    test(`${method} without a sid is refused`, async () => {
      const { status, body } = await handshake("?EIO=4&transport=polling", { method });
      assert.equal(status, 400);
      assert.equal(body, '{"code":2,"message":"Bad handshake method"}');
    });
  }

  for (const query of ["?transport=websocket", "?EIO=abc&transport=websocket", "?EIO=4", "?EIO=4&transport=abc"]) {
    test(`a WebSocket with ${query} is closed`, async () => {
      const socket = new Socket(`${server.ws}/engine.io/${query}`);
      await socket.assertClosed();
    });
  }
});

describe("messages over polling", () => {
  const echoes = {
    "plain text": "4hello",
    "an empty string's neighbour": "4 ",
    "several packets": `4test1${RS}4test2${RS}4test3`,
    "binary": "bAQIDBA==",
    "binary of one, two and three bytes": `bAQ==${RS}bAQI=${RS}bAQID`,
    "text and binary": `4hello${RS}bAQIDBA==`,
    "multibyte text": "4utf8 — ёжик 🦔 てすと",
  };
  for (const [what, payload] of Object.entries(echoes)) {
    test(`${what} comes back`, async () => {
      const polling = await open();
      const post = await polling.post(payload);
      assert.equal(post.status, 200);
      assert.equal(post.body, "ok");
      assert.equal(post.headers.get("content-type"), "text/html");
      const { status, body, headers } = await polling.get();
      assert.equal(status, 200);
      assert.equal(headers.get("content-type"), "text/plain; charset=UTF-8");
      assert.equal(headers.get("cache-control"), "no-store");
      assert.equal(body, payload);
    });
  }

  test("a pending poll gets the message at once", async () => {
    const polling = await open();
    const poll = await polling.park();
    await polling.post("4now");
    assert.equal((await poll.answer).body, "4now");
  });

  test("messages of several posts come in order", async () => {
    const polling = await open();
    for (let i = 0; i < 20; i++) await polling.post(`4${i}`);
    assert.deepEqual(await polling.take(20), Array.from({ length: 20 }, (_, i) => `4${i}`));
  });

  test("a message of 500 kB comes back", async () => {
    const polling = await open();
    const text = "4" + "x".repeat(500000);
    await polling.post(text);
    assert.deepEqual(await polling.take(1), [text]);
  });

  for (const body of ["abc", "", `4a${RS}${RS}4b`, "9"]) {
    test(`an invalid payload closes the session: ${JSON.stringify(body)}`, async () => {
      const polling = await open();
      const { status } = await polling.post(body);
      assert.ok(status === 200 || status === 400, `status ${status}`);
      await polling.assertGone();
    });
  }

  test("a second concurrent poll closes the session", async () => {
    const polling = await open();
    // Whichever comes second.
    const [refused, first] = (await Promise.all([polling.get(), polling.get()])).sort((a, b) => b.status - a.status);
    assert.ok(refused.status === 400 || refused.status === 500, `status ${refused.status}`);
    assert.equal(first.status, 200);
    assert.equal(first.body, "1");
    await polling.assertGone();
  });

  test("an unknown sid is refused", async () => {
    for (const method of ["GET", "POST"]) {
      const { status, body } = await handshake("?EIO=4&transport=polling&sid=zzz", { method, body: method === "POST" ? "4a" : undefined });
      assert.equal(status, 400);
      assert.equal(body, '{"code":1,"message":"Session ID unknown"}');
    }
  });

  test("a post above the limit gets 413 and closes the session", async () => {
    const polling = await open();
    const poll = await polling.park();
    const { status, body } = await polling.post("4" + "x".repeat(1000000));
    assert.equal(status, 413);
    assert.equal(body, "", "as from the reference");
    assert.equal((await poll.answer).body, "1");
    await polling.assertGone();
  });

  test("binary and text keep their kind and bytes at every length up to 300", async () => {
    const polling = await open();
    const packets = [];
    for (let n = 1; n <= 300; n++) packets.push(`b${Buffer.alloc(n, n).toString("base64")}`);
    await polling.post(packets.join(RS));
    assert.deepEqual(await polling.take(300), packets);
  });
});

describe("messages over WebSocket", () => {
  test("plain text comes back", async () => {
    const socket = await openWebSocket(server);
    socket.send("4hello");
    assert.equal(await socket.message(), "4hello");
    await socket.close();
  });

  test("binary comes back", async () => {
    const socket = await openWebSocket(server);
    socket.send(Buffer.from([1, 2, 3, 4]));
    assert.deepEqual(await socket.message(), Buffer.from([1, 2, 3, 4]));
    await socket.close();
  });

  test("an empty binary message comes back", async () => {
    const socket = await openWebSocket(server);
    socket.send(Buffer.alloc(0));
    assert.deepEqual(await socket.message(), Buffer.alloc(0));
    await socket.close();
  });

  test("1000 messages of mixed kinds come back in order", async () => {
    const socket = (await openWebSocket(server)).keepAlive();
    const sent = Array.from({ length: 1000 }, (_, i) => (i % 3 ? `4text ${i}` : Buffer.from(`binary ${i}`)));
    for (const data of sent) socket.send(data);
    for (const data of sent) assert.deepEqual(await socket.message(), data);
    await socket.close();
  });

  for (const text of ["abc", "", "9"]) {
    test(`an invalid packet closes the connection: ${JSON.stringify(text)}`, async () => {
      const socket = await openWebSocket(server);
      socket.send(text);
      await socket.assertClosed();
    });
  }

  test("a message above the limit closes with 1009", async () => {
    const socket = await openWebSocket(server);
    socket.send("4" + "x".repeat(1000000));
    assert.equal((await socket.assertClosed()).code, 1009);
  });
});

// How exactly on time is tested with a fake clock (tests/session); here nothing is too early, and all of it happens.
describe("heartbeat", () => {
  const INTERVAL_MS = 300;
  const TIMEOUT_MS = 200;
  const EARLY_MS = 20; // clocks of two processes, in whole milliseconds
  let strict; // gives up soon
  let patient; // pings as often, and waits long for the answer
  before(async () => {
    strict = await start("eio-proto", { "ping-interval": INTERVAL_MS, "ping-timeout": TIMEOUT_MS });
    patient = await start("eio-proto", { "ping-interval": INTERVAL_MS, "ping-timeout": 20000 });
  });
  after(async () => { for (const one of [strict, patient]) await one?.stop(); });

  async function assertPings(begin, next, pong) {
    for (let i = 0; i < 3; i++) {
      assert.equal(await next(), "2");
      assert.ok(Date.now() - begin >= INTERVAL_MS - EARLY_MS, "an early ping");
      begin = Date.now();
      await pong();
    }
  }

  test("polling: the server pings and a pong keeps the session", async () => {
    const begin = Date.now();
    const polling = await new Polling(patient).open();
    await assertPings(begin, async () => (await polling.get()).body, async () => {
      const { status, body } = await polling.post("3");
      assert.equal(status, 200);
      assert.equal(body, "ok");
    });
  });

  test("polling: the session is gone 500 ms after the handshake without a pong", async () => {
    for (let i = 0; i < 5; i++) {
      const begin = Date.now();
      const polling = await new Polling(strict).open();
      await until(async () => (await polling.get()).status === 400, "the end of the session");
      assert.ok(Date.now() - begin >= INTERVAL_MS + TIMEOUT_MS - EARLY_MS, "an early end");
      await polling.assertGone();
    }
  });

  test("polling: the session lives long before the ping timeout", async () => {
    const polling = await new Polling(patient).open();
    await (await openWebSocket(strict)).assertClosed();
    assert.equal((await polling.post("3")).status, 200);
    assert.equal((await polling.get()).status, 200);
  });

  test("polling: a pending poll of a session that times out is ended", async () => {
    await withTimeEnough([1000, 5000, 30000], async (timeout) => {
      const slow = await start("eio-proto", { "ping-interval": INTERVAL_MS, "ping-timeout": timeout });
      try {
        const polling = await new Polling(slow).open();
        assert.equal((await polling.get()).body, "2");
        const { status } = await within("the poll's end", polling.get());
        assert.ok(status === 200 || status === 400, `status ${status}`);
        await polling.assertGone();
      } finally { await slow.stop(); }
    });
  });

  test("websocket: the server pings and a pong keeps the session", async () => {
    const begin = Date.now();
    const socket = await openWebSocket(patient);
    await assertPings(begin, () => socket.next(), () => socket.send("3"));
    await socket.close();
  });

  test("websocket: the ping timeout closes the connection", async () => {
    const begin = Date.now();
    const socket = await openWebSocket(strict);
    await socket.assertClosed();
    const took = Date.now() - begin;
    assert.ok(took >= INTERVAL_MS + TIMEOUT_MS - EARLY_MS, `closed after ${took} ms`);
  });
});

describe("close", () => {
  test("polling: the client's close ends the pending poll with a noop", async () => {
    const polling = await open();
    const parked = await polling.park();
    const post = await polling.post("1");
    const poll = await parked.answer;
    assert.equal(poll.status, 200);
    assert.equal(poll.body, "6");
    assert.equal(post.status, 200);
    assert.equal(post.body, "ok");
    await polling.assertGone();
  });

  test("polling: a close without a pending poll", async () => {
    const polling = await open();
    assert.equal((await polling.post("1")).status, 200);
    await polling.assertGone();
  });

  test("websocket: the client's close packet closes the connection", async () => {
    const socket = await openWebSocket(server);
    socket.send("1");
    await socket.assertClosed();
  });

  test("websocket: a close frame is answered", async () => {
    const socket = await openWebSocket(server);
    socket.ws.close(1000);
    assert.equal((await socket.assertClosed()).code, 1000);
  });
});

describe("upgrade", () => {
  const webSocketFor = (polling) => new Socket(`${polling.server.ws}/engine.io/?EIO=4&transport=websocket&sid=${polling.sid}`).open();

  async function upgraded(at = server) {
    const polling = await new Polling(at).open();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    socket.send("5");
    return { polling, socket };
  }

  test("a probe upgrades the session; the pending poll gets a noop", async () => {
    const polling = await open();
    const poll = polling.get();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    assert.equal((await poll).body, "6");
    socket.send("5");
    socket.send("4hello");
    assert.equal(await socket.message(), "4hello");
    await socket.close();
  });

  test("a poll that comes while probing gets a noop soon", async () => {
    const polling = await open();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    for (let i = 0; i < 2; i++) assert.equal((await within("noop", polling.get())).body, "6");
    socket.send("5");
    socket.send("4x");
    assert.equal(await socket.message(), "4x");
    await socket.close();
  });

  test("messages sent while probing go over polling, later ones over WebSocket", async () => {
    const polling = await open();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    await polling.post("4before");
    assert.deepEqual(await polling.messages(), ["4before"]);
    socket.send("5");
    socket.send("4after");
    assert.equal(await socket.message(), "4after");
    await socket.close();
  });

  test("what was not polled before the upgrade comes over WebSocket", async () => {
    const polling = await open();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    await polling.post(`4one${RS}bAQID`);
    socket.send("5");
    assert.equal(await socket.message(), "4one");
    assert.deepEqual(await socket.message(), Buffer.from([1, 2, 3]));
    await socket.close();
  });

  test("HTTP requests with the same sid are refused afterwards", async () => {
    const { polling, socket } = await upgraded();
    socket.send("4x");
    assert.equal(await socket.message(), "4x");
    await polling.assertGone();
    assert.equal((await polling.post("4y")).status, 400);
    socket.send("4z");
    assert.equal(await socket.message(), "4z");
    await socket.close();
  });

  test("a second WebSocket with the same sid is closed afterwards", async () => {
    const { polling, socket } = await upgraded();
    socket.send("4x");
    assert.equal(await socket.message(), "4x");
    const second = await new Socket(`${server.ws}/engine.io/?EIO=4&transport=websocket&sid=${polling.sid}`).open();
    assert.deepEqual(await second.assertClosed(), { code: 1005, reason: "" });
    assert.equal(second.error, undefined, "closed as a WebSocket is, not refused by HTTP");
    socket.send("4z");
    assert.equal(await socket.message(), "4z");
    await socket.close();
  });

  test("an upgraded session has heartbeats over WebSocket", async () => {
    await withTimeEnough([1000, 5000, 30000], async (timeout) => {
      const beating = await start("eio-proto", { "ping-interval": 300, "ping-timeout": timeout });
      try {
        const { socket } = await upgraded(beating);
        for (let i = 0; i < 2; i++) {
          assert.equal(await socket.next(), "2");
          socket.send("3");
        }
        await socket.assertClosed();
      } finally { await beating.stop(); }
    });
  });

  test("a probing WebSocket that goes away leaves the session on polling", async () => {
    const polling = await open();
    const socket = await webSocketFor(polling);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    await socket.close();
    await polling.post("4still here");
    assert.deepEqual(await polling.take(1), ["4still here"]);
  });
});

test("a request for another path is not Engine.IO's", async () => {
  assert.equal((await request(`${server.http}/nothing`)).status, 404);
});

test("several requests on one kept-alive connection", async () => {
  const raw = await new Raw(server.port).open();
  raw.write("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
  await raw.until('0{"sid"');
  await raw.until("}");
  while (raw.received.split('0{"sid"').length < 3) await raw.inbox.next();
  raw.destroy();
});
