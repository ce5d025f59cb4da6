// A Parley of a test's own: free port, data of its own in a temporary folder, stopped and removed afterwards.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const START_MS = 20000;
const STOP_MS = 10000;

export function binary() {
  const path = process.env.PARLEY_BIN;
  if (!path) throw new Error("PARLEY_BIN must name the built parley");
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

/** @returns {{url: string, port: number, token: (…options: string[]) => Promise<string>, stop: () => Promise<number>}} */
export async function startParley(...options) {
  const data = await mkdtemp(join(tmpdir(), "parley-test-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(binary(), ["--port", String(port), "--data", data, ...options], { stdio: ["ignore", "pipe", "pipe"] });
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
      const { stdout } = await promisify(execFile)(binary(), ["token", "--data", data, ...more]);
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
