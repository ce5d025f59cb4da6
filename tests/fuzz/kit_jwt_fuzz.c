/* Tokens: whatever the bytes, nothing but a token signed with the key holds, and that one only as it was signed. */
#include "kit_jwt.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

#define NOW 1700000000

static void must_not_hold(const struct kit_jwt *jwt, struct eio_str token)
{
    const char *why = NULL;
    json_t *claims = kit_jwt_verify(jwt, token, NOW, &why);
    MUST(!claims && why);
}

/* The input as claims, signed: they come back as they went, if they are good at all. */
static void round_trip(const struct kit_jwt *jwt, const uint8_t *data, size_t size)
{
    const char *why;
    json_t *claims = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    char *token = json_is_object(claims) ? kit_jwt_sign(jwt, claims) : NULL;
    if (token) {
        json_t *verified = kit_jwt_verify(jwt, eio_str(token), NOW, &why);
        MUST(!verified || json_equal(verified, claims));
        json_decref(verified);
        token[strlen(token) / 2] ^= 1;
        must_not_hold(jwt, eio_str(token));
    }
    free(token);
    json_decref(claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit_jwt hs, ed;
    struct eio_str token = {(const char *)data, size};
    if (!hs.key_size) {
        MUST(sodium_init() >= 0);
        hs.algorithm = KIT_JWT_HS256;
        hs.key_size = 32;
        randombytes_buf(hs.key, 32);
        ed.algorithm = KIT_JWT_EDDSA;
        MUST(!kit_jwt_set_public_key(&ed, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", 43));
    }
    must_not_hold(&hs, token);
    must_not_hold(&ed, token);
    round_trip(&hs, data, size);
    struct kit_jwt scratch = ed;
    kit_jwt_set_public_key(&scratch, token.p, token.n);
    return 0;
}
