/* Gathering: one event to many sockets here, each asked for an ack, whose answers go to the adapter's sink. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>

enum { TIMEOUT_DEFAULT_MS = 5000 }; /* if the node that asks gives no timeout */

/* One socket's answer in a gathering. */
struct part {
    struct sio__waiting waiting;
    struct sio__gather *gather;
    struct part *prev, *next;
};

struct sio__gather {
    struct sio_server *io;
    struct sio__gather *prev, *next;
    struct rooms_ack_sink sink;
    struct eio_timer timer;
    struct part *parts;
    /* During delivery: */
    const struct sio__prepared *prepared;
    bool is_volatile;
    size_t count;
};

static void gather_free(struct sio__gather *gather)
{
    while (gather->parts) {
        struct part *part = gather->parts;
        gather->parts = part->next;
        sio__waiting_remove(&part->waiting);
        free(part);
    }
    eio_timer_stop(&gather->timer);
    if (gather->prev)
        gather->prev->next = gather->next;
    else
        gather->io->gathers = gather->next;
    if (gather->next) gather->next->prev = gather->prev;
    free(gather);
}

void sio__gathers_free(struct sio_server *io)
{
    while (io->gathers) gather_free(io->gathers);
}

static void on_timeout(void *ctx)
{
    gather_free(ctx);
}

static void unlink_part(struct part *part)
{
    struct sio__gather *gather = part->gather;
    if (part->prev)
        part->prev->next = part->next;
    else
        gather->parts = part->next;
    if (part->next) part->next->prev = part->prev;
    free(part);
    if (!gather->parts) gather_free(gather);
}

static void settle_part(struct sio__waiting *waiting, int error, struct sio_args answer)
{
    struct part *part = container_of(waiting, struct part, waiting);
    struct rooms_ack_sink sink = part->gather->sink;
    unlink_part(part);
    char *json = error == 0 ? sio__json_array(answer.json) : NULL;
    if (!json) return; /* a socket that went away does not answer: the asker notices by its timeout */
    struct rooms_message message = {
        .json = {(const uint8_t *)json, answer.json.n + 2},
        .attachments = answer.attachments,
        .attachment_count = answer.attachment_count,
    };
    sink.ack(sink.ctx, &message);
    free(json);
}

static void ask_one(void *ctx, struct rooms_member *member)
{
    struct sio__gather *gather = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    if (socket->state != SIO__S_CONNECTED) return;
    gather->count++;
    struct part *part = calloc(1, sizeof *part);
    if (!part) return; /* counted: the asker sees at its timeout that an answer is missing */
    part->waiting.settle = settle_part;
    part->gather = gather;
    if (sio__waiting_add(&part->waiting, socket, gather->prepared->id) != 0) {
        free(part);
        return;
    }
    part->next = gather->parts;
    if (part->next) part->next->prev = part;
    gather->parts = part;
    if (sio__prepared_send(gather->prepared, socket->session, gather->is_volatile) == 0) gather->io->stats.deliveries++;
}

static struct sio__gather *gather_new(struct sio_server *io, const struct rooms_flags *flags,
                                      const struct rooms_ack_sink *sink)
{
    struct sio__gather *gather = calloc(1, sizeof *gather);
    if (!gather) return NULL;
    gather->io = io;
    gather->sink = *sink;
    gather->is_volatile = flags->is_volatile;
    eio_timer_init(&gather->timer, io->loop, on_timeout, gather);
    if (eio_timer_start(&gather->timer, flags->timeout_ms ? flags->timeout_ms : TIMEOUT_DEFAULT_MS) != 0) {
        free(gather);
        return NULL;
    }
    gather->next = io->gathers;
    if (gather->next) gather->next->prev = gather;
    io->gathers = gather;
    return gather;
}

static size_t ask_all(struct sio_namespace *nsp, const struct rooms_selector *who, const struct rooms_flags *flags,
                      const struct sio__prepared *prepared, const struct rooms_ack_sink *sink)
{
    struct sio__gather *gather = gather_new(nsp->io, flags, sink);
    if (!gather) return 0;
    gather->prepared = prepared;
    sio__batch_settle(nsp->io);
    rooms_each_unchanged(nsp->index, who, ask_one, gather);
    gather->prepared = NULL;
    size_t count = gather->count;
    if (!gather->parts) gather_free(gather);
    return count;
}

void sio__deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                           const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    struct sio_namespace *nsp = ctx;
    struct rooms_ack_sink kept = *sink;
    size_t count = 0;
    sio__outgoing_many(nsp, who, message);
    if (message->prepared) {
        count = ask_all(nsp, who, flags, sio__prepared_of(message->prepared), &kept);
    } else {
        struct sio__prepared foreign;
        uint64_t id = nsp->next_ack_id++;
        if (sio__prepare_foreign(&foreign, nsp, message, &id) == 0) {
            sio__prepared_set_compress(&foreign, flags->compress);
            count = ask_all(nsp, who, flags, &foreign, &kept);
            sio__prepared_clear(&foreign);
        }
    }
    kept.clients(kept.ctx, count);
}
