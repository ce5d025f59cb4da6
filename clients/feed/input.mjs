// Where the conversations come from: a file, or standard input, whose JSON rows are passed on as they come.
import { readFile, stat } from "node:fs/promises";
import { EXIT, Fatal } from "../lib/connection.mjs";
import { parseConversations, renameSpeakers } from "./conversation.mjs";
import { isJsonLine, lineOfUpdate } from "./samples.mjs";
import { decodeText } from "./text.mjs";

const MAX_REPORTED = 20;
const PASSED_ON = ["segment_id", "timestamp", "start_ms", "end_ms", "confidence"];

/** The rows of a stream of bytes, without their ends. */
async function* rowsOf(chunks) {
  let parts = [];
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, at)]);
      parts = [];
      from = at + 1;
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

const isBlank = (row) => row.toString("latin1").trim() === "";

/** JSON rows as lines of a call. */
async function* linesOf(rows, report) {
  let number = 0;
  for await (const bytes of rows) {
    number += 1;
    if (isBlank(bytes)) continue;
    try {
      const data = JSON.parse(decodeText(bytes).text);
      const line = lineOfUpdate({ ...data, is_final: true });
      const fields = Object.fromEntries(PASSED_ON.filter((name) => data[name] !== undefined).map((name) => [name, data[name]]));
      if (line.text) yield { speaker: line.speaker, text: line.text, fields, row: number, isFinal: data.is_final !== false };
    } catch (error) {
      report({ where: `row ${number}`, reason: error.message });
    }
  }
}

async function* chain(first, rest) {
  yield* first;
  yield* rest;
}

/** Reads on until it is clear what comes: {stream} of lines for JSON rows, otherwise all of it as {bytes}. */
async function readStdin(stdin, report) {
  const rows = rowsOf(stdin);
  const seen = [];
  for (let next = await rows.next(); !next.done; next = await rows.next()) {
    seen.push(next.value);
    if (isBlank(next.value)) continue;
    const { text, encoding } = decodeText(next.value);
    // The rows of wide characters are not apart yet: byte 10 is half of their end.
    if (isJsonLine(text) && !/^utf-(?:16|32)/.test(encoding)) return { stream: linesOf(chain(seen, rows), report) };
    break;
  }
  for await (const row of rows) seen.push(row);
  return { bytes: Buffer.concat(seen.flatMap((row, i) => (i ? [Buffer.from("\n"), row] : [row]))) };
}

/** A pipe into which nobody writes would be waited for, for ever: what comes by one is standard input. */
async function readWhole(path) {
  if (!(await stat(path)).isFile()) throw new Error('not a regular file; "-" reads standard input');
  return readFile(path);
}

function reporter(options, warn) {
  let count = 0;
  return ({ where, reason }) => {
    count += 1;
    if (options.strict) throw new Fatal(EXIT.USAGE, `${options.file}: ${where}: ${reason}`);
    if (count <= MAX_REPORTED) warn(`${options.file}: ${where}: ${reason}; left out`);
    else if (count === MAX_REPORTED + 1) warn(`${options.file}: more than ${MAX_REPORTED} places were left out`);
  };
}

function parse(bytes, options, report, warn) {
  const { text, encoding } = decodeText(bytes);
  if (encoding === "windows-1252") warn(`${options.file}: not UTF-8; read as Windows-1252`);
  const { conversations, problems } = parseConversations(text, options.file === "-" ? "stdin" : options.file, options.subtitles);
  problems.forEach(report);
  const wanted = options.only ? conversations.filter(({ id }) => options.only.includes(id)) : conversations;
  if (wanted.length === 0) throw new Error("no conversation of that id");
  return wanted.map((conversation) => renameSpeakers(conversation, options.speakers));
}

async function* renamed(lines, speakers) {
  for await (const line of lines) yield renameSpeakers({ lines: [line] }, speakers).lines[0];
}

/**
 * @param {{stdin: NodeJS.ReadableStream, signal: AbortSignal, warn: (text: string) => void}} io an aborted signal ends
 *        the reading of standard input
 * @returns {Promise<{id: string, title: string, lines: object[] | AsyncIterable<object>}[]>}; throws Fatal
 */
export async function load(options, { stdin, signal, warn }) {
  const report = reporter(options, warn);
  try {
    if (options.file !== "-") return parse(await readWhole(options.file), options, report, warn);
    signal.addEventListener("abort", () => stdin.destroy(), { once: true });
    const { bytes, stream } = await readStdin(stdin, report);
    if (!stream) return parse(bytes, options, report, warn);
    return [{ id: "stdin", title: "live", lines: renamed(stream, options.speakers) }];
  } catch (error) {
    if (error instanceof Fatal) throw error;
    if (signal.aborted) throw new Fatal(EXIT.INTERRUPTED, "interrupted");
    throw new Fatal(EXIT.USAGE, `${options.file}: ${error.message}`);
  }
}
