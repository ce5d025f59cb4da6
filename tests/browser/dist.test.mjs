// What the server embeds is what the sources give: clients/dist is built anew and compared (docs/decisions/0014).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./command.mjs";

const clients = join(root, "clients");

async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1));
  return names.sort();
}

function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: clients, encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

test("clients/dist is built from what stands beside it; otherwise: (cd clients && npm run build)", async () => {
  const fresh = await mkdtemp(join(tmpdir(), "parley-dist-"));
  try {
    run("build.mjs", fresh);
    assert.deepEqual(await filesOf(join(clients, "dist")), await filesOf(fresh));
    for (const name of await filesOf(fresh)) {
      const [kept, made] = await Promise.all([readFile(join(clients, "dist", name)), readFile(join(fresh, name))]);
      assert.ok(kept.equals(made), `${name} differs from what is built`);
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
});

for (const part of ["react", "console"]) {
  test(`the types of clients/${part} fit`, () => run("node_modules/typescript/bin/tsc", "-p", part));
}
