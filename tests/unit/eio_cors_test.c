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
    eio__cors_fields(&cors, head.take_head, preflight, &reply);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
