// The text of a document, which is Markdown or plain, as its steps, and where in it the passage is that was quoted.

export type Block = { kind: "text"; text: string } | { kind: "code"; text: string } | { kind: "table"; rows: string[][] };

export interface Step {
  text: string;
  /** What belongs to the step: its points, tables, code. */
  points: Block[];
}

export interface Parts {
  lead: Block[];
  steps: Step[];
}

const FENCE = /^\s*(```+|~~~+)/;
const ITEM = /^\s*(?:\d+[.)]|[-*+•])\s+/;
const POINT = /^\s{2,}(?:[-*+•]|\d+[.)])\s+/;
const TABLE = /^\s*\|.*\|\s*$/;
const RULE_OF_TABLE = /^[\s|:-]+$/;
/** A line that is shorter, or ends a sentence, was not broken because it was full. */
const FULL = 50;
const OPEN_ENDED = /[^.:!?;]$/;

const cellsOf = (row: string): string[] => row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const withoutMarks = (row: string): string => row.trim().replace(/^(?:#+|>)\s+/, "");

/** A numbered or bulleted list becomes steps; what stands before it, and a text without one, paragraphs. */
export function partsOf(text: string): Parts {
  const parts: Parts = { lead: [], steps: [] };
  let fence = "";
  let before = ""; // the row above, "" if there is a blank between
  const here = (): Block[] => parts.steps.at(-1)?.points ?? parts.lead;
  const goOn = (row: string): boolean => {
    const last = here().at(-1);
    if (before.length < FULL || !OPEN_ENDED.test(before)) return false;
    if (last?.kind === "text") last.text += ` ${row.trim()}`;
    else if (!last && parts.steps.length > 0) parts.steps.at(-1)!.text += ` ${row.trim()}`;
    else return false;
    return true;
  };
  for (const row of text.split(/\r?\n/).map((each) => each.trimEnd())) {
    const mark = FENCE.exec(row)?.[1] ?? "";
    const last = here().at(-1);
    if (fence) {
      if (mark.startsWith(fence)) fence = "";
      else if (last?.kind === "code") last.text += `${last.text && "\n"}${row}`;
      continue;
    }
    if (mark) {
      fence = mark;
      here().push({ kind: "code", text: "" });
    } else if (TABLE.test(row)) {
      if (last?.kind !== "table") here().push({ kind: "table", rows: [cellsOf(row)] });
      else if (!RULE_OF_TABLE.test(row)) last.rows.push(cellsOf(row));
    } else if (POINT.test(row) && parts.steps.length > 0) here().push({ kind: "text", text: row.replace(POINT, "") });
    else if (ITEM.test(row)) parts.steps.push({ text: row.replace(ITEM, "").trim(), points: [] });
    else if (row.trim() && !goOn(row)) here().push({ kind: "text", text: withoutMarks(row) });
    before = mark ? "" : row.trim();
  }
  return parts;
}

/** A piece of a text with one look. */
export interface Piece {
  text: string;
  kind?: "strong" | "em" | "code" | "link";
  href?: string;
  /** Of the passage that was quoted. */
  isMarked?: boolean;
}

const INLINE = /`([^`]+)`|\*\*(\S(?:.*?\S)?)\*\*|(?<![\w*])[*_](\S(?:[^*_]*\S)?)[*_](?![\w*])|\[([^\]]+)\]\((https?:\/\/[^\s)]+|mailto:[^\s)]+)\)/g;

/** Markdown within a paragraph; everything else stays plain text. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, strong, em, link, href] = found;
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) });
    pieces.push(code ? { text: code, kind: "code" } : strong ? { text: strong, kind: "strong" } : em ? { text: em, kind: "em" } : { text: link!, kind: "link", href });
    from = found.index + whole.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

const plainOf = (text: string): string => piecesOf(text).map((piece) => piece.text).join("");
const squeezed = (text: string): string => text.replace(/\s+/g, " ").trim().toLowerCase();
/** Less of a text is not marked: it would be chance. */
const LEAST = 12;

/** Where in the text, squeezed and in lower case, the passage is: all of it, or the part of it that is in this text. */
function rangeOf(text: string, passage: string): [number, number] | null {
  if (passage.length < 4) return null;
  const at = text.indexOf(passage);
  if (at >= 0) return [at, at + passage.length];
  if (text.length >= LEAST && passage.includes(text)) return [0, text.length];
  // It begins in this text, or ends in it.
  for (let n = Math.min(text.length, passage.length) - 1; n >= LEAST * 2; n--) {
    if (text.endsWith(passage.slice(0, n))) return [text.length - n, text.length];
    if (text.startsWith(passage.slice(-n))) return [0, n];
  }
  return null;
}

/** The pieces of a text with what the excerpt quotes of it marked. Blanks, case and Markdown aside. */
export function markPassage(text: string, excerpt: string): Piece[] {
  const pieces = piecesOf(text);
  if (!excerpt) return pieces;
  const passage = squeezed(plainOf(excerpt.replace(/^…|…$/g, "")).replace(ITEM, ""));
  const range = rangeOf(squeezed(plainOf(text)), passage);
  if (!range) return pieces;
  const [begin, end] = range;
  let at = 0; // in the squeezed text
  let wasBlank = true;
  return pieces.flatMap((piece) => {
    const parts: Piece[] = [];
    for (const letter of piece.text) {
      const isBlank = /\s/.test(letter);
      const isMarked = at >= begin && at < end;
      if (!isBlank || !wasBlank) at += isBlank ? 1 : letter.toLowerCase().length;
      wasBlank = isBlank;
      const last = parts.at(-1);
      if (last && Boolean(last.isMarked) === isMarked) last.text += letter;
      else parts.push({ ...piece, text: letter, ...(isMarked && { isMarked }) });
    }
    return parts;
  });
}
