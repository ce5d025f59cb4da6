/* Joining namespaces: the order of things, middleware, refusals, timeouts, and what a client must not do.
 * Numbers are those of the edge cases in the inventory of the reference's behaviour. */
#include "sio_fixture.h"

static struct talk t;

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    struct eio_str auth = sio_socket_auth(socket);
    note(&t, "connection %s auth=%.*s\n", sio_namespace_name(sio_socket_namespace(socket)), (int)auth.n, auth.p);
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    struct eio_str room;
    assert_false(sio_socket_is_connected(socket));
    note(&t, "disconnecting: %s, rooms=%d\n", reason, sio_socket_room_at(socket, 0, &room));
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    struct eio_str room;
    assert_false(sio_socket_room_at(socket, 0, &room));
    assert_int_equal(sio_join(socket, eio_str("late")), 0); /* 51: ignored */
    assert_false(sio_socket_is_in(socket, eio_str("late")));
    assert_int_equal(sio_emit(sio_only(socket), "late", sio_args_none()), EIO_ECLOSED);
    note(&t, "disconnect: %s\n", reason);
}

static void watch(struct sio_namespace *nsp)
{
    sio_on_connection(nsp, on_connection, NULL);
    sio_on_disconnecting(nsp, on_disconnecting, NULL);
    sio_on_disconnect(nsp, on_disconnect, NULL);
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    watch(t.root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

static void end(int fd)
{
    close(fd);
    talk_turn(&t);
    t.log[0] = '\0';
}

/* ---------------------------------------------------------------- joining */

static void the_public_id_is_not_the_one_of_the_transport(void **state)
{
    (void)state;
    char sid[21];
    int fd = client_join(&t, "", sid);
    struct sio_socket *socket = only_socket(t.root);
    assert_string_equal(sio_socket_id(socket), sid);
    assert_string_not_equal(eio_session_id(sio_socket_session(socket)), sid);
    assert_ptr_equal(sio_socket_find(t.root, sid, 20), socket);
    assert_null(sio_socket_find(t.root, sid, 19));
    end(fd);
}

static void auth_is_what_the_client_sent(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40{\"token\":\"abc\"}");
    assert_noted(&t, "connection / auth={\"token\":\"abc\"}\n");
    client_say(&t, fd, "41");
    assert_noted(&t, "disconnecting: client namespace disconnect, rooms=1\ndisconnect: client namespace disconnect\n");
    client_say(&t, fd, "40");
    assert_noted(&t, "connection / auth={}\n");
    end(fd);
}

static void several_namespaces_share_one_connection(void **state)
{
    (void)state;
    struct sio_namespace *chat = sio_of(t.io, "chat"); /* the slash is added */
    assert_string_equal(sio_namespace_name(chat), "/chat");
    assert_ptr_equal(chat, sio_of(t.io, "/chat"));
    int fd = client_join(&t, "", NULL);
    assert_memory_equal(client_say(&t, fd, "40/chat,"), "1:40/chat,{\"sid\":\"", 18);
    assert_int_equal(chat->socket_count, 1);
    assert_says(&t, fd, "41/chat,", "");
    assert_int_equal(chat->socket_count, 0);
    assert_int_equal(t.root->socket_count, 1);
    end(fd);
}

/* 31 */
static void an_unknown_namespace_is_refused_and_the_connection_stays(void **state)
{
    (void)state;
    int fd = client_open(&t);
    assert_says(&t, fd, "40/random", "1:44/random,{\"message\":\"Invalid namespace\"}\n");
    assert_says(&t, fd, "40/?x=1,", "1:44/?x=1,{\"message\":\"Invalid namespace\"}\n");
    assert_memory_equal(client_say(&t, fd, "40"), "1:40{", 5);
    end(fd);
}

static void too_many_namespaces_are_refused(void **state)
{
    (void)state;
    t.io->options.max_namespaces_per_client = 1;
    sio_of(t.io, "/two");
    int fd = client_join(&t, "", NULL);
    assert_says(&t, fd, "40/two", "1:44/two,{\"message\":\"Too many namespaces\"}\n");
    end(fd);
}

static void a_client_that_joins_nothing_in_time_is_closed(void **state)
{
    (void)state;
    int idle = client_open(&t), joined = client_join(&t, "", NULL);
    eio_loop_advance(t.loop, 25000); /* the server's ping, which both answer */
    peer_text(idle, "3");
    peer_text(joined, "3");
    talk_turn(&t);
    eio_loop_advance(t.loop, 19999);
    assert_null(strstr(peer_read(idle), CLOSED));
    eio_loop_advance(t.loop, 1);
    assert_non_null(strstr(peer_read(idle), CLOSED));
    assert_null(strstr(peer_read(joined), CLOSED));
    close(idle);
    end(joined);
}

/* -------------------------------------------------------------- violations */

static void assert_closes(const char *first, const char *text)
{
    int fd = client_open(&t);
    if (first) client_say(&t, fd, first);
    t.log[0] = '\0';
    if (strcmp(client_say(&t, fd, text), CLOSED) != 0) fail_msg("not closed by: %s", text);
    close(fd);
    talk_turn(&t);
}

/* 30 */
static void packets_that_do_not_fit_the_state_close_the_connection(void **state)
{
    (void)state;
    static const char *const before[] = {"42[\"x\"]", "41", "430[]", "44{\"message\":\"x\"}", "42/other,[\"x\"]"};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) assert_closes(NULL, before[i]);
    static const char *const after[] = {"40", "44{\"message\":\"x\"}", "42/other,[\"x\"]", "41/other,"};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        assert_closes("40", after[i]);
        assert_noted(&t, "disconnecting: forced server close, rooms=1\ndisconnect: forced server close\n");
    }
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "41");
    assert_says(&t, fd, "42[\"x\"]", CLOSED);
    end(fd);
}

/* 27, 29, 36 */
static void malformed_packets_close_the_connection_with_a_parse_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"4",
                                      "47",
                                      "4abc",
                                      "40null",
                                      "40[]",
                                      "40\"a\"",
                                      "40custom",
                                      "42{}",
                                      "42[]",
                                      "42[null]",
                                      "42[true]",
                                      "42[\"connect\"]",
                                      "42[\"newListener\"]",
                                      "42abc[\"x\"]",
                                      "431{}",
                                      "42[\"x\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_closes(NULL, bad[i]);
    assert_closes("40", "42[{\"toString\":\"foo\"}]");
    assert_noted(&t, "disconnecting: parse error, rooms=1\ndisconnect: parse error\n");
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.parse_errors, sizeof bad / sizeof bad[0] + 1);
    assert_int_equal(stats.sockets, 0);
}

/* -------------------------------------------------------------- disconnect */

static void the_reason_of_a_lost_connection_is_the_transport_s(void **state)
{
    (void)state;
    int fd = client_join(&t, "", NULL);
    t.log[0] = '\0';
    close(fd);
    talk_turn(&t);
    assert_noted(&t, "disconnecting: transport close, rooms=1\ndisconnect: transport close\n");
    fd = client_join(&t, "", NULL);
    t.log[0] = '\0';
    eio_loop_advance(t.loop, 45001);
    assert_noted(&t, "disconnecting: ping timeout, rooms=1\ndisconnect: ping timeout\n");
    end(fd);
}

static void the_server_disconnects_from_the_namespace_or_from_all(void **state)
{
    (void)state;
    struct sio_namespace *chat = sio_of(t.io, "/chat");
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "40/chat,");
    t.log[0] = '\0';
    sio_socket_disconnect(only_socket(t.root), false);
    assert_noted(&t, "disconnecting: server namespace disconnect, rooms=1\ndisconnect: server namespace disconnect\n");
    assert_hears(&t, fd, "1:41\n");
    client_say(&t, fd, "40");
    t.log[0] = '\0';
    /* 58: what was sent before arrives before. */
    sio_emit(sio_all(chat), "bye", sio_args_none());
    sio_socket_disconnect(only_socket(chat), true);
    assert_noted(&t, "disconnecting: server namespace disconnect, rooms=1\ndisconnect: server namespace disconnect\n");
    assert_hears(&t, fd, "1:42/chat,[\"bye\"]\n1:41/chat,\n1:41\n8:\n");
    end(fd);
}

/* -------------------------------------------------------------- middleware */

static struct sio_admission *held;

static void hold(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    note(&t, "%s\n", (const char *)ctx);
    sio_join(socket, eio_str("early"));
    held = admission;
}

static void pass(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket;
    note(&t, "%s\n", (const char *)ctx);
    sio_next(admission);
}

static void refuse(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    sio_join(socket, eio_str("early"));
    sio_refuse(admission, "not \"authorized\"", ctx);
}

static void answer_twice(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket;
    if (*(const char *)ctx == 'n') sio_next(admission);
    sio_refuse(admission, "no", NULL);
    sio_next(admission);
    sio_refuse(admission, "no", NULL);
}

/* engine.io 6.6.12 */
static void a_second_answer_of_middleware_is_ignored(void **state)
{
    (void)state;
    char next[] = "next", no[] = "refuse";
    sio_use(t.root, answer_twice, next);
    struct sio_namespace *secret = sio_of(t.io, "/secret");
    sio_use(secret, answer_twice, no);
    int fd = client_open(&t);
    assert_memory_equal(client_say(&t, fd, "40"), "1:40{\"sid\":\"", 12);
    assert_noted(&t, "connection / auth={}\n");
    assert_says(&t, fd, "40/secret,", "1:44/secret,{\"message\":\"no\"}\n");
    end(fd);
}

static void middleware_runs_in_order_and_then_the_socket_is_connected(void **state)
{
    (void)state;
    char first[] = "first", second[] = "second", third[] = "third";
    sio_use(t.root, pass, first);
    sio_use(t.root, hold, second);
    sio_use(t.root, pass, third);
    int fd = client_open(&t);
    assert_says(&t, fd, "40", "");
    assert_noted(&t, "first\nsecond\n");
    sio_emit(sio_to(sio_all(t.root), "early"), "x", sio_args_none()); /* not for one who is not in yet */
    assert_hears(&t, fd, "");
    sio_emit(sio_to(sio_all(t.root), "early"), "x", sio_args_none());
    sio_next(held);
    assert_noted(&t, "third\nconnection / auth={}\n");
    sio_emit(sio_to(sio_all(t.root), "early"), "y", sio_args_none());
    const char *heard = client_hear(&t, fd);
    assert_memory_equal(heard, "1:40{\"sid\":\"", 12);
    assert_string_equal(heard + 12 + 20, "\"}\n1:42[\"y\"]\n");
    end(fd);
}

/* 52 */
static void a_refused_client_leaves_its_rooms_and_may_try_again(void **state)
{
    (void)state;
    struct sio_namespace *secret = sio_of(t.io, "/secret");
    char data[] = "{\"code\":401}";
    sio_use(secret, refuse, data);
    watch(secret);
    int fd = client_open(&t);
    static const char answer[] = "1:44/secret,{\"message\":\"not \\\"authorized\\\"\",\"data\":{\"code\":401}}\n";
    assert_says(&t, fd, "40/secret,", answer);
    assert_null(rooms_find(secret->index, (struct rooms_name){"early", 5}));
    assert_int_equal(rooms_member_count(secret->index), 0);
    assert_says(&t, fd, "40/secret,", answer);
    assert_noted(&t, "");
    end(fd);
}

static void a_client_that_leaves_during_middleware_is_forgotten(void **state)
{
    (void)state;
    char name[] = "hold";
    sio_use(t.root, hold, name);
    int fd = client_open(&t);
    client_say(&t, fd, "40");
    close(fd);
    talk_turn(&t);
    assert_int_equal(t.io->client_count, 0);
    assert_noted(&t, "hold\n");
    sio_next(held);
    assert_noted(&t, "");
    fd = client_open(&t);
    client_say(&t, fd, "40");
    close(fd);
    talk_turn(&t);
    sio_refuse(held, "too late", NULL);
    fd = client_open(&t);
    client_say(&t, fd, "40"); /* never answered: freed with the server */
    end(fd);
}

static void on_dismissed(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    assert_string_equal(sio_socket_user(socket), "given");
    assert_false(sio_socket_is_in(socket, eio_str("early")));
    note(&t, "dismissed: %s\n", reason);
}

static void give(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    assert_ptr_equal(sio_admission_socket(admission), socket);
    sio_socket_set_user(socket, ctx);
    sio_next(admission);
}

/* What middleware gave to a socket is freed where that never connects: its client is gone, or it is refused. */
static void a_socket_that_never_connects_is_dismissed(void **state)
{
    (void)state;
    char name[] = "hold", given[] = "given", data[] = "1";
    sio_use(t.root, give, given);
    sio_use(t.root, hold, name);
    sio_on_dismissed(t.root, on_dismissed, NULL);
    assert_int_equal(sio_on_dismissed(t.root, NULL, NULL), EIO_EINVAL);
    int fd = client_open(&t);
    client_say(&t, fd, "40");
    assert_non_null(sio_admission_socket(held));
    close(fd);
    talk_turn(&t);
    assert_noted(&t, "hold\ndismissed: transport close\n");
    assert_null(sio_admission_socket(held));
    sio_next(held);
    assert_noted(&t, "");
    struct sio_namespace *secret = sio_of(t.io, "/secret");
    sio_use(secret, give, given);
    sio_use(secret, refuse, data);
    sio_on_dismissed(secret, on_dismissed, NULL);
    fd = client_open(&t);
    client_say(&t, fd, "40/secret,");
    assert_noted(&t, "dismissed: refused\n");
    end(fd);
    assert_noted(&t, "");
}

static void packets_during_middleware_close_the_connection(void **state)
{
    (void)state;
    char name[] = "hold";
    sio_use(t.root, hold, name);
    assert_closes("40", "42[\"x\"]");
    assert_noted(&t, "");
    sio_next(held);
    assert_closes("40", "41");
    sio_next(held);
}

static void a_second_connect_during_middleware_supersedes_the_first(void **state)
{
    (void)state;
    char name[] = "hold";
    sio_use(t.root, hold, name);
    int fd = client_open(&t);
    assert_says(&t, fd, "40", "");
    struct sio_admission *first = held;
    assert_says(&t, fd, "40{\"n\":2}", "");
    t.log[0] = '\0';
    sio_next(first);
    assert_hears(&t, fd, "");
    sio_next(held);
    assert_noted(&t, "connection / auth={\"n\":2}\n");
    assert_memory_equal(client_hear(&t, fd), "1:40{", 5);
    end(fd);
}

/* -------------------------------------------------------- made on demand */

static bool match(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 5 && memcmp(name.p, "/dyn-", 5) == 0;
}

/* 55 */
static void namespaces_are_made_when_clients_ask_and_share_their_parent_s_handlers(void **state)
{
    (void)state;
    char name[] = "hold", passing[] = "pass";
    struct sio_namespace *parent = sio_of_matching(t.io, match, NULL);
    watch(parent);
    sio_use(parent, hold, name);
    int one = client_open(&t), two = client_open(&t);
    assert_says(&t, one, "40/dyn-1,", "");
    struct sio_admission *first = held;
    assert_says(&t, two, "40/dyn-1,", ""); /* both wait: one namespace */
    struct sio_namespace *child = sio_of(t.io, "/dyn-1");
    sio_use(child, pass, passing);
    t.log[0] = '\0';
    sio_next(first);
    sio_next(held);
    assert_noted(&t, "pass\nconnection /dyn-1 auth={}\npass\nconnection /dyn-1 auth={}\n");
    assert_int_equal(sio_namespace_socket_count(child), 2);
    assert_int_equal(sio_namespace_socket_count(parent), 2);
    client_hear(&t, one);
    client_hear(&t, two);
    sio_emit(sio_all(parent), "all", sio_args_none()); /* to all children */
    assert_hears(&t, one, "1:42/dyn-1,[\"all\"]\n");
    assert_hears(&t, two, "1:42/dyn-1,[\"all\"]\n");
    assert_int_equal(sio_target_fetch(sio_all(parent), NULL, NULL), EIO_EINVAL);
    t.io->options.max_matched_namespaces = 1;
    assert_says(&t, one, "40/dyn-2,", "1:44/dyn-2,{\"message\":\"Invalid namespace\"}\n");
    close(one);
    end(two);
}

/* ---------------------------------------------------------------- draining */

static void on_drained(void *ctx)
{
    (void)ctx;
    note(&t, "drained\n");
}

static void draining_tells_everybody_and_then_its_caller(void **state)
{
    (void)state;
    int fd = client_join(&t, "", NULL);
    t.log[0] = '\0';
    sio_emit(sio_all(t.root), "last", sio_args_none());
    sio_drain(t.io, 5000, on_drained, NULL);
    assert_noted(&t, "disconnecting: server shutting down, rooms=1\ndisconnect: server shutting down\n");
    assert_hears(&t, fd, "1:42[\"last\"]\n8:\n");
    eio_loop_advance(t.loop, 1);
    assert_noted(&t, "drained\n");
    end(fd);
}

static void abort_session(struct eio_session *session, void *ctx)
{
    (void)ctx;
    eio_session_abort(session, EIO_CLOSE_POLICY, NULL);
}

/* The session is over, and its peer is still to get what was sent before. */
static void draining_waits_for_what_is_queued_of_sessions_that_are_over(void **state)
{
    enum { LARGE = 1 << 20 };
    static char text[LARGE], read_bytes[65536];
    struct sio_builder args;
    size_t got = 0;
    (void)state;
    int fd = client_join(&t, "", NULL);
    memset(text, 'x', sizeof text);
    sio_builder_init(&args);
    sio_builder_text(&args, text, sizeof text);
    sio_emit(sio_all(t.root), "large", sio_builder_args(&args));
    sio_builder_clear(&args);
    talk_turn(&t);
    eio_server_each(sio_server_engine(t.io), abort_session, NULL);
    t.log[0] = '\0';
    sio_drain(t.io, 5000, on_drained, NULL);
    eio_loop_advance(t.loop, 1000);
    assert_noted(&t, "");
    for (int i = 0; i < 1000 && !t.log[0]; i++) {
        ssize_t n = recv(fd, read_bytes, sizeof read_bytes, MSG_DONTWAIT);
        if (n > 0) got += (size_t)n;
        eio_loop_advance(t.loop, 10);
    }
    assert_noted(&t, "drained\n");
    assert_true(got > LARGE - (1 << 18)); /* the rest is with the kernel */
    close(fd);
}

static void draining_an_empty_server_is_done_at_once(void **state)
{
    (void)state;
    sio_drain(t.io, 5000, on_drained, NULL);
    assert_noted(&t, "");
    eio_loop_advance(t.loop, 0);
    assert_noted(&t, "drained\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_public_id_is_not_the_one_of_the_transport),
        TEST(auth_is_what_the_client_sent),
        TEST(several_namespaces_share_one_connection),
        TEST(an_unknown_namespace_is_refused_and_the_connection_stays),
        TEST(too_many_namespaces_are_refused),
        TEST(a_client_that_joins_nothing_in_time_is_closed),
        TEST(packets_that_do_not_fit_the_state_close_the_connection),
        TEST(malformed_packets_close_the_connection_with_a_parse_error),
        TEST(the_reason_of_a_lost_connection_is_the_transport_s),
        TEST(the_server_disconnects_from_the_namespace_or_from_all),
        TEST(a_second_answer_of_middleware_is_ignored),
        TEST(middleware_runs_in_order_and_then_the_socket_is_connected),
        TEST(a_refused_client_leaves_its_rooms_and_may_try_again),
        TEST(a_client_that_leaves_during_middleware_is_forgotten),
        TEST(a_socket_that_never_connects_is_dismissed),
        TEST(packets_during_middleware_close_the_connection),
        TEST(a_second_connect_during_middleware_supersedes_the_first),
        TEST(namespaces_are_made_when_clients_ask_and_share_their_parent_s_handlers),
        TEST(draining_tells_everybody_and_then_its_caller),
        TEST(draining_waits_for_what_is_queued_of_sessions_that_are_over),
        TEST(draining_an_empty_server_is_done_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
