import { ParleyProvider, useClaims, useConnectionStatus, useFeature } from "@parley/react";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { Desk } from "../desk/desk.js";
import { KnowledgePage } from "../knowledge/knowledge.js";
import { useIsSupervisor } from "../lib/roles.js";
import { useRoute, type Page } from "../lib/route.js";
import { Session, type Asking, type ServerIndex } from "../lib/session.js";
import { useShortcuts } from "../lib/shortcuts.js";
import { Dialog } from "../ui/dialog.js";
import { RulesPage } from "../rules/rules.js";
import { Supervisor } from "../supervisor/supervisor.js";
import { UsersPage } from "../users/users.js";
import { ConnectionBanner } from "./connection.js";
import { Failure } from "./failure.js";
import { HelpSheet } from "./help-sheet.js";
import { Login, LoginForm } from "./login.js";
import { TopBar } from "./top-bar.js";

// Loaded when it is opened: the desk does without it.
const ChatPage = lazy(() => import("../chat/chat-page.js"));

// One for the page's life: strict mode mounts twice, and a second connection would be another reader.
let session: Session | null = null;

export function App() {
  const [asking, setAsking] = useState<Asking | null>(null);
  const [index, setIndex] = useState<ServerIndex | null>(null);
  session ??= new Session((next) => listener(next));
  const { client } = session;
  const own = session;

  useEffect(() => {
    listener = setAsking;
    void own.index.then((read) => setIndex(read ?? { version: "", events: [] }));
    client.open();
  }, [client, own]);

  const hasLogin = index?.paths?.includes("POST /api/v1/login") ?? false;
  if (asking?.why === "first" && index === null) return null;
  if (asking?.why === "first") return <Login hasLogin={hasLogin} problem={asking.problem} onToken={(token) => own.give(token)} />;
  return (
    <ParleyProvider client={client}>
      <Signed session={own} />
      <Dialog open={asking?.why === "again"} title="Sign in again" description="Your session has ended or is about to. The desk stays as it is.">
        <LoginForm hasLogin={hasLogin} problem={asking?.problem} onToken={(token) => own.give(token)} />
      </Dialog>
    </ParleyProvider>
  );
}

let listener: (asking: Asking | null) => void = () => {};

/** The pages that this user has. */
function usePages(): Page[] {
  const isSupervisor = useIsSupervisor();
  const { role } = useClaims();
  const hasRules = useFeature("GET /api/v1/rules");
  const hasUsers = useFeature("GET /api/v1/users");
  const hasKnowledge = useFeature("GET /api/v1/documents") && role !== "user";
  const hasChat = useFeature("chat.message");
  return useMemo(() => {
    const pages: Page[] = role === "user" ? [] : ["desk"];
    if (hasChat || role === "user") pages.push("chat");
    if (isSupervisor) pages.push("supervisor");
    if (hasKnowledge) pages.push("knowledge");
    if (hasRules && isSupervisor) pages.push("rules");
    if (hasUsers && role === "admin") pages.push("users");
    return pages;
  }, [isSupervisor, hasKnowledge, hasChat, hasRules, hasUsers, role]);
}

/** What may be old when the connection is lost. */
const SHOWN: Partial<Record<Page, string>> = { desk: "the call", chat: "the chat", supervisor: "this page" };

function Signed({ session: own }: { session: Session }) {
  const pages = usePages();
  const route = useRoute();
  const page = route.page && pages.includes(route.page) ? route.page : pages[0]!;
  const of = page === "chat" ? "assistant" : "calls";
  const { status } = useConnectionStatus(of);
  const item = page === route.page ? route.item : null;
  const [isHelpOpen, setHelpOpen] = useState(false);
  useShortcuts(useMemo(() => ({ "?": () => setHelpOpen(true) }), []));
  return (
    <div data-offline={status === "online" ? undefined : ""} className="flex h-full flex-col">
      <TopBar pages={pages} page={page} session={own} onHelp={() => setHelpOpen(true)} />
      <ConnectionBanner of={of} shown={SHOWN[page]} />
      <Failure of={`${page} ${item ?? ""}`}>
        {page === "desk" && <Desk callId={item} />}
        {page === "chat" && <Suspense fallback={<main className="grid flex-1 place-content-center text-faint">Loading…</main>}><ChatPage chatId={item} /></Suspense>}
        {page === "knowledge" && <KnowledgePage docId={item} />}
        {page === "rules" && <RulesPage />}
        {page === "users" && <UsersPage />}
        {page === "supervisor" && <Supervisor callId={item} />}
      </Failure>
      <HelpSheet open={isHelpOpen} onOpenChange={setHelpOpen} />
    </div>
  );
}
