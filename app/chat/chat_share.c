/* How many turns a user has in this process. */
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

struct chat_share {
    unsigned count;
    UT_hash_handle hh;
    size_t size;
    char key[]; /* tenant and user, each with its end */
};

static struct chat_share *find_share(const struct chat *chat, const char *tenant, const char *user, char *key,
                                     size_t *size)
{
    struct chat_share *share;
    size_t n = strlen(tenant) + 1, m = strlen(user) + 1;
    memcpy(key, tenant, n);
    memcpy(key + n, user, m);
    *size = n + m;
    HASH_FIND(hh, chat->shares, key, *size, share);
    return share;
}

int chat_share_add(struct chat *chat, const char *tenant, const char *user)
{
    char key[2 * KIT_USER_SIZE];
    size_t size;
    struct chat_share *share = find_share(chat, tenant, user, key, &size);
    if (!share) {
        share = calloc(1, sizeof *share + size);
        if (!share) return EIO_ENOMEM;
        share->size = size;
        memcpy(share->key, key, size);
        HASH_ADD(hh, chat->shares, key, size, share);
    }
    share->count++;
    return 0;
}

int chat_share_take(struct chat *chat, const struct kit_claims *claims, struct kit_failure *failure)
{
    char key[2 * KIT_USER_SIZE];
    size_t size;
    const struct chat_share *share = find_share(chat, claims->tenant, claims->sub, key, &size);
    if (share && share->count >= chat->config->turns_per_user_max) {
        chat->counters.refused_turns++;
        kit_fail(failure, 429, NULL, "too many of your turns are running (limit: %u)",
                 chat->config->turns_per_user_max);
        failure->retry_after_ms = KIT_RETRY_AFTER_MS;
        return failure->code;
    }
    if (chat_share_add(chat, claims->tenant, claims->sub)) return kit_fail(failure, 503, NULL, "out of memory");
    return 0;
}

void chat_share_return(struct chat *chat, const char *tenant, const char *user)
{
    char key[2 * KIT_USER_SIZE];
    size_t size;
    struct chat_share *share = find_share(chat, tenant, user, key, &size);
    if (!share || --share->count) return;
    HASH_DEL(chat->shares, share);
    free(share);
}
