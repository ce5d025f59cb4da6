/* A summary in a model's words: what it is asked, the wait for it, and what of its answer is taken. */
#ifndef CALLS_SUMMARY_MODEL_H
#define CALLS_SUMMARY_MODEL_H

#include "calls_extract.h"
#include "calls_int.h"

#define CALLS_WRITTEN_MAX 2000 /* bytes of a section; a longer answer is no summary */

/* NULL, or UTF-8 of at most CALLS_WRITTEN_MAX bytes, malloc. */
struct calls_sections {
    char *need, *done, *open;
};
void calls_sections_clear(struct calls_sections *sections);
/* Reads a model's answer: an object with the texts, or lists of texts, "need", "done" and "open", whatever stands
 * around it. False: it is not one. Pure. */
bool calls_sections_read(struct calls_sections *sections, const char *answer);

/* What was said, for a model: malloc; of more than `most` bytes the beginning and the end. title: of the document that
 * was suggested, "" if absent, with its steps. NULL: out of memory. Pure. */
char *calls_summary_text(const struct calls_spoken *lines, size_t count, const char *title, const char *steps,
                         size_t most);

struct calls_writing;
/* sections: the callee's to keep; NULL: no model wrote it. On the loop, never within calls_writing_start(). */
typedef void (*calls_written_fn)(void *ctx, struct calls_sections *take_sections);
/* Refuses the name of a model that is not configured. Returns 0 or a negative code with a line in error. */
int calls_writing_check(const struct calls *calls, char *error, size_t error_size);
/* Whether a model is to be asked. */
bool calls_writing_is_wanted(const struct calls *calls, const char *call_id, const struct kit_claims *claims);
/* claims: whose share it counts against; NULL: the server's. Returns 0, or EIO_EAGAIN: above a limit, or there is no
 * such model; fn is not called then. */
int calls_writing_start(struct calls *calls, const struct kit_claims *claims, const char *text, calls_written_fn fn,
                        void *ctx);
/* All that is under way ends with NULL. */
void calls_writing_stop(struct calls *calls);

#endif
