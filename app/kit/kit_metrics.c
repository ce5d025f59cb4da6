/* GET /metrics: counters of the libraries and of the application in the Prometheus text format 0.0.4.
 *
 * With several workers each has its numbers in a page of shared memory. What they mean is their position: the same code
 * that puts them there reads them in the same order, for all workers. */
#include "kit_metrics.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 32768

/* What the numbers become: text, or numbers in a worker's page. */
struct kit_metrics_page {
    char *text;
    size_t n, capacity;
    bool failed;
    const struct kit_processes_page *all; /* NULL: there is only this process */
    unsigned worker_count;
    struct kit_process_page *publish; /* not NULL: no text is wanted */
    size_t at;                        /* of the next number */
};

__attribute__((format(printf, 2, 3))) static void put(struct kit_metrics_page *page, const char *format, ...)
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

static void put_family(struct kit_metrics_page *page, const char *name, const char *type, const char *help)
{
    put(page, "# HELP parley_%s %s\n# TYPE parley_%s %s\n", name, help, name, type);
}

static void put_line(struct kit_metrics_page *page, const char *name, const char *labels, uint64_t value, bool in_us)
{
    put(page, "parley_%s%s%s%s ", name, labels[0] ? "{" : "", labels, labels[0] ? "}" : "");
    if (in_us)
        put(page, "%.6f\n", (double)value / 1e6);
    else
        put(page, "%llu\n", (unsigned long long)value);
}

/* in_us: microseconds, shown as seconds. */
static void put_sample(struct kit_metrics_page *page, const char *name, const char *labels, uint64_t value, bool in_us)
{
    size_t at = page->at++;
    if (page->publish) {
        if (at < KIT_PAGE_VALUES_MAX) /* a test sees that none is missing */
            atomic_store_explicit(&page->publish->values[at], value, memory_order_relaxed);
        return;
    }
    if (!page->all) put_line(page, name, labels, value, in_us);
    for (unsigned i = 0; i < page->worker_count && at < KIT_PAGE_VALUES_MAX; i++) {
        const struct kit_process_page *worker = &page->all->workers[i];
        char with_worker[192];
        if (!atomic_load(&worker->pid)) continue;
        snprintf(with_worker, sizeof with_worker, "worker=\"%u\"%s%s", i, labels[0] ? "," : "", labels);
        put_line(page, name, with_worker, atomic_load_explicit(&worker->values[at], memory_order_relaxed), in_us);
    }
}

/* One of a family that has a label. */
static void put_labelled(struct kit_metrics_page *page, const char *name, const char *label, const char *text,
                         uint64_t value)
{
    char labels[128];
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, text);
    put_sample(page, name, labels, value, false);
}

static void put_metric(struct kit_metrics_page *page, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    put_family(page, name, type, help);
    put_sample(page, name, "", value, false);
}

void kit_metrics_counter(struct kit_metrics_page *page, const char *name, const char *help, uint64_t value)
{
    put_metric(page, name, "counter", help, value);
}

void kit_metrics_gauge(struct kit_metrics_page *page, const char *name, const char *help, uint64_t value)
{
    put_metric(page, name, "gauge", help, value);
}

/* HTTP's and Engine.IO's by the same names: an option is one of the two's. */
static void put_limits(struct kit_metrics_page *page, const struct kit *kit)
{
    struct eio_http_stats http;
    struct eio_server_stats engine;
    struct sio_stats io;
    eio_http_get_stats(sio_server_http(kit->io), &http);
    eio_server_get_stats(sio_server_engine(kit->io), &engine);
    sio_server_get_stats(kit->io, &io);
    put_family(page, "limit_hits_total", "counter", "Times a limit was hit, by option.");
    for (int i = 0; i < EIO_LIMIT_COUNT; i++)
        put_labelled(page, "limit_hits_total", "limit", eio_limit_name((enum eio_limit)i),
                     http.limit_hits[i] + engine.limit_hits[i]);
    for (int i = 0; i < SIO_LIMIT_COUNT; i++)
        put_labelled(page, "limit_hits_total", "limit", sio_limit_name((enum sio_limit)i), io.limit_hits[i]);
}

/* The sum and the largest, and how many were late by at most so much: Prometheus' histogram. */
static void put_loop(struct kit_metrics_page *page, const struct kit *kit)
{
    struct eio_loop_stats s;
    uint64_t count = 0;
    eio_loop_get_stats(kit->loop, &s);
    kit_metrics_counter(page, "turns_total", "Event loop turns.", s.turns);
    kit_metrics_counter(page, "turns_cut_total", "Turns that deferred reads to the next turn.", s.turns_cut);
    put_family(page, "timer_lateness_seconds", "histogram", "Delay of timers.");
    for (int i = 0; i < EIO_LATE_SLOTS; i++) {
        char bound[32] = "le=\"+Inf\"";
        count += s.late[i];
        if (i < EIO_LATE_SLOTS - 1) snprintf(bound, sizeof bound, "le=\"%g\"", eio_late_bound_ms(i) / 1e3);
        put_sample(page, "timer_lateness_seconds_bucket", bound, count, false);
    }
    put_sample(page, "timer_lateness_seconds_sum", "", s.late_sum_us, true);
    put_sample(page, "timer_lateness_seconds_count", "", count, false);
    put_family(page, "timer_lateness_max_seconds", "gauge", "Longest delay of a timer.");
    put_sample(page, "timer_lateness_max_seconds", "", s.late_max_us, true);
}

static void put_http(struct kit_metrics_page *page, const struct kit *kit)
{
    struct eio_http_stats s;
    eio_http_get_stats(sio_server_http(kit->io), &s);
    kit_metrics_counter(page, "http_accepted_total", "Connections accepted.", s.accepted);
    kit_metrics_counter(page, "http_requests_total", "Requests answered by handlers.", s.requests);
    kit_metrics_counter(page, "http_refused_total", "Requests refused as malformed or too large.", s.refused);
    kit_metrics_counter(page, "http_timeouts_total", "Requests that took too long to arrive.", s.timeouts);
    kit_metrics_counter(page, "http_aborted_total", "Requests whose client disconnected.", s.aborted);
    kit_metrics_counter(page, "http_tls_errors_total", "Failed TLS handshakes and connections.", s.tls_errors);
    kit_metrics_counter(page, "http_adopted_total",
                        "Connections received from another node because this one owns their session.", s.adopted);
    kit_metrics_counter(page, "http_handed_over_total", "Connections handed over to another node.", s.handed_over);
    kit_metrics_counter(page, "http_received_bytes_total", "Bytes received.", s.bytes_in);
    kit_metrics_counter(page, "http_sent_bytes_total", "Bytes sent.", s.bytes_out);
    kit_metrics_gauge(page, "http_connections", "Open HTTP connections.", s.connections);
    kit_metrics_gauge(page, "http_parked", "Long polls waiting.", s.parked);
    kit_metrics_gauge(page, "http_pumps", "Open TLS connections relayed to another worker that owns their session.",
                      s.pumps);
}

static void put_engine(struct kit_metrics_page *page, const struct kit *kit)
{
    struct eio_server_stats s;
    eio_server_get_stats(sio_server_engine(kit->io), &s);
    kit_metrics_counter(page, "sessions_opened_total", "Engine.IO sessions opened.", s.opened);
    put_family(page, "sessions_closed_total", "counter", "Engine.IO sessions closed, by reason.");
    for (int i = EIO_CLOSE_TRANSPORT_CLOSE; i <= EIO_CLOSE_POLICY; i++)
        put_labelled(page, "sessions_closed_total", "reason", eio_close_reason_text((enum eio_close_reason)i),
                     s.closed[i]);
    kit_metrics_counter(page, "handshakes_refused_total", "Handshakes refused.", s.handshakes_refused);
    kit_metrics_counter(page, "posts_refused_total", "Polling payloads rejected with status 400.", s.posts_refused);
    kit_metrics_counter(page, "upgrades_total", "Sessions upgraded to WebSocket.", s.upgrades);
    kit_metrics_counter(page, "messages_received_total", "Engine.IO messages received.", s.messages_in);
    kit_metrics_counter(page, "messages_sent_total", "Engine.IO messages sent.", s.messages_out);
    kit_metrics_counter(page, "received_bytes_total", "Bytes of messages received.", s.bytes_in);
    kit_metrics_counter(page, "sent_bytes_total", "Bytes of messages sent.", s.bytes_out);
    kit_metrics_counter(page, "dropped_volatile_total", "Volatile messages dropped.", s.dropped_volatile);
    kit_metrics_counter(page, "dropped_oldest_total", "Messages dropped by the queue policy.", s.dropped_oldest);
    kit_metrics_counter(page, "queue_full_total", "Times a session's send queue was full.", s.queue_full);
    kit_metrics_counter(page, "reads_paused_total", "Times reading was paused because a receiver was slow.",
                        s.reads_paused);
    kit_metrics_counter(page, "reads_sliced_total", "Reads that deferred their remaining data to a later turn.",
                        s.reads_sliced);
    kit_metrics_counter(page, "writes_total", "Write system calls.", s.writes);
    kit_metrics_counter(page, "partial_writes_total", "Writes that filled the socket's buffer.", s.partial_writes);
    kit_metrics_gauge(page, "sessions", "Open Engine.IO sessions.", s.sessions);
    kit_metrics_gauge(page, "polling_sessions", "Sessions using HTTP long-polling.", s.polling_sessions);
    kit_metrics_gauge(page, "upgrading_sessions", "Sessions being upgraded.", s.upgrading);
    kit_metrics_gauge(page, "queued_bytes", "Bytes queued for all sessions.", s.queued_bytes);
}

static void put_socketio(struct kit_metrics_page *page, const struct kit *kit)
{
    struct sio_stats s;
    sio_server_get_stats(kit->io, &s);
    kit_metrics_counter(page, "connects_total", "Namespaces joined.", s.connects);
    kit_metrics_counter(page, "connects_refused_total", "Namespaces refused.", s.connects_refused);
    kit_metrics_counter(page, "disconnects_total", "Namespaces left.", s.disconnects);
    kit_metrics_counter(page, "events_received_total", "Events received.", s.events_in);
    kit_metrics_counter(page, "acks_received_total", "Acknowledgements received.", s.acks_in);
    kit_metrics_counter(page, "emits_total", "Events emitted.", s.emits);
    kit_metrics_counter(page, "deliveries_total", "Events delivered, one per receiver.", s.deliveries);
    kit_metrics_counter(page, "parse_errors_total", "Malformed Socket.IO packets.", s.parse_errors);
    kit_metrics_gauge(page, "sockets", "Connected sockets, all namespaces.", s.sockets);
    kit_metrics_gauge(page, "pending_acks", "Pending acknowledgements.", s.pending_acks);
}

static void put_kit(struct kit_metrics_page *page, const struct kit *kit)
{
    const struct kit_counters *c = &kit->counters;
    struct kit_work_stats work;
    struct kit_store_stats store;
    kit_work_get_stats(kit->work, &work);
    kit_store_get_stats(kit->store, &store);
    kit_metrics_gauge(page, "uptime_seconds", "Seconds since the server started.",
                      (eio_loop_now_ms(kit->loop) - kit->started_ms) / 1000);
    kit_metrics_counter(page, "auth_failures_total", "Tokens refused, and events without a token.", c->auth_failures);
    kit_metrics_counter(page, "auth_timeouts_total", "Sockets that did not authenticate in time.", c->auth_timeouts);
    kit_metrics_counter(page, "auth_expired_total", "Sockets whose token expired.", c->auth_expired);
    kit_metrics_counter(page, "forbidden_total", "Requests refused because the user lacks permission.", c->forbidden);
    kit_metrics_counter(page, "invalid_total", "Payloads that did not match their schema.", c->invalid);
    kit_metrics_counter(page, "busy_total", "Events refused because the work queue was full.", c->busy);
    kit_metrics_counter(page, "work_batches_total", "Batches run by worker threads.", work.batches);
    kit_metrics_counter(page, "work_delayed_total", "Jobs delayed because their source had used up its share.",
                        work.delayed);
    kit_metrics_counter(page, "work_refused_total", "Jobs refused because the queue was full.", work.refused);
    kit_metrics_gauge(page, "work_jobs", "Jobs queued or running.", work.jobs);
    kit_metrics_gauge(page, "work_bytes", "Bytes of jobs queued or running.", work.bytes);
    kit_metrics_counter(page, "store_writes_total", "Write operations.", store.writes);
    kit_metrics_counter(page, "store_reads_total", "Read operations.", store.reads);
    kit_metrics_counter(page, "store_commits_total", "Transactions committed.", store.commits);
    kit_metrics_counter(page, "store_errors_total", "SQLite errors.", store.sqlite_errors);
}

/* What the master knows. */
static void put_workers(struct kit_metrics_page *page)
{
    uint64_t now_ms = kit_monotonic_ms();
    put_family(page, "worker_up", "gauge", "1 if the worker responds, else 0.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_up{worker=\"%u\"} %d\n", i, kit_process_is_up(&page->all->workers[i], now_ms));
    put_family(page, "worker_restarts_total", "counter", "Times the worker was restarted.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_restarts_total{worker=\"%u\"} %llu\n", i,
            (unsigned long long)atomic_load(&page->all->workers[i].restarts));
    put_family(page, "worker_hangs_total", "counter", "Times the worker was killed because it was unresponsive.");
    for (unsigned i = 0; i < page->worker_count; i++)
        put(page, "parley_worker_hangs_total{worker=\"%u\"} %llu\n", i,
            (unsigned long long)atomic_load(&page->all->workers[i].hangs));
}

static void put_all(struct kit_metrics_page *page, const struct kit *kit)
{
    put_kit(page, kit);
    put_socketio(page, kit);
    put_engine(page, kit);
    put_loop(page, kit);
    put_limits(page, kit);
    put_http(page, kit);
    for (size_t i = 0; i < kit->metrics_count; i++) kit->metrics[i].put(page, kit->metrics[i].ctx);
}

void kit_metrics_publish(struct kit *kit, struct kit_process_page *process)
{
    struct kit_metrics_page page = {.publish = process};
    struct sio_stats stats;
    const char *why;
    sio_server_get_stats(kit->io, &stats);
    atomic_store(&process->degraded, kit->peers.is_degraded && kit->peers.is_degraded(kit->peers.ctx, &why));
    atomic_store(&process->sessions, eio_server_session_count(sio_server_engine(kit->io)));
    atomic_store(&process->sockets, stats.sockets);
    put_all(&page, kit);
}

static void answer(const struct kit *kit, struct eio_http_request *request)
{
    struct kit_metrics_page page = {.text = malloc(FIRST_BYTES), .capacity = FIRST_BYTES};
    page.failed = !page.text;
    page.worker_count = kit->processes.count;
    page.all = kit->processes.page;
    if (page.all) put_workers(&page);
    put_all(&page, kit);
    struct eio_http_reply reply = {.status = page.failed ? 503 : 200,
                                   .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                   .body = page.text,
                                   .body_size = page.failed ? 0 : page.n};
    eio_http_reply(request, &reply);
    free(page.text);
}

/* A request that waits for other workers. */
struct waiting {
    const struct kit *kit;
    struct eio_http_request *request; /* NULL: the client went away */
};

static void on_abort(void *ctx)
{
    ((struct waiting *)ctx)->request = NULL;
}

static void on_fresh(void *ctx)
{
    struct waiting *waiting = ctx;
    if (waiting->request) answer(waiting->kit, waiting->request);
    free(waiting);
}

static void on_metrics(struct eio_http_request *request, void *ctx)
{
    const struct kit *kit = ctx;
    struct waiting *waiting = kit->processes.count ? malloc(sizeof *waiting) : NULL;
    if (waiting) {
        *waiting = (struct waiting){kit, request};
        eio_http_request_on_abort(request, on_abort, waiting);
        if (kit->processes.refresh(kit->processes.ctx, on_fresh, waiting) == 0) return;
        free(waiting);
        eio_http_request_on_abort(request, NULL, NULL);
    }
    answer(kit, request);
}

int kit_metrics_add(struct kit *kit, void (*put_fn)(struct kit_metrics_page *page, void *ctx), void *ctx)
{
    if (kit->metrics_count == KIT_HOOKS_MAX) return EIO_ETOOBIG;
    kit->metrics[kit->metrics_count].put = put_fn;
    kit->metrics[kit->metrics_count++].ctx = ctx;
    return 0;
}

int kit_metrics_start(struct kit *kit)
{
    return eio_http_route(sio_server_http(kit->io), "/metrics", 0, on_metrics, kit);
}
