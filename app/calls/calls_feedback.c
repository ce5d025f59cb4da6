/* doc:feedback: whether a document helped, once per agent, document and call. The totals stand with the document,
 * where the search finds them. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

struct feedback_op {
    struct kit_store_op op;
    struct app *app;
    struct kit_answer answer;
    struct kit_claims *claims;
    char call_id[KIT_ID_SIZE], doc_id[KIT_ID_SIZE];
    bool helpful;
    int64_t now_ms;
    int64_t helpful_total, unhelpful_total;
};

/* What the agent said of it before: *was is 1 or 0, or -1. */
static int read_vote(struct kit_db *db, struct feedback_op *f, int *was)
{
    sqlite3_stmt *row = kit_db_statement(db, "SELECT helpful FROM feedback WHERE call_id=? AND doc_id=? AND agent=?");
    int step = kit_db_step(row, "ttt", f->call_id, f->doc_id, f->claims->sub);
    if (step != SQLITE_ROW && step != SQLITE_DONE) return kit_db_fail(db, &f->op.failure);
    *was = step == SQLITE_ROW ? sqlite3_column_int(row, 0) != 0 : -1;
    sqlite3_reset(row);
    return 0;
}

/* The totals change by this vote; counting them again would take longer with every vote. */
static int add_to_totals(struct kit_db *db, struct feedback_op *f, int was)
{
    int64_t helpful = (int64_t)f->helpful - (was == 1), unhelpful = (int64_t)!f->helpful - (was == 0);
    sqlite3_stmt *row =
        kit_db_statement(db, "UPDATE documents SET helpful=helpful+?2, unhelpful=unhelpful+?3 WHERE doc_id=?1"
                             " RETURNING helpful, unhelpful");
    int step = kit_db_step(row, "tii", f->doc_id, helpful, unhelpful);
    if (step == SQLITE_DONE) return kit_fail(&f->op.failure, 404, "/doc_id", "there is no such document");
    if (step != SQLITE_ROW) return kit_db_fail(db, &f->op.failure);
    f->helpful_total = sqlite3_column_int64(row, 0);
    f->unhelpful_total = sqlite3_column_int64(row, 1);
    return 0;
}

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct feedback_op *f = (struct feedback_op *)(void *)op;
    struct calls_call call;
    int was, code = calls_find_allowed(db, f->claims, f->call_id, &call, &op->failure);
    if (!code) code = read_vote(db, f, &was);
    if (!code) code = add_to_totals(db, f, was);
    if (code) return code;
    sqlite3_stmt *s = kit_db_statement(db, "INSERT INTO feedback(call_id, doc_id, agent, helpful, at_ms)"
                                           " VALUES (?,?,?,?,?) ON CONFLICT(call_id, doc_id, agent)"
                                           " DO UPDATE SET helpful=excluded.helpful, at_ms=excluded.at_ms");
    if (kit_db_step(s, "tttii", f->call_id, f->doc_id, f->claims->sub, (int64_t)f->helpful, f->now_ms) != SQLITE_DONE)
        return kit_db_fail(db, &op->failure);
    return 0;
}

static void free_op(struct feedback_op *f)
{
    kit_claims_unref(f->claims);
    free(f);
}

static void tell(struct feedback_op *f)
{
    char room[CALLS_ROOM_SIZE], at[25];
    struct sio_builder ack;
    sio_builder_init(&ack);
    sio_builder_open(&ack);
    sio_builder_put(&ack, "{\"ok\":true,\"helpful\":");
    kit_put_int(&ack, f->helpful_total);
    sio_builder_put(&ack, ",\"unhelpful\":");
    kit_put_int(&ack, f->unhelpful_total);
    sio_builder_put(&ack, "}");
    kit_answer_json(&f->answer, &ack);
    sio_builder_clear(&ack);
    calls_room(room, CALLS_SUPERVISOR_ROOM, f->call_id);
    kit_time_text((uint64_t)f->now_ms, at);
    sio_emit_pack(sio_to(sio_all(f->app->agents), room), "doc:feedback", "{s:s, s:s, s:s, s:b, s:s, s:{s:I, s:I}}",
                  "call_id", f->call_id, "doc_id", f->doc_id, "agent_id", f->claims->sub, "helpful", (int)f->helpful,
                  "timestamp", at, "totals", "helpful", (json_int_t)f->helpful_total, "unhelpful",
                  (json_int_t)f->unhelpful_total);
}

static void done(struct kit_store_op *op)
{
    struct feedback_op *f = (struct feedback_op *)(void *)op;
    if (op->failure.code) {
        kit_answer_failure(&f->answer, &op->failure);
    } else {
        f->app->counters.feedback++;
        tell(f);
    }
    free_op(f);
}

static void on_feedback(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct app *app = ctx;
    json_t *payload = kit_answer_payload(app, event);
    if (!payload) return;
    struct feedback_op *f = calloc(1, sizeof *f);
    if (!f) {
        kit_answer_refuse(app, event, 503, NULL, "out of memory");
        json_decref(payload);
        return;
    }
    f->op.run = run;
    f->op.done = done;
    f->op.writes = true;
    f->app = app;
    f->answer = kit_answer_later(app, event);
    f->claims = kit_claims_ref(kit_auth_claims(socket));
    f->now_ms = (int64_t)eio_loop_unix_ms(app->loop);
    f->helpful = json_is_true(json_object_get(payload, "helpful"));
    snprintf(f->call_id, sizeof f->call_id, "%s", json_string_value(json_object_get(payload, "call_id")));
    snprintf(f->doc_id, sizeof f->doc_id, "%s", json_string_value(json_object_get(payload, "doc_id")));
    json_decref(payload);
    if (!kit_store_submit(app->store, &f->op, sizeof *f)) return;
    kit_fail(&f->op.failure, 503, NULL, "too many writes are waiting; try again");
    kit_answer_failure(&f->answer, &f->op.failure);
    free_op(f);
}

int calls_feedback_init(struct app *app)
{
    return sio_on(app->agents, "doc:feedback", on_feedback, app);
}
