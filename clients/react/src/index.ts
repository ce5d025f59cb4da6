// @parley/react: live calls, and chats with the assistant, in a React application.
export { ParleyClient, type ParleyOptions } from "./client.js";
export { ParleyProvider, useCall, useCalls, useClaims, useConnectionStatus, useFeature, useFeedback, useKnowledge, useParley, useServerAheadMs, useStats, useSuggestions, useTranscript } from "./hooks.js";
export { useAssistant, useChats, useElicitation, useTree } from "./chat-hooks.js";
export type { AssistantChat, ChatTree, Elicitations } from "./chat-hooks.js";
export { applyDelta, pathOf } from "./tree.js";
export type { TreeDelta, TreeNode } from "./tree.js";
export type { Answer, AnswerPart, ChatEntry, ChatItem, ChatListState, ChatProgress, ChatState, Elicitation, Source, ToolCall } from "./chat-types.js";
export type { Feedback, Knowledge, ParleyProviderProps } from "./hooks.js";
export { RequestError } from "./outbox.js";
export type { RequestOptions } from "./outbox.js";
export { claimsOf } from "./token.js";
export { formatDuration } from "./format.js";
export type * from "./types.js";
export type * from "./events.js";
