/* The lane. With a log, a broadcast is delivered here once its offset is known, and nothing that comes after it may
 * overtake it. The log usually answers within a millisecond. If it does not answer in time, all is delivered without
 * offsets, and deliveries no longer wait until it answers again. */
#include "rooms_cluster_int.h"

#include <stdlib.h>
#include <string.h>

struct rooms__lane_entry {
    struct rooms__lane_entry *next;
    struct rooms_cluster_message *message;
    struct rooms_ack_sink sink;
    bool has_sink;
    uint64_t ticket; /* 0: waits only for those before it */
    uint64_t until_ms;
    size_t bytes;
    char offset[ROOMS_OFFSET_SIZE];
};

/* -------------------------------------------------------------------- copy */

struct rooms_cluster_message *rooms__cluster_copy(const struct rooms_cluster_message *from, size_t *bytes)
{
    size_t size = sizeof *from + from->uid.n + from->request.n + from->packet.json.n + from->packet.offset.n +
                  rooms__names_size(from->who.rooms, from->who.room_count) +
                  rooms__names_size(from->who.except, from->who.except_count) +
                  rooms__names_size(from->rooms, from->room_count) +
                  (from->packet.attachment_count + from->socket_count) * sizeof(struct rooms_bytes);
    for (size_t i = 0; i < from->packet.attachment_count; i++) size += from->packet.attachments[i].n;
    for (size_t i = 0; i < from->socket_count; i++) size += from->sockets[i].n;
    struct rooms_cluster_message *copy = malloc(size);
    if (!copy) return NULL;
    *copy = *from;
    struct rooms_arena arena = {(char *)(copy + 1)};
    struct rooms_name *in = rooms__cut(&arena, from->who.room_count * sizeof *in);
    struct rooms_name *except = rooms__cut(&arena, from->who.except_count * sizeof *except);
    struct rooms_name *rooms = rooms__cut(&arena, from->room_count * sizeof *rooms);
    struct rooms_bytes *attachments = rooms__cut(&arena, from->packet.attachment_count * sizeof *attachments);
    struct rooms_bytes *sockets = rooms__cut(&arena, from->socket_count * sizeof *sockets);
    rooms__cut_names(&arena, in, from->who.rooms, from->who.room_count);
    rooms__cut_names(&arena, except, from->who.except, from->who.except_count);
    rooms__cut_names(&arena, rooms, from->rooms, from->room_count);
    for (size_t i = 0; i < from->packet.attachment_count; i++)
        attachments[i] = rooms__cut_bytes(&arena, from->packet.attachments[i]);
    for (size_t i = 0; i < from->socket_count; i++) sockets[i] = rooms__cut_bytes(&arena, from->sockets[i]);
    copy->uid = rooms__cut_name(&arena, from->uid);
    copy->request = rooms__cut_name(&arena, from->request);
    copy->who = (struct rooms_selector){in, from->who.room_count, except, from->who.except_count};
    copy->packet.json = rooms__cut_bytes(&arena, from->packet.json);
    copy->packet.offset = rooms__cut_name(&arena, from->packet.offset);
    copy->packet.attachments = attachments;
    copy->packet.prepared = NULL;
    copy->rooms = rooms;
    copy->sockets = sockets;
    if (bytes) *bytes = size;
    return copy;
}

/* -------------------------------------------------------------------- lane */

static struct rooms__lane_entry *take_first(struct rooms__lane *lane)
{
    struct rooms__lane_entry *entry = lane->first;
    lane->first = entry->next;
    if (!lane->first) lane->last = NULL;
    lane->bytes -= entry->bytes;
    return entry;
}

static void apply_first(struct rooms_cluster *cluster)
{
    struct rooms__lane_entry *entry = take_first(&cluster->state->lane);
    entry->message->packet.offset = (struct rooms_name){entry->offset, strlen(entry->offset)};
    rooms__cluster_apply(cluster, entry->message, entry->has_sink ? &entry->sink : NULL);
    free(entry->message);
    free(entry);
}

static void stop_waiting(struct rooms_cluster *cluster)
{
    if (!cluster->state->lane.late) cluster->state->stats->log_late++;
    cluster->state->lane.late = true;
    rooms__lane_flush(cluster);
}

static void on_late(void *ctx)
{
    struct rooms_cluster *cluster = ctx;
    stop_waiting(cluster);
}

static void apply_ready(struct rooms_cluster *cluster)
{
    while (cluster->state->lane.first && cluster->state->lane.first->ticket == 0) apply_first(cluster);
    if (cluster->state->lane.first)
        base_timer_start_at(&cluster->state->lane.timer, cluster->state->lane.first->until_ms);
    else
        base_timer_stop(&cluster->state->lane.timer);
}

static int append_entry(struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                        const struct rooms_ack_sink *sink, bool waits)
{
    struct rooms__lane *lane = &cluster->state->lane;
    struct rooms__lane_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return ROOMS_ENOMEM;
    entry->message = rooms__cluster_copy(message, &entry->bytes);
    if (!entry->message) {
        free(entry);
        return ROOMS_ENOMEM;
    }
    if (sink) entry->sink = *sink;
    entry->has_sink = sink != NULL;
    entry->ticket = waits ? lane->ticket : 0;
    entry->until_ms = rooms__cluster_now(cluster) + cluster->state->options.log_wait_ms;
    entry->bytes += sizeof *entry;
    if (lane->last)
        lane->last->next = entry;
    else
        lane->first = entry;
    lane->last = entry;
    lane->bytes += entry->bytes;
    if (lane->first == entry) base_timer_start_at(&lane->timer, entry->until_ms);
    return ROOMS_OK;
}

void rooms__lane_apply(struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                       const struct rooms_ack_sink *sink, bool waits)
{
    struct rooms__lane *lane = &cluster->state->lane;
    bool must_wait = lane->first || (waits && !lane->late);
    if (must_wait && append_entry(cluster, message, sink, waits) == ROOMS_OK) {
        if (lane->bytes > cluster->state->options.max_log_wait_bytes) stop_waiting(cluster);
        return;
    }
    rooms__lane_flush(cluster); /* out of memory: what waits goes first */
    rooms__cluster_apply(cluster, message, sink);
}

int rooms__lane_init(struct rooms_cluster *cluster)
{
    struct rooms_cluster_state *state = cluster->state;
    return base_timer_init(&state->lane.timer, &state->timers, on_late, cluster) == BASE_OK ? ROOMS_OK : ROOMS_ENOMEM;
}

void rooms__lane_flush(struct rooms_cluster *cluster)
{
    while (cluster->state->lane.first) apply_first(cluster);
    base_timer_stop(&cluster->state->lane.timer);
}

void rooms_cluster_logged(struct rooms_cluster *cluster, uint64_t ticket, struct rooms_name offset)
{
    struct rooms__lane_entry *entry = cluster->state->lane.first;
    if (offset.n) cluster->state->lane.late = false;
    while (entry && entry->ticket != ticket) entry = entry->next;
    if (!entry) return; /* it did not wait for so long */
    if (offset.n < ROOMS_OFFSET_SIZE && offset.n) memcpy(entry->offset, offset.p, offset.n);
    entry->ticket = 0;
    apply_ready(cluster);
}
