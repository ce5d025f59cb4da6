// The time for all clocks of a page: one timer and one rendering a second, however many show it. With a timer for each, a
// slow page was never done with them, which React reports as an endless loop (error 185).
import { useSyncExternalStore } from "react";

let nowMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  nowMs = Date.now();
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    nowMs = Date.now();
    timer = setInterval(tick, 1000);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) clearInterval(timer);
  };
}

const stand = () => () => {};
const now = () => nowMs;

/** Milliseconds since 1970, anew each second; it stands still while it does not run. */
export function useNow(runs: boolean): number {
  return useSyncExternalStore(runs ? subscribe : stand, now);
}
