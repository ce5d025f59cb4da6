import { formatDuration, useClaims, type CallEntry, type CallListState, type CallStatusName } from "@parley/react";
import { Search } from "lucide-react";
import { memo, useMemo, useState } from "react";
import { cn } from "../lib/cn.js";
import { agentsOf, clockTime, customerOf, dayAndTime, dayOf, isRunning, statusLabel, subjectOf, titleOf } from "../lib/format.js";
import { Button } from "../ui/button.js";
import { Dot, type Tone } from "../ui/chip.js";
import { Input } from "../ui/field.js";
import { CallSearch } from "./call-search.js";

const TONES: Record<CallStatusName, Tone> = { active: "good", ringing: "warn", on_hold: "warn", ended: "neutral" };

interface Props {
  list: CallListState & { loadMore: () => void };
  selected: string | null;
  /** The call on the desk, which the list may not have. */
  viewed: CallEntry | null;
  onSelect: (callId: string) => void;
  className?: string;
}

const matches = (call: CallEntry, words: string[]): boolean => {
  const text = `${call.call_id} ${customerOf(call)} ${subjectOf(call)} ${agentsOf(call).join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

/** Rendered anew when the list changes, not with each line of the call beside it. */
export const CallList = memo(function CallList({ list, selected, viewed: onDesk, onSelect, className }: Props) {
  const { sub } = useClaims();
  const [filter, setFilter] = useState("");
  const [asked, setAsked] = useState(0);
  const [isMine, setMine] = useState(false);
  const mine = useMemo(() => list.calls.filter((call) => sub && agentsOf(call).includes(sub)), [list.calls, sub]);
  const shown = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    return (isMine ? mine : list.calls).filter((call) => matches(call, words));
  }, [list.calls, mine, isMine, filter]);
  const viewed = list.calls.find((call) => call.call_id === selected) ?? (onDesk?.call_id === selected ? onDesk : undefined);
  const running = shown.filter(isRunning);
  const ended = shown.filter((call) => !isRunning(call));
  const isHidden = viewed && !shown.includes(viewed);
  const rows = (calls: readonly CallEntry[]) => calls.map((call) => <Row key={call.call_id} call={call} isSelected={call.call_id === selected} onSelect={onSelect} />);

  return (
    <nav aria-labelledby="calls-title" className={cn("flex min-h-0 flex-col bg-bg", className)}>
      <div className="grid gap-2.5 p-3 pb-2">
        <div className="flex h-8 items-center justify-between">
          <h2 id="calls-title" className="text-[15px] font-semibold">Calls</h2>
          {mine.length > 0 && <Whose isMine={isMine} onChange={setMine} />}
        </div>
        <div className="relative">
          <Search aria-hidden className="pointer-events-none absolute top-1/2 left-2.5 size-4 -translate-y-1/2 text-faint" />
          <Input value={filter} onChange={(event) => setFilter(event.target.value)} onKeyDown={(event) => event.key === "Enter" && setAsked(asked + 1)} type="search" aria-label="Filter the calls" placeholder="Customer, topic or call" className="h-9 border-line pl-8.5" />
        </div>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-3 [scrollbar-width:thin]">
        {isHidden && <Group title="On the desk">{rows([viewed])}</Group>}
        {running.length > 0 && <Group title={`Live · ${running.length}`}>{rows(running)}</Group>}
        {ended.length > 0 && <Group title="Ended">{rows(ended)}</Group>}
        {shown.length === 0 && <p className="px-3 py-6 text-center text-faint">{emptyText(list, filter)}</p>}
        <CallSearch query={filter} asked={asked} onSelect={onSelect} />
        {list.hasMore && <Button variant="ghost" className="mt-1 w-full" onClick={list.loadMore} disabled={list.isLoading}>Older calls</Button>}
      </div>
    </nav>
  );
});

function emptyText(list: CallListState, filter: string): string {
  if (list.error) return list.error.message;
  if (list.isLoading) return "Loading…";
  return filter ? "No call matches." : "No calls yet. They appear here as they begin.";
}

function Whose({ isMine, onChange }: { isMine: boolean; onChange: (isMine: boolean) => void }) {
  return (
    <div role="group" aria-label="Whose calls" className="flex rounded-lg bg-sunken p-0.5 text-[13px] font-medium">
      {[false, true].map((each) => (
        <button key={String(each)} type="button" aria-pressed={each === isMine} onClick={() => onChange(each)} className="h-7 rounded-md px-2.5 text-soft aria-pressed:bg-surface aria-pressed:text-ink aria-pressed:shadow-sm pointer-coarse:h-10">
          {each ? "Mine" : "All"}
        </button>
      ))}
    </div>
  );
}

function Group({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section className="pb-2">
      <h3 className="px-2.5 pt-2 pb-1 text-[12px] font-medium text-faint">{title}</h3>
      <ul className="grid gap-0.5">{children}</ul>
    </section>
  );
}

const Row = memo(function Row({ call, isSelected, onSelect }: { call: CallEntry; isSelected: boolean; onSelect: (callId: string) => void }) {
  const title = titleOf(call);
  const subject = subjectOf(call);
  const about = subject !== title ? subject : "";
  // Whether it waits is not left to the colour of a dot.
  const isSaid = call.status === "ringing" || call.status === "on_hold";
  // Of another day the day says more than how long it took.
  const time = isRunning(call) ? `since ${dayAndTime(call.started_at)}` : dayOf(call.started_at) ? dayAndTime(call.started_at) : `${clockTime(call.started_at, false)} · ${formatDuration(call.duration)}`;
  return (
    <li>
      <button
        type="button"
        data-call-row={call.call_id}
        data-status={call.status}
        aria-current={isSelected ? "true" : undefined}
        onClick={() => onSelect(call.call_id)}
        className="grid min-h-13 w-full grid-cols-[auto_minmax(0,1fr)] items-center gap-x-2.5 rounded-lg px-2.5 py-1.5 text-left hover:bg-sunken aria-[current=true]:bg-surface aria-[current=true]:shadow-[inset_3px_0_0_var(--accent),0_0_0_1px_var(--line)]"
      >
        <Dot tone={TONES[call.status]} />
        <span className={cn("truncate font-medium", !isRunning(call) && "text-soft")}>{title}</span>
        <span className="col-start-2 flex min-w-0 gap-1.5 text-[12.5px] text-faint">
          <span className="truncate">{isSaid ? [statusLabel(call.status), about].filter(Boolean).join(" · ") : about || statusLabel(call.status)}</span>
          <span className="ml-auto shrink-0 tabular-nums">{time}</span>
        </span>
      </button>
    </li>
  );
});
