// GET / and /assets/: what a browser and its cache rely on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startParley } from "./server.mjs";

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

test("everything the page and its modules load is there, with the right type", async () => {
  const types = { css: "text/css", js: "text/javascript", mjs: "text/javascript", svg: "image/svg+xml" };
  const wanted = [...(await (await get("/")).text()).matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((match) => match[1]);
  assert.ok(wanted.includes("/assets/socket.io.min.js"));
  const seen = new Set();
  while (wanted.length > 0) {
    const path = wanted.pop();
    if (seen.has(path)) continue;
    seen.add(path);
    const response = await get(path);
    assert.equal(response.status, 200, path);
    assert.ok(response.headers.get("content-type").startsWith(types[path.split(".").pop()]), path);
    const text = await response.text();
    if (!path.endsWith(".mjs")) continue;
    for (const [, name] of text.matchAll(/ from "(\.[^"]+)"/g)) wanted.push(new URL(name, parley.url + path).pathname);
  }
  assert.ok(seen.has("/assets/live-call.mjs"));
});

test("a copy that is still good is not sent again", async () => {
  const first = await get("/assets/socket.io.min.js");
  const etag = first.headers.get("etag");
  assert.match(etag, /^"[0-9a-f]{32}"$/);
  assert.equal(first.headers.get("cache-control"), "no-cache");
  const again = await get("/assets/socket.io.min.js", { headers: { "if-none-match": `"other", W/${etag}` } });
  assert.equal(again.status, 304);
  assert.equal(again.headers.get("etag"), etag);
  assert.equal(await again.text(), "");
  const other = await get("/assets/socket.io.min.js", { headers: { "if-none-match": '"other"' } });
  assert.equal(other.status, 200);
});

test("HEAD answers as GET without the body, other methods are refused", async () => {
  const head = await get("/", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get("content-length")) > 1000);
  assert.equal(await head.text(), "");
  const post = await get("/", { method: "POST", body: "x" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
});

test("other names are 404, however they are spelt", async () => {
  for (const path of ["/assets/", "/assets/nothing.js", "/assets/../index.html", "/assets/%69ndex.html", "/assets/js"]) {
    assert.equal((await get(path)).status, 404, path);
  }
});
