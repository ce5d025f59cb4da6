// The assistant: the user's chats, the one that is open, and its object tree.
import { useAssistant, useClaims, useElicitation, useTree } from "@parley/react";
import { FolderTree, List, MessagesSquare } from "lucide-react";
import { useEffect, useState } from "react";
import { cn } from "../lib/cn.js";
import { go } from "../lib/route.js";
import { Button } from "../ui/button.js";
import { ChatList } from "./chat-list.js";
import { Conversation } from "./conversation.js";
import { SourceReader, useSource } from "./source-reader.js";
import { TreePanel } from "./tree.js";
import { useConversationKey } from "./use-key.js";

type View = "chats" | "chat" | "tree";

export default function ChatPage({ chatId }: { chatId: string | null }) {
  const { key, opened } = useConversationKey(chatId);
  const chat = useAssistant(chatId, { onOpen: (id) => (opened(id), go("chat", id, { replace: true })) });
  const elicitations = useElicitation(chatId);
  const tree = useTree(chatId);
  const [view, setView] = useState<View>("chat");
  const { source, open, close } = useSource(chatId);
  const canEdit = chat.isOwner && chatId !== null && tree.root !== null;
  useEffect(() => {
    document.title = chat.title ? `${chat.title} · Parley` : "Chat · Parley";
  }, [chat.title]);
  const select = (id: string | null) => {
    go("chat", id);
    setView("chat");
  };
  return (
    <main className="grid min-h-0 flex-1 grid-cols-1 grid-rows-[minmax(0,1fr)_auto] lg:grid-cols-[240px_minmax(0,1fr)_340px] lg:grid-rows-1 xl:grid-cols-[264px_minmax(0,1fr)_400px]">
      <h1 className="sr-only">Chat with the assistant</h1>
      <ChatList selected={chatId} onSelect={select} className={cn("lg:flex", view !== "chats" && "max-lg:hidden")} />
      <section aria-label="The chat" data-open-chat={chatId ?? ""} className={cn("flex min-h-0 min-w-0 flex-col bg-surface max-lg:col-start-1 max-lg:row-start-1 lg:border-x lg:border-line", view !== "chat" && "max-lg:hidden", source && "max-lg:invisible")}>
        {(chat.takenBy || !chat.isOwner) && !chat.error && <Watching chat={chat} />}
        {chat.error ? <Refused message={chat.error.code === 404 ? "There is no such chat. It may have been deleted." : chat.error.message} onNew={() => select(null)} />
          : <Conversation key={key} chat={chat} elicitations={elicitations} onSource={open} empty={<Empty onAsk={(text) => void chat.send(text)} />} className="flex min-h-0 flex-1 flex-col" />}
      </section>
      <TreePanel tree={tree} canEdit={canEdit} className={cn(source ? "lg:hidden" : "lg:flex", view !== "tree" && "max-lg:hidden")} />
      {source && <SourceReader chat={chat} source={source} onClose={close} className={cn("max-lg:col-start-1 max-lg:row-start-1", view !== "chat" && "max-lg:hidden")} />}
      <Views view={view} onView={setView} />
    </main>
  );
}

/** Somebody answers in place of the assistant, or this is another's chat, and the reader may. */
function Watching({ chat }: { chat: ReturnType<typeof useAssistant> }) {
  const { sub } = useClaims();
  const isMine = chat.takenBy === sub;
  return (
    <div role="status" data-watching={chat.takenBy ?? ""} className={cn("flex min-h-11 items-center justify-between gap-3 border-b px-4 py-1", chat.takenBy ? "border-warn-line bg-warn-wash text-warn" : "border-line bg-sunken text-soft")}>
      <span className="min-w-0 wrap-anywhere">{!chat.takenBy ? "You are watching this chat." : isMine ? "You answer in place of the assistant." : <><strong className="font-semibold">{chat.takenBy}</strong> answers in place of the assistant.</>}</span>
      {!chat.isOwner && !chat.takenBy && <Button onClick={() => void chat.takeOver()}>Take over</Button>}
      {!chat.isOwner && isMine && <Button variant="ghost" className="text-current hover:text-current" onClick={() => void chat.takeOver(true)}>Hand back</Button>}
    </div>
  );
}

function Refused({ message, onNew }: { message: string; onNew: () => void }) {
  return <div className="grid flex-1 place-content-center justify-items-center gap-3 p-6 text-center"><p role="alert" className="text-soft">{message}</p><Button onClick={onNew}>New chat</Button></div>;
}

const IDEAS = ["How do I recover a password?", "Add a node with value 'Task 1' under root", "Remind me to call the customer tomorrow at 9", "Teach me about refunds"];

function Empty({ onAsk }: { onAsk: (text: string) => void }) {
  return (
    <div className="grid justify-items-center gap-5 pt-[12vh] text-center">
      <div>
        <p className="text-xl font-semibold tracking-tight">What can I help with?</p>
        <p className="mt-1 text-soft">Answers come from the knowledge base, with their sources.</p>
      </div>
      <ul className="grid w-full max-w-lg gap-2 sm:grid-cols-2">
        {IDEAS.map((idea) => <li key={idea}><Button className="h-full min-h-11 w-full justify-start py-2 text-left font-normal whitespace-normal" onClick={() => onAsk(idea)}>{idea}</Button></li>)}
      </ul>
    </div>
  );
}

const VIEWS = [
  { view: "chats", label: "Chats", Icon: List },
  { view: "chat", label: "Chat", Icon: MessagesSquare },
  { view: "tree", label: "Tree", Icon: FolderTree },
] as const;

/** On a small screen one of the three is shown. */
function Views({ view, onView }: { view: View; onView: (view: View) => void }) {
  return (
    <nav aria-label="Parts of the page" className="grid grid-cols-3 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:hidden">
      {VIEWS.map(({ view: each, label, Icon }) => (
        <button key={each} type="button" aria-current={each === view ? "true" : undefined} onClick={() => onView(each)} className="grid h-14 place-items-center content-center gap-0.5 text-[12.5px] font-medium text-soft aria-[current=true]:text-accent">
          <Icon aria-hidden className="size-5" />{label}
        </button>
      ))}
    </nav>
  );
}
