/* GET /trace: who may look, and at whom. */
#include "kit_http.h"
#include "kit_listen.h"
#include "trace_int.h"

#include <sodium.h>
#include <string.h>

static int read_name(const struct eio_http_head *head, const char *name, char *out, size_t size,
                     bool (*is_valid)(const char *text, size_t n), struct kit_failure *failure)
{
    char pointer[16];
    int n = kit_http_query(head, name, out, size);
    snprintf(pointer, sizeof pointer, "/%s", name);
    if (n == EIO_EINVAL || n == 0) {
        out[0] = 0;
        return 0;
    }
    if (n < 0 || !is_valid(out, (size_t)n)) return kit_fail(failure, 400, pointer, "not a valid name");
    return 0;
}

static int read_filter(const struct eio_http_head *head, const struct kit_claims *claims, struct trace_filter *filter,
                       struct kit_failure *failure)
{
    if (read_name(head, "user", filter->user, sizeof filter->user, kit_is_user, failure) ||
        read_name(head, "call", filter->call, sizeof filter->call, kit_is_id, failure) ||
        read_name(head, "tenant", filter->tenant, sizeof filter->tenant, kit_is_user, failure))
        return failure->code;
    if (!filter->user[0] && !filter->call[0]) return kit_fail(failure, 400, NULL, "name a user or a call");
    filter->is_confined = claims && claims->tenant[0];
    if (filter->is_confined && filter->tenant[0] && strcmp(filter->tenant, claims->tenant))
        return kit_fail(failure, 403, NULL, "the token is of another tenant");
    if (filter->is_confined) memcpy(filter->tenant, claims->tenant, sizeof filter->tenant);
    return 0;
}

/* The operators' address is what protects what is there; anywhere else it takes an administrator's token. */
static int authorize(struct kit *kit, struct eio_http_request *request, struct kit_claims **claims,
                     struct kit_failure *failure)
{
    *claims = NULL;
    if (eio_http_request_head(request)->door == KIT_DOOR_OPERATOR) return 0;
    *claims = kit_http_authorize(kit, request, failure);
    if (!*claims) return failure->code;
    return (*claims)->role == KIT_ROLE_ADMIN ? 0 : kit_fail(failure, 403, NULL, "a token of the role admin is needed");
}

static void on_abort(void *ctx)
{
    struct trace_watch *watch = ctx;
    watch->stream = NULL;
    trace_watch_end(watch, "the reader has gone");
}

static void make_id(char id[TRACE_WATCH_ID_SIZE])
{
    uint8_t bytes[(TRACE_WATCH_ID_SIZE - 1) / 2];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id, TRACE_WATCH_ID_SIZE, bytes, sizeof bytes);
}

/* Returns 0 if the request has been answered, or the code of failure, with which it is still to be. */
static int begin(struct trace *trace, struct eio_http_request *request, struct kit_claims *claims,
                 const struct trace_filter *filter, struct kit_failure *failure)
{
    struct trace_watch *watch = trace_watch_new(trace, filter, trace->config->trace_queue_bytes);
    if (!watch) return kit_fail(failure, 503, NULL, "too many traces (trace_max)");
    const struct eio_http_stream_options options = {
        .max_queue_bytes = 3 * trace->config->trace_queue_bytes, .on_abort = on_abort, .ctx = watch};
    const char *address = eio_http_request_head(request)->address;
    kit_log(EIO_LOG_INFO, "trace begun", "user", filter->user, "call", filter->call, "by",
            claims ? claims->sub : "operator", "address", address, NULL);
    make_id(watch->id);
    watch->claims = kit_claims_ref(claims);
    watch->stream = kit_http_stream(trace->kit, request, "application/x-ndjson",
                                    (struct eio_http_reply_field){"X-Accel-Buffering", "no"}, &options);
    if (!watch->stream) {
        trace_watch_free(watch);
        return 0;
    }
    trace->numbers.begun++;
    trace_lines_say_looking(watch);
    trace_nodes_ask(trace, watch);
    return 0;
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    struct trace *trace = ctx;
    const struct eio_http_head *head = eio_http_request_head(request);
    struct kit_failure failure = {0, "", ""};
    struct trace_filter filter = {.user = ""};
    struct kit_claims *claims;
    if (head->method != EIO_HTTP_GET) {
        kit_http_reply_allowed(trace->kit, request, "GET");
        return;
    }
    if (trace->kit->draining) kit_fail(&failure, 503, NULL, "the server is stopping");
    if (!authorize(trace->kit, request, &claims, &failure) && !failure.code &&
        !read_filter(head, claims, &filter, &failure))
        begin(trace, request, claims, &filter, &failure);
    if (failure.code) kit_http_reply_failure(trace->kit, request, &failure);
    kit_claims_unref(claims);
}

int trace_http_start(struct trace *trace)
{
    int failed = eio_http_route(sio_server_http(trace->kit->io), "/trace", 0, on_request, trace);
    return failed ? failed : kit_http_for_operators(trace->kit, "/trace", false);
}
