/* The event "op" of the profile app: calls of the server's API on behalf of a client. */
#include "app_request.h"
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#define ACK_TIMEOUT_MS 1000 /* if the request names none */

struct op_call {
    struct conformance *conformance;
    const struct sio_event *event;
    struct eio_str object;
    struct sio_namespace *nsp;
    struct sio_target target;
};

/* Frees it, too. */
static void answer_later(struct sio_reply *reply, struct sio_builder *builder)
{
    sio_reply(reply, builder->error ? sio_args_json("{\"error\":\"out of memory\"}") : sio_builder_args(builder));
    sio_builder_clear(builder);
    free(reply);
}

/* A reply on the heap, for calls that answer later; NULL: out of memory, and answered so. */
static struct sio_reply *reply_new(const struct op_call *call)
{
    struct sio_reply *reply = malloc(sizeof *reply);
    if (reply)
        *reply = sio_reply_later(call->event);
    else
        app_ack_result(call->event, EIO_ENOMEM);
    return reply;
}

/* The call did not begin, so nobody else will answer. */
static void give_up(const struct op_call *call, struct sio_reply *reply, int error)
{
    app_ack_result(call->event, error);
    free(reply);
}

/* -------------------------------------------------------------------- emits */

static void op_emit(struct op_call *call)
{
    struct app_emit emit;
    app_emit_init(&emit, call->event->args, call->object);
    app_ack_result(call->event, emit.error ? emit.error : sio_emit(call->target, emit.event, emit.args));
    app_emit_clear(&emit);
}

/* {err, responses} to the client that asked. */
static void on_answers(void *ctx, int error, struct sio_args answers)
{
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    sio_builder_put(&builder, error ? "{\"err\":\"timeout\",\"responses\":[" : "{\"err\":null,\"responses\":[");
    sio_builder_put_slice(&builder, answers, answers.json);
    sio_builder_put(&builder, "]}");
    answer_later(ctx, &builder);
}

static void op_emit_with_ack(struct op_call *call)
{
    struct sio_reply *reply = reply_new(call);
    if (!reply) return;
    struct app_emit emit;
    app_emit_init(&emit, call->event->args, call->object);
    uint32_t timeout_ms = app_number(sio_json_member(call->object, "timeout"), ACK_TIMEOUT_MS);
    struct sio_target target = sio_timeout(call->target, timeout_ms);
    int error = emit.error;
    if (error == 0) error = sio_emit_to_all_with_ack(target, emit.event, emit.args, on_answers, reply);
    if (error != 0) give_up(call, reply, error);
    app_emit_clear(&emit);
}

/* ------------------------------------------------------------------ sockets */

static bool is_text(struct eio_str json)
{
    return json.n > 0 && json.p[0] == '"';
}

/* One fetched socket, {id,handshake,rooms,data}, as the contract wants to see it. */
static void put_described(struct sio_builder *builder, struct eio_str socket)
{
    static const char *const members[] = {"id", "rooms", "data"};
    struct eio_str handshake = sio_json_member(socket, "handshake");
    sio_builder_open(builder);
    sio_builder_put(builder, "{");
    for (size_t i = 0; i < 3; i++) {
        sio_builder_put_text(builder, members[i], strlen(members[i]));
        sio_builder_put(builder, ":");
        sio_builder_put_slice(builder, sio_args_none(), sio_json_member(socket, members[i]));
        sio_builder_put(builder, ",");
    }
    sio_builder_put(builder, "\"query\":");
    sio_builder_put_slice(builder, sio_args_none(), sio_json_member(handshake, "query"));
    bool time = is_text(sio_json_member(handshake, "time"));
    bool address = is_text(sio_json_member(handshake, "address"));
    sio_builder_put(builder, time ? ",\"time\":\"string\"" : ",\"time\":\"other\"");
    sio_builder_put(builder, address ? ",\"address\":\"string\"}" : ",\"address\":\"other\"}");
}

static void on_fetched(void *ctx, int error, struct sio_args sockets)
{
    (void)error; /* a timeout gives what there is */
    struct sio_builder described, builder;
    sio_builder_init(&described);
    for (; sio_args_count(sockets) > 0; sockets = sio_args_skip(sockets, 1))
        put_described(&described, sio_args_at(sockets, 0));
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    sio_builder_put(&builder, "[");
    sio_builder_put_slice(&builder, sio_args_none(), sio_builder_args(&described).json);
    sio_builder_put(&builder, "]");
    sio_builder_clear(&described);
    answer_later(ctx, &builder);
}

static void op_fetch_sockets(struct op_call *call)
{
    struct sio_reply *reply = reply_new(call);
    if (!reply) return;
    int error = sio_target_fetch(call->target, on_fetched, reply);
    if (error != 0) give_up(call, reply, error);
}

static void move_sockets(struct op_call *call, int (*move)(struct sio_target, const struct rooms_name *, size_t))
{
    struct app_names rooms;
    int error = app_names_init(&rooms, sio_json_member(call->object, "rooms"));
    if (error == 0) error = move(call->target, rooms.names, rooms.count);
    app_ack_result(call->event, error);
    app_names_clear(&rooms);
}

static void op_sockets_join(struct op_call *call)
{
    move_sockets(call, sio_target_join);
}

static void op_sockets_leave(struct op_call *call)
{
    move_sockets(call, sio_target_leave);
}

static void op_disconnect_sockets(struct op_call *call)
{
    bool close = app_truthy(sio_json_member(call->object, "close"));
    app_ack_result(call->event, call->target.error);
    sio_target_disconnect(call->target, close);
}

/* ------------------------------------------------------------------ servers */

static int server_side_emit(struct op_call *call, const char *name, struct sio_reply *reply)
{
    struct eio_str list = sio_json_member(call->object, "args");
    struct sio_builder builder;
    sio_builder_init(&builder);
    if (list.n > 2 && list.p[0] == '[')
        sio_builder_slice(&builder, call->event->args, (struct eio_str){list.p + 1, list.n - 2});
    int error = builder.error;
    if (error == 0)
        error = sio_server_side_emit(call->nsp, name, sio_builder_args(&builder), reply ? on_answers : NULL, reply);
    sio_builder_clear(&builder);
    return error;
}

static void op_server_side_emit(struct op_call *call)
{
    app_ack_result(call->event, server_side_emit(call, "sse", NULL));
}

static void op_server_side_emit_with_ack(struct op_call *call)
{
    struct sio_reply *reply = reply_new(call);
    if (!reply) return;
    int error = server_side_emit(call, "sse-ack", reply);
    if (error != 0) give_up(call, reply, error);
}

static void op_server_side_received(struct op_call *call)
{
    app_answer_received(call->event, call->conformance);
}

static void on_server_count(void *ctx, int error, size_t servers)
{
    (void)error;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_int(&builder, (int64_t)servers);
    answer_later(ctx, &builder);
}

static void op_server_count(struct op_call *call)
{
    struct sio_reply *reply = reply_new(call);
    if (!reply) return;
    int error = sio_server_count(call->nsp, on_server_count, reply);
    if (error != 0) give_up(call, reply, error);
}

/* ----------------------------------------------------------------- dispatch */

static const struct {
    const char *name;
    void (*run)(struct op_call *call);
} ops[] = {
    {"emit", op_emit},
    {"emitWithAck", op_emit_with_ack},
    {"fetchSockets", op_fetch_sockets},
    {"socketsJoin", op_sockets_join},
    {"socketsLeave", op_sockets_leave},
    {"disconnectSockets", op_disconnect_sockets},
    {"serverSideEmit", op_server_side_emit},
    {"serverSideEmitWithAck", op_server_side_emit_with_ack},
    {"serverSideReceived", op_server_side_received},
    {"serverCount", op_server_count},
};

void app_on_op(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct conformance *conformance = ctx;
    char name[APP_NAME_MAX_BYTES + 1], nsp[APP_NAME_MAX_BYTES + 1] = "/";
    struct op_call call = {.conformance = conformance, .event = event, .object = sio_args_at(event->args, 0)};
    (void)socket;
    app_member_text(call.object, "nsp", nsp);
    call.nsp = sio_of(conformance->io, nsp);
    if (app_member_text(call.object, "op", name) < 0 || !call.nsp) name[0] = '\0';
    struct app_target request;
    app_target_init(&request, sio_all(call.nsp), call.object);
    call.target = request.target;
    if (app_truthy(sio_json_member(call.object, "local"))) call.target = sio_local(call.target);
    size_t i = 0;
    while (i < sizeof ops / sizeof ops[0] && strcmp(ops[i].name, name) != 0) i++;
    if (i < sizeof ops / sizeof ops[0])
        ops[i].run(&call);
    else
        sio_ack(event, sio_args_json("{\"error\":\"unknown op\"}"));
    app_target_clear(&request);
}
