/* The ring of frames against a plain array: what is sent, what is dropped, and what never is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eio_int.h"

enum { MODEL_MAX = 512, STEPS = 40000 };

/* The queue as a plain array; it holds a reference of its own on each frame. */
static struct eio_frame *model[MODEL_MAX];
static size_t model_count, model_bytes, model_written;
static bool model_in_group; /* the message sent last goes on at the front */
static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct eio_frame *message(size_t size, bool more)
{
    uint8_t *out;
    struct eio_frame *frame = eio_frame_new(EIO_BINARY, size, &out);
    assert_non_null(frame);
    memset(out, 'm', size);
    if (more) eio_frame_set_more(frame);
    return frame;
}

static void push(struct eio__queue *queue, struct eio_frame *take_frame)
{
    model[model_count++] = eio_frame_ref(take_frame);
    model_bytes += take_frame->wire_size;
    assert_int_equal(eio__queue_push(queue, take_frame), 0);
}

static void model_remove(size_t i)
{
    model_bytes -= model[i]->wire_size;
    eio_frame_unref(model[i]);
    model_count--;
    memmove(model + i, model + i + 1, (model_count - i) * sizeof *model);
}

static size_t model_advance(size_t n)
{
    size_t messages = 0;
    model_written += n;
    while (model_count && model_written >= model[0]->wire_size) {
        model_written -= model[0]->wire_size;
        messages += model[0]->messages;
        if (model[0]->messages) model_in_group = model[0]->more;
        model_remove(0);
    }
    return messages;
}

/* Positions of the first message from a position on, with its parts; false if its end is not there. */
static bool model_group(size_t from, size_t *parts, size_t *count)
{
    *count = 0;
    for (size_t i = from; i < model_count; i++) {
        if (model[i]->messages == 0) continue;
        parts[(*count)++] = i;
        if (!model[i]->more) return true;
    }
    return false;
}

static size_t model_drop(size_t bytes, size_t limit)
{
    size_t parts[MODEL_MAX], count, from = 0, dropped = 0;
    bool begun = model_in_group || (model_written && model[0]->messages);
    if (begun) {
        if (!model_group(0, parts, &count)) return 0;
        from = parts[count - 1] + 1;
    } else if (model_written) {
        from = 1;
    }
    while (model_bytes - model_written + bytes > limit && model_group(from, parts, &count)) {
        dropped += count;
        while (count) model_remove(parts[--count]);
    }
    return dropped;
}

static void compare(const struct eio__queue *queue)
{
    assert_int_equal(queue->count, model_count);
    assert_int_equal(queue->bytes, model_bytes - model_written);
    assert_int_equal(queue->head_written, model_written);
    for (uint32_t i = 0; i < queue->count; i++) assert_ptr_equal(eio__queue_at(queue, i), model[i]);
    if (queue->count == 0) assert_int_equal(queue->capacity, EIO__QUEUE_INLINE); /* an idle queue keeps no ring */
}

static void start(struct eio__queue *queue)
{
    eio__queue_init(queue);
    model_count = model_bytes = model_written = 0;
    model_in_group = false;
}

static void finish(struct eio__queue *queue)
{
    eio__queue_clear(queue);
    assert_int_equal(queue->bytes, 0);
    while (model_count) model_remove(0);
}

static void whatever_happens_it_is_the_plain_array(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    seed = 42;
    for (int i = 0; i < STEPS; i++) {
        uint32_t what = random_below(100);
        if (what < 40 && model_count < MODEL_MAX) {
            push(&queue, message(random_below(300), random_below(3) == 0));
        } else if (what < 45 && model_count < MODEL_MAX) {
            push(&queue, eio__frame_new_packet("2", 1));
        } else if (what < 85 && queue.bytes) {
            size_t n = random_below(random_below(4) ? 200 : (uint32_t)queue.bytes + 1);
            if (n > queue.bytes) n = queue.bytes;
            size_t messages = eio__queue_advance(&queue, n);
            assert_int_equal(messages, model_advance(n));
        } else if (what < 92) {
            size_t bytes = random_below(300), limit = random_below(3000);
            size_t dropped = eio__queue_drop_oldest(&queue, bytes, limit, 0);
            assert_int_equal(dropped, model_drop(bytes, limit));
        }
        compare(&queue);
    }
    finish(&queue);
}

static void a_message_that_was_begun_is_not_dropped(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    push(&queue, message(100, false));
    push(&queue, message(100, false));
    eio__queue_advance(&queue, 10);
    model_advance(10);
    assert_int_equal(eio__queue_drop_oldest(&queue, 1000, 0, 0), 1);
    assert_int_equal(queue.count, 1);
    assert_int_equal(queue.bytes, 92);
    model_remove(1);
    finish(&queue);
}

static void attachments_go_with_their_packet(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    for (int i = 0; i < 2; i++) {
        push(&queue, message(10, true));
        push(&queue, message(100, false));
    }
    assert_int_equal(eio__queue_drop_oldest(&queue, 0, queue.bytes - 1, 0),
                     2); /* one byte too many: the packet and all */
    model_remove(0);
    model_remove(0);
    compare(&queue);
    finish(&queue);
}

static void attachments_stay_when_their_packet_is_sent(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    push(&queue, message(10, true));
    push(&queue, message(100, false));
    push(&queue, message(100, false));
    eio__queue_advance(&queue, 12);
    model_advance(12);
    assert_int_equal(eio__queue_drop_oldest(&queue, 0, 0, 0), 1);
    model_remove(1);
    compare(&queue);
    finish(&queue);
}

static void a_packet_stays_while_its_attachments_are_queued(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    push(&queue, message(10, false));
    push(&queue, message(10, true));
    assert_int_equal(eio__queue_drop_oldest(&queue, 1000, 0, 0), 1);
    model_remove(0);
    compare(&queue);
    finish(&queue);
}

static void the_librarys_own_packets_are_never_dropped(void **state)
{
    (void)state;
    struct eio__queue queue;
    start(&queue);
    push(&queue, eio__frame_new_packet("0{}", 3));
    push(&queue, message(10, false));
    push(&queue, eio__frame_new_packet("2", 1));
    push(&queue, message(10, false));
    assert_int_equal(eio__queue_drop_oldest(&queue, 1000, 0, 0), 2);
    model_remove(1);
    model_remove(2);
    compare(&queue);
    finish(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_it_is_the_plain_array),
        cmocka_unit_test(a_message_that_was_begun_is_not_dropped),
        cmocka_unit_test(attachments_go_with_their_packet),
        cmocka_unit_test(attachments_stay_when_their_packet_is_sent),
        cmocka_unit_test(a_packet_stays_while_its_attachments_are_queued),
        cmocka_unit_test(the_librarys_own_packets_are_never_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
