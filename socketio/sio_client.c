/* A client: one Engine.IO session and the sockets it has, one per namespace it joined. Checks that the packets which
 * the parser decoded fit the state the client is in, and gives them to the socket. A client that breaks the protocol *
 * is closed. */
#include "base_memory.h"
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

static void join(struct sio_client *client, struct eio_str name, struct eio_str auth);

void sio__client_open(struct sio_server *io, struct eio_session *session)
{
    struct sio_client *client = eio_session_protocol(session) ? base_zalloc(sizeof *client) : NULL;
    struct sio__connecting *connecting = client ? base_zalloc(sizeof *connecting) : NULL;
    if (!connecting) {
        free(client);
        eio_session_abort(session, EIO_CLOSE_FORCED, "out of memory for a client");
        return;
    }
    client->io = io;
    client->session = session;
    eio_session_set_data(session, client);
    connecting->client = client;
    client->connecting = connecting;
    eio_deadlines_add(&io->connect, &connecting->deadline);
    io->client_count++;
    if (sio__client_is_v2(client)) join(client, eio_str("/"), eio_str(""));
}

/* ----------------------------------------------------------------- sending */

static void refuse_namespace(struct sio_client *client, struct eio_str name, const char *json)
{
    struct sio__outgoing packet = {.type = SIO__CONNECT_ERROR, .nsp = name, .json = eio_str(json)};
    client->io->stats.connects_refused++;
    sio__client_send(client, &packet);
}

/* ----------------------------------------------------------------- closing */

void sio__client_closed(struct sio_client *client, enum eio_close_reason reason)
{
    struct sio_server *io = client->io;
    sio__client_stop(client, eio_close_reason_text(reason));
    sio__admission_forget_client(client);
    if (client->admission_count) sio__question_forget_client(client);
    client->session = NULL;
    client->next_dead = io->dead_clients;
    io->dead_clients = client;
    io->client_count--;
    sio__server_client_gone(io);
}

void sio__client_drain(struct sio_client *client)
{
    sio__client_close(client, "server shutting down", EIO_CLOSE_SHUTTING_DOWN, NULL);
}

/* As the reference: client.close() for what does not fit the state. */
static void invalid_state(struct sio_client *client, const char *why)
{
    sio__client_close(client, "forced server close", EIO_CLOSE_FORCED, why);
}

static void hit(struct sio_client *client, enum sio_limit limit)
{
    sio__server_hit(client->io, limit, client->session);
}

void sio__client_parse_error(struct sio_client *client, const char *why)
{
    client->io->stats.parse_errors++;
    eio_session_abort(client->session, EIO_CLOSE_PARSE_ERROR, why);
}

void sio__client_too_big(struct sio_client *client, enum sio_limit limit, const char *why)
{
    hit(client, limit);
    sio__client_parse_error(client, why);
}

void sio__client_on_connect_timeout(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    struct sio_client *client = container_of(due, struct sio__connecting, deadline)->client;
    hit(client, SIO_LIMIT_CONNECT_TIMEOUT);
    sio__client_close(client, "forced server close", EIO_CLOSE_FORCED, "no namespace joined in time");
}

/* ----------------------------------------------------------------- packets */

/* The root's name is one byte. */
static inline bool is_named(const struct sio_namespace *nsp, struct eio_str name)
{
    return nsp->name_size == name.n && nsp->name[0] == name.p[0] &&
           (name.n == 1 || memcmp(nsp->name, name.p, name.n) == 0);
}

static struct sio_socket *socket_named(const struct sio_client *client, struct eio_str name)
{
    struct sio_socket *socket = client->sockets;
    while (socket && !is_named(socket->nsp, name)) socket = socket->next;
    return socket;
}

/* To a Socket.IO 2 client what follows '?' is no part of the name. */
static struct eio_str full_name(const struct sio_client *client, const struct sio__packet *packet)
{
    struct eio_str name = packet->nsp;
    if (packet->query.p && !sio__client_is_v2(client)) name.n = (size_t)(packet->query.p + packet->query.n - name.p);
    return name;
}

static bool has_too_many(struct sio_client *client, struct eio_str name)
{
    size_t limit = client->io->options.max_namespaces_per_client;
    if (client->socket_count < limit && client->admission_count < limit) return false;
    hit(client, SIO_LIMIT_NAMESPACES_PER_CLIENT);
    refuse_namespace(client, name, "{\"message\":\"Too many namespaces\"}");
    return true;
}

static void join(struct sio_client *client, struct eio_str name, struct eio_str auth)
{
    struct sio_server *io = client->io;
    bool no_id =
        sio__client_is_v2(client) && name.n + 1 + strlen(eio_session_id(client->session)) > SIO__V2_ID_SIZE_MAX;
    if (client->admission_count) sio__question_supersede(client, name);
    if (io->has_deciding && !io->draining && !no_id && !sio__namespace_find(io, name)) {
        if (!has_too_many(client, name)) sio__question_start(client, name, auth, sio__client_join);
        return;
    }
    sio__client_join(client, io->draining || no_id ? NULL : sio__namespace_for_client(io, name), name, auth);
}

void sio__client_join(struct sio_client *client, struct sio_namespace *nsp, struct eio_str name, struct eio_str auth)
{
    /* Refused, it would not try again; gone with the others, it comes back to the next server. */
    if (client->io->draining) {
        sio__client_drain(client);
        return;
    }
    if (!nsp) {
        refuse_namespace(client, name, "{\"message\":\"Invalid namespace\"}");
        return;
    }
    if (has_too_many(client, name)) {
        sio__namespace_left(nsp);
        return;
    }
    struct sio_socket *socket = sio__socket_new(client, nsp, auth);
    if (!socket) sio__namespace_left(nsp);
    if (!socket)
        invalid_state(client, "out of memory");
    else
        sio__recovery_start(socket, sio__admission_start);
}

static void on_connect(struct sio_client *client, struct sio_socket *socket, const struct sio__packet *packet)
{
    struct eio_str name = full_name(client, packet);
    /* The reference makes two sockets of a client that connects again while middleware considers the first time
     * (connect, disconnect, connect); here the later one counts. */
    if (socket && socket->state == SIO__S_ADMISSION)
        sio__socket_end(socket, "superseded");
    else if (socket && socket->state == SIO__S_ENDING)
        sio__socket_disconnect(socket);
    else if (socket) {
        invalid_state(client, "CONNECT to a namespace already joined");
        return;
    }
    if (!sio__client_is_v2(client)) {
        join(client, name, packet->data);
        return;
    }
    struct sio_builder auth;
    sio_builder_init(&auth);
    sio__v2_put_auth(packet->query, &auth);
    join(client, name, sio_builder_args(&auth).json);
    sio_builder_clear(&auth);
}

static void pass_on(struct sio_socket *socket, const struct sio__packet *packet, const struct sio_args *args,
                    struct eio_str name)
{
    struct sio__answer_to answer_to = {.answered = false};
    const struct sio_event event = {
        .name = name,
        .args = *args,
        .wants_ack = packet->has_id,
        .ack_id = packet->id,
        .socket = socket,
        .private_state = &answer_to,
    };
    socket->nsp->io->stats.events_in++;
    sio__namespace_dispatch(socket->nsp, &event);
}

/* A name with escapes in it, or a number. */
static __attribute__((noinline)) void pass_on_decoded(struct sio_socket *socket, const struct sio__packet *packet,
                                                      const struct sio_args *args)
{
    char inline_name[SIO__NAME_INLINE], *heap = NULL;
    struct eio_str name = packet->name;
    if (name.p[0] == '"') {
        char *out = name.n <= sizeof inline_name ? inline_name : (heap = malloc(name.n));
        name = out ? (struct eio_str){out, sio__json_decode_text(name, out)} : (struct eio_str){name.p + 1, name.n - 2};
    }
    pass_on(socket, packet, args, name);
    free(heap);
}

/* Handlers get the name as text: without quotes, escapes decoded. */
static inline void on_event(struct sio_socket *socket, const struct sio__packet *packet, const struct sio_args *args)
{
    if (packet->name_is_plain)
        pass_on(socket, packet, args, (struct eio_str){packet->name.p + 1, packet->name.n - 2});
    else
        pass_on_decoded(socket, packet, args);
}

/* Events of packets that are ignored count too. */
static bool too_many_events(struct sio_socket *socket)
{
    struct sio_server *io = socket->nsp->io;
    uint32_t limit = io->options.max_events_per_second;
    if (!limit || eio_rate_take(&socket->event_rate, eio_loop_now_ms(io->loop), limit)) return false;
    hit(socket->client, SIO_LIMIT_EVENTS_PER_SECOND);
    eio_session_abort(socket->session, EIO_CLOSE_POLICY, "too many events per second");
    return true;
}

/* A whole packet for a connected socket. */
static inline void dispatch_packet(struct sio_socket *socket, const struct sio__packet *packet,
                                   const struct sio_args *args)
{
    switch (packet->type) {
    case SIO__EVENT:
    case SIO__BINARY_EVENT:
        if (too_many_events(socket)) break;
        if (packet->name.p) on_event(socket, packet, args); /* "2" alone is ignored, as the reference does */
        break;
    case SIO__ACK:
    case SIO__BINARY_ACK:
        socket->nsp->io->stats.acks_in++;
        if (packet->has_id) sio__ack_arrived(socket, packet->id, *args);
        break;
    case SIO__DISCONNECT:
        sio__socket_end(socket, "client namespace disconnect");
        break;
    case SIO__CONNECT:
    case SIO__CONNECT_ERROR:
        break;
    }
}

void sio__client_packet(struct sio_client *client, const struct sio__packet *packet, const struct sio_args *args)
{
    struct sio_socket *socket = socket_named(client, full_name(client, packet));
    if (packet->type == SIO__CONNECT)
        on_connect(client, socket, packet);
    else if (!socket || socket->state != SIO__S_CONNECTED)
        invalid_state(client, "packet for a namespace that was not joined");
    else if (packet->type == SIO__CONNECT_ERROR)
        invalid_state(client, "CONNECT_ERROR from a client");
    else
        dispatch_packet(socket, packet, args);
}
