/* The module: opens its namespace and routes, shows its numbers. */
#include "chat_nodes.h"
#include "chat_plain.h"
#include "chat_reminders.h"
#include "chat_room.h"
#include "chat_say.h"
#include "chat_streams.h"
#include "chat_toolbox.h"
#include "chat_turn.h"
#include "kit_metrics.h"

#include <stdlib.h>
#include <string.h>

#define KIT_NUMBERS struct chat
static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("chat_entries_total", counters.entries, "Entries of chats' logs sent."),
    KIT_COUNTER_ROW("chat_replays_total", counters.replays, "Reads of chats' logs for who came back, or missed some."),
    KIT_COUNTER_ROW("chat_replays_full_total", counters.replays_full,
                    "Entries that came while somebody read the log and passed replay_entries_max or replay_bytes_max; "
                    "they were read again."),
    KIT_COUNTER_ROW("chat_sessions_total", counters.sessions, "session.init events answered."),
    KIT_COUNTER_ROW("chat_messages_total", counters.messages, "Messages of users stored."),
    KIT_COUNTER_ROW("chat_turns_done_total", counters.turns_done, "Answers that were completed."),
    KIT_COUNTER_ROW("chat_turns_stopped_total", counters.turns_stopped, "Answers that were stopped."),
    KIT_COUNTER_ROW("chat_turns_failed_total", counters.turns_failed, "Answers that ended with an error."),
    KIT_COUNTER_ROW("chat_turns_interrupted_total", counters.turns_interrupted,
                    "Answers ended because the process that made them was gone."),
    KIT_COUNTER_ROW("chat_turn_limits_total", counters.turn_limits,
                    "Answers cut short by turn_time_max_ms, turn_steps_max, turn_equal_calls_max or turn_tokens_max."),
    KIT_COUNTER_ROW("chat_turns_refused_total", counters.refused_turns,
                    "Messages refused because of turns_per_user_max."),
    KIT_COUNTER_ROW("chat_queue_refused_total", counters.refused_queued,
                    "Messages refused because of queued_messages_max."),
    KIT_COUNTER_ROW("chat_logs_full_total", counters.refused_full, "Messages refused because of log_bytes_max."),
    KIT_COUNTER_ROW("chat_texts_refused_total", counters.refused_texts,
                    "Messages refused because of message_max_bytes."),
    KIT_COUNTER_ROW("chats_refused_total", counters.refused_chats, "Chats refused because of chats_per_user_max."),
    KIT_COUNTER_ROW("chat_exports_refused_total", counters.refused_exports,
                    "Exports refused because of chat_export_bytes_max."),
    KIT_COUNTER_ROW(
        "chat_changes_refused_total", counters.refused_changes,
        "Reminders and changes of trees refused because of reminders_max, tree_max_bytes or tree_nodes_max."),
    KIT_COUNTER_ROW("chat_questions_refused_total", counters.refused_questions,
                    "Forms, approvals and links refused because of questions_per_user_max."),
    KIT_COUNTER_ROW("chat_watchers_refused_total", counters.refused_listeners,
                    "session.init events refused because of chats_watched_max."),
    KIT_COUNTER_ROW("chats_deleted_total", counters.deleted, "Chats deleted by their users."),
    KIT_COUNTER_ROW("chat_tool_calls_total", counters.tool_calls, "Calls of tools."),
    KIT_COUNTER_ROW("chat_reminders_total", counters.reminders, "Reminders that were due."),
    KIT_COUNTER_ROW("chat_questions_total", counters.questions, "Forms, approvals and links that users were asked."),
    KIT_GAUGE_ROW("chat_turns_running", turns_running, "Answers that are being made."),
    KIT_GAUGE_ROW("chats_watched", rooms_open, "Chats that are watched."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, NULL);

static int open_namespace(struct chat *chat)
{
    struct kit *kit = chat->kit;
    chat->nsp = kit_open_namespace(kit, "/chat", CHAT_ROLES, NULL);
    if (!chat->nsp || kit_admit_guests(kit)) return EIO_ENOMEM;
    kit_open_to_guests(kit, chat->nsp);
    if (kit->guest)
        kit_log(EIO_LOG_WARN, "the assistant needs no token on this machine; set jwt_key_file in production", NULL);
    return 0;
}

/* On one machine a process that is started again has the place of its predecessor, whose turns have ended with it. */
static void name_owner(struct chat *chat)
{
    const struct kit *kit = chat->kit;
    char id[KIT_ID_SIZE];
    if (!kit->config->store[0]) snprintf(chat->place, sizeof chat->place, "worker%u/", kit->processes.index);
    chat_make_id(id, "");
    snprintf(chat->owner, sizeof chat->owner, "%s%.30s", chat->place, id);
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    static int (*const parts[])(struct chat * chat) = {
        open_namespace,          chat_say_start,         chat_rooms_start,       chat_peers_start,
        chat_session_start,      chat_message_start,     chat_answer_start,      chat_nodes_start,
        chat_stop_start,         chat_takeover_start,    chat_history_start,     chat_document_start,
        chat_post_start,         chat_sweep_start,       chat_edit_start,        chat_tools_tree_start,
        chat_tools_search_start, chat_tools_alarm_start, chat_tools_teach_start, chat_reminders_start,
        chat_plain_start,        chat_streams_start,
    };
    struct chat *chat = *state = calloc(1, sizeof *chat);
    if (!chat) return EIO_ENOMEM;
    chat->kit = kit;
    chat->config = kit_config_values(kit->config, &chat_options);
    chat->llm = kit_state(kit, &llm_module);
    name_owner(chat);
    int failed = chat_assistants_load(chat, error, error_size);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !failed; i++) failed = parts[i](chat);
    return failed;
}

static void drain(void *state)
{
    struct chat *chat = state;
    chat_turns_drain(chat);
}

static void pause_chat(void *state)
{
    struct chat *chat = state;
    if (!chat) return;
    chat_turns_drain(chat);
    chat_sweep_pause(chat);
    chat_reminders_pause(chat);
    chat_rooms_pause(chat);
}

static void stop(void *state)
{
    struct chat *chat = state;
    if (!chat) return;
    chat_turns_stop(chat);
    chat_say_stop(chat);
    chat_rooms_stop(chat);
    chat_sweep_stop(chat);
    chat_reminders_stop(chat);
    chat_tools_free(chat);
    chat_assistants_free(chat);
    free(chat);
}

const struct kit_module chat_module = {.name = "chat",
                                       .options = &chat_options,
                                       .metrics = &metrics,
                                       .migrations = chat_migrations,
                                       .start = start,
                                       .drain = drain,
                                       .pause = pause_chat,
                                       .stop = stop};
