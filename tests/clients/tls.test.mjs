// Official clients over https and wss, what TLS adds to a connection's life, and a certificate that changes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { after, before, describe, test } from "node:test";
import { Socket as Engine } from "engine.io-client";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { start } from "./lib/server.mjs";
import { Inbox, hasRead, rawRequest } from "./lib/wire.mjs";
import { sleep, until, within } from "../support/wait.mjs";

const folder = mkdtempSync(join(tmpdir(), "parley-tls-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name) => join(folder, name);
const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
openssl("req", "-x509", ...EC, "-keyout", file("ca.key"), "-out", file("ca.pem"), "-days", "2", "-subj", "/CN=test CA");
const ca = readFileSync(file("ca.pem"));

// name.pem and name.key, signed by the CA, for 127.0.0.1.
function certificate(name) {
  openssl("req", ...EC, "-keyout", file(`${name}.key`), "-out", file(`${name}.csr`), "-subj", `/CN=${name}`);
  writeFileSync(file("ext"), "subjectAltName=IP:127.0.0.1\n");
  openssl("x509", "-req", "-in", file(`${name}.csr`), "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial",
    "-extfile", file("ext"), "-days", "2", "-out", file(`${name}.pem`));
}
certificate("one");
certificate("two");
function install(name, as = "server") {
  copyFileSync(file(`${name}.pem`), file(`${as}.pem`));
  copyFileSync(file(`${name}.key`), file(`${as}.key`));
}

async function startTls(profile, options = {}, as = "server") {
  install("one", as);
  const server = await start(profile, { "tls-cert": file(`${as}.pem`), "tls-key": file(`${as}.key`), ...options });
  return Object.assign(server, { https: `https://127.0.0.1:${server.port}`, wss: `wss://127.0.0.1:${server.port}` });
}

const once = (emitter, event) => within(event, new Promise((resolve, reject) => {
  emitter.once(event, resolve);
  if (event !== "error") emitter.once("error", reject);
}));
const bytes = (data) => (typeof data === "string" ? data : Buffer.from(data));

// A TLS connection of its own: resolves when the handshake is done.
async function secure(server, options = {}) {
  const socket = tls.connect({ port: server.port, host: "127.0.0.1", ca, ...options });
  socket.received = "";
  socket.on("data", (data) => { socket.received += data; });
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  return socket;
}

async function open(server, transports, options = {}) {
  const client = new Engine(server.https, { transports, ca, ...options });
  client.inbox = new Inbox();
  client.on("message", (data) => client.inbox.push(data));
  client.on("close", (reason) => client.inbox.end(reason));
  await once(client, "open");
  return client;
}

async function works(server) {
  const client = await open(server, ["websocket"]);
  client.send("still there");
  assert.equal(await client.inbox.next(), "still there");
  client.close();
}

async function close(client) {
  const end = client.inbox.next("the close").catch(() => {});
  client.close();
  await end;
}

const ECHO = { "ping-interval": 200, "ping-timeout": 60000 };
const MODES = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

describe("engine.io-client over https", () => {
  let server;
  before(async () => { server = await startTls("eio-proto", ECHO); });
  after(() => server.stop());

  for (const [mode, transports] of Object.entries(MODES)) {
    test(`${mode}: large and small, text and binary come back in order`, async () => {
      const client = await open(server, transports);
      if (mode === "upgrade") await once(client, "upgrade");
      const sent = ["hello", "Ä 🦔", Buffer.alloc(700000, 5), "ü".repeat(450000)];
      for (let i = 0; i < 3000; i++) sent.push(i % 5 ? `text ${i}` : Buffer.from(`binary ${i}`));
      for (const data of sent) client.send(data);
      for (const data of sent) assert.deepEqual(bytes(await client.inbox.next()), data);
      for (let i = 0; i < 2; i++) await once(client, "ping");
      client.send("after");
      assert.equal(await client.inbox.next(), "after");
      await close(client);
    });
  }

  test("messages sent while the upgrade runs are neither lost nor reordered", async () => {
    const client = await open(server, MODES.upgrade);
    const sent = Array.from({ length: 500 }, (_, i) => `message ${i}`);
    for (const data of sent) {
      client.send(data);
      if (Math.random() < 0.1) await sleep(1);
    }
    for (const data of sent) assert.equal(await client.inbox.next(), data);
    client.close();
  });

  test("a certificate that the client does not know is refused by the client", async () => {
    for (const transports of [MODES.polling, MODES.websocket]) {
      const client = new Engine(server.https, { transports });
      await once(client, "error");
    }
    await works(server);
  });
});

describe("socket.io-client over https", () => {
  let server;
  before(async () => { server = await startTls("sio-proto", { "ping-interval": 500, "ping-timeout": 60000, "connect-timeout": 60000 }); });
  after(() => server.stop());

  for (const [mode, transports] of Object.entries(MODES)) {
    test(`${mode}: events, acknowledgements and attachments`, async () => {
      const socket = io(server.https, { transports, ca, forceNew: true, reconnection: false });
      await once(socket, "connect");
      const { engine } = socket.io;
      if (mode === "upgrade" && engine.transport.name !== "websocket") await once(engine, "upgrade");
      const blob = Buffer.alloc(500000, 7);
      const back = once(socket, "message-back");
      socket.emit("message", { blob });
      assert.deepEqual(Buffer.from((await back).blob), blob);
      for (let i = 0; i < 200; i++)
        assert.equal(await within("ack", new Promise((resolve) => socket.emit("message-with-ack", i, resolve))), i);
      socket.close();
    });
  }
});

describe("the protocol", () => {
  let server;
  before(async () => { server = await startTls("eio-proto", { "ping-interval": 60000, "ping-timeout": 60000 }); });
  after(() => server.stop());

  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    test(`${version}: a session is resumed`, async () => {
      const options = { minVersion: version, maxVersion: version };
      const first = tls.connect({ port: server.port, host: "127.0.0.1", ca, ...options });
      let session;
      first.on("session", (ticket) => { session = ticket; });
      await once(first, "secureConnect");
      assert.equal(first.getProtocol(), version);
      assert.match(first.getCipher().name, /GCM|CHACHA20/);
      first.write("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n");
      await once(first, "data");
      const second = await secure(server, { session: session ?? first.getSession(), ...options });
      assert.equal(second.isSessionReused(), true);
      first.destroy();
      second.destroy();
    });
  }

  test("what is older than TLS 1.2 is refused", async () => {
    const socket = tls.connect({ port: server.port, host: "127.0.0.1", ca, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" });
    assert.match(String(await once(socket, "error")), /alert|protocol/i);
  });

  test("http/1.1 is chosen by ALPN; a client that wants only h2 is refused", async () => {
    const socket = await secure(server, { ALPNProtocols: ["h2", "http/1.1"] });
    assert.equal(socket.alpnProtocol, "http/1.1");
    socket.destroy();
    assert.ok(await once(tls.connect({ port: server.port, host: "127.0.0.1", ca, ALPNProtocols: ["h2"] }), "error"));
  });

  test("renegotiation is refused, and nobody else notices", async () => {
    const socket = await secure(server, { maxVersion: "TLSv1.2" });
    const refused = new Promise((resolve) => {
      socket.once("error", resolve);
      socket.once("close", resolve);
      socket.renegotiate({}, (error) => error && resolve(error));
    });
    assert.match(String(await within("the refusal", refused)), /no.renegotiation/i);
    socket.destroy();
    await works(server);
  });

  test("plain HTTP to the TLS port gets an answer in plain HTTP", async () => {
    const socket = net.connect(server.port, "127.0.0.1");
    let text = "";
    socket.on("data", (data) => { text += data; });
    socket.write("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX-Filler: " + "x".repeat(3000) + "\r\n\r\n");
    await once(socket, "close");
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n[^]*HTTPS/);
  });

  test("TLS to a plain port fails at once", async () => {
    const plain = await start("eio-proto");
    const socket = tls.connect({ port: plain.port, host: "127.0.0.1", ca });
    assert.ok(await once(socket, "error"));
    // Not as a head that is never finished: that is a 408.
    assert.equal((await rawRequest(plain.port, Buffer.from([0x16, 3, 1, 2]))).status, 400);
    await plain.stop();
  });

  test("handshakes that are garbage, half done or broken off harm nobody", async () => {
    const hello = await new Promise((resolve) => {
      const trap = net.createServer((peer) => peer.once("data", (data) => { peer.destroy(); trap.close(); resolve(data); }));
      trap.listen(0, "127.0.0.1", () => tls.connect(trap.address().port, "127.0.0.1").on("error", () => {}));
    });
    for (const data of [Buffer.from([0x16, 3, 1, 0xff, 0xff, 1]), Buffer.alloc(5000, 0x16), hello.subarray(0, 100), hello]) {
      for (const how of ["end", "destroy", "resetAndDestroy"]) {
        const socket = net.connect(server.port, "127.0.0.1");
        socket.on("error", () => {}).resume();
        await once(socket, "connect");
        socket.write(data);
        await hasRead(server);
        socket[how]();
      }
    }
    await works(server);
  });

  test("a client that has sent its request and its end still gets the answer", async () => {
    const socket = await secure(server, { allowHalfOpen: true });
    socket.end("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "end");
    assert.match(socket.received, /^HTTP\/1\.1 404 /);
    socket.destroy();
  });

  test("an error reply arrives whole, then the connection ends cleanly", async () => {
    const socket = await secure(server);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    await once(socket, "end");
    assert.match(socket.received, /^HTTP\/1\.1 400 /);
  });

  test("requests one behind the other in one record are all answered", async () => {
    const socket = await secure(server);
    socket.write("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50));
    await until(() => socket.received.split("HTTP/1.1 404").length > 50, "answers");
    socket.destroy();
  });
});

async function webSocket(server, path = "/engine.io/?EIO=4&transport=websocket") {
  const socket = new WebSocket(server.wss + path, { ca, perMessageDeflate: false });
  socket.inbox = new Inbox();
  socket.on("message", (data, binary) => socket.inbox.push(binary ? data : String(data)));
  await once(socket, "open");
  socket.on("error", () => {});
  return socket;
}

describe("WebSockets over TLS", () => {
  let server;
  before(async () => { server = await startTls("ws-echo"); });
  after(() => server.stop());

  test("a slow reader holds up its own messages, not the server, and loses none", async () => {
    const slow = await webSocket(server);
    await slow.inbox.next(); // the open packet
    slow.pause();
    const size = 1000000, count = 60;
    for (let i = 0; i < count; i++) slow.send(Buffer.alloc(size, i));
    for (let before = -1; before !== slow.bufferedAmount;) {
      before = slow.bufferedAmount;
      for (let i = 0; i < 10; i++) await works(server); // it would read meanwhile
    }
    assert.ok(slow.bufferedAmount > 0, "the server went on reading from a peer that does not read");
    slow.resume();
    for (let i = 0; i < count; i++) {
      const data = await slow.inbox.next("an echo");
      assert.equal(data.length, size);
      assert.ok(data[0] === i && data[size - 1] === i);
    }
    slow.close();
    await once(slow, "close");
  });

  test("messages of many sizes around the record size come back whole", async () => {
    const socket = await webSocket(server, "/ws-echo");
    const sizes = [0, 1, 125, 126, 4095, 4096, 16383, 16384, 16385, 65535, 65536, 65537, 200000, 5000000];
    for (const size of sizes) socket.send(Buffer.alloc(size, size));
    for (const size of sizes) assert.deepEqual(await socket.inbox.next(), Buffer.alloc(size, size));
    socket.close(1000);
    assert.equal(await once(socket, "close"), 1000);
  });

  test("a close with much still queued is answered after it", async () => {
    const socket = await webSocket(server, "/ws-echo");
    for (let i = 0; i < 20; i++) socket.send(Buffer.alloc(300000, i));
    for (let i = 0; i < 20; i++) assert.equal((await socket.inbox.next())[0], i);
    socket.close(1000);
    await once(socket, "close");
  });

  test("a peer that breaks off, at any moment, costs nobody anything", async () => {
    for (const how of ["destroy", "resetAndDestroy", "end"]) {
      for (const traffic of [0, 1, 40]) {
        const socket = await webSocket(server);
        if (traffic === 40) socket.pause();
        for (let i = 0; i < traffic; i++) socket.send(Buffer.alloc(500000));
        await hasRead(server);
        const tcp = socket._socket;
        if (how === "resetAndDestroy") (tcp._parent ?? tcp).destroy();
        else tcp[how]();
        if (how === "resetAndDestroy") tcp.destroy();
      }
    }
    await works(server);
  });

  test("a peer that breaks the protocol gets a close frame with the code", async () => {
    const socket = await webSocket(server);
    socket._socket.write(Buffer.from([0x82, 0x01, 0x00])); // not masked
    assert.equal(await once(socket, "close"), 1002);
  });

  test("an upgrade that is given up leaves the session on polling", async () => {
    const client = await open(server, ["polling"]);
    const probe = await webSocket(server, `/engine.io/?EIO=4&transport=websocket&sid=${client.id}`);
    probe.send("2probe");
    assert.equal(await probe.inbox.next(), "3probe");
    probe.send("nonsense");
    await once(probe, "close");
    client.send("on polling");
    assert.equal(await client.inbox.next(), "on polling");
    await close(client);
  });
});

describe("SIGTERM", () => {
  for (const profile of ["eio-proto", "sio-proto"]) {
    test(`${profile} with every kind of TLS peer connected: it ends in time and has freed everything`, async () => {
      const server = await startTls(profile, { "ping-interval": 60000 });
      const path = profile === "eio-proto" ? "/engine.io/" : "/socket.io/";
      const peers = [await secure(server), net.connect(server.port, "127.0.0.1").on("error", () => {})];
      for (const how of ["idle", "slow", "gone"]) {
        const socket = await webSocket(server, `${path}?EIO=4&transport=websocket`);
        peers.push(socket._socket);
        if (profile === "sio-proto") socket.send("40");
        for (let i = 0; i < (profile === "sio-proto" ? 2 : 1); i++) await socket.inbox.next(); // open, and connected
        if (how !== "idle") socket.pause();
        for (let i = 0; how !== "idle" && i < 30; i++)
          socket.send(profile === "eio-proto" ? Buffer.alloc(500000) : `42["message","${"x".repeat(500000)}"]`);
        await hasRead(server);
        if (how === "gone") socket._socket.destroy();
      }
      const parked = await secure(server);
      parked.write(`GET ${path}?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(parked, "data");
      const sid = /"sid":"([^"]+)"/.exec(parked.received)[1];
      parked.write(`GET ${path}?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const probe = await webSocket(server, `${path}?EIO=4&transport=websocket&sid=${sid}`);
      probe.send("2probe");
      assert.equal(await probe.inbox.next(), "3probe");
      peers.push(parked, probe._socket);
      await server.stop();
      for (const peer of peers) peer.destroy();
    });
  }
});

describe("a certificate that is renewed", () => {
  let server;
  before(async () => { server = await startTls("eio-proto", { "ping-interval": 60000 }, "renewed"); });
  after(() => server.stop());

  let reloads = 0;
  async function reload() {
    process.kill(server.pid, "SIGHUP");
    reloads++;
    await until(() => server.output().split("RELOAD").length > reloads, "the reload");
    return Number(/.*RELOAD (-?\d+)/s.exec(server.output())[1]);
  }
  async function subject() {
    const socket = await secure(server);
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  }

  test("new connections see the new one, old ones live on, and unusable files change nothing", async () => {
    const old = [await open(server, ["polling"]), await open(server, ["websocket"])];
    const live = async () => {
      for (const client of old) {
        client.send("hello");
        assert.equal(await client.inbox.next(), "hello");
      }
    };
    assert.equal(await subject(), "one");
    install("two", "renewed");
    assert.equal(await reload(), 0);
    assert.equal(await subject(), "two");
    await live();
    copyFileSync(file("one.key"), file("renewed.key"));
    assert.ok(await reload() < 0);
    assert.match(server.output(), /does not match the certificate|mismatch/);
    assert.equal(await subject(), "two");
    writeFileSync(file("renewed.pem"), "nonsense");
    assert.ok(await reload() < 0);
    rmSync(file("renewed.pem"));
    assert.ok(await reload() < 0);
    assert.match(server.output(), /No such file/);
    assert.equal(await subject(), "two");
    await live();
    for (const client of old) await close(client);
  });
});

// It reads no answer. (One that closed with answers unread would reset the connection, and lose what it had not sent.)
describe("what a client has sent arrives, though it ends at once", () => {
  const MANY = 20000;
  for (const [how, started] of [["over TLS", () => startTls("bench")], ["without TLS", () => start("bench")]]) {
    test(how, async () => {
      const server = await started();
      const url = `${server.wss ?? server.ws}/socket.io/?EIO=4&transport=websocket`;
      const heard = [];
      const listener = io(server.https ?? server.http, { transports: ["websocket"], ca, forceNew: true });
      listener.on("transcription:update", ({ n }) => heard.push(n));
      await listener.emitWithAck("call:subscribe", { call_id: "x" });
      const ws = new WebSocket(url, { ca, perMessageDeflate: false });
      ws.on("error", () => {});
      await once(ws, "open");
      ws.send("40");
      await once(ws, "message");
      ws.pause();
      for (let n = 0; n < MANY - 1; n++) ws.send(`42${n % 50 ? "" : n}["${n % 50 ? "transcription:update" : "echo"}",{"call_id":"x","n":${n}}]`);
      const wanted = Array.from({ length: MANY }, (_, n) => n).filter((n) => n % 50);
      await new Promise((resolve) => { ws.send(`42["transcription:update",{"call_id":"x","n":${MANY - 1}}]`, resolve); });
      ws._socket.end();
      await until(() => heard.at(-1) === MANY - 1, "the last");
      assert.deepEqual(heard, wanted);
      listener.disconnect();
      await server.stop();
    });
  }
});

describe("keys of session tickets that several servers share", () => {
  const key = (byte) => byte.repeat(80);
  async function ticket(server, options) {
    const socket = tls.connect({ port: server.port, host: "127.0.0.1", ca, ...options });
    let session;
    socket.on("session", (one) => { session = one; });
    await once(socket, "secureConnect");
    socket.write("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    await until(() => session, "a ticket");
    socket.destroy();
    return session;
  }
  async function isResumed(server, session, options) {
    const socket = await secure(server, { session, ...options });
    const resumed = socket.isSessionReused();
    socket.destroy();
    return resumed;
  }

  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    test(`${version}: a session is resumed at another server, and after the keys have changed as long as the old one is there`, async () => {
      const options = { minVersion: version, maxVersion: version };
      const keys = file(`${version}.keys`);
      writeFileSync(keys, `# ours\n${key("a1")}\n`);
      const started = () => startTls("eio-proto", { "tls-ticket-keys": keys });
      const [first, second, other] = [await started(), await started(), await startTls("eio-proto")];
      const old = await ticket(first, options);
      assert.equal(await isResumed(second, old, options), true);
      assert.equal(await isResumed(other, old, options), false);
      const reload = async (text) => {
        const count = () => second.output().split("RELOAD").length, before = count();
        writeFileSync(keys, text);
        process.kill(second.pid, "SIGHUP");
        await until(() => count() > before, "the reload");
      };
      await reload(`${key("b2")}\n\n${key("a1")}\n`);
      assert.equal(await isResumed(second, old, options), true);
      const renewed = await ticket(second, options);
      await reload("nonsense\n");
      assert.match(second.output(), /cannot use the ticket keys in .*: a key is 160 hexadecimal digits/);
      assert.equal(await isResumed(second, renewed, options), true);
      await reload(`${key("b2")}\n`);
      assert.equal(await isResumed(second, old, options), false);
      assert.equal(await isResumed(second, renewed, options), true);
      await Promise.all([first, second, other].map((server) => server.stop()));
    });
  }

  test("a file without usable keys refuses the start", async () => {
    for (const text of ["", "# none\n", "a1\n", `${"x".repeat(160)}\n`, `${key("a1")}\n`.repeat(9)]) {
      writeFileSync(file("bad.keys"), text);
      await assert.rejects(startTls("eio-proto", { "tls-ticket-keys": file("bad.keys") }), /cannot use the ticket keys/);
    }
    await assert.rejects(startTls("eio-proto", { "tls-ticket-keys": file("none.keys") }), /No such file/);
  });
});

test("a server without usable files does not start, and says why", async () => {
  await assert.rejects(start("eio-proto", { "tls-cert": file("none.pem"), "tls-key": file("one.key") }), /none\.pem/);
  await assert.rejects(start("eio-proto", { "tls-cert": file("one.pem"), "tls-key": file("two.key") }), /key/);
  await assert.rejects(start("eio-proto", { "tls-cert": file("one.pem") }), /both a certificate and a key are required/);
});
