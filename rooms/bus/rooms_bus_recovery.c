/* Connection state recovery over the bus. Every process logs the messages of all of them, in the order in which they
 * arrive, so what a client missed is in the log of the process that it comes back to. That process asks the others for
 * the client's session, which comes with the last message of each process that the client has; it restores the session
 * once it has received as much itself. */
#include "rooms_bus_int.h"

#include <stdlib.h>
#include <string.h>

enum { TAKE_MS = 1000 };

/* A session that is asked for. */
struct rooms__bus_take {
    struct base_timer timer;
    struct rooms__bus_adapter *adapter;
    struct rooms__bus_take *next;
    uint64_t id;
    rooms_restore_fn done;
    void *ctx;
    size_t asked;    /* peers that have not answered */
    uint64_t *peers; /* their numbers */
    uint8_t *answer; /* the session, once it is there: a copy of its frame */
    size_t answer_size;
};

static struct rooms__bus_adapter *adapter_of(struct rooms_adapter *adapter)
{
    return container_of(rooms__cluster_of(adapter), struct rooms__bus_adapter, cluster);
}

static uint64_t now_ms(const struct rooms__bus_adapter *adapter)
{
    return rooms__cluster_now(&adapter->cluster);
}

uint64_t rooms__bus_origin(const char *uid)
{
    return strtoull(uid, NULL, 16);
}

/* --------------------------------------------------------------------- log */

/* With recovery every process gets every logged message, with or without members: clients of another may come to it. */
int rooms__bus_broadcast(struct rooms_adapter *base, const struct rooms_selector *who, const struct rooms_flags *flags,
                         const struct rooms_message *message)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    char offset[ROOMS_OFFSET_SIZE];
    if (!adapter->log || flags->is_volatile || flags->local) return rooms_cluster_broadcast(base, who, flags, message);
    struct rooms_cluster_message event = {
        .type = ROOMS_CLUSTER_BROADCAST, .who = *who, .flags = *flags, .packet = *message};
    struct rooms__mark mark = {.origin = adapter->origin, .last = ++adapter->seq};
    if (adapter->bus->peers) rooms__bus_put(adapter, NULL, &event, NULL);
    rooms__log_add_of(adapter->log, now_ms(adapter), who, message, &mark);
    event.packet.offset = rooms__log_offset(adapter->log, offset);
    rooms__cluster_apply(&adapter->cluster, &event, NULL);
    return ROOMS_OK;
}

static void check_takes(struct rooms__bus_adapter *adapter);

void rooms__bus_heard(struct rooms__bus_adapter *adapter, const struct rooms__bus_peer *peer,
                      struct rooms__bus_message *read, char *out)
{
    struct rooms_cluster_message *message = &read->message;
    struct rooms__mark mark = {.origin = rooms__bus_origin(peer->uid), .last = read->seq};
    if (message->type == ROOMS_CLUSTER_HEARTBEAT) rooms__log_meet(adapter->log, mark.origin, mark.last);
    if (message->type != ROOMS_CLUSTER_BROADCAST || message->request.n || message->flags.is_volatile || !mark.last)
        return;
    rooms__log_add_of(adapter->log, now_ms(adapter), &message->who, &message->packet, &mark);
    message->packet.offset = rooms__log_offset(adapter->log, out);
    if (adapter->takes) check_takes(adapter);
}

int rooms__bus_session_save(struct rooms_adapter *base, const struct rooms_session *session)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    return adapter->log ? rooms__log_save(adapter->log, now_ms(adapter), session) : ROOMS_OK;
}

void rooms__bus_replay(struct rooms_adapter *base, struct rooms_name offset, rooms_replay_fn each, rooms_done_fn done,
                       void *ctx)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    done(ctx, adapter->log ? rooms__log_replay(adapter->log, offset, each, ctx) : ROOMS_OK);
}

struct rooms_name rooms__bus_last_offset(struct rooms_adapter *base, char *out)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    if (adapter->log) return rooms__log_offset(adapter->log, out);
    return (struct rooms_name){NULL, 0};
}

void rooms__bus_expire(struct rooms_adapter *base)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    if (adapter->log) rooms__log_expire(adapter->log, now_ms(adapter));
}

/* ------------------------------------------------------------------ giving */

static size_t begin(struct rooms__bus_adapter *adapter, enum rooms__bus_kind kind, uint64_t id)
{
    struct rooms_packer *out = &adapter->bus->pass;
    struct rooms_name nsp = rooms__bus_nsp(adapter);
    size_t from = rooms__bus_begin(out, kind);
    rooms__bus_put_bytes(out, nsp.p, nsp.n);
    rooms__bus_put_u64(out, id);
    return from;
}

static void end(struct rooms__bus_adapter *adapter, size_t from, struct rooms__bus_peer *only)
{
    rooms__bus_end(&adapter->bus->pass, from);
    rooms__bus_commit(adapter->bus, from, only, rooms__bus_nsp(adapter), NULL);
}

static void put_session(struct rooms__bus_adapter *adapter, const struct rooms_session *session)
{
    struct rooms_packer *out = &adapter->bus->pass;
    struct rooms__mark marks[ROOMS__ORIGINS_MAX];
    long count = session ? rooms__log_marks(adapter->log, session->offset, marks) : -1;
    rooms__bus_put_u32(out, count >= 0);
    if (count < 0) return;
    rooms__bus_put_bytes(out, session->sid.p, session->sid.n);
    rooms__bus_put_bytes(out, session->pid.p, session->pid.n);
    rooms__bus_put_bytes(out, session->data.p, session->data.n);
    rooms__bus_put_u32(out, (uint32_t)count);
    for (long i = 0; i < count; i++) {
        rooms__bus_put_u64(out, marks[i].origin);
        rooms__bus_put_u64(out, marks[i].has);
        rooms__bus_put_u64(out, marks[i].last);
    }
    rooms__bus_put_u32(out, (uint32_t)session->room_count);
    for (size_t i = 0; i < session->room_count; i++)
        rooms__bus_put_bytes(out, session->rooms[i].p, session->rooms[i].n);
    adapter->bus->stats.sessions_given++;
}

int rooms__bus_give(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *peer, struct rooms__bus_reader *in)
{
    const struct rooms_local *local = &adapter->cluster.adapter.local;
    uint64_t id = rooms__bus_u64(in);
    struct rooms_name pid = rooms__bus_name(in), offset = rooms__bus_name(in);
    if (in->failed || in->p != in->end) return ROOMS_EINVAL;
    /* Its old connection may still seem alive. */
    if (local->evict) local->evict(local->ctx, pid);
    struct rooms_session *session =
        adapter->log ? rooms__log_restore(adapter->log, now_ms(adapter), pid, offset) : NULL;
    size_t from = begin(adapter, ROOMS__BUS_SESSION, id);
    put_session(adapter, session);
    end(adapter, from, peer);
    free(session);
    return ROOMS_OK;
}

/* ------------------------------------------------------------------ taking */

static void finish_take(struct rooms__bus_take *take, const struct rooms_session *session)
{
    for (struct rooms__bus_take **at = &take->adapter->takes; *at; at = &(*at)->next) {
        if (*at != take) continue;
        *at = take->next;
        break;
    }
    base_timer_clear(&take->timer);
    if (session) take->adapter->bus->stats.sessions_taken++;
    take->done(take->ctx, session); /* the session is part of the take's memory */
    free(take->peers);
    free(take->answer);
    free(take);
}

static void on_take_late(void *ctx)
{
    finish_take(ctx, NULL);
}

/* The contents of a ROOMS__BUS_SESSION frame after its id. */
struct given {
    struct rooms_session session;
    struct rooms_name *rooms;
    struct rooms__mark marks[ROOMS__ORIGINS_MAX];
    size_t mark_count;
    bool found;
};

/* Returns 0, ROOMS_EINVAL, ROOMS_ENOMEM. given->rooms is to be freed. */
static int read_given(struct rooms__bus_reader *in, struct given *given)
{
    given->rooms = NULL;
    given->found = rooms__bus_u32(in) != 0;
    if (!given->found) return in->failed || in->p != in->end ? ROOMS_EINVAL : ROOMS_OK;
    given->session = (struct rooms_session){.sid = rooms__bus_name(in)};
    given->session.pid = rooms__bus_name(in);
    given->session.data = rooms__bus_bytes(in);
    given->mark_count = rooms__bus_u32(in);
    if (in->failed || given->mark_count > ROOMS__ORIGINS_MAX) return ROOMS_EINVAL;
    for (size_t i = 0; i < given->mark_count; i++) {
        given->marks[i].origin = rooms__bus_u64(in);
        given->marks[i].has = rooms__bus_u64(in);
        given->marks[i].last = rooms__bus_u64(in);
    }
    size_t count = rooms__bus_u32(in);
    if (in->failed || count > (size_t)(in->end - in->p) / sizeof(uint32_t)) return ROOMS_EINVAL;
    given->rooms = calloc(count + 1, sizeof *given->rooms);
    if (!given->rooms) return ROOMS_ENOMEM;
    for (size_t i = 0; i < count; i++) given->rooms[i] = rooms__bus_name(in);
    given->session.rooms = given->rooms;
    given->session.room_count = count;
    if (!in->failed && in->p == in->end) return ROOMS_OK;
    free(given->rooms);
    return ROOMS_EINVAL;
}

/* Returns false if the client has a message of a live process that has not arrived here yet. */
static bool is_heard(const struct rooms__bus_adapter *adapter, const struct given *given)
{
    for (const struct rooms__bus_peer *peer = adapter->bus->peers; peer; peer = peer->next) {
        if (!rooms__bus_is_there(peer)) continue;
        uint64_t origin = rooms__bus_origin(peer->uid);
        for (size_t i = 0; i < given->mark_count; i++)
            if (given->marks[i].origin == origin && rooms__log_last_of(adapter->log, origin) < given->marks[i].has)
                return false;
    }
    return true;
}

/* True: it is over. */
static bool check_take(struct rooms__bus_take *take)
{
    struct rooms__bus_adapter *adapter = take->adapter;
    struct rooms__bus_reader in = {take->answer, take->answer + take->answer_size, false};
    struct given given;
    char offset[ROOMS_OFFSET_SIZE];
    bool is_read = read_given(&in, &given) == ROOMS_OK;
    if (is_read && !is_heard(adapter, &given)) {
        free(given.rooms);
        return false;
    }
    bool found = is_read && rooms__log_find(adapter->log, given.marks, given.mark_count, offset) == ROOMS_OK;
    if (found) given.session.offset = (struct rooms_name){offset, strlen(offset)};
    finish_take(take, found ? &given.session : NULL);
    if (is_read) free(given.rooms);
    return true;
}

static void check_takes(struct rooms__bus_adapter *adapter)
{
    for (struct rooms__bus_take *take = adapter->takes, *next; take; take = next) {
        next = take->next;
        if (take->answer && check_take(take)) next = adapter->takes; /* the callback may have started another */
    }
}

static bool drop_asked(struct rooms__bus_take *take, uint64_t peer)
{
    for (size_t i = 0; i < take->asked; i++) {
        if (take->peers[i] != peer) continue;
        take->peers[i] = take->peers[--take->asked];
        return true;
    }
    return false;
}

int rooms__bus_given(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *peer, struct rooms__bus_reader *in)
{
    uint64_t id = rooms__bus_u64(in);
    struct rooms__bus_reader rest = *in;
    struct given given;
    int result = read_given(in, &given);
    if (result != ROOMS_OK) return result;
    free(given.rooms);
    struct rooms__bus_take *take = adapter->takes;
    while (take && take->id != id) take = take->next;
    if (!take || take->answer || !drop_asked(take, peer->number)) return ROOMS_OK;
    if (given.found) {
        take->answer_size = (size_t)(rest.end - rest.p);
        take->answer = malloc(take->answer_size);
        if (take->answer) memcpy(take->answer, rest.p, take->answer_size);
    }
    if (take->answer)
        check_take(take);
    else if (!take->asked)
        finish_take(take, NULL);
    return ROOMS_OK;
}

void rooms__bus_takes_gone(struct rooms__bus_adapter *adapter, const struct rooms__bus_peer *peer)
{
    for (struct rooms__bus_take *take = adapter->takes, *next; take; take = next) {
        next = take->next;
        if (peer && (take->answer || !drop_asked(take, peer->number) || take->asked)) continue;
        finish_take(take, NULL);
        next = adapter->takes;
    }
}

static struct rooms__bus_take *take_new(struct rooms__bus_adapter *adapter, rooms_restore_fn done, void *ctx)
{
    size_t count = 0;
    for (struct rooms__bus_peer *peer = adapter->bus->peers; peer; peer = peer->next)
        count += rooms__bus_is_there(peer);
    struct rooms__bus_take *take = count ? calloc(1, sizeof *take) : NULL;
    if (!take) return NULL;
    take->peers = calloc(count, sizeof *take->peers);
    struct base_timers *timers = &adapter->cluster.state->timers;
    if (!take->peers || base_timer_init(&take->timer, timers, on_take_late, take) != BASE_OK) {
        free(take->peers);
        free(take);
        return NULL;
    }
    take->adapter = adapter;
    take->id = ++adapter->last_take;
    take->done = done;
    take->ctx = ctx;
    for (struct rooms__bus_peer *peer = adapter->bus->peers; peer; peer = peer->next)
        if (rooms__bus_is_there(peer)) take->peers[take->asked++] = peer->number;
    take->next = adapter->takes;
    adapter->takes = take;
    base_timer_start(&take->timer, TAKE_MS);
    return take;
}

/* It is unknown which process has it: all are asked, and the first that has it ends the search. */
void rooms__bus_session_restore(struct rooms_adapter *base, struct rooms_name pid, struct rooms_name offset,
                                rooms_restore_fn done, void *ctx)
{
    struct rooms__bus_adapter *adapter = adapter_of(base);
    struct rooms_session *session =
        adapter->log ? rooms__log_restore(adapter->log, now_ms(adapter), pid, offset) : NULL;
    struct rooms__bus_take *take = session || !adapter->log ? NULL : take_new(adapter, done, ctx);
    if (!take) {
        done(ctx, session);
        free(session);
        return;
    }
    for (struct rooms__bus_peer *peer = adapter->bus->peers; peer; peer = peer->next) {
        if (!rooms__bus_is_there(peer)) continue;
        size_t from = begin(adapter, ROOMS__BUS_TAKE, take->id);
        rooms__bus_put_bytes(&adapter->bus->pass, pid.p, pid.n);
        rooms__bus_put_bytes(&adapter->bus->pass, offset.p, offset.n);
        end(adapter, from, peer);
    }
}
