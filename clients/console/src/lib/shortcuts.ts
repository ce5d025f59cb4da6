// Keys that work anywhere but while typing. The help sheet lists what stands here.
import { useEffect } from "react";

export const SHORTCUTS: ReadonlyArray<{ keys: string; does: string }> = [
  { keys: "J / K", does: "Next or previous call" },
  { keys: "F", does: "Find in the transcript" },
  { keys: "L", does: "Jump to the latest line" },
  { keys: "/", does: "Search the knowledge base" },
  { keys: "1 – 5", does: "Open that suggested article" },
  { keys: "Y / N", does: "Mark the open or first article as helpful or not" },
  { keys: "Esc", does: "Close what is open" },
  { keys: "?", does: "Show this list" },
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** handlers by KeyboardEvent.key, in lower case. What returns false did not want the key. */
export function useShortcuts(handlers: Record<string, () => boolean | void>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event.target) && event.key !== "Escape") return;
      const handler = handlers[event.key.toLowerCase()];
      if (handler && handler() !== false) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [handlers]);
}
