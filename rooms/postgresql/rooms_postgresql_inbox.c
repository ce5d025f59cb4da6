/* What has arrived and waits. A notification may name an attachment, which is a question to PostgreSQL: all that
 * arrives after it waits for the answer, so that every sender's messages keep their order. */
#include "rooms_postgresql_int.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
    ASKED_MAX = 64,      /* attachments at once */
    DELIVERED_MAX = 256, /* arrivals at once */
    ASK_AGAIN_MS = 200,  /* after an error: the server is ending, a lock was not to be had in time */
};
#define DELIVERED_BYTES_MAX ((size_t)1 << 20)

enum arrival_state { COMPLETE, UNASKED, ASKED, MISSED };

struct rooms__pg_arrival {
    struct rooms__pg_arrival *next;
    struct rooms__pg_adapter *adapter; /* NULL: gone */
    enum arrival_state state;
    uint64_t attachment;
    uint64_t until_ms;
    PGresult *result;           /* has the payload of an attachment */
    struct rooms_bytes payload; /* COMPLETE */
    size_t bytes;               /* that it counts for */
};

static void arrival_free(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival)
{
    if (arrival->state == ASKED) {
        pg->inbox.asked--;
        rooms__pg_link_forget(&pg->links[ROOMS__PG_SENDER], arrival);
    }
    PQclear(arrival->result);
    free(arrival);
}

static struct rooms__pg_arrival *take_first(struct rooms__pg_inbox *inbox)
{
    struct rooms__pg_arrival *arrival = inbox->first;
    inbox->first = arrival->next;
    if (!inbox->first) inbox->last = NULL;
    inbox->count--;
    inbox->bytes -= arrival->bytes;
    return arrival;
}

/* Above the limit nothing more is read: PostgreSQL keeps it. */
static void update_pause(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *listener = &pg->links[ROOMS__PG_LISTENER];
    size_t limit = listener->paused ? pg->options.max_waiting_bytes / 2 : pg->options.max_waiting_bytes;
    rooms__pg_link_pause(listener, pg->inbox.bytes > limit);
}

static void miss(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival, const char *why)
{
    pg->stats.attachments_missed++;
    rooms__pg_ignored(pg, why);
    if (arrival->state == ASKED) {
        pg->inbox.asked--;
        rooms__pg_link_forget(&pg->links[ROOMS__PG_SENDER], arrival);
    }
    arrival->state = MISSED;
}

/* ----------------------------------------------------------------- arriving */

static struct rooms__pg_arrival *arrival_new(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter,
                                             struct rooms_bytes payload)
{
    struct rooms__pg_arrival *arrival = malloc(sizeof *arrival + payload.n);
    if (!arrival) return NULL;
    *arrival = (struct rooms__pg_arrival){
        .adapter = adapter,
        .until_ms = base_timers_now(&pg->timers) + pg->options.request_timeout_ms,
        .payload = {(uint8_t *)(arrival + 1), payload.n},
        .bytes = sizeof *arrival + payload.n,
    };
    if (payload.n) memcpy(arrival + 1, payload.p, payload.n);
    return arrival;
}

void rooms__pg_inbox_add(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter,
                         const struct rooms__pg_header *header, struct rooms_bytes payload)
{
    struct rooms__pg_inbox *inbox = &pg->inbox;
    if (!header && !inbox->first) {
        rooms__pg_adapter_take(adapter, payload);
        return;
    }
    struct rooms__pg_arrival *arrival = arrival_new(pg, adapter, header ? (struct rooms_bytes){NULL, 0} : payload);
    if (!arrival) {
        rooms__pg_ignored(pg, "out of memory");
        return;
    }
    if (header) {
        arrival->state = UNASKED;
        arrival->attachment = header->attachment;
        rooms__pg_schedule(pg);
    }
    if (inbox->last)
        inbox->last->next = arrival;
    else
        inbox->first = arrival;
    inbox->last = arrival;
    inbox->count++;
    inbox->bytes += arrival->bytes;
    if (inbox->first == arrival) base_timer_start_at(&inbox->timer, arrival->until_ms);
    update_pause(pg);
}

/* --------------------------------------------------------------- attachments */

bool rooms__pg_inbox_ask(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *sender = &pg->links[ROOMS__PG_SENDER];
    bool any = false;
    if (sender->state != ROOMS__PG_READY || base_timer_is_running(&pg->inbox.again)) return true;
    for (struct rooms__pg_arrival *arrival = pg->inbox.first; arrival; arrival = arrival->next) {
        if (pg->inbox.asked >= ASKED_MAX || !rooms__pg_link_has_room(sender, 2)) break;
        if (arrival->state != UNASKED) continue;
        uint64_t numbers[] = {htobe64(arrival->attachment), htobe64(pg->options.max_message_bytes)};
        const struct rooms_bytes args[] = {{(const uint8_t *)&numbers[0], 8}, {(const uint8_t *)&numbers[1], 8}};
        const struct rooms__pg_statement fetch = {
            .kind = ROOMS__PG_IS_FETCH, .name = ROOMS__PG_FETCH, .args = args, .arg_count = 2, .ctx = arrival};
        if (!rooms__pg_link_send(sender, &fetch)) return false;
        arrival->state = ASKED;
        pg->inbox.asked++;
        any = true;
    }
    return !any || rooms__pg_link_sync(sender);
}

static void complete(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival, PGresult *result)
{
    size_t size = (size_t)PQgetlength(result, 0, 0);
    arrival->state = COMPLETE;
    arrival->result = result;
    arrival->payload = (struct rooms_bytes){(const uint8_t *)PQgetvalue(result, 0, 0), size};
    arrival->bytes += size;
    pg->inbox.asked--;
    pg->inbox.bytes += size;
    pg->stats.attachments_read++;
}

void rooms__pg_inbox_lost(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival)
{
    pg->inbox.asked--;
    arrival->state = UNASKED;
}

bool rooms__pg_inbox_answer(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival, PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        rooms__pg_inbox_lost(pg, arrival);
        base_timer_start(&pg->inbox.again, ASK_AGAIN_MS);
        return false;
    }
    bool has_row = PQntuples(result) == 1;
    bool has_payload = has_row && !PQgetisnull(result, 0, 0);
    rooms__pg_schedule(pg); /* which delivers it */
    if (has_payload)
        complete(pg, arrival, result);
    else
        miss(pg, arrival, has_row ? "an attachment is larger than max_message_bytes" : "an attachment is not there");
    return has_payload;
}

/* ----------------------------------------------------------------- delivering */

void rooms__pg_inbox_deliver(struct rooms_postgresql *pg)
{
    struct rooms__pg_inbox *inbox = &pg->inbox;
    size_t bytes = 0;
    for (int i = 0; inbox->first && i < DELIVERED_MAX && bytes < DELIVERED_BYTES_MAX; i++) {
        if (inbox->first->state == UNASKED || inbox->first->state == ASKED) break;
        struct rooms__pg_arrival *arrival = take_first(inbox);
        bytes += arrival->bytes;
        if (arrival->state == COMPLETE && arrival->adapter) rooms__pg_adapter_take(arrival->adapter, arrival->payload);
        arrival_free(pg, arrival);
    }
    if (!inbox->first)
        base_timer_stop(&inbox->timer);
    else if (inbox->first->state == COMPLETE || inbox->first->state == MISSED)
        rooms__pg_schedule(pg); /* the rest, next time */
    else
        base_timer_start_at(&inbox->timer, inbox->first->until_ms);
    update_pause(pg);
}

static void on_again(void *ctx)
{
    rooms__pg_schedule(ctx);
}

/* All that are as old as the first are given up, too. */
static void on_late(void *ctx)
{
    struct rooms_postgresql *pg = ctx;
    uint64_t now_ms = base_timers_now(&pg->timers);
    for (struct rooms__pg_arrival *arrival = pg->inbox.first; arrival && arrival->until_ms <= now_ms;
         arrival = arrival->next)
        if (arrival->state == UNASKED || arrival->state == ASKED)
            miss(pg, arrival, "an attachment was not read in time");
    rooms__pg_schedule(pg);
}

void rooms__pg_inbox_forget(struct rooms_postgresql *pg, const struct rooms__pg_adapter *adapter)
{
    for (struct rooms__pg_arrival *arrival = pg->inbox.first; arrival; arrival = arrival->next)
        if (arrival->adapter == adapter) arrival->adapter = NULL;
}

int rooms__pg_inbox_init(struct rooms_postgresql *pg)
{
    if (base_timer_init(&pg->inbox.again, &pg->timers, on_again, pg) != BASE_OK) return ROOMS_ENOMEM;
    return base_timer_init(&pg->inbox.timer, &pg->timers, on_late, pg) == BASE_OK ? ROOMS_OK : ROOMS_ENOMEM;
}

void rooms__pg_inbox_clear(struct rooms_postgresql *pg)
{
    while (pg->inbox.first) arrival_free(pg, take_first(&pg->inbox));
    base_timer_clear(&pg->inbox.timer);
    base_timer_clear(&pg->inbox.again);
}
