/* The module: opens its namespaces and routes, shows its numbers. */
#include "calls_alerts.h"
#include "calls_redact.h"
#include "calls_redact_json.h"
#include "calls_summary_model.h"
#include "kit_metrics.h"

#include <stdlib.h>
#include <string.h>

#define LIVE_AGE_MS 1000 /* a count of live calls older than this is refreshed when it is read */

const struct calls_counters *calls_get_counters(const struct calls *calls)
{
    return &calls->counters;
}

#define KIT_NUMBERS struct calls

static void put_limit(unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s", i ? "source_summaries_max" : "summaries_max");
}

static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("transcript_lines_total", counters.lines, "Transcript lines stored."),
    KIT_COUNTER_ROW("feed_duplicates_total", counters.duplicates,
                    "Feed events ignored because they were already stored."),
    KIT_COUNTER_ROW("calls_abandoned_total", counters.abandoned,
                    "Calls that ended because no feed spoke of them any more."),
    KIT_COUNTER_ROW("calls_deleted_total", counters.deleted, "Calls deleted, by age or by an administrator."),
    KIT_COUNTER_ROW("suggestions_total", counters.suggestions, "Suggestions sent."),
    KIT_DELAYS_ROW("suggestion_seconds", counters.suggestion_delays,
                   "From a line that asked for a search to its suggestion."),
    KIT_COUNTER_ROW("searches_total", counters.searches, "Document searches."),
    KIT_COUNTER_ROW("feedback_total", counters.feedback, "doc:feedback events answered."),
    KIT_COUNTER_ROW("redacted_lines_total", counters.redacted, "Transcript lines from which something was taken out."),
    KIT_COUNTER_ROW("alerts_total", counters.alerts, "Alerts sent."),
    KIT_COUNTER_ROW("alert_patterns_over_total", counters.patterns_over,
                    "Looks of an alert rule at a line that took too many steps."),
    KIT_COUNTER_ROW("summaries_total", counters.summaries, "Summaries of calls sent."),
    KIT_COUNTER_ROW("summaries_by_model_total", counters.summaries_by_model, "Of these, those that a model wrote."),
    KIT_COUNTER_ROW("summaries_model_failed_total", counters.summaries_failed,
                    "Summaries that a model failed to write in time or in the form that was asked for."),
    KIT_LABELLED_ROW("limit_hits_total", KIT_COUNTER, counters.summary_limits, "Times a limit was hit, by option.", 2,
                     "limit", put_limit),
    KIT_COUNTER_ROW("document_uses_total", counters.uses, "doc:used events answered."),
    KIT_COUNTER_ROW("notes_total", counters.notes, "Notes of supervisors stored."),
    KIT_COUNTER_ROW("snapshots_total", counters.snapshots, "Snapshots sent to subscribers."),
    KIT_COUNTER_ROW("snapshots_delayed_total", counters.snapshots_delayed,
                    "Snapshots delayed by snapshot_memory_bytes or snapshot_memory_per_user_bytes."),
    KIT_COUNTER_ROW("snapshots_refused_total", counters.snapshots_refused,
                    "Snapshots that waited for longer than snapshot_wait_ms."),
    KIT_COUNTER_ROW("call_lists_cut_total", counters.lists_cut, "Pages of calls cut short by call_list_bytes_max."),
    KIT_COUNTER_ROW("exports_total", counters.exports, "Exports of calls that were begun."),
    KIT_COUNTER_ROW("exports_refused_total", counters.exports_refused,
                    "Exports refused by snapshot_memory_bytes or snapshot_memory_per_user_bytes."),
    KIT_COUNTER_ROW("gates_lost_total", counters.gates_lost,
                    "Subscriptions ended because gate_messages_max or gate_bytes_max was reached."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, NULL);

/* ----------------------------------------------------------- live calls */

struct live_op {
    struct kit_store_op op;
    struct calls *calls;
    int64_t count;
};

static int run_live(struct kit_db *db, struct kit_store_op *op)
{
    return calls_count_live(db, &((struct live_op *)(void *)op)->count, &op->failure);
}

static void on_live(struct kit_store_op *op)
{
    struct live_op *live = (struct live_op *)(void *)op;
    struct calls *calls = live->calls;
    if (!op->failure.code) calls->live = live->count;
    calls->live_is_asked = false;
    free(live);
}

void calls_refresh_live(struct calls *calls)
{
    if (calls->live_is_asked) return;
    struct live_op *live = calloc(1, sizeof *live);
    if (!live) return;
    live->op.run = run_live;
    live->op.done = on_live;
    live->calls = calls;
    calls->live_ms = eio_loop_now_ms(calls->kit->loop);
    calls->live_is_asked = kit_store_submit_read(calls->kit->store, &live->op, 0) == 0;
    if (!calls->live_is_asked) free(live);
}

static int64_t read_live(void *ctx)
{
    struct calls *calls = ctx;
    if (eio_loop_now_ms(calls->kit->loop) - calls->live_ms >= LIVE_AGE_MS) calls_refresh_live(calls);
    return calls->live;
}

/* ---------------------------------------------------------------- module */

static int open_namespaces(struct calls *calls)
{
    struct kit *kit = calls->kit;
    calls->agents =
        kit_open_namespace(kit, "/", KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN, "agent:connect");
    calls->feed = kit_open_namespace(kit, "/feed", KIT_ROLE_FEED | KIT_ROLE_ADMIN, NULL);
    return calls->agents && calls->feed ? 0 : EIO_ENOMEM;
}

static int prepare(struct kit *kit, void **state)
{
    struct calls *calls = *state = calloc(1, sizeof *calls);
    if (!calls) return EIO_ENOMEM;
    calls->kit = kit;
    kit->proxy = (struct kit_adapter_proxy){"/", calls_proxy_adapter, calls};
    return 0;
}

static int open_redaction(struct calls *calls, char *error, size_t error_size)
{
    const struct kit_config *config = calls->kit->config;
    char allowed[300], why[240];
    calls->redaction = calls_redaction_open(calls_config(config)->redaction, why, sizeof why);
    if (calls->redaction || !why[0]) return 0;
    snprintf(allowed, sizeof allowed, "`default`, `off` or a file of rules: %s", why);
    return kit_config_refuse(config, "redaction", allowed, error, error_size);
}

static int redact_json(void *ctx, struct eio_str json, struct sio_builder *out)
{
    return calls_json_redact(ctx, json, out);
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    static int (*const parts[])(struct calls * calls) = {
        open_namespaces,      calls_presence_start, calls_access_start, calls_agents_start, calls_watch_start,
        calls_feedback_start, calls_suggest_start,  calls_life_start,   calls_http_start,   calls_notes_start,
        calls_help_start,     calls_wrapup_start,   calls_search_start, calls_past_start,   calls_export_start,
        calls_summary_start,  calls_stats_start,    calls_vendor_start, calls_index_start,  calls_outage_start,
    };
    struct calls *calls = *state;
    int failed = open_redaction(calls, error, error_size);
    calls->knowledge = kit_state(kit, &knowledge_module);
    calls->hooks = kit_state(kit, &hooks_module);
    calls->llm = kit_state(kit, &llm_module);
    if (!failed) failed = calls_writing_check(calls, error, error_size);
    if (calls->redaction) hooks_redact_with(calls->hooks, redact_json, calls->redaction);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !failed; i++) failed = parts[i](calls);
    if (!failed) failed = kit_add_health(kit, "calls", read_live, calls);
    if (!failed) failed = calls_alerts_open(calls, error, error_size);
    if (!failed && kit->config->demo) failed = calls_demo_start(calls, error, error_size);
    if (!failed) calls_refresh_live(calls);
    return failed;
}

static void drain(void *state)
{
    calls_demo_drain(state);
    calls_life_drain(state);
    calls_alerts_drain(state);
    calls_stats_drain(state);
    calls_summary_drain(state);
    calls_index_drain(state);
    calls_outage_drain(state);
}

static void pause_calls(void *state)
{
    struct calls *calls = state;
    if (!calls) return;
    drain(calls);
    if (calls->agents) calls_watch_pause(calls);
}

static void stop(void *state)
{
    struct calls *calls = state;
    if (!calls) return;
    calls_demo_stop(calls);
    calls_life_stop(calls);
    calls_presence_stop(calls);
    calls_access_stop(calls);
    calls_suggest_stop(calls);
    calls_stats_stop(calls);
    calls_index_stop(calls);
    calls_outage_stop(calls);
    calls_vendor_stop(calls);
    calls_alerts_close(calls);
    calls_redaction_free(calls->redaction);
    free(calls->proxy);
    free(calls);
}

static void reload(void *state)
{
    calls_alerts_reload(state);
}

const struct kit_module calls_module = {.name = "calls",

                                        .options = &calls_options,
                                        .metrics = &metrics,
                                        .migrations = calls_migrations,
                                        .prepare = prepare,
                                        .start = start,
                                        .reload = reload,
                                        .drain = drain,
                                        .pause = pause_calls,
                                        .stop = stop};
