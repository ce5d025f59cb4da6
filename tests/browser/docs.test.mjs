// The documentation as a site: it builds without a warning, its links lead somewhere, it loads nothing from elsewhere, and
// can be searched and read in a browser of any width.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, relative } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser } from "./chromium.mjs";
import { root } from "./command.mjs";

const site = join(root, "build", "docs-site");
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml" };
let server;
let base;
let browser;
const pages = new Map(); // by path: its text

const text = (html) => html.replace(/&amp;/g, "&").replace(/&quot;/g, "\"").replace(/&#39;/g, "'");
const addresses = (html) => [...html.matchAll(/<(\w+)\b[^>]*?\s(href|src)="([^"]*)"/g)].map(([, tag, name, value]) => ({ tag, name, value: text(value) }));
const anchorsOf = (html) => new Set([...html.matchAll(/\s(?:id|name)="([^"]*)"/g)].map(([, name]) => text(name)));

before(async () => {
  const { status, stdout, stderr } = spawnSync(join(root, "scripts", "docs"), { encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.equal(stderr, "", "it is built without a warning");
  for (const name of await readdir(site, { recursive: true })) if (name.endsWith(".html")) pages.set(name, await readFile(join(site, name), "utf8"));
  server = createServer(async (request, response) => {
    let path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    if (path.endsWith("/")) path += "index.html";
    try {
      const body = await readFile(join(site, path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${server.address().port}/`;
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  server?.close();
});

test("every link within the site leads to a page, and what follows # to a place in it", async () => {
  const broken = [];
  const known = new Map();
  let count = 0;
  for (const [name, html] of pages) {
    for (const { value } of addresses(html)) {
      if (/^[a-z]+:/i.test(value) || value === "" || name === "404.html") continue;
      const target = new URL(value, `http://site/${name}`);
      let path = decodeURIComponent(target.pathname.slice(1));
      if (path === "" || path.endsWith("/")) path += "index.html";
      count++;
      if (!existsSync(join(site, path))) {
        broken.push(`${name}: ${value}`);
      } else if ((await stat(join(site, path))).isDirectory()) {
        broken.push(`${name}: ${value} is a folder`);
      } else if (target.hash && path.endsWith(".html")) {
        if (!known.has(path)) known.set(path, anchorsOf(pages.get(path)));
        if (!known.get(path).has(decodeURIComponent(target.hash.slice(1)))) broken.push(`${name}: ${value} has no such place`);
      }
    }
  }
  assert.deepEqual(broken, []);
  assert.ok(count > 1000, `${count} links`);
});

test("every function of the public headers is in the C interface", async () => {
  const shown = [...pages].filter(([name]) => name.startsWith("c-api/")).map(([, html]) => html).join("\n");
  let count = 0;
  for (const folder of ["socketio/include", "socketio/adminui/include", "engineio/include", "rooms/include"]) {
    for (const file of await readdir(join(root, folder))) {
      for (const [, name] of (await readFile(join(root, folder, file), "utf8")).matchAll(/^(?:SIO|EIO|ROOMS)_API [^;(]*?(\w+)\(/gm)) {
        assert.ok(shown.includes(`${name}</a>`) || shown.includes(`>${name}<`), `${file}: ${name} is not shown`);
        count++;
      }
    }
  }
  assert.ok(count > 200, `${count} functions`);
});

test("every page of docs/ is in the navigation", async () => {
  const start = addresses(pages.get("index.html")).map(({ value }) => value);
  for (const file of await readdir(join(root, "docs"))) {
    if (!file.endsWith(".md") || file === "index.md") continue;
    assert.ok(start.includes(`${file.slice(0, -3)}/`), file);
  }
});

test("nothing is loaded from elsewhere", async () => {
  for (const [name, html] of pages)
    for (const { tag, name: attribute, value } of addresses(html))
      if (attribute === "src" || tag === "link") assert.doesNotMatch(value, /^(?:[a-z]+:)?\/\//i, name);
  const page = await browser.newPage();
  const foreign = [];
  page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) foreign.push(request.url()); });
  for (const path of ["", "configuration/", "c-api/socketio_8h.html"]) await page.goto(base + path, { waitUntil: "networkidle" });
  assert.deepEqual(foreign, []);
  await page.close();
});

test("the search finds an option, and leads to its page", async () => {
  const page = await browser.newPage();
  await page.goto(base);
  await page.locator("[data-target='#mkdocs_search_modal'], a[href='#mkdocs_search_modal']").first().click();
  await page.locator("#mkdocs-search-query").pressSequentially("retention_days");
  const result = page.locator("#mkdocs-search-results article a[href*='configuration/']").first();
  await result.waitFor();
  await result.click();
  await page.waitForURL(/configuration\//);
  await page.close();
});

test("pages fit a desk and a phone", async () => {
  for (const width of [1360, 390]) {
    const page = await browser.newPage({ viewport: { width, height: 820 } });
    for (const name of pages.keys()) {
      if (!/^(?:[\w-]+\/)?index\.html$|^c-api\/\w+_8h\.html$/.test(name) || (width > 390 && !/^(?:index|configuration|events|c-api\/socketio)/.test(name))) continue;
      await page.goto(base + name, { waitUntil: "load" });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(over <= 0, `${relative(".", name)} is ${over} px too wide for ${width}`);
    }
    await page.close();
  }
  assert.deepEqual(browser.problems.filter((line) => !line.includes("favicon.ico")), []);
});
