/* What an application may say about handshakes: admission, headers, errors, the cookie, the initial packet, the path.
 */
#include "eio_fixture.h"

#include "eio_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct fixture f;
static enum { ADMIT, DENY, WAIT, ADMIT_THEN_DENY, DENY_THEN_ADMIT } decision;
static const char *deny_text;
static struct eio_admission *waiting;
static int asked, initial_count, header_count;
static char errors[1024];

static void allow_request(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    assert_ptr_equal(ctx, &f);
    assert_true(eio_str_is(eio_http_head_field(head, "host"), "test"));
    asked++;
    if (decision == DENY_THEN_ADMIT) eio_deny(admission, deny_text);
    if (decision == ADMIT || decision == ADMIT_THEN_DENY || decision == DENY_THEN_ADMIT) eio_admit(admission);
    if (decision == DENY || decision == ADMIT_THEN_DENY) eio_deny(admission, deny_text);
    if (decision == WAIT) waiting = admission;
}

static void on_headers(struct eio_headers *headers, const struct eio_http_head *head, bool initial, void *ctx)
{
    (void)ctx;
    (void)head;
    header_count++;
    initial_count += initial;
    eio_headers_add(headers, initial ? "X-Initial" : "X-Every", "yes");
    eio_headers_add(headers, "X-Split", "a\r\nX-Evil: 1");
    eio_headers_add(headers, "X-Bad\r\nX-Evil", "1");
}

static void on_connection_error(const struct eio_http_head *head, int code, const char *message, const char *context,
                                void *ctx)
{
    (void)ctx;
    assert_non_null(head);
    size_t used = strlen(errors);
    snprintf(errors + used, sizeof errors - used, "%d %s %s\n", code, message, context ? context : "-");
}

static const struct eio_hooks all_hooks = {allow_request, on_headers, on_connection_error};

static void start(const struct eio_hooks *hooks)
{
    fixture_start(&f);
    if (hooks) eio_server_set_hooks(f.server, hooks, &f);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    decision = ADMIT;
    deny_text = NULL;
    waiting = NULL;
    asked = initial_count = header_count = 0;
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

static void ask(const char *target, struct eio__test_reply *reply)
{
    eio__test_request(f.server, EIO_HTTP_GET, target, NULL, reply);
    turn(&f);
}

/* --------------------------------------------------------------- admission */

static void every_handshake_is_asked_for_and_nothing_else(void **state)
{
    (void)state;
    char sid[21];
    int fd;
    struct eio__test_reply reply;
    start(&all_hooks);
    poll_open(&f, sid);
    assert_int_equal(asked, 1);
    poll_request(&f, EIO_HTTP_POST, sid, "4x", &reply);
    assert_replied(reply, 200, "ok");
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &reply);
    assert_replied(reply, 200, "4x");
    char target[128];
    snprintf(target, sizeof target, WEBSOCKET "&sid=%s", sid);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
    close(fd);
    assert_int_equal(asked, 1);
    assert_int_equal(eio__test_upgrade(f.server, WEBSOCKET, &fd), 0);
    close(fd);
    assert_int_equal(asked, 2);
    ask("/engine.io/?EIO=4&transport=x", &reply); /* what is refused anyway is not asked for */
    free(reply.body);
    assert_int_equal(asked, 2);
}

static void a_denied_poll_gets_403_and_the_words(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    start(&all_hooks);
    decision = DENY;
    ask(POLLING, &reply);
    assert_string_equal(reply.type, "application/json");
    assert_replied(reply, 403, "{\"code\":4,\"message\":\"Forbidden\"}");
    deny_text = "no \"thanks\"\n\\";
    ask(POLLING, &reply);
    assert_replied(reply, 403, "{\"code\":4,\"message\":\"no \\\"thanks\\\"\\u000a\\\\\"}");
    deny_text = "";
    ask(POLLING, &reply);
    assert_replied(reply, 403, "{\"code\":4,\"message\":\"Forbidden\"}");
    assert_int_equal(f.opened, 0);
    assert_string_equal(errors, "4 Forbidden -\n4 Forbidden -\n4 Forbidden -\n");
}

/* engine.io 6.6.12 */
static void a_second_answer_is_ignored(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    start(&all_hooks);
    decision = ADMIT_THEN_DENY;
    ask(POLLING, &reply);
    assert_int_equal(reply.status, 200);
    free(reply.body);
    decision = DENY_THEN_ADMIT;
    ask(POLLING, &reply);
    assert_replied(reply, 403, "{\"code\":4,\"message\":\"Forbidden\"}");
    assert_int_equal(f.opened, 1);
}

static void a_denied_websocket_gets_400_and_the_text(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    int fd;
    start(&all_hooks);
    decision = DENY;
    deny_text = "not you";
    eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
    assert_string_equal(reply.type, "text/html");
    assert_replied(reply, 400, "not you");
    assert_string_equal(errors, "4 Forbidden -\n");
    close(fd);
}

static void a_decision_may_come_later(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char response[1024];
    int fd;
    start(&all_hooks);
    decision = WAIT;
    ask(POLLING, &reply);
    assert_false(reply.answered);
    eio_loop_advance(f.loop, 60000);
    assert_false(reply.answered);
    eio_admit(waiting);
    assert_true(reply.answered);
    assert_int_equal(reply.status, 200);
    free(reply.body);
    assert_int_equal(f.opened, 1);
    ask(POLLING, &reply);
    eio_deny(waiting, "late");
    assert_replied(reply, 403, "{\"code\":4,\"message\":\"late\"}");
    eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
    assert_false(eio__test_take_response(fd, response, sizeof response));
    eio_admit(waiting);
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_memory_equal(response, "HTTP/1.1 101 ", 13);
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    assert_int_equal(f.opened, 2);
    close(fd);
}

static void the_client_may_go_away_before_the_decision(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    int fd;
    start(&all_hooks);
    decision = WAIT;
    for (int i = 0; i < 4; i++) {
        if (i & 1)
            eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
        else
            ask(POLLING, &reply);
        eio__test_abort(&reply);
        if (i & 2)
            eio_admit(waiting);
        else
            eio_deny(waiting, "too late");
        if (i & 1) close(fd);
    }
    turn(&f);
    assert_int_equal(f.opened, 0);
    assert_string_equal(errors, "");
}

static void the_server_may_go_away_before_the_decision(void **state)
{
    (void)state;
    struct eio__test_reply polling, upgrade, gone;
    struct eio_admission *pending[3];
    int fd;
    start(&all_hooks);
    decision = WAIT;
    ask(POLLING, &polling);
    pending[0] = waiting;
    eio__test_upgrade_begin(f.server, WEBSOCKET, &upgrade, &fd);
    pending[1] = waiting;
    ask(POLLING, &gone);
    pending[2] = waiting;
    eio__test_abort(&gone);
    eio_server_free(f.server);
    f.server = NULL;
    assert_replied(polling, 503, "");
    assert_replied(upgrade, 503, "");
    eio_admit(pending[0]);
    eio_deny(pending[1], NULL);
    eio_admit(pending[2]);
    assert_int_equal(f.opened, 0);
    close(fd);
}

static void who_is_admitted_while_the_server_closes_is_refused(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    int fd;
    start(&all_hooks);
    decision = WAIT;
    ask(POLLING, &reply);
    struct eio_admission *first = waiting;
    struct eio__test_reply upgrade;
    eio__test_upgrade_begin(f.server, WEBSOCKET, &upgrade, &fd);
    eio_server_close_all(f.server, EIO_CLOSE_SHUTTING_DOWN);
    eio_admit(first);
    eio_admit(waiting);
    assert_replied(reply, 503, "The server is shutting down");
    assert_replied(upgrade, 503, "The server is shutting down");
    ask(POLLING, &reply);
    assert_replied(reply, 503, "The server is shutting down");
    assert_int_equal(asked, 2);
    assert_int_equal(f.opened, 0);
    close(fd);
}

/* The same over TCP, where it is the connection that goes away. */
static int tcp_ask(uint16_t port, const char *target, const char *fields)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    char text[512];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", target, fields);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    for (int i = 0; i < 1000 && !waiting; i++) eio_loop_turn(f.loop, 1);
    assert_non_null(waiting);
    return fd;
}

static void connections_may_go_away_before_the_decision(void **state)
{
    (void)state;
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static const struct linger reset = {.l_onoff = 1};
    struct eio_http_options options;
    char answer[512];
    eio_http_options_init(&options);
    start(&all_hooks);
    struct eio_http *http = eio_http_new(f.loop, &options);
    assert_int_equal(eio_server_attach(f.server, http), 0);
    assert_int_equal(eio_http_listen(http, "127.0.0.1", 0), 0);
    decision = WAIT;
    for (int i = 0; i < 8; i++) {
        waiting = NULL;
        int fd = tcp_ask(eio_http_port(http), i & 1 ? WEBSOCKET : POLLING, i & 1 ? upgrade : "");
        if (i & 2) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        for (int j = 0; j < 20; j++) eio_loop_turn(f.loop, 1);
        if (i & 4)
            eio_admit(waiting);
        else
            eio_deny(waiting, NULL);
        for (int j = 0; j < 20; j++) eio_loop_turn(f.loop, 1);
    }
    assert_int_equal(f.opened, f.closed);
    waiting = NULL;
    int fd = tcp_ask(eio_http_port(http), WEBSOCKET, upgrade);
    eio_admit(waiting);
    ssize_t n = 0;
    for (int i = 0; i < 1000 && n <= 0; i++) {
        eio_loop_turn(f.loop, 1);
        n = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
    }
    assert_true(n > 13);
    assert_memory_equal(answer, "HTTP/1.1 101 ", 13);
    close(fd);
    waiting = NULL;
    fd = tcp_ask(eio_http_port(http), POLLING, "");
    eio_server_free(f.server);
    f.server = NULL;
    eio_http_free(http);
    eio_admit(waiting);
    close(fd);
}

/* Decisions in another order than the questions: the list of those that wait stays whole. */
static void decisions_come_in_any_order(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    static const int order[COUNT] = {2, 0, 4, 1, 3};
    struct eio__test_reply reply[COUNT];
    struct eio_admission *pending[COUNT];
    start(&all_hooks);
    decision = WAIT;
    for (int i = 0; i < COUNT; i++) {
        ask(POLLING, &reply[i]);
        pending[i] = waiting;
    }
    for (int i = 0; i < COUNT; i++) {
        eio_admit(pending[order[i]]);
        assert_true(reply[order[i]].answered);
        free(reply[order[i]].body);
        assert_int_equal(f.opened, i + 1);
    }
}

/* ----------------------------------------------------------------- headers */

static void hooks_see_the_first_and_every_response(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char response[2048], sid[21];
    int fd;
    start(&all_hooks);
    ask(POLLING, &reply);
    assert_string_equal(reply.headers, "cache-control: no-store\nX-Initial: yes\n");
    memcpy(sid, reply.body + 9, 20);
    sid[20] = '\0';
    free(reply.body);
    poll_request(&f, EIO_HTTP_POST, sid, "4x", &reply);
    assert_string_equal(reply.headers, "cache-control: no-store\nX-Every: yes\n");
    free(reply.body);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &reply);
    assert_string_equal(reply.headers, "cache-control: no-store\nX-Every: yes\n");
    free(reply.body);
    char target[128];
    snprintf(target, sizeof target, WEBSOCKET "&sid=%s", sid);
    eio__test_upgrade_begin(f.server, target, &reply, &fd);
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_non_null(strstr(response, "\r\nX-Every: yes\r\n"));
    assert_null(strstr(response, "Evil"));
    close(fd);
    eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_non_null(strstr(response, "\r\nX-Initial: yes\r\n"));
    close(fd);
    assert_int_equal(initial_count, 2);
    assert_int_equal(header_count, 5);
    ask(POLLING "&sid=x", &reply); /* refusals are not dressed */
    assert_string_equal(reply.headers, "");
    free(reply.body);
}

static void many_or_long_headers(struct eio_headers *headers, const struct eio_http_head *head, bool initial, void *ctx)
{
    (void)head;
    (void)initial;
    (void)ctx;
    static char text[EIO__HEADER_BYTES + 1];
    memset(text, 'x', sizeof text - 1);
    eio_headers_add(headers, "X-Long", text);
    eio_headers_add(headers, "X-Empty", "");
    for (int i = 0; i < 100; i++) eio_headers_add(headers, "X-Many", "1");
}

static void too_many_headers_are_left_out(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    int fd;
    char response[8192];
    start(&(struct eio_hooks){.on_headers = many_or_long_headers});
    ask(POLLING, &reply);
    assert_null(strstr(reply.headers, "X-Long"));
    assert_non_null(strstr(reply.headers, "X-Empty: \nX-Many: 1\n"));
    free(reply.body);
    eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    close(fd);
}

/* E29. */
static void internet_explorer_gets_its_header(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    start(NULL);
    eio__test_fields("User-Agent: Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0)\r\n");
    ask(POLLING, &reply);
    eio__test_fields("");
    assert_string_equal(reply.headers, "cache-control: no-store\nX-XSS-Protection: 0\n");
    free(reply.body);
}

/* ------------------------------------------------------------------ errors */

/* E24: the codes, messages and names of contexts of the reference. */
static void connection_errors_are_reported(void **state)
{
    (void)state;
    char sid[21], target[160];
    struct eio__test_reply reply;
    int fd;
    start(&all_hooks);
    poll_open(&f, sid);
    ask("/engine.io/?EIO=4&transport=x", &reply);
    free(reply.body);
    ask(POLLING "&sid=x", &reply);
    free(reply.body);
    eio__test_request(f.server, EIO_HTTP_POST, POLLING, "4x", &reply);
    free(reply.body);
    ask(WEBSOCKET, &reply);
    free(reply.body);
    snprintf(target, sizeof target, WEBSOCKET "&sid=%s", sid);
    ask(target, &reply);
    free(reply.body);
    snprintf(target, sizeof target, "/engine.io/?EIO=3&transport=polling&sid=%s", sid);
    ask(target, &reply);
    free(reply.body);
    ask("/engine.io/?EIO=3&transport=polling", &reply);
    free(reply.body);
    assert_int_equal(eio__test_upgrade(f.server, "/engine.io/?EIO=3&transport=websocket", &fd), 400);
    assert_int_equal(eio__test_upgrade(f.server, WEBSOCKET "&sid=x", &fd), 400);
    assert_string_equal(errors, "0 Transport unknown -\n"
                                "1 Session ID unknown -\n"
                                "2 Bad handshake method -\n"
                                "3 Bad request TRANSPORT_HANDSHAKE_ERROR\n"
                                "3 Bad request TRANSPORT_MISMATCH\n"
                                "3 Bad request PROTOCOL_MISMATCH\n"
                                "5 Unsupported protocol version -\n"
                                "5 Unsupported protocol version -\n"
                                "1 Session ID unknown -\n");
    assert_int_equal(f.opened, 1);
    assert_int_equal(f.closed, 0);
}

/* -------------------------------------------------------------------- CORS */

static void the_preflight_s_status_is_an_option(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    f.options.cors.origin = "*";
    start(NULL);
    eio__test_request(f.server, EIO_HTTP_OPTIONS, POLLING, NULL, &reply);
    assert_string_equal(reply.type, "");
    assert_replied(reply, 204, "");
    teardown(NULL);
    setup(NULL);
    f.options.cors.origin = "*";
    f.options.cors.options_success_status = 200;
    start(NULL);
    eio__test_request(f.server, EIO_HTTP_OPTIONS, POLLING, NULL, &reply);
    assert_replied(reply, 200, "");
    /* Passed on, it is no handshake; the headers stay. */
    teardown(NULL);
    setup(NULL);
    f.options.cors.origin = "*";
    f.options.cors.preflight_continue = true;
    start(NULL);
    eio__test_request(f.server, EIO_HTTP_OPTIONS, POLLING, NULL, &reply);
    assert_non_null(strstr(reply.headers, "Access-Control-Allow-Methods: "));
    assert_replied(reply, 400, "{\"code\":2,\"message\":\"Bad handshake method\"}");
}

/* ------------------------------------------------------------------ cookie */

static void assert_cookie(struct eio_cookie cookie, const char *expected)
{
    struct eio__test_reply reply;
    char text[512];
    fixture_clear(&f);
    fixture_init(&f);
    f.options.cookie = cookie;
    start(NULL);
    ask(POLLING, &reply);
    snprintf(text, sizeof text, "cache-control: no-store\nSet-Cookie: %.*s%.20s%s\n", (int)strcspn(expected, ";"),
             expected, reply.body + 9, strchr(expected, ';'));
    assert_string_equal(reply.headers, text);
    free(reply.body);
}

/* E15: the texts are those of the reference's cookie package; the id stands behind the first "=". */
static void the_cookie_is_written_as_the_reference_does(void **state)
{
    (void)state;
    start(NULL);
    struct eio_options defaults;
    eio_options_init(&defaults);
    struct eio_cookie cookie = defaults.cookie;
    cookie.name = "io";
    assert_cookie(cookie, "io=; Path=/; HttpOnly; SameSite=Lax");
    cookie = (struct eio_cookie){"lb", "/engine.io", "example.org", "strict", 3600, -1, true, true};
    assert_cookie(cookie, "lb=; Max-Age=3600; Domain=example.org; Path=/engine.io; HttpOnly; Secure; SameSite=Strict");
    cookie = (struct eio_cookie){"lb", NULL, NULL, NULL, 0, -1, false, false};
    assert_cookie(cookie, "lb=; Max-Age=0");
    cookie = (struct eio_cookie){"lb", "/", NULL, "None", -1, 1893456000, true, true};
    assert_cookie(cookie, "lb=; Path=/; Expires=Tue, 01 Jan 2030 00:00:00 GMT; HttpOnly; Secure; SameSite=None");
}

static void quiet(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level, (void)line;
    ++*(int *)ctx;
}

/* GHSA-pxg6-pf52-xh8x of the reference's cookie package: nothing in an option begins another attribute or header. */
static void a_cookie_of_bad_characters_is_refused(void **state)
{
    (void)state;
    static const struct eio_cookie bad[] = {
        {.name = ""},
        {.name = "a b"},
        {.name = "a=b"},
        {.name = "a;b"},
        {.name = "a\r\nb"},
        {.name = "\xc3\xbc"},
        {.name = "io", .path = "/; Domain=evil.example"},
        {.name = "io", .path = "/\r\nX-Evil: 1"},
        {.name = "io", .domain = "a.example; Secure"},
        {.name = "io", .domain = "a.example\n"},
        {.name = "io", .same_site = "Lax; Domain=evil.example"},
        {.name = "io", .same_site = "Lax\x7f"},
    };
    int lines = 0;
    start(NULL);
    eio_log_set(quiet, &lines, EIO_LOG_ERROR);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct eio_options options;
        eio_options_init(&options);
        options.cookie = bad[i];
        assert_null(eio_server_new(f.loop, &options, NULL, NULL));
        assert_int_equal(lines, i + 1);
    }
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
}

/* A header's value with a line break, or another control character, is left out; so is a name with one. */
static void control_characters_never_reach_a_header(void **state)
{
    (void)state;
    struct eio_headers headers;
    headers.count = headers.used = 0;
    start(NULL);
    for (int c = 1; c < 256; c++) {
        char value[4] = {'a', (char)c, 'b'};
        bool allowed = (c >= ' ' && c != 0x7f) || c == '\t';
        size_t before = headers.count = headers.used = 0;
        eio_headers_add(&headers, "X-Value", value);
        assert_int_equal(headers.count, before + allowed);
        if (c < ' ' && c != '\t') eio_headers_add(&headers, value, "x");
        assert_int_equal(headers.count, before + allowed);
    }
}

/* Only there: not in later responses, and as in the reference not in a 101. */
static void the_cookie_comes_with_the_polling_handshake(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char sid[21], response[1024];
    int fd;
    f.options.cookie.name = "io";
    start(NULL);
    poll_open(&f, sid);
    poll_request(&f, EIO_HTTP_POST, sid, "4x", &reply);
    assert_string_equal(reply.headers, "cache-control: no-store\n");
    free(reply.body);
    eio__test_upgrade_begin(f.server, WEBSOCKET, &reply, &fd);
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_null(strstr(response, "Cookie"));
    close(fd);
}

/* ---------------------------------------------------------- initial packet */

static void the_initial_packet_follows_the_open_packet(void **state)
{
    (void)state;
    struct eio__test_reply reply, get;
    int fd;
    char sid[21];
    f.options.initial_packet = "hello";
    f.options.allow_eio3 = true;
    start(NULL);
    ask(POLLING, &reply);
    assert_memory_equal(reply.body, "0{\"sid\":\"", 9);
    assert_string_equal(strchr(reply.body, 0x1e), "\x1e"
                                                  "4hello");
    memcpy(sid, reply.body + 9, 20);
    sid[20] = '\0';
    free(reply.body);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get); /* nothing of it comes again */
    assert_false(get.answered);
    poll_request(&f, EIO_HTTP_POST, sid, "4x", &reply);
    assert_replied(reply, 200, "ok");
    assert_replied(get, 200, "4x");
    ask("/engine.io/?EIO=3&transport=polling", &reply);
    assert_string_equal(strstr(reply.body, "}6:"), "}6:4hello");
    free(reply.body);
    assert_int_equal(eio__test_upgrade(f.server, WEBSOCKET, &fd), 0);
    assert_non_null(strstr(peer_read(fd), "}\n1:4hello\n"));
    close(fd);
}

/* ------------------------------------------------------------- path, over TCP-less routing */

static void answer_404(struct eio_http_request *request, void *ctx)
{
    (void)request;
    (void)ctx;
}

/* E1, E2: routes are asked for by what attaching made of the path. */
static void assert_routes(const char *path, bool slash, const char *route)
{
    struct eio_http_options options;
    eio_http_options_init(&options);
    fixture_clear(&f);
    fixture_init(&f);
    f.options.path = path;
    f.options.add_trailing_slash = slash;
    start(NULL);
    struct eio_http *http = eio_http_new(f.loop, &options);
    assert_non_null(http);
    assert_int_equal(eio_server_attach(f.server, http), 0);
    assert_int_equal(eio_http_route(http, route, 0, answer_404, NULL), EIO_EEXIST);
    eio_http_free(http);
}

static void the_path_is_a_prefix_with_a_trailing_slash(void **state)
{
    (void)state;
    start(NULL);
    assert_routes("/engine.io", true, "/engine.io/*");
    assert_routes("/engine.io/", true, "/engine.io/*");
    assert_routes("/engine.io", false, "/engine.io*");
    assert_routes("/engine.io/", false, "/engine.io*");
    assert_routes("/", true, "/*");
    assert_routes("/a/b", true, "/a/b/*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(every_handshake_is_asked_for_and_nothing_else),
        TEST(a_denied_poll_gets_403_and_the_words),
        TEST(a_second_answer_is_ignored),
        TEST(a_denied_websocket_gets_400_and_the_text),
        TEST(a_decision_may_come_later),
        TEST(the_client_may_go_away_before_the_decision),
        TEST(the_server_may_go_away_before_the_decision),
        TEST(who_is_admitted_while_the_server_closes_is_refused),
        TEST(connections_may_go_away_before_the_decision),
        TEST(decisions_come_in_any_order),
        TEST(hooks_see_the_first_and_every_response),
        TEST(too_many_headers_are_left_out),
        TEST(internet_explorer_gets_its_header),
        TEST(connection_errors_are_reported),
        TEST(the_cookie_is_written_as_the_reference_does),
        TEST(the_preflight_s_status_is_an_option),
        TEST(a_cookie_of_bad_characters_is_refused),
        TEST(control_characters_never_reach_a_header),
        TEST(the_cookie_comes_with_the_polling_handshake),
        TEST(the_initial_packet_follows_the_open_packet),
        TEST(the_path_is_a_prefix_with_a_trailing_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
