/* Structured log lines. Each is formatted on the stack and written with one write(2), so that lines of several threads
 * do not mix. */
#include "kit_log.h"

#include "base_clock.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define MAX_PAIRS 16

static struct {
    atomic_int fd;
    int format;
    char path[1024];
    char worker[12]; /* "": there is only one */
} out = {STDERR_FILENO, KIT_LOG_TEXT, "", ""};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* A line being written; what does not fit is cut. */
struct line {
    char *p;
    size_t n, size;
};

static void put_char(struct line *line, char c)
{
    if (line->n + 1 < line->size) line->p[line->n++] = c;
}

static void put_text(struct line *line, const char *text)
{
    for (; *text; text++) put_char(line, *text);
}

static void put_quoted(struct line *line, const char *text)
{
    char code[8];
    put_char(line, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_char(line, '\\');
            put_char(line, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(code, sizeof code, "\\u%04x", c);
            put_text(line, code);
        } else {
            put_char(line, (char)c);
        }
    }
    put_char(line, '"');
}

static bool is_plain(const char *text)
{
    if (!*text) return false;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= 0x20 || c == '"' || c == '\\' || c == '=' || c >= 0x7f) return false;
    }
    return true;
}

static void put_pair(struct line *line, enum kit_log_format format, const char *key, const char *value)
{
    if (format == KIT_LOG_JSON) {
        put_char(line, line->n ? ',' : '{');
        put_quoted(line, key);
        put_char(line, ':');
        put_quoted(line, value);
        return;
    }
    if (line->n) put_char(line, ' ');
    put_text(line, key);
    put_char(line, '=');
    if (is_plain(value) && strcmp(key, "msg"))
        put_text(line, value);
    else
        put_quoted(line, value);
}

size_t kit_log_format(enum kit_log_format format, uint64_t unix_ms, enum eio_log_level level, const char *const *words,
                      char *p, size_t size)
{
    char time[25];
    /* Room for the closing brace of a line that was cut inside its text. */
    struct line line = {p, 0, format == KIT_LOG_JSON ? size - 2 : size};
    kit_time_text(unix_ms, time);
    put_pair(&line, format, "ts", time);
    put_pair(&line, format, "level", level_names[level]);
    put_pair(&line, format, "msg", words[0]);
    for (size_t i = 1; words[i]; i += 2) put_pair(&line, format, words[i], words[i + 1] ? words[i + 1] : "");
    if (format == KIT_LOG_JSON) {
        bool cut = line.n + 1 >= line.size;
        line.size = size;
        if (cut) line.p[line.n - 1] = '"';
        put_char(&line, '}');
    }
    line.p[line.n] = 0;
    return line.n;
}

/* words: at most 1 + 2 * MAX_PAIRS, and NULL. */
static void write_line(enum eio_log_level level, const char *const *words)
{
    char text[LINE_BYTES];
    const char *with_worker[2 * MAX_PAIRS + 4] = {words[0], "worker", out.worker};
    if (out.worker[0]) {
        for (size_t i = 1; (with_worker[i + 2] = words[i]) != NULL;) i++;
        words = with_worker;
    }
    size_t n =
        kit_log_format((enum kit_log_format)out.format, base_clock_unix_ms(), level, words, text, sizeof text - 1);
    text[n++] = '\n';
    /* A full disk must not stop the server: what cannot be written is lost. */
    if (write(atomic_load(&out.fd), text, n) < 0) return;
}

void kit_log(enum eio_log_level level, const char *message, ...)
{
    const char *words[2 + 2 * MAX_PAIRS] = {message};
    size_t n = 1;
    va_list args;
    if (!eio_log_wants(level)) return;
    va_start(args, message);
    while (n + 2 < sizeof words / sizeof words[0]) {
        const char *key = va_arg(args, const char *);
        if (!key) break;
        const char *value = va_arg(args, const char *);
        words[n++] = key;
        words[n++] = value ? value : "";
    }
    va_end(args);
    words[n] = NULL;
    write_line(level, words);
}

static void on_library_line(enum eio_log_level level, const char *text, void *ctx)
{
    const char *words[] = {text, "from", "library", NULL};
    (void)ctx;
    write_line(level, words);
}

struct kit_number kit_number(long long value)
{
    struct kit_number number;
    char digits[24];
    size_t at = sizeof digits, n = 0;
    unsigned long long left = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
    do digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0) number.text[n++] = '-';
    memcpy(number.text + n, digits + at, sizeof digits - at);
    number.text[n + sizeof digits - at] = 0;
    return number;
}

static void put_digits(char *text, int count, int number)
{
    for (; count--; number /= 10) text[count] = (char)('0' + number % 10);
}

int64_t kit_unix_ms(void)
{
    return (int64_t)base_clock_unix_ms();
}

void kit_time_text(uint64_t unix_ms, char text[25])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    memcpy(text, "0000-00-00T00:00:00.000Z", 25);
    put_digits(text, 4, tm.tm_year + 1900);
    put_digits(text + 5, 2, tm.tm_mon + 1);
    put_digits(text + 8, 2, tm.tm_mday);
    put_digits(text + 11, 2, tm.tm_hour);
    put_digits(text + 14, 2, tm.tm_min);
    put_digits(text + 17, 2, tm.tm_sec);
    put_digits(text + 20, 3, (int)(unix_ms % 1000));
}

/* Never waits for the reader of a pipe: lines that it has no room for are lost, as on a full disk. */
static int open_file(void)
{
    return open(out.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
}

void kit_log_set_worker(int number)
{
    snprintf(out.worker, sizeof out.worker, "%d", number);
}

int kit_log_open(const struct kit_config *config)
{
    out.format = config->log_format;
    snprintf(out.path, sizeof out.path, "%s", config->log_file);
    if (out.path[0]) {
        int fd = open_file();
        if (fd < 0) return EIO_ESYS;
        atomic_store(&out.fd, fd);
    }
    eio_log_set(on_library_line, NULL, (enum eio_log_level)config->log_level);
    return 0;
}

void kit_log_reopen(void)
{
    if (!out.path[0]) return;
    int fd = open_file();
    if (fd < 0) return;
    /* dup2 keeps the number, so a thread in the middle of a line writes to one file or the other. */
    dup2(fd, atomic_load(&out.fd));
    close(fd);
}

void kit_log_close(void)
{
    int fd = atomic_exchange(&out.fd, STDERR_FILENO);
    if (fd != STDERR_FILENO) close(fd);
    out.path[0] = 0;
}
