/* Whole files: regular ones, pipes, and what cannot be read. */
#include "kit_file.h"
#include "kit_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/parley-kit-file-XXXXXX";

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static char *put(const char *name, const char *bytes, size_t n)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void assert_reads(const char *path, size_t max, const char *bytes, size_t n)
{
    size_t size = 99;
    char *text = kit_file_read(path, KIT_FILE_ANY, max, &size);
    if (!text) fail_msg("%s: %s", path, kit_file_error());
    assert_int_equal(size, n);
    assert_memory_equal(text, bytes, n);
    assert_int_equal(text[n], 0);
    free(text);
}

static void assert_fails(const char *path, enum kit_file_kind kind, size_t max, const char *why)
{
    size_t size;
    assert_null(kit_file_read(path, kind, max, &size));
    assert_string_equal(kit_file_error(), why);
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    static char large[100000];
    (void)state;
    memset(large, 'x', sizeof large);
    assert_reads(put("empty", "", 0), 10, "", 0);
    assert_reads(put("nul", "a\0b", 3), 3, "a\0b", 3);
    assert_reads(put("large", large, sizeof large), sizeof large, large, sizeof large);
    assert_fails(path_of("large"), KIT_FILE_ANY, sizeof large - 1, strerror(EFBIG));
    assert_fails(path_of("none"), KIT_FILE_ANY, 10, strerror(ENOENT));
    assert_fails(folder, KIT_FILE_ANY, 10, strerror(EISDIR));
    assert_fails("/dev/zero", KIT_FILE_ANY, 100000, strerror(EFBIG));
    assert_fails("/dev/null", KIT_FILE_REGULAR, 10, "not a regular file");
    assert_reads("/dev/null", 10, "", 0);
}

static void *write_slowly(void *path)
{
    FILE *file = fopen(path, "we");
    if (!file) return NULL;
    for (int i = 0; i < 3; i++) {
        usleep(20000);
        fputs("piece ", file);
        fflush(file);
    }
    fclose(file);
    return NULL;
}

static void a_pipe_is_read_to_its_end_unless_a_regular_file_is_needed(void **state)
{
    pthread_t writer;
    char *path = path_of("pipe");
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(path, KIT_FILE_REGULAR, 10, "not a regular file");
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, path), 0);
    assert_reads(path, 100, "piece piece piece ", 18);
    pthread_join(writer, NULL);
}

static void json_has_the_line_of_its_mistake(void **state)
{
    char why[128];
    (void)state;
    json_t *root = kit_file_read_json(put("good", "[1]", 3), KIT_FILE_ANY, why, sizeof why);
    assert_int_equal(json_array_size(root), 1);
    json_decref(root);
    assert_null(kit_file_read_json(put("bad", "[\n1,\n", 6), KIT_FILE_ANY, why, sizeof why));
    assert_non_null(strstr(why, "line 3: "));
    assert_null(kit_file_read_json(put("twice", "{\"a\":1,\"a\":2}", 13), KIT_FILE_ANY, why, sizeof why));
    assert_non_null(strstr(why, "duplicate"));
    assert_null(kit_file_read_json(path_of("gone"), KIT_FILE_ANY, why, sizeof why));
    assert_string_equal(why, strerror(ENOENT));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_up_to_its_limit),
        cmocka_unit_test(a_pipe_is_read_to_its_end_unless_a_regular_file_is_needed),
        cmocka_unit_test(json_has_the_line_of_its_mistake),
    };
    if (!mkdtemp(folder)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) || failed;
}
