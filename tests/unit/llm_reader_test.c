/* The stream of /chat/completions as servers send it: each fixture of tests/models/fixtures whole, cut at every byte
 * into two, and byte by byte. NAME.sse is what comes, NAME.log what is read of it; with UPDATE=1 in the environment the
 * logs are written anew, to be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard.h"
#include "llm_reader.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES 16384

struct run {
    struct llm_reader reader;
    struct guard guard;
    char log[LOG_BYTES];
    size_t n;
    int code, stop_at, seen;
};

static const struct llm_limits limits = {
    .text_bytes = 4096, .args_bytes = 1024, .event_bytes = 4096, .stream_bytes = 65536, .values = 400, .calls = 8};

__attribute__((format(printf, 2, 3))) static void note(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    run->n += (size_t)vsnprintf(run->log + run->n, sizeof run->log - run->n, format, args);
    va_end(args);
    assert_true(run->n < sizeof run->log);
}

static void note_text(struct run *run, const char *what, struct eio_str text)
{
    json_t *string = json_stringn(text.p, text.n);
    assert_non_null(string); /* valid UTF-8 */
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    note(run, "%s %s\n", what, quoted);
    free(quoted);
    json_decref(string);
}

static int on_event(void *ctx, const struct llm_event *event)
{
    struct run *run = ctx;
    switch (event->kind) {
    case LLM_TEXT:
        assert_true(event->text.n > 0);
        note_text(run, "text", event->text);
        break;
    case LLM_REASONING:
        assert_true(event->text.n > 0);
        note_text(run, "reasoning", event->text);
        break;
    case LLM_CALL_OPEN:
        note(run, "open %u %s %s\n", event->call, event->call_id, event->name);
        break;
    case LLM_CALL_ARGS:
        note(run, "args %u %.*s\n", event->call, (int)event->text.n, event->text.p);
        break;
    case LLM_CALL_READY:
        note(run, "ready %u %s %s %s\n", event->call, event->call_id, event->name, event->args ? "good" : "bad");
        break;
    case LLM_USAGE:
        note(run, "usage %lld %lld\n", (long long)event->tokens_in, (long long)event->tokens_out);
        break;
    default:
        fail();
    }
    return ++run->seen == run->stop_at ? -77 : 0;
}

static void start(struct run *run)
{
    *run = (struct run){.reader = {.limits = limits, .id_prefix = "made_", .splits_thoughts = true}};
    run->reader.on_event = on_event;
    run->reader.ctx = run;
}

static void feed(struct run *run, const char *p, size_t n)
{
    const uint8_t *piece = guard_put(&run->guard, (const uint8_t *)p, n);
    if (run->code >= 0) run->code = llm_reader_feed(&run->reader, (struct eio_str){(const char *)piece, n});
}

static void finish(struct run *run)
{
    static const char *const names[] = {"stop", "calls", "length", "filter"};
    if (run->code >= 0) run->code = llm_reader_end(&run->reader);
    if (run->code == -1) {
        assert_int_not_equal(run->reader.fault.kind, LLM_FAULT_NONE);
        note(run, "fault %s: %s\n", llm_fault_name(run->reader.fault.kind), run->reader.fault.detail);
    } else if (!run->code) {
        json_t *message = llm_reader_message(&run->reader);
        char *text = json_dumps(message, JSON_COMPACT);
        note(run, "end %s %s\n", names[llm_reader_finish(&run->reader)], text);
        free(text);
        json_decref(message);
    }
    llm_reader_clear(&run->reader);
    guard_free(&run->guard);
}

static void check_run(struct run *run, const char *name, const char *how, const char *wanted)
{
    finish(run);
    if (strcmp(run->log, wanted) != 0) fail_msg("%s, %s: wanted\n%s\ngot\n%s", name, how, wanted, run->log);
}

static void check_cuts(const char *name, const char *p, size_t n, const char *wanted)
{
    static struct run run;
    char how[32];
    start(&run);
    feed(&run, p, n);
    check_run(&run, name, "whole", wanted);
    for (size_t cut = 0; cut <= n; cut++) {
        start(&run);
        feed(&run, p, cut);
        feed(&run, p + cut, n - cut);
        snprintf(how, sizeof how, "cut at %zu", cut);
        check_run(&run, name, how, wanted);
    }
    start(&run);
    for (size_t i = 0; i < n; i++) feed(&run, p + i, 1);
    check_run(&run, name, "byte by byte", wanted);
}

/* ---------------------------------------------------------------- fixtures */

static char *read_fixture(const char *name, const char *ending, size_t *n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/models/fixtures/%s%s", TEST_SOURCE_DIR, name, ending);
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 65536);
    assert_non_null(text);
    *n = file ? fread(text, 1, 65535, file) : 0;
    if (file) fclose(file);
    return text;
}

static void update(const char *name, const char *p, size_t n)
{
    static struct run run;
    char path[512];
    start(&run);
    feed(&run, p, n);
    finish(&run);
    snprintf(path, sizeof path, "%s/tests/models/fixtures/%s.log", TEST_SOURCE_DIR, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(run.log, file);
    fclose(file);
}

static void what_servers_send_is_read(void **state)
{
    DIR *folder = opendir(TEST_SOURCE_DIR "/tests/models/fixtures");
    unsigned count = 0;
    (void)state;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[256];
        size_t n, wanted_size;
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *ending = strstr(name, ".sse");
        if (!ending) continue;
        *ending = 0;
        char *stream = read_fixture(name, ".sse", &n);
        if (getenv("UPDATE")) update(name, stream, n);
        char *wanted = read_fixture(name, ".log", &wanted_size);
        check_cuts(name, stream, n, wanted);
        free(stream);
        free(wanted);
        count++;
    }
    closedir(folder);
    assert_true(count > 50);
}

/* ------------------------------------------------------------------ limits */

__attribute__((format(printf, 3, 4))) static void add(char *out, size_t size, const char *format, ...)
{
    size_t n = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, size - n, format, args);
    va_end(args);
}

#define CHUNK "data: {\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":null}]}\n\n"

static void check_limit(const char *stream, const char *wanted)
{
    struct run run;
    start(&run);
    feed(&run, stream, strlen(stream));
    finish(&run);
    if (!strstr(run.log, wanted)) fail_msg("wanted %s, got %s", wanted, run.log);
}

static void an_answer_has_limits(void **state)
{
    static char stream[400000], text[5000];
    (void)state;
    memset(text, 'x', 400);
    for (int i = 0; i < 11; i++) {
        add(stream, sizeof stream, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}\n\n", text);
    }
    check_limit(stream, "fault too_large: the text passes 4096 bytes");
    stream[0] = 0;
    add(stream, sizeof stream, CHUNK,
        "\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"t\",\"arguments\":\"\"}}]");
    for (int i = 0; i < 3; i++)
        add(stream, sizeof stream,
            "data: "
            "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%s\"}}]}}"
            "]}\n\n",
            text);
    check_limit(stream, "fault too_large: the arguments of a call pass 1024 bytes");
    stream[0] = 0;
    for (int i = 0; i < 9; i++) {
        char call[200];
        snprintf(call, sizeof call, "\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\",\"function\":{\"name\":\"t\"}}]", i,
                 i);
        add(stream, sizeof stream, CHUNK, call);
    }
    check_limit(stream, "fault too_large: the answer calls too many tools (limit: 8)");
    memset(text, 'x', 4500);
    stream[0] = 0;
    add(stream, sizeof stream, "data: %s\n\n", text);
    check_limit(stream, "fault too_large: an event of the stream passes 4096 bytes");
    stream[0] = 0;
    add(stream, sizeof stream, "{%s", text);
    check_limit(stream, "fault too_large: an event of the stream passes 4096 bytes");
    char list[2 * 402] = "";
    for (int i = 0; i < 400; i++) memcpy(list + 2 * i, ",1", 3);
    stream[0] = 0;
    add(stream, sizeof stream, "data: {\"choices\":[],\"usage\":{},\"list\":[1%s]}\n\n", list);
    check_limit(stream, "fault too_large: an event of the stream has more values than 400");
    stream[0] = 0;
    add(stream, sizeof stream,
        "data: "
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"t\","
        "\"arguments\":\"{\\\"list\\\":[1%s]}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
        list);
    check_limit(stream, "fault too_large: the arguments of a call have more values than 400");
    stream[0] = 0;
    for (int i = 0; i < 15; i++) add(stream, sizeof stream, ": %s\n\n", text);
    check_limit(stream, "fault too_large: the stream passes 65536 bytes");
}

static void whoever_has_enough_stops_it(void **state)
{
    static const char stream[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
                                 "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n";
    struct run run;
    (void)state;
    start(&run);
    run.stop_at = 1;
    feed(&run, stream, sizeof stream - 1);
    assert_int_equal(run.code, -77);
    assert_int_equal(run.reader.fault.kind, LLM_FAULT_NONE);
    finish(&run);
    assert_string_equal(run.log, "text \"a\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_servers_send_is_read),
        cmocka_unit_test(an_answer_has_limits),
        cmocka_unit_test(whoever_has_enough_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
