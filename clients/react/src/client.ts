// One connection to Parley, and everything that is kept in step over it. Knows nothing of React.
import { io, type Socket } from "socket.io-client";
import { BUSY, pauseMs } from "../../lib/retry.mjs";
import { Call } from "./call.js";
import { CallList } from "./call-list.js";
import { Outbox, RequestError, type Ack, type RequestOptions } from "./outbox.js";
import { Store } from "./store.js";
import { claimsOf, renewInMs } from "./token.js";
import type { CallStatusName, Claims, ConnectionState, Hand, Stats } from "./types.js";

export interface ParleyOptions {
  /** Where the server is; without it, where the page came from. */
  url?: string;
  /** The token, or what fetches one: at first, and instead of an old one that ends or was refused. null: not signed in. */
  token: string | ((old: string | null) => Promise<string | null>);
  /** Called for every event that the server sends, before it is applied. */
  onEvent?: (event: string, data: Record<string, unknown>) => void;
}

const ASK_TIMEOUT_MS = 8000;
const COME_BACK_MS = 500;
const MAX_TIMER_MS = 2 ** 31 - 1; // a longer one fires at once

export class ParleyClient {
  readonly connection = new Store<ConnectionState>({
    status: "connecting", transport: null, socketId: null, roundTripMs: null, reconnects: 0, missed: 0, waiting: 0, sinceMs: Date.now(), reason: null,
  });
  readonly claims = new Store<Claims>({});
  /** The newest call:stats; null until one came: only some supervisors get them. */
  readonly stats = new Store<Stats | null>(null);
  /** Events and paths ("GET /api/v1/documents/{doc_id}") that the server understands; null until it has said. */
  readonly features = new Store<ReadonlySet<string> | null>(null);
  readonly #options: ParleyOptions;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #calls = new Map<string, Call>();
  readonly #lists = new Map<string, CallList>();
  #token: string | null = null;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #wasOnline = false;
  #renewed = false;
  #attempts = 0;

  constructor(options: ParleyOptions) {
    this.#options = options;
    const auth = (give: (data: object) => void) => void this.#freshToken().then((token) => give(token ? { token } : {}));
    this.#socket = io(options.url ?? "", { auth, autoConnect: false, forceNew: true, reconnectionDelay: 500, reconnectionDelayMax: 5000 });
    this.#outbox = new Outbox(this.#socket, (waiting) => this.connection.patch({ waiting }));
    this.#listen();
  }

  open(): void {
    if (this.#socket.active) return;
    this.#setStatus("connecting");
    this.#socket.connect();
  }

  close(): void {
    clearTimeout(this.#renewal);
    this.#socket.disconnect();
  }

  /** Another token of the same user, or, if there is no connection, of anybody. */
  async setToken(token: string): Promise<void> {
    if (this.#socket.connected) {
      await this.#outbox.request("auth:refresh", { token }, { isRepeatable: true, key: "auth:refresh" });
      return this.#takeToken(token);
    }
    this.#takeToken(token);
    this.#renewed = false;
    this.#socket.disconnect();
    this.open();
  }

  /** Sends an event and resolves with the server's answer; waits for the connection. Rejects with RequestError. */
  request(event: string, data: unknown, options?: RequestOptions): Promise<Ack> {
    return this.#outbox.request(event, data, options);
  }

  /** A request to the server's HTTP API with the token; resolves with its JSON. Rejects with RequestError. */
  async fetch(path: string, init: RequestInit = {}): Promise<Record<string, any>> {
    const answer = await (await this.#fetch(path, init)).json().catch(() => null);
    if (!answer) throw new RequestError({ message: "the server's answer is not JSON" });
    return answer;
  }

  /** The same for what is not JSON: the bytes, with their type. */
  async download(path: string): Promise<Blob> {
    return (await this.#fetch(path)).blob();
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = this.#token ?? (await this.#freshToken());
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const response = await fetch((this.#options.url ?? "") + path, { ...init, headers }).catch(() => null);
    if (!response) throw new RequestError({ message: "the server cannot be reached" });
    if (response.ok) return response;
    const answer = await response.json().catch(() => null);
    throw new RequestError({ code: response.status, message: response.statusText, ...answer?.error });
  }

  /** The call, watched until `unwatch` was called as often. */
  watch(callId: string): Call {
    let call = this.#calls.get(callId);
    if (!call) {
      call = new Call(callId, { outbox: this.#outbox, isOnline: () => this.#socket.connected, ask: this.#ask, onMissed: this.#onMissed });
      this.#calls.set(callId, call);
    }
    if (call.watchers++ === 0) void call.sync();
    return call;
  }

  unwatch(call: Call): void {
    const { callId } = call.state.get();
    if (--call.watchers > 0) return;
    // React's strict mode lets go and takes again at once.
    setTimeout(() => {
      if (call.watchers > 0 || this.#calls.get(callId) !== call) return;
      this.#calls.delete(callId);
      if (this.#socket.connected) this.#socket.emit("call:unsubscribe", { call_id: callId });
    }, 0);
  }

  /** The list of calls of this status, or of all. It stays in step as long as the client is open. */
  list(status?: CallStatusName): CallList {
    const key = status ?? "";
    let list = this.#lists.get(key);
    if (!list) {
      list = new CallList(status, this.#ask);
      this.#lists.set(key, list);
      if (this.#socket.connected) void list.refresh();
    }
    return list;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#onConnect());
    socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    socket.on("connect_error", (error: Error & { data?: { code?: number; retry_after_ms?: number } }) => this.#onConnectError(error));
    socket.onAny((event: string, data: unknown) => this.#onEvent(event, data));
  }

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
    for (const call of this.#calls.values()) void call.sync();
    for (const list of this.#lists.values()) void list.refresh();
    void this.#readFeatures();
    this.#outbox.pump();
  }

  #onDisconnect(reason: string): void {
    for (const call of this.#calls.values()) call.lose();
    if (reason === "io client disconnect") return;
    this.#setStatus("offline");
    // The server's own goodbye, because it restarts or the token has ended, is the one case in which the client of
    // Socket.IO does not come back by itself.
    if (reason === "io server disconnect") setTimeout(() => this.#socket.connect(), COME_BACK_MS);
  }

  #onConnectError(error: Error & { data?: { code?: number; retry_after_ms?: number } }): void {
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
    const old = this.#token;
    this.connection.patch({ reason });
    this.#setStatus("refused");
    if (this.#renewed || !(await this.#fetchToken(old))) return;
    this.#renewed = true;
    this.#socket.connect();
  }

  #onEvent(event: string, data: unknown): void {
    if (typeof data !== "object" || data === null) return;
    const payload = data as Record<string, unknown>;
    this.#options.onEvent?.(event, payload);
    if (event === "call:stats") return this.stats.set(data as Stats);
    const callId = payload.call_id;
    if (typeof callId !== "string") return;
    if (event === "call:help") for (const list of this.#lists.values()) list.applyHelp(callId, payload.agents as Hand[]);
    if (event === "call:status") for (const list of this.#lists.values()) list.apply(payload as { call_id: string });
    if (event !== "error") this.#calls.get(callId)?.apply(event, payload);
  }

  readonly #ask = async (event: string, data: unknown): Promise<Record<string, any> | null> => {
    const askedMs = performance.now();
    const answer = await this.#socket.timeout(ASK_TIMEOUT_MS).emitWithAck(event, data).catch(() => null);
    if (answer) this.connection.patch({ roundTripMs: performance.now() - askedMs });
    return answer;
  };

  readonly #onMissed = (count: number): void => this.connection.patch({ missed: this.connection.get().missed + count });

  async #freshToken(): Promise<string | null> {
    return this.#token ?? this.#fetchToken(null);
  }

  async #fetchToken(old: string | null): Promise<string | null> {
    const { token } = this.#options;
    const fresh = typeof token === "string" ? token : await token(old).catch(() => null);
    if (!fresh || fresh === old) return null;
    this.#takeToken(fresh);
    return fresh;
  }

  #takeToken(token: string): void {
    this.#token = token;
    this.claims.set(claimsOf(token));
    clearTimeout(this.#renewal);
    const waitMs = renewInMs(token, Date.now());
    if (waitMs !== null && typeof this.#options.token === "function") {
      this.#renewal = setTimeout(() => void this.#renew(token), Math.min(waitMs, MAX_TIMER_MS));
    }
  }

  /** Before the token ends. Without another one the connection ends with it, and the server's reason is shown then. */
  async #renew(old: string): Promise<void> {
    const { token } = this.#options;
    const fresh = typeof token === "function" ? await token(old).catch(() => null) : null;
    if (!fresh || fresh === old || old !== this.#token) return;
    if (this.#socket.connected) await this.setToken(fresh).catch(() => {});
    else this.#takeToken(fresh);
  }

  async #readFeatures(): Promise<void> {
    // Without a token: everybody may ask, and from another origin it needs no preflight.
    const response = await fetch(`${this.#options.url ?? ""}/`, { headers: { Accept: "application/json" } }).catch(() => null);
    const answer = response?.ok ? await response.json().catch(() => null) : null;
    if (Array.isArray(answer?.events)) this.features.set(new Set([...answer.events, ...(answer.paths ?? [])]));
  }

  #setStatus(status: ConnectionState["status"]): void {
    if (this.connection.get().status !== status) this.connection.patch({ status, sinceMs: Date.now() });
  }
}
