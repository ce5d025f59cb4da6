// Readers that stop reading in the middle of a long answer, on every way out: no more than a little waits for them in
// the server, others are not held up, and when they read on they get all of it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const PIECES = 1500;
const helper = fileURLToPath(new URL("lib/slow_reader.py", import.meta.url));
const pieces = Array.from({ length: PIECES }, (_, i) => `${String(i).padStart(4, "0")}: ${"words of the answer, ".repeat(8)}`);
const whole = pieces.join("");
let model, parley;

/** In many entries. */
async function* drip() {
  for (const piece of pieces) { yield piece; await new Promise((resolve) => setTimeout(resolve, 1)); }
}

const answers = { short: ["at once"], long: [whole], end: ["the end"] };
before(async () => {
  model = await startModel((messages) => answers[messages.at(-1).content] ?? drip());
  parley = await startParley(...model.options, "--token-interval-ms", "1", "--high-water-bytes", "8192");
});
const children = [];
after(async () => {
  for (const child of children) child.kill();
  await parley?.stop();
  model?.stop();
});

const token = (sub = "ann") => sign(keyOf(parley), { sub, role: "user", exp: now() + 3600 });
const post = (path, body, more = "") => ({ until: "0\r\n\r\n", messages: [], send: `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token()}\r\nContent-Type: application/json\r\n${more}Content-Length: ${JSON.stringify(body).length}\r\n\r\n${JSON.stringify(body)}` });
const upgrade = (path, end, ...messages) => ({ until: end, messages: messages.map((message) => JSON.stringify(message)), send: `GET ${path}token=${token()} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n` });

const unchunk = (text) => text.slice(text.indexOf("\r\n\r\n") + 4).replace(/(^|\r\n)[0-9a-f]+\r\n/gi, "");
const data = (text) => [...unchunk(text).matchAll(/^data: ([{].*)$/gm)].map(([, json]) => JSON.parse(json));
const lines = (text) => text.trim().split("\n").map((line) => JSON.parse(line));
const joined = (list) => list.join("");
/** How a reader asks in a chat, and what it has read of the answer. */
const ways = {
  "server-sent events": [(id) => post(`/api/v1/chats/${id}/messages`, { id: "m1", content: "x" }, "Accept: text/event-stream\r\n"), (text) => joined(data(text).filter(({ content, seq, id }) => seq && content !== undefined && !id).map(({ content }) => content))],
  "AI SDK": [(id) => post(`/api/v1/chats/${id}/ui`, { messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "x" }] }] }), (text) => joined(data(text).filter(({ type }) => type === "text-delta").map(({ delta }) => delta))],
  "AG-UI": [(id) => post("/api/v1/agui", { threadId: id, runId: "r1", messages: [{ id: "m1", role: "user", content: "x" }] }), (text) => joined(data(text).filter(({ type }) => type === "TEXT_MESSAGE_CONTENT").map(({ delta }) => delta))],
  "tree": [(id) => upgrade("/ws/session?", '"chunk":false', { type: "init_session", data: {}, session_id: id }, { type: "user_prompt", data: { prompt: "x" } }), (text) => joined(lines(text).filter(({ type, data: { chunk } = {} }) => type === "assistant_response" && chunk).map(({ data: { text: said } }) => said))],
  "typed": [() => upgrade("/ws/slow?dialect=typed&", '"type":"chat.done"', { type: "chat.message", id: "m1", content: "x" }), (text) => joined(lines(text).filter(({ type }) => type === "chat.token").map(({ content }) => content))],
};

async function replays() {
  const response = await fetch(`${parley.url}/metrics`);
  return Number(/^parley_chat_replays_total (\d+)$/m.exec(await response.text())[1]);
}

async function startSlow(request) {
  const child = spawn("python3", [helper], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const slow = { text: "", read: () => child.stdin.write("go\n"), ended: new Promise((resolve) => child.on("close", resolve)) };
  child.stdout.setEncoding("utf8").on("data", (piece) => { slow.text += piece; });
  child.stdin.write(`${JSON.stringify({ port: parley.port, ...request })}\n`);
  await until(() => slow.text.startsWith("ready\n"), "the slow reader");
  slow.text = slow.text.slice(6);
  return slow;
}

/** A busy machine may take minutes for so many pieces: they are waited for as long as they come. */
async function endOf(client) {
  for (let seen = 0; !client.of("chat.done").length; seen = client.log.length) await until(() => client.log.length > seen, () => `more than ${seen} entries`);
  return client.of("chat.done")[0];
}

for (const [what, [request, read]] of Object.entries(ways))
  test(`${what}: a reader that pauses holds up nobody, and reads all of it later`, async () => {
    const fast = await new ChatClient(parley.url, token()).ready, other = await new ChatClient(parley.url, token()).ready;
    await fast.open();
    await other.open();
    const asked = model.requests.length, before = await replays();
    const slow = await startSlow(request(fast.chatId));
    if (what === "typed") { // whose chat is that of the path
      await until(() => model.requests.length > asked, "the turn");
      await fast.open({ chat_id: (await other.must("chat.list", {})).chats[0].chat_id, since_seq: 0 });
    }
    const done = await endOf(fast);
    assert.ok(fast.of("chat.token").length > 3, "the answer came in many pieces");
    assert.ok(await replays() > before, "what the reader did not take waits in the log, not in memory");
    assert.equal(done.final_text, whole);
    assert.equal((await other.say("s1", "short")).final_text, "at once");
    slow.read();
    await slow.ended;
    assert.ok(read(slow.text) === whole, `${read(slow.text).length} of ${whole.length}: ${slow.text.slice(-300)}`);
    fast.close();
    other.close();
  });

/** Dialects that have an answer as one message: what waits are whole answers, of turns that another tab begins. */
const whole_ways = {
  widget: ["/api/v1/chat/ws/chat?", { type: "message", message: "short" }, ({ type, message }) => type === "response" && message],
  teaching: ["/ws/slow?dialect=teaching&", { type: "message", content: "short" }, ({ type, response }) => type === "response" && response],
};
for (const [what, [path, first, said]] of Object.entries(whole_ways))
  test(`${what}: a reader that pauses holds up nobody, and reads every answer later, each once`, async () => {
    const tab = await new ChatClient(parley.url, token()).ready, other = await new ChatClient(parley.url, token("bob")).ready;
    await other.open();
    const asked = model.requests.length, before = await replays();
    const slow = await startSlow(upgrade(path, "the end", first));
    await until(() => model.requests.length > asked, "the turn");
    await tab.open({ chat_id: (await tab.must("chat.list", {})).chats[0].chat_id, since_seq: 0 });
    await tab.until("chat.done");
    for (let i = 0; i < 6; i++) assert.equal((await tab.say(`l${i}`, "long")).final_text, whole);
    assert.equal((await tab.say("e", "end")).final_text, "the end");
    assert.ok(await replays() > before, "what the reader did not take waits in the log, not in memory");
    assert.equal((await other.say("s1", "short")).final_text, "at once");
    slow.read();
    await slow.ended;
    const read = lines(slow.text).map(said).filter(Boolean);
    assert.deepEqual(read.slice(-8).map((text) => text.length), ["at once", ...Array(6).fill(whole), "the end"].map((text) => text.length));
    assert.ok(read.slice(-7, -1).every((text) => text === whole));
    tab.close();
    other.close();
  });
