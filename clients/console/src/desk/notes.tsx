// Notes of supervisors to the agents of a call: private, and never part of the transcript.
import { useClaims, useFeature, useParley, type CallState } from "@parley/react";
import { Send } from "lucide-react";
import { useCallback, useLayoutEffect, useRef, useState, type FormEvent } from "react";
import { dayAndTime } from "../lib/format.js";
import { cn } from "../lib/cn.js";
import { useIsSupervisor } from "../lib/roles.js";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { controlStyle, Problem, Textarea } from "../ui/field.js";

export function Notes({ call }: { call: CallState }) {
  const isSupervisor = useIsSupervisor();
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [call.notes.length]);
  const canSend = useFeature("note:send") && isSupervisor && Boolean(call.callId);
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ol ref={list} tabIndex={0} aria-label="Notes" className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] content-start gap-2 overflow-y-auto px-3 py-3 [scrollbar-width:thin]">
        {call.notes.length === 0 && (
          <li className="px-1 py-4 text-faint">{isSupervisor ? "No notes in this call yet. Only its agents see them." : "No notes yet. Notes from your supervisors appear here; the customer never sees them."}</li>
        )}
        {call.notes.map((note) => (
          <li key={note.id} data-note={note.id} className="rounded-xl border border-line bg-surface px-3.5 py-2.5">
            <p className="flex justify-between gap-3 text-[12.5px] text-faint">
              <span className="truncate"><strong className="font-semibold text-ink">{note.from}</strong>{note.to && ` to ${note.to}`}</span>
              <time dateTime={note.timestamp} className="tabular-nums">{dayAndTime(note.timestamp)}</time>
            </p>
            <p dir="auto" className="mt-0.5 wrap-anywhere whitespace-pre-line">{note.text}</p>
          </li>
        ))}
      </ol>
      {canSend && <Composer call={call} />}
    </div>
  );
}

function Composer({ call }: { call: CallState }) {
  const client = useParley();
  const [text, setText] = useState("");
  const [to, setTo] = useState("");
  const { sub } = useClaims();
  // Of those who are there; who was chosen stays, also when that agent leaves.
  const agents = [...new Set([...call.agents.filter((agent) => agent !== sub), ...(to ? [to] : [])])];
  const action = useCallback((body: string) => client.request("note:send", { call_id: call.callId, text: body, ...(to && { to }) }), [client, call.callId, to]);
  const note = useSend(action);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    // What was written while it was on its way is the next note.
    if (text.trim() && (await note.send(text.trim()))) setText((now) => (now === text ? "" : now));
  };
  return (
    <form onSubmit={submit} className="grid gap-2 border-t border-line p-3">
      <Problem>{note.problem && `Not sent: ${note.problem}`}</Problem>
      <Textarea
        dir="auto"
        aria-label="Note to the agent"
        placeholder="Note to the agent…"
        value={text}
        maxLength={4000}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
        }}
        className="min-h-18"
      />
      <div className="flex items-center justify-between gap-3">
        {agents.length > 1 || to ? (
          <select aria-label="Who sees the note" value={to} onChange={(event) => setTo(event.target.value)} className={cn(controlStyle, "min-w-0 shrink")}>
            <option value="">All agents of the call</option>
            {agents.map((agent) => <option key={agent} value={agent}>Only {agent}</option>)}
          </select>
        ) : <span className="text-[12.5px] text-faint">Only the call's agents see it.</span>}
        <Button variant="primary" type="submit" disabled={note.isSending || !text.trim()}><Send aria-hidden />{note.isSending ? "Sending…" : "Send note"}</Button>
      </div>
    </form>
  );
}
