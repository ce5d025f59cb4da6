// Plain WebSockets: one JSON text per message.
import assert from "node:assert/strict";
import { WebSocket } from "ws";
import { until } from "../../support/wait.mjs";

export class Plain {
  /** path: with its query. */
  constructor(url, path, options = {}) {
    this.log = [];
    this.socket = new WebSocket(url.replace(/^http/, "ws") + path, options);
    this.socket.on("message", (data, isBinary) => { assert.equal(isBinary, false); this.log.push(JSON.parse(data)); });
    this.closed = new Promise((resolve) => this.socket.on("close", (code, reason) => { this.code = code; resolve({ code, reason: String(reason) }); }));
    this.ready = new Promise((resolve, reject) => {
      this.socket.on("open", () => resolve(this));
      this.socket.on("error", reject);
    });
  }

  send(message) {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  of(type) {
    return this.log.filter((message) => message.type === type);
  }

  /** The first message after `from` that the test is true of. */
  until(what, holds, from = 0) {
    return until(() => this.log.slice(from).find(holds), () => `${what}: ${JSON.stringify(this.log.slice(-5))}`);
  }

  untilType(type, from = 0) {
    return this.until(type, (message) => message.type === type, from);
  }

  close() {
    this.socket.terminate();
  }
}
