/* A server: an HTTP server and an Engine.IO server on a loop, and the namespaces on them. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <sodium.h>

/* ----------------------------------------------------------------- options */

void sio_options_init(struct sio_options *options)
{
    *options = (struct sio_options){
        .connect_timeout_ms = 45000,
        .max_attachments = 10,
        .max_depth = 128,
        .max_namespace_bytes = 512,
        .max_namespaces_per_client = 64,
        .max_matched_namespaces = 10000,
        .max_pending_acks = 65536,
        .recovery = {.max_disconnection_ms = 120000,
                     .skip_middlewares = true,
                     .max_log_bytes = 16777216,
                     .max_log_packets = 100000,
                     .max_sessions = 100000},
        .adapter = rooms_adapter_memory,
    };
    eio_options_init(&options->engine);
    eio_http_options_init(&options->http);
    rooms_options_init(&options->rooms);
    options->engine.path = "/socket.io";
}

static void take_options(struct sio_server *io, const struct sio_options *options)
{
    if (options)
        io->options = *options;
    else
        sio_options_init(&io->options);
    options = &io->options;
    io->parser = options->parser == SIO_PARSER_MSGPACK ? &sio__parser_msgpack : &sio__parser_default;
    if (options->parser == SIO_PARSER_OWN) {
        io->own_parser = sio__parser_own;
        io->own_parser.ops = options->own_parser;
        io->own_parser.ctx = options->own_parser_ctx;
        io->parser = &io->own_parser;
    }
    io->limits = (struct sio__packet_limits){
        .json = {.max_depth = options->max_depth},
        .max_attachments = options->max_attachments,
        .max_namespace_bytes = options->max_namespace_bytes,
    };
    io->recovery = (struct rooms_recovery){
        .max_disconnection_ms = options->recovery.max_disconnection_ms,
        .liveness_ms = options->engine.ping_interval_ms + options->engine.ping_timeout_ms,
        .max_log_bytes = options->recovery.max_log_bytes,
        .max_log_packets = options->recovery.max_log_packets,
        .max_sessions = options->recovery.max_sessions,
    };
    io->max_packet_bytes = options->max_packet_bytes ? options->max_packet_bytes : options->engine.max_payload_bytes;
}

/* ------------------------------------------------------------------ engine */

static void on_open(struct eio_session *session, void *ctx)
{
    sio__client_open(ctx, session);
}

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    (void)ctx;
    struct sio_client *client = eio_session_data(session);
    if (client) sio__client_message(client, message->kind, message->bytes, message->size);
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail, void *ctx)
{
    (void)ctx;
    (void)detail;
    struct sio_client *client = eio_session_data(session);
    eio_session_set_data(session, NULL);
    if (client) sio__client_closed(client, reason);
}

static void on_upgrade(struct eio_session *session, void *ctx)
{
    const struct sio_server *io = ctx;
    const struct sio_client *client = eio_session_data(session);
    struct sio_socket *socket = client ? client->sockets : NULL;
    for (struct sio_socket *next; socket && io->watcher_count; socket = next) {
        const struct sio__watcher *watcher;
        next = socket->next;
        for (unsigned i = 0; socket->state == SIO__S_CONNECTED && (watcher = sio__next_watcher(io, &i));)
            if (watcher->watch.on_upgrade) watcher->watch.on_upgrade(socket, watcher->ctx);
    }
}

/* The watcher with that ctx, or else a free one. NULL if all are in use. */
static struct sio__watcher *watcher_of(struct sio_server *io, const void *ctx)
{
    struct sio__watcher *unused = NULL;
    for (unsigned i = SIO_WATCHERS_MAX; i--;) {
        struct sio__watcher *watcher = &io->watchers[i];
        if (watcher->watches && watcher->ctx == ctx) return watcher;
        if (!watcher->watches) unused = watcher;
    }
    return unused;
}

int sio_server_watch(struct sio_server *io, const struct sio_watch *watch, void *ctx)
{
    struct sio__watcher *watcher = watcher_of(io, ctx);
    if (!watcher) return watch ? EIO_ETOOBIG : 0;
    if (watcher->watches) io->watcher_count--, io->outgoing_watcher_count -= watcher->watch.on_outgoing != NULL;
    *watcher = (struct sio__watcher){.watches = false};
    if (!watch) return 0;
    *watcher = (struct sio__watcher){true, *watch, ctx};
    io->watcher_count++;
    io->outgoing_watcher_count += watch->on_outgoing != NULL;
    return 0;
}

/* The end of a turn: no handler is running, so what is gone can be freed. */
static void on_flush(void *ctx)
{
    struct sio_server *io = ctx;
    if (io->batch.nsp) sio__batch_settle(io);
    if (io->dead_sockets || io->dead_clients) sio__graveyard_sweep(io);
    if (io->dead_hooks) sio__hooks_sweep(&io->dead_hooks);
    if (io->cleanup_due) sio__namespaces_cleanup(io);
}

/* ------------------------------------------------------------------ making */

enum { DRAIN_CHECK_MS = 10 };
static void on_drain_timer(void *ctx);

static int server_open(struct sio_server *io)
{
    static const struct eio_handlers handlers = {
        .on_open = on_open, .on_message = on_message, .on_close = on_close, .on_upgrade = on_upgrade};
    if (sio__batch_init(&io->batch) != 0) return EIO_ENOMEM;
    if (io->parser == &io->own_parser && !io->own_parser.ops) {
        eio_log(EIO_LOG_ERROR, "options.parser is SIO_PARSER_OWN, but own_parser is not set");
        return EIO_EINVAL;
    }
    io->http = eio_http_new(io->loop, &io->options.http);
    io->engine = eio_server_new(io->loop, &io->options.engine, &handlers, io);
    if (!io->http || !io->engine || eio_server_attach(io->engine, io->http) != 0) return EIO_ENOMEM;
    if (!sio_of(io, "/")) return EIO_ENOMEM;
    if (io->options.recovery.enabled && eio_timer_start(&io->recovery_expiry, SIO__RECOVERY_EXPIRY_MS) != 0)
        return EIO_ENOMEM;
    return eio_loop_add_flush_hook(io->loop, on_flush, io);
}

struct sio_server *sio_server_new_on(struct eio_loop *loop, const struct sio_options *options)
{
    if (sodium_init() < 0) return NULL;
    struct sio_server *io = calloc(1, sizeof *io);
    if (!io) return NULL;
    io->loop = loop;
    crypto_shorthash_keygen(io->names_key);
    take_options(io, options);
    eio_deadlines_init(&io->connect, loop, io->options.connect_timeout_ms, sio__client_on_connect_timeout, io);
    eio_timer_init(&io->drain_timer, loop, on_drain_timer, io);
    sio__endings_init(&io->endings, loop);
    eio_timer_init(&io->recovery_expiry, loop, sio__recovery_on_expiry, io);
    if (server_open(io) == 0) return io;
    sio_server_free(io);
    return NULL;
}

struct sio_server *sio_server_new(const struct sio_options *options)
{
    struct eio_loop *loop = eio_loop_new();
    if (!loop) return NULL;
    struct sio_server *io = sio_server_new_on(loop, options);
    if (io)
        io->own_loop = true;
    else
        eio_loop_free(loop);
    return io;
}

void sio_server_free(struct sio_server *io)
{
    if (!io) return;
    struct eio_loop *loop = io->own_loop ? io->loop : NULL;
    io->draining = true;
    eio_timer_stop(&io->drain_timer);
    eio_timer_stop(&io->recovery_expiry);
    io->drain_done = NULL;
    eio_server_free(io->engine); /* on_close of every session, so on_disconnect of every socket */
    sio__endings_clear(&io->endings);
    io->engine = NULL; /* a handler whose question is settled below may reply to a socket */
    eio_http_free(io->http);
    eio_loop_remove_flush_hook(io->loop, on_flush, io);
    sio__admissions_free(io);
    sio__questions_free(io);
    sio__gathers_free(io);
    sio__surveys_free(io);
    if (io->batch.frames) sio__batch_settle(io);
    sio__graveyard_sweep(io);
    sio__namespaces_free(io);
    sio__assets_free(io);
    sio__hooks_clear(&io->new_namespace);
    sio__hooks_sweep(&io->dead_hooks);
    base_table_clear(&io->owed);
    base_table_clear(&io->waiting);
    sio__batch_clear(&io->batch);
    eio_deadlines_clear(&io->connect);
    sodium_memzero(io->random, sizeof io->random);
    free(io);
    eio_loop_free(loop);
}

/* ----------------------------------------------------------------- running */

int sio_listen(struct sio_server *io, const char *host, uint16_t port)
{
    return eio_http_listen(io->http, host, port);
}

int sio_run(struct sio_server *io)
{
    return eio_loop_run(io->loop);
}

void sio_stop(struct sio_server *io)
{
    eio_loop_stop(io->loop);
}

static void drained(struct sio_server *io)
{
    eio_loop_fn done = io->drain_done;
    io->drain_done = NULL;
    eio_timer_stop(&io->drain_timer);
    if (done) done(io->drain_ctx);
}

/* Sessions that are over may linger for their last messages. */
static bool has_unsent(const struct sio_server *io)
{
    struct eio_server_stats stats;
    eio_server_get_stats(io->engine, &stats);
    return stats.queued_bytes > 0;
}

static void on_drain_timer(void *ctx)
{
    struct sio_server *io = ctx;
    uint64_t now_ms = eio_loop_now_ms(io->loop);
    if (now_ms >= io->drain_until_ms) {
        eio_server_sweep_finish(io->engine);
        drained(io);
    } else if (io->client_count) {
        eio_timer_start(&io->drain_timer, io->drain_until_ms - now_ms);
    } else if (has_unsent(io)) {
        eio_timer_start(&io->drain_timer, DRAIN_CHECK_MS);
    } else {
        drained(io);
    }
}

static void drain_session(struct eio_session *session, void *ctx)
{
    (void)ctx;
    struct sio_client *client = eio_session_data(session);
    if (client)
        sio__client_drain(client);
    else
        eio_session_close(session, EIO_CLOSE_SHUTTING_DOWN, NULL);
}

void sio_drain(struct sio_server *io, uint32_t limit_ms, eio_loop_fn done, void *ctx)
{
    io->draining = true;
    io->drain_done = done;
    io->drain_ctx = ctx;
    io->drain_until_ms = eio_loop_now_ms(io->loop) + limit_ms;
    eio_http_stop_listening(io->http);
    eio_server_stop_opening(io->engine);
    eio_server_sweep(io->engine, drain_session, io);
    if (done) eio_timer_start(&io->drain_timer, io->client_count ? limit_ms : 0);
}

/* -------------------------------------------------------------- properties */

struct eio_loop *sio_server_loop(struct sio_server *io)
{
    return io->loop;
}

struct eio_http *sio_server_http(struct sio_server *io)
{
    return io->http;
}

struct eio_server *sio_server_engine(struct sio_server *io)
{
    return io->engine;
}

void sio_server_get_stats(const struct sio_server *io, struct sio_stats *stats)
{
    *stats = io->stats;
    for (int i = 0; i < SIO_LIMIT_COUNT; i++) stats->limit_hits[i] = io->limit_counters[i].hits;
}
