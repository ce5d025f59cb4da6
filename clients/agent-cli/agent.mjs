#!/usr/bin/env node
// Prints what an agent sees of live calls. See --help.
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Connection, EXIT, Fatal, Refused, sleep } from "../lib/connection.mjs";
import { endWithReader, plain } from "../lib/terminal.mjs";
import { Follower } from "./follower.mjs";
import { View } from "./view.mjs";

const HELP = `Usage: scripts/node clients/agent-cli/agent.mjs [options]

Subscribes to calls of a Parley server and prints what an agent sees: every line as it is said, suggested documents,
who is watching, the status of the call. Without --call it follows the newest running call, and then the next.

  --url URL       the server (default http://127.0.0.1:3000, or CALL_URL)
  --token TOKEN   a token with the role "agent" or "supervisor" (or CALL_TOKEN)
  --call ID       follow this call; may be repeated. Ends when all of them have ended
  --list          print the calls you may see, and end
  --feedback      type "+2" or "-2" to say that document [2] of the last suggestion helped or did not
  --wait SECONDS  give up if the first connection takes longer (default 30)
  --help

After a lost connection it asks for what it missed (since_seq) and prints only that; gaps, events that it has no form
for and what the server refuses are printed as well. A call that is refused does not end the others.

Exit status: 0 done, 1 the server refused a call, 2 wrong usage, 3 not authorised, 4 no connection, 130 interrupted.
`;

const OPTIONS = {
  url: { type: "string" },
  token: { type: "string" },
  call: { type: "string", multiple: true },
  list: { type: "boolean" },
  feedback: { type: "boolean" },
  wait: { type: "string" },
  help: { type: "boolean" },
};

const LOOK_FOR_CALLS_MS = 2000;

function readOptions(argv, env) {
  try {
    const { values } = parseArgs({ args: argv, options: OPTIONS });
    const waitMs = Number(values.wait ?? 30) * 1000;
    if (!(waitMs > 0)) throw new Error(`--wait must be a number above 0, not "${values.wait}"`);
    const url = values.url ?? env.CALL_URL ?? "http://127.0.0.1:3000";
    if (!/^https?:\/\/./.test(url)) throw new Error(`not a URL: "${url}"`);
    return { ...values, url, waitMs, token: values.token ?? env.CALL_TOKEN };
  } catch (error) {
    throw new Fatal(EXIT.USAGE, error.message);
  }
}

/** Reads "+1" and "-1" and sends them as feedback on the newest suggestion. */
function readFeedback(connection, follower, view) {
  const input = createInterface({ input: process.stdin });
  input.on("line", async (text) => {
    const wanted = /^\s*([+-])\s*(\d)\s*$/.exec(text);
    const { suggestion } = follower;
    const document = suggestion?.documents[Number(wanted?.[2]) - 1];
    if (!wanted || !document) return view.note('type "+1" or "-1", with the number of a document above');
    try {
      const answer = await connection.request("doc:feedback", {
        call_id: suggestion.callId, doc_id: document.id, helpful: wanted[1] === "+",
      });
      view.note(`thank you: ${document.title} helped ${answer.helpful}, did not help ${answer.unhelpful}`);
    } catch (error) {
      view.note(error.message);
    }
  });
  return input;
}

async function listCalls(connection) {
  const { calls = [] } = await connection.request("call:list", {});
  for (const call of calls) {
    console.log(`${plain(call.call_id).padEnd(28)} ${plain(call.status).padEnd(8)} ${plain(call.started_at ?? "")}`);
  }
  if (calls.length === 0) console.log("no calls");
}

/** Follows all of them to their ends. What is refused is named; it fails at the end, and at once if there is no server. */
async function followGiven(follower, callIds, view) {
  const refusals = [];
  await Promise.all(callIds.map((callId) => follower.follow(callId).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    if (callIds.length > 1) view.note(`${callId}: ${error.message}`);
    refusals.push(error);
  })));
  if (refusals.length > 0) throw refusals[0];
}

async function followNewest(connection, follower, view, signal) {
  const done = new Set();
  let waiting = false;
  while (!signal.aborted) {
    const { calls = [] } = await connection.request("call:list", {}, { signal });
    const next = calls
      .filter((call) => call.status !== "ended" && !done.has(call.call_id))
      .sort((a, b) => String(b.started_at).localeCompare(String(a.started_at)))[0];
    if (!next) {
      if (!waiting) view.note("no call is running; waiting for one");
      waiting = true;
      await sleep(LOOK_FOR_CALLS_MS, signal);
      continue;
    }
    waiting = false;
    view.note(`call ${next.call_id}`);
    await follower.follow(next.call_id).catch((error) => {
      if (!(error instanceof Refused)) throw error;
      view.note(error.message); // it may be gone by now; there are others
    });
    done.add(next.call_id);
    follower.leave(next.call_id);
  }
}

function announceConnection(connection, view) {
  const { socket } = connection;
  let before = false;
  socket.on("connect_error", (error) => {
    if (!before && !connection.fatal) view.note(`waiting for the server at ${connection.url}: ${error.message}`);
  });
  socket.on("connect", () => {
    const { engine } = socket.io;
    before = true;
    view.note(`connected (${engine.transport.name})`);
    engine.once("upgrade", (transport) => view.note(`upgraded to ${transport.name}`));
  });
  socket.on("disconnect", (reason) => {
    if (!connection.closing) view.note(`connection lost: ${reason}`);
  });
}

async function run(argv) {
  const options = readOptions(argv, process.env);
  if (options.help) {
    process.stdout.write(HELP);
    return EXIT.OK;
  }
  const interrupt = new AbortController();
  const onInterrupt = () => (interrupt.signal.aborted ? process.exit(EXIT.INTERRUPTED) : interrupt.abort());
  process.on("SIGINT", onInterrupt).on("SIGTERM", onInterrupt);

  const connection = new Connection({ url: options.url, namespace: "/", token: options.token });
  let input;
  try {
    if (options.list) {
      await connection.connected(options.waitMs);
      await listCalls(connection);
      return EXIT.OK;
    }
    const view = new View({ showCallId: (options.call?.length ?? 0) > 1 });
    announceConnection(connection, view);
    const follower = new Follower(connection, view, interrupt.signal);
    await connection.connected(options.waitMs, interrupt.signal);
    if (options.feedback) input = readFeedback(connection, follower, view);
    if (options.call) await followGiven(follower, options.call, view);
    else await followNewest(connection, follower, view, interrupt.signal);
    return interrupt.signal.aborted ? EXIT.INTERRUPTED : EXIT.OK;
  } finally {
    input?.close();
    connection.close();
  }
}

endWithReader();
run(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    if (error.code !== EXIT.INTERRUPTED) console.error(`agent: ${error instanceof Fatal ? error.message : error.stack}`);
    process.exitCode = error instanceof Fatal ? error.code : EXIT.FAILED;
  },
);
