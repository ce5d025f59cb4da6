// What the store's benchmark compares with: the same over socket.io in Node, as one would write it with care. Feeds post lines over
// HTTP with a token; each is checked, numbered within its call, stored with its words for the search, sent to the call's room, and
// answered when it is durable. What arrives while a transaction runs, or in the same turn, shares the next one.
// usage: node calls.mjs sqlite FILE | postgresql URL   (SECRET: of the tokens; prints its port)
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [, , kind, where] = process.argv;
const secret = process.env.SECRET;
const ID = /^[A-Za-z0-9_.:-]{1,128}$/;

// A store takes batches of {call, segment, speaker, text, json} and says for each its number.
async function openSqlite(file) {
  const { default: Database } = await import("better-sqlite3");
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec(`CREATE TABLE calls (id INTEGER PRIMARY KEY, call_id TEXT UNIQUE, seq INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE segments (id INTEGER PRIMARY KEY, call INTEGER NOT NULL, seq INTEGER NOT NULL, segment_id TEXT, speaker TEXT NOT NULL, text TEXT NOT NULL, json TEXT NOT NULL, UNIQUE(call, seq));
    CREATE UNIQUE INDEX segments_by_id ON segments(call, segment_id);
    CREATE VIRTUAL TABLE segments_text USING fts5(text, call, content='segments', content_rowid='id');`);
  const addCall = db.prepare("INSERT INTO calls(call_id) VALUES (?)");
  const number = db.prepare("UPDATE calls SET seq = seq + 1 WHERE call_id = ? RETURNING id, seq");
  const find = db.prepare("SELECT s.seq FROM segments s JOIN calls c ON c.id = s.call WHERE c.call_id = ? AND s.segment_id = ?");
  const insert = db.prepare("INSERT INTO segments(call, seq, segment_id, speaker, text, json) VALUES (?,?,?,?,?,?)");
  const words = db.prepare("INSERT INTO segments_text(rowid, text, call) VALUES (?,?,?)");
  const store = db.transaction((lines) => lines.map((line) => {
    const known = line.segment && find.get(line.call, line.segment);
    if (known) return { seq: known.seq, duplicate: true };
    const call = number.get(line.call);
    if (!call) return { code: 404 };
    const { lastInsertRowid } = insert.run(call.id, call.seq, line.segment, line.speaker, line.text, line.json);
    words.run(lastInsertRowid, line.text, call.id);
    return { seq: call.seq };
  }));
  return { call: async (id) => { addCall.run(id); }, lines: async (lines) => store(lines) };
}

async function openPostgresql(url) {
  const { default: pg } = await import("pg");
  const { searchParams } = new URL(url.replace("postgresql:///", "postgresql://x/"));
  const client = new pg.Client({ host: searchParams.get("host"), user: searchParams.get("user"), database: "postgres" });
  await client.connect();
  await client.query(`DROP TABLE IF EXISTS node_segments; DROP TABLE IF EXISTS node_calls;
    CREATE TABLE node_calls (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, call_id TEXT UNIQUE, seq BIGINT NOT NULL DEFAULT 0);
    CREATE TABLE node_segments (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, call BIGINT NOT NULL, seq BIGINT NOT NULL, segment_id TEXT, speaker TEXT NOT NULL, text TEXT NOT NULL, json TEXT NOT NULL, UNIQUE(call, seq), UNIQUE(call, segment_id));
    CREATE INDEX node_segments_text ON node_segments USING GIN (to_tsvector('simple', text));`);
  // One statement for a batch, so one transaction: repeats are left out, the others numbered in their order.
  const name = "lines", text = `WITH given AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS g(call_id, segment_id, speaker, text, json, n)),
    fresh AS (SELECT g.*, c.id, row_number() OVER (PARTITION BY g.call_id ORDER BY n) AS k FROM given g JOIN node_calls c USING (call_id)
      WHERE NOT EXISTS (SELECT 1 FROM node_segments s WHERE s.call = c.id AND s.segment_id = g.segment_id)),
    moved AS (UPDATE node_calls c SET seq = seq + f.count FROM (SELECT id, count(*) AS count FROM fresh GROUP BY id) f WHERE c.id = f.id RETURNING c.id, c.seq - f.count AS base),
    put AS (INSERT INTO node_segments(call, seq, segment_id, speaker, text, json) SELECT id, base + k, segment_id, speaker, text, json FROM fresh JOIN moved USING (id))
    SELECT n, base + k AS seq FROM fresh JOIN moved USING (id)`;
  return {
    call: async (id) => { await client.query("INSERT INTO node_calls(call_id) VALUES ($1)", [id]); },
    lines: async (lines) => {
      const columns = ["call", "segment", "speaker", "text", "json"].map((field) => lines.map((line) => line[field]));
      const { rows } = await client.query({ name, text, values: columns });
      const results = lines.map(() => ({ duplicate: true }));
      for (const { n, seq } of rows) results[n - 1] = { seq: Number(seq) };
      return results;
    },
  };
}

const store = await (kind === "sqlite" ? openSqlite(where) : openPostgresql(where));
const http = createServer({ keepAliveTimeout: 0 }); // on a busy machine a feed may be silent for longer than the five seconds that are the default
const io = new Server(http, { serveClient: false });
const mayFeed = new Map();
// A token's right is to all calls here.
io.use((socket, next) => next(check(`Bearer ${socket.handshake.auth.token}`) ? undefined : new Error("unauthorized")));
io.on("connection", (socket) => socket.on("call:subscribe", ({ call_id: id }, done) => {
  socket.join(`call:${id}`);
  done({ ok: true });
}));

function check(authorization = "") {
  const token = authorization.slice("Bearer ".length);
  const until = mayFeed.get(token);
  if (until) return until > Date.now();
  const [head, claims, signature] = token.split(".");
  if (!signature) return false;
  const own = createHmac("sha256", secret).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (own.length !== given.length || !timingSafeEqual(own, given)) return false;
  const { role, exp } = JSON.parse(Buffer.from(claims, "base64url"));
  if (role !== "feed" || exp * 1000 < Date.now()) return false;
  mayFeed.set(token, exp * 1000);
  return true;
}

function read(call, text) {
  const line = JSON.parse(text);
  if (typeof line.speaker !== "string" || typeof line.text !== "string" || line.text.length > 65536) return undefined;
  if (line.segment_id !== undefined && !ID.test(line.segment_id)) return undefined;
  line.call_id = call;
  line.timestamp ??= new Date().toISOString();
  return { call, segment: line.segment_id ?? null, speaker: line.speaker, text: line.text, json: JSON.stringify(line), line };
}

const MOST = 512;
let waiting = [], isStoring = false;
async function storeAll() {
  isStoring = true;
  while (waiting.length) {
    const batch = waiting.splice(0, MOST);
    const results = await store.lines(batch.map(({ entry }) => entry));
    batch.forEach(({ entry, done }, i) => {
      const result = results[i];
      if (result.seq && !result.duplicate) io.to(`call:${entry.call}`).emit("transcription:update", { ...entry.line, seq: result.seq });
      done(result);
    });
  }
  isStoring = false;
}
function submit(entry) {
  return new Promise((done) => {
    waiting.push({ entry, done });
    if (waiting.length === 1 && !isStoring) setImmediate(storeAll);
  });
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

async function handle(request, response, body) {
  const call = /^\/api\/v1\/calls\/([^/]+)\/transcription$/.exec(request.url)?.[1];
  if (!check(request.headers.authorization)) return answer(response, 401, { ok: false });
  if (!call) {
    const { call_id: id } = JSON.parse(body);
    if (!ID.test(id)) return answer(response, 400, { ok: false });
    await store.call(id);
    return answer(response, 201, { ok: true, call_id: id });
  }
  const isList = request.headers["content-type"].includes("ndjson");
  const entries = (isList ? body.split("\n").filter(Boolean) : [body]).map((text) => read(call, text));
  if (entries.some((entry) => !entry)) return answer(response, 400, { ok: false });
  const results = await Promise.all(entries.map(submit));
  if (results[0].code) return answer(response, results[0].code, { ok: false });
  const seq = results.at(-1).seq;
  return answer(response, 200, isList ? { ok: true, call_id: call, stored: results.filter(({ duplicate }) => !duplicate).length, seq } : { ok: true, call_id: call, seq });
}

http.on("request", (request, response) => {
  if (!request.url.startsWith("/api/")) return;
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => handle(request, response, Buffer.concat(parts).toString()).catch((error) => answer(response, 500, { ok: false, error: String(error) })));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
