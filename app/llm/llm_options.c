/* Options and metrics of the models. */
#include "llm_int.h"

#include "kit_options.h"

#include <stdio.h>

#define KIT_VALUES struct llm_config
static const struct kit_option option_rows[] = {
    KIT_TEXT_ROW("models_file", models_file, "", "Models",
                 "a JSON file that lists the models in the order in which they are asked (docs/models.md); empty: the "
                 "embedded one, which needs no network"),
    KIT_U32_ROW("models_timeout_ms", timeout_ms, "600000", 1000, KIT_DAY_MS, "Models",
                "for a whole answer of a model, with all tries; above: error 504"),
    KIT_U32_ROW("models_start_timeout_ms", start_timeout_ms, "120000", 100, KIT_DAY_MS, "Models",
                "until the first byte of a model's answer; above: the next model, or error 504"),
    KIT_U32_ROW("models_idle_timeout_ms", idle_timeout_ms, "60000", 100, KIT_DAY_MS, "Models",
                "without a byte in the middle of a model's answer; above: error 504"),
    KIT_U32_ROW("models_retries", retries, "2", 0, 10, "Models",
                "how often a model is asked again after a failure that may pass, before it said anything"),
    KIT_U32_ROW("models_retry_wait_max_ms", retry_wait_max_ms, "20000", 0, KIT_DAY_MS, "Models",
                "the longest wait that a model may ask for; above: the next model, or error 503 at once"),
    KIT_U32_ROW("models_rest_ms", rest_ms, "10000", 0, KIT_DAY_MS, "Models",
                "how long a model that failed is passed over if there is another one; doubled each time"),
    KIT_U32_ROW("models_rest_max_ms", rest_max_ms, "300000", 0, KIT_DAY_MS, "Models", "the longest of these rests"),
    KIT_U32_ROW("models_answers_max", answers_max, "1000", 1, 1000000, "Models",
                "answers that are under way at a time; above: error 503"),
    KIT_U32_ROW("models_calls_max", calls_max, "32", 1, 1000, "Models",
                "tools that one answer of a model may call; above: error 502"),
    KIT_SIZE_ROW("models_answer_max_bytes", answer_max_bytes, "1048576", 1024, "Models",
                 "text and reasoning of one answer; above: error 502"),
    KIT_SIZE_ROW("models_args_max_bytes", args_max_bytes, "262144", 256, "Models",
                 "arguments of one call of a tool; above: error 502"),
    KIT_SIZE_ROW("models_event_max_bytes", event_max_bytes, "1048576", 1024, "Models",
                 "one event of a model's stream; above: error 502"),
    KIT_COUNT_ROW("models_values_max", values_max, "50000", 100, 10000000, "Models",
                  "JSON values in one event of a model's stream, and in the arguments of one call; above: error 502"),
    KIT_SIZE_ROW("models_stream_max_bytes", stream_max_bytes, "134217728", 1024, "Models",
                 "all of a model's stream, comments and repeated fields included; above: error 502"),
    KIT_U32_ROW("models_local_pace_ms", local_pace_ms, "15", 0, 10000, "Models",
                "between two words of the embedded model's answer"),
};
const struct kit_option_set llm_options = KIT_OPTION_SET(option_rows);
#undef KIT_VALUES

#define KIT_NUMBERS struct llm_numbers

static void put_fault(unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s", llm_fault_name((enum llm_fault_kind)(i + 1)));
}

static void put_limit(unsigned i, char *out, size_t size)
{
    static const char *const names[LLM_LIMIT_COUNT] = {"models_answers_max", "models_answer_max_bytes",
                                                       "models_retry_wait_max_ms"};
    snprintf(out, size, "%s", names[i]);
}

static void read_numbers(void *ctx, void *numbers)
{
    *(struct llm_numbers *)numbers = ((const struct llm *)ctx)->numbers;
}

static const struct kit_metric rows[] = {
    KIT_COUNTER_ROW("model_answers_total", answers, "Answers that models were asked for."),
    KIT_COUNTER_ROW("model_retries_total", retries, "Requests to models that were sent again."),
    KIT_COUNTER_ROW("model_fallbacks_total", fallbacks, "Answers that went on to another model."),
    KIT_COUNTER_ROW("model_calls_total", calls, "Calls of tools that models asked for."),
    KIT_COUNTER_ROW("model_tokens_in_total", tokens_in, "Tokens that models read, as they report them."),
    KIT_COUNTER_ROW("model_tokens_out_total", tokens_out, "Tokens that models wrote, as they report them."),
    KIT_LABELLED_ROW("model_failures_total", KIT_COUNTER, faults, "Failures of models, by kind.", LLM_FAULT_COUNT - 1,
                     "kind", put_fault),
    KIT_LABELLED_ROW("limit_hits_total", KIT_COUNTER, hits, "Times a limit was hit, by option.", LLM_LIMIT_COUNT,
                     "limit", put_limit),
    KIT_GAUGE_ROW("model_answers_running", running, "Answers of models under way."),
    KIT_DELAYS_ROW("model_first_piece_seconds", first, "From the request to a model to its first piece."),
};
const struct kit_metric_set llm_metrics = KIT_METRIC_SET(rows, read_numbers);
