/* Answers in pieces, while they are being made. They go past evhtp, which is only told when one is over; pieces of a
 * turn are written together at its end. */
#include "eio_http_conn.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ------------------------------------------------------------------- flush */

static void leave_flush(struct eio_http_stream *stream)
{
    if (!stream->flush_link) return;
    *stream->flush_link = stream->flush_next;
    if (stream->flush_next) stream->flush_next->flush_link = stream->flush_link;
    stream->flush_link = NULL;
}

static void want_flush(struct eio_http_stream *stream)
{
    struct eio_http *http = stream->conn->http;
    if (stream->flush_link) return;
    stream->flush_next = http->flush_first;
    stream->flush_link = &http->flush_first;
    if (stream->flush_next) stream->flush_next->flush_link = &stream->flush_next;
    http->flush_first = stream;
    eio__loop_want_flush(http->loop, &http->flush_item);
}

/* Calls no callbacks. */
static void flush_streams(struct eio__turn_item *item)
{
    struct eio_http *http = container_of(item, struct eio_http, flush_item);
    while (http->flush_first) {
        struct eio_http_stream *stream = http->flush_first;
        leave_flush(stream);
        eio__conn_flush(stream->conn);
    }
}

const struct eio__turn_ops eio__streams_ops = {.flush = flush_streams};

/* ------------------------------------------------------------------ pieces */

size_t eio_http_stream_queued(const struct eio_http_stream *stream)
{
    return stream->conn ? eio__conn_unwritten(stream->conn) : 0;
}

/* It is closed from the loop: no callback comes from within a call. */
static void doom(struct eio_http_stream *stream)
{
    stream->doomed = true;
    eio__conn_poke(stream->conn);
}

static int put_piece(struct eio_http_stream *stream, const void *piece, size_t size)
{
    char line[24];
    struct eio__conn *conn = stream->conn;
    if (!stream->chunked) return eio__conn_put(conn, piece, size);
    int n = snprintf(line, sizeof line, "%zx\r\n", size);
    if (eio__conn_put(conn, line, (size_t)n) != 0 || eio__conn_put(conn, piece, size) != 0) return EIO_ENOMEM;
    return eio__conn_put(conn, "\r\n", 2);
}

int eio_http_stream_write(struct eio_http_stream *stream, const void *piece, size_t size)
{
    struct eio__conn *conn = stream->conn;
    if (!conn || stream->doomed) return EIO_ECLOSED;
    if (stream->bodiless || size == 0) return 0; /* a chunk of no bytes would be the last */
    size_t queued = eio_http_stream_queued(stream);
    if (queued && (queued > stream->options.max_queue_bytes || size > stream->options.max_queue_bytes - queued)) {
        eio__conn_hit(conn, EIO_LIMIT_STREAM_QUEUE_BYTES);
        doom(stream);
        return EIO_EAGAIN;
    }
    int failed = put_piece(stream, piece, size);
    if (failed)
        doom(stream);
    else
        want_flush(stream);
    return failed;
}

/* --------------------------------------------------------- begin and ends */

/* Without chunks the end of the connection is that of the body: one that is cut is reset instead. */
static void set_reset(const struct eio_http_stream *stream, bool on)
{
    const struct linger at_once = {on, 0};
    if (stream->chunked || stream->bodiless || stream->conn->tls) return;
    setsockopt(stream->conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void begin_answer(struct eio_http_stream *stream, const struct eio_http_reply *reply, int minor_version)
{
    struct eio__conn *conn = stream->conn;
    bool has_body = eio__http_has_body(reply->status);
    stream->chunked = has_body && minor_version > 0;
    if (has_body && !stream->chunked) stream->keep_alive = false; /* its end is the connection's */
    eio__http_put_head(conn, reply, stream->chunked ? "Transfer-Encoding: chunked\r\n" : "", stream->keep_alive);
    set_reset(stream, true);
    want_flush(stream);
}

struct eio_http_stream *eio__stream_begin(struct eio_http_request *base, const struct eio_http_reply *reply,
                                          const struct eio_http_stream_options *options)
{
    struct eio__request *request = container_of(base, struct eio__request, base);
    struct eio__conn *conn = request->conn;
    struct eio_http_stream *stream = conn ? calloc(1, sizeof *stream) : NULL;
    if (!stream) return NULL;
    const struct eio_http_head *head = base->head;
    stream->conn = conn;
    if (options) stream->options = *options;
    if (!stream->options.max_queue_bytes) stream->options.max_queue_bytes = conn->http->options.max_stream_queue_bytes;
    stream->bodiless = head->method == EIO_HTTP_HEAD || !eio__http_has_body(reply->status);
    stream->keep_alive =
        head->keep_alive && !reply->close && !base->is_early && !base->is_upgrade && conn->hops < EIO_HOPS_MAX;
    begin_answer(stream, reply, head->minor_version);
    conn->request = NULL;
    eio__request_free(request);
    eio__conn_stream(conn, stream);
    eio_http_stream_write(stream, reply->body, reply->body_size);
    return stream;
}

struct eio_http_stream *eio_http_stream_begin(struct eio_http_request *request, const struct eio_http_reply *reply,
                                              const struct eio_http_stream_options *options)
{
    return request->ops->stream ? request->ops->stream(request, reply, options) : NULL;
}

static void stream_free(struct eio_http_stream *stream)
{
    leave_flush(stream);
    free(stream);
}

void eio_http_stream_end(struct eio_http_stream *stream)
{
    struct eio__conn *conn = stream->conn;
    if (!conn) return; /* in on_abort: too late */
    if (stream->doomed) {
        conn->stream = NULL; /* closed from the loop all the same */
        stream_free(stream);
        return;
    }
    if (stream->chunked && !stream->bodiless) eio__conn_put(conn, "0\r\n\r\n", 5);
    set_reset(stream, false);
    if (conn->tls && conn->evhtp->request) evhtp_send_reply_end(conn->evhtp->request);
    bool keep_alive = stream->keep_alive;
    stream_free(stream);
    eio__conn_streamed(conn, keep_alive);
}

void eio_http_stream_abort(struct eio_http_stream *stream)
{
    struct eio__conn *conn = stream->conn;
    if (!conn) return;
    conn->stream = NULL;
    stream_free(stream);
    eio__conn_drop(conn);
}

void eio__stream_lost(struct eio_http_stream *stream)
{
    if (!stream) return;
    leave_flush(stream);
    stream->conn = NULL;
    if (stream->options.on_abort) stream->options.on_abort(stream->options.ctx);
    free(stream);
}
