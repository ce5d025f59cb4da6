// The chat page with an assistant that says what a test tells it: every kind of question, tools, sources, failures; by
// keyboard, on a phone, with imposed colours.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { ChatPeer, SCRIPTS, tokenOf } from "./chat-peer.mjs";
import { openBrowser } from "./chromium.mjs";

let peer;
let browser;
let page;
const token = tokenOf({ sub: "uma", role: "user", exp: 4e9 });

async function open(options = {}, hash = "#/chat") {
  const opened = await browser.newPage(options);
  await opened.addInitScript((each) => sessionStorage.setItem("parley-token", each), token);
  await opened.goto(`${peer.url}/${hash}`);
  await opened.locator('[data-connection="online"]').waitFor();
  return opened;
}

async function say(text, on = page) {
  await on.getByLabel("Message", { exact: true }).fill(text);
  await on.keyboard.press("Enter");
}
const last = (on = page) => on.locator("[data-answer]").last();

before(async () => {
  peer = await new ChatPeer().start();
  peer.script = (content) => SCRIPTS[content]?.() ?? [["chat.token", { content: `You said ${content}` }]];
  browser = await openBrowser();
  page = await open();
});

after(async () => {
  await browser?.close();
  await peer?.stop();
});

test("a user has the chat and nothing else; ideas begin one", async () => {
  assert.deepEqual(await page.getByRole("navigation", { name: "Pages" }).count(), 0);
  await page.getByText("What can I help with?").waitFor();
  await page.locator('[data-chat="chat-1"]').waitFor();
  await checkWithAxe(page, "no chat");
});

test("an answer is Markdown, with its steps, tools and sources", async () => {
  await say("How do I return an order?");
  await last().locator("li", { hasText: "Open the order" }).waitFor();
  await page.locator('[data-answer][data-state="done"]').waitFor();
  assert.equal(await last().locator("td").first().textContent(), "Gold");
  assert.equal(await last().getByRole("link", { name: "how to" }).getAttribute("rel"), "noopener noreferrer");
  await last().locator('[data-tool][data-state="done"] summary').click();
  await last().locator("[data-tool]").getByText("The customer will print").or(last().locator("[data-tool] pre")).first().waitFor();
  await last().locator("[data-thinking] summary").click();
  await last().getByText("Searching the knowledge base").waitFor();
  await checkWithAxe(page, "answer");
  assert.match(page.url(), /#\/chat\/chat-1$/);
});

test("a source opens at the passage that was quoted, beside the chat; Escape leads back to it", async () => {
  await page.getByLabel("Message", { exact: true }).fill("half a word");
  await last().locator('[data-source="d1"]').click();
  const reader = page.locator('[data-article="d1"]');
  await reader.locator("mark", { hasText: "you need their full address." }).waitFor();
  assert.equal(await reader.locator("mark").count(), 1);
  await reader.getByText("0 of 3 steps done").waitFor();
  await until(() => page.evaluate((wanted) => document.activeElement.textContent === wanted, "Back to the chat"), "the focus at Back to the chat");
  assert.equal(await last().isVisible(), true, "the answer stands beside it");
  await reader.getByLabel("Get their address").check();
  await reader.getByText("1 of 3 steps done").waitFor();
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => (window.copied = text) } }));
  await reader.getByRole("button", { name: "Copy" }).click();
  await reader.getByRole("button", { name: "Copied" }).waitFor();
  assert.match(await page.evaluate(() => window.copied), /^Return Due to Size\n\nFor returns/);
  await checkWithAxe(page, "source");
  await page.keyboard.press("Escape");
  await reader.waitFor({ state: "detached" });
  await until(() => page.evaluate((wanted) => document.activeElement.dataset.source === wanted, "d1"), "the focus at d1");
  assert.equal(await page.getByLabel("Message", { exact: true }).inputValue(), "half a word");
  await page.getByLabel("Message", { exact: true }).fill("");
});

test("a source whose article is gone shows what was quoted of it", async () => {
  await last().locator('[data-source="d2"]').click();
  const reader = page.locator('[data-article="d2"]');
  await reader.getByRole("alert").filter({ hasText: "not in the knowledge base any more" }).waitFor();
  await reader.getByText("Gold members get unlimited returns.").waitFor();
  await checkWithAxe(page, "source that is gone");
  await reader.getByRole("button", { name: "Back to the chat" }).click();
});

test("a form has a field of each kind, and goes back as its schema says", async () => {
  await say("Plan it");
  const form = page.locator('[data-elicitation="e-form"]');
  await form.waitFor();
  assert.equal(await form.getByLabel("What is to be done").inputValue(), "Call Crystal back");
  await checkWithAxe(page, "form");
  await form.getByRole("button", { name: "Send" }).click();
  assert.equal(peer.submitted.size, 0, "what is required is asked for first");
  await form.getByLabel("Priority").selectOption("High");
  await form.getByLabel("Hours").fill("3");
  await form.getByLabel("Due date").fill("2026-12-24");
  await form.getByLabel("mail").check();
  await form.getByLabel("chat").check();
  await form.getByLabel("It is urgent").check();
  peer.refuse = { code: 400, message: "must not be a holiday", field: "/content/due" };
  await form.getByRole("button", { name: "Send" }).click();
  await form.getByText("must not be a holiday").waitFor();
  assert.equal(await form.getByLabel("Due date").getAttribute("aria-invalid"), "true");
  await checkWithAxe(page, "form refused");
  peer.refuse = null;
  await form.getByRole("button", { name: "Send" }).click();
  await page.locator('[data-elicitation="e-form"][data-state="accept"]').waitFor();
  assert.deepEqual(peer.submitted.get("e-form"), { title: "Call Crystal back", priority: "high", hours: 3, due: "2026-12-24", channels: ["mail", "chat"], urgent: true });
  peer.emit("chat.done", { ref_id: peer.log.findLast(([event]) => event === "chat.message")[1].id, final_text: "I need a few things for that. ", is_complete: true });
});

test("a link says to which host it leads, and opens elsewhere", async () => {
  await say("Connect my calendar");
  const card = page.locator('[data-elicitation="e-url"]');
  assert.equal(await card.locator("[data-host]").textContent(), "accounts.calendar.example");
  await checkWithAxe(page, "link");
  const link = card.getByRole("link", { name: "Open accounts.calendar.example" });
  assert.deepEqual([await link.getAttribute("target"), await link.getAttribute("rel")], ["_blank", "noopener noreferrer"]);
  await card.getByRole("button", { name: "Decline" }).click();
  await page.locator('[data-elicitation="e-url"][data-state="decline"]').waitFor();
  assert.equal(peer.submitted.get("e-url"), "decline");
  peer.emit("chat.done", { ref_id: peer.log.findLast(([event]) => event === "chat.message")[1].id, final_text: "", is_complete: true });
});

test("a link that is no web address cannot be followed", async () => {
  peer.script = () => [["elicitation.start", { id: "e-bad", mode: "url", message: "Follow me", url: "javascript:alert(1)" }]];
  await say("bad link");
  await page.locator('[data-elicitation="e-bad"]').getByText("cannot be opened").waitFor();
  assert.equal(await page.locator('[data-elicitation="e-bad"] a').count(), 0);
  peer.emit("elicitation.end", { id: "e-bad", action: "cancel" });
  peer.script = (content) => SCRIPTS[content]?.() ?? [["chat.token", { content: `You said ${content}` }]];
});

test("what Markdown a model makes up fetches nothing and runs nothing", async () => {
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  peer.script = () => [["chat.token", { content: "![track](https://evil.example/pixel.png) <img src=x onerror=alert(1)> [click](javascript:alert(1)) <script>alert(1)</script>" }]];
  await say("evil");
  await page.getByRole("link", { name: "track" }).waitFor();
  assert.equal(await last().locator("img, script").count(), 0);
  assert.equal(await last().locator('a[href^="javascript"]').count(), 0);
  assert.deepEqual(asked.filter((url) => !url.startsWith(peer.url)), []);
  peer.script = (content) => SCRIPTS[content]?.() ?? [["chat.token", { content: `You said ${content}` }]];
});

test("what is wide scrolls within itself: tables, code, titles of sources and of chats", async () => {
  const columns = Array.from({ length: 14 }, (_, i) => `column ${i}`).join(" | ");
  const former = peer.script;
  peer.script = () => [["chat.token", { content: `| ${columns} |\n|${"---|".repeat(14)}\n| ${columns} |\n\n\`\`\`\n${"code ".repeat(80)}\n\`\`\`\n\n${"word".repeat(80)}` }], ["chat.source", { doc_id: "long", title: "A title that is long ".repeat(12), excerpt: "x" }]];
  peer.chats[0].title = "A chat with a title that is too long for its row";
  await page.reload();
  await say("wide");
  await page.locator('[data-source="long"]').waitFor();
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('[role="log"], nav ul, nav li')].filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent.slice(0, 40))), []);
  const cell = last().locator("td").first();
  assert.ok((await cell.boundingBox()).height < 60, "a cell is read in its row, not letter by letter");
  peer.script = former;
});

test("a tool that needs consent shows what it would do; progress is shown as it comes", async () => {
  await say("Remove Task 1");
  const card = page.locator('[data-elicitation="e-ask"]');
  await card.getByText("/root/children/t1").waitFor();
  await checkWithAxe(page, "approval");
  await card.getByRole("button", { name: "Do not allow" }).click();
  await page.locator('[data-elicitation="e-ask"][data-state="decline"]').waitFor();
  peer.emit("chat.done", { ref_id: peer.log.findLast(([event]) => event === "chat.message")[1].id, final_text: "", is_complete: true });
  await say("Import the documents");
  await last().getByText("34 of 55 documents").first().waitFor();
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await checkWithAxe(page, "progress");
  peer.emit("chat.done", { ref_id: peer.log.findLast(([event]) => event === "chat.message")[1].id, final_text: "", is_complete: true, stopped: true });
  await last().getByText("You stopped this answer.").waitFor();
});

test("a failure is said in words, a reminder stands in the chat", async () => {
  await say("What failed?");
  await last().getByText("no model can be reached").waitFor();
  peer.emit("reminder.due", { id: "r1", text: "Call Crystal back", at: new Date().toISOString() });
  await page.locator("[data-reminder]", { hasText: "Call Crystal back" }).waitFor();
  await checkWithAxe(page, "failure and reminder");
});

test("who listens to the page hears whole answers and questions, once", async () => {
  const heard = page.locator('[aria-live="polite"] p');
  await say("hello");
  await until(async () => (await heard.allTextContents()).some((text) => text === "Answer: You said hello"), "the announcement");
  assert.equal((await heard.allTextContents()).filter((text) => text === "Answer: You said hello").length, 1);
});

test("the tree is used by keyboard alone", async () => {
  const add = (id, value) => peer.emit("tree.update", { delta: { action: "add", path: "/root/children", node: { id, value, children: [] } }, version: ++version });
  let version = 0;
  add("t1", "Task 1");
  add("t2", "Task 2");
  peer.emit("tree.update", { delta: { action: "add", path: "/root/children/t1/children", node: { id: "s1", value: "Step", children: [] } }, version: ++version });
  await page.locator('[data-node="s1"]').waitFor();
  await page.locator('[data-node="root"]').focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowLeft");
  await page.locator('[data-node="s1"]').waitFor({ state: "detached" });
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("End");
  await until(() => page.evaluate((wanted) => document.activeElement.dataset.node === wanted, "t2"), "the focus at t2");
  await page.keyboard.press("F2");
  assert.equal(await page.getByLabel("Value").inputValue(), "Task 2");
  await checkWithAxe(page, "rename");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Home");
  await until(() => page.evaluate((wanted) => document.activeElement.dataset.node === wanted, "root"), "the focus at root");
  assert.deepEqual(await page.locator('[role="treeitem"]').evaluateAll((all) => all.map((each) => [each.dataset.node, each.ariaLevel, each.ariaPosInSet, each.ariaSetSize])), [["root", "1", "1", "1"], ["t1", "2", "1", "2"], ["s1", "3", "1", "1"], ["t2", "2", "2", "2"]]);
  await checkWithAxe(page, "tree");
});

test("on a phone: one part at a time, targets are large enough, nothing scrolls sideways", async () => {
  const phone = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: "dark" }, "#/chat/chat-1");
  await phone.locator("[data-answer]").first().waitFor();
  for (const part of ["Chats", "Chat", "Tree"]) {
    await phone.getByRole("button", { name: part, exact: true }).click();
    assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false, part);
    const small = await phone.locator("button:visible, a:visible, input:visible, select:visible, textarea:visible, summary:visible, [role=treeitem]:visible").evaluateAll((all) => all
      .filter((each) => !each.disabled && each.type !== "checkbox" && !each.closest(".prose"))
      .map((each) => [each.textContent || each.ariaLabel, Math.round(each.getBoundingClientRect().height)])
      .filter(([, height]) => height > 0 && height < 44));
    assert.deepEqual(small, [], part);
    await checkWithAxe(phone, `phone: ${part}`);
  }
  await phone.getByRole("button", { name: "Chat", exact: true }).click();
  await phone.locator('[data-source="d1"]').click();
  const reader = phone.locator('[data-article="d1"]');
  await reader.locator("mark").waitFor();
  assert.equal(await phone.locator("[data-answer]").first().isVisible(), false, "it stands over the chat");
  assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
  await checkWithAxe(phone, "phone: source");
  await reader.getByRole("button", { name: "Back to the chat" }).click();
  await phone.locator("[data-answer]").first().waitFor();
  await phone.context().close();
});

test("colours that the reader's system imposes leave everything there", async () => {
  const forced = await open({ forcedColors: "active" }, "#/chat/chat-1");
  await forced.locator("[data-answer]").first().waitFor();
  assert.notEqual(await forced.locator('[data-chat="chat-1"]').evaluate((row) => getComputedStyle(row).outlineStyle), "none");
  assert.notEqual(await forced.locator("[data-bubble]").first().evaluate((bubble) => getComputedStyle(bubble).borderStyle), "none");
  await forced.context().close();
});

test("nothing was logged as an error", () => assert.deepEqual(browser.problems.filter((text) => !/404 .*\/(demo\/token|api\/)/.test(text)), []));
