// RFC 6455 against the profile ws-echo, over bare TCP, by the categories of Autobahn's suite. Everything is asked twice:
// of bare WebSockets at /ws-echo, and through Engine.IO, where text begins with the packet type "4".
// A server that fails a connection may close it with the right code or just end it; a wrong code is a failure.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isReference, start } from "./lib/server.mjs";
import { BINARY, CLOSE, CONTINUATION, PING, PONG, Peer, TEXT, closePayload, cut, fragments, frame } from "./lib/peer.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";

const FIN = 0x80;
const BIG_WAIT_MS = 10 * PATIENCE_MS;
const LIMIT_BYTES = 64 * 1024 * 1024;

let server;
before(async () => { server = await start("ws-echo"); });
after(async () => { await server?.stop(); });

const modes = {
  "bare": { path: "/ws-echo", text: (data) => Buffer.from(data) },
  "Engine.IO": { path: "/engine.io/?EIO=4&transport=websocket", text: (data) => Buffer.concat([Buffer.from("4"), Buffer.from(data)]) },
};

for (const [name, mode] of Object.entries(modes)) describe(`${name} WebSocket`, () => suite(mode));

function suite({ path, text }) {
  const payload = (opcode, data) => (opcode === TEXT ? text(data) : Buffer.from(data));
  const message = (data, opcode = TEXT) => frame(FIN | opcode, payload(opcode, data));
  const inFragments = (pieces, opcode = TEXT) => fragments(opcode, pieces.map((piece, i) => (i ? piece : payload(opcode, piece))));

  async function open(early) {
    const peer = await new Peer(server.port).open(path, early);
    if (path !== "/ws-echo") assert.match((await peer.next("the open packet")).data.toString(), /^0\{/);
    return peer;
  }

  async function expect(peer, opcode, data, ms) {
    const event = await peer.next(`opcode ${opcode}`, ms);
    assert.equal(event.opcode, opcode, `got ${event.data.subarray(0, 40).toString("hex")}`);
    assert.ok(event.data.equals(Buffer.from(data)), `got ${event.data.length} bytes: ${event.data.subarray(0, 200).toString("hex")}`);
  }
  const expectEcho = (peer, data, opcode = TEXT, ms) => expect(peer, opcode, payload(opcode, data), ms);

  // The closing handshake begun by us (section 7.1).
  async function close(peer) {
    peer.send(frame(FIN | CLOSE, closePayload(1000)));
    await expect(peer, CLOSE, closePayload(1000));
    await peer.end();
  }

  // The server gives up: a close frame with one of the codes, or none, and then the end; no echo.
  async function assertFailed(peer, ...codes) {
    let event;
    try {
      event = await peer.next("a close frame or the end");
    } catch (error) {
      assert.match(error.message, /ended: the connection/);
      return;
    }
    assert.equal(event.opcode, CLOSE, `expected a close, got opcode ${event.opcode}: ${event.data.subarray(0, 40)}`);
    assert.ok(codes.includes(event.data.readUInt16BE(0)), `close code ${event.data.readUInt16BE(0)}, expected ${codes}`);
    peer.send(frame(FIN | CLOSE, event.data));
    await peer.end();
  }

  // The frames fail the connection, whole and byte by byte; echoes of what came before them are taken.
  async function fails(codes, frames, echoes = []) {
    for (const chopped of [false, true]) {
      const peer = await open();
      if (chopped) await peer.sendChopped(Buffer.concat(frames.flat()), 1);
      else peer.send(Buffer.concat(frames.flat()));
      for (const echo of echoes) await expectEcho(peer, echo);
      await assertFailed(peer, ...[codes].flat());
    }
  }

  async function echoes(data, opcode, send) {
    const peer = await open();
    await send(peer);
    await expectEcho(peer, data, opcode, data.length > 1 << 20 ? BIG_WAIT_MS : undefined);
    await close(peer);
  }

  describe("1: framing", () => {
    for (const size of [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536]) {
      for (const opcode of [TEXT, BINARY]) {
        test(`${opcode === TEXT ? "text" : "binary"} of ${size} bytes`, async () => {
          const data = Buffer.alloc(size, opcode === TEXT ? "*" : 0xfe);
          await echoes(data, opcode, (peer) => peer.send(message(data, opcode)));
          if (size <= 128) await echoes(data, opcode, (peer) => peer.sendChopped(message(data, opcode), 1));
          else await echoes(data, opcode, (peer) => peer.sendChopped(message(data, opcode), 997));
        });
      }
    }

    test("lengths in longer forms than needed", async () => {
      const peer = await open();
      for (const form of [16, 64]) peer.send(frame(FIN | BINARY, "abc", { form }));
      for (let i = 0; i < 2; i++) await expectEcho(peer, "abc", BINARY);
      await close(peer);
    });

    test("many messages in one segment come back in order", async () => {
      const peer = await open();
      const all = Array.from({ length: 500 }, (_, i) => `message ${i} ${"x".repeat(i % 150)}`);
      peer.send(Buffer.concat(all.map((data) => message(data))));
      for (const data of all) await expectEcho(peer, data);
      await close(peer);
    });

    const lost = isReference && path !== "/ws-echo" && "engine.io loses them";
    test("frames in the segment of the handshake", { skip: lost }, async () => {
      const peer = await open(Buffer.concat([message("early"), message("bird")]));
      await expectEcho(peer, "early");
      await expectEcho(peer, "bird");
      await close(peer);
    });

    test("unmasked frames are refused (section 5.1)", () => fails(1002, [message("a"), frame(FIN | TEXT, text("b"), { masked: false })], ["a"]));
    test("an unmasked close is refused", () => fails(1002, [frame(FIN | CLOSE, closePayload(1000), { masked: false })]));
    test("a length with the top bit is refused", () =>
      fails(isReference ? 1009 : 1002, [Buffer.from([FIN | BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4])]));
  });

  describe("2: pings and pongs", () => {
    for (const data of ["", "Hello, world!", Buffer.from([0, 0xff, 0xfe, 0xfd, 0xc3, 0]), Buffer.alloc(125, 0xfe)]) {
      test(`a ping of ${data.length} bytes is answered with its payload`, async () => {
        const peer = await open();
        peer.send(frame(FIN | PING, data));
        await expect(peer, PONG, data);
        await peer.sendChopped(frame(FIN | PING, data), 1);
        await expect(peer, PONG, data);
        await close(peer);
      });
    }

    test("a ping of 126 bytes is refused", () => fails(1002, [frame(FIN | PING, Buffer.alloc(126, 0xfe))]));

    test("unsolicited pongs are ignored", async () => {
      const peer = await open();
      peer.send(frame(FIN | PONG), frame(FIN | PONG, "unsolicited"), frame(FIN | PING, "ping"));
      await expect(peer, PONG, "ping");
      await close(peer);
    });

    for (const chop of [0, 1]) {
      test(`ten pings in a row${chop ? ", byte by byte" : ""}`, async () => {
        const peer = await open();
        const pings = Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(FIN | PING, `payload-${i}`)));
        if (chop) await peer.sendChopped(pings, chop);
        else peer.send(pings);
        for (let i = 0; i < 10; i++) await expect(peer, PONG, `payload-${i}`);
        await close(peer);
      });
    }
  });

  describe("3: reserved bits", () => {
    for (let rsv = 1; rsv <= 7; rsv++) {
      const bits = rsv << 4;
      test(`RSV ${rsv} is refused on text, binary, ping and close`, async () => {
        await fails(1002, [frame(FIN | bits | TEXT, text("a"))]);
        await fails(1002, [message("before"), frame(FIN | bits | BINARY, "b"), frame(FIN | PING)], ["before"]);
        await fails(1002, [frame(FIN | bits | PING, "c")]);
        await fails(1002, [frame(FIN | bits | CLOSE)]);
      });
    }
    test("RSV 4 is refused on a continuation", () => fails(1002, [inFragments(["a", "b"])[0], frame(FIN | 0x40 | CONTINUATION, "b")]));
  });

  describe("4: opcodes", () => {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      test(`opcode ${opcode} is refused`, async () => {
        await fails(1002, [frame(FIN | opcode)]);
        await fails(1002, [message("before"), frame(FIN | opcode, "reserved"), frame(FIN | PING)], ["before"]);
      });
    }
  });

  describe("5: fragmentation", () => {
    test("fragmented pings and pongs are refused", async () => {
      await fails(1002, [frame(PING, "frag"), frame(FIN | CONTINUATION, "ment")]);
      await fails(1002, [frame(PONG, "frag"), frame(FIN | CONTINUATION, "ment")]);
    });

    for (const chop of [0, 1, 7]) {
      test(`text in two fragments with a ping between them, ${chop ? `in segments of ${chop}` : "at once"}`, async () => {
        const [one, two] = inFragments(["fragment1", "fragment2"]);
        const wire = Buffer.concat([one, frame(FIN | PING, "pongme"), two]);
        const peer = await open();
        if (chop) await peer.sendChopped(wire, chop);
        else peer.send(wire);
        await expect(peer, PONG, "pongme");
        await expectEcho(peer, "fragment1fragment2");
        await close(peer);
      });
    }

    test("five fragments with pings between them that are answered meanwhile", async () => {
      const frames = inFragments(["f1", "f2", "f3", "f4", "f5"]);
      const peer = await open();
      peer.send(frames[0], frames[1], frame(FIN | PING, "one"));
      await expect(peer, PONG, "one");
      peer.send(frames[2], frames[3], frame(FIN | PING, "two"));
      await expect(peer, PONG, "two");
      peer.send(frames[4]);
      await expectEcho(peer, "f1f2f3f4f5");
      await close(peer);
    });

    test("empty fragments", async () => {
      await echoes("", TEXT, (peer) => peer.send(inFragments(["", "", ""])));
      await echoes("middle", TEXT, (peer) => peer.send(inFragments(["", "middle", ""])));
      await echoes("", BINARY, (peer) => peer.send(fragments(BINARY, ["", "", ""])));
    });

    test("a continuation without a message is refused", async () => {
      await fails(1002, [frame(FIN | CONTINUATION, "none"), message("after")]);
      await fails(1002, [frame(CONTINUATION, "none"), message("after")]);
      await fails(1002, [inFragments(["a", "b"]), frame(FIN | CONTINUATION, "none")], ["ab"]);
    });

    test("a new message inside a fragmented one is refused", async () => {
      await fails(1002, [inFragments(["a", "b"])[0], message("new")]);
      await fails(1002, [inFragments(["a", "b"])[0], frame(FIN | BINARY, "new")]);
      await fails(1002, [inFragments(["a", "b"])[0], frame(TEXT, text("new"))]);
    });
  });

  describe("6: UTF-8", () => {
    const valid = ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u0000", "\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff\u{10000}\u{10ffff}",
      "\ufdd0\ufffe\u{1fffe}\u{10fffe}", "𠜎𠜱", "😀".repeat(40), "てすと ".repeat(100)];
    for (const data of valid) {
      test(`valid: ${JSON.stringify(data.slice(0, 20))}`, async () => {
        await echoes(data, TEXT, (peer) => peer.send(message(data)));
        const bytes = Buffer.from(data);
        await echoes(data, TEXT, (peer) => peer.send(inFragments(cut(bytes, 1))));
        if (bytes.length < 64) await echoes(data, TEXT, (peer) => peer.sendChopped(message(data), 1));
      });
    }

    const invalid = {
      "continuation bytes alone": "80 bf", "an overlong solidus": "c0 af", "an overlong solidus in three bytes": "e0 80 af",
      "an overlong solidus in four": "f0 80 80 af", "an overlong NUL": "c0 80", "overlong U+007F": "c1 bf", "overlong U+07FF": "e0 9f bf",
      "overlong U+FFFF": "f0 8f bf bf", "a high surrogate": "ed a0 80", "a low surrogate": "ed bf bf", "a pair of surrogates": "ed a0 80 ed b0 80",
      "U+110000": "f4 90 80 80", "a five-byte form": "f8 88 80 80 80", "a six-byte form": "fc 84 80 80 80 80", "FE": "fe", "FF": "ff",
      "a lead without its tail": "e2 82 41", "a lead before a lead": "c3 c3", "text cut in a character": "ce ba e1 bd b9 cf", "a lone lead at the end": "f0 9f 98",
    };
    for (const [what, hex] of Object.entries(invalid)) {
      const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
      test(`invalid: ${what}`, async () => {
        await fails(1007, [message(bytes)]);
        await fails(1007, [message(Buffer.concat([Buffer.from("Hello ".repeat(30)), bytes]))]);
        await fails(1007, [inFragments(cut(bytes, 1))]);
        await fails(1007, [message("before"), inFragments(["κό", Buffer.alloc(0), bytes])], ["before"]);
      });
    }

    test("binary may hold anything", async () => {
      for (const hex of Object.values(invalid)) {
        const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
        await echoes(bytes, BINARY, (peer) => peer.send(frame(FIN | BINARY, bytes)));
      }
    });

    // What is still to come is never sent: the server must not wait for it. Optional in Autobahn; ws checks at the end.
    describe("fails fast", { skip: isReference && "the reference checks whole messages" }, () => {
      for (const [what, hex] of Object.entries(invalid)) {
        if (what === "text cut in a character" || what === "a lone lead at the end") continue;
        const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
        test(what, async () => {
          const between = await open();
          between.send(inFragments(["κό", bytes, "never sent"]).slice(0, 2));
          await assertFailed(between, 1007);
          const within = await open();
          const whole = message(Buffer.concat([Buffer.from("κό"), bytes, Buffer.alloc(1000, "x")]));
          within.send(whole.subarray(0, whole.length - 1000));
          await assertFailed(within, 1007);
        });
      }
    });
  });

  describe("7: closing", () => {
    test("a message, then the closing handshake", () => echoes("Hello World!", TEXT, (peer) => peer.send(message("Hello World!"))));

    test("what follows a close frame is ignored", async () => {
      for (const after of [frame(FIN | CLOSE, closePayload(1000)), frame(FIN | PING, "late"), message("late"), Buffer.from([0xff, 0xff, 1, 2])]) {
        const peer = await open();
        peer.send(Buffer.concat([frame(FIN | CLOSE, closePayload(1000)), after]));
        await expect(peer, CLOSE, closePayload(1000));
        await peer.end();
        assert.equal(peer.inbox.size, 0, "an answer after the close frame");
      }
    });

    test("a close inside a fragmented message", async () => {
      const [one, two] = inFragments(["fragment1", "fragment2"]);
      const peer = await open();
      peer.send(one, frame(FIN | CLOSE, closePayload(1000)), two);
      await expect(peer, CLOSE, closePayload(1000));
      await peer.end();
    });

    test("256 KiB, a close and a ping", async () => {
      const data = Buffer.alloc(256 * 1024, "*");
      const peer = await open();
      peer.send(message(data), frame(FIN | CLOSE, closePayload(1000)), frame(FIN | PING));
      const first = await peer.next("the echo or the close");
      if (first.opcode !== CLOSE) {
        assert.ok(first.data.equals(payload(TEXT, data)));
        await expect(peer, CLOSE, closePayload(1000));
      }
      await peer.end();
    });

    test("a close without payload is answered with a close", async () => {
      const peer = await open();
      peer.send(frame(FIN | CLOSE));
      const answer = await peer.next("a close frame");
      assert.equal(answer.opcode, CLOSE);
      assert.ok(answer.data.length === 0 || answer.data.readUInt16BE(0) === 1000, answer.data.toString("hex"));
      await peer.end();
    });

    test("a close with a reason of up to 123 bytes", async () => {
      for (const reason of ["Hello World!", "x".repeat(123), "€ä😀"]) {
        const peer = await open();
        peer.send(frame(FIN | CLOSE, closePayload(1000, reason)));
        const answer = await peer.next("a close frame");
        assert.equal(answer.opcode, CLOSE);
        assert.equal(answer.data.readUInt16BE(0), 1000);
        await peer.end();
      }
    });

    test("half a close code is refused", () => fails(1002, [frame(FIN | CLOSE, "\x03")]));
    test("a close payload of 126 bytes is refused", () => fails(1002, [frame(FIN | CLOSE, closePayload(1000, "x".repeat(124)))]));
    test("a fragmented close is refused", () => fails(1002, [frame(CLOSE, closePayload(1000))]));
    test("a close reason must be UTF-8", async () => {
      await fails(1007, [frame(FIN | CLOSE, closePayload(1000, Buffer.from("cebae1bdb9cf83cebcceb5eda080", "hex")))]);
      await fails(1007, [frame(FIN | CLOSE, closePayload(1000, Buffer.from("e282", "hex")))]);
    });

    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
      test(`close code ${code} is answered in kind`, async () => {
        const peer = await open();
        peer.send(frame(FIN | CLOSE, closePayload(code, "bye")));
        const answer = await peer.next("a close frame");
        assert.equal(answer.opcode, CLOSE);
        assert.equal(answer.data.readUInt16BE(0), code);
        await peer.end();
      });
    }

    for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
      test(`close code ${code} is refused`, () => fails(1002, [frame(FIN | CLOSE, closePayload(code, "bye"))]));
    }
  });

  describe("9: large messages and limits", () => {
    for (const [size, chop] of [[1 << 20, 0], [1 << 20, 1 << 10], [4 << 20, 1 << 16], [16 << 20, 0]]) {
      for (const opcode of [TEXT, BINARY]) {
        const how = chop ? ` in segments of ${chop}` : "";
        test(`${opcode === TEXT ? "text" : "binary"} of ${size / 1024} KiB${how}`, { timeout: 10 * PATIENCE_MS }, async () => {
          const data = Buffer.alloc(size, opcode === TEXT ? "Bäume " : 0xfe);
          if (opcode === TEXT) data.fill("x", size - 8);
          await echoes(data, opcode, (peer) => (chop ? peer.sendChopped(message(data, opcode), chop) : peer.send(message(data, opcode))));
        });
      }
    }

    for (const size of [64, 1024, 65536]) {
      test(`4 MiB in fragments of ${size} bytes`, { timeout: 10 * PATIENCE_MS }, async () => {
        for (const opcode of [TEXT, BINARY]) {
          const data = Buffer.alloc(4 << 20, "0123456789");
          const pieces = cut(data, size);
          assert.equal(pieces.length, (4 << 20) / size); // 65536 fragments in the first of these
          await echoes(data, opcode, (peer) => peer.send(Buffer.concat(inFragments(pieces, opcode))));
        }
      });
    }

    test("a message above 64 MiB is refused by its header", () => {
      const header = Buffer.from([FIN | BINARY, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
      header.writeBigUInt64BE(BigInt(LIMIT_BYTES + 1), 2);
      return fails(1009, [header]);
    });

    test("fragments that add up to more than 64 MiB are refused", () => {
      const header = Buffer.from([FIN | CONTINUATION, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
      header.writeBigUInt64BE(BigInt(LIMIT_BYTES), 2);
      return fails(1009, [frame(BINARY, "a"), header]);
    });

    for (const size of [0, 16, 256, 4096]) {
      test(`1000 messages of ${size} bytes, one after the other`, { timeout: 10 * PATIENCE_MS }, async () => {
        const peer = await open();
        const data = "*".repeat(size);
        for (let i = 0; i < 1000; i++) {
          peer.send(message(data));
          await expectEcho(peer, data);
        }
        await close(peer);
      });
    }
  });

  describe("10: automatic fragmentation", () => {
    test("65536 bytes in fragments of 1300", async () => {
      const data = Buffer.alloc(65536, "*");
      await echoes(data, TEXT, (peer) => peer.send(inFragments(cut(data, 1300))));
    });
  });
}
