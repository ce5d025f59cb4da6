/* What went wrong at a provider: from its status and its words to a kind, and whether to try again. Pure. */
#ifndef LLM_FAULT_H
#define LLM_FAULT_H

#include "kit.h"

enum llm_fault_kind {
    LLM_FAULT_NONE,
    LLM_FAULT_UNREACHABLE, /* no connection */
    LLM_FAULT_TIMEOUT,
    LLM_FAULT_KEY,       /* the key is refused */
    LLM_FAULT_QUOTA,     /* nothing is left of what was paid for */
    LLM_FAULT_BUSY,      /* too many requests, overloaded, loading: later it may go */
    LLM_FAULT_TOO_LONG,  /* the conversation does not fit into the model */
    LLM_FAULT_REJECTED,  /* the request is refused for another reason */
    LLM_FAULT_UPSTREAM,  /* the server reports a failure of its own */
    LLM_FAULT_BROKEN,    /* the stream ends too early, or is malformed */
    LLM_FAULT_TOO_LARGE, /* the answer passes a limit */
    LLM_FAULT_MEMORY,    /* ours */
    LLM_FAULT_COUNT
};

struct llm_fault {
    enum llm_fault_kind kind;
    char detail[240]; /* for the log; what the server says of it is in here */
};

/* Sets it and returns -1. */
int llm_fault_set(struct llm_fault *fault, enum llm_fault_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* By the body of a response that is not 2xx, or what a stream (status 200) has in place of a chunk. */
void llm_fault_read(struct llm_fault *fault, int status, struct eio_str body);
/* "unreachable", "timeout", …: as metrics and the log have it. */
const char *llm_fault_name(enum llm_fault_kind kind);
/* What the user gets: a code and a sentence that tells nothing of keys and accounts. */
int llm_fault_code(enum llm_fault_kind kind);
const char *llm_fault_reason(enum llm_fault_kind kind);

/* What a response says about trying again; NULL where it has no such header. */
struct llm_retry_hints {
    const char *should_retry, *retry_after_ms, *retry_after;
};
/* True if the same request may succeed later. */
bool llm_retry_is_useful(enum llm_fault_kind kind, const struct llm_retry_hints *hints);
/* How long to wait before try number `attempt` (from 1): what the response asks for, else 0.5 s doubled each time up to
 * 8 s, less up to a quarter by chance (0 to 1). now_ms: Unix time. */
uint64_t llm_retry_delay_ms(unsigned attempt, const struct llm_retry_hints *hints, int64_t now_ms, double chance);

#endif
