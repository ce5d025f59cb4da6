/* Messages to the service manager, received by a socket of its kind. */
#include "node_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A bound socket; its name, as the variable has it, in text. */
static int manager(char *text, size_t size, bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(text, size, "%cparley-test-%ld", abstract ? '@' : '/', (long)getpid());
    if (!abstract) snprintf(text, size, "/tmp/parley-test-%ld", (long)getpid());
    memcpy(address.sun_path, text, strlen(text));
    if (abstract) address.sun_path[0] = '\0';
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text))), 0);
    return fd;
}

static const char *received(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void test_reaches_both_kinds_of_addresses(void **state)
{
    (void)state;
    for (int abstract = 0; abstract < 2; abstract++) {
        char name[64];
        int fd = manager(name, sizeof name, abstract);
        setenv("NOTIFY_SOCKET", name, 1);
        node_service_send("READY=1");
        assert_string_equal(received(fd), "READY=1");
        node_service_send_reloading();
        assert_int_equal(strncmp(received(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
        close(fd);
        node_service_send("READY=1"); /* nobody there: dropped */
        if (!abstract) unlink(name);
    }
}

static void test_sends_nothing_without_a_usable_address(void **state)
{
    char name[64], longer[200];
    (void)state;
    int fd = manager(name, sizeof name, true);
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    const char *unusable[] = {NULL, "", "relative", "vsock:2:1", longer};
    for (size_t i = 0; i < sizeof unusable / sizeof unusable[0]; i++) {
        unsetenv("NOTIFY_SOCKET");
        if (unusable[i]) setenv("NOTIFY_SOCKET", unusable[i], 1);
        node_service_send("READY=1");
        assert_string_equal(received(fd), "");
    }
    close(fd);
}

static uint64_t interval(const char *usec, const char *pid)
{
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (usec) setenv("WATCHDOG_USEC", usec, 1);
    if (pid) setenv("WATCHDOG_PID", pid, 1);
    return node_service_watchdog_ms();
}

static void test_watchdog_is_due_twice_as_often_as_asked(void **state)
{
    char own[32];
    (void)state;
    snprintf(own, sizeof own, "%ld", (long)getpid());
    assert_int_equal(interval(NULL, NULL), 0);
    assert_int_equal(interval("30000000", NULL), 15000);
    assert_int_equal(interval("30000000", own), 15000);
    assert_int_equal(interval("30000000", "1"), 0); /* meant for another process */
    assert_int_equal(interval("30000000", "x"), 0);
    assert_int_equal(interval("1", NULL), 1);
    const char *odd[] = {"", "0", "-5", "x", "12s", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) assert_int_equal(interval(odd[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reaches_both_kinds_of_addresses),
        cmocka_unit_test(test_sends_nothing_without_a_usable_address),
        cmocka_unit_test(test_watchdog_is_due_twice_as_often_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
