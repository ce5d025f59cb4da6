/* Records as a sibling process would send them, or as it never should: one descriptor, several or none, a sound head
 * put before the bytes or not. What is adopted is served. First byte: bit 0 a descriptor, bit 1 two, bit 2 sound head.
 */
#include "eio_int.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct eio_loop *loop;
static struct eio_http *http;
static struct eio_handoff *handoff;
static int peer = -1;

static void on_request(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    struct eio_str body = eio_http_request_body(request);
    struct eio_http_reply reply = {.status = 200, .body = body.p, .body_size = body.n};
    eio_http_reply(request, &reply);
}

static void quiet(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static void start(void)
{
    int pair[2];
    if (!loop) {
        eio_log_set(quiet, NULL, EIO_LOG_ERROR);
        loop = eio_loop_new_with_fake_clock();
        http = eio_http_new(loop, NULL);
        BASE_CHECK(eio_http_route(http, "/*", 0, on_request, NULL) == 0);
    }
    if (handoff && peer >= 0) return;
    eio_handoff_free(handoff);
    BASE_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    handoff = eio_handoff_new(http, pair[0], NULL);
    peer = pair[1];
}

static void send_record(const uint8_t *p, size_t n, const int *fds, size_t count)
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {(void *)(uintptr_t)p, n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    (void)!sendmsg(peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t record[1 << 18];
    int pair[2];
    if (size < 1 || size > sizeof record - EIO__HANDOVER_HEAD_BYTES) return 0;
    start();
    uint8_t how = *data++;
    size--;
    size_t n = size;
    if (how & 4) {
        struct eio_http_handover handover = {.fd = -1, .address = "192.0.2.1", .size = size};
        eio__handover_encode(&handover, record);
        n += EIO__HANDOVER_HEAD_BYTES;
        if (size) memcpy(record + EIO__HANDOVER_HEAD_BYTES, data, size);
    } else if (size) {
        memcpy(record, data, size);
    }
    if (n == 0) return 0; /* no record, but the end */
    BASE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    send_record(record, n, pair, how & 2 ? 2 : how & 1);
    close(pair[0]);
    for (int i = 0; i < 3; i++) eio_loop_turn(loop, 0);
    close(pair[1]);
    for (int i = 0; i < 3; i++) eio_loop_turn(loop, 0);
    eio_loop_advance(loop, 120000); /* what waits for its deadline */
    for (int i = 0; i < 3; i++) eio_loop_turn(loop, 0);
    struct eio_http_stats stats;
    eio_http_get_stats(http, &stats);
    BASE_CHECK(stats.connections == 0);
    return 0;
}
