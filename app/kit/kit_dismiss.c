/* Users who are dismissed, and requests over HTTP that outlive the rights they began with. */
#include "kit_dismiss.h"

#include "kit_ws.h"

int kit_on_dismiss(struct kit *kit, kit_dismiss_fn fn, void *ctx)
{
    if (kit->dismiss_hook_count == KIT_HOOKS_MAX) return EIO_ETOOBIG;
    kit->dismiss_hooks[kit->dismiss_hook_count++] = (struct kit_dismiss_hook){fn, ctx};
    return 0;
}

static size_t dismiss_stays(const struct kit *kit, const struct kit_dismissal *who)
{
    size_t count = 0;
    for (struct kit_stay *stay = kit->stays; stay; stay = stay->next) {
        if (stay->failure.code || !kit_is_dismissed(who, stay->request->claims)) continue;
        kit_fail(&stay->failure, 401, NULL, "%s", who->message);
        eio_timer_start(&stay->timer, 0);
        count++;
    }
    return count;
}

size_t kit_dismiss(struct kit *kit, const struct kit_dismissal *who)
{
    size_t count = kit_auth_dismiss(kit, who) + kit_ws_dismiss(kit, who) + dismiss_stays(kit, who);
    for (size_t i = 0; i < kit->dismiss_hook_count; i++)
        count += kit->dismiss_hooks[i].fn(kit->dismiss_hooks[i].ctx, who);
    return count;
}

/* ------------------------------------------------------------------- stays */

static void start_expiry(struct kit_stay *stay)
{
    int64_t left = kit_claims_left_ms(stay->request->kit, stay->request->claims);
    eio_timer_start(&stay->timer, left <= 0 ? 0 : left < KIT_EXPIRY_CHECK_MS ? (uint64_t)left : KIT_EXPIRY_CHECK_MS);
}

static void on_timer(void *ctx)
{
    struct kit_stay *stay = ctx;
    struct kit *kit = stay->request->kit;
    if (!stay->failure.code && kit_claims_left_ms(kit, stay->request->claims) > 0) {
        start_expiry(stay);
        return;
    }
    if (!stay->failure.code) {
        kit->counters.auth_expired++;
        kit_fail(&stay->failure, 401, NULL, "the token has expired");
    }
    struct kit_failure failure = stay->failure;
    kit_stay_end(stay);
    stay->end(stay, &failure);
}

void kit_stay_begin(struct kit_stay *stay, struct kit_request *request,
                    void (*end)(struct kit_stay *stay, const struct kit_failure *failure))
{
    struct kit *kit = request->kit;
    if (!request->claims) return;
    *stay = (struct kit_stay){.request = request, .end = end, .next = kit->stays, .link = &kit->stays};
    if (stay->next) stay->next->link = &stay->next;
    kit->stays = stay;
    eio_timer_init(&stay->timer, kit->loop, on_timer, stay);
    start_expiry(stay);
}

void kit_stay_end(struct kit_stay *stay)
{
    if (!stay->link) return;
    eio_timer_stop(&stay->timer);
    *stay->link = stay->next;
    if (stay->next) stay->next->link = stay->link;
    stay->link = NULL;
}
