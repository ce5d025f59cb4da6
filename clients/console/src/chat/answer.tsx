// An answer: what the assistant did for it, its text as it comes, its questions, what it stands on.
import type { Answer, AssistantChat, Elicitations, Source, ToolCall } from "@parley/react";
import { BookOpenText, Check, ChevronRight, CircleAlert, Copy, LoaderCircle, RotateCcw, ThumbsDown, ThumbsUp } from "lucide-react";
import { memo, useState } from "react";
import { cn } from "../lib/cn.js";
import { copyText } from "../lib/copy.js";
import { Button } from "../ui/button.js";
import { ElicitationCard } from "./elicitation.js";
import { Prose } from "./markdown.js";
import { wordsOf } from "./schema.js";

interface Props {
  answer: Answer;
  isLast: boolean;
  canAct: boolean;
  chat: Pick<AssistantChat, "regenerate" | "rate">;
  elicitations: Elicitations;
  onSource: OpenSource;
}

/** From: what is focused again when it is closed. */
export type OpenSource = (source: Source, from: Element) => void;

export const textOf = (answer: Answer): string => answer.parts.map((part) => (part.kind === "text" ? part.text : "")).join("\n\n").trim();

export const AnswerRow = memo(function AnswerRow({ answer, isLast, canAct, chat, elicitations, onSource }: Props) {
  const { parts, state, by, error, sources } = answer;
  const isWaiting = parts.some((part) => part.kind === "form" && part.elicitation.state === "open");
  return (
    <article data-answer={answer.refId} data-state={state} aria-busy={state === "running"} aria-label={by ? `Answer of ${by}` : "Answer"} className="grid min-w-0 grid-cols-[minmax(0,1fr)] gap-3">
      {by && <p className="text-[13px] font-semibold text-accent">{by}</p>}
      <Thinking answer={answer} isWaiting={isWaiting} />
      {parts.map((part, i) => {
        if (part.kind === "text") return <Prose key={`text ${i}`} text={part.text} />;
        if (part.kind === "tool") return <Tool key={part.call.callId} call={part.call} />;
        return <ElicitationCard key={part.elicitation.id} elicitation={part.elicitation} elicitations={elicitations} canAnswer={canAct} />;
      })}
      {state === "stopped" && <p className="text-[13px] text-faint">You stopped this answer.</p>}
      {state === "failed" && <p role={isLast ? "alert" : undefined} className="flex items-start gap-2 rounded-lg bg-bad-wash px-3 py-2 text-bad"><CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />{failureText(error)}</p>}
      {sources.length > 0 && <Sources sources={sources} onSource={onSource} />}
      {state !== "running" && canAct && <Actions answer={answer} isLast={isLast} chat={chat} />}
    </article>
  );
});

function failureText(error: Answer["error"]): string {
  if (error?.message === "interrupted") return "The server was interrupted while it answered. Ask again.";
  return error?.code === 503 ? `The assistant cannot answer now: ${error.message}` : `The answer failed: ${error?.message ?? "no reason was given"}`;
}

/** What it is doing while there is nothing else to see; afterwards the steps, to be opened. */
function Thinking({ answer: { thinking, reasoning, state, parts }, isWaiting }: { answer: Answer; isWaiting: boolean }) {
  const newest = thinking.at(-1)?.step;
  const isThinking = state === "running" && !isWaiting && !parts.some((part) => part.kind === "text");
  if (thinking.length === 0 && !reasoning) return isThinking ? <Busy text="Thinking…" /> : null;
  return (
    <details data-thinking className="group text-[13px] text-faint">
      <summary className="flex min-h-8 w-fit max-w-full items-center gap-1.5 rounded-md pr-2 hover:text-ink pointer-coarse:min-h-11">
        <ChevronRight aria-hidden className="size-4 shrink-0 transition-transform group-open:rotate-90" />
        {isThinking ? <Busy text={newest ?? "Thinking…"} /> : <span>{thinking.length === 1 ? "1 step" : `${thinking.length} steps`}</span>}
      </summary>
      <ol className="mt-1 ml-2 grid gap-1 border-l border-line pl-4">
        {thinking.map(({ step, detail }, i) => <li key={i}>{step}{detail && <span className="block text-[12.5px]">{detail}</span>}</li>)}
        {reasoning && <li className="whitespace-pre-line">{reasoning}</li>}
      </ol>
    </details>
  );
}

const Busy = ({ text }: { text: string }) => <span data-busy className="flex min-w-0 items-center gap-2 text-[13px] text-faint"><LoaderCircle aria-hidden className="size-4 shrink-0 animate-spin text-accent" /><span className="truncate">{text}</span></span>;

const DONE: Record<ToolCall["state"], string> = { running: "is running", done: "done", failed: "failed" };

function Tool({ call: { callId, tool, title, server, args, state, progress, result, text } }: { call: ToolCall }) {
  const Icon = state === "running" ? LoaderCircle : state === "done" ? Check : CircleAlert;
  const details = Object.entries({ ...args });
  const outcome = text ?? (result ? JSON.stringify(result, null, 2) : "");
  return (
    <details data-tool={callId} data-state={state} className="group rounded-xl border border-line bg-surface text-[13px]">
      <summary className="flex min-h-10 items-center gap-2 rounded-xl px-3 py-1.5 pointer-coarse:min-h-11 hover:bg-hover">
        <Icon aria-hidden className={cn("size-4 shrink-0", state === "running" && "animate-spin text-accent", state === "done" && "text-good", state === "failed" && "text-bad")} />
        <span className="min-w-0 flex-1 truncate"><span className="font-medium">{title ?? wordsOf(tool)}</span>{server && <span className="text-faint"> · {server}</span>}<span className="sr-only"> {DONE[state]}</span></span>
        {state === "running" && progress && <Progress progress={progress} />}
        <ChevronRight aria-hidden className="size-4 shrink-0 text-faint transition-transform group-open:rotate-90" />
      </summary>
      <div className="grid gap-2 border-t border-line px-3 py-2.5">
        {details.length > 0 && <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 gap-y-0.5">{details.map(([name, value]) => <div key={name} className="contents"><dt className="text-faint">{wordsOf(name)}</dt><dd className="wrap-anywhere">{typeof value === "string" ? value : JSON.stringify(value)}</dd></div>)}</dl>}
        {outcome ? <pre tabIndex={0} aria-label="Result" className="max-h-56 overflow-auto rounded-lg bg-sunken p-2.5 font-mono text-[12px] whitespace-pre-wrap wrap-anywhere">{outcome}</pre> : details.length === 0 && <p className="text-faint">Nothing more is known of it.</p>}
      </div>
    </details>
  );
}

function Progress({ progress: { progress, total, message } }: { progress: NonNullable<ToolCall["progress"]> }) {
  const label = message ?? (total ? `${Math.round((progress / total) * 100)} %` : String(progress));
  return (
    <span className="flex min-w-0 shrink items-center gap-2 text-faint">
      <span className="truncate tabular-nums">{label}</span>
      {total ? <progress aria-label={label} value={progress} max={total} className="h-1.5 w-16 shrink-0 overflow-hidden rounded-full" /> : null}
    </span>
  );
}

function Sources({ sources, onSource }: { sources: Answer["sources"]; onSource: OpenSource }) {
  return (
    <div role="group" aria-label="Sources" className="grid grid-cols-[minmax(0,1fr)] gap-1.5">
      <h3 className="text-[12.5px] font-medium text-faint">Sources</h3>
      <ul className="flex flex-wrap gap-2">
        {sources.map((source) => (
          <li key={source.doc_id} className="max-w-full min-w-0">
            <button type="button" data-source={source.doc_id} onClick={(event) => onSource(source, event.currentTarget)} className="flex min-h-9 max-w-full items-center gap-2 rounded-lg border border-line bg-surface px-2.5 text-[13px] pointer-coarse:min-h-11 hover:bg-hover">
              <BookOpenText aria-hidden className="size-4 shrink-0 text-faint" /><span dir="auto" className="truncate font-medium">{source.title}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Actions({ answer, isLast, chat }: Pick<Props, "answer" | "isLast" | "chat">) {
  const [isCopied, setCopied] = useState(false);
  const { helpful } = answer;
  return (
    <footer className="-ml-2.5 flex flex-wrap items-center gap-0.5">
      <Button variant="ghost" size="icon" aria-label={isCopied ? "Copied" : "Copy the answer"} onClick={() => void copyText(textOf(answer)).then(() => setCopied(true))}>{isCopied ? <Check /> : <Copy />}</Button>
      <Button variant="ghost" size="icon" aria-label="Helpful" aria-pressed={helpful === true} className="aria-pressed:text-accent" onClick={() => void chat.rate(answer.refId, true)}><ThumbsUp /></Button>
      <Button variant="ghost" size="icon" aria-label="Not helpful" aria-pressed={helpful === false} className="aria-pressed:text-bad" onClick={() => void chat.rate(answer.refId, false)}><ThumbsDown /></Button>
      {isLast && <Button variant="ghost" onClick={() => void chat.regenerate(answer.refId)}><RotateCcw aria-hidden />Answer again</Button>}
      {answer.attempt > 1 && <span className="px-2 text-[12.5px] text-faint">Answer {answer.attempt}</span>}
    </footer>
  );
}
