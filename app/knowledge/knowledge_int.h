/* Shared by the files of knowledge/ only. */
#ifndef KNOWLEDGE_INT_H
#define KNOWLEDGE_INT_H

#include "knowledge.h"
#include "knowledge_embedder.h"
#include "knowledge_embeddings.h"

#include <stdatomic.h>

/* ------------------------------------------------------------------- text */

/* Text that grows, with a terminator once something was appended. A failure sticks. */
struct knowledge_text {
    char *p;
    size_t n, capacity;
    bool failed;
};
void knowledge_text_append(struct knowledge_text *text, const char *p, size_t n);
void knowledge_text_put(struct knowledge_text *text, const char *p);
void knowledge_text_clear(struct knowledge_text *text);
/* Gives the text away, malloc, "" if nothing was appended; NULL: out of memory. */
char *knowledge_text_take(struct knowledge_text *text);
struct eio_str knowledge_trim(struct eio_str s);
/* Its words in small letters, a blank before each; malloc, NULL: out of memory. */
char *knowledge_fold_words(const char *text);

#define KNOWLEDGE_FILE_BYTES_MAX (64u * 1024 * 1024)

/* A file's bytes as UTF-8 with LF line ends and without a byte order mark. UTF-16 and UTF-32 are known by their mark.
 * Returns 0, or EIO_EINVAL with a line in error that names the first byte that fits no encoding. */
int knowledge_decode(const char *name, struct eio_str bytes, struct knowledge_text *out, char *error,
                     size_t error_size);

/* -------------------------------------------------------------------- ids */

/* Between the headings of knowledge_document.heading: no heading has it. */
#define KNOWLEDGE_HEADING_MARK "\x1f"
#define KNOWLEDGE_SLUG_SIZE 112 /* what fits before the marks that tell ids apart, with its terminator */

/* "product-defect.return-due-to-size". Letters beyond ASCII are not in the alphabet of ids: a part that has some ends
 * with a hash of the part. */
void knowledge_slug(struct eio_str file, struct eio_str heading, char slug[KNOWLEDGE_SLUG_SIZE]);
/* Eight letters and digits. */
#define KNOWLEDGE_HASH_SIZE 9
void knowledge_hash(const char *p, size_t n, char hash[KNOWLEDGE_HASH_SIZE]);

/* -------------------------------------------------------------- documents */

/* What is appended to the list; the text is taken, the rest copied. */
struct knowledge_new_document {
    struct eio_str file, name; /* the parts of the slug */
    struct eio_str heading, title, topic;
    struct knowledge_text *take_text;
};
/* Returns 0 or EIO_ENOMEM. */
int knowledge_documents_add(struct knowledge_documents *documents, const struct knowledge_new_document *document);
/* The name of a file without its folder and its ending. */
struct eio_str knowledge_stem(const char *name);
/* text: UTF-8 as knowledge_decode() gives it. Return 0, EIO_EINVAL or EIO_ENOMEM with a line in error. */
int knowledge_guidelines_parse(struct knowledge_documents *documents, const char *name, struct eio_str text,
                               char *error, size_t error_size);
int knowledge_markdown_parse(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                             size_t error_size);

/* True for the heading of the phrases that customers say. */
#define KNOWLEDGE_SAYS_HEADING "## Says"
bool knowledge_is_says(struct eio_str heading);

/* The block of metadata before a Markdown text: YAML between lines of "---" or TOML between lines of "+++". */
struct knowledge_front_matter {
    size_t size;                 /* of the block, 0: the text has none */
    struct knowledge_text title; /* empty: it names none */
    struct knowledge_text says;  /* phrases, each as a line "- phrase" */
};
void knowledge_front_matter_read(struct eio_str text, struct knowledge_front_matter *front);

/* ------------------------------------------------------------------ import */

/* Replaces the documents of import->source. Run as an operation (write). */
int knowledge_store(struct kit_db *db, const struct knowledge_documents *documents, struct knowledge_import *import,
                    struct kit_failure *failure);
/* Documents changed: every process rebuilds its index. Called in the operation that changed them. */
int knowledge_note_change(struct kit_db *db, struct kit_failure *failure);
/* The source of a file: its whole path, in UTF-8; malloc. NULL with errno. */
char *knowledge_source(const char *path);
/* Removes the documents of a source. */
int knowledge_remove(struct kit_db *db, const char *source, size_t *count, struct kit_failure *failure);

/* -------------------------------------------------------------- knowledge */

struct knowledge {
    struct knowledge_glossary *glossary; /* or NULL */
    struct knowledge_table *table;
    struct knowledge_weights weights;
    double embedding_weight;                   /* in place of weights.vector */
    struct knowledge_reader searcher, learner; /* of the read and of the write strand */
    struct knowledge_index *index;             /* NULL: not built yet */
    struct knowledge_embeddings *embeddings;   /* of the index; NULL: no service is configured */
    const char *model;                         /* its; NULL likewise */
    atomic_bool has_embeddings;                /* every document has its vector */
    struct knowledge_embedder *embedder;       /* the loop's; NULL likewise, and in commands */
    int64_t documents, learned;                /* the changes that it has */
    double built_s, build_s;                   /* when, and how long it took */
};

extern const char *const knowledge_migrations[]; /* knowledge_schema.c */

struct knowledge_config {
    const char *glossary;
    const char *embeddings_url, *embeddings_model, *embeddings_key_file;
    uint32_t embeddings_timeout_ms;
    double weight_title, weight_words, weight_words_beside_glossary, weight_learned, weight_table, weight_embeddings;
};

struct kit;
/* Open what stands below /api/v1/documents. Return 0 or a negative code. */
int knowledge_http_start(struct kit *kit);
int knowledge_phrases_start(struct kit *kit);

/* ----------------------------------------------------------------- phrases */

#define KNOWLEDGE_PHRASES_MAX 200 /* beside a document */
/* Appends the field `phrases` to a document's JSON. */
int knowledge_put_phrases(struct kit_db *db, const char *doc_id, struct sio_builder *json, struct kit_failure *failure);
/* Adds all of them to an index that has the documents and is not finished. */
int knowledge_load_phrases(struct knowledge_index *index, const struct knowledge_reader *reader, struct kit_db *db,
                           struct kit_failure *failure);

/* ---------------------------------------------------------------- learning */

int knowledge_learn_vote(const struct knowledge *knowledge, struct kit_db *db, const struct knowledge_vote *vote,
                         struct kit_failure *failure);
/* Puts what was learned after the change `since` into the index. */
int knowledge_load_learned(struct knowledge_index *index, struct knowledge_embeddings *embeddings, struct kit_db *db,
                           int64_t since, struct kit_failure *failure);
/* What a customer said as the text whose vector is asked for: the newest words; malloc. */
char *knowledge_question_text(const struct eio_str *turns, size_t turn_count);

#endif
