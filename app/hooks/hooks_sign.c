/* Signatures by Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature; HMAC-SHA256 over the bytes of the
 * body as they are sent. While a secret is replaced there are two, and a message has a signature by each. */
#include "hooks_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_PREFIX "whsec_"
#define KEY_BYTES_MIN 16
#define KEY_BYTES_MAX 256
#define SIGNATURE_SIZE 64 /* "v1,", base64 of 32 bytes, a terminator */

/* The key of the first secret of the list, which goes on behind it. Returns its size; 0: it is malformed. */
static size_t next_key(const char **secrets, unsigned char key[KEY_BYTES_MAX])
{
    size_t n = strcspn(*secrets, ","), prefix = strlen(SECRET_PREFIX), size = 0;
    const char *secret = *secrets;
    *secrets += n + (secret[n] == ',');
    if (n <= prefix || strncmp(secret, SECRET_PREFIX, prefix)) return 0;
    return sodium_base642bin(key, KEY_BYTES_MAX, secret + prefix, n - prefix, NULL, &size, NULL,
                             sodium_base64_VARIANT_ORIGINAL)
               ? 0
               : size;
}

const char *hooks_check_secrets(const char *secrets)
{
    unsigned char key[KEY_BYTES_MAX];
    bool is_good = !kit_list_has_gap(secrets);
    while (*secrets && is_good) is_good = next_key(&secrets, key) >= KEY_BYTES_MIN;
    return is_good ? NULL : "`whsec_` and the base64 of at least 16 bytes; several with commas between";
}

static void sign(const unsigned char *key, size_t size, const char *id, const char *at, struct eio_str body,
                 char text[SIGNATURE_SIZE])
{
    unsigned char own[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, size);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)id, strlen(id));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)at, strlen(at));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.p, body.n);
    crypto_auth_hmacsha256_final(&state, own);
    memcpy(text, "v1,", 3);
    sodium_bin2base64(text + 3, SIGNATURE_SIZE - 3, own, sizeof own, sodium_base64_VARIANT_ORIGINAL);
}

char *hooks_sign(const char *secrets, const char *id, int64_t at_s, struct eio_str body)
{
    size_t count = 1, n = 0;
    for (const char *p = secrets; *p; p++) count += *p == ',';
    char *all = malloc(count * (SIGNATURE_SIZE + 1));
    if (!all) return NULL;
    all[0] = 0;
    while (*secrets) {
        unsigned char key[KEY_BYTES_MAX];
        char one[SIGNATURE_SIZE];
        size_t size = next_key(&secrets, key);
        sign(key, size, id, kit_number(at_s).text, body, one);
        n += (size_t)snprintf(all + n, SIGNATURE_SIZE + 1, "%s%s", n ? " " : "", one);
    }
    return all;
}

/* ----------------------------------------------------------------- checking */

static bool copy_field(const struct eio_http_head *head, const char *name, char *out, size_t size)
{
    struct eio_str value = eio_http_head_field(head, name);
    if (!value.n || value.n >= size) return false;
    memcpy(out, value.p, value.n);
    out[value.n] = 0;
    return true;
}

/* True if one of the signatures, which are separated by blanks, is this one; compared in constant time. */
static bool is_among(const char *signatures, const char *own)
{
    bool found = false;
    while (*signatures) {
        size_t n = strcspn(signatures, " ");
        found |= n == strlen(own) && !sodium_memcmp(signatures, own, n);
        signatures += n + strspn(signatures + n, " ");
    }
    return found;
}

int hooks_check_signature(const char *secrets, const struct eio_http_head *head, struct eio_str body, int64_t now_ms,
                          char id[HOOKS_ID_SIZE], struct kit_failure *failure)
{
    char at[24], signatures[1024];
    bool fits = false;
    if (!*secrets) return kit_fail(failure, 401, NULL, "a token of the role service is required");
    if (!copy_field(head, "webhook-id", id, HOOKS_ID_SIZE) || !copy_field(head, "webhook-timestamp", at, sizeof at) ||
        !copy_field(head, "webhook-signature", signatures, sizeof signatures))
        return kit_fail(failure, 401, NULL, "a token or the fields of Standard Webhooks are required");
    while (*secrets) {
        unsigned char key[KEY_BYTES_MAX];
        char own[SIGNATURE_SIZE];
        size_t size = next_key(&secrets, key);
        sign(key, size, id, at, body, own);
        fits |= is_among(signatures, own);
    }
    if (!fits) return kit_fail(failure, 401, NULL, "the signature does not fit");
    int64_t now_s = now_ms / 1000, at_s;
    if (!kit_text_int64(eio_str(at), now_s - HOOKS_WINDOW_S, now_s + HOOKS_WINDOW_S, &at_s))
        return kit_fail(failure, 401, NULL, "webhook-timestamp is more than five minutes away");
    return 0;
}
