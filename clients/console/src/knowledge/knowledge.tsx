// The knowledge base: what agents are suggested, how it did, and, for those who may, its texts.
import { useFeature, useKnowledge, useParley, type Article, type DocumentEntry, type Failure } from "@parley/react";
import { ArrowLeft, Pencil, Plus, Search, Trash2 } from "lucide-react";
import { useCallback, useEffect, useRef, useState, type FormEvent } from "react";
import { Blocks, Inline, Points } from "../desk/article-text.js";
import { partsOf } from "../lib/article.js";
import { cn } from "../lib/cn.js";
import { plural } from "../lib/format.js";
import { useIsSupervisor } from "../lib/roles.js";
import { go } from "../lib/route.js";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Chip } from "../ui/chip.js";
import { Dialog } from "../ui/dialog.js";
import { Field, Input, Problem, Textarea } from "../ui/field.js";
import { Phrases } from "./phrases.js";

const NEW = "new";
const WRITTEN_HERE = "written here"; // the source of what no file has
const PAGE = 100;
const QUERY_MAX = 50; // 200 bytes

/** The documents with these words, a page of the server's at a time: there may be ten thousand. */
function useDocuments(query: string) {
  const client = useParley();
  const [documents, setDocuments] = useState<readonly DocumentEntry[] | null>(null);
  const [next, setNext] = useState<string | undefined>();
  const [problem, setProblem] = useState<string | null>(null);
  const newest = useRef(0);
  const fetchPage = useCallback(async (before: string | undefined) => {
    const number = ++newest.current;
    const search = new URLSearchParams({ limit: String(PAGE), ...(query && { query }), ...(before && { before }) });
    try {
      const answer = await client.fetch(`/api/v1/documents?${search}`);
      if (number !== newest.current) return; // other words were typed meanwhile
      const page = answer.documents as DocumentEntry[];
      setDocuments((known) => before && known ? [...known, ...page] : page);
      setNext(answer.next as string | undefined);
      setProblem(null);
    } catch (error) {
      if (number === newest.current) setProblem(error instanceof Error ? error.message : String(error));
    }
  }, [client, query]);
  const load = useCallback(() => fetchPage(undefined), [fetchPage]);
  const more = useCallback(() => fetchPage(next), [fetchPage, next]);
  useEffect(() => void load(), [load]);
  return { documents, hasMore: next !== undefined, problem, load, more };
}

/** The value once it has not changed for a moment. */
function useSettled(value: string) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), 200);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

export function KnowledgePage({ docId }: { docId: string | null }) {
  const [filter, setFilter] = useState("");
  const query = useSettled(filter.trim());
  const { documents, hasMore, problem, load, more } = useDocuments(query);
  const canWrite = useFeature("POST /api/v1/documents") && useIsSupervisor();

  return (
    <main className="grid min-h-0 flex-1 grid-cols-1 grid-rows-[minmax(0,1fr)] lg:grid-cols-[380px_minmax(0,1fr)]">
      <h1 className="sr-only">Knowledge base</h1>
      <section aria-labelledby="knowledge-title" className={cn("flex min-h-0 flex-col border-r border-line", docId && "max-lg:hidden")}>
        <div className="grid gap-2.5 p-3 pb-2">
          <div className="flex h-9 items-center justify-between">
            <h2 id="knowledge-title" className="text-[15px] font-semibold">Knowledge base</h2>
            {canWrite && <Button onClick={() => go("knowledge", NEW)}><Plus aria-hidden />New article</Button>}
          </div>
          <div className="relative">
            <Search aria-hidden className="pointer-events-none absolute top-1/2 left-2.5 size-4 -translate-y-1/2 text-faint" />
            <Input type="search" value={filter} onChange={(event) => setFilter(event.target.value)} aria-label="Filter the articles" placeholder="Title or topic" maxLength={QUERY_MAX} className="h-9 border-line pl-8.5" />
          </div>
          <p className="text-[12.5px] text-faint" role="status">{documents ? `${hasMore ? "The first " : ""}${plural(documents.length, "article")}` : problem ? "" : "Loading…"}</p>
        </div>
        <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-3 [scrollbar-width:thin]">
          <Problem>{problem && `The articles could not be listed: ${problem}`}</Problem>
          {documents?.length === 0 && !hasMore && <p className="px-3 py-6 text-center text-faint">{query ? "No article matches." : "No articles yet. Import some, or write one."}</p>}
          <ul className="grid gap-0.5">
            {documents?.map((each) => <Row key={each.id} document={each} isOpen={each.id === docId} />)}
          </ul>
          {hasMore && <Button className="mt-2 w-full" onClick={() => void more()}>Show more</Button>}
        </div>
      </section>
      <section aria-label="The article" className={cn("min-h-0 overflow-y-auto bg-surface", !docId && "max-lg:hidden")}>
        {docId === NEW && canWrite ? <Editor key={NEW} onDone={(id) => (void load(), go("knowledge", id))} onCancel={() => go("knowledge")} />
          : docId ? <Reader key={docId} docId={docId} canWrite={canWrite} onChanged={load} />
          : <p className="grid h-full place-items-center text-faint">Choose an article.</p>}
      </section>
    </main>
  );
}

function Row({ document, isOpen }: { document: DocumentEntry; isOpen: boolean }) {
  const votes = document.helpful + document.unhelpful;
  return (
    <li>
      <button
        type="button"
        data-row={document.id}
        aria-current={isOpen ? "true" : undefined}
        onClick={() => go("knowledge", document.id)}
        className="grid min-h-13 w-full grid-cols-[minmax(0,1fr)_auto] items-center gap-x-3 rounded-lg px-2.5 py-1.5 text-left hover:bg-sunken aria-[current=true]:bg-surface aria-[current=true]:shadow-[inset_3px_0_0_var(--accent),0_0_0_1px_var(--line)]"
      >
        <span dir="auto" className="truncate text-left font-medium">{document.title}</span>
        <span className="row-span-2 text-right text-[12.5px] text-faint tabular-nums">{votes > 0 ? `${Math.round((100 * document.helpful) / votes)} % of ${votes}` : ""}</span>
        <span className="truncate text-[12.5px] text-faint">{document.topic.split(":")[0]}</span>
      </button>
    </li>
  );
}

function Reader({ docId, canWrite, onChanged }: { docId: string; canWrite: boolean; onChanged: () => Promise<void> }) {
  const { read } = useKnowledge();
  const [article, setArticle] = useState<Article | null>(null);
  const [problem, setProblem] = useState<Failure | null>(null);
  const [isEditing, setEditing] = useState(false);
  const load = useCallback(() => read(docId).then(setArticle, setProblem), [read, docId]);
  useEffect(() => void load(), [load]);

  const back = <Button variant="ghost" className="-ml-3 w-fit lg:hidden" onClick={() => go("knowledge")}><ArrowLeft aria-hidden />All articles</Button>;
  if (problem) return <div className="grid gap-4 p-5 lg:p-8">{back}<Problem>{problem.code === 404 ? "This article is not in the knowledge base any more." : `The article could not be opened: ${problem.message}`}</Problem></div>;
  if (!article) return <p className="p-6 text-faint">Opening…</p>;
  if (isEditing) return <Editor article={article} onDone={() => (setEditing(false), void load(), void onChanged())} onCancel={() => setEditing(false)} />;
  const { lead, steps } = partsOf(article.text);
  return (
    <article data-article={article.id} className="mx-auto grid max-w-3xl grid-cols-[minmax(0,1fr)] gap-4 p-5 lg:p-8">
      {back}
      <header className="flex flex-wrap items-start justify-between gap-3">
        <div className="max-w-full min-w-0 wrap-anywhere">
          <p dir="auto" className="text-left text-[13px] text-faint">{article.topic}</p>
          <h2 dir="auto" className="text-left text-2xl leading-8 font-semibold tracking-tight">{article.title}</h2>
        </div>
        {canWrite && (
          <div className="flex gap-2">
            <Button onClick={() => setEditing(true)}><Pencil aria-hidden />Edit</Button>
            <Delete article={article} onDeleted={onChanged} />
          </div>
        )}
      </header>
      <dl className="flex flex-wrap gap-x-8 gap-y-2 border-y border-line py-3">
        {([["Suggested", article.shown], ["Helpful", article.helpful], ["Not helpful", article.unhelpful], ["Learned from", plural(article.learned_calls, "call")], ["Comes from", article.source.split("/").at(-1) ?? ""]] as const).map(([name, value]) => (
          <div key={name}><dt className="text-[12.5px] text-faint">{name}</dt><dd className="font-semibold tabular-nums">{value}</dd></div>
        ))}
      </dl>
      <Blocks blocks={lead} />
      {steps.length > 0 && (
        <ol className="grid list-decimal gap-2.5 pl-5 marker:font-semibold">
          {steps.map((step, i) => (
            <li key={i} className="pl-1">
              <Inline text={step.text} />
              <Points blocks={step.points} className="text-soft" />
            </li>
          ))}
        </ol>
      )}
      <Phrases article={article} canWrite={canWrite} onChanged={load} />
      {article.learned.length > 0 && (
        <section aria-label="Learned words" className="grid gap-2 border-t border-line pt-4">
          <h3 className="font-semibold">What customers said when it helped</h3>
          <p className="flex flex-wrap gap-1.5">{article.learned.filter(({ kind }) => kind !== "pair").map(({ kind, text }) => <Chip key={kind + text}>{text}</Chip>)}</p>
        </section>
      )}
    </article>
  );
}

function Delete({ article, onDeleted }: { article: Article; onDeleted: () => Promise<void> }) {
  const client = useParley();
  const [isAsking, setAsking] = useState(false);
  const action = useCallback(() => client.fetch(`/api/v1/documents/${encodeURIComponent(article.id)}`, { method: "DELETE" }), [client, article.id]);
  const { send, isSending, problem } = useSend(action);
  const remove = async () => {
    if (!(await send())) return;
    go("knowledge");
    void onDeleted();
  };
  return (
    <>
      <Button variant="danger" onClick={() => setAsking(true)}><Trash2 aria-hidden />Delete</Button>
      <Dialog open={isAsking} onOpenChange={setAsking} title={`Delete “${article.title}”?`} description="It is not suggested any more. Another import of its file brings it back.">
        <Problem>{problem && `Not deleted: ${problem}`}</Problem>
        <div className="flex justify-end gap-2">
          <Button onClick={() => setAsking(false)}>Keep it</Button>
          <Button variant="danger" onClick={remove} disabled={isSending}>Delete</Button>
        </div>
      </Dialog>
    </>
  );
}

function Editor({ article, onDone, onCancel }: { article?: Article; onDone: (id: string) => void; onCancel: () => void }) {
  const client = useParley();
  const [id, setId] = useState("");
  const action = useCallback(async (data: object) => {
    const path = `/api/v1/documents${article ? `/${encodeURIComponent(article.id)}` : ""}`;
    const answer = await client.fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });
    setId(String(answer.doc_id));
  }, [client, article]);
  const { send, isSending, problem } = useSend(action);
  useEffect(() => {
    if (id) onDone(id);
  }, [id]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string) => String(form.get(name)).trim();
    void send({ title: value("title"), topic: value("topic"), text: value("text") });
  };
  return (
    <form onSubmit={submit} className="mx-auto grid max-w-3xl gap-4 p-5 lg:p-8">
      <h2 className="text-xl font-semibold tracking-tight">{article ? "Edit the article" : "New article"}</h2>
      {article && article.source !== WRITTEN_HERE && <p className="rounded-lg bg-warn-wash px-3 py-2 text-warn">It came from a file. The next import of that file replaces what you write here.</p>}
      <Field label="Title">{(field) => <Input id={field} name="title" dir="auto" required maxLength={160} defaultValue={article?.title} />}</Field>
      <Field label="Topic" hint="A short name, and after a colon what it is about.">{(field) => <Input id={field} name="topic" maxLength={160} defaultValue={article?.topic} />}</Field>
      <Field label="Text" hint="A numbered list becomes steps that agents tick off.">{(field) => <Textarea id={field} name="text" dir="auto" required defaultValue={article?.text} className="min-h-80" />}</Field>
      <Problem>{problem && `Not saved: ${problem}`}</Problem>
      <div className="flex justify-end gap-2">
        <Button onClick={onCancel}>Cancel</Button>
        <Button variant="primary" type="submit" disabled={isSending}>{isSending ? "Saving…" : "Save"}</Button>
      </div>
    </form>
  );
}
