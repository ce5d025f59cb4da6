/* Token checks in the order that gives nothing away: form, algorithm, signature, and only then the claims. */
#include "kit_jwt.h"

#include "kit_schema.h"
#include "kit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNATURE_MAX 64
#define DEVELOPMENT_KEY_FILE "dev-jwt.key"
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* Strict base64url without padding. libsodium refuses padding, foreign characters and non-zero trailing bits. */
static bool decode_base64url(struct eio_str text, uint8_t *out, size_t out_size, size_t *size)
{
    const char *end;
    if (!text.n) return false;
    if (sodium_base642bin(out, out_size, text.p, text.n, NULL, size, &end, BASE64)) return false;
    return end == text.p + text.n;
}

/* ------------------------------------------------------------------ keys */

/* The DER between the lines of a PEM with that label. Returns its size, or 0. */
static size_t read_pem(struct eio_str text, const char *label, uint8_t *der, size_t der_size)
{
    char begin[64];
    const char *end;
    size_t n = 0;
    int size = snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
    const char *first = memmem(text.p, text.n, begin, (size_t)size);
    if (!first) return 0;
    const char *body = first + size;
    const char *stop = memmem(body, (size_t)(text.p + text.n - body), "-----END", 8);
    if (!stop || sodium_base642bin(der, der_size, body, (size_t)(stop - body), "\r\n ", &n, &end,
                                   sodium_base64_VARIANT_ORIGINAL))
        return 0;
    return n;
}

/* An Ed25519 key in PEM: public 32 bytes; private_key is filled in if it is one. */
static int read_ed25519_pem(struct eio_str text, uint8_t public_key[crypto_sign_PUBLICKEYBYTES],
                            uint8_t private_key[crypto_sign_SECRETKEYBYTES], bool *is_private)
{
    /* RFC 8410: the DER of a SubjectPublicKeyInfo, and of a PrivateKeyInfo, is this and the 32 bytes. */
    static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    static const uint8_t private_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                             0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    uint8_t der[sizeof private_prefix + crypto_sign_SEEDBYTES + 1];
    size_t n = read_pem(text, "PUBLIC KEY", der, sizeof der);
    *is_private = false;
    if (n == sizeof public_prefix + crypto_sign_PUBLICKEYBYTES && !memcmp(der, public_prefix, sizeof public_prefix)) {
        memcpy(public_key, der + sizeof public_prefix, crypto_sign_PUBLICKEYBYTES);
        return 0;
    }
    n = read_pem(text, "PRIVATE KEY", der, sizeof der);
    *is_private =
        n == sizeof private_prefix + crypto_sign_SEEDBYTES && !memcmp(der, private_prefix, sizeof private_prefix);
    if (*is_private) crypto_sign_seed_keypair(public_key, private_key, der + sizeof private_prefix);
    sodium_memzero(der, sizeof der);
    return *is_private ? 0 : EIO_EINVAL;
}

int kit_jwt_set_public_key(struct kit_jwt *jwt, const char *text, size_t size)
{
    size_t n;
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r' || text[size - 1] == ' ')) size--;
    struct eio_str s = {text, size};
    if (size && memmem(text, size, "-----BEGIN", 10)) {
        if (read_ed25519_pem(s, jwt->key, jwt->private_key, &jwt->has_private_key)) return EIO_EINVAL;
    } else if (!decode_base64url(s, jwt->key, crypto_sign_PUBLICKEYBYTES, &n) || n != crypto_sign_PUBLICKEYBYTES) {
        return EIO_EINVAL;
    }
    jwt->key_size = crypto_sign_PUBLICKEYBYTES;
    return 0;
}

static bool text_is(const json_t *object, const char *name, const char *wanted, bool may_miss)
{
    const json_t *value = json_object_get(object, name);
    return value ? json_is_string(value) && !strcmp(json_string_value(value), wanted) : may_miss;
}

int kit_jwt_read_jwk(struct kit_jwt_key *key, const json_t *jwk)
{
    const json_t *kid = json_object_get(jwk, "kid"), *x = json_object_get(jwk, "x");
    size_t n, size = json_string_length(kid);
    if (!text_is(jwk, "kty", "OKP", false) || !text_is(jwk, "crv", "Ed25519", false)) return EIO_EINVAL;
    if (!text_is(jwk, "use", "sig", true) || !text_is(jwk, "alg", "EdDSA", true)) return EIO_EINVAL;
    if (!size || size >= sizeof key->kid || strlen(json_string_value(kid)) != size || !json_is_string(x))
        return EIO_EINVAL;
    *key = (struct kit_jwt_key){.algorithm = KIT_JWT_EDDSA, .key_size = crypto_sign_PUBLICKEYBYTES};
    memcpy(key->kid, json_string_value(kid), size);
    struct eio_str text = {json_string_value(x), json_string_length(x)};
    return decode_base64url(text, key->key, crypto_sign_PUBLICKEYBYTES, &n) && n == crypto_sign_PUBLICKEYBYTES
               ? 0
               : EIO_EINVAL;
}

/* Reads at most max bytes; returns the size or -1. */
static ssize_t read_file(const char *path, uint8_t *out, size_t max)
{
    size_t n;
    char *text = kit_file_read(path, KIT_FILE_ANY, max, &n);
    if (!text) return errno == EFBIG ? (ssize_t)max : -1;
    memcpy(out, text, n);
    sodium_memzero(text, n);
    free(text);
    return (ssize_t)n;
}

/* path: jwt_key_file, or the development key in data. */
static int load_key_file(struct kit_jwt *jwt, const struct kit_config *config, const char *path, char *error,
                         size_t error_size)
{
    const char *option = config->jwt_key_file[0] ? "jwt_key_file" : "data";
    char allowed[160];
    uint8_t text[KIT_JWT_KEY_MAX];
    ssize_t n = read_file(path, text, sizeof text);
    if (n < 0) {
        snprintf(allowed, sizeof allowed, "a readable key: %s", kit_file_error());
        return kit_config_refuse(config, option, allowed, error, error_size);
    }
    if (n == sizeof text) {
        snprintf(allowed, sizeof allowed, "a key of less than %zu bytes", sizeof text);
        return kit_config_refuse(config, option, allowed, error, error_size);
    }
    if (jwt->algorithm == KIT_JWT_EDDSA) {
        if (!kit_jwt_set_public_key(jwt, (const char *)text, (size_t)n)) return 0;
        return kit_config_refuse(config, option, "an Ed25519 public key, PEM or base64url", error, error_size);
    }
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    if (n < 32) {
        snprintf(allowed, sizeof allowed, "a key of at least 32 bytes, RFC 7518 3.2; this one has %zd", n);
        return kit_config_refuse(config, option, allowed, error, error_size);
    }
    memcpy(jwt->key, text, (size_t)n);
    jwt->key_size = (size_t)n;
    sodium_memzero(text, sizeof text);
    return 0;
}

/* "kid=file": a PEM is an Ed25519 key, anything else a secret. Returns what is allowed instead, or NULL. */
static const char *load_named_key(struct kit_jwt_key *key, const char *text)
{
    const char *equals = strchr(text, '=');
    uint8_t bytes[KIT_JWT_KEY_MAX], private_key[crypto_sign_SECRETKEYBYTES];
    bool is_private;
    size_t size = equals ? (size_t)(equals - text) : 0;
    if (!size || size >= sizeof key->kid) return "name=file, separated by commas";
    ssize_t n = read_file(equals + 1, bytes, sizeof bytes);
    if (n < 0) return "name=file, separated by commas, each a readable file";
    *key = (struct kit_jwt_key){.algorithm = KIT_JWT_HS256};
    memcpy(key->kid, text, size);
    struct eio_str content = {(const char *)bytes, (size_t)n};
    if (n && memmem(bytes, (size_t)n, "-----BEGIN", 10)) {
        key->algorithm = KIT_JWT_EDDSA;
        key->key_size = crypto_sign_PUBLICKEYBYTES;
        int failed = read_ed25519_pem(content, key->key, private_key, &is_private);
        sodium_memzero(private_key, sizeof private_key);
        return failed ? "name=file, separated by commas, each an Ed25519 key in PEM or a secret" : NULL;
    }
    while (n && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r')) n--;
    if (n < 32) return "name=file, separated by commas; a secret has at least 32 bytes, RFC 7518 3.2";
    memcpy(key->key, bytes, (size_t)n);
    key->key_size = (size_t)n;
    sodium_memzero(bytes, sizeof bytes);
    return NULL;
}

static int load_named_keys(struct kit_jwt *jwt, const struct kit_config *config, char *error, size_t error_size)
{
    const char *allowed = NULL;
    size_t count = 1;
    if (!config->jwt_keys[0]) return 0;
    char *list = strdup(config->jwt_keys), *rest = list, *one;
    for (const char *c = config->jwt_keys; *c; c++) count += *c == ',';
    jwt->keys = list ? calloc(count, sizeof *jwt->keys) : NULL;
    if (!jwt->keys) {
        free(list);
        snprintf(error, error_size, "out of memory");
        return EIO_ENOMEM;
    }
    while (!allowed && (one = strsep(&rest, ","))) {
        if (!*one) continue;
        allowed = load_named_key(&jwt->keys[jwt->key_count], one);
        for (size_t i = 0; i < jwt->key_count && !allowed; i++)
            if (!strcmp(jwt->keys[i].kid, jwt->keys[jwt->key_count].kid))
                allowed = "name=file, separated by commas, each name once";
        if (!allowed) jwt->key_count++;
    }
    free(list);
    return allowed ? kit_config_refuse(config, "jwt_keys", allowed, error, error_size) : 0;
}

/* 32 random bytes as hexadecimal text, so that other tools can use the file as their secret. */
static void make_key(struct kit_jwt *jwt)
{
    uint8_t random[32];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex((char *)jwt->key, sizeof jwt->key, random, sizeof random);
    jwt->key_size = 64;
    sodium_memzero(random, sizeof random);
}

static int load_development_key(struct kit_jwt *jwt, const struct kit_config *config, char *error, size_t error_size)
{
    char path[1200];
    if (!strcmp(config->data, ":memory:")) {
        make_key(jwt);
        return 0;
    }
    if ((size_t)snprintf(path, sizeof path, "%s/%s", config->data, DEVELOPMENT_KEY_FILE) >= sizeof path)
        return EIO_EINVAL;
    /* O_EXCL: of two programs that start at once one makes the key, the other reads it. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return load_key_file(jwt, config, path, error, error_size);
    if (fd >= 0) {
        make_key(jwt);
        bool written = write(fd, jwt->key, jwt->key_size) == (ssize_t)jwt->key_size && !fsync(fd);
        if (!close(fd) && written) return 0;
        unlink(path);
    }
    snprintf(error, error_size, "option data: cannot make the development key '%s': %s", path, strerror(errno));
    return EIO_EINVAL;
}

int kit_jwt_load(struct kit_jwt *jwt, const struct kit_config *config, bool *is_development, char *error,
                 size_t error_size)
{
    memset(jwt, 0, sizeof *jwt);
    *is_development = false;
    if (sodium_init() < 0) {
        snprintf(error, error_size, "libsodium cannot start");
        return EIO_EINVAL;
    }
    jwt->algorithm = (enum kit_jwt_algorithm)config->jwt_algorithm;
    jwt->issuer = config->jwt_issuer[0] ? config->jwt_issuer : NULL;
    jwt->audience = config->jwt_audience[0] ? config->jwt_audience : NULL;
    jwt->leeway_s = config->jwt_leeway_s;
    int failed = load_named_keys(jwt, config, error, error_size);
    if (failed) return failed;
    if (config->jwt_key_file[0]) return load_key_file(jwt, config, config->jwt_key_file, error, error_size);
    jwt->key_size = strlen(config->jwt_secret);
    if (jwt->key_size > sizeof jwt->key) {
        snprintf(error, error_size, "option jwt_secret: %zu bytes (allowed: 32 to %zu)", jwt->key_size,
                 sizeof jwt->key);
        return EIO_EINVAL;
    }
    memcpy(jwt->key, config->jwt_secret, jwt->key_size);
    if (jwt->key_size) return 0;
    *is_development = true;
    return load_development_key(jwt, config, error, error_size);
}

void kit_jwt_clear(struct kit_jwt *jwt)
{
    free(jwt->keys);
    sodium_memzero(jwt, sizeof *jwt);
}

/* ---------------------------------------------------------------- verify */

/* What a token says of itself, before anything is checked. */
struct header {
    enum kit_jwt_algorithm algorithm;
    char kid[KIT_JWT_KID_SIZE]; /* "": none */
};

/* False if it is malformed, or asks for what is not supported. */
static bool read_header(struct eio_str part, struct header *out)
{
    uint8_t text[1024];
    size_t n;
    if (!decode_base64url(part, text, sizeof text, &n)) return false;
    json_t *header = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const char *kid = json_string_value(json_object_get(header, "kid"));
    bool is_eddsa = alg && !strcmp(alg, "EdDSA"), is_hs256 = alg && !strcmp(alg, "HS256");
    out->algorithm = is_eddsa ? KIT_JWT_EDDSA : KIT_JWT_HS256;
    bool fits = snprintf(out->kid, sizeof out->kid, "%s", kid ? kid : "") < (int)sizeof out->kid;
    if (!fits) out->kid[0] = 0;
    /* RFC 7515 4.1.11: an extension marked critical that is not understood makes the token invalid. */
    bool is_possible = (is_eddsa || is_hs256) && !json_object_get(header, "crit");
    json_decref(header);
    return is_possible;
}

void kit_jwt_read_kid(struct eio_str token, char kid[KIT_JWT_KID_SIZE])
{
    struct header header = {.kid = ""};
    const char *end = token.n <= KIT_JWT_TOKEN_MAX ? memchr(token.p, '.', token.n) : NULL;
    if (end) read_header((struct eio_str){token.p, (size_t)(end - token.p)}, &header);
    memcpy(kid, header.kid, sizeof header.kid);
}

const struct kit_jwt_key *kit_jwt_find_key(const struct kit_jwt *jwt, const char *kid)
{
    for (size_t i = 0; i < jwt->key_count; i++)
        if (!strcmp(jwt->keys[i].kid, kid)) return &jwt->keys[i];
    return jwt->find_key ? jwt->find_key(jwt->find_ctx, kid) : NULL;
}

static void make_mac(const uint8_t *key, size_t key_size, struct eio_str text,
                     uint8_t out[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, out);
}

/* By the key that the header names, or the own; it is used with its own algorithm alone. */
static bool signature_holds(const struct kit_jwt *jwt, const struct header *header, struct eio_str text,
                            struct eio_str part)
{
    uint8_t signature[SIGNATURE_MAX], own[crypto_auth_hmacsha256_BYTES];
    const struct kit_jwt_key *named = header->kid[0] ? kit_jwt_find_key(jwt, header->kid) : NULL;
    const uint8_t *key = named ? named->key : jwt->key;
    size_t n, key_size = named ? named->key_size : jwt->key_size;
    if (header->algorithm != (named ? named->algorithm : jwt->algorithm)) return false;
    if (!decode_base64url(part, signature, sizeof signature, &n)) return false;
    if (header->algorithm == KIT_JWT_EDDSA)
        return n == crypto_sign_BYTES && !crypto_sign_verify_detached(signature, (const uint8_t *)text.p, text.n, key);
    if (n != sizeof own) return false;
    make_mac(key, key_size, text, own);
    return !sodium_memcmp(own, signature, sizeof own);
}

/* A NumericDate (RFC 7519 section 2), whose fraction is left away; absent: *out stays as it is. */
static bool date_claim(const json_t *claims, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(claims, name);
    return !value || kit_json_int64(value, -KIT_JWT_TIME_MAX, KIT_JWT_TIME_MAX, out);
}

static bool audience_holds(const json_t *aud, const char *wanted)
{
    size_t i;
    json_t *one;
    if (json_is_string(aud)) return !strcmp(json_string_value(aud), wanted);
    json_array_foreach(aud, i, one) if (json_is_string(one) && !strcmp(json_string_value(one), wanted)) return true;
    return false;
}

static const char *claims_fault(const struct kit_jwt *jwt, const json_t *claims, int64_t unix_s)
{
    const int64_t leeway = jwt->leeway_s, missing = INT64_MIN;
    int64_t exp = missing, nbf = missing, iat;
    if (!json_is_object(claims)) return "the token's claims are not an object";
    if (!date_claim(claims, "exp", &exp) || !date_claim(claims, "nbf", &nbf) || !date_claim(claims, "iat", &iat))
        return "the token's exp, nbf or iat is invalid";
    if (exp == missing) return "the token has no exp";
    /* RFC 7519 4.1.4: the current time must be before exp. */
    if (unix_s >= exp + leeway) return "the token has expired";
    if (nbf != missing && unix_s + leeway < nbf) return "the token is not valid yet";
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    if (jwt->issuer && (!iss || strcmp(iss, jwt->issuer))) return "the token's issuer is not accepted";
    if (jwt->audience && !audience_holds(json_object_get(claims, "aud"), jwt->audience))
        return "the token's audience is not accepted";
    return NULL;
}

json_t *kit_jwt_verify(const struct kit_jwt *jwt, struct eio_str token, int64_t unix_s, const char **why)
{
    uint8_t text[KIT_JWT_TOKEN_MAX];
    size_t n;
    *why = "invalid token";
    if (!token.n || token.n > KIT_JWT_TOKEN_MAX) return NULL;
    const char *first = memchr(token.p, '.', token.n);
    if (!first) return NULL;
    size_t rest = token.n - (size_t)(first + 1 - token.p);
    const char *second = memchr(first + 1, '.', rest);
    if (!second) return NULL;
    struct eio_str header = {token.p, (size_t)(first - token.p)};
    struct eio_str payload = {first + 1, (size_t)(second - first - 1)};
    struct eio_str signed_part = {token.p, (size_t)(second - token.p)};
    struct eio_str signature = {second + 1, (size_t)(token.p + token.n - second - 1)};
    struct header read;
    if (!read_header(header, &read) || !signature_holds(jwt, &read, signed_part, signature)) return NULL;
    if (!decode_base64url(payload, text, sizeof text, &n)) return NULL;
    json_t *claims = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
    const char *fault = claims_fault(jwt, claims, unix_s);
    if (!fault) return claims;
    *why = fault;
    json_decref(claims);
    return NULL;
}

/* ------------------------------------------------------------------ sign */

bool kit_jwt_can_sign(const struct kit_jwt *jwt)
{
    return jwt->algorithm == KIT_JWT_HS256 || jwt->has_private_key;
}

/* Returns the signature's size. */
static size_t sign_text(const struct kit_jwt *jwt, struct eio_str text, uint8_t signature[SIGNATURE_MAX])
{
    if (jwt->algorithm == KIT_JWT_HS256) {
        make_mac(jwt->key, jwt->key_size, text, signature);
        return crypto_auth_hmacsha256_BYTES;
    }
    crypto_sign_detached(signature, NULL, (const uint8_t *)text.p, text.n, jwt->private_key);
    return crypto_sign_BYTES;
}

char *kit_jwt_sign(const struct kit_jwt *jwt, const json_t *claims)
{
    const char *header =
        jwt->algorithm == KIT_JWT_HS256 ? "{\"alg\":\"HS256\",\"typ\":\"JWT\"}" : "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}";
    uint8_t signature[SIGNATURE_MAX];
    char *payload = kit_jwt_can_sign(jwt) ? json_dumps(claims, JSON_COMPACT) : NULL;
    if (!payload) return NULL;
    size_t payload_size = strlen(payload);
    size_t size = sodium_base64_ENCODED_LEN(strlen(header), BASE64) + sodium_base64_ENCODED_LEN(payload_size, BASE64) +
                  sodium_base64_ENCODED_LEN(sizeof signature, BASE64) + 2;
    char *token = size <= KIT_JWT_TOKEN_MAX ? calloc(1, size) : NULL;
    if (token) {
        sodium_bin2base64(token, size, (const uint8_t *)header, strlen(header), BASE64);
        size_t n = strlen(token);
        token[n++] = '.';
        sodium_bin2base64(token + n, size - n, (const uint8_t *)payload, payload_size, BASE64);
        n += strlen(token + n);
        size_t signature_size = sign_text(jwt, (struct eio_str){token, n}, signature);
        token[n++] = '.';
        sodium_bin2base64(token + n, size - n, signature, signature_size, BASE64);
    }
    free(payload);
    return token;
}
