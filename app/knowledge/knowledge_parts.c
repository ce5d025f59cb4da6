/* Documents as texts to read: one by itself, and those of a topic, one after another, as they are taught. */
#include "knowledge.h"

#include <string.h>

static void copy_column(char *out, size_t size, const struct kit_rows *rows, int column)
{
    const char *text = kit_rows_text(rows, column);
    snprintf(out, size, "%s", text ? text : "");
}

/* A row of (doc_id, title, topic, text). Returns 0 or the code of failure. */
static int take_part(const struct kit_rows *rows, struct knowledge_part *part, struct kit_failure *failure)
{
    copy_column(part->id, sizeof part->id, rows, 0);
    copy_column(part->title, sizeof part->title, rows, 1);
    copy_column(part->topic, sizeof part->topic, rows, 2);
    const char *text = kit_rows_text(rows, 3);
    part->text = strdup(text ? text : "");
    return part->text ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

int knowledge_read_document(struct kit_db *db, const char *doc_id, struct knowledge_part *part,
                            struct kit_failure *failure)
{
    struct kit_rows rows;
    memset(part, 0, sizeof *part);
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT doc_id, title, topic, text FROM documents WHERE doc_id=?", "t", doc_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/doc_id", "document not found");
    int code = take_part(&rows, part, failure);
    kit_rows_end(&rows);
    return code;
}

int knowledge_read_part(struct kit_db *db, const char *doc_id, int64_t n, struct knowledge_part *part,
                        struct kit_failure *failure)
{
    struct kit_rows rows;
    memset(part, 0, sizeof *part);
    /* One more, which tells whether this is the last. */
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT d.doc_id, d.title, d.topic, d.text FROM documents o CROSS JOIN documents"
                                      " d WHERE d.source = o.source AND o.doc_id=? AND d.topic = o.topic"
                                      " ORDER BY d.id LIMIT 2 OFFSET ?",
                                      "ti", doc_id, n);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, NULL, "the topic has no more documents");
    int code = take_part(&rows, part, failure);
    step = kit_rows_next(&rows);
    part->is_last = step == KIT_DONE;
    if (step == KIT_ROW) kit_rows_end(&rows);
    return code;
}

int knowledge_find_topic(struct kit_db *db, const char *name, char doc_id[KIT_ID_SIZE], struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT doc_id FROM documents WHERE lower(topic)=lower(?) ORDER BY id LIMIT 1", "t", name);
    if (step == KIT_DONE)
        step = kit_db_query(db, &rows, "SELECT doc_id FROM documents WHERE lower(title)=lower(?) ORDER BY id LIMIT 1",
                            "t", name);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, NULL, "no such topic");
    copy_column(doc_id, KIT_ID_SIZE, &rows, 0);
    kit_rows_end(&rows);
    return 0;
}
