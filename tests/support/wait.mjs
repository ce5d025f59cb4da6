// Waiting in tests: always for something, never for a time that should do. PATIENCE_MS only ends what hangs; a machine
// that is busy with other things makes a test slow, not red.
import assert from "node:assert/strict";

export const PATIENCE_MS = 300000;
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Rejects instead of hanging: every wait of a test has a limit and a name.
export function within(what, promise, ms = PATIENCE_MS) {
  let timer;
  const limit = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: nothing in ${ms} ms`)), ms); });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// For a time that has to be over for one thing and not yet for another: runs attempt(ms) with longer ones until it does not throw.
export async function withTimeEnough(times, attempt) {
  for (const [i, ms] of times.entries()) {
    try {
      return await attempt(ms);
    } catch (error) {
      if (i === times.length - 1) throw error;
    }
  }
}

// Asks until the condition holds, and returns what it returned. `what` may be a function: it is called if it never did.
export async function until(condition, what, ms = PATIENCE_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const held = await condition();
    if (held) return held;
    assert.ok(Date.now() < deadline, `not in ${ms} ms: ${typeof what === "function" ? what() : what}`);
    await sleep(5);
  }
}
