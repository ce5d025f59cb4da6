/* Timers: a heap of the callers' structs, and FIFO deadline queues on top of it. */
#include "eio_int.h"

/* A hundred years: keeps sums and microseconds far from overflowing. */
#define TIMER_DELAY_MAX_MS UINT64_C(3155760000000)

void eio_timer_init(struct eio_timer *timer, struct eio_loop *loop, eio_loop_fn fn, void *ctx)
{
    *timer = (struct eio_timer){.loop = loop, .fn = fn, .ctx = ctx};
}

static void deadlines_due(void *ctx);

static bool has_place(const struct eio_timer *timer)
{
    return timer->fn == deadlines_due && ((const struct eio_deadlines *)timer->ctx)->has_place;
}

static int timer_start_at(struct eio_timer *timer, uint64_t at_ms)
{
    struct base_heap *heap = &timer->loop->timers;
    timer->at_ms = at_ms;
    if (timer->slot) {
        base_heap_move(heap, at_ms, &timer->slot);
        return 0;
    }
    if (has_place(timer))
        heap->reserved--;
    else if (base_heap_make_room(heap) != BASE_OK)
        return EIO_ENOMEM;
    base_heap_insert(heap, at_ms, &timer->slot);
    return 0;
}

int eio_timer_start(struct eio_timer *timer, uint64_t delay_ms)
{
    if (delay_ms > TIMER_DELAY_MAX_MS) delay_ms = TIMER_DELAY_MAX_MS;
    return timer_start_at(timer, eio_loop_now_ms(timer->loop) + delay_ms);
}

void eio_timer_stop(struct eio_timer *timer)
{
    if (!timer->slot) return;
    timer->loop->timers.reserved += has_place(timer);
    base_heap_remove(&timer->loop->timers, &timer->slot);
}

bool eio_timer_running(const struct eio_timer *timer)
{
    return timer->slot != 0;
}

void eio__timers_run(struct eio_loop *loop)
{
    uint64_t now = eio_loop_now_ms(loop);
    /* As many as are due now: one that starts itself again without delay waits for the next turn, whatever else there
     * is. */
    const struct base_heap *heap = &loop->timers;
    for (size_t left = base_heap_due(heap, now); left && heap->count && heap->entries[0].at <= now; left--) {
        struct eio_timer *timer = container_of(heap->entries[0].slot, struct eio_timer, slot);
        eio__loop_note_due(loop, timer->at_ms);
        eio_timer_stop(timer);
        timer->fn(timer->ctx);
    }
}

/* --------------------------------------------------------- deadline queues */

static void deadlines_due(void *ctx)
{
    struct eio_deadlines *queue = ctx;
    uint64_t now = eio_loop_now_ms(queue->timer.loop);
    while (queue->head.next != &queue->head && queue->head.next->at_ms <= now) {
        struct eio_deadline *due = queue->head.next;
        eio__loop_note_due(queue->timer.loop, due->at_ms);
        eio_deadline_stop(queue, due);
        queue->fn(due, queue->ctx);
    }
    if (queue->head.next != &queue->head && !queue->timer.slot) timer_start_at(&queue->timer, queue->head.next->at_ms);
}

int eio_deadlines_init(struct eio_deadlines *queue, struct eio_loop *loop, uint64_t length_ms, eio_deadline_fn fn,
                       void *ctx)
{
    queue->head.prev = queue->head.next = &queue->head;
    queue->head.at_ms = 0;
    queue->length_ms = length_ms;
    queue->fn = fn;
    queue->ctx = ctx;
    eio_timer_init(&queue->timer, loop, deadlines_due, queue);
    queue->has_place = base_heap_make_room(&loop->timers) == BASE_OK;
    loop->timers.reserved += queue->has_place;
    return queue->has_place ? 0 : EIO_ENOMEM;
}

void eio_deadlines_clear(struct eio_deadlines *queue)
{
    while (queue->head.next != &queue->head) eio_deadline_stop(queue, queue->head.next);
    eio_timer_stop(&queue->timer);
    if (queue->has_place) queue->timer.loop->timers.reserved--;
    queue->has_place = false;
}

void eio_deadlines_add_from(struct eio_deadlines *queue, struct eio_deadline *deadline, uint64_t start_ms)
{
    if (deadline->next) eio_deadline_stop(queue, deadline);
    uint64_t at = start_ms + queue->length_ms;
    struct eio_deadline *last = queue->head.prev;
    if (last != &queue->head && last->at_ms > at) at = last->at_ms;
    deadline->at_ms = at;
    deadline->prev = last;
    deadline->next = &queue->head;
    last->next = deadline;
    queue->head.prev = deadline;
    /* Without a place and without memory the deadline is late, not lost: the next add tries again. */
    if (!queue->timer.slot) timer_start_at(&queue->timer, queue->head.next->at_ms);
}

void eio_deadlines_add(struct eio_deadlines *queue, struct eio_deadline *deadline)
{
    eio_deadlines_add_from(queue, deadline, eio_loop_now_ms(queue->timer.loop));
}

void eio_deadline_stop(struct eio_deadlines *queue, struct eio_deadline *deadline)
{
    (void)queue; /* the timer stays: it finds nothing due and moves to the next */
    if (!deadline->next) return;
    deadline->prev->next = deadline->next;
    deadline->next->prev = deadline->prev;
    deadline->prev = deadline->next = NULL;
}
