// A server with people around it: tokens, sockets that keep what they are sent, requests with a token.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { problemsWith } from "./schemas.mjs";
import { PATIENCE_MS } from "../../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../../browser/server.mjs");

export class Desk {
  /** people: name → options of `parley token` besides --sub. */
  static async open(people, ...options) {
    const desk = new Desk();
    desk.open = new Set();
    desk.parley = await startParley(...options);
    desk.tokens = {};
    for (const [name, words] of Object.entries(people)) desk.tokens[name] = await desk.parley.token("--sub", name, ...words);
    return desk;
  }

  /** A socket with `ask(event, data)` for acks and `seen(event)`, what it was sent. Rejects with the connect error. */
  connect(who, namespace = "/", options = {}) {
    const socket = io(this.parley.url + namespace, { auth: { token: this.tokens[who] }, forceNew: true, reconnection: false, ...options });
    this.open.add(socket);
    socket.log = [];
    socket.onAny((event, data) => socket.log.push([event, data]));
    socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
    socket.seen = (event) => socket.log.filter(([name]) => name === event).map(([, data]) => data);
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(socket));
      socket.once("connect_error", reject);
    });
  }

  /** A call that goes on, and the feed that began it. */
  async call(id, more = {}) {
    const feed = await this.connect("feed", "/feed");
    assert.equal((await feed.ask("call:start", { call_id: id, ...more })).ok, true);
    feed.say = (text, { speaker = "customer", ...rest } = {}) => feed.ask("transcription:update", { call_id: id, speaker, text, ...rest });
    return feed;
  }

  /** {status, body} of a request; body is parsed if it is JSON. */
  async request(who, method, path, body, headers = {}) {
    const response = await fetch(this.parley.url + path, {
      method,
      headers: { ...(who ? { authorization: `Bearer ${this.tokens[who]}` } : {}), ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  /** Everybody leaves; what they were sent was as documented. */
  leave() {
    for (const socket of this.open) socket.disconnect();
    const wrong = [...this.open].flatMap(({ log }) => log).flatMap(([event, data]) => problemsWith(event, data));
    this.open.clear();
    assert.deepEqual(wrong, [], "what the server sent is as documented");
  }

  async close() { await this.parley?.stop(); }
}

export function assertError(answer, code, field) {
  assert.equal(answer.ok, false, JSON.stringify(answer));
  assert.equal(answer.error.code, code, JSON.stringify(answer));
  assert.equal(answer.error.field, field);
  assert.equal(typeof answer.error.message, "string");
}
