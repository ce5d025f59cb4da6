/* Parley and the company's own services over HTTP: POST /api/v1/emit (hooks_emit.c), and the backend hook, which posts
 * events to a service (docs/hooks.md).
 *
 * What happens in calls is posted at least once: it stays in an outbox, written by the transaction that stores the
 * event itself, until the service has taken it. */
#ifndef HOOKS_H
#define HOOKS_H

#include "kit.h"

struct hooks;
struct kit_claims;

extern const struct kit_module hooks_module;

struct hooks_event {
    const char *name;                /* "call:status" */
    const char *call_id;             /* NULL: about none */
    const struct kit_claims *claims; /* whose share it counts against; NULL: the server's own */
    struct eio_str json;             /* one JSON object */
    int64_t at_ms;
    bool must; /* 503 if there is no room for it */
};
/* Within a write, on its thread: puts it into the outbox if hook_events names it. hooks may be NULL. Returns 0, or the
 * code of failure if the database fails. Above a limit it is counted and left out; if it must not be, that is 503. */
int hooks_put(struct hooks *hooks, struct kit_db *db, const struct hooks_event *event, struct kit_failure *failure);
/* Whether hooks_put() would. Any thread. */
bool hooks_wants(const struct hooks *hooks, const char *name);
/* How text is taken out of what clients send under names that Parley does not know, before it is stored or posted:
 * appends the JSON value to out without what must not go on. On a thread. Returns 0 or EIO_ENOMEM. */
typedef int (*hooks_redact_fn)(void *ctx, struct eio_str json, struct sio_builder *out);
/* ctx: until the modules stop. */
void hooks_redact_with(struct hooks *hooks, hooks_redact_fn redact, void *ctx);
/* Within a write: nothing more of this call leaves. Returns 0 or the code of failure. */
int hooks_forget(struct hooks *hooks, struct kit_db *db, const char *call_id, struct kit_failure *failure);

#endif
