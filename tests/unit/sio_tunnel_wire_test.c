/* Messages of a tunnel: there and back, and what is none. */
#include "test.h"

#include "sio_tunnel_wire.h"

#include <string.h>

static uint8_t wire[SIO__TUNNEL_HEAD_BYTES + SIO__TUNNEL_OPEN_BYTES + 64];

static size_t encode(const struct sio__tunnel_message *message)
{
    size_t n = sio__tunnel_encode(message, wire);
    if (message->size) memcpy(wire + n, message->bytes, message->size);
    return n + message->size;
}

static const struct sio__tunnel_message samples[] = {
    {.type = SIO__TUNNEL_OPEN,
     .id = 0x1122334455667788,
     .window = 262144,
     .secure = true,
     .hops = 1,
     .name = {"0011223344556677-255", 20},
     .address = {"2001:db8::1", 11},
     .bytes = (const uint8_t *)"GET / HTTP/1.1\r\n",
     .size = 16},
    {.type = SIO__TUNNEL_ACCEPT, .id = 1, .window = 65536},
    {.type = SIO__TUNNEL_DATA, .id = UINT64_MAX, .number = UINT32_MAX, .bytes = (const uint8_t *)"x", .size = 1},
    {.type = SIO__TUNNEL_WINDOW, .id = 2, .number = 7, .window = 1},
    {.type = SIO__TUNNEL_END, .id = 3, .number = 8},
    {.type = SIO__TUNNEL_RESET, .id = 4},
    {.type = SIO__TUNNEL_BEAT, .name = {"0011223344556677-1", 18}},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

TEST(tunnel_wire, brings_back_what_was_encoded)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sio__tunnel_message *in = &samples[i];
        struct sio__tunnel_message out;
        assert_true(sio__tunnel_decode(wire, encode(in), &out));
        assert_int_equal(out.type, in->type);
        assert_true(out.id == in->id);
        assert_int_equal(out.number, in->number);
        assert_int_equal(out.window, in->window);
        assert_int_equal(out.secure, in->secure);
        assert_int_equal(out.hops, in->hops);
        assert_int_equal(out.name.n, in->name.n);
        assert_int_equal(out.address.n, in->address.n);
        assert_int_equal(out.size, in->size);
        if (in->size) assert_memory_equal(out.bytes, in->bytes, in->size);
        if (in->name.n) assert_memory_equal(out.name.p, in->name.p, in->name.n);
        if (in->address.n) assert_memory_equal(out.address.p, in->address.p, in->address.n);
    }
}

TEST(tunnel_wire, refuses_messages_that_are_cut)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t whole = encode(&samples[i]) - samples[i].size;
        if (samples[i].type == SIO__TUNNEL_DATA) whole++;                            /* at least one byte */
        if (samples[i].type == SIO__TUNNEL_BEAT) whole = SIO__TUNNEL_HEAD_BYTES + 1; /* any name */
        for (size_t n = 0; n < whole; n++) {
            struct sio__tunnel_message out;
            uint8_t *cut = malloc(n ? n : 1); /* what is behind is poisoned */
            memcpy(cut, wire, n);
            assert_false(sio__tunnel_decode(cut, n, &out));
            free(cut);
        }
    }
}

TEST(tunnel_wire, refuses_what_it_does_not_know)
{
    struct sio__tunnel_message out, message = samples[1];
    size_t n = encode(&message);
    for (size_t at = 0; at < 4; at++) {
        encode(&message);
        wire[at] ^= 0x80;
        assert_false(sio__tunnel_decode(wire, n, &out));
    }
    encode(&message);
    wire[3] = 0;
    assert_false(sio__tunnel_decode(wire, n, &out));
    wire[3] = SIO__TUNNEL_RESET + 1;
    assert_false(sio__tunnel_decode(wire, n, &out));
    encode(&message);
    assert_false(sio__tunnel_decode(wire, n + 1, &out)); /* more than there is to say */
}

TEST(tunnel_wire, refuses_names_that_could_be_others_channels)
{
    static const char *const bad[] = {"", "a b", "*", "node#", "ABC", "0011223344556677-2551234567890123456789012"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sio__tunnel_message out, message = samples[0];
        message.name = eio_str(bad[i]);
        assert_false(sio__tunnel_decode(wire, encode(&message), &out));
    }
    struct sio__tunnel_message out, message = samples[0];
    message.address.n = 0;
    assert_false(sio__tunnel_decode(wire, encode(&message), &out));
    message.address = (struct eio_str){"1111:2222:3333:4444:5555:6666:7777:8888:9999:0", 46};
    assert_false(sio__tunnel_decode(wire, encode(&message), &out));
}

TEST_MAIN
