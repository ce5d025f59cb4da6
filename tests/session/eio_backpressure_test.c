/* Slow readers: what queues do at their limits, shared frames and batches under partial writes. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;

static void start(enum eio_queue_policy policy, size_t limit)
{
    fixture_init(&f);
    f.options.max_queue_bytes = limit;
    f.options.high_water_bytes = limit / 4;
    f.options.queue_policy = policy;
    fixture_start(&f);
}

/* A small send buffer, so that a slow reader is noticed soon. */
static int open_slow(void)
{
    int fd = peer_open(&f);
    return fd;
}

static struct eio_frame *frame_of(char fill, size_t size)
{
    uint8_t *message;
    struct eio_frame *frame = eio_frame_new(EIO_TEXT, size, &message);
    assert_non_null(frame);
    memset(message, fill, size);
    return frame;
}

/* Fills the socket until the session's queue holds something. */
static void fill(struct eio_session *session)
{
    struct eio_frame *frame = frame_of('f', 60000);
    while (eio_session_queued_bytes(session) == 0) {
        assert_int_equal(eio_session_send(session, frame), 0);
        turn(&f);
    }
    eio_frame_unref(frame);
}

static size_t drain(int fd)
{
    static uint8_t bytes[1 << 16];
    size_t total = 0;
    for (int quiet = 0; quiet < 3;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0)
            total += (size_t)n;
        else
            quiet++;
        turn(&f);
    }
    return total;
}

static void a_queue_above_its_limit_closes_the_session(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 200000);
    int fd = open_slow();
    struct eio_session *session = f.session;
    fill(session);
    assert_false(eio_session_is_writable(session));
    struct eio_frame *frame = frame_of('x', 60000);
    int result = 0;
    for (int i = 0; i < 10 && result == 0; i++) result = eio_session_send(session, frame);
    assert_int_equal(result, EIO_EAGAIN);
    assert_int_equal(f.closed, 0); /* sending never calls back */
    assert_int_equal(eio_session_send(session, frame), EIO_ECLOSED);
    turn(&f);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_QUEUE_FULL);
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.queue_full, 1);
    assert_in_range(stats.queued_bytes, 1, 60005 + 4); /* what was begun, and the close frame */
    eio_loop_advance(f.loop, 60000);                   /* it never reads: nothing waits for it */
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.queued_bytes, 0);
    eio_frame_unref(frame);
    close(fd);
    fixture_clear(&f);
}

/* RFC 6455's registry of codes: 1013, try again later. What was begun is ended first, or it could not be read. */
static void a_slow_reader_that_reads_on_learns_why_it_was_closed(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 200000);
    int fd = open_slow();
    fill(f.session);
    struct eio_frame *frame = frame_of('x', 60000);
    while (eio_session_send(f.session, frame) == 0) continue;
    turn(&f);
    assert_int_equal(f.reason, EIO_CLOSE_QUEUE_FULL);
    uint8_t last[4] = {0};
    size_t total = 0;
    for (int quiet = 0; quiet < 20; turn(&f)) {
        static uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        quiet = n > 0 ? 0 : quiet + 1;
        for (ssize_t i = 0; i < n; i++) {
            memmove(last, last + 1, 3);
            last[3] = bytes[i];
        }
        if (n > 0) total += (size_t)n;
    }
    assert_int_equal((total - 4) % 60005, 0); /* whole frames, then the close frame */
    assert_memory_equal(last, "\x88\x02\x03\xf5", 4);
    eio_frame_unref(frame);
    close(fd);
    fixture_clear(&f);
}

static void the_drop_oldest_policy_keeps_the_newest_and_never_half_a_message(void **state)
{
    (void)state;
    start(EIO_QUEUE_DROP_OLDEST, 200000);
    int fd = open_slow();
    fill(f.session);
    struct eio_frame *old = frame_of('o', 60000), *young = frame_of('y', 60000);
    for (int i = 0; i < 20; i++) assert_int_equal(eio_session_send(f.session, old), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(eio_session_send(f.session, young), 0);
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_true(stats.dropped_oldest >= 18);
    assert_true(stats.queued_bytes <= 200000);
    size_t got = drain(fd);
    /* Whole frames only: every one is header 4, type 1, 60000. */
    assert_int_equal(got % 60005, 0);
    assert_int_equal(f.closed, 0);
    eio_frame_unref(old);
    eio_frame_unref(young);
    close(fd);
    turn(&f);
    fixture_clear(&f);
}

static void a_single_message_larger_than_the_limit_still_goes(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1000);
    int fd = open_slow();
    struct eio_frame *frame = frame_of('b', 400000);
    assert_int_equal(eio_session_send(f.session, frame), 0);
    turn(&f);
    assert_int_equal(drain(fd), 400000 + 1 + 10);
    assert_int_equal(f.closed, 0);
    eio_frame_unref(frame);
    close(fd);
    turn(&f);
    fixture_clear(&f);
}

static void reading_pauses_for_a_peer_that_does_not_read_and_resumes(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 24);
    int fd = open_slow();
    fill(f.session);
    turn(&f);
    for (int i = 0; i < 100; i++) { /* above the high-water mark now */
        struct eio_frame *frame = frame_of('z', 60000);
        assert_int_equal(eio_session_send(f.session, frame), 0);
        eio_frame_unref(frame);
    }
    turn(&f);
    f.log[0] = '\0';
    peer_text(fd, "4question");
    turn(&f);
    turn(&f);
    assert_string_equal(f.log, "");
    drain(fd);
    assert_string_equal(f.log, "text:question\n");
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.reads_paused, 1);
    close(fd);
    turn(&f);
    fixture_clear(&f);
}

/* ----------------------------------------------------------------- batches */

static struct eio_batch *batch;
static struct eio_session *targets[3];

static void send_batch_in_hook(void *ctx)
{
    (void)ctx;
    if (!batch) return;
    for (size_t i = 0; i < 3; i++)
        if (targets[i]) eio_session_send_batch(targets[i], batch);
    eio_batch_free(batch);
    batch = NULL;
}

static void a_batch_from_a_flush_hook_leaves_in_one_write_per_receiver(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 20);
    int fds[3];
    for (size_t i = 0; i < 3; i++) {
        fds[i] = peer_open(&f);
        targets[i] = f.session;
    }
    assert_int_equal(eio_loop_add_flush_hook(f.loop, send_batch_in_hook, NULL), 0);
    batch = eio_batch_new();
    for (char c = 'a'; c < 'a' + 16; c++) {
        struct eio_frame *frame = frame_of(c, 1);
        assert_int_equal(eio_batch_add(batch, frame), 0);
        eio_frame_unref(frame);
    }
    struct eio_server_stats before, after;
    eio_server_get_stats(f.server, &before);
    turn(&f);
    eio_server_get_stats(f.server, &after);
    assert_int_equal(after.writes - before.writes, 3);
    assert_int_equal(after.messages_out - before.messages_out, 48);
    for (size_t i = 0; i < 3; i++) {
        const char *text = peer_read(fds[i]);
        for (char c = 'a'; c < 'a' + 16; c++, text += 5) {
            const char expected[] = {'1', ':', '4', c, '\n', '\0'};
            assert_memory_equal(text, expected, 5);
        }
        close(fds[i]);
    }
    turn(&f);
    fixture_clear(&f);
}

static void what_was_queued_before_a_batch_is_sent_before_it(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 20);
    int fd = peer_open(&f);
    targets[0] = f.session;
    targets[1] = targets[2] = NULL;
    assert_int_equal(eio_loop_add_flush_hook(f.loop, send_batch_in_hook, NULL), 0);
    *eio_session_reserve(f.session, EIO_TEXT, 1) = '1';
    batch = eio_batch_new();
    struct eio_frame *frame = frame_of('2', 1);
    eio_batch_add(batch, frame);
    eio_frame_unref(frame);
    assert_peer_reads(&f, fd, "1:41\n1:42\n");
    close(fd);
    turn(&f);
    fixture_clear(&f);
}

static void a_receiver_that_vanished_does_not_disturb_the_others(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 20);
    int gone = peer_open(&f);
    targets[0] = f.session;
    int fd = peer_open(&f);
    targets[1] = f.session;
    targets[2] = NULL;
    close(gone); /* not yet noticed by the server: the write fails */
    assert_int_equal(eio_loop_add_flush_hook(f.loop, send_batch_in_hook, NULL), 0);
    batch = eio_batch_new();
    struct eio_frame *frame = frame_of('m', 1);
    eio_batch_add(batch, frame);
    eio_frame_unref(frame);
    /* Written before the loop looks at the descriptors. */
    uint8_t *out = eio_session_reserve(targets[1], EIO_TEXT, 1);
    *out = 'd';
    turn(&f);
    assert_string_equal(peer_read(fd), "1:4d\n1:4m\n");
    assert_int_equal(f.closed, 1);
    close(fd);
    turn(&f);
    fixture_clear(&f);
}

static void a_polling_session_gets_a_batch_as_one_payload(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 20);
    char sid[21];
    poll_open(&f, sid);
    targets[0] = f.session;
    targets[1] = targets[2] = NULL;
    struct eio__test_reply get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_int_equal(eio_loop_add_flush_hook(f.loop, send_batch_in_hook, NULL), 0);
    batch = eio_batch_new();
    for (char c = 'a'; c < 'c'; c++) {
        struct eio_frame *frame = frame_of(c, 2);
        eio_batch_add(batch, frame);
        eio_frame_unref(frame);
    }
    turn(&f);
    assert_replied(get, 200,
                   "4aa\x1e"
                   "4bb");
    fixture_clear(&f);
}

enum { CROWD = 300 };
static struct eio_session *crowd[CROWD];
static char crowd_says; /* 0: nothing */

static void tell_crowd(void *ctx)
{
    (void)ctx;
    if (!crowd_says) return;
    struct eio_batch *said = eio_batch_new();
    struct eio_frame *frame = frame_of(crowd_says, 1);
    eio_batch_add(said, frame);
    eio_frame_unref(frame);
    for (size_t i = 0; i < CROWD; i++) eio_session_send_batch(crowd[i], said);
    eio_batch_free(said);
    crowd_says = 0;
}

/* Nobody else waits until the last one has it, and each gets all of it in its order. */
static void a_message_to_very_many_is_written_over_several_turns(void **state)
{
    (void)state;
    start(EIO_QUEUE_CLOSE, 1 << 20);
    static int fds[CROWD];
    struct eio_loop_stats stats;
    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = peer_open(&f);
        crowd[i] = f.session;
    }
    assert_int_equal(eio_loop_add_flush_hook(f.loop, tell_crowd, NULL), 0);
    f.loop->fake_step_us = 8000; /* each look at the clock */
    crowd_says = 'a';
    turn(&f);
    size_t written = 0;
    while (written < CROWD && crowd[written]->queue.count == 0) written++;
    assert_in_range(written, CROWD / 10, CROWD - 1);
    crowd_says = 'b';
    turn(&f);
    for (int turns = 0; crowd[CROWD - 1]->queue.count; turns++) {
        assert_true(turns < 100);
        turn(&f);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_string_equal(peer_read(fds[i]), "1:4a\n1:4b\n");
        close(fds[i]);
    }
    eio_loop_get_stats(f.loop, &stats);
    assert_true(stats.writes_cut >= 2);
    assert_int_equal(f.closed, 0);
    f.loop->fake_step_us = 0;
    turn(&f);
    fixture_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_above_its_limit_closes_the_session),
        cmocka_unit_test(a_slow_reader_that_reads_on_learns_why_it_was_closed),
        cmocka_unit_test(the_drop_oldest_policy_keeps_the_newest_and_never_half_a_message),
        cmocka_unit_test(a_single_message_larger_than_the_limit_still_goes),
        cmocka_unit_test(reading_pauses_for_a_peer_that_does_not_read_and_resumes),
        cmocka_unit_test(a_batch_from_a_flush_hook_leaves_in_one_write_per_receiver),
        cmocka_unit_test(what_was_queued_before_a_batch_is_sent_before_it),
        cmocka_unit_test(a_receiver_that_vanished_does_not_disturb_the_others),
        cmocka_unit_test(a_polling_session_gets_a_batch_as_one_payload),
        cmocka_unit_test(a_message_to_very_many_is_written_over_several_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
