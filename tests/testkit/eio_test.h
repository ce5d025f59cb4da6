/* Sessions without HTTP, for tests. Private. */
#ifndef EIO_TEST_H
#define EIO_TEST_H

#include "engineio_http.h"

struct eio__line;

/* An open WebSocket session whose other end is *peer_fd (non-blocking, the caller's to close): what the peer writes
 * are masked frames, what it reads begins with the open packet. NULL: out of memory or descriptors. */
struct eio_session *eio__test_websocket(struct eio_server *server, int *peer_fd);
/* The same of a protocol: 4 or 3. */
struct eio_session *eio__test_websocket_of(struct eio_server *server, int protocol, int *peer_fd);
/* And under an id of the application's. */
struct eio_session *eio__test_websocket_as(struct eio_server *server, int protocol, const char *id, int *peer_fd);

/* A request in memory to the server's path. `reply` gets status, headers and body. */
struct eio__test_reply {
    bool answered;
    int status;
    char type[64];
    char headers[4096]; /* "name: value\n" each */
    char *body;         /* terminated; free() */
    size_t body_size;
    struct eio_http_request *request; /* while it is parked: eio__test_abort() */
};
/* Header lines, each with its "\r\n", for all requests from now on; "": none. Kept, not copied. */
void eio__test_fields(const char *fields);
/* method GET or POST; target "/engine.io/?EIO=4&transport=polling"; body may be NULL. */
void eio__test_request(struct eio_server *server, enum eio_http_method method, const char *target, const char *body,
                       struct eio__test_reply *reply);
/* A POST of any bytes. */
void eio__test_post(struct eio_server *server, const char *target, const void *body, size_t size,
                    struct eio__test_reply *reply);
/* The client of a parked request goes away. */
void eio__test_abort(struct eio__test_reply *reply);
/* Upgrades a polling session; the other end is *peer_fd. Reads off the 101 response. Returns 0 or the HTTP status. */
int eio__test_upgrade(struct eio_server *server, const char *target, int *peer_fd);
/* Only asks: `reply` is that of a refusal, else the 101 comes to *peer_fd when it was decided. */
void eio__test_upgrade_begin(struct eio_server *server, const char *target, struct eio__test_reply *reply,
                             int *peer_fd);
/* Reads off the 101, terminated, and leaves what follows; false: it has not come. */
bool eio__test_take_response(int peer_fd, char *out, size_t size);
/* The connection of requests made from now on, as eio_heartbeat.c sees one; NULL: they have none. */
void eio__test_line(struct eio__line *line);

#endif
