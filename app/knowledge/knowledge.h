/* The knowledge base: documents that are read out of files, and the search over them. */
#ifndef KNOWLEDGE_H
#define KNOWLEDGE_H

#include "kit_module.h"
#include "kit_schema.h"
#include "kit_store.h"

/* A document as a file has it. */
struct knowledge_document {
    char *slug;    /* what its id would be if no other document had it */
    char *heading; /* what it is called in its file: the headings from the top down */
    char *title, *topic, *text;
};
struct knowledge_documents {
    struct knowledge_document *list;
    size_t count, capacity;
};
void knowledge_documents_clear(struct knowledge_documents *documents);
/* Reads a guidelines file (one document per subflow) or Markdown (one per section, none without text) by the name's
 * ending. Returns 0, EIO_EINVAL or EIO_ENOMEM with a line in error. */
int knowledge_documents_parse(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                              size_t error_size);
/* True if the name ends like one that can be parsed. */
bool knowledge_is_document_name(const char *name);

/* A file to be imported, and what became of it. */
struct knowledge_import {
    const char *source;  /* which file it is; the documents of a source are replaced together */
    const char *name;    /* how errors call it; NULL: source */
    struct eio_str text; /* its bytes */
    size_t count;        /* documents that it has now */
    size_t gone;         /* documents that it had before and has no more */
};
/* Imports a file now, blocking: for the start and the command. A document keeps its id as long as its heading or its
 * text stays; what is not in the file any more is removed, and its id is kept for its return: all of it, if the file
 * has no text any more. Returns 0 or EIO_EINVAL with a line in error: also for one without text that never had any. */
int knowledge_import(struct kit_store *store, struct knowledge_import *import, char *error, size_t error_size);
/* `parley import-documents`: files, and folders with all that is below them. Sources are called by their whole path, or
 * with alias by that name for the only path. Returns the exit status. */
int knowledge_import_command(const struct kit_config *config, const char *alias, const char *const *paths,
                             size_t path_count);
/* `parley learn`: calls with the document that fitted, one JSON object a line. Returns the exit status. */
int knowledge_learn_command(const struct kit_config *config, const char *const *paths, size_t path_count);
/* A lock (kit_store.h) for what changes documents or what was learned. */
#define KNOWLEDGE_LOCK "knowledge"
/* The same for how often documents were suggested. */
#define KNOWLEDGE_SHOWN_LOCK "shown"
int knowledge_count(struct kit_db *db, int64_t *count, struct kit_failure *failure);

/* The documents in memory and what finds them, for one process; the module's state. */
struct knowledge;
extern const struct kit_module knowledge_module;
/* Reads the glossaries of the configuration. NULL with a line in error. */
struct knowledge *knowledge_new(const struct kit_config *config, char *error, size_t error_size);
/* No operation may run any more. Accepts NULL. */
void knowledge_free(struct knowledge *knowledge);

/* Builds the index if the store has changed, so that the first search need not. On the read strand only. */
int knowledge_prepare(struct knowledge *knowledge, struct kit_db *db, struct kit_failure *failure);

#define KNOWLEDGE_RESULTS_MAX 5
struct knowledge_result {
    char id[KIT_ID_SIZE];
    char title[160];
    char topic[160];
    char excerpt[400]; /* the passage that fits best */
    char why[200];     /* what the customer said that found it, separated by '\n' */
    double relevance;  /* 0..1, comparable between calls */
};
/* The best documents for what a customer said, best first; *count ≤ KNOWLEDGE_RESULTS_MAX. turns: any texts, in the
 * order in which they were said. On the read strand only. */
int knowledge_search(struct knowledge *knowledge, struct kit_db *db, const struct eio_str *turns, size_t turn_count,
                     struct knowledge_result results[KNOWLEDGE_RESULTS_MAX], size_t *count,
                     struct kit_failure *failure);
/* The same with the vector of what was said, from knowledge_embed(). */
struct knowledge_vector;
struct knowledge_question {
    const struct eio_str *turns;
    size_t turn_count;
    const struct knowledge_vector *vector; /* NULL: none */
    bool is_typed; /* by somebody who looks for these words: documents that have them come first */
};
int knowledge_search_question(struct knowledge *knowledge, struct kit_db *db, const struct knowledge_question *question,
                              struct knowledge_result results[KNOWLEDGE_RESULTS_MAX], size_t *count,
                              struct kit_failure *failure);

/* With an embeddings service: asks it for the vector of what a customer said, which a second search takes. done runs
 * later on the loop, with NULL if the vector did not come in time; it takes the vector (free()). Returns 0, EIO_EAGAIN
 * if the service is not configured or would not help now, or EIO_ENOMEM. On the loop. */
typedef void (*knowledge_embedded_fn)(void *ctx, struct knowledge_vector *take_vector);
int knowledge_embed(struct knowledge *knowledge, const struct eio_str *turns, size_t turn_count,
                    knowledge_embedded_fn done, void *ctx);

/* A document among those of its topic, which are those of one file with the same topic, in the order of the file. */
struct knowledge_part {
    char id[KIT_ID_SIZE], title[160], topic[160];
    char *text; /* the caller's to free */
    bool is_last;
};
/* The nth of the topic of a document. 404: there are not so many, or the document is gone. */
int knowledge_read_part(struct kit_db *db, const char *doc_id, int64_t n, struct knowledge_part *part,
                        struct kit_failure *failure);
/* A document as it stands now, by itself: is_last is false. 404: it is gone. */
int knowledge_read_document(struct kit_db *db, const char *doc_id, struct knowledge_part *part,
                            struct kit_failure *failure);
/* The first document of the topic, or else with the title, that is that text, in letters of either case. 404. */
int knowledge_find_topic(struct kit_db *db, const char *name, char doc_id[KIT_ID_SIZE], struct kit_failure *failure);

/* These documents were suggested: counted, in the operation that stores the suggestion. */
int knowledge_note_shown(struct kit_db *db, const struct knowledge_result *results, size_t count,
                         struct kit_failure *failure);

/* What is learned of a call, and looked for in what was learned: the customer's first turns. */
#define KNOWLEDGE_LEARN_TURNS 3
/* How much a vote teaches: a helpful one as much as a call with its document; others less, down to 1. */
#define KNOWLEDGE_WEIGHT_ONE 4
#define KNOWLEDGE_WEIGHT_COPIED 2
#define KNOWLEDGE_WEIGHT_OPENED 1
struct knowledge_vote {
    const char *call_id, *doc_id, *agent;
    int64_t weight;              /* 0: it teaches nothing, and what was learned before is taken back */
    const struct eio_str *turns; /* what the customer said first */
    size_t turn_count;
};
/* Learns from a vote, in place of what the same agent's vote on the document taught in this call. On the write strand
 * only. */
int knowledge_vote(struct knowledge *knowledge, struct kit_db *db, const struct knowledge_vote *vote,
                   struct kit_failure *failure);
/* The call is deleted: forgets its votes and its text. What documents learned from it stays. On the write strand only.
 */
int knowledge_forget_call(struct kit_db *db, const char *call_id, struct kit_failure *failure);

#endif
