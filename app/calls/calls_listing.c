/* Who lists calls sees those that the token names, one by one or by their beginning, and those whose own list of agents
 * names the user. For each of these ways there is a room: whoever lists is in the rooms of its ways, and the status of
 * a call is sent to all rooms that lead to the call. So a new call is seen by those who may, and by nobody else,
 * without anybody being asked. */
#include "calls_listing.h"

#include <base_json.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_ALL CALLS_LISTING_ROOM "*"
#define ROOM_USER CALLS_LISTING_ROOM "@"
#define ROOM_CALL CALLS_LISTING_ROOM "="
#define ROOM_BEGINNING CALLS_LISTING_ROOM "^"
#define ROOM_BYTES (sizeof ROOM_CALL + KIT_USER_SIZE)

#define AGENTS_MAX 100 /* of a call, as in its schema */
/* The call's own, everybody's, by the id, by its beginnings, by agents. */
#define ROOMS_MAX (3 + KIT_ID_SIZE + AGENTS_MAX)

/* ----------------------------------------------------------------- who lists */

static bool is_listing(const struct sio_socket *socket)
{
    struct eio_str room;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++)
        if (room.n > strlen(ROOM_USER) && !memcmp(room.p, ROOM_USER, strlen(ROOM_USER))) return true;
    return false;
}

/* One by one from the front: leaving moves those behind. */
static void leave_all(struct sio_socket *socket)
{
    struct eio_str room;
    char name[ROOM_BYTES];
    for (size_t i = 0; sio_socket_room_at(socket, i, &room);) {
        bool is_ours = room.n >= strlen(CALLS_LISTING_ROOM) && room.n < sizeof name &&
                       !memcmp(room.p, CALLS_LISTING_ROOM, strlen(CALLS_LISTING_ROOM));
        if (!is_ours) {
            i++;
            continue;
        }
        memcpy(name, room.p, room.n);
        sio_leave(socket, (struct eio_str){name, room.n});
    }
}

static int join(struct sio_socket *socket, const char *prefix, const char *name, size_t size)
{
    char room[ROOM_BYTES];
    int n = snprintf(room, sizeof room, "%s%.*s", prefix, (int)size, name);
    return (size_t)n < sizeof room ? sio_join(socket, (struct eio_str){room, (size_t)n}) : 0;
}

static int join_named(struct sio_socket *socket, const struct kit_claims *claims)
{
    int error = 0;
    for (size_t i = 0; i < json_array_size(claims->calls) && !error; i++) {
        const char *one = json_string_value(json_array_get(claims->calls, i));
        size_t n = one ? strlen(one) : 0;
        if (!n || n >= KIT_ID_SIZE) continue;
        error = one[n - 1] == '*' ? join(socket, ROOM_BEGINNING, one, n - 1) : join(socket, ROOM_CALL, one, n);
    }
    return error;
}

int calls_listing_review(struct sio_socket *socket, const struct kit_claims *claims, bool begins)
{
    if (!begins && !is_listing(socket)) return 0;
    leave_all(socket);
    int error = join(socket, ROOM_USER, claims->sub, strlen(claims->sub));
    if (!error) error = claims->all_calls ? join(socket, ROOM_ALL, "", 0) : join_named(socket, claims);
    if (error) leave_all(socket);
    return error;
}

/* -------------------------------------------------------------- who is told */

struct rooms {
    struct rooms_name names[ROOMS_MAX];
    size_t count;
    char *text, *end; /* the names' bytes */
};

static void add_room(struct rooms *rooms, const char *prefix, const char *name, size_t size)
{
    size_t n = strlen(prefix) + size;
    if (rooms->count == ROOMS_MAX) return;
    memcpy(rooms->end, prefix, strlen(prefix));
    memcpy(rooms->end + strlen(prefix), name, size);
    rooms->names[rooms->count++] = (struct rooms_name){rooms->end, n};
    rooms->end += n;
}

static void add_agents(struct rooms *rooms, const char *agents)
{
    struct base_json_walk walk;
    struct base_str value;
    char name[KIT_USER_SIZE];
    if (!base_json_open(&walk, (struct base_str){agents, strlen(agents)})) return;
    while (base_json_each(&walk, NULL, &value)) {
        int n = sio_args_text((struct sio_args){{value.p, value.n}, NULL, 0}, 0, name, sizeof name);
        if (n > 0) add_room(rooms, ROOM_USER, name, (size_t)n);
    }
}

void calls_listing_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args)
{
    struct rooms rooms = {.count = 0};
    size_t size = strlen(call_id);
    rooms.text = rooms.end = malloc(ROOMS_MAX * ROOM_BYTES);
    if (!rooms.text) return;
    add_room(&rooms, CALLS_ROOM, call_id, size);
    add_room(&rooms, ROOM_ALL, "", 0);
    add_room(&rooms, ROOM_CALL, call_id, size);
    for (size_t n = 0; n <= size; n++) add_room(&rooms, ROOM_BEGINNING, call_id, n);
    add_agents(&rooms, agents);
    sio_emit(sio_to_all(sio_all(calls->agents), rooms.names, rooms.count), "call:status", args);
    free(rooms.text);
}

/* ------------------------------------------------------------------- a page */

#define NEXT_MARK '~' /* begins a `next`; no call's id has it */
#define COLUMNS "id, status, started_ms, ended_ms, seq, call_id, metadata"

/* The row below which the page begins. */
static int find_before(struct kit_db *db, const struct kit_claims *claims, const char *before, int64_t *row,
                       struct kit_failure *failure)
{
    struct calls_call call;
    char *end;
    *row = INT64_MAX;
    if (!before[0]) return 0;
    if (before[0] == NEXT_MARK) {
        *row = strtoll(before + 1, &end, 10);
        return before[1] && !*end ? 0 : kit_fail(failure, 400, "/before", "must be the `next` of an answer");
    }
    int code = calls_find_allowed(db, claims, before, &call, failure);
    *row = call.id;
    if (code == 403 || code == 404) return kit_fail(failure, 400, "/before", "call not found in your list");
    return code;
}

/* What the token names, as two JSON lists: ids and beginnings; to be freed. */
static int split_named(const struct kit_claims *claims, char **ids, char **beginnings)
{
    json_t *lists[] = {json_array(), json_array()};
    for (size_t i = 0; i < json_array_size(claims->calls); i++) {
        const char *one = json_string_value(json_array_get(claims->calls, i));
        size_t n = one ? strlen(one) : 0;
        bool is_beginning = n && one[n - 1] == '*';
        if (n) json_array_append_new(lists[is_beginning], json_stringn(one, n - is_beginning));
    }
    *ids = json_dumps(lists[0], JSON_COMPACT);
    *beginnings = json_dumps(lists[1], JSON_COMPACT);
    json_decref(lists[0]);
    json_decref(lists[1]);
    return *ids && *beginnings ? 0 : EIO_ENOMEM;
}

struct listing {
    struct kit_db *db;
    const struct kit_claims *claims;
    const struct calls_page *page;
    int64_t before, limit;
    struct sio_builder *out;
    struct kit_failure *failure;
};

/* As many as there may be, and one more, which only tells that there is a next page. */
static int put_rows(const struct listing *listing, struct kit_rows *rows, enum kit_step step)
{
    struct sio_builder *out = listing->out;
    int64_t last = 0, count = 0;
    sio_builder_put(out, ",\"calls\":[");
    for (; step == KIT_ROW && count < listing->limit; step = kit_rows_next(rows)) {
        if (count++) sio_builder_put(out, ",");
        last = kit_rows_int(rows, 0);
        calls_put_row(out, rows, listing->page->now_ms);
    }
    sio_builder_put(out, "]");
    if (step == KIT_ROW) {
        char next[32];
        snprintf(next, sizeof next, "%c%lld", NEXT_MARK, (long long)last);
        sio_builder_put(out, ",\"next\":");
        kit_put_text(out, next);
    } else if (step == KIT_FAILED) {
        return kit_db_fail(listing->db, listing->failure);
    }
    kit_rows_end(rows);
    return out->error ? kit_fail(listing->failure, 503, NULL, "out of memory") : 0;
}

static int put_all(const struct listing *listing)
{
    const char *status = listing->page->status;
    struct kit_rows rows;
    enum kit_step step =
        status ? kit_db_query(listing->db, &rows,
                              "SELECT " COLUMNS " FROM calls WHERE status=? AND id<? ORDER BY id DESC LIMIT ?", "tii",
                              status, listing->before, listing->limit + 1)
               : kit_db_query(listing->db, &rows, "SELECT " COLUMNS " FROM calls WHERE id<? ORDER BY id DESC LIMIT ?",
                              "ii", listing->before, listing->limit + 1);
    return put_rows(listing, &rows, step);
}

/* Reads no call but the user's own: what is done to id and status keeps SQLite from walking over all that are older.
 * Ids are ASCII, and none has a byte above '~'. */
static int put_own(const struct listing *listing)
{
    char *ids = NULL, *beginnings = NULL;
    int code = split_named(listing->claims, &ids, &beginnings);
    if (code) {
        code = kit_fail(listing->failure, 503, NULL, "out of memory");
    } else {
        struct kit_rows rows;
        enum kit_step step =
            kit_db_query(listing->db, &rows,
                         "SELECT " COLUMNS " FROM calls WHERE id IN (SELECT call FROM call_agents WHERE agent=?1"
                         " UNION SELECT id FROM calls WHERE call_id IN (SELECT value FROM json_each(?2))"
                         " UNION SELECT c.id FROM json_each(?3) CROSS JOIN calls c"
                         " WHERE c.call_id >= json_each.value AND c.call_id < json_each.value || '~')"
                         " AND id + 0 < ?4 AND (?5 IS NULL OR status || '' = ?5) ORDER BY id DESC LIMIT ?6",
                         "tttiti", listing->claims->sub, ids, beginnings, listing->before, listing->page->status,
                         listing->limit + 1);
        code = put_rows(listing, &rows, step);
    }
    free(ids);
    free(beginnings);
    return code;
}

int calls_listing_page(struct kit_db *db, const struct kit_config *config, const struct kit_claims *claims,
                       const struct calls_page *page, struct sio_builder *out, struct kit_failure *failure)
{
    struct listing listing = {.db = db, .claims = claims, .page = page, .out = out, .failure = failure};
    listing.limit = page->limit && page->limit < calls_config(config)->call_list_max
                        ? page->limit
                        : calls_config(config)->call_list_max;
    int code = find_before(db, claims, page->before, &listing.before, failure);
    if (code) return code;
    return claims->all_calls ? put_all(&listing) : put_own(&listing);
}
