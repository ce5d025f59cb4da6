/* What the adapter asks for on this node (rooms_local): the way from a selector to the sockets it means. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- delivery */

struct delivery {
    const struct sio__prepared *prepared;
    struct sio_namespace *nsp;
    const struct rooms_flags *flags;
    const struct rooms_message *logged; /* NULL: it has no offset */
    /* With the offset of sockets from which something is held back, which is the same for many. */
    struct sio__prepared held;
    char held_offset[ROOMS_OFFSET_SIZE];
    bool has_held;
};

/* The message as such a socket gets it, or NULL: out of memory. */
static const struct sio__prepared *prepare_held(struct delivery *delivery, const char *offset)
{
    if (delivery->has_held && strcmp(delivery->held_offset, offset) == 0) return &delivery->held;
    struct rooms_message message = *delivery->logged;
    message.offset = (struct rooms_name){offset, strlen(offset)};
    if (delivery->has_held) sio__prepared_clear(&delivery->held);
    delivery->has_held = sio__prepare_foreign(&delivery->held, delivery->nsp, &message, NULL) == 0;
    if (!delivery->has_held) return NULL;
    sio__prepared_set_compress(&delivery->held, delivery->flags->compress);
    memcpy(delivery->held_offset, offset, message.offset.n + 1);
    return &delivery->held;
}

static void deliver_one(void *ctx, struct rooms_member *member)
{
    struct delivery *delivery = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    if (socket->state != SIO__S_CONNECTED) return;
    const char *offset = delivery->logged ? sio__hold_offset(socket) : NULL;
    const struct sio__prepared *prepared = offset ? prepare_held(delivery, offset) : delivery->prepared;
    if (prepared && sio__prepared_send(prepared, socket->session, delivery->flags->is_volatile) == 0)
        delivery->nsp->io->stats.deliveries++;
}

/* True if the selector has no exceptions, or exactly one socket by its id; *but is set to it. */
static bool excepts_one(const struct sio_namespace *nsp, const struct rooms_selector *who, struct sio_socket **but)
{
    *but = NULL;
    if (who->except_count == 0) return true;
    if (who->except_count > 1 || rooms_find(nsp->index, who->except[0])) return false;
    struct rooms_member *member = rooms_member_find(nsp->index, who->except[0]);
    if (member && rooms_is_in(nsp->index, member, who->except[0])) *but = sio__socket_of(member);
    return true;
}

/* True if the selector means exactly the members of one room object (NULL: everybody), so that it can be batched. */
static bool is_one_room(const struct sio_namespace *nsp, const struct rooms_selector *who, struct rooms_room **room)
{
    *room = NULL;
    if (who->room_count == 0) return true;
    if (who->room_count > 1) return false;
    *room = rooms_find(nsp->index, who->rooms[0]);
    if (!*room) return false;
    /* A socket of that id is in the room of that name too. */
    return (who->rooms[0].n != SIO__ID_SIZE && !nsp->has_long_ids) || !rooms_member_find(nsp->index, who->rooms[0]);
}

static void deliver_message(const struct rooms_selector *who, struct delivery *delivery)
{
    struct sio_namespace *nsp = delivery->nsp;
    struct sio_socket *but;
    struct rooms_room *room;
    if (!delivery->flags->is_volatile && is_one_room(nsp, who, &room) &&
        !(delivery->logged && sio__holds_any(nsp, room)) && excepts_one(nsp, who, &but) &&
        sio__batch_add(nsp, room, but, delivery->prepared) == 0)
        return;
    sio__batch_settle(nsp->io);
    rooms_each_unchanged(nsp->index, who, deliver_one, delivery);
    if (delivery->has_held) sio__prepared_clear(&delivery->held);
}

/* Volatile events are not logged; those that end with text carry the offset of the last event that was. */
static struct rooms_message with_offset(const struct sio_namespace *nsp, const struct rooms_flags *flags,
                                        const struct rooms_message *message, char *offset)
{
    struct rooms_message full = *message;
    if (nsp->recovers && flags->is_volatile && full.offset.n == 0 &&
        sio__args_end_with_text(sio__args_of_message(message)))
        full.offset = nsp->adapter->ops->last_offset(nsp->adapter, offset);
    return full;
}

static void local_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                          const struct rooms_message *message)
{
    struct sio_namespace *nsp = ctx;
    struct sio__prepared foreign;
    char offset[ROOMS_OFFSET_SIZE];
    struct delivery delivery = {.prepared = &foreign, .nsp = nsp, .flags = flags};
    sio__outgoing_many(nsp, who, message);
    if (message->prepared) {
        delivery.prepared = sio__prepared_of(message->prepared);
        deliver_message(who, &delivery);
        return;
    }
    struct rooms_message full = with_offset(nsp, flags, message, offset);
    if (sio__prepare_foreign(&foreign, nsp, &full, NULL) != 0) return;
    sio__prepared_set_compress(&foreign, flags->compress);
    if (full.offset.n) delivery.logged = &full;
    deliver_message(who, &delivery);
    sio__prepared_clear(&foreign);
}

/* --------------------------------------------------------------- by target */

struct room_change {
    const struct rooms_name *rooms;
    size_t count;
};

static void join_one(void *ctx, struct rooms_member *member)
{
    const struct room_change *change = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    for (size_t i = 0; i < change->count && sio_socket_is_connected(socket); i++)
        sio_join(socket, (struct eio_str){change->rooms[i].p, change->rooms[i].n});
}

static void leave_one(void *ctx, struct rooms_member *member)
{
    const struct room_change *change = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    for (size_t i = 0; i < change->count && sio_socket_is_connected(socket); i++)
        sio_leave(socket, (struct eio_str){change->rooms[i].p, change->rooms[i].n});
}

static void local_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count)
{
    struct sio_namespace *nsp = ctx;
    rooms_each(nsp->index, who, join_one, &(struct room_change){rooms, room_count});
}

static void local_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count)
{
    struct sio_namespace *nsp = ctx;
    rooms_each(nsp->index, who, leave_one, &(struct room_change){rooms, room_count});
}

/* ------------------------------------------------------------------- fetch */

enum { FETCH_BYTES = 4096 }; /* more than most sockets need */

struct fetch {
    void (*each)(void *ctx, struct rooms_bytes json);
    void *ctx;
    struct sio_builder builder; /* the same for all sockets */
};

static void put_rooms(struct sio_socket *socket, struct sio_builder *builder)
{
    struct eio_str room;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        if (i) sio__put_literal(builder, ",");
        sio_builder_put_text(builder, room.p, room.n);
    }
}

static void put_data(struct sio_socket *socket, struct sio_builder *builder)
{
    char *data = socket->data ? json_dumps(socket->data, JSON_COMPACT) : NULL;
    sio_builder_put(builder, data ? data : "{}");
    free(data);
}

static void fetch_one(void *ctx, struct rooms_member *member)
{
    struct fetch *fetch = ctx;
    struct sio_builder *builder = &fetch->builder;
    struct sio_socket *socket = sio__socket_of(member);
    if (!sio_socket_is_connected(socket)) return;
    builder->error = 0;
    builder->size = 0;
    sio__builder_reserve(builder, FETCH_BYTES);
    sio__put_literal(builder, "{\"id\":");
    sio_builder_put_text(builder, sio__socket_name(socket).p, sio__socket_name(socket).n);
    sio__put_literal(builder, ",\"handshake\":");
    sio_socket_put_handshake(socket, builder);
    sio__put_literal(builder, ",\"rooms\":[");
    put_rooms(socket, builder);
    sio__put_literal(builder, "],\"data\":");
    put_data(socket, builder);
    sio__put_literal(builder, "}");
    struct eio_str json = sio_builder_args(builder).json;
    if (!builder->error) fetch->each(fetch->ctx, (struct rooms_bytes){(const uint8_t *)json.p, json.n});
}

static void local_fetch(void *ctx, const struct rooms_selector *who,
                        void (*each)(void *each_ctx, struct rooms_bytes json), void *each_ctx)
{
    struct sio_namespace *nsp = ctx;
    struct fetch fetch = {.each = each, .ctx = each_ctx};
    sio_builder_init(&fetch.builder);
    rooms_each(nsp->index, who, fetch_one, &fetch);
    sio_builder_clear(&fetch.builder);
}

/* ------------------------------------------------------- server-side events */

static void run_server_handlers(const struct sio_namespace *nsp, const struct sio_event *event)
{
    struct sio__hook *hook = nsp->parent ? sio__events_find(&nsp->parent->behaviour.server_events, event->name) : NULL;
    for (; hook; hook = hook->next) hook->fn.event(NULL, event, hook->ctx);
    hook = sio__events_find(&nsp->behaviour.server_events, event->name);
    for (; hook; hook = hook->next) hook->fn.event(NULL, event, hook->ctx);
}

static bool local_server_side_event(void *ctx, const struct rooms_message *message,
                                    void (*answer)(void *answer_ctx, const struct rooms_message *args),
                                    void *answer_ctx)
{
    struct sio_namespace *nsp = ctx;
    struct sio_args all = sio__args_of_message(message);
    struct eio_str raw = sio_args_at(all, 0);
    char *name = raw.n ? malloc(raw.n) : NULL;
    if (!name) return false;
    struct sio__answer_to answer_to = {.nsp = nsp, .answer = answer, .ctx = answer_ctx};
    struct sio_event event = {
        .name = raw.p[0] == '"' ? (struct eio_str){name, sio__json_decode_text(raw, name)} : raw,
        .args = sio_args_skip(all, 1),
        .wants_ack = answer != NULL,
        .private_state = &answer_to,
    };
    run_server_handlers(nsp, &event);
    free(name);
    return answer_to.is_owed;
}

static uint64_t local_now_ms(void *ctx)
{
    const struct sio_namespace *nsp = ctx;
    return eio_loop_now_ms(nsp->io->loop);
}

void sio__namespace_fill_local(struct sio_namespace *nsp, struct rooms_local *local)
{
    *local = (struct rooms_local){
        .deliver = local_deliver,
        .deliver_with_ack = sio__deliver_with_ack,
        .join = local_join,
        .leave = local_leave,
        .disconnect = sio__local_disconnect,
        .fetch = local_fetch,
        .server_side_event = local_server_side_event,
        .evict = sio__recovery_evict,
        .index = nsp->index,
        .recovery = nsp->io->options.recovery.enabled ? &nsp->io->recovery : NULL,
        .now_ms = local_now_ms,
        .ctx = nsp,
    };
}
