// Reading conversations: ABCD sample JSON and WebVTT. Pure: text in, conversations out.
//
// A conversation is {id, title, lines: [{speaker, text, startMs?, endMs?}]}. Lines of WebVTT know when they were
// spoken; the others are timed by the length of their text (player.mjs).

/** @returns {{id: string, title: string, lines: object[]}[]} at least one; throws Error with a readable message */
export function parseConversations(text, name) {
  const content = text.replace(/^\ufeff/, "");
  const conversations = /^WEBVTT(?:[ \t\r\n]|$)/.test(content) ? [parseWebVtt(content, name)] : parseSamples(content);
  const filled = conversations.filter((conversation) => conversation.lines.length > 0);
  if (filled.length === 0) throw new Error("there is no line to play in it");
  return filled;
}

// An action is what the agent did in his tools; nobody says it.
const ABCD_SPEAKERS = { agent: "agent", customer: "customer", action: "system" };

function parseSamples(content) {
  let list;
  try {
    list = JSON.parse(content);
  } catch (error) {
    throw new Error(`neither WebVTT nor JSON (${error.message})`);
  }
  if (!Array.isArray(list)) list = [list];
  return list.map((sample, index) => {
    if (!Array.isArray(sample?.original)) throw new Error(`conversation ${index + 1} has no list "original"`);
    const lines = sample.original.map((turn, at) => {
      if (!Array.isArray(turn) || typeof turn[0] !== "string" || typeof turn[1] !== "string") {
        throw new Error(`conversation ${index + 1}, turn ${at + 1} is not ["speaker", "text"]`);
      }
      return { speaker: ABCD_SPEAKERS[turn[0]] ?? turn[0], text: turn[1].trim() };
    });
    const id = String(sample.convo_id ?? index + 1);
    const subflow = sample.scenario?.subflow;
    return {
      id,
      title: subflow ? subflow.replaceAll("_", " ") : `conversation ${id}`,
      customer: sample.scenario?.personal?.customer_name,
      lines: lines.filter((line) => line.text),
    };
  });
}

const TIMING = /^((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})[ \t]+-->[ \t]+((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})(?:[ \t]|$)/;
const VOICE = /<v(?:\.[^\s>]*)?[ \t]+([^>]*)>/g;
const ENTITIES = { amp: "&", lt: "<", gt: ">", nbsp: "\u00a0", lrm: "\u200e", rlm: "\u200f", quot: '"', apos: "'" };

/** "01:02:03.004" or "02:03.004" in milliseconds. */
function parseTime(text) {
  const parts = text.split(":").map(Number);
  return Math.round(parts.reduce((total, part) => total * 60 + part, 0) * 1000);
}

function plainText(payload) {
  return payload
    .replace(/<[^>]*>/g, "")
    .replace(/&(#\d+|#x[0-9a-f]+|[a-z]+);/gi, (whole, name) => {
      if (name[0] !== "#") return ENTITIES[name.toLowerCase()] ?? whole;
      const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : Number(name.slice(1));
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    })
    .replace(/\s+/g, " ")
    .trim();
}

/** One cue can hold several voices; text before the first has none and is called `speaker`. */
function splitVoices(payload, speaker) {
  const marks = [...payload.matchAll(VOICE)];
  const parts = [];
  const lead = plainText(payload.slice(0, marks[0]?.index ?? payload.length));
  if (lead) parts.push({ speaker, text: lead });
  marks.forEach((mark, i) => {
    const said = plainText(payload.slice(mark.index + mark[0].length, marks[i + 1]?.index ?? payload.length));
    if (said) parts.push({ speaker: plainText(mark[1]) || speaker, text: said });
  });
  return parts;
}

function parseWebVtt(content, name) {
  const lines = [];
  for (const block of content.replace(/\r\n?/g, "\n").split(/\n{2,}/)) {
    const rows = block.split("\n");
    const at = rows.slice(0, 2).findIndex((row) => row.includes("-->"));
    if (at < 0) continue; // the header, NOTE, STYLE, REGION
    const timing = TIMING.exec(rows[at].trim());
    if (!timing) throw new Error(`not a WebVTT timing: "${rows[at]}"`);
    const [startMs, endMs] = [parseTime(timing[1]), parseTime(timing[2])];
    const parts = splitVoices(rows.slice(at + 1).join("\n"), "customer");
    const letters = parts.reduce((sum, part) => sum + part.text.length, 0);
    let fromMs = startMs;
    for (const part of parts) {
      const toMs = fromMs + ((endMs - startMs) * part.text.length) / letters;
      lines.push({ speaker: part.speaker, text: part.text, startMs: Math.round(fromMs), endMs: Math.round(toMs) });
      fromMs = toMs;
    }
  }
  lines.sort((a, b) => a.startMs - b.startMs);
  const id = (name ?? "call").replace(/.*[\\/]/, "").replace(/\.[^.]*$/, "");
  return { id, title: id, lines };
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
