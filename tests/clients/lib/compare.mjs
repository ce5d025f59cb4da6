// What two servers answer to the same bytes, made comparable.
import assert from "node:assert/strict";
import { sleep } from "../../support/wait.mjs";
import { Raw, parseResponse } from "./wire.mjs";

// An answer is whole when nothing came for so long; the greeting of sio-proto takes 40. On a busy machine there may be a
// longer pause in the middle of one: what is not alike is asked for again, with more patience. The servers are to ping
// more rarely than that.
const QUIET_MS = [90, 500, 4000, 20000];
const TRANSPORT_HEADERS = ["date", "keep-alive", "connection", "transfer-encoding", "content-length"];

// The answers of both, that `take(quietMs)` gives as [theirs, mine], are the same.
export async function assertAlike(take, assertSame = assert.deepEqual) {
  for (const quietMs of QUIET_MS) {
    try {
      const [theirs, mine] = await take(quietMs);
      return assertSame(mine, theirs);
    } catch (error) {
      if (quietMs === QUIET_MS.at(-1)) throw error;
    }
  }
}

// Sends bytes and gives everything that came back until it was quiet.
export async function exchange(server, quietMs, ...steps) {
  const raw = await new Raw(server.port).open();
  for (const step of steps) {
    raw.write(step);
    let size = -1;
    for (let quiet = 0; quiet < quietMs && !(raw.tcp.readableEnded && size === raw.received.length); quiet += 10) {
      if (raw.received.length !== size || size === 0) { size = raw.received.length; quiet = size === 0 ? -10 : 0; }
      await sleep(10);
    }
  }
  const { received } = raw;
  raw.destroy();
  return received;
}

const withoutIds = (text) => text.replace(/"sid":"[^"]{20}"/g, '"sid":"…"');

function unchunked(body) {
  let text = "";
  for (let rest = body; ;) {
    const [, digits] = /^([0-9a-f]+)\r\n/.exec(rest) ?? assert.fail(`chunks: ${body}`);
    const size = parseInt(digits, 16);
    if (size === 0) return text;
    text += rest.slice(digits.length + 2, digits.length + 2 + size);
    rest = rest.slice(digits.length + 2 + size + 2);
  }
}

// What is to be the same.
export function essence(text) {
  const { status, headers, body } = parseResponse(text);
  const plain = headers["transfer-encoding"] === "chunked" ? unchunked(body) : body;
  if (plain === "") delete headers["content-type"]; // the type of nothing
  const kept = Object.entries(headers).filter(([name]) => !TRANSPORT_HEADERS.includes(name)).sort();
  return { status, headers: Object.fromEntries(kept), body: withoutIds(plain) };
}
