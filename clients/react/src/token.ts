// What a token says of itself. Nothing is verified here: the server does that.
import type { Claims } from "./types.js";

/** The claims of a JWT; empty if it is not one. */
export function claimsOf(token: string | null): Claims {
  const part = token?.split(".")[1];
  if (!part) return {};
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? claims : {};
  } catch {
    return {};
  }
}

const MARGIN_MS = 60_000;

/** How long from now until it should be renewed: a minute before its end, or a third of what is left if that is less. */
export function renewInMs(token: string, nowMs: number): number | null {
  const { exp } = claimsOf(token);
  if (typeof exp !== "number") return null;
  const leftMs = exp * 1000 - nowMs;
  return Math.max(0, leftMs - Math.min(MARGIN_MS, leftMs / 3));
}
