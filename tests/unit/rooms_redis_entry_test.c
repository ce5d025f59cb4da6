/* rooms_redis_entry.c: ids, the numbers of streams, and sessions as @socket.io/redis-streams-adapter 0.3 writes them.
 */
#include "rooms_redis_streams.h"
#include "test.h"

#include <string.h>

static struct rooms_name name(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static void assert_name(struct rooms_name text, const char *expected)
{
    assert_int_equal(text.n, strlen(expected));
    assert_memory_equal(text.p, expected, text.n);
}

TEST(entry, ids_are_two_numbers_and_a_dash)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "1",
                                      "1-",
                                      "-1",
                                      "1-1-1",
                                      "a-1",
                                      "1-1 ",
                                      " 1-1",
                                      "+1-1",
                                      "1-x",
                                      "18446744073709551616-0",
                                      "1-18446744073709551616"};
    struct rooms__stream_id id;
    char out[ROOMS_OFFSET_SIZE];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rooms__stream_id_read(name(bad[i]), &id)) fail_msg("%s", bad[i]);
    assert_true(rooms__stream_id_read(name("1700000000000-12"), &id));
    assert_true(id.ms == 1700000000000 && id.seq == 12);
    assert_name(rooms__stream_id_put(id, out), "1700000000000-12");
    assert_true(rooms__stream_id_read(name("18446744073709551615-18446744073709551615"), &id));
    assert_name(rooms__stream_id_put(id, out), "18446744073709551615-18446744073709551615");
}

/* Compared with hashCode(nsp) % 4 of the official adapter. */
TEST(entry, streams_are_numbered_as_javascript_does)
{
    assert_int_equal(rooms__stream_number(name("/"), 4), 3);
    assert_int_equal(rooms__stream_number(name("/notifications"), 4), -3);
    assert_int_equal(rooms__stream_number(name("/chat"), 4), 3);
    assert_int_equal(rooms__stream_number(name("/ü€"), 7), 2);
    assert_int_equal(rooms__stream_number(name("/😀"), 7), 5);
    assert_int_equal(rooms__stream_number(name("/notifications"), 1), 0);
}

static const char from_node[] =
    "hKNzaWS0c2lkc2lkc2lkc2lkc2lkc2lkMTKjcGlktHBpZHBpZHBpZHBpZHBpZHBpZDEypXJvb21zk7RzaWRzaWRzaWRzaWRzaWRzaWQxMqdraXRj"
    "aGVuosO8pGRhdGGCpHVzZXKheKFukwHLQAQAAAAAAADA";

static const struct rooms_name rooms[] = {{"sidsidsidsidsidsid12", 20}, {"kitchen", 7}, {"\xc3\xbc", 2}};

TEST(entry, sessions_of_node_are_read_and_written)
{
    struct rooms__stream_session session;
    struct rooms_packer packer;
    assert_int_equal(
        rooms__stream_session_read(&session, (struct rooms_bytes){(const uint8_t *)from_node, strlen(from_node)}), 0);
    assert_name(session.session.sid, "sidsidsidsidsidsid12");
    assert_name(session.session.pid, "pidpidpidpidpidpid12");
    assert_int_equal(session.session.room_count, 3);
    for (size_t i = 0; i < 3; i++) assert_memory_equal(session.session.rooms[i].p, rooms[i].p, rooms[i].n);
    assert_int_equal(session.session.offset.n + session.arrived.n, 0);
    assert_memory_equal(session.session.data.p, "{\"user\":\"x\",\"n\":[1,2.5,null]}", session.session.data.n);
    rooms_packer_init(&packer);
    rooms__stream_session_put(&packer, &session.session, session.arrived);
    assert_int_equal(packer.size, strlen(from_node));
    assert_memory_equal(packer.bytes, from_node, packer.size);
    rooms_packer_clear(&packer);
    rooms__stream_session_clear(&session);
}

TEST(entry, our_sessions_say_where_they_began_and_what_arrived)
{
    struct rooms_session in = {.sid = name("s"), .pid = name("p"), .data = {(const uint8_t *)"{}", 2}};
    struct rooms__stream_session session;
    struct rooms_packer packer;
    in.offset = name("5-1");
    rooms_packer_init(&packer);
    rooms__stream_session_put(&packer, &in, name("7-0"));
    assert_int_equal(rooms__stream_session_read(&session, (struct rooms_bytes){packer.bytes, packer.size}), 0);
    assert_name(session.session.offset, "5-1");
    assert_name(session.arrived, "7-0");
    assert_int_equal(session.session.room_count, 0);
    rooms__stream_session_clear(&session);
    for (size_t n = 0; n < packer.size; n++)
        assert_true(rooms__stream_session_read(&session, (struct rooms_bytes){packer.bytes, n}) < 0);
    rooms_packer_clear(&packer);
}

TEST(entry, broken_sessions_are_refused)
{
    static const char *const broken[] = {"", "=", "kA==", "gA==", "wA==", "gaNzaWShcw=="};
    struct rooms__stream_session session;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_true(rooms__stream_session_read(
                        &session, (struct rooms_bytes){(const uint8_t *)broken[i], strlen(broken[i])}) < 0);
}

TEST(entry, a_log_reaches_back_to_its_first_entry_or_to_its_beginning)
{
    struct rooms__stream_info info = {{5, 0}, {9, 0}, false};
    assert_false(rooms__stream_reaches(&info, (struct rooms__stream_id){4, 9}));
    assert_true(rooms__stream_reaches(&info, (struct rooms__stream_id){5, 0}));
    assert_true(rooms__stream_reaches(&info, (struct rooms__stream_id){9, 0}));
    assert_false(rooms__stream_reaches(&info, (struct rooms__stream_id){9, 1}));
    info.whole = true;
    assert_true(rooms__stream_reaches(&info, (struct rooms__stream_id){0, 0}));
    struct rooms__stream_info none = {{0, 0}, {0, 0}, true};
    assert_true(rooms__stream_reaches(&none, (struct rooms__stream_id){0, 0}));
    assert_false(rooms__stream_reaches(&none, (struct rooms__stream_id){1, 0}));
    struct rooms__stream_info emptied = {{0, 0}, {9, 0}, false};
    assert_true(rooms__stream_reaches(&emptied, (struct rooms__stream_id){9, 0}));
    assert_false(rooms__stream_reaches(&emptied, (struct rooms__stream_id){8, 0}));
}

TEST_MAIN
