import type { AiSuggestion, CallAlert, CallHelp, CallNote, CallSummary } from "../react/src/events.js";
import type { CallStatusName, Line, WrapUp } from "../react/src/types.js";

export interface Change {
  kind: "line" | "suggestion" | "status" | "agents" | "gap" | "restart" | "other";
  from?: number;
  to?: number;
  [field: string]: unknown;
}

export class LiveCall {
  constructor(callId: string);
  readonly callId: string;
  readonly seq: number;
  readonly status: CallStatusName | null;
  readonly agents: string[];
  readonly lines: Line[];
  readonly suggestion: AiSuggestion | null;
  readonly suggestions: AiSuggestion[];
  readonly alerts: CallAlert[];
  readonly notes: CallNote[];
  readonly help: CallHelp["agents"];
  readonly wrapups: WrapUp[];
  readonly summary: CallSummary | null;
  readonly startedAt: string | null;
  readonly metadata: Record<string, unknown>;
  readonly durationAnchor: { seconds: number; atMs: number } | null;
  subscribeRequest(): { call_id: string; since_seq?: number };
  abandonSync(): Change[];
  merge(answer: unknown, nowMs?: number): Change[];
  apply(event: string, data: unknown, nowMs?: number): Change[];
  durationSeconds(nowMs?: number): number | null;
}

export function formatDuration(seconds: number | null): string;
