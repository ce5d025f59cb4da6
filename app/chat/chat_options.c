/* The assistant's options. */
#include "chat_int.h"
#include "kit_options.h"

#define KIT_VALUES struct chat_config

static const struct kit_choice dialects[] = {
    {"auto", CHAT_DIALECT_AUTO}, {"typed", CHAT_DIALECT_TYPED}, {"teaching", CHAT_DIALECT_TEACHING}, {NULL, 0}};

static const struct kit_option options[] = {
    KIT_TEXT_ROW(
        "assistants_file", assistants_file, "", "Assistant",
        "JSON file of assistants: their words, their models, which of their tools run, ask first or never run; "
        "empty: one is embedded"),
    KIT_U32_ROW("turns_per_user_max", turns_per_user_max, "8", 1, 100000, "Assistant",
                "answers to one user that one process makes at a time; above: error 429"),
    KIT_U32_ROW("queued_messages_max", queued_messages_max, "10", 1, 1000, "Assistant",
                "messages of one chat that wait for the answer before (`queue`); above: error 429"),
    KIT_U32_ROW("turn_time_max_ms", turn_time_max_ms, "300000", 1000, KIT_DAY_MS, "Assistant",
                "how long an answer may take, without the time that a form waits; above: error 504"),
    KIT_U32_ROW("turn_steps_max", turn_steps_max, "8", 1, 1000, "Assistant",
                "how often the model is asked for one answer; the last time it may not call tools"),
    KIT_U32_ROW("turn_equal_calls_max", turn_equal_calls_max, "3", 1, 1000, "Assistant",
                "equal calls of tools in a row; then the model may not call tools any more"),
    KIT_U32_ROW("turn_tokens_max", turn_tokens_max, "200000", 1000, 1000000000, "Assistant",
                "tokens in and out of the model for one answer, as far as it reports them; above: error 502"),
    KIT_U32_ROW("turn_lease_ms", turn_lease_ms, "6000", 300, 3600000, "Assistant",
                "after this time without a sign of life of the process that makes it, an answer counts as interrupted"),
    KIT_U32_ROW("token_interval_ms", token_interval_ms, "25", 0, 10000, "Assistant",
                "at least this time lies between two pieces of an answer"),
    KIT_U32_ROW("context_turns_max", context_turns_max, "40", 0, 10000, "Assistant",
                "earlier messages of a chat, with their answers, that the model is shown"),
    KIT_SIZE_ROW("context_bytes_max", context_bytes_max, "262144", 0, "Assistant", "bytes of these; the same applies"),
    KIT_U32_ROW("message_max_bytes", message_max_bytes, "65536", 1, 1000000, "Assistant",
                "text of a message; above: error 413"),
    KIT_SIZE_ROW("log_bytes_max", log_bytes_max, "16777216", 1024, "Assistant",
                 "size of a chat's log; above: no more messages, error 413"),
    KIT_U32_ROW("chats_per_user_max", chats_per_user_max, "1000", 1, 10000000, "Assistant",
                "chats of one user; above: no new ones, error 429"),
    KIT_U32_ROW("chats_watched_max", chats_watched_max, "64", 1, 100000, "Assistant",
                "chats that one connection watches; above: error 429"),
    KIT_U32_ROW("questions_per_user_max", questions_per_user_max, "100", 1, 100000, "Assistant",
                "forms, approvals and links of one user that wait for an answer; above: the tool that asks fails"),
    KIT_U32_ROW("reminders_max", reminders_max, "100", 1, 100000, "Assistant",
                "reminders of one chat that are not due yet; above: the tool fails with 429"),
    KIT_SIZE_ROW("tree_max_bytes", tree_max_bytes, "262144", 1024, "Assistant",
                 "size of a chat's object tree as JSON; above: error 413"),
    KIT_U32_ROW("tree_nodes_max", tree_nodes_max, "2000", 1, 100000, "Assistant",
                "nodes of a chat's object tree; above: error 413"),
    KIT_U32_ROW("session_idle_s", session_idle_s, "3600", 1, 31536000, "Assistant",
                "a chat's session is closed after this time without a message"),
    KIT_U32_ROW("abandon_after_ms", abandon_after_ms, "30000", 0, KIT_DAY_MS, "Assistant",
                "an intent that is open is abandoned when its user has been away for this time"),
    KIT_U32_ROW("replay_entries_max", replay_entries_max, "500", 1, 100000, "Assistant",
                "entries of a chat's log that are read at a time for who comes back; the rest follows"),
    KIT_SIZE_ROW("chat_export_bytes_max", export_bytes_max, "67108864", 1024, "Assistant",
                 "size of an exported chat; above: error 413"),
    KIT_SIZE_ROW("replay_bytes_max", replay_bytes_max, "262144", 1024, "Assistant", "bytes of these; the same applies"),
    KIT_CHOICE_ROW("ws_dialect", ws_dialect, "auto", dialects, "Assistant",
                   "what plain WebSockets at `/ws/{session_id}` speak without `?dialect=`; auto: their first message "
                   "decides"),
};
const struct kit_option_set chat_options = KIT_OPTION_SET(options);
