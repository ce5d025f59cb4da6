// The assistant's hooks against the real server and a model of the test's own: what a React application sees.
import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { StrictMode, type ReactNode } from "react";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
// @ts-expect-error: plain JavaScript
import { startParley } from "../../../tests/browser/server.mjs";
// @ts-expect-error: plain JavaScript
import { gate, startModel } from "../../../tests/clients/lib/model.mjs";
import { ParleyProvider, useAssistant, useChats, useConnectionStatus, useParley, useTree, type AssistantChat } from "../src/index.js";

const PATIENCE = { timeout: 30_000 };
let model: any;
let parley: any;
let token: string;
let held = gate();
const asked: string[] = [];

/** Says the question back; "slow" waits in the middle for the test. */
async function* answer(messages: Array<{ role: string; content: string }>) {
  const question = messages.findLast(({ role }) => role === "user")!.content;
  asked.push(question);
  yield "You said: ";
  if (question.startsWith("slow")) yield { wait: held.promise };
  for (const word of question.split(" ")) yield `${word} `;
}

beforeAll(async () => {
  model = await startModel(answer);
  parley = await startParley("--drain-timeout-ms", "500", "--abandon-after-ms", "0", ...model.options);
  token = await parley.token("--role", "user", "--sub", "uma");
});
afterEach(() => {
  cleanup();
  held.open();
  held = gate();
});
afterAll(async () => {
  await parley?.stop();
  model?.stop();
});

function render<T>(hook: () => T) {
  const wrapper = ({ children }: { children: ReactNode }) => <StrictMode><ParleyProvider url={parley.url} token={token} hasCalls={false}>{children}</ParleyProvider></StrictMode>;
  return renderHook(hook, { wrapper });
}

/** Each item as a text: "> question", "answer", "answer…" while it grows. */
const seen = ({ items }: Pick<AssistantChat, "items">) => items.map((item) => {
  if (item.kind === "message") return `> ${item.content}`;
  if (item.kind !== "answer") return item.kind;
  const text = item.parts.map((part) => (part.kind === "text" ? part.text : `[${part.kind}]`)).join("").trim();
  return { running: `${text}…`, done: text, stopped: `${text}|`, failed: `${text}! ${item.error?.message}` }[item.state];
});

/** A chat in which this was said, and its id. */
async function chatWith(content: string) {
  let id: string | null = null;
  const view = render(() => useAssistant(id, { onOpen: (chat) => (id = chat) }));
  await act(async () => void view.result.current.send(content));
  await waitFor(() => {
    view.rerender();
    expect(view.result.current.chatId).toBeTruthy();
  }, PATIENCE);
  return { ...view, chatId: id! };
}

test("the first message opens a chat, and its answer grows; another tab and a later one see the same, once", async () => {
  const first = await chatWith("slow hello");
  await waitFor(() => expect(seen(first.result.current)).toEqual(["> slow hello", "You said:…"]), PATIENCE);
  const second = render(() => useAssistant(first.chatId));
  await waitFor(() => expect(seen(second.result.current)).toEqual(["> slow hello", "You said:…"]), PATIENCE);
  held.open();
  for (const { result } of [first, second]) await waitFor(() => expect(seen(result.current)).toEqual(["> slow hello", "You said: slow hello"]), PATIENCE);
  const late = render(() => useAssistant(first.chatId));
  await waitFor(() => expect(seen(late.result.current)).toEqual(["> slow hello", "You said: slow hello"]), PATIENCE);
  await act(async () => void second.result.current.send("from the other tab"));
  for (const { result } of [first, second, late]) await waitFor(() => expect(seen(result.current).slice(2)).toEqual(["> from the other tab", "You said: from the other tab"]), PATIENCE);
});

test("an answer is stopped, given again, and a question is edited", async () => {
  const { result } = await chatWith("slow one");
  await waitFor(() => expect(result.current.isRunning && seen(result.current)[1]).toBe("You said:…"), PATIENCE);
  expect(await act(() => result.current.stop())).toBe(true);
  await waitFor(() => expect(seen(result.current)).toEqual(["> slow one", "You said:|"]), PATIENCE);
  held.open();
  const [message, stopped] = result.current.items as any[];
  expect(await act(() => result.current.regenerate(stopped.refId))).toBe(true);
  await waitFor(() => expect(seen(result.current)).toEqual(["> slow one", "You said: slow one"]), PATIENCE);
  expect((result.current.items[1] as any).attempt).toBe(2);
  expect(await act(() => result.current.edit(message.id, "quick one"))).toBe(true);
  await waitFor(() => expect(seen(result.current)).toEqual(["> quick one", "You said: quick one"]), PATIENCE);
  const late = render(() => useAssistant(result.current.chatId));
  await waitFor(() => expect(seen(late.result.current)).toEqual(["> quick one", "You said: quick one"]), PATIENCE);
});

test("over a restart of the server: a turn that ran ends once, what is said meanwhile waits and is answered once", async () => {
  const { result, chatId } = await chatWith("slow before");
  const connection = render(() => useConnectionStatus());
  await waitFor(() => expect(seen(result.current)[1]).toBe("You said:…"), PATIENCE);
  await parley.end();
  await waitFor(() => expect(result.current.connection.status).toBe("offline"), PATIENCE);
  const before = asked.length;
  act(() => void result.current.send("after"));
  await waitFor(() => expect(seen(result.current).at(-1)).toBe("> after"), PATIENCE);
  expect(result.current.connection.waiting).toBe(1);
  await parley.start();
  await waitFor(() => expect(seen(result.current).at(-1)).toBe("You said: after"), PATIENCE);
  expect(seen(result.current)).toEqual(["> slow before", expect.stringMatching(/^You said:! /), "> after", "You said: after"]);
  expect(asked.slice(before)).toEqual(["after"]);
  await waitFor(() => expect(connection.result.current.status).toBe("online"), PATIENCE); // another namespace than the chat's
  const late = render(() => useAssistant(chatId));
  await waitFor(() => expect(seen(late.result.current)).toEqual(seen(result.current)), PATIENCE);
});

test("while an answer is written another message waits for its end", async () => {
  const { result } = await chatWith("slow first");
  await waitFor(() => expect(result.current.isRunning).toBe(true), PATIENCE);
  await act(async () => void result.current.send("second", { queue: true }));
  await waitFor(() => expect(result.current.items.some((item) => item.kind === "message" && item.state === "queued")).toBe(true), PATIENCE);
  held.open();
  await waitFor(() => expect(seen(result.current)).toEqual(["> slow first", "You said: slow first", "> second", "You said: second"]), PATIENCE);
});

test("a tree is changed by its user, and other tabs see it", async () => {
  const { chatId } = await chatWith("hello");
  const [one, two] = [render(() => useTree(chatId)), render(() => useTree(chatId))];
  for (const { result } of [one, two]) await waitFor(() => expect(result.current.root?.id).toBe("root"), PATIENCE);
  if (!(await act(() => one.result.current.edit({ action: "add", path: "/root/children", node: { id: "a", value: "A", children: [] } })))) {
    throw new Error(one.result.current.problem?.message);
  }
  for (const { result } of [one, two]) await waitFor(() => expect([result.current.version, result.current.root?.children?.[0]?.value]).toEqual([1, "A"]), PATIENCE);
  expect(await act(() => two.result.current.edit({ action: "remove", path: "/root/children/none" }))).toBe(false);
  expect(two.result.current.problem?.code).toBe(409);
});

test("the list has chats by their titles, and a deleted one is gone", async () => {
  const asked = await chatWith("a question for the list");
  const { chatId } = asked;
  await waitFor(() => expect(seen(asked.result.current).length).toBe(2), PATIENCE); // the question is stored
  const list = render(() => useChats());
  await waitFor(() => expect(list.result.current.chats.find((chat) => chat.chat_id === chatId)?.title).toMatch(/a question/), PATIENCE);
  expect(await act(() => list.result.current.remove(chatId))).toBe(true);
  await waitFor(() => expect(list.result.current.chats.some((chat) => chat.chat_id === chatId)).toBe(false), PATIENCE);
  const gone = render(() => useAssistant(chatId));
  await waitFor(() => expect(gone.result.current.error?.code).toBe(404), PATIENCE);
});

test("older chats that were loaded stay when the list changes", async () => {
  const zoe = await parley.token("--role", "user", "--sub", "zoe");
  const wrapper = ({ children }: { children: ReactNode }) => <ParleyProvider url={parley.url} token={zoe} hasCalls={false}>{children}</ParleyProvider>;
  const { result } = renderHook(() => ({ list: useChats(), assistant: useParley().assistant }), { wrapper });
  for (let i = 0; i < 53; i++) await act(() => result.current.assistant.create());
  await act(() => result.current.assistant.refresh());
  expect([result.current.list.chats.length, result.current.list.hasMore]).toEqual([50, true]);
  await act(async () => result.current.list.loadMore());
  await waitFor(() => expect([result.current.list.chats.length, result.current.list.hasMore]).toEqual([53, false]), PATIENCE);
  const newest = await act(() => result.current.assistant.create());
  await act(() => result.current.assistant.refresh());
  const ids = result.current.list.chats.map((chat) => chat.chat_id);
  expect([ids[0], ids.length, new Set(ids).size, result.current.list.hasMore]).toEqual([newest, 54, 54, false]);
});

test("the list tells where a chat is: abandoned when its user left, resumed when it is opened again, completed", async () => {
  const lea = await parley.token("--role", "user", "--sub", "lea");
  const wrapper = ({ children }: { children: ReactNode }) => <ParleyProvider url={parley.url} token={lea} hasCalls={false}>{children}</ParleyProvider>;
  const use = (chatId: string | null) => renderHook((id: string | null) => ({ list: useChats(), chat: useAssistant(id) }), { wrapper, initialProps: chatId });
  const stateOf = (view: ReturnType<typeof use>) => view.result.current.list.chats[0]?.state;
  const first = use(null);
  const { result: { current: { chat: fresh } } } = first;
  await act(async () => void fresh.send("slow lea"));
  await waitFor(() => expect(stateOf(first)).toBe("active"), PATIENCE);
  const id = first.result.current.list.chats[0]!.chat_id;
  first.rerender(id);
  await waitFor(() => expect(seen(first.result.current.chat)).toEqual(["> slow lea", "You said:…"]), PATIENCE);
  await act(() => first.result.current.chat.stop());
  await waitFor(() => expect(seen(first.result.current.chat)).toEqual(["> slow lea", "You said:|"]), PATIENCE);
  first.unmount();
  const stored = async () => (await (await fetch(`${parley.url}/api/v1/chats`, { headers: { authorization: `Bearer ${lea}` } })).json()).chats[0].state;
  await waitFor(async () => expect(await stored()).toBe("abandoned"), PATIENCE);
  const second = use(null);
  await waitFor(() => expect(stateOf(second)).toBe("abandoned"), PATIENCE);
  second.rerender(id);
  // At once, not when the list is read again after 30 s.
  await waitFor(() => expect(stateOf(second)).toBe("resumed"), { timeout: 20_000 });
  await act(() => second.result.current.chat.send("hello lea"));
  await waitFor(() => expect(stateOf(second)).toBe("completed"), PATIENCE);
});
