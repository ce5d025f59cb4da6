/* The store: SQLite (WAL) behind two strands. `write` has the only connection that writes: its operations run in the
 * order of submission, and writes that wait together share one transaction. An operation's done() runs on the loop
 * after its transaction is durable, in the same order. Reads submitted to the write strand see every write submitted
 * before them and none after; those of the second connection run beside the writes. */
#ifndef KIT_STORE_H
#define KIT_STORE_H

#include "kit_config.h"
#include "kit_work.h"

#include <sqlite3.h>

struct kit_store;

/* A connection and its prepared statements, used by one thread at a time. */
struct kit_db;

/* What went wrong, for the client: an HTTP-like code, 0 = nothing. */
struct kit_failure {
    int code;
    char message[160];
    char field[80]; /* JSON pointer, or "" */
};
/* Fills it in and returns code. field may be NULL. */
int kit_fail(struct kit_failure *failure, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Embedded in the owner's struct. */
struct kit_store_op {
    struct kit_job job;
    struct kit_source *source; /* who gave it; NULL: the server itself */
    bool writes;
    /* On a thread. Returns 0 or the code of `failure`; a write that fails is undone alone. SQLite's own errors are
     * told with kit_db_fail(). Must not touch anything that the loop uses. */
    int (*run)(struct kit_db *db, struct kit_store_op *op);
    /* On the loop; failure.code is 0 if it is durable. May free the operation. */
    void (*done)(struct kit_store_op *op);
    struct kit_failure failure;
};

struct kit_store_stats {
    uint64_t writes, reads, commits, sqlite_errors;
};

/* Opens or makes the database in config->data. NULL with a line in error. Creates the directory (0700) if needed. */
struct kit_store *kit_store_open(struct kit_work *work, const struct kit_config *config, char *error,
                                 size_t error_size);
/* Makes the directory of config->data (0700) if it is missing. Returns 0 or EIO_ESYS with a line in error. */
int kit_store_make_directory(const struct kit_config *config, char *error, size_t error_size);
/* Calls fn for the key's file, the directory and each file in it that other users may read or write: path and mode.
 * Those that this program makes are its user's alone (main() sets the umask); these were there before. */
void kit_store_each_open_file(const struct kit_config *config, void (*fn)(const char *path, unsigned mode));
/* Everything submitted must be done. Accepts NULL. */
void kit_store_close(struct kit_store *store);
/* Returns 0 or EIO_EAGAIN (op not taken). `bytes`: what the operation holds besides its struct. */
int kit_store_submit(struct kit_store *store, struct kit_store_op *op, size_t bytes);
/* Within the operation's own done(): it runs once more, behind what was submitted meanwhile (kit_strand_again()). */
void kit_store_again(struct kit_store_op *op);
/* As kit_store_submit(), on the second connection, which only reads, beside the writes. */
int kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes);
/* Lets the writes that still wait fail at once: the time to stop is up. */
void kit_store_abandon(struct kit_store *store);
void kit_store_get_stats(const struct kit_store *store, struct kit_store_stats *stats);

/* The statement of a string literal, prepared at its first use, reset. NULL: kit_db_fail() says why. */
sqlite3_stmt *kit_db_statement(struct kit_db *db, const char *sql);
/* Tells SQLite's last error: 507 full, 503 locked, 500 else. Returns the code. */
int kit_db_fail(struct kit_db *db, struct kit_failure *failure);
/* Binds arguments by format: t = const char * (NULL is NULL), i = int64_t, b = text with size (const char *, size_t);
 * then steps once. Returns SQLITE_ROW, SQLITE_DONE or an error of SQLite. The values must outlive the statement's use.
 */
int kit_db_step(sqlite3_stmt *statement, const char *format, ...);
sqlite3 *kit_db_sqlite(struct kit_db *db);

/* For commands and tests: run an operation's function directly, in a transaction of its own. */
int kit_store_run_now(struct kit_store *store, struct kit_store_op *op);

#endif
