/* POST /api/v1/chats/{chat_id}/messages and …/elicitations/{reply_to}: a message, or the answer to a question, over
 * HTTP; answered when the turn is over, or asks something. The request is a peer of the chat as a socket is. */
#include "chat_int.h"
#include "kit_dismiss.h"

#include <stdlib.h>
#include <string.h>

struct post {
    struct kit_request request;
    struct chat_peer *peer;
    const char *event;         /* chat.message or elicitation.submit */
    json_t *payload;           /* of that */
    json_t *others;            /* what is asked besides, by session.ready; NULL: it was not looked for */
    struct eio_timer timer;    /* answers outside of the peer's callbacks */
    bool is_over, is_streamed; /* streamed: the client asked for text/event-stream */
    struct eio_http_stream *stream;
    struct kit_stay stay;
    char ref_id[KIT_ID_SIZE];
    int64_t attempt;
};

static void finish_post(struct post *post)
{
    if (post->is_over) return;
    post->is_over = true;
    eio_timer_start(&post->timer, 0);
}

static void on_timer(void *ctx)
{
    struct post *post = ctx;
    struct eio_http_stream *stream = post->stream;
    chat_peer_free(post->peer);
    post->peer = NULL;
    post->stream = NULL;
    kit_stay_end(&post->stay);
    if (stream) eio_http_stream_end(stream);
    kit_request_finish(&post->request);
}

/* The members of an object, behind others. */
static void put_members(struct sio_builder *out, struct eio_str object)
{
    if (object.n <= 2) return;
    sio_builder_put(out, ",");
    sio_builder_put_slice(out, sio_args_none(), (struct eio_str){object.p + 1, object.n - 2});
}

static bool is_own(const struct post *post, const json_t *payload)
{
    const char *ref_id = json_string_value(json_object_get(payload, "ref_id"));
    const json_t *attempt = json_object_get(payload, "attempt");
    return ref_id && !strcmp(ref_id, post->ref_id) && (attempt ? json_integer_value(attempt) : 1) == post->attempt;
}

/* ------------------------------------------------------------------ stream */

/* The turn goes on without its reader. */
static void on_abort(void *ctx)
{
    struct post *post = ctx;
    post->stream = NULL;
    finish_post(post);
}

static bool can_take(struct chat_peer *peer)
{
    const struct post *post = chat_peer_ctx(peer);
    return !post->stream ||
           eio_http_stream_queued(post->stream) < post->request.kit->config->io.engine.high_water_bytes;
}

static void begin_stream(struct post *post)
{
    const struct eio_http_stream_options options = {.on_abort = on_abort, .ctx = post};
    post->stream =
        kit_request_stream(&post->request, "text/event-stream", (struct eio_http_reply_field){NULL, NULL}, &options);
    if (!post->stream) finish_post(post);
}

static void stream_entry(struct post *post, const struct chat_entry *entry)
{
    struct sio_builder text;
    sio_builder_init(&text);
    sio_builder_open(&text);
    sio_builder_put(&text, "event: ");
    sio_builder_put(&text, entry->event);
    sio_builder_put(&text, "\ndata: ");
    kit_put_json(&text, entry->payload);
    if (entry->seq) sio_builder_put(&text, "\nid: ");
    if (entry->seq) kit_put_int(&text, entry->seq);
    sio_builder_put(&text, "\n\n");
    if (!text.error) eio_http_stream_write(post->stream, text.json, text.size);
    sio_builder_clear(&text);
}

static void on_entry(struct chat_peer *peer, const struct chat_entry *entry)
{
    struct post *post = chat_peer_ctx(peer);
    bool is_done = !strcmp(entry->event, "chat.done"), is_error = !strcmp(entry->event, "error");
    bool asks = !strcmp(entry->event, "elicitation.start");
    if (post->is_over || !entry->seq || (!post->stream && !is_done && !is_error && !asks)) return;
    json_t *payload = json_loadb(entry->payload.p, entry->payload.n, 0, NULL);
    if (payload && is_own(post, payload) && post->stream) {
        stream_entry(post, entry);
        if (is_done || is_error || asks) finish_post(post);
    } else if (payload && is_own(post, payload) && !post->is_streamed) {
        const char *message = json_string_value(json_object_get(payload, "message"));
        if (is_done) put_members(&post->request.json, entry->payload);
        if (asks) sio_builder_put(&post->request.json, ",\"is_complete\":false,\"pending\":[");
        if (asks) sio_builder_put_slice(&post->request.json, sio_args_none(), entry->payload);
        if (asks) sio_builder_put(&post->request.json, "]");
        if (is_error)
            kit_fail(&post->request.op.failure, (int)json_integer_value(json_object_get(payload, "code")), NULL, "%s",
                     message ? message : "");
        finish_post(post);
    }
    json_decref(payload);
}

static void on_end(struct chat_peer *peer, const char *chat_id, const struct kit_failure *why)
{
    struct post *post = chat_peer_ctx(peer);
    (void)chat_id;
    if (!post->is_over) post->request.op.failure = *why;
    finish_post(post);
}

static void on_dismissed(struct kit_stay *stay, const struct kit_failure *failure)
{
    struct post *post = KIT_OWNER(stay, struct post, stay);
    if (!post->is_over) post->request.op.failure = *failure;
    finish_post(post);
}

/* ------------------------------------------------------------------- asking */

/* The turn does not go on before these are answered, too. */
static void put_others(struct post *post)
{
    char *text = json_dumps(post->others, JSON_COMPACT);
    sio_builder_put(&post->request.json, ",\"is_complete\":false,\"pending\":");
    sio_builder_put(&post->request.json, text ? text : "[]");
    free(text);
}

static void on_said(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct post *post = ctx;
    json_t *answer = json_loadb(json.p ? json.p : "", json.n, 0, NULL);
    bool is_repeat = json_is_true(json_object_get(answer, "duplicate")), waits = json_array_size(post->others) > 0;
    json_decref(answer);
    if (post->is_over) return;
    if (failure->code)
        post->request.op.failure = *failure;
    else if (is_repeat)
        put_members(&post->request.json, (struct eio_str){json.p, json.n});
    if (!failure->code && waits) put_others(post);
    if (failure->code || is_repeat || waits)
        finish_post(post);
    else if (post->is_streamed)
        begin_stream(post);
}

/* Which turn goes on with the answer, and what else it waits for. */
static void read_pending(struct post *post, struct eio_str json)
{
    const char *reply_to = json_string_value(json_object_get(post->payload, "reply_to"));
    json_t *ready = json_loadb(json.p, json.n, 0, NULL), *one;
    size_t i;
    post->others = json_array();
    json_array_foreach(json_object_get(ready, "pending"), i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        if (!id || strcmp(id, reply_to)) {
            json_array_append(post->others, one);
            continue;
        }
        const json_t *attempt = json_object_get(one, "attempt");
        kit_copy_text(post->ref_id, sizeof post->ref_id, one, "ref_id");
        post->attempt = attempt ? json_integer_value(attempt) : 1;
    }
    json_decref(ready);
}

static void on_opened(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct post *post = ctx;
    if (!failure->code) {
        if (!strcmp(post->event, "elicitation.submit")) read_pending(post, json);
        chat_peer_ask(post->peer, post->event, post->payload, on_said, post);
        return;
    }
    post->request.op.failure = *failure;
    finish_post(post);
}

static int read_post(struct kit_request *request, const json_t *payload)
{
    struct post *post = KIT_REQUEST(post, request);
    post->attempt = 1;
    post->event = "chat.message";
    post->payload = json_copy((json_t *)(uintptr_t)payload);
    kit_copy_text(post->ref_id, sizeof post->ref_id, payload, "id");
    if (!post->ref_id[0]) chat_make_id(post->ref_id, "msg_");
    if (post->payload && !json_object_set_new(post->payload, "id", json_string(post->ref_id))) return 0;
    return kit_fail(&request->op.failure, 503, NULL, "out of memory");
}

static int read_answer(struct kit_request *request, const json_t *payload)
{
    struct post *post = KIT_REQUEST(post, request);
    post->event = "elicitation.submit";
    post->payload = json_incref((json_t *)(uintptr_t)payload);
    return 0;
}

static bool wants_events(const struct eio_http_head *head)
{
    static const char type[] = "text/event-stream";
    struct eio_str accept = eio_http_head_field(head, "accept");
    return accept.n && memmem(accept.p, accept.n, type, sizeof type - 1) != NULL;
}

static void start_post(struct kit_request *request)
{
    static const struct chat_peer_ops ops = {on_entry, on_end, can_take};
    struct post *post = KIT_REQUEST(post, request);
    struct chat *chat = request->state;
    const char *address = request->http ? eio_http_request_head(request->http)->address : "";
    const struct chat_peer_options options = {
        .ops = &ops, .claims = request->claims, .address = address, .connection_id = "http", .ctx = post};
    bool is_message = !strcmp(post->event, "chat.message");
    post->is_streamed = is_message && request->http && wants_events(eio_http_request_head(request->http));
    eio_timer_init(&post->timer, chat->kit->loop, on_timer, post);
    kit_stay_begin(&post->stay, request, on_dismissed);
    post->peer = chat_peer_new(chat, &options);
    json_t *payload = json_pack("{s:s}", "chat_id", request->about);
    if (post->peer && payload) {
        chat_peer_ask(post->peer, "session.init", payload, on_opened, post);
    } else {
        kit_fail(&request->op.failure, 503, NULL, "out of memory");
        finish_post(post);
    }
    json_decref(payload);
}

static void clear_post(struct kit_request *request)
{
    struct post *post = KIT_REQUEST(post, request);
    chat_peer_free(post->peer);
    json_decref(post->payload);
    json_decref(post->others);
}

int chat_post_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "chat.post",
         .size = sizeof(struct post),
         .about = "chat_id",
         .read = read_post,
         .start = start_post,
         .clear = clear_post,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_POST,
         .path = CHATS_PATH "/{chat_id}/messages"},
        {.name = "chat.answer",
         .size = sizeof(struct post),
         .about = "chat_id",
         .read = read_answer,
         .start = start_post,
         .clear = clear_post,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_POST,
         .path = CHATS_PATH "/{chat_id}/elicitations/{reply_to}"},
    };
    return chat_open_paths(chat, events, sizeof events / sizeof events[0]);
}
