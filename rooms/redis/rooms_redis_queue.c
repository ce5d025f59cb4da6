/* Commands to be written to Redis, and the callbacks of their replies. Pure. Commands are contiguous in memory, so that
 * all of a pass leaves in one write. */
#include "rooms_redis_conn.h"

#include <stdlib.h>

#define BYTES_MIN ((size_t)4096)
#define BYTES_KEPT ((size_t)1 << 20) /* of an empty queue */
#define RING_MIN ((size_t)64)
#define DROPPED UINT8_MAX

static struct rooms__redis_record *at(const struct rooms__redis_queue *queue, size_t i)
{
    return &queue->records[i & (queue->ring - 1)];
}

static bool ring_reserve(struct rooms__redis_queue *queue)
{
    if (queue->last - queue->first < queue->ring) return true;
    size_t ring = queue->ring ? 2 * queue->ring : RING_MIN;
    struct rooms__redis_record *records = malloc(ring * sizeof *records);
    if (!records) return false;
    for (size_t i = queue->first; i != queue->last; i++) records[i & (ring - 1)] = *at(queue, i);
    free(queue->records);
    queue->records = records;
    queue->ring = ring;
    return true;
}

/* Bytes that are gone make room if they are the half, so that nothing is moved more than once on average, even while
 * for each command that comes another is dropped. */
static bool bytes_reserve(struct rooms__redis_queue *queue, size_t size)
{
    size_t used = queue->end - queue->start;
    if (queue->capacity - queue->end >= size) return true;
    if (queue->start >= queue->capacity / 2 && queue->capacity - used >= size) {
        memmove(queue->bytes, queue->bytes + queue->start, used);
    } else {
        size_t capacity = 2 * used + size < BYTES_MIN ? BYTES_MIN : 2 * used + size;
        uint8_t *bytes = malloc(capacity);
        if (!bytes) return false;
        if (used) memcpy(bytes, queue->bytes + queue->start, used);
        free(queue->bytes);
        queue->bytes = bytes;
        queue->capacity = capacity;
    }
    queue->start = 0;
    queue->end = used;
    return true;
}

uint8_t *rooms__redis_queue_add(struct rooms__redis_queue *queue, const struct rooms__redis_record *record)
{
    if (!ring_reserve(queue) || !bytes_reserve(queue, record->size)) return NULL;
    uint8_t *bytes = queue->bytes + queue->end;
    queue->end += record->size;
    *at(queue, queue->last++) = *record;
    queue->posts += record->kind == ROOMS__RECORD_POST;
    return bytes;
}

struct rooms_bytes rooms__redis_queue_unwritten(const struct rooms__redis_queue *queue)
{
    size_t from = queue->start + queue->written;
    return (struct rooms_bytes){queue->bytes ? queue->bytes + from : NULL, queue->end - from};
}

size_t rooms__redis_queue_size(const struct rooms__redis_queue *queue)
{
    return queue->end - queue->start;
}

static void give_back(struct rooms__redis_queue *queue)
{
    if (queue->start != queue->end) return;
    queue->start = queue->end = 0;
    if (queue->capacity <= BYTES_KEPT) return;
    free(queue->bytes);
    queue->bytes = NULL;
    queue->capacity = 0;
}

struct rooms__redis_sent rooms__redis_queue_wrote(struct rooms__redis_queue *queue, size_t n)
{
    struct rooms__redis_sent sent = {0, 0};
    queue->written += n;
    while (queue->unsent != queue->last && queue->written >= at(queue, queue->unsent)->size) {
        const struct rooms__redis_record *record = at(queue, queue->unsent++);
        queue->written -= record->size;
        queue->start += record->size;
        if (record->kind != ROOMS__RECORD_POST) continue;
        queue->posts--;
        sent.posts++;
        sent.bytes += record->size;
    }
    give_back(queue);
    return sent;
}

/* A command that was dropped behind others that wait for their answers leaves its record. */
static void skip_dropped(struct rooms__redis_queue *queue)
{
    while (queue->first != queue->unsent && at(queue, queue->first)->kind == DROPPED) queue->first++;
}

const struct rooms__redis_record *rooms__redis_queue_peek(const struct rooms__redis_queue *queue)
{
    return queue->first == queue->unsent ? NULL : at(queue, queue->first);
}

bool rooms__redis_queue_answered(struct rooms__redis_queue *queue, struct rooms__redis_record *record)
{
    if (queue->first == queue->unsent) return false;
    *record = *at(queue, queue->first++);
    skip_dropped(queue);
    return true;
}

bool rooms__redis_queue_drop(struct rooms__redis_queue *queue)
{
    if (queue->posts == 0) return false;
    size_t i = queue->unsent, before = 0;
    for (; i != queue->last; before += at(queue, i++)->size) {
        bool begun = i == queue->unsent && queue->written > 0;
        if (at(queue, i)->kind == ROOMS__RECORD_POST && !begun) break;
    }
    if (i == queue->last) return false;
    /* What precedes it, mostly nothing, moves up into its place. */
    size_t size = at(queue, i)->size;
    if (before) memmove(queue->bytes + queue->start + size, queue->bytes + queue->start, before);
    queue->start += size;
    for (; i != queue->unsent; i--) *at(queue, i) = *at(queue, i - 1);
    at(queue, queue->unsent++)->kind = DROPPED;
    skip_dropped(queue);
    queue->posts--;
    return true;
}

void rooms__redis_queue_lost(struct rooms__redis_queue *queue,
                             void (*fn)(void *ctx, const struct rooms__redis_record *record), void *ctx)
{
    size_t from = queue->start, to = queue->start, kept = queue->unsent;
    for (size_t i = queue->first; i != queue->unsent; i++) {
        const struct rooms__redis_record *record = at(queue, i);
        if (record->kind != ROOMS__RECORD_POST && record->kind != DROPPED) fn(ctx, record);
    }
    for (size_t i = queue->unsent; i != queue->last; i++) {
        struct rooms__redis_record record = *at(queue, i);
        if (record.kind == ROOMS__RECORD_POST) {
            if (to != from) memmove(queue->bytes + to, queue->bytes + from, record.size);
            to += record.size;
            *at(queue, kept++) = record;
        } else {
            fn(ctx, &record);
        }
        from += record.size;
    }
    queue->end = to;
    queue->first = queue->unsent;
    queue->last = kept;
    queue->written = 0;
    give_back(queue);
}

void rooms__redis_queue_clear(struct rooms__redis_queue *queue)
{
    free(queue->bytes);
    free(queue->records);
    *queue = (struct rooms__redis_queue){0};
}
