// Requests over a connection that comes and goes: what was not sent waits, what was sent is not sent twice.
import { expect, test, vi } from "vitest";
import { Outbox, type RequestError } from "../src/outbox.js";

type Sent = { event: string; data: unknown; answer: (ack: unknown) => void; lose: () => void };

/** As much of a socket as the outbox uses. */
function fakeSocket() {
  const sent: Sent[] = [];
  const socket = {
    connected: false,
    sent,
    timeout: () => ({
      emitWithAck: (event: string, data: unknown) => new Promise((resolve, reject) => {
        sent.push({ event, data, answer: resolve, lose: () => reject(new Error("socket has been disconnected")) });
      }),
    }),
  };
  return socket;
}

function make() {
  const socket = fakeSocket();
  const waiting: number[] = [];
  const outbox = new Outbox(socket as never, (count) => waiting.push(count));
  return { socket, outbox, waiting };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

test("what is asked without a connection is sent once there is one, in order and once", async () => {
  const { socket, outbox, waiting } = make();
  const answers = Promise.all([outbox.request("a", 1), outbox.request("b", 2)]);
  expect(socket.sent).toHaveLength(0);
  expect(waiting.at(-1)).toBe(2);
  socket.connected = true;
  outbox.pump();
  outbox.pump();
  expect(socket.sent.map(({ event, data }) => [event, data])).toEqual([["a", 1], ["b", 2]]);
  for (const { answer } of socket.sent) answer({ ok: true });
  await expect(answers).resolves.toEqual([{ ok: true }, { ok: true }]);
  expect(waiting.at(-1)).toBe(0);
});

test("of what waits under one key the latest is sent, and answers both", async () => {
  const { socket, outbox } = make();
  const both = Promise.all([outbox.request("vote", true, { key: "doc" }), outbox.request("vote", false, { key: "doc" })]);
  socket.connected = true;
  outbox.pump();
  expect(socket.sent.map(({ data }) => data)).toEqual([false]);
  socket.sent[0]?.answer({ ok: true, total: 1 });
  await expect(both).resolves.toEqual([{ ok: true, total: 1 }, { ok: true, total: 1 }]);
});

test("a lost answer: what may be repeated is sent again, what may not fails", async () => {
  const { socket, outbox } = make();
  socket.connected = true;
  const vote = outbox.request("vote", true, { isRepeatable: true });
  const note = outbox.request("note", "hello").catch((error: RequestError) => error);
  socket.connected = false;
  for (const { lose } of socket.sent.splice(0)) lose();
  await expect(note).resolves.toMatchObject({ code: 0 });
  socket.connected = true;
  outbox.pump();
  expect(socket.sent.map(({ event }) => event)).toEqual(["vote"]);
  socket.sent[0]?.answer({ ok: true });
  await expect(vote).resolves.toEqual({ ok: true });
});

test("a busy server is asked again when it says; any other refusal is final", async () => {
  vi.useFakeTimers();
  try {
    const { socket, outbox } = make();
    socket.connected = true;
    const busy = outbox.request("a", 1);
    const refused = outbox.request("b", 2).catch((error: RequestError) => error);
    socket.sent[0]?.answer({ ok: false, error: { code: 429, message: "slow down", retry_after_ms: 1000 } });
    socket.sent[1]?.answer({ ok: false, error: { code: 403, message: "not yours", field: "/call_id" } });
    await expect(refused).resolves.toMatchObject({ code: 403, message: "not yours", field: "/call_id" });
    await vi.advanceTimersByTimeAsync(999);
    expect(socket.sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(300);
    expect(socket.sent).toHaveLength(3);
    socket.sent[2]?.answer({ ok: true });
    await expect(busy).resolves.toEqual({ ok: true });
  } finally {
    vi.useRealTimers();
  }
});

test("what is given up rejects", async () => {
  const { outbox } = make();
  const asked = outbox.request("a", 1).catch((error: RequestError) => error.message);
  outbox.clear("signed out");
  await settled();
  await expect(asked).resolves.toBe("signed out");
});
