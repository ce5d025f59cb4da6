/* Profiles eio-proto and ws-echo: every message goes back as it came, text as text and binary as binary. */
#include "conformance.h"

#include <string.h>

#define ECHO_MAX_PAYLOAD_BYTES (64u * 1024 * 1024)
/* ws-echo: what is in flight at once. Suites send one message at a time; a few large ones may overlap. */
#define ECHO_QUEUE_PAYLOADS 4

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    (void)ctx;
    uint8_t *out = eio_session_reserve(session, message->kind, message->size);
    if (out && message->size > 0) memcpy(out, message->bytes, message->size);
}

static int open_echo(struct conformance *conformance, struct eio_options *options)
{
    static const struct eio_handlers handlers = {.on_message = on_message};
    struct eio_http_options http;
    eio_http_options_init(&http);
    conformance_set_tls(conformance->options, &http);
    options->path = "/engine.io";
    conformance_override_engine(conformance->options, options);
    conformance->http = eio_http_new(conformance->loop, &http);
    conformance->engine = eio_server_new(conformance->loop, options, &handlers, NULL);
    if (!conformance->http || !conformance->engine) return EIO_ENOMEM;
    return eio_server_attach(conformance->engine, conformance->http);
}

static int open_eio_proto(struct conformance *conformance)
{
    struct eio_options options;
    eio_options_init(&options);
    options.ping_interval_ms = 300;
    options.ping_timeout_ms = 200;
    options.max_payload_bytes = 1000000;
    return open_echo(conformance, &options);
}

/* RFC 6455 and 7692 suites: no packet of the server's own in between, messages of many MiB, and raw WebSockets beside.
 */
static int open_ws_echo(struct conformance *conformance)
{
    struct eio_options options;
    eio_options_init(&options);
    options.ping_interval_ms = 600000;
    options.ping_timeout_ms = 600000;
    options.max_payload_bytes = ECHO_MAX_PAYLOAD_BYTES;
    options.max_queue_bytes = (size_t)ECHO_QUEUE_PAYLOADS * ECHO_MAX_PAYLOAD_BYTES;
    options.per_message_deflate = true;
    options.deflate_threshold_bytes = 0;
    int error = open_echo(conformance, &options);
    if (error != 0) return error;
    return eio_server_attach_websocket(conformance->engine, conformance->http, "/ws-echo");
}

const struct conformance_profile conformance_eio_proto = {"eio-proto", open_eio_proto};
const struct conformance_profile conformance_ws_echo = {"ws-echo", open_ws_echo};
