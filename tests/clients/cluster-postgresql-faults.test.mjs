// PostgreSQL and nodes that fail: what is local goes on, nothing is delivered twice, and what waited arrives in order.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import pg from "pg";
import { Cluster } from "./lib/cluster.mjs";
import { startPostgresql } from "./lib/postgresql.mjs";
import { PATIENCE_MS, until } from "../support/wait.mjs";

const PARLEYS = ["parley1", "parley2"];
let cluster, pool;
afterEach(async () => {
  await pool?.end();
  pool = undefined;
  await cluster?.stop();
  cluster = undefined;
});

const heard = (client, event) => client.log.filter(([name]) => name === event).map(([, value]) => value);
const test_ = (name, fn) => test(name, { timeout: 10 * PATIENCE_MS }, fn);

async function start(names = PARLEYS, options = {}, settings = {}) {
  cluster = await new Cluster("postgresql", settings, options).start(names);
  pool = new pg.Pool({ connectionString: cluster.postgresql.url, max: 2 });
  pool.on("error", () => {});
  const clients = await cluster.clients();
  for (const client of Object.values(clients)) await client.ask("join", "room");
  return clients;
}

async function backTogether({ parley1, parley2 }) {
  for (const [from, to] of [[parley1, parley2], [parley2, parley1]]) {
    await until(async () => {
      await from.op({ op: "emit", to: "room", ev: `back-${from.name}` });
      return heard(to, `back-${from.name}`).length > 0;
    }, `events of ${from.name} arrive again`);
  }
  await until(async () => await parley2.op({ op: "serverCount" }) === 2 && await parley1.op({ op: "serverCount" }) === 2, "both are counted");
}

// Of both connections of both nodes.
const know = () => until(() => PARLEYS.every((name) => ["sender", "listener"].every((link) =>
  new RegExp(`postgresql ${link}: .*; next attempt`).test(cluster.nodes[name].output()))), "both know");

for (const [what, fail, mend] of [
  ["killed and started again", (postgresql) => postgresql.kill(), (postgresql) => postgresql.start()],
  ["stopped for a while", async (postgresql) => postgresql.pause(), async (postgresql) => postgresql.resume()],
]) {
  test_(`PostgreSQL is ${what}`, async () => {
    const clients = await start(PARLEYS, { "request-timeout": 2000 });
    const { parley1, parley2 } = clients, { postgresql } = cluster;
    await parley1.op({ op: "emit", to: "room", ev: "before", args: [0] });
    await until(() => heard(parley2, "before").length === 1, "the first");
    await fail(postgresql);
    await know();
    for (let i = 0; i < 20; i++) {
      const args = i % 5 === 4 ? [i, Buffer.from([i])] : [i];
      assert.equal(await parley1.op({ op: "emit", to: "room", ev: "meanwhile", args }), "ok"); // waits for PostgreSQL: never
    }
    assert.deepEqual(heard(parley1, "meanwhile"), Array.from({ length: 20 }, (_, i) => i), "delivered where it was said");
    await parley1.op({ op: "socketsJoin", to: parley1.id, rooms: "joined meanwhile" });
    assert.ok((await parley1.ask("rooms")).includes("joined meanwhile"));
    const sockets = await parley1.op({ op: "fetchSockets" });
    assert.deepEqual(sockets.map(({ id }) => id), [parley1.id], "what is here");
    await mend(postgresql);
    await backTogether(clients);
    // What waited is sent once and in order; the others may not listen yet.
    const late = heard(parley2, "meanwhile");
    assert.deepEqual(late, [...new Set(late)].sort((a, b) => a - b));
    await parley2.op({ op: "emit", to: "joined meanwhile", ev: "own", args: [1, Buffer.from([1])] });
    await until(() => heard(parley1, "own").length === 1, "a room that began meanwhile is heard");
    await until(async () => (await parley1.op({ op: "fetchSockets" })).length === 2, "the other is asked again");
  });
}

test_("PostgreSQL is not there when the nodes start", async () => {
  const postgresql = await startPostgresql();
  await postgresql.kill();
  cluster = new Cluster("postgresql");
  cluster.postgresql = postgresql;
  try {
    await cluster.startNodes(PARLEYS);
    const clients = await cluster.clients();
    for (const client of Object.values(clients)) await client.ask("join", "room");
    await clients.parley1.op({ op: "emit", to: "room", ev: "alone" });
    await until(() => heard(clients.parley1, "alone").length === 1, "local delivery");
    assert.equal(await clients.parley1.op({ op: "serverCount" }), 1);
    await postgresql.start();
    await backTogether(clients);
  } catch (error) {
    await postgresql.start().catch(() => {});
    throw error;
  }
});

for (const link of ["sender", "listener"]) {
  test_(`PostgreSQL ends the connections of one kind: ${link}`, async () => {
    const clients = await start();
    const { rowCount } = await pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", [`parley-${link}`]);
    assert.equal(rowCount, 2);
    await backTogether(clients);
    for (const client of Object.values(clients)) {
      assert.equal((await client.op({ op: "fetchSockets" })).length, 2);
      assert.deepEqual(await client.op({ op: "serverSideEmitWithAck", args: [] }),
        { err: null, responses: [client.name === "parley1" ? "parley2" : "parley1"] });
    }
  });
}

// The listener goes on, and cannot read what the notification names until the sender is back.
test_("an attachment is read when the connection for that is back, and what follows it waits", async () => {
  const { parley1, parley2 } = await start(PARLEYS, { "request-timeout": PATIENCE_MS });
  const blocker = await pool.connect();
  await blocker.query("BEGIN; LOCK TABLE socket_io_attachments IN ACCESS EXCLUSIVE MODE");
  const id = (await blocker.query("INSERT INTO socket_io_attachments (payload) VALUES (NULL) RETURNING id")).rows[0].id;
  await blocker.query("UPDATE socket_io_attachments SET payload = decode($1, 'hex') WHERE id = $2", [
    // {type:3, data:{packet:{type:2,data:["late",1,<05>]},opts:{rooms:[],except:[],flags:{}}}, uid:"emitter"}
    Buffer.concat([Buffer.from("83a47479706503a46461746182a67061636b657482a47479706502a46461746193a46c61746501c40105a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964a7656d6974746572", "hex")]).toString("hex"), id]);
  await pool.query("SELECT pg_notify('socket.io#/', $1)", [JSON.stringify({ uid: "emitter", type: 3, attachmentId: id })]);
  await pool.query("SELECT pg_notify('socket.io#/', $1)", [JSON.stringify({ uid: "emitter", type: 3, data: { packet: { type: 2, data: ["next", 2] }, opts: { rooms: [], except: [], flags: {} } } })]);
  await until(async () => Number((await pool.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parley-sender' AND wait_event_type = 'Lock'")).rows[0].count) === 2,
    "both wait for the table");
  assert.deepEqual([parley1.log, parley2.log], [[], []]);
  await pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley-sender'");
  await blocker.query("COMMIT");
  blocker.release();
  for (const client of [parley1, parley2]) {
    await until(() => client.log.length === 2, () => `both arrive: ${JSON.stringify(client.log)} ${cluster.nodes.parley1.output()}`);
    assert.deepEqual(client.log, [["late", 1, "<05>"], ["next", 2]]);
  }
});

test_("old attachments are deleted, young ones are not", async () => {
  const { parley1, parley2 } = await start(PARLEYS, { "cleanup-interval": 1500 });
  await pool.query("INSERT INTO socket_io_attachments (payload, created_at) SELECT NULL, now() - interval '1 hour' FROM generate_series(1, 2500)");
  await pool.query("INSERT INTO socket_io_attachments (payload, created_at) VALUES ('young', now() + interval '1 hour')");
  await parley1.op({ op: "emit", to: "room", ev: "text", args: ["x".repeat(10000)] });
  await until(() => heard(parley2, "text").length === 1, "the attachment");
  await until(async () => (await pool.query("SELECT payload FROM socket_io_attachments")).rowCount === 1, "all but one are deleted");
  assert.equal(String((await pool.query("SELECT payload FROM socket_io_attachments")).rows[0].payload), "young");
});

test_("a role that cannot create the table logs why, and works once the table exists", async () => {
  const postgresql = await startPostgresql();
  cluster = new Cluster("postgresql");
  cluster.postgresql = postgresql;
  const admin = new pg.Client({ connectionString: postgresql.url });
  await admin.connect();
  await admin.query("CREATE ROLE poor LOGIN");
  cluster.postgresql = Object.assign(Object.create(postgresql), { url: postgresql.url.replace("parley@", "poor@") });
  await cluster.startNodes(PARLEYS);
  await until(() => PARLEYS.every((name) => /postgresql sender: permission denied for schema public; next attempt/.test(cluster.nodes[name].output())), "the reason");
  await admin.query("CREATE TABLE socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)");
  await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON socket_io_attachments TO poor; GRANT USAGE ON socket_io_attachments_id_seq TO poor");
  await admin.end();
  const clients = await cluster.clients();
  for (const client of Object.values(clients)) await client.ask("join", "room");
  await backTogether(clients);
  await clients.parley1.op({ op: "emit", to: "room", ev: "binary", args: [Buffer.from([1])] });
  await until(() => heard(clients.parley2, "binary").length === 1, "an attachment");
});

test_("a node that was killed is not waited for any longer than its heartbeats", async () => {
  const { parley1, node } = await start([...PARLEYS, "node"], { "request-timeout": 10 * PATIENCE_MS });
  process.kill(cluster.nodes.parley2.pid, "SIGKILL");
  delete cluster.nodes.parley2;
  assert.deepEqual((await parley1.op({ op: "fetchSockets" })).map(({ id }) => id).sort(), [parley1.id, node.id].sort());
  await until(async () => await parley1.op({ op: "serverCount" }) === 2, "it is gone");
  await until(async () => await node.op({ op: "serverCount" }) === 2, "at Node's, too");
  assert.equal((await node.op({ op: "fetchSockets" })).length, 2);
});

test_("a node that ends tells the others", async () => {
  const { parley1 } = await start([...PARLEYS, "node"]);
  const { parley2 } = cluster.nodes;
  delete cluster.nodes.parley2;
  await parley2.stop();
  const begin = Date.now();
  await until(async () => await parley1.op({ op: "serverCount" }) === 2, "it is gone");
  assert.ok(Date.now() - begin < 5000, "before its heartbeats are missed");
});
