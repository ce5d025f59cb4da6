// POST /api/v1/emit: services speak to rooms, users, sockets and plain WebSockets of every process; tokens, signatures, replays.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { Desk } from "./lib/desk.mjs";
import { Plain } from "./lib/plain.mjs";
import { startRedis } from "./lib/redis.mjs";

const key = Buffer.alloc(24, 7), secret = `whsec_${key.toString("base64")}`;
let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"], ben: ["--calls", "*"], sue: ["--role", "supervisor"], crm: ["--role", "service"], root: ["--role", "admin"] },
    "--workers", "2", "--emit-secret", secret);
});
after(async () => {
  for (const socket of desk?.open ?? []) socket.disconnect();
  await desk?.close();
});

const emit = (who, body) => desk.request(who, "POST", "/api/v1/emit", body);
const webSocket = { transports: ["websocket"] };

test("a room, a user and a socket get the event, in whichever process they are", async () => {
  await desk.call("e1");
  const anns = await Promise.all(Array.from({ length: 6 }, () => desk.connect("ann", "/", webSocket)));
  const ben = await desk.connect("ben", "/", webSocket);
  assert.equal((await ben.ask("call:subscribe", { call_id: "e1" })).ok, true);
  const all = [...anns, ben];
  assert.deepEqual((await emit("crm", { user: "ann", event: "crm:open", data: { id: 7, text: "ü" } })).body, { ok: true });
  await until(() => anns.every((ann) => ann.seen("crm:open").length === 1), "all of ann's sockets");
  assert.deepEqual([anns[0].seen("crm:open"), ben.seen("crm:open")], [[{ id: 7, text: "ü" }], []]);
  assert.equal((await emit("crm", { room: "call:e1", event: "crm:note", data: [1, "two"] })).status, 200);
  assert.equal((await emit("root", { session: anns[3].id, event: "crm:one" })).status, 200);
  await until(() => ben.seen("crm:note").length && anns[3].seen("crm:one").length, "the room and the socket");
  assert.deepEqual(ben.seen("crm:note"), [[1, "two"]]);
  assert.deepEqual(all.map((one) => one.seen("crm:one").length), [0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(anns.map((one) => one.seen("crm:note").length), [0, 0, 0, 0, 0, 0]);
});

test("others are refused, and what names no target, several, or a reserved event", async () => {
  const good = { user: "ann", event: "x" };
  for (const [who, status] of [[null, 401], ["ann", 403], ["sue", 403], ["feed", 403]]) assert.equal((await emit(who, good)).status, status);
  const wrong = [[{ event: "x" }, "/room"], [{ user: "a", room: "b", event: "x" }, "/room"], [{ user: "a" }, "/event"], [{ user: "a", event: "disconnect" }, "/event"], [{ user: 1, event: "x" }, "/user"]];
  for (const [body, field] of wrong) {
    const answer = await emit("crm", body);
    assert.deepEqual([answer.status, answer.body.error.field], [400, field], JSON.stringify(body));
  }
  assert.equal((await emit("crm", { ...good, namespace: "/nowhere" })).status, 404);
  for (const body of ["{", "[]", "7"]) assert.equal((await emit("crm", body)).status, 400, body);
});

const sign = (id, at, body, with_ = key) => `v1,${createHmac("sha256", with_).update(`${id}.${at}.${body}`).digest("base64")}`;
const post = (body, { id = `msg_${Math.random()}`, at = Math.floor(Date.now() / 1000), signature = sign(id, at, body), drop } = {}) => {
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": signature };
  delete headers[drop];
  return fetch(`${desk.parley.url}/api/v1/emit`, { method: "POST", headers, body });
};

test("a signed request is taken once, by whichever process", async () => {
  const ann = await desk.connect("ann", "/", webSocket);
  const body = JSON.stringify({ user: "ann", event: "signed", data: 1 });
  const id = "msg_1", at = Math.floor(Date.now() / 1000);
  assert.equal((await post(body, { id, at })).status, 200);
  for (let i = 0; i < 6; i++) assert.equal((await post(body, { id, at })).status, 409);
  assert.equal((await post(body, { signature: undefined })).status, 200);
  const other = "msg_2";
  assert.equal((await post(body, { id: other, at, signature: `v1,AAAA v1a,x ${sign(other, at, body)}` })).status, 200, "one of several fits");
  await until(() => ann.seen("signed").length === 3, "three events");
});

test("other keys, bodies, ids, times and missing fields are refused", async () => {
  const body = JSON.stringify({ user: "ann", event: "x" });
  const now = Math.floor(Date.now() / 1000);
  for (const bad of [
    { signature: sign("i", now, body, Buffer.alloc(24, 8)), id: "i", at: now },
    { signature: sign("i", now, `${body} `), id: "i", at: now },
    { signature: sign("j", now, body), id: "i", at: now },
    { signature: "v1,", id: "i", at: now }, { signature: "", id: "i", at: now },
    { at: now - 301 }, { at: now + 360 }, { at: "soon" },
    { drop: "webhook-id" }, { drop: "webhook-timestamp" }, { drop: "webhook-signature" },
  ]) assert.equal((await post(body, bad)).status, 401, JSON.stringify(bad));
});

/* -------------------------------------------------------- plain WebSockets */

const CHATTERS = { ann: ["--role", "user"], bob: ["--role", "user"], sue: ["--role", "supervisor"], crm: ["--role", "service"] };

/** What a service says at `from` to plain WebSockets of all `servers`, one Desk each. */
async function plainWebSocketsGet(servers, from) {
  const open = [];
  const connect = async (who, path, at = servers[0]) => {
    const one = new Plain(at.parley.url, `${path}${path.includes("?") ? "&" : "?"}token=${servers[0].tokens[who]}`);
    open.push(one);
    return one.ready;
  };
  const say = async (body) => assert.deepEqual((await from.request("crm", "POST", "/api/v1/emit", body)).body, { ok: true });
  const data = { id: 7, text: "ü" };
  try {
    // Enough that each process has some of them.
    const anns = await Promise.all(Array.from({ length: 6 }, (_, i) => connect("ann", "/ws/room-1?dialect=typed", servers[i % servers.length])));
    const other = await connect("bob", "/ws/room-2?dialect=typed"), teaching = await connect("bob", "/ws/room-1?dialect=teaching"), first = await connect("ann", "/ws/room-1");
    const tree = await connect("bob", "/ws/session"), onlyTree = await connect("bob", "/ws/tree"), widget = await connect("bob", "/api/v1/chat/ws/chat");
    const readies = await Promise.all([...anns, other].map((one) => one.untilType("session.ready")));
    tree.send({ type: "init_session", data: {} });
    const { data: { session_id: treeSession } } = await tree.untilType("session_ready");
    onlyTree.send({ type: "init_session", data: {}, session_id: treeSession });
    await onlyTree.untilType("session_ready");
    widget.send({ type: "message", message: "Hello" });
    const { session_id: widgetSession } = await widget.untilType("response");
    const sockets = [];
    for (let i = 0, chat_id; i < 4; i++) { // of Socket.IO, in one chat of ann's
      const client = new ChatClient(servers[i % servers.length].parley.url, servers[0].tokens.ann);
      sockets.push({ of: (name) => client.aside.filter(({ event }) => event === name), close: () => client.close() });
      open.push(sockets.at(-1));
      await client.ready;
      const ready = await client.open(chat_id ? { chat_id } : {});
      chat_id = ready.chat_id;
      sockets.session = ready.session_id;
    }
    const everybody = [...anns, first, teaching, tree, widget, onlyTree, other, ...sockets];
    const of = (name) => everybody.map((one) => one.of(name).length);
    const reach = async (name, target, whom) => {
      await say({ ...target, event: name, data });
      const wanted = everybody.map((one) => (whom.includes(one) ? 1 : 0));
      await until(() => of(name).every((count, i) => count >= wanted[i]), () => `${name}: ${of(name)}`);
      return () => assert.deepEqual(of(name), wanted, name);
    };
    const { session_id } = readies[0].content;
    const checks = [
      await reach("by:path", { session: "room-1" }, [...anns, first, teaching]),
      await reach("by:session", { session: session_id }, [...anns, first]),
      await reach("by:tree", { session: treeSession }, [tree]),
      await reach("by:widget", { session: widgetSession }, [widget]),
      await reach("by:sockets'", { session: sockets.session }, sockets),
      await reach("by:sockets' in it", { session: sockets.session, namespace: "/chat" }, sockets),
      await reach("by:user", { user: "ann" }, [...anns, first]),
      await reach("by:chat", { room: `chat:${treeSession}`, namespace: "/chat" }, [tree]),
      await reach("nobody's", { session: "room-3" }, []),
      await reach("a feed's", { user: "ann", namespace: "/feed" }, []),
      await reach("last", { user: "ann" }, [...anns, first]),
      await reach("last of bob's", { user: "bob" }, [teaching, tree, widget, other]),
      await reach("last of the sockets'", { session: sockets.session }, sockets),
    ];
    for (const check of checks) check(); // what was said last has arrived, so all before it has
    assert.deepEqual(anns[0].of("by:path"), [{ type: "by:path", content: data }]);
    const [told] = teaching.of("by:path");
    assert.deepEqual({ ...told, timestamp: 0 }, { type: "by:path", content: data, timestamp: 0 });
    assert.deepEqual(tree.of("by:tree")[0].data, data);
    const name = '"'.repeat(128);
    await say({ session: "room-1", event: name });
    assert.deepEqual(await anns[5].untilType(name), { type: name, content: null });
  } finally {
    for (const one of open) one.close();
  }
}

for (const [name, options] of [["one process", []], ["two processes", ["--workers", "2"]]]) {
  test(`plain WebSockets and sockets of the assistant get what is emitted to their session, their user and their chat: ${name}`, async (t) => {
    const chats = await Desk.open(CHATTERS, ...options);
    t.after(() => chats.close());
    await plainWebSocketsGet([chats], chats);
  });
}

test("plain WebSockets of another server get it over Redis", async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const one = await Desk.open(CHATTERS, "--redis", redis.url);
  t.after(() => one.close());
  const two = await Desk.open({}, "--redis", redis.url, "--data", one.parley.data);
  t.after(() => two.close());
  two.tokens = one.tokens;
  const health = async ({ parley }) => (await fetch(`${parley.url}/health`)).json();
  await until(async () => (await Promise.all([one, two].map(health))).every(({ redis: state }) => state === "ok"), "Redis");
  await plainWebSocketsGet([one, two], two);
});

test("a plain WebSocket gets nothing of a chat that it has left, or may not watch any more", async (t) => {
  const chats = await Desk.open(CHATTERS);
  t.after(() => chats.close());
  const ann = new Plain(chats.parley.url, `/ws/chat?token=${chats.tokens.ann}`);
  t.after(() => ann.close());
  await ann.ready;
  const begin = async () => {
    const from = ann.log.length;
    ann.send({ type: "init_session", data: {} });
    return (await ann.untilType("session_ready", from)).data.session_id;
  };
  const first = await begin(), second = await begin();
  assert.notEqual(first, second);
  for (const session of [first, second]) for (const target of [{ session }, { room: `chat:${session}`, namespace: "/chat" }]) {
    assert.equal((await chats.request("crm", "POST", "/api/v1/emit", { ...target, event: "note", data: { session } })).status, 200);
  }
  await until(() => ann.of("note").length >= 2, "both of the second");
  assert.deepEqual(ann.of("note").map(({ data }) => data.session), [second, second]);
  const watched = new ChatClient(chats.parley.url, chats.tokens.ann);
  t.after(() => watched.close());
  await watched.ready;
  await watched.open({ chat_id: second });
  await watched.must("chat.delete", { chat_id: second });
  await ann.until("the end of the chat", ({ error }) => error?.code === 404);
  assert.equal((await chats.request("crm", "POST", "/api/v1/emit", { session: second, event: "late" })).status, 200);
  assert.equal((await chats.request("crm", "POST", "/api/v1/emit", { user: "ann", event: "last" })).status, 200);
  await ann.untilType("last");
  assert.deepEqual(ann.of("late"), []);
});
