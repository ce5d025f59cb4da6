/* Passwords as Argon2id hashes, made and checked on a thread, one at a time. */
#include "users_int.h"

#include <string.h>

int users_hash_now(const struct users_config *config, const char *password, char hash[crypto_pwhash_STRBYTES])
{
    return crypto_pwhash_str(hash, password, strlen(password), config->password_passes, config->password_memory_bytes)
               ? EIO_ENOMEM
               : 0;
}

static struct users_hashing *hashing_of(struct kit_job *job)
{
    return KIT_OWNER(job, struct users_hashing, job);
}

/* Whether there is such a user must not show in the time it takes. */
static void run_check(struct kit_job *job)
{
    struct users_hashing *hashing = hashing_of(job);
    struct users *users = hashing->users;
    if (!users->dummy[0]) users_hash_now(users->config, "", users->dummy);
    const char *hash = hashing->hash[0] ? hashing->hash : users->dummy;
    bool holds = !crypto_pwhash_str_verify(hash, hashing->password, strlen(hashing->password));
    hashing->is_right = holds && hashing->hash[0];
    sodium_memzero(hashing->password, sizeof hashing->password);
}

static void run_hash(struct kit_job *job)
{
    struct users_hashing *hashing = hashing_of(job);
    hashing->has_failed = users_hash_now(hashing->users->config, hashing->password, hashing->hash) != 0;
    sodium_memzero(hashing->password, sizeof hashing->password);
}

static void on_done(struct kit_job *job)
{
    struct users_hashing *hashing = hashing_of(job);
    hashing->users->queued--;
    hashing->done(hashing);
}

static int submit_hashing(struct users *users, struct users_hashing *hashing, struct kit_source *source,
                          void (*run)(struct kit_job *job))
{
    hashing->users = users;
    hashing->job = (struct kit_job){.run = run, .done = on_done, .bytes = sizeof *hashing};
    bool has_room = users->queued < users->config->password_queue_max;
    int error = has_room ? kit_strand_submit(&users->strand, source, &hashing->job) : EIO_EAGAIN;
    if (error) {
        sodium_memzero(hashing->password, sizeof hashing->password);
        users->queue_full++;
        return error;
    }
    users->queued++;
    return 0;
}

int users_check_password(struct users *users, struct users_hashing *hashing, struct kit_source *source)
{
    return submit_hashing(users, hashing, source, run_check);
}

int users_hash_password(struct users *users, struct users_hashing *hashing, struct kit_source *source)
{
    return submit_hashing(users, hashing, source, run_hash);
}
