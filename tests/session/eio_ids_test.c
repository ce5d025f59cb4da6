/* The reference's generateId: ids that an application gives, now or later, and what becomes of bad ones (E25). */
#include "eio_fixture.h"

static struct fixture f;
static const char *next_id; /* NULL: the answer comes later */
static bool fails;
static struct eio_admission *waiting;
static int asked;
static char errors[512];

static void generate_id(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    assert_ptr_equal(ctx, &f);
    assert_true(eio_str_is(eio_http_head_field(head, "host"), "test"));
    asked++;
    if (fails)
        eio_deny(admission, NULL);
    else if (next_id)
        eio_admit_as(admission, next_id);
    else
        waiting = admission;
}

static void on_connection_error(const struct eio_http_head *head, int code, const char *message, const char *context,
                                void *ctx)
{
    (void)head, (void)ctx;
    size_t used = strlen(errors);
    snprintf(errors + used, sizeof errors - used, "%d %s %s\n", code, message, context ? context : "-");
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.allow_eio3 = true;
    f.options.cookie.name = "io";
    fixture_start(&f);
    struct eio_hooks hooks = {.generate_id = generate_id, .on_connection_error = on_connection_error};
    eio_server_set_hooks(f.server, &hooks, &f);
    next_id = NULL;
    fails = false;
    waiting = NULL;
    asked = 0;
    errors[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

#define POLLING "/engine.io/?EIO=4&transport=polling"
#define WEBSOCKET "/engine.io/?EIO=4&transport=websocket"
#define BAD_REQUEST "{\"code\":3,\"message\":\"Bad request\"}"

static struct eio__test_reply ask(const char *target)
{
    struct eio__test_reply reply;
    eio__test_request(f.server, EIO_HTTP_GET, target, NULL, &reply);
    turn(&f);
    return reply;
}

static void assert_opened_as(const char *id, struct eio__test_reply *reply)
{
    char start[128];
    snprintf(start, sizeof start, "0{\"sid\":\"%s\",", id);
    assert_int_equal(reply->status, 200);
    assert_memory_equal(reply->body, start, strlen(start));
    free(reply->body);
    assert_string_equal(eio_session_id(f.session), id);
    assert_ptr_equal(eio_server_find(f.server, id, strlen(id)), f.session);
}

static void a_session_has_the_application_s_id_and_is_found_by_it(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    next_id = "e58ed763-928c-4155-bee9-fdbaaadc15f3";
    reply = ask(POLLING);
    assert_string_equal(reply.headers, "cache-control: no-store\nSet-Cookie: "
                                       "io=e58ed763-928c-4155-bee9-fdbaaadc15f3; Path=/; HttpOnly; SameSite=Lax\n");
    assert_opened_as(next_id, &reply);
    struct eio_session *polling = f.session;
    poll_request(&f, EIO_HTTP_POST, next_id, "4hi", &reply);
    assert_replied(reply, 200, "ok");
    poll_request(&f, EIO_HTTP_GET, next_id, NULL, &reply);
    assert_replied(reply, 200, "4hi");
    char target[160], line[256];
    int fd;
    snprintf(target, sizeof target, WEBSOCKET "&sid=%s", next_id);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    peer_text(fd, "5");
    peer_text(fd, "4up");
    assert_peer_reads(&f, fd, "1:4up\n");
    eio_session_describe(polling, line, sizeof line);
    assert_non_null(strstr(line, "id=e58ed763-928c-4155-bee9-fdbaaadc15f3 "));
    close(fd);
    turn(&f);
    assert_null(eio_server_find(f.server, next_id, strlen(next_id)));
    reply = ask(POLLING); /* it may be given again */
    assert_opened_as(next_id, &reply);
    assert_int_equal(asked, 2);
}

/* As the reference's default, encodeURIComponent; the client sends it so too. */
static void the_id_is_encoded_where_it_stands_in_an_url_or_a_cookie(void **state)
{
    (void)state;
    next_id = "a/b+c=%&?";
    struct eio__test_reply reply = ask(POLLING);
    assert_non_null(strstr(reply.headers, "Set-Cookie: io=a%2Fb%2Bc%3D%25%26%3F; "));
    assert_opened_as(next_id, &reply);
    poll_request(&f, EIO_HTTP_POST, "a%2Fb%2Bc%3D%25%26%3F", "4x", &reply);
    assert_replied(reply, 200, "ok");
}

static void the_answer_may_come_later(void **state)
{
    (void)state;
    struct eio__test_reply polling, websocket;
    int fd;
    eio__test_request(f.server, EIO_HTTP_GET, POLLING, NULL, &polling);
    assert_false(polling.answered);
    struct eio_admission *first = waiting;
    eio__test_upgrade_begin(f.server, WEBSOCKET, &websocket, &fd);
    eio_admit_as(waiting, "second");
    turn(&f);
    char response[2048];
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"second\",", 18);
    eio_admit_as(first, "first");
    turn(&f);
    assert_opened_as("first", &polling);
    close(fd);
    /* Neither may whoever went away meanwhile be given one. */
    eio__test_request(f.server, EIO_HTTP_GET, POLLING, NULL, &polling);
    eio__test_abort(&polling);
    eio_admit_as(waiting, "third");
    assert_null(eio_server_find(f.server, "third", 5));
    assert_int_equal(f.opened, 2);
}

static void without_an_id_the_handshake_is_a_bad_request(void **state)
{
    (void)state;
    int fd;
    fails = true;
    struct eio__test_reply reply = ask(POLLING);
    assert_replied(reply, 400, BAD_REQUEST);
    assert_int_equal(eio__test_upgrade(f.server, WEBSOCKET, &fd), 400);
    assert_string_equal(errors, "3 Bad request ID_GENERATION_ERROR\n3 Bad request ID_GENERATION_ERROR\n");
    assert_int_equal(f.opened, 0);
}

static void ids_that_are_none_or_taken_are_refused(void **state)
{
    (void)state;
    char text[EIO_ID_BYTES_MAX + 2];
    static const char *const bad[] = {"", "a b", "a\"b", "a\\b", "a;b", "a,b", "a\r\nb", "\xc3\xbc"};
    struct eio__test_reply reply;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        next_id = bad[i];
        reply = ask(POLLING);
        assert_replied(reply, 400, BAD_REQUEST);
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    next_id = text;
    reply = ask(POLLING);
    assert_replied(reply, 400, BAD_REQUEST);
    text[EIO_ID_BYTES_MAX] = '\0';
    reply = ask(POLLING);
    assert_opened_as(text, &reply);
    /* The reference would take the session away from whoever has it. */
    reply = ask(POLLING);
    assert_replied(reply, 400, BAD_REQUEST);
    assert_int_equal(f.opened, 1);
    assert_int_equal(f.closed, 0);
}

static void unknown_protocols_are_refused_before_an_id_is_made(void **state)
{
    (void)state;
    fixture_clear(&f);
    fixture_init(&f);
    fixture_start(&f);
    struct eio_hooks hooks = {.generate_id = generate_id};
    eio_server_set_hooks(f.server, &hooks, &f);
    struct eio__test_reply reply = ask("/engine.io/?EIO=3&transport=polling");
    assert_replied(reply, 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}");
    assert_int_equal(asked, 0);
}

static void allow_request(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    (void)head, (void)ctx;
    eio_admit(admission);
}

static void it_is_asked_for_after_the_admission_and_may_leave_it_to_us(void **state)
{
    (void)state;
    struct eio_hooks hooks = {.allow_request = allow_request, .generate_id = generate_id};
    eio_server_set_hooks(f.server, &hooks, &f);
    next_id = "mine";
    struct eio__test_reply reply = ask(POLLING);
    assert_opened_as("mine", &reply);
    next_id = NULL;
    eio__test_request(f.server, EIO_HTTP_GET, POLLING, NULL, &reply);
    eio_admit(waiting);
    assert_int_equal(strlen(eio_session_id(f.session)), 20);
    assert_ptr_equal(eio_server_find(f.server, eio_session_id(f.session), 20), f.session);
    free(reply.body);
    assert_int_equal(asked, 2);
}

static void thousands_of_them_are_told_apart(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct eio_session *sessions[COUNT];
    char id[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "client-%d", i);
        next_id = id;
        struct eio__test_reply reply = ask(POLLING);
        free(reply.body);
        sessions[i] = f.session;
    }
    for (int i = 0; i < COUNT; i += 2) eio_session_abort(sessions[i], EIO_CLOSE_FORCED, NULL);
    turn(&f);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "client-%d", i);
        assert_ptr_equal(eio_server_find(f.server, id, strlen(id)), i % 2 ? sessions[i] : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_session_has_the_application_s_id_and_is_found_by_it),
        TEST(the_id_is_encoded_where_it_stands_in_an_url_or_a_cookie),
        TEST(the_answer_may_come_later),
        TEST(without_an_id_the_handshake_is_a_bad_request),
        TEST(ids_that_are_none_or_taken_are_refused),
        TEST(unknown_protocols_are_refused_before_an_id_is_made),
        TEST(it_is_asked_for_after_the_admission_and_may_leave_it_to_us),
        TEST(thousands_of_them_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
