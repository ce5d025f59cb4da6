// Who is signed in, over the life of tokens; what a page keeps over a reload; the view in another site's frame.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const CALL = "s-1";
const TTL_S = 60; // the shortest that a login may have
let parley;
let browser;
let feed;
let other; // another site
let framing; // its origin

const token = (role, sub, ...more) => parley.token("--role", role, "--sub", sub, "--calls", "*", ...more);

async function say(event, data) {
  const answer = await feed.timeout(PATIENCE_MS).emitWithAck(event, { call_id: CALL, ...data });
  assert.equal(answer.ok, true, JSON.stringify(answer));
}
let lines = 0;
const line = (text) => say("transcription:update", { speaker: "customer", text, segment_id: `l${++lines}`, is_final: true });

/** The form remembers how one signed in the last time. */
async function give(scope, value) {
  const [field, toggle] = [scope.getByLabel("Token"), scope.getByRole("button", { name: "Use a token" })];
  await field.or(toggle).first().waitFor();
  if ((await field.count()) === 0) await toggle.click();
  await field.fill(value);
  await scope.getByRole("button", { name: "Sign in" }).click();
}

async function signIn(value, hash = `#/desk/${CALL}`) {
  const page = await browser.newPage();
  await page.goto(`${parley.url}/${hash}`);
  await give(page, value);
  await page.locator('[data-connection="online"]').waitFor();
  return page;
}

/** What the pill says of the connection: the same socket means that nothing was lost. */
async function socketOf(page) {
  await page.locator("[data-connection]").click();
  const socket = await page.locator("dt", { hasText: "Socket" }).locator("xpath=following-sibling::dd").textContent();
  await page.keyboard.press("Escape");
  return socket;
}

before(async () => {
  other = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><link rel="icon" href="data:,"><title>CRM</title><iframe title="Parley" src="${parley.url}/#/desk/${CALL}" width="1200" height="700"></iframe>`);
  });
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  framing = `http://localhost:${other.address().port}`;
  parley = await startParley("--drain-timeout-ms", "1000", "--token-ttl-s", String(TTL_S), "--frame-ancestors", framing,
    "--ping-timeout-ms", "600000"); // a page's clock that is put forward waits no longer for pings
  feed = io(`${parley.url}/feed`, { auth: { token: await token("feed", "pbx") }, transports: ["websocket"] });
  browser = await openBrowser();
  await say("call:start", { metadata: { customer: "crystal minh" }, agents: ["ann", "dora"] });
  await line("I forgot my username and I cannot log in");
});

after(async () => {
  await browser?.close();
  feed?.close();
  other?.close();
  await parley?.stop();
});

test("a login's token is renewed before it ends, and the desk stays as it is", async () => {
  await parley.addUser("dora", "correct horse", "--role", "agent");
  const page = await browser.newPage();
  await page.clock.install();
  await page.goto(`${parley.url}/#/desk/${CALL}`);
  await page.getByLabel("User name").fill("dora");
  await page.getByLabel("Password").fill("correct horse");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("[data-line]").first().waitFor();
  const stored = () => page.evaluate(() => sessionStorage.getItem("parley-token"));
  const [first, socket] = [await stored(), await socketOf(page)];
  await page.getByLabel("Search the knowledge base").fill("half a que");
  const { iat } = JSON.parse(Buffer.from(first.split(".")[1], "base64url"));
  await until(() => Date.now() >= (iat + 1) * 1000, "another second: tokens of one are equal");
  const renewed = page.waitForResponse((response) => response.url().endsWith("/api/v1/token/refresh"));
  await page.clock.fastForward((TTL_S * 2 * 1000) / 3 + 1000);
  assert.equal((await renewed).status(), 200);
  await until(async () => (await stored()) !== first, "another token");
  await line("still here");
  await page.locator("[data-said]", { hasText: "still here" }).waitFor();
  assert.equal(await socketOf(page), socket);
  assert.equal(await page.getByLabel("Search the knowledge base").inputValue(), "half a que");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.context().close();
});

/** A desk whose token ends soon, but not before something has been written there: on a machine that is too slow for that, later. */
async function signInToWrite(notes) {
  for (const ttl of [12, 40, 120]) {
    const page = await signIn(await token("agent", "ann", "--ttl", String(ttl)));
    try {
      await page.getByRole("tab", { name: "Wrap-up" }).click({ timeout: 1000 * ttl });
      await page.getByRole("textbox", { name: "Notes" }).fill(notes, { timeout: 1000 * ttl });
      return page;
    } catch (error) {
      if (error.name !== "TimeoutError") throw error;
      await page.context().close(); // it has ended already, and the question stands in front
    }
  }
  throw new Error("each token had ended before anything was written");
}

test("a token that cannot be renewed ends in a question; who signs in again finds the desk as it was, without a hole", async () => {
  const page = await signInToWrite("half a thought");
  const dialog = page.getByRole("dialog", { name: "Sign in again" });
  await dialog.waitFor();
  await checkWithAxe(page, "sign in again");
  await page.locator('[data-connection="online"]').waitFor({ state: "detached" }); // the token has ended
  await line("said while nobody was signed in");
  await give(dialog, await token("agent", "ann"));
  await dialog.waitFor({ state: "detached" });
  await page.locator('[data-connection="online"]').waitFor();
  await page.locator("[data-said]", { hasText: "said while nobody was signed in" }).waitFor();
  assert.equal(await page.getByRole("textbox", { name: "Notes" }).inputValue(), "half a thought");
  const shown = await page.locator("[data-said]").allTextContents();
  assert.deepEqual(shown.slice(-1), ["said while nobody was signed in"]);
  assert.equal(new Set(shown).size, shown.length);
  await page.context().close();
});

test("one's own votes stand after a reload, and another agent's do not", async () => {
  const [ann, ben] = [await signIn(await token("agent", "ann")), await signIn(await token("agent", "ben"))];
  await ann.locator("[data-card]").first().waitFor();
  const id = await ann.locator("[data-card]").first().getAttribute("data-document");
  const card = (page) => page.locator(`[data-card][data-document="${id}"]`);
  await card(ann).locator('[data-helpful="true"]').click();
  await card(ann).locator("[data-totals]", { hasText: "1 yes · 0 no" }).waitFor();
  await ann.reload();
  await card(ann).locator("[data-totals]", { hasText: "1 yes · 0 no" }).waitFor();
  assert.equal(await card(ann).locator('[data-helpful="true"]').getAttribute("aria-pressed"), "true");
  await ben.reload();
  await card(ben).waitFor();
  assert.equal(await card(ben).locator('[data-helpful="true"]').getAttribute("aria-pressed"), "false");
  await ann.context().close();
  await ben.context().close();
});

test("a call's lines are taken away as a file, and a summary is made when somebody asks", async () => {
  const page = await signIn(await token("agent", "ann"));
  await page.locator("[data-line]").first().waitFor();
  const menu = page.getByRole("button", { name: "More about this call" });
  for (const [name, file, begin] of [["WebVTT", "s-1.vtt", /^WEBVTT/], ["SubRip", "s-1.srt", /^1\n00:00:/], ["JSON", "s-1.json", /^\{.*"transcript":\[/], ["text", "s-1.txt", /customer: I forgot/i]]) {
    await menu.click();
    const downloading = page.waitForEvent("download");
    await page.getByRole("menuitem", { name: `Export as ${name}` }).click();
    const download = await downloading;
    assert.equal(download.suggestedFilename(), file);
    assert.match(await readFile(await download.path(), "utf8"), begin);
  }
  await menu.click();
  await checkWithAxe(page, "menu of a call");
  await page.getByRole("menuitem", { name: "Summary" }).click();
  await page.getByRole("button", { name: "Summarise now" }).click();
  await page.locator("[data-summary]", { hasText: "I forgot my username" }).waitFor();
  await checkWithAxe(page, "summary");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await until(() => menu.evaluate((button) => button === document.activeElement), "the focus on the menu again");
  await page.context().close();
});

test("the supervisor's wall has the server's numbers, and who works on which call", async () => {
  const page = await signIn(await token("supervisor", "sue"), "#/supervisor");
  const ann = await signIn(await token("agent", "ann"));
  await page.locator(`[data-tile="${CALL}"]`, { hasText: "dora" }).waitFor();
  await page.locator('[data-figure="Agents"]', { hasText: "1" }).waitFor();
  await page.locator('[data-figure="Lines a minute"]').waitFor();
  await checkWithAxe(page, "numbers");
  await ann.context().close();
  await page.context().close();
});

test("live calls are on the wall however many there are", async () => {
  for (let i = 0; i < 120; i++) await say("call:start", { call_id: `wall-${i}` });
  const page = await signIn(await token("supervisor", "sue"), "#/supervisor");
  await page.locator("[data-tile]").nth(120).waitFor();
  assert.equal(await page.locator("[data-tile]").count(), 121);
  await page.context().close();
});

test("another site shows the desk in a frame, if the option names it", async () => {
  const page = await browser.newPage();
  await page.goto(framing);
  const frame = page.frameLocator("iframe");
  await give(frame, await token("agent", "ann"));
  await frame.locator("[data-said]", { hasText: "I forgot my username" }).waitFor();
  await page.context().close();
  const stranger = await browser.newPage();
  await stranger.goto(framing.replace("localhost", "127.0.0.1"));
  await until(() => browser.problems.some((text) => /frame-ancestors/.test(text)), "the browser's refusal");
  await stranger.context().close();
});

test("nothing was logged as an error", () => {
  const expected = /frame-ancestors|chrome-error|ERR_BLOCKED|40[0134] .*(\/demo\/token|\/api\/v1\/token\/refresh)|400 .*\/socket\.io\/\?.*sid=|WebSocket connection/;
  assert.deepEqual(browser.problems.filter((text) => !expected.test(text)), []);
});
