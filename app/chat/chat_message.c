/* What the user says: chat.message, and what begins a turn anew: chat.regenerate, chat.edit. Stored with its entry and
 * its turn in one operation; the turn then runs in this process. */
#include "chat_room.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

struct message {
    struct kit_request request;
    char id[KIT_ID_SIZE], connection_id[KIT_ID_SIZE], zone[KIT_ZONE_SIZE];
    char *content; /* NULL: chat.regenerate */
    bool is_edit, queues, has_share;

    /* What run found out. */
    struct chat_row row;
    struct chat_turn_row turn;
    struct chat_batch batch;
    struct chat_turn_load load; /* of the turn that runs now */
    bool is_repeat, is_queued, begins;
    uint64_t *limit; /* the counter of what it was refused for; NULL */
};

static int read_message(struct kit_request *request, const json_t *payload)
{
    struct message *message = KIT_REQUEST(message, request);
    const struct chat_peer *peer = chat_peer_of(request);
    const char *content = json_string_value(json_object_get(payload, "content"));
    struct chat *chat = request->state;
    kit_copy_text(message->id, sizeof message->id, payload, "id");
    if (!message->id[0]) kit_copy_text(message->id, sizeof message->id, payload, "ref_id");
    if (!message->id[0]) chat_make_id(message->id, "msg_");
    message->queues = json_is_true(json_object_get(payload, "queue"));
    message->is_edit = !strcmp(request->event->name, "chat.edit");
    snprintf(message->connection_id, sizeof message->connection_id, "%s", peer ? peer->connection_id : "http");
    chat_read_zone(payload, message->zone);
    if (content && !(message->content = strdup(content)))
        return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    if (!content || strlen(content) <= chat->config->message_max_bytes) return chat_read_about(request, payload);
    message->limit = &chat->counters.refused_texts;
    return kit_fail(&request->op.failure, 413, "/content", "must be at most %u bytes", chat->config->message_max_bytes);
}

/* A user's turns have a share of this process. */
static void start_message(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    message->has_share = !chat_share_take(request->state, request->claims, &request->op.failure);
    if (message->has_share)
        kit_request_submit(request);
    else
        kit_request_finish(request);
}

/* ------------------------------------------------------------------- parts */

/* The latest attempt at an answer to this message. */
static int find_latest(struct kit_db *db, const struct message *message, struct chat_turn_row *turn, bool *found,
                       struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT id FROM chat_turns WHERE chat=? AND ref_id=? ORDER BY attempt DESC LIMIT 1",
                     "it", message->row.key, message->id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *found = step == KIT_ROW;
    int64_t id = *found ? kit_rows_int(&rows, 0) : 0;
    kit_rows_end(&rows);
    return *found ? chat_turn_read_row(db, id, turn, failure) : 0;
}

/* Whether another turn of the chat is not over. */
static int check_free(struct kit_db *db, struct message *message, struct kit_failure *failure)
{
    struct chat *chat = message->request.state;
    struct kit_rows rows;
    if (kit_db_query(db, &rows,
                     "SELECT count(*) FROM chat_turns WHERE chat=? AND state IN ('running', 'waiting', 'queued')", "i",
                     message->row.key) != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t count = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    message->is_queued = count > 0;
    if (!count) return 0;
    if (!message->queues) return kit_fail(failure, 409, NULL, "a turn is running in this chat");
    if (count <= chat->config->queued_messages_max) return 0;
    message->limit = &chat->counters.refused_queued;
    return kit_fail(failure, 429, NULL, "too many messages are queued in this chat (limit: %u)",
                    chat->config->queued_messages_max);
}

static int check_log(struct message *message, struct kit_failure *failure)
{
    struct chat *chat = message->request.state;
    if ((size_t)message->row.log_bytes < chat->config->log_bytes_max) return 0;
    message->limit = &chat->counters.refused_full;
    return kit_fail(failure, 413, NULL, "this chat is full; begin another one");
}

/* The user's message in the history, as far as it is a new one. */
static int add_message(struct kit_db *db, struct message *message, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows,
                     "INSERT INTO chat_history(user_id, user_chat_id, socket_connection_id, session_id, user_intent_id,"
                     " message_type, content, timestamp, chat, ref_id, attempt)"
                     " VALUES (?, ?, ?, '', '', 'user', ?, ?, ?, ?, ?) RETURNING id",
                     "ttttiiti", message->row.user, message->row.chat_id, message->connection_id, message->content,
                     message->request.now_ms, message->row.key, message->id, message->turn.attempt) != KIT_ROW)
        return kit_db_fail(db, failure);
    message->turn.history = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    return 0;
}

static int add_turn(struct kit_db *db, struct message *message, struct kit_failure *failure)
{
    const struct chat *chat = message->request.state;
    struct chat_turn_row *turn = &message->turn;
    bool is_held = message->row.taken_by[0] != 0;
    const char *state = is_held ? "held" : message->is_queued ? "queued" : "running";
    struct kit_rows rows;
    message->begins = !is_held && !message->is_queued;
    if (kit_db_query(
            db, &rows,
            "INSERT INTO chat_turns(chat, ref_id, attempt, state, owner, lease_ms, content, session_id, intent_id,"
            " connection_id, started_ms, first_seq, history)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, '', '', ?, ?, ?, ?) RETURNING id",
            "ititt"
            "ittiii",
            message->row.key, message->id, turn->attempt, state, message->begins ? chat->owner : "",
            chat_lease_until(chat->config), message->content, message->connection_id, message->request.now_ms,
            message->row.seq, turn->history) != KIT_ROW)
        return kit_db_fail(db, failure);
    turn->id = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    return 0;
}

static void add_entry(struct message *message)
{
    char at[25];
    kit_time_text((uint64_t)message->request.now_ms, at);
    json_t *payload = json_pack("{s:s, s:s, s:s, s:s}", "id", message->id, "content", message->content, "from",
                                message->row.user, "timestamp", at);
    if (message->turn.attempt > 1) json_object_set_new(payload, "attempt", json_integer(message->turn.attempt));
    if (message->is_queued) json_object_set_new(payload, "queued", json_true());
    if (message->turn.intent_id[0]) {
        json_object_set_new(payload, "session_id", json_string(message->turn.session_id));
        json_object_set_new(payload, "intent_id", json_string(message->turn.intent_id));
    }
    chat_batch_add(&message->batch, "chat.message", payload);
}

/* The first words of the first message. */
static int touch_chat(struct kit_db *db, const struct message *message, struct kit_failure *failure)
{
    char title[81];
    const char *content = message->content;
    size_t n = strcspn(content, "\r\n");
    if (n > sizeof title - 1) n = sizeof title - 1;
    while (n && n < strlen(content) && (content[n] & 0xC0) == 0x80) n--; /* not within a character */
    snprintf(title, sizeof title, "%.*s", (int)n, content);
    if (kit_db_run(db, "UPDATE chats SET updated_ms=?, title=CASE WHEN title='' THEN ? ELSE title END WHERE id=?",
                   "iti", message->request.now_ms, title, message->row.key))
        return kit_db_fail(db, failure);
    return 0;
}

/* Message, turn and entry of an attempt whose number is known. */
static int add_attempt(struct kit_db *db, struct message *message, bool says)
{
    struct chat *chat = message->request.state;
    struct kit_failure *failure = &message->request.op.failure;
    int code = chat_set_zone(db, &message->row, message->zone, failure);
    if (!code && says) code = add_message(db, message, failure);
    if (!code) code = add_turn(db, message, failure);
    if (!code && !message->is_queued) code = chat_intent_enter(db, &message->row, &message->turn, failure);
    if (says) add_entry(message);
    if (!code) code = chat_batch_write(db, message->row.key, &message->batch, failure);
    if (!code) code = touch_chat(db, message, failure);
    if (!code && message->begins) code = chat_turn_load(db, chat->config, message->turn.id, &message->load, failure);
    return code;
}

/* --------------------------------------------------------------------- run */

static void begin_run(struct message *message)
{
    chat_batch_clear(&message->batch);
    chat_batch_init(&message->batch, message->request.about);
    chat_turn_load_clear(&message->load);
    memset(&message->turn, 0, sizeof message->turn);
    message->is_repeat = message->is_queued = message->begins = false;
    message->limit = NULL;
}

static void put_repeat(struct message *message)
{
    message->is_repeat = true;
    sio_builder_put(&message->request.json, ",\"duplicate\":true,\"state\":");
    kit_put_text(&message->request.json, message->turn.state);
    sio_builder_put(&message->request.json, ",\"since_seq\":");
    kit_put_int(&message->request.json, message->turn.first_seq);
}

static int run_message(struct kit_db *db, struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    struct kit_failure *failure = &request->op.failure;
    bool found = false;
    begin_run(message);
    int code = chat_find(db, request->claims, request->about, CHAT_WATCH, &message->row, failure);
    if (!code && !message->row.is_owner)
        return chat_takeover_answer(db, request, &message->row, message->id, message->content, &message->batch);
    if (!code) code = find_latest(db, message, &message->turn, &found, failure);
    if (code) return code;
    if (found) {
        put_repeat(message);
        return 0;
    }
    message->turn.attempt = 1;
    code = check_free(db, message, failure);
    if (!code) code = check_log(message, failure);
    return code ? code : add_attempt(db, message, true);
}

/* What followed a message is kept, and no longer part of the conversation. */
static int replace_from(struct kit_db *db, const struct message *message, int64_t history, struct kit_failure *failure)
{
    if (kit_db_run(db, "UPDATE chat_turns SET is_replaced=1 WHERE chat=? AND id>=?", "ii", message->row.key,
                   message->turn.id) ||
        kit_db_run(db, "UPDATE chat_history SET replaced=1 WHERE chat=? AND id>=?", "ii", message->row.key, history))
        return kit_db_fail(db, failure);
    return 0;
}

static int load_content(struct kit_db *db, struct message *message, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT content FROM chat_turns WHERE id=?", "i", message->turn.id) != KIT_ROW)
        return kit_db_fail(db, failure);
    free(message->content);
    message->content = strdup(kit_rows_text(&rows, 0));
    kit_rows_end(&rows);
    return message->content ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* The first turn of a message that an edit or a new answer starts from: those of later attempts stand behind it. */
static int find_first(struct kit_db *db, struct message *message, int64_t *first, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT min(id) FROM chat_turns WHERE chat=? AND ref_id=?", "it", message->row.key,
                     message->id) != KIT_ROW)
        return kit_db_fail(db, failure);
    *first = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    return 0;
}

static int run_again(struct kit_db *db, struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    struct kit_failure *failure = &request->op.failure;
    bool found = false;
    int64_t first = 0;
    begin_run(message);
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &message->row, failure);
    if (!code) code = find_latest(db, message, &message->turn, &found, failure);
    if (!code && !found) code = kit_fail(failure, 404, message->is_edit ? "/id" : "/ref_id", "message not found");
    if (!code) code = check_free(db, message, failure);
    if (!code) code = check_log(message, failure);
    if (!code && !message->is_edit) code = load_content(db, message, failure);
    if (!code) code = find_first(db, message, &first, failure);
    if (code) return code;
    int64_t last = message->turn.history;
    message->turn.id = first;
    code = replace_from(db, message, message->is_edit ? last : last + 1, failure);
    message->turn.attempt++;
    return code ? code : add_attempt(db, message, message->is_edit);
}

/* ------------------------------------------------------------------- reply */

static void reply_message(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    struct chat *chat = request->state;
    sio_builder_put(&request->json, ",\"ref_id\":");
    kit_put_text(&request->json, message->id);
    sio_builder_put(&request->json, ",\"chat_id\":");
    kit_put_text(&request->json, request->about);
    if (message->turn.attempt > 1) {
        sio_builder_put(&request->json, ",\"attempt\":");
        kit_put_int(&request->json, message->turn.attempt);
    }
    if (message->is_queued) sio_builder_put(&request->json, ",\"queued\":true");
    if (message->batch.count) {
        sio_builder_put(&request->json, ",\"seq\":");
        kit_put_int(&request->json, message->batch.last_seq);
    }
    if (!message->is_repeat) chat->counters.messages++;
    chat_batch_send(chat, &message->batch);
    if (message->begins) chat_turn_begin(chat, &message->load, request->claims);
}

static void clear_message(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    if (message->limit) ++*message->limit;
    if (message->has_share) chat_share_return(request->state, request->claims->tenant, request->claims->sub);
    chat_batch_clear(&message->batch);
    chat_turn_load_clear(&message->load);
    free(message->content);
}

int chat_message_start(struct chat *chat)
{
#define MESSAGE(event, function)                                                                                \
    {                                                                                                           \
        .name = event, .size = sizeof(struct message), .way = KIT_WRITE, .read = read_message, .run = function, \
        .start = start_message, .reply = reply_message, .clear = clear_message                                  \
    }
    static const struct kit_event events[] = {
        MESSAGE("chat.message", run_message),
        MESSAGE("chat.edit", run_again),
        MESSAGE("chat.regenerate", run_again),
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
