/* TLS: the certificate and what is negotiated. OpenSSL and libevent do the rest; evhtp is only given the finished
 * context, since its own way of making one passes a mode where options are wanted. */
#include "eio_http_conn.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

/* Forward secrecy and authenticated encryption only (the "intermediate" list of RFC 9325). TLS 1.3 has no others. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* RFC 7301: a client that names protocols, and not ours, is refused rather than misunderstood. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                   unsigned int in_size, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)ctx;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A server does not ask at the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static const char *reason(void)
{
    unsigned long error = ERR_peek_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    if (error && ERR_SYSTEM_ERROR(error)) text = strerror(ERR_GET_REASON(error));
    return text ? text : "unknown error";
}

static SSL_CTX *context_new(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls) return NULL;
    if (!SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) || !SSL_CTX_set_cipher_list(tls, ciphers)) {
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* of connections that are idle: 32 KiB each */
    /* Sessions are resumed with tickets, which cost the server no memory. */
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    static const unsigned char name[] = "parley";
    SSL_CTX_set_session_id_context(tls, name, sizeof name - 1);
    SSL_CTX_set_alpn_select_cb(tls, on_alpn, NULL);
    SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
    return tls;
}

SSL_CTX *eio__tls_load(const struct eio_http_options *options)
{
    const char *cert_file = options->tls_cert_file, *key_file = options->tls_key_file;
    if (!cert_file || !key_file) {
        eio_log(EIO_LOG_ERROR, "tls: both a certificate and a key are required; only one is set");
        return NULL;
    }
    ERR_clear_error();
    SSL_CTX *tls = context_new();
    if (!tls) {
        eio_log(EIO_LOG_ERROR, "tls: cannot create a context: %s", reason());
    } else if (SSL_CTX_use_certificate_chain_file(tls, cert_file) != 1) {
        eio_log(EIO_LOG_ERROR, "tls: cannot use the certificate %s: %s", cert_file, reason());
    } else if (SSL_CTX_use_PrivateKey_file(tls, key_file, SSL_FILETYPE_PEM) != 1) {
        eio_log(EIO_LOG_ERROR, "tls: cannot use the key %s: %s", key_file, reason());
    } else if (SSL_CTX_check_private_key(tls) != 1) {
        eio_log(EIO_LOG_ERROR, "tls: the key %s does not match the certificate %s", key_file, cert_file);
    } else if (eio__tls_set_tickets(tls, options->tls_ticket_key_file, options->tls_ticket_secret) == 0) {
        return tls;
    }
    ERR_clear_error(); /* else the next connection's error would be this one */
    SSL_CTX_free(tls);
    return NULL;
}

void eio__tls_shutdown(struct bufferevent *bev)
{
    SSL_shutdown(bufferevent_openssl_get_ssl(bev));
    ERR_clear_error();
    shutdown(bufferevent_getfd(bev), SHUT_WR);
}

static void answer_plain_http(int fd)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 33\r\n"
                               "Connection: close\r\n\r\nThis port speaks HTTPS, not HTTP\n";
    char rest[16384];
    (void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    (void)!recv(fd, rest, sizeof rest, 0); /* closing with bytes unread would take the answer back */
}

void eio__tls_count_error(struct eio_http *http, unsigned long error)
{
    http->stats.tls_errors++;
    if (!eio_log_wants(EIO_LOG_DEBUG)) return;
    const char *text = ERR_reason_error_string(error);
    eio_log(EIO_LOG_DEBUG, "tls: connection failed: %s", text ? text : "unknown error");
}

void eio__tls_on_error(struct eio_http *http, struct bufferevent *bev)
{
    unsigned long error = bufferevent_get_openssl_error(bev);
    if (!error) return; /* the socket's */
    eio__tls_count_error(http, error);
    if (ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST) answer_plain_http(bufferevent_getfd(bev));
}
