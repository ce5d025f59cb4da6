// The page: one call at a time, as an agent sees it. The rules of the events are in live-call.mjs, shared with the
// agent command; this file connects them with what is drawn.
import { LiveCall, formatDuration } from "../live-call.mjs";
import { Calls, callCustomer, callTitle, statusLabel } from "./calls.mjs";
import { Cards } from "./cards.mjs";
import { $, el, initials, tint } from "./dom.mjs";
import { Link } from "./link.mjs";
import { Transcript } from "./transcript.mjs";

const EVENTS = ["transcription:update", "ai:suggestion", "call:status", "agent:presence"];
const LIST_EVERY_MS = 4000;
const TOKEN_KEY = "parley-token";

const transcript = new Transcript();
const cards = new Cards((doc_id, helpful) => link.ask("doc:feedback", { call_id: call.callId, doc_id, helpful }));
const calls = new Calls(openCall);
/** @type {Link} */
let link = null;
/** @type {LiveCall} */
let call = null;

function forget() {
  transcript.clear();
  cards.clear();
}

function openCall(entry) {
  if (call) link.socket.emit("call:unsubscribe", { call_id: call.callId });
  call = new LiveCall(entry.call_id);
  forget();
  showTitle(entry);
  $("presence").hidden = true;
  showStatus(entry.status);
  sync(call);
}

/** Fetches the call so far, or what was missed; events that come meanwhile wait inside `of`. */
async function sync(of) {
  try {
    const answer = await link.ask("call:subscribe", of.subscribeRequest());
    if (of !== call) return;
    draw(of.merge(answer), true);
    calls.setMetadata(of.callId, of.metadata);
    showTitle({ call_id: of.callId, metadata: of.metadata });
  } catch (error) {
    draw(of === call ? of.abandonSync() : []);
    if (of === call && link.socket.connected) $("empty-text").textContent = error.message;
  }
}

function draw(changes, quiet = false) {
  for (const change of changes) {
    if (change.kind === "line") transcript.show(change.line, quiet);
    else if (change.kind === "suggestion") cards.show(call.suggestion);
    else if (change.kind === "status") showStatus(change.status);
    else if (change.kind === "agents") showPresence(change.agents);
    else if (change.kind === "gap") {
      link.countGap(change.to - change.from - 1);
      sync(call);
      break;
    } else if (change.kind === "restart") {
      forget();
      sync(call);
      break;
    }
  }
  link.showSeq(call?.seq);
}

function showTitle(entry) {
  const title = callTitle(entry);
  $("call").dataset.call = entry.call_id;
  $("call-title").textContent = title;
  $("call-customer").textContent = callCustomer(entry);
  $("call-id").textContent = title === entry.call_id ? "" : entry.call_id;
  document.title = `${title} · Parley`;
}

function showStatus(status) {
  $("call").dataset.status = status ?? "none";
  $("call-status").textContent = statusLabel(status);
  calls.setStatus(call.callId, status);
  showClock();
}

function showClock() {
  const seconds = call?.durationSeconds() ?? null;
  $("call-clock").textContent = seconds === null ? "" : formatDuration(seconds);
}

function showPresence(agents) {
  const box = $("presence");
  const shown = agents.slice(0, 4).map((name) => el("span", { class: "face", "data-tint": tint(name), title: name }, initials(name)));
  if (agents.length > shown.length) shown.push(el("span", { class: "face more" }, `+${agents.length - shown.length}`));
  box.replaceChildren(el("span", { class: "faces", "aria-hidden": "true" }, ...shown),
    el("span", { class: "watching", title: agents.join(", ") }, `${agents.length} watching`));
  box.hidden = agents.length === 0;
}

async function listCalls() {
  if (!link?.socket.connected) return;
  try {
    const answer = await link.ask("call:list", {});
    calls.update(answer.calls ?? []);
    if ((answer.calls ?? []).length === 0) $("call-title").textContent = "Waiting for a call";
  } catch {
    // the next round asks again
  }
}

/** renewed: the token was fetched because the one before was refused; not again before this one was good. */
function connect(token, renewed = false) {
  link?.socket.disconnect();
  link = new Link(token, {
    onConnect() {
      renewed = false;
      $("sign-in").hidden = true;
      $("desk").hidden = false;
      if (call) sync(call);
      listCalls();
    },
    async onRefused(message) {
      sessionStorage.removeItem(TOKEN_KEY);
      const fresh = renewed ? null : await demoToken();
      if (fresh) connect(fresh, true);
      else askForToken(message);
    },
  });
  for (const event of EVENTS) {
    link.socket.on(event, (data) => {
      if (call && data?.call_id === call.callId) draw(call.apply(event, data));
    });
  }
}

function askForToken(problem) {
  if (!problem) {
    $("connection").dataset.state = "none";
    $("connection-text").textContent = "Not connected";
  }
  $("desk").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-problem").hidden = !problem;
  $("sign-in-problem").textContent = problem ?? "";
  $("token").focus();
}

/** A server started for a demo gives everybody a token; any other asks. */
async function demoToken() {
  const response = await fetch("/demo/token").catch(() => null);
  if (!response?.ok) return null;
  return (await response.json().catch(() => null))?.token ?? null;
}

function watchButtons() {
  $("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = $("token").value.trim();
    sessionStorage.setItem(TOKEN_KEY, token);
    connect(token);
  });
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("parley-theme", root.dataset.theme);
  });
  document.addEventListener("click", (event) => {
    if (!$("connection").contains(event.target)) $("connection").open = false;
  });
}

async function start() {
  watchButtons();
  if (!window.io) {
    $("connection").dataset.state = "refused";
    $("connection-text").textContent = "No client";
    $("empty-text").textContent = "This build has no Socket.IO client in it: run npm ci in clients/ and build again.";
    return;
  }
  const token = sessionStorage.getItem(TOKEN_KEY) ?? (await demoToken());
  if (token) connect(token);
  else askForToken();
  setInterval(listCalls, LIST_EVERY_MS);
  setInterval(showClock, 500);
}

start();
