// What scripts/bench-chat compares with: an assistant in Node over socket.io and the openai client, as one would write it with care.
// A socket opens a chat and asks; the model's answer is streamed to the chat's room, numbered. With a FILE every entry of a chat's log
// is durable before it is sent, by better-sqlite3: what is due in one turn of the loop shares a transaction.
// usage: node chat.mjs MODEL_URL INTERVAL_MS [FILE]   (SECRET: of the tokens; INTERVAL_MS between two pieces of an answer, 0: each word
// is a piece; prints its port)
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import OpenAI from "openai";
import { Server } from "socket.io";

const [, , baseURL, interval, file] = process.argv;
const intervalMs = Number(interval);
const openai = new OpenAI({ baseURL, apiKey: "none", maxRetries: 2 });

async function openStore() {
  if (!file) return undefined;
  const { default: Database } = await import("better-sqlite3");
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  db.pragma(`synchronous = ${process.env.SYNC ?? "FULL"}`);
  db.exec(`CREATE TABLE chats (id INTEGER PRIMARY KEY, chat_id TEXT UNIQUE, user TEXT NOT NULL, seq INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE chat_log (chat INTEGER NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (chat, seq)) WITHOUT ROWID;`);
  const add = db.prepare("INSERT INTO chats(chat_id, user) VALUES (?, ?)");
  const number = db.prepare("UPDATE chats SET seq = ? WHERE id = ?");
  const insert = db.prepare("INSERT INTO chat_log(chat, seq, type, payload) VALUES (?, ?, ?, ?)");
  return {
    addChat: (id, user) => add.run(id, user).lastInsertRowid,
    write: db.transaction((entries) => {
      for (const { chat, event, payload } of entries) {
        number.run(payload.seq, chat.key);
        insert.run(chat.key, payload.seq, event, JSON.stringify(payload));
      }
    }),
  };
}

const store = await openStore();
const http = createServer();
const io = new Server(http, { serveClient: false });
const chats = new Map();

let waiting = [];
function writeAll() {
  const entries = waiting;
  waiting = [];
  store?.write(entries);
  for (const { chat, event, payload } of entries) io.of("/chat").to(`chat:${chat.id}`).emit(event, payload);
}
// One process is the only writer, so a chat's last number may be kept here.
function log(chat, event, payload) {
  waiting.push({ chat, event, payload: { ...payload, chat_id: chat.id, seq: ++chat.seq } });
  if (waiting.length === 1) setImmediate(writeAll);
}

class Answer {
  constructor(chat, ref) {
    Object.assign(this, { chat, ref, text: "", out: "", lastMs: -Infinity, timer: undefined });
  }
  say(text) {
    this.text += text;
    this.out += text;
    const waitMs = this.lastMs + intervalMs - performance.now();
    if (waitMs <= 0 || !intervalMs) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), waitMs);
  }
  flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.out) return;
    log(this.chat, "chat.token", { content: this.out, ref_id: this.ref });
    this.out = "";
    this.lastMs = performance.now();
  }
}

async function run(chat, { id, content }) {
  const answer = new Answer(chat, id);
  chat.messages.push({ role: "user", content });
  try {
    const stream = await openai.chat.completions.create({ model: "bench", messages: chat.messages, stream: true });
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta?.content;
      if (text) answer.say(text);
    }
    answer.flush();
    chat.messages.push({ role: "assistant", content: answer.text });
    log(chat, "chat.done", { ref_id: id, final_text: answer.text, is_complete: true });
  } catch (error) {
    answer.flush();
    log(chat, "error", { code: 502, message: String(error), ref_id: id });
  }
}

function read(token = "") {
  const [head, claims, signature] = token.split(".");
  const own = createHmac("sha256", process.env.SECRET).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (own.length !== given.length || !timingSafeEqual(own, given)) return undefined;
  const { sub, exp } = JSON.parse(Buffer.from(claims, "base64url"));
  return exp * 1000 < Date.now() ? undefined : sub;
}

io.of("/chat").use((socket, next) => {
  socket.data.user = read(socket.handshake.auth.token);
  next(socket.data.user ? undefined : new Error("unauthorized"));
});
io.of("/chat").on("connection", (socket) => {
  socket.on("session.init", (_, done) => {
    const chat = { id: `chat_${randomBytes(16).toString("base64url")}`, seq: 0, messages: [] };
    chat.key = store?.addChat(chat.id, socket.data.user);
    chats.set(chat.id, chat);
    socket.data.chat = chat;
    socket.join(`chat:${chat.id}`);
    done({ ok: true, chat_id: chat.id, seq: 0 });
  });
  socket.on("chat.message", (message, done) => {
    const { chat, user } = socket.data;
    if (typeof message?.content !== "string" || typeof message.id !== "string" || !chat) return done({ ok: false, error: { code: 400 } });
    log(chat, "chat.message", { id: message.id, content: message.content, from: user });
    done({ ok: true });
    run(chat, message);
  });
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
