// The official MCP suite (@modelcontextprotocol/conformance) against `parley mcp-client`: what both revisions of the
// protocol require of clients, as the suite froze it, but for OAuth (auth/*), which this client does not do. And what is
// in the suite beyond that for tools. The suite needs a newer Node than the tests: the one of npm.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PARLEY = process.env.PARLEY ?? here("../../build/asan/bin/parley");
const NODE = here(`node_modules/node-linux-${process.arch}/bin/node`);
const SUITE = here("node_modules/@modelcontextprotocol/conformance");
const MORE = ["json-schema-2020-12-preservation"]; // added after the sets were frozen
const LEAST = { "2025-11-25": 4, "2026-07-28": 7 }; // scenarios that each set has without auth/*

// The names below `client:` of a set, which is a plain list in YAML.
async function scenariosOf(version) {
  const text = await readFile(join(SUITE, `requirements/${version}.yaml`), "utf8");
  const part = /^client:\n((?:(?:[ #].*)?\n)*)/m.exec(text)[1];
  const names = [...part.matchAll(/^ +- +["']?([\w./-]+)/gm)].map((match) => match[1]);
  return names.filter((name) => !name.startsWith("auth/"));
}

function run(args) {
  return new Promise((resolve) => {
    const options = { timeout: 90000, env: { ...process.env, NODE_NO_WARNINGS: "1" } };
    execFile(NODE, [createRequire(import.meta.url).resolve(join(SUITE, "dist/index.js")), ...args], options,
      (error, stdout, stderr) => resolve({ status: error ? error.code ?? 1 : 0, output: stdout + stderr }));
  });
}

for (const version of Object.keys(LEAST)) describe(`what ${version} requires of a client`, async () => {
  let folder;
  before(async () => { folder = await mkdtemp(join(tmpdir(), "mcp-conformance-")); });
  after(() => rm(folder, { recursive: true, force: true }));
  const names = await scenariosOf(version);

  test("the set is the whole one", () => {
    assert.ok(names.length >= LEAST[version], `only ${names}`);
  });

  for (const name of [...new Set([...names, ...MORE])]) test(name, async () => {
    const { status, output } = await run(["client", "--command", `${PARLEY} mcp-client`, "--scenario", name,
      "--spec-version", version, "-o", folder]);
    assert.equal(status, 0, output);
    assert.match(output, /Passed: [1-9]\d*\/\d+, 0 failed, 0 warnings/, output);
  });
});
