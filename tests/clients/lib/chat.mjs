// Users of the assistant: sockets of /chat that keep what they get.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { PATIENCE_MS, until } from "../../support/wait.mjs";

/** Events that are not of the log, though some carry its seq. */
const ASIDE = ["session.ready", "chat.reasoning", "debug"];

export class ChatClient {
  /** token undefined: a guest. */
  constructor(url, token, options = {}) {
    this.socket = io(`${url}/chat`, { auth: token === undefined ? {} : { token }, forceNew: true, reconnection: false, transports: ["websocket"], ...options });
    this.log = []; // of the log
    this.aside = [];
    this.socket.onAny((event, data) => {
      const isOfLog = data?.seq && data?.chat_id && !ASIDE.includes(event);
      (isOfLog ? this.log : this.aside).push({ ...data, event });
    });
    this.ready = new Promise((resolve, reject) => {
      this.socket.once("connect", () => resolve(this));
      this.socket.once("connect_error", reject);
      this.socket.io.once("close", () => setImmediate(() => reject(new Error("closed")))); // before the namespace answered
    });
  }

  ask(event, data) {
    return this.socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  }

  async must(event, data) {
    const answer = await this.ask(event, data);
    assert.equal(answer.ok, true, `${event}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async fails(code, event, data) {
    const answer = await this.ask(event, data);
    assert.equal(answer.ok, false, `${event}: ${JSON.stringify(answer)}`);
    assert.equal(answer.error.code, code, `${event}: ${JSON.stringify(answer)}`);
    return answer.error;
  }

  async open(options = {}) {
    const answer = await this.must("session.init", options);
    this.chatId = answer.chat_id;
    return answer;
  }

  of(event, more = {}) {
    return this.log.filter((entry) => entry.event === event && Object.entries(more).every(([name, value]) => entry[name] === value));
  }

  /** The end of a turn: its chat.done or error. */
  end(refId, attempt = 1) {
    return until(() => this.log.find((entry) => ["chat.done", "error"].includes(entry.event) && entry.ref_id === refId && (entry.attempt ?? 1) === attempt),
      () => `the end of ${refId}: ${JSON.stringify(this.log.slice(-5))}`);
  }

  until(event, more) {
    return until(() => this.of(event, more).at(-1), () => `${event} ${JSON.stringify(more ?? {})}: ${JSON.stringify(this.log.slice(-5))}`);
  }

  /** Says something and waits for the answer. */
  async say(id, content, more = {}) {
    await this.must("chat.message", { id, content, ...more });
    return this.end(id);
  }

  text(refId, attempt = 1) {
    return this.of("chat.token", { ref_id: refId }).filter((entry) => (entry.attempt ?? 1) === attempt).map(({ content }) => content).join("");
  }

  /** The log's numbers, which have no gap and no repeat. */
  checkOrder() {
    const numbers = this.log.map(({ seq }) => seq);
    for (let i = 1; i < numbers.length; i++) assert.equal(numbers[i], numbers[i - 1] + 1, `gap: ${numbers}`);
  }

  close() {
    this.socket.disconnect();
  }
}
