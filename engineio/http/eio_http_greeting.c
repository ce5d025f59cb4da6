/* What a proxy says of its client before anything else (eio_proxy.c). It is read off the descriptor itself, by peeking,
 * since TLS may begin right behind it: not one byte more is taken than the header has. Only at listeners that expect
 * it, from peers that may send it, and within a time of its own. */
#include "eio_http_conn.h"
#include "eio_proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct eio__greeting {
    size_t size;
    uint8_t bytes[EIO__PROXY_HEADER_MAX];
};

int eio__greeting_expect(struct eio__conn *conn)
{
    conn->greeting = malloc(sizeof *conn->greeting);
    if (!conn->greeting) return EIO_ENOMEM;
    conn->greeting->size = 0;
    return 0;
}

/* Says why a connection is closed that no client will ever see the answer of. */
void eio__greeting_refuse(struct eio_http *http, const struct eio__address *peer, const char *why)
{
    char address[46];
    unsigned long long unsaid;
    http->stats.proxy_errors++;
    if (!eio__counter_hit(&http->greeting_faults, http->loop, EIO_LIMIT_LOG_MS, &unsaid)) return;
    eio__address_print(peer, address);
    eio_log(EIO_LOG_WARN, "http: connection of %s closed: PROXY protocol: %s (%llu more since the last such line)",
            address, why, unsaid);
}

/* Bytes of the header are taken, those behind it stay. */
enum eio__step eio__greeting_read(struct eio__conn *conn)
{
    struct eio__greeting *greeting = conn->greeting;
    struct eio__proxy_header header;
    struct eio__fault fault;
    uint8_t *end = greeting->bytes + greeting->size;
    ssize_t n = recv(conn->fd, end, sizeof greeting->bytes - greeting->size, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return EIO__STEP_WAIT;
    if (n <= 0) {
        eio__greeting_refuse(conn->http, &conn->peer, "the connection ended before the header");
        return EIO__STEP_GONE;
    }
    ssize_t whole = eio__proxy_decode(greeting->bytes, greeting->size + (size_t)n, &header, &fault);
    if (whole < 0) {
        eio__greeting_refuse(conn->http, &conn->peer, fault.why);
        return EIO__STEP_GONE;
    }
    size_t taken = whole ? (size_t)whole - greeting->size : (size_t)n;
    if (recv(conn->fd, end, taken, 0) != (ssize_t)taken) return EIO__STEP_GONE; /* they were there */
    greeting->size += taken;
    if (!whole) return EIO__STEP_WAIT;
    free(greeting);
    conn->greeting = NULL;
    if (header.has_client) conn->peer = header.address;
    conn->secure |= header.secure;
    return EIO__STEP_MORE;
}

/* --------------------------------------------------------------------- TLS */

/* Stands before the socket's BIO and gives OpenSSL nothing until the header is read. */
static int bio_read(BIO *bio, char *p, int size)
{
    struct eio__conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn) {
        enum eio__step step = eio__greeting_read(conn);
        if (step == EIO__STEP_WAIT) BIO_set_retry_read(bio);
        if (step != EIO__STEP_MORE) return -1;
        BIO_set_data(bio, NULL);
        eio__http_greeted(conn);
    }
    int n = BIO_read(BIO_next(bio), p, size);
    BIO_copy_next_retry(bio);
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    return BIO_ctrl(BIO_next(bio), command, number, p);
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method_of(struct eio_http *http)
{
    if (http->greeting_method) return http->greeting_method;
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_FILTER, "PROXY");
    if (!method) return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
    BIO_meth_set_create(method, bio_create);
    return http->greeting_method = method;
}

int eio__greeting_expect_tls(struct eio__conn *conn, SSL *ssl)
{
    BIO_METHOD *method = method_of(conn->http);
    BIO *bio = method ? BIO_new(method) : NULL, *socket = bio ? BIO_new_socket(conn->fd, BIO_NOCLOSE) : NULL;
    if (!socket || eio__greeting_expect(conn) != 0) {
        BIO_free(bio);
        BIO_free(socket);
        return EIO_ENOMEM;
    }
    BIO_set_data(bio, conn);
    SSL_set0_rbio(ssl, BIO_push(bio, socket));
    return 0;
}
