// A server on the official SDK's second version: both eras at one endpoint. usage: node sdk-server.mjs; prints its port.
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, inputRequired, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

const day = { type: "object", properties: { day: { type: "string", title: "Day", default: "Monday" } }, required: ["day"] };

function makeServer() {
  const server = new McpServer({ name: "sdk", version: "1" });
  server.registerTool("echo", { description: "Says it again", inputSchema: z.object({ text: z.string() }) },
    async ({ text }) => ({ content: [{ type: "text", text: `again: ${text}` }] }));
  server.registerTool("book", { description: "Asks for the day", inputSchema: z.object({ what: z.string() }) },
    async ({ what }, ctx) => {
      const answer = ctx.mcpReq?.inputResponses?.when;
      if (!answer) return inputRequired({ inputRequests: { when: inputRequired.elicit({ message: "When?", requestedSchema: day }) }, requestState: `state of ${what}` });
      return { content: [{ type: "text", text: `booked ${what}: ${answer.action} ${answer.content?.day}` }] };
    });
  server.registerTool("fail", { description: "Fails", inputSchema: z.object({}) },
    async () => ({ isError: true, content: [{ type: "text", text: "it is broken" }] }));
  return server;
}

const http = createServer(toNodeHandler(createMcpHandler(makeServer)));
http.listen(0, "127.0.0.1", () => console.log(`PORT ${http.address().port}`));
