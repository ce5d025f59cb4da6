// Loaded into each test file before it (suite.mjs): a file whose tests are over and that still has something open, as a
// test leaves it that fails between opening and closing, ends by itself. Without this it would hang until ctest ends it,
// and what the tests said would be lost. It is not `--test-force-exit`: that one ends a file with tests still to come
// after an `await` of its own, and leaves the servers running.
import { AsyncResource } from "node:async_hooks";
import { readFileSync, readdirSync } from "node:fs";
import { after, beforeEach } from "node:test";

const LEFT_OPEN_MS = Number(process.env.PARLEY_LEFT_OPEN_MS ?? 60000); // what is closing may take as long on a busy machine

function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) \S /s, "").split(" ")[0]);
  } catch {
    return 0; // gone meanwhile
  }
}

// The processes that this one has started, and those that they have.
function descendants() {
  const parents = new Map(readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((name) => [Number(name), parentOf(name)]));
  const found = new Set([process.pid]);
  for (let before = 0; before !== found.size;) {
    before = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  found.delete(process.pid);
  return [...found];
}

function end() {
  const started = descendants();
  console.error(`${process.argv[1]}: the tests are over, and this was left open: ${process.getActiveResourcesInfo().join(", ")}`);
  for (const pid of started) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  process.exit(1);
}

function watch() {
  let timer;
  let isHookSet = false;
  const outside = new AsyncResource("tests of the file"); // where after() is meant for the file and not for a test
  beforeEach(() => {
    clearTimeout(timer); // there is more after an `await` of the file
    if (isHookSet) return;
    isHookSet = true;
    // Only now, so that it comes after the hooks of the file, which close things.
    outside.runInAsyncScope(after, null, () => { timer = setTimeout(end, LEFT_OPEN_MS).unref(); });
  });
}

if (process.argv[1]?.endsWith(".test.mjs")) watch(); // and not in a program that the tests start
