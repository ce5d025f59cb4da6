/* Pure parts of the carrier over PostgreSQL: notifications that name an attachment, names of tables, what is in a
 * transaction twice. */
#include "rooms_postgresql_int.h"
#include "test.h"

#include <string.h>

static struct rooms_bytes text(const char *p)
{
    return (struct rooms_bytes){(const uint8_t *)p, strlen(p)};
}

/* @socket.io/postgres-adapter 0.5, publishWithAttachment(). */
TEST(postgresql, notifications_with_attachments_are_read)
{
    static const struct {
        const char *payload;
        int result;
        uint64_t attachment;
        const char *uid;
    } rows[] = {
        {"{\"uid\":\"0123456789abcdef\",\"type\":3,\"attachmentId\":\"12\"}", 1, 12, "0123456789abcdef"},
        {"{\"type\":3,\"attachmentId\":7,\"uid\":\"emitter\"}", 1, 7, "emitter"},
        {"{\"uid\":\"\\u00e9\",\"attachmentId\":\"9223372036854775807\"}", 1, INT64_MAX, "é"},
        {"{\"uid\":\"x\",\"type\":3,\"data\":{}}", 0, 0, NULL},
        {"{\"uid\":\"x\",\"type\":3,\"data\":{\"attachmentId\":\"1\"}}", 0, 0, NULL},
        {"{\"uid\":\"x\",\"data\":\"\\\"attachmentId\\\"\"}", 0, 0, NULL},
        {"[\"attachmentId\"]", 0, 0, NULL},
        {"", 0, 0, NULL},
        {"hello", 0, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":\"1\"", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":\"0\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":\"9223372036854775808\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":\"\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":\"-1\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"x\",\"attachmentId\":null}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":5,\"attachmentId\":\"1\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"uid\":\"a\\u0000b\",\"attachmentId\":\"1\"}", ROOMS_EINVAL, 0, NULL},
        {"{\"attachmentId\":\"1\"}", ROOMS_EINVAL, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rooms__pg_header header;
        int result = rooms__pg_header_read(text(rows[i].payload), &header);
        if (result != rows[i].result) fail_msg("%s: %d", rows[i].payload, result);
        if (result != 1) continue;
        assert_true(header.attachment == rows[i].attachment);
        assert_string_equal(header.uid, rows[i].uid);
    }
}

TEST(postgresql, what_is_written_is_read)
{
    struct rooms_packer packer;
    struct rooms__pg_header header;
    rooms_packer_init(&packer);
    rooms__pg_header_put(&packer, (struct rooms_name){"0123456789abcdef", 16}, ROOMS_CLUSTER_BROADCAST);
    rooms__put(&packer, "42" ROOMS__PG_HEADER_END);
    assert_int_equal(packer.error, 0);
    const struct rooms_bytes written = {packer.bytes, packer.size};
    assert_true(written.n < ROOMS__PG_HEADER_MAX);
    assert_memory_equal(written.p, "{\"uid\":\"0123456789abcdef\",\"type\":3,\"attachmentId\":\"42\"}", written.n);
    assert_int_equal(rooms__pg_header_read(written, &header), 1);
    assert_true(header.attachment == 42);
    rooms_packer_clear(&packer);
}

TEST(postgresql, tables_have_plain_names)
{
    static const char *const good[] = {"socket_io_attachments", "a", "_1", "schema.Table", "s.t9"};
    static const char *const bad[] = {"", ".", "a.", ".a", "a.b.c", "1a", "a b", "a;drop", "a\"", "ä", "a-b", "a.1"};
    char longest[65] = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(rooms_postgresql_table_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(rooms_postgresql_table_is_valid(bad[i]));
    memset(longest, 'x', 63);
    assert_true(rooms_postgresql_table_is_valid(longest));
    longest[63] = 'x';
    assert_false(rooms_postgresql_table_is_valid(longest));
}

TEST(postgresql, addresses_are_those_of_postgresql)
{
    static const char *const good[] = {"postgresql://", "postgres://u:p@h:5433/d?sslmode=require",
                                       "postgresql://a,b/d?target_session_attrs=any",
                                       "postgresql:///d?host=/run/postgresql"};
    static const char *const bad[] = {"", "redis://h", "host=h", "postgresql://h/d?nonsense=1", "postgresql://%zz"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(rooms_postgresql_url_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(rooms_postgresql_url_is_valid(bad[i]));
}

/* PostgreSQL's manual, NOTIFY: equal notifications of one transaction are delivered once. */
TEST(postgresql, a_transaction_knows_what_it_has)
{
    struct rooms__pg_queue queue = {0};
    struct rooms__pg_batch batch = {0};
    static const struct {
        const char *channel, *payload;
    } rows[] = {{"a", "1"}, {"b", "1"}, {"a", "2"}, {"a", "12"}, {"a", "1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct rooms__pg_message message = {.channel = rows[i].channel, .payload = text(rows[i].payload)};
        assert_int_equal(rooms__pg_queue_add(&queue, &message), ROOMS_OK);
    }
    assert_int_equal(queue.count, 5);
    assert_int_equal(queue.bytes, 6);
    for (size_t i = 0; i < 4; i++) {
        assert_false(rooms__pg_batch_has(&batch, queue.first));
        batch.messages[batch.count++] = rooms__pg_queue_take(&queue);
    }
    assert_true(rooms__pg_batch_has(&batch, queue.first));
    while (batch.count > 0) free(batch.messages[--batch.count]);
    rooms__pg_queue_clear(&queue);
    assert_null(rooms__pg_queue_take(&queue));
    assert_int_equal(queue.bytes, 0);
}

TEST_MAIN
