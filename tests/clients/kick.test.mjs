// POST /api/v1/users/{name}/disconnect: whatever a user has open ends, at every worker of every node, and nobody else's does.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";
import { startModel } from "./lib/model.mjs";
import { Plain } from "./lib/plain.mjs";
import { startRedis } from "./lib/redis.mjs";
import { now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const SECRET = "a secret that all nodes have, of 32 bytes and more";
const CALL = "kick-call", COPIES = 2; // of each kind at each node, so that both workers have some
let redis, model;
const cleanups = [];
before(async () => {
  redis = await startRedis();
  model = await startModel(() => ["some ", { wait: new Promise(() => {}) }]);
});
after(async () => {
  model?.stop();
  await redis?.stop();
});
afterEach(async () => { for (const clean of cleanups.splice(0).reverse()) await clean(); });

const token = (sub, role, more = {}) => sign(SECRET, { sub, role, calls: "*", iat: now() - 10, exp: now() + 3600, ...more });

async function start(...options) {
  const node = await startParley("--jwt-secret", SECRET, "--admin-ui", "production", "--turns-per-user-max", "100", ...model.options, ...options);
  cleanups.push(() => node.stop());
  return node;
}

/* ------------------------------------------------- what a user can have open */

function socket(node, nsp, auth, transports) {
  const one = io(node.url + nsp, { auth, forceNew: true, reconnection: false, transports });
  cleanups.push(() => one.disconnect());
  const gone = new Promise((resolve) => one.once("disconnect", resolve));
  one.onAny((event, data) => { if (event === "session") one.session = data; });
  return new Promise((resolve, reject) => {
    one.once("connect", () => resolve({ gone, isOpen: () => one.connected, socket: one }));
    one.once("connect_error", reject);
  });
}

async function plain(node, path, sub, role = "user") {
  const one = new Plain(node.url, `${path}${path.includes("?") ? "&" : "?"}token=${token(sub, role)}`);
  cleanups.push(() => one.close());
  await one.ready;
  return { gone: one.closed.then(({ code }) => code), isOpen: () => one.code === undefined };
}

/** An HTTP request whose end is not to be expected; `open` when the server has begun with it. */
function request(node, path, sub, role, type, body, ends) {
  const one = httpRequest(new URL(path, node.url), { method: "POST", agent: false,
    headers: { "content-type": type, accept: "text/event-stream, */*", authorization: `Bearer ${token(sub, role)}` } });
  const state = { text: "", isOver: false };
  one.on("error", () => { state.isOver = true; });
  state.gone = new Promise((resolve) => {
    one.on("close", () => { state.isOver = true; resolve(state.status); });
    one.on("response", async (response) => {
      state.status = response.statusCode;
      try { for await (const piece of response) state.text += piece; } catch { /* cut */ }
      state.isOver = true;
      resolve(state.status);
    });
  });
  one.write(body);
  if (ends) one.end();
  cleanups.push(() => one.destroy());
  state.isOpen = () => !state.isOver;
  state.request = one;
  return state;
}

let streams = 0;
async function lines(node, sub, watcher) {
  const text = `a line of stream ${streams++}`;
  const one = request(node, `/api/v1/calls/${CALL}/transcription`, sub, "feed", "application/x-ndjson", `${JSON.stringify({ speaker: "agent", text })}\n`, false);
  await until(() => watcher.texts.includes(text), () => `the line: ${one.text}`);
  return one;
}
async function turn(node, path, sub, body) {
  const one = request(node, path, sub, "user", "application/json", JSON.stringify(body), true);
  await until(() => one.text.includes("some"), () => `the turn's first words: ${one.text}`);
  return one;
}
const said = (id) => ({ messages: [{ id, role: "user", parts: [{ type: "text", text: "x" }] }], trigger: "submit-message" });

async function openAll(node, sub, copy, watcher) {
  const id = `${sub}-${copy}`;
  return {
    agent: await socket(node, "/", { token: token(sub, "agent") }, ["websocket"]),
    polling: await socket(node, "/", { token: token(sub, "supervisor") }, ["polling"]),
    feed: await socket(node, "/feed", { token: token(sub, "feed") }, ["websocket"]),
    chat: await socket(node, "/chat", { token: token(sub, "user") }, ["websocket"]),
    admin: await socket(node, "/admin", { token: token(sub, "admin") }, ["websocket"]),
    typed: await plain(node, `/ws/${id}?dialect=typed`, sub),
    tree: await plain(node, "/ws/session", sub),
    teaching: await plain(node, `/ws/${id}-t?dialect=teaching`, sub),
    widget: await plain(node, "/api/v1/chat/ws/chat", sub),
    lines: await lines(node, sub, watcher),
    ui: await turn(node, `/api/v1/chats/${id}-ui/ui`, sub, said(`${id}-m`)),
    agui: await turn(node, "/api/v1/agui", sub, { threadId: `${id}-agui`, runId: "r", messages: [{ id: `${id}-a`, role: "user", content: "x" }], tools: [], context: [] }),
  };
}

async function watch(node) {
  const { socket: one } = await socket(node, "/", { token: token("watcher", "agent") }, ["websocket"]);
  one.texts = [];
  one.on("transcription:update", ({ text }) => one.texts.push(text));
  const feed = await socket(node, "/feed", { token: token("starter", "feed") }, ["websocket"]);
  await feed.socket.timeout(PATIENCE_MS).emitWithAck("call:start", { call_id: CALL });
  assert.equal((await one.timeout(PATIENCE_MS).emitWithAck("call:subscribe", { call_id: CALL })).ok, true);
  return one;
}

const kick = async (node, sub) => {
  const response = await fetch(`${node.url}/api/v1/users/${sub}/disconnect`, { method: "POST", headers: { authorization: `Bearer ${token("root", "admin")}` } });
  assert.equal(response.status, 200, await response.text());
};

async function check(nodes) {
  const watcher = await watch(nodes[0]);
  const everything = [];
  for (const [i, node] of nodes.entries())
    for (let copy = 0; copy < COPIES; copy++)
      everything.push([`node ${i}`, await openAll(node, "eve", `${i}${copy}`, watcher), await openAll(node, "bob", `${i}${copy}`, watcher)]);
  await kick(nodes[0], "eve");
  for (const [where, eve] of everything)
    for (const [kind, one] of Object.entries(eve)) await within(`the end of ${kind} at ${where}`, one.gone);
  for (const [where, , bob] of everything)
    for (const [kind, one] of Object.entries(bob)) assert.ok(one.isOpen(), `bob's ${kind} at ${where}`);
  return everything;
}

/* ------------------------------------------------------------------- tests */

const REDIS = () => ["--redis", redis.url, "--redis-reconnect-max-ms", "300"];
const ready = (nodes) => until(async () => (await Promise.all(nodes.map((node) => fetch(`${node.url}/health`).then((response) => response.json())))).every(({ redis: state }) => state === "ok"), "Redis");

test("all that a user has open ends, at both workers of both nodes that Redis joins", async () => {
  const first = await start(...REDIS(), "--workers", "2", "--user-poll-ms", "86400000");
  const second = await start(...REDIS(), "--workers", "2", "--user-poll-ms", "86400000", "--data", first.data);
  await ready([first, second]);
  const everything = await check([first, second]);

  // A session of the Admin UI is no way back; a line that comes behind the end is not stored.
  for (const [, eve] of everything) {
    await assert.rejects(socket(second, "/admin", { sessionId: eve.admin.socket.session }, ["websocket"]), /invalid credentials/);
    const { text, status } = eve.lines;
    assert.deepEqual([status, JSON.parse(text).stored, JSON.parse(text).errors[0].code], [401, 1, 401], text);
  }
  for (const [, , bob] of everything) await socket(first, "/admin", { sessionId: bob.admin.socket.session }, ["websocket"]);
  const again = token("eve", "admin", { iat: now() + 2 });
  await socket(second, "/admin", { token: again }, ["websocket"]);
});

test("nodes without Redis learn it from their store", async () => {
  const first = await start("--user-poll-ms", "100");
  const second = await start("--user-poll-ms", "100", "--data", first.data);
  const watcher = await watch(second);
  const [eve, bob] = [await openAll(second, "eve", "p", watcher), await openAll(second, "bob", "p", watcher)];
  await kick(first, "eve");
  for (const [kind, one] of Object.entries(eve)) await within(`the end of ${kind}`, one.gone);
  for (const [kind, one] of Object.entries(bob)) assert.ok(one.isOpen(), `bob's ${kind}`);
});

test("nodes with a store each keep it over a restart", async () => {
  const first = await start(...REDIS()), second = await start(...REDIS());
  await ready([first, second]);
  const eve = await socket(second, "/", { token: token("eve", "agent") }, ["websocket"]);
  await kick(first, "eve");
  await within("the end", eve.gone);
  await second.restart();
  await assert.rejects(socket(second, "/", { token: token("eve", "agent") }, ["websocket"]), /not valid any more/);
});

test("what a request has open ends with its token", async () => {
  const node = await start();
  const watcher = await watch(node);
  const exp = now() + 2, soon = sign(SECRET, { sub: "eve", role: "feed", calls: "*", exp });
  const one = httpRequest(new URL(`/api/v1/calls/${CALL}/transcription`, node.url), { method: "POST", headers: { "content-type": "application/x-ndjson", authorization: `Bearer ${soon}` } });
  const answer = new Promise((resolve, reject) => { one.on("response", resolve); one.on("error", reject); });
  answer.catch(() => {});
  one.write(`${JSON.stringify({ speaker: "agent", text: "in time" })}\n`);
  await until(() => watcher.texts.includes("in time"), "the line");
  const response = await within("the end", answer);
  assert.equal(response.statusCode, 401);
  let text = "";
  for await (const piece of response) text += piece;
  const { ok, stored, errors } = JSON.parse(text);
  assert.deepEqual([ok, stored, errors.map(({ index, code }) => [index, code])], [false, 1, [[1, 401]]]);
  assert.ok(now() >= exp);
});

test("a token that was taken again and again is refused when its time is over", async () => {
  const node = await start();
  const soon = sign(SECRET, { sub: "eve", role: "agent", calls: "*", exp: now() + 2 });
  const ask = async () => (await fetch(`${node.url}/api/v1/calls`, { headers: { authorization: `Bearer ${soon}` } })).status;
  assert.deepEqual([await ask(), await ask()], [200, 200]);
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  assert.match(metrics, /^parley_tokens_known_total [1-9]/m);
  await until(async () => (await ask()) === 401, "the end");
});
