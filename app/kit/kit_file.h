/* Whole files that options and commands name. */
#ifndef KIT_FILE_H
#define KIT_FILE_H

#include <jansson.h>
#include <stddef.h>

/* What a name may lead to. */
enum kit_file_kind {
    KIT_FILE_REGULAR, /* read again on SIGHUP, or known by its path: a pipe has its bytes once */
    KIT_FILE_ANY,     /* also a pipe, <(command) in a shell, which must not fall silent for KIT_FILE_SILENCE_MS */
};
#define KIT_FILE_SILENCE_MS 10000

/* The bytes and a NUL behind them, to be freed. NULL: kit_file_error() says why. */
char *kit_file_read(const char *path, enum kit_file_kind kind, size_t max_bytes, size_t *size);

/* Why kit_file_read() failed just now, in English; errno is as it left it. */
const char *kit_file_error(void);

/* A file of JSON, in which no name is twice in an object. NULL: `why` has the reason and, if it is not JSON, the line.
 */
json_t *kit_file_read_json(const char *path, enum kit_file_kind kind, char *why, size_t why_size);

#endif
