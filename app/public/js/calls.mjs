// The list of calls, and which of them is looked at: the newest running one, until the reader picks another.
import { $, clockTime, el } from "./dom.mjs";
import { formatDuration } from "../live-call.mjs";

const LABELS = { ringing: "ringing", active: "active", on_hold: "on hold", ended: "ended" };
const SHOWN = 30;

export const statusLabel = (status) => LABELS[status] ?? status ?? "idle";

/** What the call is about, or else its id: "return_size" → "Return size". */
export function callTitle(call) {
  const subject = String(call.metadata?.subject ?? "").replaceAll("_", " ").trim();
  return subject ? subject[0].toUpperCase() + subject.slice(1) : call.call_id;
}

/** "crystal minh" → "Crystal Minh"; empty if nobody said. */
export function callCustomer(call) {
  return String(call.metadata?.customer ?? "").replace(/(^|\s)\p{Ll}/gu, (start) => start.toUpperCase());
}

const running = (call) => call.status !== "ended";
const newestFirst = (a, b) => String(b.started_at).localeCompare(String(a.started_at));

export class Calls {
  /** @param {(call: object) => void} onSelect */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.list = $("calls");
    this.known = [];
    this.selected = null;
    this.pinned = false;
    this.rows = new Map();
    this.metadata = new Map();
  }

  update(calls) {
    this.known = calls.map((call) => ({ metadata: this.metadata.get(call.call_id), ...call })).sort((a, b) => running(b) - running(a) || newestFirst(a, b));
    if (!this.pinned) this.#followNewest();
    this.#draw();
  }

  /** The list is brief; a call that was looked at is known better. */
  setMetadata(callId, metadata) {
    this.metadata.set(callId, metadata);
    const call = this.known.find((other) => other.call_id === callId);
    if (!call) return;
    call.metadata = metadata;
    this.#draw();
  }

  /** A call's own events know its status before the next list does. */
  setStatus(callId, status) {
    const call = this.known.find((other) => other.call_id === callId);
    if (!call) return;
    call.status = status;
    this.#draw();
  }

  pick(callId) {
    const call = this.known.find((other) => other.call_id === callId);
    if (!call) return;
    this.pinned = call !== this.known[0];
    this.#select(call);
  }

  #followNewest() {
    const newest = this.known.find(running) ?? this.known[0];
    const current = this.known.find((call) => call.call_id === this.selected);
    if (!newest || (current && running(current))) return;
    if (newest.call_id !== this.selected) this.#select(newest);
  }

  #select(call) {
    this.selected = call.call_id;
    this.onSelect(call);
    this.#draw();
  }

  #draw() {
    const items = this.known.slice(0, SHOWN).map((call) => this.#row(call));
    if (items.length === 0) items.push(el("li", { class: "none" }, "No calls yet"));
    const same = items.length === this.list.childElementCount && items.every((item, i) => item === this.list.children[i]);
    if (!same) this.list.replaceChildren(...items);
  }

  #row(call) {
    let row = this.rows.get(call.call_id);
    if (!row) {
      const title = el("strong", {});
      const detail = el("span", {});
      const button = el("button", { type: "button" }, el("span", { class: "dot" }), title, detail);
      button.addEventListener("click", () => this.pick(call.call_id));
      row = { item: el("li", {}, button), button, title, detail };
      this.rows.set(call.call_id, row);
    }
    row.title.textContent = callTitle(call);
    const length = running(call) ? "" : ` · ${formatDuration(call.duration ?? null)}`;
    row.detail.textContent = `${statusLabel(call.status)} · ${clockTime(call.started_at)}${length}`;
    row.button.dataset.status = call.status;
    if (call.call_id === this.selected) row.button.setAttribute("aria-current", "true");
    else row.button.removeAttribute("aria-current");
    return row.item;
  }
}
