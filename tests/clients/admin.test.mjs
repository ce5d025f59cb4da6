// The Admin UI of the application: who may in, what it may, over several workers.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { runParley, startParley } = await import("../browser/server.mjs");

const PASSWORD = "correct horse battery";
const ARGON2 = "$argon2id$v=19$m=8192,t=1,p=1$3djgrH2+fucEtEgfTA5rBw$5Wm8QDjrWGWVr3VWkqWKStbtJF671/4PklFCbTHoSFI";
const webSocket = { transports: ["websocket"] };
let folder;
let parley;
const open = new Set();

const file = async (text) => {
  const path = join(folder, `password-${Math.random()}`);
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
};

function connect(nsp, auth, options = {}) {
  const socket = io(parley.url + nsp, { auth, forceNew: true, reconnection: false, ...options });
  open.add(socket);
  socket.log = [];
  socket.onAny((...event) => socket.log.push(event));
  socket.all = (event, matches = () => true) => socket.log.filter(([name, ...args]) => name === event && matches(...args)).map((one) => one.slice(1));
  socket.got = (event, matches) => until(() => socket.all(event, matches)[0], () => `${event}; got ${JSON.stringify(socket.log).slice(0, 2000)}`);
  return within(`connecting to ${nsp}`, new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  }));
}
const refusal = (auth) => connect("/admin", auth, webSocket).then(() => assert.fail("it was let in"), ({ message }) => message);
const token = (role, ...more) => parley.token("--sub", role, "--role", role, "--calls", "*", ...more);
const agent = async (name) => connect("/", { token: await parley.token("--sub", name, "--role", "agent", "--calls", "*") }, webSocket);

before(async () => { folder = await mkdtemp(join(tmpdir(), "parley-admin-")); });
afterEach(() => {
  for (const socket of open) socket.disconnect();
  open.clear();
});
after(() => rm(folder, { recursive: true, force: true }));

describe("off, as it is by itself", () => {
  before(async () => { parley = await startParley(); });
  after(() => parley.stop());

  test("there is neither namespace nor page", async () => {
    assert.equal(await refusal({ token: await token("admin") }), "Invalid namespace");
    for (const path of ["/admin", "/admin/", "/admin/index.html"]) assert.equal((await fetch(parley.url + path)).status, 404, path);
  });
});

describe("with tokens alone", () => {
  before(async () => { parley = await startParley("--admin-ui", "development"); });
  after(() => parley.stop());

  test("roles other than admin are refused", async () => {
    for (const role of ["agent", "supervisor", "feed"]) {
      assert.equal(await refusal({ token: await token(role) }), `role ${role} may not use the Admin UI`);
      assert.equal(await refusal({ username: "", password: await token(role) }), `role ${role} may not use the Admin UI`);
    }
  });

  test("tokens that are not valid are refused", async () => {
    const good = await token("admin");
    const [head, claims, signature] = good.split(".");
    const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(claims, "base64url")), role: "admin", sub: "evil" })).toString("base64url");
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url");
    for (const bad of ["", "x", `${head}.${other}.${signature}`, `${none}.${claims}.`, `${head}.${claims}`]) {
      assert.notEqual(await refusal({ token: bad }), "", bad);
    }
  });

  test("there is no password that fits", async () => {
    for (const password of ["", "admin", "parley", "s3cret"]) assert.match(await refusal({ username: "admin", password }), /invalid credentials|too many/);
  });
});

describe("an admin's token", () => {
  before(async () => { parley = await startParley("--admin-ui", "development", "--admin-failed-logins-max", "3"); });
  after(() => parley.stop());

  test("is a login until it expires, and so is its session", async () => {
    const page = await connect("/admin", { token: await token("admin", "--ttl", "3") }, webSocket);
    const [sessionId] = await page.got("session");
    const again = await connect("/admin", { sessionId }, webSocket);
    await until(() => !page.connected && !again.connected, "both end");
    assert.equal(await refusal({ sessionId }), "invalid credentials");
  });

  test("does not show what other sockets authenticated with, and survives a request for the list of live objects", async () => {
    const page = await connect("/admin", { token: await token("admin") }, webSocket);
    const ann = await agent("ann");
    await page.got("socket_connected", ({ id }) => id === ann.id);
    assert.ok(!JSON.stringify(page.log).includes(ann.auth.token));
    parley.child.kill("SIGUSR1");
    await until(() => parley.output.includes("nsp=/admin"), "the page's line");
    assert.ok(page.connected);
  });

  test("guesses are limited for all ways in", async () => {
    for (let i = 0; i < 3; i++) assert.match(await refusal({ sessionId: `0123456789abcde${i}` }), /invalid credentials|too many/);
    assert.match(await refusal({ token: await token("admin") }), /too many failed logins/);
    const metrics = await (await fetch(`${parley.url}/metrics`)).text();
    assert.match(metrics, /parley_admin_logins_throttled_total [1-9]/);
  });
});

for (const [name, secret] of [["a password", PASSWORD], ["an Argon2 hash", ARGON2]]) {
  describe(`with ${name}`, () => {
    before(async () => {
      parley = await startParley("--admin-ui", "production", "--admin-readonly", "true", "--admin-user", "root", "--admin-password-file", await file(secret));
    });
    after(() => parley.stop());

    test("the right one is let in, and may only look", async () => {
      const page = await connect("/admin", { username: "root", password: PASSWORD }, webSocket);
      const ann = await agent("ann");
      await page.got("session");
      assert.deepEqual((await page.got("config"))[0], { supportedFeatures: ["AGGREGATED_EVENTS"] });
      page.emit("_disconnect", "/", true);
      page.emit("emit", "/", null, "evil");
      page.emit("join", "/", "supervisors");
      await page.got("server_stats", ({ namespaces }) => namespaces.some(({ name, socketsCount }) => name === "/" && socketsCount === 1));
      await page.got("server_stats", () => page.all("server_stats").length > 2);
      assert.ok(ann.connected);
      assert.deepEqual(ann.log, []);
      assert.deepEqual([...new Set(page.log.map(([event]) => event))].sort(), ["config", "server_stats", "session"]);
    });

    test("any other is not", async () => {
      for (const auth of [{ username: "root", password: "wrong password" }, { username: "admin", password: PASSWORD }, { username: "root", password: secret === ARGON2 ? ARGON2 : "" }, { username: "root" }, { username: "root", password: [PASSWORD] }]) {
        assert.equal(await refusal(auth), "invalid credentials", JSON.stringify(auth));
      }
    });
  });
}

describe("over two workers", () => {
  before(async () => {
    parley = await startParley("--workers", "2", "--admin-ui", "development", "--admin-password-file", await file(PASSWORD), "--max-connections-per-address", "0");
  });
  after(() => parley.stop());

  test("the page sees the servers, sockets and events of both, and acts on both", async () => {
    const page = await connect("/admin", { username: "admin", password: PASSWORD }, webSocket);
    await page.got("config");
    await until(() => new Set(page.all("server_stats").map(([{ serverId }]) => serverId)).size === 2, "two servers");
    const agents = [];
    const counts = () => {
      const last = new Map(page.all("server_stats").map(([stats]) => [stats.serverId, stats.namespaces.find(({ name }) => name === "/").socketsCount]));
      return [...last.values()];
    };
    await until(async () => {
      agents.push(await agent(`agent-${agents.length}`));
      const seen = page.all("server_stats").length;
      if (agents.length >= 4) await until(() => page.all("server_stats").length > seen + 2, "new numbers");
      return agents.length >= 4 && counts().length === 2 && counts().every((count) => count > 0);
    }, "agents on both workers");
    for (const one of agents) await page.got("socket_connected", ({ id }) => id === one.id);
    await Promise.all(agents.map((one) => one.timeout(PATIENCE_MS).emitWithAck("call:list", {})));
    for (const one of agents) await page.got("event_received", (_nsp, id, [event]) => id === one.id && event === "call:list");
    // One that comes later gets everybody's, whichever worker it reaches.
    const later = await connect("/admin", { username: "admin", password: PASSWORD }, webSocket);
    const known = () => new Set([...later.all("all_sockets").flatMap(([list]) => list.map(({ id }) => id)), ...later.all("socket_connected").map(([{ id }]) => id)]);
    await until(() => agents.every(({ id }) => known().has(id)), "all sockets");
    for (const one of agents) page.emit("_disconnect", "/", true, one.id);
    await until(() => agents.every(({ connected }) => !connected), "all gone");
  });

  test("a session is good with every worker", async () => {
    const page = await connect("/admin", { username: "admin", password: PASSWORD }, webSocket);
    const [sessionId] = await page.got("session");
    for (let i = 0; i < 12; i++) {
      const again = await connect("/admin", { sessionId }, webSocket);
      await again.got("config");
      again.disconnect();
    }
    assert.match(await refusal({ sessionId: "0000000000000000" }), /invalid credentials/);
  });
});

describe("what cannot be configured", () => {
  test("ends the start with status 2 and says why", async () => {
    const data = ["--data", join(folder, "data"), "--port", "0", "--admin-ui", "development"];
    for (const [options, expected] of [
      [["--admin-ui", "yes"], /option admin_ui: invalid value 'yes'/],
      [["--admin-password-file", join(folder, "nothing")], /option admin_password_file.*a readable regular file/],
      [["--admin-password-file", await file("short")], /option admin_password_file.*8 to 1023 bytes/],
      [["--admin-password", "short", "--workers", "2"], /option admin_password:.*8 to 1023 bytes/],
      [["--admin-password-file", await file("short"), "--workers", "2"], /option admin_password_file/],
      [["--admin-password-file", await file("$argon2id$nonsense")], /option admin_password_file.*Argon2/],
      [["--admin-user", ""], /option admin_user/],
      [["--path", "/admin"], /option path/],
    ]) {
      const { code, stderr } = await runParley(...data, ...options);
      assert.equal(code, 2, `${options}: ${stderr}`);
      assert.match(stderr, expected);
    }
    const { stderr } = await runParley(...data, "--admin-password", "short");
    assert.ok(!stderr.includes("short"), "a secret is not said");
    const { stdout } = await runParley("--admin-password", PASSWORD, "--print-config");
    assert.ok(!stdout.includes(PASSWORD), "a secret is not printed");
  });
});
