/* rooms_index.c and rooms_table.c: joining, leaving, the own room, events, limits, and a model. */
#include "rooms_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rooms_name name_of(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

struct log {
    char text[2048];
};

static void log_add(struct log *log, const char *what, struct rooms_name room, const struct rooms_member *member)
{
    size_t used = strlen(log->text);
    snprintf(log->text + used, sizeof log->text - used, "%s %.*s%s%.*s\n", what, (int)room.n, room.p, member ? " " : "",
             member ? member->id_size : 0, member ? member->id : "");
}

static void on_created(void *ctx, struct rooms_name room)
{
    log_add(ctx, "created", room, NULL);
}

static void on_deleted(void *ctx, struct rooms_name room)
{
    log_add(ctx, "deleted", room, NULL);
}

static void on_joined(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    log_add(ctx, "joined", room, member);
}

static void on_left(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    log_add(ctx, "left", room, member);
}

static const struct rooms_events log_events = {on_created, on_deleted, on_joined, on_left};

static void assert_log(struct log *log, const char *expected)
{
    assert_string_equal(log->text, expected);
    log->text[0] = '\0';
}

static void add(struct rooms_index *index, struct rooms_member *member, const char *id)
{
    assert_int_equal(rooms_add(index, member, id, strlen(id)), ROOMS_OK);
}

static void join(struct rooms_index *index, struct rooms_member *member, const char *room)
{
    assert_int_equal(rooms_join(index, member, name_of(room)), ROOMS_OK);
}

static void assert_rooms(const struct rooms_member *member, const char *expected)
{
    char text[256] = "";
    struct rooms_name room;
    for (size_t i = 0; rooms_member_room_at(member, i, &room); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? " " : "", (int)room.n, room.p);
    assert_string_equal(text, expected);
}

static void events_tell_rooms_and_members_in_order(void **state)
{
    (void)state;
    struct log log = {""};
    struct rooms_index *index = rooms_index_new(NULL, &log_events, &log);
    struct rooms_member a = {0}, b = {0};
    add(index, &a, "A");
    assert_log(&log, "created A\njoined A A\n");
    add(index, &b, "B");
    assert_log(&log, "created B\njoined B B\n");
    join(index, &a, "call");
    assert_log(&log, "created call\njoined call A\n");
    join(index, &b, "call");
    join(index, &b, "call");
    assert_log(&log, "joined call B\n");
    rooms_leave(index, &a, name_of("call"));
    rooms_leave(index, &a, name_of("call"));
    rooms_leave(index, &a, name_of("nowhere"));
    assert_log(&log, "left call A\n");
    rooms_remove(index, &b);
    rooms_remove(index, &b);
    assert_log(&log, "left B B\ndeleted B\nleft call B\ndeleted call\n");
    rooms_remove(index, &a);
    assert_log(&log, "left A A\ndeleted A\n");
    assert_int_equal(rooms_member_count(index), 0);
    assert_int_equal(rooms_room_count(index), 0);
    rooms_index_free(index);
}

static void the_own_room_is_one_with_the_joined_room_of_its_name(void **state)
{
    (void)state;
    struct log log = {""};
    struct rooms_index *index = rooms_index_new(NULL, &log_events, &log);
    struct rooms_member a = {0}, b = {0};
    add(index, &a, "A");
    add(index, &b, "B");
    log.text[0] = '\0';
    join(index, &b, "A");
    join(index, &a, "A");
    assert_log(&log, "joined A B\n");
    assert_int_equal(rooms_room_count(index), 1);
    rooms_leave(index, &a, name_of("A"));
    assert_log(&log, "left A A\n");
    assert_false(rooms_is_in(index, &a, name_of("A")));
    assert_true(rooms_is_in(index, &b, name_of("A")));
    assert_rooms(&a, "");
    assert_ptr_equal(rooms_member_find(index, name_of("A")), &a);
    rooms_leave(index, &b, name_of("A"));
    assert_log(&log, "left A B\ndeleted A\n");
    join(index, &a, "A");
    assert_log(&log, "created A\njoined A A\n");
    assert_int_equal(rooms_room_count(index), 0);
    rooms_remove(index, &a);
    rooms_remove(index, &b);
    rooms_index_free(index);
}

static void a_members_rooms_are_told_in_the_order_of_joining(void **state)
{
    (void)state;
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    struct rooms_member a = {0};
    add(index, &a, "A");
    join(index, &a, "x");
    join(index, &a, "y");
    join(index, &a, "z");
    rooms_leave(index, &a, name_of("x"));
    join(index, &a, "x");
    assert_rooms(&a, "A y z x");
    rooms_leave(index, &a, name_of("A"));
    assert_rooms(&a, "y z x");
    rooms_remove(index, &a);
    assert_rooms(&a, "");
    rooms_index_free(index);
}

static void limits_and_bad_arguments_are_refused(void **state)
{
    (void)state;
    struct rooms_options options = {.max_name_bytes = 4, .max_rooms_per_member = 2};
    struct rooms_index *index = rooms_index_new(&options, NULL, NULL);
    struct rooms_member a = {0}, again = {0};
    char long_id[256];
    memset(long_id, 'i', sizeof long_id);
    assert_int_equal(rooms_join(index, &a, name_of("x")), ROOMS_EINVAL);
    rooms_leave(index, &a, name_of("x"));
    assert_int_equal(rooms_add(index, &a, "", 0), ROOMS_EINVAL);
    assert_int_equal(rooms_add(index, &a, long_id, sizeof long_id), ROOMS_EINVAL);
    assert_int_equal(rooms_add(index, &a, long_id, 255), ROOMS_OK);
    assert_int_equal(rooms_add(index, &a, long_id, 255), ROOMS_EINVAL);
    assert_int_equal(rooms_add(index, &again, long_id, 255), ROOMS_EEXIST);
    assert_int_equal(rooms_join(index, &a, name_of("")), ROOMS_EINVAL);
    assert_int_equal(rooms_join(index, &a, name_of("12345")), ROOMS_ELIMIT);
    join(index, &a, "1234");
    join(index, &a, "two");
    assert_int_equal(rooms_join(index, &a, name_of("3")), ROOMS_ELIMIT);
    assert_null(rooms_find(index, name_of("3")));
    join(index, &a, "two");
    rooms_leave(index, &a, name_of("two"));
    join(index, &a, "3");
    assert_int_equal(rooms_join(index, &a, (struct rooms_name){long_id, 255}), ROOMS_OK);
    rooms_remove(index, &a);
    rooms_index_free(index);
    rooms_index_free(NULL);
    assert_string_equal(rooms_strerror(ROOMS_ELIMIT), "limit reached");
}

static void names_are_any_bytes(void **state)
{
    (void)state;
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    struct rooms_member a = {0};
    add(index, &a, "A");
    assert_int_equal(rooms_join(index, &a, (struct rooms_name){"x\0y", 3}), ROOMS_OK);
    assert_false(rooms_is_in(index, &a, name_of("x")));
    assert_true(rooms_is_in(index, &a, (struct rooms_name){"x\0y", 3}));
    assert_null(rooms_find(index, (struct rooms_name){"x\0z", 3}));
    rooms_remove(index, &a);
    rooms_index_free(index);
}

enum { MANY = 20000 };

/* Growing and shrinking of the tables, the room and the links; every name must be found at every size. */
static void many_members_and_rooms_are_found(void **state)
{
    (void)state;
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    struct rooms_member *members = calloc(MANY, sizeof *members);
    char(*ids)[12] = calloc(MANY, sizeof *ids);
    size_t count;
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        add(index, &members[i], ids[i]);
        join(index, &members[i], "all");
        char room[16];
        snprintf(room, sizeof room, "r%d", i);
        join(index, &members[0], room);
    }
    assert_int_equal(rooms_room_count(index), MANY + 1);
    (void)rooms_room_members(rooms_find(index, name_of("all")), &count);
    assert_int_equal(count, MANY);
    for (int i = 0; i < MANY; i++) assert_ptr_equal(rooms_member_find(index, name_of(ids[i])), &members[i]);
    for (int i = 1; i < MANY - 3; i++) rooms_remove(index, &members[i]);
    (void)rooms_room_members(rooms_find(index, name_of("all")), &count);
    assert_int_equal(count, 4);
    assert_true(rooms_find(index, name_of("all"))->capacity <= 16);
    assert_true(index->members.table.slot_count <= 64);
    assert_ptr_equal(rooms_member_find(index, name_of(ids[MANY - 1])), &members[MANY - 1]);
    rooms_remove(index, &members[0]);
    assert_int_equal(rooms_room_count(index), 1);
    for (int i = MANY - 3; i < MANY; i++) rooms_remove(index, &members[i]);
    rooms_index_free(index);
    free(ids);
    free(members);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    uint32_t seed = 2463534242;
    struct model *model = model_new();
    for (int i = 0; i < 100000; i++) {
        uint32_t words[2] = {next_random(&seed), next_random(&seed)};
        uint8_t bytes[MODEL_STEP_BYTES];
        memcpy(bytes, words, sizeof bytes);
        if (i == 50000) model->index->visit = UINT32_MAX - 3; /* the numbers of walks start again */
        model_step(model, bytes);
    }
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_tell_rooms_and_members_in_order),
        cmocka_unit_test(the_own_room_is_one_with_the_joined_room_of_its_name),
        cmocka_unit_test(a_members_rooms_are_told_in_the_order_of_joining),
        cmocka_unit_test(limits_and_bad_arguments_are_refused),
        cmocka_unit_test(names_are_any_bytes),
        cmocka_unit_test(many_members_and_rooms_are_found),
        cmocka_unit_test(random_operations_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
