// Pictures of every state of the console, light and dark, at a desk and on a phone: to be looked at after a change.
// usage: TEST_PARLEY=build/release/bin/parley node tests/browser/screenshots.mjs FOLDER [PART OF A NAME]
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { ChatPeer, SCRIPTS, tokenOf } from "./chat-peer.mjs";
import { openBrowser } from "./chromium.mjs";
import { startParley } from "./server.mjs";

const [folder, only = ""] = process.argv.slice(2);
if (!folder) throw new Error("usage: screenshots.mjs FOLDER [PART OF A NAME]");
await mkdir(folder, { recursive: true });

const SIZES = { desk: { viewport: { width: 1360, height: 820 } }, phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } };
const CALL = "call-20419";
const LINES = [
  ["agent", "Thank you for calling Acme, my name is Ann. How can I help you?"],
  ["customer", "Hi, I'd like to return the sandals I ordered. They are the wrong size."],
  ["agent", "I'm sorry to hear that. May I have your name and the order number?"],
  ["customer", "Crystal Minh, and the order is 3348917502."],
  ["system", "Account opened: Crystal Minh, gold member"],
  ["agent", "Thank you, Crystal. When did you buy them?"],
  ["customer", "About three weeks ago. I have the receipt somewhere, I think it's in my e-mail."],
  ["agent", "That's fine, three weeks is within your return window."],
  ["customer", "Great. Do I have to pay for the shipping label?"],
];
const OTHERS = [
  ["daniel okafor", "status_delivery_date", "active"], ["maria sanchez", "recover_password", "active"], ["lee wong", "refund_status", "on_hold"],
  ["emma larsen", "promo_code_invalid", "active"], ["noah schmidt", "subscription_bill", "ringing"], ["ava rossi", "shirt_sizes", "ended"], ["omar haddad", "change_address", "ended"],
];

const glossary = fileURLToPath(new URL("../../app/demo/glossary-retail.txt", import.meta.url));
const parley = await startParley("--drain-timeout-ms", "500", "--glossary", glossary);
const browser = await openBrowser();
const token = (role, sub, calls = "*") => parley.token("--role", role, "--sub", sub, "--calls", calls);
const feed = io(`${parley.url}/feed`, { auth: { token: await token("feed", "pbx") }, transports: ["websocket"] });
const ask = async (socket, event, data) => {
  const answer = await socket.timeout(20000).emitWithAck(event, data);
  if (!answer.ok) throw new Error(`${event}: ${JSON.stringify(answer.error)}`);
  return answer;
};

async function fill() {
  for (const [i, [customer, subject, status]] of OTHERS.entries()) {
    const call_id = `call-${20410 + i}`;
    await ask(feed, "call:start", { call_id, metadata: { customer, subject, agents: [["ann", "ben", "cara"][i % 3]] }, status: status === "ended" ? "active" : status });
    if (status === "ended") await ask(feed, "call:end", { call_id });
  }
  await ask(feed, "call:start", { call_id: CALL, metadata: { customer: "crystal minh", subject: "return_size", agents: ["ann"] } });
  for (const [i, [speaker, text]] of LINES.entries()) await ask(feed, "transcription:update", { call_id: CALL, speaker, text, segment_id: `s${i}`, is_final: true });
  await ask(feed, "transcription:update", { call_id: CALL, speaker: "agent", text: "No, the label is free for gold", segment_id: "open", is_final: false });
  await ask(feed, "call:start", { call_id: "call-20430", metadata: { customer: "ivo horvat", subject: "return_size", agents: ["ann"] } });
  for (const [speaker, text] of [["customer", "I got the wrong size and want to return my jacket."], ["agent", "I've sent the return label. I will call you back tomorrow."]]) await ask(feed, "transcription:update", { call_id: "call-20430", speaker, text });
  await ask(feed, "call:end", { call_id: "call-20430" });
  const root = await token("admin", "root");
  for (const [name, rule] of [["cancel", { phrase: "cancel my contract", level: "critical", speaker: "customer", message: "Offer the loyalty plan" }], ["greeting", { phrase: "thank you for calling", not_within_s: 15, speaker: "agent" }]]) {
    const answer = await fetch(`${parley.url}/api/v1/rules`, { method: "POST", headers: { authorization: `Bearer ${root}`, "content-type": "application/json" }, body: JSON.stringify({ name, ...rule }) });
    if (!answer.ok) throw new Error(await answer.text());
  }
  await ask(feed, "call:start", { call_id: "call-20431", metadata: { customer: "rosa lind", subject: "subscription", agents: ["ann"] } });
  for (const [speaker, text] of [["agent", "Thank you for calling Acme."], ["customer", "I want to cancel my contract, today."]]) await ask(feed, "transcription:update", { call_id: "call-20431", speaker, text });
  const sue = io(parley.url, { auth: { token: await token("supervisor", "sue") } });
  await ask(sue, "note:send", { call_id: CALL, text: "Gold member: offer the free exchange before the refund." });
  const ben = io(parley.url, { auth: { token: await token("agent", "ben") } });
  await ask(ben, "agent:help", { call_id: "call-20411", reason: "customer wants a supervisor" });
  sue.disconnect();
  ben.disconnect();
}

async function open(options, role, sub, hash = "") {
  const page = await browser.newPage(options);
  const value = await token(role, sub);
  await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), value);
  await page.goto(`${parley.url}/${hash}`);
  await page.locator('[data-connection="online"]').waitFor();
  return page;
}

const desk = (options) => open(options, "agent", "ann", `#/desk/${CALL}`).then(async (page) => {
  await page.locator("[data-line]").nth(8).waitFor({ state: "attached" });
  await page.locator("[data-card]").first().waitFor({ state: "attached" });
  return page;
});
const part = (page, name) => page.viewportSize().width < 800 ? page.getByRole("button", { name, exact: true }).click() : undefined;

/** A chat in which these were said, with an assistant that says what a script tells it. */
async function chatting(options, ...messages) {
  const peer = await new ChatPeer().start();
  peer.script = (content) => SCRIPTS[content]?.() ?? [["chat.token", { content: "Gladly." }]];
  const page = await browser.newPage(options);
  page.context().on("close", () => void peer.stop());
  await page.addInitScript((each) => sessionStorage.setItem("parley-token", each), tokenOf({ sub: "uma", role: "user", exp: 4e9 }));
  await page.goto(`${peer.url}/#/chat`);
  await page.locator('[data-connection="online"]').waitFor();
  for (const [i, text] of messages.entries()) {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    await page.locator("[data-answer]").nth(i).waitFor();
  }
  if (messages.length > 0) {
    let version = 0;
    const add = (path, id, value) => peer.emit("tree.update", { delta: { action: "add", path, node: { id, value, children: [] } }, version: ++version });
    add("/root/children", "returns", "Returns");
    add("/root/children/returns/children", "label", "Print the label");
    add("/root/children/returns/children", "refund", "Refund, 3 to 5 days");
    add("/root/children", "task-1", "Task 1");
    await page.locator('[data-node="task-1"]').waitFor({ state: "attached" });
  }
  return page;
}

/** Each state: how to get there. */
const STATES = {
  "chat-new": (options) => chatting(options),
  "chat-answer": async (options) => {
    const page = await chatting(options, "How do I return an order?");
    await page.locator('[data-answer][data-state="done"]').waitFor();
    return page;
  },
  "chat-source": async (options) => {
    const page = await chatting(options, "How do I return an order?");
    await page.locator('[data-source="d1"]').click();
    await page.locator("[data-article] mark").waitFor();
    return page;
  },
  "chat-form": (options) => chatting(options, "Plan it"),
  "chat-link": (options) => chatting(options, "Connect my calendar"),
  "chat-approval": (options) => chatting(options, "Remove Task 1"),
  "chat-progress": (options) => chatting(options, "Import the documents"),
  "chat-writing": (options) => chatting(options, "Write the whole story"),
  "chat-failed": (options) => chatting(options, "What failed?"),
  "chat-list": async (options) => {
    const page = await chatting(options, "How do I return an order?");
    await part(page, "Chats");
    return page;
  },
  "chat-tree": async (options) => {
    const page = await chatting(options, "How do I return an order?");
    await part(page, "Tree");
    await page.locator('[data-node="label"]').click();
    return page;
  },
  "sign-in": async (options) => {
    const page = await browser.newPage(options);
    await page.goto(parley.url);
    await page.getByLabel("User name").waitFor();
    return page;
  },
  desk,
  calls: async (options) => {
    const page = await desk(options);
    await part(page, "Calls");
    return page;
  },
  articles: async (options) => {
    const page = await desk(options);
    await part(page, "Help");
    await page.locator('[data-card] [data-helpful="true"]').first().click();
    await page.locator("[data-totals]", { hasText: "yes" }).first().waitFor();
    return page;
  },
  article: async (options) => {
    const page = await desk(options);
    await part(page, "Help");
    if ((await page.locator("[data-card] h3 button").count()) === 0) return null;
    await page.locator("[data-card] h3 button").first().click();
    await page.locator("[data-article] input").first().check();
    await page.locator("[data-article] mark").first().evaluate((mark) => mark.scrollIntoView({ block: "center" }));
    return page;
  },
  find: async (options) => {
    const page = await desk(options);
    await page.getByRole("button", { name: "Find in the transcript" }).click();
    await page.getByRole("textbox", { name: "Find in the transcript" }).fill("order");
    return page;
  },
  notes: async (options) => {
    const page = await desk(options);
    await part(page, "Help");
    await page.getByRole("tab", { name: /Notes/ }).click();
    return page;
  },
  "wrap-up": async (options) => {
    const page = await desk(options);
    await part(page, "Help");
    await page.getByRole("tab", { name: "Wrap-up" }).click();
    return page;
  },
  hand: async (options) => {
    const page = await desk(options);
    await page.getByRole("button", { name: "Raise hand" }).click();
    return page;
  },
  shortcuts: async (options) => {
    const page = await desk(options);
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    return page;
  },
  menu: async (options) => {
    const page = await desk(options);
    await page.getByRole("button", { name: /^Menu of/ }).click();
    return page;
  },
  offline: async (options) => {
    const page = await desk(options);
    await page.context().setOffline(true);
    await page.evaluate(() => window.dispatchEvent(new Event("offline")));
    await page.locator('[data-connection="offline"]').waitFor();
    await part(page, "Help");
    await page.locator('[data-card] [data-helpful="false"]').last().click();
    return page;
  },
  refused: (options) => open(options, "agent", "ann", "#/desk/no-such-call"),
  knowledge: async (options) => {
    const page = await open(options, "supervisor", "sue", "#/knowledge");
    await page.locator("[data-row]").nth(5).waitFor();
    return page;
  },
  document: async (options) => {
    const page = await open(options, "supervisor", "sue", "#/knowledge/account-access.recover-password");
    await page.locator("[data-article]").waitFor();
    return page;
  },
  editor: async (options) => {
    const page = await open(options, "supervisor", "sue", "#/knowledge/account-access.recover-password");
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    return page;
  },
  "article-new": async (options) => {
    const page = await open(options, "supervisor", "sue", "#/knowledge");
    await page.getByRole("button", { name: "New article" }).click();
    return page;
  },
  rules: async (options) => {
    const page = await open(options, "admin", "root", "#/rules");
    await page.locator("[data-rule]").first().waitFor();
    return page;
  },
  "rule-editor": async (options) => {
    const page = await open(options, "admin", "root", "#/rules");
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.getByRole("dialog").waitFor();
    return page;
  },
  "user-editor": async (options) => {
    const page = await open(options, "admin", "root", "#/users");
    await page.getByRole("button", { name: "Add a user" }).click();
    await page.getByRole("dialog").waitFor();
    return page;
  },
  "wrap-up-draft": async (options) => {
    const page = await open(options, "agent", "ann", "#/desk/call-20430");
    await part(page, "Help");
    await page.getByRole("tab", { name: "Wrap-up" }).click();
    return page;
  },
  alerts: (options) => open(options, "agent", "ann", "#/desk/call-20431").then(async (page) => {
    await page.locator("[data-alert]").first().waitFor();
    return page;
  }),
  search: async (options) => {
    const page = await desk(options);
    await part(page, "Help");
    await page.getByPlaceholder("Search the knowledge base").fill("password");
    await page.keyboard.press("Enter");
    await page.locator("[data-card]", { hasText: "Password" }).first().waitFor();
    return page;
  },
  past: async (options) => {
    const page = await desk(options);
    await part(page, "Calls");
    await page.getByPlaceholder("Customer, topic or call").fill("jacket");
    await page.keyboard.press("Enter");
    return page;
  },
  users: async (options) => {
    const page = await open(options, "admin", "root", "#/users");
    await page.locator("[data-user]").first().waitFor();
    return page;
  },
  wall: async (options) => {
    const page = await open(options, "supervisor", "sue", "#/supervisor");
    await page.locator("[data-hand]").waitFor();
    return page;
  },
  "look-in": async (options) => {
    const page = await open(options, "supervisor", "sue", `#/supervisor/${CALL}`);
    await page.locator("[data-line]").nth(8).waitFor({ state: "attached" });
    return page;
  },
};

try {
  await fill();
  for (const [name, role] of [["ann", "agent"], ["ben", "agent"], ["sue", "supervisor"]]) await parley.addUser(name, "correct horse", "--role", role);
  for (const [name, reach] of Object.entries(STATES).filter(([each]) => each.includes(only))) {
    for (const [size, options] of Object.entries(SIZES)) for (const colorScheme of ["light", "dark"]) {
      const page = await reach({ ...options, colorScheme });
      if (!page) continue;
      await page.evaluate(() => document.fonts.ready);
      await page.evaluate(() => Promise.all(document.getAnimations().filter((each) => each.effect?.getComputedTiming().iterations !== Infinity).map((each) => each.finished.catch(() => {}))));
      await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`) });
      await page.context().close();
    }
    console.log(name);
  }
} finally {
  feed.close();
  await browser.close();
  await parley.stop();
}
