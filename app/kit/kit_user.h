/* A user at work: all the sockets and HTTP requests of one `sub` share what one user may take, however many they are.
 * Feeds are users of their own kind, with the feeds' share; a socket without a token shares with its address. */
#ifndef KIT_USER_H
#define KIT_USER_H

#include "kit.h"
#include "kit_bucket.h"

struct kit_claims;
struct kit_user;

/* claims NULL: an address; of IPv6, its network. NULL: out of memory. */
struct kit_user *kit_user_ref(struct kit *kit, const struct kit_claims *claims, const char *address);
/* The same for one that spends only: it is not a source of work unless kit_user_ref() has asked for that. */
struct kit_user *kit_user_ref_idle(struct kit *kit, const struct kit_claims *claims, const char *address);
/* One more reference. Both accept NULL. */
struct kit_user *kit_user_share(struct kit_user *user);
void kit_user_unref(struct kit_user *user);
/* The user as a source of work (kit_work.h). Long lists of lines have a share of their own, one at a time. Borrowed:
 * the giver of work keeps a reference to the user until that is done. NULL: NULL. */
struct kit_source *kit_user_source(const struct kit_user *user, bool is_list);

/* What a user has spent of its quotas (kit_quota.c); remembered without references for as long as something is missing,
 * and for quota_tracked_max users at most. NULL: NULL. */
struct kit_spent {
    struct kit_bucket events, bytes, connects;
};
struct kit_spent *kit_user_spent(struct kit_user *user);

/* A socket of a user, embedded in what its owner keeps of it. While its user has asked for more than its share, or what
 * it asked itself waits, nothing is read from it. Then those of one user go on one after another, those first that have
 * waited for longest: one that had its turn goes behind those that had none. */
struct kit_user_socket {
    struct kit_user *user; /* NULL: in none's row */
    struct sio_socket *socket;
    struct eio_session *plain; /* of a plain WebSocket, which is no socket */
    bool in_row;               /* of those that wait for their user */
    bool has_spoken;           /* since it left the row */
    bool is_held;
    unsigned waits; /* how much of what it asked */
    struct kit_user_socket *prev, *next;
};
/* Gives a socket to the user of its claims, who may be another than it had; without claims, to its address. Returns 0
 * or EIO_ENOMEM. */
int kit_user_join(struct kit *kit, struct kit_user_socket *member, const struct kit_claims *claims);
/* The socket goes. */
void kit_user_leave(struct kit_user_socket *member);
/* An event of it is being handled. */
static inline void kit_user_note_speaker(struct kit_user_socket *member)
{
    member->has_spoken = true;
}
/* begins: something that it asked has to wait; once for each, and once more with false when it does not any longer. */
void kit_user_wait(struct kit_user_socket *member, bool begins);

/* Memory that is taken for a user's answers until they are sent: counted here, judged by who makes them. All users'
 * together is kit->answer_bytes. */
size_t kit_user_answer_bytes(const struct kit_user *user);
void kit_user_charge(struct kit_user *user, ptrdiff_t bytes);
/* Charges the user for frames, for as long as they exist. NULL: NULL. */
struct eio_frame_account *kit_user_account(struct kit_user *user);
/* fn runs whenever there is less of it; from within the libraries, so it may start a timer, no more. */
void kit_on_answers_sent(struct kit *kit, kit_hook_fn fn, void *ctx);

/* Forgets those that nobody refers to and that owe nothing, and the oldest where there are too many. */
void kit_users_forget(struct kit *kit);

#endif
