/* What a process in the sandbox can do, and what it cannot any more: each in a child, since there is no way back. */
#include "kit_sandbox.h"

#include "kit_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char folder[64], data[80], outside[80], secret[96], key[96], inner[96];

static const struct kit_module *const no_modules[] = {NULL};

static void put_file(char path[96], const char *where, const char *name, const char *text)
{
    snprintf(path, 96, "%s/%s", where, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    fixture_directory(folder);
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(outside, sizeof outside, "%s/outside", folder);
    assert_int_equal(mkdir(outside, 0700), 0);
    put_file(secret, outside, "secret", "s");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(folder);
    return 0;
}

/* The exit status of fn in a child that is in the sandbox of these options. */
static int run_inside(const char *const *options, int count, int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char error[256] = "";
        struct kit_config config;
        const char *argv[16] = {"--sandbox", "on", "--data", data};
        for (int i = 0; i < count; i++) argv[4 + i] = options[i];
        char *environment[] = {NULL};
        struct kit_command_line line = {.argc = 4 + count, .argv = (char **)(uintptr_t)argv};
        kit_config_init(&config, no_modules);
        bool failed = kit_config_load(&config, &line, environment, error, sizeof error) ||
                      kit_sandbox_enter(&config, error, sizeof error);
        if (failed) fprintf(stderr, "%s\n", error);
        _exit(failed ? 99 : fn());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* 0: opened; errno otherwise. */
static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}

/* Each step has a number, by which a failure is found. */
#define EXPECT(step, condition) \
    if (!(condition)) return step

static int use_files(void)
{
    char path[96], moved[96];
    EXPECT(1, try_open(secret, O_RDONLY) == EACCES);
    EXPECT(2, try_open("/etc/shadow", O_RDONLY) == EACCES);
    EXPECT(3, try_open("/usr/share/parley-x", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(4, try_open("/etc/hosts", O_RDONLY) == 0);
    EXPECT(5, try_open("/etc/passwd", O_WRONLY) == EACCES);
    snprintf(path, sizeof path, "%s/new", data);
    snprintf(moved, sizeof moved, "%s/moved", data);
    EXPECT(6, try_open(path, O_RDWR | O_CREAT) == 0);
    EXPECT(7, truncate(path, 0) == 0 && rename(path, moved) == 0 && unlink(moved) == 0);
    snprintf(path, sizeof path, "%s/new", outside);
    EXPECT(8, try_open(path, O_WRONLY | O_CREAT) == EACCES);
    EXPECT(9, unlink(secret) == -1 && errno == EACCES);
    snprintf(path, sizeof path, "%s/link", data);
    EXPECT(10, symlink(secret, path) == -1 && errno == EACCES);
    EXPECT(11, try_open("/dev/null", O_WRONLY) == 0);
    EXPECT(12, try_open("/proc/self/statm", O_RDONLY) == 0);
    return 0;
}

static void files_of_others_are_not_opened(void **state)
{
    (void)state;
    assert_int_equal(run_inside(NULL, 0, use_files), 0);
}

static void *in_thread(void *ctx)
{
    *(int *)ctx = try_open(secret, O_RDONLY);
    return NULL;
}

static int use_kernel(void)
{
    char *argv[] = {(char[]){"true"}, NULL}, *environment[] = {NULL};
    int opened = 0;
    pthread_t thread;
    EXPECT(1, execve("/bin/true", argv, environment) == -1 && errno == EPERM);
    EXPECT(2, syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, environment, 0) == -1 && errno == EPERM);
    EXPECT(3, unshare(CLONE_NEWUSER) == -1 && errno == EPERM);
    EXPECT(4, syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0) == -1 && errno == EPERM);
    EXPECT(5, mount("none", "/tmp", "tmpfs", 0, NULL) == -1 && errno == EPERM);
    EXPECT(6, syscall(SYS_bpf, 0, NULL, 0) == -1 && errno == EPERM);
    EXPECT(7, syscall(425, 1, NULL) == -1 && errno == EPERM);
    EXPECT(8, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) == -1 && errno == EPERM);
    /* What is needed: threads, which are in the sandbox too, and workers. */
    EXPECT(9, pthread_create(&thread, NULL, in_thread, &opened) == 0 && pthread_join(thread, NULL) == 0);
    EXPECT(10, opened == EACCES);
    pid_t pid = fork();
    EXPECT(11, pid >= 0);
    if (pid == 0) _exit(try_open(secret, O_RDONLY) == EACCES ? 0 : 1);
    EXPECT(12, waitpid(pid, &opened, 0) == pid && WIFEXITED(opened) && WEXITSTATUS(opened) == 0);
    return 0;
}

static void no_program_is_run_and_no_namespace_made(void **state)
{
    (void)state;
    assert_int_equal(run_inside(NULL, 0, use_kernel), 0);
}

static int read_key(void)
{
    char renewed[96];
    EXPECT(1, try_open(key, O_RDONLY) == 0);
    EXPECT(2, try_open(key, O_WRONLY) == EACCES);
    snprintf(renewed, sizeof renewed, "%s/renewed", outside);
    EXPECT(3, try_open(renewed, O_RDONLY) == 0);
    return 0;
}

static void what_the_configuration_names_is_read_with_its_folder(void **state)
{
    char renewed[96];
    (void)state;
    put_file(key, outside, "key", "0123456789012345678901234567890123456789");
    put_file(renewed, outside, "renewed", "r");
    assert_int_equal(run_inside((const char *[]){"--jwt-key-file", key}, 2, read_key), 0);
    char named[160];
    snprintf(named, sizeof named, "a=%s", key);
    assert_int_equal(run_inside((const char *[]){"--jwt-keys", named}, 2, read_key), 0);
    assert_int_equal(run_inside((const char *[]){"--sandbox-paths", outside}, 2, read_key), 0);
    snprintf(named, sizeof named, "postgresql://x/y?sslrootcert=%s&sslmode=require", key);
    assert_int_equal(run_inside((const char *[]){"--store", named}, 2, read_key), 0);
    /* A file that names it. */
    snprintf(named, sizeof named, "{\"key_file\": \"%s\"}", key);
    put_file(inner, folder, "names.json", named);
    assert_int_equal(run_inside((const char *[]){"--jwt-key-file", inner}, 2, read_key), 0);
}

static int read_log(void)
{
    char path[112];
    snprintf(path, sizeof path, "%s/log", outside);
    return try_open(path, O_WRONLY | O_CREAT);
}

static void a_log_is_begun_anew(void **state)
{
    char path[96];
    (void)state;
    snprintf(path, sizeof path, "%s/log", outside);
    assert_int_equal(run_inside((const char *[]){"--log-file", path}, 2, read_log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_others_are_not_opened),
        cmocka_unit_test(no_program_is_run_and_no_namespace_made),
        cmocka_unit_test(what_the_configuration_names_is_read_with_its_folder),
        cmocka_unit_test(a_log_is_begun_anew),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
