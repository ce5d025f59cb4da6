/* What the files of the connection layer share; the adapters see rooms_redis_int.h only. In reading order:
 *   rooms_resp.c            pure: bytes of RESP2, both ways
 *   rooms_redis_url.c       pure: addresses out of a URL
 *   rooms_redis_queue.c     pure: what is to be written, and whose the answers will be
 *   rooms_redis_resolve.c   names of hosts, without blocking
 *   rooms_redis_tls.c       TLS between bytes and a socket
 *   rooms_redis_conn.c      one connection: socket, introduction, bytes in and out, liveness, its end and the next try
 *   rooms_redis_listen.c     subscriptions
 *   rooms_redis_ask.c       questions and their deadlines
 *   rooms_redis.c           the node: its connections together, publishing, watchers, statistics
 *   rooms_redis_sentinel.c  which server is the master, as Sentinels say
 *   rooms_redis_slots.c     pure: the slot of a name in a Redis Cluster
 *   rooms_redis_shards.c    a Redis Cluster: masters, slots, what is published while they move */
#ifndef ROOMS_REDIS_CONN_H
#define ROOMS_REDIS_CONN_H

#include "cluster.h"
#include "rooms_redis_int.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

/* ------------------------------------------------------------- rooms_resp.c */

/* Finds the end of a reply without decoding it. Zeroed before each reply; continues where it stopped. */
struct rooms__resp_scan {
    size_t at;      /* so many bytes are seen to be in order */
    size_t missing; /* values that must follow */
    size_t values;  /* so far */
    size_t need;    /* bytes the reply will have at least */
};
struct rooms__resp_limits {
    size_t max_bytes;  /* of one reply */
    size_t max_values; /* in it, arrays counted */
};
#define ROOMS__RESP_LINE_MAX ((size_t)65536) /* of a status or an error */
/* p: the start of a reply, of which n bytes are there. Returns its size, 0 if more is needed, or with why ROOMS_EINVAL
 * (not RESP2) or ROOMS_ELIMIT. The depth of arrays is limited where they are built. */
long rooms__resp_scan(struct rooms__resp_scan *scan, const uint8_t *p, size_t n,
                      const struct rooms__resp_limits *limits, const char **why);

/* A message of a subscription, as slices of the input. */
struct rooms__resp_push {
    enum rooms__redis_kind kind;
    struct rooms_name name;    /* what was subscribed to */
    struct rooms_name channel; /* where it was published */
    struct rooms_bytes payload;
};
/* Returns the bytes it takes, 0 unless a whole message is at p, in exactly the form that Redis writes. */
size_t rooms__resp_push(const uint8_t *p, size_t n, struct rooms__resp_push *push);

/* A command as Redis reads it. */
size_t rooms__resp_command_size(const struct rooms_bytes *args, size_t arg_count);
void rooms__resp_command_write(uint8_t *out, const struct rooms_bytes *args, size_t arg_count);

/* -------------------------------------------------------- rooms_redis_url.c */

#define ROOMS__ADDRESSES_MAX 16
struct rooms__redis_address {
    char *host;
    char *user, *password; /* NULL: none */
    char *text;            /* host:port, for people */
    uint16_t port;         /* 0: not known yet */
    uint32_t database;
    bool tls;
};
struct rooms__redis_addresses {
    struct rooms__redis_address *list;
    size_t count;
};
/* Returns 0, ROOMS_ENOMEM, or ROOMS_EINVAL; with why. Nothing is to be cleared then. */
int rooms__redis_addresses_parse(struct rooms__redis_addresses *addresses, const char *url, const char **why);
void rooms__redis_addresses_clear(struct rooms__redis_addresses *addresses);

/* ------------------------------------------------------ rooms_redis_queue.c */

enum rooms__redis_record_kind {
    ROOMS__RECORD_POST, /* no callback: only errors in the reply matter */
    ROOMS__RECORD_ASK,
    ROOMS__RECORD_SUBSCRIBE,
    ROOMS__RECORD_UNSUBSCRIBE,
    ROOMS__RECORD_PING,
    ROOMS__RECORD_ROLE, /* checks whether it has become a replica, which accepts what is published and delivers it
                           nowhere */
};
/* One command; Redis answers in their order. */
struct rooms__redis_record {
    uint32_t size; /* of its bytes */
    uint8_t kind;
    union {
        struct rooms__redis_request *request;
        struct rooms__redis_entry *entry;
    };
};
/* Commands whose replies are pending, then commands that are not written yet, whose bytes are contiguous. */
struct rooms__redis_queue {
    uint8_t *bytes;
    size_t start, end, capacity;
    size_t written;                      /* of the first command that is not written whole */
    struct rooms__redis_record *records; /* a ring; the numbers below count on for ever */
    size_t first, unsent, last, ring;
    size_t posts; /* unsent */
};
/* Memory for a command of that size at the end, or NULL. */
uint8_t *rooms__redis_queue_add(struct rooms__redis_queue *queue, const struct rooms__redis_record *record);
struct rooms_bytes rooms__redis_queue_unwritten(const struct rooms__redis_queue *queue);
/* Unsent, a command half written included. */
size_t rooms__redis_queue_size(const struct rooms__redis_queue *queue);
/* So many bytes were taken by the kernel. Returns how many of them end a POST, as number and bytes. */
struct rooms__redis_sent {
    size_t posts, bytes;
};
struct rooms__redis_sent rooms__redis_queue_wrote(struct rooms__redis_queue *queue, size_t n);
/* The command that is answered next, or NULL. */
const struct rooms__redis_record *rooms__redis_queue_peek(const struct rooms__redis_queue *queue);
bool rooms__redis_queue_answered(struct rooms__redis_queue *queue, struct rooms__redis_record *record);
/* Drops the oldest POST of which nothing is written. Returns false if none waits. */
bool rooms__redis_queue_drop(struct rooms__redis_queue *queue);
/* The connection is gone: only POSTs stay, of which no or not all bytes were written; the others' records are given to
 * fn. */
void rooms__redis_queue_lost(struct rooms__redis_queue *queue,
                             void (*fn)(void *ctx, const struct rooms__redis_record *record), void *ctx);
void rooms__redis_queue_clear(struct rooms__redis_queue *queue);

/* ---------------------------------------------------- rooms_redis_resolve.c */

#define ROOMS__RESOLVED_MAX 8
struct rooms__resolved {
    struct sockaddr_storage list[ROOMS__RESOLVED_MAX];
    socklen_t sizes[ROOMS__RESOLVED_MAX];
    size_t count;
    const char *why; /* count 0: constant */
};
struct rooms__resolve_job;
/* Numeric addresses are answered at once, into out, and NULL is returned. Otherwise a thread asks, and fn is called on
 * the loop; until then the job can be cancelled. NULL with count 0: neither worked. */
struct rooms__resolve_job *rooms__resolve(struct event_base *base, const struct rooms__redis_address *address,
                                          struct rooms__resolved *out,
                                          void (*fn)(void *ctx, const struct rooms__resolved *resolved), void *ctx);
void rooms__resolve_cancel(struct rooms__resolve_job *job); /* accepts NULL */

/* ------------------------------------------------------- rooms_redis_tls.c */

/* NULL with why: a file cannot be read, or memory is short. */
SSL_CTX *rooms__tls_context_new(const struct rooms_redis_options *options, const char **why);

struct rooms__tls;
/* name: that the certificate must have, a host's or an address. NULL: out of memory. */
struct rooms__tls *rooms__tls_new(SSL_CTX *context, const char *name, bool verify);
void rooms__tls_free(struct rooms__tls *tls); /* accepts NULL */
/* Goes on with what has arrived. Returns 1: done, 0: more is needed; -1 with why. There may be bytes to send in any
 * case. */
int rooms__tls_handshake(struct rooms__tls *tls, const char **why);
/* What is encrypted waits to be sent. False: out of memory. */
bool rooms__tls_encrypt(struct rooms__tls *tls, struct rooms_bytes bytes);
struct rooms_bytes rooms__tls_unsent(struct rooms__tls *tls);
void rooms__tls_sent(struct rooms__tls *tls, size_t n);
/* What the socket has given. False: out of memory. */
bool rooms__tls_received(struct rooms__tls *tls, const uint8_t *p, size_t n);
/* Returns the bytes that were decrypted, 0: more must arrive; -1 with why. */
long rooms__tls_decrypt(struct rooms__tls *tls, uint8_t *out, size_t size, const char **why);

/* ------------------------------------------------------- rooms_redis_conn.c */

enum rooms__redis_role { ROOMS__CONN_PUB, ROOMS__CONN_SUB, ROOMS__CONN_BLOCK, ROOMS__CONN_COUNT };
enum rooms__redis_state {
    ROOMS__CONN_IDLE, /* not wanted */
    ROOMS__CONN_AWAY, /* a timer runs until the next attempt */
    ROOMS__CONN_RESOLVING,
    ROOMS__CONN_CONNECTING,
    ROOMS__CONN_SECURING, /* TLS is negotiated */
    ROOMS__CONN_GREETING, /* the greeting is under way */
    ROOMS__CONN_SETTLING, /* commands may be written; the subscribing one waits for its subscriptions */
    ROOMS__CONN_READY,
};
/* What a connection says first; answered in this order. */
enum rooms__redis_greeting {
    ROOMS__GREET_AUTH = 1,
    ROOMS__GREET_SELECT = 2,
    ROOMS__GREET_NAME = 4,
    ROOMS__GREET_ROLE = 8,
    ROOMS__GREET_PING = 16,
    ROOMS__GREET_END = 32,
};
struct rooms__redis_conn {
    struct rooms_redis *redis;
    struct rooms__redis_shard *shard; /* of a Redis Cluster; NULL: not of one shard */
    enum rooms__redis_role role;
    enum rooms__redis_state state; /* assigned by set_state() only */
    int fd;                        /* -1: none */
    struct rooms__tls *tls;        /* NULL: plain */
    struct event read_event, write_event;
    struct base_timer timer; /* by state: next attempt, end of the attempt, liveness */
    size_t address;          /* that it uses or tries */
    struct rooms__resolve_job *resolving;
    struct rooms__resolved resolved;
    size_t resolved_at;
    unsigned attempts;           /* attempts that failed since it was last ready for a while */
    unsigned greetings, greeted; /* bits of enum rooms__redis_greeting: sent; the one whose reply is next */
    uint8_t *hello;
    size_t hello_size, hello_at;
    struct rooms__redis_queue queue;
    uint8_t *in; /* unread bytes are in[0..in_size) between events */
    size_t in_size, in_capacity;
    struct rooms__resp_scan scan; /* of the reply that begins at in */
    redisReader *reader;
    uint64_t heard_us;                   /* when the last bytes came; */
    uint64_t whole_us;                   /* when the last of them that ended a reply */
    bool pinged, settling;               /* waits for the answer to a PING; to the one that follows its subscriptions */
    uint32_t said[ROOMS__ADDRESSES_MAX]; /* by address: hash of the last trouble that was logged */
};

int rooms__conn_init(struct rooms__redis_conn *conn, struct rooms_redis *redis, enum rooms__redis_role role);
void rooms__conn_clear(struct rooms__redis_conn *conn);
/* Tries after that long. */
void rooms__conn_start(struct rooms__redis_conn *conn, uint32_t delay_ms);
/* If it is away: tries now. */
void rooms__conn_hurry(struct rooms__redis_conn *conn);
bool rooms__conn_is_ready(const struct rooms__redis_conn *conn);
/* Writes what waits. May lose the connection. */
void rooms__conn_flush(struct rooms__redis_conn *conn);
/* Ends it, and tries again later; another_address: elsewhere, if there is an elsewhere. */
void rooms__conn_lose(struct rooms__redis_conn *conn, const char *why, bool another_address);
/* For the fuzzer: in a state without a socket, and fed with bytes as if they had been read. */
void rooms__conn_pretend(struct rooms__redis_conn *conn, enum rooms__redis_state state);
void rooms__conn_take(struct rooms__redis_conn *conn, const uint8_t *p, size_t n);

/* ----------------------------------------------------- rooms_redis_listen.c */

struct rooms__redis_entry {
    struct rooms__redis_subscription *first, *last;
    struct rooms__redis_conn *on; /* where it was asked for */
    struct rooms__redis_entry *dirty_next;
    uint32_t unconfirmed; /* commands about it that are not answered */
    uint32_t name_size;
    uint8_t kind;
    bool dirty, asked, confirmed, refused;
    char name[];
};
struct rooms__redis_names {
    uint8_t key[16];
    struct rooms_table tables[3]; /* by kind */
    struct rooms__redis_entry *dirty_first, *dirty_last;
    struct rooms__redis_subscription *walk; /* the one that is called next */
    struct base_timer retry;                /* of what Redis refused */
    unsigned refusals;                      /* in a row */
    size_t subscriptions, refused;
};
int rooms__listen_init(struct rooms_redis *redis); /* 0 or ROOMS_ENOMEM */
void rooms__listen_clear(struct rooms_redis *redis);
/* Queues commands for all that changed, and frees entries that are no longer needed. Calls on_active. */
void rooms__listen_flush(struct rooms_redis *redis);
/* The subscribing connection is ready: everything is to be subscribed to. It is lost: nothing is subscribed any more.
 */
void rooms__listen_connected(struct rooms__redis_conn *conn);
void rooms__listen_lost(struct rooms__redis_conn *conn);
/* A command of it is gone without an answer. */
void rooms__listen_unanswered(const struct rooms__redis_record *record);
/* Slots may have moved. */
void rooms__listen_moved(struct rooms_redis *redis);
void rooms__listen_deliver(struct rooms_redis *redis, const struct rooms__resp_push *push);
/* Redis sent [word, name, count]. Returns NULL, or what is wrong with it. */
const char *rooms__listen_confirm(struct rooms__redis_conn *conn, const redisReply *reply);
void rooms__listen_refused(struct rooms_redis *redis, const struct rooms__redis_record *record, const char *text);

/* -------------------------------------------------------- rooms_redis_ask.c */

struct rooms__redis_request {
    rooms__redis_reply_fn fn; /* NULL: cancelled, or already called */
    void *ctx;
    uint64_t deadline_us;
    struct rooms__redis_request *next, *previous; /* in the list of those with a fn */
    uint8_t role;
    bool recorded; /* its record frees it, otherwise the caller of fn */
};
struct rooms__redis_requests {
    struct rooms__redis_request *first, *last;         /* wait */
    struct rooms__redis_request *failed, *failed_last; /* about to be called with NULL */
    size_t count;                                      /* of the first list */
    struct base_timer deadline;
    uint64_t armed_us; /* 0: not */
};
int rooms__asks_init(struct rooms_redis *redis); /* 0 or ROOMS_ENOMEM */
void rooms__asks_clear(struct rooms_redis *redis);
void rooms__asks_answer(struct rooms_redis *redis, struct rooms__redis_request *request, const redisReply *reply);
/* Its record is gone without a reply. fn is called by rooms__asks_tell_failed(). */
void rooms__asks_fail(struct rooms_redis *redis, struct rooms__redis_request *request);
void rooms__asks_tell_failed(struct rooms_redis *redis);

/* ------------------------------------------------------------ rooms_redis.c */

struct rooms_redis {
    struct event_base *base;
    struct base_timers timers;
    struct rooms_redis_options options; /* strings are copies */
    struct rooms__redis_addresses addresses;
    size_t address;                         /* where all connections are to be */
    SSL_CTX *tls;                           /* NULL: without */
    struct rooms__redis_sentinel *sentinel; /* NULL: the address is known */
    struct rooms__redis_shards *shards;     /* NULL: not a Redis Cluster */
    struct rooms__redis_conn conns[ROOMS__CONN_COUNT];
    struct rooms__redis_names names;
    struct rooms__redis_requests requests;
    struct rooms__redis_watcher *watcher_first, *watcher_last, *watcher_walk;
    struct event flush_event;
    bool flush_due, up, freeing;
    bool refusing;             /* the last command was answered with an error that concerns all of them */
    bool dropping;             /* a drop has been logged since all connections were last ready */
    uint64_t degraded_from_us; /* 0: all is well */
    uint64_t ignored_said_us;
    struct rooms_redis_stats stats;     /* counters only */
    struct rooms_cluster_stats cluster; /* likewise, of the adapters that share rooms_cluster.c */
    void *streams;                      /* what the streams adapters share, made by the first, freed by the last */
    char why[160];
};
/* Everything is written at the end of this pass. */
void rooms__redis_schedule(struct rooms_redis *redis);
/* The master is there: all connections go to it. */
void rooms__redis_moved_to(struct rooms_redis *redis, const char *host, uint16_t port);
/* The state of a connection changed: notifies watchers, and moves all connections to one address. */
void rooms__redis_changed(struct rooms_redis *redis);
void rooms__redis_connected(struct rooms_redis *redis, const struct rooms__redis_conn *conn);
void rooms__redis_trouble(struct rooms_redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for that many bytes, if need be by dropping the oldest published. */
bool rooms__redis_make_room(struct rooms_redis *redis, struct rooms__redis_conn *conn, size_t size);
/* An error that makes this server useless: it is loading, has become a replica, or wants a password. */
bool rooms__redis_is_useless(const char *error);
/* An answer to what was published or asked. */
void rooms__redis_refused(struct rooms_redis *redis, const char *error);
void rooms__redis_accepted(struct rooms_redis *redis);
/* Sets degraded_from_us after a change that may affect it. */
void rooms__redis_update_health(struct rooms_redis *redis);
/* "pub", "sub", "block" */
const char *rooms__conn_name(const struct rooms__redis_conn *conn);

/* --------------------------------------------------- rooms_redis_sentinel.c */

struct rooms__redis_sentinel;
/* Connects to options.sentinels, and calls rooms__redis_moved_to(). NULL with why. */
struct rooms__redis_sentinel *rooms__sentinel_new(struct rooms_redis *redis, const char *master, const char **why);
void rooms__sentinel_free(struct rooms__redis_sentinel *sentinel); /* accepts NULL, as the following */
/* The master may be another one: it does not answer. */
void rooms__sentinel_ask(struct rooms__redis_sentinel *sentinel);
/* What was named is a replica: another Sentinel may know better. */
void rooms__sentinel_doubt(struct rooms__redis_sentinel *sentinel);

/* ------------------------------------- rooms_redis_slots.c, rooms_redis_shards.c */

#define ROOMS__REDIS_SLOTS 16384
unsigned rooms__redis_slot(struct rooms_name name);

/* A master of a Redis Cluster. */
struct rooms__redis_shard {
    struct rooms__redis_shard *next;
    struct rooms__redis_address address;
    struct rooms__redis_conn pub, sub;
    bool is_wanted;
};
struct rooms__redis_shards;
struct rooms__redis_shards *rooms__shards_new(struct rooms_redis *redis);
void rooms__shards_free(struct rooms__redis_shards *shards); /* accepts NULL, as the following */
/* Asks for the map of slots, soon. */
void rooms__shards_refresh(struct rooms__redis_shards *shards);
bool rooms__shards_are_ready(const struct rooms__redis_shards *shards);
void rooms__shards_flush(struct rooms__redis_shards *shards);
void rooms__shards_send_held(struct rooms__redis_shards *shards);
/* NULL: no member has the slot, as far as is known. */
struct rooms__redis_shard *rooms__shards_owner(struct rooms__redis_shards *shards, struct rooms_name name);
/* For rooms__redis_ask_number(), in a cluster. */
int rooms__shards_sum(struct rooms__redis_shards *shards, const struct rooms__redis_command *command);
void rooms__shards_cancel(struct rooms__redis_shards *shards, const void *ctx);
/* As rooms__redis_publish(). */
int rooms__shards_publish(struct rooms__redis_shards *shards, struct rooms_name channel, struct rooms_bytes payload);

#endif
