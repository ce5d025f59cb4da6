/* What the parts of the module share. Reading order: hooks.h, hooks.c, hooks_sign.c, hooks_emit.c, hooks_breaker.c,
 * hooks_outbox.h, hooks_outbox.c, hooks_send.c, hooks_ask.c. */
#ifndef HOOKS_INT_H
#define HOOKS_INT_H

#include "hooks.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_json.h"
#include "kit_namespace.h"

struct hooks_config {
    const char *emit_secret;
    const char *url, *secret, *events, *asks;
    uint32_t batch_ms, batch_max;
    size_t batch_bytes;
    uint32_t timeout_ms, ask_timeout_ms;
    uint32_t retry_min_ms, retry_max_ms, retry_total_s, refusals_max;
    uint32_t queue_max, source_queue_max;
    uint32_t breaker_failures, breaker_ms;
    uint32_t asks_max, user_asks_max;
    size_t answer_bytes;
    uint32_t emits_max;
};
const struct hooks_config *hooks_config(const struct kit_config *config);

/* Counters for /metrics; the loop's thread only, unless it says otherwise. */
struct hooks_counters {
    uint64_t sent, gave_up, refused; /* events */
    uint64_t requests, failures;
    uint64_t asks, asks_failed, asks_refused;
    uint64_t emits, emits_refused;
    uint64_t breaker_opened;
};

/* --------------------------------------------------------------- signatures */

#define HOOKS_ID_SIZE 257
#define HOOKS_WINDOW_S 300

/* NULL if each of the secrets, separated by commas, is `whsec_` and base64; else what is allowed. */
const char *hooks_check_secrets(const char *secrets);
/* The signatures by all of the secrets, separated by blanks, of what Standard Webhooks sign. malloc; NULL: out of
 * memory. */
char *hooks_sign(const char *secrets, const char *id, int64_t at_s, struct eio_str body);
/* Whether a request is signed by one of the secrets and of our time. Returns 0 or 401. */
int hooks_check_signature(const char *secrets, const struct eio_http_head *head, struct eio_str body, int64_t now_ms,
                          char id[HOOKS_ID_SIZE], struct kit_failure *failure);

/* --------------------------------------------------------------------- emit */

int hooks_emit_start(struct kit *kit);
/* Emits what a service wishes: the payload of POST /api/v1/emit. Returns 0 or the code of failure. */
int hooks_emit(struct kit *kit, const json_t *payload, struct kit_failure *failure);
struct sio_namespace *hooks_find_namespace(const struct kit *kit, const char *name);

/* ------------------------------------------------------------------ breaker */

/* Keeps requests from a service that fails: after so many failures in a row none is made for a while, then one. */
struct hooks_breaker {
    unsigned failures_max, failures;
    uint32_t open_ms;
    bool is_open, is_probing;
    uint64_t until_ms; /* of the loop's time */
};
/* False: not now; *wait_ms says for how long. True: hooks_breaker_end() follows. */
bool hooks_breaker_begin(struct hooks_breaker *breaker, uint64_t now_ms, uint64_t *wait_ms);
/* retry_after_ms: for how long the service wants to be left alone; 0: it has not said. True: it has opened. */
bool hooks_breaker_end(struct hooks_breaker *breaker, bool success, uint64_t retry_after_ms, uint64_t now_ms);
/* A request was given up without a result. */
void hooks_breaker_cancel(struct hooks_breaker *breaker);

/* A random time from half of it to all of it. */
uint64_t hooks_jitter(uint64_t ms);

/* ------------------------------------------------------------------ requests */

/* What a request to the service came to. */
enum hooks_outcome {
    HOOKS_TAKEN,
    HOOKS_AWAY,    /* no answer, or one that says later: tried again until its time is up */
    HOOKS_FAILED,  /* the service fails at what it was sent */
    HOOKS_REFUSED, /* what it was sent is wrong to the service */
};
enum hooks_outcome hooks_outcome(const struct kit_fetch_result *result);
/* What a request's end means to the breaker and the counters. */
void hooks_settle(struct hooks *hooks, const struct kit_fetch_result *result, enum hooks_outcome outcome);
/* For how long the service wants to be left alone; 0: it does not say. */
uint64_t hooks_retry_after_ms(const struct kit_fetch_result *result);
/* Posts a signed body. NULL: out of memory. */
struct kit_fetch *hooks_post(struct hooks *hooks, const char *id, struct eio_str body, struct kit_fetch_options *with);
/* Emits what the answer asks for; its field `ack` as JSON to be freed, or NULL. */
json_t *hooks_take_answer(struct hooks *hooks, struct eio_str body);

/* ------------------------------------------------------------------ patterns */

/* Whether a name is one of the list's, which are separated by commas; `call:*` stands for all that begin so. */
bool hooks_matches(const char *list, struct eio_str name);
const char *hooks_check_patterns(const char *list);

/* ------------------------------------------------------------------- module */

struct hooks_outbox;
struct hooks_sender;
struct hooks_ask;

struct hooks {
    struct kit *kit;
    const struct hooks_config *config;
    struct hooks_counters counters;
    struct hooks_breaker breaker;
    struct hooks_outbox *outbox; /* NULL: no service */
    struct hooks_sender *sender;
    struct hooks_ask *asks; /* under way */
    size_t ask_count;
    hooks_redact_fn redact; /* NULL: everything may go on */
    void *redact_ctx;
    struct kit_strand strand; /* of what is looked through before it is posted */
};

int hooks_sender_start(struct hooks *hooks);
void hooks_sender_pause(struct hooks *hooks);
void hooks_sender_stop(struct hooks *hooks);

int hooks_ask_start(struct hooks *hooks, char *error, size_t error_size);
void hooks_ask_stop(struct hooks *hooks);

#endif
