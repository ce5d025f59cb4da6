// The model of scripts/chaos, a process of its own: a few pieces, some of them late.
import { createServer } from "node:http";

const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

createServer(async (request, response) => {
  for await (const piece of request) void piece;
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (let i = 0; i < 12 && !response.destroyed; i++) {
    response.write(chunk({ content: `piece ${i} ` }));
    await sleep(Math.random() * 80);
  }
  response.write(chunk({}, "stop"));
  response.end("data: [DONE]\n\n");
}).listen(Number(process.argv[3]), process.argv[2]);
