/* Alert rules in the store: those of the file, and those that an administrator writes over HTTP, which stand before the
 * file's. Every change moves a counter, by which each process sees that its rules are old. */
#include "calls_alerts.h"
#include "calls_rules.h"
#include "kit_file.h"

#include <stdlib.h>
#include <string.h>

#define RULES_PATH "/api/v1/rules"
#define RULES_LOCK "rules"

static int note_change(struct kit_db *db, struct kit_failure *failure)
{
    return kit_db_run(db, "UPDATE alert_changes SET n = n + 1 WHERE id = 1", "") ? kit_db_fail(db, failure) : 0;
}

/* ------------------------------------------------------------------ the file */

/* A list of rules that are all right; NULL with a line in error. */
static json_t *read_file(const struct kit *kit, const char *path, char *error, size_t error_size)
{
    char why[256];
    struct kit_schema_error wrong = {"", ""};
    struct kit_failure failure = {0, "", ""};
    size_t i;
    json_t *rule, *list = kit_file_read_json(path, KIT_FILE_REGULAR, why, sizeof why);
    if (!list) snprintf(error, error_size, "%s: %s", path, why);
    if (!list) return NULL;
    error[0] = 0;
    if (!json_is_array(list) || json_array_size(list) > CALLS_RULES_MAX)
        snprintf(error, error_size, "%s: must be a list of at most %d rules", path, CALLS_RULES_MAX);
    json_array_foreach(list, i, rule)
    {
        struct calls_rule read = {.pattern = NULL};
        if (error[0]) break;
        if (!kit_schema_check(kit_schema_find(kit->schemas, "rule:write"), rule, &wrong))
            snprintf(error, error_size, "%s: /%zu%s %s", path, i, wrong.pointer, wrong.message);
        else if (calls_rule_read(&read, rule, &failure))
            snprintf(error, error_size, "%s: /%zu%s %s", path, i, failure.field, failure.message);
        calls_rule_clear(&read);
    }
    if (!error[0]) return list;
    json_decref(list);
    return NULL;
}

struct load {
    struct kit_store_op op;
    struct calls *calls;
    json_t *rules;
    int64_t now_ms;
};

static int put_rule(struct kit_db *db, const struct load *load, const json_t *rule, struct kit_failure *failure)
{
    char *text = json_dumps(rule, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) return kit_fail(failure, 503, NULL, "out of memory");
    int failed = kit_db_run(db,
                            "INSERT INTO alert_rules(name, rule, source, since_ms) VALUES (?,?,'file',?)"
                            " ON CONFLICT(name) DO UPDATE SET rule=excluded.rule, since_ms=CASE WHEN"
                            " alert_rules.rule=excluded.rule THEN alert_rules.since_ms ELSE excluded.since_ms END"
                            " WHERE alert_rules.source='file'",
                            "tti", json_string_value(json_object_get(rule, "name")), text, load->now_ms);
    free(text);
    return failed ? kit_db_fail(db, failure) : 0;
}

static int run_load(struct kit_db *db, struct kit_store_op *op)
{
    const struct load *load = (const struct load *)(void *)op;
    json_t *names = json_array();
    const json_t *rule;
    size_t i;
    json_array_foreach(load->rules, i, rule) json_array_append(names, json_object_get(rule, "name"));
    char *text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    if (!text) return kit_fail(&op->failure, 503, NULL, "out of memory");
    int code = kit_db_run(db,
                          "DELETE FROM alert_rules WHERE source='file' AND name NOT IN"
                          " (SELECT value FROM json_each(?))",
                          "t", text)
                   ? kit_db_fail(db, &op->failure)
                   : 0;
    free(text);
    json_array_foreach(load->rules, i, rule)
    {
        if (!code) code = put_rule(db, load, rule, &op->failure);
    }
    return code ? code : note_change(db, &op->failure);
}

static void on_loaded(struct kit_store_op *op)
{
    struct load *load = (struct load *)(void *)op;
    if (op->failure.code)
        kit_log(EIO_LOG_ERROR, "alert rules cannot be stored", "why", op->failure.message, NULL);
    else if (!load->calls->kit->draining)
        calls_alerts_look(load->calls, (int64_t)eio_loop_unix_ms(load->calls->kit->loop));
    json_decref(load->rules);
    free(load);
}

int calls_rules_submit(struct calls *calls, json_t *take_rules)
{
    struct load *load = calloc(1, sizeof *load);
    if (load) {
        load->op.run = run_load;
        load->op.done = on_loaded;
        load->op.writes = true;
        load->op.locks[0] = RULES_LOCK;
        load->calls = calls;
        load->rules = take_rules;
        load->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
        if (!kit_store_submit(calls->kit->store, &load->op, sizeof *load)) return 0;
    }
    json_decref(take_rules);
    free(load);
    return EIO_ENOMEM;
}

void calls_alerts_reload(struct calls *calls)
{
    const char *path = calls_config(calls->kit->config)->alert_rules;
    char error[400];
    if (!path[0]) return;
    json_t *rules = read_file(calls->kit, path, error, sizeof error);
    if (!rules)
        kit_log(EIO_LOG_ERROR, "alert rules stay as they were", "why", error, NULL);
    else if (!calls_rules_submit(calls, rules))
        kit_log(EIO_LOG_INFO, "alert rules read", "file", path, NULL);
}

/* --------------------------------------------------------------------- HTTP */

struct rule {
    struct kit_request request;
    char name[KIT_ID_SIZE];
    char *text;
};

static int run_list(struct kit_db *db, struct kit_request *request)
{
    struct sio_builder *json = &request->json;
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step = kit_db_query(db, &rows, "SELECT rule, source FROM alert_rules ORDER BY name LIMIT ?", "i",
                                      (int64_t)CALLS_RULES_MAX);
    sio_builder_put(json, ",\"rules\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct eio_str rule = kit_rows_bytes(&rows, 0);
        if (count++) sio_builder_put(json, ",");
        sio_builder_put_slice(json, sio_args_none(), (struct eio_str){rule.p, rule.n - 1}); /* its brace is open */
        sio_builder_put(json, ",\"source\":");
        kit_put_text(json, kit_rows_text(&rows, 1));
        sio_builder_put(json, "}");
    }
    sio_builder_put(json, "]");
    return step == KIT_FAILED ? kit_db_fail(db, &request->op.failure) : 0;
}

static int read_rule(struct kit_request *request, const json_t *payload)
{
    struct rule *rule = KIT_REQUEST(rule, request);
    struct calls_rule read;
    json_t *plain = json_copy((json_t *)(uintptr_t)payload);
    int code = calls_rule_read(&read, payload, &request->op.failure);
    calls_rule_clear(&read);
    json_object_del(plain, "source");
    kit_copy_text(rule->name, sizeof rule->name, payload, "name");
    if (!code && !(rule->text = json_dumps(plain, JSON_COMPACT | JSON_SORT_KEYS)))
        code = kit_fail(&request->op.failure, 503, NULL, "out of memory");
    json_decref(plain);
    return code;
}

static void clear_rule(struct kit_request *request)
{
    free(KIT_REQUEST(rule, request)->text);
}

static int run_write(struct kit_db *db, struct kit_request *request)
{
    const struct rule *rule = KIT_REQUEST(rule, request);
    struct kit_failure *failure = &request->op.failure;
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM alert_rules WHERE name <> ?", "t", rule->name) != KIT_ROW)
        return kit_db_fail(db, failure);
    bool is_full = kit_rows_int(&row, 0) >= CALLS_RULES_MAX;
    kit_rows_end(&row);
    if (is_full) return kit_fail(failure, 409, "/name", "there may be %d rules", CALLS_RULES_MAX);
    int failed = kit_db_run(db,
                            "INSERT INTO alert_rules(name, rule, source, since_ms) VALUES (?,?,'http',?)"
                            " ON CONFLICT(name) DO UPDATE SET rule=excluded.rule, source='http',"
                            " since_ms=excluded.since_ms",
                            "tti", rule->name, rule->text, request->now_ms);
    return failed ? kit_db_fail(db, failure) : note_change(db, failure);
}

static int run_delete(struct kit_db *db, struct kit_request *request)
{
    struct kit_failure *failure = &request->op.failure;
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row, "SELECT source FROM alert_rules WHERE name=?", "t", request->about);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/name", "rule not found");
    bool is_of_file = !strcmp(kit_rows_text(&row, 0), "file");
    kit_rows_end(&row);
    if (is_of_file) return kit_fail(failure, 409, "/name", "this rule is in the file `alert_rules`");
    if (kit_db_run(db, "DELETE FROM alert_rules WHERE name=?", "t", request->about)) return kit_db_fail(db, failure);
    return note_change(db, failure);
}

/* What is stored after the answer is held against the rules as they are now. */
static void reply_change(struct kit_request *request)
{
    calls_alerts_look(request->state, (int64_t)eio_loop_unix_ms(request->kit->loop));
}

int calls_rules_open(struct calls *calls, json_t **rules, char *error, size_t error_size)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct kit_request),
         .way = KIT_READ,
         .roles = KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .run = run_list,
         .method = EIO_HTTP_GET,
         .path = RULES_PATH},
        {.name = "rule:write",
         .size = sizeof(struct rule),
         .way = KIT_WRITE,
         .lock = RULES_LOCK,
         .roles = KIT_ROLE_ADMIN,
         .read = read_rule,
         .run = run_write,
         .reply = reply_change,
         .clear = clear_rule,
         .method = EIO_HTTP_POST,
         .path = RULES_PATH},
        {.size = sizeof(struct kit_request),
         .way = KIT_WRITE,
         .lock = RULES_LOCK,
         .roles = KIT_ROLE_ADMIN,
         .about = "name",
         .run = run_delete,
         .reply = reply_change,
         .method = EIO_HTTP_DELETE,
         .path = RULES_PATH "/{name}"},
    };
    const char *path = calls_config(calls->kit->config)->alert_rules;
    char why[300], allowed[400];
    *rules = path[0] ? read_file(calls->kit, path, why, sizeof why) : json_array();
    if (!*rules && path[0]) {
        snprintf(allowed, sizeof allowed, "a file with a list of rules: %s", why);
        return kit_config_refuse(calls->kit->config, "alert_rules", allowed, error, error_size);
    }
    return kit_open_paths(calls->kit, events, sizeof events / sizeof events[0], calls);
}
