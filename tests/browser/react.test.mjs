// The code of docs/react.md, bundled as it stands and run in Chromium, on an origin of its own, against the built server.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";
import { PATIENCE_MS } from "../support/wait.mjs";
import { startParley } from "./server.mjs";

const CHROMIUM = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const CLIENTS = fileURLToPath(new URL("../../clients", import.meta.url));
const HERE = fileURLToPath(new URL(".", import.meta.url));
// As Vite's template has it.
const MAIN = [
  'import { StrictMode } from "react";',
  'import { createRoot } from "react-dom/client";',
  'import App from "./App.jsx";',
  'createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);',
].join("\n");

let parley;
let pageServer;
let feed;
let folder;
let browser;
let page;
const problems = [];

/** The page's one program: the code block of the document, with what .env.local says. */
async function bundle(env) {
  const [, code] = /^```jsx\n([\s\S]*?)^```$/m.exec(await readFile(join(HERE, "../../docs/react.md"), "utf8"));
  folder = await mkdtemp(join(tmpdir(), "parley-react-"));
  await writeFile(join(folder, "App.jsx"), code);
  await writeFile(join(folder, "main.jsx"), MAIN);
  const library = join(folder, "parley-react");
  const built = spawnSync(process.execPath, [join(CLIENTS, "node_modules/vite/bin/vite.js"), "build", "--outDir", library, "--logLevel", "warn"], { cwd: join(CLIENTS, "react"), encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  const result = await build({
    alias: { "@parley/react": join(library, "index.js") },
    entryPoints: [join(folder, "main.jsx")], bundle: true, write: false, format: "esm", jsx: "automatic",
    nodePaths: [join(HERE, "node_modules"), join(HERE, "../node_modules")],
    define: { "import.meta.env": JSON.stringify(env), "process.env.NODE_ENV": '"development"' },
  });
  return result.outputFiles[0].text;
}

async function servePage() {
  pageServer = createServer((request, response) => {
    const isProgram = request.url === "/main.js";
    response.setHeader("Content-Type", isProgram ? "text/javascript" : "text/html");
    response.end(isProgram ? pageServer.program : '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.js"></script>');
  });
  await new Promise((resolve) => pageServer.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${pageServer.address().port}`;
}

before(async () => {
  const origin = await servePage();
  // StrictMode mounts twice and leaves the first connection in the middle of its handshake: nobody will read its messages.
  parley = await startParley("--cors-origin", origin, "--drain-timeout-ms", "1000");
  feed = io(`${parley.url}/feed`, { auth: { token: await parley.token("--role", "feed") }, transports: ["websocket"] });
  await say("call:start", {});
  await line("s1", "I lost my password");
  pageServer.program = await bundle({
    VITE_PARLEY_URL: parley.url, VITE_PARLEY_TOKEN: await parley.token("--role", "agent", "--sub", "ann", "--calls", "*"), VITE_PARLEY_CALL: "react",
  });
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(origin);
});

after(async () => {
  await browser?.close();
  feed?.close();
  pageServer?.close();
  await parley?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function say(event, data) {
  const answer = await feed.timeout(PATIENCE_MS).emitWithAck(event, { call_id: "react", ...data });
  assert.equal(answer.ok, true, JSON.stringify(answer));
}

const line = (id, text, more = {}) => say("transcription:update", { speaker: "customer", text, segment_id: id, is_final: true, ...more });

/** Waits until the list shows these texts. */
async function shows(...texts) {
  await page.waitForFunction((wanted) => JSON.stringify([...document.querySelectorAll("p")].map((row) => row.textContent)) === wanted,
    JSON.stringify(texts.map((text) => `customer: ${text}`)));
}

test("what was said before is there, and what is said appears", async () => {
  await shows("I lost my password");
  await line("s2", "Can you help me?");
  await shows("I lost my password", "Can you help me?");
  assert.deepEqual(problems, []);
});

test("a line grows and becomes final in its place", async () => {
  await line("s3", "It is", { is_final: false });
  await line("s4", "later line");
  await shows("I lost my password", "Can you help me?", "It is", "later line");
  assert.equal(await page.locator("p.interim").textContent(), "customer: It is");
  await line("s3", "It is Ann");
  await shows("I lost my password", "Can you help me?", "It is Ann", "later line");
  assert.equal(await page.locator("p.interim").count(), 0);
  assert.deepEqual(problems, []);
});

test("what is said while the page has no connection is there afterwards, once", async () => {
  await parley.end();
  await page.context().setOffline(true);
  await parley.start();
  await line("s5", "nobody hears me");
  await page.context().setOffline(false);
  await shows("I lost my password", "Can you help me?", "It is Ann", "later line", "nobody hears me");
});
