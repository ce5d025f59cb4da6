// The Socket.IO connection of the page: opens it, says in words how it is, asks questions of the server.
import { $ } from "./dom.mjs";

const ACK_TIMEOUT_MS = 8000;
const COME_BACK_MS = 1500;

export class Link {
  /**
   * @param {string} token
   * @param {{onConnect: () => void, onRefused: (message: string) => void}} handlers
   */
  constructor(token, { onConnect, onRefused }) {
    this.reconnects = 0;
    this.gaps = 0;
    this.opened = false;
    this.socket = window.io({ auth: { token }, reconnectionDelay: 500, reconnectionDelayMax: 5000 });
    this.socket.on("connect", () => {
      if (this.opened) this.reconnects += 1;
      this.opened = true;
      this.#watchTransport();
      onConnect();
    });
    this.socket.on("disconnect", (reason) => {
      this.#say("lost", "Reconnecting");
      // The server's own goodbye (it restarts) is the one case the client does not come back from by itself.
      if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), COME_BACK_MS);
    });
    this.socket.on("connect_error", (error) => {
      if (this.socket.active) return this.#say("lost", this.opened ? "Reconnecting" : "Waiting for the server");
      this.#say("refused", "Not let in");
      onRefused(error.message);
    });
  }

  /** Sends an event; resolves with the acknowledgement, rejects with the server's reason. */
  async ask(event, data) {
    const askedMs = performance.now();
    const answer = await this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, data);
    $("fact-rtt").textContent = `${(performance.now() - askedMs).toFixed(1)} ms`;
    if (!answer?.ok) throw new Error(answer?.error?.message ?? "the server said no");
    return answer;
  }

  countGap(missed) {
    this.gaps += missed;
    this.#facts();
  }

  showSeq(seq) {
    $("fact-seq").textContent = seq ? `#${seq}` : "–";
  }

  #watchTransport() {
    const { engine } = this.socket.io;
    const show = () => {
      const { name } = engine.transport;
      this.#say(name === "websocket" ? "live" : "polling", `Live · ${name}`);
      $("fact-transport").textContent = name;
    };
    show();
    engine.on("upgrade", show);
    this.#facts();
  }

  #facts() {
    $("fact-socket").textContent = this.socket.id ?? "–";
    $("fact-gaps").textContent = String(this.gaps);
    $("fact-reconnects").textContent = String(this.reconnects);
  }

  #say(state, text) {
    $("connection").dataset.state = state;
    $("connection-text").textContent = text;
  }
}
