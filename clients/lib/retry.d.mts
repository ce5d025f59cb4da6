export const BUSY: ReadonlySet<number>;
export function pauseMs(attempt: number, askedMs?: number, random?: number): number;
