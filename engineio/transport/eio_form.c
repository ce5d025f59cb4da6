/* The forms a frame takes for peers whose wire differs from the common one: bare WebSockets, Engine.IO 3, and those
 * that negotiated permessage-deflate. Everybody else is sent the frame as it is. */
#include "eio_deflate.h"
#include "eio_int.h"

#include <string.h>

/* An empty data frame of n payload bytes: what is to be filled in. */
static struct eio_frame *form_new(const struct eio_frame *from, enum eio__ws_opcode opcode, size_t n, uint8_t **payload)
{
    size_t header = eio__ws_header_size(n);
    struct eio_frame *form = eio__frame_new_wire(header + n);
    if (!form) return NULL;
    eio__ws_put_header(form->bytes, opcode, n);
    form->messages = from->messages;
    form->more = from->more;
    form->is_plain = from->is_plain;
    eio_frame_set_account(form, from->account);
    *payload = form->bytes + header;
    return form;
}

/* A bare WebSocket: text without the packet type. */
static struct eio_frame *bare_form(struct eio_frame *frame)
{
    uint8_t *payload;
    struct eio_frame *form = form_new(frame, EIO__WS_TEXT, frame->size, &payload);
    if (form) memcpy(payload, eio__frame_message(frame), frame->size);
    return form;
}

/* engine.io-protocol v3: binary begins with the packet type; for who cannot take binary it is text, "b4" and base64. */
static struct eio_frame *binary3_form(struct eio_frame *frame, bool base64)
{
    uint8_t *payload;
    size_t n = base64 ? 2 + eio__base64_size(frame->size) : 1 + (size_t)frame->size;
    struct eio_frame *form = form_new(frame, base64 ? EIO__WS_TEXT : EIO__WS_BINARY, n, &payload);
    if (!form) return NULL;
    if (!base64) {
        payload[0] = EIO__MESSAGE - '0';
        memcpy(payload + 1, eio__frame_message(frame), frame->size);
        return form;
    }
    memcpy(payload, "b4", 2);
    eio__base64_put(payload + 2, eio__frame_message(frame), frame->size);
    return form;
}

/* ------------------------------------------------------------- compression */

static size_t header_size(const uint8_t *wire)
{
    return wire[1] < 126 ? 2 : wire[1] == 126 ? 4 : 10;
}

static size_t payload_size(const struct eio_frame *frame)
{
    return frame->wire_size - header_size(eio__frame_wire(frame));
}

/* RFC 7692, section 6: RSV1 says that the message is compressed. NULL: it would not shrink, or no memory. */
static struct eio_frame *deflated_form(const struct eio_frame *frame, int level, int window_bits)
{
    enum { RSV1 = 0x40 };
    const uint8_t *wire = eio__frame_wire(frame);
    size_t header = header_size(wire), size;
    uint8_t *bytes, *payload;
    if (!eio__deflate(wire + header, frame->wire_size - header, window_bits, level, &bytes, &size)) return NULL;
    struct eio_frame *form = form_new(frame, (enum eio__ws_opcode)(wire[0] & 0x0f), size, &payload);
    if (form) {
        form->bytes[0] |= RSV1;
        form->is_plain = false;
        memcpy(payload, bytes, size);
    }
    free(bytes);
    return form;
}

/* Takes the reference; one compressed copy serves all with the same window or a larger one. */
static struct eio_frame *deflate(struct eio_frame *take_frame, const struct eio_options *options, int window_bits)
{
    struct eio_frame *frame = take_frame, *form;
    if (!frame->is_plain || payload_size(frame) < options->deflate_threshold_bytes) return frame;
    /* Asked again at every attempt to write to a blocked peer: what did not shrink once is not tried again. */
    if (window_bits <= frame->flat_bits) return frame;
    if (frame->deflated && frame->deflated_bits <= window_bits) {
        form = eio_frame_ref(frame->deflated);
    } else {
        form = deflated_form(frame, options->deflate_level, window_bits);
        if (!form) {
            frame->flat_bits = (uint8_t)window_bits;
            return frame;
        }
        if (!frame->deflated) {
            frame->deflated = eio_frame_ref(form);
            frame->deflated_bits = (uint8_t)window_bits;
        }
    }
    eio_frame_unref(frame);
    return form;
}

struct eio_frame *eio__form_for(const struct eio_session *session, int deflate_bits, struct eio_frame *frame)
{
    bool common = !frame->wire_only && !frame->is_packet;
    struct eio_frame *form;
    if (common && session->protocol == 0 && frame->kind == EIO_TEXT)
        form = bare_form(frame);
    else if (common && session->protocol == 3 && frame->kind == EIO_BINARY)
        form = binary3_form(frame, session->base64);
    else
        form = eio_frame_ref(frame);
    if (!form || !deflate_bits) return form;
    return deflate(form, &session->server->options, deflate_bits);
}
