// One chat that somebody looks at, kept in step over reconnects, gaps and restarts of the server; and what its user does.
import { BUSY, pauseMs } from "../../lib/retry.mjs";
import { ChatModel } from "./chat-model.js";
import type { ChatItem, ChatMessage, ChatState, Answer, HistoryRow, Ready } from "./chat-types.js";
import type { Link } from "./link.js";
import { RequestError, type Ack } from "./outbox.js";
import { readEvents } from "./sse.js";
import { Store } from "./store.js";
import type { TreeDelta } from "./tree.js";
import type { ArticleText, Failure } from "./types.js";
import { userZone } from "./zone.js";

const PAGE = 100;
/** So long a message waits for the connection before it goes by HTTP alone. */
const FALLBACK_MS = 4000;

export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

export const newId = (): string => `m-${crypto.getRandomValues(new Uint32Array(4)).reduce((text, part) => text + part.toString(36), "")}`;

export class Chat {
  readonly state: Store<ChatState>;
  /** How many look at it. */
  watchers = 0;
  readonly #link: Link;
  readonly #fetch: Fetch;
  readonly #model = new ChatModel();
  /** What the user said that the log has not said yet, and answers that came by HTTP meanwhile. */
  #own: ChatItem[] = [];
  #hasBegun = false;
  #isSyncing = false;
  #attempts = 0;
  #isOwner = true;
  #title = "";
  #hasOlder = false;
  #draw: ReturnType<typeof setTimeout> | undefined;

  constructor(chatId: string, link: Link, fetch: Fetch) {
    this.#link = link;
    this.#fetch = fetch;
    this.state = new Store<ChatState>({
      chatId, isLoading: true, error: null, title: "", items: [], isRunning: false, pending: [], tree: null, treeVersion: 0,
      isOwner: true, takenBy: null, hasOlder: false, seq: 0,
    });
  }

  get chatId(): string {
    return this.state.get().chatId;
  }

  /** Asks for the chat as it stands, or for what came after the newest entry; events meanwhile wait. */
  async sync(): Promise<void> {
    if (this.#isSyncing || !this.#link.isOnline) return;
    this.#isSyncing = true;
    const since = this.#hasBegun ? { since_seq: this.#model.seq } : {};
    if (!this.#hasBegun) this.#model.hold();
    const ready = await this.#link.ask("session.init", { chat_id: this.chatId, want: ["reasoning"], ...userZone(), ...since });
    if (!ready?.ok) return this.#syncFailed(ready?.error);
    if (this.#hasBegun && ready.seq < this.#model.seq) {
      this.#hasBegun = this.#isSyncing = false;
      return this.sync();
    }
    if (!this.#hasBegun && !(await this.#begin(ready as unknown as Ready))) return this.#syncFailed();
    else if (since.since_seq !== undefined && ready.seq > since.since_seq) this.#link.addMissed(ready.seq - since.since_seq);
    this.#isSyncing = false;
    this.#attempts = 0;
    const missed = this.#model.resume();
    this.#title = (ready.title as string | undefined) ?? this.#title;
    this.#isOwner = ready.is_owner !== false;
    this.state.patch({ isLoading: false, error: null });
    this.#show();
    if (missed === "gap" || missed === "unfit") this.#resync(missed);
  }

  apply(event: string, data: Record<string, unknown>): void {
    if (event === "error" && !data.seq) return;
    const applied = this.#model.apply(event, data);
    if (applied === "gap" || applied === "unfit") return this.#resync(applied);
    if (applied === "nothing") return;
    if (event === "chat.message") this.#own = this.#own.filter((item) => item.key !== `message ${String(data.id)}`);
    if (typeof data.ref_id === "string") this.#own = this.#own.filter((item) => item.key !== `answer ${String(data.ref_id)}`);
    // Tokens of one frame are drawn together.
    if (event !== "chat.token" && event !== "chat.reasoning") return this.#show();
    this.#draw ??= setTimeout(() => this.#show(), 16);
  }

  /** The connection is gone: what was awaited will not come. */
  lose(): void {
    this.#isSyncing = false;
  }

  async send(content: string, { queue = false, id = newId() }: { queue?: boolean; id?: string } = {}): Promise<void> {
    const message: ChatMessage = { kind: "message", key: `message ${id}`, id, content, state: "sending", timestamp: new Date().toISOString() };
    this.#own = [...this.#own.filter((item) => item.key !== message.key), message];
    this.#show();
    const fallback = setTimeout(() => void this.#sendByHttp(message), FALLBACK_MS);
    try {
      await this.#request("chat.message", { id, content, ...(queue && { queue }) }, `message ${id}`);
    } catch (error) {
      this.#replaceOwn({ ...message, state: "failed", error: error as Failure });
      throw error;
    } finally {
      clearTimeout(fallback);
    }
  }

  /** Takes back a message that was not sent. */
  discard(id: string): void {
    this.#own = this.#own.filter((item) => item.key !== `message ${id}`);
    this.#show();
  }

  stop(refId?: string): Promise<Ack> {
    return this.#request("signal.stop", refId ? { ref_id: refId } : {}, "stop");
  }

  regenerate(refId: string): Promise<Ack> {
    return this.#request("chat.regenerate", { ref_id: refId });
  }

  edit(id: string, content: string): Promise<Ack> {
    return this.#request("chat.edit", { id, content });
  }

  async rate(refId: string, helpful: boolean): Promise<void> {
    const set = (value: boolean | undefined) => {
      this.#model.items = this.#model.items.map((item) => (item.key === `answer ${refId}` ? { ...(item as Answer), helpful: value } : item));
      this.#show();
    };
    const before = this.#model.items.find((item) => item.key === `answer ${refId}`) as Answer | undefined;
    set(helpful);
    await this.#request("chat.feedback", { ref_id: refId, helpful }, `rate ${refId}`).catch((error) => {
      set(before?.helpful);
      throw error;
    });
  }

  /** content: the form that was filled in; or what is done instead. */
  answer(id: string, answer: { content: Record<string, unknown> } | { action: "accept" | "decline" | "cancel" }): Promise<Ack> {
    return this.#request("elicitation.submit", { reply_to: id, ...answer }, `answer ${id}`);
  }

  editTree(delta: TreeDelta): Promise<Ack> {
    return this.#request("tree.edit", { delta, base_version: this.#model.treeVersion });
  }

  takeOver(release = false): Promise<Ack> {
    return this.#request("chat.takeover", { release });
  }

  /** What an answer of this chat names as its source, as a whole. Rejects with RequestError. */
  async readSource(docId: string): Promise<ArticleText> {
    const response = await this.#fetch(`/api/v1/chats/${encodeURIComponent(this.chatId)}/sources/${encodeURIComponent(docId)}`);
    return ((await response.json()) as { document: ArticleText }).document;
  }

  async loadOlder(): Promise<void> {
    const { oldest } = this.#model;
    if (!oldest || !this.#hasOlder) return;
    const answer = await this.#link.ask("chat.history", { chat_id: this.chatId, before: oldest, limit: PAGE });
    if (!answer?.ok) return;
    this.#addPage(answer);
    this.#show();
  }

  #request(event: string, data: object, key?: string): Promise<Ack> {
    return this.#link.outbox.request(event, { chat_id: this.chatId, ...data }, key ? { isRepeatable: true, key: `${this.chatId} ${key}` } : {});
  }

  async #begin(ready: Ready): Promise<boolean> {
    const page = await this.#link.ask("chat.history", { chat_id: this.chatId, limit: PAGE });
    if (!page) return false;
    this.#model.begin(ready, (page.messages ?? []) as HistoryRow[]);
    this.#hasOlder = page.more === true;
    this.#own = this.#own.filter((item) => !this.#model.items.some((known) => known.key === item.key));
    this.#hasBegun = true;
    return true;
  }

  #addPage(answer: Record<string, any>): void {
    this.#model.addOlder(answer.messages as HistoryRow[]);
    this.#hasOlder = answer.more === true;
  }

  #resync(why: "gap" | "unfit"): void {
    if (this.#isSyncing) return;
    if (why === "unfit") this.#hasBegun = false;
    void this.sync();
  }

  #syncFailed(error?: Failure & { retry_after_ms?: number }): void {
    this.#isSyncing = false;
    if (error && !BUSY.has(error.code)) return this.state.patch({ isLoading: false, error: new RequestError(error) });
    this.#attempts += 1;
    setTimeout(() => this.watchers > 0 && void this.sync(), pauseMs(this.#attempts, error?.retry_after_ms));
  }

  #replaceOwn(item: ChatItem): void {
    const place = this.#own.findIndex((other) => other.key === item.key);
    if (place >= 0) this.#own = this.#own.map((other, i) => (i === place ? item : other));
    this.#show();
  }

  /** Sockets do not get through: the same message by HTTP, whose answer is shown until the log tells it. The server
   * answers an id once, however it came. */
  async #sendByHttp(message: ChatMessage): Promise<void> {
    if (this.#link.isOnline) return;
    const answer: Answer = { kind: "answer", key: `answer ${message.id}`, refId: message.id, attempt: 1, parts: [], thinking: [], reasoning: "", sources: [], state: "running" };
    const scratch = new ChatModel();
    try {
      const response = await this.#fetch(`/api/v1/chats/${encodeURIComponent(this.chatId)}/messages`, {
        method: "POST", headers: { "Content-Type": "application/json", Accept: "text/event-stream" }, body: JSON.stringify({ id: message.id, content: message.content, ...userZone() }),
      });
      this.#replaceOwn({ ...message, state: "sent" });
      this.#own = [...this.#own, answer];
      this.#show();
      if (!response.headers.get("content-type")?.includes("event-stream")) {
        // A server that does not stream: the whole answer, once it is there.
        const { final_text: text } = (await response.json()) as { final_text?: string };
        if (text) this.#replaceOwn({ ...answer, parts: [{ kind: "text", text }], state: "done" });
        return;
      }
      for await (const { event, data } of readEvents(response)) {
        scratch.seq = Number(data.seq ?? scratch.seq + 1) - 1;
        scratch.apply(event, data);
        const heard = scratch.items.find((item) => item.key === answer.key);
        if (heard) this.#replaceOwn(heard);
      }
    } catch {
      // It waits for the connection, as it did.
    }
  }

  #show(): void {
    clearTimeout(this.#draw);
    this.#draw = undefined;
    const model = this.#model;
    const known = new Set(model.items.map((item) => item.key));
    this.state.patch({
      title: this.#title, items: [...model.items, ...this.#own.filter((item) => !known.has(item.key))], isRunning: model.isRunning, pending: model.pending,
      tree: model.tree, treeVersion: model.treeVersion, takenBy: model.takenBy, isOwner: this.#isOwner, hasOlder: this.#hasOlder, seq: model.seq,
    });
  }
}
