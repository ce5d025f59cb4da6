// What time it is at the server. Tokens end and calls begin by its clock; a browser's own may be hours wrong.
import { Store } from "./store.js";

/** Less cannot be told from the time that the answer took. */
const LEAST_MS = 2000;

export class ServerClock {
  /** How far the server's clock is ahead of the browser's; 0 until the server has said. */
  readonly aheadMs = new Store(0);

  isKnown = false;

  readonly now = (): number => Date.now() + this.aheadMs.get();

  /** The time in an answer of the server to what was asked at `askedMs`. */
  learn(time: unknown, askedMs: number): void {
    const serverMs = typeof time === "string" ? Date.parse(time) : NaN;
    if (Number.isNaN(serverMs)) return;
    this.isKnown = true;
    const aheadMs = serverMs - (askedMs + Date.now()) / 2;
    this.aheadMs.set(Math.abs(aheadMs) < LEAST_MS ? 0 : aheadMs);
  }
}
