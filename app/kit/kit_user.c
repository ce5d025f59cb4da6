/* The table of users at work. Not its job: who is a user (kit_auth.c) and what a share is (kit_work.c). */
#include "kit_user.h"

#include "kit_auth.h"

#include <base_check.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* Feeds or not, tenant, sub; each text with its end, so that no two keys are the same by chance. */
#define KEY_BYTES (1 + 2 * KIT_USER_SIZE)

struct kit_user {
    struct kit *kit;
    char key[KEY_BYTES];
    unsigned refs; /* sockets and requests */
    struct kit_source *lines, *lists;
    bool is_full;                        /* more of its work waits than is its share */
    struct kit_user_socket *heard, *row; /* all its sockets; of those in the row nothing is read */
    struct eio_timer timer;              /* the next of the row */
    struct eio_frame_account account;
    size_t answer_bytes;
    UT_hash_handle hh;
};

/* ------------------------------------------------------------------ sockets */

static struct eio_session *session_of(const struct kit_user_socket *member)
{
    return member->plain ? member->plain : sio_socket_session(member->socket);
}

static void hold_as_needed(struct kit_user_socket *member)
{
    bool wanted = member->in_row || member->waits;
    if (wanted == member->is_held) return;
    struct eio_session *session = session_of(member);
    member->is_held = wanted;
    if (session && eio_session_hold(session, wanted)) member->is_held = false; /* out of memory: it is read on */
}

static void stop_reading(struct kit_user *user)
{
    struct kit_user_socket *member, *next;
    eio_timer_stop(&user->timer);
    if (user->heard) user->kit->counters.users_held++;
    DL_FOREACH_SAFE(user->heard, member, next)
    {
        DL_DELETE(user->heard, member);
        DL_APPEND(user->row, member);
        member->in_row = true;
        hold_as_needed(member);
    }
}

/* One that has much to say may fill the share again, and goes to the end of the row: until that is known, the others
 * stay where they are. */
static void read_next(void *ctx)
{
    struct kit_user *user = ctx;
    while (user->row) {
        struct kit_user_socket *member = user->row;
        struct eio_session *session = session_of(member);
        DL_DELETE(user->row, member);
        DL_APPEND(user->heard, member);
        member->in_row = false;
        hold_as_needed(member);
        if (session && !member->is_held && eio_session_has_waiting(session)) break;
    }
    if (user->row) eio_timer_start(&user->timer, 0);
}

static void on_full(void *ctx, bool full)
{
    struct kit_user *user = ctx;
    user->is_full = full;
    if (full)
        stop_reading(user);
    else if (user->row)
        eio_timer_start(&user->timer, 0);
}

int kit_user_join(struct kit *kit, struct kit_user_socket *member, const struct kit_claims *claims)
{
    const struct eio_http_head *head =
        member->plain ? eio_session_head(member->plain) : sio_socket_head(member->socket);
    struct kit_user *user = kit_user_ref(kit, claims, head->address);
    if (!user) return EIO_ENOMEM;
    if (member->user == user) {
        kit_user_unref(user);
        return 0;
    }
    kit_user_leave(member);
    member->user = user;
    member->in_row = user->is_full;
    if (member->in_row)
        DL_APPEND(user->row, member);
    else
        DL_APPEND(user->heard, member);
    hold_as_needed(member);
    return 0;
}

void kit_user_leave(struct kit_user_socket *member)
{
    struct kit_user *user = member->user;
    if (user && member->in_row)
        DL_DELETE(user->row, member);
    else if (user)
        DL_DELETE(user->heard, member);
    member->in_row = false;
    member->waits = 0;
    member->user = NULL;
    hold_as_needed(member);
    kit_user_unref(user);
}

void kit_user_wait(struct kit_user_socket *member, bool begins)
{
    if (begins)
        member->waits++;
    else if (member->waits)
        member->waits--;
    hold_as_needed(member);
}

/* -------------------------------------------------------------------- users */

static size_t make_key(char key[KEY_BYTES], const struct kit_claims *claims, const char *address)
{
    const char *names[] = {claims ? claims->tenant : "", claims ? claims->sub : address};
    size_t at = 1;
    key[0] = !claims ? 'a' : claims->role == KIT_ROLE_FEED ? 'f' : 'u';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strnlen(names[i], KIT_USER_SIZE - 1);
        memcpy(key + at, names[i], n);
        key[at + n] = 0;
        at += n + 1;
    }
    return at;
}

static void free_user(struct kit_user *user)
{
    eio_timer_stop(&user->timer);
    kit_source_close(user->lines);
    kit_source_close(user->lists);
    free(user);
}

static void drop_if_unused(struct kit_user *user)
{
    if (user->refs || user->answer_bytes) return;
    HASH_DEL(user->kit->users, user);
    free_user(user);
}

static void on_account(struct eio_frame_account *account, ptrdiff_t bytes)
{
    kit_user_charge((struct kit_user *)(void *)((char *)account - offsetof(struct kit_user, account)), bytes);
}

static struct kit_user *make_user(struct kit *kit, bool feeds)
{
    const struct kit_config *config = kit->config;
    struct kit_user *user = calloc(1, sizeof *user);
    if (!user) return NULL;
    struct kit_source_options options = {.share = feeds ? config->feed_jobs_max : config->user_jobs_max,
                                         .max_jobs = config->source_queue_max,
                                         .max_bytes = config->source_queue_bytes,
                                         .reserve = feeds,
                                         .on_full = on_full,
                                         .ctx = user};
    user->kit = kit;
    user->account.on_change = on_account;
    eio_timer_init(&user->timer, kit->loop, read_next, user);
    user->lines = kit_source_new(&options);
    options.share = 1;
    options.on_full = NULL;
    user->lists = kit_source_new(&options);
    if (user->lines && user->lists) return user;
    free_user(user);
    return NULL;
}

struct kit_user *kit_user_ref(struct kit *kit, const struct kit_claims *claims, const char *address)
{
    struct kit_user *user;
    char key[KEY_BYTES];
    size_t size = make_key(key, claims, address);
    HASH_FIND(hh, kit->users, key, size, user);
    if (!user) {
        user = make_user(kit, claims && claims->role == KIT_ROLE_FEED);
        if (!user) return NULL;
        memcpy(user->key, key, size);
        HASH_ADD(hh, kit->users, key, size, user);
    }
    user->refs++;
    return user;
}

struct kit_user *kit_user_share(struct kit_user *user)
{
    if (user) user->refs++;
    return user;
}

void kit_user_unref(struct kit_user *user)
{
    if (!user) return;
    BASE_CHECK(user->refs);
    user->refs--;
    drop_if_unused(user);
}

struct kit_source *kit_user_source(const struct kit_user *user, bool is_list)
{
    if (!user) return NULL;
    return is_list ? user->lists : user->lines;
}

/* ------------------------------------------------------------------ answers */

size_t kit_user_answer_bytes(const struct kit_user *user)
{
    return user->answer_bytes;
}

void kit_user_charge(struct kit_user *user, ptrdiff_t bytes)
{
    struct kit *kit = user->kit;
    user->answer_bytes += (size_t)bytes;
    kit->answer_bytes += (size_t)bytes;
    if (bytes >= 0) return;
    if (kit->answers_sent.fn) kit->answers_sent.fn(kit->answers_sent.ctx);
    drop_if_unused(user);
}

struct eio_frame_account *kit_user_account(struct kit_user *user)
{
    return user ? &user->account : NULL;
}

void kit_on_answers_sent(struct kit *kit, kit_hook_fn fn, void *ctx)
{
    kit->answers_sent = (struct kit_hook){fn, ctx};
}
