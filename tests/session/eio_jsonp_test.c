/* JSONP polling, in both versions of Engine.IO: payloads as scripts, bodies as urlencoded forms. */
#include "eio_fixture.h"

static struct fixture f;
static char sid[21];
static int version;

/* Opens a session whose handshake said `j`; the sid stands in a script. */
static void open_jsonp(int eio, const char *more, const char *head)
{
    char text[160];
    struct eio__test_reply reply;
    version = eio;
    snprintf(text, sizeof text, "/engine.io/?EIO=%d&transport=polling%s", eio, more);
    eio__test_request(f.server, EIO_HTTP_GET, text, NULL, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.type, "text/plain; charset=UTF-8");
    assert_memory_equal(reply.body, head, strlen(head));
    assert_string_equal(reply.body + reply.body_size - 3, "\");");
    const char *id = strstr(reply.body, "\\\"sid\\\":\\\"");
    assert_non_null(id);
    memcpy(sid, id + 10, 20);
    sid[20] = '\0';
    free(reply.body);
}

static void request(const char *body, struct eio__test_reply *reply)
{
    char text[160];
    snprintf(text, sizeof text, "/engine.io/?EIO=%d&transport=polling&sid=%s&j=0", version, sid);
    eio__test_request(f.server, body ? EIO_HTTP_POST : EIO_HTTP_GET, text, body, reply);
    turn(&f);
}

static void post(const char *body)
{
    struct eio__test_reply reply;
    request(body, &reply);
    assert_replied(reply, 200, "ok");
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.allow_eio3 = true;
    fixture_start(&f);
    open_jsonp(4, "&j=0", "___eio[0](\"0{");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

static void payloads_are_scripts(void **state)
{
    (void)state;
    struct eio__test_reply get;
    post("d=4a%22%0Ab%E2%80%A8");
    request(NULL, &get);
    assert_string_equal(get.type, "text/plain; charset=UTF-8");
    assert_replied(get, 200, "___eio[0](\"4a\\\"\\nb\\u2028\");");
}

static void several_packets_are_one_script(void **state)
{
    (void)state;
    struct eio__test_reply get;
    post("d=4a%1EbAQID");
    assert_string_equal(f.log, "text:a\nbinary:3\n");
    request(NULL, &get);
    assert_replied(get, 200, "___eio[0](\"4a\\u001ebAQID\");");
}

/* Edge case 17. */
static void only_digits_of_the_index_come_back(void **state)
{
    (void)state;
    open_jsonp(4, "&j=12abc3", "___eio[123](\"0{");
    open_jsonp(4, "&j=", "___eio[](\"0{");
    open_jsonp(4, "&j=%5D(alert(1))//", "___eio[1](\"0{");
}

static void escaped_newlines_are_undone(void **state)
{
    (void)state;
    post("d=4a%5Cnb");      /* "\n" in the field is a newline */
    post("d=4a%5C%5Cnb");   /* "\\n" is what the message said: "\n" */
    post("x=1&d=4a+b&y=2"); /* a plus is a space */
    assert_string_equal(f.log, "text:a\nb\ntext:a\\nb\ntext:a b\n");
}

/* The reference ignores a form without the field; an empty field is an empty payload, which cannot be read. */
static void a_form_without_the_field_says_nothing(void **state)
{
    (void)state;
    post("x=4a");
    post("");
    assert_int_equal(f.closed, 0);
    struct eio__test_reply reply;
    request("d=", &reply);
    assert_replied(reply, 400, "empty payload");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
}

static void forms_of_version_3_have_lengths(void **state)
{
    (void)state;
    struct eio__test_reply get;
    char head[] = "___eio[7](\"";
    open_jsonp(3, "&j=7", head);
    post("d=6:4hello3:4%F0%9F%98%80");
    assert_string_equal(f.log, "text:hello\ntext:\xf0\x9f\x98\x80\n");
    request(NULL, &get);
    assert_replied(get, 200, "___eio[7](\"6:4hello3:4\xf0\x9f\x98\x80\");");
}

/* A script cannot hold bytes, whether the client said b64 or not. */
static void binary_in_a_script_is_base64(void **state)
{
    (void)state;
    struct eio__test_reply get;
    open_jsonp(3, "&j=7", "___eio[7](\"");
    post("d=6:b4AP8%3D");
    assert_string_equal(f.log, "binary:2\n");
    request(NULL, &get);
    assert_string_equal(get.type, "text/plain; charset=UTF-8");
    assert_replied(get, 200, "___eio[7](\"6:b4AP8=\");");
}

static void closing_and_refusals(void **state)
{
    (void)state;
    struct eio__test_reply get, late;
    request(NULL, &get);
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    turn(&f);
    assert_replied(get, 200, "___eio[0](\"1\");");
    request(NULL, &late); /* errors are JSON, as in the reference */
    assert_string_equal(late.type, "application/json");
    assert_replied(late, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(payloads_are_scripts),
        TEST(several_packets_are_one_script),
        TEST(only_digits_of_the_index_come_back),
        TEST(escaped_newlines_are_undone),
        TEST(a_form_without_the_field_says_nothing),
        TEST(forms_of_version_3_have_lengths),
        TEST(binary_in_a_script_is_base64),
        TEST(closing_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
