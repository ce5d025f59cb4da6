/* Our own mistakes, never a peer's: they stop the process, in release builds too. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#define BASE_CHECK(condition)                                                                     \
    do {                                                                                          \
        if (__builtin_expect(!(condition), 0)) base_check_failed(__FILE__, __LINE__, #condition); \
    } while (0)
_Noreturn void base_check_failed(const char *file, int line, const char *condition);

/* The struct of that type whose member the pointer points to. Does not compile with a pointer to anything else. */
#define container_of(pointer, type, member) \
    ((type *)((uintptr_t)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
