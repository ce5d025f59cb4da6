/* From when on a user's tokens are valid: one who is removed or disconnected loses those that were given out before, on
 * every node. Stored with a number, so that each node reads what is new to it; this is how the changes of commands and
 * of nodes that it does not hear reach it. */
#include "kit_dismiss.h"
#include "users_int.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define READ_MAX 1000 /* at a time */

struct cutoff {
    int64_t not_before_s;
    UT_hash_handle hh;
    char key[]; /* tenant and name, each with its end */
};

struct row {
    int64_t seq, not_before_s;
    char tenant[KIT_USER_SIZE], name[KIT_USER_SIZE];
};

struct users_cutoffs {
    struct kit_store_op op;
    struct users *users;
    struct eio_timer timer;
    struct cutoff *table;
    int64_t seq;  /* of the last one read */
    bool is_read; /* all that were there at the start */
    bool is_paused;
    struct row *rows; /* while they are read */
    size_t count;
};

/* ------------------------------------------------------------------- store */

int users_read_cutoff(struct kit_db *db, const char *tenant, const char *name, int64_t *not_before_s,
                      struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT not_before_s FROM user_cutoffs WHERE tenant=? AND name=?", "tt", tenant, name);
    *not_before_s = 0;
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    *not_before_s = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static int put_cutoff(struct kit_db *db, const struct users_cut *cut, struct kit_failure *failure)
{
    if (!kit_db_run(db,
                    "INSERT INTO user_cutoffs(tenant, name, seq, not_before_s) VALUES (?1, ?2,"
                    " (SELECT coalesce(max(seq), 0) + 1 FROM user_cutoffs), ?3)"
                    " ON CONFLICT(tenant, name) DO UPDATE SET seq=excluded.seq, not_before_s=excluded.not_before_s",
                    "tti", cut->tenant, cut->name, cut->not_before_s))
        return 0;
    return kit_db_fail(db, failure);
}

int users_cut(struct kit_db *db, struct users_cut *cut, int64_t now_ms, struct kit_failure *failure)
{
    int code = users_read_cutoff(db, cut->tenant, cut->name, &cut->not_before_s, failure);
    if (code) return code;
    /* Those of this second too, and of a login after the last time, which may have been in this second. */
    cut->not_before_s = 1 + (cut->not_before_s > now_ms / 1000 ? cut->not_before_s : now_ms / 1000);
    return put_cutoff(db, cut, failure);
}

static int read_new(struct kit_db *db, struct kit_store_op *op)
{
    struct users_cutoffs *cutoffs = (struct users_cutoffs *)(void *)op;
    struct kit_rows rows;
    cutoffs->count = 0;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT seq, not_before_s, tenant, name FROM user_cutoffs WHERE seq > ? ORDER BY seq LIMIT ?", "ii",
        cutoffs->seq, (int64_t)READ_MAX);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct row *row = &cutoffs->rows[cutoffs->count++];
        row->seq = kit_rows_int(&rows, 0);
        row->not_before_s = kit_rows_int(&rows, 1);
        snprintf(row->tenant, sizeof row->tenant, "%s", kit_rows_text(&rows, 2));
        snprintf(row->name, sizeof row->name, "%s", kit_rows_text(&rows, 3));
    }
    return step == KIT_FAILED ? kit_db_fail(db, &op->failure) : 0;
}

/* ------------------------------------------------------------------- memory */

static size_t make_key(char key[2 * KIT_USER_SIZE], const char *tenant, const char *name)
{
    return (size_t)snprintf(key, 2 * KIT_USER_SIZE, "%s%c%s", tenant, 0, name) + 1;
}

static struct cutoff *find_cutoff(const struct users_cutoffs *cutoffs, const char *tenant, const char *name)
{
    struct cutoff *cutoff = NULL;
    char key[2 * KIT_USER_SIZE];
    if (!cutoffs->table) return NULL;
    size_t size = make_key(key, tenant, name);
    HASH_FIND(hh, cutoffs->table, key, size, cutoff);
    return cutoff;
}

/* False: out of memory. */
static bool set_cutoff(struct users_cutoffs *cutoffs, const struct users_cut *cut)
{
    struct cutoff *cutoff = find_cutoff(cutoffs, cut->tenant, cut->name);
    char key[2 * KIT_USER_SIZE];
    if (!cutoff) {
        size_t size = make_key(key, cut->tenant, cut->name);
        cutoff = calloc(1, sizeof *cutoff + size);
        if (!cutoff) return false;
        memcpy(cutoff->key, key, size);
        HASH_ADD_KEYPTR(hh, cutoffs->table, cutoff->key, size, cutoff);
    }
    if (cutoff->not_before_s < cut->not_before_s) cutoff->not_before_s = cut->not_before_s;
    return true;
}

bool users_cut_here(struct users *users, const struct users_cut *cut)
{
    static const char why[] = "disconnected by an administrator";
    int64_t before_s = cut->not_before_s ? cut->not_before_s : INT64_MAX;
    if (cut->not_before_s && !set_cutoff(users->cutoffs, cut)) return false;
    const struct kit_dismissal who = {
        .tenant = cut->tenant, .sub = cut->name, .issued_before_s = before_s, .message = why};
    users->disconnects += kit_dismiss(users->kit, &who);
    return true;
}

/* ------------------------------------------------------ told by other nodes */

struct keep {
    struct kit_store_op op;
    struct users_cut cut;
};

static int run_keep(struct kit_db *db, struct kit_store_op *op)
{
    const struct users_cut *cut = &((struct keep *)(void *)op)->cut;
    int64_t known_s;
    int code = users_read_cutoff(db, cut->tenant, cut->name, &known_s, &op->failure);
    if (code || known_s >= cut->not_before_s) return code;
    return put_cutoff(db, cut, &op->failure);
}

static void on_kept(struct kit_store_op *op)
{
    free(op);
}

/* Where each node has a store of its own, nothing else would tell this one after a restart. */
void users_keep_cut(const struct users *users, const struct users_cut *cut)
{
    struct keep *keep = cut->not_before_s ? calloc(1, sizeof *keep) : NULL;
    if (!keep) return;
    keep->op = (struct kit_store_op){.run = run_keep, .done = on_kept, .writes = true, .locks = {USERS_LOCK}};
    keep->cut = *cut;
    if (kit_store_submit(users->kit->store, &keep->op, 0)) free(keep);
}

/* The rest is read again. */
static void take_rows(struct users_cutoffs *cutoffs)
{
    for (size_t i = 0; i < cutoffs->count; i++) {
        const struct row *row = &cutoffs->rows[i];
        struct users_cut cut = {.not_before_s = row->not_before_s};
        memcpy(cut.tenant, row->tenant, sizeof cut.tenant);
        memcpy(cut.name, row->name, sizeof cut.name);
        if (!users_cut_here(cutoffs->users, &cut)) return;
        cutoffs->seq = row->seq;
    }
    if (cutoffs->count < READ_MAX) cutoffs->is_read = true;
}

static void read_on(void *ctx);

static void on_read(struct kit_store_op *op)
{
    struct users_cutoffs *cutoffs = (struct users_cutoffs *)(void *)op;
    bool is_full = !op->failure.code && cutoffs->count == READ_MAX;
    if (!op->failure.code) take_rows(cutoffs);
    free(cutoffs->rows);
    cutoffs->rows = NULL;
    if (!cutoffs->is_paused) eio_timer_start(&cutoffs->timer, is_full ? 0 : cutoffs->users->config->user_poll_ms);
}

static void read_on(void *ctx)
{
    struct users_cutoffs *cutoffs = ctx;
    cutoffs->rows = malloc(READ_MAX * sizeof *cutoffs->rows);
    cutoffs->op.run = read_new;
    cutoffs->op.done = on_read;
    cutoffs->count = 0;
    if (cutoffs->rows && !kit_store_submit_read(cutoffs->users->kit->store, &cutoffs->op, sizeof *cutoffs)) return;
    free(cutoffs->rows);
    cutoffs->rows = NULL;
    if (!cutoffs->is_paused) eio_timer_start(&cutoffs->timer, cutoffs->users->config->user_poll_ms);
}

/* A token without `iat` is older than all of them. */
static int check_claims(void *ctx, const struct kit_claims *claims, struct kit_failure *failure)
{
    const struct users *users = ctx;
    if (!users->cutoffs->is_read) return kit_fail(failure, 503, NULL, KIT_STORE_AWAY);
    const struct cutoff *cutoff = find_cutoff(users->cutoffs, claims->tenant, claims->sub);
    if (!cutoff || claims->iat_s >= cutoff->not_before_s) return 0;
    return kit_fail(failure, 401, NULL, "the token is not valid any more");
}

/* ------------------------------------------------------------------- module */

int users_cutoffs_start(struct users *users)
{
    struct users_cutoffs *cutoffs = users->cutoffs = calloc(1, sizeof *cutoffs);
    if (!cutoffs) return EIO_ENOMEM;
    cutoffs->users = users;
    eio_timer_init(&cutoffs->timer, users->kit->loop, read_on, cutoffs);
    kit_on_token(users->kit, check_claims, users);
    read_on(cutoffs);
    kit_work_wait(users->kit->work); /* before anybody may come */
    return 0;
}

void users_cutoffs_pause(struct users *users)
{
    if (!users->cutoffs) return;
    users->cutoffs->is_paused = true;
    eio_timer_stop(&users->cutoffs->timer);
}

void users_cutoffs_stop(struct users *users)
{
    struct users_cutoffs *cutoffs = users->cutoffs;
    struct cutoff *cutoff, *next;
    if (!cutoffs) return;
    HASH_ITER(hh, cutoffs->table, cutoff, next)
    {
        HASH_DEL(cutoffs->table, cutoff);
        free(cutoff);
    }
    free(cutoffs->rows);
    free(cutoffs);
    users->cutoffs = NULL;
}
