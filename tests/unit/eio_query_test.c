/* Query strings and head lookups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eio_codec.h"
#include "eio_http_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of just its size, so that the sanitizer sees a read past the end. */
static char *exact(const char *text, struct eio_str *out)
{
    size_t n = strlen(text);
    char *copy = calloc(1, n ? n : 1);
    if (n) memcpy(copy, text, n);
    *out = (struct eio_str){n ? copy : copy + 1, n};
    return copy;
}

/* "name>value;…" */
static void check_walk(const char *query, const char *wanted)
{
    struct eio_str rest, name, value;
    char *memory = exact(query, &rest), got[256] = "";
    size_t n = 0;
    while (eio_query_next(&rest, &name, &value))
        n += (size_t)snprintf(got + n, sizeof got - n, "%.*s>%.*s;", (int)name.n, name.p, (int)value.n, value.p);
    assert_string_equal(got, wanted);
    free(memory);
}

static void pairs_are_walked(void **state)
{
    (void)state;
    check_walk("", "");
    check_walk("a=b&c=d", "a>b;c>d;");
    check_walk("&&a&&=b&c=&d==e&", "a>;>b;c>;d>=e;");
    check_walk("a%3D=%26", "a%3D>%26;");
}

static void check_decode(const char *raw, const char *wanted)
{
    struct eio_str text;
    char *memory = exact(raw, &text), *out = malloc(strlen(wanted) + 1);
    int n = eio_query_decode(text, out, strlen(wanted));
    assert_int_equal(n, strlen(wanted));
    assert_memory_equal(out, wanted, strlen(wanted));
    if (n > 0) assert_int_equal(eio_query_decode(text, out, (size_t)n - 1), EIO_ETOOBIG);
    free(memory);
    free(out);
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    check_decode("", "");
    check_decode("a+b%20c", "a b c");
    check_decode("%41%4a%4A", "AJJ");
    check_decode("%", "%");
    check_decode("%4", "%4");
    check_decode("%zz%4", "%zz%4");
    check_decode("%%41", "%A");
    check_decode("%c3%a4", "\xc3\xa4");
}

static void parameters_are_found(void **state)
{
    (void)state;
    char out[8];
    struct eio_str query;
    char *memory = exact("EIO=4&transport=polling&sid=x%20y&sid=last&t%72=1&empty", &query);
    assert_int_equal(eio_query_get(query, "EIO", out, sizeof out), 1);
    assert_string_equal(out, "4");
    /* The last one counts, as in the reference. */
    assert_int_equal(eio_query_get(query, "sid", out, sizeof out), 4);
    assert_string_equal(out, "last");
    assert_int_equal(eio_query_get(query, "transport", out, 8), 7);
    assert_int_equal(eio_query_get(query, "transport", out, 7), EIO_ETOOBIG);
    assert_int_equal(eio_query_get(query, "transport", out, 0), EIO_ETOOBIG);
    assert_int_equal(eio_query_get(query, "tr", out, sizeof out), 1);
    assert_int_equal(eio_query_get(query, "empty", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(eio_query_get(query, "eio", out, sizeof out), EIO_EINVAL);
    free(memory);
    assert_int_equal(eio_query_get((struct eio_str){NULL, 0}, "a", out, sizeof out), EIO_EINVAL);
}

static struct eio_http_head *parse(const char *text)
{
    static const struct eio__gate_limits limits = {1024, 512, 16};
    struct eio__gate_head parsed;
    struct eio__fault fault;
    assert_int_equal(eio__gate_parse((const uint8_t *)text, strlen(text), &limits, &parsed, &fault), strlen(text));
    return parsed.take_head;
}

static void check_head(const struct eio_http_head *head)
{
    assert_true(eio_str_is(eio_http_head_target(head), "/p/q?a=b?c"));
    assert_true(eio_str_is(eio_http_head_path(head), "/p/q"));
    assert_true(eio_str_is(eio_http_head_query(head), "a=b?c"));
    assert_true(eio_str_is(eio_http_head_field(head, "x-a"), "first"));
    assert_true(eio_str_is(eio_http_head_field(head, "host"), "h"));
    assert_null(eio_http_head_field(head, "x-b").p);
    struct eio_str name, value;
    assert_true(eio_http_head_field_at(head, 2, &name, &value));
    assert_true(eio_str_is(name, "x-a") && eio_str_is(value, "second"));
    assert_false(eio_http_head_field_at(head, 3, &name, &value));
}

static void check_accepts(const char *accepted, const char *coding, bool wanted)
{
    char text[256];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: %s\r\n\r\n", accepted);
    struct eio_http_head *head = parse(text);
    assert_int_equal(eio_http_head_accepts(head, coding), wanted);
    free(head);
}

/* RFC 9110, section 12.5.3. */
static void codings_are_accepted_by_name_and_weight(void **state)
{
    (void)state;
    check_accepts("gzip, deflate, br", "br", true);
    check_accepts("gzip , br;q=0.5", "br", true);
    check_accepts("gzip, br; q=0", "br", false);
    check_accepts("br;q=0.00,gzip", "br", false);
    check_accepts("brotli", "br", false);
    check_accepts("*", "br", false);
}

static void heads_are_looked_up_and_copied(void **state)
{
    (void)state;
    struct eio_http_head *head = parse("GET /p/q?a=b?c HTTP/1.1\r\nHost: h\r\nX-A: first\r\nX-a: second\r\n\r\n");
    check_head(head);
    struct eio_http_head *copy = eio__http_head_copy(head);
    free(head);
    check_head(copy);
    free(copy);
    head = parse("GET / HTTP/1.0\r\n\r\n");
    copy = eio__http_head_copy(head);
    free(head);
    assert_true(eio_str_is(eio_http_head_target(copy), "/"));
    assert_int_equal(eio_http_head_query(copy).n, 0);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_walked),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(heads_are_looked_up_and_copied),
        cmocka_unit_test(codings_are_accepted_by_name_and_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
