// What every answer of the product tells a browser: types are not guessed, nothing is run or framed that is not a page, no address is passed on, no cache keeps it.
import assert from "node:assert/strict";
import * as http from "node:http";
import { after, before, test } from "node:test";
import { within } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const ELSEWHERE = { Origin: "https://shop.example" };
let parley;
before(async () => {
  parley = await startParley("--admin-ui", "development", "--demo", "true", "--max-body-bytes", "70000", "--frame-ancestors", "self https://crm.example", "--trusted-proxies", "127.0.0.1", "--hsts-max-age-s", "600");
});
after(() => parley?.stop());

/** fetch() does not set a Host, and follows redirections. */
const ask = (method, path, { headers = {}, body } = {}) => within(`${method} ${path}`, new Promise((resolve, reject) => {
  http.request(parley.url + path, { method, headers, agent: false }, (response) => {
    let text = "";
    response.on("data", (chunk) => (text += chunk)).on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
  }).on("error", reject).end(body);
}));

const isPage = ({ headers }) => /^text\/html/.test(headers["content-type"] ?? "");
/** Files that anybody may show or load, and that caches ask about again. */
const isFile = (path) => /^\/(assets\/|r\/|demo$|$)/.test(path) || /^\/admin\/(parley\.html|)$/.test(path);

function check(answer, label, path) {
  const { headers } = answer;
  const policy = headers["content-security-policy"];
  assert.equal(headers["x-content-type-options"], "nosniff", label);
  assert.equal(headers["referrer-policy"], "no-referrer", label);
  assert.match(policy ?? "", /^default-src 'none';.* frame-ancestors '/, label);
  assert.doesNotMatch(policy, /unsafe-eval|script-src[^;]*unsafe|\*/, label);
  assert.equal(headers["strict-transport-security"], undefined, `${label}: not over TLS`);
  const served = isFile(path) && [200, 304].includes(answer.status) && !/^application\/json/.test(path === "/" ? headers["content-type"] : "");
  assert.equal(headers["cache-control"], served ? "no-cache" : "no-store", label);
  assert.equal(headers["cross-origin-resource-policy"], served ? "cross-origin" : "same-origin", label);
  if (!served) assert.equal(policy, "default-src 'none'; frame-ancestors 'none'", label);
  for (const [name, value] of Object.entries(headers)) if (/policy|options|cache-control/.test(name)) assert.ok(!value.includes("no-store, ") && !value.includes("nosniff, "), `${label}: ${name} twice`);
}

const routes = async () => {
  const { paths } = JSON.parse((await ask("GET", "/openapi.json")).text);
  return Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path.replace(/\{[^}]+\}/g, "x")]));
};

test("every route of the API, whatever it answers", async () => {
  const all = await routes();
  assert.ok(all.length > 30, `${all.length} routes`);
  const { token } = JSON.parse((await ask("GET", "/demo/token?role=supervisor")).text);
  const seen = new Set();
  for (const [method, path] of all) {
    for (const headers of [{}, { Authorization: "Bearer x" }, { Authorization: `Bearer ${token}` }]) {
      const body = ["POST", "PUT", "PATCH"].includes(method) ? "{}" : undefined;
      const answer = await ask(method, path, { headers: { ...headers, "Content-Type": "application/json" }, body });
      check(answer, `${method} ${path}: ${answer.status}`, path);
      seen.add(answer.status);
    }
  }
  for (const status of [200, 400, 401, 403, 404]) assert.ok(seen.has(status), `no answer was ${status}: ${[...seen]}`);
});

test("pages, files, numbers, descriptions and refusals", async () => {
  const page = await ask("GET", "/");
  const assets = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path);
  assert.ok(assets.length > 1);
  const seen = new Set();
  const paths = ["/", "/demo", ...assets, "/r/registry.json", "/admin/", "/admin/preset.js", "/admin", "/assets/gone", "/r/gone", "/admin/gone",
    "/openapi.json", "/asyncapi.json", "/metrics", "/health", "/ready", "/demo/token", "/api/v1/gone", "/api/"];
  for (const path of paths) {
    for (const method of ["GET", "HEAD", "OPTIONS", "DELETE"]) {
      const answer = await ask(method, path);
      check(answer, `${method} ${path}: ${answer.status}`, path);
      seen.add(answer.status);
    }
  }
  for (const status of [200, 204, 308, 404, 405]) assert.ok(seen.has(status), `no answer was ${status}: ${[...seen]}`);
  for (const path of ["/metrics", "/health", "/ready"]) {
    const answer = await ask("POST", path);
    assert.deepEqual([answer.status, answer.headers.allow], [405, "GET, HEAD"], path);
  }
  assert.equal((await ask("GET", "/api/v1/feeds/twilio")).headers.allow, "POST", "a method that two rows have is listed once");
  for (const path of ["/", ...assets, "/r/registry.json", "/admin/"]) {
    const { headers } = await ask("GET", path);
    const again = await ask("GET", path, { headers: { "If-None-Match": headers.etag } });
    assert.equal(again.status, 304, path);
    check(again, `304 ${path}`, path);
  }
  check(await ask("GET", "/", { headers: { Accept: "application/json" } }), "the index", "/index");
});

test("what the library refuses before there is a route is not guessed either", async () => {
  for (const [status, method, path, options] of [[404, "GET", "/gone", {}], [404, "POST", "/gone", {}], [400, "GET", "/a%00", { headers: { "Transfer-Encoding": "x" } }]]) {
    const answer = await ask(method, path, options);
    assert.ok(answer.status >= 400, `${path}: ${answer.status}`);
    if (status === 404) assert.equal(answer.status, 404, path);
    assert.equal(answer.headers["x-content-type-options"], "nosniff", `${method} ${path}: ${answer.status}`);
  }
  const large = await ask("POST", "/gone", { body: "x".repeat(1000001) });
  assert.deepEqual([large.status, large.text], [413, ""], "as the reference's it has no body: there is nothing to guess");
  const known = await ask("POST", "/api/v1/calls", { body: "x".repeat(1000001) });
  assert.deepEqual([known.status, JSON.parse(known.text).error.code, known.headers["x-content-type-options"]], [413, 413, "nosniff"]);
});

test("the option says who may frame the console; the Admin UI is framed by nobody", async () => {
  for (const path of ["/", "/demo"]) {
    const page = await ask("GET", path);
    assert.ok(isPage(page));
    assert.match(page.headers["content-security-policy"], /; frame-ancestors 'self' https:\/\/crm\.example$/, path);
    assert.equal(page.headers["x-frame-options"], undefined, "it knows no list, and would forbid what the option allows");
  }
  assert.match((await ask("GET", "/admin/")).headers["content-security-policy"], /; frame-ancestors 'none'$/);
});

test("files that other sites load are open to them, and the client library's are as the reference sends them", async () => {
  for (const path of ["/assets/console.js", "/r/registry.json", "/socket.io/socket.io.min.js"]) {
    const { status, headers } = await ask("GET", path, { headers: ELSEWHERE });
    assert.equal(status, 200, path);
    assert.ok([undefined, "cross-origin"].includes(headers["cross-origin-resource-policy"]), path);
    assert.equal(headers["cross-origin-opener-policy"], undefined, path);
  }
  const poll = await ask("GET", "/socket.io/?EIO=4&transport=polling", { headers: ELSEWHERE });
  assert.equal(poll.status, 200);
  for (const name of ["content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-resource-policy"]) assert.equal(poll.headers[name], undefined, name);
});

test("HSTS is sent if a trusted proxy says that the client used TLS, and not otherwise", async () => {
  const secure = { headers: { "X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https" } };
  for (const path of ["/", "/health", "/metrics", "/admin/", "/assets/console.js", "/demo/token", "/api/v1/calls"]) {
    assert.equal((await ask("GET", path, secure)).headers["strict-transport-security"], "max-age=600", path);
    assert.equal((await ask("GET", path)).headers["strict-transport-security"], undefined, path);
  }
  const off = await startParley("--trusted-proxies", "127.0.0.1");
  try {
    const { headers } = await fetch(off.url, { headers: secure.headers });
    assert.equal(headers.get("strict-transport-security"), null);
  } finally {
    await off.stop();
  }
});
