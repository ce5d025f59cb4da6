/* What another process says on the bus: whatever it is, nothing is read beyond it, and its connection is closed or not,
 * and nothing else happens. The first byte says in how many pieces it comes. */
#include "rooms_bus_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

/* Looks at every byte it is given. */
static unsigned sum;
static void look(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) sum += ((const uint8_t *)p)[i];
}

static void look_at(const struct rooms_selector *who, const struct rooms_message *message)
{
    for (size_t i = 0; who && i < who->room_count; i++) look(who->rooms[i].p, who->rooms[i].n);
    for (size_t i = 0; who && i < who->except_count; i++) look(who->except[i].p, who->except[i].n);
    if (!message) return;
    look(message->json.p, message->json.n);
    for (size_t i = 0; i < message->attachment_count; i++) look(message->attachments[i].p, message->attachments[i].n);
}

static void deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                    const struct rooms_message *message)
{
    (void)ctx, (void)flags;
    look_at(who, message);
}

static void deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                             const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    (void)ctx, (void)flags;
    look_at(who, message);
    sink->clients(sink->ctx, 0);
}

static void change(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    (void)ctx;
    look_at(who, NULL);
    for (size_t i = 0; i < count; i++) look(rooms[i].p, rooms[i].n);
}

static void disconnect(void *ctx, const struct rooms_selector *who, bool close_too)
{
    (void)ctx, (void)close_too;
    look_at(who, NULL);
}

static void fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *each_ctx, struct rooms_bytes json),
                  void *each_ctx)
{
    (void)ctx;
    look_at(who, NULL);
    each(each_ctx, (struct rooms_bytes){(const uint8_t *)"{}", 2});
}

static bool event(void *ctx, const struct rooms_message *message,
                  void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx)
{
    struct rooms_message args = {.json = {(const uint8_t *)"[1]", 3}};
    (void)ctx;
    look_at(NULL, message);
    if (answer) answer(answer_ctx, &args);
    return false;
}

static uint64_t now_ms(void *ctx)
{
    (void)ctx;
    return 1000;
}

/* The first session that is asked for is number 1, as answers in the input may guess. */
static void on_restored(void *ctx, const struct rooms_session *session)
{
    (void)ctx;
    if (!session) return;
    look(session->sid.p, session->sid.n);
    look(session->offset.p, session->offset.n);
    for (size_t i = 0; i < session->room_count; i++) look(session->rooms[i].p, session->rooms[i].n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rooms_recovery recovery = {1000, 1000, 100000, 100, 10};
    struct rooms_local local = {.deliver = deliver,
                                .deliver_with_ack = deliver_with_ack,
                                .join = change,
                                .leave = change,
                                .disconnect = disconnect,
                                .fetch = fetch,
                                .server_side_event = event,
                                .recovery = size && data[0] & 0x80 ? &recovery : NULL,
                                .now_ms = now_ms};
    int fds[2];
    if (size < 1 || size > 60000) return 0;
    size_t piece = (data[0] & 0x7f) ? size / (data[0] & 0x7f) + 1 : size;
    struct event_base *base = event_base_new();
    struct rooms_bus *bus = rooms_bus_new(base, NULL);
    MUST(base && bus && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    struct rooms_adapter *adapter = rooms_adapter_bus(bus, "/", &local);
    MUST(adapter && rooms_bus_add_peer(bus, 1, fds[0]) == ROOMS_OK);
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (send(fds[1], data + at, n, MSG_NOSIGNAL) != (ssize_t)n) break;
        event_base_loop(base, EVLOOP_NONBLOCK);
        rooms_bus_flush(bus);
        if (local.recovery)
            adapter->ops->session_restore(adapter, (struct rooms_name){"pid", 3}, (struct rooms_name){NULL, 0},
                                          on_restored, NULL);
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
    adapter->ops->free(adapter);
    rooms_bus_free(bus);
    event_base_free(base);
    close(fds[1]);
    return 0;
}
