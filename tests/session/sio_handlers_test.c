/* Catch-all handlers and taking handlers off, also from inside one (rows M3 and M4). */
#include "sio_fixture.h"

static struct talk t;
static int fd;

static void say(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    note(&t, "%s:%.*s ", (const char *)ctx, (int)event->name.n, event->name.p);
}

static void out(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    (void)socket, (void)args;
    note(&t, "%s>%.*s ", (const char *)ctx, (int)name.n, name.p);
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    fd = client_join(&t, "", NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

#define assert_event(expected)                 \
    do {                                       \
        assert_says(&t, fd, "42[\"ev\"]", ""); \
        assert_noted(&t, expected);            \
    } while (0)

static char a[] = "a", b[] = "b", c[] = "c", own[] = "own";

static void catch_all_handlers_run_before_the_event_s_own(void **state)
{
    (void)state;
    sio_on(t.root, "ev", say, own);
    sio_on_any(t.root, say, a);
    sio_on_any(t.root, say, b);
    assert_event("a:ev b:ev own:ev ");
    client_say(&t, fd, "42[\"unheard\"]");
    assert_noted(&t, "a:unheard b:unheard ");
    client_say(&t, fd, "42[7]");
    assert_noted(&t, "a:7 b:7 ");
    assert_int_equal(sio_on_any(t.root, NULL, NULL), EIO_EINVAL);
}

static void prepended_ones_run_first(void **state)
{
    (void)state;
    sio_prepend_any(t.root, say, a);
    sio_on_any(t.root, say, b);
    sio_prepend_any(t.root, say, c);
    assert_event("c:ev a:ev b:ev ");
    sio_prepend_any_outgoing(t.root, out, a);
    sio_on_any_outgoing(t.root, out, b);
    sio_prepend_any_outgoing(t.root, out, c);
    sio_emit(sio_all(t.root), "x", sio_args_none());
    assert_noted(&t, "c>x a>x b>x ");
    assert_hears(&t, fd, "1:42[\"x\"]\n");
    assert_int_equal(sio_prepend_any(t.root, NULL, NULL), EIO_EINVAL);
    assert_int_equal(sio_prepend_any_outgoing(t.root, NULL, NULL), EIO_EINVAL);
}

static void one_is_taken_off_or_all(void **state)
{
    (void)state;
    sio_on_any(t.root, say, a);
    sio_on_any(t.root, say, b);
    sio_on_any(t.root, say, a);
    assert_int_equal(sio_off_any(t.root, say, c), 0);
    assert_int_equal(sio_off_any(t.root, say, a), 1); /* the first, as the reference */
    assert_event("b:ev a:ev ");
    assert_int_equal(sio_off_any(t.root, say, a), 1);
    sio_on_any(t.root, say, c); /* behind the one that is left */
    assert_event("b:ev c:ev ");
    assert_int_equal(sio_off_any(t.root, NULL, NULL), 2);
    assert_int_equal(sio_off_any(t.root, NULL, NULL), 0);
    sio_on_any(t.root, say, a);
    assert_event("a:ev ");
    sio_on_any_outgoing(t.root, out, a);
    sio_on_any_outgoing(t.root, out, b);
    assert_int_equal(sio_off_any_outgoing(t.root, out, c), 0);
    assert_int_equal(sio_off_any_outgoing(t.root, out, a), 1);
    sio_emit(sio_all(t.root), "x", sio_args_none());
    assert_noted(&t, "b>x ");
    assert_int_equal(sio_off_any_outgoing(t.root, NULL, NULL), 1);
    sio_emit(sio_all(t.root), "x", sio_args_none());
    assert_noted(&t, "");
}

static void handlers_of_an_event_are_taken_off(void **state)
{
    (void)state;
    sio_on(t.root, "ev", say, a);
    sio_on(t.root, "ev", say, b);
    assert_int_equal(sio_off(t.root, "other", say, a), 0);
    assert_int_equal(sio_off(t.root, "ev", say, a), 1);
    assert_event("b:ev ");
    sio_on(t.root, "ev", say, c);
    assert_event("b:ev c:ev ");
    assert_int_equal(sio_off(t.root, "ev", NULL, NULL), 2);
    assert_event("");
    sio_on(t.root, "ev", say, a);
    assert_event("a:ev ");
}

/* What the handler in the middle takes off, and puts on. */
static sio_event_fn middle_fn;
static void *off_ctx[3];
static int on_count;

static void middle(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    say(socket, event, ctx);
    for (size_t i = 0; i < 3; i++) {
        sio_off_any(t.root, off_ctx[i] == ctx ? middle_fn : say, off_ctx[i]);
        sio_off(t.root, "ev", off_ctx[i] == ctx ? middle_fn : say, off_ctx[i]);
    }
    if (on_count-- > 0) sio_on_any(t.root, say, own);
}

static void again(void)
{
    sio_off_any(t.root, NULL, NULL);
    sio_on_any(t.root, say, a);
    sio_on_any(t.root, middle, b);
    sio_on_any(t.root, say, c);
    on_count = 0;
    memset(off_ctx, 0, sizeof off_ctx);
}

static void a_handler_may_take_off_any_within_an_event(void **state)
{
    (void)state;
    middle_fn = middle;
    again();
    off_ctx[0] = b; /* itself */
    assert_event("a:ev b:ev c:ev ");
    assert_event("a:ev c:ev ");
    again();
    off_ctx[0] = c; /* the next: it is not called */
    assert_event("a:ev b:ev ");
    again();
    off_ctx[0] = b, off_ctx[1] = c; /* itself, then the next */
    assert_event("a:ev b:ev ");
    assert_event("a:ev ");
    again();
    off_ctx[0] = a, off_ctx[1] = b, off_ctx[2] = c; /* all, and one is new */
    on_count = 1;
    assert_event("a:ev b:ev ");
    assert_event("own:ev ");
    again();
    on_count = 1; /* a new one is heard at once if nothing was taken off */
    assert_event("a:ev b:ev c:ev own:ev ");
}

static void a_handler_may_take_off_the_event_s_own(void **state)
{
    (void)state;
    middle_fn = middle;
    memset(off_ctx, 0, sizeof off_ctx);
    on_count = 0;
    sio_on(t.root, "ev", say, a);
    sio_on(t.root, "ev", middle, b);
    sio_on(t.root, "ev", say, c);
    off_ctx[0] = b, off_ctx[1] = c, off_ctx[2] = a;
    assert_event("a:ev b:ev ");
    assert_event("");
}

static void out_once(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    out(socket, name, args, ctx);
    sio_off_any_outgoing(t.root, NULL, NULL);
}

static void an_outgoing_one_may_take_off_all(void **state)
{
    (void)state;
    int other = client_join(&t, "", NULL);
    sio_on_any_outgoing(t.root, out, a);
    sio_on_any_outgoing(t.root, out_once, b);
    sio_on_any_outgoing(t.root, out, c);
    sio_emit(sio_all(t.root), "x", sio_args_none()); /* to two */
    assert_noted(&t, "a>x b>x ");
    assert_hears(&t, other, "1:42[\"x\"]\n");
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(catch_all_handlers_run_before_the_event_s_own),
        TEST(prepended_ones_run_first),
        TEST(one_is_taken_off_or_all),
        TEST(handlers_of_an_event_are_taken_off),
        TEST(a_handler_may_take_off_any_within_an_event),
        TEST(a_handler_may_take_off_the_event_s_own),
        TEST(an_outgoing_one_may_take_off_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
