import assert from "node:assert/strict";
import test from "node:test";
import { sleep } from "./connection.mjs";
import { pauseMs } from "./retry.mjs";

test("pauses double up to a limit, and are what the server asks for if it does", () => {
  assert.deepEqual([1, 2, 3, 10].map((attempt) => pauseMs(attempt, undefined, 0)), [200, 400, 800, 5000]);
  assert.equal(pauseMs(1, 1234, 0), 1234);
  assert.equal(pauseMs(9, 50, 0), 50);
  assert.equal(pauseMs(1, 1e12, 0), 60000);
  assert.equal(pauseMs(1, 1000, 1), 1250);
});

test("a sleep of months does not end at once; an aborted signal ends it", async () => {
  const abort = new AbortController();
  let over = false;
  const sleeping = sleep(2 ** 40, abort.signal).then(() => (over = true));
  await sleep(20);
  assert.equal(over, false);
  abort.abort();
  await sleeping;
});
