// Reads WebVTT, SubRip and SBV as tools write them rather than as the formats define them: rows in, cues out. It never
// throws, takes linear time, and an odd cue costs that cue. What is left out is reported with its row.
//
// One reader serves all three, because the files mix them: SubRip's commas in WebVTT, WebVTT's voices in SubRip.

const FRACTION = String.raw`(?:[.,](\d{1,9}))?`;
const TIME = String.raw`(?:(\d{1,6}):)?([0-5]\d):([0-5]\d)${FRACTION}`;
// Programs that write SubRip leave zeros in front out, and hours with them: 0:7:3,5 and 75:10,0. WebVTT drops such a cue.
const LOOSE_TIME = String.raw`(?:(\d{1,6}):(?=\d+:))?([0-5]?\d|(?<!:)\d{2,3}):([0-5]?\d)${FRACTION}`;
const ARROW = "(?:-+>|[–—]>|→)";
const timing = (time) => new RegExp(String.raw`^\s*${time}\s*${ARROW}\s*${time}(?!\d|[:.,]\d)`);
const TIMING = timing(TIME);
const LOOSE_TIMING = timing(LOOSE_TIME);
const SBV_TIMING = new RegExp(String.raw`^\s*${TIME}\s*,\s*${TIME}\s*$`);
const LIKE_A_TIME = /(?:^|-->)\s*\d+\s*[:.,]\s*\d/;
const NUMBER = /^\s*\d+\s*$/;
const UUID = /^\s*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22,40}(?:\/[\d-]+)?\s*$/i; // as Teams numbers its cues
const META_BLOCK = /^(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|$)/;
const CLIP = 60;

const clip = (text) => (text.length > CLIP ? `${text.slice(0, CLIP)}…` : text);

function milliseconds([hours = "0", minutes, seconds, fraction = "0"]) {
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000 + Math.round(Number(`0.${fraction}`) * 1000);
}

/** {startMs, endMs} of a row like "1:00:02.5 --> 1:00:03" or, for SBV, "0:00:01.000,0:00:02.000"; null for others. */
function parseTiming(row, pattern = TIMING) {
  const match = pattern.exec(row);
  if (!match) return null;
  const [startMs, endMs] = [milliseconds(match.slice(1, 5)), milliseconds(match.slice(5, 9))];
  return { startMs, endMs: Math.max(startMs, endMs) };
}

const rowsOf = (text) => text.replace(/^\ufeff/, "").replaceAll("\0", "\ufffd").split(/\r\n|\r|\n/);

/** "vtt", "srt" or "sbv" by what is in the text; null if it is none of them. */
export function subtitleFormat(text) {
  if (/^\ufeff?\s*WEBVTT(?:\s|$)/.test(text)) return "vtt";
  for (const row of rowsOf(text)) {
    if (row.includes(">") || row.includes("→")) {
      if (parseTiming(row, LOOSE_TIMING)) return "srt";
    } else if (parseTiming(row, SBV_TIMING)) return "sbv";
  }
  return null;
}

/** A row right above a timing is the cue's id: in WebVTT any text, in the others a number or a UUID. */
class CueReader {
  constructor(format) {
    this.format = format;
    this.cues = [];
    this.problems = [];
    this.cue = null; // the newest cue, which text without a cue may belong to
    this.state = "between"; // "payload": rows are the cue's; "skip": rows of a note or of an odd cue
    this.pending = []; // rows since the last blank one, outside a cue
    this.hadNumericId = false;
    this.lastRow = "";
  }

  read(row, number) {
    this.#place(row, number);
    this.lastRow = row;
  }

  #place(row, number) {
    if (row === "") return this.#endBlock();
    const timing = this.#timing(row);
    if (timing) return this.#beginCue(timing, number);
    if (row.includes("-->") && this.#isOddTiming(row)) return this.#skipOddCue(row, number);
    if (this.state === "payload") this.#addText(row);
    else if (this.state === "between") this.#readBetween(row, number);
  }

  finish() {
    this.#endBlock();
    return { cues: this.cues, problems: this.problems };
  }

  #timing(row) {
    if (row.includes(">") || row.includes("→")) return parseTiming(row, this.format === "srt" ? LOOSE_TIMING : TIMING);
    return this.format === "sbv" ? parseTiming(row, SBV_TIMING) : null;
  }

  #endBlock() {
    this.#placeText(this.pending);
    this.pending = [];
    this.state = "between";
  }

  #readBetween(row, number) {
    if (this.pending.length === 0 && META_BLOCK.test(row) && this.format === "vtt") this.state = "skip";
    else this.pending.push({ row, number });
  }

  /** Text that an empty row cut off from its cue goes back to it; WebVTT ends a cue there, unless it had no text yet. */
  #placeText(pending) {
    const text = pending.filter(({ row }) => row.trim());
    if (text.length === 0) return;
    if (this.cue && (this.format !== "vtt" || !this.cue.hasText)) {
      for (const { row } of text) this.#addText(row);
    } else {
      this.problems.push({ row: text[0].number, reason: `text outside a cue: "${clip(text[0].row)}"` });
    }
  }

  #addText(row) {
    this.cue.rows.push(row);
    if (row.trim()) this.cue.hasText = true;
  }

  /** Takes the id above a timing from where it was put. */
  #takeId() {
    const isNumber = NUMBER.test(this.lastRow);
    if (this.state === "payload") this.#takeIdOfPayload(isNumber);
    else if (this.format === "vtt" || isNumber || UUID.test(this.lastRow)) this.pending.pop();
    if (isNumber && this.state !== "payload") this.hadNumericId = true;
  }

  /** Without a blank row between the cues the id looks like the last row of the text before it. */
  #takeIdOfPayload(isNumber) {
    const rows = this.cue.rows;
    const afterBlank = rows.length > 1 && !rows.at(-2).trim() && !/\s/.test(this.lastRow.trim());
    if (afterBlank || (isNumber && this.hadNumericId) || UUID.test(this.lastRow)) rows.pop();
  }

  #beginCue(timing, number) {
    this.#takeId();
    this.#placeText(this.pending);
    this.pending = [];
    this.cue = { ...timing, row: number, rows: [], hasText: false };
    this.cues.push(this.cue);
    this.state = "payload";
  }

  #isOddTiming(row) {
    if (this.state === "between" && this.pending.length === 0 && META_BLOCK.test(row)) return false;
    const mayBeText = this.state !== "between" || (this.format !== "vtt" && this.cue !== null);
    return !mayBeText || LIKE_A_TIME.test(row);
  }

  #skipOddCue(row, number) {
    this.#takeId();
    this.#placeText(this.pending);
    this.pending = [];
    this.problems.push({ row: number, reason: `not the timing of a cue: "${clip(row)}"` });
    this.state = "skip";
  }
}

/**
 * @param {string} text
 * @param {"vtt"|"srt"|"sbv"} format
 * @returns {{cues: {startMs: number, endMs: number, row: number, rows: string[]}[], problems: {row: number, reason: string}[]}}
 */
export function parseCues(text, format) {
  const reader = new CueReader(format);
  rowsOf(text).forEach((row, i) => reader.read(row, i + 1));
  return reader.finish();
}
