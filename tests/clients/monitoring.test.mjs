// What docs/monitoring/ offers, with Prometheus itself: names, rules, and a dashboard on numbers of a server that works.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { after, before, test } from "node:test";
import { until } from "../support/wait.mjs";
import { Desk } from "./lib/desk.mjs";

const run = promisify(execFile);
const folder = fileURLToPath(new URL("../../docs/monitoring/", import.meta.url));
const dashboard = JSON.parse(readFileSync(join(folder, "dashboard.json"), "utf8"));
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const rules = readFileSync(join(folder, "alerts.yml"), "utf8");

let desk, page, at, prometheus, url;
const names = () => new Set([...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function promtool(args, input) {
  const child = run("promtool", args, { cwd: folder });
  child.child.stdin.end(input);
  return child.catch(({ stdout, stderr }) => assert.fail(`promtool ${args.join(" ")}: ${stdout}${stderr}`));
}

const ask = async (path) => (await (await fetch(`${url}/api/v1/${path}`)).json());
const number = async (expression) => Number((await ask(`query?query=${encodeURIComponent(expression)}`)).data?.result[0]?.value[1] ?? NaN);

before(async () => {
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"] }, "--workers", "2");
  at = mkdtempSync(join(tmpdir(), "parley-monitoring-"));
  writeFileSync(join(at, "prometheus.yml"), JSON.stringify({
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [join(folder, "alerts.yml")],
    scrape_configs: [{ job_name: "parley", static_configs: [{ targets: [new URL(desk.parley.url).host] }] }],
  }));
  const address = `127.0.0.1:${await freePort()}`;
  url = `http://${address}`;
  prometheus = spawn("prometheus", [`--config.file=${at}/prometheus.yml`, `--storage.tsdb.path=${at}/data`, `--web.listen-address=${address}`],
    { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  prometheus.stderr.on("data", (text) => { errors = (errors + text).slice(-4000); });
  await until(() => {
    assert.ok(prometheus.exitCode === null, `Prometheus ended: ${errors}`);
    return fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false);
  }, () => `Prometheus is ready: ${errors}`);
  page = (await desk.request(null, "GET", "/metrics")).body;
});
after(async () => {
  if (prometheus?.exitCode === null) {
    const ended = once(prometheus, "exit");
    prometheus.kill("SIGTERM");
    await ended;
  }
  await desk?.close();
  if (at) rmSync(at, { recursive: true, force: true });
});

test("names, units and help are as Prometheus wants them", async () => {
  const { stdout, stderr } = await promtool(["check", "metrics"], page);
  assert.equal(stdout + stderr, "");
});

test("every rule fires at its numbers, and is silent at others", async () => {
  await promtool(["check", "rules", "alerts.yml"]);
  await promtool(["test", "rules", "alerts_test.yml"]);
  const tests = readFileSync(join(folder, "alerts_test.yml"), "utf8");
  for (const [, name] of rules.matchAll(/alert: (\w+)/g)) {
    const expected = [...tests.matchAll(new RegExp(`alertname: ${name}\\n\\s+exp_alerts:( \\[\\])?`, "g"))].map(([, none]) => Boolean(none));
    assert.deepEqual(expected.sort(), [false, true], `${name} has a test of both`);
  }
});

test("rules and dashboard name what the server has", () => {
  const known = names();
  const texts = [rules.replace(/description:.*/g, ""), ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))];
  const used = new Set(texts.flatMap((text) => text.match(/\b(?:parley|process)_\w+/g) ?? []));
  assert.ok(used.size > 40);
  for (const name of used) assert.ok(known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, "")), name);
});

test("a dashboard shows what a call did", async () => {
  const feed = await desk.call("m1");
  const ann = await desk.connect("ann");
  await ann.ask("call:subscribe", { call_id: "m1" });
  const say = async () => {
    assert.equal((await feed.say("I got the wrong size and want to return my jacket.")).ok, true);
    return number("sum(rate(parley_transcript_lines_total[10s]))");
  };
  await until(async () => await say() > 0, "Prometheus sees lines");
  await until(() => ann.seen("ai:suggestion").length, "a suggestion");
  await until(async () => await number("sum(parley_suggestion_seconds_count)") > 0, "the suggestion is timed");
  assert.equal(await number("sum(parley_sockets)"), 2);
  assert.ok(await number("sum(parley_store_write_seconds_count)") > 0);
  assert.ok(await number("sum(process_resident_memory_bytes{job='parley'})") > 1e6);
  assert.ok(await number("sum(process_cpu_seconds_total{job='parley'})") > 0);
  assert.ok(Math.abs(Date.now() / 1000 - await number("max(process_start_time_seconds{job='parley'})")) < 600);
  // Whatever needs no model or limit has a line; nothing fails.
  const empty = [];
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      await until(say, "numbers go on");
      const answer = await ask(`query?query=${encodeURIComponent(expr.replaceAll("$__rate_interval", "10s"))}`);
      assert.equal(answer.status, "success", `${title}: ${answer.error}`);
      if (!answer.data.result.length) empty.push(title);
    }
  }
  assert.deepEqual(empty.filter((title) => title !== "Limits that were hit, a second"), []);
  desk.leave();
});
