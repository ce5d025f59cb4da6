// Debian's Chromium, driven by playwright-core; pages that note what went wrong in them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "../support/wait.mjs";

const EXECUTABLE = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const UNKNOWN_SESSION = 1; // Engine.IO's code

/** True for a polling request of a session that had been closed while the request was on its way: after a sign-out, or
 * when the server ended it. The reference answers it in the same way. */
async function isLate(response) {
  if (response.status() !== 400 || !/[?&]transport=polling&.*sid=/.test(response.url())) return false;
  return (await response.json().catch(() => ({}))).code === UNKNOWN_SESSION;
}

/** A browser with an empty profile of its own; close() removes it. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "parley-chromium-"));
  const browser = await chromium.launch({ executablePath: EXECUTABLE, headless: true, args: [...FLAGS, `--crash-dumps-dir=${profile}`] });
  const problems = [];
  const late = new Set(); // addresses of requests that came too late: each has a number or time of its own
  return {
    problems,
    /** A reader of its own: nothing is shared with other pages. */
    async newPage(more = {}) {
      const context = await browser.newContext({ viewport: { width: 1360, height: 820 }, colorScheme: "light", ...options, ...more });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      page.on("response", async (response) => {
        if (!await isLate(response)) return;
        late.add(response.url());
        const noted = problems.findIndex((text) => text.endsWith(` ${response.url()}`));
        if (noted >= 0) problems.splice(noted, 1);
      });
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error" && !late.has(message.location().url)) problems.push(`${message.text()} ${message.location().url}`);
      });
      return page;
    },
    async close() {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
