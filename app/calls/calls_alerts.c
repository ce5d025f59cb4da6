/* What alert rules fire on. The rules in memory belong to the write strand: they are read, looked through and replaced
 * in its operations only, so that a line is held against the rules of the moment that it is stored in.
 *
 * A rule of the kind "not said within N s" is settled for a call by a line that fits or by its alert; others fire in
 * the first line that fits. Both are a row of call_rules, so that of several processes one fires, and once. */
#include "calls_alerts.h"

#include "calls_listing.h"
#include "calls_rules.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000
#define DUE_MAX 100           /* calls of one look */
#define LATE_MS 600000        /* a rule whose time was up so long ago does not fire: the server was away */
#define QUOTE_BYTES 240       /* of the line */
#define ALERTS_OF_LINE_MAX 20 /* rules that fire in one line */

struct calls_alerts {
    struct calls *calls;
    struct calls_rule *rules; /* the write strand's, like count and version */
    size_t count;
    int64_t version; /* -1: not read yet */
    atomic_uint_fast64_t over;
    struct eio_timer timer;
    json_t *of_file; /* of the start, until the server runs; then NULL */
    bool is_looking, looks_again;
    int64_t look_ms;
};

/* ------------------------------------------------------------------- rules */

static void drop_rules(struct calls_alerts *alerts)
{
    for (size_t i = 0; i < alerts->count; i++) calls_rule_clear(&alerts->rules[i]);
    free(alerts->rules);
    alerts->rules = NULL;
    alerts->count = 0;
}

/* A rule that this program cannot read (a later one's) is left out. */
static void add_rule(struct calls_alerts *alerts, const char *text, int64_t since_ms)
{
    struct kit_failure why = {0, "", ""};
    json_t *object = json_loads(text, 0, NULL);
    struct calls_rule *rule = &alerts->rules[alerts->count];
    if (calls_rule_read(rule, object, &why)) {
        kit_log(EIO_LOG_WARN, "an alert rule cannot be used", "rule", rule->name, "why", why.message, NULL);
        calls_rule_clear(rule);
    } else {
        rule->since_ms = since_ms;
        alerts->count++;
    }
    json_decref(object);
}

static int read_rules(struct calls_alerts *alerts, struct kit_db *db, struct kit_failure *failure)
{
    struct kit_rows rows;
    drop_rules(alerts);
    alerts->rules = calloc(CALLS_RULES_MAX, sizeof *alerts->rules);
    if (!alerts->rules) return kit_fail(failure, 503, NULL, "out of memory");
    enum kit_step step = kit_db_query(db, &rows, "SELECT rule, since_ms FROM alert_rules ORDER BY name LIMIT ?", "i",
                                      (int64_t)CALLS_RULES_MAX);
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        add_rule(alerts, kit_rows_text(&rows, 0), kit_rows_int(&rows, 1));
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int refresh(struct calls_alerts *alerts, struct kit_db *db, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT n FROM alert_changes WHERE id=1", "") != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t version = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    if (version == alerts->version) return 0;
    int code = read_rules(alerts, db, failure);
    alerts->version = code ? -1 : version;
    return code;
}

/* ----------------------------------------------------------------- alerts */

void calls_alerts_free(struct calls_alert *alerts)
{
    while (alerts) {
        struct calls_alert *next = alerts->next;
        sio_builder_clear(&alerts->json);
        free(alerts->agents);
        free(alerts);
        alerts = next;
    }
}

/* What an alert is about. */
struct occasion {
    int64_t call, now_ms;
    struct calls_call *numbers; /* whose seq is counted by who stores the line; NULL: it is counted in the store */
    const char *call_id;
    const struct calls_rule *rule;
    const char *speaker, *segment_id; /* NULL: no line */
    struct eio_str text;              /* of the line */
    struct hooks *hooks;
    const struct kit_claims *claims; /* of whose line it is about; NULL: none's */
};

static void put_text(struct sio_builder *json, const struct occasion *o)
{
    struct eio_str text = o->text;
    if (o->rule->message) text = eio_str(o->rule->message);
    if (text.n > QUOTE_BYTES) {
        text.n = QUOTE_BYTES;
        while (text.n && ((unsigned char)text.p[text.n] & 0xc0) == 0x80) text.n--;
    }
    sio_builder_put_text(json, text.p, text.n);
}

static void put_alert(struct sio_builder *json, const struct occasion *o)
{
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, o->call_id);
    sio_builder_put(json, ",\"rule\":");
    kit_put_text(json, o->rule->name);
    sio_builder_put(json, ",\"level\":");
    kit_put_text(json, o->rule->level);
    if (o->segment_id && o->segment_id[0]) sio_builder_put(json, ",\"segment_id\":");
    if (o->segment_id && o->segment_id[0]) kit_put_text(json, o->segment_id);
    if (o->speaker) sio_builder_put(json, ",\"speaker\":");
    if (o->speaker) kit_put_text(json, o->speaker);
    sio_builder_put(json, ",\"text\":");
    put_text(json, o);
    sio_builder_put(json, ",\"timestamp\":");
    kit_put_time(json, o->now_ms);
}

/* Numbers and stores it, and puts it at the end of the list. */
static int fire(struct kit_db *db, const struct occasion *o, struct calls_alert **list, struct kit_failure *failure)
{
    struct calls_call call = {.id = o->call};
    while (*list) list = &(*list)->next;
    struct calls_alert *alert = *list = calloc(1, sizeof *alert);
    if (!alert) return kit_fail(failure, 503, NULL, "out of memory");
    snprintf(alert->call_id, sizeof alert->call_id, "%s", o->call_id);
    sio_builder_init(&alert->json);
    put_alert(&alert->json, o);
    int code = o->numbers ? 0 : calls_next_seq(db, &call, failure);
    if (o->numbers) call.seq = ++o->numbers->seq;
    if (!code) code = calls_read_agents(db, o->call, &alert->agents, failure);
    if (code) return code;
    if (kit_db_run(db, "INSERT INTO alerts(call, seq, json) VALUES (?,?,? || '}')", "iib", call.id, call.seq,
                   alert->json.json, alert->json.size))
        return kit_db_fail(db, failure);
    sio_builder_put(&alert->json, ",\"seq\":");
    kit_put_int(&alert->json, call.seq);
    sio_builder_put(&alert->json, "}");
    if (alert->json.error) return kit_fail(failure, 503, NULL, "out of memory");
    struct hooks_event event = {.name = "call:alert",
                                .call_id = o->call_id,
                                .claims = o->claims,
                                .json = {alert->json.json, alert->json.size},
                                .at_ms = o->now_ms};
    return hooks_put(o->hooks, db, &event, failure);
}

/* *is_first: nothing has settled the rule in this call yet. */
static int settle(struct kit_db *db, int64_t call, const char *rule, bool *is_first, struct kit_failure *failure)
{
    int64_t count = kit_db_change(
        db, "INSERT INTO call_rules(call, rule) VALUES (?,?) ON CONFLICT(call, rule) DO NOTHING", "it", call, rule);
    *is_first = count > 0;
    return count < 0 ? kit_db_fail(db, failure) : 0;
}

static int hold_against(struct calls_alerts *alerts, const struct calls_rule *rule, struct kit_db *db,
                        struct calls_record *record, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    struct occasion o = {.call = record->call.id,
                         .numbers = record->numbers,
                         .now_ms = record->now_ms,
                         .call_id = entry->call_id,
                         .rule = rule,
                         .speaker = entry->speaker,
                         .segment_id = entry->segment_id,
                         .hooks = record->hooks,
                         .claims = record->claims,
                         .text = {entry->text, entry->text_size}};
    size_t begin;
    bool is_over, is_first = true;
    bool fits = calls_rule_fits(rule, entry->speaker, o.text, &begin, &is_over);
    if (is_over) atomic_fetch_add(&alerts->over, 1);
    if (!fits) return 0;
    /* What fits is shown: the line from a little before it. */
    while (begin > QUOTE_BYTES / 4 && o.text.n > QUOTE_BYTES) {
        size_t step = 1;
        while (((unsigned char)o.text.p[step] & 0xc0) == 0x80) step++;
        o.text.p += step;
        o.text.n -= step;
        begin -= step < begin ? step : begin;
    }
    int code = rule->repeats && !rule->not_within_ms ? 0 : settle(db, o.call, rule->name, &is_first, failure);
    if (code || !is_first || rule->not_within_ms) return code;
    return fire(db, &o, &record->entry.alerts, failure);
}

int calls_alerts_line(struct calls_alerts *alerts, struct kit_db *db, struct calls_record *record,
                      struct kit_failure *failure)
{
    int code = 0;
    size_t fired = 0;
    if (alerts->version < 0) code = refresh(alerts, db, failure);
    for (size_t i = 0; i < alerts->count && !code && fired < ALERTS_OF_LINE_MAX; i++) {
        code = hold_against(alerts, &alerts->rules[i], db, record, failure);
        fired = 0;
        for (const struct calls_alert *alert = record->entry.alerts; alert; alert = alert->next) fired++;
    }
    return code;
}

void calls_alerts_send(struct calls *calls, const struct calls_alert *alerts)
{
    for (; alerts; alerts = alerts->next) {
        calls->counters.alerts++;
        calls_alert_send(calls, alerts->call_id, alerts->agents, sio_builder_args(&alerts->json));
    }
}

/* --------------------------------------------------------------------- look */

/* A rule whose time is up in a call. */
struct due {
    int64_t call;
    char call_id[KIT_ID_SIZE], rule[KIT_ID_SIZE];
};

struct look {
    struct kit_store_op op;
    struct calls_alerts *alerts;
    int64_t now_ms;
    struct due due[DUE_MAX];
    size_t count;
    struct calls_alert *fired;
};

static int find_due(struct kit_db *db, struct look *look, const struct calls_rule *rule)
{
    struct kit_rows rows;
    int64_t from_ms = look->now_ms - rule->not_within_ms - LATE_MS;
    if (from_ms < rule->since_ms) from_ms = rule->since_ms;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT id, call_id FROM calls WHERE ended_ms IS NULL AND started_ms >= ? AND started_ms <= ?"
                     " AND NOT EXISTS (SELECT 1 FROM call_rules WHERE call=calls.id AND rule=?) LIMIT ?",
                     "iiti", from_ms, look->now_ms - rule->not_within_ms, rule->name, (int64_t)(DUE_MAX - look->count));
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct due *due = &look->due[look->count++];
        due->call = kit_rows_int(&rows, 0);
        snprintf(due->call_id, sizeof due->call_id, "%s", kit_rows_text(&rows, 1));
        snprintf(due->rule, sizeof due->rule, "%s", rule->name);
    }
    return step == KIT_FAILED ? kit_db_fail(db, &look->op.failure) : 0;
}

static int run_look(struct kit_db *db, struct kit_store_op *op)
{
    struct look *look = (struct look *)(void *)op;
    struct calls_alerts *alerts = look->alerts;
    int code = refresh(alerts, db, &op->failure);
    look->count = 0;
    for (size_t i = 0; i < alerts->count && !code && look->count < DUE_MAX; i++)
        if (alerts->rules[i].not_within_ms) code = find_due(db, look, &alerts->rules[i]);
    return code;
}

static int fire_due(struct kit_db *db, struct look *look, const struct due *due)
{
    struct calls_alerts *alerts = look->alerts;
    struct kit_failure *failure = &look->op.failure;
    struct calls_call call;
    struct kit_failure gone = {0, "", ""};
    char text[64];
    bool is_first;
    size_t i = 0;
    while (i < alerts->count && strcmp(alerts->rules[i].name, due->rule)) i++;
    int code = i < alerts->count ? calls_find(db, due->call_id, &call, &gone) : 404;
    if (code == 404 || (!code && (call.id != due->call || call.ended_ms))) return 0;
    if (code) {
        *failure = gone;
        return code;
    }
    const struct calls_rule *rule = &alerts->rules[i];
    snprintf(text, sizeof text, "not said within %lld s", (long long)rule->not_within_ms / 1000);
    struct occasion o = {.call = due->call,
                         .now_ms = look->now_ms,
                         .call_id = due->call_id,
                         .rule = rule,
                         .text = eio_str(text),
                         .hooks = alerts->calls->hooks};
    code = settle(db, due->call, due->rule, &is_first, failure);
    return code || !is_first ? code : fire(db, &o, &look->fired, failure);
}

static int run_fire(struct kit_db *db, struct kit_store_op *op)
{
    struct look *look = (struct look *)(void *)op;
    const char *names[DUE_MAX];
    int code = 0;
    calls_alerts_free(look->fired); /* of a run that was undone */
    look->fired = NULL;
    for (size_t i = 0; i < look->count; i++) names[i] = look->due[i].call_id;
    if (kit_db_lock(db, names, look->count)) return kit_db_fail(db, &op->failure);
    for (size_t i = 0; i < look->count && !code; i++) code = fire_due(db, look, &look->due[i]);
    return code;
}

static void end_look(struct look *look)
{
    struct calls_alerts *alerts = look->alerts;
    if (look->op.failure.code)
        kit_log(EIO_LOG_WARN, "alert rules cannot be looked through", "why", look->op.failure.message, NULL);
    calls_alerts_free(look->fired);
    free(look);
    alerts->is_looking = false;
    if (!alerts->looks_again) return;
    alerts->looks_again = false;
    calls_alerts_look(alerts->calls, alerts->look_ms);
}

static void on_fired(struct kit_store_op *op)
{
    struct look *look = (struct look *)(void *)op;
    if (!op->failure.code) calls_alerts_send(look->alerts->calls, look->fired);
    if (!op->failure.code && look->count == DUE_MAX) look->alerts->looks_again = true;
    end_look(look);
}

static void on_looked(struct kit_store_op *op)
{
    struct look *look = (struct look *)(void *)op;
    if (op->failure.code || !look->count) {
        end_look(look);
        return;
    }
    op->run = run_fire;
    op->done = on_fired;
    op->writes = op->is_alone = true;
    kit_store_again(op);
}

void calls_alerts_look(struct calls *calls, int64_t now_ms)
{
    struct calls_alerts *alerts = calls->alerts;
    alerts->look_ms = now_ms;
    alerts->looks_again = alerts->is_looking;
    if (alerts->is_looking) return;
    struct look *look = calloc(1, sizeof *look);
    if (!look) return;
    look->op.run = run_look;
    look->op.done = on_looked;
    look->alerts = alerts;
    look->now_ms = now_ms;
    alerts->is_looking = kit_store_submit(calls->kit->store, &look->op, sizeof *look) == 0;
    if (!alerts->is_looking) free(look);
}

static void on_timer(void *ctx)
{
    struct calls_alerts *alerts = ctx;
    if (alerts->of_file && !calls_rules_submit(alerts->calls, json_incref(alerts->of_file))) {
        json_decref(alerts->of_file);
        alerts->of_file = NULL;
    }
    alerts->calls->counters.patterns_over = atomic_load(&alerts->over);
    calls_alerts_look(alerts->calls, (int64_t)eio_loop_unix_ms(alerts->calls->kit->loop));
    eio_timer_start(&alerts->timer, LOOK_MS);
}

/* -------------------------------------------------------------------- module */

int calls_alerts_open(struct calls *calls, char *error, size_t error_size)
{
    struct calls_alerts *alerts = calls->alerts = calloc(1, sizeof *alerts);
    if (!alerts) return EIO_ENOMEM;
    alerts->calls = calls;
    alerts->version = -1;
    eio_timer_init(&alerts->timer, calls->kit->loop, on_timer, alerts);
    int failed = calls_rules_open(calls, &alerts->of_file, error, error_size);
    if (!failed) eio_timer_start(&alerts->timer, 0);
    return failed;
}

void calls_alerts_drain(struct calls *calls)
{
    if (calls->alerts) eio_timer_stop(&calls->alerts->timer);
}

void calls_alerts_close(struct calls *calls)
{
    if (!calls->alerts) return;
    calls_alerts_drain(calls);
    drop_rules(calls->alerts);
    json_decref(calls->alerts->of_file);
    free(calls->alerts);
    calls->alerts = NULL;
}
