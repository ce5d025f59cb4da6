/* The msgpack parser: packets as bytes, and what handlers see of them. What socket.io-msgpack-parser 3 was seen to send
 * is written in hex; where only the meaning counts, packets are written as JSON and what is heard is decoded. */
#include "sio_fixture.h"

#include <rooms_msgpack.h>

#include "test.h"

static struct talk t;

static void on_any(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    note(&t, "%s %.*s(%.*s)", sio_namespace_name(sio_socket_namespace(socket)), (int)event->name.n, event->name.p,
         (int)event->args.json.n, event->args.json.n ? event->args.json.p : "");
    for (size_t i = 0; i < event->args.attachment_count; i++)
        note(&t, " %.*s", (int)event->args.attachments[i].n, (const char *)event->args.attachments[i].p);
    note(&t, "\n");
}

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        assert_int_equal(sio_ack(event, event->args), 0);
    else
        assert_int_equal(sio_emit(sio_only(socket), "echo", event->args), 0);
}

static void on_share(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    assert_int_equal(sio_emit(sio_all(sio_socket_namespace(socket)), "shared", event->args), 0);
}

static void refuse(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    note(&t, "auth %.*s\n", (int)sio_socket_auth(socket).n, sio_socket_auth(socket).p);
    sio_refuse(admission, "no", "{\"code\":1}");
}

static void start(void)
{
    talk_init(&t);
    t.options.parser = SIO_PARSER_MSGPACK;
    t.options.max_packet_bytes = 3000;
    t.options.max_depth = 4;
    talk_start(&t);
    sio_on_any(t.root, on_any, NULL);
    sio_on(t.root, "echo", on_echo, NULL);
    sio_on(t.root, "share", on_share, NULL);
    sio_on_any(sio_of(t.io, "/other"), on_any, NULL);
    sio_use(sio_of(t.io, "/closed"), refuse, NULL);
}

static void end(int fd)
{
    close(fd);
    talk_turn(&t);
    talk_turn(&t);
    assert_int_equal(t.io->client_count, 0);
    talk_clear(&t);
}

/* ------------------------------------------------------------------- bytes */

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; *hex; hex++) {
        unsigned byte;
        if (*hex == ' ') continue;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
        hex++;
    }
    return n;
}

/* Calls fn for each frame that can be read. */
static void each_frame(int fd, void (*fn)(uint8_t opcode, const uint8_t *p, size_t n))
{
    static uint8_t wire[65536];
    talk_turn(&t);
    talk_turn(&t);
    ssize_t have = recv(fd, wire, sizeof wire, MSG_DONTWAIT);
    for (ssize_t at = 0; at + 2 <= have;) {
        size_t n = wire[at + 1] & 0x7f, head = 2;
        if (n == 126) {
            n = (size_t)wire[at + 2] << 8 | wire[at + 3];
            head = 4;
        }
        fn(wire[at] & 15, wire + at + head, n);
        at += (ssize_t)(head + n);
    }
}

static char heard[16384];

static void hear_hex(uint8_t opcode, const uint8_t *p, size_t n)
{
    char *at = heard + strlen(heard);
    if (opcode != 2) at += sprintf(at, "%d:", opcode);
    for (size_t i = 0; opcode == 2 && i < n; i++) at += sprintf(at, "%02x", p[i]);
    sprintf(at, "\n");
}

static void hear_json(uint8_t opcode, const uint8_t *p, size_t n)
{
    static const struct rooms_msgpack_limits limits = {16, 1000};
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    char *at = heard + strlen(heard);
    if (opcode != 2) {
        sprintf(at, "%d:\n", opcode);
        return;
    }
    assert_int_equal(rooms_msgpack_decode(p, n, &limits, &decoded, &fault), n);
    at += sprintf(at, "%.*s", (int)decoded.json_size, decoded.json);
    for (size_t i = 0; i < decoded.attachment_count; i++)
        at += sprintf(at, " %.*s", (int)decoded.attachments[i].n, (const char *)decoded.attachments[i].p);
    sprintf(at, "\n");
    rooms_decoded_clear(&decoded);
}

static const char *hear(int fd)
{
    heard[0] = '\0';
    each_frame(fd, hear_json);
    return heard;
}

static void say_hex(int fd, const char *hex)
{
    static uint8_t bytes[4096];
    peer_send(fd, 0x82, bytes, from_hex(hex, bytes));
}

/* A packet given as JSON; attachments are "one", "two". */
static void say(int fd, const char *json)
{
    static const struct rooms_bytes attachments[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"two", 3}};
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, strlen(json)}, attachments, 2);
    assert_int_equal(packer.error, 0);
    peer_send(fd, 0x82, packer.bytes, packer.size);
    rooms_packer_clear(&packer);
}

#define assert_answers(fd, json, expected)       \
    do {                                         \
        say(fd, json);                           \
        assert_string_equal(hear(fd), expected); \
    } while (0)

static void assert_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0) fail_msg("%s\ndoes not begin with %s", text, with);
}

static int join(void)
{
    int fd = client_open(&t);
    say_hex(fd, "82a47479706500a36e7370a12f");
    assert_begins(hear(fd), "{\"type\":0,\"nsp\":\"/\",\"data\":{\"sid\":\"");
    return fd;
}

/* ----------------------------------------------------------------- packets */

#define ONE "{\"_placeholder\":true,\"num\":0}"
#define TWO "{\"_placeholder\":true,\"num\":1}"

TEST(connect, is_answered_with_a_map)
{
    start();
    int fd = client_open(&t);
    say_hex(fd, "83a47479706500a36e7370a12fa464617461d40000"); /* data: undefined */
    heard[0] = '\0';
    each_frame(fd, hear_hex);
    char *sid = strstr(heard, "a3736964b4");
    assert_non_null(sid);
    assert_int_equal(sid - heard, 38);
    assert_begins(heard, "83a47479706500a36e7370a12fa46461746181");
    assert_int_equal(strlen(sid), 10 + 40 + 1);
    end(fd);
}

TEST(connect, takes_auth_and_is_refused)
{
    start();
    int fd = client_open(&t);
    assert_answers(fd, "{\"data\":{\"token\":\"a\\\"b\"},\"nsp\":\"/closed\",\"type\":0}",
                   "{\"type\":4,\"nsp\":\"/closed\",\"data\":{\"message\":\"no\",\"data\":{\"code\":1}}}\n");
    assert_noted(&t, "auth {\"token\":\"a\\\"b\"}\n");
    assert_answers(fd, "{\"type\":0,\"nsp\":\"/none\\u00e9\"}",
                   "{\"type\":4,\"nsp\":\"/none\xc3\xa9\",\"data\":{\"message\":\"Invalid namespace\"}}\n");
    assert_answers(fd, "{\"type\":0,\"nsp\":\"/a\\\"b\"}",
                   "{\"type\":4,\"nsp\":\"/a\\\"b\",\"data\":{\"message\":\"Invalid namespace\"}}\n");
    end(fd);
}

TEST(event, with_nested_binary_is_one_message_each_way)
{
    start();
    int fd = join();
    /* {type:2,data:["echo",{a:[<01 02>]},"x"],options:{compress:true},nsp:"/"} */
    say_hex(fd, "84 a474797065 02 a464617461 93 a46563686f 81a161 91 c4023132 a178 "
                "a76f7074696f6e73 81 a8636f6d7072657373 c3 a36e7370 a12f");
    heard[0] = '\0';
    each_frame(fd, hear_hex);
    assert_string_equal(heard, "83a47479706502a36e7370a12fa46461746193a46563686f81a16191c4023132a178\n");
    assert_noted(&t, "/ echo({\"a\":[" ONE "]},\"x\") 12\n");
    end(fd);
}

TEST(event, values_arrive_as_json)
{
    start();
    int fd = join();
    say_hex(fd,
            "83 a474797065 02 a36e7370 a12f a464617461 97 a3616e79 d6ff00000000 d40000 81a161d40000 cb3fe0000000000000 "
            "c0 2a");
    assert_string_equal(hear(fd), "");
    assert_noted(&t, "/ any(\"1970-01-01T00:00:00.000Z\",null,{},0.5,null,42)\n");
    assert_answers(fd, "{\"type\":2,\"nsp\":\"/\",\"data\":[\"ec\\u0068o\",\"\\u20ac\"]}",
                   "{\"type\":2,\"nsp\":\"/\",\"data\":[\"echo\",\"\xe2\x82\xac\"]}\n");
    assert_noted(&t, "/ echo(\"\xe2\x82\xac\")\n");
    say(fd, "{\"type\":2,\"nsp\":\"/\",\"data\":[7]}");
    assert_string_equal(hear(fd), "");
    assert_noted(&t, "/ 7()\n");
    end(fd);
}

TEST(event, keys_that_stand_twice_count_the_last_time)
{
    start();
    int fd = join();
    assert_answers(
        fd, "{\"type\":1,\"nsp\":\"/x\",\"type\":2,\"data\":[],\"nsp\":\"/\",\"data\":[\"echo\"],\"id\":1,\"id\":2}",
        "{\"type\":3,\"nsp\":\"/\",\"data\":[],\"id\":2}\n");
    end(fd);
}

TEST(event, what_looks_like_a_placeholder_is_data_without_binary)
{
    start();
    int fd = join();
    say_hex(fd, "83a47479706502a36e7370a12fa46461746192a46563686f82ac5f706c616365686f6c646572c3a36e756d00");
    heard[0] = '\0';
    each_frame(fd, hear_hex);
    assert_string_equal(heard,
                        "83a47479706502a36e7370a12fa46461746192a46563686f82ac5f706c616365686f6c646572c3a36e756d00\n");
    end(fd);
}

TEST(event, more_binary_than_the_default_parser_allows)
{
    start();
    int fd = join();
    char json[2048] = "{\"type\":2,\"nsp\":\"/\",\"data\":[\"echo\"";
    for (int i = 0; i < 40; i++) strcat(json, "," ONE);
    strcat(json, "],\"id\":0}");
    say(fd, json);
    hear(fd);
    assert_begins(heard, "{\"type\":3,\"nsp\":\"/\",\"data\":[" ONE "," TWO);
    assert_int_equal(strncmp(heard + strlen(heard) - 5, " one\n", 5), 0);
    end(fd);
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    note(&t, "%s: %d %.*s", (const char *)ctx, error, (int)answer.json.n, answer.json.n ? answer.json.p : "");
    for (size_t i = 0; i < answer.attachment_count; i++)
        note(&t, " %.*s", (int)answer.attachments[i].n, (const char *)answer.attachments[i].p);
    note(&t, "\n");
}

TEST(ack, goes_both_ways)
{
    static char first[] = "first", second[] = "second";
    start();
    int fd = join();
    assert_answers(fd, "{\"type\":2,\"id\":12,\"nsp\":\"/\",\"data\":[\"echo\"," TWO ",1]}",
                   "{\"type\":3,\"nsp\":\"/\",\"data\":[" ONE ",1],\"id\":12} two\n");
    struct sio_socket *socket = only_socket(t.root);
    t.log[0] = '\0';
    sio_emit_with_ack(sio_only(socket), "ask", sio_args_json("1"), on_answer, first);
    sio_emit_with_ack(sio_only(socket), "ask", sio_args_none(), on_answer, second);
    assert_string_equal(hear(fd), "{\"type\":2,\"nsp\":\"/\",\"data\":[\"ask\",1],\"id\":0}\n"
                                  "{\"type\":2,\"nsp\":\"/\",\"data\":[\"ask\"],\"id\":1}\n");
    say(fd, "{\"type\":3,\"nsp\":\"/\",\"data\":[{\"b\":" TWO "},2],\"id\":1}");
    say(fd, "{\"type\":3,\"nsp\":\"/\",\"data\":[],\"id\":0}");
    say(fd, "{\"type\":3,\"nsp\":\"/\",\"data\":[],\"id\":0}"); /* once more: ignored */
    assert_string_equal(hear(fd), "");
    assert_noted(&t, "second: 0 {\"b\":" ONE "},2 two\nfirst: 0 \n");
    end(fd);
}

TEST(disconnect, both_ways)
{
    start();
    int fd = join();
    say(fd, "{\"type\":0,\"nsp\":\"/other\"}");
    hear(fd);
    say(fd, "{\"type\":1,\"nsp\":\"/other\"}");
    assert_string_equal(hear(fd), "");
    assert_int_equal(sio_namespace_socket_count(sio_of(t.io, "/other")), 0);
    sio_socket_disconnect(only_socket(t.root), false);
    assert_string_equal(hear(fd), "{\"type\":1,\"nsp\":\"/\"}\n");
    end(fd);
}

/* ---------------------------------------------------------------- broadcast */

static int spy_broadcast(struct rooms_adapter *self, const struct rooms_selector *who, const struct rooms_flags *flags,
                         const struct rooms_message *message)
{
    struct rooms_message foreign = *message;
    note(&t, "adapter %.*s %zu\n", (int)message->json.n, (const char *)message->json.p, message->attachment_count);
    self->local.deliver(self->local.ctx, who, flags, message);
    foreign.prepared = NULL; /* as if it came from another node */
    self->local.deliver(self->local.ctx, who, flags, &foreign);
    return ROOMS_OK;
}

TEST(broadcast, is_encoded_once_and_given_to_the_adapter_as_json)
{
    start();
    static struct rooms_adapter_ops ops;
    ops = *t.root->adapter->ops;
    ops.broadcast = spy_broadcast;
    const struct rooms_adapter_ops *memory = t.root->adapter->ops;
    t.root->adapter->ops = &ops;
    int fd = join(), other = join();
    const char expected[] = "{\"type\":2,\"nsp\":\"/\",\"data\":[\"shared\",[" ONE "]," TWO "]} one two\n"
                            "{\"type\":2,\"nsp\":\"/\",\"data\":[\"shared\",[" ONE "]," TWO "]} one two\n";
    assert_answers(fd, "{\"type\":2,\"nsp\":\"/\",\"data\":[\"share\",[" ONE "]," TWO "]}", expected);
    assert_string_equal(hear(other), expected);
    assert_noted(&t, "/ share([" ONE "]," TWO ") one two\nadapter [\"shared\",[" ONE "]," TWO "] 2\n");
    t.root->adapter->ops = memory;
    close(other);
    end(fd);
}

/* ----------------------------------------------------------------- mistakes */

static void assert_closes(const char *json)
{
    int fd = join();
    say(fd, json);
    if (strcmp(hear(fd), "8:\n") != 0) fail_msg("not closed by %s: %s", json, heard);
    close(fd);
    talk_turn(&t);
}

static void assert_hex_closes(const char *hex)
{
    int fd = join();
    say_hex(fd, hex);
    if (strcmp(hear(fd), "8:\n") != 0) fail_msg("not closed by %s: %s", hex, heard);
    close(fd);
    talk_turn(&t);
}

TEST(mistake, in_a_member_closes_the_connection)
{
    static const char *const packets[] = {
        "{}",
        "[]",
        "1",
        "{\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":5,\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":6,\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":-1,\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":2.5,\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":\"2\",\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":null,\"nsp\":\"/\",\"data\":[\"a\"]}",
        "{\"type\":2,\"data\":[\"a\"]}",
        "{\"type\":2,\"nsp\":1,\"data\":[\"a\"]}",
        "{\"type\":2,\"nsp\":null,\"data\":[\"a\"]}",
        "{\"type\":0,\"nsp\":\"\"}",
        "{\"type\":0,\"nsp\":\"other\"}",
        "{\"type\":2,\"nsp\":\"/\"}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":null}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":{}}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":\"a\"}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[null]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[{\"toString\":\"foo\"}]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"connect\"]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[" ONE "]}",
        "{\"type\":3,\"nsp\":\"/\",\"id\":1}",
        "{\"type\":3,\"nsp\":\"/\",\"data\":{},\"id\":1}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":-1}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":1.5}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":\"1\"}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":null}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":9007199254740992}",
        "{\"type\":1,\"nsp\":\"/\",\"data\":{}}",
        "{\"type\":0,\"nsp\":\"/other\",\"data\":null}",
        "{\"type\":0,\"nsp\":\"/other\",\"data\":[]}",
        "{\"type\":0,\"nsp\":\"/other\",\"data\":{\"a\":" ONE "}}",
        "{\"type\":4,\"nsp\":\"/\",\"data\":{\"message\":\"x\"}}",
        "{\"type\":0,\"nsp\":\"/\"}",
        "{\"type\":2,\"nsp\":\"/other\",\"data\":[\"a\"]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"options\":" ONE "}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",{\"_placeholder\":true,\"num\":9,\"x\":1}," ONE "]}",
        "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",[[[[]]]]]}",
    };
    start();
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) assert_closes(packets[i]);
    int fd = join(); /* as deep as may be, with the packet's own map around it */
    t.log[0] = '\0';
    say(fd, "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",[[[]]]]}");
    assert_string_equal(hear(fd), "");
    assert_noted(&t, "/ a([[[]]])\n");
    end(fd);
}

TEST(mistake, in_the_bytes_closes_the_connection)
{
    start();
    assert_hex_closes("");
    assert_hex_closes("c1");
    assert_hex_closes("83a47479706502a36e7370a12fa46461746191a16100"); /* a byte more */
    assert_hex_closes("83a47479706502a36e7370a12fa46461746191a1");     /* a byte less */
    assert_hex_closes("83a47479706502a36e7370a12fa46461746192a161a1ff");
    assert_hex_closes("83a47479706502a36e7370a12fa464617461ddffffffff");
    assert_hex_closes("dfffffffff");
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.parse_errors, 7);
    talk_clear(&t);
}

TEST(mistake, text_closes_the_connection)
{
    start();
    int fd = join();
    peer_text(fd, "42[\"echo\"]");
    assert_string_equal(hear(fd), "8:\n");
    end(fd);
}

TEST(mistake, a_packet_that_is_too_large_closes_the_connection)
{
    static uint8_t large[3001];
    start();
    int fd = join();
    peer_send(fd, 0x82, large, sizeof large);
    assert_string_equal(hear(fd), "8:\n");
    end(fd);
}

TEST(mistake, names_of_namespaces_are_limited)
{
    start();
    t.io->limits.max_namespace_bytes = 6;
    assert_closes("{\"type\":0,\"nsp\":\"/others\"}");
    struct sio_stats stats;
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.limit_hits[SIO_LIMIT_NAMESPACE_BYTES], 1);
    int fd = join();
    say(fd, "{\"type\":0,\"nsp\":\"/\\u006fther\"}");
    assert_begins(hear(fd), "{\"type\":0,\"nsp\":\"/other\"");
    end(fd);
}

TEST_MAIN
