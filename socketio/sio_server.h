/* The server, which has one of each thing; files that need only a part of it include that part. Private to this
 * library.
 *
 * Reading order: sio_server.c (the pieces put together), sio_client.c and sio_pending.c (a connection and its packets),
 * sio_parser_default.c, sio_parser_msgpack.c and sio_parser_own.c (how these are written), sio_namespace.c,
 * sio_members.c and sio_handlers.c (who is where and handles what), sio_socket.c and sio_middleware.c (a client in a
 * namespace), sio_v2.c (what is different for those of Socket.IO 2), sio_target.c, sio_emit.c, sio_send.c and
 * sio_outgoing.c (what is sent to whom), sio_deliver.c and sio_batch.c (how it gets there), sio_recovery.c and
 * sio_recovery_pid.c (clients that come back), sio_ack.c, sio_gather.c and sio_survey.c (answers), sio_target_ops.c
 * and sio_socket_ending.c (the rest that is done by target), sio_assets.c (the client's files). */
#ifndef SIO_SERVER_H
#define SIO_SERVER_H

#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SIO__RANDOM_POOL_BYTES = 960, /* random bytes fetched at once */
};

/* ------------------------------------------------------------------ server */

/* Who watches (sio_server_watch). */
struct sio__watcher {
    bool watches;
    struct sio_watch watch;
    void *ctx;
};

struct sio_server {
    struct eio_loop *loop;
    bool own_loop;
    bool draining;
    struct eio_http *http;
    struct eio_server *engine;
    struct sio_options options;
    const struct sio__parser *parser;
    struct sio__parser own_parser;
    struct sio__packet_limits limits;
    size_t max_packet_bytes;

    struct sio__assets *assets;
    struct base_table namespaces; /* by name; parents are not in it */
    struct sio_namespace *root;   /* the one that is called "/", or NULL */
    uint8_t names_key[16];        /* of its hash: clients choose names */
    struct sio_namespace *first_namespace, *last_namespace, *parents, *last_parent, *empty_namespaces;
    bool cleanup_due;
    struct sio__hooks new_namespace;
    struct sio__hook *dead_hooks;
    bool has_deciding; /* a parent that decides */
    struct sio_question *questions;
    struct base_table asking; /* them, by client */
    struct base_table owed;   /* struct owed, by id: answers to servers (sio_ack.c) */
    uint64_t next_owed;
    size_t matched_count;         /* namespaces made by parents */
    struct eio_deadlines connect; /* clients that are in no namespace yet */
    struct sio__batch batch;
    struct base_table waiting; /* struct sio__waiting by socket and id */
    struct sio__survey *surveys;
    struct sio__gather *gathers;
    struct sio_admission *admissions;

    struct sio__endings endings;
    struct sio_socket *dead_sockets;
    struct sio_client *dead_clients;
    size_t client_count;

    struct rooms_recovery recovery;
    struct eio_timer recovery_expiry;
    struct eio_timer drain_timer;
    uint64_t drain_until_ms;
    eio_loop_fn drain_done;
    void *drain_ctx;

    struct sio__watcher watchers[SIO_WATCHERS_MAX]; /* free ones have no watch */
    unsigned watcher_count, outgoing_watcher_count;

    struct sio_stats stats;
    struct eio_limit_counter limit_counters[SIO_LIMIT_COUNT];
    size_t random_left;
    uint8_t random[SIO__RANDOM_POOL_BYTES];
};
static inline void sio__client_message(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (!client->closing && !client->ending) client->io->parser->receive(client, kind, p, n);
}
/* Something other than what the open batch holds is about to be sent to the client. */
static inline void sio__batch_before_send(struct sio_client *client)
{
    if (client->io->batch.nsp) sio__batch_catch_up(client);
}

/* The next of those who watch, from the place *i on; NULL: that was the last. They may end and begin meanwhile. */
static inline const struct sio__watcher *sio__next_watcher(const struct sio_server *io, unsigned *i)
{
    while (io->watcher_count && *i < SIO_WATCHERS_MAX) {
        const struct sio__watcher *watcher = &io->watchers[(*i)++];
        if (watcher->watches) return watcher;
    }
    return NULL;
}
/* Counts a hit of a limit and logs it; session: that hit it, or NULL. */
void sio__server_hit(struct sio_server *io, enum sio_limit limit, const struct eio_session *session);
/* A client is gone: perhaps the last that a drain waits for. `done` is not called from here: it may free the server,
 * and * this is within a session's on_close. */
static inline void sio__server_client_gone(struct sio_server *io)
{
    if (io->draining && io->drain_done && io->client_count == 0) eio_timer_start(&io->drain_timer, 0);
}
void sio__assets_free(struct sio_server *io);
/* Writes a new id and its terminator. */
void sio__server_new_id(struct sio_server *io, char *id);

#endif
