/* Gates between a socket and a call (calls_gate.c), and who may be in a call's rooms (calls_access.c). */
#ifndef CALLS_GATE_H
#define CALLS_GATE_H

#include "calls_int.h"

#include <uthash.h>

/* ------------------------------------------------------------------- gate */

struct calls_gate;

/* A call with gates: a message finds them by its room. */
struct calls_gated {
    char call_id[KIT_ID_SIZE];
    struct calls_gate *gates; /* a table by the socket's id */
    uint64_t seen;            /* number of the message that was looked at last */
    UT_hash_handle hh;
};

/* Something that is decided about a socket and a call. Those of one pair run one after another, as they were asked. */
struct calls_turn {
    struct calls_gate *gate;
    struct calls_turn *next;
    void (*begin)(struct calls_turn *turn);
};
/* Begins at once or when those before it are over. EIO_EAGAIN (source_queue_max of them wait), EIO_ENOMEM: never. */
int calls_gate_enter(struct calls *calls, const char *sid, const char *call_id, struct calls_turn *turn);
/* Once for each that has begun. The gate is still the caller's, until calls_gate_next(). */
struct calls_gate *calls_gate_end_turn(struct calls_turn *turn);
/* Begins the next turn; frees a gate that is no longer needed. */
void calls_gate_next(struct calls_gate *gate);
/* NULL if absent. */
struct calls_gate *calls_gate_find(const struct calls *calls, const char *sid, const char *call_id);
/* A turn has begun and is not over. Accepts NULL. */
bool calls_gate_is_busy(const struct calls_gate *gate);

/* From now on nothing of the call reaches the socket; it is kept. */
void calls_gate_hold(struct calls_gate *gate);
/* What came was too much to be kept. */
bool calls_gate_is_lost(const struct calls_gate *gate);
/* Sends what was kept and is newer than seq; from now on what is newer reaches the socket. seq -1: there was no
 * snapshot. socket NULL: it is gone. */
void calls_gate_open(struct calls_gate *gate, const struct sio_socket *socket, int64_t seq);
/* Forgets what was kept: the socket is in none of the call's rooms any more. */
void calls_gate_drop(struct calls_gate *gate);
/* The same, if there is a gate. */
void calls_gate_forget(const struct calls *calls, const char *sid, const char *call_id);
void calls_gates_clear(struct calls *calls);

/* A message for `who`, which names a room of the call, is being delivered: writes the ids of sockets that must not get
 * it now, and keeps it for those of them that are recipients (message NULL: for none). Returns how many, at most
 * calls_gates_count(). */
size_t calls_gates_stop(const struct calls_gated *call, const struct rooms_selector *who,
                        const struct rooms_message *message, int64_t seq, struct rooms_name *except);
size_t calls_gates_count(const struct calls_gated *call);
/* Of ["name",{…}]; INT64_MAX: it has none. */
int64_t calls_event_seq(struct eio_str json);

/* Sends ["name",arg] to one socket, past its gates and at once. offset: of recovery's log; "": none. */
void calls_proxy_send(const struct calls *calls, const struct sio_socket *socket, struct eio_str json,
                      const char *offset);

/* What other nodes say of the call reaches the socket, which is in its rooms, or nothing can be waited for. */
bool calls_proxy_hears(const struct calls *calls, const struct sio_socket *socket, const char *call_id);

/* ----------------------------------------------------------------- access */

/* The call's id if the room is one of a call's; false otherwise. */
bool calls_room_call(struct eio_str room, char call_id[KIT_ID_SIZE]);
bool calls_access_is_in(const struct sio_socket *socket, const char *call_id);
/* Whom something of a call is for, by the rooms that it is sent to. */
enum calls_audience { CALLS_FOR_ALL = 1, CALLS_FOR_SUPERVISORS = 2, CALLS_FOR_ONE = 4 };
/* In which of them the socket is, or'ed. */
unsigned calls_access_audiences(const struct sio_socket *socket, const char *call_id);
/* Puts a socket into the call's rooms, or leaves those that its role does not open. claims are what was checked for
 * this call: EIO_EAGAIN if the socket has others meanwhile; or what sio_join() says. */
int calls_access_put_in(struct calls *calls, struct sio_socket *socket, const struct kit_claims *claims,
                        const char *call_id);
void calls_access_take_out(struct calls *calls, struct sio_socket *socket, const char *call_id);
/* Another server, or the application, wants these sockets in a call's room: those come in that may. */
void calls_access_join(struct calls *calls, const struct rooms_selector *who, const char *call_id);

#endif
