/* GET /metrics: counters of the libraries and of the application in the Prometheus text format 0.0.4.
 *
 * With several workers each has its numbers in a page of shared memory. What they mean is their position: the same code
 * that puts them there reads them in the same order, for all workers. */
#include "app.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 32768

/* What the numbers become: text, or numbers in a worker's page. */
struct page {
    char *text;
    size_t n, capacity;
    bool failed;
    const struct node_workers_page *all; /* NULL: there is only this process */
    unsigned worker_count;
    struct node_worker_page *publish; /* not NULL: no text is wanted */
    size_t at;                        /* of the next number */
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
    if (page->publish || page->failed) return;
    for (;;) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(page->text + page->n, page->capacity - page->n, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < page->capacity - page->n) {
            page->n += (size_t)n;
            return;
        }
        size_t capacity = page->capacity * 2;
        char *grown = n < 0 ? NULL : realloc(page->text, capacity);
        page->failed = !grown;
        if (page->failed) return;
        page->text = grown;
        page->capacity = capacity;
    }
}

static void put_family(struct page *page, const char *name, const char *type, const char *help)
{
    put(page, "# HELP parley_%s %s\n# TYPE parley_%s %s\n", name, help, name, type);
}

static void put_line(struct page *page, const char *name, const char *labels, uint64_t value, bool in_us)
{
    put(page, "parley_%s%s%s%s ", name, labels[0] ? "{" : "", labels, labels[0] ? "}" : "");
    if (in_us)
        put(page, "%.6f\n", (double)value / 1e6);
    else
        put(page, "%llu\n", (unsigned long long)value);
}

/* in_us: microseconds, shown as seconds. */
static void put_sample(struct page *page, const char *name, const char *labels, uint64_t value, bool in_us)
{
    size_t at = page->at++;
    if (page->publish) {
        if (at < NODE_PAGE_VALUES_MAX) /* a test sees that none is missing */
            atomic_store_explicit(&page->publish->values[at], value, memory_order_relaxed);
        return;
    }
    if (!page->all) put_line(page, name, labels, value, in_us);
    for (unsigned i = 0; i < page->worker_count && at < NODE_PAGE_VALUES_MAX; i++) {
        const struct node_worker_page *worker = &page->all->workers[i];
        char with_worker[192];
        if (!atomic_load(&worker->pid)) continue;
        snprintf(with_worker, sizeof with_worker, "worker=\"%u\"%s%s", i, labels[0] ? "," : "", labels);
        put_line(page, name, with_worker, atomic_load_explicit(&worker->values[at], memory_order_relaxed), in_us);
    }
}

/* One of a family that has a label. */
static void put_labelled(struct page *page, const char *name, const char *label, const char *text, uint64_t value)
{
    char labels[128];
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, text);
    put_sample(page, name, labels, value, false);
}

static void put_metric(struct page *page, const char *name, const char *type, const char *help, uint64_t value)
{
    put_family(page, name, type, help);
    put_sample(page, name, "", value, false);
}

static void counter(struct page *page, const char *name, const char *help, uint64_t value)
{
    put_metric(page, name, "counter", help, value);
}

static void gauge(struct page *page, const char *name, const char *help, uint64_t value)
{
    put_metric(page, name, "gauge", help, value);
}

/* HTTP's and Engine.IO's by the same names: an option is one of the two's. */
static void put_limits(struct page *page, const struct app *app)
{
    struct eio_http_stats http;
    struct eio_server_stats engine;
    struct sio_stats io;
    eio_http_get_stats(sio_server_http(app->io), &http);
    eio_server_get_stats(sio_server_engine(app->io), &engine);
    sio_server_get_stats(app->io, &io);
    put_family(page, "limit_hits_total", "counter", "How often a limit was hit, by its option.");
    for (int i = 0; i < EIO_LIMIT_COUNT; i++)
        put_labelled(page, "limit_hits_total", "limit", eio_limit_name((enum eio_limit)i),
                     http.limit_hits[i] + engine.limit_hits[i]);
    for (int i = 0; i < SIO_LIMIT_COUNT; i++)
        put_labelled(page, "limit_hits_total", "limit", sio_limit_name((enum sio_limit)i), io.limit_hits[i]);
}

/* The sum and the largest, and how many were late by at most so much: Prometheus' histogram. */
static void put_loop(struct page *page, const struct app *app)
{
    struct eio_loop_stats s;
    uint64_t count = 0;
    eio_loop_get_stats(app->loop, &s);
    counter(page, "turns_total", "Turns of the loop.", s.turns);
    counter(page, "turns_cut_total", "Turns with so much to read that the rest waited.", s.turns_cut);
    put_family(page, "timer_lateness_seconds", "histogram", "How late timers ran.");
    for (int i = 0; i < EIO_LATE_SLOTS; i++) {
        char bound[32] = "le=\"+Inf\"";
        count += s.late[i];
        if (i < EIO_LATE_SLOTS - 1) snprintf(bound, sizeof bound, "le=\"%g\"", eio_late_bound_ms(i) / 1e3);
        put_sample(page, "timer_lateness_seconds_bucket", bound, count, false);
    }
    put_sample(page, "timer_lateness_seconds_sum", "", s.late_sum_us, true);
    put_sample(page, "timer_lateness_seconds_count", "", count, false);
    put_family(page, "timer_lateness_max_seconds", "gauge", "The latest of all.");
    put_sample(page, "timer_lateness_max_seconds", "", s.late_max_us, true);
}

static void put_http(struct page *page, const struct app *app)
{
    struct eio_http_stats s;
    eio_http_get_stats(sio_server_http(app->io), &s);
    counter(page, "http_accepted_total", "Connections accepted.", s.accepted);
    counter(page, "http_requests_total", "Requests answered by a handler.", s.requests);
    counter(page, "http_refused_total", "Requests refused as malformed or too large.", s.refused);
    counter(page, "http_timeouts_total", "Requests that took too long to arrive.", s.timeouts);
    counter(page, "http_aborted_total", "Requests whose client went away.", s.aborted);
    counter(page, "http_tls_errors_total", "TLS handshakes and connections that failed.", s.tls_errors);
    counter(page, "http_adopted_total", "Connections that came from another node, for their session's owner.",
            s.adopted);
    counter(page, "http_handed_over_total", "Connections that went to another node.", s.handed_over);
    counter(page, "http_received_bytes_total", "Bytes received.", s.bytes_in);
    counter(page, "http_sent_bytes_total", "Bytes sent.", s.bytes_out);
    gauge(page, "http_connections", "HTTP connections now.", s.connections);
    gauge(page, "http_parked", "Long polls waiting now.", s.parked);
    gauge(page, "http_pumps", "Connections whose session is another worker's and whose TLS is this one's, now.",
          s.pumps);
}

static void put_engine(struct page *page, const struct app *app)
{
    struct eio_server_stats s;
    eio_server_get_stats(sio_server_engine(app->io), &s);
    counter(page, "sessions_opened_total", "Engine.IO sessions opened.", s.opened);
    put_family(page, "sessions_closed_total", "counter", "Engine.IO sessions closed, by reason.");
    for (int i = EIO_CLOSE_TRANSPORT_CLOSE; i <= EIO_CLOSE_POLICY; i++)
        put_labelled(page, "sessions_closed_total", "reason", eio_close_reason_text((enum eio_close_reason)i),
                     s.closed[i]);
    counter(page, "handshakes_refused_total", "Handshakes refused.", s.handshakes_refused);
    counter(page, "posts_refused_total", "Polling payloads refused with 400.", s.posts_refused);
    counter(page, "upgrades_total", "Sessions upgraded to WebSocket.", s.upgrades);
    counter(page, "messages_received_total", "Engine.IO messages received.", s.messages_in);
    counter(page, "messages_sent_total", "Engine.IO messages sent.", s.messages_out);
    counter(page, "received_bytes_total", "Bytes of messages received.", s.bytes_in);
    counter(page, "sent_bytes_total", "Bytes of messages sent.", s.bytes_out);
    counter(page, "dropped_volatile_total", "Volatile messages dropped.", s.dropped_volatile);
    counter(page, "dropped_oldest_total", "Messages dropped by the queue policy.", s.dropped_oldest);
    counter(page, "queue_full_total", "Times a session's queue was full.", s.queue_full);
    counter(page, "reads_paused_total", "Times reading paused for a slow receiver.", s.reads_paused);
    counter(page, "writes_total", "System calls that wrote.", s.writes);
    counter(page, "partial_writes_total", "Writes that filled the socket's buffer.", s.partial_writes);
    gauge(page, "sessions", "Engine.IO sessions now.", s.sessions);
    gauge(page, "polling_sessions", "Sessions on HTTP long-polling now.", s.polling_sessions);
    gauge(page, "upgrading_sessions", "Sessions whose upgrade is going on now.", s.upgrading);
    gauge(page, "queued_bytes", "Bytes queued for all sessions now.", s.queued_bytes);
}

static void put_socketio(struct page *page, const struct app *app)
{
    struct sio_stats s;
    sio_server_get_stats(app->io, &s);
    counter(page, "connects_total", "Namespaces joined.", s.connects);
    counter(page, "connects_refused_total", "Namespaces refused.", s.connects_refused);
    counter(page, "disconnects_total", "Namespaces left.", s.disconnects);
    counter(page, "events_received_total", "Events received.", s.events_in);
    counter(page, "acks_received_total", "Acknowledgements received.", s.acks_in);
    counter(page, "emits_total", "Events emitted.", s.emits);
    counter(page, "deliveries_total", "Events delivered, one per receiver.", s.deliveries);
    counter(page, "parse_errors_total", "Packets that were no Socket.IO.", s.parse_errors);
    gauge(page, "sockets", "Sockets now, over all namespaces.", s.sockets);
    gauge(page, "pending_acks", "Acknowledgements awaited now.", s.pending_acks);
}

static void put_app(struct page *page, const struct app *app)
{
    const struct kit_counters *c = &app->counters;
    struct kit_work_stats work;
    struct kit_store_stats store;
    kit_work_get_stats(app->work, &work);
    kit_store_get_stats(app->store, &store);
    gauge(page, "uptime_seconds", "Seconds since the start.", (eio_loop_now_ms(app->loop) - app->started_ms) / 1000);
    counter(page, "transcript_lines_total", "Transcript lines stored.", c->lines);
    counter(page, "feed_duplicates_total", "Events of feeds that were stored before.", c->duplicates);
    counter(page, "suggestions_total", "Suggestions sent.", c->suggestions);
    counter(page, "searches_total", "Searches for documents.", c->searches);
    counter(page, "feedback_total", "Answers to doc:feedback.", c->feedback);
    counter(page, "snapshots_total", "Snapshots given to subscribers.", c->snapshots);
    counter(page, "auth_failures_total", "Tokens refused and events without one.", c->auth_failures);
    counter(page, "auth_timeouts_total", "Sockets that did not say who they are in time.", c->auth_timeouts);
    counter(page, "auth_expired_total", "Sockets whose token expired.", c->auth_expired);
    counter(page, "forbidden_total", "Requests for what is not the user's.", c->forbidden);
    counter(page, "invalid_total", "Payloads that did not fit their schema.", c->invalid);
    counter(page, "busy_total", "Events refused because too much was waiting.", c->busy);
    counter(page, "work_batches_total", "Batches run by threads.", work.batches);
    counter(page, "work_refused_total", "Jobs refused by the queue's limits.", work.refused);
    gauge(page, "work_jobs", "Jobs waiting or running now.", work.jobs);
    gauge(page, "work_bytes", "Bytes held by them now.", work.bytes);
    counter(page, "store_writes_total", "Write operations.", store.writes);
    counter(page, "store_reads_total", "Read operations.", store.reads);
    counter(page, "store_commits_total", "Transactions committed.", store.commits);
    counter(page, "store_errors_total", "Errors of SQLite.", store.sqlite_errors);
}

/* What the master knows. */
static void put_workers(struct page *page)
{
    uint64_t now_ms = node_monotonic_ms();
    put_family(page, "worker_up", "gauge", "Whether the worker answers.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_up{worker=\"%u\"} %d\n", i, node_worker_page_is_up(&page->all->workers[i], now_ms));
    put_family(page, "worker_restarts_total", "counter", "Times that the worker was started again.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_restarts_total{worker=\"%u\"} %llu\n", i,
            (unsigned long long)atomic_load(&page->all->workers[i].restarts));
    put_family(page, "worker_hangs_total", "counter", "Times that the worker was ended because it stood still.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_hangs_total{worker=\"%u\"} %llu\n", i,
            (unsigned long long)atomic_load(&page->all->workers[i].hangs));
}

/* Between workers. */
static void put_bus(struct page *page, const struct app *app)
{
    struct rooms_bus_stats s;
    node_cluster_bus_stats(app, &s);
    gauge(page, "bus_peers", "Other workers that this one is connected with.", s.peers);
    gauge(page, "bus_silent", "Those of them that are not waited for.", s.silent);
    gauge(page, "bus_queued_bytes", "Bytes that wait for other workers.", s.queued_bytes);
    counter(page, "bus_sent_total", "Messages to other workers, one for each.", s.sent);
    counter(page, "bus_sent_bytes_total", "Bytes to other workers.", s.sent_bytes);
    counter(page, "bus_filtered_total", "Messages not sent to a worker that has nobody in their rooms.", s.filtered);
    counter(page, "bus_received_total", "Messages from other workers.", s.received);
    counter(page, "bus_received_bytes_total", "Bytes from other workers.", s.received_bytes);
    counter(page, "bus_dropped_total", "Messages dropped by bus_max_queue_bytes or bus_max_message_bytes.", s.dropped);
    counter(page, "bus_garbage_total", "Connections with other workers closed because of what came.", s.garbage);
    counter(page, "bus_sessions_given_total", "Sessions that other workers recovered.", s.sessions_given);
    counter(page, "bus_sessions_taken_total", "Sessions recovered from other workers.", s.sessions_taken);
    counter(page, "bus_writes_total", "System calls that wrote to other workers.", s.writes);
    counter(page, "bus_requests_total", "Questions to other workers.", s.requests);
    counter(page, "bus_request_timeouts_total", "Questions that some did not answer in time.", s.request_timeouts);
}

static void put_redis(struct page *page, const struct app *app)
{
    struct rooms_redis_stats s;
    node_cluster_redis_stats(app, &s);
    gauge(page, "redis_up", "Whether Redis is connected and all subscriptions stand.", s.connected);
    gauge(page, "redis_degraded_milliseconds", "For how long it is not so; 0: all is well.", s.degraded_ms);
    gauge(page, "redis_subscriptions", "Channels and patterns listened to.", s.subscriptions);
    gauge(page, "redis_requests", "Questions to Redis that wait.", s.requests);
    gauge(page, "redis_pending", "Messages that wait to be published.", s.pending);
    gauge(page, "redis_pending_bytes", "Bytes of them.", s.pending_bytes);
    counter(page, "redis_published_total", "Messages published.", s.published);
    counter(page, "redis_published_bytes_total", "Bytes of them.", s.published_bytes);
    counter(page, "redis_received_total", "Messages of subscriptions.", s.received);
    counter(page, "redis_received_bytes_total", "Bytes of them.", s.received_bytes);
    counter(page, "redis_ignored_total", "Messages that nobody could use.", s.ignored);
    counter(page, "redis_dropped_total", "Messages dropped by redis_max_pending_bytes or redis_max_message_bytes.",
            s.dropped);
    counter(page, "redis_refused_total", "Messages that Redis refused.", s.refused);
    counter(page, "redis_lost_total", "Connections lost, and attempts that failed.", s.lost);
    counter(page, "redis_request_timeouts_total", "Questions not answered in time.", s.request_timeouts);
}

static void put_tunnels(struct page *page, const struct app *app)
{
    struct sio_tunnel_stats s;
    node_cluster_tunnel_stats(app, &s);
    gauge(page, "tunnels", "Connections carried through Redis to their session's machine, or from another.", s.tunnels);
    counter(page, "tunnels_opened_total", "Connections that went to another machine.", s.opened);
    counter(page, "tunnels_accepted_total", "Connections that came from another machine.", s.accepted);
    counter(page, "tunnels_declined_total", "Connections that could not go: limits, memory.", s.declined + s.refused);
    counter(page, "tunnels_given_back_total", "Connections whose owner did not answer.", s.given_back);
    counter(page, "tunnels_resets_total", "Connections that ended by a fault.", s.resets);
    counter(page, "tunnels_ignored_total", "Messages that were no use.", s.ignored);
}

static void put_all(struct page *page, const struct app *app)
{
    put_app(page, app);
    put_tunnels(page, app);
    put_socketio(page, app);
    put_engine(page, app);
    put_loop(page, app);
    put_limits(page, app);
    put_http(page, app);
    put_bus(page, app);
    put_redis(page, app);
}

void kit_metrics_publish(struct app *app, struct node_worker_page *worker)
{
    struct page page = {.publish = worker};
    struct sio_stats stats;
    const char *why;
    sio_server_get_stats(app->io, &stats);
    atomic_store(&worker->degraded, node_cluster_is_degraded(app, &why));
    atomic_store(&worker->sessions, eio_server_session_count(sio_server_engine(app->io)));
    atomic_store(&worker->sockets, stats.sockets);
    put_all(&page, app);
}

static void answer(const struct app *app, struct eio_http_request *request)
{
    struct page page = {.text = malloc(FIRST_BYTES), .capacity = FIRST_BYTES};
    page.failed = !page.text;
    if (app->worker) {
        page.all = app->worker->page;
        page.worker_count = app->worker->count;
        put_workers(&page);
    }
    put_all(&page, app);
    struct eio_http_reply reply = {.status = page.failed ? 503 : 200,
                                   .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                   .body = page.text,
                                   .body_size = page.failed ? 0 : page.n};
    eio_http_reply(request, &reply);
    free(page.text);
}

/* A request that waits for other workers. */
struct waiting {
    const struct app *app;
    struct eio_http_request *request; /* NULL: the client went away */
};

static void on_abort(void *ctx)
{
    ((struct waiting *)ctx)->request = NULL;
}

static void on_fresh(void *ctx)
{
    struct waiting *waiting = ctx;
    if (waiting->request) answer(waiting->app, waiting->request);
    free(waiting);
}

static void on_metrics(struct eio_http_request *request, void *ctx)
{
    const struct app *app = ctx;
    struct waiting *waiting = app->worker ? malloc(sizeof *waiting) : NULL;
    if (waiting) {
        *waiting = (struct waiting){app, request};
        eio_http_request_on_abort(request, on_abort, waiting);
        if (node_worker_inquire(app->worker, on_fresh, waiting) == 0) return;
        free(waiting);
        eio_http_request_on_abort(request, NULL, NULL);
    }
    answer(app, request);
}

int kit_metrics_init(struct app *app)
{
    return eio_http_route(sio_server_http(app->io), "/metrics", 0, on_metrics, app);
}
