/* Whole conversations: connecting, events, acks, rooms. */
#include "sio_fixture.h"

static struct talk t;

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        assert_int_equal(sio_ack(event, event->args), 0);
    else
        assert_int_equal(sio_emit(sio_only(socket), "echo-back", event->args), 0);
}

static void an_event_with_an_ack_is_answered_with_its_arguments(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    sio_on(t.root, "echo", on_echo, NULL);
    int fd = client_join(&t, "", NULL);
    assert_says(&t, fd, "4212[\"echo\",1,{\"a\":\"b\"}]", "1:4312[1,{\"a\":\"b\"}]\n");
    assert_says(&t, fd, "42[\"echo\",\"x\"]", "1:42[\"echo-back\",\"x\"]\n");
    close(fd);
    talk_turn(&t);
    talk_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_with_an_ack_is_answered_with_its_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
