/* The loop: turns of waiting and handling, posts from other threads, and the flush at the end of each turn. */
#include "eio_int.h"
#include "eio_tls_bio.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ------------------------------------------------------------------- turns */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct eio_loop *loop = ctx;
    eio__loop_begin_work(loop);
    loop->armed_ms = UINT64_MAX;
    eio__timers_run(loop);
}

static void run_posts(struct eio_loop *loop)
{
    uint64_t count;
    if (read(loop->post_fd, &count, sizeof count) < 0) return;
    pthread_mutex_lock(&loop->post_lock);
    struct eio__post *post = loop->post_first;
    loop->post_first = loop->post_last = NULL;
    pthread_mutex_unlock(&loop->post_lock);
    while (post) {
        struct eio__post *next = post->next;
        post->fn(post->ctx);
        free(post);
        post = next;
    }
}

static void on_post(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    eio__loop_begin_work(ctx);
    run_posts(ctx);
}

static void on_post_polled(struct eio__polled *polled, short what)
{
    (void)what;
    run_posts(container_of(polled, struct eio_loop, post_polled));
}

int eio_loop_post(struct eio_loop *loop, eio_loop_fn fn, void *ctx)
{
    struct eio__post *post = malloc(sizeof *post);
    if (!post) return EIO_ENOMEM;
    *post = (struct eio__post){.fn = fn, .ctx = ctx};
    pthread_mutex_lock(&loop->post_lock);
    bool first = loop->post_first == NULL;
    if (first)
        loop->post_first = post;
    else
        loop->post_last->next = post;
    loop->post_last = post;
    pthread_mutex_unlock(&loop->post_lock);
    uint64_t one = 1;
    /* The counter of an eventfd cannot be full here: it is read before more is posted to an empty list. */
    if (first && write(loop->post_fd, &one, sizeof one) < 0) eio_log(EIO_LOG_ERROR, "loop: cannot wake it");
    return 0;
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (!config) return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void turn_list_init(struct eio__turn_list *list)
{
    list->head.next = list->last = &list->head;
}

/* With time standing still the loop never waits, and libevent's order of things is as good as any. */
static int choose_host(struct eio_loop *loop)
{
    if (loop->fake_clock || !eio__guest_init(loop, loop->post_fd)) return eio__poller_join_base(loop);
    event_free(loop->post_event);
    loop->post_event = NULL;
    loop->post_polled.fn = on_post_polled;
    return eio__poll(loop, loop->post_fd, &loop->post_polled, 0, EV_READ);
}

static struct eio_loop *loop_new(bool fake_clock)
{
    struct eio_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->fake_clock = fake_clock;
    loop->now_valid = fake_clock;
    loop->now_ms = fake_clock ? 1000000 : 0;
    loop->armed_ms = UINT64_MAX;
    turn_list_init(&loop->to_flush);
    turn_list_init(&loop->to_free);
    loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->base = base_new();
    loop->read_buffer = malloc(EIO__READ_BUFFER_BYTES);
    loop->poller.fd = -1;
    if (loop->post_fd < 0 || !loop->base || !loop->read_buffer || eio__poller_init(loop) != 0) goto fail;
    loop->timer_event = event_new(loop->base, -1, 0, on_timer, loop);
    loop->post_event = event_new(loop->base, loop->post_fd, EV_READ | EV_PERSIST, on_post, loop);
    if (!loop->timer_event || !loop->post_event || event_add(loop->post_event, NULL) != 0) goto fail;
    if (choose_host(loop) != 0) goto fail;
    return loop;
fail:
    eio_loop_free(loop);
    return NULL;
}

struct eio_loop *eio_loop_new(void)
{
    return loop_new(false);
}

struct eio_loop *eio_loop_new_with_fake_clock(void)
{
    return loop_new(true);
}

/* What is freed adds nothing to the list. */
static void free_closed(struct eio_loop *loop)
{
    struct eio__turn_item *item = loop->to_free.head.next;
    turn_list_init(&loop->to_free);
    while (item != &loop->to_free.head) {
        struct eio__turn_item *next = item->next;
        item->ops->free(item);
        item = next;
    }
}

void eio_loop_free(struct eio_loop *loop)
{
    if (!loop) return;
    free_closed(loop);
    for (struct eio__post *post = loop->post_first; post;) {
        struct eio__post *next = post->next;
        free(post);
        post = next;
    }
    if (loop->timer_event) event_free(loop->timer_event);
    if (loop->post_event) event_free(loop->post_event);
    eio__poller_clear(loop);
    if (loop->base) {
        /* A bufferevent that was freed with a callback still due lives until that has run; event_base_free() would only
         * forget it. */
        event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        event_base_free(loop->base);
    }
    if (loop->post_fd >= 0) close(loop->post_fd);
    pthread_mutex_destroy(&loop->post_lock);
    base_heap_clear(&loop->timers);
    eio__tls_bio_free(loop->tls_bio);
    free(loop->read_buffer);
    free(loop->leases.by_fd);
    free(loop);
    eio__frame_pool_clear();
}

struct event_base *eio_loop_base(struct eio_loop *loop)
{
    return loop->base;
}

int eio_loop_add_flush_hook(struct eio_loop *loop, eio_loop_fn fn, void *ctx)
{
    if (loop->hook_count == EIO__FLUSH_HOOKS_MAX) return EIO_EINVAL;
    loop->hooks[loop->hook_count] = fn;
    loop->hook_ctx[loop->hook_count++] = ctx;
    return 0;
}

void eio_loop_remove_flush_hook(struct eio_loop *loop, eio_loop_fn fn, void *ctx)
{
    for (size_t i = 0; i < loop->hook_count; i++) {
        if (loop->hooks[i] != fn || loop->hook_ctx[i] != ctx) continue;
        size_t after = --loop->hook_count - i;
        memmove(loop->hooks + i, loop->hooks + i + 1, after * sizeof *loop->hooks);
        memmove(loop->hook_ctx + i, loop->hook_ctx + i + 1, after * sizeof *loop->hook_ctx);
        if (i < loop->hook_next) loop->hook_next--; /* a hook may remove itself */
        return;
    }
}

uint64_t eio__loop_share_end_us(const struct eio_loop *loop, uint64_t now_us, uint64_t share_us)
{
    uint64_t end_us = now_us + share_us, least_us = now_us + EIO__SHARE_MIN_MS * 1000u;
    uint64_t turn_us = loop->began_us + EIO__TURN_MS * 1000u;
    if (loop->fake_clock || end_us <= turn_us) return end_us;
    return turn_us > least_us ? turn_us : least_us;
}

bool eio__loop_has_time_for(struct eio_loop *loop, size_t n)
{
    enum { LARGE_BYTES = 256 * 1024, BYTES_PER_US = 800 }; /* scanned and handled: as text that is slow to scan */
    if (n < LARGE_BYTES) return true;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    if (!loop->large_us) loop->large_us = loop->fake_clock ? now_us : loop->began_us;
    bool has_time = now_us - loop->large_us + n / BYTES_PER_US <= EIO__TURN_MS * 1000u;
    if (!has_time) loop->large_waits = true;
    return has_time;
}

/* A message to very many, or large ones to many, would keep everybody waiting until the last of them has it. */
bool eio__loop_has_time_to_write(struct eio_loop *loop)
{
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    if (!loop->writes_end_us) {
        uint64_t began_us = loop->fake_clock ? now_us : loop->began_us;
        uint64_t end_us = began_us + EIO__TURN_WRITES_MS * 1000u, least_us = now_us + EIO__WRITES_MIN_MS * 1000u;
        loop->writes_end_us = end_us > least_us ? end_us : least_us;
    }
    if (now_us >= loop->writes_end_us) return false; /* the units stay: each further question looks again */
    loop->write_units = 0;
    return true;
}

/* What the turn has no time for keeps its place, before what was added meanwhile. */
static void put_back(struct eio__turn_list *list, struct eio__turn_item *first, struct eio__turn_item *last)
{
    last->next = list->head.next;
    list->head.next = first;
    if (list->last == &list->head) list->last = last;
}

/* Hooks, then queues. Callbacks of a flush (on_close) may queue more: a few rounds. */
static void flush_items(struct eio_loop *loop)
{
    loop->unfinished = false;
    loop->write_units = 0;
    loop->writes_end_us = 0;
    for (int round = 0; round < EIO__FLUSH_ROUNDS_MAX; round++) {
        loop->in_hooks = true;
        for (loop->hook_next = 0; loop->hook_next < loop->hook_count;) {
            size_t i = loop->hook_next++;
            loop->hooks[i](loop->hook_ctx[i]);
        }
        loop->in_hooks = false;
        struct eio__turn_item *item = loop->to_flush.head.next, *last = loop->to_flush.last;
        if (item == &loop->to_flush.head) return;
        turn_list_init(&loop->to_flush);
        while (item != &loop->to_flush.head) {
            struct eio__turn_item *next = item->next;
            if (!eio__loop_may_write(loop)) {
                put_back(&loop->to_flush, item, last);
                loop->stats.writes_cut++;
                return;
            }
            item->next = NULL;
            __builtin_prefetch(next);
            item->ops->flush(item);
            item = next;
        }
    }
    loop->unfinished = true; /* what the last round's callbacks did is the next turn's, at once */
}

static void arm_base_timer(struct eio_loop *loop)
{
    uint64_t next = eio__timers_next_ms(loop);
    if (next == loop->armed_ms) return;
    loop->armed_ms = next;
    if (next == UINT64_MAX) {
        event_del(loop->timer_event);
        return;
    }
    uint64_t now_us = base_clock_us(), at_us = next * 1000u;
    uint64_t delay_us = at_us > now_us ? at_us - now_us : 0;
    struct timeval delay = {(time_t)(delay_us / 1000000u), (suseconds_t)(delay_us % 1000000u)};
    if (event_add(loop->timer_event, &delay) != 0) loop->armed_ms = UINT64_MAX; /* the next turn tries again */
}

/* Where libevent is the guest, or time stands still, the loop looks at its timers itself. */
static inline void arm_timer(struct eio_loop *loop)
{
    if (!loop->fake_clock && !loop->guest.is_guest) arm_base_timer(loop);
}

void eio__loop_end_turn(struct eio_loop *loop)
{
    flush_items(loop);
    free_closed(loop);
    arm_timer(loop);
    if (loop->stats.turns % EIO__TURNS_TO_TRIM == 0) eio__frame_pool_trim();
}

void eio__loop_on_event(struct eio_loop *loop)
{
    eio__loop_begin_work(loop);
    if (++loop->events % EIO__TURN_EVENTS != 0 && !loop->was_long) return;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    loop->was_long = false;
    /* Peers that are behind would get ever more to be behind with. */
    if (!loop->cut_at_us && loop->is_behind) loop->cut_at_us = now_us + EIO__TURN_BEHIND_MS * 1000u;
    if (!loop->cut_at_us) loop->cut_at_us = (loop->fake_clock ? now_us : loop->began_us) + EIO__TURN_MS * 1000u;
    if (now_us + EIO__TURN_MS * 500u >= loop->cut_at_us) loop->is_crowded = true;
    if (now_us < loop->cut_at_us || loop->cut || loop->fake_clock) return;
    loop->cut = true;
    loop->stats.turns_cut++;
    event_base_loopbreak(loop->base); /* what is active stays so */
}

uint64_t eio__loop_slice_clock_us(struct eio_loop *loop)
{
    return loop->fake_clock ? loop->fake_us += loop->fake_step_us : base_clock_us();
}

bool eio__loop_slice_has_ended(struct eio_loop *loop, uint64_t limit_us)
{
    enum { CROWDED_US = 200 };
    loop->slice_units = 0;
    loop->was_long = true;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    if (!loop->slice_us) loop->slice_us = now_us;
    if (loop->is_crowded && limit_us > CROWDED_US) limit_us = CROWDED_US;
    return now_us - loop->slice_us > limit_us;
}

/* After a turn that was cut: what is due, else libevent would run it behind all events that were waiting already. But
 * after the process stood still, what peers sent meanwhile (signs of life) is read first. */
static void run_timers_early(struct eio_loop *loop)
{
    loop->now_valid = false;
    uint64_t next = eio__timers_next_ms(loop), now = eio_loop_now_ms(loop);
    if (next <= now && now - next <= EIO__STOOD_STILL_MS) eio__timers_run(loop);
}

static void note_turn(struct eio_loop *loop)
{
    loop->ended_us = base_clock_coarse_us();
    uint64_t took_us = loop->ended_us - loop->began_us;
    loop->began_us = 0;
    if (took_us > loop->stats.turn_max_us) loop->stats.turn_max_us = took_us;
    if (took_us > EIO_LONG_TURN_MS * UINT64_C(1000)) loop->stats.long_turns++;
}

static bool has_to_flush(const struct eio_loop *loop)
{
    return loop->to_flush.last != &loop->to_flush.head;
}

/* Timers after what was ready: a pong may have been. What they activate in libevent belongs to this turn, too. */
static void run_due(struct eio_loop *loop)
{
    eio__guest_run_due(loop);
    uint64_t next_ms = eio__timers_next_ms(loop);
    if (loop->cut || next_ms == UINT64_MAX || next_ms * 1000u > loop->began_us + EIO__CLOCK_STEP_US) return;
    loop->guest.is_stale = true;
    eio__timers_run(loop);
    eio__guest_run_due(loop);
}

/* What is left of libevent's events when a turn was cut comes first in the next, unless it was they who took long. */
static void run_as_host(struct eio_loop *loop, bool wait)
{
    bool is_active = eio__guest_has_active(loop), is_first = is_active && !loop->guest.was_cut;
    loop->guest.was_cut = false;
    eio__poller_wait(loop, wait && !is_active ? eio__guest_wait_ms(loop) : 0);
    eio__loop_begin_work(loop);
    if (!wait || loop->poller.count > 0) loop->guest.is_stale = true;
    if (is_first) eio__guest_run(loop);
    eio__poller_run(loop);
    if (!loop->cut) run_due(loop);
}

static int run_events(struct eio_loop *loop, bool wait)
{
    if (loop->guest.is_guest) {
        run_as_host(loop, wait);
        return 0;
    }
    /* ONCE in both cases: NONBLOCK alone goes on as long as a descriptor stays ready, and ours do until the flush. */
    int result = event_base_loop(loop->base, wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
    eio__loop_begin_work(loop);
    if (loop->fake_clock) eio__timers_run(loop);
    return result;
}

static int run_turn(struct eio_loop *loop, int wait_ms)
{
    if (!loop->fake_clock) loop->now_valid = false;
    loop->stopping = false; /* a stop ends the turn in which it was called, and those who run the loop */
    loop->stats.turns++;
    loop->is_crowded = loop->cut || (loop->is_crowded && loop->events > EIO__TURN_EVENTS);
    loop->events = 0;
    loop->cut_at_us = 0;
    loop->cut = loop->was_long = false;
    loop->is_behind = has_to_flush(loop) || loop->large_waits;
    loop->large_waits = false;
    loop->large_us = 0;
    arm_timer(loop); /* what was started between turns */
    bool wait = wait_ms != 0 && !loop->fake_clock && !has_to_flush(loop) && !loop->unfinished;
    int result = run_events(loop, wait);
    if (loop->cut) run_timers_early(loop);
    eio__loop_end_turn(loop);
    note_turn(loop);
    return result < 0 ? EIO_ESYS : 0;
}

int eio_loop_turn(struct eio_loop *loop, int wait_ms)
{
    loop->ended_us = 0;
    return run_turn(loop, wait_ms);
}

int eio_loop_run(struct eio_loop *loop)
{
    loop->stopping = false;
    loop->ended_us = 0;
    eio__loop_end_turn(loop); /* what was queued before the first turn */
    while (!loop->stopping) {
        int result = run_turn(loop, -1);
        if (result != 0) return result;
    }
    return 0;
}

void eio_loop_stop(struct eio_loop *loop)
{
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

void eio_loop_advance(struct eio_loop *loop, uint64_t ms)
{
    BASE_CHECK(loop->fake_clock);
    uint64_t target = loop->now_ms + ms;
    for (;;) {
        uint64_t next = eio__timers_next_ms(loop);
        if (next > target) break;
        if (next > loop->now_ms) loop->now_ms = next;
        eio_loop_turn(loop, 0);
    }
    loop->now_ms = target;
    eio_loop_turn(loop, 0);
}
