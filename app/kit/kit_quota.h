/* How much a socket, a user and an address may ask for: token buckets for events, their bytes, and connects. What a
 * user and an address have spent is one for all their sockets and requests at this process. */
#ifndef KIT_QUOTA_H
#define KIT_QUOTA_H

#include "kit_auth.h"
#include "kit_bucket.h"
#include "kit_user.h"

/* What is limited, in events or bytes a second; in limit_hits_total as well. Bytes stand behind
 * their events. */
enum kit_quota_kind {
    KIT_QUOTA_SOCKET_EVENTS,
    KIT_QUOTA_SOCKET_BYTES,
    KIT_QUOTA_FEED_EVENTS,
    KIT_QUOTA_FEED_BYTES,
    KIT_QUOTA_USER_EVENTS,
    KIT_QUOTA_USER_BYTES,
    KIT_QUOTA_ADDRESS_EVENTS,
    KIT_QUOTA_ADDRESS_BYTES,
    KIT_QUOTA_USER_CONNECTS,
    KIT_QUOTA_REFUSALS,
    KIT_QUOTA_COUNT
};

struct kit_quotas;

/* Who spends: a socket, or a request over HTTP. Zero: unlimited. */
struct kit_spender {
    struct kit_quotas *quotas;
    struct kit_spent spent; /* its own */
    struct kit_bucket refusals;
    struct kit_user *user, *address; /* NULL: not known */
    bool feeds;
};

/* Returns 0 or a negative code. */
int kit_quotas_start(struct kit *kit);
void kit_quotas_stop(struct kit *kit);

void kit_spender_init(struct kit_spender *spender, struct kit *kit, const char *address);
/* Once it is known who it is. */
void kit_spender_set_user(struct kit_spender *spender, const struct kit_claims *claims);
void kit_spender_clear(struct kit_spender *spender);
/* Takes an event of so many bytes, or a connect. Returns 0, or 429 with failure->retry_after_ms. */
int kit_spend_event(struct kit_spender *spender, size_t size, struct kit_failure *failure);
int kit_spend_connect(struct kit_spender *spender, struct kit_failure *failure);
/* An event was refused by the above. True: that happened so often that it should be disconnected. */
bool kit_spender_is_abusive(struct kit_spender *spender);

#endif
