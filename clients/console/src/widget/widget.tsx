// <parley-chat>: the assistant on any site, by one script tag. In a shadow tree, so that neither the site's styles reach
// it nor its own the site.
//   server     where Parley is; without it, where the script came from
//   token      who asks; without it a guest, where the server admits any. Or the property `getToken`, a function
//   label      the panel's title
//   placeholder, assistant
//   open       shown from the start; `inline`: fills its own box instead of floating
import { ParleyProvider, useAssistant, useConnectionStatus, useElicitation } from "@parley/react";
import { MessageCircle, RotateCcw, X } from "lucide-react";
import { StrictMode, useEffect, useRef, useState } from "react";
import { createRoot, type Root } from "react-dom/client";
import { Conversation } from "../chat/conversation.js";
import { SourceReader, useSource } from "../chat/source-reader.js";
import { useConversationKey } from "../chat/use-key.js";
import { cn } from "../lib/cn.js";
import { capital } from "../lib/format.js";
import { Button } from "../ui/button.js";
import { Dot } from "../ui/chip.js";
import styles from "../styles.css?inline";

const SCRIPT = document.currentScript as HTMLScriptElement | null;

/** The sheet as a shadow tree needs it: its root is the host, lengths do not hang on the site's font size, and what
 * Tailwind registers for documents has its first values here. */
function sheetOf(css: string): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css
    .replaceAll(/:root(:not\([^)]*\)|\[[^\]]*\])?/g, (_, more: string | undefined) => (more ? `:host(${more})` : ":host"))
    .replaceAll(/@supports \(\(\(-webkit-hyphens[^{]*\{/g, "@media all{")
    .replaceAll(/(-?\d*\.?\d+)rem\b/g, (_, rem: string) => `${Number(rem) * 16}px`));
  return sheet;
}

interface PanelProps {
  host: ParleyChat;
  server: string;
}

const chatKey = (server: string, assistant: string | null): string => `parley-chat ${server} ${assistant ?? ""}`;

function recallChat(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function keepChat(key: string, id: string | null): void {
  try {
    if (id) localStorage.setItem(key, id);
    else localStorage.removeItem(key);
  } catch {
    // no storage: the chat lasts as long as the page
  }
}

function Widget({ host, server }: PanelProps) {
  const isInline = host.hasAttribute("inline");
  const [isOpen, setOpen] = useState(isInline || host.hasAttribute("open"));
  const [wasOpen, setWasOpen] = useState(isOpen);
  const button = useRef<HTMLButtonElement>(null);
  const label = host.getAttribute("label") ?? "Assistant";
  useEffect(() => {
    if (isOpen) setWasOpen(true);
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <>
      {/* Connected from when it is first opened, not with every page of the site. */}
      {wasOpen && (
        <section
          aria-label={label}
          hidden={!isOpen}
          onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && !isInline && close()}
          className={cn("flex flex-col overflow-hidden bg-surface text-ink", isInline ? "h-full w-full" : "fixed right-4 bottom-20 z-[2147483000] h-[min(640px,calc(100dvh-104px))] w-[min(400px,calc(100vw-32px))] rounded-2xl border border-line shadow-float max-sm:inset-0 max-sm:h-dvh max-sm:w-full max-sm:rounded-none", !isOpen && "hidden")}
        >
          <ParleyProvider url={server} token={host.askToken} hasCalls={false}><Panel host={host} server={server} label={label} onClose={isInline ? undefined : close} /></ParleyProvider>
        </section>
      )}
      {!isInline && (
        <button ref={button} type="button" aria-expanded={isOpen} aria-label={isOpen ? `Close ${label}` : label} onClick={() => setOpen(!isOpen)} className={cn("fixed right-4 bottom-4 z-[2147483000] grid size-13 place-items-center rounded-full bg-accent text-accent-ink shadow-float hover:bg-accent-hover", isOpen && "max-sm:hidden")}>
          {isOpen ? <X aria-hidden className="size-6" /> : <MessageCircle aria-hidden className="size-6" />}
        </button>
      )}
    </>
  );
}

const SAID = { connecting: ["Connecting", "warn"], online: ["Connected", "good"], offline: ["Offline", "bad"], refused: ["Access denied", "bad"] } as const;

function Panel({ host, server, label, onClose }: PanelProps & { label: string; onClose?: () => void }) {
  const assistant = host.getAttribute("assistant");
  const key = chatKey(server, assistant);
  const [chatId, setChatId] = useState(() => recallChat(key));
  const open = (id: string | null) => {
    keepChat(key, id);
    setChatId(id);
  };
  const conversation = useConversationKey(chatId);
  const chat = useAssistant(chatId, { onOpen: (id) => (conversation.opened(id), open(id)), ...(assistant && { assistant }) });
  const elicitations = useElicitation(chatId);
  const { source, open: openSource, close: closeSource } = useSource(chatId);
  const { status, reason } = useConnectionStatus("assistant");
  const [text, tone] = SAID[status];
  const isRefused = status === "refused";
  // It was deleted, or is another user's.
  useEffect(() => {
    if (chat.error?.code === 404) open(null);
  }, [chat.error]);
  return (
    <>
      <header className="flex h-14 shrink-0 items-center gap-2 border-b border-line pr-2 pl-4">
        <h2 className="min-w-0 flex-1 truncate text-[15px] font-semibold">{label}</h2>
        <span data-connection={status} role="status" title={reason ?? undefined} className="flex items-center gap-2 text-[13px] text-soft"><Dot tone={tone} />{text}</span>
        {chatId && <Button variant="ghost" size="icon" aria-label="New chat" onClick={() => open(null)}><RotateCcw /></Button>}
        {onClose && <Button variant="ghost" size="icon" aria-label="Close" onClick={onClose}><X /></Button>}
      </header>
      {(isRefused || status === "offline") && (
        <p role="alert" className="border-b border-warn-line bg-warn-wash px-4 py-2 text-[13px] text-warn">{isRefused ? `Access denied. ${reason ? capital(reason) : "The server does not accept this page's token"}.` : "Connection lost. What you write is sent afterwards."}</p>
      )}
      <div data-offline={status === "online" ? undefined : ""} className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] grid-rows-[minmax(0,1fr)]">
        <Conversation
          key={conversation.key} chat={chat} elicitations={elicitations} onSource={openSource} placeholder={host.getAttribute("placeholder") ?? undefined}
          empty={isRefused ? null : <p className="pt-6 text-center text-soft">What can I help with?</p>} className={cn("col-start-1 row-start-1 flex min-h-0 flex-col", source && "invisible")}
        />
        {source && <SourceReader chat={chat} source={source} onClose={closeSource} className="col-start-1 row-start-1" />}
      </div>
    </>
  );
}

export class ParleyChat extends HTMLElement {
  /** Fetches the token: at first, and instead of one that ends. */
  getToken: ((old: string | null) => Promise<string | null>) | null = null;
  #root: Root | null = null;

  readonly askToken = async (old: string | null): Promise<string | null> => (this.getToken ? this.getToken(old) : this.getAttribute("token"));

  connectedCallback(): void {
    const tree = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    tree.adoptedStyleSheets = [sheetOf(styles)];
    const box = document.createElement("div");
    box.className = "shadow-root";
    tree.replaceChildren(box);
    const server = (this.getAttribute("server") ?? (SCRIPT ? new URL(SCRIPT.src).origin : "")).replace(/\/$/, "");
    this.#root = createRoot(box);
    this.#root.render(<StrictMode><Widget host={this} server={server} /></StrictMode>);
  }

  disconnectedCallback(): void {
    this.#root?.unmount();
    this.#root = null;
  }
}

if (!customElements.get("parley-chat")) customElements.define("parley-chat", ParleyChat);
