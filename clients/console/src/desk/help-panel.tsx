// What helps with the call: articles, notes of supervisors, and the work after it.
import { useFeature, type CallState } from "@parley/react";
import { useEffect, useState } from "react";
import { cn } from "../lib/cn.js";
import { useIsSupervisor } from "../lib/roles.js";
import { Tabs, TabsContent, TabsList, TabsTrigger } from "../ui/tabs.js";
import { Notes } from "./notes.js";
import { Suggestions } from "./suggestions.js";
import { WrapUp } from "./wrap-up.js";

type Tab = "articles" | "notes" | "wrap-up";

export function HelpPanel({ call, className, first = "articles" }: { call: CallState; className?: string; first?: Tab }) {
  const isSupervisor = useIsSupervisor();
  const hasNotes = useFeature("note:send");
  const hasWrapUp = useFeature("call:wrapup") && !isSupervisor;
  const [tab, setTab] = useState<Tab>(first);
  const [seen, setSeen] = useState<number | null>(null);
  useEffect(() => {
    if (!call.isLoading && (tab === "notes" || seen === null)) setSeen(call.notes.length);
  }, [call.isLoading, call.notes.length, tab, seen]);
  const unread = Math.max(0, call.notes.length - (seen ?? call.notes.length));
  return (
    <aside aria-label="Help for this call" className={cn("flex min-h-0 min-w-0 flex-col bg-bg", className)}>
      {call.callId && (hasNotes || hasWrapUp) ? (
        <Tabs value={tab} onValueChange={(next) => setTab(next as Tab)} className="flex min-h-0 flex-1 flex-col">
          <TabsList className="px-2" aria-label="Help for this call">
            <TabsTrigger value="articles">Articles</TabsTrigger>
            {hasNotes && <TabsTrigger value="notes">Notes<Count unread={unread} /></TabsTrigger>}
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

function Count({ unread }: { unread: number }) {
  if (unread === 0) return null;
  return <span data-unread={unread} className="grid h-5 min-w-5 place-items-center rounded-full bg-accent px-1.5 text-[11.5px] font-semibold text-accent-ink tabular-nums">{unread}<span className="sr-only"> new</span></span>;
}
