// What cannot be used ends the start with status 2, whichever option it is: its name, the value, what is allowed, where it was given.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { PATIENCE_MS } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { environment, runParley } = await import("../browser/server.mjs");

const folder = mkdtempSync(join(tmpdir(), "parley-config-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name, text) => { const path = join(folder, name); writeFileSync(path, text); return path; };
mkdirSync(join(folder, "folder"));
const GONE = join(folder, "gone"), FOLDER = join(folder, "folder");
const EMPTY = file("empty", ""), HALF = file("half.json", '{"a":'), OTHER = file("other.json", '{"a": 1}'), KEY = file("key", "x".repeat(40));
const PIPE = join(folder, "pipe"), UNREAD = join(folder, "unread");
execFileSync("mkfifo", [PIPE, UNREAD]);
const REDISS = "--redis=rediss://127.0.0.1:1";
const EMBEDDINGS = ["--embeddings-url", "http://127.0.0.1:1/v1/embeddings"];

// Texts that are impossible, and what has to be given besides. Secrets are not shown.
const IMPOSSIBLE = {
  config: [GONE, FOLDER], host: ["localhost.", "1.2.3", "", "::g"],
  redis: ["http://x", "redis://", "redis://x:99999", "redis://x:abc", "x", "redis://x/abc", "redis://a,,redis://b"],
  redis_sentinels: ["a:x", "redis://a,,redis://b", ":1"].map((value) => [value, "--redis=redis://master"]),
  redis_tls_ca: [GONE, FOLDER, [OTHER, REDISS], [EMPTY, REDISS]], redis_tls_cert: [GONE, FOLDER, [OTHER, REDISS]], redis_tls_key: [GONE, FOLDER],
  cluster: ["http://x", "postgresql://x?foo=bar", "postgresql://[::1", "x"], cluster_table: ["", "a;b", "a.b.c"],
  store: ["mysql://x", "postgresql://x?foo=bar", "postgresql://[::1"], data: ["", "/proc/gone"], log_file: ["/gone/x", FOLDER],
  jwt_secret: ["short"], jwt_key_file: [GONE, EMPTY, FOLDER], jwt_keys: ["a", `a=${GONE}`, `=${KEY}`, `a=${EMPTY}`, `a=${KEY},a=${KEY}`],
  jwks_url: ["x", "ftp://x", "http://"], path: ["x", "", "/", "/a b/", "/a?b/"], cors_origin: ["x", "/(/", "http://a/", ","],
  trusted_proxies: ["10.0.0.0/99", "x", "10.0.0.0/-1", "::/129", "10.0.0.0/8,"], tls_cert: [[GONE, "--tls-key", KEY]], tls_ticket_keys: [GONE, EMPTY, FOLDER, KEY],
  glossary: [GONE, FOLDER], embeddings_url: ["x", "ftp://x"], embeddings_key_file: [[GONE, ...EMBEDDINGS], [EMPTY, ...EMBEDDINGS]],
  models_file: [GONE, FOLDER, EMPTY, HALF, OTHER], mcp_file: [GONE, FOLDER, EMPTY, HALF, OTHER], assistants_file: [GONE, FOLDER, EMPTY, HALF, OTHER],
  redaction: [GONE, FOLDER], alert_rules: [GONE, FOLDER, HALF, OTHER], public_url: ["x", "ftp://x", "https://x/y", "https://x/", "https://x?y"],
  summary_model: ["nobody"], emit_secret: ["x", "whsec_!!"], hook_url: ["x", "http://"], hook_secret: ["whsec_x"], hook_events: [",,", "a b"], hook_asks: [",,"],
  allowed_origins: ["*", "x", "/(/", "http://a/", ","], proxy_networks: ["10.0.0.0/99", "x"],
  listen: ["x", "127.0.0.1", "::1:80", "127.0.0.1:70000", "unix:", "unix:x", "127.0.0.1:0,", "127.0.0.1:0 fast"], operator_listen: ["localhost"],
  unix_socket_mode: ["", "rw", "888", "1777"], unix_socket_owner: [":", "a:b:c", "a b"],
  vonage_secrets: ["x", "x:", ":x", "a:b,", "a:b,,c:d"], sinch_secrets: ["x:?", "x:AA==,"],
  frame_ancestors: ["x y", "http://a;b"], admin_password: ["short", "$argon2id$x"], admin_password_file: [GONE, EMPTY], admin_user: [""],
};
// Files that may come by a pipe, from <(command) of a shell, and what has to be given besides; the others refuse one at once.
const FROM_PIPES = {
  config: [], jwt_key_file: [], glossary: [], models_file: [], mcp_file: [], assistants_file: [], redaction: [], embeddings_key_file: EMBEDDINGS,
};
const NOT_FROM_PIPES = {
  redis_tls_ca: [REDISS], redis_tls_cert: [REDISS], redis_tls_key: [REDISS], tls_cert: ["--tls-key", KEY], tls_key: ["--tls-cert", KEY], tls_ticket_keys: [],
  alert_rules: [], admin_password_file: [],
};
// Any text will do.
const FREE = ["redis_key_prefix", "redis_sessions_key", "redis_session_prefix", "redis_tls_name", "cluster_channel_prefix", "jwt_issuer", "jwt_audience", "embeddings_model", "twilio_auth_token", "sandbox_paths"];
const WITH_ANOTHER = { tls_key: "tls_cert" };
const SECRETS = ["jwt_secret", "emit_secret", "hook_secret", "admin_password", "vonage_secrets", "sinch_secrets"];

const { stdout } = await runParley("--print-options-markdown");
const options = [...stdout.matchAll(/^\| `([a-z0-9_]+)` \|[^|]*\|[^|]*\| ([^|]*) \|/gm)].map(([, name, allowed]) => ({ name, allowed }));

async function refused(name, value, besides = []) {
  const option = `--${name.replaceAll("_", "-")}`;
  const { code, stderr } = await runParley(`${option}=${value}`, "--port=0", ...(name === "data" ? [] : ["--data=:memory:"]), ...besides);
  const said = stderr.split("\n").find((line) => line.startsWith("parley: option ")) ?? stderr;
  assert.equal(code, 2, `${option}=${value}: ${code} ${stderr}`);
  for (const part of [`option ${name}: `, ...(SECRETS.includes(name) ? [] : [`${value}`]), "(allowed: ", `from command line ${option}`])
    assert.ok(said.includes(part), `${option}=${value}: "${part}" is not in "${said}"`);
}

test("every option of text is here", () => {
  const texts = options.filter(({ allowed }) => allowed === "text").map(({ name }) => name);
  assert.ok(options.length > 200, `${options.length} options`);
  assert.deepEqual(texts.sort(), [...Object.keys(IMPOSSIBLE), ...FREE, ...Object.keys(WITH_ANOTHER)].sort());
});

test("texts that cannot be used", { timeout: 10 * PATIENCE_MS }, async () => {
  for (const [name, values] of Object.entries(IMPOSSIBLE))
    await Promise.all(values.flatMap((value) => Array.isArray(value) ? [[name, value[0], value.slice(1)]] : [[name, value]]).map((one) => refused(...one)));
});

test("a word that is no command", { timeout: PATIENCE_MS }, async () => {
  const { code, output } = await new Promise((done) => {
    execFile(process.env.PARLEY, ["tokn", "--role", "feed"], { env: environment }, (error, out, err) => done({ code: error?.code ?? 0, output: out + err }));
  });
  assert.equal(code, 2, output);
  assert.match(output, /^parley: unknown command 'tokn' \(allowed: serve, token, import-documents, .*mcp-client\), from the command line\n$/);
});
test("a pipe into which nobody writes is refused, and not waited for without end", { timeout: PATIENCE_MS }, async () => {
  await Promise.all(Object.entries({ ...FROM_PIPES, ...NOT_FROM_PIPES }).map(([name, besides]) => refused(name, PIPE, besides)));
  await refused("log_file", UNREAD);
});

test("what comes by a pipe is read", { timeout: PATIENCE_MS }, async () => {
  const { stdout: shown } = await runParley("--print-config", "--config", file("pipe.conf", "port = 4321\n"));
  assert.match(shown, /4321/);
  const { code, output } = await new Promise((done) => {
    execFile("bash", ["-c", `"$0" --print-config --config <(sleep 0.2; echo port = 4322)`, process.env.PARLEY], { env: environment }, (error, out, err) => done({ code: error?.code ?? 0, output: out + err }));
  });
  assert.equal(code, 0, output);
  assert.match(output, /4322/);
});

test("numbers, words and switches that are none", { timeout: 10 * PATIENCE_MS }, async () => {
  const others = options.filter(({ allowed }) => allowed !== "text");
  for (let i = 0; i < others.length; i += 8) await Promise.all(others.slice(i, i + 8).map(({ name }) => refused(name, i % 2 ? "12x" : "zz")));
});
