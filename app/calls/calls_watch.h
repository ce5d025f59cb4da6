/* Subscriptions (calls_watch.c) and the snapshots that they get (calls_snapshot.c). */
#ifndef CALLS_WATCH_H
#define CALLS_WATCH_H

#include "calls_gate.h"

struct calls_watch {
    struct kit_request request;
    struct calls_turn turn;
    struct calls_watch *next; /* of those that wait for the end of the loop's turn, or for a snapshot */
    uint64_t asked_ms;        /* loop time: since when it is a member; then, when it asked for the snapshot */
    char call_id[KIT_ID_SIZE];
    int64_t since_seq, seq; /* of the snapshot */
    bool has_begun;
    bool reads_alone;  /* what others read lacks notes to this agent */
    bool is_checked;   /* the right to the call, by request.claims; what is asked for is the snapshot */
    bool was_admitted; /* it was in the call before it asked, and may still */
};

/* Asks for the snapshot; the socket is held back and in the call's room. Ends in calls_watch_take_snapshot(). */
void calls_snapshot_ask(struct calls_watch *watch);
/* shared is borrowed; failure->code 0: it is there. */
void calls_watch_take_snapshot(struct calls_watch *watch, struct sio_shared *shared, int64_t seq,
                               const struct kit_failure *failure);
void calls_snapshot_start(struct calls *calls);
/* What was read is handed out; nothing waits any more. */
void calls_snapshot_pause(struct calls *calls);

#endif
