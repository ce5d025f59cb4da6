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

/* ------------------------------------------------------------- subscribing */

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
    assert_int_equal(node_stats(&node).published, 3);
    assert_int_equal(node_stats(&node).received, 5);
    assert_int_equal(node_stats(&node).received_bytes, 5);
    assert_int_equal(node_stats(&node).subscriptions, 2);
    unlisten(&node, &channel);
    unlisten(&node, &pattern);
    node_stop(&node);
}

TEST(redis, sharded_channels_are_their_own)
{
    struct node node;
    static struct listener shard, channel;
    started(&node);
    listen_to(&node, &shard, ROOMS__REDIS_SHARD, "a");
    listen_to(&node, &channel, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    publish(&node, "a", "plain");
    assert_int_equal(rooms__redis_publish(node.redis, true, name("a"), rooms__text("sharded")), ROOMS_OK);
    RUN_UNTIL(&node, shard.count == 1 && channel.count == 1);
    assert_string_equal(shard.heard, "a=sharded ");
    assert_string_equal(channel.heard, "a=plain ");
    unlisten(&node, &shard);
    RUN_UNTIL(&node, strstr(server_tell(&server, "PUBSUB SHARDCHANNELS"), "*0"));
    unlisten(&node, &channel);
    node_stop(&node);
}

TEST(redis, any_bytes_of_any_size_come_through)
{
    struct node node;
    static struct listener listener;
    static char big[300000];
    started(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a\r\n$1 b");
    RUN_UNTIL(&node, node_is_up(&node));
    memset(big, '\r', sizeof big);
    for (size_t i = 1; i < sizeof big; i *= 3)
        assert_int_equal(
            rooms__redis_publish(node.redis, false, name("a\r\n$1 b"), (struct rooms_bytes){(const uint8_t *)big, i}),
            ROOMS_OK);
    RUN_UNTIL(&node, listener.count == 12);
    assert_int_equal(node_stats(&node).received_bytes, (531441 - 1) / 2);
    unlisten(&node, &listener);
    node_stop(&node);
}

TEST(redis, several_owners_of_a_name_are_one_subscription_of_redis)
{
    struct node node;
    static struct listener first, second;
    started(&node);
    listen_to(&node, &first, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    listen_to(&node, &second, ROOMS__REDIS_CHANNEL, "a");
    assert_int_equal(second.active, 0); /* not before it returns */
    RUN_UNTIL(&node, second.active == 1);
    assert_int_equal(first.active, 1);
    publish(&node, "a", "1");
    RUN_UNTIL(&node, first.count == 1 && second.count == 1);
    unlisten(&node, &first);
    publish(&node, "a", "2");
    RUN_UNTIL(&node, second.count == 2);
    assert_int_equal(first.count, 1);
    unlisten(&node, &second);
    RUN_UNTIL(&node, strstr(server_tell(&server, "PUBSUB CHANNELS"), "*0"));
    node_stop(&node);
}

TEST(redis, what_is_taken_back_in_the_same_pass_is_not_sent)
{
    struct node node;
    static struct listener listener, other;
    started(&node);
    listen_to(&node, &other, ROOMS__REDIS_CHANNEL, "other");
    RUN_UNTIL(&node, node_is_up(&node));
    server_tell(&server, "CONFIG RESETSTAT");
    for (int i = 0; i < 10; i++) {
        listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
        unlisten(&node, &listener);
        unlisten(&node, &other);
        listen_to(&node, &other, ROOMS__REDIS_CHANNEL, "other");
    }
    publish(&node, "other", "x"); /* in the same pass, or a later one */
    RUN_UNTIL(&node, other.count == 1);
    assert_null(strstr(server_tell(&server, "INFO commandstats"), "subscribe"));
    assert_int_equal(other.active, 1);
    unlisten(&node, &other);
    node_stop(&node);
}

/* Joins and leaves of many passes: in the end exactly what is wanted is subscribed. */
TEST(redis, names_that_come_and_go_end_as_they_should)
{
    enum { NAMES = 40 };
    struct node node;
    static struct listener listeners[NAMES];
    char text[32];
    started(&node);
    srand(7);
    for (int step = 0; step < 3000; step++) {
        int i = rand() % NAMES;
        snprintf(text, sizeof text, "name-%d", i);
        if (listeners[i].subscription.entry)
            unlisten(&node, &listeners[i]);
        else
            listen_to(&node, &listeners[i], ROOMS__REDIS_CHANNEL, text);
        if (step % 7 == 0) event_base_loop(node.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    static struct listener last; /* Redis confirms it after all that was said before */
    listen_to(&node, &last, ROOMS__REDIS_CHANNEL, "last");
    RUN_UNTIL(&node, last.active && node_is_up(&node));
    unlisten(&node, &last);
    const char *channels = server_tell(&server, "PUBSUB CHANNELS");
    for (int i = 0; i < NAMES; i++) {
        snprintf(text, sizeof text, "name-%d\r", i);
        assert_int_equal(strstr(channels, text) != NULL, listeners[i].subscription.entry != NULL);
        unlisten(&node, &listeners[i]);
    }
    node_stop(&node);
}

struct meddler {
    struct rooms__redis_subscription subscription;
    struct node *node;
    struct listener *victim;
    size_t count;
};

static void meddle(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct meddler *meddler = ctx;
    (void)channel, (void)payload;
    meddler->count++;
    unlisten(meddler->node, meddler->victim);
    rooms__redis_unsubscribe(meddler->node->redis, &meddler->subscription);
    publish(meddler->node, "done", "x");
}

TEST(redis, a_callback_may_unsubscribe_itself_and_who_is_next)
{
    struct node node;
    static struct listener before, victim, after, done;
    started(&node);
    struct meddler meddler = {.node = &node, .victim = &victim};
    meddler.subscription = (struct rooms__redis_subscription){.on_message = meddle, .ctx = &meddler};
    listen_to(&node, &before, ROOMS__REDIS_CHANNEL, "a");
    assert_int_equal(rooms__redis_subscribe(node.redis, &meddler.subscription, name("a")), ROOMS_OK);
    listen_to(&node, &victim, ROOMS__REDIS_CHANNEL, "a");
    listen_to(&node, &after, ROOMS__REDIS_CHANNEL, "a");
    listen_to(&node, &done, ROOMS__REDIS_CHANNEL, "done");
    RUN_UNTIL(&node, node_is_up(&node));
    publish(&node, "a", "1");
    publish(&node, "a", "2");
    RUN_UNTIL(&node, done.count == 1 && after.count == 2);
    assert_int_equal(before.count, 2);
    assert_int_equal(meddler.count, 1);
    assert_int_equal(victim.count, 0);
    unlisten(&node, &before);
    unlisten(&node, &after);
    unlisten(&node, &done);
    node_stop(&node);
}

TEST(redis, ten_thousand_names_come_back_at_once)
{
    enum { NAMES = 10000 };
    struct node node;
    static struct rooms__redis_subscription subscriptions[NAMES];
    static struct listener listener;
    char text[32];
    started(&node);
    memset(&listener, 0, sizeof listener);
    for (int i = 0; i < NAMES; i++) {
        subscriptions[i] =
            (struct rooms__redis_subscription){ROOMS__REDIS_CHANNEL, listener_message, listener_active, &listener};
        snprintf(text, sizeof text, "channel number %d", i);
        assert_int_equal(rooms__redis_subscribe(node.redis, &subscriptions[i], name(text)), ROOMS_OK);
    }
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(listener.active, NAMES);
    server_tell(&server, "CLIENT KILL TYPE pubsub");
    RUN_UNTIL(&node, node_said(&node, "connected to") == 2);
    assert_int_equal(listener.active, 2 * NAMES);
    publish(&node, "channel number 9999", "x");
    RUN_UNTIL(&node, listener.count == 1);
    for (int i = 0; i < NAMES; i++) rooms__redis_unsubscribe(node.redis, &subscriptions[i]);
    RUN_UNTIL(&node, strstr(server_tell(&server, "PUBSUB CHANNELS"), "*0"));
    node_stop(&node);
}

TEST(redis, impossible_names_are_refused)
{
    struct node node;
    struct rooms__redis_subscription subscription = {.kind = ROOMS__REDIS_CHANNEL};
    started(&node);
    assert_int_equal(rooms__redis_subscribe(node.redis, &subscription, name("")), ROOMS_EINVAL);
    char *large = calloc(1, 2 << 20);
    struct rooms_name too_long = {large, 2 << 20};
    assert_int_equal(rooms__redis_subscribe(node.redis, &subscription, too_long), ROOMS_ELIMIT);
    free(large);
    rooms__redis_unsubscribe(node.redis, &subscription); /* harmless */
    node_stop(&node);
}

/* -------------------------------------------------------------- publishing */

TEST(redis, what_is_too_large_is_not_published_and_counted)
{
    struct node node;
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.max_message_bytes = 1024;
    node_start(&node);
    char text[1025];
    memset(text, 'x', sizeof text);
    struct rooms_bytes payload = {(const uint8_t *)text, 1024};
    assert_int_equal(rooms__redis_publish(node.redis, false, name("a"), payload), ROOMS_ELIMIT);
    payload.n = 1000 - 17;
    assert_int_equal(rooms__redis_publish(node.redis, false, name("a"), payload), ROOMS_OK);
    RUN_UNTIL(&node, node_stats(&node).published == 1);
    assert_int_equal(node_stats(&node).dropped, 1);
    assert_non_null(strstr(node.log, "larger than max_message_bytes"));
    node_stop(&node);
}

TEST(redis, what_is_published_before_free_is_still_written)
{
    struct node node, other;
    static struct listener listener;
    started(&node);
    started(&other);
    listen_to(&other, &listener, ROOMS__REDIS_CHANNEL, "bye");
    RUN_UNTIL(&other, node_is_up(&other));
    RUN_UNTIL(&node, node_is_up(&node));
    publish(&node, "bye", "x");
    node_stop(&node);
    RUN_UNTIL(&other, listener.count == 1);
    unlisten(&other, &listener);
    node_stop(&other);
}

/* ------------------------------------------------------------------ asking */

struct answers {
    char text[1024];
    size_t count;
};

static void on_reply(void *ctx, const struct redisReply *reply)
{
    struct answers *answers = ctx;
    size_t used = strlen(answers->text);
    answers->count++;
    if (!reply)
        snprintf(answers->text + used, sizeof answers->text - used, "none ");
    else if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(answers->text + used, sizeof answers->text - used, "%lld ", reply->integer);
    else if (reply->type == REDIS_REPLY_ARRAY)
        snprintf(answers->text + used, sizeof answers->text - used, "array of %zu ", reply->elements);
    else if (reply->type == REDIS_REPLY_NIL)
        snprintf(answers->text + used, sizeof answers->text - used, "nil ");
    else
        snprintf(answers->text + used, sizeof answers->text - used, "%s%.60s ",
                 reply->type == REDIS_REPLY_ERROR ? "!" : "", reply->str);
}

/* A line of words. */
static int ask(struct node *node, struct answers *answers, enum rooms__redis_via via, const char *line, uint32_t ms)
{
    struct rooms_bytes args[16];
    size_t count = 0;
    for (const char *p = line; *p; count++) {
        size_t n = strcspn(p, " ");
        args[count] = (struct rooms_bytes){(const uint8_t *)p, n};
        p += n + (p[n] == ' ');
    }
    const struct rooms__redis_command command = {via, args, count, ms, on_reply, answers};
    return rooms__redis_ask(node->redis, &command);
}

TEST(redis, questions_are_answered_in_order_and_in_order_with_what_is_published)
{
    struct node node;
    struct answers answers = {""};
    static struct listener listener;
    started(&node);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "PING", 0), ROOMS_EAWAY);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "SET k v", 0), ROOMS_OK);
    publish(&node, "a", "x");
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "GET k", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "PUBSUB NUMSUB a", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "INCR k", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "DEL k", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "GET k", 0), ROOMS_OK);
    assert_int_equal(node_stats(&node).requests, 6);
    RUN_UNTIL(&node, answers.count == 6);
    assert_string_equal(answers.text, "OK v array of 2 !ERR value is not an integer or out of range 1 nil ");
    assert_int_equal(node_stats(&node).requests, 0);
    assert_int_equal(listener.count, 1);
    assert_true(node_is_up(&node)); /* an error about one command is no trouble */
    assert_int_equal(node_stats(&node).degraded_ms, 0);
    unlisten(&node, &listener);
    node_stop(&node);
}

TEST(redis, cancelled_questions_are_not_answered)
{
    struct node node;
    struct answers answers = {""}, others = {""};
    started(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "PING", 0), ROOMS_OK);
        assert_int_equal(ask(&node, &others, ROOMS__REDIS_PUBLISHER, "PING", 0), ROOMS_OK);
    }
    rooms__redis_cancel(node.redis, &answers);
    RUN_UNTIL(&node, others.count == 3);
    assert_int_equal(answers.count, 0);
    node_stop(&node);
}

TEST(redis, late_questions_are_answered_with_nothing_and_later_ones_are_not_mixed_up)
{
    struct node node;
    struct answers answers = {""};
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.liveness_ms = 5000;
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "DEBUG SLEEP 0.7", 20), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO x", 50), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO y", 0), ROOMS_OK);
    RUN_UNTIL(&node, answers.count == 3);
    assert_string_equal(answers.text, "none none y ");
    assert_int_equal(node_stats(&node).request_timeouts, 2);
    assert_true(node_is_up(&node));
    node_stop(&node);
}

TEST(redis, there_are_at_most_max_requests)
{
    struct node node;
    struct answers answers = {""};
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    node.options.max_requests = 2;
    node_start(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 1", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 2", 0), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 3", 0), ROOMS_ELIMIT);
    assert_int_equal(node_stats(&node).requests_refused, 1);
    assert_int_equal(node_said(&node, "request not sent"), 1);
    RUN_UNTIL(&node, answers.count == 2);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 3", 0), ROOMS_OK);
    RUN_UNTIL(&node, answers.count == 3);
    assert_string_equal(answers.text, "1 2 3 ");
    node_stop(&node);
}

TEST(redis, the_blocking_connection_blocks_nothing_else)
{
    struct node node;
    struct answers answers = {""}, blocked = {""};
    started(&node);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &blocked, ROOMS__REDIS_BLOCKING, "PING", 0), ROOMS_EAWAY);
    rooms__redis_need_blocking(node.redis);
    rooms__redis_need_blocking(node.redis);
    RUN_UNTIL(&node, node_said(&node, "connected to") == 2);
    const char *read = "XREAD BLOCK 5000 COUNT 10 STREAMS stream $";
    assert_int_equal(ask(&node, &blocked, ROOMS__REDIS_BLOCKING, read, 6000), ROOMS_OK);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 1", 0), ROOMS_OK);
    RUN_UNTIL(&node, answers.count == 1);
    node_run(&node, 50);
    assert_int_equal(blocked.count, 0);
    assert_int_equal(ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "XADD stream * a b", 0), ROOMS_OK);
    RUN_UNTIL(&node, blocked.count == 1);
    assert_string_equal(blocked.text, "array of 1 ");
    node_stop(&node);
}

TEST(redis, a_late_answer_on_the_blocking_connection_ends_it_and_it_comes_back)
{
    struct node node;
    struct answers blocked = {""};
    started(&node);
    rooms__redis_need_blocking(node.redis);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &blocked, ROOMS__REDIS_BLOCKING, "XREAD BLOCK 5000 STREAMS stream $", 20), ROOMS_OK);
    assert_int_equal(ask(&node, &blocked, ROOMS__REDIS_BLOCKING, "ECHO 1", 1000), ROOMS_OK);
    RUN_UNTIL(&node, blocked.count == 2);
    assert_string_equal(blocked.text, "none none ");
    assert_int_equal(node_stats(&node).request_timeouts, 1);
    RUN_UNTIL(&node, node_is_up(&node));
    assert_int_equal(ask(&node, &blocked, ROOMS__REDIS_BLOCKING, "ECHO 2", 1000), ROOMS_OK);
    RUN_UNTIL(&node, blocked.count == 3);
    node_stop(&node);
}

/* ----------------------------------------------------------------- options */

static void is_refused(struct rooms_redis_options *options, const char *expected)
{
    const char *why = NULL;
    struct event_base *base = event_base_new();
    assert_null(rooms_redis_new(base, options, &why));
    assert_string_equal(why, expected);
    assert_null(rooms_redis_new(base, options, NULL));
    event_base_free(base);
}

TEST(redis, options_that_make_no_sense_are_refused_with_a_text)
{
    struct rooms_redis_options options;
    rooms_redis_options_init(&options);
    options.url = "cache";
    is_refused(&options, "it starts with neither redis:// nor rediss://");
    rooms_redis_options_init(&options);
    options.client_name = "two words";
    is_refused(&options, "client_name contains spaces or special characters");
    rooms_redis_options_init(&options);
    options.reconnect_max_ms = 1;
    is_refused(&options, "reconnect_max_ms is less than reconnect_min_ms");
    rooms_redis_options_init(&options);
    options.max_message_bytes = (size_t)1 << 40;
    is_refused(&options, "max_message_bytes must be from 1024 to 536870912");
    rooms_redis_options_init(&options);
    options.liveness_ms = 0;
    is_refused(&options, "connect_timeout_ms, liveness_ms, reconnect_min_ms and request_timeout_ms must not be 0");
    rooms_redis_options_init(&options);
    options.key_prefix = NULL;
    is_refused(&options, "url, client_name, key_prefix and session_prefix are required");
    rooms_redis_free(NULL);
}

TEST(redis, connections_have_names_and_a_host_may_have_one_too)
{
    struct node node;
    if (!server.pid) server_start(&server);
    node_init(&node, &server);
    snprintf(node.url, sizeof node.url, "redis://localhost:%d/3", server.port);
    node_start(&node);
    rooms__redis_need_blocking(node.redis);
    RUN_UNTIL(&node, node_is_up(&node));
    const char *clients = server_tell(&server, "CLIENT LIST");
    assert_non_null(strstr(clients, "name=parley-pub "));
    assert_non_null(strstr(clients, "name=parley-sub "));
    assert_non_null(strstr(clients, "name=parley-block "));
    assert_non_null(strstr(clients, "db=3 "));
    node_stop(&node);
}

TEST(redis, freed_in_the_middle_of_anything)
{
    for (unsigned passes = 0; passes < 12; passes++) {
        struct node node;
        static struct listener listener;
        struct answers answers = {""};
        if (!server.pid) server_start(&server);
        node_init(&node, &server);
        if (passes % 2) snprintf(node.url, sizeof node.url, "redis://localhost:%d", server.port);
        node_start(&node);
        listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
        for (unsigned i = 0; i < passes; i++) event_base_loop(node.base, EVLOOP_ONCE);
        publish(&node, "a", "x");
        ask(&node, &answers, ROOMS__REDIS_PUBLISHER, "ECHO 1", 0);
        rooms__redis_cancel(node.redis, &answers);
        unlisten(&node, &listener);
        node_stop(&node);
    }
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
