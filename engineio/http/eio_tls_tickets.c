/* The keys of TLS session tickets. Who has them resumes what another process with the same keys began: workers
 * share theirs by the secret that they have in common, nodes by a file. Without either, OpenSSL makes keys for one
 * context. */
#include "eio_http_conn.h"

#include "base_str.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <string.h>

enum { NAME_BYTES = 16, CIPHER_BYTES = 32, MAC_BYTES = 32, KEY_CHARS = 2 * EIO_TLS_TICKET_KEY_BYTES, KEYS_MAX = 8 };

struct key {
    uint8_t name[NAME_BYTES], cipher[CIPHER_BYTES], mac[MAC_BYTES];
};
_Static_assert(sizeof(struct key) == EIO_TLS_TICKET_KEY_BYTES, "as it stands in the file");
/* Of a context. The first encrypts; tickets of the others are still accepted, and replaced. */
struct keys {
    size_t count;
    struct key list[KEYS_MAX];
};

/* --------------------------------------------------------------------- reading */

/* What is wrong with the line, or NULL. */
static const char *read_line(struct keys *keys, const char *p, size_t n)
{
    base_str_trim(&p, &n);
    if (n == 0 || *p == '#') return NULL;
    if (keys->count == KEYS_MAX) return "more than 8 keys";
    if (n != KEY_CHARS) return "a key is 160 hexadecimal digits";
    uint8_t *out = (uint8_t *)&keys->list[keys->count++];
    for (size_t i = 0; i < n; i++) {
        int digit = base_hex_value(p[i]);
        if (digit < 0) return "a key is 160 hexadecimal digits";
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
    return NULL;
}

static const char *read_lines(struct keys *keys, FILE *file)
{
    char line[2 * KEY_CHARS];
    const char *why = NULL;
    while (!why && fgets(line, sizeof line, file)) why = read_line(keys, line, strcspn(line, "\r\n"));
    sodium_memzero(line, sizeof line);
    if (!why && ferror(file)) why = strerror(errno);
    return why ? why : keys->count ? NULL : "it has no key";
}

/* What is wrong with the file, or NULL. */
static const char *read_file(struct keys *keys, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) return strerror(errno);
    setvbuf(file, NULL, _IONBF, 0); /* no copy of the keys stays in a buffer */
    const char *why = read_lines(keys, file);
    fclose(file);
    return why;
}

bool eio_tls_ticket_keys_are_valid(const char *path)
{
    struct keys keys = {0};
    bool is_valid = !read_file(&keys, path);
    sodium_memzero(&keys, sizeof keys);
    return is_valid;
}

static void derive(struct keys *keys, const uint8_t secret[EIO_TLS_TICKET_SECRET_BYTES])
{
    uint8_t seed[randombytes_SEEDBYTES];
    static const char purpose[] = "keys of TLS session tickets";
    crypto_generichash(seed, sizeof seed, (const uint8_t *)purpose, sizeof purpose, secret,
                       EIO_TLS_TICKET_SECRET_BYTES);
    randombytes_buf_deterministic(keys->list, sizeof keys->list[0], seed);
    sodium_memzero(seed, sizeof seed);
    keys->count = 1;
}

/* ----------------------------------------------------------------------- using */

static void free_keys(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (p) sodium_memzero(p, sizeof(struct keys));
    free(p);
}

static int place_in_context(void)
{
    static int index = -1;
    if (index < 0) index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_keys);
    return index;
}

static int set_mac(EVP_MAC_CTX *mac, struct key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params);
}

/* Of OpenSSL's answers: -1 failure, 0 an unknown key, so that the handshake is a whole one, 1 done, 2 done, and the
 * client is given a new ticket. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypts)
{
    struct keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), place_in_context());
    size_t i = 0;
    if (encrypts) {
        memcpy(name, keys->list[0].name, NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    } else {
        while (i < keys->count && memcmp(keys->list[i].name, name, NAME_BYTES) != 0) i++;
        if (i == keys->count) return 0;
    }
    struct key *key = &keys->list[i];
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypts) != 1) return -1;
    if (set_mac(mac, key) != 1) return -1;
    return i == 0 ? 1 : 2;
}

int eio__tls_set_tickets(SSL_CTX *tls, const char *path, const uint8_t *secret)
{
    if (!path && !secret) return 0;
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys) return EIO_ENOMEM;
    const char *why = path ? read_file(keys, path) : NULL;
    if (!path) derive(keys, secret);
    if (why) eio_log(EIO_LOG_ERROR, "tls: cannot use the ticket keys in %s: %s", path, why);
    if (why || SSL_CTX_set_ex_data(tls, place_in_context(), keys) != 1) {
        free_keys(NULL, keys, NULL, 0, 0, NULL);
        return EIO_EINVAL;
    }
    SSL_CTX_set_tlsext_ticket_key_evp_cb(tls, on_ticket);
    return 0;
}
