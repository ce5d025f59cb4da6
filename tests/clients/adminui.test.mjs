// The namespace of the Admin UI (profiles admin and admin-ro), spoken to as its official front end does; the same on
// Node with @socket.io/admin-ui when CONFORMANCE_REFERENCE=1.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { startRedis } from "./lib/redis.mjs";
import { isReference, start } from "./lib/server.mjs";
import { PATIENCE_MS, sleep, until, within } from "../support/wait.mjs";

const LOGIN = { username: "admin", password: "s3cret" };
const webSocket = { transports: ["websocket"] };
const isTime = (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text) && Math.abs(Date.now() - Date.parse(text)) < 60000;

let server;
const open = new Set();

// A socket with `log`, everything that it was sent: [event, …args].
function socketOf(nsp, auth, { at = server, ...options } = {}) {
  const socket = io(at.http + nsp, { auth, forceNew: true, reconnection: false, ...options });
  open.add(socket);
  socket.log = [];
  socket.onAny((...event) => socket.log.push(event));
  socket.ask = (...event) => within(`ack of ${event[0]}`, socket.emitWithAck(...event));
  socket.all = (event, matches = () => true) => socket.log.filter(([name, ...args]) => name === event && matches(...args)).map((one) => one.slice(1));
  // The arguments of the first such event, now or later.
  socket.got = (event, matches) => until(() => socket.all(event, matches)[0], () => `${event}; got ${JSON.stringify(socket.log).slice(0, 3000)}`);
  return socket;
}

function connect(nsp, auth, options) {
  const socket = socketOf(nsp, auth, options);
  return within(`connecting to ${nsp}`, new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  }));
}

const refusal = (auth, options) => connect("/admin", auth, options).then(() => assert.fail("it was let in"), (error) => error);
const admin = async (options) => {
  const page = await connect("/admin", LOGIN, options);
  await page.got("config");
  return page;
};
const of = (socket) => (...args) => args.includes(socket.id);

afterEach(() => {
  for (const socket of open) socket.disconnect();
  open.clear();
});

describe("profile admin", () => {
  before(async () => { server = await start("admin", { name: "node-7" }); });
  after(() => server.stop());

  test("a wrong password, a wrong name and no credentials are refused with the words that the page knows", async () => {
    for (const auth of [{ username: "admin", password: "wrong" }, { username: "root", password: "s3cret" }, { username: "admin", password: "" }, {}]) {
      assert.equal((await refusal(auth)).message, "invalid credentials", JSON.stringify(auth));
    }
  });

  test("credentials that are not text are refused", { skip: isReference && "bcrypt throws on them" }, async () => {
    for (const auth of [{ username: { $ne: 1 }, password: { $ne: 1 } }, { username: ["admin"], password: ["s3cret"] }, { sessionId: true }, { sessionId: ["x"] },
      { username: "admin", password: `s3cret\0` }, { username: "admin", password: "x".repeat(20000) }]) {
      assert.equal((await refusal(auth)).message, "invalid credentials", JSON.stringify(auth).slice(0, 60));
    }
  });

  test("a login gives a session of 16 hex digits, which is accepted without credentials", async () => {
    let sessionId;
    await until(async () => {
      const page = socketOf("/admin", LOGIN);
      page.once("session", (id) => { sessionId = id; });
      await within("config", new Promise((resolve) => page.once("config", resolve)));
      return sessionId || !isReference || (await sleep(100), sessionId);
    }, "session");
    assert.match(sessionId, /^[0-9a-f]{16}$/);
    const again = await connect("/admin", { sessionId });
    await again.got("config");
    assert.equal(again.all("session").length, 0, "it has one");
    assert.equal((await refusal({ sessionId: "0123456789abcdef" })).message, "invalid credentials");
    assert.equal((await refusal({ sessionId: "" })).message, "invalid credentials");
  });

  test("the session comes after the CONNECT packet, so that a page that listens from then on has it", { skip: isReference && "upstream sends it before" }, async () => {
    const page = await connect("/admin", LOGIN);
    const [id] = await page.got("session");
    assert.match(id, /^[0-9a-f]{16}$/);
    const order = page.log.map(([event]) => event);
    assert.ok(order.indexOf("session") < order.indexOf("config"));
  });

  test("sessions of two logins differ", { skip: isReference && "upstream sends it before CONNECT" }, async () => {
    const pages = [await admin(), await admin()];
    assert.notEqual((await pages[0].got("session"))[0], (await pages[1].got("session"))[0]);
  });

  test("config lists every feature in development mode", async () => {
    const [config] = await (await admin()).got("config");
    assert.deepEqual(Object.keys(config), ["supportedFeatures"]);
    assert.deepEqual([...config.supportedFeatures].sort(),
      ["AGGREGATED_EVENTS", "ALL_EVENTS", "DISCONNECT", "EMIT", "JOIN", "LEAVE", "MDISCONNECT", "MJOIN", "MLEAVE"]);
  });

  test("all_sockets lists the sockets of all namespaces, dynamic ones too, as documented", async () => {
    const clients = [await connect("/", { secret: "x" }, webSocket), await connect("/custom", { token: "y" }, { transports: ["polling"] }), await connect("/dyn-12", {}, { ...webSocket, query: { q: "a b&c" } }),
      await connect("/auth", { token: "abc" }, webSocket)];
    await clients[0].ask("join", "room 1");
    await clients[0].ask("set-data", { name: "Zoë", deep: { list: [1, null] } });
    const page = await admin();
    const [sockets] = await page.got("all_sockets");
    const found = clients.map((client) => sockets.filter(({ id }) => id === client.id));
    for (const [i, list] of found.entries()) {
      assert.equal(list.length, 1, `${i}`);
      const [socket] = list;
      assert.deepEqual(Object.keys(socket).sort(), ["clientId", "data", "handshake", "id", "nsp", "rooms", "transport"]);
      assert.equal(socket.clientId, clients[i].io.engine.id.slice(0, 12));
      assert.equal(socket.transport, clients[i].io.engine.transport.name);
      assert.equal(socket.nsp, ["/", "/custom", "/dyn-12", "/auth"][i]);
      assert.deepEqual(Object.keys(socket.handshake).sort(), ["address", "headers", "issued", "query", "secure", "time", "url", "xdomain"]);
      assert.equal(socket.handshake.query.EIO, "4");
      assert.equal(typeof socket.handshake.headers, "object");
      assert.ok(Math.abs(Date.now() - socket.handshake.issued) < 600000, "milliseconds");
      assert.equal(socket.handshake.secure, false);
      assert.equal(socket.handshake.xdomain, false);
      assert.equal(typeof socket.handshake.time, "string");
      assert.match(socket.handshake.url, /^\/socket\.io\/\?/);
      assert.match(socket.handshake.address, /127\.0\.0\.1/);
    }
    assert.deepEqual(found[0][0].rooms, [clients[0].id, "room 1"]);
    assert.deepEqual(found[0][0].data, { name: "Zoë", deep: { list: [1, null] } });
    assert.deepEqual(found[1][0].data, {});
    assert.equal(found[2][0].handshake.query.q, "a b&c");
    assert.ok(!JSON.stringify(page.log).includes("secret"), "auth is not shown");
    assert.ok(!JSON.stringify(page.log).includes('"auth":'), "auth is not shown");
  });

  test("headers that hold secrets are not shown", { skip: isReference && "upstream shows them" }, async () => {
    const client = await connect("/", {}, { ...webSocket, extraHeaders: { cookie: "sso=hidden", authorization: "Bearer hidden", "x-shown": "shown" } });
    const page = await admin();
    const [sockets] = await page.got("all_sockets");
    const { headers } = sockets.find(({ id }) => id === client.id).handshake;
    assert.equal(headers["x-shown"], "shown");
    assert.equal(headers.cookie, "(not shown)");
    assert.ok(!JSON.stringify(page.log).includes("hidden"));
  });

  test("the page's own socket is listed, its events are not reported", async () => {
    const page = await admin();
    const [sockets] = await page.got("all_sockets");
    assert.equal(sockets.find(({ id }) => id === page.id)?.nsp, "/admin");
    page.emit("nonsense", 1);
    const client = await connect("/", {}, webSocket);
    await client.ask("whoami");
    await page.got("event_received", of(client));
    for (const event of ["event_received", "event_sent"]) assert.deepEqual(page.all(event, (nsp) => nsp === "/admin"), []);
  });

  test("server_stats come every two seconds and count", async () => {
    const page = await admin();
    const client = await connect("/custom", {}, { transports: ["polling"] });
    const [first] = await page.got("server_stats", ({ namespaces }) => namespaces.some(({ name, socketsCount }) => name === "/custom" && socketsCount > 0));
    assert.deepEqual(Object.keys(first).sort(), ["aggregatedEvents", "clientsCount", "hostname", "namespaces", "pid", "pollingClientsCount", "serverId", "uptime"]);
    assert.equal(first.serverId, "node-7");
    assert.equal(typeof first.hostname, "string");
    assert.equal(first.pid, server.pid);
    assert.ok(first.uptime > 0 && first.uptime < 600);
    assert.ok(first.clientsCount >= 2);
    assert.ok(first.pollingClientsCount >= 1 && first.pollingClientsCount <= first.clientsCount);
    assert.equal(first.namespaces.find(({ name }) => name === "/custom").socketsCount, 1);
    assert.ok(first.namespaces.some(({ name }) => name === "/"));
    client.io.engine.close();
    const count = page.all("server_stats").length;
    await until(() => page.all("server_stats").length > count + 1, "two more");
    const events = () => page.all("server_stats").flatMap(([{ aggregatedEvents }]) => aggregatedEvents);
    await until(() => events().some(({ type }) => type === "rawDisconnection"), "rawDisconnection");
    for (const event of events()) {
      assert.equal(event.timestamp % 1000, 0);
      assert.ok(Math.abs(Date.now() - event.timestamp) < 60000);
      assert.ok(Number.isInteger(event.count) && event.count > 0);
      assert.equal("subType" in event && event.subType !== undefined, event.type === "rawDisconnection", event.type);
    }
    const types = new Set(events().map(({ type }) => type));
    assert.deepEqual([...types].sort(), ["bytesIn", "bytesOut", "packetsIn", "packetsOut", "rawConnection", "rawDisconnection"]);
    assert.equal(events().find(({ type }) => type === "rawDisconnection").subType, "transport close");
  });

  test("clientsCount and pollingClientsCount follow the clients", async () => {
    const page = await admin(webSocket);
    const polling = await connect("/", {}, { transports: ["polling"] });
    await page.got("server_stats", ({ clientsCount, pollingClientsCount }) => clientsCount === 2 && pollingClientsCount === 1);
    polling.disconnect();
    await page.got("server_stats", ({ clientsCount, pollingClientsCount }) => clientsCount === 1 && pollingClientsCount === 0);
  });

  test("a socket that connects is reported whole, with its rooms and the time", async () => {
    const page = await admin();
    const client = await connect("/dyn-7", { hidden: "auth" }, webSocket);
    const [socket, time] = await page.got("socket_connected", ({ id }) => id === client.id);
    assert.deepEqual(Object.keys(socket).sort(), ["clientId", "data", "handshake", "id", "nsp", "rooms", "transport"]);
    assert.equal(socket.nsp, "/dyn-7");
    assert.equal(socket.transport, "websocket");
    assert.deepEqual(socket.rooms, [client.id]);
    assert.ok(isTime(time), time);
    const [nsp, room, id, joined] = await page.got("room_joined", (_nsp, _room, sid) => sid === client.id);
    assert.deepEqual([nsp, room, id], ["/dyn-7", client.id, client.id]);
    assert.ok(isTime(joined));
    assert.ok(!JSON.stringify(page.log).includes("hidden"));
  });

  test("an upgrade is reported", async () => {
    const page = await admin(webSocket);
    const client = await connect("/", {});
    await page.got("socket_connected", ({ id, transport }) => id === client.id && transport === "polling");
    const [update] = await page.got("socket_updated", ({ id }) => id === client.id);
    assert.deepEqual(update, { id: client.id, nsp: "/", transport: "websocket" });
    const [sockets] = await (await admin()).got("all_sockets");
    assert.equal(sockets.find(({ id }) => id === client.id).transport, "websocket");
  });

  test("a change of the data is reported, and no read of it", async () => {
    const page = await admin();
    const client = await connect("/custom", {}, webSocket);
    await client.ask("set-data", { a: 1 });
    await client.ask("set-data", { b: { c: "ü" } });
    const [update] = await page.got("socket_updated", ({ data }) => data?.b);
    assert.deepEqual(update, { id: client.id, nsp: "/custom", data: { a: 1, b: { c: "ü" } } });
    const count = page.all("socket_updated").length;
    await client.ask("op", { op: "fetchSockets", nsp: "/custom" });
    await client.ask("whoami");
    await page.got("event_received", (_nsp, id, [name]) => id === client.id && name === "whoami");
    assert.equal(page.all("socket_updated").length, count);
  });

  test("rooms joined and left are reported", async () => {
    const page = await admin();
    const client = await connect("/", {}, webSocket);
    await client.ask("join", "ré");
    const [nsp, room, id, time] = await page.got("room_joined", (_nsp, name) => name === "ré");
    assert.deepEqual([nsp, room, id], ["/", "ré", client.id]);
    assert.ok(isTime(time));
    await client.ask("leave", "ré");
    const left = await page.got("room_left", (_nsp, name) => name === "ré");
    assert.deepEqual(left.slice(0, 3), ["/", "ré", client.id]);
    assert.ok(isTime(left[3]));
  });

  test("a disconnect is reported with its reason, then the rooms that were left", async () => {
    const page = await admin();
    const client = await connect("/custom", {}, webSocket);
    const { id } = client;
    await client.ask("join", "r");
    client.disconnect();
    const [nsp, , reason, time] = await page.got("socket_disconnected", (_nsp, sid) => sid === id);
    assert.deepEqual([nsp, reason], ["/custom", "client namespace disconnect"]);
    assert.ok(isTime(time));
    await page.got("room_left", (_nsp, room, sid) => room === "r" && sid === id);
    await page.got("room_left", (_nsp, room, sid) => room === id && sid === id);
    const order = page.log.map(([event]) => event);
    assert.ok(order.indexOf("socket_disconnected") < order.indexOf("room_left"));
  });

  test("events received are reported without the acknowledgement", async () => {
    const page = await admin();
    const client = await connect("/dyn-1", {}, webSocket);
    await client.ask("echo", 1, { a: [true, null] }, "ö\n\"");
    const [nsp, id, args, time] = await page.got("event_received", of(client));
    assert.deepEqual([nsp, id, args], ["/dyn-1", client.id, ["echo", 1, { a: [true, null] }, "ö\n\""]]);
    assert.ok(isTime(time));
    client.emit("without arguments");
    assert.deepEqual((await page.got("event_received", (_nsp, _id, [name]) => name === "without arguments"))[2], ["without arguments"]);
  });

  test("events sent are reported for each socket, alone or in a room", async () => {
    const page = await admin();
    const [one, two] = [await connect("/", {}, webSocket), await connect("/", {}, webSocket)];
    one.emit("push", 2, "tick");
    await one.got("tick", (i) => i === 1);
    const sent = await page.got("event_sent", (_nsp, id, [name, i]) => id === one.id && name === "tick" && i === 1);
    assert.deepEqual(sent.slice(0, 3), ["/", one.id, ["tick", 1]]);
    assert.ok(isTime(sent[3]));
    await two.ask("join", "pair");
    await one.ask("join", "pair");
    await one.ask("op", { op: "emit", to: "pair", ev: "both", args: [{ x: 1 }] });
    for (const client of [one, two]) {
      assert.deepEqual((await page.got("event_sent", (_nsp, id, [name]) => id === client.id && name === "both"))[2], ["both", { x: 1 }]);
    }
  });

  test("binary arguments stay binary", async () => {
    const page = await admin();
    const client = await connect("/custom", {}, webSocket);
    const sent = [Buffer.from([0, 255, 7]), { deep: [Buffer.from("x"), "text"] }];
    client.emit("echo", ...sent, "end");
    await client.got("echo-back");
    const [, , received] = await page.got("event_received", of(client));
    assert.deepEqual(received, ["echo", ...sent, "end"]);
    const [, , out] = await page.got("event_sent", of(client));
    assert.deepEqual(out, ["echo-back", ...sent, "end"]);
  });

  test("emit reaches a namespace, a room or a socket, with binary arguments", async () => {
    const page = await admin();
    const clients = [await connect("/", {}, webSocket), await connect("/", {}, webSocket), await connect("/", {}, webSocket)];
    await clients[1].ask("join", "some room");
    page.emit("emit", "/", null, "all", 1, Buffer.from("b"), { x: Buffer.from("c") });
    for (const client of clients) assert.deepEqual(await client.got("all"), [1, Buffer.from("b"), { x: Buffer.from("c") }]);
    page.emit("emit", "/", "some room", "in-room");
    assert.deepEqual(await clients[1].got("in-room"), []);
    page.emit("emit", "/", clients[2].id, "for-one", "ü");
    assert.deepEqual(await clients[2].got("for-one"), ["ü"]);
    page.emit("emit", "/", "", "last");
    for (const client of clients) await client.got("last");
    for (const [i, client] of clients.entries()) {
      assert.equal(client.all("in-room").length, i === 1 ? 1 : 0);
      assert.equal(client.all("for-one").length, i === 2 ? 1 : 0);
    }
  });

  test("actions reach dynamic namespaces", async () => {
    const page = await admin();
    const [client, other] = [await connect("/dyn-5", {}, webSocket), await connect("/dyn-6", {}, webSocket)];
    page.emit("emit", "/dyn-5", client.id, "hello");
    await client.got("hello");
    page.emit("join", "/dyn-5", "vip", client.id);
    await page.got("room_joined", (nsp, room) => nsp === "/dyn-5" && room === "vip");
    assert.deepEqual(await client.ask("rooms"), [client.id, "vip"]);
    assert.deepEqual(await other.ask("rooms"), [other.id]);
  });

  test("join and leave, with and without a filter", async () => {
    const page = await admin();
    const [one, two] = [await connect("/custom", {}, webSocket), await connect("/custom", {}, webSocket)];
    page.emit("join", "/custom", "a", one.id);
    await page.got("room_joined", (_nsp, room) => room === "a");
    assert.deepEqual(await one.ask("rooms"), [one.id, "a"]);
    assert.deepEqual(await two.ask("rooms"), [two.id]);
    page.emit("join", "/custom", "b");
    await until(() => page.all("room_joined", (_nsp, room) => room === "b").length === 2, "both in b");
    page.emit("join", "/custom", "c", "a");
    await page.got("room_joined", (_nsp, room) => room === "c");
    assert.deepEqual(await two.ask("rooms"), [two.id, "b"]);
    page.emit("leave", "/custom", "b", two.id);
    await page.got("room_left", (_nsp, room) => room === "b");
    assert.deepEqual(await two.ask("rooms"), [two.id]);
    assert.deepEqual((await one.ask("rooms")).sort(), [one.id, "a", "b", "c"].sort());
    page.emit("leave", "/custom", "b");
    await until(() => page.all("room_left", (_nsp, room) => room === "b").length === 2, "nobody in b");
  });

  test("_disconnect ends a socket, its connection if asked, a room, a namespace", async () => {
    const page = await admin();
    const make = () => connect("/custom", {}, webSocket);
    const reasons = new Map();
    const clients = [await make(), await make(), await make(), await make()];
    for (const client of clients) client.once("disconnect", (reason) => reasons.set(client, reason));
    await clients[2].ask("join", "out");
    page.emit("_disconnect", "/custom", false, clients[0].id);
    await until(() => reasons.has(clients[0]), "disconnected");
    assert.equal(reasons.get(clients[0]), "io server disconnect");
    page.emit("_disconnect", "/custom", true, clients[1].id);
    await until(() => clients[1].io.engine.readyState === "closed", "closed");
    page.emit("_disconnect", "/custom", false, "out");
    await until(() => reasons.has(clients[2]), "the room");
    assert.ok(clients[3].connected);
    page.emit("_disconnect", "/custom", false);
    await until(() => reasons.has(clients[3]), "the namespace");
    assert.equal(page.all("socket_disconnected", (nsp) => nsp === "/custom").length, 4);
  });

  test("malformed actions do nothing", { skip: isReference && "upstream runs into some" }, async () => {
    const page = await admin();
    const client = await connect("/", {}, webSocket);
    for (const action of [["emit"], ["emit", 1, null, "x"], ["emit", "/", { a: 1 }, "evil"], ["emit", "/", [client.id], "evil"], ["emit", "/", null, { x: 1 }], ["emit", "/", true, "evil"],
      ["emit", "/nowhere", null, "evil"], ["join"], ["join", "/"], ["join", "/", 7], ["join", "/", "r", 7], ["join", "/", ""], ["leave", "/", null], ["_disconnect"], ["_disconnect", "/", false, 5],
      ["_disconnect", "/", "true", client.id], ["_disconnect", "/", {}, client.id], ["emit", "/", null, "disconnect"], ["emit", "/", null, "connect_error", "evil"], ["join", "/", "x".repeat(5000), client.id]]) {
      page.emit(...action);
    }
    page.emit("emit", "/", client.id, "done");
    await client.got("done");
    assert.deepEqual(client.log.map(([event]) => event), ["done"]);
    assert.deepEqual(await client.ask("rooms"), [client.id]);
    await page.got("server_stats", ({ namespaces }) => !namespaces.some(({ name }) => name === "/nowhere"));
  });

  test("two pages are told the same; one that comes later does not disturb the first", async () => {
    const first = await admin();
    await first.got("all_sockets");
    const second = await admin();
    await second.got("all_sockets");
    const client = await connect("/", {}, webSocket);
    for (const page of [first, second]) await page.got("socket_connected", ({ id }) => id === client.id);
    assert.equal(first.all("all_sockets").length, 1);
    await first.got("socket_connected", ({ id }) => id === second.id);
  });

  test("a page of another origin may poll with credentials", async () => {
    const response = await fetch(`${server.http}/socket.io/?EIO=4&transport=polling`, { headers: { origin: "https://admin.example" } });
    assert.equal(response.headers.get("access-control-allow-origin"), "https://admin.example");
    assert.equal(response.headers.get("access-control-allow-credentials"), "true");
    const preflight = await fetch(`${server.http}/socket.io/?EIO=4&transport=polling`, { method: "OPTIONS", headers: { origin: "https://admin.example", "access-control-request-method": "POST" } });
    assert.equal(preflight.headers.get("access-control-allow-credentials"), "true");
    await preflight.arrayBuffer();
    await response.arrayBuffer();
    await (await admin({ transports: ["polling"], extraHeaders: { origin: "https://admin.example" } })).got("all_sockets");
  });

  test("a page over polling alone gets everything", async () => {
    const page = await admin({ transports: ["polling"] });
    const client = await connect("/", {}, webSocket);
    for (let i = 0; i < 20; i++) await client.ask("echo", i, Buffer.from([i]));
    await until(() => page.all("event_received", of(client)).length === 20, "20 events");
    assert.deepEqual(page.all("event_received", of(client)).map(([, , args]) => args[1]), [...Array(20).keys()]);
  });

  test("what clients do while no page is there costs nothing later", async () => {
    const client = await connect("/", {}, webSocket);
    await client.ask("join", "before");
    const page = await admin();
    const [sockets] = await page.got("all_sockets");
    assert.deepEqual(sockets.find(({ id }) => id === client.id).rooms, [client.id, "before"]);
    page.disconnect();
    await client.ask("join", "between");
    const [later] = await (await admin()).got("all_sockets");
    assert.deepEqual(later.find(({ id }) => id === client.id).rooms, [client.id, "before", "between"]);
  });
});

describe("profile admin-ro", () => {
  before(async () => { server = await start("admin-ro", { name: "quiet" }); });
  after(() => server.stop());

  test("everybody is let in, without a session", async () => {
    const page = await connect("/admin", {});
    await page.got("server_stats");
    assert.equal(page.all("session").length, 0);
  });

  test("config has the numbers alone", async () => {
    const [config] = await (await connect("/admin")).got("config");
    assert.deepEqual(config, { supportedFeatures: ["AGGREGATED_EVENTS"] });
  });

  test("in production mode there are numbers, but neither sockets nor events", async () => {
    const page = await connect("/admin", {}, webSocket);
    const client = await connect("/", {}, webSocket);
    await client.ask("join", "r");
    await client.ask("echo", 1);
    client.disconnect();
    const [stats] = await page.got("server_stats", ({ aggregatedEvents }) => aggregatedEvents.some(({ type }) => type === "packetsIn"));
    assert.equal(stats.serverId, "quiet");
    assert.deepEqual([...new Set(page.log.map(([event]) => event))].sort(), ["config", "server_stats"]);
  });

  test("actions do nothing when it is read-only", async () => {
    const page = await connect("/admin", {}, webSocket);
    const client = await connect("/", {}, webSocket);
    page.emit("emit", "/", null, "evil");
    page.emit("join", "/", "evil");
    page.emit("_disconnect", "/", true, client.id);
    page.emit("leave", "/", client.id);
    await page.got("server_stats");
    await page.got("server_stats", () => page.all("server_stats").length > 1);
    assert.ok(client.connected);
    assert.deepEqual(client.log, []);
    assert.deepEqual(await client.ask("rooms"), [client.id]);
  });
});

for (const adapter of ["classic", "sharded", "streams"]) {
  describe(`two nodes over Redis, ${adapter}`, { skip: isReference && "of each server's own kind" }, () => {
    let redis, nodes;
    before(async () => {
      redis = await startRedis();
      nodes = await Promise.all(["one", "two"].map((name) => start("admin", { name, redis: redis.url, adapter })));
      server = nodes[0];
    });
    after(async () => {
      for (const node of nodes ?? []) await node.stop();
      await redis?.stop();
    });

    test("a page sees and changes the sockets of both", async () => {
      const before = await connect("/", {}, { ...webSocket, at: nodes[1] });
      await before.ask("set-data", { a: 1 });
      const page = await admin(webSocket);
      await until(() => new Set(page.all("server_stats").map(([{ serverId }]) => serverId)).size === 2, "both servers");
      const [listed] = await page.got("socket_connected", ({ id }) => id === before.id);
      assert.deepEqual(listed.data, { a: 1 });
      assert.equal(listed.clientId, before.io.engine.id.slice(0, 12));
      const clients = [await connect("/", {}, webSocket), await connect("/", {}, { ...webSocket, at: nodes[1] })];
      for (const client of [before, ...clients]) {
        await page.got("socket_connected", ({ id }) => id === client.id);
        await client.ask("echo", Buffer.from("x"));
        assert.deepEqual((await page.got("event_received", of(client)))[2], ["echo", Buffer.from("x")]);
        page.emit("join", "/", "both", client.id);
        await page.got("room_joined", (_nsp, room, id) => room === "both" && id === client.id);
      }
      page.emit("emit", "/", "both", "hello", 1);
      for (const client of [before, ...clients]) assert.deepEqual(await client.got("hello"), [1]);
      page.emit("_disconnect", "/", false, before.id);
      await until(() => !before.connected, "disconnected");
    });

    test("an action reaches a namespace that only the other node has, and makes none", async () => {
      const page = await admin(webSocket);
      const client = await connect("/dyn-77", {}, { ...webSocket, at: nodes[1] });
      await page.got("socket_connected", ({ id }) => id === client.id);
      page.emit("emit", "/dyn-77", client.id, "hello", { a: 1 });
      assert.deepEqual(await client.got("hello"), [{ a: 1 }]);
      page.emit("join", "/dyn-77", "r", client.id);
      await page.got("room_joined", (nsp, room) => nsp === "/dyn-77" && room === "r");
      page.emit("_disconnect", "/dyn-77", false);
      await until(() => !client.connected, "disconnected");
      const count = page.all("server_stats").length;
      await until(() => page.all("server_stats").length > count + 2, "new numbers");
      const own = page.all("server_stats", ({ serverId }) => serverId === "one").at(-1)[0];
      assert.ok(!own.namespaces.some(({ name }) => name === "/dyn-77"), "not made");
    });

    test("a session of one node is good at the other", async () => {
      const page = await admin(webSocket);
      const [sessionId] = await page.got("session");
      await (await connect("/admin", { sessionId }, { ...webSocket, at: nodes[1] })).got("config");
      assert.equal((await refusal({ sessionId: "00112233445566ff" }, { at: nodes[1] })).message, "invalid credentials");
    });
  });
}
