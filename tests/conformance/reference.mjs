// The conformance server on Node's socket.io: the reference that the suites in tests/clients are validated against.
// usage: node reference.mjs --profile NAME --port N [--host 127.0.0.1] [overrides]
// Prints "READY <port>" on stdout once it accepts connections; ends on SIGTERM/SIGINT with status 0.
import { readFileSync } from "node:fs";
import http from "node:http";
import { Server as IOServer } from "socket.io";
import { Server as EngineServer } from "engine.io";
import { WebSocketServer } from "ws";
import { serialize as cookie } from "cookie";

const args = {};
for (let i = 2; i < process.argv.length; i += 2) args[process.argv[i].replace(/^--/, "")] = process.argv[i + 1];
const profile = args.profile || "sio-proto";
const port = +(args.port ?? 3000);
const host = args.host || "127.0.0.1";
const name = args.name || "node";
const num = (k, d) => (args[k] !== undefined ? +args[k] : d);

const httpServer = http.createServer((req, res) => {
  if (req.url === "/healthz") return res.end("ok");
  res.statusCode = 404;
  res.end("not found");
});

// ---------------------------------------------------------------- Engine.IO profiles
function eioEcho(path, opts) {
  const engine = new EngineServer({
    pingInterval: num("ping-interval", opts.pingInterval),
    pingTimeout: num("ping-timeout", opts.pingTimeout),
    maxHttpBufferSize: num("max-payload", opts.maxHttpBufferSize),
    maxBufferedChunks: num("max-buffered-chunks", 10000),
    httpRequestBodyTimeout: num("body-timeout", 30000),
    cors: args.cors ? { origin: args.cors } : false,
    ...(opts.extra || {}),
  });
  engine.attach(httpServer, { path });
  engine.on("connection", opts.onConnection || ((s) => s.on("message", (d) => s.send(d))));
  return engine;
}

const profiles = {
  "eio-proto"() {
    eioEcho("/engine.io/", { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1e6 });
  },

  // RFC 6455 / RFC 7692: a plain Engine.IO echo with long heartbeats and large messages,
  // and (optional) a raw WebSocket echo without Engine.IO at /ws-echo
  "ws-echo"() {
    const pmd = { threshold: 0 };
    // ws stops at 16384 fragments in a message by default; the Autobahn cases 9.3.1, 9.3.2 and 9.4.1 send 65536
    class Wss extends WebSocketServer { constructor(o) { super({ ...o, maxFragments: 0, maxBufferedChunks: 0 }); } }
    const engine = new EngineServer({ wsEngine: Wss,
      pingInterval: num("ping-interval", 600000), pingTimeout: num("ping-timeout", 600000),
      maxHttpBufferSize: num("max-payload", 64 * 1024 * 1024), perMessageDeflate: pmd,
    });
    engine.on("connection", (s) => s.on("message", (d) => s.send(d, { compress: true })));
    const raw = new Wss({ noServer: true, maxPayload: 64 * 1024 * 1024, perMessageDeflate: pmd, skipUTF8Validation: false });
    raw.on("connection", (ws) => {
      ws.on("error", () => {});
      ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary, compress: true }));
    });
    httpServer.removeAllListeners("request");
    httpServer.on("request", (req, res) => {
      if (req.url.startsWith("/engine.io/")) return engine.handleRequest(req, res);
      res.statusCode = req.url === "/healthz" ? 200 : 404; res.end();
    });
    httpServer.on("upgrade", (req, socket, head) => {
      socket.on("error", () => {});
      if (req.url.startsWith("/engine.io/")) engine.handleUpgrade(req, socket, head);
      else if (req.url.startsWith("/ws-echo")) raw.handleUpgrade(req, socket, head, (ws) => raw.emit("connection", ws, req));
      else socket.destroy();
    });
  },

  "eio-client"() {
    const engine = eioEcho("/engine.io/", {
      pingInterval: 500, pingTimeout: 20000, maxHttpBufferSize: 100,
      extra: {
        allowRequest: (req, fn) => fn(null, !new URL(req.url, "http://x").searchParams.has("deny")),
      },
      onConnection(s) {
        s.send("hi");
        s.on("message", (d) => {
          if (d === "give binary") return s.send(Buffer.from([0, 1, 2, 3, 4]));
          if (d === "give utf8") return s.send("пойду спать всем спокойной ночи");
          if (d === "sendHeaders") return s.send(JSON.stringify(s.transport?.dataReq?.headers));
          s.send(d);
        });
      },
    });
    engine.on("initial_headers", (h) => {
      h["set-cookie"] = [
        cookie("1", "1", { maxAge: 86400 }),
        cookie("2", "2", { sameSite: true, path: "/", httpOnly: true, secure: true }),
        cookie("3", "3", { maxAge: 0 }),
        cookie("4", "4", { expires: new Date() }),
      ];
    });
  },

  // ---------------------------------------------------------------- Socket.IO profiles
  "sio-proto"() {
    const io = new IOServer(httpServer, {
      pingInterval: num("ping-interval", 300), pingTimeout: num("ping-timeout", 200),
      maxHttpBufferSize: num("max-payload", 1e6), connectTimeout: num("connect-timeout", 1000), serveClient: false, cors: { origin: "*" },
    });
    const app = (s) => {
      s.emit("auth", s.handshake.auth);
      s.on("message", (...a) => s.emit("message-back", ...a));
      s.on("message-with-ack", (...a) => { const cb = a.pop(); cb(...a); });
    };
    io.on("connection", app);
    io.of("/custom").on("connection", app);
  },

  "sio-client"() {
    const io = new IOServer(httpServer, {
      pingInterval: num("ping-interval", 2000), connectionStateRecovery: {}, serveClient: false,
      allowRequest: (req, cb) => setTimeout(() => cb(null, true), 10),
    });
    const isBuf = Buffer.isBuffer;
    const getId = (s) => s.on("getId", (cb) => cb(s.id));
    io.of("/foo").on("connection", getId);
    for (const n of ["/timeout_socket", "/valid", "/asd"]) io.of(n);
    io.of("/abc").on("connection", (s) => s.emit("handshake", s.handshake));
    io.use((s, next) => next(s.handshake.query.fail ? new Error("Auth failed (main namespace)") : undefined));
    io.of("/no").use((s, next) => next(new Error("Auth failed (custom namespace)")));
    io.on("connection", (s) => {
      getId(s);
      s.on("hi", () => s.emit("hi"));
      s.on("echo", (arg, cb) => cb(arg));
      s.on("ack", () => s.emit("ack", (a, b) => { if (a === 5 && b.test) s.emit("got it"); }));
      s.on("getAckDate", (_d, cb) => cb(new Date()));
      s.on("getDate", () => s.emit("takeDate", new Date()));
      s.on("getDateObj", () => s.emit("takeDateObj", { date: new Date() }));
      s.on("getUtf8", () => {
        for (const t of ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]) s.emit("takeUtf8", t);
      });
      s.on("false", () => s.emit("false", false));
      s.on("doge", () => s.emit("doge", Buffer.from("asdfasdf")));
      s.on("getbin", () => s.emit("takebin", Buffer.from("asdfasdf")));
      s.on("buffa", (a) => isBuf(a) && s.emit("buffack"));
      s.on("jsonbuff", (a) => a.hello === "lol" && isBuf(a.message) && a.goodbye === "gotcha" && s.emit("jsonbuff-ack"));
      let first = false;
      s.on("abuff1", (a) => { first = isBuf(a); });
      s.on("abuff2", () => first && s.emit("abuff2-ack"));
      s.on("getHandshake", (cb) => cb(s.handshake));
      // browser-only events of the suite (Blob); kept so that a browser run works too
      s.on("blob", (a) => isBuf(a) && s.emit("back"));
      s.on("jsonblob", (a) => isBuf(a.message) && s.emit("jsonblob-ack"));
      let b1 = false, b2 = false;
      s.on("blob1", (a) => { b1 = isBuf(a); });
      s.on("blob2", (a) => { b2 = b1 && a === "second"; });
      s.on("blob3", (a) => isBuf(a) && b2 && s.emit("blob3-ack"));
    });
  },

  async app() { await appProfile({ redis: args.redis, postgresql: args.postgresql }); },
  async cluster() { await appProfile({ redis: args.postgresql ? undefined : args.redis || "redis://127.0.0.1:6379", postgresql: args.postgresql }); },
  async admin() { await appProfile({ admin: "dev" }); },
  async "admin-ro"() { await appProfile({ admin: "ro" }); },
};

// The "app" behaviours (python client, cluster control, admin)
async function appProfile({ redis, postgresql, admin }) {
  const opts = {
    pingInterval: num("ping-interval", 25000), pingTimeout: num("ping-timeout", 20000),
    maxHttpBufferSize: num("max-payload", 1e6), serveClient: false, cors: { origin: (o, cb) => cb(null, true), credentials: true },
  };
  if (args["recovery"] === "1") opts.connectionStateRecovery = {};
  if (redis) {
    const { createClient, createCluster } = await import("redis");
    const file = (name) => args[name] && readFileSync(args[name]);
    const tls = redis.startsWith("rediss:") ? { socket: { tls: true, ca: file("redis-ca"), cert: file("redis-cert"), key: file("redis-key") } } : {};
    const mk = async () => { const c = args["redis-cluster"] ? createCluster({ rootNodes: redis.split(",").map((url) => ({ url })) }) : createClient({ url: redis, ...tls }); c.on("error", () => {}); await c.connect(); return c; };
    if ((args.adapter || "classic") === "streams") {
      const { createAdapter } = await import("@socket.io/redis-streams-adapter");
      opts.adapter = createAdapter(await mk(), { readCount: 100, heartbeatInterval: 5000 });
    } else {
      const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
      const pub = await mk(), sub = await mk();
      opts.adapter = args.adapter === "sharded" ? createShardedAdapter(pub, sub) : createAdapter(pub, sub, { requestsTimeout: num("request-timeout", 2000) });
    }
  }
  if (postgresql) {
    const { createAdapter } = await import("@socket.io/postgres-adapter");
    const { default: pg } = await import("pg");
    // One connection listens; with more than one for the rest, its events lose their order.
    const pool = new pg.Pool({ connectionString: postgresql, max: 2 });
    pool.on("error", () => {});
    // Another server may be making it at this moment.
    await pool.query("CREATE TABLE IF NOT EXISTS socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)").catch(() => {});
    opts.adapter = createAdapter(pool);
  }
  if (args.parser === "msgpack") opts.parser = (await import("socket.io-msgpack-parser")).default;
  const io = new IOServer(httpServer, opts);
  if (admin) {
    const { instrument } = await import("@socket.io/admin-ui");
    const bcrypt = await import("bcryptjs");
    const hash = (bcrypt.default ?? bcrypt).hashSync("s3cret", 8);
    if (admin === "ro") instrument(io, { auth: false, readonly: true, mode: "production", serverId: name });
    else instrument(io, { auth: { type: "basic", username: "admin", password: hash }, mode: "development", serverId: name });
  }
  const serverSide = [];
  const chain = (n, o) => {
    let b = n;
    for (const r of [].concat(o.to ?? [])) b = b.to(r);
    for (const r of [].concat(o.except ?? [])) b = b.except(r);
    if (o.local) b = b.local;
    return b;
  };
  const describe = (s) => ({ id: s.id, rooms: [...s.rooms], data: stripAdmin(s.data), query: s.handshake.query, time: typeof s.handshake.time, address: typeof s.handshake.address });
  const stripAdmin = (d) => { if (d && typeof d === "object" && d._admin) { const { _admin, ...r } = d; return r; } return d; };
  const app = (nsp) => (s) => {
    s.on("whoami", (cb) => cb({ id: s.id, nsp: nsp.name, server: name, auth: s.handshake.auth, query: s.handshake.query, recovered: s.recovered === true }));
    s.on("echo", (...a) => { const cb = a.pop(); if (typeof cb === "function") cb(...a); else s.emit("echo-back", ...a, cb); });
    s.on("push", (n, ev) => { for (let i = 0; i < n; i++) s.emit(ev, i); });
    s.on("ask", async (ev, payload, cb) => { try { cb({ answer: await s.timeout(2000).emitWithAck(ev, payload) }); } catch (e) { cb({ error: "timeout" }); } });
    s.on("join", async (room, cb) => { await s.join(room); cb("ok"); });
    s.on("leave", async (room, cb) => { await s.leave(room); cb("ok"); });
    s.on("rooms", (cb) => cb([...s.rooms]));
    s.on("set-data", (d, cb) => { Object.assign(s.data, d); cb("ok"); });
    s.on("broadcast", (o, cb) => { let b = s.broadcast; for (const r of [].concat(o.to ?? [])) b = b.to(r); for (const r of [].concat(o.except ?? [])) b = b.except(r); b.emit(o.ev, ...(o.args ?? [])); cb?.("ok"); });
    s.on("bye", (close) => s.disconnect(!!close));
    s.on("drop-transport", () => s.conn.close());
    s.on("op", async (o, cb) => {
      const n = io.of(o.nsp || "/"), b = chain(n, o);
      try {
        switch (o.op) {
          case "emit": b.emit(o.ev, ...(o.args ?? [])); return cb("ok");
          case "emitWithAck":
            return b.timeout(o.timeout ?? 1000).emit(o.ev, ...(o.args ?? []), (err, responses) => cb({ err: err ? "timeout" : null, responses }));
          case "fetchSockets": return cb((await b.fetchSockets()).map(describe));
          case "socketsJoin": b.socketsJoin(o.rooms); return cb("ok");
          case "socketsLeave": b.socketsLeave(o.rooms); return cb("ok");
          case "disconnectSockets": cb("ok"); return void b.disconnectSockets(!!o.close);
          case "serverSideEmit": n.serverSideEmit("sse", ...(o.args ?? [])); return cb("ok");
          case "serverSideEmitWithAck":
            return n.serverSideEmit("sse-ack", ...(o.args ?? []), (err, responses) => cb({ err: err ? "timeout" : null, responses }));
          case "serverSideReceived": return cb(serverSide.splice(0));
          case "serverCount": return cb(await n.adapter.serverCount());
          case "allRooms": return cb([...(await n.adapter.allRooms?.()) ?? []]);
          default: return cb({ error: "unknown op" });
        }
      } catch (e) { cb({ error: String(e.message) }); }
    });
  };
  for (const nspName of ["/", "/custom"]) {
    const n = io.of(nspName);
    n.on("connection", app(n));
    n.on("sse", (...a) => serverSide.push({ nsp: nspName, args: a }));
    n.on("sse-ack", (...a) => { const cb = a.pop(); serverSide.push({ nsp: nspName, args: a }); cb(name); });
  }
  const auth = io.of("/auth");
  auth.use((s, next) => {
    if (s.handshake.auth?.token === "abc") return next();
    const e = new Error("not authorized"); e.data = { code: 401 }; next(e);
  });
  auth.on("connection", app(auth));
  const dyn = io.of(/^\/dyn-\d+$/);
  dyn.on("connection", (s) => app(s.nsp)(s));
}

if (!profiles[profile]) { console.error("unknown profile", profile); process.exit(2); }
await profiles[profile]();
httpServer.listen(port, host, () => console.log("READY " + httpServer.address().port));
for (const sig of ["SIGTERM", "SIGINT"]) process.on(sig, () => process.exit(0));
