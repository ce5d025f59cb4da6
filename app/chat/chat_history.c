/* What is stored of chats: pages of messages and of chats, export, deletion, whether an answer helped. */
#include "chat_nodes.h"
#include "chat_room.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

/* ----------------------------------------------------------------- messages */

struct history {
    struct kit_request request;
    int64_t before, limit;
    struct chat_row row;
};

static int read_history(struct kit_request *request, const json_t *payload)
{
    struct history *history = KIT_REQUEST(history, request);
    history->before = INT64_MAX;
    history->limit = PAGE_DEFAULT;
    kit_json_int64(json_object_get(payload, "before"), 1, INT64_MAX, &history->before);
    kit_json_int64(json_object_get(payload, "limit"), 1, PAGE_MAX, &history->limit);
    return chat_read_about(request, payload);
}

static void put_text(struct sio_builder *out, const char *name, const char *text)
{
    sio_builder_put(out, ",");
    kit_put_text(out, name);
    sio_builder_put(out, ":");
    kit_put_text(out, text ? text : "");
}

static void put_flag(struct sio_builder *out, const char *name, bool value)
{
    sio_builder_put(out, ",");
    kit_put_text(out, name);
    sio_builder_put(out, value ? ":true" : ":false");
}

/* A row of (id, message_type, content, timestamp, ref_id, attempt, replaced, is_complete, abandoned, data, user_id,
 * user_chat_id, socket_connection_id, session_id, user_intent_id, helpful: -1, 0 or 1). */
static void put_message(struct sio_builder *out, const struct kit_rows *rows)
{
    static const char *const ids[] = {"user_id", "user_chat_id", "socket_connection_id", "session_id",
                                      "user_intent_id"};
    const char *data = kit_rows_text(rows, 9);
    sio_builder_put(out, "{\"id\":");
    kit_put_int(out, kit_rows_int(rows, 0));
    put_text(out, "type", kit_rows_text(rows, 1));
    put_text(out, "content", kit_rows_text(rows, 2));
    sio_builder_put(out, ",\"timestamp\":");
    kit_put_time(out, kit_rows_int(rows, 3));
    put_text(out, "ref_id", kit_rows_text(rows, 4));
    sio_builder_put(out, ",\"attempt\":");
    kit_put_int(out, kit_rows_int(rows, 5));
    put_flag(out, "replaced", kit_rows_int(rows, 6) != 0);
    put_flag(out, "is_complete", kit_rows_int(rows, 7) != 0);
    put_flag(out, "abandoned", kit_rows_int(rows, 8) != 0);
    if (data && *data) {
        sio_builder_put(out, ",\"data\":");
        sio_builder_put(out, data);
    }
    for (int i = 0; i < 5; i++) put_text(out, ids[i], kit_rows_text(rows, 10 + i));
    if (kit_rows_int(rows, 15) >= 0) put_flag(out, "helpful", kit_rows_int(rows, 15) != 0);
    sio_builder_put(out, "}");
}

static enum kit_step query_messages(struct kit_db *db, struct kit_rows *rows, int64_t chat_key, int64_t before,
                                    int64_t limit)
{
    return kit_db_query(db, rows,
                        "SELECT latest.*, CASE WHEN message_type='ai' THEN coalesce(f.helpful, -1) ELSE -1 END FROM"
                        " (SELECT id, message_type, content, timestamp, ref_id, attempt, replaced,"
                        " is_complete, abandoned, data, user_id, user_chat_id, socket_connection_id, session_id,"
                        " user_intent_id FROM chat_history WHERE chat=?1 AND id<?2 ORDER BY id DESC LIMIT ?3)"
                        " AS latest LEFT JOIN chat_feedback f ON f.chat=?1 AND f.ref_id=latest.ref_id AND"
                        " f.attempt=latest.attempt AND f.user_id=latest.user_id ORDER BY latest.id",
                        "iii", chat_key, before, limit);
}

/* Whether rows stand before that one. */
static int find_older(struct kit_db *db, const struct history *history, int64_t first, bool *found,
                      struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT 1 FROM chat_history WHERE chat=? AND id<? LIMIT 1", "ii",
                                      history->row.key, first);
    *found = step == KIT_ROW;
    if (*found) kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int put_messages(struct kit_db *db, const struct history *history, struct sio_builder *out,
                        struct kit_failure *failure)
{
    struct kit_rows rows;
    int64_t count = 0, first = 0;
    bool has_older = false;
    enum kit_step step = query_messages(db, &rows, history->row.key, history->before, history->limit);
    sio_builder_put(out, ",\"messages\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (count) sio_builder_put(out, ",");
        if (!count++) first = kit_rows_int(&rows, 0);
        put_message(out, &rows);
    }
    sio_builder_put(out, "]");
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    int code = count == history->limit ? find_older(db, history, first, &has_older, failure) : 0;
    put_flag(out, "more", has_older);
    return code;
}

static int run_history(struct kit_db *db, struct kit_request *request)
{
    struct history *history = KIT_REQUEST(history, request);
    int code = chat_find(db, request->claims, request->about, CHAT_WATCH, &history->row, &request->op.failure);
    return code ? code : put_messages(db, history, &request->json, &request->op.failure);
}

/* ------------------------------------------------------------------- export */

struct export
{
    struct kit_request request;
    bool is_text;
    struct chat_row row;
};

static void clear_export(struct kit_request *request)
{
    struct chat *chat = request->state;
    if (request->op.failure.code == 413) chat->counters.refused_exports++;
}

static int read_export(struct kit_request *request, const json_t *payload)
{
    const char *format = json_string_value(json_object_get(payload, "format"));
    KIT_REQUEST(export, request)->is_text = format && !strcmp(format, "text");
    return chat_read_about(request, payload);
}

static void put_line(struct sio_builder *out, const struct kit_rows *rows)
{
    char at[25];
    const char *type = kit_rows_text(rows, 1);
    kit_time_text((uint64_t)kit_rows_int(rows, 3), at);
    sio_builder_put(out, "[");
    sio_builder_put(out, at);
    sio_builder_put(out, "] ");
    sio_builder_put(out, type);
    sio_builder_put(out, kit_rows_int(rows, 6) ? " (replaced): " : ": ");
    sio_builder_put(out, kit_rows_text(rows, 2));
    sio_builder_put(out, "\n");
}

static int put_export(struct kit_db *db, struct export *export, struct kit_failure *failure)
{
    struct kit_request *request = &export->request;
    struct chat *chat = request->state;
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step = query_messages(db, &rows, export->row.key, INT64_MAX, INT64_MAX);
    if (!export->is_text) put_text(&request->json, "title", export->row.title);
    if (!export->is_text) sio_builder_put(&request->json, ",\"messages\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (request->json.size > chat->config->export_bytes_max)
            return kit_fail(failure, 413, NULL, "the export would be larger than %zu bytes",
                            chat->config->export_bytes_max);
        if (!export->is_text && count++) sio_builder_put(&request->json, ",");
        if (export->is_text)
            put_line(&request->json, &rows);
        else
            put_message(&request->json, &rows);
    }
    if (!export->is_text) sio_builder_put(&request->json, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int run_export(struct kit_db *db, struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    int code = chat_find(db, request->claims, request->about, CHAT_WATCH, &export->row, &request->op.failure);
    if (!code && export->is_text) kit_request_set_type(request, "text/plain; charset=utf-8");
    return code ? code : put_export(db, export, &request->op.failure);
}

/* --------------------------------------------------------------------- list */

struct list {
    struct kit_request request;
    int64_t before_ms, before_key, limit;
    bool all;
};

/* "ms.key", or "ms" alone. */
static bool read_before(const char *text, struct list *list)
{
    const char *dot = strchr(text, '.');
    struct eio_str ms = {text, dot ? (size_t)(dot - text) : strlen(text)};
    return kit_text_int64(ms, 0, INT64_MAX, &list->before_ms) &&
           (!dot || kit_text_int64(eio_str(dot + 1), 0, INT64_MAX, &list->before_key));
}

static int read_list(struct kit_request *request, const json_t *payload)
{
    struct list *list = KIT_REQUEST(list, request);
    const char *before = json_string_value(json_object_get(payload, "before"));
    list->before_ms = list->before_key = INT64_MAX;
    list->limit = PAGE_DEFAULT;
    list->all = json_is_true(json_object_get(payload, "all"));
    kit_json_int64(json_object_get(payload, "limit"), 1, PAGE_MAX, &list->limit);
    if (before && !read_before(before, list))
        return kit_fail(&request->op.failure, 400, "/before", "must be `next` of the page before");
    if (!list->all || (kit_claims_allow_chat(request->claims, "") && request->claims->all_chats)) return 0;
    return kit_fail(&request->op.failure, 403, "/all", "this token may not watch all chats");
}

/* A row of (id, chat_id, user_id, title, assistant, created_ms, updated_ms, seq, intent_state, taken_by). */
static void put_chat(struct sio_builder *out, const struct kit_rows *rows)
{
    const char *state = kit_rows_text(rows, 8), *by = kit_rows_text(rows, 9);
    sio_builder_put(out, "{\"chat_id\":");
    kit_put_text(out, kit_rows_text(rows, 1));
    put_text(out, "user", kit_rows_text(rows, 2));
    put_text(out, "title", kit_rows_text(rows, 3));
    put_text(out, "assistant", kit_rows_text(rows, 4));
    sio_builder_put(out, ",\"created_at\":");
    kit_put_time(out, kit_rows_int(rows, 5));
    sio_builder_put(out, ",\"updated_at\":");
    kit_put_time(out, kit_rows_int(rows, 6));
    sio_builder_put(out, ",\"seq\":");
    kit_put_int(out, kit_rows_int(rows, 7));
    put_text(out, "state", state && *state ? state : "completed");
    if (by && *by) put_text(out, "taken_by", by);
    sio_builder_put(out, "}");
}

/* One more than the page has, which shows whether there is another. */
static enum kit_step query_chats(struct kit_db *db, struct kit_rows *rows, const struct list *list)
{
    const struct kit_claims *claims = list->request.claims;
    if (list->all)
        return kit_db_query(db, rows,
                            "SELECT id, chat_id, user_id, title, assistant, created_ms, updated_ms, seq, intent_state,"
                            " taken_by FROM chats WHERE tenant=?1 AND (updated_ms<?2 OR (updated_ms=?2 AND id<?3))"
                            " ORDER BY updated_ms DESC, id DESC LIMIT ?4",
                            "tiii", claims->tenant, list->before_ms, list->before_key, list->limit + 1);
    return kit_db_query(db, rows,
                        "SELECT id, chat_id, user_id, title, assistant, created_ms, updated_ms, seq, intent_state,"
                        " taken_by FROM chats WHERE tenant=?1 AND user_id=?2 AND (updated_ms<?3 OR (updated_ms=?3 AND"
                        " id<?4)) ORDER BY updated_ms DESC, id DESC LIMIT ?5",
                        "ttiii", claims->tenant, claims->sub, list->before_ms, list->before_key, list->limit + 1);
}

static int run_list(struct kit_db *db, struct kit_request *request)
{
    struct list *list = KIT_REQUEST(list, request);
    struct sio_builder *out = &request->json;
    struct kit_rows rows;
    char next[48] = "";
    int64_t count = 0;
    enum kit_step step = query_chats(db, &rows, list);
    sio_builder_put(out, ",\"chats\":[");
    for (; step == KIT_ROW && count < list->limit; step = kit_rows_next(&rows)) {
        if (count++) sio_builder_put(out, ",");
        put_chat(out, &rows);
        snprintf(next, sizeof next, "%lld.%lld", (long long)kit_rows_int(&rows, 6), (long long)kit_rows_int(&rows, 0));
    }
    sio_builder_put(out, "]");
    if (step == KIT_ROW) {
        put_text(out, "next", next);
        kit_rows_end(&rows);
    }
    return step == KIT_FAILED ? kit_db_fail(db, &request->op.failure) : 0;
}

/* ------------------------------------------------------------------ deletion */

struct deletion {
    struct kit_request request;
    struct chat_row row;
    struct chat_turn_row turn;
    bool runs;
};

static int run_delete(struct kit_db *db, struct kit_request *request)
{
    struct deletion *deletion = KIT_REQUEST(deletion, request);
    struct kit_failure *failure = &request->op.failure;
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &deletion->row, failure);
    if (!code) code = chat_turn_find_open(db, deletion->row.key, &deletion->turn, &deletion->runs, failure);
    if (!code && kit_db_run(db, "DELETE FROM chats WHERE id=?", "i", deletion->row.key))
        code = kit_db_fail(db, failure);
    return code ? code : chat_pieces_forget(db, deletion->row.pieces, deletion->row.key, failure);
}

static void reply_delete(struct kit_request *request)
{
    const struct deletion *deletion = KIT_REQUEST(deletion, request);
    struct chat *chat = request->state;
    struct chat_turn *turn = chat_turn_find(chat, request->about);
    if (turn)
        chat_turn_drop(turn);
    else if (deletion->runs)
        chat_nodes_stop(chat, request->about, deletion->turn.id);
    chat_send_end(chat, request->about);
    chat->counters.deleted++;
}

/* ------------------------------------------------------------------ feedback */

struct feedback {
    struct kit_request request;
    char ref_id[KIT_ID_SIZE];
    bool helpful;
    struct chat_batch batch;
};

static int read_feedback(struct kit_request *request, const json_t *payload)
{
    struct feedback *feedback = KIT_REQUEST(feedback, request);
    kit_copy_text(feedback->ref_id, sizeof feedback->ref_id, payload, "ref_id");
    feedback->helpful = json_is_true(json_object_get(payload, "helpful"));
    return chat_read_about(request, payload);
}

/* *changed: it is another vote than before. */
static int store_vote(struct kit_db *db, const struct feedback *feedback, const struct chat_row *row, int64_t attempt,
                      bool *changed)
{
    const struct kit_request *request = &feedback->request;
    int64_t count = kit_db_change(
        db,
        "INSERT INTO chat_feedback(chat, ref_id, attempt, user_id, helpful, at_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (chat, ref_id, attempt, user_id) DO UPDATE SET helpful = excluded.helpful,"
        " at_ms = excluded.at_ms WHERE chat_feedback.helpful <> excluded.helpful",
        "ititii", row->key, feedback->ref_id, attempt, request->claims->sub, (int64_t)feedback->helpful,
        request->now_ms);
    *changed = count > 0;
    return count < 0 ? -1 : 0;
}

/* In the log, for the other tabs and for who comes back. */
static int run_feedback(struct kit_db *db, struct kit_request *request)
{
    struct feedback *feedback = KIT_REQUEST(feedback, request);
    struct kit_failure *failure = &request->op.failure;
    struct chat_row row;
    struct kit_rows rows;
    bool changed;
    chat_batch_clear(&feedback->batch);
    chat_batch_init(&feedback->batch, request->about);
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &row, failure);
    if (code) return code;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT attempt FROM chat_turns WHERE chat=? AND ref_id=? ORDER BY attempt DESC LIMIT 1", "it",
        row.key, feedback->ref_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/ref_id", "message not found");
    int64_t attempt = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    if (store_vote(db, feedback, &row, attempt, &changed)) return kit_db_fail(db, failure);
    put_flag(&request->json, "helpful", feedback->helpful);
    if (!changed) return 0;
    chat_batch_set_ref(&feedback->batch, feedback->ref_id, attempt);
    chat_batch_add(&feedback->batch, "chat.feedback", json_pack("{s:b}", "helpful", feedback->helpful));
    return chat_batch_write(db, row.key, &feedback->batch, failure);
}

static void reply_feedback(struct kit_request *request)
{
    chat_batch_send(request->state, &KIT_REQUEST(feedback, request)->batch);
}

static void clear_feedback(struct kit_request *request)
{
    chat_batch_clear(&KIT_REQUEST(feedback, request)->batch);
}

int chat_history_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "chat.history",
         .size = sizeof(struct history),
         .way = KIT_READ,
         .read = read_history,
         .run = run_history,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_GET,
         .path = CHATS_PATH "/{chat_id}/messages"},
        {.name = "chat.list",
         .size = sizeof(struct list),
         .way = KIT_READ,
         .read = read_list,
         .run = run_list,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_GET,
         .path = CHATS_PATH},
        {.name = "chat.delete",
         .size = sizeof(struct deletion),
         .way = KIT_WRITE,
         .read = chat_read_about,
         .run = run_delete,
         .reply = reply_delete,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_DELETE,
         .path = CHATS_PATH "/{chat_id}"},
        {.name = "chat.feedback",
         .size = sizeof(struct feedback),
         .way = KIT_WRITE,
         .read = read_feedback,
         .run = run_feedback,
         .reply = reply_feedback,
         .clear = clear_feedback,
         .roles = CHAT_ROLES},
    };
    static const struct kit_event paths[] = {
        {.name = "chat.export",
         .size = sizeof(struct export),
         .way = KIT_READ,
         .read = read_export,
         .run = run_export,
         .clear = clear_export,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_GET,
         .path = CHATS_PATH "/{chat_id}/export"},
    };
    int error = chat_open_events(chat, events, sizeof events / sizeof events[0]);
    return error ? error : chat_open_paths(chat, paths, 1);
}
