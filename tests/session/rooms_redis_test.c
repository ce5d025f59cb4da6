/* The connections to Redis, with a real redis-server: publishing, subscribing, asking. */
#include "rooms_redis_fixture.h"

static struct redis_server server;

static struct node *started(struct node *node)
{
    if (!server.pid) server_start(&server);
    node_init(node, &server);
    node_start(node);
    return node;
}

TEST(redis, what_is_published_is_heard_by_channel_and_by_pattern)
{
    struct node node;
    static struct listener channel, pattern;
    started(&node);
    listen_to(&node, &channel, ROOMS__REDIS_CHANNEL, "a");
    listen_to(&node, &pattern, ROOMS__REDIS_PATTERN, "?");
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(channel.active, 1);
    assert_int_equal(pattern.active, 1);
    publish(&node, "a", "1");
    publish(&node, "b", "2");
    publish(&node, "a", "3");
    RUN_UNTIL(&node, channel.count == 2 && pattern.count == 3);
    assert_string_equal(channel.heard, "a=1 a=3 ");
    assert_string_equal(pattern.heard, "a=1 b=2 a=3 ");
    unlisten(&node, &channel);
    unlisten(&node, &pattern);
    node_stop(&node);
}

static void stop_server(void)
{
    server_kill(&server);
}

__attribute__((constructor)) static void at_exit(void)
{
    atexit(stop_server);
}

TEST_MAIN
