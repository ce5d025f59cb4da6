/* Phrases beside a document over HTTP: shown with it, written, changed, deleted. One that a person wrote or changed is
 * the person's: a model does not replace it, and it teaches as a call does. */
#include "kit_request.h"
#include "knowledge_expand.h"
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>

#define PHRASES_PATH "/api/v1/documents/{doc_id}/phrases"
#define WRITERS (KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)

/* -------------------------------------------------------------------- read */

int knowledge_put_phrases(struct kit_db *db, const char *doc_id, struct sio_builder *json, struct kit_failure *failure)
{
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT id, phrase, by_model FROM document_phrases WHERE doc_id=? ORDER BY id LIMIT ?",
                     "ti", doc_id, (int64_t)KNOWLEDGE_PHRASES_MAX);
    sio_builder_put(json, ",\"phrases\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        sio_builder_put(json, count++ ? ",{\"id\":" : "{\"id\":");
        kit_put_text(json, kit_number(kit_rows_int(&rows, 0)).text);
        sio_builder_put(json, ",\"text\":");
        kit_put_text(json, kit_rows_text(&rows, 1));
        sio_builder_put(json, kit_rows_int(&rows, 2) ? ",\"by\":\"model\"}" : ",\"by\":\"person\"}");
    }
    sio_builder_put(json, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

int knowledge_load_phrases(struct knowledge_index *index, const struct knowledge_reader *reader, struct kit_db *db,
                           struct kit_failure *failure)
{
    struct kit_rows rows;
    uint32_t document = 0, count = (uint32_t)knowledge_index_count(index);
    int failed = 0;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT d.doc_id, p.phrase, p.by_model FROM documents d"
                                      " JOIN document_phrases p ON p.doc_id = d.doc_id ORDER BY d.id, p.id",
                                      "");
    for (; step == KIT_ROW && !failed; step = kit_rows_next(&rows)) {
        /* The index has them in the same order. */
        while (document < count && strcmp(knowledge_index_id(index, document), kit_rows_text(&rows, 0))) document++;
        if (document == count) break;
        double weight = kit_rows_int(&rows, 2) ? KNOWLEDGE_MODEL_PHRASE_WEIGHT : 1;
        failed = knowledge_index_add_phrase(index, reader, document, eio_str(kit_rows_text(&rows, 1)), weight);
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&rows);
    return failed ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

/* ------------------------------------------------------------------- write */

struct edit {
    struct kit_request request;
    int64_t id; /* 0: a new one */
    char text[KNOWLEDGE_PHRASE_BYTES_MAX + 1];
};

static int read_edit(struct kit_request *request, const json_t *payload)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    const char *id = json_string_value(json_object_get(payload, "phrase_id"));
    char *end;
    kit_copy_text(edit->text, sizeof edit->text, payload, "text");
    if (!id) return 0;
    edit->id = strtoll(id, &end, 10);
    if (*end || edit->id <= 0) return kit_fail(&request->op.failure, 404, "/phrase_id", "phrase not found");
    return 0;
}

/* The document must be there, and have room; no other of its phrases may say the same. */
static int check(struct kit_db *db, const struct edit *edit, struct kit_failure *failure)
{
    struct kit_rows row;
    const char *doc_id = edit->request.about;
    enum kit_step step =
        kit_db_query(db, &row,
                     "SELECT (SELECT count(*) FROM document_phrases WHERE doc_id=?1),"
                     " (SELECT count(*) FROM document_phrases WHERE doc_id=?1 AND phrase=?2 AND id<>?3)"
                     " FROM documents WHERE doc_id=?1",
                     "tti", doc_id, edit->text, edit->id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/doc_id", "document not found");
    bool is_full = !edit->id && kit_rows_int(&row, 0) >= KNOWLEDGE_PHRASES_MAX, is_known = kit_rows_int(&row, 1) > 0;
    kit_rows_end(&row);
    if (is_known) return kit_fail(failure, 409, "/text", "the document has this phrase already");
    if (is_full) return kit_fail(failure, 409, NULL, "too many phrases (limit: %d)", KNOWLEDGE_PHRASES_MAX);
    return 0;
}

static int run_add(struct kit_db *db, struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    struct kit_rows row;
    int code = check(db, edit, failure);
    if (code) return code;
    if (kit_db_query(db, &row, "INSERT INTO document_phrases(doc_id, phrase, by_model) VALUES (?,?,0) RETURNING id",
                     "tt", request->about, edit->text) != KIT_ROW)
        return kit_db_fail(db, failure);
    edit->id = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return knowledge_note_change(db, failure);
}

static int run_change(struct kit_db *db, struct kit_request *request)
{
    const struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    int code = check(db, edit, failure);
    if (code) return code;
    int64_t count = kit_db_change(db, "UPDATE document_phrases SET phrase=?, by_model=0 WHERE id=? AND doc_id=?", "tit",
                                  edit->text, edit->id, request->about);
    if (count < 0) return kit_db_fail(db, failure);
    return count ? knowledge_note_change(db, failure) : kit_fail(failure, 404, "/phrase_id", "phrase not found");
}

static int run_remove(struct kit_db *db, struct kit_request *request)
{
    const struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    int64_t count =
        kit_db_change(db, "DELETE FROM document_phrases WHERE id=? AND doc_id=?", "it", edit->id, request->about);
    if (count < 0) return kit_db_fail(db, failure);
    return count ? knowledge_note_change(db, failure) : kit_fail(failure, 404, "/phrase_id", "phrase not found");
}

static void reply_edit(struct kit_request *request)
{
    sio_builder_put(&request->json, ",\"doc_id\":");
    kit_put_text(&request->json, request->about);
    sio_builder_put(&request->json, ",\"phrase_id\":");
    kit_put_text(&request->json, kit_number(KIT_REQUEST(edit, request)->id).text);
}

static void reply_add(struct kit_request *request)
{
    request->status = 201;
    reply_edit(request);
}

int knowledge_phrases_start(struct kit *kit)
{
    static const struct kit_event events[] = {
        {.name = "doc:phrase",
         .size = sizeof(struct edit),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .about = "doc_id",
         .lock = KNOWLEDGE_LOCK,
         .read = read_edit,
         .run = run_add,
         .reply = reply_add,
         .method = EIO_HTTP_POST,
         .path = PHRASES_PATH},
        {.name = "doc:phrase",
         .size = sizeof(struct edit),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .about = "doc_id",
         .lock = KNOWLEDGE_LOCK,
         .read = read_edit,
         .run = run_change,
         .reply = reply_edit,
         .method = EIO_HTTP_POST,
         .path = PHRASES_PATH "/{phrase_id}"},
        {.size = sizeof(struct edit),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .about = "doc_id",
         .lock = KNOWLEDGE_LOCK,
         .read = read_edit,
         .run = run_remove,
         .reply = reply_edit,
         .method = EIO_HTTP_DELETE,
         .path = PHRASES_PATH "/{phrase_id}"},
    };
    return kit_open_paths(kit, events, sizeof events / sizeof events[0], NULL);
}
