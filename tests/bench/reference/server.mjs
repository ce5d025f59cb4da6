// The reference: Node's socket.io as it comes, with the `bench` events. usage: node server.mjs --port N
import { createServer } from "node:http";
import { Server } from "socket.io";

const [option, port] = process.argv.slice(2);
if (option !== "--port" || !port) {
  console.error("usage: node server.mjs --port N");
  process.exit(2);
}

const server = createServer();
const io = new Server(server, { httpCompression: false, perMessageDeflate: false, serveClient: false });

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
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => console.log(`READY ${port}`));
