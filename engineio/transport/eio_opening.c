/* How every session begins, whatever its transport: the open packet, the initial packet, the first heartbeat. */
#include "base_str.h"
#include "eio_int.h"

#include <string.h>

/* Engine.IO 3: the client cannot take binary. A script (JSONP) never can. */
void eio__opening_read(struct eio_session *session, const struct eio_http_head *head)
{
    struct eio_str query = eio_http_head_query(head);
    char value[8];
    if (session->protocol != 3) return;
    int size = eio_query_get(query, "b64", value, sizeof value);
    bool is_script = eio_query_get(query, "j", value, sizeof value) != EIO_EINVAL;
    session->base64 = size > 0 || size == EIO_ETOOBIG || is_script;
}

size_t eio__opening_packet(const struct eio_session *session, char out[EIO__OPEN_PACKET_BYTES])
{
    const struct eio_options *o = &session->server->options;
    char *end = base_put_text(out, "0{\"sid\":\"");
    end = base_put_text(base_put_text(end, eio_session_id(session)), "\",\"upgrades\":[");
    end = eio__transport_put_upgrades(session->transport, end);
    end = base_put_decimal(base_put_text(end, "],\"pingInterval\":"), o->ping_interval_ms);
    end = base_put_decimal(base_put_text(end, ",\"pingTimeout\":"), o->ping_timeout_ms);
    end = base_put_decimal(base_put_text(end, ",\"maxPayload\":"), o->max_payload_bytes);
    *end++ = '}';
    BASE_CHECK(end - out <= EIO__OPEN_PACKET_BYTES);
    return (size_t)(end - out);
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
