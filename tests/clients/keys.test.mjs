// Keys for tokens: several by name, out of files and out of a set that is fetched, and those that Parley signs with.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { io } from "socket.io-client";
import { until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { environment, startParley, runParley } = await import("../browser/server.mjs");

const folder = mkdtempSync(join(tmpdir(), "parley-keys-"));
after(() => rmSync(folder, { recursive: true }));

const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const CLAIMS = { sub: "ann", role: "admin", calls: "*" };
/** A token by a private key, or by a secret. */
function token(key, kid, claims = {}) {
  const alg = typeof key === "string" ? "HS256" : "EdDSA";
  const text = `${base64url({ alg, ...(kid && { kid }) })}.${base64url({ ...CLAIMS, exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
  const signature = alg === "HS256" ? createHmac("sha256", key).update(text).digest() : sign(null, Buffer.from(text), key);
  return `${text}.${signature.toString("base64url")}`;
}
const pair = () => generateKeyPairSync("ed25519");
const pem = (key) => key.export({ format: "pem", type: key.type === "public" ? "spki" : "pkcs8" });
const jwk = (key, kid) => ({ ...key.export({ format: "jwk" }), kid });
const file = (name, text) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const status = async (parley, bearer) => (await fetch(`${parley.url}/api/v1/users`, { headers: { authorization: `Bearer ${bearer}` } })).status;

async function withParley(options, run) {
  const parley = await startParley(...options);
  try {
    await run(parley);
  } finally {
    await parley.stop();
  }
}

test("a token is checked by the key that it names, and by that key's algorithm alone", async () => {
  const [one, two, stranger] = [pair(), pair(), pair()];
  const secret = "0123456789abcdef0123456789abcdef";
  const named = [`one=${file("one.pem", pem(one.publicKey))}`, `two=${file("two.pem", pem(two.privateKey))}`, `three=${file("three", `${secret}\n`)}`];
  await withParley(["--jwt-keys", named.join(",")], async (parley) => {
    assert.equal(await status(parley, token(one.privateKey, "one")), 200);
    assert.equal(await status(parley, token(two.privateKey, "two")), 200);
    assert.equal(await status(parley, token(secret, "three")), 200);
    assert.equal(await status(parley, await parley.token("--role", "admin")), 200);
    for (const wrong of [token(one.privateKey, "two"), token(one.privateKey), token(stranger.privateKey, "one"), token(secret, "one"),
      token(pem(one.publicKey), "one"), token(one.privateKey, "four"), token(one.privateKey, "one", { exp: 1 }),
      token(one.privateKey, "one", { nbf: 9999999999 })])
      assert.equal(await status(parley, wrong), 401, wrong);
  });
  for (const wrong of ["one", "one=/nonexistent", `one=${file("short", "abc")}`, `one=${file("bad.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END")}`]) {
    const { code, stderr } = await runParley("--port", "0", "--data", ":memory:", "--jwt-keys", wrong);
    assert.deepEqual([code, /^parley: option jwt_keys: invalid value/.test(stderr)], [2, true], stderr);
  }
});

test("with a private Ed25519 key Parley signs what others can check", async () => {
  const own = pair();
  await withParley(["--jwt-algorithm", "EdDSA", "--jwt-key-file", file("own.pem", pem(own.privateKey))], async (parley) => {
    const mine = await parley.token("--jwt-algorithm", "EdDSA", "--jwt-key-file", join(folder, "own.pem"), "--role", "admin");
    assert.equal(JSON.parse(Buffer.from(mine.split(".")[0], "base64url")).alg, "EdDSA");
    assert.equal(await status(parley, mine), 200);
    assert.equal(await status(parley, token(own.privateKey)), 200);
  });
  const { code } = await runParley("token", "--data", folder, "--jwt-algorithm", "EdDSA", "--jwt-key-file", file("public.pem", pem(own.publicKey)));
  assert.equal(code, 1, "a public key cannot sign");
});

test("commands make no data directory by accident, and none to sign with a key that they are given", async () => {
  const empty = join(folder, "empty"), key = "k".repeat(40);
  mkdirSync(empty);
  const run = (...words) => new Promise((resolve) => {
    const child = execFile(process.env.TEST_PARLEY, words, { cwd: empty, env: environment }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
    child.stdin.end("a long password\n");
  });
  const config = file("token.conf", `jwt_key_file = ${file("token.key", key)}\n`), documents = file("document.md", "# A\n\nb\n");
  for (const words of [["token"], ["user", "list"], ["user", "add", "ann"], ["import-documents", documents], ["learn", documents], ["expand-documents"]]) {
    const { code, stderr } = await run(...words);
    assert.deepEqual([code, /no directory 'data' here/.test(stderr)], [2, true], `${words}: ${stderr}`);
  }
  for (const words of [["--config", config], ["--jwt-key-file", join(folder, "token.key")], ["--jwt-secret", key]]) {
    const { code, stdout, stderr } = await run("token", ...words, "--role", "admin");
    assert.equal(code, 0, stderr);
    const [head, claims, signature] = stdout.trim().split(".");
    assert.equal(createHmac("sha256", key).update(`${head}.${claims}`).digest("base64url"), signature);
  }
  assert.deepEqual(readdirSync(empty), []);
});

test("a set of keys is fetched, kept while it cannot be, and fetched again for a key that is new", async () => {
  const [first, second] = [pair(), pair()];
  let keys = [jwk(first.publicKey, "first"), { kty: "RSA", kid: "rsa", n: "AQAB", e: "AQAB" }];
  let [asked, works, held] = [0, true, []];
  const server = createServer((_, response) => {
    asked++;
    response.statusCode = works ? 200 : 500;
    const answer = () => response.end(JSON.stringify({ keys }));
    if (held) held.push(answer);
    else answer();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const options = ["--jwks-url", `http://127.0.0.1:${server.address().port}/jwks`, "--jwks-interval-s", "1"];
  const release = () => {
    for (const answer of held) answer();
    held = null;
  };
  try {
    await withParley(options, async (parley) => {
      await until(() => held.length === 1, "the first fetch");
      const early = await fetch(`${parley.url}/api/v1/users`, { headers: { authorization: `Bearer ${token(first.privateKey, "first")}` } });
      assert.deepEqual([early.status, (await early.json()).error.retry_after_ms, early.headers.get("retry-after")], [503, 1000, "1"]);
      const socket = io(parley.url, { auth: { token: token(first.privateKey, "first") }, reconnection: false, forceNew: true });
      const [refused] = await once(socket, "connect_error");
      assert.deepEqual(refused.data, { code: 503, retry_after_ms: 1000 });
      release();
      await until(async () => (await status(parley, token(first.privateKey, "first"))) === 200, "the first key");
      assert.equal(asked, 1);
      assert.equal(await status(parley, token(second.privateKey, "first")), 401, "by another key");
      works = false;
      await until(async () => (await status(parley, token(second.privateKey, "second"))) === 401 && asked > 1, "a fetch that fails");
      assert.equal(await status(parley, token(first.privateKey, "first")), 200, "the former keys stay");
      works = true;
      keys = [jwk(second.publicKey, "second")];
      await until(async () => (await status(parley, token(second.privateKey, "second"))) === 200, "the new key");
      assert.equal(await status(parley, token(first.privateKey, "first")), 401, "the old key is gone");
      const before = asked;
      for (let i = 0; i < 50; i++) await status(parley, token(first.privateKey, `made-up-${i}`));
      assert.ok(asked - before <= 3, `${asked - before} fetches for 50 unknown keys`);
      assert.match(await (await fetch(`${parley.url}/metrics`)).text(), /^parley_jwks_keys 1$/m);
    });
  } finally {
    server.close();
  }
});
