/* CORS response headers against what the `cors` package of the reference answers to the same requests. The expected
 * lists were taken from cors 2.8 on a plain Node server; only their order and the case of names are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eio_int.h"

static struct eio_cors cors;
static bool answers; /* whether the last request was a preflight that is answered */

static void reset(const char *origin)
{
    struct eio_options options;
    eio_options_init(&options);
    cors = options.cors;
    cors.origin = origin;
}

/* The headers for a request, one "name: value" a line. */
static const char *answer(bool preflight, const char *fields)
{
    static char text[4096];
    char request[2048];
    snprintf(request, sizeof request, "%s / HTTP/1.1\r\nHost: localhost\r\n%s\r\n", preflight ? "OPTIONS" : "GET",
             fields);
    struct eio__gate_limits limits = {16384, 8192, 100};
    struct eio__gate_head head;
    struct eio__fault fault;
    assert_true(eio__gate_parse((uint8_t *)request, strlen(request), &limits, &head, &fault) > 0);
    struct eio__cors_reply reply;
    struct eio__cors_origins origins;
    assert_int_equal(eio__cors_origins_init(&origins, cors.origin), 0);
    eio__cors_fields(&cors, &origins, head.take_head, &reply);
    answers = eio__cors_answers(&cors, head.take_head);
    eio__cors_origins_clear(&origins);
    text[0] = '\0';
    for (size_t i = 0; i < reply.count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s: %s\n", reply.fields[i].name, reply.fields[i].value);
    }
    free(head.take_head);
    return text;
}

#define ORIGIN "Origin: https://a.example\r\n"
#define ASKED "Access-Control-Request-Headers: x-one,x-two\r\n"
#define METHODS "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\n"

static void without_an_origin_option_there_is_none(void **state)
{
    (void)state;
    reset(NULL);
    assert_string_equal(answer(false, ORIGIN), "");
    assert_string_equal(answer(true, ORIGIN ASKED), "");
}

static void any_origin(void **state)
{
    (void)state;
    reset("*");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: *\n");
    assert_string_equal(answer(true, ORIGIN ASKED),
                        "Access-Control-Allow-Origin: *\n"
                        "Vary: Access-Control-Request-Headers\n" METHODS "Access-Control-Allow-Headers: x-one,x-two\n");
    assert_string_equal(answer(true, ORIGIN), "Access-Control-Allow-Origin: *\n"
                                              "Vary: Access-Control-Request-Headers\n" METHODS);
}

static void a_fixed_origin_is_named_to_everybody(void **state)
{
    (void)state;
    reset("https://b.example");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://b.example\nVary: Origin\n");
    assert_string_equal(answer(false, ""), "Access-Control-Allow-Origin: https://b.example\nVary: Origin\n");
}

static void the_callers_origin_is_reflected(void **state)
{
    (void)state;
    reset("reflect");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n");
    assert_string_equal(answer(false, ""), "Vary: Origin\n");
    assert_string_equal(answer(true, ORIGIN ASKED), "Access-Control-Allow-Origin: https://a.example\n"
                                                    "Vary: Origin, Access-Control-Request-Headers\n" METHODS
                                                    "Access-Control-Allow-Headers: x-one,x-two\n");
}

static void a_list_names_the_caller_if_it_is_in_it(void **state)
{
    (void)state;
    reset("https://b.example, https://a.example,https://c.example");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://c.example\r\n"),
                        "Access-Control-Allow-Origin: https://c.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://a.exampl\r\n"), "Vary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://a.example.evil\r\n"), "Vary: Origin\n");
    assert_string_equal(answer(false, ""), "Vary: Origin\n");
}

static void every_option_has_its_header(void **state)
{
    (void)state;
    reset("*");
    cors.credentials = true;
    cors.methods = "GET";
    cors.allowed_headers = "x-mine";
    cors.exposed_headers = "x-yours";
    cors.max_age_s = 600;
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: "
                                               "true\nAccess-Control-Expose-Headers: x-yours\n");
    assert_string_equal(answer(true, ORIGIN ASKED),
                        "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: true\n"
                        "Access-Control-Allow-Methods: GET\nAccess-Control-Allow-Headers: x-mine\n"
                        "Access-Control-Max-Age: 600\nAccess-Control-Expose-Headers: x-yours\n");
    cors.max_age_s = 0;
    assert_non_null(strstr(answer(true, ORIGIN), "Access-Control-Max-Age: 0\n"));
    cors.max_age_s = -1;
    assert_null(strstr(answer(true, ORIGIN), "Max-Age"));
    cors.exposed_headers = cors.allowed_headers = ""; /* as if not given */
    assert_null(strstr(answer(true, ORIGIN ASKED), "Expose"));
    assert_non_null(strstr(answer(true, ORIGIN ASKED), "Access-Control-Allow-Headers: x-one,x-two\n"));
    /* Several lines are one list (RFC 9110, section 5.3). */
    assert_non_null(strstr(answer(true, ORIGIN ASKED "Access-Control-Request-Headers: x-three\r\n"),
                           "Access-Control-Allow-Headers: x-one,x-two, x-three\n"));
}

static void an_origin_that_is_too_long_is_not_reflected(void **state)
{
    (void)state;
    reset("reflect");
    char fields[1024] = "Origin: https://";
    memset(fields + strlen(fields), 'a', 600);
    strcat(fields, "\r\n");
    assert_string_equal(answer(false, fields), "Vary: Origin\n");
}

static void expressions_in_slashes_match_origins(void **state)
{
    (void)state;
    reset("https://x.example, /^https:\\/\\/[a-z]{1,3}\\.example$/i,https://y.example");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: HTTPS://ABC.example\r\n"),
                        "Access-Control-Allow-Origin: HTTPS://ABC.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://y.example\r\n"),
                        "Access-Control-Allow-Origin: https://y.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://abcd.example\r\n"), "Vary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://a.example.evil\r\n"), "Vary: Origin\n");
    assert_string_equal(answer(false, ""), "Vary: Origin\n");
    reset("/a\\.example$/");
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n");
    assert_string_equal(answer(false, "Origin: https://A.EXAMPLE\r\n"), "Vary: Origin\n");
}

static void ignore_line(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level, (void)line;
    ++*(int *)ctx;
}

static void an_expression_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"/(/", "/a", "//", "/i", "https://a.example,/[/i", "/a{2,1}/"};
    int lines = 0, expected = 0;
    eio_log_set(ignore_line, &lines, EIO_LOG_ERROR);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct eio__cors_origins origins;
        assert_int_equal(eio__cors_origins_init(&origins, bad[i]), EIO_EINVAL);
        eio__cors_origins_clear(&origins);
        assert_int_equal(lines, ++expected);
    }
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
}

static bool allow_a(struct eio_str origin, void *ctx)
{
    assert_ptr_equal(ctx, &cors);
    return origin.n == 0 || eio_str_is(origin, "https://a.example");
}

static void a_function_decides_on_origins(void **state)
{
    (void)state;
    reset(NULL);
    cors.allow_origin = allow_a;
    cors.allow_origin_ctx = &cors;
    assert_string_equal(answer(false, ORIGIN), "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n");
    assert_string_equal(answer(false, ""), "Vary: Origin\n");
    assert_string_equal(answer(true, ORIGIN ASKED), "Access-Control-Allow-Origin: https://a.example\n"
                                                    "Vary: Origin, Access-Control-Request-Headers\n" METHODS
                                                    "Access-Control-Allow-Headers: x-one,x-two\n");
    assert_true(answers);
    /* Refused: as if there were no CORS, for the preflight too. */
    assert_string_equal(answer(false, "Origin: https://b.example\r\n"), "");
    assert_string_equal(answer(true, "Origin: https://b.example\r\n"), "");
    assert_false(answers);
}

static void a_preflight_may_be_passed_on(void **state)
{
    (void)state;
    reset("*");
    assert_non_null(answer(true, ORIGIN));
    assert_true(answers);
    cors.preflight_continue = true;
    assert_string_equal(answer(true, ORIGIN), "Access-Control-Allow-Origin: *\n"
                                              "Vary: Access-Control-Request-Headers\n" METHODS);
    assert_false(answers);
}

static bool allows(const char *list, const char *fields)
{
    char request[2048];
    struct eio__gate_limits limits = {16384, 8192, 100};
    struct eio__gate_head head;
    struct eio__fault fault;
    struct eio__cors_origins origins;
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n", fields);
    assert_true(eio__gate_parse((uint8_t *)request, strlen(request), &limits, &head, &fault) > 0);
    assert_int_equal(eio__allowed_origins_init(&origins, list), 0);
    bool allowed = eio__origin_is_allowed(&origins, head.take_head);
    eio__cors_origins_clear(&origins);
    free(head.take_head);
    return allowed;
}

/* RFC 6455, section 10.2: who wants only its own pages compares the Origin. */
static void only_listed_origins_are_allowed(void **state)
{
    static const char list[] = "https://a.example, /^https:\\/\\/[a-z]+\\.b\\.example$/i";
    (void)state;
    assert_true(allows(NULL, "Origin: https://evil.example\r\n"));
    assert_true(allows(list, ""));
    assert_true(allows(list, "Origin: https://a.example\r\n"));
    assert_true(allows(list, "Origin: https://X.b.example\r\n"));
    assert_true(allows("https://a.example", "Origin: https://a.example\r\n"));
    static const char *const strange[] = {"https://evil.example",
                                          "http://a.example",
                                          "https://a.example:8443",
                                          "https://a.example.evil.example",
                                          "https://x.b.example.evil.example",
                                          "null",
                                          "",
                                          "https://a.exampl"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        char field[128];
        snprintf(field, sizeof field, "Origin: %s\r\n", strange[i]);
        assert_false(allows(list, field));
        assert_false(allows("https://a.example", field));
    }
    char endless[1100] = "Origin: https://";
    memset(endless + 16, 'a', 1000);
    memcpy(endless + 1016, "\r\n", 3);
    assert_false(allows("/a/", endless)); /* longer than any is compared */
    assert_true(allows("/a/", "Origin: https://a\r\n"));
    assert_true(eio_allowed_origins_are_valid(list));
    assert_false(eio_allowed_origins_are_valid("*"));
    assert_false(eio_allowed_origins_are_valid(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_origin_option_there_is_none),
        cmocka_unit_test(any_origin),
        cmocka_unit_test(a_fixed_origin_is_named_to_everybody),
        cmocka_unit_test(the_callers_origin_is_reflected),
        cmocka_unit_test(a_list_names_the_caller_if_it_is_in_it),
        cmocka_unit_test(every_option_has_its_header),
        cmocka_unit_test(an_origin_that_is_too_long_is_not_reflected),
        cmocka_unit_test(expressions_in_slashes_match_origins),
        cmocka_unit_test(an_expression_that_is_none_is_refused),
        cmocka_unit_test(a_function_decides_on_origins),
        cmocka_unit_test(a_preflight_may_be_passed_on),
        cmocka_unit_test(only_listed_origins_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
