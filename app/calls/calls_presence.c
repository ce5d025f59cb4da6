/* agent:presence: who watches a call. With several processes all of them are asked, by the one where somebody came or
 * went. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Changes in who watches a call are sent together after this time, so that many who join at once cause one message. */
#define PRESENCE_DELAY_MS 50
/* Names in one agent:presence; above it only the number grows. */
#define PRESENCE_NAMES_MAX 200
/* Calls about which the other processes are asked together; when one of them is gone, it is all that are watched. */
#define PRESENCE_ASKS_MAX 16

struct presence_call {
    char call_id[KIT_ID_SIZE];
    uint64_t told; /* hash of the names sent last */
    bool dirty;
    UT_hash_handle hh;
};

struct calls_presence {
    struct calls *calls;
    struct presence_call *watched; /* a table: those with watchers */
    struct eio_timer timer;
};

struct watchers {
    const char **names;
    size_t count, capacity;
};

static void add_name(struct watchers *watchers, const char *name)
{
    if (watchers->count == watchers->capacity) {
        size_t capacity = watchers->capacity ? watchers->capacity * 2 : 16;
        const char **names = realloc(watchers->names, capacity * sizeof *names);
        if (!names) return;
        watchers->names = names;
        watchers->capacity = capacity;
    }
    watchers->names[watchers->count++] = name;
}

static void add_watcher(struct sio_socket *socket, void *ctx)
{
    const struct kit_claims *claims = kit_auth_claims(socket);
    if (claims) add_name(ctx, claims->sub);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts, drops repeats (one agent, several tabs) and returns a hash of what is left. */
static uint64_t settle(struct watchers *watchers)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    size_t kept = 0;
    if (watchers->count) qsort(watchers->names, watchers->count, sizeof *watchers->names, compare_names);
    for (size_t i = 0; i < watchers->count; i++) {
        if (kept && !strcmp(watchers->names[kept - 1], watchers->names[i])) continue;
        watchers->names[kept++] = watchers->names[i];
        for (const char *c = watchers->names[i];; c++) {
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
            if (!*c) break;
        }
    }
    watchers->count = kept;
    return hash;
}

static void emit_presence(struct calls *calls, const char *call_id, const struct watchers *watchers)
{
    char room[CALLS_ROOM_SIZE];
    struct sio_builder json;
    calls_room(room, CALLS_ROOM, call_id);
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"call_id\":");
    kit_put_text(&json, call_id);
    sio_builder_put(&json, ",\"agents\":[");
    for (size_t i = 0; i < watchers->count && i < PRESENCE_NAMES_MAX; i++) {
        if (i) sio_builder_put(&json, ",");
        kit_put_text(&json, watchers->names[i]);
    }
    sio_builder_put(&json, "],\"count\":");
    kit_put_int(&json, (int64_t)watchers->count);
    sio_builder_put(&json, "}");
    sio_emit(sio_to(sio_all(calls->agents), room), "agent:presence", sio_builder_args(&json));
    sio_builder_clear(&json);
}

/* What all processes answered. */
struct asked {
    struct calls *calls;
    char call_id[KIT_ID_SIZE];
};

static void on_fetched(void *ctx, int error, struct sio_args sockets)
{
    struct asked *asked = ctx;
    struct watchers watchers = {NULL, 0, 0};
    size_t count = sio_args_count(sockets);
    json_t *names = json_array();
    (void)error; /* of those who did not answer nothing is known */
    for (size_t i = 0; i < count; i++) {
        struct eio_str user = sio_json_member(sio_json_member(sio_args_at(sockets, i), "data"), "user");
        char name[KIT_USER_SIZE];
        if (sio_args_text((struct sio_args){user, NULL, 0}, 0, name, sizeof name) < 0) continue;
        if (json_array_append_new(names, json_string(name))) continue;
        add_name(&watchers, json_string_value(json_array_get(names, json_array_size(names) - 1)));
    }
    settle(&watchers);
    if (watchers.count && !asked->calls->kit->draining) emit_presence(asked->calls, asked->call_id, &watchers);
    free(watchers.names);
    json_decref(names);
    free(asked);
}

static void ask_all(struct calls *calls, const char *call_id, struct sio_target target)
{
    struct asked *asked = malloc(sizeof *asked);
    if (!asked) return;
    asked->calls = calls;
    snprintf(asked->call_id, sizeof asked->call_id, "%s", call_id);
    if (sio_target_fetch(target, on_fetched, asked)) free(asked);
}

static void tell_presence(struct calls_presence *presence, struct presence_call *call)
{
    char room[CALLS_ROOM_SIZE];
    struct watchers watchers = {NULL, 0, 0};
    calls_room(room, CALLS_ROOM, call->call_id);
    struct sio_target target = sio_to(sio_all(presence->calls->agents), room);
    sio_target_each_local(target, add_watcher, &watchers);
    uint64_t hash = settle(&watchers);
    call->dirty = false;
    if (kit_has_peers(presence->calls->kit)) {
        ask_all(presence->calls, call->call_id, target);
    } else if (hash != call->told && watchers.count) {
        call->told = hash;
        emit_presence(presence->calls, call->call_id, &watchers);
    }
    if (!watchers.count) {
        HASH_DEL(presence->watched, call);
        free(call);
    }
    free(watchers.names);
}

static void on_presence_timer(void *ctx)
{
    struct calls_presence *presence = ctx;
    struct presence_call *call, *next;
    size_t left = kit_has_peers(presence->calls->kit) ? PRESENCE_ASKS_MAX : SIZE_MAX;
    HASH_ITER(hh, presence->watched, call, next)
    {
        if (!call->dirty) continue;
        if (!left--) {
            eio_timer_start(&presence->timer, PRESENCE_DELAY_MS);
            return;
        }
        tell_presence(presence, call);
    }
}

/* Who watches this call may have changed. joined: a socket is new, even if under a name that is there already, and gets
 * the list in any case. */
void calls_presence_touch(struct calls *calls, const char *call_id, bool joined)
{
    struct calls_presence *presence = calls->presence;
    struct presence_call *call;
    HASH_FIND_STR(presence->watched, call_id, call);
    if (!call) {
        call = calloc(1, sizeof *call);
        if (!call) return;
        snprintf(call->call_id, sizeof call->call_id, "%s", call_id);
        HASH_ADD_STR(presence->watched, call_id, call);
    }
    call->dirty = true;
    if (joined) call->told = 0;
    if (!eio_timer_running(&presence->timer)) eio_timer_start(&presence->timer, PRESENCE_DELAY_MS);
}

/* Those who were at a process that is gone are no longer there. */
static void touch_all(void *ctx)
{
    struct calls *calls = ctx;
    struct presence_call *call, *next;
    HASH_ITER(hh, calls->presence->watched, call, next)
    {
        calls_presence_touch(calls, call->call_id, true);
    }
}

size_t calls_presence_watched(const struct calls *calls, char (**ids)[KIT_ID_SIZE])
{
    const struct presence_call *watched = calls->presence->watched;
    size_t count = 0;
    *ids = malloc((HASH_COUNT(watched) + 1) * sizeof **ids);
    for (; *ids && watched; watched = watched->hh.next) memcpy((*ids)[count++], watched->call_id, KIT_ID_SIZE);
    return count;
}

int calls_presence_start(struct calls *calls)
{
    calls->presence = calloc(1, sizeof *calls->presence);
    if (!calls->presence) return EIO_ENOMEM;
    calls->presence->calls = calls;
    eio_timer_init(&calls->presence->timer, calls->kit->loop, on_presence_timer, calls->presence);
    return kit_on_peers_changed(calls->kit, touch_all, calls);
}

void calls_presence_stop(struct calls *calls)
{
    struct presence_call *call, *next;
    if (!calls->presence) return;
    eio_timer_stop(&calls->presence->timer);
    HASH_ITER(hh, calls->presence->watched, call, next)
    {
        HASH_DEL(calls->presence->watched, call);
        free(call);
    }
    free(calls->presence);
    calls->presence = NULL;
}
