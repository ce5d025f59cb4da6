// An assistant that says what a test tells it: the console's files, and a Socket.IO server (npm's) whose namespace /chat
// keeps a log as Parley does. For what pages show; how Parley itself behaves is tested with Parley.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";

const DIST = fileURLToPath(new URL("../../clients/dist/console", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'";
const EVENTS = ["chat.message", "session.init"];

/** A token that says who one is; nobody checks it. */
export const tokenOf = (claims) => ["{}", JSON.stringify(claims), ""].map((part) => Buffer.from(part).toString("base64url")).join(".");

export class ChatPeer {
  log = [];
  rows = [];
  tree = { root: { id: "root", value: "Project", children: [] } };
  /** message → what the assistant does: entries [event, payload], a promise to wait for, or null for the end. */
  script = () => [["chat.token", { content: "Hello." }]];
  /** What was submitted, by elicitation. */
  submitted = new Map();
  chats = [{ chat_id: "chat-1", title: "Return of an order", updated_at: new Date().toISOString() }, { chat_id: "chat-2", title: "Reset of a password", updated_at: "2026-11-27T10:00:00.000Z" }];
  refuse = null;

  async start() {
    this.http = createServer((request, response) => void this.#serve(request, response));
    this.io = new Server(this.http);
    this.space = this.io.of("/chat");
    this.space.on("connection", (socket) => this.#listen(socket));
    await new Promise((resolve) => this.http.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.http.address().port}`;
    return this;
  }

  async stop() {
    await this.io.close();
  }

  emit(event, payload) {
    const entry = { ...payload, chat_id: "chat-1", seq: this.log.length + 1 };
    this.log.push([event, entry]);
    this.space.emit(event, entry);
  }

  async answer(ref_id, content) {
    let text = "";
    for (const step of this.script(content)) {
      if (step instanceof Promise) await step;
      else {
        if (step[0] === "chat.token") text += step[1].content;
        this.emit(step[0], { ref_id, ...step[1] });
        if (step[0] === "error" || step[0] === "chat.done") return;
      }
    }
    this.emit("chat.done", { ref_id, final_text: text, is_complete: true });
  }

  #listen(socket) {
    socket.onAny((event, data, ack) => ack(this.#take(socket, event, data)));
  }

  #take(socket, event, data) {
    if (event === "session.init") {
      if (data.since_seq !== undefined) for (const [name, entry] of this.log.slice(data.since_seq)) socket.emit(name, entry);
      return { ok: true, chat_id: data.chat_id ?? "chat-1", session_id: "s", title: this.log.length ? this.chats[0].title : "", is_owner: true, initial_tree: this.tree, tree_version: 0, seq: data.since_seq === undefined ? 0 : this.log.length, ...(data.since_seq === undefined && setTimeout(() => this.log.forEach(([name, entry]) => socket.emit(name, entry)), 0) && {}) };
    }
    if (event === "chat.list") return { ok: true, chats: this.chats };
    if (event === "chat.history") return { ok: true, messages: this.rows, more: false };
    if (event === "chat.message") {
      this.emit("chat.message", { id: data.id, content: data.content, from: "uma" });
      void this.answer(data.id, data.content);
    }
    if (event === "elicitation.submit") {
      if (this.refuse) return { ok: false, error: this.refuse };
      this.submitted.set(data.reply_to, data.content ?? data.action);
      this.emit("elicitation.end", { id: data.reply_to, action: data.action ?? "accept" });
    }
    return { ok: true };
  }

  async #serve(request, response) {
    const { pathname } = new URL(request.url, "http://peer");
    if (pathname === "/" && !/html/.test(request.headers.accept ?? "")) return response.setHeader("Content-Type", "application/json").end(JSON.stringify({ ok: true, version: "0", events: EVENTS, paths: [] }));
    const [, source] = /^\/api\/v1\/chats\/chat-1\/sources\/(.+)$/.exec(pathname) ?? [];
    if (source) return response.writeHead(ARTICLES[source] ? 200 : 404, { "Content-Type": "application/json" }).end(JSON.stringify(ARTICLES[source] ? { ok: true, document: ARTICLES[source] } : { ok: false, error: { code: 404, message: "document not found" } }));
    const file = join(DIST, pathname === "/" ? "index.html" : pathname);
    const body = await readFile(file).catch(() => null);
    response.writeHead(body ? 200 : 404, { "Content-Type": TYPES[extname(file)] ?? "text/plain", "Content-Security-Policy": POLICY });
    response.end(body ?? "");
  }
}

const FORM = {
  type: "object", required: ["title", "priority", "due"],
  properties: {
    title: { type: "string", title: "What is to be done", maxLength: 100 },
    details: { type: "string", maxLength: 1000 },
    priority: { type: "string", oneOf: [{ const: "low", title: "Low" }, { const: "high", title: "High" }] },
    hours: { type: "integer", title: "Hours", minimum: 1, maximum: 40 },
    due: { type: "string", format: "date", title: "Due date" },
    channels: { type: "array", title: "Tell them by", items: { type: "string", enum: ["mail", "phone", "chat"] } },
    urgent: { type: "boolean", title: "It is urgent", description: "Somebody is called at once." },
  },
};
const TEXT = `You can return it **within 90 days**. In short:

1. Open the order in *My orders*
2. Choose **Return**, and a reason
3. Print the label: [how to](https://help.example/labels)

| Member | Window |
| --- | --- |
| Gold | unlimited |
| Silver | 180 days |

\`\`\`
order: 3348917502
\`\`\``;
const MS = 3_600_000;
/** Sources that are still there. */
const ARTICLES = {
  d1: { id: "d1", title: "Return Due to Size", topic: "Product Defect", text: "For returns, ask what is wrong with the item.\n1. Get their membership level\n2. Get their address\n  - Since the customer will print out a shipping label for the return, you need their full address.\n3. Start the return\n" },
};

/** What the assistant does for each of these messages: the states that a page has to show. */
export const SCRIPTS = {
  "How do I return an order?": () => [
    ["chat.thinking", { step: "Analyzing your request..." }], ["chat.thinking", { step: "Searching the knowledge base", detail: "return an order" }],
    ["tool.start", { call_id: "c1", tool: "search_knowledge", title: "Knowledge search", args: { query: "return an order" } }],
    ["tool.end", { call_id: "c1", tool: "search_knowledge", ok: true, text: "Return Due to Size: the customer will print out a shipping label." }],
    ...TEXT.match(/[\s\S]{1,40}/g).map((content) => ["chat.token", { content }]),
    ["chat.source", { doc_id: "d1", title: "Return Due to Size", excerpt: "Since the customer will print out a shipping label for the return, you need their full address." }],
    ["chat.source", { doc_id: "d2", title: "Return Due to Stain", excerpt: "Gold members get unlimited returns." }],
  ],
  "Plan it": () => [["chat.thinking", { step: "Intent recognized: create_task" }], ["chat.token", { content: "I need a few things for that. " }], ["elicitation.start", { id: "e-form", mode: "form", message: "What is to be planned?", schema: FORM, values: { title: "Call Crystal back", hours: 2 }, source: { kind: "tool", name: "create_task" }, call_id: "c2" }], new Promise(() => {})],
  "Connect my calendar": () => [["elicitation.start", { id: "e-url", mode: "url", message: "Sign in to your calendar, so that I can add it there.", url: "https://accounts.calendar.example/authorize?state=9f2", source: { kind: "mcp", name: "calendar" }, expires_at: new Date(Date.now() + MS).toISOString() }], new Promise(() => {})],
  "Remove Task 1": () => [["elicitation.start", { id: "e-ask", mode: "approval", message: "May I remove this node?", tool: "tree_remove", args: { path: "/root/children/t1", value: "Task 1" }, source: { kind: "tool", name: "tree_remove" } }], new Promise(() => {})],
  "Import the documents": () => [["tool.start", { call_id: "c3", tool: "import_documents", server: "files", args: { folder: "returns" } }], ["tool.progress", { call_id: "c3", progress: 34, total: 55, message: "34 of 55 documents" }], new Promise(() => {})],
  "Write the whole story": () => [["chat.token", { content: "Once upon a time there was an order, " }], new Promise(() => {})],
  "What failed?": () => [["chat.token", { content: "It was " }], ["error", { code: 503, message: "no model can be reached" }]],
};
