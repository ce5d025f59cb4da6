/* rooms_resp.c: where replies end, what messages say, how commands are written. */
#include "guard.h"
#include "test.h"
#include "rooms_redis_conn.h"

static const struct rooms__resp_limits limits = {1000, 20};

static long scan_whole(const char *text, size_t n, const char **why)
{
    struct guard guard = {0};
    struct rooms__resp_scan scan = {0};
    long result = rooms__resp_scan(&scan, guard_put(&guard, (const uint8_t *)text, n), n, &limits, why);
    guard_free(&guard);
    return result;
}

/* The bytes come one by one: the reply ends where it does, and not before. */
static void ends_at(const char *text, size_t n, size_t end)
{
    struct guard guard = {0};
    struct rooms__resp_scan scan = {0};
    const char *why = "nothing";
    assert_int_equal(scan_whole(text, n, &why), (long)end);
    for (size_t i = 0; i < end; i++) {
        const uint8_t *p = guard_put(&guard, (const uint8_t *)text, i);
        assert_int_equal(rooms__resp_scan(&scan, p, i, &limits, &why), 0);
        struct rooms__resp_scan fresh = {0};
        assert_int_equal(rooms__resp_scan(&fresh, p, i, &limits, &why), 0);
    }
    assert_int_equal(rooms__resp_scan(&scan, guard_put(&guard, (const uint8_t *)text, n), n, &limits, &why), (long)end);
    guard_free(&guard);
}
#define ENDS(text) ends_at(text "+next", sizeof(text "+next") - 1, sizeof(text) - 1)

TEST(resp, replies_end_where_they_do_however_they_are_cut)
{
    ENDS("+OK\r\n");
    ENDS("+\r\n");
    ENDS("-ERR no\r\n");
    ENDS(":12\r\n");
    ENDS(":-12\r\n");
    ENDS("$0\r\n\r\n");
    ENDS("$-1\r\n");
    ENDS("$5\r\na\r\n\0b\r\n");
    ENDS("*0\r\n");
    ENDS("*-1\r\n");
    ENDS("*2\r\n:1\r\n$1\r\nx\r\n");
    ENDS("*2\r\n*2\r\n*0\r\n:1\r\n*1\r\n*1\r\n+\r\n");
    ENDS("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
}

static void is_bad(const char *text, int error, const char *expected)
{
    struct guard guard = {0};
    struct rooms__resp_scan scan = {0};
    const char *why = "nothing";
    size_t n = strlen(text);
    assert_int_equal(scan_whole(text, n, &why), error);
    assert_string_equal(why, expected);
    long result = 0;
    for (size_t i = 1; i <= n && result == 0; i++)
        result = rooms__resp_scan(&scan, guard_put(&guard, (const uint8_t *)text, i), i, &limits, &why);
    assert_int_equal(result, error);
    guard_free(&guard);
}

TEST(resp, what_is_not_resp2_is_refused)
{
    is_bad("HTTP/1.1 200 OK\r\n", ROOMS_EINVAL, "not RESP2");
    is_bad("%1\r\n+a\r\n+b\r\n", ROOMS_EINVAL, "not RESP2");
    is_bad(">3\r\n", ROOMS_EINVAL, "not RESP2");
    is_bad("*1\r\n*1\r\nx", ROOMS_EINVAL, "not RESP2");
    is_bad("+OK\n", ROOMS_EINVAL, "a line does not end in CR LF, or is empty");
    is_bad("$1\r\nab\r\n", ROOMS_EINVAL, "a string does not end in CR LF");
    is_bad("$-2\r\n", ROOMS_EINVAL, "a size is not a number");
    is_bad("$\r\n", ROOMS_EINVAL, "a size is not a number");
    is_bad("$1x\r\n", ROOMS_EINVAL, "a size is not a number");
    is_bad("$+1\r\n", ROOMS_EINVAL, "a size is not a number");
    is_bad("*1000000000000000000000\r\n", ROOMS_EINVAL, "a size is not a number");
}

TEST(resp, limits_hold_before_anything_is_there)
{
    is_bad("$1000\r\n", ROOMS_ELIMIT, "a reply is too large");
    is_bad("$999999999999999999\r\n", ROOMS_ELIMIT, "a reply is too large");
    is_bad("*999999999999999999\r\n", ROOMS_ELIMIT, "too many values in a reply");
    is_bad("*20\r\n", ROOMS_ELIMIT, "too many values in a reply");
    is_bad("*10\r\n*9\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n*9\r\n", ROOMS_ELIMIT,
           "too many values in a reply");
    char line[ROOMS__RESP_LINE_MAX + 1];
    const char *why = NULL;
    memset(line, 'x', sizeof line);
    line[0] = '+';
    assert_int_equal(scan_whole(line, ROOMS__RESP_LINE_MAX - 1, &why), 0);
    assert_int_equal(scan_whole(line, ROOMS__RESP_LINE_MAX, &why), ROOMS_EINVAL);
    assert_string_equal(why, "a line is too long");
}

/* -------------------------------------------------------------------- push */

static void is_push(const char *text, size_t n, const char *expected)
{
    struct guard guard = {0};
    struct rooms__resp_push push;
    char said[256];
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rooms__resp_push(guard_put(&guard, (const uint8_t *)text, i), i, &push), 0);
    assert_int_equal(rooms__resp_push(guard_put(&guard, (const uint8_t *)text, n), n, &push), n);
    snprintf(said, sizeof said, "%d %.*s %.*s %.*s", (int)push.kind, (int)push.name.n, push.name.p, (int)push.channel.n,
             push.channel.p, (int)push.payload.n, (const char *)push.payload.p);
    assert_string_equal(said, expected);
    guard_free(&guard);
}
#define PUSH(text, expected) is_push(text, sizeof(text) - 1, expected)

TEST(resp, messages_of_channels_patterns_and_shards_are_slices)
{
    PUSH("*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$3\r\nxyz\r\n", "0 ab ab xyz");
    PUSH("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$0\r\n\r\n", "0 a a ");
    PUSH("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$12\r\n\r\n0123456789\r\n", "0 a a \r\n0123456789");
    PUSH("*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$1\r\nx\r\n", "1 a* ab x");
    PUSH("*3\r\n$8\r\nsmessage\r\n$2\r\nab\r\n$3\r\nxyz\r\n", "2 ab ab xyz");
}

static void is_no_push(const char *text)
{
    struct rooms__resp_push push;
    assert_int_equal(rooms__resp_push((const uint8_t *)text, strlen(text), &push), 0);
}

TEST(resp, nothing_else_is_a_message)
{
    is_no_push("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n:1\r\n$3\r\nxyz\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:12345678\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n$1\r\nab\r\n$3\r\nxyz\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n$-1\r\n$3\r\nxyz\r\n+fill\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\nxyz12+\r\n");
    is_no_push("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$99999999999999999999\r\nx\r\n");
    is_no_push("*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\nx\r\n+12345678\r\n");
}

TEST(resp, commands_are_arrays_of_strings)
{
    const struct rooms_bytes args[] = {rooms__text("SET"), rooms__text("0123456789"), {NULL, 0}};
    const char expected[] = "*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n";
    struct guard guard = {0};
    size_t n = rooms__resp_command_size(args, 3);
    assert_int_equal(n, sizeof expected - 1);
    uint8_t *out = guard_put(&guard, (const uint8_t *)expected, n);
    memset(out, 0, n);
    rooms__resp_command_write(out, args, 3);
    assert_memory_equal(out, expected, n);
    guard_free(&guard);
}

TEST_MAIN
