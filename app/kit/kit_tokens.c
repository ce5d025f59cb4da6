/* One place for each token, by its digest: no lists to be kept in order, and a token is found or replaced at once. */
#include "kit_tokens.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct known {
    uint8_t digest[KIT_TOKEN_DIGEST];
    struct kit_claims *claims; /* NULL: empty */
    uint64_t keys;
    int64_t from_s; /* when it was checked: a clock that was set back leaves nbf open */
};

struct kit_tokens {
    uint8_t key[crypto_generichash_KEYBYTES];
    size_t count;
    struct kit_tokens_stats stats;
    struct known list[];
};

struct kit_tokens *kit_tokens_new(size_t count)
{
    struct kit_tokens *tokens = count ? calloc(1, sizeof *tokens + count * sizeof tokens->list[0]) : NULL;
    if (!tokens) return NULL;
    tokens->count = count;
    randombytes_buf(tokens->key, sizeof tokens->key);
    return tokens;
}

void kit_tokens_free(struct kit_tokens *tokens)
{
    if (!tokens) return;
    for (size_t i = 0; i < tokens->count; i++) kit_claims_unref(tokens->list[i].claims);
    sodium_memzero(tokens->key, sizeof tokens->key);
    free(tokens);
}

static struct known *place_of(struct kit_tokens *tokens, const uint8_t digest[KIT_TOKEN_DIGEST])
{
    uint64_t number;
    memcpy(&number, digest, sizeof number);
    return &tokens->list[number % tokens->count];
}

struct kit_claims *kit_tokens_find(struct kit_tokens *tokens, struct eio_str token, uint64_t keys, int64_t unix_s,
                                   uint8_t digest[KIT_TOKEN_DIGEST])
{
    if (!tokens) return NULL;
    crypto_generichash(digest, KIT_TOKEN_DIGEST, (const uint8_t *)token.p, token.n, tokens->key, sizeof tokens->key);
    const struct known *known = place_of(tokens, digest);
    bool holds = known->claims && !sodium_memcmp(known->digest, digest, KIT_TOKEN_DIGEST) && known->keys == keys &&
                 unix_s >= known->from_s;
    tokens->stats.hits += holds;
    tokens->stats.misses += !holds;
    return holds ? kit_claims_ref(known->claims) : NULL;
}

void kit_tokens_keep(struct kit_tokens *tokens, const uint8_t digest[KIT_TOKEN_DIGEST], uint64_t keys, int64_t unix_s,
                     struct kit_claims *claims)
{
    if (!tokens) return;
    struct known *known = place_of(tokens, digest);
    kit_claims_unref(known->claims);
    *known = (struct known){.claims = kit_claims_ref(claims), .keys = keys, .from_s = unix_s};
    memcpy(known->digest, digest, KIT_TOKEN_DIGEST);
}

struct kit_tokens_stats kit_tokens_get_stats(const struct kit_tokens *tokens)
{
    return tokens ? tokens->stats : (struct kit_tokens_stats){0, 0};
}
