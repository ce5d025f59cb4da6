/* Gates: one between a socket and a call while something is decided about the two, and while what is broadcast to the
 * call is kept back from the socket. What comes is looked at between the namespace and its adapter (calls_proxy.c), so
 * that it does not matter where a message comes from. While there is no gate, a message passes with one test.
 *
 * What was stored before the snapshot was read, here or by another process, may be broadcast after it was given. So for
 * a while the socket is spared what its snapshot holds. */
#include "calls_gate.h"

#include <stdlib.h>
#include <string.h>

#define LATE_MS 10000 /* how long a process may take from storing to broadcasting */

struct kept {
    struct kept *next;
    unsigned audiences;             /* those of whom it is for, in which the socket was when it came */
    char offset[ROOMS_OFFSET_SIZE]; /* "": it has none */
    size_t size;
    char json[]; /* ["name",arg] */
};

struct calls_gate {
    char sid[KIT_SID_SIZE];
    struct calls *calls;
    struct calls_gated *call;
    struct calls_turn *first, **last; /* asked; the first of them has begun if it is busy */
    size_t turn_count;
    bool busy, due, advancing;
    bool is_behind; /* turns wait for others, and the socket is not read meanwhile */
    bool holds;     /* nothing of the call reaches the socket */
    struct sio_hold hold;
    bool is_lost;
    struct kept *kept, **kept_last;
    size_t kept_count, kept_bytes;
    int64_t seq;            /* of a snapshot: what it holds does not reach the socket; -1: of none */
    struct eio_timer timer; /* until then */
    UT_hash_handle hh;
};

/* ------------------------------------------------------------- lifetime */

static struct calls_gated *get_call(struct calls *calls, const char *call_id)
{
    struct calls_gated *call;
    HASH_FIND_STR(calls->gated, call_id, call);
    if (call) return call;
    call = calloc(1, sizeof *call);
    if (!call) return NULL;
    snprintf(call->call_id, sizeof call->call_id, "%s", call_id);
    HASH_ADD_STR(calls->gated, call_id, call);
    return call;
}

static void drop_call_if_unused(struct calls *calls, struct calls_gated *call)
{
    if (call->gates) return;
    HASH_DEL(calls->gated, call);
    free(call);
}

static void forget(struct calls_gate *gate)
{
    while (gate->kept) {
        struct kept *next = gate->kept->next;
        free(gate->kept);
        gate->kept = next;
    }
    gate->kept_last = &gate->kept;
    gate->kept_count = gate->kept_bytes = 0;
    gate->is_lost = false;
}

static void free_gate(struct calls_gate *gate)
{
    struct calls_gated *call = gate->call;
    HASH_DEL(call->gates, gate);
    drop_call_if_unused(gate->calls, call);
    eio_timer_stop(&gate->timer);
    sio_hold_end(&gate->hold);
    forget(gate);
    free(gate);
}

static void free_if_unused(struct calls_gate *gate)
{
    if (!gate->busy && !gate->holds && gate->seq < 0) free_gate(gate);
}

static void on_late(void *ctx)
{
    struct calls_gate *gate = ctx;
    gate->seq = -1;
    free_if_unused(gate);
}

struct calls_gate *calls_gate_find(const struct calls *calls, const char *sid, const char *call_id)
{
    struct calls_gated *call;
    struct calls_gate *gate = NULL;
    HASH_FIND_STR(calls->gated, call_id, call);
    if (call) HASH_FIND_STR(call->gates, sid, gate);
    return gate;
}

static struct calls_gate *get_gate(struct calls *calls, const char *sid, const char *call_id)
{
    struct calls_gate *gate = calls_gate_find(calls, sid, call_id);
    struct calls_gated *call = gate ? gate->call : get_call(calls, call_id);
    if (gate || !call) return gate;
    gate = calloc(1, sizeof *gate);
    if (!gate) {
        drop_call_if_unused(calls, call);
        return NULL;
    }
    gate->calls = calls;
    gate->call = call;
    gate->last = &gate->first;
    gate->kept_last = &gate->kept;
    gate->seq = -1;
    snprintf(gate->sid, sizeof gate->sid, "%s", sid);
    eio_timer_init(&gate->timer, calls->kit->loop, on_late, gate);
    HASH_ADD_STR(call->gates, sid, gate);
    return gate;
}

void calls_gates_clear(struct calls *calls)
{
    while (calls->gated) free_gate(calls->gated->gates);
}

/* ----------------------------------------------------------------- turns */

/* A socket asks one thing after another about a call; what waits for that is memory, so it is not read on. */
static void hold_asker(struct calls_gate *gate)
{
    bool is_behind = gate->turn_count > 1;
    if (gate->is_behind == is_behind) return;
    gate->is_behind = is_behind;
    const struct sio_socket *socket = sio_socket_find(gate->calls->agents, gate->sid, strlen(gate->sid));
    if (socket) kit_auth_wait(socket, is_behind);
}

void calls_gate_next(struct calls_gate *gate)
{
    gate->due = true;
    if (gate->advancing) return; /* a turn that was over before its begin() returned */
    gate->advancing = true;
    while (gate->due) {
        gate->due = false;
        gate->busy = gate->first != NULL;
        if (gate->busy) gate->first->begin(gate->first);
    }
    gate->advancing = false;
    free_if_unused(gate);
}

int calls_gate_enter(struct calls *calls, const char *sid, const char *call_id, struct calls_turn *turn)
{
    struct calls_gate *gate = get_gate(calls, sid, call_id);
    if (!gate) return EIO_ENOMEM;
    if (gate->turn_count > calls->kit->config->source_queue_max) return EIO_EAGAIN;
    gate->turn_count++;
    turn->gate = gate;
    turn->next = NULL;
    *gate->last = turn;
    gate->last = &turn->next;
    hold_asker(gate);
    if (gate->busy) return 0;
    gate->busy = true;
    calls_gate_next(gate);
    return 0;
}

struct calls_gate *calls_gate_end_turn(struct calls_turn *turn)
{
    struct calls_gate *gate = turn->gate;
    gate->first = turn->next;
    gate->turn_count--;
    if (!gate->first) gate->last = &gate->first;
    hold_asker(gate);
    return gate;
}

bool calls_gate_is_busy(const struct calls_gate *gate)
{
    return gate && gate->busy;
}

/* --------------------------------------------------------------- holding */

static struct sio_socket *socket_of(const struct calls_gate *gate)
{
    return sio_socket_find(gate->calls->agents, gate->sid, strlen(gate->sid));
}

/* Its client may have come back meanwhile, as another socket. */
void calls_gate_hold(struct calls_gate *gate)
{
    struct sio_socket *socket = socket_of(gate);
    gate->holds = true;
    if (socket) sio_hold_begin(&gate->hold, socket);
}

bool calls_gate_is_lost(const struct calls_gate *gate)
{
    return gate->is_lost;
}

/* As it would have come: without going through the adapter again, which may take its time. */
static void send_kept(const struct calls_gate *gate, const struct kept *kept, const struct sio_socket *socket,
                      int64_t seq)
{
    struct eio_str json = {kept->json, kept->size};
    if (calls_event_seq(json) <= seq) return;
    if (!(calls_access_audiences(socket, gate->call->call_id) & kept->audiences)) return;
    calls_proxy_send(gate->calls, socket, json, kept->offset);
}

void calls_gate_open(struct calls_gate *gate, const struct sio_socket *socket, int64_t seq)
{
    for (const struct kept *kept = gate->kept; kept && socket; kept = kept->next) send_kept(gate, kept, socket, seq);
    forget(gate);
    gate->holds = false;
    sio_hold_end(&gate->hold);
    if (seq < 0) return;
    gate->seq = seq;
    if (eio_timer_start(&gate->timer, LATE_MS)) gate->seq = -1;
}

void calls_gate_drop(struct calls_gate *gate)
{
    forget(gate);
    gate->holds = false;
    sio_hold_end(&gate->hold);
    gate->seq = -1;
    eio_timer_stop(&gate->timer);
}

void calls_gate_forget(const struct calls *calls, const char *sid, const char *call_id)
{
    struct calls_gate *gate = calls_gate_find(calls, sid, call_id);
    if (!gate) return;
    calls_gate_drop(gate);
    free_if_unused(gate);
}

/* ------------------------------------------------------------- messages */

static void keep(struct calls_gate *gate, const struct rooms_message *message, unsigned audiences)
{
    const struct kit_config *config = gate->calls->kit->config;
    struct kept *kept = NULL;
    size_t n = message->offset.n < ROOMS_OFFSET_SIZE ? message->offset.n : 0;
    if (gate->is_lost) return;
    if (gate->kept_count < calls_config(config)->gate_messages_max &&
        gate->kept_bytes + message->json.n <= calls_config(config)->gate_bytes_max)
        kept = malloc(sizeof *kept + message->json.n);
    if (!kept) {
        gate->is_lost = true;
        gate->calls->counters.gates_lost++;
        return;
    }
    kept->next = NULL;
    kept->audiences = audiences;
    if (n) memcpy(kept->offset, message->offset.p, n);
    kept->offset[n] = 0;
    kept->size = message->json.n;
    memcpy(kept->json, message->json.p, message->json.n);
    *gate->kept_last = kept;
    gate->kept_last = &kept->next;
    gate->kept_count++;
    gate->kept_bytes += kept->size;
}

/* True if one of the names is a room of the socket's; its own is one. */
static bool is_in_any(const struct sio_socket *socket, const struct rooms_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sio_socket_is_in(socket, (struct eio_str){names[i].p, names[i].n})) return true;
    return false;
}

/* What a room's message is for; one for the rooms of who lists calls, say, is for all. */
static unsigned audience_of(struct rooms_name room, const char *call_id)
{
    static const struct {
        const char *prefix;
        enum calls_audience audience;
    } kinds[] = {{CALLS_SUPERVISOR_ROOM, CALLS_FOR_SUPERVISORS}, {CALLS_AGENT_ROOM, CALLS_FOR_ONE}};
    char own[KIT_ID_SIZE];
    if (!calls_room_call((struct eio_str){room.p, room.n}, own) || strcmp(own, call_id)) return CALLS_FOR_ALL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strncmp(room.p, kinds[i].prefix, strlen(kinds[i].prefix))) return kinds[i].audience;
    return CALLS_FOR_ALL;
}

/* Keeps a message for a socket that would get it if there were no gate. */
static void keep_if_meant(struct calls_gate *gate, const struct rooms_selector *who,
                          const struct rooms_message *message)
{
    const struct sio_socket *socket = socket_of(gate);
    unsigned audiences = 0;
    if (!socket || is_in_any(socket, who->except, who->except_count)) return;
    for (size_t i = 0; i < who->room_count; i++)
        if (is_in_any(socket, &who->rooms[i], 1)) audiences |= audience_of(who->rooms[i], gate->call->call_id);
    if (audiences) keep(gate, message, audiences);
}

size_t calls_gates_count(const struct calls_gated *call)
{
    return HASH_COUNT(call->gates);
}

size_t calls_gates_stop(const struct calls_gated *call, const struct rooms_selector *who,
                        const struct rooms_message *message, int64_t seq, struct rooms_name *except)
{
    size_t count = 0;
    for (struct calls_gate *gate = call->gates; gate; gate = gate->hh.next) {
        if (!gate->holds && seq > gate->seq) continue;
        if (message && seq > gate->seq) keep_if_meant(gate, who, message);
        except[count++] = (struct rooms_name){gate->sid, strlen(gate->sid)};
    }
    return count;
}
