/* TLS to Redis: OpenSSL between the connection's bytes and its socket, which it does not know. What is encrypted has
 * been written as far as the connection is concerned, as if the kernel had taken it. */
#include "rooms_redis_conn.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

struct rooms__tls {
    SSL *ssl;
    BIO *in, *out; /* of the socket: bytes to be decrypted; bytes to be sent */
};

/* ----------------------------------------------------------------- context */

static bool trusts(SSL_CTX *context, const char *ca)
{
    return *ca ? SSL_CTX_load_verify_locations(context, ca, NULL) == 1 : SSL_CTX_set_default_verify_paths(context) == 1;
}

static bool has_certificate(SSL_CTX *context, const struct rooms_redis_options *options)
{
    const char *key = *options->tls_key ? options->tls_key : options->tls_cert;
    if (!*options->tls_cert) return true;
    return SSL_CTX_use_certificate_chain_file(context, options->tls_cert) == 1 &&
           SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
}

SSL_CTX *rooms__tls_context_new(const struct rooms_redis_options *options, const char **why)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    *why = "out of memory";
    if (!context) return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, options->tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    *why = NULL;
    if (options->tls_verify && !trusts(context, options->tls_ca))
        *why = "tls_ca cannot be read";
    else if (!has_certificate(context, options))
        *why = "tls_cert and tls_key cannot be read, or do not belong together";
    ERR_clear_error();
    if (!*why) return context;
    SSL_CTX_free(context);
    return NULL;
}

/* -------------------------------------------------------------- connection */

/* The name that the certificate must have: an address is not one of the kind that servers choose certificates by. */
static bool expect_name(SSL *ssl, const char *name, bool verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool is_address = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    ERR_clear_error();
    if (is_address) return true;
    if (SSL_set_tlsext_host_name(ssl, name) != 1) return false;
    return !verify || X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

struct rooms__tls *rooms__tls_new(SSL_CTX *context, const char *name, bool verify)
{
    struct rooms__tls *tls = calloc(1, sizeof *tls);
    if (!tls) return NULL;
    tls->ssl = SSL_new(context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out || !expect_name(tls->ssl, name, verify)) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        SSL_free(tls->ssl);
        free(tls);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_mem_eof_return(tls->in, -1); /* empty is not the end */
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_connect_state(tls->ssl);
    return tls;
}

void rooms__tls_free(struct rooms__tls *tls)
{
    if (!tls) return;
    SSL_free(tls->ssl); /* and its BIOs */
    free(tls);
}

static int failed(const struct rooms__tls *tls, const char **why)
{
    long verified = SSL_get_verify_result(tls->ssl);
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    *why = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : text ? text : "TLS failed";
    ERR_clear_error();
    return -1;
}

int rooms__tls_handshake(struct rooms__tls *tls, const char **why)
{
    int n = SSL_do_handshake(tls->ssl);
    if (n == 1) return 1;
    int error = SSL_get_error(tls->ssl, n);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : failed(tls, why);
}

bool rooms__tls_encrypt(struct rooms__tls *tls, struct rooms_bytes bytes)
{
    size_t written;
    bool is_good = bytes.n == 0 || SSL_write_ex(tls->ssl, bytes.p, bytes.n, &written) == 1;
    ERR_clear_error();
    return is_good;
}

struct rooms_bytes rooms__tls_unsent(struct rooms__tls *tls)
{
    char *p = NULL;
    long n = BIO_get_mem_data(tls->out, &p);
    return (struct rooms_bytes){(const uint8_t *)p, n > 0 ? (size_t)n : 0};
}

/* The data of a memory BIO is sent without being read; this forgets it. */
void rooms__tls_sent(struct rooms__tls *tls, size_t n)
{
    uint8_t scrap[4096];
    while (n > 0) {
        int took = BIO_read(tls->out, scrap, n < sizeof scrap ? (int)n : (int)sizeof scrap);
        if (took <= 0) return;
        n -= (size_t)took;
    }
}

bool rooms__tls_received(struct rooms__tls *tls, const uint8_t *p, size_t n)
{
    return BIO_write(tls->in, p, (int)n) == (int)n;
}

long rooms__tls_decrypt(struct rooms__tls *tls, uint8_t *out, size_t size, const char **why)
{
    size_t n;
    int result = SSL_read_ex(tls->ssl, out, size, &n);
    if (result == 1) return (long)n;
    int error = SSL_get_error(tls->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    if (error == SSL_ERROR_ZERO_RETURN) {
        *why = "Redis closed the connection";
        return -1;
    }
    return failed(tls, why);
}
