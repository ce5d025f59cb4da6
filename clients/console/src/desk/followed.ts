// Which call is on the desk, and which one has begun meanwhile.
import { useClaims, type CallEntry } from "@parley/react";
import { useCallback, useEffect, useMemo, useReducer, useState } from "react";
import { agentsOf, isRunning } from "../lib/format.js";

/** The reader is in the middle of something that another call would take away: a text, an open article. */
const isBusy = (): boolean =>
  /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "") || document.querySelector("[data-article]") !== null;

/** Without a choice of the reader's: the newest live call of one's own, else of anybody. One's own stays when it has ended, for
 * the work after it; another's makes room for a live one. */
export function useFollowed(chosen: string | null, calls: readonly CallEntry[]): string | null {
  const { sub } = useClaims();
  const [followed, setFollowed] = useState<string | null>(null);
  const [, lookAgain] = useReducer((count: number) => count + 1, 0);
  const isOwn = (call: CallEntry) => sub !== undefined && agentsOf(call).includes(sub);
  const own = calls.find((call) => isRunning(call) && isOwn(call));
  const current = calls.find((call) => call.call_id === followed);
  const stays = current && (isOwn(current) || (isRunning(current) && !own));
  const next = stays ? current.call_id : ((own ?? calls.find(isRunning) ?? current ?? calls[0])?.call_id ?? null);
  const wantsOther = !chosen && next !== followed;
  useEffect(() => {
    if (!wantsOther) return;
    if (!followed || !isBusy()) return setFollowed(next);
    const events = ["focusout", "click", "keyup"] as const;
    const later = () => void setTimeout(lookAgain, 0);
    for (const event of events) document.addEventListener(event, later);
    return () => events.forEach((event) => document.removeEventListener(event, later));
  });
  return chosen ?? followed;
}

/** The newest live call of one's own that began while another one was on the desk, until it is opened or dismissed. */
export function useIncoming(callId: string | null, calls: readonly CallEntry[], isLoading: boolean): { incoming: CallEntry | null; dismiss: () => void } {
  const { sub } = useClaims();
  const [seen, setSeen] = useState<ReadonlySet<string> | null>(null);
  const own = useMemo(() => calls.filter((call) => sub !== undefined && isRunning(call) && agentsOf(call).includes(sub)), [calls, sub]);
  useEffect(() => {
    // What was there from the start is in the list, and no news.
    if (seen === null && !isLoading) setSeen(new Set(own.map((call) => call.call_id)));
    else if (seen && callId && !seen.has(callId)) setSeen(new Set([...seen, callId]));
  }, [seen, isLoading, own, callId]);
  const incoming = (seen && own.find((call) => call.call_id !== callId && !seen.has(call.call_id))) ?? null;
  const dismiss = useCallback(() => setSeen((old) => new Set([...(old ?? []), ...own.map((call) => call.call_id)])), [own]);
  return { incoming, dismiss };
}
