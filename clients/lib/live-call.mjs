// What an agent sees of one call, kept in step with the server. No I/O here: the hooks for React and the agent command
// both feed it the events of `/` and draw what it holds. A line that changes becomes a new object.
//
// The rules of the event vocabulary that it implements:
// - every event of a call carries `seq`, which grows by one; a hole means something was missed and `apply` says "gap"
// - the answer to call:subscribe is a snapshot, or what came after `since_seq`; either is merged with `merge`
// - a line with a segment_id replaces the line of that segment; a final one only if it is final itself (a correction)

/** Orders lines by when their segment first appeared. */
const byFirstSeq = (a, b) => a.order - b.order;

export class LiveCall {
  /** @param {string} callId */
  constructor(callId) {
    this.callId = callId;
    this.seq = 0;
    this.status = null;
    this.agents = [];
    /** @type {object[]} lines in the order they were first heard */
    this.lines = [];
    /** @type {object[]} every ai:suggestion, oldest first */
    this.suggestions = [];
    /** @type {object[]} every call:alert, oldest first */
    this.alerts = [];
    /** @type {object[]} every call:note: they have ids of their own and no `seq` */
    this.notes = [];
    /** @type {object[]} whose hands are up, and how the call went for whom: states */
    this.help = [];
    this.wrapups = [];
    this.summary = null;
    this.startedAt = null;
    this.metadata = {};
    this.durationAnchor = null;
    this.syncing = false;
    this.waiting = [];
    this.bySegment = new Map();
  }

  /** The suggestion to show: the newest. */
  get suggestion() {
    return this.suggestions.at(-1) ?? null;
  }

  /** What to send as call:subscribe: everything the first time, afterwards only what is missing. */
  subscribeRequest() {
    this.syncing = true;
    return this.seq > 0 ? { call_id: this.callId, since_seq: this.seq } : { call_id: this.callId };
  }

  /** The subscription failed; events are taken as they come again. */
  abandonSync() {
    this.syncing = false;
    return this.#drain();
  }

  /**
   * Merges the answer to call:subscribe. If the server knows less than it has sent before (its data was lost), the call
   * begins anew: the change is "restart", and it wants to be subscribed once more.
   * @returns {object[]} the changes, as `apply` returns them
   */
  merge(answer, nowMs = Date.now()) {
    if (answer.seq < this.seq) return this.#restart();
    const changes = [];
    const call = answer.call ?? {};
    if (call.started_at) this.startedAt = call.started_at;
    if (call.metadata) this.metadata = call.metadata;
    if (call.status && (call.status !== this.status || call.duration !== undefined)) {
      changes.push(...this.#setStatus(call, nowMs));
    }
    for (const line of answer.transcript ?? []) changes.push(...this.#addLine(line));
    for (const suggestion of answer.suggestions ?? []) changes.push(...this.#addSuggestion(suggestion));
    for (const alert of answer.alerts ?? []) this.#addAlert(alert);
    for (const note of answer.notes ?? []) this.#addNote(note);
    if (answer.help) this.help = answer.help;
    if (answer.wrapups) this.wrapups = answer.wrapups;
    if (answer.summary) this.summary = answer.summary;
    if (Array.isArray(answer.agents ?? call.agents)) changes.push(...this.#setAgents(answer.agents ?? call.agents));
    if (Number.isFinite(answer.seq)) this.seq = Math.max(this.seq, answer.seq);
    this.syncing = false;
    changes.push(...this.#drain(nowMs));
    return changes;
  }

  /**
   * Applies one event of this call.
   * @returns {object[]} changes: {kind: "line"|"suggestion"|"status"|"agents"|"gap"|"restart"|"other", …}; empty for a repeat
   */
  apply(event, data, nowMs = Date.now()) {
    if (this.syncing) {
      this.waiting.push([event, data]);
      return [];
    }
    const { seq } = data;
    if (Number.isFinite(seq)) {
      if (seq <= this.seq) return [];
      // After an outage the server says how far the call is, which is not an entry: even the next number is missing then.
      const next = data.reached ? seq + 1 : seq;
      if (next > this.seq + 1) return [{ kind: "gap", from: this.seq, to: next }];
      this.seq = seq;
    }
    if (event === "transcription:update") return this.#addLine(data);
    if (event === "ai:suggestion") return this.#addSuggestion(data);
    if (event === "call:status") return this.#setStatus(data, nowMs);
    if (event === "agent:presence") return this.#setAgents(data.agents ?? []);
    if (event === "call:alert") this.#addAlert(data);
    if (event === "call:note") this.#addNote(data);
    if (event === "call:help") this.help = data.agents ?? [];
    if (event === "call:summary") this.summary = data;
    return [{ kind: "other", event, data }];
  }

  /** Seconds the call has lasted, or null if the server has not said. */
  durationSeconds(nowMs = Date.now()) {
    if (!this.durationAnchor) return null;
    const { seconds, atMs } = this.durationAnchor;
    if (this.status === "ended") return seconds;
    return seconds + Math.max(0, (nowMs - atMs) / 1000);
  }

  #restart() {
    const from = this.seq;
    Object.assign(this, { seq: 0, lines: [], suggestions: [], alerts: [], notes: [], help: [], wrapups: [], summary: null, syncing: false, waiting: [], bySegment: new Map() });
    return [{ kind: "restart", from }];
  }

  #drain(nowMs = Date.now()) {
    const waiting = this.waiting;
    this.waiting = [];
    return waiting.flatMap(([event, data]) => this.apply(event, data, nowMs));
  }

  #addLine(data) {
    const final = data.is_final !== false;
    const key = data.segment_id ?? `seq:${data.seq}`;
    const known = this.bySegment.get(key);
    if (known && (data.seq <= known.seq || (known.final && !final))) return [];
    const corrected = Boolean(known?.final);
    const line = {
      key,
      order: known?.order ?? data.seq ?? this.lines.length,
      speaker: data.speaker,
      text: data.text,
      timestamp: data.timestamp,
      seq: data.seq,
      final,
      corrected,
    };
    this.bySegment.set(key, line);
    if (known) {
      this.lines[this.lines.lastIndexOf(known)] = line;
    } else {
      this.lines.push(line);
      if (this.lines.length > 1 && this.lines.at(-2).order > line.order) this.lines.sort(byFirstSeq);
    }
    return [{ kind: "line", line, isNew: !known, corrected }];
  }

  #addSuggestion(data) {
    if (this.suggestions.some((other) => other.seq === data.seq)) return [];
    this.suggestions.push(data);
    this.suggestions.sort((a, b) => a.seq - b.seq);
    return [{ kind: "suggestion", suggestion: data }];
  }

  #addAlert(alert) {
    if (!this.alerts.some((other) => other.seq === alert.seq)) this.alerts.push(alert);
  }

  #addNote(note) {
    if (!this.notes.some((other) => other.id === note.id)) this.notes.push(note);
  }

  #setStatus(data, nowMs) {
    this.status = data.status;
    if (Number.isFinite(data.duration)) this.durationAnchor = { seconds: data.duration, atMs: nowMs };
    return [{ kind: "status", status: data.status, duration: data.duration }];
  }

  #setAgents(agents) {
    this.agents = agents.map((agent) => (typeof agent === "string" ? agent : (agent.agent_id ?? agent.id ?? "?")));
    return [{ kind: "agents", agents: this.agents }];
  }
}

/** 75 → "1:15", 3675 → "1:01:15". */
export function formatDuration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "–:––";
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}
