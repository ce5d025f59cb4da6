// Debian's Chromium, driven by playwright-core; pages that note what went wrong in them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "../support/wait.mjs";

const EXECUTABLE = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** A browser with an empty profile of its own; close() removes it. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "parley-chromium-"));
  const browser = await chromium.launch({ executablePath: EXECUTABLE, headless: true, args: [...FLAGS, `--crash-dumps-dir=${profile}`] });
  const problems = [];
  return {
    problems,
    /** A reader of its own: nothing is shared with other pages. */
    async newPage(more = {}) {
      const context = await browser.newContext({ viewport: { width: 1360, height: 820 }, colorScheme: "light", ...options, ...more });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(`${message.text()} ${message.location().url}`);
      });
      return page;
    },
    async close() {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
