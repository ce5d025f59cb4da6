/* Which members are in which room. All changes of the two-way index happen in link_rooms and unlink_rooms; everything
 * else here finds names, reports events and enforces limits. The walks are in rooms_select.c. */
#include "rooms_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Most members are in one room besides their own, and one link fits into the allocator's smallest piece. */
enum { MIN_MEMBERS = 2 };

const char *rooms_strerror(int error)
{
    switch (error) {
    case ROOMS_OK:
        return "no error";
    case ROOMS_EINVAL:
        return "invalid argument";
    case ROOMS_ENOMEM:
        return "out of memory";
    case ROOMS_ELIMIT:
        return "limit reached";
    case ROOMS_EEXIST:
        return "exists already";
    case ROOMS_ETIMEOUT:
        return "timed out";
    case ROOMS_EAWAY:
        return "no connection";
    default:
        return "unknown error";
    }
}

void rooms_options_init(struct rooms_options *options)
{
    *options = (struct rooms_options){.max_name_bytes = 1024, .max_rooms_per_member = 65536};
}

static struct rooms_name member_name(const void *item)
{
    const struct rooms_member *member = item;
    return (struct rooms_name){member->id, member->id_size};
}

static struct rooms_name room_name(const void *item)
{
    return rooms_room_name(item);
}

struct rooms_index *rooms_index_new(const struct rooms_options *options, const struct rooms_events *events, void *ctx)
{
    if (sodium_init() < 0) return NULL;
    struct rooms_index *index = calloc(1, sizeof *index);
    if (!index) return NULL;
    rooms_options_init(&index->options);
    if (options) index->options = *options;
    if (index->options.max_name_bytes > UINT32_MAX / 2) index->options.max_name_bytes = UINT32_MAX / 2;
    if (index->options.max_rooms_per_member > UINT32_MAX / 2) index->options.max_rooms_per_member = UINT32_MAX / 2;
    if (events) index->events = *events;
    index->ctx = ctx;
    crypto_shorthash_keygen(index->key);
    rooms__table_init(&index->members, member_name, index->key);
    rooms__table_init(&index->rooms, room_name, index->key);
    return index;
}

void rooms_index_free(struct rooms_index *index)
{
    if (!index) return;
    rooms__table_clear(&index->members);
    rooms__table_clear(&index->rooms);
    free(index);
}

/* ------------------------------------------------------------------ events */

static void tell_joined(struct rooms_index *index, struct rooms_name room, struct rooms_member *member, bool created)
{
    if (created && index->events.room_created) index->events.room_created(index->ctx, room);
    if (index->events.joined) index->events.joined(index->ctx, room, member);
}

static void tell_left(struct rooms_index *index, struct rooms_name room, struct rooms_member *member, bool deleted)
{
    if (index->events.left) index->events.left(index->ctx, room, member);
    if (deleted && index->events.room_deleted) index->events.room_deleted(index->ctx, room);
}

/* A member is alone in its own room of that name. */
static bool own_room_exists(struct rooms_index *index, struct rooms_name name)
{
    const struct rooms_member *member = rooms__table_find(&index->members, name);
    return member && member->in_own_room;
}

/* ----------------------------------------------------------- two-way index */

static int room_resize(struct rooms_room *room, uint32_t capacity)
{
    struct rooms_member **members = realloc(room->members, capacity * sizeof *members);
    if (!members) return ROOMS_ENOMEM;
    room->members = members;
    uint32_t *link_at = realloc(room->link_at, capacity * sizeof *link_at);
    if (!link_at) return ROOMS_ENOMEM; /* the larger array of members does no harm */
    room->link_at = link_at;
    room->capacity = capacity;
    return ROOMS_OK;
}

/* To more than one. */
static int member_grow(struct rooms_member *member, uint32_t capacity)
{
    bool is_inline = member->link_capacity == 1;
    struct rooms_link *links = realloc(is_inline ? NULL : member->links, capacity * sizeof *links);
    if (!links) return ROOMS_ENOMEM;
    if (is_inline) links[0] = member->link;
    member->links = links;
    member->link_capacity = capacity;
    return ROOMS_OK;
}

/* Makes place for one more on both sides, so that linking cannot fail. */
static int reserve_link(struct rooms_room *room, struct rooms_member *member)
{
    if (room->count == UINT32_MAX / 2) return ROOMS_ELIMIT;
    if (room->count == room->capacity) {
        int error = room_resize(room, room->capacity ? room->capacity * 2 : MIN_MEMBERS);
        if (error) return error;
    }
    if (member->link_count < member->link_capacity) return ROOMS_OK;
    return member_grow(member, member->link_capacity * 2);
}

static void link_rooms(struct rooms_room *room, struct rooms_member *member)
{
    room->members[room->count] = member;
    room->link_at[room->count] = member->link_count;
    rooms__links(member)[member->link_count] = (struct rooms_link){room, room->count};
    room->count++;
    member->link_count++;
}

/* The room's side of unlinking: the last member takes the place that becomes free. */
static void unlink_room(struct rooms_room *room, uint32_t position)
{
    uint32_t last = --room->count;
    if (position != last) {
        struct rooms_member *moved = room->members[last];
        uint32_t link_at = room->link_at[last];
        room->members[position] = moved;
        room->link_at[position] = link_at;
        rooms__links(moved)[link_at].position = position;
    }
    if (room->count >= MIN_MEMBERS && room->count * 4 <= room->capacity)
        (void)room_resize(room, room->capacity / 2); /* without memory it stays as large as it is */
}

/* The member's side: later links move up, since a member's rooms are listed in the order of joining. */
static void unlink_member(struct rooms_member *member, uint32_t at)
{
    struct rooms_link *links = rooms__links(member);
    member->link_count--;
    for (uint32_t i = at; i < member->link_count; i++) {
        links[i] = links[i + 1];
        links[i].room->link_at[links[i].position] = i;
    }
    if (member->link_count == 0 && member->link_capacity > 1) {
        free(links);
        member->link_capacity = 1;
    } else if (member->link_count && member->link_count * 4 <= member->link_capacity) {
        (void)member_grow(member, member->link_capacity / 2);
    }
}

static void room_free(struct rooms_room *room)
{
    free(room->members);
    free(room->link_at);
    free(room);
}

static struct rooms_room *room_new(struct rooms_index *index, struct rooms_name name)
{
    struct rooms_room *room = calloc(1, sizeof *room + name.n);
    if (!room) return NULL;
    memcpy(room->name, name.p, name.n);
    room->name_size = (uint32_t)name.n;
    if (rooms__table_insert(&index->rooms, room) == ROOMS_OK) return room;
    room_free(room);
    return NULL;
}

static void room_delete(struct rooms_index *index, struct rooms_room *room)
{
    rooms__table_remove(&index->rooms, room);
    room_free(room);
}

/* Reports the leaving and frees the room if it was the last one's; the name lives as long as the report. */
static void after_leaving(struct rooms_index *index, struct rooms_room *room, struct rooms_member *member)
{
    if (room->count > 0) {
        tell_left(index, rooms_room_name(room), member, false);
        return;
    }
    rooms__table_remove(&index->rooms, room);
    struct rooms_name name = rooms_room_name(room);
    tell_left(index, name, member, index->events.room_deleted && !own_room_exists(index, name));
    room_free(room);
}

/* The index of the member's link to the room, or link_count. Looks from the side that has less to look at. */
static uint32_t link_find(const struct rooms_member *member, const struct rooms_room *room)
{
    uint32_t i = 0;
    if (room->count < member->link_count) {
        while (i < room->count && room->members[i] != member) i++;
        return i < room->count ? room->link_at[i] : member->link_count;
    }
    const struct rooms_link *links = rooms__links(member);
    while (i < member->link_count && links[i].room != room) i++;
    return i;
}

static bool is_own(const struct rooms_member *member, struct rooms_name room)
{
    return room.n == member->id_size && memcmp(room.p, member->id, room.n) == 0;
}

/* --------------------------------------------------------------- own rooms */

static void own_room_join(struct rooms_index *index, struct rooms_member *member)
{
    if (member->in_own_room) return;
    struct rooms_name name = member_name(member);
    member->in_own_room = true;
    tell_joined(index, name, member, index->events.room_created && !rooms_find(index, name));
}

static void own_room_leave(struct rooms_index *index, struct rooms_member *member)
{
    if (!member->in_own_room) return;
    struct rooms_name name = member_name(member);
    member->in_own_room = false;
    tell_left(index, name, member, index->events.room_deleted && !rooms_find(index, name));
}

/* ------------------------------------------------------------------ public */

int rooms_add(struct rooms_index *index, struct rooms_member *member, const char *id, size_t id_size)
{
    if (member->in_index || id_size == 0 || id_size > UINT8_MAX) return ROOMS_EINVAL;
    if (rooms__table_find(&index->members, (struct rooms_name){id, id_size})) return ROOMS_EEXIST;
    *member = (struct rooms_member){.id = id, .id_size = (uint8_t)id_size, .link_capacity = 1};
    int error = rooms__table_insert(&index->members, member);
    if (error) return error;
    member->in_index = true;
    own_room_join(index, member);
    return ROOMS_OK;
}

/* Takes a member that is being removed out of all walks that are going on (rooms_select.c). */
static void walks_forget(struct rooms_index *index, const struct rooms_member *member)
{
    for (struct rooms_walk *walk = index->walks; walk; walk = walk->outer) {
        size_t i = walk->at;
        /* Usually it is the member being called; otherwise it is still ahead, or was called already. */
        while (i < walk->count && walk->members[i] != member) i++;
        if (i < walk->count) walk->members[i] = NULL;
    }
}

void rooms_remove(struct rooms_index *index, struct rooms_member *member)
{
    if (!member->in_index) return;
    own_room_leave(index, member);
    struct rooms_link link = member->link;
    bool is_inline = member->link_capacity == 1;
    struct rooms_link *links = is_inline ? &link : member->links;
    uint32_t link_count = member->link_count;
    member->link_count = 0;
    member->link_capacity = 1;
    for (uint32_t i = 0; i < link_count; i++) {
        unlink_room(links[i].room, links[i].position);
        after_leaving(index, links[i].room, member);
    }
    if (!is_inline) free(links);
    rooms__table_remove(&index->members, member);
    walks_forget(index, member);
    member->in_index = false;
}

int rooms_join(struct rooms_index *index, struct rooms_member *member, struct rooms_name name)
{
    if (!member->in_index || name.n == 0) return ROOMS_EINVAL;
    if (is_own(member, name)) {
        own_room_join(index, member);
        return ROOMS_OK;
    }
    if (name.n > index->options.max_name_bytes) return ROOMS_ELIMIT;
    struct rooms_room *room = rooms_find(index, name);
    if (room && rooms_room_has(room, member)) return ROOMS_OK;
    if (member->link_count >= index->options.max_rooms_per_member) return ROOMS_ELIMIT;
    bool created = !room;
    if (created) room = room_new(index, name);
    if (!room) return ROOMS_ENOMEM;
    int error = reserve_link(room, member);
    if (error) {
        if (created) room_delete(index, room);
        return error;
    }
    link_rooms(room, member);
    tell_joined(index, rooms_room_name(room), member,
                created && index->events.room_created && !own_room_exists(index, name));
    return ROOMS_OK;
}

void rooms_leave(struct rooms_index *index, struct rooms_member *member, struct rooms_name name)
{
    if (!member->in_index || name.n == 0) return;
    if (is_own(member, name)) {
        own_room_leave(index, member);
        return;
    }
    struct rooms_room *room = rooms_find(index, name);
    uint32_t at = room ? link_find(member, room) : member->link_count;
    if (at == member->link_count) return;
    unlink_room(room, rooms__links(member)[at].position);
    unlink_member(member, at);
    after_leaving(index, room, member);
}

struct rooms_member *rooms_member_find(struct rooms_index *index, struct rooms_name id)
{
    return rooms__table_find(&index->members, id);
}

size_t rooms_member_count(const struct rooms_index *index)
{
    return index->members.table.count;
}

bool rooms_is_in(struct rooms_index *index, const struct rooms_member *member, struct rooms_name name)
{
    if (!member->in_index) return false;
    if (is_own(member, name)) return member->in_own_room;
    const struct rooms_room *room = rooms_find(index, name);
    return room && rooms_room_has(room, member);
}

bool rooms_member_room_at(const struct rooms_member *member, size_t i, struct rooms_name *room)
{
    if (member->in_own_room && i == 0) {
        *room = member_name(member);
        return true;
    }
    if (member->in_own_room) i--;
    if (i >= member->link_count) return false;
    *room = rooms_room_name(rooms__links(member)[i].room);
    return true;
}

struct rooms_room *rooms_find(struct rooms_index *index, struct rooms_name room)
{
    return rooms__table_find(&index->rooms, room);
}

struct rooms_member *const *rooms_room_members(const struct rooms_room *room, size_t *count)
{
    *count = room->count;
    return room->members;
}

struct rooms_name rooms_room_name(const struct rooms_room *room)
{
    return (struct rooms_name){room->name, room->name_size};
}

bool rooms_room_has(const struct rooms_room *room, const struct rooms_member *member)
{
    return link_find(member, room) < member->link_count;
}

size_t rooms_room_count(const struct rooms_index *index)
{
    return index->rooms.table.count;
}

void rooms_each_room(struct rooms_index *index, void (*fn)(void *ctx, struct rooms_room *room), void *ctx)
{
    for (size_t i = 0; i < index->rooms.table.slot_count; i++)
        if (index->rooms.table.items[i]) fn(ctx, index->rooms.table.items[i]);
}
