import type { Vote } from "@parley/react";
import { Clock, ThumbsDown, ThumbsUp } from "lucide-react";
import { cn } from "../lib/cn.js";

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
