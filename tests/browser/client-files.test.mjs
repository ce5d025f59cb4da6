// The official client's builds as Parley serves them (P10), in a real browser and by plain requests.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { get as httpGet } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "../support/wait.mjs";
import { startParley } from "./server.mjs";

const CHROMIUM = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const DIST = new URL("../../clients/node_modules/socket.io-client/dist/", import.meta.url);
const NAMES = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"]
  .flatMap((name) => [`${name}.js`, `${name}.js.map`]);

let plain;
let msgpack;
let profile;
let context;

before(async () => {
  plain = await startParley();
  msgpack = await startParley("--parser", "msgpack");
  profile = await mkdtemp(join(tmpdir(), "parley-chromium-"));
  context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    bypassCSP: true, // as on a page of a site; those of the server run their own scripts alone
    args: FLAGS,
  });
});

after(async () => {
  await context?.close();
  await plain?.stop();
  await msgpack?.stop();
  if (profile) await rm(profile, { recursive: true, force: true });
});

/** A page at the server's origin with these scripts in it: what it says of its connection. */
async function connects(parley, ...scripts) {
  const page = await context.newPage();
  try {
    await page.goto(`${parley.url}/health`);
    for (const script of scripts) await page.addScriptTag(script);
    await page.waitForFunction(() => globalThis.said !== undefined, null, { timeout: PATIENCE_MS });
    return await page.evaluate(() => globalThis.said);
  } finally {
    await page.close();
  }
}

const talk = `const socket = io();
  socket.on("connect_error", (error) => { globalThis.said = String(error); });
  socket.on("connect", async () => {
    while (socket.io.engine.transport.name !== "websocket") await new Promise((resolve) => setTimeout(resolve, 10));
    socket.timeout(${PATIENCE_MS}).emit("agent:connect", { token: "none" }, (error, answer) => {
      globalThis.said = error ? String(error) : ["answered", answer.ok];
    });
  });`;

for (const name of ["socket.io.js", "socket.io.min.js"]) {
  test(`${name} by a script tag connects, upgrades and is answered`, async () => {
    assert.deepEqual(await connects(plain, { url: `/socket.io/${name}` }, { content: talk }), ["answered", false]);
  });
}

test("socket.io.esm.min.js as a module does", async () => {
  const content = `import { io } from "/socket.io/socket.io.esm.min.js"; ${talk}`;
  assert.deepEqual(await connects(plain, { type: "module", content }), ["answered", false]);
});

test("socket.io.msgpack.min.js does, with the option parser", async () => {
  const scripts = [{ url: "/socket.io/socket.io.msgpack.min.js" }, { content: talk }];
  assert.deepEqual(await connects(msgpack, ...scripts), ["answered", false]);
});

/** Without a client that undoes the coding. */
function request(name, headers) {
  return new Promise((resolve, reject) => {
    httpGet(`${plain.url}/socket.io/${name}`, { headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ ...response, headers: response.headers, body: Buffer.concat(chunks) }));
    }).on("error", reject);
  });
}

test("all eight files are npm's, in three codings, with the version as their tag", async () => {
  const { version } = JSON.parse(await readFile(new URL("../package.json", DIST), "utf8"));
  for (const name of NAMES) {
    const original = await readFile(new URL(name, DIST));
    const bare = await request(name, {});
    assert.equal(bare.headers.etag, `"${version}"`);
    assert.equal(bare.headers["cache-control"], "public, max-age=0");
    const type = name.endsWith(".map") ? "application/json" : "application/javascript";
    assert.equal(bare.headers["content-type"], `${type}; charset=utf-8`);
    assert.ok(original.equals(bare.body), name);
    const gzip = await request(name, { "accept-encoding": "gzip" });
    assert.equal(gzip.headers["content-encoding"], "gzip");
    assert.ok(original.equals(gunzipSync(gzip.body)), name);
    const brotli = await request(name, { "accept-encoding": "gzip, br" });
    assert.equal(brotli.headers["content-encoding"], "br");
    assert.ok(original.equals(brotliDecompressSync(brotli.body)), name);
    assert.ok(brotli.body.length < gzip.body.length && gzip.body.length < original.length, name);
  }
});

test("they may be left out", async () => {
  const without = await startParley("--no-serve-client");
  try {
    assert.equal((await fetch(`${without.url}/socket.io/socket.io.js`)).status, 400); // a handshake without a transport
  } finally {
    await without.stop();
  }
});
