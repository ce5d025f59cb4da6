// One call at the server, from call:start to call:end, and what became of its lines. Whatever happens in between, `end`
// is called: a call that nobody ends stays open for everybody who watches it.
import { Interrupted, Refused } from "../lib/connection.mjs";

// After SIGTERM supervisors of processes grant ten seconds, as a rule: what is left of the beginning, then the end.
const START_WITHIN_MS = 3000;
const END_WITHIN_MS = 6000;
const GONE = new Set([404, 409]); // answers about the call, not about the line
const MAX_IDS = 5;

/** Aborted some time after `signal` is: what must not be left half done gets its answer. */
function afterwards(signal, ms) {
  const late = new AbortController();
  const begin = () => setTimeout(() => late.abort(), ms).unref();
  if (signal?.aborted) begin();
  else signal?.addEventListener("abort", begin, { once: true });
  return late.signal;
}

/** The id is in use and was not made up here. */
export class CallTaken extends Refused {}

export class Call {
  /**
   * @param {import("../lib/connection.mjs").Connection} connection
   * @param {{id: () => string | null, resume?: boolean, signal?: AbortSignal, agents?: string[], metadata?: object,
   *          report?: (text: string) => void}} options id: ids to try, one after another, null when there is no other;
   *        resume: a call that is already open is continued
   */
  constructor(connection, { id, resume = false, signal, agents, metadata = {}, report = () => {} }) {
    Object.assign(this, { connection, nextId: id, resume, signal, agents, metadata, report });
    this.id = null;
    this.taken = 0;
    this.refused = [];
    this.over = null; // why the server takes no more lines
    this.started = false;
    this.mayBeOpen = false;
    this.begun = new Map(); // by segment: lines that are not known to have arrived as final ones
  }

  /** Opens the call. Throws CallTaken if its id is in use, or what the server says. Interrupted, it waits for the answer all
   * the same: only the answer tells whether there is a call to end, or whether it is somebody else's. */
  async start() {
    for (let tries = 1; ; tries++) {
      const id = this.nextId();
      if (id === null || tries > MAX_IDS) throw this.lastRefusal;
      this.id = id;
      if (await this.#tryToStart()) break;
    }
    this.started = true;
    await this.#request("call:status", { status: "active" });
  }

  /**
   * Sends a final line, acknowledged. What the server does not take is kept in `refused`.
   * @param {boolean} again an earlier attempt may have arrived
   */
  async say(line, number, again = false) {
    if (this.over) return false;
    const update = this.#update(line, number);
    const own = Boolean(line.fields?.segment_id); // whose repeats are its sender's business
    this.begun.set(update.segment_id, { line, number, again: true });
    try {
      const answer = await this.#request("transcription:update", { ...update, is_final: true });
      const isNew = !answer.duplicate || answer.resent || again || own || this.resume;
      if (!isNew) throw new Refused("transcription:update", { message: "the call has another line of this segment" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.begun.delete(update.segment_id);
      this.#refuse(error, line, number);
      return false;
    }
    this.begun.delete(update.segment_id);
    this.taken += 1;
    return true;
  }

  /** Interim text is worth nothing later: it is sent once, unacknowledged, and only while connected. */
  sayInterim(line, text, number) {
    if (this.over || !this.connection.socket.connected) return;
    const update = this.#update({ ...line, text }, number);
    this.begun.set(update.segment_id, { line: { ...line, text }, number, again: false });
    this.connection.socket.volatile.emit("transcription:update", { call_id: this.id, ...update, is_final: false });
  }

  /** Ends the call, also when interrupted: the last words that were begun become final. Never throws. */
  async end() {
    if (!this.mayBeOpen) return;
    const hurry = new AbortController();
    const timer = setTimeout(() => hurry.abort(), END_WITHIN_MS);
    this.signal = hurry.signal;
    try {
      for (const { line, number, again } of [...this.begun.values()]) {
        await this.say(line, number, again).catch((error) => this.report(`line ${number}: ${error.message}`));
      }
      await this.#request("call:end", {});
      this.mayBeOpen = false;
    } catch (error) {
      if (error instanceof Refused && GONE.has(error.status)) this.mayBeOpen = false;
      else this.report(`the call may still be open: ${error instanceof Interrupted ? "no answer from the server" : error.message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #tryToStart() {
    const start = { ...(this.agents?.length ? { agents: this.agents } : {}), metadata: this.metadata };
    try {
      this.mayBeOpen = true;
      const answer = await this.#request("call:start", start, afterwards(this.signal, START_WITHIN_MS));
      if (!answer.duplicate || answer.resent || this.resume) return true;
      this.lastRefusal = new CallTaken("call:start", { message: `a call ${this.id} is already open` });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.mayBeOpen = error.status === 0;
      if (error.status !== 409) throw error;
      this.lastRefusal = new CallTaken("call:start", { message: `the id ${this.id} is taken: ${error.reason}` });
    }
    this.mayBeOpen = false; // it is somebody else's
    return false;
  }

  #request(event, data, signal = this.signal) {
    return this.connection.request(event, { call_id: this.id, ...data }, {
      signal,
      onBusy: (error, waitMs) => this.report(`the server is busy (${error.message}), trying again in ${waitMs} ms`),
    });
  }

  #update({ speaker, text, startMs, endMs, fields }, number) {
    const times = startMs === undefined ? {} : { start_ms: Math.round(startMs), end_ms: Math.round(endMs) };
    return { segment_id: `line-${number}`, timestamp: new Date().toISOString(), ...times, ...fields, speaker, text };
  }

  #refuse(error, line, number) {
    const where = `line ${number}${line.row ? ` (row ${line.row})` : ""}`;
    this.refused.push({ number, row: line.row, reason: error.reason });
    this.report(`${where} was not taken: ${error.reason}`);
    if (!GONE.has(error.status)) return;
    this.over = error.reason;
    this.mayBeOpen &&= error.status !== 404;
  }
}
