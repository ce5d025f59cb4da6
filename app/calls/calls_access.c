/* Membership of a call's rooms. This is the only file that joins or leaves them: for sockets that subscribe
 * (calls_watch.c), whose claims changed, that come back to their rooms after a lost connection, or that another server
 * adds. Some tokens name the calls that they open. Otherwise the call's own list of agents decides, which is in the
 * store: until it is read, nothing of the call reaches the socket. An answer is only valid for the claims it was read
 * for: if they have changed meanwhile, it is read again. */
#include "calls_gate.h"
#include "calls_listing.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- rooms */

static bool begins_with(struct eio_str text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n >= n && !memcmp(text.p, prefix, n);
}

bool calls_room_call(struct eio_str room, char call_id[KIT_ID_SIZE])
{
    static const char *const prefixes[] = {CALLS_ROOM, CALLS_SUPERVISOR_ROOM, CALLS_AGENT_ROOM};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (!begins_with(room, prefixes[i])) continue;
        struct eio_str id = {room.p + strlen(prefixes[i]), room.n - strlen(prefixes[i])};
        const char *at = prefixes[i] == prefixes[2] ? memchr(id.p, '@', id.n) : NULL;
        if (at) id.n = (size_t)(at - id.p);
        if (!id.n || id.n >= KIT_ID_SIZE) continue;
        memcpy(call_id, id.p, id.n);
        call_id[id.n] = 0;
        return true;
    }
    return false;
}

void calls_agent_room(char room[CALLS_AGENT_ROOM_SIZE], const char *call_id, const char *user)
{
    snprintf(room, CALLS_AGENT_ROOM_SIZE, CALLS_AGENT_ROOM "%s@%s", call_id, user);
}

static bool is_in(const struct sio_socket *socket, const char *prefix, const char *call_id)
{
    char room[CALLS_ROOM_SIZE];
    calls_room(room, prefix, call_id);
    return sio_socket_is_in(socket, eio_str(room));
}

bool calls_access_is_in(const struct sio_socket *socket, const char *call_id)
{
    return is_in(socket, CALLS_ROOM, call_id) || is_in(socket, CALLS_SUPERVISOR_ROOM, call_id);
}

static bool is_in_own(const struct sio_socket *socket, const char *call_id)
{
    char room[CALLS_AGENT_ROOM_SIZE];
    const struct kit_claims *claims = kit_auth_claims(socket);
    if (!claims) return false;
    calls_agent_room(room, call_id, claims->sub);
    return sio_socket_is_in(socket, eio_str(room));
}

unsigned calls_access_audiences(const struct sio_socket *socket, const char *call_id)
{
    unsigned audiences = 0;
    if (is_in(socket, CALLS_ROOM, call_id)) audiences |= CALLS_FOR_ALL;
    if (is_in(socket, CALLS_SUPERVISOR_ROOM, call_id)) audiences |= CALLS_FOR_SUPERVISORS;
    if (is_in_own(socket, call_id)) audiences |= CALLS_FOR_ONE;
    return audiences;
}

static void leave(struct sio_socket *socket, const char *prefix, const char *call_id)
{
    char room[CALLS_ROOM_SIZE];
    calls_room(room, prefix, call_id);
    sio_leave(socket, eio_str(room));
}

bool calls_access_is_supervisor(const struct kit_claims *claims)
{
    return claims && (claims->role & (KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)) != 0;
}

/* A socket has one user for good, so its room is that of its claims, whichever they are. */
static void leave_own(struct sio_socket *socket, const char *call_id)
{
    char room[CALLS_AGENT_ROOM_SIZE];
    const struct kit_claims *claims = kit_auth_claims(socket);
    if (!claims) return;
    calls_agent_room(room, call_id, claims->sub);
    sio_leave(socket, eio_str(room));
}

/* What a call's supervisors get, or what this agent does. */
static int join_own(struct sio_socket *socket, const struct kit_claims *claims, const char *call_id)
{
    char room[CALLS_AGENT_ROOM_SIZE];
    if (calls_access_is_supervisor(claims)) {
        leave_own(socket, call_id);
        calls_room(room, CALLS_SUPERVISOR_ROOM, call_id);
    } else {
        leave(socket, CALLS_SUPERVISOR_ROOM, call_id);
        calls_agent_room(room, call_id, claims->sub);
    }
    return sio_join(socket, eio_str(room));
}

int calls_access_put_in(struct calls *calls, struct sio_socket *socket, const struct kit_claims *claims,
                        const char *call_id)
{
    char room[CALLS_ROOM_SIZE];
    if (!claims || kit_auth_claims(socket) != claims) return EIO_EAGAIN;
    bool is_new = !calls_access_is_in(socket, call_id);
    calls_room(room, CALLS_ROOM, call_id);
    int error = sio_join(socket, eio_str(room));
    if (!error) error = join_own(socket, claims, call_id);
    if (error && !calls_access_is_supervisor(claims)) leave(socket, CALLS_SUPERVISOR_ROOM, call_id);
    if (error && is_new)
        calls_access_take_out(calls, socket, call_id);
    else if (is_new)
        calls_presence_touch(calls, call_id, true);
    return error;
}

void calls_access_take_out(struct calls *calls, struct sio_socket *socket, const char *call_id)
{
    bool was_in = calls_access_is_in(socket, call_id);
    leave_own(socket, call_id);
    leave(socket, CALLS_SUPERVISOR_ROOM, call_id);
    leave(socket, CALLS_ROOM, call_id);
    if (was_in) calls_presence_touch(calls, call_id, false);
}

int calls_access_list(struct sio_socket *socket)
{
    const struct kit_claims *claims = kit_auth_claims(socket);
    return claims ? calls_listing_review(socket, claims, true) : EIO_EAGAIN;
}

void calls_access_empty(struct calls *calls, const char *call_id)
{
    char rooms[2][CALLS_ROOM_SIZE];
    struct rooms_name names[2];
    struct sio_target target = sio_all(calls->agents);
    calls_room(rooms[0], CALLS_ROOM, call_id);
    calls_room(rooms[1], CALLS_SUPERVISOR_ROOM, call_id);
    for (size_t i = 0; i < 2; i++) {
        names[i] = (struct rooms_name){rooms[i], strlen(rooms[i])};
        target = sio_to(target, rooms[i]);
    }
    sio_emit_pack(target, "error", "{s:i, s:s, s:s, s:s}", "code", 404, "message", "the call was deleted", "event",
                  "call:subscribe", "call_id", call_id);
    sio_target_leave(target, names, 2);
}

/* A socket has left a call: its client must know that it gets nothing more of it, also if its connection just broke and
 * it comes back. */
static void tell_end(struct sio_socket *socket, const char *call_id, const struct kit_failure *why)
{
    sio_emit_pack(sio_only(socket), "error", "{s:i, s:s, s:s, s:s}", "code", why->code, "message", why->message,
                  "event", "call:subscribe", "call_id", call_id);
}

static const struct kit_failure no_longer = {.code = 403, .message = "this call is no longer yours"};
static const struct kit_failure lost = {.code = 503, .message = "too many events in this call; subscribe again"};
static const struct kit_failure busy = {.code = 503, .message = "too many requests are queued; subscribe again"};

/* The calls in whose rooms the socket is, each once. NULL: out of memory, or there are none; *error tells. */
static char (*calls_of(const struct sio_socket *socket, size_t *count, int *error))[KIT_ID_SIZE]
{
    char(*ids)[KIT_ID_SIZE] = NULL, call_id[KIT_ID_SIZE];
    size_t capacity = 0;
    struct eio_str room;
    *count = 0;
    *error = 0;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        if (!calls_room_call(room, call_id)) continue;
        /* A socket in several rooms of a call is counted in the first. */
        if (!begins_with(room, CALLS_ROOM) && is_in(socket, CALLS_ROOM, call_id)) continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            char(*more)[KIT_ID_SIZE] = realloc(ids, capacity * sizeof *more);
            if (!more) {
                *error = EIO_ENOMEM;
                return ids;
            }
            ids = more;
        }
        memcpy(ids[(*count)++], call_id, sizeof call_id);
    }
    return ids;
}

/* --------------------------------------------------------------- decisions */

/* Whether a socket is in a call or joins it, where no client waits for an answer. */
struct decision {
    struct kit_store_op op;
    struct calls_turn turn;
    struct calls *calls;
    struct kit_claims *claims; /* that were asked about */
    bool joins;                /* it was not in the call before */
    char sid[KIT_SID_SIZE], call_id[KIT_ID_SIZE];
};

static struct decision *decision_of(struct calls_turn *turn)
{
    return KIT_OWNER(turn, struct decision, turn);
}

static int run_decision(struct kit_db *db, struct kit_store_op *op)
{
    struct decision *decision = (struct decision *)(void *)op;
    struct calls_call call;
    return calls_find_allowed(db, decision->claims, decision->call_id, &call, &op->failure);
}

static void end_decision(struct decision *decision)
{
    struct calls_gate *gate = calls_gate_end_turn(&decision->turn);
    kit_claims_unref(decision->claims);
    free(decision);
    calls_gate_next(gate);
}

static void refuse(const struct decision *decision, struct sio_socket *socket, const struct kit_failure *why)
{
    struct calls_gate *gate = decision->turn.gate;
    bool was_in = calls_access_is_in(socket, decision->call_id);
    calls_access_take_out(decision->calls, socket, decision->call_id);
    calls_gate_drop(gate);
    if (was_in) tell_end(socket, decision->call_id, why);
}

static void allow(const struct decision *decision, struct sio_socket *socket)
{
    struct calls_gate *gate = decision->turn.gate;
    bool stays = calls_access_is_in(socket, decision->call_id);
    if (stays && calls_gate_is_lost(gate)) {
        refuse(decision, socket, &lost);
        return;
    }
    /* A socket that left the room meanwhile stays out. */
    if (stays || decision->joins) calls_access_put_in(decision->calls, socket, decision->claims, decision->call_id);
    calls_gate_open(gate, socket, -1);
}

static struct sio_socket *socket_of(const struct decision *decision)
{
    return sio_socket_find(decision->calls->agents, decision->sid, strlen(decision->sid));
}

static void begin_decision(struct calls_turn *turn)
{
    struct decision *decision = decision_of(turn);
    struct sio_socket *socket = socket_of(decision);
    struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    kit_claims_unref(decision->claims);
    decision->claims = kit_claims_ref(claims);
    if (!claims) {
        calls_gate_drop(turn->gate);
    } else if (kit_claims_allow(claims, decision->call_id)) {
        allow(decision, socket);
    } else {
        calls_gate_hold(turn->gate);
        if (!kit_store_submit_read(decision->calls->kit->store, &decision->op, sizeof *decision)) return;
        refuse(decision, socket, &decision->op.failure);
    }
    end_decision(decision);
}

static void on_decided(struct kit_store_op *op)
{
    struct decision *decision = (struct decision *)(void *)op;
    struct sio_socket *socket = socket_of(decision);
    const struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    if (claims && claims != decision->claims) {
        begin_decision(&decision->turn);
        return;
    }
    if (!claims)
        calls_gate_drop(decision->turn.gate);
    else if (op->failure.code == 403 || op->failure.code == 404)
        refuse(decision, socket, &no_longer);
    else if (op->failure.code)
        refuse(decision, socket, &op->failure);
    else
        allow(decision, socket);
    end_decision(decision);
}

static int decide(struct calls *calls, struct sio_socket *socket, const char *call_id, bool joins)
{
    struct decision *decision = calloc(1, sizeof *decision);
    if (!decision) return EIO_ENOMEM;
    decision->op.run = run_decision;
    decision->op.done = on_decided;
    decision->turn.begin = begin_decision;
    decision->calls = calls;
    decision->joins = joins;
    snprintf(decision->sid, sizeof decision->sid, "%s", sio_socket_id(socket));
    snprintf(decision->call_id, sizeof decision->call_id, "%s", call_id);
    int error = calls_gate_enter(calls, decision->sid, call_id, &decision->turn);
    if (error) free(decision);
    return error;
}

/* ---------------------------------------------------------- other claims */

static void review_call(struct calls *calls, struct sio_socket *socket, const char *call_id)
{
    struct kit_claims *claims = kit_auth_claims(socket);
    struct calls_gate *gate = calls_gate_find(calls, sio_socket_id(socket), call_id);
    if (!calls_access_is_supervisor(claims)) leave(socket, CALLS_SUPERVISOR_ROOM, call_id);
    if (kit_claims_allow(claims, call_id)) {
        if (!calls_gate_is_busy(gate)) calls_access_put_in(calls, socket, claims, call_id);
        return;
    }
    if (calls_gate_is_busy(gate)) {
        calls_gate_hold(gate); /* what is under way asks again, since the claims are others */
        return;
    }
    if (!decide(calls, socket, call_id, false)) return;
    calls_access_take_out(calls, socket, call_id);
    calls_gate_forget(calls, sio_socket_id(socket), call_id);
    tell_end(socket, call_id, &busy);
}

/* The rooms that are not one call's: of who lists calls, of who is called for help. */
static int review_others(struct sio_socket *socket, const struct kit_claims *claims)
{
    int error = calls_listing_review(socket, claims, false);
    return error ? error : calls_help_review(socket, claims);
}

static void on_claims(struct sio_socket *socket, void *ctx)
{
    int error;
    size_t count;
    char(*ids)[KIT_ID_SIZE] = calls_of(socket, &count, &error);
    for (size_t i = 0; i < count; i++) review_call(ctx, socket, ids[i]);
    free(ids);
    if (!error) error = review_others(socket, kit_auth_claims(socket));
    if (error) sio_socket_disconnect(socket, true);
}

/* ------------------------------------------------------------ other servers */

struct wanted {
    struct calls *calls;
    const char *call_id;
};

static void join_one(struct sio_socket *socket, void *ctx)
{
    const struct wanted *wanted = ctx;
    if (kit_auth_claims(socket)) decide(wanted->calls, socket, wanted->call_id, true);
}

void calls_access_join(struct calls *calls, const struct rooms_selector *who, const char *call_id)
{
    struct wanted wanted = {calls, call_id};
    struct sio_target target = sio_to_all(sio_all(calls->agents), who->rooms, who->room_count);
    sio_target_each_local(sio_except_all(target, who->except, who->except_count), join_one, &wanted);
}

/* --------------------------------------------------------------- coming back */

/* A client is back in the rooms that it had, perhaps with another token: before it is sent what it missed, those are
 * left that it may not be in any more. */
struct calls_comeback {
    struct kit_store_op op;
    struct calls *calls;
    struct sio_admission *admission;
    struct kit_claims *claims;
    size_t count;
    char (*ids)[KIT_ID_SIZE]; /* the calls that the token does not name; after run: those that are not allowed */
    char sid[KIT_SID_SIZE];
    struct calls_comeback *next; /* of those that wait for their connection, to be notified */
};

static int run_comeback(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_comeback *comeback = (struct calls_comeback *)(void *)op;
    struct kit_failure failure;
    struct calls_call call;
    size_t kept = 0;
    for (size_t i = 0; i < comeback->count; i++) {
        int code = calls_find_allowed(db, comeback->claims, comeback->ids[i], &call, &failure);
        if (code) memmove(comeback->ids[kept++], comeback->ids[i], KIT_ID_SIZE);
        if (code && code != 403 && code != 404) op->failure = failure;
    }
    comeback->count = kept;
    return op->failure.code;
}

static void free_comeback(struct calls_comeback *comeback)
{
    kit_claims_unref(comeback->claims);
    free(comeback->ids);
    free(comeback);
}

static void refuse_comeback(struct sio_admission *admission)
{
    sio_refuse(admission, "too many requests are queued; try again", "{\"code\":503}");
}

/* The socket's rooms are correct; it is notified of those it lost once it is connected. */
static void go_on(struct calls_comeback *comeback, struct sio_socket *socket)
{
    struct calls *calls = comeback->calls;
    for (size_t i = 0; i < comeback->count; i++) calls_access_take_out(calls, socket, comeback->ids[i]);
    comeback->next = calls->comebacks;
    calls->comebacks = comeback;
    sio_next(comeback->admission);
}

static void on_comeback(struct kit_store_op *op)
{
    struct calls_comeback *comeback = (struct calls_comeback *)(void *)op;
    struct sio_socket *socket = sio_admission_socket(comeback->admission);
    if (socket && !op->failure.code) {
        go_on(comeback, socket);
        return;
    }
    refuse_comeback(comeback->admission); /* without effect if it is gone */
    free_comeback(comeback);
}

static struct calls_comeback *make_comeback(struct calls *calls, struct sio_socket *socket,
                                            struct sio_admission *admission)
{
    int error;
    struct calls_comeback *comeback = calloc(1, sizeof *comeback);
    if (!comeback) return NULL;
    comeback->op.run = run_comeback;
    comeback->op.done = on_comeback;
    comeback->calls = calls;
    comeback->admission = admission;
    comeback->claims = kit_claims_ref(kit_auth_claims(socket));
    snprintf(comeback->sid, sizeof comeback->sid, "%s", sio_socket_id(socket));
    comeback->ids = calls_of(socket, &comeback->count, &error);
    if (!error) return comeback;
    free_comeback(comeback);
    return NULL;
}

static void on_admission(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    struct calls *calls = ctx;
    if (!sio_socket_recovered(socket)) {
        sio_next(admission);
        return;
    }
    struct calls_comeback *comeback = NULL;
    if (kit_auth_claims(socket) && !review_others(socket, kit_auth_claims(socket)))
        comeback = make_comeback(calls, socket, admission);
    if (!comeback) {
        refuse_comeback(admission);
        return;
    }
    size_t open = 0;
    for (size_t i = 0; i < comeback->count; i++) {
        if (!calls_access_is_supervisor(comeback->claims)) leave(socket, CALLS_SUPERVISOR_ROOM, comeback->ids[i]);
        if (kit_claims_allow(comeback->claims, comeback->ids[i])) continue;
        memmove(comeback->ids[open++], comeback->ids[i], KIT_ID_SIZE);
    }
    comeback->count = open;
    if (open && !kit_store_submit_read(calls->kit->store, &comeback->op, sizeof *comeback + open * KIT_ID_SIZE)) return;
    if (open)
        refuse_comeback(admission);
    else
        sio_next(admission);
    free_comeback(comeback);
}

/* Takes it off the list of those to be notified. */
static struct calls_comeback *take_comeback(struct calls *calls, const char *sid)
{
    struct calls_comeback **at = &calls->comebacks;
    while (*at && strcmp((*at)->sid, sid)) at = &(*at)->next;
    struct calls_comeback *found = *at;
    if (found) *at = found->next;
    return found;
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct calls *calls = ctx;
    int error;
    size_t count;
    if (!sio_socket_recovered(socket)) {
        if (kit_auth_claims(socket) && calls_help_review(socket, kit_auth_claims(socket)))
            sio_socket_disconnect(socket, true);
        return;
    }
    char(*ids)[KIT_ID_SIZE] = calls_of(socket, &count, &error);
    for (size_t i = 0; i < count; i++) {
        calls_access_put_in(calls, socket, kit_auth_claims(socket), ids[i]); /* a supervisor's second room */
        calls_presence_touch(calls, ids[i], true);
    }
    free(ids);
    struct calls_comeback *comeback = take_comeback(calls, sio_socket_id(socket));
    for (size_t i = 0; comeback && i < comeback->count; i++) tell_end(socket, comeback->ids[i], &no_longer);
    if (comeback) free_comeback(comeback);
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct calls *calls = ctx;
    int error;
    size_t count;
    (void)reason;
    char(*ids)[KIT_ID_SIZE] = calls_of(socket, &count, &error);
    for (size_t i = 0; i < count; i++) {
        calls_gate_forget(calls, sio_socket_id(socket), ids[i]);
        calls_presence_touch(calls, ids[i], false);
    }
    free(ids);
}

static void on_dismissed(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)reason;
    struct calls_comeback *comeback = take_comeback(ctx, sio_socket_id(socket));
    if (comeback) free_comeback(comeback);
}

/* ------------------------------------------------------------------- init */

int calls_access_start(struct calls *calls)
{
    int error = kit_on_claims(calls->kit, calls->agents, on_claims, calls);
    if (!error) error = sio_use(calls->agents, on_admission, calls);
    if (!error) error = sio_on_dismissed(calls->agents, on_dismissed, calls);
    if (!error) error = sio_on_connection(calls->agents, on_connection, calls);
    return error ? error : sio_on_disconnecting(calls->agents, on_disconnecting, calls);
}

void calls_access_stop(struct calls *calls)
{
    while (calls->comebacks) free_comeback(take_comeback(calls, calls->comebacks->sid));
    calls_gates_clear(calls);
}
