/* What every module of the product stands on: configuration, loop, server, store, tokens, and the list of modules.
 * A module sees this and the headers that it names here; never another module's private parts.
 *
 * Reading order: kit_module.h, kit_config.h, kit_log.h, kit_work.h, kit_store.h, kit_schema.h, kit_jwt.h, kit_user.h,
 * kit_auth.h, kit_answer.h, kit_request.h, kit_http.h, kit_fetch.h, kit_metrics.h, kit_processes.h. */
#ifndef KIT_H
#define KIT_H

#include "kit_config.h"
#include "kit_fetch.h"
#include "kit_jwt.h"
#include "kit_log.h"
#include "kit_module.h"
#include "kit_processes.h"
#include "kit_schema.h"
#include "kit_store.h"
#include "kit_work.h"

#define KIT_SID_SIZE 256 /* a socket's id with its terminator; those of Socket.IO 2 name the namespace too */
#define KIT_HOOKS_MAX 32
#define KIT_NAMESPACES_MAX 16
#define KIT_ROUTES_MAX 128

struct kit_event;
struct kit_metric_set;
struct kit_plain;
struct kit_stay;
struct kit_dismissal;
struct kit_tokens;

/* Counters of the kit's own; the loop's thread only. */
struct kit_counters {
    uint64_t auth_failures, auth_timeouts, auth_expired, forbidden, invalid, limited, busy, users_held;
};

/* How the other nodes are reached. */
struct kit_peers {
    /* Makes the adapter of a namespace; NULL: this process is alone. */
    rooms_adapter_factory make_adapter;
    void *make_ctx;
    /* True if other nodes are not reached now, or not all. why: what is known of it, "" if nothing. */
    bool (*is_degraded)(void *ctx, const char **why);
    /* How often the way to them broke, however short: what they said then may be lost. NULL: it does not. */
    uint64_t (*count_breaks)(void *ctx);
    void *ctx;
};

/* What a module puts between one namespace and its adapter. */
struct kit_adapter_proxy {
    const char *namespace_name; /* NULL: nothing is */
    rooms_adapter_factory make; /* calls kit_make_adapter() for what it stands in front of */
    void *ctx;
};

typedef void (*kit_hook_fn)(void *ctx);
struct kit_hook {
    kit_hook_fn fn;
    void *ctx;
};

struct kit_claims;
typedef int (*kit_token_fn)(void *ctx, const struct kit_claims *claims, struct kit_failure *failure);

/* kit_on_dismiss() */
typedef size_t (*kit_dismiss_fn)(void *ctx, const struct kit_dismissal *who);
struct kit_dismiss_hook {
    kit_dismiss_fn fn;
    void *ctx;
};

/* How a request of a user ended, for who looks at users live; without what was asked or answered. */
struct kit_answered {
    const char *name;                /* of the event, or of the path as a pattern */
    const struct kit_claims *claims; /* NULL: unknown */
    const char *sid;                 /* of its socket; NULL */
    const char *call_id;             /* NULL: about none */
    int code;                        /* of the failure; 0 */
    int64_t took_ms;
};
typedef void (*kit_answered_fn)(void *ctx, const struct kit_answered *answered);

/* A number that /health shows. */
struct kit_health_field {
    const char *name;
    int64_t (*read)(void *ctx);
    void *ctx;
};

/* Rows of /metrics (kit_metrics.h) and where their numbers are. */
struct kit_metrics {
    const struct kit_metric_set *set;
    void *ctx;
    size_t place; /* of the first in a worker's page */
};

/* A namespace and who may use it. */
struct kit_namespace {
    struct kit *kit;
    struct sio_namespace *nsp;
    unsigned roles;      /* enum kit_role, or'ed */
    const char *sign_in; /* the event by which a socket without a token says who it is; NULL: a token is needed */
    bool admits_guests;  /* kit_admit_guests() */
    void (*on_claims)(struct sio_socket *socket, void *ctx); /* kit_on_claims() */
    void *on_claims_ctx;
    bool (*on_unknown)(struct sio_socket *socket, const struct sio_event *event,
                       void *ctx); /* kit_on_unknown_event() */
    void *on_unknown_ctx;
};

/* An event of a namespace, or of a path, as its handler gets it. */
struct kit_route {
    struct kit *kit;
    const struct kit_event *event;
    void *state;
    struct eio_str last; /* segment of its path, if that is written out; else n 0 */
};

struct kit {
    const struct kit_config *config;
    struct eio_loop *loop;
    struct sio_server *io;
    struct kit_work *work;
    struct kit_store *store;
    struct kit_schemas *schemas;
    struct kit_fetcher *fetcher;   /* NULL where there is no loop */
    void *states[KIT_MODULES_MAX]; /* of config->modules, in their order */
    struct kit_jwt jwt;
    struct kit_tokens *tokens; /* NULL: each is checked each time */
    struct kit_quotas *quotas;
    struct kit_plain *plain; /* kit_ws.c; NULL: no plain WebSockets are served */
    struct kit_jwks *jwks;   /* NULL if absent */
    bool development_key;
    struct kit_claims *guest; /* kit_admit_guests(); NULL: none are admitted */
    bool leaving;             /* it will end: no more clients come, and those here go in waves */
    bool draining;            /* new events are refused with 503 */
    uint64_t started_ms;      /* loop time */
    time_t started_at;
    struct kit_counters counters;
    struct kit_processes processes; /* count 0: this process is the only one on this machine */
    struct kit_peers peers;

    /* Private. */
    struct kit_adapter_proxy proxy;
    struct kit_namespace namespaces[KIT_NAMESPACES_MAX];
    size_t namespace_count;
    struct kit_route routes[KIT_ROUTES_MAX];
    size_t route_count;
    struct kit_route paths[KIT_ROUTES_MAX]; /* over HTTP: kit_path.c */
    size_t path_count;
    struct kit_hook peer_hooks[KIT_HOOKS_MAX];
    size_t peer_hook_count;
    struct kit_health_field health[KIT_HOOKS_MAX];
    size_t health_count;
    struct kit_metrics metrics[KIT_HOOKS_MAX];
    size_t metrics_count;
    struct kit_user *users;      /* kit_user.c: a table */
    struct kit_user *idle_users; /* those of it without references */
    size_t idle_user_count;
    size_t answer_bytes; /* kit_user.h: of all users */
    struct kit_hook answers_sent;
    kit_token_fn token_fn; /* kit_on_token() */
    void *token_ctx;
    kit_answered_fn answered_fn; /* kit_on_answered() */
    void *answered_ctx;
    struct kit_stay *stays; /* kit_dismiss.c */
    struct kit_dismiss_hook dismiss_hooks[KIT_HOOKS_MAX];
    size_t dismiss_hook_count;
};

/* Opens what the modules stand on, but for the server. Returns 0 or a negative code with a line in error; kit_clear()
 * in either case. loop NULL: for commands and a master, with neither loop nor schemas. */
int kit_init(struct kit *kit, const struct kit_config *config, struct eio_loop *take_loop, char *error,
             size_t error_size);
/* Makes the server. The peers must be known. */
int kit_init_server(struct kit *kit, const struct sio_options *options, char *error, size_t error_size);
void kit_clear(struct kit *kit);
/* A module's state; NULL before it has one. */
void *kit_state(const struct kit *kit, const struct kit_module *module);

/* True if others write to the same calls and chats: other processes or nodes. */
static inline bool kit_has_peers(const struct kit *kit)
{
    return kit->peers.make_adapter != NULL;
}
/* fn runs when another process came or went. Returns 0 or EIO_ETOOBIG. */
int kit_on_peers_changed(struct kit *kit, kit_hook_fn fn, void *ctx);
void kit_peers_changed(struct kit *kit);
/* As a rooms_adapter_factory with the kit as ctx: what the configuration asks for. */
struct rooms_adapter *kit_make_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local);
int kit_add_health(struct kit *kit, const char *name, int64_t (*read)(void *ctx), void *ctx);

#endif
