// A chat over HTTP alone, for clients whose sockets fail: what is asked can be answered, and what runs can be stopped.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

let model, parley, script;
before(async () => {
  model = await startModel((messages, body) => script(messages, body));
  parley = await startParley(...model.options, "--token-interval-ms", "1");
});
after(async () => {
  await parley?.stop();
  model?.stop();
});

async function http(method, path, body, sub = "ann") {
  const response = await fetch(`${parley.url}${path}`, { method, headers: { authorization: `Bearer ${sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 })}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  return { status: response.status, ...(await response.json()) };
}
const results = (messages) => messages.filter(({ role }) => role === "tool").map(({ content }) => content);
const asking = (...calls) => (messages) => (results(messages).length ? [`results: ${results(messages).join("; ")}`] : calls);
const alarm = { call: "create_alarm", args: {} };
const TIME = "2099-01-01T07:00:00Z";

for (const root of ["/api/v1/chats", "/api/v1/chat/sessions"]) {
  async function ask(...calls) {
    script = asking(...calls);
    const { chat_id } = await http("POST", root, {});
    const chat = `${root}/${chat_id}`;
    const asked = await http("POST", `${chat}/messages`, { content: "Create alarm" });
    assert.equal(asked.is_complete, false);
    return { chat, asked };
  }

  test(`a form is answered, and the answer is what a message's would be: ${root}`, async () => {
    const { chat, asked: { pending: [form] } } = await ask(alarm);
    const answer = `${chat}/elicitations/${form.id}`;
    const wrong = await http("POST", answer, { content: { time: "soon" } });
    assert.deepEqual([wrong.status, wrong.error.code, wrong.error.field], [400, 400, "/content/time"]);
    assert.equal((await http("POST", answer, {})).status, 400);
    assert.equal((await http("POST", answer, { content: { time: TIME } }, "bob")).status, 404);
    assert.equal((await http("POST", `${chat}/elicitations/unknown`, { action: "cancel" })).status, 404);
    const done = await http("POST", answer, { content: { time: TIME } });
    assert.deepEqual([done.status, done.is_complete, done.ref_id], [200, true, form.ref_id]);
    assert.match(done.final_text, /^results: Alarm set/);
    assert.equal((await http("POST", answer, { content: { time: TIME } })).status, 409);
  });

  test(`a refusal is one: ${root}`, async () => {
    for (const action of ["decline", "cancel"]) {
      const { chat, asked: { pending: [form] } } = await ask(alarm);
      const done = await http("POST", `${chat}/elicitations/${form.id}`, { action });
      assert.match(done.final_text, action === "decline" ? /declined/ : /closed the question/);
    }
  });

  test(`what is asked beside it is still asked: ${root}`, async () => {
    const { chat } = await ask(alarm, alarm);
    const list = async () => (await http("GET", `${chat}/messages`)).messages.filter(({ type, data }) => type === "component" && data.schema).map(({ data }) => data.id);
    const [one, two] = await until(async () => { const ids = await list(); return ids.length === 2 && ids; }, "both forms");
    const still = await http("POST", `${chat}/elicitations/${one}`, { content: { time: TIME } });
    assert.deepEqual([still.is_complete, still.pending.map(({ id }) => id)], [false, [two]]);
    const done = await http("POST", `${chat}/elicitations/${two}`, { content: { time: TIME } });
    assert.match(done.final_text, /^results: Alarm set.*; Alarm set/);
  });

  test(`a turn is stopped: ${root}`, async () => {
    const { chat, asked: { pending: [form] } } = await ask(alarm);
    assert.equal((await http("POST", `${chat}/stop`, {}, "bob")).status, 404);
    const stopped = await http("POST", `${chat}/stop`, {});
    assert.deepEqual([stopped.status, stopped.stopped, stopped.ref_id], [200, true, form.ref_id]);
    assert.equal((await http("POST", `${chat}/elicitations/${form.id}`, { content: { time: TIME } })).status, 409);
    script = () => ["Hello"];
    assert.equal((await http("POST", `${chat}/messages`, { content: "Hi" })).final_text, "Hello");
    assert.equal((await http("POST", `${chat}/stop`, {})).stopped, false);
  });
}
