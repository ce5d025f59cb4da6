/* Connecting, on a thread: libpq resolves names, reads files, negotiates TLS and computes passwords' hashes, which all
 * takes its time. The thread also makes the table and prepares the statements, and reports through a pipe. Of loop and
 * thread, the last to let go frees the attempt. */
#include "rooms_postgresql_int.h"

#include <base_thread.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 50 }; /* at whether it was cancelled, and at what TLS has decrypted without a word of the socket */

struct rooms__pg_attempt {
    atomic_int owners; /* the loop and the thread */
    atomic_bool is_cancelled;
    int pipe[2]; /* the thread writes, the loop reads */
    enum rooms__pg_role role;
    char *url, *name, *table;
    uint32_t connect_timeout_ms, statement_timeout_ms;
    uint64_t until_ms;
    PGconn *conn; /* the thread's until it has written */
    char why[160];
    struct event event;
    rooms__pg_attempt_fn fn;
    void *ctx;
};

static void let_go(struct rooms__pg_attempt *attempt)
{
    if (atomic_fetch_sub(&attempt->owners, 1) > 1) return;
    close(attempt->pipe[0]);
    close(attempt->pipe[1]);
    PQfinish(attempt->conn);
    free(attempt->url);
    free(attempt->name);
    free(attempt->table);
    free(attempt);
}

/* -------------------------------------------------------------- the thread */

/* The first line: what follows are guesses. */
static void set_why(struct rooms__pg_attempt *attempt, const char *text)
{
    if (attempt->why[0]) return;
    snprintf(attempt->why, sizeof attempt->why, "%.*s", (int)strcspn(text, "\n"), text);
}

static bool wait_for(struct rooms__pg_attempt *attempt, short events)
{
    struct pollfd fd = {PQsocket(attempt->conn), events, 0};
    for (;;) {
        uint64_t now_ms = base_clock_ms();
        if (now_ms >= attempt->until_ms || atomic_load(&attempt->is_cancelled)) return false;
        uint64_t left_ms = attempt->until_ms - now_ms;
        int n = poll(&fd, 1, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
        if (n > 0 || (n == 0 && PQsslInUse(attempt->conn))) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

static bool connect_to(struct rooms__pg_attempt *attempt)
{
    /* Those of the URL, which comes last, go over these. */
    static const char *const names[] = {"fallback_application_name",
                                        "client_encoding",
                                        "target_session_attrs",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "dbname",
                                        NULL};
    const char *values[] = {attempt->name, "UTF8", "read-write", "5", "3", "3", "15000", attempt->url, NULL};
    attempt->conn = PQconnectStartParams(names, values, 1);
    if (!attempt->conn) return false;
    PostgresPollingStatusType status =
        PQstatus(attempt->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_WRITING || status == PGRES_POLLING_READING) {
        if (!wait_for(attempt, status == PGRES_POLLING_READING ? POLLIN : POLLOUT)) break;
        status = PQconnectPoll(attempt->conn);
    }
    if (status == PGRES_POLLING_FAILED) set_why(attempt, PQerrorMessage(attempt->conn));
    return status == PGRES_POLLING_OK;
}

/* Runs statements. */
static bool run_sql(struct rooms__pg_attempt *attempt, const char *sql)
{
    PGconn *conn = attempt->conn;
    bool is_good = true;
    int left = PQsendQuery(conn, sql) ? 1 : -1;
    while (left > 0 && (left = PQflush(conn)) > 0)
        if (!wait_for(attempt, POLLOUT)) return false;
    while (left == 0) {
        while (PQisBusy(conn))
            if (!wait_for(attempt, POLLIN) || !PQconsumeInput(conn)) return false;
        PGresult *result = PQgetResult(conn);
        if (!result) break;
        if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
            const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
            set_why(attempt, said ? said : PQerrorMessage(conn));
            is_good = false;
        }
        PQclear(result);
    }
    return left == 0 && is_good && PQstatus(conn) == CONNECTION_OK;
}

/* Notifications are gone with a crash anyway, so that nothing is gained by waiting for the disk. What this version of
 * the server does not know is passed over. */
static bool set_session(struct rooms__pg_attempt *attempt)
{
    char sql[640];
    snprintf(sql, sizeof sql,
             "SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES ('synchronous_commit', 'off'),"
             " ('statement_timeout', '%u'), ('lock_timeout', '%u'), ('idle_session_timeout', '0'),"
             " ('idle_in_transaction_session_timeout', '0')) AS v(name, value) ON v.name = s.name",
             attempt->statement_timeout_ms, attempt->statement_timeout_ms);
    return run_sql(attempt, sql);
}

/* Several nodes may start at once: they make it one after another. A role that may not make tables can use one. */
static bool make_table(struct rooms__pg_attempt *attempt)
{
    char sql[768];
    snprintf(sql, sizeof sql,
             "DO $$BEGIN IF to_regclass('%s') IS NULL THEN"
             " PERFORM pg_advisory_xact_lock(hashtext('parley %s'));"
             " CREATE TABLE IF NOT EXISTS %s"
             " (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea); END IF; END$$",
             attempt->table, attempt->table, attempt->table);
    return run_sql(attempt, sql);
}

static bool prepare(struct rooms__pg_attempt *attempt)
{
    char sql[1536];
    const char *table = attempt->table;
    snprintf(sql, sizeof sql,
             "PREPARE " ROOMS__PG_NOTIFY "(text, text) AS SELECT pg_notify($1, $2);"
             "PREPARE " ROOMS__PG_ATTACH "(text, text, bytea) AS WITH stored AS"
             " (INSERT INTO %s (payload) VALUES ($3) RETURNING id)"
             " SELECT pg_notify($1, $2 || id || '" ROOMS__PG_HEADER_END "') FROM stored;"
             "PREPARE " ROOMS__PG_FETCH "(int8, int8) AS"
             " SELECT CASE WHEN length(payload) <= $2 THEN payload END FROM %s WHERE id = $1;"
             "PREPARE " ROOMS__PG_CLEAN "(int8) AS DELETE FROM %s WHERE id IN (SELECT id FROM %s"
             " WHERE created_at < now() - $1 * interval '1 millisecond' LIMIT %d FOR UPDATE SKIP LOCKED)",
             table, table, table, table, ROOMS__PG_CLEAN_ROWS);
    return run_sql(attempt, sql);
}

static bool is_usable(struct rooms__pg_attempt *attempt)
{
    const char *encoding = PQparameterStatus(attempt->conn, "server_encoding");
    bool is_text = !encoding || strcmp(encoding, "UTF8") == 0 || strcmp(encoding, "SQL_ASCII") == 0;
    if (!is_text) set_why(attempt, "the database's encoding is not UTF8");
    return is_text;
}

static void ignore_notice(void *ctx, const PGresult *result)
{
    (void)ctx, (void)result;
}

static bool make_connection(struct rooms__pg_attempt *attempt)
{
    if (!connect_to(attempt) || !is_usable(attempt)) return false;
    PQsetNoticeReceiver(attempt->conn, ignore_notice, NULL);
    PQsetnonblocking(attempt->conn, 1);
    if (!set_session(attempt)) return false;
    if (attempt->role == ROOMS__PG_SENDER && !(make_table(attempt) && prepare(attempt))) return false;
    return PQenterPipelineMode(attempt->conn) == 1;
}

static void *thread_main(void *arg)
{
    struct rooms__pg_attempt *attempt = arg;
    attempt->until_ms = base_clock_ms() + attempt->connect_timeout_ms;
    if (!make_connection(attempt)) {
        if (attempt->conn && PQstatus(attempt->conn) == CONNECTION_BAD) set_why(attempt, PQerrorMessage(attempt->conn));
        set_why(attempt, base_clock_ms() >= attempt->until_ms ? "no answer in time" : "out of memory");
        PQfinish(attempt->conn);
        attempt->conn = NULL;
    }
    while (write(attempt->pipe[1], "", 1) < 0 && errno == EINTR) continue;
    let_go(attempt);
    return NULL;
}

/* ---------------------------------------------------------------- the loop */

static void on_answer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct rooms__pg_attempt *attempt = ctx;
    rooms__pg_attempt_fn fn = attempt->fn;
    void *fn_ctx = attempt->ctx;
    PGconn *conn = attempt->conn;
    char why[sizeof attempt->why];
    memcpy(why, attempt->why, sizeof why);
    attempt->conn = NULL;
    event_del(&attempt->event);
    let_go(attempt);
    fn(fn_ctx, conn, why);
}

static bool copy_options(struct rooms__pg_attempt *attempt, const struct rooms_postgresql_options *options)
{
    static const char *const roles[] = {"sender", "listener"};
    char name[96];
    snprintf(name, sizeof name, "%s-%s", options->client_name, roles[attempt->role]);
    attempt->url = strdup(options->url);
    attempt->table = strdup(options->table);
    attempt->name = strdup(name);
    attempt->connect_timeout_ms = options->connect_timeout_ms;
    attempt->statement_timeout_ms = options->liveness_ms;
    return attempt->url && attempt->table && attempt->name;
}

struct rooms__pg_attempt *rooms__pg_attempt_start(struct event_base *base, enum rooms__pg_role role,
                                                  const struct rooms_postgresql_options *options,
                                                  rooms__pg_attempt_fn fn, void *ctx)
{
    struct rooms__pg_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt) return NULL;
    atomic_init(&attempt->owners, 1);
    attempt->pipe[0] = attempt->pipe[1] = -1;
    attempt->role = role;
    attempt->fn = fn;
    attempt->ctx = ctx;
    if (!copy_options(attempt, options) || pipe2(attempt->pipe, O_CLOEXEC | O_NONBLOCK) != 0) goto fail;
    if (event_assign(&attempt->event, base, attempt->pipe[0], EV_READ, on_answer, attempt) != 0) goto fail;
    if (event_add(&attempt->event, NULL) != 0) goto fail;
    atomic_store(&attempt->owners, 2);
    if (base_thread_start(thread_main, attempt)) return attempt;
    atomic_store(&attempt->owners, 1);
    event_del(&attempt->event);
fail:
    let_go(attempt);
    return NULL;
}

void rooms__pg_attempt_cancel(struct rooms__pg_attempt *attempt)
{
    if (!attempt) return;
    atomic_store(&attempt->is_cancelled, true);
    event_del(&attempt->event);
    let_go(attempt);
}
