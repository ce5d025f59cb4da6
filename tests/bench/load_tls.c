/* TLS for the load generator's connections: OpenSSL on the descriptor, no resumption, any certificate. */
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *context;

void tls_start(struct conn *conn)
{
    if (!context) context = SSL_CTX_new(TLS_client_method());
    conn->ssl = context ? SSL_new(context) : NULL;
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1) die("cannot start TLS");
    SSL_set_connect_state(conn->ssl);
}

void tls_end(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
}

enum tls_wants tls_shake(struct conn *conn)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl), error = SSL_get_error(conn->ssl, result);
    if (result == 1) return TLS_NOTHING;
    if (error == SSL_ERROR_WANT_READ) return TLS_TO_READ;
    if (error == SSL_ERROR_WANT_WRITE) return TLS_TO_WRITE;
    die("TLS: the handshake failed: %s", ERR_reason_error_string(ERR_peek_error()));
}

ssize_t tls_send(struct conn *conn, const void *p, size_t n)
{
    ERR_clear_error();
    int sent = SSL_write(conn->ssl, p, (int)n);
    errno = EAGAIN;
    return sent > 0 ? sent : -1;
}

/* All that is there: a record may hold less than the socket has. */
ssize_t tls_recv(struct conn *conn, uint8_t *p, size_t size)
{
    size_t n = 0;
    while (n < size) {
        ERR_clear_error();
        int got = SSL_read(conn->ssl, p + n, (int)(size - n)), error = SSL_get_error(conn->ssl, got);
        if (got > 0) {
            n += (size_t)got;
            continue;
        }
        if (n > 0) break; /* the end, if it is that, is told again */
        errno = EAGAIN;
        return error == SSL_ERROR_WANT_READ ? -1 : 0;
    }
    return (ssize_t)n;
}
