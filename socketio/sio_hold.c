/* An adapter may keep events back from a socket. A client's last offset promises that everything before it has arrived;
 * so while something is kept back, each logged event reaches the socket with the offset of before that, and so does at
 * last what was kept back. */
#include "sio_namespace.h"
#include "sio_server.h"
#include "sio_socket.h"

enum { LOOKED_AT_MAX = 16 };

static void enlist(struct sio__recovery *recovery)
{
    struct sio_namespace *nsp = recovery->socket->nsp;
    recovery->next_held = nsp->held;
    if (recovery->next_held) recovery->next_held->prev_held = recovery;
    nsp->held = recovery;
}

static void delist(struct sio__recovery *recovery)
{
    if (recovery->prev_held)
        recovery->prev_held->next_held = recovery->next_held;
    else
        recovery->socket->nsp->held = recovery->next_held;
    if (recovery->next_held) recovery->next_held->prev_held = recovery->prev_held;
    recovery->prev_held = recovery->next_held = NULL;
}

void sio_hold_begin(struct sio_hold *hold, struct sio_socket *socket)
{
    struct sio__recovery *recovery = socket->recovery;
    if (hold->socket == socket || !recovery || socket->state != SIO__S_CONNECTED) return;
    sio_hold_end(hold);
    const struct rooms_adapter *adapter = socket->nsp->adapter;
    struct rooms_name offset = adapter->ops->last_offset(socket->nsp->adapter, hold->offset);
    hold->offset[offset.n] = '\0';
    hold->socket = socket;
    hold->prev = recovery->last_hold;
    hold->next = NULL;
    if (hold->prev)
        hold->prev->next = hold;
    else
        enlist(recovery);
    recovery->last_hold = hold;
    if (!recovery->first_hold) recovery->first_hold = hold;
}

/* What was kept back is as young as if the client had connected only now: nothing proves yet that it arrived. */
void sio_hold_end(struct sio_hold *hold)
{
    struct sio_socket *socket = hold->socket;
    if (!socket) return;
    struct sio__recovery *recovery = socket->recovery;
    if (hold->prev)
        hold->prev->next = hold->next;
    else
        recovery->first_hold = hold->next;
    if (hold->next)
        hold->next->prev = hold->prev;
    else
        recovery->last_hold = hold->prev;
    *hold = (struct sio_hold){.socket = NULL};
    recovery->connected_ms = eio_loop_now_ms(socket->nsp->io->loop);
    if (!recovery->first_hold) delist(recovery);
}

void sio__holds_end(struct sio__recovery *recovery)
{
    while (recovery->first_hold) sio_hold_end(recovery->first_hold);
}

/* The oldest hold began first, so its offset is the lowest. */
const char *sio__hold_offset(const struct sio_socket *socket)
{
    const struct sio__recovery *recovery = socket->recovery;
    return recovery && recovery->first_hold ? recovery->first_hold->offset : NULL;
}

bool sio__holds_any(const struct sio_namespace *nsp, const struct rooms_room *room)
{
    size_t looked_at = 0;
    for (const struct sio__recovery *recovery = nsp->held; recovery; recovery = recovery->next_held)
        if (!room || looked_at++ == LOOKED_AT_MAX || rooms_room_has(room, &recovery->socket->member)) return true;
    return false;
}
