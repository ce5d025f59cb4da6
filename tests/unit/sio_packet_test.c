/* Packets of the default parser. Numbers in brackets are those of the list of edge cases the server is held against;
 * texts are without the Engine.IO type, so what is `42[…]` on the wire is `2[…]` here. */
#include "sio_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct sio__packet_limits limits = {{128}, 10, 512};

/* The last packet's bytes, in a block of exactly their size: a read past the end is seen by ASan. */
static uint8_t *block;

static int decode_bytes(const char *text, size_t n, struct sio__packet *packet, struct sio__fault *fault)
{
    free(block);
    block = malloc(n ? n : 1);
    assert_non_null(block);
    memcpy(block, text, n);
    *fault = (struct sio__fault){0};
    return sio__packet_decode(block, n, &limits, packet, fault);
}

static int decode(const char *text, struct sio__packet *packet)
{
    struct sio__fault fault;
    return decode_bytes(text, strlen(text), packet, &fault);
}

static int drop_block(void **state)
{
    (void)state;
    free(block);
    block = NULL;
    return 0;
}

static void assert_text(struct eio_str is, const char *should)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)is.n, is.p ? is.p : "");
    assert_string_equal(text, should);
}

static void assert_event(const char *text, const char *name, const char *args)
{
    struct sio__packet packet;
    if (decode(text, &packet) != 0) fail_msg("refused: %s", text);
    assert_int_equal(packet.type, SIO__EVENT);
    assert_text(packet.name, name);
    assert_text(packet.args, args);
}

static void assert_refused(int code, const char *text)
{
    struct sio__packet packet;
    struct sio__fault fault;
    int result = decode_bytes(text, strlen(text), &packet, &fault);
    if (result != code) fail_msg("%d, not %d: %s", result, code, text);
    assert_int_equal(fault.code, code);
    assert_non_null(fault.why);
    assert_true(fault.at <= strlen(text));
}

#define assert_all_refused(code, ...)                                                                   \
    do {                                                                                                \
        static const char *const texts[] = {__VA_ARGS__};                                               \
        for (size_t i_ = 0; i_ < sizeof texts / sizeof texts[0]; i_++) assert_refused(code, texts[i_]); \
    } while (0)

/* -------------------------------------------------------------------------------------------------- decoding */

static void connect_has_an_object_or_nothing(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("0", &packet), 0);
    assert_int_equal(packet.type, SIO__CONNECT);
    assert_text(packet.nsp, "/");
    assert_null(packet.data.p);
    assert_false(packet.has_id);
    assert_int_equal(decode("0{\"token\":\"x\"}", &packet), 0);
    assert_text(packet.data, "{\"token\":\"x\"}");
    assert_int_equal(decode("0/admin,{\"a\":1}", &packet), 0);
    assert_text(packet.nsp, "/admin");
    assert_text(packet.data, "{\"a\":1}");
    assert_int_equal(decode("0/admin,", &packet), 0);
    assert_int_equal(decode("0/admin", &packet), 0);
    assert_text(packet.nsp, "/admin");
    assert_text(packet.query, "");
    /* [29] */
    assert_all_refused(EIO_EPROTO, "0null", "0[]", "0\"a\"", "0custom", "0true", "0{", "0{}x", "0{}{}", "0,", "0 ");
}

/* [31] */
static void namespace_ends_before_its_query(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("0/custom?x=1,", &packet), 0);
    assert_text(packet.nsp, "/custom");
    assert_text(packet.query, "x=1");
    assert_text((struct eio_str){packet.nsp.p, packet.nsp.n + 1 + packet.query.n}, "/custom?x=1");
    assert_int_equal(decode("0/custom?", &packet), 0);
    assert_non_null(packet.query.p);
    assert_int_equal(decode("2/a,[\"what?\"]", &packet), 0);
    assert_text(packet.nsp, "/a");
    assert_null(packet.query.p);
}

static void namespace_is_limited(void **state)
{
    (void)state;
    struct sio__packet packet;
    char text[600] = "0/";
    memset(text + 2, 'a', 511);
    assert_int_equal(decode(text, &packet), 0);
    text[513] = 'a';
    assert_refused(EIO_ETOOBIG, text);
    text[513] = '?';
    assert_int_equal(decode(text, &packet), 0);
}

static void disconnect_has_no_data(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("1", &packet), 0);
    assert_int_equal(packet.type, SIO__DISCONNECT);
    assert_int_equal(decode("1/chat,", &packet), 0);
    assert_text(packet.nsp, "/chat");
    assert_all_refused(EIO_EPROTO, "1{}", "1\"x\"", "1null", "1x");
}

static void connect_error_has_an_object_or_text(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("4{\"message\":\"no\"}", &packet), 0);
    assert_int_equal(packet.type, SIO__CONNECT_ERROR);
    assert_int_equal(decode("4\"no\"", &packet), 0);
    assert_text(packet.data, "\"no\"");
    assert_int_equal(decode("4", &packet), 0);
    assert_all_refused(EIO_EPROTO, "4[]", "4null", "4true");
}

static void unknown_types_are_refused(void **state)
{
    (void)state;
    assert_all_refused(EIO_EPROTO, "", "7", "9[\"x\"]", "x", " ", "-1", "[\"x\"]");
}

static void events_are_sliced(void **state)
{
    (void)state;
    assert_event("2[\"chat\"]", "\"chat\"", "");
    assert_event("2[\"chat\",1]", "\"chat\"", "1");
    assert_event("2[\"chat\",{\"a\":[1,\"]\"]},\"b\"]", "\"chat\"", "{\"a\":[1,\"]\"]},\"b\"");
    assert_event("2 \t[ \"chat\" ,\r\n 1 , 2 ] \n", "\"chat\"", "1 , 2");
    assert_event("2[ \"chat\" ]", "\"chat\"", "");
    assert_event("2[\"ch\\\"at\",\"\\ud800\"]", "\"ch\\\"at\"", "\"\\ud800\"");
    assert_event("2[\"\"]", "\"\"", "");
    struct sio__packet packet;
    assert_int_equal(decode("2/a-b,12[\"chat\",null]", &packet), 0);
    assert_text(packet.nsp, "/a-b");
    assert_true(packet.has_id);
    assert_int_equal(packet.id, 12);
    assert_text(packet.data, "[\"chat\",null]");
    assert_false(packet.placeholders_in_order);
    assert_int_equal(packet.attachment_count, 0);
}

/* [32] */
static void event_names(void **state)
{
    (void)state;
    assert_all_refused(EIO_EPROTO, "2{}", "2[]", "2[[]]", "2[{\"toString\":\"foo\"}]", "2[true]", "2[null]", "2[,1]",
                       "2\"x\"", "2null", "2[\"connect\"]", "2[\"connect_error\"]", "2[\"disconnect\"]",
                       "2[\"disconnecting\"]", "2[\"newListener\"]", "2[\"removeListener\"]", "2[\"connect\",1]");
    assert_event("2[\"connection\"]", "\"connection\"", "");
    assert_event("2[\"error\"]", "\"error\"", "");
    assert_event("2[1,\"x\"]", "1", "\"x\"");
    assert_event("2[1.5]", "1.5", "");
    assert_event("2[-1e999 ,2]", "-1e999", "2");
    assert_event("2[\"Connect\"]", "\"Connect\"", "");
}

static void reserved_names_are_known_behind_escapes(void **state)
{
    (void)state;
    assert_all_refused(EIO_EPROTO, "2[\"conn\\u0065ct\"]", "2[\"\\u0064isconnect\",1]",
                       "2[\"\\u0072\\u0065\\u006d\\u006f\\u0076\\u0065\\u004c\\u0069\\u0073\\u0074\\u0065\\u006e\\u0065"
                       "\\u0072\"]");
    assert_event("2[\"connect\\u0000\"]", "\"connect\\u0000\"", "");
}

/* [33] */
static void events_without_data_are_to_be_ignored(void **state)
{
    (void)state;
    struct sio__packet packet;
    static const char *const texts[] = {"2", "2/chat,", "2/chat", "212", "51-", "51-/chat,7"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(decode(texts[i], &packet), 0);
        assert_null(packet.name.p);
        assert_null(packet.data.p);
        assert_int_equal(packet.args.n, 0);
        assert_int_equal(packet.attachment_count, texts[i][0] == '5');
        assert_false(packet.placeholders_in_order);
    }
}

/* [34] */
static void ids(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_all_refused(EIO_EPROTO, "2abc[\"x\"]", "2-1[\"x\"]", "21.5[\"x\"]", "2+1[\"x\"]", "21 2[\"x\"]",
                       "2100000000000000000000[\"x\"]", "29007199254740992[\"x\"]");
    assert_int_equal(decode("20456[\"x\"]", &packet), 0);
    assert_int_equal(packet.id, 456);
    assert_int_equal(decode("212 [\"x\"]", &packet), 0);
    assert_int_equal(packet.id, 12);
    assert_int_equal(decode("2 [\"x\"]", &packet), 0);
    assert_false(packet.has_id);
    assert_int_equal(decode("29007199254740991[\"x\"]", &packet), 0);
    assert_true(packet.id == SIO__ID_MAX);
    assert_int_equal(decode("20[\"x\"]", &packet), 0);
    assert_true(packet.has_id);
    assert_int_equal(packet.id, 0);
}

/* [35] */
static void acks(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("3999[\"x\"]", &packet), 0);
    assert_int_equal(packet.type, SIO__ACK);
    assert_int_equal(packet.id, 999);
    assert_text(packet.args, "\"x\"");
    assert_null(packet.name.p);
    assert_int_equal(decode("3[\"x\"]", &packet), 0);
    assert_false(packet.has_id);
    assert_int_equal(decode("3/a,1[ ]", &packet), 0);
    assert_text(packet.args, "");
    assert_int_equal(decode("31 [ 1 , [2] ] ", &packet), 0);
    assert_text(packet.args, "1 , [2]");
    assert_text(packet.data, "[ 1 , [2] ]");
    assert_int_equal(decode("31", &packet), 0);
    assert_null(packet.data.p);
    assert_all_refused(EIO_EPROTO, "31{}", "31\"x\"", "31null", "31[", "31[1]]", "31[1,]");
}

/* [36] [37] [38] */
static void attachment_counts(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_all_refused(EIO_EPROTO, "51[\"m\"]", "5-1-", "51.5-", "5a-", "5", "51", "5-", "5[\"m\"]", "50-[\"m\",1]",
                       "5 1-", "5+1-", "51e1-", "60-1[]", "599999999999999999999-");
    assert_all_refused(EIO_ETOOBIG, "511-[\"m\",{\"_placeholder\":true,\"num\":0}]", "565535-");
    assert_int_equal(decode("510-[\"m\",{\"_placeholder\":true,\"num\":0}]", &packet), 0);
    assert_int_equal(packet.type, SIO__BINARY_EVENT);
    assert_int_equal(packet.attachment_count, 10);
    assert_false(packet.placeholders_in_order);
}

/* [39] */
static void placeholder_numbers(void **state)
{
    (void)state;
#define M "51-[\"m\",{\"_placeholder\":true,\"num\":"
    assert_all_refused(EIO_EPROTO, M "-1}]", M "\"splice\"}]", M "1}]", M "0.5}]", M "1e0}]", M "null}]", M "-0}]",
                       M "65536}]", M "4294967296}]", M "0,\"x\":1}]", "51-[\"m\",{\"_placeholder\":true}]",
                       "51-[\"m\",[{\"a\":{\"_placeholder\":true,\"num\":7}}]]", "51-[\"m\",{\"_placeholder\" : true}]",
                       "51-[\"m\",{\"a\":1,\"_placeholder\":true,\"num\":0}]",
                       "51-[\"m\",{\"_placeholder\":false,\"_placeholder\":true,\"num\":0}]",
                       "51-[\"m\",{\"\\u005fplaceholder\":true,\"num\":9}]",
                       "51-[\"m\",{\"_placeholder\":true,\"n\\u0075m\":0}]", "61-1[{\"_placeholder\":true,\"num\":1}]");
    struct sio__packet packet;
    assert_int_equal(decode(M "0}]", &packet), 0);
    assert_true(packet.placeholders_in_order);
    assert_int_equal(decode("51-[\"m\",{\"_placeholder\":1,\"num\":9},{\"_placeholder\":\"true\"}]", &packet), 0);
    assert_false(packet.placeholders_in_order);
#undef M
}

#define P0 "{\"_placeholder\":true,\"num\":0}"
#define P1 "{\"num\" : 1,\n\"_placeholder\" : true }"

/* [41] */
static void placeholder_order(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("52-[\"m\"," P0 ",{\"a\":[" P1 "]}]", &packet), 0);
    assert_true(packet.placeholders_in_order);
    assert_int_equal(decode("52-[\"m\"," P1 "," P0 "]", &packet), 0);
    assert_false(packet.placeholders_in_order);
    assert_int_equal(decode("51-[\"m\"," P0 "," P0 "]", &packet), 0);
    assert_false(packet.placeholders_in_order);
    assert_int_equal(decode("52-[\"m\"," P0 "]", &packet), 0);
    assert_false(packet.placeholders_in_order);
    assert_int_equal(decode("51-[\"m\",\"{\\\"_placeholder\\\":true,\\\"num\\\":5}\"," P0 "]", &packet), 0);
    assert_true(packet.placeholders_in_order);
}

/* Each would become an attachment of what is passed on, and the receiver's limit is the same. */
static void placeholders_are_limited(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("51-[\"m\"" /* ten */
                            "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "]",
                            &packet),
                     0);
    assert_refused(EIO_ETOOBIG, "51-[\"m\"" /* eleven */
                                "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "," P0 "]");
}

/* [42] */
static void placeholder_in_a_plain_event_is_data(void **state)
{
    (void)state;
    assert_event("2[\"x\",{\"_placeholder\":true,\"num\":5}]", "\"x\"", "{\"_placeholder\":true,\"num\":5}");
    assert_event("2[\"x\",{\"_placeholder\":true,\"num\":-1}]", "\"x\"", "{\"_placeholder\":true,\"num\":-1}");
}

/* [45] */
static void binary_events_and_acks(void **state)
{
    (void)state;
    struct sio__packet packet;
    assert_int_equal(decode("51-7[\"m\"," P0 "]", &packet), 0);
    assert_int_equal(packet.id, 7);
    assert_int_equal(packet.attachment_count, 1);
    assert_text(packet.name, "\"m\"");
    assert_text(packet.args, P0);
    assert_int_equal(decode("52-/chat,7[\"m\"," P0 "]", &packet), 0);
    assert_text(packet.nsp, "/chat");
    assert_int_equal(decode("61-7[" P0 "]", &packet), 0);
    assert_int_equal(packet.type, SIO__BINARY_ACK);
    assert_true(packet.placeholders_in_order);
    assert_text(packet.args, P0);
}

/* [46] */
static void deep_data_is_refused(void **state)
{
    (void)state;
    struct sio__packet packet;
    struct sio__fault fault;
    static char text[40100];
    size_t n = (size_t)snprintf(text, sizeof text, "2[\"x\",");
    memset(text + n, '[', 20000);
    memset(text + n + 20000, ']', 20001);
    assert_int_equal(decode_bytes(text, n + 40001, &packet, &fault), EIO_ETOOBIG);
    assert_int_equal(fault.at, n + 127);
    memset(text + n, '[', 127);
    memset(text + n + 127, ']', 128);
    assert_int_equal(decode_bytes(text, n + 255, &packet, &fault), 0);
    assert_int_equal(packet.args.n, 254);
}

/* [47] to [50]: what JSON.parse accepts is passed on as it came. */
static void odd_json_is_kept(void **state)
{
    (void)state;
    assert_event("2[\"x\",{\"__proto__\":{\"a\":1}},{\"a\":1,\"a\":2}]", "\"x\"",
                 "{\"__proto__\":{\"a\":1}},{\"a\":1,\"a\":2}");
    assert_event("2[\"x\",1e999,9007199254740993,1.0,-0,1e21]", "\"x\"", "1e999,9007199254740993,1.0,-0,1e21");
    assert_event("2[\"x\",\"\\ud800\"]", "\"x\"", "\"\\ud800\"");
}

static void bad_json_is_refused(void **state)
{
    (void)state;
    assert_all_refused(EIO_EPROTO, "2[\"x\"", "2[\"x\",]", "2[\"x\" 1]", "2[\"x\",01]", "2[\"x\",\"\x01\"]",
                       "2[\"x\"]]", "2[\"x\"] x", "2[\"x\"},", "2[\"x\",'a']", "2[\"x\",NaN]", "2[1x]", "2[-]", "2[\"x",
                       "2[", "2[ ", "2[\"x\\", "2 ", "2[\"x\",{\"a\"}]", "2[\"x\",{a:1}]", "2\xef\xbb\xbf[\"x\"]");
}

static void faults_say_where(void **state)
{
    (void)state;
    struct sio__packet packet;
    struct sio__fault fault;
    assert_int_equal(decode_bytes("2/a,[\"x\",?]", 11, &packet, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 9);
    assert_int_equal(decode_bytes("2/a,[\"x\",1]?", 12, &packet, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 11);
    assert_int_equal(decode_bytes("51-[\"x\",{\"_placeholder\":true,\"num\":2}]", 38, &packet, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 8);
}

/* Every beginning of a packet is a packet or a fault, and reads no further than it goes. */
static void cut_packets_stay_in_bounds(void **state)
{
    (void)state;
    static const char text[] =
        "52-/chat?q=1,45 [ \"n\\u00e4me\" , " P0 ",{\"a\":[-1.5e+3,true,null,\"\\\\\"]}," P1 " ] ";
    struct sio__packet packet;
    struct sio__fault fault;
    for (size_t n = 0; n < sizeof text; n++) {
        int result = decode_bytes(text, n, &packet, &fault);
        if (n > 60 && n < sizeof text - 2) assert_int_equal(result, EIO_EPROTO);
    }
    assert_int_equal(decode_bytes(text, sizeof text - 1, &packet, &fault), 0);
    assert_true(packet.placeholders_in_order);
}

/* -------------------------------------------------------------------------------------------------- encoding */

static void assert_encodes(struct sio__outgoing outgoing, const char *should)
{
    size_t size = sio__packet_size(&outgoing);
    uint8_t *bytes = malloc(size ? size : 1);
    assert_non_null(bytes);
    sio__packet_put(&outgoing, bytes);
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    assert_string_equal(text, should);
    assert_int_equal(size, strlen(should));
}

static void packets_are_encoded(void **state)
{
    (void)state;
    struct sio__outgoing p = {.type = SIO__CONNECT, .nsp = eio_str("/"), .json = eio_str("{\"sid\":\"x\"}")};
    assert_encodes(p, "0{\"sid\":\"x\"}");
    p.nsp = eio_str("/chat");
    assert_encodes(p, "0/chat,{\"sid\":\"x\"}");
    p.type = SIO__CONNECT_ERROR;
    assert_encodes(p, "4/chat,{\"sid\":\"x\"}");
    p = (struct sio__outgoing){.type = SIO__DISCONNECT, .nsp = eio_str("/")};
    assert_encodes(p, "1");
    p.nsp = eio_str("/chat");
    assert_encodes(p, "1/chat,");
    p = (struct sio__outgoing){.type = SIO__EVENT, .name = eio_str("he\"y"), .json = eio_str("1,{\"a\":2}")};
    assert_encodes(p, "2[\"he\\\"y\",1,{\"a\":2}]");
    p.has_id = true;
    assert_encodes(p, "20[\"he\\\"y\",1,{\"a\":2}]");
    p.id = SIO__ID_MAX;
    p.nsp = eio_str("/n");
    p.json = (struct eio_str){NULL, 0};
    assert_encodes(p, "2/n,9007199254740991[\"he\\\"y\"]");
    p = (struct sio__outgoing){.type = SIO__ACK, .nsp = eio_str("/"), .has_id = true, .id = 10};
    assert_encodes(p, "310[]");
    p.json = eio_str("\"a\"");
    assert_encodes(p, "310[\"a\"]");
}

static void attachments_make_packets_binary(void **state)
{
    (void)state;
    struct sio__outgoing p = {.type = SIO__EVENT, .nsp = eio_str("/"), .name = eio_str("m"), .json = eio_str(P0)};
    p.attachment_count = 1;
    assert_encodes(p, "51-[\"m\"," P0 "]");
    p.attachment_count = 12;
    p.has_id = true;
    p.id = 99;
    p.nsp = eio_str("/a");
    assert_encodes(p, "512-/a,99[\"m\"," P0 "]");
    p.type = SIO__ACK;
    assert_encodes(p, "612-/a,99[" P0 "]");
    p.type = SIO__BINARY_ACK;
    assert_encodes(p, "612-/a,99[" P0 "]");
    p.type = SIO__BINARY_EVENT;
    p.attachment_count = 0;
    assert_encodes(p, "2/a,99[\"m\"," P0 "]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_has_an_object_or_nothing),
        cmocka_unit_test(namespace_ends_before_its_query),
        cmocka_unit_test(namespace_is_limited),
        cmocka_unit_test(disconnect_has_no_data),
        cmocka_unit_test(connect_error_has_an_object_or_text),
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(events_are_sliced),
        cmocka_unit_test(event_names),
        cmocka_unit_test(reserved_names_are_known_behind_escapes),
        cmocka_unit_test(events_without_data_are_to_be_ignored),
        cmocka_unit_test(ids),
        cmocka_unit_test(acks),
        cmocka_unit_test(attachment_counts),
        cmocka_unit_test(placeholder_numbers),
        cmocka_unit_test(placeholder_order),
        cmocka_unit_test(placeholders_are_limited),
        cmocka_unit_test(placeholder_in_a_plain_event_is_data),
        cmocka_unit_test(binary_events_and_acks),
        cmocka_unit_test(deep_data_is_refused),
        cmocka_unit_test(odd_json_is_kept),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(faults_say_where),
        cmocka_unit_test(cut_packets_stay_in_bounds),
        cmocka_unit_test(packets_are_encoded),
        cmocka_unit_test(attachments_make_packets_binary),
    };
    return cmocka_run_group_tests(tests, NULL, drop_block);
}
