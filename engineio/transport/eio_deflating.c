/* Compressing what is sent, in slices: a turn of the loop spends so much on it and no more, whatever is sent to however
 * many peers. What is not done by then stands in a row, and the sessions it is for wait. One compressed copy serves all
 * with the same window or a larger one. */
#include "eio_deflate.h"
#include "eio_int.h"

#include <string.h>

enum {
    SLICE_US = 5000,     /* of a turn */
    SHORT_BYTES = 65536, /* such messages do not wait for longer ones */
};

enum { SHORT, LONG };

struct eio__deflating {
    struct eio__deflating *next, **at; /* in the row */
    struct eio_server *server;
    struct eio_frame *frame, *wider; /* its form for larger windows, or NULL */
    struct eio__form_waiter *waiters;
    uint8_t kind;
    struct eio__deflation deflation;
};

/* --------------------------------------------------------------------- row */

static void put_last(struct eio__deflating_row *row, struct eio__deflating *deflating)
{
    deflating->at = row->last[deflating->kind];
    *deflating->at = deflating;
    row->last[deflating->kind] = &deflating->next;
}

/* Off the row, and freed. */
static void remove_deflating(struct eio__deflating *deflating)
{
    struct eio__deflating_row *row = &deflating->server->deflating;
    *deflating->at = deflating->next;
    if (deflating->next)
        deflating->next->at = deflating->at;
    else
        row->last[deflating->kind] = deflating->at;
    eio__deflation_clear(&deflating->deflation);
    eio_frame_unref(deflating->frame);
    free(deflating);
}

/* ------------------------------------------------------------------- forms */

/* RFC 7692, section 6: RSV1 says that the message is compressed. NULL: out of memory. */
static struct eio_frame *deflated_form(const struct eio_frame *frame, const struct eio__deflation *deflation)
{
    enum { RSV1 = 0x40 };
    uint8_t *payload;
    enum eio__ws_opcode opcode = (enum eio__ws_opcode)(eio__frame_wire(frame)[0] & 0x0f);
    struct eio_frame *form = eio__frame_new_like(frame, opcode, deflation->size, &payload);
    if (!form) return NULL;
    form->bytes[0] |= RSV1;
    form->is_plain = false;
    memcpy(payload, deflation->bytes, deflation->size);
    return form;
}

/* It is compressed (result 0); or it is sent as it is, and only to those with a wider window in that form. */
static void finish_frame(struct eio_frame *frame, const struct eio__deflation *deflation, int result)
{
    struct eio_frame *form = result == 0 ? deflated_form(frame, deflation) : NULL;
    if (!form) {
        frame->flat_bits = (uint8_t)deflation->window_bits;
        return;
    }
    eio_frame_unref(frame->deflated);
    frame->deflated = form;
    frame->deflated_bits = (uint8_t)deflation->window_bits;
}

static void release_frame(struct eio__deflating *deflating)
{
    deflating->frame->is_deflating = false;
    deflating->frame->deflated = deflating->wider;
}

/* ---------------------------------------------------------------- slicing */

uint64_t eio__deflating_begin_share(struct eio_server *server)
{
    struct eio__deflating_row *row = &server->deflating;
    uint64_t now_us = eio__loop_slice_clock_us(server->loop);
    if (row->turn != server->loop->stats.turns) {
        row->turn = server->loop->stats.turns;
        row->until_us = eio__loop_share_end_us(server->loop, now_us, SLICE_US);
    }
    return now_us;
}

static void finish_first(struct eio__deflating *deflating, int result)
{
    release_frame(deflating);
    finish_frame(deflating->frame, &deflating->deflation, result);
    for (struct eio__form_waiter *waiter = deflating->waiters; waiter; waiter = waiter->next) {
        waiter->deflating = NULL;
        eio__session_want_flush(waiter->session);
    }
    remove_deflating(deflating);
}

/* A step of a long one and a step of a short one by turns. */
static void run_slice(void *ctx)
{
    struct eio_server *server = ctx;
    struct eio__deflating_row *row = &server->deflating;
    uint64_t now_us = eio__deflating_begin_share(server);
    for (int kind = LONG; now_us < row->until_us && (row->first[SHORT] || row->first[LONG]); kind = !kind) {
        struct eio__deflating *deflating = row->first[kind];
        if (!deflating) continue;
        int result = eio__deflation_step(&deflating->deflation);
        if (result <= 0) finish_first(deflating, result);
        now_us = eio__loop_slice_clock_us(server->loop);
    }
    if (row->first[SHORT] || row->first[LONG]) eio_timer_start(&row->timer, 0);
}

/* Behind those that wait already, and within what is left of the turn's share. 1: it is not done. */
static int run_now(struct eio_server *server, struct eio__deflation *deflation, int kind)
{
    if (server->deflating.first[kind]) return 1;
    uint64_t now_us = eio__deflating_begin_share(server);
    int result = 1;
    while (result > 0 && now_us < server->deflating.until_us) {
        result = eio__deflation_step(deflation);
        if (result > 0) now_us = eio__loop_slice_clock_us(server->loop);
    }
    return result;
}

int eio__deflating_begin(struct eio_server *server, struct eio_frame *frame, int window_bits)
{
    struct eio__deflation deflation;
    const uint8_t *wire = eio__frame_wire(frame);
    size_t header = eio__frame_header_size(frame), n = frame->wire_size - header;
    int kind = n > SHORT_BYTES ? LONG : SHORT;
    eio__deflation_init(&deflation, wire + header, n, window_bits, server->options.deflate_level);
    int result = run_now(server, &deflation, kind);
    struct eio__deflating *deflating = result > 0 ? malloc(sizeof *deflating) : NULL;
    if (!deflating) {
        finish_frame(frame, &deflation, result);
        eio__deflation_clear(&deflation);
        return 0;
    }
    *deflating = (struct eio__deflating){.server = server,
                                         .frame = eio_frame_ref(frame),
                                         .wider = frame->deflated,
                                         .kind = (uint8_t)kind,
                                         .deflation = deflation};
    frame->is_deflating = true;
    frame->deflating = deflating;
    put_last(&server->deflating, deflating);
    server->stats.deflates_sliced++;
    eio_timer_start(&server->deflating.timer, 0);
    return EIO_EAGAIN;
}

/* ----------------------------------------------------------------- waiting */

struct eio__form_waiter *eio__form_await(struct eio_session *session, const struct eio_frame *frame)
{
    BASE_CHECK(frame->is_deflating);
    struct eio__form_waiter *waiter = malloc(sizeof *waiter);
    if (!waiter) return NULL;
    struct eio__deflating *deflating = frame->deflating;
    *waiter = (struct eio__form_waiter){
        .next = deflating->waiters, .at = &deflating->waiters, .deflating = deflating, .session = session};
    if (waiter->next) waiter->next->at = &waiter->next;
    deflating->waiters = waiter;
    return waiter;
}

void eio__form_forget(struct eio__form_waiter *take_waiter)
{
    struct eio__form_waiter *waiter = take_waiter;
    struct eio__deflating *deflating = waiter ? waiter->deflating : NULL;
    if (deflating) {
        *waiter->at = waiter->next;
        if (waiter->next) waiter->next->at = waiter->at;
        if (!deflating->waiters) {
            release_frame(deflating);
            remove_deflating(deflating);
        }
    }
    free(waiter);
}

/* ------------------------------------------------------------------ server */

void eio__deflating_clear(struct eio_server *server)
{
    BASE_CHECK(!server->deflating.first[SHORT] && !server->deflating.first[LONG]);
    eio_timer_stop(&server->deflating.timer);
}

void eio__deflating_init(struct eio_server *server)
{
    for (int kind = SHORT; kind <= LONG; kind++) server->deflating.last[kind] = &server->deflating.first[kind];
    eio_timer_init(&server->deflating.timer, server->loop, run_slice, server);
}
