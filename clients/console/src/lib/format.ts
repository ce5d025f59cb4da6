// Names, times and words as people read them.
import type { CallEntry, CallStatusName } from "@parley/react";

type Named = { call_id: string; metadata?: Record<string, unknown> };

const text = (value: unknown): string => (typeof value === "string" ? value.replaceAll("_", " ").trim() : "");
export const capital = (words: string): string => words.replace(/^\p{Ll}/u, (letter) => letter.toUpperCase());

/** "return_size" → "Return size"; empty if nobody said. */
export const subjectOf = (call: Named): string => capital(text(call.metadata?.subject));

/** "crystal minh" → "Crystal Minh", but "Ludwig van Beethoven" as it is written; empty if nobody said. */
export function customerOf(call: Named): string {
  const name = text(call.metadata?.customer);
  return name === name.toLowerCase() ? name.replace(/(^|[\s-])\p{Ll}/gu, (start) => start.toUpperCase()) : name;
}

/** What a call is called: by its customer, else by its subject, else by its id. */
export const titleOf = (call: Named): string => customerOf(call) || subjectOf(call) || call.call_id;

/** The agents that the feed named, each once: whose call it is, and who else the metadata has. */
export function agentsOf(call: Named & { agents?: readonly string[] }): string[] {
  const { agent, agents } = call.metadata ?? {};
  const named = [...(call.agents ?? []), agent, ...(Array.isArray(agents) ? agents : [])];
  return [...new Set(named.filter((name): name is string => typeof name === "string"))];
}

const STATUS: Record<CallStatusName, string> = { ringing: "Ringing", active: "Active", on_hold: "On hold", ended: "Ended" };
export const statusLabel = (status: CallStatusName | null): string => (status ? STATUS[status] : "No call");

// Made once: toLocaleTimeString() makes one for each call, which a list of 300 calls feels.
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
const SECONDS = new Intl.DateTimeFormat(undefined, { ...CLOCK, second: "2-digit" });
const MINUTES = new Intl.DateTimeFormat(undefined, CLOCK);
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** "14:03:22" in the reader's zone. */
export function clockTime(time: string | number, withSeconds = true): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : (withSeconds ? SECONDS : MINUTES).format(date);
}

/** "Nov 27" in the reader's zone, with the year if it is another one; empty for today. */
export function dayOf(time: string | number, nowMs = Date.now()): string {
  const date = new Date(time);
  const now = new Date(nowMs);
  if (Number.isNaN(date.getTime()) || date.toDateString() === now.toDateString()) return "";
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** "14:03" for today, "Nov 27, 14:03" for another day. */
export const dayAndTime = (time: string | number): string => [dayOf(time), clockTime(time, false)].filter(Boolean).join(", ");

/** Two letters for a name: "ann-lee" → "AL". */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? `${words[0]?.[0] ?? ""}${words[1]?.[0] ?? ""}` : (words[0] ?? "?").slice(0, 2);
  return letters.toUpperCase();
}

const SPEAKERS: Record<string, string> = { customer: "Customer", agent: "Agent", system: "System" };
export const speakerLabel = (speaker: string): string => SPEAKERS[speaker] ?? speaker;

export const isRunning = (call: Pick<CallEntry, "status">): boolean => call.status !== "ended";

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
