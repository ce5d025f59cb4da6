// Starts the server under test, and ends it: a suite fails if it died, leaked or did not end on SIGTERM in time.
//   PARLEY_CONFORMANCE=path       the C program (what ctest passes)
//   CONFORMANCE_REFERENCE=1       the same on Node: to validate a suite
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PATIENCE_MS, until } from "../../support/wait.mjs";

export const isReference = process.env.CONFORMANCE_REFERENCE === "1";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// argv of the conformance server.
export function conformanceCommand(reference = isReference) {
  if (reference) return [process.execPath, here("../../conformance/reference.mjs")];
  const candidates = process.env.PARLEY_CONFORMANCE
    ? [process.env.PARLEY_CONFORMANCE]
    : ["asan", "release"].map((preset) => here(`../../../build/${preset}/bin/parley-conformance`));
  const found = candidates.find((path) => existsSync(path));
  if (!found) throw new Error(`no conformance server at ${candidates.join(", ")}: build it or set PARLEY_CONFORMANCE`);
  return [found];
}

// A running server: { port, http, ws, pid, output(), alive(), stop(), kill() }. Options are those of the command line;
// `reference` says that it is to be the one on Node in any case, `prefix` is put before the command.
export async function start(profile, { reference, prefix = [], ...options } = {}) {
  const [program, ...head] = [...prefix, ...conformanceCommand(reference ? true : undefined)];
  const host = options.host ?? "127.0.0.1";
  const args = [...head, "--profile", profile, "--port", "0"];
  // sio-proto gives a client one second to connect to a namespace, as the official suite wants: on a busy machine it is late.
  if (profile === "sio-proto") options["connect-timeout"] ??= PATIENCE_MS * 10;
  for (const [name, value] of Object.entries(options)) args.push(`--${name}`, String(value));
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1", ...process.env },
  });
  let output = "";
  let errors = "";
  child.stderr.on("data", (text) => { errors = (errors + text).slice(-20000); });
  const ended = once(child, "exit");
  const port = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program}: no READY in ${PATIENCE_MS} ms\n${errors}`)), PATIENCE_MS);
    child.stdout.on("data", (text) => {
      output += text;
      const ready = /^READY (\d+)$/m.exec(output);
      if (ready) { clearTimeout(timer); resolve(Number(ready[1])); }
    });
    ended.then(([code, signal]) => { clearTimeout(timer); reject(new Error(`${program} ended: ${code ?? signal}\n${errors}`)); });
    child.on("error", reject);
  });
  const alive = () => child.exitCode === null && child.signalCode === null;
  return {
    profile,
    port,
    http: `http://${host}:${port}`,
    ws: `ws://${host}:${port}`,
    pid: child.pid,
    alive,
    output: () => output + errors,
    // What it counts, if it was started with `stats: 1`: sessions, http_connections and more.
    async stats() {
      const lines = () => [...output.matchAll(/^STATS (.*)$/gm)];
      const before = lines().length;
      child.kill("SIGUSR1");
      return JSON.parse((await until(() => lines()[before], "a line of figures"))[1]);
    },
    async stop() {
      assert.ok(alive(), `the server died during the suite: ${child.exitCode ?? child.signalCode}\n${errors}`);
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      const [code, signal] = await ended;
      clearTimeout(timer);
      assert.equal(code, 0, `status after SIGTERM: ${code ?? signal}\n${errors}`);
    },
    // For a test that has failed: it would not end as long as the server runs.
    kill() { child.kill("SIGKILL"); },
  };
}
