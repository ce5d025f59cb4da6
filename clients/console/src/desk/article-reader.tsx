// One article as a whole: its steps to tick off, the passage that was suggested marked, and a copy to paste.
import { useKnowledge, type Article, type Failure, type Vote } from "@parley/react";
import { ArrowLeft, Check, Copy } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { markPassage, partsOf } from "../lib/article.js";
import { useStored } from "../lib/stored.js";
import { Button } from "../ui/button.js";
import { Problem } from "../ui/field.js";
import { Votes } from "./votes.js";

interface Props {
  callId: string;
  id: string;
  title: string;
  excerpt: string;
  vote?: Vote;
  onVote: (helpful: boolean) => void;
  onUsed: (how: "opened" | "copied") => void;
  onClose: () => void;
}

function useArticle(id: string) {
  const { read } = useKnowledge();
  const [article, setArticle] = useState<Article | null>(null);
  const [error, setError] = useState<Failure | null>(null);
  useEffect(() => {
    let isCurrent = true;
    setArticle(null);
    setError(null);
    read(id).then((found) => isCurrent && setArticle(found), (failure: Failure) => isCurrent && setError(failure));
    return () => {
      isCurrent = false;
    };
  }, [id, read]);
  return { article, error };
}

export function ArticleReader({ callId, id, title, excerpt, vote, onVote, onUsed, onClose }: Props) {
  const { article, error } = useArticle(id);
  const back = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    back.current?.focus();
  }, [id]);
  useEffect(() => {
    if (article) onUsed("opened");
  }, [article]);
  return (
    <section aria-label={title} data-article={id} className="flex h-full min-h-0 flex-col">
      <header className="flex items-center justify-between gap-2 px-2 py-1.5">
        <Button ref={back} variant="ghost" onClick={onClose}><ArrowLeft aria-hidden />All articles</Button>
        {article && <CopyButton text={`${article.title}\n\n${article.text.trim()}\n`} onCopied={() => onUsed("copied")} />}
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto px-4 pb-4 [scrollbar-width:thin]">
        <p className="text-[12.5px] text-faint">{article?.topic}</p>
        <h3 className="text-lg leading-6 font-semibold tracking-tight">{title}</h3>
        <Problem>{error && `The article could not be opened: ${error.message}`}</Problem>
        {!article && !error && <p className="mt-3 text-faint">Opening…</p>}
        {article && <Body callId={callId} article={article} excerpt={excerpt} />}
      </div>
      <footer className="border-t border-line px-4 py-3 [&>div]:mt-0"><Votes vote={vote} onVote={onVote} /></footer>
    </section>
  );
}

function Body({ callId, article, excerpt }: { callId: string; article: Article; excerpt: string }) {
  const { lead, steps } = useMemo(() => partsOf(article.text), [article.text]);
  const [done, setDone] = useStored<number[]>(`steps ${callId} ${article.id}`, []);
  const toggle = (step: number) => setDone(done.includes(step) ? done.filter((each) => each !== step) : [...done, step]);
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => {
    body.current?.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  }, [article.id]);
  return (
    <div ref={body} className="mt-2 grid gap-3">
      {lead.map((text) => <p key={text} className="text-soft"><Passage text={text} excerpt={excerpt} /></p>)}
      {steps.length > 0 && <p className="text-[12.5px] font-medium text-faint tabular-nums" role="status">{done.length} of {steps.length} steps done</p>}
      <ol className="grid gap-0.5">
        {steps.map((step, i) => (
          <li key={step.text}>
            <label className="flex min-h-11 cursor-pointer items-start gap-3 rounded-lg px-2 py-2 hover:bg-sunken">
              <input type="checkbox" checked={done.includes(i)} onChange={() => toggle(i)} className="mt-0.5 size-5 shrink-0 accent-accent" />
              <span className={done.includes(i) ? "text-faint" : undefined}>
                <span className="mr-1.5 font-semibold tabular-nums">{i + 1}.</span>
                <Passage text={step.text} excerpt={excerpt} />
                {step.points.length > 0 && (
                  <ul className="mt-1 grid list-disc gap-1 pl-4 text-[13px] text-soft">
                    {step.points.map((point) => <li key={point}><Passage text={point} excerpt={excerpt} /></li>)}
                  </ul>
                )}
              </span>
            </label>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Passage({ text, excerpt }: { text: string; excerpt: string }) {
  const marked = markPassage(text, excerpt);
  return marked ? <>{marked[0]}<mark>{marked[1]}</mark>{marked[2]}</> : text;
}

function CopyButton({ text, onCopied }: { text: string; onCopied: () => void }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text).catch(() => copyBySelection(text));
    setCopied(true);
    onCopied();
  };
  return (
    <>
      <Button variant="ghost" onClick={copy}>{isCopied ? <Check aria-hidden /> : <Copy aria-hidden />}{isCopied ? "Copied" : "Copy"}</Button>
      <span role="status" className="sr-only">{isCopied && "The article is copied."}</span>
    </>
  );
}

/** Where the clipboard is closed to pages: not over plain HTTP from another machine. */
function copyBySelection(text: string): void {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
