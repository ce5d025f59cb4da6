#!/usr/bin/env node
// Plays a conversation into a Parley server as a live call. See --help.
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Connection, EXIT, Fatal, sleep } from "../lib/connection.mjs";
import { endWithReader, palette, plain, speech } from "../lib/terminal.mjs";
import { parseConversations, renameSpeakers } from "./conversation.mjs";
import { play, safeId } from "./player.mjs";

const HELP = `Usage: scripts/node clients/feed/feed.mjs [options] FILE

Plays the conversations of FILE into the namespace /feed of a Parley server, each as a call of its own.
FILE is JSON (a list of {"original": [["speaker", "text"], …]}, as ABCD's samples) or WebVTT with <v Speaker> voices;
WebVTT keeps its own timing, the others are played at the pace of speech.

  --url URL             the server (default http://127.0.0.1:3000, or CALL_URL)
  --token TOKEN         a token with the role "feed" (or CALL_TOKEN)
  --call-id ID          id of the call; further calls get ID-2, ID-3, … (default: call-<conversation>-<time>)
  --only ID             play only the conversation with this id; may be repeated
  --agent ID            an agent the call belongs to; may be repeated
  --speaker NAME=ROLE   call the speaker NAME agent, customer or system; may be repeated
  --speed N             N times faster than real (default 1)
  --interim             send every line word by word before it is final
  --loop                begin again after the last conversation, until interrupted
  --wait SECONDS        give up if the first connection takes longer (default 30)
  --quiet               print nothing but errors
  --help

Events are acknowledged one by one. After a lost connection the feed goes on where it was: the server knows the
segments it has. Ctrl-C ends the call and then the feed; a second one stops at once.

Exit status: 0 played, 1 the server rejected an event, 2 wrong usage or unreadable file, 3 not authorised,
4 no connection, 130 interrupted.
`;

const OPTIONS = {
  url: { type: "string" },
  token: { type: "string" },
  "call-id": { type: "string" },
  only: { type: "string", multiple: true },
  agent: { type: "string", multiple: true },
  speaker: { type: "string", multiple: true },
  speed: { type: "string" },
  interim: { type: "boolean" },
  loop: { type: "boolean" },
  wait: { type: "string" },
  quiet: { type: "boolean" },
  help: { type: "boolean" },
};

function positive(text, name) {
  const number = Number(text);
  if (!(number > 0) || number > 1e6) throw new Fatal(EXIT.USAGE, `--${name} must be a number above 0, not "${text}"`);
  return number;
}

function readOptions(argv, env) {
  let parsed;
  try {
    parsed = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new Fatal(EXIT.USAGE, error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) return { help: true };
  if (positionals.length !== 1) throw new Fatal(EXIT.USAGE, "name one FILE to play (see --help)");
  const speakers = {};
  for (const rename of values.speaker ?? []) {
    const at = rename.lastIndexOf("=");
    if (at < 1) throw new Fatal(EXIT.USAGE, `--speaker wants NAME=ROLE, not "${rename}"`);
    speakers[rename.slice(0, at)] = rename.slice(at + 1);
  }
  const url = values.url ?? env.CALL_URL ?? "http://127.0.0.1:3000";
  if (!URL.canParse?.(url) && !/^https?:\/\/./.test(url)) throw new Fatal(EXIT.USAGE, `not a URL: "${url}"`);
  return {
    file: positionals[0],
    url,
    token: values.token ?? env.CALL_TOKEN,
    callId: values["call-id"],
    only: values.only,
    agents: values.agent,
    speakers,
    speed: positive(values.speed ?? "1", "speed"),
    waitMs: positive(values.wait ?? "30", "wait") * 1000,
    interim: Boolean(values.interim),
    loop: Boolean(values.loop),
    quiet: Boolean(values.quiet),
  };
}

async function load(options) {
  let conversations;
  try {
    conversations = parseConversations(await readFile(options.file, "utf8"), options.file);
  } catch (error) {
    throw new Fatal(EXIT.USAGE, `${options.file}: ${error.message}`);
  }
  if (options.only) conversations = conversations.filter((conversation) => options.only.includes(conversation.id));
  if (conversations.length === 0) throw new Fatal(EXIT.USAGE, `${options.file}: no conversation of that id`);
  return conversations.map((conversation) => renameSpeakers(conversation, options.speakers));
}

/** Gives every call its own id. */
function callIds(options) {
  let count = 0;
  return (conversation) => {
    count += 1;
    if (options.callId) return count === 1 ? options.callId : `${options.callId}-${count}`;
    const stamp = Math.floor(Date.now() / 1000).toString(36);
    return safeId(`call-${conversation.id}-${stamp}${count > 1 ? `-${count}` : ""}`);
  };
}

function announceConnection(connection, log, colours) {
  let before = false;
  connection.socket.on("connect", () => {
    log(colours.dim(before ? "reconnected, going on" : "connected"));
    before = true;
  });
  connection.socket.on("disconnect", (reason) => {
    if (!connection.closing) log(colours.yellow(`connection lost: ${reason}`));
  });
  connection.socket.on("connect_error", (error) => {
    if (connection.socket.active && !before) log(colours.dim(`waiting for the server: ${error.message}`));
  });
  connection.socket.on("error", (error) => log(colours.red(`server: ${error?.message ?? error}`)));
}

async function run(argv) {
  const options = readOptions(argv, process.env);
  if (options.help) {
    process.stdout.write(HELP);
    return EXIT.OK;
  }
  const conversations = await load(options);
  const colours = palette();
  const log = options.quiet ? () => {} : (text) => console.log(text);
  const interrupt = new AbortController();
  const onInterrupt = () => (interrupt.signal.aborted ? process.exit(EXIT.INTERRUPTED) : interrupt.abort());
  process.on("SIGINT", onInterrupt).on("SIGTERM", onInterrupt);

  const connection = new Connection({ url: options.url, namespace: "/feed", token: options.token });
  announceConnection(connection, log, colours);
  const nextId = callIds(options);
  try {
    await connection.connected(options.waitMs);
    do {
      for (const conversation of conversations) {
        const callId = nextId(conversation);
        log(`${colours.bold(callId)} ${colours.dim(`${plain(conversation.title)}, ${conversation.lines.length} lines`)}`);
        const result = await play(connection, {
          callId, conversation, speed: options.speed, interim: options.interim, agents: options.agents,
          signal: interrupt.signal, onLine: (line) => log(speech(colours, line.speaker, line.text)),
        });
        log(colours.dim(`${result.completed ? "call ended" : "call cut short"} after ${result.lines} lines`));
        if (interrupt.signal.aborted) return EXIT.INTERRUPTED;
        await sleep(3000 / options.speed, options.loop ? interrupt.signal : AbortSignal.abort());
      }
    } while (options.loop && !interrupt.signal.aborted);
    return interrupt.signal.aborted ? EXIT.INTERRUPTED : EXIT.OK;
  } finally {
    connection.close();
  }
}

endWithReader();
run(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(`feed: ${error instanceof Fatal ? error.message : error.stack}`);
    process.exitCode = error instanceof Fatal ? error.code : EXIT.FAILED;
  },
);
