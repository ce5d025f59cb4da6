// A model of a test's own: a server with /chat/completions that says what the test's script says.
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "scripted", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

/** What a test waits with: { promise, open() }. */
export function gate() {
  let open;
  const promise = new Promise((resolve) => { open = resolve; });
  return { promise, open };
}

/**
 * script(messages, body) gives the steps of an answer, an array or an (async) iterable: "text", { call: name, args, id? },
 * { wait: promise }, { reasoning }, { raw: text of the stream }, { usage: [in, out] }, { status, body, headers }, { cut: true }. `parley` takes the options in `options`.
 */
export async function startModel(script) {
  const folder = mkdtempSync(join(tmpdir(), "parley-model-"));
  const model = { requests: [], open: 0, cancelled: 0 };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const body = JSON.parse(text);
    model.requests.push(body);
    model.open++;
    response.on("close", () => { model.open--; if (!response.writableEnded) model.cancelled++; });
    let calls = 0;
    for await (const step of script(body.messages, body)) {
      if (response.destroyed) return;
      if (step.status) { response.writeHead(step.status, { "content-type": "application/json", ...step.headers }).end(JSON.stringify(step.body ?? { error: { message: "scripted" } })); return; }
      if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
      if (typeof step === "string") response.write(chunk({ content: step }));
      if (step.raw) response.write(step.raw);
      if (step.reasoning) response.write(chunk({ reasoning_content: step.reasoning }));
      if (step.call) { response.write(chunk({ tool_calls: [{ index: calls, id: step.id ?? `c${calls}`, type: "function", function: { name: step.call, arguments: typeof step.args === "string" ? step.args : JSON.stringify(step.args ?? {}) } }] })); calls++; }
      if (step.usage) response.write(`data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "scripted", choices: [], usage: { prompt_tokens: step.usage[0], completion_tokens: step.usage[1], total_tokens: step.usage[0] + step.usage[1] } })}\n\n`);
      if (step.wait) await step.wait;
      if (step.cut) { response.destroy(); return; }
    }
    if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({}, calls ? "tool_calls" : "stop"));
    response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const file = join(folder, "models.json");
  writeFileSync(file, JSON.stringify({ providers: [{ id: "scripted", kind: "openai", base_url: `http://127.0.0.1:${server.address().port}/v1`, model: "scripted" }] }));
  model.options = ["--models-file", file];
  model.stop = () => { server.closeAllConnections(); server.close(); rmSync(folder, { recursive: true, force: true }); };
  return model;
}
