import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useState, useSyncExternalStore, type ReactNode } from "react";
import { ParleyClient, type ParleyOptions } from "./client.js";
import type { Call } from "./call.js";
import { Store } from "./store.js";
import type { Article, CallListState, CallState, CallStatusName, Claims, ConnectionState, Failure, Line, Stats, SuggestedDocument, Vote } from "./types.js";
import type { AiSuggestion } from "./events.js";

const Context = createContext<ParleyClient | null>(null);

export type ParleyProviderProps = { children?: ReactNode } & ({ client: ParleyClient } | ({ client?: undefined } & ParleyOptions));

/** Opens a connection for what is inside, and closes it with it. With `client`, one that is opened elsewhere. */
export function ParleyProvider(props: ParleyProviderProps) {
  const given = props.client;
  const url = given ? undefined : props.url;
  const token = given ? undefined : props.token;
  const hasCalls = given ? undefined : props.hasCalls;
  // A function that is written in place is a new one each time; the connection is for the first.
  const identity = typeof token === "string" ? token : undefined;
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const client = useMemo(() => given ?? new ParleyClient({ url, token: token ?? "", hasCalls }), [given, url, identity, hasCalls]);
  useEffect(() => {
    if (given) return;
    client.open();
    return () => client.close();
  }, [client, given]);
  return createElement(Context.Provider, { value: client }, props.children);
}

export function useParley(): ParleyClient {
  const client = useContext(Context);
  if (!client) throw new Error("hooks of @parley/react work inside <ParleyProvider>");
  return client;
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}

/** Of the connection for calls, or of the assistant's. */
export function useConnectionStatus(of: "calls" | "assistant" = "calls"): ConnectionState {
  const client = useParley();
  return useStore(of === "assistant" ? client.assistant.connection : client.connection);
}

export function useClaims(): Claims {
  return useStore(useParley().claims);
}

/** Whether the server understands this event. False until it has said. */
export function useFeature(event: string): boolean {
  return useStore(useParley().features)?.has(event) ?? false;
}

export function useCalls({ status }: { status?: CallStatusName } = {}): CallListState & { loadMore: () => void } {
  const list = useParley().list(status);
  const state = useStore(list.state);
  const loadMore = useCallback(() => void list.loadMore(), [list]);
  return useMemo(() => ({ ...state, loadMore }), [state, loadMore]);
}

const NOTHING = new Store<CallState>({
  callId: "", isLoading: false, error: null, status: null, startedAt: null, metadata: {}, duration: null,
  lines: [], suggestion: null, agents: [], alerts: [], notes: [], help: [], wrapups: [], summary: null, votes: new Map(), seq: 0,
});

function useWatched(callId: string | null): Call | null {
  const client = useParley();
  const [call, setCall] = useState<Call | null>(null);
  useEffect(() => {
    if (!callId) return;
    const watched = client.watch(callId);
    setCall(watched);
    return () => {
      client.unwatch(watched);
      setCall(null);
    };
  }, [client, callId]);
  return call && call.state.get().callId === callId ? call : null;
}

/** The call as it stands, from its first line to what is being said. null: none. */
export function useCall(callId: string | null): CallState {
  const call = useWatched(callId);
  const state = useStore(call?.state ?? NOTHING);
  return useMemo(() => (call || !callId ? state : { ...state, callId, isLoading: true }), [call, callId, state]);
}

/** What to add to the browser's clock to have the server's, in milliseconds. */
export function useServerAheadMs(): number {
  return useStore(useParley().clock.aheadMs);
}

/** How many calls go on, lines a minute, agents: for supervisors whose token opens all calls; null for others. */
export function useStats(): Stats | null {
  return useStore(useParley().stats);
}

export function useTranscript(callId: string | null): readonly Line[] {
  return useCall(callId).lines;
}

export function useSuggestions(callId: string | null): AiSuggestion | null {
  return useCall(callId).suggestion;
}

export interface Feedback {
  votes: ReadonlyMap<string, Vote>;
  /** Shown at once; taken back if the server refuses it, which `error` then says. */
  vote: (docId: string, helpful: boolean) => void;
  error: Failure | null;
}

export function useFeedback(callId: string | null): Feedback {
  const call = useWatched(callId);
  const { votes } = useStore(call?.state ?? NOTHING);
  const [error, setError] = useState<Failure | null>(null);
  const vote = useCallback((docId: string, helpful: boolean) => {
    setError(null);
    call?.vote(docId, helpful).catch(setError);
  }, [call]);
  return useMemo(() => ({ votes, vote, error }), [votes, vote, error]);
}

export interface Knowledge {
  /** Looks for documents by words; `documents` has the newest answer. */
  search: (query: string) => void;
  documents: readonly SuggestedDocument[] | null;
  isSearching: boolean;
  error: Failure | null;
  /** A document as a whole. Rejects with RequestError. */
  read: (docId: string) => Promise<Article>;
}

export function useKnowledge(callId?: string): Knowledge {
  const client = useParley();
  const [state, setState] = useState<{ query: string; documents: readonly SuggestedDocument[] | null; isSearching: boolean; error: Failure | null }>(
    { query: "", documents: null, isSearching: false, error: null });
  const search = useCallback((query: string) => {
    if (!query.trim()) return setState({ query: "", documents: null, isSearching: false, error: null });
    setState((old) => ({ ...old, query, isSearching: true, error: null }));
    const isNewest = (change: Partial<typeof state>) => setState((old) => (old.query === query ? { ...old, isSearching: false, ...change } : old));
    client.request("kb:search", { query, ...(callId && { call_id: callId }) }, { isRepeatable: true, key: "kb:search" })
      .then((answer) => isNewest({ documents: answer.documents as SuggestedDocument[] }), (error: Failure) => isNewest({ error }));
  }, [client, callId]);
  const read = useCallback(async (docId: string) => {
    const answer = await client.fetch(`/api/v1/documents/${encodeURIComponent(docId)}`);
    return answer.document as Article;
  }, [client]);
  return useMemo(() => ({ search, read, documents: state.documents, isSearching: state.isSearching, error: state.error }), [search, read, state]);
}
