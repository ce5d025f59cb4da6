// What the protocol suites speak with: Engine.IO by hand over fetch, WebSocket and raw TCP, so that
// malformed input can be sent and every byte that comes back is seen.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import net from "node:net";
import { WebSocket } from "ws";
import { PATIENCE_MS, within } from "../../support/wait.mjs";

export const RS = "\x1e";

// A list that can be waited on: push() by the network, next() by the test.
export class Inbox {
  #items = [];
  #waiting = [];
  #end = null;

  push(item) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(item);
    else this.#items.push(item);
  }

  end(why) {
    this.#end = why;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(new Error(`ended: ${why}`));
  }

  next(what = "a message", ms = PATIENCE_MS) {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    if (this.#end !== null) return Promise.reject(new Error(`${what}: ended: ${this.#end}`));
    let waiter;
    const item = new Promise((resolve, reject) => { waiter = { resolve, reject }; this.#waiting.push(waiter); });
    return within(what, item, ms).finally(() => { this.#waiting = this.#waiting.filter((other) => other !== waiter); });
  }

  get size() { return this.#items.length; }
}

// An Engine.IO session over long-polling.
export class Polling {
  constructor(server, path = "/engine.io/") {
    this.server = server;
    this.base = `${server.http}${path}?EIO=4&transport=polling`;
  }

  async open() {
    const response = await fetch(this.base);
    assert.equal(response.status, 200);
    this.handshake = JSON.parse((await response.text()).slice(1));
    this.sid = this.handshake.sid;
    return this;
  }

  get url() { return `${this.base}&sid=${this.sid}`; }
  // {status, body}
  async get() { return read(await fetch(this.url)); }
  async post(body, headers) { return read(await fetch(this.url, { method: "POST", body, headers })); }

  // A poll that the server has by now: its answer is to come.
  async park() {
    const raw = await new Raw(this.server.port).open();
    const { pathname, search } = new URL(this.url);
    raw.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await hasRead(this.server);
    return { answer: raw.all().then(parseResponse) };
  }

  // Polls until there is something else than pings; answers those.
  async messages() {
    for (;;) {
      const { status, body } = await this.get();
      assert.equal(status, 200, `poll: ${status} ${body}`);
      const packets = body.split(RS);
      if (packets.includes("2")) await this.post("3");
      const rest = packets.filter((packet) => packet !== "2" && packet !== "6");
      if (rest.length) return rest;
    }
  }

  // The messages of as many polls as it takes to have `count` of them.
  async take(count) {
    const all = [];
    while (all.length < count) all.push(...(await within(`${count} messages, have ${all.length}`, this.messages())));
    return all;
  }

  // A session that has gone is unknown from now on.
  async assertGone() {
    const { status, body } = await this.get();
    assert.equal(status, 400, body);
  }
}

async function read(response) {
  return { status: response.status, body: await response.text(), headers: response.headers };
}

export async function request(url, init) { return read(await fetch(url, init)); }

// A WebSocket whose messages are waited for one by one: text as string, binary as Buffer.
export class Socket {
  constructor(url, options, protocols = []) {
    this.inbox = new Inbox();
    this.ws = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
    this.ws.on("message", (data, isBinary) => this.inbox.push(isBinary ? data : data.toString()));
    this.closed = new Promise((resolve) => {
      this.ws.on("close", (code, reason) => { this.inbox.end(`close ${code}`); resolve({ code, reason: reason.toString() }); });
    });
    this.ws.on("error", (error) => { this.error = error; });
    this.opened = new Promise((resolve, reject) => { this.ws.on("open", resolve); this.ws.on("close", () => reject(this.error ?? new Error("closed"))); });
    this.opened.catch(() => {});
  }

  async open() { await within("WebSocket open", this.opened); return this; }
  send(data) { this.ws.send(data); }
  next(what, ms) { return this.inbox.next(what, ms); }

  // The next message that is no ping; pings are answered.
  async message(what, ms) {
    for (;;) {
      const data = await this.next(what, ms);
      if (data !== "2") return data;
      this.send("3");
    }
  }

  // Answers pings from now on, unasked.
  keepAlive() {
    this.ws.on("message", (data) => { if (String(data) === "2") this.ws.send("3"); });
    return this;
  }

  // Nothing but pings came for all that was sent until now: the answer to a WebSocket's ping comes after it.
  async assertSilent() {
    const pong = new Promise((resolve) => this.ws.once("pong", resolve));
    this.ws.ping();
    await within("the pong", pong);
    while (this.inbox.size) {
      const data = await this.next();
      assert.equal(data, "2", "expected silence");
    }
    assert.equal(this.ws.readyState, WebSocket.OPEN, "expected an open connection");
  }

  assertClosed(what = "close of the connection", ms = PATIENCE_MS) { return within(what, this.closed, ms); }
  close() { this.ws.terminate(); return this.closed; }
}

// An Engine.IO session over WebSocket: the open packet is taken already.
export async function openWebSocket(server, path = "/engine.io/", query = "") {
  const socket = await new Socket(`${server.ws}${path}?EIO=4&transport=websocket${query}`).open();
  const packet = await socket.next("the open packet");
  assert.equal(packet[0], "0");
  socket.handshake = JSON.parse(packet.slice(1));
  return socket;
}

// Raw bytes over TCP. `all()` resolves with everything received when the peer closes.
export class Raw {
  constructor(port) {
    this.chunks = [];
    this.inbox = new Inbox();
    this.tcp = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.tcp.setNoDelay(true);
    this.tcp.on("data", (chunk) => { this.chunks.push(chunk); this.inbox.push(chunk); });
    this.tcp.on("error", (error) => { this.error = error; });
    this.ended = new Promise((resolve) => {
      this.tcp.on("end", () => { resolve("end"); this.inbox.end("end"); });
      this.tcp.on("close", () => { resolve(this.error ? "error" : "end"); this.inbox.end("close"); });
    });
    this.connected = new Promise((resolve, reject) => { this.tcp.on("connect", resolve); this.tcp.on("error", reject); });
    this.connected.catch(() => {});
  }

  async open() { await within("TCP connect", this.connected); return this; }
  write(data) { this.tcp.write(data); return this; }
  get received() { return Buffer.concat(this.chunks).toString("latin1"); }
  // Forgets what was received so far.
  forget() { this.chunks = []; return this; }
  async all(ms = PATIENCE_MS) { await within("end of the connection", this.ended, ms); return this.received; }

  // Everything received as soon as it holds `text`.
  async until(text, ms = PATIENCE_MS) {
    const limit = Date.now() + ms;
    while (!this.received.includes(text)) await this.inbox.next(`"${text}", got ${JSON.stringify(this.received.slice(0, 300))}`, limit - Date.now());
    return this.received;
  }

  reset() { this.tcp.resetAndDestroy(); }
  destroy() { this.tcp.destroy(); }
}

export async function rawRequest(port, text, ms) {
  const raw = await new Raw(port).open();
  raw.write(text);
  const answer = await raw.all(ms);
  raw.destroy();
  return parseResponse(answer);
}

// What was sent before on other connections has been read by now: a request that was sent after it is answered.
export async function hasRead(server) {
  await rawRequest(server.port, "GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

export function parseResponse(text) {
  const end = text.indexOf("\r\n\r\n");
  const [line, ...lines] = text.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(lines.map((l) => [l.slice(0, l.indexOf(":")).toLowerCase(), l.slice(l.indexOf(":") + 1).trim()]));
  return { status: Number(line.split(" ")[1]), line, headers, body: text.slice(end + 4) };
}

export const upgradeRequest = (path, headers = {}) => {
  const all = {
    Host: "localhost", Upgrade: "websocket", Connection: "Upgrade",
    "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": crypto.randomBytes(16).toString("base64"), ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
};

// One WebSocket frame as bytes; every field can be wrong on purpose.
export function frame(payload, { fin = true, rsv = 0, opcode = 1, masked = true } = {}) {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (data.length < 126) head.push(mask | data.length);
  else if (data.length < 65536) head.push(mask | 126, data.length >> 8, data.length & 255);
  else head.push(mask | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (data.length >>> shift) & 255));
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  const key = crypto.randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, i) => byte ^ key[i & 3])]);
}

// A raw TCP connection after the 101, the Engine.IO open packet included.
export async function rawWebSocket(server, path = "/engine.io/?EIO=4&transport=websocket") {
  const raw = await new Raw(server.port).open();
  raw.write(upgradeRequest(path));
  await raw.until('"maxPayload":');
  await raw.until("}");
  return raw.forget();
}
