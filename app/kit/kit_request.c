/* Takes an event from its payload to its answer. */
#include "kit_request.h"

#include <stdlib.h>
#include <string.h>

void kit_copy_text(char *out, size_t size, const json_t *payload, const char *name)
{
    const char *text = json_string_value(json_object_get(payload, name));
    snprintf(out, size, "%s", text ? text : "");
}

static void free_request(struct kit_request *request)
{
    if (request->event->clear) request->event->clear(request);
    kit_claims_unref(request->claims);
    kit_source_unref(request->op.source);
    sio_builder_clear(&request->json);
    free(request);
}

void kit_request_finish(struct kit_request *request)
{
    const struct kit_event *event = request->event;
    if (!request->op.failure.code && request->shared) {
        sio_reply_shared(&request->answer.reply, request->shared);
        free_request(request);
        return;
    }
    if (!request->op.failure.code && event->reply) event->reply(request);
    sio_builder_put(&request->json, "}");
    if (!request->op.failure.code && request->json.error)
        kit_fail(&request->op.failure, 503, NULL, "out of memory for the response");
    if (request->op.failure.code)
        kit_answer_failure(&request->answer, &request->op.failure);
    else
        kit_answer_json(&request->answer, &request->json);
    free_request(request);
}

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct kit_request *request = (struct kit_request *)(void *)op;
    return request->event->run(db, request);
}

static void step(struct kit_request *request)
{
    if (request->event->step)
        request->event->step(request);
    else
        kit_request_finish(request);
}

static void on_done(struct kit_store_op *op)
{
    step((struct kit_request *)(void *)op);
}

static void begin_json(struct kit_request *request)
{
    sio_builder_clear(&request->json);
    sio_builder_init(&request->json);
    sio_builder_open(&request->json);
    sio_builder_put(&request->json, "{\"ok\":true");
}

static struct kit_request *make(const struct kit_route *route, const struct sio_event *event)
{
    struct kit_request *request = calloc(1, route->event->size);
    if (!request) return NULL;
    request->op.run = run;
    request->op.done = on_done;
    request->op.source = kit_source_ref(kit_auth_source(event->socket));
    request->way = route->event->way;
    request->kit = route->kit;
    request->state = route->state;
    request->event = route->event;
    request->claims = kit_claims_ref(kit_auth_claims(event->socket));
    request->now_ms = (int64_t)eio_loop_unix_ms(route->kit->loop);
    request->answer = kit_answer_later(route->kit, event);
    begin_json(request);
    return request;
}

void kit_request_submit(struct kit_request *request)
{
    struct kit_store *store = request->kit->store;
    size_t bytes = request->event->size;
    bool aside = request->way == KIT_READ;
    begin_json(request); /* what an earlier round wrote is void */
    request->op.writes = request->way == KIT_WRITE;
    if (!(aside ? kit_store_submit_read(store, &request->op, bytes) : kit_store_submit(store, &request->op, bytes)))
        return;
    kit_fail(&request->op.failure, 503, NULL, "too many requests are queued; try again");
    step(request);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    const struct kit_route *route = ctx;
    json_t *payload = kit_answer_payload(route->kit, event);
    (void)socket;
    if (!payload) return;
    struct kit_request *request = make(route, event);
    if (!request) {
        kit_answer_refuse(route->kit, event, 503, NULL, "out of memory");
    } else if (route->event->read && route->event->read(request, payload)) {
        kit_request_finish(request);
    } else if (route->event->start) {
        route->event->start(request);
    } else {
        kit_request_submit(request);
    }
    json_decref(payload);
}

int kit_open_events(struct kit *kit, struct sio_namespace *nsp, const struct kit_event *events, size_t count,
                    void *state)
{
    for (size_t i = 0; i < count; i++) {
        if (kit->route_count == KIT_ROUTES_MAX) return EIO_ETOOBIG;
        struct kit_route *route = &kit->routes[kit->route_count++];
        *route = (struct kit_route){kit, &events[i], state};
        int error = sio_on(nsp, events[i].name, on_event, route);
        if (error) return error;
    }
    return 0;
}
