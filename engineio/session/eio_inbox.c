/* Packets that have arrived and wait: because the application holds the session (eio_session_hold()), or because one
 * read brought so many that the rest is the next turn's. Meanwhile nothing more is read from that peer, so its own
 * kernel holds it back, and nobody else's requests wait for it. Not its job: packets that are the library's own
 * (heartbeats are handled as they come). */
#include "eio_int.h"

#include <string.h>

enum {
    SLICE_US = 5000, /* longer than this packets are not handled at a stretch: a peer's, or those of all that wait */
};

struct packet {
    struct packet *next;
    struct eio__packet packet;
    uint8_t bytes[];
};

struct eio__inbox {
    struct eio_session *session;
    struct packet *first, **last;
    size_t size;   /* bytes of all */
    unsigned held; /* how often by the application */
    bool waits;    /* for the timer */
    struct eio_timer timer;
};

static void stop_waiting(struct eio__inbox *inbox)
{
    if (inbox->waits) inbox->session->server->loop->inboxes--;
    inbox->waits = false;
    eio_timer_stop(&inbox->timer);
}

static int wait_for_turn(struct eio__inbox *inbox)
{
    stop_waiting(inbox);
    int result = eio_timer_start(&inbox->timer, 0);
    if (result) return result;
    inbox->waits = true;
    inbox->session->server->loop->inboxes++;
    return 0;
}

static void on_timer(void *ctx)
{
    struct eio__inbox *inbox = ctx;
    stop_waiting(inbox);
    eio__inbox_deliver(inbox->session);
}

/* All that wait get theirs in one turn, which must not be longer because they are many. */
static bool slice_is_over(struct eio_loop *loop, size_t size)
{
    return eio__loop_slice_is_over(loop, size, SLICE_US / (1 + loop->inboxes));
}

/* Whether packets wait has changed. */
static void tell_transports(struct eio_session *session)
{
    eio__upgrade_on_held(session);
    session->transport->ops->on_held(session->transport);
}

static struct eio__inbox *open_inbox(struct eio_session *session)
{
    if (session->inbox) return session->inbox;
    struct eio__inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    inbox->session = session;
    inbox->last = &inbox->first;
    eio_timer_init(&inbox->timer, session->server->loop, on_timer, inbox);
    session->inbox = inbox;
    tell_transports(session);
    return inbox;
}

static void pop(struct eio__inbox *inbox)
{
    struct packet *packet = inbox->first;
    inbox->first = packet->next;
    if (!inbox->first) inbox->last = &inbox->first;
    inbox->size -= packet->packet.n;
    free(packet);
}

static int add(struct eio_session *session, const struct eio__packet *packet)
{
    struct eio__inbox *inbox = session->inbox;
    struct packet *copy = malloc(sizeof *copy + packet->n);
    if (!copy) {
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
        return 1;
    }
    *copy = (struct packet){.packet = *packet};
    copy->packet.p = copy->bytes;
    if (packet->n) memcpy(copy->bytes, packet->p, packet->n);
    *inbox->last = copy;
    inbox->last = &copy->next;
    inbox->size += packet->n;
    return 0;
}

int eio__inbox_receive(struct eio_session *session, const struct eio__packet *packet)
{
    bool waits = packet->type == EIO__MESSAGE || packet->type == EIO__CLOSE;
    if (!session->inbox && slice_is_over(session->server->loop, packet->n)) {
        if (open_inbox(session)) wait_for_turn(session->inbox);
        session->server->stats.reads_sliced++;
    }
    if (session->inbox && waits) return add(session, packet);
    return eio__session_on_packet(session, packet);
}

bool eio__inbox_is_waiting(const struct eio_session *session)
{
    return session->inbox && session->inbox->first;
}

/* Everything was handled: the session is as any other again. */
static void close_inbox(struct eio_session *session)
{
    struct eio__inbox *inbox = session->inbox;
    stop_waiting(inbox);
    free(inbox);
    session->inbox = NULL;
    tell_transports(session);
}

void eio__inbox_deliver(struct eio_session *session)
{
    struct eio__inbox *inbox = session->inbox;
    struct eio_loop *loop = session->server->loop;
    eio__loop_begin_slice(loop);
    while (inbox->first && !inbox->held) {
        struct packet *packet = inbox->first;
        if (slice_is_over(loop, packet->packet.n)) {
            wait_for_turn(inbox);
            return;
        }
        /* Taken off first: what it leads to may end the session, or hold it again. */
        inbox->first = packet->next;
        if (!inbox->first) inbox->last = &inbox->first;
        inbox->size -= packet->packet.n;
        eio__session_on_packet(session, &packet->packet);
        free(packet);
        if (session->inbox != inbox) return; /* the session is over */
    }
    if (!inbox->held) close_inbox(session);
}

void eio__inbox_clear(struct eio_session *session)
{
    struct eio__inbox *inbox = session->inbox;
    if (!inbox) return;
    while (inbox->first) pop(inbox);
    stop_waiting(inbox);
    free(inbox);
    session->inbox = NULL;
}

int eio_session_hold(struct eio_session *session, bool hold)
{
    if (session->state != EIO__S_OPEN) return 0;
    if (!hold && !session->inbox) return 0;
    struct eio__inbox *inbox = open_inbox(session);
    if (!inbox) return EIO_ENOMEM;
    if (hold)
        inbox->held++;
    else if (inbox->held)
        inbox->held--;
    /* Not at once: this may be called out of a handler that it would call again. */
    return inbox->held ? 0 : wait_for_turn(inbox);
}
