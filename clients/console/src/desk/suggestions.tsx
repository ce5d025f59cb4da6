import { useFeedback, type CallState, type SuggestedDocument, type Vote } from "@parley/react";
import { Clock, ThumbsDown, ThumbsUp } from "lucide-react";
import { cn } from "../lib/cn.js";
import { isCertain, strengthOf } from "../lib/suggestion.js";
import { Problem } from "../ui/field.js";

export function Suggestions({ call }: { call: CallState }) {
  const feedback = useFeedback(call.callId || null);
  const documents = call.suggestion?.documents ?? [];
  const certain = isCertain(documents);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <header className="px-4 pt-4 pb-2.5">
        <h2 data-certain={certain} className="text-[15px] font-semibold">{documents.length > 0 && !certain ? "Possible topics" : "Suggested articles"}</h2>
        <p className="text-[13px] text-faint">{hint(documents, certain)}</p>
      </header>
      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] content-start gap-2 overflow-y-auto px-3 pb-4 [scrollbar-width:thin]">
        <Problem>{feedback.error && `Your answer was not saved: ${feedback.error.message}`}</Problem>
        {documents.map((document, rank) => (
          <Card key={document.id} document={document} isBest={certain && rank === 0} vote={feedback.votes.get(document.id)} onVote={(helpful) => feedback.vote(document.id, helpful)} />
        ))}
      </div>
    </div>
  );
}

function hint(documents: readonly SuggestedDocument[], certain: boolean): string {
  if (documents.length === 0) return "They appear as the customer says what it is about.";
  return certain ? "For what the customer said so far." : "Not clear yet what it is about. One of these may fit.";
}

interface CardProps {
  document: SuggestedDocument;
  isBest: boolean;
  vote?: Vote;
  onVote: (helpful: boolean) => void;
}

function Card({ document, isBest, vote, onVote }: CardProps) {
  return (
    <article data-card data-document={document.id} className={cn("animate-arrive rounded-xl border bg-surface px-3.5 py-3", isBest ? "border-accent-line shadow-float" : "border-line")}>
      <p className="flex justify-between gap-3 text-[12.5px] text-faint">
        <span className="truncate">{document.topic}</span>
        {isBest && <span className="shrink-0 font-medium text-accent">{strengthOf(document.relevance)}</span>}
      </p>
      <h3 className="font-semibold">{document.title}</h3>
      {document.excerpt && <p className="mt-1 line-clamp-2 text-[13px] leading-5 text-soft">{document.excerpt}</p>}
      <Votes vote={vote} onVote={onVote} />
    </article>
  );
}

export function Votes({ vote, onVote }: { vote?: Vote; onVote: (helpful: boolean) => void }) {
  return (
    <div className="mt-2 flex items-center gap-1.5">
      {[true, false].map((helpful) => (
        <button
          key={String(helpful)}
          type="button"
          data-helpful={helpful}
          aria-pressed={vote?.helpful === helpful}
          onClick={() => onVote(helpful)}
          className={cn("inline-flex h-8 items-center gap-1.5 rounded-lg border border-line px-2.5 text-[13px] font-medium text-soft hover:bg-hover hover:text-ink pointer-coarse:h-11 [&_svg]:size-3.5",
            helpful ? "aria-pressed:border-accent-line aria-pressed:bg-accent-wash aria-pressed:text-accent" : "aria-pressed:border-bad/40 aria-pressed:bg-bad-wash aria-pressed:text-bad")}
        >
          {helpful ? <ThumbsUp aria-hidden /> : <ThumbsDown aria-hidden />}
          {helpful ? "Helpful" : "Not helpful"}
        </button>
      ))}
      <span role="status" data-totals className="ml-auto flex items-center gap-1 text-[12.5px] text-faint tabular-nums">
        {vote?.isPending ? <><Clock aria-hidden className="size-3.5" />Waiting</> : vote?.totals && `${vote.totals.helpful} yes · ${vote.totals.unhelpful} no`}
      </span>
    </div>
  );
}
