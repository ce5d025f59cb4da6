/* Packets that have arrived and wait, in order, and the row of sessions whose packets do. Not its job: why they wait,
 * and what becomes of them (eio_receive.c). */
#include "eio_inbox.h"

#include "eio_int.h"

#include <string.h>

enum { SHARE_US = 1000 }; /* of a turn's slice, for one of the row */

struct eio__inbox *eio__inbox_new(struct eio_session *session, eio__deliver_fn deliver)
{
    struct eio__inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    inbox->session = session;
    inbox->last = &inbox->first;
    inbox->deliver = deliver;
    session->inbox = inbox;
    return inbox;
}

int eio__inbox_add(struct eio__inbox *inbox, const struct eio__packet *packet)
{
    struct eio__kept_packet *copy = malloc(sizeof *copy + packet->n);
    if (!copy) return EIO_ENOMEM;
    *copy = (struct eio__kept_packet){.packet = *packet};
    copy->packet.p = copy->bytes;
    if (packet->n) memcpy(copy->bytes, packet->p, packet->n);
    *inbox->last = copy;
    inbox->last = &copy->next;
    inbox->size += packet->n;
    return 0;
}

struct eio__kept_packet *eio__inbox_take_first(struct eio__inbox *inbox)
{
    struct eio__kept_packet *first = inbox->first;
    inbox->first = first->next;
    if (!inbox->first) inbox->last = &inbox->first;
    inbox->size -= first->packet.n;
    return first;
}

void eio__inbox_stop_waiting(struct eio__inbox *inbox)
{
    struct eio__inboxes *all = &inbox->session->server->inboxes;
    if (!inbox->waits) return;
    inbox->waits = false;
    *inbox->at = inbox->next;
    if (inbox->next)
        inbox->next->at = inbox->at;
    else
        all->last = inbox->at;
}

int eio__inbox_await_turn(struct eio__inbox *inbox)
{
    struct eio__inboxes *all = &inbox->session->server->inboxes;
    if (inbox->waits) return 0;
    inbox->waits = true;
    inbox->next = NULL;
    inbox->at = all->last;
    *all->last = inbox;
    all->last = &inbox->next;
    return eio_timer_start(&all->timer, 0);
}

/* Whether the turn can have another large packet; the first of a turn always finds room, or it would never. */
static bool may_go_on(struct eio_loop *loop, const struct eio__inbox *inbox, bool is_first)
{
    bool has_time = eio__loop_has_time_for(loop, inbox->first ? inbox->first->packet.n : 0);
    return inbox->turn != loop->stats.turns && (is_first || has_time);
}

/* All that wait get theirs in one turn, which must not be longer because they are many: the row has one slice. */
static void run_slice(void *ctx)
{
    struct eio_server *server = ctx;
    bool is_first = true;
    struct eio__inboxes *all = &server->inboxes;
    uint64_t now_us = eio__loop_slice_clock_us(server->loop);
    uint64_t end_us = eio__loop_share_end_us(server->loop, now_us, EIO__SLICE_US);
    while (all->first && now_us < end_us && may_go_on(server->loop, all->first, is_first)) {
        struct eio__inbox *inbox = all->first;
        is_first = false;
        eio__inbox_stop_waiting(inbox);
        inbox->deliver(inbox, now_us + SHARE_US < end_us ? now_us + SHARE_US : end_us);
        now_us = eio__loop_slice_clock_us(server->loop);
    }
    if (all->first) eio_timer_start(&all->timer, 0);
}

void eio__inboxes_init(struct eio_server *server)
{
    server->inboxes.last = &server->inboxes.first;
    eio_timer_init(&server->inboxes.timer, server->loop, run_slice, server);
}

void eio__inboxes_clear(struct eio_server *server)
{
    BASE_CHECK(!server->inboxes.first);
    eio_timer_stop(&server->inboxes.timer);
}

void eio__inbox_clear(struct eio_session *session)
{
    struct eio__inbox *inbox = session->inbox;
    if (!inbox) return;
    while (inbox->first) free(eio__inbox_take_first(inbox));
    eio__inbox_stop_waiting(inbox);
    free(inbox);
    session->inbox = NULL;
}
