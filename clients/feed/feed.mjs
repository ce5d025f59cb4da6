#!/usr/bin/env node
// Plays conversations into a Parley server as live calls. See --help.
import { randomBytes } from "node:crypto";
import { Connection, EXIT, Fatal, Refused, sleep } from "../lib/connection.mjs";
import { counted, endWithReader, palette, plain, speech } from "../lib/terminal.mjs";
import { Call, CallTaken } from "./call.mjs";
import { load } from "./input.mjs";
import { HELP, readOptions } from "./options.mjs";
import { play, safeId } from "./player.mjs";

const BETWEEN_CALLS_MS = 3000; // of a loop, at speed 1

const warn = (text) => console.error(`feed: ${plain(text)}`);

/** Ids for call number `index` (from 0), one after another. Those made up here are nobody else's. */
function idsFor(conversation, index, callId) {
  let given = 0;
  return () => {
    given += 1;
    if (callId) return given > 1 ? null : index === 0 ? callId : `${callId}-${index + 1}`;
    return `call-${safeId(conversation.id)}-${Date.now().toString(36)}-${randomBytes(5).toString("hex")}`;
  };
}

function announceConnection(connection, log, colours) {
  let before = false;
  let lastError = "";
  connection.socket.on("connect", () => {
    log(colours.dim(before ? "reconnected, going on" : "connected"));
    before = true;
  });
  connection.socket.on("disconnect", (reason) => {
    if (!connection.closing) log(colours.yellow(`connection lost: ${reason}`));
  });
  connection.socket.on("connect_error", (error) => {
    if (!before && !connection.fatal) log(colours.dim(`waiting for the server at ${connection.url}: ${error.message}`));
  });
  connection.socket.on("error", (error) => {
    const text = `the server: ${error?.message ?? error}${error?.field ? ` (${error.field})` : ""}`;
    if (text !== lastError) warn(text); // interim lines may all get the same answer
    lastError = text;
  });
}

/** Plays calls and counts what became of their lines. */
class Session {
  constructor(connection, options, signal) {
    Object.assign(this, { connection, options, signal });
    this.colours = palette();
    this.log = options.quiet ? () => {} : (text) => console.log(text);
    this.complete = true;
  }

  /** One call. Only what concerns the whole session is thrown. */
  async playCall(conversation, index) {
    const { options, colours, signal } = this;
    const call = new Call(this.connection, {
      id: idsFor(conversation, index, options.callId), resume: options.resume, signal, agents: options.agents,
      metadata: metadataOf(conversation), report: (text) => warn(`${call.id}: ${text}`),
    });
    const title = `${plain(conversation.title)}${Array.isArray(conversation.lines) ? `, ${counted(conversation.lines.length, "line")}` : ""}`;
    this.log(colours.dim(title));
    try {
      await play(call, conversation.lines, {
        speed: options.speed, interim: options.interim, signal,
        onStart: () => this.log(colours.bold(call.id)),
        onLine: (line) => this.log(speech(colours, line.speaker, line.text)),
      });
    } catch (error) {
      if (error.code !== EXIT.INTERRUPTED && !signal.aborted) this.#onFailure(error, call);
    } finally {
      this.#conclude(call, conversation);
    }
  }

  /** One call's trouble does not stop the others, unless no other can fare better. */
  #onFailure(error, call) {
    this.complete = false;
    if (!(error instanceof Refused) || error.status === 403 || error.status === 401) throw error;
    const hint = error instanceof CallTaken && this.options.callId && !this.options.resume ? "; --resume goes on with one that is open" : "";
    warn(error instanceof CallTaken ? `${error.reason}${hint}` : `${call.id}: ${error.message}`);
  }

  #conclude(call, { lines }) {
    const whole = !call.over && call.refused.length === 0 && !call.mayBeOpen && (!Array.isArray(lines) || call.taken === lines.length);
    if (!whole) this.complete = false;
    if (call.over) warn(`${call.id}: the rest is not played: ${call.over}`);
    const left = call.refused.length ? `, ${call.refused.length} not taken` : "";
    if (call.started) this.log(this.colours.dim(`${this.signal.aborted ? "call cut short" : "call ended"} after ${counted(call.taken, "line")}${left}`));
  }

  /** All calls, up to `parallel` at a time. */
  async playAll(conversations) {
    const { options, signal } = this;
    const total = options.loop ? Infinity : (options.calls ?? conversations.length);
    let next = 0;
    const playNext = async () => {
      while (next < total && !signal.aborted) {
        const index = next++;
        await this.playCall(conversations[index % conversations.length], index);
        if (options.loop) await sleep(BETWEEN_CALLS_MS / options.speed, signal);
      }
    };
    const players = Array.from({ length: Math.min(options.parallel, total) }, playNext);
    for (const { reason } of await Promise.allSettled(players)) if (reason) throw reason;
  }
}

function metadataOf({ id, title, customer }) {
  return { subject: title, conversation_id: id, ...(customer ? { customer } : {}) };
}

/** Aborts on Ctrl-C and its like, when nobody reads the output any more, and on what nobody foresaw. */
function interruption() {
  const interrupt = new AbortController();
  const onSignal = () => (interrupt.signal.aborted ? process.exit(EXIT.INTERRUPTED) : interrupt.abort());
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, onSignal);
  process.on("uncaughtException", (error) => {
    console.error(error);
    process.exitCode = EXIT.FAILED;
    interrupt.abort();
  });
  for (const stream of [process.stdout, process.stderr]) endWithReader(() => interrupt.abort(), stream);
  return interrupt.signal;
}

async function run(argv) {
  const options = readOptions(argv, process.env);
  if (options.help) {
    process.stdout.write(HELP);
    return EXIT.OK;
  }
  const signal = interruption();
  if (options.file === "-" && !options.quiet) console.log(palette().dim("reading standard input"));
  const conversations = await load(options, { stdin: process.stdin, signal, warn });
  const isLive = !Array.isArray(conversations[0].lines);
  if (isLive && (options.loop || options.calls > 1)) throw new Fatal(EXIT.USAGE, "live input is one call: neither --loop nor --calls");
  const connection = new Connection({ url: options.url, namespace: "/feed", token: options.token, patienceMs: options.patienceMs });
  const session = new Session(connection, options, signal);
  announceConnection(connection, session.log, session.colours);
  try {
    await connection.connected(options.waitMs, signal);
    await session.playAll(conversations);
    if (signal.aborted) return EXIT.INTERRUPTED;
    return session.complete ? EXIT.OK : EXIT.FAILED;
  } finally {
    connection.close();
    process.stdin.destroy();
  }
}

run(process.argv.slice(2)).then(
  (code) => {
    process.exitCode ||= code;
  },
  (error) => {
    if (error.code !== EXIT.INTERRUPTED) console.error(`feed: ${error instanceof Fatal ? error.message : error.stack}`);
    process.exitCode = error instanceof Fatal ? error.code : EXIT.FAILED;
  },
);
