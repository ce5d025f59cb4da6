/* The classic adapter when memory is short: everything that was accepted ends, once, and nothing is lost or used again.
 */
#include "failing_malloc.h"

#define BUS_MALLOC __real_malloc
#include "classic_bus.h"

static const struct rooms_flags plain = {.compress = true, .timeout_ms = 300};
static const struct rooms_selector everybody = {0};
static int ends_due, ends;

static void on_socket(void *ctx, struct rooms_bytes json)
{
    (void)ctx, (void)json;
}

static void on_done(void *ctx, int error)
{
    (void)ctx, (void)error;
    ends++;
}

static void on_answer(void *ctx, const struct rooms_message *args)
{
    (void)ctx, (void)args;
}

static void on_count(void *ctx, int error, size_t servers)
{
    (void)ctx, (void)error, (void)servers;
    ends++;
}

static void sink_clients(void *ctx, size_t count)
{
    (void)ctx, (void)count;
}

static void sink_counted(void *ctx)
{
    (void)ctx;
}

static const struct rooms_ack_sink sink = {sink_clients, sink_counted, on_answer, NULL};

static const struct rooms_message message = {.json = {(const uint8_t *)"[\"q\",\"a text that is long\"]", 27}};

static void due(int error)
{
    ends_due += error == 0;
}

/* Everything once, on two nodes. */
static void everything(void)
{
    const struct rooms_adapter_ops *ops = nodes[0].adapter->ops;
    struct rooms_adapter *adapter = nodes[0].adapter;
    struct rooms_name room = {"room", 4};
    const struct rooms_selector one = {&room, 1, NULL, 0};
    rooms_join(nodes[1].index, &nodes[1].members[0].member, room);
    ops->broadcast(adapter, &one, &plain, &message);
    ops->join(adapter, &one, &plain, &room, 1);
    ops->disconnect(adapter, &one, &plain, false);
    due(ops->fetch(adapter, &everybody, &plain, on_socket, on_done, NULL));
    due(ops->server_side_emit(adapter, &plain, &message, on_answer, on_done, NULL));
    due(ops->server_count(adapter, on_count, NULL));
    ops->broadcast_with_ack(adapter, &everybody, &plain, &message, &sink);
    settle();
    if (nodes[1].sink.ack) nodes[1].sink.ack(nodes[1].sink.ctx, &message);
    settle();
    publish_text("socket.io-request#/#", "{\"type\":0,\"requestId\":\"x\",\"rooms\":[\"room\\n\"]}");
    publish_text("socket.io-request#/#", "{\"type\":2,\"sid\":\"AAAAAAAAAAAAAAAAAAAA\",\"room\":\"r\"}");
    rooms_leave(nodes[1].index, &nodes[1].members[0].member, room);
}

TEST(memory, is_short)
{
    size_t runs = 0;
    do {
        setup(2);
        nodes[1].acks = 1;
        nodes[1].options.specific_response_channel = true;
        ends_due = ends = 0;
        allocations = failed = 0;
        fail_at = ++runs;
        everything();
        fail_at = 0;
        pass(3000);
        assert_int_equal(ends, ends_due);
        teardown();
    } while (failed > 0);
    assert_true(runs > 20);
}

TEST(memory, is_short_when_a_room_begins)
{
    setup(1);
    subscribe_fails_at = 1;
    rooms_join(nodes[0].index, &nodes[0].members[0].member, (struct rooms_name){"room", 4});
    assert_said("log: out of memory: not subscribed to a room, which will miss messages of other nodes\n");
    rooms_leave(nodes[0].index, &nodes[0].members[0].member, (struct rooms_name){"room", 4});
    teardown();
}

TEST(memory, is_short_when_an_adapter_is_made)
{
    struct rooms_redis_options options = default_options();
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    struct rooms_local local = {.index = index};
    struct rooms_adapter *adapter;
    size_t runs = 0;
    nodes[0].options = options;
    do {
        allocations = 0;
        fail_at = ++runs;
        adapter = rooms_adapter_redis(&nodes[0], "/", &local);
        fail_at = 0;
    } while (!adapter);
    assert_true(runs > 2);
    adapter->ops->free(adapter);
    for (size_t i = 1; i <= 5; i++) {
        subscribe_fails_at = i;
        assert_null(rooms_adapter_redis(&nodes[0], "/", &local));
    }
    rooms_index_free(index);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) assert_null(subscriptions[i]);
}

TEST_MAIN
