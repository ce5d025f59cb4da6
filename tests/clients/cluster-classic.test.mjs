// The classic Redis adapter among Node's: what they all do (lib/cluster.mjs), the emitter, old versions, garbage.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { clusterSuite } from "./lib/cluster.mjs";
import { until } from "../support/wait.mjs";

clusterSuite("classic", (cluster) => {
  let client, emitter;
  const everywhere = async (clients, act, expected) => {
    const end = cluster.room("end");
    await act();
    emitter.of(Object.values(clients)[0].nsp).emit(end);
    for (const [name, socket] of Object.entries(clients)) assert.deepEqual(await socket.heard(end), expected(name), name);
  };

  test("an emitter's events: text, binary, dates, rooms, exceptions, flags, namespaces", async () => {
    const clients = await cluster.clients();
    await clients.parley1.ask("join", "emitter-room");
    await clients.node.ask("join", "emitter-room");
    await everywhere(clients, async () => {
      emitter.emit("all", "world", [Buffer.from([1, 2]), { d: new Date(1500000000123) }]);
      emitter.to("emitter-room").emit("one");
      emitter.to("emitter-room").except(clients.node.id).emit("but one");
      emitter.to(["emitter-room", clients.parley2.id]).emit("both");
      emitter.to(clients.parley2.id).volatile.compress(false).emit("socket", { x: 1 });
      emitter.of("/custom").emit("elsewhere");
    }, (name) => [
      ["all", "world", ["<0102>", { d: "2017-07-14T02:40:00.123Z" }]],
      ...(name === "parley2" ? [] : [["one"]]),
      ...(name === "parley1" ? [["but one"]] : []),
      ["both"],
      ...(name === "parley2" ? [["socket", { x: 1 }]] : []),
    ]);
    const custom = await cluster.clients("/custom");
    await everywhere(custom, async () => emitter.of("/custom").emit("here", 1), () => [["here", 1]]);
  });

  test("an emitter moves and disconnects sockets, and speaks to servers", async () => {
    const clients = await cluster.clients();
    emitter.in(Object.values(clients).map(({ id }) => id)).socketsJoin(["e1", "e2"]);
    for (const socket of Object.values(clients))
      await until(async () => (await socket.ask("rooms")).includes("e2"), "all joined");
    emitter.in("e1").socketsLeave("e2");
    for (const socket of Object.values(clients))
      await until(async () => !(await socket.ask("rooms")).includes("e2"), "all left");
    for (const socket of Object.values(clients)) await socket.op({ op: "serverSideReceived" });
    emitter.serverSideEmit("sse", "from outside", 5);
    for (const socket of Object.values(clients)) {
      let heard = [];
      await until(async () => { heard = await socket.op({ op: "serverSideReceived" }); return heard.length > 0; }, "servers hear");
      assert.deepEqual(heard, [{ nsp: "/", args: ["from outside", 5] }]);
    }
    const gone = Object.values(clients).map((socket) => new Promise((resolve) => socket.once("disconnect", resolve)));
    emitter.in("e1").disconnectSockets();
    assert.deepEqual(await Promise.all(gone), Array(3).fill("io server disconnect"));
  });

  // What the current adapter does not send itself.
  async function request(fields, count) {
    const listener = client.duplicate();
    await listener.connect();
    const answers = [];
    await listener.subscribe("socket.io-response#/#", (text) => answers.push(JSON.parse(text)));
    await client.publish("socket.io-request#/#", JSON.stringify({ uid: "tester", requestId: "legacy", ...fields }));
    await until(() => answers.length >= count, `answers to ${JSON.stringify(fields)}`);
    await listener.close();
    return answers;
  }

  test("requests of all sockets and all rooms are answered", async () => {
    const clients = await cluster.clients();
    for (const socket of Object.values(clients)) await socket.ask("join", ["listed", `own-${socket.name}`]);
    const sockets = await request({ type: 0, rooms: ["listed"] }, 3);
    assert.deepEqual(sockets.map((answer) => answer.sockets.length), [1, 1, 1]);
    assert.deepEqual(sockets.flatMap((answer) => answer.sockets).sort(), Object.values(clients).map(({ id }) => id).sort());
    const rooms = await request({ type: 1 }, 3);
    for (const [name, socket] of Object.entries(clients))
      assert.ok(rooms.some((answer) => answer.rooms.includes(socket.id) && answer.rooms.includes(`own-${name}`) && answer.rooms.includes("listed")), name);
  });

  test("requests of old versions concern one socket", async () => {
    const clients = await cluster.clients();
    for (const socket of Object.values(clients)) {
      assert.deepEqual(await request({ type: 2, sid: socket.id, room: "old-room" }, 1), [{ requestId: "legacy" }]);
      assert.ok((await socket.ask("rooms")).includes("old-room"));
      assert.deepEqual(await request({ type: 3, sid: socket.id, room: "old-room" }, 1), [{ requestId: "legacy" }]);
      assert.ok(!(await socket.ask("rooms")).includes("old-room"));
      const gone = new Promise((resolve) => socket.once("disconnect", resolve));
      await request({ type: 4, sid: socket.id, close: true }, 1);
      await gone;
    }
  });

  test("garbage is ignored", async () => {
    // Node's adapter dies of some of these: only ours hear this namespace.
    const [one, two] = [await cluster.connect("parley1", "/dyn-99"), await cluster.connect("parley2", "/dyn-99")];
    await one.ask("join", "g");
    await two.ask("join", "g");
    const valid = Buffer.from("93a661692d31764183a47479706502a46461746191a568656c6c6fa36e7370a72f64796e2d393983a5726f6f6d7391a167a665786365707490a5666c61677380", "hex");
    const garbage = [Buffer.alloc(0), Buffer.from("hello"), Buffer.from("{"), Buffer.from("{}"), Buffer.from("[]"), Buffer.from("null"),
      Buffer.from([0xdd, 255, 255, 255, 255]), Buffer.from([0xdf, 255, 255, 255, 255]), Buffer.alloc(100000, 0x91), Buffer.alloc(100000, 0x5b),
      Buffer.from([0x93, 0xc0, 0xc0, 0xc0]), Buffer.from('{"type":99}'), Buffer.from('{"type":5,"requestId":"x"}'), Buffer.from('{"type":7,"requestId":"x","opts":{},"packet":5}'),
      Buffer.from('{"type":6,"data":{}}'), Buffer.from('{"type":2,"opts":5,"rooms":5}'), Buffer.from('{"type":2,"opts":{"rooms":"a"},"rooms":["b"]}'), Buffer.from('{"type":6,"data":[]}'),
      Buffer.from('{"type":4,"sid":{}}'), Buffer.from('{"requestId":"none","sockets":5}'), Buffer.from(`{"type":6,"data":${"[".repeat(5000)}${"]".repeat(5000)}}`)];
    for (let n = 0; n < valid.length; n++) garbage.push(valid.subarray(0, n));
    const channels = ["socket.io#/dyn-99#", "socket.io#/dyn-99#g#", `socket.io#/dyn-99#${one.id}#`, "socket.io-request#/dyn-99#", "socket.io-response#/dyn-99#"];
    for (const channel of channels) for (const bytes of garbage) await client.publish(channel, bytes);
    await client.publish("socket.io#/dyn-99#g#", valid);
    for (const socket of [one, two]) {
      await until(() => socket.log.length > 0, "the valid one");
      assert.deepEqual(socket.log, [["hello"]]);
      assert.equal(await socket.op({ op: "serverCount" }), 2);
    }
  });

  return {
    async before() {
      client = await createClient({ url: cluster.redis.url }).on("error", () => {}).connect();
      emitter = new Emitter(client);
    },
    after: () => client?.close(),
  };
});
