/* The calls of a step: whether each may run, with which arguments, and what came out. They run side by side; the step
 * is whole when all are over. */
#include "chat_form.h"
#include "chat_mcp.h"
#include "chat_pending.h"
#include "chat_toolbox.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

#define DECLINED "The user declined to run this tool."
#define CANCELLED "The user closed the question without an answer; the tool was not run."
#define INTERRUPTED "The server stopped while this tool was running; whether it did what was asked is not known."

/* ------------------------------------------------------------------- making */

struct chat_tool_call *chat_call_add(struct chat_turn *turn, const char *model_id, const char *name)
{
    struct chat_tool_call *call = calloc(1, sizeof *call);
    if (!call) return NULL;
    call->turn = turn;
    call->model_id = strdup(model_id);
    call->name = strdup(name);
    call->args = json_object();
    call->tool = chat_tool_find(turn->chat, name);
    chat_make_id(call->call_id, "call_");
    call->info = (struct chat_tool_info){.chat = turn->chat,
                                         .kit = turn->chat->kit,
                                         .ctx = call->tool ? call->tool->ctx : NULL,
                                         .chat_key = turn->about.key,
                                         .chat_id = turn->about.chat_id,
                                         .ref_id = turn->row.ref_id,
                                         .attempt = turn->row.attempt,
                                         .call_id = call->call_id,
                                         .user = turn->about.user,
                                         .tenant = turn->about.tenant,
                                         .time_zone = turn->about.time_zone,
                                         .args = call->args,
                                         .text = eio_str(turn->content),
                                         .source = kit_user_source(turn->user, false)};
    DL_APPEND(turn->calls, call);
    bool is_whole = call->model_id && call->name && call->args;
    if (is_whole && (call->tool || !chat_mcp_find(call))) return call;
    chat_calls_cancel(turn);
    return NULL;
}

static void free_call(struct chat_tool_call *call)
{
    chat_mcp_free(call);
    json_decref(call->args);
    json_decref(call->state);
    json_decref(call->questions);
    json_decref(call->sources);
    free(call->model_id);
    free(call->name);
    free(call->fault);
    free(call->result);
    free(call);
}

/* The tool itself is not asked for anything any more. */
static void cancel_tool(struct chat_tool_call *call)
{
    bool has_begun = call->stage == CHAT_CALL_RUNS && call->tool && !call->waits_for_log;
    if (has_begun && call->tool->tool->cancel) call->tool->tool->cancel(call);
    call->waits_for_log = false;
    chat_mcp_cancel(call);
    if (call->stage == CHAT_CALL_RUNS) call->stage = CHAT_CALL_NEW;
}

void chat_calls_cancel_running(struct chat_turn *turn)
{
    struct chat_tool_call *call;
    DL_FOREACH(turn->calls, call) cancel_tool(call);
}

void chat_calls_cancel(struct chat_turn *turn)
{
    while (turn->calls) {
        struct chat_tool_call *call = turn->calls;
        cancel_tool(call);
        DL_DELETE(turn->calls, call);
        free_call(call);
    }
}

/* ------------------------------------------------------------------- storing */

static json_t *describe_call(const struct chat_tool_call *call)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:O, s:i, s:b, s:b, s:b, s:b}", "id", call->call_id, "model_id", call->model_id,
                  "name", call->name, "args", call->args, "stage", (int)call->stage, "ok", call->ok, "keeps_open",
                  call->keeps_open, "is_answer", call->is_answer, "has_started", call->has_started);
    if (call->result) json_object_set_new(json, "result", json_string(call->result));
    if (call->questions) json_object_set(json, "questions", call->questions);
    if (call->state) json_object_set(json, "state", call->state);
    if (call->mcp) json_object_set_new(json, "mcp", json_true());
    return json;
}

json_t *chat_calls_pending(const struct chat_turn *turn)
{
    const struct chat_tool_call *call;
    if (!turn->step_message) return NULL;
    json_t *calls = json_array();
    DL_FOREACH(turn->calls, call) json_array_append_new(calls, describe_call(call));
    return json_pack("{s:O, s:o}", "message", turn->step_message, "calls", calls);
}

static bool flag_of(const json_t *json, const char *name)
{
    return json_is_true(json_object_get(json, name));
}

static void restore_call(struct chat_turn *turn, const json_t *json)
{
    const char *model_id = json_string_value(json_object_get(json, "model_id"));
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *result = json_string_value(json_object_get(json, "result"));
    struct chat_tool_call *call = model_id && name ? chat_call_add(turn, model_id, name) : NULL;
    if (!call) return;
    snprintf(call->call_id, sizeof call->call_id, "%s", json_string_value(json_object_get(json, "id")));
    json_object_update(call->args, json_object_get(json, "args"));
    call->stage = (enum chat_stage)json_integer_value(json_object_get(json, "stage"));
    call->ok = flag_of(json, "ok");
    call->keeps_open = flag_of(json, "keeps_open");
    call->is_answer = flag_of(json, "is_answer");
    call->has_started = flag_of(json, "has_started");
    call->questions = json_deep_copy(json_object_get(json, "questions"));
    call->state = json_incref(json_object_get(json, "state"));
    if (result) call->result = strdup(result);
    /* Its server may not have listed its tools yet; to go on, its state is enough. */
    if (flag_of(json, "mcp") && !call->mcp) chat_mcp_make(call);
}

/* ---------------------------------------------------------------- the step */

static bool keeps_open(const struct chat_turn *turn)
{
    const struct chat_tool_call *call;
    DL_FOREACH(turn->calls, call)
    {
        if (call->keeps_open) return true;
    }
    return false;
}

/* What a tool said is the answer, if it is alone. */
static const struct chat_tool_call *find_answer(const struct chat_turn *turn)
{
    return turn->calls && !turn->calls->next && turn->calls->is_answer ? turn->calls : NULL;
}

static void end_step(struct chat_turn *turn)
{
    const struct chat_tool_call *answer = find_answer(turn);
    char *text = answer && answer->result ? strdup(answer->result) : NULL;
    json_t *pending = chat_calls_pending(turn);
    turn->keeps_open |= keeps_open(turn);
    chat_pending_complete(turn->messages, pending);
    json_decref(pending);
    json_decref(turn->step_message);
    turn->step_message = NULL;
    chat_calls_cancel(turn);
    turn->text_whole = turn->text.size;
    turn->checkpoint = true;
    if (!text) {
        chat_model_ask(turn);
        return;
    }
    chat_turn_say(turn, eio_str(text), false);
    free(text);
    chat_turn_finish(turn, !turn->keeps_open);
}

static bool has_open_question(const struct chat_tool_call *call)
{
    size_t i;
    json_t *question;
    json_array_foreach(call->questions, i, question)
    {
        if (!json_object_get(question, "action")) return true;
    }
    return false;
}

/* Nothing happens until the user answers. */
static bool waits_for_user(const struct chat_turn *turn)
{
    const struct chat_tool_call *call;
    bool waits = false;
    DL_FOREACH(turn->calls, call)
    {
        if (call->stage == CHAT_CALL_DONE) continue;
        if (!has_open_question(call)) return false;
        waits = true;
    }
    return waits;
}

static void look_at_calls(struct chat_turn *turn)
{
    const struct chat_tool_call *call;
    size_t running = 0, asking = 0;
    DL_FOREACH(turn->calls, call)
    {
        bool asks =
            call->stage >= CHAT_CALL_PARAMETERS && call->stage <= CHAT_CALL_ASKS && call->stage != CHAT_CALL_RUNS;
        running += call->stage == CHAT_CALL_NEW || call->stage == CHAT_CALL_RUNS;
        asking += asks;
    }
    chat_turn_hold(turn, waits_for_user(turn));
    if (running) {
        chat_turn_write(turn);
    } else if (asking) {
        turn->waits = turn->checkpoint = true;
        chat_turn_write(turn);
    } else {
        end_step(turn);
    }
}

void chat_calls_settle(struct chat_turn *turn)
{
    turn->settle_due = true;
    if (turn->is_settling) return;
    turn->is_settling = true;
    while (turn->settle_due && !turn->ends && turn->step_message) {
        turn->settle_due = false;
        look_at_calls(turn);
    }
    turn->is_settling = false;
}

/* ----------------------------------------------------------------- the tool */

/* What is known of a call's tool, built in or an MCP server's. */
struct about_tool {
    const char *title, *server; /* server NULL: built in */
    const json_t *parameters;
    enum chat_policy policy;
};

static enum chat_policy policy_of(const struct chat_assistant *assistant, const struct mcp_tool *tool)
{
    enum chat_policy policy = chat_assistant_policy(assistant, tool->server, tool->id);
    return policy ? policy : tool->policy == MCP_ASK ? CHAT_POLICY_ASK : CHAT_POLICY_RUN;
}

/* Returns false if the tool does not exist, or no longer does. */
static bool describe_tool(const struct chat_tool_call *call, struct about_tool *about)
{
    const struct chat_assistant *assistant = call->turn->assistant;
    const struct mcp_tool *tool = call->mcp ? chat_mcp_tool(call) : NULL;
    *about = (struct about_tool){.title = call->name};
    if (call->tool) {
        about->parameters = call->tool->parameters;
        about->policy = chat_tool_policy(assistant, call->tool->tool);
        if (call->tool->tool->title) about->title = call->tool->tool->title;
    } else if (tool) {
        about->parameters = tool->input_schema;
        about->policy = policy_of(assistant, tool);
        about->server = tool->server;
        about->title = tool->title[0] ? tool->title : tool->name;
    }
    return call->tool || tool;
}

/* ------------------------------------------------------------------ running */

static void finish_with(struct chat_tool_call *call, const char *text)
{
    struct chat_tool_result result = {.ok = false, .text = text};
    chat_call_finish(call, &result);
}

static void begin_tool(struct chat_tool_call *call, const struct about_tool *about)
{
    struct chat_turn *turn = call->turn;
    json_t *payload = json_pack("{s:s, s:s, s:s, s:O}", "call_id", call->call_id, "tool", call->name, "title",
                                about->title, "args", call->args);
    if (about->server) json_object_set_new(payload, "server", json_string(about->server));
    chat_turn_think(turn, "Executing your request...");
    chat_turn_add(turn, "tool.start", payload);
    call->has_started = true;
    call->stage = CHAT_CALL_RUNS;
    turn->checkpoint = true; /* who goes on with the turn elsewhere must not run it again */
    turn->chat->counters.tool_calls++;
    call->waits_for_log = call->tool != NULL; /* what it writes by itself comes behind its beginning */
    if (!call->tool) chat_mcp_start(call);
}

void chat_calls_logged(struct chat_turn *turn)
{
    struct chat_tool_call *call, *next;
    bool has_begun = false;
    turn->is_settling = true;
    DL_FOREACH_SAFE(turn->calls, call, next)
    {
        if (!call->waits_for_log || turn->ends) continue;
        call->waits_for_log = false;
        has_begun = true;
        call->tool->tool->start(call);
    }
    turn->is_settling = false;
    if (has_begun) chat_calls_settle(turn);
}

/* Arguments that the model made up may be of any type. */
static bool check_args(struct chat_tool_call *call)
{
    struct kit_failure failure = {0, "", ""};
    char text[320];
    if (!call->tool) return true; /* its server checks them */
    json_t *args = chat_form_read(call->tool->parameters, call->args, &failure);
    if (args) json_object_update(call->args, args);
    json_decref(args);
    if (!failure.code) return true;
    snprintf(text, sizeof text, "Invalid arguments: %s %s", failure.field, failure.message);
    finish_with(call, text);
    return false;
}

static void ask_approval(struct chat_tool_call *call, const struct about_tool *about)
{
    char message[256];
    snprintf(message, sizeof message, "May the assistant use \"%.200s\"?", about->title);
    const struct chat_question question = {.mode = "approval", .message = message, .values = call->args};
    if (!chat_may_ask(call, 1)) return;
    call->stage = CHAT_CALL_APPROVAL;
    chat_ask(call, &question, "approval");
}

static void ask_parameters(struct chat_tool_call *call, const struct about_tool *about)
{
    char message[256];
    json_t *schema = chat_form_make(about->parameters, call->args);
    snprintf(message, sizeof message, "\"%.200s\" needs more information.", about->title);
    const struct chat_question question = {.mode = "form", .message = message, .schema = schema, .values = call->args};
    if (!schema) {
        finish_with(call, "Required arguments are missing.");
        return;
    }
    if (chat_may_ask(call, 1)) {
        chat_turn_think(call->turn, "Generating follow-up question...");
        call->stage = CHAT_CALL_PARAMETERS;
        chat_ask(call, &question, "parameters");
    }
    json_decref(schema);
}

/* From where it is: what is missing, whether it may, then the tool itself. */
static void advance_call(struct chat_tool_call *call, bool is_approved)
{
    struct about_tool about;
    bool is_known = describe_tool(call, &about);
    if (call->fault || !is_known)
        finish_with(call, call->fault ? call->fault : "This tool does not exist.");
    else if (about.policy == CHAT_POLICY_NEVER)
        finish_with(call, "This tool may not be used.");
    else if (chat_form_is_needed(about.parameters, call->args))
        ask_parameters(call, &about);
    else if (!check_args(call))
        return;
    else if (about.policy == CHAT_POLICY_ASK && !is_approved)
        ask_approval(call, &about);
    else
        begin_tool(call, &about);
}

void chat_call_run(struct chat_tool_call *call)
{
    char step[128];
    snprintf(step, sizeof step, "Intent recognized: %s", call->name);
    chat_turn_think(call->turn, step);
    chat_turn_think(call->turn, "Extracting parameters from your request...");
    advance_call(call, false);
}

void chat_calls_begin(struct chat_turn *turn)
{
    struct chat_tool_call *call, *next;
    turn->checkpoint = true;
    turn->is_settling = true; /* until all have begun */
    DL_FOREACH_SAFE(turn->calls, call, next)
    {
        if (!turn->ends) chat_call_run(call);
    }
    turn->is_settling = false;
    chat_calls_settle(turn);
}

/* ----------------------------------------------------------------- answers */

static const json_t *first_answer(const struct chat_tool_call *call)
{
    return json_array_get(call->questions, 0);
}

static void take_answer(struct chat_tool_call *call)
{
    const char *action = json_string_value(json_object_get(first_answer(call), "action"));
    const json_t *content = json_object_get(first_answer(call), "content");
    enum chat_stage stage = call->stage;
    bool accepts = !strcmp(action, "accept");
    call->stage = CHAT_CALL_NEW;
    call->turn->checkpoint = true;
    if (stage != CHAT_CALL_ASKS && !accepts) {
        finish_with(call, strcmp(action, "decline") ? CANCELLED : DECLINED);
    } else if (stage == CHAT_CALL_PARAMETERS) {
        json_object_update(call->args, (json_t *)(uintptr_t)content);
        advance_call(call, false);
    } else if (stage == CHAT_CALL_APPROVAL) {
        advance_call(call, true);
    } else if (!call->mcp && (!call->tool || !call->tool->tool->resume)) {
        finish_with(call, "This tool is not there any more.");
    } else {
        json_t *state = call->state;
        call->state = NULL;
        call->stage = CHAT_CALL_RUNS;
        if (call->mcp)
            chat_mcp_resume(call, state);
        else
            call->tool->tool->resume(call, state, action, content);
        json_decref(state);
    }
}

void chat_call_answered(struct chat_tool_call *call)
{
    json_t *questions = json_incref(call->questions);
    take_answer(call);
    /* Unless it asked again meanwhile. */
    if (call->questions == questions) {
        json_decref(call->questions);
        call->questions = NULL;
    }
    json_decref(questions);
}

static bool has_all_answers(const struct chat_tool_call *call)
{
    return call->questions && !has_open_question(call);
}

/* True if the answer is news. */
static bool give_answer(struct chat_tool_call *call, const char *id, const char *action, const json_t *content)
{
    size_t i;
    json_t *question;
    json_array_foreach(call->questions, i, question)
    {
        const char *own = json_string_value(json_object_get(question, "id"));
        if (!own || strcmp(own, id) || json_object_get(question, "action")) continue;
        json_object_set_new(question, "action", json_string(action));
        call->turn->open_questions--;
        if (content) json_object_set(question, "content", (json_t *)(uintptr_t)content);
        /* A call that waits in this process goes on by itself. */
        return !chat_mcp_answer(call, question);
    }
    return false;
}

static void go_on_with_answered(struct chat_turn *turn)
{
    struct chat_tool_call *call, *next;
    turn->is_settling = true;
    DL_FOREACH_SAFE(turn->calls, call, next)
    {
        bool asks = call->stage != CHAT_CALL_DONE && call->stage != CHAT_CALL_RUNS;
        if (!turn->ends && asks && has_all_answers(call)) chat_call_answered(call);
    }
    turn->is_settling = false;
    chat_calls_settle(turn);
}

void chat_turn_answer(struct chat_turn *turn, const char *elicitation_id, const char *action, const json_t *content)
{
    struct chat_tool_call *call;
    bool is_news = false;
    DL_FOREACH(turn->calls, call) is_news |= give_answer(call, elicitation_id, action, content);
    chat_turn_hold(turn, waits_for_user(turn));
    if (!is_news || chat_turn_is_leaving(turn)) return; /* which looks for answers itself */
    turn->waits = false;
    go_on_with_answered(turn);
}

void chat_calls_answers(struct chat_turn *turn, const json_t *answers)
{
    const char *id;
    json_t *answer;
    struct chat_tool_call *call;
    json_object_foreach((json_t *)(uintptr_t)answers, id, answer)
    {
        const char *action = json_string_value(json_object_get(answer, "action"));
        DL_FOREACH(turn->calls, call) give_answer(call, id, action, json_object_get(answer, "content"));
    }
    go_on_with_answered(turn);
}

/* What ran in a process that is gone. */
static void fail_interrupted(struct chat_turn *turn)
{
    struct chat_tool_call *call;
    DL_FOREACH(turn->calls, call)
    {
        if (call->stage != CHAT_CALL_RUNS && call->stage != CHAT_CALL_NEW) continue;
        json_decref(call->questions);
        call->questions = NULL;
        finish_with(call, INTERRUPTED);
    }
}

void chat_calls_resume(struct chat_turn *turn, const json_t *pending, const json_t *answers)
{
    size_t i;
    json_t *call, *calls = json_object_get(pending, "calls");
    turn->step_message = json_incref(json_object_get(pending, "message"));
    turn->has_thought = true;
    json_array_foreach(calls, i, call) restore_call(turn, call);
    turn->is_settling = true; /* until the answers are taken */
    fail_interrupted(turn);
    chat_calls_answers(turn, answers);
}

json_t *chat_calls_waits_for(const struct chat_turn *turn)
{
    const struct chat_tool_call *call;
    json_t *ids = json_array();
    DL_FOREACH(turn->calls, call)
    {
        for (size_t i = 0; i < json_array_size(call->questions); i++) {
            const json_t *question = json_array_get(call->questions, i);
            if (!json_object_get(question, "action")) json_array_append(ids, json_object_get(question, "id"));
        }
    }
    return ids;
}

/* ------------------------------------------------------------------ results */

static void add_end(struct chat_tool_call *call, const struct chat_tool_result *result)
{
    json_t *payload = json_pack("{s:s, s:s, s:b}", "call_id", call->call_id, "tool", call->name, "ok", result->ok);
    json_t *data = json_pack("{s:s, s:O, s:b}", "call_id", call->call_id, "args", call->args, "ok", result->ok);
    struct about_tool about;
    describe_tool(call, &about);
    json_object_set_new(data, "title", json_string(about.title));
    if (about.server) json_object_set_new(data, "server", json_string(about.server));
    if (call->sources) json_object_set(data, "sources", call->sources);
    if (result->take_result) json_object_set(payload, "result", result->take_result);
    if (!result->ok) json_object_set_new(payload, "text", json_string(result->text));
    if (result->take_result) json_object_set(data, "result", result->take_result);
    if (!result->ok) json_object_set_new(data, "text", json_string(result->text));
    chat_turn_remember(call->turn, "tool", call->name, data);
    chat_turn_add(call->turn, "tool.end", payload);
}

void chat_call_finish(struct chat_tool_call *call, const struct chat_tool_result *result)
{
    struct chat_turn *turn = call->turn;
    if (call->stage == CHAT_CALL_DONE || turn->ends) {
        json_decref(result->take_result);
        return;
    }
    call->stage = CHAT_CALL_DONE;
    call->ok = result->ok;
    call->keeps_open = result->keeps_open;
    call->is_answer = result->is_answer && result->ok;
    call->data = NULL;
    free(call->result);
    call->result = strdup(result->text && *result->text ? result->text : "Done.");
    turn->checkpoint = true;
    if (call->has_started) add_end(call, result);
    json_decref(result->take_result);
    chat_calls_settle(turn);
}

/* -------------------------------------------------------------- chat_tools.h */

const struct chat_tool_info *chat_tool_info(const struct chat_tool_call *call)
{
    return &call->info;
}

void chat_tool_set_data(struct chat_tool_call *call, void *data)
{
    call->data = data;
}

void *chat_tool_data(const struct chat_tool_call *call)
{
    return call->data;
}

void chat_tool_progress(struct chat_tool_call *call, double progress, double total, const char *message)
{
    json_t *payload = json_pack("{s:s, s:f}", "call_id", call->call_id, "progress", progress);
    if (!payload) return; /* not a number that JSON has */
    if (total > 0) json_object_set_new(payload, "total", json_real(total));
    if (message && *message) json_object_set_new(payload, "message", json_string(message));
    if (call->turn->ends)
        json_decref(payload);
    else
        chat_turn_add(call->turn, "tool.progress", payload);
}

/* Several searches of a turn find the same. */
static bool was_sent(struct chat_turn *turn, const json_t *source)
{
    const char *id = json_string_value(json_object_get(source, "doc_id"));
    if (!id) return false;
    if (!turn->sources) turn->sources = json_object();
    const char *excerpt = json_string_value(json_object_get(source, "excerpt"));
    const char *sent = json_string_value(json_object_get(turn->sources, id));
    if (sent && !strcmp(sent, excerpt ? excerpt : "")) return true;
    json_object_set_new(turn->sources, id, json_string(excerpt ? excerpt : ""));
    return false;
}

void chat_tool_emit(struct chat_tool_call *call, const char *event, json_t *take_payload)
{
    if (call->turn->ends) {
        json_decref(take_payload);
        return;
    }
    if (!strcmp(event, "chat.source")) {
        if (!call->sources) call->sources = json_array();
        json_array_append_new(call->sources, json_copy(take_payload));
        if (was_sent(call->turn, take_payload)) {
            json_decref(take_payload);
            return;
        }
    }
    chat_turn_add(call->turn, event, take_payload);
}

void chat_tool_ask(struct chat_tool_call *call, const struct chat_question *question, json_t *take_state)
{
    if (!chat_may_ask(call, 1)) {
        json_decref(take_state);
        return;
    }
    json_decref(call->state);
    call->state = take_state;
    call->stage = CHAT_CALL_ASKS;
    call->data = NULL;
    chat_ask(call, question, "");
    chat_calls_settle(call->turn);
}

void chat_tool_end(struct chat_tool_call *call, const struct chat_tool_result *result)
{
    chat_call_finish(call, result);
}

void chat_tool_fail(struct chat_tool_call *call, const char *text)
{
    finish_with(call, text);
}
