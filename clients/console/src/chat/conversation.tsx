// What was said in a chat, from its first message to the word that is being written, and where the user writes.
import { useClaims, type AssistantChat, type ChatItem, type Elicitations } from "@parley/react";
import { ArrowDown, BellRing, Clock, Pencil, SendHorizontal, Square, UserRound } from "lucide-react";
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent, type ReactNode } from "react";
import { dayAndTime } from "../lib/format.js";
import { Button } from "../ui/button.js";
import { Textarea } from "../ui/field.js";
import { AnswerRow, textOf, type OpenSource } from "./answer.js";

interface Props {
  chat: AssistantChat;
  elicitations: Elicitations;
  /** Shown while nothing was said. */
  empty: ReactNode;
  placeholder?: string;
  onSource: OpenSource;
  className?: string;
}

const NEAR_PX = 60;

/** Follows what is written until the reader scrolls away. */
function useFollow(items: readonly ChatItem[]) {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const isNear = () => {
    const element = box.current;
    return !element || element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
  };
  const jump = () => {
    box.current?.scrollTo({ top: box.current.scrollHeight });
    setFollows(true);
  };
  useLayoutEffect(() => {
    if (follows) box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [items, follows]);
  return { box, follows, jump, onScroll: () => setFollows(isNear()) };
}

export function Conversation({ chat, elicitations, empty, placeholder, onSource, className }: Props) {
  const { items } = chat;
  const { box, follows, jump, onScroll } = useFollow(items);
  const [editing, setEditing] = useState<string | null>(null);
  const lastAnswer = items.findLast((item) => item.kind === "answer")?.key;
  const canAct = chat.isOwner || chat.takenBy !== null;
  return (
    <div className={className}>
      <h2 className="sr-only">Conversation</h2>
      <div className="relative min-h-0 flex-1">
        <div ref={box} onScroll={onScroll} role="log" aria-live="off" aria-label="Conversation" tabIndex={0} className="h-full overflow-y-auto overscroll-contain px-4 py-5 outline-offset-[-2px] [scrollbar-width:thin] lg:px-6">
          <div className="mx-auto grid max-w-[720px] grid-cols-[minmax(0,1fr)] gap-6">
            {chat.hasOlder && <Button variant="ghost" className="justify-self-center" onClick={chat.loadOlder}>Earlier messages</Button>}
            {items.length === 0 && !chat.isLoading && empty}
            {chat.isLoading && <p className="text-center text-faint">Opening…</p>}
            {items.map((item) => {
              if (item.kind === "answer") return <AnswerRow key={item.key} answer={item} isLast={item.key === lastAnswer} canAct={canAct} chat={chat} elicitations={elicitations} onSource={onSource} />;
              if (item.kind === "message") return <Said key={item.key} item={item} chat={chat} isEditing={editing === item.id} onEdit={(on) => setEditing(on ? item.id : null)} />;
              return <Note key={item.key} item={item} />;
            })}
          </div>
        </div>
        {!follows && <Button onClick={jump} className="absolute bottom-3 left-1/2 -translate-x-1/2 shadow-float"><ArrowDown aria-hidden />Latest</Button>}
      </div>
      <Announcer items={items} />
      <Composer chat={chat} placeholder={placeholder} onSent={jump} />
    </div>
  );
}

function Said({ item, chat, isEditing, onEdit }: { item: Extract<ChatItem, { kind: "message" }>; chat: AssistantChat; isEditing: boolean; onEdit: (on: boolean) => void }) {
  const { state, content, by } = item;
  if (isEditing) return <Edit content={content} onCancel={() => onEdit(false)} onSave={(text) => (onEdit(false), void chat.edit(item.id, text))} />;
  return (
    <article data-message={item.id} data-state={state} aria-label={by ? `Message of ${by}` : "Your message"} className="group grid justify-items-end gap-1">
      {by && <p className="flex items-center gap-1.5 text-[13px] text-faint"><UserRound aria-hidden className="size-4" />{by}</p>}
      <div className="flex max-w-[92%] items-center gap-1">
        {state === "sent" && chat.isOwner && !chat.isRunning && <Button variant="ghost" size="icon" aria-label="Edit" className="pointer-fine:opacity-0 pointer-fine:group-hover:opacity-100 pointer-fine:focus-visible:opacity-100" onClick={() => onEdit(true)}><Pencil /></Button>}
        <p data-bubble dir="auto" className={`min-w-0 rounded-2xl rounded-br-md bg-accent-wash px-4 py-2.5 whitespace-pre-wrap wrap-anywhere ${state === "sending" ? "opacity-70" : ""}`}>{content}</p>
      </div>
      {state === "failed" ? (
        <p role="alert" className="flex flex-wrap items-center justify-end gap-x-1 text-[13px] text-bad">
          Not sent: {item.error?.message}
          <Button variant="ghost" onClick={() => void chat.retry(item.id)}>Send again</Button>
          <Button variant="ghost" onClick={() => chat.discard(item.id)}>Discard</Button>
        </p>
      ) : state !== "sent" && <p className="flex items-center gap-1 text-[12.5px] text-faint"><Clock aria-hidden className="size-3.5" />{state === "queued" ? "Waits for the answer before" : "Waiting"}</p>}
    </article>
  );
}

function Edit({ content, onCancel, onSave }: { content: string; onCancel: () => void; onSave: (text: string) => void }) {
  const [text, setText] = useState(content);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) onSave(text.trim());
  };
  return (
    <form onSubmit={submit} className="grid gap-2 rounded-2xl border border-line bg-surface p-3" onKeyDown={(event) => event.key === "Escape" && (event.preventDefault(), onCancel())}>
      <Textarea dir="auto" aria-label="Edit the message" autoFocus value={text} onChange={(event) => setText(event.target.value)} />
      <div className="flex flex-wrap items-center justify-between gap-2"><span className="text-[12.5px] text-faint">What followed is replaced.</span><span className="flex gap-2"><Button onClick={onCancel}>Cancel</Button><Button variant="primary" type="submit">Ask again</Button></span></div>
    </form>
  );
}

function Note({ item }: { item: Exclude<ChatItem, { kind: "message" } | { kind: "answer" }> }) {
  if (item.kind === "reminder") {
    return <p data-reminder={item.id} className="flex items-start gap-2.5 rounded-xl border border-warn-line bg-warn-wash px-4 py-3 text-warn"><BellRing aria-hidden className="mt-0.5 size-4 shrink-0" /><span><strong className="font-semibold">Reminder</strong>, {dayAndTime(item.at)}: {item.text}</span></p>;
  }
  return <p className="text-center text-[13px] text-faint">{item.release ? `${item.by} handed back to the assistant.` : `${item.by} answers from here on.`}</p>;
}

function Composer({ chat, placeholder = "Ask something", onSent }: { chat: AssistantChat; placeholder?: string; onSent: () => void }) {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  const { sub } = useClaims();
  const canWrite = chat.isOwner || (sub !== undefined && chat.takenBy === sub);
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const content = text.trim();
    if (!content) return;
    setText("");
    onSent();
    void chat.send(content, { queue: chat.isRunning });
  };
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight + 2, 200)}px`;
  }, [text]);
  return (
    <form onSubmit={submit} className="border-t border-line bg-surface px-4 pt-3 pb-3 lg:px-6">
      <div className="mx-auto grid max-w-[720px] gap-2">
        {chat.problem && <p role="alert" className="flex items-center justify-between gap-3 rounded-lg bg-bad-wash px-3 py-1.5 text-bad"><span>{chat.problem.message}</span><Button variant="ghost" className="text-current" onClick={chat.dismiss}>Dismiss</Button></p>}
        <div className="flex items-end gap-2">
          <Textarea
            ref={box}
            rows={1}
            dir="auto"
            aria-label="Message"
            placeholder={canWrite ? placeholder : "You are watching this chat"}
            disabled={!canWrite}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
              event.preventDefault();
              submit();
            }}
            className="min-h-11 resize-none py-2.5"
          />
          {chat.isRunning && <Button size="icon" aria-label="Stop" className="size-11" onClick={() => void chat.stop()}><Square className="fill-current" /></Button>}
          {(!chat.isRunning || text.trim()) && <Button variant="primary" size="icon" type="submit" aria-label={chat.isRunning ? "Send after this answer" : "Send"} className="size-11" disabled={!text.trim()}><SendHorizontal /></Button>}
        </div>
      </div>
    </form>
  );
}

/** Whole answers, questions and reminders, for who listens to the page; not what was there when the chat was opened. */
function Announcer({ items }: { items: readonly ChatItem[] }) {
  const heard = useRef<Set<string> | null>(null);
  const [said, setSaid] = useState<Array<{ key: string; text: string }>>([]);
  useEffect(() => {
    const news = items.flatMap((item) => {
      if (item.kind === "reminder") return [{ key: item.key, text: `Reminder: ${item.text}` }];
      if (item.kind !== "answer") return [];
      const questions = item.parts.flatMap((part) => (part.kind === "form" && part.elicitation.state === "open" ? [{ key: part.elicitation.id, text: `Question: ${part.elicitation.message}` }] : []));
      return item.state === "running" ? questions : [...questions, { key: `${item.key} ${item.attempt}`, text: `Answer: ${textOf(item) || item.state}` }];
    });
    if (heard.current === null) {
      if (items.length > 0) heard.current = new Set(news.map(({ key }) => key));
      return;
    }
    const fresh = news.filter(({ key }) => !heard.current!.has(key));
    for (const { key } of fresh) heard.current.add(key);
    if (fresh.length > 0) setSaid((old) => [...old, ...fresh].slice(-3));
  }, [items]);
  return <div aria-live="polite" className="sr-only">{said.map(({ key, text }) => <p key={key}>{text}</p>)}</div>;
}
