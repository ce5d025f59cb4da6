/* The module of models: what its files share. An answer belongs to llm.c, which tries one provider after another; a
 * driver (llm_openai.c, llm_local.c) brings the events of one provider. */
#ifndef LLM_INT_H
#define LLM_INT_H

#include "kit_metrics.h"
#include "kit_words.h"
#include "kit_zone.h"
#include "llm.h"
#include "llm_fault.h"
#include "llm_reader.h"
#include "llm_tools.h"

struct llm_provider;

/* What answers now; a driver's own struct begins with it. */
struct llm_driver {
    const struct llm_driver_ops *ops;
};

struct llm_config {
    const char *models_file;
    uint32_t timeout_ms, start_timeout_ms, idle_timeout_ms;
    uint32_t retries, retry_wait_max_ms, rest_ms, rest_max_ms;
    uint32_t answers_max, calls_max;
    size_t answer_max_bytes, args_max_bytes, event_max_bytes, stream_max_bytes, values_max;
    uint32_t local_pace_ms;
};

struct llm_numbers {
    uint64_t answers, retries, fallbacks, calls, tokens_in, tokens_out;
    uint64_t faults[LLM_FAULT_COUNT];
    uint64_t hits[4]; /* enum llm_limit */
    uint64_t running;
    struct kit_delays first; /* from the request to the first piece */
};

enum llm_limit { LLM_LIMIT_ANSWERS, LLM_LIMIT_SIZE, LLM_LIMIT_WAIT, LLM_LIMIT_COUNT };

/* How a kind of provider answers. */
struct llm_driver_ops {
    const char *kind;
    /* NULL: out of memory. Events come later. */
    struct llm_driver *(*start)(struct llm_answer *answer, const struct llm_provider *provider);
    /* Nothing is called afterwards. Also from within an event. */
    void (*cancel)(struct llm_driver *driver);
};
extern const struct llm_driver_ops llm__openai_ops, llm__local_ops;

struct llm_provider {
    char *id;
    const struct llm_driver_ops *ops;
    char *url, *model, *max_tokens_name;
    char *key;      /* secret; NULL: none */
    char **headers; /* ended by NULL, with the key's; secret */
    uint32_t max_tokens, timeout_ms, start_timeout_ms, idle_timeout_ms;
    bool sends_reasoning, splits_thoughts, wants_usage;
    json_t *extra; /* fields of the request's body; NULL: none */
    uint64_t rests_until_ms, rest_ms;
};

#define LLM_PROVIDERS_MAX 32

/* What the file says; replaced as a whole when it is read again, freed with the last answer that uses it. */
struct llm_providers {
    unsigned refs;
    struct llm_provider list[LLM_PROVIDERS_MAX];
    size_t count;
};

struct llm {
    struct kit *kit;
    const struct llm_config *config;
    struct llm_providers *providers;
    struct llm_answer *answers; /* all that live */
    struct llm_openai *drains;  /* whose answers have ended; their connections are about to become free */
    struct kit_words *words;    /* of `local` */
    struct llm_numbers numbers;
};

struct llm_answer {
    struct llm *llm;
    struct llm_answer *prev, *next;
    llm_event_fn on_event;
    void *ctx;
    json_t *messages;
    struct llm_tools tools;
    char *search_tool;                 /* NULL: none */
    bool no_local, no_calls, is_bound; /* is_bound: the request names its provider */
    struct llm_providers *providers;   /* a reference */
    uint32_t max_tokens, gather_ms;
    int64_t now_ms;
    char zone[KIT_ZONE_SIZE];
    char id_prefix[24]; /* of calls that come without an id */
    size_t at;          /* the provider that is asked */
    uint32_t tried;     /* bits: which were */
    struct llm_driver *driver;
    struct eio_timer timer;           /* to the next provider */
    uint64_t started_ms, deadline_ms; /* of the loop */
    struct llm_fault fault;           /* the last one */
    bool has_output;                  /* an event has reached the user: no other provider may begin anew */
    bool in_event, cancelled;
};

/* ------------------------------------------------------------- for drivers */

/* Hands an event on, with names of tools mapped back. Returns 0, or -1 if the answer is gone: return at once. */
int llm__emit(struct llm_answer *answer, const struct llm_event *event);
/* The driver's last words; it is not called again, and frees itself afterwards. The answer is gone, or asks another
 * provider. */
void llm__end(struct llm_answer *answer, enum llm_finish finish, json_t *take_message);
void llm__fail(struct llm_answer *answer, const struct llm_fault *fault);

/* ----------------------------------------------------------------- config */

extern const struct kit_option_set llm_options;
extern const struct kit_metric_set llm_metrics;
/* Reads the providers of the configuration. NULL with a line in error. */
struct llm_providers *llm__providers_read(const struct llm *llm, char *error, size_t error_size);
/* Accepts NULL. */
void llm__providers_unref(struct llm_providers *providers);
/* Frees what the driver keeps beyond its answers. */
void llm__openai_free_drains(struct llm *llm);

#endif
