// The hooks against the real server, which this test starts: what a React application sees.
import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { StrictMode, type ReactNode } from "react";
import { io, type Socket } from "socket.io-client";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
// @ts-expect-error: plain JavaScript
import { startParley } from "../../../tests/browser/server.mjs";
import { ParleyProvider, claimsOf, useCall, useCalls, useClaims, useConnectionStatus, useFeature, useFeedback, useKnowledge, useParley, useSuggestions, useTranscript } from "../src/index.js";

const PATIENCE = { timeout: 30_000 };
let parley: any;
let feed: Socket;
let agentToken: string;
let calls = 0;

beforeAll(async () => {
  parley = await startParley("--drain-timeout-ms", "500");
  agentToken = await parley.token("--role", "agent", "--sub", "ann", "--calls", "*");
  feed = io(`${parley.url}/feed`, { auth: { token: await parley.token("--role", "feed") }, transports: ["websocket"] });
});
afterEach(cleanup);
afterAll(async () => {
  feed?.close();
  await parley?.stop();
});

async function say(event: string, data: object) {
  const answer = await feed.timeout(30_000).emitWithAck(event, data);
  expect(answer).toMatchObject({ ok: true });
  return answer;
}

const line = (call_id: string, segment_id: string, text: string, more = {}) =>
  say("transcription:update", { call_id, segment_id, text, speaker: "customer", is_final: true, ...more });

/** A call of the test's own. */
async function newCall(metadata = {}) {
  const call_id = `react-${++calls}`;
  await say("call:start", { call_id, metadata });
  return call_id;
}

function render<T>(hook: () => T, token: string | ((old: string | null) => Promise<string | null>) = agentToken) {
  const wrapper = ({ children }: { children: ReactNode }) => <StrictMode><ParleyProvider url={parley.url} token={token}>{children}</ParleyProvider></StrictMode>;
  return renderHook(hook, { wrapper });
}

const texts = (lines: readonly { text: string }[]) => lines.map(({ text }) => text);

test("a transcript has what was said before, grows, and corrects itself", async () => {
  const call = await newCall();
  await line(call, "s1", "I lost my password");
  const { result } = render(() => useTranscript(call));
  await waitFor(() => expect(texts(result.current)).toEqual(["I lost my password"]), PATIENCE);
  await line(call, "s2", "It", { is_final: false });
  await line(call, "s3", "later");
  await line(call, "s2", "It is Ann");
  await waitFor(() => expect(texts(result.current)).toEqual(["I lost my password", "It is Ann", "later"]), PATIENCE);
  await line(call, "s1", "I lost my passport");
  await waitFor(() => expect(texts(result.current)).toEqual(["I lost my passport", "It is Ann", "later"]), PATIENCE);
  expect(result.current[0]?.corrected).toBe(true);
});

test("the list of calls has new ones and their status as they come", async () => {
  const first = await newCall({ customer: "crystal minh" });
  const { result } = render(() => useCalls());
  const find = (id: string) => result.current.calls.find((call) => call.call_id === id);
  await waitFor(() => expect(find(first)?.metadata).toEqual({ customer: "crystal minh" }), PATIENCE);
  const second = await newCall();
  await waitFor(() => expect(find(second)?.status).toBe("active"), PATIENCE);
  expect(result.current.calls[0]?.call_id).toBe(second);
  await say("call:end", { call_id: first });
  await waitFor(() => expect(find(first)?.status).toBe("ended"), PATIENCE);
});

test("a call that the user may not see is refused with a reason", async () => {
  const call = await newCall();
  const token = await parley.token("--role", "agent", "--sub", "bob", "--calls", "other");
  const { result } = render(() => useCall(call), token);
  await waitFor(() => expect(result.current.error?.code).toBe(403), PATIENCE);
  expect(result.current.isLoading).toBe(false);
});

/** A call with documents suggested. */
async function suggested() {
  const call = await newCall();
  await line(call, "s1", "I forgot my password and cannot log in");
  const view = render(() => ({ suggestion: useSuggestions(call), feedback: useFeedback(call), connection: useConnectionStatus() }));
  await waitFor(() => expect(view.result.current.suggestion?.documents.length).toBeGreaterThan(0), PATIENCE);
  return { call, result: view.result, id: view.result.current.suggestion!.documents[0]!.id };
}

test("feedback is shown at once, then counted", async () => {
  const { result, id } = await suggested();
  act(() => result.current.feedback.vote(id, true));
  expect(result.current.feedback.votes.get(id)).toMatchObject({ helpful: true, isPending: true });
  await waitFor(() => expect(result.current.feedback.votes.get(id)).toEqual({ helpful: true, isPending: false, totals: { helpful: 1, unhelpful: 0 } }), PATIENCE);
});

test("feedback that the server refuses is taken back", async () => {
  const { result } = await suggested();
  act(() => result.current.feedback.vote("no-such-document", true));
  expect(result.current.feedback.votes.get("no-such-document")?.isPending).toBe(true);
  await waitFor(() => expect(result.current.feedback.error?.code).toBe(404), PATIENCE);
  expect(result.current.feedback.votes.has("no-such-document")).toBe(false);
});

test("over a restart of the server: no line is lost or doubled, and feedback waits and counts once", async () => {
  const { call, result, id } = await suggested();
  const transcript = render(() => useTranscript(call));
  await waitFor(() => expect(texts(transcript.result.current)).toHaveLength(1), PATIENCE);
  await parley.end();
  await waitFor(() => expect(result.current.connection.status).toBe("offline"), PATIENCE);
  act(() => result.current.feedback.vote(id, true));
  act(() => result.current.feedback.vote(id, false));
  expect(result.current.feedback.votes.get(id)).toMatchObject({ helpful: false, isPending: true });
  expect(result.current.connection.waiting).toBe(1);
  await parley.start();
  await waitFor(() => expect(feed.connected).toBe(true), PATIENCE);
  await line(call, "s2", "said while nobody listened");
  await line(call, "s3", "and this");
  await waitFor(() => expect(texts(transcript.result.current)).toEqual(["I forgot my password and cannot log in", "said while nobody listened", "and this"]), PATIENCE);
  await waitFor(() => expect(result.current.feedback.votes.get(id)).toMatchObject({ helpful: false, isPending: false }), PATIENCE);
  expect(result.current.feedback.votes.get(id)?.totals?.unhelpful).toBe(1);
  expect(result.current.connection).toMatchObject({ status: "online", waiting: 0, reconnects: 1 });
});

test("a token is renewed before it ends, without leaving", async () => {
  const call = await newCall();
  const asked: Array<string | null> = [];
  const fetchToken = async (old: string | null) => {
    asked.push(old);
    return old ? parley.token("--role", "agent", "--sub", "ann", "--calls", "*") : parley.token("--role", "agent", "--sub", "ann", "--calls", "*", "--ttl", "4");
  };
  const { result } = render(() => ({ call: useCall(call), connection: useConnectionStatus(), claims: useClaims() }), fetchToken);
  await waitFor(() => expect(result.current.call.status).toBe("active"), PATIENCE);
  const short = result.current.claims.exp!;
  const socket = result.current.connection.socketId;
  await waitFor(() => expect(result.current.claims.exp).toBeGreaterThan(short + 60), PATIENCE);
  await new Promise((resolve) => setTimeout(resolve, short * 1000 - Date.now() + 500)); // past the end of the first
  await line(call, "s1", "still here");
  await waitFor(() => expect(texts(result.current.call.lines)).toEqual(["still here"]), PATIENCE);
  expect(result.current.connection).toMatchObject({ status: "online", socketId: socket, reconnects: 0 });
  expect(asked.filter((old) => old === null)).toHaveLength(1);
});

test("a token that the server does not accept is said so", async () => {
  const { result } = render(() => useConnectionStatus(), "not.a.token");
  await waitFor(() => expect(result.current.status).toBe("refused"), PATIENCE);
  expect(result.current.reason).toBeTruthy();
});

test("features are what the server understands", async () => {
  const { result } = render(() => ({ has: useFeature("doc:feedback"), hasNot: useFeature("tea:make"), client: useParley() }));
  await waitFor(() => expect(result.current.has).toBe(true), PATIENCE);
  expect(result.current.hasNot).toBe(false);
});

test("an article is read as a whole; one that is not there is refused", async () => {
  const { result } = render(() => ({ knowledge: useKnowledge(), connection: useConnectionStatus() }));
  await waitFor(() => expect(result.current.connection.status).toBe("online"), PATIENCE);
  const article = await result.current.knowledge.read("account-access.recover-password");
  expect(article).toMatchObject({ id: "account-access.recover-password", title: "Recover Password", topic: expect.stringMatching(/^Account Access/), learned: expect.any(Array) });
  expect(article.text.length).toBeGreaterThan(100);
  await expect(result.current.knowledge.read("nothing")).rejects.toMatchObject({ code: 404 });
});

test("claims are read, whatever the token holds", () => {
  expect(claimsOf(agentToken)).toMatchObject({ sub: "ann", role: "agent" });
  for (const bad of ["", "a.b.c", "a.bnVsbA.c", "x"]) expect(claimsOf(bad)).toEqual({});
});
