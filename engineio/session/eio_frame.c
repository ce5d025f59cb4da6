/* Frames: messages encoded once, shared by reference; the pool of chunks; batches. */
#include "eio_deflate.h"
#include "eio_int.h"

#include <string.h>

static _Thread_local struct eio_frame *free_chunks;        /* linked through their bytes */
static _Thread_local size_t free_chunk_count, fewest_free; /* since the last look at it */

static struct eio_frame *frame_alloc(size_t capacity)
{
    struct eio_frame *frame = malloc(sizeof *frame + capacity);
    if (!frame) return NULL;
    memset(frame, 0, sizeof *frame);
    frame->refs = 1;
    return frame;
}

struct eio_frame *eio_frame_new(enum eio_kind kind, size_t size, uint8_t **message)
{
    struct eio_frame *frame = size <= EIO__FRAME_BYTES_MAX ? frame_alloc(EIO__MESSAGE_OFFSET + size) : NULL;
    if (!frame) return NULL;
    size_t typed = kind == EIO_TEXT ? 1 : 0;
    size_t header = eio__ws_header_size(size + typed);
    frame->kind = (uint8_t)kind;
    frame->size = (uint32_t)size;
    frame->messages = 1;
    frame->is_plain = true;
    frame->wire_start = (uint8_t)(EIO__MESSAGE_OFFSET - typed - header);
    frame->wire_size = (uint32_t)(header + typed + size);
    eio__ws_put_header(frame->bytes + frame->wire_start, kind == EIO_TEXT ? EIO__WS_TEXT : EIO__WS_BINARY,
                       size + typed);
    if (typed) frame->bytes[EIO__MESSAGE_OFFSET - 1] = EIO__MESSAGE;
    *message = eio__frame_message(frame);
    return frame;
}

struct eio_frame *eio__frame_new_packet(const char *packet, size_t size)
{
    struct eio_frame *frame = frame_alloc(EIO__MESSAGE_OFFSET + size);
    if (!frame) return NULL;
    size_t header = eio__ws_header_size(size);
    frame->kind = EIO_TEXT;
    frame->is_packet = true;
    frame->size = (uint32_t)size;
    frame->wire_start = (uint8_t)(EIO__MESSAGE_OFFSET - header);
    frame->wire_size = (uint32_t)(header + size);
    eio__ws_put_header(frame->bytes + frame->wire_start, EIO__WS_TEXT, size);
    memcpy(eio__frame_message(frame), packet, size);
    return frame;
}

struct eio_frame *eio__frame_new_wire(size_t size)
{
    struct eio_frame *frame = size <= INT32_MAX ? frame_alloc(size) : NULL;
    if (!frame) return NULL;
    frame->wire_only = true;
    frame->wire_size = (uint32_t)size;
    return frame;
}

struct eio_frame *eio__frame_new_like(const struct eio_frame *from, enum eio__ws_opcode opcode, size_t n,
                                      uint8_t **payload)
{
    size_t header = eio__ws_header_size(n);
    struct eio_frame *frame = eio__frame_new_wire(header + n);
    if (!frame) return NULL;
    eio__ws_put_header(frame->bytes, opcode, n);
    frame->messages = from->messages;
    frame->more = from->more;
    frame->is_plain = from->is_plain;
    eio_frame_set_account(frame, from->account);
    *payload = frame->bytes + header;
    return frame;
}

size_t eio__frame_header_size(const struct eio_frame *frame)
{
    const uint8_t *wire = eio__frame_wire(frame);
    return wire[1] < 126 ? 2 : wire[1] == 126 ? 4 : 10;
}

struct eio_frame *eio__frame_new_control(enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    struct eio_frame *frame = eio__frame_new_wire(2 + n);
    if (!frame) return NULL;
    eio__ws_put_header(frame->bytes, opcode, n);
    if (n) memcpy(frame->bytes + 2, p, n);
    return frame;
}

struct eio_frame *eio__frame_new_chunk(void)
{
    struct eio_frame *frame = free_chunks;
    if (frame) {
        memcpy(&free_chunks, frame->bytes, sizeof free_chunks);
        if (--free_chunk_count < fewest_free) fewest_free = free_chunk_count;
        frame->refs = 1;
        frame->wire_size = 0;
        frame->messages = 0;
        return frame;
    }
    frame = frame_alloc(EIO__CHUNK_BYTES);
    if (!frame) return NULL;
    frame->wire_only = true;
    frame->is_chunk = true;
    return frame;
}

static void free_chunks_above(size_t kept)
{
    for (; free_chunk_count > kept; free_chunk_count--) {
        struct eio_frame *frame = free_chunks;
        memcpy(&free_chunks, frame->bytes, sizeof free_chunks);
        free(frame);
    }
}

void eio__frame_pool_trim(void)
{
    free_chunks_above(free_chunk_count - fewest_free);
    fewest_free = free_chunk_count;
}

void eio__frame_pool_clear(void)
{
    free_chunks_above(0);
    fewest_free = 0;
    eio__deflate_clear();
}

struct eio_frame *eio_frame_ref(struct eio_frame *frame)
{
    frame->refs++;
    return frame;
}

void eio_frame_unref(struct eio_frame *frame)
{
    if (!frame || --frame->refs > 0) return;
    if (!frame->is_deflating && frame->deflated) eio_frame_unref(frame->deflated);
    if (frame->is_chunk && free_chunk_count < EIO__CHUNKS_KEPT) {
        memcpy(frame->bytes, &free_chunks, sizeof free_chunks);
        free_chunks = frame;
        free_chunk_count++;
        return;
    }
    struct eio_frame_account *account = frame->account;
    ptrdiff_t bytes = (ptrdiff_t)frame->wire_size;
    free(frame);
    if (account) account->on_change(account, -bytes);
}

void eio_frame_set_account(struct eio_frame *frame, struct eio_frame_account *account)
{
    BASE_CHECK(!frame->account && !frame->is_chunk);
    frame->account = account;
    if (account) account->on_change(account, (ptrdiff_t)frame->wire_size);
}

void eio_frame_set_more(struct eio_frame *frame)
{
    frame->more = true;
}

void eio_frame_set_compress(struct eio_frame *frame, bool compress)
{
    frame->is_plain = compress && !frame->wire_only && !frame->is_packet;
}

/* ----------------------------------------------------------------- batches */

struct eio_batch *eio_batch_new(void)
{
    return calloc(1, sizeof(struct eio_batch));
}

void eio_batch_clear(struct eio_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) eio_frame_unref(batch->frames[i]);
    eio_frame_unref(batch->merged);
    batch->merged = NULL;
    batch->count = 0;
    batch->wire_size = 0;
    batch->sealed = false;
}

void eio_batch_free(struct eio_batch *batch)
{
    if (!batch) return;
    eio_batch_clear(batch);
    free(batch->frames);
    free(batch);
}

int eio_batch_add(struct eio_batch *batch, struct eio_frame *frame)
{
    BASE_CHECK(!batch->sealed);
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity ? 2 * batch->capacity : 16;
        struct eio_frame **frames = realloc(batch->frames, capacity * sizeof *frames);
        if (!frames) return EIO_ENOMEM;
        batch->frames = frames;
        batch->capacity = capacity;
    }
    batch->frames[batch->count++] = eio_frame_ref(frame);
    batch->wire_size += frame->wire_size;
    return 0;
}

size_t eio_batch_count(const struct eio_batch *batch)
{
    return batch->count;
}

struct eio_frame *eio_batch_frame(const struct eio_batch *batch, size_t position)
{
    return batch->frames[position];
}

struct eio_frame *eio__batch_wire(struct eio_batch *batch)
{
    batch->sealed = true;
    if (batch->count == 1) return batch->frames[0];
    if (batch->merged || batch->count == 0 || batch->wire_size > EIO__BATCH_MERGE_BYTES) return batch->merged;
    batch->merged = eio__frame_new_wire(batch->wire_size);
    if (!batch->merged) return NULL;
    uint8_t *out = batch->merged->bytes;
    for (size_t i = 0; i < batch->count; i++) {
        const struct eio_frame *frame = batch->frames[i];
        memcpy(out, eio__frame_wire(frame), frame->wire_size);
        out += frame->wire_size;
    }
    batch->merged->messages = (uint16_t)(batch->count < UINT16_MAX ? batch->count : UINT16_MAX);
    return batch->merged;
}
