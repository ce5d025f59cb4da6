/* doc:feedback: whether a document helped, once per agent, document and call. The totals are stored with the document,
 * where the search reads them. doc:used: an agent opened or copied it, which teaches less. */
#include "calls_int.h"

#include <string.h>

#define VOTES_MAX 200 /* of an agent in a call, in a snapshot */

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
static int learn(struct kit_db *db, struct kit_request *request, struct knowledge_vote *vote)
{
    struct calls_said said;
    struct calls *calls = request->state;
    int code = calls_said_read(db, vote->call_id, KNOWLEDGE_LEARN_TURNS, 0, &said, &request->op.failure);
    vote->agent = request->claims->sub;
    vote->turns = said.turns;
    vote->turn_count = said.count;
    if (!code) code = knowledge_vote(calls->knowledge, db, vote, &request->op.failure);
    calls_said_clear(&said);
    return code;
}

static int tell_vote(struct kit_db *db, struct feedback *f)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"call_id\":");
    kit_put_text(&json, f->call_id);
    sio_builder_put(&json, ",\"doc_id\":");
    kit_put_text(&json, f->doc_id);
    sio_builder_put(&json, ",\"agent_id\":");
    kit_put_text(&json, f->request.claims->sub);
    sio_builder_put(&json, f->helpful ? ",\"helpful\":true}" : ",\"helpful\":false}");
    int code = calls_tell_request(db, &f->request, f->call_id, &json);
    sio_builder_clear(&json);
    return code;
}

static int run_feedback(struct kit_db *db, struct kit_request *request)
{
    struct feedback *f = KIT_REQUEST(feedback, request);
    struct knowledge_vote vote = {
        .call_id = f->call_id, .doc_id = f->doc_id, .weight = f->helpful ? KNOWLEDGE_WEIGHT_ONE : 0};
    int was = -1, code = read_vote(db, f, &was);
    if (!code) code = add_to_totals(db, f, was);
    if (!code && was != f->helpful) code = learn(db, request, &vote);
    if (code) return code;
    if (kit_db_run(db,
                   "INSERT INTO feedback(call_id, doc_id, agent, helpful, at_ms) VALUES (?,?,?,?,?)"
                   " ON CONFLICT(call_id, doc_id, agent)"
                   " DO UPDATE SET helpful=excluded.helpful, at_ms=excluded.at_ms",
                   "tttii", f->call_id, f->doc_id, request->claims->sub, (int64_t)f->helpful, request->now_ms))
        return kit_db_fail(db, &request->op.failure);
    return was == f->helpful ? 0 : tell_vote(db, f);
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

/* ---------------------------------------------------------------- snapshot */

static int find_voters(struct kit_db *db, struct calls_view *view, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT DISTINCT agent FROM feedback WHERE call_id=?", "t", view->call_id);
    view->voters = json_object();
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        json_object_set_new(view->voters, kit_rows_text(&rows, 0), json_true());
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static void put_vote(struct sio_builder *out, const struct kit_rows *row)
{
    sio_builder_put(out, "{\"doc_id\":");
    kit_put_text(out, kit_rows_text(row, 0));
    sio_builder_put(out, kit_rows_int(row, 1) ? ",\"helpful\":true" : ",\"helpful\":false");
    sio_builder_put(out, ",\"totals\":{\"helpful\":");
    kit_put_int(out, kit_rows_int(row, 2));
    sio_builder_put(out, ",\"unhelpful\":");
    kit_put_int(out, kit_rows_int(row, 3));
    sio_builder_put(out, "}}");
}

int calls_votes_put(struct kit_db *db, struct calls_view *view, struct sio_builder *out, struct kit_failure *failure)
{
    size_t count = 0;
    int code = view->agent ? 0 : find_voters(db, view, failure);
    if (code) return code;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT f.doc_id, f.helpful, d.helpful, d.unhelpful FROM feedback f"
                                      " JOIN documents d ON d.doc_id = f.doc_id"
                                      " WHERE f.call_id=? AND f.agent=? ORDER BY f.at_ms DESC, f.doc_id LIMIT ?",
                                      "tti", view->call_id, view->agent, (int64_t)VOTES_MAX);
    sio_builder_put(out, ",\"votes\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (count++) sio_builder_put(out, ",");
        put_vote(out, &rows);
    }
    sio_builder_put(out, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

/* ---------------------------------------------------------------- doc:used */

struct use {
    struct kit_request request;
    char call_id[KIT_ID_SIZE], doc_id[KIT_ID_SIZE];
    int64_t weight;
};

static int read_use(struct kit_request *request, const json_t *payload)
{
    struct use *use = KIT_REQUEST(use, request);
    const char *how = json_string_value(json_object_get(payload, "how"));
    kit_copy_text(use->call_id, sizeof use->call_id, payload, "call_id");
    kit_copy_text(use->doc_id, sizeof use->doc_id, payload, "doc_id");
    use->weight = strcmp(how, "copied") ? KNOWLEDGE_WEIGHT_OPENED : KNOWLEDGE_WEIGHT_COPIED;
    return 0;
}

/* Whether this says more than what is known: the agent has not voted, nor used the document in a way that weighs as
 * much. */
static int is_news(struct kit_db *db, struct use *use, int64_t call, bool *news)
{
    struct kit_failure *failure = &use->request.op.failure;
    const char *agent = use->request.claims->sub;
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row, "SELECT 1 FROM documents WHERE doc_id=?", "t", use->doc_id);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/doc_id", "document not found");
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&row);
    step = kit_db_query(db, &row,
                        "SELECT 1 FROM feedback WHERE call_id=?1 AND doc_id=?2 AND agent=?3 UNION ALL"
                        " SELECT 1 FROM document_uses WHERE call=?4 AND doc_id=?2 AND agent=?3 AND weight>=?5",
                        "tttii", use->call_id, use->doc_id, agent, call, use->weight);
    *news = step == KIT_DONE;
    kit_rows_end(&row);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int run_use(struct kit_db *db, struct kit_request *request)
{
    struct use *use = KIT_REQUEST(use, request);
    struct knowledge_vote vote = {.call_id = use->call_id, .doc_id = use->doc_id, .weight = use->weight};
    struct calls_call call;
    bool news = false;
    int code = calls_find_allowed(db, request->claims, use->call_id, &call, &request->op.failure);
    if (!code) code = is_news(db, use, call.id, &news);
    if (code || !news) return code;
    int failed = kit_db_run(db,
                            "INSERT INTO document_uses(call, doc_id, agent, weight, at_ms) VALUES (?,?,?,?,?)"
                            " ON CONFLICT(call, doc_id, agent) DO UPDATE SET weight=excluded.weight,"
                            " at_ms=excluded.at_ms",
                            "ittii", call.id, use->doc_id, request->claims->sub, use->weight, request->now_ms);
    return failed ? kit_db_fail(db, &request->op.failure) : learn(db, request, &vote);
}

static void reply_use(struct kit_request *request)
{
    ((struct calls *)request->state)->counters.uses++;
}

int calls_feedback_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "doc:used",
         .size = sizeof(struct use),
         .way = KIT_WRITE,
         .about = "call_id",
         .lock = KNOWLEDGE_LOCK,
         .read = read_use,
         .run = run_use,
         .reply = reply_use},
        {.name = "doc:feedback",
         .size = sizeof(struct feedback),
         .way = KIT_WRITE,
         .about = "call_id",
         .lock = KNOWLEDGE_LOCK,
         .allow = calls_allow,
         .read = read_feedback,
         .run = run_feedback,
         .reply = reply_feedback},
    };
    return kit_open_events(calls->kit, calls->agents, events, 2, calls);
}
