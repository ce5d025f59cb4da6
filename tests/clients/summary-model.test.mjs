// Summaries by a model: a scripted one writes, fails, takes too long or says what is no summary.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";
import { gate, startModel } from "./lib/model.mjs";

const people = { feed: ["--role", "feed"], ann: ["--calls", "*"], ben: ["--calls", "*"] };
const written = { need: "A return of the jacket.", done: ["Label sent."], open: ["Call back tomorrow."] };
let desk, model;
afterEach(async () => { desk?.leave(); await desk?.close(); model?.stop(); desk = model = undefined; });

const openWith = async (script, ...options) => {
  model = await startModel(script);
  desk = await Desk.open(people, ...model.options, "--models-retries", "0", ...options);
};
const open = (script, ...options) => openWith(script, "--summary-model", "auto", ...options);
const texts = ({ sections }) => Object.fromEntries(sections.map(({ title, text }) => [title, text]));
const metric = async (name) => Number(new RegExp(`^parley_${name.replace(/[{}"]/g, "\\$&")} (\\d+)`, "m").exec(await (await fetch(`${desk.parley.url}/metrics`)).text())?.[1]);
const ask = (who, id) => desk.request(who, "POST", `/api/v1/calls/${id}/summary`);

async function say(id, ...lines) {
  const feed = await desk.call(id);
  for (const [speaker, text] of lines) await feed.say(text, { speaker });
  return feed;
}
const talk = [["customer", "I got the wrong size and want to return my jacket."], ["agent", "I've sent the label. I will call you back tomorrow."]];

test("a call that ends is summed up by the model: what it is asked, what is stored, redacted both ways", async () => {
  const secret = "4111 1111 1111 1111";
  await open(() => [JSON.stringify({ ...written, done: [`Refunded to ${secret}.`] })]);
  const feed = await say("m1", ...talk, ["customer", `my card is ${secret}`]);
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "m1" });
  await feed.ask("call:end", { call_id: "m1" });
  await until(() => ann.seen("call:summary").length, "the summary");
  const [summary] = ann.seen("call:summary");
  assert.equal(summary.by, "model");
  assert.deepEqual(texts(summary), { Need: written.need, Done: "Refunded to [card].", Open: written.open[0] });
  assert.deepEqual((await ann.ask("call:subscribe", { call_id: "m1" })).summary, summary);
  assert.ok(summary.seq > ann.seen("call:status").at(-1).seq);
  const [{ messages }] = model.requests;
  assert.deepEqual(messages.map(({ role }) => role), ["system", "user"]);
  assert.match(messages[1].content, /customer: I got the wrong size.*\nagent: I've sent the label.*\ncustomer: my card is \[card\]/);
  for (const name of readdirSync(desk.parley.data)) assert.ok(!readFileSync(join(desk.parley.data, name), "latin1").includes(secret), name);
  assert.deepEqual([await metric("summaries_total"), await metric("summaries_by_model_total"), await metric("summaries_model_failed_total")], [1, 1, 0]);
  const asked = await ask("ann", "m1");
  assert.deepEqual([asked.status, asked.body.summary.by], [200, "model"]);
});

test("whatever a model does instead, the summary comes, by the server's own rules", async () => {
  const answers = [[{ status: 500 }], ["I'd rather not."], ["{\"need\":"], ["{\"need\":\"a\"", { cut: true }], [JSON.stringify({ need: "x".repeat(5000) })], [{ call: "run", args: {} }]];
  await open(([, { content }]) => answers[Number(/case (\d)/.exec(content)[1])]);
  const count = answers.length;
  const ann = await desk.connect("ann");
  for (let i = 0; i < count; i++) {
    const feed = await say(`f${i}`, ["customer", `This is about case ${i}, please.`], talk[1]);
    await ann.ask("call:subscribe", { call_id: `f${i}` });
    await feed.ask("call:end", { call_id: `f${i}` });
    await until(() => ann.seen("call:summary").length === i + 1, `summary ${i}`);
    const summary = ann.seen("call:summary")[i];
    assert.deepEqual([summary.by, texts(summary).Open], ["local", "I will call you back tomorrow."], `answer ${i}`);
  }
  assert.equal(await metric("summaries_model_failed_total"), count);
});

test("a model that takes too long is not waited for, and its request ends", async () => {
  const never = gate();
  await open(() => [{ wait: never.promise }], "--summary-timeout-ms", "200");
  await say("t1", ...talk);
  const { status, body } = await ask("ann", "t1");
  assert.deepEqual([status, body.summary.by], [200, "local"]);
  await until(() => model.cancelled === 1, "the end of the request");
  never.open();
});

test("one user's summaries do not take the others' places; above a limit they are the server's own", async () => {
  const held = gate();
  await open(async function* () { yield { wait: held.promise }; yield JSON.stringify(written); }, "--source-summaries-max", "2", "--summaries-max", "3");
  await say("l1", ...talk);
  const slow = [ask("ann", "l1"), ask("ann", "l1")];
  await until(() => model.requests.length === 2, "two that wait");
  assert.equal((await ask("ann", "l1")).body.summary.by, "local");
  slow.push(ask("ben", "l1"));
  await until(() => model.requests.length === 3, "ben's");
  assert.equal((await ask("ben", "l1")).body.summary.by, "local");
  held.open();
  for (const { body } of await Promise.all(slow)) assert.equal(body.summary.by, "model");
  assert.equal(await metric('limit_hits_total{limit="source_summaries_max"}'), 1);
  assert.equal(await metric('limit_hits_total{limit="summaries_max"}'), 1);
});

test("a server that stops does not wait for a model, and the call has its summary", async () => {
  const never = gate();
  await open(() => [{ wait: never.promise }]);
  const feed = await say("d1", ...talk);
  await feed.ask("call:end", { call_id: "d1" });
  await until(() => model.requests.length === 1, "the question");
  desk.leave();
  await desk.parley.restart();
  const late = await (await desk.connect("ann")).ask("call:subscribe", { call_id: "d1" });
  assert.equal(late.summary?.by, "local");
  never.open();
});

test("by `summary_model` a model is named, or none; an unknown one is refused at the start", async () => {
  await assert.rejects(openWith(() => [], "--summary-model", "other"), /option summary_model: .*`auto`, `local` or the id/);
  model.stop();
  await openWith(() => [JSON.stringify(written)], "--summary-model", "local");
  await say("o1", ...talk);
  assert.equal((await ask("ann", "o1")).body.summary.by, "local");
  assert.equal(model.requests.length, 0);
  desk.leave();
  await desk.close();
  desk = await Desk.open(people, ...model.options, "--summary-model", "scripted");
  await say("o2", ...talk);
  assert.equal((await ask("ann", "o2")).body.summary.by, "model");
});

test("a model that is there for chats gets nothing of a call unless `summary_model` says so", async () => {
  await openWith(() => [JSON.stringify(written)]);
  const feed = await say("n1", ...talk);
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "n1" });
  await feed.ask("call:end", { call_id: "n1" });
  await until(() => ann.seen("call:summary").length, "the summary");
  assert.equal(ann.seen("call:summary")[0].by, "local");
  assert.equal((await ask("ann", "n1")).body.summary.by, "local");
  assert.equal(model.requests.length, 0);
});
