/* TLS for the load generator's connections: OpenSSL on the descriptor, no resumption, any certificate. */
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { BUFFER_BYTES = 32768 };

static SSL_CTX *context;

void tls_start(struct conn *conn)
{
    if (!context) context = SSL_CTX_new(TLS_client_method());
    conn->ssl = context ? SSL_new(context) : NULL;
    BIO *socket = BIO_new_socket(conn->fd, BIO_NOCLOSE), *buffer = BIO_new(BIO_f_buffer());
    if (!conn->ssl || !socket || !buffer || !BIO_set_write_buffer_size(buffer, BUFFER_BYTES)) die("cannot start TLS");
    BIO_up_ref(socket);
    SSL_set0_rbio(conn->ssl, socket);
    SSL_set0_wbio(conn->ssl, BIO_push(buffer, socket));
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

/* Every message is a record of its own, as clients write them; they are sent together. */
ssize_t tls_send(struct conn *conn, const void *p, size_t n)
{
    bool is_http = conn->client->state == CLIENT_HANDSHAKE || conn->client->load->options.polling;
    size_t size;
    for (size_t at = 0; at < n; at += size) {
        const uint8_t *message = (const uint8_t *)p + at;
        size = is_http ? n : frame_sent_size(message, n - at);
        ERR_clear_error();
        errno = EAGAIN;
        if (SSL_write(conn->ssl, message, (int)size) != (int)size) return -1;
    }
    errno = EAGAIN;
    return BIO_flush(SSL_get_wbio(conn->ssl)) == 1 ? (ssize_t)n : -1;
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
