// Who may read an article because an answer quoted it: those of the chat, that article, as long as both are there.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const OTHER = "account-access.recover-password"; // in the knowledge base, and no source of these chats
const ROOTS = ["/api/v1/chats", "/api/v1/chat/sessions"];

let model, parley;
const clients = [];
before(async () => {
  // Searches for what the user says, unless that is JSON, and then answers.
  model = await startModel((messages) => (messages.at(-1).role === "tool" || messages.at(-1).content[0] === "{" ? ["As the articles say."] : [{ call: "search_knowledge", args: { query: messages.at(-1).content } }]));
  parley = await startParley(...model.options);
});
after(async () => {
  await parley?.stop();
  model?.stop();
});
afterEach(() => { for (const client of clients.splice(0)) client.close(); });

const token = (sub, role = "user", more = {}) => sign(keyOf(parley), { sub, role, exp: now() + 3600, ...more });
async function http(method, path, bearer) {
  const response = await fetch(parley.url + path, { method, headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });
  return { status: response.status, json: await response.json().catch(() => null) };
}
const read = (chatId, docId, bearer, root = ROOTS[0]) => http("GET", `${root}/${chatId}/sources/${encodeURIComponent(docId)}`, bearer);

/** A user whose question was answered; with the ids of the sources. bearer undefined: a guest. */
async function asks(bearer, question = "I want a refund for my order") {
  const client = new ChatClient(parley.url, bearer);
  clients.push(client);
  await (await client.ready).open();
  await client.say("m1", question);
  return { client, chatId: client.chatId, ids: client.of("chat.source").map(({ doc_id }) => doc_id) };
}

test("a source of an own chat is read as a whole, by either name of the route", async () => {
  const { chatId, ids } = await asks(token("ann"));
  assert.ok(ids.length > 1 && !ids.includes(OTHER), ids.join());
  for (const id of ids) for (const root of ROOTS) {
    const { status, json } = await read(chatId, id, token("ann"), root);
    assert.equal(status, 200, JSON.stringify(json));
    const whole = (await http("GET", `/api/v1/documents/${id}`, token("kim", "agent"))).json.document;
    assert.deepEqual(json, { ok: true, document: { id: whole.id, title: whole.title, topic: whole.topic, text: whole.text } });
  }
  assert.equal((await http("GET", `/api/v1/documents/${ids[0]}`, token("ann"))).status, 403, "and not otherwise");
});

test("a document that no answer of the chat names is 404, as one that does not exist", async () => {
  const { client, chatId } = await asks(token("ann"));
  await client.must("tree.edit", { delta: { action: "add", path: "/root/children", node: { id: "n", value: "x", doc_id: OTHER } } });
  await client.say("m2", JSON.stringify({ doc_id: OTHER, title: "x", excerpt: "x" }));
  const sources = client.of("chat.source").map(({ doc_id }) => doc_id);
  assert.ok(sources.length > 1 && !sources.includes(OTHER), sources.join());
  assert.equal((await http("GET", `/api/v1/documents/${OTHER}`, token("kim", "agent"))).status, 200);
  const refused = await read(chatId, OTHER, token("ann"));
  assert.equal(refused.status, 404);
  assert.deepEqual(refused.json, (await read(chatId, "nothing-has-this-id", token("ann"))).json);
});

test("another's chat is 404, also for who has the same source, of this tenant or another", async () => {
  const ann = await asks(token("ann")), bob = await asks(token("bob"));
  assert.ok(bob.ids.includes(ann.ids[0]));
  for (const bearer of [token("bob"), token("kim", "agent"), token("ann", "user", { tenant: "b" }), token("sue", "supervisor"), token("sue", "supervisor", { chats: [bob.chatId] }), undefined]) {
    const { status, json } = await read(ann.chatId, ann.ids[0], bearer);
    assert.deepEqual([status, json.error.message], [404, "chat not found"]);
  }
  assert.equal((await read(ann.chatId, ann.ids[0], token("sue", "supervisor", { chats: [ann.chatId] }))).status, 200, "who may watch it");
  for (const role of ["feed", "service"]) assert.equal((await read(ann.chatId, ann.ids[0], token("ann", role))).status, 403, role);
});

test("a guest reads the sources of the guest's chats", async () => {
  const { chatId, ids } = await asks(undefined);
  assert.equal((await read(chatId, ids[0])).status, 200);
  assert.equal((await read(chatId, OTHER)).status, 404);
});

test("a token that has ended is 401", async () => {
  const { chatId, ids } = await asks(token("ann"));
  assert.equal((await read(chatId, ids[0], token("ann", "user", { exp: now() - 1 }))).status, 401);
});

test("an article that was deleted, and one of a chat that was, are 404", async () => {
  const { chatId, ids: [first, second] } = await asks(token("ann"));
  assert.equal((await http("DELETE", `/api/v1/documents/${first}`, token("root", "admin"))).status, 200);
  assert.deepEqual([(await read(chatId, first, token("ann"))).status, (await read(chatId, second, token("ann"))).status], [404, 200]);
  assert.equal((await http("DELETE", `/api/v1/chats/${chatId}`, token("ann"))).status, 200);
  assert.equal((await read(chatId, second, token("ann"))).status, 404);
});
