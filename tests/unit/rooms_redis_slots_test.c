/* rooms_redis_slots.c: which slot of a Redis Cluster a name belongs to. */
#include "rooms_redis_conn.h"
#include "test.h"

static unsigned slot(const char *name)
{
    return rooms__redis_slot((struct rooms_name){name, strlen(name)});
}

/* Redis Cluster Specification, "Appendix A: CRC16 reference implementation in ANSI C": 31C3 for "123456789". */
TEST(redis_slots, are_the_checksum)
{
    assert_int_equal(slot("123456789"), 0x31c3);
    assert_int_equal(slot(""), 0);
    assert_int_equal(slot("foo"), 12182); /* CLUSTER KEYSLOT foo */
}

/* "Hash tags" of the specification, and its examples. */
TEST(redis_slots, are_those_of_the_tag_alone)
{
    assert_int_equal(slot("{user1000}.following"), slot("user1000"));
    assert_int_equal(slot("{user1000}.followers"), slot("user1000"));
    assert_int_equal(slot("foo{{bar}}zap"), slot("{bar"));
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    assert_int_not_equal(slot("foo{}{bar}"), slot("bar"));
    assert_int_not_equal(slot("foo{bar"), slot("bar"));
    assert_int_equal(slot("x{a}"), slot("a"));
    assert_int_not_equal(slot("x{"), slot("x"));
}

TEST_MAIN
