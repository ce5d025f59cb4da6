/* Limits of the Socket.IO server: each is hit by one client, while another notices nothing. */
#include "sio_fixture.h"

static struct talk t;
static int bystander = -1;

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    sio_ack(event, event->args);
}

static void begin(void)
{
    talk_init(&t);
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
}

static void go(void)
{
    talk_start(&t);
    sio_on(t.root, "echo", on_echo, NULL);
    bystander = client_join(&t, "", NULL);
}

static void end(enum sio_limit limit, uint64_t hits)
{
    struct sio_stats stats;
    assert_says(&t, bystander, "421[\"echo\",5]", "1:431[5]\n");
    sio_server_get_stats(t.io, &stats);
    for (int i = 0; i < SIO_LIMIT_COUNT; i++)
        if (stats.limit_hits[i] != (i == (int)limit ? hits : 0))
            fail_msg("%s: %llu hits", sio_limit_name((enum sio_limit)i), (unsigned long long)stats.limit_hits[i]);
    close(bystander);
    talk_turn(&t);
    talk_clear(&t);
}

/* The client is closed for this packet. */
static void closed_for(const char *packet)
{
    int fd = client_join(&t, "", NULL);
    assert_says(&t, fd, packet, CLOSED);
    close(fd);
    talk_turn(&t);
}

static void events_above_the_rate_close_with_1008(void **state)
{
    (void)state;
    begin();
    t.options.max_events_per_second = 10;
    go();
    int fd = client_join(&t, "", NULL);
    for (int i = 0; i < 10; i++) assert_says(&t, fd, "421[\"echo\",1]", "1:431[1]\n");
    eio_loop_advance(t.loop, 1000);
    for (int i = 0; i < 10; i++) assert_says(&t, fd, "421[\"echo\",1]", "1:431[1]\n");
    assert_says(&t, fd, "421[\"echo\",1]", "8:1008\n");
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_EVENTS_PER_SECOND, 1);
}

static void each_socket_has_a_rate_of_its_own(void **state)
{
    (void)state;
    begin();
    t.options.max_events_per_second = 3;
    go();
    sio_on(sio_of(t.io, "/other"), "echo", on_echo, NULL);
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "40/other,");
    for (int i = 0; i < 3; i++) assert_says(&t, fd, "421[\"echo\",1]", "1:431[1]\n");
    for (int i = 0; i < 3; i++) assert_says(&t, fd, "42/other,1[\"echo\",1]", "1:43/other,1[1]\n");
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_EVENTS_PER_SECOND, 0);
}

static void deep_json_closes(void **state)
{
    (void)state;
    begin();
    t.options.max_depth = 4;
    go();
    int fd = client_join(&t, "", NULL);
    assert_says(&t, fd, "421[\"echo\",[[[1]]]]", "1:431[[[[1]]]]\n");
    close(fd);
    closed_for("42[\"echo\",[[[[1]]]]]");
    end(SIO_LIMIT_DEPTH, 1);
}

static void too_many_attachments_close(void **state)
{
    (void)state;
    begin();
    go();
    closed_for("4511-[\"echo\"]");
    end(SIO_LIMIT_ATTACHMENTS, 1);
}

static void a_long_name_of_a_namespace_closes(void **state)
{
    (void)state;
    begin();
    t.options.max_namespace_bytes = 8;
    go();
    closed_for("40/12345678,");
    end(SIO_LIMIT_NAMESPACE_BYTES, 1);
}

static void a_large_packet_closes(void **state)
{
    (void)state;
    begin();
    t.options.max_packet_bytes = 20;
    go();
    closed_for("42[\"echo\",\"0123456789\"]");
    int fd = client_join(&t, "", NULL);
    peer_text(fd, "451-[\"e\"]"); /* its attachment counts as well */
    peer_send(fd, 0x82, "0123456789abcd", 14);
    assert_hears(&t, fd, CLOSED);
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_PACKET_BYTES, 2);
}

static void namespaces_above_the_limit_get_a_connect_error(void **state)
{
    (void)state;
    begin();
    t.options.max_namespaces_per_client = 2;
    go();
    sio_of(t.io, "/a");
    sio_of(t.io, "/b");
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "40/a,");
    assert_says(&t, fd, "40/b,", "1:44/b,{\"message\":\"Too many namespaces\"}\n");
    assert_says(&t, fd, "421[\"echo\",1]", "1:431[1]\n"); /* it goes on */
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_NAMESPACES_PER_CLIENT, 1);
}

static bool match_all(struct eio_str name, void *ctx)
{
    (void)name;
    (void)ctx;
    return true;
}

static void matched_namespaces_are_bounded(void **state)
{
    (void)state;
    begin();
    t.options.max_matched_namespaces = 1;
    go();
    sio_of_matching(t.io, match_all, NULL);
    int fd = client_open(&t);
    client_say(&t, fd, "40/a,");
    assert_says(&t, fd, "40/b,", "1:44/b,{\"message\":\"Invalid namespace\"}\n");
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_MATCHED_NAMESPACES, 1);
}

static void rooms_of_a_socket_are_bounded(void **state)
{
    (void)state;
    begin();
    t.options.rooms.max_rooms_per_member = 2;
    go();
    struct sio_socket *socket = only_socket(t.root);
    assert_int_equal(sio_join(socket, eio_str("a")), 0);
    assert_int_equal(sio_join(socket, eio_str("b")), 0);
    assert_int_equal(sio_join(socket, eio_str("a")), 0); /* it is in */
    assert_int_equal(sio_join(socket, eio_str("c")), EIO_ETOOBIG);
    end(SIO_LIMIT_ROOMS, 1);
}

static void names_of_rooms_are_bounded(void **state)
{
    (void)state;
    begin();
    t.options.rooms.max_name_bytes = 24;
    go();
    struct sio_socket *socket = only_socket(t.root);
    assert_int_equal(sio_join(socket, eio_str("a name of 24 characters.")), 0);
    assert_int_equal(sio_join(socket, eio_str("a name of 25 characters..")), EIO_ETOOBIG);
    end(SIO_LIMIT_NAME_BYTES, 1);
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    (void)answer;
    (void)error;
    (*(int *)ctx)++;
}

static void acks_that_are_owed_are_bounded(void **state)
{
    (void)state;
    int answers = 0;
    begin();
    t.options.max_pending_acks = 2;
    go();
    int fd = client_join(&t, "", NULL);
    struct sio_socket *socket = t.root->sockets[1];
    assert_int_equal(sio_emit_with_ack(sio_only(socket), "q", sio_args_none(), on_answer, &answers), 0);
    assert_int_equal(sio_emit_with_ack(sio_only(socket), "q", sio_args_none(), on_answer, &answers), 0);
    assert_int_equal(sio_emit_with_ack(sio_only(socket), "q", sio_args_none(), on_answer, &answers), EIO_EAGAIN);
    client_say(&t, fd, "430[]");
    assert_int_equal(answers, 1);
    assert_int_equal(sio_emit_with_ack(sio_only(socket), "q", sio_args_none(), on_answer, &answers), 0);
    close(fd);
    talk_turn(&t);
    talk_turn(&t);
    end(SIO_LIMIT_PENDING_ACKS, 1);
}

static void a_client_without_a_namespace_is_closed_in_time(void **state)
{
    (void)state;
    begin();
    t.options.connect_timeout_ms = 1000;
    go();
    int fd = client_open(&t);
    eio_loop_advance(t.loop, 1001);
    assert_hears(&t, fd, CLOSED);
    close(fd);
    talk_turn(&t);
    end(SIO_LIMIT_CONNECT_TIMEOUT, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_above_the_rate_close_with_1008),
        cmocka_unit_test(each_socket_has_a_rate_of_its_own),
        cmocka_unit_test(deep_json_closes),
        cmocka_unit_test(too_many_attachments_close),
        cmocka_unit_test(a_long_name_of_a_namespace_closes),
        cmocka_unit_test(a_large_packet_closes),
        cmocka_unit_test(namespaces_above_the_limit_get_a_connect_error),
        cmocka_unit_test(matched_namespaces_are_bounded),
        cmocka_unit_test(rooms_of_a_socket_are_bounded),
        cmocka_unit_test(names_of_rooms_are_bounded),
        cmocka_unit_test(acks_that_are_owed_are_bounded),
        cmocka_unit_test(a_client_without_a_namespace_is_closed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
