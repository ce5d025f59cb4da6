/* sio_handlers.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sio_server.h"

static void handlers_keep_the_order_of_registration_and_names_may_hold_anything(void **state)
{
    (void)state;
    struct sio__behaviour behaviour = {0};
    static const struct eio_str name = {"a\0b", 3}, shorter = {"a", 1};
    int marks[3];
    for (int i = 0; i < 3; i++) assert_non_null(sio__events_add(&behaviour.events, name, &marks[i]));
    assert_null(sio__events_find(&behaviour.events, shorter));
    assert_null(sio__events_find(&behaviour.server_events, name));
    const struct sio__hook *hook = sio__events_find(&behaviour.events, name);
    for (int i = 0; i < 3; i++, hook = hook->next) assert_ptr_equal(hook->ctx, &marks[i]);
    assert_null(hook);
    assert_non_null(sio__events_add(&behaviour.events, (struct eio_str){"", 0}, NULL));
    assert_non_null(sio__events_find(&behaviour.events, (struct eio_str){"", 0}));
    sio__behaviour_clear(&behaviour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_keep_the_order_of_registration_and_names_may_hold_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
