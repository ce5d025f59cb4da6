// One Socket.IO connection with what both commands need: waiting for it, and requests that survive a reconnect.
import { io } from "socket.io-client";

/** Ends the command: `code` becomes its exit status. */
export class Fatal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const EXIT = { OK: 0, FAILED: 1, USAGE: 2, REFUSED: 3, UNREACHABLE: 4, INTERRUPTED: 130 };

const COME_BACK_MS = 500;
const MAX_ENDED = 3;

/**
 * Opens a namespace. Connection problems are retried by the client; a refusal by the server is final.
 * @param {{url: string, namespace: string, token?: string, ackTimeoutMs?: number}} options
 */
export class Connection {
  constructor({ url, namespace, token, ackTimeoutMs = 10000 }) {
    this.ackTimeoutMs = ackTimeoutMs;
    this.fatal = null;
    this.closing = false;
    this.ended = 0;
    this.listeners = new Set();
    this.socket = io(new URL(namespace, url).href, {
      auth: token ? { token } : {},
      reconnectionDelay: 250,
      reconnectionDelayMax: 3000,
      forceNew: true,
    });
    this.socket.on("connect", () => this.#wake());
    this.socket.on("connect_error", (error) => {
      if (!this.socket.active) this.#fail(new Fatal(EXIT.REFUSED, `the server refused the connection: ${error.message}`));
    });
    this.socket.on("disconnect", (reason) => {
      if (reason === "io server disconnect") this.#onServerDisconnect();
    });
  }

  /** Resolves when connected. Rejects if the server refused, or after withinMs (0: never). */
  async connected(withinMs = 0) {
    const deadline = withinMs ? Date.now() + withinMs : Infinity;
    while (!this.socket.connected) {
      if (this.fatal) throw this.fatal;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Fatal(EXIT.UNREACHABLE, `no connection after ${Math.round(withinMs / 1000)} s`);
      await this.#sleepUntilWoken(leftMs);
    }
  }

  /**
   * Sends an event until it was acknowledged, over reconnects. Only for events that may safely arrive twice.
   * @returns the acknowledgement, {ok: true, …}; throws Fatal if the server says no
   */
  async request(event, data, { withinMs = 0 } = {}) {
    for (;;) {
      await this.connected(withinMs);
      let answer;
      try {
        answer = await this.socket.timeout(this.ackTimeoutMs).emitWithAck(event, data);
      } catch {
        continue; // disconnected or too slow: again, once connected
      }
      if (answer?.ok) {
        this.ended = 0;
        return answer;
      }
      const { code = 0, message = "no reason given", field } = answer?.error ?? {};
      const error = new Fatal(code === 401 || code === 403 ? EXIT.REFUSED : EXIT.FAILED,
        `${event}: ${message}${field ? ` (${field})` : ""}${code ? ` [${code}]` : ""}`);
      error.status = code;
      throw error;
    }
  }

  close() {
    this.closing = true;
    this.socket.disconnect();
    this.#wake();
  }

  // A server that stops says so, and will be back; the client leaves coming back to us. One that ends every
  // connection before it answers anything does not want us.
  #onServerDisconnect() {
    this.ended += 1;
    if (this.ended > MAX_ENDED) this.#fail(new Fatal(EXIT.REFUSED, "the server keeps ending the connection"));
    else setTimeout(() => this.closing || this.socket.connect(), COME_BACK_MS);
  }

  #fail(error) {
    this.fatal = error;
    this.#wake();
  }

  #wake() {
    for (const wake of this.listeners) wake();
  }

  #sleepUntilWoken(ms) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
      this.listeners.add(done);
    });
  }
}

/** Sleeps; an aborted signal wakes it early. */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted || ms <= 0) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
