// A connection to one namespace: comes back by itself, says how it is, and sends what waits.
import type { Socket } from "socket.io-client";
import { BUSY, pauseMs } from "../../lib/retry.mjs";
import { Outbox } from "./outbox.js";
import { Store } from "./store.js";
import type { Tokens } from "./tokens.js";
import type { ConnectionState } from "./types.js";

export interface LinkOwner {
  onConnect(): void;
  onDisconnect(): void;
  onEvent(event: string, data: Record<string, unknown>): void;
}

type ConnectError = Error & { data?: { code?: number; retry_after_ms?: number } };

const ASK_TIMEOUT_MS = 8000;
const COME_BACK_MS = 500;

export class Link {
  readonly connection = new Store<ConnectionState>({
    status: "connecting", transport: null, socketId: null, roundTripMs: null, reconnects: 0, missed: 0, waiting: 0, sinceMs: Date.now(), reason: null,
  });
  readonly outbox: Outbox;
  readonly #socket: Socket;
  readonly #tokens: Tokens;
  readonly #owner: LinkOwner;
  #wasOnline = false;
  #renewed = false;
  #attempts = 0;

  constructor(socket: Socket, tokens: Tokens, owner: LinkOwner) {
    this.#socket = socket;
    this.#tokens = tokens;
    this.#owner = owner;
    this.outbox = new Outbox(socket, (waiting) => this.connection.patch({ waiting }));
    socket.on("connect", () => this.#onConnect());
    socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    socket.on("connect_error", (error: ConnectError) => this.#onConnectError(error));
    socket.onAny((event: string, data: unknown) => {
      if (typeof data === "object" && data !== null) owner.onEvent(event, data as Record<string, unknown>);
    });
  }

  get isOnline(): boolean {
    return this.#socket.connected;
  }

  open(): void {
    if (this.#socket.active) return;
    this.#setStatus("connecting");
    this.#socket.connect();
  }

  close(): void {
    this.#socket.disconnect();
  }

  /** The token is another one: of the same user while there is a connection, else of anybody. */
  async takeToken(token: string): Promise<void> {
    if (this.#socket.connected) {
      await this.outbox.request("auth:refresh", { token }, { isRepeatable: true, key: "auth:refresh" });
      return;
    }
    this.#renewed = false;
    this.#socket.disconnect();
    this.open();
  }

  emit(event: string, data: unknown): void {
    if (this.#socket.connected) this.#socket.emit(event, data);
  }

  /** Asks once; null if there was no answer. */
  readonly ask = async (event: string, data: unknown): Promise<Record<string, any> | null> => {
    const askedMs = performance.now();
    const answer = await this.#socket.timeout(ASK_TIMEOUT_MS).emitWithAck(event, data).catch(() => null);
    if (answer) this.connection.patch({ roundTripMs: performance.now() - askedMs });
    return answer;
  };

  readonly addMissed = (count: number): void => this.connection.patch({ missed: this.connection.get().missed + count });

  #onConnect(): void {
    const { engine } = this.#socket.io;
    const transport = () => this.connection.patch({ transport: engine.transport.name });
    engine.on("upgrade", transport);
    this.#renewed = false;
    this.#attempts = 0;
    this.connection.patch({ socketId: this.#socket.id ?? null, reconnects: this.connection.get().reconnects + (this.#wasOnline ? 1 : 0), reason: null });
    transport();
    this.#wasOnline = true;
    this.#setStatus("online");
    this.#owner.onConnect();
    this.outbox.pump();
  }

  #onDisconnect(reason: string): void {
    this.#owner.onDisconnect();
    if (reason === "io client disconnect") return;
    this.#setStatus("offline");
    // The server's own goodbye, because it restarts or the token has ended, is the one case in which the client of
    // Socket.IO does not come back by itself.
    if (reason === "io server disconnect") setTimeout(() => this.#socket.connect(), COME_BACK_MS);
  }

  #onConnectError(error: ConnectError): void {
    if (this.#socket.active) return this.#setStatus(this.#wasOnline ? "offline" : "connecting");
    const code = error.data?.code ?? 0;
    if (BUSY.has(code)) {
      this.#attempts += 1;
      setTimeout(() => this.#socket.connect(), pauseMs(this.#attempts, error.data?.retry_after_ms));
      return this.#setStatus("offline");
    }
    void this.#onRefused(error.message);
  }

  /** The token may have ended, or the server has other keys now: once, another one is fetched. */
  async #onRefused(reason: string): Promise<void> {
    const old = this.#tokens.current;
    this.connection.patch({ reason });
    this.#setStatus("refused");
    if (this.#renewed || !(await this.#tokens.fetch(old))) return;
    this.#renewed = true;
    this.#socket.connect();
  }

  #setStatus(status: ConnectionState["status"]): void {
    if (this.connection.get().status !== status) this.connection.patch({ status, sinceMs: Date.now() });
  }
}
