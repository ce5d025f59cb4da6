/* The carrier over PostgreSQL. In reading order:
 *   rooms_postgresql_wire.c     pure: notifications that name an attachment; names of tables
 *   rooms_postgresql_queue.c    pure: what waits to be published
 *   rooms_postgresql_attempt.c  connecting, on a thread
 *   rooms_postgresql_link.c     one connection: commands and their answers, liveness, its end and the next attempt
 *   rooms_postgresql_inbox.c    what has arrived and waits for an attachment
 *   rooms_postgresql.c          the node: both connections together, publishing, cleaning up, statistics
 *   rooms_postgresql_adapter.c  the adapter of a namespace: its channel and its messages
 *
 * Everything but an attempt runs on the loop's thread. Commands are sent at the end of a pass only (on_flush), so
 * nothing that is called meanwhile loses a connection. */
#ifndef ROOMS_POSTGRESQL_INT_H
#define ROOMS_POSTGRESQL_INT_H

#include "base_check.h"
#include "base_clock.h"
#include "base_timer.h"
#include "cluster.h"
#include "rooms_int.h"
#include "rooms_wire.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <libpq-fe.h>

/* --------------------------------------------------- rooms_postgresql_wire.c */

enum {
    ROOMS__PG_PAYLOAD_MAX = 7999, /* of a notification: PostgreSQL refuses more */
    ROOMS__PG_CHANNEL_MAX = 63,   /* bytes of its name, likewise */
    ROOMS__PG_HEADER_MAX = 512,   /* of a notification that names an attachment: longer ones are messages */
};

/* A notification that names an attachment: {"uid":"…","type":3,"attachmentId":"12"} */
struct rooms__pg_header {
    uint64_t attachment;
    char uid[ROOMS_UID_MAX + 1];
};
/* Returns 1; 0 if the payload is something else, perhaps a message; ROOMS_EINVAL: malformed. */
int rooms__pg_header_read(struct rooms_bytes payload, struct rooms__pg_header *header);
/* What precedes the number of the attachment, and what follows it. */
void rooms__pg_header_put(struct rooms_packer *packer, struct rooms_name uid, enum rooms_cluster_type type);
#define ROOMS__PG_HEADER_END "\"}"

/* -------------------------------------------------- rooms_postgresql_queue.c */

/* One block: the channel's name and the header, both terminated, then the payload. */
struct rooms__pg_message {
    struct rooms__pg_message *next;
    const char *channel;
    const char *header; /* what precedes the attachment's number; NULL: the payload itself is notified */
    struct rooms_bytes payload;
};
struct rooms__pg_queue {
    struct rooms__pg_message *first, *last;
    size_t count, bytes;
};
/* Copies a message to the end. Returns 0 or ROOMS_ENOMEM. */
int rooms__pg_queue_add(struct rooms__pg_queue *queue, const struct rooms__pg_message *message);
/* Takes the first one out, for the caller to free; NULL: it is empty. */
struct rooms__pg_message *rooms__pg_queue_take(struct rooms__pg_queue *queue);
void rooms__pg_queue_clear(struct rooms__pg_queue *queue);

/* Notifications that equal another of their transaction are not delivered: what this transaction already has. */
enum { ROOMS__PG_BATCH_MAX = 64 };
struct rooms__pg_batch {
    struct rooms__pg_message *messages[ROOMS__PG_BATCH_MAX];
    size_t count;
};
bool rooms__pg_batch_has(const struct rooms__pg_batch *batch, const struct rooms__pg_message *message);

/* ------------------------------------------------ rooms_postgresql_attempt.c */

enum rooms__pg_role { ROOMS__PG_SENDER, ROOMS__PG_LISTENER, ROOMS__PG_LINKS };

struct rooms__pg_attempt;
/* conn: ready for commands, in pipeline mode, the receiver's; NULL: why says what is wrong. */
typedef void (*rooms__pg_attempt_fn)(void *ctx, PGconn *take_conn, const char *why);
/* Connects on a thread; fn is called on the loop, later. NULL: neither memory nor a thread. */
struct rooms__pg_attempt *rooms__pg_attempt_start(struct event_base *base, enum rooms__pg_role role,
                                                  const struct rooms_postgresql_options *options,
                                                  rooms__pg_attempt_fn fn, void *ctx);
/* fn is not called any more. Accepts NULL. */
void rooms__pg_attempt_cancel(struct rooms__pg_attempt *attempt);

/* Statements that an attempt prepares for the sender. */
#define ROOMS__PG_NOTIFY "parley_notify" /* channel, payload */
#define ROOMS__PG_ATTACH "parley_attach" /* channel, header, payload */
#define ROOMS__PG_FETCH "parley_fetch"   /* id, most bytes: NULL if it is larger */
#define ROOMS__PG_CLEAN "parley_clean"   /* age in milliseconds */
#define ROOMS__PG_CLEAN_ROWS 1000        /* at once */

/* --------------------------------------------------- rooms_postgresql_link.c */

enum rooms__pg_state { ROOMS__PG_IDLE, ROOMS__PG_AWAY, ROOMS__PG_CONNECTING, ROOMS__PG_READY };

enum rooms__pg_kind {
    ROOMS__PG_IS_MESSAGE,
    ROOMS__PG_IS_FETCH, /* ctx: its arrival, or NULL if that is gone */
    ROOMS__PG_IS_CLEAN,
    ROOMS__PG_IS_LISTEN,
    ROOMS__PG_IS_PING,
    ROOMS__PG_IS_SYNC,
};
struct rooms__pg_command {
    enum rooms__pg_kind kind;
    bool is_answered;
    size_t bytes; /* of a message */
    void *ctx;
};
enum {
    ROOMS__PG_COMMANDS_MAX = 512,
    ROOMS__PG_TRANSACTIONS_MAX = 4, /* of messages, not answered: what comes meanwhile shares the next one */
};
#define ROOMS__PG_FLIGHT_BYTES_MAX ((size_t)1 << 20)

struct rooms__pg_link {
    struct rooms_postgresql *pg;
    enum rooms__pg_role role;
    enum rooms__pg_state state; /* assigned by set_state() only */
    struct rooms__pg_attempt *attempt;
    PGconn *conn; /* READY */
    struct event read_event, write_event;
    struct base_timer timer; /* AWAY: the next attempt; READY: liveness */
    unsigned attempts;       /* that failed since it was last ready for a while */
    uint32_t said;           /* hash of the last trouble that was logged */
    uint64_t heard_us;
    bool pinged, paused; /* paused: not read */
    /* Sent and not answered, in order: a ring. */
    struct rooms__pg_command commands[ROOMS__PG_COMMANDS_MAX];
    size_t first, count, flight_bytes, syncs;
    /* Of the transaction whose answers are being read. */
    size_t messages, message_bytes;
    bool failed;
};
int rooms__pg_link_init(struct rooms__pg_link *link, struct rooms_postgresql *pg, enum rooms__pg_role role);
void rooms__pg_link_clear(struct rooms__pg_link *link);
void rooms__pg_link_start(struct rooms__pg_link *link);
/* Ready, and has room for that many commands and their SYNC. */
bool rooms__pg_link_has_room(const struct rooms__pg_link *link, size_t commands);
/* A prepared statement, or with sql a text, and its arguments in binary form. Returns false if the connection was lost
 * by it. */
struct rooms__pg_statement {
    enum rooms__pg_kind kind;
    const char *name, *sql; /* one of them */
    const struct rooms_bytes *args;
    size_t arg_count;
    size_t bytes;
    void *ctx;
};
bool rooms__pg_link_send(struct rooms__pg_link *link, const struct rooms__pg_statement *statement);
/* Ends a transaction. */
bool rooms__pg_link_sync(struct rooms__pg_link *link);
/* Writes what libpq has not written yet. May lose the connection. */
void rooms__pg_link_flush(struct rooms__pg_link *link);
/* Stops and continues reading. */
void rooms__pg_link_pause(struct rooms__pg_link *link, bool paused);
/* The arrival of a fetch is gone. */
void rooms__pg_link_forget(struct rooms__pg_link *link, const void *ctx);

/* -------------------------------------------------- rooms_postgresql_inbox.c */

struct rooms__pg_adapter;
struct rooms__pg_arrival;
/* Notifications in their order, while the first of them waits for its attachment. */
struct rooms__pg_inbox {
    struct rooms__pg_arrival *first, *last;
    size_t count, bytes, asked;
    struct base_timer timer; /* the first has waited for too long */
    struct base_timer again; /* after an error nothing is asked for a while */
};
int rooms__pg_inbox_init(struct rooms_postgresql *pg);
void rooms__pg_inbox_clear(struct rooms_postgresql *pg);
/* header NULL: the payload is a message, and delivered at once if nothing waits. */
void rooms__pg_inbox_add(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter,
                         const struct rooms__pg_header *header, struct rooms_bytes payload);
/* Asks for attachments, as far as the sender has room. Returns false if the connection was lost by it. */
bool rooms__pg_inbox_ask(struct rooms_postgresql *pg);
/* The answer to a fetch. Returns true if the result was taken over. */
bool rooms__pg_inbox_answer(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival, PGresult *result);
/* The connection was lost before the answer: it is asked for again. */
void rooms__pg_inbox_lost(struct rooms_postgresql *pg, struct rooms__pg_arrival *arrival);
/* Delivers what is complete: so much at a time that the loop goes on. */
void rooms__pg_inbox_deliver(struct rooms_postgresql *pg);
void rooms__pg_inbox_forget(struct rooms_postgresql *pg, const struct rooms__pg_adapter *adapter);

/* -------------------------------------------------------- rooms_postgresql.c */

struct rooms__pg_gone;
struct rooms_postgresql {
    struct event_base *base;
    struct base_timers timers;
    struct rooms_postgresql_options options; /* strings are copies */
    struct rooms__pg_link links[ROOMS__PG_LINKS];
    struct rooms__pg_queue queue;
    struct rooms__pg_inbox inbox;
    uint8_t key[16];
    struct rooms_table adapters;    /* by channel */
    struct rooms__pg_gone *gone;    /* channels not to be listened to any more */
    size_t listening;               /* adapters whose channel is confirmed */
    bool flush_due, is_up, freeing; /* is_up: as rooms_postgresql_stats.connected */
    bool refusing, dropping;        /* and it has been logged */
    uint64_t degraded_from_us;      /* 0: all is well */
    uint64_t ignored_said_us;
    bool cleanup_due;
    struct event flush_event;
    struct base_timer cleanup, retry;    /* retry: of what PostgreSQL refused to listen to */
    struct rooms_postgresql_stats stats; /* counters only */
    struct rooms_cluster_stats cluster;
    char why[160];
};
void rooms__pg_log(struct rooms_postgresql *pg, enum rooms_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rooms__pg_trouble(struct rooms_postgresql *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Everything is sent at the end of this pass. */
void rooms__pg_schedule(struct rooms_postgresql *pg);
/* Queues a copy. Returns 0, ROOMS_ELIMIT or ROOMS_ENOMEM; counted. */
int rooms__pg_publish(struct rooms_postgresql *pg, const struct rooms__pg_message *message);
void rooms__pg_dropped(struct rooms_postgresql *pg, const char *why);
void rooms__pg_ignored(struct rooms_postgresql *pg, const char *why);
/* A connection is ready; it is lost; a channel is confirmed or wanted. */
void rooms__pg_changed(struct rooms_postgresql *pg);
void rooms__pg_ready(struct rooms_postgresql *pg, enum rooms__pg_role role);
/* A transaction has ended. */
void rooms__pg_committed(struct rooms_postgresql *pg, const struct rooms__pg_link *link);
void rooms__pg_refused(struct rooms_postgresql *pg, const char *error);
void rooms__pg_notified(struct rooms_postgresql *pg, const PGnotify *notify);
void rooms__pg_cleaned(struct rooms_postgresql *pg, const PGresult *result);

/* An adapter with a channel comes and goes. ROOMS_EINVAL: there is one already. */
int rooms__pg_adapter_add(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter);
void rooms__pg_adapter_remove(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter);

/* ------------------------------------------------ rooms_postgresql_adapter.c */

enum rooms__pg_listening { ROOMS__PG_WANTED, ROOMS__PG_ASKED, ROOMS__PG_LISTENING };
struct rooms__pg_adapter {
    struct rooms_cluster cluster;
    struct rooms_postgresql *pg;
    char *channel; /* NULL: its name would be too long, and nothing leaves this node */
    enum rooms__pg_listening listening;
    struct rooms_packer own;     /* how this node's own messages end */
    struct rooms_packer payload; /* of the message that is being written */
};
/* Its channel is listened to: announces this node to the others. */
void rooms__pg_adapter_listening(struct rooms__pg_adapter *adapter);
/* A message of the channel, as JSON or msgpack. */
void rooms__pg_adapter_take(struct rooms__pg_adapter *adapter, struct rooms_bytes payload);
/* Of this node itself. header NULL: the payload is a message. */
bool rooms__pg_adapter_is_own(const struct rooms__pg_adapter *adapter, const struct rooms__pg_header *header,
                              struct rooms_bytes payload);

#endif
