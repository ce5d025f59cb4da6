// The Socket.IO v5 protocol on the wire, in the spirit of the protocol's own test suite
// (https://github.com/socketio/socket.io-protocol), against the profile sio-proto.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { connectedWire, openWire } from "./lib/sio.mjs";
import { start } from "./lib/server.mjs";
import { Polling, RS } from "./lib/wire.mjs";
import { until, within } from "../support/wait.mjs";

const CONNECT_TIMEOUT_MS = 1000;

let server;
let strict; // closes who does not connect to a namespace
before(async () => {
  const heartbeat = { "ping-interval": 25000, "ping-timeout": 20000 };
  server = await start("sio-proto", { ...heartbeat, "connect-timeout": 45000 });
  strict = await start("sio-proto", { ...heartbeat, "connect-timeout": CONNECT_TIMEOUT_MS });
});
after(async () => { for (const one of [server, strict]) await one?.stop(); });

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;

describe("connect", () => {
  test("to the main namespace: the answer is the id and nothing else", async () => {
    const wire = await openWire(server);
    const answer = await wire.connect();
    assert.deepEqual(Object.keys(answer), ["sid"]);
    assert.ok(answer.sid.length >= 20);
    assert.notEqual(answer.sid, wire.socket.handshake.sid);
    await wire.expect('2["auth",{}]');
    await wire.close();
  });

  test("with a payload", async () => {
    const wire = await openWire(server);
    await wire.connect("/", '{"token":"123","nested":[{"a":null}]}');
    await wire.expect('2["auth",{"token":"123","nested":[{"a":null}]}]');
    await wire.close();
  });

  test("to a custom namespace", async () => {
    const wire = await openWire(server);
    const answer = await wire.connect("/custom");
    assert.deepEqual(Object.keys(answer), ["sid"]);
    await wire.expect('2/custom,["auth",{}]');
    await wire.close();
  });

  test("to a custom namespace with a payload", async () => {
    const wire = await openWire(server);
    await wire.connect("/custom", '{"token":"abc"}');
    await wire.expect('2/custom,["auth",{"token":"abc"}]');
    await wire.close();
  });

  // The protocol's own suite listens for one message at a time; its client emits all of one segment at once.
  test("the greeting comes in a segment of its own after the answer", async () => {
    const client = new WebSocket(`${server.ws}/socket.io/?EIO=4&transport=websocket`);
    const once = () => within("message", new Promise((resolve) => { client.once("message", (data) => resolve(String(data))); }));
    assert.match(await once(), /^0/);
    for (const nsp of ["", "/custom,"]) {
      client.send(`40${nsp}`);
      assert.match(await once(), new RegExp(`^40${nsp}\\{"sid":`));
      assert.equal(await once(), `42${nsp}["auth",{}]`);
    }
    client.terminate();
  });

  test("to two namespaces: two ids on one connection", async () => {
    const wire = await openWire(server);
    const main = await wire.connect();
    await wire.expect('2["auth",{}]');
    const custom = await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    assert.notEqual(main.sid, custom.sid);
    await wire.close();
  });

  test("to an unknown namespace: CONNECT_ERROR and the connection stays", async () => {
    const wire = await openWire(server);
    wire.send("0/random");
    await wire.expect('4/random,{"message":"Invalid namespace"}');
    await wire.connect();
    await wire.close();
  });

  test("with an unknown packet type closes the connection", async () => {
    const wire = await openWire(server);
    wire.send("abc");
    await wire.closed();
  });

  test("no CONNECT within connectTimeout closes the connection", async () => {
    const begin = Date.now();
    const wire = await openWire(strict);
    wire.socket.keepAlive();
    await wire.closed();
    const took = Date.now() - begin;
    assert.ok(took >= CONNECT_TIMEOUT_MS - 50, `closed after ${took} ms`);
  });

  test("a refused namespace does not stop the connectTimeout", async () => {
    const wire = await openWire(strict);
    wire.socket.keepAlive();
    wire.send("0/random");
    await wire.expect('4/random,{"message":"Invalid namespace"}');
    await wire.closed();
  });

  test("a connected client outlives the connectTimeout", async () => {
    const wire = await until(() => connectedWire(strict).catch(() => null), "one that is in time");
    wire.socket.keepAlive();
    await (await openWire(strict)).closed(); // so long
    wire.send('2["message",1]');
    await wire.expect('2["message-back",1]');
    await wire.close();
  });

  test("over polling", async () => {
    const polling = await new Polling(server, "/socket.io/").open();
    await polling.post("40");
    const [answer, auth] = await polling.take(2);
    assert.match(answer, /^40\{"sid":"[^"]{20,}"\}$/);
    assert.equal(auth, '42["auth",{}]');
    await polling.post(`451-["message",${placeholder(0)}]${RS}bAQID`);
    assert.deepEqual(await polling.take(2), [`451-["message-back",${placeholder(0)}]`, "bAQID"]);
  });
});

describe("disconnect", () => {
  test("from the main namespace: events for it close the connection afterwards", async () => {
    const wire = await connectedWire(server);
    wire.send("1");
    await wire.assertSilent();
    wire.send('2["message","late"]');
    await wire.closed();
  });

  test("from the main namespace: another namespace lives on", async () => {
    const wire = await connectedWire(server);
    await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    wire.send("1");
    wire.send('2/custom,["message","x"]');
    await wire.expect('2/custom,["message-back","x"]');
    await wire.close();
  });

  test("from a custom namespace: the main one lives on", async () => {
    const wire = await connectedWire(server);
    await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    wire.send("1/custom,");
    wire.send('2["message","x"]');
    await wire.expect('2["message-back","x"]');
    await wire.close();
  });

  test("and connecting again gives a new id", async () => {
    const wire = await openWire(server);
    const first = await wire.connect();
    await wire.expect('2["auth",{}]');
    wire.send("1");
    const second = await wire.connect();
    await wire.expect('2["auth",{}]');
    assert.notEqual(first.sid, second.sid);
    await wire.close();
  });
});

describe("message", () => {
  test("text comes back", async () => {
    const wire = await connectedWire(server);
    wire.send('2["message",1,"2",{"3":[true]}]');
    await wire.expect('2["message-back",1,"2",{"3":[true]}]');
    await wire.close();
  });

  test("text in a custom namespace", async () => {
    const wire = await openWire(server);
    await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    wire.send('2/custom,["message","1",2]');
    await wire.expect('2/custom,["message-back","1",2]');
    await wire.close();
  });

  test("without arguments", async () => {
    const wire = await connectedWire(server);
    wire.send('2["message"]');
    await wire.expect('2["message-back"]');
    await wire.close();
  });

  test("binary comes back", async () => {
    const wire = await connectedWire(server);
    const header = (name) => `52-["${name}",${placeholder(0)},{"nested":${placeholder(1)}}]`;
    wire.send(header("message"), Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6]));
    await wire.expect(header("message-back"), Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6]));
    await wire.close();
  });

  test("binary in a custom namespace", async () => {
    const wire = await openWire(server);
    await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    wire.send(`51-/custom,["message",${placeholder(0)}]`, Buffer.from([9]));
    await wire.expect(`51-/custom,["message-back",${placeholder(0)}]`, Buffer.from([9]));
    await wire.close();
  });

  test("an unknown event is ignored", async () => {
    const wire = await connectedWire(server);
    wire.send('2["unknown",1]', '27["unknown",1]', '2["message"]');
    await wire.expect('2["message-back"]');
    await wire.close();
  });

  test("an ack comes back with the same arguments", async () => {
    const wire = await connectedWire(server);
    wire.send('2456["message-with-ack",1,"2",{"3":[false]}]');
    await wire.expect('3456[1,"2",{"3":[false]}]');
    await wire.close();
  });

  test("an ack without arguments", async () => {
    const wire = await connectedWire(server);
    wire.send('20["message-with-ack"]');
    await wire.expect("30[]");
    await wire.close();
  });

  test("an ack in a custom namespace", async () => {
    const wire = await openWire(server);
    await wire.connect("/custom");
    await wire.expect('2/custom,["auth",{}]');
    wire.send('2/custom,12["message-with-ack","x"]');
    await wire.expect('3/custom,12["x"]');
    await wire.close();
  });

  test("a binary ack comes back", async () => {
    const wire = await connectedWire(server);
    wire.send(`52-789["message-with-ack",${placeholder(0)},${placeholder(1)}]`, Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6]));
    await wire.expect(`62-789[${placeholder(0)},${placeholder(1)}]`, Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6]));
    await wire.close();
  });

  const invalid = {
    "an unknown packet type": "abc",
    "an object as payload": "2{}",
    "an invalid ack id": '2abc["message-with-ack",1,"2",{"3":[false]}]',
    "broken JSON": '2["message",',
    "bytes after the JSON": '2["message"]]',
    "a packet type above 6": '7["message"]',
  };
  for (const [what, packet] of Object.entries(invalid)) {
    test(`${what} closes the connection`, async () => {
      const wire = await connectedWire(server);
      wire.send(packet);
      await wire.closed();
    });
  }

  test("500 events with acks are answered in order", async () => {
    const wire = await connectedWire(server);
    wire.socket.keepAlive();
    for (let i = 0; i < 500; i++) wire.send(`2${i}["message-with-ack",${i}]`);
    for (let i = 0; i < 500; i++) await wire.expect(`3${i}[${i}]`);
    await wire.close();
  });

  test("an event of 900 kB comes back", async () => {
    const wire = await connectedWire(server);
    const text = JSON.stringify("ü".repeat(450000));
    wire.send(`2["message",${text}]`);
    await wire.expect(`2["message-back",${text}]`);
    await wire.close();
  });
});
