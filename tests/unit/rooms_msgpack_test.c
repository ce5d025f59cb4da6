/* rooms_msgpack_decode.c, rooms_msgpack_encode.c: against what notepack.io writes, and against what nobody should. */
#include "rooms_msgpack.h"

#include "guard.h"
#include "test.h"

#include <string.h>

static const struct rooms_msgpack_limits limits = {.max_depth = 64, .max_attachments = 100};

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (int digits = 0, high = 0; *hex; hex++) {
        if (*hex == ' ') continue;
        int value = *hex <= '9' ? *hex - '0' : *hex - 'a' + 10;
        if (digits++ % 2)
            out[n++] = (uint8_t)(high << 4 | value);
        else
            high = value;
    }
    return n;
}

static void assert_bytes(const uint8_t *p, size_t n, const uint8_t *expected, size_t expected_size)
{
    assert_int_equal(n, expected_size);
    if (n) assert_memory_equal(p, expected, n);
}

/* The attachments one after another. */
static size_t joined(const struct rooms_decoded *decoded, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < decoded->attachment_count; i++) {
        if (decoded->attachments[i].n) memcpy(out + n, decoded->attachments[i].p, decoded->attachments[i].n);
        n += decoded->attachments[i].n;
    }
    return n;
}

static void assert_decodes(const char *hex, const char *json, const char *attachments_hex)
{
    static uint8_t bytes[4096], expected[4096], found[4096];
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault = {0};
    size_t n = from_hex(hex, bytes);
    if (rooms_msgpack_decode(bytes, n, &limits, &decoded, &fault) < 0) fail_msg("%s: %s", hex, fault.why);
    assert_bytes((const uint8_t *)decoded.json, decoded.json_size, (const uint8_t *)json, strlen(json));
    assert_bytes(found, joined(&decoded, found), expected, from_hex(attachments_hex, expected));
    rooms_decoded_clear(&decoded);
}

static void assert_refuses_within(const char *hex, const struct rooms_msgpack_limits *within, int code, const char *why)
{
    static uint8_t bytes[8192];
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault = {0};
    size_t n = from_hex(hex, bytes);
    assert_int_equal(rooms_msgpack_decode(bytes, n, within, &decoded, &fault), code);
    assert_string_equal(fault.why, why);
    assert_true(fault.at <= n);
    assert_null(decoded.json);
    assert_null(decoded.attachments);
}

static void assert_refuses(const char *hex, const char *why)
{
    assert_refuses_within(hex, &limits, ROOMS_EINVAL, why);
}

static void assert_encodes(const char *json, const char *hex)
{
    static uint8_t expected[8192];
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, strlen(json)}, NULL, 0);
    if (packer.error) fail_msg("%s: %s", json, rooms_strerror(packer.error));
    assert_bytes(packer.bytes, packer.size, expected, from_hex(hex, expected));
    rooms_packer_clear(&packer);
}

static int encode_error(const char *json, size_t n, size_t attachment_count)
{
    static const struct rooms_bytes attachments[] = {{(const uint8_t *)"x", 1}, {(const uint8_t *)"y", 1}};
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, n}, attachments, attachment_count);
    int error = packer.error;
    rooms_packer_clear(&packer);
    return error;
}

/* ----------------------------------------------------------------- vectors */

static const struct {
    bool back; /* the JSON encodes to the same bytes */
    size_t size;
    const char *bytes;
    size_t json_size;
    const char *json;
    size_t attachment_count, attachment_bytes;
    const char *attachments;
} vectors[] = {
#include "rooms_msgpack_vectors.inc"
};
enum { VECTORS = sizeof vectors / sizeof vectors[0] };

/* Equal text, but for numbers written otherwise: 1e-7, 1e-07. */
static bool same_json(const char *a, const char *b)
{
    bool in_string = false;
    while (*a && *b) {
        bool number = !in_string && (*a == '-' || (*a >= '0' && *a <= '9'));
        if (number) {
            char *end_a, *end_b;
            if (strtod(a, &end_a) != strtod(b, &end_b)) return false;
            a = end_a;
            b = end_b;
            continue;
        }
        if (*a != *b) return false;
        if (*a == '"') in_string = !in_string;
        if (*a == '\\' && *++a != *++b) return false;
        a++;
        b++;
    }
    return *a == *b;
}

TEST(msgpack, decodes_what_notepack_encodes)
{
    static uint8_t found[65536];
    for (size_t i = 0; i < VECTORS; i++) {
        struct rooms_decoded decoded;
        struct rooms_msgpack_fault fault = {0};
        long n = rooms_msgpack_decode((const uint8_t *)vectors[i].bytes, vectors[i].size, &limits, &decoded, &fault);
        if (n < 0) fail_msg("%s: %s", vectors[i].json, fault.why);
        assert_int_equal(n, vectors[i].size);
        assert_int_equal(decoded.attachment_count, vectors[i].attachment_count);
        assert_bytes(found, joined(&decoded, found), (const uint8_t *)vectors[i].attachments,
                     vectors[i].attachment_bytes);
        char *text = strndup(decoded.json, decoded.json_size);
        if (!same_json(text, vectors[i].json)) fail_msg("%s is not %s", text, vectors[i].json);
        free(text);
        rooms_decoded_clear(&decoded);
    }
}

TEST(msgpack, encodes_as_notepack_does)
{
    for (size_t i = 0; i < VECTORS; i++) {
        if (!vectors[i].back) continue;
        struct rooms_decoded decoded;
        struct rooms_msgpack_fault fault;
        struct rooms_packer packer;
        rooms_msgpack_decode((const uint8_t *)vectors[i].bytes, vectors[i].size, &limits, &decoded, &fault);
        rooms_packer_init(&packer);
        rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)vectors[i].json, vectors[i].json_size},
                        decoded.attachments, decoded.attachment_count);
        assert_int_equal(packer.error, 0);
        assert_bytes(packer.bytes, packer.size, (const uint8_t *)vectors[i].bytes, vectors[i].size);
        packer.size = 0; /* and from the text that was decoded */
        rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)decoded.json, decoded.json_size},
                        decoded.attachments, decoded.attachment_count);
        assert_int_equal(packer.error, 0);
        assert_bytes(packer.bytes, packer.size, (const uint8_t *)vectors[i].bytes, vectors[i].size);
        rooms_packer_clear(&packer);
        rooms_decoded_clear(&decoded);
    }
}

/* Recorded of @socket.io/redis-adapter 8 and @socket.io/redis-emitter 5. */
TEST(msgpack, messages_of_the_redis_adapter)
{
    static const char broadcast[] =
        "93 a661692d317641 83 a474797065 02 a464617461 91 a568656c6c6f a36e7370 a12f 83 a5726f6f6d73 91 a5726f6f6d31 "
        "a6657863657074 90 a5666c616773 80";
    static const char broadcast_json[] =
        "[\"ai-1vA\",{\"type\":2,\"data\":[\"hello\"],\"nsp\":\"/\"},{\"rooms\":[\"room1\"],"
        "\"except\":[],\"flags\":{}}]";
    static const char emitter[] =
        "93a7656d697474657283a47479706502a46461746192a568656c6c6fa5776f726c64a36e7370a12f83a5726f6f6d7390"
        "a5666c61677380a665786365707490";
    static const char emitter_json[] = "[\"emitter\",{\"type\":2,\"data\":[\"hello\",\"world\"],\"nsp\":\"/\"},"
                                       "{\"rooms\":[],\"flags\":{},\"except\":[]}]";
    assert_decodes(broadcast, broadcast_json, "");
    assert_encodes(broadcast_json, broadcast);
    assert_decodes(emitter, emitter_json, "");
    assert_encodes(emitter_json, emitter);
}

/* Recorded of socket.io-msgpack-parser 3: CONNECT of a client, and the answer with pid undefined. */
TEST(msgpack, packets_of_the_msgpack_parser)
{
    assert_decodes("83a47479706500a36e7370a12fa464617461c0", "{\"type\":0,\"nsp\":\"/\",\"data\":null}", "");
    assert_decodes("83a47479706500a36e7370a12fa464617461d40000", "{\"type\":0,\"nsp\":\"/\"}", "");
    assert_decodes("83 a474797065 00 a464617461 82 a3736964 a161 a3706964 d40000 a36e7370 a12f",
                   "{\"type\":0,\"data\":{\"sid\":\"a\"},\"nsp\":\"/\"}", "");
}

/* --------------------------------------------------------- msgpack to JSON */

TEST(msgpack_decode, numbers_read_as_javascript_would)
{
    assert_decodes("ca3dcccccd", "0.10000000149011612", "");
    assert_decodes("cb3fb999999999999a", "0.1", "");
    assert_decodes("cb3ff0000000000000", "1", "");
    assert_decodes("cb8000000000000000", "0", "");
    assert_decodes("cb444b1ae4d6e2ef50", "1e+21", "");
    assert_decodes("93cb7ff8000000000000cb7ff0000000000000caff800000", "[null,null,null]", "");
    assert_decodes("cfffffffffffffffff", "18446744073709551615", "");
    assert_decodes("d38000000000000000", "-9223372036854775808", "");
    assert_decodes("92d0ffd1ffff", "[-1,-1]", "");
}

TEST(msgpack_decode, dates)
{
    assert_decodes("d6ff00000000", "\"1970-01-01T00:00:00.000Z\"", "");
    assert_decodes("d7ff0000000400000000", "\"1970-01-01T00:00:00.000Z\"", ""); /* one nanosecond */
    assert_decodes("d7ffee4ca38059682f00", "\"2017-07-14T02:40:00.999Z\"", ""); /* .9995: cut off */
    assert_decodes("c70cff000000007fffffffffffffff", "null", "");               /* no Date goes that far */
    assert_decodes("d700000000000000007b", "\"1970-01-01T00:00:00.123Z\"", "");
    assert_decodes("d8ff00000000000000000000000000000000", "[-1,{\"_placeholder\":true,\"num\":0}]",
                   "00000000000000000000000000000000");
}

TEST(msgpack_decode, undefined_is_left_out_of_maps_and_null_elsewhere)
{
    assert_decodes("92d40000d40000", "[null,null]", "");
    assert_decodes("82a161d40000a16201", "{\"b\":1}", "");
    assert_decodes("82a16101a162d40000", "{\"a\":1}", "");
    assert_decodes("83a161d40000a16201a163d40000", "{\"b\":1}", "");
    assert_decodes("81a161d40000", "{}", "");
    assert_decodes("d40000", "null", "");
}

TEST(msgpack_decode, binary_becomes_attachments_in_order)
{
    assert_decodes(
        "93c40101 91c70200 aabb c400",
        "[{\"_placeholder\":true,\"num\":0},[{\"_placeholder\":true,\"num\":1}],{\"_placeholder\":true,\"num\":2}]",
        "01aabb");
    assert_decodes("c7010000", "{\"_placeholder\":true,\"num\":0}",
                   "00"); /* an ArrayBuffer of one byte, not undefined */
    assert_decodes("c7080000000000000000ff", "{\"_placeholder\":true,\"num\":0}", "00000000000000ff");
    assert_decodes("d507aabb", "[7,{\"_placeholder\":true,\"num\":0}]", "aabb");
}

TEST(msgpack_decode, keys_are_text_or_integers)
{
    assert_decodes("8301a1612aa162e0a163", "{\"1\":\"a\",\"42\":\"b\",\"-32\":\"c\"}", "");
    assert_decodes("81cfffffffffffffffff01", "{\"18446744073709551615\":1}", "");
    static const char why[] = "a map key is neither text nor an integer";
    static const char *const refused[] = {"81c001",     "81c301",     "81cb3ff000000000000001", "819001", "818001",
                                          "81c4016101", "81d4000001", "81d6ff0000000001"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) assert_refuses(refused[i], why);
}

TEST(msgpack_decode, keys_that_stand_twice_are_kept)
{
    assert_decodes("82a16101a16102", "{\"a\":1,\"a\":2}", "");
    assert_decodes("81a95f5f70726f746f5f5f01", "{\"__proto__\":1}", "");
}

TEST(msgpack_decode, text_is_escaped_as_json)
{
    assert_decodes("ab225c2f080c0a0d09001f7f", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"", "");
}

/* @msgpack/msgpack writes them so; the streams adapter uses it. */
TEST(msgpack_decode, halves_of_surrogate_pairs_stay_what_they_are)
{
    assert_decodes("a3eda080", "\"\\ud800\"", "");
    assert_decodes("a561edb08b62", "\"a\\udc0bb\"", "");
    assert_decodes("81a3edbfbf01", "{\"\\udfff\":1}", "");
}

TEST(msgpack_decode, text_that_is_not_utf8_is_refused)
{
    static const char *const refused[] = {
        "a180",   "a1ff",       "a2c080",     "a2c1bf",   "a1c3",   "a3e08080",   "a3eda041",   "a3edbfc0",
        "a2e282", "a4f0808080", "a4f4908080", "a3f09f98", "a2c328", "81a180a161", "a4f5808080", "a3e28228",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) assert_refuses(refused[i], "text is not UTF-8");
    assert_decodes("a4f09f9880", "\"\xf0\x9f\x98\x80\"", "");
    assert_decodes("a4f48fbfbf", "\"\xf4\x8f\xbf\xbf\"", "");
    assert_decodes("a3ed9fbf", "\"\xed\x9f\xbf\"", "");
}

TEST(msgpack_decode, what_looks_like_a_placeholder_is_data_or_refused)
{
    static const char alone[] = "82ac5f706c616365686f6c646572c3a36e756d00";
    assert_decodes(alone, "{\"_placeholder\":true,\"num\":0}", "");
    char beside[128];
    snprintf(beside, sizeof beside, "92%sc40101", alone);
    assert_refuses(beside, "object looks like a placeholder beside binary data");
    assert_decodes("9281ac5f706c616365686f6c64657201c40101", "[{\"_placeholder\":1},{\"_placeholder\":true,\"num\":0}]",
                   "01");
    assert_decodes("9282ac5f706c616365686f6c64657291c3a161c3c40101",
                   "[{\"_placeholder\":[true],\"a\":true},{\"_placeholder\":true,\"num\":0}]", "01");
}

TEST(msgpack_decode, depth_is_limited)
{
    static const struct rooms_msgpack_limits two = {.max_depth = 2, .max_attachments = 1}, none = {0};
    assert_refuses_within("919191c0", &two, ROOMS_ELIMIT, "nested too deeply");
    assert_refuses_within("91918180", &two, ROOMS_ELIMIT, "nested too deeply");
    assert_refuses_within("919190", &two, ROOMS_ELIMIT, "nested too deeply");
    assert_refuses_within("90", &none, ROOMS_ELIMIT, "nested too deeply");
    assert_refuses_within("92c400c400", &two, ROOMS_ELIMIT, "too many attachments");
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    static uint8_t deep[2 * ROOMS_MSGPACK_DEPTH_MAX];
    static const struct rooms_msgpack_limits all = {.max_depth = SIZE_MAX};
    memset(deep, 0x91, sizeof deep);
    assert_int_equal(rooms_msgpack_decode(deep, sizeof deep, &all, &decoded, &fault), ROOMS_ELIMIT);
    deep[ROOMS_MSGPACK_DEPTH_MAX] = 1;
    assert_int_equal(rooms_msgpack_decode(deep, sizeof deep, &all, &decoded, &fault), ROOMS_MSGPACK_DEPTH_MAX + 1);
    assert_int_equal(decoded.json_size, 2 * ROOMS_MSGPACK_DEPTH_MAX + 1);
    rooms_decoded_clear(&decoded);
}

/* No memory is taken for what is only claimed. (With it these would need up to 100 GB.) */
TEST(msgpack_decode, hostile_lengths)
{
    static const char *const hostile[] = {
        "ddffffffff",   "dfffffffff", "ddffffffffc0", "dbffffffff61", "c6ffffffff00",
        "c9ffffffff00", "dcffff",     "deffff",       "c9fffffffeff", "ddffffffffddffffffffddffffffff",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        uint8_t bytes[64];
        struct rooms_decoded decoded;
        struct rooms_msgpack_fault fault;
        assert_int_equal(rooms_msgpack_decode(bytes, from_hex(hostile[i], bytes), &limits, &decoded, &fault),
                         ROOMS_EINVAL);
    }
    assert_refuses("c1", "not msgpack");
    assert_refuses("91c1", "not msgpack");
    assert_refuses("", "msgpack ends too early");
}

TEST(msgpack_decode, what_follows_the_value_is_left)
{
    static const uint8_t two[] = {0x92, 1, 2, 0xc0};
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    assert_int_equal(rooms_msgpack_decode(two, sizeof two, &limits, &decoded, &fault), 3);
    rooms_decoded_clear(&decoded);
}

TEST(msgpack_decode, every_truncation_is_refused)
{
    struct guard guard = {0};
    for (size_t i = 0; i < VECTORS; i++) {
        for (size_t n = 0; n < vectors[i].size; n += n < 512 ? 1 : 37) {
            struct rooms_decoded decoded;
            struct rooms_msgpack_fault fault = {0};
            const uint8_t *p = guard_put(&guard, (const uint8_t *)vectors[i].bytes, n);
            assert_int_equal(rooms_msgpack_decode(p, n, &limits, &decoded, &fault), ROOMS_EINVAL);
            assert_string_equal(fault.why, "msgpack ends too early");
        }
    }
    guard_free(&guard);
}

/* --------------------------------------------------------- JSON to msgpack */

TEST(msgpack_encode, numbers)
{
    assert_encodes("[1.0,1e3,-0,-0.0,-1.5e1,0.5]", "9601cd03e80000f1cb3fe0000000000000");
    assert_encodes("18446744073709551615", "cfffffffffffffffff");
    assert_encodes("18446744073709551616", "cb43f0000000000000");
    assert_encodes("-9223372036854775807", "d38000000000000001");
    assert_encodes("-9223372036854775808", "d38000000000000000");
    assert_encodes("-9223372036854775809", "d38000000000000000");
    assert_encodes("9007199254740993", "cf0020000000000001"); /* kept; who reads it into a double rounds it */
    assert_encodes("1e18", "cf0de0b6b3a7640000");
    assert_encodes("1e21", "cb444b1ae4d6e2ef50");
    assert_encodes("1e999", "cb7ff0000000000000"); /* what JSON.parse makes of it */
    assert_encodes("-1e999", "cbfff0000000000000");
    assert_encodes("0.00000000000000000000000000000000000000000000000000000000000000000000001", "cb3131ab20e472914a");
}

TEST(msgpack_encode, text)
{
    assert_encodes("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"",
                   "b2225c2f080c0a0d0941c3a9e282acf09f9880");
    assert_encodes("\"\\ud800\"", "a3efbfbd");
    assert_encodes("\"\\ude00\\ud83d\"", "a6efbfbdefbfbd");
    assert_encodes("\"\\ud800\\u0041\"", "a4efbfbd41");
    assert_encodes("\"\\ud800\\ud83d\\ude00\"", "a7efbfbdf09f9880");
    assert_encodes("\"\\u0000\"", "a100");
    assert_encodes("{\"\\u0061\":1}", "81a16101");
}

TEST(msgpack_encode, objects_and_arrays)
{
    assert_encodes(" [ ] ", "90");
    assert_encodes("{ }", "80");
    assert_encodes("{\"b\":1,\"a\":[{},[]] , \"b\" : true}", "83a16201a161928090a162c3");
    assert_encodes("1,\"a\" , [2]", "01a1619102"); /* several values */
    assert_encodes("", "");
    assert_encodes("  ", "");
}

TEST(msgpack_encode, placeholders)
{
    static const struct rooms_bytes attachments[] = {{(const uint8_t *)"x", 1}, {NULL, 0}};
    static const char json[] = "[{\"_placeholder\":true,\"num\":1},{ \"num\" : 0 , \"_placeholder\" : true },"
                               "{\"_placeholder\":true,\"num\":0,\"a\":1}]";
    static const char without[] = "{\"_placeholder\":true,\"num\":0}";
    uint8_t expected[64];
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, sizeof json - 1}, attachments, 2);
    assert_int_equal(packer.error, 0);
    assert_bytes(packer.bytes, packer.size, expected,
                 from_hex("93c400c4017883ac5f706c616365686f6c646572c3a36e756d00a16101", expected));
    rooms_packer_clear(&packer);
    assert_encodes(without, "82ac5f706c616365686f6c646572c3a36e756d00");
    assert_int_equal(encode_error("{\"_placeholder\":true,\"num\":2}", 29, 2), ROOMS_EINVAL);
    assert_int_equal(encode_error("{\"_placeholder\":true,\"num\":999999999}", 37, 2), ROOMS_EINVAL);
}

TEST(msgpack_encode, what_is_not_json_is_refused)
{
    static const char *const refused[] = {
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{1:2}",
        "{\"a\" 1}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "tru",
        "nul",
        "fals",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "1,",
        ",1",
        "\\",
        "{\"a\",}",
        "[1 2]",
        "\"\\",
        "{,}",
        "[,]",
        "{\"a\":1,}",
        "\"\n\"",
        "\"\x01\"",
        "\"\x80\"",
        "\"\xed\xa0\x80\"",
        "{\"\xff\":1}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (encode_error(refused[i], strlen(refused[i]), 0) != ROOMS_EINVAL) fail_msg("accepted: %s", refused[i]);
    }
    static char deep[ROOMS_MSGPACK_DEPTH_MAX + 1];
    memset(deep, '[', sizeof deep);
    assert_int_equal(encode_error(deep, sizeof deep, 0), ROOMS_ELIMIT);
}

TEST(msgpack_encode, every_truncation_stays_in_bounds)
{
    struct guard guard = {0};
    for (size_t i = 0; i < VECTORS; i++) {
        for (size_t n = 0; n < vectors[i].json_size; n += n < 512 ? 1 : 37) {
            const char *p = (const char *)guard_put(&guard, (const uint8_t *)vectors[i].json, n);
            int error = encode_error(p, n, 2);
            /* A number is one without its last digit too. */
            if (n > 0 && strchr("[{\"", p[0])) assert_int_equal(error, ROOMS_EINVAL);
        }
    }
    guard_free(&guard);
}

TEST(msgpack_encode, pieces)
{
    uint8_t expected[64];
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms_pack_map(&packer, 2);
    rooms_pack_text(&packer, "type", 4);
    rooms_pack_uint(&packer, 2);
    rooms_pack_text(&packer, "data", 4);
    rooms_pack_array(&packer, 3);
    rooms_pack_binary(&packer, (struct rooms_bytes){(const uint8_t *)"\1\2", 2});
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)"1,[]", 4}, NULL, 0);
    assert_int_equal(packer.error, 0);
    assert_bytes(packer.bytes, packer.size, expected, from_hex("82a47479706502a46461746193c40201020190", expected));
    rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)"[", 1}, NULL, 0);
    rooms_pack_text(&packer, "later", 5);
    assert_int_equal(packer.error, ROOMS_EINVAL); /* it sticks */
    rooms_packer_clear(&packer);
}

/* ------------------------------------------------------------------ random */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Vectors with bytes changed: what is accepted means the same after a way there and back. */
TEST(msgpack, changed_bytes_are_refused_or_come_back_the_same)
{
    static uint8_t bytes[65536];
    uint32_t seed = 7;
    size_t accepted = 0;
    for (int round = 0; round < 20000; round++) {
        size_t i = next_random(&seed) % VECTORS, n = vectors[i].size;
        if (n == 0 || n > 2000) continue;
        memcpy(bytes, vectors[i].bytes, n);
        for (uint32_t k = next_random(&seed) % 3; k > 0; k--)
            bytes[next_random(&seed) % n] = (uint8_t)next_random(&seed);
        struct rooms_decoded decoded, again;
        struct rooms_msgpack_fault fault;
        struct rooms_packer packer;
        if (rooms_msgpack_decode(bytes, n, &limits, &decoded, &fault) < 0) continue;
        accepted++;
        rooms_packer_init(&packer);
        rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)decoded.json, decoded.json_size},
                        decoded.attachments, decoded.attachment_count);
        assert_int_equal(packer.error, 0);
        assert_int_equal(rooms_msgpack_decode(packer.bytes, packer.size, &limits, &again, &fault), packer.size);
        assert_bytes((const uint8_t *)again.json, again.json_size, (const uint8_t *)decoded.json, decoded.json_size);
        assert_int_equal(again.attachment_count, decoded.attachment_count);
        for (size_t k = 0; k < again.attachment_count; k++)
            assert_bytes(again.attachments[k].p, again.attachments[k].n, decoded.attachments[k].p,
                         decoded.attachments[k].n);
        rooms_packer_clear(&packer);
        rooms_decoded_clear(&again);
        rooms_decoded_clear(&decoded);
    }
    assert_true(accepted > 1000);
}

TEST_MAIN
