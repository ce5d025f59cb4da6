/* A worker's part: orders from the master, heartbeats, and figures for answers about all workers. */
#include "node_cluster.h"

#include "kit_metrics.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INQUIRY_MS 300 /* the longest that numbers are waited for */

struct node_inquiry {
    struct node_inquiry *next;
    void (*fn)(void *ctx);
    void *ctx;
};

static struct kit_process_page *own_page(const struct node_worker *worker)
{
    return &worker->page->workers[worker->index];
}

static void wake(int fd)
{
    uint64_t one = 1;
    /* Full means that it is awake. */
    if (write(fd, &one, sizeof one) < 0) return;
}

static void drain(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) return;
}

/* ------------------------------------------------------------------ orders */

static int start_listening(struct node_worker *worker)
{
    int failed = 0;
    for (size_t i = 0; i < worker->listener_count && !failed; i++) {
        struct eio_http_listener listener = worker->listeners[i];
        worker->listeners[i].take_fd = -1;
        failed = eio_http_listen_on(sio_server_http(worker->kit->io), &listener);
    }
    return failed;
}

static void obey(struct node_worker *worker, const struct node_order *order, int take_fds[2])
{
    const struct node_orders *orders = &worker->orders;
    switch (order->kind) {
    case NODE_ORDER_PEER:
        if (take_fds[0] >= 0) node_cluster_add_peer(worker->cluster, order->peer, take_fds);
        return;
    case NODE_ORDER_LISTEN:
        if (start_listening(worker)) {
            kit_log(EIO_LOG_ERROR, "cannot listen", "why", strerror(errno), NULL);
            worker->failed = true;
            eio_loop_stop(worker->kit->loop);
        } else if (send(worker->control_fd, &(char){NODE_WORKER_READY}, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            orders->drain(orders->ctx);
        }
        return;
    case NODE_ORDER_DRAIN:
        orders->drain(orders->ctx);
        return;
    case NODE_ORDER_STOP_NOW:
        orders->stop_now(orders->ctx);
        return;
    case NODE_ORDER_RELOAD:
        orders->reload(orders->ctx);
        return;
    case NODE_ORDER_DESCRIBE:
        orders->describe(orders->ctx);
        return;
    default:
        return;
    }
}

/* As recvmsg(). fds: -1 for each that did not come. */
static ssize_t receive(int fd, struct node_order *order, int fds[2])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = {order, sizeof *order};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    fds[0] = fds[1] = -1;
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)))
        memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
    return n;
}

static void on_control(evutil_socket_t fd, short what, void *ctx)
{
    struct node_worker *worker = ctx;
    struct node_order order;
    int fds[2];
    ssize_t n;
    (void)what;
    while ((n = receive(fd, &order, fds)) == (ssize_t)sizeof order) obey(worker, &order, fds);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    /* The master is gone, and could neither restart nor end this process. */
    event_del(worker->control_event);
    kit_log(EIO_LOG_ERROR, "the master process is gone; exiting", NULL);
    worker->orders.drain(worker->orders.ctx);
}

/* ----------------------------------------------------------- signs of life */

static void show_sign(void *ctx)
{
    struct node_worker *worker = ctx;
    atomic_store(&own_page(worker)->alive_ms, kit_monotonic_ms());
    eio_timer_start(&worker->sign_timer, NODE_WORKER_SIGN_MS);
}

/* --------------------------------------------------------------- inquiries */

static void publish(struct node_worker *worker)
{
    struct kit_process_page *page = own_page(worker);
    uint64_t inquiry = atomic_load(&worker->page->inquiries);
    kit_metrics_publish(worker->kit, page);
    atomic_store(&page->answered, inquiry);
}

/* Somebody wants our numbers. */
static void on_asked(evutil_socket_t fd, short what, void *ctx)
{
    struct node_worker *worker = ctx;
    (void)what;
    drain(fd);
    uint64_t askers = atomic_exchange(&own_page(worker)->askers, 0);
    publish(worker);
    for (unsigned i = 0; i < worker->count; i++)
        if (askers >> i & 1) wake(worker->answer_fds[i]);
}

/* True if somebody who lives has not answered yet. */
static bool is_missing(const struct node_worker *worker)
{
    uint64_t now_ms = kit_monotonic_ms();
    for (unsigned i = 0; i < worker->count; i++) {
        const struct kit_process_page *page = &worker->page->workers[i];
        if (kit_process_is_up(page, now_ms) && atomic_load(&page->answered) < worker->inquiry) return true;
    }
    return false;
}

static void finish(struct node_inquiry *list)
{
    while (list) {
        struct node_inquiry *next = list->next;
        list->fn(list->ctx);
        free(list);
        list = next;
    }
}

static void begin_inquiry(struct node_worker *worker)
{
    uint64_t now_ms = kit_monotonic_ms();
    worker->asked = worker->next_asked;
    worker->next_asked = NULL;
    worker->inquiry = atomic_fetch_add(&worker->page->inquiries, 1) + 1;
    publish(worker);
    for (unsigned i = 0; i < worker->count; i++) {
        struct kit_process_page *page = &worker->page->workers[i];
        if (i == worker->index || !kit_process_is_up(page, now_ms)) continue;
        atomic_fetch_or(&page->askers, UINT64_C(1) << worker->index);
        wake(worker->ask_fds[i]);
    }
    eio_timer_start(&worker->inquiry_timer, is_missing(worker) ? INQUIRY_MS : 0);
}

static void end_inquiry(struct node_worker *worker)
{
    struct node_inquiry *done = worker->asked;
    eio_timer_stop(&worker->inquiry_timer);
    worker->asked = NULL;
    finish(done);
    if (worker->next_asked && !worker->asked) begin_inquiry(worker);
}

static void on_answered(evutil_socket_t fd, short what, void *ctx)
{
    struct node_worker *worker = ctx;
    (void)what;
    drain(fd);
    if (worker->asked && !is_missing(worker)) end_inquiry(worker);
}

static void on_inquiry_timer(void *ctx)
{
    end_inquiry(ctx);
}

static int refresh(void *ctx, void (*fn)(void *fn_ctx), void *fn_ctx)
{
    struct node_worker *worker = ctx;
    struct node_inquiry *inquiry = malloc(sizeof *inquiry);
    if (!inquiry) return EIO_ENOMEM;
    *inquiry = (struct node_inquiry){worker->next_asked, fn, fn_ctx};
    worker->next_asked = inquiry;
    if (!worker->asked) begin_inquiry(worker);
    return 0;
}

/* ---------------------------------------------------------------- lifetime */

static struct event *watch(struct node_worker *worker, int fd, event_callback_fn fn)
{
    struct event *event = event_new(eio_loop_base(worker->kit->loop), fd, EV_READ | EV_PERSIST, fn, worker);
    if (!event || event_add(event, NULL) == 0) return event;
    event_free(event);
    return NULL;
}

void node_worker_join(struct node_worker *worker, struct kit *kit)
{
    worker->kit = kit;
    kit->processes = (struct kit_processes){worker->index, worker->count, worker->page, refresh, worker};
    eio_timer_init(&worker->sign_timer, kit->loop, show_sign, worker);
    eio_timer_init(&worker->inquiry_timer, kit->loop, on_inquiry_timer, worker);
}

int node_worker_start(struct node_worker *worker, struct node_cluster *cluster, const struct node_orders *orders)
{
    worker->cluster = cluster;
    worker->orders = *orders;
    worker->control_event = watch(worker, worker->control_fd, on_control);
    worker->ask_event = watch(worker, worker->ask_fds[worker->index], on_asked);
    worker->answer_event = watch(worker, worker->answer_fds[worker->index], on_answered);
    if (!worker->control_event || !worker->ask_event || !worker->answer_event) return EIO_ENOMEM;
    show_sign(worker);
    return 0;
}

void node_worker_stop(struct node_worker *worker)
{
    if (!worker->kit) return;
    eio_timer_stop(&worker->sign_timer);
    eio_timer_stop(&worker->inquiry_timer);
    finish(worker->asked);
    finish(worker->next_asked);
    worker->asked = worker->next_asked = NULL;
    if (worker->control_event) event_free(worker->control_event);
    if (worker->ask_event) event_free(worker->ask_event);
    if (worker->answer_event) event_free(worker->answer_event);
    worker->kit = NULL;
}

void node_worker_clear(struct node_worker *worker)
{
    close(worker->control_fd);
    for (size_t i = 0; i < worker->listener_count; i++)
        if (worker->listeners[i].take_fd >= 0) close(worker->listeners[i].take_fd);
    for (unsigned i = 0; i < worker->count; i++) {
        close(worker->ask_fds[i]);
        close(worker->answer_fds[i]);
    }
}
