/* The module: its options, its numbers, when it runs. */
#include "hooks_outbox.h"
#include "kit_metrics.h"
#include "kit_options.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ patterns */

bool hooks_matches(const char *list, struct eio_str name)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        bool is_prefix = n && list[n - 1] == '*';
        size_t own = n - is_prefix;
        if ((is_prefix ? name.n >= own : name.n == own) && !memcmp(list, name.p, own)) return true;
        list += n + (list[n] == ',');
    }
    return false;
}

const char *hooks_check_patterns(const char *list)
{
    static const char allowed[] = "names of events of at most 128 bytes, with commas between; * at the end of a name "
                                  "stands for all that begin so";
    if (kit_list_has_gap(list)) return allowed;
    while (*list) {
        size_t n = strcspn(list, ","), star = strcspn(list, "*");
        if (n > 128 || star + 1 < n || (size_t)strcspn(list, " \t\"'") < n) return allowed;
        list += n + (list[n] == ',');
    }
    return NULL;
}

/* ------------------------------------------------------------------- options */

#define KIT_VALUES struct hooks_config
static const struct kit_option option_rows[] = {
    KIT_SECRET_ROW("emit_secret", emit_secret, hooks_check_secrets, "Hooks",
                   "secret of services that sign POST /api/v1/emit by Standard Webhooks: `whsec_` and base64; several, "
                   "separated by commas, while one replaces another; empty: a token of the role service is required"),
    KIT_CHECKED_ROW("hook_url", url, "", kit_fetch_check_url, "Hooks",
                    "where events are posted to; redirects are not followed; empty: nowhere"),
    KIT_SECRET_ROW("hook_secret", secret, hooks_check_secrets, "Hooks",
                   "secret by which they are signed, as `emit_secret`; with several, each gives a signature"),
    KIT_CHECKED_ROW("hook_events", events, "call:start,call:status,transcription:update", hooks_check_patterns, "Hooks",
                    "events that are posted: what happens in calls, and clients' events that Parley does not know; "
                    "names separated by commas, `call:*` for all that begin so"),
    KIT_CHECKED_ROW(
        "hook_asks", asks, "", hooks_check_patterns, "Hooks",
        "clients' events, unknown to Parley, that the service answers: its answer is their acknowledgement"),
    KIT_U32_ROW("hook_batch_ms", batch_ms, "200", 0, KIT_DAY_MS, "Hooks",
                "how long an event waits for others to be posted with"),
    KIT_U32_ROW("hook_batch_max", batch_max, "100", 1, 10000, "Hooks", "events posted at once"),
    KIT_SIZE_ROW("hook_batch_bytes", batch_bytes, "1048576", 1024, "Hooks",
                 "bytes posted at once; the event that reaches it is still in"),
    KIT_U32_ROW("hook_timeout_ms", timeout_ms, "10000", 10, KIT_DAY_MS, "Hooks",
                "time for the service to take a batch"),
    KIT_U32_ROW("hook_ask_timeout_ms", ask_timeout_ms, "5000", 10, KIT_DAY_MS, "Hooks",
                "time for the service to answer a client's event; above: error 504"),
    KIT_U32_ROW("hook_retry_min_ms", retry_min_ms, "500", 1, KIT_DAY_MS, "Hooks",
                "delay before a batch is posted again; doubles each time, with half of it random"),
    KIT_U32_ROW("hook_retry_max_ms", retry_max_ms, "60000", 1, KIT_DAY_MS, "Hooks",
                "longest delay, unless the service asks for more by Retry-After"),
    KIT_U32_ROW("hook_retry_total_s", retry_total_s, "86400", 1, 31536000, "Hooks",
                "an event as old as this is dropped if the service still cannot take it"),
    KIT_U32_ROW("hook_refusals_max", refusals_max, "5", 1, 1000, "Hooks",
                "how often the service may fail with status 500 at a batch before that is halved, and at a single "
                "event before it is dropped; after a status such as 400 or 422, at once"),
    KIT_U32_ROW("hook_queue_max", queue_max, "100000", 1, 100000000, "Hooks",
                "events in the outbox, about; above: new ones are not posted"),
    KIT_U32_ROW("hook_source_queue_max", source_queue_max, "25000", 1, 100000000, "Hooks",
                "events in the outbox of one tenant, or of a user without a tenant; above: new ones are not posted"),
    KIT_U32_ROW("hook_breaker_failures", breaker_failures, "5", 1, 1000, "Hooks",
                "failures in a row after which the service is left alone; clients' events are refused with 503"),
    KIT_U32_ROW("hook_breaker_ms", breaker_ms, "10000", 1, KIT_DAY_MS, "Hooks",
                "for how long; half of it is random. Then a single request decides"),
    KIT_U32_ROW("hook_asks_max", asks_max, "256", 1, 100000, "Hooks",
                "clients' events that wait for the service; above: error 503"),
    KIT_U32_ROW("hook_user_asks_max", user_asks_max, "8", 1, 100000, "Hooks", "of one user; above: error 503"),
    KIT_SIZE_ROW("hook_answer_bytes", answer_bytes, "262144", 1, "Hooks",
                 "size of the service's answer; above: a failure"),
    KIT_U32_ROW("hook_emits_max", emits_max, "100", 0, 100000, "Hooks",
                "events emitted for one answer; above: the others are not"),
};
static const struct kit_option_set options = KIT_OPTION_SET(option_rows);
#undef KIT_VALUES

const struct hooks_config *hooks_config(const struct kit_config *config)
{
    return kit_config_values(config, &options);
}

/* ------------------------------------------------------------------- numbers */

struct hooks_numbers {
    struct hooks_counters counters;
    struct hooks_outbox_stats outbox;
    uint64_t dropped[4];
    uint64_t is_open, asks_running;
};
#define KIT_NUMBERS struct hooks_numbers

static void put_reason(unsigned i, char *out, size_t size)
{
    static const char *const names[] = {"hook_source_queue_max", "hook_queue_max", "hook_retry_total_s",
                                        "hook_refusals_max"};
    snprintf(out, size, "%s", names[i]);
}

static void read_numbers(void *ctx, void *numbers)
{
    const struct hooks *hooks = ctx;
    struct hooks_numbers *out = numbers;
    hooks_outbox_get_stats(hooks->outbox, &out->outbox);
    out->counters = hooks->counters;
    out->dropped[0] = out->outbox.over_share;
    out->dropped[1] = out->outbox.over_queue;
    out->dropped[2] = hooks->counters.gave_up;
    out->dropped[3] = hooks->counters.refused;
    out->is_open = hooks->breaker.is_open;
    out->asks_running = hooks->ask_count;
}

static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("hook_events_put_total", outbox.put, "Events put into the outbox."),
    KIT_COUNTER_ROW("hook_events_sent_total", counters.sent, "Events that the service took."),
    KIT_LABELLED_ROW("hook_events_dropped_total", KIT_COUNTER, dropped,
                     "Events not posted, by the option that limits them.", 4, "limit", put_reason),
    KIT_GAUGE_ROW("hook_events_waiting", outbox.waiting, "Events in the outbox, of all nodes, about."),
    KIT_COUNTER_ROW("hook_requests_total", counters.requests, "Requests to the service."),
    KIT_COUNTER_ROW("hook_failures_total", counters.failures, "Requests to the service without a 2xx response."),
    KIT_COUNTER_ROW("hook_asks_total", counters.asks, "Clients' events for the service to answer."),
    KIT_COUNTER_ROW("hook_asks_failed_total", counters.asks_failed, "Of these, those that it failed to answer."),
    KIT_COUNTER_ROW("hook_asks_refused_total", counters.asks_refused,
                    "Of these, those refused because of hook_asks_max, hook_user_asks_max or the breaker."),
    KIT_GAUGE_ROW("hook_asks_running", asks_running, "Clients' events that wait for the service."),
    KIT_COUNTER_ROW("hook_emits_total", counters.emits, "Events emitted for the service's answers."),
    KIT_COUNTER_ROW("hook_emits_refused_total", counters.emits_refused,
                    "Events of the service's answers that were malformed or above hook_emits_max."),
    KIT_COUNTER_ROW("hook_breaker_opened_total", counters.breaker_opened,
                    "Times the service was left alone because it failed."),
    KIT_GAUGE_ROW("hook_breaker_open", is_open, "1 while the service is left alone."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, read_numbers);

/* -------------------------------------------------------------------- module */

void hooks_redact_with(struct hooks *hooks, hooks_redact_fn redact, void *ctx)
{
    hooks->redact = redact;
    hooks->redact_ctx = ctx;
}

static int prepare(struct kit *kit, void **state)
{
    struct hooks *hooks = *state = calloc(1, sizeof *hooks);
    if (!hooks) return EIO_ENOMEM;
    hooks->kit = kit;
    hooks->config = hooks_config(kit->config);
    hooks->breaker.failures_max = hooks->config->breaker_failures;
    hooks->breaker.open_ms = hooks->config->breaker_ms;
    if (!hooks->config->url[0]) return 0;
    hooks->outbox = hooks_outbox_new(hooks);
    return hooks->outbox ? 0 : EIO_ENOMEM;
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct hooks *hooks = *state;
    int failed = hooks_emit_start(kit);
    if (failed || !hooks->outbox) return failed;
    if (!hooks->config->secret[0])
        return kit_config_refuse(kit->config, "hook_secret", "a secret where there is hook_url", error, error_size);
    failed = hooks_ask_start(hooks, error, error_size);
    return failed ? failed : hooks_sender_start(hooks);
}

static void pause_hooks(void *state)
{
    if (state) hooks_sender_pause(state);
}

static void stop(void *state)
{
    struct hooks *hooks = state;
    if (!hooks) return;
    hooks_ask_stop(hooks);
    hooks_sender_stop(hooks);
    hooks_outbox_free(hooks->outbox);
    free(hooks);
}

const struct kit_module hooks_module = {.name = "hooks",
                                        .options = &options,
                                        .metrics = &metrics,
                                        .migrations = hooks_migrations,
                                        .prepare = prepare,
                                        .start = start,
                                        .pause = pause_hooks,
                                        .stop = stop};
