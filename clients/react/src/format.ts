import { formatDuration as format } from "../../lib/live-call.mjs";

/** 75 → "1:15", 3675 → "1:01:15". */
export const formatDuration: (seconds: number | null) => string = format;
