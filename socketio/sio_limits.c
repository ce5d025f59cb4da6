/* What is counted and made for all of a server: hits of its limits, random ids. */
#include "base_base64.h"
#include "sio_server.h"

#include <sodium.h>

const char *sio_limit_name(enum sio_limit limit)
{
    static const char *const names[] = {
#define X(name, text) text,
        SIO_LIMITS(X)
#undef X
    };
    return limit < SIO_LIMIT_COUNT ? names[limit] : "unknown";
}

void sio__server_hit(struct sio_server *io, enum sio_limit limit, const struct eio_session *session)
{
    const struct eio_http_head *head = session ? eio_session_head(session) : NULL;
    eio_limit_hit(&io->limit_counters[limit], io->loop, sio_limit_name(limit), head ? head->address : NULL);
}

void sio__server_new_id(struct sio_server *io, char *id)
{
    if (io->random_left < SIO__ID_BYTES) {
        randombytes_buf(io->random, sizeof io->random);
        io->random_left = sizeof io->random;
    }
    io->random_left -= SIO__ID_BYTES;
    *base_base64url_put(id, io->random + io->random_left, SIO__ID_BYTES) = '\0';
}
