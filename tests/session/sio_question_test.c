/* Namespaces that a function of the application decides on, with the client's auth, now or later (row N2, case 55). */
#include "sio_fixture.h"

static struct talk t;
static struct sio_question *asked[8];
static size_t asked_count;

/* "/now-…" is allowed or not by the auth, "/later-…" waits, anything else is refused. */
static void decide(struct sio_question *question, struct eio_str name, struct eio_str auth, void *ctx)
{
    note(&t, "%s %.*s %.*s\n", (const char *)ctx, (int)name.n, name.p, (int)auth.n, auth.p);
    if (memcmp(name.p, "/later", 6) == 0)
        asked[asked_count++] = question;
    else
        sio_decide(question, memcmp(name.p, "/now", 4) == 0 && eio_str_is(sio_json_member(auth, "ok"), "true"));
}

static bool match_any(struct eio_str name, void *ctx)
{
    (void)ctx;
    note(&t, "match %.*s\n", (int)name.n, name.p);
    return name.n > 6 && memcmp(name.p + name.n - 4, "-any", 4) == 0;
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    note(&t, "%s in %s\n", (const char *)ctx, sio_namespace_name(sio_socket_namespace(socket)));
}

static char first[] = "first", second[] = "second", matching[] = "matching";

static int setup(void **state)
{
    (void)state;
    asked_count = 0;
    talk_init(&t);
    t.options.engine.allow_eio3 = true;
    t.options.max_matched_namespaces = 3;
    t.options.max_namespaces_per_client = 4;
    talk_start(&t);
    sio_on_connection(sio_of_deciding(t.io, decide, first), on_connection, first);
    sio_on_connection(sio_of_matching(t.io, match_any, NULL), on_connection, matching);
    sio_on_connection(sio_of_deciding(t.io, decide, second), on_connection, second);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

#define INVALID(name) "1:44" name ",{\"message\":\"Invalid namespace\"}\n"

static void assert_joins(int fd, const char *packet, const char *expected)
{
    assert_memory_equal(client_say(&t, fd, packet), expected, strlen(expected));
}

static size_t namespaces(void)
{
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    return stats.namespaces;
}

static void parents_are_asked_in_turn_with_the_auth(void **state)
{
    (void)state;
    int fd = client_open(&t);
    assert_joins(fd, "40/now-1,{\"ok\":true}", "1:40/now-1,{\"sid\":");
    assert_noted(&t, "first /now-1 {\"ok\":true}\nfirst in /now-1\n");
    assert_says(&t, fd, "40/now-2,{\"ok\":false}", INVALID("/now-2"));
    assert_noted(&t, "first /now-2 {\"ok\":false}\nmatch /now-2\nsecond /now-2 {\"ok\":false}\n");
    assert_joins(fd, "40/it-is-any", "1:40/it-is-any,{\"sid\":");
    assert_noted(&t, "first /it-is-any {}\nmatch /it-is-any\nmatching in /it-is-any\n");
    /* One that is there is not asked for: the auth is the middleware's business then. */
    int other = client_open(&t);
    assert_joins(other, "40/now-1,{\"ok\":false}", "1:40/now-1,{\"sid\":");
    assert_noted(&t, "first in /now-1\n");
    close(fd);
    close(other);
}

static void the_decision_may_come_later(void **state)
{
    (void)state;
    int fd = client_open(&t);
    assert_says(&t, fd, "40/later,{\"a\":1}", "");
    assert_joins(fd, "40", "1:40{\"sid\":\"");
    assert_noted(&t, "first /later {\"a\":1}\n");
    sio_decide(asked[0], true);
    assert_memory_equal(client_hear(&t, fd), "1:40/later,{\"sid\":", 18);
    assert_noted(&t, "first in /later\n");
    close(fd);
}

static void one_that_refuses_later_leaves_it_to_the_next(void **state)
{
    (void)state;
    int fd = client_open(&t);
    assert_says(&t, fd, "40/later", "");
    sio_decide(asked[0], false);
    assert_noted(&t, "first /later {}\nmatch /later\nsecond /later {}\n");
    assert_hears(&t, fd, "");
    sio_decide(asked[1], false);
    assert_hears(&t, fd, INVALID("/later"));
    assert_says(&t, fd, "40/later", "");
    sio_decide(asked[2], false);
    sio_decide(asked[3], true);
    assert_memory_equal(client_hear(&t, fd), "1:40/later,{\"sid\":", 18);
    assert_non_null(strstr(t.log, "second in /later\n"));
    close(fd);
}

/* Edge case 55. */
static void two_who_are_allowed_at_once_meet_in_one_namespace(void **state)
{
    (void)state;
    int a = client_open(&t), b = client_open(&t);
    client_say(&t, a, "40/later");
    client_say(&t, b, "40/later");
    sio_decide(asked[1], true);
    sio_decide(asked[0], true);
    assert_memory_equal(client_hear(&t, a), "1:40/later,{\"sid\":", 18);
    assert_memory_equal(client_hear(&t, b), "1:40/later,{\"sid\":", 18);
    assert_int_equal(namespaces(), 2);
    sio_emit(sio_all(sio_of(t.io, "/later")), "both", sio_args_none());
    assert_hears(&t, a, "1:42/later,[\"both\"]\n");
    assert_hears(&t, b, "1:42/later,[\"both\"]\n");
    close(a);
    close(b);
}

static void a_client_that_is_gone_needs_no_decision(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40/later");
    close(fd);
    talk_turn(&t);
    sio_decide(asked[0], true);
    talk_turn(&t);
    assert_int_equal(namespaces(), 1);
    fd = client_open(&t); /* and one that nobody decides on is freed with the server */
    client_say(&t, fd, "40/later");
    close(fd);
}

static void who_asks_twice_is_answered_once(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40/later,{\"n\":1}");
    client_say(&t, fd, "40/later,{\"n\":2}");
    sio_decide(asked[1], true);
    assert_memory_equal(client_hear(&t, fd), "1:40/later,{\"sid\":", 18);
    sio_decide(asked[0], true);
    assert_hears(&t, fd, "");
    assert_int_equal(sio_of(t.io, "/later")->socket_count, 1);
    assert_true(eio_str_is(sio_socket_auth(only_socket(sio_of(t.io, "/later"))), "{\"n\":2}"));
    close(fd);
}

/* It was made for somebody else, and the client asked again meanwhile. */
static void who_is_in_already_does_not_come_again(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40/later");
    sio_of(t.io, "/later");
    assert_joins(fd, "40/later", "1:40/later,{\"sid\":");
    sio_decide(asked[0], true);
    assert_hears(&t, fd, "");
    assert_int_equal(sio_of(t.io, "/later")->socket_count, 1);
    close(fd);
}

static void packets_before_the_decision_close_the_connection(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40/later");
    assert_says(&t, fd, "42/later,[\"early\"]", CLOSED);
    sio_decide(asked[0], true);
    talk_turn(&t);
    assert_int_equal(namespaces(), 1);
    close(fd);
}

static void questions_count_as_namespaces_of_the_client(void **state)
{
    (void)state;
    int fd = client_open(&t);
    char packet[32];
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    for (int i = 0; i < 4; i++) {
        snprintf(packet, sizeof packet, "40/later-%d", i);
        assert_says(&t, fd, packet, "");
    }
    assert_says(&t, fd, "40/later-4", "1:44/later-4,{\"message\":\"Too many namespaces\"}\n");
    for (int i = 0; i < 3; i++) sio_decide(asked[i], true);
    assert_non_null(strstr(client_hear(&t, fd), "1:40/later-2,{"));
    sio_decide(asked[3], true); /* max_matched_namespaces */
    assert_hears(&t, fd, INVALID("/later-3"));
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    close(fd);
}

static void a_server_that_drains_lets_nobody_in(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40/later");
    sio_drain(t.io, 1000, NULL, NULL);
    sio_decide(asked[0], true);
    talk_turn(&t);
    assert_int_equal(namespaces(), 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(parents_are_asked_in_turn_with_the_auth),      TEST(the_decision_may_come_later),
        TEST(one_that_refuses_later_leaves_it_to_the_next), TEST(two_who_are_allowed_at_once_meet_in_one_namespace),
        TEST(a_client_that_is_gone_needs_no_decision),      TEST(who_asks_twice_is_answered_once),
        TEST(who_is_in_already_does_not_come_again),        TEST(packets_before_the_decision_close_the_connection),
        TEST(questions_count_as_namespaces_of_the_client),  TEST(a_server_that_drains_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
