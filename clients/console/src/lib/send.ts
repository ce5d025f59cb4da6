// Something that the user sends: whether it is under way, and why it failed.
import { RequestError } from "@parley/react";
import { useCallback, useMemo, useState } from "react";

export interface Sending<A extends unknown[]> {
  /** Resolves with whether it arrived. */
  send: (...args: A) => Promise<boolean>;
  isSending: boolean;
  problem: string | null;
  /** The problem was read. */
  reset: () => void;
}

/** "must have 10 to 1024 bytes" says little without the field that it is about. */
function problemOf(error: unknown): string {
  if (!(error instanceof RequestError)) return error instanceof Error ? error.message : String(error);
  const field = error.field?.split("/")[1]?.replaceAll("_", " ");
  return field && /^(?:must|is|has) /.test(error.message) ? `${field} ${error.message}` : error.message;
}

export function useSend<A extends unknown[]>(action: (...args: A) => Promise<unknown>): Sending<A> {
  const [isSending, setSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const send = useCallback(async (...args: A) => {
    setSending(true);
    setProblem(null);
    try {
      await action(...args);
      return true;
    } catch (error) {
      setProblem(problemOf(error));
      return false;
    } finally {
      setSending(false);
    }
  }, [action]);
  const reset = useCallback(() => setProblem(null), []);
  return useMemo(() => ({ send, isSending, problem, reset }), [send, isSending, problem, reset]);
}
