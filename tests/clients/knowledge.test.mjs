// The knowledge base as people use it: searching by hand, reading, writing, and what was learned.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { assertError, Desk } from "./lib/desk.mjs";
const { runParley } = await import("../browser/server.mjs");

let desk;
before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"], cat: ["--calls", "cats"], sue: ["--role", "supervisor"], root: ["--role", "admin"] });
});
afterEach(() => desk.leave());
after(() => desk?.close());

const document = (who, id) => desk.request(who, "GET", `/api/v1/documents/${id}`);

test("an agent searches by hand, over a socket and over HTTP", async () => {
  await desk.call("k1");
  const ann = await desk.connect("ann");
  const { ok, documents } = await ann.ask("kb:search", { query: "return because of the wrong size", call_id: "k1" });
  assert.equal(ok, true);
  assert.equal(documents[0].id, "product-defect.return-due-to-size");
  assert.ok(documents.length <= 5 && documents[0].relevance > 0 && documents[0].excerpt && documents[0].why.length);
  assert.equal((await ann.ask("kb:search", { query: "return because of the wrong size", limit: 1 })).documents.length, 1);
  const http = await desk.request("ann", "GET", "/api/v1/search?q=return+because+of+the+wrong+size");
  assert.deepEqual([http.status, http.body.documents[0].id], [200, documents[0].id]);
  assert.deepEqual((await ann.ask("kb:search", { query: "zyzzyva" })).documents, []);
});

test("a search is refused without a question, for a call that is another's, and to feeds", async () => {
  await desk.call("k2");
  const cat = await desk.connect("cat");
  assertError(await cat.ask("kb:search", { query: "x", call_id: "k2" }), 403, "/call_id");
  assertError(await cat.ask("kb:search", {}), 400, "/query");
  assertError(await cat.ask("kb:search", { query: "" }), 400, "/query");
  for (const [who, status] of [[null, 401], ["feed", 403]]) assert.equal((await desk.request(who, "GET", "/api/v1/search?q=x")).status, status);
  assert.equal((await desk.request("cat", "GET", "/api/v1/search?q=x&call_id=k2")).status, 403);
  const bytes = await desk.request("ann", "GET", "/api/v1/search?q=%ff");
  assert.deepEqual([bytes.status, bytes.body.error.field, bytes.body.error.message], [400, "/q", "must be UTF-8"]);
});

test("documents are listed in pages and read with what was learned", async () => {
  const seen = [];
  for (let before = ""; before !== undefined;) {
    const { body } = await desk.request("ann", "GET", `/api/v1/documents?limit=20${before && `&before=${before}`}`);
    assert.equal(body.ok, true);
    assert.ok(body.documents.length <= 20);
    seen.push(...body.documents.map(({ id }) => id));
    before = body.next;
  }
  assert.equal(new Set(seen).size, seen.length);
  assert.ok(seen.length > 40);

  const feed = await desk.call("k3");
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "k3" });
  await feed.say("I got the wrong size, I want to return it");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  const doc_id = ann.seen("ai:suggestion")[0].documents[0].id;
  const before = (await document("ann", doc_id)).body.document;
  assert.ok(before.shown >= 1 && before.title && before.text && before.topic && before.source);
  await ann.ask("doc:feedback", { call_id: "k3", doc_id, helpful: true });
  const { learned, ...now } = (await document("ann", doc_id)).body.document;
  assert.deepEqual([now.helpful, now.unhelpful, now.learned_calls], [before.helpful + 1, 0, 1]);
  assert.ok(learned.some(({ kind, text, calls }) => kind === "word" && text === "size" && calls === 1), JSON.stringify(learned));
  assert.equal((await document("ann", "none")).status, 404);
});

test("ten thousand documents are listed in pages, each once, and chosen by words; no answer is large, and none stalls the loop", async () => {
  const own = await Desk.open({ sue: ["--role", "supervisor"] });
  try {
    const file = join(own.parley.data, "many.md");
    writeFileSync(file, Array.from({ length: 10000 }, (_, i) => `# Artikel Überprüfung ${i}\n\nText ${i}.\n`).join("\n"));
    await runParley("import-documents", "--data", own.parley.data, file);
    const list = async (query) => (await own.request("sue", "GET", `/api/v1/documents?${new URLSearchParams(query)}`)).body;
    const seen = new Set();
    let count = 0;
    for (let before; ;) {
      const page = await list({ ...(before && { before }) });
      assert.ok(page.documents.length <= 200 && JSON.stringify(page).length < 100000);
      page.documents.forEach(({ id }) => seen.add(id));
      count += page.documents.length;
      before = page.next;
      if (!before) break;
    }
    assert.ok(count >= 10000);
    assert.equal(seen.size, count);
    const titles = ({ documents }) => documents.map(({ title }) => title);
    assert.deepEqual(titles(await list({ query: "überprüfung 7777" })), ["Artikel Überprüfung 7777"]);
    assert.equal((await list({ query: "überprüfung 7777", limit: 1 })).next, undefined, "a page that is full is the last if nothing fits behind it");
    // The page is full with the last of the thousand documents that are read at a time, and the next one begins with the first behind them.
    const before = String(Number((await list({ limit: 1 })).next) - 7000), edge = await list({ query: "artikel 1", limit: 1, before });
    assert.deepEqual(titles(await list({ limit: 1, before })), ["Artikel Überprüfung 2998"]);
    assert.deepEqual([titles(edge), titles(await list({ query: "artikel 1", limit: 1, before: edge.next }))], [["Artikel Überprüfung 1999"], ["Artikel Überprüfung 1998"]]);
    assert.deepEqual(titles(await list({ query: "ÜBERPR 0" })), ["Artikel Überprüfung 0"]);
    assert.deepEqual(await list({ query: "zyzzyva" }).then(({ documents, next }) => [documents, next]), [[], undefined]);
    // "1", and what begins so, in pages of their own; what stands within a word does not count.
    const ones = [];
    for (let before; ;) {
      const page = await list({ query: "artikel 1", limit: 150, ...(before && { before }) });
      ones.push(...titles(page));
      before = page.next;
      if (!before) break;
    }
    assert.deepEqual([ones.length, new Set(ones).size], [1111, 1111]);
    assert.deepEqual(titles(await list({ query: "rtikel 7777" })), []);
    assert.equal((await own.request("sue", "GET", `/api/v1/documents?query=${"x".repeat(201)}`)).body.error.field, "/query");
  } finally {
    await own.close();
  }
});

test("a supervisor writes, changes and deletes a document; the search follows", async () => {
  const ann = await desk.connect("ann");
  const made = await desk.request("sue", "POST", "/api/v1/documents", { title: "Flux capacitor", text: "Ask for the serial number of the flux capacitor." });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { doc_id } = made.body;
  // A large index is built anew after a while, so that imports do not slow it down.
  const find = async (query, wanted) => until(async () => {
    const found = (await ann.ask("kb:search", { query })).documents.map(({ id }) => id);
    return wanted.length ? found[0] === wanted[0] : !found.includes(doc_id);
  }, `${query}: ${wanted}`);
  await find("my flux capacitor", [doc_id]);
  const other = await desk.request("root", "POST", "/api/v1/documents", { title: "Flux capacitor", text: "x" });
  assert.notEqual(other.body.doc_id, doc_id);
  assert.equal((await desk.request("root", "DELETE", `/api/v1/documents/${other.body.doc_id}`)).status, 200);
  assert.equal((await desk.request("sue", "POST", `/api/v1/documents/${doc_id}`, { text: "Ask for the oscillation overthruster." })).status, 200);
  await find("the oscillation overthruster", [doc_id]);
  const { document: read } = (await document("ann", doc_id)).body;
  assert.deepEqual([read.title, read.text], ["Flux capacitor", "Ask for the oscillation overthruster."]);
  assert.equal((await desk.request("sue", "DELETE", `/api/v1/documents/${doc_id}`)).status, 200);
  await find("the oscillation overthruster", []);
  assert.equal((await document("ann", doc_id)).status, 404);
});

test("writing is refused to agents and feeds, and without what is needed", async () => {
  for (const [who, status] of [[null, 401], ["feed", 403], ["ann", 403]]) {
    assert.equal((await desk.request(who, "POST", "/api/v1/documents", { title: "a", text: "b" })).status, status);
    assert.equal((await desk.request(who, "DELETE", "/api/v1/documents/product-defect.return-due-to-size")).status, status);
  }
  assert.equal((await desk.request("sue", "POST", "/api/v1/documents", { title: "a" })).body.error.field, "/text");
  assert.equal((await desk.request("sue", "POST", "/api/v1/documents", { title: 1, text: "b" })).body.error.field, "/title");
  assert.equal((await desk.request("sue", "POST", "/api/v1/documents/none", { text: "b" })).status, 404);
  assert.equal((await desk.request("feed", "GET", "/api/v1/documents")).status, 403);
  assert.equal((await desk.request("ann", "GET", "/api/v1/documents?before=x")).body.error.field, "/before");
});
