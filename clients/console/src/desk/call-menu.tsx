// What can be done with a call as a whole: read or make its summary, and take its lines away as a file.
import { useFeature, useParley, type CallState, type CallSummary } from "@parley/react";
import { Download, EllipsisVertical, ScrollText } from "lucide-react";
import { useCallback, useRef, useState } from "react";
import { copyText } from "../lib/copy.js";
import { dayAndTime } from "../lib/format.js";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Dialog } from "../ui/dialog.js";
import { Problem } from "../ui/field.js";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu.js";

const FORMATS = [["vtt", "Export as WebVTT"], ["srt", "Export as SubRip"], ["json", "Export as JSON"], ["text", "Export as text"]] as const;
const ENDINGS = { vtt: "vtt", srt: "srt", json: "json", text: "txt" };

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function CallMenu({ call }: { call: CallState }) {
  const client = useParley();
  const hasExport = useFeature("GET /api/v1/calls/{call_id}/export");
  const hasSummary = useFeature("POST /api/v1/calls/{call_id}/summary");
  const [isSummaryOpen, setSummaryOpen] = useState(false);
  const trigger = useRef<HTMLButtonElement>(null);
  const { callId } = call;
  const action = useCallback(async (format: keyof typeof ENDINGS) => {
    save(await client.download(`/api/v1/calls/${encodeURIComponent(callId)}/export?format=${format}`), `${callId.replaceAll(/[^\w.-]/g, "_")}.${ENDINGS[format]}`);
  }, [client, callId]);
  const exporting = useSend(action);
  if (!callId || call.error || !(hasExport || hasSummary)) return null;
  return (
    <>
      <Menu>
        <MenuTrigger asChild>
          <Button ref={trigger} variant="ghost" size="icon" aria-label="More about this call"><EllipsisVertical /></Button>
        </MenuTrigger>
        <MenuContent>
          {hasSummary && <MenuItem onSelect={() => setSummaryOpen(true)}><ScrollText />Summary</MenuItem>}
          {hasExport && FORMATS.map(([format, text]) => <MenuItem key={format} onSelect={() => void exporting.send(format)}><Download />{text}</MenuItem>)}
        </MenuContent>
      </Menu>
      <Dialog open={exporting.problem !== null} onOpenChange={exporting.reset} title="Not exported" description={exporting.problem ?? undefined}>
        <Button className="justify-self-end" onClick={exporting.reset}>Close</Button>
      </Dialog>
      <Dialog open={isSummaryOpen} onOpenChange={setSummaryOpen} title="Summary" description="What was needed, what was done, and what is open." returnFocus={trigger}>
        <Summary call={call} />
      </Dialog>
    </>
  );
}

const textOf = (summary: CallSummary): string => summary.sections.map(({ title, text }) => `${title}: ${text}\n`).join("");

function Summary({ call }: { call: CallState }) {
  const client = useParley();
  const { callId, summary } = call;
  const [isCopied, setCopied] = useState(false);
  // The new one comes as call:summary, to everybody who watches.
  const action = useCallback(() => client.fetch(`/api/v1/calls/${encodeURIComponent(callId)}/summary`, { method: "POST" }), [client, callId]);
  const making = useSend(action);
  return (
    <div className="grid gap-4">
      {!summary && <p className="text-faint">{call.status === "ended" ? "This call has no summary." : "No summary yet. One is written when the call ends, or now if you ask for it."}</p>}
      {summary && (
        <dl data-summary={summary.seq} className="grid gap-3">
          {summary.sections.map(({ title, text }) => (
            <div key={title}>
              <dt className="text-[12.5px] font-medium text-faint">{title}</dt>
              <dd className="whitespace-pre-line wrap-anywhere">{text}</dd>
            </div>
          ))}
        </dl>
      )}
      <Problem>{making.problem && `Not summarised: ${making.problem}`}</Problem>
      <footer className="flex flex-wrap items-center justify-between gap-3">
        <span role="status" className="text-[12.5px] text-faint">{isCopied ? "Copied" : summary?.timestamp && `${summary.by === "local" ? "From sentences of the call" : "By the model"}, ${dayAndTime(summary.timestamp)}`}</span>
        <span className="flex gap-2">
          {summary && <Button onClick={() => void copyText(textOf(summary)).then(() => setCopied(true))}>Copy</Button>}
          <Button variant={summary ? "outline" : "primary"} onClick={() => void making.send()} disabled={making.isSending}>{making.isSending ? "Summarising…" : summary ? "Summarise again" : "Summarise now"}</Button>
        </span>
      </footer>
    </div>
  );
}
