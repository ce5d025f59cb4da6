/* Server-sent events: every stream whole, cut at every byte into two, and byte by byte. Rules by the HTML standard,
 * sections 9.2.5 and 9.2.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard.h"
#include "kit_sse.h"

#include <stdio.h>
#include <string.h>

#define MAX_BYTES 64

struct run {
    struct kit_sse sse;
    struct guard guard;
    char log[2048];
    size_t n;
    int stop_at, seen; /* the event at which the reader has enough; 0: none */
};

static void note(struct run *run, const char *name, struct eio_str text)
{
    run->n += (size_t)snprintf(run->log + run->n, sizeof run->log - run->n, "%s(%.*s)", name, (int)text.n, text.p);
}

static int on_event(void *ctx, const struct kit_sse_event *event)
{
    struct run *run = ctx;
    if (event->name.n) note(run, "name", event->name);
    if (event->error.p) note(run, "error", event->error);
    note(run, "data", event->data);
    if (kit_sse_last_id(&run->sse).n) note(run, "id", kit_sse_last_id(&run->sse));
    return ++run->seen == run->stop_at ? -77 : 0;
}

static int feed(struct run *run, const char *p, size_t n)
{
    const uint8_t *piece = guard_put(&run->guard, (const uint8_t *)p, n);
    return kit_sse_feed(&run->sse, (struct eio_str){(const char *)piece, n}, on_event, run);
}

static void finish(struct run *run, const char *wanted, const char *how)
{
    int code = kit_sse_end(&run->sse, on_event, run);
    if (code) run->n += (size_t)snprintf(run->log + run->n, sizeof run->log - run->n, "failed(%d)", code);
    if (run->sse.has_retry)
        run->n +=
            (size_t)snprintf(run->log + run->n, sizeof run->log - run->n, "retry(%lld)", (long long)run->sse.retry_ms);
    if (strcmp(run->log, wanted) != 0) fail_msg("%s: wanted \"%s\", got \"%s\"", how, wanted, run->log);
    kit_sse_clear(&run->sse);
    guard_free(&run->guard);
}

static void check_bytes(const char *p, size_t n, int stop_at, const char *wanted)
{
    struct run whole = {.sse.max_bytes = MAX_BYTES, .stop_at = stop_at};
    feed(&whole, p, n);
    finish(&whole, wanted, "whole");
    for (size_t cut = 0; cut <= n; cut++) {
        struct run run = {.sse.max_bytes = MAX_BYTES, .stop_at = stop_at};
        char how[32];
        feed(&run, p, cut);
        feed(&run, p + cut, n - cut);
        snprintf(how, sizeof how, "cut at %zu", cut);
        finish(&run, wanted, how);
    }
    struct run single = {.sse.max_bytes = MAX_BYTES, .stop_at = stop_at};
    for (size_t i = 0; i < n; i++) feed(&single, p + i, 1);
    finish(&single, wanted, "byte by byte");
}

static void check(const char *text, const char *wanted)
{
    check_bytes(text, strlen(text), 0, wanted);
}

/* The examples of section 9.2.6. */
static void examples_of_the_standard(void **state)
{
    (void)state;
    check("data: YHOO\ndata: +2\ndata: 10\n\n", "data(YHOO\n+2\n10)");
    check(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
          "data(first event)id(1)data(second event)data( third event)");
    check("data\n\ndata\ndata\n\n", "data()data(\n)");
    check("data:test\n\ndata: test\n\n", "data(test)data(test)");
}

static void lines_end_with_lf_cr_or_both(void **state)
{
    (void)state;
    check("data: a\r\ndata: b\r\n\r\n", "data(a\nb)");
    check("data: a\rdata: b\r\r", "data(a\nb)");
    check("data: a\r\rdata: b\n\r\ndata: c\r\n\n", "data(a)data(b)data(c)");
    check("data: a\n\r\n\r\ndata: b\n\n", "data(a)data(b)");
}

static void comments_and_unknown_fields_are_ignored(void **state)
{
    (void)state;
    check(": ping\n\n: OPENROUTER PROCESSING\n\n:\n\ndata: a\n: in between\nfoo: bar\nDATA: x\n data: y\n\n",
          "data(a)");
    check("{\"error\":\"a body that is not an event stream\"}", "");
}

/* A comment may be as long as it likes: nothing of it is kept. */
static void a_comment_is_not_held(void **state)
{
    char text[400];
    (void)state;
    memset(text, 'x', sizeof text);
    text[0] = ':';
    strcpy(text + sizeof text - 16, "\ndata: a\n\n");
    check(text, "data(a)");
}

static void a_byte_order_mark_is_skipped_once(void **state)
{
    (void)state;
    check("\xef\xbb\xbf"
          "data: a\n\n",
          "data(a)");
    check("\xef\xbb\xbf\xef\xbb\xbf"
          "data: a\n\ndata: b\n\n",
          "data(b)");
    check("\xef\xbb"
          "data: a\n\ndata: b\n\n",
          "data(b)");
    check("data: \xef\xbb\xbf\n\n", "data(\xef\xbb\xbf)");
}

static void names_go_with_their_event(void **state)
{
    (void)state;
    check("event: add\ndata: 1\n\ndata: 2\n\nevent: lost\n\ndata: 3\n\n", "name(add)data(1)data(2)data(3)");
    check("event: a\nevent: b\ndata: 1\n\n", "name(b)data(1)");
    check("event: error\ndata: {}\n\n", "name(error)data({})");
}

/* The id holds until another is given; an empty one clears it; one with a NUL is ignored. */
static void ids_last(void **state)
{
    (void)state;
    check("id: 7\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n", "data(a)id(7)data(b)id(7)data(c)");
    check("id: 7\n\ndata: b\n\n", "data(b)id(7)");
    check_bytes("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n", 32, 0, "data(a)id(7)data(b)id(7)");
}

static void retry_is_digits(void **state)
{
    (void)state;
    check("retry: 500\n\n", "retry(500)");
    check("retry: 500\nretry: 1e3\nretry:\nretry: -1\nretry: 0x5\n\n", "retry(500)");
    check("retry: 99999999999999999999999999999999999\n\n", "retry(31536000000)");
}

/* llama.cpp: "error: {…}" in a line of its own; "data: [DONE]" without the empty line. */
static void what_servers_of_models_send_beside_it(void **state)
{
    (void)state;
    check("data: a\n\nerror: {\"code\":500}\n\n", "data(a)error({\"code\":500})data()");
    check("error: x", "error(x)data()");
    check("data: a\n\ndata: [DONE]", "data(a)data([DONE])");
    check("data: [DONE]\n", "data([DONE])");
    check("data: a\r", "data(a)");
    check(": only a comment", "");
    check("id: 9", "");
}

static void limits(void **state)
{
    char text[200], wanted[200];
    (void)state;
    /* A line. */
    snprintf(text, sizeof text, "data: %058d\n\n", 7);
    snprintf(wanted, sizeof wanted, "data(%058d)", 7);
    check(text, wanted);
    snprintf(text, sizeof text, "data: %059d\n\n", 7);
    check(text, "failed(-7)");
    /* The data of an event, whose lines are short. */
    check("data: 0123456789012345678901234567890123456789\ndata: 01234567890123456789012\n\ndata: b\n\n",
          "data(0123456789012345678901234567890123456789\n01234567890123456789012)data(b)");
    check("data: 0123456789012345678901234567890123456789\ndata: 012345678901234567890123\n\n", "failed(-7)");
    for (size_t i = 0; i < 40; i++) memcpy(text + 5 * i, "data\n", 5);
    text[199] = 0;
    check(text, "data(\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n)");
}

/* What the reader returns ends it, and stays. */
static void the_reader_may_end_it(void **state)
{
    static const char text[] = "data: a\n\ndata: b\n\ndata: c\n\n";
    (void)state;
    check_bytes(text, sizeof text - 1, 2, "data(a)data(b)failed(-77)");
}

/* A connection that breaks in an event: the next one begins with nothing but the id of the last whole one. */
static void a_new_connection_keeps_the_id(void **state)
{
    struct run run = {.sse.max_bytes = MAX_BYTES};
    static const char first[] = "id: 1\ndata: a\n\nid: 2\nevent: x\ndata: hal", second[] = "data: c\n\n";
    (void)state;
    feed(&run, first, sizeof first - 1);
    assert_int_equal(kit_sse_last_id(&run.sse).n, 1);
    kit_sse_restart(&run.sse);
    feed(&run, second, sizeof second - 1);
    finish(&run, "data(a)id(1)data(c)id(1)", "two connections");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard),
        cmocka_unit_test(lines_end_with_lf_cr_or_both),
        cmocka_unit_test(comments_and_unknown_fields_are_ignored),
        cmocka_unit_test(a_comment_is_not_held),
        cmocka_unit_test(a_byte_order_mark_is_skipped_once),
        cmocka_unit_test(names_go_with_their_event),
        cmocka_unit_test(ids_last),
        cmocka_unit_test(retry_is_digits),
        cmocka_unit_test(what_servers_of_models_send_beside_it),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_reader_may_end_it),
        cmocka_unit_test(a_new_connection_keeps_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
