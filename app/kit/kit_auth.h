/* Who a socket is and what it may: tokens, claims, namespaces that admit by role. */
#ifndef KIT_AUTH_H
#define KIT_AUTH_H

#include "kit_user.h"

#include <string.h>

enum kit_role {
    KIT_ROLE_AGENT = 1,
    KIT_ROLE_SUPERVISOR = 2,
    KIT_ROLE_FEED = 4,
    KIT_ROLE_ADMIN = 8,
    KIT_ROLE_USER = 16,    /* of the assistant */
    KIT_ROLE_SERVICE = 32, /* a backend */
};
#define KIT_ROLES_ALL 63u
/* 0 if the role is unknown. Accepts NULL. */
enum kit_role kit_role_of(const char *name);
#define KIT_USER_ROOM "user:" /* begins the name of the room in which a user's sockets are, in every namespace */
const char *kit_role_text(enum kit_role role);

/* What a checked token says; immutable, shared by reference. References are counted on the loop's thread; other
 * threads may read while an operation holds one. */
struct kit_claims {
    unsigned refs;
    enum kit_role role;
    int64_t exp_s, iat_s; /* iat: 0 if the token does not say */
    char sub[KIT_USER_SIZE];
    char tenant[KIT_USER_SIZE]; /* "": none; users of two tenants are never the same */
    json_t *calls;              /* array of ids; "demo-*" stands for all that begin so */
    bool all_calls;
    json_t *chats; /* of a supervisor: array of ids, as calls */
    bool all_chats;
};
/* Of a token's claims. NULL: sub, role or tenant is missing or invalid, or memory is out. */
struct kit_claims *kit_claims_new(const json_t *token);
/* Both accept NULL. */
struct kit_claims *kit_claims_ref(struct kit_claims *claims);
void kit_claims_unref(struct kit_claims *claims);
/* True if the token names the call. */
bool kit_claims_allow(const struct kit_claims *claims, const char *call_id);
/* The same of a chat, for a supervisor or administrator. */
bool kit_claims_allow_chat(const struct kit_claims *claims, const char *chat_id);

/* Until they expire, in milliseconds; not positive: they have. */
int64_t kit_claims_left_ms(const struct kit *kit, const struct kit_claims *claims);
/* Long waits for that are cut to this, so that a clock that was set is noticed. */
#define KIT_EXPIRY_CHECK_MS 3600000

/* Checks a token; NULL with failure (401, or 403 for claims that are not usable). */
struct kit_claims *kit_auth_check(struct kit *kit, struct eio_str token, struct kit_failure *failure);
/* The claims of a socket, or NULL while it has not said who it is. Borrowed. */
struct kit_claims *kit_auth_claims(const struct sio_socket *socket);
/* Gives claims (consumed) to a socket, which may be fewer than it had; a socket never changes its user: 403. */
int kit_auth_set(struct sio_socket *socket, struct kit_claims *take_claims, struct kit_failure *failure);
/* The user at work to whom the socket belongs (kit_user.h). NULL: out of memory. Borrowed. */
struct kit_user *kit_auth_user(const struct sio_socket *socket);
/* Something that the socket asked waits: it is not read meanwhile. Once more with false when it does not any longer. */
void kit_auth_wait(const struct sio_socket *socket, bool begins);

/* A user whose tokens of before a moment are void (kit_dismiss.h). */
struct kit_dismissal {
    const char *tenant, *sub; /* tenant: "" for none */
    int64_t issued_before_s;
    const char *message; /* why, for the client */
};
static inline bool kit_is_dismissed(const struct kit_dismissal *who, const struct kit_claims *claims)
{
    return !strcmp(claims->sub, who->sub) && !strcmp(claims->tenant, who->tenant) &&
           claims->iat_s < who->issued_before_s;
}
/* Tells the user's sockets of this node why, and disconnects them. Returns how many. */
size_t kit_auth_dismiss(struct kit *kit, const struct kit_dismissal *who);
/* fn is asked about each token whose signature and times are right: 0, or the code of failure. */
void kit_on_token(struct kit *kit, kit_token_fn fn, void *ctx);
/* A token for the demo page, the token command and users; malloc, or NULL. calls, chats: "*" or a comma-separated list;
 * chats may be empty. */
char *kit_auth_make_token(const struct kit_jwt *jwt, const char *sub, const char *role, const char *calls,
                          const char *chats, int64_t unix_s, int64_t ttl_s);

/* A server with a development key, which listens on loopback only, admits those without a token as one user of the role
 * `user`, where a namespace or a path admits guests. Returns 0 or EIO_ENOMEM. */
int kit_admit_guests(struct kit *kit);
/* The guest's claims, for a client of this machine that no page of another site drives; else NULL. Borrowed. */
struct kit_claims *kit_guest_claims(const struct kit *kit, const struct eio_http_head *head);

/* Asks for a token, or a sign-in, before anything else of a namespace's sockets. For kit_namespace.c. */
int kit_auth_guard(struct kit_namespace *nsp);

#endif
