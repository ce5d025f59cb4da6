/* What the files of rooms/ share: the table of names, the room and the index. */
#ifndef ROOMS_INT_H
#define ROOMS_INT_H

#include "base_table.h"
#include "rooms.h"

/* ------------------------------------------------------------ rooms_table.c */

/* Items found by name. The items are the owner's and must not move; `name_of` reads an item's name, which must not
 * change while it is in the table. */
struct rooms_table {
    struct base_table table;
    struct rooms_name (*name_of)(const void *item);
    const uint8_t *key; /* of the hash; random, so that names cannot be chosen to collide */
};

void rooms__table_init(struct rooms_table *table, struct rooms_name (*name_of)(const void *item), const uint8_t *key);
void rooms__table_clear(struct rooms_table *table);
void *rooms__table_find(const struct rooms_table *table, struct rooms_name name);
/* The name must not be in the table. Returns 0 or ROOMS_ENOMEM. */
int rooms__table_insert(struct rooms_table *table, void *item);
/* The item must be in the table. Never fails. */
void rooms__table_remove(struct rooms_table *table, const void *item);

/* ------------------------------------------------------------ rooms_index.c */

/* A member's rooms: of each, room->members[position] is the member. */
static inline struct rooms_link *rooms__links(const struct rooms_member *member)
{
    return member->link_capacity > 1 ? member->links : (struct rooms_link *)(uintptr_t)&member->link;
}

struct rooms_room {
    struct rooms_member **members;
    uint32_t *link_at; /* rooms__links(members[i])[link_at[i]] is the link back to this room */
    uint32_t count;    /* never 0: the last one's leaving frees the room */
    uint32_t capacity;
    uint32_t name_size;
    char name[];
};

/* The set of a walk that is going on. Lives on the stack of rooms_each. */
struct rooms_walk {
    struct rooms_member **members; /* NULL: removed meanwhile */
    size_t count;
    size_t at; /* the one being called */
    struct rooms_walk *outer;
};

struct rooms_index {
    struct rooms_options options;
    struct rooms_events events;
    void *ctx;
    uint8_t key[16];
    struct rooms_table members; /* struct rooms_member, by id */
    struct rooms_table rooms;   /* struct rooms_room, by name; joined rooms only */
    struct rooms_walk *walks;   /* the innermost */
    uint32_t visit;             /* the last one given out; 0 is never given */
};

/* ------------------------------------------------------------- rooms_copy.c */

/* Hands out pieces of a block that was measured before: structs and slices first, then what they point to. */
struct rooms_arena {
    char *at;
};
void *rooms__cut(struct rooms_arena *arena, size_t size);
struct rooms_name rooms__cut_name(struct rooms_arena *arena, struct rooms_name name);
struct rooms_bytes rooms__cut_bytes(struct rooms_arena *arena, struct rooms_bytes bytes);
/* Copies the names' text into slices that were cut before. */
void rooms__cut_names(struct rooms_arena *text, struct rooms_name *out, const struct rooms_name *names, size_t count);
size_t rooms__names_size(const struct rooms_name *names, size_t count); /* slices and text */

/* ---------------------------------------------------------- rooms_backoff.c */

/* How long to wait before trying again: doubles from min to max with each round, less a random part of up to half, so
 * that nodes do not all come at once. */
uint32_t rooms__backoff_ms(unsigned round, uint32_t min_ms, uint32_t max_ms, uint32_t chance);

/* --------------------------------------------------------- rooms_recovery.c */

/* The memory adapter's log and sessions. Time is the caller's. Offsets are "<8 characters of this log>.<number>". */
struct rooms_log;
struct rooms_log *rooms__log_new(const struct rooms_recovery *limits);
void rooms__log_free(struct rooms_log *log); /* accepts NULL */
/* Copies a message and its recipients, and writes its offset. Returns 0 or ROOMS_ENOMEM. */
int rooms__log_add(struct rooms_log *log, uint64_t now_ms, const struct rooms_selector *who,
                   const struct rooms_message *message);
void rooms__log_expire(struct rooms_log *log, uint64_t now_ms);
/* Of the last message; out: ROOMS_OFFSET_SIZE. */
struct rooms_name rooms__log_offset(const struct rooms_log *log, char *out);
int rooms__log_save(struct rooms_log *log, uint64_t now_ms, const struct rooms_session *session);
/* Returns NULL if it cannot be restored; otherwise one block, with its strings, that the caller frees. */
struct rooms_session *rooms__log_restore(struct rooms_log *log, uint64_t now_ms, struct rooms_name pid,
                                         struct rooms_name offset);
int rooms__log_replay(const struct rooms_log *log, struct rooms_name offset, rooms_replay_fn each, void *ctx);

/* Several processes may each log the messages of all of them. Every message has a number of its origin, so that what a
 * client has of one log can be found in another, whose order differs: of each origin it has the first `has`. In the
 * other log that is a position: an offset, and the distances of a few later messages that it has, too:
 * "<offset>~<distance>~<distance>". Restored sessions have positions as offsets. */
struct rooms__mark {
    uint64_t origin, has;
    uint64_t last; /* of the messages that the sender of this mark knew */
};
enum { ROOMS__ORIGINS_MAX = 256 };

/* As rooms__log_add(), for an origin's seq-th message. */
int rooms__log_add_of(struct rooms_log *log, uint64_t now_ms, const struct rooms_selector *who,
                      const struct rooms_message *message, const struct rooms__mark *of);
/* Notes an origin: its messages so far are not in the log, unless the origin is already known. */
void rooms__log_meet(struct rooms_log *log, uint64_t origin, uint64_t last);
/* The marks of a client at that position. Returns how many, at most ROOMS__ORIGINS_MAX, or -1 if it is not a position.
 */
long rooms__log_marks(const struct rooms_log *log, struct rooms_name position, struct rooms__mark *marks);
/* The position of a client with those marks; out: ROOMS_OFFSET_SIZE. ROOMS_ELIMIT: a message that it misses is not
 * here. */
int rooms__log_find(const struct rooms_log *log, const struct rooms__mark *marks, size_t count, char *out);
/* The last number of that origin; 0: none. */
uint64_t rooms__log_last_of(const struct rooms_log *log, uint64_t origin);

#endif
