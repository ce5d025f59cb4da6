/* Profile eio-client: what the tests of engine.io-client talk to. An echo that knows some requests, with a small
 * payload limit, cookies, and a way to be refused. */
#include "conformance.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_PAYLOAD_BYTES 100

static void send_text(struct eio_session *session, const char *text, size_t size)
{
    uint8_t *out = eio_session_reserve(session, EIO_TEXT, size);
    if (out && size > 0) memcpy(out, text, size);
}

/* The headers of the POST that carried the message, as a JSON object. */
static void send_headers(struct eio_session *session, const struct eio_http_head *head)
{
    struct sio_builder builder;
    struct eio_str name, value;
    sio_builder_init(&builder);
    sio_builder_put(&builder, "{");
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        sio_builder_put(&builder, i ? "," : "");
        sio_builder_put_text(&builder, name.p, name.n);
        sio_builder_put(&builder, ":");
        sio_builder_put_text(&builder, value.p ? value.p : "", value.n);
    }
    sio_builder_put(&builder, "}");
    struct eio_str json = sio_builder_args(&builder).json;
    send_text(session, json.p, json.n);
    sio_builder_clear(&builder);
}

static void on_open(struct eio_session *session, void *ctx)
{
    (void)ctx;
    send_text(session, "hi", 2);
}

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    (void)ctx;
    static const uint8_t bytes[] = {0, 1, 2, 3, 4};
    static const char utf8[] = "пойду спать всем спокойной ночи";
    struct eio_message answer = *message;
    struct eio_str text = {(const char *)message->bytes, message->kind == EIO_TEXT ? message->size : 0};
    if (eio_str_is(text, "give utf8")) {
        send_text(session, utf8, sizeof utf8 - 1);
        return;
    }
    if (eio_str_is(text, "sendHeaders")) {
        send_headers(session, message->head);
        return;
    }
    if (eio_str_is(text, "give binary")) {
        answer = (struct eio_message){EIO_BINARY, bytes, sizeof bytes, NULL};
    }
    uint8_t *out = eio_session_reserve(session, answer.kind, answer.size);
    if (out && answer.size > 0) memcpy(out, answer.bytes, answer.size);
}

/* ------------------------------------------------------------------- hooks */

static void allow_request(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    (void)ctx;
    struct eio_str rest = eio_http_head_query(head), name, value;
    while (eio_query_next(&rest, &name, &value)) {
        if (!eio_str_is(name, "deny")) continue;
        eio_deny(admission, NULL);
        return;
    }
    eio_admit(admission);
}

static void add_cookies(struct eio_headers *headers, const struct eio_http_head *head, bool initial, void *ctx)
{
    (void)head;
    (void)ctx;
    char expires[96];
    struct tm tm;
    time_t now = time(NULL);
    if (!initial) return;
    gmtime_r(&now, &tm);
    strftime(expires, sizeof expires, "4=4; Expires=%a, %d %b %Y %H:%M:%S GMT", &tm);
    eio_headers_add(headers, "Set-Cookie", "1=1; Max-Age=86400");
    eio_headers_add(headers, "Set-Cookie", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict");
    eio_headers_add(headers, "Set-Cookie", "3=3; Max-Age=0");
    eio_headers_add(headers, "Set-Cookie", expires);
}

static int open_eio_client(struct conformance *conformance)
{
    static const struct eio_handlers handlers = {.on_open = on_open, .on_message = on_message};
    static const struct eio_hooks hooks = {.allow_request = allow_request, .on_headers = add_cookies};
    struct eio_http_options http;
    struct eio_options options;
    eio_http_options_init(&http);
    eio_options_init(&options);
    options.path = "/engine.io";
    options.ping_interval_ms = 500;
    options.ping_timeout_ms = 20000;
    options.max_payload_bytes = MAX_PAYLOAD_BYTES;
    options.http_compression = false;
    options.cors.origin = "*";
    conformance_override_engine(conformance->options, &options);
    conformance->http = eio_http_new(conformance->loop, &http);
    conformance->engine = eio_server_new(conformance->loop, &options, &handlers, NULL);
    if (!conformance->http || !conformance->engine) return EIO_ENOMEM;
    eio_server_set_hooks(conformance->engine, &hooks, NULL);
    return eio_server_attach(conformance->engine, conformance->http);
}

const struct conformance_profile conformance_eio_client = {"eio-client", open_eio_client};
