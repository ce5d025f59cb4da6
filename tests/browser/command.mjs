// The commands of clients/, started as a person would.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const conversations = join(root, "app/demo/conversations.json");
const children = new Set();

export function killAll() {
  for (const child of children) child.kill("SIGKILL");
}

/** Starts a command; `output` grows, `ended` is its exit status, `sees` waits for text. */
export function start(command, ...options) {
  const child = spawn(process.execPath, [join(root, "clients", command), ...options], { stdio: ["pipe", "pipe", "pipe"] });
  children.add(child);
  const run = { child, output: "" };
  child.stdout.on("data", (chunk) => (run.output += chunk));
  child.stderr.on("data", (chunk) => (run.output += chunk));
  run.ended = new Promise((resolve) => child.on("close", (code) => (children.delete(child), resolve(code))));
  run.sees = (pattern) => until(() => pattern.test(run.output), () => `${pattern} in:\n${run.output}`);
  return run;
}
