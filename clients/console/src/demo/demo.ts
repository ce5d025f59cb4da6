// The teaching demo: a page on a plain WebSocket, without any library. {type:"message", content} goes out; what comes is
// {type:"response", response, mode, current_topic, timestamp, sources?}. Each connection is a lesson of its own: one that comes
// after a lost one begins with a welcome.
import "../fonts.css";
import "../styles.css";
import { keep, recall } from "../lib/storage.js";
import { quotedIn } from "./quoted.js";

interface Source {
  doc_id: string;
  title: string;
  excerpt: string;
}
interface Said {
  type: string;
  response?: string;
  sources?: Source[];
  mode?: string;
  current_topic?: string;
  error?: { message?: string };
  message?: string;
  content?: { message?: string };
}

const IDEAS = ["Teach me about refunds", "How do I recover a password?", "Continue"];
/** What the demo says by itself, one after the other's answer. */
const SCRIPT = ["Teach me about refunds", "Continue", "How do I recover a password?", "Continue"];
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

const find = <T extends HTMLElement>(selector: string): T => document.querySelector<T>(selector)!;
const [log, list, connection, lesson, form, input, ideas] = [find("#log"), find("#log ol"), find("#connection"), find("#lesson"), find<HTMLFormElement>("form"), find<HTMLInputElement>("#message"), find("#ideas")];

const clientId = recall("parley-demo-client") ?? `demo-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
keep("parley-demo-client", clientId);

let socket: WebSocket | null = null;
let pauseMs = FIRST_PAUSE_MS;
let script: string[] = [];
/** A connection's first response is its welcome. */
let isWelcomed = false;
const waiting: string[] = [];

function showConnection(text: string, tone: string): void {
  const dot = document.createElement("span");
  dot.className = `size-2 rounded-full ${tone}`;
  connection.replaceChildren(dot, text);
  connection.dataset.state = text;
}

/** Of Markdown only **strong**; the rest reads well as it is. Nothing becomes HTML. */
function strong(text: string): Array<string | HTMLElement> {
  return text.split(/\*\*(.+?)\*\*/).map((part, i) => {
    if (i % 2 === 0) return part;
    const element = document.createElement("strong");
    element.textContent = part;
    return element;
  });
}

/** A title that opens the passage. */
function passage(source: Source): HTMLElement {
  const [details, summary, quote] = [document.createElement("details"), document.createElement("summary"), document.createElement("blockquote")];
  details.className = "mt-2 rounded-lg border border-line bg-surface text-[13.5px]";
  summary.className = "cursor-pointer px-3 py-2 font-medium text-soft hover:text-ink pointer-coarse:py-3";
  quote.className = "border-t border-line px-3 py-2 whitespace-pre-wrap";
  summary.textContent = `Passage of “${source.title}”`;
  quote.append(...strong(source.excerpt));
  details.append(summary, quote);
  return details;
}

function show(who: "you" | "teacher" | "problem", text: string, sources: Source[] = []): void {
  const row = document.createElement("li");
  row.dataset.who = who;
  row.className = who === "you" ? "max-w-[85%] justify-self-end rounded-2xl rounded-br-md bg-accent-wash px-4 py-2.5 whitespace-pre-wrap"
    : who === "problem" ? "rounded-lg bg-bad-wash px-3 py-2 text-bad" : "text-[15px] leading-6 whitespace-pre-wrap";
  row.append(...(who === "teacher" ? strong(text) : [text]), ...sources.map(passage));
  list.append(row);
  if (who === "you") log.scrollTo({ top: log.scrollHeight });
  else row.scrollIntoView({ block: "nearest" });
}

function say(text: string): void {
  show("you", text);
  const message = JSON.stringify({ type: "message", content: text, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  if (socket?.readyState === WebSocket.OPEN) socket.send(message);
  else waiting.push(message);
}

function take(said: Said): void {
  if (said.type === "response") {
    show("teacher", said.response ?? "", quotedIn(said.response ?? "", said.sources ?? []));
    lesson.textContent = [said.mode && `Mode: ${said.mode}`, said.current_topic && `Topic: ${said.current_topic}`].filter(Boolean).join(" · ");
    const next = isWelcomed && script.shift();
    isWelcomed = true;
    if (next) say(next);
  }
  if (said.type === "error") show("problem", said.error?.message ?? said.content?.message ?? said.message ?? "The server could not answer.");
}

/** With the console's token, or the demo's; without one as a guest, where the server admits any. */
async function tokenOf(): Promise<string | null> {
  const response = recall("parley-token") ? null : await fetch("/demo/token").catch(() => null);
  const answer = response?.ok ? ((await response.json().catch(() => null)) as { token?: string } | null) : null;
  return recall("parley-token") ?? answer?.token ?? null;
}

async function connect(): Promise<void> {
  showConnection("Connecting", "bg-warn");
  const url = new URL(`/ws/${clientId}`, location.href.replace(/^http/, "ws"));
  url.searchParams.set("dialect", "teaching");
  const token = await tokenOf();
  if (token) url.searchParams.set("token", token);
  const own = (socket = new WebSocket(url));
  own.onopen = () => {
    isWelcomed = false;
    pauseMs = FIRST_PAUSE_MS;
    showConnection("Connected", "bg-good");
    for (const message of waiting.splice(0)) own.send(message);
  };
  own.onmessage = (event) => take(JSON.parse(String(event.data)) as Said);
  own.onclose = (event) => {
    if (event.code === 1008) {
      showConnection("Access denied", "bg-bad");
      return show("problem", event.reason || "The server does not accept this page's token. Sign in first.");
    }
    showConnection("Offline", "bg-bad");
    setTimeout(() => void connect(), pauseMs);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  };
}

function addButton(text: string, onClick: () => void): void {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.className = "min-h-9 rounded-lg border border-line bg-surface px-3 text-[13px] font-medium text-soft hover:bg-hover hover:text-ink pointer-coarse:min-h-11";
  button.addEventListener("click", onClick);
  ideas.append(button);
}

for (const idea of IDEAS) addButton(idea, () => say(idea));
addButton("Play the demo", () => {
  script = SCRIPT.slice(1);
  say(SCRIPT[0]!);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  input.value = "";
  if (text) say(text);
});
void connect();
