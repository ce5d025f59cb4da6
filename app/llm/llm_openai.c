/* A provider with OpenAI's /chat/completions: requests, time-outs, and trying again as long as nothing was said. */
#include "llm_int.h"

#include "llm_request.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ERROR_BODY_BYTES 16384
#define CLOCK_SLACK_MS 50 /* libcurl's timers and the loop's may differ by that */
#define DRAIN_MS 1000     /* for the end of a response whose last event is here, so that the connection can be kept */

enum state {
    WAITING,  /* for the next try: the timer */
    ASKING,   /* a request is under way: the timer ends it */
    DRAINING, /* the answer has ended; the timer ends the request */
};

struct llm_openai {
    struct llm_driver driver;
    struct llm *llm;
    struct llm_answer *answer; /* NULL: gone */
    const struct llm_provider *provider;
    enum state state;
    char *body; /* of the request */
    struct kit_fetch *fetch;
    struct eio_timer timer;
    struct llm_reader reader;
    struct llm_text error_body;
    struct llm_fault fault;
    unsigned tries;
    uint64_t try_ends_ms;           /* of the loop */
    uint64_t data_ms;               /* when data came last; 0: none has in this try */
    bool in_reader, dead;           /* dead: to be freed when the reader has returned */
    struct llm_openai *prev, *next; /* of llm->drains */
};

static void free_openai(struct llm_openai *o)
{
    if (o->state == DRAINING) DL_DELETE(o->llm->drains, o);
    eio_timer_stop(&o->timer);
    if (o->fetch) kit_fetch_cancel(o->fetch);
    llm_reader_clear(&o->reader);
    free(o->error_body.p);
    free(o->body);
    free(o);
}

/* From within a callback of the reader the memory has to stay a little longer. */
static void drop(struct llm_openai *o)
{
    o->answer = NULL;
    if (o->in_reader)
        o->dead = true;
    else
        free_openai(o);
}

static void cancel(struct llm_driver *driver)
{
    drop((struct llm_openai *)(void *)driver);
}

void llm__openai_free_drains(struct llm *llm)
{
    while (llm->drains) free_openai(llm->drains);
}

/* ------------------------------------------------------------------- faults */

/* A server may repeat the key in its message. */
static void hide_key(struct llm_openai *o)
{
    const char *key = o->provider->key;
    char *at;
    if (!key || !key[0]) return;
    size_t n = strlen(key);
    while ((at = strstr(o->fault.detail, key))) memset(at, '*', n);
}

static void fail_request(struct llm_openai *o)
{
    struct llm_answer *answer = o->answer;
    struct llm_fault fault = o->fault;
    drop(o);
    llm__fail(answer, &fault);
}

static struct llm_retry_hints read_hints(const struct llm_openai *o)
{
    if (!o->fetch) return (struct llm_retry_hints){NULL, NULL, NULL};
    return (struct llm_retry_hints){kit_fetch_header(o->fetch, "x-should-retry"),
                                    kit_fetch_header(o->fetch, "retry-after-ms"),
                                    kit_fetch_header(o->fetch, "retry-after")};
}

/* False: trying again would not help, or not in time. */
static bool plan_retry(struct llm_openai *o, uint64_t *wait_ms)
{
    const struct llm_config *config = o->llm->config;
    const struct llm_retry_hints hints = read_hints(o);
    uint64_t now = eio_loop_now_ms(o->llm->kit->loop);
    double chance = randombytes_uniform(1000) / 1000.0;
    if (o->answer->has_output || o->tries > config->retries || !llm_retry_is_useful(o->fault.kind, &hints))
        return false;
    *wait_ms = llm_retry_delay_ms(o->tries, &hints, (int64_t)eio_loop_unix_ms(o->llm->kit->loop), chance);
    if (*wait_ms > config->retry_wait_max_ms) {
        o->llm->numbers.hits[LLM_LIMIT_WAIT]++;
        return false;
    }
    return now + *wait_ms < o->answer->deadline_ms;
}

static void forget_try(struct llm_openai *o)
{
    struct kit_fetch *fetch = o->fetch;
    o->fetch = NULL;
    if (fetch) kit_fetch_cancel(fetch);
    eio_timer_stop(&o->timer);
}

/* o->fault says what went wrong with this try. With done the request is over by itself. */
static void end_try(struct llm_openai *o, bool done)
{
    uint64_t wait_ms = 0;
    hide_key(o);
    bool again = plan_retry(o, &wait_ms);
    if (done) o->fetch = NULL;
    forget_try(o);
    if (!again) {
        fail_request(o);
        return;
    }
    o->state = WAITING;
    o->llm->numbers.retries++;
    kit_log(EIO_LOG_INFO, "models: trying again", "provider", o->provider->id, "why", o->fault.detail, "wait_ms",
            kit_number((long long)wait_ms).text, NULL);
    if (eio_timer_start(&o->timer, wait_ms)) {
        fail_request(o);
        return;
    }
    const struct llm_event event = {.kind = LLM_WAIT, .wait_ms = (uint32_t)wait_ms};
    llm__emit(o->answer, &event);
}

/* ------------------------------------------------------------------- answer */

/* The stream is whole. The rest of the response, if it has not come yet, is waited for a little. */
static void end_answer(struct llm_openai *o)
{
    struct llm_answer *answer = o->answer;
    enum llm_finish finish = llm_reader_finish(&o->reader);
    json_t *message = llm_reader_message(&o->reader);
    if (!message) {
        llm_fault_set(&o->fault, LLM_FAULT_MEMORY, "out of memory");
        fail_request(o);
        return;
    }
    if (o->fetch && !eio_timer_start(&o->timer, DRAIN_MS)) {
        o->answer = NULL;
        o->state = DRAINING;
        DL_APPEND(o->llm->drains, o);
    } else {
        drop(o);
    }
    llm__end(answer, finish, message);
}

static void finish_reading(struct llm_openai *o, bool done)
{
    o->in_reader = true;
    int code = llm_reader_end(&o->reader);
    o->in_reader = false;
    if (o->dead) {
        if (done) o->fetch = NULL;
        free_openai(o);
        return;
    }
    if (done) o->fetch = NULL;
    if (code) o->fault = o->reader.fault;
    if (code)
        end_try(o, done);
    else
        end_answer(o);
}

static int on_event(void *ctx, const struct llm_event *event)
{
    struct llm_openai *o = ctx;
    struct llm_event own = *event;
    own.is_gathered = o->fetch && kit_fetch_gathers(o->fetch);
    return llm__emit(o->answer, &own);
}

/* What is collected of a response that is not a stream. */
static bool keep_error(struct llm_openai *o, struct eio_str data)
{
    size_t room = ERROR_BODY_BYTES - o->error_body.n;
    if (data.n > room) data.n = room;
    return !llm_text_add(&o->error_body, data, ERROR_BODY_BYTES) && o->error_body.n < ERROR_BODY_BYTES;
}

/* The timer is not started anew for each piece: when it fires, it goes on if there was one since. */
static void note_data(struct llm_openai *o)
{
    if (!o->data_ms) eio_timer_start(&o->timer, o->provider->idle_timeout_ms);
    o->data_ms = eio_loop_now_ms(o->llm->kit->loop);
}

static bool has_fresh_data(const struct llm_openai *o, uint64_t *left_ms)
{
    uint64_t passed = eio_loop_now_ms(o->llm->kit->loop) - o->data_ms;
    *left_ms = passed < o->provider->idle_timeout_ms ? o->provider->idle_timeout_ms - passed : 0;
    return o->data_ms && *left_ms;
}

static bool on_data(void *ctx, int status, struct eio_str data)
{
    struct llm_openai *o = ctx;
    if (o->state == DRAINING) return true;
    note_data(o);
    if (status / 100 != 2) return keep_error(o, data);
    o->in_reader = true;
    int code = llm_reader_feed(&o->reader, data);
    o->in_reader = false;
    if (o->dead) {
        free_openai(o);
        return false;
    }
    if (code == 1) finish_reading(o, false);
    if (code < 0) {
        o->fault = o->reader.fault;
        end_try(o, false);
    }
    return code >= 0;
}

static void read_failure(struct llm_openai *o, const struct kit_fetch_result *result)
{
    bool is_answered = result->status && result->status / 100 != 2;
    bool is_over = eio_loop_now_ms(o->llm->kit->loop) + CLOCK_SLACK_MS >= o->try_ends_ms;
    if (is_answered)
        llm_fault_read(&o->fault, result->status, (struct eio_str){o->error_body.p, o->error_body.n});
    else if (result->is_timeout && is_over)
        llm_fault_set(&o->fault, LLM_FAULT_TIMEOUT, "no whole answer within the time for all of it");
    else if (o->reader.bytes)
        llm_fault_set(&o->fault, LLM_FAULT_BROKEN, "the stream broke off: %s", result->error);
    else
        llm_fault_set(&o->fault, LLM_FAULT_UNREACHABLE, "%s", result->error);
}

static void on_done(void *ctx, const struct kit_fetch_result *result)
{
    struct llm_openai *o = ctx;
    if (o->state == DRAINING) {
        o->fetch = NULL;
        free_openai(o);
    } else if (result->status / 100 == 2 && (!result->error || llm_reader_is_complete(&o->reader))) {
        finish_reading(o, true);
    } else {
        read_failure(o, result);
        end_try(o, true);
    }
}

/* -------------------------------------------------------------------- tries */

static void init_reader(struct llm_openai *o)
{
    const struct llm_config *config = o->llm->config;
    llm_reader_clear(&o->reader);
    o->reader = (struct llm_reader){
        .limits = {.text_bytes = config->answer_max_bytes,
                   .args_bytes = config->args_max_bytes,
                   .event_bytes = config->event_max_bytes,
                   .stream_bytes = config->stream_max_bytes,
                   .values = config->values_max,
                   .calls = config->calls_max},
        .id_prefix = o->answer->id_prefix,
        .splits_thoughts = o->provider->splits_thoughts,
        .on_event = on_event,
        .ctx = o,
    };
    o->error_body.n = 0;
    o->fault.kind = LLM_FAULT_NONE;
}

static uint32_t time_left_ms(const struct llm_openai *o)
{
    uint64_t now = eio_loop_now_ms(o->llm->kit->loop);
    uint64_t left = o->answer->deadline_ms > now ? o->answer->deadline_ms - now : 1;
    return left < o->provider->timeout_ms ? (uint32_t)left : o->provider->timeout_ms;
}

static void begin_try(struct llm_openai *o)
{
    struct kit_fetch_options options = {.url = o->provider->url,
                                        .headers = (const char *const *)o->provider->headers,
                                        .body = eio_str(o->body),
                                        .timeout_ms = time_left_ms(o),
                                        .gather_ms = o->answer->gather_ms,
                                        .on_data = on_data,
                                        .on_done = on_done,
                                        .ctx = o};
    init_reader(o);
    o->data_ms = 0;
    o->state = ASKING;
    o->try_ends_ms = eio_loop_now_ms(o->llm->kit->loop) + options.timeout_ms;
    o->tries++;
    o->fetch = kit_fetch_start(o->llm->kit->fetcher, &options);
    if (o->fetch && !eio_timer_start(&o->timer, o->provider->start_timeout_ms)) return;
    llm_fault_set(&o->fault, LLM_FAULT_MEMORY, "out of memory");
    end_try(o, false);
}

static void on_timer(void *ctx)
{
    struct llm_openai *o = ctx;
    uint64_t left_ms;
    if (o->state == DRAINING) {
        free_openai(o);
    } else if (o->state == WAITING) {
        begin_try(o);
    } else if (has_fresh_data(o, &left_ms)) {
        eio_timer_start(&o->timer, left_ms);
    } else if (llm_reader_is_complete(&o->reader)) {
        finish_reading(o, false);
    } else {
        llm_fault_set(&o->fault, LLM_FAULT_TIMEOUT, "no data for %u ms",
                      o->reader.bytes ? o->provider->idle_timeout_ms : o->provider->start_timeout_ms);
        end_try(o, false);
    }
}

static struct llm_driver *start(struct llm_answer *answer, const struct llm_provider *provider)
{
    struct llm_openai *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    *o =
        (struct llm_openai){.driver.ops = &llm__openai_ops, .llm = answer->llm, .answer = answer, .provider = provider};
    eio_timer_init(&o->timer, answer->llm->kit->loop, on_timer, o);
    o->body = llm_request_body(answer, provider);
    if (o->body && !eio_timer_start(&o->timer, 0)) return &o->driver;
    free_openai(o);
    return NULL;
}

const struct llm_driver_ops llm__openai_ops = {.kind = "openai", .start = start, .cancel = cancel};
