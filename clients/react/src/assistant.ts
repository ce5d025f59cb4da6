// The assistant's namespace: the chats that are looked at, and the list of all.
import type { Socket } from "socket.io-client";
import { Chat, type Fetch } from "./chat.js";
import type { ChatEntry, ChatListState } from "./chat-types.js";
import { Link } from "./link.js";
import { RequestError } from "./outbox.js";
import { Store } from "./store.js";
import type { Tokens } from "./tokens.js";
import type { Failure } from "./types.js";
import { userZone } from "./zone.js";

export interface AssistantOptions {
  fetch: Fetch;
  onConnect: () => void;
  onEvent?: (event: string, data: Record<string, unknown>) => void;
}

const PAGE = 50;
/** These change the list: a title, a time, a new chat of another tab. */
const OF_THE_LIST = new Set(["chat.message", "chat.done"]);

export class Assistant {
  readonly link: Link;
  readonly list = new Store<ChatListState>({ chats: [], isLoading: true, hasMore: false, error: null });
  readonly #chats = new Map<string, Chat>();
  /** Chats that were abandoned when the list was last read, or have been resumed since. */
  readonly #left = new Set<string>();
  readonly #fetch: Fetch;
  #next: string | undefined;
  #hasList = false;
  #all = false;

  constructor(socket: Socket, tokens: Tokens, { fetch, onConnect, onEvent }: AssistantOptions) {
    this.#fetch = fetch;
    this.link = new Link(socket, tokens, {
      onConnect: () => {
        onConnect();
        for (const chat of this.#chats.values()) void this.#sync(chat);
        if (this.#hasList) void this.refresh();
      },
      onDisconnect: () => this.#chats.forEach((chat) => chat.lose()),
      onEvent: (event, data) => {
        onEvent?.(event, data);
        if (typeof data.chat_id === "string") this.#chats.get(data.chat_id)?.apply(event, data);
        if (this.#hasList && OF_THE_LIST.has(event)) void this.refresh();
      },
    });
  }

  get connection() {
    return this.link.connection;
  }

  open(): void {
    this.link.open();
  }

  close(): void {
    this.link.close();
  }

  /** Opens a new chat and resolves with its id. Rejects with RequestError. */
  async create(options: { assistant?: string } = {}): Promise<string> {
    const answer = await this.link.outbox.request("session.init", { ...userZone(), ...options });
    return answer.chat_id as string;
  }

  async remove(chatId: string): Promise<void> {
    await this.link.outbox.request("chat.delete", { chat_id: chatId });
    this.list.patch({ chats: this.list.get().chats.filter((chat) => chat.chat_id !== chatId) });
  }

  /** The chat, watched until `unwatch` was called as often. */
  watch(chatId: string): Chat {
    let chat = this.#chats.get(chatId);
    if (!chat) {
      chat = new Chat(chatId, this.link, this.#fetch);
      this.#chats.set(chatId, chat);
    }
    if (chat.watchers++ === 0) void this.#sync(chat);
    return chat;
  }

  /** It stays in step for as long as the connection: the namespace has no event to leave a chat. */
  unwatch(chat: Chat): void {
    chat.watchers -= 1;
  }

  /** To open an abandoned chat resumes it, which nothing tells but the list. */
  async #sync(chat: Chat): Promise<void> {
    await chat.sync();
    if (this.#hasList && this.list.get().chats.some((entry) => entry.chat_id === chat.chatId && entry.state === "abandoned")) await this.refresh();
  }

  /** The server has three states: what is active after it was abandoned is resumed. */
  #told(entry: ChatEntry): ChatEntry {
    if (entry.state === "abandoned") this.#left.add(entry.chat_id);
    else if (entry.state !== "active") this.#left.delete(entry.chat_id);
    return entry.state === "active" && this.#left.has(entry.chat_id) ? { ...entry, state: "resumed" } : entry;
  }

  /** The list is of all users' chats, for who may watch them, or of one's own. */
  showAll(all: boolean): void {
    if (this.#all === all) return;
    this.#all = all;
    this.#next = undefined;
    this.list.set({ chats: [], isLoading: true, hasMore: false, error: null });
  }

  /** The newest chats, anew; older ones that were loaded stay. */
  async refresh(): Promise<void> {
    this.#hasList = true;
    const all = this.#all;
    const answer = await this.link.ask("chat.list", { limit: PAGE, ...(all && { all }) });
    if (!answer || all !== this.#all) return;
    const [older, next] = [this.#olderThan(answer), this.#next];
    this.#takePage(answer, []);
    if (!older.length || !answer.ok) return;
    this.#next = next;
    this.list.patch({ chats: [...this.list.get().chats, ...older], hasMore: Boolean(next) });
  }

  async loadMore(): Promise<void> {
    if (!this.#next || this.list.get().isLoading) return;
    this.list.patch({ isLoading: true });
    const all = this.#all;
    const answer = await this.link.ask("chat.list", { limit: PAGE, before: this.#next, ...(all && { all }) });
    if (all === this.#all) this.#takePage(answer ?? {}, this.list.get().chats);
  }

  #olderThan({ chats = [], next }: Record<string, any>): ChatEntry[] {
    const last = chats.at(-1) as ChatEntry | undefined;
    if (!next || !last) return [];
    const has = new Set(chats.map((chat: ChatEntry) => chat.chat_id));
    return this.list.get().chats.filter((chat) => !has.has(chat.chat_id) && (chat.updated_at ?? "") <= (last.updated_at ?? ""));
  }

  #takePage(answer: Record<string, any>, before: readonly ChatEntry[]): void {
    if (!answer.ok) return this.list.patch({ isLoading: false, error: answer.error ? new RequestError(answer.error as Failure) : null });
    this.#next = answer.next as string | undefined;
    this.list.set({ chats: [...before, ...(answer.chats as ChatEntry[]).map((entry) => this.#told(entry))], isLoading: false, hasMore: Boolean(this.#next), error: null });
  }
}
