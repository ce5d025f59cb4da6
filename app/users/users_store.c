/* Users in the store. */
#include "users_int.h"

#include <stdlib.h>
#include <string.h>

const char *const users_migrations[] = {
    /* 1 */
    "CREATE TABLE users ("
    " name TEXT PRIMARY KEY,"
    " hash TEXT NOT NULL," /* of the password: Argon2id, as libsodium writes it */
    " role TEXT NOT NULL,"
    " calls TEXT NOT NULL," /* '*' or ids, separated by commas */
    " created_ms INTEGER NOT NULL,"
    " changed_ms INTEGER NOT NULL) WITHOUT ROWID;",
    /* 2 */
    /* From when on a user's tokens are valid; the highest seq is the newest change. */
    "CREATE TABLE user_cutoffs ("
    " tenant TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " seq INTEGER NOT NULL,"
    " not_before_s INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, name)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX user_cutoffs_by_seq ON user_cutoffs(seq);",
    /* 3 */
    "ALTER TABLE users ADD COLUMN chats TEXT NOT NULL DEFAULT '';", /* others' that may be watched, as calls */
    NULL,
};

void users_row_clear(struct users_row *row)
{
    free(row->calls);
    free(row->chats);
    sodium_memzero(row, sizeof *row);
}

#define COLUMNS "name, hash, role, calls, created_ms, chats"

/* Of COLUMNS. */
static int read_row(const struct kit_rows *rows, struct users_row *row)
{
    memset(row, 0, sizeof *row);
    snprintf(row->name, sizeof row->name, "%s", kit_rows_text(rows, 0));
    snprintf(row->hash, sizeof row->hash, "%s", kit_rows_text(rows, 1));
    snprintf(row->role, sizeof row->role, "%s", kit_rows_text(rows, 2));
    row->calls = strdup(kit_rows_text(rows, 3));
    row->created_ms = kit_rows_int(rows, 4);
    row->chats = strdup(kit_rows_text(rows, 5));
    return row->calls && row->chats ? 0 : EIO_ENOMEM;
}

int users_find(struct kit_db *db, const char *name, struct users_row *row, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT " COLUMNS " FROM users WHERE name=?", "t", name);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/name", "user not found");
    int error = read_row(&rows, row);
    kit_rows_end(&rows);
    return error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

int users_put(struct kit_db *db, const struct users_row *row, int64_t now_ms, bool *is_new, struct kit_failure *failure)
{
    int64_t changed = kit_db_change(
        db,
        "UPDATE users SET hash=coalesce(nullif(?2, ''), users.hash), role=coalesce(nullif(?3, ''), users.role),"
        " calls=coalesce(?4, users.calls), chats=coalesce(?6, users.chats), changed_ms=?5 WHERE name=?1",
        "ttttit", row->name, row->hash, row->role, row->calls, now_ms, row->chats);
    if (changed < 0) return kit_db_fail(db, failure);
    if (is_new) *is_new = !changed;
    if (changed) return 0;
    if (!row->hash[0]) return kit_fail(failure, 400, "/password", "a new user needs a password");
    if (kit_db_run(db, "INSERT INTO users(" COLUMNS ", changed_ms) VALUES (?1,?2,?3,?4,?5,?6,?5)", "ttttit", row->name,
                   row->hash, row->role[0] ? row->role : "agent", row->calls ? row->calls : "", now_ms,
                   row->chats ? row->chats : ""))
        return kit_db_fail(db, failure);
    return 0;
}

int users_remove(struct kit_db *db, const char *name, struct kit_failure *failure)
{
    int64_t count = kit_db_change(db, "DELETE FROM users WHERE name=?", "t", name);
    if (count < 0) return kit_db_fail(db, failure);
    return count ? 0 : kit_fail(failure, 404, "/name", "user not found");
}

int users_each(struct kit_db *db, const char *after, int64_t limit, void (*fn)(void *ctx, const struct users_row *row),
               void *ctx, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT " COLUMNS " FROM users WHERE name > ? ORDER BY name LIMIT ?",
                                      "ti", after, limit);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct users_row row;
        int error = read_row(&rows, &row);
        if (!error) fn(ctx, &row);
        users_row_clear(&row);
        if (error) return kit_fail(failure, 503, NULL, "out of memory");
    }
    return step == KIT_DONE ? 0 : kit_db_fail(db, failure);
}
