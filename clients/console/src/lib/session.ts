// Who is signed in: a token that was given or that the login returned, kept for this tab, or a visitor of a demo.
import { ParleyClient, claimsOf } from "@parley/react";
import { forget, forgetAll, keep, recall } from "./storage.js";

const KEY = "parley-token";
const DEMO_ROLE_KEY = "parley-demo-role";
/** A demo's visitor stays who it is over a reload: chats belong to the user. */
const DEMO_TOKEN_KEY = "parley-demo-token";

export interface ServerIndex {
  version: string;
  /** The server's clock. */
  time?: string;
  events: string[];
  paths?: string[];
}

/** Null if it cannot be reached. */
async function readIndex(): Promise<ServerIndex | null> {
  const response = await fetch("/", { headers: { Accept: "application/json" } }).catch(() => null);
  return response?.ok ? ((await response.json().catch(() => null)) as ServerIndex | null) : null;
}

export const storedToken = (): string | null => recall(KEY);

/** Has the assistant, and no calls. */
const isUser = (token: string | null): boolean => token !== null && claimsOf(token).role === "user";

/** A server started for a demo gives everybody a token; any other asks. */
async function demoToken(role: string | null): Promise<string | null> {
  const response = await fetch(`/demo/token${role ? `?role=${role}` : ""}`).catch(() => null);
  if (!response?.ok) return null;
  const answer = (await response.json().catch(() => null)) as { token?: string } | null;
  if (answer?.token) keep(DEMO_TOKEN_KEY, answer.token);
  return answer?.token ?? null;
}

/** A newer token for one that is about to end; null where the server has no such user. */
async function refreshed(token: string): Promise<string | null> {
  const response = await fetch("/api/v1/token/refresh", { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  if (!response?.ok) return null;
  return ((await response.json().catch(() => null)) as { access_token?: string } | null)?.access_token ?? null;
}

/** Rejects with the reason in words. */
export async function login(username: string, password: string): Promise<string> {
  const response = await fetch("/api/v1/login", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ username, password }),
  }).catch(() => null);
  if (!response) throw new Error("The server cannot be reached.");
  const answer = (await response.json().catch(() => null)) as { access_token?: string; error?: { message?: string } } | null;
  if (response.ok && answer?.access_token) return answer.access_token;
  if (response.status === 401) throw new Error("The name or the password is wrong.");
  if (response.status === 429) throw new Error("Too many attempts. Try again in a moment.");
  throw new Error(answer?.error?.message ?? "The server could not sign you in.");
}

export type Asking = { why: "first" | "again"; problem?: string };

/** The session's only client. `onAsk` shows the form that calls give() with a token. */
export class Session {
  readonly client: ParleyClient;
  readonly #onAsk: (asking: Asking | null) => void;
  /** Whoever opens the page is let in, as an agent or a supervisor. */
  isDemo = false;
  /** What the server says of itself, its time included, by which a token ends. */
  readonly index: Promise<ServerIndex | null>;
  #answer: ((token: string | null) => void) | null = null;
  #pending: Promise<string | null> | null = null;

  constructor(onAsk: (asking: Asking | null) => void) {
    this.#onAsk = onAsk;
    this.client = new ParleyClient({ token: (old) => this.#token(old), hasCalls: !isUser(storedToken()) });
    const askedMs = Date.now();
    this.index = readIndex().then((index) => (this.client.clock.learn(index?.time, askedMs), index));
  }

  give(token: string): void {
    const old = storedToken();
    const isOther = isUser(token) !== isUser(old);
    if (old && claimsOf(old).sub !== claimsOf(token).sub) forgetAll();
    keep(KEY, token);
    // Which connections there are hangs on it.
    if (isOther) return window.location.reload();
    this.#answer?.(token);
    this.#onAsk(null);
  }

  /** In a demo: the other side of the desk. */
  changeRole(role: "agent" | "supervisor"): void {
    keep(DEMO_ROLE_KEY, role);
    forget(DEMO_TOKEN_KEY);
    window.location.hash = role === "supervisor" ? "#/supervisor" : "";
    window.location.reload();
  }

  /** Leaves nothing to whoever signs in next: drafts of notes, ticked steps. */
  signOut(): void {
    forgetAll();
    window.location.hash = "";
    window.location.reload();
  }

  #isOver(token: string): boolean {
    const { exp } = claimsOf(token);
    return exp !== undefined && exp * 1000 <= this.client.clock.now();
  }

  async #token(old: string | null): Promise<string | null> {
    await this.index;
    const stored = storedToken();
    if (stored && stored !== old && !this.#isOver(stored)) return stored;
    const visitor = stored ? null : recall(DEMO_TOKEN_KEY);
    const demo = visitor && visitor !== old && !this.#isOver(visitor) ? visitor : stored ? null : await demoToken(recall(DEMO_ROLE_KEY));
    if (demo) {
      this.isDemo = true;
      return demo;
    }
    const newer = old && !this.#isOver(old) ? await refreshed(old) : null;
    if (newer) {
      keep(KEY, newer);
      return newer;
    }
    this.#pending ??= this.#ask(old);
    return this.#pending;
  }

  #ask(old: string | null): Promise<string | null> {
    const { reason, socketId } = this.client.connection.get();
    this.#onAsk({ why: old && socketId ? "again" : "first", problem: reason ?? undefined });
    return new Promise((resolve) => {
      this.#answer = (token) => {
        this.#pending = null;
        this.#answer = null;
        resolve(token);
      };
    });
  }
}
