// What helps with the call: articles, notes of supervisors, and the work after it.
import { useFeature, type CallState } from "@parley/react";
import { useEffect, useRef, useState } from "react";
import { cn } from "../lib/cn.js";
import { useIsSupervisor } from "../lib/roles.js";
import { Tabs, TabsContent, TabsList, TabsTrigger } from "../ui/tabs.js";
import { Notes } from "./notes.js";
import { Suggestions } from "./suggestions.js";
import { WrapUp } from "./wrap-up.js";

type Tab = "articles" | "notes" | "wrap-up";

interface Props {
  call: CallState;
  className?: string;
  first?: Tab;
  /** Which part of the desk is shown on a small screen. */
  view?: string;
  /** How many notes have come that were not looked at. */
  onUnread?: (unread: number) => void;
}

export function HelpPanel({ call, className, first = "articles", view, onUnread }: Props) {
  const isSupervisor = useIsSupervisor();
  const hasNotes = useFeature("note:send");
  const hasWrapUp = useFeature("call:wrapup") && !isSupervisor;
  const [tab, setTab] = useState<Tab>(first);
  const [seen, setSeen] = useState<number | null>(null);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const isLooking = tab === "notes" && panel.current?.offsetParent !== null;
    if (!call.isLoading && (isLooking || seen === null)) setSeen(call.notes.length);
  }, [call.isLoading, call.notes.length, tab, view, seen]);
  const unread = Math.max(0, call.notes.length - (seen ?? call.notes.length));
  useEffect(() => {
    onUnread?.(unread);
    return () => onUnread?.(0);
  }, [unread, onUnread]);
  return (
    <aside ref={panel} aria-label="Help for this call" className={cn("flex min-h-0 min-w-0 flex-col bg-bg", className)}>
      {call.callId && (hasNotes || hasWrapUp) ? (
        <Tabs value={tab} onValueChange={(next) => setTab(next as Tab)} className="flex min-h-0 flex-1 flex-col">
          <TabsList className="px-2" aria-label="Help for this call">
            <TabsTrigger value="articles">Articles</TabsTrigger>
            {hasNotes && <TabsTrigger value="notes">Notes{unread > 0 && <Count unread={unread} />}</TabsTrigger>}
            {hasWrapUp && <TabsTrigger value="wrap-up">Wrap-up</TabsTrigger>}
          </TabsList>
          <TabsContent value="articles"><Suggestions call={call} /></TabsContent>
          <TabsContent value="notes"><Notes call={call} /></TabsContent>
          <TabsContent value="wrap-up"><WrapUp call={call} /></TabsContent>
        </Tabs>
      ) : <Suggestions call={call} />}
    </aside>
  );
}

export function Count({ unread, className }: { unread: number; className?: string }) {
  return <span data-unread={unread} className={cn("grid h-5 min-w-5 place-items-center rounded-full bg-accent px-1.5 text-[11.5px] font-semibold text-accent-ink tabular-nums", className)}>{unread}<span className="sr-only"> new</span></span>;
}
