// What a reader sees of one chat, from its log and its history. No I/O. An item that changes becomes a new object.
import type { Answer, AnswerPart, ChatItem, ChatMessage, Elicitation, HistoryRow, Ready, Source, ToolCall } from "./chat-types.js";
import { applyDelta, type TreeDelta, type TreeNode } from "./tree.js";

/** These are not of the log: they carry the `seq` of the entry before them. */
const ASIDE = new Set(["session.ready", "chat.reasoning", "debug"]);

type Payload = Record<string, any>;

/** gap: something was missed; unfit: what is known is not what the server has. Neither was applied. */
export type Applied = "changed" | "nothing" | "gap" | "unfit";

export class ChatModel {
  seq = 0;
  items: ChatItem[] = [];
  tree: TreeNode | null = null;
  treeVersion = 0;
  takenBy: string | null = null;
  /** The id of the oldest row of the history that is shown, to ask for older ones. */
  oldest: number | null = null;
  /** Answers that came from the history as a whole: the log tells them again from their begin. */
  readonly #stored = new Set<string>();
  /** How questions of the history ended: a page may begin between a question and its answer. */
  readonly #ended = new Map<string, Elicitation["state"]>();
  #waiting: Array<[string, Payload]> | null = null;

  get pending(): Elicitation[] {
    return this.items.flatMap((item) => (item.kind === "answer" ? item.parts : [])).flatMap((part) => (part.kind === "form" && part.elicitation.state === "open" ? [part.elicitation] : []));
  }

  get isRunning(): boolean {
    return this.items.some((item) => item.kind === "answer" && item.state === "running");
  }

  /** From now on events wait, until resume(). */
  hold(): void {
    this.#waiting ??= [];
  }

  resume(): Applied {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const [event, payload] of waiting) {
      const applied = this.apply(event, payload);
      if (applied === "gap" || applied === "unfit") return applied;
    }
    return "changed";
  }

  /** The chat as it was at ready.seq, and its latest messages. */
  begin(ready: Ready, rows: readonly HistoryRow[]): void {
    this.seq = ready.seq;
    this.items = [];
    this.#stored.clear();
    this.#ended.clear();
    this.tree = (ready.initial_tree?.root as TreeNode | undefined) ?? null;
    this.treeVersion = ready.tree_version ?? 0;
    this.takenBy = ready.taken_by ?? null;
    this.oldest = null;
    this.addOlder(rows, ready.running?.ref_id);
    const { running } = ready;
    if (running?.ref_id) this.#begin(running as { ref_id: string } & NonNullable<Ready["running"]>);
    for (const question of ready.pending ?? []) this.#ask({ ...question, ref_id: question.ref_id ?? running?.ref_id } as Payload);
  }

  /** Rows of the history before those that are known. Of the turn that runs only its message is taken. */
  addOlder(rows: readonly HistoryRow[], running?: string): void {
    const known = this.items;
    this.items = [];
    this.#stored.clear();
    for (const row of rows) if (!row.replaced && (row.type === "user" || row.ref_id !== running)) this.#addRow(row);
    for (const { key, kind } of this.items) if (kind === "answer") this.#stored.add(key);
    for (const item of known) this.#join(item);
    this.oldest = rows[0]?.id ?? this.oldest;
  }

  /** What is known goes on after an older page, which may have the begin of the same answer. */
  #join(item: ChatItem): void {
    const place = this.items.findIndex((older) => older.key === item.key);
    const older = this.items[place];
    if (!older) return void this.items.push(item);
    if (item.kind !== "answer" || older.kind !== "answer" || older.attempt !== item.attempt) return void (this.items[place] = item);
    this.items[place] = { ...item, parts: [...older.parts, ...item.parts], thinking: [...older.thinking, ...item.thinking], sources: merged(older.sources, item.sources) };
  }

  apply(event: string, payload: Payload): Applied {
    if (event === "session.ready") return "nothing";
    if (this.#waiting) {
      this.#waiting.push([event, payload]);
      return "nothing";
    }
    if (!ASIDE.has(event)) {
      if (typeof payload.seq !== "number" || payload.seq <= this.seq) return "nothing";
      if (payload.seq > this.seq + 1) return "gap";
    }
    if (event === "tree.update" && !this.#grow(payload)) return "unfit";
    if (!ASIDE.has(event)) this.seq = payload.seq;
    this.#take(event, payload);
    return "changed";
  }

  #take(event: string, payload: Payload): void {
    switch (event) {
      case "chat.message": return this.#addMessage(payload);
      case "chat.token": return this.#append(payload);
      case "chat.thinking": return this.#answer(payload, ({ thinking }) => ({ thinking: [...thinking, { step: payload.step, detail: payload.detail }] }));
      case "chat.reasoning": return this.#answer(payload, ({ reasoning }) => ({ reasoning: reasoning + payload.content }));
      case "chat.source": return this.#answer(payload, ({ sources }) => ({ sources: merged(sources, [payload as Source]) }));
      case "tool.start": return this.#setTool(payload, { tool: payload.tool, title: payload.title, server: payload.server, args: payload.args, state: "running" });
      case "tool.progress": return this.#setTool(payload, { progress: { progress: payload.progress, total: payload.total, message: payload.message } });
      case "tool.end": return this.#setTool(payload, { ...(payload.tool && { tool: payload.tool }), state: payload.ok ? "done" : "failed", result: payload.result, text: payload.text });
      case "elicitation.start": return this.#ask(payload);
      case "elicitation.end": return this.#endQuestion(payload.id, payload.action);
      case "chat.done": return this.#end(payload, payload.stopped ? "stopped" : "done");
      case "error": return payload.ref_id ? this.#end(payload, "failed") : undefined;
      case "chat.feedback": return this.#rate(payload.ref_id, payload.attempt ?? 1, payload.helpful);
      case "reminder.due": return this.#remind(payload.id, payload.text, payload.at);
      case "chat.takeover":
        this.takenBy = payload.release ? null : payload.by;
        return void this.items.push({ kind: "takeover", key: `takeover ${payload.seq}`, by: payload.by, release: payload.release });
    }
  }

  #rate(refId: string, attempt: number, helpful: boolean): void {
    this.items = this.items.map((item) => (item.key === `answer ${refId}` && item.kind === "answer" && item.attempt === attempt ? { ...item, helpful } : item));
  }

  #remind(id: string, text: string, at: string): void {
    const key = `reminder ${id}`;
    if (!this.items.some((item) => item.key === key)) this.items.push({ kind: "reminder", key, id, text, at });
  }

  #grow(payload: Payload): boolean {
    if (payload.version <= this.treeVersion) return true;
    const next = this.tree && applyDelta(this.tree, payload.delta as TreeDelta);
    if (!next) return false;
    this.tree = next;
    this.treeVersion = payload.version;
    return true;
  }

  // ------------------------------------------------------------------ messages

  /** An edited message takes the place of the former one, with all that followed. */
  #addMessage(payload: Payload): void {
    const message: ChatMessage = {
      kind: "message", key: `message ${payload.id}`, id: payload.id, content: payload.content, from: payload.from, by: payload.by,
      timestamp: payload.timestamp, state: payload.queued ? "queued" : "sent",
    };
    const place = this.items.findIndex((item) => item.key === message.key);
    if (place < 0) this.items.push(message);
    else if (this.items[place]!.kind === "message" && (this.items[place] as ChatMessage).state === "queued" && !payload.attempt) this.items[place] = message;
    else if ((payload.attempt ?? 1) > 1) this.items.splice(place, this.items.length - place, message);
  }

  // ------------------------------------------------------------------- answers

  #begin(running: { ref_id: string; attempt?: number; text?: string; thinking?: string[]; tools?: Payload[] }): void {
    const parts: AnswerPart[] = [];
    if (running.text) parts.push({ kind: "text", text: running.text });
    for (const { call_id, ...call } of running.tools ?? []) parts.push({ kind: "tool", call: { callId: call_id, tool: call.tool, title: call.title, server: call.server, args: call.args, state: "running" } });
    this.#answer(running, () => ({ parts, thinking: (running.thinking ?? []).map((step) => ({ step })) }));
  }

  /** Changes the answer that an entry is about; its first entry begins it. */
  #answer(about: Payload, change: (answer: Answer) => Partial<Answer>): void {
    const { ref_id: refId, attempt = 1 } = about;
    if (!refId) return;
    const key = `answer ${refId}`;
    let place = this.items.findIndex((item) => item.key === key);
    const known = place < 0 ? null : (this.items[place] as Answer);
    if (known && known.attempt > attempt) return;
    const fresh: Answer = { kind: "answer", key, refId, attempt, parts: [], thinking: [], reasoning: "", sources: [], state: "running" };
    const isAnew = !known || known.attempt < attempt || this.#stored.delete(key);
    if (place < 0) place = this.#placeAfter(`message ${refId}`, fresh);
    const before = isAnew ? fresh : known;
    this.items[place] = { ...before, ...change(before) };
  }

  #placeAfter(key: string, item: ChatItem): number {
    const message = this.items.findIndex((other) => other.key === key);
    const place = message < 0 ? this.items.length : message + 1;
    if (message >= 0 && (this.items[message] as ChatMessage).state === "queued") this.items[message] = { ...(this.items[message] as ChatMessage), state: "sent" };
    this.items.splice(place, 0, item);
    return place;
  }

  #append(payload: Payload): void {
    this.#answer(payload, ({ parts }) => {
      const last = parts.at(-1);
      return { parts: last?.kind === "text" ? [...parts.slice(0, -1), { kind: "text", text: last.text + payload.content }] : [...parts, { kind: "text", text: payload.content }] };
    });
  }

  #setTool(payload: Payload, change: Partial<ToolCall>): void {
    this.#answer(payload, ({ parts }) => {
      const known = parts.findIndex((part) => part.kind === "tool" && part.call.callId === payload.call_id);
      if (known < 0) return { parts: [...parts, { kind: "tool", call: { callId: payload.call_id, tool: payload.tool ?? "", state: "running", ...change } }] };
      return { parts: parts.map((part, i) => (i === known && part.kind === "tool" ? { kind: "tool", call: { ...part.call, ...change } } : part)) };
    });
  }

  #ask(payload: Payload): void {
    const { seq: _, chat_id: __, ...question } = payload;
    const elicitation = { ...question, state: "open" } as Elicitation;
    this.#answer(payload, ({ parts }) => ({ parts: [...parts.filter((part) => part.kind !== "form" || part.elicitation.id !== elicitation.id), { kind: "form", elicitation }] }));
  }

  #endQuestion(id: string, state: Elicitation["state"]): void {
    this.items = this.items.map((item) => item.kind !== "answer" || !item.parts.some((part) => part.kind === "form" && part.elicitation.id === id) ? item
      : { ...item, parts: item.parts.map((part) => (part.kind === "form" && part.elicitation.id === id ? { kind: "form", elicitation: { ...part.elicitation, state } } : part)) });
  }

  /** The text as the server has it at the end: what was streamed is that, or is replaced. */
  #end(payload: Payload, state: Answer["state"]): void {
    const { final_text: text } = payload;
    this.#answer(payload, ({ parts }) => {
      const streamed = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
      const ended = parts.map((part): AnswerPart => (part.kind === "tool" && part.call.state === "running" ? { kind: "tool", call: { ...part.call, state: "failed" } } : part));
      const whole = text === undefined || streamed === text ? ended : [...ended.filter((part) => part.kind !== "text"), ...(text ? [{ kind: "text" as const, text: text as string }] : [])];
      return { parts: whole, state, ...(payload.by && { by: payload.by }), ...(state === "failed" && { error: { code: payload.code, message: payload.message } }) };
    });
  }

  // ------------------------------------------------------------------- history

  #addRow(row: HistoryRow): void {
    const data = row.data ?? {};
    const about = { ref_id: row.ref_id, attempt: row.attempt };
    if (row.type === "user") {
      return this.#addMessage({ id: row.ref_id ?? `row-${row.id}`, content: row.content, timestamp: row.timestamp, from: data.from, by: data.by, attempt: row.attempt });
    }
    if (row.type === "thinking") this.#answer(about, ({ thinking }) => ({ thinking: [...thinking, { step: row.content }] }));
    if (row.type === "tool") this.#setTool({ ...about, call_id: data.call_id ?? `row-${row.id}`, tool: data.tool ?? row.content }, { title: data.title, server: data.server, args: data.args, state: data.ok === false ? "failed" : "done", result: data.result, text: data.text });
    if (row.type === "tool" && data.sources) this.#answer(about, ({ sources }) => ({ sources: merged(sources, data.sources) }));
    if (row.type === "component" && data.reminder) this.#remind(data.reminder, row.content, data.at ?? row.timestamp);
    if (row.type === "component" && data.id) this.#addQuestion(row, about);
    if (row.type === "ai") {
      this.#answer(about, () => ({ state: data.stopped ? "stopped" : "done", ...(data.by && { by: data.by }), ...(row.helpful !== undefined && { helpful: row.helpful }) }));
      if (row.content) this.#append({ ...about, content: row.content });
    }
    if (row.type === "error") this.#answer(about, () => ({ state: "failed", error: { code: Number(data.code ?? 0), message: row.content } }));
  }

  /** A question and how it was answered are two rows; one whose answer is in no row ended with its turn. */
  #addQuestion({ content, data = {} }: HistoryRow, about: object): void {
    if (data.action) this.#ended.set(data.id, data.action);
    else this.#ask({ ...about, mode: "form", message: content, ...data });
    this.#endQuestion(data.id, this.#ended.get(data.id) ?? "cancel");
  }
}

function merged(sources: readonly Source[], more: readonly Source[]): Source[] {
  const ids = new Set(more.map(({ doc_id }) => doc_id));
  return [...sources.filter(({ doc_id }) => !ids.has(doc_id)), ...more.map(({ doc_id, title, excerpt }) => ({ doc_id, title, excerpt }))];
}
