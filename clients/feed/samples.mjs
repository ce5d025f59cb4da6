// JSON as conversations: ABCD's samples, Parley's own snapshots, and one line per row (NDJSON).

// An action is what the agent did in their tools; nobody says it.
const ABCD_SPEAKERS = { agent: "agent", customer: "customer", action: "system" };

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** ["agent", "Hello"], as in ABCD. */
function lineOfTurn(turn) {
  if (!Array.isArray(turn) || typeof turn[0] !== "string" || typeof turn[1] !== "string") {
    throw new Error('is not ["speaker", "text"]');
  }
  return { speaker: ABCD_SPEAKERS[turn[0]] ?? turn[0], text: turn[1].trim() };
}

/** A line as transcription:update has it: {speaker, text, start_ms?, end_ms?}. Interim lines are not taken. */
export function lineOfUpdate(data) {
  if (!isObject(data) || typeof data.text !== "string" || typeof (data.speaker ?? "") !== "string") {
    throw new Error('is not {"speaker", "text"}');
  }
  const line = { speaker: data.speaker || "customer", text: data.is_final === false ? "" : data.text.trim() };
  if (Number.isFinite(data.start_ms)) line.startMs = Math.max(0, data.start_ms);
  if (Number.isFinite(data.end_ms)) line.endMs = Math.max(line.startMs ?? 0, data.end_ms);
  return line;
}

function readLines(list, read, where, problems) {
  const lines = [];
  list.forEach((item, i) => {
    try {
      const line = read(item);
      if (line.text) lines.push(line);
    } catch (error) {
      problems.push({ where: `${where}line ${i + 1}`, reason: error.message });
    }
  });
  return lines;
}

function readConversation(sample, index, problems) {
  const where = `conversation ${index + 1}, `;
  const id = String(sample.convo_id ?? sample.call?.call_id ?? index + 1);
  const subflow = sample.scenario?.subflow;
  return {
    id,
    title: typeof subflow === "string" ? subflow.replaceAll("_", " ") : `conversation ${id}`,
    customer: sample.scenario?.personal?.customer_name,
    lines: Array.isArray(sample.original)
      ? readLines(sample.original, lineOfTurn, where, problems)
      : readLines(sample.transcript, lineOfUpdate, where, problems),
  };
}

const hasText = (value) => typeof value?.text === "string";

/** A parsed JSON document: one conversation or a list of them; or lines of one as the HTTP API takes them, a list or a single one. */
export function parseSamples(document, id) {
  const problems = [];
  const conversations = [];
  const list = Array.isArray(document) ? document : [document];
  if (list.some(hasText)) return { conversations: [{ id, title: id, lines: readLines(list, lineOfUpdate, "", problems) }], problems };
  list.forEach((sample, i) => {
    if (Array.isArray(sample?.original) || Array.isArray(sample?.transcript)) {
      conversations.push(readConversation(sample, i, problems));
    } else {
      problems.push({ where: `conversation ${i + 1}`, reason: 'has no list "original" or "transcript"' });
    }
  });
  return { conversations, problems };
}

/** One JSON object a row, each a line; null if the text is not that. */
export function parseJsonRows(text, id) {
  const rows = text.split(/\r\n|\r|\n/).map((row, i) => ({ row, number: i + 1 })).filter(({ row }) => row.trim());
  if (!isJsonLine(rows[0]?.row ?? "")) return null;
  const problems = [];
  const lines = [];
  for (const { row, number } of rows) {
    try {
      const line = lineOfUpdate(JSON.parse(row));
      if (line.text) lines.push({ ...line, row: number });
    } catch (error) {
      problems.push({ where: `row ${number}`, reason: error.message });
    }
  }
  return { conversations: [{ id, title: id, lines }], problems };
}

/** True for a row that is a whole JSON object with a text. */
export function isJsonLine(row) {
  try {
    return hasText(JSON.parse(row));
  } catch {
    return false;
  }
}
