/* rooms_classic_wire.c: byte for byte what @socket.io/redis-adapter 8 and @socket.io/redis-emitter 5 publish
 * (rooms_classic_vectors.mjs recorded it), and what is made of it. */
#include "rooms_classic_wire.h"
#include "guard.h"
#include "test.h"

#include <stdarg.h>
#include <string.h>

struct vector {
    const char *what, *channel, *request_id;
    size_t size;
    const char *payload;
};
static const struct vector vectors[] = {
#include "rooms_classic_vectors.inc"
};
enum { VECTOR_COUNT = sizeof vectors / sizeof vectors[0] };

static struct guard guard;

static const struct vector *vector_of(const char *what)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++)
        if (strcmp(vectors[i].what, what) == 0) return &vectors[i];
    fail_msg("no vector: %s", what);
    return NULL;
}

static struct rooms_bytes payload_of(const char *what)
{
    const struct vector *vector = vector_of(what);
    return (struct rooms_bytes){guard_put(&guard, (const uint8_t *)vector->payload, vector->size), vector->size};
}

static struct rooms_name name(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static struct rooms_bytes bytes(const char *text)
{
    return (struct rooms_bytes){(const uint8_t *)text, strlen(text)};
}

/* ------------------------------------------------------------------ writing */

static struct rooms_packer packer;

/* Compares what was packed with the vector, and clears it. */
static void assert_packed(const char *what)
{
    const struct vector *vector = vector_of(what);
    assert_int_equal(packer.error, 0);
    assert_int_equal(packer.size, vector->size);
    assert_memory_equal(packer.bytes, vector->payload, vector->size);
    rooms_packer_clear(&packer);
}

static const struct rooms_flags plain = {.compress = true};
static const struct rooms_selector everybody = {0};

static struct rooms_message message_of(const char *json, const struct rooms_bytes *attachments, size_t count)
{
    return (struct rooms_message){.json = bytes(json), .attachments = attachments, .attachment_count = count};
}

static void put_emit(const char *nsp, const struct rooms_selector *who, const struct rooms_flags *flags,
                     const struct rooms_message *message)
{
    struct rooms__classic_event event = {name(nsp), who, flags, message};
    rooms__classic_put_broadcast(&packer, name("ai-1vA"), &event);
}

TEST(writing, broadcasts)
{
    struct rooms_message hello = message_of("[\"hello\"]", NULL, 0);
    struct rooms_name room1 = name("room1"), two[] = {name("a"), name("b")}, c = name("c"), r = name("r");
    put_emit("/", &everybody, &plain, &hello);
    assert_packed("emit");
    put_emit("/", &(struct rooms_selector){&room1, 1, NULL, 0}, &plain, &hello);
    assert_packed("emit to a room");
    put_emit("/custom", &(struct rooms_selector){&r, 1, NULL, 0}, &plain, &hello);
    assert_packed("emit in a namespace");
    put_emit("/", &everybody, &(struct rooms_flags){.compress = true, .is_volatile = true}, &hello);
    assert_packed("emit volatile");
    put_emit("/", &everybody, &(struct rooms_flags){.compress = false}, &hello);
    assert_packed("emit uncompressed");
    struct rooms_message many =
        message_of("[\"hello\",1,-5,1.5,\"\xc3\xbc\xe2\x82\xac\",null,true,[{\"a\":[]}]]", NULL, 0);
    put_emit("/", &(struct rooms_selector){two, 2, &c, 1}, &plain, &many);
    assert_packed("emit to two rooms");
    const struct rooms_bytes attachments[] = {bytes("\x01\x02\x03"), bytes("")};
    struct rooms_message binary = message_of("[\"hello\",{\"_placeholder\":true,\"num\":0},"
                                             "{\"deep\":[{\"_placeholder\":true,\"num\":1}]}]",
                                             attachments, 2);
    put_emit("/", &(struct rooms_selector){&room1, 1, NULL, 0}, &plain, &binary);
    assert_packed("emit binary");
}

static struct rooms__classic_asker asker(const char *what)
{
    const struct vector *vector = vector_of(what);
    struct rooms__classic_asker asker = {.uid = name("ai-1vA")};
    if (vector->request_id[0]) asker.request_id = name(vector->request_id);
    return asker;
}

/* Rooms of Node's servers may be numbers, which a name that we know only as text may mean. */
TEST(writing, a_name_that_is_a_number_is_selected_as_both_and_joined_as_text)
{
    struct rooms_name seven = name("-7"), not [] = {name("07"), name("1e3"), name("-0"), name("1234567890123456")};
    struct rooms_selector in_seven = {&seven, 1, NULL, 0};
    static const char joined[] =
        "{\"uid\":\"u\",\"type\":2,\"opts\":{\"rooms\":[\"-7\",-7],\"except\":[]},\"rooms\":[\"-7\"]}";
    static const char left[] =
        "{\"uid\":\"u\",\"type\":3,\"opts\":{\"rooms\":[\"-7\",-7],\"except\":[]},\"rooms\":[\"-7\",-7]}";
    rooms__classic_put_change(&packer, name("u"), ROOMS__CLASSIC_JOIN, &in_seven, &in_seven);
    assert_int_equal(packer.size, strlen(joined));
    assert_memory_equal(packer.bytes, joined, packer.size);
    rooms_packer_clear(&packer);
    rooms__classic_put_change(&packer, name("u"), ROOMS__CLASSIC_LEAVE, &in_seven, &in_seven);
    assert_int_equal(packer.size, strlen(left));
    assert_memory_equal(packer.bytes, left, packer.size);
    rooms_packer_clear(&packer);
    static const char packed[] = "\xa5rooms\x92\xa2-7\xf9\xa6"
                                 "except\x90";
    put_emit("/", &in_seven, &(struct rooms_flags){.compress = true},
             &(struct rooms_message){.json = bytes("[\"e\"]")});
    assert_non_null(memmem(packer.bytes, packer.size, packed, sizeof packed - 1));
    rooms_packer_clear(&packer);
    for (size_t i = 0; i < 4; i++) assert_false(rooms__name_is_number(not [i]));
}

TEST(writing, requests)
{
    struct rooms_name room1 = name("room1"), r = name("r"), s = name("s"), x = name("x\"y\n"),
                      ab[] = {name("a"), name("b")};
    struct rooms_name u = name("\xc3\xa4");
    struct rooms_selector in_room1 = {&room1, 1, NULL, 0}, in_r = {&r, 1, NULL, 0}, but_s = {&r, 1, &s, 1};
    rooms__classic_put_change(&packer, name("ai-1vA"), ROOMS__CLASSIC_JOIN, &in_room1,
                              &(struct rooms_selector){ab, 2, NULL, 0});
    assert_packed("join");
    rooms__classic_put_change(&packer, name("ai-1vA"), ROOMS__CLASSIC_LEAVE, &(struct rooms_selector){NULL, 0, &x, 1},
                              &(struct rooms_selector){&u, 1, NULL, 0});
    assert_packed("leave");
    rooms__classic_put_disconnect(&packer, name("ai-1vA"), &in_r, true);
    assert_packed("disconnect");
    rooms__classic_put_disconnect(&packer, name("ai-1vA"), &everybody, false);
    assert_packed("disconnect gently");
    struct rooms__classic_asker who = asker("fetch");
    rooms__classic_put_fetch(&packer, &who, &everybody);
    assert_packed("fetch");
    who = asker("fetch some");
    rooms__classic_put_fetch(&packer, &who, &but_s);
    assert_packed("fetch some");
    struct rooms_bytes nine = bytes("\x09");
    struct rooms_message binary = message_of("[\"hello\",{\"_placeholder\":true,\"num\":0}]", &nine, 1);
    struct rooms_flags timeout = {.compress = true, .timeout_ms = 1000};
    struct rooms__classic_event event = {name("/"), &in_r, &timeout, &binary};
    who = asker("emit with ack");
    rooms__classic_put_ask(&packer, &who, &event);
    assert_packed("emit with ack");
}

TEST(writing, server_side_events)
{
    struct rooms_message plain_event = message_of("[\"ev\",1,\"x\",{\"y\":[null]}]", NULL, 0);
    struct rooms_message short_event = message_of("[\"ev\",1]", NULL, 0);
    struct rooms__classic_asker who = asker("server side emit");
    rooms__classic_put_server_side_emit(&packer, &who, &plain_event);
    assert_packed("server side emit");
    who = asker("server side emit with ack");
    rooms__classic_put_server_side_emit(&packer, &who, &short_event);
    assert_packed("server side emit with ack");
}

TEST(writing, answers)
{
    struct rooms_bytes id = bytes("\"VwamCn\""), seven = bytes("\x07");
    struct rooms_message text = message_of("[\"node\",2]", NULL, 0), nothing = message_of("[]", NULL, 0);
    struct rooms_message binary = message_of("[{\"got\":{\"_placeholder\":true,\"num\":0}},\"second\"]", &seven, 1);
    rooms__classic_put_answer_list(&packer, id, "sockets");
    rooms__classic_end_answer_list(&packer);
    assert_packed("answer to fetch");
    rooms__classic_put_answer_list(&packer, id, "rooms");
    rooms__classic_end_answer_list(&packer);
    assert_packed("answer to all rooms");
    rooms__classic_put_server_side_answer(&packer, id, &text);
    assert_packed("answer to a server side event");
    rooms__classic_put_server_side_answer(&packer, id, &nothing);
    assert_packed("answer of nothing");
    rooms__classic_put_client_count(&packer, id, 0);
    assert_packed("client count");
    rooms__classic_put_ack(&packer, id, &binary);
    assert_packed("ack");
    rooms__classic_put_done(&packer, id);
    assert_int_equal(packer.size, strlen("{\"requestId\":\"VwamCn\"}"));
    assert_memory_equal(packer.bytes, "{\"requestId\":\"VwamCn\"}", packer.size);
    rooms_packer_clear(&packer);
}

/* ------------------------------------------------------------------ reading */

static char said[1024];

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said + strlen(said), sizeof said - strlen(said), format, arguments);
    va_end(arguments);
}

static void say_opts(const struct rooms__classic_opts *opts)
{
    say(" [");
    for (size_t i = 0; i < opts->rooms.count; i++) say("%.*s|", (int)opts->rooms.names[i].n, opts->rooms.names[i].p);
    say("] but [");
    for (size_t i = 0; i < opts->except.count; i++) say("%.*s|", (int)opts->except.names[i].n, opts->except.names[i].p);
    say("]%s%s", opts->flags.is_volatile ? " volatile" : "", opts->flags.compress ? "" : " uncompressed");
    if (opts->flags.timeout_ms) say(" in %u", opts->flags.timeout_ms);
}

/* What was read of a broadcast, or "". */
static const char *broadcast(struct rooms_bytes payload)
{
    static const struct rooms_msgpack_limits limits = {100, 100};
    struct rooms__classic_broadcast read;
    struct rooms__classic_opts opts;
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    struct rooms_name uid;
    said[0] = '\0';
    if (rooms__classic_read_uid(payload, &uid) || rooms__classic_read_broadcast(payload, &read)) return said;
    if (rooms__classic_read_broadcast_opts(&read, &opts)) return said;
    if (rooms_msgpack_decode(read.data.p, read.data.n, &limits, &decoded, &fault) == (long)read.data.n) {
        say("%.*s %.*s %.*s %zu", (int)uid.n, uid.p, (int)read.nsp.n, read.nsp.p ? read.nsp.p : "",
            (int)decoded.json_size, decoded.json, decoded.attachment_count);
        say_opts(&opts);
        rooms_decoded_clear(&decoded);
    }
    rooms__classic_opts_clear(&opts);
    return said;
}

TEST(reading, broadcasts)
{
    assert_string_equal(broadcast(payload_of("emit")), "ai-1vA / [\"hello\"] 0 [] but []");
    assert_string_equal(
        broadcast(payload_of("emit to two rooms")),
        "ai-1vA / [\"hello\",1,-5,1.5,\"\xc3\xbc\xe2\x82\xac\",null,true,[{\"a\":[]}]] 0 [a|b|] but [c|]");
    assert_string_equal(broadcast(payload_of("emit volatile")), "ai-1vA / [\"hello\"] 0 [] but [] volatile");
    assert_string_equal(broadcast(payload_of("emitter to a room")),
                        "emitter /chat [\"hello\",{\"_placeholder\":true,\"num\":0},\"1970-01-01T00:00:00.005Z\"] 1 "
                        "[r|] but [s|] volatile uncompressed");
}

TEST(reading, a_broadcast_that_is_cut_anywhere_is_refused)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        if ((uint8_t)vectors[i].payload[0] != 0x93) continue;
        for (size_t n = 0; n < vectors[i].size; n++) {
            struct rooms_bytes cut = {guard_put(&guard, (const uint8_t *)vectors[i].payload, n), n};
            assert_string_equal(broadcast(cut), "");
        }
    }
}

TEST(reading, what_is_no_broadcast_is_refused)
{
#define BYTES(literal)                                  \
    {                                                   \
        (const uint8_t *)(literal), sizeof(literal) - 1 \
    }
    static const struct rooms_bytes bad[] = {
        BYTES(""),
        BYTES("\xc0"),
        BYTES("hello"),
        BYTES("\x92\xa1u\x80"),
        BYTES("\x83\xa1u\x80\x80\x80\x80\x80"),
        BYTES("\x93\xa1u\xc0\x80"), /* no packet */
        BYTES("\x93\xa1u\x80\x80"), /* an empty one */
        BYTES("\x93\xa1u\x82\xa4type\x03\xa4"
              "data\x91\xa1x\x80"), /* an ack */
        BYTES("\x93\xa1u\x82\xa4type\xa1"
              "2\xa4"
              "data\x91\xa1x\x80"), /* a type that is text */
        BYTES("\x93\xa1u\x82\xa4type\x02\xa4"
              "data\x81\xa1x\xc0\x80"), /* data that is a map */
        BYTES("\x93\xa1u\x82\xa4type\x02\xa4"
              "data\x91\xa1x\xc0"), /* no opts */
        BYTES("\x93\xa1u\x83\xa4type\x02\xa4"
              "data\x91\xa1x\xa3nsp\x05\x80"), /* a namespace that is a number */
        BYTES("\x93\xa1u\x82\xa4type\x02\xa4"
              "data\x91\xa1x\x81\xa5rooms\xa1r"), /* rooms that are text */
        BYTES("\x93\xa1u\x82\xa4type\x02\xa4"
              "data\x91\xa1x\x81\xa6"
              "except\x80"),
        BYTES("\xdd\xff\xff\xff\xff\xa1u\x80\x80"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rooms_bytes guarded = {guard_put(&guard, bad[i].p, bad[i].n), bad[i].n};
        assert_string_equal(broadcast(guarded), "");
    }
}

TEST(reading, no_namespace_and_odd_rooms_are_understood)
{
    static const struct rooms_bytes no_nsp = BYTES("\x93\x05\x82\xa4type\x05\xa4"
                                                   "data\x91\xa1x\x81\xa5rooms\x93\x07\xc0\xa1r");
    static const struct rooms_bytes undefined = BYTES("\x93\xa1u\x83\xa4type\x02\xa4"
                                                      "data\x91\xa1x\xa3nsp\xd4\x00\x00\x81\xa5rooms\xc0");
    assert_string_equal(broadcast(no_nsp), "  [\"x\"] 0 [7||r|] but []");
    assert_string_equal(broadcast(undefined), "u  [\"x\"] 0 [] but []");
}

static const char *request(struct rooms_bytes payload)
{
    static const char *const names[] = {"type", "uid",   "id",   "opts",   "rooms",   "sid",
                                        "room", "close", "data", "packet", "sockets", "count"};
    struct rooms__classic_message message;
    struct rooms__classic_opts opts;
    said[0] = '\0';
    if (rooms__classic_read(payload, &message)) return said;
    say("%d", message.type);
    for (size_t i = ROOMS__CLASSIC_F_UID; i < ROOMS__CLASSIC_FIELDS; i++) {
        if (i == ROOMS__CLASSIC_F_OPTS || message.field[i].n == 0) continue;
        say(" %s=%.*s", names[i], (int)message.field[i].n, (const char *)message.field[i].p);
    }
    struct rooms_bytes data = rooms__classic_packet_data(&message);
    if (data.n) say(" %.*s", (int)data.n, (const char *)data.p);
    if (rooms__classic_read_opts(&message, &opts) == 0) {
        say_opts(&opts);
        rooms__classic_opts_clear(&opts);
    }
    rooms__classic_clear(&message);
    return said;
}

TEST(reading, requests)
{
    assert_string_equal(request(payload_of("join")), "2 uid=\"ai-1vA\" rooms=[\"a\",\"b\"] [room1|] but []");
    assert_string_equal(request(payload_of("leave")), "3 uid=\"ai-1vA\" rooms=[\"\xc3\xa4\"] [] but [x\"y\n|]");
    assert_string_equal(request(payload_of("disconnect")), "4 uid=\"ai-1vA\" close=true [r|] but []");
    assert_string_equal(request(payload_of("emitter joins")), "2 rooms=[\"x\"] [a|] but []");
    assert_string_equal(request(payload_of("server side emit")),
                        "6 uid=\"ai-1vA\" data=[\"ev\",1,\"x\",{\"y\":[null]}]");
    char expected[256];
    snprintf(expected, sizeof expected,
             "7 uid=\"ai-1vA\" id=\"%s\" packet={\"type\":2,\"data\":[\"hello\",{\"_placeholder\":true,\"num\":0}],"
             "\"nsp\":\"/\"} [\"hello\",{\"_placeholder\":true,\"num\":0}] [r|] but [] in 1000",
             vector_of("emit with ack")->request_id);
    assert_string_equal(request(payload_of("emit with ack")), expected);
    assert_string_equal(request(bytes("{\"type\":2,\"requestId\":\"x\",\"sid\":\"s\",\"room\":5}")),
                        "2 id=\"x\" sid=\"s\" room=5");
    assert_string_equal(request(bytes("{\"sid\":\"s\",\"close\":true,\"type\":4}")), "4 sid=\"s\" close=true");
}

TEST(reading, answers)
{
    assert_string_equal(request(payload_of("client count")), "8 id=\"VwamCn\" count=0");
    assert_string_equal(request(payload_of("ack")),
                        "9 id=\"VwamCn\" packet={\"got\":{\"_placeholder\":true,\"num\":0}}");
    assert_string_equal(request(bytes("{\"requestId\":\"a\",\"sockets\":[{\"id\":\"1\",\"data\":{\"n\":1.10}}]}")),
                        "10 id=\"a\" sockets=[{\"id\":\"1\",\"data\":{\"n\":1.10}}]");
}

TEST(reading, what_is_cut_or_no_object_is_refused)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        if ((uint8_t)vectors[i].payload[0] == 0x93) continue;
        for (size_t n = 0; n < vectors[i].size; n++) {
            struct rooms_bytes cut = {guard_put(&guard, (const uint8_t *)vectors[i].payload, n), n};
            assert_string_equal(request(cut), "");
        }
    }
    assert_string_equal(request(bytes("[1]")), "");
    assert_string_equal(request(bytes("{}x")), "");
    assert_string_equal(request((struct rooms_bytes)BYTES("\x91\x80")), "");
    assert_string_equal(request(bytes("{\"type\":10}")), "10");
    assert_string_equal(request(bytes("{\"type\":-1}")), "10");
    assert_string_equal(request(bytes("{\"type\":\"2\"}")), "10");
}

TEST_MAIN
