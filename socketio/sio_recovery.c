/* Connection state recovery: a client whose connection broke comes back with the pid it was given, and gets its id, its
 * rooms, its data and what it missed. The log and the sessions are the adapter's.
 *
 * Events that ask for an ack are not logged, and have no offset: their last argument is the ack function, and a client
 * takes only text for an offset. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

void sio__recovery_on_expiry(void *ctx)
{
    struct sio_server *io = ctx;
    for (struct sio_namespace *nsp = io->first_namespace; nsp; nsp = nsp->next)
        if (nsp->recovers && nsp->adapter->ops->expire) nsp->adapter->ops->expire(nsp->adapter);
    sio__namespaces_cleanup(io);
    eio_timer_start(&io->recovery_expiry, SIO__RECOVERY_EXPIRY_MS);
}

/* ------------------------------------------------------------------ asking */

static struct sio__asked *new_question(struct sio_socket *socket, void (*admit)(struct sio_socket *socket))
{
    struct sio__asked *asked = malloc(sizeof *asked);
    if (!asked) return NULL;
    *asked = (struct sio__asked){socket, socket->nsp, admit};
    socket->recovery->asked = asked;
    return asked;
}

/* The socket that asked, if it is still there. */
static struct sio_socket *socket_that_asked(struct sio__asked *asked)
{
    struct sio_socket *socket = asked->socket;
    if (socket) socket->recovery->asked = NULL;
    free(asked);
    return socket;
}

/* --------------------------------------------------------------- restoring */

static int take_rooms(struct sio_socket *socket, const struct rooms_session *session)
{
    bool in_own_room = false;
    for (size_t i = 0; i < session->room_count; i++) {
        struct rooms_name room = session->rooms[i];
        if (room.n == SIO__ID_SIZE && memcmp(room.p, socket->id, room.n) == 0) {
            in_own_room = true;
            continue;
        }
        int result = sio_join(socket, (struct eio_str){room.p, room.n});
        if (result != 0) return result;
    }
    if (!in_own_room) sio_leave(socket, (struct eio_str){socket->id, SIO__ID_SIZE});
    return 0;
}

/* Enters the index anew, in no room but its own. id NULL: a new one. */
static int set_id(struct sio_socket *socket, const char *id)
{
    struct rooms_index *index = socket->nsp->index;
    sio__batch_leaving(socket, (struct eio_str){NULL, 0});
    rooms_remove(index, &socket->member);
    memset(&socket->member, 0, sizeof socket->member);
    if (id)
        memcpy(socket->id, id, SIO__ID_SIZE);
    else
        sio__server_new_id(socket->nsp->io, socket->id);
    return sio__rooms_result(rooms_add(index, &socket->member, socket->id, SIO__ID_SIZE));
}

static int take_session(struct sio_socket *socket, const struct rooms_session *session)
{
    struct sio__recovery *recovery = socket->recovery;
    if (session->sid.n != SIO__ID_SIZE || session->pid.n != SIO__ID_SIZE) return EIO_EINVAL;
    int result = set_id(socket, session->sid.p);
    if (result == 0) result = take_rooms(socket, session);
    if (result == 0) result = sio__recovery_set_pid(recovery, session->pid.p);
    if (result != 0) return result;
    socket->data = json_loadb((const char *)session->data.p, session->data.n, 0, NULL);
    sio__recovery_set_offset(recovery, session->offset);
    recovery->recovered = true;
    return 0;
}

/* Nothing of the session is left. */
static int become_new(struct sio_socket *socket)
{
    socket->recovery->recovered = false;
    json_decref(socket->data);
    socket->data = NULL;
    int result = set_id(socket, NULL);
    return result == 0 ? sio__recovery_set_pid(socket->recovery, NULL) : result;
}

static bool is_allowed(const struct sio__behaviour *behaviour, struct sio_socket *socket)
{
    for (const struct sio__hook *hook = behaviour->recover.first; hook; hook = hook->next)
        if (!hook->fn.recover(socket, hook->ctx)) return false;
    return true;
}

static bool is_recovered(struct sio_socket *socket, const struct rooms_session *session)
{
    const struct sio_namespace *nsp = socket->nsp;
    if (!session || take_session(socket, session) != 0) return false;
    return (!nsp->parent || is_allowed(&nsp->parent->behaviour, socket)) && is_allowed(&nsp->behaviour, socket);
}

static void give_back(struct sio_namespace *nsp, const struct rooms_session *session)
{
    struct rooms_session again = *session;
    again.connected_ms = eio_loop_now_ms(nsp->io->loop);
    nsp->adapter->ops->session_save(nsp->adapter, &again);
}

static void on_restored(void *ctx, const struct rooms_session *session)
{
    struct sio__asked *asked = ctx;
    struct sio_namespace *nsp = asked->nsp;
    void (*admit)(struct sio_socket *) = asked->admit;
    struct sio_socket *socket = socket_that_asked(asked);
    if (!socket) {
        if (session) give_back(nsp, session);
        return;
    }
    struct sio_server *io = nsp->io;
    bool recovered = is_recovered(socket, session);
    if (socket->state != SIO__S_ADMISSION) return; /* ended by a hook */
    if (recovered)
        io->stats.recoveries++;
    else
        io->stats.recoveries_failed++;
    if (!recovered && become_new(socket) != 0)
        sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
    else if (recovered && io->options.recovery.skip_middlewares)
        sio__recovery_connect(socket);
    else
        admit(socket);
}

/* The old connection of a client that is back counts as alive until its heartbeat fails. but: NULL, or the new one. */
static void evict_session(const struct sio_namespace *nsp, const char *pid, const struct sio_client *but)
{
    struct sio__recovery *old = sio__recovery_find(nsp, pid);
    if (old && old->socket->client != but && old->socket->client->session)
        eio_session_abort(old->socket->client->session, EIO_CLOSE_TRANSPORT_CLOSE, "the client has reconnected");
}

void sio__recovery_evict(void *ctx, struct rooms_name pid)
{
    if (pid.n == SIO__ID_SIZE) evict_session(ctx, pid.p, NULL);
}

static bool auth_text(const struct sio_socket *socket, const char *name, char *out, size_t out_size)
{
    struct eio_str value = sio_json_member(sio_socket_auth(socket), name);
    out[0] = '\0';
    return sio_args_text((struct sio_args){value, NULL, 0}, 0, out, out_size) >= 0;
}

void sio__recovery_start(struct sio_socket *socket, void (*admit)(struct sio_socket *socket))
{
    struct sio_namespace *nsp = socket->nsp;
    char pid[SIO__ID_SIZE + 1], offset[ROOMS_OFFSET_SIZE];
    /* Socket.IO 2 knows nothing of it. */
    bool recovers = nsp->recovers && !sio__client_is_v2(socket->client);
    if (recovers) {
        socket->recovery = calloc(1, sizeof *socket->recovery);
        if (socket->recovery) socket->recovery->socket = socket;
        if (!socket->recovery || sio__recovery_set_pid(socket->recovery, NULL) != 0) {
            sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
            return;
        }
    }
    if (!recovers || !auth_text(socket, "pid", pid, sizeof pid) || strlen(pid) != SIO__ID_SIZE) {
        admit(socket);
        return;
    }
    /* A malformed offset is still passed on: it is not the same as a missing one. */
    bool has_offset = sio_json_member(sio_socket_auth(socket), "offset").p != NULL;
    if (has_offset && (!auth_text(socket, "offset", offset, sizeof offset) || !offset[0])) strcpy(offset, "?");
    if (!has_offset) offset[0] = '\0';
    evict_session(nsp, pid, socket->client);
    if (socket->state != SIO__S_ADMISSION) return; /* by a handler of the eviction */
    struct sio__asked *asked = new_question(socket, admit);
    if (asked)
        nsp->adapter->ops->session_restore(nsp->adapter, (struct rooms_name){pid, SIO__ID_SIZE},
                                           (struct rooms_name){offset, strlen(offset)}, on_restored, asked);
    else
        sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
}

/* --------------------------------------------------------------- replaying */

static bool is_in_any(const struct sio_socket *socket, const struct rooms_name *rooms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sio_socket_is_in(socket, (struct eio_str){rooms[i].p, rooms[i].n})) return true;
    return false;
}

static void replay_one(void *ctx, const struct rooms_selector *who, const struct rooms_message *message)
{
    const struct sio__asked *asked = ctx;
    struct sio_socket *socket = asked->socket;
    struct sio__prepared prepared;
    if (!socket || (who->room_count > 0 && !is_in_any(socket, who->rooms, who->room_count))) return;
    if (is_in_any(socket, who->except, who->except_count)) return;
    if (sio__prepare_foreign(&prepared, socket->nsp, message, NULL) != 0) return;
    sio__batch_before_send(socket->client);
    if (sio__prepared_send(&prepared, socket->session, false) == 0) socket->nsp->io->stats.deliveries++;
    sio__prepared_clear(&prepared);
}

static void on_replayed(void *ctx, int error)
{
    struct sio_socket *socket = socket_that_asked(ctx);
    if (!socket) return;
    if (error)
        sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED,
                          "missed messages are no longer available");
    else
        sio__socket_enter(socket);
}

void sio__recovery_connect(struct sio_socket *socket)
{
    struct sio__recovery *recovery = socket->recovery;
    if (!recovery) {
        sio__socket_enter(socket);
        return;
    }
    struct rooms_adapter *adapter = socket->nsp->adapter;
    recovery->connected_ms = eio_loop_now_ms(socket->nsp->io->loop);
    if (!recovery->recovered) {
        char offset[ROOMS_OFFSET_SIZE];
        sio__recovery_set_offset(recovery, adapter->ops->last_offset(adapter, offset));
        sio__socket_enter(socket);
        return;
    }
    struct sio__asked *asked = new_question(socket, NULL);
    if (asked)
        adapter->ops->replay(adapter, sio__recovery_offset(recovery), replay_one, on_replayed, asked);
    else
        sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
}
