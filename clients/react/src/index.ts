// @parley/react: live calls in a React application.
export { ParleyClient, type ParleyOptions } from "./client.js";
export { ParleyProvider, useCall, useCalls, useClaims, useConnectionStatus, useFeature, useFeedback, useKnowledge, useParley, useStats, useSuggestions, useTranscript } from "./hooks.js";
export type { Feedback, Knowledge, ParleyProviderProps } from "./hooks.js";
export { RequestError } from "./outbox.js";
export type { RequestOptions } from "./outbox.js";
export { claimsOf } from "./token.js";
export { formatDuration } from "./format.js";
export type * from "./types.js";
export type * from "./events.js";
