/* Opening a pipe into which nobody writes waits for ever, and so does reading from it: neither does here. */
#include "kit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FIRST_BYTES = 16384, JSON_BYTES_MAX = 16 << 20 };

static int open_file(const char *path, enum kit_file_kind kind, size_t *expected)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -1;
    int why = fstat(fd, &info) ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    if (!why && kind == KIT_FILE_REGULAR && !S_ISREG(info.st_mode)) why = ESPIPE;
    *expected = !why && S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
    if (!why) return fd;
    close(fd);
    errno = why;
    return -1;
}

/* As read(2); waits for a pipe. */
static ssize_t read_some(int fd, char *out, size_t n)
{
    struct pollfd readable = {fd, POLLIN, 0};
    int ready = poll(&readable, 1, KIT_FILE_SILENCE_MS);
    if (ready == 0) errno = ETIMEDOUT;
    if (ready <= 0) return -1;
    return read(fd, out, n);
}

static ssize_t read_whole(int fd, char **text, size_t expected, size_t max)
{
    size_t capacity = expected < FIRST_BYTES ? FIRST_BYTES : expected + 1, n = 0;
    for (;;) {
        if (capacity > max) capacity = max + 1; /* one more shows that there is more */
        char *grown = realloc(*text, capacity + 1);
        if (!grown) return -1;
        *text = grown;
        ssize_t got = read_some(fd, grown + n, capacity - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        n += (size_t)got;
        if (n > max) errno = EFBIG;
        if (n > max) return -1;
        grown[n] = 0;
        if (got == 0) return (ssize_t)n;
        if (n == capacity) capacity *= 2;
    }
}

char *kit_file_read(const char *path, enum kit_file_kind kind, size_t max_bytes, size_t *size)
{
    char *text = NULL;
    size_t expected;
    *size = 0;
    int fd = open_file(path, kind, &expected);
    if (fd < 0) return NULL;
    ssize_t n = read_whole(fd, &text, expected, max_bytes);
    int why = errno;
    close(fd);
    if (n < 0) {
        free(text);
        errno = why;
        return NULL;
    }
    *size = (size_t)n;
    return text;
}

const char *kit_file_error(void)
{
    switch (errno) {
    case ESPIPE:
        return "not a regular file";
    case ETIMEDOUT:
        return "a pipe into which nothing is written";
    default:
        return strerror(errno);
    }
}

json_t *kit_file_read_json(const char *path, enum kit_file_kind kind, char *why, size_t why_size)
{
    size_t size;
    json_error_t wrong;
    char *text = kit_file_read(path, kind, JSON_BYTES_MAX, &size);
    if (!text) snprintf(why, why_size, "%s", kit_file_error());
    json_t *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong) : NULL;
    if (text && !root) snprintf(why, why_size, "line %d: %s", wrong.line, wrong.text);
    free(text);
    return root;
}
