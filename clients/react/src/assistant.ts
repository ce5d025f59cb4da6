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
  readonly #fetch: Fetch;
  #next: string | undefined;
  #hasList = false;

  constructor(socket: Socket, tokens: Tokens, { fetch, onConnect, onEvent }: AssistantOptions) {
    this.#fetch = fetch;
    this.link = new Link(socket, tokens, {
      onConnect: () => {
        onConnect();
        for (const chat of this.#chats.values()) void chat.sync();
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
    if (chat.watchers++ === 0) void chat.sync();
    return chat;
  }

  /** It stays in step for as long as the connection: the namespace has no event to leave a chat. */
  unwatch(chat: Chat): void {
    chat.watchers -= 1;
  }

  /** The newest chats, anew. */
  async refresh(): Promise<void> {
    this.#hasList = true;
    const answer = await this.link.ask("chat.list", { limit: PAGE });
    if (answer) this.#takePage(answer, []);
  }

  async loadMore(): Promise<void> {
    if (!this.#next || this.list.get().isLoading) return;
    this.list.patch({ isLoading: true });
    const answer = await this.link.ask("chat.list", { limit: PAGE, before: this.#next });
    this.#takePage(answer ?? {}, this.list.get().chats);
  }

  #takePage(answer: Record<string, any>, before: readonly ChatEntry[]): void {
    if (!answer.ok) return this.list.patch({ isLoading: false, error: answer.error ? new RequestError(answer.error as Failure) : null });
    this.#next = answer.next as string | undefined;
    this.list.set({ chats: [...before, ...(answer.chats as ChatEntry[])], isLoading: false, hasMore: Boolean(this.#next), error: null });
  }
}
