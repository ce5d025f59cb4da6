// Users: the command, login and refresh, throttling, administration over HTTP, and who is disconnected.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { keyOf, now, sign } from "./lib/tokens.mjs";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const STORE = process.env.TEST_STORE ? ["--store", process.env.TEST_STORE] : [];
const CHEAP = ["--password-memory-bytes", "65536", "--password-passes", "1", ...STORE];
const PASSWORD = "correct horse battery";
let parley;
let admin;
const open = new Set();

before(async () => {
  parley = await startParley(...CHEAP, "--login-burst", "4", "--login-interval-ms", "60000");
  admin = await parley.token("--sub", "root", "--role", "admin");
});
afterEach(() => {
  for (const socket of open) socket.disconnect();
  open.clear();
});
after(() => parley?.stop());

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_")));
const user = (words, input, data = parley.data) =>
  spawnSync(process.env.TEST_PARLEY, ["user", "--data", data, ...CHEAP, ...words], { input, encoding: "utf8", env: environment });
const http = async (path, { method = "GET", body, token, type = "application/json", url = parley.url } = {}) => {
  const headers = { ...(body && { "content-type": type }), ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url + path, { method, headers, body: body && typeof body !== "string" ? JSON.stringify(body) : body });
  return { status: response.status, headers: response.headers, ...(await response.json()) };
};
const login = (username, password, url) => http("/api/v1/login", { method: "POST", body: { username, password }, url });
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

function connect(token, { url = parley.url, ...options } = {}) {
  const socket = io(url, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"], ...options });
  open.add(socket);
  socket.errors = [];
  socket.on("error", (error) => socket.errors.push(error));
  socket.gone = new Promise((resolve) => socket.once("disconnect", resolve));
  return new Promise((resolve, reject) => socket.once("connect", () => resolve(socket)).once("connect_error", reject));
}

test("the command adds, changes, lists and removes users; passwords come from the standard input", () => {
  assert.equal(user(["add", "cli@acme.com", "--role", "supervisor", "--calls", "a,b", "--chats", "c,d"], `${PASSWORD}\n`).status, 0);
  const twice = user(["add", "cli@acme.com"], `${PASSWORD}\n`);
  assert.deepEqual([twice.status, twice.stderr], [1, "parley: the user exists; use passwd\n"]);
  assert.equal(user(["list"]).stdout, "cli@acme.com\tsupervisor\ta,b\tc,d\n");
  assert.equal(user(["passwd", "cli@acme.com", "--calls", "*"], `another ${PASSWORD}`).status, 0);
  assert.equal(user(["list"]).stdout, "cli@acme.com\tsupervisor\t*\tc,d\n");
  assert.equal(user(["passwd", "nobody"], `${PASSWORD}\n`).status, 1);
  assert.match(user(["add", "short"], "123\n").stderr, /at least 10 bytes/);
  assert.equal(user(["add", "none"], "").status, 1);
  assert.equal(user(["add", "ann", PASSWORD], "").status, 2, "a password on the command line is an error");
  assert.equal(user(["add", "ann", "--role", "king"], PASSWORD).status, 2);
  assert.equal(user(["add", "ann", "--chats", "x".repeat(1025)], PASSWORD).status, 2);
  for (const words of [[], ["add"], ["list", "x"], ["rename", "a"]]) assert.equal(user(words, "").status, 2, words.join(" "));
  assert.equal(user(["remove", "cli@acme.com"]).status, 0);
  assert.equal(user(["remove", "cli@acme.com"]).status, 1);
  assert.equal(user(["list"]).stdout, "");
});

test("a login gives a token that works, as JSON and as a form", async () => {
  user(["add", "ann", "--calls", "anns-*"], PASSWORD);
  const json = await login("ann", PASSWORD);
  assert.deepEqual([json.status, json.token_type, json.expires_in, json.role], [200, "bearer", 28800, "agent"]);
  assert.equal(json.headers.get("cache-control"), "no-store");
  const { sub, role, calls, iat, exp } = claims(json.access_token);
  assert.deepEqual([sub, role, calls, exp - iat], ["ann", "agent", ["anns-*"], 28800]);
  const form = await http("/login", { method: "POST", body: new URLSearchParams({ grant_type: "password", username: "ann", password: PASSWORD }).toString(),
    type: "application/x-www-form-urlencoded" });
  assert.equal(form.status, 200);
  const socket = await connect(form.access_token);
  assert.equal((await socket.timeout(PATIENCE_MS).emitWithAck("call:list", {})).ok, true);
  assert.equal((await http("/api/v1/users", { token: form.access_token })).status, 403);
});

test("a wrong login says the same, whoever it is for, and what is malformed is refused", async () => {
  user(["add", "wrong"], PASSWORD);
  const [known, unknown] = [await login("wrong", "not the password"), await login("nobody", "not the password")];
  for (const answer of [known, unknown])
    assert.deepEqual([answer.status, answer.error], [401, { code: 401, message: "wrong username or password" }]);
  const post = (body, type) => http("/api/v1/login", { method: "POST", body, type }).then(({ status }) => status);
  assert.equal(await post({ username: "ann" }), 400);
  assert.equal(await post({ username: "ann", password: "" }), 400);
  assert.equal(await post({ username: "ann", password: `${PASSWORD}\u0000` }), 400);
  assert.equal(await post({ username: ["ann"], password: PASSWORD }), 400);
  assert.equal(await post("[]"), 400);
  assert.equal(await post("{"), 400);
  assert.equal(await post(JSON.stringify({ username: "ann", password: "x".repeat(20000) })), 413);
  assert.equal(await post("username=ann", "application/x-www-form-urlencoded"), 400);
  assert.equal((await http("/api/v1/login")).status, 405);
});

function processorTicks(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return Number(fields[11]) + Number(fields[12]); // user and system
}

test("an unknown user takes as long as a wrong password", async () => {
  const slow = await startParley(...STORE, "--login-burst", "0", "--login-address-burst", "0");
  try {
    const costly = ["--password-memory-bytes", "67108864", "--password-passes", "2"];
    assert.equal(user(["add", "costly", ...costly], PASSWORD, slow.data).status, 0);
    // Of the server's processor, which a busy machine does not change.
    const work = async (name) => {
      const begin = processorTicks(slow.child.pid);
      for (let i = 0; i < 3; i++) assert.equal((await login(name, "not the password", slow.url)).status, 401);
      return processorTicks(slow.child.pid) - begin;
    };
    await work("costly");
    const [unknown, known] = [await work("nobody"), await work("costly")];
    assert.ok(known >= 10, `${known} ticks are too few to be compared`);
    assert.ok(unknown > known / 3 && known > unknown / 3, `${unknown} ticks for nobody, ${known} for a user`);
  } finally {
    await slow.stop();
  }
});

test("logins wait for each other, but not in a queue without end", async () => {
  const slow = await startParley(...STORE, "--password-queue-max", "3", "--login-address-burst", "0");
  try {
    const logins = Promise.all(Array.from({ length: 8 }, (_, i) => login(`nobody-${i}`, "x", slow.url)));
    const answers = (await logins).map(({ status }) => status).sort();
    assert.deepEqual([answers.filter((status) => status === 503).length >= 4, answers.filter((status) => status === 401).length >= 3], [true, true], answers.join(" "));
    assert.equal((await login("nobody", "x", slow.url)).status, 401, "there is room again");
    assert.match(await (await fetch(`${slow.url}/metrics`)).text(), /^parley_password_queue_full_total [1-9]/m);
  } finally {
    await slow.stop();
  }
});

test("failed logins are limited by user and by address; those that succeed do not count", async () => {
  user(["add", "bob"], PASSWORD);
  user(["add", "eve"], PASSWORD);
  for (let i = 0; i < 8; i++) assert.equal((await login("bob", PASSWORD)).status, 200);
  for (let i = 0; i < 4; i++) assert.equal((await login("bob", `guess ${i}`)).status, 401);
  const limited = await login("bob", PASSWORD);
  assert.equal(limited.status, 429);
  assert.ok(limited.error.retry_after_ms > 50000 && limited.error.retry_after_ms <= 60000, limited.error.retry_after_ms);
  assert.equal(Number(limited.headers.get("retry-after")), Math.ceil(limited.error.retry_after_ms / 1000));
  assert.equal((await login("eve", PASSWORD)).status, 200);
  const metrics = await (await fetch(`${parley.url}/metrics`)).text();
  assert.match(metrics, /^parley_login_limited_total [1-9]/m);
  const strict = await startParley(...CHEAP, "--login-address-burst", "3", "--login-address-interval-ms", "60000");
  try {
    const statuses = [];
    for (const name of ["a", "b", "c", "d"]) statuses.push((await login(name, "x", strict.url)).status);
    assert.deepEqual(statuses, [401, 401, 401, 429]);
  } finally {
    await strict.stop();
  }
});

// The console's and a program's requests alike.
const status = (token, url) => http("/api/v1/calls", { token, url }).then(({ status }) => status);

test("the token of a user who was removed or disconnected is void, one of a later login is not", async () => {
  const server = await startParley(...CHEAP, "--user-poll-ms", "100", "--workers", "2");
  try {
    user(["add", "kim"], PASSWORD, server.data);
    const [{ access_token: token }, root] = [await login("kim", PASSWORD, server.url), await server.token("--sub", "root", "--role", "admin")];
    const socket = await connect(token, { url: server.url });
    const foreign = sign(keyOf(server), { sub: "kim", tenant: "acme", role: "agent", calls: "*", iat: now() - 5, exp: now() + 600 });
    assert.equal(await status(token, server.url), 200);
    assert.equal((await http("/api/v1/users/kim/disconnect", { method: "POST", token: root, url: server.url })).status, 200);
    await within("the end", socket.gone);
    const refused = () => Promise.all(Array.from({ length: 8 }, () => status(token, server.url))).then((all) => all.every((one) => one === 401));
    await until(refused, "both workers to refuse the token");
    await assert.rejects(connect(token, { url: server.url }), ({ data }) => data.code === 401);
    assert.equal((await http("/api/v1/token/refresh", { method: "POST", token, url: server.url })).status, 401);
    assert.equal(await status(sign(keyOf(server), { sub: "kim", role: "agent", calls: "*", exp: now() + 600 }), server.url), 401, "one without iat");
    assert.equal(await status(foreign, server.url), 200, "another tenant's");

    const { access_token: next } = await login("kim", PASSWORD, server.url);
    const again = await connect(next, { url: server.url });
    assert.equal(user(["remove", "kim"], "", server.data).status, 0);
    await within("the end", again.gone);
    assert.deepEqual(again.errors.map(({ code }) => code), [401]);
    await until(async () => (await status(next, server.url)) === 401, "the command's change");
    await server.end();
    await server.start();
    assert.deepEqual([await status(next, server.url), await status(token, server.url)], [401, 401]);
    user(["add", "kim"], PASSWORD, server.data);
    assert.equal(await status((await login("kim", PASSWORD, server.url)).access_token, server.url), 200);
  } finally {
    await server.stop();
  }
});

test("who guesses a password does not keep its user out", async () => {
  const server = await startParley(...CHEAP, "--trusted-proxies", "127.0.0.1", "--login-burst", "4", "--login-interval-ms", "60000",
    "--login-user-burst", "12", "--login-user-interval-ms", "60000");
  const from = (address, password) => fetch(`${server.url}/api/v1/login`, { method: "POST", body: JSON.stringify({ username: "pat", password }),
    headers: { "content-type": "application/json", "x-forwarded-for": address } }).then(({ status }) => status);
  try {
    user(["add", "pat"], PASSWORD, server.data);
    assert.equal(await from("192.0.2.1", PASSWORD), 200);
    for (let i = 0; i < 4; i++) assert.equal(await from("198.51.100.1", `guess ${i}`), 401);
    assert.equal(await from("198.51.100.1", PASSWORD), 429);
    assert.equal(await from("192.0.2.2", PASSWORD), 200, "from another address");
    for (let i = 0; i < 8; i++) assert.equal(await from(`198.51.100.${2 + i}`, "guess"), 401);
    assert.equal(await from("198.51.100.20", "guess"), 429, "too many from all addresses");
    for (const address of ["192.0.2.1", "192.0.2.2"]) assert.equal(await from(address, PASSWORD), 200, "where the user has logged in before");
    assert.equal(await from("192.0.2.3", PASSWORD), 429);
  } finally {
    await server.stop();
  }
});

test("a refreshed token has the rights that the user has now", async () => {
  user(["add", "rob", "--calls", "a"], PASSWORD);
  const { access_token: token } = await login("rob", PASSWORD);
  const refresh = (token) => http("/api/v1/token/refresh", { method: "POST", token });
  user(["passwd", "rob", "--role", "supervisor", "--calls", "*"], PASSWORD);
  const fresh = await refresh(token);
  assert.deepEqual([fresh.status, claims(fresh.access_token).role, claims(fresh.access_token).calls], [200, "supervisor", "*"]);
  user(["remove", "rob"]);
  await until(async () => (await refresh(token)).status === 401, "the end of the token");
  assert.equal((await refresh(admin)).status, 403, "a token of somebody who is in no list of users");
  assert.equal((await refresh(undefined)).status, 401);
});

test("supervisors who log in watch the chats that they were given, and no others", async () => {
  const server = await startParley(...CHEAP, "--login-burst", "0");
  try {
    const root = await server.token("--sub", "root", "--role", "admin");
    const put = (body) => http("/api/v1/users", { method: "POST", body: { name: "lea", ...body }, token: root, url: server.url });
    const all = async (token) => (await http("/api/v1/chats?all=true", { token, url: server.url })).status;
    const enter = async () => (await login("lea", PASSWORD, server.url)).access_token;
    user(["add", "lea", "--role", "supervisor"], PASSWORD, server.data);
    const none = await enter();
    assert.deepEqual(["chats" in claims(none), await all(none)], [false, 403]);
    assert.equal((await put({ chats: ["*"] })).status, 200);
    const every = await enter();
    assert.deepEqual([claims(every).chats, await all(every)], ["*", 200]);
    assert.equal((await put({ role: "supervisor" })).status, 200);
    assert.equal(claims(await enter()).chats, "*", "what is left out stays");
    assert.equal(user(["passwd", "lea", "--chats", "one,shop-*"], PASSWORD, server.data).status, 0);
    const fresh = (await http("/api/v1/token/refresh", { method: "POST", token: every, url: server.url })).access_token;
    assert.deepEqual([claims(fresh).chats, await all(fresh)], [["one", "shop-*"], 403]);
    assert.equal((await http("/api/v1/users", { token: root, url: server.url })).users.find(({ name }) => name === "lea").chats, "one,shop-*");
    assert.equal((await put({ chats: [] })).status, 200);
    assert.equal("chats" in claims(await enter()), false);
    for (const chats of [["a,b"], Array(9).fill("x".repeat(128)), "*"]) assert.equal((await put({ chats })).error.field, "/chats");
    const token = await server.token("--sub", "max", "--role", "supervisor", "--chats", "*");
    assert.deepEqual([claims(token).chats, await all(token)], ["*", 200]);
  } finally {
    await server.stop();
  }
});

test("a user of a tenant is not the user of this server by the same name", async () => {
  user(["add", "sam", "--role", "admin"], PASSWORD);
  const key = keyOf(parley);
  const of = (tenant, role, sub = "sam") => sign(key, { sub, role, calls: "*", exp: now() + 600, ...(tenant && { tenant }) });
  const post = (path, token, body) => http(path, { method: "POST", token, body }).then(({ status }) => status);
  assert.equal(await post("/api/v1/token/refresh", of("acme", "agent")), 403);
  assert.equal(await post("/api/v1/token/refresh", of("", "agent")), 200);
  assert.equal((await http("/api/v1/users", { token: of("acme", "admin") })).status, 403);
  assert.equal(await post("/api/v1/users", of("acme", "admin"), { name: "sam", role: "agent" }), 403);
  assert.equal((await http("/api/v1/users/sam", { method: "DELETE", token: of("acme", "admin") })).status, 403);
  const [own, theirs] = [await connect(of("", "agent")), await connect(of("acme", "agent"))];
  assert.equal(await post("/api/v1/users/sam/disconnect", of("acme", "admin", "boss")), 200);
  assert.equal(await theirs.gone, "io server disconnect");
  assert.equal((await own.timeout(PATIENCE_MS).emitWithAck("call:list", {})).ok, true);
  assert.equal(await post("/api/v1/users/sam/disconnect", of("", "admin", "boss")), 200);
  await own.gone;
});

test("administrators manage users over HTTP", async () => {
  const put = (body, token = admin) => http("/api/v1/users", { method: "POST", body, token });
  assert.equal((await put({ name: "zoe|7", password: PASSWORD, role: "user", calls: ["c1", "c2"] })).status, 201);
  assert.equal((await put({ name: "zoe|7", role: "agent" })).status, 200);
  assert.deepEqual([(await put({ name: "new" })).error, (await put({ name: "new", password: "short" })).error.field],
    [{ code: 400, message: "a new user needs a password", field: "/password" }, "/password"]);
  assert.equal((await put({ name: "new", password: PASSWORD, role: "king" })).error.field, "/role");
  const list = async (query = "") => await http(`/api/v1/users${query}`, { token: admin });
  const zoe = (await list()).users.find(({ name }) => name === "zoe|7");
  assert.deepEqual([zoe.role, zoe.calls, "hash" in zoe], ["agent", "c1,c2", false]);
  const page = await list("?limit=1");
  assert.deepEqual([page.users.length, page.next], [1, page.users[0].name]);
  assert.ok((await list(`?after=${encodeURIComponent(page.next)}`)).users.every(({ name }) => name > page.next));
  const { users } = await list();
  assert.equal((await list(`?limit=${users.length}`)).next, undefined, "a page that is full is the last if nobody comes behind it");
  assert.equal((await list(`?limit=${users.length - 1}`)).next, users.at(-2).name);
  assert.equal((await list("?limit=x")).error.field, "/limit");
  const { access_token: token } = await login("zoe|7", PASSWORD);
  const socket = await connect(token);
  const path = `/api/v1/users/${encodeURIComponent("zoe|7")}`;
  assert.equal((await http(path, { method: "DELETE", token })).status, 403);
  assert.equal((await http(path, { method: "DELETE", token: admin })).status, 200);
  assert.equal(await socket.gone, "io server disconnect");
  assert.deepEqual(socket.errors.map(({ code, message }) => [code, message]), [[401, "disconnected by an administrator"]]);
  assert.equal((await http(path, { method: "DELETE", token: admin })).status, 404);
  assert.equal((await login("zoe|7", PASSWORD)).status, 401);
});

test("a user is disconnected at every worker, and others are not", async () => {
  const many = await startParley(...CHEAP, "--workers", "3");
  try {
    const [ann, bob, service] = await Promise.all([many.token("--sub", "ann+1@acme.com"), many.token("--sub", "bob"),
      many.token("--sub", "crm", "--role", "service")]);
    const sockets = await Promise.all(Array.from({ length: 12 }, () => connect(ann, { url: many.url })));
    const others = await Promise.all(Array.from({ length: 6 }, () => connect(bob, { url: many.url })));
    const answer = await http("/api/v1/users/ann+1%40acme.com/disconnect", { method: "POST", token: service, url: many.url });
    assert.deepEqual([answer.status, answer.name], [200, "ann+1@acme.com"]);
    await Promise.all(sockets.map((socket) => socket.gone));
    for (const socket of others) assert.equal((await socket.timeout(PATIENCE_MS).emitWithAck("call:list", {})).ok, true);
    assert.equal((await http("/api/v1/users/bob/disconnect", { method: "POST", token: bob, url: many.url })).status, 403);
  } finally {
    await many.stop();
  }
});
