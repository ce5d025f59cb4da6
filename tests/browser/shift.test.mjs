// A shift at the desk: one call after another, clocks that are wrong, and who sits there next.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const DAY_MS = 24 * 3600 * 1000;
const PASSWORD = "correct horse";
let parley;
let browser;
let feed;

const token = (role, sub) => parley.token("--role", role, "--sub", sub, "--calls", "*");
const ask = async (socket, event, data) => {
  const answer = await socket.timeout(60000).emitWithAck(event, data);
  assert.equal(answer.ok, true, `${event}: ${JSON.stringify(answer)}`);
  return answer;
};
const begin = (call_id, agent, customer) => ask(feed, "call:start", { call_id, agents: [agent], metadata: { customer } });
const end = (call_id) => ask(feed, "call:end", { call_id });

async function open(role, sub, { hash = "", aheadMs = 0, ...options } = {}) {
  const page = await browser.newPage(options);
  if (aheadMs) await putForward(page, aheadMs);
  const value = await token(role, sub);
  await page.addInitScript((each) => sessionStorage.getItem("parley-token") ?? sessionStorage.setItem("parley-token", each), value);
  await page.goto(`${parley.url}/${hash}`);
  return online(page);
}

async function online(page) {
  await page.locator('[data-connection="online"]').waitFor();
  return page;
}

/** The page's clock is wrong by so much, and goes on. */
const putForward = (page, ms) => page.addInitScript((aheadMs) => {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(RealDate.now() + aheadMs);
      else super(...args);
    }
    static now = () => RealDate.now() + aheadMs;
  };
}, ms);

async function signIn(page, name) {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  return online(page);
}

before(async () => {
  parley = await startParley("--drain-timeout-ms", "500");
  feed = io(`${parley.url}/feed`, { auth: { token: await token("feed", "pbx") }, transports: ["websocket"] });
  browser = await openBrowser();
  for (const name of ["ann", "ben"]) await parley.addUser(name, PASSWORD, "--role", "agent");
});

after(async () => {
  await browser?.close();
  feed?.close();
  await parley?.stop();
});

test("an agent's own call is on the desk, not the newest of somebody else", async () => {
  await begin("own-1", "ann", "crystal minh");
  await begin("bens-1", "ben", "lee wong");
  const page = await open("agent", "ann");
  await page.locator('[data-call="own-1"]').waitFor();
  await page.context().close();
});

test("a call that has ended stays for its wrap-up; the next one is announced, and opened when the agent goes there", async () => {
  const page = await open("agent", "ann");
  await page.locator('[data-call="own-1"][data-status="active"]').waitFor();
  await end("own-1");
  await page.locator('[data-call="own-1"][data-status="ended"]').waitFor();
  await page.getByRole("tab", { name: "Wrap-up" }).click();
  await page.getByRole("textbox", { name: "Notes" }).fill("she wants a smaller size");
  await begin("own-2", "ann", "daniel okafor");
  const notice = page.locator('[data-incoming="own-2"]');
  await notice.waitFor();
  await checkWithAxe(page, "a new call");
  assert.match(await notice.textContent(), /New call: Daniel Okafor/);
  assert.match(await page.title(), /^New call: Daniel Okafor/);
  assert.equal(await page.getByRole("textbox", { name: "Notes" }).inputValue(), "she wants a smaller size");
  assert.equal(await page.locator('[data-call="own-1"]').count(), 1);
  await begin("bens-2", "ben", "noah schmidt");
  await page.locator('[data-call-row="bens-2"]').waitFor();
  assert.equal(await page.locator("[data-incoming]").count(), 1, "another's call is no news");
  await notice.getByRole("button", { name: "Open" }).click();
  await page.locator('[data-call="own-2"]').waitFor();
  assert.equal(await page.locator("[data-incoming]").count(), 0);
  assert.match(await page.title(), /^Daniel Okafor/);
  await begin("own-3", "ann", "omar haddad");
  await page.locator('[data-incoming="own-3"]').getByRole("button", { name: "Dismiss" }).click();
  await page.locator("[data-incoming]").waitFor({ state: "detached" });
  await page.context().close();
  for (const id of ["own-2", "own-3"]) await end(id);
});

test("another's call makes room for one's own, but not while something of it is open", async () => {
  const page = await open("agent", "cara");
  const first = await page.locator('[data-call]:not([data-call=""])').getAttribute("data-call");
  const search = page.getByLabel("Search the knowledge base");
  await search.fill("ref");
  await begin("caras-1", "cara", "ava rossi");
  await page.locator('[data-call-row="caras-1"]').waitFor();
  assert.equal(await page.locator("[data-call]").getAttribute("data-call"), first);
  await search.blur();
  await page.locator('[data-call="caras-1"]').waitFor();
  await page.context().close();
  await end("caras-1");
});

test("on a phone a new note is marked where the notes are, until it is looked at", async () => {
  await begin("own-4", "ann", "maria sanchez");
  const page = await open("agent", "ann", { hash: "#/desk/own-4", ...PHONE });
  await page.locator('[data-call="own-4"][data-status="active"]').waitFor();
  const help = page.getByRole("navigation", { name: "Parts of the desk" }).getByRole("button", { name: /Help/ });
  assert.equal(await help.locator("[data-unread]").count(), 0);
  const sue = io(parley.url, { auth: { token: await token("supervisor", "sue") } });
  await ask(sue, "note:send", { call_id: "own-4", text: "Offer the exchange." });
  await help.locator('[data-unread="1"]').waitFor();
  await checkWithAxe(page, "a note on a phone");
  await help.click();
  await help.locator('[data-unread="1"]').waitFor();
  await page.getByRole("tab", { name: /Notes/ }).click();
  await help.locator("[data-unread]").waitFor({ state: "detached" });
  // The tab stays open behind the transcript: what comes then was not looked at.
  await page.getByRole("button", { name: "Transcript", exact: true }).click();
  await ask(sue, "note:send", { call_id: "own-4", text: "And free shipping." });
  await help.locator('[data-unread="1"]').waitFor();
  await help.click();
  await help.locator("[data-unread]").waitFor({ state: "detached" });
  sue.disconnect();
  await page.context().close();
});

for (const [name, aheadMs] of [["two days fast", 2 * DAY_MS], ["two days slow", -2 * DAY_MS]]) {
  test(`a browser whose clock is ${name} signs in, stays so over a reload, and shows how long calls take`, async () => {
    const page = await browser.newPage();
    await putForward(page, aheadMs);
    await page.goto(parley.url);
    await signIn(page, "ann");
    await page.locator('[data-call="own-4"]').waitFor();
    await page.reload();
    await online(page);
    await page.locator('[data-call="own-4"]').waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
    assert.equal(await page.getByLabel("Password").count(), 0);
    await page.context().close();
    const wall = await open("supervisor", "sue", { hash: "#/supervisor", aheadMs });
    const age = wall.locator('[data-tile="own-4"] [data-age]');
    await until(async () => /^[0-9]?[0-9]:[0-9]{2}$/.test(await age.textContent()), "an age of minutes");
    assert.notEqual(await age.textContent(), "0:00");
    await wall.context().close();
  });
}

test("a call of another day has the day, in the list, in its head and where it was found", async () => {
  await ask(feed, "transcription:update", { call_id: "own-4", speaker: "customer", text: "the zipper of my anorak is broken" });
  await begin("own-5", "ann", "rosa lind");
  await end("own-5");
  const page = await open("agent", "ann", { hash: "#/desk/own-5", aheadMs: 3 * DAY_MS });
  const day = new Intl.DateTimeFormat("en-US", { day: "numeric", month: "short" }).format(new Date());
  await page.locator('[data-call-row="own-5"]', { hasText: day }).waitFor();
  await page.locator('[data-call-row="own-4"]', { hasText: `since ${day}` }).waitFor();
  await page.locator('[data-call="own-5"] header', { hasText: day }).waitFor();
  await page.getByPlaceholder("Customer, topic or call").fill("anorak");
  await page.keyboard.press("Enter");
  await page.locator('[data-found="own-4"]', { hasText: day }).waitFor();
  await page.context().close();
});

test("a long call of one's own is there though many newer ones have ended; what ended without the page is not live afterwards", async () => {
  await begin("doras-1", "dora", "emma larsen");
  await begin("doras-2", "dora", "ivo horvat");
  for (let i = 0; i < 60; i++) {
    await begin(`short-${i}`, "ben", `customer ${i}`);
    await end(`short-${i}`);
  }
  const page = await open("agent", "dora");
  await page.locator('[data-call="doras-2"]').waitFor();
  await page.getByRole("button", { name: "Mine" }).click();
  await page.locator('[data-call-row="doras-1"]').waitFor();
  const wall = await open("supervisor", "sue", { hash: "#/supervisor" });
  await wall.locator('[data-tile="doras-1"]').waitFor();
  await wall.context().setOffline(true);
  await wall.evaluate(() => window.dispatchEvent(new Event("offline")));
  await wall.locator('[data-connection="offline"]').waitFor();
  await end("doras-1");
  await wall.context().setOffline(false);
  await online(wall);
  await wall.locator('[data-tile="doras-1"]').waitFor({ state: "detached" });
  await wall.locator('[data-tile="doras-2"]').waitFor();
  await wall.context().close();
  await page.context().close();
  await end("doras-2");
});

test("who signs out leaves nothing to the next one at the same desk", async () => {
  const page = await browser.newPage();
  await page.goto(`${parley.url}/#/desk/own-4`);
  await signIn(page, "ann");
  await page.getByRole("tab", { name: "Wrap-up" }).click();
  await page.getByRole("textbox", { name: "Notes" }).fill("between us: she was rude");
  await page.getByRole("button", { name: "Menu of ann" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByLabel("User name").waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify(Object.entries(sessionStorage)).includes("rude")), false);
  await page.context().close();
});

test("an administrator is asked before somebody is signed out everywhere, and sees why something failed", async () => {
  const page = await browser.newPage();
  await page.goto(parley.url);
  await signIn(page, "ben");
  const root = await open("admin", "root", { hash: "#/users" });
  await root.getByRole("button", { name: "Sign ben out everywhere" }).click();
  const question = root.getByRole("dialog", { name: "Sign ben out everywhere?" });
  await checkWithAxe(root, "sign out everywhere");
  assert.equal(await page.locator('[data-connection="online"]').count(), 1);
  await root.route("**/disconnect", (route) => route.fulfill({ status: 503, json: { ok: false, error: { code: 503, message: "the store is busy" } } }), { times: 1 });
  await question.getByRole("button", { name: "Sign out" }).click();
  await question.getByText("the store is busy").waitFor();
  await question.getByRole("button", { name: "Sign out" }).click();
  await question.waitFor({ state: "detached" });
  await page.getByRole("dialog", { name: "Sign in again" }).waitFor();
  await page.context().close();
  await root.context().close();
});

test("nothing was logged as an error", () => {
  assert.deepEqual(browser.problems.filter((text) => !/ERR_INTERNET_DISCONNECTED|\/(demo\/token|api\/v1\/token\/refresh|disconnect)/.test(text)), []);
});
