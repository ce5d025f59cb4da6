// A chat that its first message opened is the same conversation as before: what is typed and where the focus is stay.
import { useRef } from "react";

export function useConversationKey(chatId: string | null): { key: string; opened: (chatId: string) => void } {
  const count = useRef(0);
  const last = useRef<{ chatId: string | null; opened: string | null }>({ chatId, opened: null });
  if (chatId !== last.current.chatId) {
    if (chatId === null || chatId !== last.current.opened) count.current += 1;
    last.current = { chatId, opened: null };
  }
  return { key: `conversation ${count.current}`, opened: (id) => (last.current.opened = id) };
}
