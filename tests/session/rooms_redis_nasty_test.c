/* The connections to Redis, with a server that is none: it cuts, stammers, lies, falls silent. Whatever it does, the
 * node goes on, and all is well again when the server is. */
#include "rooms_redis_fake.h"

static struct fake fake;

/* All works: a message goes out and comes back. A connection that is being lost may take one along. */
static void assert_well(struct node *node, struct listener *listener)
{
    static unsigned number;
    char text[32], heard[40] = "?";
    uint64_t end_us = base_clock_us() + 300000000;
    while (!strstr(listener->heard, heard) && base_clock_us() < end_us) {
        RUN_UNTIL(node, node_is_up(node));
        snprintf(text, sizeof text, "well%u", ++number);
        snprintf(heard, sizeof heard, "a=%s ", text);
        publish(node, "a", text);
        for (unsigned i = 0; i < 20 && !strstr(listener->heard, heard); i++) node_run(node, 2);
    }
    if (!strstr(listener->heard, heard)) fail_msg("nothing is heard\n%s", node->log);
}

static void begin(struct node *node, struct listener *listener)
{
    fake_start(&fake, node);
    node_start(node);
    listen_to(node, listener, ROOMS__REDIS_CHANNEL, "a");
}

static void end(struct node *node, struct listener *listener)
{
    unlisten(node, listener);
    fake_stop(&fake);
    node_stop(node);
}

TEST(redis_nasty, what_is_published_in_one_pass_is_one_write)
{
    struct node node;
    static struct listener listener;
    begin(&node, &listener);
    RUN_UNTIL(&node, node_is_up(&node));
    fake.reads = 0;
    for (unsigned i = 0; i < 100; i++) publish(&node, "b", "x");
    assert_int_equal(node_stats(&node).published, 0); /* it waits for the end of the pass, */
    event_base_loop(node.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(node_stats(&node).published, 100); /* and no longer */
    RUN_UNTIL(&node, strlen(fake.published) == 200);
    assert_int_equal(fake.reads, 1);
    end(&node, &listener);
}

TEST(redis_nasty, answers_that_come_byte_by_byte_are_the_same)
{
    struct node node;
    static struct listener listener;
    begin(&node, &listener);
    fake.piece = 1;
    node.options.liveness_ms = 1000;
    for (unsigned i = 0; i < 10; i++) assert_well(&node, &listener);
    assert_int_equal(listener.count, 10);
    end(&node, &listener);
}

/* Each connection ends after n bytes of answers, for every n there is. */
TEST(redis_nasty, connections_that_end_after_any_byte_are_made_anew)
{
    struct node node;
    static struct listener listener;
    for (size_t budget = 0; budget < 160; budget++) {
        begin(&node, &listener);
        fake.budget = budget;
        for (unsigned i = 0; i < 5; i++) {
            char text[16];
            snprintf(text, sizeof text, "%u", i);
            publish(&node, "b", text);
            node_run(&node, 4);
        }
        RUN_UNTIL(&node, fake.connections >= 2);
        fake.budget = SIZE_MAX;
        assert_well(&node, &listener);
        unsigned last = 0; /* in order, and nothing twice */
        for (const char *p = fake.published; *p; p = strchr(p, ' ') + 1) {
            if (*p == 'w') continue;
            assert_true(strtoul(p, NULL, 10) + 1 > last);
            last = (unsigned)strtoul(p, NULL, 10) + 1;
        }
        end(&node, &listener);
    }
}

static const char *const answers[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "\r\n",
    "*1000000000\r\n",
    "*1048577\r\n",
    "*-5\r\n",
    "$999999999999\r\n",
    "$-7\r\n",
    ":notanumber\r\n",
    ":99999999999999999999999999\r\n",
    "*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n*9\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    "+OK\r\n",
    "+\r\n",
    ":1\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$4\r\nPONG\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*1\r\n*0\r\n",
    "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    "*2\r\n$4\r\npong\r\n:1\r\n",
    "*2\r\n:1\r\n$4\r\npong\r\n",
    "*3\r\n:1\r\n:2\r\n:3\r\n",
    "*3\r\n*0\r\n*0\r\n*0\r\n",
    "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n",
    "*3\r\n+message\r\n+a\r\n+x\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n*0\r\n",
    "*4\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\na\r\n:0\r\n",
    "*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n",
    "*3\r\n$9\r\nsubscribe\r\n:1\r\n:1\r\n",
    "*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n",
    "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n",
    "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
    "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n",
    "-\r\n",
    "-ERR no\r\n",
    "-ERR max number of clients reached\r\n",
    "-DENIED Redis is running in protected mode\r\n",
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-READONLY You can't write against a read only replica.\r\n",
    "-MASTERDOWN Link with MASTER is down\r\n",
    "-NOAUTH Authentication required.\r\n",
    "-WRONGPASS invalid username-password pair\r\n",
    "-OOM command not allowed\r\n",
    "-MISCONF Errors writing to the AOF file\r\n",
    "-NOPERM this user has no permissions\r\n",
    "-BUSY Redis is busy running a script\r\n",
    "-MOVED 1 127.0.0.1:1\r\n",
    "+OK\r\n+OK\r\n+OK\r\n",
    ":1\r\n-ERR no\r\n:1\r\n",
};

/* Where it stands in the conversation: a command, and how many of it are answered well before. */
static const struct place {
    const char *word;
    size_t skip;
} places[] = {{"AUTH", 0}, {"SELECT", 0}, {"CLIENT", 0},    {"PING", 0},
              {"PING", 2}, {"PING", 4},   {"SUBSCRIBE", 0}, {"PUBLISH", 0}};

static void answer_wrongly(const struct place *place, const char *answer)
{
    struct node node;
    static struct listener listener;
    fake_start(&fake, &node);
    snprintf(node.url, sizeof node.url, "redis://:x@127.0.0.1:%d/1", fake.port);
    fake.word = place->word;
    fake.skip = place->skip;
    fake.answer = answer;
    fake.answer_size = answer ? strlen(answer) : 0;
    node.options.liveness_ms = 30;
    node.options.connect_timeout_ms = 60;
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    publish(&node, "b", "x");
    RUN_UNTIL(&node, fake.times >= 2 || (fake.times >= 1 && strcmp(place->word, "PING") != 0));
    node_run(&node, 4);
    assert_true(node_stats(&node).lost <= 2 * fake.connections);
    fake.word = NULL;
    node_run(&node, 1);
    assert_well(&node, &listener);
    end(&node, &listener);
}

TEST(redis_nasty, wrong_answers_at_any_place_do_no_harm)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t k = 0; k < sizeof answers / sizeof *answers; k++) answer_wrongly(&places[i], answers[k]);
}

TEST(redis_nasty, no_answer_at_any_place_is_waited_for_so_long_only)
{
    for (size_t i = 0; i + 2 < sizeof places / sizeof *places; i++) answer_wrongly(&places[i], NULL);
}

/* Unasked, on the listening connection. */
TEST(redis_nasty, what_is_said_unasked_does_no_harm)
{
    struct node node;
    static struct listener listener;
    begin(&node, &listener);
    for (size_t k = 0; k < sizeof answers / sizeof *answers; k++) {
        assert_well(&node, &listener);
        fake_say(&fake, answers[k], strlen(answers[k]));
        node_run(&node, 3);
    }
    assert_well(&node, &listener);
    end(&node, &listener);
}

/* What follows would all be taken for a part of it, so that the node would be deaf for hours. */
TEST(redis_nasty, a_message_that_begins_and_never_ends_is_not_waited_for)
{
    struct node node;
    static struct listener listener;
    static const char head[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10000000\r\n";
    begin(&node, &listener);
    RUN_UNTIL(&node, node_is_up(&node));
    fake_say(&fake, head, sizeof head - 1);
    uint64_t start_us = base_clock_us();
    while (node_said(&node, "a reply took too long to arrive") == 0 && base_clock_us() - start_us < 300000000) {
        publish(&node, "a", "x"); /* never silent */
        node_run(&node, 5);
    }
    assert_int_equal(node_said(&node, "a reply took too long to arrive"), 1);
    assert_int_equal(listener.count, 0);
    assert_well(&node, &listener);
    end(&node, &listener);
}

TEST(redis_nasty, messages_of_what_is_not_subscribed_are_counted)
{
    struct node node;
    static struct listener listener;
    static const char push[] = "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n"
                               "*4\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nx\r\n";
    begin(&node, &listener);
    RUN_UNTIL(&node, node_is_up(&node));
    fake_say(&fake, push, sizeof push - 1);
    RUN_UNTIL(&node, node_stats(&node).ignored == 2);
    assert_int_equal(listener.count, 0);
    assert_int_equal(node_stats(&node).lost, 0);
    end(&node, &listener);
}

TEST(redis_nasty, a_message_above_the_limit_ends_the_connection_before_it_is_there)
{
    struct node node;
    static struct listener listener;
    fake_start(&fake, &node);
    node.options.max_message_bytes = 2000;
    node_start(&node);
    listen_to(&node, &listener, ROOMS__REDIS_CHANNEL, "a");
    RUN_UNTIL(&node, node_is_up(&node));
    static const char head[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1990\r\n";
    fake_say(&fake, head, sizeof head - 1);
    RUN_UNTIL(&node, node_said(&node, "a reply is too large") == 1);
    RUN_UNTIL(&node, node_is_up(&node));
    char *whole = calloc(1, 4000);
    memcpy(whole, head, sizeof head - 1);
    memcpy(whole + sizeof head - 1 + 1990, "\r\n", 2);
    fake_say(&fake, whole, sizeof head - 1 + 1992);
    RUN_UNTIL(&node, node_said(&node, "message too large") == 1);
    free(whole);
    assert_int_equal(listener.count, 0);
    assert_well(&node, &listener);
    end(&node, &listener);
}

/* A slot moves: Redis takes the subscription away, refuses it, and later has it again. */
TEST(redis_nasty, a_sharded_subscription_that_is_taken_away_is_asked_for_until_it_is_given)
{
    struct node node;
    static struct listener listener, shard;
    static const char away[] = "*3\r\n$12\r\nsunsubscribe\r\n$5\r\nshard\r\n:0\r\n",
                      moved[] = "-MOVED 1 127.0.0.1:1\r\n";
    static const char message[] = "*3\r\n$8\r\nsmessage\r\n$5\r\nshard\r\n$1\r\nx\r\n";
    begin(&node, &listener);
    listen_to(&node, &shard, ROOMS__REDIS_SHARD, "shard");
    RUN_UNTIL(&node, node_is_up(&node) && shard.active == 1);
    fake.word = "SSUBSCRIBE";
    fake.answer = moved;
    fake.answer_size = sizeof moved - 1;
    fake_say(&fake, away, sizeof away - 1);
    RUN_UNTIL(&node, node_stats(&node).degraded_ms > 0);
    for (uint64_t degraded_ms = 0, at_ms; fake.times < 3; degraded_ms = at_ms) {
        node_run(&node, 1);
        at_ms = node_stats(&node).degraded_ms;
        assert_true(at_ms >= degraded_ms && at_ms > 0); /* also while the answer to another attempt is under way */
    }
    assert_true(node_said(&node, "SSUBSCRIBE shard: MOVED 1") >= 1);
    assert_int_equal(shard.active, 1);
    assert_int_equal(node_stats(&node).lost, 0);
    fake.word = NULL;
    RUN_UNTIL(&node, shard.active == 2);
    RUN_UNTIL(&node, node_stats(&node).degraded_ms == 0);
    fake_say(&fake, message, sizeof message - 1);
    RUN_UNTIL(&node, shard.count == 1);
    unlisten(&node, &shard);
    end(&node, &listener);
}

TEST_MAIN
