// The console in a real browser, against a server with a demo call: an agent's first minute.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { io } from "socket.io-client";
import { until } from "../support/wait.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

let parley;
let browser;
let page;

before(async () => {
  parley = await startParley("--demo", "--demo-line-ms", "400", "--demo-pause-ms", "500");
  browser = await openBrowser();
  page = await browser.newPage();
});

after(async () => {
  await browser?.close();
  await parley?.stop();
});

const online = () => page.locator('[data-connection="online"]').waitFor();
const callOfPage = () => page.locator("[data-call]").getAttribute("data-call");

/** The lines of a call as the server has them; none of a call that it has forgotten. */
async function storedLines(callId) {
  return (await storedCall(callId)).transcript?.map((line) => line.text) ?? [];
}

async function storedCall(callId) {
  const { token } = await (await fetch(`${parley.url}/demo/token`)).json();
  const socket = io(parley.url, { auth: { token }, forceNew: true });
  const answer = await socket.emitWithAck("call:subscribe", { call_id: callId });
  socket.disconnect();
  return answer;
}

test("lines appear as they are said", async () => {
  await page.goto(parley.url);
  await page.locator("[data-line]").nth(2).waitFor();
  // Not how many: the page may have come when a call was over, and the next may be shorter.
  const last = await page.locator("[data-line]").last().textContent();
  await page.waitForFunction((before) => ![before, undefined].includes([...document.querySelectorAll("[data-line]")].at(-1)?.textContent), last);
  await page.locator('[data-line][data-speaker="customer"]').first().waitFor();
  assert.match(await page.locator("[data-clock]").textContent(), /^\d+:\d\d$/);
});

test("the connection ends up as a WebSocket", async () => {
  await page.locator('[data-connection="online"][data-transport="websocket"]').waitFor();
});

test("readers see that they are watching", async () => {
  await page.locator("[data-presence]").waitFor();
  assert.match(await page.locator("[data-presence]").textContent(), /[1-9]\d* viewers?$/);
});

test("articles are suggested, and feedback on one is counted", async () => {
  const card = page.locator("[data-card]").first();
  await card.waitFor();
  const id = await card.getAttribute("data-document");
  const own = page.locator(`[data-card][data-document="${id}"]`);
  assert.ok((await own.locator("h3").textContent()).length > 3);
  await own.locator('[data-helpful="true"]').click();
  await own.locator("[data-totals]", { hasText: "yes" }).waitFor();
  assert.equal(await own.locator("[data-totals]").textContent(), "1 yes · 0 no");
  assert.equal(await own.locator('[data-helpful="true"]').getAttribute("aria-pressed"), "true");
});

test("without a connection it says so, the clock stands, feedback waits; afterwards no line is missing", async () => {
  const context = page.context();
  await context.setOffline(true);
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await page.locator('[data-connection="offline"]').waitFor();
  await page.locator('[role="alert"]', { hasText: "Connection lost" }).waitFor();
  assert.equal(await page.locator("[data-clock]").getAttribute("data-clock"), "stands");
  const stood = await page.locator("[data-clock]").textContent();
  const card = page.locator("[data-card]").last();
  await card.locator('[data-helpful="false"]').click();
  await card.locator("[data-totals]", { hasText: "Waiting" }).waitFor();
  await page.locator('[role="alert"]', { hasText: "1 change of yours" }).waitFor();
  const id = await card.getAttribute("data-document");
  const callId = await callOfPage();
  const before = (await storedLines(callId)).length;
  await until(async () => { // more lines, unless that one was the last
    const { call, transcript } = await storedCall(callId);
    return call?.status !== "active" || transcript.length > before;
  }, "lines while the page is offline");
  assert.equal(await page.locator("[data-clock]").textContent(), stood);
  await context.setOffline(false);
  await online();
  let shown, stored;
  await until(async () => {
    const call = await callOfPage();
    // A line that is still being said is shown as far as it was heard, and stored when it is final.
    shown = await page.locator("[data-line]:not([data-interim]) [data-said]").allTextContents();
    stored = await storedLines(call);
    return call === await callOfPage() && shown.length > 3 && stored.length - shown.length <= 2 &&
      isDeepStrictEqual(shown, stored.slice(0, shown.length));
  }, () => `all lines: ${JSON.stringify({ shown, stored })}`);
  if (callId === await callOfPage() && (await page.locator(`[data-card][data-document="${id}"]`).count()) > 0) {
    await page.locator(`[data-card][data-document="${id}"] [data-totals]`, { hasText: "0 yes · 1 no" }).waitFor();
  }
});

test("a server that starts anew, with other keys and no calls, is found again", async () => {
  const before = await callOfPage();
  await parley.restart({ forget: true });
  await page.locator(`[data-call]:not([data-call="${before}"], [data-call=""])`).waitFor();
  await online();
  await page.locator("[data-line]").nth(2).waitFor();
  assert.equal(await page.locator("form").count(), 0);
});

test("a small screen and a dark one work too", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.getByRole("button", { name: /^Menu of/ }).click();
  await page.getByRole("menuitem", { name: "Light or dark" }).click();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  for (const part of ["Calls", "Help", "Transcript"]) {
    await page.getByRole("button", { name: part, exact: true }).click();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false, `${part} does not scroll sideways`);
  }
});

test("nothing was logged as an error", () => {
  // The browser itself notes a lost connection, and a poll that crossed with the end of its session (a server started
  // anew, a socket that disconnects while it upgrades): 400, as the reference answers it.
  const expected = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|WebSocket connection|400 .*\/socket\.io\/\?.*sid=/;
  assert.deepEqual(browser.problems.filter((text) => !expected.test(text)), []);
});
