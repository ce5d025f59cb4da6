/* The table of users: those at work, and those who have spent of their quotas. Not its job: who is a user (kit_auth.c),
 * what a share is (kit_work.c) and what may be spent (kit_quota.c). */
#include "kit_user.h"

#include "kit_auth.h"

#include <arpa/inet.h>
#include <base_check.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* A letter for what it is, tenant, sub; each text with its end, so that no two keys are the same by chance. */
#define KEY_BYTES (1 + 2 * KIT_USER_SIZE)

/* In the first, reading begins again; in the second, what has come is read before timers run. */
#define TURNS_TO_HEAR 2

struct kit_user {
    struct kit *kit;
    unsigned refs; /* sockets and requests */
    struct kit_spent spent;
    struct kit_user *prev, *next;        /* in kit->idle_users */
    struct kit_source *lines, *lists;    /* NULL: it has not been asked for work yet */
    bool is_full;                        /* more of its work waits than is its share */
    struct kit_user_socket *heard, *row; /* all its sockets; of those in the row nothing is read */
    struct eio_timer timer;              /* the next of the row */
    unsigned turns_to_hear;              /* of the loop, until those that just left the row are read */
    struct eio_frame_account account;
    size_t answer_bytes;
    UT_hash_handle hh;
    char key[];
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

/* Those that had no chance to speak keep their place in front of those that wait for longer since they spoke. */
static void stop_reading(struct kit_user *user)
{
    struct kit_user_socket *member, *next, *unheard = NULL;
    eio_timer_stop(&user->timer);
    user->turns_to_hear = 0;
    if (user->heard) user->kit->counters.users_held++;
    DL_FOREACH_SAFE(user->heard, member, next)
    {
        DL_DELETE(user->heard, member);
        if (member->has_spoken)
            DL_APPEND(user->row, member);
        else
            DL_APPEND(unheard, member);
        member->in_row = true;
        hold_as_needed(member);
    }
    DL_CONCAT(unheard, user->row);
    user->row = unheard;
}

/* One that has much to say may fill the share again, and goes to the end of the row: until that is known, the others
 * stay where they are. What it says lies here already, while what those before it say is still with the kernel: they
 * get the time to be read. */
static void read_next(void *ctx)
{
    struct kit_user *user = ctx;
    while (user->row) {
        struct kit_user_socket *member = user->row;
        struct eio_session *session = session_of(member);
        bool speaks = session && !member->waits && eio_session_has_waiting(session);
        if (speaks && user->turns_to_hear) {
            user->turns_to_hear--;
            break;
        }
        DL_DELETE(user->row, member);
        DL_APPEND(user->heard, member);
        member->in_row = member->has_spoken = false;
        hold_as_needed(member);
        if (speaks) break;
        user->turns_to_hear = TURNS_TO_HEAR;
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
    member->has_spoken = false;
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

/* Who has one address of IPv6 has 2^64 of them. */
static void read_network(const char *address, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr v6;
    snprintf(out, INET6_ADDRSTRLEN, "%s", address);
    if (inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6)) return;
    memset(v6.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
}

static size_t make_key(char key[KEY_BYTES], const struct kit_claims *claims, const char *address)
{
    char network[INET6_ADDRSTRLEN];
    if (!claims) read_network(address, network);
    const char *names[] = {claims ? claims->tenant : "", claims ? claims->sub : network};
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
    HASH_DEL(user->kit->users, user);
    eio_timer_stop(&user->timer);
    kit_source_close(user->lines);
    kit_source_close(user->lists);
    free(user);
}

static void leave_idle(struct kit_user *user)
{
    DL_DELETE(user->kit->idle_users, user);
    user->kit->idle_user_count--;
}

static bool owes_nothing(const struct kit_user *user)
{
    uint64_t now_ms = eio_loop_now_ms(user->kit->loop);
    return kit_bucket_is_full(&user->spent.events, now_ms) && kit_bucket_is_full(&user->spent.bytes, now_ms) &&
           kit_bucket_is_full(&user->spent.connects, now_ms);
}

/* Without quotas there is nothing to remember. */
void kit_users_forget(struct kit *kit)
{
    while (kit->idle_users &&
           (!kit->quotas || owes_nothing(kit->idle_users) || kit->idle_user_count > kit->config->quota_tracked_max)) {
        struct kit_user *user = kit->idle_users;
        leave_idle(user);
        free_user(user);
    }
}

static void drop_if_unused(struct kit_user *user)
{
    struct kit *kit = user->kit;
    if (user->refs || user->answer_bytes) return;
    DL_APPEND(kit->idle_users, user);
    kit->idle_user_count++;
    kit_users_forget(kit);
}

static void on_account(struct eio_frame_account *account, ptrdiff_t bytes)
{
    kit_user_charge((struct kit_user *)(void *)((char *)account - offsetof(struct kit_user, account)), bytes);
}

/* It has asked for work. */
static int add_sources(struct kit_user *user)
{
    if (user->lists) return 0;
    const struct kit_config *config = user->kit->config;
    bool feeds = user->key[0] == 'f';
    struct kit_source_options options = {.share = feeds ? config->feed_jobs_max : config->user_jobs_max,
                                         .max_jobs = config->source_queue_max,
                                         .max_bytes = config->source_queue_bytes,
                                         .reserve = feeds,
                                         .on_full = on_full,
                                         .ctx = user};
    if (!user->lines) user->lines = kit_source_new(&options);
    options.share = 1;
    options.on_full = NULL;
    user->lists = user->lines ? kit_source_new(&options) : NULL;
    return user->lists ? 0 : EIO_ENOMEM;
}

struct kit_user *kit_user_ref_idle(struct kit *kit, const struct kit_claims *claims, const char *address)
{
    struct kit_user *user;
    char key[KEY_BYTES];
    size_t size = make_key(key, claims, address);
    HASH_FIND(hh, kit->users, key, size, user);
    if (!user) {
        user = calloc(1, sizeof *user + size);
        if (!user) return NULL;
        user->kit = kit;
        user->account.on_change = on_account;
        eio_timer_init(&user->timer, kit->loop, read_next, user);
        memcpy(user->key, key, size);
        HASH_ADD_KEYPTR(hh, kit->users, user->key, size, user);
    } else if (!user->refs && !user->answer_bytes) {
        leave_idle(user);
    }
    user->refs++;
    return user;
}

struct kit_user *kit_user_ref(struct kit *kit, const struct kit_claims *claims, const char *address)
{
    struct kit_user *user = kit_user_ref_idle(kit, claims, address);
    if (!user || add_sources(user) == 0) return user;
    kit_user_unref(user);
    return NULL;
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

struct kit_spent *kit_user_spent(struct kit_user *user)
{
    return user ? &user->spent : NULL;
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
