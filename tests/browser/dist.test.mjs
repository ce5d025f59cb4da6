// What the server embeds is what the sources give: clients/dist is built anew and compared (docs/decisions/0014).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
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

test("an application that has all items of the registry, laid out as shadcn's tool does it, compiles", async () => {
  const [app, registry] = [await mkdtemp(join(tmpdir(), "parley-app-")), join(clients, "dist/console/r")];
  try {
    for (const name of (await readdir(registry)).filter((each) => each !== "registry.json")) {
      for (const { target, content } of JSON.parse(await readFile(join(registry, name), "utf8")).files) {
        const file = join(app, "src", target);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, content);
      }
    }
    await symlink(join(clients, "node_modules"), join(app, "node_modules"));
    const options = { target: "es2022", module: "esnext", moduleResolution: "bundler", jsx: "react-jsx", strict: true, noEmit: true, skipLibCheck: true, paths: { "@/*": ["./src/*"] } };
    await writeFile(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["src"] }));
    run("node_modules/typescript/bin/tsc", "-p", app);
  } finally {
    await rm(app, { recursive: true, force: true });
  }
});

for (const part of ["react", "console"]) {
  test(`the types of clients/${part} fit`, () => run("node_modules/typescript/bin/tsc", "-p", part));
}
