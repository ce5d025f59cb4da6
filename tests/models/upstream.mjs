// A server of models that says what a fixture says: POST /NAME/chat/completions, byte for byte, whole or in pieces.
//   node upstream.mjs [PORT]     http://127.0.0.1:PORT/openai-text?piece=7
// As `asked` it says the fixture that the user's message names, and after a tool's result "Hi".
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const folder = new URL("./fixtures/", import.meta.url);

export async function fixtureNames() {
  return (await readdir(folder)).filter((name) => name.endsWith(".sse")).map((name) => name.slice(0, -4)).sort();
}

// What our reader makes of a fixture: {finish, message} or {fault}.
export async function readLog(name) {
  const lines = (await readFile(new URL(`${name}.log`, folder), "utf8")).split("\n");
  const end = lines.find((line) => line.startsWith("end "));
  if (!end) return { fault: lines.find((line) => line.startsWith("fault ")) };
  const [, finish, message] = /^end (\S+) (.*)$/.exec(end);
  return { finish, message: JSON.parse(message) };
}

async function sendInPieces(response, bytes, size) {
  for (let i = 0; i < bytes.length; i += size) {
    response.write(bytes.subarray(i, i + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}

export async function startUpstream(port = 0) {
  const upstream = { requests: [] };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://upstream");
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text || "{}"), last = body.messages?.at(-1);
    let name = url.pathname.split("/")[1];
    if (name === "asked") name = last?.role === "user" ? last.content : "without-done";
    upstream.requests.push({ name, headers: request.headers, body });
    const bytes = await readFile(new URL(`${name}.sse`, folder)).catch(() => undefined);
    const type = name.startsWith("whole-json") ? "application/json" : "text/event-stream";
    response.writeHead(bytes ? 200 : 404, { "content-type": type });
    await sendInPieces(response, bytes ?? Buffer.from("{}"), Number(url.searchParams.get("piece") ?? 65536));
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  upstream.url = `http://127.0.0.1:${server.address().port}`;
  upstream.stop = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return upstream;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const upstream = await startUpstream(Number(process.argv[2] ?? 0));
  console.log(upstream.url);
}
