/* The forms a frame takes for peers whose wire differs from the common one: bare WebSockets, Engine.IO 3, and those
 * that negotiated permessage-deflate. Everybody else is sent the frame as it is. */
#include "eio_int.h"

#include <string.h>

/* A bare WebSocket: text without the packet type. */
static struct eio_frame *bare_form(struct eio_frame *frame)
{
    uint8_t *payload;
    struct eio_frame *form = eio__frame_new_like(frame, EIO__WS_TEXT, frame->size, &payload);
    if (form) memcpy(payload, eio__frame_message(frame), frame->size);
    return form;
}

/* engine.io-protocol v3: binary begins with the packet type; for who cannot take binary it is text, "b4" and base64. */
static struct eio_frame *binary3_form(struct eio_frame *frame, bool base64)
{
    uint8_t *payload;
    size_t n = base64 ? 2 + eio__base64_size(frame->size) : 1 + (size_t)frame->size;
    struct eio_frame *form = eio__frame_new_like(frame, base64 ? EIO__WS_TEXT : EIO__WS_BINARY, n, &payload);
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

/* Puts the compressed form in the place of *form. One compressed copy serves all with the same window or a larger one.
 */
static int deflate(struct eio_server *server, int window_bits, struct eio_frame **form)
{
    struct eio_frame *frame = *form;
    if (!frame->is_plain || frame->wire_size - eio__frame_header_size(frame) < server->options.deflate_threshold_bytes)
        return 0;
    /* Asked again at every attempt to write to a blocked peer: what did not shrink once is not tried again. */
    if (window_bits <= frame->flat_bits) return 0;
    if (frame->is_deflating) return EIO_EAGAIN;
    bool is_made = frame->deflated && frame->deflated_bits <= window_bits;
    if (!is_made && eio__deflating_begin(server, frame, window_bits) != 0) return EIO_EAGAIN;
    if (window_bits <= frame->flat_bits) return 0;
    *form = eio_frame_ref(frame->deflated);
    eio_frame_unref(frame);
    return 0;
}

int eio__form_for(const struct eio_session *session, int deflate_bits, struct eio_frame *frame, struct eio_frame **form)
{
    bool common = !frame->wire_only && !frame->is_packet;
    if (common && session->protocol == 0 && frame->kind == EIO_TEXT)
        *form = bare_form(frame);
    else if (common && session->protocol == 3 && frame->kind == EIO_BINARY)
        *form = binary3_form(frame, session->base64);
    else
        *form = eio_frame_ref(frame);
    if (!*form) return EIO_ENOMEM;
    return deflate_bits ? deflate(session->server, deflate_bits, form) : 0;
}
