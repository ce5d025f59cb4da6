/* Edge cases 42, 43, 45 and 47 of the inventory of the reference's behaviour, each stated: what looks like machinery of
 * the protocol or of JavaScript is data. Both transports. */
#include "sio_fixture.h"

static struct talk t;
static int fd, other;

#define P0 "{\"_placeholder\":true,\"num\":0}"

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        sio_ack(event, event->args);
    else
        sio_emit(sio_only(socket), "back", event->args);
}

static void on_pass(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_emit(sio_broadcast(socket), "passed", event->args);
}

/* What an event's handler sees, and whether it takes it for an attachment. */
static void on_look(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    struct rooms_bytes bytes;
    note(&t, "%.*s(%.*s) %zu %d\n", (int)event->name.n, event->name.p, (int)event->args.json.n,
         event->args.json.n ? event->args.json.p : "", event->args.attachment_count,
         sio_args_binary(event->args, 0, &bytes));
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    sio_on(t.root, "echo", on_echo, NULL);
    sio_on(t.root, "pass", on_pass, NULL);
    sio_on(t.root, "look", on_look, NULL);
    fd = client_join(&t, "", NULL);
    other = client_join(&t, "", NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    close(other);
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

static void attach(const void *bytes, size_t n)
{
    peer_send(fd, 0x82, bytes, n);
}

/* A polling client in the root: what it is answered to a body. */
static const char *poll_say(char *sid, const char *body)
{
    static char said[1024];
    struct eio__test_reply post, get;
    char target[128];
    struct eio_server *engine = sio_server_engine(t.io);
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=polling%s%s", *sid ? "&sid=" : "", sid);
    if (!*sid) {
        eio__test_request(engine, EIO_HTTP_GET, target, NULL, &get);
        memcpy(sid, get.body + 9, 20);
        sid[20] = '\0';
        free(get.body);
        poll_say(sid, "40");
        snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=polling&sid=%s", sid);
    }
    eio__test_request(engine, EIO_HTTP_POST, target, body, &post);
    free(post.body);
    talk_turn(&t);
    eio__test_request(engine, EIO_HTTP_GET, target, NULL, &get);
    talk_turn(&t);
    assert_true(get.answered);
    snprintf(said, sizeof said, "%s", get.body);
    free(get.body);
    return said;
}

static void case_42_a_placeholder_in_a_plain_event_is_left_as_it_is(void **state)
{
    (void)state;
    char sid[21] = "";
    assert_says(&t, fd, "42[\"echo\"," P0 "]", "1:42[\"back\"," P0 "]\n");
    assert_says(&t, fd, "427[\"echo\"," P0 "]", "1:437[" P0 "]\n");
    assert_says(&t, fd, "42[\"look\"," P0 "]", "");
    assert_noted(&t, "look(" P0 ") 0 0\n"); /* no attachment, whatever it looks like */
    /* Passed on, it does not make the packet binary: the others would wait for what never comes. */
    assert_says(&t, fd, "42[\"pass\",{\"_placeholder\":true,\"num\":99}]", "");
    assert_hears(&t, other, "1:42[\"passed\",{\"_placeholder\":true,\"num\":99}]\n");
    assert_string_equal(poll_say(sid, "42[\"echo\"," P0 "]"), "42[\"back\"," P0 "]");
}

static void case_43_an_attachment_of_no_bytes_is_one(void **state)
{
    (void)state;
    char sid[21] = "";
    client_say(&t, fd, "451-[\"echo\"," P0 "]");
    attach("", 0);
    assert_hears(&t, fd, "1:451-[\"back\"," P0 "]\n2:\n");
    client_say(&t, fd, "451-[\"look\"," P0 "]");
    attach("", 0);
    talk_turn(&t);
    assert_noted(&t, "look(" P0 ") 1 1\n");
    client_say(&t, fd, "451-[\"pass\"," P0 "]");
    attach("", 0);
    talk_turn(&t);
    assert_hears(&t, other, "1:451-[\"passed\"," P0 "]\n2:\n");
    /* Over polling it is a "b" alone, both ways. */
    assert_string_equal(poll_say(sid, "451-[\"echo\"," P0 "]\x1e"
                                      "b"),
                        "451-[\"back\"," P0 "]\x1e"
                        "b");
}

static void case_45_a_binary_event_with_an_id_is_acknowledged_in_binary(void **state)
{
    (void)state;
    char sid[21] = "";
    client_say(&t, fd, "451-7[\"echo\"," P0 "]");
    attach("abc", 3);
    assert_hears(&t, fd, "1:461-7[" P0 "]\n2:abc\n");
    client_say(&t, fd, "451-0[\"echo\"," P0 "]"); /* 0 is an id */
    attach("abc", 3);
    assert_hears(&t, fd, "1:461-0[" P0 "]\n2:abc\n");
    assert_string_equal(poll_say(sid, "451-7[\"echo\"," P0 "]\x1e"
                                      "bYWJj"),
                        "461-7[" P0 "]\x1e"
                        "bYWJj");
}

static void case_47_names_of_prototypes_are_names_like_others(void **state)
{
    (void)state;
    static const char *const names[] = {"__proto__", "constructor", "prototype", "toString", "hasOwnProperty"};
    struct sio_socket *socket = t.root->sockets[0];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char packet[256], expected[256], nsp[64];
        snprintf(packet, sizeof packet, "42[\"echo\",{\"%s\":{\"polluted\":true}}]", names[i]);
        snprintf(expected, sizeof expected, "1:42[\"back\",{\"%s\":{\"polluted\":true}}]\n", names[i]);
        assert_says(&t, fd, packet, expected);
        sio_on(t.root, names[i], on_look, NULL);
        snprintf(packet, sizeof packet, "42[\"%s\",1]", names[i]);
        snprintf(expected, sizeof expected, "%s(1) 0 0\n", names[i]);
        assert_says(&t, fd, packet, "");
        assert_noted(&t, expected);
        assert_int_equal(sio_join(socket, eio_str(names[i])), 0);
        sio_emit(sio_to(sio_all(t.root), names[i]), "room", sio_args_none());
        assert_hears(&t, fd, "1:42[\"room\"]\n");
        assert_hears(&t, other, "");
        snprintf(nsp, sizeof nsp, "40/%s", names[i]);
        snprintf(expected, sizeof expected, "1:44/%s,{\"message\":\"Invalid namespace\"}\n", names[i]);
        assert_says(&t, fd, nsp, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(case_42_a_placeholder_in_a_plain_event_is_left_as_it_is),
        TEST(case_43_an_attachment_of_no_bytes_is_one),
        TEST(case_45_a_binary_event_with_an_id_is_acknowledged_in_binary),
        TEST(case_47_names_of_prototypes_are_names_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
