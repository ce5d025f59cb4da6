// Plays calls into a running server and looks at what it suggests: how often the right document is first and among the
// first three, and how long after the customer's words it comes.
// usage: TEST_PARLEY=build/release/bin/parley node tests/suggest/play.mjs calls|bank [--learn N] [--every N] [--documents N] [option of parley]…
// --documents: beside others, made of the sentences of guidelines and questions, until there are so many; it is about time then.
// The demo's documents, with --demo its glossary too. With --embeddings-url the last suggestion counts, which the service's vector may have improved.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { startParley, startParleyWith } from "../browser/server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (name) => readFileSync(here(`data/${name}`), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
const bare = (title) => title.toLowerCase().replace(/[^a-z0-9]/g, "");

function readCalls() {
  let title;
  return read("calls.txt").flatMap((line) => {
    if (!line.startsWith("* ")) return [{ title, turns: line.split(" / ").slice(0, 2) }];
    title = line.slice(2);
    return [];
  });
}

function readQuestions() {
  const text = readFileSync(here("data/banking77.csv"), "utf8");
  const rows = [...text.matchAll(/^([^,\n]*),(?:"((?:[^"]|"")*)"|(.*))$/gm)].slice(1);
  return rows.map(([, title, quoted, plain]) => ({ title, turns: [quoted?.replaceAll('""', '"') ?? plain] }));
}

const [set, ...rest] = process.argv.slice(2);
const take = (name, fallback) => {
  const i = rest.indexOf(name);
  return i < 0 ? fallback : Number(rest.splice(i, 2)[1]);
};
const learned = take("--learn", 0);
const every = take("--every", 1);
const documents = take("--documents", 0);
const embeds = rest.includes("--embeddings-url");
const calls = set === "bank" ? readQuestions() : readCalls();
const seen = new Map();
for (const call of calls) seen.set(call.title, (call.number = (seen.get(call.title) ?? -1) + 1));
// The first ten questions of a topic are for learning, whether they are learned or not.
const asked = calls.filter((call) => set !== "bank" || call.number >= 10).filter((_, i) => i % every === 0);

const folder = mkdtempSync(join(tmpdir(), "parley-play-"));
const log = ["--log-level", "warn"];
let parley;
if (set === "bank") {
  const topics = read("banking77-topics.txt").map((title) => [title, { instructions: [], actions: [] }]);
  writeFileSync(join(folder, "topics.json"), JSON.stringify({ Banking: { description: "", subflows: Object.fromEntries(topics) } }));
  parley = await startParleyWith(join(folder, "topics.json"), ...log, ...rest);
} else {
  parley = await startParley(...log, ...rest);
}
const options = ["--data", parley.data, ...rest, "--log-level", "error"];
if (learned) {
  const lines = calls.filter((call) => call.number < learned).map((call) =>
    JSON.stringify({ document: call.title.replaceAll("_", " "), lines: call.turns.map((text) => ({ speaker: "customer", text })) }));
  writeFileSync(join(folder, "calls.jsonl"), lines.join("\n"));
  console.log(execFileSync(process.env.TEST_PARLEY, ["learn", ...options, join(folder, "calls.jsonl")]).toString().trim());
}

// Documents of 40 to 160 words that share the words of all calls, so that every question finds thousands.
function makeDocuments(count) {
  let seed = 1;
  const random = (n) => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 8) % n;
  const guidelines = readFileSync(here("../../app/demo/guidelines.json"), "utf8");
  const sentences = [...[...guidelines.matchAll(/"((?:[^"\\]|\\.){30,})"/g)].map(([, text]) => text), ...readQuestions().flatMap(({ turns }) => turns), ...readCalls().flatMap(({ turns }) => turns)];
  const words = sentences.join(" ").toLowerCase().match(/[a-z]{4,}/g);
  const title = (i) => `${words[random(words.length)]} ${words[random(words.length)]} ${words[random(words.length)]} ${i}`;
  const text = () => Array.from({ length: 3 + random(6) }, () => sentences[random(sentences.length)]);
  const subflows = Array.from({ length: count }, (_, i) => [title(i), { instructions: text(), actions: [] }]);
  return JSON.stringify({ Others: { description: "", subflows: Object.fromEntries(subflows) } });
}
if (documents) {
  writeFileSync(join(folder, "others.json"), makeDocuments(documents - new Set(calls.map(({ title }) => title)).size));
  console.log(execFileSync(process.env.TEST_PARLEY, ["import-documents", ...options, join(folder, "others.json")]).toString().trim());
}
rmSync(folder, { recursive: true });

const metric = async (name) => Number(new RegExp(`^parley_${name} (\\d+)`, "m").exec(await (await fetch(`${parley.url}/metrics`)).text())[1]);
if (embeds) {
  // Until nothing is brought any more.
  for (let before = -1, now = 0; now !== before || now === 0; now = await metric("embeddings_texts_total")) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 12000));
  }
}

const connect = (namespace, token) => io(parley.url + namespace, { auth: { token }, transports: ["websocket"], forceNew: true });
const feed = connect("/feed", await parley.token("--sub", "feed", "--role", "feed"));
const agent = connect("/", await parley.token("--sub", "sue", "--role", "supervisor", "--calls", "*"));
const latest = new Map();
const waiters = new Map();
agent.on("ai:suggestion", (suggestion) => {
  latest.set(suggestion.call_id, suggestion);
  waiters.get(suggestion.call_id)?.();
});
const ask = (socket, event, data) => socket.timeout(20000).emitWithAck(event, data);
const took = [];
const score = { asked: 0, first: 0, three: 0, none: 0 };

// The next suggestion for a call; none comes if nothing changed.
const next = (call_id, ms) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms, false);
  waiters.set(call_id, () => { clearTimeout(timer); resolve(true); });
});

for (const [i, call] of asked.entries()) {
  const call_id = `play-${i}`;
  await ask(feed, "call:start", { call_id });
  await ask(agent, "call:subscribe", { call_id });
  for (const text of call.turns) {
    const begin = performance.now();
    const came = next(call_id, 150);
    await ask(feed, "transcription:update", { call_id, speaker: "customer", text });
    if (await came) took.push(performance.now() - begin);
    if (embeds) await next(call_id, 700);
  }
  const at = (latest.get(call_id)?.documents ?? []).findIndex((document) => bare(document.title) === bare(call.title));
  score.asked++;
  score.first += at === 0;
  score.three += at >= 0 && at < 3;
  score.none += !latest.has(call_id);
}
took.sort((a, b) => a - b);
const quantile = (p) => `${(took[Math.min(took.length - 1, Math.floor(took.length * p))] ?? NaN).toFixed(1)} ms`;
const percent = (n) => `${((100 * n) / score.asked).toFixed(1)} %`;
console.log(`${score.asked} asked: first ${percent(score.first)}, first three ${percent(score.three)}, nothing ${score.none};`,
  `segment to suggestion p50 ${quantile(0.5)}, p99 ${quantile(0.99)} of ${took.length}`);
if (embeds) console.log(`vectors: ${await metric("embeddings_questions_total")} asked for, ${await metric("embeddings_late_total")} late`);
feed.disconnect();
agent.disconnect();
await parley.stop();
