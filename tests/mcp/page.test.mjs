// docs/assistant.md, taken literally: its tool in C compiles, its MCP server runs and is used, its model is asked.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ChatClient } from "../clients/lib/chat.mjs";
import { startModel } from "../clients/lib/model.mjs";
import { until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = await readFile(here("../../docs/assistant.md"), "utf8");
/** The blocks of code of a language under a heading. */
const blocks = (heading, language) => [...page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)).matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(([, code]) => code);

let folder;
before(async () => { folder = await mkdtemp(join(tmpdir(), "parley-page-")); });
after(() => rm(folder, { recursive: true, force: true }));

test("the tool in C compiles as a file of app/chat, without a warning", async () => {
  const [code] = blocks("A tool of your own", "c");
  const file = join(folder, "chat_tools_weather.c");
  await writeFile(file, code.replace(/^#include "chat_int.h"$/m, "$&\nint chat_tools_weather_start(struct chat *chat);"));
  const build = dirname(dirname(process.env.TEST_PARLEY));
  const commands = JSON.parse(await readFile(join(build, "compile_commands.json"), "utf8"));
  const { command, directory } = commands.find(({ file: name }) => name.endsWith("/app/chat/chat_tools_alarm.c"));
  const words = command.split(" ").filter((word, i, all) => word !== "-c" && word !== "-o" && all[i - 1] !== "-o" && !word.endsWith("chat_tools_alarm.c"));
  await promisify(execFile)("sh", ["-c", `${words.join(" ")} -Werror -fsyntax-only ${file}`], { cwd: directory });
});

test("the MCP server is used by the embedded model", async () => {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  const [python] = blocks("A tool of an MCP server", "python"), [json] = blocks("A tool of an MCP server", "json");
  await writeFile(join(folder, "weather.py"), python.replace("8001", port));
  await writeFile(join(folder, "mcp.json"), json.replace("8001", port));
  const server = spawn("python3", [join(folder, "weather.py")], { env: { ...process.env, PYTHONPATH: here("../../build/tools/python-mcp"), PYTHONDONTWRITEBYTECODE: "1" }, stdio: "ignore" });
  let parley;
  try {
    parley = await startParley("--mcp-file", join(folder, "mcp.json"), "--mcp-retry-max-ms", "1000");
    const ann = await new ChatClient(parley.url).ready;
    await ann.open();
    let count = 0;
    const done = await until(async () => {
      const end = await ann.say(`m${++count}`, "What is the weather in Berlin?");
      return /sunny in Berlin/.test(end.final_text) && end;
    }, () => JSON.stringify(ann.log.slice(-5)));
    assert.equal(ann.of("tool.start", { ref_id: done.ref_id })[0].tool, "demo_weather");
    await ann.must("chat.message", { id: "asked", content: "What about the weather?" });
    const asked = await ann.until("elicitation.start", { ref_id: "asked" });
    await ann.must("elicitation.submit", { reply_to: asked.id, content: { city: "Rome" } });
    assert.match((await ann.end("asked")).final_text, /sunny in Rome/);
    ann.close();
  } finally {
    await parley?.stop();
    server.kill();
  }
});

test("the model is asked", async () => {
  const model = await startModel((messages) => ["You said: ", messages.at(-1).content]);
  const { providers: [{ base_url }] } = JSON.parse(await readFile(model.options[1], "utf8"));
  const [json] = blocks("A model of your own", "json");
  await writeFile(join(folder, "models.json"), json.replace("http://127.0.0.1:11434/v1", base_url));
  const parley = await startParley("--models-file", join(folder, "models.json"));
  try {
    const ann = await new ChatClient(parley.url).ready;
    await ann.open();
    assert.equal((await ann.say("m1", "Hi")).final_text, "You said: Hi");
    assert.equal(model.requests[0].model, "qwen3");
    model.stop(); // and the next one of the list is asked
    assert.equal((await ann.say("m2", "Hello")).event, "chat.done");
    ann.close();
  } finally {
    await parley.stop();
    model.stop();
  }
});
