// A redis-server of the test's own, that stores nothing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE_MS } from "../../support/wait.mjs";

export async function freePort() {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

// A running server: { url, host, port, pid, pause(), resume(), kill(), stop() }. On the same port again: start it with
// that port. `prefix` is put before the command, `args` after it.
export async function startRedis(options = {}) {
  for (let tries = 1; ; tries++) {
    try {
      return await startRedisAt({ ...options, port: options.port ?? await freePort() });
    } catch (error) {
      if (options.port !== undefined || tries === 5) throw error; // somebody may have taken the port meanwhile
    }
  }
}

// tls: { ca, cert, key }, files; clients must have a certificate of that authority. file: of a Sentinel's configuration.
async function startRedisAt({ host = "127.0.0.1", port, prefix = [], args = [], tls, file }) {
  const folder = mkdtempSync(join(tmpdir(), "parley-redis-"));
  const [program, ...head] = [...prefix, "redis-server"];
  const child = spawn(program, [...head, ...(file ? [file, "--sentinel"] : []), "--port", port, "--bind", host, "--protected-mode", "no", ...(file ? [] : ["--save", "", "--appendonly", "no"]), "--dir", folder,
    ...(tls ? ["--port", 0, "--tls-port", port, "--tls-ca-cert-file", tls.ca, "--tls-cert-file", tls.cert, "--tls-key-file", tls.key] : []), ...args].map(String), { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let output = "";
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`redis-server does not start:\n${output}`)), PATIENCE_MS);
    child.on("error", reject);
    ended.then(() => { clearTimeout(timer); reject(new Error(`redis-server ended:\n${output}`)); });
    child.stdout.on("data", (text) => {
      output += text;
      if (output.includes(file ? "+monitor master" : "Ready to accept connections")) { clearTimeout(timer); resolve(); }
    });
  });
  const end = async (signal) => {
    child.kill("SIGCONT");
    child.kill(signal);
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    host,
    port,
    pid: child.pid,
    url: `redis${tls ? "s" : ""}://${host}:${port}`,
    pause() { child.kill("SIGSTOP"); },
    resume() { child.kill("SIGCONT"); },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}
