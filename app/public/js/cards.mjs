// The newest suggestion of a call as cards, and what the agent thinks of them.
import { $, el, icon } from "./dom.mjs";

export class Cards {
  /** @param {(documentId: string, helpful: boolean) => Promise<object>} sendFeedback */
  constructor(sendFeedback) {
    this.sendFeedback = sendFeedback;
    this.box = $("cards");
    this.summary = $("help-summary");
    this.cards = new Map();
  }

  clear() {
    this.box.replaceChildren();
    this.cards.clear();
    this.summary.textContent = "They follow what the customer says.";
  }

  show({ documents = [], summary }) {
    if (summary) this.summary.textContent = summary;
    const wanted = documents.map((document, rank) => {
      const card = this.cards.get(document.id) ?? this.#newCard(document);
      this.#update(card, document, rank);
      return card.element;
    });
    this.box.replaceChildren(...wanted);
  }

  #newCard(document) {
    const bar = el("i", {});
    const percent = el("span", { class: "percent" });
    const excerpt = el("p", { class: "excerpt" });
    const totals = el("span", { class: "totals", role: "status" });
    const title = el("h3", {});
    const yes = this.#vote(document.id, true);
    const no = this.#vote(document.id, false);
    const element = el("article", { class: "card", "data-document": document.id },
      el("div", { class: "card-head" }, title, percent),
      el("div", { class: "bar" }, bar),
      excerpt,
      el("div", { class: "votes" }, yes, no, totals));
    const card = { element, title, bar, percent, excerpt, totals, yes, no };
    this.cards.set(document.id, card);
    return card;
  }

  #update(card, document, rank) {
    const relevance = Math.min(1, Math.max(0, document.relevance ?? 0));
    card.title.replaceChildren(...(document.topic ? [el("small", {}, document.topic)] : []), document.title);
    card.percent.textContent = `${Math.round(relevance * 100)}%`;
    card.percent.title = "relevance";
    card.bar.style.width = `${Math.round(relevance * 100)}%`;
    card.excerpt.textContent = document.excerpt ?? "";
    card.element.classList.toggle("best", rank === 0);
  }

  #vote(documentId, helpful) {
    const label = helpful ? "Helpful" : "Not helpful";
    const button = el("button", { type: "button", "aria-pressed": "false", "data-helpful": String(helpful) },
      icon(helpful ? "up" : "down"), label);
    button.addEventListener("click", () => this.#send(documentId, helpful));
    return button;
  }

  async #send(documentId, helpful) {
    const card = this.cards.get(documentId);
    const before = [card.yes, card.no].map((button) => button.getAttribute("aria-pressed"));
    card.yes.setAttribute("aria-pressed", String(helpful));
    card.no.setAttribute("aria-pressed", String(!helpful));
    try {
      const totals = await this.sendFeedback(documentId, helpful);
      card.totals.textContent = `${totals.helpful} yes · ${totals.unhelpful} no`;
    } catch (error) {
      [card.yes, card.no].forEach((button, i) => button.setAttribute("aria-pressed", before[i]));
      card.totals.textContent = error.message;
    }
  }
}
