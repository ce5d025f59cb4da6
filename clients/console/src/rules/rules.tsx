// What an alert is raised for: phrases and patterns in what is said, or that nothing of the kind was said in time.
import { useClaims, useParley } from "@parley/react";
import { Pencil, Plus, Trash2 } from "lucide-react";
import { useCallback, useEffect, useState, type FormEvent } from "react";
import { capital } from "../lib/format.js";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Chip, type Tone } from "../ui/chip.js";
import { Dialog } from "../ui/dialog.js";
import { controlStyle, Field, Input, Problem } from "../ui/field.js";

interface Rule {
  name: string;
  level?: "info" | "warning" | "critical";
  phrase?: string;
  pattern?: string;
  speaker?: string;
  not_within_s?: number;
  repeat?: boolean;
  message?: string;
  source?: "file" | "http";
}

const PATH = "/api/v1/rules";
const TONES: Record<NonNullable<Rule["level"]>, Tone> = { info: "neutral", warning: "warn", critical: "bad" };

function inWords(rule: Rule): string {
  const who = rule.speaker ? `the ${rule.speaker}` : "anybody";
  const what = rule.phrase ? `“${rule.phrase}”` : `what fits ${rule.pattern ?? ""}`;
  if (rule.not_within_s) return `If ${rule.speaker ? `${who} has not` : "nobody has"} said ${what} in the first ${rule.not_within_s} s`;
  return `${rule.repeat ? "Whenever" : "The first time"} ${who} says ${what}`;
}

export function RulesPage() {
  const client = useParley();
  const isAdmin = useClaims().role === "admin";
  const [rules, setRules] = useState<readonly Rule[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [edited, setEdited] = useState<Rule | "new" | null>(null);
  const load = useCallback(async () => {
    try {
      setRules((await client.fetch(PATH)).rules as Rule[]);
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }, [client]);
  useEffect(() => void load(), [load]);
  return (
    <main className="min-h-0 flex-1 overflow-y-auto p-4 lg:p-6">
      <div className="mx-auto grid max-w-4xl grid-cols-[minmax(0,1fr)] gap-4">
        <header className="flex items-center justify-between gap-3">
          <h1 className="text-xl font-semibold tracking-tight">Alert rules</h1>
          {isAdmin && <Button variant="primary" onClick={() => setEdited("new")}><Plus aria-hidden />Add a rule</Button>}
        </header>
        <Problem>{problem}</Problem>
        {rules?.length === 0 && <p className="py-8 text-center text-faint">No rules yet. A rule raises an alert in a call when its words are said, or not said in time.</p>}
        <ul className="grid grid-cols-[minmax(0,1fr)] gap-2">
          {rules?.map((rule) => <Row key={rule.name} rule={rule} canEdit={isAdmin} onEdit={() => setEdited(rule)} onChanged={load} />)}
        </ul>
      </div>
      <Dialog open={edited !== null} onOpenChange={(open) => !open && setEdited(null)} title={edited === "new" ? "Add a rule" : `Change ${edited?.name ?? ""}`}>
        {edited && <Editor rule={edited === "new" ? null : edited} onDone={() => (setEdited(null), void load())} />}
      </Dialog>
    </main>
  );
}

function Row({ rule, canEdit, onEdit, onChanged }: { rule: Rule; canEdit: boolean; onEdit: () => void; onChanged: () => Promise<void> }) {
  const client = useParley();
  const level = rule.level ?? "warning";
  const [isAsking, setAsking] = useState(false);
  const remove = useSend(useCallback(() => client.fetch(`${PATH}/${encodeURIComponent(rule.name)}`, { method: "DELETE" }), [client, rule.name]));
  return (
    <li data-rule={rule.name} className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-xl border border-line bg-surface px-4 py-3">
      <div className="min-w-0 flex-1 basis-60">
        <p className="flex flex-wrap items-center gap-x-2.5"><span className="min-w-0 font-semibold wrap-anywhere">{rule.name}</span><Chip tone={TONES[level]}>{capital(level)}</Chip></p>
        <p className="text-soft wrap-anywhere">{inWords(rule)}{rule.message && <> → {rule.message}</>}</p>
        <Problem>{remove.problem && `Not deleted: ${remove.problem}`}</Problem>
      </div>
      {canEdit && (
        <div className="flex gap-1">
          <Button variant="ghost" onClick={onEdit}><Pencil aria-hidden />Change</Button>
          {rule.source !== "file" && <Button variant="ghost" size="icon" aria-label={`Delete ${rule.name}`} onClick={() => setAsking(true)}><Trash2 /></Button>}
        </div>
      )}
      <Dialog open={isAsking} onOpenChange={setAsking} title={`Delete ${rule.name}?`} description="It raises no more alerts. Those that it raised stay in their calls.">
        <div className="flex justify-end gap-2">
          <Button onClick={() => setAsking(false)}>Keep it</Button>
          <Button variant="danger" disabled={remove.isSending} onClick={async () => (setAsking(false), (await remove.send()) && void onChanged())}>Delete</Button>
        </div>
      </Dialog>
    </li>
  );
}

function Editor({ rule, onDone }: { rule: Rule | null; onDone: () => void }) {
  const client = useParley();
  const action = useCallback((data: object) => client.fetch(PATH, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) }), [client]);
  const { send, isSending, problem } = useSend(action);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string) => String(form.get(name) ?? "").trim() || undefined;
    const seconds = Number(value("not_within_s"));
    const text = value("text");
    const data: Rule = {
      name: rule?.name ?? value("name") ?? "", level: value("level") as Rule["level"], speaker: value("speaker"), message: value("message"),
      [form.get("kind") === "pattern" ? "pattern" : "phrase"]: text, ...(seconds > 0 && { not_within_s: seconds }), ...(form.get("repeat") && { repeat: true }),
    };
    if (await send(data)) onDone();
  };
  return (
    <form onSubmit={submit} className="grid gap-4">
      {!rule && <Field label="Name" hint="Letters, digits and . _ - : without spaces.">{(id) => <Input id={id} name="name" required maxLength={128} autoComplete="off" autoFocus />}</Field>}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label="Level">{(id) => <select id={id} name="level" defaultValue={rule?.level ?? "warning"} className={controlStyle}>{(["info", "warning", "critical"] as const).map((each) => <option key={each} value={each}>{capital(each)}</option>)}</select>}</Field>
        <Field label="Who says it">{(id) => <select id={id} name="speaker" defaultValue={rule?.speaker ?? ""} className={controlStyle}><option value="">Anybody</option><option value="customer">The customer</option><option value="agent">The agent</option></select>}</Field>
      </div>
      <Field label="What is looked for">{(id) => <select id={id} name="kind" defaultValue={rule?.pattern ? "pattern" : "phrase"} className={controlStyle}><option value="phrase">A phrase: these words in this order</option><option value="pattern">A pattern (PCRE2)</option></select>}</Field>
      <Field label="Words or pattern">{(id) => <Input id={id} name="text" required maxLength={1000} defaultValue={rule?.phrase ?? rule?.pattern} />}</Field>
      <Field label="Not said within" hint="Seconds from the start of the call. Leave it empty to alert when the words are said.">{(id) => <Input id={id} name="not_within_s" type="number" min={1} max={86400} defaultValue={rule?.not_within_s} />}</Field>
      <Field label="Message" hint="Shown instead of the line that raised the alert.">{(id) => <Input id={id} name="message" maxLength={240} defaultValue={rule?.message} />}</Field>
      <label className="flex min-h-11 items-center gap-3"><input type="checkbox" name="repeat" defaultChecked={rule?.repeat} className="size-5 accent-accent" />Alert on every matching line, not only the first</label>
      <Problem>{problem && `Not saved: ${problem}`}</Problem>
      <Button variant="primary" type="submit" disabled={isSending} className="h-11">{isSending ? "Saving…" : "Save"}</Button>
    </form>
  );
}
