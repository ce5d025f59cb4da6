import { formatDuration, useConnectionStatus, type CallState, type CallStatusName } from "@parley/react";
import { useEffect, useState } from "react";
import { customerOf, dayAndTime, dayOf, initials, plural, statusLabel, subjectOf, titleOf } from "../lib/format.js";
import { Chip, Dot, type Tone } from "../ui/chip.js";

const TONES: Record<CallStatusName, Tone> = { active: "good", ringing: "warn", on_hold: "warn", ended: "neutral" };

interface Props {
  call: CallState;
  entry: { call_id: string; metadata?: Record<string, unknown> };
  actions?: React.ReactNode;
}

/** The title has a line of its own on a phone: chips come after it. */
export function CallHead({ call, entry, actions }: Props) {
  const title = entry.call_id ? titleOf(entry) : "Waiting for a call";
  const detail = [customerOf(entry) ? subjectOf(entry) : "", title === entry.call_id ? "" : entry.call_id, call.startedAt && dayOf(call.startedAt) && dayAndTime(call.startedAt)].filter(Boolean);
  return (
    <header className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-4 py-2.5 lg:min-h-[69px] lg:px-6">
      <div className="min-w-0 flex-1 basis-32 max-sm:basis-full">
        <h2 data-call-title dir="auto" title={title} className="text-left text-[17px] leading-6 font-semibold tracking-tight text-pretty wrap-anywhere sm:truncate">{title}</h2>
        {detail.length > 0 && <p className="truncate text-[13px] text-faint">{detail.join(" · ")}</p>}
      </div>
      <Presence agents={call.agents} />
      {call.callId && (
        <div className="flex items-center gap-3 max-sm:flex-1">
          <Chip tone={call.status ? TONES[call.status] : "neutral"} data-call-status>
            {call.status && <Dot tone={TONES[call.status]} />}
            {statusLabel(call.status)}
          </Chip>
          <Clock call={call} />
        </div>
      )}
      {actions && <div className="flex items-center gap-2">{actions}</div>}
    </header>
  );
}

/** Stands still while there is no connection: nobody knows whether the call goes on. */
function Clock({ call }: { call: CallState }) {
  const connection = useConnectionStatus();
  const [nowMs, setNowMs] = useState(Date.now);
  const runs = call.duration !== null && call.status !== "ended" && connection.status === "online";
  useEffect(() => {
    if (!runs) return;
    setNowMs(Date.now());
    const timer = setInterval(() => setNowMs(Date.now()), 500);
    return () => clearInterval(timer);
  }, [runs]);
  if (!call.duration) return null;
  const untilMs = runs ? nowMs : connection.status === "online" ? call.duration.atMs : connection.sinceMs;
  const passedMs = call.status === "ended" ? 0 : Math.max(0, untilMs - call.duration.atMs);
  return (
    <time role="timer" aria-live="off" data-clock={runs ? "runs" : "stands"} className={`min-w-12 text-right text-lg font-semibold tabular-nums ${runs ? "" : "text-faint"}`}>
      {formatDuration(call.duration.seconds + passedMs / 1000)}
    </time>
  );
}

const FACES = 3;

function Presence({ agents }: { agents: readonly string[] }) {
  if (agents.length === 0) return null;
  return (
    <div data-presence className="flex items-center gap-2 text-[13px] text-soft" title={agents.join(", ")}>
      <span aria-hidden className="flex">
        {agents.slice(0, FACES).map((name) => (
          <span key={name} className="-ml-1.5 grid size-7 place-items-center rounded-full border-2 border-surface bg-accent-wash text-[10.5px] font-semibold text-accent first:ml-0">{initials(name)}</span>
        ))}
      </span>
      <span className="max-2xl:sr-only">{plural(agents.length, "viewer")}</span>
    </div>
  );
}
