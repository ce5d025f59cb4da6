/* Each vendor's own definition: Twilio, "Security"; Vonage, "Signed webhooks"; Sinch, "Callback request signing". */
#include "calls_vendor_sign.h"

#include "calls_int.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_PART_MAX 4096
#define KEY_MAX 256
#define HASH crypto_hash_sha256_BYTES
#define HEX_SIZE (2 * HASH + 1)

static bool is_same(struct eio_str given, const char *own)
{
    return given.n == strlen(own) && !sodium_memcmp(given.p, own, given.n);
}

/* ------------------------------------------------------------------ secrets */

/* The next KEY:SECRET of a list, which goes on behind it. False: it is malformed. */
static bool next_secret(const char **list, struct eio_str *key, struct eio_str *secret)
{
    size_t n = strcspn(*list, ",");
    const char *colon = memchr(*list, ':', n);
    if (!colon || colon == *list || colon + 1 == *list + n) return false;
    *key = (struct eio_str){*list, (size_t)(colon - *list)};
    *secret = (struct eio_str){colon + 1, (size_t)(*list + n - colon - 1)};
    *list += n + ((*list)[n] == ',');
    return true;
}

/* The bytes of a Base64 secret; 0: it is malformed. */
static size_t read_base64(struct eio_str secret, uint8_t key[KEY_MAX])
{
    size_t size = 0;
    const char *end = secret.p;
    if (sodium_base642bin(key, KEY_MAX, secret.p, secret.n, NULL, &size, &end, sodium_base64_VARIANT_ORIGINAL))
        return 0;
    return end == secret.p + secret.n ? size : 0;
}

static bool are_secrets(const char *list, bool is_base64)
{
    struct eio_str key, secret;
    uint8_t bytes[KEY_MAX];
    if (kit_list_has_gap(list)) return false;
    while (*list)
        if (!next_secret(&list, &key, &secret) || (is_base64 && !read_base64(secret, bytes))) return false;
    return true;
}

const char *calls_vendor_check_secrets(const char *secrets)
{
    return are_secrets(secrets, false) ? NULL : "`KEY:SECRET`; several with commas between";
}

const char *calls_vendor_check_base64_secrets(const char *secrets)
{
    return are_secrets(secrets, true) ? NULL : "`KEY:SECRET`, the secret in Base64; several with commas between";
}

/* False: the list has no such key. */
static bool find_secret(const char *list, struct eio_str wanted, struct eio_str *secret)
{
    struct eio_str key;
    while (*list && next_secret(&list, &key, secret))
        if (key.n == wanted.n && !memcmp(key.p, wanted.p, key.n)) return true;
    return false;
}

static void hash_hex(struct eio_str body, char hex[HEX_SIZE])
{
    uint8_t digest[HASH];
    crypto_hash_sha256(digest, (const uint8_t *)body.p, body.n);
    sodium_bin2hex(hex, HEX_SIZE, digest, sizeof digest);
}

/* Hexadecimal digits of either case. */
static bool is_hash(struct eio_str given, struct eio_str body)
{
    char hex[HEX_SIZE], own[HEX_SIZE];
    if (given.n != HEX_SIZE - 1) return false;
    for (size_t i = 0; i < given.n; i++)
        hex[i] = (char)(given.p[i] >= 'A' && given.p[i] <= 'F' ? given.p[i] + 32 : given.p[i]);
    hex[given.n] = 0;
    hash_hex(body, own);
    return is_same((struct eio_str){hex, given.n}, own);
}

/* ------------------------------------------------------------------- Twilio */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What is signed of a form: the URL, then name and value of each field by name (malloc); NULL: out of memory. */
static char *spell_form(const char *url, const json_t *form, size_t *size)
{
    size_t count = 0;
    const char *key;
    const json_t *value;
    const char **keys = malloc((json_object_size(form) + 1) * sizeof *keys);
    char *text = NULL;
    FILE *out = keys ? open_memstream(&text, size) : NULL;
    if (!out) goto fail;
    json_object_foreach((json_t *)(uintptr_t)form, key, value) keys[count++] = key;
    qsort(keys, count, sizeof *keys, compare_keys);
    fputs(url, out);
    for (size_t i = 0; i < count; i++) {
        value = json_object_get(form, keys[i]);
        fputs(keys[i], out);
        fwrite(json_string_value(value), 1, json_string_length(value), out);
    }
    if (fclose(out)) {
        free(text);
        text = NULL;
    }
fail:
    free(keys);
    return text;
}

/* The body's hash, where the URL has it. */
static bool has_body_hash(const char *url, struct eio_str body)
{
    const char *question = strchr(url, '?');
    struct eio_str query = eio_str(question ? question + 1 : ""), name, value;
    while (eio_query_next(&query, &name, &value))
        if (eio_str_is(name, "bodySHA256")) return is_hash(value, body);
    return false;
}

bool calls_vendor_signed_by_twilio(const char *token, const char *url, const json_t *form, struct eio_str body,
                                   struct eio_str signature)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    char own[64];
    size_t size = strlen(url);
    if (!form && !has_body_hash(url, body)) return false;
    char *text = form ? spell_form(url, form, &size) : NULL;
    const char *signed_text = form ? text : url;
    if (signed_text)
        HMAC(EVP_sha1(), token, (int)strlen(token), (const unsigned char *)signed_text, size, digest, &digest_size);
    free(text);
    if (!digest_size) return false;
    sodium_bin2base64(own, sizeof own, digest, digest_size, sodium_base64_VARIANT_ORIGINAL);
    return is_same(signature, own);
}

/* ------------------------------------------------------------------- Vonage */

/* A part of a token as a JSON object, or NULL. */
static json_t *read_part(struct eio_str part)
{
    char text[TOKEN_PART_MAX];
    const char *end = NULL;
    size_t n = 0;
    if (!part.n || sodium_base642bin((uint8_t *)text, sizeof text, part.p, part.n, NULL, &n, &end,
                                     sodium_base64_VARIANT_URLSAFE_NO_PADDING))
        return NULL;
    json_t *tree = end == part.p + part.n ? json_loadb(text, n, 0, NULL) : NULL;
    if (json_is_object(tree)) return tree;
    json_decref(tree);
    return NULL;
}

static struct eio_str text_of(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return (struct eio_str){json_is_string(text) ? json_string_value(text) : "", json_string_length(text)};
}

/* Three parts; the last one, the signature, is over the two before. */
static bool is_token_signed(struct eio_str token, const char *dot, struct eio_str secret)
{
    crypto_auth_hmacsha256_state state;
    uint8_t digest[crypto_auth_hmacsha256_BYTES];
    char own[64];
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret.p, secret.n);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)token.p, (size_t)(dot - token.p));
    crypto_auth_hmacsha256_final(&state, digest);
    sodium_bin2base64(own, sizeof own, digest, sizeof digest, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return is_same((struct eio_str){dot + 1, token.n - (size_t)(dot + 1 - token.p)}, own);
}

static const char *check_claims(const json_t *claims, struct eio_str body, int64_t now_ms)
{
    double at_ms = json_number_value(json_object_get(claims, "iat")) * 1000;
    if (!is_hash(text_of(claims, "payload_hash"), body)) return "the signature is of another body";
    if (!(at_ms > (double)now_ms - CALLS_VENDOR_WINDOW_MS) || !(at_ms < (double)now_ms + CALLS_VENDOR_WINDOW_MS))
        return "iat is more than five minutes away";
    return NULL;
}

const char *calls_vendor_check_vonage(const char *secrets, const struct eio_http_head *head, struct eio_str body,
                                      int64_t now_ms)
{
    struct eio_str token = eio_http_head_field(head, "authorization"), secret;
    const char *why = "the signature does not fit";
    if (token.n < 8 || strncasecmp(token.p, "bearer ", 7)) return "Vonage's token is missing";
    token = (struct eio_str){token.p + 7, token.n - 7};
    const char *first = memchr(token.p, '.', token.n);
    const char *second = first ? memchr(first + 1, '.', token.n - (size_t)(first + 1 - token.p)) : NULL;
    if (!second) return "Vonage's token is malformed";
    json_t *header = read_part((struct eio_str){token.p, (size_t)(first - token.p)});
    json_t *claims = read_part((struct eio_str){first + 1, (size_t)(second - first - 1)});
    bool is_known = eio_str_is(text_of(header, "alg"), "HS256") && claims &&
                    find_secret(secrets, text_of(claims, "api_key"), &secret);
    if (is_known && is_token_signed(token, second, secret)) why = check_claims(claims, body, now_ms);
    json_decref(header);
    json_decref(claims);
    return why;
}

/* -------------------------------------------------------------------- Sinch */

/* "application KEY:SIGNATURE"; some of its services write "service". */
static bool read_sinch(struct eio_str field, struct eio_str *key, struct eio_str *signature)
{
    const char *blank = field.n ? memchr(field.p, ' ', field.n) : NULL;
    size_t n = blank ? (size_t)(blank - field.p) : 0;
    bool is_scheme =
        (n == 11 && !strncasecmp(field.p, "application", n)) || (n == 7 && !strncasecmp(field.p, "service", n));
    const char *colon = is_scheme ? memchr(blank, ':', field.n - n) : NULL;
    if (!colon) return false;
    *key = (struct eio_str){blank + 1, (size_t)(colon - blank - 1)};
    *signature = (struct eio_str){colon + 1, field.n - (size_t)(colon + 1 - field.p)};
    return true;
}

static void sign_sinch(struct eio_str secret, const struct eio_http_head *head, struct eio_str body, char own[64])
{
    uint8_t key[KEY_MAX], md5[EVP_MAX_MD_SIZE], digest[crypto_auth_hmacsha256_BYTES];
    unsigned md5_size = 0;
    char hash[64];
    struct eio_str type = eio_http_head_field(head, "content-type"), at = eio_http_head_field(head, "x-timestamp");
    struct eio_str path = eio_http_head_path(head);
    crypto_auth_hmacsha256_state state;
    size_t key_size = read_base64(secret, key);
    if (!EVP_Digest(body.p, body.n, md5, &md5_size, EVP_md5(), NULL)) md5_size = 0;
    sodium_bin2base64(hash, sizeof hash, md5, md5_size, sodium_base64_VARIANT_ORIGINAL);
    const struct eio_str parts[] = {
        eio_str("POST\n"), eio_str(hash), eio_str("\n"), type, eio_str("\nx-timestamp:"), at, eio_str("\n"), path};
    crypto_auth_hmacsha256_init(&state, key, key_size);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        crypto_auth_hmacsha256_update(&state, (const uint8_t *)parts[i].p, parts[i].n);
    crypto_auth_hmacsha256_final(&state, digest);
    sodium_bin2base64(own, 64, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
}

const char *calls_vendor_check_sinch(const char *secrets, const struct eio_http_head *head, struct eio_str body,
                                     int64_t now_ms)
{
    struct eio_str at = eio_http_head_field(head, "x-timestamp"), key, signature, secret;
    char own[64], at_text[64];
    int64_t at_ms;
    if (!read_sinch(eio_http_head_field(head, "authorization"), &key, &signature))
        return "Sinch's signature is missing";
    if (!find_secret(secrets, key, &secret)) return "the signature does not fit";
    sign_sinch(secret, head, body, own);
    if (!is_same(signature, own)) return "the signature does not fit";
    snprintf(at_text, sizeof at_text, "%.*s", (int)(at.n < sizeof at_text ? at.n : 0), at.p);
    if (!kit_read_date_time(at_text, &at_ms) || llabs(now_ms - at_ms) > CALLS_VENDOR_WINDOW_MS)
        return "x-timestamp is more than five minutes away";
    return NULL;
}
