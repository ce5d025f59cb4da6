// Blocks of commands in the documents, run as they stand there: style.commands asks for a line above each that names this file, or why it is not run.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, afterEach, test } from "node:test";
import { until, within } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { environment, startParley } = await import("../browser/server.mjs");

const root = fileURLToPath(new URL("../../", import.meta.url));
const folders = [];
after(() => { for (const folder of folders) rmSync(folder, { recursive: true }); });
let parley;
afterEach(async () => {
  const ending = parley;
  parley = null;
  await ending?.stop();
});

/** The block of a document that begins with a text, as the document shows it. */
function block(document, begins) {
  const blocks = [...readFileSync(join(root, document), "utf8").matchAll(/^```sh\n(.*?)^```/gms)].map(([, text]) => text).filter((text) => text.startsWith(begins));
  assert.equal(blocks.length, 1, `${document}: ${blocks.length} blocks begin with ${begins}`);
  return blocks[0];
}

/** A folder in which `parley` is ours, with data of a server or of its own, and a free port; scripts/ and the like are the project's. */
function workplace(data) {
  const folder = mkdtempSync(join(tmpdir(), "parley-documents-"));
  folders.push(folder);
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/parley"), `#!/bin/sh\ncase $1 in token|user|import-documents|learn|trace) set -- "$@" ;; *) set -- "$@" --port 0 ;; esac\nexec "$TEST_PARLEY" "$@" --data "${data ?? join(folder, "data")}"\n`, { mode: 0o755 });
  for (const name of ["scripts", "clients", "app", "docs"]) symlinkSync(join(root, name), join(folder, name));
  return folder;
}

function start(script, folder, { input = "", env = {} } = {}) {
  const child = spawn("bash", ["-euo", "pipefail", "-c", script], {
    cwd: folder, detached: true, stdio: ["pipe", "pipe", "pipe"],
    env: { ...environment, TEST_PARLEY: process.env.TEST_PARLEY, HOME: folder, PATH: `${join(folder, "bin")}:${process.env.PATH}`, ...env },
  });
  const running = { child, output: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (running.output += bytes));
  child.stdin.on("error", () => {}).end(input);
  running.ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
  return running;
}

async function run(script, folder, options) {
  const running = start(script, folder, options);
  assert.equal(await within(script, running.ended), 0, `${script}\n${running.output}`);
  return running.output;
}

/** Runs a block whose last command is a server, waits until it answers, and stops it. */
async function serve(script, folder, options) {
  const running = start(script, folder, options);
  try {
    await until(() => /listens on/.test(running.output) || running.child.exitCode !== null, () => `a server\n${running.output}`);
    assert.match(running.output, /listens on/);
  } finally {
    if (running.child.exitCode === null) process.kill(-running.child.pid, "SIGTERM");
    await running.ended;
  }
  return running.output;
}

test("docs/access.md: a key of one's own, users, a login", async () => {
  await serve(block("docs/access.md", "openssl genpkey"), workplace());
  parley = await startParley();
  const folder = workplace(parley.data);
  writeFileSync(join(folder, "password-file"), "another long password\n");
  const listed = await run(block("docs/access.md", "parley user add"), folder, { input: "a long password\n" });
  assert.match(listed, /ann@acme\.com/);
  await parley.addUser("ann@acme.com", "a long password");
  const login = block("docs/access.md", "curl -d").replaceAll("http://127.0.0.1:3000", parley.url).replace("password=…", "password=a long password");
  assert.match(await run(login, folder), /"access_token":"/);
});

test("docs/access.md: the chats of a user who was removed", async () => {
  parley = await startParley();
  const folder = workplace(parley.data);
  await parley.addUser("bob@acme.com", "a long password");
  await parley.addUser("cat@acme.com", "a long password");
  const chatsOf = async (sub) => {
    const authorization = `Bearer ${await parley.token("--sub", sub, "--role", "user")}`, client = new ChatClient(parley.url, authorization.slice(7));
    await client.ready;
    const count = (await client.must("chat.list", {})).chats.length;
    return { client, count };
  };
  for (const sub of ["bob@acme.com", "cat@acme.com"]) {
    const { client } = await chatsOf(sub);
    for (let i = 0; i < 3; i++) await client.open();
    client.close();
  }
  await run(block("docs/access.md", "parley user remove bob").replace("http://127.0.0.1:3000", parley.url), folder);
  for (const [sub, left] of [["bob@acme.com", 0], ["cat@acme.com", 3]]) {
    const { client, count } = await chatsOf(sub);
    client.close();
    assert.equal(count, left, sub);
  }
});

test("docs/admin-ui.md: a password in a file", async () => {
  await serve(block("docs/admin-ui.md", "umask 077"), workplace());
});

test("docs/hooks.md: events and questions for a service", async () => {
  await serve(block("docs/hooks.md", "parley --hook-url"), workplace(), { env: { SECRET: `whsec_${Buffer.alloc(24, 1).toString("base64")}` } });
});

test("docs/operating.md: a trace", async () => {
  parley = await startParley();
  const folder = workplace(parley.data);
  writeFileSync(join(folder, "parley.conf"), `port = ${parley.port}\n`);
  const running = start(block("docs/operating.md", "parley trace").replace("/etc/parley/parley.conf", "parley.conf"), folder);
  await until(() => /looking node=/.test(running.output) || running.child.exitCode !== null, () => running.output);
  assert.match(running.output, /looking node=/);
  process.kill(-running.child.pid, "SIGINT");
  await running.ended;
});

test("README.md: documents and past calls of one's own", async () => {
  parley = await startParley();
  const folder = workplace(parley.data);
  mkdirSync(join(folder, "handbook"));
  for (const [name, title] of [["handbook/one.md", "Refunds"], ["faq.md", "Opening hours"]]) writeFileSync(join(folder, name), `# ${title}\n\nAll about it.\n`);
  writeFileSync(join(folder, "calls.jsonl"), `${JSON.stringify({ document: "Refunds", lines: [{ speaker: "customer", text: "where is my money" }] })}\n`);
  await run(block("README.md", "$parley import-documents"), folder, { env: { parley: "parley" } });
});

test("README.md and clients/README.md: a feed and an agent, by the commands", async () => {
  parley = await startParley();
  const folder = workplace(parley.data), tokens = { FEED_TOKEN: await parley.token("--role", "feed"), AGENT_TOKEN: await parley.token("--sub", "ann"), CALL: "c1" };
  const at = (script) => script.replace(/^(?:scripts\/node )?(\S*feed\.mjs|\S*agent\.mjs)/gm, (all) => `${all} --url ${parley.url}`);
  for (const [document, begins] of [["README.md", "scripts/install-deps --for clients"], ["clients/README.md", 'scripts/node clients/feed/feed.mjs --token "$FEED_TOKEN" --speed 2']]) {
    // Installing is for others; the agent goes on until it is ended, so it comes first.
    const lines = at(block(document, begins)).split("\n").filter((line) => /feed\.mjs|agent\.mjs/.test(line)).map((line) => line.replace("--speed 2", "--speed 1000"));
    assert.equal(lines.length, 2);
    const agent = start(lines[1], folder, { env: { ...tokens, parley: "parley" } });
    const fed = await run(lines[0], folder, { env: { ...tokens, parley: "parley" } });
    await until(() => agent.output.length > 0 || agent.child.exitCode !== null, () => `the agent's lines\n${fed}`);
    assert.equal(agent.child.exitCode, null, agent.output);
    process.kill(-agent.child.pid, "SIGTERM");
    await agent.ended;
  }
});
