// The calls that an agent follows, kept in step over reconnects, gaps and restarts of the server. What the server refuses
// ends the following of that call, with its reason, and of no other.
import { Interrupted } from "../lib/connection.mjs";
import { LiveCall } from "../lib/live-call.mjs";

export class Follower {
  /**
   * @param {import("../lib/connection.mjs").Connection} connection
   * @param {{show: Function, note: Function}} view
   * @param {AbortSignal} [signal]
   */
  constructor(connection, view, signal) {
    Object.assign(this, { connection, view, signal });
    this.calls = new Map(); // by id: {call, done: resolves when it has ended or failed, finish, error}
    connection.socket.onAny((event, data) => {
      const entry = this.calls.get(data?.call_id);
      if (entry) this.#show(entry, entry.call.apply(event, data));
      else if (event === "error") view.note(`the server: ${data?.message ?? data}`);
    });
    // From here on the question waits for the connection, and fails if there will be none.
    connection.socket.on("disconnect", () => {
      for (const entry of this.calls.values()) this.#sync(entry);
    });
  }

  /** Resolves when the call has ended; rejects if the server refuses it or there is no way to the server. */
  async follow(callId) {
    const entry = { call: new LiveCall(callId), error: null, syncs: 0 };
    const done = new Promise((resolve) => {
      entry.finish = resolve;
    });
    this.signal?.addEventListener("abort", entry.finish, { once: true });
    this.calls.set(callId, entry);
    this.#sync(entry);
    await done;
    this.signal?.removeEventListener("abort", entry.finish);
    if (entry.error) throw entry.error;
  }

  /** Stops following, without a word to the server if it is not there. */
  leave(callId) {
    this.calls.delete(callId);
    this.connection.socket.volatile.emit("call:unsubscribe", { call_id: callId });
  }

  /** The newest suggestion of a followed call: {callId, documents}, or null. */
  get suggestion() {
    const { call } = [...this.calls.values()].reverse().find((entry) => entry.call.suggestion) ?? {};
    return call ? { callId: call.callId, documents: call.suggestion.documents ?? [] } : null;
  }

  /** One question at a time; what asks for another meanwhile gets it afterwards. */
  async #sync(entry) {
    entry.syncs += 1;
    if (entry.syncs > 1) return;
    const { call } = entry;
    const since = call.seq;
    try {
      const answer = await this.connection.request("call:subscribe", call.subscribeRequest(), {
        signal: this.signal, onBusy: (error, waitMs) => this.view.note(`the server is busy (${error.message}), trying again in ${waitMs} ms`),
      });
      if (since > 0 && answer.seq > since) this.view.note(`${call.callId}: catching up, events ${since + 1} to ${answer.seq}`);
      const again = entry.syncs > 1;
      entry.syncs = 0;
      this.#show(entry, call.merge(answer));
      if (again) this.#sync(entry);
    } catch (error) {
      this.calls.delete(call.callId);
      if (!(error instanceof Interrupted)) entry.error = error;
      entry.finish();
    }
  }

  #show(entry, changes) {
    const { call } = entry;
    for (const change of changes) {
      if (change.kind === "gap") this.view.note(`${call.callId}: events ${change.from + 1} to ${change.to - 1} are missing, asking for them`);
      else if (change.kind === "restart") this.view.note(`${call.callId}: the server has lost what came before; from the beginning`);
      else this.view.show(call, change);
      if (change.kind === "gap" || change.kind === "restart") return this.#sync(entry);
    }
    if (call.status === "ended") entry.finish();
  }
}
