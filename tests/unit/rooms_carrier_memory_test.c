/* A carrier in memory on cluster.h alone: three nodes, every operation of an adapter, in Socket.IO's own format, and
 * the same while memory is short. */
#include "failing_malloc.h"
#include "test.h"

#include <cluster.h>
#include <string.h>

enum { NODES = 3, WIRE_MAX = 256 };

static uint64_t now_ms;

/* ------------------------------------------------------------- the carrier */

struct node {
    struct rooms_cluster cluster; /* first */
    size_t number;
    char log[4096];
    void (*answer)(void *ctx, const struct rooms_message *args);
    void *answer_ctx;
};
static struct node *nodes[NODES];

struct parcel {
    size_t to, size;
    uint8_t *bytes;
};
static struct parcel wire[WIRE_MAX];
static size_t wire_count;

static int put_on_wire(struct rooms_cluster *cluster, size_t to, const struct rooms_cluster_message *message)
{
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    int error = rooms_cluster_encode(cluster, message, &packer);
    if (!error) {
        assert_true(wire_count < WIRE_MAX);
        wire[wire_count++] = (struct parcel){to, packer.size, __real_malloc(packer.size)};
        memcpy(wire[wire_count - 1].bytes, packer.bytes, packer.size);
    }
    rooms_packer_clear(&packer);
    return error;
}

static int publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    int error = 0;
    for (size_t i = 0; i < NODES && !error; i++)
        if (nodes[i] && &nodes[i]->cluster != cluster) error = put_on_wire(cluster, i, message);
    return error;
}

static int respond(struct rooms_cluster *cluster, struct rooms_name uid, const struct rooms_cluster_message *message)
{
    for (size_t i = 0; i < NODES; i++) {
        struct rooms_name of = nodes[i] ? rooms_cluster_uid(&nodes[i]->cluster) : (struct rooms_name){NULL, 0};
        if (of.n == uid.n && memcmp(of.p, uid.p, uid.n) == 0) return put_on_wire(cluster, i, message);
    }
    return ROOMS_EAWAY;
}

static void settle(void)
{
    for (size_t i = 0; i < wire_count; i++) {
        struct node *to = nodes[wire[i].to];
        if (to) rooms_cluster_receive_encoded(&to->cluster, (struct rooms_bytes){wire[i].bytes, wire[i].size});
        free(wire[i].bytes);
    }
    wire_count = 0;
}

/* ------------------------------------------------------------ the namespace */

__attribute__((format(printf, 2, 3))) static void note(struct node *node, const char *format, ...)
{
    size_t at = strlen(node->log);
    va_list values;
    va_start(values, format);
    vsnprintf(node->log + at, sizeof node->log - at, format, values);
    va_end(values);
}

static void note_message(struct node *node, const char *what, const struct rooms_message *message)
{
    note(node, "%s %.*s", what, (int)message->json.n, (const char *)message->json.p);
    for (size_t i = 0; i < message->attachment_count; i++)
        note(node, " <%.*s>", (int)message->attachments[i].n, (const char *)message->attachments[i].p);
    note(node, "\n");
}

static void deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                    const struct rooms_message *message)
{
    (void)flags;
    assert_int_equal(who->room_count, 1);
    note_message(ctx, "deliver", message);
}

/* One client, which answers at once. */
static void deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                             const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    struct node *node = ctx;
    struct rooms_ack_sink kept = *sink;
    char json[8];
    int n = snprintf(json, sizeof json, "[%zu]", node->number);
    (void)who, (void)flags;
    note_message(node, "ask", message);
    kept.clients(kept.ctx, 1);
    kept.ack(kept.ctx, &(struct rooms_message){.json = {(const uint8_t *)json, (size_t)n}});
}

static void join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    (void)who;
    note(ctx, "join %zu %.*s\n", count, (int)rooms[0].n, rooms[0].p);
}

static void leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    (void)who;
    note(ctx, "leave %zu %.*s\n", count, (int)rooms[0].n, rooms[0].p);
}

static void disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    (void)who;
    note(ctx, "disconnect %d\n", close);
}

static void fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *each_ctx, struct rooms_bytes json),
                  void *each_ctx)
{
    char json[16];
    int n = snprintf(json, sizeof json, "{\"id\":\"%zu\"}", ((struct node *)ctx)->number);
    (void)who;
    each(each_ctx, (struct rooms_bytes){(const uint8_t *)json, (size_t)n});
}

static bool server_side_event(void *ctx, const struct rooms_message *message,
                              void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx)
{
    struct node *node = ctx;
    char json[8];
    int n = snprintf(json, sizeof json, "[%zu]", 10 * node->number);
    note_message(node, "event", message);
    if (answer) answer(answer_ctx, &(struct rooms_message){.json = {(const uint8_t *)json, (size_t)n}});
    return false;
}

static uint64_t clock_now(void *ctx)
{
    (void)ctx;
    return now_ms;
}

/* ------------------------------------------------------------------- nodes */

static const struct rooms_adapter_ops adapter_ops = {.name = "memory of three", ROOMS_CLUSTER_OPS};
static const struct rooms_carrier_ops carrier_ops = {.publish = publish, .respond = respond};

static int node_init(struct node *node, const char *uid, const char *nsp)
{
    const struct rooms_local local = {
        .deliver = deliver,
        .deliver_with_ack = deliver_with_ack,
        .join = join,
        .leave = leave,
        .disconnect = disconnect,
        .fetch = fetch,
        .server_side_event = server_side_event,
        .now_ms = clock_now,
        .ctx = node,
    };
    const struct rooms_cluster_setup setup = {.carrier = &carrier_ops, .uid = uid, .nsp = nsp, .local = &local};
    node->cluster.adapter.ops = &adapter_ops;
    return rooms_cluster_init(&node->cluster, &setup);
}

static void start(void)
{
    now_ms = 1000;
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = __real_calloc(1, sizeof *nodes[i]);
        nodes[i]->number = i;
        assert_int_equal(node_init(nodes[i], NULL, "/"), 0);
        rooms_cluster_announce(&nodes[i]->cluster);
        settle();
    }
}

static void stop(void)
{
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = nodes[i];
        rooms_cluster_clear(&node->cluster);
        nodes[i] = NULL;
        free(node);
        settle();
    }
}

static void pass(uint64_t ms)
{
    for (uint64_t end = now_ms + ms; now_ms < end;) {
        now_ms += 500;
        for (size_t i = 0; i < NODES; i++) rooms_cluster_tick(&nodes[i]->cluster);
        settle();
    }
}

/* ----------------------------------------------------------------- results */

static size_t ends, ends_due, found, answers, acks, announced;
static int last_error;
static size_t servers;

static void on_done(void *ctx, int error)
{
    (void)ctx;
    ends++;
    last_error = error;
}
static void on_socket(void *ctx, struct rooms_bytes json)
{
    (void)ctx, (void)json;
    found++;
}
static void on_answer(void *ctx, const struct rooms_message *args)
{
    (void)ctx, (void)args;
    answers++;
}
static void on_count(void *ctx, int error, size_t count)
{
    (void)ctx;
    ends++;
    last_error = error;
    servers = count;
}
static void on_clients(void *ctx, size_t count)
{
    (void)ctx;
    announced += count;
}
static void on_counted(void *ctx)
{
    (void)ctx;
    ends++;
}
static void on_ack(void *ctx, const struct rooms_message *answer)
{
    (void)ctx, (void)answer;
    acks++;
}
static const struct rooms_ack_sink sink = {on_clients, on_counted, on_ack, NULL};

static const struct rooms_flags flags = {.compress = true, .timeout_ms = 1000};
static const struct rooms_name room = {"room", 4};
static const struct rooms_selector who = {&room, 1, NULL, 0};
static const struct rooms_bytes picture = {(const uint8_t *)"picture", 7};
static const struct rooms_message message = {.json = {(const uint8_t *)"[\"hello\"]", 9}};
static const struct rooms_message with_picture = {.json = {(const uint8_t *)"[{\"_placeholder\":true,\"num\":0}]", 31},
                                                  .attachments = &picture,
                                                  .attachment_count = 1};

static void everything(void)
{
    struct rooms_adapter *adapter = &nodes[0]->cluster.adapter;
    const struct rooms_adapter_ops *ops = adapter->ops;
    ends = ends_due = found = answers = acks = announced = servers = 0;
    ops->broadcast(adapter, &who, &flags, &message);
    ops->broadcast(adapter, &who, &flags, &with_picture);
    ops->join(adapter, &who, &flags, &room, 1);
    ops->leave(adapter, &who, &flags, &room, 1);
    ops->disconnect(adapter, &who, &flags, true);
    settle();
    ends_due += ops->fetch(adapter, &who, &flags, on_socket, on_done, NULL) == 0;
    settle();
    ends_due += ops->server_side_emit(adapter, &flags, &message, on_answer, on_done, NULL) == 0;
    settle();
    ends_due += ops->broadcast_with_ack(adapter, &who, &flags, &message, &sink) == 0;
    settle();
    ends_due += ops->server_count(adapter, on_count, NULL) == 0;
    settle();
}

TEST(carrier, every_operation_reaches_three_nodes)
{
    static const char expected[] = "deliver [\"hello\"]\n"
                                   "deliver [{\"_placeholder\":true,\"num\":0}] <picture>\n"
                                   "join 1 room\nleave 1 room\ndisconnect 1\n";
    start();
    everything();
    for (size_t i = 0; i < NODES; i++) assert_memory_equal(nodes[i]->log, expected, sizeof expected - 1);
    assert_string_equal(nodes[0]->log + sizeof expected - 1, "ask [\"hello\"]\n");
    assert_string_equal(nodes[2]->log + sizeof expected - 1, "event [\"hello\"]\nask [\"hello\"]\n");
    assert_int_equal(found, 3);
    assert_int_equal(answers, 2);
    assert_int_equal(announced, 3);
    assert_int_equal(acks, 3);
    assert_int_equal(servers, 3);
    assert_int_equal(ends, ends_due);
    assert_int_equal(last_error, 0);
    stop();
}

TEST(carrier, a_node_that_falls_silent_is_missing_and_then_gone)
{
    start();
    struct node *silent = nodes[2];
    nodes[2] = NULL; /* nothing reaches it */
    struct rooms_adapter *adapter = &nodes[0]->cluster.adapter;
    ends = found = 0;
    assert_int_equal(adapter->ops->fetch(adapter, &who, &flags, on_socket, on_done, NULL), 0);
    settle();
    assert_int_equal(ends, 0);
    nodes[2] = silent;
    now_ms += 1000;
    rooms_cluster_tick(&nodes[0]->cluster);
    assert_int_equal(ends, 1);
    assert_int_equal(last_error, ROOMS_ETIMEOUT);
    assert_int_equal(found, 2);
    nodes[2] = NULL;
    for (size_t i = 0; i < 30; i++) {
        now_ms += 500;
        rooms_cluster_tick(&nodes[0]->cluster);
        rooms_cluster_tick(&nodes[1]->cluster);
        settle();
    }
    adapter->ops->server_count(adapter, on_count, NULL);
    assert_int_equal(servers, 2);
    nodes[2] = silent;
    stop();
}

TEST(carrier, bytes_of_others_are_refused)
{
    struct node other = {.number = 7};
    struct rooms_packer packer;
    start();
    assert_int_equal(node_init(&other, "0123456789abcdef", "/other"), 0);
    assert_memory_equal(rooms_cluster_uid(&other.cluster).p, "0123456789abcdef", ROOMS_UID_SIZE);
    rooms_packer_init(&packer);
    const struct rooms_cluster_message broadcast = {
        .type = ROOMS_CLUSTER_BROADCAST, .uid = rooms_cluster_uid(&other.cluster), .who = who, .packet = message};
    assert_int_equal(rooms_cluster_encode(&other.cluster, &broadcast, &packer), 0);
    const struct rooms_bytes bytes = {packer.bytes, packer.size};
    assert_int_equal(rooms_cluster_receive_encoded(&nodes[0]->cluster, bytes), ROOMS_EINVAL);
    for (size_t n = 0; n < packer.size; n++)
        assert_int_equal(rooms_cluster_receive_encoded(&nodes[0]->cluster, (struct rooms_bytes){packer.bytes, n}),
                         ROOMS_EINVAL);
    assert_string_equal(nodes[0]->log, "");
    rooms_packer_clear(&packer);
    rooms_cluster_clear(&other.cluster);
    settle();
    stop();
}

TEST(carrier, a_uid_of_another_size_is_refused)
{
    struct node node = {.number = 0};
    assert_int_equal(node_init(&node, "short", "/"), ROOMS_EINVAL);
    assert_int_equal(node_init(&node, "0123456789abcdef0", "/"), ROOMS_EINVAL);
}

TEST(carrier, all_that_was_accepted_ends_once_when_memory_is_short)
{
    size_t runs = 0;
    do {
        start();
        allocations = failed = 0;
        fail_at = ++runs;
        everything();
        fail_at = 0;
        pass(8000);
        assert_true(ends <= ends_due &&
                    ends + 1 >= ends_due); /* acks that are never counted: their asker has a timeout */
        stop();
    } while (failed > 0);
    assert_true(runs > 20);
}

TEST(carrier, nothing_is_left_of_one_that_could_not_be_made)
{
    size_t runs = 0;
    int error;
    struct node node;
    do {
        memset(&node, 0, sizeof node);
        allocations = failed = 0;
        fail_at = ++runs;
        error = node_init(&node, NULL, "/");
        fail_at = 0;
        assert_true(error == 0 || error == ROOMS_ENOMEM);
    } while (error);
    assert_true(runs > 2);
    rooms_cluster_clear(&node.cluster);
}

TEST_MAIN
