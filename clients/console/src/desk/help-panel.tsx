// What helps with the call: suggested articles, and one of them as a whole.
import type { CallState } from "@parley/react";
import { cn } from "../lib/cn.js";
import { Suggestions } from "./suggestions.js";

export function HelpPanel({ call, className }: { call: CallState; className?: string }) {
  return (
    <aside aria-label="Help for this call" className={cn("flex min-h-0 min-w-0 flex-col bg-bg", className)}>
      <Suggestions call={call} />
    </aside>
  );
}
