// The console as a contact centre uses it: a feed, agents at their desks, a supervisor; over a restart of the server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const CALL = "order-7";
let parley;
let browser;
let feed;
let ann;
let bob;
let sue;
const said = [];

async function say(event, data) {
  const answer = await feed.timeout(PATIENCE_MS).emitWithAck(event, { call_id: CALL, ...data });
  assert.equal(answer.ok, true, JSON.stringify(answer));
}

async function line(text, more = {}) {
  said.push(text);
  await say("transcription:update", { speaker: "customer", text, segment_id: `s${said.length}`, is_final: true, ...more });
}

const token = (role, sub, calls = "*") => parley.token("--role", role, "--sub", sub, "--calls", calls);

/** A page of somebody who signs in by the form. */
async function signIn(role, sub, options) {
  const page = await browser.newPage(options);
  await page.goto(parley.url);
  await page.getByRole("button", { name: "Use a token" }).click();
  await page.getByLabel("Token").fill(await token(role, sub));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator('[data-connection="online"]').waitFor();
  return page;
}

const linesOf = (page) => page.locator("[data-line]:not([data-interim]) [data-said]").allTextContents();
const shows = (page, text) => page.locator("[data-said]", { hasText: text }).first().waitFor();
/** A frame drawn and its effects run. */
const settled = (page) => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));

before(async () => {
  parley = await startParley("--drain-timeout-ms", "1000");
  feed = io(`${parley.url}/feed`, { auth: { token: await token("feed", "pbx") }, transports: ["websocket"] });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  feed?.close();
  await parley?.stop();
});

test("a user signs in by name and password, and a wrong one is refused in words", async () => {
  await parley.addUser("dora", "correct horse", "--role", "agent");
  const dora = await browser.newPage();
  await dora.goto(parley.url);
  await dora.getByLabel("User name").fill("dora");
  await dora.getByLabel("Password").fill("wrong horse");
  await checkWithAxe(dora, "sign in");
  await dora.getByRole("button", { name: "Sign in" }).click();
  await dora.getByRole("alert").filter({ hasText: "The name or the password is wrong." }).waitFor();
  await dora.getByLabel("Password").fill("correct horse");
  await dora.getByRole("button", { name: "Sign in" }).click();
  await dora.locator('[data-connection="online"]').waitFor();
  await dora.getByRole("button", { name: "Menu of dora" }).click();
  await dora.getByRole("menuitem", { name: "Sign out" }).click();
  await dora.getByLabel("User name").waitFor();
  await dora.context().close();
});

test("a token does as well, and the page says why one is refused", async () => {
  ann = await browser.newPage();
  await ann.goto(parley.url);
  await ann.getByRole("button", { name: "Use a token" }).click();
  await ann.getByLabel("Token").waitFor();
  await checkWithAxe(ann, "token");
  await ann.getByLabel("Token").fill("not.a.token");
  await ann.getByRole("button", { name: "Sign in" }).click();
  await ann.getByRole("alert").filter({ hasText: "Access denied" }).waitFor();
  await ann.getByLabel("Token").fill(await token("agent", "ann"));
  await ann.getByRole("button", { name: "Sign in" }).click();
  await ann.locator('[data-connection="online"]').waitFor();
  await ann.getByText("No calls yet.").waitFor();
  await checkWithAxe(ann, "no calls");
});

test("a call appears at two desks as it is spoken", async () => {
  bob = await signIn("agent", "bob", { colorScheme: "dark" });
  await say("call:start", { metadata: { customer: "crystal minh", subject: "return_size", agents: ["ann"] } });
  for (const page of [ann, bob]) {
    await page.locator(`[data-call-row="${CALL}"]`).waitFor();
    await page.locator(`[data-call="${CALL}"]`).waitFor();
    assert.equal(await page.locator("[data-call-title]").textContent(), "Crystal Minh");
  }
  await line("How can I help you?", { speaker: "agent" });
  await say("transcription:update", { speaker: "customer", text: "I forgot", segment_id: "s2", is_final: false });
  await ann.locator("[data-line][data-interim]", { hasText: "I forgot" }).waitFor();
  await line("I forgot my username and I cannot log in");
  for (const page of [ann, bob]) await shows(page, "I forgot my username and I cannot log in");
  assert.equal(await ann.locator("[data-line][data-interim]").count(), 0);
  assert.deepEqual(await linesOf(bob), said);
});

test("a line that the feed corrects is corrected in its place", async () => {
  await line("My name is Kristal");
  await shows(ann, "My name is Kristal");
  said[said.length - 1] = "My name is Crystal";
  await say("transcription:update", { speaker: "customer", text: "My name is Crystal", segment_id: `s${said.length}`, is_final: true });
  for (const page of [ann, bob]) await shows(page, "My name is Crystal");
  assert.match((await linesOf(ann)).at(-1), /^My name is Crystal\s*corrected$/);
});

test("both agents see suggestions, and each votes", async () => {
  for (const page of [ann, bob]) await page.locator("[data-card]").first().waitFor();
  const id = await ann.locator("[data-card]").first().getAttribute("data-document");
  const card = (page) => page.locator(`[data-card][data-document="${id}"]`);
  await card(ann).locator('[data-helpful="true"]').click();
  await card(ann).locator("[data-totals]", { hasText: "1 yes · 0 no" }).waitFor();
  await card(bob).locator('[data-helpful="false"]').click();
  await card(bob).locator("[data-totals]", { hasText: "1 yes · 1 no" }).waitFor();
  await card(bob).locator('[data-helpful="true"]').click();
  await card(bob).locator("[data-totals]", { hasText: "2 yes · 0 no" }).waitFor();
});

test("low or tied scores are possible topics, clear ones are suggested", async () => {
  const heading = ann.locator("[data-certain]");
  assert.equal(await heading.textContent(), (await heading.getAttribute("data-certain")) === "true" ? "Suggested articles" : "Possible topics");
  for (const page of [ann, bob]) await checkWithAxe(page, "desk");
});

test("the transcript is searched, and Escape ends it", async () => {
  await ann.locator("[data-lines]").click();
  await ann.keyboard.press("f");
  await ann.getByRole("textbox", { name: "Find in the transcript" }).fill("USERNAME");
  await ann.getByText("1 of 1").waitFor();
  assert.equal(await ann.locator("mark").textContent(), "username");
  await checkWithAxe(ann, "search");
  await ann.keyboard.press("Escape");
  await ann.getByRole("textbox", { name: "Find in the transcript" }).waitFor({ state: "detached" });
  assert.equal(await ann.locator("mark").count(), 0);
});

test("the transcript follows what is said until the reader scrolls away", async () => {
  for (let i = 0; i < 40; i++) await line(`Line number ${i}`);
  await shows(ann, "Line number 39");
  const box = ann.getByRole("region", { name: "Lines of the call" });
  const left = () => box.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
  await settled(ann);
  assert.ok((await left()) < 60, "at the end");
  await box.evaluate((element) => element.scrollTo(0, 0));
  await ann.getByRole("button", { name: "Latest" }).waitFor();
  await line("One more");
  await ann.getByRole("button", { name: "1 new line" }).waitFor();
  assert.equal(await box.evaluate((element) => element.scrollTop), 0);
  await ann.keyboard.press("l");
  await settled(ann);
  assert.ok((await left()) < 60, "back at the end");
});

test("the help sheet lists the shortcuts", async () => {
  await ann.keyboard.press("?");
  await ann.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await checkWithAxe(ann, "shortcuts");
  await ann.keyboard.press("Escape");
  await ann.getByRole("dialog").waitFor({ state: "detached" });
});

test("an agent raises a hand; the supervisor sees it, looks in and writes a note that both sides keep", async () => {
  sue = await signIn("supervisor", "sue");
  await sue.getByRole("button", { name: "Supervisor", exact: true }).click();
  const tile = sue.locator(`[data-tile="${CALL}"]`);
  await tile.waitFor();
  await ann.getByRole("button", { name: "Raise hand" }).click();
  await ann.getByLabel("What do you need help with?").fill("the refund");
  await ann.getByRole("button", { name: "Raise hand" }).last().click();
  await ann.getByRole("button", { name: "Lower hand" }).waitFor();
  await tile.locator("[data-hand]", { hasText: "ann asked for help" }).waitFor();
  assert.match(await tile.textContent(), /the refund/);
  await checkWithAxe(sue, "wall of calls");
  await tile.click();
  await shows(sue, "One more");
  await sue.getByLabel("Note to the agent").fill("Offer the gift card.");
  await sue.getByRole("button", { name: "Send note" }).click();
  await sue.locator("[data-note]", { hasText: "Offer the gift card." }).waitFor();
  await checkWithAxe(sue, "look in");
  await ann.locator('[role="tab"] [data-unread="1"]').waitFor();
  await ann.getByRole("tab", { name: /Notes/ }).click();
  await ann.locator("[data-note]", { hasText: "Offer the gift card." }).waitFor();
  assert.match(await ann.locator("[data-note]").textContent(), /^sue/);
  await checkWithAxe(ann, "notes");
  await ann.getByRole("button", { name: "Lower hand" }).click();
  await tile.locator("[data-hand]").waitFor({ state: "detached" });
});

test("with several agents in a call, a note may be for one of them: the others do not see it", async () => {
  const to = sue.getByLabel("Who sees the note");
  await to.selectOption({ label: "Only ann" });
  await checkWithAxe(sue, "whose note");
  await sue.getByLabel("Note to the agent").fill("For ann alone.");
  await sue.getByRole("button", { name: "Send note" }).click();
  await sue.locator("[data-note]", { hasText: "For ann alone." }).getByText("sue to ann").waitFor();
  await ann.locator("[data-note]", { hasText: "For ann alone." }).waitFor();
  await to.selectOption({ label: "All agents of the call" });
  await sue.getByLabel("Note to the agent").fill("For both.");
  await sue.getByRole("button", { name: "Send note" }).click();
  await bob.getByRole("tab", { name: /Notes/ }).click();
  await bob.locator("[data-note]", { hasText: "For both." }).waitFor();
  await ann.locator("[data-note]", { hasText: "For both." }).waitFor();
  assert.equal(await bob.locator("[data-note]", { hasText: "For ann alone." }).count(), 0);
});

test("an article is opened: its steps are ticked off and stay so, the passage is marked, Escape closes it", async () => {
  await ann.getByRole("tab", { name: "Articles" }).click();
  const title = await ann.locator("[data-card] h3").first().textContent();
  await ann.locator("[data-card] h3 button").first().click();
  const article = ann.locator("[data-article]");
  await article.getByRole("heading", { name: title }).waitFor();
  const step = article.getByRole("checkbox").first();
  await step.check();
  await article.getByText(/^1 of \d+ steps done$/).waitFor();
  assert.ok((await article.locator("mark").count()) > 0, "the passage that was suggested is marked");
  await checkWithAxe(ann, "article");
  await article.getByRole("button", { name: "Copy" }).click();
  await article.getByRole("button", { name: "Copied" }).waitFor();
  await ann.keyboard.press("Escape");
  await article.waitFor({ state: "detached" });
  await ann.keyboard.press("1");
  assert.equal(await article.getByRole("checkbox").first().isChecked(), true);
  await ann.keyboard.press("Escape");
  await article.waitFor({ state: "detached" });
});

test("a supervisor writes an article, and an agent finds it in the knowledge base", async () => {
  await sue.getByRole("button", { name: "Knowledge", exact: true }).click();
  await sue.getByText("55 articles").waitFor();
  await checkWithAxe(sue, "knowledge base");
  await sue.getByRole("button", { name: "New article" }).click();
  await sue.getByLabel("Title").fill("Gift cards");
  await sue.getByLabel("Topic").fill("Payment: gift cards");
  await sue.getByLabel("Text").fill("1. Ask for the number of the card\n2. Enter it in [Balance]");
  await checkWithAxe(sue, "editor");
  await sue.getByRole("button", { name: "Save" }).click();
  await sue.locator('[data-article="kb.gift-cards"]').waitFor();
  const phrases = sue.getByRole("region", { name: "Phrases" });
  for (const text of ["the voucher does not work", "a second phrase"]) {
    await phrases.getByLabel("Another phrase").fill(text);
    await phrases.getByRole("button", { name: "Add" }).click();
    await phrases.getByRole("listitem").filter({ hasText: text }).waitFor();
  }
  await phrases.getByRole("button", { name: "Change “the voucher does not work”" }).click();
  await phrases.getByLabel("Change the phrase").fill("my voucher is refused");
  await phrases.getByRole("button", { name: "Save" }).click();
  await phrases.getByRole("listitem").filter({ hasText: "my voucher is refused" }).waitFor();
  await phrases.getByRole("button", { name: "Delete “a second phrase”" }).click();
  await until(async () => (await phrases.getByRole("listitem").count()) === 1, "one phrase is left");
  await checkWithAxe(sue, "document");
  await ann.getByRole("button", { name: "Knowledge", exact: true }).click();
  await ann.getByLabel("Filter the articles").fill("gift cards");
  await ann.locator('[data-row="kb.gift-cards"]').click();
  await ann.getByText("Ask for the number of the card").waitFor();
  await ann.getByText("my voucher is refused").waitFor();
  assert.equal(await ann.getByRole("button", { name: /phrase|voucher/ }).count(), 0);
  assert.equal(await ann.getByRole("button", { name: "Edit", exact: true }).count(), 0);
  await ann.getByRole("button", { name: "Desk", exact: true }).click();
  await ann.locator(`[data-call="${CALL}"]`).waitFor();
  await ann.locator("[data-lines]").click();
  await ann.keyboard.press("/");
  const search = ann.getByLabel("Search the knowledge base");
  // An index whose building took long rests before it is built again: it is asked until it has the new article.
  await until(async () => {
    await search.fill("");
    await search.fill("balance of a gift card");
    await ann.getByRole("heading", { name: "Found articles" }).waitFor();
    return (await ann.locator("[data-card]").first().getAttribute("data-document")) === "kb.gift-cards";
  }, "the new article is found");
  await checkWithAxe(ann, "found articles");
  await ann.keyboard.press("Escape");
  await ann.locator("[data-certain]").waitFor();
  await sue.goto(`${parley.url}/#/supervisor/${CALL}`);
  await shows(sue, "One more");
});

test("over a restart of the server no line is lost or doubled", async () => {
  await ann.getByRole("tab", { name: "Articles" }).click();
  await parley.end();
  for (const page of [ann, bob, sue]) await page.locator('[data-connection="offline"]').waitFor();
  await ann.getByRole("alert").filter({ hasText: "Connection lost" }).waitFor();
  assert.equal(await ann.locator("[data-clock]").getAttribute("data-clock"), "stands");
  const card = ann.locator("[data-card]").last();
  const doc_id = await card.getAttribute("data-document");
  await card.locator('[data-helpful="false"]').click();
  await ann.locator("[data-totals]", { hasText: "Waiting" }).waitFor();
  await checkWithAxe(ann, "offline");
  await parley.start();
  await line("Said just after the restart");
  for (const page of [ann, bob, sue]) {
    await shows(page, "Said just after the restart");
    const shown = (await linesOf(page)).map((text) => text.replace(/corrected$/, ""));
    assert.deepEqual(shown, said);
  }
  await ann.getByRole("alert").filter({ hasText: "Connection lost" }).waitFor({ state: "detached" });
  await ann.locator("[data-totals]", { hasText: "Waiting" }).waitFor({ state: "detached" });
  const other = io(parley.url, { auth: { token: await token("agent", "cy") }, forceNew: true });
  const totals = await other.timeout(PATIENCE_MS).emitWithAck("doc:feedback", { call_id: CALL, doc_id, helpful: true });
  other.disconnect();
  assert.equal(totals.unhelpful, 1, "what waited was counted once");
});

test("the call ends, and the agent wraps it up", async () => {
  await say("call:end", {});
  await ann.locator("[data-call-status]", { hasText: "Ended" }).waitFor();
  await ann.getByRole("tab", { name: "Wrap-up" }).click();
  await ann.getByLabel("Outcome").selectOption("Resolved");
  await ann.getByRole("textbox", { name: "Notes" }).fill("Username recovered.");
  await ann.getByRole("button", { name: "Save" }).click();
  await ann.getByText("Saved", { exact: true }).waitFor();
  await checkWithAxe(ann, "wrap-up");
  await ann.reload();
  await ann.locator("[data-line]").first().waitFor();
  await ann.getByRole("tab", { name: "Wrap-up" }).click();
  assert.equal(await ann.getByLabel("Outcome").inputValue(), "Resolved");
  assert.equal(await ann.getByRole("textbox", { name: "Notes" }).inputValue(), "Username recovered.");
});

test("a call of others is refused, in words", async () => {
  const eve = await browser.newPage();
  await eve.goto(parley.url);
  await eve.getByRole("button", { name: "Use a token" }).click();
  await eve.getByLabel("Token").fill(await token("agent", "eve", "none"));
  await eve.getByRole("button", { name: "Sign in" }).click();
  await eve.locator('[data-connection="online"]').waitFor();
  await eve.goto(`${parley.url}/#/desk/${CALL}`);
  await eve.getByRole("alert").filter({ hasText: "Access denied: this call is not yours." }).waitFor();
  await checkWithAxe(eve, "refused");
  await eve.context().close();
});

test("an administrator writes a rule, and the agent sees the alert in the call in which it fires", async () => {
  const root = await signIn("admin", "root");
  await root.getByRole("button", { name: "Rules", exact: true }).click();
  await root.getByText("No rules yet.").waitFor();
  await root.getByRole("button", { name: "Add a rule" }).click();
  await root.getByLabel("Name").fill("cancels");
  await root.getByLabel("Level").selectOption("critical");
  await root.getByLabel("Words or pattern").fill("cancel my contract");
  await root.getByLabel("Message").fill("Offer the retention plan");
  await checkWithAxe(root, "add a rule");
  await root.getByRole("button", { name: "Save" }).click();
  await root.locator('[data-rule="cancels"]').waitFor();
  await checkWithAxe(root, "rules");
  const call_id = "alerting";
  await say("call:start", { call_id, metadata: { customer: "lee wong" } });
  await ann.goto(`${parley.url}/#/desk/${call_id}`);
  await ann.locator(`[data-call="${call_id}"]`).waitFor();
  await say("transcription:update", { call_id, speaker: "customer", text: "I want to cancel my contract today", segment_id: "a1", is_final: true });
  await ann.locator('[data-alert="cancels"]', { hasText: "Offer the retention plan" }).waitFor();
  await checkWithAxe(ann, "alert");
  await ann.getByRole("button", { name: "Dismiss" }).click();
  await ann.locator("[data-alert]").waitFor({ state: "detached" });
  await say("call:end", { call_id });
  await root.getByRole("button", { name: "Delete cancels" }).click();
  await root.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await root.getByText("No rules yet.").waitFor();
  await root.context().close();
});

test("an administrator adds a user, who logs in, changes the role and removes the user", async () => {
  const root = await signIn("admin", "root");
  await root.getByRole("button", { name: "Users", exact: true }).click();
  await root.locator('[data-user="dora"]').waitFor();
  await root.getByRole("button", { name: "Add a user" }).click();
  await root.getByLabel("User name").fill("finn");
  await root.getByLabel("Password").fill("staple battery");
  await root.getByLabel("Chats").fill("one, two");
  await checkWithAxe(root, "add a user");
  await root.getByRole("button", { name: "Save" }).click();
  const row = root.locator('[data-user="finn"]');
  await row.filter({ hasText: "All calls · Chats: one,two" }).waitFor();
  await checkWithAxe(root, "users");
  const finn = await browser.newPage();
  await finn.goto(parley.url);
  await finn.getByLabel("User name").fill("finn");
  await finn.getByLabel("Password").fill("staple battery");
  await finn.getByRole("button", { name: "Sign in" }).click();
  await finn.locator('[data-connection="online"]').waitFor();
  assert.equal(await finn.getByRole("button", { name: "Users", exact: true }).count(), 0);
  await row.getByRole("button", { name: "Change" }).click();
  await root.getByLabel("Role").selectOption("supervisor");
  await root.getByRole("button", { name: "Save" }).click();
  await row.getByText("Supervisor").waitFor();
  await row.getByRole("button", { name: "Remove finn" }).click();
  await root.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await row.waitFor({ state: "detached" });
  await finn.context().close();
  await root.context().close();
});

test("a past call is found by what was said in it", async () => {
  await ann.getByLabel("Filter the calls").fill("forgot username");
  await ann.getByRole("button", { name: "Search what was said" }).click();
  const found = ann.locator(`[data-found="${CALL}"]`, { hasText: "I forgot my username" });
  await found.waitFor();
  await checkWithAxe(ann, "calls found");
  await found.click();
  await ann.locator(`[data-call="${CALL}"]`).waitFor();
  await ann.getByLabel("Filter the calls").fill("forgot my username");
  await found.waitFor({ state: "detached" });
  await ann.getByLabel("Filter the calls").press("Enter");
  await found.waitFor();
  await ann.getByLabel("Filter the calls").fill("");
});

test("on a phone the page that is open is in sight among the pages, and the edge shows that there are others", async () => {
  const phone = await signIn("admin", "root", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  const pages = phone.getByRole("navigation", { name: "Pages" });
  for (const name of ["Users", "Desk", "Knowledge"]) {
    await phone.goto(`${parley.url}/#/${name.toLowerCase()}`);
    const current = pages.getByRole("button", { name, exact: true });
    await phone.locator('nav [aria-current="page"]', { hasText: name }).waitFor();
    const [box, around] = await Promise.all([current.boundingBox(), pages.boundingBox()]);
    assert.ok(box.x >= around.x - 1 && box.x + box.width <= around.x + around.width + 1, `${name} is cut`);
    assert.equal(await pages.getAttribute("data-hidden"), { Users: "left", Desk: "right", Knowledge: "leftright" }[name]);
  }
  await phone.goto(`${parley.url}/#/desk/no-such-call`);
  await phone.getByRole("alert").filter({ hasText: "This call does not exist" }).waitFor();
  await phone.context().close();
});

test("with many calls the one on the desk stays in sight, whatever the filter", async () => {
  for (let i = 0; i < 60; i++) await say("call:start", { call_id: `many-${i}`, metadata: { customer: `customer ${i}`, subject: i % 2 ? "refund" : "delivery" } });
  await ann.goto(`${parley.url}/#/desk/${CALL}`);
  const row = ann.locator(`[data-call-row="${CALL}"]`);
  await ann.locator('[data-call-row="many-59"]').waitFor();
  await row.waitFor();
  assert.equal(await row.getAttribute("aria-current"), "true");
  await ann.getByLabel("Filter the calls").fill("refund");
  await ann.locator('[data-call-row="many-58"]').waitFor({ state: "detached" });
  await ann.locator('[data-call-row="many-59"]').waitFor();
  await row.waitFor();
  await ann.getByLabel("Filter the calls").fill("");
  await ann.getByRole("button", { name: "Mine" }).click();
  assert.deepEqual(await ann.locator("[data-call-row]").evaluateAll((rows) => rows.map((each) => each.dataset.callRow)), [CALL]);
});

test("on a phone: the title is whole, targets are large enough, nothing scrolls sideways", async () => {
  const phone = await signIn("agent", "ann", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await phone.goto(`${parley.url}/#/desk/${CALL}`);
  await phone.locator(`[data-call="${CALL}"]`).waitFor();
  for (const part of ["Calls", "Transcript", "Help"]) {
    await phone.getByRole("button", { name: part, exact: true }).click();
    assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false, part);
    const small = await phone.locator("button:visible, a:visible, input:visible, select:visible, [role=tab]:visible").evaluateAll((all) => all
      .filter((each) => !each.disabled && each.type !== "checkbox")
      .map((each) => [each.textContent || each.ariaLabel, getComputedStyle(each, "::after").position === "absolute" ? each.closest("[data-card]") : each])
      .map(([name, target]) => [name, Math.round(target.getBoundingClientRect().height)])
      .filter(([, height]) => height > 0 && height < 44));
    assert.deepEqual(small, [], part);
    await checkWithAxe(phone, `phone: ${part}`);
  }
  await phone.getByRole("button", { name: "Transcript", exact: true }).click();
  const title = phone.locator("[data-call-title]");
  assert.equal(await title.evaluate((element) => element.scrollWidth > element.clientWidth), false, "the title is not cut");
  const [head, chip] = await Promise.all([title.boundingBox(), phone.locator("[data-call-status]").boundingBox()]);
  assert.ok(chip.y >= head.y + head.height, "chips stand below the title");
  await phone.context().close();
});

test("colours that the reader's system imposes leave everything there", async () => {
  const page = await signIn("agent", "ann", { forcedColors: "active" });
  await page.locator("[data-call-row]").first().waitFor();
  assert.notEqual(await page.locator('[data-call-row][aria-current="true"]').evaluate((row) => getComputedStyle(row).outlineStyle), "none");
  assert.notEqual(await page.locator("[data-call-status]").evaluate((chip) => getComputedStyle(chip).borderStyle), "none");
  await page.context().close();
});

test("nothing was logged as an error", () => {
  // The browser itself notes a lost connection, a server that stops (503), a poll that crossed with the end of its
  // session, and what was refused on purpose.
  const expected = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket connection|40[04] .*(\/socket\.io\/\?.*sid=|\/demo\/token)|503 .*\/socket\.io\/|401 .*\/api\/v1\/(login|token\/refresh)/;
  assert.deepEqual(browser.problems.filter((text) => !expected.test(text)), []);
});
