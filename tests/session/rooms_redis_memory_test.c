/* The connections to Redis when memory is short: each allocation fails once. Calls say so, nothing leaks, and what was
 * begun is carried through when there is memory again. */
#include "failing_malloc.h"
#include "rooms_redis_fake.h"

static struct fake fake;

static void on_reply(void *ctx, const struct redisReply *reply)
{
    (void)reply;
    ++*(size_t *)ctx;
}

static void use(struct node *node, size_t *asked, size_t *answered)
{
    const struct rooms_bytes args[] = {rooms__text("ECHO"), rooms__text("x")};
    const struct rooms__redis_command command = {ROOMS__REDIS_PUBLISHER, args, 2, 50, on_reply, answered};
    rooms__redis_publish(node->redis, false, name("b"), rooms__text("x"));
    *asked += rooms__redis_ask(node->redis, &command) == ROOMS_OK;
}

/* Returns whether an allocation failed: else there are no more to try. */
static bool try_one(size_t at, size_t in_a_row)
{
    struct node node;
    static struct listener listener, second;
    size_t asked = 0, answered = 0;
    fake_start(&fake, &node);
    memset(&listener, 0, sizeof listener);
    listener.subscription =
        (struct rooms__redis_subscription){ROOMS__REDIS_CHANNEL, listener_message, listener_active, &listener};
    second = listener;
    second.subscription.ctx = &second;
    second.subscription.kind = ROOMS__REDIS_SHARD;
    allocations = failed = 0;
    fail_at = at;
    fail_count = in_a_row;
    const char *why = NULL;
    node.redis = rooms_redis_new(node.base, &node.options, &why);
    if (!node.redis) {
        assert_string_equal(why, "out of memory");
        fail_at = 0;
        node.redis = rooms_redis_new(node.base, &node.options, &why);
    }
    if (rooms__redis_subscribe(node.redis, &listener.subscription, name("a")) != ROOMS_OK)
        assert_null(listener.subscription.entry);
    for (unsigned i = 0; i < 5; i++) {
        use(&node, &asked, &answered);
        node_run(&node, 2);
        if (i == 1) rooms__redis_subscribe(node.redis, &second.subscription, name("c"));
    }
    fail_at = 0;
    if (!listener.subscription.entry)
        assert_int_equal(rooms__redis_subscribe(node.redis, &listener.subscription, name("a")), ROOMS_OK);
    RUN_UNTIL(&node, node_is_up(&node) && listener.active > 0 && answered == asked);
    publish(&node, "a", "well");
    RUN_UNTIL(&node, listener.count == 1);
    unlisten(&node, &listener);
    unlisten(&node, &second);
    fake_stop(&fake);
    node_stop(&node);
    return failed > 0;
}

TEST(redis_memory, any_allocation_may_fail_once)
{
    size_t at = 1;
    while (try_one(at, 1)) at++;
    assert_true(at > 15);
}

TEST(redis_memory, several_may_fail_in_a_row)
{
    size_t at = 1;
    while (try_one(at, 4)) at++;
    assert_true(at > 15);
}

TEST_MAIN
