/* The module of models, and its answers: which provider is asked, who comes next when it fails, and what the user gets
 * of it. */
#include "llm_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

/* ----------------------------------------------------------------- numbers */

static void count_first(struct llm_answer *answer)
{
    uint64_t ms = eio_loop_now_ms(answer->llm->kit->loop) - answer->started_ms;
    kit_delays_count(&answer->llm->numbers.first, ms * 1000);
}

static void count_event(struct llm_answer *answer, const struct llm_event *event)
{
    struct llm_numbers *numbers = &answer->llm->numbers;
    if (event->kind == LLM_CALL_READY) numbers->calls++;
    if (event->kind != LLM_USAGE) return;
    numbers->tokens_in += event->tokens_in > 0 ? (uint64_t)event->tokens_in : 0;
    numbers->tokens_out += event->tokens_out > 0 ? (uint64_t)event->tokens_out : 0;
}

static void count_fault(struct llm_answer *answer, const struct llm_fault *fault)
{
    struct llm_numbers *numbers = &answer->llm->numbers;
    numbers->faults[fault->kind - 1]++;
    if (fault->kind == LLM_FAULT_TOO_LARGE) numbers->hits[LLM_LIMIT_SIZE]++;
}

/* ------------------------------------------------------------------ answer */

static void free_answer(struct llm_answer *answer)
{
    eio_timer_stop(&answer->timer);
    if (answer->driver) answer->driver->ops->cancel(answer->driver);
    DL_DELETE(answer->llm->answers, answer);
    answer->llm->numbers.running--;
    json_decref(answer->messages);
    llm_tools_clear(&answer->tools);
    llm__providers_unref(answer->providers);
    free(answer->search_tool);
    free(answer);
}

/* Returns 0, or -1: the answer was cancelled and is gone. */
static int hand_on(struct llm_answer *answer, const struct llm_event *event)
{
    answer->in_event = true;
    answer->on_event(answer->ctx, event);
    answer->in_event = false;
    if (!answer->cancelled) return 0;
    free_answer(answer);
    return -1;
}

static const char *provider_id(const struct llm_answer *answer)
{
    return answer->providers->list[answer->at].id;
}

int llm__emit(struct llm_answer *answer, const struct llm_event *event)
{
    struct llm_event own = *event;
    own.provider = provider_id(answer);
    count_event(answer, event);
    if (event->kind != LLM_WAIT && event->kind != LLM_USAGE && !answer->has_output) {
        answer->has_output = true;
        count_first(answer);
    }
    if (event->name) {
        const struct llm_tools_entry *tool = llm_tools_find_wire(&answer->tools, event->name);
        if (tool) own.name = tool->name;
        if (event->kind == LLM_CALL_READY) own.fault = event->args ? NULL : "the arguments are not a JSON object";
        if (event->kind == LLM_CALL_READY && !tool) {
            own.args = NULL;
            own.fault = "there is no tool of that name";
        }
    }
    return hand_on(answer, &own);
}

/* The tools' own names, in a message as a model wrote it. */
static void map_names_back(const struct llm_answer *answer, json_t *message)
{
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(message, "tool_calls"), i, call)
    {
        json_t *function = json_object_get(call, "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        const struct llm_tools_entry *tool = name ? llm_tools_find_wire(&answer->tools, name) : NULL;
        if (tool) json_object_set_new(function, "name", json_string(tool->name));
    }
}

void llm__end(struct llm_answer *answer, enum llm_finish finish, json_t *take_message)
{
    struct llm_provider *provider = &answer->providers->list[answer->at];
    const struct llm_event event = {
        .kind = LLM_END, .provider = provider->id, .finish = finish, .message = take_message};
    answer->driver = NULL;
    if (provider->rest_ms) kit_log(EIO_LOG_INFO, "models: the provider answers again", "provider", provider->id, NULL);
    provider->rest_ms = provider->rests_until_ms = 0;
    map_names_back(answer, take_message);
    json_object_set_new(take_message, "provider", json_string(provider->id));
    if (!hand_on(answer, &event)) free_answer(answer);
    json_decref(take_message);
}

/* --------------------------------------------------------------- providers */

static bool is_resting(const struct llm_answer *answer, const struct llm_provider *provider)
{
    return eio_loop_now_ms(answer->llm->kit->loop) < provider->rests_until_ms;
}

/* The next one that was not asked: first of those that do not rest. false: all were. */
static bool choose_next(struct llm_answer *answer)
{
    const struct llm_providers *providers = answer->providers;
    for (int resting = 0; resting < 2; resting++)
        for (size_t i = 0; i < providers->count; i++) {
            if (answer->tried >> i & 1 || is_resting(answer, &providers->list[i]) != (resting == 1)) continue;
            if (answer->no_local && providers->list[i].ops == &llm__local_ops) continue;
            answer->at = i;
            return true;
        }
    return false;
}

static bool choose_named(struct llm_answer *answer, const char *id)
{
    answer->is_bound = true;
    for (answer->at = 0; answer->at < answer->providers->count; answer->at++)
        if (!strcmp(provider_id(answer), id)) return true;
    answer->at = 0;
    return false;
}

/* True if the next answer would fail as well, whatever it is about. */
static bool lasts(const struct llm_answer *answer, enum llm_fault_kind kind)
{
    return kind == LLM_FAULT_UNREACHABLE || kind == LLM_FAULT_KEY || kind == LLM_FAULT_QUOTA ||
           kind == LLM_FAULT_BUSY || (kind == LLM_FAULT_TIMEOUT && !answer->has_output);
}

/* It is passed over for a while. Answers that fail together are one reason to. */
static void rest(struct llm_answer *answer, struct llm_provider *provider, enum llm_fault_kind kind)
{
    const struct llm_config *config = answer->llm->config;
    if (!lasts(answer, kind) || is_resting(answer, provider)) return;
    provider->rest_ms = provider->rest_ms ? provider->rest_ms * 2 : config->rest_ms;
    if (provider->rest_ms > config->rest_max_ms) provider->rest_ms = config->rest_max_ms;
    provider->rests_until_ms = eio_loop_now_ms(answer->llm->kit->loop) + provider->rest_ms;
}

static void give_up(struct llm_answer *answer)
{
    const struct llm_event event = {.kind = LLM_FAILURE,
                                    .provider = provider_id(answer),
                                    .code = llm_fault_code(answer->fault.kind),
                                    .reason = llm_fault_reason(answer->fault.kind)};
    if (!hand_on(answer, &event)) free_answer(answer);
}

void llm__fail(struct llm_answer *answer, const struct llm_fault *fault)
{
    struct llm_provider *provider = &answer->providers->list[answer->at];
    answer->driver = NULL;
    answer->fault = *fault;
    count_fault(answer, fault);
    rest(answer, provider, fault->kind);
    bool goes_on = !answer->has_output && !answer->is_bound && choose_next(answer);
    kit_log(EIO_LOG_WARN, "models: the provider failed", "provider", provider->id, "kind", llm_fault_name(fault->kind),
            "why", fault->detail, "next", goes_on ? provider_id(answer) : "", NULL);
    if (!goes_on || eio_timer_start(&answer->timer, 0)) {
        give_up(answer);
        return;
    }
    answer->llm->numbers.fallbacks++;
}

/* Asks the provider that was chosen. */
static void on_timer(void *ctx)
{
    struct llm_answer *answer = ctx;
    const struct llm_provider *provider = &answer->providers->list[answer->at];
    if (answer->fault.kind && !answer->tried) { /* it may not begin at all */
        give_up(answer);
        return;
    }
    answer->tried |= 1u << answer->at;
    answer->driver = provider->ops->start(answer, provider);
    if (answer->driver) return;
    llm_fault_set(&answer->fault, LLM_FAULT_MEMORY, "out of memory");
    count_fault(answer, &answer->fault);
    give_up(answer);
}

/* ------------------------------------------------------------------- start */

static void make_id_prefix(struct llm_answer *answer)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = (size_t)snprintf(answer->id_prefix, sizeof answer->id_prefix, "call_");
    while (n < sizeof answer->id_prefix - 2) answer->id_prefix[n++] = letters[randombytes_uniform(sizeof letters - 1)];
    answer->id_prefix[n++] = '_';
}

static bool fill_in(struct llm_answer *answer, const struct llm_request *request)
{
    struct llm *llm = answer->llm;
    answer->no_local = request->no_local;
    answer->no_calls = request->no_calls;
    answer->max_tokens = request->max_tokens;
    answer->gather_ms = request->gather_ms;
    answer->now_ms = request->now_ms ? request->now_ms : (int64_t)eio_loop_unix_ms(llm->kit->loop);
    snprintf(answer->zone, sizeof answer->zone, "%s", request->zone ? request->zone : "");
    answer->started_ms = eio_loop_now_ms(llm->kit->loop);
    answer->deadline_ms = answer->started_ms + llm->config->timeout_ms;
    answer->messages = json_copy(request->messages);
    if (request->search_tool && !(answer->search_tool = strdup(request->search_tool))) return false;
    if (llm_tools_init(&answer->tools, request->tools, request->tool_count) || !answer->messages) return false;
    make_id_prefix(answer);
    return request->provider ? choose_named(answer, request->provider) : choose_next(answer);
}

struct llm_answer *llm_start(struct llm *llm, const struct llm_request *request, llm_event_fn on_event, void *ctx)
{
    struct llm_answer *answer = calloc(1, sizeof *answer);
    if (!answer) return NULL;
    *answer = (struct llm_answer){.llm = llm, .on_event = on_event, .ctx = ctx, .providers = llm->providers};
    answer->providers->refs++;
    DL_APPEND(llm->answers, answer);
    llm->numbers.running++;
    llm->numbers.answers++;
    eio_timer_init(&answer->timer, llm->kit->loop, on_timer, answer);
    if (!fill_in(answer, request) || eio_timer_start(&answer->timer, 0)) {
        free_answer(answer);
        return NULL;
    }
    if (llm->numbers.running > llm->config->answers_max) {
        llm->numbers.hits[LLM_LIMIT_ANSWERS]++;
        llm_fault_set(&answer->fault, LLM_FAULT_BUSY, "models_answers_max was reached");
        count_fault(answer, &answer->fault);
    }
    return answer;
}

bool llm_has_model(const struct llm *llm, const char *id)
{
    for (size_t i = 0; i < llm->providers->count; i++) {
        const struct llm_provider *provider = &llm->providers->list[i];
        if (provider->ops != &llm__local_ops && (!id || !strcmp(provider->id, id))) return true;
    }
    return false;
}

void llm_cancel(struct llm_answer *answer)
{
    if (answer->driver) answer->driver->ops->cancel(answer->driver);
    answer->driver = NULL;
    answer->cancelled = true;
    if (!answer->in_event) free_answer(answer);
}

json_t *llm_tool_message(const char *call_id, const char *content)
{
    return json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id", call_id, "content", content);
}

/* ------------------------------------------------------------------ module */

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct llm *llm = calloc(1, sizeof *llm);
    *state = llm;
    if (!llm) return EIO_ENOMEM;
    llm->kit = kit;
    llm->config = kit_config_values(kit->config, &llm_options);
    llm->words = kit_words_new();
    if (!llm->words) return EIO_ENOMEM;
    char why[400];
    llm->providers = llm__providers_read(llm, why, sizeof why);
    if (llm->providers) return 0;
    char allowed[sizeof why + 32];
    snprintf(allowed, sizeof allowed, "a JSON file of models; %s", why);
    return kit_config_refuse(kit->config, "models_file", allowed, error, error_size);
}

/* Keys may have changed. Answers under way keep what they began with. */
static void reload(void *state)
{
    struct llm *llm = state;
    char error[512];
    struct llm_providers *providers = llm__providers_read(llm, error, sizeof error);
    if (!providers) {
        kit_log(EIO_LOG_ERROR, "models: keeping the providers as they were", "why", error, NULL);
        return;
    }
    llm__providers_unref(llm->providers);
    llm->providers = providers;
}

static void stop(void *state)
{
    struct llm *llm = state;
    if (!llm) return;
    while (llm->answers) free_answer(llm->answers);
    llm__openai_free_drains(llm);
    llm__providers_unref(llm->providers);
    kit_words_free(llm->words);
    free(llm);
}

const struct kit_module llm_module = {
    .name = "llm",
    .options = &llm_options,
    .metrics = &llm_metrics,
    .start = start,
    .reload = reload,
    .stop = stop,
};
