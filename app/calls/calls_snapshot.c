/* Snapshots of calls. All requests for the same one that arrive before it is read share one read and one encoding, if
 * their token names the call. Three hundred agents that come back to a call at once cost one snapshot, not three
 * hundred; and they get it one after another, so that they do not occupy the loop. Sockets whose right depends on the
 * call's own list of agents read a snapshot each, together with that list; so do agents of a call with notes to one of
 * them.
 *
 * Snapshots are large. Their memory is charged to the user who asks, from before the reading until the last byte is
 * with the kernel, and limited per user and in total. Those for which there is no room wait, their sockets unread. */
#include "calls_watch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TURN_BYTES 2097152 /* handed out in one turn of the loop */

struct calls_reading {
    struct kit_store_op op;
    struct calls *calls;
    struct calls_reading *next; /* of those that are not read, or not handed out */
    char call_id[KIT_ID_SIZE];
    int64_t since_seq, now_ms, seq;
    struct kit_claims *claims; /* whose alone it is, to be checked with the call's list; NULL: many may share it */
    bool all_notes;            /* for supervisors */
    bool lacks_notes;          /* there are notes to one agent: agents read for themselves */
    json_t *voters;            /* so do these, whose votes it lacks */
    struct kit_user *user;     /* who is charged for it */
    size_t charge;
    atomic_bool has_begun;
    struct calls_watch *first, **last;
    struct sio_builder json;
    struct sio_shared *shared;
    size_t size;
};

/* --------------------------------------------------------------------- room */

/* own: of what is counted, what will be given back for it. */
static bool has_room(const struct calls *calls, const struct kit_user *user, size_t own, size_t bytes)
{
    const struct calls_config *config = calls_config(calls->kit->config);
    size_t of_user = kit_user_answer_bytes(user) - own, of_all = calls->kit->answer_bytes - own;
    if (calls->is_stopping) return true;
    /* One always fits, however large. */
    return (!of_user || of_user + bytes <= config->snapshot_memory_per_user_bytes) &&
           (!of_all || of_all + bytes <= config->snapshot_memory_bytes);
}

static void charge(struct calls_reading *reading, size_t bytes)
{
    ptrdiff_t more = (ptrdiff_t)bytes - (ptrdiff_t)reading->charge;
    reading->charge = bytes;
    if (more) kit_user_charge(reading->user, more);
}

static struct sio_socket *socket_of(const struct calls_watch *watch)
{
    return kit_answer_socket(&watch->request.answer);
}

/* Frames that were sent made room. */
static void on_sent(void *ctx)
{
    struct calls *calls = ctx;
    bool is_wanted = calls->handed_out || calls->unread;
    if (is_wanted && !calls->is_stopping) eio_timer_start(&calls->room_timer, 0);
}

/* Nobody is refused too early, and nobody waits for longer than one and a half times what may be. */
static void watch_the_time(struct calls *calls)
{
    bool is_wanted = (calls->unread || calls->handed_out) && !calls->is_stopping;
    if (is_wanted && !eio_timer_running(&calls->late_timer))
        eio_timer_start(&calls->late_timer, 1 + calls_config(calls->kit->config)->snapshot_wait_ms / 2);
}

static void refuse(struct calls_watch *watch, const char *why)
{
    struct kit_failure busy = {0};
    kit_fail(&busy, 503, NULL, "%s", why);
    calls_watch_take_snapshot(watch, NULL, 0, &busy);
}

/* -------------------------------------------------------------- handing out */

static void free_reading(struct calls_reading *reading)
{
    charge(reading, 0);
    sio_builder_clear(&reading->json);
    sio_shared_free(reading->shared);
    kit_user_unref(reading->user);
    kit_claims_unref(reading->claims);
    json_decref(reading->voters);
    free(reading);
}

static void unlink_reading(struct calls_reading **list, const struct calls_reading *reading)
{
    while (*list != reading) list = &(*list)->next;
    *list = reading->next;
}

static bool may_have(const struct calls_reading *reading, const struct calls_watch *watch)
{
    struct kit_user *user = watch->request.user;
    size_t own = reading->user == user ? reading->charge : 0;
    if (!reading->shared || !socket_of(watch)) return true;
    if (has_room(reading->calls, user, own, reading->size)) return true;
    /* Perhaps it is the encodings that are kept for others which take it up. */
    sio_shared_trim(reading->shared);
    return has_room(reading->calls, user, own, reading->size);
}

/* Something of the call is this user's alone, and it was read for all. */
static bool lacks_own(const struct calls_reading *reading, const struct calls_watch *watch)
{
    if (reading->claims || reading->op.failure.code) return false;
    return reading->lacks_notes || json_object_get(reading->voters, watch->request.claims->sub);
}

static void give(const struct calls_reading *reading, struct calls_watch *watch)
{
    watch->reads_alone = lacks_own(reading, watch);
    if (watch->reads_alone)
        calls_snapshot_ask(watch);
    else
        calls_watch_take_snapshot(watch, reading->shared, reading->seq, &reading->op.failure);
}

/* Gives it to those that wait and have room, as many as a turn allows. */
static void hand_out(struct calls_reading *reading, size_t *bytes)
{
    struct calls_watch **at = &reading->first;
    while (*at && (!*bytes || *bytes + reading->size <= TURN_BYTES)) {
        struct calls_watch *watch = *at;
        if (!may_have(reading, watch)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        *bytes += reading->size;
        give(reading, watch);
    }
}

static void hand_out_all(struct calls *calls)
{
    size_t bytes = 0;
    struct calls_reading **at = &calls->handed_out;
    while (*at) {
        struct calls_reading *reading = *at;
        do {
            if (calls->is_stopping) bytes = 0;
            hand_out(reading, &bytes);
        } while (calls->is_stopping && reading->first);
        if (reading->first) {
            at = &reading->next;
            continue;
        }
        *at = reading->next;
        free_reading(reading);
    }
    if (bytes && calls->handed_out) eio_timer_start(&calls->room_timer, 0);
}

/* ------------------------------------------------------------------ reading */

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_reading *reading = (struct calls_reading *)(void *)op;
    struct calls_call call;
    atomic_store(&reading->has_begun, true);
    int code = reading->claims ? calls_find_allowed(db, reading->claims, reading->call_id, &call, &op->failure)
                               : calls_find(db, reading->call_id, &call, &op->failure);
    if (code) return code;
    reading->seq = call.seq;
    struct calls_view view = {.call_id = reading->call_id,
                              .since_seq = reading->since_seq,
                              .now_ms = reading->now_ms,
                              .agent = reading->claims ? reading->claims->sub : NULL,
                              .all_notes = reading->all_notes};
    code = calls_snapshot(db, reading->calls->kit->config, &view, &reading->json, &op->failure);
    reading->lacks_notes = view.lacks_notes;
    json_decref(reading->voters); /* an operation may run more than once */
    reading->voters = view.voters;
    return code;
}

static void on_read(struct kit_store_op *op)
{
    struct calls_reading *reading = (struct calls_reading *)(void *)op;
    struct calls *calls = reading->calls;
    struct calls_reading **last = &calls->handed_out;
    unlink_reading(&calls->readings, reading);
    sio_builder_put(&reading->json, "}");
    if (!op->failure.code && !reading->json.error)
        reading->shared = sio_shared_new((struct eio_str){reading->json.json, reading->json.size});
    if (!op->failure.code && !reading->shared) kit_fail(&op->failure, 503, NULL, "out of memory");
    reading->size = reading->shared ? reading->json.size : 0;
    sio_builder_clear(&reading->json);
    charge(reading, reading->size);
    while (*last) last = &(*last)->next;
    reading->next = NULL;
    *last = reading;
    if (calls->is_stopping || !calls->handed_out->next) hand_out_all(calls);
    watch_the_time(calls);
}

static bool is_shared(const struct calls_watch *watch)
{
    return !watch->reads_alone && kit_claims_allow(watch->request.claims, watch->call_id);
}

static bool is_same(const struct calls_reading *reading, const struct calls_watch *watch)
{
    return !reading->claims && reading->since_seq == watch->since_seq && !strcmp(reading->call_id, watch->call_id) &&
           reading->all_notes == calls_access_is_supervisor(watch->request.claims);
}

static struct calls_reading *find_reading(const struct calls *calls, const struct calls_watch *watch)
{
    struct calls_reading *reading = is_shared(watch) ? calls->readings : NULL;
    while (reading && !is_same(reading, watch)) reading = reading->next;
    /* What is being read may lack what was broadcast just now. */
    return reading && !atomic_load(&reading->has_begun) ? reading : NULL;
}

static struct calls_reading *make_reading(struct calls *calls, const struct calls_watch *watch)
{
    struct calls_reading *reading = calloc(1, sizeof *reading);
    if (!reading) return NULL;
    reading->op.run = run;
    reading->op.done = on_read;
    reading->op.source = watch->request.op.source;
    reading->calls = calls;
    snprintf(reading->call_id, sizeof reading->call_id, "%s", watch->call_id);
    reading->since_seq = watch->since_seq;
    reading->now_ms = watch->request.now_ms;
    reading->claims = is_shared(watch) ? NULL : kit_claims_ref(watch->request.claims);
    reading->all_notes = calls_access_is_supervisor(watch->request.claims);
    reading->user = kit_user_share(watch->request.user);
    reading->last = &reading->first;
    sio_builder_init(&reading->json);
    sio_builder_open(&reading->json);
    sio_builder_put(&reading->json, "{\"ok\":true");
    return reading;
}

static struct calls_reading *begin_reading(struct calls *calls, const struct calls_watch *watch,
                                           struct kit_failure *failure)
{
    struct calls_reading *reading = make_reading(calls, watch);
    kit_fail(failure, 503, NULL, "out of memory");
    if (!reading) return NULL;
    charge(reading, calls_config(calls->kit->config)->snapshot_bytes_max);
    if (kit_store_submit_read(calls->kit->store, &reading->op, sizeof *reading)) {
        *failure = reading->op.failure;
        free_reading(reading);
        return NULL;
    }
    reading->next = calls->readings;
    calls->readings = reading;
    return reading;
}

/* reading: what find_reading() found, once: a second look may find that it has begun meanwhile, and then one more would
 * be read without room for it. NULL: it gets one of its own. */
static void read_for(struct calls *calls, struct calls_watch *watch, struct calls_reading *reading)
{
    struct kit_failure failure = {0};
    if (!reading) reading = begin_reading(calls, watch, &failure);
    if (!reading) {
        calls_watch_take_snapshot(watch, NULL, 0, &failure);
        return;
    }
    watch->next = NULL;
    *reading->last = watch;
    reading->last = &watch->next;
}

/* --------------------------------------------------------- waiting for room */

/* Whether there is room for one of its own. */
static bool has_room_to_read(const struct calls *calls, const struct calls_watch *watch)
{
    return has_room(calls, watch->request.user, 0, calls_config(calls->kit->config)->snapshot_bytes_max);
}

/* While it waits its socket is not read: what it would ask for would wait, too. */
static void hold(const struct calls_watch *watch, bool begins)
{
    const struct sio_socket *socket = socket_of(watch);
    if (socket) kit_auth_wait(socket, begins);
}

/* The first of these that is late for its snapshot, which it does not get. */
static struct calls_watch **find_late(const struct calls *calls, struct calls_watch **list)
{
    uint64_t now_ms = eio_loop_now_ms(calls->kit->loop);
    while (*list && now_ms - (*list)->asked_ms < calls_config(calls->kit->config)->snapshot_wait_ms)
        list = &(*list)->next;
    return *list ? list : NULL;
}

static void refuse_late(struct calls *calls, struct calls_watch **at)
{
    struct calls_watch *watch = *at;
    *at = watch->next;
    calls->counters.snapshots_refused++;
    refuse(watch, "too many snapshots are being sent; try again");
}

static void on_late(void *ctx)
{
    struct calls *calls = ctx;
    struct calls_watch **late;
    while ((late = find_late(calls, &calls->unread)) != NULL) {
        hold(*late, false);
        refuse_late(calls, late);
    }
    for (struct calls_reading *reading = calls->handed_out; reading; reading = reading->next)
        while ((late = find_late(calls, &reading->first)) != NULL) refuse_late(calls, late);
    hand_out_all(calls);
    watch_the_time(calls);
}

/* Those for whom there is room now. What this leads to may only add to the list, at its end. */
static void read_those_that_wait(struct calls *calls)
{
    struct calls_watch **at = &calls->unread;
    while (*at) {
        struct calls_watch *watch = *at;
        struct calls_reading *reading = find_reading(calls, watch);
        bool is_gone = !socket_of(watch);
        if (!is_gone && !reading && !has_room_to_read(calls, watch)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        hold(watch, false);
        if (is_gone)
            refuse(watch, "the socket is gone");
        else
            read_for(calls, watch, reading);
    }
}

static void on_room(void *ctx)
{
    struct calls *calls = ctx;
    hand_out_all(calls);
    read_those_that_wait(calls);
}

void calls_snapshot_ask(struct calls_watch *watch)
{
    struct calls *calls = watch->request.state;
    struct calls_watch **last = &calls->unread;
    watch->asked_ms = eio_loop_now_ms(calls->kit->loop);
    struct calls_reading *reading = find_reading(calls, watch);
    if (!socket_of(watch) || reading || has_room_to_read(calls, watch)) {
        read_for(calls, watch, reading);
        return;
    }
    while (*last) last = &(*last)->next;
    watch->next = NULL;
    *last = watch;
    calls->counters.snapshots_delayed++;
    hold(watch, true);
    watch_the_time(calls);
}

void calls_snapshot_start(struct calls *calls)
{
    eio_timer_init(&calls->room_timer, calls->kit->loop, on_room, calls);
    eio_timer_init(&calls->late_timer, calls->kit->loop, on_late, calls);
    kit_on_answers_sent(calls->kit, on_sent, calls);
}

void calls_snapshot_pause(struct calls *calls)
{
    eio_timer_stop(&calls->room_timer);
    eio_timer_stop(&calls->late_timer);
    on_room(calls);
}
