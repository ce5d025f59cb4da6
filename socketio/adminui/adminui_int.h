/* What the files of adminui share. Private to this library.
 *
 * Reading order: adminui_namespace.c (the pieces put together, and what nodes say to each other), adminui_send.c
 * (sending to pages and nodes, within limits), adminui_login.c (who may in), adminui_watch.c (what happens to sockets,
 * as it happens), adminui_sockets.c (which sockets pages know, and the list that a new page gets), adminui_stats.c
 * (numbers), adminui_actions.c (what pages ask for). */
#ifndef ADMINUI_INT_H
#define ADMINUI_INT_H

#include "adminui.h"
#include "base_table.h"

enum {
    ADMINUI__SID_SIZE = 256,       /* a socket's id with its terminator; those of Socket.IO 2 are long */
    ADMINUI__SESSION_SIZE = 17,    /* 16 hex digits and a terminator */
    ADMINUI__USER_SIZE = 64,       /* of a user's name that is kept; longer ones are cut */
    ADMINUI__TICK_MS = 1000,       /* numbers are taken by the second */
    ADMINUI__STATS_TICKS = 2,      /* and sent every other second */
    ADMINUI__WATCHED_MS = 7000,    /* another node's pages are thought to be there this long after its last word */
    ADMINUI__RESYNC_MS = 10000,    /* at least that between two lists because of too many changes */
    ADMINUI__FIRST_SOCKETS = 1000, /* of a list that go at once, in one turn */
    ADMINUI__SLICE_MS = 250,       /* the others follow in slices */
    ADMINUI__SLICE_SOCKETS = 50,
    ADMINUI__QUEUED_MAX = 65536, /* bytes; a page with more gets no new list */
    ADMINUI__ADDRESSES = 1024,   /* whose failed logins are counted */
    ADMINUI__AUTH_BYTES_MAX = 16384,
    ADMINUI__SAMPLES = 64,
    ADMINUI__NAME_SIZE = 1024, /* of a namespace, room or event in an action, decoded */
};
#define ADMINUI__SERVER_EVENT "parley:adminui"

/* A logged-in page: the user pointer of its socket. */
struct adminui__page {
    struct adminui__page *prev, *next;
    struct sio_socket *socket;
    bool wants_list;
    uint64_t until_ms; /* loop time, as all times here */
    uint64_t since_ms; /* Unix time; of its credentials */
    char user[ADMINUI__USER_SIZE];
    char new_session[ADMINUI__SESSION_SIZE]; /* goes to it once it is connected; "": it has one */
};

struct adminui__session {
    char id[ADMINUI__SESSION_SIZE];
    char user[ADMINUI__USER_SIZE];
    uint64_t until_ms;
    uint64_t since_ms; /* Unix time; of its credentials */
};

/* Failed logins of one address. */
struct adminui__failures {
    uint8_t address[16];
    uint64_t since_ms;
    uint32_t count;
};

/* A socket that pages know. */
struct adminui__shown {
    struct sio_socket *socket;
    struct adminui__shown *prev, *next; /* in the order in which they became known */
    struct adminui__shown *next_dirty;
    uint64_t data_hash;
    bool dirty; /* its data may have changed */
};

/* A list on its way to a page. */
struct adminui__roster {
    struct adminui__roster *next;
    struct adminui__shown *at; /* who is next */
    bool is_own;               /* the page is connected to this node */
    char sid[ADMINUI__SID_SIZE];
};

/* How many of something in a second. */
struct adminui__sample {
    uint64_t timestamp_ms;
    const char *type, *sub_type; /* sub_type NULL: none */
    uint64_t count;
};

struct adminui {
    struct sio_server *io;
    struct sio_namespace *nsp;
    struct eio_loop *loop;
    struct adminui_options options;
    char *namespace_name, *server_id;
    char hostname[256];
    uint64_t started_ms;
    bool stopped;

    /* Pages. */
    struct adminui__page *pages;
    size_t page_count;
    uint64_t watched_until_ms; /* by pages of other nodes */
    size_t servers;            /* of the cluster, as far as known */
    bool watching;

    /* Logins. */
    struct adminui_login *logins; /* that wait for an answer */
    size_t login_count;
    struct adminui__session *sessions; /* max_sessions, the oldest first */
    size_t session_count;
    struct adminui__failures failures[ADMINUI__ADDRESSES];
    size_t address_count;

    /* Sockets. */
    struct base_table shown_by_socket;
    struct adminui__shown *first_shown, *last_shown, *dirty;
    size_t shown_count;
    struct adminui__roster *rosters;
    struct eio_timer list_timer, slice_timer, data_timer;
    bool reading;                               /* the data that is asked for is asked for here */
    struct sio_builder leaving;                 /* rooms that the socket which goes has left: texts */
    uint64_t events_until_us, changes_until_us; /* how far the minute's worth is used up */
    uint64_t event_bytes_from_ms;
    size_t event_bytes; /* in that second */
    bool outdated;      /* changes were left out */
    uint64_t resynced_ms;

    /* Numbers. */
    struct eio_timer tick;
    unsigned ticks;
    struct adminui__sample samples[ADMINUI__SAMPLES];
    size_t sample_count;
    struct eio_server_stats last;
    struct adminui_stats stats, last_stats;
};

/* adminui_send.c */
/* The pages of this node, and those of others if there are any. */
struct sio_target adminui__pages(const struct adminui *adminui);
/* Sends to them, and clears the builder. */
void adminui__send_to_pages(struct adminui *adminui, const char *event, struct sio_builder *args);
/* "2026-01-02T03:04:05.678Z" */
void adminui__put_time(struct sio_builder *args, uint64_t unix_ms);
uint64_t adminui__unix_ms(const struct adminui *adminui);
/* To the other nodes; clears the builder. */
void adminui__send_to_nodes(struct adminui *adminui, struct sio_builder *args);
bool adminui__is_watched_elsewhere(const struct adminui *adminui);
/* The namespace of that name if this node has it. */
struct sio_namespace *adminui__find_namespace(struct sio_server *io, const char *name);
/* False: too much happens; counted. */
bool adminui__may_report_change(struct adminui *adminui);
bool adminui__may_report_event(struct adminui *adminui, struct sio_args args);

/* adminui_login.c */
int adminui__login_open(struct adminui *adminui);
/* Logins that wait are without effect from now on. */
void adminui__login_stop(struct adminui *adminui);
/* Disconnects the pages whose time is over. */
void adminui__login_expire(struct adminui *adminui);
/* Answers another node that asks for a session. */
void adminui__login_asked(struct adminui *adminui, const struct sio_event *event);

/* adminui_sockets.c */
void adminui__sockets_open(struct adminui *adminui);
void adminui__sockets_stop(struct adminui *adminui);
struct adminui__shown *adminui__shown_find(const struct adminui *adminui, const struct sio_socket *socket);
/* NULL: there are too many, or out of memory; counted. */
struct adminui__shown *adminui__shown_add(struct adminui *adminui, struct sio_socket *socket);
void adminui__shown_remove(struct adminui *adminui, struct adminui__shown *shown);
/* Takes in sockets as long as there is room: at most `limit`, reported to pages if `reports`. */
void adminui__shown_fill(struct adminui *adminui, size_t limit, bool reports);
void adminui__shown_clear(struct adminui *adminui);
/* Its data may change in this turn. */
void adminui__shown_touch(struct adminui *adminui, struct adminui__shown *shown);
void adminui__put_socket(struct adminui *adminui, struct sio_socket *socket, struct sio_builder *args);
/* all_sockets to a page of this node, on the next turn; the other nodes send theirs. */
void adminui__roster_own(struct adminui *adminui, struct adminui__page *page);
/* The sockets of this node to another node's page. */
void adminui__roster_other(struct adminui *adminui, const char *sid);

/* adminui_watch.c */
void adminui__watch_begin(struct adminui *adminui);
void adminui__watch_end(struct adminui *adminui);

/* adminui_stats.c */
void adminui__stats_open(struct adminui *adminui);
void adminui__stats_sample(struct adminui *adminui);
void adminui__stats_send(struct adminui *adminui);

/* adminui_actions.c */
int adminui__actions_open(struct adminui *adminui);
/* Another node was asked for what concerns a namespace that it does not have. args: action, then as the page sent it.
 */
void adminui__act_here(struct adminui *adminui, struct sio_args args);

#endif
