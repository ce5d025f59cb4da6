/* The embedded model: no network. From a message it makes calls of tools, with the parameters that the message has;
 * from tools' results an answer, word by word. All it does is in llm_pick.c, llm_fill.c and llm_say.c; here is when. */
#include "llm_int.h"

#include "llm_say.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS_MAX 3000 /* a long answer is written faster */

struct call {
    const struct llm_tools_entry *tool;
    json_t *args;
    char *text;
    char id[40];
};

struct llm_local {
    struct llm_driver driver;
    struct llm_answer *answer; /* NULL: gone */
    struct eio_timer timer;
    struct call calls[LLM_INTENTS_MAX + 1];
    size_t call_count;
    struct llm_text text; /* the answer, if there are no calls */
    size_t sent;
    uint32_t pace_ms;
    size_t words_at_once;
    bool in_event, dead;
};

/* What reading a message takes; for the time of that. */
struct reading {
    struct llm_lexed lexed, scratch;
    struct llm_clock clock;
    struct llm_pick pick;
};

static void free_local(struct llm_local *local)
{
    eio_timer_stop(&local->timer);
    for (size_t i = 0; i < local->call_count; i++) {
        json_decref(local->calls[i].args);
        free(local->calls[i].text);
    }
    free(local->text.p);
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

/* ------------------------------------------------------------------- calls */

static bool add_call(struct llm_local *local, const struct llm_tools_entry *tool, json_t *take_args)
{
    struct call *call = &local->calls[local->call_count];
    if (!take_args) return false;
    call->tool = tool;
    call->args = take_args;
    call->text = json_dumps(take_args, JSON_COMPACT);
    snprintf(call->id, sizeof call->id, "%s%zu", local->answer->id_prefix, local->call_count++);
    return call->text != NULL;
}

static json_t *calls_message(const struct llm_local *local)
{
    json_t *calls = json_array();
    for (size_t i = 0; i < local->call_count; i++) {
        const struct call *call = &local->calls[i];
        json_t *entry = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", call->id, "type", "function", "function", "name",
                                  call->tool->wire_name, "arguments", call->text);
        if (!json_array_append_new(calls, entry)) continue;
        json_decref(calls);
        return NULL;
    }
    return json_pack("{s:s, s:n, s:o}", "role", "assistant", "content", "tool_calls", calls);
}

static int emit_call(struct llm_local *local, size_t i)
{
    static const enum llm_event_kind kinds[] = {LLM_CALL_OPEN, LLM_CALL_ARGS, LLM_CALL_READY};
    const struct call *call = &local->calls[i];
    struct llm_event event = {.call = (unsigned)i, .call_id = call->id, .name = call->tool->wire_name};
    for (size_t k = 0; k < 3; k++) {
        event.kind = kinds[k];
        event.text = k ? eio_str(call->text) : (struct eio_str){"", 0};
        event.args = kinds[k] == LLM_CALL_READY ? call->args : NULL;
        if (emit(local, &event)) return -1;
    }
    return 0;
}

static void emit_calls(struct llm_local *local)
{
    for (size_t i = 0; i < local->call_count; i++)
        if (emit_call(local, i)) return;
    end(local, LLM_CALLS, calls_message(local));
}

/* -------------------------------------------------------------------- text */

/* The next words with the blanks behind them. */
static size_t words_size(const char *p, size_t count)
{
    size_t n = 0;
    while (count-- && p[n]) {
        n += strcspn(p + n, " \n");
        n += strspn(p + n, " \n");
    }
    return n;
}

static void set_pace(struct llm_local *local)
{
    size_t count = 0;
    local->pace_ms = local->answer->llm->config->local_pace_ms;
    local->words_at_once = 1;
    for (const char *p = local->text.p; p && *p; p += words_size(p, 1)) count++;
    while (local->pace_ms && count / local->words_at_once * local->pace_ms > ANSWER_MS_MAX) local->words_at_once *= 2;
    if (!local->pace_ms) local->words_at_once = 64;
}

static void on_timer(void *ctx)
{
    struct llm_local *local = ctx;
    if (local->call_count) {
        emit_calls(local);
        return;
    }
    const char *rest = local->text.p + local->sent;
    size_t n = words_size(rest, local->words_at_once);
    local->sent += n;
    const struct llm_event event = {.kind = LLM_TEXT, .text = {rest, n}};
    if (n && emit(local, &event)) return;
    if (local->text.p[local->sent] && !eio_timer_start(&local->timer, local->pace_ms)) return;
    end(local, LLM_STOP, json_pack("{s:s, s:s}", "role", "assistant", "content", local->text.p));
}

/* ----------------------------------------------------------------- message */

/* The text of a message, also of one in parts; to be freed, NULL: out of memory. */
static char *content_of(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    struct llm_text text = {NULL, 0, 0};
    size_t i;
    json_t *part;
    llm_text_add(&text, eio_str(json_is_string(content) ? json_string_value(content) : ""), SIZE_MAX / 4);
    json_array_foreach(content, i, part)
    {
        const char *own = json_string_value(json_object_get(part, "text"));
        if (own) llm_text_add(&text, eio_str(own), SIZE_MAX / 4);
    }
    return text.p;
}

static const struct llm_tools_entry *find_search(const struct llm_answer *answer)
{
    for (size_t i = 0; i < answer->tools.count && answer->search_tool; i++)
        if (!strcmp(answer->tools.list[i].name, answer->search_tool)) return &answer->tools.list[i];
    return NULL;
}

static bool is_question(const struct llm_lexed *lexed, struct llm_range at)
{
    return llm_lex_is_mark(lexed, at.to - 1, '?') ||
           llm_lex_is_any(lexed, at.from,
                          "what how when where why who which whose can is are does do did was were wie was "
                          "wann wo warum wer welche comment quand quel quelle pourquoi");
}

static bool has_meaning(const struct llm_lexed *lexed, struct llm_range at)
{
    for (size_t i = at.from; i < at.to; i++)
        if (lexed->list[i].kind != LLM_LEX_MARK) return true;
    return false;
}

json_t *llm_read_values(struct llm *llm, json_t *schema, const char *text, int64_t now_ms, const char *zone)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading) return NULL;
    reading->clock = (struct llm_clock){now_ms, kit_zone_minutes(zone, now_ms), kit_zone_minutes_local, zone};
    llm_lex_read(&reading->lexed, llm->words, eio_str(text));
    struct llm_fill fill = {.lexed = &reading->lexed,
                            .words = llm->words,
                            .scratch = &reading->scratch,
                            .clock = &reading->clock,
                            .schema = schema,
                            .at = {0, reading->lexed.count}};
    json_t *values = llm_fill(&fill);
    free(reading);
    return values;
}

static bool call_tool(struct llm_local *local, struct reading *reading, const struct llm_intent *intent)
{
    struct llm_fill fill = {.lexed = &reading->lexed,
                            .words = local->answer->llm->words,
                            .scratch = &reading->scratch,
                            .clock = &reading->clock,
                            .schema = intent->tool->parameters,
                            .at = intent->at,
                            .slots = intent->slots,
                            .slot_count = intent->slot_count};
    memcpy(fill.used, intent->used, sizeof fill.used);
    return add_call(local, intent->tool, llm_fill(&fill));
}

/* Sentences without a tool: what is asked in them is searched for, together; small talk gets its answer. */
static bool search(struct llm_local *local, const struct reading *reading, bool questions_only)
{
    const struct llm_tools_entry *tool = find_search(local->answer);
    struct llm_text query = {NULL, 0, 0};
    for (size_t i = 0; i < reading->pick.count; i++) {
        const struct llm_intent *intent = &reading->pick.list[i];
        if (intent->tool || !has_meaning(&reading->lexed, intent->at)) continue;
        if (questions_only && !is_question(&reading->lexed, intent->at)) continue;
        if (llm_say_small_talk(&reading->lexed, intent->at, &local->answer->tools, &local->text)) continue;
        if (query.n) llm_text_add(&query, eio_str(" "), SIZE_MAX / 4);
        llm_text_add(&query, llm_lex_slice(&reading->lexed, intent->at.from, intent->at.to), SIZE_MAX / 4);
    }
    bool is_good = !query.n || !tool || add_call(local, tool, json_pack("{s:s}", "query", query.p));
    if (!questions_only && !local->call_count && !local->text.n)
        llm_say_nothing(&local->answer->tools, NULL, &local->text);
    free(query.p);
    return is_good;
}

static bool read_message(struct llm_local *local, struct reading *reading, const char *content)
{
    struct llm_answer *answer = local->answer;
    bool is_good = true;
    reading->clock = (struct llm_clock){answer->now_ms, kit_zone_minutes(answer->zone, answer->now_ms),
                                        kit_zone_minutes_local, answer->zone};
    llm_lex_read(&reading->lexed, answer->llm->words, eio_str(content));
    reading->pick = (struct llm_pick){.lexed = &reading->lexed,
                                      .words = answer->llm->words,
                                      .scratch = &reading->scratch,
                                      .clock = &reading->clock,
                                      .tools = &answer->tools};
    llm_pick(&reading->pick);
    for (size_t i = 0; i < reading->pick.count && is_good && !answer->no_calls; i++)
        if (reading->pick.list[i].tool) is_good = call_tool(local, reading, &reading->pick.list[i]);
    if (!is_good || answer->no_calls) return is_good;
    return search(local, reading, local->call_count > 0);
}

/* ------------------------------------------------------------------- start */

static bool is_tool_message(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && !strcmp(role, "tool");
}

/* The results that the last messages are. */
static bool answer_results(struct llm_local *local, size_t first)
{
    const json_t *messages = local->answer->messages;
    for (size_t i = first; i < json_array_size(messages); i++) {
        char *content = content_of(json_array_get(messages, i));
        if (!content) return false;
        llm_say_result(content, &local->answer->tools, &local->text);
        free(content);
    }
    return local->text.p != NULL;
}

static bool plan(struct llm_local *local)
{
    const json_t *messages = local->answer->messages;
    size_t first = json_array_size(messages);
    while (first && is_tool_message(json_array_get(messages, first - 1))) first--;
    if (first < json_array_size(messages)) return answer_results(local, first);
    char *content = content_of(json_array_get(messages, first ? first - 1 : 0));
    struct reading *reading = content ? malloc(sizeof *reading) : NULL;
    bool is_good = reading && read_message(local, reading, content);
    if (is_good && !local->call_count && !local->text.n) llm_say_nothing(&local->answer->tools, NULL, &local->text);
    free(reading);
    free(content);
    return is_good && (local->call_count || local->text.p);
}

static struct llm_driver *start(struct llm_answer *answer, const struct llm_provider *provider)
{
    struct llm_local *local = calloc(1, sizeof *local);
    (void)provider;
    if (!local) return NULL;
    local->driver.ops = &llm__local_ops;
    local->answer = answer;
    eio_timer_init(&local->timer, answer->llm->kit->loop, on_timer, local);
    if (plan(local) && !eio_timer_start(&local->timer, 0)) {
        set_pace(local);
        return &local->driver;
    }
    free_local(local);
    return NULL;
}

const struct llm_driver_ops llm__local_ops = {.kind = "local", .start = start, .cancel = cancel};
