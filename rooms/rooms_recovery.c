/* The memory adapter's part in connection state recovery: a log of messages and their recipients, in a ring with the
 * oldest in front, and the sessions of members whose connections broke.
 *
 * A client names the last message it received. Often that is an old one, since most messages are for others. So a
 * session also has a floor: what was sent `liveness_ms` before the connection broke did arrive, because pings were
 * answered after it; a client without it was not a recipient. The log is kept that much longer. */
#include "base_check.h"
#include "rooms_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_SIZE = 8, NUMBER_DIGITS_MAX = 15, RING_MIN = 64, SKIPS_MAX = 12 };

/* One block: itself, names, attachments' slices, text and bytes. */
struct entry {
    uint64_t at_ms;
    uint64_t origin, seq; /* 0: there is one process only */
    size_t bytes;
    struct rooms_selector who;
    struct rooms_message message;
};

/* What a client has: everything up to a number, and a few messages after it. */
struct position {
    uint64_t number;
    uint64_t skips[SKIPS_MAX]; /* growing */
    size_t skip_count;
};

/* What is known of another process's messages: those up to `dropped` are not in the log, the others are. */
struct origin {
    uint64_t id, dropped, last;
};

struct kept {
    struct kept *prev, *next; /* by age; the list's head is in the log */
    uint64_t at_ms;
    uint64_t floor;
    struct position connected; /* what it had when it connected */
    struct rooms_session session;
};

struct rooms_log {
    struct rooms_recovery limits;
    struct entry **ring; /* capacity is 0 or a power of two */
    size_t capacity, first, count;
    size_t bytes;
    uint64_t last; /* number of the newest message ever logged; the oldest kept is last - count + 1 */
    struct origin origins[ROOMS__ORIGINS_MAX];
    size_t origin_count;
    struct kept oldest;
    struct rooms_table sessions;
    uint8_t key[crypto_shorthash_KEYBYTES];
    char tag[TAG_SIZE + 1];
};

/* -------------------------------------------------------------------- log */

static struct rooms_name session_pid(const void *item)
{
    return ((const struct kept *)item)->session.pid;
}

struct rooms_log *rooms__log_new(const struct rooms_recovery *limits)
{
    struct rooms_log *log = calloc(1, sizeof *log);
    if (!log) return NULL;
    uint8_t random[TAG_SIZE * 3 / 4];
    log->limits = *limits;
    log->oldest.prev = log->oldest.next = &log->oldest;
    randombytes_buf(random, sizeof random);
    randombytes_buf(log->key, sizeof log->key);
    sodium_bin2base64(log->tag, sizeof log->tag, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    rooms__table_init(&log->sessions, session_pid, log->key);
    return log;
}

static struct entry *entry_at(const struct rooms_log *log, size_t i)
{
    return log->ring[(log->first + i) & (log->capacity - 1)];
}

static struct origin *find_origin(const struct rooms_log *log, uint64_t id)
{
    for (size_t i = 0; i < log->origin_count; i++)
        if (log->origins[i].id == id) return (struct origin *)(uintptr_t)&log->origins[i];
    return NULL;
}

static void drop_first(struct rooms_log *log)
{
    struct entry *entry = entry_at(log, 0);
    struct origin *origin = entry->seq ? find_origin(log, entry->origin) : NULL;
    if (origin) origin->dropped = entry->seq;
    log->bytes -= entry->bytes;
    log->first = (log->first + 1) & (log->capacity - 1);
    log->count--;
    free(entry);
}

static void forget(struct rooms_log *log, struct kept *kept)
{
    kept->prev->next = kept->next;
    kept->next->prev = kept->prev;
    rooms__table_remove(&log->sessions, kept);
}

void rooms__log_free(struct rooms_log *log)
{
    if (!log) return;
    while (log->count) drop_first(log);
    while (log->oldest.next != &log->oldest) {
        struct kept *kept = log->oldest.next;
        forget(log, kept);
        free(kept);
    }
    rooms__table_clear(&log->sessions);
    free(log->ring);
    free(log);
}

void rooms__log_expire(struct rooms_log *log, uint64_t now_ms)
{
    uint64_t log_ms = (uint64_t)log->limits.max_disconnection_ms + log->limits.liveness_ms;
    while (log->count && entry_at(log, 0)->at_ms + log_ms < now_ms) drop_first(log);
    for (struct kept *kept = log->oldest.next; kept != &log->oldest; kept = log->oldest.next) {
        if (kept->at_ms + log->limits.max_disconnection_ms >= now_ms) break;
        forget(log, kept);
        free(kept);
    }
}

static int make_place(struct rooms_log *log)
{
    if (log->count < log->capacity) return ROOMS_OK;
    size_t capacity = log->capacity ? log->capacity * 2 : RING_MIN;
    struct entry **ring = malloc(capacity * sizeof *ring);
    if (!ring) return ROOMS_ENOMEM;
    for (size_t i = 0; i < log->count; i++) ring[i] = entry_at(log, i);
    free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    log->first = 0;
    return ROOMS_OK;
}

static struct entry *entry_new(const struct rooms_selector *who, const struct rooms_message *message)
{
    size_t size = sizeof(struct entry) + rooms__names_size(who->rooms, who->room_count) +
                  rooms__names_size(who->except, who->except_count) +
                  message->attachment_count * sizeof(struct rooms_bytes) + message->json.n;
    for (size_t i = 0; i < message->attachment_count; i++) size += message->attachments[i].n;
    struct entry *entry = malloc(size);
    if (!entry) return NULL;
    struct rooms_arena arena = {(char *)(entry + 1)};
    struct rooms_name *rooms = rooms__cut(&arena, who->room_count * sizeof *rooms);
    struct rooms_name *except = rooms__cut(&arena, who->except_count * sizeof *except);
    struct rooms_bytes *attachments = rooms__cut(&arena, message->attachment_count * sizeof *attachments);
    rooms__cut_names(&arena, rooms, who->rooms, who->room_count);
    rooms__cut_names(&arena, except, who->except, who->except_count);
    for (size_t i = 0; i < message->attachment_count; i++)
        attachments[i] = rooms__cut_bytes(&arena, message->attachments[i]);
    entry->bytes = size;
    entry->who = (struct rooms_selector){rooms, who->room_count, except, who->except_count};
    entry->message = (struct rooms_message){
        .json = rooms__cut_bytes(&arena, message->json),
        .attachments = attachments,
        .attachment_count = message->attachment_count,
    };
    return entry;
}

/* One that has nothing in the log makes room for another. */
static struct origin *new_origin(struct rooms_log *log, uint64_t id)
{
    struct origin *origin = NULL;
    if (log->origin_count < ROOMS__ORIGINS_MAX) {
        origin = &log->origins[log->origin_count++];
    } else {
        for (size_t i = 0; i < log->origin_count && !origin; i++)
            if (log->origins[i].dropped == log->origins[i].last) origin = &log->origins[i];
    }
    if (origin) *origin = (struct origin){.id = id};
    return origin;
}

/* A number that is missing was dropped on its way. */
static void note_origin(struct rooms_log *log, const struct rooms__mark *of)
{
    struct origin *origin = find_origin(log, of->origin);
    if (!origin) origin = new_origin(log, of->origin);
    if (!origin) return;
    if (of->last != origin->last + 1) origin->dropped = of->last - 1;
    origin->last = of->last;
}

void rooms__log_meet(struct rooms_log *log, uint64_t id, uint64_t last)
{
    struct origin *origin = find_origin(log, id);
    if (!origin) origin = new_origin(log, id);
    if (!origin || origin->last >= last) return;
    origin->dropped = origin->last = last;
}

uint64_t rooms__log_last_of(const struct rooms_log *log, uint64_t id)
{
    const struct origin *origin = find_origin(log, id);
    return origin ? origin->last : 0;
}

/* A message that is larger than the whole log, or for which there is no memory, still takes its number. The log is then
 * empty, so that no client is taken to have missed nothing. */
int rooms__log_add(struct rooms_log *log, uint64_t now_ms, const struct rooms_selector *who,
                   const struct rooms_message *message)
{
    return rooms__log_add_of(log, now_ms, who, message, &(struct rooms__mark){0, 0, 0});
}

int rooms__log_add_of(struct rooms_log *log, uint64_t now_ms, const struct rooms_selector *who,
                      const struct rooms_message *message, const struct rooms__mark *of)
{
    rooms__log_expire(log, now_ms);
    if (of->last) note_origin(log, of);
    log->last++;
    struct entry *entry = entry_new(who, message);
    if (!entry || make_place(log) != ROOMS_OK) {
        free(entry);
        while (log->count) drop_first(log);
        for (size_t i = 0; i < log->origin_count; i++) log->origins[i].dropped = log->origins[i].last;
        return ROOMS_ENOMEM;
    }
    entry->at_ms = now_ms;
    entry->origin = of->origin;
    entry->seq = of->last;
    log->ring[(log->first + log->count++) & (log->capacity - 1)] = entry;
    log->bytes += entry->bytes;
    while (log->count && (log->bytes > log->limits.max_log_bytes || log->count > log->limits.max_log_packets))
        drop_first(log);
    return ROOMS_OK;
}

/* ---------------------------------------------------------------- offsets */

static struct rooms_name put_offset(const struct rooms_log *log, uint64_t number, char *out)
{
    int n = snprintf(out, ROOMS_OFFSET_SIZE, "%s.%llu", log->tag, (unsigned long long)number);
    return (struct rooms_name){out, (size_t)n};
}

struct rooms_name rooms__log_offset(const struct rooms_log *log, char *out)
{
    return put_offset(log, log->last, out);
}

/* False if no log ever wrote that. An offset of another log is *number 0: the client had it before this one was. */
static bool read_offset(const struct rooms_log *log, struct rooms_name offset, uint64_t *number)
{
    *number = 0;
    if (offset.n < TAG_SIZE + 2 || offset.n > TAG_SIZE + 1 + NUMBER_DIGITS_MAX || offset.p[TAG_SIZE] != '.')
        return false;
    for (size_t i = TAG_SIZE + 1; i < offset.n; i++) {
        if (offset.p[i] < '0' || offset.p[i] > '9') return false;
        *number = *number * 10 + (uint64_t)(offset.p[i] - '0');
    }
    if (memcmp(offset.p, log->tag, TAG_SIZE) != 0) *number = 0;
    return *number <= log->last;
}

static bool reaches(const struct rooms_log *log, uint64_t number)
{
    return number + log->count >= log->last;
}

static bool read_distance(const char **p, const char *end, uint64_t *distance)
{
    const char *start = *p;
    *distance = 0;
    for (; *p < end && **p >= '0' && **p <= '9' && *p - start < NUMBER_DIGITS_MAX; (*p)++)
        *distance = *distance * 10 + (uint64_t)(**p - '0');
    return *p > start && *distance > 0;
}

/* As read_offset(). */
static bool read_position(const struct rooms_log *log, struct rooms_name text, struct position *position)
{
    const char *end = text.p + text.n, *skips = text.n ? memchr(text.p, '~', text.n) : NULL;
    *position = (struct position){0};
    if (!skips) return read_offset(log, text, &position->number);
    struct rooms_name offset = {text.p, (size_t)(skips - text.p)};
    if (!read_offset(log, offset, &position->number)) return false;
    uint64_t number = position->number;
    for (const char *p = skips; p < end;) {
        uint64_t distance;
        if (*p++ != '~' || !read_distance(&p, end, &distance) || position->skip_count == SKIPS_MAX) return false;
        number += distance;
        position->skips[position->skip_count++] = number;
    }
    return number <= log->last;
}

/* False: it does not fit. Skips that are not after the number are left out. */
static bool put_position(const struct rooms_log *log, const struct position *position, char *out,
                         struct rooms_name *text)
{
    uint64_t at = position->number;
    *text = put_offset(log, at, out);
    for (size_t i = 0; i < position->skip_count; i++) {
        if (position->skips[i] <= at) continue;
        size_t left = ROOMS_OFFSET_SIZE - text->n;
        int n = snprintf(out + text->n, left, "~%llu", (unsigned long long)(position->skips[i] - at));
        if (n < 0 || (size_t)n >= left) return false;
        text->n += (size_t)n;
        at = position->skips[i];
    }
    return true;
}

static bool skips(const struct position *position, uint64_t number)
{
    for (size_t i = 0; i < position->skip_count; i++)
        if (position->skips[i] == number) return true;
    return false;
}

int rooms__log_replay(const struct rooms_log *log, struct rooms_name offset, rooms_replay_fn each, void *ctx)
{
    struct position position;
    if (!read_position(log, offset, &position) || !reaches(log, position.number)) return ROOMS_ELIMIT;
    for (uint64_t missed = log->last - position.number; missed > 0; missed--) {
        const struct entry *entry = entry_at(log, log->count - missed);
        struct rooms_message message = entry->message;
        char text[ROOMS_OFFSET_SIZE];
        if (skips(&position, log->last - missed + 1)) continue;
        message.offset = put_offset(log, log->last - missed + 1, text);
        each(ctx, &entry->who, &message);
    }
    return ROOMS_OK;
}

/* -------------------------------------------------- positions in other logs */

static struct rooms__mark *mark_of(struct rooms__mark *marks, size_t count, uint64_t origin)
{
    for (size_t i = 0; i < count; i++)
        if (marks[i].origin == origin) return &marks[i];
    return NULL;
}

/* Of each origin it has what does not follow its position; so the log is walked from there. */
long rooms__log_marks(const struct rooms_log *log, struct rooms_name text, struct rooms__mark *marks)
{
    struct position position;
    if (!read_position(log, text, &position) || !reaches(log, position.number)) return -1;
    for (size_t i = 0; i < log->origin_count; i++) {
        const struct origin *origin = &log->origins[i];
        marks[i] = (struct rooms__mark){origin->id, origin->last, origin->last};
    }
    for (uint64_t number = log->last; number > position.number; number--) {
        const struct entry *entry = entry_at(log, log->count - 1 - (size_t)(log->last - number));
        struct rooms__mark *mark = mark_of(marks, log->origin_count, entry->origin);
        if (mark && !skips(&position, number) && mark->has >= entry->seq) mark->has = entry->seq - 1;
    }
    return (long)log->origin_count;
}

/* The sender of the marks knew all processes of its time: an origin that it did not know was gone before. */
static uint64_t has_of(const struct rooms__mark *marks, size_t count, uint64_t origin)
{
    for (size_t i = 0; i < count; i++)
        if (marks[i].origin == origin) return marks[i].has;
    return UINT64_MAX;
}

/* The index of the first message that the client does not have, or the log's end. */
static size_t first_missing(const struct rooms_log *log, const struct rooms__mark *marks, size_t count)
{
    size_t first = log->count, open = 0; /* origins whose first missing one was not met yet */
    for (size_t i = 0; i < log->origin_count; i++)
        open += log->origins[i].last > has_of(marks, count, log->origins[i].id);
    for (size_t i = log->count; i > 0 && open; i--) {
        const struct entry *entry = entry_at(log, i - 1);
        uint64_t has = has_of(marks, count, entry->origin);
        if (entry->seq <= has) continue;
        first = i - 1;
        open -= entry->seq == has + 1;
    }
    return first;
}

static bool is_whole(const struct rooms_log *log, const struct rooms__mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct origin *origin = find_origin(log, marks[i].origin);
        if (!origin && marks[i].has < marks[i].last) return false;
        if (origin && origin->dropped > marks[i].has) return false;
    }
    return true;
}

int rooms__log_find(const struct rooms_log *log, const struct rooms__mark *marks, size_t count, char *out)
{
    struct position position = {.number = log->last};
    struct rooms_name text;
    if (!is_whole(log, marks, count)) return ROOMS_ELIMIT;
    size_t first = first_missing(log, marks, count);
    position.number = log->last - log->count + first;
    for (size_t i = first; i < log->count; i++) {
        const struct entry *entry = entry_at(log, i);
        if (entry->seq > has_of(marks, count, entry->origin)) continue;
        if (position.skip_count == SKIPS_MAX) return ROOMS_ELIMIT;
        position.skips[position.skip_count++] = log->last - log->count + i + 1;
    }
    return put_position(log, &position, out, &text) ? ROOMS_OK : ROOMS_ELIMIT;
}

/* --------------------------------------------------------------- sessions */

/* The newest message that surely arrived on a connection that breaks now. */
static uint64_t arrived_until(const struct rooms_log *log, uint64_t now_ms)
{
    size_t from = 0, to = log->count; /* the first one that is younger is in [from, to] */
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (entry_at(log, middle)->at_ms + log->limits.liveness_ms < now_ms)
            from = middle + 1;
        else
            to = middle;
    }
    return from ? log->last - log->count + from : 0;
}

/* One block with the session first. */
static struct rooms_session *session_copy(const struct rooms_session *from, size_t head)
{
    size_t size = head + rooms__names_size(from->rooms, from->room_count) + from->sid.n + from->pid.n + from->data.n +
                  ROOMS_OFFSET_SIZE;
    char *block = malloc(size);
    if (!block) return NULL;
    struct rooms_session *session = (struct rooms_session *)(void *)(block + head - sizeof *session);
    struct rooms_arena arena = {block + head};
    struct rooms_name *rooms = rooms__cut(&arena, from->room_count * sizeof *rooms);
    rooms__cut_names(&arena, rooms, from->rooms, from->room_count);
    *session = (struct rooms_session){
        .sid = rooms__cut_name(&arena, from->sid),
        .pid = rooms__cut_name(&arena, from->pid),
        .rooms = rooms,
        .room_count = from->room_count,
        .data = rooms__cut_bytes(&arena, from->data),
        .offset = {arena.at, 0}, /* room for one */
    };
    return session;
}

int rooms__log_save(struct rooms_log *log, uint64_t now_ms, const struct rooms_session *session)
{
    _Static_assert(offsetof(struct kept, session) + sizeof(struct rooms_session) == sizeof(struct kept), "last");
    struct position connected;
    rooms__log_expire(log, now_ms);
    struct kept *old = rooms__table_find(&log->sessions, session->pid);
    if (!old && log->sessions.table.count >= log->limits.max_sessions) old = log->oldest.next;
    if (old && old != &log->oldest) {
        forget(log, old);
        free(old);
    }
    if (log->limits.max_sessions == 0 || !read_position(log, session->offset, &connected)) return ROOMS_OK;
    struct rooms_session *copy = session_copy(session, sizeof(struct kept));
    if (!copy) return ROOMS_ENOMEM;
    struct kept *kept = container_of(copy, struct kept, session);
    kept->at_ms = now_ms;
    /* A young connection proves nothing: what was replayed on it is older than the connection. */
    kept->floor = session->connected_ms + log->limits.liveness_ms < now_ms ? arrived_until(log, now_ms) : 0;
    if (kept->floor < connected.number) kept->floor = connected.number;
    kept->connected = connected;
    if (rooms__table_insert(&log->sessions, kept) != ROOMS_OK) {
        free(kept);
        return ROOMS_ENOMEM;
    }
    kept->next = &log->oldest;
    kept->prev = log->oldest.prev;
    kept->prev->next = kept->next->prev = kept;
    return ROOMS_OK;
}

struct rooms_session *rooms__log_restore(struct rooms_log *log, uint64_t now_ms, struct rooms_name pid,
                                         struct rooms_name offset)
{
    rooms__log_expire(log, now_ms);
    struct kept *kept = rooms__table_find(&log->sessions, pid);
    if (!kept) return NULL;
    struct rooms_session *session = NULL;
    uint64_t number = kept->floor;
    bool known = offset.n == 0 || read_offset(log, offset, &number);
    if (number < kept->floor) number = kept->floor;
    if (known && reaches(log, number)) session = session_copy(&kept->session, sizeof *session);
    kept->connected.number = number;
    if (session && !put_position(log, &kept->connected, (char *)(uintptr_t)session->offset.p, &session->offset)) {
        free(session);
        session = NULL;
    }
    forget(log, kept);
    free(kept);
    return session;
}
