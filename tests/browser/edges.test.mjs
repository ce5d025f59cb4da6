// What is rare or odd: many calls, names and words that are long or of other scripts, broken addresses, pieces that do
// not load, clipboards that are closed, alerts on the wall, and the wall without a connection.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const LONG = "Wolfeschlegelsteinhausenbergerdorff-Donaudampfschifffahrtselektrizitätenhauptbetriebswerk";
const CALL = "odd";
const ARTICLE = { title: "Sizes", topic: "Returns", text: "See **all** sizes.\n\n1. Ask for the `size`, see https://help.example/" + "long/".repeat(40) + "\n\n| EU | US |\n|---|---|\n| 42 | 9 |\n" };

let parley, browser, feed;
const token = (role, sub) => parley.token("--role", role, "--sub", sub, "--calls", "*");
const say = async (event, data) => {
  const answer = await feed.timeout(PATIENCE_MS).emitWithAck(event, data);
  assert.ok(answer.ok, `${event}: ${JSON.stringify(answer.error)}`);
};
const line = (call_id, speaker, text) => say("transcription:update", { call_id, speaker, text, is_final: true });
async function write(path, body) {
  const response = await fetch(parley.url + path, { method: "POST", body: JSON.stringify(body), headers: { authorization: `Bearer ${await token("admin", "root")}`, "content-type": "application/json" } });
  assert.ok(response.ok, await response.clone().text());
  return response.json();
}
async function open(role, sub, hash, options) {
  const page = await browser.newPage(options);
  const value = await token(role, sub);
  await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), value);
  await page.goto(`${parley.url}/${hash}`);
  await page.locator('[data-connection="online"]').waitFor();
  return page;
}
const isSideways = (page) => page.evaluate(() => [document.documentElement, ...document.querySelectorAll("main, main section, main article, main ul, [data-tile]")].filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "auto").map((each) => each.dataset.tile ?? each.ariaLabel ?? each.tagName));
async function loseConnection(page) {
  await page.context().setOffline(true);
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await page.locator('[data-connection="offline"]').waitFor();
}

before(async () => {
  parley = await startParley("--drain-timeout-ms", "500");
  browser = await openBrowser();
  feed = io(`${parley.url}/feed`, { auth: { token: await token("feed", "pbx") }, transports: ["websocket"] });
  await say("call:start", { call_id: CALL, metadata: { customer: LONG, subject: LONG, agents: [`${LONG}@example.com`] } });
  for (const text of ["أريد إرجاع الحذاء رقم 42 (أسود)!", "I want to return it.", "返品したいです。", LONG]) await line(CALL, "customer", text);
});
after(async () => {
  feed?.close();
  await browser?.close();
  await parley?.stop();
});

test("lines and titles run in the direction of their own script", async () => {
  const page = await open("agent", "ann", `#/desk/${CALL}`);
  await page.locator("[data-said]").nth(3).waitFor();
  assert.deepEqual(await page.locator("[data-said]").evaluateAll((all) => all.map((each) => getComputedStyle(each).direction)), ["rtl", "ltr", "ltr", "ltr"]);
  await page.context().close();
});

test("long names stay within their places, at a desk and on a phone", async () => {
  for (const options of [{}, PHONE]) {
    const desk = await open("agent", "ann", `#/desk/${CALL}`, options);
    await desk.locator("[data-said]").nth(3).waitFor();
    assert.deepEqual(await isSideways(desk), []);
    const title = desk.locator("[data-call-title]");
    const box = await title.boundingBox();
    assert.ok(box.x + box.width <= desk.viewportSize().width);
    assert.ok(options.isMobile ? await title.evaluate((each) => each.scrollWidth <= each.clientWidth) : true, "the title is whole on a phone");
    await desk.context().close();
    const wall = await open("supervisor", "sue", "#/supervisor", options);
    await wall.locator(`[data-tile="${CALL}"]`).waitFor();
    assert.deepEqual(await isSideways(wall), []);
    await wall.context().close();
  }
});

test("an article's Markdown is read as such, within the width of a phone, and one that is gone leads back", async () => {
  const { doc_id } = await write("/api/v1/documents", ARTICLE);
  const phone = await open("supervisor", "sue", `#/knowledge/${doc_id}`, PHONE);
  const article = phone.locator(`[data-article="${doc_id}"]`);
  await article.locator("td", { hasText: "42" }).waitFor();
  assert.doesNotMatch(await article.textContent(), /[*`|]/);
  assert.deepEqual(await isSideways(phone), []);
  await checkWithAxe(phone, "article in Markdown");
  await phone.goto(`${parley.url}/#/knowledge/gone`);
  await phone.getByRole("alert").filter({ hasText: "not in the knowledge base any more" }).waitFor();
  await phone.getByRole("button", { name: "All articles" }).click();
  await phone.getByLabel("Filter the articles").fill("qqqq");
  await phone.getByText("No article matches.").waitFor();
  await phone.context().close();
});

test("an alert is on the supervisor's wall, when it fires and for who comes later, before calls without one", async () => {
  await write("/api/v1/rules", { name: "legal-threat", phrase: "my lawyer", level: "critical" });
  for (const call_id of ["calm", "angry", "later"]) await say("call:start", { call_id });
  const wall = await open("supervisor", "sue", "#/supervisor");
  await wall.locator('[data-tile="later"]').waitFor();
  assert.equal(await wall.locator("[data-tile-alert]").count(), 0);
  await line("angry", "customer", "I will call my lawyer about this");
  for (const page of [wall, await open("supervisor", "tim", "#/supervisor")]) {
    const tile = page.locator('[data-tile="angry"]');
    await tile.locator('[data-tile-alert="legal-threat"]', { hasText: "legal threat: I will call my lawyer about this" }).waitFor();
    assert.equal(await page.locator("[data-tile]").first().getAttribute("data-tile"), "angry");
    await page.locator('[data-figure="With alerts"]', { hasText: "1" }).waitFor();
    await checkWithAxe(page, "alert on the wall");
    await page.context().close();
  }
});

test("a waiting call is labelled in words, not only by the colour of a dot", async () => {
  await say("call:start", { call_id: "waits", metadata: { customer: "noah", subject: "subscription" }, status: "ringing" });
  const page = await open("agent", "ann", "#/desk/calm");
  await page.locator('[data-call-row="waits"]', { hasText: "Ringing · Subscription" }).waitFor();
  await page.context().close();
});

test("who looks into a call sees its alerts, and the newest note", async () => {
  const sue = await open("supervisor", "sue", "#/supervisor/angry");
  await sue.locator('[data-alert="legal-threat"]').waitFor();
  for (let i = 0; i < 12; i++) {
    await sue.getByLabel("Note to the agent").fill(`Note ${i}`);
    await sue.getByRole("button", { name: "Send note" }).click();
    await sue.locator("[data-note]", { hasText: `Note ${i}` }).waitFor();
  }
  const [note, list] = await Promise.all([sue.locator("[data-note]").last().boundingBox(), sue.getByRole("list", { name: "Notes" }).boundingBox()]);
  assert.ok(note.y >= list.y && note.y + note.height <= list.y + list.height + 1, "the newest note is in sight");
  await checkWithAxe(sue, "alert and notes");
  await sue.context().close();
});

test("what a supervisor writes while the note before is on its way stays", async () => {
  const page = await browser.newPage();
  const held = [];
  let isHeld = false, release = () => {};
  await page.routeWebSocket(/socket\.io/, (route) => {
    const server = route.connectToServer();
    server.onMessage((message) => (isHeld && /^43/.test(message) ? held : { push: (each) => route.send(each) }).push(message)); // 43: acknowledgements
    release = () => held.forEach((each) => route.send(each));
  });
  const value = await token("supervisor", "sue");
  await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), value);
  await page.goto(`${parley.url}/#/supervisor/calm`);
  await page.locator('[data-connection="online"]').waitFor();
  const box = page.getByLabel("Note to the agent");
  await box.fill("The first.");
  isHeld = true;
  await page.getByRole("button", { name: "Send note" }).click();
  await page.locator("[data-note]", { hasText: "The first." }).waitFor();
  await box.fill("The second.");
  await until(() => held.length, "the acknowledgement");
  isHeld = false;
  release();
  await page.getByRole("button", { name: "Send note" }).click();
  await page.locator("[data-note]", { hasText: "The second." }).waitFor();
  await until(async () => (await box.inputValue()) === "", "an empty box");
  await page.context().close();
});

test("at twice the size a supervisor reaches what is below: it scrolls", async () => {
  const page = await open("supervisor", "sue", `#/supervisor/${CALL}`, { viewport: { width: 680, height: 410 } });
  const send = page.getByRole("button", { name: "Send note" });
  await send.waitFor();
  const isInSight = async () => {
    const box = await send.boundingBox();
    return box.y >= 0 && box.y + box.height <= 410;
  };
  const title = await page.locator("[data-call-title]").boundingBox();
  await page.mouse.move(title.x + 5, title.y + 5);
  await page.mouse.wheel(0, 1000);
  await until(isInSight, "the button in sight");
  await page.context().close();
});

test("in imposed colours the open page, dots of a status and the open tab can be told", async () => {
  const page = await open("agent", "ann", "#/desk/calm", { forcedColors: "active" });
  await page.locator('[data-call-row="calm"]').waitFor();
  assert.notEqual(await page.locator('nav [aria-current="page"]').evaluate((each) => getComputedStyle(each).outlineStyle), "none");
  assert.notEqual(await page.locator('[data-call-row="calm"] > span').first().evaluate((each) => getComputedStyle(each).borderTopStyle), "none");
  assert.notEqual(await page.getByRole("tab", { name: "Articles" }).evaluate((each) => getComputedStyle(each).outlineStyle), "none");
  assert.equal(await page.getByRole("tabpanel").evaluate((each) => getComputedStyle(each).outlineStyle), "none");
  await page.context().close();
});

test("whatever the Tab key reaches is in sight and shows that it has the focus", async () => {
  for (const [role, sub, hash] of [["agent", "ann", `#/desk/${CALL}`], ["agent", "ann", "#/chat"], ["supervisor", "sue", "#/supervisor/angry"], ["supervisor", "sue", "#/knowledge"], ["admin", "root", "#/rules"]]) {
    const page = await open(role, sub, hash);
    await page.locator("main").first().waitFor();
    const hidden = [];
    for (let i = 0; i < 25; i++) {
      await page.keyboard.press("Tab");
      const stop = await page.evaluate(() => {
        const element = document.activeElement, style = getComputedStyle(element), { top, bottom, width } = element.getBoundingClientRect();
        return { name: (element.ariaLabel ?? element.textContent).slice(0, 40), isSeen: element === document.body || (style.outlineStyle !== "none" && style.opacity !== "0" && width > 0 && top < innerHeight && bottom > 0) };
      });
      if (!stop.isSeen) hidden.push(stop.name);
    }
    assert.deepEqual(hidden, [], hash);
    await page.context().close();
  }
});

test("the head of a long call stays one row at a desk", async () => {
  const page = await open("agent", "ann", "#/desk/calm");
  await page.clock.install({ time: Date.now() + 3 * 3_600_000 });
  await page.getByRole("button", { name: "Raise hand" }).click();
  await page.locator("form").getByRole("button", { name: "Raise hand" }).click();
  await page.getByRole("button", { name: "Lower hand" }).waitFor();
  const [hand, title] = await Promise.all([page.getByRole("button", { name: "Lower hand" }).boundingBox(), page.locator("[data-call-title]").boundingBox()]);
  assert.ok(Math.abs(hand.y + hand.height / 2 - title.y - title.height / 2) < 20, "beside the title");
  await page.context().close();
});

test("without a connection the wall's clocks stand still", async () => {
  const wall = await open("supervisor", "sue", "#/supervisor");
  await wall.locator("[data-age]").first().waitFor();
  await wall.clock.install();
  await wall.reload();
  await wall.locator("[data-age]").first().waitFor();
  await wall.clock.runFor(3000);
  const ages = () => wall.locator("[data-age]").allTextContents();
  const before = await ages();
  await wall.clock.runFor(3000);
  assert.notDeepEqual(await ages(), before, "they run with one");
  await loseConnection(wall);
  const lost = await ages();
  await wall.clock.runFor(5000);
  assert.deepEqual(await ages(), lost);
  await wall.context().close();
});

test("on a phone what does not fit beside a longer state of the connection fades at its edge", async () => {
  const phone = await open("agent", "ann", "#/desk", PHONE);
  const pages = phone.getByRole("navigation", { name: "Pages" });
  assert.equal(await pages.getAttribute("data-hidden"), null);
  await loseConnection(phone);
  await until(async () => (await pages.getAttribute("data-hidden")) === "right", "the edge to fade");
  await phone.context().close();
});

test("all live calls are listed, and an ended one that is open even if it is older than the page of calls", async () => {
  await say("call:start", { call_id: "old-1" });
  await say("call:end", { call_id: "old-1" });
  for (let i = 0; i < 60; i++) await say("call:start", { call_id: `bulk-${i}` });
  const page = await open("agent", "ann", "#/desk/old-1");
  await page.locator('[data-call-row="old-1"][aria-current="true"]').waitFor();
  await page.getByText(/^Live · 65$/).waitFor();
  await page.getByText("On the desk").waitFor();
  await page.getByRole("button", { name: "Older calls" }).click();
  await page.getByText("On the desk").waitFor({ state: "detached" });
  await page.getByText(/^Live · 65$/).waitFor();
  await page.context().close();
});

test("without a call there is nothing to find, note or wrap up", async () => {
  const page = await open("agent", "ann", "#/desk/no-such-call");
  await page.getByRole("alert").filter({ hasText: "This call does not exist" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Find in the transcript" }).count(), 0);
  await page.context().close();
});

test("an address that is no encoding is an unknown call, not a blank page", async () => {
  const page = await open("agent", "ann", "#/desk/%E0%A4%A");
  await page.getByRole("alert").filter({ hasText: "does not exist" }).waitFor();
  await page.context().close();
});

test("a page whose script does not load shows an error, and the other pages work", async () => {
  const page = await open("agent", "ann", "#/desk");
  await page.route(/chat-page\.js/, (route) => route.abort());
  await page.getByRole("button", { name: "Chat", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "This page could not be shown." }).waitFor();
  await checkWithAxe(page, "a page that failed");
  await page.getByRole("button", { name: "Desk", exact: true }).click();
  await page.locator("[data-call-row]").first().waitFor();
  await page.unroute(/chat-page\.js/);
  await page.getByRole("button", { name: "Chat", exact: true }).click();
  await page.getByRole("button", { name: "Load it again" }).click();
  await page.getByText("What can I help with?").waitFor();
  await page.context().close();
});

test("where pages have no clipboard, as over plain HTTP from another machine, a selection is copied", async () => {
  const page = await browser.newPage();
  await page.addInitScript(() => {
    Object.defineProperty(navigator, "clipboard", { value: undefined });
    document.addEventListener("copy", () => (window.copied = document.activeElement.value));
  });
  await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), await token("agent", "ann"));
  await page.goto(`${parley.url}/#/chat`);
  await page.locator('[data-connection="online"]').waitFor();
  await page.getByLabel("Message", { exact: true }).fill("How do I recover a password?");
  await page.keyboard.press("Enter");
  await page.locator('[data-answer][data-state="done"]').waitFor();
  await page.getByRole("button", { name: "Copy the answer" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.match(await page.evaluate(() => window.copied), /password/i);
  await page.locator("[data-source]").first().click();
  await page.locator("[data-article]").getByRole("button", { name: "Copy" }).click();
  await page.locator("[data-article]").getByRole("button", { name: "Copied" }).waitFor();
  assert.match(await page.evaluate(() => window.copied), /^Recover Password\n\n/);
  await page.goto(`${parley.url}/#/desk/${CALL}`);
  await page.getByRole("button", { name: "More about this call" }).click();
  await page.getByRole("menuitem", { name: "Summary" }).click();
  await page.getByRole("button", { name: "Summarise now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Copy" }).click();
  await page.getByRole("dialog").getByText("Copied").waitFor();
  assert.match(await page.evaluate(() => window.copied), /^Need: /, "also in a dialog, which keeps the focus");
  await page.context().close();
});

test("a refusal names the field that it is about", async () => {
  const page = await open("admin", "root", "#/users");
  await page.getByRole("button", { name: "Add a user" }).click();
  await page.getByLabel("User name").fill("x");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").filter({ hasText: "Not saved: password must have 10 to 1024 bytes" }).waitFor();
  await page.context().close();
});

test("a rule is deleted only after a question", async () => {
  const page = await open("admin", "root", "#/rules");
  await page.getByRole("button", { name: "Delete legal-threat" }).click();
  await checkWithAxe(page, "delete a rule");
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.getByRole("button", { name: "Delete legal-threat" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("No rules yet.").waitFor();
  await page.context().close();
});

test("nothing was logged as an error", () => {
  const expected = /ERR_INTERNET_DISCONNECTED|ERR_FAILED|chat-page\.js|WebSocket connection|400 .*\/api\/v1\/users|40[0134] .*(\/demo\/token|\/api\/v1\/documents\/gone|sid=)/;
  assert.deepEqual(browser.problems.filter((text) => !expected.test(text)), []);
});
