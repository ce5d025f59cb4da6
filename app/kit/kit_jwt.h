/* JSON Web Tokens (RFC 7519): HS256 and EdDSA (Ed25519, RFC 8037). The algorithm comes from the configuration, never
 * from the token. No I/O but kit_jwt_load(). */
#ifndef KIT_JWT_H
#define KIT_JWT_H

#include "kit_config.h"

#include <jansson.h>

#define KIT_JWT_KEY_MAX 1024
#define KIT_JWT_TOKEN_MAX 8192 /* bytes; a longer token is refused unread */

#define KIT_JWT_TIME_MAX 9007199254740991 /* 2^53-1, either way from 1970: a token with other times is refused */

struct kit_jwt {
    enum kit_jwt_algorithm algorithm;
    uint8_t key[KIT_JWT_KEY_MAX]; /* HS256: the secret; EdDSA: the public key */
    size_t key_size;
    const char *issuer, *audience; /* NULL: any; borrowed from the configuration */
    uint32_t leeway_s;
};

/* Takes the key from the configuration; where none is named, makes a development key in the data directory (mode 0600)
 * or, with ":memory:", for this process. Returns 0 or EIO_EINVAL with a line in error. *is_development tells. */
int kit_jwt_load(struct kit_jwt *jwt, const struct kit_config *config, bool *is_development, char *error,
                 size_t error_size);
/* Fills in an EdDSA public key from PEM (SubjectPublicKeyInfo) or base64url text. */
int kit_jwt_set_public_key(struct kit_jwt *jwt, const char *text, size_t size);

/* Checks a token. Returns its claims (the caller's, json_decref) or NULL with an English reason in *why, which says
 * nothing that helps an attacker. unix_s: the time. A token without exp is refused. */
json_t *kit_jwt_verify(const struct kit_jwt *jwt, struct eio_str token, int64_t unix_s, const char **why);
bool kit_jwt_can_sign(const struct kit_jwt *jwt);
/* HS256 only: a token for these claims (malloc), or NULL. */
char *kit_jwt_sign(const struct kit_jwt *jwt, const json_t *claims);

#endif
