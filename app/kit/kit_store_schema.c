/* Brings the database to what the modules expect of it: runs the steps of each (kit_module.h) that it does not have
 * yet, and counts them in the table `migrations`. Not its job: what the steps do. */
#include "kit_engine.h"
#include "kit_module.h"

#include <stdlib.h>
#include <string.h>

/* Until 4 the version of the database counted the steps of all modules; since 5 there is the table. */
#define VERSION KIT_STORE_VERSION

/* The steps of each module that such a database has. */
static const struct {
    const char *module;
    int steps[VERSION];
} former[] = {{"calls", {0, 1, 1, 1, 2}}, {"knowledge", {0, 1, 2, 3, 3}}};

static int write_steps(struct kit_db *db, const char *module, int steps)
{
    return kit_db_run(db,
                      "INSERT INTO migrations(module, steps) VALUES (?,?)"
                      " ON CONFLICT(module) DO UPDATE SET steps = excluded.steps",
                      "ti", module, (int64_t)steps);
}

static int read_steps(struct kit_db *db, const char *module, int *steps)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row, "SELECT steps FROM migrations WHERE module=?", "t", module);
    *steps = step == KIT_ROW ? (int)kit_rows_int(&row, 0) : 0;
    kit_rows_end(&row);
    return step == KIT_FAILED ? KIT_FAILED : 0;
}

/* Makes the table, with what a database of before has of each module. */
static int begin_counting(struct kit_db *db, int version)
{
    const struct kit_engine *engine = db->engine;
    int failed = engine->run_script(
        db, "CREATE TABLE migrations (module TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID");
    for (size_t i = 0; i < sizeof former / sizeof former[0] && !failed; i++)
        failed = write_steps(db, former[i].module, former[i].steps[version]);
    return failed ? failed : engine->set_version(db, VERSION);
}

static int migrate_module(struct kit_db *db, const struct kit_module *module, char *error, size_t error_size)
{
    int done, count = 0;
    while (module->migrations[count]) count++;
    int failed = read_steps(db, module->name, &done);
    if (!failed && done > count) {
        snprintf(error, error_size, "the database has version %d of %s; this program supports up to %d", done,
                 module->name, count);
        return EIO_EINVAL;
    }
    for (int i = done; i < count && !failed; i++) failed = db->engine->run_script(db, module->migrations[i]);
    return failed || done == count ? failed : write_steps(db, module->name, count);
}

static int migrate_all(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size)
{
    int version, failed = db->engine->get_version(db, &version);
    if (!failed && version > VERSION) {
        snprintf(error, error_size, "the database has version %d; this program supports up to %d", version, VERSION);
        return EIO_EINVAL;
    }
    if (!failed && version < VERSION) failed = begin_counting(db, version);
    for (; *modules && !failed; modules++)
        if ((*modules)->migrations) failed = migrate_module(db, *modules, error, error_size);
    return failed;
}

#define TRIES_MAX 5

static int try_to_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size)
{
    struct kit_failure why;
    error[0] = 0;
    /* The lock comes before the look: two programs may start at once. */
    int failed = db->engine->begin_schema(db);
    if (!failed) failed = migrate_all(db, modules, error, error_size);
    if (!failed) failed = db->engine->commit(db);
    if (!failed) return 0;
    kit_db_fail(db, &why);
    if (!error[0]) snprintf(error, error_size, "cannot prepare the database: %s", why.message);
    db->engine->roll_back(db);
    return EIO_ESYS;
}

int kit_store_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size)
{
    int failed = try_to_migrate(db, modules, error, error_size);
    for (int i = 1; failed && i < TRIES_MAX && db->engine->may_retry && db->engine->may_retry(db); i++)
        failed = try_to_migrate(db, modules, error, error_size);
    return failed;
}
