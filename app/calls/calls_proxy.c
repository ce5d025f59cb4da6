/* The namespace "/" as its adapter sees it. Everything is passed on, but what concerns a call is checked on its way,
 * wherever it comes from: messages pass the gates, and no socket joins a call's room without the right to it. */
#include "calls_gate.h"
#include "calls_listing.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64 /* more are rare enough for malloc() */

struct calls_proxy {
    struct calls *calls;
    struct rooms_local local; /* the namespace's own */
    struct rooms_adapter *adapter;
};

/* --------------------------------------------------------------- messages */

static struct calls_gated *call_of(const struct calls *calls, struct rooms_name room)
{
    char call_id[KIT_ID_SIZE];
    struct calls_gated *call = NULL;
    if (calls_room_call((struct eio_str){room.p, room.n}, call_id)) HASH_FIND_STR(calls->gated, call_id, call);
    return call;
}

int64_t calls_event_seq(struct eio_str json)
{
    struct sio_args all = {{json.p + 1, json.n - 2}, NULL, 0}; /* without the brackets */
    struct eio_str number = sio_json_member(sio_args_at(all, 1), "seq");
    return number.n ? strtoll(number.p, NULL, 10) : INT64_MAX; /* a bracket or comma ends it */
}

/* The selector without those whose gates stop the message. */
struct passing {
    struct rooms_selector who;
    struct rooms_name some[NAMES_MAX], *except;
};

/* Fills in `passing` if the message is for a call with gates. Negative: out of memory, and the message must not be
 * delivered. */
static int pass_gates(struct calls *calls, const struct rooms_selector *who, const struct rooms_message *message,
                      bool keeps, struct passing *passing)
{
    size_t most = who->except_count, count = who->except_count;
    bool stops = false;
    passing->except = passing->some;
    passing->who = *who;
    for (size_t i = 0; i < who->room_count; i++) {
        const struct calls_gated *call = call_of(calls, who->rooms[i]);
        if (call) most += calls_gates_count(call);
        stops |= call != NULL;
    }
    if (!stops) return 0;
    if (most > NAMES_MAX) passing->except = malloc(most * sizeof *passing->except);
    if (!passing->except) return EIO_ENOMEM;
    if (count) memcpy(passing->except, who->except, count * sizeof *passing->except);
    int64_t seq = calls_event_seq((struct eio_str){(const char *)message->json.p, message->json.n});
    calls->gated_messages++;
    for (size_t i = 0; i < who->room_count; i++) {
        struct calls_gated *call = call_of(calls, who->rooms[i]);
        if (!call || call->seen == calls->gated_messages) continue;
        call->seen = calls->gated_messages;
        count += calls_gates_stop(call, who, keeps ? message : NULL, seq, passing->except + count);
    }
    passing->who = (struct rooms_selector){who->rooms, who->room_count, passing->except, count};
    return 0;
}

static void passed(const struct passing *passing)
{
    if (passing->except != passing->some) free(passing->except);
}

static void on_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                       const struct rooms_message *message)
{
    struct calls_proxy *proxy = ctx;
    struct passing passing;
    if (!proxy->calls->gated) {
        proxy->local.deliver(proxy->local.ctx, who, flags, message);
        return;
    }
    if (pass_gates(proxy->calls, who, message, true, &passing)) return;
    proxy->local.deliver(proxy->local.ctx, &passing.who, flags, message);
    passed(&passing);
}

/* Sockets that wait at a gate are not asked for acks: theirs would come too late. */
static void on_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    static const struct rooms_name no_room = {"", 0};
    static const struct rooms_selector nobody = {.rooms = &no_room, .room_count = 1};
    struct calls_proxy *proxy = ctx;
    struct passing passing;
    bool fails = pass_gates(proxy->calls, who, message, false, &passing) != 0;
    proxy->local.deliver_with_ack(proxy->local.ctx, fails ? &nobody : &passing.who, flags, message, sink);
    if (!fails) passed(&passing);
}

void calls_proxy_send(const struct calls *calls, const struct sio_socket *socket, struct eio_str json,
                      const char *offset)
{
    const struct calls_proxy *proxy = calls->proxy;
    const struct rooms_name own = {sio_socket_id(socket), strlen(sio_socket_id(socket))};
    const struct rooms_selector who = {.rooms = &own, .room_count = 1};
    const struct rooms_flags flags = {.compress = true};
    const struct rooms_message message = {
        .json = {(const uint8_t *)json.p, json.n},
        .offset = {offset, strlen(offset)},
    };
    proxy->local.deliver(proxy->local.ctx, &who, &flags, &message);
}

bool calls_proxy_hears(const struct calls *calls, const struct sio_socket *socket, const char *call_id)
{
    struct rooms_adapter *adapter = calls->proxy->adapter;
    char own[KIT_ID_SIZE];
    struct eio_str room;
    if (!adapter->ops->hears) return true;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        bool is_of_call = calls_room_call(room, own) && !strcmp(own, call_id);
        if (is_of_call && !adapter->ops->hears(adapter, (struct rooms_name){room.p, room.n})) return false;
    }
    return true;
}

/* ------------------------------------------------------------------- rooms */

/* Joins of a call's rooms are checked; the rooms of listings are reserved; others are passed on. */
static void on_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    struct calls_proxy *proxy = ctx;
    struct rooms_name some[NAMES_MAX], *others = count > NAMES_MAX ? malloc(count * sizeof *others) : some;
    size_t other_count = 0;
    char call_id[KIT_ID_SIZE];
    if (!others) return;
    for (size_t i = 0; i < count; i++) {
        if (calls_room_call((struct eio_str){rooms[i].p, rooms[i].n}, call_id))
            calls_access_join(proxy->calls, who, call_id);
        else if (!calls_room_is_listing((struct eio_str){rooms[i].p, rooms[i].n}))
            others[other_count++] = rooms[i];
    }
    if (other_count) proxy->local.join(proxy->local.ctx, who, others, other_count);
    if (others != some) free(others);
}

/* ------------------------------------------------------------- passing on */

static void on_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    struct calls_proxy *proxy = ctx;
    proxy->local.leave(proxy->local.ctx, who, rooms, count);
}

static void on_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    struct calls_proxy *proxy = ctx;
    proxy->local.disconnect(proxy->local.ctx, who, close);
}

static void on_fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *each_ctx, struct rooms_bytes json),
                     void *each_ctx)
{
    struct calls_proxy *proxy = ctx;
    proxy->local.fetch(proxy->local.ctx, who, each, each_ctx);
}

static bool on_server_side_event(void *ctx, const struct rooms_message *message,
                                 void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx)
{
    struct calls_proxy *proxy = ctx;
    return proxy->local.server_side_event(proxy->local.ctx, message, answer, answer_ctx);
}

static void on_evict(void *ctx, struct rooms_name pid)
{
    struct calls_proxy *proxy = ctx;
    proxy->local.evict(proxy->local.ctx, pid);
}

static uint64_t on_now_ms(void *ctx)
{
    struct calls_proxy *proxy = ctx;
    return proxy->local.now_ms(proxy->local.ctx);
}

struct rooms_adapter *calls_proxy_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct calls *calls = ctx;
    struct calls_proxy *proxy = calls->proxy = calloc(1, sizeof *proxy);
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
    return proxy->adapter = kit_make_adapter(calls->kit, namespace_name, &mine);
}
