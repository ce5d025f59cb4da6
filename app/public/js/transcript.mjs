// The lines of one call. Follows the newest line unless the reader scrolled away from it.
import { $, clockTime, el, icon } from "./dom.mjs";

const NAMES = { customer: "Customer", agent: "Agent", system: "System" };
const NEAR_THE_END_PX = 60;

export class Transcript {
  constructor() {
    this.list = $("transcript");
    this.scroller = $("scroller");
    this.latest = $("latest");
    this.empty = $("empty");
    this.announcer = $("announcer");
    this.rows = new Map();
    this.following = true;
    this.scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.latest.addEventListener("click", () => this.#follow());
    new ResizeObserver(() => this.following && this.#toEnd()).observe(this.scroller);
  }

  clear() {
    this.list.replaceChildren();
    this.rows.clear();
    this.announcer.replaceChildren();
    this.empty.hidden = false;
    this.#follow();
  }

  /** Adds or updates one line of LiveCall. `quiet`: part of a snapshot, neither animated nor read aloud. */
  show(line, quiet) {
    let row = this.rows.get(line.key);
    if (!row) {
      row = this.#newRow(line);
      this.rows.set(line.key, row);
      this.#insert(row);
      if (!quiet) row.item.classList.add("arriving");
    }
    row.text.textContent = line.text;
    row.time.textContent = clockTime(line.timestamp);
    row.item.classList.toggle("provisional", !line.final);
    row.item.setAttribute("aria-busy", String(!line.final));
    this.empty.hidden = true;
    if (line.final && !quiet) this.#announce(line);
    if (this.following) this.#toEnd();
    else this.latest.hidden = false;
  }

  #newRow(line) {
    const text = el("p", { class: "said" });
    const time = el("time", {});
    const name = NAMES[line.speaker] ?? line.speaker;
    const side = NAMES[line.speaker] ? line.speaker : "customer";
    const item = el("li", { class: "line", "data-speaker": side, "data-name": name },
      el("div", { class: "who" }, side === "system" ? icon("gear") : null, el("span", {}, name), time), text);
    return { item, text, time, order: line.order };
  }

  #insert(row) {
    let before = null;
    for (let item = this.list.lastElementChild; item; item = item.previousElementSibling) {
      if (item.parleyOrder <= row.order) break;
      before = item;
    }
    row.item.parleyOrder = row.order;
    this.list.insertBefore(row.item, before);
    for (const item of [row.item, row.item.nextElementSibling]) {
      const previous = item?.previousElementSibling;
      item?.classList.toggle("same", Boolean(previous) && previous.dataset.name === item.dataset.name);
    }
  }

  #announce(line) {
    this.announcer.append(el("p", {}, `${NAMES[line.speaker] ?? line.speaker}: ${line.text}`));
    while (this.announcer.childElementCount > 3) this.announcer.firstElementChild.remove();
  }

  #onScroll() {
    const left = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
    this.following = left < NEAR_THE_END_PX;
    if (this.following) this.latest.hidden = true;
  }

  #follow() {
    this.following = true;
    this.latest.hidden = true;
    this.#toEnd();
  }

  #toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}
