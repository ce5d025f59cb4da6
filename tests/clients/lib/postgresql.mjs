// A PostgreSQL of the test's own on a port of loopback, in a temporary folder. It does not run as root, which it refuses.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE_MS, until } from "../../support/wait.mjs";
import { freePort } from "./redis.mjs";

const bin = () => {
  const versions = "/usr/lib/postgresql";
  const found = existsSync(versions) ? readdirSync(versions).sort((a, b) => a - b).map((version) => join(versions, version, "bin")) : [];
  return found.length > 0 ? `${found.at(-1)}/` : "";
};

// Whose process it is: of root's, that of postgres.
function owner() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => { try { return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" })); } catch { return 65534; } };
  return { uid: id("-u"), gid: id("-g") };
}

// The process and all below it.
function family(pid) {
  let children = [];
  try { children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean); } catch { /* it has ended */ }
  return [pid, ...children.map(Number)];
}

// It is gone, or nobody has asked for its status yet.
function hasEnded(pid) {
  try { return /^Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)); } catch { return true; }
}

// A running server: { url, port, pid, start(), pause(), resume(), kill(), stop() }. After kill(), start() starts it again.
export async function startPostgresql({ settings = "" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "parley-pg-")), data = join(folder, "data"), as = owner(), port = await freePort();
  if (as.uid !== undefined) chownSync(folder, as.uid, as.gid);
  const options = { cwd: folder, ...as };
  execFileSync("psql", ["--version"], { stdio: "ignore" }); // initdb and postgres are in no folder that is searched: who runs the suites looks for this
  execFileSync(`${bin()}initdb`, ["-D", data, "-A", "trust", "-U", "parley", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"], { ...options, stdio: "ignore" });
  // What dies here is a process, never the machine: the kernel keeps what was written.
  appendFileSync(join(data, "postgresql.conf"), `listen_addresses = '127.0.0.1'\nport = ${port}\nunix_socket_directories = ''\nfsync = off\n`
    + `full_page_writes = off\nmax_connections = 200\nshared_buffers = 32MB\nlogging_collector = off\n${settings}\n`);
  let child, ended;
  const server = {
    port,
    folder,
    url: `postgresql://parley@127.0.0.1:${port}/postgres`,
    get pid() { return child.pid; },
    async start() {
      child = spawn(`${bin()}postgres`, ["-D", data], { ...options, stdio: ["ignore", "ignore", "pipe"] });
      ended = once(child, "exit");
      let output = "";
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`PostgreSQL does not start:\n${output}`)), PATIENCE_MS);
        child.on("error", reject);
        ended.then(() => { clearTimeout(timer); reject(new Error(`PostgreSQL ended:\n${output}`)); });
        child.stderr.on("data", (text) => {
          output = (output + text).slice(-20000);
          if (output.includes("ready to accept connections")) { clearTimeout(timer); resolve(); }
        });
      });
    },
    signal(name) { for (const pid of family(child.pid)) try { process.kill(pid, name); } catch { /* it has ended */ } },
    pause() { this.signal("SIGSTOP"); },
    resume() { this.signal("SIGCONT"); },
    // Its memory is free for the next one when all of its processes are gone, not the first alone.
    async kill() {
      const all = family(child.pid);
      this.signal("SIGKILL");
      await ended;
      await until(() => all.every(hasEnded), "the end of PostgreSQL's processes");
    },
    async stop() {
      this.resume();
      child.kill("SIGQUIT");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await server.start();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return server;
}
