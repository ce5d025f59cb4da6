// The feed command's options.
import { parseArgs } from "node:util";
import { EXIT, Fatal } from "../lib/connection.mjs";

export const HELP = `Usage: scripts/node clients/feed/feed.mjs [options] FILE

Plays the conversations of FILE ("-": standard input) into the namespace /feed of a Parley server, each as a call of
its own. What FILE is, its content says:
  JSON              a list of {"original": [["speaker", "text"], …]}, as ABCD's samples, or {"transcript": [{"speaker",
                    "text"}, …]}, as Parley's snapshots; or a list of {"speaker", "text"}, one call
  WebVTT, SubRip, SBV
  JSON rows         {"speaker", "text", "is_final"?, "segment_id"?, …} in each row; from standard input they are sent
                    as they come, as one call that ends with the input
Subtitles keep their own timing, the others are played at the pace of speech.

  --url URL             the server (default http://127.0.0.1:3000, or CALL_URL)
  --token TOKEN         a token with the role "feed" (or CALL_TOKEN)
  --call-id ID          id of the call; further calls get ID-2, ID-3, … (default: a new id for each call)
  --resume              go on with a call of that id that is still open; without it an open call is left alone
  --only ID             play only the conversation with this id; may be repeated
  --calls N             play N calls: the conversations in turn, from the first again if there are fewer
  --parallel N          play up to N calls at the same time (default 1)
  --loop                begin again after the last conversation, until interrupted
  --agent ID            an agent the call belongs to; may be repeated
  --speaker NAME=ROLE   call the speaker NAME agent, customer or system; may be repeated
  --speaker-prefix      subtitles: "Ann Doe: hello" is said by Ann Doe, as in Zoom's files
  --no-join             subtitles: leave rolling captions as they are, with every row repeated
  --strict              play nothing if a cue or a line of FILE cannot be read
  --speed N             N times faster than real (default 1)
  --interim             send every line word by word before it is final
  --wait SECONDS        give up if the first connection takes longer (default 30)
  --patience SECONDS    how long a line is repeated while the server is busy (default 60)
  --quiet               print nothing but errors
  --help

Events are acknowledged one by one. After a lost connection the feed goes on where it was: the server knows the
segments it has. A line that the server refuses is reported and the others are played; if the call was ended by
somebody else, the rest of it is not. Ctrl-C (SIGINT, SIGTERM, SIGHUP) ends the call and then the feed; a second one
stops at once.

Exit status: 0 every line was taken, 1 not every line was taken (standard error says which), 2 wrong usage or unreadable
file, 3 not authorised, 4 no connection, 130 interrupted.
`;

const OPTIONS = {
  url: { type: "string" },
  token: { type: "string" },
  "call-id": { type: "string" },
  resume: { type: "boolean" },
  only: { type: "string", multiple: true },
  calls: { type: "string" },
  parallel: { type: "string" },
  loop: { type: "boolean" },
  agent: { type: "string", multiple: true },
  speaker: { type: "string", multiple: true },
  "speaker-prefix": { type: "boolean" },
  "no-join": { type: "boolean" },
  strict: { type: "boolean" },
  speed: { type: "string" },
  interim: { type: "boolean" },
  wait: { type: "string" },
  patience: { type: "string" },
  quiet: { type: "boolean" },
  help: { type: "boolean" },
};

function positive(values, name, otherwise) {
  const text = values[name] ?? String(otherwise);
  const number = Number(text);
  if (!(number > 0) || number > 1e6) throw new Fatal(EXIT.USAGE, `--${name} must be a number above 0, not "${text}"`);
  return number;
}

function count(values, name) {
  if (values[name] === undefined) return undefined;
  const number = positive(values, name);
  if (!Number.isInteger(number)) throw new Fatal(EXIT.USAGE, `--${name} must be a whole number, not "${values[name]}"`);
  return number;
}

function renames(list = []) {
  return Object.fromEntries(list.map((rename) => {
    const at = rename.lastIndexOf("=");
    if (at < 1 || at === rename.length - 1) throw new Fatal(EXIT.USAGE, `--speaker wants NAME=ROLE, not "${rename}"`);
    return [rename.slice(0, at), rename.slice(at + 1)];
  }));
}

/** @returns the options, or {help: true}; throws Fatal */
export function readOptions(argv, env) {
  let parsed;
  try {
    parsed = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new Fatal(EXIT.USAGE, error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) return { help: true };
  if (positionals.length !== 1) throw new Fatal(EXIT.USAGE, "name one FILE to play, or - (see --help)");
  const url = values.url ?? env.CALL_URL ?? "http://127.0.0.1:3000";
  if (!/^https?:\/\/./.test(url)) throw new Fatal(EXIT.USAGE, `not a URL: "${url}"`);
  if (values.resume && !values["call-id"]) throw new Fatal(EXIT.USAGE, "--resume needs the --call-id of the call");
  if (values.loop && values.calls) throw new Fatal(EXIT.USAGE, "--loop and --calls exclude each other");
  return {
    file: positionals[0],
    url,
    token: values.token ?? env.CALL_TOKEN,
    callId: values["call-id"],
    resume: Boolean(values.resume),
    only: values.only,
    calls: count(values, "calls"),
    parallel: count(values, "parallel") ?? 1,
    loop: Boolean(values.loop),
    agents: values.agent,
    speakers: renames(values.speaker),
    subtitles: { speakerPrefix: Boolean(values["speaker-prefix"]), join: !values["no-join"] },
    strict: Boolean(values.strict),
    speed: positive(values, "speed", 1),
    interim: Boolean(values.interim),
    waitMs: positive(values, "wait", 30) * 1000,
    patienceMs: positive(values, "patience", 60) * 1000,
    quiet: Boolean(values.quiet),
  };
}
