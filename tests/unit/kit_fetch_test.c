/* Requests to a server in the same loop: answers, errors, limits, and what is cancelled. */
#include "kit_fixture.h"

#include "kit_fetch.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct eio_loop *loop;
    struct eio_http *http;
    struct kit_fetcher *fetcher;
    struct kit_fetch *fetch, *other;
    char url[64], body[256], seen[512];
    int status, done, pieces;
    char error[128], header[64];
    bool is_timeout, cancels, pauses;
    int64_t retry_after_s;
    size_t size, largest, total;
} t;

static void answer(struct eio_http_request *request, void *ctx)
{
    struct eio_str body = eio_http_request_body(request);
    struct eio_http_reply reply = {.status = 200, .content_type = "text/plain", .body = body.p, .body_size = body.n};
    (void)ctx;
    eio_http_reply(request, &reply);
}

static void answer_busy(struct eio_http_request *request, void *ctx)
{
    const struct eio_http_reply_field field = {"Retry-After", "7"};
    struct eio_http_reply reply = {.status = 503, .body = "busy", .body_size = 4, .fields = &field, .field_count = 1};
    (void)ctx;
    eio_http_reply(request, &reply);
}

/* Though nobody asked for it. */
static void answer_packed(struct eio_http_request *request, void *ctx)
{
    static const char packed[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xcf\x48\x2c\x51\x28\x4f\x2c\x56\x28\x48"
                                 "\x4c\xce\x4e\x4d\x01\x00\x93\xc0\x64\xa5\x0f\x00\x00\x00";
    const struct eio_http_reply_field field = {"Content-Encoding", "gzip"};
    struct eio_http_reply reply = {
        .status = 200, .body = packed, .body_size = sizeof packed - 1, .fields = &field, .field_count = 1};
    struct eio_str wanted = eio_http_head_field(eio_http_request_head(request), "accept-encoding");
    (void)ctx;
    snprintf(t.seen, sizeof t.seen, "%.*s", (int)wanted.n, wanted.p);
    eio_http_reply(request, &reply);
}

static void answer_large(struct eio_http_request *request, void *ctx)
{
    static char text[200000];
    struct eio_http_reply reply = {.status = 200, .body = text, .body_size = sizeof text};
    (void)ctx;
    memset(text, 'x', sizeof text);
    eio_http_reply(request, &reply);
}

static void answer_redirect(struct eio_http_request *request, void *ctx)
{
    const struct eio_http_reply_field field = {"Location", "/echo"};
    struct eio_http_reply reply = {.status = 302, .fields = &field, .field_count = 1};
    (void)ctx;
    eio_http_reply(request, &reply);
}

static void answer_never(struct eio_http_request *request, void *ctx)
{
    (void)request, (void)ctx;
}

static int set_up(void **state)
{
    struct eio_http_options options;
    (void)state;
    eio_http_options_init(&options);
    memset(&t, 0, sizeof t);
    t.loop = eio_loop_new();
    t.http = eio_http_new(t.loop, &options);
    t.fetcher = kit_fetcher_new(t.loop);
    assert_int_equal(eio_http_listen(t.http, "127.0.0.1", 0), 0);
    eio_http_route(t.http, "/echo", 1 << 20, answer, NULL);
    eio_http_route(t.http, "/busy", 0, answer_busy, NULL);
    eio_http_route(t.http, "/packed", 0, answer_packed, NULL);
    eio_http_route(t.http, "/large", 0, answer_large, NULL);
    eio_http_route(t.http, "/redirect", 0, answer_redirect, NULL);
    eio_http_route(t.http, "/never", 0, answer_never, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_fetcher_free(t.fetcher);
    eio_http_free(t.http);
    eio_loop_free(t.loop);
    return 0;
}

static void on_done(void *ctx, const struct kit_fetch_result *result)
{
    const char *header = t.fetch ? kit_fetch_header(t.fetch, "RETRY-after") : NULL;
    (void)ctx;
    snprintf(t.header, sizeof t.header, "%s", header ? header : "none");
    t.done++;
    t.status = result->status;
    t.is_timeout = result->is_timeout;
    t.retry_after_s = result->retry_after_s;
    t.size = result->body.n;
    snprintf(t.error, sizeof t.error, "%s", result->error ? result->error : "");
    snprintf(t.body, sizeof t.body, "%.*s", (int)(result->body.n < 200 ? result->body.n : 200),
             result->body.p ? result->body.p : "");
}

static bool on_data(void *ctx, int status, struct eio_str data)
{
    (void)ctx;
    t.status = status;
    t.pieces++;
    t.size += data.n;
    t.total += data.n;
    if (data.n > t.largest) t.largest = data.n;
    if (t.pauses) kit_fetch_pause(t.fetch, true);
    if (t.cancels) kit_fetch_cancel(t.fetch);
    return true;
}

/* Cancels one request and starts another, which libcurl cannot do while it calls. */
static bool on_first_data(void *ctx, int status, struct eio_str data)
{
    struct kit_fetch_options options = {.url = t.url, .body = eio_str("from within"), .on_done = on_done};
    (void)ctx, (void)status, (void)data;
    if (!t.pieces++) {
        kit_fetch_cancel(t.other);
        t.fetch = kit_fetch_start(t.fetcher, &options);
        assert_non_null(t.fetch);
        kit_fetch_cancel(kit_fetch_start(t.fetcher, &options));
    }
    return true;
}

static struct kit_fetch_options options_for(const char *path)
{
    snprintf(t.url, sizeof t.url, "http://127.0.0.1:%u%s", eio_http_port(t.http), path);
    return (struct kit_fetch_options){.url = t.url, .timeout_ms = 20000, .on_done = on_done};
}

static void run_until_done(int wanted)
{
    time_t end = time(NULL) + 300;
    while (t.done < wanted && time(NULL) < end) eio_loop_turn(t.loop, 50);
    assert_int_equal(t.done, wanted);
}

static void posts_and_reads_the_answer(void **state)
{
    struct kit_fetch_options options = options_for("/echo");
    (void)state;
    options.body = eio_str("what is sent");
    assert_non_null(kit_fetch_start(t.fetcher, &options));
    assert_int_equal(t.done, 0); /* never within the call */
    run_until_done(1);
    assert_int_equal(t.status, 200);
    assert_string_equal(t.error, "");
    assert_string_equal(t.body, "what is sent");
}

static void reports_a_refusal_with_its_headers(void **state)
{
    struct kit_fetch_options options = options_for("/busy");
    struct kit_fetch_stats stats;
    (void)state;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_string_equal(t.header, "7");
    assert_int_equal(t.status, 503);
    assert_int_equal(t.retry_after_s, 7);
    assert_string_equal(t.body, "busy");
    kit_fetcher_get_stats(t.fetcher, &stats);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.running, 0);
}

static void unpacks_what_was_packed_unasked(void **state)
{
    struct kit_fetch_options options = options_for("/packed");
    (void)state;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_string_equal(t.seen, "identity");
    assert_string_equal(t.body, "what was packed");
    assert_string_equal(t.header, "none");
}

static void ends_a_response_that_is_too_large(void **state)
{
    struct kit_fetch_options options = options_for("/large");
    (void)state;
    options.max_bytes = 100000;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_string_equal(t.error, "the response is too large");
    assert_true(t.size <= 100000);
}

static void follows_no_redirect(void **state)
{
    struct kit_fetch_options options = options_for("/redirect");
    (void)state;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_int_equal(t.status, 302);
}

static void gives_up_in_time(void **state)
{
    struct kit_fetch_options options = options_for("/never");
    (void)state;
    options.timeout_ms = 30;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_true(t.is_timeout);
    options.timeout_ms = 0;
    options.idle_timeout_ms = 30;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(2);
    assert_true(t.is_timeout);
    assert_string_equal(t.error, "no data received in time");
}

static void reports_that_nobody_listens(void **state)
{
    struct kit_fetch_options options = options_for("/echo");
    (void)state;
    eio_http_free(t.http);
    struct eio_http_options none;
    eio_http_options_init(&none);
    t.http = eio_http_new(t.loop, &none);
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_int_equal(t.status, 0);
    assert_true(t.error[0]);
}

static void on_head(void *ctx, int status)
{
    (void)ctx;
    t.pieces = -status; /* before any data */
    if (t.cancels) kit_fetch_cancel(t.fetch);
}

static void shows_the_head_before_the_body(void **state)
{
    struct kit_fetch_options options = options_for("/large");
    struct kit_fetch_stats stats;
    (void)state;
    options.on_head = on_head;
    options.on_data = on_data;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_true(t.pieces > -200 && t.pieces < 0);
    t.cancels = true;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    do {
        eio_loop_turn(t.loop, 50);
        kit_fetcher_get_stats(t.fetcher, &stats);
    } while (stats.running);
    assert_int_equal(t.pieces, -200);
    assert_int_equal(t.done, 1);
}

static void streams_and_can_be_cancelled_in_the_middle(void **state)
{
    struct kit_fetch_options options = options_for("/large");
    struct kit_fetch_stats stats;
    (void)state;
    options.on_data = on_data;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_int_equal(t.status, 200);
    assert_true(t.pieces > 1);
    t.pieces = 0;
    t.cancels = true;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    do {
        eio_loop_turn(t.loop, 50);
        kit_fetcher_get_stats(t.fetcher, &stats);
    } while (stats.running);
    assert_int_equal(t.pieces, 1);
    assert_int_equal(t.done, 1);
}

/* libcurl reads up to 100 pieces at once. */
static void what_comes_fast_comes_in_small_pieces(void **state)
{
    struct kit_fetch_options options = options_for("/large");
    (void)state;
    options.on_data = on_data;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_true(t.largest > 0 && t.largest <= 4096);
}

static void a_paused_request_waits_and_goes_on(void **state)
{
    struct kit_fetch_options options = options_for("/large");
    (void)state;
    options.on_data = on_data;
    options.idle_timeout_ms = 3000;
    t.pauses = true;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    for (time_t end = time(NULL) + 300; !t.pieces && time(NULL) < end;) eio_loop_turn(t.loop, 50);
    uint64_t until_ms = eio_loop_now_ms(t.loop) + options.idle_timeout_ms + 200;
    while (eio_loop_now_ms(t.loop) < until_ms) eio_loop_turn(t.loop, 50); /* no timeout either */
    assert_int_equal(t.pieces, 1);
    assert_int_equal(t.done, 0);
    t.pauses = false;
    kit_fetch_pause(t.fetch, false);
    run_until_done(1);
    assert_int_equal(t.total, 200000);
    assert_string_equal(t.error, "");
}

static void others_are_started_and_cancelled_from_within(void **state)
{
    struct kit_fetch_options never = options_for("/never"), options = options_for("/echo");
    struct kit_fetch_stats stats;
    (void)state;
    options_for("/never");
    t.other = kit_fetch_start(t.fetcher, &never);
    options_for("/echo");
    options.body = eio_str("first");
    options.on_data = on_first_data;
    t.fetch = kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_string_equal(t.body, ""); /* went to its reader */
    run_until_done(2);
    assert_string_equal(t.body, "from within");
    kit_fetcher_get_stats(t.fetcher, &stats);
    assert_int_equal(stats.running, 0);
}

static void connects_to_public_addresses_only_if_asked(void **state)
{
    struct kit_fetch_options options = options_for("/echo");
    (void)state;
    options.only_public = true;
    kit_fetch_start(t.fetcher, &options);
    run_until_done(1);
    assert_int_equal(t.status, 0);
    assert_string_equal(t.error, "its address is not public");
}

#define GATHER_MS 200

static struct {
    size_t size; /* what has come */
    bool gathers;
} g;

static bool on_gathered(void *ctx, int status, struct eio_str data)
{
    (void)ctx, (void)status;
    g.size += data.n;
    g.gathers = kit_fetch_gathers(t.fetch);
    return true;
}

static void say(int fd, const char *piece)
{
    char chunk[64];
    int n = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(piece), piece);
    assert_int_equal(send(fd, chunk, (size_t)n, MSG_NOSIGNAL), n);
}

/* Also if there is nothing that the loop waits for. */
static void turn_soon(void)
{
    const struct timespec nap = {0, 2000000};
    eio_loop_turn(t.loop, 0);
    nanosleep(&nap, NULL);
}

static void turn_until_size(size_t size)
{
    for (time_t end = time(NULL) + 300; g.size < size && time(NULL) < end;) turn_soon();
    assert_int_equal(g.size, size);
}

static void turn_until_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    for (time_t end = time(NULL) + 300; poll(&readable, 1, 0) < 1 && time(NULL) < end;) turn_soon();
    assert_int_equal(readable.revents, POLLIN);
}

/* A server of the test's own, which says what the test says. Returns its listening socket. */
static int listen_here(char url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    return listener;
}

/* Takes the request that was just started and answers with a head. */
static int take_request(int listener)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char request[2048];
    turn_until_readable(listener);
    int fd = accept(listener, NULL, NULL);
    turn_until_readable(fd);
    assert_true(recv(fd, request, sizeof request, 0) > 0);
    assert_int_equal(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    return fd;
}

/* Pieces that come quickly are read together, once an interval; after a silence the next is read at once again. */
static void gathers_what_comes_quickly(void **state)
{
    char url[64];
    int listener = listen_here(url);
    (void)state;
    memset(&g, 0, sizeof g);
    struct kit_fetch_options options = {.url = url, .gather_ms = GATHER_MS, .on_data = on_gathered, .on_done = on_done};
    t.fetch = kit_fetch_start(t.fetcher, &options);
    int fd = take_request(listener);
    say(fd, "a");
    turn_until_size(1);
    assert_false(g.gathers);
    for (size_t n = 1; n < 8 && !g.gathers; n++) { /* the machine may be slower than the interval */
        say(fd, "b");
        turn_until_size(n + 1);
    }
    /* The interval may end at any time: then it is tried again. */
    bool waits = false;
    for (time_t end = time(NULL) + 300; !waits && time(NULL) < end;) {
        size_t had = g.size;
        say(fd, "c");
        turn_soon();
        waits = g.size == had;
        say(fd, "d");
        turn_until_size(had + 2);
        waits = waits && g.gathers;
    }
    assert_true(waits);
    for (uint64_t began = eio_loop_now_ms(t.loop); eio_loop_now_ms(t.loop) - began < 2 * GATHER_MS + 100;) turn_soon();
    for (time_t end = time(NULL) + 300; kit_fetch_gathers(t.fetch) && time(NULL) < end;) turn_soon();
    size_t had = g.size;
    say(fd, "e");
    turn_until_size(had + 1);
    assert_false(g.gathers);
    say(fd, "");
    run_until_done(1);
    assert_string_equal(t.error, "");
    close(fd);
    close(listener);
}

/* Streams that began together. */
enum { STREAMS_MAX = 220, TOGETHER = 200 };
static struct stream {
    struct kit_fetch *fetch;
    int fd;
    bool gathers;
    unsigned turn; /* in which it was read last */
} streams[STREAMS_MAX];
static unsigned turns;

static bool on_stream(void *ctx, int status, struct eio_str data)
{
    struct stream *stream = ctx;
    (void)status, (void)data;
    stream->gathers = kit_fetch_gathers(stream->fetch);
    stream->turn = turns;
    return true;
}

static void open_stream(struct stream *stream, int listener, const char *url)
{
    struct kit_fetch_options options = {
        .url = url, .gather_ms = GATHER_MS, .on_data = on_stream, .on_done = on_done, .ctx = stream};
    *stream = (struct stream){.fetch = kit_fetch_start(t.fetcher, &options)};
    stream->fd = take_request(listener);
}

static size_t count_read_after(size_t count, unsigned turn)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) found += streams[i].turn > turn;
    return found;
}

static void read_all(size_t count)
{
    unsigned before = turns;
    for (unsigned i = 0; i < 10000 && count_read_after(count, before) < count; i++) {
        for (size_t k = 0; k < count && i % 16 == 0; k++) say(streams[k].fd, "x"); /* quicker than the interval */
        turns++;
        turn_soon();
    }
    assert_int_equal(count_read_after(count, before), count);
}

/* How many were read in the turn in which the first was; 0: one does not gather. */
static size_t count_beside_first(size_t count)
{
    size_t beside = 0;
    for (size_t i = 0; i < count; i++) {
        if (!streams[i].gathers) return 0;
        beside += streams[i].turn == streams[0].turn;
    }
    return beside;
}

/* Until as many as wanted are read together, or it is clear that they are not. */
static void run_streams(size_t count, size_t wanted)
{
    char url[64];
    int listener = listen_here(url);
    size_t beside = 0;
    for (size_t i = 0; i < count; i++) open_stream(&streams[i], listener, url);
    /* A slow machine may be late for several steps at once: then it is tried again. */
    for (int i = 0; i < 50 && beside != wanted; i++) {
        read_all(count);
        beside = count_beside_first(count);
    }
    assert_int_equal(beside, wanted);
    for (size_t i = 0; i < count; i++) say(streams[i].fd, "");
    run_until_done(t.done + (int)count);
    for (size_t i = 0; i < count; i++) close(streams[i].fd);
    close(listener);
}

/* A turn of the loop and a transaction for all of them. */
static void a_few_streams_are_read_in_one_turn(void **state)
{
    (void)state;
    run_streams(3, 3);
}

/* Else many that begin in one moment would be read in one turn of the loop from then on, which would be a long one. */
static void many_streams_are_read_in_several_turns(void **state)
{
    (void)state;
    run_streams(STREAMS_MAX, TOGETHER);
    run_streams(STREAMS_MAX, TOGETHER); /* those that have ended leave their places */
}

/* Data moves the end on, and none of it does so for ever. */
static void the_idle_time_begins_with_the_last_data(void **state)
{
    char url[64];
    int listener = listen_here(url);
    (void)state;
    memset(&g, 0, sizeof g);
    struct kit_fetch_options options = {
        .url = url, .idle_timeout_ms = 1000, .on_data = on_gathered, .on_done = on_done};
    t.fetch = kit_fetch_start(t.fetcher, &options);
    int fd = take_request(listener);
    uint64_t began = eio_loop_now_ms(t.loop), last = began;
    for (size_t n = 1; last - began < 1500; n++) {
        say(fd, "a");
        turn_until_size(n);
        last = eio_loop_now_ms(t.loop);
        assert_int_equal(t.done, 0);
    }
    run_until_done(1);
    assert_string_equal(t.error, "no data received in time");
    assert_true(eio_loop_now_ms(t.loop) - last >= 1000);
    close(fd);
    close(listener);
}

static void is_cancelled_from_outside(void **state)
{
    struct kit_fetch_options options = options_for("/never");
    (void)state;
    struct kit_fetch *fetch = kit_fetch_start(t.fetcher, &options);
    for (int i = 0; i < 5; i++) eio_loop_turn(t.loop, 5);
    kit_fetch_cancel(fetch);
    kit_fetch_start(t.fetcher, &options); /* one that the end of the fetcher finds */
    eio_loop_turn(t.loop, 5);
    assert_int_equal(t.done, 0);
}

static void refuses_urls_that_are_none_of_http(void **state)
{
    static const char *const bad[] = {"", "file:///etc/passwd", "gopher://x/", "http://", "/path", "http://a b/"};
    (void)state;
    assert_null(kit_fetch_check_url("https://api.example:8443/v1"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kit_fetch_options options = {.url = bad[i], .on_done = on_done};
        assert_non_null(kit_fetch_check_url(bad[i]));
        assert_null(kit_fetch_start(t.fetcher, &options));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(posts_and_reads_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reports_a_refusal_with_its_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unpacks_what_was_packed_unasked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_a_response_that_is_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(follows_no_redirect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_up_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reports_that_nobody_listens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shows_the_head_before_the_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_and_can_be_cancelled_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_fast_comes_in_small_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_paused_request_waits_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_are_started_and_cancelled_from_within, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connects_to_public_addresses_only_if_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gathers_what_comes_quickly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_few_streams_are_read_in_one_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_streams_are_read_in_several_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_idle_time_begins_with_the_last_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_cancelled_from_outside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_urls_that_are_none_of_http, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
