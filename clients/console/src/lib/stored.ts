// A value of this tab, kept while it is open.
import { useCallback, useState } from "react";
import { keep, recall } from "./storage.js";

function read<T>(key: string, fallback: T): T {
  try {
    const text = recall(key);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

export function useStored<T>(key: string, fallback: T): [T, (value: T) => void] {
  const [state, setState] = useState(() => ({ key, value: read(key, fallback) }));
  const value = state.key === key ? state.value : read(key, fallback);
  const set = useCallback((next: T) => {
    setState({ key, value: next });
    keep(key, JSON.stringify(next));
  }, [key]);
  return [value, set];
}
