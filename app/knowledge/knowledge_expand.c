/* What a language model is shown of a document, what it answers, and the store of its phrases. */
#include "knowledge_expand.h"

#include "knowledge_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define QUESTION_TEXT_MAX 6000 /* bytes of a document's text; what it is about stands at its beginning */
#define LISTS_TRIED 32         /* brackets of an answer at which the list may begin */

_Static_assert(sizeof((struct knowledge_expansion *)0)->hash == KNOWLEDGE_TEXT_HASH_SIZE, "a hash of a text");

/* ------------------------------------------------------------------ answer */

void knowledge_phrases_clear(struct knowledge_phrases *phrases)
{
    while (phrases->count) free(phrases->list[--phrases->count]);
}

/* One line, trimmed, without what controls a terminal or a page; malloc. NULL: too short or too long. */
static char *read_phrase(const char *text)
{
    char line[KNOWLEDGE_PHRASE_BYTES_MAX + 1];
    size_t n = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_blank = c <= ' ' || c == 0x7f;
        if (is_blank && (!n || line[n - 1] == ' ')) continue;
        if (n == KNOWLEDGE_PHRASE_BYTES_MAX) return NULL;
        line[n++] = is_blank ? ' ' : (char)c;
    }
    while (n && line[n - 1] == ' ') n--;
    return n < KNOWLEDGE_PHRASE_BYTES_MIN ? NULL : strndup(line, n);
}

static void add_phrase(struct knowledge_phrases *phrases, const char *text)
{
    char *phrase = text && phrases->count < KNOWLEDGE_EXPANSION_PHRASES ? read_phrase(text) : NULL;
    for (size_t i = 0; phrase && i < phrases->count; i++) {
        if (strcasecmp(phrases->list[i], phrase) != 0) continue;
        free(phrase);
        phrase = NULL;
    }
    if (phrase) phrases->list[phrases->count++] = phrase;
}

bool knowledge_phrases_read(struct knowledge_phrases *phrases, const char *answer)
{
    const json_t *one;
    size_t i;
    phrases->count = 0;
    for (size_t tries = 0; answer && tries < LISTS_TRIED && (answer = strchr(answer, '[')); tries++, answer++) {
        json_t *list = json_loads(answer, JSON_DISABLE_EOF_CHECK, NULL);
        json_array_foreach(list, i, one) add_phrase(phrases, json_string_value(one));
        json_decref(list);
        if (phrases->count) return true;
    }
    return false;
}

/* ------------------------------------------------------------------- store */

void knowledge_expansion_clear(struct knowledge_expansion *expansion)
{
    free(expansion->question);
    expansion->question = NULL;
}

/* The document as the model gets it, and its hash. Returns 0 or EIO_ENOMEM. */
static int make_question(struct knowledge_expansion *expansion, const char *title, const char *topic, const char *text)
{
    struct knowledge_text question = {NULL, 0, 0, false};
    struct eio_str says, body = knowledge_says_split(eio_str(text), &says);
    size_t n = body.n;
    if (n > QUESTION_TEXT_MAX)
        for (n = QUESTION_TEXT_MAX; n && ((unsigned char)body.p[n] & 0xc0) == 0x80;) n--;
    knowledge_text_put(&question, "Title: ");
    knowledge_text_put(&question, title);
    if (strcmp(topic, title) != 0) {
        knowledge_text_put(&question, "\nTopic: ");
        knowledge_text_put(&question, topic);
    }
    knowledge_text_put(&question, "\n\n");
    knowledge_text_append(&question, body.p, n);
    expansion->question = knowledge_text_take(&question);
    if (!expansion->question) return EIO_ENOMEM;
    knowledge_text_hash(eio_str(expansion->question), expansion->hash);
    return 0;
}

/* Columns 1 to 3 of the row: title, topic, text. */
static int read_row(const struct kit_rows *row, struct knowledge_expansion *expansion)
{
    snprintf(expansion->doc_id, sizeof expansion->doc_id, "%s", kit_rows_text(row, 0));
    return make_question(expansion, kit_rows_text(row, 1), kit_rows_text(row, 2), kit_rows_text(row, 3));
}

static int note_due(const struct kit_rows *row, bool all, char (**ids)[KIT_ID_SIZE], size_t *count)
{
    struct knowledge_expansion expansion;
    if (read_row(row, &expansion)) return EIO_ENOMEM;
    bool is_due = all || strcmp(expansion.hash, kit_rows_text(row, 4)) != 0;
    knowledge_expansion_clear(&expansion);
    if (!is_due) return 0;
    if ((*count & (*count - 1)) == 0) {
        char(*more)[KIT_ID_SIZE] = realloc(*ids, (*count ? *count * 2 : 1) * sizeof *more);
        if (!more) return EIO_ENOMEM;
        *ids = more;
    }
    memcpy((*ids)[(*count)++], expansion.doc_id, KIT_ID_SIZE);
    return 0;
}

int knowledge_expansions_due(struct kit_db *db, bool all, char (**ids)[KIT_ID_SIZE], size_t *count,
                             struct kit_failure *failure)
{
    struct kit_rows rows;
    int failed = 0;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT d.doc_id, d.title, d.topic, d.text, coalesce(e.text_hash, '') FROM documents d"
                     " LEFT JOIN document_expansions e ON e.doc_id = d.doc_id ORDER BY d.id",
                     "");
    for (; step == KIT_ROW && !failed; step = kit_rows_next(&rows)) failed = note_due(&rows, all, ids, count);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&rows);
    return failed ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

int knowledge_expansion_read(struct kit_db *db, const char *doc_id, struct knowledge_expansion *expansion,
                             struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT doc_id, title, topic, text FROM documents WHERE doc_id=?", "t", doc_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, NULL, "document not found");
    int failed = read_row(&row, expansion);
    kit_rows_end(&row);
    return failed ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

int knowledge_expansion_store(struct kit_db *db, const struct knowledge_expansion *expansion,
                              const struct knowledge_phrases *phrases, struct kit_failure *failure)
{
    const char *doc_id = expansion->doc_id;
    bool failed = kit_db_run(db, "DELETE FROM document_phrases WHERE doc_id=? AND by_model=1", "t", doc_id) ||
                  kit_db_run(db,
                             "INSERT INTO document_expansions(doc_id, text_hash) VALUES (?,?)"
                             " ON CONFLICT(doc_id) DO UPDATE SET text_hash=excluded.text_hash",
                             "tt", doc_id, expansion->hash);
    for (size_t i = 0; i < phrases->count && !failed; i++)
        failed = kit_db_run(db,
                            "INSERT INTO document_phrases(doc_id, phrase, by_model) VALUES (?,?,1)"
                            " ON CONFLICT(doc_id, phrase) DO NOTHING",
                            "tt", doc_id, phrases->list[i]) != 0;
    return failed ? kit_db_fail(db, failure) : knowledge_note_change(db, failure);
}
