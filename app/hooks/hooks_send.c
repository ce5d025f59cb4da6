/* Sends what the outbox has: one batch at a time, tried again until the service has taken it or its time is up. Asks
 * the store before each try, so that nothing is known here only. */
#include "hooks_outbox.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_LOOK_MS 500 /* how often the sending node looks for what others put in; they, whether it still is */
#define STORE_WAIT_MS 1000
#define RETRY_AFTER_MAX_S 3600 /* what a service may ask for */

enum stage {
    REST,    /* nothing waits */
    GATHER,  /* for more events: batch_ms */
    TAKE,    /* the store is asked */
    REQUEST, /* the service */
    WAIT,    /* until it is tried again */
};

struct hooks_sender {
    struct hooks *hooks;
    enum stage stage;
    bool is_paused, puts_hook;
    struct eio_timer timer;
    uint64_t seen; /* hooks_outbox_stats.put, when the store was asked last */
    uint64_t not_before_ms;
    char ended[32]; /* a batch that is over, which the store may not know yet */
    enum hooks_result result;
    struct hooks_take *take; /* its batch is being sent */
    struct kit_fetch *fetch;
    /* Of the batch. */
    char id[32];
    unsigned attempts, failures;
    uint32_t count_max;
};

static void begin_take(struct hooks_sender *sender);

static void drop_take(struct hooks_take *take)
{
    sio_builder_clear(&take->batch.body);
    free(take);
}

/* ------------------------------------------------------------------ requests */

enum hooks_outcome hooks_outcome(const struct kit_fetch_result *result)
{
    static const int later[] = {401, 403, 404, 408, 425, 429, 502, 503, 504};
    if (result->error || !result->status) return HOOKS_AWAY;
    if (result->status / 100 == 2) return HOOKS_TAKEN;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (result->status == later[i]) return HOOKS_AWAY;
    return result->status / 100 == 4 ? HOOKS_REFUSED : HOOKS_FAILED;
}

struct kit_fetch *hooks_post(struct hooks *hooks, const char *id, struct eio_str body, struct kit_fetch_options *with)
{
    const struct hooks_config *config = hooks->config;
    int64_t at_s = (int64_t)eio_loop_unix_ms(hooks->kit->loop) / 1000;
    char id_field[64], at_field[48];
    char *signatures = hooks_sign(config->secret, id, at_s, body);
    size_t size = signatures ? strlen(signatures) + 32 : 0;
    char *field = signatures ? malloc(size) : NULL;
    struct kit_fetch *fetch = NULL;
    if (field) {
        snprintf(id_field, sizeof id_field, "webhook-id: %s", id);
        snprintf(at_field, sizeof at_field, "webhook-timestamp: %lld", (long long)at_s);
        snprintf(field, size, "webhook-signature: %s", signatures);
        const char *const headers[] = {"Content-Type: application/json", id_field, at_field, field, NULL};
        with->url = config->url;
        with->headers = headers;
        with->body = body;
        with->max_bytes = config->answer_bytes;
        fetch = kit_fetch_start(hooks->kit->fetcher, with);
    }
    free(signatures);
    free(field);
    if (fetch) hooks->counters.requests++;
    return fetch;
}

static void emit_all(struct hooks *hooks, const json_t *list)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        struct kit_failure failure = {0, "", ""};
        if (i == hooks->config->emits_max) {
            kit_fail(&failure, 413, NULL, "more than hook_emits_max");
            hooks->counters.emits_refused += count - i - 1;
        } else if (!hooks_emit(hooks->kit, json_array_get(list, i), &failure)) {
            hooks->counters.emits++;
            continue;
        }
        hooks->counters.emits_refused++;
        kit_log(EIO_LOG_WARN, "hook: an event of the service's answer was not emitted", "index",
                kit_number((long long)i).text, "why", failure.message, NULL);
        if (i == hooks->config->emits_max) return;
    }
}

json_t *hooks_take_answer(struct hooks *hooks, struct eio_str body)
{
    struct kit_failure failure;
    if (!body.n || kit_json_check(body, hooks->kit->config->io.max_depth - 1, &failure)) return NULL;
    json_t *answer = json_loadb(body.p, body.n, 0, NULL);
    json_t *ack = json_incref(json_object_get(answer, "ack"));
    emit_all(hooks, json_object_get(answer, "emit"));
    json_decref(answer);
    return ack;
}

/* -------------------------------------------------------------------- result */

static void wait_for(struct hooks_sender *sender, uint64_t ms)
{
    sender->stage = WAIT;
    sender->not_before_ms = eio_loop_now_ms(sender->hooks->kit->loop) + ms;
    eio_timer_start(&sender->timer, ms < HOOKS_RENEW_MS ? ms : HOOKS_RENEW_MS);
}

static uint64_t backoff_ms(const struct hooks_sender *sender)
{
    const struct hooks_config *config = sender->hooks->config;
    unsigned doubled = sender->attempts < 20 ? sender->attempts : 20;
    uint64_t ms = (uint64_t)config->retry_min_ms << (doubled ? doubled - 1 : 0);
    return hooks_jitter(ms < config->retry_max_ms ? ms : config->retry_max_ms);
}

static void end_batch(struct hooks_sender *sender, const struct hooks_batch *batch, enum hooks_result result)
{
    memcpy(sender->ended, batch->id, sizeof sender->ended);
    sender->result = result;
    sender->not_before_ms = 0;
    begin_take(sender);
}

static void give_up(struct hooks_sender *sender, const struct hooks_batch *batch, uint64_t *counter, const char *why)
{
    *counter += batch->count;
    kit_log(EIO_LOG_WARN, "hook: events are dropped", "events", kit_number(batch->count).text, "batch", batch->id,
            "why", why, NULL);
    end_batch(sender, batch, HOOKS_DONE);
}

/* The service cannot do with the batch: smaller ones show which event it is. */
static void split(struct hooks_sender *sender, const struct hooks_batch *batch, const char *why)
{
    if (batch->count <= 1) {
        give_up(sender, batch, &sender->hooks->counters.refused, why);
        return;
    }
    sender->count_max = batch->count / 2;
    end_batch(sender, batch, HOOKS_SPLIT);
}

static void try_later(struct hooks_sender *sender, const struct hooks_batch *batch, uint64_t retry_after_ms,
                      const char *why)
{
    const struct hooks *hooks = sender->hooks;
    int64_t age_ms = (int64_t)eio_loop_unix_ms(hooks->kit->loop) - batch->at_ms;
    uint64_t ms = backoff_ms(sender);
    if (age_ms > (int64_t)hooks->config->retry_total_s * 1000)
        give_up(sender, batch, &sender->hooks->counters.gave_up, why);
    else
        wait_for(sender, ms > retry_after_ms ? ms : retry_after_ms);
}

static void describe(const struct kit_fetch_result *result, char why[160])
{
    if (result->error)
        snprintf(why, 160, "%s", result->error);
    else
        snprintf(why, 160, "status %d", result->status);
}

uint64_t hooks_retry_after_ms(const struct kit_fetch_result *result)
{
    if (result->retry_after_s <= 0) return 0;
    int64_t s = result->retry_after_s < RETRY_AFTER_MAX_S ? result->retry_after_s : RETRY_AFTER_MAX_S;
    return (uint64_t)s * 1000;
}

void hooks_settle(struct hooks *hooks, const struct kit_fetch_result *result, enum hooks_outcome outcome)
{
    bool success = outcome == HOOKS_TAKEN || outcome == HOOKS_REFUSED || result->status == 429;
    uint64_t retry_after_ms = result->status == 503 ? hooks_retry_after_ms(result) : 0;
    char why[160];
    if (outcome != HOOKS_TAKEN) hooks->counters.failures++;
    if (!hooks_breaker_end(&hooks->breaker, success, retry_after_ms, eio_loop_now_ms(hooks->kit->loop))) return;
    hooks->counters.breaker_opened++;
    describe(result, why);
    kit_log(EIO_LOG_WARN, "hook: the service fails; it is left alone for a while", "why", why, NULL);
}

static void on_response(void *ctx, const struct kit_fetch_result *result)
{
    struct hooks_sender *sender = ctx;
    struct hooks *hooks = sender->hooks;
    struct hooks_take *take = sender->take;
    enum hooks_outcome outcome = hooks_outcome(result);
    char why[160];
    sender->fetch = NULL;
    sender->take = NULL;
    sender->attempts++;
    sender->failures += outcome == HOOKS_FAILED;
    describe(result, why);
    hooks_settle(hooks, result, outcome);
    if (outcome == HOOKS_TAKEN) {
        hooks->counters.sent += take->batch.count;
        json_decref(hooks_take_answer(hooks, result->body));
        sender->count_max *= 2;
        end_batch(sender, &take->batch, HOOKS_DONE);
    } else if (outcome == HOOKS_REFUSED || sender->failures >= hooks->config->refusals_max) {
        split(sender, &take->batch, why);
    } else {
        try_later(sender, &take->batch, hooks_retry_after_ms(result), why);
    }
    drop_take(take);
}

/* ---------------------------------------------------------------------- take */

static void rest(struct hooks_sender *sender)
{
    sender->stage = REST;
    if (kit_has_peers(sender->hooks->kit) && !sender->is_paused)
        eio_timer_start(&sender->timer, hooks_jitter(PEERS_LOOK_MS));
}

static void send_batch(struct hooks_sender *sender, struct hooks_take *take)
{
    struct hooks *hooks = sender->hooks;
    uint64_t now_ms = eio_loop_now_ms(hooks->kit->loop), wait_ms = 0;
    struct kit_fetch_options with = {.timeout_ms = hooks->config->timeout_ms, .on_done = on_response, .ctx = sender};
    struct eio_str body = {take->batch.body.json, take->batch.body.size};
    if (strcmp(sender->id, take->batch.id)) {
        sender->attempts = sender->failures = 0;
        snprintf(sender->id, sizeof sender->id, "%s", take->batch.id);
    }
    if (now_ms < sender->not_before_ms)
        wait_ms = sender->not_before_ms - now_ms;
    else if (hooks_breaker_begin(&hooks->breaker, now_ms, &wait_ms))
        wait_ms = 0;
    if (!wait_ms) sender->fetch = hooks_post(hooks, take->batch.id, body, &with);
    if (sender->fetch) {
        sender->stage = REQUEST;
        sender->take = take;
        return;
    }
    if (!wait_ms) hooks_breaker_cancel(&hooks->breaker);
    wait_for(sender, wait_ms ? wait_ms : STORE_WAIT_MS);
    drop_take(take);
}

static void on_taken(struct kit_store_op *op)
{
    struct hooks_take *take = (struct hooks_take *)(void *)op;
    struct hooks_sender *sender = take->hooks->sender;
    if (!op->failure.code && !strcmp(sender->ended, take->ended)) sender->ended[0] = 0;
    if (!sender->is_paused && !op->failure.code && take->batch.id[0]) {
        send_batch(sender, take);
        return;
    }
    if (op->failure.code && !sender->is_paused)
        wait_for(sender, STORE_WAIT_MS);
    else
        rest(sender);
    drop_take(take);
}

static void begin_take(struct hooks_sender *sender)
{
    struct hooks *hooks = sender->hooks;
    struct hooks_outbox_stats stats;
    uint32_t most = hooks->config->batch_max;
    struct hooks_take *take = calloc(1, sizeof *take);
    if (!sender->count_max || sender->count_max > most) sender->count_max = most;
    sender->stage = TAKE;
    hooks_outbox_get_stats(hooks->outbox, &stats);
    sender->seen = stats.put;
    if (take) {
        take->op.run = hooks_take;
        take->op.done = on_taken;
        take->op.writes = true;
        take->op.locks[0] = "hooks";
        take->hooks = hooks;
        take->count_max = sender->count_max;
        take->is_alone = !kit_has_peers(hooks->kit);
        take->result = sender->result;
        memcpy(take->ended, sender->ended, sizeof take->ended);
        if (!kit_store_submit(hooks->kit->store, &take->op, sizeof *take)) return;
        free(take);
    }
    wait_for(sender, STORE_WAIT_MS);
}

/* ---------------------------------------------------------------------- wake */

static void on_timer(void *ctx)
{
    begin_take(ctx);
}

/* Ends each turn. What was put into the outbox is durable before the store is asked for it: that is a write, too,
 * behind the others. */
static void on_turn_end(void *ctx)
{
    struct hooks_sender *sender = ctx;
    const struct hooks_config *config = sender->hooks->config;
    struct hooks_outbox_stats stats;
    hooks_outbox_get_stats(sender->hooks->outbox, &stats);
    uint64_t fresh = stats.put - sender->seen;
    if (!fresh || sender->is_paused || (sender->stage != REST && sender->stage != GATHER)) return;
    if (sender->stage == GATHER && fresh < config->batch_max) return;
    sender->stage = GATHER;
    bool is_full = fresh >= config->batch_max || !config->batch_ms;
    eio_timer_start(&sender->timer, is_full ? 0 : config->batch_ms);
}

int hooks_sender_start(struct hooks *hooks)
{
    struct hooks_sender *sender = hooks->sender = calloc(1, sizeof *sender);
    if (!sender) return EIO_ENOMEM;
    sender->hooks = hooks;
    eio_timer_init(&sender->timer, hooks->kit->loop, on_timer, sender);
    int error = eio_loop_add_flush_hook(hooks->kit->loop, on_turn_end, sender);
    sender->puts_hook = !error;
    /* What waits since before. */
    return error ? error : eio_timer_start(&sender->timer, hooks->config->batch_ms);
}

static void on_gave_up_turn(struct kit_store_op *op)
{
    free(op);
}

void hooks_sender_pause(struct hooks *hooks)
{
    struct hooks_sender *sender = hooks->sender;
    if (!sender || sender->is_paused) return;
    sender->is_paused = true;
    eio_timer_stop(&sender->timer);
    if (sender->puts_hook) eio_loop_remove_flush_hook(hooks->kit->loop, on_turn_end, sender);
    if (sender->fetch) {
        kit_fetch_cancel(sender->fetch);
        drop_take(sender->take);
        sender->fetch = NULL;
        sender->take = NULL;
    }
    struct hooks_take *last = calloc(1, sizeof *last);
    if (!last) return;
    last->op.run = hooks_give_up_turn;
    last->op.done = on_gave_up_turn;
    last->op.writes = true;
    last->op.locks[0] = "hooks";
    last->hooks = hooks;
    if (kit_store_submit(hooks->kit->store, &last->op, sizeof *last)) free(last);
}

void hooks_sender_stop(struct hooks *hooks)
{
    free(hooks->sender);
    hooks->sender = NULL;
}
