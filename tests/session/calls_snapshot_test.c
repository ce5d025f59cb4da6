/* Snapshots that wait for room, on a fake clock and without a store: the test says when each is read. Linked with
 * --wrap for what calls_snapshot.c asks of others. */
#include "kit_fixture.h"

#include "calls_watch.h"

enum { BYTES = 1000 }; /* of each snapshot, at most and in fact */

static struct {
    struct kit kit;
    struct kit_config config;
    struct calls calls;
    struct kit_store_op *asked[8]; /* not read yet */
    size_t asked_count;
    struct kit_store_op *begins_next; /* its reading begins while a socket is released */
    char log[1024];                   /* who got a snapshot, or a code */
} f;

/* ------------------------------------------------------------------- others */

int __wrap_kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes);
void __wrap_kit_auth_wait(const struct sio_socket *socket, bool begins);
struct sio_socket *__wrap_kit_answer_socket(const struct kit_answer *answer);
int __wrap_calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure);
int __wrap_calls_snapshot(struct kit_db *db, const struct kit_config *config, struct calls_view *view,
                          struct sio_builder *out, struct kit_failure *failure);
void __wrap_calls_watch_take_snapshot(struct calls_watch *watch, struct sio_shared *shared, int64_t seq,
                                      const struct kit_failure *failure);

int __wrap_kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes)
{
    (void)store, (void)bytes;
    assert_true(f.asked_count < sizeof f.asked / sizeof *f.asked);
    f.asked[f.asked_count++] = op;
    return 0;
}

static void begin_to_read(struct kit_store_op *op)
{
    assert_int_equal(op->run(NULL, op), 0);
}

void __wrap_kit_auth_wait(const struct sio_socket *socket, bool begins)
{
    struct kit_store_op *op = f.begins_next;
    (void)socket;
    if (begins || !op) return;
    f.begins_next = NULL;
    begin_to_read(op);
}

struct sio_socket *__wrap_kit_answer_socket(const struct kit_answer *answer)
{
    return (struct sio_socket *)(uintptr_t)answer; /* there is one, and nobody looks into it */
}

int __wrap_calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure)
{
    (void)db, (void)call_id, (void)failure;
    memset(call, 0, sizeof *call);
    return 0;
}

int __wrap_calls_snapshot(struct kit_db *db, const struct kit_config *config, struct calls_view *view,
                          struct sio_builder *out, struct kit_failure *failure)
{
    char text[BYTES];
    (void)db, (void)config, (void)view, (void)failure;
    snprintf(text, sizeof text, ",\"text\":\"%0*d\"", (int)(BYTES - strlen("{\"ok\":true,\"text\":\"\"}")), 0);
    sio_builder_put(out, text);
    return 0;
}

void __wrap_calls_watch_take_snapshot(struct calls_watch *watch, struct sio_shared *shared, int64_t seq,
                                      const struct kit_failure *failure)
{
    (void)seq;
    size_t at = strlen(f.log);
    if (shared)
        snprintf(f.log + at, sizeof f.log - at, "%.20s ", watch->request.claims->sub);
    else
        snprintf(f.log + at, sizeof f.log - at, "%.20s:%d ", watch->request.claims->sub, failure->code);
}

/* --------------------------------------------------------------- the fixture */

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    kit_config_init(&f.config, app_modules);
    f.kit.config = &f.config;
    f.kit.loop = eio_loop_new_with_fake_clock();
    f.calls.kit = &f.kit;
    calls_snapshot_start(&f.calls);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio_timer_stop(&f.calls.room_timer);
    eio_timer_stop(&f.calls.late_timer);
    eio_loop_free(f.kit.loop);
    kit_config_clear(&f.config);
    return 0;
}

static void watch_start(struct calls_watch *watch, const char *sub, const char *call_id)
{
    json_t *token = json_pack("{s:s,s:s,s:i,s:[s]}", "sub", sub, "role", "agent", "exp", 4000000, "calls", call_id);
    memset(watch, 0, sizeof *watch);
    watch->request.state = &f.calls;
    watch->request.kit = &f.kit;
    watch->request.claims = kit_claims_new(token);
    json_decref(token);
    assert_non_null(watch->request.claims);
    watch->request.user = kit_user_ref(&f.kit, watch->request.claims, "");
    snprintf(watch->call_id, sizeof watch->call_id, "%s", call_id);
    calls_snapshot_ask(watch);
}

static void watch_end(struct calls_watch *watch)
{
    kit_user_unref(watch->request.user);
    kit_claims_unref(watch->request.claims);
}

static void finish_reading(struct kit_store_op *op)
{
    op->done(op);
    eio_loop_turn(f.kit.loop, 0);
}

/* One user's second snapshot has no room of its own, but another user has just asked for the same one. As it is about
 * to join in, the reading of that one begins: it joins all the same. Once it was looked for again, not found, and read
 * a third time without room for it, so that none of the three fitted beside the two others. */
static void who_joins_a_reading_does_so_though_it_begins(void **state)
{
    (void)state;
    struct calls_watch first, second, other;
    fixture_calls_config(&f.config)->snapshot_bytes_max = BYTES;
    fixture_calls_config(&f.config)->snapshot_memory_per_user_bytes = BYTES;
    fixture_calls_config(&f.config)->snapshot_memory_bytes = 2 * BYTES;
    watch_start(&first, "ann", "c1");
    watch_start(&second, "ann", "c2");
    assert_int_equal(f.asked_count, 1);
    watch_start(&other, "bob", "c2");
    assert_int_equal(f.asked_count, 2);
    f.begins_next = f.asked[1];
    eio_timer_start(&f.calls.room_timer, 0); /* something was sent */
    eio_loop_turn(f.kit.loop, 0);
    assert_null(f.begins_next);
    begin_to_read(f.asked[0]);
    if (f.asked_count > 2) begin_to_read(f.asked[2]);
    for (size_t i = 0; i < f.asked_count; i++) finish_reading(f.asked[i]);
    assert_string_equal(f.log, "ann bob ann ");
    assert_int_equal(f.asked_count, 2);
    assert_int_equal(f.kit.answer_bytes, 0);
    watch_end(&first);
    watch_end(&second);
    watch_end(&other);
}

static void who_asks_after_it_has_begun_gets_another(void **state)
{
    (void)state;
    struct calls_watch first, second;
    watch_start(&first, "ann", "c1");
    begin_to_read(f.asked[0]);
    watch_start(&second, "bob", "c1");
    assert_int_equal(f.asked_count, 2);
    begin_to_read(f.asked[1]);
    for (size_t i = 0; i < f.asked_count; i++) finish_reading(f.asked[i]);
    assert_string_equal(f.log, "ann bob ");
    watch_end(&first);
    watch_end(&second);
}

static void who_waits_too_long_is_refused(void **state)
{
    (void)state;
    struct calls_watch first, second;
    fixture_calls_config(&f.config)->snapshot_bytes_max = BYTES;
    fixture_calls_config(&f.config)->snapshot_memory_bytes = BYTES;
    watch_start(&first, "ann", "c1");
    watch_start(&second, "bob", "c2");
    eio_loop_advance(f.kit.loop, 2 * calls_config(&f.config)->snapshot_wait_ms);
    assert_string_equal(f.log, "bob:503 ");
    begin_to_read(f.asked[0]);
    finish_reading(f.asked[0]);
    assert_string_equal(f.log, "bob:503 ann ");
    watch_end(&first);
    watch_end(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(who_joins_a_reading_does_so_though_it_begins),
        TEST(who_asks_after_it_has_begun_gets_another),
        TEST(who_waits_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
