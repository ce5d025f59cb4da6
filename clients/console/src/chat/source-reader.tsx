// A source of an answer, opened at the passage that was quoted. It stands beside the chat, or over it where there is no
// room; the chat stays as it was.
import type { AssistantChat, Source } from "@parley/react";
import { useCallback, useRef, useState } from "react";
import { ArticleView, useArticle } from "../desk/article-view.js";
import { cn } from "../lib/cn.js";

/** Which source is open; closing it leads back to where it was opened. */
export function useSource(chatId: string | null) {
  const [state, setState] = useState<{ chatId: string | null; source: Source } | null>(null);
  const opener = useRef<Element | null>(null);
  const open = useCallback((source: Source, from: Element) => {
    opener.current = from;
    setState({ chatId, source });
  }, [chatId]);
  const close = useCallback(() => {
    setState(null);
    requestAnimationFrame(() => opener.current instanceof HTMLElement && opener.current.focus());
  }, []);
  return { source: state && state.chatId === chatId ? state.source : null, open, close };
}

export function SourceReader({ chat, source, onClose, className }: { chat: AssistantChat; source: Source; onClose: () => void; className?: string }) {
  const { article, error } = useArticle(source.doc_id, chat.readSource);
  return (
    <div data-source-reader className={cn("min-h-0 min-w-0 bg-surface", className)} onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && (event.preventDefault(), onClose())}>
      <ArticleView id={source.doc_id} title={source.title} excerpt={source.excerpt ?? ""} article={article} error={error} of={chat.chatId} back="Back to the chat" onClose={onClose} />
    </div>
  );
}
