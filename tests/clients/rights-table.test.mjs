// Every event and every path × every role × another's call × every token that is not good. What the server has and is not
// in these tables, or the other way round, fails too: who adds an event says here who may use it.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign as signWith } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const ROLES = ["agent", "supervisor", "admin", "feed", "user", "service"];
const READERS = ["agent", "supervisor", "admin"];
const LEADS = ["supervisor", "admin"];
const FEEDS = ["feed", "admin"];
const ADMIN = ["admin"];
const NAMESPACES = { "/": READERS, "/feed": FEEDS, "/chat": ["user", ...READERS] };
const CHATTERS = ["user", ...READERS];
let messages = 0;
const DOC = "product-defect.initiate-refund";

// event: { nsp, roles: who may; data: payload for a call; foreign: 403 for a call that is another's }
const EVENTS = {
  "agent:connect": { nsp: "/", roles: READERS, data: (_, token) => ({ agent_id: "ann", auth_token: token }) },
  "call:list": { nsp: "/", roles: READERS, data: () => ({}) },
  "call:subscribe": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id }), foreign: true },
  "call:unsubscribe": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id }) },
  "call:search": { nsp: "/", roles: READERS, data: () => ({ query: "x" }) },
  "kb:search": { nsp: "/", roles: READERS, data: (call_id) => ({ query: "refund", call_id }), foreign: true },
  "doc:feedback": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id, doc_id: DOC, helpful: true }), foreign: true },
  "doc:used": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id, doc_id: DOC, how: "opened" }), foreign: true },
  "agent:help": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id }), foreign: true },
  "note:send": { nsp: "/", roles: LEADS, data: (call_id) => ({ call_id, text: "x" }), foreign: true },
  "call:wrapup": { nsp: "/", roles: READERS, data: (call_id) => ({ call_id, outcome: "x" }), foreign: true },
  "auth:refresh": { nsp: "/", roles: READERS, data: (_, token) => ({ token }) },
  "session.init": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true },
  "chat.message": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, id: `m${++messages}`, content: "x" }), foreign: 404, isChat: true },
  "chat.edit": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, id: "m0", content: "x" }), foreign: 404, isChat: true },
  "chat.regenerate": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, ref_id: "m0" }), foreign: 404, isChat: true },
  "elicitation.submit": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, reply_to: "unknown", content: {} }), foreign: 404, isChat: true, missing: 404 },
  "signal.stop": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true },
  "session.close": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true },
  "chat.takeover": { nsp: "/chat", roles: LEADS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true, missing: 403 }, // without the claim
  "chat.history": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true },
  "chat.list": { nsp: "/chat", roles: CHATTERS, data: () => ({}) },
  "chat.delete": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id }), foreign: 404, isChat: true },
  "tree.edit": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, delta: { action: "add", path: "/root/children", node: {} } }), foreign: 404, isChat: true },
  "chat.feedback": { nsp: "/chat", roles: CHATTERS, data: (chat_id) => ({ chat_id, ref_id: "m0", helpful: true }), foreign: 404, isChat: true },
  "call:start": { nsp: "/feed", roles: FEEDS, data: (call_id) => ({ call_id }), foreign: true },
  "transcription:update": { nsp: "/feed", roles: FEEDS, data: (call_id) => ({ call_id, speaker: "a", text: "x" }), foreign: true },
  "call:status": { nsp: "/feed", roles: FEEDS, data: (call_id) => ({ call_id, status: "active" }), foreign: true },
  "call:end": { nsp: "/feed", roles: FEEDS, data: (call_id) => ({ call_id }), foreign: true },
};

// path: { roles: who may, null: everybody, also without a token; body; foreign as above }
const PATHS = {
  "GET /api/v1/documents": { roles: READERS },
  "GET /api/v1/documents/{doc_id}": { roles: READERS },
  "POST /api/v1/documents": { roles: LEADS, body: () => ({ doc_id: "new", title: "t", text: "x" }) },
  "POST /api/v1/documents/{doc_id}": { roles: LEADS, body: () => ({ title: "t", text: "x" }) },
  "DELETE /api/v1/documents/{doc_id}": { roles: LEADS },
  "POST /api/v1/documents/{doc_id}/phrases": { roles: LEADS, body: () => ({ text: `x${++messages}` }) },
  "POST /api/v1/documents/{doc_id}/phrases/{phrase_id}": { roles: LEADS, body: () => ({ text: "x" }) },
  "DELETE /api/v1/documents/{doc_id}/phrases/{phrase_id}": { roles: LEADS },
  "GET /api/v1/search": { roles: READERS, query: "?q=refund" },
  "GET /api/v1/calls": { roles: READERS },
  "GET /api/v1/calls/{call_id}": { roles: READERS, foreign: true },
  "POST /api/v1/calls": { roles: FEEDS, body: (call_id) => ({ call_id }), foreign: true },
  "POST /api/v1/calls/{call_id}/transcription": { roles: FEEDS, body: () => ({ speaker: "a", text: "x" }), foreign: true },
  "POST /api/v1/calls/{call_id}/status": { roles: FEEDS, body: () => ({ status: "active" }), foreign: true },
  "POST /api/v1/calls/{call_id}/summary": { roles: READERS, body: () => ({}), foreign: true },
  "GET /api/v1/calls/{call_id}/export": { roles: READERS, foreign: true },
  "POST /api/v1/calls/{call_id}/end": { roles: FEEDS, body: () => ({}), foreign: true },
  "DELETE /api/v1/calls/{call_id}": { roles: ADMIN, foreign: true },
  "GET /api/v1/chats": { roles: CHATTERS },
  "POST /api/v1/chats": { roles: CHATTERS, body: () => ({}) },
  "GET /api/v1/chats/{chat_id}/messages": { roles: CHATTERS, isChat: true },
  "POST /api/v1/chats/{chat_id}/messages": { roles: CHATTERS, isChat: true, body: () => ({ content: "x" }) },
  "POST /api/v1/chats/{chat_id}/elicitations/{reply_to}": { roles: CHATTERS, isChat: true, body: () => ({ action: "cancel" }) },
  "POST /api/v1/chats/{chat_id}/stop": { roles: CHATTERS, isChat: true, body: () => ({}) },
  "GET /api/v1/chats/{chat_id}/export": { roles: CHATTERS, isChat: true },
  "GET /api/v1/chats/{chat_id}/sources/{doc_id}": { roles: CHATTERS, isChat: true },
  "DELETE /api/v1/chats/{chat_id}": { roles: CHATTERS, isChat: true },
  "GET /api/v1/chat/sessions": { roles: CHATTERS },
  "POST /api/v1/chat/sessions": { roles: CHATTERS, body: () => ({}) },
  "GET /api/v1/chat/sessions/{chat_id}/messages": { roles: CHATTERS, isChat: true },
  "POST /api/v1/chat/sessions/{chat_id}/messages": { roles: CHATTERS, isChat: true, body: () => ({ content: "x" }) },
  "POST /api/v1/chat/sessions/{chat_id}/elicitations/{reply_to}": { roles: CHATTERS, isChat: true, body: () => ({ action: "cancel" }) },
  "POST /api/v1/chat/sessions/{chat_id}/stop": { roles: CHATTERS, isChat: true, body: () => ({}) },
  "GET /api/v1/chat/sessions/{chat_id}/export": { roles: CHATTERS, isChat: true },
  "GET /api/v1/chat/sessions/{chat_id}/sources/{doc_id}": { roles: CHATTERS, isChat: true },
  "DELETE /api/v1/chat/sessions/{chat_id}": { roles: CHATTERS, isChat: true },
  "POST /api/v1/chats/{chat_id}/ui": { roles: CHATTERS, isChat: true, body: () => ({ messages: [{ id: `u${++messages}`, role: "user", parts: [{ type: "text", text: "x" }] }], trigger: "submit-message" }) },
  "GET /api/v1/chats/{chat_id}/ui/stream": { roles: CHATTERS, isChat: true, hidden: 204 }, // as for an id that nobody uses
  "POST /api/v1/agui": { roles: CHATTERS, body: () => ({ threadId: `t${++messages}`, runId: "r", messages: [{ id: `a${messages}`, role: "user", content: "x" }], tools: [], context: [] }) },
  "GET /api/v1/rules": { roles: LEADS },
  "POST /api/v1/rules": { roles: ADMIN, body: () => ({ name: "r", phrase: "x" }) },
  "DELETE /api/v1/rules/{name}": { roles: ADMIN },
  "POST /api/v1/feeds/{vendor}": { roles: FEEDS, query: "?call_id=own", foreign: true,
    body: () => ({ type: "Results", is_final: true, start: 0, duration: 1, channel_index: [0, 1], channel: { alternatives: [{ transcript: "x", confidence: 1 }] } }) },
  "POST /api/v1/feeds/twilio": { roles: null, anonymous: 404 }, // by its signature, if it is configured
  "POST /api/v1/feeds/vonage": { roles: null, anonymous: 404 },
  "POST /api/v1/feeds/sinch": { roles: null, anonymous: 404 },
  "POST /api/v1/emit": { roles: ["admin", "service"], body: () => ({ user: "zoe", event: "x" }) }, // or by a signature
  "POST /api/v1/login": { roles: null },
  "POST /login": { roles: null },
  "POST /api/v1/token/refresh": { roles: ROLES, refused: 403 }, // ann is no user of this server
  "GET /api/v1/users": { roles: ADMIN },
  "POST /api/v1/users": { roles: ADMIN, body: () => ({ name: "zoe", password: "correct horse battery" }) },
  "DELETE /api/v1/users/<name>": { roles: ADMIN },
  "POST /api/v1/users/<name>/disconnect": { roles: ["admin", "service"] },
};

const pair = generateKeyPairSync("ed25519");
const publicPem = pair.publicKey.export({ format: "pem", type: "spki" });
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);
const claims = (role, more) => ({ sub: "ann", role, calls: ["own", "new"], exp: now() + 3600, ...more });
function ed25519(payload, header = { alg: "EdDSA" }, key = pair.privateKey) {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${signWith(null, Buffer.from(text), key).toString("base64url")}`;
}
function hs256(payload, secret, header = { alg: "HS256" }) {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

// Each is refused with 401, whatever the role.
const BAD = {
  missing: () => undefined,
  expired: (role) => ed25519(claims(role, { exp: now() - 1 })),
  "not yet valid": (role) => ed25519(claims(role, { nbf: now() + 1000 })),
  "with other claims": (role) => ed25519(claims("nobody")).replace(/\.[^.]+\./, `.${part(claims(role))}.`),
  "by another key": (role) => ed25519(claims(role), { alg: "EdDSA" }, generateKeyPairSync("ed25519").privateKey),
  "of alg none": (role) => `${part({ alg: "none" })}.${part(claims(role))}.`,
  "of HS256 with the public key as the secret": (role) => hs256(claims(role), publicPem),
  "of HS256 with the public key's line as the secret": (role) => hs256(claims(role), publicPem.split("\n")[1]),
  "of HS256 that says EdDSA": (role) => hs256(claims(role), publicPem, { alg: "EdDSA" }),
  "of EdDSA that says HS256": (role) => ed25519(claims(role), { alg: "HS256" }),
};

let parley;
let folder;
const open = new Set();
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "parley-rights-"));
  writeFileSync(join(folder, "key.pem"), pair.privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  parley = await startParley("--jwt-algorithm", "EdDSA", "--jwt-key-file", join(folder, "key.pem"),
    "--turns-per-user-max", "1000"); // ann begins many, which is not what is looked at
});
after(async () => {
  for (const socket of open) socket.disconnect();
  await parley?.stop();
  rmSync(folder, { recursive: true });
});

const all = (role) => ed25519(claims(role, { sub: "root", calls: "*" }));
async function http(path, { token, callId = "own", chatId = "unknown", table = PATHS[path] ?? {}, body = table.body?.(callId) } = {}) {
  const [method, pattern] = path.split(" ");
  const url = pattern.replace("{call_id}", callId).replace("{chat_id}", chatId).replace("{doc_id}", DOC).replace("{phrase_id}", "1").replace("{reply_to}", "ask_x").replace("{vendor}", "deepgram").replace(/[{<]name[}>]/, "nobody") + (table.query ?? "").replace("own", callId);
  const response = await fetch(parley.url + url, { method, body: body && JSON.stringify(body),
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) } });
  await response.arrayBuffer();
  return response.status;
}
/** Calls and a document as they were. */
async function prepare() {
  await http("DELETE /api/v1/calls/{call_id}", { token: all("admin"), callId: "new" });
  for (const callId of ["own", "other"]) {
    const status = await http("POST /api/v1/calls", { token: all("feed"), callId });
    assert.ok([200, 201, 409].includes(status), `${callId}: ${status}`);
  }
}
function connect(namespace, token) {
  const socket = io(parley.url + namespace, { auth: token === undefined ? {} : { token }, forceNew: true, reconnection: false, transports: ["websocket"] });
  open.add(socket);
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", (error) => resolve({ refused: error.data?.code ?? error.message, disconnect() {} }));
  });
}
/** A chat of ann's or bob's, with a message; its id. */
async function chatOf(sub, socket) {
  const own = socket ?? await connect("/chat", ed25519(claims("user", { sub })));
  const { chat_id } = await own.timeout(PATIENCE_MS).emitWithAck("session.init", {});
  await own.timeout(PATIENCE_MS).emitWithAck("chat.message", { chat_id, id: "m0", content: "x" });
  const ended = new Promise((resolve) => { for (const event of ["chat.done", "error"]) own.once(event, resolve); });
  await Promise.race([ended, own.timeout(PATIENCE_MS).emitWithAck("signal.stop", { chat_id, ref_id: "m0" })]);
  if (!socket) own.disconnect();
  return chat_id;
}
const ask = async (socket, event, data) => {
  const answer = await socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  return answer.ok ? 200 : answer.error.code;
};

test("the tables have every event and path of the server, and no others", async () => {
  const index = await (await fetch(parley.url, { headers: { accept: "application/json" } })).json();
  assert.deepEqual([...index.events].sort(), Object.keys(EVENTS).sort());
  assert.deepEqual([...index.paths].sort(), Object.keys(PATHS).sort());
});

for (const [event, { nsp, roles, data, foreign, isChat, missing }] of Object.entries(EVENTS)) {
  test(`${event}: each role, another's call, nobody`, async () => {
    await prepare();
    for (const role of ROLES) {
      const token = ed25519(claims(role));
      const socket = await connect(nsp, token);
      if (!NAMESPACES[nsp].includes(role)) {
        assert.equal(socket.refused, 403, `${role} at ${nsp}`);
        continue;
      }
      const own = isChat ? await chatOf("ann", socket) : "own", other = isChat ? await chatOf("bob") : "other";
      if (foreign && roles.includes(role)) assert.equal(await ask(socket, event, data(other, token)), foreign === true ? 403 : foreign, `${role}, another's`);
      const code = await ask(socket, event, data(own, token));
      if (roles.includes(role)) assert.ok(code === 200 || code === 409 || code === missing, `${role}: ${code}`);
      else assert.equal(code, 403, role);
      socket.disconnect();
    }
    const nobody = await connect(nsp);
    if (nsp !== "/") assert.equal(nobody.refused, 401);
    else if (event !== "agent:connect") assert.equal(await ask(nobody, event, data("own", ed25519(claims("admin")))), 401);
    nobody.disconnect();
  });
}

for (const [path, { roles, foreign, refused, isChat, hidden = 404, anonymous = 401 }] of Object.entries(PATHS)) {
  test(`${path}: each role, another's call`, async () => {
    if (!roles) {
      assert.equal(await http(path, { body: { username: "nobody", password: "x" } }), anonymous);
      return;
    }
    for (const role of ROLES) {
      await prepare();
      const token = ed25519(claims(role));
      if (foreign) assert.equal(await http(path, { token, callId: "other" }), 403, `${role}, another's call`);
      if (isChat && roles.includes(role)) assert.equal(await http(path, { token, chatId: await chatOf("bob") }), hidden, `${role}, another's chat`);
      const status = await http(path, { token, chatId: isChat ? await chatOf("ann") : undefined });
      if (!roles.includes(role)) assert.equal(status, 403, role);
      else if (refused) assert.equal(status, refused, role);
      else assert.ok(status < 300 || status === 404 || status === 409, `${role}: ${status}`); // 404: a user that is not there
    }
  });
}

for (const [kind, make] of Object.entries(BAD)) {
  test(`a token ${kind}: refused by every path, every namespace, agent:connect and auth:refresh, whatever the role`, async () => {
    for (const role of ROLES) {
      const token = make(role);
      for (const [path, { roles }] of Object.entries(PATHS))
        if (roles) assert.equal(await http(path, { token }), 401, `${path} as ${role}`);
      assert.equal((await connect("/feed", token)).refused, 401, `/feed as ${role}`);
      if (token === undefined) continue;
      assert.equal((await connect("/", token)).refused, 401, `/ as ${role}`);
      const nobody = await connect("/");
      assert.equal(await ask(nobody, "agent:connect", { agent_id: "ann", auth_token: token }), 401, `agent:connect as ${role}`);
      const ann = await connect("/", ed25519(claims("agent")));
      assert.equal(await ask(ann, "auth:refresh", { token }), 401, `auth:refresh as ${role}`);
      for (const socket of [nobody, ann]) socket.disconnect();
    }
  });
}
