/* base_check.h */
#include "base_check.h"
#include "test.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a child that runs the check ends: the signal, or 0. */
static int ends_with(bool condition)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL); /* cmocka's would make it a failure of the test */
        close(2);
        BASE_CHECK(condition);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(base_check, what_must_not_be_stops_the_process_in_every_build)
{
    assert_int_equal(ends_with(true), 0);
    assert_int_equal(ends_with(false), SIGABRT);
}

struct inner {
    int value;
};
struct outer {
    long before;
    struct inner inner;
};

TEST(base_check, what_contains_a_member_is_found_by_it)
{
    struct outer outer = {0};
    struct inner *inner = &outer.inner;
    const struct inner *constant = inner;
    assert_ptr_equal(container_of(inner, struct outer, inner), &outer);
    assert_ptr_equal(container_of(constant, struct outer, inner), &outer);
}

TEST_MAIN
