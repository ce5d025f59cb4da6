/* What a node is made to do, and what those who ask are told, said in a log: "A deliver +room [...]". For adapters
 * without sockets. */
#ifndef CLUSTER_LOCAL_H
#define CLUSTER_LOCAL_H

#include "rooms_cluster_int.h"
#include "test.h"

#include <string.h>
#include <time.h>

enum { PEERS_MAX = 4, LOG_SIZE = 4096 };

struct peer {
    struct rooms_adapter *adapter; /* begins with struct rooms_cluster */
    char name;                     /* 'A'… */
    unsigned acks;                 /* clients here, of whom each answers when told to */
    struct rooms_ack_sink sink;    /* of the last delivery with ack */
    void (*answer)(void *ctx, const struct rooms_message *args);
    void *answer_ctx;
    bool answers_late;
    const char *holds; /* the pid of a session whose connection counts as alive here */
    void (*save)(struct peer *peer);
};

static struct peer *peers[PEERS_MAX];
static uint64_t now; /* 0: the real time */
static char said[LOG_SIZE];

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

/* ------------------------------------------------------------------- local */

static inline char name_of(void *ctx)
{
    return ((struct peer *)ctx)->name;
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
    struct peer *peer = ctx;
    say("%c ask %u", name_of(ctx), flags->timeout_ms);
    say_who(who);
    say_message(message);
    say("\n");
    peer->sink = *sink;
    sink->clients(sink->ctx, peer->acks);
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
        int n = snprintf(socket, sizeof socket, "{\"%c\":%d}", name_of(ctx), i);
        each(each_ctx, (struct rooms_bytes){(const uint8_t *)socket, (size_t)n});
    }
}

static inline struct rooms_message text_message(const char *json)
{
    return (struct rooms_message){.json = {(const uint8_t *)json, strlen(json)}};
}

static inline bool local_server_side_event(void *ctx, const struct rooms_message *message,
                                           void (*answer)(void *, const struct rooms_message *), void *answer_ctx)
{
    struct peer *peer = ctx;
    char json[8];
    say("%c event", name_of(ctx));
    say_message(message);
    say("\n");
    peer->answer = answer;
    peer->answer_ctx = answer_ctx;
    if (!answer || peer->answers_late) return answer != NULL;
    snprintf(json, sizeof json, "[\"%c\"]", name_of(ctx));
    struct rooms_message args = text_message(json);
    answer(answer_ctx, &args);
    return false;
}

static inline uint64_t local_now_ms(void *ctx)
{
    struct timespec time;
    (void)ctx;
    if (now) return now;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static inline void local_evict(void *ctx, struct rooms_name pid)
{
    struct peer *peer = ctx;
    if (!peer->holds || strlen(peer->holds) != pid.n || memcmp(peer->holds, pid.p, pid.n) != 0) return;
    peer->holds = NULL;
    say("%c evict\n", peer->name);
    peer->save(peer);
}

static inline struct rooms_local peer_local(struct peer *peer, const struct rooms_recovery *recovery)
{
    return (struct rooms_local){
        .deliver = local_deliver,
        .deliver_with_ack = local_deliver_with_ack,
        .join = local_join,
        .leave = local_leave,
        .disconnect = local_disconnect,
        .fetch = local_fetch,
        .server_side_event = local_server_side_event,
        .evict = local_evict,
        .recovery = recovery,
        .now_ms = local_now_ms,
        .ctx = peer,
    };
}

/* -------------------------------------------------------------- the asking */

static const struct rooms_name rooms[] = {{"r1", 2}, {"r2", 2}};
static const struct rooms_name except[] = {{"x", 1}};
static const struct rooms_selector selector = {rooms, 2, except, 1};
static const struct rooms_flags plain = {.compress = true};
static const struct rooms_flags here = {.compress = true, .local = true};

static inline struct rooms_adapter *adapter(size_t i)
{
    return peers[i]->adapter;
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
    for (size_t i = 0; i < PEERS_MAX; i++) {
        char *at = peers[i] ? strstr(copy, ((struct rooms_cluster *)peers[i]->adapter)->state->uid) : NULL;
        if (!at) continue;
        *at = peers[i]->name;
        memmove(at + 1, at + ROOMS_UID_SIZE, strlen(at + ROOMS_UID_SIZE) + 1);
    }
    say("%s%s", copy[0] ? " missing " : "", copy);
}

static inline void on_done(void *ctx, int error)
{
    say("done %d", error);
    say_missing(rooms_cluster_missing(ctx));
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
    assert_int_equal(rooms_cluster_fetch(adapter(i), &everybody, &plain, on_socket, on_done, adapter(i)), 0);
}

static inline void ask_event(size_t i)
{
    struct rooms_message message = text_message("[\"q\"]");
    assert_int_equal(rooms_cluster_server_side_emit(adapter(i), &plain, &message, on_answer, on_done, adapter(i)), 0);
}

static inline void ask_acks(size_t i, uint32_t timeout_ms)
{
    struct rooms_selector everybody = {0};
    struct rooms_message message = text_message("[\"q\"]");
    struct rooms_flags flags = {.timeout_ms = timeout_ms};
    assert_int_equal(rooms_cluster_broadcast_with_ack(adapter(i), &everybody, &flags, &message, &sink), 0);
}

static inline void ack_from(size_t i, const char *json)
{
    struct rooms_message answer = text_message(json);
    peers[i]->sink.ack(peers[i]->sink.ctx, &answer);
}

static inline void broadcast(size_t i, const char *json)
{
    struct rooms_selector everybody = {0};
    struct rooms_message message = text_message(json);
    assert_int_equal(rooms_cluster_broadcast(adapter(i), &everybody, &plain, &message), 0);
}

#endif
