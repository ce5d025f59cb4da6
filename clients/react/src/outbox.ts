// Requests to the server that outlive a lost connection: each waits until it can be sent, and is sent once. What was
// sent and not answered is sent again only if the server takes a repeat for the same thing; otherwise it fails, and the
// user decides.
import type { Socket } from "socket.io-client";
import { BUSY, pauseMs } from "../../lib/retry.mjs";
import type { Failure } from "./types.js";

export type Ack = { ok: true } & Record<string, unknown>;

/** The server's refusal, or that there was no answer (code 0). */
export class RequestError extends Error implements Failure {
  readonly code: number;
  readonly field?: string;

  constructor({ code = 0, message = "the server gave no reason", field }: Partial<Failure>) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.field = field;
  }
}

export interface RequestOptions {
  /** The server takes a repeat for the same thing, so that it may be sent again after a lost answer. */
  isRepeatable?: boolean;
  /** A later request of the same key takes the place of an earlier one that was not sent yet. */
  key?: string;
}

interface Entry extends RequestOptions {
  event: string;
  data: unknown;
  state: "waiting" | "sent" | "paused";
  attempts: number;
  resolve(answer: Ack): void;
  reject(error: RequestError): void;
}

const ACK_TIMEOUT_MS = 8000;
const MAX_ATTEMPTS = 8;

export class Outbox {
  readonly #socket: Socket;
  readonly #onChange: (waiting: number) => void;
  #entries: Entry[] = [];

  constructor(socket: Socket, onChange: (waiting: number) => void) {
    this.#socket = socket;
    this.#onChange = onChange;
  }

  request(event: string, data: unknown, options: RequestOptions = {}): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const entry: Entry = { event, data, ...options, state: "waiting", attempts: 0, resolve, reject };
      this.#replace(entry);
      this.#entries.push(entry);
      this.#changed();
      this.pump();
    });
  }

  /** Sends what waits. To be called when the connection is there. */
  pump(): void {
    for (const entry of [...this.#entries]) {
      if (!this.#socket.connected) return;
      if (entry.state === "waiting") void this.#send(entry);
    }
  }

  /** Gives up everything. */
  clear(message: string): void {
    for (const entry of [...this.#entries]) this.#finish(entry, () => entry.reject(new RequestError({ message })));
  }

  /** Nobody waits for the answer of what was never sent: it becomes the answer of what takes its place. */
  #replace(entry: Entry): void {
    const earlier = entry.key && this.#entries.find((other) => other.key === entry.key && other.state !== "sent");
    if (!earlier) return;
    this.#entries = this.#entries.filter((other) => other !== earlier);
    const { resolve, reject } = entry;
    entry.resolve = (answer) => (earlier.resolve(answer), resolve(answer));
    entry.reject = (error) => (earlier.reject(error), reject(error));
  }

  async #send(entry: Entry): Promise<void> {
    entry.state = "sent";
    entry.attempts += 1;
    const answer = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(entry.event, entry.data).catch(() => null);
    if (answer?.ok) return this.#finish(entry, () => entry.resolve(answer));
    const failure = answer?.error ?? { code: 0, message: "the connection was lost before the server answered" };
    const mayRepeat = answer ? BUSY.has(failure.code) : entry.isRepeatable;
    if (!mayRepeat || entry.attempts >= MAX_ATTEMPTS) return this.#finish(entry, () => entry.reject(new RequestError(failure)));
    if (!answer) {
      entry.state = "waiting";
      return this.pump();
    }
    entry.state = "paused";
    setTimeout(() => this.#resume(entry), pauseMs(entry.attempts, failure.retry_after_ms));
  }

  #resume(entry: Entry): void {
    entry.state = "waiting";
    this.pump();
  }

  #finish(entry: Entry, settle: () => void): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#changed();
    settle();
  }

  #changed(): void {
    this.#onChange(this.#entries.length);
  }
}
