// The reference: Node's socket.io as it comes, with the `bench` events.
// usage: node server.mjs --port N [--redis URL] [--tls-cert FILE --tls-key FILE] [--recovery 1]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const names = ["port", "redis", "tls-cert", "tls-key", "recovery"];
const { values: options } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });

/** The official adapter with one client to publish and one to listen, as its documentation shows. */
async function redisAdapter(url) {
  const clients = [createClient({ url }), createClient({ url })];
  await Promise.all(clients.map((client) => client.connect()));
  return createAdapter(...clients);
}

const server = options["tls-cert"]
  ? createSecureServer({ cert: readFileSync(options["tls-cert"]), key: readFileSync(options["tls-key"]) })
  : createServer();
const io = new Server(server, {
  httpCompression: false, perMessageDeflate: false, serveClient: false,
  ...(options.recovery ? { connectionStateRecovery: {} } : {}),
});
if (options.redis) io.adapter(await redisAdapter(options.redis));

io.on("connection", (socket) => {
  socket.on("echo", (x, ack) => ack(x));
  socket.on("call:subscribe", ({ call_id }, ack) => {
    socket.join(`call:${call_id}`);
    ack?.({ ok: true });
  });
  socket.on("transcription:update", (update) => {
    io.to(`call:${update.call_id}`).emit("transcription:update", update);
  });
});

process.on("SIGTERM", () => process.exit(0));
server.listen({ port: Number(options.port), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`READY ${options.port}`);
});
