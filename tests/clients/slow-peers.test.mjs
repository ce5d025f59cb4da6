// Peers that are slow, and peers that are gone, on every transport, with and without TLS: what moves is alive, what
// does not move is cut. Each scenario takes longer than a ping's interval and timeout together.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { after, before, describe, test } from "node:test";
import { frame } from "./lib/peer.mjs";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";

const PING_MS = 2000, PONG_MS = 8000; // time enough for a ping's answer also where the machine is busy
const BIG = 900_000, COUNT = 9, POSTS = 5;
const STEP_MS = 50, STEPS = Math.ceil((PING_MS + PONG_MS) * 1.2 / STEP_MS); // so many a scenario has
const folder = mkdtempSync(join(tmpdir(), "parley-slow-"));
after(() => rmSync(folder, { recursive: true }));
const key = join(folder, "key.pem"), cert = join(folder, "cert.pem");
execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
  "-out", cert, "-days", "2", "-subj", "/CN=slow"], { stdio: "ignore" });

// A connection whose bytes are taken when they are asked for. Of what came it keeps how much, the beginning and the end.
const KEPT = 2000;
class Line {
  constructor(server, secure) {
    const to = { port: server.port, host: "127.0.0.1", rejectUnauthorized: false };
    this.socket = secure ? tls.connect(to) : net.connect(to);
    this.socket.on("error", () => {}).on("end", () => { this.ended = true; }).on("close", () => { this.ended = true; });
    this.socket.pause();
    this.forget();
  }

  forget() { Object.assign(this, { head: "", tail: "", bytes: 0 }); }
  get text() { return this.bytes <= KEPT ? this.head : `${this.head}…${this.tail}`; }
  write(data) { this.socket.write(data); }

  take(limit) {
    const data = this.socket.read(Math.min(limit, this.socket.readableLength));
    if (!data) return 0;
    const end = data.subarray(-KEPT).toString("latin1");
    // It answers each ping that it reads, unless it comes in two pieces.
    if (this.isWebSocket && data.includes("\x81\x012", "latin1")) this.write(text("3"));
    if (data.includes("\x1e2\x1e", "latin1")) this.isPinged = true; // amid the packets of a poll
    if (this.head.length < KEPT) this.head = (this.head + data.subarray(0, KEPT).toString("latin1")).slice(0, KEPT);
    this.tail = (this.tail + end).slice(-KEPT);
    this.bytes += data.length;
    return data.length;
  }

  // Takes what comes, so many bytes a step, until there is what is wanted, or the end.
  async until(wanted, bytes = 1e6) {
    const end = Date.now() + 2 * PATIENCE_MS;
    while (!wanted(this)) {
      assert.ok(Date.now() < end, `waits for ${wanted}, has ${this.bytes} bytes: ${this.text}`);
      if (!this.take(bytes) && this.ended && !this.socket.readableLength) return false;
      await sleep(bytes < 1e6 ? STEP_MS : 2);
    }
    return true;
  }

  close() { this.socket.destroy(); }
}

const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const text = (data) => frame(0x81, data);

async function openWebSocket(server, secure) {
  const line = new Line(server, secure);
  line.write(`GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n`);
  assert.ok(await line.until(({ head }) => head.includes('"sid"')));
  line.isWebSocket = true; // it answers each ping that it reads
  return line;
}

// One request on a line; the answer as text, headers and all.
async function ask(line, request, bytes) {
  line.forget();
  line.write(request);
  const whole = ({ head, bytes: got }) => {
    const body = head.indexOf("\r\n\r\n") + 4, size = /content-length: (\d+)/i.exec(head);
    return body > 4 && size && got >= body + Number(size[1]);
  };
  assert.ok(await line.until(whole, bytes), "the answer is cut");
  return line.text;
}

const path = (sid) => `/engine.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ""}`;
const get = (sid) => `GET ${path(sid)} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = (sid, body) => `POST ${path(sid)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function openPolling(server, secure) {
  const line = new Line(server, secure);
  const sid = /"sid":"([^"]+)"/.exec(await ask(line, get()))[1];
  return { line, sid };
}

// The ping may have come before.
async function answersThePing(line, sid, before = "") {
  for (let answer = before; !line.isPinged && !/[\n\x1e]2(\x1e|$)/.test(answer);) {
    answer = await ask(line, get(sid));
    assert.match(answer, /^HTTP\/1.1 200 /);
  }
  assert.match(await ask(line, post(sid, "3")), /ok$/);
  assert.match(await ask(line, post(sid, "4still there")), /ok$/);
  assert.match(await ask(line, get(sid)), /4still there/);
}

// The peer's echo of big messages is under way, and the peer reads nothing.
function sendBig(line, count = COUNT) {
  for (let i = 0; i < count; i++) line.write(text("4" + "x".repeat(BIG)));
}

async function postBig(server, secure, sid, count = POSTS) {
  const line = new Line(server, secure);
  for (let i = 0; i < count; i++) assert.match(await ask(line, post(sid, "4" + "x".repeat(BIG))), /ok$/);
  line.close();
}

// Its only session is gone.
const isCut = (server) => until(async () => (await server.stats()).sessions === 0, "the end of the session");

for (const secure of [false, true]) {
  describe(secure ? "over TLS" : "plain", { concurrency: true }, () => {
    const started = () => start("eio-proto", { "ping-interval": PING_MS, "ping-timeout": PONG_MS, stats: 1, ...(secure && { "tls-cert": cert, "tls-key": key }) });
    let server;
    before(async () => { server = await started(); });
    after(() => server.stop());

    test("a WebSocket that is read slowly and steadily gets everything, and goes on", async () => {
      const line = await openWebSocket(server, secure);
      sendBig(line);
      assert.ok(await line.until(({ bytes }) => bytes > COUNT * BIG, COUNT * BIG / STEPS), `ended after ${line.bytes}`);
      line.write(text("4still there"));
      assert.ok(await line.until(({ tail }) => tail.includes("4still there")));
      line.close();
    });

    test("a poll whose answer is read slowly and steadily is answered whole, and the session goes on", async () => {
      const { line, sid } = await openPolling(server, secure);
      await postBig(server, secure, sid);
      const answer = await ask(line, get(sid), POSTS * BIG / STEPS);
      assert.ok(line.bytes > POSTS * BIG);
      await answersThePing(line, sid, answer);
      line.close();
    });

    test("a message that takes long to send is taken, on a WebSocket", async () => {
      const line = await openWebSocket(server, secure);
      const whole = text("4" + "y".repeat(BIG));
      for (let at = 0; at < whole.length; at += BIG / STEPS) {
        line.write(whole.subarray(at, at + BIG / STEPS));
        await sleep(STEP_MS);
        assert.ok(!line.ended, `ended after ${at} bytes`);
      }
      assert.ok(await line.until(({ bytes, tail }) => bytes > BIG && tail.includes("y".repeat(100))));
      line.close();
    });

    test("a body that takes long to send is taken", async () => {
      const { line, sid } = await openPolling(server, secure);
      const other = new Line(server, secure);
      const whole = Buffer.from(post(sid, "4" + "y".repeat(BIG)));
      for (let at = 0; at < whole.length; at += BIG / STEPS) {
        other.write(whole.subarray(at, at + BIG / STEPS));
        await sleep(STEP_MS);
      }
      assert.ok(await other.until(({ tail }) => /ok$|^HTTP.1.1 4/.test(tail)));
      assert.match(other.text, /ok$/);
      await answersThePing(line, sid);
      line.close();
      other.close();
    });

    test("a WebSocket that stops reading is cut", async (t) => {
      const own = await started();
      t.after(() => own.stop());
      const line = await openWebSocket(own, secure);
      sendBig(line, 16);
      await isCut(own);
      await line.until(() => false);
      assert.ok(line.bytes < 16 * BIG, "everything came");
      line.close();
    });

    test("a client that stops reading the answer of its poll is gone", async (t) => {
      const own = await started();
      t.after(() => own.stop());
      const { line, sid } = await openPolling(own, secure);
      await postBig(own, secure, sid, 6);
      line.write(get(sid));
      await isCut(own);
      const other = new Line(own, secure);
      assert.match(await within("an answer", ask(other, get(sid))), /400 Bad Request/);
      line.close();
      other.close();
    });
  });
}
