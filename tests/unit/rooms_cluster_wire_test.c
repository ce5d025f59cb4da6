/* rooms_cluster_wire.c: byte for byte what the sharded adapter of @socket.io/redis-adapter 8 and
 * @socket.io/redis-streams-adapter 0.3 publish (rooms_cluster_vectors.mjs recorded it), and what is made of it. */
#include "rooms_cluster_wire.h"
#include "guard.h"
#include "test.h"

#include <string.h>

struct vector {
    const char *adapter, *what, *channel, *type, *request_id;
    size_t size;
    const char *payload;
};
static const struct vector vectors[] = {
#include "rooms_cluster_vectors.inc"
};
enum { VECTOR_COUNT = sizeof vectors / sizeof vectors[0] };

static struct guard guard;
static struct rooms_packer packer;
static const struct rooms_name uid = {"e30a0234e49a1f0d", 16}, root = {"/", 1};

static struct rooms_name name(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static bool is_field(const struct vector *vector)
{
    return vector->type[0] != '\0';
}

static struct rooms_name nsp_of(const struct vector *vector)
{
    return strstr(vector->channel, "/custom") ? name("/custom") : root;
}

static int read_bytes(const struct vector *vector, const char *p, size_t n, struct rooms__cluster_reading *reading)
{
    struct rooms_bytes bytes = {guard_put(&guard, (const uint8_t *)p, n), n};
    if (is_field(vector)) return rooms__cluster_read_fields(reading, uid, name(vector->type), bytes);
    return rooms__cluster_read(reading, bytes, nsp_of(vector));
}

static const struct vector *vector_of(const char *adapter, const char *what)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++)
        if (!strcmp(vectors[i].adapter, adapter) && !strcmp(vectors[i].what, what)) return &vectors[i];
    fail_msg("no vector: %s", what);
    return NULL;
}

static int read_json(const char *json, struct rooms__cluster_reading *reading)
{
    return rooms__cluster_read(reading, (struct rooms_bytes){(const uint8_t *)json, strlen(json)}, root);
}

static void assert_text(struct rooms_bytes bytes, const char *expected)
{
    assert_int_equal(bytes.n, strlen(expected));
    assert_memory_equal(bytes.p, expected, bytes.n);
}

static void assert_name(struct rooms_name text, const char *expected)
{
    assert_text((struct rooms_bytes){(const uint8_t *)text.p, text.n}, expected);
}

/* ---------------------------------------------------------------- vectors */

TEST(wire, what_was_read_is_written_as_the_official_adapters_write_it)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *vector = &vectors[i];
        struct rooms__cluster_reading reading;
        assert_int_equal(read_bytes(vector, vector->payload, vector->size, &reading), 0);
        assert_name(reading.message.uid, uid.p);
        assert_name(reading.message.request, vector->request_id);
        bool sharded = strcmp(vector->adapter, "sharded") == 0;
        if (is_field(vector))
            rooms__cluster_put_field(&packer, &reading.message);
        else
            rooms__cluster_put(&packer, &reading.message, nsp_of(vector),
                               sharded ? rooms__cluster_form_of(&reading.message) : ROOMS__FORM_MSGPACK);
        assert_int_equal(packer.error, 0);
        if (packer.size != vector->size || memcmp(packer.bytes, vector->payload, packer.size))
            fail_msg("%s, %s: %.*s", vector->adapter, vector->what, (int)packer.size, (char *)packer.bytes);
        rooms_packer_clear(&packer);
        rooms__cluster_reading_clear(&reading);
    }
    guard_free(&guard);
}

TEST(wire, nothing_that_is_cut_off_is_read)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *vector = &vectors[i];
        struct rooms__cluster_reading reading;
        for (size_t n = 0; n < vector->size; n++) {
            int result = read_bytes(vector, vector->payload, n, &reading);
            if (result == 0) fail_msg("%s, %s: %zu bytes", vector->adapter, vector->what, n);
        }
    }
    guard_free(&guard);
}

TEST(wire, own_messages_are_known_by_their_end)
{
    struct rooms__cluster_ends own, other, elsewhere;
    assert_int_equal(rooms__cluster_ends_init(&own, uid, root), 0);
    assert_int_equal(rooms__cluster_ends_init(&other, name("e30a0234e49a1f0e"), root), 0);
    assert_int_equal(rooms__cluster_ends_init(&elsewhere, uid, name("/custom")), 0);
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        if (is_field(&vectors[i])) continue;
        struct rooms_bytes payload = {(const uint8_t *)vectors[i].payload, vectors[i].size};
        bool custom = nsp_of(&vectors[i]).n > 1;
        assert_int_equal(rooms__cluster_ends_match(&own, payload), !custom);
        assert_int_equal(rooms__cluster_ends_match(&elsewhere, payload), custom);
        assert_false(rooms__cluster_ends_match(&other, payload));
    }
    assert_false(rooms__cluster_ends_match(&own, (struct rooms_bytes){NULL, 0}));
    rooms__cluster_ends_clear(&own);
    rooms__cluster_ends_clear(&other);
    rooms__cluster_ends_clear(&elsewhere);
}

TEST(wire, attachments_stand_beside_the_event)
{
    static const char *const adapters[] = {"sharded", "streams"};
    for (size_t i = 0; i < 2; i++) {
        const struct vector *vector = vector_of(adapters[i], "emit binary");
        struct rooms__cluster_reading reading;
        assert_int_equal(read_bytes(vector, vector->payload, vector->size, &reading), 0);
        const struct rooms_message *packet = &reading.message.packet;
        assert_int_equal(reading.message.type, ROOMS_CLUSTER_BROADCAST);
        assert_text(packet->json, "[\"hello\",{\"_placeholder\":true,\"num\":0},"
                                  "{\"deep\":[{\"_placeholder\":true,\"num\":1}]}]");
        assert_int_equal(packet->attachment_count, 2);
        assert_text(packet->attachments[0], "\1\2\3");
        assert_text(packet->attachments[1], "");
        assert_name(reading.message.who.rooms[0], "room1");
        rooms__cluster_reading_clear(&reading);
    }
    guard_free(&guard);
}

/* -------------------------------------------------------------------- rules */

TEST(wire, flags_and_names_are_read)
{
    struct rooms__cluster_reading reading;
    assert_int_equal(
        read_json(
            "{\"nsp\":\"\\u002f\",\"uid\":\"a\\u0062\",\"more\":{},\"data\":{\"opts\":{\"rooms\":[1,\"\\\"x\",[]],"
            "\"except\":null,\"flags\":{\"volatile\":true,\"compress\":false,\"timeout\":99999999999,"
            "\"expectSingleResponse\":true}},\"packet\":{\"data\":[\"e\"],\"type\":5}},\"type\":3}",
            &reading),
        0);
    const struct rooms_cluster_message *message = &reading.message;
    assert_name(message->uid, "ab");
    assert_int_equal(message->request.n, 0);
    assert_true(message->flags.is_volatile && !message->flags.compress && !message->flags.local);
    assert_int_equal(message->flags.timeout_ms, UINT32_MAX);
    assert_int_equal(message->who.room_count, 3);
    assert_name(message->who.rooms[0], "1");
    assert_name(message->who.rooms[1], "\"x");
    assert_name(message->who.rooms[2], ""); /* nobody's, but the list does not become everybody's */
    assert_int_equal(message->who.except_count, 0);
    assert_text(message->packet.json, "[\"e\"]");
    rooms__cluster_reading_clear(&reading);
}

TEST(wire, an_answer_without_value_has_no_arguments)
{
    struct rooms__cluster_reading reading;
    assert_int_equal(read_json("{\"type\":12,\"data\":{\"requestId\":\"r\"},\"uid\":\"u\",\"nsp\":\"/\"}", &reading),
                     0);
    assert_text(reading.message.packet.json, "[]");
    rooms__cluster_put(&packer, &reading.message, root, ROOMS__FORM_JSON);
    assert_text((struct rooms_bytes){packer.bytes, packer.size},
                "{\"type\":12,\"data\":{\"requestId\":\"r\"},\"uid\":\"u\",\"nsp\":\"/\"}");
    rooms_packer_clear(&packer);
    rooms__cluster_reading_clear(&reading);
}

TEST(wire, messages_without_data_have_none)
{
    static const enum rooms_cluster_type types[] = {ROOMS_CLUSTER_INITIAL_HEARTBEAT, ROOMS_CLUSTER_HEARTBEAT,
                                                    ROOMS_CLUSTER_ADAPTER_CLOSE};
    for (size_t i = 0; i < 3; i++) {
        char expected[80];
        struct rooms_cluster_message message = {.type = types[i], .uid = uid};
        struct rooms__cluster_reading reading;
        snprintf(expected, sizeof expected, "{\"type\":%d,\"uid\":\"%s\",\"nsp\":\"/\"}", types[i], uid.p);
        rooms__cluster_put(&packer, &message, root, ROOMS__FORM_JSON);
        assert_text((struct rooms_bytes){packer.bytes, packer.size}, expected);
        assert_int_equal(read_json(expected, &reading), 0);
        assert_int_equal(reading.message.type, types[i]);
        rooms__cluster_reading_clear(&reading);
        rooms_packer_clear(&packer);
        rooms__cluster_put_field(&packer, &message);
        assert_int_equal(packer.size, 0);
    }
}

/* @socket.io/postgres-emitter 0.1 names no namespace: the channel does. */
TEST(wire, a_channel_may_name_the_namespace_instead_of_the_message)
{
    static const struct {
        const char *json;
        int of_channel, strict;
    } rows[] = {
        {"{\"type\":2,\"uid\":\"x\"}", ROOMS_OK, ROOMS_EINVAL},
        {"{\"type\":2,\"uid\":\"x\",\"nsp\":\"/\"}", ROOMS_OK, ROOMS_OK},
        {"{\"type\":2,\"uid\":\"x\",\"nsp\":\"/other\"}", ROOMS_EINVAL, ROOMS_EINVAL},
        {"{\"type\":2,\"uid\":\"x\",\"nsp\":null}", ROOMS_EINVAL, ROOMS_EINVAL},
    };
    const struct rooms_name nsp = {"/", 1};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rooms__cluster_reading reading;
        const struct rooms_bytes payload = {(const uint8_t *)rows[i].json, strlen(rows[i].json)};
        assert_int_equal(rooms__cluster_read_of_channel(&reading, payload, nsp), rows[i].of_channel);
        if (rows[i].of_channel == ROOMS_OK) rooms__cluster_reading_clear(&reading);
        assert_int_equal(rooms__cluster_read(&reading, payload, nsp), rows[i].strict);
        if (rows[i].strict == ROOMS_OK) rooms__cluster_reading_clear(&reading);
    }
}

TEST(wire, garbage_is_refused)
{
    static const char *const garbage[] = {
        "{}",
        "[]",
        "{\"type\":3}",
        "{\"type\":0,\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":14,\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":4294967298,\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":\"2\",\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":2,\"uid\":\"u\",\"nsp\":\"/x\"}",
        "{\"type\":2,\"uid\":\"u\"}",
        "{\"type\":2,\"uid\":5,\"nsp\":\"/\"}",
        "{\"type\":2,\"uid\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"nsp\":\"/\"}",
        "{\"type\":3,\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":3,\"data\":[],\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[\"e\"]}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":3,\"data\":{\"opts\":{},\"packet\":{\"type\":3,\"data\":[\"e\"]}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":3,\"data\":{\"opts\":{},\"packet\":{\"type\":2,\"data\":{}}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":3,\"data\":{\"opts\":{\"rooms\":{}},\"packet\":{\"type\":2,\"data\":[]}},\"uid\":\"u\",\"nsp\":\"/"
        "\"}",
        "{\"type\":3,\"data\":{\"opts\":{\"except\":5},\"packet\":{\"type\":2,\"data\":[]}},\"uid\":\"u\",\"nsp\":\"/"
        "\"}",
        "{\"type\":4,\"data\":{\"opts\":{}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":4,\"data\":{\"rooms\":[\"a\"]},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":7,\"data\":{\"requestId\":\"r\"},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":7,\"data\":{\"opts\":{}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":10,\"data\":{\"packet\":1},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":7,\"data\":{\"requestId\":{},\"opts\":{}},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":8,\"data\":{\"requestId\":\"r\"},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":8,\"data\":{\"requestId\":\"r\",\"sockets\":[{},5]},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":9,\"data\":{\"packet\":\"x\"},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":11,\"data\":{\"requestId\":\"r\",\"clientCount\":-1},\"uid\":\"u\",\"nsp\":\"/\"}",
        "{\"type\":11,\"data\":{\"requestId\":\"r\",\"clientCount\":4294967296},\"uid\":\"u\",\"nsp\":\"/\"}",
    };
    struct rooms__cluster_reading reading;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        if (read_json(garbage[i], &reading) != ROOMS_EINVAL) fail_msg("%s", garbage[i]);
    struct rooms_bytes data = {(const uint8_t *)"=!", 2}, none = {NULL, 0};
    assert_int_equal(rooms__cluster_read_fields(&reading, uid, name("3"), data), ROOMS_EINVAL);
    assert_int_equal(rooms__cluster_read_fields(&reading, uid, name("3"), none), ROOMS_EINVAL);
    assert_int_equal(rooms__cluster_read_fields(&reading, uid, name("x"), none), ROOMS_EINVAL);
    assert_int_equal(rooms__cluster_read_fields(&reading, uid, name(""), none), ROOMS_EINVAL);
    assert_int_equal(rooms__cluster_read_fields(&reading, uid, name("2"), none), 0);
    rooms__cluster_reading_clear(&reading);
}

TEST_MAIN
