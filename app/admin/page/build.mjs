// Copies the official front end of the Admin UI, unchanged, and the icons that it loads, to dist/, whence the build
// takes them; and makes parley.html of its page: with the icons from here instead of from two other servers,
// and with preset.js before its scripts.
// usage: (cd app/admin/page && npm ci && node build.mjs)
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here("dist");
const official = here("node_modules/@socket.io/admin-ui");
const icons = here("node_modules/@mdi/font");

await rm(out, { recursive: true, force: true });
const copy = async (from, to) => {
  await mkdir(dirname(join(out, to)), { recursive: true });
  await cp(from, join(out, to));
};

const page = join(official, "ui/dist");
for (const entry of await readdir(page, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath ?? entry.path, entry.name);
  if (entry.isFile() && !path.endsWith(".map")) await copy(path, relative(page, path));
}
await copy(join(official, "LICENSE"), "LICENSE");
await copy(join(icons, "css/materialdesignicons.min.css"), "icons/css/materialdesignicons.min.css");
await copy(join(icons, "fonts/materialdesignicons-webfont.woff2"), "icons/fonts/materialdesignicons-webfont.woff2");

const replace = (text, from, to) => {
  if (!text.includes(from)) throw new Error(`the official page has no ${from}`);
  return text.replace(from, to);
};
let html = await readFile(join(page, "index.html"), "utf8");
html = replace(html, '<link rel="stylesheet" href="https://fonts.googleapis.com/css?family=Roboto:100,300,400,500,700,900">', "");
html = replace(html, "https://cdn.jsdelivr.net/npm/@mdi/font@latest/css/materialdesignicons.min.css", "icons/css/materialdesignicons.min.css");
html = replace(html, '<script src="js/', '<script src="preset.js"></script><script src="js/');
await writeFile(join(out, "parley.html"), html);
