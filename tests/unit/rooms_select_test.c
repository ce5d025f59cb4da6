/* rooms_select.c: who is selected, and what a walk stands. */
#include "rooms_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MEMBERS = 6 };

struct world {
    struct rooms_index *index;
    struct rooms_member members[MEMBERS]; /* ids A to F */
    char seen[64];                        /* ids as they were called */
    int remove_all_at;                    /* that call removes everybody */
    bool remove_self, nested;
};

static const char ids[] = "ABCDEF";

static struct rooms_name name_of(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->index = rooms_index_new(NULL, NULL, NULL);
    world->remove_all_at = -1;
    for (int i = 0; i < MEMBERS; i++) {
        rooms_add(world->index, &world->members[i], &ids[i], 1);
        if (i < 4) rooms_join(world->index, &world->members[i], name_of("abcd"));
        if (i > 1) rooms_join(world->index, &world->members[i], name_of("cdef"));
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < MEMBERS; i++) rooms_remove(world->index, &world->members[i]);
    rooms_index_free(world->index);
    free(world);
    return 0;
}

static void count_only(void *ctx, struct rooms_member *member)
{
    (void)member;
    ++*(int *)ctx;
}

static void visit(void *ctx, struct rooms_member *member)
{
    struct world *world = ctx;
    int at = (int)strlen(world->seen);
    world->seen[at] = member->id[0];
    if (world->remove_self) rooms_remove(world->index, member);
    for (int i = 0; at == world->remove_all_at && i < MEMBERS; i++) rooms_remove(world->index, &world->members[i]);
    if (world->nested) {
        struct rooms_name both[] = {name_of("abcd"), name_of("cdef")};
        struct rooms_selector selector = {both, 2, &both[0], 1};
        int count = 0;
        assert_int_equal(rooms_each_unchanged(world->index, &selector, count_only, &count), 2);
        assert_int_equal(count, 2);
    }
}

static int by_char(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

/* Names are separated by spaces. */
static struct rooms_selector parse(struct rooms_name *names, const char *rooms, const char *except)
{
    const char *texts[2] = {rooms, except};
    size_t counts[2] = {0, 0}, at = 0;
    for (int k = 0; k < 2; k++) {
        for (const char *p = texts[k]; *p; p += strspn(p, " ")) {
            names[at++] = (struct rooms_name){p, strcspn(p, " ")};
            p += strcspn(p, " ");
            counts[k]++;
        }
    }
    return (struct rooms_selector){names, counts[0], names + counts[0], counts[1]};
}

static void assert_selects(struct world *world, const char *rooms, const char *except, const char *expected)
{
    struct rooms_name names[16];
    struct rooms_selector selector = parse(names, rooms, except);
    for (int unchanged = 0; unchanged < 2; unchanged++) {
        memset(world->seen, 0, sizeof world->seen);
        long called = (unchanged ? rooms_each_unchanged : rooms_each)(world->index, &selector, visit, world);
        assert_int_equal(called, strlen(expected));
        qsort(world->seen, strlen(world->seen), 1, by_char);
        assert_string_equal(world->seen, expected);
    }
}

static void nobody_named_means_everybody(void **state)
{
    assert_selects(*state, "", "", "ABCDEF");
    assert_selects(*state, "", "A", "BCDEF");
    assert_selects(*state, "", "abcd", "EF");
    assert_selects(*state, "", "A B C D E", "F");
    assert_selects(*state, "", "abcd cdef", "");
}

static void a_room_selects_its_members(void **state)
{
    assert_selects(*state, "abcd", "", "ABCD");
    assert_selects(*state, "abcd", "B", "ACD");
    assert_selects(*state, "nowhere", "", "");
    assert_selects(*state, "nowhere", "nowhere", "");
}

static void a_member_in_several_rooms_is_called_once(void **state)
{
    assert_selects(*state, "abcd cdef", "", "ABCDEF");
    assert_selects(*state, "abcd abcd A C nowhere", "", "ABCD");
}

static void except_wins_over_rooms(void **state)
{
    assert_selects(*state, "abcd", "abcd", "");
    assert_selects(*state, "abcd", "cdef", "AB");
    assert_selects(*state, "A", "A", "");
    assert_selects(*state, "A B", "abcd", "");
    assert_selects(*state, "abcd cdef", "A D F", "BCE");
}

static void an_id_selects_its_member_until_it_left_its_own_room(void **state)
{
    struct world *world = *state;
    assert_selects(world, "A", "", "A");
    rooms_leave(world->index, &world->members[0], name_of("A"));
    assert_selects(world, "A", "", "");
    assert_selects(world, "abcd", "A", "ABCD");
    assert_selects(world, "", "", "ABCDEF");
    rooms_join(world->index, &world->members[0], name_of("A"));
    assert_selects(world, "A", "", "A");
}

static void an_id_that_is_also_a_joined_room_selects_both(void **state)
{
    struct world *world = *state;
    rooms_join(world->index, &world->members[5], name_of("A"));
    assert_selects(world, "A", "", "AF");
    assert_selects(world, "A", "F", "A");
    assert_selects(world, "", "A", "BCDE");
    rooms_leave(world->index, &world->members[0], name_of("A"));
    assert_selects(world, "A", "", "F");
}

static void a_member_may_remove_itself_in_the_walk(void **state)
{
    struct world *world = *state;
    struct rooms_name room = name_of("abcd");
    struct rooms_selector selector = {&room, 1, NULL, 0};
    world->remove_self = true;
    assert_int_equal(rooms_each(world->index, &selector, visit, world), 4);
    assert_int_equal(rooms_member_count(world->index), 2);
    assert_null(rooms_find(world->index, room));
}

static void members_removed_meanwhile_are_skipped(void **state)
{
    struct world *world = *state;
    struct rooms_selector everybody = {0};
    world->remove_all_at = 2;
    assert_int_equal(rooms_each(world->index, &everybody, visit, world), 3);
    assert_int_equal(rooms_member_count(world->index), 0);
}

struct freeing {
    struct rooms_index *index;
    struct rooms_member **members;
    int count;
};

static void free_two(void *ctx, struct rooms_member *member)
{
    struct freeing *freeing = ctx;
    struct rooms_member *other = NULL;
    for (int i = 0; i < freeing->count && !other; i++)
        if (freeing->members[i] != member) other = freeing->members[i];
    for (int i = 0; i < freeing->count; i++)
        if (freeing->members[i] == member || freeing->members[i] == other) freeing->members[i] = NULL;
    rooms_remove(freeing->index, member);
    free(member);
    if (other) rooms_remove(freeing->index, other);
    free(other);
    int kept = 0;
    for (int i = 0; i < freeing->count; i++)
        if (freeing->members[i]) freeing->members[kept++] = freeing->members[i];
    freeing->count = kept;
}

/* The memory of a removed member may be gone at once: the walk must not look at it. */
static void removed_members_are_not_touched(void **state)
{
    (void)state;
    enum { COUNT = 101 };
    struct freeing freeing = {rooms_index_new(NULL, NULL, NULL), calloc(COUNT, sizeof(void *)), COUNT};
    struct rooms_selector everybody = {0};
    char names[COUNT][4];
    for (int i = 0; i < COUNT; i++) {
        freeing.members[i] = calloc(1, sizeof *freeing.members[i]);
        names[i][0] = 'x', names[i][1] = (char)i;
        rooms_add(freeing.index, freeing.members[i], names[i], 2);
    }
    assert_int_equal(rooms_each(freeing.index, &everybody, free_two, &freeing), 51);
    assert_int_equal(rooms_member_count(freeing.index), 0);
    free(freeing.members);
    rooms_index_free(freeing.index);
}

static void a_walk_may_start_another_one(void **state)
{
    struct world *world = *state;
    world->nested = true;
    assert_selects(world, "abcd", "", "ABCD");
    assert_selects(world, "abcd cdef", "A", "BCDEF");
    assert_selects(world, "", "A cdef", "B");
}

static void join_another(void *ctx, struct rooms_member *member)
{
    struct world *world = ctx;
    rooms_leave(world->index, member, name_of("abcd"));
    rooms_join(world->index, &world->members[5], name_of("abcd"));
    visit(ctx, member);
}

static void the_set_is_taken_before_the_first_call(void **state)
{
    struct world *world = *state;
    struct rooms_name room = name_of("abcd");
    struct rooms_selector selector = {&room, 1, NULL, 0};
    assert_int_equal(rooms_each(world->index, &selector, join_another, world), 4);
    qsort(world->seen, 4, 1, by_char);
    assert_string_equal(world->seen, "ABCD");
    assert_selects(world, "abcd", "", "F");
}

/* Marks of old walks must not count when the numbers of walks start again. */
static void the_numbers_of_walks_may_start_again(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < MEMBERS; i++) world->members[i].visit = 1;
    world->index->visit = UINT32_MAX;
    assert_selects(world, "abcd cdef", "", "ABCDEF");
    assert_selects(world, "abcd cdef", "A", "BCDEF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_named_means_everybody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_room_selects_its_members, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_in_several_rooms_is_called_once, setup, teardown),
        cmocka_unit_test_setup_teardown(except_wins_over_rooms, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_selects_its_member_until_it_left_its_own_room, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_that_is_also_a_joined_room_selects_both, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_may_remove_itself_in_the_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(members_removed_meanwhile_are_skipped, setup, teardown),
        cmocka_unit_test(removed_members_are_not_touched),
        cmocka_unit_test_setup_teardown(a_walk_may_start_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_numbers_of_walks_may_start_again, setup, teardown),
        cmocka_unit_test_setup_teardown(the_set_is_taken_before_the_first_call, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
