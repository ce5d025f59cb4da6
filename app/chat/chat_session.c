/* session.init: opens a chat or resumes one; and session.close. What has to be known of the chat is read in the
 * operation that resumes it, while this process already takes the chat's entries; the peer gets those behind it from
 * then on. */
#include "chat_assistants.h"
#include "chat_room.h"

#include <stdlib.h>
#include <string.h>

struct init {
    struct kit_request request;
    struct chat_room *room; /* held */
    struct chat_row row;
    bool is_new;     /* no chat_id was given */
    bool makes_chat; /* an unknown one is a new chat */
    bool has_since;
    int64_t since_seq;
    unsigned want;
    bool has_too_many; /* chats */
    char assistant[KIT_ID_SIZE], zone[KIT_ZONE_SIZE];
};

static unsigned read_want(const json_t *payload)
{
    static const char *const names[] = {"patch", "debug", "reasoning"};
    const json_t *list = json_object_get(payload, "want"), *one;
    unsigned want = 0;
    size_t i;
    json_array_foreach(list, i, one) for (unsigned k = 0; k < 3; k++)
    {
        if (!strcmp(json_string_value(one), names[k])) want |= 1u << k;
    }
    return want;
}

static int read_init(struct kit_request *request, const json_t *payload)
{
    struct init *init = KIT_REQUEST(init, request);
    const struct chat *chat = request->state;
    const struct chat_peer *peer = chat_peer_of(request);
    const json_t *since_seq = json_object_get(payload, "since_seq");
    kit_copy_text(request->about, sizeof request->about, payload, "chat_id");
    kit_copy_text(init->assistant, sizeof init->assistant, payload, "assistant");
    init->is_new = !request->about[0];
    if (init->is_new) chat_make_id(request->about, "chat_");
    init->makes_chat = init->is_new || (peer && peer->makes_chats);
    init->want = read_want(payload);
    chat_read_zone(payload, init->zone);
    init->has_since = since_seq && kit_json_int64(since_seq, 0, INT64_MAX, &init->since_seq);
    if (since_seq && !init->has_since)
        return kit_fail(&request->op.failure, 400, "/since_seq", "must be a non-negative integer");
    if (!peer || chat_listener_find(peer, request->about) || peer->listener_count < chat->config->chats_watched_max)
        return 0;
    ((struct chat *)request->state)->counters.refused_listeners++;
    return kit_fail(&request->op.failure, 429, NULL, "this connection is watching too many chats");
}

static void start_init(struct kit_request *request)
{
    struct init *init = KIT_REQUEST(init, request);
    init->room = chat_room_hold(request->state, request->about);
    if (init->room) {
        kit_request_submit(request);
        return;
    }
    kit_fail(&request->op.failure, 503, NULL, "out of memory");
    kit_request_finish(request);
}

/* -------------------------------------------------------------------- chat */

static int check_share(struct kit_db *db, struct init *init, struct kit_failure *failure)
{
    const struct kit_claims *claims = init->request.claims;
    const struct chat *chat = init->request.state;
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM chats WHERE tenant=? AND user_id=?", "tt", claims->tenant,
                     claims->sub) != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    if (count < chat->config->chats_per_user_max) return 0;
    init->has_too_many = true;
    return kit_fail(failure, 429, NULL, "you have too many chats (limit: %u); delete some",
                    chat->config->chats_per_user_max);
}

static int make_chat(struct kit_db *db, struct init *init, struct kit_failure *failure)
{
    const struct kit_request *request = &init->request;
    const struct chat_assistant *assistant = chat_assistant_find(request->state, init->assistant);
    int code = check_share(db, init, failure);
    if (code) return code;
    if (!assistant) return kit_fail(failure, 404, "/assistant", "assistant not found");
    if (kit_db_run(db,
                   "INSERT INTO chats(chat_id, user_id, tenant, assistant, created_ms, updated_ms)"
                   " VALUES (?, ?, ?, ?, ?, ?)",
                   "ttttii", request->about, request->claims->sub, request->claims->tenant, assistant->id,
                   request->now_ms, request->now_ms))
        return kit_db_fail(db, failure);
    return 0;
}

static int find_or_make(struct kit_db *db, struct init *init)
{
    struct kit_request *request = &init->request;
    struct kit_failure *failure = &request->op.failure;
    int64_t key = 0;
    init->has_too_many = false;
    int code = init->makes_chat ? chat_find_key(db, request->about, &key, failure) : 0;
    if (!code && init->makes_chat && !key) code = make_chat(db, init, failure);
    return code ? code : chat_find(db, request->claims, request->about, CHAT_WATCH, &init->row, failure);
}

/* The user is back: a session, and the intent that was left. */
static int resume_session(struct kit_db *db, struct init *init)
{
    struct kit_request *request = &init->request;
    struct chat_row *row = &init->row;
    bool was_abandoned = !strcmp(row->intent_state, "abandoned");
    if (!row->is_owner || (row->session_id[0] && !was_abandoned)) return 0;
    if (!row->session_id[0]) chat_make_id(row->session_id, "session_");
    if (was_abandoned) snprintf(row->intent_state, sizeof row->intent_state, "active");
    if (kit_db_run(db, "UPDATE chats SET session_id=?, intent_state=?, updated_ms=? WHERE id=?", "ttii",
                   row->session_id, row->intent_state, request->now_ms, row->key))
        return kit_db_fail(db, &request->op.failure);
    if (was_abandoned && kit_db_run(db, "UPDATE chat_history SET abandoned=0 WHERE chat=? AND user_intent_id=?", "it",
                                    row->key, row->intent_id))
        return kit_db_fail(db, &request->op.failure);
    return 0;
}

static int run_init(struct kit_db *db, struct kit_request *request)
{
    struct init *init = KIT_REQUEST(init, request);
    int code = find_or_make(db, init);
    if (!code) code = resume_session(db, init);
    if (!code) code = chat_set_zone(db, &init->row, init->zone, &request->op.failure);
    return code ? code : chat_snapshot(db, &init->row, &request->json, &request->op.failure);
}

/* ------------------------------------------------------------------- reply */

/* session.ready has what the answer has, but for "ok". */
static void send_ready(struct chat_peer *peer, const struct kit_request *request)
{
    static const char prefix[] = "{\"ok\":true,";
    struct sio_builder json;
    struct chat_entry entry = {.chat_id = request->about, .event = "session.ready"};
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{");
    sio_builder_put_slice(
        &json, sio_args_none(),
        (struct eio_str){request->json.json + sizeof prefix - 1, request->json.size - (sizeof prefix - 1)});
    sio_builder_put(&json, "}");
    entry.payload = (struct eio_str){json.json, json.size};
    if (!json.error) peer->ops->on_entry(peer, &entry);
    sio_builder_clear(&json);
}

/* The token may have changed while the chat was read. */
static bool may_still(const struct chat_peer *peer, const struct init *init)
{
    return init->row.is_owner || kit_claims_allow_chat(peer->claims, init->row.chat_id);
}

static void reply_init(struct kit_request *request)
{
    struct init *init = KIT_REQUEST(init, request);
    struct chat *chat = request->state;
    struct chat_peer *peer = chat_peer_of(request);
    struct chat_listen_options options = {init->has_since ? init->since_seq : init->row.seq, init->row.seq, init->want,
                                          init->row.is_owner};
    if (!peer) return;
    if (options.since_seq > init->row.seq) options.since_seq = init->row.seq;
    if (!may_still(peer, init)) {
        kit_fail(&request->op.failure, 404, "/chat_id", "chat not found");
        return;
    }
    if (chat_listen(peer, init->room, &options) || chat_peer_join(peer, &init->row)) {
        kit_fail(&request->op.failure, 503, NULL, "this connection is watching too many chats");
        return;
    }
    chat->counters.sessions++;
    memcpy(peer->chat_id, init->row.chat_id, sizeof peer->chat_id);
    send_ready(peer, request);
}

static void clear_init(struct kit_request *request)
{
    struct init *init = KIT_REQUEST(init, request);
    struct chat *chat = request->state;
    if (init->has_too_many) chat->counters.refused_chats++;
    if (init->room) chat_room_release(init->room);
}

/* ------------------------------------------------------------------- close */

struct session_close {
    struct kit_request request;
    struct chat_batch batch;
};

static int run_close(struct kit_db *db, struct kit_request *request)
{
    struct session_close *close = KIT_REQUEST(session_close, request);
    struct chat_row row;
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &row, &request->op.failure);
    chat_batch_clear(&close->batch);
    chat_batch_init(&close->batch, request->about);
    return code ? code : chat_session_end(db, &row, "closed", &close->batch, &request->op.failure);
}

static void reply_close(struct kit_request *request)
{
    struct session_close *close = KIT_REQUEST(session_close, request);
    chat_batch_send(request->state, &close->batch);
}

static void clear_close(struct kit_request *request)
{
    chat_batch_clear(&KIT_REQUEST(session_close, request)->batch);
}

int chat_session_end(struct kit_db *db, const struct chat_row *row, const char *reason, struct chat_batch *batch,
                     struct kit_failure *failure)
{
    bool was_open = row->intent_id[0] != 0;
    if (!row->session_id[0]) return 0;
    if (kit_db_run(db, "UPDATE chats SET session_id='', intent_state=? WHERE id=?", "ti", was_open ? "abandoned" : "",
                   row->key))
        return kit_db_fail(db, failure);
    if (was_open && kit_db_run(db, "UPDATE chat_history SET abandoned=1 WHERE chat=? AND user_intent_id=?", "it",
                               row->key, row->intent_id))
        return kit_db_fail(db, failure);
    chat_batch_add(batch, "session.closed", json_pack("{s:s, s:s}", "session_id", row->session_id, "reason", reason));
    return chat_batch_write(db, row->key, batch, failure);
}

int chat_session_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "session.init",
         .size = sizeof(struct init),
         .way = KIT_WRITE,
         .read = read_init,
         .start = start_init,
         .run = run_init,
         .reply = reply_init,
         .clear = clear_init,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_POST,
         .path = CHATS_PATH},
        {.name = "session.close",
         .size = sizeof(struct session_close),
         .way = KIT_WRITE,
         .read = chat_read_about,
         .run = run_close,
         .reply = reply_close,
         .clear = clear_close},
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
