import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useParley, useStore } from "./hooks.js";
import { newId, type Chat } from "./chat.js";
import type { ChatListState, ChatState, Elicitation } from "./chat-types.js";
import { RequestError } from "./outbox.js";
import { Store } from "./store.js";
import type { TreeDelta, TreeNode } from "./tree.js";
import type { ArticleText, ConnectionState, Failure } from "./types.js";

const NOTHING = new Store<ChatState>({
  chatId: "", isLoading: false, error: null, title: "", items: [], isRunning: false, pending: [], tree: null, treeVersion: 0,
  isOwner: true, takenBy: null, hasOlder: false, seq: 0,
});

function useWatchedChat(chatId: string | null): Chat | null {
  const { assistant } = useParley();
  const [chat, setChat] = useState<Chat | null>(null);
  useEffect(() => {
    if (!chatId) return;
    const watched = assistant.watch(chatId);
    setChat(watched);
    return () => {
      assistant.unwatch(watched);
      setChat(null);
    };
  }, [assistant, chatId]);
  return chat?.chatId === chatId ? chat : null;
}

/** What fails is kept as `problem`, in words; resolves with whether it did not. */
function useAttempt(): [(action: () => Promise<unknown>) => Promise<boolean>, Failure | null, () => void] {
  const [problem, setProblem] = useState<Failure | null>(null);
  const attempt = useCallback(async (action: () => Promise<unknown>) => {
    setProblem(null);
    try {
      await action();
      return true;
    } catch (error) {
      setProblem(error instanceof RequestError ? error : new RequestError({ message: String(error) }));
      return false;
    }
  }, []);
  return [attempt, problem, useCallback(() => setProblem(null), [])];
}

export interface AssistantChat extends ChatState {
  /** Says something. Without a chat one is opened, and `onOpen` gets its id. */
  send: (content: string, options?: { queue?: boolean }) => Promise<boolean>;
  /** Ends the turn that runs. */
  stop: () => Promise<boolean>;
  regenerate: (refId: string) => Promise<boolean>;
  /** The message as it should have been: what followed it is replaced. */
  edit: (id: string, content: string) => Promise<boolean>;
  rate: (refId: string, helpful: boolean) => Promise<boolean>;
  /** Sends a message that failed once more, under its id. */
  retry: (id: string) => Promise<boolean>;
  discard: (id: string) => void;
  takeOver: (release?: boolean) => Promise<boolean>;
  /** A document that an answer here names as its source. Rejects with RequestError. */
  readSource: (docId: string) => Promise<ArticleText>;
  loadOlder: () => void;
  /** Why the last of these failed. */
  problem: Failure | null;
  dismiss: () => void;
  connection: ConnectionState;
}

/** A chat with the assistant, from its first message to what is being written. null: a new one, opened by the first message. */
export function useAssistant(chatId: string | null, { onOpen, assistant: name }: { onOpen?: (chatId: string) => void; assistant?: string } = {}): AssistantChat {
  const { assistant } = useParley();
  const chat = useWatchedChat(chatId);
  const state = useStore(chat?.state ?? NOTHING);
  const connection = useStore(assistant.connection);
  const [attempt, problem, dismiss] = useAttempt();
  const opened = useRef(onOpen);
  opened.current = onOpen;

  const send = useCallback((content: string, options?: { queue?: boolean }) => attempt(async () => {
    if (chat) return chat.send(content, options);
    const fresh = assistant.watch(await assistant.create(name ? { assistant: name } : {}));
    const sending = fresh.send(content, { id: newId() });
    opened.current?.(fresh.chatId);
    // Whoever shows the chat watches it from then on.
    await sending.finally(() => assistant.unwatch(fresh));
  }), [assistant, attempt, chat, name]);
  const readSource = useCallback((docId: string) => (chat ? chat.readSource(docId) : Promise.reject(new RequestError({ code: 404, message: "no chat is open" }))), [chat]);
  const on = useCallback((action: (own: Chat) => Promise<unknown>) => attempt(async () => (chat ? action(chat) : undefined)), [attempt, chat]);

  return useMemo(() => ({
    ...(chat || !chatId ? state : { ...state, chatId, isLoading: true }),
    send,
    stop: () => on((own) => own.stop()),
    regenerate: (refId) => on((own) => own.regenerate(refId)),
    edit: (id, content) => on((own) => own.edit(id, content)),
    rate: (refId, helpful) => on((own) => own.rate(refId, helpful)),
    retry: (id) => on((own) => {
      const failed = own.state.get().items.find((item) => item.kind === "message" && item.id === id);
      return failed?.kind === "message" ? own.send(failed.content, { id }) : Promise.resolve();
    }),
    discard: (id) => chat?.discard(id),
    takeOver: (release) => on((own) => own.takeOver(release)),
    readSource,
    loadOlder: () => void chat?.loadOlder(),
    problem, dismiss, connection,
  }), [chat, chatId, state, send, on, readSource, problem, dismiss, connection]);
}

export interface ChatTree {
  root: TreeNode | null;
  version: number;
  /** The user's own change. Others' changes meanwhile may make it fail, with code 409 in `problem`. */
  edit: (delta: TreeDelta) => Promise<boolean>;
  problem: Failure | null;
}

/** The object tree of a chat, as the assistant and all its readers change it. */
export function useTree(chatId: string | null): ChatTree {
  const chat = useWatchedChat(chatId);
  const { tree, treeVersion } = useStore(chat?.state ?? NOTHING);
  const [attempt, problem] = useAttempt();
  const edit = useCallback((delta: TreeDelta) => attempt(async () => chat?.editTree(delta)), [attempt, chat]);
  return useMemo(() => ({ root: tree, version: treeVersion, edit, problem }), [tree, treeVersion, edit, problem]);
}

export interface Elicitations {
  /** Questions that wait for the user, the oldest first. */
  pending: readonly Elicitation[];
  submit: (id: string, content: Record<string, unknown>) => Promise<boolean>;
  /** accept: without a form, a link that was followed or a tool that may run. */
  act: (id: string, action: "accept" | "decline" | "cancel") => Promise<boolean>;
  /** Why the last answer was refused; `field` points into the form. 409: somebody answered before. */
  problem: Failure | null;
}

/** The assistant's questions to the user of a chat. */
export function useElicitation(chatId: string | null): Elicitations {
  const chat = useWatchedChat(chatId);
  const { pending } = useStore(chat?.state ?? NOTHING);
  const [attempt, problem] = useAttempt();
  const submit = useCallback((id: string, content: Record<string, unknown>) => attempt(async () => chat?.answer(id, { content })), [attempt, chat]);
  const act = useCallback((id: string, action: "accept" | "decline" | "cancel") => attempt(async () => chat?.answer(id, { action })), [attempt, chat]);
  return useMemo(() => ({ pending, submit, act, problem }), [pending, submit, act, problem]);
}

/** How often lists are asked for again: nobody says when the chats of others change, or one's own that another tab has open. */
const OTHERS_MS = 10_000, OWN_MS = 30_000;

/** The user's chats, the newest first; `all`: those of all users, for supervisors with the claim `chats: "*"`. */
export function useChats({ all = false }: { all?: boolean } = {}): ChatListState & { loadMore: () => void; remove: (chatId: string) => Promise<boolean>; problem: Failure | null } {
  const { assistant } = useParley();
  const state = useStore(assistant.list);
  const { status } = useStore(assistant.connection);
  const [attempt, problem] = useAttempt();
  useEffect(() => {
    assistant.showAll(all);
    if (status !== "online") return undefined;
    void assistant.refresh();
    const timer = setInterval(() => void assistant.refresh(), all ? OTHERS_MS : OWN_MS);
    return () => clearInterval(timer);
  }, [assistant, status, all]);
  return useMemo(() => ({ ...state, loadMore: () => void assistant.loadMore(), remove: (chatId) => attempt(() => assistant.remove(chatId)), problem }), [assistant, state, attempt, problem]);
}
