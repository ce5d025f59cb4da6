/* Tokens whose signature was right, so that a client that asks again and again is not checked each time: its claims by
 * a keyed digest of the token. Times are looked at each time, and whether the user was dismissed, too (kit_auth.c). */
#ifndef KIT_TOKENS_H
#define KIT_TOKENS_H

#include "kit_auth.h"

struct kit_tokens;

/* count: of tokens, at most; a new one takes the place of another. NULL: out of memory, or the count is 0. */
struct kit_tokens *kit_tokens_new(size_t count);
/* Accepts NULL. */
void kit_tokens_free(struct kit_tokens *tokens);
/* What stands for a token until kit_tokens_keep(). */
#define KIT_TOKEN_DIGEST 32
/* A reference to its claims, or NULL: unknown, or not known to be valid at this time. keys: the number of the set of
 * keys that it must have been checked with. Fills in the digest. Accepts NULL. */
struct kit_claims *kit_tokens_find(struct kit_tokens *tokens, struct eio_str token, uint64_t keys, int64_t unix_s,
                                   uint8_t digest[KIT_TOKEN_DIGEST]);
/* This token is valid now. Accepts NULL. */
void kit_tokens_keep(struct kit_tokens *tokens, const uint8_t digest[KIT_TOKEN_DIGEST], uint64_t keys, int64_t unix_s,
                     struct kit_claims *claims);

struct kit_tokens_stats {
    uint64_t hits, misses;
};
/* Zeros for NULL. */
struct kit_tokens_stats kit_tokens_get_stats(const struct kit_tokens *tokens);

#endif
