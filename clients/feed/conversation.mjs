// Reading conversations, recognised by what is in the text: JSON, WebVTT, SubRip, SBV. Pure: text in, conversations out.
//
// A conversation is {id, title, lines: [{speaker, text, startMs?, endMs?, row?}]}. Lines of subtitles know when they were
// spoken; the others are timed by the length of their text (player.mjs).
import { subtitleFormat } from "./cues.mjs";
import { parseJsonRows, parseSamples } from "./samples.mjs";
import { parseSubtitles } from "./subtitles.mjs";

const nameOf = (path) => (path ?? "call").replace(/.*[\\/]/, "").replace(/(.)\.[^.]*$/, "$1");

function parseJson(content, id) {
  try {
    return parseSamples(JSON.parse(content), id);
  } catch (error) {
    return parseJsonRows(content, id) ?? { error };
  }
}

/**
 * @param {string} text
 * @param {string} [name] of the file
 * @param {object} [options] as parseSubtitles takes them
 * @returns {{conversations: {id: string, title: string, lines: object[]}[], problems: {where: string, reason: string}[]}}
 *          at least one conversation with a line; problems: what was left out. Throws Error with a readable message
 */
export function parseConversations(text, name, options = {}) {
  const content = text.replace(/^\ufeff/, "");
  const id = nameOf(name);
  const json = /^\s*[[{]/.test(content) ? parseJson(content, id) : null;
  let found = json;
  if (!json || json.error) {
    const format = subtitleFormat(content);
    if (!format && json) throw new Error(`not JSON (${json.error.message})`);
    if (!format) throw new Error("none of JSON, WebVTT, SubRip and SBV");
    const { lines, problems } = parseSubtitles(content, format, options);
    found = {
      conversations: [{ id, title: id, lines }],
      problems: problems.map(({ row, reason }) => ({ where: `row ${row}`, reason })),
    };
  }
  const conversations = found.conversations.filter(({ lines }) => lines.length > 0);
  if (conversations.length > 0) return { conversations, problems: found.problems };
  const [first] = found.problems;
  throw new Error(first ? `no line to play: ${first.where} ${first.reason}` : "no line to play");
}

/** Renames speakers: {"Joyce Wu": "customer"}; names are compared without regard to case. */
export function renameSpeakers(conversation, names) {
  const wanted = new Map(Object.entries(names).map(([from, to]) => [from.toLowerCase(), to]));
  const roles = new Set(["agent", "customer", "system"]);
  const lines = conversation.lines.map((line) => {
    const lower = line.speaker.toLowerCase();
    return { ...line, speaker: wanted.get(lower) ?? (roles.has(lower) ? lower : line.speaker) };
  });
  return { ...conversation, lines };
}
