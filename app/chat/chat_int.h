/* What the parts of the module share. Reading order: chat.h, chat_log.h, chat_tools.h, chat.c, chat_options.c,
 * chat_schema.c, chat_log.c, chat_room.h, chat_room.c, chat_peer.c, chat_store.c, chat_session.c, chat_snapshot.c,
 * chat_turn_store.h, chat_turn_store.c, chat_pending.h, chat_message.c, chat_turn.h, chat_turn.c, chat_model.c,
 * chat_assistants.h, chat_toolbox.h, chat_form.h, chat_call.c, chat_mcp.h, chat_ask.c, chat_nodes.h, chat_answer.c,
 * chat_nodes.c, chat_stop.c, chat_takeover.c, chat_history.c, chat_document.c, chat_post.c, chat_sweep.c, chat_share.c,
 * chat_tree.h, chat_edit.h, chat_work.h, chat_lessons.h, chat_reminders.h, then the tools. */
#ifndef CHAT_INT_H
#define CHAT_INT_H

#include "chat_log.h"
#include "chat_tools.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_namespace.h"
#include "kit_quota.h"
#include "kit_request.h"
#include "kit_zone.h"

#include <stdatomic.h>
#include <uthash.h>
#include <utlist.h>

/* Who may use the assistant. */
#define CHAT_ROLES (KIT_ROLE_USER | KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)
#define CHATS_PATH "/api/v1/chats"
#define CHAT_ROOM "chat:"
#define CHAT_ROOM_SIZE (sizeof CHAT_ROOM + KIT_USER_SIZE)
#define CHAT_SESSION_CLOSED "closed" /* the session_id of a chat that has no session */
#define CHAT_ROWS_MAX 8              /* tables of events */
#define CHAT_ALIASES_MAX 12          /* paths of the widget's vocabulary */

struct chat_listener;
struct chat_row;

struct chat_counters {
    uint64_t entries, replays, replays_full, sessions, messages, tool_calls, questions;
    uint64_t turns_done, turns_stopped, turns_failed, turns_interrupted, turn_limits;
    uint64_t refused_turns, refused_listeners, deleted, reminders;
    uint64_t refused_questions, refused_queued, refused_full, refused_chats, refused_texts, refused_exports;
    uint64_t refused_changes;
};

struct chat {
    struct kit *kit;
    const struct chat_config *config;
    struct llm *llm;
    struct sio_namespace *nsp; /* "/chat" */
    struct chat_counters counters;
    uint64_t rooms_open, turns_running;
    char place[32];                   /* of this process on its machine; "": the store is shared by several machines */
    char owner[64];                   /* of the turns that run here: place, and what no other life of it has */
    struct chat_rooms *rooms;         /* chat_room.c */
    struct chat_peer *sockets;        /* chat_peer.c: a table of the peers that are sockets, by id */
    struct chat_turn *turns;          /* chat_turn.c: a table of those that run here, by the chat's id */
    struct chat_share *shares;        /* chat_share.c: a table */
    struct chat_say *say;             /* chat_say.c: what answers say, on its way into the store */
    struct chat_sweep *sweep;         /* chat_sweep.c */
    struct chat_reminders *reminders; /* chat_reminders.c */
    struct chat_assistants *assistants;
    struct chat_tool_row *tools; /* chat_toolbox.c */
    size_t tool_count;
    struct {
        const struct kit_event *list;
        size_t count;
    } rows[CHAT_ROWS_MAX];
    size_t row_count;
    struct {
        struct kit_event event;
        char path[64];
    } aliases[CHAT_ALIASES_MAX];
    size_t alias_count;
    atomic_bool is_stopping; /* no turn begins any more */
};

/* Of the connections at /ws/{session_id}. */
enum chat_dialect_kind { CHAT_DIALECT_AUTO, CHAT_DIALECT_TYPED, CHAT_DIALECT_TEACHING };

/* The values of its options: chat_options.c. */
struct chat_config {
    const char *assistants_file;
    uint32_t turns_per_user_max, queued_messages_max;
    uint32_t turn_time_max_ms, turn_steps_max, turn_equal_calls_max, turn_tokens_max, turn_lease_ms;
    uint32_t token_interval_ms;
    uint32_t context_turns_max;
    size_t context_bytes_max;
    uint32_t message_max_bytes;
    size_t log_bytes_max;
    uint32_t chats_per_user_max, chats_watched_max;
    uint32_t session_idle_s, abandon_after_ms;
    size_t tree_max_bytes;
    uint32_t tree_nodes_max;
    uint32_t reminders_max, questions_per_user_max;
    int ws_dialect; /* enum chat_dialect_kind */
    uint32_t replay_entries_max;
    size_t replay_bytes_max, export_bytes_max;
};
extern const struct kit_option_set chat_options;
extern const char *const chat_migrations[]; /* chat_schema.c */

/* ------------------------------------------------------------------- peers */

struct chat_peer {
    struct chat *chat;
    const struct chat_peer_ops *ops;
    struct kit_claims *claims;
    struct kit_user *user;
    char connection_id[KIT_ID_SIZE];
    char chat_id[KIT_ID_SIZE]; /* of its last session.init; "" */
    bool makes_chats;
    void *ctx;
    struct chat_listener *listeners; /* chat_room.c */
    size_t listener_count;
    struct chat_ask *asks;
    char sid[KIT_SID_SIZE]; /* of a socket; "": another kind */
    UT_hash_handle hh;
};

int chat_peers_start(struct chat *chat);
/* Of an event's request; NULL: it is gone, or came over HTTP. */
struct chat_peer *chat_peer_of(const struct kit_request *request);
/* A peer that is a socket joins the rooms of a chat that it listens to, and of its session, for emitters. Returns 0, or
 * a negative code: it does not listen then. */
int chat_peer_join(struct chat_peer *peer, const struct chat_row *row);
/* The peer has left a chat. */
void chat_peer_left(struct chat_peer *peer, const struct chat_listener *listener);
/* Opens events in the namespace, over HTTP, and for peers. The table must be static. */
int chat_open_events(struct chat *chat, const struct kit_event *events, size_t count);
/* Opens paths; those below CHATS_PATH by the widget's name for it, too. The table must be static. */
int chat_open_paths(struct chat *chat, const struct kit_event *events, size_t count);
/* In read: request->about is the payload's chat_id, or the peer's chat. Returns 0, or 400. */
int chat_read_about(struct kit_request *request, const json_t *payload);

/* ------------------------------------------------------------------- store */

/* A row of the table chats. */
struct chat_row {
    int64_t key;
    char chat_id[KIT_ID_SIZE];
    char user[KIT_USER_SIZE], tenant[KIT_USER_SIZE];
    char assistant[KIT_ID_SIZE], title[160];
    char time_zone[KIT_ZONE_SIZE]; /* of its user; "": the server's */
    char session_id[KIT_ID_SIZE], intent_id[KIT_ID_SIZE], intent_state[16], taken_by[KIT_USER_SIZE];
    int64_t seq, log_bytes, created_ms, updated_ms, tree_version;
    char pieces[64]; /* the process that has entries which are not in the log yet; "": none. seq counts them */
    bool is_owner;   /* who asks is its user */
};
enum chat_right { CHAT_OWN, CHAT_WATCH };
/* Fails with 404 if the chat does not exist or belongs to another user, with 403 if the caller may only watch it. */
int chat_find(struct kit_db *db, const struct kit_claims *claims, const char *chat_id, enum chat_right right,
              struct chat_row *row, struct kit_failure *failure);
/* *key 0: no chat has this id. */
int chat_find_key(struct kit_db *db, const char *chat_id, int64_t *key, struct kit_failure *failure);
int chat_read_row(struct kit_db *db, int64_t key, struct chat_row *row, struct kit_failure *failure);
/* The payload's time_zone; "": none, or not known here. */
void chat_read_zone(const json_t *payload, char zone[KIT_ZONE_SIZE]);
/* Where the chat's user is from now on; zone "": as before. */
int chat_set_zone(struct kit_db *db, struct chat_row *row, const char *zone, struct kit_failure *failure);
/* What session.init answers of it: fields of an object, each with a comma in front. */
int chat_snapshot(struct kit_db *db, const struct chat_row *row, struct sio_builder *out, struct kit_failure *failure);
/* Ends the chat's session, if it has one; appends to the batch and writes it. */
int chat_session_end(struct kit_db *db, const struct chat_row *row, const char *reason, struct chat_batch *batch,
                     struct kit_failure *failure);
/* What a supervisor says who took the chat over: 403 if it is another's. In the write of its request. */
int chat_takeover_answer(struct kit_db *db, struct kit_request *request, const struct chat_row *row, const char *id,
                         const char *content, struct chat_batch *batch);
/* "chat_" and 22 random letters. */
void chat_make_id(char id[KIT_ID_SIZE], const char *prefix);

/* ------------------------------------------------------------------- parts */

/* Each returns 0 or a negative code. */
int chat_session_start(struct chat *chat);
int chat_message_start(struct chat *chat);
int chat_answer_start(struct chat *chat);
int chat_stop_start(struct chat *chat);
int chat_takeover_start(struct chat *chat);
int chat_history_start(struct chat *chat);
int chat_document_start(struct chat *chat);
int chat_post_start(struct chat *chat);
int chat_sweep_start(struct chat *chat);
int chat_edit_start(struct chat *chat);
int chat_tools_tree_start(struct chat *chat);
int chat_tools_search_start(struct chat *chat);
int chat_tools_alarm_start(struct chat *chat);
int chat_tools_teach_start(struct chat *chat);
void chat_sweep_pause(struct chat *chat);
void chat_sweep_stop(struct chat *chat);
/* Nobody waits for the answer to this question any more. */
void chat_sweep_expire(struct chat *chat, const struct chat_row *row, const char *elicitation_id);
/* The chat's own user has left it in this process. */
void chat_sweep_left(struct chat *chat, const char *chat_id);

#endif
