/* Server-sent events (HTML standard, section 9.2.6) out of bytes as they arrive. Pure: no I/O.
 *
 * As the standard has it: lines end with LF, CR or CRLF, a byte order mark at the start is skipped, comments and
 * unknown fields are ignored, several `data` lines are joined by a newline, and an event without a `data` line is not
 * reported but sets the id. Beyond it: a field named `error`, which some servers of language models send, is reported,
 * and the owner may have what stands before the end of the stream reported though no empty line closed it. Bytes that
 * are not UTF-8 are handed on as they are. */
#ifndef KIT_SSE_H
#define KIT_SSE_H

#include <engineio.h>

struct kit_sse_event {
    struct eio_str name;  /* {"", 0} if the event names none: "message" of the standard */
    struct eio_str data;  /* without the newline after its last line; "" also for a line without a value */
    struct eio_str error; /* of the field `error`; p is NULL without one */
};

/* 0: go on; else kit_sse_feed() returns it at once and reports nothing more. The event is valid during the call. */
typedef int (*kit_sse_fn)(void *ctx, const struct kit_sse_event *event);

struct kit_sse_text {
    char *p;
    size_t n, capacity;
};

/* Zeroed but for max_bytes: ready. */
struct kit_sse {
    size_t max_bytes; /* of an event: its lines that are not comments, each of them and all its data */
    int64_t retry_ms; /* of the last valid `retry` field; meaningful if has_retry */
    bool has_retry;

    /* Private. */
    struct kit_sse_text line, name, data, error, id, next_id;
    bool has_data, has_error, has_next_id;
    bool is_comment; /* this line is: its bytes are not kept */
    bool skips_lf;   /* the last byte was a CR */
    uint8_t mark;    /* bytes of the byte order mark that were seen; MARK_DONE: none can come */
    int failed;      /* what kit_sse_feed() returned */
};

/* Returns 0, EIO_ETOOBIG, EIO_ENOMEM, or what fn returned; after anything but 0 the same again. */
int kit_sse_feed(struct kit_sse *sse, struct eio_str bytes, kit_sse_fn fn, void *ctx);
/* The stream has ended: reports an event that no empty line has closed. Returns as kit_sse_feed(). */
int kit_sse_end(struct kit_sse *sse, kit_sse_fn fn, void *ctx);
/* The id of the last event that was closed, which a client sends as Last-Event-ID; {"", 0}: none. Within fn that of the
 * event. Valid until the next feed. */
struct eio_str kit_sse_last_id(const struct kit_sse *sse);
/* Begins anew for another stream (the next connection); max_bytes, retry_ms and the last id stay. */
void kit_sse_restart(struct kit_sse *sse);
/* Frees what it holds. */
void kit_sse_clear(struct kit_sse *sse);

#endif
