/* Draining a server of many clients: in slices, so that no turn is long. */
#include "sio_fixture.h"

enum { CLIENTS = 600, IN_PLACE = 64, PER_TURN = 256, TURNS = 100, SPEAKS = 60, LIMIT_MS = 5000 };
static struct talk t;
static int fds[CLIENTS];
static unsigned disconnects, events, drained;
static bool again; /* handlers drain once more */

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)socket;
    (void)ctx;
    assert_string_equal(reason, "server shutting down");
    disconnects++;
    if (again) sio_drain(t.io, LIMIT_MS, NULL, NULL);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    sio_ack(event, sio_args_none());
    events++;
}

static void on_drained(void *ctx)
{
    (void)ctx;
    assert_int_equal(disconnects, CLIENTS);
    drained++;
}

static int setup(void **state)
{
    (void)state;
    disconnects = events = drained = 0;
    again = false;
    talk_init(&t);
    talk_start(&t);
    sio_on_disconnect(t.root, on_disconnect, NULL);
    sio_on(t.root, "e", on_event, NULL);
    sio_of(t.io, "/other");
    for (int i = 0; i < CLIENTS; i++) fds[i] = client_join(&t, "", NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    talk_clear(&t);
    return 0;
}

/* Turns until all are gone; none of them ends more than a slice, and those who go by themselves. */
static void turn_until_gone(unsigned beside)
{
    for (int i = 0; i < TURNS && disconnects < CLIENTS; i++) {
        unsigned before = disconnects;
        talk_turn(&t);
        assert_in_range(disconnects - before, 1, PER_TURN + beside);
    }
    assert_int_equal(disconnects, CLIENTS);
    talk_turn(&t);
}

static void many_go_in_slices_and_the_caller_is_told_after_the_last(void **state)
{
    (void)state;
    sio_emit(sio_all(t.root), "last", sio_args_none());
    sio_drain(t.io, LIMIT_MS, on_drained, NULL);
    assert_in_range(disconnects, 0, IN_PLACE);
    turn_until_gone(0);
    for (int i = 0; i < CLIENTS; i++) assert_string_equal(peer_read(fds[i]), "1:42[\"last\"]\n" CLOSED);
    eio_loop_advance(t.loop, 1);
    assert_int_equal(drained, 1);
}

static void at_the_limit_the_rest_goes_at_once(void **state)
{
    (void)state;
    sio_drain(t.io, 0, on_drained, NULL);
    assert_in_range(disconnects, 0, IN_PLACE);
    talk_turn(&t);
    assert_int_equal(disconnects, CLIENTS);
    talk_turn(&t);
    assert_int_equal(drained, 1);
}

/* Who is still there is served, but joins nothing: as if the server had gone before, so that it comes again. */
static void who_speaks_meanwhile_is_answered_and_who_joins_goes(void **state)
{
    (void)state;
    sio_drain(t.io, LIMIT_MS, NULL, NULL);
    assert_in_range(disconnects, 0, IN_PLACE);
    for (int i = 0; i < CLIENTS; i += SPEAKS) peer_text(fds[i], "420[\"e\"]");
    for (int i = 1; i < CLIENTS; i += SPEAKS) peer_text(fds[i], "40/other,");
    turn_until_gone(CLIENTS / SPEAKS);
    assert_in_range(events, 1, CLIENTS / SPEAKS);
    for (int i = 0; i < CLIENTS; i++) {
        const char *answer = peer_read(fds[i]);
        if (i % SPEAKS == 0 && strcmp(answer, CLOSED) != 0) answer += strlen("1:430[]\n");
        assert_string_equal(answer, CLOSED);
    }
}

static void nobody_comes_meanwhile(void **state)
{
    struct eio__test_reply reply = {0};
    (void)state;
    sio_drain(t.io, LIMIT_MS, NULL, NULL);
    eio__test_request(sio_server_engine(t.io), EIO_HTTP_GET, "/socket.io/?EIO=4&transport=polling", "", &reply);
    assert_int_equal(reply.status, 503);
    free(reply.body);
    turn_until_gone(0);
}

static void handlers_may_drain_again(void **state)
{
    (void)state;
    again = true;
    sio_drain(t.io, LIMIT_MS, NULL, NULL);
    turn_until_gone(0);
}

static void the_server_may_be_freed_meanwhile(void **state)
{
    (void)state;
    sio_drain(t.io, LIMIT_MS, on_drained, NULL);
    talk_turn(&t);
    assert_in_range(disconnects, 1, PER_TURN);
}

static void count_open(struct eio_session *session, void *ctx)
{
    *(unsigned *)ctx += eio_session_is_open(session);
}

static void sessions_alone_are_closed_in_slices_too(void **state)
{
    (void)state;
    struct eio_server *engine = sio_server_engine(t.io);
    unsigned open = 0;
    eio_server_close_all(engine, EIO_CLOSE_SHUTTING_DOWN);
    eio_server_each(engine, count_open, &open);
    assert_in_range(open, CLIENTS - IN_PLACE, CLIENTS);
    for (unsigned before = open, turns = 0; open && turns < TURNS; turns++, before = open) {
        talk_turn(&t);
        open = 0;
        eio_server_each(engine, count_open, &open);
        assert_in_range(before - open, 1, PER_TURN);
    }
    for (int i = 0; i < CLIENTS; i++) assert_string_equal(peer_read(fds[i]), CLOSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(many_go_in_slices_and_the_caller_is_told_after_the_last),
        TEST(at_the_limit_the_rest_goes_at_once),
        TEST(who_speaks_meanwhile_is_answered_and_who_joins_goes),
        TEST(nobody_comes_meanwhile),
        TEST(handlers_may_drain_again),
        TEST(the_server_may_be_freed_meanwhile),
        TEST(sessions_alone_are_closed_in_slices_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
