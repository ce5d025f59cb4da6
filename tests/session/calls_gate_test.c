/* Gates on a fake clock: what runs in order, what is kept, for whom, and for how long a snapshot's lines are spared. */
#include "sio_fixture.h"

#include "app.h"
#include "calls_gate.h"

#define CALL "c1"
#define LATE_MS 10000

static struct {
    struct talk talk;
    struct kit kit;
    struct kit_config config;
    struct calls calls;
    int fd;
    struct sio_socket *socket;
    char pid[ROOMS_OFFSET_SIZE];
} f;

static struct calls_config *own_config(void)
{
    return (struct calls_config *)(uintptr_t)calls_config(&f.config);
}

static void quoted_after(const char *text, const char *what, char *out, size_t out_size)
{
    const char *at = strstr(text, what);
    assert_non_null(at);
    at += strlen(what);
    snprintf(out, out_size, "%.*s", (int)strcspn(at, "\""), at);
}

static int setup_with(void **state, bool recovers)
{
    (void)state;
    memset(&f, 0, sizeof f);
    talk_init(&f.talk);
    kit_config_init(&f.config, app_modules);
    f.kit.config = &f.config;
    f.kit.loop = f.talk.loop;
    f.calls.kit = &f.kit;
    f.talk.options.adapter = calls_proxy_adapter;
    f.talk.options.adapter_ctx = &f.calls;
    f.talk.options.recovery.enabled = recovers;
    talk_start(&f.talk);
    f.calls.agents = f.talk.root;
    f.fd = client_open(&f.talk);
    const char *said = client_say(&f.talk, f.fd, "40");
    if (recovers) quoted_after(said, "\"pid\":\"", f.pid, sizeof f.pid);
    f.socket = only_socket(f.talk.root);
    sio_join(f.socket, eio_str(CALLS_ROOM CALL));
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, false);
}

static int teardown(void **state)
{
    (void)state;
    close(f.fd);
    talk_turn(&f.talk);
    calls_gates_clear(&f.calls);
    talk_clear(&f.talk);
    free(f.calls.proxy);
    kit_config_clear(&f.config);
    return 0;
}

static void say(const char *room, int64_t seq)
{
    assert_int_equal(sio_emit_pack(sio_to(sio_all(f.talk.root), room), "line", "{s:I}", "seq", (json_int_t)seq), 0);
}

static const char *hear(void)
{
    return client_hear(&f.talk, f.fd);
}

/* ----------------------------------------------------------------- turns */

static struct calls_turn turns[4];

static void begin(struct calls_turn *turn)
{
    note(&f.talk, "%d ", (int)(turn - turns));
}

static void begin_and_end(struct calls_turn *turn)
{
    begin(turn);
    calls_gate_next(calls_gate_end_turn(turn));
}

static void enter(int i, void (*fn)(struct calls_turn *turn))
{
    turns[i] = (struct calls_turn){.begin = fn};
    assert_int_equal(calls_gate_enter(&f.calls, sio_socket_id(f.socket), CALL, &turns[i]), 0);
}

static struct calls_gate *gate(void)
{
    return calls_gate_find(&f.calls, sio_socket_id(f.socket), CALL);
}

static void turns_run_one_after_another(void **state)
{
    (void)state;
    enter(0, begin);
    enter(1, begin_and_end);
    enter(2, begin);
    enter(3, begin_and_end);
    assert_string_equal(f.talk.log, "0 ");
    assert_true(calls_gate_is_busy(gate()));
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_string_equal(f.talk.log, "0 1 2 ");
    calls_gate_next(calls_gate_end_turn(&turns[2]));
    assert_noted(&f.talk, "0 1 2 3 ");
    assert_null(gate()); /* nobody needs it any more */
    enter(0, begin_and_end);
    assert_noted(&f.talk, "0 ");
    assert_null(gate());
    assert_null(f.calls.gated);
}

static void turns_that_wait_are_bounded(void **state)
{
    struct calls_turn extra = {.begin = begin};
    (void)state;
    f.config.source_queue_max = 2;
    enter(0, begin);
    enter(1, begin_and_end);
    enter(2, begin_and_end);
    assert_int_equal(calls_gate_enter(&f.calls, sio_socket_id(f.socket), CALL, &extra), EIO_EAGAIN);
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_noted(&f.talk, "0 1 2 ");
    assert_null(gate());
}

/* --------------------------------------------------------------- messages */

static void what_comes_meanwhile_follows_if_the_snapshot_does_not_hold_it(void **state)
{
    (void)state;
    enter(0, begin);
    calls_gate_hold(gate());
    for (int64_t seq = 1; seq <= 4; seq++) say(CALLS_ROOM CALL, seq);
    say(CALLS_ROOM "c2", 9); /* not its call */
    assert_string_equal(hear(), "");
    calls_gate_open(gate(), f.socket, 2);
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":3}]\n1:42[\"line\",{\"seq\":4}]\n");
    say(CALLS_ROOM CALL, 2); /* from a process that was late */
    say(CALLS_ROOM CALL, 5);
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":5}]\n");
    eio_loop_advance(f.talk.loop, LATE_MS - 1);
    say(CALLS_ROOM CALL, 1);
    assert_string_equal(hear(), "");
    assert_non_null(gate());
    eio_loop_advance(f.talk.loop, 1);
    assert_null(gate());
    say(CALLS_ROOM CALL, 1);
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":1}]\n");
}

static void what_was_kept_is_dropped_with_the_right_to_it(void **state)
{
    (void)state;
    enter(0, begin);
    calls_gate_hold(gate());
    say(CALLS_ROOM CALL, 1);
    sio_leave(f.socket, eio_str(CALLS_ROOM CALL));
    calls_gate_open(gate(), f.socket,
                    -1); /* a gate that is opened by mistake gives nothing to who is not in the room */
    assert_string_equal(hear(), "");
    calls_gate_hold(gate());
    sio_join(f.socket, eio_str(CALLS_ROOM CALL));
    say(CALLS_ROOM CALL, 2);
    calls_gate_drop(gate());
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_null(gate());
    say(CALLS_ROOM CALL, 3);
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":3}]\n");
}

static void only_what_is_meant_for_a_socket_is_kept_for_it(void **state)
{
    (void)state;
    enter(0, begin);
    calls_gate_hold(gate());
    say(CALLS_SUPERVISOR_ROOM CALL, 1); /* it is none */
    sio_emit(sio_except(sio_to(sio_all(f.talk.root), CALLS_ROOM CALL), sio_socket_id(f.socket)), "line",
             sio_args_json("{\"seq\":2}"));
    sio_join(f.socket, eio_str(CALLS_SUPERVISOR_ROOM CALL));
    say(CALLS_SUPERVISOR_ROOM CALL, 3);
    sio_emit(sio_to(sio_to(sio_all(f.talk.root), CALLS_SUPERVISOR_ROOM CALL), CALLS_ROOM CALL), "line",
             sio_args_json("{\"seq\":4}"));                   /* once, though it names both rooms */
    sio_leave(f.socket, eio_str(CALLS_SUPERVISOR_ROOM CALL)); /* and is none any more */
    say(CALLS_ROOM CALL, 5);
    calls_gate_open(gate(), f.socket, -1);
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":4}]\n1:42[\"line\",{\"seq\":5}]\n");
}

static void a_message_to_several_calls_stops_at_each_gate(void **state)
{
    (void)state;
    enter(0, begin);
    calls_gate_hold(gate());
    sio_emit(sio_to(sio_to(sio_all(f.talk.root), CALLS_ROOM "c0"), CALLS_ROOM CALL), "line",
             sio_args_json("{\"seq\":1}"));
    assert_string_equal(hear(), "");
    calls_gate_open(gate(), f.socket, -1);
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_string_equal(hear(), "1:42[\"line\",{\"seq\":1}]\n");
}

static void what_is_too_much_to_be_kept_is_known(void **state)
{
    (void)state;
    enter(0, begin);
    calls_gate_hold(gate());
    own_config()->gate_messages_max = 3;
    for (int64_t seq = 1; seq <= 3; seq++) say(CALLS_ROOM CALL, seq);
    assert_false(calls_gate_is_lost(gate()));
    say(CALLS_ROOM CALL, 4);
    say(CALLS_ROOM CALL, 5);
    assert_true(calls_gate_is_lost(gate()));
    assert_int_equal(f.calls.counters.gates_lost, 1);
    calls_gate_drop(gate());
    own_config()->gate_bytes_max = 2 * sizeof "[\"line\",{\"seq\":1}]" - 2;
    calls_gate_hold(gate());
    say(CALLS_ROOM CALL, 1);
    say(CALLS_ROOM CALL, 2);
    assert_false(calls_gate_is_lost(gate()));
    say(CALLS_ROOM CALL, 3);
    assert_true(calls_gate_is_lost(gate()));
    assert_int_equal(f.calls.counters.gates_lost, 2);
    calls_gate_drop(gate());
    assert_false(calls_gate_is_lost(gate()));
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    assert_string_equal(hear(), "");
}

/* --------------------------------------------------------------- recovery */

static int setup_recovery(void **state)
{
    return setup_with(state, true);
}

/* The text that the last event ends with. */
static void offset_in(const char *said, char *offset, size_t offset_size)
{
    const char *end = strrchr(said, '"'), *from = end;
    while (from[-1] != '"') from--;
    snprintf(offset, offset_size, "%.*s", (int)(end - from), from);
}

/* A client's offset promises that everything before it has arrived; what is kept back has not. */
static void break_while_something_is_kept(bool opens)
{
    char offset[ROOMS_OFFSET_SIZE], connect[160];
    sio_join(f.socket, eio_str(CALLS_ROOM "c2"));
    enter(0, begin);
    calls_gate_hold(gate());
    say(CALLS_ROOM CALL, 1);
    say(CALLS_ROOM "c2", 2);
    offset_in(hear(), offset, sizeof offset);
    if (opens) calls_gate_open(gate(), f.socket, -1); /* sent, but it does not arrive */
    close(f.fd);
    talk_turn(&f.talk);
    f.fd = client_open(&f.talk);
    snprintf(connect, sizeof connect, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", f.pid, offset);
    const char *said = client_say(&f.talk, f.fd, connect);
    assert_non_null(strstr(said, "{\"seq\":1}"));
    assert_non_null(strstr(said, f.pid));
    calls_gate_next(calls_gate_end_turn(&turns[0]));
}

static void what_is_kept_when_the_connection_breaks_is_not_lost(void **state)
{
    (void)state;
    break_while_something_is_kept(false);
}

static void what_was_kept_and_did_not_arrive_is_not_lost(void **state)
{
    (void)state;
    break_while_something_is_kept(true);
}

static void after_a_gate_events_have_their_own_offset_again(void **state)
{
    char before[ROOMS_OFFSET_SIZE], kept[ROOMS_OFFSET_SIZE], after[ROOMS_OFFSET_SIZE];
    (void)state;
    say(CALLS_ROOM CALL, 1);
    offset_in(hear(), before, sizeof before);
    enter(0, begin);
    calls_gate_hold(gate());
    say(CALLS_ROOM CALL, 2);
    calls_gate_open(gate(), f.socket, -1);
    calls_gate_next(calls_gate_end_turn(&turns[0]));
    offset_in(hear(), kept, sizeof kept);
    assert_string_equal(kept, before);
    say(CALLS_ROOM CALL, 3);
    offset_in(hear(), after, sizeof after);
    assert_string_not_equal(after, before);
    assert_null(gate());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RECOVERY_TEST(name) cmocka_unit_test_setup_teardown(name, setup_recovery, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(turns_run_one_after_another),
        TEST(turns_that_wait_are_bounded),
        TEST(what_comes_meanwhile_follows_if_the_snapshot_does_not_hold_it),
        TEST(what_was_kept_is_dropped_with_the_right_to_it),
        TEST(only_what_is_meant_for_a_socket_is_kept_for_it),
        TEST(a_message_to_several_calls_stops_at_each_gate),
        TEST(what_is_too_much_to_be_kept_is_known),
        RECOVERY_TEST(what_is_kept_when_the_connection_breaks_is_not_lost),
        RECOVERY_TEST(what_was_kept_and_did_not_arrive_is_not_lost),
        RECOVERY_TEST(after_a_gate_events_have_their_own_offset_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
