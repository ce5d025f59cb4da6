#include "chat_mcp.h"

#include <stdlib.h>
#include <string.h>

#define RESULT_BYTES_MAX 65536 /* in the log; what the model reads is not affected */

struct chat_mcp {
    struct mcp_call *call; /* NULL: none runs in this process */
};

int chat_mcp_make(struct chat_tool_call *call)
{
    call->mcp = calloc(1, sizeof *call->mcp);
    return call->mcp ? 0 : EIO_ENOMEM;
}

int chat_mcp_find(struct chat_tool_call *call)
{
    return chat_mcp_tool(call) ? chat_mcp_make(call) : 0;
}

void chat_mcp_free(struct chat_tool_call *call)
{
    chat_mcp_cancel(call);
    free(call->mcp);
    call->mcp = NULL;
}

const struct mcp_tool *chat_mcp_tool(const struct chat_tool_call *call)
{
    return mcp_find_tool(mcp_of(call->turn->chat->kit), call->name);
}

void chat_mcp_cancel(struct chat_tool_call *call)
{
    if (!call->mcp || !call->mcp->call) return;
    mcp_call_cancel(call->mcp->call);
    call->mcp->call = NULL;
}

/* ------------------------------------------------------------------- events */

static void on_progress(void *ctx, double progress, double total, const char *message)
{
    chat_tool_progress(ctx, progress, total, message);
}

static void ask_one(struct chat_tool_call *call, const struct mcp_question *asked)
{
    const struct chat_question question = {.mode = asked->url ? "url" : "form",
                                           .message = asked->message,
                                           .schema = asked->url ? NULL : asked->schema,
                                           .url = asked->url};
    chat_ask(call, &question, asked->key);
}

static void on_ask(void *ctx, const struct mcp_question *questions, size_t count, const json_t *state)
{
    struct chat_tool_call *call = ctx;
    if (state) call->mcp->call = NULL;
    if (!chat_may_ask(call, count)) {
        chat_mcp_cancel(call);
        return;
    }
    if (state) {
        call->stage = CHAT_CALL_ASKS;
        json_decref(call->state);
        call->state = json_deep_copy(state);
    }
    for (size_t i = 0; i < count; i++) ask_one(call, &questions[i]);
    chat_calls_settle(call->turn);
}

/* Nobody can answer it any more. */
static void on_withdrawn(void *ctx, const char *key)
{
    struct chat_tool_call *call = ctx;
    size_t i;
    json_t *question;
    json_array_foreach(call->questions, i, question)
    {
        const char *own = json_string_value(json_object_get(question, "key"));
        if (!own || strcmp(own, key) || json_object_get(question, "action")) continue;
        chat_sweep_expire(call->turn->chat, &call->turn->about, json_string_value(json_object_get(question, "id")));
    }
}

static void on_done(void *ctx, const struct mcp_result *result)
{
    struct chat_tool_call *call = ctx;
    char *text = strndup(result->text.p, result->text.n);
    bool fits = result->content && json_dumpb(result->content, NULL, 0, JSON_COMPACT) <= RESULT_BYTES_MAX;
    call->mcp->call = NULL;
    chat_call_finish(call, &(struct chat_tool_result){
                               .ok = result->ok,
                               .take_result = fits ? json_incref((json_t *)(uintptr_t)result->content) : NULL,
                               .text = text ? text : "The tool has answered, but there is no memory for it."});
    free(text);
}

static struct mcp_caller caller_of(struct chat_tool_call *call)
{
    static const struct mcp_call_ops ops = {on_progress, on_ask, on_withdrawn, on_done};
    return (struct mcp_caller){.tenant = call->info.tenant, .user = call->info.user, .ops = &ops, .ctx = call};
}

/* -------------------------------------------------------------------- calls */

void chat_mcp_start(struct chat_tool_call *call)
{
    const struct mcp_tool *tool = chat_mcp_tool(call);
    const struct mcp_caller caller = caller_of(call);
    call->mcp->call = tool ? mcp_call_start(mcp_of(call->info.kit), tool, call->args, &caller) : NULL;
    if (!call->mcp->call) chat_tool_fail(call, tool ? "Out of memory." : "This tool is not there any more.");
}

/* {key: {action, content}} */
static json_t *collect_answers(const struct chat_tool_call *call)
{
    size_t i;
    json_t *question, *answers = json_object();
    json_array_foreach(call->questions, i, question)
    {
        json_t *content = json_object_get(question, "content");
        json_object_set_new(
            answers, json_string_value(json_object_get(question, "key")),
            json_pack("{s:O, s:O*}", "action", json_object_get(question, "action"), "content", content));
    }
    return answers;
}

void chat_mcp_resume(struct chat_tool_call *call, const json_t *state)
{
    const struct mcp_caller caller = caller_of(call);
    json_t *answers = collect_answers(call);
    call->mcp->call = mcp_call_resume(mcp_of(call->info.kit), state, answers, &caller);
    json_decref(answers);
    if (!call->mcp->call) chat_tool_fail(call, "This tool is not there any more.");
}

bool chat_mcp_answer(struct chat_tool_call *call, const json_t *question)
{
    struct kit_failure failure = {0, "", ""};
    json_t *content = json_object_get(question, "content");
    if (!call->mcp || !call->mcp->call) return false;
    json_t *answer = json_pack("{s:O, s:O*}", "action", json_object_get(question, "action"), "content", content);
    if (mcp_call_answer(call->mcp->call, json_string_value(json_object_get(question, "key")), answer, &failure))
        chat_turn_debug(call->turn, "warning", "the answer did not reach the MCP server: %s", failure.message);
    json_decref(answer);
    return true;
}
