/* A user who lists calls sees those that the token names, by id or prefix, and those whose own list of agents has the
 * user. There is a room for each of these ways: a listing socket joins the rooms of its ways, and the status of a call
 * is sent to all rooms that lead to the call. So a new call reaches exactly those who may see it, without a lookup.
 * Supervisors are in a second family of such rooms, for raised hands. */
#include "calls_listing.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

/* Behind the family's prefix. */
#define ALL "*"
#define USER "@"
#define CALL "="
#define BEGINNING "^"
#define ROOM_BYTES (sizeof CALLS_LISTING_ROOM CALL + KIT_USER_SIZE)

#define AGENTS_MAX 100 /* of a call, as in its schema */
/* The call's own, everybody's, by the id, by its beginnings, by agents. */
#define ROOMS_MAX (3 + KIT_ID_SIZE + AGENTS_MAX)

/* --------------------------------------------------------------- who is in */

static bool is_of(struct eio_str room, const char *family)
{
    return room.n >= strlen(family) && !memcmp(room.p, family, strlen(family));
}

bool calls_room_is_listing(struct eio_str room)
{
    return is_of(room, CALLS_LISTING_ROOM) || is_of(room, CALLS_HELP_ROOM) || is_of(room, KIT_USER_ROOM);
}

static bool is_listing(const struct sio_socket *socket)
{
    struct eio_str room;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++)
        if (is_of(room, CALLS_LISTING_ROOM USER)) return true;
    return false;
}

/* One by one from the front: leaving moves those behind. */
static void leave_all(struct sio_socket *socket, const char *family)
{
    struct eio_str room;
    char name[ROOM_BYTES];
    for (size_t i = 0; sio_socket_room_at(socket, i, &room);) {
        if (!is_of(room, family) || room.n >= sizeof name) {
            i++;
            continue;
        }
        memcpy(name, room.p, room.n);
        sio_leave(socket, (struct eio_str){name, room.n});
    }
}

/* The rooms of a family that a socket is to be in. */
struct joining {
    struct sio_socket *socket;
    const char *family;
};

static int join(const struct joining *joining, const char *kind, const char *name, size_t size)
{
    char room[ROOM_BYTES];
    int n = snprintf(room, sizeof room, "%s%s%.*s", joining->family, kind, (int)size, name);
    return (size_t)n < sizeof room ? sio_join(joining->socket, (struct eio_str){room, (size_t)n}) : 0;
}

static int join_named(const struct joining *joining, const struct kit_claims *claims)
{
    int error = 0;
    for (size_t i = 0; i < json_array_size(claims->calls) && !error; i++) {
        const char *one = json_string_value(json_array_get(claims->calls, i));
        size_t n = one ? strlen(one) : 0;
        if (!n || n >= KIT_ID_SIZE) continue;
        error = one[n - 1] == '*' ? join(joining, BEGINNING, one, n - 1) : join(joining, CALL, one, n);
    }
    return error;
}

static int join_all(const struct joining *joining, const struct kit_claims *claims)
{
    leave_all(joining->socket, joining->family);
    int error = join(joining, USER, claims->sub, strlen(claims->sub));
    if (!error) error = claims->all_calls ? join(joining, ALL, "", 0) : join_named(joining, claims);
    if (error) leave_all(joining->socket, joining->family);
    return error;
}

int calls_listing_review(struct sio_socket *socket, const struct kit_claims *claims, bool begins)
{
    if (!begins && !is_listing(socket)) return 0;
    return join_all(&(struct joining){socket, CALLS_LISTING_ROOM}, claims);
}

int calls_help_review(struct sio_socket *socket, const struct kit_claims *claims)
{
    if (calls_access_is_supervisor(claims)) return join_all(&(struct joining){socket, CALLS_HELP_ROOM}, claims);
    leave_all(socket, CALLS_HELP_ROOM);
    return 0;
}

/* ------------------------------------------------------------ who is notified */

struct rooms {
    const char *family;
    struct rooms_name names[ROOMS_MAX];
    size_t count;
    char *text, *end; /* the names' bytes */
};

static void add_room(struct rooms *rooms, const char *kind, const char *name, size_t size)
{
    char *begin = rooms->end;
    if (rooms->count == ROOMS_MAX) return;
    rooms->end = stpcpy(stpcpy(rooms->end, rooms->family), kind);
    memcpy(rooms->end, name, size);
    rooms->end += size;
    rooms->names[rooms->count++] = (struct rooms_name){begin, (size_t)(rooms->end - begin)};
}

static void add_agents(struct rooms *rooms, const char *agents)
{
    struct kit_json_walk walk;
    struct eio_str value;
    char name[KIT_USER_SIZE];
    if (!kit_json_open(&walk, (struct eio_str){agents, strlen(agents)})) return;
    while (kit_json_each(&walk, NULL, &value)) {
        int n = sio_args_text((struct sio_args){value, NULL, 0}, 0, name, sizeof name);
        if (n > 0) add_room(rooms, USER, name, (size_t)n);
    }
}

/* All rooms of a family that lead to the call. False: out of memory. */
static bool make_rooms(struct rooms *rooms, const char *family, const char *call_id, const char *agents)
{
    size_t size = strlen(call_id);
    *rooms = (struct rooms){.family = family};
    rooms->text = rooms->end = malloc(ROOMS_MAX * ROOM_BYTES);
    if (!rooms->text) return false;
    add_room(rooms, ALL, "", 0);
    add_room(rooms, CALL, call_id, size);
    for (size_t n = 0; n <= size; n++) add_room(rooms, BEGINNING, call_id, n);
    add_agents(rooms, agents);
    return true;
}

void calls_listing_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args)
{
    struct rooms rooms;
    if (!make_rooms(&rooms, CALLS_LISTING_ROOM, call_id, agents)) return;
    rooms.family = CALLS_ROOM;
    add_room(&rooms, "", call_id, strlen(call_id));
    sio_emit(sio_to_all(sio_all(calls->agents), rooms.names, rooms.count), "call:status", args);
    free(rooms.text);
}

void calls_help_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args)
{
    struct rooms rooms;
    if (!make_rooms(&rooms, CALLS_HELP_ROOM, call_id, agents)) return;
    sio_emit(sio_to_all(sio_all(calls->agents), rooms.names, rooms.count), "call:help", args);
    free(rooms.text);
}

void calls_alert_send(struct calls *calls, const char *call_id, const char *agents, struct sio_args args)
{
    struct rooms rooms;
    if (!make_rooms(&rooms, CALLS_HELP_ROOM, call_id, agents)) return;
    rooms.family = CALLS_ROOM;
    add_room(&rooms, "", call_id, strlen(call_id));
    sio_emit(sio_to_all(sio_all(calls->agents), rooms.names, rooms.count), "call:alert", args);
    free(rooms.text);
}

/* ------------------------------------------------------------------- a page */

#define NEXT_MARK '~' /* begins a `next`; no call's id has it */
#define COLUMNS "id, status, started_ms, ended_ms, seq, call_id, metadata, agents"

/* The row below which the page begins. */
static int find_before(struct kit_db *db, const struct kit_claims *claims, const char *before, int64_t *row,
                       struct kit_failure *failure)
{
    struct calls_call call;
    *row = INT64_MAX;
    if (!before[0]) return 0;
    if (before[0] == NEXT_MARK) {
        bool is_next = kit_text_int64(eio_str(before + 1), 0, INT64_MAX, row);
        return is_next ? 0 : kit_fail(failure, 400, "/before", "must be the `next` of an answer");
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
    struct calls_page *page;
    size_t bytes_max;
    int64_t before, limit;
    struct sio_builder *out;
    struct kit_failure *failure;
};

#define ALERTS_MAX 3 /* shown of a call in a list */

/* For supervisors who connect later and missed call:help and call:alert: raised hands, and what rules fired in a call
 * that goes on. */
static int put_needs(const struct listing *listing, const struct kit_rows *row)
{
    int64_t call = kit_rows_int(row, 0);
    bool is_live = strcmp(kit_rows_text(row, 1), "ended") != 0;
    if (!calls_access_is_supervisor(listing->claims)) return 0;
    int code = calls_help_put(listing->db, call, listing->out, listing->failure);
    if (code || !is_live) return code;
    return calls_alerts_put(listing->db, call, 0, ALERTS_MAX, listing->out, listing->failure);
}

/* One more than the limit, which shows whether there is a next page. */
static int put_rows(const struct listing *listing, struct kit_rows *rows, enum kit_step step)
{
    struct sio_builder *out = listing->out;
    int64_t last = 0, count = 0;
    size_t begin = out->size;
    sio_builder_put(out, ",\"calls\":[");
    for (; step == KIT_ROW && count < listing->limit; step = kit_rows_next(rows)) {
        listing->page->is_cut = count && out->size - begin >= listing->bytes_max;
        if (listing->page->is_cut) break;
        if (count++) sio_builder_put(out, ",");
        last = kit_rows_int(rows, 0);
        calls_put_row(out, rows, listing->page->now_ms);
        if (put_needs(listing, rows)) return listing->failure->code;
        sio_builder_put(out, "}");
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
                       struct calls_page *page, struct sio_builder *out, struct kit_failure *failure)
{
    struct listing listing = {.db = db, .claims = claims, .page = page, .out = out, .failure = failure};
    listing.limit = page->limit && page->limit < calls_config(config)->call_list_max
                        ? page->limit
                        : calls_config(config)->call_list_max;
    listing.bytes_max = calls_config(config)->call_list_bytes_max;
    int code = find_before(db, claims, page->before, &listing.before, failure);
    if (code) return code;
    return claims->all_calls ? put_all(&listing) : put_own(&listing);
}
