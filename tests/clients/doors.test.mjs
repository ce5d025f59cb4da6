// Where the server listens: several addresses, UNIX sockets, those of a service manager, and the operators' own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, linkSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { environment, runParley, startParley } = await import("../browser/server.mjs");

const folder = mkdtempSync(join(tmpdir(), "parley-doors-"));
after(() => rmSync(folder, { recursive: true }));
const SOCKET = join(folder, "parley.sock");
const sockets = new Set();
let parley;

afterEach(async () => {
  for (const socket of sockets) socket.disconnect();
  sockets.clear();
  const ending = parley;
  parley = null;
  await ending?.stop();
});

/** { status, headers, text } of a request at an address (a URL) or a UNIX socket (a path). */
const request = (method, where, path, { headers = {}, body } = {}) => within(`${method} ${path} at ${where}`, new Promise((resolve, reject) => {
  const place = where.startsWith("/") ? { socketPath: where } : { host: new URL(where).hostname.replace(/[[\]]/g, ""), port: new URL(where).port };
  http.request({ ...place, method, path, headers, agent: false }, (response) => {
    let text = "";
    response.on("data", (chunk) => (text += chunk)).on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
  }).on("error", reject).end(body);
}));
const get = (where, path, headers) => request("GET", where, path, { headers });
const post = (where, path, body) => request("POST", where, path, { headers: { "Content-Type": "text/plain" }, body });
const addresses = () => [...parley.output.matchAll(/^Parley \S+ listens (for operators )?on (\S+)$/gm)].map(([, operators, url]) => ({ operators: Boolean(operators), url }));
const operators = () => addresses().find((one) => one.operators).url;

function connect(url, options = {}) {
  const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
  sockets.add(socket);
  return within(`connecting to ${url}`, new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  }));
}
const refusal = (...args) => connect(...args).then(() => assert.fail("it was let in"), ({ message }) => message);

for (const workers of ["1", "3"]) {
  test(`operators have an address of their own, with ${workers} process(es)`, async () => {
    parley = await startParley("--operator-listen", "127.0.0.1:0", "--admin-ui", "development", "--workers", workers);
    const inside = operators(), outside = parley.url;
    for (const path of ["/metrics", "/admin", "/admin/", "/admin/preset.js"]) assert.equal((await get(outside, path)).status, 404, path);
    assert.match((await get(inside, "/metrics")).text, /parley_/);
    assert.equal((await get(inside, "/admin/")).status, 200);
    assert.equal((await get(inside, "/admin")).status, 308);
    // A balancer learns at the public door whether it works, and nothing else.
    assert.equal((await get(outside, "/health")).text, '{"status":"ok"}');
    assert.equal((await get(outside, "/ready")).text, '{"ready":true}');
    assert.ok("connections" in JSON.parse((await get(inside, "/health")).text));
    assert.equal((await get(inside, "/ready")).status, 200);
    // What is the clients' is not here.
    for (const path of ["/", "/desk", "/api/v1/calls", "/openapi.json"]) assert.equal((await get(inside, path)).status, 404, path);

    const token = await parley.token("--sub", "root", "--role", "admin", "--calls", "*");
    assert.match(await refusal(`${outside}/admin`, { auth: { token } }), /only at the operators' address/);
    assert.match(await refusal(`${inside}`, { auth: { token } }), /not at the operators' address/);
    for (const transport of ["websocket", "polling"]) await connect(`${inside}admin`, { auth: { token }, transports: [transport] });
  });
}

test("the crowd at the public door keeps no operator out", async () => {
  parley = await startParley("--operator-listen", "127.0.0.1:0", "--max-connections", "2");
  const crowd = await Promise.all([1, 2].map(() => new Promise((resolve, reject) => {
    const socket = net.connect(parley.port, "127.0.0.1", () => resolve(socket)).on("error", reject);
  })));
  await until(async () => (await get(parley.url, "/ready")).status === 503, "no room at the public door");
  assert.equal((await get(operators(), "/metrics")).status, 200);
  for (const socket of crowd) socket.destroy();
});

for (const workers of ["1", "2"]) {
  test(`several addresses, with ${workers} process(es)`, async () => {
    parley = await startParley("--listen", `127.0.0.1:0, [::1]:0, unix:${SOCKET}`, "--workers", workers);
    const [v4, v6, file] = addresses().map(({ url }) => url);
    assert.match(v4, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    assert.match(v6, /^http:\/\/\[::1\]:[1-9]\d*\/$/);
    assert.equal(file, `unix:${SOCKET}`);
    for (const where of [v4, v6, SOCKET]) {
      for (let i = 0; i < 8; i++) assert.equal((await get(where, "/health")).status, 200, where);
      const opened = await get(where, "/socket.io/?EIO=4&transport=polling");
      const { sid } = JSON.parse(opened.text.slice(1));
      // The session is one process's, its requests come to any.
      for (let i = 0; i < 4; i++) assert.equal((await post(where, `/socket.io/?EIO=4&transport=polling&sid=${sid}`, "3")).text, "ok");
    }
    await connect(v4, { auth: { token: await parley.token() } });
    assert.equal(statSync(SOCKET).mode & 0o777, 0o660);
    const ending = parley;
    parley = null;
    await ending.stop();
    assert.ok(!existsSync(SOCKET), "its file is gone with it");
  });
}

test("a socket's file is taken from a dead server only", async () => {
  parley = await startParley("--listen", `127.0.0.1:0,unix:${SOCKET}`, "--unix-socket-mode", "0600");
  assert.equal(statSync(SOCKET).mode & 0o777, 0o600);
  const second = await runParley("--listen", `unix:${SOCKET}`, "--data", ":memory:");
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`cannot listen on unix:${SOCKET}: Address already in use`));
  parley.child.kill("SIGKILL");
  await parley.ended;
  assert.ok(existsSync(SOCKET));
  await parley.start();
  assert.equal((await get(SOCKET, "/health")).status, 200);

  const notes = join(folder, "notes");
  writeFileSync(notes, "mine");
  const third = await runParley("--listen", `unix:${notes}`, "--data", ":memory:");
  assert.match(third.stderr, /cannot listen on unix:.*File exists/);
  assert.ok(existsSync(notes));
});

test("beyond loopback any listener needs a key", async () => {
  for (const option of ["listen", "operator-listen"]) {
    const { code, stderr } = await runParley(`--${option}`, "0.0.0.0:0", "--port", "0", "--data", ":memory:");
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`option ${option.replace("-", "_")}: '0.0.0.0' needs a key for tokens`));
  }
});

/** A server that inherits sockets, as systemd hands them over: descriptors from 3 on, and their names. */
async function startActivated(names, ...options) {
  const data = mkdtempSync(join(folder, "data-"));
  const servers = await Promise.all(names.map((name) => new Promise((resolve) => {
    const server = net.createServer();
    server.listen(name === "file" ? SOCKET : { port: 0, host: "127.0.0.1" }, () => resolve(server));
  })));
  const child = spawn("sh", ["-c", 'LISTEN_PID=$$ exec "$0" "$@"', process.env.TEST_PARLEY, "--data", data, ...options],
    { stdio: ["ignore", "pipe", "pipe", ...servers.map((server) => server._handle.fd)], env: { ...environment, LISTEN_FDS: String(names.length), LISTEN_FDNAMES: names.join(":") } });
  const started = { child, output: "", ports: servers.map((server) => server.address().port), ended: new Promise((resolve) => child.on("exit", (code) => resolve(code))) };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (started.output += chunk));
  started.stop = async () => { child.kill("SIGTERM"); assert.equal(await within("its end", started.ended, PATIENCE_MS), 0, started.output); };
  await until(() => /listens on/.test(started.output) || child.exitCode !== null, () => started.output);
  const isFile = existsSync(SOCKET);
  if (isFile) linkSync(SOCKET, `${SOCKET}.kept`); // libuv removes the file of what it closes
  for (const server of servers) server._handle.close(); // here alone: they are the child's now
  await until(() => !isFile || !existsSync(SOCKET), "the end of this process' copy");
  if (isFile) renameSync(`${SOCKET}.kept`, SOCKET);
  return started;
}

for (const workers of ["1", "2"]) {
  test(`sockets of the service manager, with ${workers} process(es)`, async () => {
    parley = await startActivated(["clients", "operator"], "--workers", workers);
    const [outside, inside] = parley.ports.map((port) => `http://127.0.0.1:${port}`);
    for (let i = 0; i < 4; i++) {
      assert.equal((await get(outside, "/health")).text, '{"status":"ok"}');
      assert.equal((await get(inside, "/metrics")).status, 200);
    }
    assert.deepEqual(addresses().map(({ url, operators: inner }) => [url, inner]), [[`${outside}/`, false], [`${inside}/`, true]]);
  });
}

test("the service manager's UNIX socket stays when the server ends", async () => {
  parley = await startActivated(["file"]);
  assert.equal((await get(SOCKET, "/health")).status, 200);
  const ending = parley;
  parley = null;
  await ending.stop();
  assert.ok(existsSync(SOCKET));
  rmSync(SOCKET);
});

test("a descriptor that does not listen is refused", async () => {
  const child = spawn("sh", ["-c", 'LISTEN_PID=$$ exec "$0" "$@"', process.env.TEST_PARLEY, "--data", ":memory:"],
    { stdio: ["ignore", "ignore", "pipe", "pipe"], env: { ...environment, LISTEN_FDS: "1" } });
  let output = "";
  child.stderr.on("data", (chunk) => (output += chunk));
  assert.equal(await within("its end", new Promise((resolve) => child.on("exit", resolve))), 1);
  assert.match(output, /descriptor 3 of LISTEN_FDS is not a listening socket/);
});

test("without the operators' own address, the numbers are for this machine and for tokens", async () => {
  parley = await startParley("--listen", `127.0.0.1:0, unix:${SOCKET}`, "--trusted-proxies", "127.0.0.1");
  const { url } = parley, from = (name, value, more) => get(url, "/metrics", { [name]: value, ...more });
  for (const where of [url, SOCKET]) assert.match((await get(where, "/metrics")).text, /^parley_/m, where);
  // A request that a proxy passed on is not from this machine, whoever the proxy is; no UNIX socket is in trusted_proxies.
  for (const header of ["X-Forwarded-For", "Forwarded", "X-Real-IP"]) {
    for (const [where, value] of [[url, "203.0.113.1"], [url, "127.0.0.1"], [url, ""], [SOCKET, "203.0.113.1"]]) {
      const { status, headers, text } = await get(where, "/metrics", { [header]: value });
      assert.deepEqual([status, headers["www-authenticate"]], [401, "Bearer"], `${header}: ${value} at ${where}`);
      assert.doesNotMatch(text, /parley_/);
    }
  }
  for (const [role, status] of [["admin", 200], ["service", 200], ["supervisor", 403], ["agent", 403], ["feed", 403], ["user", 403]]) {
    const answer = await from("X-Forwarded-For", "203.0.113.1", { Authorization: `Bearer ${await parley.token("--sub", "prometheus", "--role", role)}` });
    assert.equal(answer.status, status, role);
    assert.equal(/^parley_/m.test(answer.text), status === 200, role);
  }
  assert.equal((await from("X-Forwarded-For", "203.0.113.1", { Authorization: "Bearer x" })).status, 401);
});
