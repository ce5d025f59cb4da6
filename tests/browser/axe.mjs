// axe-core in the page: WCAG 2.2 A and AA, and its best practices.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails with what axe finds in the page as it stands. `state` names it. */
export async function checkWithAxe(page, state) {
  // Something that is still moving in has not got its colours yet, and what comes while axe looks would move, too.
  const isReduced = await page.evaluate(() => matchMedia("(prefers-reduced-motion: reduce)").matches);
  if (!isReduced) await page.emulateMedia({ reducedMotion: "reduce" });
  await page.evaluate(() => Promise.all(document.getAnimations().filter((each) => each.effect?.getComputedTiming().iterations !== Infinity).map((each) => each.finished.catch(() => {}))));
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  if (!isReduced) await page.emulateMedia({ reducedMotion: null });
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}\n  ${target}\n  ${failureSummary}`));
  assert.deepEqual(found, [], `${state}:\n${found.join("\n")}`);
}
