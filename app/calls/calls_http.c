/* What feeds say, over /feed and over HTTP; deletion of calls. */
#include "calls_life.h"
#include "kit_http.h"

#include <string.h>

#define FEEDS (KIT_ROLE_FEED | KIT_ROLE_ADMIN)
#define CALLS_PATH "/api/v1/calls"

/* One thing, or a list of lines. */
struct said {
    struct kit_request request;
    enum calls_feed_kind kind;
    char call_id[KIT_ID_SIZE];
    int64_t seq;
    bool duplicate;
    bool has_lines; /* the answer is that of a list, which is written already */
};

/* ---------------------------------------------------------------- one thing */

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    struct said *said = ctx;
    struct sio_socket *socket = kit_answer_socket(&said->request.answer);
    said->request.op.failure = result->failure;
    said->seq = result->seq;
    said->duplicate = result->duplicate;
    memcpy(said->call_id, result->call_id, sizeof said->call_id);
    if (socket && !result->failure.code) calls_life_said(socket, said->kind, said->call_id);
    if (said->kind == CALLS_FEED_START && !result->duplicate) said->request.status = 201;
    kit_request_finish(&said->request);
}

static void reply_said(struct kit_request *request)
{
    const struct said *said = KIT_REQUEST(said, request);
    if (said->has_lines) return;
    sio_builder_put(&request->json, ",\"call_id\":");
    kit_put_text(&request->json, said->call_id);
    if (said->duplicate) sio_builder_put(&request->json, ",\"duplicate\":true");
    sio_builder_put(&request->json, ",\"seq\":");
    kit_put_int(&request->json, said->seq);
}

/* ------------------------------------------------------------------ a list */

static void put_list_error(struct sio_builder *json, const struct calls_list_error *error)
{
    sio_builder_put(json, "{\"index\":");
    kit_put_int(json, (int64_t)error->index);
    sio_builder_put(json, ",");
    kit_answer_put_error(json, &error->failure);
    sio_builder_put(json, "}");
}

/* The first one's, for those who look at nothing else; its field is that of the whole body. */
static void put_first_error(struct sio_builder *json, const struct calls_list_error *error)
{
    struct kit_failure failure = error->failure;
    snprintf(failure.field, sizeof failure.field, "/%zu%.60s", error->index, error->failure.field);
    sio_builder_put(json, ",\"error\":{");
    kit_answer_put_error(json, &failure);
    sio_builder_put(json, "}");
}

static void put_list(struct sio_builder *json, const char *call_id, const struct calls_list_result *result)
{
    sio_builder_put(json, result->failed ? "{\"ok\":false,\"call_id\":" : "{\"ok\":true,\"call_id\":");
    kit_put_text(json, call_id);
    sio_builder_put(json, ",\"stored\":");
    kit_put_int(json, (int64_t)result->stored);
    sio_builder_put(json, ",\"duplicates\":");
    kit_put_int(json, (int64_t)result->duplicates);
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, result->seq);
    if (result->failed) {
        sio_builder_put(json, ",\"failed\":");
        kit_put_int(json, (int64_t)result->failed);
        put_first_error(json, &result->errors[0]);
        sio_builder_put(json, ",\"errors\":[");
        for (size_t i = 0; i < result->error_count; i++) {
            if (i) sio_builder_put(json, ",");
            put_list_error(json, &result->errors[i]);
        }
        sio_builder_put(json, "]");
    }
    sio_builder_put(json, "}");
}

/* Some lines may have failed; only where all have does the whole. */
void calls_http_finish_list(struct kit_request *request, const struct calls_list_result *result)
{
    struct said *said = KIT_REQUEST(said, request);
    request->op.failure = result->failure;
    if (!result->failure.code) {
        bool nothing = !result->stored && !result->duplicates;
        if (nothing && result->failed) request->status = result->errors[0].failure.code;
        if (result->failed) kit_count_failure(request->kit, result->errors[0].failure.code);
        kit_request_set_type(request, KIT_HTTP_JSON);
        put_list(&request->json, request->about, result);
        said->has_lines = true;
    }
    kit_request_finish(request);
}

static void on_list(void *ctx, const struct calls_list_result *result)
{
    calls_http_finish_list(ctx, result);
}

/* application/x-ndjson and what else it is called. */
static bool says_lines(const struct eio_http_head *head)
{
    static const char *const types[] = {"ndjson", "jsonl", "jsonlines"};
    struct eio_str type = eio_http_head_field(head, "content-type");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (type.n && memmem(type.p, type.n, types[i], strlen(types[i]))) return true;
    return false;
}

static bool is_array(struct eio_str body)
{
    while (body.n && (*body.p == ' ' || *body.p == '\t' || *body.p == '\r' || *body.p == '\n')) {
        body.p++;
        body.n--;
    }
    return body.n && *body.p == '[';
}

/* ------------------------------------------------------------------ events */

static enum calls_feed_kind kind_of(const struct kit_request *request)
{
    enum calls_feed_kind kind = CALLS_FEED_START;
    while (strcmp(calls_feed_event_name(kind), request->event->name)) kind++;
    return kind;
}

static void take_said(struct kit_request *request, struct eio_str text)
{
    struct said *said = KIT_REQUEST(said, request);
    const struct kit_config *config = request->kit->config;
    said->kind = kind_of(request);
    bool posts_line = request->http && said->kind == CALLS_FEED_LINE;
    bool is_list = posts_line && is_array(text);
    struct calls_feed_event event = {.kind = said->kind,
                                     .raw = text,
                                     .call_id = request->about[0] ? request->about : NULL,
                                     .claims = request->claims,
                                     .source = request->op.source};
    if (is_list) {
        event.source = kit_user_source(request->user, true);
        calls_list_submit(request->state, &event, on_list, request);
    } else if (request->http && text.n <= config->event_max_bytes &&
               kit_json_check(text, config->io.max_depth - 1, &request->op.failure)) {
        kit_request_finish(request);
    } else {
        calls_feed_submit(request->state, &event, on_result, said);
    }
}

/* ---------------------------------------------------------------- deletion */

static void on_deleted(void *ctx, const struct kit_failure *failure)
{
    struct kit_request *request = ctx;
    request->op.failure = *failure;
    kit_request_finish(request);
}

static void start_delete(struct kit_request *request)
{
    if (kit_claims_allow(request->claims, request->about)) {
        calls_delete(request->state, request->about, kit_user_source(request->user, true), on_deleted, request);
        return;
    }
    kit_fail(&request->op.failure, 403, "/call_id", "this call is not yours");
    kit_request_finish(request);
}

static void reply_delete(struct kit_request *request)
{
    sio_builder_put(&request->json, ",\"call_id\":");
    kit_put_text(&request->json, request->about);
}

/* -------------------------------------------------------------------- init */

int calls_http_start(struct calls *calls)
{
#define SAID(event, route)                                                                                 \
    {                                                                                                      \
        .name = event, .size = sizeof(struct said), .roles = FEEDS, .about = "call_id", .take = take_said, \
        .reply = reply_said, .method = EIO_HTTP_POST, .path = route                                        \
    }
    static const struct kit_event events[] = {
        SAID("call:start", CALLS_PATH),
        {.name = "transcription:update",
         .size = sizeof(struct said),
         .roles = FEEDS,
         .about = "call_id",
         .take = take_said,
         .reply = reply_said,
         .method = EIO_HTTP_POST,
         .path = CALLS_PATH "/{call_id}/transcription",
         .is_streamed = says_lines,
         .stream = calls_stream_begin},
        SAID("call:status", CALLS_PATH "/{call_id}/status"),
        SAID("call:end", CALLS_PATH "/{call_id}/end"),
        {.size = sizeof(struct kit_request),
         .roles = KIT_ROLE_ADMIN,
         .about = "call_id",
         .start = start_delete,
         .reply = reply_delete,
         .method = EIO_HTTP_DELETE,
         .path = CALLS_PATH "/{call_id}"},
    };
    const size_t count = sizeof events / sizeof events[0];
    int error = kit_open_events(calls->kit, calls->feed, events, count, calls);
    return error ? error : kit_open_paths(calls->kit, events, count, calls);
}
