/* Memory that ends at a page nobody may touch: a parser that reads or writes one byte too far dies on it, in every
 * build. One piece at a time; making the next one scribbles over the last, so that a kept pointer is noticed too. */
#ifndef GUARD_H
#define GUARD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    uint8_t *start, *end; /* of the usable pages; the forbidden one follows */
    uint8_t *piece;
};

static inline void guard_free(struct guard *guard)
{
    if (guard->start) munmap(guard->start, (size_t)(guard->end - guard->start) + (size_t)sysconf(_SC_PAGESIZE));
    *guard = (struct guard){0};
}

static inline void guard_reserve(struct guard *guard, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), usable = (n / page + 1) * page;
    if (guard->start && (size_t)(guard->end - guard->start) >= n) return;
    guard_free(guard);
    void *map = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect((uint8_t *)map + usable, page, PROT_NONE) != 0) {
        perror("guard page");
        abort();
    }
    guard->start = map;
    guard->piece = guard->end = guard->start + usable;
}

/* A copy of the n bytes that ends at the guard page; the parser's to overwrite, valid until the next call. */
static inline uint8_t *guard_put(struct guard *guard, const uint8_t *p, size_t n)
{
    guard_reserve(guard, n);
    memset(guard->piece, 0xDD, (size_t)(guard->end - guard->piece));
    guard->piece = guard->end - n;
    if (n) memcpy(guard->piece, p, n);
    return guard->piece;
}
#endif
