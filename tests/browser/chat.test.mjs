// The assistant as users have it, against Parley with a model of the test's own: the page, several tabs, over restarts,
// without sockets; and the widget on another site.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { gate, startModel } from "../clients/lib/model.mjs";
import { keyOf, now, sign } from "../clients/lib/tokens.mjs";
import { until } from "../support/wait.mjs";
import { checkWithAxe } from "./axe.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

let model;
let parley;
let browser;
let site; // another site
let page;
let held = gate();
const questions = [];

/** Says the question back, word by word; "slow" waits in the middle, "search" searches first. */
async function* answer(messages) {
  const question = messages.findLast(({ role }) => role === "user").content;
  if (question.startsWith("search") && messages.at(-1).role !== "tool") return void (yield { call: "search_knowledge", args: { query: question } });
  questions.push(question);
  yield "You said: ";
  if (question.startsWith("slow")) yield { wait: held.promise };
  for (const word of question.split(" ")) yield `${word} `;
}

before(async () => {
  site = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(site.html);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  site.url = `http://localhost:${site.address().port}`;
  model = await startModel(answer);
  parley = await startParley("--drain-timeout-ms", "500", "--abandon-after-ms", "0", "--cors-origin", site.url, ...model.options);
  browser = await openBrowser();
});

after(async () => {
  held.open();
  await browser?.close();
  site?.close();
  await parley?.stop();
  model?.stop();
});

async function open(sub, hash = "#/chat") {
  const opened = await browser.newPage();
  const token = await parley.token("--role", "user", "--sub", sub);
  await opened.addInitScript((each) => sessionStorage.setItem("parley-token", each), token);
  await opened.goto(`${parley.url}/${hash}`);
  await opened.locator('[data-connection="online"]').waitFor();
  return opened;
}

async function say(on, text) {
  await on.getByLabel("Message", { exact: true }).fill(text);
  await on.keyboard.press("Enter");
}

const chatOf = (on) => on.locator("[data-open-chat]").getAttribute("data-open-chat");
const answers = (on) => on.locator("[data-answer] .prose").allTextContents();
const said = (on) => on.locator("[data-message] [data-bubble]").allTextContents();
/** Waits until this is all that is there, question by question. */
async function shows(on, ...turns) {
  const wanted = JSON.stringify([turns.map(([question]) => question), turns.map(([, text]) => text)]);
  let seen;
  const look = async () => (seen = JSON.stringify([await said(on), (await answers(on)).map((text) => text.trim())])) === wanted;
  await until(look, () => `${wanted}: ${seen}`);
}
const holdAgain = () => {
  held.open();
  held = gate();
};

test("the first message opens a chat; its answer is there word by word, in both tabs, also after a reload in the middle", async () => {
  page = await open("uma");
  await say(page, "slow hello");
  await shows(page, ["slow hello", "You said:"]);
  const other = await open("uma", `#/chat/${await chatOf(page)}`);
  await shows(other, ["slow hello", "You said:"]);
  await page.reload();
  await shows(page, ["slow hello", "You said:"]);
  holdAgain();
  for (const tab of [page, other]) await shows(tab, ["slow hello", "You said: slow hello"]);
  await say(other, "hello again");
  for (const tab of [page, other]) await shows(tab, ["slow hello", "You said: slow hello"], ["hello again", "You said: hello again"]);
  await other.context().close();
  await checkWithAxe(page, "chat");
});

test("the chat has a title in the list, and others do not see it", async () => {
  await page.locator(`[data-chat="${await chatOf(page)}"]`, { hasText: "slow hello" }).waitFor();
  const eve = await open("eve", `#/chat/${await chatOf(page)}`);
  await eve.getByRole("alert").filter({ hasText: "There is no such chat." }).waitFor();
  assert.equal(await eve.locator("[data-chat]").count(), 0);
  await checkWithAxe(eve, "no such chat");
  await eve.context().close();
});

test("an answer is stopped, given again, and a question is edited", async () => {
  await page.getByRole("button", { name: "New chat" }).click();
  await say(page, "slow one");
  await shows(page, ["slow one", "You said:"]);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("You stopped this answer.").waitFor();
  held.open();
  await page.getByRole("button", { name: "Answer again" }).click();
  await shows(page, ["slow one", "You said: slow one"]);
  await page.locator("[data-message]").first().hover();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Edit the message").fill("a quick one");
  await page.getByRole("button", { name: "Ask again" }).click();
  await shows(page, ["a quick one", "You said: a quick one"]);
  await page.reload();
  await shows(page, ["a quick one", "You said: a quick one"]);
  await page.getByRole("button", { name: "Helpful", exact: true }).click();
  await page.locator('[aria-label="Helpful"][aria-pressed="true"]').waitFor();
  holdAgain();
});

test("a message that is sent while an answer is written waits for its end", async () => {
  await say(page, "slow first");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await say(page, "second");
  await page.getByText("Waits for the answer before").waitFor();
  holdAgain();
  await shows(page, ["a quick one", "You said: a quick one"], ["slow first", "You said: slow first"], ["second", "You said: second"]);
});

test("over a restart of the server: nothing is lost or doubled, the turn that ran says that it was interrupted", async () => {
  await page.getByRole("button", { name: "New chat" }).click();
  await say(page, "slow before");
  await shows(page, ["slow before", "You said:"]);
  await parley.end();
  await page.locator('[data-connection="offline"]').waitFor();
  await page.getByRole("alert").filter({ hasText: "You see the chat as it was then." }).waitFor();
  await checkWithAxe(page, "offline");
  await say(page, "after");
  await page.locator('[data-message][data-state="sending"]').waitFor();
  await parley.start();
  await page.locator('[data-answer][data-state="failed"]').waitFor();
  await shows(page, ["slow before", "You said:"], ["after", "You said: after"]);
  assert.equal(questions.filter((question) => question === "after").length, 1);
  holdAgain();
});

test("where sockets do not get through, a message goes by HTTP and its answer is shown; afterwards it stands there once", async () => {
  await page.getByRole("button", { name: "New chat" }).click();
  await say(page, "with sockets");
  await shows(page, ["with sockets", "You said: with sockets"]);
  await page.context().route(/\/socket\.io\//, (route) => route.abort());
  await page.context().setOffline(true);
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await page.locator('[data-connection="offline"]').waitFor();
  await page.context().setOffline(false);
  await say(page, "without sockets");
  await shows(page, ["with sockets", "You said: with sockets"], ["without sockets", "You said: without sockets"]);
  assert.equal(await page.locator("[data-connection]").getAttribute("data-connection"), "offline");
  await page.context().unroute(/\/socket\.io\//);
  await page.locator('[data-connection="online"]').waitFor();
  await page.locator("[data-message]").nth(1).and(page.locator('[data-state="sent"]')).waitFor();
  await say(page, "with sockets again");
  await shows(page, ["with sockets", "You said: with sockets"], ["without sockets", "You said: without sockets"], ["with sockets again", "You said: with sockets again"]);
  assert.equal(questions.filter((question) => question === "without sockets").length, 1);
});

test("a chat is deleted, and gone from the list and the page", async () => {
  const id = await chatOf(page);
  await page.locator(`[data-chat="${id}"]`).hover();
  await page.locator("li", { has: page.locator(`[data-chat="${id}"]`) }).getByRole("button", { name: /^Delete/ }).click();
  await checkWithAxe(page, "delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator(`[data-chat="${id}"]`).waitFor({ state: "detached" });
  await page.getByText("What can I help with?").waitFor();
});

test("the list shows where a chat is: active, abandoned when its user left, resumed on return, completed", async () => {
  const wes = await open("wes");
  await say(wes, "slow hello");
  const id = await chatOf(wes);
  const stateIn = (on) => on.locator(`[data-chat="${id}"] [data-state]`);
  await stateIn(wes).getByText("Active", { exact: true }).waitFor();
  await wes.getByRole("button", { name: "Stop" }).click();
  await wes.locator('[data-answer][data-state="stopped"]').waitFor();
  await wes.context().close();
  holdAgain();
  const token = await parley.token("--role", "user", "--sub", "wes");
  const stored = async () => (await (await fetch(`${parley.url}/api/v1/chats`, { headers: { authorization: `Bearer ${token}` } })).json()).chats[0].state;
  await until(async () => (await stored()) === "abandoned", "the chat to be abandoned");
  const back = await open("wes");
  await stateIn(back).getByText("Abandoned", { exact: true }).waitFor();
  await checkWithAxe(back, "an abandoned chat in the list");
  await back.locator(`[data-chat="${id}"]`).click();
  await stateIn(back).getByText("Resumed", { exact: true }).waitFor();
  await say(back, "hello");
  await stateIn(back).getByText("Completed", { exact: true }).waitFor();
  await back.context().close();
});

test("a supervisor who may watch all chats finds them in the list, by whose they are; another has no such list", async () => {
  const vera = await open("vera");
  await say(vera, "where is my parcel?");
  await shows(vera, ["where is my parcel?", "You said: where is my parcel?"]);
  const id = await chatOf(vera);
  const supervisor = async (chats) => {
    const page = await browser.newPage();
    const token = sign(keyOf(parley), { sub: "sue", role: "supervisor", calls: "*", ...(chats && { chats }), exp: now() + 3600 });
    await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), token);
    await page.goto(`${parley.url}/#/chat`);
    await page.getByText("What can I help with?").waitFor();
    return page;
  };
  const [sue, sam] = [await supervisor("*"), await supervisor([id])];
  assert.equal(await sam.getByRole("button", { name: "Everybody’s" }).count(), 0, "a supervisor of some chats has no list of them");
  assert.equal(await sue.locator(`[data-chat="${id}"]`).count(), 0);
  await sue.getByRole("button", { name: "Everybody’s" }).click();
  const row = sue.locator("li", { has: sue.locator(`[data-chat="${id}"]`) });
  await row.locator("[data-chat-user]", { hasText: "vera" }).waitFor();
  assert.equal(await row.getByRole("button", { name: /^Delete/ }).count(), 0, "it is not hers to delete");
  await checkWithAxe(sue, "everybody's chats");
  await row.locator("[data-chat]").click();
  await sue.locator('[data-watching=""]', { hasText: "You are watching this chat." }).waitFor();
  await sue.getByRole("button", { name: "Mine" }).click();
  await sue.locator(`[data-chat="${id}"]`).waitFor({ state: "detached" });
  for (const each of [vera, sue, sam]) await each.context().close();
});

test("a supervisor watches a chat, answers in place of the assistant, and hands back", async () => {
  const uma = await open("ulla");
  await say(uma, "may I speak to somebody?");
  await shows(uma, ["may I speak to somebody?", "You said: may I speak to somebody?"]);
  const id = await chatOf(uma);
  const watch = async (sub) => {
    const watching = await browser.newPage();
    const token = sign(keyOf(parley), { sub, role: "supervisor", calls: "*", chats: "*", exp: now() + 3600 });
    await watching.addInitScript((each) => sessionStorage.setItem("parley-token", each), token);
    await watching.goto(`${parley.url}/#/chat/${id}`);
    await watching.locator('[data-watching=""]', { hasText: "You are watching this chat." }).waitFor();
    return watching;
  };
  const [sue, sam] = [await watch("sue"), await watch("sam")];
  assert.equal(await sue.getByLabel("Message", { exact: true }).isDisabled(), true);
  await sue.getByRole("button", { name: "Take over" }).click();
  await sue.locator('[data-watching="sue"]', { hasText: "You answer in place of the assistant." }).waitFor();
  await checkWithAxe(sue, "taken over");
  await uma.locator('[data-watching="sue"]', { hasText: "sue answers in place of the assistant." }).waitFor();
  await say(sue, "This is Sue.");
  await uma.locator(`[aria-label="Message of sue"]`, { hasText: "This is Sue." }).waitFor();
  await sam.locator('[data-watching="sue"]').waitFor();
  assert.equal(await sam.getByLabel("Message", { exact: true }).isDisabled(), true, "one person answers at a time");
  assert.equal(await uma.getByRole("button", { name: "Hand back" }).count(), 0);
  await sue.getByRole("button", { name: "Hand back" }).click();
  await uma.locator("[data-watching]").waitFor({ state: "detached" });
  await sue.locator('[data-watching=""]').waitFor();
  for (const each of [uma, sue, sam]) await each.context().close();
});

test("an agent has the chat beside the desk, over one connection", async () => {
  const agent = await browser.newPage();
  const sockets = [];
  agent.on("websocket", (socket) => sockets.push(socket.url()));
  await agent.addInitScript((each) => sessionStorage.setItem("parley-token", each), await parley.token("--role", "agent", "--sub", "ann", "--calls", "*"));
  await agent.goto(parley.url);
  await agent.getByRole("button", { name: "Chat", exact: true }).click();
  await say(agent, "hello from the desk");
  await shows(agent, ["hello from the desk", "You said: hello from the desk"]);
  assert.equal(sockets.length, 1);
  await agent.getByRole("button", { name: "Desk", exact: true }).click();
  await agent.getByText("No calls yet.").waitFor();
  await agent.context().close();
});

test("one script tag puts the widget on another site, whose styles do not reach it; its chat is there after a reload", async () => {
  const token = await parley.token("--role", "user", "--sub", "visitor");
  site.html = `<!doctype html><html lang="en" style="font-size:5px"><title>Shop</title><link rel="icon" href="data:,"><style>* { color: red !important; font-size: 40px } button { display: none }</style>
    <main><h1>Shop</h1></main><parley-chat token="${token}" label="Ask us"></parley-chat><script src="${parley.url}/assets/parley-chat.js" async></script>`;
  const shop = await browser.newPage();
  await shop.goto(site.url);
  await shop.getByRole("button", { name: "Ask us" }).click();
  await shop.locator('[data-connection="online"]').waitFor();
  const bar = shop.getByRole("heading", { name: "Ask us" });
  assert.deepEqual(await bar.evaluate((element) => [getComputedStyle(element).fontSize, getComputedStyle(element).color === "rgb(255, 0, 0)"]), ["15px", false]);
  assert.notEqual(await shop.locator("section[aria-label='Ask us']").evaluate((element) => getComputedStyle(element).borderTopStyle), "none");
  await say(shop, "hello shop");
  await shows(shop, ["hello shop", "You said: hello shop"]);
  await checkWithAxe(shop, "widget");
  await say(shop, "search refund for an order");
  await shop.locator("[data-source]").first().click();
  await shop.locator("[data-article] mark").first().waitFor();
  assert.equal(await shop.locator("[data-answer]").first().isVisible(), false, "the article stands over the chat");
  await checkWithAxe(shop, "widget: source");
  await shop.keyboard.press("Escape");
  await shows(shop, ["hello shop", "You said: hello shop"], ["search refund for an order", "You said: search refund for an order"]);
  await until(() => shop.evaluate(() => document.querySelector("parley-chat").shadowRoot.activeElement?.dataset.source), "the focus on the source again");
  await shop.keyboard.press("Escape");
  await shop.getByRole("button", { name: "Ask us", exact: true }).waitFor();
  assert.equal(await shop.locator("[data-connection]").isVisible(), false);
  await shop.reload();
  await shop.getByRole("button", { name: "Ask us" }).click();
  await shows(shop, ["hello shop", "You said: hello shop"], ["search refund for an order", "You said: search refund for an order"]);
  await shop.getByRole("button", { name: "New chat" }).click();
  await shows(shop);
  await shop.context().close();
});

test("the widget says in words that it is refused, or offline; then nothing in it is green; its controls are of its own theme", async () => {
  const html = (token) => `<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><main><h1>Shop</h1></main><parley-chat token="${token}" label="Ask us" open></parley-chat><script src="${parley.url}/assets/parley-chat.js" async></script>`;
  site.html = html("eyJx");
  const shop = await browser.newPage({ colorScheme: "dark" });
  await shop.goto(site.url);
  await shop.getByRole("alert").filter({ hasText: "Access denied." }).waitFor();
  assert.equal(await shop.getByText("What can I help with?").count(), 0);
  assert.equal(await shop.locator("section[aria-label='Ask us']").evaluate((each) => getComputedStyle(each).colorScheme), "dark");
  await checkWithAxe(shop, "widget refused");
  site.html = html(await parley.token("--role", "user", "--sub", "visitor2"));
  await shop.reload();
  await say(shop, "search refund for an order");
  await shop.locator('[data-tool][data-state="done"] svg').first().waitFor();
  const colour = () => shop.locator('[data-tool][data-state="done"] svg').first().evaluate((each) => getComputedStyle(each).color);
  const online = await colour();
  await shop.context().setOffline(true);
  await shop.evaluate(() => window.dispatchEvent(new Event("offline")));
  await shop.getByRole("alert").filter({ hasText: "Connection lost." }).waitFor();
  assert.notEqual(await colour(), online);
  await checkWithAxe(shop, "widget offline");
  await shop.context().close();
});

test("nothing was logged as an error", () => {
  const expected = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|ERR_FAILED|ERR_EMPTY|WebSocket connection|40[034] .*(\/socket\.io\/\?.*sid=|\/demo\/token|token\/refresh)|503 /;
  assert.deepEqual(browser.problems.filter((text) => !expected.test(text)), []);
});
