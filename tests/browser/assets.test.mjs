// GET / and /assets/: what a browser and its cache rely on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { get as httpGet } from "node:http";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { runParley, startParley } from "./server.mjs";

let parley;
before(async () => {
  parley = await startParley();
});
after(() => parley?.stop());

const get = (path, options) => fetch(parley.url + path, options);

test("the page is HTML with a policy that lets nothing foreign in", async () => {
  const response = await get("/");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.match(await response.text(), /^<!doctype html>/);
});

test("everything the page loads is there, with the right type", async () => {
  const types = { css: "text/css", js: "text/javascript", svg: "image/svg+xml", woff2: "font/woff2" };
  const wanted = [...(await (await get("/")).text()).matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((match) => match[1]);
  const style = wanted.find((path) => path.endsWith(".css"));
  wanted.push(...[...(await (await get(style)).text()).matchAll(/url\((\/[^)]+)\)/g)].map((match) => match[1]));
  for (const type of Object.keys(types)) assert.ok(wanted.some((path) => path.endsWith(`.${type}`)), type);
  for (const path of wanted) {
    const response = await get(path);
    assert.equal(response.status, 200, path);
    assert.ok(response.headers.get("content-type").startsWith(types[path.split(".").pop()]), path);
    await response.arrayBuffer();
  }
});

/** The bytes as they are sent. */
function request(path, headers) {
  return new Promise((resolve, reject) => {
    httpGet(`${parley.url}${path}`, { headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
    }).on("error", reject);
  });
}

test("what a browser loads at first is 300 kB at most, compressed", async () => {
  const wanted = ["/", ...[...(await (await get("/")).text()).matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((match) => match[1]),
    "/assets/inter-latin-wght-normal.woff2"];
  for (const coding of ["gzip", "br"]) {
    const sizes = await Promise.all(wanted.map(async (path) => (await request(path, { "accept-encoding": coding })).body.length));
    const total = sizes.reduce((sum, size) => sum + size);
    assert.ok(total > 50_000 && total <= 300_000, `${coding}: ${total} bytes`);
  }
});

test("texts come in the coding that is accepted", async () => {
  const plain = await request("/assets/console.js", {});
  assert.equal(plain.headers["content-encoding"], undefined);
  const gzip = await request("/assets/console.js", { "accept-encoding": "gzip" });
  assert.equal(gzip.headers["content-encoding"], "gzip");
  assert.ok(plain.body.equals(gunzipSync(gzip.body)));
  const brotli = await request("/assets/console.js", { "accept-encoding": "gzip, br" });
  assert.equal(brotli.headers["content-encoding"], "br");
  assert.ok(plain.body.equals(brotliDecompressSync(brotli.body)));
  const refused = await request("/assets/console.js", { "accept-encoding": "gzip;q=0, br;q=0" });
  assert.equal(refused.headers["content-encoding"], undefined);
});

test("who asks for JSON alone gets what the server understands", async () => {
  const index = await (await get("/", { headers: { accept: "application/json" } })).json();
  assert.equal(index.name, "parley");
  assert.match(index.version, /^\d+\.\d+\.\d+/);
  assert.ok(Math.abs(Date.parse(index.time) - Date.now()) < 60000, `the server's clock: ${index.time}`);
  for (const event of ["call:subscribe", "call:list", "doc:feedback", "auth:refresh"]) assert.ok(index.events.includes(event), event);
  for (const route of ["GET /api/v1/documents/{doc_id}", "POST /api/v1/calls"]) assert.ok(index.paths.includes(route), route);
  assert.equal(new Set(index.events).size, index.events.length);
  const browser = await get("/", { headers: { accept: "text/html,application/json" } });
  assert.equal(browser.headers.get("content-type"), "text/html; charset=utf-8");
});

test("a copy that is still good is not sent again", async () => {
  const first = await get("/assets/console.js");
  const etag = first.headers.get("etag");
  assert.match(etag, /^"[0-9a-f]{32}"$/);
  assert.equal(first.headers.get("cache-control"), "no-cache");
  const again = await get("/assets/console.js", { headers: { "if-none-match": `"other", W/${etag}` } });
  assert.equal(again.status, 304);
  assert.equal(again.headers.get("etag"), etag);
  assert.equal(await again.text(), "");
  const other = await get("/assets/console.js", { headers: { "if-none-match": '"other"' } });
  assert.equal(other.status, 200);
});

test("the components are a registry: every item is there, and stands on items and packages that it names", async () => {
  const { items } = await (await get("/r/registry.json")).json();
  assert.ok(items.length > 8);
  const all = new Map();
  for (const { name } of items) all.set(name, await (await get(`/r/${name}.json`)).json());
  for (const [name, item] of all) {
    const reached = new Set([name]);
    for (const each of reached) for (const need of all.get(each).registryDependencies) reached.add(need.replace("@parley/", ""));
    const targets = [...reached].flatMap((each) => all.get(each).files.map(({ target }) => `@/${target.replace(/\.tsx?$/, "")}`));
    for (const { content } of item.files) {
      for (const [, from] of content.matchAll(/^import[^"]* from "([^"]+)"/gm)) {
        const beside = item.files.map(({ target }) => target.split("/").at(-1).replace(/\.tsx?$/, ""));
        const isThere = from.startsWith("./") ? beside.includes(from.slice(2)) : from.startsWith("@/") ? targets.includes(from) || targets.includes(`${from}/index`) : from === "react" || item.dependencies.includes(from);
        assert.ok(isThere, `${name} imports ${from}`);
      }
    }
  }
  assert.ok(all.get("utils").cssVars.light.accent && all.get("utils").cssVars.dark.accent);
});

test("other sites may show the console in a frame only if the option names them", async () => {
  assert.match((await get("/")).headers.get("content-security-policy"), /; frame-ancestors 'none'$/);
  const framed = await startParley("--frame-ancestors", "self https://crm.example https://*.acme.example:8443");
  try {
    const policy = (await fetch(framed.url)).headers.get("content-security-policy");
    assert.match(policy, /; frame-ancestors 'self' https:\/\/crm\.example https:\/\/\*\.acme\.example:8443$/);
  } finally {
    await framed.stop();
  }
  for (const value of ["", "*", "https://a.example; script-src *", "https://a.example/path", "none https://a.example", "a.example"]) {
    const { code, stderr } = await runParley("--frame-ancestors", value, "--print-config");
    assert.equal(code, 2, `${value}: ${stderr}`);
    assert.match(stderr, /frame_ancestors/, value);
  }
});

test("HEAD answers as GET without the body, other methods are refused", async () => {
  const head = await get("/", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get("content-length")) > 100);
  assert.equal(await head.text(), "");
  const post = await get("/", { method: "POST", body: "x" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
});

test("other names are 404, however they are spelt", async () => {
  for (const path of ["/assets/", "/assets/nothing.js", "/assets/../index.html", "/assets/%63onsole.js", "/assets/console.js.gz", "/assets/console.js.br", "/index.html"]) {
    assert.equal((await get(path)).status, 404, path);
  }
});
