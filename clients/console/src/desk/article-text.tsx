// The text of an article: paragraphs, points, tables and code, with the passage that was quoted marked.
import { markPassage, type Block, type Piece } from "../lib/article.js";
import { cn } from "../lib/cn.js";

const LOOKS = { strong: "font-semibold", em: "italic", code: "rounded bg-sunken px-1 font-mono text-[0.92em]", link: "text-accent underline underline-offset-2" } as const;

function PieceOf({ piece: { text, kind, href, isMarked } }: { piece: Piece }) {
  const inner = isMarked ? <mark>{text}</mark> : text;
  if (kind === "link") return <a href={href} target="_blank" rel="noopener noreferrer" className={LOOKS.link}>{inner}</a>;
  return kind ? <span className={LOOKS[kind]}>{inner}</span> : inner;
}

export function Inline({ text, excerpt = "" }: { text: string; excerpt?: string }) {
  return <bdi className="wrap-anywhere">{markPassage(text, excerpt).map((piece, i) => <PieceOf key={i} piece={piece} />)}</bdi>;
}

function Other({ block }: { block: Exclude<Block, { kind: "text" }> }) {
  if (block.kind === "code") return <pre tabIndex={0} aria-label="Code" className="overflow-x-auto rounded-lg bg-sunken px-3 py-2 font-mono text-[13px]">{block.text}</pre>;
  const [head = [], ...rows] = block.rows;
  return (
    <div tabIndex={0} role="group" aria-label="Table" className="overflow-x-auto">
      <table className="text-[13px] [&_:is(th,td)]:border [&_:is(th,td)]:border-line [&_:is(th,td)]:px-2 [&_:is(th,td)]:py-1 [&_:is(th,td)]:text-start [&_th]:bg-sunken [&_th]:font-semibold">
        <thead><tr>{head.map((cell, i) => <th key={i} scope="col"><Inline text={cell} /></th>)}</tr></thead>
        <tbody>{rows.map((row, i) => <tr key={i}>{row.map((cell, j) => <td key={j}><Inline text={cell} /></td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

export function Blocks({ blocks, excerpt, className }: { blocks: readonly Block[]; excerpt?: string; className?: string }) {
  return blocks.map((block, i) => (block.kind === "text" ? <p key={i} dir="auto" className={className}><Inline text={block.text} excerpt={excerpt} /></p> : <Other key={i} block={block} />));
}

/** What belongs to a step: texts are its points. */
export function Points({ blocks, excerpt, className }: { blocks: readonly Block[]; excerpt?: string; className?: string }) {
  if (blocks.length === 0) return null;
  return (
    <ul className={cn("mt-1 grid list-disc grid-cols-[minmax(0,1fr)] gap-1 ps-5", className)}>
      {blocks.map((block, i) => <li key={i} className={block.kind === "text" ? undefined : "list-none"}>{block.kind === "text" ? <Inline text={block.text} excerpt={excerpt} /> : <Other block={block} />}</li>)}
    </ul>
  );
}
