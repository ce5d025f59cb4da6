// The stock engine.io-client against the profile its own tests need: every row of that table.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Socket as Client } from "engine.io-client";
import { start } from "./lib/server.mjs";
import { Inbox } from "./lib/wire.mjs";
import { within } from "../support/wait.mjs";

let server;
before(async () => { server = await start("eio-client"); });
after(() => server.stop());

const once = (client, name) => within(name, new Promise((resolve) => client.once(name, resolve)));
const bytes = (data) => (typeof data === "string" ? data : Buffer.from(data));

function make(options, uri = server.http) {
  const client = new Client(uri, options);
  client.inbox = new Inbox();
  client.on("message", (data) => client.inbox.push(data));
  return client;
}

async function open(options) {
  const client = make(options);
  assert.equal(await client.inbox.next(), "hi");
  return client;
}

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  describe(`over ${transports}`, () => {
    test("says hi, echoes, and gives what is asked for", async () => {
      const client = await open({ transports });
      for (const sent of ["abc", "€ 🦔", Buffer.from([0, 1, 2])]) {
        client.send(sent);
        assert.deepEqual(bytes(await client.inbox.next()), sent);
      }
      client.send("give binary");
      assert.deepEqual(bytes(await client.inbox.next()), Buffer.from([0, 1, 2, 3, 4]));
      client.send("give utf8");
      assert.equal(await client.inbox.next(), "пойду спать всем спокойной ночи");
      client.close();
    });

    test("survives heartbeats", async () => {
      const client = await open({ transports });
      for (let i = 0; i < 2; i++) await once(client, "heartbeat");
      client.send("still");
      assert.equal(await client.inbox.next(), "still");
      client.close();
    });

    test("is refused when the query has deny", async () => {
      const client = make({ transports, query: { deny: 1 } });
      const error = await once(client, "error");
      if (transports[0] === "polling") assert.equal(error.context.status, 403);
      assert.equal(client.readyState, "closed");
    });
  });
}

test("headers and cookies of a POST", async () => {
  const client = await open({
    transports: ["polling"], withCredentials: true,
    transportOptions: { polling: { extraHeaders: { "X-Custom-Header-For-My-Project": "my-secret-access-token" } } },
  });
  client.send("sendHeaders");
  const headers = JSON.parse(await client.inbox.next());
  assert.equal(headers["x-custom-header-for-my-project"], "my-secret-access-token");
  assert.equal(headers.cookie, "1=1; 2=2");
  client.close();
});

test("cookies come with the handshake only", async () => {
  const earliest = Date.now() - 1000; // it has whole seconds
  const handshake = await fetch(`${server.http}/engine.io/?EIO=4&transport=polling`);
  const body = await handshake.text();
  const cookies = handshake.headers.getSetCookie();
  assert.equal(cookies.length, 4);
  assert.deepEqual(cookies.slice(0, 3),
    ["1=1; Max-Age=86400", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict", "3=3; Max-Age=0"]);
  const expires = /^4=4; Expires=(\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)$/.exec(cookies[3]);
  assert.ok(Date.parse(expires[1]) > earliest && Date.parse(expires[1]) <= Date.now(), cookies[3]);
  assert.equal(JSON.parse(body.split("\x1e")[0].slice(1)).maxPayload, 100);
  const { sid } = JSON.parse(body.split("\x1e")[0].slice(1));
  const poll = await fetch(`${server.http}/engine.io/?EIO=4&transport=polling&sid=${sid}`);
  assert.deepEqual(poll.headers.getSetCookie(), []);
});

test("a POST of more than 100 bytes closes; the client splits what it can", async () => {
  const client = await open({ transports: ["polling"] });
  for (let i = 0; i < 6; i++) client.send(`${i}`.padEnd(40, "x"));
  for (let i = 0; i < 6; i++) assert.equal(await client.inbox.next(), `${i}`.padEnd(40, "x"));
  const closed = once(client, "close");
  client.send("x".repeat(101));
  await closed;
});
