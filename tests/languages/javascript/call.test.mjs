// The call client of docs/clients.md against parley: snapshot, lines, suggestion, feedback, a restart and what was missed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { CallClient } from "./call-client.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../../browser/server.mjs");

// Events that are waited for one by one.
class Queue {
  #events = [];
  #waiting = [];

  put = (event) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(event);
    else this.#events.push(event);
  };

  next() {
    if (this.#events.length > 0) return Promise.resolve(this.#events.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

async function openFeed(t, parley) {
  const feed = io(`${parley.url}/feed`, { auth: { token: await parley.token("--role", "feed") }, forceNew: true, transports: ["websocket"] });
  t.after(() => feed.disconnect());
  await new Promise((resolve) => feed.on("connect", resolve));
  return async (event, data) => {
    const answer = await feed.timeout(60000).emitWithAck(event, { call_id: "c1", ...data });
    assert.equal(answer.ok, true, JSON.stringify(answer));
  };
}

const line = (text) => ({ speaker: "customer", text });

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`follows a call over a restart: ${transports.join(", ")}`, { timeout: 600000 }, async (t) => {
    const parley = await startParley();
    t.after(() => parley.stop());
    let say = await openFeed(t, parley);
    await say("call:start", {});
    await say("transcription:update", line("hello"));
    const [lines, suggestions, refusals] = [new Queue(), new Queue(), new Queue()];
    const client = new CallClient(parley.url, await parley.token("--role", "agent", "--sub", "ann"), "c1",
      { onLine: lines.put, onSuggestion: suggestions.put, onRefused: refusals.put, transports });
    t.after(() => client.socket.disconnect());
    assert.equal((await lines.next()).text, "hello");
    await say("transcription:update", line("I got the wrong size, I want to return it"));
    assert.equal((await lines.next()).text, "I got the wrong size, I want to return it");
    const [document] = (await suggestions.next()).documents;
    assert.equal(document.id, "product-defect.return-due-to-size");
    assert.equal((await client.feedback(document.id, true)).ok, true);
    await parley.restart();
    say = await openFeed(t, parley);
    await say("call:start", {});
    await say("transcription:update", line("are you still there?"));
    assert.equal((await lines.next()).text, "are you still there?");
  });
}

test("is refused with a reason", { timeout: 600000 }, async (t) => {
  const parley = await startParley();
  t.after(() => parley.stop());
  const refusals = new Queue();
  const client = new CallClient(parley.url, "not a token", "c1", { onRefused: refusals.put });
  t.after(() => client.socket.disconnect());
  assert.equal((await refusals.next()).data.code, 401);
});
