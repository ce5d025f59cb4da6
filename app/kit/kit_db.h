/* SQL, whatever engine runs it. A statement is a string literal: it is prepared at its first use and known by its
 * address afterwards. What all engines understand is written in it (docs/decisions/0017-one-sql-for-two-engines.md).
 *
 *     struct kit_rows rows;
 *     enum kit_step step = kit_db_query(db, &rows, "SELECT id, name FROM things WHERE kind=? AND size>?", "ti", kind,
 * n); for (; step == KIT_ROW; step = kit_rows_next(&rows)) use(kit_rows_int(&rows, 0), kit_rows_text(&rows, 1)); if
 * (step != KIT_DONE) return kit_db_fail(db, failure);
 *
 * Arguments are bound by format, a letter each: i = int64_t; t = const char * (NULL is NULL); b = text with size (const
 * char *, size_t); x = bytes with size (const void *, size_t). They must live until the statement is over. */
#ifndef KIT_DB_H
#define KIT_DB_H

#include <engineio.h>

/* A connection and its prepared statements, used by one thread at a time. */
struct kit_db;

/* What went wrong, for the client: an HTTP-like code, 0 = nothing. */
struct kit_failure {
    int code;
    char message[160];
    char field[80];          /* JSON pointer, or "" */
    uint32_t retry_after_ms; /* when to try again; 0: not known, or a second for 503 */
};
/* Fills it in and returns code. field may be NULL. */
int kit_fail(struct kit_failure *failure, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Reports the engine's last error: 507 full, 503 locked or away, 500 otherwise. Returns the code. */
int kit_db_fail(struct kit_db *db, struct kit_failure *failure);

enum kit_step { KIT_FAILED = -1, KIT_DONE, KIT_ROW };

struct kit_many;

/* The rows of a statement. Fields are private. */
struct kit_rows {
    struct kit_db *db;
    void *result; /* the engine's; NULL: over */
    int row;
    /* Of kit_db_query_many(), where the engine asks once for each row of arguments. */
    const struct kit_many *many;
    const char *sql;
    size_t asked;
};

/* Runs a statement up to its first row. After KIT_DONE or KIT_FAILED it is over; after KIT_ROW it is when
 * kit_rows_next() has no more, at kit_rows_end(), at its next use, or at the end of the operation. */
enum kit_step kit_db_query(struct kit_db *db, struct kit_rows *rows, const char *sql, const char *format, ...);
enum kit_step kit_rows_next(struct kit_rows *rows);
void kit_rows_end(struct kit_rows *rows);
/* Of the current row. A NULL is 0, NULL, {NULL, 0}. Texts have a terminator; they and bytes live as long as the row. */
int64_t kit_rows_int(const struct kit_rows *rows, int column);
const char *kit_rows_text(const struct kit_rows *rows, int column);
struct eio_str kit_rows_bytes(const struct kit_rows *rows, int column);

/* Runs a statement that has no rows. Returns 0 or KIT_FAILED. An engine may put it off until something is asked for; a
 * failure that shows only then is the operation's. */
int kit_db_run(struct kit_db *db, const char *sql, const char *format, ...);
/* The same at once. Returns how many rows it changed, or KIT_FAILED. */
int64_t kit_db_change(struct kit_db *db, const char *sql, const char *format, ...);

/* In a write that is alone (kit_store.h): until its transaction ends no other node changes what has these names. At
 * most once for each operation, before anything is written. Returns 0 or KIT_FAILED. */
int kit_db_lock(struct kit_db *db, const char *const *names, size_t count);
/* In a write: false if another node has it now. */
bool kit_db_try_lock(struct kit_db *db, const char *name);

/* An argument of a statement. */
struct kit_value {
    char kind;         /* of the format */
    int64_t number;    /* i */
    const char *bytes; /* the others; NULL is NULL */
    size_t size;
};
#define KIT_DB_ARGUMENTS_MAX 16

/* One statement for many rows of arguments. SQLite runs it once for each row. PostgreSQL, where each statement costs,
 * runs its own text of it once: a parameter is the list of that column's values there, for unnest() and ANY(). */
struct kit_many {
    const char *format;
    struct kit_value *values; /* row by row */
    size_t columns, count, capacity;
    bool failed;
};
void kit_many_init(struct kit_many *many, const char *format);
void kit_many_clear(struct kit_many *many);
/* Adds a row, by the format. That memory is out shows when the statement is run. */
void kit_many_add(struct kit_many *many, ...);
/* As kit_db_run() and kit_db_query(). Without a row of arguments nothing is done. */
int kit_db_run_many(struct kit_db *db, const struct kit_many *many, const char *sql);
enum kit_step kit_db_query_many(struct kit_db *db, struct kit_rows *rows, const struct kit_many *many, const char *sql);

/* The first value of the first row of any SQL, as text; "" if absent. Not prepared: for migrations and tests.
 * Returns 0 or KIT_FAILED. */
int kit_db_ask(struct kit_db *db, const char *sql, char *text, size_t size);

#endif
