// A client of one server: the connection for calls, and, once it is asked for, the one for the assistant, over the same
// transport. Knows nothing of React.
import { io, type Manager } from "socket.io-client";
import { Assistant } from "./assistant.js";
import { Call } from "./call.js";
import { CallList } from "./call-list.js";
import { ServerClock } from "./clock.js";
import type { CallAlert } from "./events.js";
import { Link } from "./link.js";
import { RequestError, type Ack, type RequestOptions } from "./outbox.js";
import { Store } from "./store.js";
import { Tokens, type TokenSource } from "./tokens.js";
import type { CallStatusName, Hand, Stats } from "./types.js";

export interface ParleyOptions {
  /** Where the server is; without it, where the page came from. */
  url?: string;
  token: TokenSource;
  /** Called for every event that the server sends, before it is applied. */
  onEvent?: (event: string, data: Record<string, unknown>) => void;
  /** False: for the assistant alone, as for users whose role opens no calls. */
  hasCalls?: boolean;
}

export class ParleyClient {
  /** The newest call:stats; null until one came: only some supervisors get them. */
  readonly stats = new Store<Stats | null>(null);
  /** Events and paths ("GET /api/v1/documents/{doc_id}") that the server understands; null until it has said. */
  readonly features = new Store<ReadonlySet<string> | null>(null);
  readonly clock = new ServerClock();
  readonly #options: ParleyOptions;
  readonly #tokens: Tokens;
  readonly #manager: Manager;
  readonly #auth: (give: (data: object) => void) => void;
  readonly #link: Link;
  readonly #calls = new Map<string, Call>();
  readonly #lists = new Map<string, CallList>();
  #assistant: Assistant | null = null;
  #isOpen = false;

  constructor(options: ParleyOptions) {
    this.#options = options;
    this.#tokens = new Tokens(options.token, this.clock);
    this.#tokens.onRenewed = (token) => this.#bring(token);
    this.#auth = (give) => void this.#tokens.get().then((token) => give(token ? { token } : {}));
    const socket = io(options.url ?? "", { auth: this.#auth, autoConnect: false, forceNew: true, reconnectionDelay: 500, reconnectionDelayMax: 5000 });
    this.#manager = socket.io;
    this.#link = new Link(socket, this.#tokens, {
      onConnect: () => this.#onConnect(),
      onDisconnect: () => this.#calls.forEach((call) => call.lose()),
      onEvent: (event, data) => this.#onEvent(event, data),
    });
  }

  get connection() {
    return this.#options.hasCalls === false ? this.assistant.connection : this.#link.connection;
  }

  get claims() {
    return this.#tokens.claims;
  }

  /** Chats. The first use opens its connection. */
  get assistant(): Assistant {
    if (!this.#assistant) {
      const socket = this.#manager.socket("/chat", { auth: this.#auth });
      this.#assistant = new Assistant(socket, this.#tokens, { fetch: (path, init) => this.#fetch(path, init), onConnect: () => void this.#readFeatures(), onEvent: this.#options.onEvent });
      if (this.#isOpen) this.#assistant.open();
    }
    return this.#assistant;
  }

  open(): void {
    this.#isOpen = true;
    if (this.#options.hasCalls === false) return this.assistant.open();
    this.#link.open();
    this.#assistant?.open();
  }

  close(): void {
    this.#isOpen = false;
    this.#tokens.stop();
    this.#link.close();
    this.#assistant?.close();
  }

  /** Another token of the same user, or, if there is no connection, of anybody. */
  async setToken(token: string): Promise<void> {
    await this.#bring(token);
    this.#tokens.take(token);
  }

  /** Sends an event and resolves with the server's answer; waits for the connection. Rejects with RequestError. */
  request(event: string, data: unknown, options?: RequestOptions): Promise<Ack> {
    return this.#link.outbox.request(event, data, options);
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

  /** The call, watched until `unwatch` was called as often. */
  watch(callId: string): Call {
    let call = this.#calls.get(callId);
    if (!call) {
      call = new Call(callId, { outbox: this.#link.outbox, isOnline: () => this.#link.isOnline, ask: this.#link.ask, onMissed: this.#link.addMissed });
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
      this.#link.emit("call:unsubscribe", { call_id: callId });
    }, 0);
  }

  /** The list of calls of this status, or of all. It stays in step as long as the client is open. */
  list(status?: CallStatusName): CallList {
    const key = status ?? "";
    let list = this.#lists.get(key);
    if (!list) {
      list = new CallList(status, this.#link.ask);
      this.#lists.set(key, list);
      if (this.#link.isOnline) void list.refresh();
    }
    return list;
  }

  async #bring(token: string): Promise<void> {
    const links = [...(this.#options.hasCalls === false ? [] : [this.#link]), ...(this.#assistant ? [this.#assistant.link] : [])];
    // Who connects now must have the new one.
    if (links.some((link) => !link.isOnline)) this.#tokens.take(token);
    await Promise.all(links.map((link) => link.takeToken(token)));
  }

  #onConnect(): void {
    for (const call of this.#calls.values()) void call.sync();
    for (const list of this.#lists.values()) void list.refresh();
    void this.#readFeatures();
  }

  #onEvent(event: string, payload: Record<string, unknown>): void {
    this.#options.onEvent?.(event, payload);
    if (event === "call:stats") return this.stats.set(payload as unknown as Stats);
    const callId = payload.call_id;
    if (typeof callId !== "string") return;
    if (event === "call:help") for (const list of this.#lists.values()) list.applyHelp(callId, payload.agents as Hand[]);
    if (event === "call:alert") for (const list of this.#lists.values()) list.applyAlert(payload as unknown as CallAlert);
    if (event === "call:status") for (const list of this.#lists.values()) list.apply(payload as { call_id: string });
    if (event !== "error") this.#calls.get(callId)?.apply(event, payload);
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = await this.#tokens.get();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const response = await fetch((this.#options.url ?? "") + path, { ...init, headers }).catch(() => null);
    if (!response) throw new RequestError({ message: "the server cannot be reached" });
    if (response.ok) return response;
    const answer = await response.json().catch(() => null);
    throw new RequestError({ code: response.status, message: response.statusText, ...answer?.error });
  }

  async #readFeatures(): Promise<void> {
    // Without a token: everybody may ask, and from another origin it needs no preflight.
    const askedMs = Date.now();
    const response = await fetch(`${this.#options.url ?? ""}/`, { headers: { Accept: "application/json" } }).catch(() => null);
    const answer = response?.ok ? await response.json().catch(() => null) : null;
    this.clock.learn(answer?.time, askedMs);
    if (Array.isArray(answer?.events)) this.features.set(new Set([...answer.events, ...(answer.paths ?? [])]));
  }
}
