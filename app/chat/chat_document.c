/* GET /api/v1/chats/{chat_id}/sources/{doc_id}: an article that an answer quoted, as a whole. Who may read the chat may
 * read what its log names as a source, and no other document. */
#include "chat_int.h"
#include "knowledge.h"

#include <stdlib.h>
#include <string.h>

struct document {
    struct kit_request request;
    char doc_id[KIT_ID_SIZE];
    struct chat_row row;
    struct knowledge_part part;
};

static int read_document(struct kit_request *request, const json_t *payload)
{
    struct document *document = KIT_REQUEST(document, request);
    kit_copy_text(document->doc_id, sizeof document->doc_id, payload, "doc_id");
    return chat_read_about(request, payload);
}

static bool names_document(const char *fields, const char *doc_id)
{
    json_t *source = chat_parse_fields(eio_str(fields));
    const char *id = json_string_value(json_object_get(source, "doc_id"));
    bool is_it = id && !strcmp(id, doc_id);
    json_decref(source);
    return is_it;
}

/* 404 also for a document that exists: whether it does is not for everybody to know. */
static int check_source(struct kit_db *db, const struct document *document, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT payload FROM chat_log WHERE chat=? AND type='chat.source' ORDER BY seq DESC",
                     "i", document->row.key);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (!names_document(kit_rows_text(&rows, 0), document->doc_id)) continue;
        kit_rows_end(&rows);
        return 0;
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    return kit_fail(failure, 404, "/doc_id", "document not found");
}

static int run_document(struct kit_db *db, struct kit_request *request)
{
    struct document *document = KIT_REQUEST(document, request);
    struct kit_failure *failure = &request->op.failure;
    free(document->part.text);
    document->part.text = NULL;
    int code = chat_find(db, request->claims, request->about, CHAT_WATCH, &document->row, failure);
    if (!code) code = check_source(db, document, failure);
    return code ? code : knowledge_read_document(db, document->doc_id, &document->part, failure);
}

static void put_text(struct sio_builder *out, const char *name, const char *text)
{
    sio_builder_put(out, name);
    kit_put_text(out, text);
}

static void reply_document(struct kit_request *request)
{
    const struct knowledge_part *part = &KIT_REQUEST(document, request)->part;
    struct sio_builder *out = &request->json;
    put_text(out, ",\"document\":{\"id\":", part->id);
    put_text(out, ",\"title\":", part->title);
    put_text(out, ",\"topic\":", part->topic);
    put_text(out, ",\"text\":", part->text);
    sio_builder_put(out, "}");
}

static void clear_document(struct kit_request *request)
{
    free(KIT_REQUEST(document, request)->part.text);
}

int chat_document_start(struct chat *chat)
{
    static const struct kit_event paths[] = {
        {.name = "chat.document",
         .size = sizeof(struct document),
         .way = KIT_READ,
         .read = read_document,
         .run = run_document,
         .reply = reply_document,
         .clear = clear_document,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_GET,
         .path = CHATS_PATH "/{chat_id}/sources/{doc_id}"},
    };
    return chat_open_paths(chat, paths, 1);
}
