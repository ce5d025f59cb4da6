// The stock engine.io-client against the Engine.IO echo: nothing lost, doubled or reordered, whatever the transport.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Socket as Client } from "engine.io-client";
import { start } from "./lib/server.mjs";
import { Inbox } from "./lib/wire.mjs";
import { sleep, until, within } from "../support/wait.mjs";

const MAX_PAYLOAD_BYTES = 1000000;

let server;
before(async () => { server = await start("eio-proto", { "ping-interval": 200, "ping-timeout": 60000 }); });
after(() => server.stop());

async function open(transports, options = {}) {
  const client = new Client(server.http, { transports, ...options });
  client.inbox = new Inbox();
  client.on("message", (data) => client.inbox.push(data));
  client.on("close", (reason) => client.inbox.end(reason));
  client.on("upgradeError", () => { client.gaveUp = true; });
  await within("open", new Promise((resolve, reject) => { client.once("open", resolve); client.once("error", reject); }));
  return client;
}

const closed = (client) => within("close", new Promise((resolve) => client.once("close", resolve)));
const upgraded = (client) => until(() => client.transport.name === "websocket", "upgrade"); // it may have come already
const bytes = (data) => (typeof data === "string" ? data : Buffer.from(data));

for (const [mode, transports] of Object.entries({ polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] })) {
  describe(`over ${mode}`, () => {
    let client;
    before(async () => {
      client = await open(transports);
      if (mode === "upgrade") await upgraded(client);
    });
    after(() => client.close());

    const values = {
      "text": "hello",
      "multibyte text": "Ä ä Ü ü ß てすと 🦔 \u2028",
      "text with separators": "a\x1eb".replace("\x1e", "|") + "\n\r\t\"\\",
      "text that looks like packets": "b4Ag==",
      "binary": Buffer.from([0, 1, 2, 3, 255]),
      "text of 900 kB": "ü".repeat(450000),
      "binary of 700 kB": Buffer.alloc(700000, 5),
    };
    for (const [what, value] of Object.entries(values)) {
      test(`${what} comes back`, async () => {
        client.send(value);
        assert.deepEqual(bytes(await client.inbox.next()), value);
      });
    }

    test("2000 messages of mixed kinds come back in order", async () => {
      const sent = Array.from({ length: 2000 }, (_, i) => (i % 5 ? `text ${i}` : Buffer.from(`binary ${i}`)));
      for (const data of sent) client.send(data);
      for (const data of sent) assert.deepEqual(bytes(await client.inbox.next()), data);
    });

    test("much more than maxPayload in one go", async () => {
      const sent = Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(90000, "x"));
      for (const data of sent) client.send(data);
      for (const data of sent) assert.equal(await client.inbox.next(), data);
    });

    test("heartbeats keep it alive", async () => {
      let pings = 0;
      const count = () => pings++;
      client.on("ping", count);
      await until(() => pings >= 2, "two pings");
      client.off("ping", count);
      client.send("alive");
      assert.equal(await client.inbox.next(), "alive");
    });

    test("close from the client", async () => {
      const other = await open(transports);
      const end = closed(other);
      other.close();
      assert.equal(await end, "forced close");
    });
  });
}

test("the handshake is what the server announces", async () => {
  const client = await open(["polling", "websocket"]);
  const { transport } = client;
  assert.equal(transport.name, "polling");
  assert.equal(client.maxPayload ?? client._maxPayload, MAX_PAYLOAD_BYTES);
  await upgraded(client);
  assert.equal(client.transport.name, "websocket");
  client.close();
});

test("a message above maxPayload closes the session over WebSocket", async () => {
  const client = await open(["websocket"]);
  const end = closed(client);
  client.send("x".repeat(MAX_PAYLOAD_BYTES + 1));
  assert.equal(await end, "transport close");
});

describe("upgrade under traffic", () => {
  for (let round = 0; round < 4; round++) {
    test(`round ${round}: no message is lost, doubled or reordered`, async () => {
      const clients = await Promise.all(Array.from({ length: 8 }, () => open(["polling", "websocket"])));
      await Promise.all(clients.map(async (client, n) => {
        let running = true;
        let sent = 0;
        const next = () => (sent % 7 ? `${n}:${sent++}` : Buffer.from(`${n}:${sent++}`));
        const feed = (async () => {
          while (running) {
            for (let i = 0; i <= round; i++) client.send(next());
            await sleep(round === 3 ? 0 : 1);
          }
        })();
        await upgraded(client);
        const before = sent;
        await until(() => sent > before + 50, "traffic after it");
        running = false;
        await feed;
        client.send("end");
        for (let i = 0; i < sent; i++) assert.equal(bytes(await client.inbox.next()).toString(), `${n}:${i}`);
        assert.equal(await client.inbox.next(), "end");
        client.close();
      }));
    });
  }

  test("200 clients that upgrade at once", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => open(["polling", "websocket"])));
    // On a busy machine the server's upgrade timeout of 10 s ends some attempts; those clients stay where they are.
    await Promise.all(clients.map((client) => until(() => client.gaveUp || client.transport.name === "websocket", "upgrade")));
    assert.ok(clients.some(({ transport }) => transport.name === "websocket"));
    for (const client of clients) client.send("x");
    for (const client of clients) assert.equal(await client.inbox.next(), "x");
    for (const client of clients) client.close();
  });

  test("clients that go away during the upgrade", async () => {
    for (let i = 0; i < 30; i++) {
      const client = await open(["polling", "websocket"]);
      client.send("x");
      await sleep(i % 6);
      client.close();
    }
    const client = await open(["websocket"]);
    client.send("alive");
    assert.equal(await client.inbox.next(), "alive");
    client.close();
  });
});
