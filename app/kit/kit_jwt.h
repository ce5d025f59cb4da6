/* JSON Web Tokens (RFC 7519): HS256 and EdDSA (Ed25519, RFC 8037). Each key has its algorithm, whatever a token
 * says. No I/O but kit_jwt_load(). */
#ifndef KIT_JWT_H
#define KIT_JWT_H

#include "kit_config.h"

#include <jansson.h>

#define KIT_JWT_KEY_MAX 1024
#define KIT_JWT_TOKEN_MAX 8192 /* bytes; a longer token is refused unread */

#define KIT_JWT_TIME_MAX 9007199254740991 /* 2^53-1, either way from 1970: a token with other times is refused */

#define KIT_JWT_KID_SIZE 128 /* a key's name with its terminator */

/* A key and the one algorithm that it is for. */
struct kit_jwt_key {
    char kid[KIT_JWT_KID_SIZE];
    enum kit_jwt_algorithm algorithm;
    uint8_t key[KIT_JWT_KEY_MAX];
    size_t key_size;
};

struct kit_jwt {
    /* The own key, for tokens without a kid, or with an unknown one. */
    enum kit_jwt_algorithm algorithm;
    uint8_t key[KIT_JWT_KEY_MAX]; /* HS256: the secret; EdDSA: the public key */
    size_t key_size;
    uint8_t private_key[64]; /* EdDSA: what signs, if has_private_key */
    bool has_private_key;
    struct kit_jwt_key *keys; /* of jwt_keys */
    size_t key_count;
    /* More keys by their kid; NULL if absent. */
    const struct kit_jwt_key *(*find_key)(void *ctx, const char *kid);
    void *find_ctx;
    uint64_t keys_changed; /* how often those have: what was checked with the former ones is to be checked again */
    const char *issuer, *audience; /* NULL: any; borrowed from the configuration */
    uint32_t leeway_s;
};

/* Takes the key from the configuration; where none is named, makes a development key in the data directory (mode 0600)
 * or, with ":memory:", for this process. Returns 0 or EIO_EINVAL with a line in error. *is_development tells. */
int kit_jwt_load(struct kit_jwt *jwt, const struct kit_config *config, bool *is_development, char *error,
                 size_t error_size);
void kit_jwt_clear(struct kit_jwt *jwt);
/* Fills in the own EdDSA key from PEM (SubjectPublicKeyInfo, or PKCS #8, which can sign) or base64url text of a public
 * one. */
int kit_jwt_set_public_key(struct kit_jwt *jwt, const char *text, size_t size);
/* Fills in the key of a JSON Web Key (RFC 7517): Ed25519 alone. EIO_EINVAL: it is another. */
int kit_jwt_read_jwk(struct kit_jwt_key *key, const json_t *jwk);
/* The kid of a token's header, unchecked; "" if it has none. */
void kit_jwt_read_kid(struct eio_str token, char kid[KIT_JWT_KID_SIZE]);
/* The key of that name besides the own, or NULL. */
const struct kit_jwt_key *kit_jwt_find_key(const struct kit_jwt *jwt, const char *kid);

/* Checks a token. Returns its claims (the caller's, json_decref) or NULL with an English reason in *why, which does not
 * help an attacker. unix_s: the time. A token without exp is refused. */
json_t *kit_jwt_verify(const struct kit_jwt *jwt, struct eio_str token, int64_t unix_s, const char **why);
/* False: the own key is a public one. */
bool kit_jwt_can_sign(const struct kit_jwt *jwt);
/* A token for these claims (malloc), or NULL. */
char *kit_jwt_sign(const struct kit_jwt *jwt, const json_t *claims);

#endif
