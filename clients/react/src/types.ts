// What the hooks give to an application. The events themselves are in events.ts, made from the server's schemas.
import type { AiSuggestion, CallAlert, CallHelp, CallNote, CallStats, CallStatus, CallSummary } from "./events.js";

export type CallStatusName = CallStatus["status"];

/** A line of the transcript as it stands now. */
export interface Line {
  /** The same for every version of the line. */
  key: string;
  /** `seq` of its first version: lines are in this order. */
  order: number;
  /** `seq` of this version. */
  seq: number;
  speaker: string;
  text: string;
  timestamp: string;
  /** False while it is still being said. */
  final: boolean;
  /** True once a final line was replaced. */
  corrected: boolean;
}

export type SuggestedDocument = AiSuggestion["documents"][number];

/** A call as lists have it. */
export interface CallEntry {
  call_id: string;
  status: CallStatusName;
  started_at: string;
  duration: number;
  metadata?: Record<string, unknown>;
  seq?: number;
  /** The users whose call it is, as its feed named them. */
  agents?: readonly string[];
  /** For supervisors: whose hands are up. */
  help?: readonly Hand[];
  /** For supervisors: the latest alerts of a call that goes on, the newest last. */
  alerts?: readonly CallAlert[];
}

/** How a call went, by one of its agents. */
export interface WrapUp {
  agent_id: string;
  outcome: string;
  notes?: string;
  timestamp: string;
}

/** How much is going on, of all nodes: for supervisors whose token opens all calls. */
export type Stats = CallStats;

/** Somebody's hand that is up. */
export type Hand = CallHelp["agents"][number];

/** A document in a list. */
export interface DocumentEntry {
  id: string;
  title: string;
  topic: string;
  /** The file that it came from, or `console`. */
  source: string;
  helpful: number;
  unhelpful: number;
  /** How often it was suggested. */
  shown: number;
  /** Calls in which it helped, of which it knows what customers said. */
  learned_calls: number;
}

/** A document to read. */
export interface ArticleText extends Pick<DocumentEntry, "id" | "title" | "topic"> {
  text: string;
}

/** A document as a whole. */
export interface Article extends DocumentEntry, ArticleText {
  /** What calls taught, the most frequent first. */
  learned: Array<{ kind: "word" | "pair" | "concept"; text: string; calls: number }>;
  /** How customers ask for it, written by a model or a person. Missing from servers older than 2026-12. */
  phrases?: Array<{ id: string; text: string; by: "model" | "person" }>;
}

/** What an agent said of a document, and what became of it. */
export interface Vote {
  helpful: boolean;
  /** The server has not confirmed it: it waits for the connection or for the answer. */
  isPending: boolean;
  /** Of all agents and calls, once the server has said. */
  totals?: { helpful: number; unhelpful: number };
}

/** Why the server refused something. */
export interface Failure {
  /** As in HTTP; 0 if there was no answer. */
  code: number;
  message: string;
  field?: string;
}

export interface CallState {
  callId: string;
  /** True until the first answer. */
  isLoading: boolean;
  error: Failure | null;
  status: CallStatusName | null;
  startedAt: string | null;
  metadata: Record<string, unknown>;
  /** How long it had lasted at that moment (`Date.now()`); the clock goes on from there unless it has ended. */
  duration: { seconds: number; atMs: number } | null;
  lines: readonly Line[];
  suggestion: AiSuggestion | null;
  agents: readonly string[];
  alerts: readonly CallAlert[];
  notes: readonly CallNote[];
  /** Whose hands are up. */
  help: readonly Hand[];
  wrapups: readonly WrapUp[];
  summary: CallSummary | null;
  votes: ReadonlyMap<string, Vote>;
  seq: number;
}

export interface CallListState {
  calls: readonly CallEntry[];
  isLoading: boolean;
  hasMore: boolean;
  error: Failure | null;
}

export interface ConnectionState {
  /** offline: it was there or is awaited, and comes back by itself; refused: the server does not accept the token. */
  status: "connecting" | "online" | "offline" | "refused";
  transport: string | null;
  socketId: string | null;
  roundTripMs: number | null;
  reconnects: number;
  /** Events that were missed and fetched afterwards. */
  missed: number;
  /** Requests of the user that wait for the connection or an answer. */
  waiting: number;
  /** When the status changed last (`Date.now()`). */
  sinceMs: number;
  reason: string | null;
}

export interface Claims {
  sub?: string;
  role?: string;
  calls?: string[] | "*";
  /** Chats of others that a supervisor may watch. */
  chats?: string[] | "*";
  exp?: number;
}
