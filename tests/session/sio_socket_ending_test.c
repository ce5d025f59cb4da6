/* Disconnecting many sockets at once, by target: in slices, and all of them are as good as gone from the call on. */
#include "sio_fixture.h"

enum { CLIENTS = 600, PER_TURN = 256, TURNS = 100 };
static struct talk t;
static int fds[CLIENTS];
static char sids[CLIENTS][21];
static unsigned disconnecting, disconnects, events;
static bool again; /* handlers disconnect everybody once more */
static bool is_over;

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    if (is_over) return;
    assert_string_equal(reason, "server namespace disconnect");
    assert_false(sio_socket_is_connected(socket));
    disconnecting += sio_socket_is_in(socket, eio_str("room"));
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    if (is_over) return;
    assert_string_equal(reason, "server namespace disconnect");
    disconnects++;
    if (again) sio_target_disconnect(sio_all(sio_socket_namespace(socket)), true);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)event;
    (void)ctx;
    events++;
}

static int setup(void **state)
{
    (void)state;
    disconnecting = disconnects = events = 0;
    again = is_over = false;
    talk_init(&t);
    talk_start(&t);
    sio_on_disconnecting(t.root, on_disconnecting, NULL);
    sio_on_disconnect(t.root, on_disconnect, NULL);
    sio_on(t.root, "e", on_event, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_join(&t, "", sids[i]);
        sio_join(sio_socket_find(t.root, sids[i], 20), eio_str("room"));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        if (fds[i] >= 0) close(fds[i]);
    is_over = sio_namespace_socket_count(t.root) > 0; /* some were never disconnected */
    talk_clear(&t);
    return 0;
}

static struct sio_target room(void)
{
    return sio_to(sio_all(t.root), "room");
}

/* Turns until all have ended; none of them ends more than a slice. */
static void turn_until_ended(unsigned all)
{
    for (int i = 0; i < TURNS && disconnects < all; i++) {
        unsigned before = disconnects;
        talk_turn(&t);
        assert_in_range(disconnects - before, 1, PER_TURN);
    }
    assert_int_equal(disconnects, all);
    talk_turn(&t);
}

static void many_end_in_slices_and_are_gone_at_once(void **state)
{
    (void)state;
    struct sio_socket *last = sio_socket_find(t.root, sids[CLIENTS - 1], 20);
    sio_emit(room(), "before", sio_args_none());
    assert_int_equal(sio_target_disconnect(room(), false), 0);
    assert_int_equal(disconnects, 0);
    assert_int_equal(sio_namespace_socket_count(t.root), 0);
    assert_null(sio_socket_find(t.root, sids[0], 20));
    assert_false(sio_socket_is_connected(last));
    assert_false(sio_socket_is_in(last, eio_str("room")));
    assert_int_equal(sio_emit(sio_only(last), "x", sio_args_none()), EIO_ECLOSED);
    sio_emit(sio_all(t.root), "after", sio_args_none());
    sio_target_disconnect(sio_all(t.root), true); /* they are not there any more */
    turn_until_ended(CLIENTS);
    assert_int_equal(disconnecting, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) assert_string_equal(peer_read(fds[i]), "1:42[\"before\"]\n1:41\n");
    assert_int_equal(rooms_room_count(t.root->index), 0);
    assert_int_equal(t.io->client_count, CLIENTS);
}

static void a_few_end_in_place(void **state)
{
    (void)state;
    for (int i = 0; i < 64; i++) sio_join(sio_socket_find(t.root, sids[i], 20), eio_str("few"));
    sio_target_disconnect(sio_to(sio_all(t.root), "few"), false);
    assert_int_equal(disconnects, 64);
}

/* As for one that was disconnected in place: the reference closes a client that speaks in a namespace it is not in. */
static void who_speaks_or_goes_meanwhile_ends_then(void **state)
{
    (void)state;
    const char *answer;
    sio_target_disconnect(sio_all(t.root), false);
    peer_text(fds[599], "42[\"e\"]");
    peer_text(fds[598], "40");
    close(fds[597]);
    fds[597] = -1;
    talk_turn(&t);
    assert_in_range(disconnects, 3, PER_TURN + 3);
    assert_string_equal(peer_read(fds[599]), "1:41\n" CLOSED);
    answer = peer_read(fds[598]);
    assert_memory_equal(answer, "1:41\n1:40{\"sid\":\"", 17);
    assert_int_equal(sio_namespace_socket_count(t.root), 1);
    while (disconnects < CLIENTS) {
        unsigned before = disconnects;
        talk_turn(&t);
        assert_in_range(disconnects - before, 1, PER_TURN);
    }
    assert_int_equal(events, 0);
    assert_int_equal(sio_namespace_socket_count(t.root), 1); /* who came again stays */
}

static void connections_are_closed_in_slices_with_all_their_sockets(void **state)
{
    (void)state;
    struct sio_namespace *other = sio_of(t.io, "/other");
    client_say(&t, fds[599], "40/other,");
    assert_int_equal(sio_namespace_socket_count(other), 1);
    sio_target_disconnect(sio_all(t.root), true);
    assert_int_equal(sio_namespace_socket_count(other), 0);
    peer_text(fds[599], "40/third,");
    peer_text(fds[599], "42[\"e\"]");
    peer_text(fds[598], "42[\"e\"]");
    turn_until_ended(CLIENTS);
    for (int i = 0; i < CLIENTS - 1; i++) assert_string_equal(peer_read(fds[i]), "1:41\n" CLOSED);
    assert_string_equal(peer_read(fds[599]), "1:41\n1:41/other,\n" CLOSED);
    assert_int_equal(events, 0);
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    (void)answer;
    assert_int_equal(error, EIO_ECLOSED);
    ++*(unsigned *)ctx;
}

static void answers_are_awaited_no_longer(void **state)
{
    (void)state;
    unsigned closed = 0;
    sio_emit_with_ack(sio_only(sio_socket_find(t.root, sids[599], 20)), "q", sio_args_none(), on_answer, &closed);
    talk_turn(&t);
    sio_target_disconnect(sio_all(t.root), false);
    peer_text(fds[599], "430[]");
    talk_turn(&t); /* ends a slice, and who answers */
    assert_int_equal(closed, 1);
    turn_until_ended(CLIENTS);
    assert_int_equal(closed, 1);
}

static void handlers_may_disconnect_everybody_again(void **state)
{
    (void)state;
    again = true;
    sio_target_disconnect(room(), false);
    int fresh = client_open(&t); /* comes while the first slices end, and goes with the next handler */
    peer_text(fresh, "40");
    for (int i = 0; i < TURNS && disconnects < CLIENTS; i++) talk_turn(&t);
    talk_turn(&t);
    assert_int_equal(sio_namespace_socket_count(t.root), 0);
    assert_in_range(disconnects, CLIENTS, CLIENTS + 1);
    close(fresh);
}

static void the_server_may_drain_or_go_meanwhile(void **state)
{
    (void)state;
    sio_target_disconnect(sio_all(t.root), true);
    talk_turn(&t);
    sio_drain(t.io, 1000, NULL, NULL);
    for (int i = 0; i < TURNS && disconnects < CLIENTS; i++) {
        unsigned before = disconnects;
        talk_turn(&t);
        assert_in_range(disconnects - before, 1, 2 * PER_TURN); /* a slice of each */
    }
    assert_int_equal(disconnects, CLIENTS);
}

static void the_server_may_be_freed_meanwhile(void **state)
{
    (void)state;
    sio_target_disconnect(sio_all(t.root), false);
    talk_turn(&t);
    assert_in_range(disconnects, 1, PER_TURN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(many_end_in_slices_and_are_gone_at_once), TEST(a_few_end_in_place),
        TEST(who_speaks_or_goes_meanwhile_ends_then),  TEST(connections_are_closed_in_slices_with_all_their_sockets),
        TEST(answers_are_awaited_no_longer),           TEST(handlers_may_disconnect_everybody_again),
        TEST(the_server_may_drain_or_go_meanwhile),    TEST(the_server_may_be_freed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
