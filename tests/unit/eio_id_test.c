/* Session ids: what they say to whom, and how much of them is random. */
#include "test.h"

#include "eio_int.h"
#include "eio_test.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

static const uint8_t key[EIO_OWNER_KEY_BYTES] = "sixteen bytes !";
static const uint8_t other_key[EIO_OWNER_KEY_BYTES] = "another secret.";

static struct eio__ids ids_of(unsigned owner, const uint8_t *owner_key)
{
    struct eio__ids ids;
    assert_true(sodium_init() >= 0);
    eio__ids_init(&ids, owner, owner_key);
    return ids;
}

TEST(id, is_20_characters_of_base64url)
{
    struct eio__ids alone = ids_of(0, NULL), one = ids_of(7, key);
    char id[EIO__LONG_ID_CHARS + 1];
    for (uint32_t slot = 0; slot < 1000; slot++) {
        assert_true(eio__id_make(slot & 1 ? &alone : &one, slot, id));
        assert_int_equal(strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), EIO__ID_CHARS);
        assert_int_equal(strlen(id), EIO__ID_CHARS);
    }
}

TEST(id, says_its_slot_and_its_owner_to_everybody_with_the_key)
{
    static const uint32_t slots[] = {0, 1, 63, 64, 65535, 0xabcdef, 0xffffff};
    struct eio__ids reader = ids_of(3, key);
    char id[EIO__LONG_ID_CHARS + 1];
    for (unsigned owner = 0; owner < EIO_OWNERS_MAX; owner++) {
        struct eio__ids ids = ids_of(owner, key);
        for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
            struct eio__place place;
            assert_true(eio__id_make(&ids, slots[i], id));
            assert_true(eio__id_read(&reader, id, strlen(id), &place));
            assert_int_equal(place.owner, owner);
            assert_int_equal(place.slot, slots[i]);
        }
    }
}

TEST(id, of_a_node_by_itself_has_all_32_bits_for_its_slot)
{
    struct eio__ids ids = ids_of(0, NULL);
    struct eio__place place;
    char id[EIO__LONG_ID_CHARS + 1];
    assert_true(eio__id_make(&ids, 0xfedcba98, id));
    assert_true(eio__id_read(&ids, id, strlen(id), &place));
    assert_int_equal(place.slot, 0xfedcba98);
    assert_int_equal(place.owner, 0);
}

TEST(id, of_a_slot_above_2_to_the_24_is_not_made_among_several_nodes)
{
    struct eio__ids ids = ids_of(1, key);
    char id[EIO__LONG_ID_CHARS + 1];
    assert_true(eio__id_make(&ids, 0xffffff, id));
    assert_false(eio__id_make(&ids, 0x1000000, id));
}

/* Without the key, the owner's byte is as likely to be any other; with one mask for all it would be constant. */
TEST(id, tells_outsiders_nothing_of_its_owner)
{
    struct eio__ids ids = ids_of(5, key), outsider = ids_of(5, other_key);
    size_t right = 0, same = 0;
    uint8_t first_byte = 0;
    for (int i = 0; i < 4096; i++) {
        char id[EIO__LONG_ID_CHARS + 1];
        uint8_t raw[EIO__ID_BYTES];
        struct eio__place place;
        assert_true(eio__id_make(&ids, 9, id));
        assert_true(eio__id_read(&outsider, id, strlen(id), &place));
        right += place.owner == 5;
        assert_int_equal(sodium_base642bin(raw, sizeof raw, id, strlen(id), NULL, NULL, NULL,
                                           sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                         0);
        if (i == 0) first_byte = raw[3];
        same += raw[3] == first_byte;
    }
    assert_in_range(right, 0, 64); /* 16 expected */
    assert_in_range(same, 1, 64);
}

TEST(id, has_88_random_bits)
{
    struct eio__ids ids = ids_of(5, key);
    uint8_t seen_zero[EIO__ID_RANDOM_BYTES] = {0}, seen_one[EIO__ID_RANDOM_BYTES] = {0};
    for (int i = 0; i < 200; i++) {
        char id[EIO__LONG_ID_CHARS + 1];
        uint8_t raw[EIO__ID_BYTES];
        assert_true(eio__id_make(&ids, 1, id));
        assert_int_equal(sodium_base642bin(raw, sizeof raw, id, strlen(id), NULL, NULL, NULL,
                                           sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                         0);
        for (size_t b = 0; b < EIO__ID_RANDOM_BYTES; b++) {
            seen_one[b] |= raw[4 + b];
            seen_zero[b] |= (uint8_t)~raw[4 + b];
        }
    }
    for (size_t b = 0; b < EIO__ID_RANDOM_BYTES; b++) assert_int_equal(seen_one[b] & seen_zero[b], 0xff);
}

TEST(id, is_read_from_nothing_but_20_characters_of_base64url)
{
    static const char *const bad[] = {"",
                                      "A",
                                      "AAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAA+AAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAA=",
                                      "AAAAAAAAAA AAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAA\n"};
    struct eio__ids ids = ids_of(5, key);
    struct eio__place place;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(eio__id_read(&ids, bad[i], strlen(bad[i]), &place));
    assert_false(eio__id_read(&ids, "AAAAAAAAAA\0AAAAAAAAA", 20, &place));
    assert_true(eio__id_read(&ids, "AAAAAAAAAAAAAAAAAAA_", 20, &place));
}

TEST(id, names_an_owner_only_where_there_are_several_nodes)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_options options;
    eio_options_init(&options);
    struct eio_server *alone = eio_server_new(loop, &options, NULL, NULL);
    options.owner = 9;
    options.owner_key = key;
    struct eio_server *one = eio_server_new(loop, &options, NULL, NULL);
    options.owner = EIO_OWNERS_MAX;
    assert_null(eio_server_new(loop, &options, NULL, NULL));
    struct eio__ids ids = ids_of(200, key);
    char id[EIO__LONG_ID_CHARS + 1];
    assert_true(eio__id_make(&ids, 1, id));
    assert_int_equal(eio_server_owner_of(one, id, strlen(id)), 200);
    assert_int_equal(eio_server_owner_of(one, id, 19), EIO_EINVAL);
    assert_int_equal(eio_server_owner_of(alone, id, strlen(id)), EIO_EINVAL);
    eio_server_free(alone);
    eio_server_free(one);
    eio_loop_free(loop);
}

TEST(id, of_another_owner_finds_no_session_here)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_options options;
    eio_options_init(&options);
    options.owner = 1;
    options.owner_key = key;
    struct eio_server *server = eio_server_new(loop, &options, NULL, NULL);
    int fd;
    struct eio_session *session = eio__test_websocket(server, &fd);
    assert_non_null(session);
    const char *id = eio_session_id(session);
    assert_int_equal(eio_server_owner_of(server, id, strlen(id)), 1);
    assert_ptr_equal(eio_server_find(server, id, strlen(id)), session);
    struct eio__ids ids = ids_of(2, key);
    char foreign[EIO__LONG_ID_CHARS + 1];
    assert_true(eio__id_make(&ids, session->slot, foreign));
    assert_null(eio_server_find(server, foreign, strlen(foreign)));
    eio_server_free(server);
    close(fd);
    eio_loop_free(loop);
}

/* --------------------------------------------------------- several machines */

TEST(id, says_its_machine_to_everybody_with_the_key)
{
    static const uint8_t one[EIO_MACHINE_BYTES] = "machine", two[EIO_MACHINE_BYTES] = "another";
    struct eio__ids here = ids_of(7, key), reader = ids_of(0, NULL), outsider = ids_of(7, key);
    eio__ids_set_machine(&here, one, key);
    eio__ids_set_machine(&reader, two, key); /* no workers there: it cannot read the number, and need not */
    eio__ids_set_machine(&outsider, two, other_key);
    char id[EIO__LONG_ID_CHARS + 1];
    struct eio__place place;
    for (uint32_t slot = 0; slot < 300; slot++) {
        assert_true(eio__id_make(&here, slot, id));
        assert_int_equal(strlen(id), 32);
        assert_true(eio__id_read(&here, id, 32, &place));
        assert_false(place.elsewhere);
        assert_int_equal(place.slot, slot);
        assert_int_equal(place.owner, 7);
        assert_true(eio__id_read(&reader, id, 32, &place));
        assert_true(place.elsewhere);
        assert_memory_equal(place.machine, one, sizeof one);
        assert_int_equal(place.owner, 7);
        assert_true(eio__id_read(&outsider, id, 32, &place));
        assert_memory_not_equal(place.machine, one, sizeof one);
        assert_false(eio__id_read(&here, id, 20, &place));
    }
}

TEST(id, of_another_machine_is_neither_found_nor_owned_here)
{
    static const uint8_t one[EIO_MACHINE_BYTES] = "machine", two[EIO_MACHINE_BYTES] = "another";
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_options options;
    eio_options_init(&options);
    options.owner = 1;
    options.owner_key = options.machine_key = key;
    options.machine = one;
    struct eio_server *server = eio_server_new(loop, &options, NULL, NULL);
    int fd;
    struct eio_session *session = eio__test_websocket(server, &fd);
    const char *id = eio_session_id(session);
    assert_int_equal(strlen(id), 32);
    assert_ptr_equal(eio_server_find(server, id, 32), session);
    assert_int_equal(eio_server_owner_of(server, id, 32), 1);
    struct eio__ids ids = ids_of(1, key);
    eio__ids_set_machine(&ids, two, key);
    char foreign[EIO__LONG_ID_CHARS + 1];
    assert_true(eio__id_make(&ids, session->slot, foreign));
    assert_null(eio_server_find(server, foreign, 32));
    assert_int_equal(eio_server_owner_of(server, foreign, 32), EIO_EINVAL);
    eio_server_free(server);
    close(fd);
    eio_loop_free(loop);
}

TEST_MAIN
