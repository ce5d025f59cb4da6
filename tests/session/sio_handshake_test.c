/* The handshake object: its time is written as JavaScript does. */
#include "sio_fixture.h"

#include <time.h>

static struct talk t;

static void the_time_is_that_of_the_request_in_utc(void **state)
{
    static const uint64_t seconds[] = {0, 951782399, 951782400, 1041379199, 1793000009, 4102444800, 253402300799};
    (void)state;
    talk_init(&t);
    talk_start(&t);
    int fd = client_join(&t, "", NULL);
    struct sio_socket *socket = only_socket(t.root);
    struct eio_http_head *head = (void *)(uintptr_t)sio_socket_head(socket);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        char expected[128];
        struct tm tm;
        time_t time = (time_t)seconds[i];
        struct sio_builder builder;
        head->issued_ms = seconds[i] * 1000 + 7;
        strftime(expected, sizeof expected, "\"time\":\"%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)\",",
                 gmtime_r(&time, &tm));
        sio_builder_init(&builder);
        sio_socket_put_handshake(socket, &builder);
        sio__builder_append(&builder, "", 1); /* ends the text */
        assert_int_equal(builder.error, 0);
        assert_non_null(strstr(builder.json, expected));
        snprintf(expected, sizeof expected, ",\"xdomain\":false,\"secure\":false,\"issued\":%llu,\"url\":\"",
                 (unsigned long long)head->issued_ms);
        assert_non_null(strstr(builder.json, expected));
        sio_builder_clear(&builder);
    }
    close(fd);
    talk_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_time_is_that_of_the_request_in_utc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
