// One end of a WebSocket over bare TCP: writes any bytes, and is strict about what the server sends (RFC 6455).
import assert from "node:assert/strict";
import crypto from "node:crypto";
import net from "node:net";
import { PATIENCE_MS, within } from "../../support/wait.mjs";
import { Inbox, upgradeRequest } from "./wire.mjs";

export const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// One client frame. `first`: the first byte as a whole. `form`: 7, 16 or 64 bits of length, the shortest by default.
export function frame(first, payload = "", { masked = true, form } = {}) {
  const data = Buffer.from(payload);
  form ??= data.length < 126 ? 7 : data.length < 65536 ? 16 : 64;
  const head = Buffer.alloc(2 + (form === 16 ? 2 : form === 64 ? 8 : 0));
  head[0] = first;
  head[1] = (masked ? 0x80 : 0) | (form === 7 ? data.length : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(data.length, 2);
  if (form === 64) head.writeBigUInt64BE(BigInt(data.length), 2);
  if (!masked) return Buffer.concat([head, data]);
  const mask = crypto.randomBytes(4);
  const body = Buffer.from(data);
  for (let i = 0; i < body.length; i++) body[i] ^= mask[i & 3];
  return Buffer.concat([head, mask, body]);
}

// A message as frames: its payload in pieces. Returns a list of frames.
export function fragments(opcode, pieces) {
  return pieces.map((piece, i) => frame((i ? CONTINUATION : opcode) | (i === pieces.length - 1 ? 0x80 : 0), piece));
}

export function cut(data, size) {
  const pieces = [];
  for (let at = 0; at < data.length; at += size) pieces.push(data.subarray(at, at + size));
  return pieces.length ? pieces : [data];
}

export function closePayload(code, reason = "") {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}

// Events: {opcode, data} for whole messages and control frames; `compressed` if the message came so (RFC 7692): `data` is
// then what was sent, without the tail.
export class Peer {
  #rest = Buffer.alloc(0);
  #message = null;
  extension = null; // the response's value, or null

  constructor(port) {
    this.inbox = new Inbox();
    this.ended = false;
    this.tcp = net.connect({ port, host: "127.0.0.1" });
    this.tcp.setNoDelay(true);
    this.tcp.on("error", () => {});
    this.tcp.on("close", () => { this.ended = true; this.inbox.end(this.fault ?? "the connection"); });
  }

  // The opening handshake; what is given as `early` goes out in the same segment as the request.
  async open(path, early = Buffer.alloc(0), headers = {}) {
    const key = crypto.randomBytes(16).toString("base64");
    this.tcp.write(Buffer.concat([Buffer.from(upgradeRequest(path, { "Sec-WebSocket-Key": key, ...headers })), early]));
    let head = Buffer.alloc(0);
    await within("the 101 response", new Promise((resolve, reject) => {
      const read = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        this.tcp.off("data", read);
        this.tcp.on("data", (data) => this.#read(data));
        this.head = head.subarray(0, end).toString("latin1");
        this.extension = /^sec-websocket-extensions: *(.*?)\r?$/im.exec(this.head)?.[1] ?? null;
        resolve();
        if (head.length > end + 4) this.#read(head.subarray(end + 4));
      };
      this.tcp.on("data", read);
      this.tcp.on("close", () => reject(new Error(`no handshake: ${head}`)));
    }));
    assert.match(this.head, /^HTTP\/1\.1 101 /);
    const accept = crypto.createHash("sha1").update(key + GUID).digest("base64");
    assert.match(this.head, new RegExp(`^sec-websocket-accept: ${accept.replaceAll(/[+/]/g, "\\$&")}\r?$`, "im"));
    return this;
  }

  #read(chunk) {
    this.#rest = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
    try {
      while (this.#frame());
    } catch (error) {
      this.fault = `the server broke the protocol: ${error.message}`;
      this.tcp.destroy();
    }
  }

  // Takes one whole frame off what was received.
  #frame() {
    const rest = this.#rest;
    if (rest.length < 2) return false;
    const length = rest[1] & 0x7f;
    const head = length === 126 ? 4 : length === 127 ? 10 : 2;
    if (rest.length < head) return false;
    const size = length === 126 ? rest.readUInt16BE(2) : length === 127 ? Number(rest.readBigUInt64BE(2)) : length;
    if (rest.length < head + size) return false;
    assert.equal(rest[1] & 0x80, 0, "a server's frame is masked (section 5.1)");
    const opcode = rest[0] & 0x0f;
    const rsv1 = this.extension !== null && (opcode === TEXT || opcode === BINARY) ? rest[0] & 0x40 : 0;
    assert.equal(rest[0] & 0x70, rsv1, "a reserved bit is set (section 5.2)");
    assert.equal(head, size < 126 ? 2 : size < 65536 ? 4 : 10, "a length is not minimal (section 5.2)");
    this.#rest = rest.subarray(head + size);
    this.#take({ fin: rest[0] & 0x80, opcode, compressed: rsv1 !== 0 }, rest.subarray(head, head + size));
    return true;
  }

  #take({ fin, opcode, compressed }, data) {
    if (opcode >= CLOSE) {
      assert.ok(fin && data.length <= 125, "a control frame is fragmented or too long (section 5.5)");
      assert.ok(opcode <= PONG, `opcode ${opcode}`);
      this.inbox.push({ opcode, data });
      return;
    }
    assert.ok(opcode <= BINARY, `opcode ${opcode}`);
    assert.equal(opcode === CONTINUATION, this.#message !== null, "fragments are out of order (section 5.4)");
    this.#message ??= { opcode, compressed, pieces: [] };
    this.#message.pieces.push(data);
    if (!fin) return;
    this.inbox.push({ ...this.#message, pieces: undefined, data: Buffer.concat(this.#message.pieces) });
    this.#message = null;
  }

  send(...parts) {
    for (const part of parts.flat()) this.tcp.write(part);
    return this;
  }

  // In pieces that are segments of their own, as far as TCP allows.
  async sendChopped(data, size) {
    for (const piece of cut(data, size)) {
      if (this.ended) return;
      await new Promise((resolve) => this.tcp.write(piece, resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  next(what, ms = PATIENCE_MS) { return this.inbox.next(what, ms); }

  // Resolves when the server has ended the connection.
  async end() {
    await within("end of the connection", new Promise((resolve) => {
      if (this.ended) resolve();
      this.tcp.once("close", resolve);
    }));
    assert.equal(this.fault, undefined);
  }

  destroy() { this.tcp.destroy(); }
}
