/* call:list: its page of calls, and the rooms through which new and changed calls reach those who list, and raised
 * hands the supervisors. */
#ifndef CALLS_LISTING_H
#define CALLS_LISTING_H

#include "calls_entry.h"

/* They begin the names of all these rooms. */
#define CALLS_LISTING_ROOM "list:" /* of who lists calls */
#define CALLS_HELP_ROOM "help:"    /* of supervisors, who are called for help */
/* True if it is one of them, or a user's: nobody is put into these from outside. */
bool calls_room_is_listing(struct eio_str room);

/* The socket is in the rooms that its claims open, and in no other; only if it lists, unless `begins`. Returns 0 or
 * what sio_join() says. For calls_access.c, which decides. */
int calls_listing_review(struct sio_socket *socket, const struct kit_claims *claims, bool begins);
/* The same for who is called for help: supervisors are, others leave. */
int calls_help_review(struct sio_socket *socket, const struct kit_claims *claims);
/* Sends the status of a call to its room and to those who list it. agents: the call's own list, as JSON. On the loop.
 */
void calls_listing_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args);

/* Sends call:help to the supervisors who may see the call. */
void calls_help_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args);

/* Sends call:alert to who watches the call and to the supervisors who may see it. */
void calls_alert_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args);

struct calls_page {
    const char *status; /* NULL: any */
    const char *before; /* a call's id, or the `next` of an answer; "": the latest */
    int64_t limit;      /* 0: call_list_max */
    int64_t now_ms;
    bool is_cut; /* set: call_list_bytes_max was reached */
};
/* Appends ,"calls":[…] and, if there are more, ,"next":… to an object. On a thread, inside an operation. */
int calls_listing_page(struct kit_db *db, const struct kit_config *config, const struct kit_claims *claims,
                       struct calls_page *page, struct sio_builder *out, struct kit_failure *failure);

#endif
