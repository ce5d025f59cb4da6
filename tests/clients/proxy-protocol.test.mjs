// The PROXY protocol at the built server: whose address counts, what is refused and why, behind TLS, and with nginx.
// And pages that may not open a session: allowed_origins.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { after, afterEach, test } from "node:test";
import { WebSocket } from "ws";
import { until, within } from "../support/wait.mjs";
import { Authority } from "./lib/certificates.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const folder = mkdtempSync(join(tmpdir(), "parley-proxy-"));
const authority = new Authority();
after(() => { rmSync(folder, { recursive: true }); authority.remove(); });
const SOCKET = join(folder, "proxied.sock");
const open = new Set();
let parley;

afterEach(async () => {
  for (const socket of open) socket.destroy();
  open.clear();
  const ending = parley;
  parley = null;
  await ending?.stop();
});

const line = (address) => `PROXY TCP4 ${address} 127.0.0.1 56324 443\r\n`;
const SIGNATURE = Buffer.from([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]);
function version2(command, family, addresses, tlvs = Buffer.alloc(0)) {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(addresses.length + tlvs.length);
  return Buffer.concat([SIGNATURE, Buffer.from([0x20 | command, family]), size, addresses, tlvs]);
}
const inet = (address) => Buffer.from([...address.split(".").map(Number), 127, 0, 0, 1, 0xdc, 4, 1, 0xbb]);
const unixNames = Buffer.alloc(216, "/run/client.sock\0");
const get = (path, ...fields) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;

/** A connection to the proxied listener, or what it ended with. */
async function connectTo(where) {
  const socket = net.connect(where);
  open.add(socket);
  socket.setNoDelay();
  socket.text = "";
  socket.on("data", (chunk) => (socket.text += chunk));
  socket.ended = new Promise((resolve) => socket.on("close", () => resolve(socket.text)).on("error", () => {}));
  await within("a connection", new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject)));
  return socket;
}
async function say(where, ...pieces) {
  const socket = await connectTo(where);
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
  return socket;
}
const status = async (socket) => {
  await within("an answer", Promise.race([until(() => socket.text.includes("\r\n\r\n"), () => `an answer; ${parley.output.slice(-2000)}`), socket.ended]));
  return Number(/^HTTP\/1\.1 (\d+)/.exec(socket.text)?.[1]);
};
const addresses = () => [...parley.output.matchAll(/^Parley \S+ listens on (\S+)$/gm)].map(([, url]) => url);
const start = async (...options) => {
  parley = await startParley("--listen", `127.0.0.1:0, 127.0.0.1:0 proxy, unix:${SOCKET} proxy`, ...options);
  parley.proxied = { host: "127.0.0.1", port: Number(new URL(addresses()[1]).port) };
  return parley.proxied;
};

test("limits by address are the client's, not the proxy's", async () => {
  const proxied = await start("--max-connections-per-address", "1");
  const forms = (address) => [line(address), version2(1, 0x11, inet(address))];
  for (const [i, header] of [...forms("203.0.113.1"), ...forms("203.0.113.2")].entries()) {
    const socket = await say(proxied, header, get("/ready"));
    assert.equal(await status(socket), i % 2 ? 429 : 200, String(i));
    if (i % 2) assert.match(socket.text, /too many connections from this address/);
  }
  assert.match(parley.output, /203\.0\.113\.1/);
  // Who has no address is not one with all who have none.
  for (let i = 0; i < 3; i++) assert.equal(await status(await say({ path: SOCKET }, version2(1, 0x31, unixNames), get("/ready"))), 200);
  // LOCAL: the proxy itself asks, which is the peer.
  for (const wanted of [200, 429]) assert.equal(await status(await say({ ...proxied, localAddress: "127.0.0.7" }, version2(0, 0x11, inet("203.0.113.1")), get("/ready"))), wanted);
});

test("a header comes in any pieces, and what follows it is the client's", async () => {
  const proxied = await start();
  const tlvs = Buffer.concat([Buffer.from([1, 0, 2]), Buffer.from("h2"), Buffer.from([0xea, 0, 0])]);
  for (const header of [Buffer.from(line("203.0.113.9")), version2(1, 0x11, inet("203.0.113.9"), tlvs), version2(1, 0x31, unixNames), Buffer.from("PROXY UNKNOWN\r\n")]) {
    assert.equal(await status(await say(proxied, Buffer.concat([header, Buffer.from(get("/ready"))]))), 200, "in one");
    assert.equal(await status(await say(proxied, ...[...header].map((byte) => Buffer.from([byte])), get("/ready"))), 200, "byte by byte");
  }
});

test("X-Forwarded-For counts if the client that the header names is a trusted proxy", async () => {
  const proxied = await start("--trusted-proxies", "203.0.113.0/24", "--max-sessions-per-address", "1");
  const ask = async (peer, forwarded) => status(await say(proxied, line(peer), get("/socket.io/?EIO=4&transport=polling", `X-Forwarded-For: ${forwarded}`)));
  assert.equal(await ask("203.0.113.5", "198.51.100.9"), 200);
  assert.equal(await ask("203.0.113.6", "198.51.100.9"), 429);
  assert.equal(await ask("203.0.113.6", "198.51.100.10"), 200);
  assert.equal(await ask("192.0.2.1", "198.51.100.11"), 200);
  assert.equal(await ask("192.0.2.1", "198.51.100.12"), 429, "it says what it likes");
});

test("what is no header closes the connection, with a reason in the log", async () => {
  const proxied = await start("--proxy-header-timeout-ms", "300");
  const rows = [
    [get("/ready"), "no PROXY header"],
    ["PROXY TCP4 1.2.3.4\r\n", "malformed destination address"],
    [version2(2, 0x11, inet("192.0.2.1")), "unknown command"],
    ["PROXY TCP4 192.0.2", "the header took too long"],
    ["", "the header took too long"],
  ];
  for (const [i, [bytes, why]] of rows.entries()) {
    const socket = await say(proxied, ...(bytes.length ? [bytes] : []));
    assert.equal(await within(`the end after ${why}`, socket.ended), "", why);
    if (i === 0) await until(() => parley.output.includes(`closed: PROXY protocol: ${why}`), () => parley.output); // one line in ten seconds
  }
  // It is never guessed: a listener that expects none takes none.
  assert.equal(await status(await say({ host: "127.0.0.1", port: parley.port }, line("203.0.113.1"), get("/ready"))), 501); // a method that nobody knows
  const metrics = await (await fetch(`${parley.url}/metrics`)).text();
  assert.equal(Number(/^parley_http_proxy_errors_total (\d+)$/m.exec(metrics)[1]), rows.length);
});

test("only proxies that are listed may speak for others", async () => {
  const proxied = await start("--proxy-networks", "10.0.0.0/8");
  assert.equal(await within("its end", (await say(proxied, line("203.0.113.1"))).ended), "");
  await until(() => parley.output.includes("closed: PROXY protocol: the peer is not in proxy_networks"), () => parley.output);
  assert.equal(await status(await say({ path: SOCKET }, line("203.0.113.1"), get("/ready"))), 200);
});

test("TLS begins behind the header", async () => {
  const { cert, key } = authority.issue("localhost", "IP:127.0.0.1");
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
  const proxied = await start("--tls-cert", cert, "--tls-key", key, "--max-connections-per-address", "1");
  const ask = async (...pieces) => {
    const raw = await say(proxied, ...pieces);
    raw.removeAllListeners("data");
    const secured = tls.connect({ socket: raw, rejectUnauthorized: false });
    open.add(secured);
    secured.text = "";
    secured.ended = new Promise((resolve) => secured.on("close", () => resolve(secured.text)).on("error", () => {}));
    secured.on("data", (chunk) => (secured.text += chunk));
    secured.write(get("/ready"));
    return status(secured);
  };
  assert.equal(await ask(line("203.0.113.1")), 200);
  assert.equal(await ask(line("203.0.113.1")), 429);
  assert.equal(await ask(...[...version2(1, 0x11, inet("203.0.113.2"))].map((byte) => Buffer.from([byte]))), 200);
  const bad = await say(proxied, "\x16\x03\x01");
  assert.equal(await within("its end", bad.ended), "", "TLS at once");
  // A WebSocket is taken from HTTP with all that stands before it.
  const raw = await say(proxied, line("203.0.113.3"));
  const socket = new WebSocket("wss://127.0.0.1/socket.io/?EIO=4&transport=websocket", { createConnection: () => tls.connect({ socket: raw, rejectUnauthorized: false }) });
  assert.match(String(await within("the handshake", new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject)))), /^0\{"sid"/);
  socket.terminate();
});

test("nginx hands connections over with their addresses", async () => {
  const proxied = await start("--max-connections-per-address", "1");
  const port = await new Promise((resolve) => { const server = net.createServer().listen(0, "127.0.0.1", () => { const { port: free } = server.address(); server.close(() => resolve(free)); }); });
  writeFileSync(join(folder, "nginx.conf"), `
    load_module /usr/lib/nginx/modules/ngx_stream_module.so;
    pid nginx.pid; daemon off; error_log stderr crit; worker_processes 1; events { worker_connections 64; }
    stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${proxied.port}; proxy_protocol on; } }`);
  const nginx = spawn("nginx", ["-p", folder, "-c", "nginx.conf", "-e", "stderr"], { stdio: ["ignore", "inherit", "inherit"] });
  try {
    const from = (localAddress) => ({ host: "127.0.0.1", port, localAddress });
    await until(() => connectTo(from("127.0.0.8")).then((socket) => { socket.destroy(); return true; }, () => false), "nginx");
    assert.equal(await status(await say(from("127.0.0.9"), get("/ready"))), 200);
    assert.equal(await status(await say(from("127.0.0.10"), get("/ready"))), 200);
    assert.equal(await status(await say(from("127.0.0.9"), get("/ready"))), 429);
  } finally {
    nginx.kill("SIGTERM");
    await within("nginx' end", new Promise((resolve) => nginx.once("exit", resolve)));
  }
});

test("a page opens a session only if its origin is allowed", async () => {
  parley = await startParley("--allowed-origins", "https://desk.example, /\\.partner\\.example$/");
  const polling = (origin) => fetch(`${parley.url}/socket.io/?EIO=4&transport=polling`, { headers: origin ? { Origin: origin } : {} });
  const webSocket = (path, origin) => within(`a WebSocket to ${path}`, new Promise((resolve) => {
    const socket = new WebSocket(`${parley.url.replace("http", "ws")}${path}`, { origin });
    socket.once("open", () => { resolve(101); socket.terminate(); });
    socket.once("unexpected-response", (request, response) => { resolve(response.statusCode); request.destroy(); });
    socket.once("error", () => {});
  }));
  for (const origin of [undefined, "https://desk.example", "https://a.partner.example"]) {
    assert.equal((await polling(origin)).status, 200, origin);
    assert.equal(await webSocket("/socket.io/?EIO=4&transport=websocket", origin), 101, origin);
  }
  for (const origin of ["https://evil.example", "null", "https://desk.example.evil.example"]) {
    const refused = await polling(origin);
    assert.equal(refused.status, 403, origin);
    assert.deepEqual(await refused.json(), { code: 4, message: "Origin not allowed" });
    assert.equal(await webSocket("/socket.io/?EIO=4&transport=websocket", origin), 403, origin);
    assert.equal(await webSocket("/ws/chat", origin), 403, origin);
  }
  assert.match(await (await fetch(`${parley.url}/metrics`)).text(), /^parley_origins_refused_total 9$/m);
});
