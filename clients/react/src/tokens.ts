// The token: fetched, kept, and renewed before it ends, for every connection of a client.
import type { ServerClock } from "./clock.js";
import { Store } from "./store.js";
import { claimsOf, renewInMs } from "./token.js";
import type { Claims } from "./types.js";

/** The token, or what fetches one: at first, and instead of an old one that ends or was refused. null: not signed in. */
export type TokenSource = string | ((old: string | null) => Promise<string | null>);

const MAX_TIMER_MS = 2 ** 31 - 1; // a longer one fires at once

export class Tokens {
  readonly claims = new Store<Claims>({});
  /** Brings a newer token to the server. */
  onRenewed: (token: string) => Promise<void> = async () => {};
  readonly #source: TokenSource;
  readonly #clock: ServerClock;
  #current: string | null = null;
  #fetching: Promise<string | null> | null = null;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(source: TokenSource, clock: ServerClock) {
    this.#source = source;
    this.#clock = clock;
    clock.aheadMs.subscribe(() => this.#plan());
  }

  get current(): string | null {
    return this.#current;
  }

  async get(): Promise<string | null> {
    return this.#current ?? this.fetch(null);
  }

  /** Another one than `old`; null if there is none. Who asks meanwhile gets the same. */
  fetch(old: string | null): Promise<string | null> {
    if (this.#current !== old && this.#current) return Promise.resolve(this.#current);
    this.#fetching ??= this.#ask(old).finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  take(token: string): void {
    this.#current = token;
    this.claims.set(claimsOf(token));
    this.#plan();
  }

  stop(): void {
    clearTimeout(this.#renewal);
  }

  #plan(): void {
    clearTimeout(this.#renewal);
    const token = this.#current;
    const waitMs = token && renewInMs(token, this.#clock.now());
    if (typeof waitMs !== "number" || typeof this.#source !== "function") return;
    // By a clock that is not the server's it may seem over when it is not.
    if (waitMs === 0 && !this.#clock.isKnown) return;
    this.#renewal = setTimeout(() => void this.#renew(token!), Math.min(waitMs, MAX_TIMER_MS));
  }

  async #ask(old: string | null): Promise<string | null> {
    const fresh = typeof this.#source === "string" ? this.#source : await this.#source(old).catch(() => null);
    if (!fresh || fresh === old) return null;
    this.take(fresh);
    return fresh;
  }

  /** Before the token ends. Without another one the connection ends with it, and the server's reason is shown then. */
  async #renew(old: string): Promise<void> {
    const fresh = typeof this.#source === "function" ? await this.#source(old).catch(() => null) : null;
    if (!fresh || fresh === old || old !== this.#current) return;
    this.take(fresh);
    await this.onRenewed(fresh).catch(() => {});
  }
}
