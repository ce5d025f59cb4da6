/* Rights that end while something lasts: a user is dismissed at this node, whatever brought it: sockets, plain
 * WebSockets, requests over HTTP that go on for long, and what modules have of their own. The last kind is a stay: it
 * ends with its token, too. */
#ifndef KIT_DISMISS_H
#define KIT_DISMISS_H

#include "kit_request.h"

/* Returns how many sockets, connections and requests ended, or are about to. */
size_t kit_dismiss(struct kit *kit, const struct kit_dismissal *who);
/* fn ends what a module has of the user, and returns how many. Returns 0 or EIO_ETOOBIG. */
int kit_on_dismiss(struct kit *kit, kit_dismiss_fn fn, void *ctx);

/* A request over HTTP that goes on for long. Zeroed: not begun. */
struct kit_stay {
    struct kit_request *request;
    /* Ends the request, with 401; from a timer, never within another call. The stay has ended. */
    void (*end)(struct kit_stay *stay, const struct kit_failure *failure);

    /* Private. */
    struct kit_stay *next, **link;
    struct eio_timer timer; /* to the token's end, or at once: it is dismissed */
    struct kit_failure failure;
};

/* request->claims NULL: nothing can end them, and nothing begins. */
void kit_stay_begin(struct kit_stay *stay, struct kit_request *request,
                    void (*end)(struct kit_stay *stay, const struct kit_failure *failure));
/* Harmless if it was not begun. Before the request is gone. */
void kit_stay_end(struct kit_stay *stay);

#endif
