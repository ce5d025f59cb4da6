/* The handshake object of a socket, as the reference's socket.handshake. */
#include "base_str.h"
#include "sio_codec.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_bool(struct sio_builder *builder, bool value)
{
    if (value)
        sio__put_literal(builder, "true");
    else
        sio__put_literal(builder, "false");
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
    sio__put_literal(builder, "{");
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        if (i) sio__put_literal(builder, ",");
        put_str(builder, name);
        sio__put_literal(builder, ":");
        put_str(builder, with_secrets || !is_secret(name) ? value : eio_str("(not shown)"));
    }
    sio__put_literal(builder, "}");
}

static char *put_two(char *out, int value)
{
    *out++ = (char)('0' + value / 10 % 10);
    *out++ = (char)('0' + value % 10);
    return out;
}

/* As JavaScript's Date.prototype.toString() in UTC. Not by strftime(): its names are those of the program's language,
 * and it takes long. */
static void put_time(const struct eio_http_head *head, struct sio_builder *builder)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[sizeof "\"Sun Jan 01 1970 00:00:00"], *out = text;
    struct tm tm = {0};
    time_t seconds = (time_t)(head->issued_ms / 1000);
    gmtime_r(&seconds, &tm);
    *out++ = '"';
    *(out = base_put_bytes(out, days + (ptrdiff_t)3 * tm.tm_wday, 3)) = ' ';
    *(out = base_put_bytes(out + 1, months + (ptrdiff_t)3 * tm.tm_mon, 3)) = ' ';
    *(out = put_two(out + 1, tm.tm_mday)) = ' ';
    *(out = put_two(put_two(out + 1, (tm.tm_year + 1900) / 100), tm.tm_year % 100)) = ' ';
    *(out = put_two(out + 1, tm.tm_hour)) = ':';
    *(out = put_two(out + 1, tm.tm_min)) = ':';
    out = put_two(out + 1, tm.tm_sec);
    sio__put_bytes(builder, text, (size_t)(out - text));
    sio__put_literal(builder, " GMT+0000 (Coordinated Universal Time)\"");
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
    sio__put_literal(builder, "{");
    for (bool is_first = true; scratch && eio_query_next(&rest, &name, &value); is_first = false) {
        if (!is_first) sio__put_literal(builder, ",");
        put_decoded(name, scratch, size, builder);
        sio__put_literal(builder, ":");
        put_decoded(value, scratch, size, builder);
    }
    sio__put_literal(builder, "}");
    free(scratch);
}

/* All but the closing brace. */
static void put_request(const struct eio_http_head *head, bool with_secrets, struct sio_builder *builder)
{
    sio__put_literal(builder, "{\"headers\":");
    put_headers(head, with_secrets, builder);
    sio__put_literal(builder, ",\"time\":");
    put_time(head, builder);
    sio__put_literal(builder, ",\"address\":");
    sio_builder_put_text(builder, head->address, strlen(head->address));
    sio__put_literal(builder, ",\"xdomain\":");
    put_bool(builder, eio_http_head_field(head, "origin").p != NULL);
    sio__put_literal(builder, ",\"secure\":");
    put_bool(builder, head->secure);
    sio__put_literal(builder, ",\"issued\":");
    sio__builder_put_unsigned(builder, head->issued_ms);
    sio__put_literal(builder, ",\"url\":");
    put_str(builder, eio_http_head_target(head));
    sio__put_literal(builder, ",\"query\":");
    put_query(head, builder);
}

void sio_socket_put_request(const struct sio_socket *socket, struct sio_builder *builder)
{
    const struct eio_http_head *head = sio_socket_head(socket);
    if (head)
        put_request(head, false, builder);
    else
        sio__put_literal(builder, "{");
    sio__put_literal(builder, "}");
}

void sio_socket_put_handshake(const struct sio_socket *socket, struct sio_builder *builder)
{
    const struct eio_http_head *head = sio_socket_head(socket);
    if (!head) {
        sio__put_literal(builder, "{}");
        return;
    }
    put_request(head, true, builder);
    sio__put_literal(builder, ",\"auth\":");
    sio_builder_put_slice(builder, sio_args_none(), sio_socket_auth(socket));
    sio__put_literal(builder, "}");
}
