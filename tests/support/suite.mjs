// Runs test files with `node --test` once it has found what they need: the npm packages that they import, the programs
// that they start. Where one is missing, the first line of output names the package to install, and no test runs.
// usage: node suite.mjs FILE.test.mjs…
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ENDS = new URL("ends.mjs", import.meta.url).href;
// Programs that tests start, and the Debian packages that they are in.
const PROGRAMS = {
  bash: "bash",
  chromium: "chromium",
  id: "coreutils",
  ip: "iproute2",
  mkfifo: "coreutils",
  nginx: "nginx-light",
  openssl: "openssl",
  psql: "postgresql",
  prometheus: "prometheus",
  promtool: "prometheus",
  python3: "python3",
  readlink: "coreutils",
  "redis-server": "redis-server",
  sh: "dash",
  sleep: "coreutils",
  unshare: "util-linux",
};

// The file and those of the project that it imports, by path, with their texts.
function sourcesOf(file, found = new Map()) {
  if (found.has(file)) return found;
  const text = readFileSync(file, "utf8");
  found.set(file, text);
  for (const [, path] of text.matchAll(/^(?:import|(?:import|export)\b[^"=(]*\bfrom)\s*"(\.[^"]+)"/gm)) sourcesOf(resolve(dirname(file), path), found);
  return found;
}

function isModuleMissing(file, name) {
  if (isBuiltin(name)) return false;
  try {
    createRequire(file).resolve(name);
    return false;
  } catch (error) {
    return error.code === "MODULE_NOT_FOUND"; // another error: it is there, but has no entry for require()
  }
}

function isProgramMissing(name) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/sbin"];
  return !folders.some((folder) => existsSync(join(folder, name)));
}

const packageOf = (module) => module.split("/", module.startsWith("@") ? 2 : 1).join("/");

// What the file itself lacks, as parts of a sentence.
function* missing(file, text) {
  for (const [, module] of text.matchAll(/^import\b[^"]*"([^."][^"]*)"/gm)) {
    if (isModuleMissing(file, module)) yield `the npm package ${packageOf(module)}`;
  }
  for (const [name, debian] of Object.entries(PROGRAMS)) {
    const isStarted = text.includes(`"${name}"`) || text.includes(`"/usr/bin/${name}"`);
    if (isStarted && isProgramMissing(name)) yield `the Debian package ${debian}`;
  }
  for (const [, name] of text.matchAll(/\b(?:spawn|execFile)(?:Sync)?\("([^"]+)"/g)) {
    if (!Object.hasOwn(PROGRAMS, name)) yield `an entry for ${name} in tests/support/suite.mjs`;
  }
}

function run(files) {
  for (const file of files) {
    const needs = new Set();
    for (const [source, text] of sourcesOf(file)) for (const need of missing(source, text)) needs.add(need);
    if (needs.size === 0) continue;
    console.log(`${relative(ROOT, file)} needs ${[...needs].join(", ")}: run scripts/install-deps --for test.`);
    return 1;
  }
  return spawnSync(process.execPath, ["--import", ENDS, "--test", ...files], { stdio: "inherit" }).status ?? 1;
}

process.exitCode = run(process.argv.slice(2).map((file) => resolve(file)));
