// RFC 7692 (permessage-deflate) against the profile ws-echo, over bare TCP: the offers and amounts of Autobahn's groups
// 12 and 13, and what the RFC says beyond them. Asked of bare WebSockets at /ws-echo and through Engine.IO.
//   PARLEY_DEFLATE_COUNT=1000   messages of each size, as many as Autobahn's; 30 by default
import assert from "node:assert/strict";
import crypto from "node:crypto";
import zlib from "node:zlib";
import { after, before, describe, test } from "node:test";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";
import { BINARY, CLOSE, CONTINUATION, PING, PONG, Peer, TEXT, closePayload, cut, frame } from "./lib/peer.mjs";

const FIN = 0x80, RSV1 = 0x40;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const COUNT = Number(process.env.PARLEY_DEFLATE_COUNT ?? 30);
const LIMIT_BYTES = 64 * 1024 * 1024;
const BIG_WAIT_MS = 10 * PATIENCE_MS;

let server, plain;
before(async () => { [server, plain] = await Promise.all([start("ws-echo"), start("eio-proto", { "ping-interval": 60000 })]); });
after(async () => { await Promise.all([server?.stop(), plain?.stop()]); });

const modes = {
  "bare": { path: "/ws-echo", type: "" },
  "Engine.IO": { path: "/engine.io/?EIO=4&transport=websocket", type: "4" },
};

// A message compressed on its own; `windowBits` is ours, for client_max_window_bits.
function pack(data, { windowBits = 15, level = 6, strategy = 0 } = {}) {
  const packed = zlib.deflateRawSync(data, { windowBits, level, strategy, finishFlush: zlib.constants.Z_SYNC_FLUSH });
  assert.ok(packed.subarray(-4).equals(TAIL));
  return packed.subarray(0, -4);
}

const unpack = (data, windowBits = 15) =>
  zlib.inflateRawSync(Buffer.concat([data, TAIL]), { windowBits, finishFlush: zlib.constants.Z_SYNC_FLUSH, maxOutputLength: LIMIT_BYTES * 2 });

// The frames of a compressed message: RSV1 on the first only (section 6.1).
function framed(opcode, packed, size = Infinity) {
  const pieces = size === Infinity ? [packed] : cut(packed, size);
  return pieces.map((piece, i) => frame((i ? CONTINUATION : opcode | RSV1) | (i === pieces.length - 1 ? FIN : 0), piece));
}

// What is sent is cut out of a megabyte, as Autobahn does with its files.
function cycle(source) {
  let at = 0;
  return (size) => {
    const pieces = [];
    for (let left = size; left > 0;) {
      const piece = source.subarray(at, at + left);
      pieces.push(piece);
      left -= piece.length;
      at = (at + piece.length) % source.length;
    }
    return Buffer.concat(pieces);
  };
}

function json(size) {
  const rows = [];
  for (let i = 0, bytes = 0; bytes < size; i++) {
    rows.push(JSON.stringify({ id: i, name: `item ${(i * 7919) % 1000}`, value: Math.sin(i), tags: ["a", "bb", "ccc"].slice(i % 3), ok: i % 2 === 0 }));
    bytes += rows.at(-1).length + 1;
  }
  return Buffer.from(rows.join("\n")).subarray(0, size);
}

const sources = {
  "JSON": { opcode: TEXT, bytes: json(1 << 20) },
  "a picture": { opcode: BINARY, bytes: Buffer.from({ length: 1 << 18 }, (_, i) => 128 + 90 * Math.sin((i % 512) / 40) + ((i * 2654435761) >>> 29)) },
  "noise": { opcode: BINARY, bytes: crypto.randomBytes(1 << 18) },
};

for (const [name, mode] of Object.entries(modes)) describe(`${name} WebSocket`, () => suite(mode));

function suite({ path, type }) {
  const payload = (opcode, data) => (opcode === TEXT ? Buffer.concat([Buffer.from(type), Buffer.from(data)]) : Buffer.from(data));

  async function open(offer = "permessage-deflate", to = server) {
    const peer = await new Peer(to.port).open(path, undefined, offer === null ? {} : { "Sec-WebSocket-Extensions": offer });
    if (type) assert.match((await peer.next("the open packet")).data.toString(), /^0\{/);
    return peer;
  }

  async function expectEcho(peer, opcode, data, { windowBits, ms } = {}) {
    const event = await peer.next("the echo", ms);
    assert.equal(event.opcode, opcode);
    const got = event.compressed ? unpack(event.data, windowBits) : event.data;
    assert.ok(got.equals(payload(opcode, data)), `got ${got.length} bytes: ${got.subarray(0, 60)}`);
    return event;
  }

  async function close(peer) {
    peer.send(frame(FIN | CLOSE, closePayload(1000)));
    const event = await peer.next("the close");
    assert.equal(event.opcode, CLOSE);
    assert.ok(event.data.equals(closePayload(1000)));
    await peer.end();
  }

  async function fails(code, frames, offer) {
    const peer = await open(offer);
    peer.send(Buffer.concat(frames.flat()));
    const event = await peer.next("a close").catch((error) => { assert.match(error.message, /ended: the connection/); });
    if (event) assert.deepEqual([event.opcode, event.data.readUInt16BE(0)], [CLOSE, code]);
    await peer.end();
  }

  const echoes = async (data, opcode, frames, offer) => {
    const peer = await open(offer);
    peer.send(frames);
    await expectEcho(peer, opcode, data);
    await close(peer);
  };

  describe("12: amounts", () => {
    const shapes = [...[16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072].map((size) => [size, Infinity]),
      ...[8192, 16384, 32768, 65536, 131072].map((size) => [size, 256]), [131072, 1024], [131072, 4096], [131072, 32768]];
    for (const [what, { opcode, bytes }] of Object.entries(sources)) {
      for (const [size, fragment] of shapes) {
        test(`${what}, ${COUNT} messages of ${size} bytes${fragment < size ? ` in fragments of ${fragment}` : ""}`, { timeout: 10 * PATIENCE_MS }, async () => {
          const peer = await open();
          const next = cycle(bytes);
          for (let i = 0; i < COUNT; i++) {
            const data = next(size);
            peer.send(framed(opcode, pack(payload(opcode, data)), fragment));
            await expectEcho(peer, opcode, data);
          }
          await close(peer);
        });
      }
    }
  });

  describe("13: offers", () => {
    const offer = (takeover, bits) => "permessage-deflate; client_no_context_takeover; client_max_window_bits" +
      (takeover ? "; server_no_context_takeover" : "") + (bits ? `; server_max_window_bits=${bits}` : "");
    const offers = [[offer(false, 0)], [offer(true, 0)], [offer(false, 8), 8], [offer(false, 15), 15], [offer(true, 8), 8], [offer(true, 15), 15],
      [[offer(true, 8), offer(true, 0), offer(false, 0)].join(", "), 8], [offer(false, 9), 9], [offer(true, 12), 12]];
    for (const [text, bits] of offers) {
      test(text, async () => {
        const peer = await open(text);
        assert.match(peer.extension, /^permessage-deflate(;|$)/);
        assert.equal(/server_max_window_bits=(\d+)/.exec(peer.extension)?.[1], bits === undefined ? undefined : String(bits));
        assert.doesNotMatch(peer.extension, /,/, "one extension is taken");
        const next = cycle(sources.JSON.bytes);
        for (const size of [16, 1024, 8192, 131072]) {
          for (let i = 0; i < 10; i++) {
            const data = next(size);
            peer.send(framed(TEXT, pack(payload(TEXT, data)), i % 2 ? 256 : Infinity));
            const { compressed } = await expectEcho(peer, TEXT, data, { windowBits: bits ?? 15 });
            assert.ok(compressed || size < 100, "what shrinks is compressed");
          }
        }
        await close(peer);
      });
    }

    for (const declined of ["permessage-deflate; unknown", "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
      "permessage-deflate; server_max_window_bits", "permessage-deflate; client_max_window_bits=0", "permessage-deflate; server_no_context_takeover=1",
      "permessage-deflate; client_max_window_bits; client_max_window_bits", "x-webkit-deflate-frame", "permessage-bzip2"]) {
      test(`declined, without a word: ${declined}`, async () => {
        const peer = await open(declined);
        assert.equal(peer.extension, null);
        peer.send(frame(FIN | TEXT, payload(TEXT, "plain")));
        await expectEcho(peer, TEXT, "plain");
        await close(peer);
      });
    }

    test("a narrow window of the client's own is read", async () => {
      const peer = await open("permessage-deflate; client_max_window_bits=9");
      const data = json(100000);
      peer.send(framed(TEXT, pack(payload(TEXT, data), { windowBits: 9 })));
      await expectEcho(peer, TEXT, data);
      await close(peer);
    });

    test("other profiles do not compress", async () => {
      if (!type) return;
      const peer = await open("permessage-deflate", plain);
      assert.equal(peer.extension, null);
      peer.destroy();
    });
  });

  describe("messages", () => {
    test("every level, the fixed codes and stored blocks", async () => {
      const data = json(30000);
      const packed = payload(TEXT, data);
      for (const level of [0, 1, 6, 9]) await echoes(data, TEXT, framed(TEXT, pack(packed, { level })));
      await echoes(data, TEXT, framed(TEXT, pack(packed, { strategy: zlib.constants.Z_FIXED })));
      await echoes(data, TEXT, framed(TEXT, pack(packed, { strategy: zlib.constants.Z_HUFFMAN_ONLY })));
    });

    test("the empty message (section 7.2.3.6)", () => echoes("", BINARY, framed(BINARY, Buffer.from([0x00]))));

    test("a final block, and a message of several blocks (sections 7.2.3.4, 7.2.3.5)", async () => {
      const final = Buffer.concat([zlib.deflateRawSync(payload(TEXT, "Hello")), Buffer.from([0x00])]);
      await echoes("Hello", TEXT, framed(TEXT, final));
      const halves = [payload(TEXT, "Hel"), Buffer.from("lo")].map((half) => zlib.deflateRawSync(half, { finishFlush: zlib.constants.Z_SYNC_FLUSH }));
      await echoes("Hello", TEXT, framed(TEXT, Buffer.concat([halves[0], halves[1].subarray(0, -4)])));
    });

    test("fragments of a byte, empty ones, and a ping between them", async () => {
      const peer = await open();
      const data = json(500);
      const frames = framed(TEXT, pack(payload(TEXT, data)), 1);
      frames.splice(2, 0, frame(CONTINUATION, ""), frame(FIN | PING, "between"));
      peer.send(Buffer.concat(frames));
      const pong = await peer.next();
      assert.deepEqual([pong.opcode, pong.data.toString()], [PONG, "between"]);
      await expectEcho(peer, TEXT, data);
      await close(peer);
    });

    test("byte by byte on the wire", async () => {
      const peer = await open();
      const data = json(300);
      await peer.sendChopped(Buffer.concat(framed(TEXT, pack(payload(TEXT, data)), 40)), 1);
      await expectEcho(peer, TEXT, data);
      await close(peer);
    });

    test("uncompressed and compressed ones mixed", async () => {
      const peer = await open();
      for (let i = 0; i < 20; i++) {
        const data = json(100 + i * 97);
        peer.send(i % 2 ? frame(FIN | TEXT, payload(TEXT, data)) : framed(TEXT, pack(payload(TEXT, data)), i % 3 ? 50 : Infinity));
        await expectEcho(peer, TEXT, data);
      }
      await close(peer);
    });

    test("200 at once come back in order", async () => {
      const peer = await open();
      const all = Array.from({ length: 200 }, (_, i) => json(50 + i * 31));
      peer.send(Buffer.concat(all.flatMap((data) => framed(TEXT, pack(payload(TEXT, data))))));
      for (const data of all) await expectEcho(peer, TEXT, data);
      await close(peer);
    });

    test("16 MiB", { timeout: 10 * PATIENCE_MS }, async () => {
      const peer = await open();
      const data = json(16 * 1024 * 1024);
      peer.send(framed(TEXT, pack(payload(TEXT, data)), 65536));
      await expectEcho(peer, TEXT, data, { ms: BIG_WAIT_MS });
      await close(peer);
    });
  });

  describe("faults", () => {
    const hello = () => pack(payload(TEXT, "Hello"));
    test("RSV1 on a continuation", () => fails(1002, [frame(TEXT | RSV1, hello().subarray(0, 3)), frame(FIN | RSV1 | CONTINUATION, hello().subarray(3))]));
    for (const opcode of [PING, PONG, CLOSE]) test(`RSV1 on opcode ${opcode}`, () => fails(1002, [frame(FIN | RSV1 | opcode, "")]));
    for (const bits of [0x20, 0x10, 0x60, 0x50, 0x70]) test(`reserved bits ${bits.toString(16)}`, () => fails(1002, [frame(FIN | bits | TEXT, hello())]));
    test("RSV1 where nothing was negotiated", () => fails(1002, [framed(TEXT, hello())], null));
    test("RSV1 where the offer was declined", () => fails(1002, [framed(TEXT, hello())], "permessage-deflate; unknown"));
    test("what is not deflate", () => fails(1007, [framed(TEXT, Buffer.from("ffffffff", "hex"))]));
    test("a reserved type of block", () => fails(1007, [framed(BINARY, Buffer.from([0x06, 0x00]))]));
    test("a stored block whose length contradicts itself", () => fails(1007, [framed(BINARY, Buffer.from([0x00, 0x05, 0x00, 0x05, 0x00, 1, 2, 3, 4, 5]))]));
    test("a distance beyond the beginning: no context is taken over", async () => {
      const peer = await open("permessage-deflate");
      assert.match(peer.extension, /client_no_context_takeover/);
      const stream = zlib.createDeflateRaw();
      const flushed = (data) => new Promise((resolve) => {
        const chunks = [];
        const take = (chunk) => chunks.push(chunk);
        stream.on("data", take);
        stream.write(data);
        stream.flush(zlib.constants.Z_SYNC_FLUSH, () => { stream.off("data", take); resolve(Buffer.concat(chunks).subarray(0, -4)); });
      });
      const data = payload(BINARY, crypto.randomBytes(200));
      peer.send(framed(BINARY, await flushed(data)));
      await expectEcho(peer, BINARY, data);
      peer.send(framed(BINARY, await flushed(data)));
      const event = await peer.next("a close");
      assert.deepEqual([event.opcode, event.data.readUInt16BE(0)], [CLOSE, 1007]);
      await peer.end();
    });
    test("text that is not UTF-8 inside", () => fails(1007, [framed(TEXT, pack(payload(TEXT, Buffer.from([0xf4, 0x90, 0x80, 0x80]))))]));
    test("text that ends in the middle of a character", () => fails(1007, [framed(TEXT, pack(payload(TEXT, Buffer.from([0xe2, 0x82]))))]));
    test("more than the limit comes out", { timeout: 10 * PATIENCE_MS }, () => fails(1009, [framed(BINARY, pack(Buffer.alloc(LIMIT_BYTES + 1)))]));
    test("exactly the limit comes out", { timeout: 10 * PATIENCE_MS }, async () => {
      const peer = await open();
      const data = Buffer.alloc(LIMIT_BYTES);
      peer.send(framed(BINARY, pack(data, { level: 1 }), 65536));
      await expectEcho(peer, BINARY, data, { ms: BIG_WAIT_MS });
      await close(peer);
    });
  });
}
