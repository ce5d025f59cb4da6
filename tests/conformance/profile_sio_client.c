/* Profile sio-client: what the tests of socket.io-client talk to, with connection state recovery and a slow handshake.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HANDSHAKE_DELAY_MS 10

/* ------------------------------------------------------------- the handshake */

struct delayed {
    struct eio_timer timer;
    struct eio_admission *admission;
};

static void on_delay_over(void *ctx)
{
    struct delayed *delayed = ctx;
    struct eio_admission *admission = delayed->admission;
    free(delayed);
    eio_admit(admission);
}

static void allow_request(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    struct conformance *conformance = ctx;
    (void)head;
    struct delayed *delayed = malloc(sizeof *delayed);
    if (!delayed) {
        eio_deny(admission, NULL);
        return;
    }
    delayed->admission = admission;
    eio_timer_init(&delayed->timer, conformance->loop, on_delay_over, delayed);
    eio_timer_start(&delayed->timer, HANDSHAKE_DELAY_MS);
}

/* ------------------------------------------------------------- middleware */

static void main_middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    struct eio_str rest = eio_http_head_query(sio_socket_head(socket)), name, value;
    while (eio_query_next(&rest, &name, &value)) {
        if (!eio_str_is(name, "fail") || value.n == 0) continue;
        sio_refuse(admission, "Auth failed (main namespace)", NULL);
        return;
    }
    sio_next(admission);
}

static void no_middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket;
    (void)ctx;
    sio_refuse(admission, "Auth failed (custom namespace)", NULL);
}

/* ---------------------------------------------------------------- answers */

static void emit(struct sio_socket *socket, const char *name, const char *json)
{
    sio_emit(sio_only(socket), name, sio_args_json(json));
}

static void put_iso_date(struct sio_builder *builder)
{
    char text[64];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(text, sizeof text, "\"%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03ldZ\"", now.tv_nsec / 1000000);
    sio_builder_put(builder, text);
}

/* One answer for many events: ctx is what is emitted. */
struct fixed {
    const char *event, *answer, *json;
};

static void on_fixed(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    const struct fixed *fixed = ctx;
    (void)event;
    emit(socket, fixed->answer, fixed->json);
}

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    sio_ack(event, event->args);
}

struct asked {
    struct sio_namespace *nsp;
    char id[21];
};

static void on_ack_answer(void *ctx, int error, struct sio_args answer)
{
    struct asked *who = ctx;
    struct sio_socket *socket = sio_socket_find(who->nsp, who->id, strlen(who->id));
    json_t *object = error == 0 ? sio_args_parse(answer, 1) : NULL;
    if (socket && eio_str_is(sio_args_at(answer, 0), "5") && json_is_true(json_object_get(object, "test")))
        emit(socket, "got it", "");
    json_decref(object);
    free(who);
}

static void on_ack(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event;
    (void)ctx;
    struct asked *who = calloc(1, sizeof *who);
    if (!who) return;
    who->nsp = sio_socket_namespace(socket);
    snprintf(who->id, sizeof who->id, "%s", sio_socket_id(socket));
    if (sio_emit_with_ack(sio_only(socket), "ack", sio_args_none(), on_ack_answer, who) != 0) free(who);
}

static void on_get_date(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    const char *kind = ctx;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    if (strcmp(kind, "object") == 0) sio_builder_put(&builder, "{\"date\":");
    put_iso_date(&builder);
    if (strcmp(kind, "object") == 0) sio_builder_put(&builder, "}");
    if (strcmp(kind, "ack") == 0)
        sio_ack(event, sio_builder_args(&builder));
    else
        sio_emit(sio_only(socket), strcmp(kind, "object") == 0 ? "takeDateObj" : "takeDate",
                 sio_builder_args(&builder));
    sio_builder_clear(&builder);
}

static void on_get_utf8(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    static const char *const texts[] = {"\"てすと\"", "\"Я Б Г Д Ж Й\"", "\"Ä ä Ü ü ß\"", "\"utf8 — string\"",
                                        "\"utf8 — string\""};
    (void)event;
    (void)ctx;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) emit(socket, "takeUtf8", texts[i]);
}

static void on_get_binary(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    static const struct rooms_bytes bytes = {(const uint8_t *)"asdfasdf", 8};
    struct sio_args args = {eio_str("{\"_placeholder\":true,\"num\":0}"), &bytes, 1};
    (void)event;
    sio_emit(sio_only(socket), ctx, args);
}

static bool is_binary(const struct sio_event *event, size_t i)
{
    struct rooms_bytes bytes;
    return sio_args_binary(event->args, i, &bytes);
}

static void on_buffa(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    if (is_binary(event, 0)) emit(socket, ctx, "");
}

static void on_object(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct eio_str object = sio_args_at(event->args, 0);
    if (eio_str_is(sio_json_member(object, "hello"), "\"lol\"") &&
        eio_str_is(sio_json_member(object, "goodbye"), "\"gotcha\"") && event->args.attachment_count == 1)
        emit(socket, ctx, "");
}

/* The step that was taken last stands in the socket's data. */
static void on_first_of_series(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    if (is_binary(event, 0)) json_object_set_new(sio_socket_data(socket), ctx, json_true());
}

static void on_abuff2(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event;
    (void)ctx;
    if (json_object_get(sio_socket_data(socket), "abuff1")) emit(socket, "abuff2-ack", "");
}

static void on_blob2(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (json_object_get(sio_socket_data(socket), "blob1") && eio_str_is(sio_args_at(event->args, 0), "\"second\""))
        json_object_set_new(sio_socket_data(socket), "blob2", json_true());
}

static void on_blob3(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (json_object_get(sio_socket_data(socket), "blob2") && is_binary(event, 0)) emit(socket, "blob3-ack", "");
}

static void put_handshake(const struct sio_socket *socket, struct sio_builder *builder)
{
    sio_builder_init(builder);
    sio_builder_open(builder);
    sio_socket_put_handshake(socket, builder);
}

static void on_get_handshake(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct sio_builder builder;
    put_handshake(socket, &builder);
    sio_ack(event, sio_builder_args(&builder));
    sio_builder_clear(&builder);
}

static void send_handshake(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    struct sio_builder builder;
    put_handshake(socket, &builder);
    sio_emit(sio_only(socket), "handshake", sio_builder_args(&builder));
    sio_builder_clear(&builder);
}

static void on_get_id(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_ack_pack(event, "s", sio_socket_id(socket));
}

/* ------------------------------------------------------------ registration */

static struct fixed fixed_answers[] = {{"hi", "hi", ""}, {"false", "false", "false"}};
static char date_plain[] = "plain", date_object[] = "object", date_ack[] = "ack";
static char doge[] = "doge", takebin[] = "takebin", buffack[] = "buffack", jsonbuff_ack[] = "jsonbuff-ack",
            jsonblob_ack[] = "jsonblob-ack", blob_back[] = "back", abuff1[] = "abuff1", blob1[] = "blob1";

static int register_main(struct sio_namespace *root)
{
    const struct {
        const char *event;
        sio_event_fn fn;
        void *ctx;
    } table[] = {
        {"echo", on_echo, NULL},
        {"ack", on_ack, NULL},
        {"getAckDate", on_get_date, date_ack},
        {"getDate", on_get_date, date_plain},
        {"getDateObj", on_get_date, date_object},
        {"getUtf8", on_get_utf8, NULL},
        {"doge", on_get_binary, doge},
        {"getbin", on_get_binary, takebin},
        {"buffa", on_buffa, buffack},
        {"jsonbuff", on_object, jsonbuff_ack},
        {"abuff1", on_first_of_series, abuff1},
        {"abuff2", on_abuff2, NULL},
        {"getHandshake", on_get_handshake, NULL},
        {"getId", on_get_id, NULL},
        {"blob", on_buffa, blob_back},
        {"jsonblob", on_object, jsonblob_ack},
        {"blob1", on_first_of_series, blob1},
        {"blob2", on_blob2, NULL},
        {"blob3", on_blob3, NULL},
    };
    int error = sio_use(root, main_middleware, NULL);
    for (size_t i = 0; i < sizeof table / sizeof table[0] && error == 0; i++)
        error = sio_on(root, table[i].event, table[i].fn, table[i].ctx);
    for (size_t i = 0; i < sizeof fixed_answers / sizeof fixed_answers[0] && error == 0; i++)
        error = sio_on(root, fixed_answers[i].event, on_fixed, &fixed_answers[i]);
    return error;
}

static int open_sio_client(struct conformance *conformance)
{
    static const char *const plain[] = {"/timeout_socket", "/valid", "/asd"};
    static const struct eio_hooks hooks = {.allow_request = allow_request};
    struct sio_options options;
    sio_options_init(&options);
    options.engine.ping_interval_ms = 2000;
    options.engine.http_compression = false;
    options.engine.cors.origin = "*";
    options.recovery.enabled = true;
    int error = conformance_open_socketio(conformance, &options);
    if (error != 0) return error;
    struct sio_server *io = conformance->io;
    eio_server_set_hooks(sio_server_engine(io), &hooks, conformance);
    error = register_main(sio_of(io, "/"));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0] && error == 0; i++)
        error = sio_of(io, plain[i]) ? 0 : EIO_ENOMEM;
    if (error == 0) error = sio_on(sio_of(io, "/foo"), "getId", on_get_id, NULL);
    if (error == 0) error = sio_on_connection(sio_of(io, "/abc"), send_handshake, NULL);
    if (error == 0) error = sio_use(sio_of(io, "/no"), no_middleware, NULL);
    return error;
}

const struct conformance_profile conformance_sio_client = {"sio-client", open_sio_client};
