// A Parley of a test's own: free port, data of its own in a temporary folder, stopped and removed afterwards.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const guidelines = fileURLToPath(new URL("../../app/demo/guidelines.json", import.meta.url));
const START_MS = 20000;
const STOP_MS = 10000;

export function binary() {
  const path = process.env.TEST_PARLEY;
  if (!path) throw new Error("TEST_PARLEY must name the built parley");
  return path;
}

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function answers(url) {
  const response = await fetch(`${url}/health`).catch(() => null);
  return Boolean(response?.ok);
}

// PARLEY_* in the environment configures the server; a test's server is nobody's but the test's.
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_")));

const run = (...options) => promisify(execFile)(binary(), options, { env: environment });

/**
 * Starts a server with the demo's documents.
 * @returns {{url: string, port: number, token: (…options: string[]) => Promise<string>, stop: () => Promise<number>}}
 */
export async function startParley(...options) {
  const data = await mkdtemp(join(tmpdir(), "parley-test-"));
  await run("import-documents", "--data", data, guidelines);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(binary(), ["--port", String(port), "--data", data, ...options], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment,
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));

  const deadline = Date.now() + START_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`parley did not start:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    port,
    async token(...more) {
      const { stdout } = await run("token", "--data", data, ...more);
      return stdout.trim();
    },
    /** Ends it as an operator would; its exit status is 0 or something is wrong. */
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      const code = await ended;
      clearTimeout(timer);
      await rm(data, { recursive: true, force: true });
      if (code !== 0) throw new Error(`parley ended with ${code}:\n${output}`);
      return code;
    },
  };
}
