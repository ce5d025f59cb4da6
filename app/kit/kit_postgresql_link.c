/* Connections to PostgreSQL, and a thread that watches one of its own, so that everybody knows whether the server is
 * there: what is asked while it is away is refused at once instead of waiting. Connecting again happens here, with
 * growing pauses. Not its job: what goes over the other connections (kit_postgresql.c). */
#include "kit_postgresql_int.h"

#include "kit_log.h"
#include "cluster.h"

#include <base_clock.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHECK_MS 2000     /* between two checks of a connection that is quiet */
#define FIRST_PAUSE_MS 50 /* before connecting again; doubled each time */
#define TLS_LOOK_MS 5
#define LOOK_MS 100 /* at whether to stop, in long waits */

struct kit_pg_link {
    const struct kit_config *config;
    PGconn *watch; /* the thread's; NULL: not connected */
    pthread_t thread;
    bool has_thread;
    int wake_fd; /* eventfd */
    atomic_bool stop, is_away;
    atomic_uint generation;
    pthread_mutex_t mutex;
    pthread_cond_t back;
};

bool kit_store_url_is_valid(const char *url)
{
    return rooms_postgresql_url_is_valid(url);
}

/* ----------------------------------------------------------------- connect */

/* What TLS has decrypted already does not show at the socket: the caller looks for it again and again. */
bool kit_pg_wait(PGconn *conn, short events, uint64_t until_ms, const atomic_bool *stop)
{
    struct pollfd fd = {PQsocket(conn), events, 0};
    uint64_t look_ms = PQsslInUse(conn) ? TLS_LOOK_MS : LOOK_MS;
    for (;;) {
        uint64_t now_ms = base_clock_ms();
        if (now_ms >= until_ms || (stop && atomic_load(stop))) return false;
        uint64_t left_ms = until_ms - now_ms;
        int n = poll(&fd, 1, (int)(left_ms < look_ms ? left_ms : look_ms));
        if (n > 0 || (n == 0 && PQsslInUse(conn))) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

static void set_error(char *error, size_t size, const char *text)
{
    snprintf(error, size, "%.*s", (int)strcspn(text, "\n"), text); /* what follows are guesses */
}

/* Runs a statement of a connection that has nothing else to do. NULL with a line in error. */
static PGresult *ask(PGconn *conn, const char *sql, uint64_t until_ms, const atomic_bool *stop)
{
    PGresult *result = NULL, *next;
    int left = PQsendQuery(conn, sql) ? 1 : -1;
    while (left > 0 && (left = PQflush(conn)) > 0)
        if (!kit_pg_wait(conn, POLLOUT, until_ms, stop)) return NULL;
    if (left < 0) return NULL;
    for (;;) {
        while (PQisBusy(conn))
            if (!kit_pg_wait(conn, POLLIN, until_ms, stop) || !PQconsumeInput(conn)) goto fail;
        next = PQgetResult(conn);
        if (!next) break;
        PQclear(result);
        result = next;
    }
    if (result && PQresultStatus(result) != PGRES_FATAL_ERROR && PQstatus(conn) == CONNECTION_OK) return result;
fail:
    PQclear(result);
    return NULL;
}

/* What the session needs, of what this version of the server knows. Acknowledged is durable, whatever the role's
 * default is. */
static bool set_up(PGconn *conn, const struct kit_config *config, uint64_t until_ms, const atomic_bool *stop)
{
    char sql[1000];
    snprintf(sql, sizeof sql,
             "SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES"
             " ('statement_timeout', '%u'), ('lock_timeout', '%u'), ('idle_in_transaction_session_timeout', '%u'),"
             " ('idle_session_timeout', '0'), ('default_transaction_isolation', 'read committed'),"
             " ('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
             " ELSE current_setting('synchronous_commit') END)) AS v(name, value) ON v.name = s.name",
             config->store_statement_timeout_ms, config->store_busy_timeout_ms, config->store_statement_timeout_ms);
    PGresult *result = ask(conn, sql, until_ms, stop);
    PQclear(result);
    return result != NULL;
}

/* NULL: it will do. */
static const char *find_fault(PGconn *conn)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");
    const char *standby = PQparameterStatus(conn, "in_hot_standby");
    if (encoding && strcmp(encoding, "UTF8") && strcmp(encoding, "SQL_ASCII"))
        return "its encoding is not UTF8; make one with ENCODING 'UTF8'";
    if (standby && !strcmp(standby, "on")) return "it is a standby, which cannot be written to";
    if (PQserverVersion(conn) < 120000) return "the server is older than PostgreSQL 12";
    return NULL;
}

static void ignore_notice(void *ctx, const PGresult *result)
{
    (void)ctx, (void)result;
}

static PostgresPollingStatusType poll_connection(PGconn *conn, uint64_t until_ms, const atomic_bool *stop)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_WRITING || status == PGRES_POLLING_READING) {
        short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!kit_pg_wait(conn, events, until_ms, stop)) break;
        status = PQconnectPoll(conn);
    }
    return status;
}

PGconn *kit_pg_connect(const struct kit_config *config, const atomic_bool *stop, char *error, size_t error_size)
{
    /* Those of the URL, which comes last, go over these. */
    static const char *const names[] = {
        "fallback_application_name", "client_encoding",  "keepalives_idle", "keepalives_interval",
        "keepalives_count",          "tcp_user_timeout", "dbname",          NULL};
    const char *values[] = {"parley", "UTF8", "5", "3", "3", "15000", config->store, NULL};
    uint64_t until_ms = base_clock_ms() + config->store_connect_timeout_ms;
    PGconn *conn = PQconnectStartParams(names, values, 1);
    if (!conn) {
        set_error(error, error_size, "out of memory");
        return NULL;
    }
    const char *fault = NULL;
    PostgresPollingStatusType status =
        PQstatus(conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : poll_connection(conn, until_ms, stop);
    if (status == PGRES_POLLING_OK) {
        PQsetNoticeReceiver(conn, ignore_notice, NULL);
        PQsetnonblocking(conn, 1);
        fault = find_fault(conn);
        if (!fault && set_up(conn, config, until_ms, stop)) return conn;
    }
    if (!fault && status != PGRES_POLLING_FAILED && status != PGRES_POLLING_OK) fault = "no answer in time";
    set_error(error, error_size, fault ? fault : PQerrorMessage(conn));
    if (!error[0]) set_error(error, error_size, "no answer in time");
    PQfinish(conn);
    return NULL;
}

/* ------------------------------------------------------------------- watch */

static void drain_wakes(struct kit_pg_link *link)
{
    uint64_t count;
    while (read(link->wake_fd, &count, sizeof count) > 0) {
    }
}

static bool check(struct kit_pg_link *link)
{
    uint64_t until_ms = base_clock_ms() + link->config->store_connect_timeout_ms;
    PGresult *result = ask(link->watch, "SELECT 1", until_ms, &link->stop);
    PQclear(result);
    return result != NULL;
}

/* Returns when the connection broke, did not answer, or the thread must end. */
static void watch(struct kit_pg_link *link)
{
    bool is_there = link->watch != NULL;
    while (is_there && !atomic_load(&link->stop)) {
        struct pollfd fds[] = {{PQsocket(link->watch), POLLIN, 0}, {link->wake_fd, POLLIN, 0}};
        int n = poll(fds, 2, CHECK_MS);
        if (fds[1].revents) drain_wakes(link);
        if (n > 0 && fds[0].revents && !PQconsumeInput(link->watch)) is_there = false;
        if (is_there) is_there = check(link);
    }
}

static void set_away(struct kit_pg_link *link, bool is_away)
{
    pthread_mutex_lock(&link->mutex);
    if (!is_away) atomic_fetch_add(&link->generation, 1);
    atomic_store(&link->is_away, is_away);
    pthread_cond_broadcast(&link->back);
    pthread_mutex_unlock(&link->mutex);
}

/* Up to half as much more, so that nodes do not come all at once. */
static void pause_between(struct kit_pg_link *link, uint32_t ms, unsigned *seed)
{
    struct pollfd fd = {link->wake_fd, POLLIN, 0};
    uint64_t until_ms = base_clock_ms() + ms + (uint32_t)rand_r(seed) % (ms / 2 + 1);
    for (uint64_t now_ms; !atomic_load(&link->stop) && (now_ms = base_clock_ms()) < until_ms;) {
        poll(&fd, 1, (int)(until_ms - now_ms));
        drain_wakes(link);
    }
}

static void come_back(struct kit_pg_link *link)
{
    uint32_t pause_ms = FIRST_PAUSE_MS;
    unsigned seed = (unsigned)base_clock_us();
    uint64_t since_ms = base_clock_ms();
    char error[300];
    while (!atomic_load(&link->stop)) {
        pause_between(link, pause_ms, &seed);
        link->watch = atomic_load(&link->stop) ? NULL : kit_pg_connect(link->config, &link->stop, error, sizeof error);
        if (link->watch) break;
        pause_ms =
            pause_ms * 2 < link->config->store_reconnect_max_ms ? pause_ms * 2 : link->config->store_reconnect_max_ms;
    }
    if (!link->watch) return;
    kit_log(EIO_LOG_INFO, "store: connected again", "after_ms",
            kit_number((long long)(base_clock_ms() - since_ms)).text, NULL);
    set_away(link, false);
}

/* One connection alone may end, by an administrator's hand: then there is another at once. */
static bool replace_watch(struct kit_pg_link *link, char *error, size_t size)
{
    bool answered = PQstatus(link->watch) == CONNECTION_BAD;
    set_error(error, size, answered ? PQerrorMessage(link->watch) : "no answer in time");
    PQfinish(link->watch);
    link->watch = NULL;
    if (!answered) return false;
    char why[300];
    link->watch = kit_pg_connect(link->config, &link->stop, why, sizeof why);
    if (link->watch) set_away(link, false);
    return link->watch != NULL;
}

static void *thread_main(void *ctx)
{
    struct kit_pg_link *link = ctx;
    char error[300];
    for (;;) {
        watch(link);
        if (atomic_load(&link->stop)) break;
        if (replace_watch(link, error, sizeof error)) continue;
        set_away(link, true);
        kit_log(EIO_LOG_WARN, "store: the connection is lost; refusing what needs the store", "why", error, NULL);
        come_back(link);
    }
    return NULL;
}

/* ---------------------------------------------------------------- interface */

struct kit_pg_link *kit_pg_link_new(const struct kit_config *config, char *error, size_t error_size)
{
    struct kit_pg_link *link = calloc(1, sizeof *link);
    char why[300];
    if (!link) {
        set_error(error, error_size, "out of memory");
        return NULL;
    }
    link->config = config;
    pthread_mutex_init(&link->mutex, NULL);
    pthread_cond_init(&link->back, NULL);
    link->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    link->watch = kit_pg_connect(config, NULL, why, sizeof why);
    if (!link->watch) {
        char allowed[400];
        snprintf(allowed, sizeof allowed, "a database that can be reached: %s", why);
        kit_config_refuse(config, "store", allowed, error, error_size);
    } else if (link->wake_fd < 0 || pthread_create(&link->thread, NULL, thread_main, link)) {
        set_error(error, error_size, "cannot start a thread");
    } else {
        link->has_thread = true;
        return link;
    }
    kit_pg_link_free(link);
    return NULL;
}

static void wake(struct kit_pg_link *link)
{
    uint64_t one = 1;
    if (write(link->wake_fd, &one, sizeof one) < 0) return; /* it is awake */
}

void kit_pg_link_free(struct kit_pg_link *link)
{
    if (!link) return;
    atomic_store(&link->stop, true);
    if (link->has_thread) {
        wake(link);
        pthread_join(link->thread, NULL);
    }
    PQfinish(link->watch);
    if (link->wake_fd >= 0) close(link->wake_fd);
    pthread_mutex_destroy(&link->mutex);
    pthread_cond_destroy(&link->back);
    free(link);
}

bool kit_pg_link_is_away(const struct kit_pg_link *link)
{
    return atomic_load(&link->is_away);
}

unsigned kit_pg_link_generation(const struct kit_pg_link *link)
{
    return atomic_load(&link->generation);
}

void kit_pg_link_suspect(struct kit_pg_link *link)
{
    wake(link);
}

bool kit_pg_link_wait(struct kit_pg_link *link, const atomic_bool *stop)
{
    pthread_mutex_lock(&link->mutex);
    while (atomic_load(&link->is_away) && !atomic_load(stop)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000l;
        until.tv_sec += until.tv_nsec / 1000000000l;
        until.tv_nsec %= 1000000000l;
        pthread_cond_timedwait(&link->back, &link->mutex, &until);
    }
    pthread_mutex_unlock(&link->mutex);
    return !atomic_load(stop);
}
