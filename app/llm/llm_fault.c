/* Failures of providers, read and named. */
#include "llm_fault.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPORT_BYTES_MAX 65536

/* One line of printable text, whatever came. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = ' ';
}

int llm_fault_set(struct llm_fault *fault, enum llm_fault_kind kind, const char *format, ...)
{
    va_list args;
    fault->kind = kind;
    va_start(args, format);
    vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    clean(fault->detail);
    return -1;
}

static const struct {
    const char *name, *reason;
    int code;
} kinds[LLM_FAULT_COUNT] = {
    [LLM_FAULT_NONE] = {"none", "", 0},
    [LLM_FAULT_UNREACHABLE] = {"unreachable", "the model cannot be reached", 503},
    [LLM_FAULT_TIMEOUT] = {"timeout", "the model did not answer in time", 504},
    [LLM_FAULT_KEY] = {"key", "the model is not available", 502},
    [LLM_FAULT_QUOTA] = {"quota", "the model is not available", 502},
    [LLM_FAULT_BUSY] = {"busy", "the model is overloaded; try again later", 503},
    [LLM_FAULT_TOO_LONG] = {"too_long", "the conversation is too long for the model", 502},
    [LLM_FAULT_REJECTED] = {"rejected", "the model is not available", 502},
    [LLM_FAULT_UPSTREAM] = {"upstream", "the model failed", 502},
    [LLM_FAULT_BROKEN] = {"broken", "the model's answer broke off", 502},
    [LLM_FAULT_TOO_LARGE] = {"too_large", "the model's answer is too large", 502},
    [LLM_FAULT_MEMORY] = {"memory", "out of memory", 503},
};

const char *llm_fault_name(enum llm_fault_kind kind)
{
    return kinds[kind].name;
}

int llm_fault_code(enum llm_fault_kind kind)
{
    return kinds[kind].code;
}

const char *llm_fault_reason(enum llm_fault_kind kind)
{
    return kinds[kind].reason;
}

/* ----------------------------------------------------------------- reading */

/* What a failure says of itself. */
struct report {
    char message[160], words[200]; /* words: its type and code */
    int status;                    /* that it names; 0: none */
};

static void add_words(struct report *report, const json_t *value)
{
    size_t n = strlen(report->words);
    if (json_is_string(value))
        snprintf(report->words + n, sizeof report->words - n, "%s%s", n ? " " : "", json_string_value(value));
}

static void set_message(struct report *report, const json_t *value)
{
    if (json_is_string(value) && !report->message[0])
        snprintf(report->message, sizeof report->message, "%s", json_string_value(value));
}

static void read_status(struct report *report, const json_t *value)
{
    long long status = json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : json_integer_value(value);
    if (status >= 300 && status <= 599 && !report->status) report->status = (int)status;
}

/* {message, type, code, …}, wherever it stands. */
static void read_fields(struct report *report, const json_t *object)
{
    static const char *const words[] = {"code", "type", "error_type", "status"};
    static const char *const messages[] = {"message", "error_message", "detail"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) add_words(report, json_object_get(object, words[i]));
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        set_message(report, json_object_get(object, messages[i]));
    read_status(report, json_object_get(object, "code"));
    read_status(report, json_object_get(object, "status"));
}

static void read_report(struct report *report, struct eio_str body)
{
    /* What is longer is no report, and its tree would take long. */
    json_t *root =
        body.n && body.n <= REPORT_BYTES_MAX ? json_loadb(body.p, body.n, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    const json_t *first = json_is_array(root) ? json_array_get(root, 0) : root;
    const json_t *error = json_object_get(first, "error");
    *report = (struct report){"", "", 0};
    set_message(report, error);
    if (json_is_object(error)) read_fields(report, error);
    read_fields(report, first);
    if (!root) snprintf(report->message, sizeof report->message, "%.*s", (int)(body.n < 150 ? body.n : 150), body.p);
    json_decref(root);
}

static bool has_any(const struct report *report, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(report->words, *words) || strcasestr(report->message, *words)) return true;
    return false;
}

static enum llm_fault_kind kind_of(const struct report *report, int status)
{
    static const char *const quota[] = {"insufficient_quota", "billing", "credit balance", "insufficient credits",
                                        NULL};
    static const char *const key[] = {"invalid_api_key", "authentication", "api key", "unauthorized", NULL};
    static const char *const length[] = {"context_length", "context length",  "exceed_context",     "context size",
                                         "context window", "too many tokens", "prompt is too long", NULL};
    static const char *const busy[] = {"rate_limit", "rate limit", "overloaded", "unavailable",
                                       "loading",    "slow_down",  NULL};
    static const char *const rejected[] = {"invalid_request", "not_found", "not found", NULL};
    if (status == 402 || has_any(report, quota)) return LLM_FAULT_QUOTA;
    if (status == 401 || status == 403) return LLM_FAULT_KEY;
    if (status == 413 || has_any(report, length)) return LLM_FAULT_TOO_LONG;
    if (status == 408 || status == 409 || status == 429 || status == 503 || status == 529) return LLM_FAULT_BUSY;
    if (status >= 500) return LLM_FAULT_UPSTREAM;
    if (status >= 300) return LLM_FAULT_REJECTED;
    if (has_any(report, key)) return LLM_FAULT_KEY;
    if (has_any(report, busy)) return LLM_FAULT_BUSY;
    return has_any(report, rejected) ? LLM_FAULT_REJECTED : LLM_FAULT_UPSTREAM;
}

void llm_fault_read(struct llm_fault *fault, int status, struct eio_str body)
{
    struct report report;
    read_report(&report, body);
    if (status / 100 == 2) status = report.status ? report.status : status;
    llm_fault_set(fault, kind_of(&report, status), "status %d%s%s%s: %s", status, report.words[0] ? " (" : "",
                  report.words, report.words[0] ? ")" : "", report.message);
    if (status / 100 == 3)
        llm_fault_set(fault, LLM_FAULT_REJECTED, "status %d: the server redirects, which is not followed", status);
}

/* ------------------------------------------------------------------- again */

bool llm_retry_is_useful(enum llm_fault_kind kind, const struct llm_retry_hints *hints)
{
    if (kind == LLM_FAULT_QUOTA || kind == LLM_FAULT_TOO_LONG || kind == LLM_FAULT_TOO_LARGE) return false;
    if (hints->should_retry && !strcasecmp(hints->should_retry, "true")) return true;
    if (hints->should_retry && !strcasecmp(hints->should_retry, "false")) return false;
    return kind == LLM_FAULT_UNREACHABLE || kind == LLM_FAULT_BUSY || kind == LLM_FAULT_UPSTREAM ||
           kind == LLM_FAULT_BROKEN;
}

/* A number of seconds or milliseconds, not negative; else -1. */
static double read_number(const char *text)
{
    char *end;
    if (!text || text[strspn(text, "0123456789.")]) return -1;
    double value = strtod(text, &end);
    return end == text || *end ? -1 : value;
}

/* -1: the response asks for nothing that can be understood. A date in the past means now. */
static double hinted_ms(const struct llm_retry_hints *hints, int64_t now_ms)
{
    double ms = read_number(hints->retry_after_ms), s = read_number(hints->retry_after);
    if (ms >= 0) return ms;
    if (s >= 0) return s * 1000;
    time_t date = hints->retry_after ? curl_getdate(hints->retry_after, NULL) : -1;
    if (date == -1) return -1;
    double wait_ms = (double)date * 1000 - (double)now_ms;
    return wait_ms > 0 ? wait_ms : 0;
}

uint64_t llm_retry_delay_ms(unsigned attempt, const struct llm_retry_hints *hints, int64_t now_ms, double chance)
{
    double hint = hinted_ms(hints, now_ms), wait = 500.0 * (double)(1u << (attempt < 6 ? attempt - 1 : 5));
    if (hint >= 0) return hint < 1e15 ? (uint64_t)hint + (hint > (double)(uint64_t)hint) : (uint64_t)1e15;
    if (wait > 8000) wait = 8000;
    return (uint64_t)(wait * (1 - chance / 4));
}
