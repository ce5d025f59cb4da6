// What the hooks of the assistant give to an application.
import type { ChatSource, ElicitationEnd, ElicitationStart, SessionReady } from "./events.js";
import type { TreeNode } from "./tree.js";
import type { Failure } from "./types.js";

/** A question of the assistant to the user: a form, a link, or whether a tool may run. */
export interface Elicitation extends Omit<ElicitationStart, "seq" | "chat_id"> {
  state: "open" | ElicitationEnd["action"];
}

export interface ToolCall {
  callId: string;
  tool: string;
  title?: string;
  server?: string;
  args?: Record<string, unknown>;
  state: "running" | "done" | "failed";
  progress?: { progress: number; total?: number; message?: string };
  result?: Record<string, unknown>;
  /** What the model read of the result. */
  text?: string;
}

/** An answer is these, in the order in which they came. */
export type AnswerPart =
  | { kind: "text"; text: string }
  | { kind: "tool"; call: ToolCall }
  | { kind: "form"; elicitation: Elicitation };

export type Source = Pick<ChatSource, "doc_id" | "title" | "excerpt">;

export interface Answer {
  kind: "answer";
  key: string;
  /** The message it answers. */
  refId: string;
  /** Above 1 for another answer to the same message. */
  attempt: number;
  parts: readonly AnswerPart[];
  thinking: ReadonlyArray<{ step: string; detail?: string }>;
  reasoning: string;
  sources: readonly Source[];
  state: "running" | "done" | "stopped" | "failed";
  error?: Failure;
  /** A person who answered in place of the assistant. */
  by?: string;
  helpful?: boolean;
}

export interface ChatMessage {
  kind: "message";
  key: string;
  id: string;
  content: string;
  from?: string;
  by?: string;
  timestamp?: string;
  /** sending: the server has not confirmed it; queued: it waits for the turn that runs. */
  state: "sending" | "queued" | "sent" | "failed";
  error?: Failure;
}

export type ChatItem =
  | ChatMessage
  | Answer
  | { kind: "reminder"; key: string; id: string; text: string; at: string }
  | { kind: "takeover"; key: string; by: string; release: boolean };

export interface ChatState {
  chatId: string;
  title: string;
  /** True until the first answer. */
  isLoading: boolean;
  error: Failure | null;
  items: readonly ChatItem[];
  /** A turn runs, or waits for an answer of the user. */
  isRunning: boolean;
  pending: readonly Elicitation[];
  tree: TreeNode | null;
  treeVersion: number;
  /** Somebody else's chat, which one watches. */
  isOwner: boolean;
  takenBy: string | null;
  hasOlder: boolean;
  seq: number;
}

export type Ready = Pick<SessionReady, "seq"> & Partial<SessionReady>;

/** A row of chat.history. */
export interface HistoryRow {
  id: number;
  type: "user" | "ai" | "thinking" | "tool" | "component" | "error";
  content: string;
  timestamp?: string;
  ref_id?: string;
  attempt?: number;
  replaced?: boolean;
  /** Of an answer: what its reader found. */
  helpful?: boolean;
  data?: Record<string, any>;
}

/** A chat as lists have it. */
/** active: what the user wants is being done, or waits for an answer. abandoned: the user left before. resumed: active again after that. completed: nothing is open. */
export type ChatProgress = "active" | "abandoned" | "resumed" | "completed";

export interface ChatEntry {
  chat_id: string;
  /** Whose it is. */
  user?: string;
  title?: string;
  created_at?: string;
  updated_at?: string;
  state?: ChatProgress;
  [field: string]: unknown;
}

export interface ChatListState {
  chats: readonly ChatEntry[];
  isLoading: boolean;
  hasMore: boolean;
  error: Failure | null;
}
