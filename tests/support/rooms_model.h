/* A naive model of the room index: a matrix of who is in what. Bytes are read as operations, done on both, and after
 * each one the index must say the same as the matrix and be consistent in itself. A difference aborts. */
#ifndef ROOMS_MODEL_H
#define ROOMS_MODEL_H

#include "rooms_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_MEMBERS = 12, MODEL_NAMES = 20, MODEL_MAX_ROOMS = 6 };

#define MODEL_CHECK(condition)                                              \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* The first MODEL_MEMBERS names are the ids of the members, too. */
static const char *const model_names[MODEL_NAMES] = {"m0", "m1", "m2",  "m3",  "m4", "m5", "m6", "m7", "m8",     "m9",
                                                     "ma", "mb", "r12", "r13", "r",  "s",  "\1", "rr", "call:1", "x"};

struct model {
    struct rooms_index *index;
    struct rooms_member members[MODEL_MEMBERS];
    bool in_index[MODEL_MEMBERS];
    bool in[MODEL_MEMBERS][MODEL_NAMES];
    uint8_t order[MODEL_MEMBERS][MODEL_NAMES]; /* joined rooms, oldest first, without the own one */
    uint8_t order_count[MODEL_MEMBERS];
    bool told_in[MODEL_MEMBERS][MODEL_NAMES]; /* what the events said */
    bool told_room[MODEL_NAMES];
    bool seen[MODEL_MEMBERS], gone[MODEL_MEMBERS]; /* in a walk */
    unsigned remove_at, remove_who;                /* in a walk: at that call remove that member */
    unsigned called;
};

static struct rooms_name model_name(unsigned i)
{
    return (struct rooms_name){model_names[i % MODEL_NAMES], strlen(model_names[i % MODEL_NAMES])};
}

static unsigned model_name_index(struct rooms_name name)
{
    unsigned i = 0;
    while (i < MODEL_NAMES && (strlen(model_names[i]) != name.n || memcmp(model_names[i], name.p, name.n))) i++;
    MODEL_CHECK(i < MODEL_NAMES);
    return i;
}

static void model_on_created(void *ctx, struct rooms_name room)
{
    struct model *model = ctx;
    unsigned i = model_name_index(room);
    MODEL_CHECK(!model->told_room[i]);
    model->told_room[i] = true;
}

static void model_on_deleted(void *ctx, struct rooms_name room)
{
    struct model *model = ctx;
    unsigned i = model_name_index(room);
    MODEL_CHECK(model->told_room[i]);
    model->told_room[i] = false;
}

static void model_on_joined(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    struct model *model = ctx;
    unsigned i = model_name_index(room);
    bool *told = &model->told_in[member - model->members][i];
    MODEL_CHECK(!*told && model->told_room[i]);
    *told = true;
}

static void model_on_left(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    struct model *model = ctx;
    unsigned i = model_name_index(room);
    bool *told = &model->told_in[member - model->members][i];
    MODEL_CHECK(*told && model->told_room[i]);
    *told = false;
}

static inline struct model *model_new(void)
{
    static const struct rooms_events events = {model_on_created, model_on_deleted, model_on_joined, model_on_left};
    struct rooms_options options;
    struct model *model = calloc(1, sizeof *model);
    MODEL_CHECK(model);
    rooms_options_init(&options);
    options.max_rooms_per_member = MODEL_MAX_ROOMS;
    model->index = rooms_index_new(&options, &events, model);
    MODEL_CHECK(model->index);
    return model;
}

/* ------------------------------------------------------------ consistency */

static void check_room(void *ctx, struct rooms_room *room)
{
    struct model *model = ctx;
    unsigned name = model_name_index(rooms_room_name(room)), expected = 0;
    MODEL_CHECK(room->count > 0 && room->count <= room->capacity);
    MODEL_CHECK(rooms_find(model->index, rooms_room_name(room)) == room);
    for (uint32_t i = 0; i < room->count; i++) {
        const struct rooms_member *member = room->members[i];
        MODEL_CHECK(room->link_at[i] < member->link_count);
        MODEL_CHECK(rooms__links(member)[room->link_at[i]].room == room);
        MODEL_CHECK(rooms__links(member)[room->link_at[i]].position == i);
    }
    for (unsigned m = 0; m < MODEL_MEMBERS; m++) expected += m != name && model->in[m][name];
    MODEL_CHECK(room->count == expected);
}

static void check_member(struct model *model, unsigned m)
{
    const struct rooms_member *member = &model->members[m];
    struct rooms_name room;
    size_t at = 0;
    MODEL_CHECK(member->in_index == model->in_index[m]);
    MODEL_CHECK(rooms_member_find(model->index, model_name(m)) == (member->in_index ? member : NULL));
    MODEL_CHECK(member->link_count == model->order_count[m] && member->link_count <= member->link_capacity);
    for (uint32_t i = 0; i < member->link_count; i++)
        MODEL_CHECK(rooms__links(member)[i].room->members[rooms__links(member)[i].position] == member);
    if (model->in[m][m]) MODEL_CHECK(rooms_member_room_at(member, at++, &room) && model_name_index(room) == m);
    for (unsigned i = 0; i < model->order_count[m]; i++)
        MODEL_CHECK(rooms_member_room_at(member, at++, &room) && model_name_index(room) == model->order[m][i]);
    MODEL_CHECK(!rooms_member_room_at(member, at, &room));
}

static void model_check(struct model *model)
{
    unsigned present = 0, rooms = 0;
    for (unsigned m = 0; m < MODEL_MEMBERS; m++) {
        present += model->in_index[m];
        check_member(model, m);
    }
    for (unsigned n = 0; n < MODEL_NAMES; n++) {
        bool joined = false, own = n < MODEL_MEMBERS && model->in[n][n];
        for (unsigned m = 0; m < MODEL_MEMBERS; m++) {
            joined = joined || (m != n && model->in[m][n]);
            MODEL_CHECK(model->told_in[m][n] == model->in[m][n]);
        }
        rooms += joined;
        MODEL_CHECK(model->told_room[n] == (joined || own));
    }
    MODEL_CHECK(rooms_member_count(model->index) == present);
    MODEL_CHECK(rooms_room_count(model->index) == rooms);
    rooms_each_room(model->index, check_room, model);
}

/* -------------------------------------------------------------- operations */

static void model_remove(struct model *model, unsigned m)
{
    rooms_remove(model->index, &model->members[m]);
    memset(model->in[m], 0, sizeof model->in[m]);
    model->in_index[m] = false;
    model->order_count[m] = 0;
    model->gone[m] = true;
}

static void model_add(struct model *model, unsigned m)
{
    int error = rooms_add(model->index, &model->members[m], model_names[m], strlen(model_names[m]));
    MODEL_CHECK(error == (model->in_index[m] ? ROOMS_EINVAL : ROOMS_OK));
    if (error) return;
    model->in_index[m] = true;
    model->in[m][m] = true;
}

static void model_join(struct model *model, unsigned m, unsigned n)
{
    int error = rooms_join(model->index, &model->members[m], model_name(n));
    int expected = ROOMS_OK;
    bool full = model->order_count[m] == MODEL_MAX_ROOMS;
    if (!model->in_index[m])
        expected = ROOMS_EINVAL;
    else if (m != n && !model->in[m][n] && full)
        expected = ROOMS_ELIMIT;
    MODEL_CHECK(error == expected);
    if (error || model->in[m][n]) return;
    model->in[m][n] = true;
    if (m != n) model->order[m][model->order_count[m]++] = (uint8_t)n;
}

static void model_leave(struct model *model, unsigned m, unsigned n)
{
    rooms_leave(model->index, &model->members[m], model_name(n));
    if (m != n && model->in[m][n]) {
        unsigned i = 0, last = --model->order_count[m];
        while (model->order[m][i] != n) i++;
        memmove(&model->order[m][i], &model->order[m][i + 1], last - i);
    }
    model->in[m][n] = false;
}

static void model_visit(void *ctx, struct rooms_member *member)
{
    struct model *model = ctx;
    unsigned m = (unsigned)(member - model->members);
    MODEL_CHECK(!model->seen[m]);
    MODEL_CHECK(!model->gone[m]);
    model->seen[m] = true;
    if (model->called++ == model->remove_at) model_remove(model, model->remove_who);
}

/* `rooms` and `except` are bit sets of names; remove_at < 0: nothing is removed on the way. */
static void model_walk(struct model *model, unsigned rooms, unsigned except, int remove_at, unsigned who)
{
    struct rooms_name in[MODEL_NAMES], out[MODEL_NAMES];
    struct rooms_selector selector = {in, 0, out, 0};
    bool expected[MODEL_MEMBERS];
    for (unsigned n = 0; n < MODEL_NAMES; n++) {
        if (rooms & 1u << n) in[selector.room_count++] = model_name(n);
        if (except & 1u << n) out[selector.except_count++] = model_name(n);
    }
    for (unsigned m = 0; m < MODEL_MEMBERS; m++) {
        bool named = false, excepted = false;
        for (unsigned n = 0; n < MODEL_NAMES; n++) {
            named = named || ((rooms & 1u << n) && model->in[m][n]);
            excepted = excepted || ((except & 1u << n) && model->in[m][n]);
        }
        expected[m] = model->in_index[m] && (named || selector.room_count == 0) && !excepted;
    }
    memset(model->seen, 0, sizeof model->seen);
    memset(model->gone, 0, sizeof model->gone);
    model->called = 0;
    model->remove_at = (unsigned)remove_at;
    model->remove_who = who;
    long called = (remove_at < 0 ? rooms_each_unchanged : rooms_each)(model->index, &selector, model_visit, model);
    MODEL_CHECK(called == (long)model->called);
    for (unsigned m = 0; m < MODEL_MEMBERS; m++) {
        if (model->gone[m])
            MODEL_CHECK(expected[m] || !model->seen[m]);
        else
            MODEL_CHECK(model->seen[m] == expected[m]);
    }
}

enum { MODEL_STEP_BYTES = 8 };

static inline void model_step(struct model *model, const uint8_t bytes[MODEL_STEP_BYTES])
{
    unsigned m = bytes[1] % MODEL_MEMBERS, n = bytes[2] % MODEL_NAMES;
    unsigned rooms = bytes[3] | (unsigned)(bytes[4] & bytes[2]) << 8 | (unsigned)(bytes[4] & 15) << 16;
    unsigned except = (unsigned)(bytes[5] & bytes[6]) | (unsigned)(bytes[7] & 0x11) << 10;
    switch (bytes[0] % 16) {
    case 0:
        model_remove(model, m);
        break;
    case 1:
    case 2:
    case 3:
        model_add(model, m);
        break;
    case 4:
    case 5:
    case 6:
        model_leave(model, m, n);
        break;
    case 7:
        model_walk(model, 1u << n, except, -1, 0);
        break;
    case 8:
        model_walk(model, bytes[3] & 1 ? 0 : rooms, bytes[3] & 2 ? 0 : except, -1, 0);
        break;
    case 9:
        model_walk(model, bytes[3] & 1 ? 0 : rooms, except, bytes[7] % MODEL_MEMBERS, m);
        break;
    case 10:
        MODEL_CHECK(rooms_is_in(model->index, &model->members[m], model_name(n)) == model->in[m][n]);
        break;
    default:
        model_join(model, m, n);
        break;
    }
    model_check(model);
}

static inline void model_free(struct model *model)
{
    for (unsigned m = 0; m < MODEL_MEMBERS; m++) model_remove(model, m);
    model_check(model);
    rooms_index_free(model->index);
    free(model);
}

#endif
