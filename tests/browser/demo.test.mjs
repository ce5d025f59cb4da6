// What a new user finds with `parley --demo`: the teaching page on its plain WebSocket, and the chat with the embedded
// model: forms, alarms, the tree, approvals, sources; and all of it after a reload.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const ZONE = "Asia/Tokyo";
const ZONE_MS = 9 * 3_600_000;
const MINUTE_MS = 60_000;

let parley;
let browser;
let lesson; // the teaching page
let page; // the chat

before(async () => {
  parley = await startParley("--demo");
  browser = await openBrowser({ timezoneId: ZONE });
});

after(async () => {
  await browser?.close();
  await parley?.stop();
});

async function say(on, text) {
  await on.getByLabel("Message", { exact: true }).fill(text);
  await on.keyboard.press("Enter");
}

// ------------------------------------------------------------------ teaching

const taught = (on) => on.locator('[data-who="teacher"]');

/** Says it and returns the response. */
async function teach(text) {
  const count = await taught(lesson).count();
  await say(lesson, text);
  await until(async () => (await taught(lesson).count()) > count, () => `a response to "${text}"`);
  return taught(lesson).last().innerText();
}

test("the teaching page welcomes, teaches a topic piece by piece, and goes on with it after a question", async () => {
  lesson = await browser.newPage();
  await lesson.goto(`${parley.url}/demo`);
  await taught(lesson).filter({ hasText: "Welcome!" }).waitFor();
  const first = await teach("Teach me about refunds");
  assert.match(first, /^Initiate Refund\n/);
  assert.equal(await taught(lesson).last().locator("strong").first().textContent(), "Initiate Refund");
  await lesson.locator("#lesson", { hasText: "Mode: teaching · Topic: Product Defect: refunds and returns" }).waitFor();
  const second = await teach("continue");
  assert.notEqual(second, first);
  assert.match(await teach("How do I recover a password?"), /Source: Recover Password[^]*Back to our topic/);
  await lesson.locator("#lesson", { hasText: "Mode: answering · Topic: Product Defect" }).waitFor();
  const named = [...(await taught(lesson).last().innerText()).matchAll(/^Source: (.+)$/gm)].map(([, title]) => `Passage of “${title}”`);
  assert.deepEqual([...new Set(await taught(lesson).last().locator("summary").allTextContents())], [...new Set(named)], "what the answer quotes, and no other passage");
  const source = taught(lesson).last().locator("details").filter({ hasText: "Recover Password" }).first();
  await source.locator("summary").press("Enter");
  await source.locator("blockquote").filter({ hasText: /\S/ }).waitFor();
  await source.locator("summary").press("Enter");
  assert.match(await teach("continue"), /Refund Status/);
  assert.match(await teach("Create an alarm for 2099-01-01T00:30:00Z"), /on Thursday, 1 January 2099, 09:30 \(Asia\/Tokyo\)/);
  await checkWithAxe(lesson, "lesson");
});

test("after a lost connection the page connects again by itself, and a new lesson begins; what was said meanwhile is answered", async () => {
  await parley.end();
  await lesson.locator('#connection[data-state="Offline"]').waitFor();
  await say(lesson, "Teach me about refunds");
  await parley.start();
  await lesson.locator('#connection[data-state="Connected"]').waitFor();
  await until(async () => /^Initiate Refund/.test(await taught(lesson).last().innerText()), "the lesson");
  assert.equal(await taught(lesson).filter({ hasText: "Welcome!" }).count(), 2);
});

test("the demo plays by itself, one message after another's answer", async () => {
  await lesson.reload();
  await lesson.getByRole("button", { name: "Play the demo" }).click();
  await until(async () => (await taught(lesson).count()) === 5, "four answers after the welcome");
  assert.deepEqual(await lesson.locator('[data-who="you"]').allTextContents(), ["Teach me about refunds", "Continue", "How do I recover a password?", "Continue"]);
  await lesson.context().close();
});

// ---------------------------------------------------------------------- chat

const last = () => page.locator("[data-answer]").last();
const done = (count) => until(async () => (await page.locator('[data-answer][data-state="done"]').count()) === count, () => `${count} answers`);
/** "Thursday, 1 January 2099, 09:30 (Asia/Tokyo)" */
const inWords = (ms) => {
  const part = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, ...options }).format(ms);
  return `${part({ weekday: "long" })}, ${part({ day: "numeric", month: "long", year: "numeric" })}, ${part({ hour: "2-digit", minute: "2-digit" })} (${ZONE})`;
};
const localMinute = (ms) => new Date(ms + ZONE_MS).toISOString().slice(0, 16);

test("an alarm without a time asks for it; what is filled in is of the reader's zone, and goes out with one", async () => {
  page = await browser.newPage();
  await page.goto(`${parley.url}/#/chat`);
  await page.locator('[data-connection="online"]').waitFor();
  await say(page, "Create alarm");
  const form = page.locator("[data-elicitation]", { hasText: "needs more information" });
  await form.getByText(`Your time zone: ${ZONE}`).waitFor();
  await page.getByText("Ask for a change").waitFor();
  await checkWithAxe(page, "form of the alarm");
  const at = Math.ceil(Date.now() / MINUTE_MS + 60) * MINUTE_MS;
  await form.getByLabel("When").fill(localMinute(at));
  await form.getByRole("button", { name: "Send" }).click();
  await done(1);
  await last().getByText(`Alarm set: "Alarm" on ${inWords(at)}.`).waitFor();
});

test("an alarm that rings stands in the chat", async () => {
  await say(page, `Create an alarm for ${new Date(Date.now() + 5000).toISOString().slice(0, 19)}Z`);
  await done(2);
  await page.locator("[data-reminder]", { hasText: "Alarm" }).waitFor();
});

test("a node appears in the tree beside the chat, and is removed after consent", async () => {
  await say(page, "Add a node 'Plan' to the tree");
  const node = page.locator('[role="treeitem"][aria-label="Plan"]');
  await node.waitFor();
  await done(3);
  await say(page, "remove node Plan");
  const card = page.locator("[data-elicitation]", { hasText: 'May the assistant use "Remove a node"?' });
  await card.getByRole("button", { name: "Allow", exact: true }).waitFor();
  assert.equal(await node.count(), 1);
  await card.getByRole("button", { name: "Allow", exact: true }).click();
  await node.waitFor({ state: "detached" });
  await done(4);
});

test("a question is answered from the documents, and its sources open", async () => {
  await say(page, "How do I return an item?");
  await done(5);
  await last().locator("[data-source]", { hasText: "Return Due to Size" }).click();
  await page.locator("[data-article] mark").first().waitFor();
  await checkWithAxe(page, "source");
  await page.keyboard.press("Escape");
});

/** All that can be read, with what is folded. */
const whole = () => page.evaluate(() => [...document.querySelectorAll("[data-message] [data-bubble], [data-answer], [data-reminder]")].map((item) => item.textContent));

test("after a reload all of it stands there as it was, for the same visitor", async () => {
  const before = await whole();
  assert.equal(before.filter((text) => /^Reminder/.test(text)).length, 1);
  await page.reload();
  await done(5);
  assert.deepEqual(await whole(), before);
  await checkWithAxe(page, "after a reload");
});

test("nothing was logged as an error", () => {
  assert.deepEqual(browser.problems.filter((text) => !/ERR_CONNECTION_REFUSED/.test(text)), []);
});
