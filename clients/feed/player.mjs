// Playing a conversation into a call: when each line is said.
import { Interrupted, sleep } from "../lib/connection.mjs";

const MS_PER_CHARACTER = 65; // about 150 words a minute
const PAUSE_MS = 700; // before somebody answers
const SYSTEM_MS = 900; // an action appears, it is not spoken

/**
 * When each line begins and ends, in milliseconds from the start of the call, at speed 1.
 * Lines that know their own time keep it; the others follow one another at the pace of speech.
 */
export function schedule(lines) {
  let clockMs = 0;
  return lines.map((line) => {
    const startMs = line.startMs ?? clockMs + PAUSE_MS;
    const spokenMs = line.speaker === "system" ? SYSTEM_MS : Math.max(500, line.text.length * MS_PER_CHARACTER);
    const endMs = line.endMs ?? startMs + spokenMs;
    clockMs = Math.max(clockMs, endMs);
    return { ...line, startMs, endMs };
  });
}

/** The growing beginnings of a text, word by word, without the whole; of a long one not every word. */
export function interimTexts(text, most = 200) {
  const words = text.split(" ");
  const step = Math.ceil(words.length / most);
  const texts = [];
  for (let count = step; count < words.length; count += step) texts.push(words.slice(0, count).join(" "));
  return texts;
}

/** An id that the server takes: [A-Za-z0-9_.:-], at most 128. */
export function safeId(text) {
  return text.replace(/[^A-Za-z0-9_.:-]+/g, "-").slice(0, 60).replace(/^-+|-+$/g, "") || "call";
}

/** The lines of a conversation when they are due, with their interim texts. */
async function playLines(call, lines, { speed, interim, signal, onLine }) {
  const startedMs = Date.now();
  const until = (callMs) => sleep(startedMs + callMs / speed - Date.now(), signal);
  for (const [index, line] of schedule(lines).entries()) {
    await until(line.startMs);
    if (interim && line.speaker !== "system") await speakWords(call, line, index + 1, { until, signal });
    await until(line.endMs);
    if (signal.aborted) throw new Interrupted();
    if (await call.say(line, index + 1)) onLine?.(line);
    if (call.over) return;
  }
}

async function speakWords(call, line, number, { until, signal }) {
  const texts = interimTexts(line.text);
  const stepMs = (line.endMs - line.startMs) / (texts.length + 1);
  for (const [i, text] of texts.entries()) {
    await until(line.startMs + stepMs * (i + 1));
    if (signal.aborted) return;
    call.sayInterim(line, text, number);
  }
}

/**
 * Lines as they come, from an async iterable of {speaker, text, row, isFinal, fields}. An interim line belongs to the next
 * final one of its segment, or of its speaker if it names none.
 */
async function relayLines(call, lines, { onLine }) {
  const begun = new Map(); // numbers of lines that are not final yet
  let count = 0;
  for await (const line of lines) {
    const id = line.fields?.segment_id;
    const key = id === undefined ? `speaker ${line.speaker}` : `segment ${id}`;
    const number = begun.get(key) ?? ++count;
    if (line.isFinal === false) {
      begun.set(key, number);
      call.sayInterim(line, line.text, number);
      continue;
    }
    begun.delete(key);
    if (await call.say(line, number)) onLine?.(line);
    if (call.over) return;
  }
}

/**
 * Plays one conversation as one call. Every final line is acknowledged before the next one is sent; what a broken
 * connection swallowed is sent again under the same segment id, so it is stored once. The call is ended in any case.
 * @param {import("./call.mjs").Call} call
 * @param {object[] | AsyncIterable<object>} lines a list is played in its own time, a stream as it comes
 * @param {{speed: number, interim: boolean, signal: AbortSignal, onStart?: () => void,
 *          onLine?: (line: object) => void}} options
 */
export async function play(call, lines, options) {
  try {
    await call.start();
    options.onStart?.();
    await (Array.isArray(lines) ? playLines : relayLines)(call, lines, options);
  } finally {
    await call.end();
  }
}
