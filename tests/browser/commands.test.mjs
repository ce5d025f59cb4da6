// The feed and agent commands against the built server, as a person would start them.
import assert from "node:assert/strict";
import { writeFile, rm, mkdtemp } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { conversations, killAll, start } from "./command.mjs";
import { startParley } from "./server.mjs";
import { until } from "../support/wait.mjs";

let parley;
let feedToken;
let agentToken;

before(async () => {
  parley = await startParley("--redaction", "off"); // the feed prints what it reads, and the agent has to print the same
  feedToken = await parley.token("--role", "feed");
  agentToken = await parley.token("--role", "agent", "--sub", "ann", "--calls", "*");
});
after(async () => {
  killAll();
  await parley?.stop();
});

const feed = (callId, ...options) =>
  start("feed/feed.mjs", "--url", parley.url, "--token", feedToken, "--call-id", callId, ...options);
const agent = (...options) => start("agent-cli/agent.mjs", "--url", parley.url, "--token", agentToken, ...options);
const linesOf = (output) => output.split("\n").filter((row) => /^(agent|customer|system) +\S/.test(row));

test("an agent sees every line that the feed plays, in order, and documents", async () => {
  const playing = feed("c-whole", "--only", "3592", "--speed", "30", "--interim", conversations);
  await playing.sees(/Hi!/);
  const watching = agent("--call", "c-whole");
  assert.equal(await playing.ended, 0, playing.output);
  assert.equal(await watching.ended, 0, watching.output);
  assert.equal(linesOf(playing.output).length, 29);
  assert.deepEqual(linesOf(watching.output), linesOf(playing.output));
  assert.match(watching.output, /\[1\] +\d+% \S/);
  assert.match(watching.output, /● ended/);
});

test("feedback is counted", async () => {
  const watching = agent("--feedback");
  const playing = feed("c-feedback", "--only", "9489", "--speed", "8", conversations);
  await watching.sees(/\[1\]/);
  watching.child.stdin.write("+1\n");
  await watching.sees(/thank you: .* helped 1, did not help 0/);
  watching.child.kill("SIGINT");
  playing.child.kill("SIGINT");
  assert.equal(await watching.ended, 130);
  assert.equal(await playing.ended, 130);
  assert.match(playing.output, /call cut short/);
});

/**
 * Passes bytes on. cut() breaks every connection as a bad network does: first nothing comes back from the server any
 * more, so that what was stored is not acknowledged, then the connection is gone.
 */
async function flakyProxy() {
  let pairs = [];
  const server = createServer((inside) => {
    const outside = connect(parley.port, "127.0.0.1");
    pairs.push([inside, outside]);
    inside.pipe(outside).pipe(inside);
    for (const end of [inside, outside]) end.on("error", () => {}).on("close", () => (inside.destroy(), outside.destroy()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = async (isTraffic = true) => {
    const broken = pairs;
    let isLost = false;
    pairs = [];
    for (const [inside, outside] of broken) outside.unpipe(inside).on("data", () => { isLost = true; }).resume();
    if (isTraffic) await until(() => isLost || broken.every(([, outside]) => outside.destroyed), "something that is lost");
    for (const [inside] of broken) inside.resetAndDestroy();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, cut, close: () => cut(false).then(() => server.close()) };
}

/**
 * Plays a call and disturbs it before it has ended: on a machine that is too busy for that, slower.
 * @param {(playing: object, call: string) => Promise<T>} disturb
 */
async function disturbed(name, options, disturb) {
  for (const speed of ["15", "5", "1.5"]) {
    const call = `${name}-${speed}`;
    const playing = feed(call, "--speed", speed, ...options, conversations);
    const disturbance = await disturb(playing, call);
    if (/reconnected, going on/.test(playing.output) || !/call ended/.test(playing.output)) return { call, playing, ...disturbance };
    await Promise.all([playing.ended, disturbance.watching.ended]);
  }
  throw new Error("each call had ended before it was disturbed");
}

test("cut off again and again, the feed doubles and the agent misses nothing", async () => {
  const proxy = await flakyProxy();
  const { call, playing, watching } = await disturbed("c-cut", ["--only", "3592", "--url", proxy.url], async (feeding, call) => {
    await feeding.sees(/Hi!/);
    const watching = agent("--call", call, "--url", proxy.url);
    await watching.sees(/Hi!/);
    for (let i = 0; i < 3; i++) {
      const before = linesOf(watching.output).length;
      await until(() => linesOf(watching.output).length > before + 1 || /call ended/.test(feeding.output), "more of the call");
      await proxy.cut();
    }
    return { watching };
  });
  assert.equal(await playing.ended, 0, playing.output);
  assert.equal(await watching.ended, 0, watching.output);
  await proxy.close();
  assert.match(playing.output, /reconnected, going on/);
  assert.equal(linesOf(watching.output).length, 29);
  assert.deepEqual(linesOf(watching.output), linesOf(playing.output));

  const later = agent("--call", call);
  assert.equal(await later.ended, 0);
  assert.deepEqual(linesOf(later.output), linesOf(playing.output));
});

test("a server that is restarted in a call is waited for, by the feed and by the agent", async () => {
  const { playing, watching } = await disturbed("c-restart", ["--only", "9489"], async (feeding, call) => {
    await feeding.sees(/good afternoon/);
    const watching = agent("--call", call);
    await watching.sees(/good afternoon/);
    await parley.restart();
    return { watching };
  });
  assert.equal(await playing.ended, 0, playing.output);
  assert.equal(await watching.ended, 0, watching.output);
  assert.match(playing.output, /reconnected, going on/);
  assert.equal(linesOf(watching.output).length, 21);
  assert.deepEqual(linesOf(watching.output), linesOf(playing.output));
});

test("WebVTT keeps its own timing and its voices", async () => {
  const folder = await mkdtemp(join(tmpdir(), "parley-vtt-"));
  const file = join(folder, "short.vtt");
  await writeFile(file, "WEBVTT\n\n00:00.100 --> 00:00.300\n<v Bob>I lost my password\n\n00:02.000 --> 00:02.400\n<v Ann>No problem\n");
  const startedMs = Date.now();
  const playing = feed("c-vtt", "--speaker", "Bob=customer", "--speaker", "Ann=agent", file);
  assert.equal(await playing.ended, 0, playing.output);
  assert.ok(Date.now() - startedMs >= 2400);
  assert.deepEqual(linesOf(playing.output), ["customer  I lost my password", "agent     No problem"]);
  await rm(folder, { recursive: true });
});

test("exit statuses say what went wrong", async () => {
  const statuses = await Promise.all([
    start("feed/feed.mjs", "--help").ended,
    start("feed/feed.mjs", "--speed", "fast", conversations).ended,
    start("feed/feed.mjs", "no such file").ended,
    start("feed/feed.mjs", "--url", parley.url, "--token", "nonsense", conversations).ended,
    start("feed/feed.mjs", "--url", parley.url, "--token", agentToken, conversations).ended,
    start("feed/feed.mjs", "--url", "http://127.0.0.1:1", "--wait", "0.5", conversations).ended,
    agent("--call", "no-such-call").ended,
    agent("--call", "bad id!").ended,
  ]);
  assert.deepEqual(statuses, [0, 2, 2, 3, 3, 4, 1, 1]);
});
