/* An Engine.IO echo server on a fake clock, with what happened written down, for the conversations in session/. */
#ifndef EIO_FIXTURE_H
#define EIO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "eio_test.h"
#include "engineio_http.h"

struct fixture {
    struct eio_loop *loop;
    struct eio_options options;
    struct eio_server *server;
    struct eio_session *session; /* the last one opened */
    bool echo;
    int opened, closed;
    enum eio_close_reason reason;
    char detail[128];
    char log[4096]; /* messages received: "text:…\n", "binary:<size>\n" */
    void (*on_message)(struct fixture *fixture, struct eio_session *session);
    void (*on_close)(struct fixture *fixture, struct eio_session *session);
};

static inline void fixture_on_open(struct eio_session *session, void *ctx)
{
    struct fixture *fixture = ctx;
    fixture->session = session;
    fixture->opened++;
}

static inline void fixture_on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    struct fixture *fixture = ctx;
    enum eio_kind kind = message->kind;
    const uint8_t *p = message->bytes;
    size_t n = message->size;
    size_t used = strlen(fixture->log);
    if (kind == EIO_TEXT && n < 200)
        snprintf(fixture->log + used, sizeof fixture->log - used, "text:%.*s\n", (int)n, (const char *)p);
    else
        snprintf(fixture->log + used, sizeof fixture->log - used, "%s:%zu\n", kind ? "binary" : "text", n);
    if (fixture->on_message) fixture->on_message(fixture, session);
    if (!fixture->echo) return;
    uint8_t *out = eio_session_reserve(session, kind, n);
    if (out && n) memcpy(out, p, n);
}

static inline void fixture_on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail,
                                    void *ctx)
{
    struct fixture *fixture = ctx;
    fixture->closed++;
    fixture->reason = reason;
    snprintf(fixture->detail, sizeof fixture->detail, "%s", detail);
    if (fixture->on_close) fixture->on_close(fixture, session);
    if (fixture->session == session) fixture->session = NULL;
}

/* Options may be changed between init and start. */
static inline void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->echo = true;
    fixture->loop = eio_loop_new_with_fake_clock();
    assert_non_null(fixture->loop);
    eio_options_init(&fixture->options);
}

static inline void fixture_start(struct fixture *fixture)
{
    struct eio_handlers handlers = {fixture_on_open, fixture_on_message, fixture_on_close};
    fixture->server = eio_server_new(fixture->loop, &fixture->options, &handlers, fixture);
    assert_non_null(fixture->server);
}

static inline void fixture_clear(struct fixture *fixture)
{
    eio_server_free(fixture->server);
    eio_loop_free(fixture->loop);
}

static inline void turn(struct fixture *fixture)
{
    eio_loop_turn(fixture->loop, 0);
}

/* ------------------------------------------------------------- a WebSocket peer */

/* Writes one masked frame, whole. first: FIN and opcode. */
static inline void peer_send(int fd, uint8_t first, const void *payload, size_t n)
{
    static uint8_t wire[1 << 20];
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t at = 0;
    wire[at++] = first;
    if (n < 126) {
        wire[at++] = (uint8_t)(0x80 | n);
    } else {
        wire[at++] = 0x80 | 126;
        assert_true(n < 65536);
        wire[at++] = (uint8_t)(n >> 8);
        wire[at++] = (uint8_t)n;
    }
    memcpy(wire + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++) wire[at++] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
    assert_int_equal(send(fd, wire, at, MSG_NOSIGNAL), at);
}

static inline void peer_text(int fd, const char *text)
{
    peer_send(fd, 0x81, text, strlen(text));
}

/* Everything the peer can read now, as text: frames as "opcode:payload\n", "end\n" at the end of the stream.
 * Whole, short frames only. */
static inline const char *peer_read(int fd)
{
    static char text[65536];
    static uint8_t wire[65536];
    size_t used = 0, have = 0;
    bool end = false;
    for (;;) {
        ssize_t n = recv(fd, wire + have, sizeof wire - have, MSG_DONTWAIT);
        if (n > 0)
            have += (size_t)n;
        else {
            end = n == 0;
            break;
        }
    }
    text[0] = '\0';
    for (size_t at = 0; at + 2 <= have;) {
        size_t n = wire[at + 1] & 0x7f;
        size_t header = 2;
        if (n == 126) {
            n = (size_t)wire[at + 2] << 8 | wire[at + 3];
            header = 4;
        }
        if ((wire[at] & 0x0f) == 8 && n >= 2)
            used += (size_t)snprintf(text + used, sizeof text - used, "8:%d\n", wire[at + 2] << 8 | wire[at + 3]);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%d:%.*s\n", wire[at] & 0x0f, (int)n,
                                     (const char *)wire + at + header);
        at += header + n;
    }
    if (end) snprintf(text + used, sizeof text - used, "end\n");
    return text;
}

#define assert_peer_reads(fixture, fd, expected)      \
    do {                                              \
        turn(fixture);                                \
        assert_string_equal(peer_read(fd), expected); \
    } while (0)

/* Opens a WebSocket session and swallows the open packet. */
static inline int peer_open(struct fixture *fixture)
{
    int fd;
    assert_non_null(eio__test_websocket(fixture->server, &fd));
    turn(fixture);
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    return fd;
}

/* --------------------------------------------------------------- a polling peer */

/* Opens a polling session; sid must hold 21 bytes. */
static inline void poll_open(struct fixture *fixture, char *sid)
{
    struct eio__test_reply reply;
    eio__test_request(fixture->server, EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling", NULL, &reply);
    assert_true(reply.answered);
    assert_int_equal(reply.status, 200);
    assert_memory_equal(reply.body, "0{\"sid\":\"", 9);
    memcpy(sid, reply.body + 9, 20);
    sid[20] = '\0';
    free(reply.body);
}

static inline void poll_request(struct fixture *fixture, enum eio_http_method method, const char *sid, const char *body,
                                struct eio__test_reply *reply)
{
    char target[128];
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=polling&sid=%s", sid);
    eio__test_request(fixture->server, method, target, body, reply);
    turn(fixture);
}

#define assert_replied(reply, expected_status, expected_body) \
    do {                                                      \
        assert_true((reply).answered);                        \
        assert_int_equal((reply).status, expected_status);    \
        assert_string_equal((reply).body, expected_body);     \
        free((reply).body);                                   \
    } while (0)

#endif
