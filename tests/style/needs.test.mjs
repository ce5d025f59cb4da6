// A test that lacks a package names it in its first line of output.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

// The status and the first line of what suite.mjs says of a test file with that text.
function suite(t, text, environment = {}) {
  const folder = mkdtempSync(join(tmpdir(), "parley-needs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "lib.mjs"), text);
  writeFileSync(join(folder, "some.test.mjs"), `import { test } from "node:test";\nimport "./lib.mjs";\ntest("runs", () => {});\n`);
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment };
  const { status, stdout } = spawnSync(process.execPath, [file("../support/suite.mjs"), join(folder, "some.test.mjs")], { env, encoding: "utf8" });
  return [status, stdout.split("\n", 1)[0].replace(/^\S+some/, "some")];
}

test("a suite whose packages are all there runs", (t) => {
  assert.equal(suite(t, `import "node:fs";\n`)[0], 0);
});

test("an npm package that a suite's helper imports", (t) => {
  const said = "some.test.mjs needs the npm package @parley/nothing: run scripts/install-deps --for test.";
  assert.deepEqual(suite(t, `import {\n  a,\n} from "@parley/nothing/deep";\n`), [1, said]);
});

test("a program that a suite's helper starts, and that nothing knows the package of", (t) => {
  const said = "some.test.mjs needs an entry for no-such-program in tests/support/suite.mjs: run scripts/install-deps --for test.";
  assert.deepEqual(suite(t, `export const run = () => spawn("no-such-program", []);\n`), [1, said]);
});

test("what python-socketio imports only when it connects", () => {
  const none = ["-S", "-E", file("../clients/test_python.py")]; // without the packages of Debian
  const { status, stdout } = spawnSync("/usr/bin/python3", none, { encoding: "utf8" });
  assert.equal(status, 1);
  assert.equal(stdout, "test_python.py needs the Debian packages python3-socketio, python3-requests, python3-websocket, python3-aiohttp: " +
    "run scripts/install-deps --for test.\n");
});
