/* What servers ask users in the middle of a call: in the newer era a result that is retried with the answers, for which
 * nothing is held open; in the older era a request to this client, which waits. */
#include "mcp_form.h"
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

#define QUESTIONS_MAX 16
#define KEY_MAX_BYTES 256
#define STATE_VERSION 1

/* --------------------------------------------------------------- questions */

/* Reads the parameters of elicitation/create. Returns NULL, or why they cannot be shown. */
static const char *read_question(const char *key, const json_t *params, struct mcp_question *question)
{
    const char *mode = json_string_value(json_object_get(params, "mode"));
    const char *message = json_string_value(json_object_get(params, "message"));
    const char *url = json_string_value(json_object_get(params, "url"));
    const json_t *schema = json_object_get(params, "requestedSchema");
    *question = (struct mcp_question){.key = key, .message = message ? message : ""};
    if (mode && !strcmp(mode, "url")) {
        question->url = url;
        return url && !kit_fetch_check_url(url) ? NULL : "the address is neither http nor https";
    }
    question->schema = schema;
    if (mode && strcmp(mode, "form")) return "the mode is unknown";
    return mcp_form_check_schema(schema);
}

static const char *action_of(const json_t *answer)
{
    static const char *const actions[] = {"accept", "decline", "cancel"};
    const char *action = json_string_value(json_object_get(answer, "action"));
    for (size_t i = 0; action && i < 3; i++)
        if (!strcmp(action, actions[i])) return actions[i];
    return NULL;
}

/* What goes to the server. A refusal never has content. NULL with failure. */
static json_t *check_answer(const json_t *params, const json_t *answer, struct kit_failure *failure)
{
    struct mcp_question question;
    const char *action = action_of(answer);
    read_question("", params, &question);
    if (!action) {
        kit_fail(failure, 400, "/action", "must be accept, decline or cancel");
        return NULL;
    }
    if (strcmp(action, "accept") || question.url) return json_pack("{s:s}", "action", action);
    json_t *content = mcp_form_fill(question.schema, json_object_get(answer, "content"), failure);
    return content ? json_pack("{s:s, s:o}", "action", action, "content", content) : NULL;
}

/* ----------------------------------------------------- the newer era: asking */

static json_t *make_state(const struct mcp_call *call, const json_t *questions, bool is_again)
{
    return json_pack("{s:i, s:s, s:s, s:O, s:i, s:O, s:O*, s:b}", "v", STATE_VERSION, "server", call->server->config.id,
                     "tool", call->name, "arguments", call->arguments, "rounds", (int)call->rounds, "questions",
                     questions, "request_state", call->request_state, "again", is_again);
}

/* The call ends here; on_ask gets all that it takes to go on. questions: by key, their parameters. */
static void end_with_state(struct mcp_call *call, const json_t *questions, bool is_again)
{
    struct mcp_question list[QUESTIONS_MAX];
    const char *key;
    json_t *params;
    size_t count = 0;
    json_t *state = make_state(call, questions, is_again);
    const struct mcp_call_ops *ops = call->ops;
    void *ctx = call->ctx;
    if (!state) {
        mcp_call_fail(call, 503, "out of memory");
        return;
    }
    json_object_foreach(json_object_get(state, "questions"), key, params)
    {
        read_question(key, params, &list[count++]);
    }
    call->server->mcp->counters.asks += count;
    mcp_call_free(call);
    ops->on_ask(ctx, list, count, state);
    json_decref(state);
}

/* By key, the parameters of what is asked. NULL with *why. */
static json_t *read_inputs(const json_t *inputs, const char **why)
{
    const char *key;
    json_t *one, *questions = json_object();
    struct mcp_question question;
    *why = json_object_size(inputs) > QUESTIONS_MAX ? "it asks too much at once" : questions ? NULL : "out of memory";
    json_object_foreach((json_t *)(uintptr_t)inputs, key, one)
    {
        const char *method = json_string_value(json_object_get(one, "method"));
        json_t *params = json_object_get(one, "params");
        if (*why) break;
        if (!method || strcmp(method, "elicitation/create"))
            *why = "it asks for what this client does not offer";
        else if (strlen(key) > KEY_MAX_BYTES)
            *why = "the name of its question is too long";
        else if (!(*why = read_question(key, params, &question)) && json_object_set(questions, key, params))
            *why = "out of memory";
    }
    if (!*why) return questions;
    json_decref(questions);
    return NULL;
}

static void fail_question(struct mcp_call *call, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "it asks the user in a way that cannot be shown: %s", why);
    mcp_call_fail(call, 502, text);
}

static void set_text(json_t **slot, const json_t *value)
{
    json_decref(*slot);
    *slot = json_incref((json_t *)(uintptr_t)value);
}

void mcp_ask_inputs(struct mcp_call *call, const json_t *result)
{
    const json_t *inputs = json_object_get(result, "inputRequests"), *state = json_object_get(result, "requestState");
    const char *why;
    if ((inputs && !json_is_object(inputs)) || (state && !json_is_string(state)) || (!inputs && !state)) {
        mcp_call_fail(call, 502, "its request for input is malformed");
        return;
    }
    if (++call->rounds > call->server->mcp->config->rounds_max) {
        mcp_call_fail(call, 502, "it asks again and again");
        return;
    }
    set_text(&call->request_state, state);
    set_text(&call->responses, NULL);
    if (!json_object_size(inputs)) {
        mcp_call_send(call);
        return;
    }
    json_t *questions = read_inputs(inputs, &why);
    if (questions)
        end_with_state(call, questions, false);
    else
        fail_question(call, why);
    json_decref(questions);
}

/* By its place, each page that is to be visited first; NULL with *why. */
static json_t *read_pages(const json_t *list, const char **why)
{
    struct mcp_question question;
    json_t *questions = json_object(), *params;
    char key[32];
    size_t i;
    *why = json_array_size(list) > QUESTIONS_MAX ? "it asks too much at once" : questions ? NULL : "out of memory";
    json_array_foreach(list, i, params)
    {
        if (*why) break;
        snprintf(key, sizeof key, "page-%zu", i + 1);
        *why = read_question(key, params, &question);
        if (!*why && !question.url) *why = "it names a form where only pages may be";
        if (!*why && json_object_set(questions, key, params)) *why = "out of memory";
    }
    if (!*why && !json_object_size(questions)) *why = "it names no page";
    if (!*why) return questions;
    json_decref(questions);
    return NULL;
}

void mcp_ask_urls(struct mcp_call *call, const json_t *data)
{
    const char *why;
    if (++call->rounds > call->server->mcp->config->rounds_max) {
        mcp_call_fail(call, 502, "it asks again and again");
        return;
    }
    json_t *questions = read_pages(json_object_get(data, "elicitations"), &why);
    if (questions)
        end_with_state(call, questions, true);
    else
        fail_question(call, why);
    json_decref(questions);
}

/* -------------------------------------------------- the newer era: going on */

/* Returns 0, or a code with *why. */
static int read_answers(struct mcp_call *call, const json_t *state, const json_t *answers, const char **why)
{
    static char text[400];
    struct kit_failure failure = {0};
    const char *key;
    json_t *params, *responses = json_object();
    bool is_again = json_is_true(json_object_get(state, "again"));
    *why = NULL;
    json_object_foreach(json_object_get(state, "questions"), key, params)
    {
        const json_t *answer = json_object_get(answers, key);
        json_t *response = check_answer(params, answer, &failure);
        if (!response) {
            snprintf(text, sizeof text, "the answer to '%.64s' is wrong: %s %s", key, failure.field, failure.message);
            *why = text;
            break;
        }
        if (is_again && strcmp(action_of(answer), "accept")) *why = "the user did not agree to visit the page";
        json_object_set_new(responses, key, response);
    }
    if (!*why && !is_again) call->responses = json_incref(responses);
    json_decref(responses);
    return *why ? 400 : 0;
}

struct mcp_call *mcp_call_resume(struct mcp *mcp, const json_t *state, const json_t *answers,
                                 const struct mcp_caller *caller)
{
    const char *id = json_string_value(json_object_get(state, "server"));
    const char *tool = json_string_value(json_object_get(state, "tool")), *why;
    struct mcp_server *server = id ? mcp_find_server(mcp, id) : NULL;
    bool is_good = tool && json_integer_value(json_object_get(state, "v")) == STATE_VERSION;
    if (!server && !mcp->server_count) return NULL;
    struct mcp_call *call =
        mcp_call_new(server ? server : mcp->servers, tool ? tool : "", json_object_get(state, "arguments"), caller);
    if (!call) return NULL;
    call->rounds = (unsigned)json_integer_value(json_object_get(state, "rounds"));
    call->request_state = json_incref(json_object_get(state, "request_state"));
    int code = !server || !is_good ? (why = "the server that asked is not configured any more", 404)
                                   : mcp_call_check_limits(server, call->user, &why);
    if (!code) code = read_answers(call, state, answers, &why);
    if (code)
        mcp_call_fail_later(call, code, why);
    else
        mcp_call_send(call);
    return call;
}

/* ------------------------------------------------------------ the older era */

static void free_ask(struct mcp_ask *ask)
{
    struct mcp_ask **link = &ask->call->asks;
    while (*link != ask) link = &(*link)->next;
    *link = ask->next;
    eio_timer_stop(&ask->timer);
    json_decref(ask->id);
    json_decref(ask->params);
    free(ask->key);
    free(ask);
}

void mcp_asks_free(struct mcp_call *call)
{
    while (call->asks) free_ask(call->asks);
}

/* The server's answer to ours: without it the call would wait in vain. */
static void on_answer_posted(void *ctx, int status)
{
    char text[96];
    if (status / 100 == 2) return;
    snprintf(text, sizeof text, "the answer came too late, the server did not take it (HTTP %d)", status);
    mcp_call_fail(ctx, 502, text);
}

/* Frees the question. */
static void post_answer(struct mcp_ask *ask, const json_t *answer)
{
    struct mcp_call *call = ask->call;
    mcp_post_send(ask->session, mcp_rpc_result(ask->id, answer), on_answer_posted, call);
    free_ask(ask);
    if (!call->asks && call->request) mcp_request_hold(call->request, false);
}

static void withdraw_ask(struct mcp_ask *ask)
{
    struct mcp_call *call = ask->call;
    char *key = ask->key;
    ask->key = NULL;
    free_ask(ask);
    if (!call->asks && call->request) mcp_request_hold(call->request, false);
    if (key && call->ops->on_withdrawn) call->ops->on_withdrawn(call->ctx, key);
    free(key);
}

static void on_ask_timeout(void *ctx)
{
    struct mcp_ask *ask = ctx;
    json_t *answer = json_pack("{s:s}", "action", "cancel");
    mcp_post_send(ask->session, answer ? mcp_rpc_result(ask->id, answer) : NULL, on_answer_posted, ask->call);
    json_decref(answer);
    withdraw_ask(ask);
}

static struct mcp_ask *find_ask(const struct mcp_call *call, const char *key)
{
    struct mcp_ask *ask = call->asks;
    while (ask && strcmp(ask->key, key)) ask = ask->next;
    return ask;
}

int mcp_call_answer(struct mcp_call *call, const char *key, const json_t *answer, struct kit_failure *failure)
{
    struct mcp_ask *ask = find_ask(call, key);
    if (!ask) return kit_fail(failure, 409, NULL, "the question is not open any more");
    json_t *checked = check_answer(ask->params, answer, failure);
    if (!checked) return failure->code ? failure->code : kit_fail(failure, 503, NULL, "out of memory");
    post_answer(ask, checked);
    json_decref(checked);
    return 0;
}

/* NULL: out of memory. */
static struct mcp_ask *add_ask(struct mcp_call *call, struct mcp_session *session, const struct mcp_message *message)
{
    struct mcp *mcp = call->server->mcp;
    struct mcp_ask *ask = calloc(1, sizeof *ask);
    if (!ask) return NULL;
    ask->key = json_dumps(message->id, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!call->asked) call->asked = json_object();
    if (!ask->key || json_object_set_new(call->asked, ask->key, json_true())) {
        free(ask->key);
        free(ask);
        return NULL;
    }
    ask->call = call;
    ask->session = session;
    ask->id = json_incref((json_t *)(uintptr_t)message->id);
    ask->params = json_incref((json_t *)(uintptr_t)message->params);
    ask->next = call->asks;
    call->asks = ask;
    eio_timer_init(&ask->timer, mcp->loop, on_ask_timeout, ask);
    eio_timer_start(&ask->timer, mcp->config->ask_timeout_ms);
    mcp->counters.asks++;
    return ask;
}

/* True if it is a question that came before: streams that are resumed repeat themselves. */
static bool was_asked(const struct mcp_call *call, const json_t *id)
{
    char *key = json_dumps(id, JSON_COMPACT | JSON_ENCODE_ANY);
    bool was = key && json_object_get(call->asked, key);
    free(key);
    return was;
}

static void take_question(struct mcp_call *call, struct mcp_session *session, const struct mcp_message *message)
{
    struct mcp_question question;
    const char *why = read_question("", message->params, &question);
    bool is_long = json_is_string(message->id) && json_string_length(message->id) > KEY_MAX_BYTES;
    if (was_asked(call, message->id)) return;
    if (!why && is_long) why = "the id is too long";
    if (!why && json_object_size(call->asked) >= call->server->mcp->config->rounds_max) why = "too many questions";
    struct mcp_ask *ask = why ? NULL : add_ask(call, session, message);
    if (!ask) {
        mcp_post_send(session, mcp_rpc_error(message->id, MCP_BAD_PARAMS, why ? why : "out of memory"), NULL, NULL);
        return;
    }
    read_question(ask->key, ask->params, &question);
    mcp_request_hold(call->request, true);
    call->ops->on_ask(call->ctx, &question, 1, NULL);
}

bool mcp_ask_take(struct mcp_call *call, struct mcp_session *session, const struct mcp_message *message)
{
    if (message->kind == MCP_REQUEST && !strcmp(message->method, "elicitation/create")) {
        take_question(call, session, message);
        return true;
    }
    if (strcmp(message->method, "notifications/cancelled") || !call->asks) return false;
    char *key = json_dumps(json_object_get(message->params, "requestId"), JSON_COMPACT | JSON_ENCODE_ANY);
    struct mcp_ask *ask = key ? find_ask(call, key) : NULL;
    free(key);
    if (ask) withdraw_ask(ask);
    return ask != NULL;
}

/* A user's own session has that user's calls alone, the newest of which is meant. In a session that users share, it
 * must be clear whom a question is for. */
bool mcp_ask_take_stray(struct mcp_session *session, const struct mcp_message *message)
{
    struct mcp_call *found = NULL;
    for (struct mcp_call *call = session->server->mcp->calls; call; call = call->next) {
        if (!call->request || call->request->session != session) continue;
        if (found && strcmp(found->user, call->user)) return false;
        if (!found) found = call;
    }
    return found && mcp_ask_take(found, session, message);
}
