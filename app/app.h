/* The application: what its concerns share, and the one place where they meet. Each concern is one app_*.c with an
 * *_init() that registers its handlers and routes; what it offers to others is declared here. State that must survive
 * or be shared lives in the store.
 *
 * Reading order: app.c, kit_config.c, kit_auth.c, kit_answer.c, kit_store.c, calls.c, calls_feed.c, calls_agents.c,
 * knowledge.c, calls_suggest.c, calls_feedback.c, calls_http.c, calls_demo.c. */
#ifndef APP_H
#define APP_H

#include "kit_config.h"
#include "kit_jwt.h"
#include "kit_log.h"
#include "kit_schema.h"
#include "kit_store.h"
#include "kit_work.h"
#include "knowledge.h"
#include "node_workers.h"

#define CALLS_ROOM "call:"
#define CALLS_SUPERVISOR_ROOM "supervisors:"
#define CALLS_ROOM_SIZE (sizeof CALLS_SUPERVISOR_ROOM + KIT_ID_SIZE)

/* Counters for /metrics; the loop's thread only. */
struct kit_counters {
    uint64_t lines, duplicates, suggestions, searches, feedback, snapshots;
    uint64_t auth_failures, auth_timeouts, auth_expired, forbidden, invalid, busy;
};

struct app {
    const struct kit_config *config;
    struct eio_loop *loop;
    struct sio_server *io;
    struct sio_namespace *agents; /* "/" */
    struct sio_namespace *feed;   /* "/feed" */
    struct kit_work *work;
    struct kit_store *store;
    struct kit_schemas *schemas;
    struct kit_jwt jwt;
    bool development_key;
    struct node_worker *worker; /* NULL: there is only one */
    struct node_cluster *nodes; /* NULL: the same */
    bool failed;                /* the process ends with a failure */
    bool draining;              /* new events are refused with 503 */
    struct eio_timer drain_timer;
    uint64_t drain_until_ms;
    uint64_t started_ms; /* loop time */
    struct kit_counters counters;
    struct calls_presence *presence;
    struct calls_held_call *held_calls;  /* calls_hold.c: a table */
    struct calls_adapter_proxy *between; /* calls_hold.c; NULL: one process */
    uint64_t held_messages;
    struct calls_suggest *suggest;
    struct calls_demo *demo;
};

/* Makes the store, the key and the demo's documents if need be, so that several workers find them. Blocking. Returns 0
 * or a negative code with a line in error. */
int app_prepare(const struct kit_config *config, char *error, size_t error_size);
/* Builds everything on a new loop; does not listen. worker: NULL, or which of several this is; it outlives the app.
 * NULL with a line in error. */
struct app *app_new(const struct kit_config *config, struct node_worker *worker, char *error, size_t error_size);
/* Accepts NULL. */
void app_free(struct app *app);
/* Stops accepting, lets the store's queue run empty so that what was accepted is acknowledged, tells the sockets, then
 * stops the loop; all of that within drain_timeout_ms. */
void app_drain(struct app *app);
/* Stops without waiting any longer. */
void app_stop_now(struct app *app);
/* Opens the log and reads the certificate anew. */
void app_reload(struct app *app);
/* One line for every live object, to the log. */
void app_describe(struct app *app);

/* Each returns 0 or a negative code. */
int kit_auth_init(struct app *app);
int calls_feed_init(struct app *app);
int calls_presence_init(struct app *app);
int calls_agents_init(struct app *app);
int calls_feedback_init(struct app *app);
int calls_suggest_init(struct app *app);
int calls_http_init(struct app *app);
int kit_metrics_init(struct app *app);
int web_client_files_init(struct app *app);
int calls_demo_init(struct app *app);
void calls_presence_clear(struct app *app);
void calls_suggest_clear(struct app *app);
void calls_demo_clear(struct app *app);

/* ------------------------------------------------------------------ nodes */

/* Before the server is made: completes its options. Returns 0 or a negative code with a line in error. */
int node_cluster_prepare(struct app *app, struct sio_options *io, char *error, size_t error_size);
int node_cluster_init(struct app *app);
/* A sibling runs: takes the descriptors for adapter messages and for connections. */
void node_cluster_add_peer(struct app *app, uint32_t number, int take_fds[2]);
int node_cluster_listen(struct app *app, int *take_fd);
/* A rooms_adapter_factory's work, with the adapter that is configured. */
struct rooms_adapter *node_cluster_make_adapter(struct app *app, const char *namespace_name,
                                                const struct rooms_local *local);
/* True: other nodes are not reached now, or not all. why: what is known of it, "" if nothing. */
bool node_cluster_is_degraded(const struct app *app, const char **why);
/* All 0 without Redis. */
void node_cluster_tunnel_stats(const struct app *app, struct sio_tunnel_stats *stats);
void node_cluster_redis_stats(const struct app *app, struct rooms_redis_stats *stats);
/* Before the server is freed, and after. */
void node_cluster_disconnect(struct app *app);
void node_cluster_clear(struct app *app);

/* All 0 without a bus. */
void node_cluster_bus_stats(const struct app *app, struct rooms_bus_stats *stats);

/* Puts this worker's numbers into its page. */
void kit_metrics_publish(struct app *app, struct node_worker_page *page);

/* ------------------------------------------------------------------- auth */

enum kit_role { KIT_ROLE_AGENT = 1, KIT_ROLE_SUPERVISOR = 2, KIT_ROLE_FEED = 4, KIT_ROLE_ADMIN = 8 };
const char *kit_role_text(enum kit_role role);

/* What a checked token says; immutable, shared by reference. References are counted on the loop's thread; other
 * threads may read while an operation holds one. */
struct kit_claims {
    unsigned refs;
    enum kit_role role;
    int64_t exp_s;
    char sub[KIT_ID_SIZE];
    json_t *calls; /* array of ids; "demo-*" stands for all that begin so */
    bool all_calls;
};
struct kit_claims *kit_claims_ref(struct kit_claims *claims);
void kit_claims_unref(struct kit_claims *claims);
/* True if the token names the call. */
bool kit_claims_allow(const struct kit_claims *claims, const char *call_id);
/* Checks a token; NULL with failure (401, or 403 for claims that are not usable). */
struct kit_claims *kit_auth_check(struct app *app, struct eio_str token, struct kit_failure *failure);
/* The claims of a socket, or NULL while it has not said who it is. Borrowed. */
struct kit_claims *kit_auth_claims(const struct sio_socket *socket);
/* Gives claims (consumed) to a socket; a socket never changes its user: 403. */
int kit_auth_set(struct sio_socket *socket, struct kit_claims *take_claims, struct kit_failure *failure);
/* A token for the demo page and the token command; malloc, or NULL. calls: "*" or a comma-separated list. */
char *kit_auth_make_token(const struct kit_jwt *jwt, const char *sub, const char *role, const char *calls,
                          int64_t unix_s, int64_t ttl_s);

/* ----------------------------------------------------------------- answer */

/* Where the answer to a socket's event goes, now or later. Outlives the socket harmlessly. */
struct kit_answer {
    struct app *app;
    struct sio_reply reply;
    struct sio_namespace *nsp;
    char sid[21];
    char event[32];
};
/* Its socket, or NULL if that is gone. */
struct sio_socket *kit_answer_socket(const struct kit_answer *answer);
struct kit_answer kit_answer_later(struct app *app, const struct sio_event *event);
/* Sends one JSON value as the ack. */
void kit_answer_json(struct kit_answer *answer, const struct sio_builder *json);
/* {"ok":false,"error":{…}} as the ack, or `error` if none was asked for; 401 also disconnects. */
void kit_answer_failure(struct kit_answer *answer, const struct kit_failure *failure);
/* The object {"ok":false,"error":{code,message,field}}. */
void kit_answer_put_failure(struct sio_builder *builder, const struct kit_failure *failure);
/* The event's payload if it is exactly one object without attachments that fits the event's schema; the caller's to
 * json_decref. Otherwise answers 400 and returns NULL. */
json_t *kit_answer_payload(struct app *app, const struct sio_event *event);
/* Refuses an event at once. */
void kit_answer_refuse(struct app *app, const struct sio_event *event, int code, const char *field,
                       const char *message);

/* Pieces for builders. */
void kit_put_int(struct sio_builder *builder, int64_t value);
void kit_put_text(struct sio_builder *builder, const char *text);
void kit_put_time(struct sio_builder *builder, int64_t unix_ms);

/* ------------------------------------------------------------------ calls */

/* A call as it stands in the store. */
struct calls_call {
    int64_t id, started_ms, ended_ms /* 0: goes on */, seq;
    char status[16];
};
/* All run on a thread, inside an operation; 0 or the code of failure. */
int calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure);
int calls_next_seq(struct kit_db *db, struct calls_call *call, struct kit_failure *failure);
/* 403 unless the claims or the call's list of agents allow it; then 404 if there is no such call. */
int calls_find_allowed(struct kit_db *db, const struct kit_claims *claims, const char *call_id, struct calls_call *call,
                       struct kit_failure *failure);
/* Appends {"ok":true,"call":…,"transcript":…,"suggestions":…,"seq":…}. */
int calls_snapshot(struct kit_db *db, const struct kit_config *config, const char *call_id, int64_t since_seq,
                   int64_t now_ms, struct sio_builder *out, struct kit_failure *failure);
/* Appends {"ok":true,"calls":[…]}, the latest first. status NULL: all. */
int calls_list(struct kit_db *db, const struct kit_config *config, const struct kit_claims *claims, const char *status,
               int64_t now_ms, struct sio_builder *out, struct kit_failure *failure);
/* Whole seconds from the start to the end or now. */
int64_t calls_duration_s(const struct calls_call *call, int64_t now_ms);
/* "call:" + id */
void calls_room(char room[CALLS_ROOM_SIZE], const char *prefix, const char *call_id);

/* --------------------------------------------------------------- presence */

/* Who watches this call may have changed. joined: somebody is new, even if under a name that is there already, and has
 * to be told who watches. */
void calls_presence_touch(struct app *app, const char *call_id, bool joined);
void calls_presence_touch_all(struct app *app);

/* ------------------------------------------------------------------- hold */

/* With several processes: what is broadcast to a socket's call while its snapshot is read. */
struct calls_hold;
/* Puts itself between the namespace and its adapter. */
struct rooms_adapter *calls_hold_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local);
/* From now on nothing of the call reaches the socket. NULL: out of memory. */
struct calls_hold *calls_hold_new(struct app *app, const char *sid, const char *call_id);
/* True: it was too much to be kept. */
bool calls_hold_is_lost(const struct calls_hold *hold);
/* Sends what came meanwhile and is newer than seq; from now on what is newer reaches the socket. */
void calls_hold_release(struct calls_hold *take_hold, struct sio_socket *socket, int64_t seq);
/* Accepts NULL. */
void calls_hold_free(struct calls_hold *hold);
void calls_holds_clear(struct app *app);

/* ------------------------------------------------------------------- feed */

enum calls_feed_kind { CALLS_FEED_START, CALLS_FEED_LINE, CALLS_FEED_STATUS, CALLS_FEED_END };

struct calls_feed_result {
    struct kit_failure failure; /* code 0: durable */
    char call_id[KIT_ID_SIZE];
    int64_t seq;
    bool duplicate; /* was stored before; nothing was sent */
};
typedef void (*calls_feed_fn)(void *ctx, const struct calls_feed_result *result);

/* One thing that a feed says. */
struct calls_feed_event {
    enum calls_feed_kind kind;
    struct eio_str raw;   /* the object's JSON text */
    const json_t *object; /* the same, parsed; fits its schema unless `unchecked` */
    const char *call_id;  /* NULL: the object's */
};
/* The event's name, as in its schema. */
const char *calls_feed_event_name(enum calls_feed_kind kind);
/* Stores it, then broadcasts it, then calls fn (may be NULL). Also when it fails at once, before returning. */
void calls_feed_submit(struct app *app, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx);

/* ---------------------------------------------------------------- suggest */

/* A final line was stored; a customer's starts a search. */
void calls_suggest_line(struct app *app, const char *call_id, const char *speaker);

/* ------------------------------------------------------------------- demo */

/* Imports the embedded documents if the knowledge base is empty. Blocking, at the start. */
int calls_demo_import(struct app *app, char *error, size_t error_size);

#endif
