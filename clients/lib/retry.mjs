// How long to wait before the same request is sent again. Shared by the commands and the hooks for React.

export const BUSY = new Set([429, 502, 503, 504, 507]); // the same request may succeed later
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;
const MAX_ASKED_PAUSE_MS = 60000;

/** How long to wait before attempt number `attempt` (from 1) if the server is busy: what it asks for, else doubling. */
export function pauseMs(attempt, askedMs, random = Math.random()) {
  const doubled = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), MAX_PAUSE_MS);
  const baseMs = askedMs > 0 ? Math.min(askedMs, MAX_ASKED_PAUSE_MS) : doubled;
  return Math.round(baseMs * (1 + random / 4)); // so that those who were refused together do not return together
}
