// The Admin UI: its official front end, served by the binary, in a real browser. With TEST_ADMIN_SCREENSHOT=FILE it also
// saves a picture for the documentation.
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after, before, test } from "node:test";
import { PATIENCE_MS, sleep, until } from "../support/wait.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const require = createRequire(new URL("../clients/", import.meta.url));
const { io } = require("socket.io-client");
const { WebSocket } = require("ws");
const PASSWORD = "correct horse battery";

let parley;
let folder;
let browser;
let page;
let ann;
const requests = [];

const client = async (user) => {
  const token = await parley.token("--sub", user, "--role", "agent", "--calls", "*");
  const socket = io(parley.url, { auth: { token }, transports: ["websocket"], reconnection: false, forceNew: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
  return socket;
};
// The view that was there fades out beside the new one.
const go = async (route, title) => {
  await page.evaluate((hash) => { location.hash = hash; }, `#${route}`);
  await until(async () => (await page.locator("main .v-breadcrumbs").count()) === 1 && (await page.locator("main .v-breadcrumbs").innerText()).includes(title), title);
};
const row = (text) => page.locator("main tbody tr", { hasText: text }).first();

async function login(password, user = "admin") {
  await page.getByLabel("Username").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Connect" }).click();
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "parley-admin-"));
  await writeFile(join(folder, "password"), `${PASSWORD}\n`, { mode: 0o600 });
  parley = await startParley("--admin-ui", "development", "--admin-password-file", join(folder, "password"),
    ...["sessions", "connections", "handshakes-per-second", "sessions-per-address", "connections-per-address", "handshakes-per-second-per-address"].flatMap((limit) => [`--max-${limit}`, "0"]));
  browser = await openBrowser();
  page = await browser.newPage();
  page.on("request", (request) => requests.push(request.url()));
  ann = await client("ann");
});

after(async () => {
  ann?.disconnect();
  await browser?.close();
  await parley?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test("the files are those of npm's package, byte for byte", async () => {
  const official = join(dirname(require.resolve("@socket.io/admin-ui/package.json")), "ui/dist");
  let count = 0;
  for (const entry of await readdir(official, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() || path.endsWith(".map")) continue;
    const response = await fetch(`${parley.url}/admin/${relative(official, path)}`);
    assert.equal(response.status, 200, path);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), await readFile(path), path);
    count++;
  }
  assert.ok(count >= 8);
  assert.equal((await fetch(`${parley.url}/admin`, { redirect: "manual" })).status, 308);
  assert.equal((await fetch(`${parley.url}/admin/nothing.js`)).status, 404);
  assert.equal((await fetch(`${parley.url}/admin/`, { method: "POST" })).status, 405);
});

test("the page asks for the login only: the server's address is filled in", async () => {
  await page.goto(`${parley.url}/admin`);
  await page.getByLabel("Password").waitFor();
  await until(async () => (await page.getByLabel("Server URL").inputValue()) === parley.url, "the address");
  assert.deepEqual(requests.filter((url) => !url.startsWith(parley.url) && !url.startsWith("data:")), [], "nothing from elsewhere");
});

test("a wrong password is refused in the page's own words", async () => {
  await login("wrong password");
  await page.getByText("Invalid credentials").waitFor();
});

test("the login shows servers", async () => {
  await login(PASSWORD);
  await page.getByLabel("Password").waitFor({ state: "hidden" });
  await go("/servers/", "Servers");
  await row(`#${parley.child.pid}`).filter({ hasText: "Healthy" }).waitFor();
});

test("sockets are listed, and their details have neither token nor secret", async () => {
  await go("/sockets/", "Sockets");
  await row(ann.id).click();
  await page.getByText("Initial HTTP request").waitFor();
  await row("transport").filter({ hasText: "websocket" }).first().waitFor();
  assert.ok(!(await page.content()).includes(ann.auth.token));
});

test("rooms are listed with their sockets", async () => {
  await ann.timeout(PATIENCE_MS).emitWithAck("call:list", {});
  await go("/rooms/?p=1", "Rooms");
  await row(ann.id).waitFor();
});

test("events appear as they happen", async () => {
  await go("/events/", "Events");
  await ann.timeout(PATIENCE_MS).emitWithAck("call:list", { limit: 3 });
  await page.getByText("call:list").first().waitFor();
  const late = await client("late");
  const { id } = late;
  await page.locator("main tbody tr", { hasText: id }).filter({ hasText: "Connection" }).first().waitFor();
  late.disconnect();
  await page.locator("main tbody tr", { hasText: id }).filter({ hasText: "Disconnection" }).first().waitFor();
  if (process.env.TEST_ADMIN_SCREENSHOT) await page.screenshot({ path: process.env.TEST_ADMIN_SCREENSHOT });
});

test("a socket is made to join and leave a room", async () => {
  await go(`/n/%2F/sockets/${ann.id}`, "Socket details");
  await page.locator("main form input[type=text]").fill("from the page");
  await page.keyboard.press("Enter");
  await page.locator("main form button[type=submit]").click();
  await row("from the page").waitFor();
  await row("from the page").getByRole("button").first().click(); // and, being a click on the row, opens the room
  await row("from the page").filter({ hasText: "ID" }).waitFor();
  await go(`/n/%2F/sockets/${ann.id}`, "Socket details");
  await row("from the page").waitFor({ state: "detached" });
});

test("a client is thrown out", async () => {
  const victim = await client("victim");
  const { id } = victim;
  const gone = new Promise((resolve) => victim.once("disconnect", resolve));
  await go("/sockets/", "Sockets");
  await row(id).getByRole("button").last().click();
  assert.match(await gone, /^(io server disconnect|transport close)$/);
  await page.getByText("Initial HTTP request").waitFor(); // the click opens the socket, too
  await go("/sockets/", "Sockets");
  await row(ann.id).waitFor();
  await row(id).waitFor({ state: "detached" });
});

test("the session survives a reload", async () => {
  await page.reload();
  await row(ann.id).waitFor();
  assert.equal(await page.getByLabel("Password").count(), 0);
});

test("a token with the role admin is a login, any other is not", async () => {
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await login(await parley.token("--sub", "ann", "--role", "agent", "--calls", "*"), "");
  await page.getByText("role agent may not use the Admin UI").waitFor();
  await login(await parley.token("--sub", "root", "--role", "admin", "--calls", "*"), "");
  await row(ann.id).waitFor();
});

// More than the page lists, each in "/" with a token.
async function crowd(count) {
  const token = await parley.token("--sub", "crowd", "--role", "agent", "--calls", "*");
  const sockets = [];
  const join = () => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${parley.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    sockets.push(socket);
    socket.on("error", reject);
    socket.on("message", (data) => {
      const text = data.toString();
      if (text[0] === "0") socket.send(`40${JSON.stringify({ token })}`);
      else if (text.startsWith("40")) resolve(socket.id = JSON.parse(text.slice(2)).sid);
      else if (text.startsWith("44")) reject(new Error(text));
      else if (text === "2") socket.send("3");
    });
  });
  while (sockets.length < count) await Promise.all(Array.from({ length: 50 }, join));
  return sockets;
}

test("more sockets than it can list do not stall the page: a thousand are listed, all are counted", async () => {
  const LISTED = 1000; // admin_sockets_max, among them those of pages
  const sockets = await crowd(LISTED + 200);
  const leftOut = async (what) => {
    const metrics = await (await fetch(`${parley.url}/metrics`)).text();
    return Number(new RegExp(`^parley_admin_${what}_left_out_total (\\d+)`, "m").exec(metrics)[1]);
  };
  try {
    await go("/", "Dashboard");
    await until(async () => Number(await page.locator("main tr", { hasText: "WebSocket" }).first().locator("h2").innerText()) > sockets.length, "all clients");
    await page.reload();
    await go("/sockets/", "Sockets");
    const listed = async () => Number(/^1-20 of (\d+)$/.exec(await page.locator("main .v-data-footer__pagination").innerText().catch(() => ""))?.[1]);
    let shown;
    await until(async () => (shown = await listed()) > LISTED - 10 && shown <= LISTED, () => `${shown} are listed`);
    // All say something. Of those that are not listed, and of most of the others, it is only counted.
    const before = await leftOut("events");
    for (const socket of sockets) socket.send('42["call:list",{}]');
    await until(async () => await leftOut("events") - before >= sockets.length - LISTED, "the others are counted");
    assert.ok(await leftOut("sockets") > 0);
    // The newest stand first; whatever else the crowd has caused may stand there for now. Five of six are listed.
    await go("/events/", "Events");
    let asked = 0;
    await until(async () => {
      sockets[(asked++ * 7) % sockets.length].send('42["call:list",{"limit":7}]');
      await sleep(500); // a page that is slow to draw is not asked to draw more
      return await row("call:list").count() > 0;
    }, "an event", 3 * PATIENCE_MS);
  } finally {
    for (const socket of sockets) socket.terminate();
  }
});

test("the page has no errors", () => {
  assert.deepEqual(browser.problems, []);
});
