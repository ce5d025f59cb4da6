/* elicitation.submit: the answer to a question, which is stored once, and with which the turn goes on: here if it
 * waited without an owner, else where it runs. */
#include "chat_nodes.h"
#include "chat_room.h"
#include "chat_turn.h"
#include "mcp.h"

#include <stdlib.h>
#include <string.h>

struct submit {
    struct kit_request request;
    char id[KIT_ID_SIZE], action[16];
    json_t *content; /* NULL: none */
    struct chat_answer answer;
};

/* ------------------------------------------------------------------ storing */

static int find_question(struct kit_db *db, struct chat_answer *answer, char *state, size_t size,
                         struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT turn, state, question, expires_ms FROM chat_elicitations WHERE elicitation_id=? AND chat=?",
        "ti", answer->id, answer->row.key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/reply_to", "question not found");
    struct eio_str question = kit_rows_bytes(&rows, 2);
    answer->turn = kit_rows_int(&rows, 0);
    snprintf(state, size, "%s", kit_rows_text(&rows, 1));
    answer->question = json_loadb(question.p, question.n, 0, NULL);
    answer->expires_ms = kit_rows_int(&rows, 3);
    kit_rows_end(&rows);
    return answer->question ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* What was filled in has to fit what was asked; other questions have no content. */
static int check_content(struct chat_answer *answer, struct kit_failure *failure)
{
    const json_t *schema = json_object_get(answer->question, "schema");
    json_decref(answer->read);
    answer->read = NULL;
    if (strcmp(answer->action, "accept") || !schema) return 0;
    answer->read = mcp_form_fill(schema, answer->content, failure);
    if (!answer->read) {
        char field[sizeof failure->field];
        snprintf(field, sizeof field, "/content%.60s", failure->field);
        memcpy(failure->field, field, sizeof field);
    }
    return failure->code;
}

static int store_answer(struct kit_db *db, struct chat_answer *answer, struct kit_failure *failure)
{
    char *text = answer->read ? json_dumps(answer->read, JSON_COMPACT) : NULL;
    int failed = kit_db_run(db, "UPDATE chat_elicitations SET state=?, answer=? WHERE elicitation_id=?", "ttt",
                            answer->action, text ? text : "", answer->id);
    free(text);
    return failed ? kit_db_fail(db, failure) : 0;
}

static int add_history(struct kit_db *db, struct chat_answer *answer, const struct chat_turn_row *turn,
                       struct kit_failure *failure)
{
    json_t *data = json_pack("{s:s, s:s}", "id", answer->id, "action", answer->action);
    struct chat_history_row row = {"component", answer->action, data};
    if (answer->read) json_object_set(data, "content", answer->read);
    int code = chat_history_add(db, &answer->row, turn, &row, answer->now_ms, failure);
    json_decref(data);
    return code;
}

/* A turn that waits becomes this process's. */
static int take_turn(struct kit_db *db, struct chat_answer *answer, struct kit_failure *failure)
{
    const struct chat *chat = answer->chat;
    int64_t changed =
        kit_db_change(db, "UPDATE chat_turns SET state='running', owner=?, lease_ms=? WHERE id=? AND state='waiting'",
                      "tii", chat->owner, chat_lease_until(chat->config), answer->turn);
    if (changed < 0) return kit_db_fail(db, failure);
    answer->begins = changed > 0;
    return answer->begins ? chat_turn_load(db, chat->config, answer->turn, &answer->load, failure) : 0;
}

int chat_answer_store(struct kit_db *db, struct chat_answer *answer, struct kit_failure *failure)
{
    struct chat_turn_row turn;
    char state[16];
    bool expires = !strcmp(answer->action, "expire");
    chat_batch_clear(&answer->batch);
    chat_batch_init(&answer->batch, answer->row.chat_id);
    chat_turn_load_clear(&answer->load);
    json_decref(answer->question);
    answer->question = NULL;
    answer->begins = false;
    int code = find_question(db, answer, state, sizeof state, failure);
    if (!code && strcmp(state, "open")) code = kit_fail(failure, 409, NULL, "the question was answered already");
    if (!code && !expires && answer->expires_ms && answer->expires_ms <= answer->now_ms)
        code = kit_fail(failure, 409, NULL, "the answer came too late");
    if (!code) code = check_content(answer, failure);
    if (!code) code = chat_turn_read_row(db, answer->turn, &turn, failure);
    if (!code) code = store_answer(db, answer, failure);
    if (!code) code = add_history(db, answer, &turn, failure);
    if (code) return code;
    chat_batch_set_ref(&answer->batch, turn.ref_id, turn.attempt);
    chat_batch_add(&answer->batch, "elicitation.end",
                   json_pack("{s:s, s:s}", "id", answer->id, "action", answer->action));
    code = chat_batch_write(db, answer->row.key, &answer->batch, failure);
    return code ? code : take_turn(db, answer, failure);
}

void chat_answer_send(struct chat_answer *answer, const struct kit_claims *claims)
{
    struct chat *chat = answer->chat;
    struct chat_turn *turn = chat_turn_find(chat, answer->row.chat_id);
    chat_batch_send(chat, &answer->batch);
    if (answer->begins)
        chat_turn_begin(chat, &answer->load, claims);
    else if (turn && turn->row.id == answer->turn)
        chat_turn_answer(turn, answer->id, answer->action, answer->read);
    else
        chat_nodes_answer(chat, answer);
}

void chat_answer_clear(struct chat_answer *answer)
{
    chat_batch_clear(&answer->batch);
    chat_turn_load_clear(&answer->load);
    json_decref(answer->question);
    json_decref(answer->read);
    answer->question = answer->read = NULL;
}

/* ------------------------------------------------------------------ request */

static int read_submit(struct kit_request *request, const json_t *payload)
{
    struct submit *submit = KIT_REQUEST(submit, request);
    const json_t *content = json_object_get(payload, "content");
    kit_copy_text(submit->id, sizeof submit->id, payload, "reply_to");
    kit_copy_text(submit->action, sizeof submit->action, payload, "action");
    if (!submit->action[0] && !content)
        return kit_fail(&request->op.failure, 400, "/content", "content or action is required");
    if (!submit->action[0]) snprintf(submit->action, sizeof submit->action, "accept");
    if (content && !strcmp(submit->action, "accept") && !(submit->content = json_deep_copy(content)))
        return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    return chat_read_about(request, payload);
}

static int run_submit(struct kit_db *db, struct kit_request *request)
{
    struct submit *submit = KIT_REQUEST(submit, request);
    struct chat_answer *answer = &submit->answer;
    answer->chat = request->state;
    answer->now_ms = request->now_ms;
    answer->content = submit->content;
    memcpy(answer->id, submit->id, sizeof answer->id);
    memcpy(answer->action, submit->action, sizeof answer->action);
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &answer->row, &request->op.failure);
    return code ? code : chat_answer_store(db, answer, &request->op.failure);
}

static void reply_submit(struct kit_request *request)
{
    struct submit *submit = KIT_REQUEST(submit, request);
    sio_builder_put(&request->json, ",\"action\":");
    kit_put_text(&request->json, submit->action);
    chat_answer_send(&submit->answer, request->claims);
}

static void clear_submit(struct kit_request *request)
{
    struct submit *submit = KIT_REQUEST(submit, request);
    chat_answer_clear(&submit->answer);
    json_decref(submit->content);
}

int chat_answer_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "elicitation.submit",
         .size = sizeof(struct submit),
         .way = KIT_WRITE,
         .read = read_submit,
         .run = run_submit,
         .reply = reply_submit,
         .clear = clear_submit},
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
