/* SQLite as an engine of the store: a file in WAL mode in the directory of the data. */
#include "kit_engine.h"

#include <base_check.h>
#include <base_table.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct prepared {
    const char *sql;
    sqlite3_stmt *statement;
    struct prepared *next_used;
    bool is_used; /* in the operation that runs */
};

struct home {
    struct kit_home home;
    char path[1200];
};

struct lite {
    struct kit_db db;
    sqlite3 *sqlite;
    struct base_table statements;
    struct prepared *used; /* those to be reset */
    atomic_uint_fast64_t errors;
    uint32_t busy_timeout_ms;
    atomic_bool abandoned;
};

#define BUSY_NAP_MS 5
#define BUSY_SHORT_NAPS 20 /* of 1 ms: other workers hold the lock for one transaction */

/* SQLite asks whether to try again for a lock that somebody else holds. */
static int on_busy(void *ctx, int tries)
{
    struct lite *lite = ctx;
    bool is_short = tries < BUSY_SHORT_NAPS;
    uint64_t waited_ms =
        is_short ? (uint64_t)tries : BUSY_SHORT_NAPS + (uint64_t)(tries - BUSY_SHORT_NAPS) * BUSY_NAP_MS;
    if (atomic_load(&lite->abandoned) || waited_ms >= lite->busy_timeout_ms) return 0;
    sqlite3_sleep(is_short ? 1 : BUSY_NAP_MS);
    return 1;
}

static struct lite *lite_of(struct kit_db *db)
{
    return container_of(db, struct lite, db);
}

static void lite_abandon(struct kit_db *db)
{
    atomic_store(&lite_of(db)->abandoned, true);
}

static uint64_t lite_error_count(const struct kit_db *db)
{
    return db ? atomic_load(&((const struct lite *)(const void *)db)->errors) : 0;
}

/* --------------------------------------------------------------- statements */

static struct prepared *prepare(struct lite *lite, const char *sql)
{
    struct prepared *prepared = calloc(1, sizeof *prepared);
    if (!prepared) return NULL;
    prepared->sql = sql;
    if (sqlite3_prepare_v3(lite->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared->statement, NULL) ||
        base_table_add(&lite->statements, kit_literal_hash(sql), prepared)) {
        sqlite3_finalize(prepared->statement);
        free(prepared);
        return NULL;
    }
    return prepared;
}

/* The statement of a literal, reset. NULL: the connection says why. */
static sqlite3_stmt *find_statement(struct lite *lite, const char *sql)
{
    size_t at;
    uint32_t hash = kit_literal_hash(sql);
    struct prepared *prepared = base_table_first(&lite->statements, hash, &at);
    while (prepared && prepared->sql != sql) prepared = base_table_next(&lite->statements, hash, &at);
    if (prepared)
        sqlite3_reset(prepared->statement);
    else if (!(prepared = prepare(lite, sql)))
        return NULL;
    if (!prepared->is_used) {
        prepared->next_used = lite->used;
        lite->used = prepared;
        prepared->is_used = true;
    }
    return prepared->statement;
}

static int bind_one(sqlite3_stmt *statement, int at, const struct kit_value *value)
{
    if (value->kind == 'i') return sqlite3_bind_int64(statement, at, value->number);
    if (value->kind == 'x') return sqlite3_bind_blob64(statement, at, value->bytes, value->size, SQLITE_STATIC);
    return sqlite3_bind_text64(statement, at, value->bytes, value->size, SQLITE_STATIC, SQLITE_UTF8);
}

static enum kit_step step_of(sqlite3_stmt *statement)
{
    int error = sqlite3_step(statement);
    if (error == SQLITE_ROW) return KIT_ROW;
    return error == SQLITE_DONE ? KIT_DONE : KIT_FAILED;
}

static enum kit_step run_statement(struct lite *lite, sqlite3_stmt **statement, const char *sql,
                                   const struct kit_value *values, size_t count)
{
    int error = SQLITE_OK;
    *statement = find_statement(lite, sql);
    if (!*statement) return KIT_FAILED;
    for (size_t i = 0; i < count && !error; i++) error = bind_one(*statement, (int)i + 1, &values[i]);
    return error ? KIT_FAILED : step_of(*statement);
}

static enum kit_step lite_query(struct kit_db *db, struct kit_rows *rows, const char *sql,
                                const struct kit_value *values, size_t count)
{
    sqlite3_stmt *statement;
    enum kit_step step = run_statement(lite_of(db), &statement, sql, values, count);
    *rows = (struct kit_rows){.db = db, .result = step == KIT_ROW ? statement : NULL};
    return step;
}

static enum kit_step lite_next(struct kit_rows *rows)
{
    enum kit_step step = step_of(rows->result);
    if (step != KIT_ROW) rows->result = NULL;
    return step;
}

static void lite_end(struct kit_rows *rows)
{
    sqlite3_reset(rows->result);
    rows->result = NULL;
}

static int64_t lite_get_int(const struct kit_rows *rows, int column)
{
    return sqlite3_column_int64(rows->result, column);
}

static struct eio_str lite_get_bytes(const struct kit_rows *rows, int column)
{
    bool is_blob = sqlite3_column_type(rows->result, column) == SQLITE_BLOB;
    const void *bytes =
        is_blob ? sqlite3_column_blob(rows->result, column) : (const void *)sqlite3_column_text(rows->result, column);
    return (struct eio_str){bytes, (size_t)sqlite3_column_bytes(rows->result, column)};
}

static int64_t lite_change(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count)
{
    sqlite3_stmt *statement;
    enum kit_step step = run_statement(lite_of(db), &statement, sql, values, count);
    if (step == KIT_FAILED) return KIT_FAILED;
    int64_t changed = sqlite3_changes64(lite_of(db)->sqlite);
    sqlite3_reset(statement);
    return changed;
}

static int lite_run(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count)
{
    return lite_change(db, sql, values, count) < 0 ? KIT_FAILED : 0;
}

static int lite_ask(struct kit_db *db, const char *sql, char *text, size_t size)
{
    sqlite3_stmt *statement = NULL;
    int error = sqlite3_prepare_v2(lite_of(db)->sqlite, sql, -1, &statement, NULL);
    enum kit_step step = error ? KIT_FAILED : step_of(statement);
    const char *value = step == KIT_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    snprintf(text, size, "%s", value ? value : "");
    sqlite3_finalize(statement);
    return step == KIT_FAILED ? KIT_FAILED : 0;
}

static int lite_run_script(struct kit_db *db, const char *sql)
{
    return sqlite3_exec(lite_of(db)->sqlite, sql, NULL, NULL, NULL) ? KIT_FAILED : 0;
}

/* ------------------------------------------------------------- transactions */

static int exec(struct lite *lite, const char *sql)
{
    sqlite3_stmt *statement = find_statement(lite, sql);
    if (!statement) return KIT_FAILED;
    enum kit_step step = step_of(statement);
    sqlite3_reset(statement);
    return step == KIT_FAILED ? KIT_FAILED : 0;
}

/* Statements that stand on a row would keep the savepoint or the commit from ending. */
static void reset_all(struct lite *lite)
{
    for (; lite->used; lite->used = lite->used->next_used) {
        sqlite3_reset(lite->used->statement);
        sqlite3_clear_bindings(lite->used->statement);
        lite->used->is_used = false;
    }
}

static bool lite_is_open(struct kit_db *db)
{
    return !sqlite3_get_autocommit(lite_of(db)->sqlite);
}

static int lite_begin(struct kit_db *db, enum kit_access access)
{
    return access == KIT_ACCESS_WRITE ? exec(lite_of(db), "BEGIN IMMEDIATE") : exec(lite_of(db), "BEGIN");
}

static void lite_roll_back(struct kit_db *db)
{
    reset_all(lite_of(db));
    if (lite_is_open(db)) exec(lite_of(db), "ROLLBACK");
}

static int lite_commit(struct kit_db *db)
{
    reset_all(lite_of(db));
    return exec(lite_of(db), "COMMIT");
}

static int lite_begin_part(struct kit_db *db)
{
    return exec(lite_of(db), "SAVEPOINT part");
}

/* A full disk and the like end the whole transaction. */
static enum kit_part lite_end_part(struct kit_db *db, bool undo)
{
    reset_all(lite_of(db));
    if (!lite_is_open(db)) return KIT_PART_GONE;
    int failed = undo ? exec(lite_of(db), "ROLLBACK TO part") : 0;
    if (!failed) failed = exec(lite_of(db), "RELEASE part");
    if (!failed) return KIT_PART_DONE;
    lite_roll_back(db);
    return KIT_PART_GONE;
}

/* ------------------------------------------------------------------ schema */

static int lite_begin_schema(struct kit_db *db)
{
    return lite_run_script(db, "BEGIN IMMEDIATE");
}

static int lite_get_version(struct kit_db *db, int *version)
{
    char text[32];
    int failed = lite_ask(db, "PRAGMA user_version", text, sizeof text);
    *version = atoi(text);
    return failed;
}

static int lite_set_version(struct kit_db *db, int version)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA user_version=%d", version);
    return lite_run_script(db, text);
}

/* ------------------------------------------------------------------ errors */

static int last_errno(sqlite3_file *file)
{
    int cause = 0;
    bool knows =
        file && file->pMethods && file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &cause) == SQLITE_OK;
    return knows ? cause : 0;
}

/* A file that may not grow: because of the disk, a quota, or the process's own limit. SQLite has a code for the first
 * alone; of the others the file knows, the database or its journal. */
static bool is_full(const struct lite *lite, int error)
{
    static const int files[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
    for (size_t i = 0; error == SQLITE_IOERR && i < sizeof files / sizeof files[0]; i++) {
        sqlite3_file *file = NULL;
        sqlite3_file_control(lite->sqlite, NULL, files[i], &file);
        int cause = last_errno(file);
        if (cause == EFBIG || cause == EDQUOT || cause == ENOSPC) return true;
    }
    return error == SQLITE_FULL;
}

static int lite_fail(struct kit_db *db, struct kit_failure *failure)
{
    struct lite *lite = lite_of(db);
    int error = sqlite3_errcode(lite->sqlite);
    bool has_failed = error != SQLITE_OK && error != SQLITE_ROW && error != SQLITE_DONE;
    const char *text = has_failed ? sqlite3_errmsg(lite->sqlite) : KIT_ROW_MISSING;
    atomic_fetch_add(&lite->errors, 1);
    if (is_full(lite, error)) return kit_fail(failure, 507, NULL, "the store is full; nothing was stored");
    if (error == SQLITE_BUSY || error == SQLITE_LOCKED)
        return kit_fail(failure, 503, NULL, "the store is locked by another program; nothing was stored");
    return kit_fail(failure, 500, NULL, "the store failed (%s); nothing was stored", text);
}

/* -------------------------------------------------------------- open, close */

static void lite_close(struct kit_db *db)
{
    struct lite *lite = lite_of(db);
    if (!lite) return;
    for (size_t i = 0; i < lite->statements.slot_count; i++) {
        struct prepared *prepared = lite->statements.items[i];
        if (prepared) sqlite3_finalize(prepared->statement);
        free(prepared);
    }
    base_table_clear(&lite->statements);
    sqlite3_close(lite->sqlite);
    free(lite);
}

/* Where the database is. Returns 0 or EIO_ESYS with a line in error. */
static int make_path(const struct kit_config *config, char *path, size_t size, char *error, size_t error_size)
{
    static atomic_uint memory_count;
    if (!strcmp(config->data, ":memory:")) {
        /* The memdb file system lets several connections of this process share one database. */
        snprintf(path, size, "file:/parley-%u?vfs=memdb", atomic_fetch_add(&memory_count, 1));
        return 0;
    }
    if (kit_store_make_directory(config, error, error_size)) return EIO_ESYS;
    if ((size_t)snprintf(path, size, "%s/parley.db", config->data) >= size) {
        kit_config_refuse(config, "data", "a shorter path", error, error_size);
        return EIO_ESYS;
    }
    return 0;
}

static struct kit_home *lite_open_home(const struct kit_config *config, char *error, size_t error_size)
{
    struct home *home = calloc(1, sizeof *home);
    if (!home) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    home->home = (struct kit_home){&kit_sqlite, config};
    /* Else each of its allocations takes a lock for statistics that nobody reads. Refused once SQLite runs. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (!make_path(config, home->path, sizeof home->path, error, error_size)) return &home->home;
    free(home);
    return NULL;
}

static void lite_close_home(struct kit_home *home)
{
    free(home);
}

/* Pragmas answer with a row, so they are prepared, stepped and dropped. */
static int set_up(struct lite *lite, const struct kit_config *config, enum kit_access access)
{
    const char *pragmas[] = {"PRAGMA journal_mode=WAL",
                             config->store_sync == KIT_SYNC_FULL ? "PRAGMA synchronous=FULL"
                                                                 : "PRAGMA synchronous=NORMAL",
                             "PRAGMA foreign_keys=ON", "PRAGMA temp_store=MEMORY",
                             /* What is deleted is overwritten. Debian's library does so by itself, others do not. */
                             "PRAGMA secure_delete=ON",
                             /* Not SQLITE_OPEN_READONLY: a reader of a WAL database must be able to make its shared
                              * memory. */
                             access == KIT_ACCESS_READ ? "PRAGMA query_only=ON" : "PRAGMA query_only=OFF"};
    int error = SQLITE_OK;
    for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0] && !error; i++)
        error = sqlite3_exec(lite->sqlite, pragmas[i], NULL, NULL, NULL);
    return error;
}

static struct kit_db *lite_open(struct kit_home *home, enum kit_access access, char *error, size_t error_size)
{
    const struct kit_config *config = home->config;
    const char *path = ((const struct home *)(const void *)home)->path;
    struct lite *lite = calloc(1, sizeof *lite);
    if (!lite) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    lite->db.engine = &kit_sqlite;
    lite->busy_timeout_ms = config->store_busy_timeout_ms;
    int failed = sqlite3_open_v2(path, &lite->sqlite, flags, NULL);
    if (!failed) failed = sqlite3_busy_handler(lite->sqlite, on_busy, lite);
    if (!failed) failed = set_up(lite, config, access);
    if (!failed) return &lite->db;
    char allowed[300];
    snprintf(allowed, sizeof allowed, "a directory with a database that can be used: %s",
             lite->sqlite ? sqlite3_errmsg(lite->sqlite) : "out of memory");
    kit_config_refuse(config, "data", allowed, error, error_size);
    lite_close(&lite->db);
    return NULL;
}

const struct kit_engine kit_sqlite = {
    .name = "SQLite",
    .open_home = lite_open_home,
    .close_home = lite_close_home,
    .open = lite_open,
    .close = lite_close,
    .query = lite_query,
    .next = lite_next,
    .end = lite_end,
    .get_int = lite_get_int,
    .get_bytes = lite_get_bytes,
    .run = lite_run,
    .change = lite_change,
    .ask = lite_ask,
    .fail = lite_fail,
    .begin = lite_begin,
    .commit = lite_commit,
    .roll_back = lite_roll_back,
    .begin_part = lite_begin_part,
    .end_part = lite_end_part,
    .begin_schema = lite_begin_schema,
    .run_script = lite_run_script,
    .get_version = lite_get_version,
    .set_version = lite_set_version,
    .abandon = lite_abandon,
    .error_count = lite_error_count,
};
