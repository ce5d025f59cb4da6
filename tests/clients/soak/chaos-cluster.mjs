// What scripts/chaos breaks: two nodes on hosts of their own, one of them with two workers, on one PostgreSQL and one Redis; a server
// by itself with SQLite on a disk of 24 MB; a model. Each can be started again, and each fault ends by itself.
import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BACK, Network } from "../lib/netns.mjs";
import { startPostgresql } from "../lib/postgresql.mjs";
import { startRedis } from "../lib/redis.mjs";
import { sleep, until } from "../../support/wait.mjs";

const SECRET = "a secret of the chaos alone, long enough for it";
const FAKETIME = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"].find(existsSync);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function tokenOf(claims) {
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 7 * 86400, ...claims })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

const childrenOf = (pid) => { try { return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number); } catch { return []; } };
const signal = (pid, name) => { try { process.kill(pid, name); } catch { /* it is gone */ } };

/** A server that is started again. */
class Node {
  constructor(cluster, name, { host, options }) {
    Object.assign(this, { cluster, name, host, url: `http://${host.address}:3000`, data: join(cluster.folder, name), log: join(cluster.folder, `${name}.log`), clock: join(cluster.folder, `${name}.clock`), deaths: [] });
    mkdirSync(this.data, { recursive: true });
    this.setClock(0);
    const faked = cluster.hasClocks ? [`LD_PRELOAD=${FAKETIME}`, `FAKETIME_TIMESTAMP_FILE=${this.clock}`, "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"] : [];
    this.command = [...host.prefix, "env", ...faked, `PARLEY_JWT_SECRET=${SECRET}`, cluster.parley, "--host", host.address, "--port", "3000", "--data", this.data, "--log-file", this.log, "--turn-lease-ms", "2000", ...options];
  }

  setClock(seconds) { writeFileSync(this.clock, `${seconds >= 0 ? "+" : ""}${seconds}s\n`); }

  start() {
    const file = openSync(`${this.log}.out`, "a");
    this.child = spawn(this.command[0], this.command.slice(1), { stdio: ["ignore", file, file] });
    const child = this.child;
    child.once("exit", (code, killed) => { if (child === this.child && !this.isExpected) this.deaths.push(`${this.name} ended by itself: ${code ?? killed}`); });
  }

  async kill() {
    this.isExpected = true;
    const ended = new Promise((resolve) => (this.child.exitCode ?? this.child.signalCode) !== null ? resolve() : this.child.once("exit", resolve));
    const workers = childrenOf(this.child.pid);
    for (const pid of [this.child.pid, ...workers]) signal(pid, "SIGKILL");
    await ended;
    this.isExpected = false;
  }

  async isThere() {
    try { return (await fetch(`${this.url}/ready`, { signal: AbortSignal.timeout(2000) })).ok; } catch { return false; }
  }

  async end() {
    this.isExpected = true;
    const ended = new Promise((resolve) => this.child.once("exit", (code, name) => resolve(code ?? name)));
    this.child.kill("SIGTERM");
    const status = await Promise.race([ended, sleep(30000)]);
    if (status === undefined) this.child.kill("SIGKILL");
    return status;
  }
}

export class Cluster {
  static async open(parley) {
    const cluster = new Cluster();
    cluster.parley = parley;
    cluster.folder = mkdtempSync(join(tmpdir(), "parley-chaos-"));
    cluster.network = new Network();
    cluster.hasClocks = FAKETIME !== undefined && spawnSync(parley, ["--version"], { env: { ...process.env, LD_PRELOAD: FAKETIME } }).status === 0;
    cluster.redis = await startRedis({ host: BACK, port: 6379 });
    cluster.postgresql = await startPostgresql({ settings: `listen_addresses = '${BACK}'` });
    appendFileSync(join(cluster.postgresql.folder, "data", "pg_hba.conf"), "host all all 10.78.0.0/24 trust\n");
    process.kill(cluster.postgresql.pid, "SIGHUP");
    cluster.startModel();
    const models = join(cluster.folder, "models.json");
    writeFileSync(models, JSON.stringify({ providers: [{ id: "main", kind: "openai", base_url: `http://${BACK}:8000/v1`, model: "m" }] }));
    const store = cluster.postgresql.url.replace("127.0.0.1", BACK);
    const shared = ["--store", store, "--redis", `redis://${BACK}:6379`, "--models-file", models, "--models-idle-timeout-ms", "4000", "--models-start-timeout-ms", "4000"];
    const disk = join(cluster.folder, "disk");
    mkdirSync(disk);
    cluster.disk = disk;
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]).status !== 0) throw new Error("cannot mount a small disk");
    cluster.a = new Node(cluster, "a", { host: await cluster.network.add(), options: [...shared, "--workers", "2", "--worker-timeout-ms", "5000"] });
    cluster.b = new Node(cluster, "b", { host: await cluster.network.add(), options: shared });
    cluster.alone = new Node(cluster, "alone", { host: await cluster.network.add(), options: ["--data", join(disk, "data"), "--models-file", models, "--models-idle-timeout-ms", "4000"] });
    cluster.nodes = [cluster.a, cluster.b, cluster.alone];
    for (const node of cluster.nodes) node.start();
    await cluster.wait();
    return cluster;
  }

  /** Until all answer. */
  async wait() {
    await until(async () => {
      const dead = this.nodes.find(({ child }) => child.exitCode === 2);
      if (dead) throw new Error(readFileSync(`${dead.log}.out`, "utf8"));
      return (await Promise.all(this.nodes.map((node) => node.isThere()))).every(Boolean);
    }, () => `all nodes: ${this.nodes.map((node) => this.tail(node)).join("\n")}`, 120000);
  }

  tail(node) { return existsSync(node.log) ? `${node.name}: ${readFileSync(node.log, "utf8").slice(-1500)}` : node.name; }

  startModel() {
    this.model = spawn(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), "chaos-model.mjs"), BACK, "8000"], { stdio: "ignore" });
  }

  /** The faults: name, and a function that makes it and is over when it has ended. `some(n)`: a whole number below n, of the seed. */
  faults(some) {
    const pause = (ms) => sleep(ms), node = () => this.nodes[some(3)], shared = () => [this.a, this.b][some(2)];
    const faults = {
      kill: [
        () => { const it = node(), down = some(3000); return [`kill ${it.name}, down for ${down} ms`, async () => { await it.kill(); await pause(down); it.start(); }]; },
        () => { const which = some(2); return [`kill worker ${which} of a`, async () => { const pid = childrenOf(this.a.child.pid)[which]; if (pid) signal(pid, "SIGKILL"); await pause(500); }]; },
        () => { const down = some(4000); return [`kill redis, down for ${down} ms`, async () => { await this.redis.kill(); await pause(down); this.redis = await startRedis({ host: BACK, port: 6379 }); }]; },
        () => { const down = some(4000); return [`kill postgresql, down for ${down} ms`, async () => { await this.postgresql.kill(); await pause(down); await this.postgresql.start(); }]; },
        () => { const down = some(3000); return [`kill the model, down for ${down} ms`, async () => { this.model.kill("SIGKILL"); await pause(down); this.startModel(); }]; },
      ],
      pause: [
        () => { const it = node(), ms = 200 + some(6000); return [`pause ${it.name} for ${ms} ms`, async () => { const pids = [it.child.pid, ...childrenOf(it.child.pid)]; for (const pid of pids) signal(pid, "SIGSTOP"); await pause(ms); for (const pid of pids) signal(pid, "SIGCONT"); }]; },
        () => { const which = some(2), ms = 200 + some(8000); return [`pause worker ${which} of a for ${ms} ms`, async () => { const pid = childrenOf(this.a.child.pid)[which]; if (!pid) return; signal(pid, "SIGSTOP"); await pause(ms); signal(pid, "SIGCONT"); }]; },
        () => { const ms = 200 + some(12000); return [`pause redis for ${ms} ms`, async () => { this.redis.pause(); await pause(ms); this.redis.resume(); }]; },
        () => { const ms = 200 + some(8000); return [`pause postgresql for ${ms} ms`, async () => { this.postgresql.pause(); await pause(ms); this.postgresql.resume(); }]; },
        () => { const ms = 200 + some(6000); return [`pause the model for ${ms} ms`, async () => { signal(this.model.pid, "SIGSTOP"); await pause(ms); signal(this.model.pid, "SIGCONT"); }]; },
      ],
      cut: [() => { const it = shared(), ms = 500 + some(12000); return [`cut ${it.name} off from redis, postgresql and the model for ${ms} ms`, async () => { this.network.cut(it.host); await pause(ms); this.network.heal(it.host); }]; }],
      disk: [() => { const ms = 500 + some(3000); return [`fill the disk of alone for ${ms} ms`, async () => { this.fill(); await pause(ms); rmSync(join(this.disk, "filler"), { force: true }); }]; }],
      clock: !this.hasClocks ? [] : [() => { const it = node(), step = (some(2) ? 1 : -1) * (1 + some(900)), ms = 1000 + some(4000); return [`step the clock of ${it.name} by ${step} s for ${ms} ms`, async () => { it.setClock(step); await pause(ms); it.setClock(0); }]; }],
    };
    return faults;
  }

  fill() {
    const { bavail, bsize } = statfsSync(this.disk);
    spawnSync("dd", ["if=/dev/zero", `of=${join(this.disk, "filler")}`, `bs=${bsize}`, `count=${bavail}`], { stdio: "ignore" });
  }

  async close() {
    const wrong = [];
    for (const node of this.nodes) {
      wrong.push(...node.deaths);
      const status = await node.end();
      if (status !== 0) wrong.push(`${node.name} did not end by itself on SIGTERM: ${status}`);
    }
    this.model.kill("SIGKILL");
    await this.redis.stop();
    await this.postgresql.stop();
    await this.network.close();
    spawnSync("umount", [this.disk]);
    rmSync(this.folder, { recursive: true, force: true });
    return wrong;
  }
}
