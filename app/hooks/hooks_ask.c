/* Clients' events that Parley does not know but the company's service does (hook_asks, hook_events): some are answered
 * by the service, the others are put into its outbox and acknowledged when they are durable. */
#include "hooks_outbox.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 128 /* of an event */

struct hooks_ask {
    struct hooks *hooks;
    struct hooks_ask *prev, *next;
    struct kit_answer answer;
    struct kit_claims *claims;
    struct kit_fetch *fetch;
    struct kit_job job; /* on a thread: body is made out of the payload */
    struct sio_builder body;
    bool has_failed;
    int64_t now_ms;
    char name[NAME_MAX_BYTES + 1];
    size_t size;
    char payload[];
};

/* The payload without what must not go on, or as it is. Returns 0 or EIO_ENOMEM. On a thread. */
static int put_payload(const struct hooks *hooks, struct sio_builder *json, struct eio_str payload)
{
    if (hooks->redact) return hooks->redact(hooks->redact_ctx, payload, json);
    kit_put_json(json, payload);
    return json->error;
}

/* -------------------------------------------------------------------- asking */

static void end_ask(struct hooks_ask *ask)
{
    struct hooks *hooks = ask->hooks;
    if (ask->prev)
        ask->prev->next = ask->next;
    else
        hooks->asks = ask->next;
    if (ask->next) ask->next->prev = ask->prev;
    hooks->ask_count--;
    kit_claims_unref(ask->claims);
    sio_builder_clear(&ask->body);
    free(ask);
}

static void begin_ask(struct hooks_ask *ask, struct hooks *hooks)
{
    ask->hooks = hooks;
    ask->next = hooks->asks;
    if (ask->next) ask->next->prev = ask;
    hooks->asks = ask;
    hooks->ask_count++;
}

static void answer_ask(struct hooks_ask *ask, json_t *take_ack)
{
    struct sio_builder json;
    sio_builder_init(&json);
    if (take_ack)
        sio_builder_json(&json, take_ack);
    else
        sio_builder_raw(&json, eio_str("{\"ok\":true}"));
    kit_answer_json(&ask->answer, &json);
    sio_builder_clear(&json);
    json_decref(take_ack);
}

/* The service's own words, where it has some: {"message"}, {"error":{"message"}} or {"detail"}. */
static void copy_message(struct eio_str body, char *message, size_t size)
{
    static const char *const names[] = {"message", "detail"};
    struct kit_failure ignored;
    if (!body.n || kit_json_check(body, 8, &ignored)) return;
    json_t *answer = json_loadb(body.p, body.n, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = json_string_value(json_object_get(json_is_object(error) ? error : answer, names[i]));
        if (text) snprintf(message, size, "%s", text);
    }
    json_decref(answer);
}

static void read_failure(const struct kit_fetch_result *result, struct kit_failure *failure)
{
    if (result->is_timeout) {
        kit_fail(failure, 504, NULL, "the service did not answer in time");
    } else if (result->error && !result->status) {
        kit_fail(failure, 503, NULL, "the service cannot be reached");
    } else if (!result->error && result->status / 100 == 4 && result->status != 401) {
        kit_fail(failure, result->status, NULL, "the service refused this");
        copy_message(result->body, failure->message, sizeof failure->message);
        failure->retry_after_ms = (uint32_t)hooks_retry_after_ms(result);
    } else if (!result->error && result->status == 503) {
        kit_fail(failure, 503, NULL, "the service is not available");
        failure->retry_after_ms = (uint32_t)hooks_retry_after_ms(result);
    } else {
        kit_fail(failure, 502, NULL, "the service failed");
    }
}

static void on_answer(void *ctx, const struct kit_fetch_result *result)
{
    struct hooks_ask *ask = ctx;
    struct hooks *hooks = ask->hooks;
    struct kit_failure failure = {0, "", ""};
    enum hooks_outcome outcome = hooks_outcome(result);
    hooks_settle(hooks, result, outcome);
    if (outcome == HOOKS_TAKEN) {
        answer_ask(ask, hooks_take_answer(hooks, result->body));
    } else {
        hooks->counters.asks_failed++;
        read_failure(result, &failure);
        kit_answer_failure(&ask->answer, &failure);
    }
    end_ask(ask);
}

/* An event as the service gets it. */
static int put_event(struct sio_builder *json, const struct hooks_ask *ask)
{
    char call_id[KIT_ID_SIZE];
    struct eio_str payload = {ask->payload, ask->size}, about = sio_json_member(payload, "call_id");
    bool has_call = about.n && sio_args_text((struct sio_args){about, NULL, 0}, 0, call_id, sizeof call_id) > 0 &&
                    kit_is_id(call_id, strlen(call_id));
    hooks_put_head(json, ask->name, has_call ? call_id : NULL, ask->now_ms);
    sio_builder_put(json, ",\"namespace\":");
    kit_put_text(json, sio_namespace_name(ask->answer.nsp));
    sio_builder_put(json, ",\"session\":");
    kit_put_text(json, ask->answer.sid);
    hooks_put_from(json, ask->claims);
    sio_builder_put(json, ",\"data\":");
    int failed = put_payload(ask->hooks, json, payload);
    sio_builder_put(json, "}");
    return failed;
}

static void run_ask(struct kit_job *job)
{
    struct hooks_ask *ask = KIT_OWNER(job, struct hooks_ask, job);
    struct sio_builder *json = &ask->body;
    sio_builder_open(json);
    sio_builder_put(json, "{\"type\":\"ask\",\"data\":");
    ask->has_failed = put_event(json, ask) != 0;
    sio_builder_put(json, "}");
    ask->has_failed |= json->error != 0;
}

static void fail_ask(struct hooks_ask *ask)
{
    struct kit_failure failure = {0, "", ""};
    hooks_breaker_cancel(&ask->hooks->breaker);
    kit_fail(&failure, 503, NULL, "out of memory");
    kit_answer_failure(&ask->answer, &failure);
    end_ask(ask);
}

static void post_ask(struct kit_job *job)
{
    struct hooks_ask *ask = KIT_OWNER(job, struct hooks_ask, job);
    const struct sio_builder *body = &ask->body;
    struct kit_fetch_options with = {
        .timeout_ms = ask->hooks->config->ask_timeout_ms, .on_done = on_answer, .ctx = ask};
    char id[64];
    if (!ask->has_failed) {
        struct eio_str event = sio_json_member((struct eio_str){body->json, body->size}, "data");
        struct eio_str of_event = sio_json_member(event, "id");
        if (sio_args_text((struct sio_args){of_event, NULL, 0}, 0, id, sizeof id) > 0)
            ask->fetch = hooks_post(ask->hooks, id, (struct eio_str){body->json, body->size}, &with);
    }
    if (!ask->fetch) fail_ask(ask);
}

static bool is_same_user(const struct kit_claims *a, const struct kit_claims *b)
{
    return !strcmp(a->sub, b->sub) && !strcmp(a->tenant, b->tenant);
}

/* Returns 0 or the code of failure. */
static int check_limits(struct hooks *hooks, const struct kit_claims *claims, struct kit_failure *failure)
{
    size_t own = 0;
    for (const struct hooks_ask *ask = hooks->asks; ask; ask = ask->next) own += is_same_user(ask->claims, claims);
    if (own >= hooks->config->user_asks_max)
        return kit_fail(failure, 503, NULL, "too many of this user's questions wait for the service (limit: %u)",
                        hooks->config->user_asks_max);
    if (hooks->ask_count >= hooks->config->asks_max)
        return kit_fail(failure, 503, NULL, "too many questions wait for the service");
    uint64_t wait_ms = 0;
    if (hooks_breaker_begin(&hooks->breaker, eio_loop_now_ms(hooks->kit->loop), &wait_ms)) return 0;
    kit_fail(failure, 503, NULL, "the service fails; it is left alone for a while");
    failure->retry_after_ms = (uint32_t)wait_ms;
    return 503;
}

static struct hooks_ask *make_ask(struct hooks *hooks, struct kit_claims *claims, const struct sio_event *event,
                                  struct eio_str payload)
{
    struct hooks_ask *ask = calloc(1, sizeof *ask + payload.n);
    if (!ask) return NULL;
    begin_ask(ask, hooks);
    ask->claims = kit_claims_ref(claims);
    ask->now_ms = (int64_t)eio_loop_unix_ms(hooks->kit->loop);
    ask->job = (struct kit_job){.run = run_ask, .done = post_ask, .bytes = sizeof *ask + 2 * payload.n};
    sio_builder_init(&ask->body);
    snprintf(ask->name, sizeof ask->name, "%.*s", (int)event->name.n, event->name.p);
    memcpy(ask->payload, payload.p, ask->size = payload.n);
    return ask;
}

static void ask_service(struct hooks *hooks, struct sio_socket *socket, const struct sio_event *event)
{
    struct kit_claims *claims = kit_auth_claims(socket);
    struct kit_failure failure = {0, "", ""};
    struct eio_str payload = kit_answer_text(hooks->kit, event);
    if (!payload.n) return;
    struct kit_answer answer = kit_answer_later(hooks->kit, event);
    hooks->counters.asks++;
    if (check_limits(hooks, claims, &failure)) {
        hooks->counters.asks_refused++;
        kit_answer_failure(&answer, &failure);
        return;
    }
    struct hooks_ask *ask = make_ask(hooks, claims, event, payload);
    struct kit_source *source = kit_user_source(kit_auth_user(socket), false);
    if (ask) ask->answer = answer;
    if (ask && !kit_strand_submit(&hooks->strand, source, &ask->job)) return;
    hooks_breaker_cancel(&hooks->breaker);
    kit_fail(&failure, 503, NULL, ask ? "too many events wait for the server" : "out of memory");
    kit_answer_failure(&answer, &failure);
    if (ask) end_ask(ask);
}

/* ------------------------------------------------------------------- telling */

struct tell {
    struct kit_store_op op;
    struct hooks *hooks;
    struct kit_answer answer;
    struct kit_claims *claims;
    struct kit_user *user;
    int64_t now_ms;
    char name[NAME_MAX_BYTES + 1], call_id[KIT_ID_SIZE];
    size_t size;
    char json[];
};

static int run_tell(struct kit_db *db, struct kit_store_op *op)
{
    struct tell *tell = (struct tell *)(void *)op;
    struct sio_builder json;
    struct hooks_event event = {.name = tell->name,
                                .call_id = tell->call_id[0] ? tell->call_id : NULL,
                                .claims = tell->claims,
                                .at_ms = tell->now_ms,
                                .must = true};
    sio_builder_init(&json);
    sio_builder_open(&json);
    bool failed = put_payload(tell->hooks, &json, (struct eio_str){tell->json, tell->size}) != 0;
    event.json = (struct eio_str){json.json, json.size};
    int code =
        failed ? kit_fail(&op->failure, 503, NULL, "out of memory") : hooks_put(tell->hooks, db, &event, &op->failure);
    sio_builder_clear(&json);
    return code;
}

static void on_told(struct kit_store_op *op)
{
    struct tell *tell = (struct tell *)(void *)op;
    struct sio_builder json;
    if (op->failure.code) {
        kit_answer_failure(&tell->answer, &op->failure);
    } else {
        sio_builder_init(&json);
        sio_builder_raw(&json, eio_str("{\"ok\":true}"));
        kit_answer_json(&tell->answer, &json);
        sio_builder_clear(&json);
    }
    kit_claims_unref(tell->claims);
    kit_user_unref(tell->user);
    free(tell);
}

static void tell_service(struct hooks *hooks, struct sio_socket *socket, const struct sio_event *event)
{
    struct eio_str payload = kit_answer_text(hooks->kit, event);
    if (!payload.n) return;
    struct tell *tell = calloc(1, sizeof *tell + payload.n);
    if (!tell) {
        kit_answer_refuse(hooks->kit, event, 503, NULL, "out of memory");
        return;
    }
    struct eio_str about = sio_json_member(payload, "call_id");
    if (about.n) sio_args_text((struct sio_args){about, NULL, 0}, 0, tell->call_id, sizeof tell->call_id);
    if (!kit_is_id(tell->call_id, strlen(tell->call_id))) tell->call_id[0] = 0;
    snprintf(tell->name, sizeof tell->name, "%.*s", (int)event->name.n, event->name.p);
    memcpy(tell->json, payload.p, tell->size = payload.n);
    tell->op.run = run_tell;
    tell->op.done = on_told;
    tell->op.writes = true;
    tell->hooks = hooks;
    tell->answer = kit_answer_later(hooks->kit, event);
    tell->claims = kit_claims_ref(kit_auth_claims(socket));
    tell->user = kit_user_share(kit_auth_user(socket));
    tell->op.source = kit_user_source(tell->user, false);
    tell->now_ms = (int64_t)eio_loop_unix_ms(hooks->kit->loop);
    if (kit_store_submit(hooks->kit->store, &tell->op, sizeof *tell + tell->size)) on_told(&tell->op);
}

/* -------------------------------------------------------------------- events */

static bool on_unknown(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct hooks *hooks = ctx;
    if (event->name.n > NAME_MAX_BYTES) return false;
    if (hooks_matches(hooks->config->asks, event->name))
        ask_service(hooks, socket, event);
    else if (hooks_matches(hooks->config->events, event->name))
        tell_service(hooks, socket, event);
    else
        return false;
    return true;
}

/* What Parley answers itself cannot be the service's as well. */
static int check_names(const struct hooks *hooks, const struct sio_namespace *nsp, char *error, size_t error_size)
{
    for (const char *p = hooks->config->asks; *p;) {
        struct eio_str name = {p, strcspn(p, ",")};
        p += name.n + (p[name.n] == ',');
        if (!sio_handles(nsp, name)) continue;
        char allowed[200];
        snprintf(allowed, sizeof allowed, "events that Parley does not answer itself, as it does `%.*s`",
                 name.n < 100 ? (int)name.n : 100, name.p);
        return kit_config_refuse(hooks->kit->config, "hook_asks", allowed, error, error_size);
    }
    return 0;
}

int hooks_ask_start(struct hooks *hooks, char *error, size_t error_size)
{
    static const char *const names[] = {"/", "/feed"};
    kit_strand_init(&hooks->strand, hooks->kit->work, 1, NULL, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct sio_namespace *nsp = hooks_find_namespace(hooks->kit, names[i]);
        int failed = nsp ? check_names(hooks, nsp, error, error_size) : 0;
        if (!failed && nsp) failed = kit_on_unknown_event(hooks->kit, nsp, on_unknown, hooks);
        if (failed) return failed;
    }
    return 0;
}

void hooks_ask_stop(struct hooks *hooks)
{
    while (hooks->asks) {
        if (hooks->asks->fetch) kit_fetch_cancel(hooks->asks->fetch);
        end_ask(hooks->asks);
    }
}
