/* The embedded model: no network. It asks the knowledge search, answers from what that finds, and writes word by word.
 */
#include "llm_int.h"

#include <stdlib.h>
#include <string.h>

struct llm_local {
    struct llm_driver driver;
    struct llm_answer *answer; /* NULL: gone */
    struct eio_timer timer;
    struct llm_text text; /* the answer */
    size_t sent;
    json_t *args; /* of a call of the search; NULL: none is made */
    bool in_event, dead;
};

static void free_local(struct llm_local *local)
{
    eio_timer_stop(&local->timer);
    free(local->text.p);
    json_decref(local->args);
    free(local);
}

static void cancel(struct llm_driver *driver)
{
    struct llm_local *local = (struct llm_local *)(void *)driver;
    local->answer = NULL;
    if (local->in_event)
        local->dead = true;
    else
        free_local(local);
}

/* Returns 0; -1: the answer is gone, and so is this. */
static int emit(struct llm_local *local, const struct llm_event *event)
{
    local->in_event = true;
    llm__emit(local->answer, event);
    local->in_event = false;
    if (!local->dead) return 0;
    free_local(local);
    return -1;
}

static void end(struct llm_local *local, enum llm_finish finish, json_t *take_message)
{
    struct llm_answer *answer = local->answer;
    const struct llm_fault fault = {LLM_FAULT_MEMORY, "out of memory"};
    free_local(local);
    if (take_message)
        llm__end(answer, finish, take_message);
    else
        llm__fail(answer, &fault);
}

/* ------------------------------------------------------------------ calls */

static void call_search(struct llm_local *local)
{
    char *text = json_dumps(local->args, JSON_COMPACT), id[40], name[LLM_WIRE_NAME_SIZE];
    snprintf(id, sizeof id, "%s0", local->answer->id_prefix);
    llm_wire_name(local->answer->search_tool, name);
    struct llm_event event = {.kind = LLM_CALL_OPEN, .call_id = id, .name = name};
    json_t *message =
        text ? json_pack("{s:s, s:n, s:[{s:s, s:s, s:{s:s, s:s}}]}", "role", "assistant", "content", "tool_calls", "id",
                         id, "type", "function", "function", "name", name, "arguments", text)
             : NULL;
    int gone = message ? emit(local, &event) : 0;
    if (!gone && message) {
        event.kind = LLM_CALL_READY;
        event.args = local->args;
        event.text = eio_str(text);
        gone = emit(local, &event);
    }
    free(text);
    if (gone)
        json_decref(message);
    else
        end(local, LLM_CALLS, message);
}

/* ------------------------------------------------------------------- text */

/* The next word with the blanks behind it. */
static size_t word_size(const char *p)
{
    size_t n = strcspn(p, " \n");
    return n + strspn(p + n, " \n");
}

static void on_timer(void *ctx)
{
    struct llm_local *local = ctx;
    const struct llm_config *config = local->answer->llm->config;
    if (local->args) {
        call_search(local);
        return;
    }
    const char *rest = local->text.p + local->sent;
    size_t n = word_size(rest);
    local->sent += n;
    const struct llm_event event = {.kind = LLM_TEXT, .text = {rest, n}};
    if (n && emit(local, &event)) return;
    if (n && !eio_timer_start(&local->timer, config->local_pace_ms)) return;
    end(local, LLM_STOP, json_pack("{s:s, s:s}", "role", "assistant", "content", local->text.p));
}

/* ------------------------------------------------------------------ start */

static bool say(struct llm_local *local, const char *text)
{
    return !llm_text_add(&local->text, eio_str(text), SIZE_MAX / 4);
}

static const char *role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role ? role : "";
}

/* A result {"documents":[{title, excerpt}]} is quoted, any other told as it is. */
static bool answer_from(struct llm_local *local, const char *content)
{
    json_t *root = json_loads(content, 0, NULL);
    const json_t *documents = json_object_get(root, "documents");
    size_t i;
    json_t *document;
    bool is_good = json_is_array(documents) || say(local, content);
    json_array_foreach(documents, i, document)
    {
        const char *title = json_string_value(json_object_get(document, "title"));
        const char *excerpt = json_string_value(json_object_get(document, "excerpt"));
        if (i >= 2 || !excerpt || !title) continue;
        is_good = is_good && say(local, i ? "\n\n" : "") && say(local, excerpt) && say(local, "\n\nSource: ") &&
                  say(local, title);
    }
    if (is_good && !local->text.n) is_good = say(local, "I found nothing about that.");
    json_decref(root);
    return is_good;
}

static bool plan(struct llm_local *local)
{
    const struct llm_answer *answer = local->answer;
    const json_t *last = json_array_get(answer->messages, json_array_size(answer->messages) - 1);
    const char *content = json_string_value(json_object_get(last, "content"));
    if (!strcmp(role_of(last), "tool")) return answer_from(local, content ? content : "");
    if (!answer->search_tool || answer->no_calls || !content || !content[0])
        return say(local, "I found nothing about that.");
    local->args = json_pack("{s:s}", "query", content);
    return local->args != NULL;
}

static struct llm_driver *start(struct llm_answer *answer, const struct llm_provider *provider)
{
    struct llm_local *local = calloc(1, sizeof *local);
    (void)provider;
    if (!local) return NULL;
    local->driver.ops = &llm__local_ops;
    local->answer = answer;
    eio_timer_init(&local->timer, answer->llm->kit->loop, on_timer, local);
    if (plan(local) && !eio_timer_start(&local->timer, 0)) return &local->driver;
    free_local(local);
    return NULL;
}

const struct llm_driver_ops llm__local_ops = {.kind = "local", .start = start, .cancel = cancel};
