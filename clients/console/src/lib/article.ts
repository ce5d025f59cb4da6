// The text of a document as its steps, and where in it the passage is that was suggested.

export interface Step {
  text: string;
  /** What belongs to the step: its points. */
  points: string[];
}

export interface Parts {
  lead: string[];
  steps: Step[];
}

const ITEM = /^\s*(?:\d+[.)]|[-*•])\s+/;
const POINT = /^\s{2,}(?:[-*•]|\d+[.)])\s+/;

/** A numbered or bulleted list becomes steps; without one each paragraph after the first is a step. */
export function partsOf(text: string): Parts {
  const rows = text.split(/\r?\n/).map((row) => row.trimEnd());
  const isListed = rows.some((row) => ITEM.test(row));
  const parts: Parts = { lead: [], steps: [] };
  for (const row of rows) {
    if (!row.trim()) continue;
    const last = parts.steps.at(-1);
    if (POINT.test(row) && last) last.points.push(row.replace(POINT, ""));
    else if (ITEM.test(row) || (!isListed && parts.lead.length > 0)) parts.steps.push({ text: row.replace(ITEM, "").trim(), points: [] });
    else if (last) last.points.push(row.trim());
    else parts.lead.push(row.trim().replace(/^#+\s*/, ""));
  }
  return parts;
}

const plain = (text: string): string => text.replace(/\s+/g, " ").trim().toLowerCase();

/** The piece of text that the excerpt quotes, or null: [before, the piece, after]. Blanks and case aside. */
export function markPassage(text: string, excerpt: string): [string, string, string] | null {
  const wanted = plain(excerpt.replace(/^…|…$/g, ""));
  const squeezed = text.replace(/\s+/g, " ");
  const lower = squeezed.toLowerCase();
  if (wanted.length < 4) return null;
  const at = lower.indexOf(wanted);
  if (at >= 0) return [squeezed.slice(0, at), squeezed.slice(at, at + wanted.length), squeezed.slice(at + wanted.length)];
  return plain(text).length > 12 && wanted.includes(plain(text)) ? ["", text, ""] : null;
}
