// `parley expand-documents`: a model writes how customers would ask for each document; people see, change and delete it.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParleyWith } = await import("../browser/server.mjs");

const DOCUMENTS = `# Remuneration

Employees are remunerated on the last working day.

# Perimeter

The perimeter closes at ten. Visitors leave by the northern gate.

# Sanitation

Requests concerning sanitation go to the facility desk.
`;
const PHRASES = {
  Remuneration: ["when do I get paid", "my salary is late", "When do I get PAID", "  where \n is  my money ", "ok", 5, "x".repeat(400)],
  Perimeter: ["is the door locked at night"],
  Sanitation: ["the toilet is broken"],
};
let folder, file, model, script, parley;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "parley-expand-"));
  file = join(folder, "house.md");
  writeFileSync(file, DOCUMENTS);
  model = await startModel((messages) => script(messages));
  parley = await startParleyWith(file);
});
after(async () => {
  await parley?.stop();
  model?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const token = (role) => sign(keyOf(parley), { sub: role, role, calls: "*", exp: now() + 3600 });
async function http(path, { role = "supervisor", method = "GET", body } = {}) {
  const response = await fetch(parley.url + path, { method, headers: { authorization: `Bearer ${token(role)}`, ...(body && { "content-type": "application/json" }) }, body: body && JSON.stringify(body) });
  return { status: response.status, ...(await response.json()) };
}
const find = async (text) => (await http(`/api/v1/search?q=${encodeURIComponent(text)}`)).documents[0]?.title;
const ids = async () => Object.fromEntries((await http("/api/v1/documents")).documents.map(({ id, title }) => [title, id]));
const phrases = async (id) => (await http(`/api/v1/documents/${id}`)).document.phrases;
const titleOf = (messages) => /^Title: (.*)$/m.exec(messages.at(-1).content)[1];
const answers = (messages) => [`Here they are:\n\`\`\`json\n${JSON.stringify(PHRASES[titleOf(messages)])}\n\`\`\``];
const expand = (...options) => runParley("expand-documents", "--data", parley.data, ...model.options, ...options);
const asked = () => model.requests.splice(0).map(({ messages }) => titleOf(messages)).sort();

test("without a model there is nobody to ask", async () => {
  const { code, stderr } = await runParley("expand-documents", "--data", parley.data);
  assert.equal(code, 2);
  assert.match(stderr, /option models_file/);
  const named = await expand("--model", "other");
  assert.equal(named.code, 2);
  assert.match(named.stderr, /--model names/);
});

test("an answer that is no list fails its document alone, and is asked for again by the next run", async () => {
  script = (messages) => (titleOf(messages) === "Perimeter" ? ["I would rather not."] : answers(messages));
  const { code, stdout, stderr } = await expand();
  const { Perimeter } = await ids();
  assert.deepEqual([code, stderr], [1, `parley: ${Perimeter}: the model's answer is not a list of phrases\n`]);
  assert.match(stdout, /\n2 documents, 4 phrases\n$/);
  assert.deepEqual(asked(), ["Perimeter", "Remuneration", "Sanitation"]);
  script = answers;
  const again = await expand();
  assert.deepEqual([again.code, again.stdout], [0, `${Perimeter}: 1 phrase\n1 document, 1 phrase\n`]);
  assert.deepEqual(asked(), ["Perimeter"]);
  assert.deepEqual([await expand().then(({ stdout }) => stdout), asked()], ["no document has changed since; --again asks for all of them\n", []]);
});

test("a running server finds documents by their phrases, which are shown with them: lines of their own, none twice", async () => {
  const { Remuneration } = await ids();
  assert.deepEqual((await phrases(Remuneration)).map(({ text, by }) => [text, by]), [["when do I get paid", "model"], ["my salary is late", "model"], ["where is my money", "model"]]);
  await until(async () => (await find("the toilet is broken again")) === "Sanitation", "the phrase");
});

test("people add, change and delete phrases; agents read them", async () => {
  const { Perimeter } = await ids();
  const path = `/api/v1/documents/${Perimeter}/phrases`;
  const { status, phrase_id } = await http(path, { method: "POST", body: { text: "I cannot leave the building" } });
  assert.equal(status, 201);
  assert.deepEqual((await phrases(Perimeter)).at(-1), { id: phrase_id, text: "I cannot leave the building", by: "person" });
  await until(async () => (await find("I cannot leave the building")) === "Perimeter", "the phrase");
  const [first] = await phrases(Perimeter);
  assert.equal((await http(`${path}/${first.id}`, { method: "POST", body: { text: "is the entrance locked" } })).status, 200);
  assert.deepEqual((await phrases(Perimeter))[0], { id: first.id, text: "is the entrance locked", by: "person" });
  assert.equal((await http(`${path}/${phrase_id}`, { method: "DELETE" })).status, 200);
  assert.deepEqual((await phrases(Perimeter)).map(({ text }) => text), ["is the entrance locked"]);
  assert.equal((await http(`/api/v1/documents/${Perimeter}`, { role: "agent" })).document.phrases.length, 1);

  const refused = async (where, options) => (await http(where, { method: "POST", body: { text: "x" }, ...options })).error;
  assert.equal((await refused(path, { role: "agent" })).code, 403);
  assert.deepEqual([(await refused(path, { body: { text: "is the entrance locked" } })).code, (await refused(path, { body: {} })).field], [409, "/text"]);
  assert.equal((await refused(path, { body: { text: "x".repeat(301) } })).field, "/text");
  assert.equal((await refused("/api/v1/documents/nowhere/phrases")).code, 404);
  for (const id of [phrase_id, "0", "x", "99999999999999999999"]) {
    assert.equal((await refused(`${path}/${id}`)).code, 404, id);
    assert.equal((await refused(`${path}/${id}`, { method: "DELETE", body: undefined })).code, 404, id);
  }
});

test("a document that changed is asked about again; what people wrote stays", async () => {
  asked();
  const { Perimeter } = await ids();
  script = () => ['["a new one", "is the entrance locked"]'];
  assert.equal((await http(`/api/v1/documents/${Perimeter}`, { method: "POST", body: { text: "The perimeter closes at eleven." } })).status, 200);
  assert.match((await expand()).stdout, /^1 document, 2 phrases$/m);
  assert.deepEqual(asked(), ["Perimeter"]);
  assert.deepEqual((await phrases(Perimeter)).map(({ text, by }) => [text, by]), [["is the entrance locked", "person"], ["a new one", "model"]]);
  assert.equal((await expand("--again", "--model", "scripted")).code, 0);
  assert.deepEqual(asked(), ["Perimeter", "Remuneration", "Sanitation"]);
  assert.deepEqual((await phrases(Perimeter)).map(({ text }) => text), ["is the entrance locked", "a new one"]);
});

test("a model that fails is not asked for ever", async () => {
  script = () => [{ status: 401 }];
  const { code, stderr } = await expand("--again");
  assert.equal(code, 1);
  assert.match(stderr, /3 failures in a row; run expand-documents again to go on/);
});
