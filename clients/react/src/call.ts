// One call that somebody looks at: the model of clients/lib in a store, kept in step over reconnects and gaps, with what
// its agent said of the documents.
import { LiveCall, type Change } from "../../lib/live-call.mjs";
import { BUSY, pauseMs } from "../../lib/retry.mjs";
import type { Ack, Outbox } from "./outbox.js";
import { RequestError } from "./outbox.js";
import { Store } from "./store.js";
import type { CallState, Vote } from "./types.js";

/** What a call needs of the client. */
export interface CallLink {
  readonly outbox: Outbox;
  isOnline(): boolean;
  /** Asks once; null if there was no answer. */
  ask(event: string, data: unknown): Promise<Record<string, any> | null>;
  onMissed(count: number): void;
}

export class Call {
  readonly state: Store<CallState>;
  /** How many look at it. */
  watchers = 0;
  readonly #link: CallLink;
  readonly #live: LiveCall;
  /** What the server has confirmed, by document. */
  readonly #confirmed = new Map<string, Vote>();
  #isSyncing = false;
  #attempts = 0;

  constructor(callId: string, link: CallLink) {
    this.#link = link;
    this.#live = new LiveCall(callId);
    this.state = new Store<CallState>({
      callId, isLoading: true, error: null, status: null, startedAt: null, metadata: {}, duration: null,
      lines: [], suggestion: null, agents: [], alerts: [], notes: [], help: [], wrapups: [], summary: null, votes: new Map(), seq: 0,
    });
  }

  /** Asks for everything, or for what came after the newest event. Events that come meanwhile wait in the model. */
  async sync(): Promise<void> {
    if (this.#isSyncing || !this.#link.isOnline()) return;
    this.#isSyncing = true;
    const before = this.#live.seq;
    const answer = await this.#link.ask("call:subscribe", this.#live.subscribeRequest());
    this.#isSyncing = false;
    if (!answer?.ok) return this.#syncFailed(answer?.error);
    this.#attempts = 0;
    this.state.patch({ isLoading: false, error: null });
    if (before > 0 && answer.seq > before) this.#link.onMissed(answer.seq - before);
    this.#show(this.#live.merge(answer));
    if (answer.votes) this.#takeVotes(answer.votes);
    if (answer.more) void this.sync();
  }

  apply(event: string, data: unknown): void {
    this.#show(this.#live.apply(event, data));
  }

  /** The connection is gone: events that were awaited will not come. */
  lose(): void {
    this.#isSyncing = false;
    this.#live.abandonSync();
  }

  async vote(docId: string, helpful: boolean): Promise<Ack> {
    const callId = this.#live.callId;
    const mine: Vote = { helpful, isPending: true, totals: this.#confirmed.get(docId)?.totals };
    this.#setVote(docId, mine);
    try {
      const data = { call_id: callId, doc_id: docId, helpful };
      const answer = await this.#link.outbox.request("doc:feedback", data, { isRepeatable: true, key: `feedback ${callId} ${docId}` });
      const totals = { helpful: Number(answer.helpful), unhelpful: Number(answer.unhelpful) };
      this.#confirmed.set(docId, { helpful, isPending: false, totals });
      if (this.state.get().votes.get(docId) === mine) this.#setVote(docId, this.#confirmed.get(docId));
      return answer;
    } catch (error) {
      // What was confirmed last stands again, unless a later vote is under way.
      if (this.state.get().votes.get(docId) === mine) this.#setVote(docId, this.#confirmed.get(docId));
      throw error;
    }
  }

  /** The agent's own, as the server has them; a vote that is under way stays. */
  #takeVotes(stored: ReadonlyArray<{ doc_id: string } & Vote>): void {
    this.#confirmed.clear();
    for (const { doc_id, helpful, totals } of stored) this.#confirmed.set(doc_id, { helpful, isPending: false, totals });
    const pending = [...this.state.get().votes].filter(([, vote]) => vote.isPending);
    this.state.patch({ votes: new Map([...this.#confirmed, ...pending]) });
  }

  #setVote(docId: string, vote: Vote | undefined): void {
    const votes = new Map(this.state.get().votes);
    if (vote) votes.set(docId, vote);
    else votes.delete(docId);
    this.state.patch({ votes });
  }

  #syncFailed(error?: { code: number; message: string; retry_after_ms?: number }): void {
    this.#show(this.#live.abandonSync());
    if (error && !BUSY.has(error.code)) return this.state.patch({ isLoading: false, error: new RequestError(error) });
    this.#attempts += 1;
    setTimeout(() => this.watchers > 0 && void this.sync(), pauseMs(this.#attempts, error?.retry_after_ms));
  }

  #show(changes: Change[]): void {
    const live = this.#live;
    const kinds = new Set(changes.map((change) => change.kind));
    const next: Partial<CallState> = {
      status: live.status, startedAt: live.startedAt, metadata: live.metadata, duration: live.durationAnchor,
      suggestion: live.suggestion, agents: live.agents, help: live.help, wrapups: live.wrapups, summary: live.summary, seq: live.seq,
    };
    const { lines, alerts, notes } = this.state.get();
    if (kinds.has("line") || live.lines.length !== lines.length) next.lines = [...live.lines];
    if (live.alerts.length !== alerts.length) next.alerts = [...live.alerts];
    if (live.notes.length !== notes.length) next.notes = [...live.notes];
    this.state.patch(next);
    if (kinds.has("gap") || kinds.has("restart")) void this.sync();
  }
}
