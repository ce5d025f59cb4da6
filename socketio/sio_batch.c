/* The open batch: broadcasts to one room are not handed to each member one by one. Those of a turn that go to the same
 * room are collected and walk the room once, when the turn ends: one write per member, however many frames there are.
 *
 * Each receiver must still get everything in the order in which it was emitted. So whatever is sent to a member in
 * between makes it an exception: it is given the frames so far on its own (they are "taken"), and at the end the rest.
 * A sender that is left out of its own broadcast, and a member that joins late, have taken frames they never got.
 * Anything that would make exceptions of many settles the batch instead: the sessions get it queued. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <string.h>

/* A send takes thousands of cycles in the kernel, which uses the cache for itself: what is fetched much earlier is gone
 * again when it is needed. */
enum { PREFETCH_SOCKETS = 2, PREFETCH_SESSIONS = 1, CACHE_LINE_BYTES = 64 };
enum { SESSION_LINES = 4 }; /* with what its transport looks at when it writes */

int sio__batch_init(struct sio__batch *batch)
{
    batch->frames = eio_batch_new();
    return batch->frames ? 0 : EIO_ENOMEM;
}

void sio__batch_clear(struct sio__batch *batch)
{
    eio_batch_free(batch->frames);
    batch->frames = NULL;
}

/* -------------------------------------------------------------- exceptions */

static struct sio__exception *exception_of(struct sio__batch *batch, const struct sio_socket *socket)
{
    if (!socket->has_exception) return NULL;
    struct sio__exception *exception = batch->exceptions;
    while (exception->socket != socket) exception++;
    return exception;
}

static void forget_exception(struct sio__batch *batch, struct sio_socket *socket)
{
    struct sio__exception *exception = exception_of(batch, socket);
    if (!exception) return;
    socket->has_exception = false;
    *exception = batch->exceptions[--batch->exception_count];
}

static size_t taken_by(struct sio__batch *batch, const struct sio_socket *socket)
{
    const struct sio__exception *exception = exception_of(batch, socket);
    return exception ? exception->taken : 0;
}

static size_t messages_taken_by(struct sio__batch *batch, const struct sio_socket *socket)
{
    const struct sio__exception *exception = exception_of(batch, socket);
    return exception ? exception->messages_taken : 0;
}

/* From now on the socket has taken all frames so far. If there is no place to remember it, the batch is settled. */
static void set_taken(struct sio_server *io, struct sio_socket *socket)
{
    struct sio__batch *batch = &io->batch;
    struct sio__exception *exception = exception_of(batch, socket);
    if (!exception) {
        if (batch->exception_count == SIO__BATCH_EXCEPTIONS_MAX) {
            sio__batch_settle(io);
            return;
        }
        exception = &batch->exceptions[batch->exception_count++];
        exception->socket = socket;
        socket->has_exception = true;
    }
    exception->taken = eio_batch_count(batch->frames);
    exception->messages_taken = batch->messages;
}

static void send_frames(const struct sio__batch *batch, const struct sio_socket *socket, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) eio_session_send(socket->session, eio_batch_frame(batch->frames, i));
}

/* What it has not taken yet. */
static void send_rest(struct sio__batch *batch, const struct sio_socket *socket)
{
    batch->nsp->io->stats.deliveries += batch->messages - messages_taken_by(batch, socket);
    send_frames(batch, socket, taken_by(batch, socket), eio_batch_count(batch->frames));
}

/* ---------------------------------------------------------------- delivery */

/* The open room's members, or the sockets of the namespace. */
struct receivers {
    struct rooms_member *const *members;
    struct sio_socket *const *sockets;
    size_t count;
};

static struct receivers receivers_of(const struct sio__batch *batch)
{
    struct receivers receivers = {NULL, batch->nsp->sockets, batch->nsp->socket_count};
    if (batch->room) receivers.members = rooms_room_members(batch->room, &receivers.count);
    return receivers;
}

static inline struct sio_socket *receiver_at(const struct receivers *receivers, size_t i)
{
    return receivers->members ? sio__socket_of(receivers->members[i]) : receivers->sockets[i];
}

static inline void prefetch(const struct receivers *receivers, size_t i)
{
    if (i + PREFETCH_SOCKETS < receivers->count) __builtin_prefetch(receiver_at(receivers, i + PREFETCH_SOCKETS));
    if (i + PREFETCH_SESSIONS < receivers->count) {
        const char *session = (const char *)receiver_at(receivers, i + PREFETCH_SESSIONS)->session;
        for (size_t line = 0; line < SESSION_LINES; line++) __builtin_prefetch(session + line * CACHE_LINE_BYTES);
    }
}

/* Sessions never call back while they are sent to: the room stays as it is during the walk. */
static void walk_members(struct sio__batch *batch)
{
    struct receivers receivers = receivers_of(batch);
    uint64_t deliveries = 0;
    for (size_t i = 0; i < receivers.count; i++) {
        prefetch(&receivers, i);
        struct sio_socket *socket = receiver_at(&receivers, i);
        if (socket->state != SIO__S_CONNECTED) continue;
        if (socket->has_exception) {
            send_rest(batch, socket);
        } else {
            eio_session_send_batch(socket->session, batch->frames);
            deliveries += batch->messages;
        }
    }
    batch->nsp->io->stats.deliveries += deliveries;
}

static void empty_batch(struct sio__batch *batch)
{
    eio_batch_clear(batch->frames);
    for (size_t i = 0; i < batch->exception_count; i++) batch->exceptions[i].socket->has_exception = false;
    batch->exception_count = 0;
    batch->messages = 0;
    batch->bytes = 0;
    batch->nsp = NULL;
    batch->room = NULL;
}

void sio__batch_settle(struct sio_server *io)
{
    if (!io->batch.nsp) return;
    walk_members(&io->batch);
    empty_batch(&io->batch);
}

/* Out of memory amid a packet's frames: the first `count` frames go, the broken packet does not. */
static void settle_whole_packets(struct sio__batch *batch, size_t count)
{
    struct receivers receivers = receivers_of(batch);
    for (size_t i = 0; i < receivers.count; i++) {
        struct sio_socket *socket = receiver_at(&receivers, i);
        if (socket->state == SIO__S_CONNECTED) send_frames(batch, socket, taken_by(batch, socket), count);
    }
    empty_batch(batch);
}

/* ---------------------------------------------------- what happens meanwhile */

static bool is_receiver(const struct sio__batch *batch, const struct sio_socket *socket)
{
    if (socket->nsp != batch->nsp || socket->state != SIO__S_CONNECTED) return false;
    return !batch->room || rooms_room_has(batch->room, &socket->member);
}

static void catch_up(struct sio_server *io, struct sio_socket *socket)
{
    struct sio__batch *batch = &io->batch;
    size_t taken = taken_by(batch, socket);
    if (taken == eio_batch_count(batch->frames)) return;
    if (!socket->has_exception && batch->exception_count == SIO__BATCH_EXCEPTIONS_MAX) {
        sio__batch_settle(io);
        return;
    }
    send_rest(batch, socket);
    set_taken(io, socket);
}

void sio__batch_catch_up(struct sio_client *client)
{
    struct sio_server *io = client->io;
    struct sio_socket *socket = sio__client_socket(client, io->batch.nsp);
    if (socket && is_receiver(&io->batch, socket)) catch_up(io, socket);
}

static bool is_open_room(const struct sio__batch *batch, struct eio_str room)
{
    if (!batch->room) return false;
    struct rooms_name name = rooms_room_name(batch->room);
    return name.n == room.n && memcmp(name.p, room.p, name.n) == 0;
}

void sio__batch_joining(struct sio_socket *socket, struct eio_str room)
{
    struct sio_server *io = socket->nsp->io;
    struct sio__batch *batch = &io->batch;
    if (batch->nsp != socket->nsp) return;
    bool concerned = room.p ? is_open_room(batch, room) : !batch->room || rooms_room_has(batch->room, &socket->member);
    if (concerned) set_taken(io, socket);
}

void sio__batch_leaving(struct sio_socket *socket, struct eio_str room)
{
    struct sio_server *io = socket->nsp->io;
    struct sio__batch *batch = &io->batch;
    if (batch->nsp != socket->nsp || (room.p && !is_open_room(batch, room))) return;
    size_t count = 0;
    if (batch->room) rooms_room_members(batch->room, &count);
    if (count == 1 && rooms_room_has(batch->room, &socket->member)) {
        sio__batch_settle(io); /* the room is about to go */
        return;
    }
    if (is_receiver(batch, socket)) send_rest(batch, socket);
    forget_exception(batch, socket);
}

/* ------------------------------------------------------------------ adding */

static bool can_add(const struct sio__batch *batch, const struct sio_namespace *nsp, const struct rooms_room *room,
                    size_t bytes)
{
    return batch->nsp == nsp && batch->room == room && batch->bytes + bytes <= SIO__BATCH_BYTES_MAX;
}

int sio__batch_add(struct sio_namespace *nsp, struct rooms_room *room, struct sio_socket *but,
                   const struct sio__prepared *prepared)
{
    struct sio_server *io = nsp->io;
    struct sio__batch *batch = &io->batch;
    if (batch->nsp && !can_add(batch, nsp, room, prepared->base.bytes)) sio__batch_settle(io);
    if (batch->nsp && but && is_receiver(batch, but)) catch_up(io, but); /* may settle */
    batch->nsp = nsp;
    batch->room = room;
    size_t before = eio_batch_count(batch->frames);
    for (size_t i = 0; i < prepared->count; i++) {
        int result = eio_batch_add(batch->frames, prepared->frames[i]);
        if (result == 0) continue;
        settle_whole_packets(batch, before);
        return result;
    }
    batch->bytes += prepared->base.bytes;
    batch->messages++;
    if (but && is_receiver(batch, but)) set_taken(io, but);
    return 0;
}
