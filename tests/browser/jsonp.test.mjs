// JSONP as it was made for: the stock engine.io-client of version 3 on a page of another origin, without CORS. What is
// polled comes as <script>, what is sent goes as a form in an iframe.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { start } from "../clients/lib/server.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";

const CHROMIUM = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const CLIENT = createRequire(import.meta.url).resolve("engine.io-client-v3/engine.io.js");

let server;
let site;
let browser;
let page;

before(async () => {
  const script = await readFile(CLIENT);
  server = await start("eio-proto", { "allow-eio3": 1, "ping-interval": 300, "ping-timeout": 60000 });
  site = createServer((request, response) => {
    const isScript = request.url === "/engine.io.js";
    response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html; charset=utf-8" });
    response.end(isScript ? script : '<!doctype html><script src="/engine.io.js"></script>');
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
});

after(async () => {
  await browser?.close();
  site?.close();
  await server?.stop();
});

// Opens a client in the page, sends all and gives what came back; `scripts` counts the polls that were <script>s.
const echo = (options, messages) => page.evaluate(async ({ url, options, messages }) => {
  const polls = [];
  const watcher = new MutationObserver((records) => {
    for (const { addedNodes } of records)
      for (const node of addedNodes) if (node.tagName === "SCRIPT") polls.push(node.src);
  });
  watcher.observe(document, { childList: true, subtree: true });
  const client = new eio.Socket(url, options);
  const received = [];
  await new Promise((resolve, reject) => {
    client.on("error", (error) => reject(new Error(`${error.message} ${error.description ?? ""}`)));
    client.on("close", (reason) => reject(new Error(reason)));
    client.on("open", () => { for (const message of messages) client.send(message); });
    client.on("message", (data) => { if (received.push(data) === messages.length) resolve(); });
  });
  let pongs = 0;
  client.on("pong", () => pongs++);
  while (pongs < 2) await new Promise((resolve) => setTimeout(resolve, 20));
  const transport = client.transport.name;
  client.off("close");
  client.close();
  watcher.disconnect();
  return { received, pongs, transport, polls };
}, { url: server.http, options, messages });

const MESSAGES = ["hello", "Ä ß てすと 🦔 \u2028\u2029", "quote \" back \\ slash", "lines\nand \\n and \\\\n", "a+b&c=d %41", "</script>",
  "x".repeat(20000), "🦔".repeat(3000)];

test("messages and heartbeats over scripts and forms", async () => {
  const { received, pongs, transport, polls } = await echo({ transports: ["polling"], forceJSONP: true }, MESSAGES);
  assert.deepEqual(received, MESSAGES);
  assert.ok(pongs >= 2, `${pongs} pongs`);
  assert.equal(transport, "polling");
  assert.ok(polls.length >= 3 && polls.every((url) => /[?&]j=\d+/.test(url)), polls.join("\n"));
});

test("from JSONP to WebSocket", async () => {
  const { received, transport, polls } = await echo({ transports: ["polling", "websocket"], forceJSONP: true }, MESSAGES);
  assert.deepEqual(received, MESSAGES);
  assert.equal(transport, "websocket");
  assert.ok(polls.length >= 1);
});
