// The lines of one call as a script. Follows the newest line until the reader scrolls away, and says what came meanwhile.
import type { CallState, Line } from "@parley/react";
import { ArrowDown, ChevronDown, ChevronUp, Search, X } from "lucide-react";
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { cn } from "../lib/cn.js";
import { clockTime, plural, speakerLabel } from "../lib/format.js";
import { useShortcuts } from "../lib/shortcuts.js";
import { Button } from "../ui/button.js";
import { Input } from "../ui/field.js";

const NEAR_THE_END_PX = 60;

interface Finding {
  isFinding: boolean;
  onFinding: (isFinding: boolean) => void;
}

export function FindButton({ isFinding, onFinding }: Finding) {
  return <Button size="icon" aria-label="Find in the transcript" title="Find (F)" aria-pressed={isFinding} onClick={() => onFinding(!isFinding)}><Search /></Button>;
}

export function Transcript({ call, isFinding, onFinding }: { call: CallState } & Finding) {
  const { lines } = call;
  const scroller = useRef<HTMLDivElement>(null);
  const { isFollowing, unread, follow, onScroll } = useFollowing(scroller, lines);
  const find = useFind(lines, isFinding, onFinding);

  useShortcuts(useMemo(() => ({
    f: find.open,
    l: follow,
    escape: () => (find.isOpen ? find.close() : false),
  }), [find, follow]));
  useEffect(() => {
    if (find.current) scroller.current?.querySelector(`[data-key="${CSS.escape(find.current)}"]`)?.scrollIntoView({ block: "center" });
  }, [find.current]);

  return (
    <section aria-label="Transcript" className="relative flex min-h-0 flex-1 flex-col">
      {find.isOpen && <FindBar find={find} />}
      <div ref={scroller} onScroll={onScroll} tabIndex={0} role="region" aria-label="Lines of the call" className="min-h-0 flex-1 overflow-y-auto overscroll-contain outline-offset-[-3px] [scrollbar-width:thin]">
        <ol className="mx-auto max-w-3xl px-4 py-4 lg:px-6" data-lines>
          {lines.map((line, i) => <Row key={line.key} line={line} isSame={lines[i - 1]?.speaker === line.speaker} query={find.isOpen ? find.query : ""} isCurrent={line.key === find.current} />)}
        </ol>
        {lines.length === 0 && <Empty call={call} />}
      </div>
      {!isFollowing && (
        <Button variant="primary" onClick={follow} className="absolute bottom-4 left-1/2 -translate-x-1/2 rounded-full shadow-float">
          <ArrowDown aria-hidden />{unread > 0 ? plural(unread, "new line") : "Latest"}
        </Button>
      )}
      <Announcer lines={lines} />
    </section>
  );
}

function useFollowing(scroller: React.RefObject<HTMLDivElement | null>, lines: readonly Line[]) {
  const [isFollowing, setFollowing] = useState(true);
  const [seen, setSeen] = useState(0);
  useLayoutEffect(() => {
    const box = scroller.current;
    if (isFollowing && box) box.scrollTop = box.scrollHeight;
  }, [scroller, lines, isFollowing]);
  useEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const observer = new ResizeObserver(() => {
      if (isFollowing) box.scrollTop = box.scrollHeight;
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, [scroller, isFollowing]);
  return useMemo(() => ({
    isFollowing,
    unread: isFollowing ? 0 : Math.max(0, lines.length - seen),
    follow: () => setFollowing(true),
    onScroll: () => {
      const box = scroller.current;
      if (!box) return;
      const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END_PX;
      if (!isNear && isFollowing) setSeen(lines.length);
      setFollowing(isNear);
    },
  }), [scroller, isFollowing, lines.length, seen]);
}

function useFind(lines: readonly Line[], isOpen: boolean, onOpen: (isOpen: boolean) => void) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const wanted = query.trim().toLowerCase();
  const hits = useMemo(() => (isOpen && wanted ? lines.filter((line) => line.text.toLowerCase().includes(wanted)).map((line) => line.key) : []), [isOpen, lines, wanted]);
  return useMemo(() => {
    const position = hits.length ? ((at % hits.length) + hits.length) % hits.length : 0;
    return {
      isOpen, query, hits, position,
      current: hits[position] ?? null,
      open: () => onOpen(true),
      close: () => onOpen(false),
      search: (text: string) => (setQuery(text), setAt(0)),
      step: (by: number) => setAt(position + by),
    };
  }, [isOpen, onOpen, query, hits, at]);
}

function FindBar({ find }: { find: ReturnType<typeof useFind> }) {
  return (
    <search className="flex shrink-0 items-center gap-1 border-b border-line bg-surface px-3 py-1 lg:px-5">
      <Input
        autoFocus
        value={find.query}
        onChange={(event) => find.search(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") find.step(event.shiftKey ? -1 : 1);
        }}
        aria-label="Find in the transcript"
        placeholder="Find in this call"
        className="h-9 min-w-0 flex-1 border-line pointer-coarse:h-11"
      />
      <span role="status" className="min-w-12 text-center text-[13px] whitespace-nowrap text-faint tabular-nums">{find.query ? `${find.hits.length ? find.position + 1 : 0} of ${find.hits.length}` : ""}</span>
      <Button variant="ghost" size="icon" aria-label="Previous" onClick={() => find.step(-1)}><ChevronUp /></Button>
      <Button variant="ghost" size="icon" aria-label="Next" onClick={() => find.step(1)}><ChevronDown /></Button>
      <Button variant="ghost" size="icon" aria-label="Close" onClick={find.close}><X /></Button>
    </search>
  );
}

const NAMES: Record<string, string> = { customer: "text-ink", agent: "text-accent" };

const Row = memo(function Row({ line, isSame, query, isCurrent }: { line: Line; isSame: boolean; query: string; isCurrent: boolean }) {
  if (line.speaker === "system") {
    return <li data-key={line.key} data-line data-speaker="system" className="py-1 pl-16 text-[13px] text-faint"><p data-said dir="auto"><Marked text={line.text} query={query} /></p></li>;
  }
  return (
    <li
      data-key={line.key}
      data-line
      data-speaker={line.speaker}
      data-interim={line.final ? undefined : ""}
      aria-busy={!line.final}
      className={cn("grid grid-cols-[52px_minmax(0,1fr)] gap-x-3 rounded-md text-[15px]", isSame ? "pt-0.5" : "pt-3", isCurrent && "bg-accent-wash")}
    >
      {!isSame && <time dateTime={line.timestamp} className="pt-px text-right text-[12px] leading-5 text-faint tabular-nums">{clockTime(line.timestamp)}</time>}
      <div className="col-start-2 min-w-0">
        {!isSame && <p className={cn("text-[13px] leading-5 font-semibold", NAMES[line.speaker] ?? "text-ink")}>{speakerLabel(line.speaker)}</p>}
        <p data-said dir="auto" className={cn("leading-6 wrap-anywhere", !line.final && "text-faint")}>
          <Marked text={line.text} query={query} />
          {!line.final && <span aria-hidden className="ml-0.5 inline-block h-[1em] w-0.5 animate-blink bg-accent align-[-0.14em]" />}
          {line.corrected && <span className="ml-2 text-[12px] text-faint">corrected</span>}
        </p>
      </div>
    </li>
  );
});

function Marked({ text, query }: { text: string; query: string }) {
  const wanted = query.trim().toLowerCase();
  if (!wanted) return text;
  const pieces = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>);
    from = at + wanted.length;
  }
  return [...pieces, text.slice(from)];
}

/** What is wrong with a call that cannot be watched, for whoever followed a link to it. */
function refusalOf({ code, message }: { code: number; message: string }): string {
  if (code === 403) return "Access denied: this call is not yours.";
  return code === 404 || code === 400 ? "This call does not exist, or it was deleted." : message;
}

function Empty({ call }: { call: CallState }) {
  const text = call.error ? refusalOf(call.error)
    : call.callId ? "Nothing has been said yet. The transcript appears here line by line." : "When a call begins, its transcript appears here.";
  return (
    <div className="grid h-4/5 place-content-center justify-items-center gap-4 p-6 text-center text-soft">
      <div aria-hidden className="flex h-10 items-center gap-1.5">
        {[14, 26, 38, 22, 12].map((height, i) => <i key={height} className="w-1 rounded-full bg-accent-line" style={{ height, opacity: 1 - i * 0.08 }} />)}
      </div>
      <p role={call.error ? "alert" : undefined}>{text}</p>
    </div>
  );
}

/** New final lines, for who listens to the page. What was there when the call was opened is not read out. */
function Announcer({ lines }: { lines: readonly Line[] }) {
  const heard = useRef<number | null>(null);
  const [said, setSaid] = useState<Line[]>([]);
  useEffect(() => {
    const newest = lines.at(-1)?.order ?? 0;
    const before = heard.current;
    heard.current = Math.max(newest, before ?? 0);
    if (before === null || lines.length === 0) return;
    const fresh = lines.filter((line) => line.final && line.order > before);
    if (fresh.length > 0) setSaid((old) => [...old, ...fresh].slice(-3));
  }, [lines]);
  return <div aria-live="polite" className="sr-only">{said.map((line) => <p key={line.key}>{speakerLabel(line.speaker)}: {line.text}</p>)}</div>;
}
