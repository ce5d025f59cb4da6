/* Emitting by target: rooms, exceptions, volatile; what else is done by target; acks that the server asks for.
 * Numbers are those of the edge cases in the inventory of the reference's behaviour. */
#include "sio_fixture.h"

enum { CLIENTS = 3 };
static struct talk t;
static int fds[CLIENTS];
static char sids[CLIENTS][21];
static struct sio_socket *sockets[CLIENTS];

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_join(&t, "", sids[i]);
        sockets[i] = sio_socket_find(t.root, sids[i], 20);
        assert_non_null(sockets[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    talk_turn(&t);
    talk_turn(&t);
    assert_int_equal(t.io->client_count, 0);
    assert_int_equal(t.io->stats.pending_acks, 0);
    assert_int_equal(rooms_room_count(t.root->index), 0);
    talk_clear(&t);
    return 0;
}

/* Which clients hear an event `e` with these arguments, as a string of their numbers; nobody hears anything else. */
static const char *who_hears(const char *line)
{
    static char who[CLIENTS + 1];
    size_t n = 0;
    talk_turn(&t);
    for (int i = 0; i < CLIENTS; i++) {
        const char *heard = client_hear(&t, fds[i]);
        if (strcmp(heard, line) == 0)
            who[n++] = (char)('0' + i);
        else
            assert_string_equal(heard, "");
    }
    who[n] = '\0';
    return who;
}

#define assert_reaches(target, expected)                                \
    do {                                                                \
        assert_int_equal(sio_emit(target, "e", sio_args_json("1")), 0); \
        assert_string_equal(who_hears("1:42[\"e\",1]\n"), expected);    \
    } while (0)

static void join(int i, const char *room)
{
    assert_int_equal(sio_join(sockets[i], eio_str(room)), 0);
}

/* ------------------------------------------------------------------- rooms */

static void targets_reach_whom_they_name(void **state)
{
    (void)state;
    join(0, "a");
    join(1, "a");
    join(1, "b");
    assert_reaches(sio_all(t.root), "012");
    assert_reaches(sio_only(sockets[1]), "1");
    assert_reaches(sio_broadcast(sockets[1]), "02");
    assert_reaches(sio_to(sio_all(t.root), "a"), "01");
    assert_reaches(sio_to(sio_broadcast(sockets[0]), "a"), "1");
    assert_reaches(sio_to(sio_all(t.root), "nobody"), "");
    assert_reaches(sio_to(sio_all(t.root), sids[2]), "2"); /* its own room */
    assert_reaches(sio_local(sio_to(sio_to(sio_all(t.root), "a"), sids[2])), "012");
    /* 53: once each; except wins. */
    assert_reaches(sio_to(sio_to(sio_all(t.root), "a"), "b"), "01");
    assert_reaches(sio_except(sio_to(sio_all(t.root), "a"), "b"), "0");
    assert_reaches(sio_except(sio_all(t.root), "a"), "2");
    assert_reaches(sio_except(sio_all(t.root), sids[0]), "12");
    assert_reaches(sio_except(sio_broadcast(sockets[2]), "b"), "0");
    sio_leave(sockets[0], eio_str("a"));
    assert_reaches(sio_to(sio_all(t.root), "a"), "1");
    sio_leave(sockets[1], eio_str(sids[1])); /* its own room can be left */
    assert_reaches(sio_to(sio_all(t.root), sids[1]), "");
    /* A room named like a socket's id. */
    join(0, sids[2]);
    assert_reaches(sio_to(sio_all(t.root), sids[2]), "02");
    assert_reaches(sio_except(sio_all(t.root), sids[2]), "1");
    assert_reaches(sio_broadcast(sockets[2]), "1");
}

static void lists_of_rooms_may_be_long(void **state)
{
    (void)state;
    struct rooms_name many[20];
    for (size_t i = 0; i < 20; i++) many[i] = (struct rooms_name){"abcdefghijklmnopqrst" + i, 1};
    join(0, "a");
    join(1, "t");
    join(2, "e");
    assert_reaches(sio_to_all(sio_all(t.root), many, 20), "012");
    assert_reaches(sio_except_all(sio_all(t.root), many, 20), "");
    assert_reaches(sio_except_all(sio_broadcast(sockets[2]), many, 3), "1");
    assert_reaches(sio_except(sio_to_all(sio_all(t.root), many, 20), "e"), "01");
    assert_reaches(sio_to(sio_to_all(sio_all(t.root), many, 2), "t"), "01");
    assert_reaches(sio_to_all(sio_all(t.root), many, 0), "012");
    assert_int_equal(sio_emit(sio_to(sio_to_all(sio_all(t.root), many, 20), "x"), "e", sio_args_none()), EIO_EINVAL);
    struct sio_target target = sio_all(t.root);
    for (int i = 0; i < SIO_TARGET_NAMES; i++) target = i % 2 ? sio_to(target, "a") : sio_except(target, "b");
    assert_reaches(target, "0");
    assert_int_equal(sio_emit(sio_to(target, "x"), "e", sio_args_none()), EIO_EINVAL);
    assert_int_equal(sio_emit(sio_to(sio_only(sockets[0]), "x"), "e", sio_args_none()), EIO_EINVAL);
}

/* Fills the connection's buffers until what is sent waits. */
static void fill_up(int i)
{
    static char text[60000];
    memset(text, 'x', sizeof text - 1);
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_text(&builder, text, sizeof text - 1);
    for (int k = 0; k < 100 && eio_session_queued_bytes(sockets[i]->session) == 0; k++) {
        sio_emit(sio_only(sockets[i]), "big", sio_builder_args(&builder));
        talk_turn(&t);
    }
    assert_false(eio_session_is_writable(sockets[i]->session));
    sio_builder_clear(&builder);
}

/* 54 */
static void volatile_events_are_sent_whole_or_not_at_all(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_binary(&builder, (const uint8_t *)"abc", 3);
    struct sio_args args = sio_builder_args(&builder);
    fill_up(0);
    size_t queued = eio_session_queued_bytes(sockets[0]->session);
    assert_int_equal(sio_emit(sio_volatile(sio_all(t.root)), "v", args), 0);
    assert_int_equal(sio_emit(sio_volatile(sio_only(sockets[0])), "v", args), 0);
    assert_int_equal(sio_emit(sio_volatile(sio_only(sockets[0])), "v", sio_args_none()), 0);
    assert_int_equal(eio_session_queued_bytes(sockets[0]->session), queued);
    struct eio_server_stats stats;
    eio_server_get_stats(sio_server_engine(t.io), &stats);
    assert_int_equal(stats.dropped_volatile, 3);
    assert_hears(&t, fds[1], "1:451-[\"v\",{\"_placeholder\":true,\"num\":0}]\n2:abc\n");
    sio_builder_clear(&builder);
}

/* --------------------------------------------------------------- by target */

static void note_list(void *ctx, int error, struct sio_args list)
{
    note(&t, "%s %d [%.*s] %zu\n", ctx ? (const char *)ctx : "", error, (int)list.json.n,
         list.json.n ? list.json.p : "", list.attachment_count);
}

static void note_socket(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    note(&t, "%s;", sio_socket_id(socket));
    sio_socket_disconnect(sockets[0], false); /* it may disconnect any */
}

static void sockets_are_joined_and_disconnected_by_target(void **state)
{
    (void)state;
    const struct rooms_name rooms[] = {{"x", 1}, {"y", 1}};
    assert_int_equal(sio_target_join(sio_broadcast(sockets[0]), rooms, 2), 0);
    assert_true(sio_socket_is_in(sockets[1], eio_str("y")));
    assert_false(sio_socket_is_in(sockets[0], eio_str("x")));
    assert_int_equal(sio_target_leave(sio_only(sockets[1]), rooms, 1), 0);
    assert_false(sio_socket_is_in(sockets[1], eio_str("x")));
    struct eio_str room;
    assert_true(sio_socket_room_at(sockets[2], 2, &room) && eio_str_is(room, "y"));
    sio_emit(sio_to(sio_all(t.root), "x"), "e", sio_args_json("1"));
    assert_int_equal(sio_target_disconnect(sio_to(sio_all(t.root), "x"), false), 0);
    assert_hears(&t, fds[2], "1:42[\"e\",1]\n1:41\n");
    assert_int_equal(sio_target_disconnect(sio_only(sockets[1]), true), 0);
    assert_hears(&t, fds[1], "1:41\n8:\n");
    assert_int_equal(sio_target_each_local(sio_all(t.root), note_socket, NULL), 0);
    assert_int_equal(strlen(t.log), 21);
    assert_hears(&t, fds[0], "1:41\n");
}

static void fetching_describes_sockets(void **state)
{
    (void)state;
    char start[128];
    json_object_set_new(sio_socket_data(sockets[1]), "name", json_string("Ada"));
    join(1, "r\"oom");
    assert_int_equal(sio_target_fetch(sio_to(sio_all(t.root), "r\"oom"), note_list, NULL), 0);
    snprintf(start, sizeof start, " 0 [{\"id\":\"%s\",\"handshake\":{\"headers\":{", sids[1]);
    assert_memory_equal(t.log, start, strlen(start));
    char rest[128];
    snprintf(rest, sizeof rest, "\"auth\":{}},\"rooms\":[\"%s\",\"r\\\"oom\"],\"data\":{\"name\":\"Ada\"}}] 0\n",
             sids[1]);
    assert_non_null(strstr(t.log, rest));
    struct sio_args list = {{t.log + 4, strlen(t.log) - 8}, NULL, 0};
    json_t *socket = sio_args_parse(list, 0);
    json_t *handshake = json_object_get(socket, "handshake");
    assert_non_null(handshake);
    assert_string_equal(json_string_value(json_object_get(json_object_get(handshake, "query"), "transport")),
                        "websocket");
    assert_string_equal(json_string_value(json_object_get(handshake, "address")), "127.0.0.1");
    assert_true(json_is_false(json_object_get(handshake, "secure")));
    assert_true(json_is_integer(json_object_get(handshake, "issued")));
    assert_non_null(strstr(json_string_value(json_object_get(handshake, "time")), " GMT+0000 ("));
    assert_non_null(json_object_get(handshake, "xdomain"));
    json_decref(socket);
    t.log[0] = '\0';
    assert_int_equal(sio_target_fetch(sio_to(sio_all(t.root), "none"), note_list, NULL), 0);
    assert_noted(&t, " 0 [] 0\n");
}

static void note_count(void *ctx, int error, size_t servers)
{
    (void)ctx;
    note(&t, "%d %zu\n", error, servers);
}

static void one_server_is_alone(void **state)
{
    (void)state;
    assert_int_equal(sio_server_count(t.root, note_count, NULL), 0);
    assert_int_equal(sio_server_side_emit(t.root, "x", sio_args_json("1"), NULL, NULL), 0);
    assert_int_equal(sio_server_side_emit(t.root, "x", sio_args_json("1"), note_list, NULL), 0);
    assert_noted(&t, "0 1\n 0 [] 0\n");
}

static void describing_a_socket_is_one_line(void **state)
{
    (void)state;
    char line[256];
    assert_in_range(sio_socket_describe(sockets[0], line, sizeof line), 1, sizeof line - 1);
    assert_non_null(strstr(line, sids[0]));
    assert_non_null(strstr(line, "nsp=/ state=connected"));
    assert_null(strchr(line, '\n'));
}

/* -------------------------------------------------------------------- acks */

static void note_answer(void *ctx, int error, struct sio_args answer)
{
    note_list(ctx, error, answer);
}

/* A1 */
static void ack_ids_count_from_zero_in_each_namespace(void **state)
{
    (void)state;
    char one[] = "one", two[] = "two";
    assert_int_equal(sio_emit_with_ack(sio_only(sockets[0]), "q", sio_args_json("1"), note_answer, one), 0);
    assert_int_equal(sio_emit_with_ack(sio_only(sockets[1]), "q", sio_args_none(), note_answer, two), 0);
    assert_hears(&t, fds[0], "1:420[\"q\",1]\n");
    assert_hears(&t, fds[1], "1:421[\"q\"]\n");
    client_say(&t, fds[0], "431[\"not mine\"]"); /* unknown: ignored */
    client_say(&t, fds[0], "43[1]");
    client_say(&t, fds[0], "43999[1]");
    assert_noted(&t, "");
    client_say(&t, fds[0], "430[\"a\",{}]");
    client_say(&t, fds[0], "430[\"again\"]");
    assert_noted(&t, "one 0 [\"a\",{}] 0\n");
    client_say(&t, fds[1], "431[]");
    assert_noted(&t, "two 0 [] 0\n");
}

static void a_binary_ack_brings_its_attachments(void **state)
{
    (void)state;
    assert_int_equal(sio_emit_with_ack(sio_only(sockets[0]), "q", sio_args_none(), note_answer, NULL), 0);
    client_say(&t, fds[0], "461-0[{\"_placeholder\":true,\"num\":0}]");
    peer_send(fds[0], 0x82, "x", 1);
    talk_turn(&t);
    assert_noted(&t, " 0 [{\"_placeholder\":true,\"num\":0}] 1\n");
}

/* A2 */
static void an_answer_that_does_not_come_is_a_timeout_if_one_was_set(void **state)
{
    (void)state;
    char one[] = "one", two[] = "two";
    assert_int_equal(sio_emit_with_ack(sio_timeout(sio_only(sockets[0]), 100), "q", sio_args_none(), note_answer, one),
                     0);
    assert_int_equal(sio_emit_with_ack(sio_only(sockets[0]), "q", sio_args_none(), note_answer, two), 0);
    eio_loop_advance(t.loop, 99);
    assert_noted(&t, "");
    eio_loop_advance(t.loop, 1);
    assert_noted(&t, "one -3 [] 0\n");
    client_say(&t, fds[0], "430[\"late\"]");
    assert_noted(&t, "");
    close(fds[0]);
    talk_turn(&t);
    talk_turn(&t);
    assert_noted(&t, "two -4 [] 0\n");
    fds[0] = client_join(&t, "", NULL);
}

static void pending_acks_are_limited(void **state)
{
    (void)state;
    t.io->options.max_pending_acks = 2;
    for (int i = 0; i < 2; i++)
        assert_int_equal(sio_emit_with_ack(sio_only(sockets[0]), "q", sio_args_none(), note_answer, NULL), 0);
    assert_int_equal(sio_emit_with_ack(sio_only(sockets[0]), "q", sio_args_none(), note_answer, NULL), EIO_EAGAIN);
    assert_int_equal(sio_emit_with_ack(sio_all(t.root), "q", sio_args_none(), note_answer, NULL), EIO_EINVAL);
}

static int ask_all(uint32_t timeout_ms)
{
    return sio_emit_to_all_with_ack(sio_timeout(sio_to(sio_all(t.root), "a"), timeout_ms), "q", sio_args_json("1"),
                                    note_list, NULL);
}

/* A3, 57 */
static void a_room_that_is_empty_answers_at_once(void **state)
{
    (void)state;
    assert_int_equal(ask_all(1000), 0);
    assert_noted(&t, " 0 [] 0\n");
    eio_loop_advance(t.loop, 3000);
    assert_noted(&t, "");
}

static void the_answers_of_a_room_come_together(void **state)
{
    (void)state;
    join(0, "a");
    join(1, "a");
    sio_emit(sio_to(sio_all(t.root), "a"), "before", sio_args_none());
    assert_int_equal(ask_all(1000), 0);
    assert_hears(&t, fds[0], "1:42[\"before\"]\n1:420[\"q\",1]\n");
    assert_hears(&t, fds[1], "1:42[\"before\"]\n1:420[\"q\",1]\n");
    assert_hears(&t, fds[2], "");
    client_say(&t, fds[1], "461-0[{\"_placeholder\":true,\"num\":0},2]");
    peer_send(fds[1], 0x82, "x", 1);
    talk_turn(&t);
    client_say(&t, fds[2], "430[\"not asked\"]");
    assert_noted(&t, "");
    client_say(&t, fds[0], "430[]");
    assert_noted(&t, " 0 [{\"_placeholder\":true,\"num\":0},null] 1\n");
    eio_loop_advance(t.loop, 3000);
    assert_noted(&t, "");
}

static void missing_answers_of_a_room_are_a_timeout_with_the_others(void **state)
{
    (void)state;
    join(0, "a");
    join(1, "a");
    assert_int_equal(ask_all(1000), 0);
    client_say(&t, fds[0], "430[\"here\"]");
    client_say(&t, fds[1], "41");
    assert_noted(&t, "");
    eio_loop_advance(t.loop, 1000);
    assert_noted(&t, " -3 [\"here\"] 0\n");
    /* Without a timeout: 1 ms. */
    assert_int_equal(ask_all(0), 0);
    eio_loop_advance(t.loop, 1);
    assert_noted(&t, " -3 [] 0\n");
    client_say(&t, fds[0], "431[\"late\"]");
    eio_loop_advance(t.loop, 3000);
    assert_noted(&t, "");
}

static void a_server_may_be_freed_while_it_waits_for_answers(void **state)
{
    (void)state;
    join(0, "a");
    assert_int_equal(ask_all(1000), 0);
    assert_int_equal(sio_emit_with_ack(sio_timeout(sio_only(sockets[1]), 9), "q", sio_args_none(), NULL, NULL), 0);
    sio_emit(sio_to(sio_all(t.root), "a"), "unsent", sio_args_none());
    sio_server_free(t.io);
    assert_non_null(strstr(t.log, " -4 [] 0\n"));
    t.log[0] = '\0';
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    talk_start(&t);
    for (int i = 0; i < CLIENTS; i++) fds[i] = client_join(&t, "", NULL);
}

/* A4: the reference's RemoteSocket gives one value; here the target is a room of one, its answer a list of one. */
static void the_ack_of_a_single_socket_by_its_id_is_a_list_of_one(void **state)
{
    (void)state;
    struct sio_target one = sio_timeout(sio_to(sio_all(t.root), sio_socket_id(sockets[1])), 1000);
    assert_int_equal(sio_emit_to_all_with_ack(one, "q", sio_args_none(), note_list, NULL), 0);
    assert_hears(&t, fds[0], "");
    assert_says(&t, fds[1], "430[\"mine\",\"rest\"]", "1:420[\"q\"]\n");
    assert_noted(&t, " 0 [\"mine\"] 0\n");
    /* Nobody of that id is there any more: at once, and empty. */
    client_say(&t, fds[1], "41");
    assert_int_equal(sio_emit_to_all_with_ack(one, "q", sio_args_none(), note_list, NULL), 0);
    assert_noted(&t, " 0 [] 0\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(targets_reach_whom_they_name),
        TEST(lists_of_rooms_may_be_long),
        TEST(volatile_events_are_sent_whole_or_not_at_all),
        TEST(sockets_are_joined_and_disconnected_by_target),
        TEST(fetching_describes_sockets),
        TEST(one_server_is_alone),
        TEST(describing_a_socket_is_one_line),
        TEST(ack_ids_count_from_zero_in_each_namespace),
        TEST(a_binary_ack_brings_its_attachments),
        TEST(an_answer_that_does_not_come_is_a_timeout_if_one_was_set),
        TEST(pending_acks_are_limited),
        TEST(a_room_that_is_empty_answers_at_once),
        TEST(the_answers_of_a_room_come_together),
        TEST(missing_answers_of_a_room_are_a_timeout_with_the_others),
        TEST(a_server_may_be_freed_while_it_waits_for_answers),
        TEST(the_ack_of_a_single_socket_by_its_id_is_a_list_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
