// SIGTERM with every kind of peer connected: the server ends in time, with status 0, and (in a sanitized build) has
// freed everything. start().stop() asserts it.
import { after, describe, test } from "node:test";
import { start } from "./lib/server.mjs";
import { Polling, Raw, frame, hasRead, rawWebSocket, upgradeRequest } from "./lib/wire.mjs";

const PEERS_OF_A_KIND = 20;
const opened = [];
after(() => { for (const peer of opened) peer.destroy(); });

async function raw(server, ...data) {
  const peer = await new Raw(server.port).open();
  opened.push(peer);
  for (const bytes of data) peer.write(bytes);
  return peer;
}

async function webSocket(server, path) {
  const peer = await rawWebSocket(server, `${path}?EIO=4&transport=websocket`);
  opened.push(peer);
  return peer;
}

// One peer of each kind, in a different phase for each i.
async function peers(server, path, i) {
  const socket = await webSocket(server, path);
  socket.tcp.pause();
  if (path === "/socket.io/") socket.write(frame("40"));
  if (i % 2) socket.write(frame("4".repeat(50000)).subarray(0, 300)); // half a frame
  const polling = await new Polling(server, path).open();
  const target = new URL(polling.url);
  if (i % 2) polling.get().catch(() => {});
  const probe = await raw(server, upgradeRequest(`${path}?EIO=4&transport=websocket&sid=${polling.sid}`));
  if (i % 3) {
    await probe.until("101");
    probe.write(frame("2probe"));
  }
  await raw(server, "GET /engine.io/?EI");
  await raw(server, `POST ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4`);
  await raw(server);
}

// A peer that reads nothing while much is queued for it, and calls that wait for answers.
async function busy(server, profile, path) {
  const slow = await webSocket(server, path);
  if (path === "/engine.io/") {
    slow.tcp.pause();
    for (let i = 0; i < 40; i++) slow.write(frame("4".padEnd(200000, "y")));
    return;
  }
  slow.write(frame("40"));
  await slow.until('40{"sid"');
  slow.tcp.pause();
  if (profile === "app") {
    slow.write(frame('42["push",1000,"tick"]')).write(frame('425["ask","unanswered",1]'));
    slow.write(frame('426["op",{"op":"emitWithAck","ev":"unanswered","timeout":60000}]'));
  }
  const event = profile === "sio-proto" ? "message" : "echo";
  for (let i = 0; i < 10; i++) slow.write(frame(`42${JSON.stringify([event, "z".repeat(800000)])}`));
}

describe("SIGTERM", () => {
  const profiles = { "eio-proto": "/engine.io/", "ws-echo": "/engine.io/", "sio-proto": "/socket.io/", app: "/socket.io/", bench: "/socket.io/" };
  for (const [profile, path] of Object.entries(profiles)) {
    const skip = profile === "bench" && process.env.CONFORMANCE_REFERENCE === "1" && "not in the reference";
    test(`${profile} without anybody`, { skip }, async () => (await start(profile)).stop());

    test(`${profile} with peers of every kind`, { skip }, async () => {
      const server = await start(profile, { "ping-interval": 25000, "ping-timeout": 20000 });
      try {
        await Promise.all(Array.from({ length: PEERS_OF_A_KIND }, (_, i) => peers(server, path, i)));
        await busy(server, profile, path);
        await hasRead(server);
        await server.stop();
      } finally {
        server.kill();
      }
    });
  }
});
