// The console's components as a registry of shadcn: /r/registry.json and an item for each, with the sources as they are.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

const UTILS = "lib/cn.ts";
const HOOKS = "parley-react"; // @parley/react as sources, so that no package of its own is needed
const HOOKS_SHARED = ["live-call.mjs", "live-call.d.mts", "retry.mjs", "retry.d.mts"]; // of clients/lib
// name: [type, files, npm packages, items it stands on]
const ITEMS = {
  utils: ["registry:lib", [UTILS], ["clsx", "tailwind-merge"], []],
  button: ["registry:ui", ["ui/button.tsx"], ["class-variance-authority", "radix-ui"], ["utils"]],
  chip: ["registry:ui", ["ui/chip.tsx"], ["class-variance-authority"], ["utils"]],
  dialog: ["registry:ui", ["ui/dialog.tsx"], ["lucide-react", "radix-ui"], ["button", "utils"]],
  field: ["registry:ui", ["ui/field.tsx"], [], ["utils"]],
  tabs: ["registry:ui", ["ui/tabs.tsx"], ["radix-ui"], ["utils"]],
  [HOOKS]: ["registry:lib", [], ["socket.io-client"], []],
  "parley-format": ["registry:lib", ["lib/format.ts"], [], [HOOKS]],
  "parley-shortcuts": ["registry:lib", ["lib/shortcuts.ts"], [], []],
  "parley-transcript": ["registry:block", ["desk/transcript.tsx"], ["lucide-react"], [HOOKS, "button", "field", "utils", "parley-format", "parley-shortcuts"]],
  "parley-votes": ["registry:block", ["desk/votes.tsx"], ["lucide-react"], [HOOKS, "utils"]],
  "parley-article": ["registry:block", ["desk/article-reader.tsx", "desk/article-view.tsx", "desk/article-text.tsx", "lib/article.ts", "lib/copy.ts", "lib/storage.ts", "lib/stored.ts"], ["lucide-react"], [HOOKS, "button", "field", "utils", "parley-votes"]],
  "parley-suggestions": ["registry:block", ["desk/suggestions.tsx", "lib/suggestion.ts"], ["lucide-react"], [HOOKS, "button", "field", "utils", "parley-shortcuts", "parley-article", "parley-votes"]],
};

/** Where a file of the console goes in an application. */
function targetOf(path) {
  if (path === UTILS) return "lib/utils.ts";
  const [folder] = path.split("/");
  if (folder === "ui") return `components/${path}`;
  return folder === "lib" ? `lib/parley/${basename(path)}` : `components/parley/${basename(path)}`;
}

/** "../lib/cn.js" in ui/button.tsx → "@/lib/utils", as shadcn's tool expects it. */
function withTargets(source, path) {
  return source.replaceAll('from "@parley/react"', `from "@/lib/${HOOKS}"`).replace(/from "(\.[^"]+)\.js"/g, (_, wanted) => {
    const found = new URL(wanted, `file:///${path}`).pathname.slice(1);
    const file = Object.values(ITEMS).flatMap(([, files]) => files).find((each) => each.replace(/\.tsx?$/, "") === found);
    if (!file) throw new Error(`${path} imports ${found}, which no item of the registry has`);
    return `from "@/${targetOf(file).replace(/\.tsx?$/, "")}"`;
  });
}

/** The hooks: a folder that stands alone. */
async function hooks(clients) {
  const sources = (await readdir(join(clients, "react/src"))).sort().map((name) => join("react/src", name));
  const files = [...sources, ...HOOKS_SHARED.map((name) => join("lib", name))];
  return Promise.all(files.map(async (path) => ({
    path: `lib/${HOOKS}/${basename(path)}`, type: "registry:lib", target: `lib/${HOOKS}/${basename(path)}`,
    content: (await readFile(join(clients, path), "utf8")).replaceAll('"../../lib/', '"./').replaceAll('"../react/src/', '"./').replace(/from "(\.\/[\w-]+)\.js"/g, 'from "$1"'),
  })));
}

/** The tokens of styles.css: light and dark. */
async function tokens(console) {
  const css = await readFile(join(console, "styles.css"), "utf8");
  const block = (start) => Object.fromEntries([...css.slice(css.indexOf(start)).split("}")[0].matchAll(/--([\w-]+): ([^;]+);/g)].map(([, name, value]) => [name, value]));
  const light = block(":root {");
  return { theme: Object.fromEntries(Object.keys(light).filter((name) => name !== "shadow").map((name) => [`color-${name}`, `var(--${name})`])), light, dark: block(':root[data-theme="dark"]') };
}

export async function writeRegistry(clients, out) {
  const console = join(clients, "console/src");
  await mkdir(out, { recursive: true });
  const cssVars = await tokens(console);
  const index = [];
  for (const [name, [type, files, dependencies, needs]] of Object.entries(ITEMS)) {
    const item = { name, type, dependencies, registryDependencies: needs.map((each) => `@parley/${each}`), ...(name === "utils" && { cssVars }) };
    const sources = name === HOOKS ? await hooks(clients) : await Promise.all(files.map(async (path) => ({
      path: targetOf(path), type: type === "registry:block" ? "registry:component" : type, target: targetOf(path),
      content: withTargets(await readFile(join(console, path), "utf8"), path),
    })));
    await writeFile(join(out, `${name}.json`), `${JSON.stringify({ $schema: "https://ui.shadcn.com/schema/registry-item.json", ...item, files: sources }, null, 2)}\n`);
    index.push({ ...item, cssVars: undefined, files: sources.map(({ content: _, ...file }) => file) });
  }
  await writeFile(join(out, "registry.json"), `${JSON.stringify({ $schema: "https://ui.shadcn.com/schema/registry.json", name: "parley", homepage: "/", items: index }, null, 2)}\n`);
}
