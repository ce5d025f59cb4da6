/* Handovers between two processes of one machine: a record for each on a pair of sockets, its descriptor beside it
 * (SCM_RIGHTS). The socket keeps records whole and in order; what it does not take waits in a bounded queue. */
#include "eio_http_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECEIVED_AT_ONCE = 64, /* handovers of one event, then others have their turn */
    DESCRIPTORS_MAX = 8,   /* of one record; the kernel closes what is more */
};

struct parcel {
    struct parcel *next;
    struct eio_http_handover handover;
};

struct eio_handoff {
    struct eio_http *http;
    int fd;
    struct event event;
    bool writing; /* EV_WRITE is watched */
    bool broken;  /* the peer is gone, or will be found gone */
    bool closed;
    struct eio_handoff_options options;
    struct parcel *first, **last;
    size_t queued_bytes;
    eio_loop_fn on_closed;
    void *closed_ctx;
    struct eio_limit_counter full;
    struct eio_handoff_stats stats;
};

void eio_handoff_options_init(struct eio_handoff_options *options)
{
    *options = (struct eio_handoff_options){.max_queue = 256, .max_queue_bytes = 4194304};
}

void eio_handoff_get_stats(const struct eio_handoff *handoff, struct eio_handoff_stats *stats)
{
    *stats = handoff->stats;
}

void eio_handoff_on_closed(struct eio_handoff *handoff, eio_loop_fn fn, void *ctx)
{
    handoff->on_closed = fn;
    handoff->closed_ctx = ctx;
}

/* ----------------------------------------------------------------- sending */

static void on_event(evutil_socket_t fd, short what, void *ctx);

static void watch_events(struct eio_handoff *handoff, bool writing)
{
    if (handoff->closed) return;
    handoff->writing = writing;
    event_del(&handoff->event);
    short what = (short)(EV_READ | EV_PERSIST | (writing ? EV_WRITE : 0));
    event_assign(&handoff->event, handoff->http->loop->base, handoff->fd, what, on_event, handoff);
    event_add(&handoff->event, NULL);
}

/* 0: it is with the kernel. EIO_EAGAIN: the socket is full. Else it cannot be sent. */
static int send_record(struct eio_handoff *handoff, struct eio_http_handover *handover)
{
    uint8_t head[EIO__HANDOVER_HEAD_BYTES];
    eio__handover_encode(handover, head);
    struct iovec parts[2] = {{head, sizeof head}, {handover->bytes, handover->size}};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &handover->fd, sizeof(int));
    ssize_t n;
    do {
        n = sendmsg(handoff->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return 0;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return EIO_EAGAIN;
    if (errno == EMSGSIZE) return EIO_ETOOBIG;
    return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? EIO_ECLOSED : EIO_ESYS;
}

static void break_off(struct eio_handoff *handoff)
{
    if (handoff->broken) return;
    handoff->broken = true;
    event_active(&handoff->event, EV_READ, 0); /* from the loop: we may be inside somebody's request */
}

static bool has_room(struct eio_handoff *handoff, size_t size)
{
    const struct eio_handoff_options *o = &handoff->options;
    if (handoff->stats.queued < o->max_queue && handoff->queued_bytes + size <= o->max_queue_bytes) return true;
    eio_limit_hit(&handoff->full, handoff->http->loop, "max_queue of handovers", NULL);
    return false;
}

static int enqueue(struct eio_handoff *handoff, struct eio_http_handover *handover)
{
    if (!has_room(handoff, handover->size)) return EIO_EAGAIN;
    struct parcel *parcel = malloc(sizeof *parcel);
    if (!parcel) return EIO_ENOMEM;
    *parcel = (struct parcel){NULL, *handover};
    *handover = (struct eio_http_handover){.fd = -1};
    *handoff->last = parcel;
    handoff->last = &parcel->next;
    handoff->queued_bytes += parcel->handover.size;
    handoff->stats.queued++;
    if (!handoff->writing) watch_events(handoff, true);
    return 0;
}

int eio_handoff_send(struct eio_handoff *handoff, struct eio_http_handover *handover)
{
    int result = handoff->broken ? EIO_ECLOSED : handoff->first ? EIO_EAGAIN : send_record(handoff, handover);
    if (result == 0) {
        handoff->stats.sent++;
        eio_http_handover_clear(handover);
        return 0;
    }
    if (result == EIO_EAGAIN) result = enqueue(handoff, handover);
    if (result == EIO_ECLOSED) break_off(handoff);
    if (result) handoff->stats.declined++;
    return result;
}

int eio_handoff_offer(struct eio_handoff *handoff, struct eio_offer *offer)
{
    struct eio_http_handover handover;
    int result = handoff->broken ? EIO_ECLOSED : handoff->first && !has_room(handoff, 0) ? EIO_EAGAIN : 0;
    if (result == 0) result = eio_offer_take(offer, &handover);
    if (result) {
        handoff->stats.declined++;
        return result;
    }
    /* It cannot be given back: then this node answers, though it does not know the session. */
    if (eio_handoff_send(handoff, &handover) != 0) eio_http_adopt(handoff->http, &handover);
    return 0;
}

/* What waits goes, or is answered here. */
static void send_queued(struct eio_handoff *handoff)
{
    struct parcel *parcel;
    while ((parcel = handoff->first) != NULL) {
        int result = handoff->broken ? EIO_ECLOSED : send_record(handoff, &parcel->handover);
        if (result == EIO_EAGAIN) return;
        handoff->first = parcel->next;
        if (!handoff->first) handoff->last = &handoff->first;
        handoff->queued_bytes -= parcel->handover.size;
        handoff->stats.queued--;
        if (result == 0) {
            handoff->stats.sent++;
            eio_http_handover_clear(&parcel->handover);
        } else {
            handoff->stats.declined++;
            eio_http_adopt(handoff->http, &parcel->handover);
        }
        free(parcel);
        if (result == EIO_ECLOSED) break_off(handoff);
    }
    if (handoff->writing) watch_events(handoff, false);
}

/* --------------------------------------------------------------- receiving */

/* Descriptors that came with a record; -1: not exactly one. */
static int take_descriptor(struct msghdr *message, size_t *count)
{
    int first = -1;
    *count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (const uint8_t *)c + at, sizeof fd);
            if ((*count)++ == 0)
                first = fd;
            else
                close(fd);
        }
    }
    if (*count <= 1) return first;
    close(first);
    return -1;
}

/* Reads one record of which `size` bytes follow the head. bytes: room for them; NULL: none, and it is dropped. */
static void receive_record(struct eio_handoff *handoff, uint8_t *take_bytes, size_t size)
{
    uint8_t head[EIO__HANDOVER_HEAD_BYTES];
    struct iovec parts[2] = {{head, sizeof head}, {take_bytes, take_bytes ? size : 0}};
    union {
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct eio_http_handover handover;
    size_t count;
    ssize_t n = recvmsg(handoff->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd = n < 0 ? -1 : take_descriptor(&message, &count);
    bool whole = n == (ssize_t)(sizeof head + size) && !(message.msg_flags & MSG_TRUNC);
    if (whole && fd >= 0 && eio__handover_decode(head, size, &handover)) {
        handover.fd = fd;
        handover.bytes = take_bytes;
        handoff->stats.received++;
        eio_http_adopt(handoff->http, &handover);
        return;
    }
    if (fd >= 0) close(fd);
    bool for_want = size <= EIO_HANDOVER_BYTES_MAX && (!take_bytes || (message.msg_flags & MSG_CTRUNC));
    free(take_bytes);
    if (n < 0) return;
    if (for_want)
        handoff->stats.lost++;
    else
        handoff->stats.malformed++;
}

static void close_down(struct eio_handoff *handoff)
{
    eio_loop_fn fn = handoff->on_closed;
    handoff->broken = true;
    send_queued(handoff);
    event_del(&handoff->event);
    handoff->closed = true;
    if (fn) fn(handoff->closed_ctx);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    struct eio_handoff *handoff = ctx;
    (void)what;
    if (handoff->first) send_queued(handoff);
    for (int i = 0; i < RECEIVED_AT_ONCE; i++) {
        /* How much it is, so that it is read to where it stays. */
        ssize_t n = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0 && errno == ECONNRESET && !handoff->broken) {
            handoff->broken = true; /* what it has sent before it died is still there */
            continue;
        }
        if (n <= 0) {
            close_down(handoff);
            return;
        }
        size_t size = (size_t)n > EIO__HANDOVER_HEAD_BYTES ? (size_t)n - EIO__HANDOVER_HEAD_BYTES : 0;
        bool sound = size <= EIO_HANDOVER_BYTES_MAX;
        receive_record(handoff, sound ? malloc(size ? size : 1) : NULL, size);
    }
}

/* ---------------------------------------------------------------- lifetime */

struct eio_handoff *eio_handoff_new(struct eio_http *http, int take_fd, const struct eio_handoff_options *options)
{
    struct eio_handoff *handoff = calloc(1, sizeof *handoff);
    if (!handoff) {
        close(take_fd);
        return NULL;
    }
    handoff->http = http;
    handoff->fd = take_fd;
    handoff->last = &handoff->first;
    eio_handoff_options_init(&handoff->options);
    if (options) handoff->options = *options;
    evutil_make_socket_nonblocking(take_fd);
    evutil_make_socket_closeonexec(take_fd);
    event_assign(&handoff->event, http->loop->base, take_fd, EV_READ | EV_PERSIST, on_event, handoff);
    if (event_add(&handoff->event, NULL) == 0) return handoff;
    close(take_fd);
    free(handoff);
    return NULL;
}

void eio_handoff_free(struct eio_handoff *handoff)
{
    if (!handoff) return;
    if (!handoff->closed) {
        handoff->on_closed = NULL;
        close_down(handoff);
    }
    close(handoff->fd);
    free(handoff);
}
