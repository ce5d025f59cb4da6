// A list of calls, the latest first. The server tells of new and changed ones once it was asked for a list. A list of all has
// every call that is live, however old: the newest page alone would miss a long one.
import { Store } from "./store.js";
import type { CallAlert } from "./events.js";
import type { CallEntry, CallListState, CallStatusName } from "./types.js";
import { RequestError } from "./outbox.js";

const PAGE = 50;
const LIVE_PAGE = 200;
const LIVE: readonly CallStatusName[] = ["ringing", "active", "on_hold"];
const ALERTS = 3; // as many as the server lists

/** Asks once; null if there was no answer. */
type Ask = (event: string, data: unknown) => Promise<Record<string, any> | null>;

export class CallList {
  readonly state = new Store<CallListState>({ calls: [], isLoading: true, hasMore: false, error: null });
  watchers = 0;
  readonly #status: CallStatusName | undefined;
  readonly #ask: Ask;
  #next: string | undefined;
  /** Calls that changed while the list was fetched: what is known of them is newer. */
  #changed: Set<string> | null = null;

  constructor(status: CallStatusName | undefined, ask: Ask) {
    this.#status = status;
    this.#ask = ask;
  }

  /** The newest and the live ones anew; what was loaded of older ones stays. */
  async refresh(): Promise<void> {
    const answer = await this.#page();
    if (!answer) return;
    const { calls } = this.state.get();
    const oldest = answer.calls.at(-1)?.started_at ?? "";
    const older = answer.next ? calls.filter((call) => call.started_at < oldest) : [];
    if (older.length === 0) this.#next = answer.next;
    if (this.#status || !answer.next) return this.#show([...answer.calls, ...older]);
    const changed = (this.#changed = new Set());
    this.#show([...answer.calls, ...older], true);
    const live = await this.#live();
    this.#changed = null;
    if (!live) return this.state.patch({ isLoading: false });
    const known = this.state.get().calls;
    const isCurrent = (call: CallEntry) => changed.has(call.call_id) || call.started_at >= oldest || call.status === "ended";
    this.#show([...known.filter(isCurrent), ...live]);
  }

  async loadMore(): Promise<void> {
    if (!this.#next || this.state.get().isLoading) return;
    this.state.patch({ isLoading: true });
    const answer = await this.#page(this.#next);
    if (!answer) return;
    this.#next = answer.next;
    this.#show([...this.state.get().calls, ...answer.calls]);
  }

  /** All that are live; null if they could not be asked for. */
  async #live(): Promise<CallEntry[] | null> {
    const live: CallEntry[] = [];
    for (const status of LIVE) {
      for (let before: string | undefined, isFirst = true; isFirst || before; isFirst = false) {
        const answer = await this.#ask("call:list", { limit: LIVE_PAGE, status, ...(before && { before }) });
        if (!answer?.ok) return null;
        live.push(...(answer.calls as CallEntry[]));
        before = answer.next as string | undefined;
      }
    }
    return live;
  }

  /** call:status, of any call. */
  apply(data: Partial<CallEntry> & { call_id: string }): void {
    const { calls } = this.state.get();
    const known = calls.find((call) => call.call_id === data.call_id);
    this.#changed?.add(data.call_id);
    if (known && (data.seq ?? 0) < (known.seq ?? 0)) return;
    if (!known && !data.started_at) return;
    const entry = { ...known, ...data } as CallEntry;
    this.#show(known ? calls.map((call) => (call === known ? entry : call)) : [entry, ...calls]);
  }

  /** call:help, of any call. */
  applyHelp(callId: string, help: CallEntry["help"]): void {
    const { calls } = this.state.get();
    if (calls.some((call) => call.call_id === callId)) this.#show(calls.map((call) => (call.call_id === callId ? { ...call, help } : call)));
  }

  /** call:alert, of any call. */
  applyAlert(alert: CallAlert): void {
    const { calls } = this.state.get();
    const isNew = ({ call_id: id, alerts = [] }: CallEntry) => id === alert.call_id && !alerts.some(({ seq }) => seq === alert.seq);
    if (calls.some(isNew)) this.#show(calls.map((call) => (isNew(call) ? { ...call, alerts: [...(call.alerts ?? []), alert].slice(-ALERTS) } : call)));
  }

  async #page(before?: string): Promise<{ calls: CallEntry[]; next?: string } | null> {
    const answer = await this.#ask("call:list", { limit: PAGE, ...(this.#status && { status: this.#status }), ...(before && { before }) });
    if (answer?.ok) return answer as unknown as { calls: CallEntry[]; next?: string };
    this.state.patch({ isLoading: false, error: answer ? new RequestError(answer.error) : null });
    return null;
  }

  #show(calls: CallEntry[], isLoading = false): void {
    const seen = new Map<string, CallEntry>();
    for (const call of calls) if (!seen.has(call.call_id)) seen.set(call.call_id, call);
    const shown = [...seen.values()].filter((call) => !this.#status || call.status === this.#status);
    shown.sort((a, b) => b.started_at.localeCompare(a.started_at));
    this.state.set({ calls: shown, isLoading, hasMore: Boolean(this.#next), error: null });
  }
}
