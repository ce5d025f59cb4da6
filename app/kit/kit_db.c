/* One SQLite connection with its prepared statements. */
#include "kit_store_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATEMENTS_MAX 256

struct kit_db {
    sqlite3 *sqlite;
    /* Keyed by the literal's address: every statement is written once in the sources. */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[STATEMENTS_MAX];
    size_t statement_count;
    atomic_uint_fast64_t errors;
    uint32_t busy_timeout_ms;
    atomic_bool abandoned;
};

#define BUSY_NAP_MS 5
#define BUSY_SHORT_NAPS 20 /* of 1 ms: other workers hold the lock for one transaction */

/* SQLite asks whether to try again for a lock that somebody else holds. */
static int on_busy(void *ctx, int tries)
{
    struct kit_db *db = ctx;
    bool is_short = tries < BUSY_SHORT_NAPS;
    uint64_t waited_ms =
        is_short ? (uint64_t)tries : BUSY_SHORT_NAPS + (uint64_t)(tries - BUSY_SHORT_NAPS) * BUSY_NAP_MS;
    if (atomic_load(&db->abandoned) || waited_ms >= db->busy_timeout_ms) return 0;
    sqlite3_sleep(is_short ? 1 : BUSY_NAP_MS);
    return 1;
}

void kit_db_abandon(struct kit_db *db)
{
    atomic_store(&db->abandoned, true);
}

sqlite3 *kit_db_sqlite(struct kit_db *db)
{
    return db->sqlite;
}

uint64_t kit_db_error_count(const struct kit_db *db)
{
    return db ? atomic_load(&db->errors) : 0;
}

static int prepare(struct kit_db *db, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

sqlite3_stmt *kit_db_statement(struct kit_db *db, const char *sql)
{
    for (size_t i = 0; i < db->statement_count; i++) {
        if (db->statements[i].sql != sql) continue;
        sqlite3_reset(db->statements[i].statement);
        return db->statements[i].statement;
    }
    sqlite3_stmt *statement;
    if (db->statement_count == STATEMENTS_MAX || prepare(db, sql, &statement)) return NULL;
    db->statements[db->statement_count].sql = sql;
    db->statements[db->statement_count++].statement = statement;
    return statement;
}

void kit_db_reset_all(struct kit_db *db)
{
    for (size_t i = 0; i < db->statement_count; i++) {
        sqlite3_reset(db->statements[i].statement);
        sqlite3_clear_bindings(db->statements[i].statement);
    }
}

int kit_db_exec(struct kit_db *db, const char *sql)
{
    sqlite3_stmt *statement = kit_db_statement(db, sql);
    if (!statement) return SQLITE_ERROR;
    int error = sqlite3_step(statement);
    sqlite3_reset(statement);
    return error == SQLITE_DONE || error == SQLITE_ROW ? SQLITE_OK : error;
}

int kit_db_step(sqlite3_stmt *statement, const char *format, ...)
{
    va_list args;
    int error = SQLITE_OK;
    if (!statement) return SQLITE_ERROR;
    va_start(args, format);
    for (int i = 1; format[i - 1] && !error; i++) {
        if (format[i - 1] == 'i') {
            error = sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
        } else if (format[i - 1] == 't') {
            error = sqlite3_bind_text(statement, i, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else {
            const char *text = va_arg(args, const char *);
            error = sqlite3_bind_text64(statement, i, text, va_arg(args, size_t), SQLITE_STATIC, SQLITE_UTF8);
        }
    }
    va_end(args);
    return error ? error : sqlite3_step(statement);
}

static int last_errno(sqlite3_file *file)
{
    int cause = 0;
    bool knows =
        file && file->pMethods && file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &cause) == SQLITE_OK;
    return knows ? cause : 0;
}

/* A file that may not grow: because of the disk, a quota, or the process's own limit. SQLite has a code for the first
 * alone; of the others the file knows, the database or its journal. */
static bool is_full(const struct kit_db *db, int error)
{
    static const int files[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
    for (size_t i = 0; error == SQLITE_IOERR && i < sizeof files / sizeof files[0]; i++) {
        sqlite3_file *file = NULL;
        sqlite3_file_control(db->sqlite, NULL, files[i], &file);
        int cause = last_errno(file);
        if (cause == EFBIG || cause == EDQUOT || cause == ENOSPC) return true;
    }
    return error == SQLITE_FULL;
}

int kit_db_fail(struct kit_db *db, struct kit_failure *failure)
{
    int error = sqlite3_errcode(db->sqlite);
    const char *text = sqlite3_errmsg(db->sqlite);
    atomic_fetch_add(&db->errors, 1);
    if (is_full(db, error)) return kit_fail(failure, 507, NULL, "the store is full; nothing was stored");
    if (error == SQLITE_BUSY || error == SQLITE_LOCKED)
        return kit_fail(failure, 503, NULL, "the store is locked by another program; nothing was stored");
    return kit_fail(failure, 500, NULL, "the store failed (%s); nothing was stored", text);
}

void kit_db_close(struct kit_db *db)
{
    if (!db) return;
    for (size_t i = 0; i < db->statement_count; i++) sqlite3_finalize(db->statements[i].statement);
    sqlite3_close(db->sqlite);
    free(db);
}

int kit_store_make_directory(const struct kit_config *config, char *error, size_t error_size)
{
    if (!strcmp(config->data, ":memory:") || !mkdir(config->data, 0700) || errno == EEXIST) return 0;
    char allowed[160];
    snprintf(allowed, sizeof allowed, "a directory that is there or can be made: %s", strerror(errno));
    kit_config_refuse(config, "data", allowed, error, error_size);
    return EIO_ESYS;
}

void kit_store_each_open_file(const struct kit_config *config, void (*fn)(const char *path, unsigned mode))
{
    static const char *const names[] = {"", "/parley.db", "/parley.db-wal", "/parley.db-shm", "/dev-jwt.key"};
    char path[1200];
    struct stat info;
    bool is_secret = config->jwt_key_file[0] && config->jwt_algorithm == KIT_JWT_HS256;
    if (is_secret && !stat(config->jwt_key_file, &info) && info.st_mode & (S_IRWXG | S_IRWXO))
        fn(config->jwt_key_file, info.st_mode & 07777);
    if (!strcmp(config->data, ":memory:")) return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s%s", config->data, names[i]) >= sizeof path) continue;
        if (!stat(path, &info) && info.st_mode & (S_IRWXG | S_IRWXO)) fn(path, info.st_mode & 07777);
    }
}

int kit_store_path(const struct kit_config *config, char *path, size_t size, char *error, size_t error_size)
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

/* Pragmas answer with a row, so they are prepared, stepped and dropped. */
static int set_up(struct kit_db *db, const struct kit_config *config)
{
    const char *pragmas[] = {"PRAGMA journal_mode=WAL",
                             config->store_sync == KIT_SYNC_FULL ? "PRAGMA synchronous=FULL"
                                                                 : "PRAGMA synchronous=NORMAL",
                             "PRAGMA foreign_keys=ON", "PRAGMA temp_store=MEMORY"};
    for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
        int error = sqlite3_exec(db->sqlite, pragmas[i], NULL, NULL, NULL);
        if (error) return error;
    }
    return SQLITE_OK;
}

struct kit_db *kit_db_open(const char *path, const struct kit_config *config, bool writes, char *error,
                           size_t error_size)
{
    struct kit_db *db = calloc(1, sizeof *db);
    if (!db) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    int failed = sqlite3_open_v2(path, &db->sqlite, flags, NULL);
    db->busy_timeout_ms = config->store_busy_timeout_ms;
    if (!failed) failed = sqlite3_busy_handler(db->sqlite, on_busy, db);
    if (!failed) failed = set_up(db, config);
    /* Not SQLITE_OPEN_READONLY: a reader of a WAL database must be able to make its shared memory. */
    if (!failed && !writes) failed = sqlite3_exec(db->sqlite, "PRAGMA query_only=ON", NULL, NULL, NULL);
    if (!failed) return db;
    char allowed[300];
    snprintf(allowed, sizeof allowed, "a directory with a database that can be used: %s",
             db->sqlite ? sqlite3_errmsg(db->sqlite) : "out of memory");
    kit_config_refuse(config, "data", allowed, error, error_size);
    kit_db_close(db);
    return NULL;
}
