/* Walks over the selected members. A member reached by several names is taken once, and an excepted one never: both are
 * marked with the number of the walk in member->visit. */
#include "rooms_int.h"

#include <stdlib.h>

enum { FEW = 32, MAX_SKIPPED = 4 };

/* What one name selects: the joined room, and the member whose own room it is. Either may be NULL. A member never joins
 * the room that is its own, so no member is in both. */
struct named {
    const struct rooms_room *room;
    struct rooms_member *own;
};

static struct named resolve(struct rooms_index *index, struct rooms_name name)
{
    struct named found = {rooms_find(index, name), rooms_member_find(index, name)};
    if (found.own && !found.own->in_own_room) found.own = NULL;
    return found;
}

static uint32_t next_visit(struct rooms_index *index)
{
    if (++index->visit == 0) {
        for (size_t i = 0; i < index->members.table.slot_count; i++) {
            struct rooms_member *member = index->members.table.items[i];
            if (member) member->visit = 0;
        }
        index->visit = 1;
    }
    return index->visit;
}

static void mark_excepted(struct rooms_index *index, const struct rooms_selector *selector, uint32_t visit)
{
    for (size_t i = 0; i < selector->except_count; i++) {
        struct named found = resolve(index, selector->except[i]);
        if (found.own) found.own->visit = visit;
        for (size_t k = 0; found.room && k < found.room->count; k++) found.room->members[k]->visit = visit;
    }
}

static void add_member(struct rooms_walk *walk, struct rooms_member *member, uint32_t visit)
{
    if (member->visit == visit) return;
    member->visit = visit;
    walk->members[walk->count++] = member;
}

static void take_named(struct rooms_index *index, const struct rooms_selector *selector, struct rooms_walk *walk,
                       uint32_t visit)
{
    for (size_t i = 0; i < selector->room_count; i++) {
        struct named found = resolve(index, selector->rooms[i]);
        if (found.own) add_member(walk, found.own, visit);
        for (size_t k = 0; found.room && k < found.room->count; k++) add_member(walk, found.room->members[k], visit);
    }
}

static void take_all(struct rooms_index *index, struct rooms_walk *walk, uint32_t visit)
{
    for (size_t i = 0; i < index->members.table.slot_count; i++)
        if (index->members.table.items[i]) add_member(walk, index->members.table.items[i], visit);
}

/* No set has more members than this. */
static size_t set_bound(struct rooms_index *index, const struct rooms_selector *selector)
{
    size_t all = index->members.table.count, bound = 0;
    if (selector->room_count == 0) return all;
    for (size_t i = 0; i < selector->room_count && bound < all; i++) {
        struct named found = resolve(index, selector->rooms[i]);
        bound += (found.room ? found.room->count : 0) + (found.own ? 1 : 0);
    }
    return bound < all ? bound : all;
}

static long call_walk(struct rooms_index *index, struct rooms_walk *walk,
                      void (*fn)(void *ctx, struct rooms_member *member), void *ctx)
{
    long called = 0;
    walk->outer = index->walks;
    index->walks = walk;
    for (walk->at = 0; walk->at < walk->count; walk->at++) {
        if (!walk->members[walk->at]) continue;
        called++;
        fn(ctx, walk->members[walk->at]);
    }
    index->walks = walk->outer;
    return called;
}

long rooms_each(struct rooms_index *index, const struct rooms_selector *selector,
                void (*fn)(void *ctx, struct rooms_member *member), void *ctx)
{
    struct rooms_member *few[FEW];
    struct rooms_walk walk = {.members = few};
    size_t bound = set_bound(index, selector);
    if (bound == 0) return 0;
    if (bound > FEW) walk.members = malloc(bound * sizeof *walk.members);
    if (!walk.members) return ROOMS_ENOMEM;

    uint32_t visit = next_visit(index);
    mark_excepted(index, selector, visit);
    if (selector->room_count == 0)
        take_all(index, &walk, visit);
    else
        take_named(index, selector, &walk, visit);

    long called = call_walk(index, &walk, fn, ctx);
    if (walk.members != few) free(walk.members);
    return called;
}

/* ------------------------------------------------------- without making a set */

/* The members to leave out, compared one by one: the usual case is "all but the sender". Marks would not do here,
 * because fn may walk too. */
struct skipped {
    const struct rooms_member *members[MAX_SKIPPED];
    size_t count;
};

/* False if the names mean more than a few members. */
static bool skipped_init(struct rooms_index *index, const struct rooms_selector *selector, struct skipped *skipped)
{
    skipped->count = 0;
    for (size_t i = 0; i < selector->except_count; i++) {
        struct named found = resolve(index, selector->except[i]);
        if (found.room) return false;
        if (!found.own) continue;
        if (skipped->count == MAX_SKIPPED) return false;
        skipped->members[skipped->count++] = found.own;
    }
    return true;
}

static bool is_skipped(const struct skipped *skipped, const struct rooms_member *member)
{
    for (size_t i = 0; i < skipped->count; i++)
        if (skipped->members[i] == member) return true;
    return false;
}

/* Empty slots are passed over: the table of all members is walked as it is. */
static long call_dense(struct rooms_member *const *members, size_t count, const struct skipped *skipped,
                       void (*fn)(void *ctx, struct rooms_member *member), void *ctx)
{
    long called = 0;
    for (size_t i = 0; i < count; i++) {
        if (!members[i] || is_skipped(skipped, members[i])) continue;
        called++;
        fn(ctx, members[i]);
    }
    return called;
}

static long call_all(struct rooms_index *index, const struct skipped *skipped,
                     void (*fn)(void *ctx, struct rooms_member *member), void *ctx)
{
    long called = 0;
    for (size_t i = 0; i < index->members.table.slot_count; i++) {
        struct rooms_member *member = index->members.table.items[i];
        if (member) called += call_dense(&member, 1, skipped, fn, ctx);
    }
    return called;
}

long rooms_each_unchanged(struct rooms_index *index, const struct rooms_selector *selector,
                          void (*fn)(void *ctx, struct rooms_member *member), void *ctx)
{
    struct skipped skipped;
    if (selector->room_count > 1 || !skipped_init(index, selector, &skipped))
        return rooms_each(index, selector, fn, ctx);
    if (selector->room_count == 0) return call_all(index, &skipped, fn, ctx);
    struct named found = resolve(index, selector->rooms[0]);
    long called = 0;
    if (found.own) called += call_dense(&found.own, 1, &skipped, fn, ctx);
    if (found.room) called += call_dense(found.room->members, found.room->count, &skipped, fn, ctx);
    return called;
}
