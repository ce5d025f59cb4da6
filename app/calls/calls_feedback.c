/* doc:feedback: whether a document helped, once per agent, document and call. The totals stand with the document,
 * where the search finds them. */
#include "calls_int.h"

struct feedback {
    struct kit_request request;
    char call_id[KIT_ID_SIZE], doc_id[KIT_ID_SIZE];
    bool helpful;
    int64_t helpful_total, unhelpful_total;
};

static int read_feedback(struct kit_request *request, const json_t *payload)
{
    struct feedback *f = KIT_REQUEST(feedback, request);
    f->helpful = json_is_true(json_object_get(payload, "helpful"));
    kit_copy_text(f->call_id, sizeof f->call_id, payload, "call_id");
    kit_copy_text(f->doc_id, sizeof f->doc_id, payload, "doc_id");
    return 0;
}

/* What the agent said of it before: *was is 1 or 0, or -1. */
static int read_vote(struct kit_db *db, struct feedback *f, int *was)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row, "SELECT helpful FROM feedback WHERE call_id=? AND doc_id=? AND agent=?",
                                      "ttt", f->call_id, f->doc_id, f->request.claims->sub);
    if (step == KIT_FAILED) return kit_db_fail(db, &f->request.op.failure);
    *was = step == KIT_ROW ? kit_rows_int(&row, 0) != 0 : -1;
    kit_rows_end(&row);
    return 0;
}

/* The totals change by this vote; counting them again would take longer with every vote. */
static int add_to_totals(struct kit_db *db, struct feedback *f, int was)
{
    struct kit_failure *failure = &f->request.op.failure;
    int64_t helpful = (int64_t)f->helpful - (was == 1), unhelpful = (int64_t)!f->helpful - (was == 0);
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row,
                                      "UPDATE documents SET helpful=helpful+?2, unhelpful=unhelpful+?3 WHERE doc_id=?1"
                                      " RETURNING helpful, unhelpful",
                                      "tii", f->doc_id, helpful, unhelpful);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/doc_id", "document not found");
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    f->helpful_total = kit_rows_int(&row, 0);
    f->unhelpful_total = kit_rows_int(&row, 1);
    kit_rows_end(&row);
    return 0;
}

/* What the customer said finds the document again, in other calls. */
static int learn(struct kit_db *db, struct feedback *f)
{
    struct calls_said said;
    struct calls *calls = f->request.state;
    struct kit_failure *failure = &f->request.op.failure;
    int code = calls_said_read(db, f->call_id, KNOWLEDGE_LEARN_TURNS, 0, &said, failure);
    if (!code) {
        struct knowledge_vote vote = {f->call_id, f->doc_id,  f->request.claims->sub,
                                      f->helpful, said.turns, said.count};
        code = knowledge_vote(calls->knowledge, db, &vote, failure);
    }
    calls_said_clear(&said);
    return code;
}

static int run_feedback(struct kit_db *db, struct kit_request *request)
{
    struct feedback *f = KIT_REQUEST(feedback, request);
    struct calls_call call;
    int was = -1, code = calls_find_allowed(db, request->claims, f->call_id, &call, &request->op.failure);
    if (!code) code = read_vote(db, f, &was);
    if (!code) code = add_to_totals(db, f, was);
    if (!code && was != f->helpful) code = learn(db, f);
    if (code) return code;
    if (kit_db_run(db,
                   "INSERT INTO feedback(call_id, doc_id, agent, helpful, at_ms) VALUES (?,?,?,?,?)"
                   " ON CONFLICT(call_id, doc_id, agent)"
                   " DO UPDATE SET helpful=excluded.helpful, at_ms=excluded.at_ms",
                   "tttii", f->call_id, f->doc_id, request->claims->sub, (int64_t)f->helpful, request->now_ms))
        return kit_db_fail(db, &request->op.failure);
    return 0;
}

static void reply_feedback(struct kit_request *request)
{
    struct feedback *f = KIT_REQUEST(feedback, request);
    struct calls *calls = request->state;
    char room[CALLS_ROOM_SIZE], at[25];
    calls->counters.feedback++;
    sio_builder_put(&request->json, ",\"helpful\":");
    kit_put_int(&request->json, f->helpful_total);
    sio_builder_put(&request->json, ",\"unhelpful\":");
    kit_put_int(&request->json, f->unhelpful_total);
    calls_room(room, CALLS_SUPERVISOR_ROOM, f->call_id);
    kit_time_text((uint64_t)request->now_ms, at);
    sio_emit_pack(sio_to(sio_all(calls->agents), room), "doc:feedback", "{s:s, s:s, s:s, s:b, s:s, s:{s:I, s:I}}",
                  "call_id", f->call_id, "doc_id", f->doc_id, "agent_id", request->claims->sub, "helpful",
                  (int)f->helpful, "timestamp", at, "totals", "helpful", (json_int_t)f->helpful_total, "unhelpful",
                  (json_int_t)f->unhelpful_total);
}

int calls_feedback_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {"doc:feedback", sizeof(struct feedback), KIT_WRITE, read_feedback, run_feedback, reply_feedback, NULL},
    };
    return kit_open_events(calls->kit, calls->agents, events, 1, calls);
}
