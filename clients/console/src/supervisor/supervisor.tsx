// All live calls at a glance; one of them looked into.
import { formatDuration, useCall, useCalls, useConnectionStatus, useServerAheadMs, useStats, type CallEntry } from "@parley/react";
import { ArrowLeft, Hand, TriangleAlert } from "lucide-react";
import { useMemo, useState } from "react";
import { Alerts, isUrgent, ruleLabel } from "../desk/alerts.js";
import { CallHead } from "../desk/call-head.js";
import { CallMenu } from "../desk/call-menu.js";
import { HelpPanel } from "../desk/help-panel.js";
import { FindButton, Transcript } from "../desk/transcript.js";
import { useNow } from "../lib/clock.js";
import { cn } from "../lib/cn.js";
import { agentsOf, dayAndTime, isRunning, statusLabel, subjectOf, titleOf } from "../lib/format.js";
import { go } from "../lib/route.js";
import { useShortcuts } from "../lib/shortcuts.js";
import { Button } from "../ui/button.js";
import { Chip, Dot, type Tone } from "../ui/chip.js";

const hands = (call: CallEntry): number => call.help?.length ?? 0;
const alertsOf = (call: CallEntry): number => call.alerts?.length ?? 0;
/** Raised hands first, the longest at first; then calls with alerts; then the newest call. */
const byNeed = (a: CallEntry, b: CallEntry): number =>
  Number(hands(b) > 0) - Number(hands(a) > 0) || (a.help?.[0]?.since ?? "").localeCompare(b.help?.[0]?.since ?? "") || Number(alertsOf(b) > 0) - Number(alertsOf(a) > 0) || b.started_at.localeCompare(a.started_at);

export function Supervisor({ callId }: { callId: string | null }) {
  const { calls } = useCalls();
  const live = useMemo(() => calls.filter(isRunning).sort(byNeed), [calls]);
  useShortcuts(useMemo(() => ({ escape: () => (callId ? go("supervisor") : false) }), [callId]));
  return (
    <div className="flex min-h-0 flex-1">
      <main className={cn("min-h-0 min-w-0 flex-1 overflow-y-auto p-4 lg:p-6 [scrollbar-width:thin]", callId && "max-xl:hidden")}>
        <h1 className="text-xl font-semibold tracking-tight">Live calls</h1>
        <Figures live={live} calls={calls} />
        {live.length === 0 && <p className="py-10 text-center text-faint">No call is live.</p>}
        <ul className={cn("grid grid-cols-1 gap-3 sm:grid-cols-2", callId ? "2xl:grid-cols-2" : "lg:grid-cols-3 2xl:grid-cols-4")}>
          {live.map((call) => <Tile key={call.call_id} call={call} isOpen={call.call_id === callId} />)}
        </ul>
      </main>
      {callId && <LookIn callId={callId} entry={calls.find((call) => call.call_id === callId)} />}
    </div>
  );
}

/** The server's own numbers, of all calls; without them, those of the calls that are listed here. */
function Figures({ live, calls }: { live: readonly CallEntry[]; calls: readonly CallEntry[] }) {
  const stats = useStats();
  const count = (status: "active" | "ringing" | "on_hold") => stats?.calls[status] ?? live.filter((call) => call.status === status).length;
  const raised = live.filter((call) => hands(call) > 0).length;
  const alerted = live.filter((call) => alertsOf(call) > 0).length;
  const ended = calls.filter((call) => !isRunning(call));
  const mean = ended.length ? ended.reduce((sum, call) => sum + call.duration, 0) / ended.length : null;
  const figures: Array<[string, string, boolean?]> = [
    ["Active", String(count("active"))], ["Ringing", String(count("ringing"))], ["On hold", String(count("on_hold"))],
    ["Hands raised", String(raised), raised > 0], ["With alerts", String(alerted), alerted > 0],
    ...(stats ? [["Agents", String(stats.agents)], ["Lines a minute", String(stats.lines_per_minute)]] satisfies Array<[string, string]> : []),
    ["Mean length of ended calls", formatDuration(mean)],
  ];
  return (
    <dl className="my-4 flex flex-wrap gap-x-8 gap-y-3 border-y border-line py-3">
      {figures.map(([name, value, isLoud]) => (
        <div key={name} data-figure={name} className="grid">
          <dt className="text-[12.5px] text-faint">{name}</dt>
          <dd className={cn("text-xl font-semibold tabular-nums", isLoud && "text-warn")}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const TONES: Record<CallEntry["status"], Tone> = { active: "good", ringing: "warn", on_hold: "warn", ended: "neutral" };

function Tile({ call, isOpen }: { call: CallEntry; isOpen: boolean }) {
  const hand = call.help?.[0];
  const alert = call.alerts?.at(-1);
  const agents = agentsOf(call);
  return (
    <li className="min-w-0">
      <button
        type="button"
        data-tile={call.call_id}
        aria-current={isOpen ? "true" : undefined}
        onClick={() => go("supervisor", call.call_id)}
        className={cn("grid h-full w-full grid-cols-[minmax(0,1fr)] content-start gap-2 rounded-xl border border-line bg-surface p-4 text-left hover:border-line-strong aria-[current=true]:border-accent", hand && "border-warn-line bg-warn-wash")}
      >
        <span className="flex items-start justify-between gap-3">
          <span className="min-w-0">
            <span className="block truncate font-semibold">{titleOf(call)}</span>
            <span className="block truncate text-[13px] text-faint">{subjectOf(call) || call.call_id}</span>
          </span>
          <Age since={call.started_at} />
        </span>
        <span className="flex flex-wrap items-center gap-2">
          <Chip tone={TONES[call.status]}><Dot tone={TONES[call.status]} />{statusLabel(call.status)}</Chip>
          {agents.map((agent) => <Chip key={agent} className="max-w-full shrink"><span className="truncate">{agent}</span></Chip>)}
        </span>
        {alert && (
          <span data-tile-alert={alert.rule} className={cn("flex items-start gap-2", isUrgent(alert) ? "text-bad" : "text-warn")}>
            <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
            <span className="line-clamp-3 min-w-0 wrap-anywhere"><span className="sr-only">Alert: </span><strong className="font-semibold">{ruleLabel(alert)}</strong>{alert.text && `: ${alert.text}`}{alertsOf(call) > 1 && ` (and ${alertsOf(call) - 1} more)`}</span>
          </span>
        )}
        {hand && (
          <span data-hand className="flex items-start gap-2 text-warn">
            <Hand aria-hidden className="mt-0.5 size-4 shrink-0" />
            <span className="min-w-0 wrap-anywhere"><strong className="font-semibold">{hand.agent_id}</strong> asked for help at {dayAndTime(hand.since)}{hand.reason && `: ${hand.reason}`}</span>
          </span>
        )}
      </button>
    </li>
  );
}

/** Stands still without a connection, as the clock of a call on the desk. */
function Age({ since }: { since: string }) {
  const nowMs = useNow(useConnectionStatus().status === "online") + useServerAheadMs();
  return <span data-age className="shrink-0 font-semibold tabular-nums">{formatDuration(Math.max(0, (nowMs - Date.parse(since)) / 1000))}</span>;
}

function LookIn({ callId, entry }: { callId: string; entry?: CallEntry }) {
  const call = useCall(callId);
  const [isFinding, setFinding] = useState(false);
  return (
    <section aria-label="The call you look into" className="grid min-h-0 w-full min-w-0 grid-cols-1 grid-rows-[minmax(240px,3fr)_minmax(280px,2fr)] overflow-y-auto border-l border-line bg-surface xl:w-[520px] xl:shrink-0 2xl:w-[600px]">
      <div className="flex min-h-0 flex-col">
        <div className="flex items-center justify-between gap-2 px-2 pt-1.5">
          <Button variant="ghost" onClick={() => go("supervisor")}><ArrowLeft aria-hidden />All calls</Button>
          <span className="flex gap-1">{call.status && <FindButton isFinding={isFinding} onFinding={setFinding} />}<CallMenu call={call} /></span>
        </div>
        <CallHead call={call} entry={{ call_id: callId, metadata: entry?.metadata ?? call.metadata }} />
        <Alerts key={`alerts ${callId}`} alerts={call.alerts} />
        <Transcript key={callId} call={call} isFinding={isFinding} onFinding={setFinding} />
      </div>
      <HelpPanel key={callId} call={call} first="notes" className="border-t border-line" />
    </section>
  );
}
