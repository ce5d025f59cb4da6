/* PostgreSQL as an engine of the store: a connection in pipeline mode. What has no answer is put into the pipeline and
 * goes out with the next question or the commit. Not its job: whether the server is there (kit_postgresql_link.c).
 *
 * A transaction moves this connection's row in `store_nodes` by one. If the connection breaks while a commit is under
 * way, that row says afterwards whether it was done. */
#include "kit_postgresql_int.h"

#include <base_check.h>
#include <base_clock.h>
#include <base_table.h>
#include <endian.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PENDING_MAX 256 /* commands whose answers were not read */
#define NODE_SIZE 33
#define STALE_NODES "7 days" /* after which the row of a connection that is gone is deleted */

struct prepared {
    const char *sql;
    char *own;            /* in PostgreSQL's words */
    unsigned number;      /* its name on the server */
    bool is_prepared;     /* on this connection, or on its way */
    bool reads, is_empty; /* there is nothing to do */
};

#define UNKNOWN "08007" /* whether a transaction was done */
#define READ_ONLY "25006"
#define LOST "08006" /* the SQLSTATE of a broken connection, of which the server cannot tell */

/* A result that rows are read from. */
struct held {
    PGresult *result;
    struct held *next, **link;
};

enum kind { KIND_OTHER, KIND_WRITE, KIND_SYNC };

struct pg {
    struct kit_db db;
    struct kit_pg_link *link;
    const struct kit_config *config;
    enum kit_access access;
    PGconn *conn; /* NULL: not connected */
    unsigned generation, prepared_count;
    struct base_table statements;
    /* Commands that were sent, in their order; of those of this part (of a transaction) it counts what they changed. */
    struct {
        enum kind kind;
        uint64_t part;
        struct prepared *prepared; /* by this command; NULL */
    } pending[PENDING_MAX];
    size_t first_pending, pending_count;
    uint64_t part;
    int64_t changed;
    bool is_broken; /* a command failed: the transaction can only be undone */
    bool is_open, writes;
    struct held *held;
    char sqlstate[6], message[160]; /* of the first failure since the transaction began */
    char node[NODE_SIZE];
    int64_t commits; /* that were tried; none has another's number, whatever became of that */
    atomic_uint_fast64_t errors;
    atomic_bool abandoned;
};

static struct pg *pg_of(struct kit_db *db)
{
    return container_of(db, struct pg, db);
}

/* -------------------------------------------------------------- connection */

static void free_held(struct pg *pg)
{
    while (pg->held) {
        struct held *held = pg->held;
        pg->held = held->next;
        PQclear(held->result);
        free(held);
    }
}

static void note_failure(struct pg *pg, const char *sqlstate, const char *message)
{
    if (pg->is_broken) return;
    pg->is_broken = true;
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate ? sqlstate : "");
    snprintf(pg->message, sizeof pg->message, "%s", message ? message : "");
    pg->message[strcspn(pg->message, "\n")] = 0;
}

/* What libpq finds itself has a text alone. */
static void note_result(struct pg *pg, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state && PQstatus(pg->conn) == CONNECTION_BAD) state = LOST;
    note_failure(pg, state, message ? message : PQresultErrorMessage(result));
}

static int note_no_memory(struct pg *pg)
{
    note_failure(pg, NULL, "out of memory");
    return KIT_FAILED;
}

static void disconnect(struct pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->pending_count = pg->first_pending = 0;
    pg->is_open = false;
    for (size_t i = 0; i < pg->statements.slot_count; i++)
        if (pg->statements.items[i]) ((struct prepared *)pg->statements.items[i])->is_prepared = false;
}

/* The connection is of no use any more. */
static int lose(struct pg *pg)
{
    note_failure(pg, LOST, pg->conn ? PQerrorMessage(pg->conn) : "");
    kit_pg_link_suspect(pg->link);
    disconnect(pg);
    return KIT_FAILED;
}

static int connect_again(struct pg *pg)
{
    char error[160] = "";
    disconnect(pg);
    pg->generation = kit_pg_link_generation(pg->link);
    if (!kit_pg_link_is_away(pg->link)) pg->conn = kit_pg_connect(pg->config, &pg->abandoned, error, sizeof error);
    if (pg->conn && PQenterPipelineMode(pg->conn)) return 0;
    note_failure(pg, LOST, error);
    return lose(pg);
}

static uint64_t deadline(const struct pg *pg)
{
    /* The server's own limit comes first. */
    return base_clock_ms() + pg->config->store_statement_timeout_ms + pg->config->store_connect_timeout_ms;
}

static int flush(struct pg *pg)
{
    uint64_t until_ms = deadline(pg);
    int left;
    while (pg->conn && (left = PQflush(pg->conn)) != 0) {
        /* The server may wait until its answers are read. */
        if (left < 0 || !kit_pg_wait(pg->conn, POLLIN | POLLOUT, until_ms, &pg->abandoned)) return lose(pg);
        if (!PQconsumeInput(pg->conn)) return lose(pg);
    }
    return pg->conn ? 0 : KIT_FAILED;
}

/* -------------------------------------------------------------------- answers */

/* The answer to the first command, or NULL; it ends with a NULL of its own, but for that of a sync. */
static PGresult *read_result(struct pg *pg, uint64_t until_ms)
{
    while (PQisBusy(pg->conn))
        if (!kit_pg_wait(pg->conn, POLLIN, until_ms, &pg->abandoned) || !PQconsumeInput(pg->conn)) return NULL;
    return PQgetResult(pg->conn);
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC ||
           status == PGRES_EMPTY_QUERY;
}

/* Reads the answer to the first command that waits for one; the caller clears it. NULL: the connection is lost. */
static PGresult *take_answer(struct pg *pg, uint64_t until_ms)
{
    enum kind kind = pg->pending[pg->first_pending].kind;
    struct prepared *prepared = pg->pending[pg->first_pending].prepared;
    bool is_own = pg->pending[pg->first_pending].part == pg->part;
    PGresult *result = read_result(pg, until_ms);
    if (!result) {
        lose(pg);
        return NULL;
    }
    if (kind != KIND_SYNC && PQresultStatus(result) != PGRES_PIPELINE_SYNC) PQclear(read_result(pg, until_ms));
    pg->first_pending = (pg->first_pending + 1) % PENDING_MAX;
    pg->pending_count--;
    if (!is_good(result)) note_result(pg, result);
    if (prepared) prepared->is_prepared = is_good(result); /* behind a failure it was passed over */
    if (kind == KIND_WRITE && is_own) pg->changed += atoll(PQcmdTuples(result));
    if (PQstatus(pg->conn) != CONNECTION_BAD) return result;
    PQclear(result);
    lose(pg);
    return NULL;
}

/* Reads all answers; *last is that of the last command, if it is asked for. */
static int take_answers(struct pg *pg, PGresult **last)
{
    uint64_t until_ms = deadline(pg);
    PGresult *result = NULL;
    if (last) *last = NULL;
    if (!pg->conn) return KIT_FAILED;
    if (!PQsendFlushRequest(pg->conn)) return lose(pg);
    if (flush(pg)) return KIT_FAILED;
    while (pg->pending_count) {
        PQclear(result);
        result = take_answer(pg, until_ms);
        if (!result) return KIT_FAILED;
    }
    if (last && result && is_good(result))
        *last = result;
    else
        PQclear(result);
    return pg->is_broken ? KIT_FAILED : 0;
}

/* ------------------------------------------------------------------- commands */

static int note_sent(struct pg *pg, enum kind kind, int sent)
{
    if (!sent) return lose(pg);
    size_t at = (pg->first_pending + pg->pending_count++) % PENDING_MAX;
    pg->pending[at].kind = kind;
    pg->pending[at].part = pg->part;
    pg->pending[at].prepared = NULL;
    return 0;
}

/* What is not prepared. */
static int send_text(struct pg *pg, const char *sql)
{
    if (!pg->conn) return KIT_FAILED;
    return note_sent(pg, KIND_OTHER, PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 1));
}

static void free_statement(struct prepared *prepared)
{
    if (prepared) free(prepared->own);
    free(prepared);
}

static struct prepared *find_statement(struct pg *pg, const char *sql)
{
    size_t at;
    uint32_t hash = kit_literal_hash(sql);
    struct prepared *prepared = base_table_first(&pg->statements, hash, &at);
    while (prepared && prepared->sql != sql) prepared = base_table_next(&pg->statements, hash, &at);
    if (prepared) return prepared;
    prepared = calloc(1, sizeof *prepared);
    if (prepared) prepared->own = kit_pg_translate(sql);
    if (!prepared || !prepared->own || base_table_add(&pg->statements, hash, prepared)) {
        free_statement(prepared);
        return NULL;
    }
    const char *text = prepared->own + strspn(prepared->own, " ");
    prepared->sql = sql;
    prepared->number = ++pg->prepared_count;
    prepared->reads = !strncmp(text, "SELECT", 6);
    prepared->is_empty = !*text;
    return prepared;
}

static int prepare(struct pg *pg, struct prepared *prepared, const char *name, const struct kit_pg_arguments *a)
{
    if (note_sent(pg, KIND_OTHER, PQsendPrepare(pg->conn, name, prepared->own, a->count, a->types))) return KIT_FAILED;
    prepared->is_prepared = true;
    pg->pending[(pg->first_pending + pg->pending_count - 1) % PENDING_MAX].prepared = prepared;
    return 0;
}

/* Puts it into the pipeline. */
static int send_arguments(struct pg *pg, const char *sql, const struct kit_pg_arguments *a)
{
    char name[16];
    if (!pg->conn || pg->is_broken) return KIT_FAILED;
    if (pg->pending_count > PENDING_MAX - 8 && take_answers(pg, NULL)) return KIT_FAILED;
    struct prepared *prepared = find_statement(pg, sql);
    if (!prepared || prepared->is_empty) return prepared ? 0 : note_no_memory(pg);
    snprintf(name, sizeof name, "s%u", prepared->number);
    if (!prepared->is_prepared && prepare(pg, prepared, name, a)) return KIT_FAILED;
    int sent = PQsendQueryPrepared(pg->conn, name, a->count, a->values, a->sizes, a->formats, 1);
    return note_sent(pg, prepared->reads ? KIND_OTHER : KIND_WRITE, sent);
}

static int send(struct pg *pg, const char *sql, const struct kit_value *values, size_t count)
{
    struct kit_pg_arguments a = {.count = 0};
    for (size_t i = 0; i < count; i++) kit_pg_bind(&a, &values[i]);
    return send_arguments(pg, sql, &a);
}

static int send_many(struct pg *pg, const char *sql, const struct kit_many *many)
{
    struct kit_pg_arguments a = {.count = 0};
    int failed = 0;
    for (size_t i = 0; i < many->columns && !failed; i++) failed = kit_pg_bind_column(&a, many, i);
    if (failed) note_no_memory(pg);
    if (!failed) failed = send_arguments(pg, sql, &a);
    for (int i = 0; i < a.count; i++) free((char *)(uintptr_t)a.values[i]);
    return failed;
}

/* ---------------------------------------------------------------- statements */

static enum kit_step hold(struct pg *pg, struct kit_rows *rows, PGresult *result)
{
    struct held *held = PQntuples(result) ? malloc(sizeof *held) : NULL;
    bool is_empty = !PQntuples(result);
    if (!held) {
        PQclear(result);
        if (is_empty) return KIT_DONE;
        note_no_memory(pg);
        return KIT_FAILED;
    }
    *held = (struct held){result, pg->held, &pg->held};
    if (pg->held) pg->held->link = &held->next;
    pg->held = held;
    rows->result = held;
    return KIT_ROW;
}

/* What is nothing to this engine has no rows. */
static enum kit_step take_rows(struct pg *pg, struct kit_rows *rows, const char *sql)
{
    const struct prepared *prepared = find_statement(pg, sql);
    PGresult *result;
    if (prepared && prepared->is_empty) return KIT_DONE;
    return take_answers(pg, &result) ? KIT_FAILED : hold(pg, rows, result);
}

static enum kit_step pg_query(struct kit_db *db, struct kit_rows *rows, const char *sql, const struct kit_value *values,
                              size_t count)
{
    *rows = (struct kit_rows){.db = db};
    return send(pg_of(db), sql, values, count) ? KIT_FAILED : take_rows(pg_of(db), rows, sql);
}

static enum kit_step pg_query_many(struct kit_db *db, struct kit_rows *rows, const char *sql,
                                   const struct kit_many *many)
{
    *rows = (struct kit_rows){.db = db};
    return send_many(pg_of(db), sql, many) ? KIT_FAILED : take_rows(pg_of(db), rows, sql);
}

static void pg_end(struct kit_rows *rows)
{
    struct held *held = rows->result;
    *held->link = held->next;
    if (held->next) held->next->link = held->link;
    PQclear(held->result);
    free(held);
    rows->result = NULL;
}

static enum kit_step pg_next(struct kit_rows *rows)
{
    const struct held *held = rows->result;
    if (++rows->row < PQntuples(held->result)) return KIT_ROW;
    pg_end(rows);
    return KIT_DONE;
}

/* A whole number as numeric, which sum() makes of integers: four numbers of 16 bits (count, weight, sign, scale), then
 * digits to the base of 10000 (src/backend/utils/adt/numeric.c, numeric_send). What stands behind the point is cut. */
static int64_t read_numeric(const char *value)
{
    uint16_t head[4], digit;
    int64_t number = 0;
    memcpy(head, value, sizeof head);
    int count = be16toh(head[0]), weight = (int16_t)be16toh(head[1]);
    for (int i = 0; i <= weight; i++) {
        digit = 0;
        if (i < count) memcpy(&digit, value + sizeof head + (size_t)i * sizeof digit, sizeof digit);
        if (__builtin_mul_overflow(number, 10000, &number) || __builtin_add_overflow(number, be16toh(digit), &number))
            return be16toh(head[2]) ? INT64_MIN : INT64_MAX;
    }
    return be16toh(head[2]) ? -number : number;
}

static int64_t pg_get_int(const struct kit_rows *rows, int column)
{
    const PGresult *result = ((const struct held *)rows->result)->result;
    const char *value = PQgetvalue(result, rows->row, column);
    if (PQgetisnull(result, rows->row, column)) return 0;
    if (PQftype(result, column) == KIT_PG_BOOL) return value[0];
    if (PQftype(result, column) == KIT_PG_INT4) {
        uint32_t number;
        memcpy(&number, value, sizeof number);
        return (int32_t)be32toh(number);
    }
    if (PQftype(result, column) == KIT_PG_NUMERIC) return read_numeric(value);
    BASE_CHECK(PQftype(result, column) == KIT_PG_INT8);
    uint64_t number;
    memcpy(&number, value, sizeof number);
    return (int64_t)be64toh(number);
}

static struct eio_str pg_get_bytes(const struct kit_rows *rows, int column)
{
    const PGresult *result = ((const struct held *)rows->result)->result;
    if (PQgetisnull(result, rows->row, column)) return (struct eio_str){NULL, 0};
    return (struct eio_str){PQgetvalue(result, rows->row, column), (size_t)PQgetlength(result, rows->row, column)};
}

static int pg_run(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count)
{
    return send(pg_of(db), sql, values, count);
}

static int pg_run_many(struct kit_db *db, const char *sql, const struct kit_many *many)
{
    return send_many(pg_of(db), sql, many);
}

static int64_t pg_change(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count)
{
    PGresult *result;
    if (send(pg_of(db), sql, values, count) || take_answers(pg_of(db), &result)) return KIT_FAILED;
    int64_t changed = atoll(PQcmdTuples(result));
    PQclear(result);
    return changed;
}

/* ---------------------------------------------------------------- transactions */

/* Ends what is in the pipeline, also after a failure: the server goes on behind a sync. */
static int sync_pipeline(struct pg *pg)
{
    if (!pg->conn) return KIT_FAILED;
    if (note_sent(pg, KIND_SYNC, PQpipelineSync(pg->conn))) return KIT_FAILED;
    return take_answers(pg, NULL);
}

static void pg_roll_back(struct kit_db *db)
{
    struct pg *pg = pg_of(db);
    free_held(pg);
    if (!pg->conn || !pg->is_open) return;
    sync_pipeline(pg);
    if (pg->conn && !send_text(pg, "ROLLBACK")) sync_pipeline(pg);
    pg->is_open = false;
    /* A server that takes no writes any more stays so: another connection may lead to the one that does. */
    bool is_read_only = pg->writes && !strcmp(pg->sqlstate, READ_ONLY);
    if (pg->conn && (is_read_only || PQtransactionStatus(pg->conn) != PQTRANS_IDLE)) disconnect(pg);
}

static int pg_begin(struct kit_db *db, enum kit_access access)
{
    struct pg *pg = pg_of(db);
    pg->is_broken = false;
    pg->sqlstate[0] = pg->message[0] = 0;
    if (kit_pg_link_is_away(pg->link)) return lose(pg);
    bool is_old = pg->generation != kit_pg_link_generation(pg->link);
    if ((!pg->conn || is_old) && connect_again(pg)) return KIT_FAILED;
    pg->is_open = true;
    pg->writes = access == KIT_ACCESS_WRITE;
    return send_text(pg, pg->writes ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

#define PAUSE_MS 100 /* between two attempts to find out what became of a commit */

/* Whether the transaction that was on its way when the connection broke was done: 1 or 0; -1: the time to stop is up,
 * and nobody knows. */
static int find_out(struct pg *pg, int64_t number)
{
    struct kit_rows row;
    for (bool is_first = true; kit_pg_link_wait(pg->link, &pg->abandoned); is_first = false) {
        if (!is_first) nanosleep(&(struct timespec){0, PAUSE_MS * 1000000l}, NULL);
        pg->is_broken = false;
        if (connect_again(pg)) continue;
        pg->is_open = true;
        /* The lock waits for what is left of that transaction on the server. */
        enum kit_step step =
            send_text(pg, "BEGIN")
                ? KIT_FAILED
                : kit_db_query(&pg->db, &row, "SELECT n FROM store_nodes WHERE node=? FOR UPDATE", "t", pg->node);
        int64_t found = step == KIT_ROW ? kit_rows_int(&row, 0) : 0;
        pg_roll_back(&pg->db);
        if (step != KIT_FAILED) return found == number;
    }
    return -1;
}

static int commit_write(struct pg *pg)
{
    int64_t number = ++pg->commits;
    /* What fails before the commit is sent was not done. */
    if (kit_db_run(&pg->db,
                   "INSERT INTO store_nodes(node, n, at) VALUES (?, ?, now())"
                   " ON CONFLICT(node) DO UPDATE SET n = excluded.n, at = excluded.at",
                   "ti", pg->node, number) ||
        send_text(pg, "COMMIT"))
        return KIT_FAILED;
    bool failed = sync_pipeline(pg) != 0;
    if (failed && pg->conn) return KIT_FAILED;
    int done = failed ? find_out(pg, number) : 1;
    pg->is_broken = false;
    if (done <= 0) note_failure(pg, done ? UNKNOWN : LOST, "the connection broke");
    return done > 0 ? 0 : KIT_FAILED;
}

static int pg_commit(struct kit_db *db)
{
    struct pg *pg = pg_of(db);
    free_held(pg);
    if (!pg->conn || pg->is_broken) return KIT_FAILED;
    int failed = pg->writes ? commit_write(pg) : send_text(pg, "COMMIT") || sync_pipeline(pg) ? KIT_FAILED : 0;
    if (!failed) pg->is_open = false;
    return failed;
}

static int pg_lock(struct kit_db *db, const int64_t *keys, size_t count)
{
    char *list = malloc(count * 21 + 3);
    if (!list) return KIT_FAILED;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += (size_t)sprintf(list + n, "%c%lld", i ? ',' : '{', (long long)keys[i]);
    strcpy(list + n, "}");
    /* In the order of the list. */
    int failed = kit_db_run(db,
                            "SELECT pg_advisory_xact_lock(key) FROM (SELECT key FROM unnest(CAST(? AS bigint[]))"
                            " WITH ORDINALITY AS list(key, place) ORDER BY place) AS sorted",
                            "t", list);
    free(list);
    return failed;
}

static int pg_try_lock(struct kit_db *db, int64_t key)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT pg_try_advisory_xact_lock(?)", "i", key) != KIT_ROW) return KIT_FAILED;
    bool has = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return has ? 0 : KIT_FAILED;
}

static int pg_begin_part(struct kit_db *db)
{
    struct pg *pg = pg_of(db);
    free_held(pg);
    pg->part++;
    pg->changed = 0;
    return pg->conn && !pg->is_broken ? 0 : KIT_FAILED;
}

/* There are no savepoints: what wrote nothing needs none. */
static enum kit_part pg_end_part(struct kit_db *db, bool undo)
{
    struct pg *pg = pg_of(db);
    if (undo) take_answers(pg, NULL);
    free_held(pg);
    if (!pg->conn) return KIT_PART_GONE;
    return pg->is_broken || (undo && pg->changed) ? KIT_PART_STUCK : KIT_PART_DONE;
}

static bool pg_is_stuck(const struct kit_db *db)
{
    const struct pg *pg = (const struct pg *)(const void *)db;
    return pg->is_broken && strncmp(pg->sqlstate, "08", 2) != 0 && strncmp(pg->sqlstate, "57P", 3) != 0;
}

/* Serialization failure, deadlock. */
static bool pg_may_retry(const struct kit_db *db)
{
    const struct pg *pg = (const struct pg *)(const void *)db;
    return pg->is_broken && (!strcmp(pg->sqlstate, "40001") || !strcmp(pg->sqlstate, "40P01"));
}

/* ----------------------------------------------------------------- failures */

/* By SQLSTATE, or its class. */
static const struct {
    const char *state;
    int code;
    const char *message;
} failures[] = {
    {UNKNOWN, 503, "the server is stopping; whether this was stored is not known"},
    {"08", 503, KIT_STORE_AWAY},
    {"57P", 503, KIT_STORE_AWAY},
    {"53100", 507, "the store is full; nothing was stored"},
    {"53", 503, "the store has no resources left; nothing was stored"},
    {"40", 503, "the store is busy with the same data; nothing was stored"},
    {"55P03", 503, "the store is locked by another program; nothing was stored"},
    {"57014", 503, "the store took too long; nothing was stored"},
    {READ_ONLY, 503, "the store does not take writes now; nothing was stored"}, /* but a reader that writes is wrong */
};

static int pg_fail(struct kit_db *db, struct kit_failure *failure)
{
    struct pg *pg = pg_of(db);
    atomic_fetch_add(&pg->errors, 1);
    /* Put off until now. */
    if (!pg->is_broken && pg->conn) take_answers(pg, NULL);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        const char *state = failures[i].state;
        if (!pg->writes && !strcmp(state, READ_ONLY)) continue;
        if (strncmp(pg->sqlstate, state, strlen(state)) != 0) continue;
        return kit_fail(failure, failures[i].code, NULL, "%s", failures[i].message);
    }
    const char *why = pg->is_broken ? pg->message : KIT_ROW_MISSING;
    return kit_fail(failure, 500, NULL, "the store failed (%s); nothing was stored", why);
}

/* ------------------------------------------------------------------- schema */

/* Outside the pipeline, which takes one statement at a time; the transaction stays open. */
static int run_plain(struct pg *pg, const char *sql, char *text, size_t size)
{
    if (sync_pipeline(pg) || !PQexitPipelineMode(pg->conn)) return KIT_FAILED;
    PGresult *result = PQexec(pg->conn, sql);
    bool is_fine = is_good(result);
    if (!is_fine) note_result(pg, result);
    bool has_value = is_fine && PQntuples(result) && PQnfields(result);
    if (text) snprintf(text, size, "%s", has_value ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    if (PQstatus(pg->conn) == CONNECTION_BAD || !PQenterPipelineMode(pg->conn)) return lose(pg);
    return is_fine ? 0 : KIT_FAILED;
}

static int run_translated(struct pg *pg, const char *sql, char *text, size_t size)
{
    char *translated = kit_pg_translate(sql);
    if (!translated) note_no_memory(pg);
    int failed = translated && pg->conn ? run_plain(pg, translated, text, size) : KIT_FAILED;
    free(translated);
    return failed;
}

static int pg_ask(struct kit_db *db, const char *sql, char *text, size_t size)
{
    return run_translated(pg_of(db), sql, text, size);
}

static int pg_run_script(struct kit_db *db, const char *sql)
{
    return run_translated(pg_of(db), sql, NULL, 0);
}

/* One program changes the schema at a time, and takes the time that it needs. */
static int pg_begin_schema(struct kit_db *db)
{
    if (pg_begin(db, KIT_ACCESS_WRITE)) return KIT_FAILED;
    return run_plain(pg_of(db),
                     "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;"
                     "SELECT pg_advisory_xact_lock(hashtext('parley ' || coalesce(current_schema(), '')));"
                     "CREATE TABLE IF NOT EXISTS store_nodes (node TEXT COLLATE \"C\" PRIMARY KEY, n BIGINT NOT NULL,"
                     " at TIMESTAMPTZ NOT NULL);"
                     "DELETE FROM store_nodes WHERE at < now() - interval '" STALE_NODES "'",
                     NULL, 0);
}

static int pg_get_version(struct kit_db *db, int *version)
{
    char text[16];
    int failed = run_plain(pg_of(db), "SELECT to_regclass('migrations') IS NOT NULL", text, sizeof text);
    *version = text[0] == 't' ? KIT_STORE_VERSION : 0;
    return failed;
}

/* That the table is there says it. */
static int pg_set_version(struct kit_db *db, int version)
{
    (void)db, (void)version;
    return 0;
}

/* -------------------------------------------------------------- open, close */

struct home {
    struct kit_home home;
    struct kit_pg_link *link;
};

static struct kit_home *pg_open_home(const struct kit_config *config, char *error, size_t error_size)
{
    struct home *home = calloc(1, sizeof *home);
    if (!home) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    home->home = (struct kit_home){&kit_postgresql, config};
    home->link =
        kit_store_make_directory(config, error, error_size) ? NULL : kit_pg_link_new(config, error, error_size);
    if (home->link) return &home->home;
    free(home);
    return NULL;
}

static struct kit_pg_link *link_of(const struct kit_home *home)
{
    return ((const struct home *)(const void *)home)->link;
}

static void pg_close_home(struct kit_home *home)
{
    kit_pg_link_free(link_of(home));
    free(home);
}

static bool pg_is_away(const struct kit_home *home)
{
    return kit_pg_link_is_away(link_of(home));
}

static void pg_close(struct kit_db *db)
{
    struct pg *pg = pg_of(db);
    if (!pg) return;
    free_held(pg);
    if (pg->conn && pg->commits && !kit_pg_link_is_away(pg->link)) {
        pg->is_broken = false;
        if (!kit_db_run(db, "DELETE FROM store_nodes WHERE node=?", "t", pg->node)) sync_pipeline(pg);
    }
    disconnect(pg);
    for (size_t i = 0; i < pg->statements.slot_count; i++) free_statement(pg->statements.items[i]);
    base_table_clear(&pg->statements);
    free(pg);
}

static struct kit_db *pg_open(struct kit_home *home, enum kit_access access, char *error, size_t error_size)
{
    struct pg *pg = calloc(1, sizeof *pg);
    unsigned char id[(NODE_SIZE - 1) / 2];
    if (!pg) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    pg->db.engine = &kit_postgresql;
    pg->link = link_of(home);
    pg->config = home->config;
    pg->access = access;
    randombytes_buf(id, sizeof id);
    sodium_bin2hex(pg->node, sizeof pg->node, id, sizeof id);
    if (!connect_again(pg)) return &pg->db;
    snprintf(error, error_size, "cannot open another connection to the database: %s", pg->message);
    pg_close(&pg->db);
    return NULL;
}

static void pg_abandon(struct kit_db *db)
{
    atomic_store(&pg_of(db)->abandoned, true);
}

static uint64_t pg_error_count(const struct kit_db *db)
{
    return atomic_load(&((const struct pg *)(const void *)db)->errors);
}

const struct kit_engine kit_postgresql = {
    .name = "PostgreSQL",
    .open_home = pg_open_home,
    .close_home = pg_close_home,
    .open = pg_open,
    .close = pg_close,
    .is_away = pg_is_away,
    .query = pg_query,
    .query_many = pg_query_many,
    .next = pg_next,
    .end = pg_end,
    .get_int = pg_get_int,
    .get_bytes = pg_get_bytes,
    .run = pg_run,
    .run_many = pg_run_many,
    .change = pg_change,
    .ask = pg_ask,
    .fail = pg_fail,
    .begin = pg_begin,
    .commit = pg_commit,
    .roll_back = pg_roll_back,
    .lock = pg_lock,
    .try_lock = pg_try_lock,
    .begin_part = pg_begin_part,
    .end_part = pg_end_part,
    .is_stuck = pg_is_stuck,
    .may_retry = pg_may_retry,
    .begin_schema = pg_begin_schema,
    .run_script = pg_run_script,
    .get_version = pg_get_version,
    .set_version = pg_set_version,
    .abandon = pg_abandon,
    .error_count = pg_error_count,
};
