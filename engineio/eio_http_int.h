/* What eio_http.c shares with the Engine.IO side of this library. Private. */
#ifndef EIO_HTTP_INT_H
#define EIO_HTTP_INT_H

#include "engineio.h"

/* How a request is answered: by eio_http.c on a connection, by tests in memory. */
struct eio__request_ops {
    void (*reply)(struct eio_http_request *request, const struct eio_http_reply *reply);
    /* WebSocket upgrades only: takes the connection away. The request is gone afterwards. Returns the bare non-blocking
     * descriptor, now the caller's; *take_head is the head, now the caller's (free()); bytes that came with or after
     * the head are copied to *take_rest (malloc'd, NULL if none). Negative: it cannot be taken (the request lives on
     * and wants a reply). */
    int (*take)(struct eio_http_request *request, struct eio_http_head **take_head, uint8_t **take_rest,
                size_t *rest_size);
};

/* The public part of a request; eio_http.c embeds it in a larger struct. */
struct eio_http_request {
    const struct eio__request_ops *ops;
    struct eio_http_head *head; /* owned by the request */
    struct eio_str body;        /* writable memory of the request */
    struct eio_loop *loop;
    eio_loop_fn on_abort; /* runs once if the client goes away before the reply */
    void *abort_ctx;
    bool is_upgrade; /* asks for a WebSocket: may be taken */
};

/* A copy in one allocation; the caller frees it with free(). */
struct eio_http_head *eio__http_head_copy(const struct eio_http_head *head);

/* Like eio_http_route(), and requests that ask for a WebSocket go to `upgrade` (which replies or takes, now or later)
 * instead of fn. Upgrade requests to other routes are treated as plain requests. */
int eio__http_route_upgrade(struct eio_http *http, const char *path, size_t max_body_bytes, eio_http_fn fn,
                            eio_http_fn upgrade, void *ctx);
#endif
