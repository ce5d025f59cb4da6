/* Takes an event from its payload to its answer, whatever brought it; and events of sockets. */
#include "kit_request.h"

#include <stdlib.h>
#include <string.h>

void kit_copy_text(char *out, size_t size, const json_t *payload, const char *name)
{
    const char *text = json_string_value(json_object_get(payload, name));
    snprintf(out, size, "%s", text ? text : "");
}

static void begin_json(struct kit_request *request)
{
    sio_builder_clear(&request->json);
    sio_builder_init(&request->json);
    sio_builder_open(&request->json);
    sio_builder_put(&request->json, "{\"ok\":true");
}

static int run_request(struct kit_db *db, struct kit_store_op *op)
{
    struct kit_request *request = (struct kit_request *)(void *)op;
    begin_json(request); /* what an earlier round wrote is void */
    int code = request->event->allow ? request->event->allow(db, request) : 0;
    if (code || !request->event->run) return code;
    return request->event->run(db, request);
}

static void step_request(struct kit_request *request)
{
    if (request->event->step)
        request->event->step(request);
    else
        kit_request_finish(request);
}

static void on_done(struct kit_store_op *op)
{
    step_request((struct kit_request *)(void *)op);
}

static void free_request(struct kit_request *request)
{
    if (request->event->clear) request->event->clear(request);
    kit_claims_unref(request->claims);
    kit_user_unref(request->user);
    sio_builder_clear(&request->json);
    free(request);
}

struct kit_request *kit_request_new(const struct kit_route *route, const struct kit_caller *caller)
{
    struct kit_request *request = caller->user ? calloc(1, route->event->size) : NULL;
    if (!request) return NULL;
    request->op.run = run_request;
    request->op.done = on_done;
    request->user = kit_user_share(caller->user);
    request->op.source = kit_user_source(request->user, false);
    request->way = route->event->way;
    request->kit = route->kit;
    request->state = route->state;
    request->event = route->event;
    request->ops = caller->ops;
    request->origin = caller->origin;
    request->claims = kit_claims_ref(caller->claims);
    request->now_ms = (int64_t)eio_loop_unix_ms(route->kit->loop);
    request->status = 200;
    begin_json(request);
    return request;
}

int kit_request_check_role(const struct kit_event *event, const struct kit_claims *claims, struct kit_failure *failure)
{
    if (!event->roles || event->is_open) return 0;
    if (!claims) return kit_fail(failure, 401, NULL, "token required");
    if (claims->role & event->roles) return 0;
    return kit_fail(failure, 403, NULL, "role %s may not do this", kit_role_text(claims->role));
}

void kit_request_begin(struct kit_request *request, const json_t *payload)
{
    const struct kit_event *event = request->event;
    if (event->about && !request->about[0]) kit_copy_text(request->about, sizeof request->about, payload, event->about);
    if (event->read && event->read(request, payload))
        kit_request_finish(request);
    else if (event->start)
        event->start(request);
    else
        kit_request_submit(request);
}

void kit_request_submit(struct kit_request *request)
{
    struct kit_store *store = request->kit->store;
    size_t bytes = request->event->size;
    bool aside = request->way == KIT_READ;
    request->op.writes = request->way == KIT_WRITE;
    request->op.locks[0] = request->about[0] ? request->about : NULL;
    request->op.locks[1] = request->event->lock;
    if (!(aside ? kit_store_submit_read(store, &request->op, bytes) : kit_store_submit(store, &request->op, bytes)))
        return;
    step_request(request);
}

void kit_request_set_type(struct kit_request *request, const char *type)
{
    request->type = type;
    sio_builder_clear(&request->json);
    sio_builder_init(&request->json);
    sio_builder_open(&request->json);
}

static void note_answered(const struct kit_request *request)
{
    const struct kit_event *event = request->event;
    if (!request->kit->answered_fn) return;
    const struct sio_socket *socket = kit_answer_socket(&request->answer);
    bool is_of_call = request->about[0] && event->about && !strcmp(event->about, "call_id");
    kit_note_answered(request->kit, &(struct kit_answered){.name = event->name ? event->name : event->path,
                                                           .claims = socket ? kit_auth_claims(socket) : request->claims,
                                                           .sid = socket ? request->answer.sid : NULL,
                                                           .call_id = is_of_call ? request->about : NULL,
                                                           .code = request->op.failure.code,
                                                           .took_ms = kit_unix_ms() - request->now_ms});
}

void kit_request_finish(struct kit_request *request)
{
    struct kit_failure *failure = &request->op.failure;
    bool has_own = !request->shared && !request->type;
    if (!failure->code && !request->shared && request->event->reply) {
        request->event->reply(request);
        has_own = !request->type;
    }
    if (has_own) sio_builder_put(&request->json, "}");
    if (!failure->code && !request->shared && request->json.error)
        kit_fail(failure, 503, NULL, "out of memory for the response");
    note_answered(request);
    if (failure->code)
        request->ops->fail(request);
    else
        request->ops->succeed(request);
    free_request(request);
}

/* ---------------------------------------------------------------- sockets */

static void succeed_socket(struct kit_request *request)
{
    if (request->shared)
        sio_reply_shared(&request->answer.reply, request->shared, kit_user_account(request->user));
    else
        kit_answer_json(&request->answer, &request->json);
}

static void fail_socket(struct kit_request *request)
{
    kit_answer_failure(&request->answer, &request->op.failure);
}

static const struct kit_reply_ops socket_ops = {succeed_socket, fail_socket};

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    const struct kit_route *route = ctx;
    struct kit_caller caller = {&socket_ops, kit_auth_claims(socket), kit_auth_user(socket), NULL};
    struct kit_failure failure = {0, "", ""};
    bool takes = route->event->take != NULL;
    if (kit_request_check_role(route->event, caller.claims, &failure)) {
        kit_answer_refuse(route->kit, event, failure.code, NULL, failure.message);
        return;
    }
    json_t *payload = takes ? NULL : kit_answer_payload(route->kit, event);
    struct eio_str text = takes ? kit_answer_text(route->kit, event) : (struct eio_str){NULL, 0};
    if (!payload && !text.p) return;
    struct kit_request *request = kit_request_new(route, &caller);
    if (request) request->answer = kit_answer_later(route->kit, event);
    if (!request)
        kit_answer_refuse(route->kit, event, 503, NULL, "out of memory");
    else if (takes)
        route->event->take(request, text);
    else
        kit_request_begin(request, payload);
    json_decref(payload);
}

int kit_open_events(struct kit *kit, struct sio_namespace *nsp, const struct kit_event *events, size_t count,
                    void *state)
{
    for (size_t i = 0; i < count; i++) {
        if (!events[i].name) continue;
        if (kit->route_count == KIT_ROUTES_MAX) return EIO_ETOOBIG;
        struct kit_route *route = &kit->routes[kit->route_count++];
        *route = (struct kit_route){kit, &events[i], state};
        int error = sio_on(nsp, events[i].name, on_event, route);
        if (error) return error;
    }
    return 0;
}
