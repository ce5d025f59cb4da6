/* De-chunking: every input whole, cut at every byte into two, and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eio_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct eio__chunked chunked;
    char body[16384];
    size_t body_size, used;
    bool done;
    int status; /* of the fault */
};

/* Feeds one piece, from and into allocations of just the right size. */
static void feed(struct run *run, const char *p, size_t n)
{
    if (run->done || run->status) return;
    uint8_t *in = calloc(1, n ? n : 1), *out = calloc(1, n ? n : 1);
    if (n) memcpy(in, p, n);
    size_t out_size;
    struct eio__fault fault;
    ssize_t used =
        eio__chunked_feed(&run->chunked, n ? in : in + 1, n, n ? out : out + 1, &out_size, &run->done, &fault);
    if (used < 0) {
        run->status = fault.close_code;
    } else {
        assert_true(run->done || (size_t)used == n);
        memcpy(run->body + run->body_size, out, out_size);
        run->body_size += out_size;
        run->used += (size_t)used;
    }
    free(in);
    free(out);
}

/* "body+rest" when done, "…" when more is needed, else the status. */
static void check_run(const struct run *run, const char *p, size_t n, const char *wanted, const char *how)
{
    char got[20000];
    if (run->status)
        snprintf(got, sizeof got, "%d", run->status);
    else
        snprintf(got, sizeof got, "%.*s%s%.*s", (int)run->body_size, run->body, run->done ? "+" : "...",
                 (int)(n - run->used), p + run->used);
    if (strcmp(got, wanted) != 0) fail_msg("\"%.60s\" %s: wanted \"%s\", got \"%s\"", p, how, wanted, got);
}

static void check(const char *p, const char *wanted)
{
    size_t n = strlen(p);
    struct run whole = {0}, single = {0};
    feed(&whole, p, n);
    check_run(&whole, p, n, wanted, "whole");
    for (size_t cut = 0; cut <= n; cut++) {
        struct run run = {0};
        feed(&run, p, cut);
        feed(&run, p + cut, n - cut);
        check_run(&run, p, n, wanted, "cut");
    }
    for (size_t i = 0; i < n; i++) feed(&single, p + i, 1);
    check_run(&single, p, n, wanted, "byte by byte");
}

static void chunks_are_joined(void **state)
{
    (void)state;
    check("0\r\n\r\n", "+");
    check("3\r\nabc\r\n0\r\n\r\n", "abc+");
    check("1\r\na\r\nA\r\n0123456789\r\n00\r\n\r\nGET", "a0123456789+GET");
    check("0003\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r+");
    check("2;name=value;q=\"x\"\r\nab\r\n0;last\r\n\r\n", "ab+");
    check("00000000000000000000002\r\nab\r\n00000000000000000000000\r\n\r\n", "ab+");
}

static void more_is_needed(void **state)
{
    (void)state;
    check("", "...");
    check("3\r\nab", "ab...");
    check("3\r\nabc\r\n0\r\n\r", "abc...");
    check("0\r\nTrailer: x\r\n", "...");
}

static void trailers_are_dropped(void **state)
{
    (void)state;
    check("1\r\na\r\n0\r\nT: v\r\nU:w\r\n\r\nrest", "a+rest");
    check("0\r\nT: \xc3\xa4\r\n\r\n", "+");
    check("0\r\nT:\r\n\r\n", "+");
}

/* RFC 9112, sections 7.1.2 and 2.2: a line that is no field may be the next request, and is not swallowed. */
static void trailers_that_are_no_fields_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "0\r\nT: v\r\nGET / HTTP/1.1\r\n\r\n",
        "0\r\nnothing\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA B: b\r\n\r\n",
        "0\r\nA\xc3: b\r\n\r\n",
        "0\r\nA(: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], "400");
}

/* RFC 9112, section 7.1.1. */
static void extensions_are_by_their_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {"a",          "a=b", "a=\"\"",          "a=\"b;c=\\\"d\"", "a;b;c",
                                       " a",         "\ta", "a = b",           "a ; b",           "a=b ; c=d",
                                       "a=\"b\" ;c", "a!#", "a=\"\xc3\xa4\t\""};
    static const char *const bad[] = {"",       " ",   ";",     "a;",       "=b",     "a=",         "a=;b",     "a b",
                                      "a =",    "a ",  "a=b ",  "a=b c",    "a==b",   "a=\"b",      "a=\"b\"c", "a=b\"",
                                      "a=\"\\", "a,b", "a=(b)", "\xc3\xa4", "a=\xc3", "a=\"\x01\"", "a\x7f"};
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "1;%s\r\nx\r\n0\r\n\r\n", good[i]);
        check(text, "x+");
        snprintf(text, sizeof text, "0;%s\r\n\r\n", good[i]);
        check(text, "+");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "1;%s\r\nx\r\n0\r\n\r\n", bad[i]);
        check(text, "400");
    }
}

/* RFC 9112, section 7.1.1: blanks may come before the ";" of an extension, and nowhere else behind a size. Node's
 * llhttp 9 refuses those too. */
static void blanks_behind_a_size_belong_to_an_extension(void **state)
{
    (void)state;
    check("1 ;x=1\r\na\r\n0\r\n\r\n", "a+");
    check("1\t ;x\r\na\r\n0 ; y = \"z\"\r\n\r\n", "a+");
    static const char *const bad[] = {"1 \r\n",  "1\t\r\n",  "1  \r\n", "1 1\r\n",
                                      "1 x\r\n", "1 =x\r\n", "1 \n",    "1 \v;x\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], "400");
}

static void bad_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        " 1\r\n",
        "1 \r\n",
        "0x1\r\na\r\n",
        "\r\n",
        ";x\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab",
        "1\r\na0\r\n",
        "1\r\r\n",
        "1\r\na\rx",
        "1;\x01\r\n",
        "1;\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\n\tx\r\n",
        "0\r\n: x\r\n",
        "0\r\nT: \x7f\r\n",
        "0\r\nT: v\n",
        "0\r\n\rx",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], "400");
}

/* A size that wraps around 64 bits was taken for a small one. */
static void sizes_do_not_wrap(void **state)
{
    (void)state;
    check("10000000000000003\r\nabc", "413");
    check("ffffffffffffffff\r\n", "413");
    check("fffffffffffffff\r\n", "...");
}

static void lines_are_bounded(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'x', 400);
    memcpy(text, "1;", 2);
    check(text, "400");
    memset(text, '0', 400);
    check(text, "400");
    memset(text + 1, ' ', 399);
    check(text, "400");
    memset(text, 'x', 9000);
    memcpy(text, "0\r\nT: ", 6);
    struct run run = {0};
    feed(&run, text, 9000);
    assert_int_equal(run.status, 431);
    run = (struct run){0};
    for (size_t i = 0; i < 3000; i++) feed(&run, i ? "T: v\r\n" : "0\r\n", i ? 6 : 3);
    assert_int_equal(run.status, 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(more_is_needed),
        cmocka_unit_test(trailers_are_dropped),
        cmocka_unit_test(trailers_that_are_no_fields_are_refused),
        cmocka_unit_test(extensions_are_by_their_grammar),
        cmocka_unit_test(blanks_behind_a_size_belong_to_an_extension),
        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(lines_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
