// Suggested articles, what the agent looks for by hand, and one of them opened.
import { useFeature, useFeedback, useKnowledge, useParley, type CallState, type SuggestedDocument, type Vote } from "@parley/react";
import { Search, X } from "lucide-react";
import { useCallback, useMemo, useRef, useState } from "react";
import { cn } from "../lib/cn.js";
import { useShortcuts } from "../lib/shortcuts.js";
import { isCertain, strengthOf } from "../lib/suggestion.js";
import { Button } from "../ui/button.js";
import { Input, Problem } from "../ui/field.js";
import { ArticleReader } from "./article-reader.js";
import { Votes } from "./votes.js";

export function Suggestions({ call }: { call: CallState }) {
  const client = useParley();
  const feedback = useFeedback(call.callId || null);
  const knowledge = useKnowledge(call.callId || undefined);
  const canSearch = useFeature("kb:search");
  const canRead = useFeature("GET /api/v1/documents/{doc_id}");
  const canNote = useFeature("doc:used");
  const [opened, setOpened] = useState<SuggestedDocument | null>(null);
  const search = useRef<HTMLInputElement>(null);
  const suggested = call.suggestion?.documents ?? [];
  const documents = knowledge.documents ?? suggested;
  const certain = !knowledge.documents && isCertain(documents);

  const open = useCallback((document: SuggestedDocument | undefined) => (canRead && document ? setOpened(document) : false), [canRead]);
  const vote = useCallback((helpful: boolean) => {
    const document = opened ?? documents[0];
    if (document) feedback.vote(document.id, helpful);
  }, [opened, documents, feedback]);
  const used = useCallback((docId: string, how: "opened" | "copied") => {
    if (canNote && call.callId) client.request("doc:used", { doc_id: docId, call_id: call.callId, how }, { isRepeatable: true }).catch(() => {});
  }, [client, canNote, call.callId]);
  useShortcuts(useMemo(() => ({
    "/": () => (canSearch ? search.current?.focus() : false),
    y: () => vote(true),
    n: () => vote(false),
    escape: () => (opened ? setOpened(null) : false),
    ...Object.fromEntries([0, 1, 2, 3, 4].map((i) => [String(i + 1), () => open(documents[i])])),
  }), [canSearch, vote, opened, open, documents]));

  if (opened) {
    return (
      <ArticleReader
        callId={call.callId} id={opened.id} title={opened.title} excerpt={opened.excerpt}
        vote={feedback.votes.get(opened.id)} onVote={(helpful) => feedback.vote(opened.id, helpful)}
        onUsed={(how) => used(opened.id, how)} onClose={() => setOpened(null)}
      />
    );
  }
  return (
    <div className="flex h-full min-h-0 flex-col">
      {canSearch && <SearchBox inputRef={search} onSearch={knowledge.search} isSearching={knowledge.isSearching} />}
      <header className="px-4 pt-3 pb-2">
        <h2 data-certain={certain} className="text-[15px] font-semibold">{knowledge.documents ? "Found articles" : documents.length > 0 && !certain ? "Possible topics" : "Suggested articles"}</h2>
        <p className="text-[13px] text-faint">{knowledge.documents ? (documents.length ? "For your search." : "Nothing fits your search.") : hint(documents, certain)}</p>
      </header>
      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] content-start gap-2 overflow-y-auto px-3 pb-4 [scrollbar-width:thin]">
        <Problem>{feedback.error && `Your answer was not saved: ${feedback.error.message}`}</Problem>
        <Problem>{knowledge.error && `The search failed: ${knowledge.error.message}`}</Problem>
        {documents.map((document, rank) => (
          <Card key={document.id} document={document} isBest={certain && rank === 0} vote={feedback.votes.get(document.id)} onVote={call.callId ? (helpful) => feedback.vote(document.id, helpful) : undefined} onOpen={canRead ? () => open(document) : undefined} />
        ))}
      </div>
    </div>
  );
}

function hint(documents: readonly SuggestedDocument[], certain: boolean): string {
  if (documents.length === 0) return "They appear once the customer says what the call is about.";
  return certain ? "Based on what the customer has said so far." : "It is not clear yet what the call is about. One of these may fit.";
}

const PAUSE_MS = 250; // after the last key

function SearchBox({ inputRef, onSearch, isSearching }: { inputRef: React.RefObject<HTMLInputElement | null>; onSearch: (query: string) => void; isSearching: boolean }) {
  const [query, setQuery] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const change = (text: string) => {
    setQuery(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onSearch(text), text ? PAUSE_MS : 0);
  };
  return (
    <search className="relative mx-3 mt-3 block">
      <Search aria-hidden className={cn("pointer-events-none absolute top-1/2 left-2.5 size-4 -translate-y-1/2 text-faint", isSearching && "animate-breathe")} />
      <Input
        ref={inputRef}
        type="text"
        value={query}
        onChange={(event) => change(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") change(""), event.currentTarget.blur();
        }}
        aria-label="Search the knowledge base"
        placeholder="Search the knowledge base"
        className="h-9 border-line px-8.5"
      />
      {query && <Button variant="ghost" size="icon" aria-label="Clear the search" onClick={() => change("")} className="absolute inset-y-0 right-0"><X /></Button>}
    </search>
  );
}

interface CardProps {
  document: SuggestedDocument;
  isBest: boolean;
  vote?: Vote;
  onVote?: (helpful: boolean) => void;
  onOpen?: () => void;
}

function Card({ document, isBest, vote, onVote, onOpen }: CardProps) {
  return (
    <article data-card data-document={document.id} className={cn("relative animate-arrive rounded-xl border bg-surface px-3.5 py-3", isBest ? "border-accent-line shadow-float" : "border-line", onOpen && "hover:border-line-strong")}>
      <p className="flex justify-between gap-3 text-[12.5px] text-faint">
        <span className="truncate" title={document.topic}>{document.topic?.split(":")[0]}</span>
        {isBest && <span className="shrink-0 font-medium text-accent">{strengthOf(document.relevance)}</span>}
      </p>
      <h3 dir="auto" className="text-left font-semibold wrap-anywhere">
        {onOpen ? <button type="button" onClick={onOpen} className="text-left after:absolute after:inset-0 after:rounded-xl">{document.title}</button> : document.title}
      </h3>
      {document.excerpt && <p dir="auto" className="mt-1 line-clamp-2 text-[13px] leading-5 text-soft">{document.excerpt}</p>}
      {onVote && <div className="relative w-fit min-w-full"><Votes vote={vote} onVote={onVote} /></div>}
    </article>
  );
}
