// Rolling captions: each cue shows the row of the cue before again and adds one (broadcast, YouTube), or shows it grown by
// some words (live captions). Joined, every row is said once. What people really say twice ("Yes." "Yes.") stays: a file
// counts as rolling only if its cues repeat and go on, one after another.

const STEP_GAP_MS = 1000;
const REPEAT_GAP_MS = 100;
const MAX_ROWS = 8; // that a screen shows at once
const MIN_SHARE = 0.25;

const sameRow = (a, b) => a.speaker === b.speaker && a.text === b.text;
const growsTo = (a, b) => a.speaker === b.speaker && b.text.startsWith(`${a.text} `);

/** How many rows at the end of `before` stand at the beginning of `after`; the last of them may have grown. */
function overlap(before, after) {
  for (let count = Math.min(before.length, after.length, MAX_ROWS); count > 0; count--) {
    const shown = before.slice(-count);
    const last = count - 1;
    if (!shown.slice(0, last).every((row, i) => sameRow(row, after[i]))) continue;
    if (sameRow(shown[last], after[last])) return { count, grown: false };
    if (growsTo(shown[last], after[last])) return { count, grown: true };
  }
  return { count: 0, grown: false };
}

/** How a cue continues the one before: {count, grown, isStep}, with count 0 if it does not. */
function continuation(before, cue) {
  const none = { count: 0, grown: false, isStep: false };
  const gapMs = cue.startMs - before.endMs;
  if (gapMs > STEP_GAP_MS || cue.startMs < before.startMs) return none;
  const { count, grown } = overlap(before.rows, cue.rows);
  const isStep = count > 0 && (grown || cue.rows.length > count);
  return isStep || gapMs <= REPEAT_GAP_MS ? { count, grown, isStep, gapMs } : none;
}

function isRolling(continuations) {
  const steps = continuations.filter(({ isStep }) => isStep);
  if (continuations.length <= 2) return steps.some(({ gapMs }) => gapMs <= REPEAT_GAP_MS);
  return steps.length >= 2 && steps.length >= continuations.length * MIN_SHARE;
}

/**
 * @param {{startMs: number, endMs: number, rows: {speaker: string|null, text: string}[]}[]} cues in order of time
 * @returns the cues, each with what it adds; those that add nothing are left out
 */
export function joinRolling(cues) {
  const filled = cues.filter(({ rows }) => rows.length > 0);
  const continuations = filled.slice(1).map((cue, i) => continuation(filled[i], cue));
  if (!isRolling(continuations)) return filled;
  const joined = [];
  filled.forEach((cue, i) => {
    const { count, grown } = i > 0 ? continuations[i - 1] : { count: 0, grown: false };
    const rows = cue.rows.map((row) => ({ ...row }));
    const before = joined.at(-1);
    if (count > 0 && grown) before.rows[before.rows.length - 1] = rows[count - 1];
    if (count > 0) before.endMs = Math.max(before.endMs, count < rows.length ? cue.startMs : cue.endMs);
    if (count < rows.length) joined.push({ ...cue, rows: rows.slice(count) });
  });
  return joined;
}
