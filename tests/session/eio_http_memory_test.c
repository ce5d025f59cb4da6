/* HTTP while allocations fail: a client gets whole answers, and after what is not whole the end. */
#include "../http/http_server.h"

#include "failing_malloc.h"
#include "test.h"

enum { BODY_BYTES = 3000 };

static struct server server;
static struct client client;

static void settle(void)
{
    for (int i = 0; i < 10; i++) {
        eio_loop_turn(server.loop, 0);
        struct pollfd wait = {.fd = client.fd, .events = POLLIN};
        poll(&wait, 1, 1);
    }
}

static bool answer_parked(void)
{
    static char body[BODY_BYTES];
    struct eio_http_request *request = server.parked;
    if (!request) return false;
    server.parked = NULL;
    memset(body, 'b', sizeof body);
    server_reply(request, 200, body, sizeof body);
    return true;
}

/* Whole answers at the beginning of what was received; *rest: how much is behind them. */
static size_t count_answers(const char *text, size_t *rest)
{
    static const char name[] = "Content-Length: ";
    size_t count = 0;
    for (const char *end; (end = strstr(text, "\r\n\r\n")) != NULL; count++) {
        const char *length = strstr(text, name);
        assert_true(length && length < end);
        size_t size = strtoul(length + sizeof name - 1, NULL, 10);
        if (strlen(end + 4) < size) break;
        text = end + 4 + size;
    }
    *rest = strlen(text);
    return count;
}

/* A head that is cut, a body that comes late, a request behind another, answers at once and later. */
static void talk(void)
{
    static const char *const pieces[] = {"GET /park HTTP/1.1\r\nHo", "st: a\r\n\r\n",
                                         "POST /park HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "cde",
                                         "GET /park HTTP/1.1\r\nHost: a\r\n\r\nGET /park HTTP/1.1\r\nHost: a\r\n\r\n"};
    size_t failing = fail_at, answers = 0, rest;
    fail_at = 0;
    server_start(&server, NULL);
    client_open(&client, server.loop, server.port);
    settle();
    allocations = failed = 0;
    fail_at = failing;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        (void)!send(client.fd, pieces[i], strlen(pieces[i]), MSG_NOSIGNAL);
        settle();
        answers += answer_parked();
        settle();
    }
    answers += answer_parked();
    settle();
    fail_at = 0;
    client_take(&client);
    size_t whole = count_answers(client.text, &rest);
    if (!failed) assert_int_equal(whole, answers);
    if (whole < answers || rest) assert_true(client.eof || client.reset);
    client_close(&client);
    settle();
    assert_int_equal(server_stats(&server).connections, 0);
    server_stop(&server);
    fail_at = failing;
}

TEST(http_memory, an_answer_is_whole_or_the_connection_ends)
{
    size_t rounds = 0;
    for (fail_at = 1;; fail_at++) {
        talk();
        if (!failed) break;
        rounds++;
    }
    fail_at = 0;
    assert_true(rounds > 5);
}

TEST_MAIN
