// Peers that break the rules: whatever they do, the server lives, frees what they held and serves the others.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { after, before, describe, test } from "node:test";
import { isReference, start } from "./lib/server.mjs";
import { Polling, Raw, frame, hasRead, openWebSocket, parseResponse, rawRequest, rawWebSocket, upgradeRequest } from "./lib/wire.mjs";
import { sleep, until, within } from "../support/wait.mjs";

let eio;
let app;
before(async () => { [eio, app] = await Promise.all([start("eio-proto", { "ping-interval": 600000, stats: 1 }), start("app", { stats: 1 })]); });
after(async () => {
  const results = await Promise.allSettled([eio, app].filter(Boolean).map((server) => server.stop()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
});

async function serves(server) {
  assert.ok(server.alive(), server.output());
  const path = server === app ? "/socket.io/" : "/engine.io/";
  const socket = await openWebSocket(server, path);
  if (server === app) {
    socket.send("40");
    assert.match(await socket.message(), /^40\{"sid"/);
    socket.send('420["echo","alive"]');
    assert.equal(await socket.message(), '430["alive"]');
  } else {
    socket.send("4alive");
    assert.equal(await socket.message(), "4alive");
    const polling = await new Polling(server).open();
    await polling.post("4alive");
    assert.deepEqual(await polling.take(1), ["4alive"]);
    await polling.post("1");
  }
  await socket.close();
}

// A repeatable source of noise.
function* noise(seed) {
  for (let i = 0; ; i++) yield* crypto.createHash("sha256").update(`${seed}:${i}`).digest();
}
const bytesOf = (source, n) => Buffer.from(Array.from({ length: n }, () => source.next().value));

describe("malformed frames", () => {
  const frames = {
    "an unmasked frame": frame("4x", { masked: false }),
    "reserved opcode 3": frame("4x", { opcode: 3 }),
    "reserved opcode 11": frame("4x", { opcode: 11 }),
    "a fragmented ping": frame("x", { opcode: 9, fin: false }),
    "a ping of 126 bytes": frame("x".repeat(126), { opcode: 9 }),
    "a continuation of nothing": frame("x", { opcode: 0 }),
    "text within a fragmented message": Buffer.concat([frame("4a", { fin: false }), frame("4b")]),
    "invalid UTF-8": frame(Buffer.from([0x34, 0xc3, 0x28])),
    "invalid UTF-8 in a second fragment": Buffer.concat([frame("4a", { fin: false }), frame(Buffer.from([0xff]), { opcode: 0 })]),
    "a close frame of one byte": frame("x", { opcode: 8 }),
    "close code 1005": frame(Buffer.from([0x03, 0xed]), { opcode: 8 }),
    "close reason in invalid UTF-8": frame(Buffer.from([0x03, 0xe8, 0xff]), { opcode: 8 }),
    "a length of 2^63": Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
    "a length of 4 GiB": Buffer.from([0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]),
  };
  for (const [what, bytes] of Object.entries(frames)) {
    test(`${what} ends the connection`, async () => {
      const raw = await rawWebSocket(eio);
      raw.write(bytes);
      await raw.all(); // heartbeats are off: nothing else would end it
      raw.destroy();
    });
  }

  test("noise instead of frames", async () => {
    await Promise.all(Array.from({ length: 40 }, async (_, seed) => {
      const raw = await rawWebSocket(eio);
      const source = noise(seed);
      for (let i = 0; i < 20; i++) { raw.write(bytesOf(source, 1 + (i * 37) % 200)); await sleep(1); }
      raw.destroy();
    }));
    await serves(eio);
  });

  test("noise in well-formed frames", async () => {
    await Promise.all(Array.from({ length: 30 }, async (_, seed) => {
      const raw = await rawWebSocket(app, "/socket.io/?EIO=4&transport=websocket");
      raw.write(frame("40"));
      const source = noise(`sio ${seed}`);
      const alphabet = '0123456789[]{}",:-/\\"eo_placehldrnum tfu';
      for (let i = 0; i < 50; i++) {
        const text = [...bytesOf(source, 1 + (i % 30))].map((byte) => alphabet[byte % alphabet.length]).join("");
        raw.write(frame(`4${"2543"[i % 4]}${text}`, { opcode: i % 10 ? 1 : 2 }));
      }
      await hasRead(app);
      raw.destroy();
    }));
    await serves(app);
  });

  test("noise instead of HTTP", async () => {
    await Promise.all(Array.from({ length: 40 }, async (_, seed) => {
      const raw = await new Raw(eio.port).open();
      raw.write(bytesOf(noise(`http ${seed}`), 500)).write("\r\n\r\n");
      await hasRead(eio);
      raw.destroy();
    }));
    await serves(eio);
  });

  test("a frame in single bytes is still a frame", async () => {
    const raw = await rawWebSocket(eio);
    for (const byte of frame("4slow and steady")) { raw.write(Buffer.from([byte])); await sleep(1); }
    await raw.until("4slow and steady");
    raw.destroy();
  });
});

describe("malformed HTTP", () => {
  const GET = "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\n";
  const requests = {
    "a header of 100 kB": `${GET}Host: x\r\nX-Big: ${"x".repeat(100000)}\r\n\r\n`,
    "10 000 headers": `${GET}Host: x\r\n${"a: b\r\n".repeat(10000)}\r\n`,
    "a target of 100 kB": `GET /engine.io/?EIO=4&transport=polling&x=${"y".repeat(100000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    "two lengths": "POST /engine.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n4a",
    "a length and chunks": "POST /engine.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": "POST /engine.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a broken chunk": "POST /engine.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a line without a version": "GET /\r\n\r\n",
  };
  for (const [what, text] of Object.entries(requests)) {
    test(`${what} gets an error and the connection's end`, async () => {
      const raw = await new Raw(eio.port).open();
      raw.write(text);
      const answer = await raw.all();
      if (answer) assert.ok(parseResponse(answer).status >= 400, answer.slice(0, 200));
      raw.destroy();
      await serves(eio);
    });
  }

  const handshakes = {
    "no key": { "Sec-WebSocket-Key": null },
    "a short key": { "Sec-WebSocket-Key": "abc" },
    "no version": { "Sec-WebSocket-Version": null },
    "version 99": { "Sec-WebSocket-Version": "99" },
    "another protocol to upgrade to": { Upgrade: "h2c" },
  };
  for (const [what, headers] of Object.entries(handshakes)) {
    test(`a WebSocket handshake with ${what} is refused`, async () => {
      const { status } = await rawRequest(eio.port, upgradeRequest("/engine.io/?EIO=4&transport=websocket", { Connection: "Upgrade, close", ...headers }));
      assert.ok(status >= 400 && status < 500, `status ${status}`);
    });
  }
});

describe("peers that come and go", () => {
  test("2000 connections opened and dropped", async () => {
    for (let round = 0; round < 20; round++) {
      const raws = await Promise.all(Array.from({ length: 100 }, () => new Raw(eio.port).open()));
      raws.forEach((raw, i) => {
        if (i % 4 === 1) raw.write("GET /engine.io/?EIO=4");
        if (i % 4 === 2) raw.write("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
        if (i % 4 === 3) raw.write(upgradeRequest("/engine.io/?EIO=4&transport=websocket"));
      });
      if (round % 2) await hasRead(eio);
      for (const raw of raws) if (round % 3) raw.reset(); else raw.destroy();
    }
    await serves(eio);
  });

  test("500 WebSockets reset in the middle of a frame", async () => {
    for (let round = 0; round < 10; round++) {
      const raws = await Promise.all(Array.from({ length: 50 }, () => rawWebSocket(eio)));
      for (const raw of raws) raw.write(frame("4".repeat(200)).subarray(0, 3 + round));
      await hasRead(eio);
      for (const raw of raws) raw.reset();
    }
    await serves(eio);
  });

  test("resets in every phase of an upgrade", async () => {
    for (let i = 0; i < 60; i++) {
      const polling = await new Polling(eio).open();
      const poll = i % 2 ? polling.get().catch(() => null) : null;
      const raw = await new Raw(eio.port).open();
      raw.write(upgradeRequest(`/engine.io/?EIO=4&transport=websocket&sid=${polling.sid}`));
      if (i % 3) { await raw.until("101"); raw.write(frame("2probe")); }
      if (i % 3 === 2) { await raw.until("3probe"); raw.write(frame("5")); }
      if (i % 5 === 4) await hasRead(eio);
      raw.reset();
      await polling.post("4x").catch(() => null);
      polling.post("1").catch(() => null);
      await (poll && within("the poll's end", poll));
    }
    await serves(eio);
  });

  test("parked polls reset or half-closed end nothing but themselves", async () => {
    const other = await new Polling(eio).open();
    for (let i = 0; i < 40; i++) {
      const polling = await new Polling(eio).open();
      const raw = await new Raw(eio.port).open();
      const url = new URL(polling.url);
      raw.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await hasRead(eio);
      if (i % 2) raw.reset(); else raw.tcp.end();
      await polling.post("4x");
      raw.destroy();
    }
    await other.post("4x");
    assert.deepEqual(await other.take(1), ["4x"]);
    await serves(eio);
  });

  const patient = { skip: isReference && "the reference waits 30 s for the answer to its close frame" };
  test("a half-open connection that never speaks is closed by the heartbeat", patient, async () => {
    const beating = await start("eio-proto", { "ping-interval": 1000, "ping-timeout": 1000 });
    const raw = await rawWebSocket(beating);
    await raw.all(); // ping, no pong, and the wait for the answer to the close frame
    raw.destroy();
    await beating.stop();
  });

  test("a FIN without a close frame ends the WebSocket", async () => {
    const raw = await rawWebSocket(eio);
    raw.tcp.end();
    await raw.all();
  });
});

describe("slow readers", () => {
  test("a reader that stops does not stop the others, and is let go", async () => {
    const room = "slow";
    const slow = await rawWebSocket(app, "/socket.io/?EIO=4&transport=websocket");
    slow.write(frame("40"));
    await slow.until("40{");
    slow.write(frame(`420["join","${room}"]`));
    await slow.until("430");
    slow.tcp.pause();
    const fast = await openWebSocket(app, "/socket.io/");
    fast.send("40");
    await fast.message();
    fast.send(`420["join","${room}"]`);
    assert.equal(await fast.message(), '430["ok"]');
    const big = "x".repeat(500000);
    for (let i = 0; i < 80; i++) {
      fast.send(`42["op",{"op":"emit","to":"${room}","ev":"big","args":["${big}"]}]`.replace('42["op"', `42${i}["op"`));
      const [a, b] = [await fast.message(), await fast.message()];
      assert.ok([a, b].includes(`43${i}["ok"]`));
    }
    await serves(app);
    slow.destroy();
    await fast.close();
    await serves(app);
  });

  test("a peer that sends and never reads is held back or let go", async () => {
    const raw = await rawWebSocket(eio);
    raw.tcp.pause();
    const chunk = frame("4".repeat(100000));
    const isLetGo = () => raw.error !== undefined || raw.tcp.destroyed;
    let isHeldBack = false;
    for (let i = 0; i < 600 && !isLetGo() && !isHeldBack; i++) {
      raw.write(chunk);
      for (let left = -1; left !== raw.tcp.writableLength && !isLetGo();) {
        left = raw.tcp.writableLength;
        for (let turn = 0; left && turn < 5; turn++) await hasRead(eio); // it would read meanwhile
      }
      isHeldBack = raw.tcp.writableLength > 0;
    }
    assert.ok(isReference || isHeldBack || isLetGo(), "60 MB were taken, and their echo is kept");
    await serves(eio);
    raw.destroy();
  });

  test("a head sent byte by byte is read", async () => {
    const raw = await new Raw(eio.port).open();
    for (const byte of "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n") { raw.write(byte); await sleep(1); }
    await raw.until('0{"sid"');
    raw.destroy();
  });
});

describe("floods", () => {
  test("100 000 tiny frames from one peer", async () => {
    const raw = await rawWebSocket(eio);
    const many = Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame(`4${i % 10}`)));
    for (let i = 0; i < 100; i++) raw.write(many);
    raw.write(frame("4the end"));
    await raw.until("4the end");
    raw.destroy();
    await serves(eio);
  });

  test("a message in 60 000 fragments", async () => {
    const raw = await rawWebSocket(eio);
    const part = Buffer.concat(Array.from({ length: 1000 }, () => frame("x", { opcode: 0, fin: false })));
    raw.write(frame("4", { fin: false }));
    for (let i = 0; i < 60; i++) raw.write(part);
    raw.write(frame("y", { opcode: 0 }));
    if (isReference) await raw.all(); // ws stops at 16384
    else await raw.until("xy");
    raw.destroy();
    await serves(eio);
  });

  test("many namespaces and rooms of one client", async () => {
    const socket = await openWebSocket(app, "/socket.io/");
    for (let i = 0; i < 300; i++) socket.send(`40/dyn-${i},`);
    socket.send("40");
    for (let i = 0; i < 2000; i++) socket.send(`42["join","room ${i}"]`.replace("42[", `42${i}[`));
    const answered = async () => { while (!(await socket.message()).startsWith("431999[")); };
    await Promise.race([socket.closed, answered().catch(() => socket.closed)]); // a limit may close it
    await socket.close();
    await serves(app);
  });

  test("pings and closes in quick succession", async () => {
    const raw = await rawWebSocket(eio);
    raw.write(Buffer.concat(Array.from({ length: 5000 }, () => frame("ping", { opcode: 9 }))));
    raw.write(frame(Buffer.from([0x03, 0xe8]), { opcode: 8 }));
    raw.write(frame("4late"));
    await raw.all();
    raw.destroy();
    await serves(eio);
  });
});

test("nothing is left of all of them", async () => {
  await serves(eio);
  await serves(app);
  if (isReference) return;
  for (const server of [eio, app]) {
    let left;
    await until(async () => {
      left = await server.stats(); // sessions on polling wait for a request until their heartbeat is due
      return left.http_connections === 0 && left.sessions === left.polling_sessions;
    }, () => JSON.stringify(left));
  }
});
