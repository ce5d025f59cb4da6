// The official page of the Admin UI, from another origin as at admin.socket.io, with the profiles admin and admin-ro: what it
// shows and does beyond admin.test.mjs, with basic auth and without, in development and in production mode.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { after, before, test } from "node:test";
import { start } from "../clients/lib/server.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";
import { openBrowser } from "./chromium.mjs";

const require = createRequire(new URL("../clients/", import.meta.url));
const { io } = require("socket.io-client");
const DIST = join(dirname(require.resolve("@socket.io/admin-ui/package.json")), "ui/dist");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png" };

const servers = {};
let site;
let browser;
let page;
let ann;
const clients = [];

const files = createServer(async (request, response) => {
  const path = request.url === "/" ? "index.html" : request.url.split("?")[0];
  const data = await readFile(join(DIST, path)).catch(() => null);
  response.writeHead(data ? 200 : 404, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(data);
});

async function connect(server, nsp = "/", transports = ["websocket"]) {
  const socket = io(server.http + nsp, { transports, reconnection: false, forceNew: true });
  clients.push(socket);
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
  return socket;
}
const ask = (socket, ...event) => socket.timeout(PATIENCE_MS).emitWithAck(...event);
const left = (socket) => new Promise((resolve) => socket.once("disconnect", resolve));

async function open(server, { user, password, webSocketOnly }) {
  const opened = await browser.newPage();
  await opened.route((url) => !["localhost", "127.0.0.1"].includes(url.hostname), (route) => route.abort()); // its fonts
  await opened.goto(site);
  await opened.getByLabel("Server URL").fill(server.http);
  if (user) await opened.getByLabel("Username").fill(user);
  if (password) await opened.getByLabel("Password").fill(password);
  if (webSocketOnly) {
    await opened.getByLabel("Advanced options").click({ force: true });
    await opened.getByLabel("WebSocket only?").click({ force: true });
  }
  await opened.getByRole("button", { name: "Connect" }).click();
  return opened;
}
const shows = (on, text, what = text) => until(async () => {
  const all = (await on.locator("main").innerText()).replace(/\s+/g, " ");
  return text instanceof RegExp ? text.test(all) : all.includes(text);
}, () => `${what}`);
// The view that was there fades out beside the new one.
async function go(on, route, title) {
  await on.evaluate((hash) => { location.hash = hash; }, `#${route}`);
  await until(async () => (await on.locator("main .v-breadcrumbs").count()) === 1 && (await on.locator("main .v-breadcrumbs").innerText()).includes(title), title);
}
const row = (on, text) => on.locator("main tbody tr", { hasText: text }).first();

before(async () => {
  servers.full = await start("admin", { name: "node-7" });
  servers.numbers = await start("admin-ro", { name: "node-8" });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  site = `http://localhost:${files.address().port}/`;
  browser = await openBrowser();
  ann = await connect(servers.full); // the page looks at the first namespace that it finds sockets in
});

after(async () => {
  for (const socket of clients) socket.disconnect();
  await browser?.close();
  files.close();
  for (const server of Object.values(servers)) await server.stop();
});

test("the login of another origin: refused in the page's words, then let in, over polling first or WebSocket alone", async () => {
  const wrong = await open(servers.full, { user: "admin", password: "wrong" });
  await wrong.getByText("Invalid credentials").waitFor();
  await wrong.close();
  page = await open(servers.full, { user: "admin", password: "s3cret" });
  await shows(page, "HEALTHY 1 100.0 %");
  const second = await open(servers.full, { user: "admin", password: "s3cret", webSocketOnly: true });
  await shows(second, "HEALTHY 1 100.0 %");
  await second.close();
});

test("the dashboard counts clients by transport and sockets by namespace, dynamic ones too", async () => {
  await connect(servers.full, "/custom");
  await connect(servers.full, "/dyn-7", ["polling"]);
  await shows(page, /WebSocket 3 75\.0 % HTTP long-polling 1 25\.0 %/);
  await shows(page, /\/custom 1 .*\/dyn-7 1/);
  await go(page, "/servers/", "Servers");
  await row(page, "node-7").filter({ hasText: String(servers.full.pid) }).filter({ hasText: "Healthy" }).waitFor();
  ann.disconnect();
});

test("events come with their arguments; a room's members leave it, and are disconnected, from its row", async () => {
  const [bea, cid] = [await connect(servers.full), await connect(servers.full)];
  await go(page, "/events/", "Events");
  for (const socket of [bea, cid]) await ask(socket, "join", "room-x");
  await ask(bea, "echo", { deep: [1, null] }, Buffer.from("abc"));
  await row(page, /Event name:\s*echo/).getByRole("button").first().click();
  await shows(page, /"deep": \[ 1, null \]/, "the arguments");
  await go(page, "/rooms/?p=1", "Rooms");
  await row(page, "room-x").filter({ hasText: "2" }).getByRole("button").first().click();
  await until(async () => !(await ask(bea, "rooms")).includes("room-x") && !(await ask(cid, "rooms")).includes("room-x"), "both have left");
  for (const socket of [bea, cid]) await ask(socket, "join", "room-y");
  await go(page, "/rooms/?p=1", "Rooms");
  const gone = [left(bea), left(cid)];
  await row(page, "room-y").getByRole("button").last().click();
  assert.deepEqual(await Promise.all(gone), ["io server disconnect", "io server disconnect"]);
});

test("a socket shows its data; a client is disconnected from its row", async () => {
  const dora = await connect(servers.full);
  await ask(dora, "set-data", { name: "Dora" });
  await go(page, "/sockets/", "Sockets");
  await row(page, dora.id).click(); // an open view of the page draws neither a socket nor fields of its data that are new
  await shows(page, /Status CONNECTED/i);
  await shows(page, '"name": "Dora"');
  await go(page, "/clients/", "Clients");
  const gone = left(dora);
  await page.locator("main tbody tr").last().getByRole("button").last().click();
  assert.equal(await gone, "io server disconnect");
  await shows(page, /Status DISCONNECTED/i);
});

test("the session of another origin survives a reload", async () => {
  await page.reload();
  await go(page, "/servers/", "Servers");
  await row(page, "node-7").waitFor();
  assert.equal(await page.getByLabel("Password").count(), 0);
});

test("production and read-only: no login, numbers that count, and pages for nothing else", async () => {
  const numbers = await open(servers.numbers, {});
  await shows(numbers, "HEALTHY 1 100.0 %");
  const eve = [await connect(servers.numbers), await connect(servers.numbers, "/custom", ["polling"])];
  await shows(numbers, /WebSocket 2 66\.7 % HTTP long-polling 1 33\.3 %/);
  await shows(numbers, /\/custom 1/);
  assert.match((await numbers.locator(".v-navigation-drawer").innerText()).replace(/\s+/g, " "), /^Dashboard Servers Language/);
  for (const socket of eve) socket.disconnect();
  await shows(numbers, /WebSocket 1 100\.0 % HTTP long-polling 0 0\.0 %/);
  await numbers.close();
});

test("the page has no errors but for fonts of elsewhere", () => {
  assert.deepEqual(browser.problems.filter((text) => !/https:\/\/(fonts\.googleapis|cdn\.jsdelivr)/.test(text)), []);
});
