/* Brings the database to what the modules expect of it: runs the steps of each (kit_module.h) that it does not have
 * yet, and counts them in the table `migrations`. Not its job: what the steps do. */
#include "kit_module.h"
#include "kit_store_int.h"

#include <string.h>

/* PRAGMA user_version. Until 4 it counted the steps of all modules; since 5 there is the table. */
#define VERSION 5

/* The steps of each module that such a database has. */
static const struct {
    const char *module;
    int steps[VERSION];
} former[] = {{"calls", {0, 1, 1, 1, 2}}, {"knowledge", {0, 1, 2, 3, 3}}};

static int read_int(struct kit_db *db, const char *sql, const char *text, int *value)
{
    sqlite3_stmt *statement = NULL;
    int error = sqlite3_prepare_v2(kit_db_sqlite(db), sql, -1, &statement, NULL);
    if (!error && text) error = sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    if (!error) error = sqlite3_step(statement);
    *value = error == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return error == SQLITE_ROW || error == SQLITE_DONE ? 0 : EIO_ESYS;
}

static int write_steps(struct kit_db *db, const char *module, int steps)
{
    sqlite3_stmt *statement = NULL;
    int error =
        sqlite3_prepare_v2(kit_db_sqlite(db), "INSERT OR REPLACE INTO migrations VALUES (?, ?)", -1, &statement, NULL);
    if (!error) error = sqlite3_bind_text(statement, 1, module, -1, SQLITE_STATIC);
    if (!error) error = sqlite3_bind_int(statement, 2, steps);
    if (!error) error = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return error == SQLITE_DONE ? 0 : EIO_ESYS;
}

static int run_sql(struct kit_db *db, const char *sql)
{
    return sqlite3_exec(kit_db_sqlite(db), sql, NULL, NULL, NULL) ? EIO_ESYS : 0;
}

/* Makes the table, with what a database of before has of each module. */
static int begin_counting(struct kit_db *db, int version)
{
    char text[64];
    int failed = run_sql(db, "CREATE TABLE migrations (module TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID");
    for (size_t i = 0; i < sizeof former / sizeof former[0] && !failed; i++)
        failed = write_steps(db, former[i].module, former[i].steps[version]);
    snprintf(text, sizeof text, "PRAGMA user_version=%d", VERSION);
    return failed ? failed : run_sql(db, text);
}

static int migrate_module(struct kit_db *db, const struct kit_module *module, char *error, size_t error_size)
{
    int done, count = 0;
    while (module->migrations[count]) count++;
    int failed = read_int(db, "SELECT steps FROM migrations WHERE module=?", module->name, &done);
    if (!failed && done > count) {
        snprintf(error, error_size, "the database has version %d of %s; this program supports up to %d", done,
                 module->name, count);
        return EIO_EINVAL;
    }
    for (int i = done; i < count && !failed; i++) failed = run_sql(db, module->migrations[i]);
    return failed || done == count ? failed : write_steps(db, module->name, count);
}

static int migrate_all(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size)
{
    int version, failed = read_int(db, "PRAGMA user_version", NULL, &version);
    if (!failed && version > VERSION) {
        snprintf(error, error_size, "the database has version %d; this program supports up to %d", version, VERSION);
        return EIO_EINVAL;
    }
    if (!failed && version < VERSION) failed = begin_counting(db, version);
    for (; *modules && !failed; modules++)
        if ((*modules)->migrations) failed = migrate_module(db, *modules, error, error_size);
    return failed;
}

int kit_store_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size)
{
    sqlite3 *sqlite = kit_db_sqlite(db);
    error[0] = 0;
    /* The lock comes before the look: two programs may start at once. */
    int failed = run_sql(db, "BEGIN IMMEDIATE");
    if (!failed) failed = migrate_all(db, modules, error, error_size);
    if (!failed) failed = run_sql(db, "COMMIT");
    if (!failed) return 0;
    if (!error[0]) snprintf(error, error_size, "cannot prepare the database: %s", sqlite3_errmsg(sqlite));
    if (!sqlite3_get_autocommit(sqlite)) sqlite3_exec(sqlite, "ROLLBACK", NULL, NULL, NULL);
    return failed;
}
