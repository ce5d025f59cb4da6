// This tab's storage. In a frame of another site a browser may refuse it: then what is kept lasts until the page is left.
const kept = new Map<string, string>();

export function recall(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return kept.get(key) ?? null;
  }
}

export function keep(key: string, value: string): void {
  kept.set(key, value);
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // refused, or full
  }
}

export function forgetAll(): void {
  kept.clear();
  try {
    sessionStorage.clear();
  } catch {
    // refused
  }
}

export function forget(key: string): void {
  kept.delete(key);
  try {
    sessionStorage.removeItem(key);
  } catch {
    // refused
  }
}
