// Who may do what: every event, every role, every kind of token; what a start without a key does, and whose files are
// whose.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParley } = await import("../browser/server.mjs");

const OWN = "own-call", OTHER = "other-call";
let parley, key;
const open = new Set();
before(async () => {
  parley = await startParley();
  key = keyOf(parley);
  const feed = await connect("/feed", sign(key, { sub: "feed", role: "feed", calls: "*", exp: now() + 3600 }));
  for (const call_id of [OWN, OTHER]) assert.equal((await ask(feed, "call:start", { call_id })).ok, true);
  feed.disconnect();
});
after(async () => {
  for (const socket of open) socket.disconnect();
  await parley?.stop();
});

/** A socket, or the error that it was refused with. */
function connect(namespace, token) {
  const socket = io(parley.url + namespace, { auth: token === undefined ? {} : { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.add(socket);
  socket.ended = new Promise((resolve) => socket.once("disconnect", resolve));
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", (error) => resolve({ refused: error.data?.code ?? error.message, disconnect() { socket.disconnect(); } }));
  });
}

const ask = (socket, event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);

/* ---------------------------------------------------------------- tokens */

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = (role, more = {}) => ({ sub: "ann", role, calls: [OWN], exp: now() + 3600, ...more });

// name: [token of a role, code that it is refused with; 0: it is good]
const KINDS = {
  good: [(role) => sign(key, claims(role)), 0],
  expired: [(role) => sign(key, claims(role, { exp: now() - 1 })), 401],
  "not yet valid": [(role) => sign(key, claims(role, { nbf: now() + 1000 })), 401],
  "without exp": [(role) => sign(key, claims(role, { exp: undefined })), 401],
  "with an exp beyond all numbers": [(role) => sign(key, JSON.stringify(claims(role)).replace(/"exp":\d+/, '"exp":1e400')), 401],
  "with an exp of 2^63": [(role) => sign(key, JSON.stringify(claims(role)).replace(/"exp":\d+/, '"exp":9223372036854775808.0')), 401],
  "with another's key": [(role) => sign("x".repeat(64), claims(role)), 401],
  "with other claims": [(role) => { const [head, , mac] = sign(key, claims(role)).split("."); return `${head}.${base64(claims(role, { calls: "*" }))}.${mac}`; }, 401],
  "with a bit of the signature turned": [(role) => sign(key, claims(role)).replace(/.(?=.{20}$)/, (c) => (c === "A" ? "B" : "A")), 401],
  "without signature": [(role) => `${sign(key, claims(role)).split(".").slice(0, 2).join(".")}.`, 401],
  "alg none": [(role) => `${base64({ alg: "none" })}.${base64(claims(role))}.`, 401],
  "alg none, signed": [(role) => sign(key, claims(role), { alg: "none" }), 401],
  "alg HS512": [(role) => sign(key, claims(role), { alg: "HS512" }), 401],
  "alg EdDSA": [(role) => sign(key, claims(role), { alg: "EdDSA" }), 401],
  "alg hs256": [(role) => sign(key, claims(role), { alg: "hs256" }), 401],
  "of an unknown role": [() => sign(key, claims("root")), 403],
  "of no role": [() => sign(key, claims(undefined)), 403],
  "of a list of roles": [() => sign(key, claims(["admin"])), 403],
  "without sub": [(role) => sign(key, claims(role, { sub: undefined })), 403],
  "that is no text": [() => ({ sub: "ann", role: "admin" }), 401],
  "that is empty": [() => "", 401],
};
const ROLES = ["agent", "supervisor", "admin", "feed"];
const NAMESPACES = { "/": ["agent", "supervisor", "admin"], "/feed": ["feed", "admin"] };

// event: [namespace, payload for a call, code for a call that is not one's own; 0: it names no call]
const EVENTS = {
  "agent:connect": ["/", (_call, token) => ({ agent_id: "ann", auth_token: token }), 0],
  "auth:refresh": ["/", (_call, token) => ({ token }), 0],
  "call:list": ["/", () => ({}), 0],
  "call:subscribe": ["/", (call_id) => ({ call_id }), 403],
  "call:unsubscribe": ["/", (call_id) => ({ call_id }), 0],
  "doc:feedback": ["/", (call_id) => ({ call_id, doc_id: "product-defect.return-due-to-size", helpful: true }), 403],
  "call:start": ["/feed", (call_id) => ({ call_id }), 403],
  "transcription:update": ["/feed", (call_id) => ({ call_id, speaker: "agent", text: "x" }), 403],
  "call:status": ["/feed", (call_id) => ({ call_id, status: "on_hold" }), 403],
  "call:end": ["/feed", (call_id) => ({ call_id }), 403],
};

/* ----------------------------------------------------------------- tests */

for (const [kind, [make, code]] of Object.entries(KINDS)) {
  test(`a token ${kind}: at the door, afterwards and over HTTP`, async () => {
    for (const role of ROLES) {
      for (const [namespace, roles] of Object.entries(NAMESPACES)) {
        const expected = code || (roles.includes(role) ? 0 : 403);
        const socket = await connect(namespace, make(role));
        assert.equal(socket.refused ?? 0, expected, `${role} at ${namespace}`);
        socket.disconnect();
      }
      // A socket that is in: what it is given as a new token.
      for (const [event, field] of [["auth:refresh", "token"], ["agent:connect", "auth_token"]]) {
        const socket = await connect("/", sign(key, claims("agent")));
        const token = make(role);
        const answer = await ask(socket, event, { [field]: token, ...(event === "agent:connect" ? { agent_id: "ann" } : {}) });
        const isText = typeof token === "string" && token.length > 0;
        assert.equal(answer.error?.code ?? 0, !isText ? 400 : code || (NAMESPACES["/"].includes(role) ? 0 : 403), `${event} as ${role}`);
        if (answer.error?.code === 401) await socket.ended;
        else assert.equal((await ask(socket, "call:list", {})).ok, true);
        socket.disconnect();
      }
      const token = make(role);
      const response = await fetch(`${parley.url}/api/v1/calls`, { method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, body: JSON.stringify({ call_id: OWN }) });
      assert.equal(response.status >= 300 ? response.status : 0, code || (NAMESPACES["/feed"].includes(role) ? 0 : 403), `HTTP as ${role}`);
    }
  });
}

for (const [event, [namespace, payload, foreign]] of Object.entries(EVENTS)) {
  test(`${event}: own call, another's, and before anybody said who it is`, async () => {
    for (const role of NAMESPACES[namespace]) {
      const token = sign(key, claims(role));
      const socket = await connect(namespace, token);
      const other = await ask(socket, event, payload(OTHER, token));
      assert.equal(other.error?.code ?? 0, foreign, `${role}, another's call`);
      if (foreign) assert.equal(other.error.field, "/call_id");
      const unknown = await ask(socket, event, payload("no-such-call", token));
      assert.equal(unknown.error?.code ?? 0, foreign, `${role}, a call that is not there`);
      assert.deepEqual(unknown, other, "whether a call exists is not told");
      const own = await ask(socket, event, payload(OWN, token));
      assert.ok(own.ok || own.error.code === 409, `${role}: ${JSON.stringify(own)}`); // 409: it was ended before
      socket.disconnect();
    }
    const nobody = await connect(namespace);
    if (namespace === "/feed") {
      assert.equal(nobody.refused, 401);
    } else if (event !== "agent:connect") {
      assert.equal((await ask(nobody, event, payload(OWN, sign(key, claims("agent"))))).error.code, 401);
      await nobody.ended;
    } else {
      assert.equal((await ask(nobody, event, payload(OWN, sign(key, claims("agent"))))).ok, true);
    }
    nobody.disconnect();
  });
}

test("a socket never becomes another user, and keeps what it had", async () => {
  const socket = await connect("/", sign(key, claims("agent")));
  assert.equal((await ask(socket, "call:subscribe", { call_id: OWN })).ok, true);
  const other = sign(key, { ...claims("admin"), sub: "bob", calls: "*" });
  assert.equal((await ask(socket, "auth:refresh", { token: other })).error.code, 403);
  assert.equal((await ask(socket, "agent:connect", { agent_id: "bob", auth_token: other })).error.code, 403);
  assert.equal((await ask(socket, "agent:connect", { agent_id: "ann", auth_token: other })).error.code, 403);
  assert.equal((await ask(socket, "call:subscribe", { call_id: OTHER })).error.code, 403);
  assert.equal((await ask(socket, "call:subscribe", { call_id: OWN })).ok, true);
});

test("a connection that broke is taken up again by its own user alone", async () => {
  const server = await startParley("--recovery", "--log-level", "warn");
  try {
    const [own, sign_] = [keyOf(server), (who) => sign(keyOf(server), { ...claims("agent"), ...who })];
    const feed = io(`${server.url}/feed`, { auth: { token: sign(own, { sub: "feed", role: "feed", calls: "*", exp: now() + 3600 }) }, forceNew: true });
    open.add(feed);
    assert.equal((await ask(feed, "call:start", { call_id: OWN })).ok, true);
    for (const [sub, recovers] of [["ann", true], ["bob", false]]) {
      const socket = io(server.url, { auth: { token: sign_({}) }, forceNew: true, transports: ["websocket"], reconnectionDelay: 10, reconnectionDelayMax: 50 });
      open.add(socket);
      const seen = [];
      socket.on("transcription:update", (line) => seen.push(line.text));
      assert.equal((await ask(socket, "call:subscribe", { call_id: OWN })).ok, true);
      assert.equal((await ask(feed, "transcription:update", { call_id: OWN, speaker: "agent", text: "before" })).ok, true);
      await until(() => seen.length === 1, "an offset");
      const back = new Promise((resolve) => {
        socket.once("connect", () => resolve(socket.recovered));
        socket.once("connect_error", (error) => resolve(error.data?.code));
      });
      socket.auth = { token: sign_({ sub }) };
      socket.io.engine.transport.ws.terminate();
      assert.equal(await back, recovers ? true : 403, sub);
      socket.disconnect();
    }
  } finally {
    await server.stop();
  }
});

test("auth:refresh takes effect at once, in both directions, and says what holds now", async () => {
  const socket = await connect("/", sign(key, claims("agent")));
  const exp = now() + 1000;
  assert.deepEqual(await ask(socket, "auth:refresh", { token: sign(key, claims("supervisor", { calls: "*", exp })) }), { ok: true, role: "supervisor", exp });
  assert.equal((await ask(socket, "call:subscribe", { call_id: OTHER })).ok, true);
  const told = new Promise((resolve) => socket.once("error", resolve));
  assert.equal((await ask(socket, "auth:refresh", { token: sign(key, claims("agent", { exp: now() + 2 })) })).ok, true);
  assert.deepEqual(await told, { code: 403, message: "this call is no longer yours", event: "call:subscribe", call_id: OTHER });
  const ended = new Promise((resolve) => socket.once("error", resolve));
  assert.equal((await ended).code, 401);
  assert.equal(await socket.ended, "io server disconnect");
});

test("what is asked about one call is done in order; what is asked too often is refused, and nothing is lost", async () => {
  const socket = await connect("/", sign(key, claims("agent", { calls: "*" })));
  const answers = [];
  const [count, last] = [3000, {}];
  for (let i = 0; i < count; i++) {
    const event = i % 2 ? "call:unsubscribe" : "call:subscribe";
    socket.emit(event, { call_id: OWN }, (answer) => answers.push([i, event, answer.ok ? "ok" : answer.error.code, answer.transcript !== undefined]));
  }
  socket.emit("call:subscribe", { call_id: OTHER }, (answer) => (last.answer = answer));
  await until(() => answers.length === count && last.answer, "all answers");
  const done = answers.filter(([, , result]) => result === "ok");
  assert.deepEqual(done.map(([i]) => i), done.map(([i]) => i).sort((a, b) => a - b));
  for (const [, event, result, hasSnapshot] of answers) assert.ok(result === 503 || (result === "ok" && hasSnapshot === (event === "call:subscribe")), `${event} ${result}`);
  assert.equal(last.answer.ok, true);
  socket.disconnect();
});

/* ------------------------------------------------------------------ start */

test("without a key of one's own the start beyond loopback is refused with status 2", async () => {
  const folder = mkdtempSync(join(tmpdir(), "parley-access-"));
  try {
    for (const workers of ["1", "2"]) {
      const { code, stderr } = await runParley("--host", "0.0.0.0", "--port", "0", "--data", join(folder, "data"), "--workers", workers);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^parley: option host: '0\.0\.0\.0' needs a key for tokens .*from command line --host\n$/);
      assert.deepEqual(readdirSync(folder), []);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("with a key it starts; a secret on the command line is warned of, and not shown", async () => {
  const secret = createHash("sha256").update("secret").digest("hex");
  const exposed = await startParley("--host", "0.0.0.0", "--jwt-secret", secret);
  try {
    assert.match(exposed.output, /level=warn msg="secret on the command line[^\n]* option=jwt_secret/);
    assert.ok(!exposed.output.includes(secret));
  } finally {
    await exposed.stop();
  }
});

test("what the server makes is its user's alone, and what was open before is warned of", async () => {
  const before = process.umask(0o000);
  try {
    const own = await startParley("--workers", "2", "--log-file", join(tmpdir(), `parley-access-${process.pid}.log`));
    const modes = readdirSync(own.data).map((name) => [name, statSync(join(own.data, name)).mode & 0o777]);
    assert.ok(modes.length >= 3);
    for (const [name, mode] of modes) assert.equal(mode, 0o600, name);
    const log = own.options.at(-1);
    assert.equal(statSync(log).mode & 0o777, 0o600);
    await own.stop();
    rmSync(log);
    const data = mkdtempSync(join(tmpdir(), "parley-access-"));
    writeFileSync(join(data, "dev-jwt.key"), "k".repeat(64), { mode: 0o644 });
    chmodSync(data, 0o755);
    const { stderr } = await runParley("--data", data, "--port", "1", "--host", "192.0.2.1", "--jwt-key-file", join(data, "dev-jwt.key"));
    assert.match(stderr, new RegExp(`other users[^\\n]* path=${data} mode=0755`));
    assert.match(stderr, /dev-jwt\.key mode=0644/);
    rmSync(data, { recursive: true });
  } finally {
    process.umask(before);
  }
});
