/* A session's queue of frames: a ring of references that is inline while it is short. */
#include "eio_int.h"

#include <string.h>

void eio__queue_init(struct eio__queue *queue)
{
    memset(queue, 0, sizeof *queue);
    queue->capacity = EIO__QUEUE_INLINE;
}

static void drop_slots(struct eio__queue *queue)
{
    if (queue->capacity != EIO__QUEUE_INLINE) free(queue->slots);
    queue->capacity = EIO__QUEUE_INLINE;
    queue->head = 0;
}

void eio__queue_clear(struct eio__queue *queue)
{
    while (queue->count) eio__queue_pop(queue);
    drop_slots(queue);
}

int eio__queue_grow(struct eio__queue *queue)
{
    uint32_t capacity = queue->capacity * 4;
    struct eio_frame **slots = malloc(capacity * sizeof *slots);
    if (!slots) return EIO_ENOMEM;
    for (uint32_t i = 0; i < queue->count; i++) slots[i] = eio__queue_at(queue, i);
    if (queue->capacity != EIO__QUEUE_INLINE) free(queue->slots);
    queue->slots = slots;
    queue->capacity = capacity & INT32_MAX;
    queue->head = 0;
    return 0;
}

void eio__queue_replace(struct eio__queue *queue, uint32_t i, struct eio_frame *take_frame)
{
    struct eio_frame **slot = eio__queue_slot(queue, i);
    queue->bytes = queue->bytes - (*slot)->wire_size + take_frame->wire_size;
    eio_frame_unref(*slot);
    *slot = take_frame;
}

void eio__queue_pop(struct eio__queue *queue)
{
    struct eio_frame *frame = eio__queue_at(queue, 0);
    queue->bytes -= frame->wire_size - queue->head_written;
    queue->head_written = 0;
    if (frame->messages) queue->in_group = frame->more;
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    eio_frame_unref(frame);
    /* An idle session keeps no ring. */
    if (queue->count == 0 && queue->capacity > EIO__QUEUE_INLINE) drop_slots(queue);
}

void eio__queue_drop_unsent(struct eio__queue *queue)
{
    bool keep = queue->count && (queue->head_written > 0 || eio__queue_at(queue, 0)->messages == 0);
    while (queue->count > keep) {
        struct eio_frame *last = eio__queue_at(queue, --queue->count);
        queue->bytes -= last->wire_size;
        eio_frame_unref(last);
    }
    if (queue->count == 0 && queue->capacity > EIO__QUEUE_INLINE) drop_slots(queue);
}

size_t eio__queue_advance(struct eio__queue *queue, size_t n)
{
    size_t messages = 0;
    while (n > 0) {
        const struct eio_frame *frame = eio__queue_at(queue, 0);
        size_t left = frame->wire_size - queue->head_written;
        if (n < left) {
            queue->head_written += (uint32_t)n;
            queue->bytes -= n;
            return messages;
        }
        n -= left;
        messages += frame->messages;
        eio__queue_pop(queue);
    }
    return messages;
}

/* Where the message at a position ends, with what belongs to it; 0 if its last part is not queued yet. */
static uint32_t group_end(const struct eio__queue *queue, uint32_t i)
{
    for (; i < queue->count; i++) {
        const struct eio_frame *frame = eio__queue_at(queue, i);
        if (frame->messages && !frame->more) return i + 1;
    }
    return 0;
}

size_t eio__queue_drop_oldest(struct eio__queue *queue, size_t bytes, size_t limit, size_t messages)
{
    uint32_t from = 0, kept, mask = queue->capacity - 1;
    /* A message that was begun stays, with what belongs to it. */
    if (queue->count && queue->in_group)
        from = group_end(queue, 0);
    else if (queue->count && queue->head_written > 0)
        from = eio__queue_at(queue, 0)->messages ? group_end(queue, 0) : 1;
    if (from == 0 && (queue->in_group || queue->head_written > 0)) return 0;
    kept = from;
    size_t dropped = 0;
    while (from < queue->count && (queue->bytes + bytes > limit || dropped < messages)) {
        /* Nor may a message lose its first part while its last is still to come. */
        uint32_t end = group_end(queue, from);
        if (end == 0) break;
        for (; from < end; from++) {
            struct eio_frame *frame = eio__queue_at(queue, from);
            if (frame->messages == 0) { /* the library's own: handshakes, heartbeats, closing */
                *eio__queue_slot(queue, kept++) = frame;
                continue;
            }
            queue->bytes -= frame->wire_size;
            dropped += frame->messages;
            eio_frame_unref(frame);
        }
    }
    if (from == kept) return dropped;
    /* What was kept moves up to the rest, not the rest down: it is little, and the rest may be all of a slow reader's
     * queue, at each message. */
    uint32_t gap = from - kept;
    for (uint32_t i = kept; i-- > 0;) *eio__queue_slot(queue, gap + i) = eio__queue_at(queue, i);
    queue->head = (queue->head + gap) & mask;
    queue->count -= gap;
    if (queue->count == 0 && queue->capacity > EIO__QUEUE_INLINE) drop_slots(queue);
    return dropped;
}
