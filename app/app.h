/* The application: what its concerns share, and the one place where they meet. Each concern is one app_*.c with an
 * *_init() that registers its handlers and routes; what it offers to others is declared here. State that must survive
 * or be shared lives in the store.
 *
 * Reading order: app.c, app_config.c, app_auth.c, app_answer.c, app_store.c, app_calls.c, app_feed.c, app_agents.c,
 * app_knowledge.c, app_suggest.c, app_feedback.c, app_http.c, app_demo.c. */
#ifndef APP_H
#define APP_H

#include "app_config.h"
#include "app_jwt.h"
#include "app_log.h"
#include "app_schema.h"
#include "app_store.h"
#include "app_work.h"
#include "app_workers.h"

#define APP_ID_SIZE 129 /* an id with its terminator */
#define APP_CALL_ROOM "call:"
#define APP_SUPERVISOR_ROOM "supervisors:"
#define APP_ROOM_SIZE (sizeof APP_SUPERVISOR_ROOM + APP_ID_SIZE)

/* Counters for /metrics; the loop's thread only. */
struct app_counters {
    uint64_t lines, duplicates, suggestions, searches, feedback, snapshots;
    uint64_t auth_failures, auth_timeouts, auth_expired, forbidden, invalid, busy;
};

struct app {
    const struct app_config *config;
    struct eio_loop *loop;
    struct sio_server *io;
    struct sio_namespace *agents; /* "/" */
    struct sio_namespace *feed;   /* "/feed" */
    struct app_work *work;
    struct app_store *store;
    struct app_schemas *schemas;
    struct app_jwt jwt;
    bool development_key;
    struct app_worker *worker; /* NULL: there is only one */
    struct app_nodes *nodes;   /* NULL: the same */
    bool failed;               /* the process ends with a failure */
    bool draining;             /* new events are refused with 503 */
    struct eio_timer drain_timer;
    uint64_t drain_until_ms;
    uint64_t started_ms; /* loop time */
    struct app_counters counters;
    struct app_presence *presence;
    struct app_held_call *held_calls; /* app_hold.c: a table */
    struct app_between *between;      /* app_hold.c; NULL: one process */
    uint64_t held_messages;
    struct app_suggest *suggest;
    struct app_demo *demo;
};

/* Makes the store, the key and the demo's documents if need be, so that several workers find them. Blocking. Returns 0
 * or a negative code with a line in error. */
int app_prepare(const struct app_config *config, char *error, size_t error_size);
/* Builds everything on a new loop; does not listen. worker: NULL, or which of several this is; it outlives the app.
 * NULL with a line in error. */
struct app *app_new(const struct app_config *config, struct app_worker *worker, char *error, size_t error_size);
/* Accepts NULL. */
void app_free(struct app *app);
/* Stops accepting, lets the store's queue run empty so that what was accepted is acknowledged, tells the sockets, then
 * stops the loop; all of that within drain_timeout_ms. */
void app_drain(struct app *app);
/* Stops without waiting any longer. */
void app_hurry(struct app *app);
/* Opens the log and reads the certificate anew. */
void app_reload(struct app *app);
/* One line for every live object, to the log. */
void app_describe(struct app *app);

/* Each returns 0 or a negative code. */
int app_auth_init(struct app *app);
int app_feed_init(struct app *app);
int app_presence_init(struct app *app);
int app_agents_init(struct app *app);
int app_feedback_init(struct app *app);
int app_suggest_init(struct app *app);
int app_http_init(struct app *app);
int app_metrics_init(struct app *app);
int app_client_files_init(struct app *app);
int app_demo_init(struct app *app);
void app_presence_clear(struct app *app);
void app_suggest_clear(struct app *app);
void app_demo_clear(struct app *app);

/* ------------------------------------------------------------------ nodes */

/* Before the server is made: completes its options. Returns 0 or a negative code with a line in error. */
int app_nodes_prepare(struct app *app, struct sio_options *io, char *error, size_t error_size);
int app_nodes_init(struct app *app);
/* A sibling runs: takes the descriptors for adapter messages and for connections. */
void app_nodes_add_peer(struct app *app, uint32_t number, int take_fds[2]);
int app_nodes_listen(struct app *app, int *take_fd);
/* A rooms_adapter_factory's work, with the adapter that is configured. */
struct rooms_adapter *app_nodes_make_adapter(struct app *app, const char *namespace_name,
                                             const struct rooms_local *local);
/* True: other nodes are not reached now, or not all. why: what is known of it, "" if nothing. */
bool app_nodes_is_degraded(const struct app *app, const char **why);
/* All 0 without Redis. */
void app_nodes_tunnel_stats(const struct app *app, struct sio_tunnel_stats *stats);
void app_nodes_redis_stats(const struct app *app, struct rooms_redis_stats *stats);
/* Before the server is freed, and after. */
void app_nodes_disconnect(struct app *app);
void app_nodes_clear(struct app *app);

/* All 0 without a bus. */
void app_nodes_bus_stats(const struct app *app, struct rooms_bus_stats *stats);

/* Puts this worker's numbers into its page. */
void app_metrics_publish(struct app *app, struct app_worker_page *page);

/* ------------------------------------------------------------------- auth */

enum app_role { APP_ROLE_AGENT = 1, APP_ROLE_SUPERVISOR = 2, APP_ROLE_FEED = 4, APP_ROLE_ADMIN = 8 };
const char *app_role_text(enum app_role role);

/* What a checked token says; immutable, shared by reference. References are counted on the loop's thread; other
 * threads may read while an operation holds one. */
struct app_claims {
    unsigned refs;
    enum app_role role;
    int64_t exp_s;
    char sub[APP_ID_SIZE];
    json_t *calls; /* array of ids; "demo-*" stands for all that begin so */
    bool all_calls;
};
struct app_claims *app_claims_ref(struct app_claims *claims);
void app_claims_unref(struct app_claims *claims);
/* True if the token names the call. */
bool app_claims_allow(const struct app_claims *claims, const char *call_id);
/* Checks a token; NULL with failure (401, or 403 for claims that are not usable). */
struct app_claims *app_auth_check(struct app *app, struct eio_str token, struct app_failure *failure);
/* The claims of a socket, or NULL while it has not said who it is. Borrowed. */
struct app_claims *app_auth_claims(const struct sio_socket *socket);
/* Gives claims (consumed) to a socket; a socket never changes its user: 403. */
int app_auth_set(struct sio_socket *socket, struct app_claims *take_claims, struct app_failure *failure);
/* A token for the demo page and the token command; malloc, or NULL. calls: "*" or a comma-separated list. */
char *app_auth_make_token(const struct app_jwt *jwt, const char *sub, const char *role, const char *calls,
                          int64_t unix_s, int64_t ttl_s);

/* ----------------------------------------------------------------- answer */

/* Where the answer to a socket's event goes, now or later. Outlives the socket harmlessly. */
struct app_answer {
    struct app *app;
    struct sio_reply reply;
    struct sio_namespace *nsp;
    char sid[21];
    char event[32];
};
/* Its socket, or NULL if that is gone. */
struct sio_socket *app_answer_socket(const struct app_answer *answer);
struct app_answer app_answer_later(struct app *app, const struct sio_event *event);
/* Sends one JSON value as the ack. */
void app_answer_json(struct app_answer *answer, const struct sio_builder *json);
/* {"ok":false,"error":{…}} as the ack, or `error` if none was asked for; 401 also disconnects. */
void app_answer_failure(struct app_answer *answer, const struct app_failure *failure);
/* The object {"ok":false,"error":{code,message,field}}. */
void app_answer_put_failure(struct sio_builder *builder, const struct app_failure *failure);
/* The event's payload if it is exactly one object without attachments that fits the event's schema; the caller's to
 * json_decref. Otherwise answers 400 and returns NULL. */
json_t *app_answer_payload(struct app *app, const struct sio_event *event);
/* Refuses an event at once. */
void app_answer_refuse(struct app *app, const struct sio_event *event, int code, const char *field,
                       const char *message);

/* Pieces for builders. */
void app_put_int(struct sio_builder *builder, int64_t value);
void app_put_text(struct sio_builder *builder, const char *text);
void app_put_time(struct sio_builder *builder, int64_t unix_ms);

/* ------------------------------------------------------------------ calls */

/* A call as it stands in the store. */
struct app_call {
    int64_t id, started_ms, ended_ms /* 0: goes on */, seq;
    char status[16];
};
/* All run on a thread, inside an operation; 0 or the code of failure. */
int app_calls_find(struct app_db *db, const char *call_id, struct app_call *call, struct app_failure *failure);
int app_calls_next_seq(struct app_db *db, struct app_call *call, struct app_failure *failure);
/* 403 unless the claims or the call's list of agents allow it; then 404 if there is no such call. */
int app_calls_find_allowed(struct app_db *db, const struct app_claims *claims, const char *call_id,
                           struct app_call *call, struct app_failure *failure);
/* Appends {"ok":true,"call":…,"transcript":…,"suggestions":…,"seq":…}. */
int app_calls_snapshot(struct app_db *db, const struct app_config *config, const char *call_id, int64_t since_seq,
                       int64_t now_ms, struct sio_builder *out, struct app_failure *failure);
/* Appends {"ok":true,"calls":[…]}, the latest first. status NULL: all. */
int app_calls_list(struct app_db *db, const struct app_config *config, const struct app_claims *claims,
                   const char *status, int64_t now_ms, struct sio_builder *out, struct app_failure *failure);
/* Whole seconds from the start to the end or now. */
int64_t app_call_duration_s(const struct app_call *call, int64_t now_ms);
/* "call:" + id */
void app_call_room(char room[APP_ROOM_SIZE], const char *prefix, const char *call_id);

/* --------------------------------------------------------------- presence */

/* Who watches this call may have changed. joined: somebody is new, even if under a name that is there already, and has
 * to be told who watches. */
void app_presence_touch(struct app *app, const char *call_id, bool joined);
void app_presence_touch_all(struct app *app);

/* ------------------------------------------------------------------- hold */

/* With several processes: what is broadcast to a socket's call while its snapshot is read. */
struct app_hold;
/* Puts itself between the namespace and its adapter. */
struct rooms_adapter *app_hold_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local);
/* From now on nothing of the call reaches the socket. NULL: out of memory. */
struct app_hold *app_hold_new(struct app *app, const char *sid, const char *call_id);
/* True: it was too much to be kept. */
bool app_hold_is_lost(const struct app_hold *hold);
/* Sends what came meanwhile and is newer than seq; from now on what is newer reaches the socket. */
void app_hold_release(struct app_hold *take_hold, struct sio_socket *socket, int64_t seq);
/* Accepts NULL. */
void app_hold_free(struct app_hold *hold);
void app_holds_clear(struct app *app);

/* ------------------------------------------------------------------- feed */

enum app_feed_kind { APP_FEED_START, APP_FEED_LINE, APP_FEED_STATUS, APP_FEED_END };

struct app_feed_result {
    struct app_failure failure; /* code 0: durable */
    char call_id[APP_ID_SIZE];
    int64_t seq;
    bool duplicate; /* was stored before; nothing was sent */
};
typedef void (*app_feed_fn)(void *ctx, const struct app_feed_result *result);

/* One thing that a feed says. */
struct app_feed_event {
    enum app_feed_kind kind;
    struct eio_str raw;   /* the object's JSON text */
    const json_t *object; /* the same, parsed; fits its schema unless `unchecked` */
    const char *call_id;  /* NULL: the object's */
};
/* The event's name, as in its schema. */
const char *app_feed_event_name(enum app_feed_kind kind);
/* Stores it, then broadcasts it, then calls fn (may be NULL). Also when it fails at once, before returning. */
void app_feed_submit(struct app *app, const struct app_feed_event *event, app_feed_fn fn, void *ctx);

/* -------------------------------------------------------------- knowledge */

struct app_document {
    char id[APP_ID_SIZE];
    char *title, *topic, *text;
};
struct app_documents {
    struct app_document *list;
    size_t count, capacity;
};
void app_documents_clear(struct app_documents *documents);
/* Reads a guidelines file (one document per subflow) or Markdown (one per section) by the name's ending.
 * Returns 0 or EIO_EINVAL with a line in error. */
int app_documents_parse(struct app_documents *documents, const char *name, struct eio_str text, char *error,
                        size_t error_size);
/* Stores documents of one source; those with the same id are replaced. Run as an operation (write). */
int app_knowledge_store(struct app_db *db, const struct app_documents *documents, const char *source,
                        struct app_failure *failure);
int app_knowledge_count(struct app_db *db, int64_t *count, struct app_failure *failure);
/* Imports a file's text now, blocking: for the start and the command. */
int app_knowledge_import(struct app_store *store, const char *name, struct eio_str text, size_t *count, char *error,
                         size_t error_size);

#define APP_SEARCH_RESULTS 5
struct app_search_result {
    char id[APP_ID_SIZE];
    char title[160];
    char topic[160];
    char excerpt[400];
    double relevance; /* 0..1 */
};
/* The best documents for what was said, best first; *count ≤ APP_SEARCH_RESULTS. text: any text. */
int app_knowledge_search(struct app_db *db, const char *text, struct app_search_result results[APP_SEARCH_RESULTS],
                         size_t *count, struct app_failure *failure);

/* A final line was stored; a customer's starts a search. */
void app_suggest_line(struct app *app, const char *call_id, const char *speaker);

/* ------------------------------------------------------------------- demo */

/* Imports the embedded documents if the knowledge base is empty. Blocking, at the start. */
int app_demo_import(struct app *app, char *error, size_t error_size);

#endif
