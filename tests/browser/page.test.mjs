// The page in a real browser: an agent's first minute. With TEST_SCREENSHOT=FILE it also saves a picture for the README.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";
import { PATIENCE_MS, until } from "../support/wait.mjs";
import { startParley } from "./server.mjs";

const CHROMIUM = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const SCREENSHOT = process.env.TEST_SCREENSHOT;

let parley;
let profile;
let context;
let page;
const problems = [];

before(async () => {
  parley = await startParley("--demo", "--demo-line-ms", SCREENSHOT ? "1200" : "400", "--demo-pause-ms", "500");
  profile = await mkdtemp(join(tmpdir(), "parley-chromium-"));
  context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    viewport: { width: 1360, height: 820 },
    colorScheme: "light",
  });
  page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`${message.text()} ${message.location().url}`);
  });
});

after(async () => {
  await context?.close();
  await parley?.stop();
  if (profile) await rm(profile, { recursive: true, force: true });
});

test("lines appear as they are said", async () => {
  await page.goto(parley.url);
  await page.locator(".line").nth(2).waitFor();
  const count = await page.locator(".line").count();
  await page.waitForFunction((before) => document.querySelectorAll(".line").length > before, count);
  assert.ok((await page.locator('.line[data-speaker="customer"]').count()) > 0);
  assert.match(await page.locator("#call-clock").textContent(), /^\d+:\d\d$/);
});

test("the connection ends up as a WebSocket", async () => {
  await page.locator('#connection[data-state="live"]').waitFor();
  assert.equal(await page.locator("#connection-text").textContent(), "Live · websocket");
});

test("the reader sees that he is watching", async () => {
  await page.locator("#presence:not([hidden])").waitFor();
  assert.match(await page.locator(".watching").textContent(), /^[1-9]\d* watching$/);
});

test("documents are suggested, and feedback on one is counted", async () => {
  const card = page.locator(".card").first();
  await card.waitFor();
  const id = await card.getAttribute("data-document");
  const own = page.locator(`.card[data-document="${id}"]`);
  assert.ok((await own.locator("h3").textContent()).length > 3);
  await own.locator('[data-helpful="true"]').click();
  await own.locator(".totals", { hasText: "yes" }).waitFor();
  assert.equal(await own.locator(".totals").textContent(), "1 yes · 0 no");
  assert.equal(await own.locator('[data-helpful="true"]').getAttribute("aria-pressed"), "true");
  if (SCREENSHOT) {
    await page.locator(".line").nth(12).waitFor({ timeout: PATIENCE_MS });
    await page.locator(".card").nth(1).waitFor({ timeout: PATIENCE_MS });
    await page.locator('.card.best [data-helpful="true"]').click();
    await page.mouse.move(600, 10);
    await page.locator(".line.provisional").waitFor({ timeout: PATIENCE_MS });
    await page.waitForTimeout(300);
    await page.screenshot({ path: SCREENSHOT });
  }
});

test("after a lost connection it comes back and misses no line", async () => {
  await context.setOffline(true);
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await page.locator('#connection[data-state="lost"]').waitFor();
  await page.waitForTimeout(1500);
  await context.setOffline(false);
  await page.locator('#connection[data-state="live"]').waitFor();
  const callOfPage = () => page.locator("#call").getAttribute("data-call");
  let shown, stored;
  await until(async () => {
    const callId = await callOfPage();
    // A line that is still being said is shown as far as it was heard, and stored when it is final.
    shown = await page.locator(".line:not(.provisional) .said").allTextContents();
    stored = await page.evaluate(async (id) => {
      const { token } = await (await fetch("/demo/token")).json();
      const socket = window.io({ auth: { token }, forceNew: true });
      const answer = await socket.emitWithAck("call:subscribe", { call_id: id });
      socket.disconnect();
      return answer.transcript.map((line) => line.text);
    }, callId);
    return callId === await callOfPage() && shown.length > 3 && stored.length - shown.length <= 2 &&
      isDeepStrictEqual(shown, stored.slice(0, shown.length));
  }, () => `all lines: ${JSON.stringify({ shown, stored })}`);
});

test("a server that starts anew, with other keys and no calls, is found again", async () => {
  const before = await page.locator("#call").getAttribute("data-call");
  await parley.restart({ forget: true });
  await page.locator(`#call:not([data-call="${before}"])`).waitFor();
  await page.locator('#connection[data-state="live"]').waitFor();
  await page.locator(".line").nth(2).waitFor();
  assert.equal(await page.locator("#sign-in").isVisible(), false);
});

test("a small screen and a dark one work too", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.locator("#theme").click();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.equal(wide, false, "the page does not scroll sideways");
});

test("nothing was logged as an error", () => {
  // The browser itself notes a lost connection, and a poll that crossed with the end of its session (a server started
  // anew, a socket that disconnects while it upgrades): 400, as the reference answers it.
  const expected = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|WebSocket connection|400 .*\/socket\.io\/\?.*sid=/;
  const own = problems.filter((text) => !expected.test(text));
  assert.deepEqual(own, []);
});
