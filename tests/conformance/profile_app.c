/* Profiles app and cluster (the same on several nodes): what client libraries are tried with: echo, rooms, broadcast,
 * acks both ways, auth, and the server's API by the event "op" (app_op.c). In `/`, `/custom`, `/auth` and every
 * `/dyn-<digits>`. */
#include "app_request.h"
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS 2000

/* ---------------------------------------------------------------- who I am */

static void put_member(struct sio_builder *builder, const char *before, const char *text)
{
    sio_builder_put(builder, before);
    sio_builder_put_text(builder, text, strlen(text));
}

static void on_whoami(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct conformance *conformance = ctx;
    struct sio_builder handshake, builder;
    sio_builder_init(&handshake);
    sio_builder_open(&handshake);
    sio_socket_put_handshake(socket, &handshake);
    struct eio_str query = sio_json_member(sio_builder_args(&handshake).json, "query");
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    put_member(&builder, "{\"id\":", sio_socket_id(socket));
    put_member(&builder, ",\"nsp\":", sio_namespace_name(sio_socket_namespace(socket)));
    put_member(&builder, ",\"server\":", conformance->options->name);
    sio_builder_put(&builder, ",\"auth\":");
    sio_builder_put_slice(&builder, sio_args_none(), sio_socket_auth(socket));
    sio_builder_put(&builder, ",\"query\":");
    sio_builder_put_slice(&builder, sio_args_none(), query);
    sio_builder_put(&builder, ",\"recovered\":false}");
    sio_ack(event, sio_builder_args(&builder));
    sio_builder_clear(&builder);
    sio_builder_clear(&handshake);
}

static void on_set_data(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    json_t *data = sio_socket_data(socket), *more = sio_args_parse(event->args, 0);
    bool merged = data && json_is_object(more) && json_object_update(data, more) == 0;
    json_decref(more);
    app_ack_result(event, merged ? 0 : EIO_EINVAL);
}

/* ----------------------------------------------------------------- answers */

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        sio_ack(event, event->args);
    else
        sio_emit(sio_only(socket), "echo-back", event->args);
}

static void on_push(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    char name[APP_NAME_MAX_BYTES + 1];
    uint32_t count = app_number(sio_args_at(event->args, 0), 0);
    if (sio_args_text(event->args, 1, name, sizeof name) < 0) return;
    for (uint32_t i = 0; i < count; i++) {
        struct sio_builder builder;
        sio_builder_init(&builder);
        sio_builder_int(&builder, i);
        int error = sio_emit(sio_only(socket), name, sio_builder_args(&builder));
        sio_builder_clear(&builder);
        if (error != 0) return; /* more than the socket's queue takes */
    }
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    struct sio_reply *reply = ctx;
    struct eio_str first = sio_args_at(answer, 0);
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    if (error != 0) {
        sio_builder_put(&builder, "{\"error\":\"timeout\"}");
    } else {
        sio_builder_put(&builder, first.n ? "{\"answer\":" : "{");
        sio_builder_put_slice(&builder, answer, first);
        sio_builder_put(&builder, "}");
    }
    sio_reply(reply, sio_builder_args(&builder));
    sio_builder_clear(&builder);
    free(reply);
}

static void on_ask(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    char name[APP_NAME_MAX_BYTES + 1];
    struct sio_reply *reply = malloc(sizeof *reply);
    struct sio_builder payload;
    sio_builder_init(&payload);
    int error = reply ? sio_args_text(event->args, 0, name, sizeof name) : EIO_ENOMEM;
    if (error >= 0) {
        *reply = sio_reply_later(event);
        sio_builder_slice(&payload, event->args, sio_args_at(event->args, 1));
        struct sio_target target = sio_timeout(sio_only(socket), ASK_TIMEOUT_MS);
        error = sio_emit_with_ack(target, name, sio_builder_args(&payload), on_answer, reply);
    }
    sio_builder_clear(&payload);
    if (error == 0) return;
    app_ack_result(event, error);
    free(reply);
}

/* ------------------------------------------------------------------- rooms */

static void on_join(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct app_names rooms;
    int error = app_names_init(&rooms, sio_args_at(event->args, 0));
    for (size_t i = 0; i < rooms.count && error == 0; i++)
        error = sio_join(socket, (struct eio_str){rooms.names[i].p, rooms.names[i].n});
    app_names_clear(&rooms);
    app_ack_result(event, error);
}

static void on_leave(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct app_names rooms;
    int error = app_names_init(&rooms, sio_args_at(event->args, 0));
    for (size_t i = 0; i < rooms.count; i++) sio_leave(socket, (struct eio_str){rooms.names[i].p, rooms.names[i].n});
    app_names_clear(&rooms);
    app_ack_result(event, error);
}

static void on_rooms(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct eio_str room;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    sio_builder_put(&builder, "[");
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        if (i > 0) sio_builder_put(&builder, ",");
        sio_builder_put_text(&builder, room.p, room.n);
    }
    sio_builder_put(&builder, "]");
    sio_ack(event, sio_builder_args(&builder));
    sio_builder_clear(&builder);
}

static void on_broadcast(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct eio_str object = sio_args_at(event->args, 0);
    struct app_target request;
    struct app_emit emit;
    app_target_init(&request, sio_broadcast(socket), object);
    app_emit_init(&emit, event->args, object);
    app_ack_result(event, emit.error ? emit.error : sio_emit(request.target, emit.event, emit.args));
    app_emit_clear(&emit);
    app_target_clear(&request);
}

/* -------------------------------------------------------------------- ends */

static void on_bye(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_socket_disconnect(socket, app_truthy(sio_args_at(event->args, 0)));
}

static void on_drop_transport(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event;
    (void)ctx;
    eio_session_close(sio_socket_session(socket), EIO_CLOSE_FORCED, "the client asked for it");
}

/* -------------------------------------------------------------- namespaces */

static void authorize(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    char token[APP_NAME_MAX_BYTES + 1];
    if (app_member_text(sio_socket_auth(socket), "token", token) >= 0 && strcmp(token, "abc") == 0)
        sio_next(admission);
    else
        sio_refuse(admission, "not authorized", "{\"code\":401}");
}

static bool is_dynamic(struct eio_str name, void *ctx)
{
    static const char prefix[] = "/dyn-";
    (void)ctx;
    size_t i = sizeof prefix - 1;
    if (name.n <= i || memcmp(name.p, prefix, i) != 0) return false;
    while (i < name.n && name.p[i] >= '0' && name.p[i] <= '9') i++;
    return i == name.n;
}

static int add_handlers(struct sio_namespace *nsp, struct conformance *conformance)
{
    static const struct {
        const char *event;
        sio_event_fn fn;
    } handlers[] = {
        {"whoami", on_whoami}, {"echo", on_echo},           {"push", on_push},
        {"ask", on_ask},       {"join", on_join},           {"leave", on_leave},
        {"rooms", on_rooms},   {"op", app_on_op},           {"set-data", on_set_data},
        {"bye", on_bye},       {"broadcast", on_broadcast}, {"drop-transport", on_drop_transport},
    };
    if (!nsp) return EIO_ENOMEM;
    int error = 0;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0] && error == 0; i++)
        error = sio_on(nsp, handlers[i].event, handlers[i].fn, conformance);
    return error;
}

int conformance_open_app(struct conformance *conformance)
{
    struct sio_options options;
    sio_options_init(&options);
    options.engine.cors.origin = "reflect";
    options.engine.cors.credentials = true;
    int error = conformance_open_socketio(conformance, &options);
    if (error != 0) return error;
    struct sio_server *io = conformance->io;
    struct sio_namespace *auth = sio_of(io, "/auth");
    error = auth ? sio_use(auth, authorize, NULL) : EIO_ENOMEM;
    if (error == 0) error = add_handlers(auth, conformance);
    if (error == 0) error = add_handlers(sio_of(io, "/"), conformance);
    if (error == 0) error = add_handlers(sio_of(io, "/custom"), conformance);
    if (error == 0) error = add_handlers(sio_of_matching(io, is_dynamic, NULL), conformance);
    if (error == 0) error = app_listen_to_servers(conformance);
    return error;
}

const struct conformance_profile conformance_app = {"app", conformance_open_app};
/* The same on several nodes: with --redis, see nodes.c. */
const struct conformance_profile conformance_cluster = {"cluster", conformance_open_app};
