// `parley mcp-client` against servers that others wrote: the reference server of the protocol's authors, which speaks the
// older era alone, the official SDK's second version, which speaks both, and the two Python libraries that most servers
// are made with. All of them in a network namespace: they listen on all interfaces, and some fetch what they are told to.
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { insideNetns } from "../clients/lib/netns.mjs";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PARLEY = process.env.PARLEY ?? here("../../build/asan/bin/parley");
const PYTHON = { PYTHONPATH: here("../../build/tools/python-mcp"), PYTHONUNBUFFERED: "1", PYTHONDONTWRITEBYTECODE: "1" };
const ERAS = { older: "2025-11-25", newer: "2026-07-28" };

// A server of its own, with an empty environment; its port is in what it prints, or given.
async function serve(command, { ready, port, env = {} }) {
  const child = spawn(command[0], command.slice(1), { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { output += text; });
  const match = await until(() => {
    assert.equal(child.exitCode, null, output);
    return ready.exec(output);
  }, () => `${command.join(" ")}: ${output}`);
  return {
    url: `http://127.0.0.1:${port ?? match[1]}/mcp`,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await within("the end of a server", ended);
    },
  };
}

// What the client prints, when it calls these tools: [[name, arguments], …]; `version` decides on the era, else it finds
// out by itself.
function run(url, calls, version) {
  const context = { toolCalls: calls.map(([name, args]) => ({ name, arguments: args })) };
  const env = { MCP_CONFORMANCE_CONTEXT: JSON.stringify(context) };
  if (version) env.MCP_CONFORMANCE_PROTOCOL_VERSION = version;
  return new Promise((resolve) => execFile(PARLEY, ["mcp-client", "--log-level", "debug", url], { env, timeout: PATIENCE_MS },
    (error, stdout, stderr) => resolve({ status: error?.code ?? (error ? 1 : 0), out: stdout, log: stderr })));
}

test("the Python packages are there", () => assert.ok(existsSync(join(PYTHON.PYTHONPATH, ".parley-installed")), "run scripts/install-deps --for test"));

if (insideNetns(import.meta.url)) {
  spawnSync("ip", ["link", "set", "lo", "up"]);

  describe("@modelcontextprotocol/server-everything", () => {
    let server;
    const program = here("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    before(async () => { server = await serve([process.execPath, program, "streamableHttp"], { ready: /port (\d+)/, env: { PORT: "3901" } }); });
    after(() => server.stop());

    test("the era is found out, tools answer with texts, structures, pictures and links", async () => {
      const { status, out, log } = await run(server.url, [["echo", { message: "hello" }], ["get-sum", { a: 2, b: 3 }],
        ["get-structured-content", { location: "New York" }], ["get-tiny-image", {}], ["get-resource-links", { count: 2 }]]);
      assert.equal(status, 0, out + log);
      assert.match(out, /done: Echo: hello/);
      assert.match(out, /sum of 2 and 3 is 5/);
      assert.match(out, /"temperature":/);
      assert.match(out, /\[an image, which is not shown to the model, image\/png\]/);
      assert.match(out, /\[link: [^\]]*demo:\/\/[^\]]*\]/);
      assert.match(log, /era" .*2025-11-25/);
    });

    test("long work reports its progress", async () => {
      const { status, out, log } = await run(server.url, [["trigger-long-running-operation", { duration: 0.6, steps: 3 }]]);
      assert.equal(status, 0, out + log);
      assert.match(out, /3 of 3/);
    });

    test("a form of every kind of field is filled in by its defaults", async () => {
      const { status, out, log } = await run(server.url, [["trigger-elicitation-request", {}]]);
      assert.equal(status, 0, out + log);
      assert.match(out, /it asks: /);
      assert.match(out, /done: .*provided/s);
    });

    test("a page is visited first, by question and by error", async () => {
      const args = { url: "https://example.com/pay", message: "Pay first", elicitationId: "p1" };
      const { status, out, log } = await run(server.url, [["trigger-url-elicitation", { ...args, errorPath: false }]]);
      assert.equal(status, 0, out + log);
      assert.match(out, /it asks: .*https:\/\/example.com\/pay/);
      const other = await run(server.url, [["trigger-url-elicitation", { ...args, elicitationId: "p2", errorPath: true }]]);
      assert.match(other.out, /it asks: .*https:\/\/example.com\/pay/);
    });
  });

  describe("@modelcontextprotocol/server 2", () => {
    let server;
    before(async () => { server = await serve([process.execPath, here("sdk-server.mjs")], { ready: /PORT (\d+)/ }); });
    after(() => server.stop());

    for (const [name, version] of [["by itself", undefined], ...Object.entries(ERAS)]) test(`calls and forms, era: ${name}`, async () => {
      const { status, out, log } = await run(server.url, [["echo", { text: "Grüße" }], ["book", { what: "a room" }], ["fail", {}]], version);
      assert.equal(status, 1, out + log); // one of them fails
      assert.match(out, /done: again: Grüße/);
      // Its older era has no sessions, and nothing can be asked without one.
      assert.match(out, version === ERAS.older ? /failed: Cannot request input/ : /done: booked a room: accept Monday/);
      assert.match(out, /failed: it is broken/);
      if (!version) assert.match(log, /2026-07-28/);
    });
  });

  describe("fastmcp", () => {
    let server;
    before(async () => { server = await serve(["/usr/bin/python3", here("fastmcp_server.py"), "3902"], { ready: /Uvicorn running/, port: 3902, env: PYTHON }); });
    after(() => server.stop());

    test("calls work in either era", async () => {
      for (const version of Object.values(ERAS)) {
        const { status, out, log } = await run(server.url, [["add", { a: 2, b: 3 }]], version);
        assert.equal(status, 0, out + log);
        assert.match(out, /done: 5/);
      }
    });

    test("forms, which it has in the older era alone, bring the client there by itself", async () => {
      const { status, out, log } = await run(server.url, [["book", { what: "room" }], ["book", { what: "car" }]]);
      assert.equal(status, 0, out + log);
      assert.match(out, /done: room: accept/);
      assert.match(out, /done: car: accept/);
      assert.equal(log.match(/has forms in the older era alone/g).length, 1, log);
    });

    test("in the newer era its own words are the tool's answer", async () => {
      const { status, out } = await run(server.url, [["book", { what: "room" }]], ERAS.newer);
      assert.equal(status, 1);
      assert.match(out, /failed: .*unavailable/s);
    });
  });

  describe("mcp of PyPI", () => {
    let server;
    before(async () => { server = await serve(["/usr/bin/python3", here("mcp_server.py"), "3903"], { ready: /Uvicorn running/, port: 3903, env: PYTHON }); });
    after(() => server.stop());

    for (const [name, version] of [["by itself", undefined], ...Object.entries(ERAS)]) test(`calls and forms, era: ${name}`, async () => {
      const { status, out, log } = await run(server.url, [["add", { a: 2, b: 3 }], ["book", { day: "Friday" }]], version);
      assert.equal(status, 0, out + log);
      assert.match(out, /done: 5/);
      assert.match(out, /it asks: How many on Friday/);
      assert.match(out, /done: booked 2/);
    });
  });
}
