/* What a WebSocket's handshake asks for (RFC 6455, sections 4.1, 9.1, 11.3). */
#include "eio_codec.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: "
#define EXTENSIONS "Sec-WebSocket-Extensions: "

/* "key version protocol", or what is wrong. */
static void assert_offer(const char *fields, const char *expected)
{
    static const struct eio__gate_limits limits = {65535, 65535, 256};
    struct eio__gate_head parsed;
    struct eio__fault fault;
    struct eio__ws_offer offer;
    size_t size = strlen(fields) + 64;
    char *text = malloc(size), got[128];
    int n = snprintf(text, size, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_true(eio__gate_parse((const uint8_t *)text, (size_t)n, &limits, &parsed, &fault) == n);
    const char *why = eio__ws_offer_read(parsed.take_head, &offer);
    snprintf(got, sizeof got, "%s %.*s", offer.has_version ? "13" : "-", (int)offer.protocol.n,
             offer.protocol.p ? offer.protocol.p : "");
    if (strcmp(why ? why : got, expected) != 0) fail_msg("%s: %s", fields, why ? why : got);
    struct eio__ws_offer taken;
    eio__ws_offer_take(parsed.take_head, &taken);
    if (!why &&
        (taken.key.p != offer.key.p || taken.protocol.p != offer.protocol.p || taken.protocol.n != offer.protocol.n))
        fail_msg("%s: taken otherwise than read", fields);
    free(parsed.take_head);
    free(text);
}

TEST(ws_offer, key_and_version_stand_once)
{
    assert_offer(KEY VERSION, "13 ");
    assert_offer(KEY KEY VERSION, "Invalid Sec-WebSocket-Key");
    assert_offer(KEY "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" VERSION, "Invalid Sec-WebSocket-Key");
    assert_offer(VERSION, "Invalid Sec-WebSocket-Key");
    assert_offer("Sec-WebSocket-Key:\r\n" VERSION, "Invalid Sec-WebSocket-Key");
    assert_offer("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, AAAA\r\n" VERSION, "Invalid Sec-WebSocket-Key");
    assert_offer("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n" VERSION, "Invalid Sec-WebSocket-Key"); /* 15 bytes */
    assert_offer(KEY, "- ");
    assert_offer(KEY VERSION VERSION, "- ");
    assert_offer(KEY VERSION "Sec-WebSocket-Version: 8\r\n", "- ");
    assert_offer(KEY "Sec-WebSocket-Version: 13, 8\r\n", "- ");
    assert_offer(KEY "Sec-WebSocket-Version: 8\r\n", "- ");
    assert_offer(KEY "Sec-WebSocket-Version:\r\n", "- ");
}

TEST(ws_offer, subprotocols_are_tokens_and_the_first_counts)
{
    assert_offer(KEY VERSION PROTOCOL "a\r\n", "13 a");
    assert_offer(KEY VERSION PROTOCOL "a, b\r\n", "13 a");
    assert_offer(KEY VERSION PROTOCOL "a\r\n" PROTOCOL "b\r\n", "13 a");
    assert_offer(KEY VERSION PROTOCOL ", ,b,\r\n", "13 b");
    assert_offer(KEY VERSION PROTOCOL "\r\n" PROTOCOL "c\r\n", "13 c");
    static const char *const bad[] = {
        "a b", "a, b c", "a, a", "a/b", "", "\"a\"", "a;b", "\xc3\xa4", "a,b\r\n" PROTOCOL "b", " , ,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, KEY VERSION PROTOCOL "%s\r\n", bad[i]);
        assert_offer(fields, "Invalid Sec-WebSocket-Protocol");
    }
}

TEST(ws_offer, subprotocols_are_bounded)
{
    char fields[4096] = KEY VERSION PROTOCOL;
    for (int i = 0; i < 64; i++) snprintf(fields + strlen(fields), 16, "%s%d", i ? "," : "", i);
    strcat(fields, "\r\n");
    assert_offer(fields, "13 0");
    strcat(fields, PROTOCOL "more\r\n");
    assert_offer(fields, "Invalid Sec-WebSocket-Protocol");
}

TEST(ws_offer, extensions_are_by_their_grammar)
{
    static const char *const good[] = {"a",          "a; b", "a;b=c", "a; b=\"c\"",         "a; b=\"\\c\"",
                                       "a, b; c, d", "a,,b", "",      "a; b; c=1; d=\"2\"", "a\r\n" EXTENSIONS "b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, KEY VERSION EXTENSIONS "%s\r\n", good[i]);
        assert_offer(fields, "13 ");
    }
    static const char *const bad[] = {"a;",        "a; ",          ";a",           "a; =b",   "a; b=",
                                      "a; b=\"\"", "a; b=\"c",     "a; b=c\"",     "a b",     "a; b c",
                                      "a; b=c d",  "a; b=\"c,d\"", "a; b=\"c d\"", "a=b",     "a; b=\"c\\\"",
                                      "a; b=\"",   "a; b=c=d",     "a; b = c",     "a; b= c", "a\r\n" EXTENSIONS "b;",
                                      "(a)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, KEY VERSION EXTENSIONS "%s\r\n", bad[i]);
        assert_offer(fields, "Invalid Sec-WebSocket-Extensions");
    }
}

TEST_MAIN
