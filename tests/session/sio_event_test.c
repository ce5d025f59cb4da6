/* Events from clients: names, arguments, acks, binary packets; handlers and packet middleware.
 * Numbers are those of the edge cases in the inventory of the reference's behaviour. */
#include "sio_fixture.h"

static struct talk t;
static int fd;

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        assert_int_equal(sio_ack(event, event->args), 0);
    else
        assert_int_equal(sio_emit(sio_only(socket), "echo-back", event->args), 0);
}

static void on_any(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    note(&t, "%s%.*s(%.*s)%zu\n", ctx ? (const char *)ctx : "", (int)event->name.n, event->name.p,
         (int)event->args.json.n, event->args.json.n ? event->args.json.p : "", event->args.attachment_count);
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.max_packet_bytes = 1000;
    talk_start(&t);
    sio_on(t.root, "echo", on_echo, NULL);
    fd = client_join(&t, "", NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    talk_turn(&t);
    talk_turn(&t); /* what was written before a close is read first */
    assert_int_equal(t.io->client_count, 0);
    talk_clear(&t);
    return 0;
}

static void attach(const void *bytes, size_t n)
{
    peer_send(fd, 0x82, bytes, n);
    talk_turn(&t);
}

static void assert_closes(const char *text)
{
    int other = client_join(&t, "", NULL);
    if (strcmp(client_say(&t, other, text), CLOSED) != 0) fail_msg("not closed by: %s", text);
    close(other);
    talk_turn(&t);
}

/* -------------------------------------------------------------------- text */

static void an_event_with_an_ack_is_answered_with_its_arguments(void **state)
{
    (void)state;
    assert_says(&t, fd, "4212[\"echo\",1,{\"a\":\"b\"}]", "1:4312[1,{\"a\":\"b\"}]\n");
    assert_says(&t, fd, "42[\"echo\",\"x\"]", "1:42[\"echo-back\",\"x\"]\n");
    assert_says(&t, fd, "420[\"echo\"]", "1:430[]\n");
}

static void many_events_in_one_read_are_answered_in_order(void **state)
{
    (void)state;
    peer_text(fd, "421[\"echo\",1]");
    peer_text(fd, "42[\"echo\",2]");
    peer_text(fd, "423[\"echo\",3]");
    assert_hears(&t, fd, "1:431[1]\n1:42[\"echo-back\",2]\n1:433[3]\n");
}

/* 34 */
static void ids_are_read_to_2_to_the_53_and_no_further(void **state)
{
    (void)state;
    assert_says(&t, fd, "420456[\"echo\"]", "1:43456[]\n");
    assert_says(&t, fd, "4212 [\"echo\"]", "1:4312[]\n");
    assert_says(&t, fd, "429007199254740991[\"echo\"]", "1:439007199254740991[]\n");
    assert_closes("429007199254740992[\"echo\"]");
    assert_closes("42100000000000000000000[\"echo\"]");
    assert_closes("42-1[\"echo\"]");
}

/* 32, 33, 42 */
static void names_may_be_numbers_or_escaped_and_an_empty_packet_is_ignored(void **state)
{
    (void)state;
    sio_on_any(t.root, on_any, NULL);
    sio_on(t.root, "gr\xc3\xbc\xc3\x9f", on_any, NULL);
    client_say(&t, fd, "42[1,\"x\"]");
    client_say(&t, fd, "42[1.5]");
    client_say(&t, fd, "42[\"connection\"]");
    client_say(&t, fd, "42[\"error\",null]");
    assert_noted(&t, "1(\"x\")0\n1.5()0\nconnection()0\nerror(null)0\n");
    client_say(&t, fd, "42[\"gr\\u00fc\\u00df\"]");
    assert_noted(&t, "gr\xc3\xbc\xc3\x9f()0\ngr\xc3\xbc\xc3\x9f()0\n");
    assert_says(&t, fd, "42", "");
    client_say(&t, fd, "42[\"x\",{\"_placeholder\":true,\"num\":0}]");
    assert_noted(&t, "x({\"_placeholder\":true,\"num\":0})0\n");
}

static void a_long_escaped_name_is_decoded_too(void **state)
{
    (void)state;
    char text[1000], want[400] = "", name[320] = "";
    for (int i = 0; i < 140; i++) strcat(name, "\\n");
    snprintf(text, sizeof text, "42[\"%s\"]", name);
    for (int i = 0; i < 140; i++) strcat(want, "\n");
    strcat(want, "()0\n");
    sio_on_any(t.root, on_any, NULL);
    client_say(&t, fd, text);
    assert_noted(&t, want);
}

/* 46 */
static void nesting_is_limited(void **state)
{
    (void)state;
    char text[600] = "42[\"echo\",";
    size_t n = strlen(text);
    memset(text + n, '[', 200);
    memset(text + n + 200, ']', 200);
    strcpy(text + n + 400, "]");
    assert_closes(text);
}

/* 47, 48, 49, 50 */
static void payloads_are_relayed_byte_for_byte(void **state)
{
    (void)state;
    assert_says(&t, fd, "42[\"echo\",{\"__proto__\":1,\"a\":1,\"a\":2},1e999,1.0,-0,1e21,\"\\ud800\"]",
                "1:42[\"echo-back\",{\"__proto__\":1,\"a\":1,\"a\":2},1e999,1.0,-0,1e21,\"\\ud800\"]\n");
}

/* ------------------------------------------------------------------ binary */

/* 45 */
static void a_binary_event_is_answered_with_a_binary_ack(void **state)
{
    (void)state;
    assert_says(&t, fd, "451-7[\"echo\",{\"_placeholder\":true,\"num\":0}]", "");
    attach("\x01\x02z", 3);
    assert_hears(&t, fd, "1:461-7[{\"_placeholder\":true,\"num\":0}]\n2:\x01\x02z\n");
}

/* 41 */
static void attachments_are_passed_on_in_the_order_of_their_placeholders(void **state)
{
    (void)state;
    client_say(&t, fd, "452-[\"echo\",{\"_placeholder\":true,\"num\":1},[{\"num\":0,\"_placeholder\":true}]]");
    attach("zero", 4);
    attach("one", 3);
    assert_hears(&t, fd,
                 "1:452-[\"echo-back\",{\"_placeholder\":true,\"num\":0},[{\"_placeholder\":true,\"num\":1}]]\n"
                 "2:one\n2:zero\n");
    client_say(&t, fd, "451-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]");
    attach("twice", 5);
    assert_hears(&t, fd,
                 "1:452-[\"echo-back\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\n"
                 "2:twice\n2:twice\n");
}

/* 36, 37, 38, 39 */
static void attachment_counts_and_placeholders_must_make_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "451[\"m\"]",
        "45-1-",
        "451.5-",
        "45a-",
        "450-[\"m\",1]",
        "4511-[\"m\"]",
        "451-[\"m\",{\"_placeholder\":true,\"num\":-1}]",
        "451-[\"m\",{\"_placeholder\":true,\"num\":1}]",
        "451-[\"m\",{\"_placeholder\":true,\"num\":0.5}]",
        "451-[\"m\",{\"_placeholder\":true,\"num\":\"splice\"}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_closes(bad[i]);
    assert_says(&t, fd, "4510-[\"m\"]", "");
    for (int i = 0; i < 10; i++) attach("", 0);
    assert_says(&t, fd, "421[\"echo\"]", "1:431[]\n");
}

/* 40 */
static void text_instead_of_an_attachment_closes_the_connection(void **state)
{
    (void)state;
    int other = client_join(&t, "", NULL);
    assert_says(&t, other, "451-[\"m\"]", "");
    assert_says(&t, other, "42[\"m\"]", CLOSED);
    close(other);
    other = client_join(&t, "", NULL);
    peer_send(other, 0x82, "x", 1);
    talk_turn(&t);
    assert_hears(&t, other, CLOSED);
    close(other);
    other = client_join(&t, "", NULL);
    assert_says(&t, other, "452-[\"m\"]", "");
    peer_send(other, 0x82, "x", 1);
    close(other); /* goes away while one is missing */
}

/* 43, 44 */
static void attachments_may_be_empty_or_base64_in_text(void **state)
{
    (void)state;
    client_say(&t, fd, "451-7[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    attach("", 0);
    assert_hears(&t, fd, "1:461-7[{\"_placeholder\":true,\"num\":0}]\n2:\n");
    client_say(&t, fd, "451-7[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    assert_says(&t, fd, "bYWJj", "1:461-7[{\"_placeholder\":true,\"num\":0}]\n2:abc\n");
}

static void a_packet_with_its_attachments_is_limited(void **state)
{
    (void)state;
    static const uint8_t bytes[1001];
    int other = client_join(&t, "", NULL);
    assert_says(&t, other, "452-[\"m\"]", "");
    peer_send(other, 0x82, bytes, 500);
    assert_hears(&t, other, "");
    peer_send(other, 0x82, bytes, 500);
    assert_hears(&t, other, CLOSED);
    close(other);
    other = client_join(&t, "", NULL);
    assert_says(&t, other, "452-[\"m\"]", "");
    peer_send(other, 0x82, bytes, 1001);
    assert_hears(&t, other, CLOSED);
    close(other);
}

static void a_binary_packet_for_another_namespace_is_no_event(void **state)
{
    (void)state;
    int other = client_join(&t, "", NULL);
    assert_says(&t, other, "451-/chat,[\"m\"]", "");
    peer_send(other, 0x82, "x", 1);
    assert_hears(&t, other, CLOSED);
    close(other);
    sio_of(t.io, "/chat");
    sio_on(sio_of(t.io, "/chat"), "m", on_echo, NULL);
    client_say(&t, fd, "40/chat,");
    assert_says(&t, fd, "451-/chat,12[\"m\",{\"_placeholder\":true,\"num\":0}]", "");
    attach("x", 1);
    assert_hears(&t, fd, "1:461-/chat,12[{\"_placeholder\":true,\"num\":0}]\n2:x\n");
    assert_says(&t, fd, "451-", ""); /* without data: ignored, as the reference does */
    attach("x", 1);
    assert_says(&t, fd, "421[\"echo\"]", "1:431[]\n");
}

/* ---------------------------------------------------------------- handlers */

static bool pass(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)event;
    note(&t, "%s\n", (const char *)ctx);
    return true;
}

static bool stop(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    note(&t, "%s\n", (const char *)ctx);
    if (eio_str_is(event->name, "bad")) sio_ack_pack(event, "s", "no");
    return !eio_str_is(event->name, "bad");
}

static void packet_middleware_keeps_events_from_the_handlers(void **state)
{
    (void)state;
    char one[] = "one", two[] = "two", handler[] = "handler ", any[] = "any ";
    sio_on_any(t.root, on_any, any);
    sio_use_packet(t.root, pass, one);
    sio_use_packet(t.root, stop, two);
    sio_on(t.root, "bad", on_any, handler);
    sio_on(t.root, "good", on_any, handler);
    sio_on(t.root, "good", on_any, NULL);
    assert_says(&t, fd, "421[\"bad\"]", "1:431[\"no\"]\n");
    assert_noted(&t, "any bad()0\none\ntwo\n");
    client_say(&t, fd, "42[\"good\"]");
    assert_noted(&t, "any good()0\none\ntwo\nhandler good()0\ngood()0\n");
    assert_int_equal(sio_on(t.root, "disconnect", on_any, NULL), EIO_EINVAL);
}

static void on_twice(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    assert_int_equal(sio_ack_pack(event, "{s:b}, i", "ok", 1, 5), 0);
    assert_int_equal(sio_ack_pack(event, "i", 6), 0);
}

/* A5 */
static void only_the_first_ack_counts(void **state)
{
    (void)state;
    sio_on(t.root, "twice", on_twice, NULL);
    assert_says(&t, fd, "421[\"twice\"]", "1:431[{\"ok\":true},5]\n");
    assert_says(&t, fd, "42[\"twice\"]", "");
}

static struct sio_reply reply;

static void on_later(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    reply = sio_reply_later(event);
    sio_ack(event, sio_args_json("\"too early\""));
}

static void an_answer_may_be_given_later_or_never_arrive(void **state)
{
    (void)state;
    sio_on(t.root, "later", on_later, NULL);
    assert_says(&t, fd, "425[\"later\"]", "");
    assert_int_equal(sio_reply(&reply, sio_args_json("1")), 0);
    assert_int_equal(sio_reply(&reply, sio_args_json("2")), 0);
    assert_hears(&t, fd, "1:435[1]\n");
    client_say(&t, fd, "425[\"later\"]");
    client_say(&t, fd, "41");
    assert_int_equal(sio_reply(&reply, sio_args_json("1")), 0);
    assert_hears(&t, fd, "");
    client_say(&t, fd, "40");
    client_say(&t, fd, "42[\"later\"]");
    assert_false(reply.wanted);
}

static void emit_pack_builds_arguments(void **state)
{
    (void)state;
    assert_int_equal(sio_emit_pack(sio_only(only_socket(t.root)), "e", "s, i, [b], n", "\xc3\xbc", 7, 0), 0);
    assert_hears(&t, fd, "1:42[\"e\",\"\xc3\xbc\",7,[false],null]\n");
    assert_int_equal(sio_emit_pack(sio_only(only_socket(t.root)), "e", "}"), EIO_EINVAL);
    assert_int_equal(sio_emit(sio_all(t.root), "newListener", sio_args_none()), EIO_EINVAL);
}

/* -------------------------------------------------------- one answer for many */

static struct sio_reply promised[3];
static size_t promised_count;

static void on_promised(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    promised[promised_count++] = sio_reply_later(event);
}

static void one_answer_reaches_all_who_wait_under_their_own_numbers(void **state)
{
    (void)state;
    int second = client_join(&t, "", NULL), third = client_join(&t, "", NULL);
    promised_count = 0;
    sio_on(t.root, "later", on_promised, NULL);
    client_say(&t, fd, "427[\"later\"]");
    client_say(&t, second, "427[\"later\"]");
    client_say(&t, third, "429[\"later\"]");
    struct sio_shared *shared = sio_shared_new(eio_str("{\"a\":1}"));
    close(second); /* whoever is gone gets nothing, and harms nobody */
    talk_turn(&t);
    talk_turn(&t);
    for (int i = 0; i < 3; i++) assert_int_equal(sio_reply_shared(&promised[i], shared, NULL), 0);
    assert_int_equal(sio_reply_shared(&promised[0], shared, NULL), 0); /* once */
    sio_shared_free(shared);
    assert_hears(&t, fd, "1:437[{\"a\":1}]\n");
    assert_hears(&t, third, "1:439[{\"a\":1}]\n");
    close(third);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_event_with_an_ack_is_answered_with_its_arguments),
        TEST(one_answer_reaches_all_who_wait_under_their_own_numbers),
        TEST(many_events_in_one_read_are_answered_in_order),
        TEST(ids_are_read_to_2_to_the_53_and_no_further),
        TEST(names_may_be_numbers_or_escaped_and_an_empty_packet_is_ignored),
        TEST(a_long_escaped_name_is_decoded_too),
        TEST(nesting_is_limited),
        TEST(payloads_are_relayed_byte_for_byte),
        TEST(a_binary_event_is_answered_with_a_binary_ack),
        TEST(attachments_are_passed_on_in_the_order_of_their_placeholders),
        TEST(attachment_counts_and_placeholders_must_make_sense),
        TEST(text_instead_of_an_attachment_closes_the_connection),
        TEST(attachments_may_be_empty_or_base64_in_text),
        TEST(a_packet_with_its_attachments_is_limited),
        TEST(a_binary_packet_for_another_namespace_is_no_event),
        TEST(packet_middleware_keeps_events_from_the_handlers),
        TEST(only_the_first_ack_counts),
        TEST(an_answer_may_be_given_later_or_never_arrive),
        TEST(emit_pack_builds_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
