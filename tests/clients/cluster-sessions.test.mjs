// Sessions across nodes, as @socket.io/cluster-engine has them: two nodes behind a proxy that sends each connection to
// the next, nothing sticky, every poll a connection of its own; stock clients notice nothing.
import assert from "node:assert/strict";
import http from "node:http";
import { after, afterEach, before, test } from "node:test";
import { io } from "socket.io-client";
import { Proxy } from "./lib/proxy.mjs";
import { startRedis } from "./lib/redis.mjs";
import { start } from "./lib/server.mjs";
import { PATIENCE_MS, until, within } from "../support/wait.mjs";

const NAMES = ["one", "two", "three"];
let redis, proxy;
const nodes = {}, sockets = new Set(), agents = new Set();

async function startNode(name) {
  nodes[name] = await start("cluster", { redis: redis.url, adapter: "classic", name, across: 1, stats: 1 });
}

// The last figures of a node's tunnels.
async function tunnels(name) {
  const lines = () => nodes[name].output().match(/^TUNNELS \{.*\}$/gm) ?? [];
  const seen = lines().length;
  process.kill(nodes[name].pid, "SIGUSR1");
  await until(() => lines().length > seen, "figures");
  return JSON.parse(lines().at(-1).slice("TUNNELS ".length));
}

async function total(what) {
  let sum = 0;
  for (const name of NAMES) if (nodes[name]) sum += (await tunnels(name))[what];
  return sum;
}

function connect(options = {}) {
  const agent = new http.Agent({ keepAlive: false });
  const socket = io(proxy.url, { forceNew: true, reconnection: false, agent, ...options });
  sockets.add(socket);
  agents.add(agent);
  socket.ask = (...args) => socket.timeout(PATIENCE_MS).emitWithAck(...args);
  socket.log = [];
  socket.onAny((event, ...args) => socket.log.push([event, ...args]));
  socket.reason = new Promise((resolve) => socket.once("disconnect", resolve));
  return within("a connection", new Promise((resolve, reject) => socket.once("connect", () => resolve(socket)).once("connect_error", reject)));
}

// Keeps its connections, and counts them: the proxy has those that earlier clients make to say farewell, too.
class KeepAlive extends http.Agent {
  count = 0;

  constructor(maxSockets) { super({ keepAlive: true, maxSockets }); agents.add(this); }

  createConnection(...args) {
    this.count++;
    return super.createConnection(...args);
  }
}

before(async () => {
  redis = await startRedis();
  for (const name of NAMES) await startNode(name);
  proxy = await new Proxy(() => Object.values(nodes).map(({ port }) => port)).start();
  // Until all listen, and count each other.
  proxy.only = nodes[NAMES[0]].port;
  const socket = await connect({ transports: ["websocket"] });
  await until(async () => await socket.ask("op", { op: "serverCount", nsp: "/" }) === NAMES.length, "all nodes");
  socket.disconnect();
  proxy.only = null;
});

afterEach(async () => {
  for (const socket of sockets) socket.disconnect();
  for (const agent of agents) agent.destroy();
  sockets.clear();
  agents.clear();
  proxy.only = null;
});

after(async () => {
  proxy.stop();
  for (const node of Object.values(nodes)) await node.stop();
  await redis.stop();
});

test("a client on polling talks through whichever node its requests reach", async () => {
  const before = await total("opened"), connections = proxy.count;
  const socket = await connect({ transports: ["polling"] });
  assert.equal(socket.io.engine.id.length, 32);
  for (let i = 0; i < 20; i++) assert.deepEqual(await socket.ask("echo", { i, text: `text ${i}` }), { i, text: `text ${i}` });
  const { server } = await socket.ask("whoami");
  assert.equal((await socket.ask("whoami")).server, server);
  assert.ok(await total("opened") - before >= 20, `${await total("opened") - before} of ${proxy.count - connections} were carried`);
});

test("an upgrade reaches the owner from wherever it comes", async () => {
  for (let i = 0; i < 6; i++) {
    const socket = await connect();
    await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
    for (let k = 0; k < 10; k++) assert.deepEqual(await socket.ask("echo", { k, bytes: Buffer.from([k]) }), { k, bytes: Buffer.from([k]) });
    socket.disconnect();
  }
});

test("a WebSocket that was carried goes on for long, in both directions", async () => {
  proxy.only = nodes.one.port;
  const socket = await connect({ upgrade: false });
  const session = socket.io.engine.id;
  socket.disconnect();
  assert.equal(session.length, 32);
  proxy.only = null;
  const opened = await total("opened");
  let carried = 0;
  for (let i = 0; i < 4 && !carried; i++) {
    const other = await connect();
    await until(() => other.io.engine.transport.name === "websocket", "the upgrade");
    carried = await total("tunnels");
    if (!carried) continue;
    const big = Buffer.alloc(700000, 7);
    for (let k = 0; k < 10; k++) {
      assert.ok(big.equals(await other.ask("echo", big)));
    }
    const burst = Array.from({ length: 300 }, (_, k) => other.ask("echo", k));
    assert.deepEqual(await Promise.all(burst), Array.from({ length: 300 }, (_, k) => k));
  }
  assert.ok(carried, "none was carried");
  assert.ok(await total("opened") > opened);
});

test("large bodies travel by polling, both ways", async () => {
  const socket = await connect({ transports: ["polling"] });
  const big = Buffer.alloc(400000, 9), text = "ä".repeat(150000);
  for (let i = 0; i < 5; i++) {
    const back = await socket.ask("echo", { big, text });
    assert.ok(big.equals(back.big));
    assert.equal(back.text, text);
  }
});

test("a kept-alive connection stays where its session is", async () => {
  const agent = new KeepAlive(2);
  const socket = await connect({ transports: ["polling"], agent });
  for (let i = 0; i < 20; i++) assert.equal(await socket.ask("echo", i), i);
  assert.equal(agent.count, 2);
});

test("one connection that asks for sessions of all nodes in turn is answered for each", async () => {
  const ids = {};
  for (const name of NAMES) {
    proxy.only = nodes[name].port;
    const opening = await (await fetch(`${proxy.url}/socket.io/?EIO=4&transport=polling`, { headers: { connection: "close" } })).text();
    ids[name] = JSON.parse(opening.slice(1)).sid;
  }
  proxy.only = null;
  const agent = new KeepAlive(1);
  const get = (sid, body) => new Promise((resolve, reject) => {
    const request = http.request(`${proxy.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { agent, method: body ? "POST" : "GET" }, (response) => {
      let text = "";
      response.on("data", (part) => { text += part; }).on("end", () => resolve(`${response.statusCode} ${text}`));
    }).on("error", reject);
    request.end(body);
  });
  for (let i = 0; i < 4; i++) for (const name of NAMES) assert.equal(await get(ids[name], i === 0 ? "40" : "42[\"echo\",1]"), "200 ok");
  for (const name of NAMES) assert.match(await get(ids[name]), /^200 40\{"sid":/);
  assert.ok(agent.count < 15, `${agent.count} connections: it moved`);
});

test("many clients at once, half of them in a room, hear each broadcast once and in order", async () => {
  const all = await Promise.all(Array.from({ length: 24 }, (_, i) => connect(i % 3 ? {} : { transports: ["polling"] })));
  for (const socket of all.slice(0, 12)) await socket.ask("join", "half");
  for (let i = 0; i < 10; i++) all[i].emit("broadcast", { to: ["half"], ev: "news", args: [i] });
  await until(() => all.slice(0, 12).every(({ log }, i) => log.length === (i < 10 ? 9 : 10)), () => JSON.stringify(all.map(({ log }) => log)));
  for (const socket of all.slice(12)) assert.deepEqual(socket.log, []);
});

test("a session that ended, or never was, is unknown wherever it is asked for", async () => {
  const socket = await connect({ transports: ["polling"] });
  const { id } = socket.io.engine;
  socket.disconnect();
  await socket.reason;
  for (const sid of [id, "A".repeat(32), id.slice(0, 20)]) {
    for (let i = 0; i < 3; i++) {
      await until(async () => {
        const answer = await fetch(`${proxy.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { headers: { connection: "close" } });
        return answer.status === 400 && await answer.text() === JSON.stringify({ code: 1, message: "Session ID unknown" });
      }, "the end of the session");
    }
  }
});

test("what was carried is over when its clients are", async () => {
  await until(async () => await total("tunnels") === 0, "no tunnels");
  for (const name of NAMES) {
    const figures = await tunnels(name);
    assert.equal(figures.declined + figures.refused, 0, JSON.stringify(figures));
  }
});

test("without Redis a request is answered where it came; afterwards all is well", async () => {
  const socket = await connect({ transports: ["polling"] });
  const { id } = socket.io.engine;
  const { server } = await socket.ask("whoami");
  const { port } = redis;
  await redis.kill();
  proxy.only = nodes[NAMES.find((name) => name !== server)].port;
  await until(async () => {
    const answer = await fetch(`${proxy.url}/socket.io/?EIO=4&transport=polling&sid=${id}`, { headers: { connection: "close" } });
    return answer.status === 400;
  }, "an answer without Redis");
  proxy.only = nodes[server].port;
  const alone = await connect();
  assert.equal(await alone.ask("echo", 1), 1);
  proxy.only = null;
  redis = await startRedis({ port });
  await until(async () => {
    try {
      const again = await connect({ transports: ["polling"] });
      for (let i = 0; i < 6; i++) assert.equal(await again.ask("echo", i), i);
      return true;
    } catch { return false; }
  }, "polling across nodes again");
});

test("a WebSocket that was carried to a node that dies ends soon, and its client connects anew", async () => {
  let socket;
  do {
    socket?.disconnect();
    await until(async () => await total("tunnels") === 0, "no tunnels");
    socket = await connect({ reconnection: true, reconnectionDelay: 50 });
    await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
  } while (!await total("tunnels"));
  const { server } = await socket.ask("whoami");
  const node = nodes[server];
  delete nodes[server];
  process.kill(node.pid, "SIGKILL");
  assert.notEqual(await within("its end", socket.reason), "ping timeout"); // it need not find out by itself, which takes 45 s
  await until(() => socket.connected, "the client connects anew");
  assert.equal(await socket.ask("echo", 1), 1);
});

// The node's descendants must not be waited for: its clients find out at once.
test("a node that dies takes its sessions with it; its clients connect anew", async () => {
  const socket = await connect({ transports: ["polling"], reconnection: true, reconnectionDelay: 50 });
  const { server } = await socket.ask("whoami");
  const node = nodes[server];
  delete nodes[server];
  process.kill(node.pid, "SIGKILL");
  await socket.reason;
  await until(() => socket.connected, "the client connects anew");
  assert.notEqual((await socket.ask("whoami")).server, server);
  for (let i = 0; i < 5; i++) assert.equal(await socket.ask("echo", i), i);
});
