// The agent's work after the call: how it went, with a draft of what was done.
import { useClaims, useParley, type CallState } from "@parley/react";
import { Check } from "lucide-react";
import { useCallback, useState, type FormEvent } from "react";
import { useSend } from "../lib/send.js";
import { useStored } from "../lib/stored.js";
import { Button } from "../ui/button.js";
import { controlStyle, Field, Problem, Textarea } from "../ui/field.js";

const OUTCOMES = ["Resolved", "Follow-up needed", "Escalated", "Transferred", "Customer hung up"];

export function WrapUp({ call }: { call: CallState }) {
  const client = useParley();
  const { sub } = useClaims();
  const saved = call.wrapups.find((wrapup) => wrapup.agent_id === sub);
  const draft = call.summary?.sections.map(({ title, text }) => `${title}: ${text}`).join("\n") ?? "";
  const [outcome, setOutcome] = useStored(`outcome ${call.callId}`, saved?.outcome ?? "");
  const [notes, setNotes] = useStored<string | null>(`notes ${call.callId}`, null);
  const [isSaved, setSaved] = useState(false);
  const action = useCallback((data: object) => client.request("call:wrapup", { call_id: call.callId, ...data }, { isRepeatable: true, key: `wrapup ${call.callId}` }), [client, call.callId]);
  const wrapup = useSend(action);
  const text = notes ?? saved?.notes ?? draft;
  const hasEnded = call.status === "ended";

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setSaved(await wrapup.send({ outcome, ...(text.trim() && { notes: text.trim() }) }));
  };
  return (
    <form onSubmit={submit} onChange={() => setSaved(false)} className="grid h-full min-h-0 content-start gap-4 overflow-y-auto p-4">
      {!hasEnded && <p className="text-soft">You can start writing now, and save once the call has ended.</p>}
      <Field label="Outcome">
        {(id) => (
          <select id={id} required value={outcome} onChange={(event) => setOutcome(event.target.value)} className={controlStyle}>
            <option value="" disabled>Choose…</option>
            {[...new Set([...OUTCOMES, ...(outcome ? [outcome] : [])])].map((each) => <option key={each}>{each}</option>)}
          </select>
        )}
      </Field>
      <Field label="Notes" hint={draft && notes === null ? `Drafted ${call.summary?.by === "model" ? "by the model" : "from the call"}. Correct it where needed.` : undefined}>
        {(id) => <Textarea id={id} dir="auto" value={text} maxLength={4000} onChange={(event) => setNotes(event.target.value)} className="min-h-48" />}
      </Field>
      <Problem>{wrapup.problem && `Not saved: ${wrapup.problem}`}</Problem>
      <div className="flex items-center gap-3">
        <Button variant="primary" type="submit" disabled={!hasEnded || !outcome || wrapup.isSending}>{wrapup.isSending ? "Saving…" : saved || isSaved ? "Save again" : "Save"}</Button>
        <span role="status" className="flex items-center gap-1.5 text-good">{isSaved && <><Check aria-hidden className="size-4" />Saved</>}</span>
      </div>
    </form>
  );
}
