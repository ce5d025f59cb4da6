// The profile ws-echo: large and finely cut messages, compression, and the raw echo beside the Engine.IO one.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { isReference, start } from "./lib/server.mjs";
import { Raw, Socket, frame, rawWebSocket, upgradeRequest } from "./lib/wire.mjs";

const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
const LONG_MS = 30000;

let server;
before(async () => { server = await start("ws-echo"); });
after(() => server.stop());

const PATHS = { "Engine.IO": "/engine.io/?EIO=4&transport=websocket", raw: "/ws-echo" };

// What goes in for a text, and what comes out: Engine.IO's messages begin with "4".
const wrap = (mode, text) => (mode === "raw" ? text : `4${text}`);

async function open(mode, options) {
  const socket = await new Socket(server.ws + PATHS[mode], { maxPayload: 0, ...options }).open();
  if (mode !== "raw") assert.equal((await socket.next())[0], "0");
  return socket;
}

for (const mode of Object.keys(PATHS)) {
  describe(mode, () => {
    for (const deflate of [false, true]) {
      const options = { perMessageDeflate: deflate && { threshold: 0 } };
      test(`text and binary of many sizes come back${deflate ? ", compressed" : ""}`, async () => {
        const socket = await open(mode, options);
        assert.equal(socket.ws.extensions.includes("permessage-deflate"), deflate);
        for (const size of [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1000000]) {
          const text = wrap(mode, "ä€".repeat(size).slice(0, size));
          if (text) { socket.send(text); assert.equal(await socket.next(), text); }
          const bytes = crypto.randomBytes(size);
          socket.send(bytes);
          assert.deepEqual(await socket.next(), bytes);
        }
        socket.ws.close(1000, "bye");
        assert.equal((await socket.closed).code, 1000);
      });
    }

    test("16 MiB come back", async () => {
      const socket = await open(mode);
      const bytes = crypto.randomBytes(16 * 1024 * 1024);
      socket.send(bytes);
      assert.ok((await socket.next("the echo", LONG_MS)).equals(bytes));
      await socket.close();
    });

    test("a message of exactly the limit comes back, one byte more closes with 1009", async () => {
      const socket = await open(mode);
      const bytes = Buffer.alloc(MAX_PAYLOAD_BYTES, 1);
      socket.send(bytes);
      assert.ok((await socket.next("the echo", LONG_MS)).equals(bytes));
      socket.send(Buffer.alloc(MAX_PAYLOAD_BYTES + 1));
      assert.equal((await socket.assertClosed("close", LONG_MS)).code, 1009);
    });

    test("a small message that inflates above the limit closes with 1009", async () => {
      const socket = await open(mode, { perMessageDeflate: { threshold: 0 } });
      socket.send(Buffer.alloc(MAX_PAYLOAD_BYTES + 1));
      assert.equal((await socket.assertClosed("close", LONG_MS)).code, 1009);
    });

    test("65536 fragments make one message", async () => {
      const raw = mode === "raw" ? await new Raw(server.port).open() : await rawWebSocket(server, PATHS[mode]);
      if (mode === "raw") { raw.write(upgradeRequest(PATHS[mode])); await raw.until("\r\n\r\n"); raw.forget(); }
      raw.write(frame(wrap(mode, "a"), { fin: false }));
      const parts = Array.from({ length: 1024 }, () => frame("b", { opcode: 0, fin: false }));
      for (let i = 0; i < 64; i++) raw.write(Buffer.concat(parts.slice(i === 63 ? 1 : 0)));
      raw.write(frame("c", { opcode: 0 }));
      await raw.until("bc", LONG_MS);
      raw.destroy();
    });

    test("pings are answered with their payload, also within a message", async () => {
      const socket = await open(mode);
      const pong = new Promise((resolve) => socket.ws.once("pong", resolve));
      socket.ws.send(wrap(mode, "half"), { fin: false });
      socket.ws.ping("in between");
      assert.equal((await pong).toString(), "in between");
      socket.ws.send("done", { fin: true });
      assert.equal(await socket.next(), wrap(mode, "halfdone"));
      await socket.close();
    });

    test("codes of a close are answered", async () => {
      for (const code of [1000, 1001, 1007, 3000, 4999]) {
        const socket = await open(mode);
        socket.ws.close(code);
        assert.equal((await socket.closed).code, code);
      }
    });
  });
}

for (const offer of ["server_no_context_takeover", "client_max_window_bits", "server_max_window_bits=9", "client_no_context_takeover; server_max_window_bits=10"]) {
  test(`permessage-deflate; ${offer}`, async () => {
    const ws = new WebSocket(server.ws + PATHS.raw, { perMessageDeflate: {
      threshold: 0,
      serverNoContextTakeover: offer.includes("server_no"),
      clientNoContextTakeover: offer.includes("client_no") || undefined,
      serverMaxWindowBits: Number(/server_max_window_bits=(\d+)/.exec(offer)?.[1] ?? 15),
    } });
    await new Promise((resolve, reject) => { ws.once("open", resolve); ws.once("error", reject); });
    assert.match(ws.extensions, /permessage-deflate/);
    for (let i = 0; i < 20; i++) {
      const text = `${"repeat ".repeat(i * 200)}${i}`;
      const echo = new Promise((resolve) => ws.once("message", (data) => resolve(data.toString())));
      ws.send(text);
      assert.equal(await echo, text);
    }
    ws.terminate();
  });
}

test("a path beside them is not found", { skip: isReference && "the reference drops the connection" }, async () => {
  const socket = new Socket(`${server.ws}/other`);
  await socket.closed;
  assert.match(socket.error.message, /404/);
});
