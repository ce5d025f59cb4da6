/* Who watches a server's sockets (sio_server_watch): in all namespaces, before their handlers, and not any longer. */
#include "sio_fixture.h"

static struct talk t;

static void own(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event, (void)ctx;
    note(&t, "own ");
    sio_emit(sio_only(socket), "out", sio_args_json("7"));
}

static void own_connection(struct sio_socket *socket, void *ctx)
{
    (void)socket, (void)ctx;
    note(&t, "own ");
}

static void own_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)socket, (void)reason, (void)ctx;
    note(&t, "own ");
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    note(&t, "%s:connection%s ", (const char *)ctx, sio_namespace_name(sio_socket_namespace(socket)));
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)socket;
    note(&t, "%s:disconnect(%s) ", (const char *)ctx, reason);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    note(&t, "%s:event(%.*s) ", (const char *)ctx, (int)event->name.n, event->name.p);
}

static void on_sending(struct sio_namespace *nsp, struct eio_str name, struct sio_args args, void *ctx)
{
    (void)nsp, (void)args;
    note(&t, "%s:sending(%.*s) ", (const char *)ctx, (int)name.n, name.p);
}

static void on_outgoing(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    (void)socket;
    note(&t, "%s:outgoing(%.*s,%.*s) ", (const char *)ctx, (int)name.n, name.p, (int)args.json.n, args.json.p);
}

static void on_room(enum sio_room_event what, struct eio_str room, struct sio_socket *socket, struct sio_namespace *nsp,
                    void *ctx)
{
    (void)nsp;
    if (socket && !eio_str_is(room, sio_socket_id(socket)))
        note(&t, "%s:%s(%.*s) ", (const char *)ctx, what == SIO_ROOM_JOINED ? "joined" : "left", (int)room.n, room.p);
}

static void on_data(struct sio_socket *socket, void *ctx)
{
    (void)socket;
    note(&t, "%s:data ", (const char *)ctx);
}

static char w[] = "w";
static const struct sio_watch watch = {.on_connection = on_connection,
                                       .on_disconnect = on_disconnect,
                                       .on_event = on_event,
                                       .on_outgoing = on_outgoing,
                                       .on_room = on_room,
                                       .on_data = on_data};

static bool is_dynamic(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 4 && memcmp(name.p, "/dyn", 4) == 0;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    talk_clear(&t);
    return 0;
}

static void what_sockets_do_is_seen_before_their_handlers(void **state)
{
    (void)state;
    sio_on(t.root, "ev", own, NULL);
    sio_on_connection(t.root, own_connection, NULL);
    sio_on_disconnect(t.root, own_disconnect, NULL);
    sio_server_watch(t.io, &watch, w);
    int fd = client_join(&t, "", NULL);
    assert_noted(&t, "w:connection/ own ");
    assert_says(&t, fd, "42[\"ev\"]", "1:42[\"out\",7]\n");
    assert_noted(&t, "w:event(ev) own w:outgoing(out,7) ");
    sio_join(only_socket(t.root), eio_str("r"));
    sio_emit(sio_to(sio_all(t.root), "r"), "all", sio_args_json("1"));
    sio_leave(only_socket(t.root), eio_str("r"));
    sio_join(only_socket(t.root), eio_str("q"));
    sio_socket_data(only_socket(t.root));
    assert_noted(&t, "w:joined(r) w:outgoing(all,1) w:left(r) w:joined(q) w:data ");
    client_say(&t, fd, "41");
    assert_noted(&t, "w:left(q) w:disconnect(client namespace disconnect) own ");
    close(fd);
}

static void namespaces_that_come_later_are_seen(void **state)
{
    (void)state;
    sio_server_watch(t.io, &watch, w);
    sio_of_matching(t.io, is_dynamic, NULL);
    int fd = client_join(&t, "/dyn-3,", NULL);
    client_say(&t, fd, "42/dyn-3,[\"x\"]");
    assert_noted(&t, "w:connection/dyn-3 w:event(x) ");
    close(fd);
    talk_turn(&t);
    assert_noted(&t, "w:disconnect(transport close) ");
}

static void nobody_watches_any_more(void **state)
{
    (void)state;
    sio_server_watch(t.io, &watch, w);
    sio_server_watch(t.io, NULL, w);
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "42[\"x\"]");
    sio_emit(sio_all(t.root), "y", sio_args_none());
    close(fd);
    talk_turn(&t);
    assert_noted(&t, "");
}

/* Each sees all, in the order of their places; one that ends leaves the others; a ctx that watches already is replaced.
 */
static void several_may_watch(void **state)
{
    static const struct sio_watch less = {.on_event = on_event};
    static char names[][2] = {"a", "b", "c", "d"};
    (void)state;
    sio_server_watch(t.io, &watch, w);
    for (int i = 0; i < SIO_WATCHERS_MAX - 1; i++) assert_int_equal(sio_server_watch(t.io, &less, names[i]), 0);
    assert_int_equal(sio_server_watch(t.io, &less, names[SIO_WATCHERS_MAX - 1]), EIO_ETOOBIG);
    assert_int_equal(sio_server_watch(t.io, &less, names[0]), 0);
    int fd = client_join(&t, "", NULL);
    client_say(&t, fd, "42[\"x\"]");
    assert_noted(&t, "w:connection/ w:event(x) a:event(x) b:event(x) c:event(x) ");
    sio_server_watch(t.io, NULL, w);
    sio_server_watch(t.io, NULL, names[1]);
    assert_int_equal(sio_server_watch(t.io, &less, names[3]), 0);
    client_say(&t, fd, "42[\"y\"]");
    sio_emit(sio_all(t.root), "out", sio_args_none());
    assert_noted(&t, "d:event(y) a:event(y) c:event(y) ");
    close(fd);
}

/* Once, however many get it. */
static void an_event_is_seen_before_its_receivers(void **state)
{
    static const struct sio_watch outgoing = {.on_sending = on_sending, .on_outgoing = on_outgoing};
    (void)state;
    int first = client_join(&t, "", NULL), second = client_join(&t, "", NULL);
    sio_server_watch(t.io, &outgoing, w);
    sio_emit(sio_all(t.root), "all", sio_args_json("1"));
    assert_noted(&t, "w:sending(all) w:outgoing(all,1) w:outgoing(all,1) ");
    close(second);
    talk_turn(&t);
    sio_emit(sio_only(only_socket(t.root)), "one", sio_args_json("2"));
    assert_noted(&t, "w:sending(one) w:outgoing(one,2) ");
    close(first);
}

static void stop_and_leave(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event, (void)ctx;
    sio_server_watch(t.io, NULL, w);
    sio_socket_disconnect(socket, true);
}

static void it_may_end_and_disconnect_within(void **state)
{
    (void)state;
    static const struct sio_watch ending = {.on_event = stop_and_leave};
    sio_on(t.root, "ev", own, NULL);
    sio_server_watch(t.io, &ending, w);
    int fd = client_join(&t, "", NULL);
    assert_says(&t, fd, "42[\"ev\"]", "1:41\n" CLOSED);
    assert_noted(&t, "");
    close(fd);
}

/* What people are shown of a request has neither auth nor the headers that hold secrets. */
static void what_is_shown_of_a_request_has_no_secrets(void **state)
{
    (void)state;
    int fd = client_open(&t);
    client_say(&t, fd, "40{\"token\":\"hidden\"}");
    struct sio_builder shown, whole;
    sio_builder_init(&shown);
    sio_builder_init(&whole);
    sio_builder_open(&shown);
    sio_socket_put_request(only_socket(t.root), &shown);
    sio_builder_open(&whole);
    sio_socket_put_handshake(only_socket(t.root), &whole);
    json_t *request = sio_args_parse(sio_builder_args(&shown), 0), *all = sio_args_parse(sio_builder_args(&whole), 0);
    assert_non_null(json_object_get(all, "auth"));
    json_object_del(all, "auth");
    assert_true(json_equal(request, all));
    json_decref(request);
    json_decref(all);
    sio_builder_clear(&shown);
    sio_builder_clear(&whole);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(what_sockets_do_is_seen_before_their_handlers),
        TEST(namespaces_that_come_later_are_seen),
        TEST(nobody_watches_any_more),
        TEST(several_may_watch),
        TEST(an_event_is_seen_before_its_receivers),
        TEST(it_may_end_and_disconnect_within),
        TEST(what_is_shown_of_a_request_has_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
