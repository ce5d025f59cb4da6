/* Asks the model, step by step. A step ends with an answer, which ends the turn, or with calls of tools, whose results
 * the next step gets; how many steps there are, how many tokens, and how often the same calls, is bounded. */
#include "chat_room.h"
#include "chat_toolbox.h"
#include "chat_turn.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ request */

/* The assistant's words, and what "tomorrow at nine" is reckoned from: the time at which the turn began, so that its
 * steps begin alike. */
static json_t *make_prompt(const struct chat_turn *turn)
{
    static const char *const days[] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
    const char *zone = turn->about.time_zone;
    char at[25];
    int minutes = kit_zone_minutes(zone, turn->began_ms), offset = abs(minutes);
    int64_t local_ms = turn->began_ms + (int64_t)minutes * 60000;
    kit_time_text((uint64_t)local_ms, at);
    return json_sprintf("%s%sThe user's local time is %s %.16s (UTC%c%02d:%02d%s%s).", turn->assistant->prompt,
                        turn->assistant->prompt[0] ? "\n\n" : "", days[local_ms / 86400000 % 7], at,
                        minutes < 0 ? '-' : '+', offset / 60, offset % 60, zone[0] ? ", " : "", zone);
}

static json_t *make_messages(const struct chat_turn *turn)
{
    json_t *messages = json_array();
    json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "system", "content", make_prompt(turn)));
    json_array_extend(messages, turn->context);
    json_array_extend(messages, turn->messages);
    return messages;
}

/* One that this server does not have cannot be called. */
static const char *search_tool_of(const struct chat_turn *turn)
{
    const char *name = turn->assistant->search_tool;
    return name && chat_tool_find(turn->chat, name) ? name : NULL;
}

static bool is_last_step(const struct chat_turn *turn)
{
    const struct chat_config *config = turn->chat->config;
    return turn->step + 1 >= config->turn_steps_max || turn->equal_steps >= config->turn_equal_calls_max;
}

/* -------------------------------------------------------------------- events */

/* What came back is a step like those before: the model goes round in circles. */
static void compare_calls(struct chat_turn *turn)
{
    char digest[sizeof turn->last_calls] = "";
    unsigned char hash[16];
    const struct chat_tool_call *call;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    DL_FOREACH(turn->calls, call)
    {
        char *args = json_dumps(call->args, JSON_COMPACT | JSON_SORT_KEYS);
        crypto_generichash_update(&state, (const unsigned char *)call->name, strlen(call->name) + 1);
        if (args) crypto_generichash_update(&state, (const unsigned char *)args, strlen(args) + 1);
        free(args);
    }
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(digest, sizeof digest, hash, sizeof hash);
    turn->equal_steps = strcmp(digest, turn->last_calls) ? 1 : turn->equal_steps + 1;
    memcpy(turn->last_calls, digest, sizeof digest);
}

static void add_call(struct chat_turn *turn, const struct llm_event *event)
{
    struct chat_tool_call *call = chat_call_add(turn, event->call_id, event->name);
    if (!call) {
        chat_turn_fail(turn, 503, "out of memory");
        return;
    }
    if (event->args) json_object_update(call->args, (json_t *)(uintptr_t)event->args);
    if (!event->args) call->fault = strdup(event->fault ? event->fault : "The arguments are not a JSON object.");
}

static void end_step(struct chat_turn *turn, const struct llm_event *event)
{
    turn->answer = NULL;
    if (turn->calls && !turn->is_last) {
        turn->step_message = json_incref((json_t *)(uintptr_t)event->message);
        compare_calls(turn);
        chat_calls_begin(turn);
        return;
    }
    /* A last step whose calls are not allowed has its text alone. */
    chat_calls_cancel(turn);
    if (event->finish == LLM_LENGTH) chat_turn_debug(turn, "warning", "the answer was cut at the model's limit");
    chat_turn_finish(turn, !turn->keeps_open);
}

static void take_reasoning(struct chat_turn *turn, struct eio_str text)
{
    chat_send_aside(turn->chat, turn->about.chat_id, CHAT_WANT_REASONING,
                    json_pack("{s:s%, s:s, s:s, s:I}", "content", text.p, text.n, "ref_id", turn->row.ref_id, "chat_id",
                              turn->about.chat_id, "seq", (json_int_t)turn->about.seq));
}

/* Text behind what an earlier step said begins a paragraph. */
static void take_text(struct chat_turn *turn, const struct llm_event *event)
{
    bool is_first = turn->text.size == turn->text_whole;
    bool needs_break = is_first && turn->text_whole && turn->text.json[turn->text_whole - 1] != '\n';
    if (needs_break) chat_turn_say(turn, eio_str("\n\n"), event->is_gathered);
    chat_turn_say(turn, event->text, event->is_gathered);
}

static void take_usage(struct chat_turn *turn, const struct llm_event *event)
{
    turn->tokens_in += event->tokens_in;
    turn->tokens_out += event->tokens_out;
}

/* How long the model took to say anything. */
static void report_latency(struct chat_turn *turn)
{
    uint64_t ms = eio_loop_now_ms(turn->chat->kit->loop) - turn->asked_ms;
    chat_turn_debug(turn, "info", "LLM API latency: %llums", (unsigned long long)ms);
    turn->has_waited = true;
}

static void on_event(void *ctx, const struct llm_event *event)
{
    struct chat_turn *turn = ctx;
    if (!turn->has_waited && event->kind != LLM_WAIT && event->kind != LLM_FAILURE) report_latency(turn);
    switch (event->kind) {
    case LLM_WAIT:
        chat_turn_debug(turn, "info", "the model is busy; next try in %u ms", event->wait_ms);
        break;
    case LLM_TEXT:
        take_text(turn, event);
        break;
    case LLM_REASONING:
        take_reasoning(turn, event->text);
        break;
    case LLM_CALL_READY:
        add_call(turn, event);
        break;
    case LLM_CALL_OPEN:
    case LLM_CALL_ARGS:
        break;
    case LLM_USAGE:
        take_usage(turn, event);
        break;
    case LLM_END:
        end_step(turn, event);
        break;
    case LLM_FAILURE:
        turn->answer = NULL;
        chat_turn_fail(turn, event->code, event->reason);
        break;
    }
}

/* --------------------------------------------------------------------- steps */

static bool check_tokens(struct chat_turn *turn)
{
    int64_t most = turn->chat->config->turn_tokens_max;
    if (turn->tokens_in + turn->tokens_out <= most) return true;
    turn->chat->counters.turn_limits++;
    chat_turn_fail(turn, 502, "the turn needed too many tokens");
    return false;
}

static void ask_again(struct chat_turn *turn)
{
    struct chat_toolbox box;
    json_t *messages = make_messages(turn);
    bool is_known = !chat_toolbox_open(&box, turn->chat, turn->assistant);
    turn->is_last = is_last_step(turn);
    struct llm_request request = {.provider = turn->assistant->provider,
                                  .zone = turn->about.time_zone,
                                  .messages = messages,
                                  .tools = box.list,
                                  .tool_count = box.count,
                                  .no_calls = turn->is_last,
                                  .gather_ms = turn->chat->config->token_interval_ms,
                                  .search_tool = search_tool_of(turn)};
    if (turn->is_last && turn->step) turn->chat->counters.turn_limits++;
    turn->step++;
    turn->asked_ms = eio_loop_now_ms(turn->chat->kit->loop);
    turn->has_waited = false;
    turn->answer = is_known && messages ? llm_start(turn->chat->llm, &request, on_event, turn) : NULL;
    chat_toolbox_close(&box);
    json_decref(messages);
    if (!turn->answer) chat_turn_fail(turn, 503, "the model cannot be asked");
}

void chat_model_ask(struct chat_turn *turn)
{
    if (turn->ends || !check_tokens(turn)) return;
    if (!turn->has_thought) chat_turn_think(turn, "Analyzing your request...");
    if (turn->has_thought) chat_turn_think(turn, "Generating final response...");
    turn->has_thought = true;
    turn->text_whole = turn->text.size;
    ask_again(turn);
}

void chat_model_cancel(struct chat_turn *turn)
{
    if (turn->answer) llm_cancel(turn->answer);
    turn->answer = NULL;
}
