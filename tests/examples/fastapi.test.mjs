// docs/examples/fastapi-backend, run as it says: FastAPI and uvicorn behind Parley, signatures checked by standardwebhooks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.mjs";
import { Desk } from "../clients/lib/desk.mjs";

const folder = fileURLToPath(new URL("../../docs/examples/fastapi-backend/", import.meta.url));
const secret = `whsec_${Buffer.alloc(24, 9).toString("base64")}`;
let backend, url, desk;

before(async () => {
  backend = spawn("python3", ["-m", "uvicorn", "backend:app", "--port", "0"], { cwd: folder, env: { ...process.env, HOOK_SECRET: secret, PYTHONDONTWRITEBYTECODE: "1", PATH: `/usr/bin:${process.env.PATH}` }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [backend.stdout, backend.stderr]) stream.on("data", (chunk) => (output += chunk));
  [, url] = await until(() => { assert.equal(backend.exitCode, null, output); return /running on (http:\S+)/.exec(output); }, () => output);
  desk = await Desk.open({ feed: ["--role", "feed"], ann: ["--calls", "*"] }, "--hook-url", `${url}/parley`, "--hook-secret", secret,
    "--hook-events", "transcription:update", "--hook-asks", "order:find", "--hook-batch-ms", "20");
});
after(async () => {
  for (const socket of desk?.open ?? []) socket.disconnect();
  await desk?.close();
  backend?.kill("SIGTERM");
});

test("the service hears what is said, answers a client and emits to a call", async () => {
  const feed = await desk.call("py1");
  const ann = await desk.connect("ann", "/", { transports: ["websocket"] });
  assert.equal((await ann.ask("call:subscribe", { call_id: "py1" })).ok, true);
  assert.deepEqual(await ann.ask("order:find", { order: 7 }), { ok: true, order: { item: "lamp", status: "shipped" } });
  assert.equal((await ann.ask("order:find", { order: 8 })).error.code, 404);
  await feed.say("Where is my lamp?");
  await feed.say("I will call my lawyer, «naturally»!");
  await until(() => ann.seen("crm:escalate").length, "the event of the service");
  assert.deepEqual(ann.seen("crm:escalate"), [{ call_id: "py1" }]);
  const said = await (await fetch(`${url}/calls/py1`)).json();
  assert.deepEqual(said, [["customer", "Where is my lamp?"], ["customer", "I will call my lawyer, «naturally»!"]]);
});

test("the service refuses what is not signed by the secret", async () => {
  const headers = { "content-type": "application/json", "webhook-id": "msg_1", "webhook-timestamp": String(Math.floor(Date.now() / 1000)), "webhook-signature": "v1,AAAA" };
  assert.equal((await fetch(`${url}/parley`, { method: "POST", headers, body: '{"type":"events","data":[]}' })).status, 401);
});
