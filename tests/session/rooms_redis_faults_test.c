/* The connections to Redis, with a real redis-server that is killed, stopped, restarted, moved and unwilling. */
#include "rooms_redis_fixture.h"
#include "rooms_redis_conn.h"

static struct redis_server server, second;

static struct node *started(struct node *node)
{
    if (!server.pid) server_start(&server);
    node_init(node, &server);
    node_start(node);
    return node;
}

static void publish_number(struct node *node, unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    publish(node, "a", text);
}

/* Everything that was heard, in ascending order, each once; returns how many. */
static size_t assert_ascending(const struct listener *listener)
{
    long last = -1;
    size_t count = 0;
    for (const char *p = listener->heard; (p = strstr(p, "a=")) != NULL; count++) {
        p += 2;
        long number = strtol(p, NULL, 10);
        if (number <= last) fail_msg("%ld after %ld", number, last);
        last = number;
    }
    return count;
}

/* -------------------------------------------------------------------- away */

TEST(redis_faults, away_at_the_start_it_is_found_when_it_comes)
{
    struct node node;
    static struct listener listener;
    server_kill(&server);
    server.port = free_port();
    node_init(&node, &server);
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    for (unsigned i = 0; i < 5; i++) publish_number(&node, i);
    RUN_UNTIL(&node, node_stats(&node).lost >= 4 && node_stats(&node).degraded_ms >= 290);
    assert_false(node_is_up(&node));
    struct rooms_redis_stats stats = node_stats(&node);
    assert_false(stats.connected);
    assert_non_null(strstr(stats.why, "Connection refused"));
    assert_int_equal(stats.pending, 5);
    /* Two connections; the pauses grow from 10 to 100 ms, and half of each is random. */
    assert_true(stats.lost <= 2 * (8 + stats.degraded_ms / 50));
    assert_int_equal(node_said(&node, "Connection refused"), 2); /* not each attempt */
    server_start(&server);
    RUN_UNTIL(&node, node_is_up(&node));
    stats = node_stats(&node);
    assert_true(stats.connected);
    assert_int_equal(stats.degraded_ms, 0);
    RUN_UNTIL(&node, node_stats(&node).pending == 0);
    publish_number(&node, 5);
    RUN_UNTIL(&node, strstr(listener.heard, "a=5 "));
    assert_ascending(&listener);
    unlisten(&node, &listener);
    node_stop(&node);
}

/* One node publishes, another listens on a connection that Redis' end ends too. */
TEST(redis_faults, killed_and_restarted_what_was_published_meanwhile_arrives_in_order_and_once)
{
    struct node node;
    static struct listener listener, pattern, shard;
    started(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    listen_to(&node, &pattern, ROOMS__REDIS_PATTERN, "a*");
    listen_to(&node, &shard, ROOMS__REDIS_SHARD, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    publish_number(&node, 0);
    RUN_UNTIL(&node, listener.count == 1);
    for (unsigned round = 1; round < 4; round++) {
        server_kill(&server);
        RUN_UNTIL(&node, !node_is_up(&node));
        /* More than a socket takes, so that something is cut in the middle if a restart comes first. */
        for (unsigned i = 0; i < 100; i++) publish_number(&node, round * 1000 + i);
        node_run(&node, 30);
        server_start(&server);
        RUN_UNTIL(&node, node_is_up(&node));
        assert_int_equal(listener.active, 1 + round);
        publish_number(&node, round * 1000 + 100);
        char last[16];
        snprintf(last, sizeof last, "a=%u ", round * 1000 + 100);
        RUN_UNTIL(&node, strstr(listener.heard, last));
    }
    assert_ascending(&listener);
    assert_string_equal(pattern.heard, listener.heard);
    assert_int_equal(node_stats(&node).published, 1 + 3 * 101);
    assert_int_equal(node_stats(&node).dropped, 0);
    assert_int_equal(rooms__redis_publish(node.redis, true, name("a"), rooms__text("x")), ROOMS_OK);
    RUN_UNTIL(&node, shard.count == 1);
    unlisten(&node, &listener);
    unlisten(&node, &pattern);
    unlisten(&node, &shard);
    node_stop(&node);
}

TEST(redis_faults, what_waits_is_bounded_the_oldest_go_and_are_counted)
{
    struct node node, other;
    static struct listener listener;
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.max_pending_bytes = 4000;
    node.options.reconnect_min_ms = node.options.reconnect_max_ms = 400;
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    server_kill(&server);
    RUN_UNTIL(&node, !node_is_up(&node));
    const struct rooms_bytes args[] = {rooms__text("PUBLISH"), rooms__text("a"), rooms__text("1000")};
    size_t kept = 4000 / rooms__resp_command_size(args, 3);
    for (unsigned i = 1000; i < 2000; i++) publish_number(&node, i);
    assert_int_equal(node_stats(&node).pending, kept);
    assert_true(node_stats(&node).pending_bytes <= 4000);
    assert_int_equal(node_stats(&node).dropped, 1000 - kept);
    assert_int_equal(node_said(&node, "message not published"), 1);
    server_start(&server);
    node_init(&other, &server);
    node_start(&other);
    listen_to(&other, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&other, node_is_up(&other));
    RUN_UNTIL(&node, node_stats(&node).pending == 0 && node_stats(&node).published == kept);
    publish_number(&node, 2000);
    RUN_UNTIL(&node, node_stats(&node).pending == 0);
    RUN_UNTIL(&other, strstr(listener.heard, "a=2000 ")); /* nothing came twice, or comes after that */
    assert_int_equal(assert_ascending(&listener), kept + 1);
    assert_memory_equal(listener.heard + listener.used - 14, "a=1999 a=2000 ", 14);
    unlisten(&other, &listener);
    node_stop(&other);
    node_stop(&node);
}

/* --------------------------------------------------------- stopped, slow */

TEST(redis_faults, stopped_longer_than_liveness_it_is_left_and_found_again)
{
    struct node node;
    static struct listener listener;
    started(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    publish_number(&node, 0);
    RUN_UNTIL(&node, listener.count == 1);
    kill(server.pid, SIGSTOP);
    publish_number(&node, 1); /* the kernel takes it: nobody knows what becomes of it */
    uint64_t start_us = base_clock_us();
    RUN_UNTIL(&node, !node_is_up(&node));
    assert_true((base_clock_us() - start_us) / 1000 >= 150);
    RUN_UNTIL(&node, node_said(&node, "no data for") == 2);
    for (unsigned i = 2; i < 50; i++) publish_number(&node, i);
    /* Connections are taken by the kernel, but nobody answers on them. */
    RUN_UNTIL(&node, node_said(&node, "no answer to the greeting") >= 1);
    assert_false(node_is_up(&node));
    assert_int_equal(node_stats(&node).pending, 48);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(&node, node_is_up(&node));
    publish_number(&node, 50);
    RUN_UNTIL(&node, strstr(listener.heard, "a=50 "));
    assert_ascending(&listener);
    assert_int_equal(node_stats(&node).published, 51);
    unlisten(&node, &listener);
    node_stop(&node);
}

TEST(redis_faults, slower_than_a_ping_but_alive_it_is_kept)
{
    struct node node;
    static struct listener listener;
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.liveness_ms = 1000;
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    for (unsigned i = 0; i < 3; i++) {
        kill(server.pid, SIGSTOP);
        publish_number(&node, i);
        node_run(&node, 600);
        kill(server.pid, SIGCONT);
        RUN_UNTIL(&node, listener.count == i + 1);
    }
    assert_true(node_is_up(&node));
    assert_int_equal(node_stats(&node).lost, 0);
    assert_string_equal(listener.heard, "a=0 a=1 a=2 ");
    unlisten(&node, &listener);
    node_stop(&node);
}

/* A stopped server's kernel takes some megabytes; then they wait here, up to the limit, and the loop goes on. */
TEST(redis_faults, a_server_that_does_not_read_blocks_nothing)
{
    struct node node;
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.max_pending_bytes = 1 << 20;
    node.options.liveness_ms = 60000;
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    kill(server.pid, SIGSTOP);
    char *big = calloc(1, 100000);
    uint64_t start_us = base_clock_us();
    for (unsigned i = 0; i < 300; i++) {
        struct rooms_bytes payload = {(const uint8_t *)big, 100000};
        assert_int_equal(rooms__redis_publish(node.redis, false, name("a"), payload), ROOMS_OK);
        event_base_loop(node.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    assert_in_range((base_clock_us() - start_us) / 1000, 0, 50000); /* and not until it counts as dead */
    struct rooms_redis_stats stats = node_stats(&node);
    assert_true(stats.pending_bytes <= 1 << 20 && stats.pending >= 8);
    assert_int_equal(stats.published + stats.pending + stats.dropped, 300);
    assert_true(stats.dropped > 100);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(&node, node_stats(&node).pending == 0);
    assert_int_equal(node_stats(&node).lost, 0);
    free(big);
    node_stop(&node);
}

/* ------------------------------------------------------- single connections */

struct counts {
    struct rooms__redis_watcher watcher;
    size_t up, down;
};
static void on_up(void *ctx)
{
    ((struct counts *)ctx)->up++;
}
static void on_down(void *ctx)
{
    ((struct counts *)ctx)->down++;
}

static long client_id(const char *client)
{
    const char *list = server_tell(&server, "CLIENT LIST"), *at = strstr(list, client);
    if (!at) fail_msg("no client %s in %s", client, list);
    while (at > list && at[-1] != '\n') at--;
    return strtol(strstr(at, "id=") + 3, NULL, 10);
}

static void kill_client(const char *client)
{
    char line[64];
    snprintf(line, sizeof line, "CLIENT KILL ID %ld", client_id(client));
    assert_non_null(strstr(server_tell(&server, line), ":1"));
}

TEST(redis_faults, each_connection_killed_alone_comes_back)
{
    struct node node;
    static struct listener listener;
    static const char *const clients[] = {"name=parley-pub ", "name=parley-sub ", "name=parley-block "};
    started(&node);
    struct counts counts = {{on_up, on_down, &counts}, 0, 0};
    rooms__redis_watch(node.redis, &counts.watcher);
    rooms__redis_need_blocking(node.redis);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, counts.up == 1);
    for (unsigned i = 0; i < 6; i++) {
        kill_client(clients[i % 3]);
        RUN_UNTIL(&node, counts.up == i + 2);
        assert_int_equal(counts.down, i + 1);
        assert_int_equal(node_stats(&node).lost, i + 1);
        publish_number(&node, i);
        RUN_UNTIL(&node, listener.count == i + 1);
    }
    assert_string_equal(listener.heard, "a=0 a=1 a=2 a=3 a=4 a=5 ");
    assert_int_equal(listener.active, 3);
    rooms__redis_unwatch(node.redis, &counts.watcher);
    unlisten(&node, &listener);
    node_stop(&node);
}

static void mailbox_heard(void *ctx, const uint8_t *bytes, size_t size)
{
    (void)bytes;
    *(size_t *)ctx += size;
}

static void mailbox_counted(void *ctx, int listeners)
{
    *(int *)ctx = listeners;
}

/* on_down came with the first connection that was lost, and would not come with the second. */
TEST(redis_faults, a_mailbox_with_one_connection_of_two_takes_and_sends_nothing)
{
    static const char *const clients[] = {"name=parley-pub ", "name=parley-sub "};
    static const struct rooms_mailbox_handlers handlers = {.on_message = mailbox_heard};
    static const uint8_t byte = 1;
    for (size_t i = 0; i < 2; i++) {
        struct node node;
        static struct listener listener;
        size_t heard = 0;
        int listeners = -2;
        if (!server.pid) server_start(&server);
        node_init(&node, &server);
        node.options.reconnect_min_ms = node.options.reconnect_max_ms = 600000;
        node_start(&node);
        struct rooms_mailbox *box = rooms_mailbox_redis(node.redis, "me", &handlers, &heard);
        assert_non_null(box);
        listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
        RUN_UNTIL(&node, node_is_up(&node) && listener.active);
        assert_int_equal(box->ops->send_and_count(box, "me", &byte, 1, mailbox_counted, &listeners), ROOMS_OK);
        RUN_UNTIL(&node, listeners == 1 && heard == 1);
        kill_client(clients[i]);
        RUN_UNTIL(&node, !node_is_up(&node));
        assert_int_equal(box->ops->send_and_count(box, "me", &byte, 1, mailbox_counted, &listeners), ROOMS_EAWAY);
        server_tell(&server, "PUBLISH socket.io-inbox#me# 1");
        server_tell(&server, "PUBLISH a 1");
        if (i == 0) RUN_UNTIL(&node, listener.count == 1);
        assert_int_equal(heard, 1);
        box->ops->free(box);
        unlisten(&node, &listener);
        node_stop(&node);
    }
}

/* A loop that is down long enough to see the end only after more was published. */
TEST(redis_faults, what_is_published_while_the_end_is_not_noticed_yet_is_never_sent_twice)
{
    struct node node, other;
    static struct listener listener;
    started(&node);
    started(&other);
    listen_to(&other, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&other, node_is_up(&other));
    RUN_UNTIL(&node, node_is_up(&node));
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned k = 0; k < 10; k++) publish_number(&node, i * 100 + k);
        event_base_loop(node.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        kill_client("name=parley-pub "); /* may be the other's, which has nothing to say */
        for (unsigned k = 10; k < 20; k++) publish_number(&node, i * 100 + k);
        RUN_UNTIL(&node, node_is_up(&node) && node_stats(&node).pending == 0);
        RUN_UNTIL(&other, node_is_up(&other));
    }
    publish_number(&node, 9999);
    RUN_UNTIL(&node, node_stats(&node).pending == 0);
    RUN_UNTIL(&other, strstr(listener.heard, "a=9999 "));
    assert_true(assert_ascending(&listener) >= 200);
    unlisten(&other, &listener);
    node_stop(&other);
    node_stop(&node);
}

/* One node publishes all the time, the other listens; any connection of any of them is cut, Redis is stopped for a
 * moment, or restarted. What is heard is in order and never twice, and what was not heard was not kept either. */
TEST(redis_faults, whatever_happens_nothing_is_heard_twice_or_out_of_order)
{
    struct node node, other;
    static struct listener listener;
    unsigned number = 0;
    started(&node);
    started(&other);
    listen_to(&other, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&other, node_is_up(&other));
    srand(3);
    for (unsigned round = 0; round < 60; round++) {
        unsigned what = (unsigned)rand() % 12;
        if (what < 4) server_tell(&server, "CLIENT KILL TYPE normal");
        if (what >= 4 && what < 8) server_tell(&server, "CLIENT KILL TYPE pubsub");
        if (what == 8) kill(server.pid, SIGSTOP);
        if (what == 9) server_kill(&server);
        for (unsigned i = 0; i < 10; i++) {
            for (unsigned k = 0; k < 5; k++) publish_number(&node, ++number);
            node_run(&node, (uint32_t)rand() % 4);
            node_run(&other, (uint32_t)rand() % 4);
        }
        if (what == 8) kill(server.pid, SIGCONT);
        if (what == 9) server_start(&server);
    }
    RUN_UNTIL(&node, node_is_up(&node) && node_stats(&node).pending == 0);
    RUN_UNTIL(&other, node_is_up(&other));
    publish_number(&node, ++number);
    RUN_UNTIL(&node, node_stats(&node).pending == 0);
    char last[16];
    snprintf(last, sizeof last, "a=%u ", number);
    RUN_UNTIL(&other, strstr(listener.heard, last));
    assert_true(assert_ascending(&listener) > number / 10);
    assert_int_equal(node_stats(&node).published, number);
    assert_int_equal(node_stats(&node).dropped, 0);
    unlisten(&other, &listener);
    node_stop(&other);
    node_stop(&node);
}

struct asked {
    size_t none, some;
};
static void on_reply(void *ctx, const struct redisReply *reply)
{
    struct asked *asked = ctx;
    if (reply)
        asked->some++;
    else
        asked->none++;
}

TEST(redis_faults, questions_on_a_lost_connection_are_answered_with_nothing_before_the_watchers_hear)
{
    struct node node;
    struct asked asked = {0, 0};
    started(&node);
    struct counts counts = {{on_up, on_down, &counts}, 0, 0};
    rooms__redis_watch(node.redis, &counts.watcher);
    RUN_UNTIL(&node, counts.up == 1);
    const struct rooms_bytes args[] = {rooms__text("BLPOP"), rooms__text("list"), rooms__text("0")};
    const struct rooms__redis_command command = {ROOMS__REDIS_PUBLISHER, args, 3, 9000, on_reply, &asked};
    assert_int_equal(rooms__redis_ask(node.redis, &command), ROOMS_OK);
    assert_int_equal(rooms__redis_ask(node.redis, &command), ROOMS_OK);
    RUN_UNTIL(&node, strstr(server_tell(&server, "CLIENT LIST"), "cmd=blpop"));
    kill_client("name=parley-pub ");
    RUN_UNTIL(&node, counts.down == 1);
    assert_int_equal(asked.none, 2);
    RUN_UNTIL(&node, counts.up == 2);
    const struct rooms_bytes ping[] = {rooms__text("PING")};
    assert_int_equal(
        rooms__redis_ask(node.redis,
                         &(struct rooms__redis_command){.args = ping, .arg_count = 1, .fn = on_reply, .ctx = &asked}),
        ROOMS_OK);
    RUN_UNTIL(&node, asked.some == 1);
    assert_null(strstr(server_tell(&server, "CLIENT LIST"), "cmd=blpop")); /* not asked again */
    rooms__redis_unwatch(node.redis, &counts.watcher);
    node_stop(&node);
}

/* ---------------------------------------------------------------- fail-over */

static void both(struct node *node)
{
    if (!server.pid) server_start(&server);
    if (!second.pid) server_start(&second);
    node_init(node, &server);
    snprintf(node->url, sizeof node->url, "redis://127.0.0.1:%d,redis://127.0.0.1:%d", server.port, second.port);
}

TEST(redis_faults, the_second_address_is_used_when_the_first_is_gone_by_all_connections)
{
    struct node node;
    static struct listener listener;
    both(&node);
    node_start(&node);
    rooms__redis_need_blocking(node.redis);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    char first[32], other[32];
    snprintf(first, sizeof first, "127.0.0.1:%d", server.port);
    snprintf(other, sizeof other, "127.0.0.1:%d", second.port);
    assert_string_equal(node_stats(&node).address, first);
    server_kill(&server);
    RUN_UNTIL(&node, !node_is_up(&node));
    publish_number(&node, 0);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_string_equal(node_stats(&node).address, other);
    publish_number(&node, 1);
    RUN_UNTIL(&node, strstr(listener.heard, "a=1 "));
    assert_ascending(&listener);
    server_start(&server);
    server_kill(&second);
    RUN_UNTIL(&node, !node_is_up(&node));
    RUN_UNTIL(&node, node_is_up(&node));
    assert_string_equal(node_stats(&node).address, first);
    unlisten(&node, &listener);
    node_stop(&node);
}

TEST(redis_faults, the_second_address_is_used_when_the_first_falls_silent)
{
    struct node node;
    static struct listener listener;
    both(&node);
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    kill(server.pid, SIGSTOP);
    RUN_UNTIL(&node, !node_is_up(&node));
    publish_number(&node, 1);
    RUN_UNTIL(&node, node_is_up(&node));
    char other[32];
    snprintf(other, sizeof other, "127.0.0.1:%d", second.port);
    assert_string_equal(node_stats(&node).address, other);
    publish_number(&node, 2);
    RUN_UNTIL(&node, strstr(listener.heard, "a=2 "));
    assert_ascending(&listener);
    kill(server.pid, SIGCONT);
    unlisten(&node, &listener);
    node_stop(&node);
}

/* Only one connection suffers; the others must not stay where they are. */
TEST(redis_faults, where_one_connection_goes_all_go)
{
    struct node node;
    static struct listener listener;
    both(&node);
    node.options.liveness_ms = 5000;
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    /* From now on the first takes nobody any more, but keeps who is there. */
    long id = client_id("name=parley-pub ");
    int held = server_connect(&server);
    dprintf(held, "CONFIG SET maxclients 1\r\nCLIENT KILL ID %ld\r\n", id);
    RUN_UNTIL(&node, node_is_up(&node) && node_said(&node, "connected to") == 2);
    publish_number(&node, 1);
    RUN_UNTIL(&node, listener.count == 1);
    assert_int_equal(node_said(&node, "max number of clients"), 1);
    assert_int_equal(node_said(&node, "moving to the address of the other connections"), 1);
    close(held);
    unlisten(&node, &listener);
    node_stop(&node);
    server_kill(&server);
}

TEST(redis_faults, a_server_that_has_become_a_replica_is_left)
{
    struct node node;
    both(&node);
    char line[64], other[32];
    snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %d", second.port);
    snprintf(other, sizeof other, "127.0.0.1:%d", second.port);
    server_tell(&server, line);
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_string_equal(node_stats(&node).address, other);
    assert_true(node_said(&node, "the server is a replica") +
                    node_said(&node, "moving to the address of the other connections") >=
                1);
    node_stop(&node);
    /* Demoted while it is used: the first write says so. */
    server_tell(&server, "REPLICAOF NO ONE");
    both(&node);
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    server_tell(&server, line);
    const struct rooms_bytes args[] = {rooms__text("SET"), rooms__text("k"), rooms__text("v")};
    assert_int_equal(rooms__redis_post(node.redis, args, 3), ROOMS_OK);
    RUN_UNTIL(&node, node_said(&node, "connected to") == 2 && node_is_up(&node));
    assert_string_equal(node_stats(&node).address, other);
    assert_true(node_said(&node, "READONLY") + node_said(&node, "the server became a replica") == 1);
    node_stop(&node);
    /* Nothing is written but messages, which a replica takes: it is asked now and then. */
    server_tell(&server, "REPLICAOF NO ONE");
    both(&node);
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    server_tell(&server, line);
    RUN_UNTIL(&node, node_said(&node, "connected to") == 2 && node_is_up(&node));
    assert_string_equal(node_stats(&node).address, other);
    assert_true(node_said(&node, "the server became a replica") == 1);
    node_stop(&node);
    server_kill(&server);
    server_kill(&second);
}

/* ------------------------------------------------------------------ refusals */

TEST(redis_faults, a_wrong_password_is_said_and_tried_again)
{
    struct node node;
    struct redis_server locked = {.extra = {"--requirepass", "right"}};
    server_start(&locked);
    node_init(&node, &locked);
    node_start(&node);
    RUN_UNTIL(&node, node_said(&node, "NOAUTH") == 2);
    node_stop(&node);
    snprintf(node.url, sizeof node.url, "redis://:wrong@127.0.0.1:%d", locked.port);
    node_init(&node, &locked);
    snprintf(node.url, sizeof node.url, "redis://:wrong@127.0.0.1:%d", locked.port);
    node_start(&node);
    RUN_UNTIL(&node, node_said(&node, "WRONGPASS") == 2);
    assert_non_null(strstr(node_stats(&node).why, "WRONGPASS"));
    uint64_t attempts = node_stats(&node).lost;
    RUN_UNTIL(&node, node_stats(&node).lost >= attempts + 4);
    assert_int_equal(node_said(&node, "WRONGPASS"), 2);
    assert_int_equal(node_said(&node, "wrong@"), 0);
    int fd = server_connect(&locked);
    dprintf(fd, "AUTH right\r\nCONFIG SET requirepass wrong\r\n");
    RUN_UNTIL(&node, node_is_up(&node));
    close(fd);
    node_stop(&node);
    server_kill(&locked);
}

TEST(redis_faults, out_of_memory_is_degraded_until_something_is_taken_again)
{
    struct node node;
    started(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    server_tell(&server, "CONFIG SET maxmemory 1");
    const struct rooms_bytes args[] = {rooms__text("SET"), rooms__text("k"), rooms__text("v")};
    for (int i = 0; i < 10; i++) assert_int_equal(rooms__redis_post(node.redis, args, 3), ROOMS_OK);
    RUN_UNTIL(&node, node_stats(&node).refused == 10);
    struct rooms_redis_stats stats = node_stats(&node);
    assert_true(stats.connected);
    assert_true(stats.degraded_ms > 0);
    assert_non_null(strstr(stats.why, "OOM"));
    assert_int_equal(node_said(&node, "OOM"), 1);
    server_tell(&server, "CONFIG SET maxmemory 0");
    assert_int_equal(rooms__redis_post(node.redis, args, 3), ROOMS_OK);
    RUN_UNTIL(&node, node_stats(&node).degraded_ms == 0);
    assert_int_equal(node_stats(&node).refused, 10);
    node_stop(&node);
}

TEST(redis_faults, a_refused_subscription_is_tried_again)
{
    struct node node;
    static struct listener allowed, denied;
    if (!server.pid) server_start(&server);
    server_tell(&server, "ACL SETUSER ann on >pw +@all ~* resetchannels &allowed*");
    node_init(&node, &server);
    snprintf(node.url, sizeof node.url, "redis://ann:pw@127.0.0.1:%d", server.port);
    node_start(&node);
    listen_to(&node, &allowed, ROOMS__REDIS_CHANNEL, "allowed");
    listen_to(&node, &denied, ROOMS__REDIS_CHANNEL, "denied");
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(allowed.active, 1);
    assert_int_equal(denied.active, 0);
    assert_true(node_stats(&node).degraded_ms > 0);
    assert_true(node_said(&node, "SUBSCRIBE denied: NOPERM") >= 1);
    publish(&node, "allowed", "x");
    RUN_UNTIL(&node, allowed.count == 1);
    publish(&node, "denied", "x");
    RUN_UNTIL(&node, node_stats(&node).refused == 1);
    server_tell(&server, "ACL SETUSER ann allchannels");
    RUN_UNTIL(&node, denied.active == 1);
    publish(&node, "denied", "y");
    RUN_UNTIL(&node, denied.count == 1);
    RUN_UNTIL(&node, node_stats(&node).degraded_ms == 0);
    unlisten(&node, &allowed);
    unlisten(&node, &denied);
    node_stop(&node);
}

TEST(redis_faults, a_host_that_does_not_exist_is_said_and_blocks_nothing)
{
    struct node node;
    server.port = server.port ? server.port : free_port();
    node_init(&node, &server);
    snprintf(node.url, sizeof node.url, "redis://no-such-host.invalid:1");
    node_start(&node);
    assert_int_equal(node_stats(&node).lost, 0); /* nobody has waited for the answer */
    RUN_UNTIL(&node, node_stats(&node).lost >= 2);
    assert_true(*node_stats(&node).why != '\0');
    node_stop(&node);
}

static void stop_servers(void)
{
    server_kill(&server);
    server_kill(&second);
}

__attribute__((constructor)) static void at_exit(void)
{
    atexit(stop_servers);
}

TEST_MAIN
