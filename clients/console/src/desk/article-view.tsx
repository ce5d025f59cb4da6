// An article to read: its steps to tick off, the passage that was quoted marked, and a copy to paste.
import type { ArticleText, Failure } from "@parley/react";
import { ArrowLeft, Check, Copy } from "lucide-react";
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { partsOf } from "../lib/article.js";
import { cn } from "../lib/cn.js";
import { copyText } from "../lib/copy.js";
import { useStored } from "../lib/stored.js";
import { Button } from "../ui/button.js";
import { Problem } from "../ui/field.js";
import { Blocks, Inline, Points } from "./article-text.js";

/** What read(id) gives. */
export function useArticle<T extends ArticleText>(id: string, read: (id: string) => Promise<T>) {
  const [article, setArticle] = useState<T | null>(null);
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

interface Props {
  id: string;
  title: string;
  excerpt: string;
  article: ArticleText | null;
  error: Failure | null;
  /** For whom steps are ticked off: a call, a chat. */
  of: string;
  /** Where closing it leads. */
  back: string;
  onClose: () => void;
  onCopied?: () => void;
  /** Below the text. */
  children?: ReactNode;
}

export function ArticleView({ id, title, excerpt, article, error, of, back, onClose, onCopied, children }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    button.current?.focus();
  }, [id]);
  return (
    <section aria-label={title} data-article={id} className="flex h-full min-h-0 flex-col">
      <header className="flex items-center justify-between gap-2 px-2 py-1.5">
        <Button ref={button} variant="ghost" onClick={onClose}><ArrowLeft aria-hidden />{back}</Button>
        {article && <CopyButton text={`${article.title}\n\n${article.text.trim()}\n`} onCopied={onCopied} />}
      </header>
      <div tabIndex={0} role="group" aria-label="Article" className="min-h-0 flex-1 overflow-y-auto px-4 pb-4 outline-offset-[-2px] [scrollbar-width:thin]">
        <p dir="auto" className="text-left text-[12.5px] text-faint">{article?.topic}</p>
        <h2 dir="auto" className="text-left text-lg leading-6 font-semibold tracking-tight wrap-anywhere">{title}</h2>
        {error && <Missing error={error} excerpt={excerpt} />}
        {!article && !error && <p className="mt-3 text-faint">Opening…</p>}
        {article && <Body of={of} article={article} excerpt={excerpt} />}
      </div>
      {children && <footer className="border-t border-line px-4 py-3 [&>div]:mt-0">{children}</footer>}
    </section>
  );
}

/** What was quoted stands, whatever became of the article. */
function Missing({ error, excerpt }: { error: Failure; excerpt: string }) {
  return (
    <div className="mt-2 grid gap-3">
      <Problem>{error.code === 404 ? "This article is not in the knowledge base any more." : `The article could not be opened: ${error.message}`}</Problem>
      {excerpt && <figure className="grid gap-1"><figcaption className="text-[12.5px] text-faint">What was quoted of it</figcaption><blockquote dir="auto" className="border-l-3 border-line-strong pl-3 text-soft wrap-anywhere">{excerpt}</blockquote></figure>}
    </div>
  );
}

function Body({ of, article, excerpt }: { of: string; article: ArticleText; excerpt: string }) {
  const { lead, steps } = useMemo(() => partsOf(article.text), [article.text]);
  const [done, setDone] = useStored<number[]>(`steps ${of} ${article.id}`, []);
  const toggle = (step: number) => setDone(done.includes(step) ? done.filter((each) => each !== step) : [...done, step]);
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => {
    body.current?.querySelector("mark")?.scrollIntoView({ block: "center" });
  }, [article.id]);
  return (
    <div ref={body} className="mt-2 grid grid-cols-[minmax(0,1fr)] gap-3">
      <Blocks blocks={lead} excerpt={excerpt} className="text-soft" />
      {steps.length > 0 && <p className="text-[12.5px] font-medium text-faint tabular-nums" role="status">{done.length} of {steps.length} steps done</p>}
      <ol className="grid grid-cols-[minmax(0,1fr)] gap-0.5 empty:hidden">
        {steps.map((step, i) => (
          <li key={i}>
            <label className="flex min-h-11 cursor-pointer items-start gap-3 rounded-lg px-2 py-2 hover:bg-sunken">
              <input type="checkbox" checked={done.includes(i)} onChange={() => toggle(i)} className="mt-0.5 size-5 shrink-0 accent-accent" />
              <span className={cn("min-w-0 flex-1", done.includes(i) && "text-faint")}>
                <span className="mr-1.5 font-semibold tabular-nums">{i + 1}.</span>
                <Inline text={step.text} excerpt={excerpt} />
                <Points blocks={step.points} excerpt={excerpt} className="text-[13px] text-soft" />
              </span>
            </label>
          </li>
        ))}
      </ol>
    </div>
  );
}

function CopyButton({ text, onCopied }: { text: string; onCopied?: () => void }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    onCopied?.();
  };
  return (
    <>
      <Button variant="ghost" onClick={copy}>{isCopied ? <Check aria-hidden /> : <Copy aria-hidden />}{isCopied ? "Copied" : "Copy"}</Button>
      <span role="status" className="sr-only">{isCopied && "The article is copied."}</span>
    </>
  );
}
