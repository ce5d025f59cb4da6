// An agent's view of one call. docs/clients.md shows its parts.
import { io } from "socket.io-client";

const ANSWER_MS = 10000;
const PAUSE_MS = 250;

export class CallClient {
  // onLine and onSuggestion get each event of the call once, in order, over reconnects.
  constructor(url, token, callId, { onLine, onSuggestion, onRefused, ...options }) {
    Object.assign(this, { callId, onLine, onSuggestion, onRefused, seq: 0, subscribed: false, early: [] });
    // docs: connect
    this.socket = io(url, { auth: { token }, reconnectionDelay: PAUSE_MS, reconnectionDelayMax: 3000, ...options });
    this.socket.on("connect", () => this.subscribe());
    this.socket.on("connect_error", (error) => error.data && this.onRefused(error)); // without data: nobody is there yet
    this.socket.on("transcription:update", (event) => this.take(event, this.onLine));
    this.socket.on("ai:suggestion", (event) => this.take(event, this.onSuggestion));
    // docs: end
    // docs: reconnect
    this.socket.on("disconnect", (reason) => {
      // The client comes back by itself, also to a server that restarts, unless the server ended this very connection.
      if (reason === "io server disconnect") this.onRefused(new Error(reason));
    });
    // docs: end
  }

  // docs: subscribe
  subscribe() {
    this.subscribed = false;
    const request = { call_id: this.callId };
    if (this.seq > 0) request.since_seq = this.seq; // after a reconnect: only what is missing
    this.socket.timeout(ANSWER_MS).emit("call:subscribe", request, (error, answer) => {
      if (!error) this.merge(answer);
      else if (this.socket.connected) this.subscribe();
    });
  }

  merge(answer) {
    if (!answer.ok) return this.onRefused(answer.error);
    answer.transcript.forEach(this.onLine);
    answer.suggestions.forEach(this.onSuggestion);
    this.seq = answer.seq;
    this.subscribed = true;
    for (const [event, consumer] of this.early.splice(0)) this.take(event, consumer);
  }

  // Each event of a call has a number that grows by one. What overtakes the answer to call:subscribe waits for it.
  take(event, consumer) {
    if (!this.subscribed) {
      this.early.push([event, consumer]);
    } else if (event.seq > this.seq) {
      this.seq = event.seq;
      consumer(event);
    }
  }
  // docs: end

  // docs: feedback
  feedback(docId, helpful) {
    const request = { call_id: this.callId, doc_id: docId, helpful };
    return this.socket.timeout(ANSWER_MS).emitWithAck("doc:feedback", request); // a repeat replaces the earlier answer
  }
  // docs: end
}
