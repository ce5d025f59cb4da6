/* Namespaces that come and go, and the hooks that tell of them, of rooms and of what is sent. Numbers are those of the
 * edge cases in the inventory of the reference's behaviour. */
#include "eio_int.h"
#include "sio_fixture.h"

static struct talk t;
static struct sio_namespace *parent;

static bool match(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 5 && memcmp(name.p, "/dyn-", 5) == 0;
}

static void on_new(struct sio_namespace *nsp, void *ctx)
{
    (void)ctx;
    note(&t, "new %s\n", sio_namespace_name(nsp));
}

static void refuse(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket, (void)ctx;
    sio_refuse(admission, "no", NULL);
}

static struct sio_admission *pending;

static void wait(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket, (void)ctx;
    pending = admission;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.cleanup_empty_child_namespaces = true;
    return 0;
}

static void start(void)
{
    talk_start(&t);
    parent = sio_of_matching(t.io, match, NULL);
}

static int teardown(void **state)
{
    (void)state;
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

static void assert_namespaces(size_t count)
{
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.namespaces, count);
}

/* ---------------------------------------------------------------- cleanup */

static void by_default_they_stay(void **state)
{
    (void)state;
    t.options.cleanup_empty_child_namespaces = false;
    start();
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-1");
    client_say(&t, fd, "41/dyn-1");
    assert_namespaces(2);
    close(fd);
}

static void one_that_all_have_left_goes(void **state)
{
    (void)state;
    start();
    sio_of(t.io, "/static");
    int a = client_open(&t), b = client_open(&t);
    client_say(&t, a, "40/dyn-1");
    client_say(&t, a, "40/dyn-2");
    client_say(&t, b, "40/dyn-1");
    client_say(&t, b, "40/static");
    assert_namespaces(4);
    client_say(&t, a, "41/dyn-1");
    assert_namespaces(4);
    close(b); /* a broken connection is leaving, too */
    talk_turn(&t);
    assert_namespaces(3);
    assert_memory_equal(client_say(&t, a, "40/dyn-1"), "1:40/dyn-1,{", 12); /* and comes again */
    client_say(&t, a, "41/dyn-2");
    assert_namespaces(3);
    sio_emit(sio_all(parent), "ev", sio_args_none());
    assert_hears(&t, a, "1:42/dyn-1,[\"ev\"]\n");
    close(a);
    talk_turn(&t);
    assert_namespaces(2); /* those nobody asked for stay */
}

static void leaving_and_joining_in_one_turn_keeps_it(void **state)
{
    (void)state;
    start();
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-1");
    peer_text(fd, "41/dyn-1");
    peer_text(fd, "40/dyn-1");
    talk_turn(&t);
    talk_turn(&t);
    assert_namespaces(2);
    close(fd);
}

/* 56 */
static void a_refusal_removes_it(void **state)
{
    (void)state;
    start();
    sio_use(parent, refuse, NULL);
    int fd = client_open(&t);
    assert_says(&t, fd, "40/dyn-1", "1:44/dyn-1,{\"message\":\"no\"}\n");
    assert_namespaces(1);
    close(fd);
}

static void too_many_namespaces_leave_none_behind(void **state)
{
    (void)state;
    t.options.max_namespaces_per_client = 1;
    start();
    int fd = client_open(&t);
    client_say(&t, fd, "40");
    assert_says(&t, fd, "40/dyn-1", "1:44/dyn-1,{\"message\":\"Too many namespaces\"}\n");
    assert_namespaces(1);
    close(fd);
}

static void the_answer_of_middleware_may_come_after_the_end(void **state)
{
    (void)state;
    start();
    sio_use(parent, wait, NULL);
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-1");
    assert_namespaces(2);
    close(fd);
    talk_turn(&t);
    assert_namespaces(1);
    sio_next(pending);
}

static struct sio_reply later;

static void on_ask(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    later = sio_reply_later(event);
}

static void a_reply_to_one_that_is_gone_is_harmless(void **state)
{
    (void)state;
    start();
    sio_on(parent, "ask", on_ask, NULL);
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-1");
    client_say(&t, fd, "42/dyn-1,1[\"ask\"]");
    client_say(&t, fd, "41/dyn-1");
    assert_namespaces(1);
    assert_int_equal(sio_reply(&later, sio_args_none()), 0);
    assert_hears(&t, fd, "");
    close(fd);
}

/* Its sessions live in it: whoever may still come back finds it. */
static void with_recovery_it_waits_for_those_who_may_come_back(void **state)
{
    (void)state;
    char pid[21], connect[80];
    t.options.recovery.enabled = true;
    t.options.recovery.max_disconnection_ms = 60000;
    start();
    int fd = client_open(&t);
    const char *said = client_say(&t, fd, "40/dyn-1");
    snprintf(pid, sizeof pid, "%.20s", strstr(said, "\"pid\":\"") + 7);
    close(fd);
    talk_turn(&t);
    eio_loop_advance(t.loop, 50000);
    assert_namespaces(2);
    fd = client_open(&t);
    snprintf(connect, sizeof connect, "40/dyn-1,{\"pid\":\"%s\"}", pid);
    assert_non_null(strstr(client_say(&t, fd, connect), pid));
    close(fd);
    talk_turn(&t);
    eio_loop_advance(t.loop, 75000);
    assert_namespaces(1);
}

/* ------------------------------------------------------------------ hooks */

/* N4, 55 */
static void every_new_namespace_is_told(void **state)
{
    (void)state;
    start();
    sio_on_new_namespace(t.io, on_new, NULL);
    sio_of(t.io, "static");
    sio_of(t.io, "/static");
    assert_noted(&t, "new /static\n");
    int a = client_open(&t), b = client_open(&t);
    client_say(&t, a, "40/dyn-1");
    client_say(&t, b, "40/dyn-1");
    client_say(&t, b, "40/nothing");
    assert_noted(&t, "new /dyn-1\n");
    close(a);
    close(b);
}

static void on_room(enum sio_room_event what, struct eio_str room, struct sio_socket *socket, struct sio_namespace *nsp,
                    void *ctx)
{
    static const char *const names[] = {"created", "deleted", "joined", "left"};
    (void)ctx, (void)nsp;
    bool own = socket ? eio_str_is(room, sio_socket_id(socket)) : room.n == 20;
    note(&t, "%s %.*s%s\n", names[what], own ? 3 : (int)room.n, own ? "own" : room.p, socket ? " by one" : "");
}

/* R9 */
static void what_happens_to_rooms_is_told(void **state)
{
    (void)state;
    start();
    sio_on_room(parent, on_room, NULL);
    int a = client_open(&t), b = client_open(&t);
    client_say(&t, a, "40/dyn-1");
    assert_noted(&t, "created own\njoined own by one\n");
    client_say(&t, b, "40/dyn-1");
    t.log[0] = '\0';
    struct sio_namespace *nsp = sio_of(t.io, "/dyn-1");
    sio_join(nsp->sockets[0], eio_str("lobby"));
    sio_join(nsp->sockets[0], eio_str("lobby"));
    sio_join(nsp->sockets[1], eio_str("lobby"));
    assert_noted(&t, "created lobby\njoined lobby by one\njoined lobby by one\n");
    sio_leave(nsp->sockets[1], eio_str("lobby"));
    assert_noted(&t, "left lobby by one\n");
    client_say(&t, a, "41/dyn-1");
    assert_noted(&t, "left own by one\ndeleted own\nleft lobby by one\ndeleted lobby\n");
    close(a);
    close(b);
}

static void on_outgoing(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    note(&t, "%s%.*s(%.*s)%s\n", ctx ? (const char *)ctx : "", (int)name.n, name.p, (int)args.json.n, args.json.p,
         sio_socket_is_connected(socket) ? "" : " gone");
}

static void what_is_sent_is_told_for_each_receiver(void **state)
{
    (void)state;
    char own[] = "own ";
    start();
    sio_on_any_outgoing(parent, on_outgoing, NULL);
    int a = client_open(&t), b = client_open(&t);
    client_say(&t, a, "40/dyn-1");
    client_say(&t, b, "40/dyn-1");
    struct sio_namespace *nsp = sio_of(t.io, "/dyn-1");
    sio_emit(sio_all(nsp), "all", sio_args_json("1,2"));
    assert_noted(&t, "all(1,2)\nall(1,2)\n");
    sio_emit(sio_broadcast(nsp->sockets[0]), "rest", sio_args_none());
    assert_noted(&t, "rest()\n");
    sio_on_any_outgoing(nsp, on_outgoing, own);
    sio_emit(sio_only(nsp->sockets[0]), "one", sio_args_json("{}"));
    assert_noted(&t, "one({})\nown one({})\n");
    sio_emit_with_ack(sio_only(nsp->sockets[0]), "ask", sio_args_none(), NULL, NULL);
    assert_noted(&t, "ask()\nown ask()\n");
    client_say(&t, a, "42/dyn-1,1[\"unheard\"]"); /* answers are no events */
    assert_noted(&t, "");
    close(a);
    close(b);
}

static void with_recovery_the_offset_is_not_told(void **state)
{
    (void)state;
    t.options.recovery.enabled = true;
    start();
    sio_on_any_outgoing(t.root, on_outgoing, NULL);
    int fd = client_open(&t);
    client_say(&t, fd, "40");
    sio_emit(sio_only(t.root->sockets[0]), "one", sio_args_json("1"));
    assert_noted(&t, "one(1)\n");
    close(fd);
}

/* P11: what leaves with the turn, before it does. */
static void compress_is_a_flag_of_the_emit(void **state)
{
    (void)state;
    start();
    int fd = client_join(&t, "", NULL);
    sio_emit(sio_all(t.root), "yes", sio_args_none());
    sio_emit(sio_compress(sio_all(t.root), false), "no", sio_args_none());
    assert_int_equal(eio_batch_count(t.io->batch.frames), 2);
    assert_true(eio_batch_frame(t.io->batch.frames, 0)->is_plain);
    assert_false(eio_batch_frame(t.io->batch.frames, 1)->is_plain);
    sio_emit(sio_compress(sio_only(only_socket(t.root)), false), "alone", sio_args_none());
    assert_hears(&t, fd, "1:42[\"yes\"]\n1:42[\"no\"]\n1:42[\"alone\"]\n");
    close(fd);
}

/* --------------------------------------------------------------- registry */

static void note_name(struct sio_namespace *nsp, void *ctx)
{
    note(ctx, "%s=%zu ", sio_namespace_name(nsp), sio_namespace_socket_count(nsp));
}

/* N6 */
static void each_namespace_is_seen_with_its_sockets(void **state)
{
    (void)state;
    start();
    sio_of(t.io, "chat"); /* the slash is added */
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-1");
    client_say(&t, fd, "40/chat");
    sio_each_namespace(t.io, note_name, &t);
    assert_noted(&t, "/=0 /chat=1 /dyn-1=1 ");
    client_say(&t, fd, "41/dyn-1");
    sio_each_namespace(t.io, note_name, &t);
    assert_noted(&t, "/=0 /chat=1 ");
    close(fd);
}

static void note_connection(struct sio_socket *socket, void *ctx)
{
    note(ctx, "in %s\n", sio_namespace_name(sio_socket_namespace(socket)));
}

/* As the reference's `of`: a name that a parent accepts makes a child of it. */
static void one_made_by_name_has_the_parent_that_matches_it(void **state)
{
    (void)state;
    start();
    sio_on_connection(parent, note_connection, &t);
    struct sio_namespace *child = sio_of(t.io, "dyn-9");
    assert_string_equal(sio_namespace_name(child), "/dyn-9");
    int fd = client_open(&t);
    client_say(&t, fd, "40/dyn-9");
    assert_noted(&t, "in /dyn-9\n");
    sio_emit(sio_all(parent), "ev", sio_args_none());
    assert_hears(&t, fd, "1:42/dyn-9,[\"ev\"]\n");
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(by_default_they_stay),
        TEST(one_that_all_have_left_goes),
        TEST(leaving_and_joining_in_one_turn_keeps_it),
        TEST(a_refusal_removes_it),
        TEST(too_many_namespaces_leave_none_behind),
        TEST(the_answer_of_middleware_may_come_after_the_end),
        TEST(a_reply_to_one_that_is_gone_is_harmless),
        TEST(with_recovery_it_waits_for_those_who_may_come_back),
        TEST(every_new_namespace_is_told),
        TEST(what_happens_to_rooms_is_told),
        TEST(what_is_sent_is_told_for_each_receiver),
        TEST(with_recovery_the_offset_is_not_told),
        TEST(compress_is_a_flag_of_the_emit),
        TEST(each_namespace_is_seen_with_its_sockets),
        TEST(one_made_by_name_has_the_parent_that_matches_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
