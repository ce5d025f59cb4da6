/* Shared by the files of users/ only. Reading order: users.c, users_store.c, users_cutoffs.c, users_password.c,
 * users_login.c, users_http.c, users_command.c. */
#ifndef USERS_INT_H
#define USERS_INT_H

#include "kit_bucket.h"
#include "kit_request.h"
#include "users.h"

#include <sodium.h>

#define USERS_PASSWORD_SIZE 1025 /* with its terminator */
#define USERS_CALLS_SIZE 4097    /* a comma-separated list, or "*"; it has to fit into a token */
#define USERS_CHATS_SIZE 1025    /* the same, beside it */

struct users_config {
    size_t password_memory_bytes;
    uint32_t password_passes, password_bytes_min;
    uint32_t token_ttl_s;
    uint32_t login_burst, login_interval_ms, login_address_burst, login_address_interval_ms, login_user_burst,
        login_user_interval_ms, login_tracked_max, password_queue_max;
    uint32_t user_poll_ms;
};
extern const struct kit_option_set users_options;

struct users {
    struct kit *kit;
    const struct users_config *config;
    struct kit_strand strand; /* passwords, one at a time: each takes memory and a thread for a while */
    struct kit_buckets *attempts;
    struct users_cutoffs *cutoffs;
    char dummy[crypto_pwhash_STRBYTES]; /* the strand's: what the password of an unknown user is checked against */
    uint64_t logins, login_failures, login_limited, disconnects;
    uint64_t queued, queue_full; /* passwords on the strand now; refused for want of room */
};

extern const char *const users_migrations[]; /* users_store.c */

/* ------------------------------------------------------------------- store */

struct users_row {
    char name[KIT_USER_SIZE], role[16];
    char hash[crypto_pwhash_STRBYTES];
    char *calls, *chats; /* malloc; NULL before they are read */
    int64_t created_ms;
};
void users_row_clear(struct users_row *row);
#define USERS_LOCK "users" /* of operations that add */
/* All run inside an operation. 0 or the code of failure; 404 without such a user. */
int users_find(struct kit_db *db, const char *name, struct users_row *row, struct kit_failure *failure);
/* Adds a user or changes one; an empty hash, or calls or chats NULL, leaves what is there. *is_new may be NULL. */
int users_put(struct kit_db *db, const struct users_row *row, int64_t now_ms, bool *is_new,
              struct kit_failure *failure);
int users_remove(struct kit_db *db, const char *name, struct kit_failure *failure);
/* fn for each after that name, in order, at most limit. */
int users_each(struct kit_db *db, const char *after, int64_t limit, void (*fn)(void *ctx, const struct users_row *row),
               void *ctx, struct kit_failure *failure);

/* ----------------------------------------------------------------- cutoffs */

/* A user's tokens from before are void (users_cutoffs.c). tenant: "" for users of this server. */
struct users_cut {
    char tenant[KIT_USER_SIZE], name[KIT_USER_SIZE];
    int64_t not_before_s; /* 0: only the sockets are disconnected */
};
/* Inside an operation that writes, with USERS_LOCK: stores it, from now on, and sets not_before_s. */
int users_cut(struct kit_db *db, struct users_cut *cut, int64_t now_ms, struct kit_failure *failure);
/* Inside an operation: from when on the user's tokens are valid, 0 if all are. */
int users_read_cutoff(struct kit_db *db, const char *tenant, const char *name, int64_t *not_before_s,
                      struct kit_failure *failure);
/* At this node: disconnects the sockets that it concerns. False: out of memory. */
bool users_cut_here(struct users *users, const struct users_cut *cut);
/* Stores one that another node has told, if that is news. */
void users_keep_cut(const struct users *users, const struct users_cut *cut);
int users_cutoffs_start(struct users *users);
void users_cutoffs_pause(struct users *users);
void users_cutoffs_stop(struct users *users);

/* --------------------------------------------------------------- passwords */

/* A password on its way through a thread. Embedded; what it is about stands in hash. */
struct users_hashing {
    struct kit_job job;
    struct users *users;
    char password[USERS_PASSWORD_SIZE];
    char hash[crypto_pwhash_STRBYTES]; /* to check: "" is an unknown user's, which takes as long */
    bool is_right, has_failed;         /* out; failed: no memory for it */
    void (*done)(struct users_hashing *hashing);
};
/* Checks the password against the hash, or makes a hash of it; then done, on the loop. Returns 0 or EIO_EAGAIN: too
 * many are queued. The password is wiped. */
int users_check_password(struct users *users, struct users_hashing *hashing, struct kit_source *source);
int users_hash_password(struct users *users, struct users_hashing *hashing, struct kit_source *source);
/* The same at once, for commands. Returns 0 or EIO_ENOMEM. */
int users_hash_now(const struct users_config *config, const char *password, char hash[crypto_pwhash_STRBYTES]);

/* ------------------------------------------------------------------- parts */

int users_login_start(struct users *users);
int users_http_start(struct users *users);
/* The same on every node. */
void users_cut_everywhere(struct users *users, const struct users_cut *cut);

#endif
