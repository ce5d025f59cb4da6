/* Bodies of requests: collected until they are whole, or handed on as they come (eio_http_request_read()). */
#include "eio_http_conn.h"

#include <string.h>

/* Each piece that is kept apart costs the reference memory; here it bounds how finely a body may be chopped. */
static bool is_chopped(const struct eio__conn *conn)
{
    size_t max = conn->route ? conn->route->spec.max_body_pieces : 0;
    return max && conn->body_pieces > max;
}

static enum eio__step refuse_pieces(struct eio__conn *conn)
{
    return eio__conn_refuse_body(conn, 413, EIO_LIMIT_BUFFERED_CHUNKS, "too many chunks");
}

/* Makes room for n more bytes of body. Grows with what arrives, never to what a length claims. */
static bool reserve_body(struct eio__conn *conn, size_t n)
{
    size_t needed = conn->body_size + n;
    if (needed <= conn->body_capacity) return true;
    size_t capacity = conn->body_capacity ? 2 * conn->body_capacity : EIO__HTTP_BODY_START_BYTES;
    if (!conn->chunked && capacity > conn->body_expected) capacity = conn->body_expected;
    if (capacity < needed) capacity = needed;
    uint8_t *grown = realloc(conn->body, capacity);
    if (!grown) return false;
    conn->body = grown;
    conn->body_capacity = capacity;
    return true;
}

static enum eio__step no_memory(struct eio__conn *conn)
{
    eio__conn_refuse(conn, 503, "out of memory");
    return EIO__STEP_MORE;
}

static enum eio__step step_chunked(struct eio__conn *conn)
{
    struct eio__fault fault;
    bool done = false;
    while (!done) {
        if (conn->in.size == 0) return EIO__STEP_WAIT;
        if (!reserve_body(conn, conn->in.size)) return no_memory(conn);
        size_t decoded;
        ssize_t used = eio__chunked_feed(&conn->chunks, conn->in.p, conn->in.size, conn->body + conn->body_size,
                                         &decoded, &done, &fault);
        if (used < 0) {
            eio__conn_refuse_fault(conn, &fault);
            return EIO__STEP_MORE;
        }
        conn->http->stats.bytes_in += (size_t)used;
        eio__bytes_take(&conn->in, (size_t)used);
        conn->body_size += decoded;
        conn->body_pieces = conn->chunks.pieces;
        if (conn->body_size > conn->body_limit) return eio__conn_refuse_size(conn);
        if (is_chopped(conn)) return refuse_pieces(conn);
    }
    return eio__conn_dispatch(conn, false);
}

enum eio__step eio__body_step(struct eio__conn *conn)
{
    if (conn->chunked) return step_chunked(conn);
    size_t n = conn->in.size, wanted = conn->body_expected - conn->body_size;
    if (n > wanted) n = wanted;
    if (n == 0) return EIO__STEP_WAIT;
    if (!reserve_body(conn, n)) return no_memory(conn);
    memcpy(conn->body + conn->body_size, conn->in.p, n);
    eio__bytes_take(&conn->in, n);
    conn->http->stats.bytes_in += n;
    conn->body_size += n;
    conn->body_pieces++;
    if (is_chopped(conn)) return refuse_pieces(conn);
    return conn->body_size == conn->body_expected ? eio__conn_dispatch(conn, false) : EIO__STEP_WAIT;
}

/* ----------------------------------------------------------------- in pieces */

/* Takes a piece of the body off the input. Returns its size in the input, 0 if no whole piece is there, negative with a
 * fault. */
static ssize_t take_piece(struct eio__conn *conn, uint8_t piece[EIO__HTTP_INPUT_BYTES], size_t *decoded, bool *done,
                          struct eio__fault *fault)
{
    size_t n = conn->in.size < EIO__HTTP_INPUT_BYTES ? conn->in.size : EIO__HTTP_INPUT_BYTES;
    if (n == 0) return 0;
    ssize_t used;
    if (conn->chunked) {
        used = eio__chunked_feed(&conn->chunks, conn->in.p, n, piece, decoded, done, fault);
        if (used < 0) return used;
    } else {
        if (n > conn->body_expected) n = conn->body_expected;
        memcpy(piece, conn->in.p, n);
        conn->body_expected -= n;
        *done = conn->body_expected == 0;
        used = (ssize_t)(*decoded = n);
    }
    conn->http->stats.bytes_in += (size_t)used;
    eio__bytes_take(&conn->in, (size_t)used);
    return used;
}

/* False: the connection is gone. */
static bool hand_on(struct eio__conn *conn, const struct eio_http_request *base, struct eio_str piece)
{
    bool gone = false;
    conn->gone = &gone;
    if (piece.p)
        base->on_piece(base->read_ctx, piece);
    else
        base->on_end(base->read_ctx);
    if (gone) return false;
    conn->gone = NULL;
    return true;
}

enum eio__step eio__reading_step(struct eio__conn *conn)
{
    uint8_t piece[EIO__HTTP_INPUT_BYTES];
    struct eio__request *request = conn->request;
    const struct eio_http_request base = request->base; /* which may be gone after a call */
    struct eio__fault fault;
    size_t decoded = 0;
    bool done = false;
    if (base.is_paused) return EIO__STEP_WAIT;
    ssize_t used = take_piece(conn, piece, &decoded, &done, &fault);
    if (used == 0) return EIO__STEP_WAIT;
    if (used < 0) {
        eio__conn_refuse_fault(conn, &fault);
        return EIO__STEP_MORE;
    }
    if (done) request->base.is_early = false;
    eio__conn_set_state(conn, done ? EIO__H_WAITING : EIO__H_READING);
    if (decoded && !hand_on(conn, &base, (struct eio_str){(const char *)piece, decoded})) return EIO__STEP_GONE;
    /* The handler may have answered, and the request is gone then. */
    if (done && conn->request == request && !hand_on(conn, &base, (struct eio_str){NULL, 0})) return EIO__STEP_GONE;
    return EIO__STEP_MORE;
}

bool eio_http_request_read(struct eio_http_request *base, eio_http_piece_fn on_piece, eio_loop_fn on_end, void *ctx)
{
    if (!base->is_early) return false;
    base->on_piece = on_piece;
    base->on_end = on_end;
    base->read_ctx = ctx;
    eio_http_request_pause(base, false);
    return true;
}

void eio_http_request_pause(struct eio_http_request *base, bool pause)
{
    if (!base->is_early || base->is_paused == pause) return;
    struct eio__conn *conn = container_of(base, struct eio__request, base)->conn;
    base->is_paused = pause;
    if (!conn) return;
    eio__conn_set_state(conn, EIO__H_READING);
    if (!pause) eio__conn_poke(conn);
}
