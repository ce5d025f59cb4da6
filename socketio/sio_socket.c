/* A socket: a client in a namespace. From admission to on_disconnect; its rooms; its properties. */
#include "base_str.h"
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

void sio__socket_set_state(struct sio_socket *socket, enum sio__state state, const char *why)
{
    static const char *const names[] = {"free", "admission", "connected", "ending", "leaving", "gone"};
    static const uint8_t allowed[] = {
        [SIO__S_FREE] = 1 << SIO__S_ADMISSION,
        [SIO__S_ADMISSION] = 1 << SIO__S_CONNECTED | 1 << SIO__S_GONE,
        [SIO__S_CONNECTED] = 1 << SIO__S_LEAVING | 1 << SIO__S_ENDING,
        [SIO__S_ENDING] = 1 << SIO__S_LEAVING,
        [SIO__S_LEAVING] = 1 << SIO__S_GONE,
        [SIO__S_GONE] = 1 << SIO__S_FREE,
    };
    BASE_CHECK(allowed[socket->state] & 1u << state);
    if (eio_log_wants(EIO_LOG_DEBUG))
        eio_log(EIO_LOG_DEBUG, "socket %s nsp=%s %s -> %s: %s", socket->id, socket->nsp->name, names[socket->state],
                names[state], why);
    socket->state = (uint8_t)state;
}

/* ------------------------------------------------------------------- birth */

static struct sio_socket *socket_alloc(struct sio_client *client)
{
    if (client->first.state != SIO__S_FREE) return calloc(1, sizeof(struct sio_socket));
    memset(&client->first, 0, sizeof client->first);
    client->first.is_embedded = true;
    return &client->first;
}

static int copy_auth(struct sio_socket *socket, struct eio_str auth)
{
    if (auth.n == 0 || eio_str_is(auth, "{}")) return 0;
    socket->auth = malloc(sizeof *socket->auth + auth.n);
    if (!socket->auth) return EIO_ENOMEM;
    socket->auth->size = auth.n;
    memcpy(socket->auth->json, auth.p, auth.n);
    return 0;
}

/* Appended: a client's sockets end in the order in which they came. */
static void link_to_client(struct sio_socket *socket)
{
    struct sio_socket **at = &socket->client->sockets;
    while (*at) at = &(*at)->next;
    *at = socket;
    socket->next = NULL;
    socket->client->socket_count++;
}

static int set_id(struct sio_socket *socket)
{
    if (sio__client_is_v2(socket->client)) return sio__v2_set_id(socket);
    sio__server_new_id(socket->client->io, socket->id);
    return 0;
}

static int enter_index(struct sio_socket *socket)
{
    struct rooms_name id = sio__socket_name(socket);
    return rooms_add(socket->nsp->index, &socket->member, id.p, id.n);
}

struct sio_socket *sio__socket_new(struct sio_client *client, struct sio_namespace *nsp, struct eio_str auth)
{
    struct sio_socket *socket = socket_alloc(client);
    if (!socket) return NULL;
    socket->nsp = nsp;
    socket->client = client;
    socket->session = client->session;
    if (set_id(socket) != 0 || copy_auth(socket, auth) != 0 || enter_index(socket) != 0) {
        free(socket->auth);
        free(socket->long_id);
        socket->auth = NULL;
        socket->long_id = NULL;
        if (!socket->is_embedded) free(socket);
        return NULL;
    }
    sio__socket_set_state(socket, SIO__S_ADMISSION, "CONNECT");
    link_to_client(socket);
    return socket;
}

static int send_connect(struct sio_socket *socket)
{
    char json[sizeof "{\"sid\":\"\",\"pid\":\"\"}" + 2 * SIO__ID_SIZE];
    char *end = base_put_text(base_put_text(json, "{\"sid\":\""), socket->id);
    if (socket->recovery) end = base_put_text(base_put_text(end, "\",\"pid\":\""), socket->recovery->pid);
    end = base_put_text(end, "\"}");
    struct sio__outgoing packet = {
        .type = SIO__CONNECT,
        .nsp = {socket->nsp->name, socket->nsp->name_size},
        .json = {json, sio__client_is_v2(socket->client) ? 0 : (size_t)(end - json)},
    };
    return sio__client_send(socket->client, &packet);
}

static void run_connection(const struct sio__hooks *hooks, struct sio_socket *socket)
{
    for (struct sio__hook *hook = hooks->first; hook && socket->state == SIO__S_CONNECTED; hook = hook->next)
        hook->fn.socket(socket, hook->ctx);
}

static void stop_connecting(struct sio_client *client)
{
    /* It has joined one, or is gone. */
    if (!client->connecting) return;
    eio_deadline_stop(&client->io->connect, &client->connecting->deadline);
    free(client->connecting);
    client->connecting = NULL;
}

void sio__socket_enter(struct sio_socket *socket)
{
    struct sio_namespace *nsp = socket->nsp;
    struct sio_client *client = socket->client;
    if (client->closing || client->ending || !eio_session_is_open(client->session)) {
        sio__socket_end(socket, "the client has disconnected");
        return;
    }
    sio__batch_joining(socket, (struct eio_str){NULL, 0});
    if (sio__namespace_enter(nsp, socket) != 0) {
        sio__client_close(client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
        return;
    }
    sio__socket_set_state(socket, SIO__S_CONNECTED, "admitted");
    nsp->io->stats.connects++;
    stop_connecting(client);
    send_connect(socket);
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(nsp->io, &i));)
        if (watcher->watch.on_connection) watcher->watch.on_connection(socket, watcher->ctx);
    if (nsp->parent) run_connection(&nsp->parent->behaviour.connection, socket);
    run_connection(&nsp->behaviour.connection, socket);
}

/* --------------------------------------------------------------------- end */

static void run_disconnect(const struct sio__hooks *hooks, struct sio_socket *socket, const char *reason)
{
    for (struct sio__hook *hook = hooks->first; hook; hook = hook->next) hook->fn.disconnect(socket, reason, hook->ctx);
}

static void unlink_from_client(struct sio_socket *socket)
{
    struct sio_client *client = socket->client;
    struct sio_socket **at = &client->sockets;
    while (*at != socket) at = &(*at)->next;
    *at = socket->next;
    client->socket_count--;
}

static void bury(struct sio_socket *socket)
{
    socket->next = socket->nsp->io->dead_sockets;
    socket->nsp->io->dead_sockets = socket;
}

static void leave_all(struct sio_socket *socket)
{
    sio__batch_leaving(socket, (struct eio_str){NULL, 0});
    rooms_remove(socket->nsp->index, &socket->member);
    sio__namespace_left(socket->nsp);
    unlink_from_client(socket);
}

static void end_connected(struct sio_socket *socket, const char *reason)
{
    struct sio_namespace *nsp = socket->nsp;
    const struct sio__behaviour *parent = nsp->parent ? &nsp->parent->behaviour : NULL;
    sio__batch_leaving(socket, (struct eio_str){NULL, 0}); /* what was emitted before goes before */
    sio__socket_set_state(socket, SIO__S_LEAVING, reason);
    if (parent) run_disconnect(&parent->disconnecting, socket, reason);
    run_disconnect(&nsp->behaviour.disconnecting, socket, reason);
    sio__ack_abandon(socket);
    sio__recovery_save(socket, reason);
    leave_all(socket);
    sio__namespace_leave(nsp, socket);
    sio__socket_set_state(socket, SIO__S_GONE, reason);
    nsp->io->stats.disconnects++;
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(nsp->io, &i));)
        if (watcher->watch.on_disconnect) watcher->watch.on_disconnect(socket, reason, watcher->ctx);
    if (parent) run_disconnect(&parent->disconnect, socket, reason);
    run_disconnect(&nsp->behaviour.disconnect, socket, reason);
    bury(socket);
}

void sio__socket_end(struct sio_socket *socket, const char *reason)
{
    const struct sio_namespace *nsp = socket->nsp;
    if (socket->state == SIO__S_ENDING) sio__ending_forget(socket);
    if (socket->state == SIO__S_CONNECTED || socket->state == SIO__S_ENDING) {
        end_connected(socket, reason);
    } else if (socket->state == SIO__S_ADMISSION) {
        sio__admission_forget_socket(socket);
        sio__recovery_save(socket, reason);
        leave_all(socket);
        sio__socket_set_state(socket, SIO__S_GONE, reason);
        if (nsp->parent) run_disconnect(&nsp->parent->behaviour.dismissed, socket, reason);
        run_disconnect(&nsp->behaviour.dismissed, socket, reason);
        bury(socket);
    }
}

/* Ends all sockets. Handlers may end some themselves, so the list is looked at anew each time. */
static void end_sockets(struct sio_client *client, const char *reason)
{
    for (struct sio_socket *socket = client->sockets; socket;) {
        if (socket->state == SIO__S_CONNECTED || socket->state == SIO__S_ENDING || socket->state == SIO__S_ADMISSION) {
            sio__socket_end(socket, reason);
            socket = client->sockets;
        } else {
            socket = socket->next;
        }
    }
}

static void take_no_more(struct sio_client *client)
{
    client->closing = true;
    stop_connecting(client);
    client->io->parser->forget(client);
}

void sio__client_stop(struct sio_client *client, const char *socket_reason)
{
    sio__endings_finish(client);
    take_no_more(client);
    end_sockets(client, socket_reason);
}

void sio__client_close(struct sio_client *client, const char *socket_reason, enum eio_close_reason reason,
                       const char *detail)
{
    sio__endings_finish(client);
    if (client->closing) return;
    sio__batch_before_send(client);
    take_no_more(client);
    eio_session_close(client->session, reason, detail);
    end_sockets(client, socket_reason);
}

static void send_disconnect(struct sio_socket *socket)
{
    struct sio__outgoing packet = {
        .type = SIO__DISCONNECT,
        .nsp = {socket->nsp->name, socket->nsp->name_size},
    };
    sio__client_send(socket->client, &packet);
}

void sio__socket_disconnect(struct sio_socket *socket)
{
    send_disconnect(socket);
    sio__socket_end(socket, "server namespace disconnect");
}

void sio_socket_disconnect(struct sio_socket *socket, bool close)
{
    struct sio_client *client = socket->client;
    if (socket->state != SIO__S_CONNECTED) return;
    if (!close) {
        sio__socket_disconnect(socket);
        return;
    }
    for (struct sio_socket *each = client->sockets; each;) {
        bool connected = each->state == SIO__S_CONNECTED;
        if (connected) sio__socket_disconnect(each);
        each = connected ? client->sockets : each->next;
    }
    if (client->session)
        sio__client_close(client, "forced server close", EIO_CLOSE_FORCED, "the server disconnected the client");
}

void sio__graveyard_sweep(struct sio_server *io)
{
    struct sio_socket *socket = io->dead_sockets;
    io->dead_sockets = NULL;
    for (struct sio_socket *next; socket; socket = next) {
        next = socket->next;
        free(socket->auth);
        free(socket->long_id);
        socket->long_id = NULL;
        json_decref(socket->data);
        sio__recovery_free(socket);
        sio__socket_set_state(socket, SIO__S_FREE, "end of the turn");
        if (!socket->is_embedded) free(socket);
    }
    struct sio_client *client = io->dead_clients;
    io->dead_clients = NULL;
    for (struct sio_client *next; client; client = next) {
        next = client->next_dead;
        free(client);
    }
}

/* ------------------------------------------------------------------- rooms */

int sio_join(struct sio_socket *socket, struct eio_str room)
{
    if (socket->state != SIO__S_CONNECTED && socket->state != SIO__S_ADMISSION) return 0;
    struct rooms_name name = {room.p, room.n};
    if (rooms_is_in(socket->nsp->index, &socket->member, name)) return 0;
    sio__batch_joining(socket, room);
    int error = rooms_join(socket->nsp->index, &socket->member, name);
    if (error == ROOMS_ELIMIT) {
        bool too_long = room.n > socket->nsp->io->options.rooms.max_name_bytes;
        sio__server_hit(socket->nsp->io, too_long ? SIO_LIMIT_NAME_BYTES : SIO_LIMIT_ROOMS, socket->session);
    }
    return sio__rooms_result(error);
}

void sio_leave(struct sio_socket *socket, struct eio_str room)
{
    if (!socket->member.in_index || room.n == 0) return;
    sio__batch_leaving(socket, room);
    rooms_leave(socket->nsp->index, &socket->member, (struct rooms_name){room.p, room.n});
}

bool sio_socket_is_in(const struct sio_socket *socket, struct eio_str room)
{
    return socket->member.in_index && socket->state != SIO__S_ENDING &&
           rooms_is_in(socket->nsp->index, &socket->member, (struct rooms_name){room.p, room.n});
}

bool sio_socket_room_at(const struct sio_socket *socket, size_t i, struct eio_str *room)
{
    struct rooms_name name;
    if (!socket->member.in_index || !rooms_member_room_at(&socket->member, i, &name)) return false;
    *room = (struct eio_str){name.p, name.n};
    return true;
}

/* -------------------------------------------------------------- properties */

const char *sio_socket_id(const struct sio_socket *socket)
{
    return sio__socket_name(socket).p;
}

struct sio_namespace *sio_socket_namespace(const struct sio_socket *socket)
{
    return socket->nsp;
}

struct eio_session *sio_socket_session(const struct sio_socket *socket)
{
    return socket->session;
}

bool sio_socket_recovered(const struct sio_socket *socket)
{
    return socket->recovery && socket->recovery->recovered;
}

bool sio_socket_is_connected(const struct sio_socket *socket)
{
    return socket->state == SIO__S_CONNECTED;
}

const struct eio_http_head *sio_socket_head(const struct sio_socket *socket)
{
    return eio_session_head(socket->session);
}

struct eio_str sio_socket_auth(const struct sio_socket *socket)
{
    if (!socket->auth) return eio_str("{}");
    return (struct eio_str){socket->auth->json, socket->auth->size};
}

void sio_socket_set_user(struct sio_socket *socket, void *user)
{
    socket->user = user;
}

void *sio_socket_user(const struct sio_socket *socket)
{
    return socket->user;
}

json_t *sio_socket_data(struct sio_socket *socket)
{
    const struct sio_server *io = socket->nsp->io;
    if (!socket->data) socket->data = json_object();
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(io, &i));)
        if (watcher->watch.on_data) watcher->watch.on_data(socket, watcher->ctx);
    return socket->data;
}

int sio_socket_describe(const struct sio_socket *socket, char *out, size_t size)
{
    static const char *const states[] = {"free", "admission", "connected", "ending", "leaving", "gone"};
    return snprintf(out, size, "socket id=%s nsp=%s state=%s session=%s rooms=%u acks_awaited=%u",
                    sio_socket_id(socket), socket->nsp->name, states[socket->state], eio_session_id(socket->session),
                    socket->member.link_count + socket->member.in_own_room, socket->waiting_count);
}
