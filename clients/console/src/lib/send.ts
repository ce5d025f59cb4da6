// Something that the user sends: whether it is under way, and why it failed.
import { useCallback, useMemo, useState } from "react";

export interface Sending<A extends unknown[]> {
  /** Resolves with whether it arrived. */
  send: (...args: A) => Promise<boolean>;
  isSending: boolean;
  problem: string | null;
  /** The problem was read. */
  reset: () => void;
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
      setProblem(error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      setSending(false);
    }
  }, [action]);
  const reset = useCallback(() => setProblem(null), []);
  return useMemo(() => ({ send, isSending, problem, reset }), [send, isSending, problem, reset]);
}
