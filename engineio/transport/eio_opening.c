/* How every session begins, whatever its transport: the open packet, the initial packet, the first heartbeat. */
#include "eio_int.h"

#include <string.h>

/* Engine.IO 3: the client cannot take binary. A script (JSONP) never can. */
void eio__opening_read(struct eio_session *session, const struct eio_http_head *head)
{
    struct eio_str query = eio_http_head_query(head);
    char value[8];
    int size = eio_query_get(query, "b64", value, sizeof value);
    bool is_script = eio_query_get(query, "j", value, sizeof value) != EIO_EINVAL;
    session->base64 = session->protocol == 3 && (size > 0 || size == EIO_ETOOBIG || is_script);
}

size_t eio__opening_packet(const struct eio_session *session, char out[EIO__OPEN_PACKET_BYTES])
{
    const struct eio_options *o = &session->server->options;
    char upgrades[64];
    size_t size = eio__transport_upgrades(session->transport, upgrades, sizeof upgrades);
    int n = snprintf(out, EIO__OPEN_PACKET_BYTES,
                     "0{\"sid\":\"%s\",\"upgrades\":[%.*s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%zu}",
                     eio_session_id(session), (int)size, upgrades, o->ping_interval_ms, o->ping_timeout_ms,
                     o->max_payload_bytes);
    BASE_CHECK(n > 0 && n < EIO__OPEN_PACKET_BYTES);
    return (size_t)n;
}

void eio__opening_push_initial(struct eio_session *session)
{
    const char *initial = session->protocol ? session->server->options.initial_packet : NULL;
    uint8_t *message = initial ? eio_session_reserve(session, EIO_TEXT, strlen(initial)) : NULL;
    if (message) memcpy(message, initial, strlen(initial));
}

void eio__opening_end(struct eio_session *session)
{
    struct eio_server *server = session->server;
    server->stats.opened++;
    eio__heartbeat_start(session);
    if (server->handlers.on_open) server->handlers.on_open(session, server->ctx);
}
