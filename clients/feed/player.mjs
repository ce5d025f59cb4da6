// Playing a conversation into /feed: when each line is said, and sending it so that it arrives exactly once.
import { sleep } from "../lib/connection.mjs";

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

/** The growing beginnings of a text, word by word, without the whole. */
export function interimTexts(text) {
  const words = text.split(" ");
  return words.slice(0, -1).map((_, i) => words.slice(0, i + 1).join(" "));
}

/** An id that the server takes: [A-Za-z0-9_.:-], at most 128. */
export function safeId(text) {
  return text.replace(/[^A-Za-z0-9_.:-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 100) || "call";
}

/**
 * Plays one conversation as one call. Every event is acknowledged before the next final one is sent; what a broken
 * connection swallowed is sent again under the same segment id, so it is stored once.
 * @param {import("../lib/connection.mjs").Connection} connection
 * @param {{callId: string, conversation: object, speed: number, interim: boolean, signal: AbortSignal,
 *          onLine?: (line: object) => void, agents?: string[], withinMs?: number}} options
 * @returns {Promise<{lines: number, completed: boolean}>}
 */
export async function play(connection, options) {
  const { callId, conversation, speed, interim, signal, onLine, agents, withinMs } = options;
  const call = { call_id: callId };
  const metadata = { subject: conversation.title, conversation_id: conversation.id };
  if (conversation.customer) metadata.customer = conversation.customer;
  await connection.request("call:start", { ...call, ...(agents?.length ? { agents } : {}), metadata }, { withinMs });
  await connection.request("call:status", { ...call, status: "active" });

  const startedMs = Date.now();
  const until = (callMs) => sleep(startedMs + callMs / speed - Date.now(), signal);
  let sent = 0;
  for (const [index, line] of schedule(conversation.lines).entries()) {
    const segment = { ...call, speaker: line.speaker, segment_id: `${callId}:${index + 1}` };
    await until(line.startMs);
    if (interim && line.speaker !== "system") await speakWords(connection, segment, line, { until, signal });
    await until(line.endMs);
    if (signal.aborted) break;
    await connection.request("transcription:update", {
      ...segment, text: line.text, timestamp: new Date().toISOString(), is_final: true,
    });
    sent += 1;
    onLine?.(line);
  }
  await connection.request("call:end", call);
  return { lines: sent, completed: sent === conversation.lines.length };
}

/** Interim texts are worth nothing later: they are sent once, unacknowledged, and only while connected. */
async function speakWords(connection, segment, line, { until, signal }) {
  const texts = interimTexts(line.text);
  const stepMs = (line.endMs - line.startMs) / (texts.length + 1);
  for (const [i, text] of texts.entries()) {
    await until(line.startMs + stepMs * (i + 1));
    if (signal.aborted) return;
    connection.socket.volatile.emit("transcription:update", {
      ...segment, text, timestamp: new Date().toISOString(), is_final: false,
    });
  }
}
