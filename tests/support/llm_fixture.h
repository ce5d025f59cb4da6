/* The module of models with a loop, and without a chat: what it does for a request is written down line by line. */
#ifndef LLM_FIXTURE_H
#define LLM_FIXTURE_H

#include "llm_int.h"
#include "llm_upstream.h"

#include <time.h>

#define LLM_LOG_BYTES 65536

struct llm_seen {
    struct llm_answer *answer;
    char log[LLM_LOG_BYTES], text[LLM_LOG_BYTES];
    size_t n, text_size;
    json_t *message;                /* of END */
    enum llm_event_kind cancels_at; /* the event within which it is cancelled */
    bool cancels, is_over;
};

static struct {
    struct eio_loop *loop;
    struct kit kit;
    struct kit_config config;
    struct llm *llm;
    char directory[64], models[128], log_path[128];
    struct upstream upstream[2];
} f;

__attribute__((format(printf, 2, 3))) static inline void llm_note(struct llm_seen *seen, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    seen->n += (size_t)vsnprintf(seen->log + seen->n, sizeof seen->log - seen->n, format, args);
    va_end(args);
    assert_true(seen->n < sizeof seen->log);
}

static inline void llm_note_event(struct llm_seen *seen, const struct llm_event *event)
{
    static const char *const finishes[] = {"stop", "calls", "length", "filter"};
    switch (event->kind) {
    case LLM_WAIT:
        llm_note(seen, "wait\n");
        break;
    case LLM_TEXT:
        memcpy(seen->text + seen->text_size, event->text.p, event->text.n);
        seen->text_size += event->text.n;
        llm_note(seen, "text %.*s\n", (int)event->text.n, event->text.p);
        break;
    case LLM_REASONING:
        llm_note(seen, "reasoning %.*s\n", (int)event->text.n, event->text.p);
        break;
    case LLM_CALL_OPEN:
        llm_note(seen, "open %u %s\n", event->call, event->name);
        break;
    case LLM_CALL_ARGS:
        break;
    case LLM_CALL_READY: {
        char *args = event->args ? json_dumps(event->args, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        llm_note(seen, "ready %u %s %s\n", event->call, event->name, args ? args : event->fault);
        free(args);
        break;
    }
    case LLM_USAGE:
        llm_note(seen, "usage %lld %lld\n", (long long)event->tokens_in, (long long)event->tokens_out);
        break;
    case LLM_END:
        seen->message = json_deep_copy(event->message);
        llm_note(seen, "end %s by %s\n", finishes[event->finish], event->provider);
        break;
    case LLM_FAILURE:
        llm_note(seen, "failure %d %s\n", event->code, event->reason);
        break;
    }
}

static inline void llm_on_event(void *ctx, const struct llm_event *event)
{
    struct llm_seen *seen = ctx;
    assert_false(seen->is_over);
    llm_note_event(seen, event);
    seen->is_over = event->kind == LLM_END || event->kind == LLM_FAILURE;
    if (!seen->cancels || event->kind != seen->cancels_at) return;
    seen->is_over = true;
    llm_note(seen, "cancelled\n");
    llm_cancel(seen->answer);
}

static inline void llm_forget(struct llm_seen *seen)
{
    json_decref(seen->message);
    *seen = (struct llm_seen){.answer = NULL};
}

/* The configuration: the models file, if text is not NULL, and words of a command line. */
static inline void llm_fixture_open(const char *models, const char *const *words)
{
    const char *all[16] = {"--data", ":memory:", "--log-file", f.log_path, "--models-file", models ? f.models : ""};
    char error[512] = "";
    size_t count = 6;
    while (*words) all[count++] = *words++;
    if (models) fixture_write(f.models, models);
    if (fixture_config(&f.config, error, sizeof error, NULL, all)) fail_msg("%s", error);
    assert_int_equal(kit_log_open(&f.config), 0);
    f.kit = (struct kit){.config = &f.config, .loop = f.loop, .fetcher = kit_fetcher_new(f.loop)};
    void *state = NULL;
    if (llm_module.start(&f.kit, &state, error, sizeof error)) fail_msg("%s", error);
    f.llm = state;
}

static inline int llm_fixture_set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    fixture_directory(f.directory);
    snprintf(f.models, sizeof f.models, "%s/models.json", f.directory);
    snprintf(f.log_path, sizeof f.log_path, "%s/log", f.directory);
    f.loop = eio_loop_new();
    for (int i = 0; i < 2; i++) upstream_open(&f.upstream[i], eio_loop_base(f.loop));
    return 0;
}

static inline int llm_fixture_tear_down(void **state)
{
    (void)state;
    if (f.llm) {
        llm_module.stop(f.llm);
        kit_fetcher_free(f.kit.fetcher);
        kit_config_clear(&f.config);
        kit_log_close();
    }
    for (int i = 0; i < 2; i++) upstream_free(&f.upstream[i]);
    eio_loop_free(f.loop);
    fixture_remove(f.directory);
    return 0;
}

static inline void llm_ask(struct llm_seen *seen, const struct llm_request *request)
{
    seen->answer = llm_start(f.llm, request, llm_on_event, seen);
    assert_non_null(seen->answer);
    assert_int_equal(seen->n, 0); /* never within the call */
}

static inline void llm_wait(const struct llm_seen *seen)
{
    time_t end = time(NULL) + 300;
    while (!seen->is_over && time(NULL) < end) eio_loop_turn(f.loop, 50);
    assert_true(seen->is_over);
}

#endif
