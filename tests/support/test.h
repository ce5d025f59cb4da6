/* cmocka with tests that register themselves: a test is written once, and there is no list to forget it in.
 *
 *    TEST(ws_frame, unmasked_client_frame_is_refused) { ... }
 *    TEST_MAIN
 *
 * They run in the order of the file. */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { TEST_MAX = 512 };
static struct CMUnitTest test_list[TEST_MAX];
static size_t test_count;

static inline void test_register(const char *name, CMUnitTestFunction fn)
{
    if (test_count == TEST_MAX) abort();
    test_list[test_count++] = (struct CMUnitTest){name, fn, NULL, NULL, NULL};
}

#define TEST(group, name)                                                     \
    static void group##__##name(void **state);                                \
    __attribute__((constructor)) static void register_##group##__##name(void) \
    {                                                                         \
        test_register(#group ": " #name, group##__##name);                    \
    }                                                                         \
    static void group##__##name(void **state __attribute__((unused)))

#define TEST_MAIN                                                                    \
    int main(void)                                                                   \
    {                                                                                \
        return _cmocka_run_group_tests(__FILE__, test_list, test_count, NULL, NULL); \
    }
#endif
