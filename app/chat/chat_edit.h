/* The object tree in the store: read, changed, written with its entry of the log, in one transaction. */
#ifndef CHAT_EDIT_H
#define CHAT_EDIT_H

#include "chat_int.h"

/* The tree of a chat as it is; the caller's to json_decref. NULL with failure. */
json_t *chat_edit_read(struct kit_db *db, int64_t chat_key, int64_t *version, struct kit_failure *failure);
/* Changes it: stores it, and adds tree.update to the batch, which the caller writes. base_version -1: any. Returns 0 or
 * the code of failure, 409 among them: the version is another, or the change does not fit. *version: the tree's, also
 * after 409. */
int chat_edit_apply(struct kit_db *db, const struct chat *chat, int64_t chat_key, const json_t *delta,
                    int64_t base_version, int64_t *version, struct chat_batch *batch, struct kit_failure *failure);

#endif
