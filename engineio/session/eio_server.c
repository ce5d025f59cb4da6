/* The Engine.IO server: options, its deadline queues, the pieces put together. */
#include "eio_inbox.h"
#include "eio_int.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum {
    LINGER_MS = 2000,
    LINGER_RESTS = 3, /* times so long, in which a peer takes nothing of what is left for it */
    NOOP_INTERVAL_MS = 100,
};

/* ----------------------------------------------------------------- options */

void eio_options_init(struct eio_options *options)
{
    *options = (struct eio_options){
        .path = "/engine.io",
        .add_trailing_slash = true,
        .cookie = {.path = "/", .same_site = "Lax", .max_age_s = -1, .expires_s = -1, .http_only = true},
        .http_compression = true,
        .http_compression_threshold_bytes = 1024,
        .transports = EIO_POLLING | EIO_WEBSOCKET,
        .allow_upgrades = true,
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .slow_peer_timeout_ms = 300000,
        .upgrade_timeout_ms = 10000,
        .close_timeout_ms = 30000,
        .linger_timeout_ms = 30000,
        .last_poll_timeout_ms = 3000,
        .max_payload_bytes = 1000000,
        .max_buffered_chunks = 10000,
        .http_request_body_timeout_ms = 30000,
        .max_fragments = 131072,
        .high_water_bytes = 65536,
        .max_queue_bytes = 16777216,
        .max_queue_messages = 262144,
        .message_timeout_ms = 60000,
        .max_addresses = 65536,
        .queue_policy = EIO_QUEUE_CLOSE,
        .deflate_threshold_bytes = 1024,
        .deflate_level = 6,
        .cors = {.methods = "GET,HEAD,PUT,PATCH,POST,DELETE", .max_age_s = -1, .options_success_status = 204},
    };
}

static bool copy_string(const char **string)
{
    if (!*string) return true;
    *string = strdup(*string);
    return *string != NULL;
}

/* Replaces borrowed strings by copies; the path loses its trailing slash. */
static bool copy_options(struct eio_options *options)
{
    struct eio_cors *cors = &options->cors;
    bool ok = copy_string(&options->path);
    ok = copy_string(&options->allowed_origins) && ok;
    ok = copy_string(&options->initial_packet) && ok;
    ok = copy_string(&options->cookie.name) && ok;
    ok = copy_string(&options->cookie.path) && ok;
    ok = copy_string(&options->cookie.domain) && ok;
    ok = copy_string(&options->cookie.same_site) && ok;
    ok = copy_string(&cors->origin) && ok;
    ok = copy_string(&cors->methods) && ok;
    ok = copy_string(&cors->allowed_headers) && ok;
    return copy_string(&cors->exposed_headers) && ok;
}

static void free_string(const char *string)
{
    free((char *)(uintptr_t)string);
}

static void free_options(struct eio_options *options)
{
    free_string(options->path);
    free_string(options->allowed_origins);
    free_string(options->initial_packet);
    free_string(options->cookie.name);
    free_string(options->cookie.path);
    free_string(options->cookie.domain);
    free_string(options->cookie.same_site);
    free_string(options->cors.origin);
    free_string(options->cors.methods);
    free_string(options->cors.allowed_headers);
    free_string(options->cors.exposed_headers);
}

/* --------------------------------------------------------------- deadlines */

static struct eio_session *session_of(struct eio_deadline *deadline)
{
    return container_of(deadline, struct eio_session, deadline);
}

static void on_closing_due(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    struct eio_session *session = session_of(due);
    eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, false);
}

/* Who polls asks again as soon as it has read its answer. Who does not is gone, and the server does not wait for it. */
static void on_last_poll_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    struct eio_session *session = session_of(due);
    const struct eio_options *o = &server->options;
    bool is_in_time = ++session->pulse.looks * (uint64_t)o->last_poll_timeout_ms < o->close_timeout_ms;
    if (is_in_time && eio__pulse_is_taking(session)) {
        eio_deadlines_add(&server->last_poll, due);
        return;
    }
    eio__server_hit(server, EIO_LIMIT_LAST_POLL_TIMEOUT, session->head);
    on_closing_due(due, ctx);
}

static uint32_t linger_step_ms(const struct eio_options *options)
{
    return options->linger_timeout_ms < LINGER_MS ? options->linger_timeout_ms : LINGER_MS;
}

/* What was queued is still on its way to a peer that takes it, or the peer has it all and had time to close its end. */
static void on_linger_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    struct eio_session *session = session_of(due);
    struct eio__pulse *pulse = &session->pulse;
    struct eio__traffic traffic = {0};
    session->transport->ops->look(session->transport, &traffic);
    bool is_left = traffic.given != traffic.taken;
    if (is_left && session->close_reason != EIO_CLOSE_PING_TIMEOUT) {
        pulse->rests = eio__pulse_is_taking(session) ? 0 : pulse->rests + 1;
        uint64_t after_ms = ++pulse->looks * (uint64_t)linger_step_ms(&server->options);
        if (after_ms < server->options.linger_timeout_ms && pulse->rests < LINGER_RESTS) {
            eio_deadlines_add(&server->linger, due);
            return;
        }
        eio__server_hit(server, EIO_LIMIT_LINGER_TIMEOUT, session->head);
    }
    eio__session_bury(session, "the peer did not close in time");
}

void eio_server_get_stats(const struct eio_server *server, struct eio_server_stats *stats)
{
    *stats = server->stats;
    for (int i = 0; i < EIO_LIMIT_COUNT; i++) stats->limit_hits[i] = server->limits[i].hits;
    stats->posts_refused = server->refused_posts.hits;
    stats->sessions = server->slot_count;
    stats->polling_sessions = 0;
    for (uint32_t i = 0; i < server->slot_capacity; i++)
        if (server->slots[i] && server->slots[i]->transport->ops->kind == EIO_POLLING) stats->polling_sessions++;
}

/* ------------------------------------------------------------------ new, free */

static int init_deadlines(struct eio_server *server)
{
    const struct eio_options *o = &server->options;
    const struct {
        struct eio_deadlines *queue;
        uint64_t length_ms;
        eio_deadline_fn fn;
    } queues[] = {
        {&server->ping, o->ping_interval_ms, eio__heartbeat_on_ping_due},
        {&server->pong, o->ping_timeout_ms, eio__heartbeat_on_pong_due},
        {&server->silence, (uint64_t)o->ping_interval_ms + o->ping_timeout_ms, eio__heartbeat_on_pong_due},
        {&server->closing_wait, o->close_timeout_ms, on_closing_due},
        {&server->linger, linger_step_ms(o), on_linger_due},
        {&server->message, o->message_timeout_ms, eio__ws_on_message_due},
        {&server->last_poll, o->last_poll_timeout_ms, on_last_poll_due},
        {&server->upgrade, o->upgrade_timeout_ms, eio__candidate_on_due},
        {&server->noop, NOOP_INTERVAL_MS, eio__upgrade_on_noop_due},
    };
    int result = 0;
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        if (eio_deadlines_init(queues[i].queue, server->loop, queues[i].length_ms, queues[i].fn, server) != 0)
            result = EIO_ENOMEM;
    return result;
}

/* As the reference's `cookie` package: no text of the application's begins another attribute or header. */
static bool options_are_good(const struct eio_options *options)
{
    const struct eio_cookie *cookie = &options->cookie;
    bool good = !cookie->name || eio__cookie_is_good(cookie);
    if (!good) eio_log(EIO_LOG_ERROR, "invalid characters in the cookie's name, path, domain or SameSite");
    return good;
}

struct eio_server *eio_server_new(struct eio_loop *loop, const struct eio_options *options,
                                  const struct eio_handlers *handlers, void *ctx)
{
    if (sodium_init() < 0 || (options && options->owner >= EIO_OWNERS_MAX)) return NULL;
    struct eio_server *server = calloc(1, sizeof *server);
    if (!server) return NULL;
    server->loop = loop;
    if (options)
        server->options = *options;
    else
        eio_options_init(&server->options);
    if (handlers) server->handlers = *handlers;
    server->ctx = ctx;
    server->ping_frame = eio__frame_new_packet("2", 1);
    bool copied = copy_options(&server->options);
    const struct eio_options *o = &server->options;
    eio__ids_init(&server->ids, o->owner, o->owner_key);
    if (o->machine && o->machine_key) eio__ids_set_machine(&server->ids, o->machine, o->machine_key);
    server->options.owner_key = server->options.machine = server->options.machine_key = NULL; /* the caller's memory */
    /* Without a limit the value is out of reach: one comparison at each message. */
    server->max_queue_messages = o->max_queue_messages ? o->max_queue_messages : SIZE_MAX;
    for (int deflate = 0; deflate < 2; deflate++)
        server->ws_limits[deflate] = (struct eio__ws_limits){o->max_payload_bytes, o->max_fragments, deflate};
    bool ok = init_deadlines(server) == 0 && server->ping_frame && copied && options_are_good(o);
    ok = ok && eio__cors_origins_init(&server->origins, o->cors.origin) == 0;
    ok = ok && eio__allowed_origins_init(&server->allowed_origins, o->allowed_origins) == 0;
    eio__sweep_init(server);
    eio__ws_pauses_init(server);
    eio__deflating_init(server);
    eio__inboxes_init(server);
    eio__visitors_init(&server->visitors, loop, o->max_addresses);
    eio__own_ids_init(&server->own_ids);
    if (!ok) {
        eio_server_free(server);
        return NULL;
    }
    return server;
}

void eio_server_set_hooks(struct eio_server *server, const struct eio_hooks *hooks, void *ctx)
{
    server->hooks = *hooks;
    server->hooks_ctx = ctx;
}

void eio_server_set_remote(struct eio_server *server, eio_remote_fn fn, void *ctx)
{
    server->remote = fn;
    server->remote_ctx = ctx;
}

void eio_server_set_foreign(struct eio_server *server, eio_foreign_fn fn, void *ctx)
{
    server->foreign = fn;
    server->foreign_ctx = ctx;
}

void eio_server_stop_opening(struct eio_server *server)
{
    server->leaving = true;
}

static void close_one(struct eio_session *session, void *ctx)
{
    const struct eio_server *server = ctx;
    eio_session_close(session, server->closing_reason, NULL);
}

void eio_server_close_all(struct eio_server *server, enum eio_close_reason reason)
{
    server->leaving = true;
    server->closing_reason = reason;
    eio_server_sweep(server, close_one, server);
}

void eio_server_free(struct eio_server *server)
{
    if (!server) return;
    server->leaving = true;
    eio__sweep_stop(server);
    eio__server_forget_admissions(server);
    for (uint32_t i = 0; i < server->slot_capacity; i++)
        if (server->slots[i]) eio_session_abort(server->slots[i], EIO_CLOSE_SHUTTING_DOWN, NULL);
    /* Close frames leave with this turn; peers that do not answer are not waited for. */
    eio__loop_end_turn(server->loop);
    while (server->linger.head.next != &server->linger.head) {
        struct eio_session *session = session_of(server->linger.head.next);
        eio__session_bury(session, "server freed");
    }
    eio__loop_end_turn(server->loop);
    eio_deadlines_clear(&server->ping);
    eio_deadlines_clear(&server->pong);
    eio_deadlines_clear(&server->silence);
    eio_deadlines_clear(&server->closing_wait);
    eio_deadlines_clear(&server->linger);
    eio_deadlines_clear(&server->last_poll);
    eio_deadlines_clear(&server->upgrade);
    eio_deadlines_clear(&server->noop);
    eio_deadlines_clear(&server->message);
    eio__ws_pauses_clear(server);
    eio__deflating_clear(server);
    eio__inboxes_clear(server);
    eio__visitors_clear(&server->visitors);
    eio__own_ids_clear(&server->own_ids);
    eio__cors_origins_clear(&server->origins);
    eio__cors_origins_clear(&server->allowed_origins);
    eio__watch_free(server->watch);
    eio_frame_unref(server->ping_frame);
    free_options(&server->options);
    free(server->slots);
    free(server->free_slots);
    free(server);
}
