// The stock engine.io-client of version 3 (Engine.IO 3) against the Engine.IO echo, beside one of version 4.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { Socket as Client4 } from "engine.io-client";
import { start } from "./lib/server.mjs";
import { Inbox, request } from "./lib/wire.mjs";
import { sleep, until, withTimeEnough, within } from "../support/wait.mjs";

const require = createRequire(import.meta.url);
const { Socket: Client } = require("engine.io-client-v3");

let server;
before(async () => {
  server = await start("eio-proto", { "allow-eio3": 1, deflate: 1, "ping-interval": 300, "ping-timeout": 60000 });
});
after(() => server.stop());

async function open(options = {}, Kind = Client) {
  const client = new Kind(server.http, options);
  client.inbox = new Inbox();
  client.on("message", (data) => client.inbox.push(data));
  client.on("close", (reason) => client.inbox.end(reason));
  await within("open", new Promise((resolve, reject) => { client.once("open", resolve); client.once("error", reject); }));
  return client;
}

const once = (client, event) => within(event, new Promise((resolve) => client.once(event, resolve)));
// The client gives undefined for an empty message.
const bytes = (data = "") => (typeof data === "string" ? data : Buffer.from(data));

const MODES = {
  "polling": { transports: ["polling"] },
  "polling in base64": { transports: ["polling"], forceBase64: true },
  "websocket": { transports: ["websocket"] },
  "websocket in base64": { transports: ["websocket"], forceBase64: true },
  "websocket without compression": { transports: ["websocket"], perMessageDeflate: false },
  "upgrade": { transports: ["polling", "websocket"] },
};

for (const [mode, options] of Object.entries(MODES)) {
  describe(`version 3 over ${mode}`, () => {
    let client;
    before(async () => {
      client = await open(options);
      if (mode === "upgrade") await once(client, "upgrade");
    });
    after(() => client.close());

    const values = {
      "text": "hello",
      "nothing": "",
      "multibyte text": "Ä ä Ü ü ß てすと 🦔 \u2028\u2029",
      "many emoji": "🦔😀".repeat(5000),
      "text that looks like packets": "b4Ag==:6:4hello",
      "text with separators": "a\x1eb\n\r\t\"\\",
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

    test("1000 messages of mixed kinds come back in order", async () => {
      const sent = Array.from({ length: 1000 }, (_, i) => (i % 5 ? `text ${i} 🦔` : Buffer.from(`binary ${i}`)));
      for (const data of sent) client.send(data);
      for (const data of sent) assert.deepEqual(bytes(await client.inbox.next()), data);
    });

    test("the client's pings are answered", async () => {
      let pongs = 0;
      const count = () => pongs++;
      client.on("pong", count);
      await until(() => pongs >= 2, "two pongs");
      client.off("pong", count);
      client.send("alive");
      assert.equal(await client.inbox.next(), "alive");
    });

    test("close from the client", async () => {
      const other = await open(options);
      const end = once(other, "close");
      other.close();
      assert.equal(await end, "forced close");
    });
  });
}

test("messages sent while the transport changes are neither lost nor doubled", async () => {
  const client = await open({ transports: ["polling", "websocket"] });
  const sent = [];
  const upgrade = once(client, "upgrade");
  let upgraded = false;
  upgrade.then(() => { upgraded = true; });
  while (!upgraded || sent.length < 200) {
    const data = `message ${sent.length}`;
    sent.push(data);
    client.send(data);
    if (sent.length % 10 === 0) await sleep(1);
  }
  for (const data of sent) assert.equal(await client.inbox.next(), data);
  client.close();
});

test("clients of version 4 are served beside", async () => {
  const client = await open({ transports: ["polling", "websocket"] }, Client4);
  await once(client, "upgrade");
  client.send("hello");
  assert.equal(await client.inbox.next(), "hello");
  client.close();
});

test("a client that falls silent is given up after interval and timeout", async () => {
  await withTimeEnough([100, 1000, 10000], fallSilent);
});

async function fallSilent(ms) {
  const short = await start("eio-proto", { "allow-eio3": 1, "ping-interval": ms, "ping-timeout": ms });
  try {
    const begin = Date.now();
    const { body } = await request(`${short.http}/engine.io/?EIO=3&transport=polling`);
    const { sid } = JSON.parse(body.slice(body.indexOf("0{") + 1));
    const poll = `${short.http}/engine.io/?EIO=3&transport=polling&sid=${sid}`;
    assert.equal((await request(poll)).body, "1:1");
    const took = Date.now() - begin;
    assert.ok(took > 1.5 * ms, `${took} ms`);
    assert.equal((await request(poll)).status, 400);
  } finally {
    await short.stop();
  }
}
