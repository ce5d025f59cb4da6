/* The structs and functions that the files of engineio share. Private to this library.
 *
 * Reading order: eio_loop.c (turns), eio_frame.c and eio_queue.c (what is sent), eio_session.c, eio_table.c and
 * eio_sweep.c (a peer's life), eio_receive.c (its packets), eio_heartbeat.c and eio_pulse.c (is it alive),
 * eio_transport.h and behind it eio_ws.c and eio_polling.c (how bytes travel), eio_form.c (peers that differ),
 * eio_handshake.c, eio_opening.c, eio_candidate.c, eio_upgrade.c and eio_response.c (handshakes), eio_server.c. Each
 * calls only what is below it. */
#ifndef EIO_INT_H
#define EIO_INT_H

#include "engineio.h"

#include "base_check.h"
#include "base_clock.h"
#include "base_heap.h"
#include "base_table.h"
#include "eio_codec.h"
#include "eio_http_int.h"
#include "eio_form.h"
#include "eio_guest.h"
#include "eio_id.h"
#include "eio_limits.h"
#include "eio_poll.h"
#include "eio_transport.h"
#include "eio_ws.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

/* -------------------------------------------------------------------- loop */

enum {
    EIO__READ_BUFFER_BYTES = 65536,
    EIO__FLUSH_HOOKS_MAX = 8,
    EIO__FLUSH_ROUNDS_MAX = 8, /* callbacks of a flush may queue more; what is left waits for the next turn */
    EIO__TURN_MS = 10,         /* of events; when there are more, they are the next turn's */
    EIO__TURN_BEHIND_MS = 2,   /* the same while writes are left over from the turn before */
    EIO__TURN_WRITES_MS = 15,  /* since the turn began: what is not written by then is the next turn's */
    EIO__WRITES_MIN_MS = 2,    /* but for so long each turn writes, */
    EIO__SHARE_MIN_MS = 1,     /* and so long it does each other thing that comes in slices */
    EIO__TURNS_TO_TRIM = 256,  /* after so many, memory that they did not need is freed */
    EIO__TURN_EVENTS = 4,      /* the clock is read after so many, and after one that took long */
    EIO__SLICE_UNIT_BYTES = 1024,
    EIO__SLICE_UNITS = 16, /* packets of one peer, and units of bytes, between two looks at the clock */
    EIO__WRITE_UNIT_BYTES = 4096,
    EIO__WRITE_UNITS = 32,      /* peers written to, and units of bytes, between two looks at the clock */
    EIO__CLOCK_STEP_US = 10000, /* the coarse clock may be behind by that */
    EIO__STOOD_STILL_MS = 200,  /* timers that are later than that wait until all events have been handled */
};

struct eio__post {
    struct eio__post *next;
    eio_loop_fn fn;
    void *ctx;
};

struct eio_loop {
    struct event_base *base;
    struct eio__poller poller;
    struct eio__guest guest;
    bool fake_clock;
    bool stopping;
    bool unfinished; /* the last flush gave up before nothing was left: the next turn does not wait */
    bool in_hooks;   /* a batch sent now may be written at once */
    bool now_valid;
    uint64_t now_ms;   /* read once a turn; the fake clock's time */
    uint64_t began_us; /* when the turn's work began, by the coarse clock; 0: it waits */
    uint64_t ended_us; /* when the turn before ended, by the same; 0: not just now */

    struct base_heap timers;
    struct event *timer_event; /* armed at the end of a turn for the heap's first; libevent a guest: not in use */
    uint64_t armed_ms;         /* UINT64_MAX: not armed */

    pthread_mutex_t post_lock; /* guards post_first, post_last */
    struct eio__post *post_first, *post_last;
    struct event *post_event; /* or NULL: post_polled */
    struct eio__polled post_polled;
    int post_fd;

    eio_loop_fn hooks[EIO__FLUSH_HOOKS_MAX];
    void *hook_ctx[EIO__FLUSH_HOOKS_MAX];
    size_t hook_count, hook_next; /* next: the one to run after the one that runs */

    struct eio__turn_list to_flush, to_free; /* at the end of this turn */
    uint8_t *read_buffer;
    struct eio__tls_bio *tls_bio; /* made for the first WebSocket over TLS */
    struct eio__leases leases;    /* only with limits on connections */
    unsigned events;              /* of connections, in this turn */
    size_t slice_units;           /* handled of one peer's packets since the clock was looked at */
    uint64_t slice_us;            /* when that began; 0: not looked at the clock yet */
    uint64_t cut_at_us;           /* when the turn is to end; 0: not looked at the clock yet */
    bool cut;                     /* it was ended so */
    bool was_long;                /* an event was: the clock is to be read before the next */
    uint64_t large_us;            /* when the turn began, for messages that take long; 0: none came yet */
    bool large_waits;             /* a message that takes long had no room in a turn, and gets it in the next */
    bool is_behind;               /* the turn began with writes that the one before had no time for */
    size_t write_units;           /* written since the clock was looked at */
    uint64_t writes_end_us;       /* when the turn is to stop writing; 0: not looked at the clock yet */
    bool is_crowded;  /* a turn took longer than half of what it may, and there are still many peers with something to
                         say */
    uint64_t fake_us; /* of the fake clock, for slices: what its looks made of it */
    uint64_t fake_step_us; /* each of them; 0: slices never end */
    struct eio_loop_stats stats;
};

/* The item is flushed at the end of the turn. Harmless for one that is in a list. */
static inline void eio__loop_want_flush(struct eio_loop *loop, struct eio__turn_item *item)
{
    if (!item->next) eio__turn_list_add(&loop->to_flush, item);
}
/* The item, which is in no list, is freed at the end of the turn. */
static inline void eio__loop_want_free(struct eio_loop *loop, struct eio__turn_item *item)
{
    eio__turn_list_add(&loop->to_free, item);
}
/* What ends a turn: hooks, flush, freeing what was closed. Not from a hook or a session's callback. */
void eio__loop_end_turn(struct eio_loop *loop);
/* Runs the timers that are due. */
void eio__timers_run(struct eio_loop *loop);
/* The turn has waited, and what follows counts as its length. */
static inline void eio__loop_begin_work(struct eio_loop *loop)
{
    if (!loop->began_us) loop->began_us = base_clock_coarse_us();
}
/* When something ends that may have share_us of a turn, and less of one that has lasted long already. */
uint64_t eio__loop_share_end_us(const struct eio_loop *loop, uint64_t now_us, uint64_t share_us);
/* Whether the turn has room for a message of n bytes, which is scanned and handled in one piece. Large ones that come
 * when it has lasted long already wait for the next, which reads less before them. */
bool eio__loop_has_time_for(struct eio_loop *loop, size_t n);
/* What eio__loop_may_write() answers once enough was written to look at the clock. */
bool eio__loop_has_time_to_write(struct eio_loop *loop);
/* So much was written to a peer, or is about to be. */
static inline void eio__loop_note_written(struct eio_loop *loop, size_t size)
{
    loop->write_units += size / EIO__WRITE_UNIT_BYTES;
}
/* Called before one more peer is written to at the end of the turn; false: what is left is the next turn's. */
static inline bool eio__loop_may_write(struct eio_loop *loop)
{
    return ++loop->write_units < EIO__WRITE_UNITS || eio__loop_has_time_to_write(loop);
}
/* Called by each event of a connection: ends a turn that takes long, so that timers run and queues are flushed before
 * the rest. */
void eio__loop_on_event(struct eio_loop *loop);
/* The clock that slices end by. */
uint64_t eio__loop_slice_clock_us(struct eio_loop *loop);
/* One peer's packets are about to be handled, at a stretch of limited length. */
static inline void eio__loop_begin_slice(struct eio_loop *loop)
{
    loop->slice_units = 0;
    loop->slice_us = 0;
}
/* What eio__loop_slice_is_over() answers once enough was handled to look at the clock. */
bool eio__loop_slice_has_ended(struct eio_loop *loop, uint64_t limit_us);
/* Called before each packet, with its size: true once the stretch has lasted longer than limit_us, or a shorter time if
 * many peers wait to be read. Otherwise small packets share a look at the clock. */
static inline bool eio__loop_slice_is_over(struct eio_loop *loop, size_t size, uint64_t limit_us)
{
    loop->slice_units += 1 + size / EIO__SLICE_UNIT_BYTES;
    if (loop->slice_units < EIO__SLICE_UNITS && !loop->is_crowded) return false;
    return eio__loop_slice_has_ended(loop, limit_us);
}
/* The same for one that is small, if the clock need not be looked at for it; else it is not counted yet. */
static inline bool eio__loop_slice_takes(struct eio_loop *loop, size_t size)
{
    size_t units = loop->slice_units + 1 + size / EIO__SLICE_UNIT_BYTES;
    if (units >= EIO__SLICE_UNITS || loop->is_crowded) return false;
    loop->slice_units = units;
    return true;
}
/* Counts something that was due at at_ms and runs now. */
void eio__loop_note_due(struct eio_loop *loop, uint64_t at_ms);
/* When the first timer is due, UINT64_MAX if none runs. */
static inline uint64_t eio__timers_next_ms(const struct eio_loop *loop)
{
    return loop->timers.count ? loop->timers.entries[0].at : UINT64_MAX;
}
/* Closes a descriptor that was taken from HTTP, and ends its lease there if it has one. */
void eio__fd_close(struct eio_loop *loop, int fd);
/* The same where somebody else closes it. */
void eio__fd_forget(struct eio_loop *loop, int fd);

/* ------------------------------------------------------------------ frames */

enum {
    EIO__FRAME_BYTES_MAX = INT32_MAX - 64,
    EIO__MESSAGE_OFFSET = 11,        /* room for the longest frame header and the packet type */
    EIO__CHUNK_BYTES = 4096,         /* of one chunk's wire bytes */
    EIO__CHUNKS_KEPT = 256,          /* free chunks kept for reuse, per thread */
    EIO__BATCH_MERGE_BYTES = 262144, /* larger batches are queued frame by frame */
};

/* Engine.IO frames hold the WebSocket header, the packet type "4" (text) and the message, contiguous, so that the
 * wire form is a slice. Wire-only frames hold bytes for one connection or a merged batch. */
struct eio_frame {
    uint32_t refs;
    uint32_t wire_size;
    uint32_t size; /* of the message; wire-only: 0 */
    uint8_t wire_start;
    uint8_t kind; /* enum eio_kind */
    bool more;    /* the next frame belongs to this one */
    bool wire_only;
    bool is_chunk;         /* from the pool, EIO__CHUNK_BYTES of capacity */
    bool is_packet;        /* a bare Engine.IO packet: message bytes include its type */
    bool is_plain;         /* the wire is one uncompressed data frame: it may be compressed */
    uint8_t deflated_bits; /* window of `deflated` */
    uint8_t flat_bits;     /* the widest window known not to shrink it; 0: none */
    uint16_t messages;     /* how many messages the wire bytes are */
    bool is_deflating;     /* it is being compressed: `deflating` */
    union {
        struct eio_frame *deflated; /* the compressed form, made for the first who negotiated it, or NULL */
        struct eio__deflating *deflating;
    };
    struct eio_frame_account *account; /* NULL: it is not counted */
    uint8_t bytes[];
};

static inline const uint8_t *eio__frame_wire(const struct eio_frame *frame)
{
    return frame->bytes + frame->wire_start;
}
static inline uint8_t *eio__frame_message(struct eio_frame *frame)
{
    return frame->bytes + EIO__MESSAGE_OFFSET;
}
/* A control frame of a WebSocket, for its wire only. */
struct eio_frame *eio__frame_new_control(enum eio__ws_opcode opcode, const uint8_t *p, size_t n);
/* An Engine.IO packet other than a message ("2", "3probe"). */
struct eio_frame *eio__frame_new_packet(const char *packet, size_t size);
/* A data frame of n payload bytes for the wire, which are to be filled in; the rest is that of another frame. */
struct eio_frame *eio__frame_new_like(const struct eio_frame *from, enum eio__ws_opcode opcode, size_t n,
                                      uint8_t **payload);
/* Of a frame whose wire is one data frame: the bytes before its payload. */
size_t eio__frame_header_size(const struct eio_frame *frame);
/* Bytes for a WebSocket's wire as they are. */
struct eio_frame *eio__frame_new_wire(size_t size);
/* An empty chunk from the pool: a wire-only frame to append to while its queue is the only owner. */
struct eio_frame *eio__frame_new_chunk(void);
/* Frees those of the calling thread's pool that were not needed since the last call. */
void eio__frame_pool_trim(void);
/* Frees the calling thread's pool and compression streams. */
void eio__frame_pool_clear(void);

struct eio_batch {
    struct eio_frame **frames;
    size_t count, capacity;
    size_t wire_size;
    struct eio_frame *merged; /* the wire bytes of all frames, made at first use; NULL if too large or only one */
    bool sealed;              /* was sent: no more frames */
};
/* The one frame that stands for the batch on a plain WebSocket, or NULL: send them one by one. Borrowed. */
struct eio_frame *eio__batch_wire(struct eio_batch *batch);

/* ------------------------------------------------------------------- queue */

/* A FIFO of frame references: a ring, inline while it is short. */
enum { EIO__QUEUE_INLINE = 2 };
struct eio__queue {
    uint32_t head, count;
    uint32_t capacity : 31; /* a power of two */
    uint32_t in_group : 1;  /* what was sent last goes on in the next message: `more` */
    uint32_t head_written;  /* bytes of the first frame's wire that are sent */
    size_t bytes;           /* wire bytes not sent yet */
    union {
        struct eio_frame **slots; /* of a longer ring */
        struct eio_frame *inline_slots[EIO__QUEUE_INLINE];
    };
};
void eio__queue_init(struct eio__queue *queue);
void eio__queue_clear(struct eio__queue *queue);
/* Makes room for more than the ring has. 0 or EIO_ENOMEM. */
int eio__queue_grow(struct eio__queue *queue);
static inline struct eio_frame **eio__queue_slot(const struct eio__queue *queue, uint32_t i)
{
    struct eio_frame *const *slots = queue->capacity == EIO__QUEUE_INLINE ? queue->inline_slots : queue->slots;
    return (struct eio_frame **)(uintptr_t)&slots[(queue->head + i) & (queue->capacity - 1)];
}
static inline struct eio_frame *eio__queue_at(const struct eio__queue *queue, uint32_t i)
{
    return *eio__queue_slot(queue, i);
}
/* Takes the reference, also on failure (EIO_ENOMEM). */
static inline int eio__queue_push(struct eio__queue *queue, struct eio_frame *take_frame)
{
    if (queue->count == queue->capacity && eio__queue_grow(queue) != 0) {
        eio_frame_unref(take_frame);
        return EIO_ENOMEM;
    }
    *eio__queue_slot(queue, queue->count++) = take_frame;
    queue->bytes += take_frame->wire_size;
    return 0;
}
/* Puts another frame in the place of the i-th, of which nothing was sent yet. Takes the reference. */
void eio__queue_replace(struct eio__queue *queue, uint32_t i, struct eio_frame *take_frame);
/* Drops the first frame and its reference. */
void eio__queue_pop(struct eio__queue *queue);
/* Drops all but a first frame that was begun, or that is the library's own (the 101): what follows it can be read. */
void eio__queue_drop_unsent(struct eio__queue *queue);
/* Notes that n wire bytes were sent; returns how many messages are complete by that. */
size_t eio__queue_advance(struct eio__queue *queue, size_t n);
/* Drops whole messages (with what belongs to them) from the front until `bytes` more would fit under `limit` and at
 * least `messages` are gone: never one that was begun, never one whose last part is not queued yet, never the library's
 * own packets and control frames. Returns how many messages were dropped. */
size_t eio__queue_drop_oldest(struct eio__queue *queue, size_t bytes, size_t limit, size_t messages);

/* ----------------------------------------------------------------- session */

enum eio__state {
    EIO__S_OPEN,
    EIO__S_CLOSING,   /* what is queued is being sent; incoming messages are ignored */
    EIO__S_LINGERING, /* on_close was called; a WebSocket waits for the peer's close frame or end */
    EIO__S_CLOSED,    /* to be freed at the end of the turn */
};

/* What a peer had done when its heartbeat began, or was last looked at; bytes modulo 2^32 (eio_heartbeat.c). */
struct eio__pulse {
    uint32_t target; /* what was given to its transport before the ping */
    uint32_t taken, received;
    uint32_t rest_max_ms;
    uint32_t looks;         /* how often it was late and alive; after the session's end: how often bytes were left */
    uint32_t rests : 29;    /* looks since it last moved */
    uint32_t moved : 1;     /* once, since the heartbeat began */
    uint32_t is_behind : 1; /* it had not taken all that stands before the ping */
    uint32_t is_new : 1;    /* polling: on another connection since then */
};

struct eio_session {
    /* The write path: what a broadcast touches stands first. */
    struct eio__transport *transport; /* set by eio__session_set_transport() only */
    uint8_t state;                    /* enum eio__state, set by eio__session_set_state() only */
    uint8_t protocol;                 /* 4; 0 for a bare WebSocket */
    bool extended : 1;                /* the pong deadline was extended once */
    bool awaiting_pong : 1;           /* Engine.IO 3: the client's ping */
    bool base64 : 1;                  /* Engine.IO 3: the client cannot take binary */
    bool failed : 1;                  /* to be ended at the flush: eio__session_fail() */
    bool counted : 1;                 /* in the server's table of addresses */
    bool has_own_id : 1;              /* the id is the application's */
    bool has_long_id : 1;
    bool room_taken : 1;  /* eio__transport_alloc() */
    uint8_t close_reason; /* enum eio_close_reason */
    uint32_t queued_messages;
    struct eio__queue queue;
    struct eio__turn_item item;
    struct eio_server *server;
    void *data;

    struct eio__candidate *candidate; /* a transport that may take over, or NULL */
    struct eio__inbox *inbox;         /* packets that wait, and nothing is read; NULL: it is as usual */
    struct eio_http_head *head;
    struct eio_deadline deadline; /* heartbeat; close or linger timeout */
    struct eio__pulse pulse;
    uint32_t slot;
    const char *close_detail;
    union { /* eio_session_id() */
        char id[EIO__ID_CHARS + 1];
        struct eio__own_id *own_id; /* has_own_id */
        char *long_id;              /* has_long_id */
    };
    uint64_t room[]; /* for a transport */
};

/* Makes a session in the table, without a transport, with a copy of the head. NULL: out of memory. */
struct eio_session *eio__session_new(struct eio_server *server, const struct eio__opening *opening,
                                     const struct eio_http_head *head);
/* The one function that changes the transport. Takes it; the one before is the caller's to free. */
void eio__session_set_transport(struct eio_session *session, struct eio__transport *take_transport, const char *why);
/* The one function that changes the state. */
void eio__session_set_state(struct eio_session *session, enum eio__state state, const char *why);
/* Puts the session on the loop's list of those to be flushed at the end of the turn. */
void eio__session_want_flush(struct eio_session *session);
/* It is closing: the deadline of its last bytes, from now on. */
void eio__session_await_last(struct eio_session *session);
/* Over and done: to be freed at the end of the turn. */
void eio__session_bury(struct eio_session *session, const char *why);
/* The same for a session whose handshake failed: no handler knows of it. */
void eio__session_discard(struct eio_session *session);
/* The session is over: leaves the table, fires on_close; then lingers (WebSocket, a close frame was sent) or is freed.
 */
void eio__session_end(struct eio_session *session, enum eio_close_reason reason, const char *detail, bool linger);
/* What waits for the peer is dropped: it takes nothing any more. */
void eio__session_drop_queue(struct eio_session *session);
/* Queues a frame; takes the reference. For the library's own packets: no limits apply. */
int eio__session_push(struct eio_session *session, struct eio_frame *take_frame);
/* What the peer gets from here on would make no sense: nothing more is sent, and the session ends at the flush, since
 * sending never calls back. */
void eio__session_fail(struct eio_session *session, enum eio_close_reason reason, const char *detail);
/* Queues a message as a frame of its own, whose bytes are written later. NULL: out of memory. */
uint8_t *eio__session_reserve_frame(struct eio_session *session, enum eio_kind kind, size_t size);

/* -------------------------------------------------------------------- pulse */

/* A session that polls depends on this connection now (line may be NULL): what moves there is its sign of life. */
void eio__pulse_tie(struct eio_session *session, struct eio__tie *tie, struct eio__line *line);
/* More was given than the high-water mark and is not taken. */
bool eio__pulse_is_behind(const struct eio_session *session);
/* Begins to look at what moves. Before a ping is queued: what stands before it must be taken first. */
void eio__pulse_watch(struct eio_session *session);
/* The peer took something since, and is not done with it. */
bool eio__pulse_is_taking(struct eio_session *session);
/* A peer that is late is alive: something moved since the last look, or not long ago. */
bool eio__pulse_is_moving(struct eio_session *session);

/* --------------------------------------------------------------- heartbeats */

/* The session is open: its heartbeat begins. */
void eio__heartbeat_start(struct eio_session *session);
/* Another transport took over: what moves is measured anew. */
void eio__heartbeat_on_upgrade(struct eio_session *session);
/* Packets of the peer. The first may end the session. */
void eio__heartbeat_on_ping(struct eio_session *session);
void eio__heartbeat_on_pong(struct eio_session *session);
void eio__heartbeat_on_other_packet(struct eio_session *session);
/* Deadlines of a session; ctx: the server. */
void eio__heartbeat_on_ping_due(struct eio_deadline *due, void *ctx);
void eio__heartbeat_on_pong_due(struct eio_deadline *due, void *ctx);
/* eio_server_find() for a request that just came: a session whose pong is overdue ends first. */
struct eio_session *eio__heartbeat_find(struct eio_server *server, const char *sid, size_t size);

/* ------------------------------------------------------------------ receiving */

/* A packet has arrived, with the request of that head: handles it, or keeps it behind those that wait. Returns non-zero
 * if the session went away. */
int eio__receive(struct eio_session *session, const struct eio__packet *packet, const struct eio_http_head *head);
/* What a peer has sent is malformed: the session ends, behind the packets that wait. detail: a literal. */
void eio__receive_fault(struct eio_session *session, enum eio_close_reason reason, const char *detail);
/* Packets wait: what comes now is behind them. */
bool eio__receive_is_waiting(const struct eio_session *session);

/* Packets, or the rest of what was read, wait: nothing more is read, and it is not the peer's fault. */
static inline bool eio__session_is_held(const struct eio_session *session)
{
    return session->inbox || session->transport->is_busy;
}

/* ------------------------------------------------------------------ server */

/* cors.origin, if it is a list. */
struct eio__cors_origin {
    struct eio_str text; /* in the option */
    bool is_regex;
    regex_t regex;
};
struct eio__cors_origins {
    struct eio__cors_origin *list;
    size_t count;
};
/* Returns 0, EIO_ENOMEM, or EIO_EINVAL for a malformed regular expression, which is logged. */
int eio__cors_origins_init(struct eio__cors_origins *origins, const char *text);
void eio__cors_origins_clear(struct eio__cors_origins *origins);
/* The same for options.allowed_origins, where one origin is a list of one. NULL: all are. */
int eio__allowed_origins_init(struct eio__cors_origins *origins, const char *text);
/* Whether the request has no Origin, or one of these. */
bool eio__origin_is_allowed(const struct eio__cors_origins *origins, const struct eio_http_head *head);

/* Ids that an application gave: found by their text, since they do not contain the slot. */
struct eio__own_id {
    struct eio_session *session;
    char text[];
};
struct eio__own_ids {
    struct base_table table;
    uint8_t key[16]; /* of the hash, so that clients cannot choose collisions */
};
void eio__own_ids_init(struct eio__own_ids *ids);
void eio__own_ids_clear(struct eio__own_ids *ids);
bool eio__own_id_valid(const char *id);
/* Makes it the session's id. 0 or EIO_ENOMEM. */
int eio__own_ids_add(struct eio__own_ids *ids, const char *id, struct eio_session *session);
void eio__own_ids_remove(struct eio__own_ids *ids, struct eio_session *session);
struct eio_session *eio__own_ids_find(const struct eio__own_ids *ids, const char *id, size_t size);

/* The watcher, and the packets of this turn that it was not notified of yet (eio_watch.c). */
struct eio__created {
    struct eio_session *session; /* NULL: it is gone */
    struct eio_frame *frame;
};
struct eio__watch {
    struct eio_watch fn;
    void *ctx;
    struct eio__created *created;
    size_t created_count, created_capacity;
};
/* A packet was queued. */
void eio__watch_created(struct eio_session *session, struct eio_frame *frame);
/* Notifies the watcher of what was queued up to now. */
void eio__watch_tell(struct eio__watch *watch);
void eio__watch_forget(struct eio__watch *watch, const struct eio_session *session);
void eio__watch_free(struct eio__watch *watch);

/* Packets that wait for a later turn: of a server's sessions, one behind the other (eio_inbox.c). */
struct eio__inboxes {
    struct eio__inbox *first, **last;
    struct eio_timer timer; /* the next turn's slice */
};

/* What is being done to all sessions, slice by slice. */
struct eio__sweep {
    void (*fn)(struct eio_session *session, void *ctx); /* NULL: nothing */
    void *ctx;
    uint32_t next; /* slot */
    struct eio_timer timer;
};

struct eio_server {
    struct eio_loop *loop;
    struct eio_options options; /* strings are copies */
    struct eio_handlers handlers;
    void *ctx;
    struct eio_hooks hooks;
    void *hooks_ctx;
    struct eio__watch *watch;                 /* NULL: there is no watcher */
    struct eio__cors_origins origins;         /* of options.cors */
    struct eio__cors_origins allowed_origins; /* of that option; none: all */
    eio_foreign_fn foreign;
    void *foreign_ctx;
    eio_remote_fn remote;
    void *remote_ctx;
    struct eio_admission *admissions; /* handshakes that wait for a decision */
    struct eio_server_stats stats;
    bool leaving;                         /* no session opens any more */
    enum eio_close_reason closing_reason; /* of eio_server_close_all() */
    struct eio__sweep sweep;

    struct eio_session **slots; /* by the slot number in the session id */
    uint32_t *free_slots;
    uint32_t slot_count, slot_capacity, free_count;
    struct eio__ids ids;
    struct eio__own_ids own_ids;
    struct eio_frame *ping_frame;
    struct eio_deadlines ping, pong, silence, closing_wait, last_poll, linger, upgrade, noop, message;
    struct eio__inflations inflations;
    struct eio__deflating_row deflating;
    struct eio__inboxes inboxes;
    struct eio_limit_counter limits[EIO_LIMIT_COUNT], refused_posts;
    struct eio__visitors visitors;
    struct eio_rate handshake_rate;
    struct eio__ws_limits ws_limits[2]; /* [1]: with permessage-deflate */
    size_t max_queue_messages;          /* SIZE_MAX: no limit */
};

/* A message goes to the application, with the request of that head. */
static inline void eio__receive_message(struct eio_session *session, enum eio_kind kind, const uint8_t *p, size_t n,
                                        const struct eio_http_head *head)
{
    struct eio_server *server = session->server;
    const struct eio_message message = {kind, p, n, head};
    server->stats.messages_in++;
    if (server->handlers.on_message) server->handlers.on_message(session, &message, server->ctx);
}
/* Whether a message of n bytes can be given to eio__receive_message() at once, without eio__receive(): nothing waits
 * before it, there is no watcher, and the stretch has room for it. If so, it is counted there. */
static inline bool eio__receive_is_simple(const struct eio_session *session, size_t n)
{
    return session->state == EIO__S_OPEN && !session->inbox && !session->awaiting_pong && !session->server->watch &&
           eio__loop_slice_takes(session->server->loop, n);
}
/* Counts a hit of a limit and logs it; head: of the request or session that hit it, or NULL. */
static inline void eio__server_hit(struct eio_server *server, enum eio_limit limit, const struct eio_http_head *head)
{
    eio_limit_hit(&server->limits[limit], server->loop, eio_limit_name(limit), head ? head->address : NULL);
}
/* Enters the session in the table, under an id of the application's or (NULL) one of ours. */
int eio__table_enter(struct eio_server *server, struct eio_session *session, const char *id);
void eio__table_leave(struct eio_server *server, struct eio_session *session);
void eio__sweep_init(struct eio_server *server);
void eio__sweep_stop(struct eio_server *server);
/* Requests to the Engine.IO path, plain and asking for a WebSocket. ctx is the server. */
void eio__server_on_request(struct eio_http_request *request, void *ctx);
void eio__server_on_upgrade(struct eio_http_request *request, void *ctx);
void eio__server_forget_admissions(struct eio_server *server);

/* --------------------------------------------------------------- responses */

enum { EIO__HEADERS_MAX = 32, EIO__HEADER_BYTES = 4096 };
struct eio_headers {
    struct eio_http_reply_field fields[EIO__HEADERS_MAX];
    size_t count, used;
    char memory[EIO__HEADER_BYTES];
};
struct eio__answer {
    int status;
    const char *type;     /* NULL: none */
    const char *encoding; /* "gzip", "deflate"; NULL: none */
    const void *body;
    size_t size;
    const struct eio_session *opened; /* of a handshake's response, else NULL */
};
/* Error codes of the reference (engine.io, Server.errors). */
enum {
    EIO__ERROR_TRANSPORT = 0,
    EIO__ERROR_SID = 1,
    EIO__ERROR_METHOD = 2,
    EIO__ERROR_BAD_REQUEST = 3,
    EIO__ERROR_FORBIDDEN = 4,
    EIO__ERROR_PROTOCOL = 5,
};
/* Answers with the reference's headers, CORS, the cookie and what hooks add. */
void eio__server_reply(struct eio_server *server, struct eio_http_request *request, const struct eio__answer *answer);
/* Refuses a request, as JSON or (upgrades) as text; context and message may be NULL. */
void eio__server_refuse(struct eio_server *server, struct eio_http_request *request, int error, const char *context,
                        const char *message);
/* Refuses a request because of a limit: 429 if it is one by address, else 503. Counts and logs it. */
/* allowed_origins: 403. */
void eio__server_refuse_origin(struct eio_server *server, struct eio_http_request *request);
void eio__server_refuse_limit(struct eio_server *server, struct eio_http_request *request, enum eio_limit limit);
bool eio__cookie_is_good(const struct eio_cookie *cookie);
void eio__server_preflight(struct eio_server *server, struct eio_http_request *request);
/* The 101 response; *deflate_bits is the negotiated window, 0: none. opened: as in struct eio__answer. NULL: no memory.
 */
struct eio_frame *eio__server_switching(struct eio_server *server, const struct eio_http_head *head,
                                        const struct eio_session *opened, int *deflate_bits);

/* -------------------------------------------------------------------- CORS */

enum { EIO__CORS_FIELDS_MAX = 8 };
struct eio__cors_reply {
    struct eio_http_reply_field fields[EIO__CORS_FIELDS_MAX];
    size_t count;
    char origin[512];
    char headers[1024];
    char max_age[24];
};
/* The response headers for a request; for OPTIONS those of a preflight's answer. */
void eio__cors_fields(const struct eio_cors *cors, const struct eio__cors_origins *origins,
                      const struct eio_http_head *head, struct eio__cors_reply *out);
/* True if the request is a preflight that is to be answered: CORS is on, for this origin too. */
bool eio__cors_answers(const struct eio_cors *cors, const struct eio_http_head *head);

#endif
