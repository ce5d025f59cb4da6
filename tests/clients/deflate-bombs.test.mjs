// Messages that are small on the wire and large when inflated: others are answered meanwhile, whether one is very large or
// many come at once. Each ends in a byte that is not UTF-8, so that it is inflated to the end and nothing comes back.
import assert from "node:assert/strict";
import zlib from "node:zlib";
import { after, before, test } from "node:test";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";
import { CLOSE, Peer, TEXT, frame } from "./lib/peer.mjs";

const FIN = 0x80, RSV1 = 0x40;
const OFFER = { "Sec-WebSocket-Extensions": "permessage-deflate" };

let server;
before(async () => { server = await start("ws-echo"); });
after(() => server?.stop());

function bomb(bytes) {
  const packed = zlib.deflateRawSync(Buffer.concat([Buffer.alloc(bytes - 1, "a"), Buffer.from([0xff])]),
    { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
  return frame(FIN | RSV1 | TEXT, packed);
}

// Sends them at once, each on a connection of its own; how often another client was answered before all were refused.
async function answersBeside(count, bytes) {
  const data = bomb(bytes);
  const healthy = await new Peer(server.port).open("/ws-echo");
  const peers = await Promise.all(Array.from({ length: count }, () => new Peer(server.port).open("/ws-echo", undefined, OFFER)));
  let left = count, answers = 0;
  const refused = peers.map(async (peer) => {
    peer.send(data);
    const { opcode, data: reason } = await peer.next("a close", 10 * PATIENCE_MS);
    assert.deepEqual([opcode, reason.readUInt16BE(0)], [CLOSE, 1007]);
    left--;
    await peer.end();
  });
  for (; left; answers++) {
    healthy.send(frame(FIN | TEXT, `${answers}`));
    assert.equal((await healthy.next("the echo")).data.toString(), `${answers}`);
  }
  await Promise.all(refused);
  healthy.destroy();
  return answers;
}

test("one of 60 MiB", { timeout: 20 * PATIENCE_MS }, async (t) => {
  const answers = await answersBeside(1, 60 << 20);
  t.diagnostic(`${answers} answers`);
  assert.ok(answers >= 4, `${answers} answers`);
});

test("thirty of 4 MiB", { timeout: 20 * PATIENCE_MS }, async (t) => {
  const answers = await answersBeside(30, 4 << 20);
  t.diagnostic(`${answers} answers`);
  assert.ok(answers >= 6, `${answers} answers`);
});
