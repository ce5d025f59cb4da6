// Which of the passages that a search found an answer quotes.
interface Passage {
  title: string;
  excerpt: string;
}

/** What is shorter stands in many texts. */
const SENTENCE_MIN = 16;
/** A long sentence may have been cut. */
const SENTENCE_COMPARED = 200;

const sentencesOf = (text: string): string[] =>
  text.split(/(?<=[.?!])\s+|\n+/).map((sentence) => sentence.trim().slice(0, SENTENCE_COMPARED)).filter((sentence) => sentence.length >= SENTENCE_MIN);

/** The passages of which the answer says most, each with something that none before has; else those whose titles it names; else all, as it is in words of its own. */
export function quotedIn<P extends Passage>(answer: string, passages: readonly P[]): P[] {
  const sentences = passages.map(({ excerpt }) => sentencesOf(excerpt));
  const said = sentences.map((all) => all.filter((sentence) => answer.includes(sentence)));
  const shares = said.map((each, i) => each.length / Math.max(sentences[i]!.length, 1));
  const best = Math.max(0, ...shares);
  const told = new Set<string>();
  const quoted = passages.filter((_, i) => {
    const isQuoted = best > 0 && shares[i]! > best / 2 && said[i]!.some((sentence) => !told.has(sentence));
    if (isQuoted) for (const sentence of said[i]!) told.add(sentence);
    return isQuoted;
  });
  if (quoted.length) return quoted;
  const named = passages.filter(({ title }) => title && answer.includes(title));
  return named.length ? named : [...passages];
}
