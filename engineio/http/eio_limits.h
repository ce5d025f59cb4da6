/* Limits by address, and descriptors that still count as connections. Private to this library. */
#ifndef EIO_LIMITS_H
#define EIO_LIMITS_H

#include "base_table.h"
#include "eio_address.h"

/* Counts a hit. Returns true if it is to be logged, with the number of hits since the last such line. */
bool eio__counter_hit(struct eio_limit_counter *counter, const struct eio_loop *loop, uint32_t quiet_ms,
                      unsigned long long *unsaid);

/* What is known of one address (of an IPv6 address: its /64, which is what one customer has). */
struct eio__visitor {
    struct eio__address address;
    size_t count; /* what it has now: sessions or connections */
    struct eio_rate rate;
    struct eio_deadline idle; /* runs while count is 0 */
};

/* A bounded table; an address without anything is forgotten once its rate has recovered. */
struct eio__visitors {
    struct base_table table;
    size_t max;
    struct eio_deadlines idle;
    uint8_t key[16]; /* of the hash, so that clients cannot choose collisions */
};
void eio__visitors_init(struct eio__visitors *visitors, struct eio_loop *loop, size_t max);
void eio__visitors_clear(struct eio__visitors *visitors);
/* Made if need be. NULL: the table is full, or out of memory. Good until the loop turns, or as long as it has
 * something.
 */
struct eio__visitor *eio__visitors_get(struct eio__visitors *visitors, const struct eio__address *address);
struct eio__visitor *eio__visitors_find(const struct eio__visitors *visitors, const struct eio__address *address);
/* One more, one less. */
void eio__visitor_enter(struct eio__visitors *visitors, struct eio__visitor *visitor);
void eio__visitor_leave(struct eio__visitors *visitors, const struct eio__address *address);

/* Descriptors that left HTTP and still count as its connections, by number. */
struct eio__lease {
    struct eio_http *http; /* NULL: none */
    struct eio__address peer;
    bool counted; /* in the table of peers */
};
struct eio__leases {
    struct eio__lease *by_fd;
    size_t capacity;
    void (*end)(const struct eio__lease *lease); /* the descriptor of a lease was closed (eio_http.c) */
};
/* 0 or EIO_ENOMEM. */
int eio__lease_begin(struct eio__leases *leases, int fd, const struct eio__lease *lease);
/* Forgets all of an HTTP server that ends. */
void eio__leases_forget(struct eio__leases *leases, const struct eio_http *http);

#endif
