// Random conversations from the documentation itself: people of every role send every event and request, right, nearly
// right and wrong, at once. Whatever is sent, each question is answered, no answer is a 500, what arrives is as documented,
// and nobody hears of another's call or chat.
//   CONVERSATIONS_SEED=n  repeats a run     CONVERSATIONS_STEPS=n  how long it is
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Desk } from "./lib/desk.mjs";
import { problemsWith } from "./lib/schemas.mjs";

const SEED = Number(process.env.CONVERSATIONS_SEED ?? (Date.now() % 1e6));
const STEPS = Number(process.env.CONVERSATIONS_STEPS ?? 1500);

let state = SEED + 1;
function random(below) { // xorshift32
  state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
  return (state >>> 0) % below;
}
const one = (list) => list[random(list.length)];
const chance = (percent) => random(100) < percent;

const CALLS = ["c-1", "c-2", "c-3"];
const PEOPLE = {
  ann: ["--calls", "c-1"],
  ben: ["--calls", "c-2,c-3"],
  eve: ["--role", "supervisor", "--calls", "*"],
  feed: ["--role", "feed"],
  adam: ["--role", "admin", "--calls", "*"],
  una: ["--role", "user"],
  ulf: ["--role", "user"],
  svc: ["--role", "service"],
};
const MAY_HEAR = { ann: ["c-1"], ben: ["c-2", "c-3"] }; // the others of `/` hear every call
const PLACES = { ann: ["/", "/chat"], ben: ["/", "/chat"], eve: ["/", "/chat"], feed: ["/feed"], adam: ["/", "/chat"], una: ["/chat"], ulf: ["/chat"], svc: [] };

// What people know, by the name of the field it was seen in: ids of others too, so that they try them.
const known = { call_id: [...CALLS], chat_id: [], ref_id: [], reply_to: [], doc_id: [], name: [], id: ["n1"], seq: [0] };
const owners = new Map(); // chat id → who it belongs to
const learn = (value) => {
  if (Array.isArray(value)) value.slice(0, 20).forEach(learn);
  else if (value && typeof value === "object") {
    for (const [name, field] of Object.entries(value)) {
      if (name in known && (typeof field === "string" || Number.isInteger(field))) remember(name, field);
      if (name === "id" && "mode" in value) remember("reply_to", field);
      learn(field);
    }
  }
};
function remember(name, value) {
  if (known[name].includes(value)) return;
  if (known[name].push(value) > 30) known[name].splice(CALLS.length + random(20), 1); // what is new is tried as well as what is old
}
const idFor = (name) => one(chance(85) && known[name]?.length ? known[name] : one(Object.values(known).filter((list) => list.length)));
const pathFor = () => one(["/root", "/root/children", `/root/children/${idFor("id")}`, `/root/children/${idFor("id")}/children`, "/root/children/0", "", "/"]);

const WORDS = ["Where is my order?", "remind me to call Ann", "teach me about returns", "Where is my order?", "remind me tomorrow at 9 to call Ann", "teach me about returns", "add a node Boots", "stop", "card 4111 1111 1111 1111", "",
  "\u0000", "\ud83d", "é".repeat(300), "ｆｕｌｌ", "<b>&\"'", "a".repeat(5000), "__proto__", "../../etc/passwd", "%00", "'; DROP TABLE calls; --", "\u202e abc", "* OR NEAR(", "𝒳".repeat(50)];
const ODD = [null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, -(2 ** 63), "", "x", [], {}, [[[[]]]], { a: { b: { c: null } } }, new Uint8Array([0, 255])];

const odd = () => structuredClone(one(ODD)); // clients put placeholders into what they send

function valueFor(schema, name, depth = 0) {
  if (chance(4)) return odd();
  if (schema.enum) return one(schema.enum);
  switch (Array.isArray(schema.type) ? one(schema.type) : schema.type) {
    case "integer": return chance(60) ? one(known.seq) : one([0, 1, 2, 5, 100, schema.minimum ?? 0, schema.maximum ?? 7, (schema.maximum ?? 7) + 1]);
    case "number": return one([0, 1, 0.5, 12.25, -1, schema.maximum ?? 3]);
    case "boolean": return chance(50);
    case "array": return Array.from({ length: random(4) }, () => (schema.items ? valueFor(schema.items, name, depth + 1) : odd()));
    case "object": return objectFor(schema, depth + 1);
    default:
      if (name === "path" || name === "from") return pathFor();
      if (name === "auth_token" || name === "token") return one(Object.values(desk.tokens));
      if (schema.format === "id" || name in known) return idFor(name);
      return one(WORDS).slice(0, chance(90) ? schema.maxLength ?? 10000 : 10000);
  }
}

function objectFor(schema, depth = 0) {
  if (chance(3) || depth > 5) return odd();
  const made = {};
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const isRequired = schema.required?.includes(name);
    if (isRequired ? !chance(3) : chance(40)) made[name] = valueFor(field, name, depth);
  }
  if (chance(4)) made[one(WORDS).slice(0, 50)] = odd();
  return made;
}

let desk, events, routes;
const ends = new Map(); // reason → how often
const heard = []; // what was wrong, while it happens

async function join(who, where) {
  const socket = await desk.connect(who, where);
  socket.offAny(); // its log would grow
  socket.onAny((event, data) => {
    learn(data);
    for (const problem of problemsWith(event, data)) heard.push(`${who} ${where} ${problem}: ${JSON.stringify(data)}`);
    const call = data?.call_id;
    if (where === "/" && typeof call === "string" && MAY_HEAR[who] && !MAY_HEAR[who].includes(call)) heard.push(`${who} hears of ${call}: ${event}`);
    if (where === "/chat" && data?.chat_id) owned(who, data.chat_id, event);
  });
  socket.on("disconnect", (reason) => ends.set(reason, (ends.get(reason) ?? 0) + 1));
  socket.who = who;
  socket.where = where;
  return socket;
}

// The first who hears of a chat owns it. Supervisors without the claim `chats` are users like others.
function owned(who, chat, what) {
  const owner = owners.get(chat) ?? who;
  owners.set(chat, owner);
  if (owner !== who) heard.push(`${who} hears of ${owner}'s chat: ${what}`);
}

function judge(what, answer) {
  learn(answer);
  if (answer?.ok === true) return;
  const code = answer?.error?.code;
  if (answer?.ok !== false || !Number.isInteger(code) || code < 400 || code === 500 || code > 599 || typeof answer.error.message !== "string")
    heard.push(`${what}: ${JSON.stringify(answer)}`);
}

async function ask(socket) {
  const { event, schema } = chance(97) ? one(events[socket.where]) : { event: one(["nothing:like:this", "", "message", "chat.token", "call:alert"]), schema: { properties: {} } };
  const data = objectFor(schema);
  if (socket.where === "/chat" && data && chance(70)) delete data.chat_id; // mostly one's own
  const what = `${socket.who} ${socket.where} ${event} ${JSON.stringify(data)?.slice(0, 500)}`; // before the client replaces buffers in it
  let answer;
  try {
    answer = await socket.ask(event, data);
  } catch (error) {
    if (!socket.connected) return; // left, or was put out, meanwhile
    throw new Error(`${what}: ${error.message}`);
  }
  judge(what, answer);
  if (socket.where === "/chat" && event === "session.init" && answer.ok) owned(socket.who, answer.chat_id, event);
}

async function request() {
  const { method, path, schema } = one(routes);
  const who = chance(90) ? one(Object.keys(PEOPLE)) : null;
  const url = path.replaceAll(/\{([^}]*)\}/g, (_, name) => encodeURIComponent(chance(90) ? idFor(name) : one(WORDS).slice(0, 100).toWellFormed()));
  const body = method === "GET" || method === "DELETE" ? undefined : JSON.stringify(objectFor(schema ?? { properties: {} })) ?? "nonsense";
  const aborter = new AbortController();
  const response = await fetch(desk.parley.url + url, { method, body, signal: aborter.signal,
    headers: { ...(who ? { authorization: `Bearer ${desk.tokens[who]}` } : {}), ...(body === undefined ? {} : { "content-type": "application/json" }) } });
  if (response.status >= 500 && response.status !== 503 && response.status !== 501) heard.push(`${method} ${url} ${body}: ${response.status} ${await response.text()}`);
  else if ((response.headers.get("content-type") ?? "").includes("event-stream")) aborter.abort(); // who reads a little and leaves
  else {
    const text = await response.text();
    try {
      if (text !== "" && (response.headers.get("content-type") ?? "").includes("json")) learn(JSON.parse(text));
    } catch { heard.push(`${method} ${url}: ${response.status} ${response.headers.get("content-type")} ${JSON.stringify(text)}`); }
  }
}

before(async () => {
  desk = await Desk.open(PEOPLE, "--socket-events-per-second", "0", "--user-events-per-second", "0", "--address-events-per-second", "0", "--feed-events-per-second", "0");
  const { body: api } = await desk.request(null, "GET", "/asyncapi.json");
  events = Object.fromEntries(Object.entries(api.channels).map(([where, { messages }]) => [where,
    Object.keys(messages).filter((key) => key.startsWith("client.")).map((key) => ({ event: key.slice("client.".length), schema: api.components.messages[key].payload }))]));
  const { body: http } = await desk.request(null, "GET", "/openapi.json");
  routes = Object.entries(http.paths).flatMap(([path, operations]) => Object.entries(operations).map(([method, operation]) => ({
    method: method.toUpperCase(), path, schema: operation.requestBody?.content?.["application/json"]?.schema })))
    .filter(({ method, path }) => !/disconnect|\/users|\/login/.test(path) || method === "GET"); // who is removed takes part no more
});
after(() => desk?.close());

test(`random conversations (CONVERSATIONS_SEED=${SEED})`, async () => {
  const feed = await desk.connect("feed", "/feed");
  for (const call_id of CALLS) assert.equal((await feed.ask("call:start", { call_id })).ok, true);
  feed.disconnect();
  const people = await Promise.all(Object.entries(PLACES).flatMap(([who, places]) => places.flatMap((where) => [join(who, where), join(who, where)])));
  for (const socket of people.filter(({ where }) => where === "/chat")) await socket.ask("session.init", {});
  let step = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (step++ < STEPS && heard.length === 0) {
      if (chance(25)) { await request(); continue; }
      const at = random(people.length);
      if (chance(2)) { people[at].disconnect(); people[at] = await join(people[at].who, people[at].where); }
      if (people[at].connected) await ask(people[at]);
      else people[at] = await join(people[at].who, people[at].where);
    }
  }));
  assert.deepEqual(heard, []);
  assert.equal((await desk.request(null, "GET", "/health")).status, 200);
  for (const socket of people) socket.disconnect();
  assert.deepEqual([...ends.keys()].filter((reason) => !/^io (client|server) disconnect$/.test(reason)), [], "why sockets ended");
});
