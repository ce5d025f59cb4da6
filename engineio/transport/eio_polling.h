/* The HTTP long-polling transport: what its files share. Private to this library. */
#ifndef EIO_POLLING_H
#define EIO_POLLING_H

#include "eio_transport.h"

#include "base_check.h"

struct eio__polling {
    struct eio__transport base;
    bool is_handshake; /* the response being made is that of the handshake */
    bool is_jsonp;
    struct eio_http_request *get;  /* the GET waiting for data, or NULL. At most one: a second closes the session */
    struct eio_http_request *post; /* whose packets wait: answered when they are handled; NULL: none */
    struct eio__tie answer, body;  /* the connections of the last answer to a GET and of the last POST */
};

static inline struct eio__polling *eio__polling_of(struct eio__transport *transport)
{
    return container_of(transport, struct eio__polling, base);
}

static inline const struct eio__polling *eio__polling_of_const(const struct eio__transport *transport)
{
    return container_of(transport, struct eio__polling, base);
}

struct eio__answer;

/* Answers a poll with a payload, as script if the session is JSONP, compressed if that is wanted and accepted. */
void eio__polling_reply(struct eio__polling *polling, struct eio_http_request *request, struct eio__answer *answer,
                        bool compress);
bool eio__polling_asks_for_jsonp(const struct eio_session *session);
/* Puts the payload of a JSONP client's form, the field `d`, in the place of the body of *n bytes. Returns false if the
 * form has no such field. */
bool eio__polling_form_value(uint8_t *body, size_t *n);

#endif
