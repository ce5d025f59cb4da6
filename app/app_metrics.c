/* GET /metrics: counters of the libraries and of the application in the Prometheus text format 0.0.4. */
#include "app.h"

#include <stdarg.h>
#include <string.h>

#define METRICS_BYTES 32768

/* The page being written; what does not fit is cut at a line, which a test would notice. */
struct page {
    char text[METRICS_BYTES];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(page->text + page->n, sizeof page->text - page->n, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof page->text - page->n) page->n += (size_t)n;
}

static void put_metric(struct page *page, const char *name, const char *type, const char *help, uint64_t value)
{
    put(page, "# HELP parley_%s %s\n# TYPE parley_%s %s\nparley_%s %llu\n", name, help, name, type, name,
        (unsigned long long)value);
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
    put(page, "# HELP parley_limit_hits_total How often a limit was hit, by its option.\n"
              "# TYPE parley_limit_hits_total counter\n");
    for (int i = 0; i < EIO_LIMIT_COUNT; i++)
        put(page, "parley_limit_hits_total{limit=\"%s\"} %llu\n", eio_limit_name((enum eio_limit)i),
            (unsigned long long)(http.limit_hits[i] + engine.limit_hits[i]));
    for (int i = 0; i < SIO_LIMIT_COUNT; i++)
        put(page, "parley_limit_hits_total{limit=\"%s\"} %llu\n", sio_limit_name((enum sio_limit)i),
            (unsigned long long)io.limit_hits[i]);
}

/* The sum and the largest, and how many were late by at most so much: Prometheus' histogram. */
static void put_loop(struct page *page, const struct app *app)
{
    static const char name[] = "parley_timer_lateness_seconds";
    struct eio_loop_stats s;
    uint64_t count = 0;
    eio_loop_get_stats(app->loop, &s);
    counter(page, "turns_total", "Turns of the loop.", s.turns);
    put(page, "# HELP %s How late timers ran.\n# TYPE %s histogram\n", name, name);
    for (int i = 0; i < EIO_LATE_SLOTS; i++) {
        count += s.late[i];
        if (i < EIO_LATE_SLOTS - 1)
            put(page, "%s_bucket{le=\"%g\"} %llu\n", name, eio_late_bound_ms(i) / 1e3, (unsigned long long)count);
    }
    put(page, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name, (unsigned long long)count, name,
        (double)s.late_sum_us / 1e6, name, (unsigned long long)count);
    put(page,
        "# HELP parley_timer_lateness_max_seconds The latest of all.\n"
        "# TYPE parley_timer_lateness_max_seconds gauge\nparley_timer_lateness_max_seconds %.6f\n",
        (double)s.late_max_us / 1e6);
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
    counter(page, "http_received_bytes_total", "Bytes received.", s.bytes_in);
    counter(page, "http_sent_bytes_total", "Bytes sent.", s.bytes_out);
    gauge(page, "http_connections", "HTTP connections now.", s.connections);
    gauge(page, "http_parked", "Long polls waiting now.", s.parked);
}

static void put_engine(struct page *page, const struct app *app)
{
    struct eio_server_stats s;
    eio_server_get_stats(sio_server_engine(app->io), &s);
    counter(page, "sessions_opened_total", "Engine.IO sessions opened.", s.opened);
    put(page, "# HELP parley_sessions_closed_total Engine.IO sessions closed, by reason.\n"
              "# TYPE parley_sessions_closed_total counter\n");
    for (int i = EIO_CLOSE_TRANSPORT_CLOSE; i <= EIO_CLOSE_POLICY; i++)
        put(page, "parley_sessions_closed_total{reason=\"%s\"} %llu\n", eio_close_reason_text((enum eio_close_reason)i),
            (unsigned long long)s.closed[i]);
    counter(page, "handshakes_refused_total", "Handshakes refused.", s.handshakes_refused);
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
    const struct app_counters *c = &app->counters;
    struct app_work_stats work;
    struct app_store_stats store;
    app_work_get_stats(app->work, &work);
    app_store_get_stats(app->store, &store);
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

static void on_metrics(struct eio_http_request *request, void *ctx)
{
    static struct page page; /* the loop's thread only */
    const struct app *app = ctx;
    page.n = 0;
    put_app(&page, app);
    put_socketio(&page, app);
    put_engine(&page, app);
    put_loop(&page, app);
    put_limits(&page, app);
    put_http(&page, app);
    struct eio_http_reply reply = {.status = 200,
                                   .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                   .body = page.text,
                                   .body_size = page.n};
    eio_http_reply(request, &reply);
}

int app_metrics_init(struct app *app)
{
    return eio_http_route(sio_server_http(app->io), "/metrics", 0, on_metrics, app);
}
