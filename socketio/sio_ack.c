/* Acknowledgements in both directions: answering a client, and waiting for the answers of clients. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- answering */

static int answer_server(const struct sio__answer_to *to, struct sio_args args)
{
    if (args.attachment_count) {
        eio_log(EIO_LOG_ERROR,
                "namespace %s: the answer to a server-side event has attachments, which are not supported",
                to->nsp->name);
        return EIO_EINVAL;
    }
    char *json = sio__json_array(args.json);
    if (!json) return EIO_ENOMEM;
    struct rooms_message message = {
        .json = {(const uint8_t *)json, args.json.n + 2},
    };
    to->answer(to->ctx, &message);
    free(json);
    return 0;
}

static int send_ack(struct sio_socket *socket, uint64_t id, struct sio_args args)
{
    struct sio__outgoing packet = {.type = SIO__ACK, .has_id = true, .id = id};
    if (socket->state != SIO__S_CONNECTED) return 0;
    if (args.attachment_count > 0)
        return sio__socket_send(socket, &packet, args, &(struct rooms_flags){.compress = true});
    packet.nsp = (struct eio_str){socket->nsp->name, socket->nsp->name_size};
    packet.json = args.json;
    return sio__client_send(socket->client, &packet);
}

int sio_ack(const struct sio_event *event, struct sio_args args)
{
    struct sio__answer_to *to = event->private_state;
    if (!event->wants_ack || to->answered) return 0;
    to->answered = true;
    return event->socket ? send_ack(event->socket, event->ack_id, args) : answer_server(to, args);
}

int sio_ack_pack(const struct sio_event *event, const char *format, ...)
{
    struct sio_args args;
    va_list values;
    va_start(values, format);
    char *text = sio__pack(format, values, &args);
    va_end(values);
    if (!text) return EIO_EINVAL;
    int result = sio_ack(event, args);
    free(text);
    return result;
}

/* A server waits for an answer that was promised. */
struct owed {
    uint64_t id;
    struct sio__answer_to to;
};

static uint32_t hash_of_id(uint64_t id)
{
    return sio__hash(&id, sizeof id);
}

static bool owe(struct sio_server *io, struct sio__answer_to *to, struct sio_reply *reply)
{
    if (io->owed.count >= io->options.max_pending_acks) {
        sio__server_hit(io, SIO_LIMIT_PENDING_ACKS, NULL);
        return false;
    }
    struct owed *owed = calloc(1, sizeof *owed);
    if (!owed) return false;
    owed->id = io->next_owed++;
    owed->to = *to;
    if (base_table_add(&io->owed, hash_of_id(owed->id), owed) != 0) {
        free(owed);
        return false;
    }
    *reply = (struct sio_reply){.io = io, .nsp = to->nsp, .ack_id = owed->id, .wanted = true};
    return true;
}

static int pay(struct sio_reply *reply, struct sio_args args)
{
    struct base_table *table = &reply->io->owed;
    uint32_t hash = hash_of_id(reply->ack_id);
    size_t at;
    struct owed *owed = base_table_first(table, hash, &at);
    while (owed && owed->id != reply->ack_id) owed = base_table_next(table, hash, &at);
    if (!owed) return 0; /* the namespace is gone */
    base_table_remove(table, hash, owed);
    int result = answer_server(&owed->to, args);
    free(owed);
    return result;
}

void sio__owed_forget(struct sio_namespace *nsp)
{
    struct base_table *table = &nsp->io->owed;
    for (size_t i = 0, slots = table->slot_count; i < slots;) {
        struct owed *owed = table->items[i];
        if (!owed || owed->to.nsp != nsp) {
            i++;
            continue;
        }
        base_table_remove(table, hash_of_id(owed->id), owed);
        free(owed);
        if (table->slot_count == slots) continue;
        slots = table->slot_count;
        i = 0;
    }
}

struct sio_reply sio_reply_later(const struct sio_event *event)
{
    struct sio_reply reply = {.ack_id = event->ack_id};
    struct sio__answer_to *to = event->private_state;
    if (!event->wants_ack || to->answered) return reply;
    if (!event->socket) {
        to->answered = to->is_owed = owe(to->nsp->io, to, &reply);
        return reply;
    }
    to->answered = true; /* promised */
    reply.nsp = event->socket->nsp;
    reply.io = reply.nsp->io;
    snprintf(reply.session, sizeof reply.session, "%s", eio_session_id(event->socket->session));
    memcpy(reply.sid, event->socket->id, sizeof reply.sid);
    reply.wanted = true;
    return reply;
}

struct sio_socket *sio__reply_socket(const struct sio_reply *reply)
{
    if (!reply->wanted || !reply->session[0] || !reply->io->engine) return NULL; /* no engine: it is being freed */
    struct eio_session *session = eio_server_find(reply->io->engine, reply->session, strlen(reply->session));
    const struct sio_client *client = session ? eio_session_data(session) : NULL;
    struct sio_socket *socket = client ? sio__client_socket(client, reply->nsp) : NULL;
    return socket && strcmp(socket->id, reply->sid) == 0 ? socket : NULL;
}

int sio_reply(struct sio_reply *reply, struct sio_args args)
{
    if (!reply->wanted) return 0;
    struct sio_socket *socket = sio__reply_socket(reply);
    reply->wanted = false;
    if (!reply->session[0]) return pay(reply, args);
    return socket ? send_ack(socket, reply->ack_id, args) : 0;
}

/* ----------------------------------------------------------------- waiting */

static uint32_t hash_of(const struct sio_socket *socket, uint64_t id)
{
    uint64_t hash = (uint64_t)(uintptr_t)socket * 0x9e3779b97f4a7c15u + id * 0xc2b2ae3d27d4eb4fu;
    return (uint32_t)(hash ^ (hash >> 32));
}

int sio__waiting_add(struct sio__waiting *waiting, struct sio_socket *socket, uint64_t id)
{
    struct sio_server *io = socket->nsp->io;
    if (socket->waiting_count >= io->options.max_pending_acks) {
        sio__server_hit(io, SIO_LIMIT_PENDING_ACKS, socket->session);
        return EIO_EAGAIN;
    }
    waiting->hash = hash_of(socket, id);
    if (base_table_add(&io->waiting, waiting->hash, waiting) != BASE_OK) return EIO_ENOMEM;
    waiting->socket = socket;
    waiting->id = id;
    /* A list whose first one's prev is the last. */
    waiting->next = NULL;
    if (socket->waiting) {
        waiting->prev = socket->waiting->prev;
        waiting->prev->next = waiting;
        socket->waiting->prev = waiting;
    } else {
        waiting->prev = waiting;
        socket->waiting = waiting;
    }
    socket->waiting_count++;
    io->stats.pending_acks++;
    return 0;
}

void sio__waiting_remove(struct sio__waiting *waiting)
{
    struct sio_socket *socket = waiting->socket;
    struct sio_server *io = socket->nsp->io;
    base_table_remove(&io->waiting, waiting->hash, waiting);
    if (waiting->next)
        waiting->next->prev = waiting->prev;
    else
        socket->waiting->prev = waiting->prev;
    if (socket->waiting == waiting)
        socket->waiting = waiting->next;
    else
        waiting->prev->next = waiting->next;
    socket->waiting_count--;
    io->stats.pending_acks--;
}

void sio__ack_arrived(struct sio_socket *socket, uint64_t id, struct sio_args answer)
{
    const struct base_table *table = &socket->nsp->io->waiting;
    uint32_t hash = hash_of(socket, id);
    size_t at;
    struct sio__waiting *waiting = base_table_first(table, hash, &at);
    for (; waiting; waiting = base_table_next(table, hash, &at)) {
        if (waiting->socket != socket || waiting->id != id) continue;
        sio__waiting_remove(waiting);
        waiting->settle(waiting, 0, answer);
        return;
    }
}

void sio__ack_abandon(struct sio_socket *socket)
{
    while (socket->waiting) {
        struct sio__waiting *waiting = socket->waiting;
        sio__waiting_remove(waiting);
        waiting->settle(waiting, EIO_ECLOSED, sio_args_none());
    }
}

/* ------------------------------------------------------- from one socket */

struct single {
    struct sio__waiting waiting;
    struct eio_timer timer;
    sio_answer_fn fn;
    void *ctx;
};

static void settle_single(struct sio__waiting *waiting, int error, struct sio_args answer)
{
    struct single *single = container_of(waiting, struct single, waiting);
    sio_answer_fn fn = single->fn;
    void *ctx = single->ctx;
    eio_timer_stop(&single->timer);
    free(single);
    if (fn) fn(ctx, error, answer);
}

static void on_single_timeout(void *ctx)
{
    struct single *single = ctx;
    sio__waiting_remove(&single->waiting);
    settle_single(&single->waiting, EIO_EAGAIN, sio_args_none());
}

static int start_single(struct single *single, const struct sio_target *target, struct sio__outgoing *packet,
                        struct sio_args args)
{
    struct sio_socket *socket = target->only;
    int result = sio__waiting_add(&single->waiting, socket, packet->id);
    if (result != 0) return result;
    if (target->flags.timeout_ms) result = eio_timer_start(&single->timer, target->flags.timeout_ms);
    if (result == 0) result = sio__socket_send(socket, packet, args, &target->flags);
    if (result == 0) return 0;
    eio_timer_stop(&single->timer);
    sio__waiting_remove(&single->waiting);
    return result;
}

int sio_emit_with_ack(struct sio_target target, const char *event, struct sio_args args, sio_answer_fn fn, void *ctx)
{
    struct sio__outgoing packet = {.type = SIO__EVENT, .has_id = true, .name = eio_str(event)};
    if (target.error) return target.error;
    if (!target.only || sio__name_is_reserved(packet.name)) return EIO_EINVAL;
    if (target.only->state != SIO__S_CONNECTED) return EIO_ECLOSED;
    struct single *single = calloc(1, sizeof *single);
    if (!single) return EIO_ENOMEM;
    single->waiting.settle = settle_single;
    single->fn = fn;
    single->ctx = ctx;
    eio_timer_init(&single->timer, target.nsp->io->loop, on_single_timeout, single);
    target.nsp->io->stats.emits++;
    packet.id = target.nsp->next_ack_id++;
    int result = start_single(single, &target, &packet, args);
    if (result == 0)
        target.nsp->io->stats.deliveries++;
    else
        free(single);
    return result;
}
