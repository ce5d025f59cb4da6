import { useConnectionStatus, type ConnectionState } from "@parley/react";
import { CloudOff } from "lucide-react";
import { cn } from "../lib/cn.js";
import { clockTime, plural } from "../lib/format.js";
import { Dot, type Tone } from "../ui/chip.js";
import { Popover, PopoverContent, PopoverTrigger } from "../ui/menu.js";

const SAID: Record<ConnectionState["status"], { text: string; tone: Tone }> = {
  connecting: { text: "Connecting", tone: "warn" },
  online: { text: "Connected", tone: "good" },
  offline: { text: "Offline", tone: "bad" },
  refused: { text: "Access denied", tone: "bad" },
};

export function ConnectionPill({ of }: { of: "calls" | "assistant" }) {
  const connection = useConnectionStatus(of);
  const { text, tone } = SAID[connection.status];
  const facts: Array<[string, string]> = [
    ["Transport", connection.transport ?? "–"],
    ["Round trip", connection.roundTripMs === null ? "–" : `${connection.roundTripMs.toFixed(0)} ms`],
    ["Since", clockTime(connection.sinceMs)],
    ["Reconnects", String(connection.reconnects)],
    ["Missed and fetched", String(connection.missed)],
    ["Socket", connection.socketId ?? "–"],
  ];
  return (
    <Popover>
      <PopoverTrigger
        data-connection={connection.status}
        data-transport={connection.transport ?? ""}
        className="flex h-9 items-center gap-2 rounded-lg px-2.5 font-medium text-soft hover:bg-sunken hover:text-ink pointer-coarse:h-11"
      >
        <Dot tone={tone} className={tone === "warn" ? "animate-breathe" : undefined} />
        <span role="status" className={cn(connection.status === "online" && "max-sm:sr-only")}>{text}</span>
      </PopoverTrigger>
      <PopoverContent className="w-72" aria-label="Connection">
        <dl className="divide-y divide-line px-2">
          {facts.map(([name, value]) => (
            <div key={name} className="flex justify-between gap-3 py-1.5">
              <dt className="text-faint">{name}</dt>
              <dd className="truncate tabular-nums">{value}</dd>
            </div>
          ))}
        </dl>
      </PopoverContent>
    </Popover>
  );
}

/** Warns that what is shown may be old, and lists what waits to be sent. */
export function ConnectionBanner({ of, shown }: { of: "calls" | "assistant"; shown?: string }) {
  const { status, sinceMs, waiting, reason } = useConnectionStatus(of);
  if (status === "online" || status === "connecting") return null;
  return (
    <div role="alert" className="flex shrink-0 items-center gap-2.5 border-b border-warn-line bg-warn-wash px-4 py-2 text-warn">
      <CloudOff aria-hidden className="size-4 shrink-0" />
      <p>
        <strong className="font-semibold">{status === "refused" ? "Access denied." : `Connection lost at ${clockTime(sinceMs)}.`}</strong>{" "}
        {status === "refused" ? (reason ?? "The server does not accept your session.") : `${shown ? `You see ${shown} as it was then. ` : ""}Reconnecting…`}
        {waiting > 0 && ` ${plural(waiting, "change")} of yours will be sent afterwards.`}
      </p>
    </div>
  );
}
