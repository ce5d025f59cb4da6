/* Addresses to listen on, as options write them. */
#include "kit_listen.h"

#include "kit_fixture.h"

static void each_form_is_read(void **state)
{
    (void)state;
    const char *rest = " 127.0.0.1:3000 ,[::1]:0  plain, localhost:80,unix:/run/a.sock plain";
    struct kit_listen one;
    assert_int_equal(kit_listen_next(&rest, &one), 1);
    assert_string_equal(one.host, "127.0.0.1");
    assert_int_equal(one.port, 3000);
    assert_false(one.is_plain || one.is_v6_only || one.path[0]);
    assert_int_equal(kit_listen_next(&rest, &one), 1);
    assert_string_equal(one.host, "::1");
    assert_int_equal(one.port, 0);
    assert_true(one.is_plain && one.is_v6_only);
    assert_int_equal(kit_listen_next(&rest, &one), 1);
    assert_string_equal(one.host, "localhost");
    assert_int_equal(kit_listen_next(&rest, &one), 1);
    assert_string_equal(one.path, "/run/a.sock");
    assert_true(one.is_plain);
    assert_int_equal(kit_listen_next(&rest, &one), 0);
}

static void what_cannot_be_listened_on_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ",",
                                      "x",
                                      "1.2.3.4",
                                      "1.2.3.4:",
                                      "1.2.3.4:65536",
                                      ":80",
                                      "::1:80",
                                      "[::1]",
                                      "[]:80",
                                      "[1.2.3.4]:80",
                                      "unix:",
                                      "unix:run",
                                      "unix:/",
                                      "example.org:80",
                                      "1.2.3.4:80,",
                                      "1.2.3.4:80 quick",
                                      "1.2.3.4:-1",
                                      "1.2.3.4:8 0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_non_null(kit_listen_check(bad[i]));
    char path[300] = "unix:/";
    memset(path + 6, 'a', 250);
    assert_non_null(kit_listen_check(path));
    assert_non_null(kit_listen_check("1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5,1.1.1.1:6,1.1.1.1:7,1.1.1.1:8,"
                                     "1.1.1.1:9"));
    assert_null(kit_listen_check("127.0.0.1:1,[::]:2"));
}

/* sd_listen_fds(3): only the process that LISTEN_PID names is meant. */
static void inherited_sockets_are_those_of_this_process(void **state)
{
    (void)state;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(kit_listen_inherited(), 0);
    setenv("LISTEN_PID", pid, 1);
    assert_int_equal(kit_listen_inherited(), 3);
    assert_int_equal(kit_listen_inherited_door(0), KIT_DOOR_PUBLIC);
    setenv("LISTEN_FDNAMES", "parley.socket:operator:operators", 1);
    assert_int_equal(kit_listen_inherited_door(0), KIT_DOOR_PUBLIC);
    assert_int_equal(kit_listen_inherited_door(1), KIT_DOOR_OPERATOR);
    assert_int_equal(kit_listen_inherited_door(2), KIT_DOOR_PUBLIC);
    assert_int_equal(kit_listen_inherited_door(3), KIT_DOOR_PUBLIC);
    setenv("LISTEN_FDS", "3x", 1);
    assert_int_equal(kit_listen_inherited(), 0);
    setenv("LISTEN_FDS", "1000", 1);
    assert_int_equal(kit_listen_inherited(), 0);
    unsetenv("LISTEN_FDS");
    assert_int_equal(kit_listen_inherited(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(what_cannot_be_listened_on_is_refused),
        cmocka_unit_test(inherited_sockets_are_those_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
