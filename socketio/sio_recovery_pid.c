/* What a socket may be recovered by: its pid while it is here, and its session when it goes (sio_recovery.c is for
 * those that come back). */
#include "sio_namespace.h"
#include "sio_server.h"
#include "sio_socket.h"

#include <stdlib.h>
#include <string.h>

struct sio__recovery *sio__recovery_find(const struct sio_namespace *nsp, const char *pid)
{
    uint32_t hash = sio__hash(pid, SIO__ID_SIZE);
    size_t at;
    struct sio__recovery *recovery = base_table_first(&nsp->pids, hash, &at);
    while (recovery && memcmp(recovery->pid, pid, SIO__ID_SIZE) != 0) recovery = base_table_next(&nsp->pids, hash, &at);
    return recovery;
}

static void drop_pid(struct sio__recovery *recovery)
{
    if (!recovery->pid[0]) return;
    base_table_remove(&recovery->socket->nsp->pids, sio__hash(recovery->pid, SIO__ID_SIZE), recovery);
    recovery->pid[0] = '\0';
}

/* pid NULL: a new one. */
int sio__recovery_set_pid(struct sio__recovery *recovery, const char *pid)
{
    struct sio_namespace *nsp = recovery->socket->nsp;
    drop_pid(recovery);
    if (pid)
        memcpy(recovery->pid, pid, SIO__ID_SIZE);
    else
        sio__server_new_id(nsp->io, recovery->pid);
    if (base_table_add(&nsp->pids, sio__hash(recovery->pid, SIO__ID_SIZE), recovery) == BASE_OK) return 0;
    recovery->pid[0] = '\0';
    return EIO_ENOMEM;
}

void sio__recovery_set_offset(struct sio__recovery *recovery, struct rooms_name offset)
{
    size_t n = offset.n < ROOMS_OFFSET_SIZE ? offset.n : 0;
    if (n) memmove(recovery->offset, offset.p, n);
    recovery->offset[n] = '\0';
}

struct rooms_name sio__recovery_offset(const struct sio__recovery *recovery)
{
    return (struct rooms_name){recovery->offset, strlen(recovery->offset)};
}

/* ------------------------------------------------------------------ saving */

/* The reference's, and a client that was too slow: it may be faster the next time. */
static bool is_recoverable(const char *reason)
{
    static const char *const reasons[] = {"transport error",    "transport close", "forced close",
                                          "ping timeout",       "queue full",      "server shutting down",
                                          "forced server close"};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reason, reasons[i]) == 0) return true;
    return false;
}

static void save(struct sio_socket *socket)
{
    struct sio_namespace *nsp = socket->nsp;
    size_t count = socket->member.link_count + 1;
    struct rooms_name *rooms = malloc(count * sizeof *rooms);
    char *data = socket->data ? json_dumps(socket->data, JSON_COMPACT) : NULL;
    size_t room_count = 0;
    while (rooms && room_count < count && rooms_member_room_at(&socket->member, room_count, &rooms[room_count]))
        room_count++;
    struct rooms_session session = {
        .sid = {socket->id, SIO__ID_SIZE},
        .pid = {socket->recovery->pid, SIO__ID_SIZE},
        .rooms = rooms,
        .room_count = room_count,
        .data = {(const uint8_t *)(data ? data : "{}"), data ? strlen(data) : 2},
        .connected_ms = socket->recovery->connected_ms,
        .offset = sio__recovery_offset(socket->recovery),
    };
    if (rooms) nsp->adapter->ops->session_save(nsp->adapter, &session);
    free(data);
    free(rooms);
}

/* A socket in admission has a session only if it took that over, and loses it if it is refused. */
void sio__recovery_save(struct sio_socket *socket, const char *reason)
{
    struct sio__recovery *recovery = socket->recovery;
    if (!recovery) return;
    sio__holds_end(recovery);
    if (recovery->asked) recovery->asked->socket = NULL;
    recovery->asked = NULL;
    if (socket->state == SIO__S_ADMISSION) {
        recovery->connected_ms = eio_loop_now_ms(socket->nsp->io->loop);
        if (recovery->recovered && strcmp(reason, "refused") != 0) save(socket);
    } else if (is_recoverable(reason)) {
        save(socket);
    }
    drop_pid(recovery);
}

void sio__recovery_free(struct sio_socket *socket)
{
    free(socket->recovery);
    socket->recovery = NULL;
}
