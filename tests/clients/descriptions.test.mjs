// /asyncapi.json and /openapi.json beside the schema files: one set, wherever it is read.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { Desk } from "./lib/desk.mjs";

const read = (folder) => readdirSync(new URL(`../../app/schemas/${folder}`, import.meta.url)).filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(new URL(`../../app/schemas/${folder}${name}`, import.meta.url), "utf8")));

let desk;
before(async () => { desk = await Desk.open({}); });
after(() => desk?.close());

test("every event of the schema files is a message of its namespaces, with its schema", async () => {
  const { status, body } = await desk.request(null, "GET", "/asyncapi.json");
  assert.deepEqual([status, body.asyncapi], [200, "3.0.0"]);
  const wanted = new Map();
  for (const [side, folder] of [["client", ""], ["server", "server/"]]) for (const schema of read(folder)) {
    const where = schema.description.split(": ")[0].split(", ")[1];
    if (where) wanted.set(`${side}.${schema.title}`, { schema, channels: where === "every namespace" ? ["/", "/chat", "/feed"] : [where] });
  }
  assert.deepEqual(Object.keys(body.components.messages).sort(), [...wanted.keys()].sort());
  for (const [key, { schema, channels }] of wanted) {
    assert.deepEqual(body.components.messages[key].payload, schema, key);
    const found = Object.keys(body.channels).filter((name) => key in body.channels[name].messages);
    assert.deepEqual(found, channels, key);
  }
});

test("a description is made once: who asks for it again and again takes no time of others", async () => {
  const times = 40;
  const computed = async (path) => {
    const read = () => Number(readFileSync(`/proc/${desk.parley.child.pid}/task/${desk.parley.child.pid}/schedstat`, "utf8").split(" ")[0]);
    await desk.request(null, "GET", path);
    const before = read();
    for (let i = 0; i < times; i++) await (await fetch(desk.parley.url + path)).arrayBuffer();
    return (read() - before) / times;
  };
  const file = await computed("/r/registry.json");
  for (const path of ["/asyncapi.json", "/openapi.json"]) {
    const own = await computed(path);
    assert.ok(own < 8 * file, `${path}: ${(own / 1000).toFixed()} microseconds of the loop, a file ${(file / 1000).toFixed()}`);
  }
});

test("every route is described, and answers as described to who has no token", async () => {
  const { status, body } = await desk.request(null, "GET", "/openapi.json");
  assert.deepEqual([status, body.openapi], [200, "3.1.0"]);
  const schemas = new Map(read("").map((schema) => [schema.title, schema]));
  assert.deepEqual(body.paths["/api/v1/rules"].post.requestBody.content["application/json"].schema, schemas.get("rule:write"));
  assert.deepEqual(body.paths["/api/v1/rules"].post["x-roles"], ["admin"]);
  assert.deepEqual(body.paths["/api/v1/calls/{call_id}/export"].get.parameters.map(({ name, in: where, required }) => [name, where, required]),
    [["call_id", "path", true], ["format", "query", false]]);
  let count = 0;
  for (const [path, operations] of Object.entries(body.paths)) for (const [method, { security }] of Object.entries(operations)) {
    const response = await fetch(desk.parley.url + path.replaceAll(/\{[^}]*\}/g, "x"), { method: method.toUpperCase() });
    await response.arrayBuffer();
    const isOptional = security?.some((one) => Object.keys(one).length === 0); // for guests, which this server has
    assert.ok(isOptional ? ![401, 405].includes(response.status) : security ? response.status === 401 : ![404, 405].includes(response.status) || /\/feeds\/(twilio|vonage|sinch)$/.test(path),
      `${method} ${path}: ${response.status}`);
    count++;
  }
  assert.ok(count > 20);
  assert.equal((await desk.request(null, "POST", "/openapi.json")).status, 405);
});
