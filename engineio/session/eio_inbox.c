/* Packets that have arrived and wait, in order. Not its job: why they do, and what becomes of them (eio_receive.c). */
#include "eio_inbox.h"

#include "eio_int.h"

#include <string.h>

struct eio__inbox *eio__inbox_new(struct eio_session *session, eio_loop_fn due)
{
    struct eio__inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    inbox->session = session;
    inbox->last = &inbox->first;
    eio_timer_init(&inbox->timer, session->server->loop, due, inbox);
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
    if (inbox->waits) inbox->session->server->loop->inboxes--;
    inbox->waits = false;
    eio_timer_stop(&inbox->timer);
}

int eio__inbox_await_turn(struct eio__inbox *inbox)
{
    eio__inbox_stop_waiting(inbox);
    int result = eio_timer_start(&inbox->timer, 0);
    if (result) return result;
    inbox->waits = true;
    inbox->session->server->loop->inboxes++;
    return 0;
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
