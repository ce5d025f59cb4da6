// The agent's desk: the list of calls, the call with its transcript, and what helps with it.
import { useCall, useCalls, type CallEntry } from "@parley/react";
import { BookOpenText, List, MessagesSquare } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { cn } from "../lib/cn.js";
import { titleOf } from "../lib/format.js";
import { go } from "../lib/route.js";
import { useShortcuts } from "../lib/shortcuts.js";
import { Alerts } from "./alerts.js";
import { CallHead } from "./call-head.js";
import { CallMenu } from "./call-menu.js";
import { CallList } from "./call-list.js";
import { useFollowed, useIncoming } from "./followed.js";
import { RaiseHand } from "./hand.js";
import { Count, HelpPanel } from "./help-panel.js";
import { Incoming } from "./incoming.js";
import { FindButton, Transcript } from "./transcript.js";

type View = "calls" | "transcript" | "help";

export function Desk({ callId: chosen }: { callId: string | null }) {
  const list = useCalls();
  const callId = useFollowed(chosen, list.calls);
  const { incoming, dismiss } = useIncoming(callId, list.calls, list.isLoading);
  const call = useCall(callId);
  const [unread, setUnread] = useState(0);
  const [view, setView] = useState<View>("transcript");
  const [isFinding, setFinding] = useState(false);
  const entry = useMemo(() => ({ call_id: callId ?? "", metadata: call.metadata, ...list.calls.find((known) => known.call_id === callId) }), [callId, call.metadata, list.calls]);

  // Opened by a link, it may be older than all that is listed.
  const { status, startedAt, metadata, duration } = call;
  const seconds = status === "ended" ? (duration?.seconds ?? 0) : 0;
  const viewed = useMemo((): CallEntry | null => (call.callId && status && startedAt
    ? { call_id: call.callId, status, started_at: startedAt, duration: seconds, metadata } : null), [call.callId, status, startedAt, seconds, metadata]);

  useEffect(() => {
    document.title = incoming ? `New call: ${titleOf(incoming)} · Parley` : callId ? `${titleOf(entry)} · Parley` : "Parley";
  }, [callId, entry, incoming]);

  // The field would take the keys that are meant for the call.
  useEffect(() => setFinding(false), [callId]);

  const open = useCallback((id: string) => {
    go("desk", id);
    setView("transcript");
  }, []);
  const step = (by: number) => {
    const at = list.calls.findIndex((known) => known.call_id === callId);
    const next = list.calls[at + by];
    if (next) go("desk", next.call_id);
  };
  useShortcuts(useMemo(() => ({ j: () => step(1), k: () => step(-1) }), [list.calls, callId]));

  return (
    <>
      {incoming && <Incoming call={incoming} onOpen={() => open(incoming.call_id)} onDismiss={dismiss} />}
      <main className="grid min-h-0 flex-1 grid-cols-1 grid-rows-[minmax(0,1fr)_auto] lg:grid-cols-[272px_minmax(0,1fr)_380px] lg:grid-rows-1 xl:grid-cols-[288px_minmax(0,1fr)_416px]">
        <h1 className="sr-only">Agent desk</h1>
        <CallList list={list} selected={callId} viewed={viewed} onSelect={open} className={cn("lg:flex", view !== "calls" && "max-lg:hidden")} />
        <section aria-label="The call" data-call={callId ?? ""} data-status={call.status ?? "none"} className={cn("flex min-h-0 min-w-0 flex-col bg-surface lg:border-x lg:border-line", view !== "transcript" && "max-lg:hidden")}>
          <CallHead call={call} entry={entry} actions={<><RaiseHand key={callId} call={call} />{call.status && <FindButton isFinding={isFinding} onFinding={setFinding} />}<CallMenu key={`menu ${callId}`} call={call} /></>} />
          <Alerts key={callId} alerts={call.alerts} />
          <Transcript key={callId} call={call} isFinding={isFinding} onFinding={setFinding} />
        </section>
        <HelpPanel key={callId} call={call} view={view} onUnread={setUnread} className={cn(view !== "help" && "max-lg:hidden")} />
        <Views view={view} unread={unread} onView={setView} />
      </main>
    </>
  );
}

const VIEWS = [
  { view: "calls", label: "Calls", Icon: List },
  { view: "transcript", label: "Transcript", Icon: MessagesSquare },
  { view: "help", label: "Help", Icon: BookOpenText },
] as const;

/** On a small screen one of the three is shown. */
function Views({ view, unread, onView }: { view: View; unread: number; onView: (view: View) => void }) {
  return (
    <nav aria-label="Parts of the desk" className="grid grid-cols-3 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:hidden">
      {VIEWS.map(({ view: each, label, Icon }) => (
        <button
          key={each}
          type="button"
          aria-current={each === view ? "true" : undefined}
          onClick={() => onView(each)}
          className="grid h-14 place-items-center content-center gap-0.5 text-[12.5px] font-medium text-soft aria-[current=true]:text-accent"
        >
          <span className="relative">
            <Icon aria-hidden className="size-5" />
            {each === "help" && unread > 0 && <Count unread={unread} className="absolute -top-2 left-3" />}
          </span>
          {label}
        </button>
      ))}
    </nav>
  );
}
