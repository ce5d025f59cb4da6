/* A TLS client on the same thread as the server it talks to. The certificates are made by openssl(1) when the tests
 * start. */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include "http_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { WAIT_MS = 300000 };

static char folder[] = "/tmp/parley-tls-XXXXXX";
static char cert_file[64], key_file[64], other_cert_file[64], other_key_file[64];

static inline void make_certificate(const char *name, char *cert, char *key)
{
    char command[512];
    snprintf(cert, 64, "%s/%s.pem", folder, name);
    snprintf(key, 64, "%s/%s.key", folder, name);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
             "-keyout %s -out %s 2>/dev/null",
             name, key, cert);
    assert_int_equal(system(command), 0);
}

static inline int make_certificates(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    make_certificate("one", cert_file, key_file);
    make_certificate("two", other_cert_file, other_key_file);
    return 0;
}

static inline int remove_certificates(void **state)
{
    (void)state;
    unlink(cert_file);
    unlink(key_file);
    unlink(other_cert_file);
    unlink(other_key_file);
    return rmdir(folder);
}

/* ------------------------------------------------------------------ client */

struct peer {
    struct client tcp;
    SSL_CTX *tls;
    SSL *ssl;
    char *text;
    size_t size, capacity;
    bool ended, failed;
};

static inline void peer_open(struct peer *peer, struct eio_loop *loop, uint16_t port)
{
    *peer = (struct peer){.capacity = 1 << 16};
    client_open(&peer->tcp, loop, port);
    peer->text = calloc(1, peer->capacity);
    peer->tls = SSL_CTX_new(TLS_client_method());
    peer->ssl = SSL_new(peer->tls);
    SSL_set_mode(peer->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_fd(peer->ssl, peer->tcp.fd);
    SSL_set_connect_state(peer->ssl);
}

static inline void peer_close(struct peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->tls);
    free(peer->text);
    client_close(&peer->tcp);
}

static inline void peer_note(struct peer *peer, int result)
{
    int error = SSL_get_error(peer->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    peer->ended = error == SSL_ERROR_ZERO_RETURN;
    peer->failed = !peer->ended;
    ERR_clear_error();
}

/* Reads what there is. */
static inline void peer_take(struct peer *peer)
{
    while (!peer->ended && !peer->failed) {
        if (peer->size + 32768 > peer->capacity) peer->text = realloc(peer->text, peer->capacity *= 2);
        int n = SSL_read(peer->ssl, peer->text + peer->size, 32767);
        if (n <= 0) {
            peer_note(peer, n);
            return;
        }
        peer->size += (size_t)n;
        peer->text[peer->size] = '\0';
    }
}

/* A turn of the loop, and a moment for the kernel. */
static inline void turn(struct peer *peer)
{
    eio_loop_turn(peer->tcp.loop, 0);
    struct pollfd wait = {.fd = peer->tcp.fd, .events = POLLIN};
    poll(&wait, 1, 1);
}

#define UNTIL(peer, condition)                                                                                    \
    for (uint64_t until = client_now_ms() + WAIT_MS; !(condition); turn(peer)) {                                  \
        peer_take(peer);                                                                                          \
        if (client_now_ms() > until) fail_msg("waited in vain for " #condition ", got \"%.200s\"", (peer)->text); \
    }

static inline void peer_send(struct peer *peer, const void *p, size_t n)
{
    const char *at = p;
    uint64_t until = client_now_ms() + WAIT_MS;
    while (n && !peer->failed) {
        assert_true(client_now_ms() < until);
        int sent = SSL_write(peer->ssl, at, (int)n);
        if (sent > 0) at += sent, n -= (size_t)sent;
        if (sent <= 0) peer_note(peer, sent);
        turn(peer);
    }
}

static inline void peer_say(struct peer *peer, const char *text)
{
    peer_send(peer, text, strlen(text));
}

static inline bool peer_has(const struct peer *peer, const char *text)
{
    return strstr(peer->text, text) != NULL;
}

#endif
