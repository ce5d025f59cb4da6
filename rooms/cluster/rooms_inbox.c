/* Bytes from node to node through Redis: a channel for each name. Not an adapter, and nothing here looks at the bytes.
 */
#include "rooms_redis_int.h"

#include <stdio.h>
#include <stdlib.h>

/* A question how many heard something. */
struct count {
    struct count *next;
    struct rooms_inbox *inbox;
    rooms_heard_fn fn;
    void *ctx;
};

struct rooms_inbox {
    struct rooms_redis *redis;
    struct rooms_inbox_handlers handlers;
    void *ctx;
    struct rooms__redis_subscription subscription;
    struct rooms__redis_watcher watcher;
    struct count *counts;
};

enum { CHANNEL_MAX = 512 };

/* n 0: too long. */
static struct rooms_name channel_of(const struct rooms_inbox *inbox, const char *name, char out[CHANNEL_MAX])
{
    int n = snprintf(out, CHANNEL_MAX, "%s-inbox#%s#", rooms__redis_options(inbox->redis)->key_prefix, name);
    return (struct rooms_name){out, n > 0 && n < CHANNEL_MAX && *name ? (size_t)n : 0};
}

static void on_message(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct rooms_inbox *inbox = ctx;
    (void)channel;
    inbox->handlers.on_message(inbox->ctx, payload.p, payload.n);
}

static void on_down(void *ctx)
{
    struct rooms_inbox *inbox = ctx;
    if (inbox->handlers.on_down) inbox->handlers.on_down(inbox->ctx);
}

struct rooms_inbox *rooms_inbox_new(struct rooms_redis *redis, const char *name,
                                    const struct rooms_inbox_handlers *handlers, void *ctx)
{
    char text[CHANNEL_MAX];
    struct rooms_inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    inbox->redis = redis;
    inbox->handlers = *handlers;
    inbox->ctx = ctx;
    inbox->subscription =
        (struct rooms__redis_subscription){.kind = ROOMS__REDIS_CHANNEL, .on_message = on_message, .ctx = inbox};
    struct rooms_name channel = channel_of(inbox, name, text);
    if (!channel.n || rooms__redis_subscribe(redis, &inbox->subscription, channel) != 0) {
        free(inbox);
        return NULL;
    }
    inbox->watcher = (struct rooms__redis_watcher){.on_down = on_down, .ctx = inbox};
    rooms__redis_watch(redis, &inbox->watcher);
    return inbox;
}

void rooms_inbox_free(struct rooms_inbox *inbox)
{
    if (!inbox) return;
    rooms__redis_unsubscribe(inbox->redis, &inbox->subscription);
    rooms__redis_unwatch(inbox->redis, &inbox->watcher);
    while (inbox->counts) {
        struct count *count = inbox->counts;
        inbox->counts = count->next;
        rooms__redis_cancel(inbox->redis, count);
        free(count);
    }
    free(inbox);
}

int rooms_inbox_tell(struct rooms_inbox *inbox, const char *name, const uint8_t *bytes, size_t size)
{
    char text[CHANNEL_MAX];
    struct rooms_name channel = channel_of(inbox, name, text);
    if (!channel.n) return ROOMS_EINVAL;
    return rooms__redis_publish(inbox->redis, false, channel, (struct rooms_bytes){bytes, size});
}

static void unlink_count(struct count *count)
{
    struct count **link = &count->inbox->counts;
    while (*link != count) link = &(*link)->next;
    *link = count->next;
}

static void on_count(void *ctx, const struct redisReply *reply)
{
    struct count *count = ctx;
    rooms_heard_fn fn = count->fn;
    void *fn_ctx = count->ctx;
    unlink_count(count);
    free(count);
    bool known = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 && reply->integer < INT32_MAX;
    fn(fn_ctx, known ? (int)reply->integer : -1);
}

int rooms_inbox_tell_and_count(struct rooms_inbox *inbox, const char *name, const uint8_t *bytes, size_t size,
                               rooms_heard_fn fn, void *ctx)
{
    char text[CHANNEL_MAX];
    struct rooms_name channel = channel_of(inbox, name, text);
    struct count *count = channel.n ? malloc(sizeof *count) : NULL;
    if (!count) return channel.n ? ROOMS_ENOMEM : ROOMS_EINVAL;
    *count = (struct count){inbox->counts, inbox, fn, ctx};
    struct rooms_bytes args[] = {rooms__text("PUBLISH"), rooms__bytes(channel), {bytes, size}};
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 3, .fn = on_count, .ctx = count};
    int result = rooms__redis_ask(inbox->redis, &command);
    if (result != 0) {
        free(count);
        return result;
    }
    inbox->counts = count;
    return 0;
}

void rooms_inbox_cancel(struct rooms_inbox *inbox, const void *ctx)
{
    for (struct count **link = &inbox->counts, *count; (count = *link) != NULL;) {
        if (count->ctx != ctx) {
            link = &count->next;
            continue;
        }
        *link = count->next;
        rooms__redis_cancel(inbox->redis, count);
        free(count);
    }
}
