// The adapter over PostgreSQL among Node's: what they all do (lib/cluster.mjs), the emitter, attachments, garbage.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "@socket.io/postgres-emitter";
import pg from "pg";
import { clusterSuite } from "./lib/cluster.mjs";
import { until } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];

clusterSuite("postgresql", (cluster) => {
  let pool, emitter;
  const ours = (clients) => PARLEYS.map((name) => clients[name]);
  const attachments = async () => Number((await pool.query("SELECT count(*) FROM socket_io_attachments")).rows[0].count);

  // Node's adapter of today asks for a namespace in each message, which the emitter of today does not write.
  test("an emitter's events: text, binary, dates, rooms, exceptions, flags, namespaces", async () => {
    const clients = await cluster.clients();
    await clients.parley1.ask("join", "emitter-room");
    const end = async (nsp, sockets, expected) => {
      emitter.of(nsp).emit("end");
      for (const socket of sockets) assert.deepEqual((await socket.heard("end", expected(socket.name).length)).sort(), expected(socket.name).sort(), socket.name);
    };
    emitter.emit("all", "world", [Buffer.from([1, 2]), { d: new Date(1500000000123) }]);
    emitter.emit("long", "é".repeat(5000));
    emitter.to("emitter-room").emit("one");
    emitter.except(clients.parley2.id).emit("but one");
    emitter.to(["emitter-room", clients.parley2.id]).emit("both");
    emitter.to(clients.parley2.id).volatile.compress(false).emit("socket", { x: 1 });
    emitter.of("/custom").emit("elsewhere");
    await end("/", ours(clients), (name) => [
      ["all", "world", ["<0102>", { d: "2017-07-14T02:40:00.123Z" }]],
      ["long", "é".repeat(5000)],
      ...(name === "parley1" ? [["one"], ["but one"]] : [["socket", { x: 1 }]]),
      ["both"],
    ]);
    const custom = await cluster.clients("/custom");
    emitter.of("/custom").emit("here", 1);
    await end("/custom", ours(custom), () => [["here", 1]]);
  });

  test("an emitter moves and disconnects sockets, and speaks to servers", async () => {
    const clients = await cluster.clients(), sockets = ours(clients);
    emitter.in(sockets.map(({ id }) => id)).socketsJoin(["e1", "e2"]);
    for (const socket of sockets) await until(async () => (await socket.ask("rooms")).includes("e2"), "all joined");
    emitter.in("e1").socketsLeave("e2");
    for (const socket of sockets) await until(async () => !(await socket.ask("rooms")).includes("e2"), "all left");
    for (const socket of sockets) await socket.op({ op: "serverSideReceived" });
    emitter.serverSideEmit("sse", "from outside", 5);
    for (const socket of sockets) {
      let heard = [];
      await until(async () => { heard = await socket.op({ op: "serverSideReceived" }); return heard.length > 0; }, "servers hear");
      assert.deepEqual(heard, [{ nsp: "/", args: ["from outside", 5] }]);
    }
    const gone = sockets.map((socket) => new Promise((resolve) => socket.once("disconnect", resolve)));
    emitter.in("e1").disconnectSockets();
    assert.deepEqual(await Promise.all(gone), Array(2).fill("io server disconnect"));
  });

  // PostgreSQL takes 7999 bytes in a notification; Node's adapter hands it 8000 all the same, and loses them.
  test("what does not fit into a notification is an attachment, to the byte", async () => {
    const clients = await cluster.clients();
    const sent = (n) => JSON.stringify({ type: 3, data: { packet: { type: 2, data: ["x", "y".repeat(n)], nsp: "/" }, opts: { rooms: [], except: [], flags: {} } },
      uid: "0123456789abcdef", nsp: "/" }).length;
    const about = 7999 - sent(0);
    let first;
    for (let n = about - 60; n <= about + 60; n++) {
      const before = await attachments();
      await clients.parley1.op({ op: "emit", ev: "x", args: ["y".repeat(n)] });
      await until(() => clients.parley2.log.length === 1 && clients.node.log.length === 1, `${n} characters arrive`);
      assert.deepEqual(clients.parley2.log.splice(0), [["x", "y".repeat(n)]]);
      clients.node.log.length = 0;
      const is = await attachments() > before;
      if (is) first ??= n;
      assert.equal(is, first !== undefined, `${n}, after ${first}`);
    }
    assert.ok(first > about - 60 && first < about + 60, `${first}`);
  });

  test("large ones, and what follows them, keep their order", async () => {
    const clients = await cluster.clients();
    const big = Buffer.alloc(700000, 7), text = "ü".repeat(200000);
    for (let i = 0; i < 10; i++) {
      clients.parley1.emit("op", { op: "emit", ev: "n", args: [3 * i] }, () => {});
      clients.parley1.emit("op", { op: "emit", ev: "n", args: [3 * i + 1, i % 2 ? big : text] }, () => {});
      clients.parley1.emit("op", { op: "emit", ev: "n", args: [3 * i + 2] }, () => {});
    }
    await until(() => clients.parley2.log.length === 30 && clients.node.log.length === 30, "all of them");
    assert.deepEqual(clients.parley2.log.map(([, n]) => n), Array.from({ length: 30 }, (_, i) => i));
    assert.deepEqual(clients.parley2.log[4][2], `<${big.toString("hex")}>`);
    assert.deepEqual(clients.node.log.map(([, n]) => n).sort((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i));
  });

  // PostgreSQL delivers equal notifications of a transaction once.
  test("the same words many times are heard as many times", async () => {
    const clients = await cluster.clients();
    await Promise.all(Array.from({ length: 200 }, () => clients.parley1.op({ op: "emit", ev: "again", args: ["and again"] })));
    await clients.parley1.op({ op: "emit", ev: "end" });
    for (const name of ["parley2", "node"]) assert.deepEqual(await clients[name].heard("end"), Array(200).fill(["again", "and again"]), name);
  });

  test("many at once share transactions", async () => {
    const clients = await cluster.clients();
    const commits = async () => Number((await pool.query("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'")).rows[0].xact_commit);
    const count = 3000, before = await commits();
    const all = Promise.all(Array.from({ length: count }, (_, i) => clients.parley1.op({ op: "emit", ev: "many", args: [i] })));
    await until(() => clients.parley2.log.length === count, () => `${clients.parley2.log.length} of ${count}`);
    await all;
    assert.deepEqual(clients.parley2.log.map(([, i]) => i), Array.from({ length: count }, (_, i) => i));
    await until(async () => await commits() > before, "PostgreSQL's figures");
    assert.ok(await commits() - before < count / 4, `${await commits() - before} transactions`);
  });

  test("an attachment that is gone does not hold up what follows it", async () => {
    const [one, two] = [await cluster.connect("parley1", "/dyn-5"), await cluster.connect("parley2", "/dyn-5")];
    await until(async () => await one.op({ op: "serverCount" }) === 2, "both know each other");
    await pool.query("SELECT pg_notify($1, $2)", ["socket.io#/dyn-5", JSON.stringify({ uid: "tester", type: 3, attachmentId: "999999999" })]);
    await one.op({ op: "emit", ev: "end" });
    for (const socket of [one, two]) assert.deepEqual(await socket.heard("end"), []);
  });

  test("a rollback of the sender's own leaves its next ones alone", async () => {
    const clients = await cluster.clients();
    await pool.query(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'at the commit'; END$$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON socket_io_attachments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`);
    try {
      await clients.parley1.op({ op: "emit", ev: "lost", args: [Buffer.from([1])] });
      await clients.parley1.op({ op: "emit", ev: "kept", args: [1] });
      await clients.parley1.op({ op: "emit", ev: "lost", args: ["x".repeat(9000)] });
      await clients.parley1.op({ op: "emit", ev: "end" });
      assert.deepEqual(await clients.parley2.heard("end"), [["kept", 1]]);
      assert.match(cluster.nodes.parley1.output(), /postgresql: refusing commands: at the commit/);
    } finally {
      await pool.query("DROP FUNCTION fail CASCADE");
    }
    await clients.parley1.op({ op: "emit", ev: "again", args: [Buffer.from([2])] });
    await until(() => clients.parley2.log.some(([event]) => event === "again"), "attachments again");
  });

  test("garbage is ignored", async () => {
    const [one, two] = [await cluster.connect("parley1", "/dyn-99"), await cluster.connect("parley2", "/dyn-99")];
    await until(async () => await one.op({ op: "serverCount" }) === 2 && await two.op({ op: "serverCount" }) === 2, "both know each other");
    const row = async (bytes) => (await pool.query("INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id", [bytes])).rows[0].id;
    const valid = JSON.stringify({ uid: "emitter", type: 3, data: { opts: { rooms: [], except: [], flags: {} }, packet: { type: 2, data: ["hello"] } } });
    const garbage = ["", "hello", "{", "{}", "[]", "null", "5", '{"type":99}', '{"uid":5,"attachmentId":"1"}', '{"uid":"x","attachmentId":"-1"}', '{"uid":"x","attachmentId":{}}',
      '{"uid":"x","attachmentId":"1e3"}', '{"uid":"x","attachmentId":99999999999999999999}', '{"attachmentId":"1"}', '{"uid":"x","type":3,"attachmentId":"0"}',
      `{"uid":"${"u".repeat(100)}","attachmentId":"1"}`, '{"uid":"x","type":3,"data":{"attachmentId":"1"}}', `{"type":6,"data":${"[".repeat(3000)}${"]".repeat(3000)}}`];
    for (let n = 0; n < valid.length; n++) garbage.push(valid.slice(0, n));
    for (const bytes of [null, Buffer.alloc(0), Buffer.from("hello"), Buffer.from([0xdd, 255, 255, 255, 255]), Buffer.alloc(100000, 0x91), Buffer.from([0x93, 0xc0])])
      garbage.push(JSON.stringify({ uid: "x", type: 3, attachmentId: await row(bytes) }));
    for (const payload of garbage) await pool.query("SELECT pg_notify($1, $2)", ["socket.io#/dyn-99", payload]);
    await pool.query("SELECT pg_notify($1, $2)", ["socket.io#/dyn-99", valid]);
    for (const socket of [one, two]) {
      await until(() => socket.log.length > 0, "the valid one");
      assert.deepEqual(socket.log, [["hello"]]);
    }
  });

  return {
    async before() {
      pool = new pg.Pool({ connectionString: cluster.postgresql.url, max: 1 });
      pool.on("error", () => {});
      emitter = new Emitter(pool);
    },
    after: () => pool?.end(),
  };
});
