/* A JSON Web Key Set (RFC 7517) by URL: fetched at the start and now and then, and when a token names a key that is not
 * in it. */
#ifndef KIT_JWKS_H
#define KIT_JWKS_H

#include "kit.h"

/* Nothing if jwks_url is empty. Returns 0 or a negative code. */
int kit_jwks_start(struct kit *kit);
void kit_jwks_stop(struct kit *kit);
/* True if the token names a key that is unknown, and the set is being fetched, so that it may be known soon. Begins
 * that unless it was done just before. */
bool kit_jwks_is_awaited(struct kit *kit, struct eio_str token);

#endif
