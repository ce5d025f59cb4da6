// A Parley of a test's own: free port, data of its own in a temporary folder, stopped and removed afterwards.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const guidelines = fileURLToPath(new URL("../../app/demo/guidelines.json", import.meta.url));

// PARLEY_* in the environment configures the server; a test's server is nobody's but the test's.
export const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_")));
// All servers of a suite in their sandbox.
if (process.env.TEST_SANDBOX) environment.PARLEY_SANDBOX = process.env.TEST_SANDBOX;

function binary() {
  const path = process.env.TEST_PARLEY;
  if (!path) throw new Error("TEST_PARLEY must name the built parley");
  return path;
}

// Under tests/support/with-postgresql each data directory has a schema of its own there, in place of its SQLite.
function environmentOf(options) {
  const data = options[options.lastIndexOf("--data") + 1];
  if (!process.env.TEST_STORE || !options.includes("--data")) return environment;
  const schema = basename(data).toLowerCase().replaceAll("-", "_");
  execFileSync("psql", [process.env.TEST_STORE, "-qc", `CREATE SCHEMA IF NOT EXISTS "${schema}"`], { stdio: "ignore" });
  return { ...environment, PARLEY_STORE: `${process.env.TEST_STORE}&options=-csearch_path%3D${schema}` };
}

const run = (...options) => promisify(execFile)(binary(), options, { env: environmentOf(options) });

// Runs parley to its end, of which nothing is expected: { code, stdout, stderr }.
export function runParley(...options) {
  return new Promise((resolve) => {
    execFile(binary(), options, { env: environmentOf(options) }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
}

async function answers(url) {
  const response = await fetch(`${url}/health`).catch(() => null);
  return Boolean(response?.ok);
}

class Parley {
  port = 0; // the kernel chooses one; started again, it is the same

  constructor(data, options) {
    this.data = data;
    this.options = ["--data", data, ...options];
  }

  async start() {
    this.output = "";
    this.child = spawn(binary(), ["--port", String(this.port), ...this.options], { stdio: ["ignore", "pipe", "pipe"], env: environmentOf(this.options) });
    this.child.stdout.on("data", (chunk) => (this.output += chunk));
    this.child.stderr.on("data", (chunk) => (this.output += chunk));
    this.ended = new Promise((resolve) => this.child.on("exit", (code, signal) => resolve(code ?? signal)));
    try {
      const hasEnded = () => this.child.exitCode !== null;
      const [, scheme, port] = await until(() => hasEnded() ? [] : /listens on (https?):.*:(\d+)\/$/m.exec(this.output), "its address");
      this.port = Number(port);
      this.url = `${scheme}://127.0.0.1:${port}`;
      await until(async () => hasEnded() || (await answers(this.url)), "its answer");
      assert.ok(!hasEnded(), "it ended");
    } catch (error) {
      this.child.kill("SIGKILL");
      throw new Error(`parley did not start: ${error.message}\n${this.output}`);
    }
  }

  /** Ends it as an operator would; its exit status is 0 or something is wrong. */
  async end() {
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), PATIENCE_MS);
    const code = await this.ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`parley ended with ${code}:\n${this.output}`);
  }

  /** Ends it and starts it again at the same port, with its data or without. */
  async restart({ forget = false } = {}) {
    await this.end();
    if (forget) await rm(this.data, { recursive: true });
    await this.start();
  }

  /** Ends it for good. */
  async stop() {
    try {
      await this.end();
    } finally {
      await rm(this.data, { recursive: true, force: true });
    }
  }

  /** `parley user add`, as an operator would. */
  async addUser(name, password, ...options) {
    const added = promisify(execFile)(binary(), ["user", "add", name, "--data", this.data, ...options], { env: environmentOf(["--data", this.data]) });
    added.child.stdin.end(`${password}\n`);
    await added;
  }

  /** What `parley token` prints. */
  async token(...options) {
    const { stdout } = await run("token", "--data", this.data, ...options);
    return stdout.trim();
  }
}

/** Starts a server that knows the demo's documents. */
export const startParley = (...options) => startParleyWith(guidelines, ...options);

/** Starts a server that knows the documents of a file. */
export async function startParleyWith(documents, ...options) {
  const data = await mkdtemp(join(tmpdir(), "parley-test-"));
  await run("import-documents", "--data", data, documents);
  const parley = new Parley(data, options);
  await parley.start();
  return parley;
}
