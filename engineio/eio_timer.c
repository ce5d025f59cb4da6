/* Timers: a binary heap of the callers' structs, and FIFO deadline queues on top of it. */
#include "eio_int.h"

/* A hundred years: keeps sums and microseconds far from overflowing. */
#define TIMER_DELAY_MAX_MS UINT64_C(3155760000000)

static void heap_put(struct eio_loop *loop, size_t i, struct eio_timer *timer)
{
    loop->heap[i] = timer;
    timer->slot = i + 1;
}

static void heap_up(struct eio_loop *loop, size_t i, struct eio_timer *timer)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (loop->heap[parent]->at_ms <= timer->at_ms) break;
        heap_put(loop, i, loop->heap[parent]);
        i = parent;
    }
    heap_put(loop, i, timer);
}

static void heap_down(struct eio_loop *loop, size_t i, struct eio_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= loop->heap_count) break;
        if (child + 1 < loop->heap_count && loop->heap[child + 1]->at_ms < loop->heap[child]->at_ms) child++;
        if (timer->at_ms <= loop->heap[child]->at_ms) break;
        heap_put(loop, i, loop->heap[child]);
        i = child;
    }
    heap_put(loop, i, timer);
}

static void heap_settle(struct eio_loop *loop, size_t i, struct eio_timer *timer)
{
    if (i > 0 && loop->heap[(i - 1) / 2]->at_ms > timer->at_ms)
        heap_up(loop, i, timer);
    else
        heap_down(loop, i, timer);
}

void eio_timer_init(struct eio_timer *timer, struct eio_loop *loop, eio_loop_fn fn, void *ctx)
{
    *timer = (struct eio_timer){.loop = loop, .fn = fn, .ctx = ctx};
}

/* Room for one more beside those that have a place. */
static int heap_make_room(struct eio_loop *loop)
{
    if (loop->heap_count + loop->heap_reserved < loop->heap_capacity) return 0;
    size_t capacity = loop->heap_capacity ? 2 * loop->heap_capacity : 64;
    struct eio_timer **heap = realloc(loop->heap, capacity * sizeof *heap);
    if (!heap) return EIO_ENOMEM;
    loop->heap = heap;
    loop->heap_capacity = capacity;
    return 0;
}

static void deadlines_due(void *ctx);

static bool has_place(const struct eio_timer *timer)
{
    return timer->fn == deadlines_due && ((const struct eio_deadlines *)timer->ctx)->has_place;
}

static int timer_start_at(struct eio_timer *timer, uint64_t at_ms)
{
    struct eio_loop *loop = timer->loop;
    timer->at_ms = at_ms;
    if (timer->slot) {
        heap_settle(loop, timer->slot - 1, timer);
        return 0;
    }
    if (has_place(timer))
        loop->heap_reserved--;
    else if (heap_make_room(loop) != 0)
        return EIO_ENOMEM;
    heap_up(loop, loop->heap_count++, timer);
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
    struct eio_loop *loop = timer->loop;
    size_t i = timer->slot - 1;
    timer->slot = 0;
    loop->heap_reserved += has_place(timer);
    struct eio_timer *last = loop->heap[--loop->heap_count];
    if (last != timer) heap_settle(loop, i, last);
}

bool eio_timer_running(const struct eio_timer *timer)
{
    return timer->slot != 0;
}

uint64_t eio__timers_next_ms(const struct eio_loop *loop)
{
    return loop->heap_count ? loop->heap[0]->at_ms : UINT64_MAX;
}

/* In the heap below a place: what is not due has nothing below it that is. */
static size_t count_due(const struct eio_loop *loop, size_t i, uint64_t now)
{
    if (i >= loop->heap_count || loop->heap[i]->at_ms > now) return 0;
    return 1 + count_due(loop, 2 * i + 1, now) + count_due(loop, 2 * i + 2, now);
}

void eio__timers_run(struct eio_loop *loop)
{
    uint64_t now = eio_loop_now_ms(loop);
    /* As many as are due now: one that starts itself again without delay waits for the next turn, whatever else there
     * is. */
    for (size_t left = count_due(loop, 0, now); left && loop->heap_count && loop->heap[0]->at_ms <= now; left--) {
        struct eio_timer *timer = loop->heap[0];
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
    queue->has_place = heap_make_room(loop) == 0;
    loop->heap_reserved += queue->has_place;
    return queue->has_place ? 0 : EIO_ENOMEM;
}

void eio_deadlines_clear(struct eio_deadlines *queue)
{
    while (queue->head.next != &queue->head) eio_deadline_stop(queue, queue->head.next);
    eio_timer_stop(&queue->timer);
    if (queue->has_place) queue->timer.loop->heap_reserved--;
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
