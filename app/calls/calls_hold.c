/* Holding back what is broadcast to a call for a socket that waits for its snapshot: between the namespace and its
 * adapter, so that it does not matter where a message comes from. While nobody waits, a message passes by with one
 * test.
 *
 * What another process had stored before the snapshot was read may be broadcast after it was given. So for a while the
 * socket is spared what its snapshot holds. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define HOLD_MESSAGES_MAX 4096
#define HOLD_BYTES_MAX 4194304
#define LATE_MS 10000 /* how long a process may take from storing to broadcasting */
#define EXCEPT_MAX 64 /* more are rare enough for malloc() */

struct held {
    struct held *next;
    uint64_t number;
    size_t size;
    char json[]; /* ["name",arg] */
};

struct calls_hold {
    struct calls *calls;
    struct calls_held_call *call;
    struct calls_hold *next;
    char sid[21];
    struct held *first, **last;
    size_t count, bytes;
    struct eio_timer timer; /* once released: its end */
    int64_t seq;            /* likewise: the snapshot's; else -1 */
    uint64_t began;         /* the number of the first message that it could hold */
    bool is_lost;
};

/* A call about which something is held: a message finds it by its room. */
struct calls_held_call {
    char call_id[KIT_ID_SIZE];
    struct calls_hold *holds;
    UT_hash_handle hh;
};

/* The namespace "/" as its adapter sees it: everything goes on, deliveries are looked at. */
struct calls_adapter_proxy {
    struct calls *calls;
    struct rooms_local local; /* the namespace's own */
};

/* ----------------------------------------------------------------- holding */

static struct calls_held_call *call_of_room(const struct calls *calls, struct rooms_name room, const char *prefix)
{
    struct calls_held_call *call = NULL;
    size_t n = strlen(prefix);
    if (room.n > n && !memcmp(room.p, prefix, n)) HASH_FIND(hh, calls->held_calls, room.p + n, room.n - n, call);
    return call;
}

/* The application names one room only, or both of one call. */
static struct calls_held_call *call_of(const struct calls *calls, const struct rooms_selector *who)
{
    if (!calls->held_calls) return NULL;
    for (size_t i = 0; i < who->room_count; i++) {
        struct calls_held_call *call = call_of_room(calls, who->rooms[i], CALLS_ROOM);
        if (!call) call = call_of_room(calls, who->rooms[i], CALLS_SUPERVISOR_ROOM);
        if (call) return call;
    }
    return NULL;
}

/* Of a call's event; INT64_MAX: it has none. */
static int64_t seq_of(struct eio_str json)
{
    struct sio_args all = {{json.p + 1, json.n - 2}, NULL, 0}; /* without the brackets */
    struct eio_str number = sio_json_member(sio_args_at(all, 1), "seq");
    return number.n ? strtoll(number.p, NULL, 10) : INT64_MAX; /* a bracket or comma ends it */
}

static bool keeps(const struct calls_hold *hold, int64_t seq)
{
    return hold->seq < 0 || seq <= hold->seq;
}

static void keep(struct calls_hold *hold, const struct rooms_message *message)
{
    struct held *held = NULL;
    if (hold->is_lost || hold->seq >= 0) return;
    if (hold->count < HOLD_MESSAGES_MAX && hold->bytes + message->json.n <= HOLD_BYTES_MAX)
        held = malloc(sizeof *held + message->json.n);
    hold->is_lost = !held;
    if (!held) return;
    held->next = NULL;
    held->number = hold->calls->held_messages;
    held->size = message->json.n;
    memcpy(held->json, message->json.p, message->json.n);
    *hold->last = held;
    hold->last = &held->next;
    hold->count++;
    hold->bytes += held->size;
}

static void deliver_but(struct calls_adapter_proxy *proxy, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_message *message,
                        const struct calls_held_call *call)
{
    struct rooms_name some[EXCEPT_MAX], *except = some;
    size_t count = who->except_count, most = count;
    int64_t seq = seq_of((struct eio_str){(const char *)message->json.p, message->json.n});
    proxy->calls->held_messages++;
    for (const struct calls_hold *hold = call->holds; hold; hold = hold->next) most += keeps(hold, seq);
    if (most > EXCEPT_MAX) except = malloc(most * sizeof *except);
    if (!except) return;
    if (count) memcpy(except, who->except, count * sizeof *except);
    for (struct calls_hold *hold = call->holds; hold; hold = hold->next) {
        if (!keeps(hold, seq)) continue;
        keep(hold, message);
        except[count++] = (struct rooms_name){hold->sid, strlen(hold->sid)};
    }
    struct rooms_selector rest = {who->rooms, who->room_count, except, count};
    proxy->local.deliver(proxy->local.ctx, &rest, flags, message);
    if (except != some) free(except);
}

static void on_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                       const struct rooms_message *message)
{
    struct calls_adapter_proxy *proxy = ctx;
    const struct calls_held_call *call = call_of(proxy->calls, who);
    if (call)
        deliver_but(proxy, who, flags, message, call);
    else
        proxy->local.deliver(proxy->local.ctx, who, flags, message);
}

/* ------------------------------------------------------------- passing on */

static void on_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.deliver_with_ack(proxy->local.ctx, who, flags, message, sink);
}

static void on_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.join(proxy->local.ctx, who, rooms, count);
}

static void on_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.leave(proxy->local.ctx, who, rooms, count);
}

static void on_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.disconnect(proxy->local.ctx, who, close);
}

static void on_fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *each_ctx, struct rooms_bytes json),
                     void *each_ctx)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.fetch(proxy->local.ctx, who, each, each_ctx);
}

static bool on_server_side_event(void *ctx, const struct rooms_message *message,
                                 void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx)
{
    struct calls_adapter_proxy *proxy = ctx;
    return proxy->local.server_side_event(proxy->local.ctx, message, answer, answer_ctx);
}

static void on_evict(void *ctx, struct rooms_name pid)
{
    struct calls_adapter_proxy *proxy = ctx;
    proxy->local.evict(proxy->local.ctx, pid);
}

static uint64_t on_now_ms(void *ctx)
{
    struct calls_adapter_proxy *proxy = ctx;
    return proxy->local.now_ms(proxy->local.ctx);
}

struct rooms_adapter *calls_hold_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct calls *calls = ctx;
    struct calls_adapter_proxy *proxy = calls->proxy = calloc(1, sizeof *proxy);
    if (!proxy) return NULL;
    proxy->calls = calls;
    proxy->local = *local;
    struct rooms_local mine = *local;
    mine.deliver = on_deliver;
    mine.deliver_with_ack = on_deliver_with_ack;
    mine.join = on_join;
    mine.leave = on_leave;
    mine.disconnect = on_disconnect;
    mine.fetch = on_fetch;
    mine.server_side_event = on_server_side_event;
    mine.evict = local->evict ? on_evict : NULL;
    mine.now_ms = on_now_ms;
    mine.ctx = proxy;
    return kit_make_adapter(calls->kit, namespace_name, &mine);
}

/* ---------------------------------------------------------------- lifetime */

static void on_late(void *ctx)
{
    calls_hold_free(ctx);
}

static struct calls_held_call *get_call(struct calls *calls, const char *call_id)
{
    struct calls_held_call *call;
    HASH_FIND_STR(calls->held_calls, call_id, call);
    if (call) return call;
    call = calloc(1, sizeof *call);
    if (!call) return NULL;
    snprintf(call->call_id, sizeof call->call_id, "%s", call_id);
    HASH_ADD_STR(calls->held_calls, call_id, call);
    return call;
}

struct calls_hold *calls_hold_new(struct calls *calls, const char *sid, const char *call_id)
{
    struct calls_hold *hold = calloc(1, sizeof *hold);
    struct calls_held_call *call = hold ? get_call(calls, call_id) : NULL;
    if (!call) {
        free(hold);
        return NULL;
    }
    hold->calls = calls;
    hold->call = call;
    snprintf(hold->sid, sizeof hold->sid, "%s", sid);
    hold->last = &hold->first;
    hold->seq = -1;
    eio_timer_init(&hold->timer, calls->kit->loop, on_late, hold);
    hold->began = calls->held_messages + 1;
    hold->next = call->holds;
    call->holds = hold;
    return hold;
}

bool calls_hold_is_lost(const struct calls_hold *hold)
{
    return hold->is_lost;
}

static void unlink_hold(struct calls_hold *hold)
{
    struct calls_held_call *call = hold->call;
    struct calls_hold **at = &call->holds;
    while (*at != hold) at = &(*at)->next;
    *at = hold->next;
    if (call->holds) return;
    HASH_DEL(hold->calls->held_calls, call);
    free(call);
}

static void send_held(const struct held *held, struct sio_socket *socket, int64_t seq)
{
    char name[64];
    struct sio_args all = {{held->json + 1, held->size - 2}, NULL, 0};
    if (seq_of((struct eio_str){held->json, held->size}) <= seq) return;
    if (sio_args_text(all, 0, name, sizeof name) >= 0) sio_emit(sio_only(socket), name, sio_args_skip(all, 1));
}

static void forget(struct calls_hold *hold)
{
    while (hold->first) {
        struct held *next = hold->first->next;
        free(hold->first);
        hold->first = next;
    }
}

/* From where on another answer to the same socket about the same call holds everything, too. */
static uint64_t held_twice_from(const struct calls_hold *hold)
{
    uint64_t from = UINT64_MAX;
    for (const struct calls_hold *other = hold->call->holds; other; other = other->next)
        if (other != hold && other->seq < 0 && !strcmp(other->sid, hold->sid) && other->began < from)
            from = other->began;
    return from;
}

void calls_hold_release(struct calls_hold *take_hold, struct sio_socket *socket, int64_t seq)
{
    uint64_t until = held_twice_from(take_hold);
    for (const struct held *held = take_hold->first; held && held->number < until; held = held->next)
        send_held(held, socket, seq);
    forget(take_hold);
    take_hold->seq = seq;
    if (eio_timer_start(&take_hold->timer, LATE_MS)) calls_hold_free(take_hold);
}

void calls_hold_free(struct calls_hold *hold)
{
    if (!hold) return;
    unlink_hold(hold);
    eio_timer_stop(&hold->timer);
    forget(hold);
    free(hold);
}

void calls_holds_clear(struct calls *calls)
{
    while (calls->held_calls) calls_hold_free(calls->held_calls->holds);
}
