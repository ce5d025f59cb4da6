/* Compression: gzip and deflate of polls (HTTP), permessage-deflate of WebSocket messages (RFC 7692). */
#include "eio_fixture.h"

#include "eio_int.h"
#include "packed.h"

#include <zlib.h>

static struct fixture f;
static char sid[21];

enum { BIG = 4000 };

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.per_message_deflate = true;
    f.options.allow_eio3 = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio__test_fields("");
    fixture_clear(&f);
    return 0;
}

static void start_polling(void)
{
    fixture_start(&f);
    poll_open(&f, sid);
}

/* Text that shrinks a lot. */
static struct eio_frame *text_frame(size_t n)
{
    uint8_t *message;
    struct eio_frame *frame = eio_frame_new(EIO_TEXT, n, &message);
    assert_non_null(frame);
    memset(message, 'a', n);
    return frame;
}

/* Bytes that do not shrink, but for what the second half repeats of the first. */
static struct eio_frame *noise_frame(size_t n, bool repeat)
{
    uint8_t *message;
    uint32_t seed = 1;
    struct eio_frame *frame = eio_frame_new(EIO_BINARY, n, &message);
    assert_non_null(frame);
    for (size_t i = 0; i < n; i++) message[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    if (repeat) memcpy(message + n / 2, message, n / 2);
    return frame;
}

static void send_frame(struct eio_session *session, struct eio_frame *take_frame)
{
    assert_int_equal(eio_session_send(session, take_frame), 0);
    eio_frame_unref(take_frame);
}

/* -------------------------------------------------------------------- HTTP */

/* Sends a text and polls it. */
static void poll_text(size_t n, bool compress, const char *accept, struct eio__test_reply *reply)
{
    char fields[256];
    struct eio_frame *frame = text_frame(n);
    eio_frame_set_compress(frame, compress);
    send_frame(f.session, frame);
    snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", accept ? accept : "");
    eio__test_fields(accept ? fields : "");
    poll_request(&f, EIO_HTTP_GET, sid, NULL, reply);
    eio__test_fields("");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->type, "text/plain; charset=UTF-8");
}

static const char *encoding_of(const struct eio__test_reply *reply)
{
    static char text[32];
    const char *header = strstr(reply->headers, "Content-Encoding: ");
    assert_null(strstr(reply->headers, "Vary")); /* nor does the reference send it; nothing may be cached */
    if (!header) return "";
    snprintf(text, sizeof text, "%.*s", (int)strcspn(header + 18, "\n"), header + 18);
    return text;
}

static void assert_encoding(size_t n, bool compress, const char *accept, const char *expected)
{
    static uint8_t plain[1 << 18];
    struct eio__test_reply reply;
    poll_text(n, compress, accept, &reply);
    if (strcmp(encoding_of(&reply), expected) != 0) fail_msg("%s: %s", accept, encoding_of(&reply));
    if (*expected) {
        z_stream stream = {.next_in = (uint8_t *)reply.body, .avail_in = (uInt)reply.body_size, .next_out = plain};
        stream.avail_out = sizeof plain;
        assert_int_equal(inflateInit2(&stream, 15 + (expected[0] == 'g' ? 16 : 0)), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        inflateEnd(&stream);
        assert_int_equal(stream.total_out, n + 1);
        assert_memory_equal(plain, "4aaaa", 5);
    } else {
        assert_int_equal(reply.body_size, n + 1);
    }
    free(reply.body);
}

/* The choices are those of the reference (accepts, negotiator). */
static void the_client_chooses_the_encoding(void **state)
{
    (void)state;
    static const char *const choices[][2] = {
        {"gzip", "gzip"},
        {"deflate", "deflate"},
        {"gzip, deflate", "gzip"},
        {"deflate, gzip", "deflate"},
        {"deflate;q=0.9, gzip;q=0.8", "deflate"},
        {"GZIP", "gzip"},
        {"*", "gzip"},
        {"identity", ""},
        {"gzip;q=0", ""},
        {"gzip;q=0, *", "deflate"},
        {"*;q=0", ""},
        {"br, gzip;q=0.5", "gzip"},
        {"deflate;q=1, *;q=0.5", "deflate"},
        {"identity, gzip;q=0.5", "gzip"},
        {"identity;q=1, *;q=0", ""},
        {"gzip;q=0.5, identity;q=0.9", "gzip"},
        {"x-gzip", ""},
        {"*, gzip;q=0", "deflate"},
        {"deflate, *;q=1", "deflate"},
        {"*, deflate", "deflate"},
        {"br", ""},
        {"gzip;q=nan, deflate;q=nan", ""},
        {",,;;q=,", ""},
        {NULL, ""},
    };
    start_polling();
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        assert_encoding(BIG, true, choices[i][0], choices[i][1]);
}

static void small_payloads_and_unwilling_messages_stay_plain(void **state)
{
    (void)state;
    start_polling();
    assert_encoding(1022, true, "gzip", "");
    assert_encoding(1023, true, "gzip", "gzip"); /* with its type it is 1024 bytes */
    assert_encoding(BIG, false, "gzip", "");
    send_frame(f.session, text_frame(1)); /* one who wants it is enough, as in the reference */
    struct eio__test_reply reply;
    poll_text(BIG, false, "gzip", &reply);
    assert_string_equal(encoding_of(&reply), "gzip");
    free(reply.body);
}

static void http_compression_may_be_off(void **state)
{
    (void)state;
    f.options.http_compression = false;
    start_polling();
    assert_encoding(BIG, true, "gzip", "");
}

/* Bytes of the binary payload form of version 3: base64 would shrink. */
static void what_does_not_shrink_goes_plain(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char target[128];
    fixture_start(&f);
    eio__test_request(f.server, EIO_HTTP_GET, "/engine.io/?EIO=3&transport=polling", NULL, &reply);
    snprintf(target, sizeof target, "/engine.io/?EIO=3&transport=polling&sid=%.20s", strstr(reply.body, "0{") + 9);
    free(reply.body);
    for (int repeat = 0; repeat < 2; repeat++) {
        send_frame(f.session, noise_frame(BIG, repeat));
        eio__test_fields("Accept-Encoding: gzip\r\n");
        eio__test_request(f.server, EIO_HTTP_GET, target, NULL, &reply);
        turn(&f);
        assert_string_equal(reply.type, "application/octet-stream");
        assert_string_equal(encoding_of(&reply), repeat ? "gzip" : "");
        free(reply.body);
    }
}

/* Nor are those of others, that wait for as long. */
static void what_takes_long_goes_plain(void **state)
{
    (void)state;
    start_polling();
    f.loop->fake_step_us = 100; /* for each look at the clock, 16 KB apart */
    assert_encoding(10 * 16384, true, "gzip", "gzip");
    f.loop->fake_step_us = 1000;
    assert_encoding(10 * 16384, true, "gzip", "");
    assert_encoding(16384, true, "gzip", "gzip");
}

static void scripts_are_compressed_too(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char target[128], id[21];
    fixture_start(&f);
    eio__test_request(f.server, EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling&j=0", NULL, &reply);
    memcpy(id, strstr(reply.body, "sid\\\":\\\"") + 8, 20);
    id[20] = '\0';
    free(reply.body);
    send_frame(f.session, text_frame(1010)); /* above the threshold as a script only */
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=polling&j=0&sid=%s", id);
    eio__test_fields("Accept-Encoding: gzip\r\n");
    eio__test_request(f.server, EIO_HTTP_GET, target, NULL, &reply);
    turn(&f);
    assert_string_equal(encoding_of(&reply), "gzip");
    free(reply.body);
}

/* ------------------------------------------------------ permessage-deflate */

static uint8_t wire[1 << 20];

/* Opens a WebSocket with an offer; the 101's extension is compared. */
static int open_deflate(int eio, const char *offer, const char *taken)
{
    struct eio__test_reply reply;
    char fields[256], target[64], response[1024], expected[256];
    int fd;
    snprintf(fields, sizeof fields, "Sec-WebSocket-Extensions: %s\r\n", offer);
    snprintf(target, sizeof target, "/engine.io/?EIO=%d&transport=websocket", eio);
    eio__test_fields(fields);
    eio__test_upgrade_begin(f.server, target, &reply, &fd);
    eio__test_fields("");
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    snprintf(expected, sizeof expected, "\r\nSec-WebSocket-Extensions: %s\r\n", taken);
    if (*taken)
        assert_non_null(strstr(response, expected));
    else
        assert_null(strstr(response, "Extensions"));
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11); /* the open packet is small: it comes as it is */
    return fd;
}

#define TAKEN "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define TAKEN_9 TAKEN "; server_max_window_bits=9"

static size_t read_wire(int fd)
{
    ssize_t n, size = 0;
    turn(&f);
    while ((n = recv(fd, wire + size, sizeof wire - (size_t)size, 0)) > 0) size += n;
    return (size_t)size;
}

/* The peer reads one message; returns whether it was compressed. inflated with exactly that window. */
static bool assert_message(int fd, int window_bits, uint8_t opcode, const void *message, size_t n)
{
    static uint8_t plain[1 << 18];
    size_t size = read_wire(fd);
    assert_true(size >= 2);
    size_t payload = wire[1], header = 2;
    if (wire[1] == 126) header = 4, payload = (size_t)wire[2] << 8 | wire[3];
    if (wire[1] == 127) header = 10, payload = (size_t)wire[7] << 16 | (size_t)wire[8] << 8 | wire[9];
    assert_int_equal(size, header + payload);
    bool compressed = wire[0] & 0x40;
    assert_int_equal(wire[0] & ~0x40, 0x80 | opcode);
    if (!compressed) {
        assert_int_equal(payload, n);
        assert_memory_equal(wire + header, message, n);
        return false;
    }
    memcpy(wire + size, "\0\0\xff\xff", 4);
    z_stream stream = {.next_in = wire + header, .avail_in = (uInt)payload + 4, .next_out = plain};
    stream.avail_out = sizeof plain;
    assert_int_equal(inflateInit2(&stream, -window_bits), Z_OK);
    assert_int_equal(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
    inflateEnd(&stream);
    assert_int_equal(stream.total_out, n);
    assert_memory_equal(plain, message, n);
    return true;
}

static bool assert_frame(int fd, int window_bits, struct eio_frame *frame)
{
    bool text = frame->kind == EIO_TEXT;
    return assert_message(fd, window_bits, text ? 1 : 2, eio__frame_message(frame) - (text ? 1 : 0),
                          frame->size + (text ? 1 : 0));
}

static void a_broadcast_is_compressed_once_for_all(void **state)
{
    (void)state;
    enum { PEERS = 3 };
    int fd[PEERS], plain, old;
    struct eio_session *session[PEERS];
    fixture_start(&f);
    for (int i = 0; i < PEERS; i++) {
        fd[i] = open_deflate(4, "permessage-deflate; client_max_window_bits", TAKEN);
        session[i] = f.session;
    }
    plain = peer_open(&f);
    struct eio_session *plain_session = f.session;
    old = open_deflate(3, "permessage-deflate", TAKEN);
    struct eio_frame *frame = text_frame(BIG);
    struct eio_batch *batch = eio_batch_new();
    assert_int_equal(eio_batch_add(batch, frame), 0);
    for (int i = 0; i < PEERS; i++) assert_int_equal(eio_session_send_batch(session[i], batch), 0);
    assert_int_equal(eio_session_send_batch(plain_session, batch), 0);
    assert_int_equal(eio_session_send_batch(f.session, batch), 0);
    assert_null(frame->deflated);
    turn(&f);
    struct eio_frame *copy = frame->deflated;
    assert_non_null(copy);
    assert_int_equal(copy->refs, 1); /* everybody is done with it */
    for (int i = 0; i < PEERS; i++) {
        assert_true(assert_frame(fd[i], 15, frame));
        assert_memory_equal(wire, copy->bytes, copy->wire_size); /* the same bytes */
    }
    assert_true(assert_frame(old, 15, frame));
    assert_false(assert_frame(plain, 15, frame));
    assert_ptr_equal(frame->deflated, copy);
    eio_batch_free(batch);
    eio_frame_unref(frame);
    for (int i = 0; i < PEERS; i++) close(fd[i]);
    close(plain);
    close(old);
}

static void the_threshold_counts_the_whole_message(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = open_deflate(4, "permessage-deflate", TAKEN);
    static const struct {
        size_t n;
        bool compressed;
    } cases[] = {{1022, false}, {1023, true}, {200, false}, {70000, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eio_frame *frame = text_frame(cases[i].n);
        send_frame(f.session, eio_frame_ref(frame));
        assert_int_equal(assert_frame(fd, 15, frame), cases[i].compressed);
        uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, cases[i].n); /* the same without a frame of its own */
        memset(out, 'a', cases[i].n);
        assert_int_equal(assert_frame(fd, 15, frame), cases[i].compressed);
        eio_frame_unref(frame);
    }
    close(fd);
}

static void a_message_may_ask_not_to_be_compressed(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = open_deflate(4, "permessage-deflate", TAKEN);
    struct eio_frame *frame = text_frame(BIG);
    eio_frame_set_compress(frame, false);
    send_frame(f.session, eio_frame_ref(frame));
    assert_false(assert_frame(fd, 15, frame));
    eio_frame_unref(frame);
    close(fd);
}

static void who_did_not_offer_it_or_a_server_without_it_stays_plain(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = open_deflate(4, "permessage-bzip2", "");
    struct eio_frame *frame = text_frame(BIG);
    send_frame(f.session, eio_frame_ref(frame));
    assert_false(assert_frame(fd, 15, frame));
    close(fd);
    eio_server_free(f.server);
    f.options.per_message_deflate = false;
    fixture_start(&f);
    fd = open_deflate(4, "permessage-deflate", "");
    send_frame(f.session, eio_frame_ref(frame));
    assert_false(assert_frame(fd, 15, frame));
    eio_frame_unref(frame);
    close(fd);
}

/* Half a repetition lies within a window of 15 bits and outside one of 9. */
static void windows_of_all_sizes_in_any_order(void **state)
{
    (void)state;
    fixture_start(&f);
    int wide = open_deflate(4, "permessage-deflate", TAKEN);
    struct eio_session *wide_session = f.session;
    int narrow = open_deflate(4, "permessage-deflate; server_max_window_bits=9", TAKEN_9);
    struct eio_session *narrow_session = f.session;
    for (int narrow_first = 0; narrow_first < 2; narrow_first++) {
        struct eio_frame *text = text_frame(BIG), *repeating = noise_frame(BIG, true), *noise = noise_frame(BIG, false);
        struct eio_frame *frames[] = {text, repeating, noise};
        for (size_t i = 0; i < 3; i++) {
            send_frame(narrow_first ? narrow_session : wide_session, eio_frame_ref(frames[i]));
            turn(&f);
            send_frame(narrow_first ? wide_session : narrow_session, eio_frame_ref(frames[i]));
            assert_int_equal(assert_frame(wide, 15, frames[i]), i < 2);
            assert_int_equal(assert_frame(narrow, 9, frames[i]), i == 0);
            eio_frame_unref(frames[i]);
        }
    }
    close(wide);
    close(narrow);
    for (int bits = 9; bits <= 15; bits++) {
        char offer[64], taken[128];
        snprintf(offer, sizeof offer, "permessage-deflate; server_max_window_bits=%d", bits);
        snprintf(taken, sizeof taken, TAKEN "; server_max_window_bits=%d", bits);
        int fd = open_deflate(4, offer, taken);
        struct eio_frame *frame = text_frame(70000);
        for (size_t i = 0; i < 70000; i++) eio__frame_message(frame)[i] = (uint8_t)('a' + i * i / 977 % 26);
        send_frame(f.session, eio_frame_ref(frame));
        assert_true(assert_frame(fd, bits, frame));
        eio_frame_unref(frame);
        close(fd);
    }
}

/* Each attempt to write to a blocked peer asks for the form again. Had it been compressed anew it would shrink now. */
static void what_did_not_shrink_is_not_tried_again(void **state)
{
    (void)state;
    fixture_start(&f);
    int wide = open_deflate(4, "permessage-deflate", TAKEN);
    struct eio_session *wide_session = f.session;
    int narrow = open_deflate(4, "permessage-deflate; server_max_window_bits=9", TAKEN_9);
    for (int shared = 0; shared < 2; shared++) {
        struct eio_frame *frame = noise_frame(BIG, shared), *form;
        if (shared) { /* there is a copy for the wide window */
            assert_int_equal(eio__form_for(wide_session, 15, frame, &form), 0);
            assert_ptr_equal(form, frame->deflated);
            eio_frame_unref(form);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(eio__form_for(f.session, 9, frame, &form), 0);
            assert_ptr_equal(form, frame);
            eio_frame_unref(form);
            memset(eio__frame_message(frame), 'a', BIG);
        }
        eio_frame_unref(frame);
    }
    close(wide);
    close(narrow);
}

static void an_upgraded_session_compresses(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    char target[128], response[1024];
    int fd;
    start_polling();
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    eio__test_fields("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    eio__test_upgrade_begin(f.server, target, &reply, &fd);
    eio__test_fields("");
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_non_null(strstr(response, "\r\nSec-WebSocket-Extensions: " TAKEN "\r\n"));
    struct eio_frame *frame = text_frame(BIG); /* queued while it was polling */
    send_frame(f.session, eio_frame_ref(frame));
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    peer_text(fd, "5");
    assert_true(assert_frame(fd, 15, frame));
    eio_frame_unref(frame);
    close(fd);
}

static void binary_of_version_3_is_compressed(void **state)
{
    (void)state;
    static uint8_t message[BIG + 1] = {4};
    fixture_start(&f);
    int fd = open_deflate(3, "permessage-deflate", TAKEN);
    uint8_t *out = eio_session_reserve(f.session, EIO_BINARY, BIG);
    memset(out, 0, BIG);
    assert_true(assert_message(fd, 15, 2, message, sizeof message));
    close(fd);
}

/* ------------------------------------------------------------ what peers send */

static uint8_t *packed;
static size_t packed_size;

static void pack(const void *message, size_t n)
{
    packed = NULL;
    assert_true(deflate_whole(message, n, 15, 6, &packed, &packed_size));
}

static void compressed_messages_are_read_in_any_fragments(void **state)
{
    (void)state;
    static char text[500] = "4";
    fixture_start(&f);
    f.echo = false;
    int fd = open_deflate(4, "permessage-deflate", TAKEN);
    memset(text + 1, 'x', 150);
    pack(text, 151);
    for (size_t cut = 0; cut <= packed_size; cut++) {
        f.log[0] = '\0';
        peer_send(fd, 0x41, packed, cut);
        peer_send(fd, 0x89, "ping", 4); /* between the parts */
        peer_send(fd, 0x80, packed + cut, packed_size - cut);
        assert_peer_reads(&f, fd, "10:ping\n");
        assert_int_equal(strlen(f.log), strlen("text:\n") + 150);
    }
    free(packed);
    f.log[0] = '\0';
    peer_text(fd, "4plain"); /* uncompressed ones in between are fine */
    turn(&f);
    assert_string_equal(f.log, "text:plain\n");
    assert_int_equal(f.closed, 0);
    close(fd);
}

static void reserved_bits_in_the_wrong_place_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *offer, *taken;
        uint8_t first[2];
    } cases[] = {
        {"permessage-bzip2", "", {0xc1, 0}},      {"permessage-deflate", TAKEN, {0xa1, 0}},
        {"permessage-deflate", TAKEN, {0x91, 0}}, {"permessage-deflate", TAKEN, {0xc9, 0}},
        {"permessage-deflate", TAKEN, {0xc8, 0}}, {"permessage-deflate", TAKEN, {0x41, 0xc0}},
    };
    fixture_start(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = open_deflate(4, cases[i].offer, cases[i].taken), closed = f.closed;
        peer_send(fd, cases[i].first[0], "", 0);
        if (cases[i].first[1]) peer_send(fd, cases[i].first[1], "", 0);
        assert_peer_reads(&f, fd, "8:1002\nend\n");
        assert_int_equal(f.closed, closed + 1);
        assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
        close(fd);
    }
}

static void bombs_and_broken_data_close_the_websocket(void **state)
{
    (void)state;
    static uint8_t bomb[1000001] = "4";
    fixture_start(&f);
    int fd = open_deflate(4, "permessage-deflate", TAKEN);
    memset(bomb + 1, 'x', sizeof bomb - 1);
    pack(bomb, sizeof bomb);
    assert_true(packed_size < 2000);
    peer_send(fd, 0xc1, packed, packed_size);
    assert_peer_reads(&f, fd, "8:1009\nend\n");
    free(packed);
    close(fd);
    fd = open_deflate(4, "permessage-deflate", TAKEN);
    pack(bomb, sizeof bomb - 1); /* at the limit it is a message */
    peer_send(fd, 0xc1, packed, packed_size);
    f.echo = false;
    turn(&f);
    assert_string_equal(f.log, "text:999999\n");
    free(packed);
    peer_send(fd, 0xc1, "\xff\xff\xff\xff", 4);
    assert_peer_reads(&f, fd, "8:1007\nend\n");
    close(fd);
    fd = open_deflate(4, "permessage-deflate", TAKEN);
    memset(bomb + 1, 0xff, 100);
    pack(bomb, 200);
    peer_send(fd, 0xc1, packed, packed_size);
    assert_peer_reads(&f, fd, "8:1007\nend\n");
    free(packed);
    close(fd);
    assert_int_equal(f.closed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(the_client_chooses_the_encoding),
        TEST(small_payloads_and_unwilling_messages_stay_plain),
        TEST(http_compression_may_be_off),
        TEST(what_does_not_shrink_goes_plain),
        TEST(what_takes_long_goes_plain),
        TEST(scripts_are_compressed_too),
        TEST(a_broadcast_is_compressed_once_for_all),
        TEST(the_threshold_counts_the_whole_message),
        TEST(a_message_may_ask_not_to_be_compressed),
        TEST(who_did_not_offer_it_or_a_server_without_it_stays_plain),
        TEST(windows_of_all_sizes_in_any_order),
        TEST(what_did_not_shrink_is_not_tried_again),
        TEST(an_upgraded_session_compresses),
        TEST(binary_of_version_3_is_compressed),
        TEST(compressed_messages_are_read_in_any_fragments),
        TEST(reserved_bits_in_the_wrong_place_are_refused),
        TEST(bombs_and_broken_data_close_the_websocket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
