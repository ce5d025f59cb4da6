// Calls in which something was said: past ones, too.
import { useFeature, useParley, type CallEntry } from "@parley/react";
import { useCallback, useEffect, useRef, useState } from "react";
import { dayAndTime, speakerLabel, titleOf } from "../lib/format.js";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Problem } from "../ui/field.js";

type Found = CallEntry & { lines: Array<{ speaker: string; text: string; seq: number }> };

const LEAST_LETTERS = 3;

/** asked: grows when Enter is pressed in the field that holds the query. */
export function CallSearch({ query, asked, onSelect }: { query: string; asked: number; onSelect: (callId: string) => void }) {
  const client = useParley();
  const canSearch = useFeature("call:search") && query.trim().length >= LEAST_LETTERS;
  const [found, setFound] = useState<readonly Found[] | null>(null);
  const action = useCallback(async () => setFound((await client.request("call:search", { query: query.trim() }, { isRepeatable: true, key: "call:search" })).calls as Found[]), [client, query]);
  const { send, isSending, problem } = useSend(action);
  useEffect(() => setFound(null), [query]);
  const answered = useRef(asked);
  useEffect(() => {
    if (asked === answered.current) return;
    answered.current = asked;
    if (canSearch) void send();
  }, [asked, canSearch, send]);
  if (!canSearch) return null;
  return (
    <section aria-label="What was said in calls" className="pb-2">
      {!found && <Button variant="ghost" className="w-full" onClick={() => void send()} disabled={isSending}>{isSending ? "Searching…" : "Search what was said"}</Button>}
      <Problem>{problem && `The search failed: ${problem}`}</Problem>
      <p role="status" className="px-2.5 pt-2 pb-1 text-[12px] font-medium text-faint">{found && <>Said in {found.length === 0 ? "no call" : found.length === 1 ? "1 call" : `${found.length} calls`}</>}</p>
      <ul className="grid gap-0.5">
        {found?.map((call) => (
          <li key={call.call_id}>
            <button type="button" data-found={call.call_id} onClick={() => onSelect(call.call_id)} className="grid min-h-13 w-full gap-0.5 rounded-lg px-2.5 py-1.5 text-left hover:bg-sunken">
              <span className="flex justify-between gap-2"><span className="truncate font-medium">{titleOf(call)}</span><span className="shrink-0 text-[12.5px] text-faint tabular-nums">{dayAndTime(call.started_at)}</span></span>
              {call.lines.slice(0, 2).map((line) => <span key={line.seq} className="line-clamp-2 text-[12.5px] text-faint">{speakerLabel(line.speaker)}: {line.text}</span>)}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
