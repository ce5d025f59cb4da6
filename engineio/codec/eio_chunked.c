/* De-chunking (RFC 9112, section 7.1), resumable at every byte. Chunk extensions and trailers are bounded and dropped.
 */
#include "base_str.h"
#include "eio_codec.h"

#include <string.h>

enum state {
    SIZE_FIRST, /* the first digit of a chunk's size */
    SIZE,
    SIZED,     /* behind a size and blanks: an extension must follow */
    EXT_START, /* behind ";": blanks, then a name */
    EXT_NAME,
    EXT_NAMED,       /* behind a name and blanks */
    EXT_VALUE_START, /* behind "=" */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,  /* behind a backslash in quotes */
    EXT_UNQUOTED, /* behind the closing quote */
    EXT_VALUED,   /* behind a value and blanks */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* at the start of a trailer line */
    TRAILER_NAME,
    TRAILER,
    TRAILER_LF,
    END_LF,
    DONE,
};

enum {
    SIZE_BITS_MAX = 60,
    LINE_BYTES_MAX = 256,     /* of a size and its extensions */
    TRAILER_BYTES_MAX = 8192, /* of all trailers */
};

static int set_fault(struct eio__fault *fault, uint16_t status, size_t at, const char *why)
{
    *fault = (struct eio__fault){.code = status == 400 ? EIO_EPROTO : EIO_ETOOBIG,
                                 .close_code = status,
                                 .limit = status == 413 ? EIO_LIMIT_BODY_BYTES : EIO_LIMIT_HEAD_BYTES,
                                 .at = at,
                                 .why = why};
    return fault->code;
}

/* A control byte other than tab: in no extension and in no trailer. */
static bool is_control(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112, section 7.1.1). Returns the
 * next state, or -1: it is not that. The CR at its end is the caller's. */
static int after_extension_byte(int state, uint8_t c)
{
    bool blank = c == ' ' || c == '\t';
    switch (state) {
    case EXT_START:
        return blank ? EXT_START : eio__token[c] ? EXT_NAME : -1;
    case EXT_NAME:
    case EXT_NAMED:
        if (c == '=') return EXT_VALUE_START;
        if (blank) return EXT_NAMED;
        if (state == EXT_NAME && eio__token[c]) return EXT_NAME;
        return c == ';' ? EXT_START : -1;
    case EXT_VALUE_START:
        return blank ? EXT_VALUE_START : c == '"' ? EXT_QUOTED : eio__token[c] ? EXT_VALUE : -1;
    case EXT_QUOTED:
        return c == '"' ? EXT_UNQUOTED : c == '\\' ? EXT_ESCAPED : EXT_QUOTED;
    case EXT_ESCAPED:
        return EXT_QUOTED;
    default: /* EXT_VALUE, EXT_UNQUOTED, EXT_VALUED */
        if (state == EXT_VALUE && eio__token[c]) return EXT_VALUE;
        return blank ? EXT_VALUED : c == ';' ? EXT_START : -1;
    }
}

static int on_extension_byte(struct eio__chunked *chunked, uint8_t c, size_t at, struct eio__fault *fault)
{
    if (++chunked->line_bytes > LINE_BYTES_MAX) return set_fault(fault, 400, at, "chunk extension too long");
    bool may_end = chunked->state == EXT_NAME || chunked->state == EXT_VALUE || chunked->state == EXT_UNQUOTED;
    int next = c == '\r' ? (may_end ? SIZE_LF : -1) : is_control(c) ? -1 : after_extension_byte(chunked->state, c);
    if (next < 0) return set_fault(fault, 400, at, "bad chunk extension");
    chunked->state = (uint8_t)next;
    return 0;
}

static int on_size_byte(struct eio__chunked *chunked, uint8_t c, size_t at, struct eio__fault *fault)
{
    int value = base_hex_value((char)c);
    if (chunked->state == SIZE_FIRST) {
        if (value < 0) return set_fault(fault, 400, at, "bad chunk size");
        chunked->left = (uint64_t)value;
        chunked->line_bytes = 1;
        chunked->state = SIZE;
        return 0;
    }
    if (++chunked->line_bytes > LINE_BYTES_MAX) return set_fault(fault, 400, at, "chunk size too long");
    bool in_size = chunked->state == SIZE;
    if (c == '\r' && in_size) {
        chunked->state = SIZE_LF;
    } else if (value >= 0 && in_size) {
        if (chunked->left >> (SIZE_BITS_MAX - 4)) return set_fault(fault, 413, at, "chunk too large");
        chunked->left = chunked->left * 16 + (uint64_t)value;
    } else if (c == ';') {
        chunked->state = EXT_START;
    } else if (c == ' ' || c == '\t') {
        chunked->state = SIZED;
    } else {
        return set_fault(fault, 400, at, "bad chunk size");
    }
    return 0;
}

static int on_trailer_byte(struct eio__chunked *chunked, uint8_t c, size_t at, struct eio__fault *fault)
{
    if (++chunked->trailer_bytes > TRAILER_BYTES_MAX) return set_fault(fault, 431, at, "trailers too large");
    if (chunked->state == TRAILER) { /* its value */
        if (c == '\r')
            chunked->state = TRAILER_LF;
        else if (is_control(c))
            return set_fault(fault, 400, at, "control byte in trailer");
        return 0;
    }
    /* field-line = field-name ":" OWS field-value OWS (RFC 9112, sections 5 and 7.1.2). What is not that may be the
     * next request, of a client that forgot the empty line. */
    bool start = chunked->state == TRAILER_START;
    if (c == '\r' && start)
        chunked->state = END_LF;
    else if (c == ':' && !start)
        chunked->state = TRAILER;
    else if (eio__token[c])
        chunked->state = TRAILER_NAME;
    else
        return set_fault(fault, 400, at, "bad trailer");
    return 0;
}

static int on_newline(struct eio__chunked *chunked, uint8_t c, size_t at, struct eio__fault *fault)
{
    if (c != '\n') return set_fault(fault, 400, at, "bare CR");
    switch (chunked->state) {
    case SIZE_LF:
        chunked->state = chunked->left ? DATA : TRAILER_START;
        break;
    case DATA_LF:
        chunked->state = SIZE_FIRST;
        break;
    case TRAILER_LF:
        chunked->state = TRAILER_START;
        break;
    default:
        chunked->state = DONE;
        break;
    }
    return 0;
}

static int on_byte(struct eio__chunked *chunked, uint8_t c, size_t at, struct eio__fault *fault)
{
    switch (chunked->state) {
    case SIZE_FIRST:
    case SIZE:
    case SIZED:
        return on_size_byte(chunked, c, at, fault);
    case EXT_START:
    case EXT_NAME:
    case EXT_NAMED:
    case EXT_VALUE_START:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_ESCAPED:
    case EXT_UNQUOTED:
    case EXT_VALUED:
        return on_extension_byte(chunked, c, at, fault);
    case DATA_CR:
        if (c != '\r') return set_fault(fault, 400, at, "chunk longer than its size");
        chunked->state = DATA_LF;
        return 0;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER:
        return on_trailer_byte(chunked, c, at, fault);
    default:
        return on_newline(chunked, c, at, fault);
    }
}

ssize_t eio__chunked_feed(struct eio__chunked *chunked, const uint8_t *p, size_t n, uint8_t *out, size_t *out_size,
                          bool *done, struct eio__fault *fault)
{
    size_t i = 0;
    *out_size = 0;
    while (i < n && chunked->state != DONE) {
        if (chunked->state == DATA) {
            size_t part = chunked->left < n - i ? (size_t)chunked->left : n - i;
            memcpy(out + *out_size, p + i, part);
            *out_size += part;
            i += part;
            chunked->left -= part;
            chunked->pieces++;
            if (chunked->left == 0) chunked->state = DATA_CR;
            continue;
        }
        int rc = on_byte(chunked, p[i], i, fault);
        if (rc) return rc;
        i++;
    }
    *done = chunked->state == DONE;
    return (ssize_t)i;
}
