// What a socket, a user and an address may ask for: 429 with the time to wait, and the end for who goes on all the same.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE_MS, sleep, until } from "../support/wait.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const open = new Set();
afterEach(() => {
  for (const socket of open) socket.disconnect();
  open.clear();
});

function connect(parley, token, namespace = "/", more = {}) {
  const socket = io(parley.url + namespace, { auth: { token }, forceNew: true, reconnection: false, transports: ["websocket"], ...more });
  open.add(socket);
  socket.errors = [];
  socket.on("error", (error) => socket.errors.push(error));
  socket.ask = (event, data) => socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  socket.gone = new Promise((resolve) => socket.once("disconnect", resolve));
  return new Promise((resolve, reject) => socket.once("connect", () => resolve(socket)).once("connect_error", reject));
}
const codes = (answers) => answers.map(({ ok, error }) => (ok ? 200 : error.code));
const count = (list, code) => list.filter((one) => one === code).length;
const hits = async (parley, limit) => Number(new RegExp(`^parley_limit_hits_total\\{limit="${limit}"\\} (\\d+)$`, "m")
  .exec(await (await fetch(`${parley.url}/metrics`)).text())[1]);
// What a limit lets through while a busy machine takes its time.
const during = (began, perSecond) => Math.ceil((Date.now() - began) / 1000 * perSecond);
const flood = (socket, n, data = {}) => Promise.all(Array.from({ length: n }, () => socket.ask("call:list", data)));

async function withParley(options, run) {
  const parley = await startParley(...options);
  try {
    await run(parley, (...more) => parley.token(...more));
  } finally {
    await parley.stop();
  }
}

test("a socket's events are limited, and it is told when to go on", () => withParley(["--socket-events-per-second", "20"], async (parley, token) => {
  const [ann, other] = [await connect(parley, await token("--sub", "ann")), await connect(parley, await token("--sub", "ann"))];
  const began = Date.now();
  const answers = await flood(ann, 40);
  const refused = answers.filter(({ ok }) => !ok);
  assert.ok(refused.length >= 20 - during(began, 20) && refused.length <= 20, `${refused.length} of 40 refused`);
  for (const { error } of refused) {
    assert.deepEqual([error.code, error.message], [429, "too many requests from this socket"]);
    assert.ok(error.retry_after_ms >= 1 && error.retry_after_ms <= 50, error.retry_after_ms);
  }
  assert.equal((await other.ask("call:list", {})).ok, true, "another socket of the user has its own");
  await sleep(Math.max(0, ...refused.map(({ error }) => error.retry_after_ms)));
  assert.equal((await ann.ask("call:list", {})).ok, true);
  await until(async () => {
    await flood(ann, 20);
    ann.emit("call:list", {});
    return ann.errors.length > 0;
  }, "an error event");
  assert.deepEqual([ann.errors[0].code, ann.errors[0].event, typeof ann.errors[0].retry_after_ms], [429, "call:list", "number"]);
  assert.ok(ann.connected);
  assert.ok(await hits(parley, "socket_events_per_second") >= refused.length);
  const names = (await (await fetch(`${parley.url}/metrics`)).text()).split("\n").filter(Boolean)
    .map((row) => /^(?:# \w+ )?(\w+?)(?:_bucket|_sum|_count)?[ {]/.exec(row)[1]);
  const families = names.filter((name, i) => name !== names[i - 1]);
  assert.equal(new Set(families).size, families.length, "each family of metrics stands together, whoever adds to it");
}));

test("so are its bytes, a user's events over all sockets and HTTP, and an address's", async () => {
  await withParley(["--socket-bytes-per-second", "20000"], async (parley, token) => {
    const ann = await connect(parley, await token()), began = Date.now();
    const answers = codes(await flood(ann, 8, { more: "x".repeat(5000) }));
    assert.ok(count(answers, 200) >= 3 && count(answers, 429) >= 4 - during(began, 4), answers.join(" "));
    assert.ok(await hits(parley, "socket_bytes_per_second") > 0);
  });
  await withParley(["--user-events-per-second", "10"], async (parley, token) => {
    const [ann, bob] = [await token("--sub", "ann", "--role", "admin"), await token("--sub", "bob")];
    const sockets = await Promise.all([connect(parley, ann), connect(parley, ann), connect(parley, bob)]);
    const floodBoth = async () => codes((await Promise.all(sockets.slice(0, 2).map((socket) => flood(socket, 10)))).flat());
    const began = Date.now(), answers = await floodBoth();
    assert.ok(count(answers, 429) >= 8 - during(began, 10), answers.join(" "));
    let http;
    await until(async () => {
      await floodBoth();
      http = await fetch(`${parley.url}/api/v1/users`, { headers: { authorization: `Bearer ${ann}` } });
      return http.status !== 200;
    }, "a refusal over HTTP");
    const { error } = await http.json();
    assert.deepEqual([http.status, error.code, error.retry_after_ms > 0, http.headers.get("retry-after")], [429, 429, true, "1"]);
    assert.equal((await sockets[2].ask("call:list", {})).ok, true, "another user is not concerned");
    assert.ok(await hits(parley, "user_events_per_second") > 0);
  });
  await withParley(["--address-events-per-second", "10"], async (parley, token) => {
    const sockets = await Promise.all(["a", "b", "c"].map(async (sub) => connect(parley, await token("--sub", sub))));
    const began = Date.now();
    const answers = codes((await Promise.all(sockets.map((socket) => flood(socket, 10)))).flat());
    assert.ok(count(answers, 429) >= 15 - during(began, 10), answers.join(" "));
    assert.ok(await hits(parley, "address_events_per_second") > 0);
  });
});

test("an address of IPv6 is its network: who has one has 2^64", async () => {
  await withParley(["--address-events-per-second", "2", "--trusted-proxies", "127.0.0.1"], async (parley, token) => {
    const at = async (name, address) => connect(parley, await token("--sub", name), "/", { extraHeaders: { "x-forwarded-for": address } });
    let round = 0, answers;
    await until(async () => { // the neighbour's one question finds nothing left, unless a second has passed meanwhile
      const [loud, neighbour, stranger] = await Promise.all([at(`loud-${++round}`, `2001:db8:${round}::1`),
        at(`near-${round}`, `2001:db8:${round}::ffff:2`), at(`far-${round}`, `2001:db8:${round}:1::1`)]);
      await flood(loud, 20);
      answers = codes((await Promise.all([flood(neighbour, 1), flood(stranger, 1)])).flat());
      assert.equal(answers[1], 200);
      return answers[0] === 429;
    }, "the neighbour is over the limit of the network");
  });
});

test("a feed has a limit of its own", () => withParley(["--socket-events-per-second", "5", "--user-events-per-second", "5",
  "--address-events-per-second", "5", "--feed-events-per-second", "30"], async (parley, token) => {
  const feed = await connect(parley, await token("--sub", "feed", "--role", "feed"), "/feed");
  assert.equal((await feed.ask("call:start", { call_id: "a" })).ok, true);
  const began = Date.now();
  const answers = codes(await Promise.all(Array.from({ length: 60 }, (_, i) =>
    feed.ask("transcription:update", { call_id: "a", speaker: "agent", text: "x", segment_id: String(i) }))));
  assert.ok(count(answers, 200) >= 29 && count(answers, 429) >= 20 - during(began, 30), answers.join(" "));
}));

test("a user's connects are limited, and the limit outlives the sockets", () => withParley(["--user-connects-per-second", "3"], async (parley, token) => {
  const [ann, bob] = [await token("--sub", "ann"), await token("--sub", "bob")];
  const began = Date.now();
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => connect(parley, ann)));
  const refused = results.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
  assert.ok(refused.length >= 4 - during(began, 3), `${refused.length} refused`);
  for (const { data } of refused) assert.deepEqual([data.code, data.retry_after_ms > 0], [429, true]);
  for (const socket of open) socket.disconnect();
  const again = () => Promise.allSettled(Array.from({ length: 5 }, () => connect(parley, ann)));
  await until(async () => (await again()).some(({ status }) => status === "rejected"), "a refusal");
  await connect(parley, bob);
}));

test("who is refused and goes on all the same is disconnected", () => withParley(
  ["--socket-events-per-second", "5", "--refused-events-max", "50"], async (parley, token) => {
    const [eve, ann] = [await connect(parley, await token("--sub", "eve")), await connect(parley, await token("--sub", "ann"))];
    for (let i = 0; i < 200; i++) eve.emit("call:list", {});
    await eve.gone;
    assert.deepEqual([eve.errors.at(-1).code, eve.errors.at(-1).message], [429, "too many requests were refused"]);
    assert.ok(eve.errors.length <= 60, `${eve.errors.length} errors`);
    assert.equal((await ann.ask("call:list", {})).ok, true);
    assert.ok(await hits(parley, "refused_events_max") >= 1);
  }));
