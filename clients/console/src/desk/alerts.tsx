import type { CallAlert } from "@parley/react";
import { TriangleAlert } from "lucide-react";
import { useState } from "react";
import { cn } from "../lib/cn.js";
import { Button } from "../ui/button.js";

export const isUrgent = ({ level }: CallAlert): boolean => /crit|high|error|urgent/i.test(level);
export const ruleLabel = ({ rule }: CallAlert): string => rule.replaceAll(/[_-]/g, " ");

/** Rules that fired in this call: the newest, and how many there are. */
export function Alerts({ alerts }: { alerts: readonly CallAlert[] }) {
  const [seen, setSeen] = useState(0);
  const open = alerts.filter((alert) => alert.seq > seen);
  const newest = open.at(-1);
  if (!newest) return null;
  const isBad = isUrgent(newest);
  return (
    <div role="alert" data-alert={newest.rule} className={cn("flex items-center gap-2.5 border-b px-4 py-1.5 lg:px-6", isBad ? "border-bad/30 bg-bad-wash text-bad" : "border-warn-line bg-warn-wash text-warn")}>
      <TriangleAlert aria-hidden className="size-4 shrink-0" />
      <p className="min-w-0 flex-1 text-pretty wrap-anywhere"><strong className="font-semibold">{ruleLabel(newest)}</strong>{newest.text && `: ${newest.text}`}{open.length > 1 && ` (and ${open.length - 1} more)`}</p>
      <Button variant="ghost" onClick={() => setSeen(newest.seq)} className="text-current hover:text-current">Dismiss</Button>
    </div>
  );
}
