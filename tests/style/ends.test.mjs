// A test file that leaves something open ends all the same, with what its tests said, and so do the programs it started.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.mjs";

// Runs a test file of that text as ctest does: { status, output, folder }.
function suite(t, text) {
  const folder = mkdtempSync(join(tmpdir(), "parley-ends-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "some.test.mjs"), `import { after, test } from "node:test";\n${text}`);
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, PARLEY_LEFT_OPEN_MS: "100", FOLDER: folder };
  const command = [fileURLToPath(new URL("../support/suite.mjs", import.meta.url)), join(folder, "some.test.mjs")];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, command, { env, encoding: "utf8", timeout: 300000 });
  return { status: status ?? signal, output: stdout + stderr, folder };
}

// A zombie has ended.
const runs = (pid) => existsSync(`/proc/${pid}`) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

test("a failed test leaves a listener and a program with a child of its own", async (t) => {
  const { status, output, folder } = suite(t, `
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
test("fails", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const child = spawn("sh", ["-c", 'sleep 3600 & echo $$ $! >"$FOLDER/pids"; echo; wait'], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  assert.equal(1, 2, "the fault");
});
test("passes", () => {});
after(() => new Promise((resolve) => setTimeout(resolve, 500)).then(() => console.log("closed what the file opened")));
`);
  assert.equal(status, 1, output);
  for (const said of [/not ok .* fails/, /the fault/, /\bok .* passes/, /closed what the file opened/, /left open: .*TCPServerWrap/]) assert.match(output, said);
  const pids = readFileSync(join(folder, "pids"), "utf8").trim().split(" ");
  assert.equal(pids.length, 2);
  for (const pid of pids) await until(() => !runs(pid), `the end of ${pid}`);
});

test("tests that pass, and something left open: not green", (t) => {
  const { status, output } = suite(t, `
import { createServer } from "node:net";
test("passes", () => new Promise((resolve) => createServer().listen(0, "127.0.0.1", resolve)));
`);
  assert.equal(status, 1, output);
  assert.match(output, /left open/);
});

test("tests that come after the file has waited for something are run", (t) => {
  const { status, output } = suite(t, `
test("first", () => {});
await new Promise((resolve) => setTimeout(resolve, 50));
test("second", () => new Promise((resolve) => setTimeout(resolve, 500)));
`);
  assert.equal(status, 0, output);
  assert.match(output, /\bok .* second/);
});
