// WebVTT, SubRip and SBV as lines of a conversation.
import { parseCues } from "./cues.mjs";
import { NamePrefixes, readMarkup } from "./markup.mjs";
import { joinRolling } from "./rolling.mjs";

/** Neighbouring rows of one speaker are one line. */
function mergeRows(rows) {
  const parts = [];
  for (const row of rows) {
    const before = parts.at(-1);
    if (before && before.speaker === row.speaker) before.texts.push(row.text);
    else parts.push({ speaker: row.speaker, texts: [row.text] });
  }
  return parts.map(({ speaker, texts }) => ({ speaker, text: texts.join(" ") }));
}

/** The lines of one cue; several voices share its time by the length of what they say. */
function linesOfCue(cue, speaker) {
  const parts = mergeRows(cue.rows);
  const letters = parts.reduce((sum, part) => sum + part.text.length, 0);
  let fromMs = cue.startMs;
  return parts.map((part) => {
    const toMs = fromMs + ((cue.endMs - cue.startMs) * part.text.length) / letters;
    const line = { speaker: part.speaker ?? speaker, text: part.text, startMs: Math.round(fromMs), endMs: Math.round(toMs) };
    fromMs = toMs;
    return { ...line, row: cue.row };
  });
}

/**
 * Never throws; linear in the length of the text.
 * @param {string} text
 * @param {"vtt"|"srt"|"sbv"} format
 * @param {{speakerPrefix?: boolean, join?: boolean, speaker?: string}} options speakerPrefix: "Name:" names a speaker;
 *        join: rolling captions are joined; speaker: who says what has no name
 * @returns {{lines: object[], problems: {row: number, reason: string}[]}} lines in order of time
 */
export function parseSubtitles(text, format, { speakerPrefix = false, join = true, speaker = "customer" } = {}) {
  const { cues, problems } = parseCues(text, format);
  cues.sort((a, b) => a.startMs - b.startMs);
  const prefixes = speakerPrefix ? new NamePrefixes() : null;
  let marked = cues.map((cue) => {
    const rows = readMarkup(cue.rows, format);
    return { ...cue, rows: prefixes ? prefixes.read(rows) : rows };
  });
  if (join) marked = joinRolling(marked);
  const lines = marked.flatMap((cue) => linesOfCue(cue, speaker));
  lines.sort((a, b) => a.startMs - b.startMs);
  return { lines, problems };
}
