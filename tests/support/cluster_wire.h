/* Several nodes in one process, over a wire that can lose, delay and repeat messages. What they are made to do here,
 * and what those who ask are told, is said in a log. */
#ifndef CLUSTER_WIRE_H
#define CLUSTER_WIRE_H

#include "rooms_cluster_int.h"
#include "test.h"

#include <string.h>

enum { NODES_MAX = 4, WIRE_MAX = 64, LOG_SIZE = 4096 };

/* -------------------------------------------------------------------- wire */

struct node {
    struct rooms__cluster cluster; /* first */
    char name;                     /* 'A'… */
    bool is_cut;                   /* hears and says nothing */
    unsigned acks;                 /* clients here, of whom each answers when told to */
    struct rooms_ack_sink sink;    /* of the last delivery with ack */
    void (*answer)(void *ctx, const struct rooms_message *args);
    void *answer_ctx;
    bool answers_late;
};

struct sent {
    struct rooms__cluster_message *message;
    struct node *to;
};

static struct node *nodes[NODES_MAX];
static size_t node_count;
static struct sent wire[WIRE_MAX];
static size_t wire_count;
static uint64_t now;
static char said[LOG_SIZE];
static bool counts, heartbeats, logs, count_fails;
static size_t count_extra; /* nodes that are counted, but that nobody ever heard of */
static uint64_t tickets[WIRE_MAX];
static size_t ticket_count;
static struct rooms__cluster_stats stats;
static const struct rooms_recovery recovery = {.max_disconnection_ms = 1000};

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    va_list arguments;
    size_t at = strlen(said);
    va_start(arguments, format);
    vsnprintf(said + at, sizeof said - at, format, arguments);
    va_end(arguments);
}

static inline void assert_said(const char *expected)
{
    assert_string_equal(said, expected);
    said[0] = '\0';
}

static inline void put_on_wire(struct node *to, const struct rooms__cluster_message *message)
{
    assert_true(wire_count < WIRE_MAX);
    wire[wire_count++] = (struct sent){rooms__cluster_copy(message, NULL), to};
}

static inline int wire_publish(struct rooms__cluster *cluster, const struct rooms__cluster_message *message)
{
    struct node *from = (struct node *)cluster;
    assert_false(message->flags.local);
    if (from->is_cut) return ROOMS_EINVAL;
    for (size_t i = 0; i < node_count; i++)
        if (nodes[i] && nodes[i] != from && !nodes[i]->is_cut) put_on_wire(nodes[i], message);
    return ROOMS_OK;
}

static inline int wire_respond(struct rooms__cluster *cluster, struct rooms_name uid,
                               const struct rooms__cluster_message *message)
{
    struct node *from = (struct node *)cluster;
    for (size_t i = 0; i < node_count && !from->is_cut; i++)
        if (nodes[i] && uid.n == ROOMS__UID_SIZE && !memcmp(uid.p, nodes[i]->cluster.uid, uid.n))
            put_on_wire(nodes[i], message);
    return ROOMS_OK;
}

static inline int wire_count_others(struct rooms__cluster *cluster, uint64_t ticket)
{
    size_t others = count_extra;
    for (size_t i = 0; i < node_count; i++) others += nodes[i] && &nodes[i]->cluster != cluster;
    if (((struct node *)cluster)->is_cut) return ROOMS_EINVAL;
    rooms__cluster_counted(cluster, ticket, count_fails ? ROOMS_EINVAL : 0, others);
    return ROOMS_OK;
}

static inline int wire_log(struct rooms__cluster *cluster, const struct rooms__cluster_message *message,
                           uint64_t ticket)
{
    int result = wire_publish(cluster, message);
    if (result == ROOMS_OK) tickets[ticket_count++] = ticket;
    return result;
}

/* Hands over what stands at that place of the wire; it stays there if it is to come again. */
static inline void hand_over(size_t i, bool again)
{
    struct sent sent = wire[i];
    if (!again) memmove(&wire[i], &wire[i + 1], (--wire_count - i) * sizeof *wire);
    if (!sent.to->is_cut) rooms__cluster_receive(&sent.to->cluster, sent.message);
    if (!again) free(sent.message);
}

static inline void lose(size_t i)
{
    free(wire[i].message);
    memmove(&wire[i], &wire[i + 1], (--wire_count - i) * sizeof *wire);
}

static inline void settle(void)
{
    while (wire_count) hand_over(0, false);
}

static inline void pass(uint64_t ms)
{
    for (uint64_t end = now + ms; now < end;) {
        now += ms < 100 ? ms : 100;
        for (size_t i = 0; i < node_count; i++)
            if (nodes[i]) rooms__cluster_tick(&nodes[i]->cluster);
        settle();
    }
}

/* ------------------------------------------------------------------- local */

static inline char name_of(void *ctx)
{
    return ((struct node *)ctx)->name;
}

static inline void say_who(const struct rooms_selector *who)
{
    for (size_t i = 0; i < who->room_count; i++) say(" +%.*s", (int)who->rooms[i].n, who->rooms[i].p);
    for (size_t i = 0; i < who->except_count; i++) say(" -%.*s", (int)who->except[i].n, who->except[i].p);
}

static inline void say_message(const struct rooms_message *message)
{
    say(" %.*s", (int)message->json.n, (const char *)message->json.p);
    for (size_t i = 0; i < message->attachment_count; i++)
        say(" <%.*s>", (int)message->attachments[i].n, (const char *)message->attachments[i].p);
    if (message->offset.n) say(" @%.*s", (int)message->offset.n, message->offset.p);
}

static inline void local_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                 const struct rooms_message *message)
{
    say("%c deliver%s", name_of(ctx), flags->is_volatile ? " volatile" : "");
    say_who(who);
    say_message(message);
    say("\n");
}

static inline void local_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                          const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    struct node *node = ctx;
    say("%c ask %u", name_of(ctx), flags->timeout_ms);
    say_who(who);
    say_message(message);
    say("\n");
    node->sink = *sink;
    sink->clients(sink->ctx, node->acks);
}

static inline void local_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms,
                              size_t room_count)
{
    say("%c join", name_of(ctx));
    say_who(who);
    for (size_t i = 0; i < room_count; i++) say(" %.*s", (int)rooms[i].n, rooms[i].p);
    say("\n");
}

static inline void local_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms,
                               size_t room_count)
{
    say("%c leave", name_of(ctx));
    say_who(who);
    for (size_t i = 0; i < room_count; i++) say(" %.*s", (int)rooms[i].n, rooms[i].p);
    say("\n");
}

static inline void local_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    say("%c disconnect%s", name_of(ctx), close ? " close" : "");
    say_who(who);
    say("\n");
}

static inline void local_fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *, struct rooms_bytes),
                               void *each_ctx)
{
    char socket[16];
    (void)who;
    for (int i = 1; i <= 2; i++) {
        int n = snprintf(socket, sizeof socket, "{\"%c%d\"}", name_of(ctx), i);
        each(each_ctx, (struct rooms_bytes){(const uint8_t *)socket, (size_t)n});
    }
}

static inline struct rooms_message text_message(const char *json)
{
    return (struct rooms_message){.json = {(const uint8_t *)json, strlen(json)}};
}

static inline void local_server_side_event(void *ctx, const struct rooms_message *message,
                                           void (*answer)(void *, const struct rooms_message *), void *answer_ctx)
{
    struct node *node = ctx;
    char json[8];
    say("%c event", name_of(ctx));
    say_message(message);
    say("\n");
    node->answer = answer;
    node->answer_ctx = answer_ctx;
    if (!answer || node->answers_late) return;
    snprintf(json, sizeof json, "[\"%c\"]", name_of(ctx));
    struct rooms_message args = text_message(json);
    answer(answer_ctx, &args);
}

static inline uint64_t local_now_ms(void *ctx)
{
    (void)ctx;
    return now;
}

/* ------------------------------------------------------------------- nodes */

static const struct rooms__carrier_ops heard_ops = {.publish = wire_publish, .respond = wire_respond};
static const struct rooms__carrier_ops counting_ops = {
    .publish = wire_publish, .respond = wire_respond, .count_others = wire_count_others};
static const struct rooms__carrier_ops logging_ops = {
    .publish = wire_publish, .respond = wire_respond, .log = wire_log};

static inline struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof *node);
    struct rooms__cluster_options options;
    rooms__cluster_options_init(&options);
    options.max_requests = 3;
    options.max_nodes = 5;
    if (!heartbeats) options.heartbeat_interval_ms = 0;
    node->name = (char)('A' + node_count);
    struct rooms_local local = {
        .deliver = local_deliver,
        .deliver_with_ack = local_deliver_with_ack,
        .join = local_join,
        .leave = local_leave,
        .disconnect = local_disconnect,
        .fetch = local_fetch,
        .server_side_event = local_server_side_event,
        .recovery = logs ? &recovery : NULL,
        .now_ms = local_now_ms,
        .ctx = node,
    };
    struct rooms__cluster_setup setup = {
        .carrier = logs     ? &logging_ops
                   : counts ? &counting_ops
                            : &heard_ops,
        .options = &options,
        .stats = &stats,
        .nsp = "/",
        .local = &local,
    };
    assert_int_equal(rooms__cluster_init(&node->cluster, &setup), 0);
    nodes[node_count++] = node;
    rooms__cluster_announce(&node->cluster);
    settle();
    return node;
}

/* What it says goodbye with is heard, unless it is cut. */
static inline void node_free(size_t i)
{
    struct node *node = nodes[i];
    for (size_t w = wire_count; w-- > 0;)
        if (wire[w].to == node) lose(w);
    rooms__cluster_clear(&node->cluster);
    nodes[i] = NULL;
    for (size_t w = wire_count; w-- > 0;)
        if (wire[w].to == node) lose(w);
    free(node);
    settle();
}

static inline void setup(size_t count)
{
    memset(&stats, 0, sizeof stats);
    now = 1000;
    for (size_t i = 0; i < count; i++) node_new();
    said[0] = '\0';
}

static inline void teardown(void)
{
    for (size_t i = 0; i < node_count; i++)
        if (nodes[i]) node_free(i);
    while (wire_count) lose(0);
    node_count = ticket_count = count_extra = 0;
    counts = heartbeats = logs = count_fails = false;
    said[0] = '\0';
}

/* -------------------------------------------------------------- the asking */

static const struct rooms_name rooms[] = {{"r1", 2}, {"r2", 2}};
static const struct rooms_name except[] = {{"x", 1}};
static const struct rooms_selector selector = {rooms, 2, except, 1};
static const struct rooms_flags plain = {.compress = true};
static const struct rooms_flags here = {.compress = true, .local = true};

static inline struct rooms_adapter *adapter(size_t i)
{
    return &nodes[i]->cluster.adapter;
}

static inline void on_socket(void *ctx, struct rooms_bytes json)
{
    (void)ctx;
    say("socket %.*s\n", (int)json.n, (const char *)json.p);
}

/* Uids are random: they are said as the letters of their nodes. */
static inline void say_missing(struct rooms_name text)
{
    char copy[ROOMS__MISSING_SIZE];
    snprintf(copy, sizeof copy, "%.*s", (int)text.n, text.p);
    for (size_t i = 0; i < node_count; i++) {
        char *at = nodes[i] ? strstr(copy, nodes[i]->cluster.uid) : NULL;
        if (!at) continue;
        *at = nodes[i]->name;
        memmove(at + 1, at + ROOMS__UID_SIZE, strlen(at + ROOMS__UID_SIZE) + 1);
    }
    say("%s%s", copy[0] ? " missing " : "", copy);
}

static inline void on_done(void *ctx, int error)
{
    say("done %d", error);
    say_missing(rooms__cluster_missing(ctx));
    say("\n");
}

static inline void on_answer(void *ctx, const struct rooms_message *args)
{
    (void)ctx;
    say("answer");
    say_message(args);
    say("\n");
}

static inline void on_count(void *ctx, int error, size_t servers)
{
    (void)ctx;
    say("count %d %zu\n", error, servers);
}

static inline void sink_clients(void *ctx, size_t count)
{
    (void)ctx;
    say("clients %zu\n", count);
}

static inline void sink_counted(void *ctx)
{
    (void)ctx;
    say("counted\n");
}

static inline void sink_ack(void *ctx, const struct rooms_message *answer)
{
    (void)ctx;
    say("ack");
    say_message(answer);
    say("\n");
}

static const struct rooms_ack_sink sink = {sink_clients, sink_counted, sink_ack, NULL};

static inline void fetch(size_t i)
{
    struct rooms_selector everybody = {0};
    assert_int_equal(rooms__cluster_fetch(adapter(i), &everybody, &plain, on_socket, on_done, adapter(i)), 0);
}

static inline void ask_event(size_t i)
{
    struct rooms_message message = text_message("[\"q\"]");
    assert_int_equal(rooms__cluster_server_side_emit(adapter(i), &plain, &message, on_answer, on_done, adapter(i)), 0);
}

static inline void ask_acks(size_t i, uint32_t timeout_ms)
{
    struct rooms_selector everybody = {0};
    struct rooms_message message = text_message("[\"q\"]");
    struct rooms_flags flags = {.timeout_ms = timeout_ms};
    assert_int_equal(rooms__cluster_broadcast_with_ack(adapter(i), &everybody, &flags, &message, &sink), 0);
}

static inline void ack_from(size_t i, const char *json)
{
    struct rooms_message answer = text_message(json);
    nodes[i]->sink.ack(nodes[i]->sink.ctx, &answer);
}

static inline void broadcast(size_t i, const char *json)
{
    struct rooms_selector everybody = {0};
    struct rooms_message message = text_message(json);
    assert_int_equal(rooms__cluster_broadcast(adapter(i), &everybody, &plain, &message), 0);
}

#endif
