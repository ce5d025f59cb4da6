// The text of a cue: who says what. Voices (<v Name>), other tags, character references, and "Name:" where asked for.
import { decodeHTMLStrict } from "entities";

const TOKEN = /<([^<>]*)>|\n/g;
const TAG = /^(\/?)([a-z][a-z0-9]*)(?=[.\s/]|$)/i;
const TIME_TAG = /^[\d:.,]+$/;
const KNOWN_TAGS = new Set(["b", "br", "c", "em", "font", "i", "lang", "p", "rt", "ruby", "s", "span", "strong", "u", "v"]);
const ONLY_MARKS = /^[-–—>\s]+$/; // the dash of a dialogue, the ">>" of a new speaker
const LETTER = /[\p{L}\p{N}]/u;

function plainText(raw) {
  return decodeHTMLStrict(raw).replace(/\s+/g, " ").trim();
}

/** What the inside of <…> means: {voice}, {text} for what is no tag, or {} for a tag that says nothing to us. */
function readTag(inside, keepsUnknown) {
  if (TIME_TAG.test(inside)) return {};
  const [, closing, name] = TAG.exec(inside) ?? [];
  const tag = name?.toLowerCase();
  if (!tag || (keepsUnknown && !KNOWN_TAGS.has(tag))) return { text: `<${inside}>` };
  if (tag === "v") return { voice: closing ? null : plainText(inside.replace(/^v\S*/i, "")) || null };
  return tag === "br" ? { text: "\n" } : {};
}

/** Collects the rows of one cue. */
class Rows {
  constructor() {
    this.rows = [];
    this.speaker = null;
    this.raw = "";
  }

  add(raw) {
    this.raw += raw;
  }

  /** Ends a row; what follows is said by `speaker`. */
  end(speaker = this.speaker) {
    const text = plainText(this.raw);
    const before = this.rows.at(-1);
    if (text && this.speaker === null && before?.speaker && !LETTER.test(text) && !ONLY_MARKS.test(text)) {
      before.text += /^\s/.test(this.raw) ? ` ${text}` : text; // the full stop behind </v>
    } else if (text) {
      this.rows.push({ speaker: this.speaker, text });
    }
    this.raw = "";
    this.speaker = speaker;
  }
}

/**
 * @param {string[]} payload the rows of a cue
 * @param {"vtt"|"srt"|"sbv"} format outside WebVTT what looks like an unknown tag is text
 * @returns {{speaker: string|null, text: string}[]} speaker is null where no voice is given
 */
export function readMarkup(payload, format) {
  let source = payload.join("\n");
  if (format !== "vtt") source = source.replace(/\{\\[^{}]*\}/g, ""); // positions, as in "{\an8}"
  if (format === "sbv") source = source.replaceAll("[br]", "\n");
  const rows = new Rows();
  let from = 0;
  for (const match of source.matchAll(TOKEN)) {
    rows.add(source.slice(from, match.index));
    from = match.index + match[0].length;
    const { voice, text } = match[0] === "\n" ? { text: "\n" } : readTag(match[1], format !== "vtt");
    if (voice !== undefined) rows.end(voice);
    else if (text === "\n") rows.end();
    else if (text) rows.add(text);
  }
  rows.add(source.slice(from));
  rows.end();
  const spoken = rows.rows.filter(({ text }) => !ONLY_MARKS.test(text));
  return spoken.length > 0 ? spoken : rows.rows;
}

const PREFIX = /^(?:>>+\s*|[-–—]\s*)?([^:：]{1,64})(?::(?=\s|$)|：)\s*/;
const NAME = /^[\p{Lu}\p{Lt}\p{Lo}[(][^?!;]*$/u;
const ROLE = /^(?:agent|customer|system|speaker)(?:\s*\d+)?$/i;
const ORDINARY = /^(?:attention|caution|example|important|n\.?b\.?|note|notice|p\.?s\.?|reminder|tip|warning)$/i;
const MAX_WORDS = 8;

/** {name, rest} of "Ann Doe: hello"; null for "12:30", "Note: …", "https://…" and sentences. */
export function splitName(text) {
  const match = PREFIX.exec(text);
  if (!match) return null;
  const name = match[1].trim().replace(/^[[(](.*)[\])]$/, "$1").trim();
  if (!(NAME.test(name) || ROLE.test(name)) || ORDINARY.test(name) || name.split(/\s+/).length > MAX_WORDS) return null;
  return { name, rest: text.slice(match[0].length) };
}

/** Reads "Name:" at the beginning of rows without a voice. A row without a name belongs to the speaker before. */
export class NamePrefixes {
  constructor() {
    this.speaker = null;
  }

  read(rows) {
    const named = rows.map((row) => {
      const prefix = row.speaker === null ? splitName(row.text) : null;
      if (row.speaker !== null) return row;
      if (!prefix) return { ...row, speaker: this.speaker };
      this.speaker = prefix.name;
      return { speaker: prefix.name, text: prefix.rest };
    });
    return named.filter(({ text }) => text);
  }
}
