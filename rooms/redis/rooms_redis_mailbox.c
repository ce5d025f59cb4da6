/* Mailboxes on Redis: one channel for each name. With one connection lost, messages go neither way: on_down came then,
 * and would not come again for what the other one loses. */
#include "rooms_redis_int.h"

#include <stdio.h>
#include <stdlib.h>

/* A message whose listeners are to be counted, until Redis answers. */
struct count {
    struct count *next;
    struct mailbox *box;
    rooms_mailbox_count_fn fn;
    void *ctx;
};

struct mailbox {
    struct rooms_mailbox mailbox;
    struct rooms_redis *redis;
    struct rooms_mailbox_handlers handlers;
    void *ctx;
    struct rooms__redis_subscription subscription;
    struct rooms__redis_watcher watcher;
    struct count *counts;
};

enum { CHANNEL_MAX = 512 };

/* n 0: too long. */
static struct rooms_name channel_of(const struct mailbox *box, const char *name, char out[CHANNEL_MAX])
{
    int n = snprintf(out, CHANNEL_MAX, "%s-inbox#%s#", rooms__redis_options(box->redis)->key_prefix, name);
    return (struct rooms_name){out, n > 0 && n < CHANNEL_MAX && *name ? (size_t)n : 0};
}

static void on_message(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct mailbox *box = ctx;
    (void)channel;
    if (rooms__redis_is_up(box->redis)) box->handlers.on_message(box->ctx, payload.p, payload.n);
}

static void on_down(void *ctx)
{
    struct mailbox *box = ctx;
    if (box->handlers.on_down) box->handlers.on_down(box->ctx);
}

static struct mailbox *mailbox_of(struct rooms_mailbox *mailbox)
{
    return container_of(mailbox, struct mailbox, mailbox);
}

static int mailbox_send(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size)
{
    struct mailbox *box = mailbox_of(mailbox);
    char text[CHANNEL_MAX];
    struct rooms_name channel = channel_of(box, name, text);
    if (!channel.n) return ROOMS_EINVAL;
    return rooms__redis_publish(box->redis, false, channel, (struct rooms_bytes){bytes, size});
}

static void unlink_count(struct count *count)
{
    struct count **link = &count->box->counts;
    while (*link != count) link = &(*link)->next;
    *link = count->next;
}

static void on_count(void *ctx, const struct redisReply *reply)
{
    struct count *count = ctx;
    rooms_mailbox_count_fn fn = count->fn;
    void *fn_ctx = count->ctx;
    unlink_count(count);
    free(count);
    bool known = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 && reply->integer < INT32_MAX;
    fn(fn_ctx, known ? (int)reply->integer : -1);
}

static int mailbox_send_and_count(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size,
                                  rooms_mailbox_count_fn fn, void *ctx)
{
    struct mailbox *box = mailbox_of(mailbox);
    char text[CHANNEL_MAX];
    if (!rooms__redis_is_up(box->redis)) return ROOMS_EAWAY;
    struct rooms_name channel = channel_of(box, name, text);
    struct count *count = channel.n ? malloc(sizeof *count) : NULL;
    if (!count) return channel.n ? ROOMS_ENOMEM : ROOMS_EINVAL;
    *count = (struct count){box->counts, box, fn, ctx};
    struct rooms_bytes args[] = {rooms__text("PUBLISH"), rooms__bytes(channel), {bytes, size}};
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 3, .fn = on_count, .ctx = count};
    int result = rooms__redis_ask(box->redis, &command);
    if (result != 0) {
        free(count);
        return result;
    }
    box->counts = count;
    return 0;
}

static void mailbox_cancel(struct rooms_mailbox *mailbox, const void *ctx)
{
    struct mailbox *box = mailbox_of(mailbox);
    for (struct count **link = &box->counts, *count; (count = *link) != NULL;) {
        if (count->ctx != ctx) {
            link = &count->next;
            continue;
        }
        *link = count->next;
        rooms__redis_cancel(box->redis, count);
        free(count);
    }
}

/* --------------------------------------------------------------------- life */

static void mailbox_free(struct rooms_mailbox *mailbox)
{
    struct mailbox *box = mailbox_of(mailbox);
    rooms__redis_unsubscribe(box->redis, &box->subscription);
    rooms__redis_unwatch(box->redis, &box->watcher);
    while (box->counts) {
        struct count *count = box->counts;
        box->counts = count->next;
        rooms__redis_cancel(box->redis, count);
        free(count);
    }
    free(box);
}

static const struct rooms_mailbox_ops mailbox_ops = {
    .free = mailbox_free,
    .send = mailbox_send,
    .send_and_count = mailbox_send_and_count,
    .cancel = mailbox_cancel,
};

struct rooms_mailbox *rooms_mailbox_redis(void *ctx, const char *name, const struct rooms_mailbox_handlers *handlers,
                                          void *handlers_ctx)
{
    char text[CHANNEL_MAX];
    struct mailbox *box = calloc(1, sizeof *box);
    if (!box) return NULL;
    box->mailbox.ops = &mailbox_ops;
    box->redis = ctx;
    box->handlers = *handlers;
    box->ctx = handlers_ctx;
    box->subscription =
        (struct rooms__redis_subscription){.kind = ROOMS__REDIS_CHANNEL, .on_message = on_message, .ctx = box};
    struct rooms_name channel = channel_of(box, name, text);
    if (!channel.n || rooms__redis_subscribe(box->redis, &box->subscription, channel) != 0) {
        free(box);
        return NULL;
    }
    box->watcher = (struct rooms__redis_watcher){.on_down = on_down, .ctx = box};
    rooms__redis_watch(box->redis, &box->watcher);
    return &box->mailbox;
}
