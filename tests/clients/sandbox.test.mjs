// `sandbox = on`: what a process may not open any more, and that certificates, logs, workers and stores work as without it. Whole suites run in it, too (CMakeLists.txt).
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import tls from "node:tls";
import { Authority } from "./lib/certificates.mjs";
import { until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const folder = mkdtempSync(join(tmpdir(), "parley-sandbox-")), authority = new Authority();
const inside = join(folder, "inside"), outside = join(folder, "outside");
for (const one of [inside, outside]) mkdirSync(one);
after(() => { rmSync(folder, { recursive: true }); authority.remove(); });
let parley;
afterEach(async () => {
  const ending = parley;
  parley = null;
  await ending?.stop();
});

/** The processes of a server: itself and its children. */
function processes({ child: { pid } }) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return [pid, ...(children ? children.split(" ").map(Number) : [])];
}
const status = (pid) => Object.fromEntries(readFileSync(`/proc/${pid}/status`, "utf8").split("\n").map((line) => line.split(":\t")));

const subject = (port) => within("a handshake", new Promise((resolve, reject) => {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => { resolve(socket.getPeerCertificate().subject.CN); socket.destroy(); });
  socket.on("error", reject);
}));
/** Puts the files of a certificate where the server reads them: as new files, as a renewal does. */
function install({ cert, key }, put = copyFileSync) {
  for (const [from, to] of [[cert, "server.pem"], [key, "server.key"]]) {
    put(from, join(inside, `${to}.new`));
    renameSync(join(inside, `${to}.new`), join(inside, to));
  }
}

test("certificates are read anew from their folder, and from no other; the log is opened anew; a UNIX socket comes and goes", async () => {
  const [one, two] = ["one", "two"].map((name) => authority.issue(name, "IP:127.0.0.1"));
  install(one);
  const log = join(inside, "log"), unix = join(inside, "socket");
  const lines = () => readFileSync(log, "utf8");
  // The test's own questions come by an address without TLS.
  parley = await startParley("--sandbox", "on", "--tls-cert", join(inside, "server.pem"), "--tls-key", join(inside, "server.key"), "--workers", "2",
    "--listen", `127.0.0.1:0 plain, 127.0.0.1:0, unix:${unix} plain`, "--log-file", log);
  const [, port] = /listens on https:\/\/127\.0\.0\.1:(\d+)/.exec(parley.output);
  for (const pid of processes(parley)) assert.deepEqual([status(pid).Seccomp, status(pid).NoNewPrivs], ["2", "1"]);
  assert.match(lines(), /sandbox entered/);
  assert.equal(await subject(port), "one");
  const text = await within("an answer", new Promise((resolve, reject) => http.get({ socketPath: unix, path: "/ready" }, (response) => response.on("data", resolve)).on("error", reject)));
  assert.match(String(text), /"ready":true/);

  // Links to files in a folder that the configuration does not name: nothing there is read, and what was stays.
  for (const file of ["two.pem", "two.key"]) copyFileSync(join(authority.folder, file), join(outside, file));
  install({ cert: join(outside, "two.pem"), key: join(outside, "two.key") }, symlinkSync);
  parley.child.kill("SIGHUP");
  await until(() => /level=(error|warn).*(cert|TLS|tls)/.test(lines()), () => `a line about it\n${lines()}`);
  assert.equal(await subject(port), "one");

  install(two);
  renameSync(log, `${log}.1`);
  parley.child.kill("SIGHUP");
  await until(async () => (await subject(port)) === "two", "the new certificate");
  await until(() => existsSync(log), "the new log");
  const ending = parley;
  parley = null;
  await ending.stop();
  assert.ok(!existsSync(unix));
});

test("numbers about the process itself are there; the store is written", async () => {
  parley = await startParley("--sandbox", "on");
  const token = await parley.token("--sub", "root", "--role", "admin");
  const ask = (path, body) => fetch(parley.url + path, { method: body ? "POST" : "GET", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  const metrics = await (await ask("/metrics")).text();
  assert.ok(Number(/^process_resident_memory_bytes(?:{[^}]*})? (\S+)/m.exec(metrics)[1]) > 0);
  assert.ok((await ask("/api/v1/documents", { title: "Returns", text: "Kept." })).ok);
});

test("a list of models names a file with a key, which is read; sandbox_paths names more", async () => {
  const key = join(outside, "model.key"), models = join(inside, "models.json");
  writeFileSync(key, "secret\n");
  writeFileSync(models, JSON.stringify({ providers: [{ id: "m", kind: "openai", base_url: "http://127.0.0.1:1/v1", model: "m", key_file: key }] }));
  parley = await startParley("--sandbox", "on", "--models-file", models, "--sandbox-paths", `${outside},/gone`);
  assert.equal((await fetch(`${parley.url}/ready`)).status, 200);
});
