/* Connection state recovery in memory. Numbers are those of the edge cases in the inventory of the reference's
 * behaviour. */
#include "sio_fixture.h"

static struct talk t;
static struct sio_socket *last;
static bool allow;

struct member {
    int fd;
    char sid[21], pid[21];
};

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    last = socket;
    note(&t, "connection recovered=%d\n", sio_socket_recovered(socket));
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx, (void)socket;
    note(&t, "disconnect: %s\n", reason);
}

static void middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx, (void)socket;
    note(&t, "middleware\n");
    sio_next(admission);
}

static bool on_recover(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    note(&t, "recover? lobby=%d\n", sio_socket_is_in(socket, eio_str("lobby")));
    return allow;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.recovery.enabled = true;
    t.options.recovery.max_disconnection_ms = 60000;
    return 0;
}

static void start(void)
{
    talk_start(&t);
    sio_on_connection(t.root, on_connection, NULL);
    sio_on_disconnect(t.root, on_disconnect, NULL);
    sio_use(t.root, middleware, NULL);
    allow = true;
}

static int teardown(void **state)
{
    (void)state;
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

/* Reads {"sid":…,"pid":…} at the end of what the server said; what came before it goes to `before`. */
static void read_connect(struct member *member, const char *said, char *before)
{
    const char *connect = strstr(said, "1:40{\"sid\":\"");
    assert_non_null(connect);
    assert_int_equal(strlen(connect), strlen("1:40{\"sid\":\"\",\"pid\":\"\"}\n") + 40);
    memcpy(member->sid, connect + 12, 20);
    assert_memory_equal(connect + 32, "\",\"pid\":\"", 9);
    memcpy(member->pid, connect + 41, 20);
    member->sid[20] = member->pid[20] = '\0';
    if (before)
        snprintf(before, 1024, "%.*s", (int)(connect - said), said);
    else
        assert_ptr_equal(connect, said);
}

static struct member join(void)
{
    struct member member = {.fd = client_open(&t)};
    read_connect(&member, client_say(&t, member.fd, "40"), NULL);
    t.log[0] = '\0';
    return member;
}

/* The client comes back on a new connection; offset NULL: without. Gives what it heard before the CONNECT answer. */
static struct member come_back(const struct member *old, const char *offset, char *before)
{
    char connect[160];
    struct member member = {.fd = client_open(&t)};
    int n = snprintf(connect, sizeof connect, "40{\"pid\":\"%s\"", old->pid);
    if (offset) n += snprintf(connect + n, sizeof connect - (size_t)n, ",\"offset\":\"%s\"", offset);
    snprintf(connect + n, sizeof connect - (size_t)n, "}");
    read_connect(&member, client_say(&t, member.fd, connect), before);
    return member;
}

static void leave(const struct member *member)
{
    close(member->fd);
    talk_turn(&t);
}

static void end(const struct member *member)
{
    leave(member);
    t.log[0] = '\0';
}

/* The text between the last two quotes of the last packet. */
static void offset_in(const char *said, char *offset)
{
    const char *to = strrchr(said, '"'), *from = to;
    while (from[-1] != '"') from--;
    snprintf(offset, 64, "%.*s", (int)(to - from), from);
}

static void emit(struct sio_target target, const char *args)
{
    assert_int_equal(sio_emit(target, "ev", sio_args_json(args)), 0);
}

static void assert_recovered(const struct member *old, const struct member *now)
{
    assert_string_equal(old->sid, now->sid);
    assert_string_equal(old->pid, now->pid);
}

static void assert_new(const struct member *old, const struct member *now)
{
    assert_string_not_equal(old->sid, now->sid);
    assert_string_not_equal(old->pid, now->pid);
}

/* -------------------------------------------------------------------- tests */

static void off_by_default(void **state)
{
    (void)state;
    t.options.recovery.enabled = false;
    talk_start(&t);
    int fd = client_join(&t, "", NULL); /* {"sid":…} and nothing else */
    emit(sio_all(t.root), "1");
    assert_hears(&t, fd, "1:42[\"ev\",1]\n");
    assert_false(sio_socket_recovered(only_socket(t.root)));
    close(fd);
}

/* 62, 63, §1.7: what was missed comes before the CONNECT answer, with offsets; id, rooms and data are there again. */
static void a_client_gets_all_it_missed(void **state)
{
    (void)state;
    char offset[64], before[1024], expected[256];
    start();
    struct member old = join();
    sio_join(last, eio_str("lobby"));
    json_object_set_new(sio_socket_data(last), "name", json_string("ann"));
    emit(sio_only(last), "0");
    offset_in(client_hear(&t, old.fd), offset);
    leave(&old);
    assert_noted(&t, "disconnect: transport close\n");

    emit(sio_to(sio_all(t.root), "lobby"), "1");
    emit(sio_to(sio_all(t.root), "elsewhere"), "2");
    emit(sio_except(sio_all(t.root), "lobby"), "3");
    emit(sio_volatile(sio_all(t.root)), "4");
    emit(sio_all(t.root), "");
    struct member now = come_back(&old, offset, before);
    assert_recovered(&old, &now);
    snprintf(expected, sizeof expected, "1:42[\"ev\",1,\"%.9s2\"]\n1:42[\"ev\",\"%.9s5\"]\n", offset, offset);
    assert_string_equal(before, expected);
    assert_noted(&t, "connection recovered=1\n"); /* skip_middlewares */
    assert_true(sio_socket_is_in(last, eio_str("lobby")));
    assert_string_equal(json_string_value(json_object_get(sio_socket_data(last), "name")), "ann");
    assert_int_equal(t.root->socket_count, 1);
    end(&now);
}

static void what_was_missed_keeps_its_attachments(void **state)
{
    (void)state;
    char before[1024];
    start();
    struct member old = join();
    leave(&old);
    struct rooms_bytes bytes = {(const uint8_t *)"xy", 2};
    sio_emit(sio_all(t.root), "ev", (struct sio_args){eio_str("{\"_placeholder\":true,\"num\":0}"), &bytes, 1});
    struct member now = come_back(&old, NULL, before);
    assert_non_null(strstr(before, "1:451-[\"ev\",{\"_placeholder\":true,\"num\":0},\""));
    assert_non_null(strstr(before, "\n2:xy\n"));
    end(&now);
}

/* 65: a client that received nothing yet has no offset: from where it connected. */
static void without_an_offset_it_is_from_the_connect(void **state)
{
    (void)state;
    char before[1024];
    start();
    struct member other = join();
    emit(sio_all(t.root), "\"before it came\"");
    talk_turn(&t);
    struct member old = join();
    leave(&old);
    emit(sio_all(t.root), "1");
    struct member now = come_back(&old, NULL, before);
    assert_recovered(&old, &now);
    assert_null(strstr(before, "before it came"));
    assert_memory_equal(before, "1:42[\"ev\",1,", 12);
    end(&now);
    end(&other);
}

/* 61 */
static void what_does_not_fit_makes_a_new_client(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x", "", "AAAAAAAA.99999999999999999999", "AAAAAAAA,1", "AAAAAAAA.1x"};
    char offset[64];
    start();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct member old = join();
        leave(&old);
        t.log[0] = '\0';
        struct member now = come_back(&old, wrong[i], NULL);
        assert_new(&old, &now);
        assert_noted(&t, "middleware\nconnection recovered=0\n");
        end(&now);
    }
    struct member old = join();
    emit(sio_all(t.root), "1");
    offset_in(client_hear(&t, old.fd), offset);
    leave(&old);
    offset[9]++; /* one that was never given out */
    struct member future = come_back(&old, offset, NULL);
    assert_new(&old, &future);
    leave(&future);
    memcpy(old.pid, "AAAAAAAAAAAAAAAAAAAA", 20);
    struct member unknown = come_back(&old, NULL, NULL);
    assert_new(&old, &unknown);
    end(&unknown);
}

/* An offset of a server that is no more is not the client's fault: it has received nothing from this one. */
static void an_offset_of_another_log_counts_as_none(void **state)
{
    (void)state;
    start();
    struct member old = join();
    leave(&old);
    struct member now = come_back(&old, "AAAAAAAA.17", NULL);
    assert_recovered(&old, &now);
    end(&now);
}

static void a_session_lasts_as_long_as_it_says(void **state)
{
    (void)state;
    start();
    struct member old = join();
    leave(&old);
    eio_loop_advance(t.loop, 60000);
    struct member now = come_back(&old, NULL, NULL);
    assert_recovered(&old, &now);
    leave(&now);
    eio_loop_advance(t.loop, 60001);
    struct member late = come_back(&now, NULL, NULL);
    assert_new(&now, &late);
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.recoveries, 1);
    assert_int_equal(stats.recoveries_failed, 1);
    end(&late);
}

static void a_session_is_good_for_one_return(void **state)
{
    (void)state;
    start();
    struct member old = join();
    emit(sio_all(t.root), "1");
    talk_turn(&t);
    sio_socket_disconnect(last, false); /* not a broken connection */
    leave(&old);
    struct member now = come_back(&old, NULL, NULL);
    assert_new(&old, &now);
    client_say(&t, now.fd, "41"); /* nor is this */
    leave(&now);
    struct member again = come_back(&now, NULL, NULL);
    assert_new(&now, &again);
    end(&again);
}

/* 66: the server has not noticed yet that the old connection is dead. */
static void the_old_connection_is_evicted(void **state)
{
    (void)state;
    char before[1024];
    start();
    struct member old = join();
    emit(sio_all(t.root), "1"); /* not read by anybody */
    talk_turn(&t);
    struct member now = come_back(&old, NULL, before);
    assert_recovered(&old, &now);
    assert_memory_equal(before, "1:42[\"ev\",1,", 12);
    assert_noted(&t, "disconnect: transport close\nconnection recovered=1\n");
    assert_int_equal(t.root->socket_count, 1);
    close(old.fd);
    end(&now);
}

/* 64: clients take text at the end of any event for the offset. */
static void volatile_events_that_end_with_text_carry_the_offset(void **state)
{
    (void)state;
    char offset[64], expected[256];
    start();
    struct member member = join();
    emit(sio_all(t.root), "0");
    offset_in(client_hear(&t, member.fd), offset);
    emit(sio_volatile(sio_all(t.root)), "1,\"text\"");
    snprintf(expected, sizeof expected, "1:42[\"ev\",1,\"text\",\"%s\"]\n", offset);
    assert_hears(&t, member.fd, expected);
    emit(sio_volatile(sio_only(last)), "");
    snprintf(expected, sizeof expected, "1:42[\"ev\",\"%s\"]\n", offset);
    assert_hears(&t, member.fd, expected);
    emit(sio_volatile(sio_all(t.root)), "{\"a\":\"text\"}");
    assert_hears(&t, member.fd, "1:42[\"ev\",{\"a\":\"text\"}]\n");
    /* The ack function is the last argument there. */
    sio_emit_with_ack(sio_only(last), "ev", sio_args_json("\"text\""), NULL, NULL);
    assert_hears(&t, member.fd, "1:420[\"ev\",\"text\"]\n");
    end(&member);
}

/* What is meant for this connection alone: why it ends, say. */
static void what_is_local_to_one_socket_goes_straight_to_it_and_is_not_logged(void **state)
{
    (void)state;
    char offset[64], before[1024];
    start();
    struct member old = join();
    emit(sio_only(last), "0");
    offset_in(client_hear(&t, old.fd), offset);
    emit(sio_local(sio_only(last)), "1");
    assert_hears(&t, old.fd, "1:42[\"ev\",1]\n");
    leave(&old);
    struct member now = come_back(&old, offset, before);
    assert_recovered(&old, &now);
    assert_string_equal(before, "");
    end(&now);
}

/* 67 */
static void a_revoked_client_is_not_recovered(void **state)
{
    (void)state;
    start();
    sio_on_recover(t.root, on_recover, NULL);
    struct member old = join();
    sio_join(last, eio_str("lobby"));
    leave(&old);
    t.log[0] = '\0';
    emit(sio_all(t.root), "\"secret\"");
    allow = false;
    struct member now = come_back(&old, NULL, NULL);
    assert_new(&old, &now);
    assert_noted(&t, "recover? lobby=1\nmiddleware\nconnection recovered=0\n");
    assert_false(sio_socket_is_in(last, eio_str("lobby")));
    end(&now);
}

/* 67 */
static void middlewares_run_if_they_are_not_skipped(void **state)
{
    (void)state;
    t.options.recovery.skip_middlewares = false;
    start();
    struct member old = join();
    leave(&old);
    t.log[0] = '\0';
    struct member now = come_back(&old, NULL, NULL);
    assert_recovered(&old, &now);
    assert_noted(&t, "middleware\nconnection recovered=1\n");
    end(&now);
}

static struct sio_admission *pending;

static void hesitate(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    if (!sio_socket_recovered(socket)) {
        sio_next(admission);
        return;
    }
    pending = admission;
}

/* Nothing is lost or sent twice while middleware makes up its mind; nothing is sent before it has. */
static void what_comes_during_middleware_is_not_lost(void **state)
{
    (void)state;
    char connect[80];
    t.options.recovery.skip_middlewares = false;
    talk_start(&t);
    sio_use(t.root, hesitate, NULL);
    struct member old = join();
    leave(&old);
    emit(sio_all(t.root), "1");
    int fd = client_open(&t);
    snprintf(connect, sizeof connect, "40{\"pid\":\"%s\"}", old.pid);
    assert_says(&t, fd, connect, "");
    close(fd); /* gone before the answer: it may come again */
    talk_turn(&t);
    sio_next(pending);
    fd = client_open(&t);
    assert_says(&t, fd, connect, "");
    emit(sio_all(t.root), "2");
    sio_next(pending);
    emit(sio_all(t.root), "3");
    const char *said = client_hear(&t, fd);
    assert_memory_equal(said, "1:42[\"ev\",1,", 12);
    const char *two = strstr(said, "[\"ev\",2,"), *answer = strstr(said, old.sid), *three = strstr(said, "[\"ev\",3,");
    assert_true(two && answer && three && two < answer && answer < three);
    assert_null(strstr(two + 1, "[\"ev\",2,"));
    close(fd);
}

/* Without a bound the log would grow: above it the oldest go, and who missed them is a new client. */
static void the_log_is_bounded(void **state)
{
    (void)state;
    char offset[64];
    t.options.recovery.max_log_packets = 2;
    start();
    struct member a = join(), b = join();
    leave(&a);
    emit(sio_all(t.root), "1");
    emit(sio_all(t.root), "2");
    offset_in(client_hear(&t, b.fd), offset);
    leave(&b);
    emit(sio_all(t.root), "3");
    char before[1024];
    struct member late = come_back(&a, NULL, NULL);
    assert_new(&a, &late);
    struct member in_time = come_back(&b, offset, before);
    assert_recovered(&b, &in_time);
    assert_memory_equal(before, "1:42[\"ev\",3,", 12);
    leave(&late);
    end(&in_time);
}

static void the_log_is_bounded_in_bytes(void **state)
{
    (void)state;
    char large[600], before[1024];
    t.options.recovery.max_log_bytes = 1000;
    start();
    memset(large, ' ', sizeof large);
    large[0] = '1';
    large[sizeof large - 1] = '\0';
    struct member a = join(), b = join();
    leave(&a);
    emit(sio_all(t.root), large);
    client_hear(&t, b.fd);
    leave(&b);
    emit(sio_all(t.root), "2"); /* both fit no more once another comes */
    emit(sio_all(t.root), large);
    struct member late = come_back(&a, NULL, NULL);
    assert_new(&a, &late);
    struct member too_late = come_back(&b, NULL, NULL);
    assert_new(&b, &too_late);
    leave(&late);
    emit(sio_all(t.root), "3");
    struct member in_time = come_back(&late, NULL, before);
    assert_recovered(&late, &in_time);
    assert_memory_equal(before, "1:42[\"ev\",3,", 12);
    leave(&too_late);
    end(&in_time);
}

/* The reference forgets old messages and with them everybody who received none since; here they are known to have
 * arrived. */
static void a_quiet_client_is_recovered_however_old_its_offset(void **state)
{
    (void)state;
    char offset[64], before[1024];
    start();
    struct member quiet = join();
    emit(sio_only(last), "0");
    offset_in(client_hear(&t, quiet.fd), offset);
    for (int i = 0; i < 8; i++) { /* 200 s of traffic for others */
        emit(sio_to(sio_all(t.root), "others"), "1");
        eio_loop_advance(t.loop, 25000);
        peer_text(quiet.fd, "3");
        talk_turn(&t);
    }
    leave(&quiet);
    eio_loop_advance(t.loop, 50000);
    emit(sio_all(t.root), "2");
    struct member now = come_back(&quiet, offset, before);
    assert_recovered(&quiet, &now);
    assert_memory_equal(before, "1:42[\"ev\",2,", 12);
    end(&now);
}

/* What was replayed on a connection that broke at once is replayed again. */
static void a_replay_that_did_not_arrive_is_repeated(void **state)
{
    (void)state;
    char before[1024];
    start();
    struct member old = join();
    leave(&old);
    emit(sio_all(t.root), "1");
    eio_loop_advance(t.loop, 50000);
    struct member now = come_back(&old, NULL, before);
    leave(&now);
    struct member again = come_back(&now, NULL, before);
    assert_recovered(&old, &again);
    assert_memory_equal(before, "1:42[\"ev\",1,", 12);
    end(&again);
}

/* One encoding for all, in a batch as ever. */
static void a_broadcast_has_the_same_offset_for_all(void **state)
{
    (void)state;
    char first[256];
    start();
    struct member a = join(), b = join();
    emit(sio_all(t.root), "1");
    emit(sio_all(t.root), "2");
    snprintf(first, sizeof first, "%s", client_hear(&t, a.fd));
    assert_hears(&t, b.fd, first);
    assert_non_null(strstr(first, ".1\"]\n1:42[\"ev\",2,"));
    leave(&a);
    end(&b);
}

static void assert_hears_with(const struct member *member, const char *event, const char *log, int number)
{
    char expected[128];
    snprintf(expected, sizeof expected, "1:42[\"ev\",%s,\"%.9s%d\"]\n", event, log, number);
    assert_hears(&t, member->fd, expected);
}

/* Its client's last offset stays before all that it may not have yet; others' do not. */
static void a_socket_that_something_is_held_back_from_gets_the_offset_of_before(void **state)
{
    (void)state;
    struct sio_hold first = {NULL}, second = {NULL};
    char log[64];
    start();
    struct member held = join();
    struct sio_socket *socket = last;
    struct member other = join();
    emit(sio_all(t.root), "1");
    offset_in(client_hear(&t, held.fd), log);
    client_hear(&t, other.fd);
    sio_hold_begin(&first, socket);
    sio_hold_begin(&first, socket); /* the same as once */
    emit(sio_all(t.root), "2");
    assert_hears_with(&held, "2", log, 1);
    assert_hears_with(&other, "2", log, 2);
    sio_hold_begin(&second, socket);
    emit(sio_to(sio_all(t.root), sio_socket_id(socket)), "3");
    assert_hears_with(&held, "3", log, 1);
    sio_hold_end(&first); /* the second began after "2" */
    emit(sio_all(t.root), "4");
    assert_hears_with(&held, "4", log, 2);
    assert_hears_with(&other, "4", log, 4);
    sio_hold_end(&second);
    sio_hold_end(&second);
    emit(sio_all(t.root), "5");
    assert_hears_with(&held, "5", log, 5);
    sio_hold_begin(&first, socket);
    leave(&held);
    assert_null(first.socket); /* its end ends it */
    end(&other);
}

/* That the connection answered pings proves nothing of what was not sent on it. */
static void what_was_held_back_has_not_surely_arrived(void **state)
{
    (void)state;
    char offset[64], before[1024];
    start();
    for (int ends_in_time = 0; ends_in_time < 2; ends_in_time++) {
        struct sio_hold hold = {NULL};
        struct member held = join();
        emit(sio_only(last), "0");
        offset_in(client_hear(&t, held.fd), offset);
        sio_hold_begin(&hold, last);
        emit(sio_except(sio_all(t.root), held.sid), "\"of somebody else\"");
        emit(sio_all(t.root), "\"held back\"");
        for (int i = 0; i < 2; i++) {
            eio_loop_advance(t.loop, 25000);
            peer_text(held.fd, "3");
            talk_turn(&t);
        }
        if (ends_in_time) sio_hold_end(&hold);
        leave(&held);
        struct member now = come_back(&held, offset, before);
        assert_recovered(&held, &now);
        assert_non_null(strstr(before, "held back"));
        assert_null(strstr(before, "of somebody else"));
        end(&now);
    }
}

/* Its client came back at another node: there is nobody here, and its session is there to be given. */
static void another_node_evicts_the_old_connection(void **state)
{
    (void)state;
    start();
    struct member old = join();
    const struct rooms_local *local = &t.root->adapter->local;
    local->evict(local->ctx, (struct rooms_name){"AAAAAAAAAAAAAAAAAAAA", 20});
    local->evict(local->ctx, (struct rooms_name){"?", 1});
    assert_int_equal(sio_namespace_socket_count(t.root), 1);
    local->evict(local->ctx, (struct rooms_name){old.pid, 20});
    assert_int_equal(sio_namespace_socket_count(t.root), 0);
    assert_string_equal(t.log, "disconnect: transport close\n");
    end(&old);
    struct member now = come_back(&old, NULL, NULL);
    assert_recovered(&old, &now);
    end(&now);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(off_by_default),
        TEST(a_client_gets_all_it_missed),
        TEST(what_was_missed_keeps_its_attachments),
        TEST(without_an_offset_it_is_from_the_connect),
        TEST(what_does_not_fit_makes_a_new_client),
        TEST(an_offset_of_another_log_counts_as_none),
        TEST(a_session_lasts_as_long_as_it_says),
        TEST(a_session_is_good_for_one_return),
        TEST(the_old_connection_is_evicted),
        TEST(volatile_events_that_end_with_text_carry_the_offset),
        TEST(what_is_local_to_one_socket_goes_straight_to_it_and_is_not_logged),
        TEST(a_revoked_client_is_not_recovered),
        TEST(middlewares_run_if_they_are_not_skipped),
        TEST(what_comes_during_middleware_is_not_lost),
        TEST(the_log_is_bounded),
        TEST(the_log_is_bounded_in_bytes),
        TEST(a_quiet_client_is_recovered_however_old_its_offset),
        TEST(a_replay_that_did_not_arrive_is_repeated),
        TEST(a_broadcast_has_the_same_offset_for_all),
        TEST(a_socket_that_something_is_held_back_from_gets_the_offset_of_before),
        TEST(what_was_held_back_has_not_surely_arrived),
        TEST(another_node_evicts_the_old_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
