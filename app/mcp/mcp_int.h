/* The MCP client's own structs, for the files of this folder.
 *
 * A server (mcp_server.c) has sessions: one for listing its tools and, in the older era, one for each user. A session
 * (mcp_session.c) finds out the era, opens itself when the first request comes, and opens itself anew when the server
 * has forgotten it. A request (mcp_request.c) is one JSON-RPC request and all that it takes over HTTP to get its
 * answer. A call (mcp_call.c) is what chats see: a tool's call over as many requests as it needs. */
#ifndef MCP_INT_H
#define MCP_INT_H

#include "kit_sse.h"
#include "kit_work.h"
#include "mcp.h"
#include "mcp_result.h"
#include "mcp_rpc.h"
#include "mcp_schema.h"

#define MCP_VERSION_MODERN "2026-07-28"
#define MCP_VERSION_LEGACY "2025-11-25"
#define MCP_SERVER_ID_SIZE 33

enum mcp_era { MCP_AUTO, MCP_MODERN, MCP_LEGACY };

struct mcp_config {
    const char *file;
    uint32_t probe_timeout_ms, idle_timeout_ms, call_timeout_ms, ask_timeout_ms, session_idle_ms, retry_max_ms;
    size_t message_max_bytes, stream_max_bytes, text_max_bytes, tools_max_bytes;
    uint32_t tools_max, calls_max, user_calls_max, rounds_max, sessions_max;
};

struct mcp_counters {
    uint64_t requests, failures, timeouts, too_large, refused, asks, resumed, sessions_opened, tools_dropped;
    uint64_t calls, calls_failed, calls_running;
    uint64_t servers, servers_ready;
};

/* ------------------------------------------------------------------ server */

/* Of the file that mcp_file names. */
struct mcp_server_config {
    char id[MCP_SERVER_ID_SIZE];
    char *url, *token_file, *headers_file;
    enum mcp_era era;
    bool is_private;     /* may have an address that is not public */
    bool shares_session; /* in the older era: all users have one session */
    bool has_policy;
    enum mcp_policy policy;
    json_t *policies; /* by tool; may be NULL */
};

/* A tool of a server's list. */
struct mcp_entry {
    struct mcp_tool tool;
    char id[MCP_TOOL_ID_SIZE];
    json_t *root; /* what tool points into */
    struct mcp_mirror *mirrors;
};

struct mcp_entries {
    struct mcp_entry *list;
    size_t count;
};

/* Reading the list of tools, page by page. */
struct mcp_listing {
    struct mcp_request *request; /* NULL: none is under way */
    json_t *page;                /* that is being read, from tool `at` on; NULL: none */
    size_t at, bytes;            /* bytes: of what was found */
    struct eio_timer timer;      /* goes on with it */
    struct mcp_entries found;
    json_t *cursors; /* seen, against loops: an object */
    int64_t ttl_ms;
    unsigned pages, dropped;
    bool again; /* it has changed meanwhile */
};

struct mcp_server {
    struct mcp *mcp;
    struct mcp_server_config config;
    char **headers;    /* "Name: value", secret; ended by NULL */
    enum mcp_era era;  /* MCP_AUTO: not known yet */
    bool is_probed;    /* in the newer era: what it offers was asked for */
    bool lacks_legacy; /* the older era was tried and failed */

    char *title; /* its own, for logs; NULL: not known */
    bool can_listen;
    struct mcp_session *sessions; /* the first one is the server's own */
    size_t session_count;
    struct mcp_entries tools;
    bool has_tools;    /* the list was read */
    uint64_t stale_ms; /* loop time; UINT64_MAX: when the server reports it */
    struct mcp_listing listing;
    struct eio_timer retry_timer;
    uint32_t retry_ms;
    size_t running; /* calls */
};

/* ----------------------------------------------------------------- session */

enum mcp_session_state { MCP_S_CLOSED, MCP_S_PROBING, MCP_S_OPENING, MCP_S_CONFIRMING, MCP_S_LISTENING, MCP_S_READY };

/* The stream for what concerns no request: lists that have changed and, in the older era, what a server asks without a
 * word about which call it is for. */
struct mcp_listener {
    struct mcp_request *request; /* NULL: not open */
    struct eio_timer timer;      /* when to open it again */
    struct eio_timer wait_timer; /* when the session is ready without it */
    uint32_t delay_ms;
    bool is_late;    /* what happened before may have been missed */
    bool is_refused; /* the server has no such stream */
};

struct mcp_session {
    struct mcp_session *next;
    struct mcp_server *server;
    char *user; /* NULL: the server's own */
    enum mcp_session_state state;
    char *id;            /* Mcp-Session-Id; NULL: the server gave none */
    const char *version; /* of the protocol */
    unsigned generation; /* grows each time it is opened */
    struct mcp_request *requests;
    struct mcp_listener listener;
    struct eio_timer idle_timer;
};

/* ----------------------------------------------------------------- request */

enum mcp_request_kind { MCP_R_PROBE, MCP_R_OPEN, MCP_R_LIST, MCP_R_CALL, MCP_R_LISTEN };
enum mcp_request_state { MCP_R_WAITING, MCP_R_SENT, MCP_R_PAUSED, MCP_R_RESUMED };

/* How a request ended. */
struct mcp_reply {
    const struct mcp_message *message; /* a result or an error; NULL: see error */
    int status;                        /* of HTTP; 0: none */
    int code;                          /* as mcp_result */
    const char *error;                 /* what went wrong, without the server's name */
    const char *session_id;            /* of the response to MCP_R_OPEN; NULL if absent */
};

struct mcp_request_ops {
    /* A notification or a request on its stream; returns false if the owner does not care. May cancel the request. */
    bool (*on_message)(void *owner, const struct mcp_message *message);
    /* Once, last; the request is gone. */
    void (*on_done)(void *owner, const struct mcp_reply *reply);
};

struct mcp_request {
    struct mcp_request *next;
    struct mcp_session *session;
    enum mcp_request_kind kind;
    enum mcp_request_state state;
    int64_t id;
    const char *method; /* NULL: GET, the older era's stream for what concerns no request */
    const char *user;   /* whose session it wants; borrowed from the owner */
    json_t *params;
    char **headers; /* of its own, ended by NULL; NULL: none */
    const struct mcp_request_ops *ops;
    void *owner;
    unsigned generation; /* of the session when it was sent */
    bool is_renewed;     /* sent again because the session was forgotten */
    bool is_held;        /* its time does not run: a user is asked */
    uint32_t max_ms;     /* what is left of its time; 0: no limit */
    struct eio_timer idle_timer, deadline_timer, resume_timer;
    uint64_t deadline_ms;

    /* The response that is being read. */
    struct kit_fetch *fetch;
    struct kit_sse sse;
    char *body;
    size_t body_size, body_capacity, received;
    bool is_typed, is_stream;
    int status;        /* of HTTP, if is_typed */
    bool is_reading;   /* within its reader: it is freed afterwards */
    bool is_cancelled; /* meanwhile */
    bool is_flushing;  /* the stream has ended: what is not whole does not count */
    struct mcp_message answer;
    struct mcp_reading *reading; /* a long message, on a thread (mcp_reading.c); NULL: none */
    struct mcp_late *late;       /* what came behind it */
    struct mcp_ending {
        bool is_set; /* the response has ended, what it said is still being read */
        int status;
        bool is_timeout;
        char error[96], type[48]; /* "": none */
    } ending;
    char fault[128]; /* why reading ended early; "" */
    int fault_code;
    unsigned attempts; /* to resume, since the last event that had an id */
    char *session_id;  /* of the response; MCP_R_OPEN only */
};

/* A message that waits for a long one before it. */
struct mcp_late {
    struct mcp_late *next;
    bool is_flushing;
    size_t size;
    char text[];
};

/* Something sent that has no answer: a notification, or the answer to a server's request. */
struct mcp_post {
    struct mcp_post *next;
    struct mcp *mcp;
    struct kit_fetch *fetch;
    void (*on_done)(void *ctx, int status); /* NULL: nobody cares */
    void *ctx;
};

/* -------------------------------------------------------------------- call */

/* A question of the older era, which waits in this process. */
struct mcp_ask {
    struct mcp_ask *next;
    struct mcp_call *call;
    struct mcp_session *session; /* to which the answer goes */
    char *key;                   /* the id of the server's request as JSON */
    json_t *id, *params;
    struct eio_timer timer;
};

struct mcp_call {
    struct mcp_call *next;
    struct mcp_server *server;
    uint64_t number;   /* grows */
    char *name, *user; /* user: with the tenant */
    json_t *arguments;
    const struct mcp_call_ops *ops;
    void *ctx;
    struct mcp_request *request;       /* NULL: none is under way */
    json_t *request_state, *responses; /* of the newer era, for the next request; NULL if absent */
    json_t *refused;                   /* the result that made the call fall back to the older era */
    json_t *asked;                     /* keys of questions: none is asked twice */
    struct mcp_ask *asks;
    unsigned rounds;
    bool waits_for_list, is_relisted;
    double progress;
    bool has_progress;
    uint64_t progress_ms;       /* when the last one was passed on */
    struct eio_timer end_timer; /* ends it outside of what started it */
    int code;
    char error[160];
};

/* ------------------------------------------------------------------ module */

struct mcp {
    struct kit *kit;
    struct eio_loop *loop;
    struct kit_fetcher *fetcher;
    const struct mcp_config *config;
    struct mcp_server *servers;
    size_t server_count;
    struct mcp_call *calls;
    struct mcp_post *posts;
    struct kit_strand strand; /* for long messages; without kit->work they are read on the loop */
    int64_t last_id;          /* of requests */
    bool is_draining;
    struct mcp_counters counters;
};

/* mcp_config.c: reads the file. Returns 0, or EIO_EINVAL or EIO_ENOMEM with a line in error. */
int mcp_config_load(const char *path, struct mcp_server_config **list, size_t *count, char *error, size_t error_size);
void mcp_config_clear(struct mcp_server_config *config);
/* The headers of its files, secret. NULL: a line in error. */
char **mcp_config_headers(const struct mcp_server_config *config, char *error, size_t error_size);
void mcp_strings_free(char **list);

/* mcp_server.c */
/* Takes config. Returns 0 or EIO_ENOMEM. */
int mcp_server_init(struct mcp_server *server, struct mcp *mcp, struct mcp_server_config *take_config);
void mcp_server_clear(struct mcp_server *server);
struct mcp_server *mcp_find_server(struct mcp *mcp, const char *id);
/* The session for a user's calls; NULL: out of memory, or there are too many. */
struct mcp_session *mcp_server_session(struct mcp_server *server, const char *user);
void mcp_server_log(const struct mcp_server *server, enum eio_log_level level, const char *message, const char *why);
/* A notification that is not about one request. */
void mcp_server_notice(struct mcp_server *server, const struct mcp_message *message);
/* The era has become known, or is another one. */
void mcp_server_set_era(struct mcp_server *server, enum mcp_era era);

/* mcp_tools.c: the list. */
void mcp_tools_init(struct mcp_server *server);
void mcp_tools_clear(struct mcp_server *server);
void mcp_tools_refresh(struct mcp_server *server);
void mcp_entries_clear(struct mcp_entries *entries);
struct mcp_entry *mcp_find_entry(struct mcp_server *server, const char *name);

/* mcp_listen.c */
void mcp_listener_init(struct mcp_session *session);
/* Opens it if the server has anything to say on it. Returns whether it has and calls should wait for it: what a server
 * asks on this stream is lost while it is not there. Then mcp_session_listens() comes, soon. */
bool mcp_listener_open(struct mcp_session *session);
/* The stream stands. */
void mcp_listener_stand(struct mcp_session *session);
void mcp_listener_close(struct mcp_session *session);

/* mcp_session.c */
struct mcp_session *mcp_session_new(struct mcp_server *server, const char *user);
/* Ends its requests without on_done. is_polite: tells the server. */
void mcp_session_free(struct mcp_session *session, bool is_polite);
/* To the end of its server's list, which is in the order of their last calls. */
void mcp_session_move_last(struct mcp_session *session);
/* Sends what waits, or opens the session first. */
void mcp_session_advance(struct mcp_session *session);
/* Its stream stands, or will not. */
void mcp_session_listens(struct mcp_session *session);
/* The server does not know it any more. */
void mcp_session_forget(struct mcp_session *session, unsigned generation);
/* Answers a server's request that needs no user: ping, and what is not offered. */
void mcp_session_answer(struct mcp_session *session, const struct mcp_message *message);
bool mcp_session_is_modern(const struct mcp_session *session);
/* No request is open but the listener's. */
bool mcp_session_is_idle(const struct mcp_session *session);

/* mcp_post.c */
/* Sends a message that has no answer. take_text NULL: out of memory, it goes unsent. on_done, which may be NULL, gets
 * the status, or 0 if no response came. */
void mcp_post_send(struct mcp_session *session, char *take_text, void (*on_done)(void *ctx, int status), void *ctx);
/* DELETE, if the server gave the session an id. */
void mcp_post_delete(struct mcp_session *session);
/* on_done of this ctx is not called any more. */
void mcp_posts_forget(struct mcp *mcp, const void *ctx);
void mcp_posts_cancel(struct mcp *mcp);

/* mcp_http.c: headers. The list and its texts are freed with mcp_strings_free(). NULL: out of memory. */
char **mcp_http_headers(const struct mcp_session *session, const struct mcp_request *request);

/* mcp_request.c */
struct mcp_request_options {
    enum mcp_request_kind kind;
    const char *method;
    json_t *take_params; /* an object */
    char **take_headers; /* may be NULL */
    const char *user;    /* NULL: nobody's */
    const struct mcp_request_ops *ops;
    void *owner;
    uint32_t max_ms;
};
/* NULL: out of memory; what is to be taken is freed. It is sent when the session is ready. */
struct mcp_request *mcp_request_new(struct mcp_session *session, const struct mcp_request_options *options);
/* Ends it without on_done. reason: for the server. */
void mcp_request_cancel(struct mcp_request *request, const char *reason);
void mcp_request_send(struct mcp_request *request);
/* Calls on_done and frees it. */
void mcp_request_finish(struct mcp_request *request, const struct mcp_reply *reply);
/* The end of one that waits comes in the next turn of the loop. */
void mcp_request_fail_later(struct mcp_request *request, int code, const char *error);
/* Its time stands still while a user is asked. */
void mcp_request_hold(struct mcp_request *request, bool is_held);
/* Moves one that waits to another session. */
void mcp_request_move(struct mcp_request *request, struct mcp_session *session);

/* A message that was on a thread; the caller clears what is left of it. why: it cannot be read; NULL: it was, or,
 * without a root, it is of no interest. */
void mcp_request_read(struct mcp_request *request, struct mcp_message *message, const char *why, bool is_flushing);

/* mcp_reading.c */
bool mcp_reading_is_long(const struct mcp *mcp, size_t size);
/* The text is copied. mcp_request_read() comes later, unless the request has forgotten it. Returns 0, EIO_ENOMEM, or
 * EIO_EAGAIN: the threads have too much to do. */
int mcp_reading_start(struct mcp_request *request, struct eio_str text, bool is_flushing);
void mcp_reading_forget(struct mcp_request *request);
/* On a thread, since it takes its time. */
void mcp_free_tree(struct mcp *mcp, json_t *take_root);

/* mcp_call.c */
/* The calls that waited for a list: it has been read, or cannot be. */
void mcp_calls_listed(struct mcp_server *server);
void mcp_calls_cancel(struct mcp *mcp);
void mcp_call_send(struct mcp_call *call);
/* Ends it with a failure. */
void mcp_call_fail(struct mcp_call *call, int code, const char *error);
/* The same in the next turn of the loop. */
void mcp_call_fail_later(struct mcp_call *call, int code, const char *error);
struct mcp_call *mcp_call_new(struct mcp_server *server, const char *tool, const json_t *arguments,
                              const struct mcp_caller *caller);
void mcp_call_free(struct mcp_call *call);
/* Refuses what is beyond the limits; 0 or a code with *why. */
int mcp_call_check_limits(const struct mcp_server *server, const char *user, const char **why);

/* mcp_ask.c: what servers ask. */
/* The newer era's result that asks, or the older one's error that wants pages visited first: ends the call with a
 * state, goes on, or fails. */
void mcp_ask_inputs(struct mcp_call *call, const json_t *result);
void mcp_ask_urls(struct mcp_call *call, const json_t *data);
/* A message on the stream of a call's session; false: it is not for the call. */
bool mcp_ask_take(struct mcp_call *call, struct mcp_session *session, const struct mcp_message *message);
/* A message on a session's own stream: for the call that must be meant. */
bool mcp_ask_take_stray(struct mcp_session *session, const struct mcp_message *message);
void mcp_asks_free(struct mcp_call *call);

/* mcp.c: the module's parts, for parley mcp-client and tests. Takes the list. */
struct mcp *mcp_new(struct kit *kit, const struct mcp_config *config);
int mcp_add_servers(struct mcp *mcp, struct mcp_server_config *take_list, size_t count, char *error, size_t error_size);
/* Begins nothing new; says goodbye to servers when the last call has ended. */
void mcp_drain(struct mcp *mcp);
void mcp_settle_drain(struct mcp *mcp);
void mcp_free(struct mcp *mcp);
const struct mcp_config *mcp_config_of(const struct kit_config *config);

#endif
