/* The handshake object of a socket, as the reference's socket.handshake. */
#include "sio_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_key(struct sio_builder *builder, const char *key)
{
    sio_builder_put(builder, ",\"");
    sio_builder_put(builder, key);
    sio_builder_put(builder, "\":");
}

static void put_bool(struct sio_builder *builder, const char *key, bool value)
{
    put_key(builder, key);
    sio_builder_put(builder, value ? "true" : "false");
}

static void put_str(struct sio_builder *builder, struct eio_str text)
{
    sio_builder_put_text(builder, text.p ? text.p : "", text.n);
}

static bool is_secret(struct eio_str header)
{
    return eio_str_is(header, "authorization") || eio_str_is(header, "cookie") ||
           eio_str_is(header, "proxy-authorization");
}

static void put_headers(const struct eio_http_head *head, bool with_secrets, struct sio_builder *builder)
{
    struct eio_str name, value;
    sio_builder_put(builder, "{");
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        sio_builder_put(builder, i ? "," : "");
        put_str(builder, name);
        sio_builder_put(builder, ":");
        put_str(builder, with_secrets || !is_secret(name) ? value : eio_str("(not shown)"));
    }
    sio_builder_put(builder, "}");
}

/* As JavaScript's Date.prototype.toString() in UTC. */
static void put_time(const struct eio_http_head *head, struct sio_builder *builder)
{
    char text[96];
    struct tm tm;
    time_t seconds = (time_t)(head->issued_ms / 1000);
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", &tm);
    sio_builder_put_text(builder, text, strlen(text));
}

static void put_decoded(struct eio_str raw, char *scratch, size_t size, struct sio_builder *builder)
{
    int n = eio_query_decode(raw, scratch, size);
    sio_builder_put_text(builder, scratch, n > 0 ? (size_t)n : 0);
}

/* A parameter that is given twice stands here twice: JSON readers take the last, as the reference does. */
static void put_query(const struct eio_http_head *head, struct sio_builder *builder)
{
    struct eio_str rest = eio_http_head_query(head), name, value;
    size_t size = rest.n + 1; /* decoding never makes longer */
    char *scratch = malloc(size);
    const char *comma = "";
    sio_builder_put(builder, "{");
    while (scratch && eio_query_next(&rest, &name, &value)) {
        sio_builder_put(builder, comma);
        put_decoded(name, scratch, size, builder);
        sio_builder_put(builder, ":");
        put_decoded(value, scratch, size, builder);
        comma = ",";
    }
    sio_builder_put(builder, "}");
    free(scratch);
}

/* All but the closing brace. */
static void put_request(const struct eio_http_head *head, bool with_secrets, struct sio_builder *builder)
{
    char issued[24];
    sio_builder_put(builder, "{\"headers\":");
    put_headers(head, with_secrets, builder);
    put_key(builder, "time");
    put_time(head, builder);
    put_key(builder, "address");
    sio_builder_put_text(builder, head->address, strlen(head->address));
    put_bool(builder, "xdomain", eio_http_head_field(head, "origin").p != NULL);
    put_bool(builder, "secure", head->secure);
    snprintf(issued, sizeof issued, "%llu", (unsigned long long)head->issued_ms);
    put_key(builder, "issued");
    sio_builder_put(builder, issued);
    put_key(builder, "url");
    put_str(builder, eio_http_head_target(head));
    put_key(builder, "query");
    put_query(head, builder);
}

void sio_socket_put_request(const struct sio_socket *socket, struct sio_builder *builder)
{
    const struct eio_http_head *head = sio_socket_head(socket);
    if (head)
        put_request(head, false, builder);
    else
        sio_builder_put(builder, "{");
    sio_builder_put(builder, "}");
}

void sio_socket_put_handshake(const struct sio_socket *socket, struct sio_builder *builder)
{
    const struct eio_http_head *head = sio_socket_head(socket);
    if (!head) {
        sio_builder_put(builder, "{}");
        return;
    }
    put_request(head, true, builder);
    put_key(builder, "auth");
    sio_builder_put_slice(builder, sio_args_none(), sio_socket_auth(socket));
    sio_builder_put(builder, "}");
}
