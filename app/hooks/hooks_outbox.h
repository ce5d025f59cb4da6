/* The outbox: a row of the store for each event that the service has not taken. Events are taken out in batches; a
 * batch keeps its id and its events until the service has taken it, over restarts and whichever node sends it. */
#ifndef HOOKS_OUTBOX_H
#define HOOKS_OUTBOX_H

#include "hooks_int.h"

struct hooks_batch {
    char id[32];    /* webhook-id; "": nothing waits */
    uint32_t count; /* of events */
    int64_t at_ms;  /* of the first */
    struct sio_builder body;
};

enum hooks_result { HOOKS_DONE, HOOKS_SPLIT };

/* What is asked of the outbox: ends the batch before, and takes the next. */
struct hooks_take {
    struct kit_store_op op;
    struct hooks *hooks;
    char ended[32];           /* the id of the batch that is over; "": none */
    enum hooks_result result; /* HOOKS_SPLIT: its events are taken anew, in smaller batches */
    uint32_t count_max;
    bool is_alone; /* no other node can be sending */
    bool is_ours;  /* out: no other node sends */
    struct hooks_batch batch;
};
/* As op.run: the above; or lets another node send from now on. */
int hooks_take(struct kit_db *db, struct kit_store_op *op);
int hooks_give_up_turn(struct kit_db *db, struct kit_store_op *op);
#define HOOKS_LEASE_MS \
    20000 /* and timeout_ms: a node that sends and is not heard of for so long is followed by another */
#define HOOKS_RENEW_MS 8000

/* Appends {"id":…,"event":…,"call_id":…,"at":… of an event, and ,"from":{…}. */
void hooks_put_head(struct sio_builder *json, const char *name, const char *call_id, int64_t at_ms);
void hooks_put_from(struct sio_builder *json, const struct kit_claims *claims);

struct hooks_outbox *hooks_outbox_new(struct hooks *hooks);
void hooks_outbox_free(struct hooks_outbox *outbox);

struct hooks_outbox_stats {
    uint64_t put, over_share, over_queue, waiting;
};
void hooks_outbox_get_stats(const struct hooks_outbox *outbox, struct hooks_outbox_stats *stats);

extern const char *const hooks_migrations[];

#endif
