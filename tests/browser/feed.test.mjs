// How the feed and agent commands take it when something goes wrong: every call is ended, no call is shared by accident,
// and what was not taken is named. Against the built server, and against one that answers as a test says.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { killAll, start } from "./command.mjs";
import { startParley } from "./server.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const MANY_LINES = 40;
let parley;
let tokens;
let feedSocket;
let agentSocket;
let folder;

before(async () => {
  parley = await startParley();
  tokens = {
    feed: await parley.token("--role", "feed"),
    agent: await parley.token("--role", "agent", "--sub", "ann", "--calls", "*"),
  };
  feedSocket = io(`${parley.url}/feed`, { auth: { token: tokens.feed }, transports: ["websocket"], forceNew: true });
  agentSocket = io(parley.url, { auth: { token: tokens.agent }, transports: ["websocket"], forceNew: true });
  folder = await mkdtemp(join(tmpdir(), "parley-feed-"));
});
after(async () => {
  killAll();
  feedSocket?.close();
  agentSocket?.close();
  await parley?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const ask = (event, data) => agentSocket.timeout(PATIENCE_MS).emitWithAck(event, data);
const say = (event, data) => feedSocket.timeout(PATIENCE_MS).emitWithAck(event, data);
const callOf = (call_id) => ask("call:subscribe", { call_id });
const calls = async () => (await ask("call:list", {})).calls;

const vtt = (texts, stepMs = 100) => `WEBVTT\n\n${texts.map((text, i) => {
  const time = (ms) => new Date(ms).toISOString().slice(11, 23);
  return `${time(i * stepMs)} --> ${time(i * stepMs + stepMs / 2)}\n<v agent>${text}\n`;
}).join("\n")}`;
const many = Array.from({ length: MANY_LINES }, (_, i) => `line number ${i + 1} of many`);

async function fileOf(name, content) {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const feed = (...options) => start("feed/feed.mjs", "--url", parley.url, "--token", tokens.feed, ...options);
const agent = (...options) => start("agent-cli/agent.mjs", "--url", parley.url, "--token", tokens.agent, ...options);

test("two runs of one file at the same time are two calls, each whole", async () => {
  const file = await fileOf("same.srt", "1\n00:00:00,100 --> 00:00:00,200\nHello\n\n2\n00:00:00,300 --> 00:00:00,400\nBye\n");
  const runs = await Promise.all([feed(file), feed(file)].map(async (run) => [await run.ended, run.output]));
  const ids = runs.map(([code, output]) => {
    assert.equal(code, 0, output);
    return /^call-same-\S+$/m.exec(output)[0];
  });
  assert.notEqual(ids[0], ids[1]);
  for (const id of ids) {
    const { call, transcript } = await callOf(id);
    assert.deepEqual([call.status, ...transcript.map(({ text }) => text)], ["ended", "Hello", "Bye"]);
  }
});

test("--calls and --parallel: so many calls, each with an id of its own", async () => {
  const file = await fileOf("several.vtt", vtt(["one", "two"]));
  const run = feed("--calls", "5", "--parallel", "3", "--call-id", "several", "--speed", "10", file);
  assert.equal(await run.ended, 0, run.output);
  const played = (await calls()).filter(({ call_id }) => call_id.startsWith("several"));
  assert.deepEqual(played.map(({ call_id }) => call_id).sort(), ["several", "several-2", "several-3", "several-4", "several-5"]);
  assert.ok(played.every(({ status }) => status === "ended"));
});

test("a call that is open is somebody's: it is left alone, and continued only if asked for", async () => {
  await say("call:start", { call_id: "taken" });
  const file = await fileOf("taken.vtt", vtt(["mine"]));
  const refused = feed("--call-id", "taken", file);
  assert.equal(await refused.ended, 1);
  assert.match(refused.output, /a call taken is already open; --resume/);
  assert.deepEqual([(await callOf("taken")).call.status, (await callOf("taken")).transcript.length], ["active", 0]);
  const resumed = feed("--call-id", "taken", "--resume", file);
  assert.equal(await resumed.ended, 0, resumed.output);
  assert.deepEqual((await callOf("taken")).transcript.map(({ text }) => text), ["mine"]);

  const over = feed("--call-id", "taken", "--resume", file);
  assert.equal(await over.ended, 1);
  assert.match(over.output, /the id taken is taken: a call with this id has already ended/);
});

for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  test(`${name} in the middle of a line ends the call, and no line stays half`, async () => {
    const id = `cut-${name}`;
    const run = feed("--call-id", id, "--interim", await fileOf(`${id}.vtt`, "WEBVTT\n\n00:00.000 --> 00:20.000\n<v agent>one two three four five six seven\n"));
    await run.sees(new RegExp(id));
    const hasBegun = async () => (await callOf(id)).transcript?.length > 0;
    await until(hasBegun, "the first words");
    run.child.kill(name);
    assert.equal(await run.ended, 130, run.output);
    const { call, transcript } = await callOf(id);
    assert.equal(call.status, "ended");
    assert.deepEqual(transcript.map(({ is_final: isFinal }) => isFinal), [true]);
    assert.match(transcript[0].text, /^one/);
  });
}

test("a reader that goes away ends the call", async () => {
  const run = feed("--call-id", "unread", await fileOf("unread.vtt", vtt(many)));
  await run.sees(/line number 2/);
  run.child.stdout.destroy();
  assert.equal(await run.ended, 130);
  assert.equal((await callOf("unread")).call.status, "ended");
});

test("standard input: a file is played, and called what it is", async () => {
  const run = feed("--call-id", "piped", "--speed", "10", "-");
  run.child.stdin.end(Buffer.from(`\ufeff${vtt(["from a pipe"])}`, "utf16le"));
  assert.equal(await run.ended, 0, run.output);
  assert.deepEqual((await callOf("piped")).transcript.map(({ text }) => text), ["from a pipe"]);
});

test("standard input: JSON rows in UTF-16 are read as a whole; a pipe among the files is refused at once", async () => {
  const run = feed("--call-id", "wide", "--speed", "10", "-");
  run.child.stdin.end(Buffer.from('\ufeff{"speaker":"Bob","text":"Grüße"}\n{"speaker":"agent","text":"Ja"}\n', "utf16le"));
  assert.equal(await run.ended, 0, run.output);
  assert.deepEqual((await callOf("wide")).transcript.map(({ text }) => text), ["Grüße", "Ja"]);
  const pipe = await fileOf("pipe", "");
  await rm(pipe);
  execFileSync("mkfifo", [pipe]);
  const refused = feed(pipe);
  assert.equal(await refused.ended, 2);
  assert.match(refused.output, /pipe: not a regular file; "-" reads standard input/);
});

test("standard input: JSON rows are sent as they come, a bad one costs itself, the end of the input ends the call", async () => {
  const run = feed("--call-id", "live", "--speaker", "Bob=customer", "-");
  const write = (...rows) => run.child.stdin.write(rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  write({ speaker: "Bob", text: "I lost" , is_final: false }, { speaker: "Bob", text: "I lost it" });
  await run.sees(/customer +I lost it/);
  assert.equal((await callOf("live")).call.status, "active");
  write("{oops", "", { speaker: "agent", text: "x".repeat(70000) }, { speaker: "agent", text: "What", segment_id: "s9" }, { speaker: "Bob", text: "My", is_final: false });
  await run.sees(/agent +What/);
  run.child.stdin.end();
  assert.equal(await run.ended, 1);
  assert.match(run.output, /-: row 3: .*left out/);
  assert.match(run.output, /live: line 2 \(row 5\) was not taken: .*\[413\]/);
  const { call, transcript } = await callOf("live");
  assert.equal(call.status, "ended");
  assert.deepEqual(transcript.map(({ text, is_final: isFinal }) => [text, isFinal]), [["I lost it", true], ["What", true], ["My", true]]);
});

test("an interrupted live input ends its call; one that has not said anything has no call", async () => {
  const live = feed("--call-id", "live-cut", "-");
  live.child.stdin.write('{"text":"hm"}\n');
  await live.sees(/customer +hm/);
  live.child.kill("SIGTERM");
  assert.equal(await live.ended, 130);
  assert.equal((await callOf("live-cut")).call.status, "ended");
  const silent = feed("--call-id", "silent", "-");
  await silent.sees(/reading standard input/);
  silent.child.kill("SIGTERM");
  assert.equal(await silent.ended, 130);
  assert.equal((await callOf("silent")).ok, false);
});

test("a refused line costs that line: number, row and reason are named, the status is 1", async () => {
  const file = await fileOf("refused.vtt", `${vtt(["before", "odd"]).replace("<v agent>odd", `<v ${"N".repeat(150)}>odd`)}\n00:00:01.000 --> 00:00:02.000\nafter\n\nnot --> a cue\nlost\n`);
  const run = feed("--call-id", "refused", "--speed", "10", "--quiet", file);
  assert.equal(await run.ended, 1);
  assert.match(run.output, /refused: line 2 \(row 6\) was not taken: .*\/speaker.*\[400\]/);
  assert.match(run.output, /row 12: not the timing of a cue/);
  const { call, transcript } = await callOf("refused");
  assert.deepEqual([call.status, ...transcript.map(({ text }) => text)], ["ended", "before", "after"]);
  const strict = feed("--call-id", "strict", "--strict", file);
  assert.equal(await strict.ended, 2);
  assert.equal((await callOf("strict")).ok, false);
});

test("an agent that may not see one call sees the other", async () => {
  await say("call:start", { call_id: "seen" });
  const run = agent("--call", "seen", "--call", "no-such-call");
  await run.sees(/no-such-call: call:subscribe: .*\[404\]/);
  await say("transcription:update", { call_id: "seen", speaker: "agent", text: "still here" });
  await run.sees(/seen agent +still here/);
  await say("call:end", { call_id: "seen" });
  assert.equal(await run.ended, 1);
});

/** A server that answers each event with what `answer(event, data, attempt, socket)` returns; null: not at all. */
async function scripted(answer) {
  const http = createServer();
  const server = new Server(http);
  const said = [];
  const onSocket = (socket) => socket.onAny((event, data, ack) => {
    said.push({ event, data, atMs: Date.now() });
    const attempt = said.filter((other) => other.event === event && other.data.text === data.text).length;
    const reply = answer(event, data, attempt, socket);
    if (reply !== null) ack?.(reply ?? { ok: true });
  });
  server.of("/feed").on("connection", onSocket);
  server.on("connection", onSocket);
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { said, socket: server, url: `http://127.0.0.1:${http.address().port}`, close: () => server.close() };
}

const no = (code, message, more) => ({ ok: false, error: { code, message, ...more } });

test("where no server answers, both commands say where they look for it", async () => {
  const nowhere = ["--url", "http://127.0.0.1:1", "--token", "any"];
  for (const run of [start("feed/feed.mjs", ...nowhere, await fileOf("nowhere.vtt", vtt(["one"]))), start("agent-cli/agent.mjs", ...nowhere)]) {
    await run.sees(/waiting for the server at http:\/\/127\.0\.0\.1:1/);
    run.child.kill("SIGKILL");
    await run.ended;
  }
});

test("a busy server is asked again, when it says", async () => {
  const server = await scripted((event, data, attempt) => (data.text === "b" && attempt < 3 ? no(503, "busy", { retry_after_ms: 300 }) : undefined));
  const run = start("feed/feed.mjs", "--url", server.url, "--speed", "100", await fileOf("busy.vtt", vtt(["a", "b", "c"])));
  assert.equal(await run.ended, 0, run.output);
  const times = server.said.filter(({ data }) => data.text === "b").map(({ atMs }) => atMs);
  assert.equal(times.length, 3);
  assert.ok(times[1] - times[0] >= 295 && times[2] - times[1] >= 295, String(times));
  assert.deepEqual(server.said.map(({ event, data }) => data.text ?? event), ["call:start", "call:status", "a", "b", "b", "b", "c", "call:end"]);
  await server.close();
});

test("a server that stays busy costs the line, after the patience asked for", async () => {
  const server = await scripted((event, data) => (data.text === "b" ? no(503, "busy") : undefined));
  const run = start("feed/feed.mjs", "--url", server.url, "--speed", "100", "--patience", "0.5", await fileOf("stays-busy.vtt", vtt(["a", "b", "c"])));
  assert.equal(await run.ended, 1);
  assert.match(run.output, /line 2 \(row 6\) was not taken: busy \[503\]/);
  assert.deepEqual(server.said.slice(-2).map(({ event, data }) => data.text ?? event), ["c", "call:end"]);
  await server.close();
});

test("a call that somebody else ends is not played on, and that is said; the next call is", async () => {
  const server = await scripted((event, data) => (data.call_id === "over" && data.text === "b" ? no(409, "the call has ended") : undefined));
  const run = start("feed/feed.mjs", "--url", server.url, "--call-id", "over", "--calls", "2", "--speed", "100", await fileOf("over.vtt", vtt(["a", "b", "c"])));
  assert.equal(await run.ended, 1);
  assert.match(run.output, /over: the rest is not played: the call has ended \[409\]/);
  assert.deepEqual(server.said.map(({ event, data }) => `${data.call_id} ${data.text ?? event}`), ["over call:start", "over call:status", "over a", "over b",
    "over call:end", "over-2 call:start", "over-2 call:status", "over-2 a", "over-2 b", "over-2 c", "over-2 call:end"]);
  await server.close();
});

test("a line that breaks the connection each time it is sent is given up, the others are played", async () => {
  const server = await scripted((event, data, attempt, socket) => (data.text === "b" ? (socket.conn.close(), null) : undefined));
  const run = start("feed/feed.mjs", "--url", server.url, "--speed", "100", await fileOf("breaks.vtt", vtt(["a", "b", "c"])));
  assert.equal(await run.ended, 1, run.output);
  assert.match(run.output, /line 2 \(row 6\) was not taken: the connection was lost 5 times/);
  assert.deepEqual(server.said.slice(-2).map(({ event, data }) => data.text ?? event), ["c", "call:end"]);
  await server.close();
});

test("a call that a server does not let end is named, and the feed ends nevertheless", async () => {
  const server = await scripted((event) => (event === "call:end" ? null : undefined));
  const run = start("feed/feed.mjs", "--url", server.url, "--call-id", "endless", "--speed", "100", await fileOf("endless.vtt", vtt(["a"])));
  assert.equal(await run.ended, 1);
  assert.match(run.output, /endless: the call may still be open: no answer from the server/);
  await server.close();
});

test("an agent shows gaps and events that it has no form for, and asks for what it missed", async () => {
  const line = (seq, text) => ({ call_id: "c", speaker: "agent", text, seq });
  const server = await scripted((event, data, attempt, socket) => {
    if (event !== "call:subscribe") return undefined;
    if (data.since_seq === undefined) {
      setImmediate(() => { // after the answer
        socket.emit("transcription:update", line(1, "one"));
        socket.emit("call:alert", { call_id: "c", rule: "cancel", text: "he wants to cancel", seq: 2 });
        socket.emit("transcription:update", line(5, "five"));
      });
      return { ok: true, call: { call_id: "c", status: "active" }, transcript: [], suggestions: [], seq: 0 };
    }
    return { ok: true, call: { call_id: "c", status: "ended" }, transcript: [line(3, "three"), line(5, "five")], suggestions: [], seq: 6 };
  });
  const run = start("agent-cli/agent.mjs", "--url", server.url, "--call", "c");
  assert.equal(await run.ended, 0, run.output);
  assert.match(run.output, /agent +one\n· call:alert \{"rule":"cancel".*\n· c: events 3 to 4 are missing, asking for them\n· c: catching up, events 3 to 6\n/);
  assert.match(run.output, /agent +three\nagent +five\n/);
  assert.equal(server.said.find(({ data }) => data.since_seq)?.data.since_seq, 2);
  await server.close();
});

test("an agent begins anew where the server has lost the call, and says so", async () => {
  const line = (seq, text) => ({ call_id: "c", speaker: "agent", text, seq });
  const server = await scripted((event, data, attempt, socket) => {
    if (event !== "call:subscribe") return undefined;
    const answer = { ok: true, call: { call_id: "c", status: "active" }, suggestions: [] };
    if (attempt === 1) {
      setImmediate(() => socket.conn.close()); // after the answer
      return { ...answer, transcript: [line(4, "before"), line(5, "the loss")], seq: 5 };
    }
    if (data.since_seq) return { ...answer, transcript: [], seq: 1 };
    return { ...answer, call: { call_id: "c", status: "ended" }, transcript: [line(1, "after it")], seq: 1 };
  });
  const run = start("agent-cli/agent.mjs", "--url", server.url, "--call", "c");
  assert.equal(await run.ended, 0, run.output);
  assert.match(run.output, /agent +before\nagent +the loss\n[^]*c: the server has lost what came before; from the beginning\n[^]*agent +after it\n/);
  assert.deepEqual(server.said.map(({ data }) => data.since_seq), [undefined, 5, undefined]);
  await server.close();
});
