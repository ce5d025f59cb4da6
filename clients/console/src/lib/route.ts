// Where the reader is: the part of the address after "#". "#/desk/CALL", "#/supervisor", …
import { useSyncExternalStore } from "react";

export type Page = "desk" | "chat" | "supervisor" | "knowledge" | "rules" | "users";

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

const read = (): string => window.location.hash.replace(/^#\/?/, "");

/** What somebody typed into the address may be no encoding at all. */
function decoded(item: string): string {
  try {
    return decodeURIComponent(item);
  } catch {
    return item;
  }
}

export function useRoute(): { page: Page | null; item: string | null } {
  const [page, item] = useSyncExternalStore(subscribe, read).split("/");
  const pages: Page[] = ["desk", "chat", "supervisor", "knowledge", "rules", "users"];
  return { page: pages.find((known) => known === page) ?? null, item: item ? decoded(item) : null };
}

export function go(page: Page, item?: string | null, { replace = false } = {}): void {
  const hash = `#/${page}${item ? `/${encodeURIComponent(item)}` : ""}`;
  if (window.location.hash === hash) return;
  if (!replace) return void (window.location.hash = hash);
  window.history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
