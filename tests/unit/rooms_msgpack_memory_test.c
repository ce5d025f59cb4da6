/* msgpack when memory is out, at every allocation there is: a reason, and nothing kept. Linked with --wrap=malloc and
 * its kin. */
#include "rooms_msgpack.h"

#include "failing_malloc.h"
#include "test.h"

#include <string.h>

static char json[8192]; /* 100 arrays, 20 attachments, a number of many digits */

static void make_json(void)
{
    char *at = json;
    *at++ = '[';
    for (int i = 0; i < 100; i++) at += sprintf(at, "[%d],", i);
    for (int i = 0; i < 20; i++) at += sprintf(at, "{\"_placeholder\":true,\"num\":%d},", i);
    at += sprintf(at, "\"%0500d\",0.", 7);
    memset(at, '3', 100);
    strcpy(at + 100, "]");
}

TEST(msgpack, every_allocation_that_fails)
{
    static const struct rooms_msgpack_limits limits = {.max_depth = 4, .max_attachments = 100};
    struct rooms_bytes attachments[20];
    struct rooms_packer packer;
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault = {0};
    for (int i = 0; i < 20; i++) attachments[i] = (struct rooms_bytes){(const uint8_t *)"x", 1};
    make_json();
    size_t failures = 0;
    int error;
    do {
        allocations = 0;
        fail_at = ++failures;
        rooms_packer_init(&packer);
        rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, strlen(json)}, attachments, 20);
        fail_at = 0;
        error = packer.error;
        if (error) assert_int_equal(error, ROOMS_ENOMEM);
        if (error) rooms_packer_clear(&packer);
    } while (error);
    assert_true(failures > 3);
    long n;
    for (failures = 0;;) {
        allocations = 0;
        fail_at = ++failures;
        n = rooms_msgpack_decode(packer.bytes, packer.size, &limits, &decoded, &fault);
        fail_at = 0;
        if (n >= 0) break;
        assert_int_equal(n, ROOMS_ENOMEM);
        assert_string_equal(fault.why, "out of memory");
        assert_null(decoded.json);
    }
    assert_true(failures > 3);
    assert_int_equal(n, packer.size);
    assert_int_equal(decoded.attachment_count, 20);
    rooms_decoded_clear(&decoded);
    rooms_packer_clear(&packer);
}

TEST_MAIN
