/* The numbers of the libraries and of the kit itself. */
#include "kit_metrics.h"
#include "kit_tokens.h"
#include "kit_ws.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ----------------------------------------------------------------- the kit */

struct kit_numbers {
    uint64_t uptime_s;
    size_t answer_bytes;
    struct kit_counters counters;
    struct kit_work_stats work;
    struct kit_store_stats store;
    struct kit_fetch_stats fetch;
    struct kit_tokens_stats tokens;
};
#define KIT_NUMBERS struct kit_numbers

static void read_kit(void *ctx, void *numbers)
{
    const struct kit *kit = ctx;
    struct kit_numbers *out = numbers;
    out->uptime_s = (eio_loop_now_ms(kit->loop) - kit->started_ms) / 1000;
    out->answer_bytes = kit->answer_bytes;
    out->counters = kit->counters;
    kit_work_get_stats(kit->work, &out->work);
    kit_store_get_stats(kit->store, &out->store);
    kit_fetcher_get_stats(kit->fetcher, &out->fetch);
    out->tokens = kit_tokens_get_stats(kit->tokens);
}

static const struct kit_metric kit_rows[] = {
    KIT_GAUGE_ROW("uptime_seconds", uptime_s, "Seconds since the server started."),
    KIT_COUNTER_ROW("auth_failures_total", counters.auth_failures, "Tokens refused, and events without a token."),
    KIT_COUNTER_ROW("auth_timeouts_total", counters.auth_timeouts, "Sockets that did not authenticate in time."),
    KIT_COUNTER_ROW("auth_expired_total", counters.auth_expired, "Sockets whose token expired."),
    KIT_COUNTER_ROW("tokens_known_total", tokens.hits, "Tokens that were checked before (token_cache_max)."),
    KIT_COUNTER_ROW("tokens_checked_total", tokens.misses, "Tokens that were not."),
    KIT_COUNTER_ROW("forbidden_total", counters.forbidden, "Requests refused because the user lacks permission."),
    KIT_COUNTER_ROW("invalid_total", counters.invalid, "Payloads that did not match their schema."),
    KIT_COUNTER_ROW("limited_total", counters.limited, "Requests refused with 429 because of a limit by second."),
    KIT_COUNTER_ROW("busy_total", counters.busy, "Events refused because the work queue was full."),
    KIT_COUNTER_ROW("users_held_total", counters.users_held,
                    "Times a user's sockets were not read because the user's share of the work was used up."),
    KIT_GAUGE_ROW("answer_bytes", answer_bytes, "Bytes of snapshots being read or sent."),
    KIT_COUNTER_ROW("work_batches_total", work.batches, "Batches run by worker threads."),
    KIT_COUNTER_ROW("work_delayed_total", work.delayed, "Jobs delayed because their source had used up its share."),
    KIT_COUNTER_ROW("work_refused_total", work.refused, "Jobs refused because the queue was full."),
    KIT_GAUGE_ROW("work_jobs", work.jobs, "Jobs queued or running."),
    KIT_GAUGE_ROW("work_bytes", work.bytes, "Bytes of jobs queued or running."),
    KIT_COUNTER_ROW("store_writes_total", store.writes, "Write operations."),
    KIT_COUNTER_ROW("store_reads_total", store.reads, "Read operations."),
    KIT_COUNTER_ROW("store_commits_total", store.commits, "Transactions committed."),
    KIT_COUNTER_ROW("store_statements_total", store.statements, "Statements of SQL that were run."),
    KIT_COUNTER_ROW("store_errors_total", store.errors, "Errors of the database."),
    KIT_COUNTER_ROW("store_retries_total", store.retries, "Operations run again because their transaction was undone."),
    KIT_COUNTER_ROW("store_refused_total", store.refused_away, "Operations refused while the database was away."),
    KIT_DELAYS_ROW("store_write_seconds", store.write_delays, "From a write to its answer, durable."),
    KIT_DELAYS_ROW("store_read_seconds", store.read_delays, "From a read to its answer."),
    KIT_GAUGE_ROW("store_away", store.is_away, "1 while the database cannot be reached."),
    KIT_COUNTER_ROW("fetches_total", fetch.started, "HTTP requests to other services."),
    KIT_COUNTER_ROW("fetches_failed_total", fetch.failed, "HTTP requests to other services without a 2xx response."),
    KIT_GAUGE_ROW("fetches_running", fetch.running, "HTTP requests to other services that are running."),
};
static const struct kit_metric_set kit_set = KIT_METRIC_SET(kit_rows, read_kit);
#undef KIT_NUMBERS

/* ------------------------------------------------------------- the process */

struct process_numbers {
    uint64_t start_s, cpu_us, resident_bytes, virtual_bytes, descriptors, descriptors_max;
    uint64_t build[1];
};
#define KIT_NUMBERS struct process_numbers

static void read_memory(struct process_numbers *out)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) size = resident = 0;
    fclose(file);
    out->virtual_bytes = size * (uint64_t)sysconf(_SC_PAGESIZE);
    out->resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_process(void *ctx, void *numbers)
{
    const struct kit *kit = ctx;
    struct process_numbers *out = numbers;
    struct rusage usage;
    struct rlimit limit;
    struct stat folder;
    out->build[0] = 1;
    out->start_s = (uint64_t)kit->started_at;
    if (!getrusage(RUSAGE_SELF, &usage))
        out->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
                      (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    read_memory(out);
    /* Counting the entries of a folder of ten thousand would hold the loop; newer kernels say how many there are. */
    if (!stat("/proc/self/fd", &folder)) out->descriptors = (uint64_t)folder.st_size;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) out->descriptors_max = limit.rlim_cur;
}

static void put_version(unsigned i, char *out, size_t size)
{
    (void)i;
    snprintf(out, size, "%s", PARLEY_VERSION);
}

static const struct kit_metric process_rows[] = {
    KIT_GAUGE_ROW("process_start_time_seconds", start_s, "Start of the process, in seconds since 1970."),
    KIT_COUNTER_US_ROW("process_cpu_seconds_total", cpu_us, "Processor time used, user and system."),
    KIT_GAUGE_ROW("process_resident_memory_bytes", resident_bytes, "Resident memory."),
    KIT_GAUGE_ROW("process_virtual_memory_bytes", virtual_bytes, "Virtual memory."),
    KIT_GAUGE_ROW("process_open_fds", descriptors, "Open file descriptors; 0 before Linux 6.2, which does not tell."),
    KIT_GAUGE_ROW("process_max_fds", descriptors_max, "Limit of open file descriptors."),
    KIT_LABELLED_ROW("build_info", KIT_GAUGE, build, "1; the version is the label.", 1, "version", put_version),
};
static const struct kit_metric_set process_set = KIT_METRIC_SET(process_rows, read_process);
#undef KIT_NUMBERS

/* --------------------------------------------------------------- Socket.IO */

#define KIT_NUMBERS struct sio_stats

static void read_socketio(void *ctx, void *numbers)
{
    sio_server_get_stats(((const struct kit *)ctx)->io, numbers);
}

static const struct kit_metric socketio_rows[] = {
    KIT_COUNTER_ROW("connects_total", connects, "Namespaces joined."),
    KIT_COUNTER_ROW("connects_refused_total", connects_refused, "Namespaces refused."),
    KIT_COUNTER_ROW("disconnects_total", disconnects, "Namespaces left."),
    KIT_COUNTER_ROW("events_received_total", events_in, "Events received."),
    KIT_COUNTER_ROW("acks_received_total", acks_in, "Acknowledgements received."),
    KIT_COUNTER_ROW("emits_total", emits, "Events emitted."),
    KIT_COUNTER_ROW("deliveries_total", deliveries, "Events delivered, one per receiver."),
    KIT_COUNTER_ROW("parse_errors_total", parse_errors, "Malformed Socket.IO packets."),
    KIT_GAUGE_ROW("sockets", sockets, "Connected sockets, all namespaces."),
    KIT_GAUGE_ROW("pending_acks", pending_acks, "Pending acknowledgements."),
};
static const struct kit_metric_set socketio_set = KIT_METRIC_SET(socketio_rows, read_socketio);
#undef KIT_NUMBERS

/* --------------------------------------------------------------- Engine.IO */

#define KIT_NUMBERS struct eio_server_stats

static void read_engine(void *ctx, void *numbers)
{
    kit_engine_stats(ctx, numbers);
}

static void put_reason(unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s", eio_close_reason_text((enum eio_close_reason)(i + EIO_CLOSE_TRANSPORT_CLOSE)));
}

static const struct kit_metric engine_rows[] = {
    KIT_COUNTER_ROW("sessions_opened_total", opened, "Engine.IO sessions opened."),
    KIT_LABELLED_ROW("sessions_closed_total", KIT_COUNTER, closed, "Engine.IO sessions closed, by reason.",
                     EIO_CLOSE_POLICY + 1, "reason", put_reason),
    KIT_COUNTER_ROW("handshakes_refused_total", handshakes_refused, "Handshakes refused."),
    KIT_COUNTER_ROW("origins_refused_total", origins_refused,
                    "Of those: pages whose origin is not in allowed_origins."),
    KIT_COUNTER_ROW("posts_refused_total", posts_refused, "Polling payloads rejected with status 400."),
    KIT_COUNTER_ROW("upgrades_total", upgrades, "Sessions upgraded to WebSocket."),
    KIT_COUNTER_ROW("messages_received_total", messages_in, "Engine.IO messages received."),
    KIT_COUNTER_ROW("messages_sent_total", messages_out, "Engine.IO messages sent."),
    KIT_COUNTER_ROW("received_bytes_total", bytes_in, "Bytes of messages received."),
    KIT_COUNTER_ROW("sent_bytes_total", bytes_out, "Bytes of messages sent."),
    KIT_COUNTER_ROW("dropped_volatile_total", dropped_volatile, "Volatile messages dropped."),
    KIT_COUNTER_ROW("dropped_oldest_total", dropped_oldest, "Messages dropped by the queue policy."),
    KIT_COUNTER_ROW("queue_full_total", queue_full, "Times a session's send queue was full."),
    KIT_COUNTER_ROW("reads_paused_total", reads_paused, "Times reading was paused because a receiver was slow."),
    KIT_COUNTER_ROW("reads_sliced_total", reads_sliced, "Reads that deferred their remaining data to a later turn."),
    KIT_COUNTER_ROW("deflates_sliced_total", deflates_sliced, "Messages whose compression took several turns."),
    KIT_COUNTER_ROW("writes_total", writes, "Write system calls."),
    KIT_COUNTER_ROW("partial_writes_total", partial_writes, "Writes that filled the socket's buffer."),
    KIT_GAUGE_ROW("sessions", sessions, "Open Engine.IO sessions and plain WebSockets."),
    KIT_GAUGE_ROW("polling_sessions", polling_sessions, "Sessions using HTTP long-polling."),
    KIT_GAUGE_ROW("upgrading_sessions", upgrading, "Sessions being upgraded."),
    KIT_GAUGE_ROW("queued_bytes", queued_bytes, "Bytes queued for all sessions."),
};
static const struct kit_metric_set engine_set = KIT_METRIC_SET(engine_rows, read_engine);
#undef KIT_NUMBERS

/* ---------------------------------------------------------------- the loop */

struct loop_numbers {
    struct eio_loop_stats loop;
    uint64_t lateness[EIO_LATE_SLOTS + 1]; /* at most so late; the sum */
};
#define KIT_NUMBERS struct loop_numbers

static void read_loop(void *ctx, void *numbers)
{
    struct loop_numbers *out = numbers;
    uint64_t count = 0;
    eio_loop_get_stats(((const struct kit *)ctx)->loop, &out->loop);
    for (int i = 0; i < EIO_LATE_SLOTS; i++) out->lateness[i] = count += out->loop.late[i];
    out->lateness[EIO_LATE_SLOTS] = out->loop.late_sum_us;
}

static void put_bound(unsigned i, char *out, size_t size)
{
    if (i < EIO_LATE_SLOTS - 1)
        snprintf(out, size, "%g", eio_late_bound_ms((int)i) / 1e3);
    else
        snprintf(out, size, "+Inf");
}

static const struct kit_metric loop_rows[] = {
    KIT_COUNTER_ROW("turns_total", loop.turns, "Event loop turns."),
    KIT_COUNTER_ROW("turns_cut_total", loop.turns_cut, "Turns that deferred reads to the next turn."),
    KIT_COUNTER_ROW("writes_cut_total", loop.writes_cut, "Turns that deferred writes to the next turn."),
    KIT_COUNTER_ROW("long_turns_total", loop.long_turns, "Turns that took longer than 20 ms."),
    KIT_GAUGE_US_ROW("turn_max_seconds", loop.turn_max_us, "Longest turn."),
    KIT_HISTOGRAM_ROW("timer_lateness_seconds", lateness, "Delay of timers.", EIO_LATE_SLOTS, put_bound),
    KIT_GAUGE_US_ROW("timer_lateness_max_seconds", loop.late_max_us, "Longest delay of a timer."),
};
static const struct kit_metric_set loop_set = KIT_METRIC_SET(loop_rows, read_loop);
#undef KIT_NUMBERS

/* ------------------------------------------------------------------ limits */

struct limit_numbers {
    uint64_t hits[EIO_LIMIT_COUNT + SIO_LIMIT_COUNT];
};
#define KIT_NUMBERS struct limit_numbers

/* HTTP's and Engine.IO's by the same names: an option is one of the two's. */
static void read_limits(void *ctx, void *numbers)
{
    const struct kit *kit = ctx;
    struct limit_numbers *out = numbers;
    struct eio_http_stats http;
    struct eio_server_stats engine;
    struct sio_stats io;
    eio_http_get_stats(sio_server_http(kit->io), &http);
    kit_engine_stats(kit, &engine);
    sio_server_get_stats(kit->io, &io);
    for (int i = 0; i < EIO_LIMIT_COUNT; i++) out->hits[i] = http.limit_hits[i] + engine.limit_hits[i];
    for (int i = 0; i < SIO_LIMIT_COUNT; i++) out->hits[EIO_LIMIT_COUNT + i] = io.limit_hits[i];
}

static void put_limit(unsigned i, char *out, size_t size)
{
    bool is_engines = i < EIO_LIMIT_COUNT;
    snprintf(out, size, "%s",
             is_engines ? eio_limit_name((enum eio_limit)i) : sio_limit_name((enum sio_limit)(i - EIO_LIMIT_COUNT)));
}

static const struct kit_metric limit_rows[] = {
    KIT_LABELLED_ROW("limit_hits_total", KIT_COUNTER, hits, "Times a limit was hit, by option.",
                     EIO_LIMIT_COUNT + SIO_LIMIT_COUNT, "limit", put_limit),
};
static const struct kit_metric_set limit_set = KIT_METRIC_SET(limit_rows, read_limits);
#undef KIT_NUMBERS

/* -------------------------------------------------------------------- HTTP */

#define KIT_NUMBERS struct eio_http_stats

static void read_http(void *ctx, void *numbers)
{
    eio_http_get_stats(sio_server_http(((const struct kit *)ctx)->io), numbers);
}

static const struct kit_metric http_rows[] = {
    KIT_COUNTER_ROW("http_accepted_total", accepted, "Connections accepted."),
    KIT_COUNTER_ROW("http_requests_total", requests, "Requests answered by handlers."),
    KIT_COUNTER_ROW("http_refused_total", refused, "Requests refused as malformed or too large."),
    KIT_COUNTER_ROW("http_timeouts_total", timeouts, "Requests that took too long to arrive."),
    KIT_COUNTER_ROW("http_aborted_total", aborted, "Requests whose client disconnected."),
    KIT_COUNTER_ROW(
        "http_proxy_errors_total", proxy_errors,
        "Connections closed: no sound header of the PROXY protocol, not in time, or not from proxy_networks."),
    KIT_COUNTER_ROW("http_tls_errors_total", tls_errors, "Failed TLS handshakes and connections."),
    KIT_COUNTER_ROW("http_adopted_total", adopted,
                    "Connections received from another node because this one owns their session."),
    KIT_COUNTER_ROW("http_handed_over_total", handed_over, "Connections handed over to another node."),
    KIT_COUNTER_ROW("http_received_bytes_total", bytes_in, "Bytes received."),
    KIT_COUNTER_ROW("http_sent_bytes_total", bytes_out, "Bytes sent."),
    KIT_GAUGE_ROW("http_connections", connections, "Open HTTP connections."),
    KIT_GAUGE_ROW("http_parked", parked, "Long polls waiting."),
    KIT_GAUGE_ROW("http_streams", streams, "Responses being streamed."),
    KIT_GAUGE_ROW("http_pumps", pumps, "Open TLS connections relayed to another worker that owns their session."),
};
static const struct kit_metric_set http_set = KIT_METRIC_SET(http_rows, read_http);

int kit_metrics_add_own(struct kit *kit)
{
    static const struct kit_metric_set *const sets[] = {&kit_set,  &process_set, &socketio_set, &engine_set,
                                                        &loop_set, &limit_set,   &http_set};
    int failed = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0] && !failed; i++) failed = kit_metrics_add(kit, sets[i], kit);
    return failed;
}
