/* Namespaces that admit by role, and what every one of them understands: auth:refresh. */
#ifndef KIT_NAMESPACE_H
#define KIT_NAMESPACE_H

#include "kit.h"

/* Opens a namespace for these roles. sign_in: the event by which a socket that came without a token says who it is,
 * within auth_timeout_ms; NULL: without a token it is refused. NULL: out of memory. */
struct sio_namespace *kit_open_namespace(struct kit *kit, const char *name, unsigned roles, const char *sign_in);
/* Without a token a socket is a guest's there (kit_admit_guests()). */
void kit_open_to_guests(struct kit *kit, const struct sio_namespace *nsp);

/* True if the kit opened it: its sockets have claims, and their user pointer is the kit's. */
bool kit_is_own_namespace(const struct kit *kit, const struct sio_namespace *nsp);

/* fn runs when a socket that had claims has got others: what it was let into has to be looked at again. One for a
 * namespace. Returns 0, or EIO_EINVAL if the kit did not open it. */
int kit_on_claims(struct kit *kit, const struct sio_namespace *nsp, void (*fn)(struct sio_socket *socket, void *ctx),
                  void *ctx);

/* fn gets each event of a socket with claims for which there is no handler; false: it does not know it either, and it
 * is answered with 404. One for a namespace. Returns 0, or EIO_EINVAL if the kit did not open it. */
int kit_on_unknown_event(struct kit *kit, const struct sio_namespace *nsp,
                         bool (*fn)(struct sio_socket *socket, const struct sio_event *event, void *ctx), void *ctx);

#endif
