import { useChats, useClaims, type ChatEntry, type ChatProgress } from "@parley/react";
import { MessageSquarePlus, Trash2 } from "lucide-react";
import { useState } from "react";
import { cn } from "../lib/cn.js";
import { clockTime, dayOf } from "../lib/format.js";
import { Button } from "../ui/button.js";
import { Dialog } from "../ui/dialog.js";
import { Problem } from "../ui/field.js";

interface Props {
  selected: string | null;
  onSelect: (chatId: string | null) => void;
  className?: string;
}

/** Today by the time, else by the day. */
function whenOf(chat: ChatEntry): string {
  const time = String(chat.updated_at ?? chat.created_at ?? "");
  return dayOf(time) || clockTime(time, false);
}

const STATES: Record<ChatProgress, [label: string, look: string]> = {
  active: ["Active", "text-accent"],
  resumed: ["Resumed", "text-accent"],
  abandoned: ["Abandoned", "text-warn"],
  completed: ["Completed", "text-faint"],
};

/** Where the chat is; none of one in which nothing was said. */
function State({ chat }: { chat: ChatEntry }) {
  const [label, look] = (chat.title && chat.state && STATES[chat.state]) || [];
  return label ? <span data-state={chat.state} className={cn("truncate text-[12.5px]", look)}>{label}</span> : null;
}

export function ChatList({ selected, onSelect, className }: Props) {
  const { sub, chats: watched } = useClaims();
  const [all, setAll] = useState(false);
  const { chats, isLoading, hasMore, error, loadMore, remove, problem } = useChats({ all });
  const [removing, setRemoving] = useState<ChatEntry | null>(null);
  const isOwn = (chat: ChatEntry) => !all || chat.user === sub;
  return (
    <nav aria-labelledby="chats-title" className={cn("flex min-h-0 flex-col bg-bg", className)}>
      <div className="flex h-14 shrink-0 items-center justify-between border-b border-line px-4">
        <h2 id="chats-title" className="text-[15px] font-semibold">Chats</h2>
        <Button variant="ghost" onClick={() => onSelect(null)}><MessageSquarePlus aria-hidden />New chat</Button>
      </div>
      {watched === "*" && (
        <div role="group" aria-label="Whose chats" className="grid grid-cols-2 gap-1 border-b border-line p-2">
          {([["Mine", false], ["Everybody’s", true]] as const).map(([label, isAll]) => (
            <Button key={label} variant="ghost" aria-pressed={all === isAll} onClick={() => setAll(isAll)} className="aria-pressed:bg-surface aria-pressed:text-ink aria-pressed:shadow-[0_0_0_1px_var(--line)]">{label}</Button>
          ))}
        </div>
      )}
      <Problem>{problem && `Not deleted: ${problem.message}`}</Problem>
      <ul className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] content-start gap-0.5 overflow-y-auto p-2 [scrollbar-width:thin]">
        {chats.length === 0 && <li className="px-2.5 py-4 text-center text-faint">{error ? error.message : isLoading ? "Loading…" : "No chats yet."}</li>}
        {chats.map((chat) => (
          <li key={chat.chat_id} className="group relative flex min-h-11 items-center rounded-lg hover:bg-sunken has-aria-[current=true]:bg-surface has-aria-[current=true]:shadow-[inset_3px_0_0_var(--accent),0_0_0_1px_var(--line)]">
            <button type="button" data-chat={chat.chat_id} aria-current={chat.chat_id === selected ? "true" : undefined} onClick={() => onSelect(chat.chat_id)} className="flex min-h-11 min-w-0 flex-1 items-center gap-2 rounded-lg px-2.5 text-left">
              <span className="grid min-w-0 flex-1 py-1.5">
                <span dir="auto" className="truncate text-left font-medium">{chat.title || "New chat"}</span>
                <State chat={chat} />
                {all && <span data-chat-user className="truncate text-[12.5px] text-faint">{chat.user === sub ? "You" : chat.user || "A guest"}</span>}
              </span>
              <span className={cn("shrink-0 text-[12.5px] text-faint tabular-nums", isOwn(chat) && "pointer-coarse:mr-11 pointer-fine:group-hover:invisible pointer-fine:group-has-[[aria-label^=Delete]:focus-visible]:invisible")}>{whenOf(chat)}</span>
            </button>
            {isOwn(chat) && <Button variant="ghost" size="icon" aria-label={`Delete ${chat.title || "this chat"}`} className="absolute right-0 pointer-fine:opacity-0 pointer-fine:group-hover:opacity-100 pointer-fine:focus-visible:opacity-100" onClick={() => setRemoving(chat)}><Trash2 /></Button>}
          </li>
        ))}
        {hasMore && <li><Button variant="ghost" className="w-full" onClick={loadMore} disabled={isLoading}>Older chats</Button></li>}
      </ul>
      <Dialog open={removing !== null} onOpenChange={() => setRemoving(null)} title="Delete this chat?" description={`“${removing?.title || "New chat"}” goes with all that was said in it.`}>
        <div className="flex justify-end gap-2">
          <Button onClick={() => setRemoving(null)}>Keep it</Button>
          <Button variant="danger" onClick={() => {
            const chat = removing!;
            setRemoving(null);
            void remove(chat.chat_id).then((isGone) => isGone && chat.chat_id === selected && onSelect(null));
          }}>Delete</Button>
        </div>
      </Dialog>
    </nav>
  );
}
