/* adminui: what the Socket.IO Admin UI (npm: @socket.io/admin-ui 0.5) talks to: its namespace, on a socketio server.
 *
 *     struct adminui_options options;
 *     adminui_options_init(&options);
 *     options.on_login = check;
 *     struct adminui *adminui = adminui_new(io, &options);
 *     …
 *     adminui_stop(adminui);
 *     sio_server_free(io);
 *     adminui_free(adminui);
 *
 * A page that is logged in gets `config`, `server_stats` every two seconds, and in development mode every socket with
 * what happens to it; and may act on sockets unless the options forbid it. With an adapter, each node reports its own
 * sockets to the pages of all nodes. While no page is connected to any node, sockets are not watched at all.
 *
 * What a page cannot take is left out, and counted: see the limits below. */
#ifndef ADMINUI_H
#define ADMINUI_H

#include <socketio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct adminui;

/* Someone who wants to log in with credentials. Exactly one adminui_accept() or adminui_refuse(), now or later. */
struct adminui_login;
typedef void (*adminui_login_fn)(struct adminui_login *login, void *ctx);
/* The decoded text of a member of the handshake's auth ("username", "password"), terminated. Returns its size,
 * EIO_EINVAL if it is not there or not a string, EIO_ETOOBIG. */
EIO_API int adminui_login_text(const struct adminui_login *login, const char *member, char *out, size_t size);
/* Lets the socket in, with a session by which it may come back without credentials. until_unix_ms: when both end, if
 * that is before session_s; 0: no earlier. user and since_unix_ms, when the credentials were issued: for
 * adminui_dismiss(). */
EIO_API void adminui_accept(struct adminui_login *login, const char *user, uint64_t since_unix_ms,
                            uint64_t until_unix_ms);
/* message NULL: "invalid credentials", for which the page has words of its own. */
EIO_API void adminui_refuse(struct adminui_login *login, const char *message);

/* How much pages are shown. */
enum adminui_mode {
    ADMINUI_DEVELOPMENT, /* sockets, rooms and events, one by one */
    ADMINUI_PRODUCTION   /* numbers only */
};

/* Options; adminui_options_init() has the defaults that stand beside the fields. */
struct adminui_options {
    const char *namespace_name; /* "/admin"; copied */
    const char *server_id;      /* NULL: the host's name; must differ from node to node; copied */
    enum adminui_mode mode;     /* ADMINUI_PRODUCTION */
    bool readonly;              /* true */
    adminui_login_fn on_login;  /* NULL: everybody is let in */
    void *ctx;

    uint32_t session_s;         /* 86400 that a session lasts */
    size_t max_sessions;        /* 1000; above: the oldest ends */
    uint32_t max_failed_logins; /* 10 in a minute from one address (IPv6: /64); above: refused unseen */
    size_t max_pending_logins;  /* 16 that wait for on_login; above: refused unseen */

    /* The page searches its lists and redraws them whole for each event: what is more than this is left out. Of a
     * minute's worth a sixth may come at once. */
    size_t max_sockets;                /* 1000 of all nodes together */
    uint32_t max_events_per_minute;    /* 120 event_received and event_sent of one node */
    size_t max_event_bytes_per_second; /* 262144, their arguments */
    uint32_t max_changes_per_minute;   /* 600 of what else happens to sockets; above: all_sockets anew, later */
};
EIO_API void adminui_options_init(struct adminui_options *options);

/* Before clients come; options NULL: the defaults, with which everybody may look. NULL: out of memory. */
EIO_API struct adminui *adminui_new(struct sio_server *io, const struct adminui_options *options);
/* Before the server is freed. Logins that are still to be answered are without effect from then on. Accepts NULL. */
EIO_API void adminui_stop(struct adminui *adminui);
/* After the server was freed, and after every login was answered. Accepts NULL. */
EIO_API void adminui_free(struct adminui *adminui);

/* Ends what this node has of the user with credentials issued earlier: sessions, and pages at once, which have to log
 * in again. Returns how many pages. */
EIO_API size_t adminui_dismiss(struct adminui *adminui, const char *user, uint64_t before_unix_ms);

/* Counters since adminui_new(); adminui_get_stats() fills them in. */
struct adminui_stats {
    uint64_t logins, logins_refused;
    uint64_t logins_throttled;       /* max_failed_logins, max_pending_logins */
    uint64_t actions;                /* carried out */
    uint64_t actions_refused;        /* malformed */
    uint64_t reported;               /* events of sockets that were reported */
    uint64_t events_left_out;        /* max_events_per_minute, max_event_bytes_per_second, or of a socket left out */
    uint64_t changes_left_out;       /* max_changes_per_minute */
    uint64_t sockets_left_out;       /* max_sockets */
    uint64_t lists;                  /* all_sockets made, each for all pages that wanted it then */
    size_t pages, sessions, sockets; /* now; of this node */
    bool watching;
};
EIO_API void adminui_get_stats(const struct adminui *adminui, struct adminui_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
