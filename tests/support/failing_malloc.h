/* Allocations that fail on demand, for *_memory_test.c: those are linked with --wrap=malloc and its kin. One source
 * file a program includes it. */
#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* How many there were, how many of them failed, the first that is to fail (0: none), and how many in a row. */
static size_t allocations, failed, fail_at, fail_count = 1;

static bool must_fail(void)
{
    allocations++;
    bool fails = fail_at && allocations >= fail_at && allocations < fail_at + fail_count;
    failed += fails;
    return fails;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}
char *__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}
char *__wrap_strndup(const char *text, size_t size)
{
    return must_fail() ? NULL : __real_strndup(text, size);
}

#endif
