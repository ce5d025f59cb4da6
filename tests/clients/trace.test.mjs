// `parley trace` and GET /trace: one user or one call, live, over all processes; who may look; what a slow reader loses.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { startRedis } from "./lib/redis.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, until as untilTrue, withTimeEnough } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { environment, runParley, startParley } = await import("../browser/server.mjs");

const SECRET = "the word that no trace may show";
let redis, servers = [], open = [], traces = [];
before(async () => { redis = await startRedis(); });
after(() => redis?.stop());
afterEach(async () => {
  for (const socket of open) socket.disconnect();
  for (const trace of traces) trace.child.kill("SIGKILL");
  open = [];
  traces = [];
  for (const server of servers.reverse()) await server.stop();
  servers = [];
});
const until = (condition, what) => untilTrue(condition, () => `${what}\n${traces.map(({ output, errors }) => output + errors).join("\n")}`);

/** `parley trace --json` in the configuration of a server; its lines as they come. */
function trace(server, ...options) {
  const child = spawn(process.env.TEST_PARLEY, ["trace", ...server.options, "--port", String(server.port), "--json", ...options], { env: environment });
  const running = { child, output: "", errors: "", lines: [] };
  child.stdout.on("data", (bytes) => {
    running.output += bytes;
    running.lines = running.output.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  });
  child.stderr.on("data", (bytes) => (running.errors += bytes));
  running.ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));
  traces.push(running);
  return running;
}
/** Once so many processes look. */
const looking = (running, count) => until(() => running.lines.filter(({ what }) => what === "looking").length === count, `${count} processes that look`);
const has = (running, wanted) => until(() => running.lines.find((line) => Object.entries(wanted).every(([name, value]) => line[name] === value)), `a line ${JSON.stringify(wanted)}`);

function connect(url, token) {
  const socket = io(url, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.push(socket);
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  return new Promise((resolve, reject) => { socket.once("connect", () => resolve(socket)); socket.once("connect_error", reject); });
}
const gauge = async (server, name) => {
  const token = await server.token("--sub", "root", "--role", "admin");
  const text = await (await fetch(`${server.url}/metrics`, { headers: { Authorization: `Bearer ${token}` } })).text();
  const found = [...text.matchAll(new RegExp(`^parley_${name}(?:{[^}]*})? (\\d+)$`, "gm"))];
  assert.ok(found.length, name);
  return found.reduce((sum, [, number]) => sum + Number(number), 0);
};

/** What happens to ann and bob in two calls. */
async function play(server, other = server) {
  const feed = await connect(`${server.url}/feed`, await server.token("--sub", "feed", "--role", "feed"));
  const ann = await connect(other.url, await server.token("--sub", "ann")), bob = await connect(server.url, await server.token("--sub", "bob"));
  for (const call_id of ["c1", "c2"]) assert.equal((await feed.ask("call:start", { call_id })).ok, true);
  assert.equal((await ann.ask("call:subscribe", { call_id: "c1" })).ok, true);
  for (const call_id of ["c1", "c2"]) assert.equal((await bob.ask("call:subscribe", { call_id })).ok, true);
  const heard = Promise.all([ann, bob].map((socket) => new Promise((resolve) => socket.once("transcription:update", resolve))));
  for (const call_id of ["c1", "c2"]) assert.equal((await feed.ask("transcription:update", { call_id, segment_id: "s1", speaker: "customer", text: SECRET })).ok, true);
  await heard;
  assert.equal((await ann.ask("call:subscribe", { call_id: "none", [SECRET]: 1 })).ok, false);
  await ann.ask(SECRET, {}).catch(() => {});
  return { feed, ann, bob };
}

for (const workers of [1, 3]) {
  test(`one user and one call, with ${workers} process(es)`, async () => {
    servers.push(await startParley("--workers", String(workers)));
    const [server] = servers;
    const ofAnn = trace(server, "--user", "ann"), ofCall = trace(server, "--call", "c1");
    for (const one of [ofAnn, ofCall]) await looking(one, workers);
    const { ann } = await play(server);
    ann.disconnect();

    for (const wanted of [{ what: "connected", namespace: "/" }, { what: "received", event: "call:subscribe", call: "c1" }, { what: "joined", room: "call:c1" },
      { what: "answered", event: "call:subscribe", call: "c1" }, { what: "sent", event: "transcription:update", call: "c1", receivers: 1 }, { what: "refused", event: "call:subscribe", call: "none", code: 404 },
      { what: "received", event: "unknown event" }, { what: "refused", event: "unknown event", code: 404 }, { what: "disconnected" }]) await has(ofAnn, { user: "ann", ...wanted });
    for (const wanted of [{ what: "received", event: "transcription:update", user: "feed" }, { what: "joined", user: "ann" }, { what: "joined", user: "bob" }, { what: "answered", user: "feed", event: "transcription:update" }]) await has(ofCall, wanted);
    await until(() => ofCall.lines.filter(({ what, event }) => what === "sent" && event === "transcription:update").reduce((sum, { receivers }) => sum + receivers, 0) === 2, "both receivers");
    for (const line of ofAnn.lines) assert.ok(line.what === "looking" || line.user === "ann", JSON.stringify(line));
    for (const line of ofCall.lines) assert.ok(!line.call || line.call === "c1", JSON.stringify(line));
    for (const { output } of traces) assert.ok(!output.includes(SECRET.slice(0, 8)), output);

    // Nothing looks any longer once those who asked are gone.
    assert.ok(await gauge(server, "traces") > 0);
    for (const { child, ended } of traces) child.kill("SIGINT"), await ended;
    await until(async () => await gauge(server, "traces") === 0, "the end of all traces");
    await until(() => /trace ended/.test(server.output), "a line in the log");
    assert.match(server.output, /msg="trace begun".* user=ann .*by=operator/);
  });
}

test("two nodes over Redis; that of the trace is killed", async () => {
  const options = ["--redis", redis.url];
  servers.push(await startParley(...options));
  servers.push(await startParley(...options, "--data", servers[0].data));
  const isConnected = async ({ url }) => (await (await fetch(`${url}/health`)).json()).redis === "ok";
  for (const server of servers) await until(() => isConnected(server), "Redis");
  const [first, second] = servers;
  const running = trace(first, "--user", "ann");
  await looking(running, 2);
  await play(first, second);
  const line = await has(running, { what: "joined", user: "ann", room: "call:c1" });
  assert.notEqual(line.node, running.lines[0].node);
  assert.equal(await gauge(second, "traces"), 1);
  first.child.kill("SIGKILL");
  assert.equal(await running.ended, 1);
  await until(async () => await gauge(second, "traces") === 0, "the other node to stop looking");
  await first.ended;
  await first.start();
});

const get = (url, token) => fetch(url, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
/** Status of a request; what it streams is not waited for. */
async function status(url, token) {
  const response = await get(url, token);
  await response.body.cancel();
  return response.status;
}

test("administrators alone may look, a tenant's at its own", async () => {
  servers.push(await startParley("--trace-max", "2"));
  const [server] = servers;
  const url = `${server.url}/trace?user=ann`, key = keyOf(server);
  const token = (role, claims = {}) => sign(key, { sub: "root", role, calls: "*", exp: now() + 3600, ...claims });
  assert.equal(await status(url), 401);
  for (const role of ["agent", "supervisor", "feed", "user", "service"]) assert.equal(await status(url, token(role)), 403, role);
  assert.equal(await status(url, token("admin")), 200);
  assert.equal(await status(`${server.url}/trace`, token("admin")), 400);
  assert.equal(await status(`${server.url}/trace?user=${"x".repeat(300)}`, token("admin")), 400);
  assert.equal(await status(`${url}&tenant=b`, token("admin", { tenant: "a" })), 403);
  assert.equal((await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${token("admin")}` } })).status, 405);
  await until(async () => await gauge(server, "traces") === 0, "no trace");

  const lines = [];
  const stream = async (claims, path) => {
    const response = await get(server.url + path, token("admin", claims));
    assert.equal(response.status, 200);
    const reader = response.body.getReader(), index = lines.push("") - 1;
    (async () => { for (let part; !(part = await reader.read()).done;) lines[index] += Buffer.from(part.value).toString(); lines[index] += "END"; })().catch(() => {});
    return reader;
  };
  const ofA = await stream({ tenant: "a" }, "/trace?call=c1"), short = await stream({ exp: now() + 2 }, "/trace?user=ann");
  assert.equal(await status(url, token("admin")), 503, "trace_max");
  await until(() => lines.every((text) => text.includes("looking")), "both streams");
  await connect(server.url, sign(key, { sub: "ann", role: "agent", calls: "*", tenant: "a", exp: now() + 3600 })).then((socket) => socket.ask("call:subscribe", { call_id: "c1" }));
  await connect(server.url, sign(key, { sub: "eve", role: "agent", calls: "*", tenant: "b", exp: now() + 3600 })).then((socket) => socket.ask("call:subscribe", { call_id: "c1" }));
  await until(() => lines[0].includes('"user":"ann"'), "the tenant's own user");
  assert.ok(!lines[0].includes(`"user":"eve"`), lines[0]);
  assert.ok(!lines[1].includes('"ann"'), "ann of no tenant is another user than ann of a tenant");
  await until(() => lines[1].endsWith("END"), "the end, with its token (and its leeway)");
  await ofA.cancel();
  await short.cancel();
});

test("with an operators' address it is there alone, without a token; the command finds it", async () => {
  servers.push(await startParley("--operator-listen", "127.0.0.1:0"));
  const [server] = servers;
  const [, inside] = /listens for operators on (\S+)\//m.exec(server.output);
  assert.equal(await status(`${server.url}/trace?user=ann`, await server.token("--sub", "root", "--role", "admin")), 404);
  assert.equal(await status(`${inside}/trace?user=ann`), 200);
  await withTimeEnough([1, 10, 100], async (seconds) => {
    const { code, stdout } = await runParley("trace", "--operator-listen", new URL(inside).host, "--user", "ann", "--for", String(seconds));
    assert.equal(code, 0);
    assert.match(stdout, /^\S+Z looking node=/);
  });
  for (const [options, why] of [[[], /--user or a call/], [["--user", "ann", "--for", "0"], /--for/], [["--user", "ann", "--port", "0"], /no port/]]) {
    const { code: refused, stderr } = await runParley("trace", "--data", server.data, ...options);
    assert.equal(refused, 2, stderr);
    assert.match(stderr, why);
  }
});

test("who reads slowly loses lines, and is told how many; nobody waits for it", async () => {
  servers.push(await startParley("--trace-queue-bytes", "65536", "--trace-lines-per-second", "1000000"));
  const [server] = servers;
  const token = await server.token("--sub", "root", "--role", "admin");
  const response = await new Promise((resolve) => http.get(`${server.url}/trace?user=ann`, { headers: { Authorization: `Bearer ${token}` } }, resolve));
  response.pause();
  const ann = await connect(server.url, await server.token("--sub", "ann"));
  for (let lost = 0; !lost; lost = await gauge(server, "trace_lines_left_out_total")) {
    for (let i = 0; i < 2000; i++) ann.emit("call:unsubscribe", { call_id: `c${i}` });
    await ann.ask("call:unsubscribe", { call_id: "last" });
  }
  let text = "";
  response.setEncoding("utf8").on("data", (piece) => (text += piece)).resume();
  await until(() => /"what":"left out","lines":\d+/.test(text), "the line that says it");
  const before = text.length;
  await ann.ask("call:unsubscribe", { call_id: "once more" });
  await until(() => text.length > before && text.includes("once more") , "lines after the gap");
  for (const line of text.split("\n").slice(0, -1)) JSON.parse(line);
  response.destroy();
});

test("so many lines a second, and no more", async () => {
  servers.push(await startParley("--trace-lines-per-second", "10"));
  const [server] = servers;
  const running = trace(server, "--user", "ann");
  await looking(running, 1);
  const ann = await connect(server.url, await server.token("--sub", "ann"));
  for (let i = 0; i < 100; i++) ann.emit("call:unsubscribe", { call_id: "c1" });
  await ann.ask("call:unsubscribe", { call_id: "c1" });
  const line = await has(running, { what: "left out" });
  assert.ok(line.lines > 0 && (await gauge(server, "trace_lines_left_out_total")) > 0);
});
