// Edge cases, numbered as in the project's inventory of the reference's behaviour: what the reference answers, or,
// where it is wrong or leaves a choice, what we decided (`ours`: not run against the reference).
// Not here: 17 (JSONP) and what later releases bring; 51, 52, 54, 56 need the server's API (tests/session/);
// 59 and 60 need several nodes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connectedWire, openWire } from "./lib/sio.mjs";
import { isReference, start } from "./lib/server.mjs";
import { Polling, RS, Raw, Socket, frame, hasRead, openWebSocket, parseResponse, rawRequest, rawWebSocket, request, upgradeRequest } from "./lib/wire.mjs";
import { PATIENCE_MS, within } from "../support/wait.mjs";


let eio;
let sio;
let app;
before(async () => {
  // Long heartbeats: no ping comes in between.
  [eio, sio, app] = await Promise.all([
    start("eio-proto", { "ping-interval": 25000, "ping-timeout": 20000 }),
    start("sio-proto", { "ping-interval": 25000, "ping-timeout": 20000, "connect-timeout": 45000 }),
    start("app"),
  ]);
});
after(async () => {
  const results = await Promise.allSettled([eio, sio, app].filter(Boolean).map((server) => server.stop()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
});

// A decision of ours that the reference does not share.
const ours = (why) => ({ skip: isReference && `the reference ${why}` });
const get = (query) => request(`${eio.http}/engine.io/${query}`);
const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const UNKNOWN_TRANSPORT = '{"code":0,"message":"Transport unknown"}';
const UNKNOWN_SID = '{"code":1,"message":"Session ID unknown"}';
const BAD_METHOD = '{"code":2,"message":"Bad handshake method"}';
const BAD_REQUEST = '{"code":3,"message":"Bad request"}';
const BAD_VERSION = '{"code":5,"message":"Unsupported protocol version"}';

describe("handshake and HTTP", () => {
  for (const transport of [null, "constructor", "__proto__", "toString"]) {
    test(`1: transport ${transport} is unknown`, async () => {
      const { status, body } = await get(`?EIO=4${transport ? `&transport=${transport}` : ""}`);
      assert.equal(status, 400);
      assert.equal(body, UNKNOWN_TRANSPORT);
    });
  }

  for (const eio3 of ["", "&EIO=3", "&EIO=5"]) {
    test(`2: EIO "${eio3}" is unsupported`, async () => {
      const { status, body } = await get(`?transport=polling${eio3}`);
      assert.equal(status, 400);
      assert.equal(body, BAD_VERSION);
    });
  }

  for (const sid of ["abcdefghijklmnopqrst", "__proto__", "constructor", "%00", "x".repeat(4000)]) {
    test(`3: sid ${sid.slice(0, 20)} is unknown`, async () => {
      const { status, body } = await get(`?EIO=4&transport=polling&sid=${sid}`);
      assert.equal(status, 400);
      assert.equal(body, UNKNOWN_SID);
    });
  }

  test("3: so is that of a session which was closed while a request was on its way", async () => {
    for (const late of [(polling) => polling.get(), (polling) => polling.post("4late")]) {
      const polling = await new Polling(eio).open();
      const held = polling.get();
      await hasRead(eio);
      assert.equal((await polling.post("1")).status, 200);
      await held;
      const { status, body } = await late(polling);
      assert.equal(status, 400);
      assert.equal(body, UNKNOWN_SID);
    }
  });

  test("4: POST without a sid is a bad handshake method", async () => {
    const { status, body } = await request(`${eio.http}/engine.io/?EIO=4&transport=polling`, { method: "POST", body: "4a" });
    assert.equal(status, 400);
    assert.equal(body, BAD_METHOD);
  });

  test("5: transport=websocket without Upgrade is a bad request", async () => {
    const { status, body } = await get("?EIO=4&transport=websocket");
    assert.equal(status, 400);
    assert.equal(body, BAD_REQUEST);
  });

  test("6: a WebSocket without EIO is refused before the 101", ours("answers 101 first"), async () => {
    const { status } = await rawRequest(eio.port, upgradeRequest("/engine.io/?transport=websocket"));
    assert.equal(status, 400);
  });

  test("7: a WebSocket with an unknown sid gets 400 as text", async () => {
    const { status, body, headers } = await rawRequest(eio.port, upgradeRequest("/engine.io/?EIO=4&transport=websocket&sid=zzz"));
    assert.equal(status, 400);
    assert.equal(body, "Session ID unknown");
    assert.equal(headers.connection, "close");
  });

  for (const method of ["PUT", "DELETE", "HEAD", "PATCH"]) {
    test(`8: ${method} with a sid gets 4xx, at once`, ours("answers 500"), async () => {
      const polling = await new Polling(eio).open();
      const response = await within("an answer", fetch(polling.url, { method }));
      assert.ok(response.status >= 400 && response.status < 500, `status ${response.status}`);
      await response.text();
    });
  }

  test("9: a second concurrent GET gets 400, the first a close packet, the session is gone", async () => {
    const polling = await new Polling(eio).open();
    // Whichever comes second.
    const [refused, first] = (await Promise.all([polling.get(), polling.get()])).sort((a, b) => b.status - a.status);
    assert.equal(refused.status, 400);
    assert.equal(first.body, "1");
    assert.equal((await polling.get()).body, UNKNOWN_SID);
  });

  test("10: a POST that overlaps another one harms nobody else and loses no packet silently", async () => {
    const polling = await new Polling(eio).open();
    const slow = await new Raw(eio.port).open();
    slow.write(`POST ${new URL(polling.url).pathname}${new URL(polling.url).search} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n4sl`);
    await hasRead(eio);
    const second = await polling.post("4second");
    if (second.status === 400) {
      await polling.assertGone(); // the reference: overlapping POSTs close the session
    } else { // ours: a POST counts when it is whole
      assert.equal(second.status, 200);
      slow.write("ow!");
      assert.equal(parseResponse(await slow.until("ok")).status, 200);
      assert.deepEqual(await polling.take(2), ["4second", "4slow!"]);
    }
    slow.destroy();
  });

  test("11: POST application/octet-stream gets 400 and the session is gone", async () => {
    const polling = await new Polling(eio).open();
    const { status } = await within("an answer", polling.post(Buffer.from([1, 2]), { "content-type": "application/octet-stream" }));
    assert.equal(status, 400);
    await polling.assertGone();
  });

  // engine.io 6.6.13: the client would wait for the answer to what was lost.
  test("12: a POST above the limit gets 413, the waiting poll a close packet, and the session is gone", async () => {
    const polling = await new Polling(eio).open();
    const poll = await polling.park();
    assert.equal((await polling.post("4".repeat(1000001))).status, 413);
    assert.equal((await poll.answer).body, "1");
    assert.equal((await polling.post("4on")).body, UNKNOWN_SID);
  });

  test("12: the same in chunks, and the answer has the headers of CORS", async (t) => {
    const server = await start("eio-proto", { "ping-interval": 25000, "ping-timeout": 20000, "max-payload": 1000, cors: "*" });
    t.after(() => server.stop());
    const polling = await new Polling(server).open();
    const url = new URL(polling.url);
    const raw = await new Raw(server.port).open();
    raw.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nTransfer-Encoding: chunked\r\n\r\n`);
    raw.write(`258\r\n${"4".repeat(600)}\r\n258\r\n${"4".repeat(600)}\r\n`);
    const { status, headers } = parseResponse(await raw.until("\r\n\r\n"));
    assert.equal(status, 413);
    assert.equal(headers["access-control-allow-origin"], "*");
    raw.destroy();
    await polling.assertGone();
  });

  test("12: an announced body above the limit gets 413 before it is sent", ours("reads the body first"), async () => {
    const polling = await new Polling(eio).open();
    const url = new URL(polling.url);
    const raw = await new Raw(eio.port).open();
    raw.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n4`);
    await raw.until("413");
    raw.destroy();
    await polling.assertGone();
  });

  test("12: a body in too many chunks gets 413, and the session is gone", async (t) => {
    const server = await start("eio-proto", { "ping-interval": 25000, "ping-timeout": 20000, "max-buffered-chunks": 10 });
    t.after(() => server.stop());
    const post = async (chunks) => {
      const polling = await new Polling(server).open();
      const url = new URL(polling.url);
      const raw = await new Raw(server.port).open();
      raw.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\n4\r\n".repeat(chunks)}0\r\n\r\n`);
      const { status } = parseResponse(await raw.until("\r\n\r\n"));
      raw.destroy();
      return { polling, status };
    };
    assert.equal((await post(9)).status, 200);
    const { polling, status } = await post(11);
    assert.equal(status, 413);
    await polling.assertGone();
  });

  test("12: a body that takes too long gets 408, and the session is gone", async (t) => {
    const server = await start("eio-proto", { "ping-interval": 25000, "ping-timeout": 20000, "body-timeout": 200 });
    t.after(() => server.stop());
    const polling = await new Polling(server).open();
    const poll = await polling.park();
    const url = new URL(polling.url);
    const raw = await new Raw(server.port).open();
    raw.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4`);
    assert.equal(parseResponse(await raw.until("\r\n\r\n")).status, 408);
    assert.equal((await poll.answer).body, "1");
    raw.destroy();
    await polling.assertGone();
  });

  for (const body of ["", "abc", `40${RS}${RS}40`]) {
    test(`13: POST ${JSON.stringify(body)} is a parse error that closes the session`, async () => {
      const polling = await new Polling(eio).open();
      const { status } = await polling.post(body);
      assert.equal(status, isReference ? 200 : 400); // the reference answers as if it had taken it
      await polling.assertGone();
    });
  }

  test("14: POST 1 with a pending GET: a noop, then the sid is unknown", async () => {
    const polling = await new Polling(eio).open();
    const poll = await polling.park();
    assert.equal((await polling.post("1")).body, "ok");
    assert.equal((await poll.answer).body, "6");
    assert.equal((await polling.get()).body, UNKNOWN_SID);
  });

  test("15: a client's ping closes the session", async () => {
    const polling = await new Polling(eio).open();
    await polling.post("2");
    await polling.assertGone();
    const socket = await openWebSocket(eio);
    socket.send("2");
    await socket.assertClosed();
  });

  test("16: open, upgrade, noop and an unasked pong are ignored", async () => {
    const polling = await new Polling(eio).open();
    await polling.post(["0", "5", "6", "3", "4a"].join(RS));
    assert.deepEqual(await polling.take(1), ["4a"]);
    const socket = await openWebSocket(eio);
    for (const packet of ["0", "5", "6", "3", "4b"]) socket.send(packet);
    assert.equal(await socket.next(), "4b");
    await socket.close();
  });

  test("18: the path without its slash is not Engine.IO's", async () => {
    assert.equal((await request(`${sio.http}/socket.io?EIO=4&transport=polling`)).status, 404);
    assert.equal((await request(`${eio.http}/engine.io?EIO=4&transport=polling`)).status, 404);
  });

  test("18: the path is a prefix", async () => {
    assert.equal((await request(`${sio.http}/socket.io/xyz?EIO=4&transport=polling`)).status, 200);
  });
});

describe("upgrade", () => {
  const upgradeTo = (polling, query = "EIO=4&transport=websocket") =>
    new Socket(`${eio.ws}/engine.io/?${query}&sid=${polling.sid}`);
  const alive = async (polling) => {
    await polling.post("4alive");
    assert.deepEqual(await polling.take(1), ["4alive"]);
  };

  test("19: probe, noop, upgrade; a later poll is a bad request", async () => {
    const polling = await new Polling(eio).open();
    const poll = polling.get();
    const socket = await upgradeTo(polling).open();
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    assert.equal((await poll).body, "6");
    socket.send("5");
    socket.send("4x");
    assert.equal(await socket.next(), "4x");
    const { status, body } = await polling.get();
    assert.equal(status, 400);
    assert.equal(body, BAD_REQUEST);
    await socket.close();
  });

  test("20: an upgrade packet without a probe is accepted", async () => {
    const polling = await new Polling(eio).open();
    const socket = await upgradeTo(polling).open();
    socket.send("5");
    socket.send("4x");
    assert.equal(await socket.next(), "4x");
    await socket.close();
  });

  for (const packet of ["40", "2", "2prob", "3probe", "1", "7", ""]) {
    test(`21: first frame ${JSON.stringify(packet)} closes that WebSocket, the session is unharmed`, async () => {
      const polling = await new Polling(eio).open();
      const socket = await upgradeTo(polling).open();
      socket.send(packet);
      await socket.assertClosed();
      await alive(polling);
    });
  }

  test("22: a second concurrent upgrade is closed, the first goes on", async () => {
    const polling = await new Polling(eio).open();
    const first = await upgradeTo(polling).open();
    first.send("2probe");
    assert.equal(await first.next(), "3probe");
    const second = await upgradeTo(polling).open();
    assert.deepEqual(await second.assertClosed(), { code: 1005, reason: "" });
    first.send("5");
    first.send("4x");
    assert.equal(await first.message(), "4x");
    await first.close();
  });

  for (const query of ["EIO=3&transport=websocket", "transport=websocket"]) {
    test(`23: an upgrade with ${query} is a bad request`, async () => {
      const polling = await new Polling(eio).open();
      const { status, body } = await rawRequest(eio.port, upgradeRequest(`/engine.io/?${query}&sid=${polling.sid}`));
      assert.equal(status, 400);
      assert.equal(body, "Bad request");
      await alive(polling);
    });
  }

  test("24: a probe that is never completed is closed at the upgrade timeout", async () => {
    const polling = await new Polling(eio).open();
    const silent = await upgradeTo(polling).open();
    const probing = new Polling(eio);
    await probing.open();
    const half = await upgradeTo(probing).open();
    half.send("2probe");
    assert.equal(await half.next(), "3probe");
    await Promise.all([silent, half].map((socket) => socket.assertClosed("close at the upgrade timeout")));
    await alive(polling);
    await alive(probing);
  });

  test("25: RSV2 or RSV3 close the connection", async () => {
    for (const rsv of [1, 2, 4]) {
      const raw = await rawWebSocket(eio);
      raw.write(frame("4x", { rsv }));
      await raw.all();
      raw.destroy();
    }
  });

  test("25: a reset during an error answer or a refused upgrade harms nobody", async () => {
    for (const path of ["/engine.io/?EIO=4", "/engine.io/?EIO=4&transport=websocket&sid=zzz", "/nothing"]) {
      for (let i = 0; i < 20; i++) {
        const raw = await new Raw(eio.port).open();
        raw.write(upgradeRequest(path));
        if (i % 2) await hasRead(eio);
        raw.reset();
      }
    }
    await alive(await new Polling(eio).open());
  });
});

describe("WebSocket and Socket.IO packets", () => {
  const closes = (name, connected, ...packets) => test(`${name} closes the connection`, async () => {
    const wire = connected ? await connectedWire(sio) : await openWire(sio);
    wire.send(...packets);
    await wire.closed();
  });
  const ignored = (name, ...packets) => test(`${name} is ignored, the connection stays`, async () => {
    const wire = await connectedWire(sio);
    wire.send(...packets, '2["message","after"]');
    await wire.expect('2["message-back","after"]');
    await wire.close();
  });
  const answers = (name, packets, expected) => test(name, async () => {
    const wire = await connectedWire(sio);
    wire.send(...packets);
    await wire.expect(...expected);
    await wire.close();
  });

  test("26: a close packet closes at once", ours("does nothing until the ping timeout"), async () => {
    const socket = await openWebSocket(eio);
    socket.send("1");
    await socket.assertClosed();
  });

  for (const data of ["", "7", "4"]) {
    test(`27: text frame ${JSON.stringify(data)} closes the connection`, async () => {
      const wire = await connectedWire(sio);
      wire.socket.send(data);
      await wire.closed();
    });
  }

  test("28: a frame above the limit closes with 1009", async () => {
    const socket = await openWebSocket(eio);
    socket.send("4" + "x".repeat(1000000));
    assert.equal((await socket.assertClosed()).code, 1009);
  });

  test("28: fragments above the limit close with 1009", async () => {
    const raw = await rawWebSocket(eio);
    for (let i = 0; i < 11; i++) raw.write(frame("4".repeat(100000), { opcode: i ? 0 : 1, fin: false }));
    const answer = Buffer.from(await raw.all(), "latin1");
    assert.equal(answer[0], 0x88);
    assert.equal(answer.readUInt16BE(2), 1009);
    raw.destroy();
  });

  for (const packet of ["0null", "0[]", '0"a"', "0custom", "0true"]) closes(`29: CONNECT ${packet}`, false, packet);

  closes("30: a second CONNECT", true, "0");
  closes("30: an event before CONNECT", false, '2["message"]');
  closes("30: a DISCONNECT before CONNECT", false, "1");
  closes("30: a CONNECT_ERROR from the client", true, '4{"message":"x"}');
  closes("30: an event for a namespace not joined", true, '2/custom,["message"]');
  test("30: an event after DISCONNECT closes the connection", async () => {
    const wire = await connectedWire(sio);
    wire.send("1");
    await wire.assertSilent();
    wire.send('2["message"]');
    await wire.closed();
  });

  test("31: an unknown namespace and a query in the name", async () => {
    const wire = await openWire(sio);
    wire.send("0/random");
    await wire.expect('4/random,{"message":"Invalid namespace"}');
    wire.send("0/custom?x=1,");
    await wire.expect('4/custom?x=1,{"message":"Invalid namespace"}');
    wire.send("0/random,");
    await wire.expect('4/random,{"message":"Invalid namespace"}');
    await wire.close();
  });

  for (const payload of ["{}", "[]", '["connect"]', '["connect_error"]', '["disconnect"]', '["disconnecting"]', '["newListener"]',
    '["removeListener"]', '[{"toString":"foo"}]', "[true]", "[null]", "[[]]", '["\\u0063onnect"]']) {
    closes(`32: event ${payload}`, true, `2${payload}`);
  }
  for (const payload of ['["connection"]', '["error"]', '[1,"x"]', "[1.5]"]) ignored(`32: event ${payload}`, `2${payload}`);

  ignored("33: an event without payload", "2");

  closes("34: an event with a word for an id", true, '2abc["message"]');
  closes("34: an event with a negative id", true, '2-1["message"]');
  answers("34: the id before the array is what is acknowledged", ['2456["message-with-ack",1]'], ["3456[1]"]);
  answers("34: a space after the id", ['212 ["message-with-ack",1]'], ["312[1]"]);
  answers("34: an id of 2^53-1", ['29007199254740991["message-with-ack",1]'], ["39007199254740991[1]"]);
  test("34: an id of 20 digits is echoed exactly or refused", ours("prints it as a double"), async () => {
    const wire = await connectedWire(sio);
    wire.send('299999999999999999999["message-with-ack",1]');
    const answer = wire.next().catch(() => "closed");
    assert.ok(["399999999999999999999[1]", "closed"].includes(await answer), await answer);
    await wire.close();
  });

  ignored("35: an ack nobody waits for", '3999["x"]');
  ignored("35: an ack without an id", '3["x"]');
  closes("35: an ack with an object", true, "31{}");

  for (const packet of ['51["m"]', '5-1-["m"]', '51.5-["m"]', '5a-["m"]', '5["m"]', '5-["m"]']) closes(`36: ${packet}`, true, packet);
  closes("37: 11 attachments", true, `511-["message",${placeholder(0)}]`);
  test("37: 10 attachments are waited for", async () => {
    const wire = await connectedWire(sio);
    const list = Array.from({ length: 10 }, (_, i) => placeholder(i)).join(",");
    const bytes = Array.from({ length: 10 }, (_, i) => Buffer.from([i]));
    wire.send(`510-["message",${list}]`);
    await wire.assertSilent();
    wire.send(...bytes);
    await wire.expect(`510-["message-back",${list}]`, ...bytes);
    await wire.close();
  });
  closes("38: no attachments", true, '50-["message",1]');
  for (const num of ["-1", '"splice"', "5", "1"]) {
    closes(`39: placeholder ${num}`, true, `51-["message",${placeholder(num)}]`, Buffer.from([1]));
  }
  test("39: placeholder 0.5", ours("gives null"), async () => {
    const wire = await connectedWire(sio);
    wire.send(`51-["message",${placeholder(0.5)}]`, Buffer.from([1]));
    await wire.closed();
  });
  closes("40: text received instead of an attachment", true, `51-["message",${placeholder(0)}]`, '2["message"]');
  closes("40: binary without a header", true, Buffer.from([1]));
  closes("40: binary before CONNECT", false, Buffer.from([1]));

  // The arguments of a binary event with its placeholders resolved.
  async function binaryArguments(wire) {
    const header = await wire.next();
    const [, count, json] = /^5(\d+)-(.*)$/s.exec(header) ?? assert.fail(header);
    const bytes = [];
    for (let i = 0; i < Number(count); i++) bytes.push(await wire.next());
    return JSON.parse(json, (_, value) => (value?._placeholder ? bytes[value.num].toString() : value)).slice(1);
  }

  test("41: placeholders in any order", async () => {
    const wire = await connectedWire(sio);
    wire.send(`52-["message",${placeholder(1)},${placeholder(0)}]`, Buffer.from("zero"), Buffer.from("one"));
    assert.deepEqual(await binaryArguments(wire), ["one", "zero"]);
    await wire.close();
  });
  test("41: the same placeholder twice", async () => {
    const wire = await connectedWire(sio);
    wire.send(`51-["message",${placeholder(0)},${placeholder(0)}]`, Buffer.from("twice"));
    assert.deepEqual(await binaryArguments(wire), ["twice", "twice"]);
    await wire.close();
  });
  answers("42: a placeholder in a plain event is left as it is",
    [`2["message",${placeholder(0)}]`], [`2["message-back",${placeholder(0)}]`]);
  answers("43: an attachment of no bytes",
    [`51-["message",${placeholder(0)}]`, Buffer.alloc(0)], [`51-["message-back",${placeholder(0)}]`, Buffer.alloc(0)]);
  test("44: a base64 text frame is an attachment", async () => {
    const wire = await connectedWire(sio);
    wire.send(`51-["message",${placeholder(0)}]`);
    wire.socket.send("bAQID");
    await wire.expect(`51-["message-back",${placeholder(0)}]`, Buffer.from([1, 2, 3]));
    await wire.close();
  });
  answers("45: a binary event with an id is acknowledged with it",
    [`51-7["message-with-ack",${placeholder(0)}]`, Buffer.from([1])], [`61-7[${placeholder(0)}]`, Buffer.from([1])]);

  test("46: an array 20 000 deep closes the connection, the server lives", ours("dies"), async () => {
    const wire = await connectedWire(sio);
    wire.send(`2["message",${"[".repeat(20000)}${"]".repeat(20000)}]`);
    await wire.closed();
    await (await connectedWire(sio)).close();
  });

  answers("47: __proto__ is data", ['2["message",{"__proto__":{"a":1},"constructor":1}]'],
    ['2["message-back",{"__proto__":{"a":1},"constructor":1}]']);
  test("48: of duplicate keys the last counts", async () => {
    const wire = await connectedWire(sio);
    wire.send('2["message",{"a":1,"a":2}]');
    assert.deepEqual(JSON.parse((await wire.next()).slice(1)), ["message-back", { a: 2 }]);
    await wire.close();
  });
  test("49: numbers keep their value", async () => {
    const wire = await connectedWire(sio);
    const numbers = "9007199254740993,1.0,-0,1e21,0.1,-1.5E-7";
    wire.send(`2["message",${numbers}]`);
    const plain = (list) => list.map((number) => number + 0); // -0 may come back as 0
    assert.deepEqual(plain(JSON.parse((await wire.next()).slice(1)).slice(1)), plain(JSON.parse(`[${numbers}]`)));
    wire.send('2["message",1e999]');
    const huge = JSON.parse((await wire.next()).slice(1))[1];
    assert.ok(huge === null || huge === Infinity, String(huge));
    await wire.close();
  });
  for (const literal of ['"\\ud800"', '"\\udc00\\ud800"', '"a\\u0000b"', '"\\u2028"']) {
    test(`50: ${literal} comes back as valid UTF-8`, async () => {
      const wire = await connectedWire(sio);
      wire.send(`2["message",${literal}]`);
      assert.deepEqual(JSON.parse((await wire.next()).slice(1)), ["message-back", JSON.parse(literal)]);
      await wire.close();
    });
  }
});

describe("rooms and namespaces", () => {
  let nextAck = 100;

  // A client of the profile app; call() gives the acknowledgement's arguments.
  async function client(nsp = "/") {
    const wire = await openWire(app);
    const { sid } = await wire.connect(nsp);
    const prefix = nsp === "/" ? "" : `${nsp},`;
    const emit = (...args) => wire.send(`2${prefix}${JSON.stringify(args)}`);
    const call = async (...args) => {
      const id = nextAck++;
      wire.send(`2${prefix}${id}${JSON.stringify(args)}`);
      const answer = await wire.next(`ack of ${args[0]}`);
      const head = `3${prefix}${id}`;
      assert.ok(answer.startsWith(`${head}[`), answer);
      return JSON.parse(answer.slice(head.length));
    };
    return { wire, sid, emit, call, close: () => wire.close() };
  }

  test("53: except wins over to, and rooms are united without duplicates", async () => {
    const [sender, both, one, excepted] = await Promise.all([client(), client(), client(), client()]);
    for (const room of ["r1", "r2"]) await both.call("join", room);
    await one.call("join", "r2");
    for (const room of ["r1", "r3"]) await excepted.call("join", room);
    await sender.call("broadcast", { to: ["r1", "r2"], except: ["r3"], ev: "hey", args: [1] });
    await both.wire.expect('2["hey",1]');
    await one.wire.expect('2["hey",1]');
    for (const c of [sender, both, one, excepted]) await c.wire.assertSilent();
    for (const c of [sender, both, one, excepted]) await c.close();
  });

  test("53: an id is a room", async () => {
    const [sender, receiver] = await Promise.all([client(), client()]);
    await sender.call("broadcast", { to: receiver.sid, ev: "hey" });
    await receiver.wire.expect('2["hey"]');
    await sender.call("broadcast", { to: [receiver.sid], except: receiver.sid, ev: "hey" });
    await receiver.wire.assertSilent();
    await Promise.all([sender.close(), receiver.close()]);
  });

  test("55: two CONNECTs at once make one dynamic namespace", async () => {
    const [a, b] = await Promise.all([client("/dyn-55"), client("/dyn-55")]);
    await a.call("broadcast", { ev: "hey", args: [{ x: 1 }] });
    await b.wire.expect('2/dyn-55,["hey",{"x":1}]');
    await Promise.all([a.close(), b.close()]);
  });

  test("55: what the expression does not match is an invalid namespace", async () => {
    const wire = await openWire(app);
    for (const nsp of ["/dyn-", "/dyn-1a", "/dyn-1/", "/xdyn-1", "/dyn"]) {
      wire.send(`0${nsp},`);
      await wire.expect(`4${nsp},{"message":"Invalid namespace"}`);
    }
    await wire.close();
  });

  test("57: emitting with acks to nobody answers at once with an empty list", async () => {
    const c = await client();
    assert.deepEqual(await c.call("op", { op: "emitWithAck", to: "nobody", ev: "x", timeout: 10 * PATIENCE_MS }), [{ err: null, responses: [] }]);
    await c.close();
  });

  test("58: what was sent just before disconnectSockets arrives first", async () => {
    const [master, victim] = await Promise.all([client("/custom"), client("/custom")]);
    const nsp = "/custom";
    await master.call("op", { op: "emit", nsp, to: victim.sid, ev: "last", args: ["words"] });
    await master.call("op", { op: "disconnectSockets", nsp, to: victim.sid });
    await victim.wire.expect('2/custom,["last","words"]', "1/custom,");
    await victim.wire.assertSilent();
    await Promise.all([master.close(), victim.close()]);
  });

  test("58: the same when the connection is closed", async () => {
    const [master, victim] = await Promise.all([client(), client()]);
    master.emit("broadcast", { to: victim.sid, ev: "last", args: ["words"] });
    await master.call("op", { op: "disconnectSockets", to: victim.sid, close: true });
    await victim.wire.expect('2["last","words"]');
    await victim.wire.closed();
    await master.close();
  });
});
