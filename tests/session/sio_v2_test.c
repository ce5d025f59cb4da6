/* Clients of Socket.IO 2, on Engine.IO 3 (row P7 and case 70 in the inventory of the reference's behaviour). */
#include "eio_int.h"
#include "sio_fixture.h"

static struct talk t;

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    struct eio_str auth = sio_socket_auth(socket);
    note(&t, "%s auth=%.*s\n", sio_namespace_name(sio_socket_namespace(socket)), (int)auth.n, auth.p);
}

static void refuse(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)socket;
    sio_refuse(admission, "no", ctx);
}

static struct sio_reply later;

static void on_ask(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    later = sio_reply_later(event);
}

static bool match_any(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 4 && memcmp(name.p, "/dyn", 4) == 0;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.engine.allow_eio3 = true;
    talk_start(&t);
    sio_on_connection(t.root, on_connection, NULL);
    sio_on_connection(sio_of(t.io, "/adm"), on_connection, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

/* Its first packets: the transport's, then the CONNECT that nobody asked for. */
static int open_v2_as(const char *id, char *sid)
{
    int fd;
    assert_non_null(eio__test_websocket_as(sio_server_engine(t.io), 3, id, &fd));
    talk_turn(&t);
    const char *said = peer_read(fd);
    assert_memory_equal(said, "1:0{\"sid\":\"", 11);
    if (sid) {
        memcpy(sid, said + 11, 20);
        sid[20] = '\0';
    }
    assert_non_null(strstr(said, "}\n1:40\n"));
    return fd;
}

static int open_v2(char *sid)
{
    return open_v2_as(NULL, sid);
}

static void it_is_in_the_root_without_asking(void **state)
{
    (void)state;
    char sid[21];
    int fd = open_v2(sid);
    assert_noted(&t, "/ auth={}\n");
    assert_string_equal(sio_socket_id(only_socket(t.root)), sid);
    close(fd);
}

/* 70 */
static void the_query_of_a_namespace_is_its_auth(void **state)
{
    (void)state;
    char sid[21], id[64];
    struct sio_namespace *adm = sio_of(t.io, "/adm");
    int fd = open_v2(sid);
    t.log[0] = '\0';
    assert_says(&t, fd, "40/adm?a=1&b=x%20y,", "1:40/adm,\n");
    assert_noted(&t, "/adm auth={\"a\":\"1\",\"b\":\"x y\"}\n");
    snprintf(id, sizeof id, "/adm#%s", sid);
    assert_string_equal(sio_socket_id(only_socket(adm)), id);
    assert_ptr_equal(sio_socket_find(adm, id, strlen(id)), only_socket(adm));
    assert_says(&t, fd, "40/zzz", "1:44/zzz,{\"message\":\"Invalid namespace\"}\n");

    sio_emit(sio_to(sio_all(adm), id), "ev", sio_args_none()); /* its own room */
    sio_emit(sio_broadcast(only_socket(adm)), "not", sio_args_none());
    sio_emit(sio_only(only_socket(adm)), "ev", sio_args_json("1"));
    assert_hears(&t, fd, "1:42/adm,[\"ev\"]\n1:42/adm,[\"ev\",1]\n");
    sio_on(adm, "ask", on_ask, NULL);
    assert_says(&t, fd, "42/adm,7[\"ask\"]", "");
    sio_reply(&later, sio_args_json("2"));
    assert_hears(&t, fd, "1:43/adm,7[2]\n");
    assert_says(&t, fd, "41/adm,", "");
    assert_int_equal(adm->socket_count, 0);
    assert_int_equal(t.root->socket_count, 1);
    close(fd);
}

static void a_refusal_is_the_data_or_the_message(void **state)
{
    (void)state;
    char data[] = "{\"code\":1}", null[] = "null";
    sio_use(sio_of(t.io, "/a"), refuse, data);
    sio_use(sio_of(t.io, "/b"), refuse, NULL);
    sio_use(sio_of(t.io, "/c"), refuse, null);
    int fd = open_v2(NULL);
    assert_says(&t, fd, "40/a", "1:44/a,{\"code\":1}\n");
    assert_says(&t, fd, "40/b", "1:44/b,\"no\"\n");
    assert_says(&t, fd, "40/c", "1:44/c,\"no\"\n");
    close(fd);
}

/* The index takes ids of 255 bytes. */
static void a_name_too_long_for_an_id_is_refused(void **state)
{
    (void)state;
    char connect[300] = "40/dyn";
    sio_of_matching(t.io, match_any, NULL);
    int fd = open_v2(NULL);
    memset(connect + 6, 'x', 250);
    assert_non_null(strstr(client_say(&t, fd, connect), ",{\"message\":\"Invalid namespace\"}\n"));
    close(fd);
}

static void recovery_is_not_for_it(void **state)
{
    (void)state;
    t.io->options.recovery.enabled = t.root->recovers = true;
    int fd = open_v2(NULL);
    assert_null(only_socket(t.root)->recovery);
    close(fd);
    talk_turn(&t);
}

/* The transport's id is the client's: one that the application gave, too. */
static void an_id_of_the_application_s_is_known_to_it(void **state)
{
    (void)state;
    int other = open_v2_as("my-own", NULL);
    assert_string_equal(sio_socket_id(only_socket(t.root)), "my-own");
    assert_ptr_equal(sio_socket_find(t.root, "my-own", 6), only_socket(t.root));
    client_say(&t, other, "40/adm?a=1");
    assert_string_equal(sio_socket_id(only_socket(sio_of(t.io, "/adm"))), "/adm#my-own");
    sio_emit(sio_to(sio_all(t.root), "my-own"), "ev", sio_args_none());
    assert_hears(&t, other, "1:42[\"ev\"]\n");
    sio_on(t.root, "ask", on_ask, NULL);
    assert_says(&t, other, "425[\"ask\"]", "");
    sio_reply(&later, sio_args_json("1"));
    assert_hears(&t, other, "1:435[1]\n");
    close(other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_in_the_root_without_asking),
        TEST(the_query_of_a_namespace_is_its_auth),
        TEST(a_refusal_is_the_data_or_the_message),
        TEST(a_name_too_long_for_an_id_is_refused),
        TEST(recovery_is_not_for_it),
        TEST(an_id_of_the_application_s_is_known_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
