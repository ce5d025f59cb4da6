/* A Socket.IO server on a fake clock and its WebSocket clients, for the conversations in session/. */
#ifndef SIO_FIXTURE_H
#define SIO_FIXTURE_H

#include "eio_fixture.h"
#include "sio_server.h"

struct talk {
    struct eio_loop *loop;
    struct sio_options options;
    struct sio_server *io;
    struct sio_namespace *root;
    char log[8192]; /* what handlers wrote by note() */
};

static inline void talk_init(struct talk *talk)
{
    memset(talk, 0, sizeof *talk);
    talk->loop = eio_loop_new_with_fake_clock();
    assert_non_null(talk->loop);
    sio_options_init(&talk->options);
}

static inline void talk_start(struct talk *talk)
{
    talk->io = sio_server_new_on(talk->loop, &talk->options);
    assert_non_null(talk->io);
    talk->root = sio_of(talk->io, "/");
}

static inline void talk_clear(struct talk *talk)
{
    sio_server_free(talk->io);
    eio_loop_free(talk->loop);
}

static inline void note(struct talk *talk, const char *format, ...)
{
    size_t used = strlen(talk->log);
    va_list values;
    va_start(values, format);
    vsnprintf(talk->log + used, sizeof talk->log - used, format, values);
    va_end(values);
}

#define assert_noted(talk, expected)                \
    do {                                            \
        assert_string_equal((talk)->log, expected); \
        (talk)->log[0] = '\0';                      \
    } while (0)

static inline void talk_turn(struct talk *talk)
{
    eio_loop_turn(talk->loop, 0);
}

/* A client that has sent nothing yet. */
static inline int client_open(struct talk *talk)
{
    int fd;
    assert_non_null(eio__test_websocket(sio_server_engine(talk->io), &fd));
    talk_turn(talk);
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    return fd;
}

/* Sends text and gives what the server answers within two turns. */
static inline const char *client_say(struct talk *talk, int fd, const char *text)
{
    peer_text(fd, text);
    talk_turn(talk);
    talk_turn(talk);
    return peer_read(fd);
}

static inline const char *client_hear(struct talk *talk, int fd)
{
    talk_turn(talk);
    return peer_read(fd);
}

/* A client in the namespace ("" for the root, else "/name,"); its id goes to sid (21 bytes, may be NULL). */
static inline int client_join(struct talk *talk, const char *prefix, char *sid)
{
    char connect[128], expected[160];
    int fd = client_open(talk);
    snprintf(connect, sizeof connect, "40%s", prefix);
    snprintf(expected, sizeof expected, "1:40%s{\"sid\":\"", prefix);
    const char *answer = client_say(talk, fd, connect);
    size_t n = strlen(expected);
    assert_memory_equal(answer, expected, n);
    assert_memory_equal(answer + n + 20, "\"}\n", 3);
    if (sid) {
        memcpy(sid, answer + n, 20);
        sid[20] = '\0';
    }
    return fd;
}

/* The only connected socket of a namespace. */
static inline struct sio_socket *only_socket(struct sio_namespace *nsp)
{
    assert_int_equal(nsp->socket_count, 1);
    return nsp->sockets[0];
}

#define assert_says(talk, fd, text, expected) assert_string_equal(client_say(talk, fd, text), expected)
#define assert_hears(talk, fd, expected) assert_string_equal(client_hear(talk, fd), expected)

/* What a client reads when its connection is closed by the server: a close frame. */
#define CLOSED "8:\n"

#endif
