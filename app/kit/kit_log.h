/* Structured log lines: `ts=… level=info msg="…" key=value` or one JSON object a line. Usable from every thread. */
#ifndef KIT_LOG_H
#define KIT_LOG_H

#include "kit_config.h"

/* Opens the destination and takes over the libraries' lines. Returns 0 or EIO_ESYS. */
int kit_log_open(const struct kit_config *config);
/* This process's number among the workers, which its lines name. */
void kit_log_set_worker(int number);
/* Opens the file anew (after it was moved away). Keeps the old one if that fails. */
void kit_log_reopen(void);
void kit_log_close(void);

/* Writes a line: message, then pairs of key and text, ended by NULL: kit_log(EIO_LOG_INFO, "started", "port", p, NULL).
 * A NULL text is shown empty. */
void kit_log(enum eio_log_level level, const char *message, ...) __attribute__((sentinel));

/* A number as text for kit_log(). */
struct kit_number {
    char text[24];
};
struct kit_number kit_number(long long value);

/* Unix milliseconds, on any thread; on the loop's, eio_loop_unix_ms() is the same for all that one turn does. */
int64_t kit_unix_ms(void);
/* Unix milliseconds as RFC 3339 in UTC with milliseconds, 24 characters and a terminator. */
void kit_time_text(uint64_t unix_ms, char out[25]);

/* The line without its newline, for tests. Returns its length, cut to size - 1. */
size_t kit_log_format(enum kit_log_format format, uint64_t unix_ms, enum eio_log_level level, const char *const *words,
                      char *out, size_t size);

#endif
