import { useClaims } from "@parley/react";
import { ArrowLeftRight, CircleUserRound, Keyboard, LogOut, SunMoon } from "lucide-react";
import { useCallback, useLayoutEffect, useRef, useState } from "react";
import { cn } from "../lib/cn.js";
import { go, type Page } from "../lib/route.js";
import type { Session } from "../lib/session.js";
import { toggleTheme } from "../lib/theme.js";
import { Button } from "../ui/button.js";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu.js";
import { ConnectionPill } from "./connection.js";
import { Logo } from "./logo.js";

const TITLES: Record<Page, string> = { desk: "Desk", chat: "Chat", supervisor: "Supervisor", knowledge: "Knowledge", rules: "Rules", users: "Users" };

interface Props {
  pages: Page[];
  page: Page;
  session: Session;
  onHelp: () => void;
}

export function TopBar({ pages, page, session, onHelp }: Props) {
  return (
    <header className="flex h-14 shrink-0 items-center gap-2 border-b border-line bg-surface px-3 sm:px-4">
      <div className="flex items-center gap-2.5">
        <Logo />
        <span className={cn("text-[17px] font-semibold tracking-tight", pages.length > 1 && "max-sm:sr-only")}>Parley</span>
      </div>
      {pages.length > 1 && (
        <Pages pages={pages} page={page} />
      )}
      <div className="ml-auto flex items-center gap-1">
        <ConnectionPill of={page === "chat" ? "assistant" : "calls"} />
        <UserMenu session={session} onHelp={onHelp} />
      </div>
    </header>
  );
}

/** Where they do not fit, the page's own is in view and the edge behind which others are fades. */
function Pages({ pages, page }: { pages: Page[]; page: Page }) {
  const list = useRef<HTMLElement>(null);
  const [hidden, setHidden] = useState({ left: false, right: false });
  const look = useCallback(() => {
    const { scrollLeft = 0, scrollWidth = 0, clientWidth = 0 } = list.current ?? {};
    setHidden({ left: scrollLeft > 1, right: scrollLeft + clientWidth < scrollWidth - 1 });
  }, []);
  useLayoutEffect(() => {
    list.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ inline: "center", block: "nearest" });
    look();
    // Also when what stands beside it grows: "Offline" is wider than a dot.
    const observer = new ResizeObserver(look);
    if (list.current) observer.observe(list.current);
    return () => observer.disconnect();
  }, [page, pages.length, look]);
  return (
    <nav
      ref={list}
      aria-label="Pages"
      onScroll={look}
      data-hidden={`${hidden.left ? "left" : ""}${hidden.right ? "right" : ""}` || undefined}
      className="ml-3 flex h-full min-w-0 gap-1 overflow-x-auto [scrollbar-width:none] sm:ml-6"
    >
      {pages.map((each) => (
        <button
          key={each}
          type="button"
          aria-current={each === page ? "page" : undefined}
          onClick={() => go(each)}
          className="h-full shrink-0 border-b-2 border-transparent px-2.5 font-medium text-soft hover:text-ink aria-[current=page]:border-accent aria-[current=page]:text-ink"
        >
          {TITLES[each]}
        </button>
      ))}
    </nav>
  );
}

function UserMenu({ session, onHelp }: { session: Session; onHelp: () => void }) {
  const { sub, role } = useClaims();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button variant="ghost" size="icon" aria-label={`Menu of ${sub ?? "this user"}`} className="pointer-coarse:size-11"><CircleUserRound className="size-5!" /></Button>
      </MenuTrigger>
      <MenuContent>
        <div className="border-b border-line px-2.5 pt-1 pb-2.5">
          <p className="font-medium">{sub ?? "Not signed in"}</p>
          {role && <p className="text-[13px] text-faint capitalize">{role}</p>}
        </div>
        <div className="pt-1.5">
          <MenuItem onSelect={toggleTheme}><SunMoon />Light or dark</MenuItem>
          <MenuItem onSelect={onHelp}><Keyboard />Keyboard shortcuts</MenuItem>
          {session.isDemo ? (
            <MenuItem onSelect={() => session.changeRole(role === "agent" ? "supervisor" : "agent")}><ArrowLeftRight />{role === "agent" ? "Switch to supervisor" : "Switch to agent"}</MenuItem>
          ) : <MenuItem onSelect={() => session.signOut()}><LogOut />Sign out</MenuItem>}
        </div>
      </MenuContent>
    </Menu>
  );
}
