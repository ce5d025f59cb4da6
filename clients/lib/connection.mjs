// One Socket.IO connection with what both commands need: waiting for it, and requests that survive a reconnect.
import { io } from "socket.io-client";
import { BUSY, pauseMs } from "./retry.mjs";

/** Ends the command: `code` becomes its exit status. */
export class Fatal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const EXIT = { OK: 0, FAILED: 1, USAGE: 2, REFUSED: 3, UNREACHABLE: 4, INTERRUPTED: 130 };

/** The server's no to one event. status: the code of its error, 0 if there was no answer. */
export class Refused extends Fatal {
  constructor(event, { code = 0, message = "no reason given", field } = {}) {
    const reason = `${message}${field ? ` (${field})` : ""}${code ? ` [${code}]` : ""}`;
    super(code === 401 || code === 403 ? EXIT.REFUSED : EXIT.FAILED, `${event}: ${reason}`);
    this.status = code;
    this.reason = reason;
  }
}

/** A request was given up because its signal was aborted. */
export class Interrupted extends Fatal {
  constructor() {
    super(EXIT.INTERRUPTED, "interrupted");
  }
}

const COME_BACK_MS = 500;
const MAX_ENDED = 3;
const MAX_LOST = 5; // times that the connection may break under one and the same event

/**
 * Opens a namespace. Connection problems are retried by the client; a refusal by the server is final, unless it is busy.
 * @param {{url: string, namespace: string, token?: string, ackTimeoutMs?: number, patienceMs?: number}} options
 *        patienceMs: how long a request is repeated while the server answers that it is busy
 */
export class Connection {
  constructor({ url, namespace, token, ackTimeoutMs = 10000, patienceMs = 60000 }) {
    this.url = url;
    this.ackTimeoutMs = ackTimeoutMs;
    this.patienceMs = patienceMs;
    this.fatal = null;
    this.closing = false;
    this.ended = 0;
    this.turnedAway = 0;
    this.listeners = new Set();
    this.socket = io(new URL(namespace, url).href, {
      auth: token ? { token } : {},
      reconnectionDelay: 250,
      reconnectionDelayMax: 3000,
      forceNew: true,
    });
    this.socket.on("connect", () => {
      this.turnedAway = 0;
      this.#wake();
    });
    this.socket.on("connect_error", (error) => this.#onConnectError(error));
    this.socket.on("disconnect", (reason) => {
      if (reason === "io server disconnect") this.#onServerDisconnect();
      this.#wake();
    });
  }

  /** Resolves when connected. Rejects if the server refused, the signal was aborted, or after withinMs (0: never). */
  async connected(withinMs = 0, signal) {
    const deadline = withinMs ? Date.now() + withinMs : Infinity;
    const wake = () => this.#wake();
    signal?.addEventListener("abort", wake);
    try {
      while (!this.socket.connected) {
        if (this.fatal) throw this.fatal;
        if (signal?.aborted || this.closing) throw new Interrupted();
        const leftMs = deadline - Date.now();
        if (leftMs <= 0) throw new Fatal(EXIT.UNREACHABLE, `no connection after ${Math.round(withinMs / 1000)} s`);
        await this.#sleepUntilWoken(leftMs);
      }
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  /**
   * Sends an event until it was acknowledged, over reconnects and while the server is busy. Only for events that may
   * safely arrive twice.
   * @param {{signal?: AbortSignal, onBusy?: (error: object, waitMs: number) => void}} options
   * @returns the acknowledgement, {ok: true, …, resent}: resent means an earlier attempt may have arrived as well.
   *          Throws Refused if the server says no, Interrupted, or Fatal if there is no way to the server
   */
  async request(event, data, { signal, onBusy } = {}) {
    let lost = 0;
    let busy = 0;
    let busySinceMs = 0;
    for (;;) {
      await this.connected(0, signal);
      const answer = await this.#ask(event, data, signal);
      if (signal?.aborted && !answer) throw new Interrupted();
      if (answer?.ok) {
        this.ended = 0;
        return { ...answer, resent: lost > 0 };
      }
      if (!answer) {
        lost += 1;
        if (lost >= MAX_LOST) throw new Refused(event, { message: `the connection was lost ${lost} times while it was sent` });
        continue;
      }
      const error = answer.error ?? {};
      if (!BUSY.has(error.code)) throw new Refused(event, error);
      busy += 1;
      busySinceMs ||= Date.now();
      const waitMs = pauseMs(busy, error.retry_after_ms);
      if (Date.now() + waitMs - busySinceMs > this.patienceMs) throw new Refused(event, error);
      onBusy?.(error, waitMs);
      await sleep(waitMs, signal);
      if (signal?.aborted) throw new Interrupted();
    }
  }

  close() {
    this.closing = true;
    this.socket.disconnect();
    this.#wake();
  }

  /** One attempt: the answer, or null if there was none (lost, too slow, interrupted). */
  async #ask(event, data, signal) {
    let stop;
    const aborted = new Promise((resolve) => {
      stop = () => resolve(null);
      signal?.addEventListener("abort", stop, { once: true });
      if (signal?.aborted) stop();
    });
    try {
      return await Promise.race([this.socket.timeout(this.ackTimeoutMs).emitWithAck(event, data).catch(() => null), aborted]);
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  // A refusal is final; a server that is full or stopping is asked again.
  #onConnectError(error) {
    if (this.socket.active) return;
    const { code, retry_after_ms: askedMs } = error.data ?? {};
    if (!BUSY.has(code)) return this.#fail(new Fatal(EXIT.REFUSED, `the server refused the connection: ${error.message}`));
    this.turnedAway += 1;
    setTimeout(() => this.closing || this.socket.connect(), pauseMs(this.turnedAway, askedMs));
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
      const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS));
      this.listeners.add(done);
    });
  }
}

const MAX_TIMER_MS = 2 ** 31 - 1; // a longer one fires at once

/** Sleeps; an aborted signal wakes it early. */
export async function sleep(ms, signal) {
  const untilMs = Date.now() + ms;
  for (let leftMs = ms; leftMs > 0 && !signal?.aborted; leftMs = untilMs - Date.now()) {
    await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(leftMs, MAX_TIMER_MS));
      signal?.addEventListener("abort", done, { once: true });
    });
  }
}
