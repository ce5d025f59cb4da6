/* Texts: log lines, error and reason names. */
#include "eio_int.h"

#include <stdarg.h>
#include <string.h>

static eio_log_fn log_fn;
static void *log_ctx;
static enum eio_log_level log_level = EIO_LOG_WARN;

void eio_log_set(eio_log_fn fn, void *ctx, enum eio_log_level level)
{
    log_fn = fn;
    log_ctx = ctx;
    log_level = level;
}

bool eio_log_wants(enum eio_log_level level)
{
    return level <= log_level;
}

void eio_log(enum eio_log_level level, const char *format, ...)
{
    if (level > log_level) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (log_fn) {
        log_fn(level, line, log_ctx);
        return;
    }
    static const char *const names[] = {"error", "warn", "info", "debug"};
    fprintf(stderr, "%s: %s\n", names[level], line);
}

const char *eio_strerror(int error)
{
    switch (error) {
    case EIO_OK:
        return "success";
#define X(name, value, text) \
    case name:               \
        return text;
        EIO_ERRORS(X)
#undef X
    }
    return "unknown error";
}

const char *eio_close_reason_text(enum eio_close_reason reason)
{
    switch (reason) {
#define X(name, text) \
    case name:        \
        return text;
        EIO_CLOSE_REASONS(X)
#undef X
    }
    return "unknown reason";
}

bool eio_str_is(struct eio_str s, const char *text)
{
    size_t n = strlen(text);
    return s.n == n && memcmp(s.p, text, n) == 0;
}
