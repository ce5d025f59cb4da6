// A question of the assistant: a form by its schema, a link that leads elsewhere, or whether a tool may run.
import { type Elicitation, type Elicitations } from "@parley/react";
import { Check, ExternalLink, ShieldQuestion, X } from "lucide-react";
import { useId, useMemo, useRef, useState, type FormEvent, type ReactNode } from "react";
import { dayAndTime } from "../lib/format.js";
import { Button } from "../ui/button.js";
import { controlStyle, Field, Input, Problem, Textarea } from "../ui/field.js";
import { contentOf, fieldsOf, localDateTime, wordsOf, type FormField } from "./schema.js";

const ENDED: Record<Exclude<Elicitation["state"], "open">, string> = { accept: "Answered", decline: "Declined", cancel: "Cancelled", expire: "Too late: it expired" };

interface Props {
  elicitation: Elicitation;
  elicitations: Elicitations;
  canAnswer: boolean;
}

export function ElicitationCard({ elicitation, elicitations, canAnswer }: Props) {
  const { state, message, source, expires_at: expires } = elicitation;
  if (state !== "open") {
    const Icon = state === "accept" ? Check : X;
    return <p data-elicitation={elicitation.id} data-state={state} className="flex items-start gap-2 rounded-xl bg-sunken px-3.5 py-2.5 text-soft"><Icon aria-hidden className="mt-0.5 size-4 shrink-0" /><span><span className="font-medium">{ENDED[state]}</span>: {message}</span></p>;
  }
  return (
    <section data-elicitation={elicitation.id} data-state="open" aria-label={message} className="grid gap-3.5 rounded-xl border border-accent-line bg-surface p-4">
      <header>
        <p className="font-medium text-pretty">{message}</p>
        {(source?.kind === "mcp" || expires) && (
          <p className="mt-0.5 text-[12.5px] text-faint">{[source?.kind === "mcp" && `Asked by ${source.name}`, expires && `until ${dayAndTime(expires)}`].filter(Boolean).join(", ")}</p>
        )}
      </header>
      {elicitation.mode === "form" && <Form elicitation={elicitation} elicitations={elicitations} canAnswer={canAnswer} />}
      {elicitation.mode === "url" && <Elsewhere elicitation={elicitation} elicitations={elicitations} canAnswer={canAnswer} />}
      {elicitation.mode === "approval" && <Approval elicitation={elicitation} elicitations={elicitations} canAnswer={canAnswer} />}
    </section>
  );
}

function useBusy(): [boolean, (action: () => Promise<boolean>) => Promise<void>, boolean] {
  const [isBusy, setBusy] = useState(false);
  const [hasFailed, setFailed] = useState(false);
  const run = async (action: () => Promise<boolean>) => {
    setBusy(true);
    setFailed(!(await action()));
    setBusy(false);
  };
  return [isBusy, run, hasFailed];
}

function Form({ elicitation: { id, schema, values }, elicitations, canAnswer }: Props) {
  const fields = useMemo(() => fieldsOf(schema, values), [schema, values]);
  const [isBusy, run, hasFailed] = useBusy();
  const form = useRef<HTMLFormElement>(null);
  const problem = hasFailed ? elicitations.problem : null;
  const wrong = problem?.field?.replace(/^\/content\/?/, "").split("/")[0];
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    void run(() => elicitations.submit(id, contentOf(fields, new FormData(event.currentTarget))));
  };
  return (
    <form ref={form} onSubmit={submit} className="grid gap-3.5">
      {fields.map((field) => <FormControl key={field.name} field={field} problem={wrong === field.name ? problem?.message : undefined} />)}
      {problem && !fields.some((field) => field.name === wrong) && <Problem>Not sent: {problem.message}</Problem>}
      <Actions>
        <Button variant="primary" type="submit" disabled={!canAnswer || isBusy}>{isBusy ? "Sending…" : "Send"}</Button>
        <Button variant="ghost" disabled={!canAnswer || isBusy} onClick={() => void run(() => elicitations.act(id, "decline"))}>Decline</Button>
      </Actions>
    </form>
  );
}

/** In which a date with a time is filled in; what is sent has its zone. */
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const INPUT_TYPES = { text: "text", number: "number", date: "date", datetime: "datetime-local", time: "time", email: "email", url: "url" } as const;

function FormControl({ field, problem }: { field: FormField; problem?: string }) {
  const { name, label, hint, isRequired, kind, options, initial, limits } = field;
  const problemId = useId();
  const shared = { name, required: isRequired, "aria-invalid": problem ? true : undefined, "aria-describedby": problem ? problemId : undefined } as const;
  const note = problem && <p id={problemId} role="alert" className="text-[13px] text-bad">{problem}</p>;
  const full = isRequired ? label : `${label} (optional)`;
  if (kind === "boolean") {
    return (
      <div>
        <label className="flex min-h-11 cursor-pointer items-center gap-3"><input type="checkbox" name={name} value="yes" defaultChecked={initial === true} className="size-5 shrink-0 accent-accent" /><span><span className="font-medium">{label}</span>{hint && <span className="block text-[13px] text-faint">{hint}</span>}</span></label>
        {note}
      </div>
    );
  }
  if (kind === "several") {
    const chosen = new Set(Array.isArray(initial) ? initial : []);
    return (
      <fieldset className="grid gap-0.5">
        <legend className="font-medium">{full}</legend>
        {options.map(({ value, label: text }, i) => <label key={String(value)} className="flex min-h-9 cursor-pointer items-center gap-3 pointer-coarse:min-h-11"><input type="checkbox" name={name} value={i} defaultChecked={chosen.has(value)} className="size-5 shrink-0 accent-accent" />{text}</label>)}
        {hint && <p className="text-[13px] text-faint">{hint}</p>}
        {note}
      </fieldset>
    );
  }
  return (
    <div className="grid gap-1.5">
      <Field label={full} hint={kind === "datetime" ? [hint, `Your time zone: ${ZONE}`].filter(Boolean).join(". ") : hint}>
        {(id) => kind === "choice" ? (
          <select id={id} {...shared} defaultValue={options.findIndex((option) => option.value === initial) >= 0 ? options.findIndex((option) => option.value === initial) : ""} className={controlStyle}>
            <option value="">Choose…</option>
            {options.map(({ value, label: text }, i) => <option key={String(value)} value={i}>{text}</option>)}
          </select>
        ) : kind === "long" ? (
          <Textarea id={id} {...shared} defaultValue={initial === undefined ? "" : String(initial)} minLength={limits.minLength} maxLength={limits.maxLength} />
        ) : (
          <Input id={id} type={INPUT_TYPES[kind]} {...shared} {...limits} defaultValue={kind === "datetime" ? localDateTime(initial) : initial === undefined ? "" : String(initial)} autoComplete="off" />
        )}
      </Field>
      {note}
    </div>
  );
}

const Actions = ({ children }: { children: ReactNode }) => <footer className="flex flex-wrap items-center gap-2">{children}</footer>;

function hostOf(url: string): string | null {
  try {
    const { protocol, host } = new URL(url);
    return protocol === "https:" || protocol === "http:" ? host : null;
  } catch {
    return null;
  }
}

function Elsewhere({ elicitation: { id, url = "" }, elicitations, canAnswer }: Props) {
  const [isBusy, run, hasFailed] = useBusy();
  const host = hostOf(url);
  return (
    <>
      <p className="rounded-lg bg-sunken px-3 py-2 wrap-anywhere">{host ? <>This leads to <strong data-host className="font-semibold">{host}</strong>, outside of this page. <span className="block text-[12.5px] text-faint">{url}</span></> : "This link cannot be opened: it is not a web address."}</p>
      <Problem>{hasFailed && elicitations.problem && `Not sent: ${elicitations.problem.message}`}</Problem>
      <Actions>
        {host && canAnswer && (
          <Button variant="primary" asChild><a href={url} target="_blank" rel="noopener noreferrer" onClick={() => void run(() => elicitations.act(id, "accept"))}><ExternalLink aria-hidden />Open {host}</a></Button>
        )}
        <Button variant="ghost" disabled={!canAnswer || isBusy} onClick={() => void run(() => elicitations.act(id, "decline"))}>Decline</Button>
      </Actions>
    </>
  );
}

const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

function Approval({ elicitation: { id, tool, source, args, values }, elicitations, canAnswer }: Props) {
  const [isBusy, run, hasFailed] = useBusy();
  const what = Object.entries(args ?? values ?? {});
  return (
    <>
      <div className="rounded-lg bg-sunken px-3 py-2">
        <p className="flex items-center gap-2 font-medium"><ShieldQuestion aria-hidden className="size-4 shrink-0 text-warn" />{wordsOf(tool ?? source?.name ?? "tool")}</p>
        {what.length > 0 && <dl className="mt-1 grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 gap-y-0.5 text-[13px]">{what.map(([name, value]) => <div key={name} className="contents"><dt className="text-faint">{wordsOf(name)}</dt><dd className="wrap-anywhere">{shown(value)}</dd></div>)}</dl>}
      </div>
      <Problem>{hasFailed && elicitations.problem && `Not sent: ${elicitations.problem.message}`}</Problem>
      <Actions>
        <Button variant="primary" disabled={!canAnswer || isBusy} onClick={() => void run(() => elicitations.act(id, "accept"))}>Allow</Button>
        <Button disabled={!canAnswer || isBusy} onClick={() => void run(() => elicitations.act(id, "decline"))}>Do not allow</Button>
      </Actions>
    </>
  );
}
