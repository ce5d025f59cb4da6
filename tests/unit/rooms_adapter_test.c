/* rooms_memory.c: the adapter of a single node calls back at once and reaches nobody else. */
#include "rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char log_text[1024];

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), format, arguments);
    va_end(arguments);
}

static void assert_said(const char *expected)
{
    assert_string_equal(log_text, expected);
    log_text[0] = '\0';
}

static const struct rooms_selector *the_selector;
static int local_ctx;

static void check_call(void *ctx, const struct rooms_selector *who)
{
    assert_ptr_equal(ctx, &local_ctx);
    assert_ptr_equal(who, the_selector);
}

static void local_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                          const struct rooms_message *message)
{
    check_call(ctx, who);
    say("deliver %s%.*s ", flags->is_volatile ? "volatile " : "", (int)message->json.n, (const char *)message->json.p);
}

static struct rooms_ack_sink later;

static void local_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                   const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    check_call(ctx, who);
    say("ask %u %.*s ", flags->timeout_ms, (int)message->json.n, (const char *)message->json.p);
    sink->clients(sink->ctx, 3);
    later = *sink;
}

static void local_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count)
{
    check_call(ctx, who);
    say("join %zu %s ", room_count, rooms[0].p);
}

static void local_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count)
{
    check_call(ctx, who);
    say("leave %zu %s ", room_count, rooms[0].p);
}

static void local_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    check_call(ctx, who);
    say("disconnect %d ", close);
}

static void local_fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *, struct rooms_bytes),
                        void *each_ctx)
{
    check_call(ctx, who);
    each(each_ctx, (struct rooms_bytes){(const uint8_t *)"{}", 2});
}

static bool local_server_side_event(void *ctx, const struct rooms_message *message,
                                    void (*answer)(void *, const struct rooms_message *), void *answer_ctx)
{
    (void)ctx, (void)message, (void)answer, (void)answer_ctx;
    fail();
    return false;
}

static const struct rooms_local local = {
    .deliver = local_deliver,
    .deliver_with_ack = local_deliver_with_ack,
    .join = local_join,
    .leave = local_leave,
    .disconnect = local_disconnect,
    .fetch = local_fetch,
    .server_side_event = local_server_side_event,
    .ctx = &local_ctx,
};

static void sink_clients(void *ctx, size_t count)
{
    say("%s: %zu clients ", (const char *)ctx, count);
}

static void sink_counted(void *ctx)
{
    say("%s: counted ", (const char *)ctx);
}

static void sink_ack(void *ctx, const struct rooms_message *answer)
{
    say("%s: %.*s ", (const char *)ctx, (int)answer->json.n, (const char *)answer->json.p);
}

static void on_socket(void *ctx, struct rooms_bytes json)
{
    say("%s socket %.*s ", (const char *)ctx, (int)json.n, (const char *)json.p);
}

static void on_done(void *ctx, int error)
{
    say("%s done %d ", (const char *)ctx, error);
}

static void on_answer(void *ctx, const struct rooms_message *args)
{
    (void)ctx, (void)args;
    fail();
}

static void on_count(void *ctx, int error, size_t servers)
{
    say("%s %d %zu", (const char *)ctx, error, servers);
}

static const struct rooms_name rooms[] = {{"one", 3}, {"two", 3}};
static const struct rooms_selector selector = {rooms, 2, NULL, 0};
static const struct rooms_flags flags = {.is_volatile = true, .timeout_ms = 70};
static const struct rooms_message message = {.json = {(const uint8_t *)"[\"e\"]", 5}};
static char name[] = "ctx";

static void everything_is_done_here_and_at_once(void **state)
{
    (void)state;
    struct rooms_adapter *adapter = rooms_adapter_memory(NULL, "/", &local);
    const struct rooms_adapter_ops *ops = adapter->ops;
    the_selector = &selector;
    assert_string_equal(ops->name, "memory");
    assert_int_equal(ops->broadcast(adapter, &selector, &flags, &message), 0);
    assert_said("deliver volatile [\"e\"] ");
    assert_int_equal(ops->join(adapter, &selector, &flags, rooms, 2), 0);
    assert_int_equal(ops->leave(adapter, &selector, &flags, rooms, 1), 0);
    assert_int_equal(ops->disconnect(adapter, &selector, &flags, true), 0);
    assert_said("join 2 one leave 1 one disconnect 1 ");
    assert_int_equal(ops->fetch(adapter, &selector, &flags, on_socket, on_done, name), 0);
    assert_said("ctx socket {} ctx done 0 ");
    ops->free(adapter);
}

static void the_only_server_is_counted_after_its_clients(void **state)
{
    (void)state;
    struct rooms_adapter *adapter = rooms_adapter_memory(NULL, "/", &local);
    the_selector = &selector;
    struct rooms_ack_sink sink = {sink_clients, sink_counted, sink_ack, name};
    assert_int_equal(adapter->ops->broadcast_with_ack(adapter, &selector, &flags, &message, &sink), 0);
    assert_said("ask 70 [\"e\"] ctx: 3 clients ctx: counted ");
    later.ack(later.ctx, &message);
    assert_said("ctx: [\"e\"] ");
    adapter->ops->free(adapter);
}

static void there_is_no_other_server(void **state)
{
    (void)state;
    struct rooms_adapter *adapter = rooms_adapter_memory(NULL, "/", &local);
    assert_int_equal(adapter->ops->server_side_emit(adapter, &flags, &message, NULL, NULL, NULL), 0);
    assert_said("");
    assert_int_equal(adapter->ops->server_side_emit(adapter, &flags, &message, on_answer, on_done, name), 0);
    assert_said("ctx done 0 ");
    assert_int_equal(adapter->ops->server_count(adapter, on_count, name), 0);
    assert_said("ctx 0 1");
    adapter->ops->free(adapter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_done_here_and_at_once),
        cmocka_unit_test(the_only_server_is_counted_after_its_clients),
        cmocka_unit_test(there_is_no_other_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
