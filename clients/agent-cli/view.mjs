// Turns changes of a call into lines of text. Interim text is rewritten in place on a terminal and left out elsewhere.
import { formatDuration } from "../lib/live-call.mjs";
import { palette, plain, speech } from "../lib/terminal.mjs";

const STATUS_COLOURS = { ringing: "yellow", active: "green", on_hold: "yellow", ended: "dim" };

export class View {
  /** @param {{out?: NodeJS.WriteStream, showCallId?: boolean}} options showCallId: several calls share the output */
  constructor({ out = process.stdout, showCallId = false } = {}) {
    this.out = out;
    this.showCallId = showCallId;
    this.colours = palette(out);
    this.provisional = false;
  }

  /** Notes about the connection and the like. */
  note(text) {
    this.#print(this.colours.dim(`· ${plain(text)}`));
  }

  /** One change as LiveCall reports it. */
  show(call, change) {
    if (change.kind === "line") this.#line(call, change.line, change.corrected);
    else if (change.kind === "status") this.#status(call, change);
    else if (change.kind === "agents") this.#print(this.#label(call, this.colours.dim(`· watching: ${names(change.agents)}`)));
    else if (change.kind === "suggestion") this.#suggestion(call, change.suggestion);
    else if (change.kind === "other") this.#other(call, change);
  }

  #other(call, { event, data }) {
    const { call_id: _, seq: __, ...rest } = data;
    this.#print(this.#label(call, this.colours.dim(`· ${plain(event)} ${clip(plain(JSON.stringify(rest)), 200)}`)));
  }

  #line(call, line, corrected) {
    const mark = corrected ? this.colours.dim(" (corrected)") : "";
    const text = this.#label(call, speech(this.colours, line.speaker, line.text) + mark);
    if (line.final) this.#print(text);
    else if (this.out.isTTY) {
      const width = this.out.columns ?? 80;
      const name = plain(line.speaker).padEnd(9);
      this.out.write(`\r\x1b[K${this.colours.dim(`${name} ${plain(line.text)} …`.slice(0, width - 1))}`);
      this.provisional = true;
    }
  }

  #status(call, { status, duration }) {
    const paint = this.colours[STATUS_COLOURS[status] ?? "dim"];
    this.#print(this.#label(call, `${paint(`● ${plain(status)}`)} ${this.colours.dim(formatDuration(duration ?? null))}`));
  }

  #suggestion(call, { documents = [], summary }) {
    this.#print(this.#label(call, this.colours.yellow(`▸ ${plain(summary || "documents that may help")}`)));
    documents.forEach((document, i) => {
      const percent = `${Math.round((document.relevance ?? 0) * 100)}%`.padStart(4);
      this.#print(`  ${this.colours.bold(`[${i + 1}]`)} ${this.colours.dim(percent)} ${plain(document.title)}`);
      if (document.excerpt) this.#print(`      ${this.colours.dim(clip(plain(document.excerpt), 160))}`);
    });
  }

  #label(call, text) {
    return this.showCallId ? `${this.colours.dim(call.callId)} ${text}` : text;
  }

  #print(text) {
    if (this.provisional) this.out.write("\r\x1b[K");
    this.provisional = false;
    this.out.write(`${text}\n`);
  }
}

function names(agents) {
  return agents.length ? agents.map(plain).join(", ") : "nobody";
}

function clip(text, length) {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}
