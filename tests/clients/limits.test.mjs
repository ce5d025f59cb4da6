// Limits from end to end: the application with a limit, stock clients that stay within it and one that does not.
// What every limit does to the byte is in tests/session/*_limits_test.c and tests/http/eio_http_limits_test.c.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Raw, frame, request, upgradeRequest } from "./lib/wire.mjs";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let parley;
let token;
let open = [];
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  open = [];
  await parley?.stop();
  parley = null;
});

function connect(options = {}) {
  const socket = io(parley.url, { auth: { token }, forceNew: true, reconnection: false, ...options });
  open.push(socket);
  socket.gone = new Promise((resolve) => socket.once("disconnect", resolve));
  socket.upgrade = new Promise((resolve) => socket.io.once("open", () =>
    socket.io.engine.once("upgrade", () => resolve(true)).once("upgradeError", () => resolve(false))));
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}
const webSocket = { transports: ["websocket"] };
const polling = { transports: ["polling"] };

async function assertServed(socket) {
  const answer = await socket.timeout(PATIENCE_MS).emitWithAck("call:list", {});
  assert.equal(answer.ok, true, JSON.stringify(answer));
  assert.equal(socket.connected, true);
}

async function hits(limit) {
  const { body } = await request(`${parley.url}/metrics`);
  const found = new RegExp(`^parley_limit_hits_total\\{limit="${limit}"\\} (\\d+)$`, "m").exec(body);
  assert.ok(found, `no metric for ${limit}`);
  return Number(found[1]);
}

function assertLogged(limit) {
  const lines = parley.output.split("\n").filter((line) => line.includes(`limit ${limit} hit`));
  assert.equal(lines.length, 1, parley.output);
}

async function start(...options) {
  parley = await startParley("--drain-timeout-ms", "500", ...options);
  token = await parley.token("--sub", "alice", "--calls", "*");
}

for (const [name, options] of Object.entries({ polling, webSocket })) {
  test(`sessions above max_sessions are refused, by ${name}`, async () => {
    await start("--max-sessions", "3");
    const inside = [await connect(polling), await connect(webSocket), await connect()];
    for (let i = 0; i < 5; i++) await assert.rejects(connect(options));
    for (const socket of inside) await assertServed(socket);
    assert.equal(await hits("max_sessions"), 5);
    assertLogged("max_sessions");
    inside.pop().disconnect();
    await assertServed(await until(() => connect(options).catch(() => null), "a place that is free again"));
  });
}

test("a flood of handshakes gets 429, and those within are served; a client that tries again comes in", async () => {
  await start("--max-handshakes-per-second-per-address", "5");
  const inside = await Promise.all([connect(webSocket), connect(polling)]);
  const begin = Date.now();
  const statuses = await Promise.all(Array.from({ length: 50 }, async () =>
    (await request(`${parley.url}/socket.io/?EIO=4&transport=polling`)).status));
  const atMost = 4 + Math.ceil((Date.now() - begin) / 200);
  assert.ok(statuses.filter((status) => status === 200).length <= atMost, statuses.join());
  assert.ok(statuses.every((status) => status === 200 || status === 429));
  const late = io(parley.url, { auth: { token }, forceNew: true, reconnectionDelay: 300, reconnectionDelayMax: 500 });
  open.push(late);
  for (const socket of inside) await assertServed(socket);
  await until(() => late.connected, "a connection after the flood");
  assert.ok(await hits("max_handshakes_per_second_per_address") >= statuses.filter((status) => status === 429).length);
  assertLogged("max_handshakes_per_second_per_address");
});

test("handshakes of the whole server have a rate", async () => {
  await start("--max-handshakes-per-second", "5");
  const inside = await connect(webSocket);
  const statuses = await Promise.all(Array.from({ length: 100 }, async () =>
    (await request(`${parley.url}/socket.io/?EIO=4&transport=polling`)).status));
  assert.ok(statuses.every((status) => status === 200 || status === 503), statuses.join());
  await assertServed(inside);
  const refused = statuses.filter((status) => status === 503).length;
  assert.ok(refused > 0, "the machine is too slow for this test");
  assert.ok(await hits("max_handshakes_per_second") >= refused);
});

test("connections of one address are bounded, WebSockets included", async () => {
  await start("--max-connections-per-address", "6");
  const inside = [await connect(webSocket), await connect(webSocket), await connect(webSocket)];
  const raws = [];
  for (let i = 0; i < 8; i++) raws.push(await new Raw(parley.port).open());
  for (const raw of raws) raw.write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
  await Promise.all(raws.map((raw) => raw.until("HTTP/1.1 ")));
  const refused = raws.filter((raw) => raw.received.startsWith("HTTP/1.1 429 ")).length;
  const served = raws.filter((raw) => raw.received.startsWith("HTTP/1.1 200 ")).length;
  assert.ok(refused >= 5 && served >= 1 && refused + served === 8, `${refused} refused, ${served} served`);
  for (const socket of inside) await assertServed(socket);
  for (const raw of raws) raw.destroy();
  await until(async () => await hits("max_connections_per_address").catch(() => 0) >= refused, "the metric"); // it takes a place itself
  assertLogged("max_connections_per_address");
});

test("over TLS, too, a place is free again when its WebSocket is closed, however it is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "parley-limits-"));
  const [cert, key] = [join(folder, "cert"), join(folder, "key")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=x", "-keyout", key, "-out", cert], { stdio: "ignore" });
  const server = spawn(process.env.TEST_PARLEY, ["--port", "0", "--data", join(folder, "data"), "--tls-cert", cert, "--tls-key", key,
    "--max-connections", "4", "--max-connections-per-address", "4"], { stdio: ["ignore", "pipe", "ignore"], env: {} });
  const ended = once(server, "exit");
  try {
    const [line] = await within("the start", once(server.stdout, "data"));
    const url = `wss://127.0.0.1:${/:(\d+)\//.exec(line)[1]}/socket.io/?EIO=4&transport=websocket`;
    const connectSecurely = () => within("an answer", new Promise((resolve) => {
      const socket = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false });
      socket.once("message", () => resolve(socket));
      socket.once("unexpected-response", (_, response) => resolve(response.statusCode));
      socket.on("error", () => {});
    }));
    for (const end of ["close", "terminate", "send", "close"]) {
      const sockets = [];
      while (sockets.length < 4) {
        const isIn = (socket) => typeof socket === "object" && sockets.push(socket);
        await until(async () => isIn(await connectSecurely()), `a free place after ${sockets.length}`);
      }
      assert.equal(await connectSecurely(), 503, end);
      for (const socket of sockets) socket[end]?.(end === "close" ? 1000 : "no packet");
    }
  } finally {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true });
  }
});

test("a client that floods events is closed, the others go on", async () => {
  await start("--max-events-per-second", "20");
  const inside = [await connect(webSocket), await connect(polling)];
  const flood = await connect(webSocket);
  for (let i = 0; i < 200; i++) flood.emit("call:list", {});
  assert.equal(await within("the end of the flood", flood.gone), "transport close");
  for (const socket of inside) await assertServed(socket);
  assert.equal(await hits("max_events_per_second"), 1);
  assertLogged("max_events_per_second");
});

test("a WebSocket message that drips in is cut off with 1008", async () => {
  await start("--message-timeout-ms", "500");
  const inside = [await connect(webSocket), await connect()];
  const raw = await new Raw(parley.port).open();
  raw.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await raw.until('"maxPayload":');
  raw.forget();
  const bytes = frame(`4${"x".repeat(1000)}`);
  for (let i = 0; i < bytes.length && !raw.received; i++) { raw.write(bytes.subarray(i, i + 1)); await sleep(20); }
  assert.equal(Buffer.from(raw.received, "latin1").toString("hex").slice(0, 8), "880203f0");
  raw.destroy();
  for (const socket of inside) await assertServed(socket);
  assert.equal(await hits("message_timeout_ms"), 1);
});

test("upgrades above max_upgrades leave the stock client on polling, where it is served", async () => {
  await start("--max-upgrades", "1");
  const { body } = await request(`${parley.url}/socket.io/?EIO=4&transport=polling`);
  const raw = await new Raw(parley.port).open();
  raw.write(upgradeRequest(`/socket.io/?EIO=4&transport=websocket&sid=${JSON.parse(body.slice(1)).sid}`));
  await raw.until("101 Switching Protocols"); // and never "2probe"
  const socket = await connect();
  await until(async () => await hits("max_upgrades") === 1, "a refused upgrade");
  await assertServed(socket);
  assert.equal(socket.io.engine.transport.name, "polling");
  raw.destroy();
  await until(async () => within("the end of an upgrade", (await connect()).upgrade), "an upgrade when there is room");
});
