/* The store: a database behind two strands. `write` has the only connection that writes: its operations run in the
 * order of submission, and writes that wait together share one transaction. An operation's done() runs on the loop
 * after its transaction is durable, in the same order. Reads submitted to the write strand see every write submitted
 * before them and none after; those of the second connection run beside the writes. */
#ifndef KIT_STORE_H
#define KIT_STORE_H

#include "kit_config.h"
#include "kit_db.h"
#include "kit_work.h"

struct kit_store;

#define KIT_STORE_LOCKS 2
#define KIT_ROW_MISSING "a row is missing" /* the database did all that was asked: what must be there is not */
#define KIT_STORE_AWAY "the store cannot be reached; nothing was stored"

/* Embedded in the owner's struct. */
struct kit_store_op {
    struct kit_job job;
    struct kit_source *source; /* who gave it; NULL: the server itself */
    bool writes;
    /* A write: it shares its transaction with no other. For those that lock by kit_db_lock(). */
    bool is_alone;
    /* Goes in front of all that waits. For a sign of life, which must not be late because others have much to do. */
    bool is_urgent;
    /* A write: what it changes, by name; NULL: nothing. Other nodes that change it wait. */
    const char *locks[KIT_STORE_LOCKS];
    /* On a thread. Returns 0 or the code of `failure`; a write that fails is undone alone. Errors of the database are
     * reported with kit_db_fail(). Must not touch anything that the loop uses. May be called again, when its
     * transaction was undone for others' sake: what it did before is void then, here as in the database. */
    int (*run)(struct kit_db *db, struct kit_store_op *op);
    /* A write: runs those that wait together and have the same run_together, in their order, for less than each alone
     * would cost; NULL: each runs alone. What fails writes nothing and has its failure. Returns 0 or the code of why;
     * then all of it is undone, and each is run by `run`. */
    int (*run_together)(struct kit_db *db, struct kit_store_op *const *ops, size_t count, struct kit_failure *why);
    /* On the loop; failure.code is 0 if it is durable. May free the operation. */
    void (*done)(struct kit_store_op *op);
    struct kit_failure failure;
};

struct kit_store_stats {
    uint64_t writes, reads, commits, errors;
    uint64_t statements;                         /* of SQL that were run */
    uint64_t retries;                            /* operations that ran again because their transaction was undone */
    uint64_t refused_away;                       /* operations refused because the database was not reached */
    uint64_t is_away;                            /* 0 or 1 */
    struct kit_delays write_delays, read_delays; /* from the request to its result on the loop */
};

/* Opens or makes the database in config->data. NULL with a line in error. Creates the directory (0700) if needed. */
struct kit_store *kit_store_open(struct kit_work *work, const struct kit_config *config, char *error,
                                 size_t error_size);
/* Whether an engine takes it as the option `store`. */
bool kit_store_url_is_valid(const char *url);
/* Makes the directory of config->data (0700) if it is missing. Returns 0 or EIO_ESYS with a line in error. */
int kit_store_make_directory(const struct kit_config *config, char *error, size_t error_size);
/* Calls fn for the key's file, the directory and each file in it that other users may read or write: path and mode.
 * Those that this program makes are its user's alone (main() sets the umask); these were there before. */
void kit_store_each_open_file(const struct kit_config *config, void (*fn)(const char *path, unsigned mode));
/* Everything submitted must be done. Accepts NULL. */
void kit_store_close(struct kit_store *store);
/* Returns 0, or the code of op->failure: the operation was not taken. `bytes`: what it holds besides its struct. */
int kit_store_submit(struct kit_store *store, struct kit_store_op *op, size_t bytes);
/* Within the operation's own done(): it runs once more, behind what was submitted meanwhile (kit_strand_again()). */
void kit_store_again(struct kit_store_op *op);
/* As kit_store_submit(), on the second connection, which only reads, beside the writes. */
int kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes);
/* On the loop: true while the database is not reached; all operations are refused then. */
bool kit_store_is_away(const struct kit_store *store);
/* Lets the writes that still wait fail at once: the time to stop is up. */
void kit_store_abandon(struct kit_store *store);
void kit_store_get_stats(const struct kit_store *store, struct kit_store_stats *stats);

/* For commands and tests: run an operation's function directly, in a transaction of its own. */
int kit_store_run_now(struct kit_store *store, struct kit_store_op *op);

#endif
